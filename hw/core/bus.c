/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buses: what a device plugs into. */
#include "util/osdep.h"

#include "util/error.h"
#include "system/runstate.h"
#include "hw/core/device.h"
#include "device-internal.h"

static GHashTable *auto_numbers; /* lower-case kind → next number */
static Bus *main_bus;

/* ---- types --------------------------------------------------------------------------------------------- */

static void bus_instance_init(Object *obj)
{
    g_queue_init(&((Bus *)obj)->devices);
}

static void bus_finalize(Object *obj)
{
    g_free(((Bus *)obj)->name);
}

static const Property bus_properties[] = {
    PROPERTY("realized", property_bool, Bus, realized, .flags = PROPERTY_READ_ONLY | PROPERTY_HIDDEN),
    {},
};

const BusType bus_type = {
    .object = {
        .name = "bus",
        .parent = &object_type,
        .size = sizeof(Bus),
        .abstract = true,
        .properties = bus_properties,
        .init = bus_instance_init,
        .finalize = bus_finalize,
    },
};
BUS_REGISTER(bus_type)

/* What stands on it is not on a way to a boot device, but for those that say so. */
static char *system_bus_firmware_path(const Device *dev)
{
    return g_strdup(device_get_type(dev)->firmware_name);
}

const BusType system_bus_type = {
    .object = { .name = "System", .parent = &bus_type.object },
    .firmware_path = system_bus_firmware_path,
};
BUS_REGISTER(system_bus_type)

void bus_type_register(const BusType *type)
{
    object_type_register(&type->object);
}

const BusType *bus_get_type(const Bus *bus)
{
    return (const BusType *)bus->object.type;
}

const BusType *bus_type_parent(const BusType *t)
{
    return t == &bus_type ? NULL : (const BusType *)t->object.parent;
}

/* ---- buses --------------------------------------------------------------------------------------------- */

