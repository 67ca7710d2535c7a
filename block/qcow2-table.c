/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: from guest offsets to clusters. L1 is in memory; L2 tables are cached in slices.
 *
 * A table that is shared with a snapshot (no COPIED in its L1 entry) is never changed: its first change
 * makes a copy.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/bitmap.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(qcow2_l2_allocate)

/* ---- L1 ---- */

bool qcow2_read_l1(Qcow2 *s, GError **error)
{
    g_free(s->l1);
    g_free(s->l1_dirty);
    s->l1 = g_try_new0(uint64_t, MAX(s->l1_size, 1));
    if (!s->l1) {
        return error_set(error, "Could not allocate L1 table");
    }
    s->l1_dirty = bitmap_new((s->l1_size + 63) / 64 + 1);
    s->l1_is_dirty = false;
    int ret = s->l1_size
                  ? block_read_buf(s->node->file, s->l1_offset, (uint64_t)s->l1_size * 8, s->l1)
                  : 0;
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not read L1 table");
    }
    for (uint32_t i = 0; i < s->l1_size; i++) {
        s->l1[i] = be64toh(s->l1[i]);
    }
    return true;
}

static void l1_set(Qcow2 *s, uint32_t index, uint64_t value)
{
    s->l1[index] = value;
    bitmap_set(s->l1_dirty, index / 64, 1);
    s->l1_is_dirty = true;
}

static uint32_t l1_index(const Qcow2 *s, uint64_t offset)
{
    return offset >> (s->cluster_bits + s->l2_bits);
}

static unsigned l2_index(const Qcow2 *s, uint64_t offset)
{
    return offset >> s->cluster_bits & ((1u << s->l2_bits) - 1);
}

static unsigned slice_index(const Qcow2 *s, uint64_t offset)
{
    return l2_index(s, offset) & ((1u << s->slice_bits) - 1);
}

uint64_t qcow2_slice_rest(const Qcow2 *s, uint64_t offset)
{
    uint64_t slice = UINT64_C(1) << (s->cluster_bits + s->slice_bits);
    return slice - (offset & (slice - 1));
}

/* ---- entries ---- */

Qcow2Entry qcow2_load_entry(const Qcow2 *s, const uint8_t *table, unsigned index)
{
    const uint8_t *p = table + (size_t)index * s->l2_entry_size;
    return (Qcow2Entry){ load_be64(p), s->extended ? load_be64(p + 8) : 0 };
}

void qcow2_store_entry(const Qcow2 *s, uint8_t *table, unsigned index, const Qcow2Entry *e)
{
    uint8_t *p = table + (size_t)index * s->l2_entry_size;
    store_be64(p, e->raw);
    if (s->extended) {
        store_be64(p + 8, e->bitmap);
    }
}

/* With a data file of its own, 0 is a place like any other. */
static bool has_place(const Qcow2 *s, const Qcow2Entry *e)
{
    return (e->raw & QCOW2_OFFSET_MASK) || (s->external_data && (e->raw & QCOW2_COPIED));
}

Qcow2Kind qcow2_entry_kind(const Qcow2 *s, const Qcow2Entry *e, unsigned subcluster)
{
    if (e->raw & QCOW2_COMPRESSED) {
        return QCOW2_PACKED;
    }
    if (s->extended) {
        if (e->bitmap >> subcluster & 1) {
            return QCOW2_DATA;
        }
        return e->bitmap >> (subcluster + 32) & 1 ? QCOW2_ZEROS : QCOW2_UNALLOCATED;
    }
    if (s->version >= 3 && (e->raw & QCOW2_ZERO)) {
        return QCOW2_ZEROS;
    }
    return has_place(s, e) ? QCOW2_DATA : QCOW2_UNALLOCATED;
}

bool qcow2_entry_valid(const Qcow2 *s, const Qcow2Entry *e)
{
    if (e->raw & QCOW2_COMPRESSED) {
        return e->bitmap == 0 && !s->external_data;
    }
    uint64_t offset = e->raw & QCOW2_OFFSET_MASK;
    if (offset & (s->cluster_size - 1)) {
        return false;
    }
    if (!s->extended) {
        return true;
    }
    uint32_t data = e->bitmap, zero = e->bitmap >> 32;
    return !(data & zero) && (!data || has_place(s, e));
}

