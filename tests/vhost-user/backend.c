/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test back end: connections and the messages on them. See the header. */
#include "util/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "backend-internal.h"
#include "util/error.h"

/* ---- messages ------------------------------------------------------------------------------------------ */

static void trace_line(Backend *b, char direction, const VhostUserMessage *m, unsigned nfds)
{
    g_autofree char *text = vhost_user_describe(m, nfds);

    g_mutex_lock(&b->lock);
    g_string_append_printf(b->trace, "%c %s\n", direction, text);
    if (b->trace_file) {
        fprintf(b->trace_file, "%c %s\n", direction, text);
        fflush(b->trace_file);
    }
    g_mutex_unlock(&b->lock);
}

static bool read_all(int fd, void *buf, size_t len, int *fds, unsigned *nfds)
{
    size_t done = 0;

    while (done < len) {
        struct iovec iov = { (uint8_t *)buf + done, len - done };
        char control[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

        if (n <= 0) {
            return false;
        }
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&msg); h; h = CMSG_NXTHDR(&msg, h)) {
            for (size_t i = 0;
                 h->cmsg_type == SCM_RIGHTS && CMSG_LEN((i + 1) * sizeof(int)) <= h->cmsg_len;
                 i++) {
                memcpy(&fds[(*nfds)++], CMSG_DATA(h) + i * sizeof(int), sizeof(int));
            }
        }
        done += (size_t)n;
    }
    return true;
}

static void send_bytes(int fd, const void *buf, size_t len, int passed)
{
    struct iovec iov = { (void *)buf, len };
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (passed >= 0) {
        struct cmsghdr *h;

        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        h = CMSG_FIRSTHDR(&msg);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &passed, sizeof(int));
    }
    if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0) {
        /* the front end has gone; the reader sees it */
    }
}

/* Whether the reply of that rule is one that a front end must not take. */
static bool is_lie(const VhostUserMessage *m, int fd, const BackendRule *rule)
{
    switch (rule ? rule->action : BACKEND_DELAY) {
    case BACKEND_WRONG_ID:
    case BACKEND_WRONG_FLAGS:
    case BACKEND_HUGE_SIZE:
    case BACKEND_TWICE:
        return true;
    case BACKEND_WRONG_SIZE: /* this one may have any */
        return m->header.request != VHOST_USER_SET_LOG_BASE;
    case BACKEND_WRONG_RING:
        return m->header.request == VHOST_USER_GET_VRING_BASE;
    case BACKEND_EXTRA_FD:
        return fd < 0 && m->header.request != VHOST_USER_SET_DEVICE_STATE_FD &&
               m->header.request != VHOST_USER_GET_INFLIGHT_FD;
    default:
        return false;
    }
}

static void send_reply(Conn *c, VhostUserMessage *m, int fd, const BackendRule *rule)
{
    int extra = -1;

    if (is_lie(m, fd, rule)) {
        backend_fired(c->b);
    }
    m->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
    switch (rule ? rule->action : BACKEND_DELAY) {
    case BACKEND_WRONG_ID:
        m->header.request++;
        break;
    case BACKEND_WRONG_FLAGS:
        m->header.flags = VHOST_USER_VERSION;
        break;
    case BACKEND_WRONG_SIZE:
        m->header.size = 4;
        break;
    case BACKEND_HUGE_SIZE:
        m->header.size = 0x80000000;
        send_bytes(c->fd, vhost_user_wire(m), sizeof(m->header), -1);
        return;
    case BACKEND_WRONG_RING:
        m->payload.state.index++;
        break;
    case BACKEND_EXTRA_FD:
        extra = fd < 0 ? eventfd(0, EFD_CLOEXEC) : fd;
        break;
    default:
        break;
    }
    trace_line(c->b, '<', m, fd >= 0);
    send_bytes(c->fd, vhost_user_wire(m), sizeof(m->header) + m->header.size,
               extra >= 0 ? extra : fd);
    if (rule && rule->action == BACKEND_TWICE) {
        send_bytes(c->fd, vhost_user_wire(m), sizeof(m->header) + m->header.size, -1);
    }
    if (extra >= 0 && extra != fd) {
        close(extra);
    }
}

