/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pvpanic: what its ISA and PCI forms share (docs/specs/pvpanic of the interface). Big lock. */
#ifndef HW_MISC_PVPANIC_H
#define HW_MISC_PVPANIC_H

#include "system/memory.h"

/* Bits of the event register: reading tells which the device knows, writing reports. */
enum { PVPANIC_PANICKED = 1 << 0, PVPANIC_CRASH_LOADED = 1 << 1 };
#define PVPANIC_EVENTS (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

/* The register, size bytes of which the first counts. events must outlive it. */
MemoryRegion *pvpanic_region_new(Object *owner, uint8_t *events, unsigned size);

#endif
