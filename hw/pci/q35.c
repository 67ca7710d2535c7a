/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82Q35 memory controller hub (Intel 3 Series Express Chipset Family data sheet, order number 316966, chapter 5.1): host bridge
 * function, attribute map, SMRAM window, and the window through which configuration space is memory (PCI Express Base
 * Specification 2.0, 7.2.2, "ECAM").
 *
 * DRAM timing and rank boundaries are registers without effect. There is no system management mode, hence no TSEG.
 */
#include "util/osdep.h"
#include "hw/pci/q35.h"
#include "pci-host.h"
#include "util/bytes.h"
#include "util/error.h"

#define MCH_PCIEXBAR 0x60
#define MCH_PAM 0x90
#define MCH_SMRAM 0x9d
#define MCH_ESMRAMC 0x9e
#define PCIEXBAR_ENABLE 0x01
#define PCIEXBAR_LENGTH_SHIFT 1 /* two bits: 256, 128, 64 MiB, reserved */
#define PCIEXBAR_ADDRESS UINT64_C(0xffc000000)
#define SMRAM_D_OPEN 0x40
#define SMRAM_D_LCK 0x10
#define SMRAM_G_SMRAME 0x08
#define SMRAM_BASE 0xa0000
#define SMRAM_SIZE 0x20000
#define ECAM_FUNCTION_SIZE 4096

typedef struct Mch {
    PciDevice pci;
    MemoryRegion *ram, *pci_memory;
    PciBus *bus;
    PciPam pam;
    MemoryRegion *smram_pci;
    MemoryRegion *ecam;
} Mch;

/* ---- configuration space as memory ------------------------------------------------------------------------------ */

/* There is bus 0 only, and what is behind the first 256 bytes belongs to PCI Express functions. */
static bool ecam_address(hwaddr offset, int *devfn, unsigned *addr)
{
    *devfn = offset / ECAM_FUNCTION_SIZE & 0xff;
    *addr = offset % ECAM_FUNCTION_SIZE;
    return offset >> 20 == 0 && *addr < PCI_CONFIG_SIZE;
}

static uint64_t ecam_read(void *opaque, hwaddr offset, unsigned size)
{
    unsigned addr;
    int devfn;

    if (!ecam_address(offset, &devfn, &addr)) {
        return UINT64_MAX;
    }
    return pci_config_read(((Mch *)opaque)->bus, devfn, addr, size);
}

static void ecam_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    unsigned addr;
    int devfn;

    if (ecam_address(offset, &devfn, &addr)) {
        pci_config_write(((Mch *)opaque)->bus, devfn, addr, value, size);
    }
}

static const MemoryOps ecam_ops = {
    .read = ecam_read,
    .write = ecam_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 4 },
};

static bool mch_ecam_window(const Mch *s, uint64_t *base, uint64_t *size)
{
    uint64_t reg = load_le64(s->pci.config + MCH_PCIEXBAR);
    unsigned length = reg >> PCIEXBAR_LENGTH_SHIFT & 3;

    *size = Q35_ECAM_SIZE >> length;
    *base = reg & PCIEXBAR_ADDRESS & ~(*size - 1);
    return (reg & PCIEXBAR_ENABLE) && length < 3;
}

/* ---- the memory map --------------------------------------------------------------------------------------------- */

/* Brings the map in line with the registers. RAM lies below; views cover it. */
static void mch_update_map(Mch *s)
{
    const uint8_t *config = s->pci.config;
    uint64_t base, size;
    bool window = mch_ecam_window(s, &base, &size);

    memory_transaction_begin();
    pci_pam_update(&s->pam, config + MCH_PAM);
    memory_region_set_enabled(s->smram_pci, !((config[MCH_SMRAM] & SMRAM_D_OPEN) &&
                                              (config[MCH_SMRAM] & SMRAM_G_SMRAME)));
    memory_region_set_enabled(s->ecam, window);
    if (window) {
        memory_region_set_size(s->ecam, size);
        memory_region_set_address(s->ecam, base);
    }
    memory_transaction_commit();
}

/* Once locked, the window is closed until reset. */
static void mch_apply_lock(PciDevice *pci)
{
    if (pci->config[MCH_SMRAM] & SMRAM_D_LCK) {
        pci->config[MCH_SMRAM] &= ~SMRAM_D_OPEN;
        pci->wmask[MCH_SMRAM] = 0;
        pci->wmask[MCH_ESMRAMC] = 0;
    }
}

static void mch_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    if (pci_config_touches(addr, len, MCH_SMRAM, 1)) {
        mch_apply_lock(pci);
    }
    if (pci_config_touches(addr, len, MCH_PAM, PCI_PAM_REGISTERS) || pci_config_touches(addr, len, MCH_SMRAM, 1) ||
        pci_config_touches(addr, len, MCH_PCIEXBAR, 8)) {
        mch_update_map((Mch *)pci);
    }
}

/* ---- life cycle ------------------------------------------------------------------------------------------------- */

