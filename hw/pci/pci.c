/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI bus and the common part of conventional PCI devices (PCI Local Bus Specification 3.0).
 *
 * Migration notes. Of a device: the configuration space and the levels of its interrupt pins. BAR mappings
 * follow from the configuration space. Of the bus: how many devices drive each interrupt line; that number
 * follows from the devices' pins and the routing, so the stream's is checked for its shape and not used.
 * Nothing is in flight between steps. A stream whose read-only configuration bits differ is refused: the
 * device is not the one that was saved.
 */
#include "util/osdep.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "pci-rom.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/trace.h"

TRACE_EVENT(pci_cfg_read)
TRACE_EVENT(pci_cfg_write)
TRACE_EVENT(pci_update_mappings_add)
TRACE_EVENT(pci_update_mappings_del)

#define PCI_MAX_LINES 16

struct PciBus {
    Bus bus;
    MemoryRegion *memory, *io;
    PciMapIrq *map_irq;
    PciSetIrq *set_irq;
    void *irq_opaque;
    int32_t nlines;
    int32_t counts[PCI_MAX_LINES];       /* devices that drive the line */
    int32_t saved_counts[PCI_MAX_LINES]; /* scratch of the description below */
    VmSection *section;
    const PciHotplugOps *hotplug;
    void *hotplug_opaque;
};

static PciBus *root_bus;

PciBus *pci_root_bus(void)
{
    return root_bus;
}

MemoryRegion *pci_bus_memory(PciBus *bus)
{
    return bus->memory;
}

MemoryRegion *pci_bus_io(PciBus *bus)
{
    return bus->io;
}

PciBus *pci_device_bus(const PciDevice *dev)
{
    return (PciBus *)dev->device.bus;
}

static const PciDeviceOps *pci_ops(const PciDevice *dev)
{
    return device_ops(&dev->device);
}

PciDevice *pci_bus_find(PciBus *bus, int devfn)
{
    for (GList *l = bus->bus.devices.head; l; l = l->next) {
        PciDevice *dev = l->data;

        if (dev->devfn == devfn) {
            return dev;
        }
    }
    return NULL;
}

/* ---- interrupt pins ---------------------------------------------------------------------------------- */

void pci_bus_set_irq_router(PciBus *bus, PciMapIrq *map, PciSetIrq *set, void *opaque, int nlines)
{
    g_assert(nlines > 0 && nlines <= PCI_MAX_LINES);
    bus->map_irq = map;
    bus->set_irq = set;
    bus->irq_opaque = opaque;
    bus->nlines = nlines;
}

void pci_bus_rerouted(PciBus *bus)
{
    memset(bus->counts, 0, sizeof(bus->counts));
    for (GList *l = bus->bus.devices.head; l; l = l->next) {
        const PciDevice *dev = l->data;

        for (int pin = 0; pin < PCI_NUM_PINS; pin++) {
            if (dev->irq_counted >> pin & 1) {
                bus->counts[bus->map_irq(bus->irq_opaque, dev->devfn, pin)]++;
            }
        }
    }
    for (int line = 0; line < bus->nlines; line++) {
        bus->set_irq(bus->irq_opaque, line, bus->counts[line] > 0);
    }
}

int pci_bus_line_level(const PciBus *bus, int line)
{
    return bus->counts[line] > 0;
}

