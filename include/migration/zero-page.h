/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages are zero, if possible without looking at them. */
#ifndef MIGRATION_ZERO_PAGE_H
#define MIGRATION_ZERO_PAGE_H

#include <glib.h>
#include "system/memory.h"

/* Whether a page (GUEST_PAGE_SIZE, aligned) is all zero. */
bool page_is_zero(const void *page);

/* The same, one way of looking. Those that this processor has, fastest first: it is the one that is used, the others are for
 * tests. Returns how many. */
typedef bool PageScan(const void *page);
#define PAGE_SCANS_MAX 3
unsigned page_scans(PageScan *scans[PAGE_SCANS_MAX]);

/*
 * Private anonymous memory that was never written has no pages: the kernel's page map tells, and looking there
 * is a hundred times faster than reading zeros (and does not make the kernel map any). One per user; a
 * file-backed or shared block is never untouched.
 */
typedef struct PageMap PageMap;
/* NULL where the kernel does not let us. */
PageMap *page_map_open(void);
void page_map_close(PageMap *map);
bool page_map_covers(const RamBlock *block);
/* Sets the bits (from bit 0 of untouched on) of those of the n (<= 4096) pages from offset on that were never
 * written. False: unknown, treat all as touched. */
bool page_map_untouched(PageMap *map, const RamBlock *block, uint64_t offset, unsigned n,
                        unsigned long *untouched);

#endif
