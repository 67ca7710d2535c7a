/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver of virtio rings outside of the emulator (VIRTIO 1.2, 2.7: split rings), for measurements.
 *
 * The guest's RAM is a file that both have mapped; a kick is a write to the eventfd that the emulator gave its kernel for
 * that queue (ioeventfd), taken out of the process with pidfd_getfd(2). So requests come as fast as a processor can write
 * them, with every emulator alike, whatever its accelerator costs. The device has been set up before (ring_load.py).
 */
#ifndef RING_LOAD_H
#define RING_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define DATA 0x200000u /* where the driver's own memory begins; rings are below */

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} Desc;

typedef struct Ring {
    unsigned size;
    Desc *desc;
    volatile uint16_t *avail; /* flags, index, ring, used_event */
    volatile uint16_t *used;  /* flags, index, ring of 8 bytes, avail_event */
    uint16_t next, published, seen;
    int kick; /* -1: not found yet */
    uint64_t kicks;
} Ring;

typedef struct Load {
    pid_t pid;
    uint8_t *ram;
    size_t ram_size;
    Ring rings[2];
    unsigned n_rings;
    bool interrupts; /* ask for them; else say that nobody wants any */
    double seconds;
    uint64_t *old_eventfds; /* numbers of those that are no kicks */
    unsigned n_old;
} Load;

/* Opens the ring at the guest's address base, laid out as virtio_pci.Queue does it. */
void ring_open(Load *load, Ring *ring, uint64_t base, unsigned size);
/* Makes the chain that begins at descriptor `head` available; nobody sees it yet. */
void ring_post(Ring *ring, uint16_t head);
/* Shows what has been posted, and kicks if the device wants to hear. */
void ring_show(Ring *ring);
/* The next used chain, or -1; len: what the device wrote. */
int ring_take(Ring *ring, uint32_t *len);
/* After the last ring_take(): when to interrupt. */
void ring_wait_next(const Load *load, Ring *ring);
/* One pause of a wait that is short. */
void ring_relax(unsigned turn);

/*
 * The eventfd whose signal makes `test` true is the ring's. `test` looks for the result of what has been posted and shown;
 * when it is there, it posts and shows the same again before it says so. Without a test it is the first one that is left.
 */
bool ring_find_kick(Load *load, Ring *ring, bool (*test)(void *opaque), void *opaque);

double load_now(void);
/* Processor seconds of the emulator so far. */
double load_cpu(const Load *load);
_Noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct BlkOptions {
    unsigned depth;
    uint32_t bytes;
    uint64_t disk;
    bool write, random;
} BlkOptions;

void load_blk(Load *load, const BlkOptions *options);

typedef struct NetOptions {
    bool receive; /* from the host to the guest */
} NetOptions;

void load_net(Load *load, const NetOptions *options);

#endif
