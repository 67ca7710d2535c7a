/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test back end's data plane: a thread per ring that waits for kicks. Split and packed rings (VIRTIO 1.2, 2.7, 2.8). */
#include "util/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "backend-internal.h"

enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, F_AVAIL = 1 << 7, F_USED = 1 << 15 };

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next; /* packed: id, flags */
} Desc;

static void chain_add(Conn *c, Chain *chain, const Desc *d)
{
    uint8_t *p = conn_gpa(c, d->addr, d->len);

    if (!p) {
        return;
    }
    if (d->flags & F_WRITE) {
        if (chain->nin < G_N_ELEMENTS(chain->in)) {
            chain->in[chain->nin].p = p;
            chain->in[chain->nin].gpa = d->addr;
            chain->in[chain->nin++].len = d->len;
        }
    } else if (chain->nout < G_N_ELEMENTS(chain->out)) {
        chain->out[chain->nout].p = p;
        chain->out[chain->nout].gpa = d->addr;
        chain->out[chain->nout++].len = d->len;
    }
}

/* ---- split --------------------------------------------------------------------------------------------- */

static void split_chain(Ring *r, unsigned head, Chain *chain)
{
    const Desc *table = (const Desc *)conn_uva(r->conn, r->addr.descriptor);
    unsigned n = r->num, at = head;

    chain->nin = chain->nout = 0;
    if (table && table[head % n].flags & F_INDIRECT) {
        Desc d = table[head % n];

        table = (const Desc *)conn_gpa(r->conn, d.addr, d.len);
        n = d.len / sizeof(Desc);
        at = 0;
    }
    for (unsigned i = 0; table && n && i < 1024; i++) {
        Desc d = table[at % n];

        chain_add(r->conn, chain, &d);
        if (!(d.flags & F_NEXT)) {
            break;
        }
        at = d.next;
    }
}

static uint8_t *inflight_entry(Ring *r, unsigned head)
{
    Conn *c = r->conn;
    size_t part = (16 + (size_t)c->inflight_num * 16 + 63) & ~(size_t)63;

    if (!c->inflight || (r->index + 1) * part > c->inflight_size || head >= c->inflight_num) {
        return NULL;
    }
    return c->inflight + r->index * part + 16 + (size_t)head * 16;
}

static void mark_inflight(Ring *r, unsigned head, bool on)
{
    uint8_t *e = inflight_entry(r, head);

    if (e) {
        uint16_t num = (uint16_t)r->conn->inflight_num, version = 1;
        uint8_t *q = e - 16 - (size_t)head * 16;

        memcpy(q + 8, &version, 2);
        memcpy(q + 10, &num, 2);
        __atomic_store_n(e, on, __ATOMIC_SEQ_CST);
    }
}

static void call(Ring *r)
{
    if (r->call_fd >= 0) {
        eventfd_write(r->call_fd, 1);
    }
}

static void split_push(Ring *r, unsigned head, uint32_t len)
{
    uint8_t *used = conn_uva(r->conn, r->addr.used);
    uint32_t elem[2] = { head, len };
    size_t at;

    if (!used) {
        return;
    }
    at = 4 + (size_t)(r->used_idx % r->num) * 8;
    memcpy(used + at, elem, sizeof(elem));
    r->used_idx++;
    __atomic_store_n((uint16_t *)(used + 2), r->used_idx, __ATOMIC_RELEASE);
    mark_inflight(r, head, false);
    if (r->log) {
        conn_log(r->conn, r->addr.log + at, 8);
        conn_log(r->conn, r->addr.log, 4);
    }
    call(r);
}

static void count(Ring *r, bool served)
{
    Backend *b = r->conn->b;

    g_mutex_lock(&b->lock);
    if (served) {
        b->counts.served++;
    } else {
        b->counts.lost++;
    }
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
}

