/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that the user names: -device, device_add, device_del. Error texts are stock's, clients match on them. */
#include "util/osdep.h"

#include "util/error.h"
#include "util/keyval.h"
#include "vmstate/blocker.h"
#include "hw/core/device.h"
#include "qapi/events-qdev.h"
#include "device-internal.h"

#define PERIPHERAL "/machine/peripheral"
#define PERIPHERAL_ANON "/machine/peripheral-anon"

/* ---- arguments ----------------------------------------------------------------------------------------- */

/* The string argument `key`; *value NULL if absent. Numbers are let through as their text (stock does). */
static const char *get_text(json_object *args, const char *key)
{
    json_object *value;

    return json_object_object_get_ex(args, key, &value) ? json_object_get_string(value) : NULL;
}

static const DeviceType *get_type(json_object *args, GError **error)
{
    const char *driver = get_text(args, "driver");
    const DeviceType *type;

    if (!driver) {
        error_set(error, "Parameter 'driver' is missing");
        return NULL;
    }
    type = device_type_by_name(driver);
    if (!type) {
        error_set(error, "'%s' is not a valid device model name", driver);
        return NULL;
    }
    if (type->object.abstract) {
        error_set(error, "Parameter 'driver' expects a non-abstract device type");
        return NULL;
    }
    if (!device_type_user_creatable(type) || (devices_ready() && !device_type_hotpluggable(type))) {
        error_set(error, "Parameter 'driver' expects a pluggable device type");
        return NULL;
    }
    return type;
}

static bool get_bus(json_object *args, const DeviceType *type, Bus **bus, GError **error)
{
    const char *name = get_text(args, "bus");
    const BusType *wanted = device_type_bus(type);

    *bus = NULL;
    if (name) {
        *bus = bus_find(name, error);
        if (!*bus) {
            return false;
        }
        if (!wanted || !object_is_a(*bus, &wanted->object)) {
            return error_set(error, "Device '%s' can't go on %s bus", type->object.name,
                             (*bus)->object.type->name);
        }
        if (bus_is_full(*bus)) {
            return error_set(error, "Bus '%s' is full", (*bus)->name);
        }
    } else if (wanted) {
        *bus = bus_find_by_type(wanted);
        if (!*bus || bus_is_full(*bus)) {
            return error_set(error, "No '%s' bus found for device '%s'", wanted->object.name,
                             type->object.name);
        }
    }
    if (devices_ready() && *bus && !(*bus)->hotpluggable) {
        return error_set(error, "Bus '%s' does not support hotplugging", (*bus)->name);
    }
    return true;
}

static bool set_properties(Device *dev, json_object *args, bool values_are_text, GError **error)
{
    json_object_object_foreach(args, key, value)
    {
        bool ok;

        if (!strcmp(key, "driver") || !strcmp(key, "id") || !strcmp(key, "bus")) {
            continue;
        }
        if (values_are_text && json_object_is_type(value, json_type_string)) {
            ok = object_set_text(&dev->object, key, json_object_get_string(value), error);
        } else {
            ok = object_set(&dev->object, key, value, error);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Text comes from people: they get a hint, and stock's other words for a double id. */
static bool place(Device *dev, const char *id, bool from_text, GError **error)
{
    if (!id) {
        return object_add_child(object_container(PERIPHERAL_ANON), "device[*]", &dev->object, error);
    }
    if (!id_wellformed(id)) {
        return error_set(error, "Parameter 'id' expects an identifier%s",
                         from_text ? "\nIdentifiers consist of letters, digits, '-', '.', '_', starting with "
                                     "a letter."
                                   : "");
    }
    if (!object_add_child(object_container(PERIPHERAL), id, &dev->object, NULL)) {
        return error_set(error, from_text && !devices_ready() ? "Duplicate ID '%s' for device"
                                                              : "Duplicate device ID '%s'",
                         id);
    }
    dev->id = g_strdup(id);
    return true;
}

Device *device_add_from_json(json_object *args, bool values_are_text, GError **error)
{
    const DeviceType *type;
    Device *dev;
    Bus *bus;

    if (vmstate_frozen()) {
        error_set(error, "device_add not allowed while migrating");
        return NULL;
    }
    type = get_type(args, error);
    if (!type || !get_bus(args, type, &bus, error)) {
        return NULL;
    }
    dev = device_new(type);
    if (!place(dev, get_text(args, "id"), values_are_text, error) ||
        !set_properties(dev, args, values_are_text, error) || !device_realize(dev, bus, error)) {
        object_unparent(&dev->object);
        object_unref(dev);
        return NULL;
    }
    return dev;
}

/* ---- finding and removing ------------------------------------------------------------------------------ */

Device *device_find(const char *id_or_path, GError **error)
{
    g_autofree char *path = NULL;
    Object *obj;

    if (*id_or_path != '/') {
        path = g_strdup_printf(PERIPHERAL "/%s", id_or_path);
        id_or_path = path;
    }
    obj = object_resolve(id_or_path, NULL);
    if (!obj) {
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        path ? path + strlen(PERIPHERAL "/") : id_or_path);
        return NULL;
    }
    if (!object_is_a(obj, &device_type.object)) {
        error_set(error, "%s is not a hotpluggable device", id_or_path);
        return NULL;
    }
    return DEVICE(obj);
}

bool device_del(const char *id_or_path, GError **error)
{
    Device *dev = device_find(id_or_path, error);
    const BusType *t;

    if (!dev) {
        return false;
    }
    if (vmstate_frozen()) {
        return error_set(error, "device_del not allowed while migrating");
    }
    if (dev->pending_delete) {
        return error_set(error, "Device %s is already in the process of unplug", id_or_path);
    }
    if (dev->bus && !dev->bus->hotpluggable) {
        return error_set(error, "Bus '%s' does not support hotplugging", dev->bus->name);
    }
    if (!device_type_hotpluggable(device_get_type(dev)) ||
        !device_type_user_creatable(device_get_type(dev))) {
        return error_set(error, "Device '%s' does not support hotplugging", dev->object.type->name);
    }
    if (!dev->bus) {
        DeviceUnplugRequest *unplug_request = device_unplug_request(dev);

        if (unplug_request) {
            return unplug_request(dev, error);
        }
    }
    t = dev->bus ? bus_get_type(dev->bus) : NULL;
    while (t && !t->unplug_request) {
        t = bus_type_parent(t);
    }
    if (t) {
        return t->unplug_request(dev->bus, dev, error);
    }
    device_unrealize(dev);
    return true;
}

void device_emit_deleted(const Device *dev, const char *path)
{
    qapi_event_send_DEVICE_DELETED(dev->id, path);
}
