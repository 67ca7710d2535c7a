/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library that tests put in front of libc (LD_PRELOAD): reads and writes of a file whose name ends in ".slow" wait as
 * long as the file that SLOW_IO_GATE names exists, and its fdatasync() as long as one of that name with ".sync" behind it does.
 * So a test decides how long block I/O is pending.
 *
 * A write to a file whose name ends in ".late", of data that begin with "LATE", is as over a network: the data are taken at once,
 * and get into the file when that file is gone. While it waits there is a file of the gate's name with ".held" behind it.
 *
 * A file whose name ends in ".full" takes everything, and says when it is closed that there was no room: as over a network, too.
 */
#include "util/osdep.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define SLOW_SUFFIX ".slow"
#define LATE_SUFFIX ".late"
#define FULL_SUFFIX ".full"
#define POLL_US 1000

static bool ends_in(int fd, const char *suffix)
{
    char link[64], path[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path));
    return n > (ssize_t)strlen(suffix) && !memcmp(path + n - strlen(suffix), suffix, strlen(suffix));
}

static bool is_slow(int fd)
{
    return ends_in(fd, SLOW_SUFFIX);
}

static void wait_at_gate(int fd, const char *suffix)
{
    const char *gate = getenv("SLOW_IO_GATE");
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s", gate ? gate : "", suffix);
    while (gate && is_slow(fd) && access(path, F_OK) == 0) {
        usleep(POLL_US);
    }
}

typedef ssize_t VectorFunc(int fd, const struct iovec *iov, int n, off64_t offset);

#define SLOW(name)                                                          \
    ssize_t name(int fd, const struct iovec *iov, int n, off64_t offset);   \
    ssize_t name(int fd, const struct iovec *iov, int n, off64_t offset)    \
    {                                                                       \
        VectorFunc *next = (VectorFunc *)dlsym(RTLD_NEXT, #name);           \
                                                                            \
        wait_at_gate(fd, "");                                               \
        return next(fd, iov, n, offset);                                    \
    }

SLOW(preadv64)

/* The whole vector in one piece (free()); NULL: out of memory. */
static char *take(const struct iovec *iov, int n, size_t *len)
{
    char *data;

    *len = 0;
    for (int i = 0; i < n; i++) {
        *len += iov[i].iov_len;
    }
    data = malloc(*len);
    for (size_t at = 0, i = 0; data && (int)i < n; at += iov[i++].iov_len) {
        memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
    }
    return data;
}

static ssize_t write_late(VectorFunc *next, int fd, const struct iovec *iov, int n, off64_t offset)
{
    const char *gate = getenv("SLOW_IO_GATE");
    char held[PATH_MAX];
    struct iovec one;
    ssize_t r;

    one.iov_base = take(iov, n, &one.iov_len);
    if (!gate || !one.iov_base) {
        abort();
    }
    snprintf(held, sizeof(held), "%s.held", gate);
    close(creat(held, 0600));
    while (access(gate, F_OK) == 0) {
        usleep(POLL_US);
    }
    r = next(fd, &one, 1, offset);
    unlink(held);
    free(one.iov_base);
    return r;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
    VectorFunc *next = (VectorFunc *)dlsym(RTLD_NEXT, "pwritev64");

    if (n && iov[0].iov_len >= 4 && !memcmp(iov[0].iov_base, "LATE", 4) && ends_in(fd, LATE_SUFFIX)) {
        return write_late(next, fd, iov, n, offset);
    }
    wait_at_gate(fd, "");
    return next(fd, iov, n, offset);
}

/* A read that must not wait. */
ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags)
{
    typedef ssize_t Func(int fd, const struct iovec *iov, int n, off64_t offset, int flags);
    Func *next = (Func *)dlsym(RTLD_NEXT, "preadv64v2");

    if (is_slow(fd)) {
        errno = EAGAIN;
        return -1;
    }
    return next(fd, iov, n, offset, flags);
}

int fdatasync(int fd)
{
    typedef int Func(int fd);
    Func *next = (Func *)dlsym(RTLD_NEXT, "fdatasync");

    wait_at_gate(fd, ".sync");
    return next(fd);
}

int close(int fd)
{
    typedef int Func(int fd);
    bool full = ends_in(fd, FULL_SUFFIX);
    int r = ((Func *)dlsym(RTLD_NEXT, "close"))(fd);

    if (full) {
        errno = ENOSPC;
        return -1;
    }
    return r;
}
