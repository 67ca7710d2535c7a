/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The generic part of channels: counting, whole-buffer transfers, waiting. See
 * include/io/channel.h. */
#include "util/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "channel-private.h"
#include "io/channel.h"
#include "util/error.h"

/* ---- life ---- */

void *io_channel_alloc(size_t size, const IoChannelOps *ops)
{
    IoChannel *ioc = g_malloc0(size);

    ioc->ops = ops;
    ioc->refs = 1;
    ioc->read_fd = -1;
    ioc->write_fd = -1;
    ioc->wake_fd = -1;
    return ioc;
}

IoChannel *io_channel_ref(IoChannel *ioc)
{
    g_atomic_int_inc(&ioc->refs);
    return ioc;
}

void io_channel_unref(IoChannel *ioc)
{
    if (!ioc || !g_atomic_int_dec_and_test(&ioc->refs)) {
        return;
    }
    io_channel_close(ioc, NULL);
    if (ioc->ops->finalize) {
        ioc->ops->finalize(ioc);
    }
    if (ioc->wake_fd >= 0) {
        close(ioc->wake_fd);
    }
    g_free(ioc->name);
    g_free(ioc);
}

void io_channel_set_name(IoChannel *ioc, const char *name)
{
    g_free(ioc->name);
    ioc->name = g_strdup(name);
}

const char *io_channel_name(const IoChannel *ioc)
{
    return ioc->name ? ioc->name : "channel";
}

bool io_channel_has_feature(const IoChannel *ioc, IoFeature feature)
{
    return (ioc->features & feature) != 0;
}

int io_channel_fd(const IoChannel *ioc)
{
    return ioc->read_fd == ioc->write_fd ? ioc->read_fd : -1;
}

int io_channel_fail(const IoChannel *ioc, int err, const char *text, GError **error)
{
    error_set_errno(error, err, "%s: %s", io_channel_name(ioc), text);
    return -err;
}

/* ---- transfers ---- */

ssize_t io_channel_readv_fds(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                             unsigned *nfds, GError **error)
{
    if (nfds) {
        *nfds = 0;
    }
    if (ioc->closed) {
        return io_channel_fail(ioc, EBADF, "cannot read", error);
    }
    if (niov == 0) {
        return 0;
    }
    return ioc->ops->readv(ioc, iov, MIN(niov, (unsigned)IOV_MAX), fds, nfds, error);
}

ssize_t io_channel_writev_fds(IoChannel *ioc, const struct iovec *iov, unsigned niov,
                              const int *fds, unsigned nfds, GError **error)
{
    if (ioc->closed) {
        return io_channel_fail(ioc, EBADF, "cannot write", error);
    }
    if (nfds && (nfds > IO_MAX_FDS || !io_channel_has_feature(ioc, IO_FEATURE_FD_PASS))) {
        error_set(error, "%s: cannot pass file descriptors", io_channel_name(ioc));
        return -EINVAL;
    }
    if (niov == 0) {
        return 0;
    }
    return ioc->ops->writev(ioc, iov, MIN(niov, (unsigned)IOV_MAX), fds, nfds, error);
}

ssize_t io_channel_readv(IoChannel *ioc, const struct iovec *iov, unsigned niov, GError **error)
{
    return io_channel_readv_fds(ioc, iov, niov, NULL, NULL, error);
}

ssize_t io_channel_writev(IoChannel *ioc, const struct iovec *iov, unsigned niov, GError **error)
{
    return io_channel_writev_fds(ioc, iov, niov, NULL, 0, error);
}

ssize_t io_channel_read(IoChannel *ioc, void *buf, size_t len, GError **error)
{
    struct iovec iov = { buf, len };

    return io_channel_readv(ioc, &iov, 1, error);
}

ssize_t io_channel_write(IoChannel *ioc, const void *buf, size_t len, GError **error)
{
    struct iovec iov = { (void *)buf, len };

    return io_channel_writev(ioc, &iov, 1, error);
}

int io_channel_read_all_eof(IoChannel *ioc, void *buf, size_t len, GError **error)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = io_channel_read(ioc, (char *)buf + done, len - done, error);

        if (n == -EAGAIN) {
            io_channel_wait(ioc, G_IO_IN, -1);
        } else if (n < 0) {
            return (int)n;
        } else if (n == 0 && done == 0) {
            return 0;
        } else if (n == 0) {
            error_set(error, "%s: unexpected end of file", io_channel_name(ioc));
            return -ENODATA;
        } else {
            done += (size_t)n;
        }
    }
    return 1;
}