/* Whether this one is taken and kept. */
static bool keep(Ring *r, unsigned head)
{
    Backend *b = r->conn->b;
    bool held = false;

    g_mutex_lock(&b->lock);
    if (b->o.hold > 0) {
        b->o.hold--;
        b->counts.held++;
        held = true;
        g_cond_broadcast(&b->changed);
    }
    g_mutex_unlock(&b->lock);
    if (held) {
        g_array_append_val(r->held, head);
    }
    return held;
}

static void split_serve(Ring *r, unsigned head)
{
    Chain *chain = g_new(Chain, 1);

    split_chain(r, head, chain);
    split_push(r, head, device_serve(r, chain));
    g_free(chain);
    count(r, true);
}

static void split_run(Ring *r, bool enabled)
{
    uint8_t *avail = conn_uva(r->conn, r->addr.available);
    Backend *b = r->conn->b;

    while (avail && r->num) {
        uint16_t idx = __atomic_load_n((uint16_t *)(avail + 2), __ATOMIC_ACQUIRE), head;

        if ((uint16_t)r->last_avail == idx) {
            return;
        }
        if (!enabled && !b->o.discard_requests) {
            return;
        }
        memcpy(&head, avail + 4 + (size_t)(r->last_avail % r->num) * 2, 2);
        r->last_avail = (uint16_t)(r->last_avail + 1);
        if (!enabled) {
            count(r, false);
            continue;
        }
        mark_inflight(r, head, true);
        if (!keep(r, head)) {
            split_serve(r, head);
        }
    }
}

/* What the back end before us had taken and not given back. */
static void resubmit(Ring *r)
{
    for (unsigned head = 0; head < r->num; head++) {
        uint8_t *e = inflight_entry(r, head);

        if (e && *e == 1) {
            r->last_avail = (uint16_t)(r->last_avail + 1);
            split_serve(r, head);
        }
    }
}

/* ---- packed -------------------------------------------------------------------------------------------- */

static bool packed_available(Ring *r, const Desc *d)
{
    uint16_t flags = __atomic_load_n(&((Desc *)d)->next, __ATOMIC_ACQUIRE);

    return !!(flags & F_AVAIL) == r->avail_wrap && !!(flags & F_USED) != r->avail_wrap;
}

static void packed_add(Ring *r, Chain *chain, const Desc *d)
{
    Desc split = { d->addr, d->len, d->next, 0 };

    if (split.flags & F_INDIRECT) {
        const Desc *table = (const Desc *)conn_gpa(r->conn, d->addr, d->len);

        for (unsigned i = 0; table && i < d->len / sizeof(Desc); i++) {
            Desc inner = { table[i].addr, table[i].len, table[i].next, 0 };

            chain_add(r->conn, chain, &inner);
        }
        return;
    }
    chain_add(r->conn, chain, &split);
}

static void packed_run(Ring *r, bool enabled)
{
    Desc *table = (Desc *)conn_uva(r->conn, r->addr.descriptor);
    Chain *chain = g_new(Chain, 1);

    while (table && r->num && enabled && packed_available(r, &table[r->last_avail])) {
        unsigned first = r->last_avail;
        bool wrap = r->avail_wrap, more;
        uint16_t id, flags;
        uint32_t len;

        chain->nin = chain->nout = 0;
        do {
            Desc *d = &table[r->last_avail];

            packed_add(r, chain, d);
            id = d->flags;
            more = d->next & F_NEXT;
            if (++r->last_avail == r->num) {
                r->last_avail = 0;
                r->avail_wrap = !r->avail_wrap;
            }
        } while (more);
        len = device_serve(r, chain);
        table[first].len = len;
        table[first].flags = id;
        flags = (wrap ? F_AVAIL | F_USED : 0) | (len ? F_WRITE : 0);
        __atomic_store_n(&table[first].next, flags, __ATOMIC_RELEASE);
        if (r->log) {
            conn_log(r->conn, r->addr.log + first * sizeof(Desc), sizeof(Desc));
        }
        call(r);
        count(r, true);
    }
    g_free(chain);
}

