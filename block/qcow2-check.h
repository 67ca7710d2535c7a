/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the check of a qcow2 image knows: for each cluster of the file how many entries point to it. */
#ifndef BLOCK_QCOW2_CHECK_H
#define BLOCK_QCOW2_CHECK_H

#include "qcow2.h"

typedef struct Qcow2Check {
    Qcow2 *s;
    BlockCheckResult *result;
    uint32_t *refs; /* saturates */
    uint64_t n;     /* clusters of the file */
    unsigned long *leaked; /* clusters with one user whose count on disk is larger; NULL: none */
    bool quiet;     /* only counts */
    bool rebuild;   /* reference counts cannot be repaired in place */
    bool stats;     /* count clusters */
    uint64_t next;  /* where the next cluster would not be a fragment; 0: anywhere */
} Qcow2Check;

/* Counts everything but the reference counts' own clusters. */
int coroutine_fn qcow2_check_walk(Qcow2Check *c);
/* Those, too. */
int coroutine_fn qcow2_check_walk_refcounts(Qcow2Check *c);
/* The count on disk of cluster i, from the block in buf that covers it. */
int coroutine_fn qcow2_check_read_block(Qcow2Check *c, uint64_t index, uint8_t *buf);
bool qcow2_check_block_usable(const Qcow2Check *c, uint64_t index);

/* Counts in place; whole structure anew; COPIED of the active tables (fix: BLOCK_FIX_*; it may be missing where the count is
 * larger than it has to be, and comes back with BLOCK_FIX_LEAKS). */
int coroutine_fn qcow2_repair_counts(Qcow2Check *c, unsigned fix);
int coroutine_fn qcow2_rebuild_counts(Qcow2Check *c);
int coroutine_fn qcow2_check_copied(Qcow2Check *c, unsigned fix);

#endif
