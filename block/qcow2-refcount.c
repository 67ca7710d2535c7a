/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: reference counts, and where new clusters come from.
 *
 * The table of reference count blocks is in memory as a whole; the blocks are cached. Whoever changes a
 * count holds alloc_lock. A new block is written before the table names it, and it describes itself
 * or lies where a block exists.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/bitmap.h"
#include "util/error.h"

/* ---- entries ---- */

uint64_t qcow2_get_entry(const void *block, uint64_t index, unsigned order)
{
    const uint8_t *p = block;
    switch (order) {
    case 6:
        return load_be64(p + index * 8);
    case 5:
        return load_be32(p + index * 4);
    case 4:
        return load_be16(p + index * 2);
    case 3:
        return p[index];
    default: {
        unsigned bits = 1u << order;
        uint64_t bit = index * bits;
        return p[bit / 8] >> (bit % 8) & ((1u << bits) - 1);
    }
    }
}

void qcow2_set_entry(void *block, uint64_t index, unsigned order, uint64_t value)
{
    uint8_t *p = block;
    switch (order) {
    case 6:
        store_be64(p + index * 8, value);
        break;
    case 5:
        store_be32(p + index * 4, value);
        break;
    case 4:
        store_be16(p + index * 2, value);
        break;
    case 3:
        p[index] = value;
        break;
    default: {
        unsigned bits = 1u << order;
        uint64_t bit = index * bits;
        uint8_t mask = ((1u << bits) - 1) << (bit % 8);
        p[bit / 8] = (p[bit / 8] & ~mask) | (value << (bit % 8) & mask);
        break;
    }
    }
}

/* ---- the table ---- */

bool qcow2_read_reftable(Qcow2 *s, GError **error)
{
    size_t bytes = (size_t)s->reftable_clusters << s->cluster_bits;
    s->reftable_size = bytes / 8;
    s->reftable = g_try_malloc0(bytes);
    if (!s->reftable) {
        return error_set(error, "Could not allocate the reference count table");
    }
    s->reftable_dirty = bitmap_new((s->reftable_size + 63) / 64);
    int ret = block_read_buf(s->node->file, s->reftable_offset, bytes, s->reftable);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not initialize refcount handling");
    }
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        s->reftable[i] = be64toh(s->reftable[i]);
    }
    return true;
}

void qcow2_know_end(Qcow2 *s)
{
    int64_t length = block_node_length(s->node->file->node);
    s->end_hint = MAX(s->end_hint, qcow2_clusters(s, MAX(length, 0)));
}

/* Offset of the block for a cluster; 0: there is none. */
static int coroutine_fn block_offset(Qcow2 *s, uint64_t cluster, uint64_t *offset)
{
    uint64_t i = cluster >> s->refblock_bits;
    *offset = i < s->reftable_size ? s->reftable[i] & ~QCOW2_REFTABLE_RESERVED : 0;
    if (*offset & (s->cluster_size - 1)) {
        qcow2_corrupt(s, true, -1, -1,
                      "Refblock offset %#" PRIx64 " unaligned (reftable index: %#" PRIx64 ")",
                      *offset, i);
        return -EIO;
    }
    return 0;
}

static int coroutine_fn get_block(Qcow2 *s, uint64_t cluster, Qcow2Table **table)
{
    uint64_t offset;
    int ret = block_offset(s, cluster, &offset);
    *table = NULL;
    return ret < 0 || !offset ? ret : qcow2_cache_get(s->refblock_cache, offset, table);
}

static uint64_t block_index(const Qcow2 *s, uint64_t cluster)
{
    return cluster & ((UINT64_C(1) << s->refblock_bits) - 1);
}

int coroutine_fn qcow2_refcount(Qcow2 *s, uint64_t cluster, uint64_t *count)
{
    Qcow2Table *t;
    int ret = get_block(s, cluster, &t);
    if (ret == 0) {
        *count = t ? qcow2_get_entry(t->data, block_index(s, cluster), s->refcount_order) : 0;
    }
    return ret;
}