void qcow2_packed_place(const Qcow2 *s, uint64_t raw, uint64_t *offset, uint64_t *bytes)
{
    uint64_t sectors = raw >> s->csize_shift & ((UINT64_C(1) << (62 - s->csize_shift)) - 1);
    *offset = raw & s->coffset_mask;
    *bytes = (sectors + 1) * BLOCK_SECTOR - (*offset & (BLOCK_SECTOR - 1));
}

void qcow2_free_entry(Qcow2 *s, const Qcow2Entry *e, Qcow2FreeReason reason)
{
    if (e->raw & QCOW2_COMPRESSED) {
        uint64_t offset, bytes;
        qcow2_packed_place(s, e->raw, &offset, &bytes);
        qcow2_free_later(s, offset, bytes, QCOW2_FREE_NEVER);
    } else if ((e->raw & QCOW2_OFFSET_MASK) && !s->external_data) {
        qcow2_free_later(s, e->raw & QCOW2_OFFSET_MASK, s->cluster_size, reason);
    }
}

/* ---- looking up ---- */

/* Offset of the L2 table of a guest offset; 0: none. */
static int coroutine_fn l2_offset(Qcow2 *s, uint64_t offset, uint64_t *table)
{
    uint32_t i = l1_index(s, offset);
    *table = i < s->l1_size ? s->l1[i] & QCOW2_OFFSET_MASK : 0;
    if (*table & (s->cluster_size - 1)) {
        qcow2_corrupt(s, true, -1, -1,
                      "L2 table offset %#" PRIx64 " unaligned (L1 index: %#" PRIx32 ")", *table, i);
        return -EIO;
    }
    return 0;
}

/* NULL: there is no table. */
static int coroutine_fn get_slice(Qcow2 *s, uint64_t offset, Qcow2Table **t)
{
    uint64_t table;
    int ret = l2_offset(s, offset, &table);
    *t = NULL;
    if (ret < 0 || !table) {
        return ret;
    }
    uint64_t at =
        (uint64_t)(l2_index(s, offset) >> s->slice_bits << s->slice_bits) * s->l2_entry_size;
    ret = qcow2_cache_get(s->l2_cache, table + at, t);
    if (ret < 0) {
        return ret;
    }
    /* While we waited the table may have been replaced. */
    uint64_t now = s->l1[l1_index(s, offset)] & QCOW2_OFFSET_MASK;
    return now == table ? 0 : get_slice(s, offset, t);
}

static int coroutine_fn check_entry(Qcow2 *s, const Qcow2Entry *e, uint64_t offset)
{
    if (qcow2_entry_valid(s, e)) {
        return 0;
    }
    qcow2_corrupt(s, true, -1, -1,
                  "Cluster allocation offset %#" PRIx64 " unaligned (L2 offset: %#" PRIx64
                  ", L2 index: %#x)",
                  (uint64_t)(e->raw & QCOW2_OFFSET_MASK),
                  (uint64_t)(s->l1[l1_index(s, offset)] & QCOW2_OFFSET_MASK), l2_index(s, offset));
    return -EIO;
}

int coroutine_fn qcow2_get_l2(Qcow2 *s, uint64_t offset, Qcow2Entry *entry)
{
    Qcow2Table *t;
    int ret = get_slice(s, offset, &t);
    if (ret < 0) {
        return ret;
    }
    *entry = (Qcow2Entry){ 0 };
    if (t) {
        *entry = qcow2_load_entry(s, t->data, slice_index(s, offset));
    }
    return check_entry(s, entry, offset);
}

