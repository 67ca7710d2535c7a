/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user: messages over a chardev, in the session's thread.
 *
 *   state         event     next           why
 *   absent        opened    negotiating    a connection
 *   negotiating   agreed    idle           features are known
 *   idle          started   running        the plan has been acted upon
 *   running       started   running        a part of it again (features, a ring)
 *   running       stopped   idle           bases are known, rings are still
 *   idle          stopped   idle           nothing ran
 *   any           broken    ending         silence, a lie, slots in pieces: we end the connection and wait to see its end
 *   any           closed    absent         the peer has gone
 */
#include "util/osdep.h"

#include <sys/socket.h>
#include <glib-unix.h>

#include "vhost-user-internal.h"
#include "io/channel.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(vhost_user_message)
TRACE_EVENT(vhost_user_state)

#define POLL_US (100 * 1000) /* how soon a wait sees that the program ends */

#define NO 0xff
static const uint8_t next_state[VU_STATES][VU_EVENTS] = {
    /*                  opened          agreed   started     stopped  broken      closed */
    [VU_ABSENT] = { VU_NEGOTIATING, NO, NO, NO, VU_ABSENT, VU_ABSENT },
    [VU_NEGOTIATING] = { NO, VU_IDLE, NO, NO, VU_ENDING, VU_ABSENT },
    [VU_IDLE] = { NO, NO, VU_RUNNING, VU_IDLE, VU_ENDING, VU_ABSENT },
    [VU_RUNNING] = { NO, NO, VU_RUNNING, VU_IDLE, VU_ENDING, VU_ABSENT },
    [VU_ENDING] = { NO, NO, NO, NO, VU_ENDING, VU_ABSENT },
};
static const char *const state_names[VU_STATES] = { "absent", "negotiating", "idle", "running",
                                                    "ending" };

bool vu_state_event(VhostUser *vu, VuEvent event)
{
    uint8_t next = next_state[vu->state][event];

    if (next == NO) {
        return false;
    }
    if (next != vu->state) {
        trace(vhost_user_state, "%s: %s -> %s", vu->name, state_names[vu->state],
              state_names[next]);
    }
    vu->state = next;
    g_mutex_lock(&vu->lock);
    vu->connected = next == VU_IDLE || next == VU_RUNNING;
    g_cond_broadcast(&vu->changed);
    g_mutex_unlock(&vu->lock);
    return true;
}

void vu_end_connection(VhostUser *vu)
{
    vu_state_event(vu, VU_BROKEN);
    chardev_disconnect(vu->fe);
    chardev_accept_input(vu->fe);
}

bool vu_fail(VhostUser *vu, VhostUserFailure failure, const char *fmt, ...)
{
    va_list ap;

    if (vu->failure == VHOST_USER_OK) {
        g_autofree char *text = NULL;

        va_start(ap, fmt);
        text = g_strdup_vprintf(fmt, ap);
        va_end(ap);
        vu->failure = failure;
        error_set(&vu->error, "%s", text);
        if (failure == VHOST_USER_SILENT || failure == VHOST_USER_LIED) {
            g_free(vu->ended_why);
            vu->ended_why = g_steal_pointer(&text);
        }
    }
    if (failure == VHOST_USER_SILENT || failure == VHOST_USER_LIED ||
        failure == VHOST_USER_ENDING) {
        vu_end_connection(vu);
    }
    return false;
}

void vu_trace(VhostUser *vu, char direction, const VhostUserMessage *message, unsigned nfds)
{
    if (trace_wants(vhost_user_message)) {
        g_autofree char *text = vhost_user_describe(message, nfds);

        trace(vhost_user_message, "%s %c %s", vu->name, direction, text);
    }
}

bool vu_has(const VhostUser *vu, VhostUserProtocolFeature feature)
{
    return vu->protocol >> feature & 1;
}

