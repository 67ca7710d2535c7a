/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the command line to a running machine, and to its end. The order of things:
 *
 *   options, help     identity, descriptors, folders     background     main loop
 *   machine object (its properties steer what follows)     objects     chardevs and monitors     block nodes
 *   accelerator, qtest     RAM, board, devices     incoming migration or start     monitors talk     main loop
 *
 * A step prints what is wrong and returns false; the program then exits with 1.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/main-loop.h"
#include "util/trace.h"
#include "qapi/commands-qom.h"
#include "qapi/types-run-state.h"
#include "qapi/version.h"
#include "chardev/chardev.h"
#include "io/fds.h"
#include "monitor/monitor.h"
#include "block/backend.h"
#include "net/net.h"
#include "system/datadir.h"
#include "system/identity.h"
#include "system/memory.h"
#include "system/net-glue.h"
#include "system/poison.h"
#include "system/runstate.h"
#include "system/serial-lines.h"
#include "vmstate/blocker.h"
#include "hw/core/device-help.h"
#include "hw/core/machine.h"
#include "hw/timer/mc146818rtc.h"
#include "hw/virtio/vhost-user.h"
#include "ui/vnc.h"
#include "accel/accel.h"
#include "hw/i386/smbios.h"
#include "target/i386/model.h"
#include "accel/qtest/qtest.h"
#include "migration/migration.h"
#include "log-options.h"
#include "boot-options.h"
#include "display-options.h"
#include "machine-options.h"
#include "numa-options.h"
#include "options.h"
#include "process.h"
#include "startup.h"

static Options options;
static Machine *machine;

static bool reported(GError *error)
{
    if (error) {
        error_report_gerror(error);
        return true;
    }
    return false;
}

/* ---- help ---------------------------------------------------------------------------------------------- */

static bool print_user_type(const ObjectType *type, void *opaque)
{
    printf("  %s\n", type->name);
    return true;
}

static void print_type_help(const char *arg, const char *implied_key)
{
    g_autofree char *name = g_strndup(arg, strcspn(arg, ","));
    g_autofree char *prefix = g_strconcat(implied_key, "=", NULL);
    const char *type_name = g_str_has_prefix(name, prefix) ? name + strlen(prefix) : name;
    const DeviceType *device = device_type_by_name(type_name);
    const ObjectType *type = device ? &device->object : object_type_by_name(type_name);
    GString *out = g_string_new(NULL);

    if (type) {
        property_help(out, type, type->name);
        fputs(out->str, stdout);
    }
    g_string_free(out, TRUE);
}

/* -device and -object with help in them: prints and returns true. */
static bool type_help(OptionId id, const char *arg)
{
    GString *out;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        if (id == OPT_DEVICE) {
            out = g_string_new(NULL);
            device_help_list(out, true);
            fputs(out->str, stdout);
            g_string_free(out, TRUE);
        } else {
            printf("List of user creatable objects:\n");
            object_type_foreach(&user_creatable_type, false, print_user_type, NULL);
        }
        return true;
    }
    if (g_str_has_suffix(arg, ",help") || g_str_has_suffix(arg, ",?") || strstr(arg, ",help,")) {
        print_type_help(arg, id == OPT_DEVICE ? "driver" : "qom-type");
        return true;
    }
    return false;
}

static void print_card_type(const DeviceType *type, void *opaque)
{
    if (type->category == DEVICE_CATEGORY_NETWORK && device_type_user_creatable(type)) {
        printf("%s\n", type->object.name);
    }
}

/* "help", and the cards for "model=help". */
static bool net_help(const char *arg)
{
    g_autofree char *text = net_option_help(arg);

    if (text) {
        fputs(text, stdout);
        return true;
    }
    if (g_str_has_prefix(arg, "model=help") || strstr(arg, ",model=help")) {
        printf("Supported NIC models:\n");
        device_type_foreach(print_card_type, NULL);
        return true;
    }
    return false;
}

