/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM blocks for those who make them: memory backends. What everybody else needs is in system/memory.h.
 */
#ifndef SYSTEM_RAM_H
#define SYSTEM_RAM_H

#include "system/memory.h"

typedef struct RamBlockOptions {
    bool shared;       /* MAP_SHARED */
    bool readonly;     /* mapped PROT_READ: writes of the guest are refused */
    bool reserve;      /* swap space is reserved (no MAP_NORESERVE) */
    bool prealloc;     /* touch every page now */
    bool merge;        /* madvise MERGEABLE */
    bool no_dump;      /* madvise DONTDUMP */
    uint64_t align;    /* of the host address; 0: fitting */
    int fd;            /* -1: anonymous; otherwise owned by the block from a successful return on */
    uint64_t fd_offset;
    uint64_t max_size; /* more than size: it can be resized, up to that */
} RamBlockOptions;

/* A block of size bytes (rounded up to the page size of what backs it) under an id that no other block has.
 * NULL with an error. Give it to memory_region_new_ram_block(). Big lock. */
RamBlock *ram_block_new_full(const char *idstr, uint64_t size, const RamBlockOptions *options,
                             GError **error);

/* Another size, up to max_size: what an incoming stream says before the first page. Contents stay, what is cut off reads
 * zero when it comes back. Big lock; not while the block is mapped or dirty logging is on. */
bool ram_block_resize(RamBlock *block, uint64_t size, GError **error);

#endif
