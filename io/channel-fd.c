/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels over plain descriptors: files, pipes, terminals, character devices; and over child
 * processes.
 *
 * Pipes and terminals are switched to O_NONBLOCK and blocking is imitated with poll(), so that a
 * shutdown can end a wait. Regular files and block devices block in the kernel, for a short time.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "channel-private.h"
#include "io/fds.h"
#include "io/socket.h"
#include "util/error.h"

typedef struct IoFdChannel {
    IoChannel base;
    bool blocking;
    bool fdset; /* opened by io_open() */
    GPid pid;   /* child process, 0: none */
} IoFdChannel;

static bool gone(IoChannel *ioc, IoShutdown how)
{
    return (g_atomic_int_get(&ioc->shut) & how) != 0;
}

static ssize_t fd_readv(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                        unsigned *nfds, GError **error)
{
    IoFdChannel *fc = (IoFdChannel *)ioc;

    for (;;) {
        ssize_t n;

        if (gone(ioc, IO_SHUTDOWN_READ)) {
            return 0;
        }
        n = readv(ioc->read_fd, iov, (int)niov);
        if (n >= 0) {
            return n;
        }
        if (errno == EIO && isatty(ioc->read_fd)) {
            return 0; /* the other side of the terminal is closed */
        }
        if (errno == EAGAIN && !fc->blocking) {
            return -EAGAIN;
        }
        if (errno == EAGAIN) {
            io_channel_wait(ioc, G_IO_IN, -1);
        } else if (errno != EINTR) {
            return io_channel_fail(ioc, errno, "cannot read", error);
        }
    }
}

static ssize_t fd_writev(IoChannel *ioc, const struct iovec *iov, unsigned niov, const int *fds,
                         unsigned nfds, GError **error)
{
    IoFdChannel *fc = (IoFdChannel *)ioc;

    for (;;) {
        ssize_t n;

        if (gone(ioc, IO_SHUTDOWN_WRITE)) {
            return io_channel_fail(ioc, EPIPE, "cannot write", error);
        }
        n = writev(ioc->write_fd, iov, (int)niov);
        if (n >= 0) {
            return n;
        }
        if (errno == EAGAIN && !fc->blocking) {
            return -EAGAIN;
        }
        if (errno == EAGAIN) {
            io_channel_wait(ioc, G_IO_OUT, -1);
        } else if (errno != EINTR) {
            return io_channel_fail(ioc, errno, "cannot write", error);
        }
    }
}

