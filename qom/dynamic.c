/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties that belong to one object, and access to all properties by name; see qom/object.h. */
#include "util/osdep.h"
#include "qom/object.h"

#include "object-private.h"
#include "util/error.h"
#include "util/keyval.h"

/* ---- the table of an object ---- */

DynamicProperty *dynamic_find(const Object *obj, const char *name)
{
    return obj->dynamic ? g_hash_table_lookup(obj->dynamic, name) : NULL;
}

DynamicProperty *dynamic_add(Object *obj, const char *name, const char *type, DynamicKind kind)
{
    g_assert(!dynamic_find(obj, name));
    if (!obj->dynamic) {
        obj->dynamic = g_hash_table_new(g_str_hash, g_str_equal);
        obj->order = g_ptr_array_new();
    }
    DynamicProperty *dp = g_new0(DynamicProperty, 1);
    dp->name = g_strdup(name);
    dp->type = g_intern_string(type);
    dp->kind = kind;
    g_hash_table_insert(obj->dynamic, dp->name, dp);
    g_ptr_array_add(obj->order, dp);
    return dp;
}

static void dynamic_free(Object *obj, DynamicProperty *dp)
{
    if (dp->kind == DYNAMIC_CHILD) {
        dp->target->parent = NULL;
        dp->target->tree_entry = NULL;
    }
    if (dp->kind == DYNAMIC_CHILD || dp->kind == DYNAMIC_LINK) {
        object_unref(dp->target);
    }
    if (dp->release) {
        dp->release(obj, dp->name, dp->opaque);
    }
    g_free(dp->target_name);
    g_free(dp->name);
    g_free(dp);
}

void dynamic_remove(Object *obj, DynamicProperty *dp)
{
    g_hash_table_remove(obj->dynamic, dp->name);
    g_ptr_array_remove(obj->order, dp);
    dynamic_free(obj, dp);
}

void dynamic_remove_all(Object *obj)
{
    while (obj->order && obj->order->len) {
        dynamic_remove(obj, obj->order->pdata[obj->order->len - 1]);
    }
    g_clear_pointer(&obj->dynamic, g_hash_table_unref);
    if (obj->order) {
        g_ptr_array_free(g_steal_pointer(&obj->order), TRUE);
    }
}

void object_add_property(Object *obj, const char *name, const char *type, PropertyGetter *get,
                         PropertySetter *set, PropertyRelease *release, void *opaque)
{
    DynamicProperty *dp = dynamic_add(obj, name, type, DYNAMIC_CUSTOM);
    dp->get = get;
    dp->set = set;
    dp->release = release;
    dp->opaque = opaque;
}

static const char *type_of(Object *obj, const char *name)
{
    const DynamicProperty *dp = dynamic_find(obj, name);
    if (dp) {
        return dp->type;
    }
    const Property *prop = object_type_find_property(obj->type, name, NULL);
    return prop ? property_type_name(prop) : NULL;
}

void object_add_alias(Object *obj, const char *name, Object *target, const char *target_name)
{
    const char *type = type_of(target, target_name);
    g_assert(type);
    /* What was a child there is a link here. */
    g_autofree char *link = NULL;
    if (g_str_has_prefix(type, "child<")) {
        type = link = g_strconcat("link", type + strlen("child"), NULL);
    }
    DynamicProperty *dp = dynamic_add(obj, name, type, DYNAMIC_ALIAS);
    dp->target = target;
    dp->target_name = g_strdup(target_name);
}

typedef struct Aliases {
    Object *obj, *child;
} Aliases;

static void alias_property(const ObjectType *owner, const Property *prop, void *opaque)
{
    const Aliases *a = opaque;

    if (!(prop->flags & PROPERTY_HIDDEN) && !object_has_property(a->obj, prop->name)) {
        object_add_alias(a->obj, prop->name, a->child, prop->name);
    }
}

void object_alias_properties(Object *obj, Object *child)
{
    Aliases a = { obj, child };

    object_type_foreach_property(child->type, alias_property, &a);
}

