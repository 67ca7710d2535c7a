/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img convert. The copying itself: copy.c. */
#include "util/osdep.h"
#include "copy.h"

#include <signal.h>
#include "create.h"
#include "util/error.h"
#include "util/keyval.h"

typedef struct ConvertArgs {
    ImgSource source, target; /* format of the target: -O, image_opts: --target-image-opts */
    const char *backing_file, *backing_format;
    char *options;  /* -o */
    char *snapshot; /* -l */
    bool compress, progress, quiet, no_create, target_is_zero, bitmaps, salvage, out_of_order,
        offload, skip_broken;
    int64_t sparse; /* -1: not given */
    int64_t rate;
    unsigned workers;
} ConvertArgs;

typedef struct Convert {
    ConvertArgs args;
    ImgPiece *pieces;
    unsigned n_pieces;
    const char *target_name;
    BlockFront *target;
    json_object *create_options;
    uint64_t total;
} Convert;

/* ---- arguments ---- */

static bool parse_workers(ConvertArgs *a)
{
    char *end;
    unsigned long n = strtoul(optarg, &end, 10);
    if (*optarg < '0' || *optarg > '9' || *end || n < 1 || n > IMG_COPY_MAX_WORKERS) {
        error_report("Invalid number of coroutines. Allowed number of coroutines is between 1 and "
                     "%d",
                     IMG_COPY_MAX_WORKERS);
        return false;
    }
    a->workers = n;
    return true;
}

static bool parse_sparse(ConvertArgs *a)
{
    int64_t n;
    if (!img_parse_number("buffer size for sparse output", optarg, &n)) {
        return false;
    }
    if (n % BLOCK_SECTOR || n > IMG_COPY_MAX_SPARSE) {
        error_report("Invalid buffer size for sparse output specified. Valid sizes are multiples "
                     "of %d up to %u. Select 0 to disable sparse detection (fully allocates "
                     "output).",
                     BLOCK_SECTOR, IMG_COPY_MAX_SPARSE);
        return false;
    }
    a->sparse = n;
    return true;
}

/* snapshot.id=ID,snapshot.name=NAME, or one of both alone. */
static bool parse_snapshot(ConvertArgs *a)
{
    g_free(a->snapshot);
    a->snapshot = NULL;
    if (!g_str_has_prefix(optarg, "snapshot.")) {
        a->snapshot = g_strdup(optarg);
        return true;
    }
    json_object *o = img_parse_create_options(optarg);
    json_object *v = json_object_object_get(o, "snapshot.id");
    if (!v) {
        v = json_object_object_get(o, "snapshot.name");
    }
    a->snapshot = v ? g_strdup(json_object_get_string(v)) : NULL;
    json_object_put(o);
    if (!a->snapshot) {
        error_report("Failed in parsing snapshot param '%s'", optarg);
    }
    return a->snapshot != NULL;
}

static bool value_option(ConvertArgs *a, int c, bool *handled)
{
    switch (c) {
    case 'f':
        a->source.format = optarg;
        return true;
    case 'O':
        a->target.format = optarg;
        return true;
    case 'B':
        a->backing_file = optarg;
        return true;
    case 'F':
        a->backing_format = optarg;
        return true;
    case 't':
        a->target.cache = optarg;
        return true;
    case 'T':
        a->source.cache = optarg;
        return true;
    case 'o':
        return img_add_options(&a->options, optarg);
    case 'l':
        return parse_snapshot(a);
    case 'S':
        return parse_sparse(a);
    case 'm':
        return parse_workers(a);
    case 'r':
        return img_parse_number("rate limit", optarg, &a->rate);
    default:
        *handled = false;
        return true;
    }
}

static bool *switch_of(ConvertArgs *a, int c)
{
    switch (c) {
    case 'C':
        return &a->offload;
    case 'c':
        return &a->compress;
    case 'p':
        return &a->progress;
    case 'q':
        return &a->quiet;
    case 'n':
        return &a->no_create;
    case 'W':
        return &a->out_of_order;
    case 'U':
        return &a->source.force_share;
    case IMG_OPT_SALVAGE:
        return &a->salvage;
    case IMG_OPT_TARGET_IS_ZERO:
        return &a->target_is_zero;
    case IMG_OPT_BITMAPS:
        return &a->bitmaps;
    case IMG_OPT_SKIP_BROKEN:
        return &a->skip_broken;
    case IMG_OPT_IMAGE_OPTS:
        return &a->source.image_opts;
    case IMG_OPT_TARGET_IMAGE_OPTS:
        return &a->target.image_opts;
    default:
        return NULL;
    }
}

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_OBJECT,
    { "source-image-opts", no_argument, NULL, IMG_OPT_IMAGE_OPTS },
    IMG_LONG_IMAGE_OPTS,
    IMG_LONG_FORCE_SHARE,
    { "target-image-opts", no_argument, NULL, IMG_OPT_TARGET_IMAGE_OPTS },
    { "salvage", no_argument, NULL, IMG_OPT_SALVAGE },
    { "target-is-zero", no_argument, NULL, IMG_OPT_TARGET_IS_ZERO },
    { "bitmaps", no_argument, NULL, IMG_OPT_BITMAPS },
    { "skip-broken-bitmaps", no_argument, NULL, IMG_OPT_SKIP_BROKEN },
    { NULL },
};

