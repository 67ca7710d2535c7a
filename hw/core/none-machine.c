/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine without anything: no board, no buses but the main system bus, RAM only if asked for. */
#include "util/osdep.h"

#include "system/memory.h"
#include "hw/core/machine.h"

static bool none_init(Machine *machine, GError **error)
{
    if (machine->ram) {
        memory_region_map(system_memory(), 0, machine->ram);
    }
    return true;
}

static const MachineType none_machine_type = {
    .object = { .name = "none-machine", .parent = &machine_type },
    .name = "none",
    .description = "empty machine",
    .max_cpus = 1,
    .default_ram_size = 0,
    .default_ram_id = "ram",
    .init = none_init,
};
MACHINE_REGISTER(none_machine_type)