/* Options that print something and end the program. */
static bool help_wanted(const char *program)
{
    g_autofree char *text = NULL;

    if (options_has(&options, OPT_HELP)) {
        text = options_help(program);
        fputs(text, stdout);
        return true;
    }
    if (options_has(&options, OPT_VERSION)) {
        printf("QEMU emulator version %d.%d.%d (" PROGRAM_VERSION_TEXT ")\n", INTERFACE_VERSION_MAJOR,
               INTERFACE_VERSION_MINOR, INTERFACE_VERSION_MICRO);
        return true;
    }
    for (unsigned i = 0; i < options.given->len; i++) {
        const GivenOption *given = &g_array_index(options.given, GivenOption, i);

        if ((given->id == OPT_DEVICE || given->id == OPT_OBJECT) && type_help(given->id, given->arg)) {
            return true;
        }
        if ((given->id == OPT_NETDEV || given->id == OPT_NIC || given->id == OPT_NET) &&
            net_help(given->arg)) {
            return true;
        }
        text = log_option_help(given->id, given->arg);
        if (text) {
            fputs(text, stdout);
            return true;
        }
        if (given->id == OPT_L && !strcmp(given->arg, "help")) {
            text = datadir_list();
            fputs(text, stdout);
            return true;
        }
        if (given->id == OPT_CPU && (!strcmp(given->arg, "help") || !strcmp(given->arg, "?"))) {
            text = x86_model_help();
            fputs(text, stdout);
            return true;
        }
    }
    return machine_options_help(&options);
}

/* ---- identity, descriptors, folders -------------------------------------------------------------------- */

