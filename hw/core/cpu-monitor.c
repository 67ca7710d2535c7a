/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processors as monitors see them: query-cpus-fast, query-kvm, inject-nmi; cpu, info cpus, info registers, nmi. */
#include "util/osdep.h"

#include <stdio.h>

#include "hw/core/cpu.h"
#include "monitor/hmp.h"
#include "qapi/commands-machine.h"
#include "system/memory.h"
#include "util/error.h"

/* ---- QMP ------------------------------------------------------------------------------------------------------ */

static CpuInstanceProperties *instance_of(const Cpu *cpu)
{
    CpuTopology t = { -1, -1, -1, -1 };
    CpuInstanceProperties *props = g_new0(CpuInstanceProperties, 1);

    if (cpu_target_ops(cpu)->topology) {
        cpu_target_ops(cpu)->topology(cpu, &t);
    }
    props->has_socket_id = t.socket_id >= 0;
    props->socket_id = t.socket_id;
    props->has_die_id = t.die_id >= 0;
    props->die_id = t.die_id;
    props->has_core_id = t.core_id >= 0;
    props->core_id = t.core_id;
    props->has_thread_id = t.thread_id >= 0;
    props->thread_id = t.thread_id;
    return props;
}

bool qmp_query_cpus_fast(CpuInfoFastArray **ret, GError **error)
{
    *ret = g_new0(CpuInfoFastArray, 1);
    CPU_FOREACH(cpu)
    {
        CpuInfoFast *info = g_new0(CpuInfoFast, 1);

        info->cpu_index = cpu->index;
        info->qom_path = object_path(&cpu->device.object);
        info->thread_id = cpu->thread_id;
        info->props = instance_of(cpu);
        info->target = SYS_EMU_TARGET_X86_64;
        QAPI_ARRAY_ADD(*ret, info);
    }
    return true;
}

static bool kvm_runs(void)
{
    return cpu_accel_ops() && !strcmp(cpu_accel_ops()->name, "kvm");
}

bool qmp_query_kvm(KvmInfo **ret, GError **error)
{
    *ret = g_new0(KvmInfo, 1);
    (*ret)->present = true;
    (*ret)->enabled = kvm_runs();
    return true;
}

bool qmp_inject_nmi(GError **error)
{
    if (!cpu_first()) {
        return error_set(error, "machine does not provide NMIs");
    }
    CPU_FOREACH(cpu)
    {
        cpu_target_ops(cpu)->nmi(cpu);
    }
    return true;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

bool cpu_memory_access(Cpu *cpu, uint64_t linear, void *buf, size_t len, bool is_write)
{
    uint8_t *p = buf;

    while (len) {
        size_t n = MIN(len, GUEST_PAGE_SIZE - (linear & (GUEST_PAGE_SIZE - 1)));
        uint64_t physical;

        if (!cpu_target_ops(cpu)->translate(cpu, linear, &physical)) {
            return false;
        }
        if (is_write) {
            address_space_write_rom(address_space_memory, physical, p, n);
        } else {
            address_space_read(address_space_memory, physical, p, n);
        }
        linear += n;
        p += n;
        len -= n;
    }
    return true;
}

static MonitorTranslation translate_for_monitor(int64_t cpu_index, uint64_t linear, uint64_t *physical)
{
    Cpu *cpu = cpu_for_monitor(cpu_index);

    if (!cpu) {
        return TRANSLATION_NO_CPU;
    }
    return cpu_target_ops(cpu)->translate(cpu, linear, physical) ? TRANSLATION_DONE : TRANSLATION_NOT_MAPPED;
}

static void __attribute__((constructor)) install_translation(void)
{
    memory_set_monitor_translation(translate_for_monitor);
}

/* ---- HMP --------------------------------------------------------------------------------------------------------- */

static void hmp_cpu(Hmp *hmp, const HmpArgs *args)
{
    int64_t index = hmp_arg_int(args, "index", 0);

    if (!cpu_by_index(index)) {
        hmp_puts(hmp, "invalid CPU index\n");
        return;
    }
    hmp_set_cpu_index(hmp, index);
}

static void hmp_info_cpus(Hmp *hmp, const HmpArgs *args)
{
    const Cpu *current = cpu_for_monitor(hmp_cpu_index(hmp));

    CPU_FOREACH(cpu)
    {
        hmp_printf(hmp, "%c CPU #%d: thread_id=%d\n", cpu == current ? '*' : ' ', cpu->index,
                   cpu->thread_id);
    }
}

static void print_registers(Hmp *hmp, Cpu *cpu)
{
    g_autoptr(GString) out = g_string_new(NULL);

    cpu_sync(cpu);
    cpu_target_ops(cpu)->dump_registers(cpu, out, true);
    hmp_printf(hmp, "\nCPU#%d\n%s", cpu->index, out->str);
}

static void hmp_info_registers(Hmp *hmp, const HmpArgs *args)
{
    Cpu *cpu;

    if (hmp_arg_has(args, "cpustate_all")) {
        CPU_FOREACH(each)
        {
            print_registers(hmp, each);
        }
        return;
    }
    if (hmp_arg_has(args, "vcpu")) {
        cpu = cpu_by_index(hmp_arg_int(args, "vcpu", -1));
    } else {
        cpu = cpu_for_monitor(hmp_cpu_index(hmp));
    }
    if (!cpu) {
        hmp_puts(hmp, hmp_arg_has(args, "vcpu") ? "CPU#N not available\n" : "No CPU available\n");
        return;
    }
    print_registers(hmp, cpu);
}

static void hmp_nmi(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_inject_nmi(&error);
    hmp_report_error(hmp, &error);
}

static void hmp_info_kvm(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "kvm support: %s\n", kvm_runs() ? "enabled" : "disabled");
}

static const HmpCommand cpu_commands[] = {
    { "cpu", "index:i", "index", "set the default CPU", hmp_cpu },
    { "info cpus", "", "", "show infos for each CPU", hmp_info_cpus },
    { "info registers", "cpustate_all:-a,vcpu:i?", "[-a|vcpu]",
      "show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to query; "
      "show the current "
      "CPU's registers if no argument is specified)",
      hmp_info_registers },
    { "info kvm", "", "", "show KVM information", hmp_info_kvm },
    { "nmi", "", "", "inject an NMI", hmp_nmi },
};
HMP_REGISTER(cpu_commands)
