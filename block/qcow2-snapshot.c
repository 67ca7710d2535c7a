/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: internal snapshots. A snapshot is a copy of L1; everything that it points to counts once more.
 *
 * Orders (W1 to W3): to create, raise counts, clear COPIED, then name the snapshot in the header; to
 * delete, the other way round; to go to one, raise counts, write a new L1, name it (and the size) in
 * the header with one write of one sector, lower the counts of the old one. Between two steps the
 * image is whole; a crash leaks at most.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/bitmap.h"
#include "util/error.h"

#define ENTRY_FIXED 40
#define EXTRA_KNOWN 24 /* 64-bit VM state size, disk size, instruction count */

static void snapshot_free(void *opaque)
{
    Qcow2Snapshot *snap = opaque;
    g_free(snap->id);
    g_free(snap->name);
    g_free(snap->unknown_extra);
    g_free(snap);
}

void qcow2_snapshots_clear(Qcow2 *s)
{
    g_clear_pointer(&s->snapshots, g_ptr_array_unref);
}

/* ---- the table ---- */

static uint32_t extra_size(const Qcow2Snapshot *snap)
{
    return EXTRA_KNOWN - (snap->has_icount ? 0 : 8) + snap->unknown_extra_size;
}

size_t qcow2_snapshot_entry_size(const Qcow2 *s, const Qcow2Snapshot *snap)
{
    size_t n = ENTRY_FIXED + extra_size(snap) + strlen(snap->id) + strlen(snap->name);
    return (n + 7) & ~(size_t)7;
}

static uint64_t table_size(const Qcow2 *s, const GPtrArray *list)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; list && i < list->len; i++) {
        bytes += qcow2_snapshot_entry_size(s, list->pdata[i]);
    }
    return bytes;
}

uint64_t qcow2_snapshot_table_size(const Qcow2 *s)
{
    return s->snapshot_table_bytes;
}

static void parse_extra(Qcow2 *s, Qcow2Snapshot *snap, const uint8_t *extra, uint32_t size)
{
    snap->disk_size = s->size;
    if (size >= 8) {
        snap->vm_state_size = load_be64(extra);
    }
    if (size >= 16) {
        snap->disk_size = load_be64(extra + 8);
    }
    snap->has_icount = size >= 24;
    if (size >= 24) {
        snap->icount = load_be64(extra + 16);
    }
    if (size > EXTRA_KNOWN) {
        snap->unknown_extra_size = size - EXTRA_KNOWN;
        snap->unknown_extra = g_memdup2(extra + EXTRA_KNOWN, snap->unknown_extra_size);
    }
}

static bool read_entry(Qcow2 *s, unsigned i, uint64_t *at, GError **error)
{
    uint8_t fixed[ENTRY_FIXED];
    int ret = block_read_buf(s->node->file, *at, sizeof(fixed), fixed);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Failed to read snapshot table");
    }
    uint32_t id_size = load_be16(fixed + 12), name_size = load_be16(fixed + 14);
    uint32_t extra = load_be32(fixed + 36);
    if (extra > QCOW2_MAX_SNAPSHOT_EXTRA) {
        return error_set(error, "Too much extra metadata in snapshot table entry %u", i);
    }
    size_t rest = (size_t)extra + id_size + name_size;
    g_autofree uint8_t *buf = g_malloc(MAX(rest, 1));
    ret = block_read_buf(s->node->file, *at + ENTRY_FIXED, rest, buf);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Failed to read snapshot table");
    }
    Qcow2Snapshot *snap = g_new0(Qcow2Snapshot, 1);
    snap->l1_offset = load_be64(fixed);
    snap->l1_size = load_be32(fixed + 8);
    snap->date_sec = load_be32(fixed + 16);
    snap->date_nsec = load_be32(fixed + 20);
    snap->vm_clock_nsec = load_be64(fixed + 24);
    snap->vm_state_size = load_be32(fixed + 32);
    parse_extra(s, snap, buf, extra);
    snap->id = g_strndup((char *)buf + extra, id_size);
    snap->name = g_strndup((char *)buf + extra + id_size, name_size);
    g_ptr_array_add(s->snapshots, snap);
    *at += (ENTRY_FIXED + rest + 7) & ~(uint64_t)7;
    return true;
}

