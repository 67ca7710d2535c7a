/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818 real-time clock with RAM (Motorola MC146818 data sheet, ADI1014) with the 128 bytes, the century byte and
 * the PS/2 century byte of PCs.
 *
 * R1  Time is not stepped: seconds are base_rtc plus what the clock of -rtc has run since last_update, and `offset`
 *     the part of a second that had passed then. The time registers in cmos_data are brought up to date when somebody
 *     looks. While SET is on or the divider is held they are what the guest wrote.
 * R2  The update timer expires at the next second that sets a flag: the next one while UF is clear, else the next at
 *     which the alarm matches. An idle guest that does not read register C costs no wake-up.
 * R3  The periodic timer runs while a tick can be seen, that is while the periodic interrupt is enabled; without it PF
 *     is set when register C is read and a period has passed.
 */
#include "util/osdep.h"
#include "hw/timer/mc146818rtc.h"
#include "qapi/commands-rtc.h"
#include "qapi/dispatch.h"
#include "qapi/events-rtc.h"
#include "rtc-base.h"
#include "rtc-date.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(rtc_ioport_read);
TRACE_EVENT(rtc_ioport_write);
TRACE_EVENT(rtc_irq);

#define RTC_PORTS 2
#define RTC_OSCILLATOR 32768         /* Hz */
#define RTC_UIP_NS (244 * NS_PER_US) /* the update-in-progress bit leads the update by t_BUC */
/* After the divider is let go the first update comes half a second later. */
#define RTC_DIVIDER_PHASE_NS (NS_PER_SEC / 2)
#define RTC_MOST_COALESCED 1000000u

/* Register A */
#define REG_A_UIP 0x80
#define REG_A_DIVIDER_HELD 0x60 /* both bits of 110, 111 */
#define REG_A_DIVIDER 0x70
#define REG_A_RATE 0x0f
/* Register B */
#define REG_B_SET 0x80
#define REG_B_PIE 0x40
#define REG_B_AIE 0x20
#define REG_B_UIE 0x10
#define REG_B_SQWE 0x08
/* Register C; the flags are where their enable bits are in B. */
#define REG_C_IRQF 0x80
#define REG_C_PF 0x40
#define REG_C_AF 0x20
#define REG_C_UF 0x10
#define REG_C_FLAGS (REG_C_PF | REG_C_AF | REG_C_UF)
/* Register D */
#define REG_D_VALID 0x80

typedef enum LostTickPolicy { LOST_TICK_DISCARD, LOST_TICK_DELAY, LOST_TICK_SLEW } LostTickPolicy;

static const PropertyEnum lost_tick_policies[] = {
    { "LostTickPolicy", "discard", LOST_TICK_DISCARD },
    { "LostTickPolicy", "delay", LOST_TICK_DELAY },
    { "LostTickPolicy", "slew", LOST_TICK_SLEW },
    {},
};

typedef struct Rtc {
    IsaDevice isa;
    uint8_t cmos_data[128];
    uint8_t cmos_index;
    uint64_t base_rtc;    /* seconds since 1970 */
    uint64_t last_update; /* ns of rtc_clock() */
    int64_t offset;       /* ns */
    Timer periodic_timer;
    int64_t next_periodic_time; /* ns of rtc_clock() */
    uint32_t irq_coalesced;     /* ticks that the guest has not seen (lost_tick_policy=slew) */
    uint32_t period;            /* cycles of the oscillator, 0: none */
    Timer update_timer;
    uint64_t next_alarm_time; /* ns of rtc_clock() */

    int32_t base_year;
    uint16_t iobase;
    uint8_t irq_number;
    int lost_tick_policy;
    MemoryRegion *ports, *index_port;
    Irq *irq;
} Rtc;

static Rtc *the_rtc;

Device *rtc_find(void)
{
    return (Device *)the_rtc;
}

/* ---- time --------------------------------------------------------------------------------------------------- */

static int64_t rtc_now(void)
{
    return clock_get_ns(rtc_clock());
}

