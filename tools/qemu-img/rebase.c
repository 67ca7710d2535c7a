/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img rebase: gives an image another backing file. In safe mode what the two backing files have different is
 * written into the image first, so that it reads as before.
 */
#include "util/osdep.h"
#include "img.h"

#include "util/error.h"

/* What is compared at once, and the least that is written where an image has no clusters. */
#define UNIT UINT32_C(65536)

typedef struct Rebase {
    ImgSource source;
    const char *source_cache;          /* -T: of the backing files */
    const char *new_name, *new_format; /* as the image will say; NULL or "": none */
    bool unsafe, progress, quiet;

    BlockFront *front;
    BlockFront *old, *new; /* NULL: none */
    uint64_t length, old_length, new_length;
    uint32_t unit;
    int ret;
} Rebase;

/* ---- making the image independent of the difference ---- */

/* Zeros behind its end. */
static int coroutine_fn read_backing(BlockFront *front, uint64_t length, uint64_t at, uint64_t n,
                                     uint8_t *buf)
{
    uint64_t have = front && at < length ? MIN(n, length - at) : 0;
    if (have) {
        struct iovec iov = { buf, have };
        IoVec vec = { &iov, 1, 1, have };
        int ret = front_co_read(front, at, have, &vec, 0, 0);
        if (ret < 0) {
            error_report("error while reading from a backing file at byte %" PRIu64 ": %s", at,
                         g_strerror(-ret));
            return ret;
        }
    }
    memset(buf + have, 0, n - have);
    return 0;
}

/* Whether a backing file reads as zeros in [at, at + *n); *n becomes shorter where the answer changes. */
static bool coroutine_fn backing_zero(BlockFront *front, uint64_t length, uint64_t at, uint64_t *n)
{
    if (!front || at >= length) {
        return true;
    }
    uint64_t count = 0;
    int ret = block_co_status_above(front_node(front), NULL, true, at, MIN(*n, length - at), &count,
                                    NULL, NULL, NULL);
    if (ret < 0 || count == 0) {
        *n = MIN(*n, UNIT);
        return false; /* reading will show */
    }
    *n = count;
    return ret & BLOCK_STATUS_ZERO;
}

/* Whole units, so that nothing around them is needed. */
static int coroutine_fn write_differences(Rebase *r, uint64_t at, uint64_t n, uint8_t *old,
                                          const uint8_t *new)
{
    for (uint64_t i = 0; i < n; i += r->unit) {
        uint64_t len = MIN(r->unit, n - i);
        if (memcmp(old + i, new + i, len) == 0) {
            continue;
        }
        struct iovec iov = { old + i, len };
        IoVec vec = { &iov, 1, 1, len };
        int ret = front_co_write(r->front, at + i, len, &vec, 0, 0);
        if (ret < 0) {
            error_report("Error while writing to COW image: %s", g_strerror(-ret));
            return ret;
        }
    }
    return 0;
}

/* Ranges that the image does not have itself. */
static int coroutine_fn keep_range(Rebase *r, uint64_t at, uint64_t *n, uint8_t *old, uint8_t *new)
{
    uint64_t count = *n;
    bool old_zero = backing_zero(r->old, r->old_length, at, &count);
    bool new_zero = backing_zero(r->new, r->new_length, at, &count);
    if (old_zero && new_zero) {
        *n = MIN(*n, MAX(count, 1));
        return 0;
    }
    *n = MIN(*n, r->unit - at % r->unit);
    int ret = read_backing(r->old, r->old_length, at, *n, old);
    if (ret == 0) {
        ret = read_backing(r->new, r->new_length, at, *n, new);
    }
    return ret < 0 ? ret : write_differences(r, at, *n, old, new);
}

static void coroutine_fn rebase_entry(void *opaque)
{
    Rebase *r = opaque;
    BlockNode *node = front_node(r->front);
    uint8_t *old = block_alloc(node, r->unit), *new = block_alloc(node, r->unit);
    r->ret = old && new ? 0 : -ENOMEM;
    for (uint64_t at = 0, n; r->ret == 0 && at < r->length; at += n) {
        n = 0;
        int status = block_co_status(node, false, at, r->length - at, &n, NULL, NULL);
        if (status < 0 || n == 0) {
            r->ret = status < 0 ? status : -EIO;
            error_report("error while reading image metadata: %s", g_strerror(-r->ret));
        } else if (!(status & BLOCK_STATUS_ALLOCATED)) {
            r->ret = keep_range(r, at, &n, old, new);
        }
        img_progress(100.0 * (double)(at + n) / (double)r->length);
    }
    free(old);
    free(new);
}

/* ---- the backing files ---- */

