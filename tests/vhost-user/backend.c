/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test back end: connections, messages, rules. See the header. */
#include "util/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "backend-internal.h"
#include "util/error.h"

/* ---- memory -------------------------------------------------------------------------------------------- */

static uint8_t *find(Conn *c, uint64_t addr, uint64_t len, bool guest)
{
    uint8_t *p = NULL;

    g_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->nregions && !p; i++) {
        const Region *r = &c->regions[i];
        uint64_t base = guest ? r->wire.guest_address : r->wire.user_address;

        if (addr >= base && addr - base < r->wire.size && len <= r->wire.size - (addr - base)) {
            p = r->map + r->wire.mmap_offset + (addr - base);
        }
    }
    g_mutex_unlock(&c->lock);
    return p;
}

uint8_t *conn_gpa(Conn *c, uint64_t gpa, uint64_t len)
{
    return find(c, gpa, len, true);
}

uint8_t *conn_uva(Conn *c, uint64_t uva)
{
    return find(c, uva, 1, false);
}

void conn_log(Conn *c, uint64_t gpa, uint64_t len)
{
    g_mutex_lock(&c->lock);
    if (c->log && c->features >> VHOST_F_LOG_ALL & 1) {
        for (uint64_t page = gpa / 4096; len && page <= (gpa + len - 1) / 4096; page++) {
            if (page / 8 < c->log_size) {
                __atomic_fetch_or(&c->log[page / 8], 1 << page % 8, __ATOMIC_SEQ_CST);
            }
        }
    }
    g_mutex_unlock(&c->lock);
}

static bool add_region(Conn *c, const VhostUserMemRegion *wire, int fd)
{
    Region r = { .wire = *wire, .map_size = wire->size + wire->mmap_offset };

    if (fd < 0 || c->nregions == MAX_REGIONS) {
        return false;
    }
    r.map = mmap(NULL, r.map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (r.map == MAP_FAILED) {
        return false;
    }
    g_mutex_lock(&c->lock);
    c->regions[c->nregions++] = r;
    g_mutex_unlock(&c->lock);
    return true;
}

static void drop_region(Conn *c, unsigned i)
{
    munmap(c->regions[i].map, c->regions[i].map_size);
    c->regions[i] = c->regions[--c->nregions];
}

static bool remove_region(Conn *c, const VhostUserMemRegion *wire)
{
    for (unsigned i = 0; i < c->nregions; i++) {
        if (c->regions[i].wire.guest_address == wire->guest_address &&
            c->regions[i].wire.size == wire->size) {
            g_mutex_lock(&c->lock);
            drop_region(c, i);
            g_mutex_unlock(&c->lock);
            return true;
        }
    }
    return false;
}

/* Rings stand still while the map changes. */
static void lock_rings(Conn *c, bool on)
{
    for (unsigned i = 0; i < MAX_RINGS; i++) {
        if (on) {
            g_mutex_lock(&c->rings[i].lock);
        } else {
            g_mutex_unlock(&c->rings[i].lock);
        }
    }
}

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

/* ---- what messages ask for ----------------------------------------------------------------------------- */

static Ring *ring_of(Conn *c, uint64_t index)
{
    return &c->rings[index % MAX_RINGS];
}

static bool set_table(Conn *c, VhostUserMessage *m, int *fds, unsigned nfds)
{
    bool ok = m->payload.table.n <= VHOST_USER_MAX_TABLE_REGIONS && m->payload.table.n == nfds;

    lock_rings(c, true);
    g_mutex_lock(&c->lock);
    while (c->nregions) {
        drop_region(c, 0);
    }
    g_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < nfds; i++) {
        ok = add_region(c, &m->payload.table.regions[i], fds[i]) && ok;
        fds[i] = -1;
    }
    lock_rings(c, false);
    return ok;
}

static bool set_log(Conn *c, VhostUserMessage *m, int fd)
{
    g_mutex_lock(&c->lock);
    if (c->log) {
        munmap(c->log, c->log_size);
    }
    c->log_size = m->payload.log.size;
    c->log = mmap(NULL, c->log_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                  (off_t)m->payload.log.offset);
    if (c->log == MAP_FAILED) {
        c->log = NULL;
    }
    g_mutex_unlock(&c->lock);
    return c->log != NULL;
}

static void set_features(Conn *c, uint64_t features)
{
    bool protocol = features >> VHOST_USER_F_PROTOCOL_FEATURES & 1;

    g_mutex_lock(&c->lock);
    c->features = features;
    g_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < MAX_RINGS; i++) {
        Ring *r = &c->rings[i];

        g_mutex_lock(&r->lock);
        r->packed = features >> 34 & 1;
        if (!protocol) {
            r->enabled = true;
        } else if (c->b->o.disable_on_features) {
            r->enabled = false;
        }
        g_mutex_unlock(&r->lock);
    }
}

