/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: images with copy on write, compression and internal snapshots. Opening, closing, switchover, facts.
 * What holds on disk and in memory: qcow2.h; the format: the "qcow2 Image Format" document.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/bitmap.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(qcow2_open)
TRACE_EVENT(qcow2_repair)

#define L2_CACHE_MAX (UINT64_C(32) << 20)
#define L2_SLICE_DEFAULT 4096
#define REFBLOCK_CACHE_BYTES (UINT64_C(256) << 10)
#define REFBLOCK_CACHE_MIN 4
#define L2_CACHE_MIN 2
#define CLEAN_INTERVAL_DEFAULT 600

/* ---- coroutines from outside ---- */

#ifdef QCOW2_MUTATIONS
unsigned qcow2_mutation;
const char *const qcow2_mutation_names[] = {
    [QCOW2_MUTATION_NONE] = "none",
    [QCOW2_MUTATION_ENTRY_FIRST] = "entry-first",
    [QCOW2_MUTATION_KEEP_FAILED] = "keep-failed",
    [QCOW2_MUTATION_DROP_ERROR] = "drop-error",
    [QCOW2_MUTATION_NO_CHANGE] = "no-change",
    [QCOW2_MUTATION_NO_COPY] = "no-copy",
    [QCOW2_MUTATION_ALWAYS_FRESH] = "always-fresh",
    [QCOW2_MUTATION_COUNTS_LAST] = "counts-last",
    [QCOW2_MUTATION_NO_FLUSH] = "no-flush",
    [QCOW2_MUTATION_FREE_EARLY] = "free-early",
    [QCOW2_MUTATION_NO_FREE_FLUSH] = "no-free-flush",
    [QCOW2_MUTATION_IGNORE_USE] = "ignore-use",
    [QCOW2_MUTATION_FORGET_DIRTY] = "forget-dirty",
    [QCOW2_MUTATION_NO_DIRTY_MARK] = "no-dirty-mark",
    [QCOW2_MUTATION_BLANK_TABLE] = "blank-table",
    [QCOW2_MUTATIONS_COUNT] = NULL,
};
#endif

typedef struct RunState {
    Qcow2 *s;
    int coroutine_fn (*func)(Qcow2 *s);
    int ret;
} RunState;

static void coroutine_fn run_entry(void *opaque)
{
    RunState *r = opaque;
    r->ret = r->func(r->s);
}

int qcow2_run(Qcow2 *s, int coroutine_fn (*func)(Qcow2 *s))
{
    RunState r = { .s = s, .func = func };
    block_run_sync(run_entry, &r);
    return r.ret;
}

/* ---- caches ---- */

typedef struct CacheSizes {
    uint64_t l2, refblocks, slice;
} CacheSizes;

static bool check_sizes(const Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    static const char *const negative = "cache sizes and intervals must not be negative";
    if ((o->has_cache_size && o->cache_size < 0) ||
        (o->has_l2_cache_size && o->l2_cache_size < 0) ||
        (o->has_refcount_cache_size && o->refcount_cache_size < 0) ||
        (o->has_cache_clean_interval && o->cache_clean_interval < 0)) {
        return error_set(error, "%s", negative);
    }
    if (o->has_cache_clean_interval && o->cache_clean_interval > UINT32_MAX) {
        return error_set(error, "Cache clean interval too big");
    }
    if (!o->has_cache_size) {
        return true;
    }
    if (o->has_l2_cache_size && o->has_refcount_cache_size) {
        return error_set(error,
                         "cache-size, l2-cache-size and refcount-cache-size may not be set at "
                         "the same time");
    }
    if (o->has_l2_cache_size && o->l2_cache_size > o->cache_size) {
        return error_set(error, "l2-cache-size may not exceed cache-size");
    }
    if (o->has_refcount_cache_size && o->refcount_cache_size > o->cache_size) {
        return error_set(error, "refcount-cache-size may not exceed cache-size");
    }
    return true;
}

