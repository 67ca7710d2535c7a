/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user: the order of messages. In the session's thread; VU2, VU4 to VU7 of vhost-user.h are kept here.
 */
#include "util/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "vhost-user-internal.h"
#include "util/bytes.h"
#include "util/error.h"

#define STATUS_DRIVER_OK 0x0f /* ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK (VIRTIO 1.2, 2.1) */

static bool has_enable(const VhostUser *vu)
{
    return vu->features >> VHOST_USER_F_PROTOCOL_FEATURES & 1;
}

static bool tell_u64(VhostUser *vu, VhostUserRequest request, uint64_t value, bool wait)
{
    VhostUserMessage message = vu_message(request, 8);

    message.payload.u64 = value;
    return wait ? vu_tell(vu, &message, NULL, 0) : vu_send(vu, &message, NULL, 0);
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

static bool open_channel(VhostUser *vu)
{
    VhostUserMessage message = vu_message(VHOST_USER_SET_BACKEND_REQ_FD, 0);
    int pair[2];
    bool ok;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return vu_fail(vu, VHOST_USER_ENDING, "no socket pair: %s", g_strerror(errno));
    }
    ok = vu_tell(vu, &message, &pair[1], 1);
    close(pair[1]);
    if (ok) {
        vu_channel_open(vu, pair[0]);
    } else {
        close(pair[0]);
    }
    return ok;
}

/* What was agreed upon with the first back end has to be there with each later one. */
static bool adopt_features(VhostUser *vu, uint64_t features)
{
    uint64_t lost = vu->planned ? vu->plan_features & ~features : 0;

    if (lost) {
        return vu_fail(vu, VHOST_USER_REFUSED,
                       "the back end that came back lacks features that are in use: 0x%" PRIx64,
                       lost);
    }
    g_mutex_lock(&vu->lock);
    vu->features = features;
    vu->protocol = 0;
    g_mutex_unlock(&vu->lock);
    return true;
}