bool qcow2_read_snapshots(Qcow2 *s, bool check, GError **error)
{
    qcow2_snapshots_clear(s);
    s->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    s->snapshot_table_bytes = 0;
    uint64_t at = s->snapshots_offset;
    for (uint32_t i = 0; i < s->nb_snapshots; i++) {
        if (!read_entry(s, i, &at, error)) {
            return false;
        }
        if (at - s->snapshots_offset > QCOW2_MAX_SNAPSHOT_TABLE) {
            return error_set(error, "Snapshot table too large");
        }
        const Qcow2Snapshot *snap = s->snapshots->pdata[i];
        if (!check &&
            (snap->l1_size > QCOW2_MAX_L1_BYTES / 8 || (snap->l1_offset & (s->cluster_size - 1)))) {
            return error_set(
                error, "Snapshot L1 table %s of entry %" PRIu32,
                snap->l1_size > QCOW2_MAX_L1_BYTES / 8 ? "too large" : "offset invalid", i);
        }
    }
    s->snapshot_table_bytes = at - s->snapshots_offset;
    return true;
}

static size_t put_entry(const Qcow2 *s, uint8_t *p, const Qcow2Snapshot *snap)
{
    uint32_t extra = extra_size(snap);
    size_t id = strlen(snap->id), name = strlen(snap->name);
    store_be64(p, snap->l1_offset);
    store_be32(p + 8, snap->l1_size);
    store_be16(p + 12, id);
    store_be16(p + 14, name);
    store_be32(p + 16, snap->date_sec);
    store_be32(p + 20, snap->date_nsec);
    store_be64(p + 24, snap->vm_clock_nsec);
    store_be32(p + 32, MIN(snap->vm_state_size, UINT32_MAX));
    store_be32(p + 36, extra);
    store_be64(p + 40, snap->vm_state_size);
    store_be64(p + 48, snap->disk_size);
    if (snap->has_icount) {
        store_be64(p + 56, snap->icount);
    }
    if (snap->unknown_extra_size) {
        memcpy(p + ENTRY_FIXED + extra - snap->unknown_extra_size, snap->unknown_extra,
               snap->unknown_extra_size);
    }
    memcpy(p + ENTRY_FIXED + extra, snap->id, id);
    memcpy(p + ENTRY_FIXED + extra + id, snap->name, name);
    return qcow2_snapshot_entry_size(s, snap);
}

/* list takes the place of the snapshots there were. */
int coroutine_fn qcow2_write_snapshots(Qcow2 *s, GPtrArray *list)
{
    uint64_t bytes = table_size(s, list), offset = 0;
    int ret = 0;
    if (list->len > QCOW2_MAX_SNAPSHOTS || bytes > QCOW2_MAX_SNAPSHOT_TABLE) {
        return -EFBIG;
    }
    if (bytes) {
        ret = qcow2_alloc(s, qcow2_clusters(s, bytes), &offset);
        g_autofree uint8_t *buf = g_malloc0(bytes);
        size_t at = 0;
        for (unsigned i = 0; i < list->len; i++) {
            at += put_entry(s, buf + at, list->pdata[i]);
        }
        if (ret == 0) {
            ret = qcow2_check_overlap(s, 0, offset, bytes);
        }
        if (ret == 0) {
            ret = block_co_write_buf(s->node->file, offset, bytes, buf, 0);
        }
    }
    if (ret == 0) {
        ret = qcow2_write_back(s); /* counts */
    }
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    uint8_t head[12];
    store_be32(head, list->len);
    store_be64(head + 4, offset);
    if (ret == 0) {
        ret = qcow2_patch_header(s, QH_SNAPSHOTS, head, sizeof(head));
    }
    if (ret < 0) {
        if (offset) {
            qcow2_refcount_add(s, offset, bytes, -1, QCOW2_FREE_OTHER);
        }
        return ret;
    }
    if (s->snapshots_offset && s->snapshot_table_bytes) {
        qcow2_free_later(s, s->snapshots_offset, s->snapshot_table_bytes, QCOW2_FREE_OTHER);
    }
    s->snapshots_offset = offset;
    s->snapshot_table_bytes = bytes;
    s->nb_snapshots = list->len;
    return 0;
}