/* The divider runs and nobody sets the time. */
static bool rtc_running(const Rtc *s)
{
    return !(s->cmos_data[RTC_REG_B] & REG_B_SET) &&
           (s->cmos_data[RTC_REG_A] & REG_A_DIVIDER_HELD) != REG_A_DIVIDER_HELD;
}

/* Nanoseconds since base_rtc at `now`; a clock that went back stands still (R1). */
static int64_t rtc_elapsed(const Rtc *s, int64_t now)
{
    return MAX(now - (int64_t)s->last_update, 0) + s->offset;
}

/* The part of the current second that has passed; goes on while SET is on. */
static int64_t rtc_phase(const Rtc *s, int64_t now)
{
    return rtc_elapsed(s, now) % NS_PER_SEC;
}

static int64_t rtc_seconds(const Rtc *s, int64_t now)
{
    return (int64_t)s->base_rtc + rtc_elapsed(s, now) / NS_PER_SEC;
}

/* Time starts to run from the registers, with so much of the second behind it. */
static void rtc_start_from_registers(Rtc *s, int64_t now, int64_t phase)
{
    s->base_rtc = rtc_date_from_registers(s->cmos_data, s->base_year);
    s->last_update = now;
    s->offset = phase;
}

static void rtc_refresh_registers(Rtc *s, int64_t now)
{
    if (rtc_running(s)) {
        rtc_date_to_registers(rtc_seconds(s, now), s->base_year, s->cmos_data);
    }
}

static void rtc_send_change(Rtc *s, int64_t now)
{
    g_autofree char *path = object_path(&s->isa.device.object);

    qapi_event_send_RTC_CHANGE(rtc_seconds(s, now) - rtc_reference_time(now), path ? path : "");
}

/* ---- interrupts ----------------------------------------------------------------------------------------------- */

static void rtc_update_irq(Rtc *s)
{
    uint8_t *c = &s->cmos_data[RTC_REG_C];

    if (*c & s->cmos_data[RTC_REG_B] & REG_C_FLAGS) {
        *c |= REG_C_IRQF;
        irq_raise(s->irq);
    } else {
        *c &= ~REG_C_IRQF;
        irq_lower(s->irq);
    }
}

