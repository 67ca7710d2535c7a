/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all implementations of the 8254 share: the type, the section, reset values. See hw/timer/i8254.h. */
#include "util/osdep.h"
#include "hw/timer/i8254.h"
#include "util/error.h"

void pit_set_gate(PitCommon *pit, unsigned channel, bool level)
{
    const PitOps *ops = device_ops(&pit->isa.device);

    g_assert(channel < PIT_CHANNELS);
    ops->set_gate(pit, channel, level);
}

void pit_get_channel_info(PitCommon *pit, unsigned channel, PitChannelInfo *info)
{
    const PitOps *ops = device_ops(&pit->isa.device);

    g_assert(channel < PIT_CHANNELS);
    ops->get_channel_info(pit, channel, info);
}

void pit_reset_channels(PitCommon *pit, int64_t now)
{
    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        PitChannel *c = &pit->channels[n];
        uint32_t irq_disabled = c->irq_disabled;

        *c = (PitChannel){ .count = 0x10000,
                           .mode = 3,
                           .gate = n != 2,
                           .count_load_time = now,
                           .irq_disabled = irq_disabled };
    }
}

/* A kernel's PIT was set up before the virtual clock began: its first count may be older than time itself. */
#define EARLIEST_LOAD (-3600 * NS_PER_SEC)

bool pit_check_channels(const PitCommon *pit, GError **error)
{
    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        const PitChannel *c = &pit->channels[n];

        if (c->count < 1 || c->count > 0x10000 || c->mode > 5 || c->read_state > PIT_ACCESS_WORD1 ||
            c->write_state > PIT_ACCESS_WORD1 || c->count_latched > PIT_ACCESS_WORD1 ||
            c->rw_mode > PIT_ACCESS_WORD0 || c->count_load_time < EARLIEST_LOAD ||
            c->next_transition_time < EARLIEST_LOAD) {
            return error_set(error, "i8254: the state of channel %u makes no sense", n);
        }
    }
    return true;
}

/* ---- vmstate ---------------------------------------------------------------------------------------------- */

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static const VmState vmstate_pit_channel = {
    .name = "pit channel",
    .version = 2,
    .minimum_version = 2,
    .fields =
        (const VmField[]){
            VM_I32(PitChannel, count),
            VM_U16(PitChannel, latched_count),
            VM_U8(PitChannel, count_latched),
            VM_U8(PitChannel, status_latched),
            VM_U8(PitChannel, status),
            VM_U8(PitChannel, read_state),
            VM_U8(PitChannel, write_state),
            VM_U8(PitChannel, write_latch),
            VM_U8(PitChannel, rw_mode),
            VM_U8(PitChannel, mode),
            VM_U8(PitChannel, bcd),
            VM_U8(PitChannel, gate),
            VM_I64(PitChannel, count_load_time),
            VM_I64(PitChannel, next_transition_time),
            VM_END,
        },
};

/* Channel 0's transition stands in the stream twice; the last one counts. */
const VmField pit_common_fields[] = {
    { .name = "channels[0].irq_disabled",
      .offset = VM_CHECKED_OFFSET(PitCommon, channels[0].irq_disabled, uint32_t),
      .size = 4,
      .kind = &vm_kind_u32,
      .version = 3,
      .valid = is_bool },
    VM_STRUCT_ARRAY(PitCommon, channels, PIT_CHANNELS, vmstate_pit_channel, PitChannel),
    VM_I64(PitCommon, channels[0].next_transition_time),
    VM_END,
};

const DeviceType pit_common_type = {
    .object = {
        .name = "pit-common",
        .parent = &isa_device_type.object,
        .size = sizeof(PitCommon),
        .abstract = true,
        .properties = (const Property[]){
            PROPERTY_UINT32("iobase", PitCommon, iobase, "4294967295", NULL),
            {},
        },
    },
    .not_user_creatable = true,
};
DEVICE_REGISTER(pit_common_type);