void object_add_const_link(Object *obj, const char *name, Object *target)
{
    g_autofree char *type = g_strdup_printf("link<%s>", target->type->name);
    DynamicProperty *dp = dynamic_add(obj, name, type, DYNAMIC_LINK);
    dp->target = object_ref(target);
}

void object_del_property(Object *obj, const char *name)
{
    DynamicProperty *dp = dynamic_find(obj, name);
    if (dp) {
        dynamic_remove(obj, dp);
    }
}

bool object_has_property(const Object *obj, const char *name)
{
    return dynamic_find(obj, name) || object_type_find_property(obj->type, name, NULL);
}

/* ---- guards ---- */

typedef struct SetGuard {
    const ObjectType *base;
    ObjectSetGuard *guard;
    struct SetGuard *next;
} SetGuard;

static SetGuard *guards;

void object_install_set_guard(const ObjectType *base, ObjectSetGuard *guard)
{
    SetGuard *g = g_new(SetGuard, 1);
    *g = (SetGuard){ base, guard, guards };
    guards = g;
}

static bool may_set(Object *obj, const char *name, const Property *prop, GError **error)
{
    for (const SetGuard *g = guards; g; g = g->next) {
        if (object_is_a(obj, g->base) && !g->guard(obj, name, prop, error)) {
            return false;
        }
    }
    return true;
}

/* ---- access by name ---- */

static bool not_found(const Object *obj, const char *name, GError **error)
{
    return error_set(error, "Property '%s.%s' not found", obj->type->name, name);
}

static bool not_writable(const Object *obj, const char *name, GError **error)
{
    return error_set(error, "Property '%s.%s' is not writable", obj->type->name, name);
}

/* Text for a dynamic property: its declared type says what JSON it stands for. */
static json_object *json_from_text(const char *type, const char *name, const char *text, GError **error)
{
    bool b;
    int64_t i;
    uint64_t u;
    if (strcmp(type, "bool") == 0) {
        if (parse_bool(text, &b, NULL)) {
            return json_object_new_boolean(b);
        }
        error_set(error, "Parameter '%s' expects 'on' or 'off'", name);
    } else if (strcmp(type, "size") == 0) {
        if (parse_size(text, 1, &u, NULL)) {
            return json_object_new_uint64(u);
        }
        error_set(error, "Parameter '%s' expects a size value", name);
    } else if (g_str_has_prefix(type, "int") || g_str_has_prefix(type, "uint")) {
        if (parse_int64(text, &i, NULL)) {
            return json_object_new_int64(i);
        }
        if (parse_uint64(text, &u, NULL)) {
            return json_object_new_uint64(u);
        }
        error_set(error, "Parameter '%s' expects integer", name);
    } else {
        return json_object_new_string(text);
    }
    return NULL;
}

static bool set_dynamic(Object *obj, const DynamicProperty *dp, json_object *value, GError **error)
{
    if (dp->kind == DYNAMIC_ALIAS) {
        return object_set(dp->target, dp->target_name, value, error);
    }
    if (!dp->set) {
        return not_writable(obj, dp->name, error);
    }
    return may_set(obj, dp->name, NULL, error) && dp->set(obj, dp->name, dp->opaque, value, error);
}

bool object_set(Object *obj, const char *name, json_object *value, GError **error)
{
    const DynamicProperty *dp = dynamic_find(obj, name);
    if (dp) {
        return set_dynamic(obj, dp, value, error);
    }
    const Property *prop = object_type_find_property(obj->type, name, NULL);
    if (!prop) {
        return not_found(obj, name, error);
    }
    if (prop->flags & PROPERTY_READ_ONLY) {
        return not_writable(obj, name, error);
    }
    if (!may_set(obj, name, prop, error)) {
        return false;
    }
    if (prop->kind->set) {
        return prop->kind->set(obj, prop, value, error);
    }
    if (!json_object_is_type(value, json_type_string)) {
        return error_set(error, "Invalid parameter type for '%s', expected: string", name);
    }
    return prop->kind->parse(obj, prop, json_object_get_string(value), error);
}

