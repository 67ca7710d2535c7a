/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd: an export of an NBD server, fixed newstyle negotiation, with structured replies where the server has
 * them. Options: qapi/block-core.json.
 *
 * N1  One coroutine (receive) reads all replies and completes requests; it ends when the connection does, and
 *     then every request in flight is told so.
 * N2  A request that was told so is sent again on the next connection, if there is one within
 *     reconnect-delay seconds after the loss; else it fails. Requests are idempotent.
 * N3  What a server sends is checked against what was asked: a reply to nothing, data outside of the
 *     request, or too little of it end the connection or fail the request.
 * N4  The first attempt after a loss is made at once; the next ones after pauses that double, also when each of
 *     them succeeds and is lost again. A connection that has lasted (SETTLED_MS, or the pause) ends the series.
 */
#include "util/osdep.h"
#include "nbd.h"

#include "internal.h"
#include "qapi/qapi.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(nbd_client_handshake_success)
TRACE_EVENT(nbd_client_loop_ret)

#define SLOTS 16
#define RECONNECT_PAUSE_MIN_MS 100
#define RECONNECT_PAUSE_MAX_MS 16000
#define SETTLED_MS 1000

typedef struct Slot {
    bool used, done;
    uint64_t cookie;
    Coroutine *co;
    uint16_t command;
    uint64_t offset;
    uint32_t bytes;
    IoVec *vec;
    size_t vec_offset;
    uint64_t covered;              /* bytes of a read that have come */
    int error;                     /* positive */
    bool lost;                     /* N2 */
    uint32_t extent, extent_flags; /* block status: the first one */
} Slot;

typedef struct NbdState {
    BlockNode *node;
    SocketAddress *server;
    char *name;
    uint32_t reconnect_delay;
    NbdExport info;
    IoChannel *ioc; /* NULL: no connection */
    bool receiving;
    bool closing, gone; /* gone: no connection will come */
    Slot slot[SLOTS];
    uint64_t next_cookie;
    CoQueue slot_queue, connect_queue;
    CoMutex send_lock;
    bool reconnecting;
    int64_t connected_ns; /* the last connection */
    unsigned pause_ms;    /* N4: before the next attempt */
    Timer give_up; /* N2 */
    IoConnect *connect;
    IoChannel *negotiating;
    Coroutine *connector;
} NbdState;

/* ---- receiving (N1, N3) ---- */

static Slot *slot_of(NbdState *s, uint64_t cookie)
{
    Slot *slot = &s->slot[cookie % SLOTS];
    return slot->used && !slot->done && slot->cookie == cookie ? slot : NULL;
}

static void slot_done(Slot *slot)
{
    slot->done = true;
    coroutine_schedule(NULL, slot->co);
}

static int coroutine_fn skip(NbdState *s, uint32_t len)
{
    uint8_t buf[4096];
    int ret = 0;
    while (ret == 0 && len) {
        uint32_t n = MIN(len, sizeof(buf));
        ret = nbd_co_read(s->ioc, buf, n);
        len -= n;
    }
    return ret;
}

static int coroutine_fn receive_simple(NbdState *s)
{
    uint8_t head[12];
    int ret = nbd_co_read(s->ioc, head, sizeof(head));
    if (ret < 0) {
        return ret;
    }
    Slot *slot = slot_of(s, load_be64(head + 4));
    if (!slot) {
        return -EPROTO;
    }
    uint32_t error = load_be32(head);
    if (error) {
        slot->error = nbd_errno(error);
    } else if (slot->command == NBD_CMD_READ) {
        if (s->info.structured) {
            return -EPROTO;
        }
        ret = nbd_co_readv(s->ioc, slot->vec, slot->vec_offset, slot->bytes);
        slot->covered = slot->bytes;
    } else if (slot->command == NBD_CMD_BLOCK_STATUS) {
        return -EPROTO;
    }
    if (ret == 0) {
        slot_done(slot);
    }
    return ret;
}

