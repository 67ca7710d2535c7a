/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCO watchdog (Intel ICH9 data sheet, order number 316972, chapter 13.9). The timer counts TCO_TMR units of 0.6 s down from each
 * write to TCO_RLD. The first time-out sets TIMEOUT and starts over; the second, without a reload in between, sets
 * SECOND_TO_STS and resets the machine unless NO_REBOOT is set. SMIs are not raised: nobody would take them.
 */
#include "util/osdep.h"

#include "tco.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/trace.h"

TRACE_EVENT(tco_timer_reload)
TRACE_EVENT(tco_timer_expired)

enum {
    TCO_RLD = 0x00,
    TCO_DAT_IN = 0x02,
    TCO_DAT_OUT = 0x03,
    TCO1_STS = 0x04,
    TCO2_STS = 0x06,
    TCO1_CNT = 0x08,
    TCO2_CNT = 0x0a,
    TCO_MESSAGE1 = 0x0c,
    TCO_MESSAGE2 = 0x0d,
    TCO_WDCNT = 0x0e,
    SW_IRQ_GEN = 0x10,
    TCO_TMR = 0x12,
};
enum {
    TCO1_STS_SW_TCO_SMI = 1 << 1,
    TCO1_STS_INT = 1 << 2,
    TCO1_STS_TIMEOUT = 1 << 3,
    TCO2_STS_SECOND = 1 << 1,
    TCO2_STS_BOOT = 1 << 2,
    TCO1_CNT_HALT = 1 << 11,
    TCO1_CNT_LOCK = 1 << 12,
};
#define TICK_NS (NS_PER_SEC * 6 / 10)
#define TMR_MASK 0x3ff
#define CNT1_MASK 0xfeff
#define DEFAULT_CNT2 0x0008
#define DEFAULT_TMR 0x0004
#define DEFAULT_SW_IRQ_GEN 0x03

static bool halted(const AcpiTco *tco)
{
    return tco->cnt1 & TCO1_CNT_HALT;
}

static void start(AcpiTco *tco)
{
    trace(tco_timer_reload, "ticks=%d", tco->tmr & TMR_MASK);
    tco->expire_time = clock_get_ns(CLOCK_VIRTUAL) + (tco->tmr & TMR_MASK) * TICK_NS;
    timer_mod(&tco->timer, tco->expire_time);
}

static void stop(AcpiTco *tco)
{
    tco->expire_time = -1;
    timer_del(&tco->timer);
}

static void expired(void *opaque)
{
    AcpiTco *tco = opaque;

    trace(tco_timer_expired, "timeouts_no=%u", tco->timeouts);
    tco->sts1 |= TCO1_STS_TIMEOUT;
    tco->timeouts++;
    if (tco->timeouts < 2) {
        start(tco);
        return;
    }
    tco->sts2 |= TCO2_STS_SECOND | TCO2_STS_BOOT;
    tco->timeouts = 0;
    stop(tco);
    if (tco->reset_allowed(tco->opaque)) {
        log_guest_error("tco: the watchdog ran out twice: the machine is reset");
        vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
    }
}

/* ---- registers ----------------------------------------------------------------------------------------------------- */

/* What is left of the timer, in ticks. */
static uint16_t read_reload(const AcpiTco *tco)
{
    if (halted(tco) || tco->expire_time < 0) {
        return tco->rld;
    }
    return MAX(tco->expire_time - clock_get_ns(CLOCK_VIRTUAL), 0) / TICK_NS & TMR_MASK;
}

static uint16_t read_word(const AcpiTco *tco, unsigned offset)
{
    switch (offset) {
    case TCO_RLD:
        return read_reload(tco);
    case TCO_DAT_IN:
        return tco->din | tco->dout << 8;
    case TCO1_STS:
        return tco->sts1;
    case TCO2_STS:
        return tco->sts2;
    case TCO1_CNT:
        return tco->cnt1;
    case TCO2_CNT:
        return tco->cnt2;
    case TCO_MESSAGE1:
        return tco->msg1 | tco->msg2 << 8;
    case TCO_WDCNT:
        return tco->wdcnt;
    case SW_IRQ_GEN:
        return tco->sw_irq_gen;
    case TCO_TMR:
        return tco->tmr;
    default:
        return 0;
    }
}

static void write_control(AcpiTco *tco, uint16_t value)
{
    uint16_t lock = tco->cnt1 & TCO1_CNT_LOCK; /* stays until reset */

    if (lock) {
        value = (value & ~TCO1_CNT_HALT) | (tco->cnt1 & TCO1_CNT_HALT);
    }
    tco->cnt1 = (value & CNT1_MASK) | lock;
    if (halted(tco)) {
        tco->rld = read_reload(tco);
        stop(tco);
    } else if (tco->expire_time < 0) {
        start(tco);
    }
}

static void write_status2(AcpiTco *tco, uint16_t value)
{
    tco->sts2 &= ~(value & (TCO2_STS_SECOND | TCO2_STS_BOOT | 1));
    if (value & TCO2_STS_SECOND) {
        tco->sts2 &= ~TCO2_STS_BOOT;
    }
}

