/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -serial and -parallel ask for. */
#include "util/osdep.h"
#include "system/serial-lines.h"

#include "chardev/chardev.h"
#include "monitor/monitor.h"
#include "util/error.h"

static const char *const names[LINE_KINDS] = { "serial", "parallel" };
static GPtrArray *lines[LINE_KINDS]; /* char *: chardev ids, NULL: none */

bool line_add(LineKind kind, const char *spec, GError **error)
{
    g_autofree char *label = g_strdup_printf("%s%u", names[kind], line_count(kind));
    GError *failure = NULL;
    Chardev *chr = chardev_new_spec(label, spec, true, &failure);

    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    if (g_str_has_prefix(spec, "mon:") && !monitor_new_hmp(chr, true, error)) {
        return false;
    }
    if (!lines[kind]) {
        lines[kind] = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(lines[kind], chr ? g_strdup(chardev_id(chr)) : NULL);
    return true;
}

unsigned line_count(LineKind kind)
{
    return lines[kind] ? lines[kind]->len : 0;
}

const char *line_chardev(LineKind kind, unsigned n)
{
    return n < line_count(kind) ? g_ptr_array_index(lines[kind], n) : NULL;
}

bool line_check_count(LineKind kind, unsigned most, GError **error)
{
    return line_count(kind) <= most ||
           error_set(error, "this machine has %u %s ports, -%s was given %u times", most,
                     names[kind], names[kind], line_count(kind));
}