/* Whether all keys of props are in the list (ended by NULL). */
static bool known_keys(json_object *props, const char *const *known, GError **error)
{
    json_object_object_foreach(props, key, value)
    {
        (void)value;
        if (!g_strv_contains(known, key)) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

/* The parsed option if it has no other keys than these. */
static json_object *simple_option(const char *arg, const char *implied, const char *const *known, GError **error)
{
    json_object *props = keyval_parse(arg, implied, true, NULL, error);

    if (props && !known_keys(props, known, error)) {
        json_object_put(props);
        return NULL;
    }
    return props;
}

static const char *text_of(json_object *props, const char *key)
{
    json_object *value;

    return json_object_object_get_ex(props, key, &value) ? json_object_get_string(value) : NULL;
}

static bool bool_of(json_object *props, const char *key, bool *value, GError **error)
{
    const char *text = text_of(props, key);

    return !text || parse_bool(text, value, NULL) ||
           error_set(error, "Parameter '%s' expects 'on' or 'off'", key);
}

static bool set_name(const char *arg, GError **error)
{
    static const char *const keys[] = { "guest", "process", "debug-threads", NULL };
    json_object *props = simple_option(arg, "guest", keys, error);
    bool threads = true, ok;

    if (!props) {
        return false;
    }
    ok = bool_of(props, "debug-threads", &threads, error); /* ours always have names */
    if (text_of(props, "guest")) {
        vm_set_name(text_of(props, "guest"));
    }
    if (text_of(props, "process")) {
        process_set_name(text_of(props, "process"));
    }
    json_object_put(props);
    return ok;
}

static bool add_datadir(const char *arg, GError **error)
{
    datadir_add(arg);
    return true;
}

static bool set_msg(const char *arg, GError **error)
{
    static const char *const keys[] = { "timestamp", "guest-name", NULL };
    json_object *props = simple_option(arg, NULL, keys, error);
    bool timestamp = false, name = false, ok;

    if (!props) {
        return false;
    }
    ok = bool_of(props, "timestamp", &timestamp, error) && bool_of(props, "guest-name", &name, error);
    json_object_put(props);
    error_set_timestamps(timestamp);
    trace_set_timestamps(timestamp);
    error_set_guest(name ? vm_get_name() : NULL);
    return ok;
}

static bool add_fd(const char *arg, GError **error)
{
    static const char *const keys[] = { "fd", "set", "opaque", NULL };
    json_object *props = simple_option(arg, NULL, keys, error);
    int64_t fd = -1, set = -1;
    AddfdInfo *info = NULL;
    bool ok;

    if (!props) {
        return false;
    }
    ok = (text_of(props, "fd") && parse_int64(text_of(props, "fd"), &fd, NULL)) ||
         error_set(error, "Parameter 'fd' is missing or not a number");
    ok = ok && ((text_of(props, "set") && parse_int64(text_of(props, "set"), &set, NULL)) ||
                error_set(error, "Parameter 'set' is missing or not a number"));
    if (ok && (fd <= STDERR_FILENO || fd > INT_MAX)) {
        ok = error_set(error, "fd cannot be used for stdin, stdout or stderr");
    } else if (ok && set < 0) {
        ok = error_set(error, "set is not a valid number");
    } else if (ok && fcntl(fd, F_GETFD) != 0) { /* not open, or one of ours, which are close-on-exec */
        ok = error_set(error, "fd is not valid or already in use");
    } else if (ok) {
        ok = io_fdset_add(fd, true, set, text_of(props, "opaque"), &info, error);
        qapi_free_AddfdInfo(info);
    }
    json_object_put(props);
    return ok;
}

static bool set_action(const char *arg, GError **error)
{
    static const char *const keys[] = { "reboot", "shutdown", "panic", NULL };
    json_object *props = simple_option(arg, NULL, keys, error);
    const char *reboot, *shutdown, *panic;
    bool ok = true;

    if (!props) {
        return false;
    }
    reboot = text_of(props, "reboot");
    shutdown = text_of(props, "shutdown");
    panic = text_of(props, "panic");
    if (reboot && qapi_parse_RebootAction(reboot) < 0) {
        ok = error_set(error, "Parameter 'reboot' does not accept value '%s'", reboot);
    } else if (shutdown && qapi_parse_ShutdownAction(shutdown) < 0) {
        ok = error_set(error, "Parameter 'shutdown' does not accept value '%s'", shutdown);
    } else if (panic && qapi_parse_PanicAction(panic) < 0) {
        ok = error_set(error, "Parameter 'panic' does not accept value '%s'", panic);
    } else {
        vm_actions()->reboot = reboot ? qapi_parse_RebootAction(reboot) : vm_actions()->reboot;
        vm_actions()->shutdown = shutdown ? qapi_parse_ShutdownAction(shutdown) : vm_actions()->shutdown;
        vm_actions()->panic = panic ? qapi_parse_PanicAction(panic) : vm_actions()->panic;
    }
    json_object_put(props);
    return ok;
}

static bool set_overcommit(const char *arg, GError **error)
{
    static const char *const keys[] = { "mem-lock", NULL };
    json_object *props = simple_option(arg, NULL, keys, error);
    bool lock = false, ok;

    if (!props) {
        return false;
    }
    ok = bool_of(props, "mem-lock", &lock, error);
    if (ok && lock && mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
        ok = error_set_errno(error, errno, "locking memory failed");
    }
    json_object_put(props);
    return ok;
}

typedef struct Step {
    OptionId id;
    OptionFunc *func;
} Step;

static bool run_steps(const Step *steps, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!options_each(&options, steps[i].id, steps[i].func)) {
            return false;
        }
    }
    return true;
}

static const Step early_steps[] = {
    { OPT_NAME, set_name },        { OPT_UUID, vm_set_uuid },     { OPT_MSG, set_msg },
    { OPT_D_FILE, log_set_file },  { OPT_D, log_set_items },      { OPT_TRACE, log_option_trace },
    { OPT_L, add_datadir },        { OPT_ADD_FD, add_fd },        { OPT_ACTION, set_action },
    { OPT_OVERCOMMIT, set_overcommit }, { OPT_DISPLAY, display_option },
    { OPT_VGA, vga_option },       { OPT_VNC, vnc_add_option },  { OPT_K, keymap_option },
    { OPT_RTC, rtc_option },
};

