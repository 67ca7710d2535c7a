/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library that tests put in front of libc (LD_PRELOAD): reads and writes of a file whose name ends in ".slow" wait as
 * long as the file that SLOW_IO_GATE names exists. So a test decides how long block I/O is pending.
 */
#include "util/osdep.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define SUFFIX ".slow"
#define POLL_US 1000

static bool is_slow(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path));
    return n > (ssize_t)strlen(SUFFIX) && !memcmp(path + n - strlen(SUFFIX), SUFFIX, strlen(SUFFIX));
}

static void wait_at_gate(int fd)
{
    const char *gate = getenv("SLOW_IO_GATE");

    while (gate && is_slow(fd) && access(gate, F_OK) == 0) {
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
        wait_at_gate(fd);                                                   \
        return next(fd, iov, n, offset);                                    \
    }

SLOW(preadv64)
SLOW(pwritev64)

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