/* A piece of a read; data: it follows, else it is zeros. */
static int coroutine_fn receive_piece(NbdState *s, Slot *slot, uint32_t len, bool data)
{
    uint8_t head[12];
    size_t n = data ? 8 : 12;
    if (slot->command != NBD_CMD_READ || (data ? len <= 8 : len != 12)) {
        return -EPROTO;
    }
    int ret = nbd_co_read(s->ioc, head, n);
    if (ret < 0) {
        return ret;
    }
    uint64_t offset = load_be64(head), bytes = data ? len - 8 : load_be32(head + 8);
    /* No bytes, or more of them than are left, would be pieces without end. */
    if (offset < slot->offset || bytes == 0 || bytes > slot->bytes - slot->covered ||
        offset - slot->offset > slot->bytes - bytes) {
        return -EPROTO;
    }
    size_t at = slot->vec_offset + (offset - slot->offset);
    slot->covered += bytes;
    if (data) {
        return nbd_co_readv(s->ioc, slot->vec, at, bytes);
    }
    iovec_memset(slot->vec, at, 0, bytes);
    return 0;
}

static int coroutine_fn receive_status(NbdState *s, Slot *slot, uint32_t len)
{
    uint8_t head[12];
    if (slot->command != NBD_CMD_BLOCK_STATUS || slot->extent || len < 12 || (len - 4) % 8) {
        return -EPROTO;
    }
    int ret = nbd_co_read(s->ioc, head, sizeof(head));
    if (ret < 0) {
        return ret;
    }
    if (load_be32(head) != s->info.context_id || load_be32(head + 4) == 0) {
        return -EPROTO;
    }
    slot->extent = load_be32(head + 4);
    slot->extent_flags = load_be32(head + 8);
    return skip(s, len - 12);
}

static int coroutine_fn receive_error(NbdState *s, Slot *slot, uint32_t len)
{
    uint8_t head[6];
    if (len < sizeof(head)) {
        return -EPROTO;
    }
    int ret = nbd_co_read(s->ioc, head, sizeof(head));
    if (ret < 0) {
        return ret;
    }
    if (load_be32(head) == 0 || load_be16(head + 4) > len - sizeof(head)) {
        return -EPROTO;
    }
    slot->error = nbd_errno(load_be32(head));
    return skip(s, len - sizeof(head));
}

static int coroutine_fn receive_structured(NbdState *s)
{
    uint8_t head[16];
    int ret = nbd_co_read(s->ioc, head, sizeof(head));
    if (ret < 0) {
        return ret;
    }
    uint16_t flags = load_be16(head), type = load_be16(head + 2);
    uint32_t len = load_be32(head + 12);
    Slot *slot = slot_of(s, load_be64(head + 4));
    if (!slot || !s->info.structured || len > NBD_MAX_BUFFER + 64) {
        return -EPROTO;
    }
    switch (type) {
    case NBD_REPLY_NONE:
        ret = len || !(flags & NBD_REPLY_DONE) ? -EPROTO : 0;
        break;
    case NBD_REPLY_OFFSET_DATA:
        ret = receive_piece(s, slot, len, true);
        break;
    case NBD_REPLY_OFFSET_HOLE:
        ret = receive_piece(s, slot, len, false);
        break;
    case NBD_REPLY_BLOCK_STATUS:
        ret = receive_status(s, slot, len);
        break;
    default:
        ret = type & NBD_REPLY_ERROR ? receive_error(s, slot, len) : -EPROTO;
        break;
    }
    if (ret == 0 && (flags & NBD_REPLY_DONE)) {
        slot_done(slot);
    }
    return ret;
}

static int coroutine_fn receive_one(NbdState *s)
{
    uint8_t magic[4];
    int ret = nbd_co_read(s->ioc, magic, sizeof(magic));
    if (ret < 0) {
        return ret;
    }
    switch (load_be32(magic)) {
    case NBD_SIMPLE_REPLY_MAGIC:
        return receive_simple(s);
    case NBD_STRUCTURED_REPLY_MAGIC:
        return receive_structured(s);
    default:
        return -EPROTO;
    }
}

static void start_reconnect(NbdState *s);

static void coroutine_fn receive_entry(void *opaque)
{
    NbdState *s = opaque;
    int ret = 0;
    while (ret == 0) {
        ret = receive_one(s);
    }
    trace(nbd_client_loop_ret, "%s: %s", s->node->name, g_strerror(-ret));
    if (!s->closing && ret == -EPROTO) {
        warn_report("nbd: %s: the server broke the protocol", s->node->name);
    }
    io_channel_shutdown(s->ioc, IO_SHUTDOWN_BOTH, NULL);
    io_channel_unref(s->ioc);
    s->ioc = NULL;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (s->slot[i].used && !s->slot[i].done) {
            s->slot[i].lost = true;
            slot_done(&s->slot[i]);
        }
    }
    s->receiving = false;
    int64_t lasted_ms = (clock_get_ns(CLOCK_REALTIME_NS) - s->connected_ns) / NS_PER_MS;
    if (lasted_ms >= MAX(s->pause_ms, SETTLED_MS)) {
        s->pause_ms = 0;
    }
    if (!s->closing) {
        start_reconnect(s);
    }
    main_loop_wake();
}

