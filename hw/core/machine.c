/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machine types and the machine of this process. */
#include "util/osdep.h"

#include "util/error.h"
#include "system/memory-backend.h"
#include "hw/core/machine.h"

static GPtrArray *types; /* const MachineType * */
static Machine *current;

/* ---- types --------------------------------------------------------------------------------------------- */

void machine_type_register(const MachineType *type)
{
    object_type_register(&type->object);
    if (!types) {
        types = g_ptr_array_new();
    }
    g_ptr_array_add(types, (gpointer)type);
}

const MachineType *machine_type_by_name(const char *name)
{
    for (unsigned i = 0; types && i < types->len; i++) {
        const MachineType *type = g_ptr_array_index(types, i);

        if (!strcmp(type->name, name) || !g_strcmp0(type->alias, name)) {
            return type;
        }
    }
    return NULL;
}

static gint compare_types(gconstpointer a, gconstpointer b)
{
    const MachineType *x = *(const MachineType *const *)a, *y = *(const MachineType *const *)b;

    return strcmp(x->name, y->name);
}

void machine_type_foreach(MachineTypeFunc *func, void *opaque)
{
    g_autoptr(GPtrArray) sorted = types ? g_ptr_array_copy(types, NULL, NULL) : g_ptr_array_new();

    g_ptr_array_sort(sorted, compare_types);
    for (unsigned i = 0; i < sorted->len; i++) {
        func(g_ptr_array_index(sorted, i), opaque);
    }
}

const MachineType *machine_get_type(const Machine *machine)
{
    return (const MachineType *)machine->object.type;
}

/* ---- the machine --------------------------------------------------------------------------------------- */

Machine *machine_current(void)
{
    return current;
}

void machine_set_current(Machine *machine)
{
    g_assert(!current && machine);
    current = machine;
    object_add_child(object_root(), "machine", &machine->object, NULL);
    object_container("/machine/peripheral");
    object_container("/machine/peripheral-anon");
    object_container("/machine/unattached");
}

bool machine_has_cpus(const Machine *machine)
{
    return machine->has_cpus;
}

/* The RAM of -m as a backend of its own, as -object would make it. */
static MemoryBackend *default_backend(Machine *machine, GError **error)
{
    const char *id = machine_get_type(machine)->default_ram_id;
    const char *type = machine->mem_path ? "memory-backend-file" : memory_backend_ram_type.name;
    json_object *props = json_object_new_object();
    bool ok;

    json_object_object_add(props, "size", json_object_new_uint64(machine->ram_size));
    json_object_object_add(props, "reserve", json_object_new_boolean(false));
    json_object_object_add(props, "prealloc", json_object_new_boolean(machine->mem_prealloc));
    if (machine->mem_path) {
        json_object_object_add(props, "mem-path", json_object_new_string(machine->mem_path));
    }
    ok = user_creatable_add(type, id, props, error);
    json_object_put(props);
    return ok ? memory_backend_find(id, error) : NULL;
}

/* The nodes' backends, one behind the other. */
static bool ram_of_nodes(Machine *machine, GError **error)
{
    const char *id = machine_get_type(machine)->default_ram_id;
    uint64_t at = 0;

    if (machine->ram_backend_id) {
        return error_set(error, "'-machine memory-backend' and '-numa memdev' properties are mutually exclusive");
    }
    machine->ram = memory_region_new_container(&machine->object, id, machine->ram_size);
    for (unsigned n = 0; n < machine->numa->nodes; n++) {
        const char *memdev = machine->numa->memdev[n];
        MemoryBackend *backend = memdev ? memory_backend_find(memdev, error) : NULL;
        MemoryRegion *part = backend ? memory_backend_use(backend, error) : NULL;

        if (memdev && !part) {
            return false;
        }
        if (part) {
            memory_region_map(machine->ram, at, part);
            at += machine->numa->memory[n];
        }
    }
    return true;
}

bool machine_create_ram(Machine *machine, GError **error)
{
    const char *id = machine->ram_backend_id;
    MemoryBackend *backend;

    if (machine->numa) {
        return ram_of_nodes(machine, error);
    }
    if (!id && (!machine->ram_size || !machine_get_type(machine)->default_ram_id)) {
        return true;
    }
    backend = id ? memory_backend_find(id, error) : default_backend(machine, error);
    if (!backend) {
        return false;
    }
    if (backend->size != machine->ram_size) {
        return error_set(error, "Machine memory size does not match the size of the memory backend");
    }
    machine->ram = memory_backend_use(backend, error);
    return machine->ram;
}

static void machine_finalize(Object *obj)
{
    Machine *machine = (Machine *)obj;

    g_free(machine->cpu_type);
    g_free(machine->boot.order);
    g_free(machine->boot.once);
    g_free(machine->boot.splash);
}

static const Property machine_properties[] = {
    PROPERTY_STRING("append", Machine, append, "Linux kernel command line"),
    PROPERTY_BOOL("dump-guest-core", Machine, dump_guest_core, "on", "Include guest memory in a core dump"),
    PROPERTY_STRING("firmware", Machine, firmware, "Firmware image"),
    PROPERTY_STRING("initrd", Machine, initrd, "Linux initial ramdisk file"),
    PROPERTY_STRING("kernel", Machine, kernel, "Linux kernel image file"),
    PROPERTY_BOOL("mem-merge", Machine, mem_merge, "on", "Enable/disable memory merge support"),
    PROPERTY_STRING("memory-backend", Machine, ram_backend_id, "Set RAM backend: id of a memory-backend object"),
    PROPERTY_BOOL("suppress-vmdesc", Machine, suppress_vmdesc, "off",
                  "Set on to disable self-describing migration"),
    PROPERTY_BOOL("usb", Machine, usb, "off", "Set on/off to enable/disable usb"),
    PROPERTY_BOOL("x-migrate-poison", Machine, migrate_poison, "on",
                  "Send the list of lost pages with a migration; off for destinations that do not know it"),
    {},
};

const ObjectType machine_type = {
    .name = "machine",
    .parent = &object_type,
    .size = sizeof(Machine),
    .abstract = true,
    .properties = machine_properties,
    .finalize = machine_finalize,
};
OBJECT_TYPE_REGISTER(machine_type)