static int coroutine_fn set_count(Qcow2 *s, uint64_t cluster, uint64_t count)
{
    Qcow2Table *t;
    int ret = get_block(s, cluster, &t);
    if (ret == 0) {
        g_assert(t);
        qcow2_set_entry(t->data, block_index(s, cluster), s->refcount_order, count);
        size_t at = (block_index(s, cluster) << s->refcount_order) / 8;
        qcow2_cache_mark(s->refblock_cache, t, at, MAX(s->refcount_bits / 8, 1));
    }
    return ret;
}

static void reftable_set(Qcow2 *s, uint64_t index, uint64_t offset)
{
    s->reftable[index] = offset;
    bitmap_set(s->reftable_dirty, index / 64, 1);
    s->reftable_is_dirty = true;
    qcow2_metadata_add(s, offset, s->cluster_size, QCOW2_OL_REFBLOCK);
}

/* ---- writing back ---- */

bool qcow2_refcounts_dirty(const Qcow2 *s)
{
    return s->reftable_is_dirty || qcow2_cache_is_dirty(s->refblock_cache);
}

static int coroutine_fn write_reftable_sector(Qcow2 *s, uint32_t sector)
{
    uint8_t buf[BLOCK_SECTOR];
    uint64_t at = s->reftable_offset + (uint64_t)sector * BLOCK_SECTOR;
    for (unsigned i = 0; i < 64; i++) {
        store_be64(buf + i * 8, s->reftable[sector * 64 + i]);
    }
    int ret = qcow2_check_overlap(s, QCOW2_OL_REFTABLE, at, BLOCK_SECTOR);
    if (ret < 0) {
        return ret;
    }
    block_debug_event(s->node->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_HOOKUP);
    return block_co_write_buf(s->node->file, at, BLOCK_SECTOR, buf, 0);
}

static int coroutine_fn write_reftable(Qcow2 *s)
{
    uint32_t n = (s->reftable_size + 63) / 64;
    int ret = 0;
    for (uint32_t i = bitmap_find_next(s->reftable_dirty, n, 0); ret == 0 && i < n;
         i = bitmap_find_next(s->reftable_dirty, n, i + 1)) {
        bitmap_clear(s->reftable_dirty, i, 1);
        ret = write_reftable_sector(s, i);
        if (ret < 0) {
            bitmap_set(s->reftable_dirty, i, 1);
        }
    }
    return ret;
}

int coroutine_fn qcow2_write_refcounts(Qcow2 *s)
{
    int ret = qcow2_cache_write(s->refblock_cache);
    if (ret < 0 || !s->reftable_is_dirty) {
        return ret;
    }
    /* New blocks, and the counts of their own clusters, are on disk before the table names them. No
     * block is added meanwhile; one may have been since the counts were written. */
    co_mutex_lock(&s->alloc_lock);
    ret = qcow2_cache_write(s->refblock_cache);
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    if (ret == 0) {
        ret = write_reftable(s);
    }
    if (ret == 0) {
        s->reftable_is_dirty = false;
    }
    co_mutex_unlock(&s->alloc_lock);
    return ret;
}

/* ---- new blocks, a larger table ---- */

/* A block of zeros that counts itself if `self`, written whole. */
static int coroutine_fn write_new_block(Qcow2 *s, uint64_t cluster, bool self)
{
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    if (!buf) {
        return -ENOMEM;
    }
    memset(buf, 0, s->cluster_size);
    if (self) {
        qcow2_set_entry(buf, block_index(s, cluster), s->refcount_order, 1);
    }
    uint64_t offset = cluster << s->cluster_bits;
    int ret = qcow2_check_overlap(s, 0, offset, s->cluster_size);
    if (ret == 0) {
        block_debug_event(s->node->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE);
        ret = block_co_write_buf(s->node->file, offset, s->cluster_size, buf, 0);
    }
    free(buf);
    return ret;
}

