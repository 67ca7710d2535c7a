/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VGA: the standard card on PCI (1234:1111), and secondary-vga, the same without the legacy ports and window.
 * Document: "QEMU Standard VGA" specification (docs/specs of QEMU): BAR 0 video memory, BAR 2 registers:
 *
 *   000 … 3FF   EDID
 *   400 … 41F   ports 3C0 … 3DF
 *   500 … 515   DISPI registers, 16 bits each
 *   600 … 607   size of this block, byte order of pixels
 */
#include "util/osdep.h"

#include "edid.h"
#include "hw/pci/pci.h"
#include "util/error.h"
#include "vga.h"

typedef struct PciVga {
    PciDevice dev;
    VgaCore vga;
    bool has_mmio, has_extended, has_edid;
    EdidInfo edid;
    uint8_t edid_blob[EDID_SIZE];
    MemoryRegion *mmio, *mmio_edid, *mmio_ports, *mmio_vbe, *mmio_extended, *mmio_rest;
    MemoryRegion *ports[VGA_PORT_REGIONS];
} PciVga;

enum {
    MMIO_SIZE = 0x1000,
    MMIO_EDID = 0x000,
    MMIO_EDID_SIZE = 0x180,
    MMIO_PORTS = 0x400,
    MMIO_PORTS_SIZE = 0x20,
    MMIO_VBE = 0x500,
    MMIO_VBE_SIZE = 0x18,
    MMIO_EXTENDED = 0x600,
    MMIO_EXTENDED_SIZE = 8,
    EXTENDED_ENDIAN = 4,
};

#define ENDIAN_LITTLE 0x1e1e1e1eu
#define ENDIAN_BIG 0xbebebebeu

/* ---- registers in memory ----------------------------------------------------------------------------- */

static uint64_t edid_read(void *opaque, hwaddr offset, unsigned size)
{
    PciVga *d = opaque;

    return offset < EDID_SIZE ? d->edid_blob[offset] : 0;
}

static void edid_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

static const MemoryOps edid_ops = {
    .read = edid_read,
    .write = edid_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 1 },
};

static uint64_t mmio_ports_read(void *opaque, hwaddr offset, unsigned size)
{
    return vga_port_read(&((PciVga *)opaque)->vga, 0x3c0 + offset);
}

static void mmio_ports_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    vga_port_write(&((PciVga *)opaque)->vga, 0x3c0 + offset, value);
}

static const MemoryOps mmio_ports_ops = {
    .read = mmio_ports_read,
    .write = mmio_ports_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 1 },
};

/* The index register stands as it was: both ways to the registers may be used side by side. */
static uint64_t mmio_vbe_read(void *opaque, hwaddr offset, unsigned size)
{
    VgaCore *s = &((PciVga *)opaque)->vga;
    uint16_t index = s->vbe_index, value;

    s->vbe_index = offset / 2;
    value = vbe_read(s);
    s->vbe_index = index;
    return value;
}

static void mmio_vbe_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VgaCore *s = &((PciVga *)opaque)->vga;
    uint16_t index = s->vbe_index;

    s->vbe_index = offset / 2;
    vbe_write(s, value);
    s->vbe_index = index;
}

static const MemoryOps mmio_vbe_ops = {
    .read = mmio_vbe_read,
    .write = mmio_vbe_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 2, .max_size = 2 },
};

static uint64_t extended_read(void *opaque, hwaddr offset, unsigned size)
{
    PciVga *d = opaque;

    return offset != EXTENDED_ENDIAN ? MMIO_EXTENDED_SIZE
           : d->vga.big_endian       ? ENDIAN_BIG
                                     : ENDIAN_LITTLE;
}

static void extended_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    PciVga *d = opaque;

    if (offset == EXTENDED_ENDIAN && (value == ENDIAN_BIG || value == ENDIAN_LITTLE)) {
        d->vga.big_endian = value == ENDIAN_BIG;
    }
}

