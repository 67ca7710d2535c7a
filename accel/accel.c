/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of accelerators, and the one that was chosen. */
#include "util/osdep.h"

#include "util/error.h"
#include "accel/accel.h"

static GPtrArray *types; /* const AccelType * */
static Object *current;

const ObjectType accel_type = {
    .name = "accel",
    .parent = &object_type,
    .size = sizeof(Object),
    .abstract = true,
};
OBJECT_TYPE_REGISTER(accel_type)

void accel_type_register(const AccelType *type)
{
    object_type_register(&type->object);
    if (!types) {
        types = g_ptr_array_new();
    }
    g_ptr_array_add(types, (gpointer)type);
}

const AccelType *accel_type_by_name(const char *name)
{
    for (unsigned i = 0; types && i < types->len; i++) {
        const AccelType *type = g_ptr_array_index(types, i);

        if (!strcmp(type->name, name)) {
            return type;
        }
    }
    return NULL;
}

void accel_type_foreach(AccelTypeFunc *func, void *opaque)
{
    for (unsigned i = 0; types && i < types->len; i++) {
        func(g_ptr_array_index(types, i), opaque);
    }
}

/* Names that stock has and this build does not: told apart from mistakes in spelling. */
static bool known_elsewhere(const char *name)
{
    static const char *const names[] = { "kvm", "tcg", "xen", "hvf", "whpx", "nvmm", "hax" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(names[i], name)) {
            return true;
        }
    }
    return false;
}

static bool set_properties(Object *accel, json_object *props, GError **error)
{
    json_object_object_foreach(props, key, value)
    {
        if (strcmp(key, "accel") && !object_set_text(accel, key, json_object_get_string(value), error)) {
            return false;
        }
    }
    return true;
}

bool accel_start(const char *name, json_object *props, Machine *machine, GError **error)
{
    const AccelType *type = accel_type_by_name(name);
    Object *accel;

    if (!type) {
        return known_elsewhere(name) ? error_set(error, "accelerator '%s' is not available in this build", name)
                                     : error_set(error, "invalid accelerator %s", name);
    }
    if (type->available && !type->available(error)) {
        return false;
    }
    accel = object_new(&type->object);
    if (!globals_apply(accel, error) || (props && !set_properties(accel, props, error)) ||
        (type->init && !type->init(accel, machine, error))) {
        object_unref(accel);
        return false;
    }
    machine->has_cpus = type->runs_cpus;
    current = accel;
    return true;
}

const AccelType *accel_current(void)
{
    return current ? (const AccelType *)current->type : NULL;
}
