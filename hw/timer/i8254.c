/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer (Intel 8254 data sheet, order number 231164) as the PC has it: three counters at
 * 1.193182 MHz, the first drives IRQ 0, the gate and output of the third are at port 61h.
 *
 * A counter is not stepped. What it shows follows from when it was loaded, and from the time:
 *
 *   T1  d = whole ticks since count_load_time; value and output are functions of mode, count and d.
 *   T2  A count takes effect with the write that completes it. (The chip waits for the next clock pulse.)
 *   T3  The timer of channel 0 expires at the next change of its output; in modes 2 and 3 there always is one.
 */
#include "util/osdep.h"
#include "hw/timer/i8254.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(pit_ioport_read);
TRACE_EVENT(pit_ioport_write);
TRACE_EVENT(pit_irq);

#define PIT_PORTS 4
#define PIT_CONTROL 3 /* offset of the control word register */
/* Control word */
#define PIT_RW(value) ((value) >> 4 & 3) /* 0: counter latch command */
#define PIT_MODE(value) ((value) >> 1 & 7)
#define PIT_BCD 0x01
#define PIT_SELECT_READ_BACK 3
/* Read-back command: the two are active low */
#define READ_BACK_NO_COUNT 0x20
#define READ_BACK_NO_STATUS 0x10
/* Status byte */
#define STATUS_OUT 0x80
#define STATUS_NULL_COUNT 0x40

#define IRQ_STORM_LIMIT 1000 /* ticks behind which channel 0 gives up catching up */

typedef struct Pit {
    PitCommon common;
    int64_t paused_ticks[PIT_CHANNELS]; /* -1: the gate does not hold the counter; else its d */
    Timer irq_timer;
    MemoryRegion *ports;
    Irq *irq;
} Pit;

/* ---- counters --------------------------------------------------------------------------------------------------- */

static int64_t ticks_of(int64_t ns)
{
    return (int64_t)((__int128)ns * PIT_FREQUENCY / NS_PER_SEC);
}

/* The first ns at which so many ticks have passed. */
static int64_t ns_of(int64_t ticks)
{
    return (int64_t)(((__int128)ticks * NS_PER_SEC + PIT_FREQUENCY - 1) / PIT_FREQUENCY);
}

/* T1; a load time ahead of now (the clock was set back) counts as now. */
static int64_t pit_elapsed(const Pit *s, unsigned n, int64_t now)
{
    if (s->paused_ticks[n] >= 0) {
        return s->paused_ticks[n];
    }
    return ticks_of(MAX(now - s->common.channels[n].count_load_time, 0));
}