static bool open_backing(const Rebase *r, const char *what, const char *name, const char *format,
                         BlockFront **front, uint64_t *length)
{
    GError *error = NULL;
    ImgSource source = { .format = format, .cache = r->source_cache };
    *front = img_try_open(&source, name, 0, &error);
    if (!*front) {
        error_prefix(&error, "Could not open %s backing file '%s': ", what, name);
        error_report_gerror(error);
        return false;
    }
    int64_t n = front_length(*front);
    if (n < 0) {
        error_report("Could not get size of '%s': %s", name, g_strerror(-n));
        return false;
    }
    *length = n;
    return true;
}

static bool open_both(Rebase *r, const char *filename)
{
    BlockDriverInfo info;
    GError *error = NULL;
    BlockNode *node = front_node(r->front);
    block_node_info(node, &info);
    if (info.backing_file) {
        g_autofree char *full = block_backing_filename(node, info.backing_file, &error);
        if (!full) {
            error_report_gerror(error);
            return false;
        }
        if (!open_backing(r, "old", full, info.backing_format, &r->old, &r->old_length)) {
            return false;
        }
    }
    if (r->new_name && r->new_name[0]) {
        g_autofree char *full = block_combine_filenames(filename, r->new_name, &error);
        if (!full) {
            error_report_gerror(error);
            return false;
        }
        return open_backing(r, "new", full, r->new_format, &r->new, &r->new_length);
    }
    return true;
}

/* ---- the command ---- */

static bool fail_change(const Rebase *r, const char *why)
{
    error_report("Could not change the backing file to '%s': %s", r->new_name ? r->new_name : "",
                 why);
    return false;
}

/* Before anything is written: what cannot work. */
static bool can_change(const Rebase *r)
{
    BlockNode *node = front_node(r->front);
    if (!node->driver->change_backing_file) {
        return fail_change(r, g_strerror(ENOTSUP));
    }
    if (r->new_name && r->new_name[0] && !r->new_format) {
        return fail_change(r, "backing format must be specified");
    }
    return true;
}

static bool rebase(Rebase *r, const char *filename)
{
    r->front =
        img_open(&r->source, filename, BLOCK_OPEN_RDWR | (r->unsafe ? BLOCK_OPEN_NO_BACKING : 0));
    if (!r->front || !can_change(r)) {
        return false;
    }
    BlockNode *node = front_node(r->front);
    if (!r->unsafe) {
        if (!open_both(r, filename)) {
            return false;
        }
        BlockDriverInfo info;
        int64_t length = front_length(r->front);
        block_node_info(node, &info);
        r->length = MAX(length, 0);
        r->unit = MAX(info.cluster_size, UNIT);
        img_run(rebase_entry, r);
        if (r->ret < 0) {
            return false;
        }
        /* Before the image names another backing file it has what the old one had. */
        int ret = front_flush(r->front);
        if (ret < 0) {
            error_report("error while flushing '%s': %s", filename, g_strerror(-ret));
            return false;
        }
    }
    GError *error = NULL;
    bool none = !r->new_name || !r->new_name[0];
    if (!block_node_change_backing_file(node, none ? NULL : r->new_name,
                                        none ? NULL : r->new_format, &error)) {
        error_report_gerror(error);
        return false;
    }
    int ret = front_flush(r->front);
    if (ret < 0) {
        return fail_change(r, g_strerror(-ret));
    }
    img_progress(100);
    return true;
}

static const struct option options[] = {
    IMG_LONG_HELP, IMG_LONG_OBJECT, IMG_LONG_IMAGE_OPTS, IMG_LONG_FORCE_SHARE, { NULL },
};

static bool parse(Rebase *r, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":hf:F:b:upt:T:qU", options, NULL)) != -1) {
        switch (c) {
        case 'F':
            r->new_format = optarg;
            break;
        case 'b':
            r->new_name = optarg;
            break;
        case 'u':
            r->unsafe = true;
            break;
        case 'p':
            r->progress = true;
            break;
        case 't':
            r->source.cache = optarg;
            break;
        case 'T':
            r->source_cache = optarg;
            break;
        case 'q':
            r->quiet = true;
            break;
        case 'U':
            break; /* the image itself is written to; its backing files are shared for reading in any case */
        default:
            if (!img_source_option(c, argv, &r->source, status)) {
                return false;
            }
        }
    }
    return true;
}

int img_rebase(int argc, char **argv)
{
    Rebase r = { .new_name = NULL };
    int status;
    if (!parse(&r, argc, argv, &status)) {
        return status;
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    if (!r.unsafe && !r.new_name) {
        return img_usage("Must specify backing file (-b) or use unsafe mode (-u)");
    }
    if (!img_check_cache("", r.source.cache) || !img_check_cache("source ", r.source_cache)) {
        return 1;
    }
    if (r.new_format && !block_driver_by_name(r.new_format)) {
        error_report("Invalid format name: '%s'", r.new_format);
        return 1;
    }
    img_progress_begin(r.progress && !r.quiet);
    bool ok = rebase(&r, argv[optind]);
    img_progress_end();
    front_unref(r.front);
    front_unref(r.old);
    front_unref(r.new);
    return ok ? 0 : 1;
}
