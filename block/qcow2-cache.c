/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: cache of tables (blocks of reference counts, slices of L2 tables).
 *
 * A table is clean, dirty, or busy (being read or written). Reference counts may be written at any
 * time (M3), so a dirty one makes room by being written. L2 slices may not (W1, W2): when all are
 * dirty, a whole write-back makes them clean.
 *
 * What is written is a copy; while it is on its way the table may change and be dirty again. Two copies of
 * a table are never on their way at the same time, or the older one could arrive last: of L2 slices
 * because there is one write-back at a time, of counts by the write_lock.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/trace.h"

TRACE_EVENT(qcow2_cache_entry_flush)
TRACE_EVENT(qcow2_cache_get_read)

Qcow2Cache *qcow2_cache_new(Qcow2 *s, size_t entry_size, unsigned max, bool counts)
{
    Qcow2Cache *c = g_new0(Qcow2Cache, 1);
    c->s = s;
    c->entry_size = entry_size;
    c->max = max;
    c->counts = counts;
    c->tables = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&c->lru);
    g_queue_init(&c->dirty);
    co_queue_init(&c->busy_queue);
    co_mutex_init(&c->write_lock);
    return c;
}

static void table_free(Qcow2Cache *c, Qcow2Table *t)
{
    g_hash_table_remove(c->tables, &t->offset);
    g_queue_unlink(&c->lru, &t->lru);
    if (t->dirty) {
        g_queue_unlink(&c->dirty, &t->dirty_link);
    }
    free(t->data);
    g_free(t);
}

void qcow2_cache_drop_all(Qcow2Cache *c)
{
    for (GList *l = c->lru.head, *next; l; l = next) {
        next = l->next;
        g_assert(!((Qcow2Table *)l->data)->busy);
        table_free(c, l->data);
    }
}

void qcow2_cache_free(Qcow2Cache *c)
{
    if (c) {
        qcow2_cache_drop_all(c);
        g_hash_table_destroy(c->tables);
        g_free(c);
    }
}

bool qcow2_cache_is_dirty(const Qcow2Cache *c)
{
    return c->dirty.length != 0;
}

/* What is written is whole pages, so that a file with large blocks need not read around it. */
#define WRITE_UNIT 4096

static void mark_range(Qcow2Cache *c, Qcow2Table *t, uint32_t start, uint32_t end)
{
    if (!t->dirty) {
        t->dirty = true;
        t->dirty_start = start;
        t->dirty_end = end;
        g_queue_push_tail_link(&c->dirty, &t->dirty_link);
    } else {
        t->dirty_start = MIN(t->dirty_start, start);
        t->dirty_end = MAX(t->dirty_end, end);
    }
}

void qcow2_cache_mark(Qcow2Cache *c, Qcow2Table *t, size_t at, size_t bytes)
{
    mark_range(c, t, ROUND_DOWN(at, WRITE_UNIT),
               MIN(ROUND_UP(at + bytes, WRITE_UNIT), c->entry_size));
}

static void table_unmark(Qcow2Cache *c, Qcow2Table *t)
{
    if (t->dirty) {
        t->dirty = false;
        g_queue_unlink(&c->dirty, &t->dirty_link);
    }
}

static void table_touch(Qcow2Cache *c, Qcow2Table *t)
{
    t->age = c->s->clean_age;
    if (c->lru.tail != &t->lru) {
        g_queue_unlink(&c->lru, &t->lru);
        g_queue_push_tail_link(&c->lru, &t->lru);
    }
}

static int coroutine_fn table_write(Qcow2Cache *c, const Qcow2Copy *copy)
{
    Qcow2 *s = c->s;
    uint64_t at = copy->table->offset + copy->start;
    uint32_t bytes = copy->end - copy->start;
    trace(qcow2_cache_entry_flush, "%s: %s 0x%" PRIx64 "+%" PRIu32, s->node->name,
          c->counts ? "refcounts" : "L2", at, bytes);
    int ret = qcow2_check_overlap(s, c->counts ? QCOW2_OL_REFBLOCK : QCOW2_OL_ACTIVE_L2, at, bytes);
    if (ret == 0) {
        block_debug_event(s->node->file, c->counts ? BLKDEBUG_EVENT_REFBLOCK_UPDATE_PART
                                                   : BLKDEBUG_EVENT_L2_UPDATE);
        ret = block_co_write_buf(s->node->file, at, bytes, copy->data, 0);
    }
    return ret;
}

/* ---- copies: the content at one moment ---- */

/* Takes the table out of the dirty ones. */
static bool copy_take(Qcow2Cache *c, Qcow2Table *t, Qcow2Copy *copy)
{
    copy->table = t;
    copy->start = t->dirty_start;
    copy->end = t->dirty_end;
    copy->data = block_alloc(c->s->node->file->node, copy->end - copy->start);
    if (!copy->data) {
        return false;
    }
    memcpy(copy->data, t->data + copy->start, copy->end - copy->start);
    table_unmark(c, t);
    t->busy++;
    return true;
}

/* Writes it if ret is 0 and frees it; dirty again if that fails. */
static int coroutine_fn copy_put(Qcow2Cache *c, Qcow2Copy *copy, int ret)
{
    if (ret == 0) {
        ret = table_write(c, copy);
    }
    copy->table->busy--;
    free(copy->data);
    if (ret < 0 && !QCOW2_MUTATION(FORGET_DIRTY)) {
        mark_range(c, copy->table, copy->start, copy->end);
    }
    co_queue_restart_all(&c->busy_queue);
    return ret;
}