/* Modes 2 and 3 repeat, and hold with their output up while the gate is low. */
static bool pit_periodic(const PitChannel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static unsigned pit_modulus(const PitChannel *c)
{
    return c->bcd ? 10000 : 0x10000;
}

static unsigned pit_value(const Pit *s, unsigned n, int64_t now)
{
    const PitChannel *c = &s->common.channels[n];
    int64_t d = pit_elapsed(s, n, now);
    unsigned modulus = pit_modulus(c);
    int64_t value;

    if (pit_periodic(c) && !c->gate) {
        value = c->count;
    } else if (c->mode == 2) {
        value = c->count - d % c->count;
    } else if (c->mode == 3) {
        value = c->count - 2 * d % c->count;
    } else {
        value = (int64_t)modulus + c->count % modulus - d % modulus; /* goes on at the top */
    }
    return value % modulus;
}

static bool pit_output(const Pit *s, unsigned n, int64_t now)
{
    const PitChannel *c = &s->common.channels[n];
    int64_t d = pit_elapsed(s, n, now);

    switch (c->mode) {
    case 0:
    case 1:
        return d >= c->count;
    case 2: /* one tick low at the end of each period */
        return !c->gate || d == 0 || d % c->count != 0;
    case 3: /* the longer half high */
        return !c->gate || d % c->count < (c->count + 1) / 2;
    default: /* 4, 5: a strobe of one tick */
        return d != c->count;
    }
}

/* Ticks after which the output changes next, counted from the load; -1 for never. */
static int64_t pit_next_change(const Pit *s, unsigned n, int64_t now)
{
    const PitChannel *c = &s->common.channels[n];
    int64_t d = pit_elapsed(s, n, now), base = d - d % c->count;
    int high = (c->count + 1) / 2;

    if (s->paused_ticks[n] >= 0) {
        return -1;
    }
    switch (c->mode) {
    case 0:
    case 1:
        return d < c->count ? c->count : -1;
    case 2:
        if (c->count == 1) {
            return -1; /* not a legal count; the output stays where it is */
        }
        return d != 0 && d == base ? d + 1 : base + c->count;
    case 3:
        if (c->count == 1) {
            return -1;
        }
        return d - base < high ? base + high : base + c->count;
    default:
        return d < c->count ? c->count : d == c->count ? c->count + 1 : -1;
    }
}

/* ---- interrupt 0 ------------------------------------------------------------------------------------------------- */

/* T3 */
static void pit_arm_irq(Pit *s, int64_t now)
{
    PitChannel *c = &s->common.channels[0];
    int64_t next = pit_next_change(s, 0, now);

    c->next_transition_time = next < 0 ? -1 : MAX(c->count_load_time + ns_of(next), now + 1);
    if (c->next_transition_time < 0) {
        timer_del(&s->irq_timer);
    } else {
        timer_mod(&s->irq_timer, c->next_transition_time);
    }
}

/* Drives the line as the output is at `now`, and arms the timer for its next change. */
static void pit_update_irq(Pit *s, int64_t now)
{
    if (!s->common.channels[0].irq_disabled) {
        irq_set(s->irq, pit_output(s, 0, now));
        pit_arm_irq(s, now);
    }
}

/*
 * Changes are gone through one by one, at the time at which they were due: a guest that was away for a moment gets its
 * ticks. One that was away for long, or whose period is shorter than the host's resolution, gets one and goes on now.
 */
static void pit_irq_timer(void *opaque)
{
    Pit *s = opaque;
    PitChannel *c = &s->common.channels[0];
    int64_t due = c->next_transition_time, now = clock_get_ns(CLOCK_VIRTUAL);

    trace(pit_irq, "due %" PRId64 " now %" PRId64, due, now);
    if (c->mode == 2 && pit_output(s, 0, due)) {
        irq_lower(s->irq); /* the low tick is over already */
    }
    if (now - due > ns_of(IRQ_STORM_LIMIT) && now - due > 4 * ns_of(c->count)) {
        irq_set(s->irq, !pit_output(s, 0, now));
        due = now;
    }
    pit_update_irq(s, due);
}

/* The HPET takes the interrupt over and gives it back. */
static void pit_irq_control(void *opaque, int n, int enable)
{
    Pit *s = opaque;
    PitChannel *c = &s->common.channels[0];

    if (!!enable == !c->irq_disabled) {
        return;
    }
    if (enable) {
        c->irq_disabled = 0;
        pit_update_irq(s, clock_get_ns(CLOCK_VIRTUAL));
    } else {
        c->irq_disabled = 1;
        timer_del(&s->irq_timer);
    }
}

/* ---- registers ---------------------------------------------------------------------------------------------------- */

static void pit_load(Pit *s, unsigned n, unsigned value)
{
    PitChannel *c = &s->common.channels[n];

    if (c->bcd) {
        value =
            (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
        value %= 10000;
    }
    c->count = value ? value : pit_modulus(c);
    c->count_load_time = clock_get_ns(CLOCK_VIRTUAL);
    s->paused_ticks[n] = (c->mode == 0 || c->mode == 4) && !c->gate ? 0 : -1;
    if (n == 0) {
        pit_update_irq(s, c->count_load_time);
    }
}

static unsigned pit_shown(const Pit *s, unsigned n)
{
    unsigned value = pit_value(s, n, clock_get_ns(CLOCK_VIRTUAL));

    if (s->common.channels[n].bcd) {
        value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
    }
    return value;
}

static void pit_latch_count(Pit *s, unsigned n)
{
    PitChannel *c = &s->common.channels[n];

    if (!c->count_latched) {
        c->latched_count = pit_shown(s, n);
        c->count_latched = c->rw_mode;
    }
}

static void pit_latch_status(Pit *s, unsigned n)
{
    PitChannel *c = &s->common.channels[n];

    if (!c->status_latched) {
        c->status = (pit_output(s, n, clock_get_ns(CLOCK_VIRTUAL)) ? STATUS_OUT : 0) |
                    (c->write_state == PIT_ACCESS_WORD1 ? STATUS_NULL_COUNT : 0) | c->rw_mode << 4 |
                    c->mode << 1 | c->bcd;
        c->status_latched = 1;
    }
}

static void pit_write_control(Pit *s, uint8_t value)
{
    unsigned n = value >> 6;
    PitChannel *c;

    if (n == PIT_SELECT_READ_BACK) {
        for (n = 0; n < PIT_CHANNELS; n++) {
            if (!(value & 2u << n)) {
                continue;
            }
            if (!(value & READ_BACK_NO_COUNT)) {
                pit_latch_count(s, n);
            }
            if (!(value & READ_BACK_NO_STATUS)) {
                pit_latch_status(s, n);
            }
        }
        return;
    }
    c = &s->common.channels[n];
    if (PIT_RW(value) == 0) {
        pit_latch_count(s, n);
        return;
    }
    c->rw_mode = PIT_RW(value);
    c->read_state = c->write_state = c->rw_mode;
    c->mode = PIT_MODE(value) > 5 ? PIT_MODE(value) & 3 : PIT_MODE(value);
    c->bcd = value & PIT_BCD;
    c->count_latched = c->status_latched = 0;
    c->count_load_time = clock_get_ns(CLOCK_VIRTUAL);
    s->paused_ticks[n] = -1;
    if (n == 0) { /* the output goes to its initial level; no change of it before a count comes */
        timer_del(&s->irq_timer);
        c->next_transition_time = -1;
        if (!c->irq_disabled) {
            irq_set(s->irq, c->mode != 0);
        }
    }
}

static void pit_write_count(Pit *s, unsigned n, uint8_t value)
{
    PitChannel *c = &s->common.channels[n];

    switch (c->write_state) {
    case PIT_ACCESS_MSB:
        pit_load(s, n, value << 8);
        break;
    case PIT_ACCESS_WORD0:
        c->write_latch = value;
        c->write_state = PIT_ACCESS_WORD1;
        break;
    case PIT_ACCESS_WORD1:
        c->write_state = PIT_ACCESS_WORD0;
        pit_load(s, n, c->write_latch | value << 8);
        break;
    default:
        pit_load(s, n, value);
        break;
    }
}

static void pit_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    trace(pit_ioport_write, "offset %u value 0x%02x", (unsigned)offset, (unsigned)value);
    if (offset == PIT_CONTROL) {
        pit_write_control(opaque, value);
    } else {
        pit_write_count(opaque, offset, value);
    }
}

/* A latched count is read as it was latched, the bytes of a running one as they are at each read. */
static uint8_t pit_read_count(Pit *s, unsigned n)
{
    PitChannel *c = &s->common.channels[n];
    uint8_t *state = c->count_latched ? &c->count_latched : &c->read_state;
    unsigned value = c->count_latched ? c->latched_count : pit_shown(s, n);

    switch (*state) {
    case PIT_ACCESS_WORD0:
        *state = PIT_ACCESS_WORD1;
        return value;
    case PIT_ACCESS_WORD1:
        *state = c->count_latched ? 0 : PIT_ACCESS_WORD0;
        return value >> 8;
    case PIT_ACCESS_MSB:
        c->count_latched = 0;
        return value >> 8;
    default:
        c->count_latched = 0;
        return value;
    }
}

static uint64_t pit_read(void *opaque, hwaddr offset, unsigned size)
{
    Pit *s = opaque;
    uint8_t value = 0;

    if (offset != PIT_CONTROL) { /* nothing can be read there */
        PitChannel *c = &s->common.channels[offset];

        if (c->status_latched) {
            c->status_latched = 0;
            value = c->status;
        } else {
            value = pit_read_count(s, offset);
        }
    }
    trace(pit_ioport_read, "offset %u value 0x%02x", (unsigned)offset, value);
    return value;
}

static const MemoryOps pit_ops = {
    .read = pit_read,
    .write = pit_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- gate ---------------------------------------------------------------------------------------------------------- */

/* Low: modes 0 and 4 count no further, 2 and 3 stop. Rising: 1 and 5 are triggered, 2 and 3 begin anew. */
static void pit_gate_changed(PitCommon *common, unsigned n, bool level)
{
    Pit *s = (Pit *)common;
    PitChannel *c = &common->channels[n];
    int64_t now = clock_get_ns(CLOCK_VIRTUAL);

    if (c->gate == level) {
        return;
    }
    if ((c->mode == 0 || c->mode == 4) && !level) {
        s->paused_ticks[n] = pit_elapsed(s, n, now);
    } else if (c->mode == 0 || c->mode == 4) {
        c->count_load_time = now - ns_of(MAX(s->paused_ticks[n], 0));
        s->paused_ticks[n] = -1;
    } else if (level) {
        c->count_load_time = now;
    }
    c->gate = level;
    if (n == 0) {
        pit_update_irq(s, now);
    }
}

static void pit_channel_info(PitCommon *common, unsigned n, PitChannelInfo *info)
{
    const PitChannel *c = &common->channels[n];

    info->gate = c->gate;
    info->mode = c->mode;
    info->initial_count = c->count;
    info->out = pit_output((const Pit *)common, n, clock_get_ns(CLOCK_VIRTUAL));
}

static const PitOps pit_type_ops = { pit_gate_changed, pit_channel_info };

/* ---- life cycle ------------------------------------------------------------------------------------------------------ */

static void pit_reset(Device *dev)
{
    Pit *s = (Pit *)dev;
    int64_t now = clock_get_ns(CLOCK_VIRTUAL);

    pit_reset_channels(&s->common, now);
    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        s->paused_ticks[n] = -1;
    }
    irq_lower(s->irq); /* the interrupt controller shall see no edge before the first change */
    if (!s->common.channels[0].irq_disabled) {
        pit_arm_irq(s, now);
    }
}

static bool pit_realize(Device *dev, GError **error)
{
    Pit *s = (Pit *)dev;

    timer_init(&s->irq_timer, CLOCK_VIRTUAL, pit_irq_timer, s);
    s->ports = memory_region_new_io(&dev->object, &pit_ops, s, "pit", PIT_PORTS);
    isa_map_ports(dev, s->common.iobase, s->ports);
    device_init_gpio_in(dev, NULL, pit_irq_control, 1);
    device_init_gpio_out(dev, NULL, &s->irq, 1);
    return true;
}

static void pit_unrealize(Device *dev)
{
    Pit *s = (Pit *)dev;

    timer_del(&s->irq_timer);
    memory_region_free(s->ports);
}

PitCommon *pit_new(IsaBus *bus, Irq *irq, GError **error)
{
    Device *dev = device_new(device_type_by_name("isa-pit"));

    object_set_int(&dev->object, "iobase", 0x40);
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return NULL;
    }
    device_connect_gpio_out(dev, NULL, 0, irq);
    return (PitCommon *)dev;
}

