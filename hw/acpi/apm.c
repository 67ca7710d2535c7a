/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports B2h and B3h. See the header. */
#include "util/osdep.h"
#include "hw/acpi/apm.h"

#define APM_PORT 0xb2
#define APM_PORT_SIZE 2

static uint64_t apm_read(void *opaque, hwaddr offset, unsigned size)
{
    const AcpiApm *apm = opaque;

    return offset ? apm->apms : apm->apmc;
}

static void apm_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiApm *apm = opaque;

    if (offset) {
        apm->apms = value;
        return;
    }
    apm->apmc = value;
    apm->command(apm->opaque, value);
}

static const MemoryOps apm_ops = {
    .read = apm_read,
    .write = apm_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 1 },
};

void acpi_apm_init(AcpiApm *apm, Object *owner, void (*command)(void *opaque, uint8_t value),
                   void *opaque)
{
    apm->command = command;
    apm->opaque = opaque;
    apm->ports = memory_region_new_io(owner, &apm_ops, apm, "apm-io", APM_PORT_SIZE);
    memory_region_map(system_io(), APM_PORT, apm->ports);
}

void acpi_apm_cleanup(AcpiApm *apm)
{
    memory_region_free(apm->ports);
}

const VmState vmstate_acpi_apm = {
    .name = "APM State",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U8(AcpiApm, apmc), VM_U8(AcpiApm, apms), VM_END },
};
