/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the PC tells its firmware: fw_cfg items, ACPI and SMBIOS tables, boot order, kernel. Private to hw/i386. */
#ifndef HW_I386_PC_FW_H
#define HW_I386_PC_FW_H

#include "hw/i386/pc.h"

/* Makes fw_cfg; what follows from the command line alone is in it afterwards. */
bool pc_fw_init(PcMachine *pc, GError **error);
/* When all devices are there (MachineType.done): what follows from them. */
bool pc_fw_done(Machine *machine, GError **error);

unsigned pc_apic_id(const Machine *machine, unsigned n);
/* One more than the largest APIC id that the processors can have. */
unsigned pc_apic_id_limit(const Machine *machine);

/* Guest RAM below and above 4 GiB, as the chip set splits it. */
void pc_map_ram(PcMachine *pc);
/* Flash memory with the firmware, if there is to be any: devices first, then where they lie (if there is unit 0). */
bool pc_flash_init(PcMachine *pc, GError **error);
bool pc_flash_map(PcMachine *pc, GError **error);
/* The firmware and the place of option ROMs, in PCI memory. */
bool pc_load_firmware(PcMachine *pc, GError **error);

/* Boot options and option ROMs, in fw_cfg and the RTC's memory: what is known at once, and what devices add. */
bool pc_boot_init(PcMachine *pc, GError **error);
bool pc_boot_done(PcMachine *pc, GError **error);
/* -kernel, -initrd, -append. */
bool pc_kernel_init(PcMachine *pc, GError **error);
/* SMBIOS, in fw_cfg. */
bool pc_smbios_init(PcMachine *pc, GError **error);

#endif
