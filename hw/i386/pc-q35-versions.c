/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The versions of the Q35 PC. To add one: a line at the end of this file, the alias moved to it, and a run of
 * `tests/golden/compat/update` for its table; docs/devel/hw-pci.md has the runbook.
 */
#include "util/osdep.h"
#include "hw/i386/pc.h"
#include "pc-cpu.h"
#include "pc-fw.h"

#define PC_Q35(suffix, version_, ...)                                        \
    static const MachineType pc_q35_##suffix = {                             \
        .object = {                                                             \
            .name = "pc-q35-" version_ "-machine",                           \
            .parent = &pc_machine_type,                                         \
        },                                                                      \
        .name = "pc-q35-" version_,                                          \
        .version = version_,                                                    \
        .description = "Standard PC (Q35 + ICH9, 2009)",                     \
        .max_cpus = 255,                                                        \
        .default_ram_id = "pc.ram",                                             \
        .default_ram_size = 128 * 1024 * 1024,                                  \
        .default_cpu_type = "qemu64-x86_64-cpu",                                \
        .default_display = "std",                                               \
        .ide_units = 1,                                                         \
        .hotpluggable_cpus = true,                                              \
        .acpi = true,                                                           \
        .numa_mem_supported = false,                                             \
        .list_cpu_places = pc_list_cpu_places,                                  \
        .init = pc_q35_init,                                                 \
        .done = pc_fw_done,                                                     \
        __VA_ARGS__                                                             \
    };                                                                          \
    MACHINE_REGISTER(pc_q35_##suffix)

PC_Q35(7_2, "7.2");
PC_Q35(8_2, "8.2");
PC_Q35(9_0, "9.0");
PC_Q35(9_1, "9.1");
PC_Q35(9_2, "9.2");
PC_Q35(10_0, "10.0", .alias = "q35");
