/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI: which blocks of the file are free, changes of the block map, what is on stable storage. The
 * rules (V1...) are at the top of vdi.c.
 */
#include "util/osdep.h"
#include "vdi.h"

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/error.h"

/* Blocks that are reserved ahead in the header: first, and at most. */
#define RESERVE_FIRST 16
#define RESERVE_MAX 1024
/* Units between two that are written that are rather written, too, than to write twice. */
#define UNIT_GAP 128
/* Largest piece of the map in one write. */
#define SPAN_MAX 2048

void vdi_alloc_init(VdiState *s)
{
    s->pool = g_array_new(FALSE, FALSE, sizeof(VdiFree));
    s->stuck = g_array_new(FALSE, FALSE, sizeof(VdiFree));
    s->pending = g_ptr_array_new();
    g_queue_init(&s->changes);
    co_queue_init(&s->commit_queue);
    s->reserve_step = RESERVE_FIRST;
}

void vdi_alloc_free(VdiState *s)
{
    g_array_free(s->pool, TRUE);
    g_array_free(s->stuck, TRUE);
    g_ptr_array_free(s->pending, TRUE);
}

/* ---- what is free ---- */

/* Marks the blocks that are in use; false if one is shared or out of range. */
static bool mark_used(const VdiState *s, unsigned long *used, uint32_t *end, GError **error)
{
    for (uint32_t i = 0; i < s->header.blocks; i++) {
        uint32_t host = s->map[i];
        if (!vdi_is_mapped(host)) {
            continue;
        }
        if (host >= s->header.blocks) {
            return error_set(error,
                             "Image is corrupt: block %u is at %u, which is out of range; "
                             "use qemu-img check -r all",
                             i, host);
        }
        if (bitmap_test(used, host)) {
            return error_set(error,
                             "Image is corrupt: block %u is at %u, where another one is, too; "
                             "use qemu-img check -r all",
                             i, host);
        }
        bitmap_set(used, host, 1);
        *end = MAX(*end, host + 1);
    }
    return true;
}

static uint32_t blocks_in_file(BlockNode *node)
{
    const VdiState *s = node->state;
    int64_t length = block_node_length(node->file->node);
    if (length <= (int64_t)s->header.offset_data) {
        return 0;
    }
    uint64_t bytes = length - s->header.offset_data;
    return MIN((bytes + s->header.block_size - 1) / s->header.block_size, s->header.blocks);
}

bool vdi_scan(BlockNode *node, GError **error)
{
    VdiState *s = node->state;
    unsigned long *used = g_try_malloc0(BITS_TO_LONGS((size_t)s->header.blocks + 1) * sizeof(long));
    uint32_t end = 0;
    if (!used) {
        return error_set(error, "Could not allocate memory for the blocks of '%s'",
                         block_node_filename(node));
    }
    if (!mark_used(s, used, &end, error)) {
        g_free(used);
        return false;
    }
    /* Blocks that the header counts, but that are behind the end of the file, have never been
     * written: they are as good as new. */
    uint32_t in_file = blocks_in_file(node);
    s->next_free = MAX(end, MIN(MIN(s->header.allocated, s->header.blocks), in_file));
    s->clean_from = MAX(in_file, s->next_free);
    g_array_set_size(s->pool, 0);
    g_array_set_size(s->stuck, 0);
    for (uint32_t i = s->next_free; i-- > 0;) {
        if (!bitmap_test(used, i)) {
            VdiFree f = { i, 0 };
            g_array_append_val(s->pool, f);
        }
    }
    g_free(used);
    s->on_disk_allocated = s->header.allocated;
    s->reserved = s->header.allocated < end ? 0 : s->header.allocated;
    s->map_gen = s->synced_gen = s->flush_gen = 0;
    s->scanned = true;
    s->touched = false;
    return true;
}

static void give_back(VdiState *s, uint32_t host, uint64_t gen)
{
    VdiFree f = { host, gen };
    g_array_append_val(s->pool, f);
}

/* ---- stable storage ---- */

void vdi_synced(VdiState *s, uint64_t gen)
{
    s->synced_gen = MAX(s->synced_gen, gen);
}

int coroutine_fn vdi_sync(BlockNode *node)
{
    VdiState *s = node->state;
    uint64_t gen = s->map_gen;
    int ret = block_co_flush(node->file->node);
    if (ret == 0) {
        vdi_synced(s, gen);
    }
    return ret;
}

/* ---- the header ---- */

int coroutine_fn vdi_write_header(BlockNode *node, unsigned flags)
{
    VdiState *s = node->state;
    vdi_header_encode(&s->header, s->raw);
    block_debug_event(node->file, BLKDEBUG_EVENT_L1_UPDATE);
    return block_co_write_buf(node->file, 0, VDI_HEADER_SIZE, s->raw, flags);
}

