/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82441FX PCI and memory controller (Intel 440FX data sheet, order number 290549): configuration mechanism #1
 * on ports CF8h/CFCh, the programmable attribute map of C0000h-FFFFFh and the SMRAM window.
 *
 * DRAM timing and row boundaries are registers without effect: how much RAM there is, firmware learns elsewhere.
 */
#include "util/osdep.h"
#include "hw/pci/i440fx.h"
#include "util/error.h"

#define I440FX_PAM 0x59   /* seven registers, two segments each but the first */
#define I440FX_PAM_COUNT 7
#define I440FX_SMRAM 0x72
#define PAM_SEGMENTS 13
#define PAM_READ 1        /* reads go to RAM */
#define PAM_WRITE 2       /* writes go to RAM */
#define SMRAM_D_OPEN 0x40
#define SMRAM_D_LCK 0x10
#define SMRAM_G_SMRAME 0x08
#define SMRAM_BASE 0xa0000
#define SMRAM_SIZE 0x20000

/* ---- configuration ports ---------------------------------------------------------------------------------- */

typedef struct I440FxHost {
    Device device;
    uint32_t config_reg;
    PciBus *bus;
    MemoryRegion *index_port, *data_port;
    uint64_t hole64_size;
    bool config_reg_migration;
} I440FxHost;

static uint64_t index_read(void *opaque, hwaddr offset, unsigned size)
{
    I440FxHost *s = opaque;

    return offset == 0 && size == 4 ? s->config_reg : 0;
}

/* Only a double word access reaches the register. */
static void index_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    I440FxHost *s = opaque;

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

static bool config_address(const I440FxHost *s, hwaddr offset, int *devfn, unsigned *addr)
{
    *devfn = s->config_reg >> 8 & 0xff;
    *addr = (s->config_reg & 0xfc) | (offset & 3);
    /* Enabled, and on bus 0: there is no other. */
    return (s->config_reg & 1u << 31) && (s->config_reg >> 16 & 0xff) == 0;
}

static uint64_t data_read(void *opaque, hwaddr offset, unsigned size)
{
    I440FxHost *s = opaque;
    unsigned addr;
    int devfn;

    if (!config_address(s, offset, &devfn, &addr)) {
        return UINT32_MAX;
    }
    return pci_config_read(s->bus, devfn, addr, size);
}

static void data_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    I440FxHost *s = opaque;
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
    ((I440FxHost *)dev)->config_reg = 0;
}

static bool host_realize(Device *dev, GError **error)
{
    I440FxHost *s = (I440FxHost *)dev;

    s->index_port = memory_region_new_io(&dev->object, &index_ops, s, "pci-conf-idx", 4);
    memory_region_map(system_io(), 0xcf8, s->index_port);
    s->data_port = memory_region_new_io(&dev->object, &data_ops, s, "pci-conf-data", 4);
    memory_region_map(system_io(), 0xcfc, s->data_port);
    return true;
}

static void host_unrealize(Device *dev)
{
    I440FxHost *s = (I440FxHost *)dev;

    memory_region_free(s->index_port);
    memory_region_free(s->data_port);
}

static bool host_needed(const void *opaque)
{
    return ((const I440FxHost *)opaque)->config_reg_migration;
}

/* Migration notes. A guest may be moved between its writes to the index and the data port. */
static const VmState vmstate_pci_host = {
    .name = "PCIHost",
    .version = 1,
    .minimum_version = 1,
    .needed = host_needed,
    .fields = (const VmField[]){
        VM_U32(I440FxHost, config_reg),
        VM_END
    },
};

static const DeviceType i440fx_host_type = {
    .object = {
        .name = "i440FX-pcihost",
        .parent = &device_type.object,
        .size = sizeof(I440FxHost),
        .properties = (const Property[]){
            PROPERTY_SIZE("pci-hole64-size", I440FxHost, hole64_size, "2147483648", NULL),
            PROPERTY_BOOL("x-config-reg-migration-enabled", I440FxHost, config_reg_migration, "on", NULL),
            {}
        },
    },
    .bus = &system_bus_type,
    .firmware_name = "pci@i0cf8",
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .realize = host_realize,
    .unrealize = host_unrealize,
    .reset = host_reset,
    .migration = MIGRATES_WITH(vmstate_pci_host),
};
DEVICE_REGISTER(i440fx_host_type);

