/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files that deal with poisoned pages. */
#ifndef SYSTEM_POISON_INTERNAL_H
#define SYSTEM_POISON_INTERNAL_H

#include <pthread.h>
#include "system/poison.h"

/* poison.c */
/* N7: found unreadable and put into the list, or replaced; one at a time. Taken before the list's lock. */
extern pthread_mutex_t poison_pages_lock;
void poison_tell_pending(void *opaque);
const PoisonTarget *poison_target(void);
/* The page's entry gets this guard; returns the old one, or guard if there is no entry. */
MemoryRegion *poison_entry_set_guard(RamBlock *block, uint64_t offset, MemoryRegion *guard);
/* A copy of the entry that holds offset; false if there is none. */
bool poison_entry_find(RamBlock *block, uint64_t offset, PoisonEntry *out);
/* What begins in the range is readable again. Guards go later, in the main thread. */
void poison_entries_remove(RamBlock *block, uint64_t offset, uint64_t len);

/* What the load that is going on says of the page of this entry: here, as soon as a part of it is; kept, if there is no load. */
RamContent poison_content(const PoisonEntry *e);
void poison_content_unwanted(const RamBlock *block, uint64_t offset);

/* ram_poison_refresh() under poison_pages_lock. */
bool poison_refresh_locked(RamBlock *block, uint64_t offset, GError **error);
/* poison-pages.c; opaque is the region */
void poison_free_guard(void *opaque);

/* ram.c: ram_block_from_host() for signal handlers, without an RCU section: a block that the thread has touched is
 * there. */
RamBlock *poison_block_from_host(const void *host, uint64_t *offset);

#endif
