/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2: other sizes, space that is allocated before it is written, an image made empty, the VM state behind the disk. */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/bitmap.h"
#include "util/error.h"

/* ---- L1 ---- */

static int coroutine_fn store_new_l1(Qcow2 *s, uint64_t n, uint64_t *offset)
{
    uint64_t bytes = qcow2_cluster_end(s, n * 8);
    block_debug_event(s->node->file, BLKDEBUG_EVENT_L1_GROW_ALLOC_TABLE);
    int ret = qcow2_alloc(s, bytes >> s->cluster_bits, offset);
    if (ret < 0) {
        return ret;
    }
    uint8_t *buf = block_alloc(s->node->file->node, bytes);
    ret = buf ? qcow2_check_overlap(s, 0, *offset, bytes) : -ENOMEM;
    if (ret == 0) {
        memset(buf, 0, bytes);
        for (uint32_t i = 0; i < s->l1_size; i++) {
            store_be64(buf + (size_t)i * 8, s->l1[i]);
        }
        block_debug_event(s->node->file, BLKDEBUG_EVENT_L1_GROW_WRITE_TABLE);
        ret = block_co_write_buf(s->node->file, *offset, bytes, buf, 0);
    }
    free(buf);
    if (ret == 0) {
        ret = qcow2_write_back(s); /* counts; and what the old L1 has not got yet */
    }
    if (ret == 0) {
        ret = s->lazy ? 0 : qcow2_write_refcounts(s);
    }
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    if (ret < 0) {
        qcow2_refcount_add(s, *offset, bytes, -1, QCOW2_FREE_OTHER);
    }
    return ret;
}

static int coroutine_fn grow_l1_locked(Qcow2 *s, uint64_t entries)
{
    uint64_t offset, old = s->l1_offset, old_bytes = (uint64_t)s->l1_size * 8;
    /* Entries must not change between the copy and the switch: table_lock. */
    int ret = store_new_l1(s, entries, &offset);
    if (ret < 0) {
        return ret;
    }
    uint8_t head[12];
    store_be32(head, entries);
    store_be64(head + 4, offset);
    block_debug_event(s->node->file, BLKDEBUG_EVENT_L1_GROW_ACTIVATE_TABLE);
    ret = qcow2_patch_header(s, QH_L1_SIZE, head, sizeof(head));
    if (ret < 0) {
        qcow2_refcount_add(s, offset, entries * 8, -1, QCOW2_FREE_OTHER);
        return ret;
    }
    s->l1 = g_renew(uint64_t, s->l1, entries);
    memset(s->l1 + s->l1_size, 0, (entries - s->l1_size) * sizeof(uint64_t));
    unsigned long *dirty = bitmap_new((entries + 63) / 64 + 1);
    g_free(s->l1_dirty);
    s->l1_dirty = dirty;
    if (s->l1_is_dirty) { /* written back meanwhile, but for a failure: all anew */
        bitmap_set(s->l1_dirty, 0, (entries + 63) / 64);
    }
    qcow2_metadata_remove(s, old, old_bytes, QCOW2_OL_ACTIVE_L1);
    qcow2_metadata_add(s, offset, entries * 8, QCOW2_OL_ACTIVE_L1);
    s->l1_size = entries;
    s->l1_offset = offset;
    if (old && old_bytes) {
        qcow2_free_later(s, old, old_bytes, QCOW2_FREE_OTHER);
    }
    return 0;
}

int coroutine_fn qcow2_grow_l1(Qcow2 *s, uint64_t entries, bool exact)
{
    if (entries <= s->l1_size) {
        return 0;
    }
    if (!exact && (uint64_t)s->l1_size * 3 / 2 <= QCOW2_MAX_L1_BYTES / 8) {
        entries = MAX(entries, (uint64_t)s->l1_size * 3 / 2);
    }
    if (entries > QCOW2_MAX_L1_BYTES / 8) {
        return -EFBIG;
    }
    co_mutex_lock(&s->table_lock);
    int ret = grow_l1_locked(s, entries);
    co_mutex_unlock(&s->table_lock);
    return ret;
}

/* ---- preallocation ---- */

/* They become data that nobody has written, and they may have been used before. */
static int coroutine_fn zero_clusters(Qcow2 *s, uint64_t host, uint64_t bytes)
{
    int ret = qcow2_check_overlap(s, 0, host, bytes);
    return ret < 0 ? ret : block_co_write_zeroes(s->data, host, bytes, 0);
}