static char *automatic_name(const BusType *type, Device *owner)
{
    g_autofree char *kind = g_ascii_strdown(type->object.name, -1);
    unsigned n;
    char *name;

    if (owner && owner->id) {
        return g_strdup_printf("%s.%u", owner->id, owner->buses.length);
    }
    if (!auto_numbers) {
        auto_numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    n = GPOINTER_TO_UINT(g_hash_table_lookup(auto_numbers, kind));
    name = g_strdup_printf("%s.%u", kind, n);
    g_hash_table_insert(auto_numbers, g_steal_pointer(&kind), GUINT_TO_POINTER(n + 1));
    return name;
}

Bus *bus_new(const BusType *type, Device *owner, const char *name)
{
    Bus *bus = (Bus *)object_new(&type->object);

    bus->name = name ? g_strdup(name) : automatic_name(type, owner);
    bus->owner = owner;
    bus->realized = true;
    if (owner) {
        g_queue_push_head(&owner->buses, bus);
        object_add_child(&owner->object, bus->name, &bus->object, NULL);
    }
    return bus;
}

void bus_destroy(Bus *bus)
{
    if (!bus) {
        return;
    }
    while (bus->devices.head) {
        device_unrealize(bus->devices.head->data);
    }
    if (bus->owner) {
        g_queue_remove(&bus->owner->buses, bus);
    }
    object_unparent(&bus->object);
    object_unref(bus);
}

static void system_bus_reset(void *opaque)
{
    bus_reset(opaque);
}

Bus *system_bus(void)
{
    if (!main_bus) {
        main_bus = bus_new(&system_bus_type, NULL, "main-system-bus");
        object_add_child(object_container("/machine/unattached"), "sysbus", &main_bus->object, NULL);
        reset_set_tree_handler(system_bus_reset, main_bus);
    }
    return main_bus;
}

void bus_reset(Bus *bus)
{
    const BusType *t = bus_get_type(bus);
    GList *l = bus->devices.tail;

    /* In the order in which they were plugged; a device does not go away during a reset. */
    for (; l; l = l->prev) {
        device_reset(l->data);
    }
    while (t && !t->reset) {
        t = bus_type_parent(t);
    }
    if (t) {
        t->reset(bus);
    }
}

/* ---- plugging ------------------------------------------------------------------------------------------ */

static json_object *get_child_link(Object *obj, const char *name, void *opaque, GError **error)
{
    g_autofree char *path = object_path(opaque);

    return json_object_new_string(path ? path : "");
}

static unsigned max_devices(const BusType *t)
{
    for (; t; t = bus_type_parent(t)) {
        if (t->max_devices) {
            return t->max_devices;
        }
    }
    return 0;
}

bool bus_is_full(const Bus *bus)
{
    unsigned max = max_devices(bus_get_type(bus));

    return bus->full || (max && bus->devices.length >= max);
}

/* The bus's own say, while dev is not in its list yet. */
static bool check_address(Bus *bus, Device *dev, GError **error)
{
    const BusType *t = bus_get_type(bus);

    while (t && !t->check_address) {
        t = bus_type_parent(t);
    }
    return !t || t->check_address(bus, dev, error);
}

bool bus_attach(Bus *bus, Device *dev, GError **error)
{
    const BusType *wanted = device_type_bus(device_get_type(dev));
    const char *name = dev->object.type->name;
    g_autofree char *component = NULL;
    g_autofree char *link = NULL;

    if (!bus) {
        if (wanted) {
            return error_set(error, "Device '%s' needs a bus of type '%s'", name, wanted->object.name);
        }
    } else if (!object_is_a(bus, wanted ? &wanted->object : &system_bus_type.object)) {
        return error_set(error, "Device '%s' can't go on %s bus", name, bus->object.type->name);
    } else if (bus_is_full(bus)) {
        return error_set(error, "Bus '%s' is full", bus->name);
    }
    /* A device that is being realized puts what it needs onto its own bus, hot or not. */
    if (dev->hotplugged && bus && !bus->hotpluggable && (!bus->owner || bus->owner->realized)) {
        return error_set(error, "Bus '%s' does not support hotplugging", bus->name);
    }
    dev->bus = bus;
    if (bus && !check_address(bus, dev, error)) {
        dev->bus = NULL;
        return false;
    }
    if (bus) {
        component = g_strdup_printf("child[%u]", bus->next_index);
        link = g_strdup_printf("link<%s>", name);
        dev->bus_index = bus->next_index++;
        object_ref(dev);
        g_queue_push_head(&bus->devices, dev);
        object_add_property(&bus->object, component, link, get_child_link, NULL, NULL, dev);
    }
    return true;
}

void bus_detach(Bus *bus, Device *dev)
{
    g_autofree char *component = NULL;

    if (!bus) {
        return;
    }
    component = g_strdup_printf("child[%u]", dev->bus_index);
    object_del_property(&bus->object, component);
    g_queue_remove(&bus->devices, dev);
    dev->bus = NULL;
    object_unref(dev);
}

/* ---- finding ------------------------------------------------------------------------------------------- */

/* Breadth does not matter, order does: first that fits from the root on, by preference one with room. */
static Bus *find_below(Bus *bus, bool (*match)(Bus *bus, const void *what), const void *what, Bus **full)
{
    if (match(bus, what)) {
        if (!full || !bus_is_full(bus)) {
            return bus;
        }
        if (!*full) {
            *full = bus;
        }
    }
    for (GList *d = bus->devices.head; d; d = d->next) {
        for (GList *b = DEVICE(d->data)->buses.head; b; b = b->next) {
            Bus *found = find_below(b->data, match, what, full);

            if (found) {
                return found;
            }
        }
    }
    return NULL;
}

static bool match_type(Bus *bus, const void *what)
{
    return object_is_a(bus, what);
}

static bool match_name(Bus *bus, const void *what)
{
    return !strcmp(bus->name, what);
}

Bus *bus_find_by_type(const BusType *type)
{
    Bus *full = NULL;
    Bus *found = find_below(system_bus(), match_type, &type->object, &full);

    return found ? found : full;
}

Bus *bus_find(const char *name, GError **error)
{
    Bus *bus;

    if (*name == '/') {
        Object *obj = object_resolve(name, NULL);

        bus = object_cast(obj, &bus_type.object);
        if (!bus) {
            bus = obj && object_is_a(obj, &device_type.object) && DEVICE(obj)->buses.length == 1
                      ? DEVICE(obj)->buses.head->data
                      : NULL;
        }
    } else {
        bus = find_below(system_bus(), match_name, name, NULL);
    }
    if (!bus) {
        error_set(error, "Bus '%s' not found", name);
    }
    return bus;
}