/* With cache-size alone: as much for L2 as the disk needs, the rest for counts. */
static void split_size(const Qcow2 *s, const BlockdevOptionsQcow2 *o, CacheSizes *c,
                       uint64_t needed)
{
    uint64_t min = REFBLOCK_CACHE_MIN * s->cluster_size;
    if (o->has_l2_cache_size) {
        c->l2 = o->l2_cache_size;
        c->refblocks = o->cache_size - o->l2_cache_size;
    } else if (o->has_refcount_cache_size) {
        c->refblocks = o->refcount_cache_size;
        c->l2 = o->cache_size - o->refcount_cache_size;
    } else {
        c->l2 = MIN(needed, (uint64_t)o->cache_size > min ? o->cache_size - min : 0);
        c->refblocks = o->cache_size - c->l2;
    }
}

static bool cache_sizes(const Qcow2 *s, const BlockdevOptionsQcow2 *o, CacheSizes *c,
                        GError **error)
{
    if (!check_sizes(s, o, error)) {
        return false;
    }
    uint64_t needed = MAX(s->l1_size, 1) * s->cluster_size;
    c->l2 = MIN(needed, L2_CACHE_MAX);
    c->refblocks = MAX(REFBLOCK_CACHE_BYTES, REFBLOCK_CACHE_MIN * s->cluster_size);
    if (o->has_cache_size) {
        split_size(s, o, c, needed);
    } else {
        c->l2 = o->has_l2_cache_size ? (uint64_t)o->l2_cache_size : c->l2;
        c->refblocks = o->has_refcount_cache_size ? (uint64_t)o->refcount_cache_size : c->refblocks;
    }
    c->slice = o->has_l2_cache_entry_size ? (uint64_t)o->l2_cache_entry_size
                                          : MIN(s->cluster_size, L2_SLICE_DEFAULT);
    if (c->slice < 512 || c->slice > s->cluster_size || (c->slice & (c->slice - 1))) {
        return error_set(
            error,
            "L2 cache entry size must be a power of two between 512 and the cluster size "
            "(%" PRIu64 ")",
            s->cluster_size);
    }
    if (c->l2 / c->slice > INT_MAX) {
        return error_set(error, "L2 cache size too big");
    }
    if (c->refblocks / s->cluster_size > INT_MAX) {
        return error_set(error, "Refcount cache size too big");
    }
    return true;
}

static void clean_caches(void *opaque)
{
    Qcow2 *s = opaque;
    block_hold();
    qcow2_cache_clean(s->l2_cache, s->clean_age);
    qcow2_cache_clean(s->refblock_cache, s->clean_age);
    s->clean_age++;
    block_release();
    timer_mod(&s->clean_timer,
              clock_get_ns(CLOCK_REALTIME_NS) + (int64_t)s->clean_interval_s * NS_PER_SEC);
}

static bool make_caches(Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    CacheSizes c;
    if (!cache_sizes(s, o, &c, error)) {
        return false;
    }
    s->slice_bits = __builtin_ctzll(c.slice / s->l2_entry_size);
    s->l2_cache = qcow2_cache_new(s, c.slice, MAX(c.l2 / c.slice, L2_CACHE_MIN), false);
    s->refblock_cache = qcow2_cache_new(
        s, s->cluster_size, MAX(c.refblocks / s->cluster_size, REFBLOCK_CACHE_MIN), true);
    s->clean_interval_s =
        o->has_cache_clean_interval ? (uint64_t)o->cache_clean_interval : CLEAN_INTERVAL_DEFAULT;
    timer_init(&s->clean_timer, CLOCK_REALTIME_NS, clean_caches, s);
    if (s->clean_interval_s) {
        timer_mod(&s->clean_timer,
                  clock_get_ns(CLOCK_REALTIME_NS) + (int64_t)s->clean_interval_s * NS_PER_SEC);
    }
    return true;
}

/* ---- what is read from the image ---- */

static void unload(Qcow2 *s)
{
    qcow2_header_clear(s);
    qcow2_snapshots_clear(s);
    qcow2_bitmaps_clear(s);
    qcow2_drop_scratch(s);
    g_clear_pointer(&s->undo, free);
    g_clear_pointer(&s->l1, g_free);
    g_clear_pointer(&s->l1_dirty, g_free);
    g_clear_pointer(&s->reftable, g_free);
    g_clear_pointer(&s->reftable_dirty, g_free);
    g_array_set_size(s->freed, 0);
    s->l1_is_dirty = s->reftable_is_dirty = false;
    s->has_bitmaps_ext = false;
    s->nb_bitmaps = 0;
    s->started = s->dirty_marked = s->corrupt = s->corruption_reported = false;
    s->free_hint = s->end_hint = s->bytes_hint = 0;
}