/* ---- counts of everything that an L1 points to ---- */

/* One cluster's entry. */
static int coroutine_fn count_entry(Qcow2 *s, const Qcow2Entry *e, int change)
{
    if (e->raw & QCOW2_COMPRESSED) {
        uint64_t offset, bytes;
        qcow2_packed_place(s, e->raw, &offset, &bytes);
        return qcow2_refcount_add(s, offset, bytes, change, QCOW2_FREE_SNAPSHOT);
    }
    uint64_t offset = e->raw & QCOW2_OFFSET_MASK;
    if (!offset) {
        return 0;
    }
    return qcow2_entry_valid(s, e)
               ? qcow2_refcount_add(s, offset, s->cluster_size, change, QCOW2_FREE_SNAPSHOT)
               : -EIO;
}

/* Stops at the first error; *done: entries that were counted. */
static int coroutine_fn count_table(Qcow2 *s, uint64_t table, int change, unsigned limit,
                                    unsigned *done)
{
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    if (!buf) {
        return -ENOMEM;
    }
    int ret = block_co_read_buf(s->node->file, table, s->cluster_size, buf, 0);
    for (*done = 0; ret == 0 && *done < limit; (*done)++) {
        Qcow2Entry e = qcow2_load_entry(s, buf, *done);
        ret = count_entry(s, &e, change);
        if (ret < 0) {
            break;
        }
    }
    free(buf);
    return ret;
}

/* The whole tree below l1, tables and data; all or (but for leaks) nothing. Nothing is dirty: what is read
 * from the file is what there is. */
static int coroutine_fn count_tree(Qcow2 *s, const uint64_t *l1, uint32_t n, int change)
{
    unsigned all = 1u << s->l2_bits, done = 0;
    int ret = 0;
    uint32_t i;
    for (i = 0; i < n; i++) {
        uint64_t table = l1[i] & QCOW2_OFFSET_MASK;
        if (!table) {
            continue;
        }
        ret = table & (s->cluster_size - 1) ? -EIO : count_table(s, table, change, all, &done);
        if (ret == 0) {
            ret = qcow2_refcount_add(s, table, s->cluster_size, change, QCOW2_FREE_SNAPSHOT);
        }
        if (ret < 0) {
            break;
        }
    }
    if (ret < 0 && change > 0) {
        unsigned ignored;
        if (done) {
            count_table(s, l1[i] & QCOW2_OFFSET_MASK, -1, done, &ignored);
        }
        while (i-- > 0) {
            uint64_t table = l1[i] & QCOW2_OFFSET_MASK;
            if (table) {
                count_table(s, table, -1, all, &ignored);
                qcow2_refcount_add(s, table, s->cluster_size, -1, QCOW2_FREE_NEVER);
            }
        }
    }
    return ret;
}

/* ---- COPIED ---- */

static int coroutine_fn copied_slice(Qcow2 *s, uint64_t at)
{
    Qcow2Table *t;
    int ret = 0;
    for (unsigned i = 0; ret == 0 && i < 1u << s->slice_bits; i++) {
        ret = qcow2_cache_get(s->l2_cache, at, &t);
        if (ret < 0) {
            break;
        }
        Qcow2Entry e = qcow2_load_entry(s, t->data, i), old = e;
        uint64_t offset = e.raw & QCOW2_OFFSET_MASK, count = 0;
        if ((e.raw & QCOW2_COMPRESSED) || !offset || s->external_data) {
            continue;
        }
        ret = qcow2_refcount(s, offset >> s->cluster_bits, &count);
        e.raw = count == 1 ? e.raw | QCOW2_COPIED : e.raw & ~QCOW2_COPIED;
        if (ret == 0 && e.raw != old.raw) {
            ret = qcow2_cache_get(s->l2_cache, at, &t); /* M5 */
            if (ret == 0) {
                qcow2_store_entry(s, t->data, i, &e);
                qcow2_cache_mark(s->l2_cache, t, (size_t)i * s->l2_entry_size, s->l2_entry_size);
            }
        }
    }
    return ret;
}

