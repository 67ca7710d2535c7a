/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of fronts: submission, callbacks, cancelling, what a failed request leads to,
 * statistics. F1 to F4 are in block/backend.h.
 *
 *   submitted --> waiting --> running --> over --> done() called, freed
 *        \----------------------^           ^
 *                  cancelled while waiting -/
 *
 * "over" takes a bottom half, so done() never runs inside of submit or cancel, nor in a coroutine.
 */
#include "util/osdep.h"
#include "block/backend.h"

#include "internal.h"
#include "qapi/events-block-core.h"
#include "util/clock.h"
#include "util/error.h"

typedef enum AioKind { AIO_READ, AIO_WRITE, AIO_WRITE_ZEROES, AIO_DISCARD, AIO_FLUSH } AioKind;

struct BlockAio {
    BlockFront *front; /* holds a reference */
    AioKind kind;
    uint64_t offset, bytes;
    IoVec *vec;
    unsigned flags;
    BlockDone *done;
    void *opaque;
    int ret;
    bool waiting, running;
    bool counted; /* in front->in_flight */
    int64_t start_ns;
    GList link; /* in front->waiting */
};

static const BlockStatKind stat_kind[] = {
    [AIO_READ] = BLOCK_STAT_READ,          [AIO_WRITE] = BLOCK_STAT_WRITE,
    [AIO_WRITE_ZEROES] = BLOCK_STAT_WRITE, [AIO_DISCARD] = BLOCK_STAT_UNMAP,
    [AIO_FLUSH] = BLOCK_STAT_FLUSH,
};

/* ---- in coroutines ---- */

static int check_request(BlockFront *front, uint64_t offset, uint64_t bytes, bool writes)
{
    if (!front->root) {
        return -ENOMEDIUM;
    }
    if (writes && front->root->node->read_only) {
        return -EPERM;
    }
    int64_t length = block_node_length(front->root->node);
    if (length < 0) {
        return length;
    }
    return offset <= (uint64_t)length && bytes <= (uint64_t)length - offset ? 0 : -EIO;
}

/* check_request() and a turn by the front's limits. */
static int coroutine_fn begin_request(BlockFront *front, uint64_t offset, uint64_t bytes, bool writes)
{
    int ret = check_request(front, offset, bytes, writes);
    if (ret == 0 && front->throttle) {
        front_throttle(front, bytes, writes);
        ret = check_request(front, offset, bytes, writes);
    }
    return ret;
}

static unsigned fua(const BlockFront *front)
{
    return front->write_cache ? 0 : BLOCK_FUA;
}

int coroutine_fn front_co_read(BlockFront *front, uint64_t offset, uint64_t bytes, IoVec *vec,
                               size_t vec_offset, unsigned flags)
{
    int ret = begin_request(front, offset, bytes, false);
    return ret < 0 ? ret : block_co_read(front->root, offset, bytes, vec, vec_offset, flags);
}

int coroutine_fn front_co_write(BlockFront *front, uint64_t offset, uint64_t bytes, IoVec *vec,
                                size_t vec_offset, unsigned flags)
{
    int ret = begin_request(front, offset, bytes, true);
    return ret < 0
               ? ret
               : block_co_write(front->root, offset, bytes, vec, vec_offset, flags | fua(front));
}

int coroutine_fn front_co_write_zeroes(BlockFront *front, uint64_t offset, uint64_t bytes,
                                       unsigned flags)
{
    int ret = begin_request(front, offset, bytes, true);
    return ret < 0 ? ret : block_co_write_zeroes(front->root, offset, bytes, flags | fua(front));
}

int coroutine_fn front_co_discard(BlockFront *front, uint64_t offset, uint64_t bytes)
{
    int ret = begin_request(front, offset, bytes, true);
    return ret < 0 ? ret : block_co_discard(front->root, offset, bytes);
}

int coroutine_fn front_co_flush(BlockFront *front)
{
    return front->root ? block_co_flush(front->root->node) : -ENOMEDIUM;
}

int coroutine_fn front_co_truncate(BlockFront *front, uint64_t length, bool exact,
                                   PreallocMode prealloc, GError **error)
{
    if (!front->root) {
        error_set(error, "No medium inserted");
        return -ENOMEDIUM;
    }
    return block_co_truncate(front->root, length, exact, prealloc, error);
}

