/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of option ROMs. */
#include "util/osdep.h"

#include "hw/core/option-rom.h"

static GArray *roms; /* OptionRom */

void option_rom_add(const char *path, bool vga, int32_t bootindex)
{
    OptionRom rom = { g_strdup(path), vga, bootindex };

    if (!roms) {
        roms = g_array_new(FALSE, FALSE, sizeof(OptionRom));
    }
    g_array_append_val(roms, rom);
}

unsigned option_rom_count(void)
{
    return roms ? roms->len : 0;
}

const OptionRom *option_rom_get(unsigned n)
{
    return &g_array_index(roms, OptionRom, n);
}
