/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * High precision event timers (IA-PC HPET Specification, revision 1.0a): a counter of 100 MHz and 3 … 32 comparators.
 *
 *   H1  While the main counter runs it is (virtual time + hpet_offset) / 10; while it stands it is hpet_counter.
 *   H2  A comparator's timer is armed while the counter runs, its interrupt is enabled and there is a match to come. A
 *       match that was due before the guest had written it comes at once: a guest that sets a time just ahead shall not
 *       wait for the counter to come round because its processor was away.
 *   H3  In legacy replacement mode comparators 0 and 1 drive the lines of the 8254 and of the clock, which are cut off.
 */
#include "util/osdep.h"
#include "hw/timer/hpet.h"
#include "system/memory.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"

TRACE_EVENT(hpet_ram_read);
TRACE_EVENT(hpet_ram_write);

#define HPET_SIZE 0x400
#define TICK_NS 10
#define TIMERS_LEAST 3
#define TIMERS_MOST 32

/* Registers */
#define REG_CAPABILITY 0x00
#define REG_CONFIG 0x10
#define REG_STATUS 0x20
#define REG_COUNTER 0xf0
#define REG_TIMER 0x100
#define REG_TIMER_SIZE 0x20
/* … of a timer */
enum { TIMER_CONFIG = 0x00, TIMER_COMPARATOR = 0x08, TIMER_FSB = 0x10 };

/* Revision 1, 64 bits, legacy replacement, vendor 8086h; the period in femtoseconds */
#define CAPABILITY (UINT64_C(10000000) << 32 | 0x8086a001)
#define CAPABILITY_TIMERS_SHIFT 8
#define CONFIG_ENABLE 0x01
#define CONFIG_LEGACY 0x02
#define CONFIG_WRITABLE 0x03

#define TN_LEVEL 0x0002
#define TN_ENABLE 0x0004
#define TN_PERIODIC 0x0008
#define TN_PERIODIC_CAP 0x0010
#define TN_SIZE_CAP 0x0020
#define TN_SET_VALUE 0x0040
#define TN_32BIT 0x0100
#define TN_ROUTE_SHIFT 9
#define TN_FSB_ENABLE 0x4000
#define TN_FSB_CAP 0x8000
#define TN_WRITABLE 0x7f4e

typedef struct Hpet Hpet;

typedef struct HpetTimer {
    uint8_t tn;
    uint64_t config, cmp;
    uint64_t fsb; /* address in the high half, value in the low */
    uint64_t period;
    uint8_t wrap_flag; /* kept for stock */
    Timer qemu_timer;
    Hpet *hpet;
} HpetTimer;

struct Hpet {
    Device device;
    uint64_t config, isr;
    uint64_t hpet_counter, hpet_offset;
    uint8_t num_timers;
    HpetTimer timer[TIMERS_MOST];
    uint8_t rtc_irq_level; /* of the clock's line, which waits in legacy mode */
    bool offset_loaded;

    bool msi, offset_saved;
    uint32_t intcap;
    MemoryRegion *mmio;
    Irq *pit_enable;
    Irq *routes[HPET_ROUTES];
};

/* ---- counter ------------------------------------------------------------------------------------------------ */

static bool hpet_runs(const Hpet *s)
{
    return s->config & CONFIG_ENABLE;
}

static bool hpet_is_legacy(const Hpet *s)
{
    return s->config & CONFIG_LEGACY;
}

/* H1 */
static uint64_t hpet_count(const Hpet *s)
{
    return hpet_runs(s) ? (clock_get_ns(CLOCK_VIRTUAL) + s->hpet_offset) / TICK_NS
                        : s->hpet_counter;
}

static void hpet_set_offset(Hpet *s)
{
    s->hpet_offset = s->hpet_counter * TICK_NS - clock_get_ns(CLOCK_VIRTUAL);
}

/* ---- comparators --------------------------------------------------------------------------------------------- */

