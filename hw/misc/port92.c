/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port92: system control port A of the PS/2 (IBM PS/2 Model 80 Technical Reference): fast A20 gate and fast reset. */
#include "util/osdep.h"
#include "hw/isa/isa.h"
#include "system/runstate.h"
#include "util/trace.h"

TRACE_EVENT(port92_read);
TRACE_EVENT(port92_write);

#define PORT92 0x92
#define OUT_RESET 0x01
#define OUT_A20 0x02

typedef struct Port92 {
    IsaDevice isa;
    uint8_t outport;
    Irq *a20;
    MemoryRegion *port;
} Port92;

static uint64_t port92_read(void *opaque, hwaddr offset, unsigned size)
{
    Port92 *s = opaque;

    trace(port92_read, "port92: read 0x%02x", s->outport);
    return s->outport;
}

/* The reset is at the rising edge of its bit. */
static void port92_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Port92 *s = opaque;
    uint8_t old = s->outport;

    trace(port92_write, "port92: write 0x%02x", (unsigned)value);
    s->outport = value;
    irq_set(s->a20, (value & OUT_A20) != 0);
    if (value & ~old & OUT_RESET) {
        vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
    }
}

static const MemoryOps port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* The A20 bit is kept, as stock keeps it. */
static void port92_reset(Device *dev)
{
    ((Port92 *)dev)->outport &= ~OUT_RESET;
}

static bool port92_realize(Device *dev, GError **error)
{
    Port92 *s = (Port92 *)dev;

    device_init_gpio_out(dev, "a20", &s->a20, 1);
    s->port = memory_region_new_io(&dev->object, &port92_ops, s, "port92", 1);
    isa_map_ports(dev, PORT92, s->port);
    return true;
}

static void port92_unrealize(Device *dev)
{
    memory_region_free(((Port92 *)dev)->port);
}

/* Migration notes. The line A20 is the processor's state; who wrote last has set it. */
static const VmState vmstate_port92 = {
    .name = "port92",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U8(Port92, outport), VM_END },
};

static const DeviceType port92_type = {
    .object = { .name = "port92", .parent = &isa_device_type.object, .size = sizeof(Port92) },
    .not_user_creatable = true,
    .realize = port92_realize,
    .unrealize = port92_unrealize,
    .reset = port92_reset,
    .migration = MIGRATES_WITH(vmstate_port92),
};
DEVICE_REGISTER(port92_type);