/* Header, snapshots, tables that are in memory as a whole. */
static bool load(Qcow2 *s, bool check, GError **error)
{
    if (!qcow2_read_header(s, check, error) || !qcow2_read_l1(s, error) ||
        !qcow2_read_reftable(s, error) || !qcow2_read_snapshots(s, check, error)) {
        return false;
    }
    if (!qcow2_read_bitmaps(s, check ? NULL : error) && !check) {
        return false;
    }
    BlockNode *node = s->node;
    if ((s->incompatible & QCOW2_INCOMPAT_CORRUPT) && !node->read_only && !check &&
        !node->inactive) {
        return error_set(error, "qcow2: Image is corrupt; cannot be opened read/write");
    }
    qcow2_know_end(s);
    s->fresh_zero = block_node_zero_init(node->file->node);
    s->lazy =
        s->version >= 3 && (s->lazy_given ? s->lazy_wanted : !!(s->compatible & QCOW2_COMPAT_LAZY));
    return qcow2_metadata_fill(s);
}

/* An image that was not closed with lazy reference counts. */
static int coroutine_fn repair_dirty(Qcow2 *s)
{
    BlockCheckResult result = { 0 };
    trace(qcow2_repair, "%s: was not closed cleanly", s->node->name);
    int ret = qcow2_check_image(s, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, &result);
    if (ret == 0 && (result.check_errors || result.corruptions)) {
        ret = -EIO;
    }
    return ret < 0 ? ret : qcow2_write_incompatible(s, s->incompatible & ~QCOW2_INCOMPAT_DIRTY);
}

static bool repair_if_dirty(Qcow2 *s, unsigned flags, GError **error)
{
    BlockNode *node = s->node;
    if (!(s->incompatible & QCOW2_INCOMPAT_DIRTY) || node->read_only || node->inactive ||
        (flags & BLOCK_OPEN_CHECK)) {
        return true;
    }
    int ret = qcow2_run(s, repair_dirty);
    return ret == 0 || error_set_errno(error, -ret, "Could not repair dirty image");
}

/* ---- children ---- */

static bool open_file(BlockNode *node, const BlockdevOptionsQcow2 *o, unsigned flags,
                      GError **error)
{
    GError *local = NULL;
    if (block_open_child(node, "file", BLOCK_ROLE_STORAGE, o->file, flags, &local)) {
        return true;
    }
    /* auto-read-only: a format writes to its file or is read-only itself. */
    if (!node->auto_read_only || node->read_only) {
        g_propagate_error(error, local);
        return false;
    }
    g_error_free(local);
    node->read_only = true;
    return block_open_child(node, "file", BLOCK_ROLE_STORAGE, o->file, flags & ~BLOCK_OPEN_RDWR,
                            error);
}

static bool open_data_file(Qcow2 *s, const BlockdevOptionsQcow2 *o, unsigned flags, GError **error)
{
    BlockNode *node = s->node;
    s->data = node->file;
    s->external_data = s->incompatible & QCOW2_INCOMPAT_DATA_FILE;
    if (!s->external_data) {
        return !o->data_file ||
               error_set(error,
                         "'data-file' can only be set for images with an external data file");
    }
    if (o->data_file) {
        s->data = block_open_child(node, "data-file", BLOCK_ROLE_DATA, o->data_file, flags, error);
        return s->data != NULL;
    }
    if (!s->data_file_name) {
        return error_set(error, "'data-file' is required for this image");
    }
    if (!block_open_data_file(node, s->data_file_name, flags, error)) {
        return false;
    }
    s->data = node->children.tail->data;
    return true;
}

