/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC in user space (Intel SDM volume 3, chapter 10). Processors reach their own at 0xfee00000; accesses that
 * no processor makes (a qtest's) reach the boot processor's. Messages are writes to the same space, see is_message().
 *
 * The bus clock is 1 GHz: a count is 1 << count_shift nanoseconds of the virtual clock. x2APIC mode and TSC deadlines
 * are not offered.
 */
#include "util/osdep.h"

#include "apic-internal.h"
#include "hw/intc/apic.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(apic_deliver_irq)
TRACE_EVENT(apic_local_deliver)
TRACE_EVENT(apic_mem_readl)
TRACE_EVENT(apic_mem_writel)

/* Error status (SDM figure 10-9). */
#define ESR_SEND_ILLEGAL_VECTOR (1 << 5)
#define ESR_RECEIVED_ILLEGAL_VECTOR (1 << 6)
#define ESR_ILLEGAL_REGISTER (1 << 7)

#define ICR_BUSY (1u << 12)
#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_WRITABLE 0x000ccfffu
#define LVT_DELIVERY_STATUS (1u << 12)
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_LEVEL (1u << 15)
#define DEST_BROADCAST 0xff
#define FIRST_VECTOR 16
#define FLAT_MODEL 0xf

static void (*eoi_handler)(uint8_t vector);

void apic_set_eoi_handler(void (*handler)(uint8_t vector))
{
    eoi_handler = handler;
}

static ApicState *apic_of(const X86Cpu *cpu)
{
    return cpu ? (ApicState *)cpu->apic : NULL;
}

static bool is_enabled(const ApicState *s)
{
    return (s->apicbase & X86_APIC_BASE_ENABLE) && (s->spurious_vec & APIC_SVR_ENABLE);
}

/* ---- acceptance (SDM 10.8) -------------------------------------------------------------------------------------- */

static void set_bit(uint32_t *set, unsigned n)
{
    set[n / 32] |= 1u << n % 32;
}

static void clear_bit(uint32_t *set, unsigned n)
{
    set[n / 32] &= ~(1u << n % 32);
}

static bool test_bit(const uint32_t *set, unsigned n)
{
    return set[n / 32] >> n % 32 & 1;
}

/* The vector that may interrupt now, -1: none. */
static int deliverable(const ApicState *s)
{
    int vector = apic_highest_vector(s->irr);

    if (!is_enabled(s) || vector < 0 || vector >> 4 <= apic_processor_priority(s) >> 4) {
        return -1;
    }
    return vector;
}

static void update(ApicState *s)
{
    x86_cpu_update_interrupts(s->cpu);
}

static void local_deliver(ApicState *s, unsigned entry);

static void report_error(ApicState *s, uint32_t bit)
{
    s->esr |= bit;
    if (s->lvt[APIC_LVT_ERROR] & APIC_LVT_MASKED) {
        return;
    }
    if ((s->lvt[APIC_LVT_ERROR] & 0xff) < FIRST_VECTOR) {
        s->esr |= ESR_RECEIVED_ILLEGAL_VECTOR; /* and that is all: it cannot be reported */
        return;
    }
    local_deliver(s, APIC_LVT_ERROR);
}

static void accept_vector(ApicState *s, unsigned vector, bool level)
{
    if (vector < FIRST_VECTOR) {
        report_error(s, ESR_RECEIVED_ILLEGAL_VECTOR);
        return;
    }
    if (!is_enabled(s)) {
        return; /* SDM 10.4.7.2: fixed interrupts are not accepted */
    }
    set_bit(s->irr, vector);
    (level ? set_bit : clear_bit)(s->tmr, vector);
    update(s);
}

/* SIPI takes a vector along; the processor acts on both in its own thread. There is no system management mode: nobody hears of an SMI. */
static void accept_message(ApicState *s, unsigned mode, unsigned vector, bool level)
{
    Cpu *cpu = &s->cpu->cpu;

    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        accept_vector(s, vector, level);
        break;
    case APIC_NMI:
        cpu_interrupt(cpu, CPU_INTERRUPT_NMI);
        break;
    case APIC_INIT:
        cpu_clear_interrupt(cpu, CPU_INTERRUPT_SIPI); /* what came before it */
        cpu_interrupt(cpu, CPU_INTERRUPT_INIT);
        break;
    case APIC_STARTUP:
        if (s->wait_for_sipi || (cpu_interrupts(cpu) & CPU_INTERRUPT_INIT)) {
            s->sipi_vector = vector;
            cpu_interrupt(cpu, CPU_INTERRUPT_SIPI);
        }
        break;
    case APIC_EXTINT: /* from the I/O APIC: the 8259 pair knows the vector */
        x86_cpu_update_interrupts(s->cpu);
        break;
    default:
        break;
    }
}

