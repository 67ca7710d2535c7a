/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: in which order the image changes on disk (W1 to W3 in qcow2.h).
 *
 *   1. copies of the dirty L2 slices and L1 sectors, and the list of what was freed, are taken at
 *      one moment; changes that come later are of the next round
 *   2. reference counts are written: they cover at least what the copies point to (M3)
 *   3. flush: data and counts are on disk
 *   4. the copies are written
 *   5. flush: nothing on disk points to what was freed; its counts go down
 *
 * With lazy reference counts step 2 is left out: the image is marked dirty instead.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/bitmap.h"
#include "util/error.h"

/* Freed clusters that wait for the next write-back; more make us do one. */
#define FREED_MAX 4096

typedef struct L1Copy {
    GArray *sectors; /* indexes */
    uint8_t *data;   /* 512 bytes for each */
} L1Copy;

static void l1_take(Qcow2 *s, L1Copy *copy)
{
    copy->sectors = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    copy->data = NULL;
    if (!s->l1_is_dirty) {
        return;
    }
    uint32_t n = (s->l1_size + 63) / 64;
    for (uint32_t i = bitmap_find_next(s->l1_dirty, n, 0); i < n;
         i = bitmap_find_next(s->l1_dirty, n, i + 1)) {
        g_array_append_val(copy->sectors, i);
    }
    copy->data = g_malloc0((size_t)copy->sectors->len * BLOCK_SECTOR);
    for (unsigned j = 0; j < copy->sectors->len; j++) {
        uint32_t first = g_array_index(copy->sectors, uint32_t, j) * 64;
        for (uint32_t k = first; k < MIN(first + 64, s->l1_size); k++) {
            store_be64(copy->data + (size_t)j * BLOCK_SECTOR + (k - first) * 8, s->l1[k]);
        }
    }
    bitmap_clear(s->l1_dirty, 0, n);
    s->l1_is_dirty = false;
}

static int coroutine_fn l1_put(Qcow2 *s, L1Copy *copy, int ret)
{
    for (unsigned j = 0; j < copy->sectors->len; j++) {
        uint32_t i = g_array_index(copy->sectors, uint32_t, j);
        uint64_t at = s->l1_offset + (uint64_t)i * BLOCK_SECTOR;
        if (ret == 0) {
            ret = qcow2_check_overlap(s, QCOW2_OL_ACTIVE_L1, at, BLOCK_SECTOR);
        }
        if (ret == 0) {
            block_debug_event(s->node->file, BLKDEBUG_EVENT_L1_UPDATE);
            ret = block_co_write_buf(s->node->file, at, BLOCK_SECTOR,
                                     copy->data + (size_t)j * BLOCK_SECTOR, 0);
        }
        if (ret < 0) {
            bitmap_set(s->l1_dirty, i, 1);
            s->l1_is_dirty = true;
        }
    }
    g_array_free(copy->sectors, TRUE);
    g_free(copy->data);
    return ret;
}

static GArray *freed_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
}

/* What could not be applied waits for the next time. */
static void freed_return(Qcow2 *s, GArray *freed)
{
    g_array_append_vals(s->freed, freed->data, freed->len);
    g_array_free(freed, TRUE);
}

/* The file holds the data, unless there is another one for them. */
static int coroutine_fn flush_below(Qcow2 *s)
{
    int ret = block_co_flush(s->node->file->node);
    if (ret == 0 && s->external_data) {
        ret = block_co_flush(s->data->node);
    }
    return ret;
}

static int coroutine_fn write_back_locked(Qcow2 *s)
{
    if (!s->l1_is_dirty && !qcow2_cache_is_dirty(s->l2_cache) && s->freed->len == 0) {
        return s->lazy ? 0 : qcow2_write_refcounts(s);
    }
    L1Copy l1;
    l1_take(s, &l1);
    GArray *copies = qcow2_cache_take(s->l2_cache);
    GArray *freed = s->freed;
    s->freed = freed_new();
    bool maps = copies->len || l1.sectors->len;
    int ret = s->lazy || QCOW2_MUTATION(COUNTS_LAST) ? 0 : qcow2_write_refcounts(s);
    if (ret == 0 && maps && !QCOW2_MUTATION(NO_FLUSH)) {
        ret = flush_below(s);
    }
    if (ret == 0 && QCOW2_MUTATION(FREE_EARLY)) {
        ret = qcow2_apply_freed(s, freed);
    }
    ret = qcow2_cache_put(s->l2_cache, copies, ret);
    ret = l1_put(s, &l1, ret);
    if (ret == 0 && QCOW2_MUTATION(COUNTS_LAST)) {
        ret = qcow2_write_refcounts(s);
    }
    if (ret == 0 && qcow2_cache_is_dirty(s->l2_cache) && freed->len) {
        /* A slice of which no copy could be made may still point to what was freed. */
        freed_return(s, freed);
        return 0;
    }
    if (ret == 0 && freed->len && !QCOW2_MUTATION(NO_FREE_FLUSH)) {
        ret = flush_below(s);
    }
    if (ret == 0) {
        ret = qcow2_apply_freed(s, freed);
    }
    freed_return(s, freed);
    return ret;
}

