/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this machine can do, for scripts/bench: lines of a name and a number.
 *
 *     memcpy-mbs, read-mbs   copying memory; reading it (memchr(3) for a byte that is not there)
 *     scan-mbs               looking for zero pages, as migration does, in pages that are all zero
 *     socket-mbs, socket-cpu a stream over a unix socket from memory to memory: MB/s, and processor seconds per GiB
 *
 * The first three count processor time, so that they say little about what else runs; each is the best of several rounds.
 */
#include "util/osdep.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include "migration/zero-page.h"

#define SIZE (256u << 20)
#define PIECE (2u << 20)
#define ROUNDS 5

static double clock_seconds(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static uint8_t *memory(int fill)
{
    uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    madvise(p, SIZE, MADV_HUGEPAGE);
    memset(p, fill, SIZE);
    return p;
}

typedef void Work(uint8_t *a, uint8_t *b);

static void copy(uint8_t *a, uint8_t *b)
{
    memcpy(b, a, SIZE);
}

static void read_all(uint8_t *a, uint8_t *b)
{
    if (memchr(a, 0xff, SIZE)) {
        abort();
    }
}

static void scan(uint8_t *a, uint8_t *b)
{
    for (size_t at = 0; at < SIZE; at += GUEST_PAGE_SIZE) {
        if (!page_is_zero(a + at)) {
            abort();
        }
    }
}

static void measure(const char *name, Work *work, uint8_t *a, uint8_t *b)
{
    double best = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        double start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
        work(a, b);
        double rate = SIZE / 1e6 / (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start);
        best = MAX(best, rate);
    }
    printf("%s %.0f\n", name, best);
}

static double used(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* In the child: all of SIZE into memory of its own, and then a word that it is there. */
static void receive(int fd, uint8_t *to)
{
    size_t have = 0;
    double before = used(RUSAGE_SELF);
    while (have < SIZE) {
        ssize_t n = recv(fd, to + have, MIN(PIECE, SIZE - have), 0);
        if (n <= 0) {
            _exit(1);
        }
        have += n;
    }
    double cpu = used(RUSAGE_SELF) - before;
    _exit(write(fd, &cpu, sizeof(cpu)) != sizeof(cpu));
}

static bool stream(const uint8_t *from, double *mbs, double *cpu)
{
    int fds[2], status, buffer = 512 * 1024; /* as migration has */
    double theirs = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) {
        return false;
    }
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    pid_t child = fork();
    if (child == 0) {
        uint8_t *to = memory(0);
        close(fds[0]);
        if (write(fds[1], "", 1) != 1) {
            _exit(1);
        }
        receive(fds[1], to);
    }
    close(fds[1]);
    char ready;
    bool ok = child > 0 && read(fds[0], &ready, 1) == 1;
    double start = clock_seconds(CLOCK_MONOTONIC), before = used(RUSAGE_SELF);
    for (size_t at = 0; ok && at < SIZE;) {
        ssize_t n = send(fds[0], from + at, MIN(PIECE, SIZE - at), MSG_NOSIGNAL);
        ok = n > 0;
        at += MAX(n, 0);
    }
    double ours = used(RUSAGE_SELF) - before;
    ok = ok && read(fds[0], &theirs, sizeof(theirs)) == sizeof(theirs);
    *mbs = SIZE / 1e6 / (clock_seconds(CLOCK_MONOTONIC) - start);
    *cpu = (ours + theirs) * (1u << 30) / SIZE;
    close(fds[0]);
    return (child <= 0 || waitpid(child, &status, 0) == child) && ok;
}

int main(void)
{
    uint8_t *zeros = memory(0), *other = memory(1);
    measure("memcpy-mbs", copy, zeros, other);
    measure("read-mbs", read_all, zeros, other);
    measure("scan-mbs", scan, zeros, other);
    memset(other, 0x5a, SIZE);
    double best_mbs = 0, best_cpu = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        double mbs, cpu;
        if (!stream(other, &mbs, &cpu)) {
            fprintf(stderr, "ram-limits: the stream broke\n");
            return 1;
        }
        best_mbs = MAX(best_mbs, mbs);
        best_cpu = i ? MIN(best_cpu, cpu) : cpu;
    }
    printf("socket-mbs %.0f\nsocket-cpu %.4f\n", best_mbs, best_cpu);
    return 0;
}
