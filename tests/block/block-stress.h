/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the tester of formats share: images, a run on one of them, checks of what is
 * left. docs/devel/block-testing.md. */
#ifndef TESTS_BLOCK_STRESS_H
#define TESTS_BLOCK_STRESS_H

#include "block/backend.h"
#include "block/image.h"
#include "model.h"
#include "sim.h"

/* An image to begin with; its disk reads as zeros. */
typedef struct StressImage {
    const char *format;
    char *name;
    GByteArray *bytes;
    uint32_t sectors;       /* of the disk */
    uint32_t block_sectors; /* unit of allocation */
    uint32_t align;         /* of the file's requests */
    bool write_back;        /* metadata, too: what was not flushed is lost when a close fails */
    bool lazy;              /* after a crash somebody has to open it for writing first */
    const char *open_with;  /* options of the driver, as in JSON with a comma behind; may be "" */
} StressImage;

/* All images of a format ("vdi", "qcow2", "raw"); the array is the program's. */
GPtrArray *stress_images(const char *format);

/* Files of sim_files[] that the parts use. */
enum { STRESS_FILE, STRESS_CRASH_FILE, STRESS_MAKE_FILE };

#define STRESS_SLOTS 8

struct StressRun;
typedef struct StressSlot {
    struct StressRun *run;
    bool used, cancelled;
    BlockAio *aio;
    ModelKind kind;
    bool is_read, is_flush;
    uint32_t op, first, count;
    int64_t began;
    uint8_t *buf;
    struct iovec iov;
    IoVec vec;
} StressSlot;

typedef struct StressRun {
    const StressImage *image;
    SimFile *file;
    BlockFront *front;
    Model model;
    GRand *rand;
    StressSlot slots[STRESS_SLOTS];
    unsigned busy;
    unsigned lag;    /* how much younger requests of the file come before older ones */
    char *violation; /* the first one */
    unsigned acked, failed, cancelled, reads;
} StressRun;

void stress_start(StressRun *run, const StressImage *image, guint32 seed);
void stress_stop(StressRun *run);
void stress_violation(StressRun *run, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Submits; false if there is no slot. */
bool stress_write(StressRun *run, uint32_t first, uint32_t count, bool fua);
bool stress_zero(StressRun *run, uint32_t first, uint32_t count, unsigned flags);
bool stress_discard(StressRun *run, uint32_t first, uint32_t count);
bool stress_read(StressRun *run, uint32_t first, uint32_t count);
bool stress_flush(StressRun *run);
void stress_cancel(StressRun *run, unsigned slot);

/* Lets callbacks and coroutines go on until only requests of the file are left. */
void stress_idle(void);
/* Closes (all requests have ended), opens again, compares, checks and repairs. */
void stress_reopen(StressRun *run, bool broken_close);
/* A crash now: opens what is left of it, compares, checks; sometimes goes on writing to it. */
void stress_crash(StressRun *run, SimLoss loss, uint64_t choice, bool go_on);

/* The parts. Each returns the number of violations, prints the first of each case with its seed. */
typedef struct StressPlan {
    const char *format; /* NULL: all */
    guint32 seed;
    uint64_t cases;
    bool verbose;
    bool stop_early; /* at the first violation */
} StressPlan;

typedef struct StressResult {
    uint64_t cases, states, violations, requests, failed;
} StressResult;

StressResult stress_errors(const StressPlan *plan);
StressResult stress_crashes(const StressPlan *plan);
StressResult stress_races(const StressPlan *plan);

/* --trace: every request. */
extern bool stress_trace;
/* Tells, with a limit. */
void stress_report(const StressPlan *plan, const StressRun *run, const char *part, guint32 seed);

#endif
