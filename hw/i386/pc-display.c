/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The graphics card of a PC. */
#include "util/osdep.h"

#include "pc-display.h"

#define FIRST_FREE (-1)

bool pc_display_init(PcMachine *pc, GError **error)
{
    const char *vga = pc->machine.vga;

    if (!vga) {
        vga = pc->machine.enable_defaults ? "std" : "none";
    }
    return strcmp(vga, "std") || pci_create(pc->pci, FIRST_FREE, false, "VGA", error);
}
