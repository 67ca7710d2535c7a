/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connecting, at once or in the background.
 *
 * A background connection runs in a thread of its own, because resolving a name blocks. The thread
 * and the owner of the handle share it: two references, `cancelled` under the lock.
 */
#include "util/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "io/fds.h"
#include "socket-private.h"
#include "util/error.h"

struct IoConnect {
    int refs; /* atomic */
    SocketAddress *addr;
    unsigned timeout_ms;
    GMainContext *ctx;
    IoConnectFunc *done;
    void *opaque;
    GMutex lock;
    bool cancelled; /* lock */
    int wake_fd;    /* eventfd that ends the thread's wait */
    IoChannel *ioc; /* lock, until it is reported */
    GSource *report; /* lock: waits in ctx */
    GError *error;
};

/* 0 when connected, else -errno. wake_fd -1: none; deadline in monotonic microseconds, 0: none. */
static int finish_connect(int fd, int wake_fd, gint64 deadline)
{
    struct pollfd pfd[2] = { { fd, POLLOUT, 0 }, { wake_fd, POLLIN, 0 } };
    socklen_t len = sizeof(int);
    int err = 0;

    for (;;) {
        gint64 left = deadline ? MAX((deadline - g_get_monotonic_time() + 999) / 1000, 0) : -1;
        int r = poll(pfd, wake_fd >= 0 ? 2 : 1, (int)MIN(left, G_MAXINT));

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return -errno;
        }
        if (r == 0) {
            return -ETIMEDOUT;
        }
        if (wake_fd >= 0 && pfd[1].revents) {
            return -ECANCELED;
        }
        break;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        return -errno;
    }
    return -err;
}

/* A connected descriptor, or -errno. */
static int connect_one(const IoSockaddr *sa, int wake_fd, gint64 deadline)
{
    int fd = socket(sa->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (fd < 0) {
        return -errno;
    }
    /* a unix socket whose backlog is full says EAGAIN: wait as a blocking connect would */
    while ((r = connect(fd, (const struct sockaddr *)&sa->ss, sa->len)) < 0 && errno == EAGAIN &&
           sa->ss.ss_family == AF_UNIX && (!deadline || g_get_monotonic_time() < deadline)) {
        struct pollfd pfd = { wake_fd, POLLIN, 0 };

        if (poll(&pfd, 1, 10) > 0) {
            errno = ECANCELED;
            break;
        }
    }
    r = r < 0 ? -errno : 0;
    if (r == -EINPROGRESS || r == -EINTR) {
        r = finish_connect(fd, wake_fd, deadline);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static IoChannel *connect_to(const SocketAddress *addr, int wake_fd, unsigned timeout_ms,
                             GError **error)
{
    gint64 deadline = timeout_ms ? g_get_monotonic_time() + timeout_ms * (gint64)1000 : 0;
    g_autofree char *name = io_socket_address_brief(addr);
    g_autofree char *full = io_socket_address_format(addr);
    GArray *list;
    IoChannel *ioc;
    int fd = -ENOENT;

    if (addr->type == SOCKET_ADDRESS_TYPE_FD) {
        fd = io_fd_take(addr->u.fd.str, error);
        return fd < 0 ? NULL : io_socket_new_fd(fd, error);
    }
    list = io_sockaddr_resolve(addr, false, error);
    if (!list) {
        return NULL;
    }
    for (guint i = 0; i < list->len && fd < 0 && fd != -ECANCELED; i++) {
        fd = connect_one(&g_array_index(list, IoSockaddr, i), wake_fd, deadline);
    }
    g_array_unref(list);
    if (fd < 0) {
        error_set_errno(error, -fd, "Failed to connect to '%s'", name);
        return NULL;
    }
    io_socket_apply_options(fd, addr);
    ioc = io_socket_new_fd(fd, error);
    io_channel_set_name(ioc, full);
    return ioc;
}

IoChannel *io_socket_connect(const SocketAddress *addr, GError **error)
{
    return connect_to(addr, -1, 0, error);
}

/* ---- in the background ---- */

static void connect_unref(IoConnect *c)
{
    if (!g_atomic_int_dec_and_test(&c->refs)) {
        return;
    }
    qapi_free_SocketAddress(c->addr);
    if (c->ctx) {
        g_main_context_unref(c->ctx);
    }
    io_channel_unref(c->ioc);
    g_clear_error(&c->error);
    close(c->wake_fd);
    g_mutex_clear(&c->lock);
    g_free(c);
}

static gboolean connect_report(gpointer opaque);

/* Under the lock. */
static void report_later(IoConnect *c)
{
    c->report = g_idle_source_new();
    g_source_set_priority(c->report, G_PRIORITY_DEFAULT);
    g_source_set_callback(c->report, connect_report, c, NULL);
    g_source_attach(c->report, c->ctx);
}

static gboolean connect_report(gpointer opaque)
{
    IoConnect *c = opaque;
    IoChannel *ioc;
    bool cancelled;

    g_mutex_lock(&c->lock);
    g_clear_pointer(&c->report, g_source_unref);
    cancelled = c->cancelled;
    ioc = g_steal_pointer(&c->ioc);
    g_mutex_unlock(&c->lock);
    if (!cancelled) {
        c->done(ioc, c->error, c->opaque);
        connect_unref(c); /* the owner's */
    }
    connect_unref(c);
    return G_SOURCE_REMOVE;
}

static gpointer connect_thread(gpointer opaque)
{
    IoConnect *c = opaque;
    IoChannel *ioc;

    ioc = connect_to(c->addr, c->wake_fd, c->timeout_ms, &c->error);
    g_mutex_lock(&c->lock);
    if (c->cancelled) {
        io_channel_unref(ioc); /* now: a peer that serves one client waits for its end */
    } else {
        c->ioc = ioc;
    }
    report_later(c);
    g_mutex_unlock(&c->lock);
    return NULL;
}

IoConnect *io_socket_connect_async(const SocketAddress *addr, unsigned timeout_ms,
                                   GMainContext *ctx, IoConnectFunc *done, void *opaque)
{
    IoConnect *c = g_new0(IoConnect, 1);

    c->refs = 2;
    g_mutex_init(&c->lock);
    c->addr = qapi_clone_SocketAddress(addr);
    c->timeout_ms = timeout_ms;
    c->ctx = ctx ? g_main_context_ref(ctx) : NULL;
    c->done = done;
    c->opaque = opaque;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_thread_unref(g_thread_new("io-connect", connect_thread, c));
    return c;
}

void io_connect_set_context(IoConnect *c, GMainContext *ctx)
{
    GMainContext *old;

    g_mutex_lock(&c->lock);
    old = c->ctx;
    c->ctx = ctx ? g_main_context_ref(ctx) : NULL;
    if (c->report) {
        g_source_destroy(c->report);
        g_source_unref(c->report);
        report_later(c);
    }
    g_mutex_unlock(&c->lock);
    if (old) {
        g_main_context_unref(old);
    }
}

void io_connect_cancel(IoConnect *c)
{
    uint64_t one = 1;

    g_mutex_lock(&c->lock);
    c->cancelled = true;
    g_clear_pointer(&c->ioc, io_channel_unref);
    g_mutex_unlock(&c->lock);
    if (write(c->wake_fd, &one, sizeof(one)) < 0) {
        /* cannot happen to a fresh counter; the thread ends by its timeout then */
    }
    connect_unref(c);
}
