/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asynchronous system calls for the file driver (block/file-aio.h).
 *
 * threads: a pool (file-pool.c); the thread schedules the coroutine in its context when the call is over.
 * native: io_submit(2); an eventfd in the context tells of completions.
 * io_uring: io_uring(7); the ring itself is polled. A request that is over by the time it is submitted
 * (page cache) goes on at once, without a turn of the main loop.
 *
 * Between block_plug() and block_unplug() native and io_uring only prepare what is asked for; it goes to the kernel with one
 * system call at the end, or when the engine is full.
 *
 * An engine's state belongs to the context in which the coroutine runs; there is one for each that
 * has asked.
 */
#include "util/osdep.h"
#include "file-aio.h"

#include "block/backend.h"

#include <sys/eventfd.h>
#ifdef CONFIG_LINUX_AIO
#include <libaio.h>
#endif
#ifdef CONFIG_LINUX_IO_URING
#include <liburing.h>
#endif
#include <glib-unix.h>
#include "util/error.h"
#include "util/main-loop.h"

#define QUEUE_DEPTH 128

/* ---- threads ---- */

typedef struct RwJob {
    bool write, dsync;
    int fd;
    uint64_t offset;
    const struct iovec *iov;
    unsigned niov;
    ssize_t ret;
} RwJob;

static ssize_t rw_once(const RwJob *j)
{
    if (!j->write) {
        return preadv(j->fd, j->iov, j->niov, j->offset);
    }
    if (!j->dsync) {
        return pwritev(j->fd, j->iov, j->niov, j->offset);
    }
    ssize_t n = pwritev2(j->fd, j->iov, j->niov, j->offset, RWF_DSYNC);
    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        n = pwritev(j->fd, j->iov, j->niov, j->offset);
        if (n >= 0 && fdatasync(j->fd) < 0) {
            n = -1;
        }
    }
    return n;
}

static int rw_work(void *arg)
{
    RwJob *j = arg;
    do {
        j->ret = rw_once(j);
    } while (j->ret < 0 && errno == EINTR);
    if (j->ret < 0) {
        j->ret = -errno;
    }
    return 0;
}

ssize_t coroutine_fn file_write_lane(FileLane *lane, int fd, uint64_t offset,
                                     const struct iovec *iov, unsigned niov)
{
    RwJob job = { true, false, fd, offset, iov, niov, 0 };
    file_lane_run(lane, rw_work, &job);
    return job.ret;
}

ssize_t coroutine_fn file_rw_threads(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                     unsigned niov, bool dsync)
{
    RwJob job = { write, dsync, fd, offset, iov, niov, 0 };
    file_pool_run(rw_work, &job);
    return job.ret;
}