static void simple_switches(void)
{
    if (options_has(&options, OPT_NO_REBOOT)) {
        vm_actions()->reboot = REBOOT_ACTION_SHUTDOWN;
    }
    if (options_has(&options, OPT_NO_SHUTDOWN)) {
        vm_actions()->shutdown = SHUTDOWN_ACTION_PAUSE;
    }
    vm_set_autostart(!options_has(&options, OPT_S));
    vmstate_set_only_migratable(options_has(&options, OPT_ONLY_MIGRATABLE));
}

/* ---- globals, objects, chardevs, monitors, block ------------------------------------------------------- */

static bool add_global(const char *arg, GError **error)
{
    static const char *const keys[] = { "driver", "property", "value", NULL };
    const char *dot = strchr(arg, '.'), *equals = strchr(arg, '=');
    g_autofree char *driver = NULL, *property = NULL;
    json_object *props;
    bool ok;

    if (dot && equals && dot < equals) {
        driver = g_strndup(arg, dot - arg);
        property = g_strndup(dot + 1, equals - dot - 1);
        globals_add(driver, property, equals + 1, true);
        return true;
    }
    props = simple_option(arg, NULL, keys, error);
    if (!props) {
        return false;
    }
    ok = (text_of(props, "driver") && text_of(props, "property") && text_of(props, "value")) ||
         error_set(error, "Options 'driver', 'property', and 'value' required");
    if (ok) {
        globals_add(text_of(props, "driver"), text_of(props, "property"), text_of(props, "value"), true);
    }
    json_object_put(props);
    return ok;
}

static bool add_object(const char *arg, GError **error)
{
    ObjectOptions *object = qapi_decode_option(&qapi_type_ObjectOptions, arg, "qom-type", error);
    g_autofree char *path = NULL;
    bool ok;

    if (!object) {
        return false;
    }
    path = g_strdup_printf("/objects/%s", object->id);
    ok = object_resolve(path, NULL) ? error_set(error, "Duplicate ID '%s' for object", object->id)
                                    : qmp_object_add(object, error);
    qapi_free_ObjectOptions(object);
    return ok;
}

static bool add_chardev(const char *arg, GError **error)
{
    bool help = false;

    if (chardev_new_option(arg, &help, error)) {
        return true;
    }
    if (help) {
        exit(EXIT_SUCCESS); /* the list is out, and nothing has begun */
    }
    return false;
}