/* One subcluster's part of the answer. */
static void run_of(const Qcow2 *s, const Qcow2Entry *e, uint64_t offset, Qcow2Run *run)
{
    uint64_t in_cluster = offset & (s->cluster_size - 1);
    unsigned sub = in_cluster >> s->subcluster_bits;
    run->kind = qcow2_entry_kind(s, e, sub);
    run->raw = e->raw;
    run->copied = e->raw & QCOW2_COPIED;
    run->reserved = !(e->raw & QCOW2_COMPRESSED) && has_place(s, e);
    run->host = run->reserved ? (e->raw & QCOW2_OFFSET_MASK) + in_cluster : 0;
    if (run->kind == QCOW2_PACKED) {
        run->bytes = s->cluster_size - in_cluster;
        return;
    }
    unsigned end = sub + 1;
    while (end < s->subclusters && qcow2_entry_kind(s, e, end) == run->kind) {
        end++;
    }
    run->bytes = ((uint64_t)end << s->subcluster_bits) - in_cluster;
}

static bool run_joins(const Qcow2Run *run, const Qcow2Run *next)
{
    if (next->kind != run->kind || run->kind == QCOW2_PACKED) {
        return false;
    }
    if (next->reserved != run->reserved || next->copied != run->copied) {
        return run->kind != QCOW2_DATA && !run->reserved && !next->reserved;
    }
    return !run->reserved || next->host == run->host + run->bytes;
}

int coroutine_fn qcow2_lookup(Qcow2 *s, uint64_t offset, uint64_t bytes, Qcow2Run *run)
{
    Qcow2Table *t;
    bytes = MIN(bytes, qcow2_slice_rest(s, offset));
    int ret = get_slice(s, offset, &t);
    if (ret < 0) {
        return ret;
    }
    if (!t) {
        *run = (Qcow2Run){ .kind = QCOW2_UNALLOCATED, .bytes = bytes };
        return 0;
    }
    Qcow2Entry e = qcow2_load_entry(s, t->data, slice_index(s, offset));
    if (!qcow2_entry_valid(s, &e)) {
        return check_entry(s, &e, offset);
    }
    run_of(s, &e, offset, run);
    while (run->bytes < bytes) {
        Qcow2Run next;
        e = qcow2_load_entry(s, t->data, slice_index(s, offset + run->bytes));
        if (!qcow2_entry_valid(s, &e)) {
            break; /* somebody else's turn to find it */
        }
        run_of(s, &e, offset + run->bytes, &next);
        if (!run_joins(run, &next)) {
            break;
        }
        run->bytes += next.bytes;
    }
    run->bytes = MIN(run->bytes, bytes);
    return 0;
}

/* ---- changing ---- */

/* W2: the new table is in the file as a whole before L1 names it. */
static int coroutine_fn write_new_l2(Qcow2 *s, uint64_t old, uint64_t offset)
{
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    int ret = buf ? 0 : -ENOMEM;
    if (ret == 0 && old) {
        block_debug_event(s->node->file, BLKDEBUG_EVENT_L2_LOAD);
        ret = block_co_read_buf(s->node->file, old, s->cluster_size, buf, 0);
    } else if (ret == 0) {
        memset(buf, 0, s->cluster_size);
    }
    if (ret == 0) {
        ret = qcow2_check_overlap(s, 0, offset, s->cluster_size);
    }
    if (ret == 0) {
        ret = qcow2_cache_drop(s->l2_cache, offset, s->cluster_size);
    }
    if (ret == 0 && !QCOW2_MUTATION(BLANK_TABLE)) {
        block_debug_event(s->node->file, BLKDEBUG_EVENT_L2_ALLOC_WRITE);
        ret = block_co_write_buf(s->node->file, offset, s->cluster_size, buf, 0);
    }
    free(buf);
    return ret;
}

