/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library that tests put in front of libc (LD_PRELOAD), for a host that loses memory:
 *   - SIGUSR2: the thread that gets it reads a page of the program's own that is unreadable (UFFDIO_POISON);
 *   - fallocate() does not punch holes, as on file systems that cannot: lost pages of files stay lost.
 * With LOST_MEMORY_OLD_KERNEL in the environment it is another host instead, whose kernel has no UFFDIO_POISON.
 */
#include "util/osdep.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096

typedef struct Poison { /* Linux 6.6; the headers may be older */
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
} Poison;

#define MAKE_UNREADABLE _IOWR(UFFDIO, 0x08, Poison)

static volatile uint8_t *page;

static void read_lost_page(int sig)
{
    (void)*page;
}

static void __attribute__((constructor)) prepare(void)
{
    struct uffdio_api api = { .api = UFFD_API, .features = UINT64_C(1) << 14 };
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register reg = { .range = { (uintptr_t)p, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    Poison poison = { .range = reg.range };
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

    if (p != MAP_FAILED && fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &reg) == 0 &&
        ioctl(fd, MAKE_UNREADABLE, &poison) == 0) {
        page = p;
        signal(SIGUSR2, read_lost_page);
    }
    close(fd);
}

static bool old_kernel(void)
{
    return getenv("LOST_MEMORY_OLD_KERNEL") != NULL;
}

int ioctl(int fd, unsigned long request, ...)
{
    typedef int Func(int fd, unsigned long request, void *arg);
    static Func *libc; /* atomic */
    Func *func = __atomic_load_n(&libc, __ATOMIC_RELAXED);
    va_list list;

    va_start(list, request);
    void *arg = va_arg(list, void *);
    va_end(list);
    if (request == MAKE_UNREADABLE && old_kernel()) {
        errno = EINVAL;
        return -1;
    }
    if (!func) {
        func = (Func *)dlsym(RTLD_NEXT, "ioctl");
        __atomic_store_n(&libc, func, __ATOMIC_RELAXED);
    }
    return func(fd, request, arg);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    typedef int Func(int fd, int mode, off64_t offset, off64_t len);

    if (mode & FALLOC_FL_PUNCH_HOLE && !old_kernel()) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return ((Func *)dlsym(RTLD_NEXT, "fallocate64"))(fd, mode, offset, len);
}