/* Makes COPIED of the active tables agree with the counts. Shared tables are changed only on the way to be
 * shared (`shared_too`). */
static int coroutine_fn update_copied(Qcow2 *s, bool shared_too)
{
    uint64_t slice = (uint64_t)s->l2_entry_size << s->slice_bits;
    int ret = 0;
    for (uint32_t i = 0; ret == 0 && i < s->l1_size; i++) {
        uint64_t table = s->l1[i] & QCOW2_OFFSET_MASK, count = 0;
        if (!table) {
            continue;
        }
        ret = qcow2_refcount(s, table >> s->cluster_bits, &count);
        bool own = s->l1[i] & QCOW2_COPIED;
        for (uint64_t at = 0;
             ret == 0 && (count == 1 || (own && shared_too)) && at < s->cluster_size; at += slice) {
            ret = copied_slice(s, table + at);
        }
        uint64_t now = count == 1 ? table | QCOW2_COPIED : table;
        if (ret == 0 && now != s->l1[i]) {
            s->l1[i] = now;
            bitmap_set(s->l1_dirty, i / 64, 1);
            s->l1_is_dirty = true;
        }
    }
    return ret;
}

/* ---- finding ---- */

static int find(const Qcow2 *s, const char *id, const char *name)
{
    for (unsigned i = 0; i < s->snapshots->len; i++) {
        const Qcow2Snapshot *snap = s->snapshots->pdata[i];
        if ((!id || g_str_equal(snap->id, id)) && (!name || g_str_equal(snap->name, name))) {
            return i;
        }
    }
    return -1;
}

static int find_id_or_name(const Qcow2 *s, const char *key)
{
    int i = find(s, key, NULL);
    return i >= 0 ? i : find(s, NULL, key);
}

static char *new_id(const Qcow2 *s)
{
    uint64_t max = 0;
    for (unsigned i = 0; i < s->snapshots->len; i++) {
        const Qcow2Snapshot *snap = s->snapshots->pdata[i];
        max = MAX(max, g_ascii_strtoull(snap->id, NULL, 10));
    }
    return g_strdup_printf("%" PRIu64, max + 1);
}

/* ---- operations ---- */

typedef struct Operation {
    Qcow2 *s;
    BlockSnapshot *info;
    int index;
    int ret;
    const char *what; /* the step that failed */
} Operation;

/* Everything written, so that counts and tables can be read from the file. */
static int coroutine_fn settle(Qcow2 *s)
{
    int ret = qcow2_start_writing(s);
    for (unsigned i = 0; ret == 0 && i < 2; i++) {
        ret = qcow2_write_back(s);
    }
    if (ret == 0) {
        ret = qcow2_write_refcounts(s);
    }
    return ret < 0 ? ret : block_co_flush(s->node->file->node);
}

/* A copy of L1 in new clusters. */
static int coroutine_fn store_l1(Qcow2 *s, const uint64_t *l1, uint32_t n, uint64_t *offset)
{
    uint64_t bytes = (uint64_t)n * 8;
    *offset = 0;
    if (!n) {
        return 0;
    }
    int ret = qcow2_alloc(s, qcow2_clusters(s, bytes), offset);
    if (ret < 0) {
        *offset = 0;
        return ret;
    }
    g_autofree uint8_t *buf = g_malloc0(qcow2_cluster_end(s, bytes));
    for (uint32_t i = 0; i < n; i++) {
        store_be64(buf + (size_t)i * 8, l1[i] & ~QCOW2_COPIED);
    }
    ret = qcow2_check_overlap(s, 0, *offset, bytes);
    if (ret == 0) {
        ret = block_co_write_buf(s->node->file, *offset, qcow2_cluster_end(s, bytes), buf, 0);
    }
    if (ret < 0) {
        qcow2_refcount_add(s, *offset, bytes, -1, QCOW2_FREE_OTHER);
        *offset = 0;
    }
    return ret;
}

