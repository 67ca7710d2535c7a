/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's processors and their interrupt wiring. */
#ifndef HW_I386_PC_CPU_H
#define HW_I386_PC_CPU_H

#include "hw/i386/pc.h"

/* The processors of -smp. Before everything that is plugged into the board. */
bool pc_cpus_new(PcMachine *pc, GError **error);
/* Before the first processor: places for all that there may be. */
void pc_cpu_places_init(void);
/* For query-hotpluggable-cpus (MachineType.list_cpu_places). */
struct HotpluggableCPUArray *pc_list_cpu_places(Machine *machine);
/* Interrupt controllers between the global system interrupts and the processors; fills pc->gsi. */
bool pc_interrupts_new(PcMachine *pc, IsaBus *isa, GError **error);

/* kvm-clock.c: the clock device, where the processors offer the paravirtual clock. */
bool kvm_clock_new(GError **error);

#endif
