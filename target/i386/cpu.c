/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x86 processor as a device: reset values (Intel SDM vol. 3 table 9-1 and, where firmware sees stock's, those), its
 * life, interrupts and machine checks as far as they do not depend on who runs it.
 */
#include "util/osdep.h"

#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "target/i386/cpuid.h"
#include "util/clock.h"
#include "util/error.h"
#include "cpu-internal.h"
#include "model-internal.h"

#define PAT_RESET UINT64_C(0x0007040600070406)
#define SMBASE_RESET 0x30000
#define MXCSR_RESET 0x1f80
#define FPU_CONTROL_RESET 0x37f
#define DR6_RESET UINT64_C(0xffff0ff0)
#define DR7_RESET UINT64_C(0x400)
#define XCR0_X87 1
#define MISC_ENABLE_FAST_STRINGS 1
#define MCG_CAP_RESET UINT64_C(0x0100010a) /* ten banks, MCG_CTL, recovery (SDM vol. 3 15.3.1.1) */
#define HF2_RESET 0x101
#define XSTATE_X87_SSE 3

static const char *apic_type_name = "apic";
static int (*pic_acknowledge)(void);
static bool pic_line;

/* ---- modes ----------------------------------------------------------------------------------------------- */

static uint32_t hflags_of_code(const X86State *env)
{
    uint32_t hflags = 0;

    if ((env->efer & X86_EFER_LMA) && (env->segs[X86_CS].flags & X86_DESC_L)) {
        return X86_HF_CS32 | X86_HF_SS32 | X86_HF_CS64;
    }
    if (env->segs[X86_CS].flags & X86_DESC_B) {
        hflags |= X86_HF_CS32;
    }
    if (env->segs[X86_SS].flags & X86_DESC_B) {
        hflags |= X86_HF_SS32;
    }
    if (!(env->cr[0] & X86_CR0_PE) || (env->eflags & X86_EFLAGS_VM) || !(hflags & X86_HF_CS32) ||
        env->segs[X86_DS].base || env->segs[X86_ES].base || env->segs[X86_SS].base) {
        hflags |= X86_HF_ADDSEG;
    }
    return hflags;
}

void x86_cpu_update_hflags(X86Cpu *cpu)
{
    X86State *env = &cpu->env;
    const uint32_t kept = X86_HF_INHIBIT_IRQ | X86_HF_SMM | X86_HF_GUEST;
    uint32_t hflags = env->hflags & kept;

    hflags |= env->segs[X86_SS].flags >> X86_DESC_DPL_SHIFT & X86_HF_CPL_MASK;
    hflags |= env->cr[0] & X86_CR0_PE ? X86_HF_PE : 0;
    hflags |= env->cr[0] & X86_CR0_MP ? X86_HF_MP : 0;
    hflags |= env->cr[0] & X86_CR0_EM ? X86_HF_EM : 0;
    hflags |= env->cr[0] & X86_CR0_TS ? X86_HF_TS : 0;
    hflags |= env->cr[4] & X86_CR4_OSFXSR ? X86_HF_OSFXSR : 0;
    hflags |= env->efer & X86_EFER_LMA ? X86_HF_LMA : 0;
    hflags |= env->efer & X86_EFER_SVME ? X86_HF_SVME : 0;
    hflags |= env->eflags & (X86_EFLAGS_VM | X86_EFLAGS_TF | 3 << X86_EFLAGS_IOPL_SHIFT);
    env->hflags = hflags | hflags_of_code(env);
}

/* ---- reset ------------------------------------------------------------------------------------------------- */

void x86_cpu_load_real_segment(X86Cpu *cpu, unsigned seg, uint16_t selector)
{
    uint32_t type =
        seg == X86_CS ? X86_DESC_CODE | X86_DESC_W | X86_DESC_A : X86_DESC_W | X86_DESC_A;

    cpu->env.segs[seg] =
        (X86Segment){ selector, (uint64_t)selector << 4, 0xffff, X86_DESC_P | X86_DESC_S | type };
}

static void reset_segments(X86Cpu *cpu)
{
    X86State *env = &cpu->env;

    for (unsigned seg = 0; seg < X86_SEGS; seg++) {
        x86_cpu_load_real_segment(cpu, seg, 0);
    }
    x86_cpu_load_real_segment(cpu, X86_CS, 0xf000);
    env->segs[X86_CS].base = 0xffff0000;
    env->ldt = (X86Segment){ .limit = 0xffff, .flags = X86_DESC_P | 2 << X86_DESC_TYPE_SHIFT };
    env->tr = (X86Segment){ .limit = 0xffff, .flags = X86_DESC_P | 11 << X86_DESC_TYPE_SHIFT };
    env->gdt = env->idt = (X86Segment){ .limit = 0xffff };
}

/* What INIT resets (SDM vol. 3 table 9-1, third column). */
static void reset_core(X86Cpu *cpu)
{
    X86State *env = &cpu->env;
    uint32_t version[4];

    reset_segments(cpu);
    memset(env->regs, 0, sizeof(env->regs));
    x86_cpu_cpuid(cpu, 1, 0, version);
    env->regs[X86_RDX] = version[0];
    env->eip = 0xfff0;
    env->eflags = X86_EFLAGS_FIXED;
    memset(env->cr, 0, sizeof(env->cr));
    env->cr[0] = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
    memset(env->dr, 0, sizeof(env->dr));
    env->dr[4] = env->dr[6] = DR6_RESET;
    env->dr[5] = env->dr[7] = DR7_RESET;
    env->efer = 0;
    env->pdptrs_valid = false;
    env->hflags = 0;
    env->hflags2 = HF2_RESET;
    env->interrupt_injected = -1;
    env->exception_nr = -1;
    env->exception_pending = env->exception_injected = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->soft_interrupt = env->nmi_injected = env->nmi_pending = env->has_error_code = 0;
    env->error_code = 0;
    env->sipi_vector = 0;
    env->triple_fault_pending = false;
    env->mp_state = cpu->is_bsp ? X86_MP_RUNNABLE : X86_MP_UNINITIALIZED;
    x86_cpu_update_hflags(cpu);
}

static void reset_vectors(X86State *env)
{
    env->fpuc = FPU_CONTROL_RESET;
    env->fpus = env->fpop = 0;
    env->fpip = env->fpdp = 0;
    env->fptags = 0xff;
    memset(env->fpregs, 0, sizeof(env->fpregs));
    env->mxcsr = MXCSR_RESET;
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    memset(env->opmask_regs, 0, sizeof(env->opmask_regs));
    memset(env->bnd_regs, 0, sizeof(env->bnd_regs));
    memset(env->bndcsr, 0, sizeof(env->bndcsr));
    memset(env->xtilecfg, 0, sizeof(env->xtilecfg));
    memset(env->xtiledata, 0, sizeof(env->xtiledata));
    env->pkru = env->pkrs = 0;
    env->xcr0 = XCR0_X87;
    env->xstate_bv = XSTATE_X87_SSE;
}

static void reset_msrs(X86State *env)
{
    env->smbase = SMBASE_RESET;
    env->a20_mask = -1;
    env->sysenter_cs = 0;
    env->sysenter_esp = env->sysenter_eip = 0;
    env->star = env->lstar = env->cstar = env->fmask = env->kernelgsbase = 0;
    env->pat = PAT_RESET;
    env->tsc = env->tsc_adjust = env->tsc_deadline = env->tsc_aux = 0;
    env->tsc_valid = true;
    memset(env->mtrr_fixed, 0, sizeof(env->mtrr_fixed));
    memset(env->mtrr_var, 0, sizeof(env->mtrr_var));
    env->mtrr_deftype = 0;
    env->system_time_msr = env->wall_clock_msr = env->async_pf_en_msr = env->async_pf_int_msr = 0;
    env->pv_eoi_en_msr = env->steal_time_msr = 0;
    env->poll_control_msr = 1;
    env->msr_ia32_misc_enable = MISC_ENABLE_FAST_STRINGS;
    env->msr_ia32_feature_control = env->msr_smi_count = env->msr_bndcfgs = 0;
    env->xss = env->spec_ctrl = env->virt_ssbd = env->tsx_ctrl = env->msr_xfd = env->msr_xfd_err =
        0;
    env->amd_tsc_scale_msr = 0;
    env->umwait = 0;
    env->msr_fixed_ctr_ctrl = env->msr_global_ctrl = env->msr_global_status =
        env->msr_global_ovf_ctrl = 0;
    memset(env->msr_fixed_counters, 0, sizeof(env->msr_fixed_counters));
    memset(env->msr_gp_counters, 0, sizeof(env->msr_gp_counters));
    memset(env->msr_gp_evtsel, 0, sizeof(env->msr_gp_evtsel));
    env->vm_hsave = env->vm_vmcb = env->tsc_offset = env->intercept = 0;
    env->intercept_cr_read = env->intercept_cr_write = env->intercept_dr_read =
        env->intercept_dr_write = 0;
    env->intercept_exceptions = 0;
    env->v_tpr = 0;
}

static void reset_machine_checks(X86State *env)
{
    env->mcg_cap = MCG_CAP_RESET;
    env->mcg_ctl = UINT64_MAX;
    env->mcg_status = env->mcg_ext_ctl = 0;
    memset(env->mce_banks, 0, sizeof(env->mce_banks));
    for (unsigned bank = 0; bank < X86_MCE_BANKS; bank++) {
        env->mce_banks[4 * bank] = UINT64_MAX;
    }
}

static void reset_state(X86Cpu *cpu)
{
    reset_vectors(&cpu->env);
    reset_msrs(&cpu->env);
    reset_machine_checks(&cpu->env);
    reset_core(cpu);
    cpu->cpu.halted = !cpu->is_bsp && !(cpu_accel_ops() && cpu_accel_ops()->halts_inside);
}

static void x86_cpu_reset(Device *dev)
{
    X86Cpu *cpu = X86_CPU(dev);

    cpu_reset_common(&cpu->cpu);
    reset_state(cpu);
    if (cpu->apic) {
        device_reset(cpu->apic);
    }
}

/* Processors are on no bus that a reset walks. */
static void x86_cpu_machine_reset(void *opaque)
{
    x86_cpu_reset(opaque);
}

void x86_cpu_init_reset(X86Cpu *cpu)
{
    cpu_sync(&cpu->cpu);
    reset_core(cpu);
    cpu->cpu.halted = !cpu->is_bsp;
    cpu_mark_changed(&cpu->cpu, CPU_PUT_RESET);
}

void x86_cpu_set_bsp(X86Cpu *cpu, bool bsp)
{
    cpu->is_bsp = bsp;
}

/* ---- interrupts -------------------------------------------------------------------------------------------- */

void x86_cpu_set_apic_type(const char *name)
{
    apic_type_name = name;
}

void x86_set_pic_acknowledge(int (*acknowledge)(void))
{
    pic_acknowledge = acknowledge;
}

X86Cpu *x86_cpu_by_apic_id(uint32_t apic_id)
{
    CPU_FOREACH(cpu)
    {
        if (X86_CPU(cpu)->apic_id == apic_id) {
            return X86_CPU(cpu);
        }
    }
    return NULL;
}

/* The 8259 pair reaches the processors whose LINT0 lets it; where the kernel knows that, the boot processor asks it. */
static bool pic_wants(const X86Cpu *cpu)
{
    const X86ApicOps *ops = x86_apic_ops(cpu);

    return pic_line && (ops && ops->accepts_pic ? ops->accepts_pic(cpu->apic) : cpu->is_bsp);
}

int x86_cpu_acknowledge_interrupt(X86Cpu *cpu)
{
    const X86ApicOps *ops = x86_apic_ops(cpu);
    int vector = ops && ops->acknowledge ? ops->acknowledge(cpu->apic) : -1;

    if (vector < 0 && pic_wants(cpu) && pic_acknowledge) {
        vector = pic_acknowledge();
    }
    x86_cpu_update_interrupts(cpu);
    return vector;
}

void x86_cpu_update_interrupts(X86Cpu *cpu)
{
    const X86ApicOps *ops = x86_apic_ops(cpu);

    if ((ops && ops->pending && ops->pending(cpu->apic)) || pic_wants(cpu)) {
        cpu_interrupt(&cpu->cpu, CPU_INTERRUPT_HARD);
    } else {
        cpu_clear_interrupt(&cpu->cpu, CPU_INTERRUPT_HARD);
    }
}

void x86_set_pic_line(bool level)
{
    pic_line = level;
    CPU_FOREACH(cpu)
    {
        x86_cpu_update_interrupts(X86_CPU(cpu));
    }
}

static bool x86_cpu_has_work(const Cpu *cpu)
{
    uint32_t request = cpu_interrupts(cpu);

    if (request & (CPU_INTERRUPT_NMI | CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI | CPU_INTERRUPT_MCE |
                   CPU_INTERRUPT_POLL)) {
        return true;
    }
    return (request & CPU_INTERRUPT_HARD) && (X86_CPU(cpu)->env.eflags & X86_EFLAGS_IF);
}

/* SDM vol. 3 8.4.3: INIT, then a startup message with the page to begin at. */
static void x86_cpu_process_events(Cpu *cpu)
{
    X86Cpu *x86 = X86_CPU(cpu);
    const X86ApicOps *ops = x86_apic_ops(x86);
    uint32_t request = cpu_interrupts(cpu);

    if ((request & CPU_INTERRUPT_POLL) && ops && ops->poll) {
        cpu_clear_interrupt(cpu, CPU_INTERRUPT_POLL);
        ops->poll(x86->apic);
    }
    if ((request & CPU_INTERRUPT_INIT) && ops && ops->init_reset) {
        cpu_clear_interrupt(cpu, CPU_INTERRUPT_INIT | CPU_INTERRUPT_HARD | CPU_INTERRUPT_NMI);
        ops->init_reset(x86->apic);
        x86_cpu_init_reset(x86);
    }
    if ((request & CPU_INTERRUPT_SIPI) && ops && ops->startup) {
        cpu_clear_interrupt(cpu, CPU_INTERRUPT_SIPI);
        ops->startup(x86->apic);
    }
}

void x86_cpu_startup(X86Cpu *cpu, uint8_t vector)
{
    cpu_sync(&cpu->cpu);
    x86_cpu_load_real_segment(cpu, X86_CS, vector << 8);
    cpu->env.eip = 0;
    cpu->env.mp_state = X86_MP_RUNNABLE;
    cpu->cpu.halted = 0;
    cpu_mark_changed(&cpu->cpu, CPU_PUT_RESET);
}

/* ---- machine checks ---------------------------------------------------------------------------------------- */

#define MCG_CTL_P (UINT64_C(1) << 8)
#define MCG_STATUS_MCIP (UINT64_C(1) << 2)
#define MCI_STATUS_VAL (UINT64_C(1) << 63)
#define MCI_STATUS_OVER (UINT64_C(1) << 62)
#define MCI_STATUS_UC (UINT64_C(1) << 61)

typedef struct Injection {
    unsigned bank, flags;
    uint64_t status, mcg_status, addr, misc;
    bool ok;
    GError **error;
} Injection;

static bool (*mce_injector)(X86Cpu *, unsigned, uint64_t, uint64_t, uint64_t, uint64_t, GError **);

void x86_cpu_set_mce_injector(bool (*inject)(X86Cpu *, unsigned, uint64_t, uint64_t, uint64_t,
                                             uint64_t, GError **))
{
    mce_injector = inject;
}

static void inject_here(Cpu *cpu, void *opaque)
{
    Injection *i = opaque;

    i->ok =
        mce_injector(X86_CPU(cpu), i->bank, i->status, i->mcg_status, i->addr, i->misc, i->error);
}

bool x86_cpu_inject_mce(X86Cpu *cpu, unsigned bank, uint64_t status, uint64_t mcg_status,
                        uint64_t addr, uint64_t misc, unsigned flags, GError **error)
{
    Injection i = { bank, flags, status, mcg_status, addr, misc, .error = error };
    const uint64_t mcg_cap = cpu->env.mcg_cap;

    if (bank >= (mcg_cap & 0xff)) {
        return error_set(error, "Invalid MCE bank number: CPU %d has %" PRIu64, cpu->cpu.index,
                         mcg_cap & 0xff);
    }
    if (!(status & MCI_STATUS_VAL)) {
        return error_set(error, "Invalid MCE status code");
    }
    if ((status & MCI_STATUS_UC) && !(mcg_status & MCG_STATUS_MCIP)) {
        return error_set(error, "an uncorrected error needs MCIP (bit 2) in mcg_status");
    }
    if (!mce_injector) {
        return error_set(error,
                         "machine checks need an accelerator that runs CPUs and can deliver them");
    }
    cpu_run_on(&cpu->cpu, inject_here, &i);
    if (i.ok && (flags & X86_MCE_BROADCAST)) {
        CPU_FOREACH(other)
        {
            /* The others learn that a check is going on, in a bank that says nothing more. */
            Injection b = { 1, 0, MCI_STATUS_VAL | MCI_STATUS_UC, MCG_STATUS_MCIP | 1,
                            .error = error };

            if (other != &cpu->cpu) {
                cpu_run_on(other, inject_here, &b);
                i.ok &= b.ok;
            }
        }
    }
    return i.ok;
}

/* ---- life cycle ---------------------------------------------------------------------------------------------- */

static bool x86_make_apic(X86Cpu *cpu, GError **error)
{
    const DeviceType *type = device_type_by_name(apic_type_name);

    if (!type) {
        return true; /* programs without interrupt controllers */
    }
    cpu->apic = device_new(type);
    object_set_int(&cpu->apic->object, "id", cpu->apic_id);
    device_set_tree_place(cpu->apic, &cpu->cpu.device.object, "lapic");
    if (!device_realize(cpu->apic, NULL, error)) {
        object_unref(g_steal_pointer(&cpu->apic));
        return false;
    }
    return true;
}

static const X86BoardOps *board_ops;

void x86_set_board_ops(const X86BoardOps *ops)
{
    board_ops = ops;
}

static void x86_cpu_topology(const Cpu *cpu, CpuTopology *topology)
{
    const X86Model *model = &X86_CPU(cpu)->model;

    topology->socket_id = model->socket_id;
    topology->die_id = model->dies > 1 ? model->die_id : -1;
    topology->core_id = model->core_id;
    topology->thread_id = model->thread_id;
}

static bool x86_cpu_unplug_request(Device *dev, GError **error)
{
    if (!board_ops) {
        return error_set(error, "Device '%s' does not support hotplugging", dev->object.type->name);
    }
    return board_ops->unplug_request(X86_CPU(dev), error);
}

static void x86_cpu_plugged(Device *dev)
{
    cpu_kick(&X86_CPU(dev)->cpu); /* it may run from now on */
    if (board_ops) {
        board_ops->plugged(X86_CPU(dev));
    }
}

static bool x86_cpu_realize(Device *dev, GError **error)
{
    X86Cpu *cpu = X86_CPU(dev);

    if ((board_ops && !board_ops->place(cpu, error)) || !x86_model_realize(cpu, error)) {
        return false;
    }
    if (cpu->apic_id == UINT32_MAX) {
        cpu->apic_id = 0;
        while (x86_cpu_by_apic_id(cpu->apic_id)) {
            cpu->apic_id++;
        }
    }
    if (x86_cpu_by_apic_id(cpu->apic_id)) {
        return error_set(error, "CPU with APIC ID %u exists", cpu->apic_id);
    }
    cpu->is_bsp = !cpu_first();
    reset_state(cpu);
    if (!cpu_realize(&cpu->cpu, error)) {
        return false;
    }
    device_register_state(dev, cpu->cpu.index);
    if (!x86_make_apic(cpu, error)) {
        cpu_unrealize(&cpu->cpu);
        return false;
    }
    reset_add_handler(x86_cpu_machine_reset, dev);
    return true;
}

static void x86_cpu_unrealize(Device *dev)
{
    X86Cpu *cpu = X86_CPU(dev);

    reset_del_handler(x86_cpu_machine_reset, dev);
    if (cpu->apic) {
        device_unrealize(g_steal_pointer(&cpu->apic));
    }
    cpu_unrealize(&cpu->cpu);
}

static void x86_cpu_nmi(Cpu *cpu)
{
    const X86ApicOps *ops = x86_apic_ops(X86_CPU(cpu));

    if (ops && ops->external_nmi) {
        ops->external_nmi(X86_CPU(cpu)->apic);
    } else {
        cpu_interrupt(cpu, CPU_INTERRUPT_NMI);
    }
}

static const CpuTargetOps x86_target_ops = {
    .topology = x86_cpu_topology,
    .has_work = x86_cpu_has_work,
    .process_events = x86_cpu_process_events,
    .nmi = x86_cpu_nmi,
    .translate = x86_cpu_translate,
    .program_counter = x86_cpu_program_counter,
    .dump_registers = x86_cpu_dump_registers,
};

const DeviceType x86_cpu_type = {
    .object = {
        .name = "x86_64-cpu",
        .parent = &cpu_type.object,
        .size = sizeof(X86Cpu),
        .abstract = true,
        .properties = x86_cpu_properties,
    },
    .realize = x86_cpu_realize,
    .unrealize = x86_cpu_unrealize,
    .plugged = x86_cpu_plugged,
    .unplug_request = x86_cpu_unplug_request,
    .reset = x86_cpu_reset,
    .migration = MIGRATES_WITH(vmstate_x86_cpu),
    .compat = x86_cpu_compat,
    .ops = &x86_target_ops,
};
DEVICE_REGISTER(x86_cpu_type)
