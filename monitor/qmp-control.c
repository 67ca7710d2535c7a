/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands of qapi/control.json and qapi/introspect.json. */
#include "util/osdep.h"

#include "monitor-private.h"
#include "qapi/commands-control.h"
#include "qapi/commands-introspect.h"
#include "qapi/version.h"
#include "util/error.h"

QMP_REGISTER(control)
QMP_REGISTER(introspect)

bool qmp_qmp_capabilities(const QMPCapabilityArray *enable, GError **error)
{
    Monitor *mon = monitor_current();

    if (!mon || !mon->qmp) {
        return error_set(error, "Only a QMP session negotiates capabilities");
    }
    return qmp_session_negotiate(mon, enable, error);
}

bool qmp_query_version(VersionInfo **ret, GError **error)
{
    VersionInfo *info = g_new0(VersionInfo, 1);

    info->qemu = g_new0(VersionTriple, 1);
    info->qemu->major = INTERFACE_VERSION_MAJOR;
    info->qemu->minor = INTERFACE_VERSION_MINOR;
    info->qemu->micro = INTERFACE_VERSION_MICRO;
    info->package = g_strdup(PROGRAM_VERSION_TEXT);
    *ret = info;
    return true;
}

static void add_command(const QmpCommand *command, void *opaque)
{
    CommandInfoArray *list = opaque;
    CommandInfo *info = g_new0(CommandInfo, 1);

    info->name = g_strdup(command->name);
    QAPI_ARRAY_ADD(list, info);
}

bool qmp_query_commands(CommandInfoArray **ret, GError **error)
{
    *ret = g_new0(CommandInfoArray, 1);
    qmp_for_each_command(add_command, *ret);
    return true;
}

bool qmp_query_qmp_schema(json_object *args, json_object **ret, GError **error)
{
    char none;

    if (!qapi_args_decode(&qapi_type_no_args, args, &none, error)) {
        return false;
    }
    *ret = qapi_json_new_raw_array(qapi_introspect_json);
    return true;
}

bool qmp_quit(GError **error)
{
    return monitor_quit() || error_set(error, "This program does not end on request");
}

bool qmp_human_monitor_command(const char *command_line, bool has_cpu_index, int64_t cpu_index,
                               char **ret, GError **error)
{
    bool (*exists)(int64_t) = monitor_hooks()->cpu_exists;
    GString *out;

    if (has_cpu_index && (!exists || !exists(cpu_index))) {
        return error_set(error, "Parameter 'cpu-index' expects a CPU number");
    }
    out = g_string_new(NULL);
    hmp_run_line(command_line, has_cpu_index ? cpu_index : 0, out);
    *ret = g_string_free(out, FALSE);
    return true;
}

/* ---- query-command-line-options ---- */

static OptionGroup *option_groups;

void monitor_register_option_group(OptionGroup *group)
{
    OptionGroup **p = &option_groups;

    while (*p && strcmp((*p)->option, group->option) < 0) {
        p = &(*p)->next;
    }
    group->next = *p;
    *p = group;
}

static CommandLineOptionInfo *describe(const OptionGroup *group)
{
    CommandLineOptionInfo *info = g_new0(CommandLineOptionInfo, 1);

    info->option = g_strdup(group->option);
    info->parameters = g_new0(CommandLineParameterInfoArray, 1);
    for (const OptionParam *p = group->params; p->name; p++) {
        CommandLineParameterInfo *param = g_new0(CommandLineParameterInfo, 1);
        int type = qapi_parse_CommandLineParameterType(p->type);

        g_assert(type >= 0);
        param->name = g_strdup(p->name);
        param->type = type;
        param->help = g_strdup(p->help);
        param->default_ = g_strdup(p->default_value);
        QAPI_ARRAY_ADD(info->parameters, param);
    }
    return info;
}

bool qmp_query_command_line_options(const char *option, CommandLineOptionInfoArray **ret,
                                    GError **error)
{
    CommandLineOptionInfoArray *list = g_new0(CommandLineOptionInfoArray, 1);

    for (const OptionGroup *g = option_groups; g; g = g->next) {
        if (!option || strcmp(g->option, option) == 0) {
            QAPI_ARRAY_ADD(list, describe(g));
        }
    }
    if (option && !list->len) {
        qapi_free_CommandLineOptionInfoArray(list);
        return error_set(error, "invalid option name: %s", option);
    }
    *ret = list;
    return true;
}

/* What this layer parses itself. */
static const OptionParam mon_params[] = {
    { "mode", "string" },
    { "chardev", "string" },
    { "pretty", "boolean" },
    { NULL },
};
static OptionGroup mon_group = { "mon", mon_params, NULL };
OPTION_GROUP_REGISTER(mon_group)

static const OptionParam chardev_params[] = {
    { "backend", "string" },   { "path", "string" },        { "input-path", "string" },
    { "host", "string" },      { "port", "string" },        { "fd", "string" },
    { "to", "number" },        { "ipv4", "boolean" },       { "ipv6", "boolean" },
    { "wait", "boolean" },     { "server", "boolean" },     { "delay", "boolean" },
    { "nodelay", "boolean" },  { "reconnect", "number" },   { "reconnect-ms", "number" },
    { "telnet", "boolean" },   { "mux", "boolean" },        { "signal", "boolean" },
    { "size", "size" },        { "chardev", "string" },     { "append", "boolean" },
    { "logfile", "string" },   { "logappend", "boolean" },  { "tight", "boolean" },
    { "abstract", "boolean" }, { NULL },
};
static OptionGroup chardev_group = { "chardev", chardev_params, NULL };
OPTION_GROUP_REGISTER(chardev_group)
