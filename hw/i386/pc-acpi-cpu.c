/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ACPI's hot plug registers know of the PC's processors. */
#include "util/osdep.h"

#include "pc-acpi.h"
#include "pc-fw.h"
#include "hw/core/cpu.h"

static bool cpu_present(void *opaque, unsigned n)
{
    return cpu_by_index(n) != NULL;
}

static uint64_t cpu_arch_id(void *opaque, unsigned n)
{
    return pc_apic_id(opaque, n);
}

static void cpu_eject(void *opaque, unsigned n)
{
    Cpu *cpu = cpu_by_index(n);

    if (cpu) {
        device_unrealize((Device *)cpu);
    }
}

const AcpiCpuOps pc_acpi_cpu_ops = {
    .present = cpu_present,
    .arch_id = cpu_arch_id,
    .eject = cpu_eject,
};