/* False: the command is over, with *status. */
static bool parse(ConvertArgs *a, int argc, char **argv, int *status)
{
    int c;
    while ((c = getopt_long(argc, argv, ":hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", options, NULL)) != -1) {
        bool handled = true;
        bool *flag = switch_of(a, c);
        *status = 1;
        if (flag) {
            *flag = true;
        } else if (!value_option(a, c, &handled)) {
            return false;
        } else if (!handled && !img_common_option(c, argv, status)) {
            return false;
        }
    }
    return true;
}

/* What does not go together; NULL: all is well. */
static const char *conflict(const ConvertArgs *a, unsigned files)
{
    if (a->skip_broken && !a->bitmaps) {
        return "Use of --skip-broken-bitmaps requires --bitmaps";
    }
    if (a->offload && a->compress) {
        return "Cannot enable copy offloading when -c is used";
    }
    if (a->offload && a->sparse >= 0) {
        return "Cannot enable copy offloading when -S is used";
    }
    if (files < 2) {
        return "Must specify image file name";
    }
    if (a->target.image_opts && !a->no_create) {
        return "--target-image-opts requires use of -n flag";
    }
    if (a->target_is_zero && !a->no_create) {
        return "--target-is-zero requires use of -n flag";
    }
    if (a->target_is_zero && a->backing_file) {
        return "Cannot use --target-is-zero when the destination image has a backing file";
    }
    if (a->no_create && a->options) {
        return "-o has no effect when skipping image creation";
    }
    return NULL;
}

/* ---- sources ---- */

static bool open_sources(Convert *cv, char **names, unsigned n)
{
    cv->pieces = g_new0(ImgPiece, n);
    for (unsigned i = 0; i < n; i++) {
        BlockFront *front = img_open(&cv->args.source, names[i], 0);
        if (!front) {
            return false;
        }
        cv->pieces[cv->n_pieces].front = front;
        int64_t length = front_length(front);
        if (length < 0) {
            error_report("Could not get size of '%s': %s", names[i], g_strerror(-length));
            cv->n_pieces++;
            return false;
        }
        cv->pieces[cv->n_pieces++].length = length;
        cv->total += length;
    }
    return true;
}

static bool load_snapshot(Convert *cv)
{
    if (!cv->args.snapshot) {
        return true;
    }
    if (cv->n_pieces > 1) {
        error_report("No support for concatenating multiple snapshot");
        return false;
    }
    GError *error = NULL;
    ImgPiece *p = &cv->pieces[0];
    if (!block_snapshot_load(front_node(p->front), cv->args.snapshot, &error)) {
        error_prefix(&error, "Failed to load snapshot: ");
        error_report_gerror(error);
        return false;
    }
    int64_t length = front_length(p->front);
    cv->total = p->length = MAX(length, 0);
    return true;
}

/* ---- target ---- */

static const char *backing_of(Convert *cv, const char *key, const char *given)
{
    json_object *v = json_object_object_get(cv->create_options, key);
    return given ? given : v ? json_object_get_string(v) : NULL;
}

static bool check_target_format(Convert *cv, const BlockDriver *driver)
{
    const ConvertArgs *a = &cv->args;
    const char *backing = backing_of(cv, "backing_file", a->backing_file);
    const char *backing_format = backing_of(cv, "backing_fmt", a->backing_format);
    if (backing && cv->n_pieces > 1) {
        error_report("Having a backing file for the target makes no sense when concatenating "
                     "multiple input images");
        return false;
    }
    if (backing && !driver->change_backing_file) {
        error_report("Backing file not supported for file format '%s'", driver->name);
        return false;
    }
    if (backing && !backing_format) {
        error_report("Use of backing file requires explicit backing format");
        return false;
    }
    if (a->compress && !driver->write_compressed) {
        error_report("Compression not supported for this file format");
        return false;
    }
    return true;
}

static bool create_target(Convert *cv)
{
    const ConvertArgs *a = &cv->args;
    const char *format = a->target.format ? a->target.format : "raw";
    GError *error = NULL;
    const BlockDriver *driver = img_format(format, &error);
    if (!driver) {
        error_report_gerror(error);
        return false;
    }
    if (!check_target_format(cv, driver)) {
        return false;
    }
    ImgCreate create = { .filename = cv->target_name,
                         .format = format,
                         .backing_file = a->backing_file,
                         .backing_format = a->backing_format,
                         .size = cv->total,
                         .size_wins = true,
                         .skip_backing = true,
                         .quiet = true };
    bool ok = img_create_image(&create, cv->create_options, &error);
    if (!ok) {
        error_prefix(&error, "%s: error while converting %s: ", cv->target_name, format);
        error_report_gerror(error);
    }
    return ok;
}