/* ---- kicks --------------------------------------------------------------------------------------------- */

void ring_run(Ring *r, bool kicked)
{
    Backend *b = r->conn->b;

    if (!r->running || device_keeps(r)) {
        return;
    }
    if (!r->enabled && kicked) {
        g_mutex_lock(&b->lock);
        b->counts.early++;
        g_mutex_unlock(&b->lock);
    }
    if (!r->enabled && !b->o.discard_requests) {
        return;
    }
    if (r->packed) {
        packed_run(r, r->enabled);
        return;
    }
    if (r->enabled && !r->resubmitted) {
        r->resubmitted = true;
        resubmit(r);
    }
    split_run(r, r->enabled);
}

void ring_release_held(Ring *r)
{
    g_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->held->len; i++) {
        split_serve(r, g_array_index(r->held, unsigned, i));
    }
    g_array_set_size(r->held, 0);
    g_mutex_unlock(&r->lock);
}

static gpointer ring_thread(gpointer opaque)
{
    Ring *r = opaque;

    for (;;) {
        struct pollfd p[2] = { { r->wake[0], POLLIN, 0 }, { -1, POLLIN, 0 } };
        bool kicked = false, quit;
        eventfd_t n;
        char c;

        g_mutex_lock(&r->lock);
        p[1].fd = r->running ? r->kick_fd : -1;
        quit = r->quit;
        g_mutex_unlock(&r->lock);
        if (quit) {
            return NULL;
        }
        if (poll(p, 2, -1) < 0) {
            continue;
        }
        if (p[1].revents && r->conn->b->o.data_delay_ms) {
            g_usleep(r->conn->b->o.data_delay_ms * 1000);
        }
        if (p[0].revents && read(r->wake[0], &c, 1) < 0) {
            continue;
        }
        g_mutex_lock(&r->lock);
        if (p[1].revents && r->kick_fd >= 0 && p[1].fd == r->kick_fd) {
            struct pollfd again = { r->kick_fd, POLLIN, 0 };

            kicked = poll(&again, 1, 0) == 1 && eventfd_read(r->kick_fd, &n) == 0;
        }
        /* without a kick nothing is looked at, as real ones do */
        if (kicked) {
            ring_run(r, true);
        }
        g_mutex_unlock(&r->lock);
    }
}

void ring_init(Ring *r, Conn *c, unsigned index)
{
    r->conn = c;
    r->index = index;
    r->kick_fd = r->call_fd = r->wake[0] = r->wake[1] = -1;
    g_mutex_init(&r->lock);
    r->held = g_array_new(FALSE, FALSE, sizeof(unsigned));
}

void ring_start_thread(Ring *r)
{
    if (!r->thread) {
        g_assert_cmpint(pipe(r->wake), ==, 0);
        r->thread = g_thread_new("ring", ring_thread, r);
    }
    ring_wake(r);
}

void ring_wake(Ring *r)
{
    if (r->wake[1] >= 0) {
        g_assert_cmpint(write(r->wake[1], "", 1), ==, 1);
    }
}

void ring_stop_thread(Ring *r)
{
    if (r->thread) {
        g_mutex_lock(&r->lock);
        r->quit = true;
        g_mutex_unlock(&r->lock);
        ring_wake(r);
        g_thread_join(r->thread);
        close(r->wake[0]);
        close(r->wake[1]);
        r->thread = NULL;
    }
    if (r->late) {
        g_thread_join(r->late);
        r->late = NULL;
    }
    if (r->kick_fd >= 0) {
        close(r->kick_fd);
    }
    if (r->call_fd >= 0) {
        close(r->call_fd);
    }
    r->kick_fd = r->call_fd = -1;
    g_array_unref(r->held);
    g_mutex_clear(&r->lock);
}
