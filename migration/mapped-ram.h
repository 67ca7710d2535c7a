/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapped-ram: a file in which each page of RAM has its place, so that a page that is sent again replaces itself and the
 * file is not longer than the memory. In the list of blocks each has a header behind its length (be32 1, be64 4096, be64
 * offset of its bitmap, be64 offset of its pages), its bitmap (little-endian), and room up to the next one; pages begin at
 * a multiple of 1 MiB. A page whose bit is clear is zero. Sections of RAM have nothing in them.
 *
 * Pages are written and read by several threads with multifd, each with an open of the file of its own, which goes past the page
 * cache with direct-io. The file is the same.
 *
 * Y1  A bit of the bitmap is what was written last: set and in the file, or clear. The bitmaps are written at the end.
 * Y2  A page is in one piece of work at most: what is given is waited for before the dirty bitmap is gone through again.
 * Y3  What the file says is foreign: each place in it is checked against those before, and against the memory.
 */
#ifndef MIGRATION_MAPPED_RAM_H
#define MIGRATION_MAPPED_RAM_H

#include "out.h"
#include "ram-load.h"

#define MAPPED_HEADER_BYTES 28
#define MAPPED_VERSION 1
#define MAPPED_ALIGN (UINT64_C(1) << 20)

/* ---- source: the migration thread, unless it says otherwise ------------------------------------------------------ */

/* Pages that are given at once: eight words of a bitmap. */
#define MAPPED_CHUNK 512

typedef struct MappedBlock {
    uint64_t bitmap_at, pages_at;
    unsigned long *written; /* by words, each of which is in one piece of work at most (Y2) */
} MappedBlock;

/* Pages go to these n opens of the file (taken, not the array) until mapped_ram_stop(), by a thread each, or (one, without
 * threads) by the migration thread. Main thread. */
bool mapped_ram_start(IoChannel **channels, unsigned n, bool threads, GError **error);
/* Main thread; harmless if it was not started. */
void mapped_ram_stop(void);
/* Whether the migration is to such a file, and whether by threads. Any thread. */
bool mapped_ram_active(void);
bool mapped_ram_threads(void);
/* Behind a block's length: header and room. False with an error. */
bool mapped_ram_put_block(MigrationOut *out, MappedBlock *mb, const RamBlock *block,
                          GError **error);
/* The pages of a chunk that have their bits set, of which those in zero are known to be; look: whether others are looked for.
 * False once something has failed. */
bool mapped_ram_put_chunk(MappedBlock *mb, const RamBlock *block, uint64_t first,
                          const unsigned long *bits, const unsigned long *zero, bool look,
                          GError **error);
/* Until all that was given is in the file (Y2). */
bool mapped_ram_wait(GError **error);
bool mapped_ram_ok(void);
bool mapped_ram_put_bitmap(MigrationOut *out, const MappedBlock *mb, const RamBlock *block,
                           GError **error);
/* Bytes of pages so far; any thread. */
uint64_t mapped_ram_bytes(void);
/* Pages that were zero, and others, since the last call. */
void mapped_ram_take_counts(uint64_t *zero, uint64_t *normal);

/* ---- destination: the loader's thread, unless it says otherwise ------------------------------------------------------- */

/* The file is read by `headers` (a reference is taken) and, for pages, by these n opens of it (taken), as above. Main thread. */
bool mapped_ram_load_start(IoChannel *headers, IoChannel **channels, unsigned n, bool threads,
                           GError **error);
/* Main thread; harmless if it was not started. */
void mapped_ram_load_stop(void);
/* Behind a block's length: reads header, bitmap and pages, and goes on behind them. */
bool mapped_ram_load_block(VmReader *r, RamLoadBlock *lb, GError **error);

#endif
