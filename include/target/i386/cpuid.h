/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a processor answers to CPUID, and what the host can give. Big lock. */
#ifndef TARGET_I386_CPUID_H
#define TARGET_I386_CPUID_H

#include "target/i386/cpu.h"

/* EAX, EBX, ECX, EDX (indexes X86_EAX…) of a leaf (SDM vol. 2 CPUID, APM vol. 3 appendix E). A leaf beyond the model's level
 * is all zero. */
void x86_cpu_cpuid(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* What the host and its KVM can give to a guest in a register of a leaf, or in an MSR that says what there is
 * (MSR_IA32_ARCH_CAPABILITIES, the VMX ones…); 0 without KVM. */
uint32_t x86_kvm_supported_cpuid(uint32_t leaf, uint32_t subleaf, unsigned reg);
uint64_t x86_kvm_supported_msr(uint32_t msr);
/* Who knows that: KVM sets it when it starts. NULL: nobody. */
void x86_cpuid_set_supported(uint32_t (*func)(uint32_t leaf, uint32_t subleaf, unsigned reg));
void x86_msr_set_supported(uint64_t (*func)(uint32_t msr));
/* Whether somebody does: processors are run by KVM. */
bool x86_cpus_on_kvm(void);

#endif
