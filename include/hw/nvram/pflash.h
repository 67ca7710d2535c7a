/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NOR flash with the Common Flash Interface and the command set of Intel and Sharp. Big lock. */
#ifndef HW_NVRAM_PFLASH_H
#define HW_NVRAM_PFLASH_H

#include "block/backend.h"
#include "hw/core/device.h"
#include "system/memory.h"

/* A device with its drive (name of a front or node, where writes go), not realized: who makes it has to know how large the image is. */
Device *pflash_cfi01_new(const char *drive, GError **error);
/* Its front; NULL without a drive. */
BlockFront *pflash_cfi01_front(Device *dev);
/* Puts it at /machine/NAME (also the name of its RAM block): `size` bytes in blocks of `sector` bytes, a divisor; the image has as
 * many. Takes over the reference, also if it fails. The flash is not mapped yet. */
bool pflash_cfi01_complete(Device *dev, Object *machine, const char *name, uint64_t size, uint32_t sector,
                           GError **error);
/* What to map. */
MemoryRegion *pflash_cfi01_region(Device *dev);
/* The contents, as the guest reads them. */
const void *pflash_cfi01_contents(Device *dev);

#endif