/* V3 */
static int coroutine_fn reserve(BlockNode *node, uint32_t end)
{
    VdiState *s = node->state;
    if (end < s->reserved || VDI_MUTATION(VDI_MUTATION_NO_RESERVE)) {
        return 0;
    }
    uint32_t old = s->header.allocated;
    s->header.allocated = MIN(s->header.blocks + 1, end + s->reserve_step);
    s->on_disk_allocated = UINT32_MAX; /* not known until it is written */
    s->touched = true;
    int ret = vdi_write_header(node, BLOCK_FUA);
    if (ret < 0) {
        s->header.allocated = old;
        return ret;
    }
    s->reserved = s->on_disk_allocated = s->header.allocated;
    s->reserve_step = MIN(2 * s->reserve_step, RESERVE_MAX);
    return 0;
}

/* ---- writing the map ---- */

static void mark_suspect(VdiState *s, uint32_t unit, bool suspect)
{
    if (s->suspect[unit] != suspect) {
        s->suspect[unit] = suspect;
        s->n_suspect += suspect ? 1 : -1;
    }
}

/* Units [first, last] are written as in memory: blocks that waited for that are free. */
static void release_stuck(VdiState *s, uint32_t first, uint32_t last)
{
    for (unsigned i = s->stuck->len; i-- > 0;) {
        VdiFree f = g_array_index(s->stuck, VdiFree, i);
        if (f.gen >= first && f.gen <= last) {
            g_array_remove_index_fast(s->stuck, i);
            give_back(s, f.host, s->map_gen);
        }
    }
}

/* Units [first, last] from memory, but for entries [begin, begin + count), which are taken from
 * `entries`. */
static int coroutine_fn write_units(BlockNode *node, uint32_t first, uint32_t last,
                                    GPtrArray *changes)
{
    VdiState *s = node->state;
    size_t size = (size_t)(last - first + 1) * VDI_UNIT;
    uint32_t base = first * VDI_UNIT_ENTRIES, n = size / sizeof(uint32_t);
    uint32_t *buf = block_alloc(node->file->node, size);
    if (!buf) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        buf[i] = htole32(s->map[base + i]);
    }
    for (unsigned k = 0; changes && k < changes->len; k++) {
        const VdiChange *c = changes->pdata[k];
        for (uint32_t i = 0; i < c->count; i++) {
            if (c->first + i >= base && c->first + i - base < n) {
                buf[c->first + i - base] = htole32(c->host + i);
            }
        }
    }
    block_debug_event(node->file, BLKDEBUG_EVENT_L2_UPDATE);
    int ret = block_co_write_buf(node->file, s->header.offset_map + (uint64_t)first * VDI_UNIT,
                                 size, buf, 0);
    free(buf);
    s->touched = true;
    if (ret == 0) {
        s->map_gen++;
        release_stuck(s, first, last);
    }
    for (uint32_t u = first; u <= last; u++) {
        mark_suspect(s, u, ret < 0);
    }
    return ret;
}

static void lock_map(VdiState *s)
{
    while (s->committing) {
        co_queue_wait(&s->commit_queue);
    }
    s->committing = true;
}

static void unlock_map(VdiState *s)
{
    s->committing = false;
    co_queue_restart_all(&s->commit_queue);
}

