/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands of qapi/trace.json and their HMP twins: trace-event, info trace-events, log. */
#include "util/osdep.h"

#include "monitor/hmp.h"
#include "qapi/commands-trace.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"

QMP_REGISTER(trace)

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?") != NULL;
}

static void add_info(TraceEvent *event, void *opaque)
{
    TraceEventInfoArray *array = opaque;
    TraceEventInfo *info = g_new0(TraceEventInfo, 1);

    info->name = g_strdup(event->name);
    info->state = event->enabled ? TRACE_EVENT_STATE_ENABLED : TRACE_EVENT_STATE_DISABLED;
    QAPI_ARRAY_ADD(array, info);
}

bool qmp_trace_event_get_state(const char *name, TraceEventInfoArray **ret, GError **error)
{
    TraceEventInfoArray *array = g_new0(TraceEventInfoArray, 1);

    trace_foreach(name, add_info, array);
    if (!array->len && !is_pattern(name)) {
        g_free(array);
        return error_set(error, "unknown event \"%s\"", name);
    }
    *ret = array;
    return true;
}

bool qmp_trace_event_set_state(const char *name, bool enable, bool has_ignore_unavailable,
                               bool ignore_unavailable, GError **error)
{
    if (!trace_set(name, enable) && !is_pattern(name) &&
        !(has_ignore_unavailable && ignore_unavailable)) {
        return error_set(error, "unknown event \"%s\"", name);
    }
    return true;
}

/* ---- HMP ---- */

static void hmp_trace_event(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_trace_event_set_state(hmp_arg_str(args, "name"), hmp_arg_bool(args, "option", false), true,
                              true, &error);
    hmp_report_error(hmp, &error);
}

static void print_event(TraceEvent *event, void *opaque)
{
    hmp_printf(opaque, "%s : state %d\n", event->name, event->enabled);
}

static void hmp_info_trace_events(Hmp *hmp, const HmpArgs *args)
{
    const char *pattern = hmp_arg_str(args, "name");

    trace_foreach(pattern ? pattern : "*", print_event, hmp);
}

static void hmp_log(Hmp *hmp, const HmpArgs *args)
{
    const char *items = hmp_arg_str(args, "items");
    g_autofree char *text = NULL;
    GError *error = NULL;

    if (!strcmp(items, "help")) {
        text = log_items_help("log");
    } else if (!strcmp(items, "trace:help")) {
        text = trace_help();
    } else if (!log_set_items(items, &error)) {
        hmp_report_error(hmp, &error);
    }
    if (text) {
        hmp_puts(hmp, text);
    }
}

static void hmp_logfile(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    log_set_file(hmp_arg_str(args, "filename"), &error);
    hmp_report_error(hmp, &error);
}

static void complete_event(TraceEvent *event, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup(event->name));
}

static void complete(unsigned n, const char *prefix, GPtrArray *words)
{
    g_autofree char *pattern = g_strconcat(prefix, "*", NULL);

    if (n == 0) {
        trace_foreach(pattern, complete_event, words);
    }
}

static const HmpCommand commands[] = {
    { "trace-event", "name:s,option:b", "name on|off",
      "turn the trace events of that name or pattern on or off", hmp_trace_event, true, complete },
    { "info trace-events", "name:s?", "[name]", "show trace events and whether they are on",
      hmp_info_trace_events, true, complete },
    { "log", "items:s", "item1[,...]",
      "set what is logged ('log help' for a list, 'log none' for nothing)", hmp_log, true },
    { "logfile", "filename:F", "filename", "write the log there from now on", hmp_logfile, true },
};
HMP_REGISTER(commands)
