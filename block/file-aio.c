/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asynchronous system calls for the file driver (block/file-aio.h).
 *
 * threads   a pool; the worker schedules the coroutine in its context when the call is over native
 * io_submit(2); an eventfd in the context tells of completions io_uring  io_uring(7); the ring
 * itself is polled. A request that is over by the time it is submitted (page cache) goes on at
 * once, without a turn of the main loop.
 *
 * An engine's state belongs to the context in which the coroutine runs; there is one for each that
 * has asked.
 */
#include "util/osdep.h"
#include "file-aio.h"

#include <pthread.h>
#include <signal.h>
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

#define POOL_THREADS 64
#define QUEUE_DEPTH 128

/* ---- the pool ---- */

typedef struct PoolJob {
    int (*func)(void *arg);
    void *arg;
    int ret;
    Coroutine *co;
    GMainContext *ctx;
} PoolJob;

static void pool_work(gpointer data, gpointer opaque)
{
    static __thread bool signals_blocked;
    PoolJob *job = data;
    if (!signals_blocked) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);
        signals_blocked = true;
    }
    job->ret = job->func(job->arg);
    coroutine_schedule(job->ctx, job->co);
}

int coroutine_fn file_pool_run(int (*func)(void *arg), void *arg)
{
    static GThreadPool *pool;
    if (g_once_init_enter(&pool)) {
        g_once_init_leave(&pool, g_thread_pool_new(pool_work, NULL, POOL_THREADS, FALSE, NULL));
    }
    PoolJob job = { .func = func, .arg = arg, .co = coroutine_self(), .ctx = context_current() };
    g_thread_pool_push(pool, &job, NULL);
    coroutine_yield();
    return job.ret;
}

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
} AioWait;

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
    io_context_t aio;
    int event_fd;
    unsigned in_flight;
    CoQueue full;
} NativeContext;

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
    while ((got = io_getevents(n->aio, 0, G_N_ELEMENTS(events), events, &zero)) > 0) {
        for (int i = 0; i < got; i++) {
            AioWait *w = events[i].data;
            w->ret = (ssize_t)events[i].res;
            n->in_flight--;
            co_queue_next(&n->full);
            coroutine_enter(w->co);
        }
    }
    return G_SOURCE_CONTINUE;
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
    watch_fd(n->event_fd, n->ctx, native_event, n);
    native = n;
    return true;
}

ssize_t coroutine_fn file_rw_native(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                    unsigned niov, bool dsync)
{
    NativeContext *n = native;
    AioWait wait = { .co = coroutine_self() };
    struct iocb cb, *list = &cb;
    while (n->in_flight >= QUEUE_DEPTH) {
        co_queue_wait(&n->full);
    }
    if (write) {
        io_prep_pwritev(&cb, fd, iov, niov, offset);
        cb.aio_rw_flags = dsync ? RWF_DSYNC : 0;
    } else {
        io_prep_preadv(&cb, fd, iov, niov, offset);
    }
    io_set_eventfd(&cb, n->event_fd);
    cb.data = &wait;
    int ret = io_submit(n->aio, 1, &list);
    if (ret != 1) {
        /* Too many requests of others, or a file system that cannot: the pool can. */
        return file_rw_threads(write, fd, offset, iov, niov, dsync);
    }
    n->in_flight++;
    coroutine_yield();
    return wait.ret;
}

#else

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
} UringContext;

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

static gboolean uring_event(gint fd, GIOCondition condition, gpointer opaque)
{
    uring_reap(opaque, true);
    return G_SOURCE_CONTINUE;
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
    watch_fd(u->ring.ring_fd, u->ctx, uring_event, u);
    uring = u;
    return true;
}

static struct io_uring_sqe *uring_sqe(UringContext *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) { /* cannot be: each is submitted at once */
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static ssize_t coroutine_fn uring_wait(UringContext *u, struct io_uring_sqe *sqe)
{
    AioWait wait = { .co = coroutine_self() };
    io_uring_sqe_set_data(sqe, &wait);
    int ret;
    while ((ret = io_uring_submit(&u->ring)) < 0) {
        if (ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
            g_error("io_uring_submit: %s", g_strerror(-ret)); /* the ring is ours: a bug */
        }
        uring_reap(u, false);
    }
    uring_reap(u, false);
    if (!wait.done) {
        wait.waiting = true;
        coroutine_yield();
    }
    return wait.ret;
}

ssize_t coroutine_fn file_rw_uring(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                   unsigned niov, bool dsync)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (write) {
        io_uring_prep_writev(sqe, fd, iov, niov, offset);
        sqe->rw_flags = dsync ? RWF_DSYNC : 0;
    } else {
        io_uring_prep_readv(sqe, fd, iov, niov, offset);
    }
    return uring_wait(uring, sqe);
}

int coroutine_fn file_sync_uring(int fd)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    return uring_wait(uring, sqe);
}

#else

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
