/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pvpanic: a register by which a guest says that its kernel has panicked, or that a crash kernel takes over. */
#include "util/osdep.h"
#include "hw/misc/pvpanic.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/log.h"

typedef struct PvpanicIsa {
    IsaDevice isa;
    uint16_t ioport;
    uint8_t events;
    MemoryRegion *port;
} PvpanicIsa;

typedef struct PvpanicPci {
    PciDevice dev;
    uint8_t events;
} PvpanicPci;

/* ---- the register ------------------------------------------------------------------------------------------------ */

static uint64_t pvpanic_read(void *opaque, hwaddr offset, unsigned size)
{
    return *(uint8_t *)opaque;
}

static void pvpanic_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    if (value & ~(uint64_t)PVPANIC_EVENTS) {
        log_guest_error("pvpanic: unknown event 0x%02x", (unsigned)value);
    }
    if (value & PVPANIC_PANICKED) {
        vm_guest_panicked();
    } else if (value & PVPANIC_CRASH_LOADED) {
        vm_guest_crash_loaded();
    }
}

static const MemoryOps pvpanic_ops = {
    .read = pvpanic_read,
    .write = pvpanic_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

MemoryRegion *pvpanic_region_new(Object *owner, uint8_t *events, unsigned size)
{
    return memory_region_new_io(owner, &pvpanic_ops, events, "pvpanic", size);
}

static bool pvpanic_check(uint8_t events, GError **error)
{
    return !(events & ~PVPANIC_EVENTS) ||
           error_set(error, "pvpanic: property 'events' is a mask of %d at most", PVPANIC_EVENTS);
}

/* ---- life cycle ----------------------------------------------------------------------------------------------------- */

static bool pvpanic_isa_realize(Device *dev, GError **error)
{
    PvpanicIsa *s = (PvpanicIsa *)dev;

    if (!pvpanic_check(s->events, error)) {
        return false;
    }
    s->port = pvpanic_region_new(&dev->object, &s->events, 1);
    isa_map_ports(dev, s->ioport, s->port);
    return true;
}

static void pvpanic_isa_unrealize(Device *dev)
{
    memory_region_free(((PvpanicIsa *)dev)->port);
}

static bool pvpanic_pci_realize(PciDevice *dev, GError **error)
{
    PvpanicPci *s = (PvpanicPci *)dev;

    if (!pvpanic_check(s->events, error)) {
        return false;
    }
    pci_set_bar(dev, 0, 0, pvpanic_region_new(&dev->device.object, &s->events, 2), 2);
    return true;
}

static void pvpanic_pci_unrealize(PciDevice *dev)
{
    g_clear_pointer(&dev->bars[0].region, memory_region_free);
}

static const VmState vmstate_pvpanic_pci = {
    .name = "pvpanic-pci",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){ VM_NAMED_STRUCT("dev", PvpanicPci, dev, vmstate_pci_device, PciDevice),
                           VM_END },
};

static const PciDeviceOps pvpanic_pci_ops = {
    .realize = pvpanic_pci_realize,
    .unrealize = pvpanic_pci_unrealize,
    .vendor_id = 0x1b36,
    .device_id = 0x0011,
    .class_id = 0x0880,
    .revision = 1,
};

static const DeviceType pvpanic_isa_type = {
    .object = {
        .name = "pvpanic",
        .parent = &isa_device_type.object,
        .size = sizeof(PvpanicIsa),
        .properties = (const Property[]){
            PROPERTY_UINT8("events", PvpanicIsa, events, "3", NULL),
            PROPERTY_UINT16("ioport", PvpanicIsa, ioport, "1285", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .realize = pvpanic_isa_realize,
    .unrealize = pvpanic_isa_unrealize,
    .migration = STATELESS("an event is told when it is written"),
};
DEVICE_REGISTER(pvpanic_isa_type);

static const DeviceType pvpanic_pci_type = {
    .object = {
        .name = "pvpanic-pci",
        .parent = &pci_device_type.object,
        .size = sizeof(PvpanicPci),
        .properties = (const Property[]){
            PROPERTY_UINT8("events", PvpanicPci, events, "3", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .migration = MIGRATES_WITH(vmstate_pvpanic_pci),
    .ops = &pvpanic_pci_ops,
};
DEVICE_REGISTER(pvpanic_pci_type);
