/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -boot, -fw_cfg. Error texts are stock's. */
#include "util/osdep.h"

#include "boot-options.h"
#include "hw/core/option-rom.h"
#include "hw/nvram/fw_cfg.h"
#include "system/datadir.h"
#include "util/error.h"
#include "util/keyval.h"

#define BOOT_TIME_MAX 65535

/* ---- -boot ------------------------------------------------------------------------------------------------------- */

static bool boot_bool(const char *key, const char *text, bool *value, GError **error)
{
    return parse_bool(text, value, NULL) ||
           error_set(error, "Parameter 'boot.%s' expects 'on' or 'off'", key);
}

static bool boot_number(const char *key, const char *text, int64_t *value, bool *given,
                        GError **error)
{
    *given = true;
    return parse_int64(text, value, NULL) ||
           error_set(error, "Parameter 'boot.%s' expects integer", key);
}

static void boot_string(char **member, const char *text)
{
    g_free(*member);
    *member = g_strdup(text);
}

static bool boot_key(BootOptions *boot, const char *key, const char *text, GError **error)
{
    if (!strcmp(key, "order")) {
        boot_string(&boot->order, text);
        return boot_order_check(text, error);
    }
    if (!strcmp(key, "once")) {
        boot_string(&boot->once, text);
        return boot_order_check(text, error);
    }
    if (!strcmp(key, "menu")) {
        return boot_bool(key, text, &boot->menu, error);
    }
    if (!strcmp(key, "strict")) {
        return boot_bool(key, text, &boot->strict, error);
    }
    if (!strcmp(key, "splash")) {
        boot_string(&boot->splash, text);
        return true;
    }
    if (!strcmp(key, "splash-time")) {
        return boot_number(key, text, &boot->splash_time, &boot->has_splash_time, error);
    }
    if (!strcmp(key, "reboot-timeout")) {
        return boot_number(key, text, &boot->reboot_timeout, &boot->has_reboot_timeout, error);
    }
    return error_set(error, "Parameter 'boot.%s' is unexpected", key);
}

static bool parse_boot(BootOptions *boot, const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "order", false, NULL, error);
    bool ok = props;

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        ok = boot_key(boot, key, json_object_get_string(value), error);
        if (!ok) {
            break;
        }
    }
    json_object_put(props);
    if (ok && boot->has_splash_time &&
        (boot->splash_time < 0 || boot->splash_time > BOOT_TIME_MAX)) {
        return error_set(error, "splash-time is invalid,it should be a value between 0 and 65535");
    }
    if (ok && boot->has_reboot_timeout &&
        (boot->reboot_timeout < -1 || boot->reboot_timeout > BOOT_TIME_MAX)) {
        return error_set(error,
                         "reboot timeout is invalid,it should be a value between -1 and 65535");
    }
    return ok;
}

static void override(char **member, const char *value)
{
    if (value) {
        g_free(*member);
        *member = g_strdup(value);
    }
}

static bool kernel_options(const Options *options, Machine *machine, GError **error)
{
    override(&machine->kernel, options_last(options, OPT_KERNEL));
    override(&machine->initrd, options_last(options, OPT_INITRD));
    override(&machine->append, options_last(options, OPT_APPEND));
    if (!machine->kernel && machine->append && *machine->append) {
        return error_set(error, "-append only allowed with -kernel option");
    }
    if (!machine->kernel && machine->initrd) {
        return error_set(error, "-initrd only allowed with -kernel option");
    }
    if (machine->kernel && !object_is_a(machine, object_type_by_name("generic-pc-machine"))) {
        return error_set(error, "-kernel: machine '%s' does not boot kernels",
                         machine_get_type(machine)->name);
    }
    return true;
}

/* An option without argument that turns a property of the machine off. */
static bool machine_switch(const Options *options, OptionId id, const char *name, Machine *machine,
                           const char *property, GError **error)
{
    if (!options_has(options, id)) {
        return true;
    }
    if (!object_has_property(&machine->object, property)) {
        return error_set(error, "-%s: machine '%s' has no property '%s'", name,
                         machine_get_type(machine)->name, property);
    }
    return object_set_text(&machine->object, property, "off", error);
}

