/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices and buses.
 *
 * D1  Everything about a device type is in one constant record: object part, life cycle, bus, migration
 *     story, compat values. What a record leaves NULL is its parent's.
 * D2  A record without a migration story (own or inherited) aborts at registration.
 * D3  realize either succeeds or leaves the device as it found it. unrealize cannot fail.
 * D4  Reset goes from the leaves to the root: a bus's devices before the device that owns the bus.
 * D5  A realized device is in the tree: /machine/peripheral/ID, /machine/peripheral-anon/device[N], or
 *     /machine/unattached/device[N] for those that the board made, unless the maker named it.
 *
 * All under the big lock.
 */
#ifndef HW_CORE_DEVICE_H
#define HW_CORE_DEVICE_H

#include "hw/core/irq.h"
#include "qom/object.h"
#include "vmstate/vmstate.h"

typedef struct Device Device;
typedef struct DeviceType DeviceType;
typedef struct Bus Bus;
typedef struct BusType BusType;

/* ---- migration story --------------------------------------------------------------------------------- */

typedef enum DeviceMigrationKind {
    DEVICE_MIGRATION_INHERITED = 0,
    DEVICE_MIGRATION_VMSTATE,
    DEVICE_MIGRATION_STATELESS,
    DEVICE_MIGRATION_SAVED_BY_PARENT,
    DEVICE_MIGRATION_UNMIGRATABLE,
} DeviceMigrationKind;

typedef struct DeviceMigration {
    DeviceMigrationKind kind;
    const VmState *vmstate;
    const char *why; /* reason, or who saves it */
} DeviceMigration;

#define MIGRATES_WITH(vmsd) { .kind = DEVICE_MIGRATION_VMSTATE, .vmstate = &(vmsd) }
#define STATELESS(reason) { .kind = DEVICE_MIGRATION_STATELESS, .why = (reason) }
#define SAVED_BY_PARENT(who) { .kind = DEVICE_MIGRATION_SAVED_BY_PARENT, .why = (who) }
#define UNMIGRATABLE(reason) { .kind = DEVICE_MIGRATION_UNMIGRATABLE, .why = (reason) }

/* "Machines of version <= `until` get property = value": { "9.0", "migrate-emulated-scsi-request", "off" }. */
typedef struct DeviceCompat {
    const char *until;
    const char *property;
    const char *value;
} DeviceCompat;

/* ---- devices ----------------------------------------------------------------------------------------- */

typedef enum DeviceCategory {
    DEVICE_CATEGORY_NONE,
    DEVICE_CATEGORY_BRIDGE,
    DEVICE_CATEGORY_USB,
    DEVICE_CATEGORY_STORAGE,
    DEVICE_CATEGORY_NETWORK,
    DEVICE_CATEGORY_INPUT,
    DEVICE_CATEGORY_DISPLAY,
    DEVICE_CATEGORY_SOUND,
    DEVICE_CATEGORY_MISC,
    DEVICE_CATEGORY_CPU,
    DEVICE_CATEGORY_WATCHDOG,
} DeviceCategory;

struct DeviceType {
    ObjectType object;                 /* first: a DeviceType is an ObjectType */
    const BusType *bus;                /* the kind of bus it plugs into; NULL: none, or the system bus */
    DeviceCategory category;
    const char *firmware_name;         /* in boot paths, where the bus does not know better; may be NULL */
    bool not_user_creatable;           /* refused by -device / device_add */
    bool not_hotpluggable;
    bool (*realize)(Device *dev, GError **error);
    void (*unrealize)(Device *dev);
    void (*reset)(Device *dev);
    /* For those on no bus: one that came while the machine runs is there; device_del asks (NULL: it goes at once). */
    void (*plugged)(Device *dev);
    bool (*unplug_request)(Device *dev, GError **error);
    DeviceMigration migration;
    const DeviceCompat *compat;        /* ended by an entry without until */
    const void *ops;                   /* what the bus asks of its devices: UsbDeviceOps, PciDeviceOps… */
};

struct Device {
    Object object;
    char *id;                          /* user's id, or NULL */
    Bus *bus;                          /* plugged into, or NULL */
    GQueue buses;                      /* Bus *, that hang off this device */
    GPtrArray *pins;                   /* private: groups of named pins, in order of creation */
    unsigned bus_index;                /* private: N of the bus's link child[N] */
    bool realized;
    bool hotplugged;                   /* came after the machine was ready */
    bool pending_delete;               /* unplug was asked for; the guest has not let go yet */
    VmSection *vmsection;              /* registered at realize; NULL for those without own state */
    GError *global_error;              /* private: a -global that did not fit; realize reports it */
};

extern const DeviceType device_type;

#define DEVICE(obj) ((Device *)(obj))

/* Registers before main(). The argument is a DeviceType. Checks D2 once all types are known. */
void device_type_register(const DeviceType *type);
#define DEVICE_REGISTER(record)                                                \
    static void __attribute__((constructor)) register_device_##record(void)    \
    {                                                                          \
        device_type_register(&(record));                                       \
    }

/* By name, or by alias: "virtio-blk" for "virtio-blk-pci". */
const DeviceType *device_type_by_name(const char *name);
/* The record of a device's own type, and the entries after inheritance. */
const DeviceType *device_get_type(const Device *dev);
const void *device_ops(const Device *dev);
const DeviceMigration *device_migration(const DeviceType *type);
const VmState *device_vmstate(const Device *dev);

