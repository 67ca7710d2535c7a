/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The section "cpu" (version 12). Migration notes:
 *
 * In flight at a switchover are an instruction that made the processor leave (it is completed before the registers are
 * read), an event that was being injected and one that is pending: both travel (interrupt_injected, exception_*, nmi_*).
 * What follows from other registers (hflags but its shadow and mode bits) is made anew on arrival.
 *
 * A subsection goes only if its value is not the one that a processor has after reset, so that a stream for a
 * machine that does not know it stays readable. A load begins with those values, for what does not come.
 *
 * Not here: nested guests (cpu/kvm_nested_state), Intel PT, SGX, architectural LBR and Hyper-V registers. A processor whose
 * guest runs guests of its own (-cpu host may offer that) is not saved; the others are never offered. A stream that has one of
 * these subsections is refused with its name.
 */
#include "util/osdep.h"

#include "util/error.h"
#include "cpu-internal.h"

#define STATE(opaque) (&((const X86Cpu *)(opaque))->env)
#define FPU_TOP_SHIFT 11

/* ---- elements ---------------------------------------------------------------------------------------------- */

static const VmState vmstate_segment = {
    .name = "segment",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U32(X86Segment, selector), VM_U64(X86Segment, base),
                                 VM_U32(X86Segment, limit), VM_U32(X86Segment, flags), VM_END },
};

static const VmState vmstate_mtrr = {
    .name = "mtrr_var",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U64(X86Mtrr, base), VM_U64(X86Mtrr, mask), VM_END },
};

typedef struct FpRegTmp {
    void *parent;
    uint64_t tmp_mant;
    uint16_t tmp_exp;
} FpRegTmp;

static bool fpreg_pre_save(void *opaque, GError **error)
{
    FpRegTmp *tmp = opaque;
    const X86FpReg *reg = tmp->parent;

    tmp->tmp_mant = reg->mantissa;
    tmp->tmp_exp = reg->exponent;
    return true;
}

static bool fpreg_post_load(void *opaque, int version, GError **error)
{
    FpRegTmp *tmp = opaque;
    X86FpReg *reg = tmp->parent;

    *reg = (X86FpReg){ tmp->tmp_mant, tmp->tmp_exp };
    return true;
}

static const VmState vmstate_fpreg_tmp = {
    .name = "fpreg_tmp",
    .pre_save = fpreg_pre_save,
    .post_load = fpreg_post_load,
    .fields = (const VmField[]){ VM_U64(FpRegTmp, tmp_mant), VM_U16(FpRegTmp, tmp_exp), VM_END },
};

static const VmState vmstate_fpreg = {
    .name = "fpreg",
    .fields = (const VmField[]){ VM_WITH_TMP(FpRegTmp, vmstate_fpreg_tmp), VM_END },
};

#define ZMM_WORD(n) VM_NAMED("_q_ZMMReg[" #n "]", u64, uint64_t, X86Zmm, q[n])

static const VmState vmstate_xmm = {
    .name = "xmm_reg",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ ZMM_WORD(0), ZMM_WORD(1), VM_END },
};

static const VmState vmstate_ymmh = {
    .name = "ymmh_reg",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ ZMM_WORD(2), ZMM_WORD(3), VM_END },
};

static const VmState vmstate_zmmh = {
    .name = "zmmh_reg",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ ZMM_WORD(4), ZMM_WORD(5), ZMM_WORD(6), ZMM_WORD(7), VM_END },
};

static const VmState vmstate_hi16_zmm = {
    .name = "hi16_zmm_reg",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ ZMM_WORD(0), ZMM_WORD(1), ZMM_WORD(2), ZMM_WORD(3), ZMM_WORD(4),
                                 ZMM_WORD(5), ZMM_WORD(6), ZMM_WORD(7), VM_END },
};

static const VmState vmstate_bound = {
    .name = "bnd_regs",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ { .name = "lb", .offset = 0, .size = 8, .kind = &vm_kind_u64 },
                                 { .name = "ub", .offset = 8, .size = 8, .kind = &vm_kind_u64 },
                                 VM_END },
};

/* ---- subsections --------------------------------------------------------------------------------------------- */

static bool any_word(const void *data, size_t bytes)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < bytes; i++) {
        if (p[i]) {
            return true;
        }
    }
    return false;
}