static bool timer_is_32bit(const HpetTimer *t)
{
    return t->config & TN_32BIT;
}

static bool timer_is_periodic(const HpetTimer *t)
{
    return t->config & TN_PERIODIC;
}

/* Ticks from `count` to the comparator, in the width of the timer; what is behind is negative. */
static int64_t timer_distance(const HpetTimer *t, uint64_t count)
{
    return timer_is_32bit(t) ? (int32_t)((uint32_t)t->cmp - (uint32_t)count)
                             : (int64_t)(t->cmp - count);
}

static unsigned timer_route(const HpetTimer *t)
{
    if (hpet_is_legacy(t->hpet) && t->tn <= 1) {
        return t->tn == 0 ? 0 : 8; /* H3 */
    }
    return t->config >> TN_ROUTE_SHIFT & (HPET_ROUTES - 1);
}

static bool timer_may_interrupt(const HpetTimer *t)
{
    return (t->config & TN_ENABLE) && hpet_runs(t->hpet);
}

static void timer_send_message(const HpetTimer *t)
{
    uint8_t le[4];

    store_le32(le, (uint32_t)t->fsb);
    dma_write(address_space_memory, t->fsb >> 32, le, sizeof(le), "hpet");
}

static void timer_match(HpetTimer *t)
{
    Hpet *s = t->hpet;
    uint64_t bit = UINT64_C(1) << t->tn;

    if (t->config & TN_LEVEL) {
        s->isr |= bit;
    }
    if (!timer_may_interrupt(t)) {
        return;
    }
    if (t->config & TN_FSB_ENABLE) {
        timer_send_message(t);
    } else if (t->config & TN_LEVEL) {
        irq_raise(s->routes[timer_route(t)]);
    } else {
        irq_pulse(s->routes[timer_route(t)]);
    }
}

static bool timer_is_level(const HpetTimer *t)
{
    return (t->config & (TN_LEVEL | TN_FSB_ENABLE)) == TN_LEVEL;
}

/* The guest has seen a level interrupt, or the timer cannot raise it any more. */
static void timer_lower(HpetTimer *t)
{
    t->hpet->isr &= ~(UINT64_C(1) << t->tn);
    if (timer_is_level(t)) {
        irq_lower(t->hpet->routes[timer_route(t)]);
    }
}

/* H2. The time is rounded up, so that the counter has come as far when the timer expires. */
static void timer_arm(HpetTimer *t)
{
    Hpet *s = t->hpet;
    int64_t now, distance;

    if (!timer_may_interrupt(t) || t->cmp == UINT64_MAX) {
        timer_del(&t->qemu_timer);
        return;
    }
    now = clock_get_ns(CLOCK_VIRTUAL);
    distance = timer_distance(t, hpet_count(s));
    if (distance <= 0) {
        timer_mod(&t->qemu_timer, now + TICK_NS);
    } else if (distance > (INT64_MAX - now) / TICK_NS - 1) {
        timer_del(&t->qemu_timer); /* in some centuries */
    } else {
        timer_mod(&t->qemu_timer,
                  now + distance * TICK_NS - (int64_t)((now + s->hpet_offset) % TICK_NS));
    }
}

/* To the first match behind `count`; those before have passed. */
static void timer_next_period(HpetTimer *t, uint64_t count)
{
    int64_t distance = timer_distance(t, count);

    if (distance <= 0) {
        t->cmp += ((uint64_t)-distance / t->period + 1) * t->period;
    }
    if (timer_is_32bit(t)) {
        t->cmp = (uint32_t)t->cmp;
    }
}

static void timer_expired(void *opaque)
{
    HpetTimer *t = opaque;

    if (timer_is_periodic(t) && t->period) {
        timer_next_period(t, hpet_count(t->hpet));
        timer_arm(t);
    }
    timer_match(t);
}

/* ---- legacy replacement ---------------------------------------------------------------------------------------- */

