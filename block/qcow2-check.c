/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: check. All metadata are read from the file, without the caches, and everything that they point to
 * is counted; then the counts are compared with those in the image. Damage is reported and never
 * followed: an offset that makes no sense is not read.
 */
#include "util/osdep.h"
#include "qcow2-check.h"

#include "util/bitmap.h"
#include "util/error.h"

#define report(c, ...)                                    \
    do {                                                  \
        if (!(c)->quiet) {                                \
            block_check_report((c)->result, __VA_ARGS__); \
        }                                                 \
    } while (0)

/* ---- counting ---- */

static void count(Qcow2Check *c, uint64_t offset, uint64_t bytes)
{
    const Qcow2 *s = c->s;
    if (bytes == 0) {
        return;
    }
    uint64_t first = offset >> s->cluster_bits, last = (offset + bytes - 1) >> s->cluster_bits;
    if (last < first || last >= c->n) {
        report(
            c,
            "ERROR: counting reference for region exceeding the end of the file by one cluster or "
            "more: offset 0x%" PRIx64 " size 0x%" PRIx64,
            offset, bytes);
        c->result->corruptions++;
        if (last < first || first >= c->n) {
            return;
        }
        last = c->n - 1;
    }
    for (uint64_t i = first; i <= last; i++) {
        c->refs[i] += c->refs[i] < UINT32_MAX;
    }
}

static int coroutine_fn read_table(Qcow2Check *c, uint64_t offset, uint64_t bytes, void *buf)
{
    int ret = block_co_read_buf(c->s->node->file, offset, bytes, buf, 0);
    if (ret < 0) {
        report(c, "ERROR: I/O error at 0x%" PRIx64 ": %s", offset, g_strerror(-ret));
        c->result->check_errors++;
    }
    return ret;
}

/* ---- L2 ---- */

static void walk_packed(Qcow2Check *c, uint64_t raw)
{
    uint64_t offset, bytes;
    qcow2_packed_place(c->s, raw, &offset, &bytes);
    if (raw & QCOW2_COPIED) {
        report(c,
               "ERROR: coffset=0x%" PRIx64
               ": copied flag must never be set for compressed clusters",
               offset);
        c->result->corruptions++;
    }
    if (c->s->external_data) {
        report(c, "ERROR compressed cluster in an image with an external data file: 0x%" PRIx64,
               raw);
        c->result->corruptions++;
        return;
    }
    count(c, offset, bytes);
    if (c->stats) {
        c->result->allocated_clusters++;
        c->result->compressed_clusters++;
        c->result->fragmented_clusters++; /* by nature */
        c->next = 0;
    }
}

static void walk_bitmap(Qcow2Check *c, const Qcow2Entry *e, bool compressed)
{
    uint32_t data = e->bitmap, zero = e->bitmap >> 32;
    if (compressed ? e->bitmap != 0 : (data & zero) != 0) {
        report(c, "ERROR subcluster bitmap 0x%" PRIx64 " makes no sense (L2 entry 0x%" PRIx64 ")",
               e->bitmap, e->raw);
        c->result->corruptions++;
    } else if (data && !(e->raw & QCOW2_OFFSET_MASK) && !c->s->external_data) {
        report(c, "ERROR subclusters without a cluster (bitmap 0x%" PRIx64 ")", e->bitmap);
        c->result->corruptions++;
    }
}

static void walk_entry(Qcow2Check *c, const Qcow2Entry *e)
{
    const Qcow2 *s = c->s;
    bool compressed = e->raw & QCOW2_COMPRESSED;
    if (s->extended) {
        walk_bitmap(c, e, compressed);
    }
    if (compressed) {
        walk_packed(c, e->raw);
        return;
    }
    uint64_t reserved = QCOW2_L2_RESERVED | (s->version < 3 || s->extended ? QCOW2_ZERO : 0);
    if (e->raw & reserved) {
        report(c, "ERROR found l2 entry with reserved bits set: %" PRIx64, e->raw);
        c->result->corruptions++;
    }
    uint64_t offset = e->raw & QCOW2_OFFSET_MASK;
    if (!offset || s->external_data) {
        return;
    }
    if (offset & (s->cluster_size - 1)) {
        report(c, "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 entry corrupted.",
               offset);
        c->result->corruptions++;
        return;
    }
    count(c, offset, s->cluster_size);
    if (c->stats) {
        c->result->allocated_clusters++;
        if (c->next && c->next != offset) {
            c->result->fragmented_clusters++;
        }
        c->next = offset + s->cluster_size;
    }
}

