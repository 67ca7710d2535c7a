/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ISA devices of the PC boards. Big lock. */
#ifndef HW_I386_PC_ISA_H
#define HW_I386_PC_ISA_H

#include "hw/i386/pc.h"

/* Makes them, in the order in which stock makes them (the order of sections): timers and clock, speaker, serial and
 * parallel ports, [floppy], keyboard controller, port 92h. */
bool pc_isa_init(PcMachine *pc, IsaBus *isa, GError **error);

#endif
