/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img dd: convert with the operands of dd(1). */
#include "util/osdep.h"
#include "copy.h"

#include "create.h"
#include "util/error.h"

typedef struct DdArgs {
    ImgSource source;
    const char *format; /* of the output */
    const char *in, *out;
    int64_t block, count, skip; /* count -1: all */
} DdArgs;

static bool parse_block(DdArgs *a, const char *value)
{
    if (!img_parse_number("bs", value, &a->block)) {
        return false;
    }
    if (a->block < 1 || a->block > INT32_MAX) {
        error_report("Invalid bs specified. Must be between 1 and %d.", INT32_MAX);
        return false;
    }
    return true;
}

/* "key=value" */
static bool operand(DdArgs *a, const char *text)
{
    const char *equals = strchr(text, '=');
    g_autofree char *key = equals ? g_strndup(text, equals - text) : g_strdup(text);
    const char *value = equals ? equals + 1 : "";
    if (equals && g_str_equal(key, "if")) {
        a->in = value;
    } else if (equals && g_str_equal(key, "of")) {
        a->out = value;
    } else if (equals && g_str_equal(key, "bs")) {
        return parse_block(a, value);
    } else if (equals && g_str_equal(key, "count")) {
        return img_parse_number("count", value, &a->count);
    } else if (equals && g_str_equal(key, "skip")) {
        return img_parse_number("skip", value, &a->skip);
    } else {
        error_report("unrecognized operand %s", key);
        return false;
    }
    return true;
}

/* blocks * size, INT64_MAX if that is more. */
static int64_t bytes_of(int64_t blocks, int64_t size)
{
    int64_t n;
    return __builtin_mul_overflow(blocks, size, &n) ? INT64_MAX : n;
}

static bool create_output(const DdArgs *a, int64_t size)
{
    ImgCreate create = {
        .filename = a->out, .format = a->format, .size = size, .size_wins = true, .quiet = true
    };
    GError *error = NULL;
    json_object *options = json_object_new_object();
    bool ok = img_create_image(&create, options, &error);
    json_object_put(options);
    if (!ok) {
        error_prefix(&error, "%s: error while creating output image: ", a->out);
        error_report_gerror(error);
    }
    return ok;
}

static int copy_part(const DdArgs *a, BlockFront *in, int64_t skip, int64_t size)
{
    ImgSource target = { .format = a->format };
    BlockFront *out = img_open(&target, a->out, BLOCK_OPEN_RDWR);
    if (!out) {
        return 1;
    }
    ImgPiece piece = { in, size };
    BlockDriverInfo info;
    block_node_info(front_node(out), &info);
    ImgCopy copy = { .pieces = &piece,
                     .n_pieces = 1,
                     .skip = skip,
                     .target = out,
                     .workers = 8,
                     .sparse = 4096,
                     .cluster = info.cluster_size,
                     .zero_init = block_node_zero_init(front_node(out)) };
    img_catch_signals();
    bool ok = img_copy(&copy);
    int ret = ok ? front_flush(out) : 0;
    if (ret < 0) {
        error_report("error while flushing '%s': %s", a->out, g_strerror(-ret));
        ok = false;
    }
    if (!ok) {
        error_report("%s'%s' is incomplete", img_signal() ? "interrupted: " : "", a->out);
    }
    front_unref(out);
    return ok ? 0 : 1;
}

static int dd(const DdArgs *a)
{
    BlockFront *in = img_open(&a->source, a->in, 0);
    if (!in) {
        return 1;
    }
    int64_t length = front_length(in), skip = bytes_of(a->skip, a->block);
    int status = 1;
    if (length < 0) {
        error_report("Failed to get size for '%s'", a->in);
    } else {
        int64_t size = MAX(length - skip, 0);
        if (a->count >= 0) {
            size = MIN(size, bytes_of(a->count, a->block));
        }
        if (!create_output(a, size)) {
            status = 1;
        } else if (skip > length) {
            error_report("%s: cannot skip to specified offset", a->in);
            status = 0; /* as dd(1): there is nothing to copy */
        } else {
            status = size ? copy_part(a, in, skip, size) : 0;
        }
    }
    front_unref(in);
    return status;
}

static const struct option options[] = {
    IMG_LONG_HELP, IMG_LONG_OBJECT, IMG_LONG_IMAGE_OPTS, IMG_LONG_FORCE_SHARE, { NULL },
};

int img_dd(int argc, char **argv)
{
    DdArgs a = { .format = "raw", .block = 512, .count = -1 };
    int c, status = 1;
    while ((c = getopt_long(argc, argv, ":hf:O:U", options, NULL)) != -1) {
        switch (c) {
        case 'O':
            a.format = optarg;
            break;
        default:
            if (!img_source_option(c, argv, &a.source, &status)) {
                return status;
            }
        }
    }
    for (int i = optind; i < argc; i++) {
        if (!operand(&a, argv[i])) {
            return 1;
        }
    }
    if (!a.in || !a.out) {
        error_report("Must specify both input and output files");
        return 1;
    }
    if (!block_driver_by_name(a.format)) {
        error_report("Unknown file format");
        return 1;
    }
    status = dd(&a);
    if (status && img_signal()) {
        img_die_by_signal();
    }
    return status;
}