bool boot_from_options(const Options *options, Machine *machine, GError **error)
{
    /* No place before the message: stock has none here. */
    for (unsigned i = 0; i < options->given->len; i++) {
        const GivenOption *given = &g_array_index(options->given, GivenOption, i);

        if (given->id == OPT_BOOT && !parse_boot(&machine->boot, given->arg, error)) {
            return false;
        }
    }
    if (!machine_switch(options, OPT_NO_ACPI, "no-acpi", machine, "acpi", error) ||
        !machine_switch(options, OPT_NO_HPET, "no-hpet", machine, "hpet", error)) {
        return false;
    }
    if (!kernel_options(options, machine, error)) {
        return false;
    }
    machine->no_graphics = options_has(options, OPT_NOGRAPHIC);
    return true;
}

/* ---- -fw_cfg ----------------------------------------------------------------------------------------------------- */

static const char *text_of(json_object *props, const char *key)
{
    json_object *value;
    const char *text =
        json_object_object_get_ex(props, key, &value) ? json_object_get_string(value) : NULL;

    return text;
}

bool boot_add_option_rom(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "romfile", false, NULL, error);
    const char *file, *bootindex;
    g_autofree char *path = NULL;
    int64_t index = -1;
    bool ok = true;

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        (void)value;
        if (ok && strcmp(key, "romfile") && strcmp(key, "bootindex")) {
            ok = error_set(error, "Invalid parameter '%s'", key);
        }
    }
    file = text_of(props, "romfile");
    bootindex = text_of(props, "bootindex");
    if (ok && !file) {
        ok = error_set(error, "Parameter 'romfile' is missing");
    }
    if (ok && bootindex &&
        (!parse_int64(bootindex, &index, NULL) || index < -1 || index > INT32_MAX)) {
        ok = error_set(error, "Parameter 'bootindex' expects a number");
    }
    path = ok ? datadir_find(file) : NULL;
    if (ok && !path) {
        ok = error_set(error, "Could not open option rom '%s': No such file or directory", file);
    }
    if (ok) {
        option_rom_add(path, false, index);
    }
    json_object_put(props);
    return ok;
}

static bool add_fw_cfg_file(FwCfg *fw, const char *name, const char *file, const char *string,
                            GError **error)
{
    g_autofree char *contents = NULL;
    g_autoptr(GError) why = NULL;
    gsize len;

    if (strlen(name) > FW_CFG_FILE_NAME_MAX) {
        return error_set(error, "name too long (max. %d char)", FW_CFG_FILE_NAME_MAX);
    }
    if (!g_str_has_prefix(name, "opt/")) {
        warn_report("externally provided fw_cfg item names should be prefixed with \"opt/\"");
    }
    if (string) {
        return fw_cfg_add_file(fw, name, string, strlen(string), error);
    }
    if (!g_file_get_contents(file, &contents, &len, &why)) {
        return error_set(error, "can't load %s: %s", file, why->message);
    }
    return fw_cfg_add_file(fw, name, contents, len, error);
}

bool boot_add_fw_cfg(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "name", false, NULL, error);
    const char *name, *file, *string;
    bool ok = true;

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        (void)value;
        if (ok && strcmp(key, "name") && strcmp(key, "file") && strcmp(key, "string")) {
            ok = error_set(error, "Invalid parameter '%s'", key);
        }
    }
    name = text_of(props, "name");
    file = text_of(props, "file");
    string = text_of(props, "string");
    if (ok && !fw_cfg_find()) {
        ok = error_set(error, "fw_cfg device not available");
    }
    if (ok && (!name || !*name || !file == !string)) {
        ok = error_set(error, "name, plus exactly one of file and string, are needed");
    }
    ok = ok && add_fw_cfg_file(fw_cfg_find(), name, file, string, error);
    json_object_put(props);
    return ok;
}