bool vu_interrupted(VhostUser *vu)
{
    bool quit;

    g_mutex_lock(&vu->lock);
    quit = vu->quit;
    g_mutex_unlock(&vu->lock);
    return quit || vm_is_leaving();
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static gboolean time_is_up(gpointer opaque)
{
    return G_SOURCE_CONTINUE;
}

void vu_iterate(VhostUser *vu, gint64 deadline)
{
    gint64 left = CLAMP(deadline - g_get_monotonic_time(), 0, POLL_US);
    GSource *timer = g_timeout_source_new((guint)((left + 999) / 1000));

    g_source_set_callback(timer, time_is_up, NULL, NULL);
    g_source_attach(timer, vu->context);
    g_main_context_iteration(vu->context, TRUE);
    g_source_destroy(timer);
    g_source_unref(timer);
}

/* Whether to go on waiting for what the message is about. */
static bool may_wait(VhostUser *vu, gint64 deadline, uint32_t request)
{
    const char *name = vhost_user_request_name(request);

    if (vu->closed || vu->state == VU_ABSENT || vu->state == VU_ENDING) {
        return vu_fail(vu, VHOST_USER_AWAY, "the back end has gone (at %s)", name);
    }
    if (vu_interrupted(vu)) {
        return vu_fail(vu, VHOST_USER_ENDING, "%s was given up", name);
    }
    if (g_get_monotonic_time() >= deadline) {
        return vu_fail(vu, VHOST_USER_SILENT, "the back end did not answer %s within %u ms", name,
                       vu_timeout(vu));
    }
    return true;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void write_possible(void *opaque)
{
}

bool vu_send(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds)
{
    gint64 deadline = vu_deadline(vu);
    size_t len = sizeof(message->header) + message->header.size, at = 0;

    vu_trace(vu, '>', message, nfds);
    while (may_wait(vu, deadline, message->header.request)) {
        ssize_t n =
            chardev_write_fds(vu->fe, vhost_user_wire(message) + at, len - at, fds, at ? 0 : nfds);
        GSource *watch;

        if (n < 0) {
            return vu_fail(vu, VHOST_USER_AWAY, "cannot send %s to the back end: %s",
                           vhost_user_request_name(message->header.request), g_strerror((int)-n));
        }
        at += (size_t)n;
        if (at == len) {
            return true;
        }
        watch = chardev_add_write_watch(vu->fe, write_possible, NULL);
        vu_iterate(vu, deadline);
        if (watch) {
            io_watch_clear(&watch);
        }
    }
    return false;
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static size_t can_read(void *opaque)
{
    VhostUser *vu = opaque;

    /* what comes on a connection that we have ended is read and dropped: behind it is its end */
    return vu->state == VU_ENDING ? sizeof(vu->in) : vu->in_need - vu->in_have;
}

static void read_bytes(void *opaque, const uint8_t *buf, size_t len)
{
    VhostUser *vu = opaque;
    bool drop = vu->state == VU_ENDING;
    int fd;

    if (!drop) {
        memcpy(vhost_user_wire(&vu->in) + vu->in_have, buf, len);
        vu->in_have += len;
    }
    while ((fd = chardev_take_fd(vu->fe)) >= 0) {
        if (!drop && vu->in_nfds < VHOST_USER_MAX_FDS) {
            vu->in_fds[vu->in_nfds++] = fd;
        } else {
            close(fd);
        }
    }
}

static void event(void *opaque, ChardevEvent event)
{
    VhostUser *vu = opaque;

    if (event == CHARDEV_EVENT_OPENED) {
        vu->opened = true;
    } else if (event == CHARDEV_EVENT_CLOSED) {
        vu->closed = true;
        vu->opened = false; /* what came before it has gone with it */
    }
}

const ChardevHandlers vu_chardev_handlers = { .can_read = can_read,
                                              .read = read_bytes,
                                              .event = event };

static void drop_fds(VhostUser *vu)
{
    while (vu->in_nfds) {
        close(vu->in_fds[--vu->in_nfds]);
    }
}

/* Reads until the message has `need` bytes. */
static bool receive_up_to(VhostUser *vu, size_t need, gint64 deadline, uint32_t request)
{
    vu->in_need = need;
    chardev_accept_input(vu->fe);
    while (vu->in_have < need) {
        /* what came before the end of the connection counts */
        if (!may_wait(vu, deadline, request)) {
            return false;
        }
        vu_iterate(vu, deadline);
    }
    return true;
}

static bool receive_checked(VhostUser *vu, const VhostUserMessage *request, bool acknowledgement)
{
    gint64 deadline = vu_deadline(vu);
    uint32_t number = request->header.request;
    g_autoptr(GError) error = NULL;

    if (!receive_up_to(vu, sizeof(VhostUserHeader), deadline, number)) {
        return false;
    }
    if (!vhost_user_check_reply(&vu->in.header, number, acknowledgement, &error)) {
        return vu_fail(vu, VHOST_USER_LIED, "%s", error->message);
    }
    if (!receive_up_to(vu, sizeof(VhostUserHeader) + vu->in.header.size, deadline, number)) {
        return false;
    }
    vu_trace(vu, '<', &vu->in, vu->in_nfds);
    if (acknowledgement ? vu->in_nfds > 0
                        : !vhost_user_check_payload(request, &vu->in, vu->in_nfds, &error)) {
        return vu_fail(vu, VHOST_USER_LIED, "%s",
                       error ? error->message : "a descriptor came with an acknowledgement");
    }
    return true;
}

void vu_input_reset(VhostUser *vu)
{
    drop_fds(vu);
    memset(&vu->in, 0, sizeof(vu->in));
    vu->in_have = 0;
    /* a header is always welcome: otherwise nobody would look at the socket, and not see its end */
    vu->in_need = sizeof(VhostUserHeader);
    chardev_accept_input(vu->fe);
}

bool vu_input_quiet(VhostUser *vu)
{
    return vu->in_have == 0 ||
           vu_fail(vu, VHOST_USER_LIED, "the back end sent something that nobody asked for");
}

/* Sends, and one message in: *reply. Its descriptors are in vu->in_fds. */
static bool exchange(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds,
                     bool acknowledgement, VhostUserMessage *reply, int *reply_fd)
{
    bool ok = vu_input_quiet(vu) && vu_send(vu, message, fds, nfds) &&
              receive_checked(vu, message, acknowledgement);

    if (ok) {
        *reply = vu->in;
        if (reply_fd) {
            *reply_fd = vu->in_nfds ? vu->in_fds[--vu->in_nfds] : -1;
        }
    }
    vu_input_reset(vu);
    return ok;
}

/* ---- exchanges ----------------------------------------------------------------------------------------- */

bool vu_ask(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds,
            VhostUserMessage *reply, int *reply_fd)
{
    return exchange(vu, message, fds, nfds, false, reply, reply_fd);
}

bool vu_ask_u64(VhostUser *vu, VhostUserRequest request, uint64_t *value)
{
    VhostUserMessage message = vu_message(request, 0), reply;

    if (!vu_ask(vu, &message, NULL, 0, &reply, NULL)) {
        return false;
    }
    *value = reply.payload.u64;
    return true;
}

bool vu_barrier(VhostUser *vu)
{
    uint64_t features;

    return vu_ask_u64(vu, VHOST_USER_GET_FEATURES, &features);
}

bool vu_tell(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds)
{
    VhostUserMessage reply;

    if (!vu_has(vu, VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
        return vu_send(vu, message, fds, nfds) && vu_barrier(vu);
    }
    message->header.flags |= VHOST_USER_NEED_REPLY;
    if (!exchange(vu, message, fds, nfds, true, &reply, NULL)) {
        return false;
    }
    if (reply.payload.u64) {
        return vu_fail(vu, VHOST_USER_REFUSED, "the back end refused %s (%" PRIu64 ")",
                       vhost_user_request_name(message->header.request), reply.payload.u64);
    }
    return true;
}

/* ---- what the back end asks ---------------------------------------------------------------------------- */

static void config_changed(VhostUser *vu, VuJob *job)
{
    g_mutex_lock(&vu->lock);
    vu->config_told = false;
    g_mutex_unlock(&vu->lock);
    if (vu->ops.config_changed) {
        vu->ops.config_changed(vu->opaque);
    }
}

/* One notice at a time: a back end that says it again and again does not fill our memory. */
static void tell_config_changed(VhostUser *vu)
{
    bool told;

    g_mutex_lock(&vu->lock);
    told = vu->config_told;
    vu->config_told = true;
    g_mutex_unlock(&vu->lock);
    if (!told) {
        VuJob *notice = g_new0(VuJob, 1);

        notice->event = config_changed;
        vu_notice(vu, notice);
    }
}

static void answer_backend(VhostUser *vu, uint64_t value)
{
    VhostUserMessage reply = vu_message(vu->channel_in.header.request, 8);

    reply.header.flags |= VHOST_USER_REPLY;
    reply.payload.u64 = value;
    /* a peer that does not read its answers loses them */
    if (send(vu->channel_fd, vhost_user_wire(&reply), sizeof(reply.header) + 8,
             MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        trace(vhost_user_state, "%s: an answer on the back end's channel was not taken", vu->name);
    }
}

static void take_backend_request(VhostUser *vu)
{
    bool known = vu->channel_in.header.request == VHOST_USER_BACKEND_CONFIG_CHANGE;

    if (known) {
        tell_config_changed(vu);
    }
    if (vu->channel_in.header.flags & VHOST_USER_NEED_REPLY) {
        answer_backend(vu, known ? 0 : 1);
    }
}

/* Reads what goes into the message; descriptors that nobody asked for are closed. Bytes, 0 at the end, -1 later. */
static ssize_t channel_read(VhostUser *vu, size_t need)
{
    struct iovec iov = { vhost_user_wire(&vu->channel_in) + vu->channel_have,
                         need - vu->channel_have };
    char control[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    ssize_t n = recvmsg(vu->channel_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
                close(fd);
            }
        }
    }
    return n;
}

static gboolean channel_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    VhostUser *vu = opaque;
    size_t need = sizeof(VhostUserHeader);
    g_autoptr(GError) error = NULL;
    ssize_t n;

    if (vu->channel_have >= need) {
        need += vu->channel_in.header.size;
    }
    n = channel_read(vu, need);
    if (n == 0) {
        vu_channel_close(vu);
        return G_SOURCE_REMOVE;
    }
    vu->channel_have += n > 0 ? (size_t)n : 0;
    if (vu->channel_have < sizeof(VhostUserHeader)) {
        return G_SOURCE_CONTINUE;
    }
    if (!vhost_user_check_backend_request(&vu->channel_in.header, &error)) {
        error_report("%s: %s; its channel is closed", vu->name, error->message);
        vu_channel_close(vu);
        return G_SOURCE_REMOVE;
    }
    if (vu->channel_have == sizeof(VhostUserHeader) + vu->channel_in.header.size) {
        take_backend_request(vu);
        vu->channel_have = 0;
    }
    return G_SOURCE_CONTINUE;
}

void vu_channel_open(VhostUser *vu, int fd)
{
    vu_channel_close(vu);
    vu->channel_fd = fd;
    vu->channel_have = 0;
    vu->channel_source = g_unix_fd_source_new(fd, G_IO_IN | G_IO_HUP);
    g_source_set_callback(vu->channel_source, (GSourceFunc)(void (*)(void))channel_ready, vu, NULL);
    g_source_attach(vu->channel_source, vu->context);
}

void vu_channel_close(VhostUser *vu)
{
    if (vu->channel_source) {
        g_source_destroy(vu->channel_source);
        g_clear_pointer(&vu->channel_source, g_source_unref);
    }
    if (vu->channel_fd >= 0) {
        close(vu->channel_fd);
        vu->channel_fd = -1;
    }
}
