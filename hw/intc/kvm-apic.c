/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC that KVM has in the kernel: this device is its name, its section, and the way in for messages from
 * devices of ours. Registers are fetched for a section and given back with the processor's.
 */
#include "util/osdep.h"

#include "apic-internal.h"
#include "target/i386/kvm.h"
#include "util/bytes.h"
#include "util/error.h"

/* ---- registers ------------------------------------------------------------------------------------------------ */

static uint32_t get_reg(const struct kvm_lapic_state *page, unsigned reg)
{
    return load_le32((const uint8_t *)page->regs + 16 * reg);
}

static void set_reg(struct kvm_lapic_state *page, unsigned reg, uint32_t value)
{
    store_le32((uint8_t *)page->regs + 16 * reg, value);
}

/* When the counter was loaded, so that it shows now what the kernel says. */
static int64_t load_time(const ApicState *s, uint32_t current)
{
    uint64_t gone = s->initial_count > current ? s->initial_count - current : 0;

    return clock_get_ns(CLOCK_VIRTUAL) - (int64_t)(gone << s->count_shift);
}

static void from_page(ApicState *s, const struct kvm_lapic_state *page)
{
    s->id = get_reg(page, APIC_REG_ID) >> 24;
    s->tpr = get_reg(page, APIC_REG_TPR);
    s->arb_id = get_reg(page, APIC_REG_APR);
    s->log_dest = get_reg(page, APIC_REG_LDR) >> 24;
    s->dest_mode = get_reg(page, APIC_REG_DFR) >> 28;
    s->spurious_vec = get_reg(page, APIC_REG_SVR);
    for (unsigned i = 0; i < APIC_WORDS; i++) {
        s->isr[i] = get_reg(page, APIC_REG_ISR + i);
        s->tmr[i] = get_reg(page, APIC_REG_TMR + i);
        s->irr[i] = get_reg(page, APIC_REG_IRR + i);
    }
    s->esr = get_reg(page, APIC_REG_ESR);
    s->icr[0] = get_reg(page, APIC_REG_ICR);
    s->icr[1] = get_reg(page, APIC_REG_ICR + 1);
    for (unsigned i = 0; i < APIC_LVT_ENTRIES; i++) {
        s->lvt[i] = get_reg(page, APIC_REG_LVT + i);
    }
    s->initial_count = get_reg(page, APIC_REG_INITIAL);
    s->divide_conf = get_reg(page, APIC_REG_DIVIDE);
    s->count_shift = apic_count_shift(s->divide_conf);
    s->initial_count_load_time =
        s->initial_count ? load_time(s, get_reg(page, APIC_REG_CURRENT)) : 0;
    s->next_time = s->initial_count_load_time;
    s->timer_expiry = -1;
}

/*
 * The id stands where xAPIC mode has it, in x2APIC mode as well, since KVM_X2APIC_API_USE_32BIT_IDS is not asked for
 * (Documentation/virt/kvm/api.rst, KVM_GET_LAPIC). Older kernels take it for the processor's in either mode: what is wrong
 * here brings it the interrupts of another. In x2APIC mode the guest cannot have changed it.
 */
static uint32_t page_id(const ApicState *s)
{
    return (s->apicbase & X86_APIC_BASE_EXTD ? s->initial_id : s->id) << 24;
}

static void to_page(const ApicState *s, struct kvm_lapic_state *page)
{
    memset(page, 0, sizeof(*page));
    set_reg(page, APIC_REG_ID, page_id(s));
    set_reg(page, APIC_REG_VERSION, APIC_VERSION_VALUE);
    set_reg(page, APIC_REG_TPR, s->tpr);
    set_reg(page, APIC_REG_LDR, (uint32_t)s->log_dest << 24);
    set_reg(page, APIC_REG_DFR, (uint32_t)s->dest_mode << 28 | 0x0fffffff);
    set_reg(page, APIC_REG_SVR, s->spurious_vec);
    for (unsigned i = 0; i < APIC_WORDS; i++) {
        set_reg(page, APIC_REG_ISR + i, s->isr[i]);
        set_reg(page, APIC_REG_TMR + i, s->tmr[i]);
        set_reg(page, APIC_REG_IRR + i, s->irr[i]);
    }
    set_reg(page, APIC_REG_ESR, s->esr);
    set_reg(page, APIC_REG_ICR, s->icr[0]);
    set_reg(page, APIC_REG_ICR + 1, s->icr[1]);
    for (unsigned i = 0; i < APIC_LVT_ENTRIES; i++) {
        set_reg(page, APIC_REG_LVT + i, s->lvt[i]);
    }
    set_reg(page, APIC_REG_INITIAL, s->initial_count);
    set_reg(page, APIC_REG_CURRENT, apic_current_count(s));
    set_reg(page, APIC_REG_DIVIDE, s->divide_conf);
}