/* ---- the bridge's own function ------------------------------------------------------------------------------ */

typedef struct I440Fx {
    PciDevice pci;
    MemoryRegion *ram, *pci_memory;
    /* A segment's view by its attributes: 0 PCI, PAM_READ read-only RAM, PAM_WRITE PCI (RAM cannot be write-only
     * in the map; reads win), both RAM. NULL where the view is another one's. */
    MemoryRegion *pam_pci[PAM_SEGMENTS], *pam_rom[PAM_SEGMENTS];
    MemoryRegion *smram_pci;
} I440Fx;

static const struct {
    uint32_t base, size;
    uint8_t reg, shift;
} pam_segments[PAM_SEGMENTS] = {
    { 0xf0000, 0x10000, 0, 4 }, { 0xc0000, 0x4000, 1, 0 }, { 0xc4000, 0x4000, 1, 4 }, { 0xc8000, 0x4000, 2, 0 },
    { 0xcc000, 0x4000, 2, 4 },  { 0xd0000, 0x4000, 3, 0 }, { 0xd4000, 0x4000, 3, 4 }, { 0xd8000, 0x4000, 4, 0 },
    { 0xdc000, 0x4000, 4, 4 },  { 0xe0000, 0x4000, 5, 0 }, { 0xe4000, 0x4000, 5, 4 }, { 0xe8000, 0x4000, 6, 0 },
    { 0xec000, 0x4000, 6, 4 },
};

/* Brings the map in line with the attribute and SMRAM registers. RAM lies below; views cover it. */
static void i440fx_update_map(I440Fx *s)
{
    const uint8_t *config = s->pci.config;

    memory_transaction_begin();
    for (int i = 0; i < PAM_SEGMENTS; i++) {
        unsigned attributes = config[I440FX_PAM + pam_segments[i].reg] >> pam_segments[i].shift & 3;

        memory_region_set_enabled(s->pam_pci[i], !(attributes & PAM_READ));
        memory_region_set_enabled(s->pam_rom[i], attributes == PAM_READ);
    }
    memory_region_set_enabled(s->smram_pci,
                              !((config[I440FX_SMRAM] & SMRAM_D_OPEN) && (config[I440FX_SMRAM] & SMRAM_G_SMRAME)));
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

static void i440fx_reset(PciDevice *pci)
{
    memset(pci->config + 0x40, 0, PCI_CONFIG_SIZE - 0x40);
    pci->config[0x57] = 0x10;
    pci->config[I440FX_SMRAM] = 0x02;
    pci->wmask[I440FX_SMRAM] = 0x78;
    i440fx_update_map((I440Fx *)pci);
}

static bool i440fx_realize(PciDevice *pci, GError **error)
{
    I440Fx *s = (I440Fx *)pci;
    Object *owner = &pci->device.object;

    for (int i = 0; i < PAM_SEGMENTS; i++) {
        uint32_t base = pam_segments[i].base, size = pam_segments[i].size;

        s->pam_pci[i] = memory_region_new_alias(owner, "pam-pci", s->pci_memory, base, size);
        s->pam_rom[i] = memory_region_new_alias(owner, "pam-rom", s->ram, base, size);
        memory_region_set_readonly(s->pam_rom[i], true);
        memory_region_map_overlap(system_memory(), base, s->pam_pci[i], 1);
        memory_region_map_overlap(system_memory(), base, s->pam_rom[i], 1);
    }
    s->smram_pci = memory_region_new_alias(owner, "smram-region", s->pci_memory, SMRAM_BASE, SMRAM_SIZE);
    memory_region_map_overlap(system_memory(), SMRAM_BASE, s->smram_pci, 1);
    i440fx_reset(pci);
    return true;
}

static void i440fx_unrealize(PciDevice *pci)
{
    I440Fx *s = (I440Fx *)pci;

    for (int i = 0; i < PAM_SEGMENTS; i++) {
        memory_region_free(s->pam_pci[i]);
        memory_region_free(s->pam_rom[i]);
    }
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
    .fields = (const VmField[]){
        { .name = "parent_obj", .offset = offsetof(I440Fx, pci), .size = sizeof(PciDevice),
          .vmstate = &vmstate_pci_device },
        VM_UNUSED(1),
        VM_END
    },
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
    I440FxHost *host = (I440FxHost *)device_new(&i440fx_host_type);
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
