/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP commands about objects. They are here because the object model knows no monitor. */
#include "util/osdep.h"

#include "util/error.h"
#include "util/keyval.h"
#include "qapi/commands-qom.h"
#include "qom/object.h"
#include "monitor/hmp.h"

static bool collect(Object *obj, void *opaque)
{
    g_ptr_array_add(opaque, obj);
    return true;
}

static gint compare_components(gconstpointer a, gconstpointer b)
{
    return strcmp(object_path_component(*(Object *const *)a), object_path_component(*(Object *const *)b));
}

static void print_tree(Hmp *hmp, Object *obj, unsigned level)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new();
    const char *name = object_path_component(obj);

    hmp_printf(hmp, "%*s/%s (%s)\n", (int)(2 * level), "", name ? name : "", obj->type->name);
    object_foreach_child(obj, collect, children);
    g_ptr_array_sort(children, compare_components);
    for (unsigned i = 0; i < children->len; i++) {
        print_tree(hmp, g_ptr_array_index(children, i), level + 1);
    }
}

static void hmp_info_qom_tree(Hmp *hmp, const HmpArgs *args)
{
    const char *path = hmp_arg_has(args, "path") ? hmp_arg_str(args, "path") : "/machine";
    bool ambiguous = false;
    Object *obj = object_resolve(path, &ambiguous);

    if (!obj && ambiguous) {
        hmp_printf(hmp, "Path '%s' is ambiguous.\n", path);
    } else if (!obj) {
        hmp_printf(hmp, "Path '%s' could not be resolved.\n", path);
    } else {
        print_tree(hmp, obj, 0);
    }
}

static void hmp_qom_list(Hmp *hmp, const HmpArgs *args)
{
    ObjectPropertyInfoArray *list = NULL;
    GError *error = NULL;

    if (!hmp_arg_has(args, "path")) {
        hmp_puts(hmp, "/\n");
        return;
    }
    if (qmp_qom_list(hmp_arg_str(args, "path"), &list, &error)) {
        for (size_t i = 0; i < list->len; i++) {
            hmp_printf(hmp, "%s (%s)\n", list->items[i]->name, list->items[i]->type);
        }
        qapi_free_ObjectPropertyInfoArray(list);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_qom_get(Hmp *hmp, const HmpArgs *args)
{
    json_object *value = NULL;
    GError *error = NULL;

    if (qmp_qom_get(hmp_arg_str(args, "path"), hmp_arg_str(args, "property"), &value, &error)) {
        GString *text = g_string_new(NULL);

        qapi_json_write(text, value, true);
        hmp_printf(hmp, "%s\n", text->str);
        g_string_free(text, TRUE);
        json_object_put(value);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_qom_set(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool ambiguous;
    Object *obj = object_resolve(hmp_arg_str(args, "path"), &ambiguous);

    if (!obj) {
        error_set_class(&error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        hmp_arg_str(args, "path"));
    } else {
        object_set_text(obj, hmp_arg_str(args, "property"), hmp_arg_str(args, "value"), &error);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_object_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    ObjectOptions *options =
        qapi_decode_option(&qapi_type_ObjectOptions, hmp_arg_str(args, "object"), "qom-type", &error);

    if (options) {
        qmp_object_add(options, &error);
        qapi_free_ObjectOptions(options);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_object_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    user_creatable_del(hmp_arg_str(args, "id"), &error);
    hmp_report_error(hmp, &error);
}

static const HmpCommand qom_commands[] = {
    { "info qom-tree", "path:s?", "[path]", "show QOM composition tree", hmp_info_qom_tree, true },
    { "qom-list", "path:s?", "path", "list QOM properties", hmp_qom_list, true },
    { "qom-get", "path:s,property:s", "path property", "print QOM property", hmp_qom_get, true },
    { "qom-set", "path:s,property:s,value:S", "path property value", "set QOM property", hmp_qom_set, true },
    { "object_add", "object:S", "[qom-type=]type,id=str[,prop=value][,...]", "create QOM object",
      hmp_object_add, true },
    { "object_del", "id:s", "id", "destroy QOM object", hmp_object_del, true },
};
HMP_REGISTER(qom_commands)