static ssize_t fd_preadv(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                         GError **error)
{
    ssize_t n;

    do {
        n = preadv(ioc->read_fd, iov, (int)niov, offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? io_channel_fail(ioc, errno, "cannot read", error) : n;
}

static ssize_t fd_pwritev(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                          GError **error)
{
    ssize_t n;

    do {
        n = pwritev(ioc->write_fd, iov, (int)niov, offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? io_channel_fail(ioc, errno, "cannot write", error) : n;
}

static off_t fd_seek(IoChannel *ioc, off_t offset, int whence, GError **error)
{
    off_t pos = lseek(ioc->read_fd >= 0 ? ioc->read_fd : ioc->write_fd, offset, whence);

    return pos < 0 ? io_channel_fail(ioc, errno, "cannot seek", error) : pos;
}

static bool fd_set_blocking(IoChannel *ioc, bool blocking, GError **error)
{
    ((IoFdChannel *)ioc)->blocking = blocking;
    return true;
}

static int close_one(IoFdChannel *fc, int fd)
{
    if (fd < 0) {
        return 0;
    }
    if (fc->fdset) {
        return io_close(fd);
    }
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

/* Waits for the child; one that was shut down gets a second to end before it is killed. */
static int reap(IoFdChannel *fc, GError **error)
{
    gint64 deadline = 0;
    bool killed = false;
    int status;

    for (unsigned delay = 200;; delay = MIN(delay * 2, 20000)) {
        pid_t r = waitpid(fc->pid, &status, WNOHANG);

        if (r == fc->pid) {
            break;
        }
        if (r < 0 && errno != EINTR) {
            return io_channel_fail(&fc->base, errno, "cannot wait for the command", error);
        }
        if (g_atomic_int_get(&fc->base.shut) && !deadline) {
            kill(-fc->pid, SIGTERM);
            deadline = g_get_monotonic_time() + G_TIME_SPAN_SECOND;
        } else if (deadline && !killed && g_get_monotonic_time() > deadline) {
            kill(-fc->pid, SIGKILL);
            killed = true;
        }
        g_usleep(delay);
    }
    fc->pid = 0;
    if (deadline) { /* whatever it says: it did not get to its end by itself */
        error_set(error, "%s: the command was ended", io_channel_name(&fc->base));
        return -ECANCELED;
    }
    if (WIFSIGNALED(status)) {
        error_set(error, "%s: the command was killed by signal %d", io_channel_name(&fc->base),
                  WTERMSIG(status));
        return -EIO;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        error_set(error, "%s: the command failed with exit status %d", io_channel_name(&fc->base),
                  WEXITSTATUS(status));
        return -EIO;
    }
    return 0;
}

static int fd_close(IoChannel *ioc, GError **error)
{
    IoFdChannel *fc = (IoFdChannel *)ioc;
    int r = close_one(fc, ioc->read_fd);
    int r2 = ioc->write_fd != ioc->read_fd ? close_one(fc, ioc->write_fd) : 0;

    ioc->read_fd = ioc->write_fd = -1;
    r = r ? r : r2;
    if (r < 0) {
        io_channel_fail(ioc, -r, "cannot close", error);
    }
    if (fc->pid) {
        r2 = reap(fc, r ? NULL : error);
        r = r ? r : r2;
    }
    return r;
}

static const IoChannelOps fd_ops = {
    .readv = fd_readv,
    .writev = fd_writev,
    .preadv = fd_preadv,
    .pwritev = fd_pwritev,
    .seek = fd_seek,
    .set_blocking = fd_set_blocking,
    .close = fd_close,
};

static void prepare_fd(IoFdChannel *fc, int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
        fc->base.features |= IO_FEATURE_SEEKABLE;
        return;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (fc->base.wake_fd < 0) {
        fc->base.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
}

static IoFdChannel *new_channel(int read_fd, int write_fd)
{
    IoFdChannel *fc = io_channel_alloc(sizeof(*fc), &fd_ops);

    fc->blocking = true;
    fc->base.read_fd = read_fd;
    fc->base.write_fd = write_fd;
    fc->base.features = IO_FEATURE_SHUTDOWN;
    prepare_fd(fc, read_fd);
    if (write_fd != read_fd) {
        prepare_fd(fc, write_fd);
    }
    return fc;
}

IoChannel *io_channel_new_fd_pair(int read_fd, int write_fd)
{
    return &new_channel(read_fd, write_fd)->base;
}

IoChannel *io_channel_new_fd(int fd, GError **error)
{
    IoChannel *ioc;
    struct stat st;
    char name[32];

    if (fstat(fd, &st) < 0) {
        error_set_errno(error, errno, "File descriptor %d cannot be used", fd);
        return NULL;
    }
    ioc = S_ISSOCK(st.st_mode) ? io_socket_new_fd(fd, error) : io_channel_new_fd_pair(fd, fd);
    if (ioc) {
        g_snprintf(name, sizeof(name), "fd:%d", fd);
        io_channel_set_name(ioc, name);
    }
    return ioc;
}

IoChannel *io_channel_new_file(const char *path, int flags, int mode, GError **error)
{
    IoFdChannel *fc;
    int fd = io_open(path, flags, (mode_t)mode, error);

    if (fd < 0) {
        return NULL;
    }
    fc = new_channel(fd, fd);
    fc->fdset = true;
    io_channel_set_name(&fc->base, path);
    return &fc->base;
}

/* ---- commands ---- */

static void child_setup(gpointer opaque)
{
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0); /* so that a signal reaches what a shell started, too */
}

IoChannel *io_channel_new_command(const char *const *argv, GIOCondition direction, GError **error)
{
    int in = -1, out = -1; /* of the child */
    GPid pid;
    IoFdChannel *fc;
    GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH;

    if (!(direction & G_IO_IN)) {
        flags |= G_SPAWN_CHILD_INHERITS_STDOUT;
    }
    if (!g_spawn_async_with_pipes(NULL, (char **)argv, NULL, flags, child_setup, NULL, &pid,
                                  direction & G_IO_OUT ? &in : NULL,
                                  direction & G_IO_IN ? &out : NULL, NULL, error)) {
        return NULL;
    }
    fc = new_channel(out, in);
    fc->pid = pid;
    io_channel_set_name(&fc->base, argv[0]);
    return &fc->base;
}

IoChannel *io_channel_new_shell(const char *command, GIOCondition direction, GError **error)
{
    const char *const argv[] = { "/bin/sh", "-c", command, NULL };
    IoChannel *ioc = io_channel_new_command(argv, direction, error);

    if (ioc) {
        g_autofree char *name = g_strdup_printf("exec:%s", command);
        io_channel_set_name(ioc, name);
    }
    return ioc;
}
