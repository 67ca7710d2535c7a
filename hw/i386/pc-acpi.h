/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's ACPI tables. Private to hw/i386. */
#ifndef HW_I386_PC_ACPI_H
#define HW_I386_PC_ACPI_H

#include "hw/acpi/hotplug.h"
#include "hw/acpi/tables.h"
#include "hw/i386/pc.h"

/* The tables with their files, blocks and section; when all devices are there. */
bool pc_acpi_init(PcMachine *pc, GError **error);
/* All tables of the machine as it is now. */
AcpiTables *pc_acpi_build(PcMachine *pc);
/* DSDT, and the SSDTs of the board; returns where the DSDT is. */
uint32_t pc_acpi_add_dsdt(PcMachine *pc, AcpiTables *tables);
void pc_acpi_add_ssdts(PcMachine *pc, AcpiTables *tables);
/* For the processors' hot plug registers; opaque is the Machine. */
extern const AcpiCpuOps pc_acpi_cpu_ops;
#define PC_SPD_EEPROMS 8
/* Whether something decodes the port, or the address. */
bool pc_port_present(uint16_t port);
bool pc_hpet_present(void);

#endif
