/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An x86 processor: its registers as a stream has them, and the interfaces between it, its local APIC, its model and
 * whoever runs it. Registers are valid after cpu_sync(); whoever changes them calls cpu_mark_changed().
 * Names and bits are those of the Intel SDM and the AMD APM. Big lock.
 */
#ifndef TARGET_I386_CPU_H
#define TARGET_I386_CPU_H

#include "hw/core/cpu.h"
#include "target/i386/model.h"

enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI, X86_GPRS = 16 };
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGS };

#define X86_CR0_PE (UINT64_C(1) << 0)
#define X86_CR0_MP (UINT64_C(1) << 1)
#define X86_CR0_EM (UINT64_C(1) << 2)
#define X86_CR0_TS (UINT64_C(1) << 3)
#define X86_CR0_ET (UINT64_C(1) << 4)
#define X86_CR0_NW (UINT64_C(1) << 29)
#define X86_CR0_CD (UINT64_C(1) << 30)
#define X86_CR0_PG (UINT64_C(1) << 31)
#define X86_CR4_PSE (UINT64_C(1) << 4)
#define X86_CR4_PAE (UINT64_C(1) << 5)
#define X86_CR4_OSFXSR (UINT64_C(1) << 9)
#define X86_CR4_LA57 (UINT64_C(1) << 12)
#define X86_EFER_LME (UINT64_C(1) << 8)
#define X86_EFER_LMA (UINT64_C(1) << 10)
#define X86_EFER_SVME (UINT64_C(1) << 12)
#define X86_EFLAGS_FIXED (UINT64_C(1) << 1)
#define X86_EFLAGS_TF (UINT64_C(1) << 8)
#define X86_EFLAGS_IF (UINT64_C(1) << 9)
#define X86_EFLAGS_IOPL_SHIFT 12
#define X86_EFLAGS_VM (UINT64_C(1) << 17)

/* The second word of a segment descriptor, which is how streams keep attributes. */
enum {
    X86_DESC_TYPE_SHIFT = 8,
    X86_DESC_A = 1 << 8,
    X86_DESC_W = 1 << 9,
    X86_DESC_CODE = 1 << 11,
    X86_DESC_S = 1 << 12,
    X86_DESC_DPL_SHIFT = 13,
    X86_DESC_P = 1 << 15,
    X86_DESC_AVL = 1 << 20,
    X86_DESC_L = 1 << 21,
    X86_DESC_B = 1 << 22,
    X86_DESC_G = 1 << 23,
};

/* Modes that follow from other registers, as a stream has them in `hflags`. */
enum {
    X86_HF_CPL_MASK = 3 << 0,
    X86_HF_INHIBIT_IRQ = 1 << 3, /* in the shadow of STI or a load of SS */
    X86_HF_CS32 = 1 << 4,
    X86_HF_SS32 = 1 << 5,
    X86_HF_ADDSEG = 1 << 6,
    X86_HF_PE = 1 << 7,
    X86_HF_TF = 1 << 8,
    X86_HF_MP = 1 << 9,
    X86_HF_EM = 1 << 10,
    X86_HF_TS = 1 << 11,
    X86_HF_IOPL_SHIFT = 12,
    X86_HF_LMA = 1 << 14,
    X86_HF_CS64 = 1 << 15,
    X86_HF_VM = 1 << 17,
    X86_HF_SMM = 1 << 19,
    X86_HF_SVME = 1 << 20,
    X86_HF_GUEST = 1 << 21,
    X86_HF_OSFXSR = 1 << 22,
};
enum { X86_HF2_GIF = 1 << 0, X86_HF2_NMI = 1 << 2 /* NMIs are blocked */ };

/* States of mp_state, as KVM_SET_MP_STATE and streams have them. */
enum {
    X86_MP_RUNNABLE,
    X86_MP_UNINITIALIZED,
    X86_MP_INIT_RECEIVED,
    X86_MP_HALTED,
    X86_MP_SIPI_RECEIVED
};

#define X86_MCE_BANKS 10
#define X86_MTRR_FIXED 11
#define X86_MTRR_VARIABLE 8
#define X86_FIXED_COUNTERS 3
#define X86_GP_COUNTERS 18
#define X86_APIC_BASE_BSP (1 << 8)
#define X86_APIC_BASE_EXTD (1 << 10)
#define X86_APIC_BASE_ENABLE (1 << 11)
#define X86_APIC_DEFAULT_BASE 0xfee00000u

