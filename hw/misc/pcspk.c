/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa-pcspk: port 61h (Intel 82371SB data sheet, "NMI Status and Control Register"): gate of timer channel 2, speaker
 * data enable, a bit that toggles with the refresh, and the timer's output. No sound is made.
 */
#include "util/osdep.h"
#include "hw/misc/pcspk.h"
#include "util/error.h"

#define CONTROL_GATE 0x01
#define CONTROL_DATA 0x02
#define STATUS_REFRESH 0x10
#define STATUS_OUT 0x20

typedef struct Pcspk {
    IsaDevice isa;
    uint8_t data_on;
    /* STATUS_REFRESH or 0, toggles with each read: guests count its changes, they do not time them. */
    uint8_t dummy_refresh_clock;

    uint32_t iobase;
    bool migrate;
    PitCommon *pit;
    MemoryRegion *port;
} Pcspk;

static uint64_t pcspk_read(void *opaque, hwaddr offset, unsigned size)
{
    Pcspk *s = opaque;
    PitChannelInfo info;

    pit_get_channel_info(s->pit, 2, &info);
    s->dummy_refresh_clock ^= STATUS_REFRESH;
    return (info.gate ? CONTROL_GATE : 0) | (s->data_on ? CONTROL_DATA : 0) |
           s->dummy_refresh_clock | (info.out ? STATUS_OUT : 0);
}

static void pcspk_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Pcspk *s = opaque;

    s->data_on = (value & CONTROL_DATA) != 0;
    pit_set_gate(s->pit, 2, value & CONTROL_GATE);
}

static const MemoryOps pcspk_ops = {
    .read = pcspk_read,
    .write = pcspk_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle ---------------------------------------------------------------------------------------------- */

static void pcspk_reset(Device *dev)
{
    Pcspk *s = (Pcspk *)dev;

    s->data_on = s->dummy_refresh_clock = 0;
}

static bool pcspk_realize(Device *dev, GError **error)
{
    Pcspk *s = (Pcspk *)dev;

    if (!s->pit) {
        return error_set(error, "No \"pit\" set or \"pit\" not a PIT");
    }
    if (s->iobase > 0xffff) {
        return error_set(error, "isa-pcspk: there is no port 0x%x", s->iobase);
    }
    s->port = memory_region_new_io(&dev->object, &pcspk_ops, s, "pcspk", 1);
    isa_map_ports(dev, s->iobase, s->port);
    return true;
}

static void pcspk_unrealize(Device *dev)
{
    memory_region_free(((Pcspk *)dev)->port);
}

Device *pcspk_new(IsaBus *bus, PitCommon *pit, GError **error)
{
    Device *dev = device_new(device_type_by_name("isa-pcspk"));

    object_set_link(&dev->object, "pit", &pit->isa.device.object);
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return NULL;
    }
    return dev;
}

/* Migration notes. The gate and the output are the timer's. Where the kernel answers the port, the timer has the other bit as well. */
static bool pcspk_pre_save(void *opaque, GError **error)
{
    Pcspk *s = opaque;

    s->data_on = s->pit->has_speaker ? s->pit->speaker_on : s->data_on;
    return true;
}

static bool pcspk_post_load(void *opaque, int version, GError **error)
{
    Pcspk *s = opaque;

    s->pit->speaker_on = s->data_on;
    return true;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool pcspk_needed(const void *opaque)
{
    return ((const Pcspk *)opaque)->migrate;
}

static bool is_refresh(const void *opaque, int64_t value)
{
    return value == 0 || value == STATUS_REFRESH;
}

#define PCSPK_BIT(member, check)                                                            \
    {                                                                                       \
        .name = #member, .offset = offsetof(Pcspk, member), .size = 1, .kind = &vm_kind_u8, \
        .valid = (check)                                                                    \
    }

static const VmState vmstate_pcspk = {
    .name = "pcspk",
    .version = 1,
    .minimum_version = 1,
    .pre_save = pcspk_pre_save,
    .post_load = pcspk_post_load,
    .needed = pcspk_needed,
    .fields = (const VmField[]){ PCSPK_BIT(data_on, is_bool),
                                 PCSPK_BIT(dummy_refresh_clock, is_refresh), VM_END },
};

static const DeviceType pcspk_type = {
    .object = {
        .name = "isa-pcspk",
        .parent = &isa_device_type.object,
        .size = sizeof(Pcspk),
        .properties = (const Property[]){
            PROPERTY_UINT32("iobase", Pcspk, iobase, "97", NULL),
            PROPERTY_BOOL("migrate", Pcspk, migrate, "on", NULL),
            PROPERTY_LINK("pit", Pcspk, pit, pit_common_type.object, NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_SOUND,
    .not_user_creatable = true,
    .realize = pcspk_realize,
    .unrealize = pcspk_unrealize,
    .reset = pcspk_reset,
    .migration = MIGRATES_WITH(vmstate_pcspk),
};
DEVICE_REGISTER(pcspk_type);
