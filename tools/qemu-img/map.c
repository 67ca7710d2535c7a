/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img map: where the data of an image is. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "util/error.h"

/* Bytes with the same answer. */
typedef struct Extent {
    uint64_t start, length;
    unsigned depth;
    int status; /* BLOCK_STATUS_* */
    uint64_t offset;
    BlockNode *file; /* NULL: none */
} Extent;

typedef struct MapArgs {
    ImgSource source;
    bool json;
    int64_t start, length; /* length -1: all */
} MapArgs;

static bool print_human(const Extent *e)
{
    if (!(e->status & BLOCK_STATUS_DATA) || (e->status & BLOCK_STATUS_ZERO)) {
        return true;
    }
    if (!(e->status & BLOCK_STATUS_OFFSET) || !e->file) {
        error_report("File contains external, encrypted or compressed clusters.");
        return false;
    }
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->start, e->length, e->offset,
           block_node_filename(e->file));
    return true;
}

static const char *flag(const Extent *e, int bit)
{
    return e->status & bit ? "true" : "false";
}

static bool print_json(const Extent *e)
{
    static bool printed; /* one list per run of the program */
    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
           ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
           printed ? ",\n" : "", e->start, e->length, e->depth, flag(e, BLOCK_STATUS_ALLOCATED),
           flag(e, BLOCK_STATUS_ZERO), flag(e, BLOCK_STATUS_DATA));
    if (e->status & BLOCK_STATUS_OFFSET) {
        printf(", \"offset\": %" PRIu64, e->offset);
    }
    putchar('}');
    printed = true;
    return true;
}

#define SHOWN (BLOCK_STATUS_DATA | BLOCK_STATUS_ZERO | BLOCK_STATUS_OFFSET | BLOCK_STATUS_ALLOCATED)

static bool joins(const Extent *a, const Extent *b)
{
    return a->depth == b->depth && (a->status & SHOWN) == (b->status & SHOWN) &&
           a->file == b->file &&
           (!(a->status & BLOCK_STATUS_OFFSET) || a->offset + a->length == b->offset);
}

static int next_extent(BlockNode *node, uint64_t start, uint64_t bytes, Extent *e)
{
    *e = (Extent){ .start = start };
    e->status = block_status_above(node, NULL, true, start, bytes, &e->length, &e->offset, &e->file,
                                   &e->depth);
    if (e->status >= 0 && !(e->status & BLOCK_STATUS_OFFSET)) {
        e->file = NULL;
    }
    return e->status;
}

static int map(const MapArgs *a, BlockFront *front)
{
    BlockNode *node = front_node(front);
    int64_t length = front_length(front);
    if (length < 0) {
        error_report("Failed to get size for '%s'", block_node_filename(node));
        return 1;
    }
    uint64_t end = length;
    if (a->length >= 0 && a->start < length && a->length < length - a->start) {
        end = a->start + a->length;
    }
    bool (*print)(const Extent *e) = a->json ? print_json : print_human;
    Extent last = { .length = 0 }, e;
    bool ok = true;
    for (uint64_t at = a->start; ok && at < end; at += e.length) {
        int ret = next_extent(node, at, end - at, &e);
        if (ret < 0 || e.length == 0) {
            error_report("Failed to read image metadata: %s", g_strerror(ret < 0 ? -ret : EIO));
            return 1;
        }
        if (last.length && joins(&last, &e)) {
            last.length += e.length;
            continue;
        }
        if (last.length) {
            ok = print(&last);
        }
        last = e;
    }
    return ok && (!last.length || print(&last)) ? 0 : 1;
}

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_FORMAT,
    IMG_LONG_OUTPUT,
    IMG_LONG_OBJECT,
    IMG_LONG_IMAGE_OPTS,
    IMG_LONG_FORCE_SHARE,
    { "start-offset", required_argument, NULL, 's' },
    { "max-length", required_argument, NULL, 'l' },
    { NULL },
};

/* False: the command is over, with *status. */
static bool parse(MapArgs *a, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":f:s:l:hU", options, NULL)) != -1) {
        switch (c) {
        case IMG_OPT_OUTPUT:
            if (!img_parse_output(optarg, &a->json)) {
                return false;
            }
            break;
        case 's':
            if (!img_parse_number("start offset", optarg, &a->start)) {
                return false;
            }
            break;
        case 'l':
            if (!img_parse_number("max length", optarg, &a->length)) {
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

int img_map(int argc, char **argv)
{
    MapArgs a = { .length = -1 };
    int status;
    if (!parse(&a, argc, argv, &status)) {
        return status;
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    BlockFront *front = img_open(&a.source, argv[optind], 0);
    if (!front) {
        return 1;
    }
    if (a.json) {
        putchar('[');
    } else {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    status = map(&a, front);
    if (a.json) {
        puts("]");
    }
    front_unref(front);
    return status;
}
