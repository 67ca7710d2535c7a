/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defaults from machine versions and from -global; see qom/object.h. */
#include "util/osdep.h"
#include "qom/object.h"

#include "util/error.h"

typedef struct Global {
    char *type, *property, *value;
    bool user, used;
    unsigned seq;
} Global;

/* In order, and by type name: a new object looks only at those for its own types. */
static GPtrArray *all;
static GHashTable *by_type; /* name → GPtrArray of Global */

void globals_add(const char *type, const char *property, const char *value, bool user)
{
    if (!all) {
        all = g_ptr_array_new();
        by_type = g_hash_table_new(g_str_hash, g_str_equal);
    }
    Global *g = g_new(Global, 1);
    *g = (Global){ g_strdup(type), g_strdup(property), g_strdup(value), user, false, all->len };
    g_ptr_array_add(all, g);
    GPtrArray *list = g_hash_table_lookup(by_type, type);
    if (!list) {
        list = g_ptr_array_new();
        g_hash_table_insert(by_type, g->type, list);
    }
    g_ptr_array_add(list, g);
}

static int by_seq(gconstpointer a, gconstpointer b)
{
    const Global *x = *(const Global *const *)a, *y = *(const Global *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void gather(GPtrArray **found, const char *name)
{
    const GPtrArray *list = g_hash_table_lookup(by_type, name);
    for (guint i = 0; list && i < list->len; i++) {
        if (!*found) {
            *found = g_ptr_array_new();
        }
        g_ptr_array_add(*found, list->pdata[i]);
    }
}

bool globals_apply(Object *obj, GError **error)
{
    g_autoptr(GPtrArray) found = NULL;
    if (!all) {
        return true;
    }
    for (const ObjectType *type = obj->type; type; type = type->parent) {
        gather(&found, type->name);
        for (const InterfaceImpl *impl = type->interfaces; impl && impl->interface; impl++) {
            gather(&found, impl->interface->name);
        }
    }
    if (!found) {
        return true;
    }
    g_ptr_array_sort(found, by_seq);
    for (guint i = 0; i < found->len; i++) {
        Global *g = found->pdata[i];
        g->used = true;
        if (!object_set_text(obj, g->property, g->value, error)) {
            error_prefix(error, "can't apply global %s.%s=%s: ", g->type, g->property, g->value);
            return false;
        }
    }
    return true;
}

void globals_report_unused(void)
{
    for (guint i = 0; all && i < all->len; i++) {
        const Global *g = all->pdata[i];
        if (g->user && !g->used && !object_type_by_name(g->type)) {
            warn_report("global %s.%s has invalid class name", g->type, g->property);
        }
    }
}

bool globals_used(const char *type, const char *property)
{
    for (guint i = 0; all && i < all->len; i++) {
        const Global *g = all->pdata[i];
        if (g->user && g->used && strcmp(g->type, type) == 0 && strcmp(g->property, property) == 0) {
            return true;
        }
    }
    return false;
}
