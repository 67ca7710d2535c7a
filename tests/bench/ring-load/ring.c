/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rings, kicks and clocks of ring-load. */
#include "util/osdep.h"
#include "ring-load.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define AVAIL_AT 0x4000
#define USED_AT 0x5000
#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY 1
#define PROBE_MS 200 /* an answer that comes later than that … */
#define PATIENCE_MS 5000
#define SCANS 5 /* … is found the next time */

void load_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("ring-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

double load_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

double load_cpu(const Load *load)
{
    struct timespec ts;
    clockid_t clock;

    if (clock_getcpuclockid(load->pid, &clock) != 0 || clock_gettime(clock, &ts) != 0) {
        load_fail("no clock of process %d", (int)load->pid);
    }
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

void ring_open(Load *load, Ring *ring, uint64_t base, unsigned size)
{
    if (base + 0x8000 > load->ram_size || size > 512 || (size & (size - 1))) {
        load_fail("a ring of %u entries at 0x%" PRIx64 " cannot be", size, base);
    }
    *ring = (Ring){ .size = size,
                    .desc = (Desc *)(load->ram + base),
                    .avail = (uint16_t *)(load->ram + base + AVAIL_AT),
                    .used = (uint16_t *)(load->ram + base + USED_AT),
                    .kick = -1 };
    ring->avail[0] = load->interrupts ? 0 : AVAIL_F_NO_INTERRUPT;
    ring_wait_next(load, ring);
}

void ring_post(Ring *ring, uint16_t head)
{
    ring->avail[2 + ring->next++ % ring->size] = head;
}

static uint16_t avail_event(const Ring *ring)
{
    return ring->used[2 + 4 * ring->size];
}

void ring_show(Ring *ring)
{
    uint16_t old = ring->published;
    const uint64_t one = 1;

    if (ring->next == old) {
        return;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    ring->avail[1] = ring->published = ring->next;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    /* VIRTIO 1.2, 2.7.10 */
    if ((uint16_t)(ring->next - avail_event(ring) - 1) < (uint16_t)(ring->next - old) && ring->kick >= 0) {
        if (write(ring->kick, &one, sizeof(one)) != sizeof(one)) {
            load_fail("a kick: %s", strerror(errno));
        }
        ring->kicks++;
    }
}

int ring_take(Ring *ring, uint32_t *len)
{
    if (ring->used[1] == ring->seen) {
        return -1;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const volatile uint32_t *entry =
        (const volatile uint32_t *)(ring->used + 2) + 2 * (ring->seen++ % ring->size);
    if (entry[0] >= ring->size) {
        load_fail("the device used chain %u", entry[0]);
    }
    *len = entry[1];
    return entry[0];
}

void ring_wait_next(const Load *load, Ring *ring)
{
    ring->avail[2 + ring->size] = load->interrupts ? ring->seen : ring->seen + 0x8000;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_relax(unsigned turn)
{
    if (turn % 256 == 255) {
        sched_yield();
    } else {
        __builtin_ia32_pause();
    }
}

/* ---- whose eventfd is it? ---- */

/* The eventfd's number in the kernel, or -1: fd is something else. */
static int64_t eventfd_id(pid_t pid, int fd)
{
    char path[64], line[128], target[64] = "";
    int64_t id = -1;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
    if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "[eventfd]")) {
        return -1;
    }
    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "eventfd-id:", 11) == 0) {
            id = strtoll(line + 11, NULL, 10);
        }
    }
    if (file) {
        fclose(file);
    }
    return id;
}

static bool is_old(const Load *load, int64_t id)
{
    for (unsigned i = 0; i < load->n_old; i++) {
        if (load->old_eventfds[i] == (uint64_t)id) {
            return true;
        }
    }
    return false;
}

static bool passes(bool (*test)(void *opaque), void *opaque, unsigned ms)
{
    double end = load_now() + ms / 1e3;

    do {
        if (test(opaque)) {
            return true;
        }
        poll(NULL, 0, 1);
    } while (load_now() < end);
    return false;
}

/* From now on it is no candidate. */
static void remember(Load *load, int64_t id)
{
    load->old_eventfds = realloc(load->old_eventfds, (load->n_old + 1) * sizeof(uint64_t));
    if (!load->old_eventfds) {
        load_fail("no memory");
    }
    load->old_eventfds[load->n_old++] = id;
}

/* Three times: what comes late must not make another one look like it. */
static bool starts(int fd, bool (*test)(void *opaque), void *opaque)
{
    const uint64_t one = 1;

    for (unsigned i = 0; i < 3; i++) {
        if (write(fd, &one, sizeof(one)) != sizeof(one) || !passes(test, opaque, i ? PATIENCE_MS : PROBE_MS)) {
            return false;
        }
    }
    return true;
}

/* Tries each new eventfd of the process once. */
static void scan(Load *load, Ring *ring, int pidfd, bool (*test)(void *opaque), void *opaque)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)load->pid);
    DIR *folder = opendir(path);
    if (!folder) {
        load_fail("process %d: %s", (int)load->pid, strerror(errno));
    }
    for (struct dirent *entry; ring->kick < 0 && (entry = readdir(folder));) {
        int64_t id = eventfd_id(load->pid, atoi(entry->d_name));
        int fd = id < 0 || is_old(load, id) ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, atoi(entry->d_name), 0);
        if (fd < 0) {
            continue;
        }
        if (!test || starts(fd, test, opaque)) {
            ring->kick = fd;
            remember(load, id);
        } else {
            close(fd);
        }
    }
    closedir(folder);
}

bool ring_find_kick(Load *load, Ring *ring, bool (*test)(void *opaque), void *opaque)
{
    const uint64_t one = 1;
    int pidfd = syscall(SYS_pidfd_open, load->pid, 0);

    if (pidfd < 0) {
        load_fail("process %d: %s", (int)load->pid, strerror(errno));
    }
    for (unsigned i = 0; ring->kick < 0 && i < SCANS; i++) {
        while (test && passes(test, opaque, PROBE_MS)) { /* the device looks by itself when it has been started */
        }
        scan(load, ring, pidfd, test, opaque);
    }
    close(pidfd);
    return ring->kick >= 0 && write(ring->kick, &one, sizeof(one)) == sizeof(one); /* for what the test has posted */
}