GArray *qcow2_cache_take(Qcow2Cache *c)
{
    GArray *copies = g_array_sized_new(FALSE, FALSE, sizeof(Qcow2Copy), c->dirty.length);
    for (GList *l = c->dirty.head, *next; l; l = next) {
        Qcow2Copy copy;
        next = l->next;
        if (copy_take(c, l->data, &copy)) {
            g_array_append_val(copies, copy);
        }
    }
    return copies;
}

int coroutine_fn qcow2_cache_put(Qcow2Cache *c, GArray *copies, int ret)
{
    for (unsigned i = 0; i < copies->len; i++) {
        ret = copy_put(c, &g_array_index(copies, Qcow2Copy, i), ret);
    }
    g_array_free(copies, TRUE);
    return ret;
}

int coroutine_fn qcow2_cache_write(Qcow2Cache *c)
{
    co_mutex_lock(&c->write_lock);
    unsigned n = c->dirty.length;
    GArray *copies = qcow2_cache_take(c);
    int ret = copies->len == n ? 0 : -ENOMEM;
    ret = qcow2_cache_put(c, copies, ret);
    co_mutex_unlock(&c->write_lock);
    return ret;
}

/* ---- room ---- */

/* The oldest one that can go. */
static Qcow2Table *victim(Qcow2Cache *c)
{
    for (GList *l = c->lru.head; l; l = l->next) {
        Qcow2Table *t = l->data;
        if (!t->busy && !t->dirty) {
            return t;
        }
    }
    return NULL;
}

static int coroutine_fn make_clean(Qcow2Cache *c)
{
    if (!c->counts) {
        return qcow2_write_back(c->s);
    }
    int ret = 0;
    co_mutex_lock(&c->write_lock);
    if (qcow2_cache_is_dirty(c)) { /* others may have done it meanwhile */
        Qcow2Copy copy;
        ret = copy_take(c, c->dirty.head->data, &copy) ? copy_put(c, &copy, 0) : -ENOMEM;
    }
    co_mutex_unlock(&c->write_lock);
    return ret;
}

/* A table that is in nobody's hands, for offset; it is busy. NULL with *ret == 0: look again. */
static Qcow2Table *coroutine_fn table_new(Qcow2Cache *c, uint64_t offset, int *ret)
{
    *ret = 0;
    if (c->lru.length >= c->max) {
        Qcow2Table *old = victim(c);
        if (!old && qcow2_cache_is_dirty(c)) {
            *ret = make_clean(c);
            return NULL;
        }
        if (!old) {
            co_queue_wait(&c->busy_queue);
            return NULL;
        }
        table_free(c, old);
    }
    Qcow2Table *t = g_new0(Qcow2Table, 1);
    t->data = block_alloc(c->s->node->file->node, c->entry_size);
    if (!t->data) {
        g_free(t);
        *ret = -ENOMEM;
        return NULL;
    }
    t->offset = offset;
    t->lru.data = t->dirty_link.data = t;
    t->age = c->s->clean_age;
    t->busy = 1;
    t->loading = true;
    g_hash_table_insert(c->tables, &t->offset, t);
    g_queue_push_tail_link(&c->lru, &t->lru);
    return t;
}

/* Fills a new table. */
static int coroutine_fn table_load(Qcow2Cache *c, Qcow2Table *t)
{
    BlockEdge *file = c->s->node->file;
    trace(qcow2_cache_get_read, "%s: %s 0x%" PRIx64, c->s->node->name,
          c->counts ? "refcounts" : "L2", t->offset);
    block_debug_event(file, c->counts ? BLKDEBUG_EVENT_REFBLOCK_LOAD : BLKDEBUG_EVENT_L2_LOAD);
    int ret = block_co_read_buf(file, t->offset, c->entry_size, t->data, 0);
    t->busy = 0;
    t->loading = false;
    co_queue_restart_all(&c->busy_queue);
    if (ret < 0) {
        table_free(c, t);
    }
    return ret;
}

int coroutine_fn qcow2_cache_get(Qcow2Cache *c, uint64_t offset, Qcow2Table **table)
{
    for (;;) {
        Qcow2Table *t = g_hash_table_lookup(c->tables, &offset);
        if (t && !t->loading) {
            table_touch(c, t);
            *table = t;
            return 0;
        }
        if (t) {
            co_queue_wait(&c->busy_queue);
            continue;
        }
        int ret;
        t = table_new(c, offset, &ret);
        if (t) {
            ret = table_load(c, t);
        }
        if (t && ret == 0) {
            *table = t;
        }
        if (t || ret < 0) {
            return ret;
        }
    }
}

int coroutine_fn qcow2_cache_drop(Qcow2Cache *c, uint64_t offset, uint64_t bytes)
{
    for (uint64_t at = offset; at < offset + bytes; at += c->entry_size) {
        Qcow2Table *t;
        while ((t = g_hash_table_lookup(c->tables, &at)) && t->busy) {
            co_queue_wait(&c->busy_queue);
        }
        if (t) {
            table_free(c, t);
        }
    }
    return 0;
}

void qcow2_cache_clean(Qcow2Cache *c, uint64_t age)
{
    for (GList *l = c->lru.head, *next; l; l = next) {
        Qcow2Table *t = l->data;
        next = l->next;
        if (!t->busy && !t->dirty && t->age <= age) {
            table_free(c, t);
        }
    }
}
