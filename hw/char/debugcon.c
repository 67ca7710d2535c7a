/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa-debugcon: a port that sends each byte written to it to a character device and reads as a constant, by which
 * firmware finds it. Bochs introduced it at port E9h; SeaBIOS talks at 402h.
 */
#include "util/osdep.h"
#include "hw/core/chardev.h"
#include "hw/isa/isa.h"
#include "util/error.h"

#define PATIENCE_MS \
    100 /* for a peer that does not read; afterwards it gets nothing until it does */

typedef struct Debugcon {
    IsaDevice isa;
    uint32_t iobase, readback;
    ChardevFe chr;
    bool stuck; /* the peer has used up our patience */
    MemoryRegion *port;
} Debugcon;

static uint64_t debugcon_read(void *opaque, hwaddr offset, unsigned size)
{
    return ((Debugcon *)opaque)->readback;
}

/* There is no status to tell the guest that it should wait, so we do, for a while. */
static void debugcon_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Debugcon *s = opaque;
    uint8_t c = value;

    s->stuck = chardev_write_wait(&s->chr, &c, 1, s->stuck ? 0 : PATIENCE_MS) == 0;
}

static const MemoryOps debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .valid = { .min_size = 1, .max_size = 1 },
    .impl = { .min_size = 1, .max_size = 1 },
};

static bool debugcon_realize(Device *dev, GError **error)
{
    Debugcon *s = (Debugcon *)dev;

    if (!chardev_fe_attached(&s->chr)) {
        return error_set(error, "Can't create debugcon device, empty char device");
    }
    if (s->iobase > 0xffff) {
        return error_set(error, "isa-debugcon: there is no port 0x%x", s->iobase);
    }
    chardev_fe_set_handlers(&s->chr, NULL, NULL, NULL);
    s->port = memory_region_new_io(&dev->object, &debugcon_ops, s, "isa-debugcon", 1);
    isa_map_ports(dev, s->iobase, s->port);
    return true;
}

static void debugcon_unrealize(Device *dev)
{
    memory_region_free(((Debugcon *)dev)->port);
}

static const DeviceType debugcon_type = {
    .object = {
        .name = "isa-debugcon",
        .parent = &isa_device_type.object,
        .size = sizeof(Debugcon),
        .properties = (const Property[]){
            PROPERTY_CHARDEV("chardev", Debugcon, chr),
            PROPERTY_UINT32("iobase", Debugcon, iobase, "233", NULL),
            PROPERTY_UINT32("readback", Debugcon, readback, "233", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .realize = debugcon_realize,
    .unrealize = debugcon_unrealize,
    .migration = STATELESS("a byte is gone when the write returns"),
};
DEVICE_REGISTER(debugcon_type);
