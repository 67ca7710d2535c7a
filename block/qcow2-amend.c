/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2: options of an image that exists: version, lazy reference counts, their width, backing file, size. */
#include "util/osdep.h"
#include "qcow2-check.h"

#include "util/error.h"

const BlockCreateOption qcow2_amend_options[] = {
    { "size", BLOCK_OPTION_SIZE, "Virtual disk size", NULL },
    { "compat", BLOCK_OPTION_STR, "Compatibility level (v2 [0.10] or v3 [1.1])", NULL },
    { "backing_file", BLOCK_OPTION_STR, "File name of a base image", NULL },
    { "backing_fmt", BLOCK_OPTION_STR, "Image format of the base image", NULL },
    { "lazy_refcounts", BLOCK_OPTION_BOOL, "Postpone refcount updates", NULL },
    { "refcount_bits", BLOCK_OPTION_NUMBER, "Width of a reference count entry in bits", NULL },
    { NULL },
};

typedef struct Amend {
    Qcow2 *s;
    BlockProgress *progress;
    void *opaque;
    /* What is wanted. */
    unsigned version;
    unsigned refcount_order;
    bool lazy;
    const char *backing_file, *backing_format;
    uint64_t size;
    bool resize, rebase;
    GError **error;
    int ret;
} Amend;

/* ---- what is wanted ---- */

static const char *option(json_object *o, const char *key)
{
    json_object *v = json_object_object_get(o, key);
    return v ? json_object_get_string(v) : NULL;
}

static bool take_version(Amend *a, json_object *o, GError **error)
{
    const char *compat = option(o, "compat");
    a->version = a->s->version;
    if (!compat) {
        return true;
    }
    if (g_str_equal(compat, "0.10") || g_str_equal(compat, "v2")) {
        a->version = 2;
    } else if (g_str_equal(compat, "1.1") || g_str_equal(compat, "v3")) {
        a->version = 3;
    } else {
        return error_set(error, "Unknown compatibility level %s", compat);
    }
    return true;
}

static bool take_counts(Amend *a, json_object *o, GError **error)
{
    const char *bits = option(o, "refcount_bits"), *lazy = option(o, "lazy_refcounts");
    a->refcount_order = a->s->refcount_order;
    a->lazy = a->version >= 3 && (a->s->compatible & QCOW2_COMPAT_LAZY);
    if (bits) {
        uint64_t n = g_ascii_strtoull(bits, NULL, 10);
        if (n < 1 || n > 64 || (n & (n - 1))) {
            return error_set(error,
                             "Refcount width must be a power of two and may not exceed 64 bits");
        }
        a->refcount_order = __builtin_ctzll(n);
    }
    if (a->version < 3 && a->refcount_order != 4) {
        return error_set(
            error, "Refcount widths other than 16 bits require compatibility level 1.1 or above "
                   "(use compat=1.1 or greater)");
    }
    if (lazy) {
        a->lazy = g_str_equal(lazy, "on");
    }
    if (a->lazy && a->version < 3) {
        return error_set(error,
                         "Lazy refcounts only supported with compatibility level 1.1 and above "
                         "(use compat=1.1 or greater)");
    }
    return true;
}

static bool take_rest(Amend *a, json_object *o, GError **error)
{
    const char *size = option(o, "size"), *file = option(o, "backing_file"),
               *format = option(o, "backing_fmt");
    if (size) {
        a->resize = true;
        a->size = g_ascii_strtoull(size, NULL, 10);
        if (a->size > BLOCK_MAX_LENGTH) {
            return error_set(error, "The image size is too large");
        }
    }
    a->rebase = file || format;
    a->backing_file = file ? (file[0] ? file : NULL) : a->s->backing_file;
    a->backing_format = format ? (format[0] ? format : NULL) : a->s->backing_format;
    if (format && format[0] && !block_driver_by_name(format)) {
        return error_set(error, "Unknown backing format '%s'", format);
    }
    return true;
}

/* ---- version 2 ---- */

static bool check_downgrade(const Qcow2 *s, GError **error)
{
    if (s->incompatible & QCOW2_INCOMPAT_DATA_FILE) {
        return error_set(error, "Cannot downgrade an image with a data file");
    }
    if (s->extended) {
        return error_set(error, "Cannot downgrade an image with extended L2 entries");
    }
    if (s->compression != QCOW2_DEFLATE) {
        return error_set(error, "Cannot downgrade an image with zstd compression type");
    }
    if (s->nb_snapshots) {
        return error_set(error, "Cannot downgrade an image that has snapshots");
    }
    if (s->bitmaps && s->bitmaps->len) {
        return error_set(error, "Cannot downgrade an image that has persistent bitmaps");
    }
    return true;
}

/* Version 2 has no clusters of zeros: they become unallocated, or data. */
static int coroutine_fn expand_zeros(Amend *a)
{
    Qcow2 *s = a->s;
    uint64_t end = qcow2_cluster_end(s, s->size);
    uint8_t *zeros = g_malloc0(s->cluster_size);
    int ret = 0;
    for (uint64_t at = 0; ret == 0 && at < end;) {
        Qcow2Run run;
        ret = qcow2_lookup(s, at, end - at, &run);
        if (ret < 0) {
            break;
        }
        uint64_t n = run.bytes;
        if (run.kind == QCOW2_ZEROS && !s->node->backing && !s->backing_file) {
            ret = qcow2_discard_clusters(s, at, n, true, QCOW2_FREE_OTHER);
        } else if (run.kind == QCOW2_ZEROS) {
            n = s->cluster_size;
            struct iovec iov = { zeros, n };
            IoVec vec = { &iov, 1, 1, n };
            ret = qcow2_write(s->node, at, n, &vec, 0, 0);
        }
        at += n;
        if (a->progress) {
            a->progress(a->opaque, MIN(at, end), end);
        }
    }
    g_free(zeros);
    return ret;
}

