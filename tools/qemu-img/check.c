/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img check. Status: 0 clean, 1 it could not be checked, 2 corrupt, 3 leaks, 63 the format has no check. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "qapi/qapi.h"
#include "util/error.h"

#define STATUS_CORRUPT 2
#define STATUS_LEAKS 3
#define STATUS_UNSUPPORTED 63

typedef struct CheckArgs {
    ImgSource source;
    unsigned fix; /* BLOCK_FIX_* */
    bool json, quiet;
} CheckArgs;

static void report_line(void *opaque, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

/* ---- answers ---- */

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_human(const BlockCheckResult *r)
{
    if (!r->corruptions && !r->leaks && !r->check_errors) {
        printf("No errors were found on the image.\n");
    }
    if (r->corruptions) {
        printf("\n%" PRIu64 " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               r->corruptions);
    }
    if (r->leaks) {
        printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               r->leaks);
    }
    if (r->check_errors) {
        printf("\n%" PRIu64 " internal errors have occurred during the check.\n", r->check_errors);
    }
    if (r->total_clusters && r->allocated_clusters) {
        printf("%" PRIu64 "/%" PRIu64
               " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               r->allocated_clusters, r->total_clusters,
               percent(r->allocated_clusters, r->total_clusters),
               percent(r->fragmented_clusters, r->allocated_clusters),
               percent(r->compressed_clusters, r->allocated_clusters));
    }
    if (r->image_end_offset) {
        printf("Image end offset: %" PRIu64 "\n", r->image_end_offset);
    }
}

static void add_number(json_object *o, const char *key, uint64_t n)
{
    if (n) {
        json_object_object_add(o, key, json_object_new_uint64(n));
    }
}

static void print_json(const BlockCheckResult *r, const char *filename, const char *format)
{
    json_object *o = json_object_new_object();
    add_number(o, "image-end-offset", r->image_end_offset);
    add_number(o, "compressed-clusters", r->compressed_clusters);
    add_number(o, "total-clusters", r->total_clusters);
    add_number(o, "corruptions", r->corruptions);
    add_number(o, "corruptions-fixed", r->corruptions_fixed);
    json_object_object_add(o, "check-errors", json_object_new_uint64(r->check_errors));
    add_number(o, "leaks", r->leaks);
    add_number(o, "leaks-fixed", r->leaks_fixed);
    add_number(o, "allocated-clusters", r->allocated_clusters);
    json_object_object_add(o, "filename", qapi_json_new_text(filename));
    json_object_object_add(o, "format", json_object_new_string(format));
    add_number(o, "fragmented-clusters", r->fragmented_clusters);
    img_print_json(o);
}

/* ---- the command ---- */

/* After a repair the image is looked at once more; what was repaired is remembered. */
static int check_again(const CheckArgs *a, BlockNode *node, BlockCheckResult *r)
{
    if (!r->corruptions_fixed && !r->leaks_fixed) {
        return 0;
    }
    if (!a->json && !a->quiet) {
        printf("The following inconsistencies were found and repaired:\n\n"
               "    %" PRIu64 " leaked clusters\n"
               "    %" PRIu64 " corruptions\n\n"
               "Double checking the fixed image now...\n",
               r->leaks_fixed, r->corruptions_fixed);
        fflush(stdout);
    }
    BlockCheckResult again = { .report = report_line };
    int ret = block_node_check(node, &again, 0);
    again.corruptions_fixed = r->corruptions_fixed;
    again.leaks_fixed = r->leaks_fixed;
    *r = again;
    return ret;
}

static int check(const CheckArgs *a, const char *filename, BlockFront *front)
{
    BlockNode *node = front_node(front);
    BlockCheckResult r = { .report = report_line };
    int ret = block_node_check(node, &r, a->fix);
    if (ret == -ENOTSUP) {
        error_report("This image format does not support checks");
        return STATUS_UNSUPPORTED;
    }
    if (ret == 0) {
        ret = check_again(a, node, &r);
    }
    if (ret < 0) {
        error_report("Check failed: %s", g_strerror(-ret));
        return 1;
    }
    if (a->json) {
        print_json(&r, filename, node->driver->name);
    } else if (!a->quiet) {
        print_human(&r);
    }
    if (r.check_errors) {
        error_report("Check failed");
        return 1;
    }
    return r.corruptions ? STATUS_CORRUPT : r.leaks ? STATUS_LEAKS : 0;
}

static const struct option options[] = {
    IMG_LONG_HELP,        IMG_LONG_FORMAT, { "repair", required_argument, NULL, 'r' },
    IMG_LONG_OUTPUT,      IMG_LONG_OBJECT, IMG_LONG_IMAGE_OPTS,
    IMG_LONG_FORCE_SHARE, { NULL },
};

/* False: the command is over, with *status. */
static bool parse(CheckArgs *a, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":hf:r:T:qU", options, NULL)) != -1) {
        switch (c) {
        case 'r':
            if (g_str_equal(optarg, "leaks")) {
                a->fix = BLOCK_FIX_LEAKS;
            } else if (g_str_equal(optarg, "all")) {
                a->fix = BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS;
            } else {
                img_usage("Unknown option value for -r (expecting 'leaks' or 'all'): %s", optarg);
                return false;
            }
            break;
        case 'T':
            a->source.cache = optarg;
            break;
        case 'q':
            a->quiet = true;
            break;
        case IMG_OPT_OUTPUT:
            if (!img_parse_output(optarg, &a->json)) {
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

int img_check(int argc, char **argv)
{
    CheckArgs a = { .fix = 0 };
    int status;
    if (!parse(&a, argc, argv, &status)) {
        return status;
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    if (!img_check_cache("source ", a.source.cache)) {
        return 1;
    }
    unsigned flags = BLOCK_OPEN_CHECK | BLOCK_OPEN_NO_BACKING | (a.fix ? BLOCK_OPEN_RDWR : 0);
    BlockFront *front = img_open(&a.source, argv[optind], flags);
    if (!front) {
        return 1;
    }
    status = check(&a, argv[optind], front);
    front_unref(front);
    return status;
}