/* A subsection of one member that goes unless it has its reset value. */
#define ONE_VALUE(ident, wire, k, ctype, member, reset)                                         \
    static bool ident##_needed(const void *opaque)                                              \
    {                                                                                           \
        return STATE(opaque)->member != (reset);                                                \
    }                                                                                           \
    static const VmState vmstate_##ident = {                                                    \
        .name = "cpu/" wire,                                                                    \
        .version = 1,                                                                           \
        .minimum_version = 1,                                                                   \
        .needed = ident##_needed,                                                               \
        .fields =                                                                               \
            (const VmField[]){ VM_SCALAR_FULL(k, ctype, X86Cpu, env.member, 0, NULL), VM_END }, \
    };

/* Stock loses the error code of an exception that was being delivered; a stream to it with one is refused there. */
ONE_VALUE(error_code, "exception_error_code", u32, uint32_t, error_code, 0)
ONE_VALUE(async_pf, "async_pf_msr", u64, uint64_t, async_pf_en_msr, 0)
ONE_VALUE(async_pf_int, "async_pf_int_msr", u64, uint64_t, async_pf_int_msr, 0)
ONE_VALUE(pv_eoi, "async_pv_eoi_msr", u64, uint64_t, pv_eoi_en_msr, 0)
ONE_VALUE(steal_time, "steal_time_msr", u64, uint64_t, steal_time_msr, 0)
ONE_VALUE(poll_control, "poll_control_msr", u64, uint64_t, poll_control_msr, 1)
ONE_VALUE(tsc_adjust, "msr_tsc_adjust", u64, uint64_t, tsc_adjust, 0)
ONE_VALUE(tsc_deadline, "msr_tscdeadline", u64, uint64_t, tsc_deadline, 0)
ONE_VALUE(misc_enable, "msr_ia32_misc_enable", u64, uint64_t, msr_ia32_misc_enable, 1)
ONE_VALUE(feature_control, "msr_ia32_feature_control", u64, uint64_t, msr_ia32_feature_control, 0)
ONE_VALUE(xss, "xss", u64, uint64_t, xss, 0)
ONE_VALUE(umwait, "umwait", u32, uint32_t, umwait, 0)
ONE_VALUE(pkru, "pkru", u32, uint32_t, pkru, 0)
ONE_VALUE(pkrs, "pkrs", u32, uint32_t, pkrs, 0)
ONE_VALUE(spec_ctrl, "spec_ctrl", u64, uint64_t, spec_ctrl, 0)
ONE_VALUE(virt_ssbd, "virt_ssbd", u64, uint64_t, virt_ssbd, 0)
ONE_VALUE(smi_count, "msr_smi_count", u64, uint64_t, msr_smi_count, 0)
ONE_VALUE(mcg_ext_ctl, "mcg_ext_ctl", u64, uint64_t, mcg_ext_ctl, 0)
ONE_VALUE(tsx_ctrl, "msr_tsx_ctrl", u64, uint64_t, tsx_ctrl, 0)
ONE_VALUE(tsc_scale, "amd_tsc_scale_msr", u64, uint64_t, amd_tsc_scale_msr, 0)

static bool triple_fault_needed(const void *opaque)
{
    return STATE(opaque)->triple_fault_pending;
}

static const VmState vmstate_triple_fault = {
    .name = "cpu/triple_fault",
    .version = 1,
    .minimum_version = 1,
    .needed = triple_fault_needed,
    .fields = (const VmField[]){ VM_NAMED("env.triple_fault_pending", u8, uint8_t, X86Cpu,
                                          env.triple_fault_pending),
                                 VM_END },
};

static bool tsc_khz_needed(const void *opaque)
{
    return STATE(opaque)->tsc_khz != 0;
}

static const VmState vmstate_tsc_khz = {
    .name = "cpu/tsc_khz",
    .version = 1,
    .minimum_version = 1,
    .needed = tsc_khz_needed,
    .fields = (const VmField[]){ VM_I64(X86Cpu, env.tsc_khz), VM_END },
};

static bool fpop_needed(const void *opaque)
{
    const X86State *env = STATE(opaque);

    return env->fpop || env->fpip || env->fpdp;
}

