/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img resize. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "util/error.h"

typedef struct ResizeArgs {
    ImgSource source;
    int prealloc;
    bool quiet, shrink;
    int relative; /* -1, 0, 1 */
    uint64_t size;
} ResizeArgs;

static bool parse_size_argument(ResizeArgs *a, const char *text)
{
    a->relative = text[0] == '+' ? 1 : text[0] == '-' ? -1 : 0;
    if (tool_parse_size(text + (a->relative != 0), &a->size) < 0) {
        error_report("Parameter 'size' expects a non-negative number below 2^64\n"
                     "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                     "and exabytes, respectively.");
        return false;
    }
    return true;
}

/* False with a message if there is no such size. */
static bool new_length(const ResizeArgs *a, int64_t current, int64_t *length)
{
    bool overflow = a->size > INT64_MAX;
    if (!overflow && a->relative) {
        overflow = __builtin_add_overflow(current, a->relative * (int64_t)a->size, length);
    } else if (!overflow) {
        *length = a->size;
    }
    if (overflow || *length <= 0) {
        error_report("New image size must be positive");
        return false;
    }
    return true;
}

static bool resize(const ResizeArgs *a, BlockFront *front)
{
    int64_t length, current = front_length(front);
    if (current < 0) {
        error_report("Failed to inquire current image length: %s", g_strerror(-current));
        return false;
    }
    if (!new_length(a, current, &length)) {
        return false;
    }
    if (length <= current && a->prealloc != PREALLOC_MODE_OFF) {
        error_report("Preallocation can only be used for growing images");
        return false;
    }
    if (length < current && !a->shrink) {
        error_report("Use the --shrink option to perform a shrink operation.");
        warn_report("Shrinking an image will delete all data beyond the shrunken image's end. "
                    "Before performing such an operation, make sure there is no important data "
                    "there.");
        return false;
    }
    GError *error = NULL;
    /* exact: a larger image than the one that was asked for is an error */
    if (!front_truncate(front, length, true, a->prealloc, &error)) {
        error_report_gerror(error);
        return false;
    }
    int ret = front_flush(front);
    if (ret < 0) {
        error_report("The new size could not be written: %s", g_strerror(-ret));
        return false;
    }
    if (!a->quiet) {
        printf("Image resized.\n");
    }
    return true;
}

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_OBJECT,
    IMG_LONG_IMAGE_OPTS,
    { "preallocation", required_argument, NULL, IMG_OPT_PREALLOCATION },
    { "shrink", no_argument, NULL, IMG_OPT_SHRINK },
    { NULL },
};

/* False: the command is over, with *status. */
static bool parse(ResizeArgs *a, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":f:hq", options, NULL)) != -1) {
        switch (c) {
        case 'q':
            a->quiet = true;
            break;
        case IMG_OPT_SHRINK:
            a->shrink = true;
            break;
        case IMG_OPT_PREALLOCATION:
            a->prealloc = qapi_parse_PreallocMode(optarg);
            if (a->prealloc < 0) {
                error_report("Invalid preallocation mode '%s'", optarg);
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

int img_resize(int argc, char **argv)
{
    ResizeArgs a = { .prealloc = PREALLOC_MODE_OFF };
    int status;
    if (argc < 3 && !(argc == 2 && g_str_has_prefix(argv[1], "-h"))) {
        return img_usage("Not enough arguments");
    }
    /* The size may begin with '-' and is no option for all that. */
    const char *size = argc > 2 ? argv[--argc] : "";
    if (!parse(&a, argc, argv, &status)) {
        return status;
    }
    if (optind != argc - 1) {
        return img_usage("Expecting image file name and size");
    }
    if (!parse_size_argument(&a, size)) {
        return 1;
    }
    BlockFront *front = img_open(&a.source, argv[optind], BLOCK_OPEN_RDWR);
    if (!front) {
        return 1;
    }
    status = resize(&a, front) ? 0 : 1;
    front_unref(front);
    return status;
}
