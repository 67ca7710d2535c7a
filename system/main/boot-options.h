/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options about firmware and booting: -boot, -fw_cfg. */
#ifndef SYSTEM_MAIN_BOOT_OPTIONS_H
#define SYSTEM_MAIN_BOOT_OPTIONS_H

#include "hw/core/machine.h"
#include "options.h"

/* What -boot and its like say, into the machine. */
bool boot_from_options(const Options *options, Machine *machine, GError **error);
/* -fw_cfg, when the board is there. */
bool boot_add_fw_cfg(const char *arg, GError **error);

/* -option-rom. */
bool boot_add_option_rom(const char *arg, GError **error);

/* -acpitable, before the board is made; prints what is wrong. */
bool acpi_tables_from_options(const Options *options, Machine *machine);

#endif
