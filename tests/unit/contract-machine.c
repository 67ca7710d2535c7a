/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine in this process with a device of every type that a user can create. */
#include "util/osdep.h"
#include "contract.h"

#include <stdio.h>

#include "accel/accel.h"
#include "hw/core/machine.h"
#include "hw/timer/mc146818rtc.h"
#include "hw/pci/pci.h"
#include "qapi/dispatch.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

#define UHCI_CLASS 0x0c0300
#define UHCI_USBCMD 0x00
#define UHCI_FLBASEADD 0x08
#define UHCI_PORTSC 0x10
#define UHCI_RUN 0x00c1 /* run, configured, 64-byte packets */
#define UHCI_PORT_ENABLE 0x0004
#define UHCI_PORT_RESET 0x0200

static GHashTable *reasons; /* const DeviceType * → why it could not be made */
static unsigned next_node;

/* What a type wants to be told; types not here get nothing but a drive, if they have that property. */
static const struct {
    const char *type, *key, *value;
} arguments[] = {
    { "vhost-user-fs-pci", "tag", "contract" },
    { "vhost-user-device-pci", "virtio-id", "42" },
    { NULL, NULL, NULL },
};

/* Types that cannot be in this machine: with a board, in no machine but its. */
static const struct {
    const char *type, *why, *board;
} excuses[] = {
    { "i440FX", "the other board has it", "pc-i440fx-" },
    { "i440FX-pcihost", "the other board has it", "pc-i440fx-" },
    { "PIIX3", "the other board has it", "pc-i440fx-" },
    { "PIIX4_PM", "the other board has it", "pc-i440fx-" },
    { "mch", "the other board has it", "pc-q35-" },
    { "q35-pcihost", "the other board has it", "pc-q35-" },
    { "ICH9-LPC", "the other board has it", "pc-q35-" },
    { "ICH9-SMB", "the other board has it", "pc-q35-" },
    { "virtio-balloon-pci-transitional", "a machine has one balloon" },
    { "virtio-balloon-pci-non-transitional", "a machine has one balloon" },
    { "kvm-apic", "it is in the kernel and needs KVM" },
    { "kvm-i8259", "it is in the kernel and needs KVM" },
    { "kvm-ioapic", "it is in the kernel and needs KVM" },
    { "kvm-pit", "it is in the kernel and needs KVM" },
    { "kvmclock", "it is in the kernel and needs KVM" },
    {},
};

static const MachineType *machine_made;

