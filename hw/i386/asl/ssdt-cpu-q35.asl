/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hot plug of processors, with the registers where the Q35 board has them. */
#define CPU_PORT 0x0CD8
#include "ssdt-cpu.asl"
