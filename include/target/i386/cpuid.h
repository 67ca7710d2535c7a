/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a processor answers to CPUID. Big lock. */
#ifndef TARGET_I386_CPUID_H
#define TARGET_I386_CPUID_H

#include "target/i386/cpu.h"

enum { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

/* EAX, EBX, ECX, EDX of a leaf (SDM vol. 2 CPUID, APM vol. 3 appendix E). */
void x86_cpu_cpuid(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* What the host and its KVM can give to a guest in a register (X86_EAX…) of a leaf; 0 without KVM. */
uint32_t x86_kvm_supported_cpuid(uint32_t leaf, uint32_t subleaf, unsigned reg);
/* Who knows that: KVM sets it when it starts. */
void x86_cpuid_set_supported(uint32_t (*func)(uint32_t leaf, uint32_t subleaf, unsigned reg));

#endif
