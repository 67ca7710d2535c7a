/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers between X86State and KVM: general, segments, control, debug, events, run state; and the order of it all. */
#include "util/osdep.h"

#include "util/error.h"
#include "kvm-internal.h"

static bool check(int r, const char *what, GError **error)
{
    return r >= 0 || error_set_errno(error, -r, "%s", what);
}

/* ---- general registers ----------------------------------------------------------------------------------------- */

static void copy_regs(struct kvm_regs *regs, X86State *env, bool to_kvm)
{
    __u64 *const list[X86_GPRS] = { &regs->rax, &regs->rcx, &regs->rdx, &regs->rbx,
                                    &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi,
                                    &regs->r8,  &regs->r9,  &regs->r10, &regs->r11,
                                    &regs->r12, &regs->r13, &regs->r14, &regs->r15 };

    for (unsigned i = 0; i < X86_GPRS; i++) {
        if (to_kvm) {
            *list[i] = env->regs[i];
        } else {
            env->regs[i] = *list[i];
        }
    }
    if (to_kvm) {
        regs->rip = env->eip;
        regs->rflags = env->eflags;
    } else {
        env->eip = regs->rip;
        env->eflags = regs->rflags;
    }
}

static bool get_regs(X86Cpu *cpu, GError **error)
{
    struct kvm_regs regs;
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_REGS, &regs);

    if (r >= 0) {
        copy_regs(&regs, &cpu->env, false);
    }
    return check(r, "KVM_GET_REGS", error);
}

static bool put_regs(X86Cpu *cpu, GError **error)
{
    struct kvm_regs regs = { 0 };

    copy_regs(&regs, &cpu->env, true);
    return check(kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_REGS, &regs), "KVM_SET_REGS", error);
}

/* ---- segments and control registers ------------------------------------------------------------------------------ */

static X86Segment segment_from_kvm(const struct kvm_segment *s)
{
    uint32_t flags = (uint32_t)s->type << X86_DESC_TYPE_SHIFT | (s->s ? X86_DESC_S : 0) |
                     (uint32_t)s->dpl << X86_DESC_DPL_SHIFT | (s->avl ? X86_DESC_AVL : 0) |
                     (s->l ? X86_DESC_L : 0) | (s->db ? X86_DESC_B : 0) | (s->g ? X86_DESC_G : 0);

    return (X86Segment){ s->selector, s->base, s->limit,
                         s->unusable ? 0 : flags | (s->present ? X86_DESC_P : 0) };
}

static struct kvm_segment segment_to_kvm(const X86Segment *s)
{
    bool present = s->flags & X86_DESC_P;

    return (struct kvm_segment){
        .selector = s->selector,
        .base = s->base,
        .limit = s->limit,
        .type = s->flags >> X86_DESC_TYPE_SHIFT & 15,
        .present = present,
        .dpl = s->flags >> X86_DESC_DPL_SHIFT & 3,
        .db = (s->flags & X86_DESC_B) != 0,
        .s = (s->flags & X86_DESC_S) != 0,
        .l = (s->flags & X86_DESC_L) != 0,
        .g = (s->flags & X86_DESC_G) != 0,
        .avl = (s->flags & X86_DESC_AVL) != 0,
        .unusable = !present,
    };
}

/* In virtual-8086 mode the hidden parts are what the mode says (SDM vol. 3 20.2), whatever was loaded before. */
static struct kvm_segment v86_segment_to_kvm(const X86Segment *s)
{
    return (struct kvm_segment){ .selector = s->selector,
                                 .base = s->base,
                                 .limit = s->limit,
                                 .type = 3,
                                 .present = 1,
                                 .dpl = 3,
                                 .s = 1 };
}

/* What KVM_GET_SREGS and its successor have in common. */
#define COPY_SREGS_FROM_KVM(env, sregs)                       \
    do {                                                      \
        (env)->segs[X86_CS] = segment_from_kvm(&(sregs)->cs); \
        (env)->segs[X86_DS] = segment_from_kvm(&(sregs)->ds); \
        (env)->segs[X86_ES] = segment_from_kvm(&(sregs)->es); \
        (env)->segs[X86_FS] = segment_from_kvm(&(sregs)->fs); \
        (env)->segs[X86_GS] = segment_from_kvm(&(sregs)->gs); \
        (env)->segs[X86_SS] = segment_from_kvm(&(sregs)->ss); \
        (env)->tr = segment_from_kvm(&(sregs)->tr);           \
        (env)->ldt = segment_from_kvm(&(sregs)->ldt);         \
        (env)->gdt.base = (sregs)->gdt.base;                  \
        (env)->gdt.limit = (sregs)->gdt.limit;                \
        (env)->idt.base = (sregs)->idt.base;                  \
        (env)->idt.limit = (sregs)->idt.limit;                \
        (env)->cr[0] = (sregs)->cr0;                          \
        (env)->cr[2] = (sregs)->cr2;                          \
        (env)->cr[3] = (sregs)->cr3;                          \
        (env)->cr[4] = (sregs)->cr4;                          \
        (env)->efer = (sregs)->efer;                          \
        apic_from_kvm(cpu, (sregs)->apic_base, (sregs)->cr8); \
    } while (0)

