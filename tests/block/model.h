/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which contents of a disk are legal, sector by sector.
 *
 * Every request that changes the disk is an op with a number, which is what its sectors hold (0 and
 * ops of zeros: zeros). Time is a counter of events. Op A is superseded by B if B was acknowledged
 * and began after A ended: then a later reader must not see A. An op that failed may have happened or
 * not; one that has not ended, too; a discard leaves what was there, or zeros.
 *
 *   a read that began at t     sees an op that is not superseded by one that ended before t
 *   a reader after a crash     sees an op that is not superseded by a durable one: acknowledged with
 *                              FUA, or before a flush began that was acknowledged
 */
#ifndef TESTS_BLOCK_MODEL_H
#define TESTS_BLOCK_MODEL_H

#include <glib.h>

#define MODEL_SECTOR 512u

typedef enum ModelKind { MODEL_INITIAL, MODEL_WRITE, MODEL_ZERO, MODEL_DISCARD } ModelKind;
typedef enum ModelEnd { MODEL_RUNS, MODEL_ACKED, MODEL_FAILED } ModelEnd;

typedef struct ModelOp {
    ModelKind kind;
    ModelEnd end;
    bool fua, durable;
    int64_t began, ended; /* ended: INT64_MAX while it runs */
    uint32_t first, count;
} ModelOp;

typedef struct Model {
    uint32_t sectors;
    GArray *ops;       /* ModelOp by number; 0 is the initial contents: zeros */
    GArray **contents; /* by sector: numbers of ops that may be seen there, oldest first */
    int64_t now;
    int64_t
        oldest_read; /* when the oldest read that runs began; INT64_MAX: none. Set by the user */
} Model;

void model_init(Model *m, uint32_t sectors);
void model_clear(Model *m);
uint32_t model_begin(Model *m, ModelKind kind, uint32_t first, uint32_t count, bool fua);
void model_end(Model *m, uint32_t op, bool ok);
/* It never started, and has no effect. */
void model_cancelled(Model *m, uint32_t op);
int64_t model_time(Model *m);
/* A flush that began then was acknowledged. */
void model_flushed(Model *m, int64_t began);

/* A write's data: the number of the op and of the sector. */
void model_fill(uint8_t *buf, uint32_t op, uint32_t first, uint32_t count);
/* What is in a sector: an op's number, 0 for zeros, -1 for anything else. */
int64_t model_value(const uint8_t *buf, uint32_t sector);

/* NULL if legal, else a text that says what is wrong (g_free). */
char *model_check_read(Model *m, uint32_t sector, const uint8_t *buf, int64_t began);
char *model_check_crash(Model *m, uint32_t sector, const uint8_t *buf);
/* All ops have ended and the sector holds what is in buf: from now on it is that. */
void model_pin(Model *m, uint32_t sector, const uint8_t *buf);

#endif