static void hpet_legacy_line(void *opaque, int n, int level)
{
    Hpet *s = opaque;

    if (n == HPET_LEGACY_RTC) {
        s->rtc_irq_level = level != 0;
    }
    if (!hpet_is_legacy(s)) {
        irq_set(s->routes[n == HPET_LEGACY_PIT ? 0 : 8], level);
    }
}

static void hpet_set_legacy(Hpet *s, bool on)
{
    irq_set(s->pit_enable, !on);
    if (on) {
        irq_lower(s->routes[0]);
        irq_lower(s->routes[8]);
    } else {
        irq_lower(s->routes[0]);
        irq_set(s->routes[8], s->rtc_irq_level);
    }
}

/* ---- registers -------------------------------------------------------------------------------------------------- */

static void put_half(uint64_t *reg, bool high, uint32_t value)
{
    *reg = high ? (uint64_t)value << 32 | (uint32_t)*reg : (*reg & ~(uint64_t)UINT32_MAX) | value;
}

static void hpet_write_config(Hpet *s, uint32_t value)
{
    bool ran = hpet_runs(s), was_legacy = hpet_is_legacy(s);
    uint64_t config = (s->config & ~(uint64_t)CONFIG_WRITABLE) | (value & CONFIG_WRITABLE);

    if (ran && !(config & CONFIG_ENABLE)) {
        s->hpet_counter = hpet_count(s);
    }
    for (unsigned i = 0; was_legacy != !!(config & CONFIG_LEGACY) && i < s->num_timers; i++) {
        timer_lower(&s->timer[i]); /* while its route is the one that it raised */
    }
    s->config = config;
    if (!ran && hpet_runs(s)) {
        hpet_set_offset(s);
    }
    if (was_legacy != hpet_is_legacy(s)) {
        hpet_set_legacy(s, hpet_is_legacy(s));
    }
    for (unsigned i = 0; ran != hpet_runs(s) && i < s->num_timers; i++) {
        timer_arm(&s->timer[i]);
    }
}

/* Status bits are cleared by ones. */
static void hpet_write_status(Hpet *s, uint32_t value)
{
    for (unsigned i = 0; i < s->num_timers; i++) {
        if (value & s->isr & UINT64_C(1) << i) {
            timer_lower(&s->timer[i]);
        }
    }
}

static void hpet_write_counter(Hpet *s, bool high, uint32_t value)
{
    if (hpet_runs(s)) {
        log_guest_error("hpet: the main counter is written while it runs");
        return;
    }
    put_half(&s->hpet_counter, high, value);
}

static void timer_write_config(HpetTimer *t, uint32_t value)
{
    uint64_t writable = TN_WRITABLE & ~(t->config & TN_FSB_CAP ? 0 : TN_FSB_ENABLE);
    uint64_t config = (t->config & ~writable) | (value & writable);

    if ((t->hpet->isr & UINT64_C(1) << t->tn) && ((config ^ t->config) & (TN_LEVEL | TN_ENABLE))) {
        timer_lower(t);
    }
    t->config = config;
    if (timer_is_32bit(t)) {
        t->cmp = (uint32_t)t->cmp;
        t->period = (uint32_t)t->period;
    }
    timer_arm(t);
}

/* In periodic mode what is written is the period, and after TN_SET_VALUE the accumulator too (2.3.9.2.2). */
static void timer_write_comparator(HpetTimer *t, bool high, uint32_t value)
{
    if (timer_is_32bit(t) && high) {
        return;
    }
    if (!timer_is_periodic(t) || (t->config & TN_SET_VALUE)) {
        put_half(&t->cmp, high, value);
        t->cmp = timer_is_32bit(t) ? (uint32_t)t->cmp : t->cmp;
    }
    if (timer_is_periodic(t)) {
        put_half(&t->period, high, value);
        t->period = timer_is_32bit(t) ? (uint32_t)t->period : t->period;
    }
    t->config &= ~(uint64_t)TN_SET_VALUE;
    timer_arm(t);
}