/* ---- connecting ---- */

typedef struct Connecting {
    NbdState *s;
    IoChannel *ioc;
    GError *error;
} Connecting;

static void connected(IoChannel *ioc, const GError *error, void *opaque)
{
    Connecting *c = opaque;
    c->ioc = ioc;
    c->error = error ? g_error_copy(error) : NULL;
    c->s->connect = NULL;
    coroutine_enter(g_steal_pointer(&c->s->connector));
}

/* A negotiated connection in s->ioc, with somebody who receives. */
static bool coroutine_fn connect_once(NbdState *s, NbdExport *info, GError **error)
{
    Connecting c = { .s = s };
    s->connector = coroutine_self();
    s->connect = io_socket_connect_async(s->server, 30000, NULL, connected, &c);
    coroutine_yield();
    if (!c.ioc) {
        if (c.error) {
            g_propagate_error(error, c.error);
        } else {
            error_set(error, "Connecting was cancelled");
        }
        return false;
    }
    io_channel_set_blocking(c.ioc, false, NULL);
    io_channel_set_nodelay(c.ioc, true);
    s->negotiating = c.ioc;
    bool ok = nbd_negotiate(c.ioc, s->name, info, error);
    s->negotiating = NULL;
    if (!ok) {
        io_channel_unref(c.ioc);
        return false;
    }
    trace(nbd_client_handshake_success, "%s: size %" PRIu64 ", flags %#x", s->node->name,
          info->size, info->flags);
    s->ioc = c.ioc;
    s->receiving = true;
    s->connected_ns = clock_get_ns(CLOCK_REALTIME_NS);
    s->info = *info;
    coroutine_enter(coroutine_create(receive_entry, s));
    return true;
}

/* The new server has to be able to do what the old one could. */
static bool same_export(const NbdState *s, const NbdExport *now)
{
    return now->size >= s->info.size && (now->flags & s->info.flags) == s->info.flags &&
           now->min_block <= MAX(s->info.min_block, 1) &&
           (now->base_allocation || !s->info.base_allocation);
}

static void give_up(void *opaque)
{
    NbdState *s = opaque;
    s->gone = true; /* for requests that wait; the search goes on */
    co_queue_restart_all(&s->connect_queue);
}

static void coroutine_fn pause_ms(NbdState *s, unsigned ms)
{
    for (unsigned done = 0; done < ms && !s->closing; done += 50) {
        co_sleep_ns(CLOCK_REALTIME_NS, 50 * NS_PER_MS);
    }
}

static void coroutine_fn reconnect_entry(void *opaque)
{
    NbdState *s = opaque;
    /* The server may have closed a connection before we look at it. */
    while (!s->closing && !s->ioc) {
        NbdExport before = s->info, now;
        g_autoptr(GError) error = NULL;
        pause_ms(s, s->pause_ms);
        if (s->closing) {
            break;
        }
        s->pause_ms = CLAMP(s->pause_ms * 2, RECONNECT_PAUSE_MIN_MS, RECONNECT_PAUSE_MAX_MS);
        if (connect_once(s, &now, &error)) {
            NbdState check = { .info = before };
            if (same_export(&check, &now)) {
                continue;
            }
            warn_report("nbd: %s: the export is another one now", s->node->name);
            s->info = before;
            io_channel_shutdown(s->ioc, IO_SHUTDOWN_BOTH, NULL);
            while (s->receiving) {
                pause_ms(s, 50);
            }
        }
    }
    if (s->ioc) {
        timer_del(&s->give_up);
        s->gone = false;
        co_queue_restart_all(&s->connect_queue);
    }
    s->reconnecting = false;
    main_loop_wake();
}

static void start_reconnect(NbdState *s)
{
    if (s->reconnecting) {
        return;
    }
    s->gone = s->reconnect_delay == 0;
    if (s->reconnect_delay) {
        timer_mod(&s->give_up,
                  clock_get_ns(CLOCK_REALTIME_NS) + (int64_t)s->reconnect_delay * NS_PER_SEC);
    }
    s->reconnecting = true;
    coroutine_enter(coroutine_create(reconnect_entry, s));
}

