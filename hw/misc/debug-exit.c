/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debug-exit: a port by which a guest (a test, mostly) ends the program, with a status that is twice the value plus 1. */
#include "util/osdep.h"
#include "hw/isa/isa.h"
#include "system/runstate.h"
#include "util/error.h"

typedef struct DebugExit {
    IsaDevice isa;
    uint32_t iobase, iosize;
    MemoryRegion *port;
} DebugExit;

static uint64_t debug_exit_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static void debug_exit_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    vm_request_exit((int)(value << 1 | 1) & 0xff);
}

static const MemoryOps debug_exit_ops = {
    .read = debug_exit_read,
    .write = debug_exit_write,
    .valid = { .min_size = 1, .max_size = 4 },
};

static bool debug_exit_realize(Device *dev, GError **error)
{
    DebugExit *s = (DebugExit *)dev;

    if (!s->iosize || s->iosize > 0x10000 || s->iobase > 0x10000 - s->iosize) {
        return error_set(error, "isa-debug-exit: there are no %u ports at 0x%x", s->iosize,
                         s->iobase);
    }
    s->port = memory_region_new_io(&dev->object, &debug_exit_ops, s, "isa-debug-exit", s->iosize);
    isa_map_ports(dev, s->iobase, s->port);
    return true;
}

static void debug_exit_unrealize(Device *dev)
{
    memory_region_free(((DebugExit *)dev)->port);
}

static const DeviceType debug_exit_type = {
    .object = {
        .name = "isa-debug-exit",
        .parent = &isa_device_type.object,
        .size = sizeof(DebugExit),
        .properties = (const Property[]){
            PROPERTY_UINT32("iobase", DebugExit, iobase, "1281", NULL),
            PROPERTY_UINT32("iosize", DebugExit, iosize, "2", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .realize = debug_exit_realize,
    .unrealize = debug_exit_unrealize,
    .migration = STATELESS("there is nothing after the write"),
};
DEVICE_REGISTER(debug_exit_type);
