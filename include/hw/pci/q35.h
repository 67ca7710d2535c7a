/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Q35 memory controller hub with the root complex's bus. Big lock. */
#ifndef HW_PCI_Q35_H
#define HW_PCI_Q35_H

#include "hw/pci/pci.h"

#define Q35_ECAM_ADDRESS UINT64_C(0xb0000000) /* where firmware puts the configuration window */
#define Q35_ECAM_SIZE (UINT64_C(256) << 20)

/* Creates the host bridge as child "q35" of parent with its bus "pcie.0" and the hub's own function at 00.0. ram is all of
 * guest RAM as mapped at 0; pci_memory becomes the PCI address space. NULL with an error. */
PciBus *q35_new(Object *parent, MemoryRegion *ram, MemoryRegion **pci_memory, GError **error);
/* Where the configuration window is now; false while the guest has not opened it. */
bool q35_ecam_window(PciBus *bus, uint64_t *base, uint64_t *size);

#endif
