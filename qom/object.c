/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects and the tree of names; see qom/object.h. */
#include "util/osdep.h"
#include "qom/object.h"

#include "object-private.h"
#include "util/error.h"

/* ---- life ---- */

static size_t type_size(const ObjectType *type)
{
    while (!type->size) {
        type = type->parent;
    }
    return type->size;
}

static void set_default(Object *obj, const Property *prop)
{
    GError *error = NULL;
    bool ok;
    if (prop->kind->parse) {
        ok = prop->kind->parse(obj, prop, prop->default_text, &error);
    } else {
        json_object *value = json_object_new_string(prop->default_text);
        ok = prop->kind->set(obj, prop, value, &error);
        json_object_put(value);
    }
    if (!ok) {
        g_error("default of property '%s.%s': %s", obj->type->name, prop->name, error->message);
    }
}

static void apply_defaults(Object *obj, const ObjectType *type)
{
    if (type->parent) {
        apply_defaults(obj, type->parent);
    }
    for (const Property *prop = type->properties; prop && prop->name; prop++) {
        if (prop->default_text) {
            set_default(obj, prop);
        }
    }
}

static void run_init(Object *obj, const ObjectType *type)
{
    if (type->parent) {
        run_init(obj, type->parent);
    }
    if (type->init) {
        type->init(obj);
    }
}

Object *object_new(const ObjectType *type)
{
    g_assert(!type->abstract);
    Object *obj = g_malloc0(type_size(type));
    obj->type = type;
    obj->refs = 1; /* O3 */
    apply_defaults(obj, type);
    run_init(obj, type);
    return obj;
}

Object *object_ref(void *opaque)
{
    Object *obj = opaque;
    if (obj) {
        __atomic_fetch_add(&obj->refs, 1, __ATOMIC_RELAXED);
    }
    return obj;
}

static void object_free(Object *obj)
{
    g_assert(!obj->parent);
    dynamic_remove_all(obj);
    for (const ObjectType *type = obj->type; type; type = type->parent) {
        if (type->finalize) {
            type->finalize(obj);
        }
        for (const Property *prop = type->properties; prop && prop->name; prop++) {
            if (prop->kind->release) {
                prop->kind->release(obj, prop);
            }
        }
    }
    g_free(obj);
}

void object_unref(void *opaque)
{
    Object *obj = opaque;
    if (!obj) {
        return;
    }
    int old = __atomic_fetch_sub(&obj->refs, 1, __ATOMIC_ACQ_REL);
    g_assert(old > 0);
    if (old == 1) {
        object_free(obj);
    }
}

bool object_is_a(const void *opaque, const ObjectType *type)
{
    const Object *obj = opaque;
    return obj && object_type_is_a(obj->type, type);
}

void *object_cast(void *obj, const ObjectType *type)
{
    return object_is_a(obj, type) ? obj : NULL;
}

const void *object_interface(const void *opaque, const ObjectType *interface)
{
    const Object *obj = opaque;
    return obj ? object_type_interface(obj->type, interface) : NULL;
}

/* ---- the tree ---- */

Object *object_root(void)
{
    static Object *root;
    if (!root) {
        root = object_new(&container_type);
    }
    return root;
}

/* "name[*]" with the first free index. Most come in a row under one parent: remember where the last search
 * ended. An index that was freed meanwhile is found again because removals forget the place. */
static struct {
    const Object *parent;
    GString *prefix;
    unsigned next;
} last_index;

static char *numbered_name(const Object *parent, const char *name)
{
    size_t len = strlen(name) - strlen("[*]");
    if (!last_index.prefix) {
        last_index.prefix = g_string_new(NULL);
    }
    if (last_index.parent != parent || last_index.prefix->len != len ||
        memcmp(last_index.prefix->str, name, len) != 0) {
        last_index.parent = parent;
        last_index.next = 0;
        g_string_truncate(last_index.prefix, 0);
        g_string_append_len(last_index.prefix, name, len);
    }
    for (;; last_index.next++) {
        char *try = g_strdup_printf("%.*s[%u]", (int)len, name, last_index.next);
        if (!dynamic_find(parent, try)) {
            return try;
        }
        g_free(try);
    }
}

bool object_add_child(Object *parent, const char *name, Object *child, GError **error)
{
    g_assert(!child->parent);
    g_autofree char *numbered = NULL;
    if (g_str_has_suffix(name, "[*]")) {
        name = numbered = numbered_name(parent, name);
    } else if (object_has_property(parent, name)) {
        return error_set(error, "attempt to add duplicate property '%s' to object (type '%s')", name,
                         parent->type->name);
    }
    g_autofree char *type = g_strdup_printf("child<%s>", child->type->name);
    DynamicProperty *dp = dynamic_add(parent, name, type, DYNAMIC_CHILD);
    dp->target = object_ref(child);
    child->parent = parent;
    child->tree_entry = dp;
    return true;
}