/* Oscillator cycles between ticks by the rate select bits: the first two are as 8 and 9 (data sheet, table 5). */
static uint32_t rtc_rate_cycles(const Rtc *s)
{
    unsigned rate = s->cmos_data[RTC_REG_A] & REG_A_RATE;

    if (!rate || (s->cmos_data[RTC_REG_A] & REG_A_DIVIDER_HELD) == REG_A_DIVIDER_HELD) {
        return 0;
    }
    return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static int64_t cycles_of(int64_t ns)
{
    return (int64_t)((__int128)ns * RTC_OSCILLATOR / NS_PER_SEC);
}

static int64_t ns_of_cycles(int64_t cycles)
{
    return (int64_t)(((__int128)cycles * NS_PER_SEC + RTC_OSCILLATOR - 1) / RTC_OSCILLATOR);
}

/* Ticks fall on multiples of the period; while some are owed they come at twice the rate. */
static int64_t rtc_next_tick(const Rtc *s, int64_t now)
{
    int64_t period = s->irq_coalesced && s->period > 1 ? s->period / 2 : s->period;

    return ns_of_cycles((cycles_of(now) / period + 1) * period);
}

/* After a write to A or B. A pending tick keeps its time if the rate is the same. */
static void rtc_update_periodic(Rtc *s, int64_t now)
{
    bool wanted = s->cmos_data[RTC_REG_B] & (REG_B_PIE | REG_B_SQWE);
    uint32_t cycles = wanted ? rtc_rate_cycles(s) : 0;

    if (cycles == s->period) {
        return;
    }
    s->irq_coalesced = (uint64_t)s->irq_coalesced * s->period / MAX(cycles, 1);
    s->period = cycles;
    if (cycles) {
        s->next_periodic_time = rtc_next_tick(s, now);
        timer_mod(&s->periodic_timer, s->next_periodic_time);
    } else {
        s->irq_coalesced = 0;
        timer_del(&s->periodic_timer);
    }
}

/* Which ticks the guest is owed: those that came before it had seen the last one, or that nobody made in time. */
static void rtc_count_ticks(Rtc *s, int64_t now)
{
    int64_t due = cycles_of(s->next_periodic_time);
    bool early = s->irq_coalesced && s->period > 1 && due / (s->period / 2) % 2;
    bool seen = !(s->cmos_data[RTC_REG_C] & REG_C_PF);
    int64_t owed = (int64_t)s->irq_coalesced + (cycles_of(now) - due) / s->period;

    if (early && seen) {
        owed--;
    } else if (!early && !seen) {
        owed++;
    }
    s->irq_coalesced = CLAMP(owed, 0, RTC_MOST_COALESCED);
}

static void rtc_periodic_tick(void *opaque)
{
    Rtc *s = opaque;
    int64_t now = rtc_now();

    if (s->lost_tick_policy == LOST_TICK_SLEW) {
        rtc_count_ticks(s, now);
    }
    trace(rtc_irq, "periodic, owed %u", s->irq_coalesced);
    s->cmos_data[RTC_REG_C] |= REG_C_PF;
    rtc_update_irq(s);
    s->next_periodic_time = rtc_next_tick(s, now);
    timer_mod(&s->periodic_timer, s->next_periodic_time);
}

/* R3 */
static void rtc_catch_up_periodic(Rtc *s, int64_t now)
{
    int64_t cycles = rtc_rate_cycles(s);

    if (cycles && !s->period && now >= s->next_periodic_time) {
        s->cmos_data[RTC_REG_C] |= REG_C_PF;
        s->next_periodic_time = ns_of_cycles((cycles_of(now) / cycles + 1) * cycles);
    }
}

/* ---- updates and alarm ------------------------------------------------------------------------------------------- */

/* R2 */
static void rtc_arm_update(Rtc *s, int64_t now)
{
    int64_t next_second, until_alarm;

    if (!rtc_running(s)) {
        timer_del(&s->update_timer);
        return;
    }
    next_second = now + NS_PER_SEC - rtc_phase(s, now);
    rtc_refresh_registers(s, now);
    until_alarm = rtc_date_until_alarm(s->cmos_data);
    s->next_alarm_time = until_alarm < 0 ? INT64_MAX : next_second + (until_alarm - 1) * NS_PER_SEC;
    if (!(s->cmos_data[RTC_REG_C] & REG_C_UF)) {
        timer_mod(&s->update_timer, next_second);
    } else if (until_alarm >= 0 && !(s->cmos_data[RTC_REG_C] & REG_C_AF)) {
        timer_mod(&s->update_timer, (int64_t)s->next_alarm_time);
    } else {
        timer_del(&s->update_timer);
    }
}

static void rtc_update_ended(void *opaque)
{
    Rtc *s = opaque;
    int64_t now = rtc_now();

    if (now >= (int64_t)s->next_alarm_time) {
        s->cmos_data[RTC_REG_C] |= REG_C_AF;
        if (s->cmos_data[RTC_REG_B] & REG_B_AIE) {
            vm_request_wakeup(VM_WAKEUP_RTC);
        }
    }
    s->cmos_data[RTC_REG_C] |= REG_C_UF;
    trace(rtc_irq, "update, flags 0x%02x", s->cmos_data[RTC_REG_C]);
    rtc_update_irq(s);
    rtc_arm_update(s, now);
}

/* ---- registers ---------------------------------------------------------------------------------------------------- */

static void rtc_write_a(Rtc *s, uint8_t value, int64_t now)
{
    bool was_running = rtc_running(s);
    uint8_t *a = &s->cmos_data[RTC_REG_A];

    rtc_refresh_registers(s, now);
    *a = (value & ~REG_A_UIP) | (*a & REG_A_UIP);
    if (was_running != rtc_running(s)) {
        rtc_start_from_registers(s, now, was_running ? 0 : RTC_DIVIDER_PHASE_NS);
    }
    rtc_update_periodic(s, now);
    rtc_arm_update(s, now);
}

/* SET stops the time from being shown, not the divider: the second goes on where it is. */
static void rtc_write_b(Rtc *s, uint8_t value, int64_t now)
{
    bool was_set = s->cmos_data[RTC_REG_B] & REG_B_SET;
    int64_t phase = rtc_phase(s, now);

    rtc_refresh_registers(s, now);
    if (value & REG_B_SET) {
        value &= ~REG_B_UIE;
    }
    s->cmos_data[RTC_REG_B] = value;
    if (was_set && rtc_running(s)) {
        rtc_start_from_registers(s, now, phase);
        rtc_send_change(s, now);
    }
    rtc_update_periodic(s, now);
    rtc_arm_update(s, now);
    rtc_update_irq(s);
}

static void rtc_write_time(Rtc *s, unsigned index, uint8_t value, int64_t now)
{
    rtc_refresh_registers(s, now);
    s->cmos_data[index] = value;
    if (rtc_running(s)) {
        rtc_start_from_registers(s, now, rtc_phase(s, now));
        rtc_send_change(s, now);
    }
    rtc_arm_update(s, now);
}

static void rtc_write_register(Rtc *s, unsigned index, uint8_t value)
{
    int64_t now = rtc_now();

    switch (index) {
    case RTC_SECONDS_ALARM:
    case RTC_MINUTES_ALARM:
    case RTC_HOURS_ALARM:
        s->cmos_data[index] = value;
        rtc_arm_update(s, now);
        break;
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY_OF_WEEK:
    case RTC_DAY_OF_MONTH:
    case RTC_MONTH:
    case RTC_YEAR:
    case CMOS_CENTURY:
        rtc_write_time(s, index, value, now);
        break;
    case RTC_REG_A:
        rtc_write_a(s, value, now);
        break;
    case RTC_REG_B:
        rtc_write_b(s, value, now);
        break;
    case RTC_REG_C:
    case RTC_REG_D: /* read only */
        break;
    default:
        s->cmos_data[index] = value;
        break;
    }
}

/* Reading C takes the flags away, and with them the interrupt. */
static uint8_t rtc_read_c(Rtc *s, int64_t now)
{
    uint8_t value;

    rtc_catch_up_periodic(s, now);
    value = s->cmos_data[RTC_REG_C];
    s->cmos_data[RTC_REG_C] = 0;
    irq_lower(s->irq);
    if (value & (REG_C_UF | REG_C_AF)) {
        rtc_arm_update(s, now);
    }
    return value;
}

static uint8_t rtc_read_register(Rtc *s, unsigned index)
{
    int64_t now = rtc_now();

    switch (index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY_OF_WEEK:
    case RTC_DAY_OF_MONTH:
    case RTC_MONTH:
    case RTC_YEAR:
    case CMOS_CENTURY:
        rtc_refresh_registers(s, now);
        return s->cmos_data[index];
    case RTC_REG_A:
        return s->cmos_data[index] |
               (rtc_running(s) && rtc_phase(s, now) >= NS_PER_SEC - RTC_UIP_NS ? REG_A_UIP : 0);
    case RTC_REG_C:
        return rtc_read_c(s, now);
    default:
        return s->cmos_data[index];
    }
}

static unsigned rtc_index(const Rtc *s)
{
    return s->cmos_index == CMOS_CENTURY_PS2 ? CMOS_CENTURY : s->cmos_index;
}

static void rtc_port_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Rtc *s = opaque;

    if (offset == 0) {
        s->cmos_index = value & 0x7f; /* bit 7 masks the NMI */
        return;
    }
    trace(rtc_ioport_write, "index 0x%02x value 0x%02x", s->cmos_index, (unsigned)value);
    rtc_write_register(s, rtc_index(s), value);
}