const char *contract_excused(const DeviceType *type)
{
    for (unsigned i = 0; excuses[i].type; i++) {
        if (!strcmp(excuses[i].type, type->object.name) &&
            !(excuses[i].board && g_str_has_prefix(machine_made->name, excuses[i].board))) {
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

char *contract_add_chardev(const char *backend, GError **error)
{
    char *id = g_strdup_printf("contract%u", next_node++);
    g_autofree char *text = g_strdup_printf("{\"id\": \"%s\", \"backend\": %s}", id, backend);
    json_object *args = json_tokener_parse(text);

    if (!qmp_run("chardev-add", args, NULL, error)) {
        g_clear_pointer(&id, g_free);
    }
    json_object_put(args);
    return id;
}

static char *new_chardev(const DeviceType *type, GError **error)
{
    if (g_str_has_prefix(type->object.name, "vhost-user-")) {
        return contract_new_peer(type, error);
    }
    return contract_add_chardev("{\"type\": \"null\", \"data\": {}}", error);
}

/* RAM that a vhost-user back end can have, too. */
static bool new_memory(GError **error)
{
    json_object *args = json_tokener_parse("{\"qom-type\": \"memory-backend-memfd\", \"id\": \"ram0\","
                                           " \"size\": 16777216, \"share\": true}");
    bool ok = qmp_run("object-add", args, NULL, error);

    json_object_put(args);
    return ok;
}

/* The tree's objects of a type, oldest path first. */
typedef struct Search {
    const ObjectType *type;
    bool exactly;
    GPtrArray *found;
} Search;

static bool look_at(Object *obj, void *opaque)
{
    Search *search = opaque;

    if (search->exactly ? obj->type == search->type : object_is_a(obj, search->type)) {
        g_ptr_array_add(search->found, obj);
    }
    return true;
}

static GPtrArray *find_all(const ObjectType *type, bool exactly)
{
    Search search = { type, exactly, g_ptr_array_new() };

    object_foreach_child_recursive(object_root(), look_at, &search);
    return search.found;
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

/* Its own, or its device's if it is a card. */
static bool has_property(const ObjectType *type, const char *name)
{
    const ObjectType *of = object_type_properties_of(type);

    return object_type_find_property(type, name, NULL) || (of && object_type_find_property(of, name, NULL));
}

/* There are more types of PCI devices than slots: eight functions in one. */
static void choose_pci_function(json_object *args)
{
    static unsigned next = 8 * 4; /* behind the board's and the test's own */
    g_autofree char *addr = g_strdup_printf("%x.%u", next / 8, next % 8);

    next++;
    json_object_object_add(args, "addr", json_object_new_string(addr));
    json_object_object_add(args, "multifunction", json_object_new_string("on"));
}

/* What the type wants to be told, and a drive and a character device, if it has that property. */
static json_object *arguments_for(const DeviceType *type, GError **error)
{
    json_object *args = json_object_new_object();

    json_object_object_add(args, "driver", json_object_new_string(type->object.name));
    for (unsigned i = 0; arguments[i].type; i++) {
        if (!strcmp(arguments[i].type, type->object.name)) {
            json_object_object_add(args, arguments[i].key, json_object_new_string(arguments[i].value));
        }
    }
    if (has_property(&type->object, "drive")) {
        g_autofree char *node = new_node(error);

        if (!node) {
            json_object_put(args);
            return NULL;
        }
        json_object_object_add(args, "drive", json_object_new_string(node));
    }
    if (has_property(&type->object, "chardev")) {
        g_autofree char *id = new_chardev(type, error);

        if (!id) {
            json_object_put(args);
            return NULL;
        }
        json_object_object_add(args, "chardev", json_object_new_string(id));
    }
    return args;
}

/* On any bus of its kind; the last bus's error if none takes it. */
static bool add_somewhere(json_object *args, const BusType *bus, GError **error)
{
    g_autoptr(GPtrArray) buses = find_all(&bus->object, false);

    if (!buses->len) {
        return error_set(error, "there is no bus of type %s", bus->object.name);
    }
    for (guint i = 0; i < buses->len; i++) {
        g_autofree char *path = object_path(buses->pdata[i]);

        g_clear_error(error);
        json_object_object_add(args, "bus", json_object_new_string(path));
        if (device_add_from_json(args, true, error)) {
            return true;
        }
    }
    return false;
}

static bool add_device(const DeviceType *type, GError **error)
{
    const BusType *bus = device_type_bus(type);
    json_object *args = arguments_for(type, error);
    bool ok;

    if (!args) {
        return false;
    }
    if (bus && !strcmp(bus->object.name, "usb-bus") && bus_find_by_type(bus)) {
        choose_usb_port(args);
        ok = device_add_from_json(args, true, error);
    } else {
        if (bus == &pci_bus_type) {
            choose_pci_function(args);
        }
        ok = bus ? add_somewhere(args, bus, error) : device_add_from_json(args, true, error) != NULL;
    }
    json_object_put(args);
    return ok;
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

/* ---- a guest driver that sends something of every kind -------------------------------------------------------- */

enum { FRAME_LIST = 0x10000, QUEUES = 0x11000, DATA = 0x12000 };
enum { PID_SETUP = 0x2d, PID_IN = 0x69, PID_OUT = 0xe1 };

/* The I/O base of the UHCI controller that dev is or sits behind; 0 if there is none. */
static unsigned controller_of(Device *dev)
{
    while (dev && !object_is_a(dev, &pci_device_type.object)) {
        dev = dev->bus ? dev->bus->owner : NULL;
    }
    if (!dev || load_le32(PCI_DEVICE(dev)->config + PCI_REVISION_ID) >> 8 != UHCI_CLASS) {
        return 0;
    }
    return load_le32(PCI_DEVICE(dev)->config + PCI_BAR_0 + 16) & 0xffe0;
}

/* A queue head with one transfer descriptor behind it, linked to the next queue (UHCI 3.2, 3.3). */
static void put_queue(unsigned n, bool last, unsigned pid, unsigned addr, unsigned endpoint, unsigned len)
{
    uint32_t at = QUEUES + 0x40 * n;
    uint8_t words[0x40] = { 0 };

    store_le32(words, last ? 1 : (at + 0x40) | 2);
    store_le32(words + 4, at + 0x10);
    store_le32(words + 0x10, 1);
    store_le32(words + 0x14, 0x18800000);
    store_le32(words + 0x18, (len - 1) << 21 | endpoint << 15 | addr << 8 | pid);
    store_le32(words + 0x1c, DATA);
    address_space_write(address_space_memory, at, words, sizeof(words));
}

static void put_schedule(void)
{
    static const uint8_t get_descriptor[8] = { 0x80, 6, 0, 1, 0, 0, 18, 0 };
    static const unsigned addresses[] = { 0, 1, 5 };
    uint8_t frames[4096];

    for (unsigned i = 0; i < sizeof(frames); i += 4) {
        store_le32(frames + i, QUEUES | 2);
    }
    address_space_write(address_space_memory, FRAME_LIST, frames, sizeof(frames));
    address_space_write(address_space_memory, DATA, get_descriptor, sizeof(get_descriptor));
    for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++) {
        bool last = i == G_N_ELEMENTS(addresses) - 1;

        put_queue(4 * i, false, PID_IN, addresses[i], 1, 64);
        put_queue(4 * i + 1, false, PID_OUT, addresses[i], 2, 64);
        put_queue(4 * i + 2, false, PID_IN, addresses[i], 0, 64);
        put_queue(4 * i + 3, last, PID_SETUP, addresses[i], 0, 8);
    }
}

void contract_run(Device *dev)
{
    unsigned base = controller_of(dev);

    vm_start();
    if (base) {
        put_schedule();
        port_write(base + UHCI_FLBASEADD, FRAME_LIST, 4);
        port_write(base + UHCI_USBCMD, UHCI_RUN, 2);
    }
    for (int i = 0; i < 3; i++) {
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + NS_PER_MS);
        main_loop_iterate(false);
    }
    if (base) {
        port_write(base + UHCI_USBCMD, 0, 2);
    }
    vm_stop(VM_PAUSED);
}

/* ---- the machine ---------------------------------------------------------------------------------------------- */

/* Firmware and its variables in flash memory. */
static bool add_flash(Machine *machine, GError **error)
{
    for (unsigned unit = 0; unit < 2; unit++) {
        g_autofree char *property = g_strdup_printf("pflash%u", unit), *node = new_node(error);

        if (!node || !object_set_text(&machine->object, property, node, error)) {
            return false;
        }
    }
    return true;
}

void contract_machine_start(const char *name)
{
    const MachineType *type = machine_type_by_name(name);
    g_autoptr(GError) error = NULL;
    Machine *machine;

    if (!type) {
        give_up(name, NULL);
    }
    machine_made = type;
    reasons = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    main_loop_init();
    rtc_option("clock=vm,base=2026-11-26", NULL); /* the same bytes whenever it is */
    machine_apply_compat(type);
    machine = (Machine *)object_new(&type->object);
    machine->ram_size = 16 << 20;
    machine->ram_backend_id = g_strdup("ram0");
    machine->smp = (MachineSmp){ 1, 1, 1, 1, 1, 1 };
    machine_set_current(machine);
    memory_init();
    if (!new_memory(&error) || !globals_apply(&machine->object, &error) || !accel_start("qtest", NULL, machine, &error) ||
        !machine_create_ram(machine, &error) || !add_flash(machine, &error) || !type->init(machine, &error)) {
        give_up(name, error);
    }
    add_all();
    if (type->done && !type->done(machine, &error)) {
        give_up(name, error);
    }
    clock_virtual_enable(true);
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
}

GPtrArray *contract_instances(const DeviceType *type)
{
    GPtrArray *found = find_all(&type->object, true);

    for (guint i = found->len; i-- > 0;) {
        if (!DEVICE(found->pdata[i])->realized) {
            g_ptr_array_remove_index(found, i);
        }
    }
    return found;
}

const char *contract_why_absent(const DeviceType *type)
{
    return g_hash_table_lookup(reasons, type);
}