static bool open_backing(Qcow2 *s, const BlockdevOptionsQcow2 *o, unsigned flags, GError **error)
{
    BlockNode *node = s->node;
    const BlockdevRefOrNull *b = o->backing;
    if (b && (b->kind == BLOCKDEV_REF_OR_NULL_KIND_NULL ||
              (b->kind == BLOCKDEV_REF_OR_NULL_KIND_REFERENCE && !b->u.reference[0]))) {
        s->backing_given = true;
        return true;
    }
    if (b) {
        s->backing_given = true;
        return block_open_backing_ref(node, b, flags, error);
    }
    if (!s->backing_file || (flags & BLOCK_OPEN_NO_BACKING)) {
        return true;
    }
    return block_open_backing(node, s->backing_file, s->backing_format, flags, error);
}

/* ---- opening and closing ---- */

static void init_state(Qcow2 *s, BlockNode *node)
{
    s->node = node;
    co_mutex_init(&s->alloc_lock);
    co_mutex_init(&s->table_lock);
    co_mutex_init(&s->back_lock);
    co_mutex_init(&s->header_lock);
    co_mutex_init(&s->patch_lock);
    co_queue_init(&s->compress_queue);
    g_queue_init(&s->changes);
    g_queue_init(&s->uses);
    s->freed = g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
}

static void destroy(Qcow2 *s)
{
    timer_del(&s->clean_timer);
    unload(s);
    qcow2_cache_free(s->l2_cache);
    qcow2_cache_free(s->refblock_cache);
    s->l2_cache = s->refblock_cache = NULL;
    g_array_free(s->freed, TRUE);
    g_clear_pointer(&s->metadata, g_hash_table_destroy);
}

static void take_options(Qcow2 *s, const BlockdevOptionsQcow2 *o)
{
    s->lazy_given = o->has_lazy_refcounts;
    s->lazy_wanted = o->has_lazy_refcounts && o->lazy_refcounts;
    s->discard_request =
        o->has_pass_discard_request ? o->pass_discard_request : s->node->discard_unmap;
    s->discard_snapshot = !o->has_pass_discard_snapshot || o->pass_discard_snapshot;
    s->discard_other = o->has_pass_discard_other && o->pass_discard_other;
    s->discard_no_unref = o->has_discard_no_unref && o->discard_no_unref;
}

static bool check_options(const Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    if (s->version < 3 && s->lazy_given && s->lazy_wanted) {
        return error_set(error, "Lazy refcounts require a qcow2 image with at least qemu 1.1 "
                                "compatibility level");
    }
    if (s->version < 3 && s->discard_no_unref) {
        return error_set(error, "discard-no-unref is only supported since qcow2 version 3");
    }
    return true;
}

static bool qcow2_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                       GError **error)
{
    Qcow2 *s = node->state;
    const BlockdevOptionsQcow2 *o = &options->u.qcow2;
    bool check = flags & BLOCK_OPEN_CHECK;
    if (!open_file(node, o, flags, error)) {
        return false;
    }
    init_state(s, node);
    node->any_context = true;
    timer_init(&s->clean_timer, CLOCK_REALTIME_NS, clean_caches, s);
    take_options(s, o);
    if (qcow2_parse_overlap(s, o, error) && load(s, check, error) && check_options(s, o, error) &&
        make_caches(s, o, error) && open_data_file(s, o, flags, error) &&
        open_backing(s, o, flags, error) && repair_if_dirty(s, flags, error)) {
        node->zero_flags = BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK;
        trace(qcow2_open, "%s: version %u, %" PRIu64 " bytes", node->name, s->version, s->size);
        return true;
    }
    destroy(s);
    return false;
}

static void qcow2_close(BlockNode *node)
{
    Qcow2 *s = node->state;
    if (!node->read_only && !node->inactive) {
        int ret = qcow2_run(s, qcow2_finish);
        if (ret < 0) {
            warn_report("%s: could not write back metadata: %s", block_node_filename(node),
                        g_strerror(-ret));
        }
    }
    destroy(s);
}

/* ---- switchover (B7) ---- */

static bool qcow2_inactivate(BlockNode *node, GError **error)
{
    Qcow2 *s = node->state;
    if (node->read_only) {
        return true;
    }
    int ret = qcow2_run(s, qcow2_finish);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not write back metadata of '%s'", node->name);
    }
    return true;
}