/* Brings the bus's count in line with the pins that the device drives and INTx Disable lets through (P3). */
static void pci_update_irq(PciDevice *dev)
{
    PciBus *bus = pci_device_bus(dev);
    bool disabled = load_le16(dev->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
    uint32_t wanted = disabled ? 0 : dev->irq_state;

    for (int pin = 0; pin < PCI_NUM_PINS; pin++) {
        int change = (int)(wanted >> pin & 1) - (int)(dev->irq_counted >> pin & 1);
        int line;

        if (!change || !bus->map_irq) {
            continue;
        }
        line = bus->map_irq(bus->irq_opaque, dev->devfn, pin);
        bus->counts[line] += change;
        bus->set_irq(bus->irq_opaque, line, bus->counts[line] > 0);
    }
    dev->irq_counted = wanted;
    if (dev->irq_state) {
        dev->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    } else {
        dev->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    }
}

void pci_set_irq(PciDevice *dev, int level)
{
    unsigned pin = pci_ops(dev)->interrupt_pin; /* the register's copy may come from a stream */

    g_assert(pin >= 1 && pin <= PCI_NUM_PINS);
    if (level) {
        dev->irq_state |= 1u << (pin - 1);
    } else {
        dev->irq_state &= ~(1u << (pin - 1));
    }
    pci_update_irq(dev);
}

/* ---- address decoding ---------------------------------------------------------------------------------- */

void pci_set_bar(PciDevice *dev, int n, uint8_t type, MemoryRegion *region, uint64_t size)
{
    PciBar *bar = &dev->bars[n];
    unsigned reg = pci_region_register(n);

    g_assert(size >= 2 && (size & (size - 1)) == 0 && size >= memory_region_size(region));
    *bar = (PciBar){ .region = region, .type = type, .size = size };
    store_le32(dev->config + reg, type);
    store_le32(dev->wmask + reg, ~(uint32_t)(size - 1));
    if (n == PCI_ROM_BAR) { /* bit 0 enables the ROM, those up to 2 KiB are zero */
        store_le32(dev->wmask + reg, (~(uint32_t)(size - 1) & 0xfffff800) | 1);
        store_le32(dev->cmask + reg, 0);
        return;
    }
    store_le32(dev->cmask + reg, 0xf);
    if (type & PCI_BAR_MEM_64) {
        g_assert(!(type & PCI_BAR_SPACE_IO) && n + 1 < PCI_NUM_BARS);
        store_le64(dev->wmask + reg, ~(size - 1));
        store_le64(dev->cmask + reg, 0xf);
    }
}

/* Where BAR n decodes now; false if it does not (P2). */
static bool pci_bar_address(const PciDevice *dev, int n, hwaddr *address)
{
    const PciBar *bar = &dev->bars[n];
    uint16_t command = load_le16(dev->config + PCI_COMMAND);
    uint32_t reg = load_le32(dev->config + pci_region_register(n));
    bool io = bar->type & PCI_BAR_SPACE_IO, wide = bar->type & PCI_BAR_MEM_64;
    uint64_t value = (wide ? load_le64(dev->config + pci_region_register(n)) : reg) & ~(bar->size - 1);
    uint64_t last = value + bar->size - 1;

    if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) || value == 0 || (n == PCI_ROM_BAR && !(reg & 1))) {
        return false;
    }
    /* All ones is the sizing probe, not an address. */
    if (last > (io ? 0xffff : wide ? UINT64_MAX - 1 : UINT32_MAX - 1) || last < value) {
        return false;
    }
    *address = value;
    return true;
}

/* "piix3-usb-uhci 00:01.2" */
#define PCI_TRACE_DEVICE "%s 00:%02x.%x"
#define PCI_TRACE_ARGS(dev) (dev)->device.object.type->name, (dev)->devfn >> 3, (dev)->devfn & 7

void pci_update_mappings(PciDevice *dev)
{
    PciBus *bus = pci_device_bus(dev);

    for (int n = 0; n < PCI_NUM_REGIONS; n++) {
        PciBar *bar = &dev->bars[n];
        MemoryRegion *space = bar->type & PCI_BAR_SPACE_IO ? bus->io : bus->memory;
        hwaddr address;

        if (!bar->region) {
            continue;
        }
        if (!pci_bar_address(dev, n, &address)) {
            if (bar->space) {
                trace(pci_update_mappings_del, PCI_TRACE_DEVICE " %d,0x%" PRIx64 "+0x%" PRIx64, PCI_TRACE_ARGS(dev), n,
                      memory_region_address(bar->region), memory_region_size(bar->region));
                memory_region_unmap(bar->space, bar->region);
                bar->space = NULL;
            }
        } else if (!bar->space) {
            trace(pci_update_mappings_add, PCI_TRACE_DEVICE " %d,0x%" PRIx64 "+0x%" PRIx64, PCI_TRACE_ARGS(dev), n, address,
                  memory_region_size(bar->region));
            memory_region_map_overlap(space, address, bar->region, 1);
            bar->space = space;
        } else if (memory_region_address(bar->region) != address) {
            memory_region_set_address(bar->region, address);
        }
    }
}