#define COPY_SREGS_TO_KVM(env, sregs)                                            \
    do {                                                                         \
        struct kvm_segment (*convert)(const X86Segment *) =                      \
            (env)->eflags & X86_EFLAGS_VM ? v86_segment_to_kvm : segment_to_kvm; \
        (sregs)->cs = convert(&(env)->segs[X86_CS]);                             \
        (sregs)->ds = convert(&(env)->segs[X86_DS]);                             \
        (sregs)->es = convert(&(env)->segs[X86_ES]);                             \
        (sregs)->fs = convert(&(env)->segs[X86_FS]);                             \
        (sregs)->gs = convert(&(env)->segs[X86_GS]);                             \
        (sregs)->ss = convert(&(env)->segs[X86_SS]);                             \
        (sregs)->tr = segment_to_kvm(&(env)->tr);                                \
        (sregs)->ldt = segment_to_kvm(&(env)->ldt);                              \
        (sregs)->gdt.base = (env)->gdt.base;                                     \
        (sregs)->gdt.limit = (env)->gdt.limit;                                   \
        (sregs)->idt.base = (env)->idt.base;                                     \
        (sregs)->idt.limit = (env)->idt.limit;                                   \
        (sregs)->cr0 = (env)->cr[0];                                             \
        (sregs)->cr2 = (env)->cr[2];                                             \
        (sregs)->cr3 = (env)->cr[3];                                             \
        (sregs)->cr4 = (env)->cr[4];                                             \
        (sregs)->efer = (env)->efer;                                             \
        if (cpu->apic) {                                                         \
            (sregs)->apic_base = x86_apic_ops(cpu)->get_base(cpu->apic);         \
            (sregs)->cr8 = x86_apic_ops(cpu)->get_tpr(cpu->apic);                \
        }                                                                        \
    } while (0)

static void apic_from_kvm(X86Cpu *cpu, uint64_t base, uint8_t cr8)
{
    const X86ApicOps *ops = x86_apic_ops(cpu);

    if (ops && kvm_irqchip() != KVM_IRQCHIP_USER) {
        ops->set_base(cpu->apic, base);
        ops->set_tpr(cpu->apic, cr8);
    }
}

static bool has_sregs2(void)
{
    static int has = -1;

    if (has < 0) {
        has = kvm_check_extension(KVM_CAP_SREGS2);
    }
    return has;
}

static bool get_sregs(X86Cpu *cpu, GError **error)
{
    X86State *env = &cpu->env;
    struct kvm_sregs2 sregs2;
    struct kvm_sregs sregs;
    int r;

    env->pdptrs_valid = false;
    if (!has_sregs2()) {
        r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_SREGS, &sregs);
        if (r >= 0) {
            COPY_SREGS_FROM_KVM(env, &sregs);
        }
        return check(r, "KVM_GET_SREGS", error);
    }
    r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_SREGS2, &sregs2);
    if (r >= 0) {
        COPY_SREGS_FROM_KVM(env, &sregs2);
        env->pdptrs_valid = sregs2.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
        for (unsigned i = 0; env->pdptrs_valid && i < 4; i++) {
            env->pdptrs[i] = sregs2.pdptrs[i];
        }
    }
    return check(r, "KVM_GET_SREGS2", error);
}

static bool put_sregs(X86Cpu *cpu, GError **error)
{
    X86State *env = &cpu->env;
    struct kvm_sregs2 sregs2 = { 0 };
    struct kvm_sregs sregs = { 0 };

    if (!has_sregs2()) {
        COPY_SREGS_TO_KVM(env, &sregs);
        return check(kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS", error);
    }
    COPY_SREGS_TO_KVM(env, &sregs2);
    if (env->pdptrs_valid) {
        sregs2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        for (unsigned i = 0; i < 4; i++) {
            sregs2.pdptrs[i] = env->pdptrs[i];
        }
    }
    return check(kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_SREGS2, &sregs2), "KVM_SET_SREGS2", error);
}

/* ---- XCR0, debug registers ------------------------------------------------------------------------------------------ */

static bool get_xcrs(X86Cpu *cpu, GError **error)
{
    struct kvm_xcrs xcrs;
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_XCRS, &xcrs);

    for (unsigned i = 0; r >= 0 && i < MIN(xcrs.nr_xcrs, KVM_MAX_XCRS); i++) {
        if (xcrs.xcrs[i].xcr == 0) {
            cpu->env.xcr0 = xcrs.xcrs[i].value;
        }
    }
    return check(r, "KVM_GET_XCRS", error);
}