static uint64_t rtc_port_read(void *opaque, hwaddr offset, unsigned size)
{
    Rtc *s = opaque;
    uint8_t value;

    if (offset == 0) {
        return 0xff;
    }
    value = rtc_read_register(s, rtc_index(s));
    trace(rtc_ioport_read, "index 0x%02x value 0x%02x", s->cmos_index, value);
    return value;
}

static const MemoryOps rtc_port_ops = {
    .read = rtc_port_read,
    .write = rtc_port_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- for the board and the user ---------------------------------------------------------------------------------------- */

void rtc_cmos_set(Device *rtc, uint8_t index, uint8_t value)
{
    g_assert(index < sizeof(((Rtc *)rtc)->cmos_data));
    ((Rtc *)rtc)->cmos_data[index] = value;
}

uint8_t rtc_cmos_get(Device *rtc, uint8_t index)
{
    g_assert(index < sizeof(((Rtc *)rtc)->cmos_data));
    return ((Rtc *)rtc)->cmos_data[index];
}

/* The property "date": the time as the guest sees it, as a C struct tm. */
static json_object *rtc_get_date(Object *obj, const char *name, void *opaque, GError **error)
{
    Rtc *s = (Rtc *)obj;
    struct tm tm;
    json_object *date = json_object_new_object();

    rtc_refresh_registers(s, rtc_now());
    rtc_date_split(rtc_date_from_registers(s->cmos_data, s->base_year), &tm);
    json_object_object_add(date, "tm_year", json_object_new_int(tm.tm_year));
    json_object_object_add(date, "tm_mon", json_object_new_int(tm.tm_mon));
    json_object_object_add(date, "tm_mday", json_object_new_int(tm.tm_mday));
    json_object_object_add(date, "tm_hour", json_object_new_int(tm.tm_hour));
    json_object_object_add(date, "tm_min", json_object_new_int(tm.tm_min));
    json_object_object_add(date, "tm_sec", json_object_new_int(tm.tm_sec));
    return date;
}

QMP_REGISTER(rtc)

bool qmp_rtc_reset_reinjection(GError **error)
{
    if (the_rtc) {
        the_rtc->irq_coalesced = 0;
    }
    return true;
}

/* ---- life cycle ---------------------------------------------------------------------------------------------------------- */

/* The battery keeps time and memory; RESET# clears enables and flags. */
static void rtc_reset(Device *dev)
{
    Rtc *s = (Rtc *)dev;
    int64_t now = rtc_now();

    s->cmos_data[RTC_REG_B] &= ~(REG_B_PIE | REG_B_AIE | REG_B_UIE | REG_B_SQWE);
    s->cmos_data[RTC_REG_C] = 0;
    s->irq_coalesced = 0;
    irq_lower(s->irq);
    rtc_update_periodic(s, now);
    rtc_arm_update(s, now);
}

static bool rtc_realize(Device *dev, GError **error)
{
    Rtc *s = (Rtc *)dev;
    int64_t now = rtc_now();

    if (s->irq_number >= ISA_NUM_IRQS) {
        return error_set(error, "Maximum value for \"irq\" is: %u", ISA_NUM_IRQS - 1);
    }
    s->cmos_data[RTC_REG_A] = 0x26;
    s->cmos_data[RTC_REG_B] = 0x02;
    s->cmos_data[RTC_REG_D] = REG_D_VALID;
    s->base_rtc = rtc_reference_time(now);
    s->last_update = now;
    rtc_refresh_registers(s, now);
    timer_init(&s->periodic_timer, rtc_clock(), rtc_periodic_tick, s);
    timer_init(&s->update_timer, rtc_clock(), rtc_update_ended, s);
    s->ports = memory_region_new_io(&dev->object, &rtc_port_ops, s, "rtc", RTC_PORTS);
    isa_map_ports(dev, s->iobase, s->ports);
    device_init_gpio_out(dev, NULL, &s->irq, 1);
    s->irq = isa_bus_irq(isa_device_bus(dev), s->irq_number);
    object_add_property(&dev->object, "date", "struct tm", rtc_get_date, NULL, NULL, NULL);
    if (!the_rtc) {
        the_rtc = s;
    }
    return true;
}

static void rtc_unrealize(Device *dev)
{
    Rtc *s = (Rtc *)dev;

    timer_del(&s->periodic_timer);
    timer_del(&s->update_timer);
    memory_region_free(s->ports);
    object_del_property(&dev->object, "date");
    if (the_rtc == s) {
        the_rtc = NULL;
    }
}

Device *rtc_new(IsaBus *bus, Irq *irq, GError **error)
{
    Device *dev = device_new(device_type_by_name("mc146818rtc"));

    object_set_int(&dev->object, "base_year", 0); /* the century byte is part of the year */
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return NULL;
    }
    device_connect_gpio_out(dev, NULL, 0, irq);
    return dev;
}

