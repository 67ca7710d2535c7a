/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img bitmap: persistent dirty bitmaps. No driver keeps them up to date, so every change is refused, by name;
 * that a script asks for something that cannot be is told as stock tells it.
 */
#include "util/osdep.h"
#include "img.h"

#include "util/error.h"

typedef struct BitmapArgs {
    ImgSource source;
    const char *merge_file, *merge_format;
    const char *first; /* action */
    bool add, merge;
    int64_t granularity;
} BitmapArgs;

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_OBJECT,
    IMG_LONG_IMAGE_OPTS,
    { "add", no_argument, NULL, IMG_OPT_ADD },
    { "granularity", required_argument, NULL, 'g' },
    { "remove", no_argument, NULL, IMG_OPT_REMOVE },
    { "clear", no_argument, NULL, IMG_OPT_CLEAR },
    { "enable", no_argument, NULL, IMG_OPT_ENABLE },
    { "disable", no_argument, NULL, IMG_OPT_DISABLE },
    { "merge", required_argument, NULL, IMG_OPT_MERGE },
    { "source-file", required_argument, NULL, 'b' },
    { "source-format", required_argument, NULL, 'F' },
    { NULL },
};

static const char *action_of(int c)
{
    static const char *const names[] = { "add", "remove", "clear", "enable", "disable", "merge" };
    return c >= IMG_OPT_ADD && c <= IMG_OPT_MERGE ? names[c - IMG_OPT_ADD] : NULL;
}

static bool parse(BitmapArgs *a, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":b:f:F:g:h", options, NULL)) != -1) {
        const char *action = action_of(c);
        if (action) {
            a->first = a->first ? a->first : action;
            a->add |= c == IMG_OPT_ADD;
            a->merge |= c == IMG_OPT_MERGE;
            continue;
        }
        switch (c) {
        case 'b':
            a->merge_file = optarg;
            break;
        case 'F':
            a->merge_format = optarg;
            break;
        case 'g':
            if (!img_parse_number("granularity", optarg, &a->granularity)) {
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

static const char *conflict(const BitmapArgs *a, int files)
{
    if (!a->first) {
        return "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge";
    }
    if (a->granularity && !a->add) {
        return "granularity only supported with --add";
    }
    if (a->merge_format && !a->merge_file) {
        return "-F only supported with -b";
    }
    if (a->merge_file && !a->merge) {
        return "Merge bitmap source file only supported with --merge";
    }
    return files == 2 ? NULL : "Expecting filename and bitmap name";
}

int img_bitmap(int argc, char **argv)
{
    BitmapArgs a = { .first = NULL };
    int status;
    if (!parse(&a, argc, argv, &status)) {
        return status;
    }
    const char *text = conflict(&a, argc - optind);
    if (text) {
        error_report("%s", text);
        return 1;
    }
    BlockFront *front = img_open(&a.source, argv[optind], BLOCK_OPEN_RDWR);
    if (front) {
        error_report("Operation %s on bitmap %s failed: persistent bitmaps of format '%s' are not "
                     "supported",
                     a.first, argv[optind + 1], front_node(front)->driver->name);
        front_unref(front);
    }
    return 1;
}
