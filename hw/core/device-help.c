/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Help texts made of the type records, laid out as stock's. */
#include "util/osdep.h"

#include "util/keyval.h"
#include "hw/core/device-help.h"
#include "hw/core/device.h"

static const struct {
    DeviceCategory category;
    const char *title;
} categories[] = {
    { DEVICE_CATEGORY_BRIDGE, "Controller/Bridge/Hub" },
    { DEVICE_CATEGORY_USB, "USB" },
    { DEVICE_CATEGORY_STORAGE, "Storage" },
    { DEVICE_CATEGORY_NETWORK, "Network" },
    { DEVICE_CATEGORY_INPUT, "Input" },
    { DEVICE_CATEGORY_DISPLAY, "Display" },
    { DEVICE_CATEGORY_SOUND, "Sound" },
    { DEVICE_CATEGORY_MISC, "Misc" },
    { DEVICE_CATEGORY_CPU, "CPU" },
    { DEVICE_CATEGORY_WATCHDOG, "Watchdog" },
    { DEVICE_CATEGORY_NONE, "Uncategorized" },
};

typedef struct ListWalk {
    GString *out;
    const char *title; /* NULL: printed */
    DeviceCategory category;
    bool user_only;
    bool first;
} ListWalk;

static DeviceCategory type_category(const DeviceType *type)
{
    for (; type != &device_type; type = (const DeviceType *)type->object.parent) {
        if (type->category != DEVICE_CATEGORY_NONE) {
            return type->category;
        }
    }
    return DEVICE_CATEGORY_NONE;
}

static void list_type(const DeviceType *type, void *opaque)
{
    ListWalk *walk = opaque;
    const BusType *bus = device_type_bus(type);
    bool user = device_type_user_creatable(type);

    if (type_category(type) != walk->category || (walk->user_only && !user)) {
        return;
    }
    if (walk->title) {
        g_string_append_printf(walk->out, "%s%s devices:\n", walk->first ? "" : "\n", walk->title);
        walk->title = NULL;
        walk->first = false;
    }
    g_string_append_printf(walk->out, "name \"%s\"", type->object.name);
    if (bus) {
        g_string_append_printf(walk->out, ", bus %s", bus->object.name);
    }
    if (g_str_has_prefix(type->object.name, "virtio-") && g_str_has_suffix(type->object.name, "-pci")) {
        g_string_append_printf(walk->out, ", alias \"%.*s\"", (int)strlen(type->object.name) - 4, type->object.name);
    }
    if (type->object.description) {
        g_string_append_printf(walk->out, ", desc \"%s\"", type->object.description);
    }
    g_string_append(walk->out, user ? "\n" : ", no-user\n");
}

void device_help_list(GString *out, bool user_creatable_only)
{
    ListWalk walk = { .out = out, .user_only = user_creatable_only, .first = true };

    for (unsigned i = 0; i < G_N_ELEMENTS(categories); i++) {
        walk.title = categories[i].title;
        walk.category = categories[i].category;
        device_type_foreach(list_type, &walk);
    }
}

/* ---- properties ---------------------------------------------------------------------------------------- */

json_object *property_default(const Property *prop)
{
    static const PropertyKind *const integers[] = {
        &property_uint8, &property_uint16, &property_uint32, &property_uint64, &property_int32, &property_int64,
    };
    const char *text = prop->default_text;
    uint64_t number = 0;
    int64_t negative;
    bool flag = false;

    if (prop->kind == &property_bool || prop->kind == &property_bit32 || prop->kind == &property_bit64) {
        if (text) {
            parse_bool(text, &flag, NULL);
        }
        return json_object_new_boolean(flag);
    }
    if (prop->kind == &property_enum) {
        const PropertyEnum *first = prop->arg;

        return text || first ? json_object_new_string(text ? text : first->name) : NULL;
    }
    if (prop->kind == &property_size) {
        return text && !parse_size(text, 1, &number, NULL) ? NULL : json_object_new_uint64(number);
    }
    if (prop->kind == &property_string || prop->kind == &property_link) {
        return text ? json_object_new_string(text) : NULL;
    }
    if (text && parse_int64(text, &negative, NULL)) {
        return json_object_new_int64(negative);
    }
    if (text && parse_uint64(text, &number, NULL)) {
        return json_object_new_uint64(number);
    }
    for (unsigned i = 0; !text && i < G_N_ELEMENTS(integers); i++) {
        if (prop->kind == integers[i]) {
            return json_object_new_int(0);
        }
    }
    return NULL;
}

static void help_line(const ObjectType *owner, const Property *prop, void *opaque)
{
    GPtrArray *lines = opaque;
    GString *line;
    json_object *value;

    if (prop->flags & (PROPERTY_HIDDEN | PROPERTY_READ_ONLY)) {
        return;
    }
    value = property_default(prop);
    line = g_string_new(NULL);
    g_string_append_printf(line, "  %s=<%s>", prop->name, property_type_name(prop));
    if (property_description(prop) || value) {
        while (line->len < 24) {
            g_string_append_c(line, ' ');
        }
        g_string_append_printf(line, " - %s", property_description(prop) ? property_description(prop) : "");
    }
    if (value) {
        g_string_append_printf(line, " (default: %s)", json_object_to_json_string(value));
        json_object_put(value);
    }
    g_string_append_c(line, '\n');
    g_ptr_array_add(lines, g_string_free(line, FALSE));
}

static gint compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void property_help(GString *out, const ObjectType *type, const char *title)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    object_type_foreach_settable(type, help_line, lines);
    if (!lines->len) {
        g_string_append_printf(out, "There are no options for %s.\n", title);
        return;
    }
    g_ptr_array_sort(lines, compare_lines);
    g_string_append_printf(out, "%s options:\n", title);
    for (unsigned i = 0; i < lines->len; i++) {
        g_string_append(out, g_ptr_array_index(lines, i));
    }
}
