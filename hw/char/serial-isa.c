/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-serial: a 16550A at the places of COM1 … COM4. */
#include "util/osdep.h"
#include "hw/char/serial.h"
#include "hw/isa/isa.h"
#include "util/error.h"

#define MOST_PORTS 4

typedef struct SerialIsa {
    IsaDevice isa;
    uint32_t index, iobase, irq;
    Serial state;
} SerialIsa;

static const struct {
    uint16_t iobase;
    uint8_t irq;
} places[MOST_PORTS] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };

static unsigned next_index;

static void serial_isa_reset(Device *dev)
{
    serial_reset(&((SerialIsa *)dev)->state);
}

static bool serial_isa_realize(Device *dev, GError **error)
{
    SerialIsa *s = (SerialIsa *)dev;

    if (s->index == UINT32_MAX) {
        s->index = next_index;
    }
    if (s->index >= MOST_PORTS) {
        return error_set(error, "Max. supported number of ISA serial ports is %d.", MOST_PORTS);
    }
    s->iobase = s->iobase == UINT32_MAX ? places[s->index].iobase : s->iobase;
    s->irq = s->irq == UINT32_MAX ? places[s->index].irq : s->irq;
    if (s->irq >= ISA_NUM_IRQS || s->iobase > 0x10000 - SERIAL_PORTS) {
        return error_set(error, "isa-serial: there is no port 0x%x or no IRQ %u", s->iobase,
                         s->irq);
    }
    next_index = s->index + 1;
    s->state.irq = isa_bus_irq(isa_device_bus(dev), s->irq);
    serial_realize(&s->state, &dev->object);
    isa_map_ports(dev, s->iobase, s->state.io);
    return true;
}

static void serial_isa_unrealize(Device *dev)
{
    serial_unrealize(&((SerialIsa *)dev)->state);
}

/* Migration notes: the chip's (serial.c). */
static const VmState vmstate_serial_isa = {
    .name = "serial",
    .version = 3,
    .minimum_version = 3,
    .fields = (const VmField[]){ VM_STRUCT(SerialIsa, state, serial_vmstate, Serial), VM_END },
};

static const DeviceType serial_isa_type = {
    .object = {
        .name = "isa-serial",
        .parent = &isa_device_type.object,
        .size = sizeof(SerialIsa),
        .properties = (const Property[]){
            SERIAL_PROPERTIES(SerialIsa, state),
            PROPERTY_UINT32("index", SerialIsa, index, "4294967295", NULL),
            PROPERTY_UINT32("iobase", SerialIsa, iobase, "4294967295", NULL),
            PROPERTY_UINT32("irq", SerialIsa, irq, "4294967295", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_INPUT,
    .realize = serial_isa_realize,
    .unrealize = serial_isa_unrealize,
    .reset = serial_isa_reset,
    .migration = MIGRATES_WITH(vmstate_serial_isa),
};
DEVICE_REGISTER(serial_isa_type);