/*
 * Migration notes. All follows from the channels and the virtual clock (T1). The time of the next change travels, so that
 * one that was due and not yet seen is not lost: the timer is armed for a time that has passed and expires when the
 * machine runs. Changes that were seen are in the interrupt controller's section. The line is not driven on load.
 * Stock's times are rounded down and skip the low tick of mode 2; pit_irq_timer() takes both.
 * Not in stock's section: where a counter stands that the gate holds (modes 0 and 4). It is a subsection, sent
 * while there is such a counter; without it the counter runs.
 */
static bool pit_paused_needed(const void *opaque)
{
    const Pit *s = opaque;

    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        if (s->paused_ticks[n] >= 0) {
            return true;
        }
    }
    return false;
}

static bool paused_valid(const void *opaque, int64_t value)
{
    return value >= -1 && value <= INT64_MAX / NS_PER_SEC;
}

static const VmState vmstate_pit_paused = {
    .name = "i8254/paused",
    .version = 1,
    .minimum_version = 1,
    .needed = pit_paused_needed,
    .fields =
        (const VmField[]){
            { .name = "paused_ticks",
              .offset = VM_CHECKED_ARRAY_OFFSET(Pit, paused_ticks, int64_t, PIT_CHANNELS),
              .size = 8,
              .num = PIT_CHANNELS,
              .shape = VM_ARRAY,
              .kind = &vm_kind_i64,
              .valid = paused_valid },
            VM_END,
        },
};

