/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring-load blk: so many requests of virtio-blk (VIRTIO 1.2, 5.2.6) in flight, indirect descriptors as Linux has them. */
#include "util/osdep.h"
#include "ring-load.h"

#include <stdio.h>

#define SLOT_SIZE 4096 /* table, header, status of a request; its data lie elsewhere */
#define HEADER_AT 1024
#define STATUS_AT 2048
#define WARM_UP 0.05
#define PATIENCE 10.0

typedef struct Blk {
    Load *load;
    const BlkOptions *o;
    Ring *ring;
    uint64_t random, position;
    uint64_t done;
} Blk;

static uint64_t next_offset(Blk *b)
{
    uint64_t blocks = b->o->disk / b->o->bytes;

    if (!b->o->random) {
        return b->position++ % blocks * b->o->bytes;
    }
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random % blocks * b->o->bytes;
}

static uint8_t *slot(Blk *b, unsigned i)
{
    return b->load->ram + DATA + (size_t)i * SLOT_SIZE;
}

static void submit(Blk *b, unsigned i)
{
    uint64_t sector = next_offset(b) >> 9;
    uint32_t type = b->o->write;

    memcpy(slot(b, i) + HEADER_AT, &type, 4);
    memcpy(slot(b, i) + HEADER_AT + 8, &sector, 8);
    slot(b, i)[STATUS_AT] = 0xff;
    ring_post(b->ring, i);
}

static void prepare(Blk *b, unsigned i)
{
    uint64_t at = DATA + (uint64_t)i * SLOT_SIZE;
    uint64_t data = DATA + (uint64_t)b->o->depth * SLOT_SIZE + (uint64_t)i * b->o->bytes;
    Desc *table = (Desc *)(b->load->ram + at);

    if (data + b->o->bytes > b->load->ram_size) {
        load_fail("%u requests of %u bytes need more RAM", b->o->depth, b->o->bytes);
    }
    memset(table, 0, SLOT_SIZE);
    table[0] = (Desc){ at + HEADER_AT, 16, DESC_NEXT, 1 };
    table[1] = (Desc){ data, b->o->bytes, DESC_NEXT | (b->o->write ? 0 : DESC_WRITE), 2 };
    table[2] = (Desc){ at + STATUS_AT, 1, DESC_WRITE, 0 };
    b->ring->desc[i] = (Desc){ at, 3 * sizeof(Desc), DESC_INDIRECT, 0 };
}

/* Takes what is over and submits as many again; whether anything was. */
static bool turn(Blk *b)
{
    bool any = false;
    uint32_t len;

    for (int head; (head = ring_take(b->ring, &len)) >= 0; any = true) {
        if (slot(b, head)[STATUS_AT] != 0) {
            load_fail("request %d ended with status %u", head, slot(b, head)[STATUS_AT]);
        }
        b->done++;
        submit(b, head);
    }
    if (any) {
        ring_wait_next(b->load, b->ring);
        ring_show(b->ring);
    }
    return any;
}

static bool answered(void *opaque)
{
    return turn(opaque);
}

static void run_until(Blk *b, double end)
{
    double last = load_now(), now = last;

    for (unsigned idle = 0; now < end; idle++) {
        if (turn(b)) {
            idle = 0;
            last = now;
        } else {
            ring_relax(idle);
        }
        if ((idle & 63) == 0) {
            now = load_now();
        }
        if (now - last > PATIENCE) {
            load_fail("no answer for %.0f seconds", PATIENCE);
        }
    }
}


void load_blk(Load *load, const BlkOptions *options)
{
    Blk b = { load, options, &load->rings[0], 88172645463325252u, 0, 0 };

    if (options->depth < 1 || options->depth > b.ring->size || options->disk < options->bytes) {
        load_fail("--depth is up to the ring's size, and a disk has at least one block");
    }
    for (unsigned i = 0; i < options->depth; i++) {
        prepare(&b, i);
    }
    submit(&b, 0);
    ring_show(b.ring);
    if (!ring_find_kick(load, b.ring, answered, &b)) {
        load_fail("no eventfd starts the queue");
    }
    for (unsigned i = 1; i < options->depth; i++) {
        submit(&b, i);
    }
    ring_show(b.ring);
    run_until(&b, load_now() + WARM_UP);
    uint64_t done = b.done, kicks = b.ring->kicks;
    double start = load_now(), cpu = load_cpu(load);
    run_until(&b, start + load->seconds);
    cpu = load_cpu(load) - cpu;
    double took = load_now() - start;
    printf("{\"requests\": %" PRIu64 ", \"seconds\": %.6f, \"cpu\": %.6f, \"kicks\": %" PRIu64 "}\n", b.done - done,
           took, cpu, b.ring->kicks - kicks);
}