/*
 * Migration notes. base_rtc, last_update and offset are the time; last_update and the timers are times of the clock that
 * -rtc names, so with clock=host the guest sees the wall clock of the machine it arrives on, downtime included, and with
 * clock=vm a time that stood still meanwhile. The time
 * registers in cmos_data are sent as they were when somebody last looked. Flags are in cmos_data, the line's level follows
 * from them and is in the interrupt controller's section. Timers that are due expire when the machine runs.
 * Where the receiving host's clock is behind, the guest's time stands still until it has caught up; a periodic tick that
 * would be far ahead is brought near.
 */
static bool rtc_post_load(void *opaque, int version, GError **error)
{
    Rtc *s = opaque;
    int64_t now = rtc_now();

    if (s->offset < 0 || s->offset > (int64_t)G_MAXINT32 * NS_PER_SEC ||
        s->base_rtc > (uint64_t)1 << 40 || s->last_update > INT64_MAX ||
        s->next_alarm_time > INT64_MAX) {
        return error_set(error, "mc146818rtc: the time makes no sense");
    }
    if (s->period & (s->period - 1) || s->period > 1u << 14 || s->cmos_index > 0x7f ||
        s->irq_coalesced > RTC_MOST_COALESCED ||
        timer_pending(&s->periodic_timer) != (s->period != 0)) {
        return error_set(error, "mc146818rtc: the periodic interrupt makes no sense");
    }
    if (s->period && s->next_periodic_time > now + ns_of_cycles(2 * (int64_t)s->period)) {
        s->next_periodic_time = rtc_next_tick(s, now);
        timer_mod(&s->periodic_timer, s->next_periodic_time);
    }
    return true;
}

