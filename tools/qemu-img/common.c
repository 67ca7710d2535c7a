/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands of qemu-img share: arguments, opening, printing. Contract: img.h. */
#include "util/osdep.h"
#include "img.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "qapi/qapi.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/main-loop.h"

/* ---- arguments ---- */

int img_usage(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    error_report("%s", text);
    fprintf(stderr, "Try 'qemu-img --help' for more information\n");
    return 1;
}

bool img_parse_output(const char *text, bool *json)
{
    *json = g_str_equal(text, "json");
    if (!*json && !g_str_equal(text, "human")) {
        error_report("--output must be used with human or json as argument.");
        return false;
    }
    return true;
}

bool img_parse_number(const char *what, const char *text, int64_t *value)
{
    uint64_t n = 0;
    int ret = tool_parse_size(text, &n);
    if (ret == 0 && n > INT64_MAX) {
        ret = -ERANGE;
    }
    if (ret == -ERANGE) {
        error_report("Invalid %s specified. Must be between 0 and %" PRId64 ".", what, INT64_MAX);
    } else if (ret < 0) {
        error_report("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
        error_report("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    } else {
        *value = n;
    }
    return ret == 0;
}

bool img_add_options(char **text, const char *more)
{
    size_t n = strlen(more), commas = 0;
    while (commas < n && more[n - 1 - commas] == ',') {
        commas++;
    }
    /* A comma at the end would swallow the one that is put between two lists. */
    if (n == 0 || more[0] == ',' || commas % 2) {
        error_report("Invalid option list: %s", more);
        return false;
    }
    char *joined = *text ? g_strconcat(*text, ",", more, NULL) : g_strdup(more);
    g_free(*text);
    *text = joined;
    return true;
}

bool img_wants_help(const char *options)
{
    g_auto(GStrv) parts = g_strsplit(options, ",", -1);
    for (unsigned i = 0; parts[i]; i++) {
        if (g_str_equal(parts[i], "help") || g_str_equal(parts[i], "?")) {
            return true;
        }
    }
    return false;
}

/* ---- images ---- */

bool img_check_cache(const char *what, const char *mode)
{
    unsigned flags = 0;
    bool writethrough;
    if (!mode || tool_parse_cache(mode, &flags, &writethrough)) {
        return true;
    }
    error_report("Invalid %scache option: %s", what, mode);
    return false;
}

BlockFront *img_try_open(const ImgSource *source, const char *filename, unsigned flags,
                         GError **error)
{
    ToolOpen open = { .filename = filename,
                      .format = source->format,
                      .aio = source->aio,
                      .flags = flags | BLOCK_OPEN_UNMAP,
                      .force_share = source->force_share };
    if (source->cache) {
        tool_parse_cache(source->cache, &open.flags, &open.writethrough);
    }
    json_object *options = NULL;
    if (source->image_opts) {
        options = keyval_parse(filename, "file", false, NULL, error);
        if (!options) {
            return NULL;
        }
        open.options = options;
        open.filename = NULL;
    }
    BlockFront *front = tool_open(&open, error);
    if (options) {
        json_object_put(options);
    }
    return front;
}

BlockFront *img_open(const ImgSource *source, const char *filename, unsigned flags)
{
    if (source->image_opts && source->format) {
        error_report("--image-opts and --format are mutually exclusive");
        return NULL;
    }
    GError *error = NULL;
    BlockFront *front = img_try_open(source, filename, flags, &error);
    if (!front) {
        error_prefix(&error, "Could not open '%s': ", filename);
        error_report_gerror(error);
    }
    return front;
}

const BlockDriver *img_format(const char *name, GError **error)
{
    const BlockDriver *driver = block_driver_by_name(name);
    if (!driver) {
        error_set(error, "Unknown file format '%s'", name);
    }
    return driver;
}

int img_option_help(const char *format, const char *filename)
{
    GError *error = NULL;
    const BlockDriver *driver = img_format(format, &error);
    const BlockDriver *protocol = NULL;
    if (driver && !driver->create_options) {
        error_set(&error, "Format driver '%s' does not support image creation", format);
    } else if (driver && filename) {
        protocol = block_filename_protocol(filename, &error);
        if (protocol && !protocol->create_options) {
            error_set(&error, "Protocol driver '%s' does not support image creation",
                      protocol->name);
        }
    }
    if (error) {
        return tool_fail(error);
    }
    g_autofree char *text =
        block_option_help(driver->create_options, protocol ? protocol->create_options : NULL);
    if (filename) {
        printf("Supported options:\n%s", text);
    } else {
        printf("Supported %s options:\n%s"
               "\n"
               "The protocol level may support further options.\n"
               "Specify the target filename to include those options.\n",
               format, text);
    }
    return 0;
}

void img_print_json(json_object *value)
{
    GString *s = g_string_new(NULL);
    qapi_json_write(s, value, true);
    puts(s->str);
    g_string_free(s, TRUE);
    json_object_put(value);
}

typedef struct Run {
    CoroutineEntry *entry;
    void *opaque;
    bool over;
} Run;

static void coroutine_fn run_entry(void *opaque)
{
    Run *run = opaque;
    run->entry(run->opaque);
    run->over = true;
    main_loop_wake();
}

void img_run(CoroutineEntry *entry, void *opaque)
{
    Run run = { entry, opaque, false };
    coroutine_enter(coroutine_create(run_entry, &run));
    MAIN_LOOP_WHILE(!run.over);
}

/* ---- snapshots ---- */

static void print_snapshot(const BlockSnapshot *s)
{
    g_autofree char *size = tool_img_size(s->vm_state_size);
    char date[64], clock[64], icount[24] = "";
    time_t when = s->date_sec;
    struct tm tm;
    localtime_r(&when, &tm);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    uint64_t sec = s->vm_clock_nsec / NS_PER_SEC;
    snprintf(clock, sizeof(clock), "%02u:%02u:%02u.%03u", (unsigned)(sec / 3600),
             (unsigned)(sec / 60 % 60), (unsigned)(sec % 60),
             (unsigned)(s->vm_clock_nsec / NS_PER_MS % 1000));
    if (s->icount >= 0) {
        snprintf(icount, sizeof(icount), "%" PRId64, s->icount);
    }
    printf("%-9s %-16s %8s%20s%13s%11s\n", s->id, s->name, size, date, clock, icount);
}

void img_print_snapshots(BlockNode *node)
{
    g_autofree BlockSnapshot *list = NULL;
    int n = block_snapshot_list(node, &list);
    if (n <= 0) {
        return;
    }
    printf("Snapshot list:\n%-9s %-16s %8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
           "VM CLOCK", "ICOUNT");
    for (int i = 0; i < n; i++) {
        print_snapshot(&list[i]);
    }
}

json_object *img_snapshot_json(const BlockSnapshot *s)
{
    json_object *o = json_object_new_object();
    if (s->icount >= 0) {
        json_object_object_add(o, "icount", json_object_new_int64(s->icount));
    }
    json_object_object_add(o, "vm-clock-nsec",
                           json_object_new_int64(s->vm_clock_nsec % NS_PER_SEC));
    json_object_object_add(o, "name", qapi_json_new_text(s->name));
    json_object_object_add(o, "date-sec", json_object_new_int64(s->date_sec));
    json_object_object_add(o, "date-nsec", json_object_new_int64(s->date_nsec));
    json_object_object_add(o, "vm-clock-sec", json_object_new_int64(s->vm_clock_nsec / NS_PER_SEC));
    json_object_object_add(o, "id", qapi_json_new_text(s->id));
    json_object_object_add(o, "vm-state-size", json_object_new_uint64(s->vm_state_size));
    return o;
}
