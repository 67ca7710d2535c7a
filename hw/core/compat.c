/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machine versions: which compat values of which device a version has. */
#include "util/osdep.h"

#include "hw/core/machine.h"

int machine_version_compare(const char *a, const char *b)
{
    while (*a || *b) {
        char *end_a, *end_b;
        unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);

        if (x != y) {
            return x < y ? -1 : 1;
        }
        if (end_a == a && end_b == b) {
            return 0; /* not numbers: no difference that we know of */
        }
        a = *end_a == '.' ? end_a + 1 : end_a;
        b = *end_b == '.' ? end_b + 1 : end_b;
    }
    return 0;
}

typedef void CompatFunc(const DeviceType *type, const DeviceCompat *compat, void *opaque);

typedef struct CompatWalk {
    const char *version;
    CompatFunc *func;
    void *opaque;
} CompatWalk;

static bool walk_type(const ObjectType *object, void *opaque)
{
    const DeviceType *type = (const DeviceType *)object;
    CompatWalk *walk = opaque;

    for (const DeviceCompat *c = type->compat; c && c->until; c++) {
        if (machine_version_compare(walk->version, c->until) <= 0) {
            walk->func(type, c, walk->opaque);
        }
    }
    return true;
}

/* Every value that holds for this version, abstract types included: their heirs get it. */
static void walk_compat(const MachineType *machine, CompatFunc *func, void *opaque)
{
    CompatWalk walk = { machine->version, func, opaque };

    if (machine->version) {
        object_type_foreach(&device_type.object, true, walk_type, &walk);
    }
}

static void add_global(const DeviceType *type, const DeviceCompat *compat, void *opaque)
{
    globals_add(type->object.name, compat->property, compat->value, false);
}

void machine_apply_compat(const MachineType *type)
{
    walk_compat(type, add_global, NULL);
}

static void add_line(const DeviceType *type, const DeviceCompat *compat, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup_printf("%s.%s=%s\n", type->object.name, compat->property, compat->value));
}

static gint compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *machine_dump_compat(const MachineType *type)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    walk_compat(type, add_line, lines);
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("", (char **)lines->pdata);
}
