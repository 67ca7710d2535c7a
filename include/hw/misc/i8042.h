/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8042 keyboard controller with PS/2 keyboard and mouse at ports 60h and 64h. Big lock. */
#ifndef HW_MISC_I8042_H
#define HW_MISC_I8042_H

#include "hw/isa/isa.h"

/* Makes the board's controller on IRQ 1 and 12; a20 is what its output port drives. NULL with an error. */
Device *i8042_new(IsaBus *bus, Irq *a20, GError **error);
/* Its devices (hw/misc/ps2.h). */
Device *i8042_keyboard(Device *i8042);
Device *i8042_mouse(Device *i8042);

#endif