static bool put_xcrs(X86Cpu *cpu, GError **error)
{
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = cpu->env.xcr0 } };
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_XCRS, &xcrs);

    return r >= 0 || error_set_errno(error, -r, "KVM_SET_XCRS (XCR0 0x%" PRIx64 ")", cpu->env.xcr0);
}

static bool get_debug(X86Cpu *cpu, GError **error)
{
    struct kvm_debugregs regs;
    X86State *env = &cpu->env;
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_DEBUGREGS, &regs);

    if (r >= 0) {
        for (unsigned i = 0; i < 4; i++) {
            env->dr[i] = regs.db[i];
        }
        env->dr[4] = env->dr[6] = regs.dr6;
        env->dr[5] = env->dr[7] = regs.dr7;
    }
    return check(r, "KVM_GET_DEBUGREGS", error);
}

static bool put_debug(X86Cpu *cpu, GError **error)
{
    const X86State *env = &cpu->env;
    struct kvm_debugregs regs = { .dr6 = env->dr[6], .dr7 = env->dr[7] };

    for (unsigned i = 0; i < 4; i++) {
        regs.db[i] = env->dr[i];
    }
    return check(kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_DEBUGREGS, &regs), "KVM_SET_DEBUGREGS", error);
}

/* ---- events ----------------------------------------------------------------------------------------------------------- */

static bool get_events(X86Cpu *cpu, GError **error)
{
    struct kvm_vcpu_events events = { 0 };
    X86State *env = &cpu->env;
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_VCPU_EVENTS, &events);

    if (r < 0) {
        return check(r, "KVM_GET_VCPU_EVENTS", error);
    }
    env->exception_injected = events.exception.injected;
    env->exception_pending =
        (events.flags & KVM_VCPUEVENT_VALID_PAYLOAD) && events.exception.pending;
    env->exception_has_payload =
        (events.flags & KVM_VCPUEVENT_VALID_PAYLOAD) && events.exception_has_payload;
    env->exception_payload = events.exception_payload;
    env->exception_nr =
        env->exception_injected || env->exception_pending ? events.exception.nr : -1;
    env->has_error_code = events.exception.has_error_code;
    env->error_code =
        env->exception_nr >= 0 && env->has_error_code ? events.exception.error_code : 0;
    env->interrupt_injected = events.interrupt.injected ? events.interrupt.nr : -1;
    env->soft_interrupt = events.interrupt.soft;
    env->nmi_injected = events.nmi.injected;
    env->nmi_pending = events.nmi.pending;
    env->hflags &= ~X86_HF_INHIBIT_IRQ;
    env->hflags |= events.interrupt.shadow ? X86_HF_INHIBIT_IRQ : 0;
    env->hflags2 &= ~X86_HF2_NMI;
    env->hflags2 |= events.nmi.masked ? X86_HF2_NMI : 0;
    env->sipi_vector = events.sipi_vector;
    env->triple_fault_pending =
        (events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) && events.triple_fault.pending;
    return true;
}

static bool put_events(X86Cpu *cpu, CpuPutLevel level, GError **error)
{
    const X86State *env = &cpu->env;
    struct kvm_vcpu_events events = {
        .exception = { .injected = env->exception_injected,
                       .nr = MAX(env->exception_nr, 0),
                       .has_error_code = env->has_error_code,
                       .error_code = env->error_code },
        .interrupt = { .injected = env->interrupt_injected >= 0,
                       .nr = MAX(env->interrupt_injected, 0),
                       .soft = env->soft_interrupt,
                       .shadow = env->hflags & X86_HF_INHIBIT_IRQ
                                     ? KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS
                                     : 0 },
        .nmi = { .injected = env->nmi_injected,
                 .pending = env->nmi_pending,
                 .masked = (env->hflags2 & X86_HF2_NMI) != 0 },
        .sipi_vector = env->sipi_vector,
        .flags = KVM_VCPUEVENT_VALID_SHADOW,
    };

    if (kvm_check_extension(KVM_CAP_EXCEPTION_PAYLOAD)) {
        events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        events.exception.pending = env->exception_pending;
        events.exception_has_payload = env->exception_has_payload;
        events.exception_payload = env->exception_payload;
    }
    if (level >= CPU_PUT_RESET) {
        events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
        if (env->mp_state == X86_MP_SIPI_RECEIVED) {
            events.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
        }
        if (kvm_check_extension(KVM_CAP_X86_TRIPLE_FAULT_EVENT)) {
            events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
            events.triple_fault.pending = env->triple_fault_pending;
        }
    }
    return check(kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS",
                 error);
}