/* The attribute map stays, as with the installed stock programs: firmware that wakes from S3 finds itself in RAM. */
static void mch_reset(PciDevice *pci)
{
    store_le64(pci->config + MCH_PCIEXBAR, Q35_ECAM_ADDRESS);
    pci->config[MCH_SMRAM] = 0x02;
    pci->config[MCH_ESMRAMC] = 0x38;
    pci->wmask[MCH_SMRAM] = 0x78;
    pci->wmask[MCH_ESMRAMC] = 0x87;
    mch_update_map((Mch *)pci);
}

static bool mch_realize(PciDevice *pci, GError **error)
{
    Mch *s = (Mch *)pci;
    Object *owner = &pci->device.object;

    s->bus = pci_device_bus(pci);
    pci_pam_init(&s->pam, owner, s->ram, s->pci_memory);
    s->smram_pci =
        memory_region_new_alias(owner, "smram-region", s->pci_memory, SMRAM_BASE, SMRAM_SIZE);
    memory_region_map_overlap(system_memory(), SMRAM_BASE, s->smram_pci, 1);
    s->ecam = memory_region_new_io(owner, &ecam_ops, s, "pcie-mmcfg-mmio", Q35_ECAM_SIZE);
    memory_region_map_overlap(system_memory(), Q35_ECAM_ADDRESS, s->ecam, 0);
    mch_reset(pci);
    return true;
}

static void mch_unrealize(PciDevice *pci)
{
    Mch *s = (Mch *)pci;

    pci_pam_free(&s->pam);
    memory_region_free(s->smram_pci);
    memory_region_free(s->ecam);
}

/* Migration notes. The memory map and the lock follow from the configuration space. */
static bool mch_post_load(void *opaque, int version, GError **error)
{
    mch_apply_lock(opaque);
    mch_update_map(opaque);
    return true;
}

static const VmState vmstate_mch = {
    .name = "mch",
    .version = 1,
    .minimum_version = 1,
    .post_load = mch_post_load,
    .fields = (const VmField[]){ { .name = "parent_obj",
                                   .offset = offsetof(Mch, pci),
                                   .size = sizeof(PciDevice),
                                   .vmstate = &vmstate_pci_device },
                                 VM_UNUSED(1),
                                 VM_END },
};

static const PciDeviceOps mch_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x29c0,
    .class_id = 0x0600,
    .realize = mch_realize,
    .unrealize = mch_unrealize,
    .reset = mch_reset,
    .config_written = mch_config_written,
};

static const DeviceType mch_type = {
    .object = {
        .name = "mch",
        .parent = &pci_device_type.object,
        .size = sizeof(Mch),
        .description = "Host bridge",
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_mch),
    .ops = &mch_ops,
};
DEVICE_REGISTER(mch_type);

/* ---- the host bridge with its ports ----------------------------------------------------------------------------- */

static const DeviceType q35_host_type = {
    .object = {
        .name = "q35-pcihost",
        .parent = &pci_host_type.object,
        .size = sizeof(PciHost),
        .properties = (const Property[]){
            PROPERTY_SIZE("pci-hole64-size", PciHost, hole64_size, "34359738368", NULL),
            {}
        },
    },
    .bus = &system_bus_type,
    .firmware_name = "pci@i0cf8",
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
};
DEVICE_REGISTER(q35_host_type);

static Mch *mch_new(PciBus *bus, MemoryRegion *ram, MemoryRegion *pci_memory, GError **error)
{
    Mch *mch = (Mch *)device_new(&mch_type);

    mch->ram = ram;
    mch->pci_memory = pci_memory;
    mch->pci.devfn = PCI_DEVFN(0, 0);
    if (!device_realize(&mch->pci.device, (Bus *)bus, error)) {
        object_unref(mch);
        return NULL;
    }
    return mch;
}

/* Sections stand in stock's order: the hub's own, the ports', the bus's. */
PciBus *q35_new(Object *parent, MemoryRegion *ram, MemoryRegion **pci_memory, GError **error)
{
    PciHost *host = (PciHost *)device_new(&q35_host_type);
    PciBus *bus;

    *pci_memory = memory_region_new_container(NULL, "pci", UINT64_MAX);
    memory_region_map_overlap(system_memory(), 0, *pci_memory, -1);
    bus = pcie_root_bus_new(&host->device, "pcie.0", *pci_memory, system_io());
    host->bus = bus;
    if (!object_add_child(parent, "q35", &host->device.object, error) ||
        !mch_new(bus, ram, *pci_memory, error) ||
        !device_realize(&host->device, system_bus(), error)) {
        object_unref(host);
        return NULL;
    }
    pcie_root_bus_register_state(bus);
    return bus;
}

bool q35_ecam_window(PciBus *bus, uint64_t *base, uint64_t *size)
{
    return mch_ecam_window((Mch *)pci_bus_find(bus, PCI_DEVFN(0, 0)), base, size);
}
