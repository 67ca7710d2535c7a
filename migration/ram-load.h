/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A RAM block on the destination, between the files that load it. */
#ifndef MIGRATION_RAM_LOAD_H
#define MIGRATION_RAM_LOAD_H

#include "ram.h"

struct RamLoadBlock {
    RamBlock *block;
    unsigned long *untouched; /* pages that nobody ever wrote: zero already. NULL: unknown */
    unsigned long *arrived;   /* pages whose content has begun to come (L3); atomic */
    /* Postcopy, a bit a guest page, atomic; NULL without. */
    unsigned long *received;  /* the page is there */
    unsigned long *requested; /* the fault thread has asked for it */
};

/* All blocks that take part in a load. */
typedef bool RamLoadFunc(RamLoadBlock *lb, void *opaque);
bool ram_load_foreach(RamLoadFunc *func, void *opaque);
/* What was read half is forgotten: a new connection begins. */
void ram_load_restart(void);

#endif
