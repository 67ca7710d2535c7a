/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI fixed hardware. See the header. */
#include "util/osdep.h"

#include "hw/acpi/pm.h"
#include "hw/timer/mc146818rtc.h"
#include "qapi/events-run-state.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/trace.h"

TRACE_EVENT(acpi_pm_sleep)

#define TIMER_MASK 0xffffffu         /* a 24-bit timer */
#define TIMER_HALF INT64_C(0x800000) /* TMR_STS: bit 23 has changed (4.8.3.1) */
#define PM1_ENABLED_EVENTS (ACPI_PM1_TIMER | ACPI_PM1_GLOBAL | ACPI_PM1_POWER_BUTTON | ACPI_PM1_RTC)
#define SLEEP_OFF 0
#define SLEEP_S3 1

/* ---- timer ------------------------------------------------------------------------------------------------------- */

static int64_t ticks_now(void)
{
    return (__int128)clock_get_ns(CLOCK_VIRTUAL) * ACPI_PM_TIMER_HZ / NS_PER_SEC;
}

/* The first nanosecond of a tick. */
static int64_t tick_to_ns(int64_t tick)
{
    return ((__int128)tick * NS_PER_SEC + ACPI_PM_TIMER_HZ - 1) / ACPI_PM_TIMER_HZ;
}

static void next_overflow(AcpiPm *pm)
{
    pm->overflow_time = (ticks_now() + TIMER_HALF) & ~(TIMER_HALF - 1);
}

void acpi_pm_update_status(AcpiPm *pm)
{
    if (ticks_now() >= pm->overflow_time) {
        pm->sts |= ACPI_PM1_TIMER;
    }
}

/* A1; and the timer runs while its event is enabled and has not come. */
static void update_sci(AcpiPm *pm)
{
    acpi_pm_update_status(pm);
    irq_set(*pm->sci, (pm->sts & pm->en & PM1_ENABLED_EVENTS) || (pm->gpe.sts & pm->gpe.en));
    if ((pm->en & ACPI_PM1_TIMER) && !(pm->sts & ACPI_PM1_TIMER)) {
        timer_mod(&pm->timer, tick_to_ns(pm->overflow_time));
    } else {
        timer_del(&pm->timer);
    }
}

static void timer_expired(void *opaque)
{
    vm_request_wakeup(VM_WAKEUP_PM_TIMER);
    update_sci(opaque);
}

static uint64_t timer_read(void *opaque, hwaddr offset, unsigned size)
{
    return ticks_now() & TIMER_MASK;
}

static const MemoryOps timer_ops = {
    .read = timer_read,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- PM1 events -------------------------------------------------------------------------------------------------- */

/* What may wake the guest follows from what it has enabled. */
static void update_wakeup(AcpiPm *pm)
{
    vm_enable_wakeup(VM_WAKEUP_RTC, pm->en & ACPI_PM1_RTC);
    vm_enable_wakeup(VM_WAKEUP_PM_TIMER, pm->en & ACPI_PM1_TIMER);
}

static uint64_t event_read(void *opaque, hwaddr offset, unsigned size)
{
    AcpiPm *pm = opaque;
    uint32_t both;

    acpi_pm_update_status(pm);
    both = pm->sts | (uint32_t)pm->en << 16;
    return both >> offset * 8;
}

/* A byte or word of status (a one clears) or enable. */
static void event_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiPm *pm = opaque;
    unsigned shift = offset % 2 * 8;
    uint16_t mask = size == 1 ? 0xff << shift : 0xffff, bits = value << shift & mask;

    if (offset < 2) {
        acpi_pm_update_status(pm);
        if (pm->sts & bits & ACPI_PM1_TIMER) {
            next_overflow(pm);
        }
        pm->sts &= ~bits;
    } else {
        pm->en = (pm->en & ~mask) | bits;
        update_wakeup(pm);
    }
    update_sci(pm);
}

static const MemoryOps event_ops = {
    .read = event_read,
    .write = event_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 2 },
};

void acpi_pm_power_button(AcpiPm *pm)
{
    if (pm->en & ACPI_PM1_POWER_BUTTON) {
        pm->sts |= ACPI_PM1_POWER_BUTTON;
        update_sci(pm);
    }
}

void acpi_pm_woken(AcpiPm *pm, int reason)
{
    static const uint16_t bits[] = {
        [VM_WAKEUP_OTHER] =
            ACPI_PM1_POWER_BUTTON, /* some button has to be it, or the guest wonders */
        [VM_WAKEUP_RTC] = ACPI_PM1_RTC,
        [VM_WAKEUP_PM_TIMER] = ACPI_PM1_TIMER,
    };

    pm->sts |= ACPI_PM1_WAKE | bits[reason];
    update_sci(pm);
}

/* ---- PM1 control ------------------------------------------------------------------------------------------------- */

/* The shutdown status by which firmware knows what a reset is for; FEh is what SeaBIOS takes for a wake-up, and stock leaves there. */
#define CMOS_SHUTDOWN_STATUS 0x0f
#define SHUTDOWN_S3_RESUME 0xfe

