/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port 61h of a PC: gate and output of timer channel 2, and the speaker behind them. Big lock. */
#ifndef HW_MISC_PCSPK_H
#define HW_MISC_PCSPK_H

#include "hw/timer/i8254.h"

/* Makes the board's port; NULL with an error. */
Device *pcspk_new(IsaBus *bus, PitCommon *pit, GError **error);

#endif
