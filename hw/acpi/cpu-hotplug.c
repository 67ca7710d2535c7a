/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processor hot plug by ACPI ("QEMU <-> ACPI BIOS CPU hotplug interface"), at AF00h.
 *
 * At first a bitmap of the processors that are there, by APIC id (32 bytes). A byte written to its beginning switches to
 * the registers that the tables use:
 *
 *   0  write: selected processor; read: high half of what command 3 answers
 *   4  read: flags (1 present, 2 inserted, 4 to be removed); write: 2 and 4 take the event back, 8 ejects
 *   5  write: command: 0 next processor with an event, 1 and 2 data are _OST's event and status, 3 APIC id
 *   8  data of the command
 */
#include "util/osdep.h"
#include "eject.h"

#include "hw/acpi/hotplug.h"
#include "qapi/events-acpi.h"
#include "util/trace.h"

TRACE_EVENT(cpuhp_acpi_write_idx)
TRACE_EVENT(cpuhp_acpi_write_cmd)
TRACE_EVENT(cpuhp_acpi_ejecting_cpu)

enum { REG_SELECT = 0x0, REG_FLAGS = 0x4, REG_COMMAND = 0x5, REG_DATA = 0x8 };
enum { FLAG_PRESENT = 1, FLAG_INSERTING = 2, FLAG_REMOVING = 4, FLAG_EJECT = 8 };
enum {
    COMMAND_NEXT = 0,
    COMMAND_OST_EVENT = 1,
    COMMAND_OST_STATUS = 2,
    COMMAND_ARCH_ID = 3,
    COMMANDS
};

/* ---- the bitmap -------------------------------------------------------------------------------------------------- */

static uint64_t legacy_read(void *opaque, hwaddr offset, unsigned size)
{
    AcpiCpuHotplug *hp = opaque;
    uint8_t bits = 0;

    for (unsigned n = 0; n < hp->count; n++) {
        uint64_t id = hp->ops->arch_id(hp->opaque, n);

        if (id / 8 == offset && hp->ops->present(hp->opaque, n)) {
            bits |= 1u << id % 8;
        }
    }
    return bits;
}

static void legacy_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    if (offset == 0) {
        acpi_cpu_hotplug_set_modern(opaque, true);
    }
}

static const MemoryOps legacy_ops = {
    .read = legacy_read,
    .write = legacy_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- the registers ------------------------------------------------------------------------------------------------- */

/* The selected processor, NULL if there is none of that number. */
static AcpiCpu *selected(AcpiCpuHotplug *hp)
{
    return hp->select < hp->count ? &hp->cpus[hp->select] : NULL;
}

static uint64_t registers_read(void *opaque, hwaddr offset, unsigned size)
{
    AcpiCpuHotplug *hp = opaque;
    const AcpiCpu *cpu = selected(hp);
    uint64_t id;

    if (!cpu) {
        return 0;
    }
    switch (offset) {
    case REG_SELECT:
        id = hp->command == COMMAND_ARCH_ID ? hp->ops->arch_id(hp->opaque, hp->select) : 0;
        return id >> 32;
    case REG_FLAGS:
        return (hp->ops->present(hp->opaque, hp->select) ? FLAG_PRESENT : 0) |
               (cpu->is_inserting ? FLAG_INSERTING : 0) | (cpu->is_removing ? FLAG_REMOVING : 0);
    case REG_DATA:
        return hp->command == COMMAND_NEXT      ? hp->select
               : hp->command == COMMAND_ARCH_ID ? (uint32_t)hp->ops->arch_id(hp->opaque, hp->select)
                                                : 0;
    default:
        return 0;
    }
}

static void guest_ejects(void *opaque, uint32_t n)
{
    AcpiCpuHotplug *hp = opaque;

    hp->ops->eject(hp->opaque, n);
}

static void write_flags(AcpiCpuHotplug *hp, AcpiCpu *cpu, uint8_t flags)
{
    if (flags & FLAG_INSERTING) {
        cpu->is_inserting = false;
    } else if (flags & FLAG_REMOVING) {
        cpu->is_removing = false;
    } else if ((flags & FLAG_EJECT) && hp->select != 0 &&
               hp->ops->present(hp->opaque, hp->select)) {
        trace(cpuhp_acpi_ejecting_cpu, "idx[0x%" PRIx32 "]", hp->select);
        cpu->is_removing = false;
        acpi_eject(guest_ejects, hp, hp->select);
    }
}

/* From the selected one on, all around. */
static void select_next_event(AcpiCpuHotplug *hp)
{
    for (uint32_t i = 0; i < hp->count; i++) {
        uint32_t n = (hp->select + i) % hp->count;

        if (hp->cpus[n].is_inserting || hp->cpus[n].is_removing) {
            hp->select = n;
            return;
        }
    }
}

static void write_data(AcpiCpuHotplug *hp, AcpiCpu *cpu, uint32_t value)
{
    g_autofree char *slot = NULL;

    if (hp->command == COMMAND_OST_EVENT) {
        cpu->ost_event = value;
    } else if (hp->command == COMMAND_OST_STATUS) {
        cpu->ost_status = value;
        slot = g_strdup_printf("%" PRIu32, hp->select);
        qapi_event_send_ACPI_DEVICE_OST(&(ACPIOSTInfo){ .slot = slot,
                                                        .slot_type = ACPI_SLOT_TYPE_CPU,
                                                        .source = cpu->ost_event,
                                                        .status = cpu->ost_status });
    }
}

static void registers_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiCpuHotplug *hp = opaque;
    AcpiCpu *cpu;

    if (offset == REG_SELECT) {
        trace(cpuhp_acpi_write_idx, "set active cpu idx: 0x%" PRIx64, value);
        hp->select = value;
        return;
    }
    cpu = selected(hp);
    if (!cpu) {
        return;
    }
    switch (offset) {
    case REG_FLAGS:
        write_flags(hp, cpu, value);
        break;
    case REG_COMMAND:
        trace(cpuhp_acpi_write_cmd, "idx[0x%" PRIx32 "] cmd: 0x%" PRIx64, hp->select, value);
        if (value < COMMANDS) {
            hp->command = value;
            if (value == COMMAND_NEXT) {
                select_next_event(hp);
            }
        }
        break;
    case REG_DATA:
        write_data(hp, cpu, value);
        break;
    }
}

