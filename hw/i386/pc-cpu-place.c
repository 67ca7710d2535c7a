/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places of the PC's processors: -smp says how many there may be, a place is a number from 0 on and the socket, die, core and
 * thread that it stands for. Processors come and go by device_add and device_del, with the guest's ACPI in between.
 */
#include "util/osdep.h"

#include "hw/acpi/hotplug.h"
#include "hw/acpi/hotplug.h"
#include "qapi/types-machine.h"
#include "target/i386/cpu.h"
#include "util/error.h"
#include "pc-cpu.h"
#include "pc-fw.h"

static unsigned place_count(const PcMachine *pc)
{
    return MAX(pc->machine.smp.max_cpus, 1);
}

static CpuTopology place_of(const PcMachine *pc, unsigned n)
{
    const MachineSmp *smp = &pc->machine.smp;
    unsigned threads = MAX(smp->threads, 1), cores = MAX(smp->cores, 1), dies = MAX(smp->dies, 1);

    return (CpuTopology){
        .thread_id = n % threads,
        .core_id = n / threads % cores,
        .die_id = n / (threads * cores) % dies,
        .socket_id = n / (threads * cores * dies),
    };
}

static X86Cpu *cpu_at(const PcMachine *pc, unsigned n)
{
    return x86_cpu_by_apic_id(pc_apic_id(&pc->machine, n));
}

/* ---- where a new one goes ------------------------------------------------------------------------------------------ */

static bool check_id(const char *name, int64_t id, unsigned count, GError **error)
{
    if (id < 0) {
        return error_set(error, "CPU %s is not set", name);
    }
    return id < count ||
           error_set(error, "Invalid CPU %s: %" PRId64 " must be in range 0:%u", name, id, count - 1);
}

/* The place that its ids name. A level of which there is one need not be named. */
static bool place_by_ids(const PcMachine *pc, X86Cpu *cpu, unsigned *n, GError **error)
{
    const MachineSmp *smp = &pc->machine.smp;
    unsigned threads = MAX(smp->threads, 1), cores = MAX(smp->cores, 1), dies = MAX(smp->dies, 1);
    unsigned sockets = place_count(pc) / (threads * cores * dies);
    X86Model *m = &cpu->model;

    if (m->die_id < 0 && dies == 1) {
        m->die_id = 0;
    }
    if (!check_id("socket-id", m->socket_id, MAX(sockets, 1), error) || !check_id("die-id", m->die_id, dies, error) ||
        !check_id("core-id", m->core_id, cores, error) || !check_id("thread-id", m->thread_id, threads, error)) {
        return false;
    }
    *n = ((m->socket_id * dies + m->die_id) * cores + m->core_id) * threads + m->thread_id;
    return true;
}

static bool place_by_apic_id(const PcMachine *pc, const X86Cpu *cpu, unsigned *n, GError **error)
{
    for (*n = 0; *n < place_count(pc); (*n)++) {
        if (pc_apic_id(&pc->machine, *n) == cpu->apic_id) {
            return true;
        }
    }
    return error_set(error, "Invalid CPU with APIC ID %u: the machine has no place for it", cpu->apic_id);
}

static bool place(X86Cpu *cpu, GError **error)
{
    const PcMachine *pc = (const PcMachine *)machine_current();
    const char *expected = pc->machine.cpu_type, *type = cpu->cpu.device.object.type->name;
    CpuTopology t;
    unsigned n;

    if (expected && strcmp(expected, type)) {
        return error_set(error, "Invalid CPU type, expected cpu type: '%s'", expected);
    }
    if (!(cpu->apic_id == UINT32_MAX ? place_by_ids(pc, cpu, &n, error) : place_by_apic_id(pc, cpu, &n, error))) {
        return false;
    }
    if (cpu_at(pc, n)) {
        return error_set(error, "CPU[%u] with APIC ID %u exists", n, pc_apic_id(&pc->machine, n));
    }
    t = place_of(pc, n);
    cpu->apic_id = pc_apic_id(&pc->machine, n);
    cpu->cpu.index = n;
    cpu->model.socket_id = t.socket_id;
    cpu->model.die_id = t.die_id;
    cpu->model.core_id = t.core_id;
    cpu->model.thread_id = t.thread_id;
    return true;
}

/* ---- coming and going ------------------------------------------------------------------------------------------------ */

static void plugged(X86Cpu *cpu)
{
    const PcMachine *pc = (const PcMachine *)machine_current();

    if (pc->cpu_hotplug) {
        acpi_cpu_hotplug_plugged(pc->cpu_hotplug, cpu->cpu.index);
    }
}

static bool unplug_request(X86Cpu *cpu, GError **error)
{
    const PcMachine *pc = (const PcMachine *)machine_current();

    if (cpu->cpu.index == 0) {
        return error_set(error, "Boot CPU is unpluggable");
    }
    if (!pc->cpu_hotplug || !pc->cpu_hotplug->modern) {
        return error_set(error, "acpi: device unplug request for not supported device type: %s",
                         cpu->cpu.device.object.type->name);
    }
    acpi_cpu_hotplug_unplug_request(pc->cpu_hotplug, cpu->cpu.index);
    return true;
}

static const X86BoardOps board_ops = { .place = place, .plugged = plugged, .unplug_request = unplug_request };

void pc_cpu_places_init(void)
{
    x86_set_board_ops(&board_ops);
}

/* ---- query-hotpluggable-cpus ------------------------------------------------------------------------------------------- */

static CpuInstanceProperties *instance_at(const PcMachine *pc, unsigned n)
{
    CpuInstanceProperties *props = g_new0(CpuInstanceProperties, 1);
    CpuTopology t = place_of(pc, n);

    props->has_socket_id = props->has_core_id = props->has_thread_id = true;
    props->socket_id = t.socket_id;
    props->core_id = t.core_id;
    props->thread_id = t.thread_id;
    props->has_die_id = pc->machine.smp.dies > 1;
    props->die_id = t.die_id;
    return props;
}

HotpluggableCPUArray *pc_list_cpu_places(Machine *machine)
{
    const PcMachine *pc = (const PcMachine *)machine;
    HotpluggableCPUArray *list = g_new0(HotpluggableCPUArray, 1);

    for (unsigned n = place_count(pc); n-- > 0;) {
        HotpluggableCPU *info = g_new0(HotpluggableCPU, 1);
        X86Cpu *cpu = cpu_at(pc, n);

        info->type = g_strdup(pc->machine.cpu_type);
        info->vcpus_count = 1;
        info->props = instance_at(pc, n);
        info->qom_path = cpu ? object_path(&cpu->cpu.device.object) : NULL;
        QAPI_ARRAY_ADD(list, info);
    }
    return list;
}
