/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The versions of the 440FX PC. To add one: a line at the end of this file, the alias moved to it, and a run of
 * `tests/golden/compat/update` for its table; docs/devel/hw-pci.md has the runbook.
 */
#include "util/osdep.h"
#include "hw/i386/pc.h"
#include "pc-cpu.h"
#include "pc-fw.h"

#define PC_I440FX(suffix, version_, ...)                                        \
    static const MachineType pc_i440fx_##suffix = {                             \
        .object = {                                                             \
            .name = "pc-i440fx-" version_ "-machine",                           \
            .parent = &pc_machine_type,                                         \
        },                                                                      \
        .name = "pc-i440fx-" version_,                                          \
        .version = version_,                                                    \
        .description = "Standard PC (i440FX + PIIX, 1996)",                     \
        .max_cpus = 255,                                                        \
        .default_ram_id = "pc.ram",                                             \
        .default_ram_size = 128 * 1024 * 1024,                                  \
        .default_cpu_type = "qemu64-x86_64-cpu",                                \
        .default_display = "std",                                               \
        .default_nic = "e1000",                                                 \
        .hotpluggable_cpus = true,                                              \
        .acpi = true,                                                           \
        .numa_mem_supported = false,                                             \
        .list_cpu_places = pc_list_cpu_places,                                  \
        .init = pc_i440fx_init,                                                 \
        .done = pc_fw_done,                                                     \
        __VA_ARGS__                                                             \
    };                                                                          \
    MACHINE_REGISTER(pc_i440fx_##suffix)

PC_I440FX(7_2, "7.2");
PC_I440FX(8_2, "8.2");
PC_I440FX(9_0, "9.0");
PC_I440FX(9_1, "9.1");
PC_I440FX(9_2, "9.2");
PC_I440FX(10_0, "10.0", .alias = "pc", .is_default = true);
