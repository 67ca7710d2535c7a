/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of types. Constructors only append to an array; names are hashed when the first is looked up,
 * because most runs ask for few of them.
 */
#include "util/osdep.h"
#include "qom/object.h"

#include "util/error.h"

/* Every object says what it is: "type" is the name of its type. */
static json_object *get_type_name(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_string(obj->type->name);
}

static const PropertyKind property_own_type = { .name = "string", .get = get_type_name };

const ObjectType object_type = {
    .name = "object",
    .size = sizeof(Object),
    .abstract = true,
    .properties = (const Property[]){
        { .name = "type", .kind = &property_own_type, .flags = PROPERTY_READ_ONLY | PROPERTY_HIDDEN },
        {}
    },
};
OBJECT_TYPE_REGISTER(object_type)

const ObjectType interface_type = {
    .name = "interface",
    .abstract = true,
};
OBJECT_TYPE_REGISTER(interface_type)

const ObjectType container_type = {
    .name = "container",
    .parent = &object_type,
    .size = sizeof(Object),
};
OBJECT_TYPE_REGISTER(container_type)

static const ObjectType **types;
static size_t n_types, n_alloc;
static GHashTable *by_name;
static size_t n_hashed;

void object_type_register(const ObjectType *type)
{
    if (n_types == n_alloc) {
        n_alloc = n_alloc ? 2 * n_alloc : 256;
        types = g_renew(const ObjectType *, types, n_alloc);
    }
    types[n_types++] = type;
}

static void hash_names(void)
{
    if (!by_name) {
        by_name = g_hash_table_new(g_str_hash, g_str_equal);
    }
    for (; n_hashed < n_types; n_hashed++) {
        const ObjectType *type = types[n_hashed];
        g_assert(type->name);
        if (!g_hash_table_insert(by_name, (void *)type->name, (void *)type)) {
            g_error("type '%s' is registered twice", type->name);
        }
    }
}

const ObjectType *object_type_by_name(const char *name)
{
    if (n_hashed < n_types) {
        hash_names();
    }
    return by_name ? g_hash_table_lookup(by_name, name) : NULL;
}

static bool derives(const ObjectType *type, const ObjectType *ancestor)
{
    for (; type; type = type->parent) {
        if (type == ancestor) {
            return true;
        }
    }
    return false;
}

const void *object_type_interface(const ObjectType *type, const ObjectType *interface)
{
    for (; type; type = type->parent) {
        for (const InterfaceImpl *impl = type->interfaces; impl && impl->interface; impl++) {
            if (derives(impl->interface, interface)) {
                return impl->ops;
            }
        }
    }
    return NULL;
}

bool object_type_is_a(const ObjectType *type, const ObjectType *ancestor)
{
    if (derives(type, ancestor)) {
        return true;
    }
    if (!derives(ancestor, &interface_type)) {
        return false;
    }
    for (; type; type = type->parent) {
        for (const InterfaceImpl *impl = type->interfaces; impl && impl->interface; impl++) {
            if (derives(impl->interface, ancestor)) {
                return true;
            }
        }
    }
    return false;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const ObjectType *const *)a)->name, (*(const ObjectType *const *)b)->name);
}

void object_type_foreach(const ObjectType *ancestor, bool include_abstract, ObjectTypeFunc *func,
                         void *opaque)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    for (size_t i = 0; i < n_types; i++) {
        if ((include_abstract || !types[i]->abstract) &&
            (!ancestor || object_type_is_a(types[i], ancestor))) {
            g_ptr_array_add(found, (void *)types[i]);
        }
    }
    g_ptr_array_sort(found, compare_names);
    for (guint i = 0; i < found->len; i++) {
        if (!func(found->pdata[i], opaque)) {
            return;
        }
    }
}

const Property *object_type_find_property(const ObjectType *type, const char *name,
                                          const ObjectType **owner)
{
    for (; type; type = type->parent) {
        for (const Property *prop = type->properties; prop && prop->name; prop++) {
            if (strcmp(prop->name, name) == 0) {
                if (owner) {
                    *owner = type;
                }
                return prop;
            }
        }
    }
    return NULL;
}

void object_type_foreach_property(const ObjectType *type, PropertyFunc *func, void *opaque)
{
    if (type->parent) {
        object_type_foreach_property(type->parent, func, opaque);
    }
    for (const Property *prop = type->properties; prop && prop->name; prop++) {
        func(type, prop, opaque);
    }
}

const ObjectType *object_type_properties_of(const ObjectType *type)
{
    while (type && !type->properties_of) {
        type = type->parent;
    }
    return type ? type->properties_of : NULL;
}

typedef struct Settable {
    const ObjectType *type;
    PropertyFunc *func;
    void *opaque;
} Settable;

static void pass_on(const ObjectType *owner, const Property *prop, void *opaque)
{
    const Settable *s = opaque;

    if (!object_type_find_property(s->type, prop->name, NULL)) {
        s->func(owner, prop, s->opaque);
    }
}

void object_type_foreach_settable(const ObjectType *type, PropertyFunc *func, void *opaque)
{
    const ObjectType *other = object_type_properties_of(type);
    Settable s = { type, func, opaque };

    object_type_foreach_property(type, func, opaque);
    if (other) {
        object_type_foreach_settable(other, pass_on, &s);
    }
}
