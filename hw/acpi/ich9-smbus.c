/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICH9 function 1f.3, the SMBus host controller (Intel ICH9 data sheet, order number 316972, chapter 20): its registers in I/O
 * BAR 4 while HOSTC enables it.
 */
#include "util/osdep.h"

#include "hw/acpi/ich9.h"
#include "util/error.h"

#define SMB_DEVFN PCI_DEVFN(31, 3)
#define SMB_BAR 4
#define SMB_BAR_SIZE 64
#define SMB_HOSTC 0x40
#define HOSTC_ENABLE 0x01
#define HOSTC_MASK 0xf7 /* a soft reset is over at once */

typedef struct Ich9Smbus {
    PciDevice pci;
    SmbusHost smb;
    bool irq_enabled; /* in the stream; the host controller's interrupts go nowhere */
} Ich9Smbus;

static void update_enable(Ich9Smbus *s)
{
    memory_region_set_enabled(s->smb.ports, s->pci.config[SMB_HOSTC] & HOSTC_ENABLE);
}

static void ich9_smbus_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    if (addr <= SMB_HOSTC && addr + len > SMB_HOSTC) {
        update_enable((Ich9Smbus *)pci);
    }
}

static void ich9_smbus_reset(PciDevice *pci)
{
    Ich9Smbus *s = (Ich9Smbus *)pci;

    pci->config[SMB_HOSTC] = 0;
    s->irq_enabled = false;
    smbus_host_reset(&s->smb);
    s->smb.auxctl = 0; /* blocks go byte by byte until the guest chooses the buffer */
    update_enable(s);
}

static bool ich9_smbus_realize(PciDevice *pci, GError **error)
{
    Ich9Smbus *s = (Ich9Smbus *)pci;

    pci->wmask[SMB_HOSTC] = HOSTC_MASK;
    smbus_host_init(&s->smb, &pci->device);
    pci_set_bar(pci, SMB_BAR, PCI_BAR_SPACE_IO, s->smb.ports, SMB_BAR_SIZE);
    update_enable(s);
    return true;
}

static void ich9_smbus_unrealize(PciDevice *pci)
{
    smbus_host_cleanup(&((Ich9Smbus *)pci)->smb);
}

/* Migration notes. Transfers are never in progress between two steps (smbus.c). */
static bool ich9_smbus_post_load(void *opaque, int version, GError **error)
{
    update_enable(opaque);
    return true;
}

static const VmState vmstate_ich9_smbus = {
    .name = "ich9_smb",
    .version = 1,
    .minimum_version = 1,
    .post_load = ich9_smbus_post_load,
    .fields =
        (const VmField[]){ VM_NAMED_STRUCT("dev", Ich9Smbus, pci, vmstate_pci_device, PciDevice),
                           VM_BOOL(Ich9Smbus, irq_enabled),
                           VM_STRUCT(Ich9Smbus, smb, vmstate_smbus_host, SmbusHost), VM_END },
};

static const PciDeviceOps ich9_smbus_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x2930,
    .class_id = 0x0c05,
    .revision = 0x02,
    .interrupt_pin = 1,
    .realize = ich9_smbus_realize,
    .unrealize = ich9_smbus_unrealize,
    .reset = ich9_smbus_reset,
    .config_written = ich9_smbus_config_written,
};

static const DeviceType ich9_smbus_type = {
    .object = {
        .name = "ICH9-SMB",
        .parent = &pci_device_type.object,
        .size = sizeof(Ich9Smbus),
        .description = "ICH9 SMBUS Bridge",
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_ich9_smbus),
    .ops = &ich9_smbus_ops,
};
DEVICE_REGISTER(ich9_smbus_type);

Bus *ich9_smbus_new(PciBus *bus, GError **error)
{
    PciDevice *dev = pci_create(bus, SMB_DEVFN, true, ich9_smbus_type.object.name, error);

    return dev ? ((Ich9Smbus *)dev)->smb.bus : NULL;
}