static int coroutine_fn walk_l2(Qcow2Check *c, uint64_t offset, uint8_t *buf)
{
    const Qcow2 *s = c->s;
    int ret = read_table(c, offset, s->cluster_size, buf);
    for (unsigned i = 0; ret == 0 && i < 1u << s->l2_bits; i++) {
        Qcow2Entry e = qcow2_load_entry(s, buf, i);
        walk_entry(c, &e);
    }
    return ret;
}

/* ---- L1 ---- */

static void coroutine_fn walk_l1(Qcow2Check *c, uint64_t l1_offset, uint64_t n)
{
    const Qcow2 *s = c->s;
    count(c, l1_offset, n * 8);
    if (n == 0 || l1_offset >> s->cluster_bits >= c->n) {
        return;
    }
    g_autofree uint64_t *l1 = g_try_new0(uint64_t, n);
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    if (!l1 || !buf || read_table(c, l1_offset, n * 8, l1) < 0) {
        c->result->check_errors += !l1 || !buf;
        free(buf);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t entry = be64toh(l1[i]), l2 = entry & QCOW2_OFFSET_MASK;
        if (entry & QCOW2_L1_RESERVED) {
            report(c, "ERROR found L1 entry with reserved bits set: %" PRIx64, entry);
            c->result->corruptions++;
        }
        if (!l2) {
            continue;
        }
        if (l2 & (s->cluster_size - 1)) {
            report(c,
                   "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted",
                   l2);
            c->result->corruptions++;
            continue;
        }
        count(c, l2, s->cluster_size);
        if (l2 >> s->cluster_bits < c->n) {
            walk_l2(c, l2, buf);
        }
    }
    free(buf);
}

/* ---- the rest ---- */

static void coroutine_fn walk_snapshots(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    for (unsigned i = 0; s->snapshots && i < s->snapshots->len; i++) {
        const Qcow2Snapshot *snap = s->snapshots->pdata[i];
        if (snap->l1_offset & (s->cluster_size - 1)) {
            report(c,
                   "ERROR snapshot %s (%s) l1_offset=%#" PRIx64
                   ": L1 table is not cluster aligned; snapshot table entry corrupted",
                   snap->id, snap->name, snap->l1_offset);
            c->result->corruptions++;
            continue;
        }
        if (snap->l1_size > QCOW2_MAX_L1_BYTES / 8) {
            report(c,
                   "ERROR snapshot %s (%s) l1_size=%#" PRIx32
                   ": L1 table is too large; snapshot table entry corrupted",
                   snap->id, snap->name, snap->l1_size);
            c->result->corruptions++;
            continue;
        }
        walk_l1(c, snap->l1_offset, snap->l1_size);
    }
    count(c, s->snapshots_offset, s->snapshot_table_bytes);
}

static void coroutine_fn walk_bitmap_table(Qcow2Check *c, const Qcow2Bitmap *b)
{
    Qcow2 *s = c->s;
    uint64_t bytes = (uint64_t)b->table_size * 8;
    if ((b->table_offset & (s->cluster_size - 1)) || bytes > QCOW2_MAX_L1_BYTES * UINT64_C(2)) {
        report(c, "ERROR bitmap '%s': its table is not aligned or too large", b->name);
        c->result->corruptions++;
        return;
    }
    count(c, b->table_offset, bytes);
    g_autofree uint64_t *table = g_try_malloc(MAX(bytes, 1));
    if (!table || read_table(c, b->table_offset, bytes, table) < 0) {
        return;
    }
    for (uint32_t i = 0; i < b->table_size; i++) {
        uint64_t offset = be64toh(table[i]) & QCOW2_OFFSET_MASK;
        if (offset & (s->cluster_size - 1)) {
            report(c, "ERROR bitmap '%s': entry %" PRIu32 " is not aligned", b->name, i);
            c->result->corruptions++;
        } else if (offset) {
            count(c, offset, s->cluster_size);
        }
    }
}