static bool qcow2_activate(BlockNode *node, GError **error)
{
    Qcow2 *s = node->state;
    unsigned cluster_bits = s->cluster_bits;
    bool extended = s->extended;
    qcow2_cache_drop_all(s->l2_cache);
    qcow2_cache_drop_all(s->refblock_cache);
    unload(s);
    if (!load(s, false, error)) {
        return false;
    }
    if (s->cluster_bits != cluster_bits || s->extended != extended) {
        return error_set(error, "'%s' is another image now", node->name);
    }
    return repair_if_dirty(s, 0, error);
}

/* ---- facts ---- */

static int qcow2_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 8 && load_be32(buf) == QCOW2_MAGIC && load_be32(buf + 4) >= 2 ? 100 : 0;
}

static void qcow2_refresh_limits(BlockNode *node)
{
    Qcow2 *s = node->state;
    node->limits.zero_align = s->subcluster_size;
    node->limits.discard_align = s->cluster_size;
    node->limits.opt_transfer = MAX(node->limits.opt_transfer, s->cluster_size);
}

static int64_t qcow2_length(BlockNode *node)
{
    return ((Qcow2 *)node->state)->size;
}

static int64_t qcow2_allocated_size(BlockNode *node)
{
    Qcow2 *s = node->state;
    int64_t a = block_node_allocated_size(node->file->node);
    int64_t b = s->external_data && a >= 0 ? block_node_allocated_size(s->data->node) : 0;
    return a < 0 ? a : b < 0 ? b : a + b;
}

static char *qcow2_filename(BlockNode *node)
{
    Qcow2 *s = node->state;
    BlockNode *file = node->file->node;
    if (s->backing_given) {
        return NULL;
    }
    return file->driver->filename ? file->driver->filename(file) : NULL;
}

static int qcow2_info(BlockNode *node, BlockDriverInfo *info)
{
    Qcow2 *s = node->state;
    info->cluster_size = s->cluster_size;
    info->subcluster_size = s->subcluster_size;
    info->vm_state_offset = qcow2_l1_entries(s, s->size) << (s->cluster_bits + s->l2_bits);
    info->dirty = s->incompatible & QCOW2_INCOMPAT_DIRTY;
    info->backing_file = s->backing_file;
    info->backing_format = s->backing_format;
    return 0;
}

static Qcow2BitmapInfo *bitmap_info(const Qcow2Bitmap *b)
{
    Qcow2BitmapInfo *info = g_new0(Qcow2BitmapInfo, 1);
    info->name = g_strdup(b->name);
    info->granularity = UINT32_C(1) << MIN(b->granularity_bits, 31);
    info->flags = g_new0(Qcow2BitmapInfoFlagsArray, 1);
    if (b->flags & QCOW2_BITMAP_IN_USE) {
        QAPI_ARRAY_ADD(info->flags, QCOW2_BITMAP_INFO_FLAGS_IN_USE);
    }
    if (b->flags & QCOW2_BITMAP_AUTO) {
        QAPI_ARRAY_ADD(info->flags, QCOW2_BITMAP_INFO_FLAGS_AUTO);
    }
    return info;
}

static ImageInfoSpecific *qcow2_image_info(BlockNode *node)
{
    Qcow2 *s = node->state;
    ImageInfoSpecific *info = g_new0(ImageInfoSpecific, 1);
    ImageInfoSpecificQCow2 *q = g_new0(ImageInfoSpecificQCow2, 1);
    info->type = IMAGE_INFO_SPECIFIC_KIND_QCOW2;
    info->u.qcow2.data = q;
    q->compat = g_strdup(s->version < 3 ? "0.10" : "1.1");
    q->refcount_bits = s->refcount_bits;
    q->compression_type = s->compression;
    if (s->version < 3) {
        return info;
    }
    q->has_lazy_refcounts = q->has_corrupt = q->has_extended_l2 = true;
    q->lazy_refcounts = s->compatible & QCOW2_COMPAT_LAZY;
    q->corrupt = s->incompatible & QCOW2_INCOMPAT_CORRUPT;
    q->extended_l2 = s->extended;
    if (s->external_data) {
        q->data_file = g_strdup(s->data_file_name);
        q->has_data_file_raw = true;
        q->data_file_raw = s->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
    }
    if (s->bitmaps && s->bitmaps->len) {
        q->bitmaps = g_new0(Qcow2BitmapInfoArray, 1);
        for (unsigned i = 0; i < s->bitmaps->len; i++) {
            QAPI_ARRAY_ADD(q->bitmaps, bitmap_info(&g_array_index(s->bitmaps, Qcow2Bitmap, i)));
        }
    }
    return info;
}

