/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option ROMs that have no BAR: the board hands them to its firmware when it is complete. Big lock. */
#ifndef HW_CORE_OPTION_ROM_H
#define HW_CORE_OPTION_ROM_H

#include <glib.h>

typedef struct OptionRom {
    char *path;
    bool vga;          /* to be run first, as the display's */
    int32_t bootindex; /* -1: none */
} OptionRom;

/* path is copied; whether it can be read is found out when the board asks. */
void option_rom_add(const char *path, bool vga, int32_t bootindex);
unsigned option_rom_count(void);
const OptionRom *option_rom_get(unsigned n);

#endif