static int coroutine_fn make_l2_locked(Qcow2 *s, uint64_t offset)
{
    uint32_t i = l1_index(s, offset);
    uint64_t old, place;
    if (i >= s->l1_size) {
        return -EIO; /* L1 covers the disk */
    }
    int ret = l2_offset(s, offset, &old);
    if (ret < 0 || (old && (s->l1[i] & QCOW2_COPIED))) {
        return ret;
    }
    ret = qcow2_alloc(s, 1, &place);
    if (ret < 0) {
        return ret;
    }
    trace(qcow2_l2_allocate, "%s: L1 index %" PRIu32 ", at 0x%" PRIx64, s->node->name, i, place);
    ret = write_new_l2(s, old, place);
    if (ret < 0) {
        qcow2_refcount_add(s, place, s->cluster_size, -1, QCOW2_FREE_OTHER);
        return ret;
    }
    l1_set(s, i, place | QCOW2_COPIED);
    qcow2_metadata_add(s, place, s->cluster_size, QCOW2_OL_ACTIVE_L2);
    if (old) {
        qcow2_metadata_remove(s, old, s->cluster_size, QCOW2_OL_ACTIVE_L2);
        qcow2_free_later(s, old, s->cluster_size, QCOW2_FREE_OTHER);
    }
    return 0;
}

int coroutine_fn qcow2_make_l2(Qcow2 *s, uint64_t offset)
{
    uint32_t i = l1_index(s, offset);
    if (i < s->l1_size && (s->l1[i] & QCOW2_COPIED) && (s->l1[i] & QCOW2_OFFSET_MASK)) {
        return 0;
    }
    co_mutex_lock(&s->table_lock);
    int ret = make_l2_locked(s, offset);
    co_mutex_unlock(&s->table_lock);
    return ret;
}

int coroutine_fn qcow2_set_l2(Qcow2 *s, uint64_t offset, const Qcow2Entry *entries, unsigned n)
{
    Qcow2Table *t;
    int ret = get_slice(s, offset, &t);
    if (ret < 0) {
        return ret;
    }
    g_assert(t && (s->l1[l1_index(s, offset)] & QCOW2_COPIED));
    unsigned index = slice_index(s, offset);
    g_assert(index + n <= 1u << s->slice_bits);
    for (unsigned i = 0; i < n; i++) {
        qcow2_store_entry(s, t->data, index + i, &entries[i]);
    }
    qcow2_cache_mark(s->l2_cache, t, (size_t)index * s->l2_entry_size,
                     (size_t)n * s->l2_entry_size);
    return 0;
}

/* ---- M2 ---- */

static Qcow2Change *older_change(Qcow2 *s, const Qcow2Change *mine, uint64_t start, uint64_t end)
{
    for (GList *l = s->changes.head; l && l->data != mine; l = l->next) {
        Qcow2Change *c = l->data;
        if (c->start < end && start < c->end) {
            return c;
        }
    }
    return NULL;
}

bool coroutine_fn qcow2_change_begin(Qcow2 *s, Qcow2Change *c, uint64_t start, uint64_t end)
{
    bool waited = false;
    *c = (Qcow2Change){ .start = start, .end = end, .link.data = c };
    co_queue_init(&c->waiters);
    g_queue_push_tail_link(&s->changes, &c->link);
    Qcow2Change *other;
    while (!QCOW2_MUTATION(NO_CHANGE) && (other = older_change(s, c, start, end))) {
        co_queue_wait(&other->waiters);
        waited = true;
    }
    return waited;
}

void qcow2_change_end(Qcow2 *s, Qcow2Change *c)
{
    g_queue_unlink(&s->changes, &c->link);
    co_queue_restart_all(&c->waiters);
}

bool coroutine_fn qcow2_change_wait(Qcow2 *s, uint64_t start, uint64_t end)
{
    bool waited = false;
    Qcow2Change *other;
    while ((other = older_change(s, NULL, start, end))) {
        co_queue_wait(&other->waiters);
        waited = true;
    }
    return waited;
}

/* ---- M4 ---- */

void qcow2_use_begin(Qcow2 *s, Qcow2Use *u, uint64_t offset, uint64_t bytes)
{
    *u = (Qcow2Use){ .start = offset, .end = offset + bytes, .link.data = u };
    g_queue_push_tail_link(&s->uses, &u->link);
}

void qcow2_use_end(Qcow2 *s, Qcow2Use *u)
{
    g_queue_unlink(&s->uses, &u->link);
}
