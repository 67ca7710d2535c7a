/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "log-options.h"

#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/trace.h"
#include "monitor/monitor.h"

static const OptionParam trace_params[] = {
    { "enable", "string" }, { "events", "string" }, { "file", "string" }, { NULL }
};
static OptionGroup trace_group = { .option = "trace", .params = trace_params };
OPTION_GROUP_REGISTER(trace_group)

static bool apply(const char *key, const char *value, GError **error)
{
    if (!strcmp(key, "enable")) {
        trace_enable(value);
        return true;
    }
    if (!strcmp(key, "events")) {
        return trace_enable_file(value, error);
    }
    if (!strcmp(key, "file")) {
        return log_set_file(value, error);
    }
    return error_set(error, "Invalid parameter '%s'", key);
}

bool log_option_trace(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "enable", false, NULL, error);
    bool ok = props != NULL;

    if (ok) {
        json_object_object_foreach(props, key, value)
        {
            ok = ok && apply(key, json_object_get_string(value), error);
        }
        json_object_put(props);
    }
    return ok;
}

char *log_option_help(OptionId id, const char *arg)
{
    bool help = arg && (!strcmp(arg, "help") || !strcmp(arg, "?"));

    if (id == OPT_D && help) {
        return log_items_help("-d");
    }
    if ((id == OPT_TRACE && help) || (id == OPT_D && !strcmp(arg, "trace:help"))) {
        return trace_help();
    }
    return NULL;
}
