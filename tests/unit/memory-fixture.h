/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of guest memory share. */
#ifndef TESTS_UNIT_MEMORY_FIXTURE_H
#define TESTS_UNIT_MEMORY_FIXTURE_H

#include "system/memory.h"

#define KIB 1024

/* A RAM region without owner; memory_region_free() is the caller's. */
MemoryRegion *memory_new_ram(const char *name, uint64_t size);
/* Lets what RCU deferred happen: regions that were freed are gone afterwards. */
void memory_settle(void);

#endif