static const VmState vmstate_fpop = {
    .name = "cpu/fpop_ip_dp",
    .version = 1,
    .minimum_version = 1,
    .needed = fpop_needed,
    .fields = (const VmField[]){ VM_U16(X86Cpu, env.fpop), VM_U64(X86Cpu, env.fpip),
                                 VM_U64(X86Cpu, env.fpdp), VM_END },
};

static bool exception_info_needed(const void *opaque)
{
    return STATE(opaque)->exception_pending || STATE(opaque)->exception_has_payload;
}

static const VmState vmstate_exception_info = {
    .name = "cpu/exception_info",
    .version = 1,
    .minimum_version = 1,
    .needed = exception_info_needed,
    .fields = (const VmField[]){ VM_U8(X86Cpu, env.exception_pending),
                                 VM_U8(X86Cpu, env.exception_injected),
                                 VM_U8(X86Cpu, env.exception_has_payload),
                                 VM_U64(X86Cpu, env.exception_payload), VM_END },
};

static bool avx512_needed(const void *opaque)
{
    const X86State *env = STATE(opaque);

    if (any_word(env->opmask_regs, sizeof(env->opmask_regs))) {
        return true;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (any_word(&env->xmm_regs[i].q[4], 32) || any_word(&env->xmm_regs[16 + i], 64)) {
            return true;
        }
    }
    return false;
}

static const VmState vmstate_avx512 = {
    .name = "cpu/avx512",
    .version = 1,
    .minimum_version = 1,
    .needed = avx512_needed,
    .fields = (const VmField[]){ VM_U64_ARRAY(X86Cpu, env.opmask_regs, 8),
                                 VM_NAMED_STRUCT_ARRAY("env.xmm_regs", X86Cpu, env.xmm_regs, 16,
                                                       vmstate_zmmh, X86Zmm),
                                 { .name = "env.xmm_regs",
                                   .offset = offsetof(X86Cpu, env.xmm_regs[16]),
                                   .size = sizeof(X86Zmm),
                                   .num = 16,
                                   .shape = VM_ARRAY,
                                   .vmstate = &vmstate_hi16_zmm },
                                 VM_END },
};

static bool mpx_needed(const void *opaque)
{
    const X86State *env = STATE(opaque);

    return any_word(env->bnd_regs, sizeof(env->bnd_regs)) || env->bndcsr[0] || env->bndcsr[1] ||
           env->msr_bndcfgs;
}

static const VmState vmstate_mpx = {
    .name = "cpu/mpx",
    .version = 1,
    .minimum_version = 1,
    .needed = mpx_needed,
    .fields =
        (const VmField[]){ { .name = "env.bnd_regs",
                             .offset = offsetof(X86Cpu, env.bnd_regs),
                             .size = 16,
                             .num = 4,
                             .shape = VM_ARRAY,
                             .vmstate = &vmstate_bound },
                           VM_NAMED("env.bndcs_regs.cfgu", u64, uint64_t, X86Cpu, env.bndcsr[0]),
                           VM_NAMED("env.bndcs_regs.sts", u64, uint64_t, X86Cpu, env.bndcsr[1]),
                           VM_U64(X86Cpu, env.msr_bndcfgs),
                           VM_END },
};

static bool xfd_needed(const void *opaque)
{
    return STATE(opaque)->msr_xfd || STATE(opaque)->msr_xfd_err;
}

static const VmState vmstate_xfd = {
    .name = "cpu/msr_xfd",
    .version = 1,
    .minimum_version = 1,
    .needed = xfd_needed,
    .fields =
        (const VmField[]){ VM_U64(X86Cpu, env.msr_xfd), VM_U64(X86Cpu, env.msr_xfd_err), VM_END },
};

static bool amx_needed(const void *opaque)
{
    const X86State *env = STATE(opaque);

    return any_word(env->xtilecfg, sizeof(env->xtilecfg)) ||
           any_word(env->xtiledata, sizeof(env->xtiledata));
}

static const VmState vmstate_amx = {
    .name = "cpu/intel_amx_xtile",
    .version = 1,
    .minimum_version = 1,
    .needed = amx_needed,
    .fields = (const VmField[]){ VM_BYTES(X86Cpu, env.xtilecfg), VM_BYTES(X86Cpu, env.xtiledata),
                                 VM_END },
};