typedef struct Fetch {
    ApicState *s;
    bool ok;
    GError **error;
} Fetch;

static void fetch(Cpu *cpu, void *opaque)
{
    Fetch *f = opaque;
    struct kvm_lapic_state page;
    int r = kvm_vcpu_ioctl(cpu, KVM_GET_LAPIC, &page);

    f->ok = r >= 0 || error_set_errno(f->error, -r, "KVM_GET_LAPIC");
    if (f->ok) {
        from_page(f->s, &page);
    }
}

/* What was loaded, and has not been given back yet, is newer than what the kernel has. */
static bool kvm_apic_collect(ApicState *s, GError **error)
{
    Fetch f = { s, .error = error };

    cpu_sync(&s->cpu->cpu);
    if (s->cpu->cpu.put_level >= CPU_PUT_RESET) {
        return true;
    }
    cpu_run_on(&s->cpu->cpu, fetch, &f);
    return f.ok;
}

static void kvm_apic_loaded(ApicState *s)
{
    cpu_mark_changed(&s->cpu->cpu, CPU_PUT_FULL);
}

static bool kvm_apic_put(Device *dev, GError **error)
{
    ApicState *s = (ApicState *)dev;
    struct kvm_lapic_state page;
    int r;

    to_page(s, &page);
    r = kvm_vcpu_ioctl(&s->cpu->cpu, KVM_SET_LAPIC, &page);
    return r >= 0 || error_set_errno(error, -r, "KVM_SET_LAPIC");
}

/* ---- messages and the NMI button -------------------------------------------------------------------------------- */

/* Processors never come here, the kernel answers them; devices write messages. */
static uint64_t space_read(void *opaque, hwaddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void space_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    kvm_send_msi(X86_APIC_DEFAULT_BASE + offset, value);
}

static const MemoryOps space_ops = {
    .read = space_read,
    .write = space_write,
    .impl = { .min_size = 4, .max_size = 4 },
};

static void press_nmi(Cpu *cpu, void *opaque)
{
    struct kvm_lapic_state page;
    uint32_t lint1;

    if (kvm_vcpu_ioctl(cpu, KVM_GET_LAPIC, &page) < 0) {
        return;
    }
    lint1 = get_reg(&page, APIC_REG_LVT + APIC_LVT_LINT1);
    if (!(lint1 & APIC_LVT_MASKED) && (lint1 >> 8 & 7) == APIC_NMI) {
        cpu_interrupt(cpu, CPU_INTERRUPT_NMI);
    }
}

static void kvm_apic_external_nmi(Device *dev)
{
    cpu_run_on_async(&((ApicState *)dev)->cpu->cpu, press_nmi, NULL);
}

/* ---- life cycle ---------------------------------------------------------------------------------------------------- */

static void kvm_apic_reset(Device *dev)
{
    apic_reset_registers((ApicState *)dev, false);
}

static bool kvm_apic_realize(Device *dev, GError **error)
{
    ApicState *s = (ApicState *)dev;

    s->cpu = x86_cpu_by_apic_id(s->initial_id);
    if (!s->cpu || !kvm_enabled()) {
        return error_set(error, "kvm-apic is part of a processor that KVM runs");
    }
    if (!kvm_vapic_ensure(error)) {
        return false;
    }
    apic_map_space(&space_ops, "kvm-apic-msi");
    apic_reset_registers(s, false);
    return true;
}

static const ApicImpl kvm_apic_impl = {
    .x86 = {
        .set_base = apic_set_base,
        .get_base = apic_get_base,
        .set_tpr = apic_set_tpr,
        .get_tpr = apic_get_tpr,
        .put = kvm_apic_put,
        .external_nmi = kvm_apic_external_nmi,
    },
    .collect = kvm_apic_collect,
    .loaded = kvm_apic_loaded,
};

static const DeviceType kvm_apic_type = {
    .object = { .name = "kvm-apic", .parent = &apic_common_type.object, .size = sizeof(ApicState) },
    .realize = kvm_apic_realize,
    .reset = kvm_apic_reset,
    .ops = &kvm_apic_impl,
};
DEVICE_REGISTER(kvm_apic_type);