/* ---- configuration space --------------------------------------------------------------------------------- */

uint32_t pci_config_read(PciBus *bus, int devfn, unsigned addr, unsigned len)
{
    PciDevice *dev = pci_bus_find(bus, devfn);
    uint32_t value = 0;

    if (!dev || !dev->device.realized || addr + len > PCI_CONFIG_SIZE) {
        return len == 4 ? UINT32_MAX : (1u << len * 8) - 1;
    }
    if (pci_ops(dev)->config_read) {
        return pci_ops(dev)->config_read(dev, addr, len);
    }
    for (unsigned i = 0; i < len; i++) {
        value |= (uint32_t)dev->config[addr + i] << i * 8;
    }
    trace(pci_cfg_read, PCI_TRACE_DEVICE " @0x%x -> 0x%x", PCI_TRACE_ARGS(dev), addr, value);
    return value;
}

void pci_config_write(PciBus *bus, int devfn, unsigned addr, uint32_t value, unsigned len)
{
    PciDevice *dev = pci_bus_find(bus, devfn);

    if (!dev || !dev->device.realized || addr + len > PCI_CONFIG_SIZE) {
        return;
    }
    trace(pci_cfg_write, PCI_TRACE_DEVICE " @0x%x <- 0x%x", PCI_TRACE_ARGS(dev), addr, value);
    for (unsigned i = 0; i < len; i++) {
        uint8_t byte = value >> i * 8;
        uint8_t w = dev->wmask[addr + i];
        uint8_t old = dev->config[addr + i];

        dev->config[addr + i] = ((old & ~w) | (byte & w)) & ~(byte & dev->w1cmask[addr + i]);
    }
    if (pci_config_touches(addr, len, PCI_COMMAND, 2) ||
        pci_config_touches(addr, len, PCI_BAR_0, 4 * PCI_NUM_BARS) || pci_config_touches(addr, len, PCI_ROM_ADDRESS, 4)) {
        pci_update_mappings(dev);
        pci_update_irq(dev);
    }
    msix_config_written(dev, addr, len);
    if (pci_ops(dev)->config_written) {
        pci_ops(dev)->config_written(dev, addr, len);
    }
}

/* ---- capabilities ------------------------------------------------------------------------------------------ */

#define PCI_CAPABILITIES_START 0x40

unsigned pci_find_capability(const PciDevice *dev, uint8_t id)
{
    unsigned at = dev->config[PCI_CAPABILITY_LIST];

    while (at && dev->config[at] != id) {
        at = dev->config[at + 1];
    }
    return at;
}

/* Whether a capability lies in [offset, offset + size); *end: where it ends. */
static bool capability_in(const PciDevice *dev, unsigned offset, unsigned size, unsigned *end)
{
    for (unsigned i = offset; i < offset + size; i++) {
        if (dev->capability_bytes[i / 8] >> i % 8 & 1) {
            *end = i + 1;
            return true;
        }
    }
    return false;
}

unsigned pci_add_capability(PciDevice *dev, uint8_t id, unsigned offset, unsigned size, GError **error)
{
    unsigned at = offset ? offset : PCI_CAPABILITIES_START, end = 0;

    while (at + size <= PCI_CONFIG_SIZE && capability_in(dev, at, size, &end) && !offset) {
        at = (end + 3) & ~3u;
        end = 0;
    }
    if (at + size > PCI_CONFIG_SIZE || end) {
        error_set(error, "%s: no room for capability 0x%02x (%u bytes) in configuration space",
                  dev->device.object.type->name, id, size);
        return 0;
    }
    for (unsigned i = at; i < at + size; i++) {
        dev->capability_bytes[i / 8] |= 1 << i % 8;
    }
    memset(dev->config + at, 0, size);
    memset(dev->wmask + at, 0, size);
    memset(dev->cmask + at, 0xff, size);
    dev->config[at] = id;
    dev->config[at + 1] = dev->config[PCI_CAPABILITY_LIST];
    dev->config[PCI_CAPABILITY_LIST] = at;
    dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    return at;
}