static bool open_target(Convert *cv)
{
    ConvertArgs *a = &cv->args;
    if (a->no_create && a->target.image_opts && a->target.format) {
        error_report("--image-opts and --format are mutually exclusive");
        return false;
    }
    if (!a->target.image_opts && !a->target.format) {
        a->target.format = "raw";
    }
    cv->target = img_open(&a->target, cv->target_name, BLOCK_OPEN_RDWR);
    if (!cv->target) {
        return false;
    }
    const BlockNode *node = front_node(cv->target);
    if (a->no_create && a->compress && !node->driver->write_compressed) {
        error_report("Compression not supported for this file format");
        return false;
    }
    int64_t length = front_length(cv->target);
    if (length < 0) {
        error_report("unable to get output image length: %s", g_strerror(-length));
        return false;
    }
    if ((uint64_t)length < cv->total) {
        error_report("output file is smaller than input file");
        return false;
    }
    return true;
}

/* One request that makes the whole target zero is better than many. */
static bool make_zero(BlockFront *target)
{
    int64_t length = front_length(target);
    return front_write_zeroes(target, 0, length, BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK) == 0;
}

/* ---- the command ---- */

static void prepare_copy(Convert *cv, ImgCopy *copy)
{
    const ConvertArgs *a = &cv->args;
    BlockNode *node = front_node(cv->target);
    BlockNode *backing = block_backing_node(node);
    /* C3: that the source's is the same is what -B says; a target that was there may have any. */
    bool same = backing_of(cv, "backing_file", a->backing_file) != NULL;
    BlockDriverInfo info;
    block_node_info(node, &info);
    *copy = (ImgCopy){ .pieces = cv->pieces,
                       .n_pieces = cv->n_pieces,
                       .target = cv->target,
                       .workers = a->workers,
                       .out_of_order = a->out_of_order,
                       .sparse = a->sparse >= 0 ? a->sparse : 4096,
                       .cluster = info.cluster_size,
                       .compressed = a->compress,
                       .salvage = a->salvage,
                       .quiet = a->quiet,
                       .rate = a->rate };
    if (backing) {
        copy->has_backing = same && cv->n_pieces == 1;
        copy->backing_length = MAX(block_node_length(backing), 0);
    } else if (a->target_is_zero) {
        copy->zero_init = true;
    } else if (!a->no_create && copy->sparse) {
        copy->zero_init = block_node_zero_init(node);
    }
    if (!backing && !copy->zero_init && copy->sparse && cv->total) {
        copy->zero_init = make_zero(cv->target);
    }
}

static int copy(Convert *cv)
{
    ImgCopy copy;
    prepare_copy(cv, &copy);
    if (cv->args.compress && !copy.cluster) {
        error_report("could not get block driver info");
        return 1;
    }
    img_catch_signals();
    bool ok = img_copy(&copy);
    int ret = ok ? front_flush(cv->target) : 0;
    if (ret < 0) {
        error_report("error while flushing '%s': %s", cv->target_name, g_strerror(-ret));
        ok = false;
    }
    if (!ok) {
        error_report("%s'%s' is incomplete", img_signal() ? "interrupted: " : "", cv->target_name);
    }
    return ok ? 0 : 1;
}

static int convert(Convert *cv, char **names, unsigned n)
{
    cv->target_name = names[n - 1];
    cv->create_options = img_parse_create_options(cv->args.options);
    if (!open_sources(cv, names, n - 1) || !load_snapshot(cv)) {
        return 1;
    }
    if (cv->args.bitmaps) {
        /* Persistent bitmaps are not kept up by any driver; a copy of them would be out of date. */
        error_report("Source lacks bitmap support");
        return 1;
    }
    img_progress_begin(cv->args.progress && !cv->args.quiet);
    int status = (cv->args.no_create || create_target(cv)) && open_target(cv) ? copy(cv) : 1;
    img_progress_end();
    return status;
}

static void clean_up(Convert *cv)
{
    front_unref(cv->target);
    for (unsigned i = 0; i < cv->n_pieces; i++) {
        front_unref(cv->pieces[i].front);
    }
    g_free(cv->pieces);
    if (cv->create_options) {
        json_object_put(cv->create_options);
    }
    g_free(cv->args.options);
    g_free(cv->args.snapshot);
}

int img_convert(int argc, char **argv)
{
    Convert cv = { .args = { .sparse = -1, .workers = 8, .target.cache = "unsafe" } };
    ConvertArgs *a = &cv.args;
    int status = 1;
    if (parse(a, argc, argv, &status)) {
        unsigned files = argc - optind;
        if (a->options && img_wants_help(a->options)) {
            status = img_option_help(a->target.format ? a->target.format : "raw",
                                     files ? argv[argc - 1] : NULL);
        } else {
            const char *text = conflict(a, files);
            status = 1;
            if (text) {
                error_report("%s", text);
            } else if (img_check_cache("", a->target.cache) &&
                       img_check_cache("source ", a->source.cache)) {
                status = convert(&cv, argv + optind, files);
            }
        }
    }
    clean_up(&cv);
    if (status && img_signal()) {
        img_die_by_signal();
    }
    return status;
}