static bool pit_pre_load(void *opaque, GError **error)
{
    Pit *s = opaque;

    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        s->paused_ticks[n] = -1;
    }
    return true;
}

static bool pit_post_load(void *opaque, int version, GError **error)
{
    Pit *s = opaque;
    PitChannel *c = &s->common.channels[0];

    if (!pit_check_channels(&s->common, error)) {
        return false;
    }
    if (c->next_transition_time >= 0 && !c->irq_disabled) {
        timer_mod(&s->irq_timer, c->next_transition_time);
    } else {
        timer_del(&s->irq_timer);
    }
    return true;
}

static const VmState vmstate_pit = {
    .name = "i8254",
    .version = 3,
    .minimum_version = 2,
    .pre_load = pit_pre_load,
    .post_load = pit_post_load,
    .fields = pit_common_fields,
    .subsections = (const VmState *const[]){ &vmstate_pit_paused, NULL },
};

static const DeviceType pit_type = {
    .object = {
        .name = "isa-pit",
        .parent = &pit_common_type.object,
        .size = sizeof(Pit),
    },
    .realize = pit_realize,
    .unrealize = pit_unrealize,
    .reset = pit_reset,
    .migration = MIGRATES_WITH(vmstate_pit),
    .ops = &pit_type_ops,
};
DEVICE_REGISTER(pit_type);
