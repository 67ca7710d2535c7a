/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log; see util/log.h. */
#include "util/osdep.h"
#include "util/log.h"

#include <fcntl.h>

#include "util/error.h"
#include "util/trace.h"

#define TRACE_PREFIX "trace:"

unsigned log_items;
static int file = -1;

static const struct {
    LogItem item;
    const char *name, *help;
} items[] = {
    { LOG_CPU_RESET, "cpu_reset", "show CPU state before CPU resets" },
    { LOG_UNIMPLEMENTED, "unimp", "log unimplemented functionality" },
    { LOG_GUEST_ERRORS, "guest_errors",
      "log when the guest OS does something invalid (eg accessing a non-existent register)" },
};

void log_printf(const char *fmt, ...)
{
    va_list args;
    ssize_t ignored;

    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_autofree char *line =
        g_str_has_suffix(text, "\n") ? g_strdup(text) : g_strconcat(text, "\n", NULL);
    ignored = write(file >= 0 ? file : STDERR_FILENO, line, strlen(line)); /* nobody to tell */
    (void)ignored;
}

static bool item_by_name(const char *name, unsigned *bits)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        if (!strcmp(items[i].name, name)) {
            *bits |= items[i].item;
            return true;
        }
    }
    return false;
}

bool log_set_items(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    unsigned bits = 0;

    for (unsigned i = 0; words[i]; i++) {
        if (!strcmp(words[i], "all")) {
            bits = ~0u;
        } else if (strcmp(words[i], "none") && !g_str_has_prefix(words[i], TRACE_PREFIX) &&
                   !item_by_name(words[i], &bits)) {
            return error_set(error, "unknown log item '%s': 'help' lists them", words[i]);
        }
    }
    for (unsigned i = 0; words[i]; i++) {
        if (g_str_has_prefix(words[i], TRACE_PREFIX)) {
            trace_enable(words[i] + strlen(TRACE_PREFIX));
        }
    }
    log_items = bits;
    return true;
}

char *log_items_help(const char *how)
{
    GString *out = g_string_new("Log items (comma separated):\n");

    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        g_string_append_printf(out, "%-15s %s\n", items[i].name, items[i].help);
    }
    g_string_append_printf(
        out, "%-15s enable trace events\n\nUse \"%s trace:help\" to get a list of trace events.\n",
        "trace:PATTERN", how);
    return g_string_free(out, FALSE);
}

bool log_set_file(const char *path, GError **error)
{
    g_autofree char *pid = g_strdup_printf("%d", getpid());
    g_auto(GStrv) parts = NULL;
    g_autofree char *name = NULL;
    int fd = -1;

    if (path) {
        parts = g_strsplit(path, "%d", 2);
        name = g_strjoinv(pid, parts);
        fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0) {
            return error_set_errno(error, errno, "Error opening logfile %s", name);
        }
    }
    if (file >= 0) {
        close(file);
    }
    file = fd;
    return true;
}

int log_fd(void)
{
    return file;
}