/* A new device with one reference (the caller's), not plugged. The name must be registered and concrete. */
Device *device_new(const DeviceType *type);
/* Plugs dev into bus (NULL for a bus-less one; checks the bus kind and that it has room), puts it in the
 * tree, realizes it and registers its state. Takes over the caller's reference in case of success; on
 * failure the reference is still the caller's. */
bool device_realize(Device *dev, Bus *bus, GError **error);
/* For a realize that needs its section earlier than behind its children's, or with an instance number of its own:
 * registers it now, device_realize() finds it done. */
void device_register_state(Device *dev, uint32_t instance_id);
/* Takes a realized device (and all below it) away: unrealize, state, tree, bus. Drops the tree's reference. */
void device_unrealize(Device *dev);
/* Names a child device that its maker puts into the tree before device_realize(): /…/OWNER/NAME. */
void device_set_tree_place(Device *dev, Object *owner, const char *name);
/* Resets everything on its buses, then the device. */
void device_reset(Device *dev);
/* Whether dev is realized and everything above it too. */
bool device_is_active(const Device *dev);

/* -device / device_add: typed JSON or text values ("driver", "id", "bus", properties…). Returns the
 * device (owned by the tree), or NULL with an error in stock's words. */
Device *device_add_from_json(json_object *args, bool values_are_text, GError **error);
/* device_del: asks the hot-plug handler; removal may wait for the guest. Emits DEVICE_DELETED when gone. */
bool device_del(const char *id_or_path, GError **error);
/* The device of that id or absolute path; NULL with class DeviceNotFound. */
Device *device_find(const char *id_or_path, GError **error);
/* Set by machine start: devices that come from now on are hot-plugged. */
void devices_set_ready(void);
bool devices_ready(void);

/* Calls func for every concrete device type, by name. */
typedef void DeviceTypeFunc(const DeviceType *type, void *opaque);
void device_type_foreach(DeviceTypeFunc *func, void *opaque);
/* Inherited parts of a record. */
const BusType *device_type_bus(const DeviceType *type);
bool device_type_user_creatable(const DeviceType *type);
bool device_type_hotpluggable(const DeviceType *type);

/* The prefix of section names ("0000:00:01.2", "0000:00:01.2/1"); new string, NULL for none. */
char *device_section_prefix(const Device *dev);

/* ---- buses ------------------------------------------------------------------------------------------- */

struct BusType {
    ObjectType object;
    unsigned max_devices;              /* 0: no limit */
    bool (*check_address)(Bus *bus, Device *dev, GError **error); /* before it is plugged; picks one if none given */
    char *(*section_prefix)(const Device *dev);                   /* for device_section_prefix() */
    char *(*firmware_path)(const Device *dev);
    void (*print_device)(const Device *dev, GString *out, int indent); /* extra lines of info qtree */
    void (*reset)(Bus *bus);
    /* Unplug on a hot-pluggable bus: NULL means at once. */
    bool (*unplug_request)(Bus *bus, Device *dev, GError **error);
    /* A hot-plugged device is there, reset and working. May be NULL. */
    void (*plugged)(Bus *bus, Device *dev);
};

struct Bus {
    Object object;
    char *name;                        /* "pci.0", "usb.0" or ID.N */
    Device *owner;
    GQueue devices;                    /* Device *, newest first as info qtree lists them */
    unsigned next_index;               /* private: of the link child[N] */
    bool realized;
    bool hotpluggable;
    bool full;                         /* computed by bus_is_full() users; may be forced */
};

extern const BusType bus_type;
void bus_type_register(const BusType *type);
#define BUS_REGISTER(record)                                                   \
    static void __attribute__((constructor)) register_bus_##record(void)       \
    {                                                                          \
        bus_type_register(&(record));                                          \
    }

/* A bus that hangs off owner (NULL: the main system bus). name NULL: "<owner's id>.N", or by type
 * "<lower-case kind>.N" counted over the machine. In the tree as a child of owner under its name. */
Bus *bus_new(const BusType *type, Device *owner, const char *name);
/* As bus_new() for a bus embedded in its owner's struct is not offered: buses are objects of their own. */
void bus_destroy(Bus *bus);
const BusType *bus_get_type(const Bus *bus);
/* First bus below the root that is_a(type), by preference one with room; NULL if there is none. */
Bus *bus_find_by_type(const BusType *type);
Bus *bus_find(const char *name_or_path, GError **error);
/* The main system bus, for board devices (`.bus = &system_bus_type`); made at the first call. */
extern const BusType system_bus_type;
Bus *system_bus(void);
void bus_reset(Bus *bus);

/* ---- named pins ---------------------------------------------------------------------------------------- */

/* n more input pins; they appear as "unnamed-gpio-in[i]" or NAME[i]. name may be NULL. */
void device_init_gpio_in(Device *dev, const char *name, IrqHandler *handler, int n);
/* n output pins, kept in pins[] of the device. */
void device_init_gpio_out(Device *dev, const char *name, Irq **pins, int n);
Irq *device_get_gpio_in(Device *dev, const char *name, int n);
void device_connect_gpio_out(Device *dev, const char *name, int n, Irq *target);
/* How many inputs of that name the device has. */
unsigned device_gpio_in_count(Device *dev, const char *name);
/* For qtest: calls back at each change of the device's (named) inputs / outputs; inputs still arrive
 * unless swallow. */
typedef void GpioWatch(void *opaque, int n, int level);
bool device_watch_gpio_in(Device *dev, const char *name, GpioWatch *watch, void *opaque);
bool device_watch_gpio_out(Device *dev, const char *name, bool swallow, GpioWatch *watch, void *opaque);

#endif
