/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img measure: what an image would take. */
#include "util/osdep.h"
#include "create.h"

#include <stdio.h>
#include "util/error.h"

typedef struct MeasureArgs {
    ImgSource source;
    const char *format; /* -O */
    char *options, *snapshot;
    int64_t size; /* -1: not given */
    bool json;
} MeasureArgs;

static void print_result(const MeasureArgs *a, const BlockMeasure *m)
{
    if (a->json) {
        json_object *o = json_object_new_object();
        if (m->has_bitmaps) {
            json_object_object_add(o, "bitmaps", json_object_new_uint64(m->bitmaps));
        }
        json_object_object_add(o, "required", json_object_new_uint64(m->required));
        json_object_object_add(o, "fully-allocated", json_object_new_uint64(m->fully_allocated));
        img_print_json(o);
        return;
    }
    printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", m->required,
           m->fully_allocated);
    if (m->has_bitmaps) {
        printf("bitmaps size: %" PRIu64 "\n", m->bitmaps);
    }
}

static BlockFront *open_source(const MeasureArgs *a, const char *filename)
{
    BlockFront *front = img_open(&a->source, filename, 0);
    GError *error = NULL;
    if (front && a->snapshot && !block_snapshot_load(front_node(front), a->snapshot, &error)) {
        error_prefix(&error, "Failed to load snapshot: ");
        error_report_gerror(error);
        front_unref(front);
        return NULL;
    }
    return front;
}

static int measure(const MeasureArgs *a, const char *filename)
{
    GError *error = NULL;
    BlockMeasure result;
    const BlockDriver *driver = img_format(a->format, &error);
    if (driver && !driver->create_options) {
        error_set(&error, "Format driver '%s' does not support image creation", a->format);
    }
    if (error) {
        return tool_fail(error);
    }
    json_object *options = img_parse_create_options(a->options);
    if (a->size >= 0) {
        g_autofree char *size = g_strdup_printf("%" PRId64, a->size);
        json_object_object_add(options, "size", json_object_new_string(size));
    }
    bool ok = block_create_check(driver, block_driver_by_name("file"), options, &error);
    BlockFront *front = NULL;
    if (!ok) {
        error_report_gerror(error);
        error_report("Invalid options for file format '%s'", a->format);
    } else if (filename) {
        front = open_source(a, filename);
        ok = front != NULL;
    }
    if (ok) {
        ok = block_measure(driver, options, front ? front_node(front) : NULL, &result, &error);
        if (ok) {
            print_result(a, &result);
        } else {
            error_report_gerror(error);
        }
    }
    front_unref(front);
    json_object_put(options);
    return ok ? 0 : 1;
}

static const struct option options[] = {
    IMG_LONG_HELP,   IMG_LONG_IMAGE_OPTS,  IMG_LONG_OBJECT,
    IMG_LONG_OUTPUT, IMG_LONG_FORCE_SHARE, { "size", required_argument, NULL, IMG_OPT_SIZE },
    { NULL },
};

/* False: the command is over, with *status. */
static bool parse(MeasureArgs *a, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":hf:l:o:O:U", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            a->snapshot = optarg;
            break;
        case 'o':
            if (!img_add_options(&a->options, optarg)) {
                return false;
            }
            break;
        case 'O':
            a->format = optarg;
            break;
        case IMG_OPT_OUTPUT:
            if (!img_parse_output(optarg, &a->json)) {
                return false;
            }
            break;
        case IMG_OPT_SIZE:
            if (!img_parse_number("image size", optarg, &a->size)) {
                return false;
            }
            break;
        default:
            if (!img_source_option(c, argv, &a->source, status)) {
                return false;
            }
        }
    }
    return true;
}

static const char *conflict(const MeasureArgs *a, int files)
{
    if (files > 1) {
        return "At most one filename argument is allowed.";
    }
    if (files == 0 && (a->source.image_opts || a->source.format || a->snapshot)) {
        return "--image-opts, -f, and -l require a filename argument.";
    }
    if (files == 0 && a->size < 0) {
        return "Either --size N or one filename must be specified.";
    }
    if (files && a->size >= 0) {
        return "--size N cannot be used together with a filename.";
    }
    return NULL;
}

int img_measure(int argc, char **argv)
{
    MeasureArgs a = { .format = "raw", .size = -1 };
    int status;
    if (parse(&a, argc, argv, &status)) {
        const char *text = conflict(&a, argc - optind);
        if (text) {
            error_report("%s", text);
            status = 1;
        } else if (a.options && img_wants_help(a.options)) {
            status = img_option_help(a.format, NULL);
        } else {
            status = measure(&a, optind < argc ? argv[optind] : NULL);
        }
    }
    g_free(a.options);
    return status;
}