static bool pmu_needed(const void *opaque)
{
    const X86State *env = STATE(opaque);

    return env->msr_fixed_ctr_ctrl || env->msr_global_ctrl || env->msr_global_status ||
           env->msr_global_ovf_ctrl ||
           any_word(env->msr_fixed_counters, sizeof(env->msr_fixed_counters)) ||
           any_word(env->msr_gp_counters, sizeof(env->msr_gp_counters)) ||
           any_word(env->msr_gp_evtsel, sizeof(env->msr_gp_evtsel));
}

static const VmState vmstate_pmu = {
    .name = "cpu/msr_architectural_pmu",
    .version = 1,
    .minimum_version = 1,
    .needed = pmu_needed,
    .fields = (const VmField[]){ VM_U64(X86Cpu, env.msr_fixed_ctr_ctrl),
                                 VM_U64(X86Cpu, env.msr_global_ctrl),
                                 VM_U64(X86Cpu, env.msr_global_status),
                                 VM_U64(X86Cpu, env.msr_global_ovf_ctrl),
                                 VM_U64_ARRAY(X86Cpu, env.msr_fixed_counters, X86_FIXED_COUNTERS),
                                 VM_U64_ARRAY(X86Cpu, env.msr_gp_counters, X86_GP_COUNTERS),
                                 VM_U64_ARRAY(X86Cpu, env.msr_gp_evtsel, X86_GP_COUNTERS), VM_END },
};

static bool pdptrs_needed(const void *opaque)
{
    return STATE(opaque)->pdptrs_valid;
}

static bool pdptrs_post_load(void *opaque, int version, GError **error)
{
    ((X86Cpu *)opaque)->env.pdptrs_valid = true;
    return true;
}

static const VmState vmstate_pdptrs = {
    .name = "cpu/pdptrs",
    .version = 1,
    .minimum_version = 1,
    .needed = pdptrs_needed,
    .post_load = pdptrs_post_load,
    .fields = (const VmField[]){ VM_U64_ARRAY(X86Cpu, env.pdptrs, 4), VM_END },
};

/* ---- the section ----------------------------------------------------------------------------------------------- */

static bool x86_pre_save(void *opaque, GError **error)
{
    X86Cpu *cpu = opaque;
    X86State *env = &cpu->env;

    cpu_sync(&cpu->cpu);
    if (cpu->cpu.failed && !cpu->cpu.in_struct) {
        return error_set(error, "the registers of CPU %d cannot be read", cpu->cpu.index);
    }
    if (env->nested_in_use) {
        return error_set(error, "CPU %d runs guests of its own (nested virtualization), and their state cannot be moved",
                         cpu->cpu.index);
    }
    env->fpus_vmstate = env->fpus;
    env->fptag_vmstate = (uint8_t)~env->fptags;
    env->fpregs_format_vmstate = 0;
    return true;
}

/* What a subsection that does not come stands for. */
static bool x86_pre_load(void *opaque, GError **error)
{
    X86State *env = &((X86Cpu *)opaque)->env;

    env->async_pf_en_msr = env->async_pf_int_msr = env->pv_eoi_en_msr = env->steal_time_msr = 0;
    env->poll_control_msr = 1;
    env->tsc_adjust = env->tsc_deadline = 0;
    env->msr_ia32_misc_enable = 1;
    env->msr_ia32_feature_control = env->xss = env->spec_ctrl = env->virt_ssbd =
        env->msr_smi_count = 0;
    env->mcg_ext_ctl = env->tsx_ctrl = env->amd_tsc_scale_msr = env->msr_xfd = env->msr_xfd_err = 0;
    env->umwait = env->pkru = env->pkrs = 0;
    env->triple_fault_pending = false;
    env->tsc_khz = 0;
    env->fpop = 0;
    env->fpip = env->fpdp = 0;
    env->exception_pending = env->exception_injected = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->error_code = 0;
    memset(env->opmask_regs, 0, sizeof(env->opmask_regs));
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    memset(env->bnd_regs, 0, sizeof(env->bnd_regs));
    memset(env->bndcsr, 0, sizeof(env->bndcsr));
    env->msr_bndcfgs = 0;
    memset(env->xtilecfg, 0, sizeof(env->xtilecfg));
    memset(env->xtiledata, 0, sizeof(env->xtiledata));
    env->msr_fixed_ctr_ctrl = env->msr_global_ctrl = env->msr_global_status =
        env->msr_global_ovf_ctrl = 0;
    memset(env->msr_fixed_counters, 0, sizeof(env->msr_fixed_counters));
    memset(env->msr_gp_counters, 0, sizeof(env->msr_gp_counters));
    memset(env->msr_gp_evtsel, 0, sizeof(env->msr_gp_evtsel));
    env->pdptrs_valid = false;
    cpu_mark_changed(opaque, CPU_PUT_FULL);
    return true;
}

