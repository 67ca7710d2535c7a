/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a PCI bus holds, for people and clients: query-pci, info pci, and the names of classes. */
#include "util/osdep.h"
#include "hw/pci/pci.h"
#include "monitor/hmp.h"
#include "qapi/commands-pci.h"
#include "qapi/dispatch.h"
#include "util/bytes.h"

typedef struct PciClassName {
    uint16_t class_id;
    const char *name, *firmware_name;
} PciClassName;

/* PCI Code and ID Assignment Specification 1.11; names as users know them, firmware names of IEEE 1275. */
static const PciClassName class_names[] = {
    { 0x0100, "SCSI controller", "scsi" },
    { 0x0101, "IDE controller", "ide" },
    { 0x0106, "SATA controller", NULL },
    { 0x0200, "Ethernet controller", "ethernet" },
    { 0x0300, "VGA controller", "display" },
    { 0x0380, "Display controller", NULL },
    { 0x0401, "Audio controller", NULL },
    { 0x0600, "Host bridge", NULL },
    { 0x0601, "ISA bridge", NULL },
    { 0x0604, "PCI bridge", "pci-bridge" },
    { 0x0680, "Bridge", NULL },
    { 0x0c03, "USB controller", "usb" },
    { 0x0c05, "SMBus", NULL },
    {}
};

static const PciClassName *find_class(uint16_t class_id)
{
    for (const PciClassName *c = class_names; c->name; c++) {
        if (c->class_id == class_id) {
            return c;
        }
    }
    return NULL;
}

const char *pci_class_name(uint16_t class_id)
{
    const PciClassName *c = find_class(class_id);

    return c ? c->name : NULL;
}

const char *pci_class_firmware_name(uint16_t class_id)
{
    const PciClassName *c = find_class(class_id);

    return c ? c->firmware_name : NULL;
}

static PciMemoryRegionArray *query_regions(const PciDevice *dev)
{
    PciMemoryRegionArray *list = g_new0(PciMemoryRegionArray, 1);

    for (int n = 0; n < PCI_NUM_REGIONS; n++) {
        const PciBar *bar = &dev->bars[n];
        PciMemoryRegion *region;

        if (!bar->region) {
            continue;
        }
        region = g_new0(PciMemoryRegion, 1);
        region->bar = n;
        region->address = bar->space ? (int64_t)memory_region_address(bar->region) : -1;
        region->size = bar->size;
        region->type = g_strdup(bar->type & PCI_BAR_SPACE_IO ? "io" : "memory");
        if (!(bar->type & PCI_BAR_SPACE_IO)) {
            region->has_prefetch = true;
            region->prefetch = bar->type & PCI_BAR_MEM_PREFETCH;
            region->has_mem_type_64 = true;
            region->mem_type_64 = bar->type & PCI_BAR_MEM_64;
        }
        QAPI_ARRAY_ADD(list, region);
    }
    return list;
}

static PciDeviceInfo *query_device(const PciDevice *dev)
{
    const uint8_t *c = dev->config;
    PciDeviceInfo *info = g_new0(PciDeviceInfo, 1);

    info->slot = PCI_SLOT(dev->devfn);
    info->function = PCI_FUNCTION(dev->devfn);
    info->class_info = g_new0(PciDeviceClass, 1);
    info->class_info->class = load_le16(c + PCI_CLASS_DEVICE);
    info->class_info->desc = g_strdup(pci_class_name(info->class_info->class));
    info->id = g_new0(PciDeviceId, 1);
    info->id->vendor = load_le16(c + PCI_VENDOR_ID);
    info->id->device = load_le16(c + PCI_DEVICE_ID);
    info->id->has_subsystem = true;
    info->id->subsystem = load_le16(c + PCI_SUBSYSTEM_ID);
    info->id->has_subsystem_vendor = true;
    info->id->subsystem_vendor = load_le16(c + PCI_SUBSYSTEM_VENDOR_ID);
    info->irq_pin = c[PCI_INTERRUPT_PIN];
    info->has_irq = c[PCI_INTERRUPT_PIN] != 0;
    info->irq = c[PCI_INTERRUPT_LINE];
    info->qdev_id = g_strdup(dev->device.id ? dev->device.id : "");
    info->regions = query_regions(dev);
    return info;
}