/* ---- backing file ---- */

static int coroutine_fn rewrite_header(Qcow2 *s)
{
    int ret = qcow2_start_writing(s);
    return ret < 0 ? ret : qcow2_write_header(s);
}

static int qcow2_change_backing_file(BlockNode *node, const char *filename, const char *format)
{
    Qcow2 *s = node->state;
    if (filename && strlen(filename) > QCOW2_MAX_NAME) {
        return -EINVAL;
    }
    if (filename && (s->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW)) {
        return -EINVAL; /* the data file could not show it */
    }
    char *old_file = s->backing_file, *old_format = s->backing_format;
    s->backing_file = g_strdup(filename);
    s->backing_format = g_strdup(filename ? format : NULL);
    int ret = qcow2_run(s, rewrite_header);
    if (ret < 0) {
        g_free(s->backing_file);
        g_free(s->backing_format);
        s->backing_file = old_file;
        s->backing_format = old_format;
        return ret;
    }
    g_free(old_file);
    g_free(old_format);
    return 0;
}

/* ---- check ---- */

typedef struct CheckRun {
    Qcow2 *s;
    BlockCheckResult *result;
    unsigned fix;
    int ret;
} CheckRun;

static void coroutine_fn check_entry(void *opaque)
{
    CheckRun *r = opaque;
    r->ret = qcow2_check_image(r->s, r->fix, r->result);
}

static int qcow2_check(BlockNode *node, BlockCheckResult *result, unsigned fix)
{
    CheckRun r = { node->state, result, fix, 0 };
    block_run_sync(check_entry, &r);
    return r.ret;
}

static int coroutine_fn qcow2_flush_metadata(BlockNode *node)
{
    Qcow2 *s = node->state;
    return s->corrupt ? -EIO : qcow2_write_back(s);
}

static bool qcow2_zero_init(BlockNode *node)
{
    Qcow2 *s = node->state;
    return !s->external_data || block_node_zero_init(s->data->node);
}

static const BlockDriver qcow2_driver = {
    .name = "qcow2",
    .kind = BLOCK_FORMAT,
    .qapi_driver = BLOCKDEV_DRIVER_QCOW2,
    .state_size = sizeof(Qcow2),
    .fixed_length = true,
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .refresh_limits = qcow2_refresh_limits,
    .read = qcow2_read,
    .write = qcow2_write,
    .write_zeroes = qcow2_write_zeroes,
    .write_compressed = qcow2_write_compressed,
    .discard = qcow2_discard,
    .flush_metadata = qcow2_flush_metadata,
    .truncate = qcow2_truncate,
    .block_status = qcow2_block_status,
    .length = qcow2_length,
    .allocated_size = qcow2_allocated_size,
    .activate = qcow2_activate,
    .inactivate = qcow2_inactivate,
    .filename = qcow2_filename,
    .image_info = qcow2_image_info,
    .info = qcow2_info,
    .zero_init = qcow2_zero_init,
    .create_options = qcow2_create_options,
    .create_convert = qcow2_create_convert,
    .create = qcow2_create,
    .check = qcow2_check,
    .measure = qcow2_measure,
    .amend_options = qcow2_amend_options,
    .amend = qcow2_amend,
    .make_empty = qcow2_make_empty,
    .change_backing_file = qcow2_change_backing_file,
    .vmstate_read = qcow2_vmstate_read,
    .vmstate_write = qcow2_vmstate_write,
    .snapshot_create = qcow2_snapshot_create,
    .snapshot_goto = qcow2_snapshot_goto,
    .snapshot_delete = qcow2_snapshot_delete,
    .snapshot_list = qcow2_snapshot_list,
    .snapshot_load = qcow2_snapshot_load,
};
#ifdef QCOW2_MUTATIONS
const BlockDriver *const qcow2_mutant = &qcow2_driver;
#else
BLOCK_DRIVER_REGISTER(qcow2_driver)
#endif
