/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_I386_PC_DISPLAY_H
#define HW_I386_PC_DISPLAY_H

#include "hw/i386/pc.h"

/* The graphics card that -vga names, or the default one. After the buses. */
bool pc_display_init(PcMachine *pc, GError **error);

#endif
