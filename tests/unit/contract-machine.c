/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine in this process with a device of every type that a user can create. */
#include "util/osdep.h"
#include "contract.h"

#include <stdio.h>

#include "accel/accel.h"
#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include "qapi/dispatch.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

#define UHCI_CLASS 0x0c0300
#define UHCI_PORTSC 0x10
#define UHCI_PORT_ENABLE 0x0004
#define UHCI_PORT_RESET 0x0200

static GHashTable *reasons; /* const DeviceType * → why it could not be made */
static unsigned next_node;

/* What a type wants to be told; types not here get nothing but a drive, if they have that property. */
static const struct {
    const char *type, *key, *value;
} arguments[] = {
    { NULL, NULL, NULL },
};

/* Types that cannot be in this machine. */
static const struct {
    const char *type, *why;
} excuses[] = {
    { NULL, NULL },
};

const char *contract_excused(const DeviceType *type)
{
    for (unsigned i = 0; excuses[i].type; i++) {
        if (!strcmp(excuses[i].type, type->object.name)) {
            return excuses[i].why;
        }
    }
    return NULL;
}

static void G_GNUC_NORETURN give_up(const char *what, GError *error)
{
    printf("Bail out! %s: %s\n", what, error ? error->message : "");
    exit(EXIT_FAILURE);
}

static char *new_node(GError **error)
{
    char *name = g_strdup_printf("contract%u", next_node++);
    g_autofree char *text = g_strdup_printf("{\"driver\": \"null-co\", \"node-name\": \"%s\", \"size\": 1048576,"
                                            " \"read-zeroes\": true}",
                                            name);
    json_object *args = json_tokener_parse(text);

    if (!qmp_run("blockdev-add", args, NULL, error)) {
        g_clear_pointer(&name, g_free);
    }
    json_object_put(args);
    return name;
}

/* A USB device sits on a port of a controller, where nothing but the controller decides whether it is reached. */
static void choose_usb_port(json_object *args)
{
    static unsigned next;
    g_autofree char *bus = g_strdup_printf("usb-bus.%u", next / 2);
    g_autofree char *port = g_strdup_printf("%u", next % 2 + 1);

    next++;
    json_object_object_add(args, "bus", json_object_new_string(bus));
    json_object_object_add(args, "port", json_object_new_string(port));
}

static bool add_device(const DeviceType *type, GError **error)
{
    json_object *args = json_object_new_object();
    const BusType *bus = device_type_bus(type);
    Device *dev;

    json_object_object_add(args, "driver", json_object_new_string(type->object.name));
    for (unsigned i = 0; arguments[i].type; i++) {
        if (!strcmp(arguments[i].type, type->object.name)) {
            json_object_object_add(args, arguments[i].key, json_object_new_string(arguments[i].value));
        }
    }
    if (bus && !strcmp(bus->object.name, "usb-bus")) {
        if (!bus_find_by_type(bus)) {
            json_object_put(args);
            return error_set(error, "there is no USB bus yet");
        }
        choose_usb_port(args);
    }
    if (object_type_find_property(&type->object, "drive", NULL)) {
        g_autofree char *node = new_node(error);

        if (!node) {
            json_object_put(args);
            return false;
        }
        json_object_object_add(args, "drive", json_object_new_string(node));
    }
    dev = device_add_from_json(args, true, error);
    json_object_put(args);
    return dev;
}

static void collect(const DeviceType *type, void *opaque)
{
    if (device_type_user_creatable(type) && !contract_excused(type)) {
        g_ptr_array_add(opaque, (gpointer)type);
    }
}

/* Some make the bus that others need: goes round as long as that helps. */
static void add_all(void)
{
    g_autoptr(GPtrArray) waiting = g_ptr_array_new();
    guint before;

    device_type_foreach(collect, waiting);
    do {
        before = waiting->len;
        for (guint i = 0; i < waiting->len;) {
            const DeviceType *type = waiting->pdata[i];
            g_autoptr(GError) error = NULL;

            if (add_device(type, &error)) {
                g_hash_table_remove(reasons, type);
                g_ptr_array_remove_index(waiting, i);
            } else {
                g_hash_table_insert(reasons, (gpointer)type, g_strdup(error->message));
                i++;
            }
        }
    } while (waiting->len && waiting->len < before);
}

void contract_set_up_controllers(void)
{
    PciBus *bus = pci_root_bus();
    unsigned base = 0xc000;

    for (int devfn = 0; bus && devfn < 256; devfn++) {
        if (pci_config_read(bus, devfn, PCI_REVISION_ID, 4) >> 8 == UHCI_CLASS) {
            pci_config_write(bus, devfn, PCI_BAR_0 + 16, base, 4);
            pci_config_write(bus, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
            for (unsigned port = base + UHCI_PORTSC; port < base + UHCI_PORTSC + 4; port += 2) {
                port_write(port, UHCI_PORT_RESET, 2);
                port_write(port, 0, 2);
                port_write(port, UHCI_PORT_ENABLE, 2);
            }
            base += 0x20;
        }
    }
}

void contract_machine_start(const char *name)
{
    const MachineType *type = machine_type_by_name(name);
    g_autoptr(GError) error = NULL;
    Machine *machine;

    if (!type) {
        give_up(name, NULL);
    }
    reasons = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    main_loop_init();
    machine_apply_compat(type);
    machine = (Machine *)object_new(&type->object);
    machine->ram_size = 16 << 20;
    machine_set_current(machine);
    memory_init();
    if (!globals_apply(&machine->object, &error) || !accel_start("qtest", NULL, machine, &error) ||
        !machine_create_ram(machine, &error) || !type->init(machine, &error)) {
        give_up(name, error);
    }
    add_all();
    if (type->done && !type->done(machine, &error)) {
        give_up(name, error);
    }
    clock_virtual_enable(true);
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
}

typedef struct Search {
    const DeviceType *type;
    GPtrArray *found;
} Search;

static bool look_at(Object *obj, void *opaque)
{
    Search *search = opaque;

    if (obj->type == &search->type->object && DEVICE(obj)->realized) {
        g_ptr_array_add(search->found, obj);
    }
    return true;
}

GPtrArray *contract_instances(const DeviceType *type)
{
    Search search = { type, g_ptr_array_new() };

    object_foreach_child_recursive(object_root(), look_at, &search);
    return search.found;
}

const char *contract_why_absent(const DeviceType *type)
{
    return g_hash_table_lookup(reasons, type);
}