static int compare_changes(gconstpointer a, gconstpointer b)
{
    const VdiChange *x = *(VdiChange *const *)a, *y = *(VdiChange *const *)b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static uint32_t unit_of(uint32_t block)
{
    return block / VDI_UNIT_ENTRIES;
}

/* V1: only now others see them. */
static void finish(VdiState *s, VdiChange *c, int ret)
{
    for (uint32_t i = 0; ret == 0 && i < c->count; i++) {
        s->map[c->first + i] = c->host + i;
    }
    c->ret = ret;
    c->done = true;
}

/* The first of changes and those near enough behind it in one write; they are removed. */
static void coroutine_fn write_some(BlockNode *node, GPtrArray *changes)
{
    VdiState *s = node->state;
    const VdiChange *c = changes->pdata[0];
    uint32_t first = unit_of(c->first), last = unit_of(c->first + c->count - 1);
    unsigned n = 1;
    for (; n < changes->len; n++) {
        c = changes->pdata[n];
        uint32_t end = unit_of(c->first + c->count - 1);
        if (unit_of(c->first) > last + UNIT_GAP || end - first >= SPAN_MAX) {
            break;
        }
        last = MAX(last, end);
    }
    GPtrArray *group = g_ptr_array_sized_new(n);
    for (unsigned i = 0; i < n; i++) {
        g_ptr_array_add(group, changes->pdata[i]);
    }
    int ret = write_units(node, first, last, group);
    for (unsigned i = 0; i < n; i++) {
        finish(s, changes->pdata[i], ret);
    }
    g_ptr_array_free(group, TRUE);
    g_ptr_array_remove_range(changes, 0, n);
}

/* All that wait. The map is locked. */
static void coroutine_fn commit_batch(BlockNode *node)
{
    VdiState *s = node->state;
    GPtrArray *changes = s->pending;
    uint32_t end = s->next_free;
    s->pending = g_ptr_array_new();
    for (unsigned i = 0; i < changes->len; i++) {
        const VdiChange *c = changes->pdata[i];
        end = MAX(end, c->host + c->count);
    }
    int ret = reserve(node, end);
    for (unsigned i = changes->len; ret < 0 && i-- > 0;) {
        VdiChange *c = changes->pdata[i];
        if (c->host + c->count >= s->reserved) {
            finish(s, c, ret);
            g_ptr_array_remove_index(changes, i);
        }
    }
    g_ptr_array_sort(changes, compare_changes);
    while (changes->len) {
        write_some(node, changes);
    }
    g_ptr_array_free(changes, TRUE);
}

int coroutine_fn vdi_change_commit(BlockNode *node, VdiChange *change)
{
    VdiState *s = node->state;
    int ret = change->clean || VDI_MUTATION(VDI_MUTATION_NO_SYNC) ? 0 : vdi_sync(node); /* V4 */
    if (ret < 0) {
        return ret;
    }
    g_ptr_array_add(s->pending, change);
    while (!change->done) {
        lock_map(s);
        if (!change->done) {
            commit_batch(node);
        }
        unlock_map(s);
    }
    return change->ret;
}

/* ---- suspect units (V5) ---- */

int coroutine_fn vdi_make_sure(BlockNode *node, uint32_t first, uint32_t count)
{
    VdiState *s = node->state;
    int ret = 0;
    if (s->n_suspect == 0 || count == 0 || VDI_MUTATION(VDI_MUTATION_TRUST_SUSPECT)) {
        return 0;
    }
    lock_map(s);
    for (uint32_t u = unit_of(first); ret == 0 && u <= unit_of(first + count - 1); u++) {
        if (s->suspect[u]) {
            ret = write_units(node, u, u, NULL);
        }
    }
    unlock_map(s);
    return ret;
}

int coroutine_fn vdi_make_all_sure(BlockNode *node)
{
    VdiState *s = node->state;
    return vdi_make_sure(node, 0, s->header.blocks);
}

int coroutine_fn vdi_write_entries(BlockNode *node, uint32_t first, uint32_t count,
                                   const uint32_t *entries)
{
    VdiState *s = node->state;
    int ret = 0;
    lock_map(s);
    while (ret == 0 && count) {
        uint32_t n = MIN(count, VDI_UNIT_ENTRIES - first % VDI_UNIT_ENTRIES);
        uint32_t old[VDI_UNIT_ENTRIES];
        memcpy(old, s->map + first, n * sizeof(*old));
        memmove(s->map + first, entries, n * sizeof(*old));
        ret = write_units(node, unit_of(first), unit_of(first), NULL);
        if (ret < 0) {
            memcpy(s->map + first, old, n * sizeof(*old));
        }
        first += n;
        entries += n;
        count -= n;
    }
    unlock_map(s);
    return ret;
}

/* ---- changes ---- */

VdiChange *vdi_change_of(VdiState *s, uint32_t block)
{
    for (GList *l = s->changes.head; l; l = l->next) {
        VdiChange *c = l->data;
        if (block - c->first < c->count) {
            return c;
        }
    }
    return NULL;
}

/* Index of a block in the pool that can be used now, or -1. */
static int usable(const VdiState *s)
{
    for (unsigned i = s->pool->len; i-- > 0;) {
        if (g_array_index(s->pool, VdiFree, i).gen <= s->synced_gen) {
            return i;
        }
    }
    return -1;
}

/* From the pool, so that the file gets no holes; else behind everything. */
static bool take_blocks(VdiState *s, VdiChange *c, uint32_t want)
{
    int i = usable(s);
    if (i >= 0) {
        c->host = g_array_index(s->pool, VdiFree, i).host;
        c->count = 1;
        c->clean = false;
        g_array_remove_index(s->pool, i);
        return true;
    }
    if (s->next_free >= s->header.blocks) {
        return false;
    }
    uint32_t room = s->header.blocks - s->next_free;
    c->clean = s->next_free >= s->clean_from;
    if (!c->clean) {
        room = MIN(room, s->clean_from - s->next_free);
    }
    c->host = s->next_free;
    c->count = MIN(want, room);
    s->next_free += c->count;
    return true;
}

int coroutine_fn vdi_change_begin(BlockNode *node, VdiChange *c, uint32_t first, uint32_t count)
{
    VdiState *s = node->state;
    *c = (VdiChange){ .first = first, .count = count };
    c->link.data = c;
    co_queue_init(&c->waiters);
    g_queue_push_tail_link(&s->changes, &c->link);
    int ret = 0;
    if (s->stuck->len) {
        vdi_make_all_sure(node); /* so that no hole stays; if it fails, there are other blocks */
    }
    if (s->pool->len && usable(s) < 0) {
        vdi_sync(node); /* V6; if it fails, the same */
    }
    if (ret == 0 && !take_blocks(s, c, count)) {
        ret = vdi_make_all_sure(node);
        ret = ret == 0 ? vdi_sync(node) : ret;
        if (ret == 0 && !take_blocks(s, c, count)) {
            ret = -ENOSPC; /* all are stuck or in use by requests that have not ended */
        }
    }
    if (ret < 0) {
        g_queue_unlink(&s->changes, &c->link);
        co_queue_restart_all(&c->waiters);
        return ret;
    }
    block_debug_event(node->file, BLKDEBUG_EVENT_CLUSTER_ALLOC);
    return 0;
}

void vdi_change_end(BlockNode *node, VdiChange *c, int ret)
{
    VdiState *s = node->state;
    for (uint32_t i = 0; ret < 0 && i < c->count; i++) {
        uint32_t unit = unit_of(c->first + i);
        if (s->map[c->first + i] == c->host + i) {
            continue; /* it was written; what failed came later */
        }
        if (s->suspect[unit] && !VDI_MUTATION(VDI_MUTATION_REUSE_STUCK)) {
            VdiFree f = { c->host + i, unit };
            g_array_append_val(s->stuck, f); /* V6 */
        } else {
            /* Between our write, which failed, and now another request may have written the unit anew:
             * the file is right then, but not yet on stable storage (V6). */
            give_back(s, c->host + i, c->done ? s->map_gen : 0);
        }
    }
    g_queue_unlink(&s->changes, &c->link);
    co_queue_restart_all(&c->waiters);
}

/* ---- before the image is let go ---- */

/* The end of what the map refers to. */
static uint32_t last_used(const VdiState *s)
{
    uint32_t end = 0;
    for (uint32_t i = 0; i < s->header.blocks; i++) {
        if (vdi_is_mapped(s->map[i]) && s->map[i] < s->header.blocks) {
            end = MAX(end, s->map[i] + 1);
        }
    }
    return end;
}

/* Blocks at the end that are free are not in use any more. */
static bool trim(VdiState *s)
{
    if (s->pool->len == 0) {
        return false;
    }
    uint32_t end = last_used(s);
    for (unsigned i = 0; i < s->stuck->len; i++) {
        end = MAX(end, g_array_index(s->stuck, VdiFree, i).host + 1);
    }
    bool trimmed = end < s->next_free;
    s->next_free = end;
    for (unsigned i = s->pool->len; i-- > 0;) {
        if (g_array_index(s->pool, VdiFree, i).host >= end) {
            g_array_remove_index(s->pool, i);
        }
    }
    return trimmed;
}

/* The last block is whole, and nothing is behind it that we have put there. Without that the image
 * is right, too, so errors are not errors. */
static void coroutine_fn fit_file(BlockNode *node, bool trimmed)
{
    const VdiState *s = node->state;
    uint64_t end = vdi_host_offset(&s->header, s->next_free);
    int64_t length = block_node_length(node->file->node);
    if (length >= 0 && ((uint64_t)length < end || trimmed)) {
        block_co_truncate(node->file, end, false, PREALLOC_MODE_OFF, NULL);
    }
}

int coroutine_fn vdi_settle(BlockNode *node)
{
    VdiState *s = node->state;
    if (!s->scanned || !s->touched) {
        return 0;
    }
    int ret = vdi_make_all_sure(node);
    if (ret < 0) {
        return ret;
    }
    bool trimmed = trim(s);
    if (s->next_free < s->on_disk_allocated && s->synced_gen < s->map_gen) {
        ret = vdi_sync(node); /* V3: entries that are gone have to be gone for good */
    }
    if (ret == 0 && s->on_disk_allocated != s->next_free) {
        s->header.allocated = s->next_free;
        ret = vdi_write_header(node, 0);
        s->on_disk_allocated = ret == 0 ? s->next_free : UINT32_MAX;
        s->reserved = ret == 0 ? s->next_free : 0;
    }
    if (s->map_gen || trimmed) {
        fit_file(node, trimmed);
        s->clean_from = MAX(s->next_free, blocks_in_file(node));
    }
    return ret;
}
