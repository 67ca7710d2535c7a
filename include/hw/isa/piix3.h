/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82371SB (PIIX3) PCI-to-ISA bridge: ISA bus, interrupt routing, reset control. Big lock. */
#ifndef HW_ISA_PIIX3_H
#define HW_ISA_PIIX3_H

#include "hw/isa/isa.h"
#include "hw/pci/pci.h"

/* Creates function 01.0 of bus with its ISA bus, and routes the PCI interrupts to lines[ISA_NUM_IRQS], which the
 * board fills and keeps (entries may come later). NULL with an error. */
IsaBus *piix3_new(PciBus *bus, Irq **lines, GError **error);

#endif