static void timer_write(HpetTimer *t, unsigned reg, bool high, uint32_t value)
{
    switch (reg) {
    case TIMER_CONFIG:
        if (!high) { /* the routes above are read-only */
            timer_write_config(t, value);
        }
        break;
    case TIMER_COMPARATOR:
        timer_write_comparator(t, high, value);
        break;
    case TIMER_FSB:
        put_half(&t->fsb, high, value);
        break;
    default:
        break;
    }
}

static HpetTimer *hpet_timer_at(Hpet *s, hwaddr offset)
{
    unsigned n = (offset - REG_TIMER) / REG_TIMER_SIZE;

    return n < s->num_timers ? &s->timer[n] : NULL;
}

static void hpet_write_half(Hpet *s, hwaddr offset, uint32_t value)
{
    bool high = offset & 4;

    if (offset >= REG_TIMER) {
        HpetTimer *t = hpet_timer_at(s, offset);

        if (t) {
            timer_write(t, offset & (REG_TIMER_SIZE - 8), high, value);
        }
        return;
    }
    switch (offset) {
    case REG_CONFIG:
        hpet_write_config(s, value);
        break;
    case REG_STATUS:
        hpet_write_status(s, value);
        break;
    case REG_COUNTER:
    case REG_COUNTER + 4:
        hpet_write_counter(s, high, value);
        break;
    default:
        break;
    }
}

static void hpet_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    trace(hpet_ram_write, "offset 0x%03x value 0x%" PRIx64, (unsigned)offset, value);
    hpet_write_half(opaque, offset, value);
    if (size == 8) {
        hpet_write_half(opaque, offset + 4, value >> 32);
    }
}

static uint64_t hpet_register(Hpet *s, hwaddr offset)
{
    HpetTimer *t;

    if (offset < REG_TIMER) {
        switch (offset) {
        case REG_CAPABILITY:
            return CAPABILITY | (uint64_t)(s->num_timers - 1) << CAPABILITY_TIMERS_SHIFT;
        case REG_CONFIG:
            return s->config;
        case REG_STATUS:
            return s->isr;
        case REG_COUNTER:
            return hpet_count(s);
        default:
            return 0;
        }
    }
    t = hpet_timer_at(s, offset);
    switch (t ? offset & (REG_TIMER_SIZE - 8) : REG_TIMER_SIZE) {
    case TIMER_CONFIG:
        return t->config;
    case TIMER_COMPARATOR:
        return t->cmp;
    case TIMER_FSB:
        return t->fsb;
    default:
        return 0;
    }
}

static uint64_t hpet_read(void *opaque, hwaddr offset, unsigned size)
{
    uint64_t value = hpet_register(opaque, offset & ~(hwaddr)7);

    value = size == 8 ? value : offset & 4 ? value >> 32 : (uint32_t)value;
    trace(hpet_ram_read, "offset 0x%03x value 0x%" PRIx64, (unsigned)offset, value);
    return value;
}

static const MemoryOps hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .valid = { .min_size = 4, .max_size = 8 },
    .impl = { .min_size = 4, .max_size = 8 },
};

/* ---- life cycle -------------------------------------------------------------------------------------------------- */

static void hpet_reset(Device *dev)
{
    Hpet *s = (Hpet *)dev;

    for (unsigned i = 0; i < s->num_timers; i++) {
        HpetTimer *t = &s->timer[i];

        timer_del(&t->qemu_timer);
        t->tn = i;
        if (s->isr & UINT64_C(1) << i) {
            timer_lower(t); /* while it is known which line it holds */
        }
        t->cmp = UINT64_MAX;
        t->config =
            TN_PERIODIC_CAP | TN_SIZE_CAP | (s->msi ? TN_FSB_CAP : 0) | (uint64_t)s->intcap << 32;
        t->fsb = t->period = 0;
        t->wrap_flag = 0;
    }
    s->hpet_counter = s->hpet_offset = 0;
    s->config = s->isr = 0;
    s->rtc_irq_level = 0;
    irq_raise(s->pit_enable);
}

