/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSG_ZEROCOPY; see zero-copy.h. The kernel numbers the calls; its error queue tells which ranges are through. */
#include "util/osdep.h"
#include "zero-copy.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include "util/error.h"
#include "write.h"

struct ZeroCopy {
    IoChannel *ioc;
    int fd;
    uint64_t sent, done; /* calls */
    uint64_t missed;     /* atomic */
};

ZeroCopy *zero_copy_new(IoChannel *ioc, GError **error)
{
    int fd = io_channel_fd(ioc), domain = 0, one = 1;
    socklen_t len = sizeof(domain);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
        (domain != AF_INET && domain != AF_INET6)) {
        error_set(error, "zero-copy-send needs a TCP connection");
        return NULL;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0) {
        error_set_errno(error, errno, "zero-copy-send is not possible here");
        return NULL;
    }
    ZeroCopy *zc = g_new0(ZeroCopy, 1);
    zc->ioc = io_channel_ref(ioc);
    zc->fd = fd;
    return zc;
}

void zero_copy_free(ZeroCopy *zc)
{
    if (zc) {
        io_channel_unref(zc->ioc);
        g_free(zc);
    }
}

uint64_t zero_copy_missed(const ZeroCopy *zc)
{
    return zc ? __atomic_load_n(&zc->missed, __ATOMIC_RELAXED) : 0;
}

/* One notice of the error queue. 1, 0 if there is none, -1 with an error. */
static int reap(ZeroCopy *zc, GError **error)
{
    char control[256];
    struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };
    if (recvmsg(zc->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return 0;
        }
        error_set_errno(error, errno, "zero-copy-send");
        return -1;
    }
    struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
    if (!cm || !((cm->cmsg_level == SOL_IP && cm->cmsg_type == IP_RECVERR) ||
                 (cm->cmsg_level == SOL_IPV6 && cm->cmsg_type == IPV6_RECVERR))) {
        error_set(error, "zero-copy-send: a notice that is not understood");
        return -1;
    }
    struct sock_extended_err notice;
    memcpy(&notice, CMSG_DATA(cm), sizeof(notice));
    if (notice.ee_origin != SO_EE_ORIGIN_ZEROCOPY || notice.ee_errno) {
        error_set_errno(error, notice.ee_errno ? notice.ee_errno : EPROTO, "zero-copy-send");
        return -1;
    }
    zc->done += (uint32_t)(notice.ee_data - notice.ee_info) + 1;
    if (notice.ee_code == SO_EE_CODE_ZEROCOPY_COPIED) {
        __atomic_fetch_add(&zc->missed, 1, __ATOMIC_RELAXED);
    }
    return 1;
}

/* Until a notice has come, or the channel has been shut down. */
static bool wait_notice(ZeroCopy *zc, GError **error)
{
    int r = reap(zc, error);
    while (r == 0) {
        struct pollfd pfd = { .fd = zc->fd }; /* errors are always waited for */
        if (poll(&pfd, 1, 100) > 0) {
            r = reap(zc, error);
            if (r == 0 && (pfd.revents & (POLLHUP | POLLNVAL))) {
                return error_set(error, "zero-copy-send: the connection has ended");
            }
        }
    }
    return r > 0;
}

bool zero_copy_wait(ZeroCopy *zc, GError **error)
{
    while (zc->done < zc->sent) {
        if (!wait_notice(zc, error)) {
            return false;
        }
    }
    return true;
}

bool zero_copy_write(ZeroCopy *zc, struct iovec *iov, unsigned n, uint64_t *written, GError **error)
{
    for (unsigned at = 0; at < n;) {
        struct msghdr msg = { .msg_iov = iov + at, .msg_iovlen = n - at };
        ssize_t sent = sendmsg(zc->fd, &msg, MSG_ZEROCOPY | MSG_NOSIGNAL);
        if (sent > 0) {
            zc->sent++;
            at += vector_consume(iov + at, sent);
            __atomic_fetch_add(written, sent, __ATOMIC_RELAXED);
        } else if (sent < 0 && errno == EAGAIN) {
            io_channel_wait(zc->ioc, G_IO_OUT, -1);
        } else if (sent < 0 && errno == ENOBUFS && zc->done < zc->sent) {
            if (!wait_notice(zc, error)) {
                return false;
            }
        } else if (sent < 0 && (errno == EFAULT || errno == ENOBUFS)) {
            return write_vector(zc->ioc, iov + at, n - at, written,
                                error); /* memory that cannot be read or locked */
        } else if (sent < 0 && errno != EINTR) {
            return error_set_errno(error, errno, "unable to write");
        }
    }
    return true;
}