/* ---- the header -------------------------------------------------------------------------------------------- */

static void pci_init_header(PciDevice *dev, const PciDeviceOps *ops)
{
    uint8_t *c = dev->config;

    memset(dev->capability_bytes, 0, sizeof(dev->capability_bytes));
    store_le16(c + PCI_VENDOR_ID, ops->vendor_id);
    store_le16(c + PCI_DEVICE_ID, ops->device_id);
    c[PCI_REVISION_ID] = ops->revision;
    c[PCI_CLASS_PROG] = ops->prog_if;
    store_le16(c + PCI_CLASS_DEVICE, ops->class_id);
    store_le16(c + PCI_SUBSYSTEM_VENDOR_ID, PCI_SUBVENDOR_DEFAULT);
    store_le16(c + PCI_SUBSYSTEM_ID, PCI_SUBDEVICE_DEFAULT);
    c[PCI_INTERRUPT_PIN] = ops->interrupt_pin;
    if (dev->multifunction) {
        c[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MULTI_FUNCTION;
    }

    store_le16(dev->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                             PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    store_le16(dev->w1cmask + PCI_STATUS, 0xf900); /* parity, system error, aborts */
    dev->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
    memset(dev->wmask + 0x40, 0xff, PCI_CONFIG_SIZE - 0x40);

    store_le16(dev->cmask + PCI_VENDOR_ID, 0xffff);
    store_le16(dev->cmask + PCI_DEVICE_ID, 0xffff);
    dev->cmask[PCI_STATUS] = 0x10; /* capabilities list */
    dev->cmask[PCI_REVISION_ID] = 0xff;
    dev->cmask[PCI_CLASS_PROG] = 0xff;
    store_le16(dev->cmask + PCI_CLASS_DEVICE, 0xffff);
    dev->cmask[PCI_HEADER_TYPE] = 0xff;
    dev->cmask[PCI_CAPABILITY_LIST] = 0xff;
    dev->cmask[PCI_INTERRUPT_PIN] = 0xff;
}

/* ---- life cycle of a device -------------------------------------------------------------------------------- */

static void pci_device_reset(Device *device)
{
    PciDevice *dev = PCI_DEVICE(device);
    const PciDeviceOps *ops = pci_ops(dev);

    dev->irq_state = 0;
    for (unsigned i = PCI_COMMAND; i < PCI_COMMAND + 4; i++) {
        dev->config[i] &= ~(dev->wmask[i] | dev->w1cmask[i]);
    }
    dev->config[PCI_CACHE_LINE_SIZE] = 0;
    dev->config[PCI_INTERRUPT_LINE] = 0;
    for (int n = 0; n < PCI_NUM_REGIONS; n++) {
        if (dev->bars[n].region) {
            store_le32(dev->config + pci_region_register(n), dev->bars[n].type);
            if (dev->bars[n].type & PCI_BAR_MEM_64) {
                store_le32(dev->config + pci_region_register(n) + 4, 0);
            }
        }
    }
    msix_reset(dev);
    pci_update_mappings(dev);
    pci_update_irq(dev);
    if (ops->reset) {
        ops->reset(dev);
    }
}

static bool pci_device_realize(Device *device, GError **error)
{
    PciDevice *dev = PCI_DEVICE(device);
    const PciDeviceOps *ops = pci_ops(dev);

    pci_init_header(dev, ops);
    if (!pci_rom_check(dev, error) || (ops->realize && !ops->realize(dev, error))) {
        return false;
    }
    if (!pci_rom_load(dev, error)) {
        if (ops->unrealize) {
            ops->unrealize(dev);
        }
        return false;
    }
    return true;
}

static void pci_device_unrealize(Device *device)
{
    PciDevice *dev = PCI_DEVICE(device);
    const PciDeviceOps *ops = pci_ops(dev);

    for (int n = 0; n < PCI_NUM_REGIONS; n++) {
        if (dev->bars[n].space) {
            memory_region_unmap(dev->bars[n].space, dev->bars[n].region);
            dev->bars[n].space = NULL;
        }
    }
    if (ops->unrealize) {
        ops->unrealize(dev);
    }
    msix_uninit(dev);
    memory_region_free(dev->bars[PCI_ROM_BAR].region);
    dev->bars[PCI_ROM_BAR].region = NULL;
    dev->irq_state = 0; /* now that nothing can raise it again */
    pci_update_irq(dev);
}

MemResult pci_dma_read(PciDevice *dev, hwaddr addr, void *buf, uint64_t len)
{
    if (!(dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER)) {
        return MEM_ERROR;
    }
    return dma_read_by(address_space_memory, addr, buf, len, &dev->device.object);
}

MemResult pci_dma_write(PciDevice *dev, hwaddr addr, const void *buf, uint64_t len)
{
    if (!(dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER)) {
        return MEM_ERROR;
    }
    return dma_write_by(address_space_memory, addr, buf, len, &dev->device.object);
}

PciDevice *pci_create(PciBus *bus, int devfn, bool multifunction, const char *type, GError **error)
{
    PciDevice *dev = PCI_DEVICE(device_new(device_type_by_name(type)));

    dev->devfn = devfn;
    dev->multifunction = multifunction;
    if (!device_realize(&dev->device, &bus->bus, error)) {
        object_unref(dev);
        return NULL;
    }
    return dev;
}

/* ---- saved state --------------------------------------------------------------------------------------------- */

static bool put_config(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    vm_put_bytes(w, elem, PCI_CONFIG_SIZE);
    return true;
}

/* A stream is for this device only if what the guest cannot change is the same. */
static bool get_config(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    PciDevice *dev = (PciDevice *)((char *)elem - offsetof(PciDevice, config));
    uint8_t in[PCI_CONFIG_SIZE];

    if (!vm_get_bytes(r, in, sizeof(in))) {
        return vm_reader_check(r, error);
    }
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t fixed = dev->cmask[i] & ~dev->wmask[i] & ~dev->w1cmask[i];

        if ((in[i] ^ dev->config[i]) & fixed) {
            return error_set(error,
                             "configuration space differs at 0x%02x: the stream has 0x%02x, the device "
                             "0x%02x (mask 0x%02x)",
                             i, in[i], dev->config[i], fixed);
        }
    }
    memcpy(dev->config, in, sizeof(in));
    return true;
}

static bool put_pins(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    uint32_t pins = *(const uint32_t *)elem;

    for (int pin = 0; pin < PCI_NUM_PINS; pin++) {
        vm_put_be32(w, pins >> pin & 1);
    }
    return true;
}

static bool get_pins(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    uint32_t pins = 0;

    for (int pin = 0; pin < PCI_NUM_PINS; pin++) {
        uint32_t level = vm_get_be32(r);

        if (level > 1) {
            return error_set(error, "interrupt pin %d has level %" PRIu32, pin, level);
        }
        pins |= level << pin;
    }
    *(uint32_t *)elem = pins;
    return vm_reader_check(r, error);
}

static const VmKind vm_kind_pci_config = { .name = "pci config", .put = put_config, .get = get_config };
static const VmKind vm_kind_pci_pins = { .name = "pci irq state", .put = put_pins, .get = get_pins };

#define PCI_SAVED_VERSION 2

/* What is sent, and the most that is taken. */
static bool pci_device_set_version(void *opaque, GError **error)
{
    PciDevice *dev = opaque;

    dev->saved_version = PCI_SAVED_VERSION;
    return true;
}

static bool pci_device_post_load(void *opaque, int version, GError **error)
{
    PciDevice *dev = opaque;

    pci_update_mappings(dev);
    pci_update_irq(dev);
    return true;
}

const VmState vmstate_pci_device = {
    .name = "PCIDevice",
    .version = 2,
    .minimum_version = 1,
    .pre_save = pci_device_set_version,
    .pre_load = pci_device_set_version,
    .post_load = pci_device_post_load,
    .fields = (const VmField[]){
        VM_NAMED("version_id", i32_at_most, int32_t, PciDevice, saved_version),
        { .name = "config[0]", .offset = offsetof(PciDevice, config), .size = PCI_CONFIG_SIZE,
          .kind = &vm_kind_pci_config },
        { .name = "irq_state", .offset = offsetof(PciDevice, irq_state), .size = 4 * PCI_NUM_PINS,
          .kind = &vm_kind_pci_pins, .version = 2 },
        VM_END
    },
};

static bool pci_bus_pre_save(void *opaque, GError **error)
{
    PciBus *bus = opaque;

    memcpy(bus->saved_counts, bus->counts, sizeof(bus->counts));
    return true;
}

static const VmState vmstate_pci_bus = {
    .name = "PCIBUS",
    .version = 1,
    .minimum_version = 1,
    .pre_save = pci_bus_pre_save,
    .fields = (const VmField[]){
        { .name = "nirq", .offset = offsetof(PciBus, nlines), .size = sizeof(int32_t),
          .kind = &vm_kind_equal_i32 },
        { .name = "irq_count", .offset = offsetof(PciBus, saved_counts), .size = sizeof(int32_t),
          .num = PCI_MAX_LINES, .num_offset = offsetof(PciBus, nlines), .num_kind = VM_COUNT_I32,
          .shape = VM_VARRAY, .kind = &vm_kind_i32 },
        VM_END
    },
};

/* ---- the bus -------------------------------------------------------------------------------------------------- */

/* The number is part of a name in the guest (eno7): each one once. */
static bool pci_check_acpi_index(PciBus *bus, const PciDevice *dev, GError **error)
{
    for (GList *l = bus->bus.devices.head; l && dev->acpi_index; l = l->next) {
        if (l->data != dev && ((PciDevice *)l->data)->acpi_index == dev->acpi_index) {
            return error_set(error, "a PCI device with acpi-index = %" PRIu32 " already exist", dev->acpi_index);
        }
    }
    return true;
}

/* A slot's functions: function 0 must exist for a device at another one to be found, and must say so. */
static bool pci_check_multifunction(PciBus *bus, const PciDevice *dev, GError **error)
{
    int slot = PCI_SLOT(dev->devfn);
    PciDevice *first = pci_bus_find(bus, PCI_DEVFN(slot, 0));

    if (PCI_FUNCTION(dev->devfn)) {
        if (first && !(first->config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MULTI_FUNCTION)) {
            return error_set(error, "PCI: single function device can't be populated in function %x.%x",
                             slot, PCI_FUNCTION(dev->devfn));
        }
        return true;
    }
    for (int function = 1; !dev->multifunction && function < 8; function++) {
        if (pci_bus_find(bus, PCI_DEVFN(slot, function))) {
            return error_set(error, "PCI: %x.0 indicates single function, but %x.%x is already populated.",
                             slot, slot, function);
        }
    }
    return true;
}

static bool pci_bus_check_address(Bus *b, Device *device, GError **error)
{
    PciBus *bus = (PciBus *)b;
    PciDevice *dev = PCI_DEVICE(device);
    const char *type = device->object.type->name;
    int devfn = dev->devfn;
    PciDevice *other;

    if (devfn < 0) {
        for (devfn = 0; devfn < 256 && pci_bus_find(bus, devfn); devfn += 8) {
        }
        if (devfn == 256) {
            return error_set(error, "PCI: no slot/function available for %s, all in use or reserved", type);
        }
    } else if ((other = pci_bus_find(bus, devfn)) && other != dev) {
        return error_set(error, "PCI: slot %d function %d not available for %s, in use by %s,id=%s",
                         PCI_SLOT(devfn), PCI_FUNCTION(devfn), type, other->device.object.type->name,
                         other->device.id ? other->device.id : "");
    }
    dev->devfn = devfn;
    return pci_check_multifunction(bus, dev, error) && pci_check_acpi_index(bus, dev, error);
}

void pci_bus_set_hotplug(PciBus *bus, const PciHotplugOps *ops, void *opaque)
{
    bus->hotplug = ops;
    bus->hotplug_opaque = opaque;
}

static bool pci_unplug_request(Bus *bus, Device *dev, GError **error)
{
    PciBus *pci = (PciBus *)bus;

    if (pci->hotplug) {
        return pci->hotplug->unplug_request(pci->hotplug_opaque, PCI_DEVICE(dev), error);
    }
    device_unrealize(dev);
    return true;
}

static void pci_plugged(Bus *bus, Device *dev)
{
    PciBus *pci = (PciBus *)bus;

    if (pci->hotplug) {
        pci->hotplug->plugged(pci->hotplug_opaque, PCI_DEVICE(dev));
    }
}

static char *pci_section_prefix(const Device *device)
{
    int devfn = ((const PciDevice *)device)->devfn;

    return g_strdup_printf("0000:00:%02x.%x", PCI_SLOT(devfn), PCI_FUNCTION(devfn));
}

static char *pci_firmware_path(const Device *device)
{
    const PciDevice *dev = (const PciDevice *)device;
    int slot = PCI_SLOT(dev->devfn), function = PCI_FUNCTION(dev->devfn);
    const char *name = pci_class_firmware_name(load_le16(dev->config + PCI_CLASS_DEVICE));
    g_autofree char *base = name ? g_strdup(name)
                                 : g_strdup_printf("pci%04x,%04x", load_le16(dev->config),
                                                   load_le16(dev->config + PCI_DEVICE_ID));

    return function ? g_strdup_printf("%s@%x,%x", base, slot, function)
                    : g_strdup_printf("%s@%x", base, slot);
}

/* The extra lines of `info qtree`. */
static void pci_print_device(const Device *device, GString *out, int indent)
{
    const PciDevice *dev = (const PciDevice *)device;
    const uint8_t *c = dev->config;
    uint16_t class_id = load_le16(c + PCI_CLASS_DEVICE);
    const char *name = pci_class_name(class_id);
    g_autofree char *number = g_strdup_printf("Class %04x", class_id);

    g_string_append_printf(out, "%*sclass %s, addr 00:%02x.%x, pci id %04x:%04x (sub %04x:%04x)\n", indent,
                           "", name ? name : number, PCI_SLOT(dev->devfn), PCI_FUNCTION(dev->devfn),
                           load_le16(c), load_le16(c + PCI_DEVICE_ID),
                           load_le16(c + PCI_SUBSYSTEM_VENDOR_ID), load_le16(c + PCI_SUBSYSTEM_ID));
    for (int n = 0; n < PCI_NUM_REGIONS; n++) {
        const PciBar *bar = &dev->bars[n];
        hwaddr address = bar->space ? memory_region_address(bar->region) : UINT64_MAX;

        if (bar->region) {
            g_string_append_printf(out, "%*sbar %d: %s at 0x%" PRIx64 " [0x%" PRIx64 "]\n", indent, "", n,
                                   bar->type & PCI_BAR_SPACE_IO ? "i/o" : "mem", address,
                                   address + bar->size - 1);
        }
    }
}

static PciBus *new_root_bus(const BusType *type, Device *owner, const char *name, MemoryRegion *memory, MemoryRegion *io)
{
    PciBus *bus = (PciBus *)bus_new(type, owner, name);

    bus->memory = memory;
    bus->io = io;
    root_bus = bus;
    return bus;
}

static void register_bus_state(PciBus *bus)
{
    bus->section = vmstate_register("PCIBUS", VM_INSTANCE_ANY, &vmstate_pci_bus, bus);
}

PciBus *pci_root_bus_new(Device *owner, const char *name, MemoryRegion *memory, MemoryRegion *io)
{
    PciBus *bus = new_root_bus(&pci_bus_type, owner, name, memory, io);

    bus->bus.hotpluggable = true;
    register_bus_state(bus);
    return bus;
}

PciBus *pcie_root_bus_new(Device *owner, const char *name, MemoryRegion *memory, MemoryRegion *io)
{
    return new_root_bus(&pcie_bus_type, owner, name, memory, io);
}

void pcie_root_bus_register_state(PciBus *bus)
{
    register_bus_state(bus);
}

static void pci_bus_finalize(Object *obj)
{
    PciBus *bus = (PciBus *)obj;

    if (bus->section) {
        vmstate_unregister(bus->section);
    }
    if (root_bus == bus) {
        root_bus = NULL;
    }
}

/* ---- property "addr" -------------------------------------------------------------------------------------------- */

/* "slot[.function]", both hexadecimal with or without 0x. */
static bool devfn_parse(Object *obj, const Property *prop, const char *text, GError **error)
{
    char *end;
    unsigned long slot = strtoul(text, &end, 16), function = 0;
    bool ok = end != text && g_ascii_isxdigit(text[0]);

    if (ok && *end == '.') {
        const char *start = end + 1;

        function = strtoul(start, &end, 16);
        ok = end != start && g_ascii_isxdigit(start[0]);
    }
    if (!ok || *end || slot > 31 || function > 7) {
        return error_set(error, "Property '%s.%s' doesn't take value '%s'", obj->type->name, prop->name, text);
    }
    *(int32_t *)((char *)obj + prop->offset) = PCI_DEVFN(slot, function);
    return true;
}

/* A number or, as libvirt gives it, the text. */
static bool devfn_set(Object *obj, const Property *prop, json_object *value, GError **error)
{
    int64_t devfn = json_object_get_int64(value);

    if (json_object_is_type(value, json_type_string)) {
        return devfn_parse(obj, prop, json_object_get_string(value), error);
    }
    if (!json_object_is_type(value, json_type_int) || devfn < -1 || devfn > 255) {
        return error_set(error, "Property '%s.%s' doesn't take value '%s'", obj->type->name, prop->name,
                         json_object_get_string(value));
    }
    *(int32_t *)((char *)obj + prop->offset) = devfn;
    return true;
}

static json_object *devfn_get(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_int(*(int32_t *)((char *)obj + prop->offset));
}

static char *devfn_print(Object *obj, const Property *prop)
{
    int32_t devfn = *(int32_t *)((char *)obj + prop->offset);

    return devfn < 0 ? g_strdup("<unset>") : g_strdup_printf("%02x.%x", PCI_SLOT(devfn), PCI_FUNCTION(devfn));
}

static const PropertyKind property_devfn = {
    .name = "int32",
    .print = devfn_print,
    .set = devfn_set,
    .parse = devfn_parse,
    .get = devfn_get,
};

static void pci_device_init(Object *obj)
{
    PciDevice *dev = PCI_DEVICE(obj);
    const PciDeviceOps *ops = pci_ops(dev);

    dev->devfn = -1;
    dev->romfile = g_strdup(ops ? ops->romfile : NULL);
}

const DeviceType pci_device_type = {
    .object = {
        .name = "pci-device",
        .parent = &device_type.object,
        .size = sizeof(PciDevice),
        .abstract = true,
        .init = pci_device_init,
        .properties = (const Property[]){
            PROPERTY("addr", property_devfn, PciDevice, devfn,
                     .description = "Slot and optional function number, example: 06.0 or 06"),
            PROPERTY_BOOL("multifunction", PciDevice, multifunction, "off", "on/off"),
            PROPERTY_UINT32("acpi-index", PciDevice, acpi_index, "0", NULL),
            PROPERTY_STRING("romfile", PciDevice, romfile, NULL),
            PROPERTY_UINT32("romsize", PciDevice, romsize, "4294967295", NULL),
            PROPERTY_UINT32("rombar", PciDevice, rombar, "1", NULL),
            {}
        },
    },
    .bus = &pci_bus_type,
    .realize = pci_device_realize,
    .unrealize = pci_device_unrealize,
    .reset = pci_device_reset,
};
DEVICE_REGISTER(pci_device_type);

const BusType pci_bus_type = {
    .object = {
        .name = "PCI",
        .parent = &bus_type.object,
        .size = sizeof(PciBus),
        .finalize = pci_bus_finalize,
    },
    .check_address = pci_bus_check_address,
    .section_prefix = pci_section_prefix,
    .firmware_path = pci_firmware_path,
    .print_device = pci_print_device,
    .unplug_request = pci_unplug_request,
    .plugged = pci_plugged,
};
BUS_REGISTER(pci_bus_type);

const BusType pcie_bus_type = {
    .object = {
        .name = "PCIE",
        .parent = &pci_bus_type.object,
        .size = sizeof(PciBus),
    },
};
BUS_REGISTER(pcie_bus_type);