/* mask: the bytes that are written. */
static void write_word(AcpiTco *tco, unsigned offset, uint16_t value, uint16_t mask)
{
    uint16_t merged = (read_word(tco, offset) & ~mask) | (value & mask);

    switch (offset) {
    case TCO_RLD:
        tco->timeouts = 0;
        tco->rld = merged;
        if (!halted(tco)) {
            start(tco);
        }
        break;
    case TCO_DAT_IN:
        if (mask & 0x00ff) {
            tco->din = merged;
            tco->sts1 |= TCO1_STS_SW_TCO_SMI;
        }
        if (mask & 0xff00) {
            tco->dout = merged >> 8;
            tco->sts1 |= TCO1_STS_INT;
        }
        break;
    case TCO1_STS:
        tco->sts1 &= ~(value & mask);
        break;
    case TCO2_STS:
        write_status2(tco, value & mask);
        break;
    case TCO1_CNT:
        write_control(tco, merged);
        break;
    case TCO2_CNT:
        tco->cnt2 = merged;
        break;
    case TCO_MESSAGE1:
        tco->msg1 = merged;
        tco->msg2 = merged >> 8;
        break;
    case TCO_WDCNT:
        tco->wdcnt = merged;
        break;
    case SW_IRQ_GEN:
        tco->sw_irq_gen = merged;
        break;
    case TCO_TMR:
        tco->tmr = merged & TMR_MASK;
        break;
    }
}

static uint64_t tco_read(void *opaque, hwaddr offset, unsigned size)
{
    return read_word(opaque, offset & ~1u) >> (offset & 1) * 8;
}

static void tco_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    unsigned shift = (offset & 1) * 8;

    write_word(opaque, offset & ~1u, value << shift, size == 1 ? 0xff << shift : 0xffff);
}

static const MemoryOps tco_ops = {
    .read = tco_read,
    .write = tco_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 2 },
};

/* ---- life cycle ---------------------------------------------------------------------------------------------------- */

void tco_init(AcpiTco *tco, Object *owner, bool (*reset_allowed)(void *opaque), void *opaque)
{
    tco->reset_allowed = reset_allowed;
    tco->opaque = opaque;
    timer_init(&tco->timer, CLOCK_VIRTUAL, expired, tco);
    tco->ports = memory_region_new_io(owner, &tco_ops, tco, "sm-tco", TCO_PORTS);
}

void tco_cleanup(AcpiTco *tco)
{
    timer_del(&tco->timer);
    memory_region_free(tco->ports);
}

/* That the watchdog has bitten is known after the reset that it made. */
void tco_reset(AcpiTco *tco)
{
    uint16_t bitten = tco->sts2 & (TCO2_STS_SECOND | TCO2_STS_BOOT);

    tco->rld = tco->sts1 = tco->cnt1 = 0;
    tco->sts2 = bitten;
    tco->din = tco->dout = tco->msg1 = tco->msg2 = tco->wdcnt = 0;
    tco->cnt2 = DEFAULT_CNT2;
    tco->tmr = DEFAULT_TMR;
    tco->sw_irq_gen = DEFAULT_SW_IRQ_GEN;
    tco->timeouts = 0;
    stop(tco);
}

/* Migration notes. Registers and the timer; `expire_time` is what the guest reads of it. */
static bool timeouts_valid(const void *opaque, int64_t value)
{
    return value >= 0 && value < 2;
}

const VmState vmstate_tco = {
    .name = "tco io device status",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_NAMED("tco.rld", u16, uint16_t, AcpiTco, rld),
                                 VM_NAMED("tco.din", u8, uint8_t, AcpiTco, din),
                                 VM_NAMED("tco.dout", u8, uint8_t, AcpiTco, dout),
                                 VM_NAMED("tco.sts1", u16, uint16_t, AcpiTco, sts1),
                                 VM_NAMED("tco.sts2", u16, uint16_t, AcpiTco, sts2),
                                 VM_NAMED("tco.cnt1", u16, uint16_t, AcpiTco, cnt1),
                                 VM_NAMED("tco.cnt2", u16, uint16_t, AcpiTco, cnt2),
                                 VM_NAMED("tco.msg1", u8, uint8_t, AcpiTco, msg1),
                                 VM_NAMED("tco.msg2", u8, uint8_t, AcpiTco, msg2),
                                 VM_NAMED("tco.wdcnt", u8, uint8_t, AcpiTco, wdcnt),
                                 VM_NAMED("tco.tmr", u16, uint16_t, AcpiTco, tmr),
                                 VM_U8(AcpiTco, sw_irq_gen),
                                 VM_NAMED("tco_timer", timer, Timer, AcpiTco, timer),
                                 VM_I64(AcpiTco, expire_time),
                                 { .name = "timeouts_no",
                                   .offset = VM_CHECKED_OFFSET(AcpiTco, timeouts, uint8_t),
                                   .size = 1,
                                   .kind = &vm_kind_u8,
                                   .valid = timeouts_valid },
                                 VM_END },
};