int coroutine_fn qcow2_check_walk(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    count(c, 0, s->cluster_size);
    c->stats = true;
    walk_l1(c, s->l1_offset, s->l1_size);
    c->stats = false;
    walk_snapshots(c);
    if (s->bitmaps) {
        count(c, s->bitmap_directory_offset, s->bitmap_directory_size);
        for (unsigned i = 0; i < s->bitmaps->len; i++) {
            walk_bitmap_table(c, &g_array_index(s->bitmaps, Qcow2Bitmap, i));
        }
    }
    return 0;
}

bool qcow2_check_block_usable(const Qcow2Check *c, uint64_t index)
{
    const Qcow2 *s = c->s;
    uint64_t offset = index < s->reftable_size ? s->reftable[index] : 0;
    return offset && !(offset & (s->cluster_size - 1)) && offset >> s->cluster_bits < c->n;
}

int coroutine_fn qcow2_check_walk_refcounts(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    count(c, s->reftable_offset, (uint64_t)s->reftable_clusters << s->cluster_bits);
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        uint64_t offset = s->reftable[i];
        if (!offset) {
            continue;
        }
        if (!qcow2_check_block_usable(c, i)) {
            report(c,
                   offset & (s->cluster_size - 1)
                       ? "ERROR refcount block %" PRIu32
                         " is not cluster aligned; refcount table entry corrupted"
                       : "ERROR refcount block %" PRIu32 " is outside image",
                   i);
            c->result->corruptions++;
            c->rebuild = true;
            continue;
        }
        count(c, offset, s->cluster_size);
        if (c->refs[offset >> s->cluster_bits] != 1) {
            report(c, "ERROR refcount block %" PRIu32 " refcount=%" PRIu32, i,
                   c->refs[offset >> s->cluster_bits]);
            c->result->corruptions++;
            c->rebuild = true;
        }
    }
    return 0;
}

int coroutine_fn qcow2_check_read_block(Qcow2Check *c, uint64_t index, uint8_t *buf)
{
    memset(buf, 0, c->s->cluster_size);
    if (!qcow2_check_block_usable(c, index)) {
        return 0;
    }
    int ret = read_table(c, c->s->reftable[index], c->s->cluster_size, buf);
    c->rebuild |= ret < 0;
    return ret;
}

/* ---- comparing ---- */

static void compare_cluster(Qcow2Check *c, uint64_t i, uint64_t refcount, unsigned fix)
{
    uint64_t refs = c->refs[i];
    if (refcount == refs) {
        return;
    }
    bool leak = refcount > refs;
    report(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
           leak ? "Leaked" : "ERROR", i, refcount, refs);
    if (leak ? fix & BLOCK_FIX_LEAKS : fix & BLOCK_FIX_ERRORS) {
        report(c, "Repairing cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, i,
               refcount, refs);
    }
    if (leak && refs == 1 && c->leaked) {
        bitmap_set(c->leaked, i, 1);
    }
    if (leak) {
        c->result->leaks++;
    } else {
        c->result->corruptions++;
        c->rebuild |= refs && !qcow2_check_block_usable(c, i >> c->s->refblock_bits);
    }
}

static int coroutine_fn compare(Qcow2Check *c, unsigned fix)
{
    Qcow2 *s = c->s;
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    if (!buf) {
        return -ENOMEM;
    }
    uint64_t per_block = UINT64_C(1) << s->refblock_bits, highest = 0;
    for (uint64_t base = 0; base < c->n; base += per_block) {
        if (qcow2_check_read_block(c, base >> s->refblock_bits, buf) < 0) {
            continue;
        }
        for (uint64_t i = base; i < MIN(c->n, base + per_block); i++) {
            uint64_t refcount = qcow2_get_entry(buf, i - base, s->refcount_order);
            compare_cluster(c, i, refcount, fix);
            if (refcount || c->refs[i]) {
                highest = i + 1;
            }
        }
    }
    c->result->image_end_offset = highest << s->cluster_bits;
    free(buf);
    return 0;
}

/* ---- one pass ---- */

