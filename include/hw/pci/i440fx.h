/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82441FX (440FX) host bridge and memory controller. Big lock. */
#ifndef HW_PCI_I440FX_H
#define HW_PCI_I440FX_H

#include "hw/pci/pci.h"

/* Creates the host bridge as child "i440fx" of parent with its root bus "pci.0" and the bridge's own function
 * at 00.0. ram is all of guest RAM as mapped at 0; pci_memory becomes the PCI address space. NULL with an error. */
PciBus *i440fx_new(Object *parent, MemoryRegion *ram, MemoryRegion **pci_memory, GError **error);

#endif
