/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Human monitor commands about the monitor itself and its neighbours above. */
#include "util/osdep.h"

#include "hmp-private.h"
#include "monitor-private.h"
#include "qapi/commands-char.h"
#include "qapi/commands-control.h"
#include "util/error.h"

static void print_help_line(Hmp *hmp, const HmpCommand *command)
{
    hmp_printf(hmp, "%s %s -- %s\n", command->name, command->params, command->help);
}

/* All of the main table, or of the info table. */
static void print_table(Hmp *hmp, bool info)
{
    const GPtrArray *all = hmp_commands();

    for (guint i = 0; i < all->len; i++) {
        const HmpCommand *command = g_ptr_array_index(all, i);

        if (g_str_has_prefix(command->name, "info ") == info) {
            print_help_line(hmp, command);
        }
    }
}

static void hmp_help(Hmp *hmp, const HmpArgs *args)
{
    const char *what = hmp_arg_str(args, "name");
    g_autofree char *name = NULL;
    const HmpCommand *command;
    const char *rest;

    if (!what) {
        print_table(hmp, false);
        return;
    }
    if (strcmp(what, "info") == 0) {
        print_table(hmp, true);
        return;
    }
    command = hmp_find(what, &rest, &name);
    if (!command) {
        hmp_printf(hmp, "unknown command: '%s'\n", what);
        return;
    }
    print_help_line(hmp, command);
}

static void hmp_info(Hmp *hmp, const HmpArgs *args)
{
    print_table(hmp, true);
}

static void hmp_quit(Hmp *hmp, const HmpArgs *args)
{
    qmp_quit(NULL);
}

static void hmp_info_version(Hmp *hmp, const HmpArgs *args)
{
    g_autoptr(VersionInfo) info = NULL;

    qmp_query_version(&info, NULL);
    hmp_printf(hmp, "%" PRId64 ".%" PRId64 ".%" PRId64 " (%s)\n", info->qemu->major,
               info->qemu->minor, info->qemu->micro, info->package);
}

static void hmp_info_chardev(Hmp *hmp, const HmpArgs *args)
{
    g_autoptr(ChardevInfoArray) list = NULL;

    qmp_query_chardev(&list, NULL);
    for (size_t i = 0; i < list->len; i++) {
        hmp_printf(hmp, "%s: filename=%s\n", list->items[i]->label, list->items[i]->filename);
    }
}

static void add_command_name(const QmpCommand *command, void *opaque)
{
    g_ptr_array_add(opaque, (gpointer)command->name);
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Not in stock: which QMP commands there are, for people at the prompt. */
static void hmp_info_qmp(Hmp *hmp, const HmpArgs *args)
{
    GPtrArray *names = g_ptr_array_new();

    qmp_for_each_command(add_command_name, names);
    g_ptr_array_sort(names, by_text);
    for (guint i = 0; i < names->len; i++) {
        hmp_printf(hmp, "%s\n", (const char *)g_ptr_array_index(names, i));
    }
    g_ptr_array_unref(names);
}

static void hmp_chardev_remove(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_chardev_remove(hmp_arg_str(args, "id"), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_chardev_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool help = false;

    chardev_new_option(hmp_arg_str(args, "args"), &help, &error);
    hmp_report_error(hmp, &error);
}

static void hmp_chardev_send_break(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_chardev_send_break(hmp_arg_str(args, "id"), &error);
    hmp_report_error(hmp, &error);
}

static void add_chardev_id(Chardev *chr, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup(chardev_id(chr)));
}

static void complete_chardev(unsigned n, const char *prefix, GPtrArray *words)
{
    if (n == 0) {
        chardev_for_each(add_chardev_id, words);
        monitor_keep_prefixed(words, prefix);
    }
}

/* print /FMT VALUE; the unit is ignored, as in stock. */
static void hmp_print(Hmp *hmp, const HmpArgs *args)
{
    int64_t value = hmp_arg_int(args, "value", 0);
    char format, unit;
    unsigned count;

    hmp_arg_format(args, "fmt", &count, &format, &unit);
    switch (format) {
    case 'o':
        hmp_printf(hmp, "%#" PRIo64 "\n", (uint64_t)value);
        break;
    case 'u':
        hmp_printf(hmp, "%" PRIu64 "\n", (uint64_t)value);
        break;
    case 'd':
        hmp_printf(hmp, "%" PRId64 "\n", value);
        break;
    case 'c':
        hmp_printf(hmp, g_ascii_isprint((char)value) ? "'%c'\n" : "'\\x%02x'\n",
                   (int)(value & 0xff));
        break;
    default:
        hmp_printf(hmp, "%#" PRIx64 "\n", (uint64_t)value);
        break;
    }
}

static void hmp_ringbuf_write(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_ringbuf_write(hmp_arg_str(args, "device"), hmp_arg_str(args, "data"), false, 0, &error);
    hmp_report_error(hmp, &error);
}

static void hmp_ringbuf_read(Hmp *hmp, const HmpArgs *args)
{
    g_autofree char *data = NULL;
    GError *error = NULL;

    if (qmp_ringbuf_read(hmp_arg_str(args, "device"), hmp_arg_int(args, "size", 0), false, 0, &data,
                         &error)) {
        for (const char *p = data; *p; p++) {
            if (*p == '\\') {
                hmp_puts(hmp, "\\\\");
            } else if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) {
                hmp_printf(hmp, "\\u%04X", *p);
            } else {
                hmp_printf(hmp, "%c", *p);
            }
        }
        hmp_puts(hmp, "\n");
    }
    hmp_report_error(hmp, &error);
}

static const HmpCommand commands[] = {
    { "help|?", "name:S?", "[cmd]", "show the help", hmp_help, true },
    { "info", "item:s?", "[subcommand]", "show various information about the system state",
      hmp_info, true },
    { "quit|q", "", "", "quit the emulator", hmp_quit, true },
    { "info version", "", "", "show the version of QEMU", hmp_info_version, true },
    { "info chardev", "", "", "show the character devices", hmp_info_chardev, true },
    { "info qmp-commands", "", "", "list the QMP commands", hmp_info_qmp, true },
    { "chardev-add", "args:S", "args", "add chardev", hmp_chardev_add },
    { "chardev-remove", "id:s", "id", "remove chardev", hmp_chardev_remove, false,
      complete_chardev },
    { "chardev-send-break", "id:s", "id", "send a break on chardev", hmp_chardev_send_break, false,
      complete_chardev },
    { "print|p", "fmt:/,value:i", "/fmt expr", "print expression value", hmp_print, true },
    { "ringbuf_write", "device:s,data:s", "device data", "Write to a ring buffer character device",
      hmp_ringbuf_write, false, complete_chardev },
    { "ringbuf_read", "device:s,size:i", "device size", "Read from a ring buffer character device",
      hmp_ringbuf_read, false, complete_chardev },
};
HMP_REGISTER(commands)
