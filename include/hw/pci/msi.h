/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI (PCI Local Bus Specification 3.0, chapter 6.8.1): one message with a 64-bit address, not maskable. Its registers are in
 * configuration space and travel with it. Big lock.
 */
#ifndef HW_PCI_MSI_H
#define HW_PCI_MSI_H

#include "hw/pci/pci.h"

/* Makes the capability at offset (0: the next free place); in realize. False with an error leaves nothing. */
bool msi_init(PciDevice *dev, unsigned offset, GError **error);
/* In the device's reset. */
void msi_reset(PciDevice *dev);
bool msi_enabled(const PciDevice *dev);
/* Sends the message, while MSI is enabled. */
void msi_notify(PciDevice *dev);

#endif
