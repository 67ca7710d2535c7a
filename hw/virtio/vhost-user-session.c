/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vhost-user session behind the table that devices use (vhost-device.h). */
#include "util/osdep.h"

#include "hw/virtio/vhost-device.h"

static uint64_t session_features(void *session)
{
    return vhost_user_features(session);
}

static bool session_connected(void *session)
{
    return vhost_user_connected(session);
}

static bool session_may_return(void *session)
{
    return vhost_user_may_return(session);
}

static void session_start(void *session, uint64_t features, VhostUserMemory *memory,
                          const VhostUserRing *rings, unsigned n, bool inflight,
                          VhostUserDone *done, void *opaque)
{
    vhost_user_start(session, features, memory, rings, n, inflight, done, opaque);
}

static void session_stop(void *session, bool reset, VhostUserDone *done, void *opaque)
{
    vhost_user_stop(session, reset, done, opaque);
}

static bool session_stop_and_wait(void *session, bool reset, GError **error)
{
    return vhost_user_stop_and_wait(session, reset, error);
}

static void session_ring_start(void *session, const VhostUserRing *ring, VhostUserDone *done,
                               void *opaque)
{
    vhost_user_ring_start(session, ring, done, opaque);
}

static void session_ring_stop(void *session, unsigned index, VhostUserDone *done, void *opaque)
{
    vhost_user_ring_stop(session, index, done, opaque);
}

static void session_rings_enable(void *session, const bool *enable, unsigned n, VhostUserDone *done,
                                 void *opaque)
{
    vhost_user_rings_enable(session, enable, n, done, opaque);
}

static void session_set_memory(void *session, VhostUserMemory *memory, VhostUserDone *done,
                               void *opaque)
{
    vhost_user_set_memory(session, memory, done, opaque);
}

static void session_drain(void *session)
{
    vhost_user_drain(session);
}

static bool session_ring_base(void *session, unsigned index, uint32_t *base)
{
    return vhost_user_ring_base(session, index, base);
}

static bool session_log_start(void *session, GError **error)
{
    return vhost_user_log_start(session, error);
}

static void session_log_stop(void *session, VhostUserDone *done, void *opaque)
{
    vhost_user_log_stop(session, done, opaque);
}

static void session_log_sync(void *session, bool last)
{
    vhost_user_log_sync(session, last);
}

static bool session_log_late(void *session)
{
    return vhost_user_log_late(session);
}

static void session_free(void *session)
{
    vhost_user_free(session);
}

const VhostSessionOps vhost_user_session_ops = {
    .name = "vhost-user",
    .features = session_features,
    .connected = session_connected,
    .may_return = session_may_return,
    .start = session_start,
    .stop = session_stop,
    .stop_and_wait = session_stop_and_wait,
    .ring_start = session_ring_start,
    .ring_stop = session_ring_stop,
    .rings_enable = session_rings_enable,
    .set_memory = session_set_memory,
    .drain = session_drain,
    .ring_base = session_ring_base,
    .log_start = session_log_start,
    .log_stop = session_log_stop,
    .log_sync = session_log_sync,
    .log_late = session_log_late,
    .free = session_free,
};
