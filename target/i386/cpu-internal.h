/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the x86 processor. */
#ifndef TARGET_I386_CPU_INTERNAL_H
#define TARGET_I386_CPU_INTERNAL_H

#include "target/i386/cpu.h"

extern const VmState vmstate_x86_cpu;

/* monitor.c: CpuTargetOps. */
bool x86_cpu_translate(Cpu *cpu, uint64_t linear, uint64_t *physical);
uint64_t x86_cpu_program_counter(const Cpu *cpu);
void x86_cpu_dump_registers(const Cpu *cpu, GString *out, bool with_fpu);

/* Who delivers machine checks (KVM); in the processor's thread. */
void x86_cpu_set_mce_injector(bool (*inject)(X86Cpu *cpu, unsigned bank, uint64_t status,
                                             uint64_t mcg_status, uint64_t addr, uint64_t misc,
                                             GError **error));

#endif