static int coroutine_fn preallocate_run(Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t *done)
{
    unsigned n = qcow2_clusters(s, MIN(bytes, qcow2_slice_rest(s, offset)));
    uint64_t host = offset, got = n;
    bool fresh = true;
    int ret = qcow2_make_l2(s, offset);
    if (ret == 0 && !s->external_data) {
        ret = qcow2_alloc_some(s, n, &host, &got, &fresh);
    }
    if (ret < 0) {
        return ret;
    }
    g_autofree Qcow2Entry *e = g_new0(Qcow2Entry, got);
    for (uint64_t i = 0; i < got; i++) {
        e[i].raw = (host + (i << s->cluster_bits)) | QCOW2_COPIED;
        /* Subclusters show the backing file until they are written. */
        e[i].bitmap = s->extended && !s->backing_file ? UINT64_C(0xffffffff) : 0;
    }
    if (!s->external_data && !(fresh && s->fresh_zero)) {
        ret = zero_clusters(s, host, got << s->cluster_bits);
    }
    if (ret == 0) {
        ret = qcow2_set_l2(s, offset, e, got);
    }
    if (ret < 0 && !s->external_data) {
        qcow2_refcount_add(s, host, got << s->cluster_bits, -1, QCOW2_FREE_OTHER);
    }
    *done = got << s->cluster_bits;
    return ret;
}

int coroutine_fn qcow2_preallocate(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    uint64_t end = qcow2_cluster_end(s, offset + bytes);
    offset = qcow2_cluster_start(s, offset);
    int ret = 0;
    while (ret == 0 && offset < end) {
        Qcow2Run run;
        uint64_t done = 0;
        ret = qcow2_lookup(s, offset, end - offset, &run);
        if (ret == 0 && (run.kind != QCOW2_UNALLOCATED || run.reserved)) {
            offset += qcow2_cluster_end(s, run.bytes);
            continue;
        }
        ret = ret < 0 ? ret : preallocate_run(s, offset, MIN(run.bytes, end - offset), &done);
        offset += done;
    }
    return ret;
}

/* What the file will be when everything is allocated; for space taken at once. */
static uint64_t full_size(const Qcow2 *s, uint64_t old_length, uint64_t grow)
{
    uint64_t clusters = qcow2_clusters(s, grow) + 1;
    uint64_t l2 = clusters / (UINT64_C(1) << s->l2_bits) + 2;
    uint64_t blocks = (clusters + l2) / ((UINT64_C(1) << s->refblock_bits) - 1) + 1;
    return old_length + ((clusters - 1 + l2 + blocks) << s->cluster_bits);
}

static int coroutine_fn preallocate_mode(Qcow2 *s, uint64_t from, uint64_t to, PreallocMode mode,
                                         GError **error)
{
    BlockEdge *file = s->node->file;
    int ret = 0;
    int64_t length = block_node_length(file->node);
    if (length < 0) {
        return length;
    }
    bool space = mode != PREALLOC_MODE_METADATA && !s->external_data;
    uint64_t planned = space ? full_size(s, length, to - from) : 0;
    if (space) {
        ret = block_co_truncate(file, planned, false, mode, error);
    }
    if (ret == 0) {
        ret = qcow2_preallocate(s, from, to - from);
        if (ret < 0) {
            error_set_errno(error, -ret, "Could not preallocate clusters");
        }
    }
    if (ret == 0 && !s->external_data) {
        /* Clusters that were counted exist, so that others may read them. */
        uint64_t end = s->end_hint << s->cluster_bits;
        if (space || end > (uint64_t)block_node_length(file->node)) {
            ret = block_co_truncate(file, end, true, PREALLOC_MODE_OFF, error);
        }
    }
    return ret;
}

/* ---- truncate ---- */

static int coroutine_fn set_size(Qcow2 *s, uint64_t length)
{
    uint8_t buf[8];
    store_be64(buf, length);
    int ret = qcow2_write_back(s);
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    if (ret == 0) {
        ret = qcow2_patch_header(s, QH_SIZE, buf, sizeof(buf));
    }
    if (ret == 0) {
        s->size = length;
    }
    return ret;
}