static int coroutine_fn pass(Qcow2 *s, Qcow2Check *c, BlockCheckResult *result, unsigned fix,
                             bool quiet)
{
    int64_t length = block_node_length(s->node->file->node);
    if (length < 0) {
        return length;
    }
    *c = (Qcow2Check){ .s = s, .result = result, .n = qcow2_clusters(s, length), .quiet = quiet };
    c->refs = g_try_new0(uint32_t, MAX(c->n, 1));
    c->leaked = g_try_new0(unsigned long, BITS_TO_LONGS(c->n + 1));
    if (!c->refs || !c->leaked) {
        return -ENOMEM;
    }
    result->total_clusters = qcow2_clusters(s, s->size);
    int ret = qcow2_check_walk(c);
    if (ret == 0) {
        ret = qcow2_check_walk_refcounts(c);
    }
    if (ret == 0) {
        ret = compare(c, fix);
    }
    if (ret == 0) {
        ret = qcow2_check_copied(c, 0);
    }
    return ret;
}

static void pass_end(Qcow2Check *c)
{
    g_clear_pointer(&c->refs, g_free);
    g_clear_pointer(&c->leaked, g_free);
}

/* Everything in the file, nothing in the caches. */
static int coroutine_fn settle(Qcow2 *s)
{
    if (s->node->read_only || s->node->inactive) {
        return 0;
    }
    int ret = 0;
    for (unsigned i = 0; ret == 0 && i < 2; i++) {
        ret = qcow2_write_back(s);
    }
    return ret < 0 ? ret : qcow2_write_refcounts(s);
}

static int coroutine_fn repair(Qcow2Check *c, unsigned fix)
{
    Qcow2 *s = c->s;
    int ret = 0;
    if (c->rebuild && (fix & BLOCK_FIX_ERRORS)) {
        report(c, "Rebuilding refcount structure");
        ret = qcow2_rebuild_counts(c);
    } else if (!c->rebuild) {
        ret = qcow2_repair_counts(c, fix);
    }
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    if (ret == 0 && (!c->rebuild || (fix & BLOCK_FIX_ERRORS))) {
        ret = qcow2_check_copied(c, fix);
    }
    qcow2_cache_drop_all(s->l2_cache);
    qcow2_cache_drop_all(s->refblock_cache);
    s->free_hint = s->bytes_hint = 0;
    qcow2_know_end(s);
    qcow2_metadata_fill(s);
    return ret < 0 ? ret : block_co_flush(s->node->file->node);
}

/* Marks of damage go when none is left. */
static int coroutine_fn clear_marks(Qcow2 *s, const BlockCheckResult *r, unsigned fix)
{
    uint64_t marks = 0;
    if (r->corruptions == 0 && r->check_errors == 0) {
        marks = QCOW2_INCOMPAT_DIRTY;
        if (fix & BLOCK_FIX_ERRORS) {
            marks |= QCOW2_INCOMPAT_CORRUPT;
        }
    }
    if (!(s->incompatible & marks)) {
        return 0;
    }
    int ret = qcow2_write_incompatible(s, s->incompatible & ~marks);
    if (ret == 0) {
        s->corrupt = s->corrupt && (s->incompatible & QCOW2_INCOMPAT_CORRUPT);
        s->dirty_marked = false;
        s->started = false;
    }
    return ret;
}

int coroutine_fn qcow2_check_image(Qcow2 *s, unsigned fix, BlockCheckResult *result)
{
    Qcow2Check c;
    BlockCheckResult first = *result;
    int ret = settle(s);
    if (ret == 0) {
        ret = pass(s, &c, &first, fix, false);
    }
    if (ret < 0) {
        return ret;
    }
    bool damaged = first.corruptions || first.leaks || c.rebuild;
    BlockCheckResult last = first;
    if (fix && damaged) {
        ret = repair(&c, fix);
        if (ret == 0) {
            pass_end(&c);
            last = (BlockCheckResult){ .report = first.report,
                                       .opaque = first.opaque,
                                       .lines = first.lines };
            ret = pass(s, &c, &last, 0, true);
        }
    }
    pass_end(&c);
    if (ret < 0) {
        *result = first;
        return ret;
    }
    last.corruptions_fixed =
        first.corruptions > last.corruptions ? first.corruptions - last.corruptions : 0;
    last.leaks_fixed = first.leaks > last.leaks ? first.leaks - last.leaks : 0;
    *result = last;
    return fix ? clear_marks(s, result, fix) : 0;
}