void object_unparent(Object *obj)
{
    if (obj->parent) {
        if (last_index.parent == obj->parent) {
            last_index.parent = NULL;
        }
        dynamic_remove(obj->parent, obj->tree_entry);
    }
}

const char *object_path_component(const Object *obj)
{
    const DynamicProperty *dp = obj->tree_entry;
    return dp ? dp->name : NULL;
}

char *object_path(const Object *obj)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    for (; obj->parent; obj = obj->parent) {
        g_ptr_array_add(parts, (void *)object_path_component(obj));
    }
    if (obj != object_root()) {
        return NULL;
    }
    GString *path = g_string_new(NULL);
    for (guint i = parts->len; i-- > 0;) {
        g_string_append_printf(path, "/%s", (const char *)parts->pdata[i]);
    }
    if (path->len == 0) {
        g_string_append_c(path, '/');
    }
    return g_string_free(path, FALSE);
}

/* One step down: a child, or through a link. */
static Object *step(Object *obj, const char *part)
{
    const DynamicProperty *dp = dynamic_find(obj, part);
    if (dp) {
        if (dp->kind == DYNAMIC_ALIAS) {
            return step(dp->target, dp->target_name);
        }
        return dp->target;
    }
    const Property *prop = object_type_find_property(obj->type, part, NULL);
    if (prop && prop->kind == &property_link) {
        return *(Object **)property_member(obj, prop);
    }
    return NULL;
}

static Object *walk(Object *obj, char **parts)
{
    for (; obj && *parts; parts++) {
        if (**parts) {
            obj = step(obj, *parts);
        }
    }
    return obj;
}

/* Every object below obj from which the parts lead somewhere; NULL as well if there are two results. */
static Object *walk_partial(Object *obj, char **parts, const ObjectType *type, bool *ambiguous)
{
    Object *found = walk(obj, parts);
    if (found && type && !object_is_a(found, type)) {
        found = NULL;
    }
    for (guint i = 0; obj->order && i < obj->order->len && !*ambiguous; i++) {
        const DynamicProperty *dp = obj->order->pdata[i];
        if (dp->kind != DYNAMIC_CHILD) {
            continue;
        }
        Object *other = walk_partial(dp->target, parts, type, ambiguous);
        if (other && found && other != found) {
            *ambiguous = true;
        }
        if (other) {
            found = other;
        }
    }
    return *ambiguous ? NULL : found;
}

static Object *resolve(const char *path, const ObjectType *type, bool *ambiguous)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 0);
    *ambiguous = false;
    if (!parts[0]) {
        return NULL;
    }
    if (path[0] == '/') {
        Object *obj = walk(object_root(), parts + 1);
        return !obj || !type || object_is_a(obj, type) ? obj : NULL;
    }
    return walk_partial(object_root(), parts, type, ambiguous);
}

Object *object_resolve(const char *path, bool *ambiguous)
{
    bool dummy;
    return resolve(path, NULL, ambiguous ? ambiguous : &dummy);
}

Object *object_resolve_type(const char *path, const ObjectType *type, GError **error)
{
    bool ambiguous;
    Object *obj = resolve(path, type, &ambiguous);
    if (ambiguous) {
        error_set(error, "Path '%s' does not uniquely identify an object", path);
    } else if (!obj) {
        obj = object_resolve(path, NULL);
        if (obj) {
            error_set(error, "Object '%s' is a '%s', not a '%s'", path, obj->type->name, type->name);
            return NULL;
        }
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return obj;
}

Object *object_container(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 0);
    Object *obj = object_root();
    g_assert(path[0] == '/');
    for (char **part = parts + 1; *part; part++) {
        if (!**part) {
            continue;
        }
        Object *child = step(obj, *part);
        if (!child) {
            child = object_new(&container_type);
            object_add_child(obj, *part, child, NULL);
            object_unref(child); /* the tree has it */
        }
        obj = child;
    }
    return obj;
}

bool object_foreach_child(Object *obj, ObjectFunc *func, void *opaque)
{
    /* func may unparent what it is shown: go by a copy. */
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(object_unref);
    for (guint i = 0; obj->order && i < obj->order->len; i++) {
        DynamicProperty *dp = obj->order->pdata[i];
        if (dp->kind == DYNAMIC_CHILD) {
            g_ptr_array_add(children, object_ref(dp->target));
        }
    }
    for (guint i = 0; i < children->len; i++) {
        Object *child = children->pdata[i];
        if (child->parent == obj && !func(child, opaque)) {
            return false;
        }
    }
    return true;
}

typedef struct Recursion {
    ObjectFunc *func;
    void *opaque;
} Recursion;

static bool recurse(Object *child, void *opaque)
{
    Recursion *r = opaque;
    return r->func(child, r->opaque) && object_foreach_child(child, recurse, r);
}

bool object_foreach_child_recursive(Object *obj, ObjectFunc *func, void *opaque)
{
    Recursion r = { func, opaque };
    return object_foreach_child(obj, recurse, &r);
}
