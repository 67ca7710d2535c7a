/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace points; see util/trace.h. */
#include "util/osdep.h"
#include "util/trace.h"

#include "util/error.h"
#include "util/log.h"

static GPtrArray *events; /* TraceEvent *, sorted by name when first read */
static bool sorted;
static bool timestamps;

void trace_event_register(TraceEvent *event)
{
    if (!events) {
        events = g_ptr_array_new();
    }
    g_ptr_array_add(events, event);
    sorted = false;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(TraceEvent *const *)a)->name, (*(TraceEvent *const *)b)->name);
}

void trace_foreach(const char *pattern, TraceEventFunc *func, void *opaque)
{
    g_autoptr(GPatternSpec) spec = g_pattern_spec_new(pattern);

    if (events && !sorted) {
        g_ptr_array_sort(events, by_name);
        sorted = true;
    }
    for (unsigned i = 0; events && i < events->len; i++) {
        TraceEvent *event = g_ptr_array_index(events, i);

        if (g_pattern_match_string(spec, event->name)) {
            func(event, opaque);
        }
    }
}

typedef struct Setting {
    bool enabled;
    unsigned n;
} Setting;

static void set_one(TraceEvent *event, void *opaque)
{
    Setting *setting = opaque;

    event->enabled = setting->enabled;
    setting->n++;
}

unsigned trace_set(const char *pattern, bool enabled)
{
    Setting setting = { .enabled = enabled };

    trace_foreach(pattern, set_one, &setting);
    return setting.n;
}

void trace_enable(const char *text)
{
    bool off = text[0] == '-';
    const char *pattern = text + off;

    if (!trace_set(pattern, !off) && !strpbrk(pattern, "*?")) {
        warn_report("trace event '%s' does not exist", pattern);
    }
}

bool trace_enable_file(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, error)) {
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        const char *line = g_strstrip(lines[i]);

        if (*line && *line != '#') {
            trace_enable(line);
        }
    }
    return true;
}

void trace_set_timestamps(bool on)
{
    timestamps = on;
}

void trace_print(const TraceEvent *event, const char *fmt, ...)
{
    va_list args;
    gint64 now = timestamps ? g_get_real_time() : 0;

    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (timestamps) {
        log_printf("%d@%" PRId64 ".%06" PRId64 ":%s %s", getpid(), now / G_USEC_PER_SEC,
                   now % G_USEC_PER_SEC, event->name, text);
    } else {
        log_printf("%s %s", event->name, text);
    }
}

static void append_name(TraceEvent *event, void *opaque)
{
    g_string_append_printf(opaque, "%s\n", event->name);
}

char *trace_help(void)
{
    GString *out = g_string_new(NULL);

    trace_foreach("*", append_name, out);
    return g_string_free(out, FALSE);
}