typedef struct X86Segment {
    uint32_t selector;
    uint64_t base;
    uint32_t limit;
    uint32_t flags; /* X86_DESC_… */
} X86Segment;

typedef struct X86Mtrr {
    uint64_t base, mask;
} X86Mtrr;

typedef struct X86FpReg {
    uint64_t mantissa;
    uint16_t exponent; /* with the sign */
} X86FpReg;

/* A vector register of up to 512 bits, least significant word first. */
typedef struct X86Zmm {
    uint64_t q[8];
} X86Zmm;

typedef struct X86State {
    uint64_t regs[X86_GPRS];
    uint64_t eip, eflags;
    uint32_t hflags, hflags2;
    X86Segment segs[X86_SEGS], ldt, tr, gdt, idt;
    uint64_t cr[5];
    uint64_t dr[8];
    uint64_t pdptrs[4];
    bool pdptrs_valid;
    int32_t a20_mask;
    uint32_t smbase;

    /* x87, SSE, AVX, AVX-512, others of XSAVE */
    uint16_t fpuc, fpus, fpop;
    uint8_t fptags; /* bit set: the register is empty */
    uint64_t fpip, fpdp;
    X86FpReg fpregs[8]; /* ST(i) are relative to the top: these are the physical R0…R7 */
    uint32_t mxcsr;
    X86Zmm xmm_regs[32];
    uint64_t opmask_regs[8];
    uint64_t bnd_regs[4][2], bndcsr[2];
    uint32_t pkru, pkrs;
    uint8_t xtilecfg[64];
    uint8_t xtiledata[8192];
    uint64_t xcr0, xstate_bv;

    /* model-specific registers */
    uint32_t sysenter_cs;
    uint64_t sysenter_esp, sysenter_eip;
    uint64_t efer, star, lstar, cstar, fmask, kernelgsbase;
    uint64_t pat, tsc, tsc_adjust, tsc_deadline, tsc_aux;
    uint64_t mtrr_fixed[X86_MTRR_FIXED], mtrr_deftype;
    X86Mtrr mtrr_var[X86_MTRR_VARIABLE];
    uint64_t mcg_cap, mcg_status, mcg_ctl, mcg_ext_ctl;
    uint64_t mce_banks[X86_MCE_BANKS * 4];
    uint64_t system_time_msr, wall_clock_msr, async_pf_en_msr, async_pf_int_msr, pv_eoi_en_msr,
        steal_time_msr;
    uint64_t poll_control_msr;
    uint64_t msr_ia32_misc_enable, msr_ia32_feature_control, msr_smi_count, msr_bndcfgs;
    uint64_t xss, spec_ctrl, virt_ssbd, tsx_ctrl, amd_tsc_scale_msr, msr_xfd, msr_xfd_err;
    uint32_t umwait;
    uint64_t msr_fixed_ctr_ctrl, msr_global_ctrl, msr_global_status, msr_global_ovf_ctrl;
    uint64_t msr_fixed_counters[X86_FIXED_COUNTERS];
    uint64_t msr_gp_counters[X86_GP_COUNTERS], msr_gp_evtsel[X86_GP_COUNTERS];

    /* SVM, kept for streams; nested guests are kept by the accelerator */
    uint64_t vm_hsave, vm_vmcb, tsc_offset, intercept;
    uint16_t intercept_cr_read, intercept_cr_write, intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint8_t v_tpr;

    /* events */
    int32_t interrupt_injected; /* vector of an interrupt on its way, -1: none */
    uint32_t mp_state;
    int32_t exception_nr; /* vector, -1: none */
    uint8_t exception_pending, exception_injected, exception_has_payload;
    uint64_t exception_payload;
    uint8_t soft_interrupt, nmi_injected, nmi_pending, has_error_code;
    uint32_t error_code;
    uint32_t sipi_vector;
    uint8_t triple_fault_pending;

    bool nested_in_use; /* the guest runs guests of its own: not in the section, so it stays here */

    int64_t tsc_khz; /* 0: not known */
    bool tsc_valid;  /* tsc was read since the machine stopped */

    /* what streams have instead of the members above; filled by the section */
    uint16_t fpus_vmstate, fptag_vmstate, fpregs_format_vmstate;
} X86State;

typedef struct X86Cpu {
    Cpu cpu;
    X86State env;
    uint32_t apic_id; /* UINT32_MAX: not chosen yet */
    Device *apic;     /* NULL in processors without */
    bool is_bsp;
    X86Model model;
    void *kvm; /* private to target/i386/kvm*.c */
} X86Cpu;

