/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's disk controllers and the drives that -drive, -hda … put into them. */
#include "util/osdep.h"
#include "hw/i386/pc.h"

#include "block/backend.h"
#include "hw/ide/ide.h"

#define IDE_DEVFN PCI_DEVFN(1, 1)
#define IDE_CHANNELS 2

/* The empty drives that a PC has unless the user has others. */
static bool add_default_drives(const Machine *machine, GError **error)
{
    return !machine->default_cdrom || block_drive_find(BLOCK_IF_IDE, 1, 0) ||
           block_add_drive("index=2,media=cdrom", BLOCK_IF_IDE, error);
}

bool pc_storage_init(PcMachine *pc, GError **error)
{
    PciDevice *ide;

    if (!add_default_drives(&pc->machine, error)) {
        return false;
    }
    ide = pci_create(pc->pci, IDE_DEVFN, false, "piix3-ide", error);
    if (!ide) {
        return false;
    }
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        pc->ide[n] = piix_ide_bus(&ide->device, n);
        if (!ide_bus_attach_drives(pc->ide[n], n, error)) {
            return false;
        }
    }
    return true;
}