static bool hpet_realize(Device *dev, GError **error)
{
    Hpet *s = (Hpet *)dev;

    if (!s->intcap) {
        return error_set(error, "hpet: property 'hpet-intcap' must name at least one interrupt");
    }
    s->num_timers = CLAMP(s->num_timers, TIMERS_LEAST, TIMERS_MOST);
    for (unsigned i = 0; i < TIMERS_MOST; i++) {
        timer_init(&s->timer[i].qemu_timer, CLOCK_VIRTUAL, timer_expired, &s->timer[i]);
        s->timer[i].hpet = s;
    }
    device_init_gpio_in(dev, NULL, hpet_legacy_line, 2);
    device_init_gpio_out(dev, NULL, &s->pit_enable, 1);
    device_init_gpio_out(dev, "sysbus-irq", s->routes, HPET_ROUTES);
    s->mmio = memory_region_new_io(&dev->object, &hpet_ops, s, "hpet", HPET_SIZE);
    memory_region_map(system_memory(), HPET_BASE, s->mmio);
    return true;
}

static void hpet_unrealize(Device *dev)
{
    Hpet *s = (Hpet *)dev;

    for (unsigned i = 0; i < TIMERS_MOST; i++) {
        timer_del(&s->timer[i].qemu_timer);
    }
    memory_region_free(s->mmio);
}

Device *hpet_new(Irq **routes, unsigned n, uint32_t intcap, GError **error)
{
    Device *dev = device_new(device_type_by_name("hpet"));

    if (!((Hpet *)dev)->intcap) {
        object_set_int(&dev->object, "hpet-intcap", intcap);
    }
    if (!device_realize(dev, system_bus(), error)) {
        object_unref(dev);
        return NULL;
    }
    for (unsigned i = 0; i < n; i++) {
        device_connect_gpio_out(dev, "sysbus-irq", i, routes[i]);
    }
    return dev;
}

Irq *hpet_legacy_input(Device *hpet, int which)
{
    return device_get_gpio_in(hpet, NULL, which);
}

void hpet_connect_pit(Device *hpet, Irq *pit_enable)
{
    device_connect_gpio_out(hpet, NULL, 0, pit_enable);
}

/*
 * Migration notes. The counter follows from the virtual clock (H1). Timers travel with their expiry: one that is due
 * expires when the machine runs. Level interrupts are in isr; the lines are as the interrupt controllers' sections have
 * them, none is driven on load. The offset is sent while the counter runs (hpet-offset-saved), else it follows from the
 * counter.
 */
static bool hpet_pre_load(void *opaque, GError **error)
{
    Hpet *s = opaque;

    s->offset_loaded = false;
    s->hpet_offset = 0;
    s->rtc_irq_level = 0;
    return true;
}

static bool hpet_post_load(void *opaque, int version, GError **error)
{
    Hpet *s = opaque;

    for (unsigned i = 0; i < s->num_timers; i++) {
        HpetTimer *t = &s->timer[i];

        if (t->tn != i) {
            return error_set(error, "timer %u is numbered %u", i, t->tn);
        }
        if (timer_pending(&t->qemu_timer) && !hpet_runs(s)) {
            return error_set(error, "timer %u is armed, and the counter stands", i);
        }
        if (timer_is_32bit(t) && (t->cmp > UINT32_MAX || t->period > UINT32_MAX)) {
            t->cmp = (uint32_t)t->cmp; /* stock keeps bits that do not count */
            t->period = (uint32_t)t->period;
        }
        if (s->isr & UINT64_C(1) << i && timer_is_level(t) && timer_may_interrupt(t)) {
            irq_raise(s->routes[timer_route(t)]); /* no stream has the levels of lines: who holds one up says so */
        }
    }
    if (hpet_runs(s) && !s->offset_loaded) {
        hpet_set_offset(s);
    }
    return true;
}