/* The block for entry `index` goes into `cluster`, which is free. */
static int coroutine_fn add_block(Qcow2 *s, uint64_t index, uint64_t cluster)
{
    bool self = cluster >> s->refblock_bits == index;
    block_debug_event(s->node->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC);
    int ret = qcow2_cache_drop(s->refblock_cache, cluster << s->cluster_bits, s->cluster_size);
    if (ret == 0) {
        ret = write_new_block(s, cluster, self);
    }
    if (ret == 0 && !self) {
        ret = set_count(s, cluster, 1);
    }
    if (ret == 0) {
        reftable_set(s, index, cluster << s->cluster_bits);
        s->end_hint = MAX(s->end_hint, cluster + 1);
    }
    return ret;
}

/* A larger table with the blocks that it needs for itself, in new clusters behind everything. */
typedef struct NewTable {
    uint64_t first, clusters; /* of the table */
    uint64_t blocks;          /* behind it */
    uint64_t first_block;     /* index of the first new block */
    uint64_t size;            /* entries */
    uint64_t *entries;
} NewTable;

/* Blocks that are missing for clusters [first, end). */
static uint64_t missing_blocks(const Qcow2 *s, uint64_t first, uint64_t end, uint64_t *index)
{
    uint64_t from = first >> s->refblock_bits, to = ((end - 1) >> s->refblock_bits) + 1;
    while (from < to && from < s->reftable_size && s->reftable[from]) {
        from++;
    }
    *index = from;
    return to - from;
}

static void plan_table(const Qcow2 *s, uint64_t min_size, uint64_t first, NewTable *t)
{
    uint64_t per_cluster = s->cluster_size / 8;
    *t = (NewTable){ .first = first };
    uint64_t size = MAX(min_size, (uint64_t)s->reftable_size * 3 / 2);
    for (;;) {
        t->clusters = (size + per_cluster - 1) / per_cluster;
        uint64_t n = missing_blocks(s, first, first + t->clusters + t->blocks, &t->first_block);
        if (n > t->blocks) {
            t->blocks = n;
            continue;
        }
        if (t->first_block + t->blocks > t->clusters * per_cluster) {
            size = t->first_block + t->blocks;
            continue;
        }
        break;
    }
    t->size = t->clusters * per_cluster;
}

/* Counts of what lies in [first, end) are 1; blocks that exist are changed in the cache, new ones are
 * written. */
static int coroutine_fn count_new(Qcow2 *s, const NewTable *t)
{
    uint64_t end = t->first + t->clusters + t->blocks;
    int ret = 0;
    uint64_t known_end = MIN(end, t->first_block << s->refblock_bits);
    for (uint64_t c = t->first; ret == 0 && c < known_end; c++) {
        ret = set_count(s, c, 1);
    }
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    ret = buf ? ret : -ENOMEM;
    for (uint64_t i = 0; ret == 0 && i < t->blocks; i++) {
        uint64_t base = (t->first_block + i) << s->refblock_bits;
        memset(buf, 0, s->cluster_size);
        for (uint64_t c = MAX(base, t->first);
             c < MIN(end, base + (UINT64_C(1) << s->refblock_bits)); c++) {
            qcow2_set_entry(buf, c - base, s->refcount_order, 1);
        }
        block_debug_event(s->node->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS);
        uint64_t at = (t->first + t->clusters + i) << s->cluster_bits;
        ret = qcow2_cache_drop(s->refblock_cache, at, s->cluster_size);
        ret = ret < 0 ? ret : block_co_write_buf(s->node->file, at, s->cluster_size, buf, 0);
    }
    free(buf);
    return ret;
}

