/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host bridges of PCs share. Private to hw/pci. Big lock. */
#ifndef HW_PCI_PCI_HOST_H
#define HW_PCI_PCI_HOST_H

#include "hw/pci/pci.h"

/* "pci-host-bridge": ports CF8h and CFCh, and the index between them in section "PCIHost". */
typedef struct PciHost {
    Device device;
    uint32_t config_reg;
    PciBus *bus; /* set by the derived type; its devices are reached through the ports */
    MemoryRegion *index_port, *data_port;
    uint64_t hole64_size; /* property of the derived types: PCI memory above RAM */
    bool config_reg_migration;
} PciHost;

extern const DeviceType pci_host_type;
/* For a derived type with a realize of its own. */
bool pci_host_realize(Device *dev, GError **error);
void pci_host_unrealize(Device *dev);

#define PCI_PAM_REGISTERS 7
#define PCI_PAM_SEGMENTS 13

/*
 * The programmable attribute map: thirteen segments of C0000h-FFFFFh, each seen by its two bits as PCI or as RAM. A segment's
 * view: 0 PCI, 1 read-only RAM, 2 PCI (RAM cannot be write-only in the map; reads win), 3 RAM.
 */
typedef struct PciPam {
    MemoryRegion *pci[PCI_PAM_SEGMENTS], *rom[PCI_PAM_SEGMENTS];
} PciPam;

/* ram is guest RAM as mapped at 0. The views are owned by owner; pci_pam_free() in its unrealize. */
void pci_pam_init(PciPam *pam, Object *owner, MemoryRegion *ram, MemoryRegion *pci_memory);
void pci_pam_free(PciPam *pam);
/* Brings the map in line with the seven registers. */
void pci_pam_update(PciPam *pam, const uint8_t registers[PCI_PAM_REGISTERS]);

#endif
