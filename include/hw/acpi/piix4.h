/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIIX4 function 3: power management, SMBus, and the hot plug registers that the PC has with it. */
#ifndef HW_ACPI_PIIX4_H
#define HW_ACPI_PIIX4_H

#include "hw/acpi/apm.h"
#include "hw/acpi/hotplug.h"
#include "hw/acpi/smbus.h"

#define PIIX4_GPE_PORT 0xafe0
#define PIIX4_GPE_BYTES 2
#define PIIX4_PCI_HOTPLUG_PORT 0xae00
#define PIIX4_CPU_HOTPLUG_PORT 0xaf00
#define PIIX4_ACPI_ENABLE 0xf1 /* written to the SMI command port */
#define PIIX4_ACPI_DISABLE 0xf0
#define PIIX4_SMBUS_PORT 0xb100

typedef struct Piix4Pm Piix4Pm;

/* What the board brings along. */
typedef struct Piix4PmBoard {
    Irq *sci;
    Irq *smi; /* may be NULL */
    unsigned max_cpus;
    const AcpiCpuOps *cpu_ops;
    void *opaque;
} Piix4PmBoard;

/* At devfn, function 3 of the chip; NULL with an error. */
Piix4Pm *piix4_pm_new(PciBus *bus, int devfn, const Piix4PmBoard *board, GError **error);
AcpiPm *piix4_pm_acpi(Piix4Pm *pm);
AcpiCpuHotplug *piix4_pm_cpus(Piix4Pm *pm);
/* Where the ACPI registers are now. */
uint32_t piix4_pm_base(const Piix4Pm *pm);
Bus *piix4_pm_smbus(Piix4Pm *pm);
/* Which serial and parallel ports are there, as some configuration registers say (at the end of the board's making). */
void piix4_pm_set_ports(Piix4Pm *pm, bool parallel, bool serial1, bool serial2);

#endif