/* Standard input cannot serve a program in the background. */
static bool background_takes(const char *spec, GError **error)
{
    if (options_has(&options, OPT_DAEMONIZE) && (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"))) {
        return error_set(error, "cannot use stdio with -daemonize");
    }
    return true;
}

static bool add_qmp(const char *arg, GError **error)
{
    return background_takes(arg, error) && monitor_new_spec(arg, true, false, error);
}

static bool add_qmp_pretty(const char *arg, GError **error)
{
    return background_takes(arg, error) && monitor_new_spec(arg, true, true, error);
}

static bool add_hmp(const char *arg, GError **error)
{
    return background_takes(arg, error) && monitor_new_spec(arg, false, false, error);
}

static bool add_serial(const char *arg, GError **error)
{
    return background_takes(arg, error) && line_add(LINE_SERIAL, arg, error);
}

static bool add_parallel(const char *arg, GError **error)
{
    return background_takes(arg, error) && line_add(LINE_PARALLEL, arg, error);
}

static const Step backend_steps[] = {
    { OPT_OBJECT, add_object },       { OPT_CHARDEV, add_chardev }, { OPT_MON, monitor_new_option },
    { OPT_QMP, add_qmp },             { OPT_QMP_PRETTY, add_qmp_pretty },
    { OPT_MONITOR, add_hmp },         { OPT_SERIAL, add_serial },   { OPT_PARALLEL, add_parallel },
};

/* Whether a -device is of one of these types (the list is ended by NULL). */
static bool device_given(const char *const *types)
{
    for (unsigned i = 0; i < options.given->len; i++) {
        const GivenOption *given = &g_array_index(options.given, GivenOption, i);
        json_object *args;
        bool found;

        if (given->id != OPT_DEVICE) {
            continue;
        }
        args = keyval_parse(given->arg, "driver", true, NULL, NULL); /* errors are told when it is made */
        found = args && text_of(args, "driver") && g_strv_contains(types, text_of(args, "driver"));
        json_object_put(args);
        if (found) {
            return true;
        }
    }
    return false;
}

/*
 * The machine has a serial and a parallel port unless the user says otherwise. With -nographic the serial port shares the
 * terminal with the monitor; else nobody is at the other end (stock shows it in its window).
 */
static bool default_lines(void)
{
    bool defaults = !options_has(&options, OPT_NODEFAULTS);
    bool terminal = options_has(&options, OPT_NOGRAPHIC) && !options_has(&options, OPT_DAEMONIZE);
    bool serial = defaults && !options_has(&options, OPT_SERIAL) && !device_given((const char *const[]){ "isa-serial", NULL });
    bool parallel = defaults && !options_has(&options, OPT_PARALLEL) && !device_given((const char *const[]){ "isa-parallel", NULL });
    bool monitor = defaults && !options_has(&options, OPT_MONITOR) && !options_has(&options, OPT_MON) &&
                   !options_has(&options, OPT_QMP) && !options_has(&options, OPT_QMP_PRETTY);
    GError *error = NULL;

    if (serial) {
        line_add(LINE_SERIAL, !terminal ? "null" : monitor ? "mon:stdio" : "stdio", &error);
    } else if (monitor && terminal) {
        monitor_new_spec("stdio", false, false, &error);
    }
    if (parallel && !error) {
        line_add(LINE_PARALLEL, "null", &error);
    }
    return !reported(error);
}

static const Step net_steps[] = {
    { OPT_NETDEV, net_option_netdev },
    { OPT_NIC, net_option_nic },
    { OPT_NET, net_option_net },
};

/* A machine has one card on a user network, unless an option says something about networks. */
static bool make_networks(void)
{
    const char *nic = machine_get_type(machine)->default_nic;
    GError *error = NULL;

    net_glue_init();
    if (!run_steps(net_steps, G_N_ELEMENTS(net_steps))) {
        return false;
    }
    if (machine->enable_defaults && nic && device_type_by_name(nic) && !options_has(&options, OPT_NET) &&
        !options_has(&options, OPT_NIC) && !options_has(&options, OPT_NETDEV)) {
        net_add_default(&error);
    }
    return !reported(error);
}

static bool add_drive(const char *arg, GError **error)
{
    return block_add_drive(arg, BLOCK_IF_IDE, error);
}

static bool add_hda(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 0, "disk", BLOCK_IF_IDE, error);
}

static bool add_hdb(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 1, "disk", BLOCK_IF_IDE, error);
}

static bool add_hdc(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 2, "disk", BLOCK_IF_IDE, error);
}

static bool add_hdd(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 3, "disk", BLOCK_IF_IDE, error);
}

static bool add_cdrom(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 2, "cdrom", BLOCK_IF_IDE, error);
}

static bool add_fda(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 0, "disk", BLOCK_IF_FLOPPY, error);
}

static bool add_fdb(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, 1, "disk", BLOCK_IF_FLOPPY, error);
}

static bool add_pflash(const char *arg, GError **error)
{
    return block_add_drive_simple(arg, -1, NULL, BLOCK_IF_PFLASH, error);
}

static const Step block_steps[] = {
    { OPT_FDA, add_fda },                 { OPT_FDB, add_fdb },
    { OPT_BLOCKDEV, block_add_blockdev }, { OPT_HDA, add_hda },     { OPT_HDB, add_hdb },
    { OPT_HDC, add_hdc },                 { OPT_HDD, add_hdd },     { OPT_CDROM, add_cdrom },
    { OPT_PFLASH, add_pflash },           { OPT_DRIVE, add_drive },
};

/* ---- qtest --------------------------------------------------------------------------------------------- */