/* ---- requests ---- */

static Slot *coroutine_fn take_slot(NbdState *s)
{
    for (;;) {
        for (unsigned i = 0; i < SLOTS; i++) {
            if (!s->slot[i].used) {
                s->slot[i] = (Slot){ .used = true,
                                     .cookie = ++s->next_cookie * SLOTS + i,
                                     .co = coroutine_self() };
                return &s->slot[i];
            }
        }
        co_queue_wait(&s->slot_queue);
    }
}

static void release_slot(NbdState *s, Slot *slot)
{
    slot->used = false;
    co_queue_next(&s->slot_queue);
}

static int coroutine_fn send_request(NbdState *s, const Slot *slot, uint16_t flags)
{
    uint8_t head[28];
    store_be32(head, NBD_REQUEST_MAGIC);
    store_be16(head + 4, flags);
    store_be16(head + 6, slot->command);
    store_be64(head + 8, slot->cookie);
    store_be64(head + 16, slot->offset);
    store_be32(head + 24, slot->bytes);
    bool payload = slot->command == NBD_CMD_WRITE;
    IoVec all;
    iovec_init(&all, 1 + (payload ? slot->vec->n : 0));
    iovec_add(&all, head, sizeof(head));
    if (payload) {
        iovec_add_slice(&all, slot->vec, slot->vec_offset, slot->bytes);
    }
    co_mutex_lock(&s->send_lock);
    int ret = -ECONNRESET;
    if (s->ioc && !slot->done) {
        IoChannel *ioc = io_channel_ref(s->ioc);
        ret = nbd_co_writev(ioc, &all, 0, all.size);
        if (ret < 0) {
            io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL); /* the receiver sees it */
        }
        io_channel_unref(ioc);
    }
    co_mutex_unlock(&s->send_lock);
    iovec_destroy(&all);
    return ret;
}

/* 0, -errno; *lost: of no consequence, to be done again. */
static int coroutine_fn request_once(NbdState *s, Slot *r, uint16_t flags, bool *lost)
{
    Slot *slot = take_slot(s);
    slot->command = r->command;
    slot->offset = r->offset;
    slot->bytes = r->bytes;
    slot->vec = r->vec;
    slot->vec_offset = r->vec_offset;
    int ret = send_request(s, slot, flags);
    if (ret < 0 && !s->receiving && !slot->done) {
        slot->done = slot->lost = true; /* it was over before we began */
    } else {
        while (!slot->done) {
            coroutine_yield();
        }
    }
    *lost = slot->lost;
    ret = slot->lost ? -EIO : -slot->error;
    if (ret == 0 && slot->command == NBD_CMD_READ && slot->covered != slot->bytes) {
        ret = -EIO; /* N3 */
    }
    r->extent = slot->extent;
    r->extent_flags = slot->extent_flags;
    release_slot(s, slot);
    return ret;
}

static int coroutine_fn request(BlockNode *node, Slot r, uint16_t flags, Slot *result)
{
    NbdState *s = node->state;
    for (;;) {
        while (!s->ioc && !s->gone && !s->closing) {
            co_queue_wait(&s->connect_queue);
        }
        if (!s->ioc) {
            return -EIO;
        }
        bool lost;
        int ret = request_once(s, &r, flags, &lost);
        if (!lost || s->reconnect_delay == 0) {
            if (result) {
                *result = r;
            }
            return ret;
        }
    }
}

static int coroutine_fn nbd_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                 size_t vec_offset)
{
    NbdState *s = node->state;
    /* A file below may have an end that is no whole block: behind it there are zeros. */
    uint64_t n = offset < s->info.size ? MIN(bytes, s->info.size - offset) : 0;
    iovec_memset(vec, vec_offset + n, 0, bytes - n);
    Slot r = {
        .command = NBD_CMD_READ, .offset = offset, .bytes = n, .vec = vec, .vec_offset = vec_offset
    };
    return n ? request(node, r, 0, NULL) : 0;
}

static int coroutine_fn nbd_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset, unsigned flags)
{
    Slot r = { .command = NBD_CMD_WRITE,
               .offset = offset,
               .bytes = bytes,
               .vec = vec,
               .vec_offset = vec_offset };
    return request(node, r, flags & BLOCK_FUA ? NBD_CMD_FLAG_FUA : 0, NULL);
}

