/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a device: types, realize, unrealize, reset. include/hw/core/device.h has the rules D1 to D5. */
#include "util/osdep.h"

#include "util/error.h"
#include "system/runstate.h"
#include "vmstate/blocker.h"
#include "hw/core/bootorder.h"
#include "hw/core/device.h"
#include "device-internal.h"

static bool ready;

/* ---- types --------------------------------------------------------------------------------------------- */

const DeviceType *device_type_parent(const DeviceType *t)
{
    return t == &device_type ? NULL : (const DeviceType *)t->object.parent;
}

/* A member of the record, or of the nearest ancestor that has it. */
#define INHERITED(type_, member)                                                                \
    ({                                                                                          \
        const DeviceType *t_ = (type_);                                                         \
        while (t_ && !t_->member) {                                                             \
            t_ = device_type_parent(t_);                                                        \
        }                                                                                       \
        t_ ? t_->member : NULL;                                                                 \
    })

const DeviceMigration *device_migration(const DeviceType *type)
{
    while (type && type->migration.kind == DEVICE_MIGRATION_INHERITED) {
        type = device_type_parent(type);
    }
    return type ? &type->migration : NULL;
}

void device_type_register(const DeviceType *type)
{
    const ObjectType *base = type->object.parent;

    while (base && base != &device_type.object) {
        base = base->parent;
    }
    if (!base && type != &device_type) {
        g_error("device type '%s' does not descend from 'device'", type->object.name);
    }
    if (!type->object.abstract && !device_migration(type)) {
        g_error("device type '%s' does not say how it migrates: give it a vmstate, STATELESS(), "
                "SAVED_BY_PARENT() or UNMIGRATABLE()",
                type->object.name);
    }
    object_type_register(&type->object);
}

const DeviceType *device_type_by_name(const char *name)
{
    const ObjectType *type = object_type_by_name(name);

    if (!type && g_str_has_prefix(name, "virtio-")) { /* what stock calls an alias: "virtio-blk" is "virtio-blk-pci" */
        g_autofree char *card = g_strconcat(name, "-pci", NULL);
        type = object_type_by_name(card);
    }
    return type && object_type_is_a(type, &device_type.object) ? (const DeviceType *)type : NULL;
}

typedef struct TypeWalk {
    DeviceTypeFunc *func;
    void *opaque;
} TypeWalk;

static bool type_walk(const ObjectType *type, void *opaque)
{
    TypeWalk *walk = opaque;

    walk->func((const DeviceType *)type, walk->opaque);
    return true;
}

void device_type_foreach(DeviceTypeFunc *func, void *opaque)
{
    TypeWalk walk = { func, opaque };

    object_type_foreach(&device_type.object, false, type_walk, &walk);
}

const BusType *device_type_bus(const DeviceType *type)
{
    return INHERITED(type, bus);
}

bool device_type_user_creatable(const DeviceType *type)
{
    for (; type; type = device_type_parent(type)) {
        if (type->not_user_creatable) {
            return false;
        }
    }
    return true;
}

bool device_type_hotpluggable(const DeviceType *type)
{
    for (; type; type = device_type_parent(type)) {
        if (type->not_hotpluggable) {
            return false;
        }
    }
    return true;
}

const DeviceType *device_get_type(const Device *dev)
{
    return (const DeviceType *)dev->object.type;
}

const void *device_ops(const Device *dev)
{
    return INHERITED(device_get_type(dev), ops);
}

const VmState *device_vmstate(const Device *dev)
{
    const DeviceMigration *m = device_migration(device_get_type(dev));

    return m && m->kind == DEVICE_MIGRATION_VMSTATE ? m->vmstate : NULL;
}

/* ---- realize ------------------------------------------------------------------------------------------- */

Device *device_new(const DeviceType *type)
{
    Device *dev = (Device *)object_new(&type->object);

    globals_apply(&dev->object, &dev->global_error);
    return dev;
}

void device_set_tree_place(Device *dev, Object *owner, const char *name)
{
    object_add_child(owner, name, &dev->object, NULL);
}

