/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expansion ROMs. Private to hw/pci. */
#ifndef HW_PCI_PCI_ROM_H
#define HW_PCI_PCI_ROM_H

#include "hw/pci/pci.h"

/* Whether the properties make sense; before the device is realized. */
bool pci_rom_check(const PciDevice *dev, GError **error);
/* Finds romfile and makes a BAR with it, or hands it to the firmware; nothing without one. */
bool pci_rom_load(PciDevice *dev, GError **error);

#endif