static bool x86_post_load(void *opaque, int version, GError **error)
{
    X86Cpu *cpu = opaque;
    X86State *env = &cpu->env;

    if (env->fpregs_format_vmstate) {
        return error_set(error, "x87 registers in format %u are not known",
                         env->fpregs_format_vmstate);
    }
    env->fpus = env->fpus_vmstate;
    env->fptags = ~env->fptag_vmstate;
    env->tsc_valid = true;
    /* Without the subsection an exception was injected, if any. */
    if (!env->exception_pending && !env->exception_has_payload) {
        env->exception_injected = env->exception_nr >= 0;
    }
    x86_cpu_update_hflags(cpu);
    return cpu_put_now(&cpu->cpu, error);
}

static bool mp_state_valid(const void *opaque, int64_t value)
{
    return value <= X86_MP_SIPI_RECEIVED;
}

static bool vector_valid(const void *opaque, int64_t value)
{
    return value >= -1 && value <= 255;
}

static bool exception_valid(const void *opaque, int64_t value)
{
    return value >= -1 && value <= 31;
}

#define CHECKED(k, ctype, member, check)                                     \
    {                                                                        \
        .name = #member, .offset = VM_CHECKED_OFFSET(X86Cpu, member, ctype), \
        .size = sizeof(ctype), .kind = &vm_kind_##k, .valid = (check)        \
    }
#define SEGMENT(member) VM_STRUCT(X86Cpu, member, vmstate_segment, X86Segment)

