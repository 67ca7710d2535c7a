/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test back end: what each message asks for. */
#include "util/osdep.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "backend-internal.h"

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
        conn_drop_region(c, 0);
    }
    g_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < nfds; i++) {
        ok = conn_add_region(c, &m->payload.table.regions[i], fds[i]) && ok;
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
bool conn_act(Conn *c, VhostUserMessage *m, int *fds, unsigned nfds, bool *replies,
              int *reply_fd)
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
        ok = conn_add_region(c, &p->region.region, fd);
        fds[0] = -1;
        break;
    case VHOST_USER_REM_MEM_REG:
        lock_rings(c, true);
        ok = conn_remove_region(c, &p->region.region);
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