static GPtrArray *list_copy(const Qcow2 *s)
{
    GPtrArray *list = g_ptr_array_new();
    for (unsigned i = 0; i < s->snapshots->len; i++) {
        g_ptr_array_add(list, s->snapshots->pdata[i]);
    }
    return list;
}

static int coroutine_fn create_steps(Operation *op, Qcow2Snapshot *snap)
{
    Qcow2 *s = op->s;
    op->what = "Could not write back metadata";
    int ret = settle(s);
    if (ret < 0) {
        return ret;
    }
    op->what = "Could not store the L1 table of the snapshot";
    ret = store_l1(s, s->l1, s->l1_size, &snap->l1_offset);
    if (ret < 0) {
        return ret;
    }
    snap->l1_size = s->l1_size;
    op->what = "Could not count what the snapshot shares";
    ret = count_tree(s, s->l1, s->l1_size, 1);
    if (ret == 0) {
        ret = update_copied(s, true);
    }
    if (ret == 0) {
        ret = settle(s);
    }
    if (ret == 0) {
        op->what = "Could not write the snapshot table";
        GPtrArray *list = list_copy(s);
        g_ptr_array_add(list, snap);
        ret = qcow2_write_snapshots(s, list);
        g_ptr_array_free(list, TRUE);
    }
    if (ret < 0 && snap->l1_size) {
        /* What was counted is leaked if the count itself had succeeded. */
        qcow2_refcount_add(s, snap->l1_offset, (uint64_t)snap->l1_size * 8, -1, QCOW2_FREE_OTHER);
    }
    return ret;
}

static void coroutine_fn create_entry(void *opaque)
{
    Operation *op = opaque;
    Qcow2 *s = op->s;
    Qcow2Snapshot *snap = g_new0(Qcow2Snapshot, 1);
    snap->id = op->info->id[0] ? g_strdup(op->info->id) : new_id(s);
    snap->name = g_strdup(op->info->name);
    snap->date_sec = op->info->date_sec;
    snap->date_nsec = op->info->date_nsec;
    snap->vm_clock_nsec = op->info->vm_clock_nsec;
    snap->vm_state_size = op->info->vm_state_size;
    snap->disk_size = s->size;
    snap->has_icount = true;
    snap->icount = op->info->icount;
    op->ret = create_steps(op, snap);
    if (op->ret < 0) {
        snapshot_free(snap);
        return;
    }
    g_strlcpy(op->info->id, snap->id, sizeof(op->info->id));
    g_ptr_array_add(s->snapshots, snap);
    qcow2_metadata_fill(s);
}

bool qcow2_snapshot_create(BlockNode *node, BlockSnapshot *info, GError **error)
{
    Qcow2 *s = node->state;
    Operation op = { .s = s, .info = info };
    if (s->external_data) {
        return error_set(error, "Cannot take a snapshot of an image with an external data file");
    }
    if (s->snapshots->len >= QCOW2_MAX_SNAPSHOTS) {
        return error_set_errno(error, EFBIG, "Too many snapshots");
    }
    if (info->id[0] && find(s, info->id, NULL) >= 0) {
        return error_set(error, "A snapshot with id '%s' exists", info->id);
    }
    block_run_sync(create_entry, &op);
    return op.ret == 0 || error_set_errno(error, -op.ret, "%s", op.what);
}

