/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img commit: what the layers above a backing file have is written into it.
 *
 * Each layer is opened by itself, without what is behind it: a read then shows what the layer has, and the file that is
 * written to is nobody's backing file meanwhile.
 */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "util/clock.h"
#include "util/error.h"

#define BUFFER (UINT32_C(1) << 20)

/* One image of the chain, top first. */
typedef struct Layer {
    char *name, *format; /* format NULL: probed */
    BlockFront *front;
    int64_t length;
} Layer;

typedef struct Commit {
    ImgSource source;
    const char *base; /* -b; NULL: the first backing file */
    int64_t rate;
    bool drop, progress, quiet;

    GArray *layers; /* those above the base */
    Layer target;
    int ret;
} Commit;

/* ---- the chain ---- */

static void layer_clear(void *opaque)
{
    Layer *l = opaque;
    front_unref(l->front);
    g_free(l->name);
    g_free(l->format);
}

static bool open_layer(Commit *c, Layer *l, bool first, unsigned flags)
{
    ImgSource source = { .format = l->format, .cache = c->source.cache };
    if (first) {
        source.image_opts = c->source.image_opts;
    }
    l->front = img_open(&source, l->name, flags);
    if (!l->front) {
        return false;
    }
    l->length = front_length(l->front);
    if (l->length < 0) {
        error_report("Could not get size of '%s': %s", l->name, g_strerror(-l->length));
        return false;
    }
    return true;
}

/* What is behind a layer; false: nothing, or a name that has no meaning (then with a message). */
static bool next_layer(const Layer *l, Layer *next, bool *failed)
{
    BlockDriverInfo info;
    GError *error = NULL;
    BlockNode *node = front_node(l->front);
    *next = (Layer){ .name = NULL };
    if (block_node_info(node, &info) < 0 || !info.backing_file) {
        return false;
    }
    next->name = block_backing_filename(node, info.backing_file, &error);
    next->format = g_strdup(info.backing_format);
    if (!next->name) {
        error_report_gerror(error);
        *failed = true;
    }
    return next->name != NULL;
}

/* The name that -b gives is one of the image's header, or a full one. */
static bool is_base(const Commit *c, const Layer *above, const Layer *l)
{
    BlockDriverInfo info;
    if (!c->base) {
        return true;
    }
    if (block_node_info(front_node(above->front), &info) == 0 && info.backing_file &&
        g_str_equal(info.backing_file, c->base)) {
        return true;
    }
    g_autofree char *x = g_canonicalize_filename(c->base, NULL);
    g_autofree char *y = g_canonicalize_filename(l->name, NULL);
    return g_str_equal(x, y);
}

static bool open_chain(Commit *c, const char *filename)
{
    Layer l = { .name = g_strdup(filename), .format = g_strdup(c->source.format) };
    for (bool first = true;; first = false) {
        unsigned flags = BLOCK_OPEN_NO_BACKING | (first ? BLOCK_OPEN_RDWR : 0);
        bool failed = !open_layer(c, &l, first, flags);
        g_array_append_val(c->layers, l);
        Layer above = l;
        if (failed) {
            return false;
        }
        if (!next_layer(&above, &l, &failed)) {
            if (!failed && first) {
                error_report("Image does not have a backing file");
            } else if (!failed) {
                error_report("Did not find '%s' in the backing chain of '%s'", c->base, filename);
            }
            return false;
        }
        if (is_base(c, &above, &l)) {
            c->target = l;
            return open_layer(c, &c->target, false, BLOCK_OPEN_RDWR);
        }
    }
}

/* ---- copying ---- */

/* Who has the bytes at `at`: a layer and its status, or NULL if it is the base. *n: so many of them. */
static Layer *coroutine_fn find_owner(Commit *c, uint64_t at, uint64_t *n, int *status)
{
    for (unsigned i = 0; i < c->layers->len; i++) {
        Layer *l = &g_array_index(c->layers, Layer, i);
        if (at >= (uint64_t)l->length) {
            /* A layer that is shorter than those above hides what is behind it. */
            *status = BLOCK_STATUS_ZERO;
            return l;
        }
        uint64_t count = 0;
        *status = block_co_status(front_node(l->front), true, at, MIN(*n, (uint64_t)l->length - at),
                                  &count, NULL, NULL);
        if (*status >= 0 && count == 0) {
            *status = -EIO;
        }
        if (*status < 0) {
            error_report("error while reading block status at offset %" PRIu64 ": %s", at,
                         g_strerror(-*status));
            return l;
        }
        *n = count;
        if (*status & BLOCK_STATUS_ALLOCATED) {
            return l;
        }
    }
    return NULL;
}

