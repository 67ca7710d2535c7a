/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files that bring an x86 processor to KVM. All in the processor's thread unless said otherwise. */
#ifndef TARGET_I386_KVM_INTERNAL_H
#define TARGET_I386_KVM_INTERNAL_H

#include "accel/kvm/kvm.h"
#include "target/i386/cpu.h"

#define X86_MSR_TSC_DEADLINE 0x6e0

typedef struct X86Kvm {
    uint8_t *xsave; /* as KVM_GET_XSAVE(2) fills it */
    size_t xsave_size;
    struct kvm_msrs *msrs; /* room for all that are moved at once */
    uint8_t last_cr8;
} X86Kvm;

/* kvm-state.c */
bool x86_kvm_get(Cpu *cpu, GError **error);
bool x86_kvm_put(Cpu *cpu, CpuPutLevel level, GError **error);

/* kvm-msr.c */
bool x86_kvm_msrs_init(GError **error); /* once, any thread */
struct kvm_msrs *x86_kvm_msrs_alloc(void);
bool x86_kvm_get_msrs(X86Cpu *cpu, GError **error);
bool x86_kvm_put_msrs(X86Cpu *cpu, CpuPutLevel level, GError **error);
bool x86_kvm_put_tsc_deadline(X86Cpu *cpu, GError **error);
/* Whether the host's KVM saves and restores this register. */
bool x86_kvm_has_msr(uint32_t index);

/* kvm-xsave.c */
size_t x86_kvm_xsave_size(void);
bool x86_kvm_get_xsave(X86Cpu *cpu, GError **error);
bool x86_kvm_put_xsave(X86Cpu *cpu, GError **error);

/* kvm-cpuid.c */
uint32_t x86_kvm_cpuid_from_host(uint32_t leaf, uint32_t subleaf, unsigned reg);
uint64_t x86_kvm_msr_from_host(uint32_t index); /* of those that say what there is (KVM_GET_MSR_FEATURE_INDEX_LIST) */
bool x86_kvm_put_cpuid(X86Cpu *cpu, GError **error);

/* kvm-mce.c: from now on lost pages become machine checks. */
void x86_kvm_mce_init(void);

/* kvm-run.c */
KvmNext x86_kvm_before_run(Cpu *cpu, struct kvm_run *run);
void x86_kvm_after_run(Cpu *cpu, struct kvm_run *run);
KvmNext x86_kvm_handle_exit(Cpu *cpu, struct kvm_run *run);

#endif