static void coroutine_fn delete_entry(void *opaque)
{
    Operation *op = opaque;
    Qcow2 *s = op->s;
    Qcow2Snapshot *snap = s->snapshots->pdata[op->index];
    g_autofree uint64_t *l1 = g_try_new0(uint64_t, MAX(snap->l1_size, 1));
    op->what = "Failed to read the L1 table of the snapshot";
    op->ret = l1 ? settle(s) : -ENOMEM;
    if (op->ret == 0) {
        op->ret =
            block_co_read_buf(s->node->file, snap->l1_offset, (uint64_t)snap->l1_size * 8, l1, 0);
    }
    if (op->ret < 0) {
        return;
    }
    for (uint32_t i = 0; i < snap->l1_size; i++) {
        l1[i] = be64toh(l1[i]);
    }
    op->what = "Failed to remove snapshot from snapshot list";
    GPtrArray *list = list_copy(s);
    g_ptr_array_remove_index(list, op->index);
    op->ret = qcow2_write_snapshots(s, list);
    g_ptr_array_free(list, TRUE);
    if (op->ret < 0) {
        return;
    }
    op->what = "Failed to free the snapshot's clusters";
    op->ret = count_tree(s, l1, snap->l1_size, -1);
    if (op->ret == 0 && snap->l1_size) {
        op->ret = qcow2_refcount_add(s, snap->l1_offset, (uint64_t)snap->l1_size * 8, -1,
                                     QCOW2_FREE_SNAPSHOT);
    }
    g_ptr_array_remove_index(s->snapshots, op->index);
    qcow2_metadata_fill(s);
    int ret = update_copied(s, false);
    op->ret = op->ret < 0 ? op->ret : ret;
    ret = settle(s);
    op->ret = op->ret < 0 ? op->ret : ret;
}

bool qcow2_snapshot_delete(BlockNode *node, const char *id, const char *name, GError **error)
{
    Qcow2 *s = node->state;
    Operation op = { .s = s, .index = find(s, id, name) };
    if (op.index < 0) {
        return error_set(error, "Can't find the snapshot");
    }
    block_run_sync(delete_entry, &op);
    return op.ret == 0 || error_set_errno(error, -op.ret, "%s", op.what);
}

/* The new L1, and the size, in one write. */
static int coroutine_fn switch_l1(Qcow2 *s, uint64_t size, uint32_t l1_size, uint64_t l1_offset)
{
    uint8_t head[QH_L1_OFFSET + 8 - QH_SIZE] = { 0 };
    store_be64(head, size);
    store_be32(head + QH_L1_SIZE - QH_SIZE, l1_size);
    store_be64(head + QH_L1_OFFSET - QH_SIZE, l1_offset);
    return qcow2_patch_header(s, QH_SIZE, head, sizeof(head));
}

static int coroutine_fn goto_steps(Operation *op, const Qcow2Snapshot *snap, uint64_t *l1,
                                   uint32_t n)
{
    Qcow2 *s = op->s;
    uint64_t offset = 0;
    op->what = "Could not read the L1 table of the snapshot";
    int ret = settle(s);
    if (ret == 0) {
        ret = block_co_read_buf(s->node->file, snap->l1_offset, (uint64_t)snap->l1_size * 8, l1, 0);
    }
    for (uint32_t i = 0; i < snap->l1_size; i++) {
        l1[i] = be64toh(l1[i]) & ~QCOW2_COPIED;
    }
    if (ret == 0) {
        op->what = "Could not count what the snapshot shares";
        ret = count_tree(s, l1, n, 1);
    }
    if (ret < 0) {
        return ret;
    }
    op->what = "Could not store the L1 table";
    ret = store_l1(s, l1, n, &offset);
    if (ret == 0) {
        ret = settle(s);
    }
    if (ret == 0) {
        ret = switch_l1(s, snap->disk_size, n, offset);
    }
    if (ret < 0) {
        count_tree(s, l1, n, -1);
        return ret;
    }
    g_autofree uint64_t *old = s->l1;
    uint64_t old_offset = s->l1_offset, old_size = s->l1_size;
    g_free(s->l1_dirty);
    s->l1 = g_memdup2(l1, MAX(n, 1) * sizeof(uint64_t));
    s->l1_size = n;
    s->l1_offset = offset;
    s->l1_dirty = bitmap_new((n + 63) / 64 + 1);
    s->size = snap->disk_size;
    qcow2_drop_scratch(s);
    op->what = "Could not free what there was before";
    ret = count_tree(s, old, old_size, -1);
    if (ret == 0 && old_size) {
        ret = qcow2_refcount_add(s, old_offset, old_size * 8, -1, QCOW2_FREE_SNAPSHOT);
    }
    int copied = update_copied(s, false);
    return ret < 0 ? ret : copied;
}

