/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scan codes. Pure functions. */
#ifndef HW_MISC_PS2_CODES_H
#define HW_MISC_PS2_CODES_H

#include "hw/misc/ps2.h"

#define PS2_MOST_CODES 8

/* The bytes that a key (hw/misc/ps2.h) sends in set 1, 2 or 3; 0 if it has none. */
unsigned ps2_codes(unsigned set, unsigned key, bool down, uint8_t codes[PS2_MOST_CODES]);
/* What the controller makes of a byte of set 2. */
uint8_t ps2_translate(uint8_t code);

#endif
