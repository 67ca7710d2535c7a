/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the guest's processors waited for pages in postcopy (the capability postcopy-blocktime): each, and all at the
 * same time.
 *
 * T1  A processor waits for one page at a time, from the moment at which its fault is read until the page is there.
 * T2  A page that comes between the look at what is there and blocktime_fault() has to be told of again, by who called that.
 */
#ifndef MIGRATION_BLOCKTIME_H
#define MIGRATION_BLOCKTIME_H

#include "qapi/types-migration.h"

/* threads: the host's ids of n processors' threads (0: it has none), in the processors' order. What was measured before is
 * forgotten. */
void blocktime_begin(const int *threads, unsigned n);
/* Whether it is measured. Any thread, as the next two. */
bool blocktime_active(void);
/* A thread waits for the page at this address; now in nanoseconds. Threads that are no processors' are of no interest. */
void blocktime_fault(int thread, const void *page, int64_t now_ns);
/* It is there. */
void blocktime_arrived(const void *page, int64_t now_ns);
/* Nobody waits any more; what was measured stays. Harmless if nothing is. */
void blocktime_end(int64_t now_ns);

/* What was measured, in milliseconds; false: nothing was since the program's start. Main thread. */
bool blocktime_result(uint32_t *all, Uint32Array **each);
void blocktime_forget(void);

#endif