/* ---- destinations (SDM 10.6.2) ------------------------------------------------------------------------------------ */

static bool is_destination(const ApicState *s, uint8_t dest, bool logical)
{
    if (dest == DEST_BROADCAST) {
        return true;
    }
    if (!logical) {
        return s->id == dest;
    }
    if (s->dest_mode == FLAT_MODEL) {
        return dest & s->log_dest;
    }
    return dest >> 4 == s->log_dest >> 4 && (dest & s->log_dest & 0xf); /* cluster model */
}

/* Lowest priority: the enabled one that does the least important work. */
static ApicState *lowest(uint8_t dest, bool logical)
{
    ApicState *best = NULL;

    CPU_FOREACH(cpu)
    {
        ApicState *s = apic_of(X86_CPU(cpu));

        if (s && is_destination(s, dest, logical) && is_enabled(s) &&
            (!best || apic_processor_priority(s) < apic_processor_priority(best))) {
            best = s;
        }
    }
    return best;
}

static void deliver(uint8_t dest, bool logical, unsigned mode, unsigned vector, bool level)
{
    trace(apic_deliver_irq, "dest %d dest_mode %d delivery_mode %d vector %d trigger_mode %d", dest,
          logical, mode, vector, level);
    if (mode == APIC_LOWEST) {
        ApicState *s = lowest(dest, logical);

        if (s) {
            accept_vector(s, vector, level);
        }
        return;
    }
    CPU_FOREACH(cpu)
    {
        ApicState *s = apic_of(X86_CPU(cpu));

        if (s && is_destination(s, dest, logical)) {
            accept_message(s, mode, vector, level);
        }
    }
}

