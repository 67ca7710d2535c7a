/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network cards of a PC. */
#ifndef PC_NIC_H
#define PC_NIC_H

#include "hw/i386/pc.h"

/* Makes the cards that -nic, -net nic or the default ask for. */
bool pc_nic_init(PcMachine *pc, GError **error);

#endif