/* ---- submission and completion ---- */

static void account(const BlockAio *aio)
{
    struct FrontStats *st = &aio->front->stats;
    BlockStatKind k = stat_kind[aio->kind];
    st->last_access_ns = clock_get_ns(CLOCK_REALTIME_NS);
    if (aio->ret < 0) {
        st->failed[k]++;
        return;
    }
    st->ops[k]++;
    st->bytes[k] += aio->bytes;
    st->time_ns[k] += st->last_access_ns - aio->start_ns;
}

static void in_flight_down(BlockFront *front)
{
    unsigned left = __atomic_sub_fetch(&front->in_flight, 1, __ATOMIC_SEQ_CST);
    if (left == 0 && front->home) {
        front_became_idle();
    }
}

static void aio_done(void *opaque)
{
    BlockAio *aio = opaque;
    BlockFront *front = aio->front;
    if (aio->running) {
        account(aio);
    }
    bool counted = aio->counted;
    if (counted && !front->home) {
        in_flight_down(front);
        counted = false;
    }
    aio->done(aio->opaque, aio->ret);
    if (counted) {
        in_flight_down(front); /* who waits in another thread takes over what `done` does */
    }
    g_free(aio);
    front_unref(front);
}

static void aio_over(BlockAio *aio, int ret)
{
    aio->ret = ret;
    bh_schedule_oneshot(aio->front->home, aio_done, aio);
}

static void coroutine_fn aio_entry(void *opaque)
{
    BlockAio *aio = opaque;
    BlockFront *front = aio->front;
    int ret = -EINVAL;
    switch (aio->kind) {
    case AIO_READ:
        ret = front_co_read(front, aio->offset, aio->bytes, aio->vec, 0, aio->flags);
        break;
    case AIO_WRITE:
        ret = front_co_write(front, aio->offset, aio->bytes, aio->vec, 0, aio->flags);
        break;
    case AIO_WRITE_ZEROES:
        ret = front_co_write_zeroes(front, aio->offset, aio->bytes, aio->flags);
        break;
    case AIO_DISCARD:
        ret = front_co_discard(front, aio->offset, aio->bytes);
        break;
    case AIO_FLUSH:
        ret = front_co_flush(front);
        break;
    }
    aio_over(aio, ret);
}

static void aio_run(void *opaque)
{
    coroutine_enter(coroutine_create(aio_entry, opaque));
}

/* Counts it before it looks: whoever pauses the front does so before looking at the count. False: it has to wait. */
static bool aio_start(BlockAio *aio)
{
    BlockFront *front = aio->front;
    __atomic_fetch_add(&front->in_flight, 1, __ATOMIC_SEQ_CST);
    if (front_paused(front)) {
        in_flight_down(front);
        return false;
    }
    aio->running = aio->counted = true;
    if (front->home && !front->local) {
        bh_schedule_oneshot(NULL, aio_run, aio);
    } else {
        aio_run(aio);
    }
    return true;
}

static BlockAio *aio_submit(BlockFront *front, AioKind kind, uint64_t offset, uint64_t bytes,
                            IoVec *vec, unsigned flags, BlockDone *done, void *opaque)
{
    BlockAio *aio = g_new(BlockAio, 1);
    *aio = (BlockAio){ .front = front_ref(front),
                       .kind = kind,
                       .offset = offset,
                       .bytes = bytes,
                       .vec = vec,
                       .flags = flags,
                       .done = done,
                       .opaque = opaque,
                       .start_ns = clock_get_ns(CLOCK_REALTIME_NS) };
    aio->link.data = aio;
    if (!aio_start(aio)) {
        aio->waiting = true;
        g_queue_push_tail_link(&front->waiting, &aio->link);
    }
    return aio;
}

static void restart_waiting(BlockFront *front)
{
    while (!front_paused(front) && !g_queue_is_empty(&front->waiting)) {
        BlockAio *aio = g_queue_peek_head(&front->waiting);
        g_queue_unlink(&front->waiting, &aio->link);
        aio->waiting = false;
        if (!aio_start(aio)) {
            aio->waiting = true;
            g_queue_push_head_link(&front->waiting, &aio->link);
            return;
        }
    }
}

static void restart_at_home(void *opaque)
{
    BlockFront *front = opaque;
    restart_waiting(front);
    front_unref(front);
}