static int coroutine_fn copy_data(Commit *c, Layer *l, uint8_t *buf, uint64_t at, uint64_t n)
{
    struct iovec iov = { buf, n };
    IoVec vec = { &iov, 1, 1, n };
    int ret = front_co_read(l->front, at, n, &vec, 0, 0);
    if (ret < 0) {
        error_report("error while reading at byte %" PRIu64 ": %s", at, g_strerror(-ret));
        return ret;
    }
    ret = front_co_write(c->target.front, at, n, &vec, 0, 0);
    if (ret < 0) {
        error_report("error while writing at byte %" PRIu64 ": %s", at, g_strerror(-ret));
    }
    return ret;
}

static void coroutine_fn throttle(const Commit *c, int64_t start_ns, uint64_t done)
{
    if (c->rate) {
        int64_t due = start_ns + (int64_t)((double)done / (double)c->rate * 1e9);
        int64_t wait = due - clock_get_ns(CLOCK_REALTIME_NS);
        if (wait > 0) {
            co_sleep_ns(CLOCK_REALTIME_NS, wait);
        }
    }
}

static void coroutine_fn commit_entry(void *opaque)
{
    Commit *c = opaque;
    uint64_t length = g_array_index(c->layers, Layer, 0).length, done = 0;
    int64_t start_ns = clock_get_ns(CLOCK_REALTIME_NS);
    uint8_t *buf = block_alloc(front_node(c->target.front), BUFFER);
    c->ret = buf ? 0 : -ENOMEM;
    for (uint64_t at = 0, n; c->ret == 0 && at < length; at += n) {
        int status = 0;
        n = length - at;
        Layer *l = find_owner(c, at, &n, &status);
        if (l && status < 0) {
            c->ret = status;
        } else if (l && (status & BLOCK_STATUS_ZERO)) {
            c->ret = front_co_write_zeroes(c->target.front, at, n, BLOCK_MAY_UNMAP);
            if (c->ret < 0) {
                error_report("error while writing at byte %" PRIu64 ": %s", at,
                             g_strerror(-c->ret));
            }
        } else if (l) {
            n = MIN(n, BUFFER - at % BUFFER);
            c->ret = copy_data(c, l, buf, at, n);
            done += n;
            throttle(c, start_ns, done);
        }
        img_progress(100.0 * (double)(at + n) / (double)length);
    }
    free(buf);
}

/* ---- the command ---- */

static bool grow_base(Commit *c)
{
    GError *error = NULL;
    int64_t length = g_array_index(c->layers, Layer, 0).length;
    if (c->target.length >= length ||
        front_truncate(c->target.front, length, false, PREALLOC_MODE_OFF, &error)) {
        return true;
    }
    error_prefix(&error, "Could not resize '%s': ", c->target.name);
    error_report_gerror(error);
    return false;
}

static bool commit(Commit *c, const char *filename)
{
    if (!open_chain(c, filename) || !grow_base(c)) {
        return false;
    }
    img_run(commit_entry, c);
    if (c->ret < 0) {
        return false;
    }
    /* Before the top forgets its data they have to be safe in the base. */
    int ret = front_flush(c->target.front);
    if (ret < 0) {
        error_report("error while flushing '%s': %s", c->target.name, g_strerror(-ret));
        return false;
    }
    BlockNode *top = front_node(g_array_index(c->layers, Layer, 0).front);
    GError *error = NULL;
    if (!c->drop && top->driver->make_empty && !block_node_make_empty(top, &error)) {
        error_prefix(&error, "Could not empty '%s': ", filename);
        error_report_gerror(error);
        return false;
    }
    img_progress(100);
    return true;
}

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_OBJECT,
    IMG_LONG_IMAGE_OPTS,
    { NULL },
};

static bool parse(Commit *c, int argc, char **argv, int *status)
{
    int o;
    *status = 1;
    while ((o = getopt_long(argc, argv, ":f:ht:b:dpqr:", options, NULL)) != -1) {
        switch (o) {
        case 't':
            c->source.cache = optarg;
            break;
        case 'b':
            c->base = optarg;
            c->drop = true; /* images between the two would be wrong without what it has */
            break;
        case 'd':
            c->drop = true;
            break;
        case 'p':
            c->progress = true;
            break;
        case 'q':
            c->quiet = true;
            break;
        case 'r':
            if (!img_parse_number("rate limit", optarg, &c->rate)) {
                return false;
            }
            break;
        default:
            if (!img_source_option(o, argv, &c->source, status)) {
                return false;
            }
        }
    }
    return true;
}

int img_commit(int argc, char **argv)
{
    Commit c = { .base = NULL };
    int status;
    if (!parse(&c, argc, argv, &status)) {
        return status;
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    if (!img_check_cache("", c.source.cache)) {
        return 1;
    }
    c.layers = g_array_new(FALSE, FALSE, sizeof(Layer));
    g_array_set_clear_func(c.layers, layer_clear);
    img_progress_begin(c.progress && !c.quiet);
    bool ok = commit(&c, argv[optind]);
    img_progress_end();
    g_array_free(c.layers, TRUE);
    layer_clear(&c.target);
    if (ok && !c.quiet) {
        printf("Image committed.\n");
    }
    return ok ? 0 : 1;
}
