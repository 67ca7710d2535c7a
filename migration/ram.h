/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM in the stream. */
#ifndef MIGRATION_RAM_H
#define MIGRATION_RAM_H

#include "migration/section.h"
#include "system/memory.h"

extern const SectionHandlers ram_handlers;

/* Numbers of the present or last migration; any thread. */
typedef struct RamCounters {
    uint64_t total;       /* bytes of RAM that migrate */
    uint64_t remaining;   /* bytes */
    uint64_t zero_pages, normal_pages;
    uint64_t syncs;
    uint64_t dirty_pages_rate; /* per second, between the last two syncs */
} RamCounters;
void ram_save_counters(RamCounters *counters);

/* The destination's half of ram_handlers. */
bool ram_load_prepare(void *opaque, GError **error);
bool ram_load(VmReader *r, void *opaque, int version, GError **error);
void ram_load_cleanup(void *opaque);

/* Whether the block is left out of the stream's pages (x-ignore-shared). */
bool ram_block_ignored(const RamBlock *block);

#endif
