/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM in the stream. */
#ifndef MIGRATION_RAM_H
#define MIGRATION_RAM_H

#include <sys/uio.h>
#include "migration/section.h"
#include "system/memory.h"

extern const SectionHandlers ram_handlers;

/* Numbers of the present or last migration; any thread. */
typedef struct RamCounters {
    uint64_t total;     /* bytes of RAM that migrate */
    uint64_t remaining; /* bytes */
    uint64_t zero_pages, normal_pages;
    uint64_t syncs;
    uint64_t dirty_pages_rate; /* per second, between the last two syncs */
    struct {
        uint64_t pages, bytes; /* sent as differences; bytes of these */
        uint64_t misses, overflows;
        uint64_t asked; /* pages that the cache was asked for */
    } xbzrle;
} RamCounters;
void ram_save_counters(RamCounters *counters);

/* ---- postcopy on the source; the migration thread unless it says otherwise ---- */

/* All page sizes of blocks, or-ed. */
uint64_t ram_save_page_sizes(void);
/* After the last look: what the destination must forget goes out, and pages go out in whole pages of their blocks from then on. */
void ram_save_postcopy_begin(MigrationOut *out);
/* The guest over there waits for this. False with an error if there is no such piece. Main thread. */
bool ram_save_request(const char *name, uint64_t start, uint64_t len, GError **error);
/* Whether somebody waits. Any thread. */
bool ram_save_requested(void);
uint64_t ram_save_request_count(void);
/* Pages that are found to be lost from now on (P5): the destination is asked whether it understands RAM_LOST, and has
 * answered. Any thread; main thread. */
void ram_save_lost_asked(void);
void ram_save_lost_answered(bool knows);
/* Whether the answer is missing. */
bool ram_save_lost_unanswered(void);
/* Whether memory was given back to the host since the program's start (release-ram): the guest cannot run here. */
bool ram_save_released(void);
/* A new connection: asks for what has arrived. */
void ram_save_recover(MigrationOut *out);
/* Whether an answer of so many bytes of bitmap is what the block lacks; false with an error. Main thread. */
bool ram_save_expects_bitmap(const char *name, uint64_t len, GError **error);
/* It is here: the rest is to be sent again. Main thread. */
bool ram_save_arrived(const char *name, const uint8_t *bits, uint64_t len, GError **error);
/* Whether answers are missing. Any thread. */
bool ram_save_recovering(void);

/* The destination's half of ram_handlers. */
bool ram_load_prepare(void *opaque, GError **error);
bool ram_load(VmReader *r, void *opaque, int version, GError **error);
void ram_load_cleanup(void *opaque);

/* What other channels than the main stream need of the destination's half; any thread, between prepare and cleanup. */
typedef struct RamLoadBlock RamLoadBlock;
RamLoadBlock *ram_load_find(const char *name, GError **error);
/* Where a page's content goes; NULL with an error for what is not a page of the block, or not to be written. */
uint8_t *ram_load_address(RamLoadBlock *lb, uint64_t offset, GError **error);
/* The page's content comes now: the page can be written, or has been made so. */
bool ram_load_begin_page(RamLoadBlock *lb, uint64_t offset, GError **error);
/* The content is there already. */
void ram_load_touch(RamLoadBlock *lb, uint64_t offset);
/* It becomes zero, without a write if it is already. */
bool ram_load_zero(RamLoadBlock *lb, uint64_t offset, GError **error);
/* A read into guest memory has failed with EFAULT (and *failure): true if it was for pages that this host has lost, which
 * have been replaced: read again. Otherwise *failure says why not. */
bool ram_load_repair(const struct iovec *iov, unsigned n, GError **failure);

/* Whether the block is left out of the stream's pages (x-ignore-shared). */
bool ram_block_ignored(const RamBlock *block);

#endif