void front_restart_waiting(BlockFront *front)
{
    front_ref(front);
    if (front->home) {
        bh_schedule_oneshot(front->home, restart_at_home, front);
    } else {
        restart_at_home(front);
    }
}

BlockAio *front_aio_read(BlockFront *front, uint64_t offset, IoVec *vec, BlockDone *done,
                         void *opaque)
{
    return aio_submit(front, AIO_READ, offset, vec->size, vec, 0, done, opaque);
}

BlockAio *front_aio_write(BlockFront *front, uint64_t offset, IoVec *vec, unsigned flags,
                          BlockDone *done, void *opaque)
{
    return aio_submit(front, AIO_WRITE, offset, vec->size, vec, flags, done, opaque);
}

BlockAio *front_aio_write_zeroes(BlockFront *front, uint64_t offset, uint64_t bytes, unsigned flags,
                                 BlockDone *done, void *opaque)
{
    return aio_submit(front, AIO_WRITE_ZEROES, offset, bytes, NULL, flags, done, opaque);
}

BlockAio *front_aio_discard(BlockFront *front, uint64_t offset, uint64_t bytes, BlockDone *done,
                            void *opaque)
{
    return aio_submit(front, AIO_DISCARD, offset, bytes, NULL, 0, done, opaque);
}

BlockAio *front_aio_flush(BlockFront *front, BlockDone *done, void *opaque)
{
    return aio_submit(front, AIO_FLUSH, 0, 0, NULL, 0, done, opaque);
}

void front_aio_cancel(BlockAio *aio)
{
    if (!aio->waiting) {
        return; /* F2: it has begun; what it did or will do is its result */
    }
    aio->waiting = false;
    g_queue_unlink(&aio->front->waiting, &aio->link);
    aio->counted = true; /* whoever drains has to see the callback done */
    __atomic_fetch_add(&aio->front->in_flight, 1, __ATOMIC_SEQ_CST);
    aio_over(aio, -ECANCELED);
}

void front_cancel_waiting(BlockFront *front)
{
    while (!g_queue_is_empty(&front->waiting)) {
        front_aio_cancel(front->waiting.head->data);
    }
}

/* ---- from outside of coroutines ---- */

typedef struct SyncRequest {
    BlockFront *front;
    AioKind kind;
    uint64_t offset, bytes;
    void *buf;
    unsigned flags;
    bool exact;
    PreallocMode prealloc;
    GError **error;
    int ret;
} SyncRequest;

static void coroutine_fn sync_request(void *opaque)
{
    SyncRequest *r = opaque;
    struct iovec iov = { r->buf, r->bytes };
    IoVec vec = { &iov, 1, 1, r->bytes };
    switch (r->kind) {
    case AIO_READ:
        r->ret = front_co_read(r->front, r->offset, r->bytes, &vec, 0, r->flags);
        break;
    case AIO_WRITE:
        r->ret = front_co_write(r->front, r->offset, r->bytes, &vec, 0, r->flags);
        break;
    case AIO_WRITE_ZEROES:
        r->ret = front_co_write_zeroes(r->front, r->offset, r->bytes, r->flags);
        break;
    case AIO_DISCARD:
        r->ret = front_co_discard(r->front, r->offset, r->bytes);
        break;
    case AIO_FLUSH:
        r->ret = front_co_flush(r->front);
        break;
    }
}

static int run_request(BlockFront *front, AioKind kind, uint64_t offset, uint64_t bytes, void *buf,
                       unsigned flags)
{
    SyncRequest r = {
        .front = front, .kind = kind, .offset = offset, .bytes = bytes, .buf = buf, .flags = flags
    };
    block_hold(); /* X3: before it counts */
    __atomic_fetch_add(&front->in_flight, 1, __ATOMIC_SEQ_CST);
    block_run_sync(sync_request, &r);
    in_flight_down(front);
    block_release();
    return r.ret;
}

int front_read(BlockFront *front, uint64_t offset, uint64_t bytes, void *buf)
{
    return run_request(front, AIO_READ, offset, bytes, buf, 0);
}

int front_write(BlockFront *front, uint64_t offset, uint64_t bytes, const void *buf, unsigned flags)
{
    return run_request(front, AIO_WRITE, offset, bytes, (void *)buf, flags);
}