/* ---- a connection -------------------------------------------------------------------------------------- */

static void backend_die(Backend *b)
{
    if (b->o.process) {
        _exit(9);
    }
    g_mutex_lock(&b->lock);
    if (b->listen_fd >= 0) {
        shutdown(b->listen_fd, SHUT_RDWR);
    }
    unlink(b->path);
    g_mutex_unlock(&b->lock);
}

/* What a rule does before the message is acted upon. False: the connection is over. */
static bool apply_rule(Conn *c, const BackendRule *rule)
{
    if (rule->action <= BACKEND_DIE) {
        backend_fired(c->b);
    }
    switch (rule->action) {
    case BACKEND_DELAY:
        g_usleep(rule->arg * 1000);
        return true;
    case BACKEND_SILENT: {
        struct pollfd p = { c->fd, POLLRDHUP, 0 };

        poll(&p, 1, -1);
        return false;
    }
    case BACKEND_CLOSE:
        return false;
    case BACKEND_DIE:
        backend_die(c->b);
        return false;
    default:
        return true;
    }
}

/* The next message and its descriptors; false: there is none any more. */
static bool read_message(Conn *c, VhostUserMessage *m, int *fds, unsigned *nfds)
{
    return read_all(c->fd, &m->header, sizeof(m->header), fds, nfds) &&
           m->header.size <= sizeof(m->payload) &&
           read_all(c->fd, &m->payload, m->header.size, fds, nfds);
}

static void count_message(Conn *c, uint32_t request)
{
    g_mutex_lock(&c->b->lock);
    c->seen[request]++;
    c->total++;
    c->b->counts.messages++;
    c->b->seen[request]++;
    g_cond_broadcast(&c->b->changed);
    g_mutex_unlock(&c->b->lock);
}

/* Acts, as the rule says if there is one, and answers. False: the connection is over. */
static bool serve_message(Conn *c, VhostUserMessage *m, int *fds, unsigned nfds)
{
    uint32_t request = m->header.request % VHOST_USER_REQUESTS, flags = m->header.flags;
    bool refuse, ok = true, replies = vhost_user_has_reply(request);
    const BackendRule *rule;
    BackendRule found;
    int reply_fd = -1;

    trace_line(c->b, '>', m, nfds);
    count_message(c, request);
    rule = backend_find_rule(c, request, &found);
    if (rule && !apply_rule(c, rule)) {
        return false;
    }
    if (rule && rule->action == BACKEND_IGNORE) {
        return true;
    }
    refuse = rule && rule->action == BACKEND_REFUSE;
    if (!refuse) {
        ok = conn_act(c, m, fds, nfds, &replies, &reply_fd);
    }
    if (!replies && flags & VHOST_USER_NEED_REPLY) {
        m->header.size = 8;
        m->payload.u64 = !ok || refuse;
        replies = true;
    } else if (refuse) {
        m->header.size = request == VHOST_USER_GET_CONFIG ? 0 : 8;
        m->payload.u64 = 1;
    }
    if (replies) {
        send_reply(c, m, reply_fd, rule);
    }
    if (reply_fd >= 0) {
        close(reply_fd);
    }
    if (rule && rule->action == BACKEND_DIE_AFTER) {
        backend_die(c->b);
        return false;
    }
    return true;
}

