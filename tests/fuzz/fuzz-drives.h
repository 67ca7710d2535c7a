/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of devices with drives share: what is in the drives. */
#ifndef TESTS_FUZZ_DRIVES_H
#define TESTS_FUZZ_DRIVES_H

#include "block/backend.h"

/* The nodes "disc", which is read-only, and "disk": both of so many bytes that are zeros. */
static inline void fuzz_drives_init(unsigned size)
{
    g_autofree char *disc = g_strdup_printf(
        "driver=null-co,node-name=disc,size=%u,read-zeroes=on,read-only=on", size);
    g_autofree char *disk =
        g_strdup_printf("driver=null-co,node-name=disk,size=%u,read-zeroes=on", size);

    if (!block_add_blockdev(disc, NULL) || !block_add_blockdev(disk, NULL)) {
        abort();
    }
}

/* Opens the tray of the first CD drive (what & 10h; & 20h: though it is locked) or closes it. */
static inline void fuzz_change_disc(unsigned what)
{
    BlockFront *front = front_next(NULL);

    while (front && !(front_device(front) && front_is_read_only(front))) {
        front = front_next(front);
    }
    if (!front) {
        return;
    }
    if (what & 0x10) {
        front_open_tray(front, what & 0x20, NULL);
    } else {
        front_close_tray(front, NULL);
    }
}

#endif
