/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices, buses, pins, machine versions (hw/core). */
#include "util/osdep.h"

#include "util/error.h"
#include "util/main-loop.h"
#include "qapi/dispatch.h"
#include "monitor/hmp.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "vmstate/blocker.h"
#include "hw/core/device-help.h"
#include "hw/core/machine.h"

/* ---- a bus with two places, and devices for it ----------------------------------------------------------- */

typedef struct Gadget {
    Device device;
    uint32_t place;
    uint32_t level;
    char *label;
    bool fail;
    bool with_child;
    uint8_t value;
    Irq *out[2];
} Gadget;

static GString *trace;
static const DeviceType gadget_type, host_type, leaf_type;

static bool toy_check_address(Bus *bus, Device *dev, GError **error)
{
    Gadget *g = (Gadget *)dev;

    for (GList *l = bus->devices.head; l; l = l->next) {
        if (((Gadget *)l->data)->place == g->place) {
            return error_set(error, "place %u is taken", g->place);
        }
    }
    return true;
}

static char *toy_prefix(const Device *dev)
{
    return g_strdup_printf("toy%u", ((Gadget *)dev)->place);
}

static void toy_reset(Bus *bus)
{
    g_string_append_printf(trace, "bus:%s ", bus->name);
}

static const BusType toy_bus_type = {
    .object = { .name = "Toy", .parent = &bus_type.object },
    .max_devices = 2,
    .check_address = toy_check_address,
    .section_prefix = toy_prefix,
    .reset = toy_reset,
};
BUS_REGISTER(toy_bus_type)

static const char *name_of(Device *dev)
{
    return dev->id ? dev->id : dev->object.type->name;
}

static void gadget_reset(Device *dev)
{
    g_string_append_printf(trace, "%s ", name_of(dev));
}

static void gadget_in(void *opaque, int n, int level)
{
    Gadget *g = opaque;

    g->level = (g->level & ~(1u << n)) | (uint32_t)!!level << n;
}

static bool gadget_realize(Device *dev, GError **error)
{
    Gadget *g = (Gadget *)dev;

    g_string_append_printf(trace, "+%s ", name_of(dev));
    device_init_gpio_in(dev, NULL, gadget_in, 4);
    device_init_gpio_out(dev, "line", g->out, 2);
    if (g->with_child) {
        Bus *bus = bus_new(&toy_bus_type, dev, NULL);
        Device *child = device_new(&leaf_type);

        if (!device_realize(child, bus, error)) {
            object_unref(child);
            return false;
        }
    }
    return !g->fail || error_set(error, "told to fail");
}

static void gadget_unrealize(Device *dev)
{
    g_string_append_printf(trace, "-%s ", name_of(dev));
}

static const VmField gadget_fields[] = { VM_U8(Gadget, value), VM_END };
static const VmState gadget_vmstate = { .name = "gadget", .version = 1, .minimum_version = 1, .fields = gadget_fields };

static const Property gadget_properties[] = {
    PROPERTY_UINT32("place", Gadget, place, "7", "where it sits"),
    PROPERTY_STRING("label", Gadget, label, NULL),
    PROPERTY_BOOL("fail", Gadget, fail, "off", NULL),
    PROPERTY_BOOL("with-child", Gadget, with_child, "off", NULL),
    PROPERTY("value", property_uint8, Gadget, value, .default_text = "1", .flags = PROPERTY_ANY_TIME),
    {},
};

static const DeviceType gadget_type = {
    .object = {
        .name = "gadget",
        .parent = &device_type.object,
        .size = sizeof(Gadget),
        .description = "a gadget",
        .properties = gadget_properties,
    },
    .bus = &toy_bus_type,
    .category = DEVICE_CATEGORY_MISC,
    .realize = gadget_realize,
    .unrealize = gadget_unrealize,
    .reset = gadget_reset,
    .migration = MIGRATES_WITH(gadget_vmstate),
    .compat = (const DeviceCompat[]){ { "9.0", "label", "old" }, { "7.2", "value", "3" }, {} },
};
DEVICE_REGISTER(gadget_type)

/* Everything inherited but the name. */
static const DeviceType leaf_type = { .object = { .name = "leaf", .parent = &gadget_type.object } };
DEVICE_REGISTER(leaf_type)

static const DeviceType board_only_type = {
    .object = { .name = "board-only", .parent = &gadget_type.object },
    .not_user_creatable = true,
};
DEVICE_REGISTER(board_only_type)

