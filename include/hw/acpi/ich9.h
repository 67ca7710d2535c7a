/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICH9: the LPC bridge with power management, and the SMBus function. Big lock. */
#ifndef HW_ACPI_ICH9_H
#define HW_ACPI_ICH9_H

#include "hw/acpi/apm.h"
#include "hw/acpi/hotplug.h"
#include "hw/acpi/smbus.h"
#include "hw/isa/isa.h"

#define ICH9_GPE_OFFSET 0x20 /* from where the power management registers are */
#define ICH9_GPE_BYTES 8
#define ICH9_PCI_HOTPLUG_PORT 0x0cc0
#define ICH9_CPU_HOTPLUG_PORT 0x0cd8
#define ICH9_ACPI_ENABLE 0x02 /* written to the SMI command port */
#define ICH9_ACPI_DISABLE 0x03
#define ICH9_NUM_PIRQS 8
#define ICH9_FIRST_PIRQ_GSI 16 /* inputs of the I/O APIC, one a PIRQ */

typedef struct Ich9Lpc Ich9Lpc;

/* What the board brings along. */
typedef struct Ich9Board {
    Irq **
        gsi; /* inputs of the I/O APIC; the first ISA_NUM_IRQS are the ISA lines. Entries may come later */
    unsigned max_cpus;
    const AcpiCpuOps *cpu_ops;
    void *opaque;
} Ich9Board;

/* Function 1f.0 of bus with its ISA bus and the routing of PCI interrupts; NULL with an error. */
Ich9Lpc *ich9_lpc_new(PciBus *bus, const Ich9Board *board, GError **error);
IsaBus *ich9_lpc_isa(Ich9Lpc *lpc);
AcpiPm *ich9_lpc_acpi(Ich9Lpc *lpc);
AcpiCpuHotplug *ich9_lpc_cpus(Ich9Lpc *lpc);
/* Where the ACPI registers are now. */
uint32_t ich9_lpc_pm_base(const Ich9Lpc *lpc);

/* Function 1f.3, and its bus; NULL with an error. */
Bus *ich9_smbus_new(PciBus *bus, GError **error);

#endif