/* Registers the section; a device that must not be migrated stands in the list with its reason (P6). */
void device_register_state(Device *dev, uint32_t instance_id)
{
    const DeviceMigration *m = device_migration(device_get_type(dev));
    g_autofree char *prefix = NULL;
    g_autofree char *idstr = NULL;

    if (dev->vmsection) {
        return;
    }
    if (m->kind == DEVICE_MIGRATION_VMSTATE) {
        prefix = device_section_prefix(dev);
        idstr = prefix ? g_strdup_printf("%s/%s", prefix, m->vmstate->name) : g_strdup(m->vmstate->name);
        dev->vmsection = vmstate_register(idstr, instance_id, m->vmstate, dev);
    } else if (m->kind == DEVICE_MIGRATION_UNMIGRATABLE) {
        prefix = device_section_prefix(dev);
        idstr = prefix ? g_strdup_printf("%s/%s", prefix, dev->object.type->name)
                       : g_strdup(dev->object.type->name);
        dev->vmsection = vmstate_register_handlers(idstr, instance_id, 0, NULL, dev);
        dev->vmsection->unmigratable = true;
        dev->vmsection->reason = m->why;
    }
}

/* Takes away all devices of all buses below dev, then the buses. */
static void remove_children(Device *dev)
{
    for (GList *l = dev->buses.head; l; l = l->next) {
        Bus *bus = l->data;

        while (bus->devices.head) {
            device_unrealize(bus->devices.head->data);
        }
    }
}

static void destroy_buses(Device *dev)
{
    while (dev->buses.head) {
        bus_destroy(dev->buses.head->data);
    }
}

/* Leaves nothing behind when it fails. */
static bool realize_type(Device *dev, GError **error)
{
    bool (*realize)(Device *, GError **) = INHERITED(device_get_type(dev), realize);

    if (realize && !realize(dev, error)) {
        remove_children(dev);
        destroy_buses(dev);
        if (dev->vmsection) {
            vmstate_unregister(g_steal_pointer(&dev->vmsection));
        }
        return false;
    }
    return true;
}

static void tell_bus_plugged(Device *dev)
{
    const BusType *t = dev->bus ? bus_get_type(dev->bus) : NULL;

    while (t && !t->plugged) {
        t = bus_type_parent(t);
    }
    if (t) {
        t->plugged(dev->bus, dev);
    }
}

bool device_realize(Device *dev, Bus *bus, GError **error)
{
    bool placed = false;

    g_assert(!dev->realized);
    if (dev->global_error) {
        g_propagate_error(error, g_steal_pointer(&dev->global_error));
        return false;
    }
    if (vmstate_only_migratable() &&
        device_migration(device_get_type(dev))->kind == DEVICE_MIGRATION_UNMIGRATABLE) {
        return error_set(error, "Device %s is not migratable, but --only-migratable was specified",
                         dev->object.type->name);
    }
    dev->hotplugged = ready;
    if (!bus_attach(bus, dev, error)) {
        return false;
    }
    if (!dev->object.parent) {
        object_add_child(object_container("/machine/unattached"), "device[*]", &dev->object, NULL);
        placed = true;
    }
    if (!realize_type(dev, error)) {
        bus_detach(bus, dev);
        if (placed) {
            object_unparent(&dev->object);
        }
        return false;
    }
    device_register_state(dev, VM_INSTANCE_ANY);
    dev->realized = true;
    if (dev->hotplugged) {
        void (*plugged)(Device *) = INHERITED(device_get_type(dev), plugged);

        device_reset(dev);
        tell_bus_plugged(dev);
        if (!dev->bus && plugged) {
            plugged(dev);
        }
    }
    object_unref(dev); /* the tree has its own */
    return true;
}

DeviceUnplugRequest *device_unplug_request(const Device *dev)
{
    return INHERITED(device_get_type(dev), unplug_request);
}

void device_unrealize(Device *dev)
{
    void (*unrealize)(Device *) = INHERITED(device_get_type(dev), unrealize);
    g_autofree char *path = object_path(&dev->object);

    g_assert(dev->realized);
    object_ref(dev);
    remove_children(dev);
    if (dev->vmsection) {
        vmstate_unregister(g_steal_pointer(&dev->vmsection));
    }
    dev->realized = false;
    boot_index_remove(dev);
    if (unrealize) {
        unrealize(dev);
    }
    destroy_buses(dev);
    bus_detach(dev->bus, dev);
    object_unparent(&dev->object);
    device_emit_deleted(dev, path);
    object_unref(dev);
}