/* The new part reads as zeros, whatever the last cluster or the backing file has there. */
static int coroutine_fn zero_new(Qcow2 *s, uint64_t length)
{
    uint64_t old = s->size, end = MIN(length, qcow2_cluster_end(s, old));
    BlockEdge *backing = s->node->backing;
    int64_t behind = backing ? block_node_length(backing->node) : 0;
    if (behind > 0 && (uint64_t)behind > old) {
        end = MAX(end, MIN(length, (uint64_t)behind));
    }
    static const uint8_t zeros[65536];
    int ret = 0;
    while (ret == 0 && old < end) {
        Qcow2Run run;
        ret = qcow2_lookup(s, old, end - old, &run);
        if (ret < 0) {
            break;
        }
        uint64_t n = MIN(run.bytes, end - old);
        bool whole = !(old & (s->cluster_size - 1)) && n >= s->cluster_size;
        if (run.kind == QCOW2_ZEROS ||
            (run.kind == QCOW2_UNALLOCATED && (!backing || old >= (uint64_t)MAX(behind, 0)))) {
            old += n;
            continue;
        }
        if (whole && s->version >= 3) {
            n = qcow2_cluster_start(s, n);
            ret = qcow2_discard_clusters(s, old, n, false, QCOW2_FREE_REQUEST);
        } else {
            n = MIN(n, sizeof(zeros));
            struct iovec iov = { (void *)zeros, n };
            IoVec vec = { &iov, 1, 1, n };
            ret = qcow2_write(s->node, old, n, &vec, 0, 0);
        }
        old += n;
    }
    return ret;
}

/* State of a VM that is not in a snapshot lies behind the disk's last table (qcow2_vmstate_write()): it
 * does not become a part of the disk. */
static int coroutine_fn drop_vmstate(Qcow2 *s)
{
    uint64_t span = UINT64_C(1) << (s->cluster_bits + s->l2_bits);
    int ret = 0;
    for (uint64_t i = qcow2_l1_entries(s, s->size); ret == 0 && i < s->l1_size; i++) {
        if (s->l1[i] & QCOW2_OFFSET_MASK) {
            ret = qcow2_discard_clusters(s, i * span, span, true, QCOW2_FREE_OTHER);
        }
    }
    return ret;
}

static int coroutine_fn grow(Qcow2 *s, uint64_t length, PreallocMode mode, GError **error)
{
    uint64_t old = s->size, entries = qcow2_l1_entries(s, length);
    if (entries > QCOW2_MAX_L1_BYTES / 8) {
        error_set(error, "The image size is too large for file format 'qcow2' (try using a larger "
                         "cluster size)");
        return -EFBIG;
    }
    int ret = qcow2_grow_l1(s, entries, true);
    if (ret < 0) {
        error_set_errno(error, -ret, "Failed to grow the L1 table");
        return ret;
    }
    if (s->external_data) {
        PreallocMode below = mode == PREALLOC_MODE_METADATA ? PREALLOC_MODE_OFF : mode;
        ret = block_co_truncate(s->data, length, false, below, error);
        if (ret < 0) {
            return ret;
        }
    }
    ret = drop_vmstate(s);
    if (ret == 0) {
        ret = zero_new(s, length);
    }
    if (ret < 0) {
        error_set_errno(error, -ret, "Failed to zero out the new area");
        return ret;
    }
    if (s->external_data && mode == PREALLOC_MODE_OFF &&
        (s->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW)) {
        mode = PREALLOC_MODE_METADATA;
    }
    if (mode != PREALLOC_MODE_OFF) {
        ret = preallocate_mode(s, old, length, mode, error);
    }
    if (ret < 0) {
        return ret;
    }
    ret = set_size(s, length);
    if (ret < 0) {
        error_set_errno(error, -ret, "Failed to update the image size");
    }
    return ret;
}

/* L2 tables of which nothing is left. */
static void free_tables(Qcow2 *s, uint64_t length)
{
    for (uint64_t i = qcow2_l1_entries(s, length); i < s->l1_size; i++) {
        uint64_t table = s->l1[i] & QCOW2_OFFSET_MASK;
        if (table) {
            s->l1[i] = 0;
            bitmap_set(s->l1_dirty, i / 64, 1);
            s->l1_is_dirty = true;
            qcow2_metadata_remove(s, table, s->cluster_size, QCOW2_OL_ACTIVE_L2);
            qcow2_free_later(s, table, s->cluster_size, QCOW2_FREE_OTHER);
        }
    }
}

static int coroutine_fn cut_file_locked(Qcow2 *s, GError **error)
{
    int64_t length = block_node_length(s->node->file->node);
    /* What a request in flight has not written yet lies behind the file's end. */
    uint64_t end = MAX(s->end_hint, qcow2_clusters(s, MAX(length, 0)));
    uint64_t count = 0;
    while (end > 0) {
        int ret = qcow2_refcount(s, end - 1, &count);
        if (ret < 0) {
            return ret;
        }
        if (count) {
            break;
        }
        end--;
    }
    uint64_t bytes = end << s->cluster_bits;
    if (length <= 0 || bytes >= (uint64_t)length) {
        return 0;
    }
    int ret = block_co_truncate(s->node->file, bytes, false, PREALLOC_MODE_OFF, error);
    if (ret == 0) {
        s->end_hint = end;
    }
    return ret;
}