static bool one_message(Conn *c)
{
    VhostUserMessage m = { 0 };
    int fds[2 * VHOST_USER_MAX_FDS];
    unsigned nfds = 0;
    bool go_on = read_message(c, &m, fds, &nfds) && serve_message(c, &m, fds, nfds);

    for (unsigned i = 0; i < nfds; i++) { /* those that are kept are -1 by now */
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return go_on;
}

static void conn_end(Conn *c)
{
    for (unsigned i = 0; i < MAX_RINGS; i++) {
        ring_stop_thread(&c->rings[i]);
    }
    while (c->nregions) {
        conn_drop_region(c, 0);
    }
    if (c->log) {
        munmap(c->log, c->log_size);
    }
    if (c->inflight) {
        munmap(c->inflight, c->inflight_size);
    }
    if (c->channel_fd >= 0) {
        close(c->channel_fd);
    }
    if (c->trickle) {
        g_thread_join(c->trickle);
    }
    if (c->state_fd >= 0) {
        close(c->state_fd);
    }
}

static gpointer conn_thread(gpointer opaque)
{
    Conn *c = opaque;

    while (one_message(c)) {
    }
    conn_end(c);
    g_mutex_lock(&c->b->lock);
    shutdown(c->fd, SHUT_RDWR);
    c->over = true;
    c->b->counts.open--;
    g_cond_broadcast(&c->b->changed);
    g_mutex_unlock(&c->b->lock);
    return NULL;
}

static void conn_free(gpointer opaque)
{
    Conn *c = opaque;

    g_thread_join(c->thread);
    close(c->fd);
    g_mutex_clear(&c->lock);
    g_free(c);
}

static void conn_new(Backend *b, int fd)
{
    Conn *c = g_new0(Conn, 1);

    c->b = b;
    c->fd = fd;
    c->channel_fd = c->inflight_fd = c->state_fd = -1;
    g_mutex_init(&c->lock);
    for (unsigned i = 0; i < MAX_RINGS; i++) {
        ring_init(&c->rings[i], c, i);
    }
    g_mutex_lock(&b->lock);
    b->counts.connections++;
    b->counts.open++;
    g_ptr_array_add(b->conns, c);
    c->thread = g_thread_new("connection", conn_thread, c);
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
}

/*
 * As with a back end that serves one client: who comes next is served when the ones that have gone are done with. Their rings
 * would take the kicks of the new one's, which has the same eventfds.
 */
static void wait_for_leavers(Backend *b)
{
    g_mutex_lock(&b->lock);
    for (unsigned i = 0; i < b->conns->len; i++) {
        const Conn *c = b->conns->pdata[i];
        struct pollfd p = { c->fd, POLLRDHUP, 0 };

        while (!c->over && poll(&p, 1, 0) > 0) {
            g_cond_wait(&b->changed, &b->lock);
        }
    }
    g_mutex_unlock(&b->lock);
}

static gpointer listen_thread(gpointer opaque)
{
    Backend *b = opaque;
    int fd;

    while ((fd = accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        wait_for_leavers(b);
        conn_new(b, fd);
    }
    return NULL;
}

/* ---- the back end -------------------------------------------------------------------------------------- */

bool backend_listen(Backend *b, GError **error)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    g_strlcpy(addr.sun_path, b->path, sizeof(addr.sun_path));
    unlink(b->path);
    b->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (b->listen_fd < 0 || bind(b->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(b->listen_fd, 8) < 0) {
        return error_set_errno(error, errno, "cannot listen on %s", b->path);
    }
    b->listener = g_thread_new("listener", listen_thread, b);
    return true;
}

Backend *backend_new(const BackendOptions *options, GError **error)
{
    Backend *b = g_new0(Backend, 1);

    b->o = *options;
    b->path = g_strdup(options->path);
    b->o.queues = MAX(1, b->o.queues);
    b->writeback = 1;
    g_mutex_init(&b->lock);
    g_cond_init(&b->changed);
    b->conns = g_ptr_array_new_with_free_func(conn_free);
    b->rules = g_array_new(FALSE, FALSE, sizeof(BackendRule));
    b->trace = g_string_new(NULL);
    b->image = g_malloc0(b->o.image_size + 1);
    for (unsigned i = 0; i < sizeof(b->state); i++) {
        b->state[i] = (uint8_t)(i * 7);
    }
    if (options->trace) {
        b->trace_file = fopen(options->trace, "we");
    }
    if (!backend_listen(b, error)) {
        g_free(b);
        return NULL;
    }
    return b;
}

static void stop_listening(Backend *b)
{
    if (b->listener) {
        shutdown(b->listen_fd, SHUT_RDWR);
        g_thread_join(g_steal_pointer(&b->listener));
        close(b->listen_fd);
        b->listen_fd = -1;
        unlink(b->path);
    }
}

void backend_disconnect(Backend *b, bool gone)
{
    unsigned n;

    if (gone) {
        stop_listening(b);
    }
    g_mutex_lock(&b->lock);
    n = b->conns->len; /* others may come meanwhile */
    for (unsigned i = 0; i < n; i++) {
        Conn *c = b->conns->pdata[i];

        if (!c->over) {
            shutdown(c->fd, SHUT_RDWR);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        while (!((Conn *)b->conns->pdata[i])->over) {
            g_cond_wait(&b->changed, &b->lock);
        }
    }
    g_mutex_unlock(&b->lock);
}

void backend_free(Backend *b)
{
    if (!b) {
        return;
    }
    backend_disconnect(b, true);
    g_ptr_array_unref(b->conns);
    g_array_unref(b->rules);
    g_string_free(b->trace, TRUE);
    if (b->trace_file) {
        fclose(b->trace_file);
    }
    g_free(b->image);
    g_free(b->path);
    g_mutex_clear(&b->lock);
    g_cond_clear(&b->changed);
    g_free(b);
}

void backend_release(Backend *b)
{
    g_mutex_lock(&b->lock);
    b->o.hold = 0;
    for (unsigned i = 0; i < b->conns->len; i++) {
        Conn *c = b->conns->pdata[i];

        if (c->over) {
            continue;
        }
        g_mutex_unlock(&b->lock);
        for (unsigned r = 0; r < MAX_RINGS; r++) {
            ring_release_held(&c->rings[r]);
        }
        g_mutex_lock(&b->lock);
    }
    g_mutex_unlock(&b->lock);
}

unsigned backend_config_changed(Backend *b)
{
    VhostUserMessage m = { .header = { VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_VERSION, 0 } };
    unsigned n = 0;

    g_mutex_lock(&b->lock);
    for (unsigned i = 0; i < b->conns->len; i++) {
        Conn *c = b->conns->pdata[i];

        if (!c->over && c->channel_fd >= 0) {
            send_bytes(c->channel_fd, vhost_user_wire(&m), sizeof(m.header), -1);
            n++;
        }
    }
    g_mutex_unlock(&b->lock);
    return n;
}

void backend_send_raw(Backend *b, const void *data, size_t len)
{
    g_mutex_lock(&b->lock);
    for (unsigned i = 0; i < b->conns->len; i++) {
        Conn *c = b->conns->pdata[i];

        if (!c->over) {
            send_bytes(c->fd, data, len, -1);
        }
    }
    g_mutex_unlock(&b->lock);
}

void backend_get_counts(Backend *b, BackendCounts *counts)
{
    g_mutex_lock(&b->lock);
    *counts = b->counts;
    g_mutex_unlock(&b->lock);
}

unsigned backend_count(Backend *b, uint32_t request)
{
    unsigned n;

    g_mutex_lock(&b->lock);
    n = b->seen[request];
    g_mutex_unlock(&b->lock);
    return n;
}

uint8_t *backend_image(Backend *b)
{
    return b->image;
}

char *backend_trace(Backend *b)
{
    char *text;

    g_mutex_lock(&b->lock);
    text = g_strdup(b->trace->str);
    g_mutex_unlock(&b->lock);
    return text;
}

void backend_clear_trace(Backend *b)
{
    g_mutex_lock(&b->lock);
    g_string_truncate(b->trace, 0);
    g_mutex_unlock(&b->lock);
}