static void coroutine_fn goto_entry(void *opaque)
{
    Operation *op = opaque;
    Qcow2 *s = op->s;
    const Qcow2Snapshot *snap = s->snapshots->pdata[op->index];
    uint32_t n = MAX(snap->l1_size, qcow2_l1_entries(s, snap->disk_size));
    g_autofree uint64_t *l1 = g_try_new0(uint64_t, MAX(n, 1));
    op->what = "Could not allocate the L1 table";
    op->ret = l1 && (uint64_t)n * 8 <= QCOW2_MAX_L1_BYTES ? goto_steps(op, snap, l1, n) : -ENOMEM;
    qcow2_metadata_fill(s);
    if (op->ret == 0) {
        op->ret = settle(s);
    }
}

bool qcow2_snapshot_goto(BlockNode *node, const char *id, GError **error)
{
    Qcow2 *s = node->state;
    Operation op = { .s = s, .index = find_id_or_name(s, id) };
    if (s->external_data) {
        return error_set(error, "Images with an external data file have no snapshots");
    }
    if (op.index < 0) {
        return error_set(error, "Can't find snapshot '%s'", id);
    }
    const Qcow2Snapshot *snap = s->snapshots->pdata[op.index];
    if (snap->disk_size > BLOCK_MAX_LENGTH) {
        return error_set(error, "Snapshot '%s' has a disk size that is too large", id);
    }
    uint64_t size = s->size;
    block_run_sync(goto_entry, &op);
    if (s->size != size) {
        block_node_length_changed(node);
    }
    return op.ret == 0 || error_set_errno(error, -op.ret, "%s", op.what);
}

int qcow2_snapshot_list(BlockNode *node, BlockSnapshot **list)
{
    Qcow2 *s = node->state;
    *list = g_new0(BlockSnapshot, MAX(s->snapshots->len, 1));
    for (unsigned i = 0; i < s->snapshots->len; i++) {
        const Qcow2Snapshot *snap = s->snapshots->pdata[i];
        BlockSnapshot *out = &(*list)[i];
        g_strlcpy(out->id, snap->id, sizeof(out->id));
        g_strlcpy(out->name, snap->name, sizeof(out->name));
        out->vm_state_size = snap->vm_state_size;
        out->disk_size = snap->disk_size;
        out->date_sec = snap->date_sec;
        out->date_nsec = snap->date_nsec;
        out->vm_clock_nsec = snap->vm_clock_nsec;
        out->icount = snap->has_icount ? (int64_t)snap->icount : -1;
    }
    return s->snapshots->len;
}

bool qcow2_snapshot_load(BlockNode *node, const char *id, GError **error)
{
    Qcow2 *s = node->state;
    int i = find_id_or_name(s, id);
    if (i < 0) {
        return error_set(error, "Can't find snapshot '%s'", id);
    }
    const Qcow2Snapshot *snap = s->snapshots->pdata[i];
    if (snap->disk_size > BLOCK_MAX_LENGTH) {
        return error_set(error, "Snapshot '%s' has a disk size that is too large", id);
    }
    uint64_t offset = s->l1_offset;
    uint32_t size = s->l1_size;
    s->l1_offset = snap->l1_offset;
    s->l1_size = snap->l1_size;
    if (!qcow2_read_l1(s, error)) {
        s->l1_offset = offset;
        s->l1_size = size;
        return false;
    }
    s->size = snap->disk_size;
    qcow2_drop_scratch(s);
    block_node_length_changed(node);
    return true;
}