int io_channel_read_all(IoChannel *ioc, void *buf, size_t len, GError **error)
{
    int r = len ? io_channel_read_all_eof(ioc, buf, len, error) : 1;

    if (r == 0) {
        error_set(error, "%s: unexpected end of file", io_channel_name(ioc));
        return -ENODATA;
    }
    return r < 0 ? r : 0;
}

int io_channel_writev_all(IoChannel *ioc, const struct iovec *iov, unsigned niov, GError **error)
{
    g_autofree struct iovec *copy = g_memdup2(iov, niov * sizeof(*iov));
    struct iovec *v = copy;

    while (niov) {
        ssize_t n;

        if (v->iov_len == 0) {
            v++;
            niov--;
            continue;
        }
        n = io_channel_writev(ioc, v, niov, error);
        if (n == -EAGAIN) {
            io_channel_wait(ioc, G_IO_OUT, -1);
            continue;
        }
        if (n < 0) {
            return (int)n;
        }
        while (niov && (size_t)n >= v->iov_len) {
            n -= (ssize_t)v->iov_len;
            v++;
            niov--;
        }
        if (niov) {
            v->iov_base = (char *)v->iov_base + n;
            v->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int io_channel_write_all(IoChannel *ioc, const void *buf, size_t len, GError **error)
{
    struct iovec iov = { (void *)buf, len };

    return io_channel_writev_all(ioc, &iov, 1, error);
}

static ssize_t not_seekable(IoChannel *ioc, GError **error)
{
    error_set(error, "%s: does not support seeking", io_channel_name(ioc));
    return -ESPIPE;
}

ssize_t io_channel_preadv(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                          GError **error)
{
    if (!io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE)) {
        return not_seekable(ioc, error);
    }
    return ioc->ops->preadv(ioc, iov, MIN(niov, (unsigned)IOV_MAX), offset, error);
}

ssize_t io_channel_pwritev(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                           GError **error)
{
    if (!io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE)) {
        return not_seekable(ioc, error);
    }
    return ioc->ops->pwritev(ioc, iov, MIN(niov, (unsigned)IOV_MAX), offset, error);
}

off_t io_channel_seek(IoChannel *ioc, off_t offset, int whence, GError **error)
{
    if (!io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE)) {
        return not_seekable(ioc, error);
    }
    return ioc->ops->seek(ioc, offset, whence, error);
}

/* ---- control ---- */

bool io_channel_set_blocking(IoChannel *ioc, bool blocking, GError **error)
{
    return !ioc->ops->set_blocking || ioc->ops->set_blocking(ioc, blocking, error);
}

void io_channel_set_patience(IoChannel *ioc, GIOCondition directions)
{
    if (ioc->ops->set_patience) {
        ioc->ops->set_patience(ioc, directions);
    }
}

void io_channel_set_nodelay(IoChannel *ioc, bool enabled)
{
    if (ioc->ops->set_nodelay) {
        ioc->ops->set_nodelay(ioc, enabled);
    }
}

void io_channel_set_send_buffer(IoChannel *ioc, int bytes)
{
    if (ioc->ops->set_send_buffer) {
        ioc->ops->set_send_buffer(ioc, bytes);
    }
}