/* The file ends behind the last cluster that is in use. Nobody takes one meanwhile: it would be cut off, and its first
 * user's data be seen by the next. */
static int coroutine_fn cut_file(Qcow2 *s, GError **error)
{
    co_mutex_lock(&s->alloc_lock);
    int ret = cut_file_locked(s, error);
    co_mutex_unlock(&s->alloc_lock);
    return ret;
}

static int coroutine_fn shrink(Qcow2 *s, uint64_t length, PreallocMode mode, GError **error)
{
    if (mode != PREALLOC_MODE_OFF) {
        error_set(error, "Preallocation can't be used for shrinking an image");
        return -EINVAL;
    }
    uint64_t from = qcow2_cluster_end(s, length), to = qcow2_cluster_end(s, s->size);
    int ret = drop_vmstate(s);
    if (ret == 0 && to > from) {
        ret = qcow2_discard_clusters(s, from, to - from, true, QCOW2_FREE_OTHER);
    }
    if (ret < 0) {
        error_set_errno(error, -ret, "Failed to discard cropped clusters");
        return ret;
    }
    free_tables(s, length);
    ret = set_size(s, length);
    /* Twice: what the first one freed has counts to be written. */
    for (unsigned i = 0; ret == 0 && i < 2; i++) {
        ret = qcow2_write_back(s);
    }
    if (ret < 0) {
        error_set_errno(error, -ret, "Failed to update the image size");
        return ret;
    }
    if (s->external_data) {
        return block_co_truncate(s->data, length, false, PREALLOC_MODE_OFF, error);
    }
    return cut_file(s, error);
}

int coroutine_fn qcow2_truncate(BlockNode *node, uint64_t length, bool exact, PreallocMode prealloc,
                                GError **error)
{
    Qcow2 *s = node->state;
    if (length & (BLOCK_SECTOR - 1)) {
        error_set(error, "The new size must be a multiple of %d", BLOCK_SECTOR);
        return -EINVAL;
    }
    if (s->nb_snapshots && s->version < 3) {
        error_set(error, "Can't resize a v2 image which has snapshots");
        return -ENOTSUP;
    }
    if (s->bitmaps && s->bitmaps->len) {
        error_set(error, "Cannot resize an image that has persistent bitmaps");
        return -ENOTSUP;
    }
    int ret = qcow2_start_writing(s);
    if (ret < 0) {
        error_set_errno(error, -ret, "Could not start to change the image");
        return ret;
    }
    if (length < s->size) {
        return shrink(s, length, prealloc, error);
    }
    return length > s->size ? grow(s, length, prealloc, error) : 0;
}

/* ---- empty ---- */

static int coroutine_fn empty(Qcow2 *s)
{
    uint64_t end = qcow2_cluster_end(s, s->size);
    int ret = qcow2_discard_clusters(s, 0, end, true, QCOW2_FREE_SNAPSHOT);
    for (unsigned i = 0; ret == 0 && i < 2; i++) {
        ret = qcow2_write_back(s);
    }
    return ret < 0 ? ret : cut_file(s, NULL);
}

bool qcow2_make_empty(BlockNode *node, GError **error)
{
    int ret = qcow2_run(node->state, empty);
    return ret == 0 || error_set_errno(error, -ret, "Could not empty '%s'", node->name);
}

/* ---- VM state: behind the disk, as if it were larger ---- */

static uint64_t vmstate_start(const Qcow2 *s)
{
    return qcow2_l1_entries(s, s->size) << (s->cluster_bits + s->l2_bits);
}

int coroutine_fn qcow2_vmstate_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                    size_t vec_offset)
{
    block_debug_event(node->file, BLKDEBUG_EVENT_VMSTATE_LOAD);
    return qcow2_read(node, vmstate_start(node->state) + offset, bytes, vec, vec_offset);
}

int coroutine_fn qcow2_vmstate_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset)
{
    Qcow2 *s = node->state;
    uint64_t at = vmstate_start(s) + offset;
    block_debug_event(node->file, BLKDEBUG_EVENT_VMSTATE_SAVE);
    int ret = qcow2_start_writing(s);
    if (ret == 0) {
        ret = qcow2_grow_l1(s, qcow2_l1_entries(s, at + bytes), false);
    }
    return ret < 0 ? ret : qcow2_write(node, at, bytes, vec, vec_offset, 0);
}
