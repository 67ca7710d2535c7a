/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP and HMP commands about devices: device_add and device_del, their listings, info qtree and info qdm. */
#include "util/osdep.h"

#include "util/error.h"
#include "util/keyval.h"
#include "qapi/commands-qdev.h"
#include "qapi/dispatch.h"
#include "monitor/hmp.h"
#include "hw/core/device-help.h"
#include "hw/core/device.h"
#include "device-internal.h"

QMP_REGISTER(qdev)

/* ---- QMP ----------------------------------------------------------------------------------------------- */

static void list_property(const ObjectType *owner, const Property *prop, void *opaque)
{
    ObjectPropertyInfoArray *list = opaque;
    ObjectPropertyInfo *info;

    if (prop->flags & PROPERTY_HIDDEN) {
        return;
    }
    info = g_new0(ObjectPropertyInfo, 1);
    info->name = g_strdup(prop->name);
    info->type = g_strdup(property_type_name(prop));
    info->description = g_strdup(property_description(prop));
    info->default_value = property_default(prop);
    QAPI_ARRAY_ADD(list, info);
}

bool qmp_device_list_properties(const char *typename, ObjectPropertyInfoArray **ret, GError **error)
{
    const ObjectType *type = object_type_by_name(typename);

    if (!type) {
        return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", typename);
    }
    if (!object_type_is_a(type, &device_type.object) || type->abstract) {
        return error_set(error, "Parameter 'typename' expects a non-abstract device type");
    }
    *ret = g_new0(ObjectPropertyInfoArray, 1);
    object_type_foreach_settable(type, list_property, *ret);
    return true;
}

bool qmp_device_add(json_object *args, json_object **ret, GError **error)
{
    json_object *none = NULL;
    bool ok;

    if (!args) {
        args = none = json_object_new_object();
    }
    ok = device_add_from_json(args, false, error);
    json_object_put(none);
    return ok;
}

bool qmp_device_del(const char *id, GError **error)
{
    return device_del(id, error);
}

/* ---- HMP: add and delete ------------------------------------------------------------------------------- */

static void print_help(Hmp *hmp, json_object *args, const char *text)
{
    GString *out = g_string_new(NULL);
    json_object *driver;

    if (args && json_object_object_get_ex(args, "driver", &driver)) {
        const ObjectType *type = object_type_by_name(json_object_get_string(driver));

        if (type) {
            property_help(out, type, type->name);
        }
    } else {
        device_help_list(out, true);
    }
    hmp_puts(hmp, out->str);
    g_string_free(out, TRUE);
}

static void hmp_device_add(Hmp *hmp, const HmpArgs *hmp_args)
{
    const char *text = hmp_arg_has(hmp_args, "device") ? hmp_arg_str(hmp_args, "device") : "";
    GError *error = NULL;
    bool help = false;
    json_object *args = keyval_parse(text, "driver", true, &help, &error);

    if (args && help) {
        print_help(hmp, args, text);
    } else if (args) {
        device_add_from_json(args, true, &error);
    }
    json_object_put(args);
    hmp_report_error(hmp, &error);
}

static void hmp_device_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    device_del(hmp_arg_str(args, "id"), &error);
    hmp_report_error(hmp, &error);
}

static bool add_word(Object *obj, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup(object_path_component(obj)));
    return true;
}

static void complete_device(unsigned n, const char *prefix, GPtrArray *words)
{
    object_foreach_child(object_container("/machine/peripheral"), add_word, words);
}

static void add_type_word(const DeviceType *type, void *opaque)
{
    if (device_type_user_creatable(type)) {
        g_ptr_array_add(opaque, g_strdup(type->object.name));
    }
}

static void complete_type(unsigned n, const char *prefix, GPtrArray *words)
{
    device_type_foreach(add_type_word, words);
}

/* ---- HMP: info qtree ----------------------------------------------------------------------------------- */

static void print_bus(GString *out, Bus *bus, int indent);