static int coroutine_fn nbd_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         unsigned flags)
{
    NbdState *s = node->state;
    Slot r = { .command = NBD_CMD_WRITE_ZEROES, .offset = offset, .bytes = bytes };
    if (!(s->info.flags & NBD_FLAG_WRITE_ZEROES)) {
        return -ENOTSUP;
    }
    uint16_t f = flags & BLOCK_FUA ? NBD_CMD_FLAG_FUA : 0;
    f |= flags & BLOCK_MAY_UNMAP ? 0 : NBD_CMD_FLAG_NO_HOLE;
    f |= (flags & BLOCK_NO_FALLBACK) && (s->info.flags & NBD_FLAG_FAST_ZERO)
             ? NBD_CMD_FLAG_FAST_ZERO
             : 0;
    return request(node, r, f, NULL);
}

static int coroutine_fn nbd_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    NbdState *s = node->state;
    Slot r = { .command = NBD_CMD_TRIM, .offset = offset, .bytes = bytes };
    return s->info.flags & NBD_FLAG_TRIM ? request(node, r, 0, NULL) : 0;
}

static int coroutine_fn nbd_flush(BlockNode *node)
{
    NbdState *s = node->state;
    Slot r = { .command = NBD_CMD_FLUSH };
    return s->info.flags & NBD_FLAG_FLUSH ? request(node, r, 0, NULL) : 0;
}

static int coroutine_fn nbd_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                         uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                         BlockNode **file)
{
    NbdState *s = node->state;
    *pnum = bytes;
    *map = offset;
    *file = node;
    if (!s->info.base_allocation || offset >= s->info.size) {
        return BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET;
    }
    uint64_t max = MIN(s->info.size - offset, UINT64_C(1) << 30);
    Slot r = { .command = NBD_CMD_BLOCK_STATUS, .offset = offset, .bytes = MIN(bytes, max) },
         result;
    int ret = request(node, r, NBD_CMD_FLAG_REQ_ONE, &result);
    if (ret < 0) {
        return ret;
    }
    if (result.extent == 0) {
        return -EIO;
    }
    /* Extents need not keep to our blocks; less than one of them is told as data. */
    uint64_t n = MIN(result.extent, bytes);
    bool last = offset + n >= s->info.size;
    if (!last && n % node->limits.request_align) {
        n = ROUND_DOWN(n, node->limits.request_align);
    }
    if (n == 0) {
        *pnum = MIN(bytes, node->limits.request_align);
        return BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET;
    }
    *pnum = last ? bytes : n;
    return (result.extent_flags & NBD_STATE_HOLE ? 0 : BLOCK_STATUS_DATA) |
           (result.extent_flags & NBD_STATE_ZERO ? BLOCK_STATUS_ZERO : 0) | BLOCK_STATUS_OFFSET;
}

/* ---- opening and closing ---- */

typedef struct Opening {
    NbdState *s;
    unsigned timeout;
    GError **error;
    bool ok;
} Opening;

static void coroutine_fn open_entry(void *opaque)
{
    Opening *o = opaque;
    int64_t until = clock_get_ns(CLOCK_REALTIME_NS) + (int64_t)o->timeout * NS_PER_SEC;
    for (;;) {
        NbdExport info;
        GError *local = NULL;
        o->ok = connect_once(o->s, &info, &local);
        if (o->ok) {
            return;
        }
        if (clock_get_ns(CLOCK_REALTIME_NS) >= until) {
            g_propagate_error(o->error, local);
            return;
        }
        g_error_free(local);
        pause_ms(o->s, 200);
    }
}