static const MemoryOps extended_ops = {
    .read = extended_read,
    .write = extended_write,
    .valid = { .min_size = 4, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- reset -------------------------------------------------------------------------------------------- */

static void vga_pci_reset(PciDevice *pci)
{
    PciVga *d = (PciVga *)pci;

    d->vga.big_endian = false;
    vga_reset(&d->vga);
}

/* ---- realize ------------------------------------------------------------------------------------------ */

/* What is not a register reads as ones. */
static uint64_t rest_read(void *opaque, hwaddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void rest_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

static const MemoryOps rest_ops = { .read = rest_read, .write = rest_write };

static MemoryRegion *add_part(PciVga *d, const MemoryOps *ops, const char *name, hwaddr at,
                              uint64_t size)
{
    MemoryRegion *part = memory_region_new_io(&d->dev.device.object, ops, d, name, size);

    memory_region_map(d->mmio, at, part);
    return part;
}

static void make_mmio(PciVga *d)
{
    Object *owner = &d->dev.device.object;

    d->mmio = memory_region_new_container(owner, "vga.mmio", MMIO_SIZE);
    d->mmio_rest = memory_region_new_io(owner, &rest_ops, d, "vga.mmio-rest", MMIO_SIZE);
    memory_region_map_overlap(d->mmio, 0, d->mmio_rest, -1);
    d->mmio_ports =
        add_part(d, &mmio_ports_ops, "vga ioports remapped", MMIO_PORTS, MMIO_PORTS_SIZE);
    d->mmio_vbe = add_part(d, &mmio_vbe_ops, "bochs dispi interface", MMIO_VBE, MMIO_VBE_SIZE);
    if (d->has_extended) {
        d->mmio_extended =
            add_part(d, &extended_ops, "qemu extended regs", MMIO_EXTENDED, MMIO_EXTENDED_SIZE);
    }
    if (d->has_edid) {
        edid_generate(d->edid_blob, &d->edid);
        d->mmio_edid = add_part(d, &edid_ops, "edid", MMIO_EDID, MMIO_EDID_SIZE);
    }
    pci_set_bar(&d->dev, 2, 0, d->mmio, MMIO_SIZE);
}

static bool common_realize(PciVga *d, GError **error)
{
    if (d->has_edid && !edid_check(&d->edid, error)) {
        return false;
    }
    if (!vga_init(&d->vga, &d->dev.device, 16, error)) {
        return false;
    }
    pci_set_bar(&d->dev, 0, PCI_BAR_MEM_PREFETCH, d->vga.vram, d->vga.vram_size);
    if (d->has_mmio) {
        make_mmio(d);
    }
    return true;
}

static bool vga_pci_realize(PciDevice *pci, GError **error)
{
    PciVga *d = (PciVga *)pci;
    PciBus *bus = pci_device_bus(pci);

    if (!common_realize(d, error)) {
        return false;
    }
    vga_ports_map(&d->vga, &pci->device.object, pci_bus_io(bus), d->ports);
    vga_window_map(&d->vga, &pci->device.object, pci_bus_memory(bus));
    return true;
}

static bool secondary_realize(PciDevice *pci, GError **error)
{
    PciVga *d = (PciVga *)pci;

    d->has_mmio = true;
    return common_realize(d, error);
}

static void vga_pci_unrealize(PciDevice *pci)
{
    PciVga *d = (PciVga *)pci;

    vga_ports_free(d->ports);
    g_clear_pointer(&d->mmio_edid, memory_region_free);
    g_clear_pointer(&d->mmio_ports, memory_region_free);
    g_clear_pointer(&d->mmio_vbe, memory_region_free);
    g_clear_pointer(&d->mmio_extended, memory_region_free);
    g_clear_pointer(&d->mmio_rest, memory_region_free);
    g_clear_pointer(&d->mmio, memory_region_free);
    vga_exit(&d->vga);
}

/* ---- migration ------------------------------------------------------------------------------------------ */

/* Migration notes. The core's registers and its RAM block: see vga.c. EDID is a constant of the properties. */
static const VmState pci_vga_vmstate = {
    .name = "vga",
    .version = 2,
    .minimum_version = 2,
    .fields = (const VmField[]){ VM_PCI_DEVICE(PciVga, dev), VM_VGA(PciVga, vga), VM_END },
};

/* ---- registration ---------------------------------------------------------------------------------------- */

#define EDID_PROPERTIES                                        \
    PROPERTY_BOOL("edid", PciVga, has_edid, "on", NULL),       \
        PROPERTY_UINT32("xres", PciVga, edid.xres, "0", NULL), \
        PROPERTY_UINT32("yres", PciVga, edid.yres, "0", NULL), \
        PROPERTY_UINT32("xmax", PciVga, edid.xmax, "0", NULL), \
        PROPERTY_UINT32("ymax", PciVga, edid.ymax, "0", NULL), \
        PROPERTY_UINT32("refresh_rate", PciVga, edid.refresh_rate, "0", NULL)

static const Property vga_properties[] = {
    PROPERTY_UINT32("vgamem_mb", PciVga, vga.vgamem_mb, "16", NULL),
    PROPERTY_BOOL("mmio", PciVga, has_mmio, "on", NULL),
    PROPERTY_BOOL("qemu-extended-regs", PciVga, has_extended, "on", NULL),
    PROPERTY("big-endian-framebuffer", property_bool, PciVga, vga.big_endian,
             .flags = PROPERTY_ANY_TIME),
    EDID_PROPERTIES,
    { .name = NULL },
};

static const Property secondary_properties[] = {
    PROPERTY_UINT32("vgamem_mb", PciVga, vga.vgamem_mb, "16", NULL),
    PROPERTY_BOOL("qemu-extended-regs", PciVga, has_extended, "on", NULL),
    PROPERTY("big-endian-framebuffer", property_bool, PciVga, vga.big_endian,
             .flags = PROPERTY_ANY_TIME),
    EDID_PROPERTIES,
    { .name = NULL },
};

static const PciDeviceOps vga_ops = {
    .romfile = "vgabios-stdvga.bin",
    .realize = vga_pci_realize,
    .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
    .vendor_id = 0x1234,
    .device_id = 0x1111,
    .class_id = 0x0300,
    .revision = 2,
};

static const PciDeviceOps secondary_ops = {
    .realize = secondary_realize,
    .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
    .vendor_id = 0x1234,
    .device_id = 0x1111,
    .class_id = 0x0380,
    .revision = 2,
};

static const DeviceType vga_type = {
    .object = {
        .name = "VGA",
        .parent = &pci_device_type.object,
        .size = sizeof(PciVga),
        .properties = vga_properties,
    },
    .category = DEVICE_CATEGORY_DISPLAY,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(pci_vga_vmstate),
    .ops = &vga_ops,
};
DEVICE_REGISTER(vga_type)

static const DeviceType secondary_vga_type = {
    .object = {
        .name = "secondary-vga",
        .parent = &pci_device_type.object,
        .size = sizeof(PciVga),
        .properties = secondary_properties,
    },
    .category = DEVICE_CATEGORY_DISPLAY,
    .migration = MIGRATES_WITH(pci_vga_vmstate),
    .ops = &secondary_ops,
};
DEVICE_REGISTER(secondary_vga_type)
