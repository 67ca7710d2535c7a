/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration mechanism #1 on ports CF8h/CFCh (PCI Local Bus Specification 3.0, 3.2.2.3.2), and the programmable attribute
 * map of C0000h-FFFFFh that the 440FX and its successors have.
 */
#include "util/osdep.h"
#include "pci-host.h"
#include "util/error.h"

static uint64_t index_read(void *opaque, hwaddr offset, unsigned size)
{
    PciHost *s = opaque;

    return offset == 0 && size == 4 ? s->config_reg : 0;
}

/* Only a double word access reaches the register. */
static void index_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    PciHost *s = opaque;

    if (offset == 0 && size == 4) {
        s->config_reg = value;
    }
}

static const MemoryOps index_ops = {
    .read = index_read,
    .write = index_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 4 },
};

static bool config_address(const PciHost *s, hwaddr offset, int *devfn, unsigned *addr)
{
    *devfn = s->config_reg >> 8 & 0xff;
    *addr = (s->config_reg & 0xfc) | (offset & 3);
    /* Enabled, and on bus 0: there is no other. */
    return (s->config_reg & 1u << 31) && (s->config_reg >> 16 & 0xff) == 0;
}

static uint64_t data_read(void *opaque, hwaddr offset, unsigned size)
{
    PciHost *s = opaque;
    unsigned addr;
    int devfn;

    if (!config_address(s, offset, &devfn, &addr)) {
        return UINT32_MAX;
    }
    return pci_config_read(s->bus, devfn, addr, size);
}

static void data_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    PciHost *s = opaque;
    unsigned addr;
    int devfn;

    if (config_address(s, offset, &devfn, &addr)) {
        pci_config_write(s->bus, devfn, addr, value, size);
    }
}

static const MemoryOps data_ops = {
    .read = data_read,
    .write = data_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 4 },
};

static void host_reset(Device *dev)
{
    ((PciHost *)dev)->config_reg = 0;
}

bool pci_host_realize(Device *dev, GError **error)
{
    PciHost *s = (PciHost *)dev;

    s->index_port = memory_region_new_io(&dev->object, &index_ops, s, "pci-conf-idx", 4);
    memory_region_map(system_io(), 0xcf8, s->index_port);
    s->data_port = memory_region_new_io(&dev->object, &data_ops, s, "pci-conf-data", 4);
    memory_region_map(system_io(), 0xcfc, s->data_port);
    return true;
}

void pci_host_unrealize(Device *dev)
{
    PciHost *s = (PciHost *)dev;

    memory_region_free(s->index_port);
    memory_region_free(s->data_port);
}

static bool host_needed(const void *opaque)
{
    return ((const PciHost *)opaque)->config_reg_migration;
}

/* Migration notes. A guest may be moved between its writes to the index and the data port. */
static const VmState vmstate_pci_host = {
    .name = "PCIHost",
    .version = 1,
    .minimum_version = 1,
    .needed = host_needed,
    .fields = (const VmField[]){ VM_U32(PciHost, config_reg), VM_END },
};

const DeviceType pci_host_type = {
    .object = {
        .name = "pci-host-bridge",
        .parent = &device_type.object,
        .size = sizeof(PciHost),
        .abstract = true,
        .properties = (const Property[]){
            PROPERTY_BOOL("x-config-reg-migration-enabled", PciHost, config_reg_migration, "on", NULL),
            {}
        },
    },
    .bus = &system_bus_type,
    .realize = pci_host_realize,
    .unrealize = pci_host_unrealize,
    .reset = host_reset,
    .migration = MIGRATES_WITH(vmstate_pci_host),
};
DEVICE_REGISTER(pci_host_type);

/* ---- attribute map ------------------------------------------------------------------------------------------ */

#define PAM_READ 1 /* reads go to RAM; bit 1: writes do */

static const struct {
    uint32_t base, size;
    uint8_t reg, shift;
} pam_segments[PCI_PAM_SEGMENTS] = {
    { 0xf0000, 0x10000, 0, 4 }, { 0xc0000, 0x4000, 1, 0 }, { 0xc4000, 0x4000, 1, 4 },
    { 0xc8000, 0x4000, 2, 0 },  { 0xcc000, 0x4000, 2, 4 }, { 0xd0000, 0x4000, 3, 0 },
    { 0xd4000, 0x4000, 3, 4 },  { 0xd8000, 0x4000, 4, 0 }, { 0xdc000, 0x4000, 4, 4 },
    { 0xe0000, 0x4000, 5, 0 },  { 0xe4000, 0x4000, 5, 4 }, { 0xe8000, 0x4000, 6, 0 },
    { 0xec000, 0x4000, 6, 4 },
};

void pci_pam_update(PciPam *pam, const uint8_t registers[PCI_PAM_REGISTERS])
{
    memory_transaction_begin();
    for (int i = 0; i < PCI_PAM_SEGMENTS; i++) {
        unsigned attributes = registers[pam_segments[i].reg] >> pam_segments[i].shift & 3;

        memory_region_set_enabled(pam->pci[i], !(attributes & PAM_READ));
        memory_region_set_enabled(pam->rom[i], attributes == PAM_READ);
    }
    memory_transaction_commit();
}

void pci_pam_init(PciPam *pam, Object *owner, MemoryRegion *ram, MemoryRegion *pci_memory)
{
    for (int i = 0; i < PCI_PAM_SEGMENTS; i++) {
        uint32_t base = pam_segments[i].base, size = pam_segments[i].size;

        pam->pci[i] = memory_region_new_alias(owner, "pam-pci", pci_memory, base, size);
        pam->rom[i] = memory_region_new_alias(owner, "pam-rom", ram, base, size);
        memory_region_set_readonly(pam->rom[i], true);
        memory_region_map_overlap(system_memory(), base, pam->pci[i], 1);
        memory_region_map_overlap(system_memory(), base, pam->rom[i], 1);
    }
}

void pci_pam_free(PciPam *pam)
{
    for (int i = 0; i < PCI_PAM_SEGMENTS; i++) {
        memory_region_free(pam->pci[i]);
        memory_region_free(pam->rom[i]);
    }
}