static void set_kick(Conn *c, VhostUserMessage *m, int fd)
{
    Ring *r = ring_of(c, m->payload.u64 & VHOST_USER_VRING_INDEX_MASK);

    g_mutex_lock(&r->lock);
    if (r->kick_fd >= 0) {
        close(r->kick_fd);
    }
    r->kick_fd = fd;
    r->running = fd >= 0;
    r->resubmitted = false;
    g_mutex_unlock(&r->lock);
    ring_start_thread(r);
}

static void set_call(Conn *c, VhostUserMessage *m, int fd)
{
    Ring *r = ring_of(c, m->payload.u64 & VHOST_USER_VRING_INDEX_MASK);

    g_mutex_lock(&r->lock);
    if (r->call_fd >= 0) {
        close(r->call_fd);
    }
    r->call_fd = fd;
    g_mutex_unlock(&r->lock);
}

static void set_base(Conn *c, const VhostUserVringState *s)
{
    Ring *r = ring_of(c, s->index);

    g_mutex_lock(&r->lock);
    r->last_avail = r->packed ? s->num & 0x7fff : s->num;
    r->avail_wrap = s->num >> 15 & 1;
    r->used_idx = (uint16_t)s->num;
    g_mutex_unlock(&r->lock);
}

/* Touches the used ring again and again for a while. */
static gpointer write_late(gpointer opaque)
{
    Ring *r = opaque;

    for (unsigned i = 0; i < 20000; i++) {
        uint8_t *used = conn_uva(r->conn, r->addr.used);
        bool over;

        g_mutex_lock(&r->lock);
        over = r->quit || r->running;
        g_mutex_unlock(&r->lock);
        if (over) {
            break;
        }
        if (used) {
            used[1] ^= 0x80; /* an unused bit of the flags */
            if (!r->conn->b->o.late_unlogged) {
                conn_log(r->conn, r->addr.log, 4);
            }
        }
        g_usleep(20);
    }
    return NULL;
}

/* Once, when the machine has stopped. */
static gpointer write_page_late(gpointer opaque)
{
    Ring *r = opaque;
    uint8_t *page = conn_gpa(r->conn, r->conn->b->o.late_page, 64);

    g_usleep(5000);
    if (page) {
        memset(page, 0x1a, 64);
    }
    return NULL;
}

/* Stops a ring and says where it is; what is held is answered first. */
static void get_base(Conn *c, VhostUserMessage *m)
{
    Ring *r = ring_of(c, m->payload.state.index);

    if (!c->b->o.keep_held) {
        ring_release_held(r);
    }
    g_mutex_lock(&r->lock);
    r->running = false;
    m->payload.state.num = r->last_avail;
    if (r->packed) {
        uint32_t at = r->last_avail | (uint32_t)r->avail_wrap << 15;

        m->payload.state.num = at | at << 16;
    }
    g_mutex_unlock(&r->lock);
    ring_wake(r);
}

static void get_inflight(Conn *c, VhostUserMessage *m, int *fd)
{
    VhostUserInflight *i = &m->payload.inflight;

    i->mmap_size = ((16 + (uint64_t)i->queue_size * 16 + 63) & ~UINT64_C(63)) * i->num_queues;
    i->mmap_offset = 0;
    *fd = memfd_create("inflight", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(*fd, (off_t)i->mmap_size), ==, 0);
}

static bool set_inflight(Conn *c, VhostUserMessage *m, int fd)
{
    const VhostUserInflight *i = &m->payload.inflight;
    void *map =
        mmap(NULL, i->mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)i->mmap_offset);

    if (map == MAP_FAILED) {
        return false;
    }
    if (c->inflight) {
        munmap(c->inflight, c->inflight_size);
    }
    c->inflight = map;
    c->inflight_size = i->mmap_size;
    c->inflight_num = i->queue_size;
    return true;
}

/* One byte now and then, until nobody reads them any more. */
static gpointer trickle_state(gpointer opaque)
{
    Conn *c = opaque;

    for (unsigned i = 0; i < sizeof(c->b->state) && write(c->state_fd, c->b->state + i, 1) == 1;
         i++) {
        g_usleep(c->b->o.state_delay_ms * 1000);
    }
    close(c->state_fd);
    c->state_fd = -1;
    return NULL;
}

static bool device_state(Conn *c, VhostUserMessage *m, int fd)
{
    Backend *b = c->b;
    bool save = m->payload.device_state.direction == 0, ok = true;

    if (save && !b->o.state_delay_ms) {
        ok = write(fd, b->state, sizeof(b->state)) == sizeof(b->state);
        close(fd);
    } else {
        c->state_fd = fd;
    }
    if (save && b->o.state_delay_ms) {
        c->trickle = g_thread_new("trickle", trickle_state, c);
    }
    m->payload.u64 = VHOST_USER_DEVICE_STATE_NO_FD | !ok;
    m->header.size = 8;
    return ok;
}