int io_channel_shutdown(IoChannel *ioc, IoShutdown how, GError **error)
{
    uint64_t one = 1;
    int r;

    g_atomic_int_or((guint *)&ioc->shut, how);
    r = ioc->ops->shutdown ? ioc->ops->shutdown(ioc, how, error) : 0;
    if (ioc->wake_fd >= 0 && write(ioc->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is at its limit: readable already */
    }
    return r;
}

int io_channel_close(IoChannel *ioc, GError **error)
{
    if (ioc->closed) {
        return 0;
    }
    ioc->closed = true;
    return ioc->ops->close(ioc, error);
}

static int poll_fd(IoChannel *ioc, GIOCondition direction)
{
    if (ioc->ops->poll_fd) {
        return ioc->ops->poll_fd(ioc, direction);
    }
    return direction == G_IO_IN ? ioc->read_fd : ioc->write_fd;
}

static bool was_shut(IoChannel *ioc, GIOCondition cond)
{
    int shut = g_atomic_int_get(&ioc->shut);

    return ((cond & G_IO_IN) && (shut & IO_SHUTDOWN_READ)) ||
           ((cond & G_IO_OUT) && (shut & IO_SHUTDOWN_WRITE));
}

int io_channel_wait(IoChannel *ioc, GIOCondition cond, int timeout_ms)
{
    struct pollfd pfd[3];
    nfds_t n = 0;
    int r;

    if (was_shut(ioc, cond)) {
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        GIOCondition direction = i ? G_IO_OUT : G_IO_IN;
        int fd = cond & direction ? poll_fd(ioc, direction) : -1;

        if ((cond & direction) && fd == -1) {
            return 1;
        }
        if (cond & direction) {
            pfd[n++] = (struct pollfd){ fd, i ? POLLOUT : POLLIN, 0 };
        }
    }
    if (ioc->wake_fd >= 0) {
        pfd[n++] = (struct pollfd){ ioc->wake_fd, POLLIN, 0 };
    }
    do {
        r = poll(pfd, n, timeout_ms);
    } while (r < 0 && errno == EINTR);
    return r != 0;
}

/* ---- sources ---- */

typedef struct IoWatch {
    GSource source;
    IoChannel *ioc;
    GIOCondition cond;
    gpointer tag[2]; /* of the polled descriptors; in, out */
    bool always[2];  /* nothing to poll: ready */
} IoWatch;

static GIOCondition watch_state(IoWatch *watch)
{
    GIOCondition state = 0;

    for (int i = 0; i < 2; i++) {
        if (watch->tag[i]) {
            state |= g_source_query_unix_fd(&watch->source, watch->tag[i]);
        }
        if (watch->always[i]) {
            state |= i ? G_IO_OUT : G_IO_IN;
        }
    }
    if (was_shut(watch->ioc, watch->cond)) {
        state |= G_IO_HUP | (watch->cond & G_IO_IN);
    }
    return state & (watch->cond | G_IO_HUP | G_IO_ERR);
}

static gboolean watch_prepare(GSource *source, gint *timeout)
{
    IoWatch *watch = (IoWatch *)source;

    *timeout = -1;
    return ((watch->cond & G_IO_IN) && watch->always[0]) ||
           ((watch->cond & G_IO_OUT) && watch->always[1]);
}

static gboolean watch_check(GSource *source)
{
    return watch_state((IoWatch *)source) != 0;
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    IoWatch *watch = (IoWatch *)source;
    IoWatchFunc *func = (IoWatchFunc *)(void (*)(void))callback;

    return func(watch->ioc, watch_state(watch), opaque);
}

static void watch_finalize(GSource *source)
{
    io_channel_unref(((IoWatch *)source)->ioc);
}

static GSourceFuncs watch_funcs = {
    .prepare = watch_prepare,
    .check = watch_check,
    .dispatch = watch_dispatch,
    .finalize = watch_finalize,
};

GSource *io_channel_new_watch(IoChannel *ioc, GIOCondition cond)
{
    GSource *source = g_source_new(&watch_funcs, sizeof(IoWatch));
    IoWatch *watch = (IoWatch *)source;

    watch->ioc = io_channel_ref(ioc);
    watch->cond = cond;
    for (int i = 0; i < 2; i++) {
        GIOCondition direction = i ? G_IO_OUT : G_IO_IN;
        int fd = cond & direction ? poll_fd(ioc, direction) : -1;

        watch->always[i] = (cond & direction) && fd == -1;
        if (fd >= 0) {
            watch->tag[i] = g_source_add_unix_fd(source, fd, direction | G_IO_HUP | G_IO_ERR);
        }
    }
    if (ioc->wake_fd >= 0) {
        g_source_add_unix_fd(source, ioc->wake_fd, G_IO_IN);
    }
    g_source_set_name(source, io_channel_name(ioc));
    return source;
}

GSource *io_channel_add_watch(IoChannel *ioc, GIOCondition cond, IoWatchFunc *func, void *opaque,
                              GMainContext *ctx)
{
    GSource *source = io_channel_new_watch(ioc, cond);

    g_source_set_callback(source, (GSourceFunc)(void (*)(void))func, opaque, NULL);
    g_source_attach(source, ctx);
    return source;
}

static gboolean end_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    IoWatchFunc *func = (IoWatchFunc *)(void (*)(void))callback;

    return func(((IoWatch *)source)->ioc, G_IO_HUP, opaque);
}

static GSourceFuncs end_funcs = { .dispatch = end_dispatch, .finalize = watch_finalize };

GSource *io_channel_add_end_watch(IoChannel *ioc, IoWatchFunc *func, void *opaque, GMainContext *ctx)
{
    int fd = io_channel_fd(ioc);

    if (fd < 0) {
        return NULL;
    }
    GSource *source = g_source_new(&end_funcs, sizeof(IoWatch));
    ((IoWatch *)source)->ioc = io_channel_ref(ioc);
    g_source_add_unix_fd(source, fd, (GIOCondition)POLLRDHUP | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))func, opaque, NULL);
    g_source_set_name(source, io_channel_name(ioc));
    g_source_attach(source, ctx);
    return source;
}

void io_watch_clear(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_source_unref(*source);
        *source = NULL;
    }
}
