/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening sockets. One listener may have several, where a host name has several addresses. */
#include "util/osdep.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/fds.h"
#include "socket-private.h"
#include "util/error.h"
#include "util/keyval.h"

struct IoListener {
    SocketAddress *addr; /* as asked for */
    GArray *fds;         /* int */
    GPtrArray *sources;  /* GSource, while started */
    IoAcceptFunc *func;
    void *opaque;
    struct stat made; /* identity of the unix socket that we made, st_ino 0: none */
};

/* ---- binding ---- */

static void close_all(GArray *fds)
{
    for (guint i = 0; i < fds->len; i++) {
        close(g_array_index(fds, int, i));
    }
    g_array_set_size(fds, 0);
}

/* A bound descriptor, or -errno. */
static int bind_one(const IoSockaddr *sa)
{
    int fd = socket(sa->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    int r;

    if (fd < 0) {
        return -errno;
    }
    if (sa->ss.ss_family == AF_INET || sa->ss.ss_family == AF_INET6) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    if (sa->ss.ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(fd, (const struct sockaddr *)&sa->ss, sa->len) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static void set_port(IoSockaddr *sa, unsigned port)
{
    if (sa->ss.ss_family == AF_INET) {
        ((struct sockaddr_in *)&sa->ss)->sin_port = htons((uint16_t)port);
    } else if (sa->ss.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&sa->ss)->sin6_port = htons((uint16_t)port);
    }
}

static unsigned get_port(const IoSockaddr *sa)
{
    return ntohs(sa->ss.ss_family == AF_INET ? ((const struct sockaddr_in *)&sa->ss)->sin_port
                                             : ((const struct sockaddr_in6 *)&sa->ss)->sin6_port);
}

static unsigned bound_port(int fd)
{
    IoSockaddr sa = { .len = sizeof(sa.ss) };

    return getsockname(fd, (struct sockaddr *)&sa.ss, &sa.len) < 0 ? 0 : get_port(&sa);
}

/* Binds and listens on all addresses of the list at one port. 0 or -errno; addresses of a family
 * that the host lacks are left out unless nothing else works. */
static int listen_on_port(GArray *list, unsigned port, unsigned backlog, GArray *fds)
{
    int first_error = 0;

    for (guint i = 0; i < list->len; i++) {
        IoSockaddr *sa = &g_array_index(list, IoSockaddr, i);
        int fd;

        set_port(sa, port);
        fd = bind_one(sa);
        if (fd >= 0 && listen(fd, (int)backlog) < 0) {
            int r = -errno;
            close(fd);
            fd = r;
        }
        if (fd == -EADDRINUSE) {
            close_all(fds);
            return fd;
        }
        if (fd < 0) {
            first_error = first_error ? first_error : fd;
            continue;
        }
        if (port == 0 && (sa->ss.ss_family == AF_INET || sa->ss.ss_family == AF_INET6)) {
            port = bound_port(fd); /* the same one for the further addresses */
        }
        g_array_append_val(fds, fd);
    }
    return fds->len ? 0 : first_error;
}

static bool listen_inet(IoListener *l, GArray *list, unsigned backlog, GError **error)
{
    const InetSocketAddress *inet = &l->addr->u.inet;
    unsigned first = get_port(&g_array_index(list, IoSockaddr, 0));
    unsigned last = inet->has_to ? inet->to : first;
    g_autofree char *name = io_socket_address_brief(l->addr);
    int r = -EADDRINUSE;

    for (unsigned port = first; r == -EADDRINUSE && port <= last; port++) {
        r = listen_on_port(list, port, backlog, l->fds);
    }
    if (r < 0) {
        return error_set_errno(error, -r, "Failed to find an available port for '%s'", name);
    }
    return true;
}

static bool listen_other(IoListener *l, GArray *list, unsigned backlog, GError **error)
{
    const IoSockaddr *sa = &g_array_index(list, IoSockaddr, 0);
    g_autofree char *name = io_socket_address_brief(l->addr);
    const char *path = ((const struct sockaddr_un *)&sa->ss)->sun_path;
    bool file = sa->ss.ss_family == AF_UNIX && path[0];
    struct stat st;
    int fd;

    if (file && stat(l->addr->u.unix_.path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(l->addr->u.unix_.path);
    }
    fd = bind_one(sa);
    if (fd < 0) {
        return error_set_errno(error, -fd, "Failed to bind socket to %s", name);
    }
    g_array_append_val(l->fds, fd);
    if (file && stat(l->addr->u.unix_.path, &st) == 0) {
        l->made = st;
    }
    if (listen(fd, (int)backlog) < 0) {
        return error_set_errno(error, errno, "Failed to listen on socket");
    }
    return true;
}

static bool listen_fd(IoListener *l, unsigned backlog, GError **error)
{
    int listening = 0;
    socklen_t len = sizeof(listening);
    int fd = io_fd_take(l->addr->u.fd.str, error);

    if (fd < 0) {
        return false;
    }
    g_array_append_val(l->fds, fd);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0) {
        return error_set(error, "File descriptor '%s' is not a socket", l->addr->u.fd.str);
    }
    if (!listening && listen(fd, (int)backlog) < 0) {
        return error_set_errno(error, errno, "Failed to listen on fd '%s'", l->addr->u.fd.str);
    }
    return true;
}

IoListener *io_listener_new(const SocketAddress *addr, unsigned backlog, GError **error)
{
    IoListener *l = g_new0(IoListener, 1);
    GArray *list = NULL;
    bool ok = false;

    l->addr = qapi_clone_SocketAddress(addr);
    l->fds = g_array_new(FALSE, FALSE, sizeof(int));
    l->sources = g_ptr_array_new();
    if (addr->type == SOCKET_ADDRESS_TYPE_FD) {
        ok = listen_fd(l, backlog, error);
    } else if ((list = io_sockaddr_resolve(addr, true, error))) {
        ok = addr->type == SOCKET_ADDRESS_TYPE_INET ? listen_inet(l, list, backlog, error)
                                                    : listen_other(l, list, backlog, error);
        g_array_unref(list);
    }
    if (!ok) {
        io_listener_free(l);
        return NULL;
    }
    for (guint i = 0; i < l->fds->len; i++) {
        int fd = g_array_index(l->fds, int, i);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    return l;
}

/* ---- accepting ---- */

static IoChannel *accept_one(IoListener *l, int listen_fd)
{
    g_autofree char *name = NULL;
    IoChannel *ioc;
    int fd;

    do {
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0) {
        return NULL; /* nobody there any more, or out of descriptors: the next one */
    }
    io_socket_apply_options(fd, l->addr);
    ioc = io_socket_new_fd(fd, NULL);
    if (ioc) {
        name = io_socket_address_format(l->addr);
        io_channel_set_name(ioc, name);
    }
    return ioc;
}

static gboolean accept_ready(gint fd, GIOCondition cond, gpointer opaque)
{
    IoListener *l = opaque;
    IoChannel *ioc = accept_one(l, fd);

    if (ioc) {
        l->func(l, ioc, l->opaque); /* may stop or free the listener */
    }
    return G_SOURCE_CONTINUE;
}

void io_listener_start(IoListener *l, GMainContext *ctx, IoAcceptFunc *func, void *opaque)
{
    io_listener_stop(l);
    l->func = func;
    l->opaque = opaque;
    for (guint i = 0; i < l->fds->len; i++) {
        GSource *source = g_unix_fd_source_new(g_array_index(l->fds, int, i), G_IO_IN);

        g_source_set_callback(source, (GSourceFunc)(void (*)(void))accept_ready, l, NULL);
        g_source_attach(source, ctx);
        g_ptr_array_add(l->sources, source);
    }
}

void io_listener_stop(IoListener *l)
{
    for (guint i = 0; i < l->sources->len; i++) {
        GSource *source = g_ptr_array_index(l->sources, i);

        g_source_destroy(source);
        g_source_unref(source);
    }
    g_ptr_array_set_size(l->sources, 0);
}

IoChannel *io_listener_accept_wait(IoListener *l, GError **error)
{
    g_autofree struct pollfd *pfd = g_new0(struct pollfd, l->fds->len);

    for (;;) {
        for (guint i = 0; i < l->fds->len; i++) {
            pfd[i] = (struct pollfd){ g_array_index(l->fds, int, i), POLLIN, 0 };
        }
        if (poll(pfd, l->fds->len, -1) < 0 && errno != EINTR) {
            error_set_errno(error, errno, "Failed to wait for a connection");
            return NULL;
        }
        for (guint i = 0; i < l->fds->len; i++) {
            IoChannel *ioc = pfd[i].revents ? accept_one(l, pfd[i].fd) : NULL;

            if (ioc) {
                return ioc;
            }
        }
    }
}

SocketAddress *io_listener_address(IoListener *l, GError **error)
{
    IoSockaddr sa = { .len = sizeof(sa.ss) };

    if (getsockname(g_array_index(l->fds, int, 0), (struct sockaddr *)&sa.ss, &sa.len) < 0) {
        error_set_errno(error, errno, "Cannot find out the listening address");
        return NULL;
    }
    return io_sockaddr_to_qapi(&sa.ss, sa.len, error);
}

void io_listener_free(IoListener *l)
{
    struct stat st;

    if (!l) {
        return;
    }
    io_listener_stop(l);
    g_ptr_array_unref(l->sources);
    if (l->made.st_ino && stat(l->addr->u.unix_.path, &st) == 0 && st.st_ino == l->made.st_ino &&
        st.st_dev == l->made.st_dev) {
        unlink(l->addr->u.unix_.path);
    }
    close_all(l->fds);
    g_array_unref(l->fds);
    qapi_free_SocketAddress(l->addr);
    g_free(l);
}