bool qmp_query_pci(PciInfoArray **ret, GError **error)
{
    PciInfoArray *buses = g_new0(PciInfoArray, 1);
    PciBus *root = pci_root_bus();

    if (root) {
        PciInfo *bus = g_new0(PciInfo, 1);

        bus->devices = g_new0(PciDeviceInfoArray, 1);
        for (int devfn = 0; devfn < 256; devfn++) {
            PciDevice *dev = pci_bus_find(root, devfn);

            if (dev && dev->device.realized) {
                QAPI_ARRAY_ADD(bus->devices, query_device(dev));
            }
        }
        QAPI_ARRAY_ADD(buses, bus);
    }
    *ret = buses;
    return true;
}

static void print_region(Hmp *hmp, const PciMemoryRegion *region)
{
    bool io = g_str_equal(region->type, "io");
    const char *kind = io ? "I/O"
                       : region->mem_type_64 ? (region->prefetch ? "64 bit prefetchable memory" : "64 bit memory")
                       : region->prefetch    ? "32 bit prefetchable memory"
                                             : "32 bit memory";

    if (region->address == -1) {
        hmp_printf(hmp, "      BAR%" PRId64 ": %s (not mapped)\n", region->bar, kind);
    } else {
        hmp_printf(hmp, io ? "      BAR%" PRId64 ": %s at 0x%04" PRIx64 " [0x%04" PRIx64 "]\n"
                           : "      BAR%" PRId64 ": %s at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n",
                   region->bar, kind, region->address, region->address + region->size - 1);
    }
}

static void print_device(Hmp *hmp, const PciDeviceInfo *info)
{
    hmp_printf(hmp, "  Bus %2d, device %3" PRId64 ", function %" PRId64 ":\n", 0, info->slot, info->function);
    if (info->class_info->desc) {
        hmp_printf(hmp, "    %s", info->class_info->desc);
    } else {
        hmp_printf(hmp, "    Class %04" PRIx64, (uint64_t)info->class_info->class);
    }
    hmp_printf(hmp, ": PCI device %04" PRIx64 ":%04" PRIx64 "\n", (uint64_t)info->id->vendor,
               (uint64_t)info->id->device);
    hmp_printf(hmp, "      PCI subsystem %04" PRIx64 ":%04" PRIx64 "\n", (uint64_t)info->id->subsystem_vendor,
               (uint64_t)info->id->subsystem);
    if (info->has_irq) {
        hmp_printf(hmp, "      IRQ %" PRId64 ", pin %c\n", info->irq, (char)('A' + info->irq_pin - 1));
    }
    for (size_t i = 0; i < info->regions->len; i++) {
        print_region(hmp, info->regions->items[i]);
    }
    hmp_printf(hmp, "      id \"%s\"\n", info->qdev_id);
}

static void hmp_info_pci(Hmp *hmp, const HmpArgs *args)
{
    g_autoptr(PciInfoArray) buses = NULL;

    qmp_query_pci(&buses, NULL);
    if (!buses->len) {
        hmp_puts(hmp, "PCI devices not supported\n");
    }
    for (size_t b = 0; b < buses->len; b++) {
        for (size_t i = 0; i < buses->items[b]->devices->len; i++) {
            print_device(hmp, buses->items[b]->devices->items[i]);
        }
    }
}

static const HmpCommand pci_commands[] = {
    { "info pci", "", "", "show PCI info", hmp_info_pci },
};
HMP_REGISTER(pci_commands);
QMP_REGISTER(pci);