static int coroutine_fn write_new_table(Qcow2 *s, NewTable *t)
{
    uint8_t *buf = block_alloc(s->node->file->node, t->size * 8);
    if (!buf) {
        return -ENOMEM;
    }
    t->entries = g_new0(uint64_t, t->size);
    memcpy(t->entries, s->reftable, (size_t)s->reftable_size * 8);
    for (uint64_t i = 0; i < t->blocks; i++) {
        t->entries[t->first_block + i] = (t->first + t->clusters + i) << s->cluster_bits;
    }
    for (uint64_t i = 0; i < t->size; i++) {
        store_be64(buf + i * 8, t->entries[i]);
    }
    block_debug_event(s->node->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE_TABLE);
    int ret = block_co_write_buf(s->node->file, t->first << s->cluster_bits, t->size * 8, buf, 0);
    free(buf);
    return ret;
}

/* The header names the new table; the old one is free. */
static int coroutine_fn switch_table(Qcow2 *s, NewTable *t)
{
    uint8_t head[12];
    store_be64(head, t->first << s->cluster_bits);
    store_be32(head + 8, t->clusters);
    block_debug_event(s->node->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_SWITCH_TABLE);
    int ret = qcow2_cache_write(s->refblock_cache);
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    if (ret == 0) {
        ret = qcow2_patch_header(s, QH_REFTABLE_OFFSET, head, sizeof(head));
    }
    if (ret < 0) {
        return ret;
    }
    uint64_t old = s->reftable_offset,
             old_bytes = (uint64_t)s->reftable_clusters << s->cluster_bits;
    qcow2_metadata_remove(s, old, old_bytes, QCOW2_OL_REFTABLE);
    g_free(s->reftable);
    g_free(s->reftable_dirty);
    s->reftable = g_steal_pointer(&t->entries);
    s->reftable_size = t->size;
    s->reftable_dirty = bitmap_new((t->size + 63) / 64);
    s->reftable_is_dirty = false;
    s->reftable_offset = t->first << s->cluster_bits;
    s->reftable_clusters = t->clusters;
    qcow2_metadata_add(s, s->reftable_offset, t->clusters << s->cluster_bits, QCOW2_OL_REFTABLE);
    for (uint64_t i = 0; i < t->blocks; i++) {
        qcow2_metadata_add(s, (t->first + t->clusters + i) << s->cluster_bits, s->cluster_size,
                           QCOW2_OL_REFBLOCK);
    }
    s->end_hint = t->first + t->clusters + t->blocks;
    qcow2_free_later(s, old, old_bytes, QCOW2_FREE_OTHER);
    return 0;
}

/* First cluster of n in a row behind everything that is counted, in the last block or behind it. */
static int coroutine_fn behind_all(Qcow2 *s, uint64_t n, uint64_t *first)
{
    qcow2_know_end(s);
    uint64_t last = s->reftable_size;
    while (last > 0 && !s->reftable[last - 1]) {
        last--;
    }
    uint64_t start = MAX(s->end_hint, last ? (last - 1) << s->refblock_bits : 0);
    for (uint64_t c = start; c < start + n;) {
        uint64_t count = 0;
        if (c >> s->refblock_bits >= s->reftable_size) {
            break;
        }
        int ret = qcow2_refcount(s, c, &count);
        if (ret < 0) {
            return ret;
        }
        c++;
        start = count ? c : start;
    }
    *first = start;
    return 0;
}