static bool get_mp_state(X86Cpu *cpu, GError **error)
{
    struct kvm_mp_state state;
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_MP_STATE, &state);

    if (r >= 0 && kvm_irqchip() != KVM_IRQCHIP_USER) {
        cpu->env.mp_state = state.mp_state;
        cpu->cpu.halted = state.mp_state == KVM_MP_STATE_HALTED;
    }
    return check(r, "KVM_GET_MP_STATE", error);
}

/* Without a local APIC in the kernel a processor that does not run is not given to KVM at all. */
static bool put_mp_state(X86Cpu *cpu, GError **error)
{
    struct kvm_mp_state state = {
        .mp_state = kvm_irqchip() == KVM_IRQCHIP_USER ? X86_MP_RUNNABLE : cpu->env.mp_state,
    };

    return check(kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE", error);
}

/* Whether the guest is a hypervisor at this moment: in VMX operation, in a guest of its own, or between CLGI and STGI. That state is
 * in the kernel and is not read any further. */
static void get_nested(X86Cpu *cpu)
{
    X86State *env = &cpu->env;
    int size = kvm_check_extension(KVM_CAP_NESTED_STATE);
    g_autofree struct kvm_nested_state *state = NULL;
    unsigned busy = KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING;

    env->nested_in_use = false;
    if (size < (int)sizeof(*state)) {
        return;
    }
    state = g_malloc0(size);
    state->size = size;
    if (kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_NESTED_STATE, state) < 0) {
        return;
    }
    if (state->format == KVM_STATE_NESTED_FORMAT_VMX) {
        env->nested_in_use = state->flags & busy || state->hdr.vmx.vmxon_pa != UINT64_MAX;
    } else {
        env->nested_in_use = state->flags & busy || (env->efer & X86_EFER_SVME &&
                                                     !(state->flags & KVM_STATE_NESTED_GIF_SET));
    }
}

/* ---- time stamp counter -------------------------------------------------------------------------------------------------- */

/* A guest that has measured its counter elsewhere is to find the same rate here. */
static void put_tsc_khz(X86Cpu *cpu)
{
    int now = kvm_vcpu_ioctl(&cpu->cpu, KVM_GET_TSC_KHZ, NULL);
    int64_t wanted = cpu->env.tsc_khz;

    if (!wanted || now <= 0 || wanted == now) {
        return;
    }
    if (!kvm_check_extension(KVM_CAP_TSC_CONTROL) ||
        kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_TSC_KHZ, (void *)(uintptr_t)wanted) < 0) {
        warn_report("TSC frequency mismatch between VM (%" PRId64
                    " kHz) and host (%d kHz), and TSC scaling unavailable",
                    wanted, now);
        cpu->env.tsc_khz = now;
    }
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

bool x86_kvm_get(Cpu *c, GError **error)
{
    X86Cpu *cpu = X86_CPU(c);

    if (!get_events(cpu, error) || !get_mp_state(cpu, error) || !get_regs(cpu, error) ||
        !get_sregs(cpu, error) || !x86_kvm_get_xsave(cpu, error) || !get_xcrs(cpu, error) ||
        !get_debug(cpu, error) || !x86_kvm_get_msrs(cpu, error)) {
        return false;
    }
    get_nested(cpu);
    x86_cpu_update_hflags(cpu);
    return true;
}

/* What the communication area says (interrupts can be taken or not) is about the registers before. */
static void refresh_run_area(Cpu *cpu)
{
    if (kvm_irqchip() != KVM_IRQCHIP_KERNEL) {
        kvm_vcpu_run_area(cpu)->immediate_exit = 1;
        kvm_vcpu_ioctl(cpu, KVM_RUN, NULL);
    }
}

/*
 * Order: the mode first, since other registers are checked against it; the local APIC behind the register that has its
 * base; the deadline behind the APIC that holds the timer's mode; events behind everything that could raise one.
 */
bool x86_kvm_put(Cpu *c, CpuPutLevel level, GError **error)
{
    X86Cpu *cpu = X86_CPU(c);
    const X86ApicOps *ops = x86_apic_ops(cpu);

    if (level == CPU_PUT_FULL) {
        put_tsc_khz(cpu);
    }
    if (!put_regs(cpu, error) || !put_sregs(cpu, error) || !put_xcrs(cpu, error) ||
        !x86_kvm_put_xsave(cpu, error) || !x86_kvm_put_msrs(cpu, level, error)) {
        return false;
    }
    if (level >= CPU_PUT_RESET &&
        (!put_mp_state(cpu, error) || (ops && ops->put && !ops->put(cpu->apic, error)))) {
        return false;
    }
    if (!x86_kvm_put_tsc_deadline(cpu, error) || !put_events(cpu, level, error) ||
        !put_debug(cpu, error)) {
        return false;
    }
    refresh_run_area(c);
    return true;
}