int coroutine_fn qcow2_write_back(Qcow2 *s)
{
    co_mutex_lock(&s->back_lock);
    int ret = qcow2_restore_header(s); /* W4 */
    if (ret == 0) {
        ret = write_back_locked(s);
    }
    co_mutex_unlock(&s->back_lock);
    return ret;
}

int coroutine_fn qcow2_relieve(Qcow2 *s)
{
    return s->freed->len > FREED_MAX ? qcow2_write_back(s) : 0;
}

/* ---- the first write ---- */

/* Features that a writer who does not keep them has to take away (autoclear), the mark of an image whose
 * counts may be wrong. */
static int coroutine_fn start_locked(Qcow2 *s)
{
    int ret = 0;
    if (s->autoclear & ~QCOW2_AUTOCLEAR_KNOWN) {
        uint8_t buf[8];
        store_be64(buf, s->autoclear & QCOW2_AUTOCLEAR_KNOWN);
        ret = qcow2_patch_header(s, QH_AUTOCLEAR, buf, sizeof(buf));
        s->autoclear &= ret < 0 ? UINT64_MAX : QCOW2_AUTOCLEAR_KNOWN;
    }
    if (ret == 0) {
        ret = qcow2_invalidate_bitmaps(s);
    }
    if (ret == 0 && s->lazy && !s->dirty_marked && !QCOW2_MUTATION(NO_DIRTY_MARK)) {
        ret = qcow2_write_incompatible(s, s->incompatible | QCOW2_INCOMPAT_DIRTY);
        s->dirty_marked = ret == 0;
    }
    s->started = ret == 0;
    return ret;
}

int coroutine_fn qcow2_start_writing(Qcow2 *s)
{
    if (s->corrupt) {
        return -EIO;
    }
    if (s->started) {
        return 0;
    }
    co_mutex_lock(&s->header_lock);
    int ret = s->started ? 0 : start_locked(s);
    co_mutex_unlock(&s->header_lock);
    return ret;
}

/* ---- the end ---- */

/* The file ends with a whole cluster: some readers want that. If it cannot be, the image is right all the
 * same. */
static void coroutine_fn fill_last_cluster(Qcow2 *s)
{
    BlockNode *file = s->node->file->node;
    int64_t length = block_node_length(file);
    if (s->started && length > 0 && !file->driver->fixed_length &&
        ((uint64_t)length & (s->cluster_size - 1))) {
        block_co_truncate(s->node->file, qcow2_clusters(s, length) << s->cluster_bits, false,
                          PREALLOC_MODE_OFF, NULL);
    }
}

int coroutine_fn qcow2_finish(Qcow2 *s)
{
    if (s->node->read_only || s->corrupt) {
        return 0;
    }
    int ret = 0;
    /* What a write-back frees makes counts dirty once more. A failed write is worth a second try: nobody
     * will make it later. */
    for (unsigned i = 0; i < 3; i++) {
        ret = qcow2_write_back(s);
        if (ret == 0 && !s->freed->len && !qcow2_cache_is_dirty(s->l2_cache)) {
            break;
        }
    }
    if (ret == 0) {
        ret = qcow2_write_refcounts(s);
    }
    if (ret == 0) {
        fill_last_cluster(s);
        ret = flush_below(s);
    }
    if (ret == 0 && s->dirty_marked) {
        ret = qcow2_write_incompatible(s, s->incompatible & ~QCOW2_INCOMPAT_DIRTY);
        s->dirty_marked = ret < 0;
        s->started = s->started && !s->lazy;
    }
    return ret;
}