/* Two that stock's descriptions number. */
#define RTC_UNUSED(n, bytes) \
    { .name = "unused[" #n "]", .size = (bytes), .shape = VM_BUFFER, .kind = &vm_kind_unused }

static const VmState vmstate_rtc = {
    .name = "mc146818rtc",
    .version = 3,
    .minimum_version = 3,
    .post_load = rtc_post_load,
    .fields =
        (const VmField[]){
            VM_BYTES(Rtc, cmos_data),
            VM_U8(Rtc, cmos_index),
            RTC_UNUSED(0, 7 * 4),
            VM_TIMER(Rtc, periodic_timer),
            VM_I64(Rtc, next_periodic_time),
            RTC_UNUSED(1, 3 * 8),
            VM_U32(Rtc, irq_coalesced),
            VM_U32(Rtc, period),
            VM_U64(Rtc, base_rtc),
            VM_U64(Rtc, last_update),
            VM_I64(Rtc, offset),
            VM_TIMER(Rtc, update_timer),
            VM_U64(Rtc, next_alarm_time),
            VM_END,
        },
};

static const DeviceType rtc_type = {
    .object = {
        .name = "mc146818rtc",
        .parent = &isa_device_type.object,
        .size = sizeof(Rtc),
        .properties = (const Property[]){
            PROPERTY_INT32("base_year", Rtc, base_year, "1980", NULL),
            PROPERTY_UINT16("iobase", Rtc, iobase, "112", NULL),
            PROPERTY_UINT8("irq", Rtc, irq_number, "8", NULL),
            PROPERTY_ENUM("lost_tick_policy", Rtc, lost_tick_policy, lost_tick_policies, "discard", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .realize = rtc_realize,
    .unrealize = rtc_unrealize,
    .reset = rtc_reset,
    .migration = MIGRATES_WITH(vmstate_rtc),
};
DEVICE_REGISTER(rtc_type);