/* The command register's low half is written (SDM 10.6.1). */
static void send_command(ApicState *self)
{
    uint32_t icr = self->icr[0];
    unsigned shorthand = icr >> 18 & 3, mode = icr >> 8 & 7, vector = icr & 0xff;
    bool level = icr & ICR_LEVEL;

    if (mode == APIC_INIT && level && !(icr & ICR_ASSERT)) {
        return; /* INIT level de-assert: arbitration ids, which nobody has any more */
    }
    if ((mode == APIC_FIXED || mode == APIC_LOWEST) && vector < FIRST_VECTOR) {
        report_error(self, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    if (shorthand == 0) {
        deliver(self->icr[1] >> 24, icr & ICR_LOGICAL, mode, vector, level);
        return;
    }
    CPU_FOREACH(cpu)
    {
        ApicState *s = apic_of(X86_CPU(cpu));

        if (s && (s == self ? shorthand != 3 : shorthand != 1)) {
            accept_message(s, mode, vector, level);
        }
    }
}

/* ---- the local vector table ------------------------------------------------------------------------------------------ */

static void local_deliver(ApicState *s, unsigned entry)
{
    uint32_t lvt = s->lvt[entry];

    trace(apic_local_deliver, "vector %d delivery mode %d", entry, lvt >> 8 & 7);
    if (lvt & APIC_LVT_MASKED) {
        return;
    }
    switch (lvt >> 8 & 7) {
    case APIC_FIXED:
        accept_vector(s, lvt & 0xff, entry == APIC_LVT_LINT0 && (lvt & LVT_LEVEL));
        break;
    case APIC_NMI:
        cpu_interrupt(&s->cpu->cpu, CPU_INTERRUPT_NMI);
        break;
    default:
        break;
    }
}

/* ---- the timer (SDM 10.5.4) ------------------------------------------------------------------------------------------- */

/* The next moment at which the count is used up, -1: never. */
static int64_t next_expiry(const ApicState *s, int64_t now)
{
    int64_t period = (int64_t)s->initial_count << s->count_shift;
    int64_t first = s->initial_count_load_time + period;

    if (!s->initial_count || now < first) {
        return s->initial_count ? first : -1;
    }
    if (!(s->lvt[APIC_LVT_TIMER] & APIC_LVT_PERIODIC)) {
        return -1;
    }
    return first + ((now - first) / period + 1) * period;
}

/* Nobody hears of a masked timer, so that it does not run. */
static void arm_timer(ApicState *s, int64_t now)
{
    int64_t at = next_expiry(s, now);

    s->next_time = MAX(at, 0);
    if (at < 0 || (s->lvt[APIC_LVT_TIMER] & APIC_LVT_MASKED)) {
        s->timer_expiry = -1;
        timer_del(&s->timer);
    } else {
        s->timer_expiry = at;
        timer_mod(&s->timer, at);
    }
}

static void timer_expired(void *opaque)
{
    ApicState *s = opaque;

    local_deliver(s, APIC_LVT_TIMER);
    arm_timer(s, MAX(clock_get_ns(CLOCK_VIRTUAL), s->next_time));
}

static void write_initial_count(ApicState *s, uint32_t value)
{
    s->initial_count = value;
    s->initial_count_load_time = clock_get_ns(CLOCK_VIRTUAL);
    arm_timer(s, s->initial_count_load_time);
}

/* The count goes on from where it is, at the new pace. */
static void write_divide(ApicState *s, uint32_t value)
{
    uint32_t current = apic_current_count(s);
    int64_t now = clock_get_ns(CLOCK_VIRTUAL);

    s->divide_conf = value & 0xb;
    s->count_shift = apic_count_shift(s->divide_conf);
    if (s->initial_count) {
        s->initial_count_load_time =
            now - ((int64_t)(s->initial_count - current) << s->count_shift);
    }
    arm_timer(s, now);
}

/* ---- registers ---------------------------------------------------------------------------------------------------------- */

static void write_lvt(ApicState *s, unsigned n, uint32_t value)
{
    static const uint32_t writable[APIC_LVT_ENTRIES] = {
        [APIC_LVT_TIMER] = 0x300ff, [APIC_LVT_THERMAL] = 0x107ff, [APIC_LVT_PERFORM] = 0x107ff,
        [APIC_LVT_LINT0] = 0x1a7ff, [APIC_LVT_LINT1] = 0x1a7ff,   [APIC_LVT_ERROR] = 0x100ff,
    };

    value &= writable[n];
    if (!(s->spurious_vec & APIC_SVR_ENABLE)) {
        value |= APIC_LVT_MASKED; /* SDM 10.4.7.2 */
    }
    s->lvt[n] = value | (s->lvt[n] & (LVT_DELIVERY_STATUS | LVT_REMOTE_IRR));
    if (n == APIC_LVT_TIMER) {
        arm_timer(s, clock_get_ns(CLOCK_VIRTUAL));
    } else if (n == APIC_LVT_LINT0) {
        update(s);
    }
}

static void write_spurious(ApicState *s, uint32_t value)
{
    s->spurious_vec = value & 0x3ff;
    if (!(value & APIC_SVR_ENABLE)) {
        for (unsigned n = 0; n < APIC_LVT_ENTRIES; n++) {
            s->lvt[n] |= APIC_LVT_MASKED;
        }
        arm_timer(s, clock_get_ns(CLOCK_VIRTUAL));
    }
    update(s);
}

static void end_of_interrupt(ApicState *s)
{
    int vector = apic_highest_vector(s->isr);

    if (vector < 0) {
        return;
    }
    clear_bit(s->isr, vector);
    if (test_bit(s->tmr, vector) && eoi_handler) {
        eoi_handler(vector);
    }
    update(s);
}

static uint32_t read_register(ApicState *s, unsigned reg)
{
    if (reg >= APIC_REG_ISR && reg < APIC_REG_ISR + APIC_WORDS) {
        return s->isr[reg - APIC_REG_ISR];
    }
    if (reg >= APIC_REG_TMR && reg < APIC_REG_TMR + APIC_WORDS) {
        return s->tmr[reg - APIC_REG_TMR];
    }
    if (reg >= APIC_REG_IRR && reg < APIC_REG_IRR + APIC_WORDS) {
        return s->irr[reg - APIC_REG_IRR];
    }
    if (reg >= APIC_REG_LVT && reg < APIC_REG_LVT + APIC_LVT_ENTRIES) {
        return s->lvt[reg - APIC_REG_LVT];
    }
    switch (reg) {
    case APIC_REG_ID:
        return (uint32_t)s->id << 24;
    case APIC_REG_VERSION:
        return APIC_VERSION_VALUE;
    case APIC_REG_TPR:
        return s->tpr;
    case APIC_REG_APR:
        return s->arb_id;
    case APIC_REG_PPR:
        return apic_processor_priority(s);
    case APIC_REG_EOI:
    case APIC_REG_RRD:
        return 0;
    case APIC_REG_LDR:
        return (uint32_t)s->log_dest << 24;
    case APIC_REG_DFR:
        return (uint32_t)s->dest_mode << 28 | 0x0fffffff;
    case APIC_REG_SVR:
        return s->spurious_vec;
    case APIC_REG_ESR:
        return s->esr;
    case APIC_REG_ICR:
    case APIC_REG_ICR + 1:
        return s->icr[reg - APIC_REG_ICR];
    case APIC_REG_INITIAL:
        return s->initial_count;
    case APIC_REG_CURRENT:
        return apic_current_count(s);
    case APIC_REG_DIVIDE:
        return s->divide_conf;
    default:
        report_error(s, ESR_ILLEGAL_REGISTER);
        return 0;
    }
}

static void write_register(ApicState *s, unsigned reg, uint32_t value)
{
    if (reg >= APIC_REG_LVT && reg < APIC_REG_LVT + APIC_LVT_ENTRIES) {
        write_lvt(s, reg - APIC_REG_LVT, value);
        return;
    }
    switch (reg) {
    case APIC_REG_ID:
        s->id = value >> 24;
        break;
    case APIC_REG_TPR:
        s->tpr = value;
        update(s);
        break;
    case APIC_REG_EOI:
        end_of_interrupt(s);
        break;
    case APIC_REG_LDR:
        s->log_dest = value >> 24;
        break;
    case APIC_REG_DFR:
        s->dest_mode = value >> 28;
        break;
    case APIC_REG_SVR:
        write_spurious(s, value);
        break;
    case APIC_REG_ESR: /* SDM 10.5.3: a write makes room for new ones; what was there stays to be read once */
        s->esr = 0;
        break;
    case APIC_REG_ICR:
        s->icr[0] = value & ICR_WRITABLE & ~ICR_BUSY;
        send_command(s);
        break;
    case APIC_REG_ICR + 1:
        s->icr[1] = value & 0xff000000;
        break;
    case APIC_REG_INITIAL:
        write_initial_count(s, value);
        break;
    case APIC_REG_DIVIDE:
        write_divide(s, value);
        break;
    case APIC_REG_VERSION:
    case APIC_REG_APR:
    case APIC_REG_PPR:
    case APIC_REG_RRD:
    case APIC_REG_CURRENT:
        break; /* read-only */
    default:
        if (reg < APIC_REG_ISR || reg >= APIC_REG_IRR + APIC_WORDS) {
            report_error(s, ESR_ILLEGAL_REGISTER);
        }
        break;
    }
}

/* ---- the space ------------------------------------------------------------------------------------------------------------ */

static ApicState *accessed(void)
{
    Cpu *cpu = cpu_current();

    return apic_of(X86_CPU(cpu ? cpu : cpu_first()));
}

/*
 * A message (SDM 10.11) has its destination in bits 19…12, the mode in bits 3 and 2, and nothing else; registers begin
 * at 0x20 of the first page. So a write is one or the other, whoever makes it.
 */
static bool is_message(hwaddr offset)
{
    return offset >= 0x1000 || offset < 0x10;
}

static uint64_t space_read(void *opaque, hwaddr offset, unsigned size)
{
    ApicState *s = accessed();
    uint32_t value;

    if (is_message(offset) || (offset & 0xf) || !s || !(s->apicbase & X86_APIC_BASE_ENABLE)) {
        return UINT32_MAX;
    }
    value = read_register(s, offset >> 4);
    trace(apic_mem_readl, "0x%" PRIx64 " = 0x%08x", offset, value);
    return value;
}

static void space_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ApicState *s = accessed();

    if (is_message(offset)) {
        deliver(offset >> 12, offset & 4, value >> 8 & 7, value & 0xff, value >> 15 & 1);
        return;
    }
    trace(apic_mem_writel, "0x%" PRIx64 " = 0x%08x", offset, (uint32_t)value);
    if (!(offset & 0xf) && s && (s->apicbase & X86_APIC_BASE_ENABLE)) {
        write_register(s, offset >> 4, value);
    }
}

static const MemoryOps space_ops = {
    .read = space_read,
    .write = space_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- between processor and APIC ----------------------------------------------------------------------------------------------- */

static bool user_pending(Device *dev)
{
    return deliverable((ApicState *)dev) >= 0;
}

static int user_acknowledge(Device *dev)
{
    ApicState *s = (ApicState *)dev;
    int vector = deliverable(s);

    if (vector >= 0) {
        clear_bit(s->irr, vector);
        set_bit(s->isr, vector);
    }
    return vector;
}

/* LINT0 as the virtual wire, or an APIC that is off altogether. */
static bool user_accepts_pic(Device *dev)
{
    const ApicState *s = (const ApicState *)dev;
    uint32_t lint0 = s->lvt[APIC_LVT_LINT0];

    if (!(s->apicbase & X86_APIC_BASE_ENABLE)) {
        return s->cpu->is_bsp;
    }
    /* Before anybody has enabled it, the boot processor's lets the 8259 through (SDM 10.4.7.1). */
    if (!(s->spurious_vec & APIC_SVR_ENABLE) && s->cpu->is_bsp) {
        return true;
    }
    return !(lint0 & APIC_LVT_MASKED) && (lint0 >> 8 & 7) == APIC_EXTINT;
}

static void user_set_base(Device *dev, uint64_t base)
{
    ApicState *s = (ApicState *)dev;

    s->apicbase = base;
    if (!(base & X86_APIC_BASE_ENABLE)) {
        s->spurious_vec &= ~APIC_SVR_ENABLE;
    }
    update(s);
}

static void user_set_tpr(Device *dev, uint8_t cr8)
{
    apic_set_tpr(dev, cr8);
    update((ApicState *)dev);
}

static void user_init_reset(Device *dev)
{
    ApicState *s = (ApicState *)dev;

    apic_reset_registers(s, true);
    s->wait_for_sipi = !s->cpu->is_bsp;
    timer_del(&s->timer);
}

static void user_startup(Device *dev)
{
    ApicState *s = (ApicState *)dev;

    if (s->wait_for_sipi) {
        s->wait_for_sipi = false;
        x86_cpu_startup(s->cpu, s->sipi_vector);
    }
}

static void user_external_nmi(Device *dev)
{
    local_deliver((ApicState *)dev, APIC_LVT_LINT1);
}

/* ---- life cycle ------------------------------------------------------------------------------------------------------------------ */

static void apic_reset(Device *dev)
{
    ApicState *s = (ApicState *)dev;

    apic_reset_registers(s, false);
    s->wait_for_sipi = !s->cpu->is_bsp;
    timer_del(&s->timer);
}

static bool apic_realize(Device *dev, GError **error)
{
    ApicState *s = (ApicState *)dev;

    s->cpu = x86_cpu_by_apic_id(s->initial_id);
    if (!s->cpu) {
        return error_set(error, "a local APIC is part of a processor");
    }
    if (!kvm_vapic_ensure(error)) {
        return false;
    }
    apic_map_space(&space_ops, "apic-msi");
    timer_init(&s->timer, CLOCK_VIRTUAL, timer_expired, s);
    apic_reset_registers(s, false);
    s->wait_for_sipi = !s->cpu->is_bsp;
    return true;
}

static void apic_unrealize(Device *dev)
{
    timer_del(&((ApicState *)dev)->timer);
}

/* A timer that runs is due when its registers say so; timer_expiry says from when on. One that does not stays as it came:
 * counting on from now would change what the other side saved. */
static void apic_loaded(ApicState *s)
{
    if (s->timer_expiry >= 0) {
        arm_timer(s, s->timer_expiry - 1);
    } else {
        timer_del(&s->timer);
    }
    update(s);
}

static const ApicImpl apic_impl = {
    .x86 = {
        .set_base = user_set_base,
        .get_base = apic_get_base,
        .set_tpr = user_set_tpr,
        .get_tpr = apic_get_tpr,
        .pending = user_pending,
        .acknowledge = user_acknowledge,
        .accepts_pic = user_accepts_pic,
        .init_reset = user_init_reset,
        .startup = user_startup,
        .external_nmi = user_external_nmi,
    },
    .loaded = apic_loaded,
};

static const DeviceType apic_type = {
    .object = { .name = "apic", .parent = &apic_common_type.object, .size = sizeof(ApicState) },
    .realize = apic_realize,
    .unrealize = apic_unrealize,
    .reset = apic_reset,
    .ops = &apic_impl,
};
DEVICE_REGISTER(apic_type);
