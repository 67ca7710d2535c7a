/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ISA bus: a name for sixteen lines and the ports behind a bridge. It has no state of its own. */
#include "util/osdep.h"
#include "hw/isa/isa.h"

struct IsaBus {
    Bus bus;
    MemoryRegion *memory, *io;
    Irq **irqs;
};

IsaBus *isa_bus_new(Device *bridge, MemoryRegion *memory, MemoryRegion *io)
{
    IsaBus *bus = (IsaBus *)bus_new(&isa_bus_type, bridge, NULL);

    bus->memory = memory;
    bus->io = io;
    return bus;
}

void isa_bus_connect_irqs(IsaBus *bus, Irq **irqs)
{
    bus->irqs = irqs;
}

Irq *isa_bus_irq(IsaBus *bus, unsigned n)
{
    g_assert(n < ISA_NUM_IRQS);
    return bus->irqs ? bus->irqs[n] : NULL;
}

IsaBus *isa_device_bus(const Device *dev)
{
    return (IsaBus *)dev->bus;
}

MemoryRegion *isa_bus_io(IsaBus *bus)
{
    return bus->io;
}

void isa_map_ports(Device *dev, hwaddr port, MemoryRegion *region)
{
    IsaDevice *isa = (IsaDevice *)dev;

    if (!isa->first_port || port < isa->first_port) {
        isa->first_port = port;
    }
    memory_region_map(isa_device_bus(dev)->io, port, region);
}

Device *isa_create(IsaBus *bus, const char *type, GError **error)
{
    Device *dev = device_new(device_type_by_name(type));

    if (!device_realize(dev, &bus->bus, error)) {
        object_unref(dev);
        return NULL;
    }
    return dev;
}

const DeviceType isa_device_type = {
    .object = {
        .name = "isa-device",
        .parent = &device_type.object,
        .size = sizeof(IsaDevice),
        .abstract = true,
    },
    .bus = &isa_bus_type,
    .not_hotpluggable = true,
};
DEVICE_REGISTER(isa_device_type);

/* The bus under a bridge has no place of its own in the names of sections: "i8259", not "0000:00:01.0/i8259". */
static char *isa_section_prefix(const Device *dev)
{
    return NULL;
}

/* "fdc@03f0": the first port that it has. */
static char *isa_firmware_path(const Device *dev)
{
    const char *name = device_get_type(dev)->firmware_name;
    hwaddr port = ((const IsaDevice *)dev)->first_port;

    return port ? g_strdup_printf("%s@%04x", name ? name : dev->object.type->name, (unsigned)port)
                : g_strdup(name ? name : dev->object.type->name);
}

const BusType isa_bus_type = {
    .object = {
        .name = "ISA",
        .parent = &bus_type.object,
        .size = sizeof(IsaBus),
    },
    .section_prefix = isa_section_prefix,
    .firmware_path = isa_firmware_path,
};
BUS_REGISTER(isa_bus_type);
