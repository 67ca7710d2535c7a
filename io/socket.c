/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket channels. Non-blocking transfers use MSG_DONTWAIT, or wait a little (io_channel_set_patience()); the descriptor
 * itself stays blocking. */
#include "util/osdep.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "channel-private.h"
#include "socket-private.h"
#include "util/error.h"

typedef struct IoSocketChannel {
    IoChannel base;
    bool blocking;
    GIOCondition patient; /* directions; atomic, as the other direction may be in use */
} IoSocketChannel;

/* How long a patient transfer waits for the other side's next step. Short: how much was moved is known after each call, and is
 * what tells a slow channel from one that is stuck. */
#define PATIENCE_US 20000

/* Flags of a transfer in a direction. */
static int wait_flag(const IoSocketChannel *sc, GIOCondition direction)
{
    return sc->blocking || (__atomic_load_n(&sc->patient, __ATOMIC_RELAXED) & direction) ? 0 : MSG_DONTWAIT;
}

/* Whether a call that has failed is made again. */
static bool goes_on(const IoSocketChannel *sc)
{
    return errno == EINTR || (errno == EAGAIN && sc->blocking);
}

static void take_fds(struct msghdr *msg, int *fds, unsigned *nfds)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (fds && *nfds < IO_MAX_FDS) {
                fds[(*nfds)++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

static ssize_t socket_readv(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                            unsigned *nfds, GError **error)
{
    IoSocketChannel *sc = (IoSocketChannel *)ioc;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * IO_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = niov };
    ssize_t n;

    if (ioc->features & IO_FEATURE_FD_PASS) {
        /* also when the caller wants none: otherwise they would be dropped with an unclear state */
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
    }
    do {
        n = recvmsg(ioc->read_fd, &msg, MSG_CMSG_CLOEXEC | wait_flag(sc, G_IO_IN));
    } while (n < 0 && goes_on(sc));
    if (n < 0) {
        return errno == EAGAIN ? -EAGAIN : io_channel_fail(ioc, errno, "cannot read", error);
    }
    if (msg.msg_controllen) {
        take_fds(&msg, fds, nfds);
    }
    return n;
}

static ssize_t socket_writev(IoChannel *ioc, const struct iovec *iov, unsigned niov, const int *fds,
                             unsigned nfds, GError **error)
{
    IoSocketChannel *sc = (IoSocketChannel *)ioc;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * IO_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = niov };
    ssize_t n;

    if (nfds) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    do {
        n = sendmsg(ioc->write_fd, &msg, MSG_NOSIGNAL | wait_flag(sc, G_IO_OUT));
    } while (n < 0 && goes_on(sc));
    if (n < 0) {
        return errno == EAGAIN ? -EAGAIN : io_channel_fail(ioc, errno, "cannot write", error);
    }
    return n;
}

static bool socket_set_blocking(IoChannel *ioc, bool blocking, GError **error)
{
    ((IoSocketChannel *)ioc)->blocking = blocking;
    return true;
}

static void socket_set_patience(IoChannel *ioc, GIOCondition directions)
{
    IoSocketChannel *sc = (IoSocketChannel *)ioc;
    struct timeval in = { .tv_usec = directions & G_IO_IN ? PATIENCE_US : 0 };
    struct timeval out = { .tv_usec = directions & G_IO_OUT ? PATIENCE_US : 0 };

    __atomic_store_n(&sc->patient, 0, __ATOMIC_RELAXED);
    if (setsockopt(ioc->read_fd, SOL_SOCKET, SO_RCVTIMEO, &in, sizeof(in)) == 0 &&
        setsockopt(ioc->write_fd, SOL_SOCKET, SO_SNDTIMEO, &out, sizeof(out)) == 0) {
        __atomic_store_n(&sc->patient, directions, __ATOMIC_RELAXED);
    }
}

static void socket_set_nodelay(IoChannel *ioc, bool enabled)
{
    int value = enabled;

    setsockopt(ioc->read_fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
}

/* TCP finds its size by itself, unless it is told one. */
static void socket_set_send_buffer(IoChannel *ioc, int bytes)
{
    if (ioc->features & IO_FEATURE_FD_PASS) {
        setsockopt(ioc->write_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
}

static int socket_shutdown(IoChannel *ioc, IoShutdown how, GError **error)
{
    int what = how == IO_SHUTDOWN_READ ? SHUT_RD : how == IO_SHUTDOWN_WRITE ? SHUT_WR : SHUT_RDWR;

    if (shutdown(ioc->read_fd, what) < 0 && errno != ENOTCONN) {
        return io_channel_fail(ioc, errno, "cannot shut down", error);
    }
    return 0;
}

static int socket_close(IoChannel *ioc, GError **error)
{
    int fd = ioc->read_fd;

    ioc->read_fd = ioc->write_fd = -1;
    return close(fd) < 0 && errno != EINTR ? io_channel_fail(ioc, errno, "cannot close", error) : 0;
}

static const IoChannelOps socket_ops = {
    .readv = socket_readv,
    .writev = socket_writev,
    .set_blocking = socket_set_blocking,
    .set_patience = socket_set_patience,
    .set_nodelay = socket_set_nodelay,
    .set_send_buffer = socket_set_send_buffer,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

IoChannel *io_socket_new_fd(int fd, GError **error)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    IoSocketChannel *sc;
    struct stat st;
    int flags;

    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        error_set(error, "File descriptor '%d' is not a socket", fd);
        return NULL;
    }
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
        error_set_errno(error, errno, "File descriptor '%d' has no address", fd);
        return NULL;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags & O_NONBLOCK) {
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sc = io_channel_alloc(sizeof(*sc), &socket_ops);
    sc->blocking = true;
    sc->base.read_fd = sc->base.write_fd = fd;
    sc->base.features = IO_FEATURE_SHUTDOWN | (ss.ss_family == AF_UNIX ? IO_FEATURE_FD_PASS : 0);
    io_channel_set_name(&sc->base, "socket");
    return &sc->base;
}

bool io_socket_pair(IoChannel *pair[2], GError **error)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        return error_set_errno(error, errno, "Cannot make a socket pair");
    }
    pair[0] = io_socket_new_fd(fds[0], NULL);
    pair[1] = io_socket_new_fd(fds[1], NULL);
    return true;
}

SocketAddress *io_socket_local_address(IoChannel *ioc, GError **error)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);

    if (getsockname(ioc->read_fd, (struct sockaddr *)&ss, &len) < 0) {
        error_set_errno(error, errno, "%s: no local address", io_channel_name(ioc));
        return NULL;
    }
    return io_sockaddr_to_qapi(&ss, len, error);
}

SocketAddress *io_socket_remote_address(IoChannel *ioc, GError **error)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);

    if (getpeername(ioc->read_fd, (struct sockaddr *)&ss, &len) < 0) {
        error_set_errno(error, errno, "%s: no remote address", io_channel_name(ioc));
        return NULL;
    }
    return io_sockaddr_to_qapi(&ss, len, error);
}