static void go_to_sleep(AcpiPm *pm, unsigned type)
{
    trace(acpi_pm_sleep, "type %u", type);
    if (type == SLEEP_OFF) {
        vm_request_shutdown(VM_SHUTDOWN_GUEST_SHUTDOWN);
    } else if (type == SLEEP_S3 && !pm->disable_s3) {
        if (rtc_find()) {
            rtc_cmos_set(rtc_find(), CMOS_SHUTDOWN_STATUS, SHUTDOWN_S3_RESUME);
        }
        vm_request_suspend();
    } else if (type == pm->s4_type && !pm->disable_s4) {
        qapi_event_send_SUSPEND_DISK();
        vm_request_shutdown(VM_SHUTDOWN_GUEST_SHUTDOWN);
    } else {
        log_guest_error("acpi: sleep type %u is not one of this machine", type);
    }
}

static uint64_t control_read(void *opaque, hwaddr offset, unsigned size)
{
    return ((AcpiPm *)opaque)->cnt >> offset * 8;
}

/* SLP_EN is write-only; it acts with the type that is there then. */
static void control_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiPm *pm = opaque;
    unsigned shift = offset * 8;
    uint16_t mask = size == 1 ? 0xff << shift : 0xffff, bits = value << shift & mask;

    pm->cnt = ((pm->cnt & ~mask) | bits) & ~ACPI_PM1_SLEEP_EN;
    if (bits & ACPI_PM1_SLEEP_EN) {
        go_to_sleep(pm, pm->cnt >> ACPI_PM1_SLEEP_TYPE_SHIFT & 7);
    }
}

static const MemoryOps control_ops = {
    .read = control_read,
    .write = control_write,
    .valid = { .min_size = 1, .max_size = 2 },
    .impl = { .min_size = 1, .max_size = 2 },
};

void acpi_pm_set_sci_enabled(AcpiPm *pm, bool on)
{
    pm->cnt = on ? pm->cnt | ACPI_PM1_SCI_EN : pm->cnt & ~ACPI_PM1_SCI_EN;
}

/* ---- general-purpose events -------------------------------------------------------------------------------------- */

static uint64_t gpe_read(void *opaque, hwaddr offset, unsigned size)
{
    const AcpiPm *pm = opaque;

    return (offset < pm->gpe_bytes ? pm->gpe.sts : pm->gpe.en) >> offset % pm->gpe_bytes * 8 & 0xff;
}

static void gpe_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiPm *pm = opaque;
    unsigned shift = offset % pm->gpe_bytes * 8;

    if (offset < pm->gpe_bytes) {
        pm->gpe.sts &= ~(value << shift);
    } else {
        pm->gpe.en = (pm->gpe.en & ~(UINT64_C(0xff) << shift)) | value << shift;
    }
    update_sci(pm);
}

static const MemoryOps gpe_ops = {
    .read = gpe_read,
    .write = gpe_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 1 },
};

void acpi_pm_raise_gpe(AcpiPm *pm, uint64_t bits)
{
    pm->gpe.sts |= bits;
    update_sci(pm);
}

/* ---- life cycle -------------------------------------------------------------------------------------------------- */

void acpi_pm_init(AcpiPm *pm, Object *owner, Irq **sci, unsigned gpe_bytes)
{
    pm->sci = sci;
    pm->gpe_bytes = gpe_bytes;
    timer_init(&pm->timer, CLOCK_VIRTUAL, timer_expired, pm);
    pm->event = memory_region_new_io(owner, &event_ops, pm, "acpi-evt", 4);
    pm->control = memory_region_new_io(owner, &control_ops, pm, "acpi-cnt", 2);
    pm->timer_port = memory_region_new_io(owner, &timer_ops, pm, "acpi-tmr", 4);
    pm->gpe_ports = memory_region_new_io(owner, &gpe_ops, pm, "acpi-gpe0", 2 * gpe_bytes);
}

void acpi_pm_cleanup(AcpiPm *pm)
{
    timer_del(&pm->timer);
    memory_region_free(pm->event);
    memory_region_free(pm->control);
    memory_region_free(pm->timer_port);
    memory_region_free(pm->gpe_ports);
}

void acpi_pm_reset(AcpiPm *pm)
{
    pm->sts = pm->en = pm->cnt = 0;
    pm->gpe = (AcpiGpe){ 0 };
    pm->overflow_time = 0;
    update_wakeup(pm);
    update_sci(pm);
}

void acpi_pm_loaded(AcpiPm *pm)
{
    update_wakeup(pm);
    update_sci(pm);
}

static bool put_events(VmWriter *w, const void *elem, size_t size, const VmField *field,
                       GError **error)
{
    vm_put_be16(w, *(const uint64_t *)elem);
    return true;
}

static bool get_events(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    *(uint64_t *)elem = vm_get_be16(r);
    return vm_reader_check(r, error);
}

static const VmKind vm_kind_events = { .name = "uint16", .put = put_events, .get = get_events };

const VmState vmstate_acpi_gpe = {
    .name = "gpe",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_CUSTOM("sts", AcpiGpe, sts, vm_kind_events),
                                 VM_CUSTOM("en", AcpiGpe, en, vm_kind_events), VM_END },
};