static const DeviceType pinned_type = {
    .object = { .name = "pinned", .parent = &gadget_type.object },
    .migration = UNMIGRATABLE("it is pinned down"),
    .not_hotpluggable = true,
};
DEVICE_REGISTER(pinned_type)

static bool host_realize(Device *dev, GError **error)
{
    bus_new(&toy_bus_type, dev, "toy.0")->hotpluggable = true;
    return true;
}

static const DeviceType host_type = {
    .object = { .name = "toy-host", .parent = &device_type.object, .size = sizeof(Device) },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .realize = host_realize,
    .reset = gadget_reset,
    .migration = STATELESS("a bus and nothing else"),
};
DEVICE_REGISTER(host_type)

/* ---- helpers --------------------------------------------------------------------------------------------- */

#define TRACE(text)                                                                             \
    do {                                                                                        \
        g_assert_cmpstr(trace->str, ==, text);                                                  \
        g_string_truncate(trace, 0);                                                            \
    } while (0)

static Bus *toy_bus(void)
{
    return bus_find("toy.0", NULL);
}

static Device *add(const char *json, GError **error)
{
    json_object *args = json_tokener_parse(json);
    Device *dev;

    g_assert_nonnull(args);
    dev = device_add_from_json(args, false, error);
    json_object_put(args);
    return dev;
}

static void add_fails(const char *json, const char *message)
{
    GError *error = NULL;

    g_assert_null(add(json, &error));
    g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
}

static GString *events;

static void event_sink(const char *name, json_object *data, void *opaque)
{
    g_string_append_printf(events, "%s %s\n", name, json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN));
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void test_life(void)
{
    GError *error = NULL;
    Device *dev = add("{\"driver\": \"gadget\", \"id\": \"g0\", \"place\": 1}", &error);

    g_assert_no_error(error);
    g_assert_true(dev->realized && device_is_active(dev));
    g_assert_true(device_find("g0", NULL) == dev);
    g_assert_true(device_find("/machine/peripheral/g0", NULL) == dev);
    g_assert_true(dev->bus == toy_bus());
    g_assert_nonnull(vmstate_find("toy1/gadget", 0));
    g_assert_true(device_vmstate(dev) == &gadget_vmstate);
    TRACE("+g0 ");
    g_assert_true(device_del("g0", &error));
    TRACE("-g0 ");
    g_assert_cmpstr(events->str, ==, "DEVICE_DELETED {\"device\":\"g0\",\"path\":\"\\/machine\\/peripheral\\/g0\"}\n");
    g_string_truncate(events, 0);
    g_assert_null(vmstate_find("toy1/gadget", 0));
    g_assert_cmpuint(toy_bus()->devices.length, ==, 0);
    g_assert_false(device_del("g0", &error));
    g_assert_error(error, TERN_ERROR, TERN_ERROR_DEVICE_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, "Device 'g0' not found");
    g_clear_error(&error);
}

