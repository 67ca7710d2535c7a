/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A simulated file for tests of formats: in memory, with a volatile cache, and with every request in
 * the test's hands.
 *
 * Opened as driver null-co, for which it stands in (sim_register()); the option `size` is the number
 * of the file. A request of the format above waits in `pending` until the test executes it, with or
 * without an error; an instant file executes at once. What was written is in the log until a flush
 * that was submitted afterwards ends well, or the write was FUA; a crash may lose any of it, in
 * pieces of 512 bytes.
 */
#ifndef TESTS_BLOCK_SIM_H
#define TESTS_BLOCK_SIM_H

#include <glib.h>
#include "block/block.h"

#define SIM_SECTOR 512u

typedef enum SimKind {
    SIM_READ,
    SIM_WRITE,
    SIM_ZERO,
    SIM_DISCARD,
    SIM_FLUSH,
    SIM_TRUNCATE,
    SIM_EVENT, /* of the format's: only with stop_at_events */
    SIM_KINDS
} SimKind;

typedef struct SimOp {
    SimKind kind;
    uint64_t offset, bytes; /* TRUNCATE: offset is the length; EVENT: offset is the event */
    IoVec *vec;
    size_t vec_offset;
    bool fua;
    unsigned mark; /* FLUSH: number of log entries that it covers */
    int ret;
    Coroutine *co;
} SimOp;

/* What may be lost. */
typedef struct SimEntry {
    SimKind kind; /* WRITE, ZERO or TRUNCATE */
    uint64_t offset, bytes;
    uint8_t *data; /* WRITE */
    bool durable;
} SimEntry;

typedef struct SimFile {
    GByteArray *now;    /* what reads see */
    GByteArray *stable; /* what a crash leaves for sure */
    GArray *log;        /* SimEntry, oldest first */
    unsigned log_base;  /* entries that have been folded into `stable` */
    GPtrArray *pending; /* SimOp, oldest first */
    bool instant, stop_at_events;
    bool forget; /* no crash is asked for: an instant file keeps no log */
    uint32_t request_align;
    bool no_zeroes; /* write_zeroes is not there */
    bool broken;    /* an instant file fails everything */
    unsigned executed, opened;
} SimFile;

#define SIM_FILES 64
extern SimFile sim_files[SIM_FILES];

void sim_register(void);
/* Contents are copied. */
void sim_reset(SimFile *f, const uint8_t *data, size_t size);
void sim_clear(SimFile *f);
/* Executes the op (in place i of pending) and lets its request go on. error: 0, or negative: then
 * `part` is how many of its sectors are written all the same. */
void sim_execute(SimFile *f, unsigned i, int error, unsigned part);
/* The file after a crash now. How much of what is not durable is there: */
typedef enum SimLoss {
    SIM_LOSE_ALL,
    SIM_LOSE_NOTHING,
    SIM_LOSE_ENTRIES, /* whole entries, by the bits of `choice` (then by `rand`) */
    SIM_LOSE_SECTORS, /* by rand */
} SimLoss;
GByteArray *sim_crash(const SimFile *f, SimLoss loss, uint64_t choice, GRand *rand);
/* Entries that a crash may lose, those of pending writes included. */
unsigned sim_volatile(const SimFile *f);

#endif