static int sync_work(void *arg)
{
    int ret;
    do {
        ret = fdatasync(*(int *)arg);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

int coroutine_fn file_sync_threads(int fd)
{
    return file_pool_run(sync_work, &fd);
}

/* ---- what native and io_uring have in common ---- */

typedef struct AioWait {
    Coroutine *co;
    ssize_t ret;
    bool done;
    bool waiting; /* has yielded */
    bool refused; /* the kernel did not take it */
} AioWait;

static __thread unsigned plugs; /* block_plug()s of this thread that have not ended */
static __thread unsigned max_batch;

static void native_submit(void);
static void uring_unplugged(void);

void block_plug(void)
{
    plugs++;
}

void block_set_max_batch(unsigned n)
{
    max_batch = n;
}

/* Whether so many prepared requests go to the kernel now. */
static bool batch_full(unsigned n)
{
    return !plugs || (max_batch && n >= max_batch);
}

void block_unplug(void)
{
    g_assert(plugs > 0);
    if (--plugs == 0) {
        native_submit();
        uring_unplugged();
    }
}

/* An engine goes with its thread. */
static GSource *watch_fd(int fd, GMainContext *ctx, GUnixFDSourceFunc func, void *opaque)
{
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(func), opaque, NULL);
    g_source_set_can_recurse(source, TRUE);
    g_source_attach(source, ctx);
    g_source_unref(source);
    return source;
}

#ifdef CONFIG_LINUX_AIO

/* ---- Linux AIO ---- */

typedef struct NativeContext {
    GMainContext *ctx;
    GSource *watch;
    io_context_t aio;
    int event_fd;
    unsigned in_flight; /* prepared ones included */
    struct iocb *prepared[QUEUE_DEPTH];
    unsigned n_prepared;
    CoQueue full;
} NativeContext;

static void native_free(void *opaque)
{
    NativeContext *n = opaque;
    g_source_destroy(n->watch);
    io_destroy(n->aio);
    close(n->event_fd);
    g_free(n);
}

static GPrivate native_key = G_PRIVATE_INIT(native_free);
static __thread NativeContext *native;

static gboolean native_event(gint fd, GIOCondition condition, gpointer opaque)
{
    NativeContext *n = opaque;
    struct io_event events[16];
    struct timespec zero = { 0, 0 };
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 && errno == EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    int got;
    block_plug();
    while ((got = io_getevents(n->aio, 0, G_N_ELEMENTS(events), events, &zero)) > 0) {
        for (int i = 0; i < got; i++) {
            AioWait *w = events[i].data;
            w->ret = (ssize_t)events[i].res;
            n->in_flight--;
            co_queue_next(&n->full);
            coroutine_enter(w->co);
        }
    }
    block_unplug();
    return G_SOURCE_CONTINUE;
}

/* To the kernel with what has been prepared. What it does not take the pool does: too many requests of others, or a file
 * system that cannot. */
static void native_submit(void)
{
    NativeContext *n = native;
    unsigned done = 0;

    while (n && done < n->n_prepared) {
        int ret = io_submit(n->aio, n->n_prepared - done, n->prepared + done);

        if (ret > 0) {
            done += ret;
        } else if (ret != -EINTR) {
            AioWait *w = n->prepared[done++]->data;
            w->refused = true;
            n->in_flight--;
            co_queue_next(&n->full); /* no event will come of it */
            coroutine_schedule(n->ctx, w->co);
        }
    }
    if (n) {
        n->n_prepared = 0;
    }
}

bool file_aio_native_ready(GError **error)
{
    if (native) {
        return true;
    }
    NativeContext *n = g_new0(NativeContext, 1);
    int ret = io_setup(QUEUE_DEPTH, &n->aio);
    if (ret < 0) {
        g_free(n);
        return error_set_errno(error, -ret, "Unable to use native AIO");
    }
    n->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->event_fd < 0) {
        int err = errno;
        io_destroy(n->aio);
        g_free(n);
        return error_set_errno(error, err, "Unable to use native AIO");
    }
    co_queue_init(&n->full);
    n->ctx = context_current();
    n->watch = watch_fd(n->event_fd, n->ctx, native_event, n);
    native = n;
    if (!in_main_thread()) {
        g_private_set(&native_key, n);
    }
    return true;
}

ssize_t coroutine_fn file_rw_native(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                    unsigned niov, bool dsync)
{
    if (!file_aio_native_ready(NULL)) { /* an iothread's first request */
        return file_rw_threads(write, fd, offset, iov, niov, dsync);
    }
    NativeContext *n = native;
    AioWait wait = { .co = coroutine_self() };
    struct iocb cb;
    while (n->in_flight >= QUEUE_DEPTH) {
        native_submit(); /* or nothing would ever end */
        if (n->in_flight >= QUEUE_DEPTH) {
            co_queue_wait(&n->full);
        }
    }
    if (write) {
        io_prep_pwritev(&cb, fd, iov, niov, offset);
        cb.aio_rw_flags = dsync ? RWF_DSYNC : 0;
    } else if (niov == 1) {
        io_prep_pread(&cb, fd, iov->iov_base, iov->iov_len, offset);
    } else {
        io_prep_preadv(&cb, fd, iov, niov, offset);
    }
    io_set_eventfd(&cb, n->event_fd);
    cb.data = &wait;
    n->in_flight++;
    n->prepared[n->n_prepared++] = &cb;
    if (batch_full(n->n_prepared)) {
        native_submit();
    }
    coroutine_yield();
    return wait.refused ? file_rw_threads(write, fd, offset, iov, niov, dsync) : wait.ret;
}

#else

static void native_submit(void)
{
}

bool file_aio_native_ready(GError **error)
{
    return error_set(error, "aio=native was specified, but is not supported in this build.");
}

ssize_t coroutine_fn file_rw_native(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                    unsigned niov, bool dsync)
{
    return -ENOTSUP;
}

#endif

#ifdef CONFIG_LINUX_IO_URING

/* ---- io_uring ---- */

typedef struct UringContext {
    struct io_uring ring;
    GMainContext *ctx;
    GSource *watch;
    LoopPoller poller; /* and its bottom half; in iothreads */
    Bh *poll_bh;
} UringContext;

static void uring_free(void *opaque)
{
    UringContext *u = opaque;
    if (u->poll_bh) {
        loop_poller_remove(&u->poller);
        bh_delete(u->poll_bh);
    }
    g_source_destroy(u->watch);
    io_uring_queue_exit(&u->ring);
    g_free(u);
}

static GPrivate uring_key = G_PRIVATE_INIT(uring_free);
static __thread UringContext *uring;

/* Takes what is over. Those that wait run here (from the main loop) or soon (from another
 * coroutine). */