static const VmField x86_fields[] = {
    VM_U64_ARRAY(X86Cpu, env.regs, X86_GPRS),
    VM_U64(X86Cpu, env.eip),
    VM_U64(X86Cpu, env.eflags),
    VM_U32(X86Cpu, env.hflags),
    VM_U16(X86Cpu, env.fpuc),
    VM_U16(X86Cpu, env.fpus_vmstate),
    VM_U16(X86Cpu, env.fptag_vmstate),
    VM_U16(X86Cpu, env.fpregs_format_vmstate),
    VM_STRUCT_ARRAY(X86Cpu, env.fpregs, 8, vmstate_fpreg, X86FpReg),
    VM_STRUCT_ARRAY(X86Cpu, env.segs, X86_SEGS, vmstate_segment, X86Segment),
    SEGMENT(env.ldt),
    SEGMENT(env.tr),
    SEGMENT(env.gdt),
    SEGMENT(env.idt),
    VM_U32(X86Cpu, env.sysenter_cs),
    VM_U64(X86Cpu, env.sysenter_esp),
    VM_U64(X86Cpu, env.sysenter_eip),
    VM_U64(X86Cpu, env.cr[0]),
    VM_U64(X86Cpu, env.cr[2]),
    VM_U64(X86Cpu, env.cr[3]),
    VM_U64(X86Cpu, env.cr[4]),
    VM_U64_ARRAY(X86Cpu, env.dr, 8),
    VM_I32(X86Cpu, env.a20_mask),
    VM_U32(X86Cpu, env.mxcsr),
    VM_NAMED_STRUCT_ARRAY("env.xmm_regs[0]", X86Cpu, env.xmm_regs, 16, vmstate_xmm, X86Zmm),
    VM_U64(X86Cpu, env.efer),
    VM_U64(X86Cpu, env.star),
    VM_U64(X86Cpu, env.lstar),
    VM_U64(X86Cpu, env.cstar),
    VM_U64(X86Cpu, env.fmask),
    VM_U64(X86Cpu, env.kernelgsbase),
    VM_U32_V(X86Cpu, env.smbase, 4),
    VM_U64_V(X86Cpu, env.pat, 5),
    VM_U32_V(X86Cpu, env.hflags2, 5),
    VM_U64_V(X86Cpu, env.vm_hsave, 5),
    VM_U64_V(X86Cpu, env.vm_vmcb, 5),
    VM_U64_V(X86Cpu, env.tsc_offset, 5),
    VM_U64_V(X86Cpu, env.intercept, 5),
    VM_U16_V(X86Cpu, env.intercept_cr_read, 5),
    VM_U16_V(X86Cpu, env.intercept_cr_write, 5),
    VM_U16_V(X86Cpu, env.intercept_dr_read, 5),
    VM_U16_V(X86Cpu, env.intercept_dr_write, 5),
    VM_U32_V(X86Cpu, env.intercept_exceptions, 5),
    VM_U8_V(X86Cpu, env.v_tpr, 5),
    VM_U64_ARRAY(X86Cpu, env.mtrr_fixed, X86_MTRR_FIXED),
    VM_U64(X86Cpu, env.mtrr_deftype),
    VM_STRUCT_ARRAY(X86Cpu, env.mtrr_var, X86_MTRR_VARIABLE, vmstate_mtrr, X86Mtrr),
    CHECKED(i32, int32_t, env.interrupt_injected, vector_valid),
    CHECKED(u32, uint32_t, env.mp_state, mp_state_valid),
    VM_U64(X86Cpu, env.tsc),
    CHECKED(i32, int32_t, env.exception_nr, exception_valid),
    VM_U8(X86Cpu, env.soft_interrupt),
    VM_U8(X86Cpu, env.nmi_injected),
    VM_U8(X86Cpu, env.nmi_pending),
    VM_U8(X86Cpu, env.has_error_code),
    VM_U32(X86Cpu, env.sipi_vector),
    VM_U64(X86Cpu, env.mcg_cap),
    VM_U64(X86Cpu, env.mcg_status),
    VM_U64(X86Cpu, env.mcg_ctl),
    VM_U64_ARRAY(X86Cpu, env.mce_banks, X86_MCE_BANKS * 4),
    VM_U64(X86Cpu, env.tsc_aux),
    VM_U64(X86Cpu, env.system_time_msr),
    VM_U64(X86Cpu, env.wall_clock_msr),
    VM_U64(X86Cpu, env.xcr0),
    VM_U64(X86Cpu, env.xstate_bv),
    VM_NAMED_STRUCT_ARRAY("env.xmm_regs[1]", X86Cpu, env.xmm_regs, 16, vmstate_ymmh, X86Zmm),
    VM_END
};

/* Streams name them, so their order is free. */
static const VmState *const x86_subsections[] = { &vmstate_exception_info,
                                                  &vmstate_error_code,
                                                  &vmstate_async_pf,
                                                  &vmstate_async_pf_int,
                                                  &vmstate_pv_eoi,
                                                  &vmstate_steal_time,
                                                  &vmstate_poll_control,
                                                  &vmstate_fpop,
                                                  &vmstate_tsc_adjust,
                                                  &vmstate_tsc_deadline,
                                                  &vmstate_misc_enable,
                                                  &vmstate_feature_control,
                                                  &vmstate_pmu,
                                                  &vmstate_mpx,
                                                  &vmstate_avx512,
                                                  &vmstate_xss,
                                                  &vmstate_umwait,
                                                  &vmstate_tsc_khz,
                                                  &vmstate_smi_count,
                                                  &vmstate_pkru,
                                                  &vmstate_pkrs,
                                                  &vmstate_spec_ctrl,
                                                  &vmstate_tsc_scale,
                                                  &vmstate_mcg_ext_ctl,
                                                  &vmstate_virt_ssbd,
                                                  &vmstate_tsx_ctrl,
                                                  &vmstate_xfd,
                                                  &vmstate_amx,
                                                  &vmstate_pdptrs,
                                                  &vmstate_triple_fault,
                                                  NULL };

const VmState vmstate_x86_cpu = {
    .name = "cpu",
    .version = 12,
    .minimum_version = 11,
    .fields = x86_fields,
    .subsections = x86_subsections,
    .pre_save = x86_pre_save,
    .pre_load = x86_pre_load,
    .post_load = x86_post_load,
};
