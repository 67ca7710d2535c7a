/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ISA bus: sixteen interrupt lines and a piece of the I/O port space. Big lock. */
#ifndef HW_ISA_ISA_H
#define HW_ISA_ISA_H

#include "hw/core/device.h"
#include "system/memory.h"

#define ISA_NUM_IRQS 16

typedef struct IsaBus IsaBus;

/* A device on the bus; what it decodes and which line it raises is its own business. */
typedef struct IsaDevice {
    Device device;
    hwaddr first_port;  /* the lowest that isa_map_ports() has given it; 0: none */
} IsaDevice;

extern const DeviceType isa_device_type;
extern const BusType isa_bus_type;

/* The bus below a bridge, with the port space and (not counted) memory that its devices see. */
IsaBus *isa_bus_new(Device *bridge, MemoryRegion *memory, MemoryRegion *io);
/* Where the lines lead; irqs has ISA_NUM_IRQS entries and must outlive the bus. Once, by the board. */
void isa_bus_connect_irqs(IsaBus *bus, Irq **irqs);
/* The line, NULL while the board has not connected it. */
Irq *isa_bus_irq(IsaBus *bus, unsigned n);
/* The bus that a device is plugged into. */
IsaBus *isa_device_bus(const Device *dev);
/* Maps the device's ports. */
void isa_map_ports(Device *dev, hwaddr port, MemoryRegion *region);
MemoryRegion *isa_bus_io(IsaBus *bus);
/* Creates and plugs a board device; NULL with an error. */
Device *isa_create(IsaBus *bus, const char *type, GError **error);

#endif
