/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82441FX PCI and memory controller (Intel 440FX data sheet, order number 290549): configuration mechanism #1
 * on ports CF8h/CFCh, the programmable attribute map of C0000h-FFFFFh and the SMRAM window.
 *
 * DRAM timing and row boundaries are registers without effect: how much RAM there is, firmware learns elsewhere.
 */
#include "util/osdep.h"
#include "hw/pci/i440fx.h"
#include "pci-host.h"
#include "util/error.h"

#define I440FX_PAM 0x59 /* seven registers, two segments each but the first */
#define I440FX_SMRAM 0x72
#define SMRAM_D_OPEN 0x40
#define SMRAM_D_LCK 0x10
#define SMRAM_G_SMRAME 0x08
#define SMRAM_BASE 0xa0000
#define SMRAM_SIZE 0x20000

/* ---- configuration ports ---------------------------------------------------------------------------------- */

static const DeviceType i440fx_host_type = {
    .object = {
        .name = "i440FX-pcihost",
        .parent = &pci_host_type.object,
        .size = sizeof(PciHost),
        .properties = (const Property[]){
            PROPERTY_SIZE("pci-hole64-size", PciHost, hole64_size, "2147483648", NULL),
            {}
        },
    },
    .bus = &system_bus_type,
    .firmware_name = "pci@i0cf8",
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
};
DEVICE_REGISTER(i440fx_host_type);

/* ---- the bridge's own function ------------------------------------------------------------------------------ */

typedef struct I440Fx {
    PciDevice pci;
    MemoryRegion *ram, *pci_memory;
    PciPam pam;
    MemoryRegion *smram_pci;
} I440Fx;

/* Brings the map in line with the attribute and SMRAM registers. RAM lies below; views cover it. */
static void i440fx_update_map(I440Fx *s)
{
    const uint8_t *config = s->pci.config;

    memory_transaction_begin();
    pci_pam_update(&s->pam, config + I440FX_PAM);
    memory_region_set_enabled(s->smram_pci, !((config[I440FX_SMRAM] & SMRAM_D_OPEN) &&
                                              (config[I440FX_SMRAM] & SMRAM_G_SMRAME)));
    memory_transaction_commit();
}

static void i440fx_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    I440Fx *s = (I440Fx *)pci;

    if (addr < I440FX_SMRAM + 1 && addr + len > I440FX_PAM) {
        if (pci->config[I440FX_SMRAM] & SMRAM_D_LCK) {
            /* Locked until reset, and closed. */
            pci->config[I440FX_SMRAM] &= ~SMRAM_D_OPEN;
            pci->wmask[I440FX_SMRAM] = 0;
        }
        i440fx_update_map(s);
    }
}

/* The attributes stay, as with stock: firmware that has moved itself into RAM knows by what it left there that this is no first start, and
 * finds its way to a guest that wakes. */
static void i440fx_reset(PciDevice *pci)
{
    pci->config[I440FX_SMRAM] = 0x02;
    pci->wmask[I440FX_SMRAM] = 0x78;
    i440fx_update_map((I440Fx *)pci);
}

static bool i440fx_realize(PciDevice *pci, GError **error)
{
    I440Fx *s = (I440Fx *)pci;
    Object *owner = &pci->device.object;

    pci_pam_init(&s->pam, owner, s->ram, s->pci_memory);
    s->smram_pci =
        memory_region_new_alias(owner, "smram-region", s->pci_memory, SMRAM_BASE, SMRAM_SIZE);
    memory_region_map_overlap(system_memory(), SMRAM_BASE, s->smram_pci, 1);
    pci->config[0x57] = 0x10;
    i440fx_reset(pci);
    return true;
}

static void i440fx_unrealize(PciDevice *pci)
{
    I440Fx *s = (I440Fx *)pci;

    pci_pam_free(&s->pam);
    memory_region_free(s->smram_pci);
}

/* Migration notes. The memory map follows from the configuration space. */
static bool i440fx_post_load(void *opaque, int version, GError **error)
{
    i440fx_config_written(opaque, I440FX_SMRAM, 1);
    return true;
}

static const VmState vmstate_i440fx = {
    .name = "I440FX",
    .version = 3,
    .minimum_version = 3,
    .post_load = i440fx_post_load,
    .fields = (const VmField[]){ { .name = "parent_obj",
                                   .offset = offsetof(I440Fx, pci),
                                   .size = sizeof(PciDevice),
                                   .vmstate = &vmstate_pci_device },
                                 VM_UNUSED(1),
                                 VM_END },
};

static const PciDeviceOps i440fx_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x1237,
    .class_id = 0x0600,
    .revision = 0x02,
    .realize = i440fx_realize,
    .unrealize = i440fx_unrealize,
    .reset = i440fx_reset,
    .config_written = i440fx_config_written,
};

static const DeviceType i440fx_type = {
    .object = {
        .name = "i440FX",
        .parent = &pci_device_type.object,
        .size = sizeof(I440Fx),
        .description = "Host bridge",
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_i440fx),
    .ops = &i440fx_ops,
};
DEVICE_REGISTER(i440fx_type);

PciBus *i440fx_new(Object *parent, MemoryRegion *ram, MemoryRegion **pci_memory, GError **error)
{
    PciHost *host = (PciHost *)device_new(&i440fx_host_type);
    I440Fx *bridge;

    if (!object_add_child(parent, "i440fx", &host->device.object, error) ||
        !device_realize(&host->device, system_bus(), error)) {
        object_unref(host);
        return NULL;
    }
    *pci_memory = memory_region_new_container(NULL, "pci", UINT64_MAX);
    memory_region_map_overlap(system_memory(), 0, *pci_memory, -1);
    host->bus = pci_root_bus_new(&host->device, "pci.0", *pci_memory, system_io());

    bridge = (I440Fx *)device_new(&i440fx_type);
    bridge->ram = ram;
    bridge->pci_memory = *pci_memory;
    bridge->pci.devfn = PCI_DEVFN(0, 0);
    if (!device_realize(&bridge->pci.device, (Bus *)host->bus, error)) {
        object_unref(bridge);
        return NULL;
    }
    return host->bus;
}