static bool offset_needed(const void *opaque)
{
    const Hpet *s = opaque;

    return hpet_runs(s) && s->offset_saved;
}

/* With the offset in the stream the counter is there for stock's description alone. */
static bool hpet_pre_save(void *opaque, GError **error)
{
    Hpet *s = opaque;

    if (!offset_needed(s)) {
        s->hpet_counter = hpet_count(s);
    }
    return true;
}

static bool offset_post_load(void *opaque, int version, GError **error)
{
    ((Hpet *)opaque)->offset_loaded = true;
    return true;
}

static bool rtc_irq_level_needed(const void *opaque)
{
    return ((const Hpet *)opaque)->rtc_irq_level != 0;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool is_timers(const void *opaque, int64_t value)
{
    return value >= TIMERS_LEAST && value <= TIMERS_MOST;
}

#define HPET_U8(type, member, check)                                                       \
    {                                                                                      \
        .name = #member, .offset = offsetof(type, member), .size = 1, .kind = &vm_kind_u8, \
        .valid = (check)                                                                   \
    }

static const VmState vmstate_timer = {
    .name = "hpet_timer",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_U8(HpetTimer, tn),
            VM_U64(HpetTimer, config),
            VM_U64(HpetTimer, cmp),
            VM_U64(HpetTimer, fsb),
            VM_U64(HpetTimer, period),
            VM_U8(HpetTimer, wrap_flag),
            VM_TIMER(HpetTimer, qemu_timer),
            VM_END,
        },
};

static const VmState vmstate_rtc_irq_level = {
    .name = "hpet/rtc_irq_level",
    .version = 1,
    .minimum_version = 1,
    .needed = rtc_irq_level_needed,
    .fields = (const VmField[]){ HPET_U8(Hpet, rtc_irq_level, is_bool), VM_END },
};

static const VmState vmstate_offset = {
    .name = "hpet/offset",
    .version = 1,
    .minimum_version = 1,
    .needed = offset_needed,
    .post_load = offset_post_load,
    .fields = (const VmField[]){ VM_U64(Hpet, hpet_offset), VM_END },
};

static const VmState vmstate_hpet = {
    .name = "hpet",
    .version = 2,
    .minimum_version = 1,
    .pre_save = hpet_pre_save,
    .pre_load = hpet_pre_load,
    .post_load = hpet_post_load,
    .fields =
        (const VmField[]){
            VM_U64(Hpet, config),
            VM_U64(Hpet, isr),
            VM_U64(Hpet, hpet_counter),
            { .name = "num_timers_save", /* "num_timers" in descriptions of older programs */
              .offset = VM_CHECKED_OFFSET(Hpet, num_timers, uint8_t),
              .size = 1,
              .kind = &vm_kind_u8,
              .version = 2,
              .valid = is_timers },
            VM_STRUCT_VARRAY("timer", Hpet, timer, num_timers, vmstate_timer, HpetTimer),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &vmstate_rtc_irq_level, &vmstate_offset, NULL },
};

static const DeviceType hpet_type = {
    .object = {
        .name = "hpet",
        .parent = &device_type.object,
        .size = sizeof(Hpet),
        .properties = (const Property[]){
            PROPERTY_UINT32("hpet-intcap", Hpet, intcap, "0", NULL),
            PROPERTY_BOOL("hpet-offset-saved", Hpet, offset_saved, "on", NULL),
            PROPERTY_BOOL("msi", Hpet, msi, "off", "on/off"),
            PROPERTY_UINT8("timers", Hpet, num_timers, "3", NULL),
            {},
        },
    },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .realize = hpet_realize,
    .unrealize = hpet_unrealize,
    .reset = hpet_reset,
    .migration = MIGRATES_WITH(vmstate_hpet),
};
DEVICE_REGISTER(hpet_type);