extern const DeviceType x86_cpu_type; /* "x86_64-cpu" */
#define X86_CPU(obj) ((X86Cpu *)(obj))

/* ---- the board ------------------------------------------------------------------------------------------- */

/* What a board has to do with its processors. */
typedef struct X86BoardOps {
    /* Before one is realized: chooses APIC id and index, or refuses it. */
    bool (*place)(X86Cpu *cpu, GError **error);
    void (*plugged)(X86Cpu *cpu); /* one came while the machine runs */
    bool (*unplug_request)(X86Cpu *cpu, GError **error); /* device_del; the guest has to agree */
} X86BoardOps;
/* NULL: processors are numbered as they come. */
void x86_set_board_ops(const X86BoardOps *ops);

/* ---- modes and registers ------------------------------------------------------------------------------- */

/* hflags from the registers that they follow from. */
void x86_cpu_update_hflags(X86Cpu *cpu);
/* A segment as after LSS and the like in real mode. */
void x86_cpu_load_real_segment(X86Cpu *cpu, unsigned seg, uint16_t selector);
/* INIT (SDM vol. 3 9.1): everything but caches, x87, MSRs that INIT leaves alone. */
void x86_cpu_init_reset(X86Cpu *cpu);
/* A startup message (SDM vol. 3 8.4.3): real mode at page `vector`. In the processor's thread, outside run(). */
void x86_cpu_startup(X86Cpu *cpu, uint8_t vector);
/* What the power-on value of mp_state is: application processors wait for INIT. */
void x86_cpu_set_bsp(X86Cpu *cpu, bool bsp);

/* ---- local APIC ------------------------------------------------------------------------------------------ */

/* DeviceType.ops of a local APIC ("apic", "kvm-apic"). */
typedef struct X86ApicOps {
    void (*set_base)(Device *apic, uint64_t base);
    uint64_t (*get_base)(Device *apic);
    void (*set_tpr)(Device *apic, uint8_t cr8);
    uint8_t (*get_tpr)(Device *apic);
    /* The vector that the processor takes now, -1 for none; moves it into service. May be NULL, as the next two. */
    int (*acknowledge)(Device *apic);
    bool (*pending)(Device *apic);     /* acknowledge would give a vector */
    bool (*accepts_pic)(Device *apic); /* LINT0 lets the 8259 through */
    void (*init_reset)(Device *apic);  /* the INIT of its processor */
    void (*startup)(Device *apic);     /* SIPI is acted upon */
    /* Between the device's struct and an accelerator that keeps it. May be NULL. */
    bool (*put)(Device *apic, GError **error);
    /* The NMI button: LINT1, if it is set to deliver NMIs. */
    void (*external_nmi)(Device *apic);
    void (*poll)(Device *apic); /* CPU_INTERRUPT_POLL */
} X86ApicOps;

/* The type that processors get, by name; set by whoever runs them. "apic" unless told otherwise. */
void x86_cpu_set_apic_type(const char *name);
static inline const X86ApicOps *x86_apic_ops(const X86Cpu *cpu)
{
    return cpu->apic ? device_ops(cpu->apic) : NULL;
}
/* The 8259 pair's output. */
void x86_set_pic_line(bool level);
/* Looks anew whether an interrupt is there: the local APIC's, or the 8259's. */
void x86_cpu_update_interrupts(X86Cpu *cpu);
/* The interrupt acknowledge cycle of the 8259 pair; the board sets it. -1: nothing there. */
void x86_set_pic_acknowledge(int (*acknowledge)(void));
/* The vector of the interrupt that the processor takes now (APIC first, then 8259), -1: none. */
int x86_cpu_acknowledge_interrupt(X86Cpu *cpu);
/* NULL if there is none. */
X86Cpu *x86_cpu_by_apic_id(uint32_t apic_id);

/* ---- machine checks -------------------------------------------------------------------------------------- */

enum { X86_MCE_BROADCAST = 1, X86_MCE_UNCOND_AO = 2 };
/* Injects an error into a bank (SDM vol. 3 15): status, mcg_status, addr, misc as the guest will read them. False
 * with an error that says what the processor does not take. */
bool x86_cpu_inject_mce(X86Cpu *cpu, unsigned bank, uint64_t status, uint64_t mcg_status,
                        uint64_t addr, uint64_t misc, unsigned flags, GError **error);

#endif
