/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's PIIX4 function 3: SCI on line 9, SMBus with memory modules' EEPROMs, and what it knows of processors. */
#include "util/osdep.h"

#include "pc-fw.h"
#include "hw/acpi/piix4.h"
#include "hw/core/cpu.h"
#include "util/error.h"

#define PM_DEVFN PCI_DEVFN(1, 3)
#define SCI_LINE 9
#define SPD_EEPROMS 8

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

static const AcpiCpuOps cpu_ops = { .present = cpu_present,
                                    .arch_id = cpu_arch_id,
                                    .eject = cpu_eject };

bool pc_pm_init(PcMachine *pc, GError **error)
{
    if (pc->acpi == PROPERTY_OFF) {
        return true;
    }
    pc->pm_board = g_new(Piix4PmBoard, 1);
    *pc->pm_board = (Piix4PmBoard){
        .sci = pc->gsi[SCI_LINE],
        .max_cpus = MAX(pc->machine.smp.max_cpus, 1),
        .cpu_ops = &cpu_ops,
        .opaque = &pc->machine,
    };
    pc->pm = piix4_pm_new(pc->pci, PM_DEVFN, pc->pm_board, error);
    return pc->pm && smbus_eeproms_new(piix4_pm_smbus(pc->pm), SPD_EEPROMS, error);
}

void pc_pm_cleanup(PcMachine *pc)
{
    g_free(pc->pm_board);
}