static uint64_t check_state(Conn *c)
{
    size_t at = 0;

    if (c->state_fd < 0) {
        return 0;
    }
    while (at < sizeof(c->b->state)) {
        ssize_t n = read(c->state_fd, c->b->state + at, sizeof(c->b->state) - at);

        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    close(c->state_fd);
    c->state_fd = -1;
    return at != sizeof(c->b->state);
}

/* Messages about one ring. Takes the descriptor that it keeps out of fds. */
static void act_on_ring(Conn *c, VhostUserMessage *m, int *fds, int fd)
{
    Backend *b = c->b;
    VhostUserPayload *p = &m->payload;
    Ring *r = ring_of(c, p->state.index);

    switch (m->header.request) {
    case VHOST_USER_SET_VRING_NUM:
        g_mutex_lock(&r->lock);
        r->num = p->state.num;
        g_mutex_unlock(&r->lock);
        break;
    case VHOST_USER_SET_VRING_BASE:
        set_base(c, &p->state);
        break;
    case VHOST_USER_SET_VRING_ADDR:
        g_mutex_lock(&r->lock);
        r->addr = p->addr;
        r->log = p->addr.flags & VHOST_USER_VRING_F_LOG;
        g_mutex_unlock(&r->lock);
        break;
    case VHOST_USER_GET_VRING_BASE:
        get_base(c, m);
        if (b->o.late_writer || b->o.late_unlogged || b->o.late_page) {
            if (r->late) {
                g_thread_join(r->late);
            }
            r->late = g_thread_new("late", b->o.late_page ? write_page_late : write_late, r);
        }
        break;
    case VHOST_USER_SET_VRING_KICK:
        set_kick(c, m, fd);
        fds[0] = -1;
        break;
    case VHOST_USER_SET_VRING_CALL:
        set_call(c, m, fd);
        fds[0] = -1;
        break;
    case VHOST_USER_SET_VRING_ENABLE:
        g_mutex_lock(&r->lock);
        r->enabled = p->state.num;
        g_mutex_unlock(&r->lock);
        break;
    default:
        break;
    }
}

/* Acts. *replies: m is the answer. Returns whether it worked. fds that are kept become -1. */
static bool act(Conn *c, VhostUserMessage *m, int *fds, unsigned nfds, bool *replies, int *reply_fd)
{
    Backend *b = c->b;
    VhostUserPayload *p = &m->payload;
    int fd = nfds ? fds[0] : -1;
    bool ok = true;

    *replies = vhost_user_has_reply(m->header.request);
    switch (m->header.request) {
    case VHOST_USER_GET_FEATURES:
        p->u64 = device_features(&b->o);
        break;
    case VHOST_USER_GET_PROTOCOL_FEATURES:
        p->u64 = b->o.protocol;
        break;
    case VHOST_USER_SET_PROTOCOL_FEATURES:
        c->protocol = p->u64;
        break;
    case VHOST_USER_GET_QUEUE_NUM:
        p->u64 = b->o.queues;
        break;
    case VHOST_USER_GET_MAX_MEM_SLOTS:
        p->u64 = MAX_REGIONS;
        break;
    case VHOST_USER_SET_FEATURES:
        set_features(c, p->u64);
        break;
    case VHOST_USER_SET_MEM_TABLE:
        ok = set_table(c, m, fds, nfds);
        break;
    case VHOST_USER_ADD_MEM_REG:
        ok = add_region(c, &p->region.region, fd);
        fds[0] = -1;
        break;
    case VHOST_USER_REM_MEM_REG:
        lock_rings(c, true);
        ok = remove_region(c, &p->region.region);
        lock_rings(c, false);
        break;
    case VHOST_USER_SET_LOG_BASE:
        ok = set_log(c, m, fd);
        m->header.size = 0;
        break;
    case VHOST_USER_SET_BACKEND_REQ_FD:
        if (c->channel_fd >= 0) {
            close(c->channel_fd);
        }
        c->channel_fd = fd;
        fds[0] = -1;
        break;
    case VHOST_USER_GET_CONFIG:
        device_config(b, p->config.data, MIN(p->config.size, VHOST_USER_MAX_CONFIG));
        break;
    case VHOST_USER_SET_CONFIG:
        ok = device_set_config(b, p->config.offset, p->config.data, p->config.size);
        break;
    case VHOST_USER_GET_INFLIGHT_FD:
        get_inflight(c, m, reply_fd);
        break;
    case VHOST_USER_SET_INFLIGHT_FD:
        ok = set_inflight(c, m, fd);
        break;
    case VHOST_USER_SET_STATUS:
        c->status = (uint8_t)p->u64;
        break;
    case VHOST_USER_GET_STATUS:
        p->u64 = c->status;
        break;
    case VHOST_USER_SET_DEVICE_STATE_FD:
        ok = device_state(c, m, fd);
        fds[0] = -1;
        break;
    case VHOST_USER_CHECK_DEVICE_STATE:
        p->u64 = check_state(c);
        break;
    default:
        act_on_ring(c, m, fds, fd);
        break;
    }
    if (*replies && (m->header.request == VHOST_USER_GET_FEATURES || m->header.size == 0) &&
        m->header.request != VHOST_USER_SET_LOG_BASE) {
        m->header.size = 8;
    }
    return ok;
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
        ok = act(c, m, fds, nfds, &replies, &reply_fd);
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
        drop_region(c, 0);
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