static void line(GString *out, int indent, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
static void line(GString *out, int indent, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_printf(out, "%*s", indent, "");
    g_string_append_vprintf(out, fmt, ap);
    g_string_append_c(out, '\n');
    va_end(ap);
}

/* "2 GiB": in the largest unit that leaves at least 1, with three digits. */
static char *size_text(uint64_t size)
{
    static const char units[] = " KMGTPE";
    double value = size;
    unsigned unit = 0;

    while (value >= 1000.0 && unit < 6) {
        value /= 1024.0;
        unit++;
    }
    return unit ? g_strdup_printf("%0.3g %ciB", value, units[unit]) : g_strdup_printf("%0.3g B", value);
}

static char *value_text(Object *obj, const Property *prop)
{
    json_object *value = NULL;
    char *text;

    if (prop->kind->print) {
        return prop->kind->print(obj, prop);
    }
    if (prop->kind->get) {
        value = prop->kind->get(obj, prop, NULL);
    }
    if (json_object_is_type(value, json_type_int)) {
        int64_t number = json_object_get_int64(value);

        if (g_str_equal(prop->kind->name, property_size.name)) {
            g_autofree char *size = size_text(json_object_get_uint64(value));

            text = g_strdup_printf("%" PRIu64 " (%s)", json_object_get_uint64(value), size);
        } else if (number < 0) {
            text = g_strdup_printf("%" PRId64 " (0x%" PRIx64 ")", number, (uint64_t)number);
        } else {
            uint64_t u = json_object_get_uint64(value);

            text = g_strdup_printf("%" PRIu64 " (0x%" PRIx64 ")", u, u);
        }
    } else if (json_object_is_type(value, json_type_boolean)) {
        text = g_strdup(json_object_get_boolean(value) ? "true" : "false");
    } else {
        const char *s = json_object_get_string(value);

        text = g_strdup_printf("\"%s\"", s ? s : "");
    }
    json_object_put(value);
    return text;
}

static void print_properties(GString *out, Device *dev, int indent)
{
    for (const ObjectType *type = dev->object.type; type != &device_type.object; type = type->parent) {
        for (const Property *prop = type->properties; prop && prop->name; prop++) {
            g_autofree char *text = NULL;

            if (prop->flags & PROPERTY_HIDDEN) {
                continue;
            }
            text = value_text(&dev->object, prop);
            if (text) {
                line(out, indent, "%s = %s", prop->name, text);
            }
        }
    }
}

static void print_pins(GString *out, Device *dev, int indent)
{
    for (unsigned i = dev->pins ? dev->pins->len : 0; i-- > 0;) {
        PinGroup *group = g_ptr_array_index(dev->pins, i);
        const char *name = group->name ? group->name : "";

        if (group->in->len) {
            line(out, indent, "gpio-in \"%s\" %u", name, group->in->len);
        }
        if (group->out->len) {
            line(out, indent, "gpio-out \"%s\" %u", name, group->out->len);
        }
    }
}

static void print_device(GString *out, Device *dev, int indent)
{
    const BusType *t = bus_get_type(dev->bus);

    line(out, indent, "dev: %s, id \"%s\"", dev->object.type->name, dev->id ? dev->id : "");
    print_pins(out, dev, indent + 2);
    print_properties(out, dev, indent + 2);
    while (t && !t->print_device) {
        t = bus_type_parent(t);
    }
    if (t) {
        t->print_device(dev, out, indent + 2);
    }
    for (GList *l = dev->buses.head; l; l = l->next) {
        print_bus(out, l->data, indent + 2);
    }
}

static void print_bus(GString *out, Bus *bus, int indent)
{
    line(out, indent, "bus: %s", bus->name);
    line(out, indent + 2, "type %s", bus->object.type->name);
    for (GList *l = bus->devices.head; l; l = l->next) {
        print_device(out, l->data, indent + 2);
    }
}

static void hmp_info_qtree(Hmp *hmp, const HmpArgs *args)
{
    GString *out = g_string_new(NULL);

    print_bus(out, system_bus(), 0);
    hmp_puts(hmp, out->str);
    g_string_free(out, TRUE);
}

static void hmp_info_qdm(Hmp *hmp, const HmpArgs *args)
{
    GString *out = g_string_new(NULL);

    device_help_list(out, false);
    hmp_puts(hmp, out->str);
    g_string_free(out, TRUE);
}

static const HmpCommand device_commands[] = {
    { "device_add", "device:S?", "driver[,prop=value][,...]", "add device, like -device on the command line",
      hmp_device_add, .complete = complete_type },
    { "device_del", "id:s", "device", "remove device", hmp_device_del, .complete = complete_device },
    { "info qtree", "", "", "show device tree", hmp_info_qtree },
    { "info qdm", "", "", "show qdev device model list", hmp_info_qdm, true },
};
HMP_REGISTER(device_commands)