static void nbd_disconnect(NbdState *s)
{
    s->closing = true;
    timer_del(&s->give_up);
    if (s->connect) {
        io_connect_cancel(g_steal_pointer(&s->connect));
        coroutine_enter(g_steal_pointer(&s->connector));
    }
    if (s->negotiating) {
        io_channel_shutdown(s->negotiating, IO_SHUTDOWN_BOTH, NULL);
    }
    if (s->ioc) {
        uint8_t bye[28] = { 0 };
        store_be32(bye, NBD_REQUEST_MAGIC);
        store_be16(bye + 6, NBD_CMD_DISC);
        /* A courtesy: if there is no room for it the end of the connection says the same. */
        io_channel_write(s->ioc, bye, sizeof(bye), NULL);
        io_channel_shutdown(s->ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    MAIN_LOOP_WHILE(s->receiving || s->reconnecting);
}

static void nbd_close(BlockNode *node)
{
    NbdState *s = node->state;
    nbd_disconnect(s);
    qapi_free_SocketAddress(s->server);
    g_free(s->name);
}

/* What the export can do is what the node can do. */
static bool take_flags(BlockNode *node, GError **error)
{
    NbdState *s = node->state;
    if ((s->info.flags & NBD_FLAG_READ_ONLY) && !node->read_only) {
        if (!node->auto_read_only) {
            return error_set_errno(error, EACCES,
                                   "request on write denied without write permission");
        }
        node->read_only = true;
    }
    unsigned fua = s->info.flags & NBD_FLAG_FUA ? BLOCK_FUA : 0;
    node->write_flags = fua;
    if (s->info.flags & NBD_FLAG_WRITE_ZEROES) {
        node->zero_flags = fua | BLOCK_MAY_UNMAP;
        node->zero_flags |= s->info.flags & NBD_FLAG_FAST_ZERO ? BLOCK_NO_FALLBACK : 0;
    }
    return true;
}

static bool nbd_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                     GError **error)
{
    NbdState *s = node->state;
    const BlockdevOptionsNbd *o = &options->u.nbd;
    s->node = node;
    if (o->export && strlen(o->export) > NBD_NAME_MAX) {
        return error_set(error, "export name too long to send to server");
    }
    s->server = qapi_clone_SocketAddress(o->server);
    s->name = g_strdup(o->export ? o->export : "");
    s->reconnect_delay = o->has_reconnect_delay ? o->reconnect_delay : 0;
    co_queue_init(&s->slot_queue);
    co_queue_init(&s->connect_queue);
    co_mutex_init(&s->send_lock);
    timer_init(&s->give_up, CLOCK_REALTIME_NS, give_up, s);
    Opening op = { s, o->has_open_timeout ? o->open_timeout : 0, error, false };
    block_run_sync(open_entry, &op);
    if (op.ok && take_flags(node, error)) {
        return true;
    }
    nbd_close(node);
    return false;
}

static void nbd_refresh_limits(BlockNode *node)
{
    NbdState *s = node->state;
    uint32_t align = MAX(s->info.min_block, 1);
    uint32_t max = s->info.max_block ? MIN(s->info.max_block, NBD_MAX_BUFFER) : NBD_MAX_BUFFER;
    node->limits.request_align = align;
    node->limits.max_transfer = MAX(ROUND_DOWN(max, align), align);
    node->limits.max_iov = IOV_MAX - 1; /* the header is one */
}

static int64_t nbd_length(BlockNode *node)
{
    return ((NbdState *)node->state)->info.size;
}

static int64_t nbd_allocated_size(BlockNode *node)
{
    return -ENOTSUP;
}

static char *nbd_filename(BlockNode *node)
{
    NbdState *s = node->state;
    return s->reconnect_delay ? NULL : nbd_make_filename(s->server, s->name);
}

static int coroutine_fn nbd_truncate(BlockNode *node, uint64_t length, bool exact,
                                     PreallocMode prealloc, GError **error)
{
    NbdState *s = node->state;
    if (exact ? length != s->info.size : length > s->info.size) {
        error_set(error, "Cannot resize NBD nodes");
        return -ENOTSUP;
    }
    return 0;
}

static const BlockDriver nbd_driver = {
    .name = "nbd",
    .kind = BLOCK_PROTOCOL,
    .qapi_driver = BLOCKDEV_DRIVER_NBD,
    .state_size = sizeof(NbdState),
    .protocol = "nbd",
    .parse_filename = nbd_parse_filename,
    .open = nbd_open,
    .close = nbd_close,
    .refresh_limits = nbd_refresh_limits,
    .read = nbd_read,
    .write = nbd_write,
    .write_zeroes = nbd_write_zeroes,
    .discard = nbd_discard,
    .flush = nbd_flush,
    .truncate = nbd_truncate,
    .block_status = nbd_block_status,
    .length = nbd_length,
    .allocated_size = nbd_allocated_size,
    .filename = nbd_filename,
};
BLOCK_DRIVER_REGISTER(nbd_driver)