static const MemoryOps registers_ops = {
    .read = registers_read,
    .write = registers_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 4 },
};

/* ---- for the chip -------------------------------------------------------------------------------------------------- */

void acpi_cpu_hotplug_set_modern(AcpiCpuHotplug *hp, bool modern)
{
    if (hp->modern != modern) {
        hp->modern = modern;
        memory_region_set_enabled(hp->legacy, !modern);
        memory_region_set_enabled(hp->registers, modern);
    }
}

void acpi_cpu_hotplug_init(AcpiCpuHotplug *hp, Object *owner, unsigned count, const AcpiCpuOps *ops,
                           void *opaque, uint16_t port, AcpiPm *pm)
{
    hp->pm = pm;
    hp->ops = ops;
    hp->opaque = opaque;
    hp->count = count;
    hp->cpus = g_new0(AcpiCpu, count);
    hp->legacy = memory_region_new_io(owner, &legacy_ops, hp, "acpi-cpu-hotplug",
                                      ACPI_CPU_HOTPLUG_LEGACY_SIZE);
    hp->registers =
        memory_region_new_io(owner, &registers_ops, hp, "acpi-cpu-hotplug", ACPI_CPU_HOTPLUG_SIZE);
    memory_region_set_enabled(hp->registers, false);
    memory_region_map(system_io(), port, hp->legacy);
    memory_region_map_overlap(system_io(), port, hp->registers, 1);
}

void acpi_cpu_hotplug_cleanup(AcpiCpuHotplug *hp)
{
    memory_region_free(hp->legacy);
    memory_region_free(hp->registers);
    g_free(hp->cpus);
}

void acpi_cpu_hotplug_plugged(AcpiCpuHotplug *hp, unsigned n)
{
    g_assert(n < hp->count);
    hp->cpus[n].is_inserting = true;
    acpi_pm_raise_gpe(hp->pm, ACPI_GPE_CPU_HOTPLUG);
}

void acpi_cpu_hotplug_unplug_request(AcpiCpuHotplug *hp, unsigned n)
{
    g_assert(n < hp->count);
    hp->cpus[n].is_removing = true;
    acpi_pm_raise_gpe(hp->pm, ACPI_GPE_CPU_HOTPLUG);
}

static const VmState vmstate_acpi_cpu = {
    .name = "CPU hotplug device state",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_BOOL(AcpiCpu, is_inserting), VM_BOOL(AcpiCpu, is_removing),
                                 VM_U32(AcpiCpu, ost_event), VM_U32(AcpiCpu, ost_status), VM_END },
};

const VmState vmstate_acpi_cpu_hotplug = {
    .name = "CPU hotplug state",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_NAMED("selector", u32, uint32_t, AcpiCpuHotplug, select),
                                 VM_U8(AcpiCpuHotplug, command),
                                 VM_STRUCT_VARRAY_POINTER("devs", AcpiCpuHotplug, cpus, count, 4096,
                                                          vmstate_acpi_cpu, AcpiCpu, 0),
                                 VM_END },
};

const VmState vmstate_acpi_memory_hotplug = {
    .name = "memory hotplug state",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            { .name = "selector", .offset = 0, .size = sizeof(uint32_t), .kind = &vm_kind_u32 },
            VM_END },
};