bool object_set_text(Object *obj, const char *name, const char *text, GError **error)
{
    const DynamicProperty *dp = dynamic_find(obj, name);
    if (dp && dp->kind == DYNAMIC_ALIAS) {
        return object_set_text(dp->target, dp->target_name, text, error);
    }
    const Property *prop = dp ? NULL : object_type_find_property(obj->type, name, NULL);
    if (prop && prop->kind->parse) {
        if (prop->flags & PROPERTY_READ_ONLY) {
            return not_writable(obj, name, error);
        }
        return may_set(obj, name, prop, error) && prop->kind->parse(obj, prop, text, error);
    }
    json_object *value = dp ? json_from_text(dp->type, name, text, error) : json_object_new_string(text);
    if (!value) {
        return false;
    }
    bool ok = object_set(obj, name, value, error);
    json_object_put(value);
    return ok;
}

static json_object *path_json(const Object *target)
{
    g_autofree char *path = target ? object_path(target) : NULL;
    return json_object_new_string(path ? path : "");
}

json_object *object_get(Object *obj, const char *name, GError **error)
{
    const DynamicProperty *dp = dynamic_find(obj, name);
    if (dp) {
        switch (dp->kind) {
        case DYNAMIC_ALIAS:
            return object_get(dp->target, dp->target_name, error);
        case DYNAMIC_CHILD:
        case DYNAMIC_LINK:
            return path_json(dp->target);
        case DYNAMIC_CUSTOM:
            if (!dp->get) {
                error_set(error, "Property '%s.%s' is not readable", obj->type->name, name);
                return NULL;
            }
            return dp->get(obj, name, dp->opaque, error);
        }
    }
    const Property *prop = object_type_find_property(obj->type, name, NULL);
    if (!prop) {
        not_found(obj, name, error);
        return NULL;
    }
    if (!prop->kind->get) {
        error_set(error, "Property '%s.%s' is not readable", obj->type->name, name);
        return NULL;
    }
    return prop->kind->get(obj, prop, error);
}

/* ---- shorthands ---- */

static void must_set(Object *obj, const char *name, json_object *value)
{
    GError *error = NULL;
    if (!object_set(obj, name, value, &error)) {
        g_error("property '%s' of a '%s': %s", name, obj->type->name, error->message);
    }
    json_object_put(value);
}

void object_set_bool(Object *obj, const char *name, bool value)
{
    must_set(obj, name, json_object_new_boolean(value));
}

void object_set_int(Object *obj, const char *name, int64_t value)
{
    must_set(obj, name, json_object_new_int64(value));
}

void object_set_string(Object *obj, const char *name, const char *value)
{
    must_set(obj, name, json_object_new_string(value));
}

void object_set_link(Object *obj, const char *name, Object *value)
{
    const Property *prop = object_type_find_property(obj->type, name, NULL);
    if (prop && prop->kind == &property_link) { /* the target need not be in the tree */
        g_assert(!value || object_is_a(value, prop->arg));
        Object **member = property_member(obj, prop);
        Object *old = *member;
        *member = object_ref(value);
        object_unref(old);
        return;
    }
    must_set(obj, name, path_json(value));
}

/* ---- listing ---- */

typedef struct Listing {
    Object *obj;
    ObjectPropertyFunc *func;
    void *opaque;
} Listing;

static void list_declared(const ObjectType *owner, const Property *prop, void *opaque)
{
    const Listing *l = opaque;
    /* Declared again by a subtype: shown once, by the subtype. */
    if (object_type_find_property(l->obj->type, prop->name, NULL) == prop) {
        l->func(l->obj, prop->name, property_type_name(prop), property_description(prop), l->opaque);
    }
}

void object_foreach_property(Object *obj, ObjectPropertyFunc *func, void *opaque)
{
    Listing l = { obj, func, opaque };
    object_type_foreach_property(obj->type, list_declared, &l);
    for (guint i = 0; obj->order && i < obj->order->len; i++) {
        const DynamicProperty *dp = obj->order->pdata[i];
        func(obj, dp->name, dp->type, NULL, opaque);
    }
}