static void uring_reap(UringContext *u, bool enter)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0 && cqe) {
        AioWait *w = io_uring_cqe_get_data(cqe);
        w->ret = cqe->res;
        w->done = true;
        io_uring_cqe_seen(&u->ring, cqe);
        if (w->waiting && enter) {
            coroutine_enter(w->co);
        } else if (w->waiting) {
            coroutine_schedule(u->ctx, w->co);
        }
    }
}

static void uring_take(void *opaque)
{
    block_plug();
    uring_reap(opaque, true);
    block_unplug();
}

static gboolean uring_event(gint fd, GIOCondition condition, gpointer opaque)
{
    uring_take(opaque);
    return G_SOURCE_CONTINUE;
}

static bool uring_look(LoopPoller *poller)
{
    UringContext *u = (UringContext *)((char *)poller - offsetof(UringContext, poller));
    if (!io_uring_cq_ready(&u->ring)) {
        return false;
    }
    bh_schedule(u->poll_bh);
    return true;
}

/* To the kernel with what has been prepared. */
static void uring_submit(UringContext *u)
{
    while (io_uring_sq_ready(&u->ring)) { /* the kernel may take some of them only */
        int ret = io_uring_submit(&u->ring);
        if (ret >= 0) {
            continue;
        }
        if (ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
            g_error("io_uring_submit: %s", g_strerror(-ret)); /* the ring is ours: a bug */
        }
        uring_reap(u, false);
    }
}

/* Not in a coroutine that one of the requests waits for: those that are over go on here. */
static void uring_unplugged(void)
{
    if (uring && io_uring_sq_ready(&uring->ring)) {
        uring_submit(uring);
        uring_reap(uring, true);
    }
}

bool file_aio_uring_ready(GError **error)
{
    if (uring) {
        return true;
    }
    UringContext *u = g_new0(UringContext, 1);
    int ret = io_uring_queue_init(QUEUE_DEPTH, &u->ring, 0);
    if (ret < 0) {
        g_free(u);
        return error_set_errno(error, -ret, "Unable to use linux io_uring");
    }
    io_uring_ring_dontfork(&u->ring);
    u->ctx = context_current();
    u->watch = watch_fd(u->ring.ring_fd, u->ctx, uring_event, u);
    uring = u;
    if (u->ctx != g_main_context_default()) {
        u->poll_bh = bh_new(u->ctx, "io_uring", uring_take, u);
        u->poller = (LoopPoller){ .look = uring_look };
        loop_poller_add(&u->poller);
    }
    if (!in_main_thread()) {
        g_private_set(&uring_key, u);
    }
    return true;
}

static struct io_uring_sqe *uring_sqe(UringContext *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) {
        uring_submit(u);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static ssize_t coroutine_fn uring_wait(UringContext *u, struct io_uring_sqe *sqe)
{
    AioWait wait = { .co = coroutine_self() };
    io_uring_sqe_set_data(sqe, &wait);
    if (batch_full(io_uring_sq_ready(&u->ring))) {
        uring_submit(u);
        uring_reap(u, false);
    }
    if (!wait.done) {
        wait.waiting = true;
        coroutine_yield();
    }
    return wait.ret;
}

ssize_t coroutine_fn file_rw_uring(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                   unsigned niov, bool dsync)
{
    if (!file_aio_uring_ready(NULL)) { /* an iothread's first request */
        return file_rw_threads(write, fd, offset, iov, niov, dsync);
    }
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (write) {
        io_uring_prep_writev(sqe, fd, iov, niov, offset);
        sqe->rw_flags = dsync ? RWF_DSYNC : 0;
    } else if (niov == 1) { /* the kernel has no vector to copy and look at */
        io_uring_prep_read(sqe, fd, iov->iov_base, MIN(iov->iov_len, UINT_MAX & ~4095u), offset);
    } else {
        io_uring_prep_readv(sqe, fd, iov, niov, offset);
    }
    return uring_wait(uring, sqe);
}

int coroutine_fn file_sync_uring(int fd)
{
    if (!file_aio_uring_ready(NULL)) {
        return file_sync_threads(fd);
    }
    struct io_uring_sqe *sqe = uring_sqe(uring);
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    return uring_wait(uring, sqe);
}

#else

static void uring_unplugged(void)
{
}

bool file_aio_uring_ready(GError **error)
{
    return error_set(error, "aio=io_uring was specified, but is not supported in this build.");
}

ssize_t coroutine_fn file_rw_uring(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                   unsigned niov, bool dsync)
{
    return -ENOTSUP;
}

int coroutine_fn file_sync_uring(int fd)
{
    return -ENOTSUP;
}

#endif