static int coroutine_fn grow_table(Qcow2 *s, uint64_t min_size)
{
    NewTable t;
    uint64_t first;
    block_debug_event(s->node->file, BLKDEBUG_EVENT_REFTABLE_GROW);
    plan_table(s, min_size, s->end_hint, &t);
    int ret = behind_all(s, 2 * (t.clusters + t.blocks) + 16, &first);
    if (ret < 0) {
        return ret;
    }
    plan_table(s, min_size, first, &t);
    if (t.clusters << s->cluster_bits > QCOW2_MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    ret = count_new(s, &t);
    if (ret == 0) {
        ret = write_new_table(s, &t);
    }
    if (ret == 0) {
        ret = switch_table(s, &t);
    }
    g_free(t.entries);
    return ret;
}

/* ---- looking for free clusters ---- */

/* Blocks for [first, first + n) exist when it returns 0; 1: something has changed, look again. */
static int coroutine_fn need_blocks(Qcow2 *s, uint64_t first, uint64_t n)
{
    uint64_t end = first + n;
    if (end > (QCOW2_OFFSET_MASK >> s->cluster_bits)) {
        return -EFBIG;
    }
    for (uint64_t i = first >> s->refblock_bits; i <= (end - 1) >> s->refblock_bits; i++) {
        int ret = 1;
        if (i >= s->reftable_size) {
            ret = grow_table(s, i + 1);
        } else if (!(s->reftable[i] & ~QCOW2_REFTABLE_RESERVED)) {
            ret = add_block(s, i, first);
        } else {
            continue;
        }
        return ret < 0 ? ret : 1;
    }
    return 0;
}

/* The next free cluster from c on. */
static int coroutine_fn next_free(Qcow2 *s, uint64_t *cluster)
{
    for (uint64_t c = *cluster;;) {
        Qcow2Table *t;
        int ret = get_block(s, c, &t);
        if (ret < 0) {
            return ret;
        }
        if (!t) {
            *cluster = c;
            return 0;
        }
        uint64_t n = UINT64_C(1) << s->refblock_bits;
        for (uint64_t i = block_index(s, c); i < n; i++, c++) {
            if (qcow2_get_entry(t->data, i, s->refcount_order) == 0) {
                *cluster = c;
                return 0;
            }
        }
    }
}

/* How many from c on are free, up to max. */
static int coroutine_fn free_run(Qcow2 *s, uint64_t cluster, uint64_t max, uint64_t *run)
{
    *run = 0;
    while (*run < max) {
        Qcow2Table *t;
        uint64_t c = cluster + *run;
        int ret = get_block(s, c, &t);
        if (ret < 0) {
            return ret;
        }
        uint64_t left = MIN((UINT64_C(1) << s->refblock_bits) - block_index(s, c), max - *run);
        for (uint64_t i = 0; i < left; i++) {
            if (t && qcow2_get_entry(t->data, block_index(s, c) + i, s->refcount_order) != 0) {
                return 0;
            }
            (*run)++;
        }
    }
    return 0;
}

/* A run of min...max free clusters; counts become 1. */
static int coroutine_fn alloc_locked(Qcow2 *s, uint64_t min, uint64_t max, uint64_t *cluster,
                                     uint64_t *got)
{
    uint64_t c = s->free_hint;
    int ret = qcow2_restore_header(s); /* W4: it may name what is free */
    if (ret < 0) {
        return ret;
    }
    for (;;) {
        ret = next_free(s, &c);
        if (ret < 0) {
            return ret;
        }
        if (c > s->free_hint && min == 1) {
            s->free_hint = c;
        }
        ret = free_run(s, c, max, got);
        if (ret < 0) {
            return ret;
        }
        if (*got < min) {
            c += *got;
            continue;
        }
        ret = need_blocks(s, c, *got);
        if (ret < 0) {
            return ret;
        }
        if (ret == 0) {
            break;
        }
    }
    for (uint64_t i = 0; i < *got; i++) {
        ret = set_count(s, c + i, 1);
        if (ret < 0) {
            while (i-- > 0) {
                set_count(s, c + i, 0); /* else leaked */
            }
            return ret;
        }
    }
    *cluster = c;
    if (c == s->free_hint) {
        s->free_hint = c + *got;
    }
    return 0;
}

static int coroutine_fn alloc(Qcow2 *s, uint64_t min, uint64_t max, uint64_t *offset, uint64_t *got,
                              bool *fresh)
{
    uint64_t cluster = 0;
    block_debug_event(s->node->file, BLKDEBUG_EVENT_CLUSTER_ALLOC);
    int ret = qcow2_start_writing(s);
    if (ret < 0) {
        return ret;
    }
    co_mutex_lock(&s->alloc_lock);
    ret = alloc_locked(s, min, max, &cluster, got);
    if (ret == 0) {
        *fresh = cluster >= s->end_hint;
        s->end_hint = MAX(s->end_hint, cluster + *got);
    }
    co_mutex_unlock(&s->alloc_lock);
    *offset = cluster << s->cluster_bits;
    if (ret == 0 && cluster == 0) {
        qcow2_corrupt(s, true, -1, -1, "Preventing invalid allocation of cluster at offset 0");
        ret = -EIO;
    }
    return ret;
}

int coroutine_fn qcow2_alloc(Qcow2 *s, uint64_t n, uint64_t *offset)
{
    uint64_t got;
    bool fresh;
    return alloc(s, n, n, offset, &got, &fresh);
}

int coroutine_fn qcow2_alloc_some(Qcow2 *s, uint64_t n, uint64_t *offset, uint64_t *got,
                                  bool *fresh)
{
    return alloc(s, 1, n, offset, got, fresh);
}

/* Compressed data go behind those written before, while they fit in that cluster or the next one
 * follows it. */
static int coroutine_fn alloc_bytes_locked(Qcow2 *s, uint64_t bytes, uint64_t *offset)
{
    uint64_t at = s->bytes_hint, room = 0, got, cluster;
    int ret;
    if (at) {
        uint64_t count;
        room = s->cluster_size - (at & (s->cluster_size - 1));
        ret = qcow2_refcount(s, at >> s->cluster_bits, &count);
        if (ret < 0) {
            return ret;
        }
        if (count == 0 || count >= s->refcount_max) {
            room = 0;
        }
    }
    if (room < bytes) {
        ret = alloc_locked(s, 1, 1, &cluster, &got);
        if (ret < 0) {
            return ret;
        }
        s->end_hint = MAX(s->end_hint, cluster + 1);
        if (!room || cluster != (at >> s->cluster_bits) + 1) {
            at = cluster << s->cluster_bits;
            room = 0;
        }
    }
    if (room) { /* one more user of the old one */
        uint64_t count;
        ret = qcow2_refcount(s, at >> s->cluster_bits, &count);
        ret = ret < 0 ? ret : set_count(s, at >> s->cluster_bits, count + 1);
        if (ret < 0) {
            s->bytes_hint = 0;
            return ret;
        }
    }
    *offset = at;
    s->bytes_hint = (at + bytes) & (s->cluster_size - 1) ? at + bytes : 0;
    return 0;
}

int coroutine_fn qcow2_alloc_bytes(Qcow2 *s, uint64_t bytes, uint64_t *offset)
{
    block_debug_event(s->node->file, BLKDEBUG_EVENT_CLUSTER_ALLOC_BYTES);
    int ret = qcow2_start_writing(s);
    if (ret < 0) {
        return ret;
    }
    co_mutex_lock(&s->alloc_lock);
    ret = alloc_bytes_locked(s, bytes, offset);
    co_mutex_unlock(&s->alloc_lock);
    return ret;
}

/* ---- changing counts ---- */

static bool wants_discard(const Qcow2 *s, Qcow2FreeReason reason)
{
    switch (reason) {
    case QCOW2_FREE_REQUEST:
        return s->discard_request;
    case QCOW2_FREE_SNAPSHOT:
        return s->discard_snapshot;
    case QCOW2_FREE_OTHER:
        return s->discard_other;
    default:
        return false;
    }
}

/* The cluster is about to be free. */
static int coroutine_fn let_go(Qcow2 *s, uint64_t cluster, Qcow2FreeReason reason)
{
    uint64_t offset = cluster << s->cluster_bits;
    s->free_hint = MIN(s->free_hint, cluster);
    if (qcow2_cluster_start(s, s->bytes_hint) == offset) {
        s->bytes_hint = 0;
    }
    int ret = qcow2_cache_drop(s->l2_cache, offset, s->cluster_size);
    if (ret == 0 && wants_discard(s, reason)) {
        block_co_discard(s->node->file, offset, s->cluster_size); /* a hint */
    }
    return ret;
}

static int coroutine_fn add_locked(Qcow2 *s, uint64_t cluster, int change, Qcow2FreeReason reason)
{
    uint64_t count;
    int ret = qcow2_refcount(s, cluster, &count);
    if (ret < 0) {
        return ret;
    }
    if (change < 0 && count == 0) {
        qcow2_corrupt(s, false, cluster << s->cluster_bits, s->cluster_size,
                      "Reference count of cluster %" PRIu64 " would become negative", cluster);
        return -EINVAL;
    }
    if (change > 0 && count == s->refcount_max) {
        return -ERANGE;
    }
    if (change > 0 && count == 0) {
        /* Somebody points to it, or how would we come here? */
        qcow2_corrupt(s, true, cluster << s->cluster_bits, s->cluster_size,
                      "Cluster %" PRIu64 " is in use and has no reference count", cluster);
        return -EIO;
    }
    if (count == 1 && change < 0) {
        ret = let_go(s, cluster, reason);
    }
    return ret < 0 ? ret : set_count(s, cluster, count + change);
}

int coroutine_fn qcow2_refcount_add(Qcow2 *s, uint64_t offset, uint64_t bytes, int change,
                                    Qcow2FreeReason reason)
{
    if (bytes == 0) {
        return 0;
    }
    uint64_t first = offset >> s->cluster_bits, last = (offset + bytes - 1) >> s->cluster_bits;
    int ret = 0;
    uint64_t c;
    if (change < 0) {
        block_debug_event(s->node->file, BLKDEBUG_EVENT_CLUSTER_FREE);
    }
    co_mutex_lock(&s->alloc_lock);
    for (c = first; ret == 0 && c <= last; c++) {
        ret = add_locked(s, c, change, reason);
    }
    if (ret < 0 && change > 0) {
        for (c--; c-- > first;) {
            add_locked(s, c, -change, QCOW2_FREE_NEVER);
        }
    }
    co_mutex_unlock(&s->alloc_lock);
    return ret;
}

/* ---- freeing (M3, M4) ---- */

void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t bytes, Qcow2FreeReason reason)
{
    if (s->freed->len) {
        Qcow2Freed *last = &g_array_index(s->freed, Qcow2Freed, s->freed->len - 1);
        if (last->reason == reason && last->offset + last->bytes == offset &&
            ((offset | bytes | last->offset) & (s->cluster_size - 1)) == 0) {
            last->bytes += bytes;
            return;
        }
    }
    Qcow2Freed f = { offset, bytes, reason };
    g_array_append_val(s->freed, f);
}

static bool in_use(const Qcow2 *s, const Qcow2Freed *f)
{
    for (GList *l = s->uses.head; l; l = l->next) {
        const Qcow2Use *u = l->data;
        if (u->start < f->offset + f->bytes && f->offset < u->end) {
            return true;
        }
    }
    return false;
}

int coroutine_fn qcow2_apply_freed(Qcow2 *s, GArray *freed)
{
    int ret = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < freed->len; i++) {
        Qcow2Freed *f = &g_array_index(freed, Qcow2Freed, i);
        bool keep = ret < 0 || (in_use(s, f) && !QCOW2_MUTATION(IGNORE_USE));
        if (!keep) {
            ret = qcow2_refcount_add(s, f->offset, f->bytes, -1, f->reason);
            /* What could not be lowered is leaked; to try it again could lower others twice. */
        }
        if (keep) {
            g_array_index(freed, Qcow2Freed, kept++) = *f;
        }
    }
    g_array_set_size(freed, kept);
    return ret;
}