static int coroutine_fn downgrade(Amend *a)
{
    Qcow2 *s = a->s;
    if (!check_downgrade(s, a->error)) {
        return -ENOTSUP;
    }
    int ret = expand_zeros(a);
    if (ret == 0) {
        ret = qcow2_finish(s);
    }
    if (ret < 0) {
        return ret;
    }
    s->version = 2;
    s->lazy = false;
    s->compatible = s->incompatible = s->autoclear = 0;
    ret = qcow2_write_header(s);
    if (ret < 0) {
        s->version = 3;
    }
    return ret;
}

/* ---- width of reference counts ---- */

static int coroutine_fn change_width(Amend *a)
{
    Qcow2 *s = a->s;
    unsigned old = s->refcount_order;
    BlockCheckResult result = { 0 };
    int ret = qcow2_finish(s);
    if (ret < 0) {
        return ret;
    }
    int64_t length = block_node_length(s->node->file->node);
    Qcow2Check c = {
        .s = s, .result = &result, .n = qcow2_clusters(s, MAX(length, 0)), .quiet = true
    };
    c.refs = g_try_new0(uint32_t, MAX(c.n, 1));
    ret = c.refs ? qcow2_check_walk(&c) : -ENOMEM;
    if (ret == 0 && (result.corruptions || result.check_errors)) {
        error_set(a->error, "The image has errors; repair it first");
        ret = -EIO;
    }
    s->refcount_order = a->refcount_order;
    qcow2_derive(s);
    for (uint64_t i = 0; ret == 0 && i < c.n; i++) {
        if (c.refs[i] > s->refcount_max) {
            error_set(a->error,
                      "Cannot decrease refcount entry width to %u bits: Cluster at offset %#" PRIx64
                      " has a refcount of %" PRIu32,
                      s->refcount_bits, i << s->cluster_bits, c.refs[i]);
            ret = -EINVAL;
        }
    }
    if (ret == 0) {
        ret = qcow2_rebuild_counts(&c); /* writes the header with the width */
    }
    if (ret < 0) {
        s->refcount_order = old;
        qcow2_derive(s);
    }
    g_free(c.refs);
    qcow2_cache_drop_all(s->refblock_cache);
    s->free_hint = s->bytes_hint = 0;
    qcow2_know_end(s);
    qcow2_metadata_fill(s);
    return ret;
}

/* ---- all ---- */

static int coroutine_fn set_lazy(Amend *a)
{
    Qcow2 *s = a->s;
    int ret = qcow2_finish(s);
    if (ret < 0) {
        return ret;
    }
    uint64_t old = s->compatible;
    s->compatible = a->lazy ? old | QCOW2_COMPAT_LAZY : old & ~QCOW2_COMPAT_LAZY;
    ret = qcow2_write_header(s);
    if (ret < 0) {
        s->compatible = old;
        return ret;
    }
    s->lazy = s->lazy_given ? s->lazy_wanted : a->lazy;
    s->started = false;
    return 0;
}

static int coroutine_fn amend_steps(Amend *a)
{
    Qcow2 *s = a->s;
    int ret = qcow2_start_writing(s);
    if (ret == 0 && a->version > s->version) {
        s->version = a->version;
        ret = qcow2_write_header(s);
        s->version = ret < 0 ? 2 : s->version;
    }
    if (ret == 0 && a->refcount_order != s->refcount_order) {
        ret = change_width(a);
    }
    if (ret == 0 && s->version >= 3 && a->version >= 3 &&
        a->lazy != !!(s->compatible & QCOW2_COMPAT_LAZY)) {
        ret = set_lazy(a);
    }
    if (ret == 0 && a->resize) {
        ret = qcow2_truncate(s->node, a->size, false, PREALLOC_MODE_OFF, a->error);
    }
    if (ret == 0 && a->version < s->version) {
        ret = downgrade(a);
    }
    return ret;
}

static void coroutine_fn amend_entry(void *opaque)
{
    Amend *a = opaque;
    a->ret = amend_steps(a);
}

bool qcow2_amend(BlockNode *node, json_object *options, bool force, BlockProgress *progress,
                 void *opaque, GError **error)
{
    GError *local = NULL;
    Amend a = { .s = node->state, .progress = progress, .opaque = opaque, .error = &local };
    if (!take_version(&a, options, error) || !take_counts(&a, options, error) ||
        !take_rest(&a, options, error)) {
        return false;
    }
    if (a.rebase) {
        g_autofree char *file = g_strdup(a.backing_file), *format = g_strdup(a.backing_format);
        int ret = node->driver->change_backing_file(node, file, format);
        if (ret < 0) {
            return error_set_errno(error, -ret, "Failed to change the backing file");
        }
    }
    block_run_sync(amend_entry, &a);
    block_node_length_changed(node);
    if (a.ret < 0 && local) {
        g_propagate_error(error, local);
        return false;
    }
    if (a.ret < 0) {
        return error_set_errno(error, -a.ret, "Could not amend '%s'", node->name);
    }
    if (progress) {
        progress(opaque, 1, 1);
    }
    return true;
}