static void test_errors(void)
{
    Device *dev;

    add_fails("{\"id\": \"x\"}", "Parameter 'driver' is missing");
    add_fails("{\"driver\": \"nosuch\"}", "'nosuch' is not a valid device model name");
    add_fails("{\"driver\": \"memory-region\"}", "'memory-region' is not a valid device model name");
    add_fails("{\"driver\": \"device\"}", "Parameter 'driver' expects a non-abstract device type");
    add_fails("{\"driver\": \"board-only\"}", "Parameter 'driver' expects a pluggable device type");
    add_fails("{\"driver\": \"gadget\", \"bus\": \"nosuch\"}", "Bus 'nosuch' not found");
    add_fails("{\"driver\": \"gadget\", \"bus\": \"main-system-bus\"}", "Device 'gadget' can't go on System bus");
    add_fails("{\"driver\": \"gadget\", \"nosuch\": 1}", "Property 'gadget.nosuch' not found");
    add_fails("{\"driver\": \"gadget\", \"id\": \"1\"}", "Parameter 'id' expects an identifier");
    TRACE("");
    dev = add("{\"driver\": \"gadget\", \"id\": \"a\", \"place\": 1}", NULL);
    add_fails("{\"driver\": \"gadget\", \"id\": \"a\"}", "Duplicate device ID 'a'");
    add_fails("{\"driver\": \"gadget\", \"place\": 1}", "place 1 is taken");
    g_assert_nonnull(add("{\"driver\": \"gadget\", \"id\": \"b\", \"place\": 2}", NULL));
    add_fails("{\"driver\": \"gadget\", \"place\": 3}", "No 'Toy' bus found for device 'gadget'");
    add_fails("{\"driver\": \"gadget\", \"place\": 3, \"bus\": \"toy.0\"}", "Bus 'toy.0' is full");
    /* What did not come left nothing behind. */
    g_assert_cmpuint(toy_bus()->devices.length, ==, 2);
    g_assert_true(device_find("a", NULL) == dev);
    g_assert_null(object_resolve("/machine/peripheral-anon/device[0]", NULL));
    device_del("a", NULL);
    device_del("b", NULL);
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

/* D3: a realize that fails half-way, with a child on a bus of its own. */
static void test_realize_fails(void)
{
    add_fails("{\"driver\": \"gadget\", \"id\": \"f\", \"fail\": true, \"with-child\": true}", "told to fail");
    TRACE("+f +leaf -leaf ");
    g_assert_null(device_find("f", NULL));
    g_assert_null(bus_find("f.0", NULL));
    g_assert_cmpuint(toy_bus()->devices.length, ==, 0);
    g_string_truncate(events, 0);
}

static void test_children(void)
{
    Device *dev = add("{\"driver\": \"gadget\", \"id\": \"p\", \"with-child\": true}", NULL);
    g_autofree char *path = NULL;
    Device *child;

    g_assert_nonnull(dev);
    g_assert_nonnull(bus_find("p.0", NULL));
    child = bus_find("p.0", NULL)->devices.head->data;
    path = object_path(&child->object);
    g_assert_true(g_str_has_prefix(path, "/machine/unattached/device["));
    g_string_truncate(trace, 0);
    /* D4 */
    device_reset(dev);
    TRACE("leaf bus:p.0 p ");
    device_unrealize(dev);
    TRACE("-leaf -p ");
    g_assert_nonnull(strstr(events->str, "unattached"));
    g_string_truncate(events, 0);
}

static void test_vm_reset(void)
{
    add("{\"driver\": \"gadget\", \"id\": \"one\", \"place\": 1}", NULL);
    add("{\"driver\": \"gadget\", \"id\": \"two\", \"place\": 2}", NULL);
    g_string_truncate(trace, 0);
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    TRACE("one two bus:toy.0 toy-host ");
    g_assert_cmpstr(events->str, ==, "");
    vm_reset(VM_SHUTDOWN_GUEST_RESET);
    g_assert_cmpstr(events->str, ==, "RESET {\"guest\":true,\"reason\":\"guest-reset\"}\n");
    device_del("one", NULL);
    device_del("two", NULL);
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

static void test_properties_after_realize(void)
{
    Device *dev = add("{\"driver\": \"gadget\", \"id\": \"g\"}", NULL);
    GError *error = NULL;

    g_assert_false(object_set_text(&dev->object, "label", "x", &error));
    g_assert_cmpstr(error->message, ==,
                    "Attempt to set property 'label' on device 'g' (type 'gadget') after it was realized");
    g_clear_error(&error);
    g_assert_true(object_set_text(&dev->object, "value", "9", &error));
    g_assert_cmpuint(((Gadget *)dev)->value, ==, 9);
    device_del("g", NULL);
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

static int watched_n = -1, watched_level = -1;

static void watch(void *opaque, int n, int level)
{
    watched_n = n;
    watched_level = level;
}

static void test_pins(void)
{
    Gadget *a = (Gadget *)add("{\"driver\": \"gadget\", \"id\": \"a\", \"place\": 1}", NULL);
    Gadget *b = (Gadget *)add("{\"driver\": \"gadget\", \"id\": \"b\", \"place\": 2}", NULL);
    Irq *inverted;

    irq_raise(NULL); /* nowhere */
    device_connect_gpio_out(&a->device, "line", 1, device_get_gpio_in(&b->device, NULL, 3));
    irq_raise(a->out[1]);
    g_assert_cmpuint(b->level, ==, 1 << 3);
    irq_lower(a->out[1]);
    g_assert_cmpuint(b->level, ==, 0);
    inverted = irq_new_inverted(device_get_gpio_in(&b->device, NULL, 0));
    irq_set(inverted, 0);
    g_assert_cmpuint(b->level, ==, 1);
    irq_free(inverted);
    g_assert_cmpuint(device_gpio_in_count(&b->device, NULL), ==, 4);
    g_assert_cmpuint(device_gpio_in_count(&b->device, "nosuch"), ==, 0);
    g_assert_true(device_watch_gpio_in(&b->device, NULL, watch, NULL));
    irq_raise(a->out[1]);
    g_assert_cmpint(watched_n, ==, 3);
    g_assert_cmpint(watched_level, ==, 1);
    g_assert_cmpuint(b->level, ==, 1 << 3 | 1); /* it still arrives */
    g_assert_true(device_watch_gpio_out(&a->device, "line", true, watch, NULL));
    irq_lower(a->out[1]);
    g_assert_cmpint(watched_n, ==, 1);
    g_assert_cmpuint(b->level, ==, 1 << 3 | 1); /* swallowed */
    g_assert_false(device_watch_gpio_out(&a->device, "nosuch", true, watch, NULL));
    g_assert_nonnull(object_resolve("/machine/peripheral/b/unnamed-gpio-in[2]", NULL));
    device_del("a", NULL);
    device_del("b", NULL);
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

static void test_only_migratable(void)
{
    Device *dev;
    VmSection *section;

    vmstate_set_only_migratable(true);
    add_fails("{\"driver\": \"pinned\"}", "Device pinned is not migratable, but --only-migratable was specified");
    vmstate_set_only_migratable(false);
    dev = add("{\"driver\": \"pinned\", \"id\": \"p\", \"place\": 1}", NULL);
    section = dev->vmsection;
    g_assert_true(section->unmigratable);
    g_assert_cmpstr(section->reason, ==, "it is pinned down");
    device_unrealize(dev);
    vmstate_freeze();
    add_fails("{\"driver\": \"gadget\"}", "device_add not allowed while migrating");
    vmstate_thaw();
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

/* D2 */
static void test_no_story(void)
{
    static const DeviceType silent = {
        .object = { .name = "silent", .parent = &device_type.object, .size = sizeof(Device) }
    };

    if (g_test_subprocess()) {
        device_type_register(&silent);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*device type 'silent' does not say how it migrates*");
}

static void test_help(void)
{
    GString *out = g_string_new(NULL);

    property_help(out, &gadget_type.object, "gadget");
    g_assert_cmpstr(out->str, ==,
                    "gadget options:\n"
                    "  fail=<bool>            - on/off (default: false)\n"
                    "  label=<str>\n"
                    "  place=<uint32>         - where it sits (default: 7)\n"
                    "  value=<uint8>          -  (default: 1)\n"
                    "  with-child=<bool>      - on/off (default: false)\n");
    g_string_truncate(out, 0);
    device_help_list(out, true);
    g_assert_nonnull(strstr(out->str, "Misc devices:\nname \"gadget\", bus Toy, desc \"a gadget\"\n"));
    g_assert_null(strstr(out->str, "board-only"));
    g_string_truncate(out, 0);
    device_help_list(out, false);
    g_assert_nonnull(strstr(out->str, "name \"board-only\", bus Toy, no-user\n"));
    g_string_free(out, TRUE);
}

static void test_qtree(void)
{
    GString *out = g_string_new(NULL);

    add("{\"driver\": \"gadget\", \"id\": \"g\", \"label\": \"x\"}", NULL);
    hmp_run_line("info qtree", -1, out);
    g_assert_nonnull(strstr(out->str, "bus: main-system-bus"));
    g_assert_nonnull(strstr(out->str, "dev: gadget, id \"g\""));
    g_assert_nonnull(strstr(out->str, "gpio-in \"\" 4"));
    g_assert_nonnull(strstr(out->str, "gpio-out \"line\" 2"));
    g_assert_nonnull(strstr(out->str, "place = 7 (0x7)"));
    g_assert_nonnull(strstr(out->str, "label = \"x\""));
    g_assert_nonnull(strstr(out->str, "with-child = false"));
    device_del("g", NULL);
    g_string_free(out, TRUE);
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

/* After the machine is complete: buses must allow it, devices are reset when they come. */
static void test_hotplug(void)
{
    Device *dev;

    devices_set_ready();
    dev = add("{\"driver\": \"gadget\", \"id\": \"h\"}", NULL);
    g_assert_true(dev->hotplugged);
    TRACE("+h h ");
    add_fails("{\"driver\": \"pinned\"}", "Parameter 'driver' expects a pluggable device type");
    toy_bus()->hotpluggable = false;
    add_fails("{\"driver\": \"gadget\", \"place\": 3}", "Bus 'toy.0' does not support hotplugging");
    toy_bus()->hotpluggable = true;
    g_assert_true(device_del("h", NULL));
    g_string_truncate(trace, 0);
    /* Its own bus need not be hot-pluggable for the child that it makes itself; for others it must be. */
    dev = add("{\"driver\": \"gadget\", \"id\": \"h\", \"with-child\": true}", NULL);
    g_assert_nonnull(dev);
    TRACE("+h +leaf leaf leaf bus:h.0 h ");
    add_fails("{\"driver\": \"gadget\", \"place\": 3, \"bus\": \"h.0\"}", "Bus 'h.0' does not support hotplugging");
    g_assert_true(device_del("h", NULL));
    g_string_truncate(trace, 0);
    g_string_truncate(events, 0);
}

/* ---- machines --------------------------------------------------------------------------------------------- */

static const MachineType old_machine = {
    .object = { .name = "toys-7.2-machine", .parent = &machine_type }, .name = "toys-7.2", .version = "7.2",
    .description = "toys"
};
MACHINE_REGISTER(old_machine)

static const MachineType new_machine = {
    .object = { .name = "toys-10.0-machine", .parent = &machine_type }, .name = "toys-10.0", .version = "10.0",
    .alias = "toys", .description = "toys"
};
MACHINE_REGISTER(new_machine)

static void test_versions(void)
{
    g_autofree char *old = machine_dump_compat(&old_machine), *new = machine_dump_compat(&new_machine);

    g_assert_cmpint(machine_version_compare("9.0", "10.0"), ==, -1);
    g_assert_cmpint(machine_version_compare("9.1", "9.0"), ==, 1);
    g_assert_cmpint(machine_version_compare("7.2", "7.2"), ==, 0);
    g_assert_cmpint(machine_version_compare("8", "8.1"), ==, -1);
    g_assert_nonnull(strstr(old, "gadget.label=old\n"));
    g_assert_nonnull(strstr(old, "gadget.value=3\n"));
    g_assert_null(strstr(new, "gadget."));
    g_assert_true(machine_type_by_name("toys") == &new_machine);
    g_assert_true(machine_type_by_name("none") != NULL);
    g_assert_null(machine_type_by_name("nosuch"));
}

/* Compat values reach descendants, the user's globals win. Last: globals stay. */
static void test_compat(void)
{
    Gadget *g;

    machine_apply_compat(&old_machine);
    globals_add("leaf", "label", "mine", true);
    g = (Gadget *)device_new(&gadget_type);
    g_assert_cmpstr(g->label, ==, "old");
    g_assert_cmpuint(g->value, ==, 3);
    object_unref(g);
    g = (Gadget *)device_new(&leaf_type);
    g_assert_cmpstr(g->label, ==, "mine");
    g_assert_cmpuint(g->value, ==, 3);
    object_unref(g);
    globals_add("gadget", "place", "nowhere", true);
    g = (Gadget *)device_new(&gadget_type);
    GError *error = NULL;
    g_assert_false(device_realize(&g->device, toy_bus(), &error));
    g_assert_cmpstr(error->message, ==, "can't apply global gadget.place=nowhere: Parameter 'place' expects integer");
    g_clear_error(&error);
    object_unref(g);
}

int main(int argc, char **argv)
{
    Device *host;

    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    memory_init();
    trace = g_string_new(NULL);
    events = g_string_new(NULL);
    qapi_event_set_sink(event_sink, NULL);
    host = device_new(&host_type);
    g_assert_true(device_realize(host, system_bus(), NULL));
    g_string_truncate(trace, 0);
    g_test_add_func("/device/life", test_life);
    g_test_add_func("/device/errors", test_errors);
    g_test_add_func("/device/realize-fails", test_realize_fails);
    g_test_add_func("/device/children", test_children);
    g_test_add_func("/device/vm-reset", test_vm_reset);
    g_test_add_func("/device/properties-after-realize", test_properties_after_realize);
    g_test_add_func("/device/pins", test_pins);
    g_test_add_func("/device/only-migratable", test_only_migratable);
    g_test_add_func("/device/no-migration-story", test_no_story);
    g_test_add_func("/device/help", test_help);
    g_test_add_func("/device/info-qtree", test_qtree);
    g_test_add_func("/device/hotplug", test_hotplug);
    g_test_add_func("/machine/versions", test_versions);
    g_test_add_func("/machine/compat", test_compat);
    return g_test_run();
}