static bool start_qtest(void)
{
    const char *spec = options_last(&options, OPT_QTEST);
    GError *error = NULL;
    Chardev *chr;

    if (!spec) {
        return true;
    }
    chr = chardev_new_spec("qtest", spec, true, &error);
    if (!chr) {
        reported(error);
        error_report("Failed to initialize device for qtest: \"%s\"", spec);
        return false;
    }
    qtest_server_start(chr, options_last(&options, OPT_QTEST_LOG), &error);
    return !reported(error);
}

/* ---- the board and its devices ------------------------------------------------------------------------- */

static bool add_device(const char *arg, GError **error)
{
    bool json = arg[0] == '{';
    json_object *args = keyval_parse(arg, "driver", true, NULL, error);
    Device *dev;

    if (!args) {
        return false;
    }
    dev = device_add_from_json(args, !json, error);
    json_object_put(args);
    return dev;
}

static bool add_usb_device(const char *arg, GError **error)
{
    static const char *const names[][2] = {
        { "keyboard", "usb-kbd" },
        { "mouse", "usb-mouse" },
        { "tablet", "usb-tablet" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const DeviceType *type = device_type_by_name(names[i][1]);

        if (strcmp(arg, names[i][0])) {
            continue;
        }
        if (!type || !bus_find_by_type(device_type_bus(type))) {
            return error_set(error,
                             "no usb bus to attach usbdevice %s, please try -machine usb=on and check that the "
                             "machine model supports USB",
                             arg);
        }
        return add_device(names[i][1], error);
    }
    return error_set(error, "could not add USB device '%s'", arg);
}

static const Step device_steps[] = {
    { OPT_SMBIOS, smbios_option },
    { OPT_OPTION_ROM, boot_add_option_rom },
    { OPT_FW_CFG, boot_add_fw_cfg },
    { OPT_USBDEVICE, add_usb_device },
    { OPT_DEVICE, add_device },
};

static bool build_board(void)
{
    const MachineType *type = machine_get_type(machine);
    GError *error = NULL;

    if (!machine_create_ram(machine, &error) || (type->init && !type->init(machine, &error)) ||
        (type->default_devices && machine->enable_defaults && !type->default_devices(machine, &error))) {
        return reported(error) && false;
    }
    return true;
}

/* -drive if=virtio: a card for each, behind those of -device. */
static bool add_virtio_drives(void)
{
    for (BlockDrive *d = block_drive_next(NULL); d; d = block_drive_next(d)) {
        GError *error = NULL;

        if (d->interface != BLOCK_IF_VIRTIO || front_device(d->front)) {
            continue;
        }
        json_object *args = json_object_new_object();
        json_object_object_add(args, "driver", json_object_new_string("virtio-blk"));
        json_object_object_add(args, "drive", json_object_new_string(front_name(d->front)));
        device_add_from_json(args, false, &error);
        json_object_put(args);
        if (reported(error)) {
            return false;
        }
    }
    return true;
}

/* A drive for a controller that is not there would otherwise vanish in silence. */
static bool all_drives_used(void)
{
    for (BlockDrive *d = block_drive_next(NULL); d; d = block_drive_next(d)) {
        if (d->interface != BLOCK_IF_NONE && !d->claimed && !front_device(d->front)) {
            error_report("machine type does not support if=%s,bus=%d,unit=%d",
                         block_interface_name(d->interface), d->bus, d->unit);
            return false;
        }
    }
    return true;
}

static bool complete_machine(void)
{
    const MachineType *type = machine_get_type(machine);
    GError *error = NULL;
    bool ok;

    system_bus();
    memory_transaction_begin(); /* one flat map for the whole board */
    ok = build_board() && run_steps(device_steps, G_N_ELEMENTS(device_steps)) && add_virtio_drives();
    memory_transaction_commit();
    if (!ok || !all_drives_used() || (type->done && !type->done(machine, &error))) {
        reported(error);
        return false;
    }
    if (!net_check_requests(&error)) {
        return reported(error) && false;
    }
    devices_set_ready();
    net_report_unused();
    globals_report_unused();
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    return true;
}

static bool start_guest(void)
{
    const char *incoming = options_last(&options, OPT_INCOMING);
    g_autofree char *location = NULL;
    GError *error = NULL;

    if (incoming) {
        location = g_strdup_printf("-incoming %s", incoming);
        error_location_set(location);
        migration_incoming_option(incoming, &error);
        reported(error);
        error_location_set(NULL);
        return !error;
    }
    if (vm_autostart()) {
        vm_start();
    }
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static void hook_quit(void)
{
    vm_request_shutdown(VM_SHUTDOWN_HOST_QMP_QUIT);
}

static bool hook_machine_ready(void)
{
    return devices_ready();
}

static const MonitorHooks monitor_hooks = { .quit = hook_quit, .machine_ready = hook_machine_ready };

/* A drive that the user gives takes the place of the empty ones. */
static void choose_default_drives(void)
{
    static const char *const disks[] = { "ide-cd", "ide-hd", "scsi-cd", "scsi-hd", NULL };
    static const char *const floppies[] = { "isa-fdc", "floppy", NULL };

    machine->default_cdrom = machine->enable_defaults && !device_given(disks);
    machine->default_floppy = machine->enable_defaults && !device_given(floppies);
}

/* Compat values come before the user's globals: those win. */
static bool make_machine(void)
{
    const MachineType *type = machine_type_from_options(&options);

    if (!type) {
        return false;
    }
    machine_apply_compat(type);
    if (!options_each(&options, OPT_GLOBAL, add_global)) {
        return false;
    }
    machine = machine_from_options(&options, type);
    if (!machine || !acpi_tables_from_options(&options, machine)) {
        return false;
    }
    choose_default_drives();
    block_set_ide_units(type->ide_units ? type->ide_units : 2);
    memory_init();
    migration_init();
    display_init();
    display_machine_options(&options, machine);
    if (options_has(&options, OPT_INCOMING)) {
        migration_expect_incoming();
    }
    return true;
}

static bool start(void)
{
    GError *error = NULL;

    if (options_has(&options, OPT_DAEMONIZE)) {
        process_daemonize();
    }
    main_loop_init();
    monitor_set_hooks(&monitor_hooks);
    if (options_last(&options, OPT_PIDFILE) &&
        !process_pidfile(options_last(&options, OPT_PIDFILE), &error)) {
        return reported(error) && false;
    }
    process_signals_init();
    poison_signals_init();
    if (!make_machine() || !run_steps(backend_steps, G_N_ELEMENTS(backend_steps)) || !default_lines() ||
        !make_networks() || !run_steps(block_steps, G_N_ELEMENTS(block_steps)) || !numa_from_options(&options, machine) || !accel_from_options(&options, machine) ||
        !start_qtest() || !complete_machine() || !display_start() || !start_guest()) {
        return false;
    }
    monitor_start();
    process_ready(&error);
    return !reported(error);
}

/* In the reverse order, as far as others can see something of it. */
static void shut_down(void)
{
    migration_shutdown();
    vm_shut_down();
    vhost_user_leave();
    vnc_cleanup();
    qtest_server_stop();
    monitor_cleanup();
    net_cleanup();
    block_close_all();
    chardev_cleanup();
    process_cleanup();
}

int startup_main(int argc, char **argv)
{
    int status = EXIT_FAILURE;
    g_autofree char *program = g_path_get_basename(argv[0]);

    error_set_program(program);
    if (!options_parse(&options, argc, argv)) {
        return EXIT_FAILURE;
    }
    if (help_wanted(program)) {
        return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    simple_switches();
    if (!run_steps(early_steps, G_N_ELEMENTS(early_steps))) {
        return EXIT_FAILURE;
    }
    if (start()) {
        status = vm_main_loop();
        shut_down();
    } else {
        vhost_user_leave();
        vnc_cleanup();
        net_cleanup();
        chardev_cleanup();
        process_cleanup();
    }
    return status;
}