bool device_is_active(const Device *dev)
{
    for (; dev; dev = dev->bus ? dev->bus->owner : NULL) {
        if (!dev->realized) {
            return false;
        }
    }
    return true;
}

void devices_set_ready(void)
{
    ready = true;
}

bool devices_ready(void)
{
    return ready;
}

char *device_section_prefix(const Device *dev)
{
    for (; dev && dev->bus; dev = dev->bus->owner) {
        const BusType *t = bus_get_type(dev->bus);

        while (t && !t->section_prefix) {
            t = bus_type_parent(t);
        }
        if (t) {
            return t->section_prefix(dev);
        }
    }
    return NULL;
}

/* ---- reset --------------------------------------------------------------------------------------------- */

void device_reset(Device *dev)
{
    void (*reset)(Device *) = INHERITED(device_get_type(dev), reset);

    for (GList *l = dev->buses.head; l; l = l->next) {
        bus_reset(l->data);
    }
    if (reset) {
        reset(dev);
    }
}

/* ---- the base type ------------------------------------------------------------------------------------- */

static void device_instance_init(Object *obj)
{
    g_queue_init(&DEVICE(obj)->buses);
}

static void device_finalize(Object *obj)
{
    Device *dev = DEVICE(obj);

    boot_index_remove(dev);
    device_free_pins(dev);
    g_clear_error(&dev->global_error);
    g_free(dev->id);
}

static json_object *get_parent_bus(Object *obj, const Property *prop, GError **error)
{
    Device *dev = DEVICE(obj);
    g_autofree char *path = dev->bus ? object_path(&dev->bus->object) : NULL;

    return json_object_new_string(path ? path : "");
}

static json_object *get_hotpluggable(Object *obj, const Property *prop, GError **error)
{
    Device *dev = DEVICE(obj);

    return json_object_new_boolean(device_type_hotpluggable(device_get_type(dev)) &&
                                   (!dev->bus || dev->bus->hotpluggable));
}

static const PropertyKind property_parent_bus = { .name = "link<bus>", .get = get_parent_bus };
static const PropertyKind property_hotpluggable = { .name = "bool", .get = get_hotpluggable };

static const Property device_properties[] = {
    { .name = "parent_bus", .kind = &property_parent_bus, .flags = PROPERTY_READ_ONLY | PROPERTY_HIDDEN },
    PROPERTY("realized", property_bool, Device, realized, .flags = PROPERTY_READ_ONLY | PROPERTY_HIDDEN),
    PROPERTY("hotplugged", property_bool, Device, hotplugged, .flags = PROPERTY_READ_ONLY | PROPERTY_HIDDEN),
    { .name = "hotpluggable", .kind = &property_hotpluggable, .flags = PROPERTY_READ_ONLY | PROPERTY_HIDDEN },
    {},
};

const DeviceType device_type = {
    .object = {
        .name = "device",
        .parent = &object_type,
        .size = sizeof(Device),
        .abstract = true,
        .properties = device_properties,
        .init = device_instance_init,
        .finalize = device_finalize,
    },
};
DEVICE_REGISTER(device_type)

/* A realized device takes new values only where its property says so. */
static bool guard_realized(Object *obj, const char *name, const Property *prop, GError **error)
{
    Device *dev = DEVICE(obj);

    if (!dev->realized || !prop || (prop->flags & PROPERTY_ANY_TIME)) {
        return true;
    }
    if (dev->id) {
        return error_set(error, "Attempt to set property '%s' on device '%s' (type '%s') after it was realized",
                         name, dev->id, obj->type->name);
    }
    return error_set(error, "Attempt to set property '%s' on anonymous device (type '%s') after it was realized",
                     name, obj->type->name);
}

static void __attribute__((constructor)) install_guard(void)
{
    object_install_set_guard(&device_type.object, guard_realized);
}