int front_write_zeroes(BlockFront *front, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return run_request(front, AIO_WRITE_ZEROES, offset, bytes, NULL, flags);
}

int front_discard(BlockFront *front, uint64_t offset, uint64_t bytes)
{
    return run_request(front, AIO_DISCARD, offset, bytes, NULL, 0);
}

int front_flush(BlockFront *front)
{
    return run_request(front, AIO_FLUSH, 0, 0, NULL, 0);
}

static void coroutine_fn sync_truncate(void *opaque)
{
    SyncRequest *r = opaque;
    r->ret = front_co_truncate(r->front, r->offset, r->exact, r->prealloc, r->error);
}

bool front_truncate(BlockFront *front, uint64_t length, bool exact, PreallocMode prealloc,
                    GError **error)
{
    SyncRequest r = {
        .front = front, .offset = length, .exact = exact, .prealloc = prealloc, .error = error
    };
    block_hold();
    __atomic_fetch_add(&front->in_flight, 1, __ATOMIC_SEQ_CST);
    block_run_sync(sync_truncate, &r);
    in_flight_down(front);
    block_release();
    return r.ret == 0;
}

/* ---- errors ---- */

BlockdevOnError front_on_error(const BlockFront *front, bool is_read)
{
    return is_read ? front->rerror : front->werror;
}

BlockErrorAction front_error_action(const BlockFront *front, bool is_read, int err)
{
    switch (front_on_error(front, is_read)) {
    case BLOCKDEV_ON_ERROR_IGNORE:
        return BLOCK_ERROR_ACTION_IGNORE;
    case BLOCKDEV_ON_ERROR_STOP:
        return BLOCK_ERROR_ACTION_STOP;
    case BLOCKDEV_ON_ERROR_AUTO:
        return !is_read && err == ENOSPC ? BLOCK_ERROR_ACTION_STOP : BLOCK_ERROR_ACTION_REPORT;
    case BLOCKDEV_ON_ERROR_ENOSPC:
        return err == ENOSPC ? BLOCK_ERROR_ACTION_STOP : BLOCK_ERROR_ACTION_REPORT;
    default:
        return BLOCK_ERROR_ACTION_REPORT;
    }
}

static void send_error_event(const BlockFront *front, BlockErrorAction action, bool is_read,
                             int err)
{
    qapi_event_send_BLOCK_IO_ERROR(front->has_device && front->conf.path ? front->conf.path : "",
                                   front->name, front->root ? front->root->node->name : NULL,
                                   is_read ? IO_OPERATION_TYPE_READ : IO_OPERATION_TYPE_WRITE,
                                   action, true, err == ENOSPC, g_strerror(err));
}

typedef struct ErrorReport {
    BlockFront *front;
    BlockErrorAction action;
    bool is_read;
    int err;
} ErrorReport;

static void report_error(void *opaque)
{
    ErrorReport *report = opaque;
    front_error_apply(report->front, report->action, report->is_read, report->err);
    front_unref(report->front);
    g_free(report);
}

void front_error_apply(BlockFront *front, BlockErrorAction action, bool is_read, int err)
{
    if (!in_main_thread()) {
        ErrorReport *report = g_new(ErrorReport, 1);
        *report = (ErrorReport){ front_ref(front), action, is_read, err };
        bh_schedule_oneshot(NULL, report_error, report);
        return;
    }
    if (action == BLOCK_ERROR_ACTION_STOP) {
        /* What the user asks after the event has to find these. The stop itself comes later. */
        if (front->iostatus == BLOCK_DEVICE_IO_STATUS_OK) {
            front->iostatus =
                err == ENOSPC ? BLOCK_DEVICE_IO_STATUS_NOSPACE : BLOCK_DEVICE_IO_STATUS_FAILED;
        }
        send_error_event(front, action, is_read, err);
        front_request_stop();
    } else {
        send_error_event(front, action, is_read, err);
    }
}

void front_iostatus_reset_all(void)
{
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        f->iostatus = BLOCK_DEVICE_IO_STATUS_OK;
    }
}

void front_account_invalid(BlockFront *front, BlockStatKind kind)
{
    front->stats.invalid[kind]++;
    front->stats.last_access_ns = clock_get_ns(CLOCK_REALTIME_NS);
}
