/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about machines and guest memory. */
#include "util/osdep.h"

#include <fcntl.h>
#include <stdio.h>

#include "util/error.h"
#include "qapi/commands-machine.h"
#include "qapi/dispatch.h"
#include "monitor/hmp.h"
#include "system/memory-backend.h"
#include "system/runstate.h"
#include "hw/core/machine.h"

QMP_REGISTER(machine)

/* ---- machines ------------------------------------------------------------------------------------------ */

static void add_machine(const MachineType *type, void *opaque)
{
    MachineInfoArray *list = opaque;
    MachineInfo *info = g_new0(MachineInfo, 1);

    info->name = g_strdup(type->name);
    info->alias = g_strdup(type->alias);
    info->has_is_default = info->is_default = type->is_default;
    info->cpu_max = type->max_cpus;
    info->hotpluggable_cpus = type->hotpluggable_cpus;
    info->numa_mem_supported = type->numa_mem_supported;
    info->deprecated = type->deprecation;
    info->default_cpu_type = g_strdup(type->default_cpu_type);
    info->default_ram_id = g_strdup(type->default_ram_id);
    info->acpi = type->acpi;
    QAPI_ARRAY_ADD(list, info);
}

bool qmp_query_machines(MachineInfoArray **ret, GError **error)
{
    *ret = g_new0(MachineInfoArray, 1);
    machine_type_foreach(add_machine, *ret);
    return true;
}

bool qmp_query_current_machine(CurrentMachineParams **ret, GError **error)
{
    *ret = g_new0(CurrentMachineParams, 1);
    (*ret)->wakeup_suspend_support = vm_wakeup_supported();
    return true;
}

bool qmp_query_target(TargetInfo **ret, GError **error)
{
    *ret = g_new0(TargetInfo, 1);
    (*ret)->arch = SYS_EMU_TARGET_X86_64;
    return true;
}

bool qmp_query_hotpluggable_cpus(HotpluggableCPUArray **ret, GError **error)
{
    const MachineType *type = machine_get_type(machine_current());

    if (!type->list_cpu_places) {
        return error_set(error, "machine does not support hot-plugging CPUs");
    }
    *ret = type->list_cpu_places(machine_current());
    return true;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static bool add_memdev(Object *obj, void *opaque)
{
    MemoryBackend *backend = object_cast(obj, &memory_backend_type);
    MemdevArray *list = opaque;
    Memdev *info;

    if (!backend) {
        return true;
    }
    info = g_new0(Memdev, 1);
    info->id = g_strdup(object_path_component(obj));
    info->size = backend->size;
    info->merge = backend->merge;
    info->dump = backend->dump;
    info->prealloc = backend->prealloc;
    info->share = backend->share;
    info->has_reserve = true;
    info->reserve = backend->reserve;
    info->host_nodes = g_new0(IntArray, 1);
    info->policy = HOST_MEM_POLICY_DEFAULT;
    QAPI_ARRAY_ADD(list, info);
    return true;
}

bool qmp_query_memdev(MemdevArray **ret, GError **error)
{
    *ret = g_new0(MemdevArray, 1);
    object_foreach_child(object_container("/objects"), add_memdev, *ret);
    return true;
}

bool qmp_query_memory_size_summary(MemoryInfo **ret, GError **error)
{
    *ret = g_new0(MemoryInfo, 1);
    (*ret)->base_memory = machine_current()->ram_size;
    (*ret)->has_plugged_memory = true;
    return true;
}

static bool write_all(int fd, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = write(fd, buf, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        buf += n;
        len -= n;
    }
    return true;
}

static void read_or_zero(uint64_t addr, uint8_t *buf, size_t len)
{
    while (len) {
        size_t n = MIN(len, GUEST_PAGE_SIZE - addr % GUEST_PAGE_SIZE);

        if (address_space_read(address_space_memory, addr, buf, n) != MEM_OK) {
            memset(buf, 0, n);
        }
        addr += n;
        buf += n;
        len -= n;
    }
}

bool qmp_pmemsave(int64_t val, int64_t size, const char *filename, GError **error)
{
    uint64_t addr = val, left = size;
    bool ok = true;
    uint8_t buf[4096];
    int fd;

    if (size < 0) {
        return error_set(error, "Parameter 'size' expects a number that is not negative");
    }
    fd = open(filename, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return error_set_errno(error, errno, "Could not open '%s'", filename);
    }
    while (left && ok) {
        size_t n = MIN(left, sizeof(buf));

        /* What the host has lost (system/poison.h) and what is not there are zeros in the file. */
        read_or_zero(addr, buf, n);
        ok = write_all(fd, buf, n);
        addr += n;
        left -= n;
    }
    if (!ok) {
        error_set_errno(error, errno, "Could not write to '%s'", filename);
    }
    if (close(fd) < 0 && ok) {
        ok = error_set_errno(error, errno, "Could not write to '%s'", filename);
    }
    return ok;
}

/* ---- HMP ----------------------------------------------------------------------------------------------- */

static bool print_memdev(Object *obj, void *opaque)
{
    MemoryBackend *backend = object_cast(obj, &memory_backend_type);

    if (backend) {
        hmp_printf(opaque,
                   "memory backend: %s\n  size:  %" PRIu64 "\n  merge: %s\n  dump: %s\n  prealloc: %s\n"
                   "  share: %s\n  reserve: %s\n  policy: default\n  host nodes: \n",
                   object_path_component(obj), backend->size, backend->merge ? "true" : "false",
                   backend->dump ? "true" : "false", backend->prealloc ? "true" : "false",
                   backend->share ? "true" : "false", backend->reserve ? "true" : "false");
    }
    return true;
}

static void hmp_info_memdev(Hmp *hmp, const HmpArgs *args)
{
    object_foreach_child(object_container("/objects"), print_memdev, hmp);
    hmp_puts(hmp, "\n");
}

static void hmp_info_memory_size(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "base memory: %" PRIu64 "\nplugged memory: 0\n", machine_current()->ram_size);
}

static const HmpCommand machine_commands[] = {
    { "info memdev", "", "", "show memory backends", hmp_info_memdev, true },
    { "info memory_size_summary", "", "", "show the amount of initially allocated and present hotpluggable "
      "memory in bytes", hmp_info_memory_size },
};
HMP_REGISTER(machine_commands)