static bool negotiate_protocol(VhostUser *vu)
{
    uint64_t protocol, rings = 0, slots = VHOST_USER_MAX_TABLE_REGIONS;

    if (!vu_ask_u64(vu, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol)) {
        return false;
    }
    protocol &= vu->wanted_protocol;
    if (!tell_u64(vu, VHOST_USER_SET_PROTOCOL_FEATURES, protocol, false)) {
        return false;
    }
    g_mutex_lock(&vu->lock);
    vu->protocol = protocol;
    g_mutex_unlock(&vu->lock);
    if (vu_has(vu, VHOST_USER_PROTOCOL_F_MQ) && !vu_ask_u64(vu, VHOST_USER_GET_QUEUE_NUM, &rings)) {
        return false;
    }
    if (vu_has(vu, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
        if (!vu_ask_u64(vu, VHOST_USER_GET_MAX_MEM_SLOTS, &slots)) {
            return false;
        }
        slots = MIN(slots, VHOST_USER_MAX_REGIONS);
    }
    g_mutex_lock(&vu->lock);
    vu->max_rings = (unsigned)MIN(rings, UINT_MAX);
    g_mutex_unlock(&vu->lock);
    vu->max_slots = (unsigned)slots;
    return !vu_has(vu, VHOST_USER_PROTOCOL_F_BACKEND_REQ) || open_channel(vu);
}

bool vu_negotiate(VhostUser *vu)
{
    VhostUserMessage owner = vu_message(VHOST_USER_SET_OWNER, 0);
    uint64_t features;

    vu->max_slots = VHOST_USER_MAX_TABLE_REGIONS;
    g_clear_pointer(&vu->sent_memory, vhost_user_memory_unref);
    for (unsigned i = 0; i < VHOST_USER_MAX_RINGS; i++) {
        vu->rings[i].set_up = false;
    }
    if (!vu_ask_u64(vu, VHOST_USER_GET_FEATURES, &features) || !adopt_features(vu, features) ||
        (has_enable(vu) && !negotiate_protocol(vu)) || !vu_send(vu, &owner, NULL, 0)) {
        return false;
    }
    return vu_state_event(vu, VU_AGREED) || vu_fail(vu, VHOST_USER_AWAY, "the back end has gone");
}

/* ---- configuration space ------------------------------------------------------------------------------- */

bool vu_send_config(VhostUser *vu, unsigned offset, unsigned len)
{
    VhostUserMessage message =
        vu_message(VHOST_USER_SET_CONFIG, VHOST_USER_CONFIG_HEADER + len);

    message.payload.config.offset = offset;
    message.payload.config.size = len;
    memcpy(message.payload.config.data, vu->written + offset, len);
    return vu_tell(vu, &message, NULL, 0);
}

bool vu_restore_config(VhostUser *vu)
{
    unsigned end;

    for (unsigned at = 0; at < VHOST_USER_MAX_CONFIG; at = end + 1) {
        for (end = at; end < VHOST_USER_MAX_CONFIG && vu->is_written[end]; end++) {
        }
        if (end > at && !vu_send_config(vu, at, end - at)) {
            return false;
        }
    }
    return true;
}

/* ---- features, memory ---------------------------------------------------------------------------------- */

/* VU5: whoever calls it enables rings behind it. */
bool vu_send_features(VhostUser *vu)
{
    uint64_t features = vu->plan_features;

    features |= vu->features & UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES;
    if (vu->log.fd >= 0) {
        features |= UINT64_C(1) << VHOST_F_LOG_ALL;
    }
    return tell_u64(vu, VHOST_USER_SET_FEATURES, features, vu->log.fd >= 0);
}

static bool has_region(const VhostUserMemory *memory, const VhostUserMemRegion *region)
{
    for (unsigned i = 0; memory && i < memory->n; i++) {
        if (!memcmp(&memory->regions[i].wire, region, sizeof(*region))) {
            return true;
        }
    }
    return false;
}

static bool send_region(VhostUser *vu, VhostUserRequest request, const VhostUserMemory *memory,
                        unsigned i)
{
    VhostUserMessage message = vu_message(request, sizeof(VhostUserSingleRegion));

    message.payload.region.region = memory->regions[i].wire;
    /* a region that goes travels with its descriptor, too: back ends look for it, or close it */
    return vu_tell(vu, &message, &memory->regions[i].fd, 1);
}

static bool send_slots(VhostUser *vu, const VhostUserMemory *memory)
{
    for (unsigned i = 0; vu->sent_memory && i < vu->sent_memory->n; i++) {
        if (!has_region(memory, &vu->sent_memory->regions[i].wire) &&
            !send_region(vu, VHOST_USER_REM_MEM_REG, vu->sent_memory, i)) {
            return false;
        }
    }
    for (unsigned i = 0; i < memory->n; i++) {
        if (!has_region(vu->sent_memory, &memory->regions[i].wire) &&
            !send_region(vu, VHOST_USER_ADD_MEM_REG, memory, i)) {
            return false;
        }
    }
    return true;
}

static bool send_table(VhostUser *vu, const VhostUserMemory *memory)
{
    VhostUserMessage message =
        vu_message(VHOST_USER_SET_MEM_TABLE, 8 + memory->n * (uint32_t)sizeof(VhostUserMemRegion));
    int fds[VHOST_USER_MAX_TABLE_REGIONS];

    message.payload.table.n = memory->n;
    for (unsigned i = 0; i < memory->n; i++) {
        message.payload.table.regions[i] = memory->regions[i].wire;
        fds[i] = memory->regions[i].fd;
    }
    return vu_tell(vu, &message, fds, memory->n);
}

bool vu_send_memory(VhostUser *vu, VhostUserMemory *memory)
{
    bool slots = vu_has(vu, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);

    if (vhost_user_memory_equal(vu->sent_memory, memory)) {
        return true;
    }
    if (memory->n > vu->max_slots) {
        return vu_fail(vu, VHOST_USER_REFUSED, "guest memory has %u regions, the back end takes %u",
                       memory->n, vu->max_slots);
    }
    if (!(slots ? send_slots(vu, memory) : send_table(vu, memory))) {
        /* what it has now nobody knows: a table can be sent anew, slots begin with the next connection */
        g_clear_pointer(&vu->sent_memory, vhost_user_memory_unref);
        if (slots) {
            vu_end_connection(vu);
        }
        return false;
    }
    vhost_user_memory_unref(vu->sent_memory);
    vu->sent_memory = vhost_user_memory_ref(memory);
    return true;
}

/* ---- rings --------------------------------------------------------------------------------------------- */

static bool send_state(VhostUser *vu, VhostUserRequest request, unsigned index, uint32_t num)
{
    VhostUserMessage message = vu_message(request, sizeof(VhostUserVringState));

    message.payload.state = (VhostUserVringState){ index, num };
    return vu_send(vu, &message, NULL, 0);
}

static bool send_fd(VhostUser *vu, VhostUserRequest request, unsigned index, int fd)
{
    VhostUserMessage message = vu_message(request, 8);

    message.payload.u64 = index | (fd < 0 ? VHOST_USER_VRING_NO_FD : 0);
    return vu_send(vu, &message, &fd, fd < 0 ? 0 : 1);
}

static bool send_address(VhostUser *vu, const VuRing *ring)
{
    const VhostUserRing *r = &ring->ring;
    VhostUserMessage message = vu_message(VHOST_USER_SET_VRING_ADDR, sizeof(VhostUserVringAddr));
    VhostUserVringAddr *a = &message.payload.addr;

    *a = (VhostUserVringAddr){
        .index = r->index,
        .flags = vu->log.fd >= 0 ? VHOST_USER_VRING_F_LOG : 0,
        .descriptor = vhost_user_memory_translate(vu->memory, r->desc, r->desc_bytes),
        .available = vhost_user_memory_translate(vu->memory, r->avail, r->avail_bytes),
        .used = vhost_user_memory_translate(vu->memory, r->used, r->used_bytes),
        .log = r->used,
    };
    if (!a->descriptor || !a->available || !a->used) {
        return vu_fail(vu, VHOST_USER_REFUSED, "ring %u is not in guest memory", r->index);
    }
    return vu_send(vu, &message, NULL, 0);
}

/* Takes back what was signalled: a back end that saw it before the ring is enabled might drop requests. The kick behind
 * the enable stands for all of it. */
static void drain_kick(const VuRing *ring)
{
    struct pollfd p = { ring->ring.kick_fd, POLLIN, 0 };
    eventfd_t n;

    if (p.fd >= 0 && poll(&p, 1, 0) == 1 && eventfd_read(p.fd, &n) < 0) {
        error_report("cannot read the kick of ring %u: %s", ring->ring.index, g_strerror(errno));
    }
}

static bool give_kick(VhostUser *vu, const VuRing *ring)
{
    return send_fd(vu, VHOST_USER_SET_VRING_KICK, ring->ring.index, ring->ring.kick_fd);
}

/*
 * A guest that waits for its access cannot kick meanwhile, but one whose back end comes back runs on (loose): its kick would meet
 * a ring that is not enabled yet. The back end gets the eventfd behind the enable then.
 */
static bool kick_comes_last(const VhostUser *vu, const VuRing *ring, bool loose)
{
    return loose && has_enable(vu) && ring->ring.enable;
}

static bool set_up_ring(VhostUser *vu, VuRing *ring, bool loose)
{
    const VhostUserRing *r = &ring->ring;

    drain_kick(ring);
    ring->served = true;
    ring->set_up = send_state(vu, VHOST_USER_SET_VRING_NUM, r->index, r->num) &&
                   send_state(vu, VHOST_USER_SET_VRING_BASE, r->index, r->base) &&
                   send_address(vu, ring) && send_fd(vu, VHOST_USER_SET_VRING_ERR, r->index, -1) &&
                   send_fd(vu, VHOST_USER_SET_VRING_CALL, r->index, r->call_fd) &&
                   (kick_comes_last(vu, ring, loose) || give_kick(vu, ring));
    return ring->set_up;
}

static void kick(const VuRing *ring)
{
    /* a counter that is full is signalled as well */
    if (ring->ring.kick_fd >= 0 && eventfd_write(ring->ring.kick_fd, 1) < 0 && errno != EAGAIN) {
        error_report("cannot signal the kick of ring %u: %s", ring->ring.index, g_strerror(errno));
    }
}

bool vu_ring_enable(VhostUser *vu, VuRing *ring, bool enable)
{
    VhostUserMessage message = vu_message(VHOST_USER_SET_VRING_ENABLE, sizeof(VhostUserVringState));

    if (!has_enable(vu)) {
        return true; /* rings of a back end without protocol features run from their kick descriptor on */
    }
    message.payload.state = (VhostUserVringState){ ring->ring.index, enable };
    return vu_tell(vu, &message, NULL, 0);
}

bool vu_ring_run(VhostUser *vu, VuRing *ring)
{
    if (!set_up_ring(vu, ring, false) || (ring->ring.enable && !vu_ring_enable(vu, ring, true)) ||
        (!has_enable(vu) && !vu_barrier(vu))) {
        return false;
    }
    kick(ring);
    return true;
}

/*
 * GET_VRING_BASE first: it stops the ring and says where it is. A back end that saw a last kick on a ring that is disabled and
 * not stopped yet might drop what came with it; now the request stays in the ring for whoever goes on.
 */
bool vu_ring_halt(VhostUser *vu, VuRing *ring)
{
    VhostUserMessage message = vu_message(VHOST_USER_GET_VRING_BASE, sizeof(VhostUserVringState)),
                     reply;

    message.payload.state.index = ring->ring.index;
    if (!ring->set_up) {
        return true;
    }
    if (!vu_ask(vu, &message, NULL, 0, &reply, NULL)) {
        return false;
    }
    ring->set_up = false;
    ring->ring.base = reply.payload.state.num;
    g_mutex_lock(&vu->lock);
    ring->stopped_base = true;
    g_mutex_unlock(&vu->lock);
    return !ring->ring.enable || vu_ring_enable(vu, ring, false);
}

/* Where a ring goes on with a back end that does not know it: behind what the guest has got back. */
static bool resume_base(VhostUser *vu, VuRing *ring)
{
    uint64_t used = vhost_user_memory_translate(vu->memory, ring->ring.used, ring->ring.used_bytes);

    if (!ring->served) {
        return true; /* it begins where the device said */
    }
    if (ring->ring.packed) {
        return vu->inflight_fd >= 0 || vu_fail(vu, VHOST_USER_REFUSED,
                                               "ring %u is packed: without the protocol feature "
                                               "INFLIGHT_SHMFD nobody knows where it goes on",
                                               ring->ring.index);
    }
    if (used) {
        ring->ring.base = load_le16((const uint8_t *)(uintptr_t)used + 2);
    }
    return true;
}

void vu_ring_clear(VuRing *ring)
{
    if (ring->planned) {
        if (ring->ring.kick_fd >= 0) {
            close(ring->ring.kick_fd);
        }
        if (ring->ring.call_fd >= 0) {
            close(ring->ring.call_fd);
        }
        ring->planned = false;
    }
    ring->served = false;
}

/* ---- in-flight region ---------------------------------------------------------------------------------- */

void vu_inflight_forget(VhostUser *vu)
{
    if (vu->inflight_fd >= 0) {
        close(vu->inflight_fd);
        vu->inflight_fd = -1;
    }
}

static bool get_inflight(VhostUser *vu)
{
    VhostUserMessage message = vu_message(VHOST_USER_GET_INFLIGHT_FD, sizeof(VhostUserInflight)),
                     reply;
    uint16_t size = 0;
    int fd;

    for (unsigned i = 0; i < vu->nrings; i++) {
        size = vu->rings[i].planned ? MAX(size, vu->rings[i].ring.num) : size;
    }
    message.payload.inflight =
        (VhostUserInflight){ .num_queues = (uint16_t)vu->nrings, .queue_size = size };
    if (!vu_ask(vu, &message, NULL, 0, &reply, &fd)) {
        return false;
    }
    vu->inflight = reply.payload.inflight;
    vu->inflight.num_queues = (uint16_t)vu->nrings;
    vu->inflight.queue_size = size;
    vu->inflight_fd = fd;
    if (vu->inflight.mmap_size > VHOST_USER_INFLIGHT_MAX ||
        vu->inflight.mmap_offset > INT64_MAX / 2) {
        vu_inflight_forget(vu);
        return vu_fail(vu, VHOST_USER_LIED,
                       "the back end's in-flight region has 0x%" PRIx64 " bytes",
                       (uint64_t)reply.payload.inflight.mmap_size);
    }
    return true;
}

static bool send_inflight(VhostUser *vu)
{
    VhostUserMessage message = vu_message(VHOST_USER_SET_INFLIGHT_FD, sizeof(VhostUserInflight));

    if (!vu->use_inflight || !vu_has(vu, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) {
        return true;
    }
    if (vu->inflight_fd < 0 && !get_inflight(vu)) {
        return false;
    }
    message.payload.inflight = vu->inflight;
    return vu->inflight_fd < 0 || vu_tell(vu, &message, &vu->inflight_fd, 1);
}

/* ---- dirty log ----------------------------------------------------------------------------------------- */

static void log_close(VuLog *log)
{
    if (log->fd >= 0) {
        munmap(log->map, log->size);
        close(log->fd);
        log->fd = -1;
    }
}

static bool log_open(VhostUser *vu, VuLog *log, uint64_t size)
{
    log->size = (size + 4095) & ~UINT64_C(4095);
    log->fd = memfd_create("vhost-log", MFD_CLOEXEC);
    if (log->fd < 0 || ftruncate(log->fd, (off_t)log->size) < 0) {
        vu_fail(vu, VHOST_USER_REFUSED, "no memory for the log of dirty pages: %s",
                g_strerror(errno));
    } else {
        log->map = mmap(NULL, log->size, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
        if (log->map != MAP_FAILED) {
            return true;
        }
        vu_fail(vu, VHOST_USER_REFUSED, "cannot map the log of dirty pages: %s", g_strerror(errno));
    }
    if (log->fd >= 0) {
        close(log->fd);
        log->fd = -1;
    }
    return false;
}

static bool log_send(VhostUser *vu, const VuLog *log)
{
    VhostUserMessage message = vu_message(VHOST_USER_SET_LOG_BASE, sizeof(VhostUserLog)), reply;

    message.payload.log = (VhostUserLog){ log->size, 0 };
    return vu_ask(vu, &message, &log->fd, 1, &reply, NULL);
}

/* Bits of a log that is replaced are not lost. */
static void log_merge(VuLog *to, const VuLog *from)
{
    uint64_t *t = to->map, *f = from->map;

    for (uint64_t i = 0; i < MIN(to->size, from->size) / 8; i++) {
        uint64_t bits = __atomic_exchange_n(&f[i], 0, __ATOMIC_SEQ_CST);

        if (bits) {
            __atomic_fetch_or(&t[i], bits, __ATOMIC_SEQ_CST);
        }
    }
}

/* A log that is large enough for the memory, known to the back end. again: also if it was so before. */
static bool log_ensure(VhostUser *vu, bool again)
{
    uint64_t size = vhost_user_memory_log_bytes(vu->memory);
    VuLog log, old = vu->log;

    if (vu->log.fd >= 0 && vu->log.size >= size) {
        g_mutex_lock(&vu->log_lock);
        vhost_user_memory_unref(vu->log_memory);
        vu->log_memory = vhost_user_memory_ref(vu->memory);
        g_mutex_unlock(&vu->log_lock);
        return !again || log_send(vu, &vu->log);
    }
    if (!log_open(vu, &log, size)) {
        return false;
    }
    if (!log_send(vu, &log)) {
        log_close(&log);
        return false;
    }
    g_mutex_lock(&vu->log_lock);
    if (old.fd >= 0) {
        log_merge(&log, &old);
    }
    vu->log = log;
    vhost_user_memory_unref(vu->log_memory);
    vu->log_memory = vhost_user_memory_ref(vu->memory);
    g_mutex_unlock(&vu->log_lock);
    log_close(&old);
    return true;
}

bool vu_log_ensure(VhostUser *vu)
{
    return log_ensure(vu, false);
}

/* The rings that are enabled are so again (VU5), and with the flag of the log in their addresses as it is now. */
bool vu_refresh_rings(VhostUser *vu)
{
    for (unsigned i = 0; i < vu->nrings; i++) {
        if (vu->rings[i].planned && !send_address(vu, &vu->rings[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < vu->nrings; i++) {
        VuRing *ring = &vu->rings[i];

        if (ring->planned && ring->ring.enable) {
            if (!vu_ring_enable(vu, ring, true)) {
                return false;
            }
            kick(ring);
        }
    }
    return has_enable(vu) || vu_barrier(vu);
}

bool vu_log_begin(VhostUser *vu)
{
    if (!vu->planned || vu->state != VU_RUNNING) {
        return true; /* the start will see to it */
    }
    return log_ensure(vu, true) && vu_send_features(vu) && vu_refresh_rings(vu);
}

bool vu_log_end(VhostUser *vu)
{
    VuLog log = vu->log;
    bool ok = true;

    g_mutex_lock(&vu->log_lock);
    vu->log.fd = -1;
    g_clear_pointer(&vu->log_memory, vhost_user_memory_unref);
    g_mutex_unlock(&vu->log_lock);
    if (vu->planned && vu->state == VU_RUNNING) {
        ok = vu_send_features(vu) && vu_barrier(vu) && vu_refresh_rings(vu);
    }
    log_close(&log);
    return ok;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static bool logging(VhostUser *vu)
{
    bool on;

    g_mutex_lock(&vu->log_lock);
    on = vu->logging;
    g_mutex_unlock(&vu->log_lock);
    return on;
}

static bool set_up_rings(VhostUser *vu, bool again)
{
    for (unsigned i = 0; i < vu->nrings; i++) {
        VuRing *ring = &vu->rings[i];

        if (ring->planned && ((again && !resume_base(vu, ring)) || !set_up_ring(vu, ring, again))) {
            return false;
        }
    }
    return true;
}

static bool enable_rings(VhostUser *vu, bool again)
{
    for (unsigned i = 0; i < vu->nrings; i++) {
        VuRing *ring = &vu->rings[i];

        if (ring->planned && ring->ring.enable &&
            (!vu_ring_enable(vu, ring, true) ||
             (kick_comes_last(vu, ring, again) && !give_kick(vu, ring)))) {
            return false;
        }
    }
    return true;
}

static bool say_driver_ok(VhostUser *vu)
{
    return !vu_has(vu, VHOST_USER_PROTOCOL_F_STATUS) ||
           tell_u64(vu, VHOST_USER_SET_STATUS, STATUS_DRIVER_OK, true);
}

static bool send_mtu(VhostUser *vu)
{
    VhostUserMessage message = vu_message(VHOST_USER_NET_SET_MTU, 8);

    message.payload.u64 = vu->mtu;
    return !vu->mtu || !vu_has(vu, VHOST_USER_PROTOCOL_F_MTU) || vu_tell(vu, &message, NULL, 0);
}

bool vu_run_plan(VhostUser *vu, bool again)
{
    /* the log first (VU6): features say LOG_ALL as soon as there is one */
    if ((logging(vu) && !log_ensure(vu, true)) || !vu_send_features(vu) || !send_mtu(vu) ||
        !vu_send_memory(vu, vu->memory) || !send_inflight(vu) || !set_up_rings(vu, again) ||
        !enable_rings(vu, again) || !say_driver_ok(vu)) {
        return false;
    }
    if (!has_enable(vu) && !vu_barrier(vu)) {
        return false;
    }
    for (unsigned i = 0; i < vu->nrings; i++) {
        if (vu->rings[i].planned) {
            kick(&vu->rings[i]);
        }
    }
    return vu_state_event(vu, VU_STARTED) || vu_fail(vu, VHOST_USER_AWAY, "the back end has gone");
}

/* A back end that refuses something about one ring is not left with the others in memory that the guest uses anew. */
bool vu_stop_plan(VhostUser *vu, bool reset)
{
    VhostUserMessage message = vu_message(VHOST_USER_RESET_DEVICE, 0);
    bool ok = true;

    for (unsigned i = 0; i < vu->nrings; i++) {
        ok &= !vu->rings[i].planned || vu_ring_halt(vu, &vu->rings[i]);
    }
    if (reset && vu_has(vu, VHOST_USER_PROTOCOL_F_STATUS)) {
        ok &= tell_u64(vu, VHOST_USER_SET_STATUS, 0, true);
    }
    if (reset && vu_has(vu, VHOST_USER_PROTOCOL_F_RESET_DEVICE)) {
        ok &= vu_tell(vu, &message, NULL, 0);
    }
    if (!ok) {
        return false;
    }
    return vu_state_event(vu, VU_STOPPED) || vu_fail(vu, VHOST_USER_AWAY, "the back end has gone");
}
