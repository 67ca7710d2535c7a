/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: repair. Reference counts are set to what was counted, in place or (when their structure is
 * damaged) in a new structure behind the end of the file, which the header then names. COPIED follows.
 *
 * Nobody else uses the image meanwhile. A crash leaves the old structure in effect, or the new one.
 */
#include "util/osdep.h"
#include "qcow2-check.h"

#include "util/bitmap.h"

/* ---- in place ---- */

static bool repair_block(Qcow2Check *c, uint64_t base, uint64_t end, uint8_t *buf, unsigned fix)
{
    const Qcow2 *s = c->s;
    bool changed = false;
    for (uint64_t i = base; i < end; i++) {
        uint64_t refcount = qcow2_get_entry(buf, i - base, s->refcount_order);
        uint64_t refs = MIN(c->refs[i], s->refcount_max);
        if (refcount == refs || !(fix & (refcount > refs ? BLOCK_FIX_LEAKS : BLOCK_FIX_ERRORS))) {
            continue;
        }
        qcow2_set_entry(buf, i - base, s->refcount_order, refs);
        changed = true;
    }
    return changed;
}

int coroutine_fn qcow2_repair_counts(Qcow2Check *c, unsigned fix)
{
    Qcow2 *s = c->s;
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    if (!buf) {
        return -ENOMEM;
    }
    uint64_t per_block = UINT64_C(1) << s->refblock_bits;
    int ret = 0;
    for (uint64_t base = 0; ret == 0 && base < c->n; base += per_block) {
        uint64_t index = base >> s->refblock_bits;
        if (!qcow2_check_block_usable(c, index)) {
            continue;
        }
        ret = qcow2_check_read_block(c, index, buf);
        if (ret == 0 && repair_block(c, base, MIN(c->n, base + per_block), buf, fix)) {
            ret = block_co_write_buf(s->node->file, s->reftable[index], s->cluster_size, buf, 0);
        }
    }
    free(buf);
    return ret;
}

/* ---- anew ---- */

typedef struct Layout {
    uint64_t first;         /* cluster of the table; blocks follow it */
    uint64_t table, blocks; /* clusters */
} Layout;

static Layout plan(const Qcow2Check *c)
{
    const Qcow2 *s = c->s;
    Layout l = { .first = c->n, .table = 1, .blocks = 1 };
    for (;;) {
        uint64_t total = l.first + l.table + l.blocks;
        uint64_t blocks = (total + (UINT64_C(1) << s->refblock_bits) - 1) >> s->refblock_bits;
        uint64_t table = qcow2_clusters(s, blocks * 8);
        if (blocks <= l.blocks && table <= l.table) {
            return l;
        }
        l.blocks = MAX(blocks, l.blocks);
        l.table = MAX(table, l.table);
    }
}

static int coroutine_fn write_blocks(Qcow2Check *c, const Layout *l, uint8_t *buf)
{
    Qcow2 *s = c->s;
    uint64_t per_block = UINT64_C(1) << s->refblock_bits, end = l->first + l->table + l->blocks;
    int ret = 0;
    for (uint64_t b = 0; ret == 0 && b < l->blocks; b++) {
        uint64_t base = b << s->refblock_bits;
        memset(buf, 0, s->cluster_size);
        for (uint64_t i = base; i < MIN(end, base + per_block); i++) {
            uint64_t refs = i < c->n ? MIN(c->refs[i], s->refcount_max) : 1;
            qcow2_set_entry(buf, i - base, s->refcount_order, refs);
        }
        ret = block_co_write_buf(s->node->file, (l->first + l->table + b) << s->cluster_bits,
                                 s->cluster_size, buf, 0);
    }
    return ret;
}

static int coroutine_fn write_table(Qcow2 *s, const Layout *l, uint64_t *entries)
{
    size_t bytes = l->table << s->cluster_bits;
    uint8_t *buf = block_alloc(s->node->file->node, bytes);
    if (!buf) {
        return -ENOMEM;
    }
    memset(buf, 0, bytes);
    for (uint64_t b = 0; b < l->blocks; b++) {
        entries[b] = (l->first + l->table + b) << s->cluster_bits;
        store_be64(buf + b * 8, entries[b]);
    }
    int ret = block_co_write_buf(s->node->file, l->first << s->cluster_bits, bytes, buf, 0);
    free(buf);
    return ret < 0 ? ret : block_co_flush(s->node->file->node);
}

static int coroutine_fn name_table(Qcow2 *s, const Layout *l, uint64_t *entries)
{
    /* Together with the width of its entries, which amending changes: one write within one sector. */
    uint8_t head[QH_REFCOUNT_ORDER + 4 - QH_REFTABLE_OFFSET] = { 0 };
    store_be64(head, l->first << s->cluster_bits);
    store_be32(head + QH_REFTABLE_CLUSTERS - QH_REFTABLE_OFFSET, l->table);
    store_be32(head + QH_SNAPSHOTS - QH_REFTABLE_OFFSET, s->nb_snapshots);
    store_be64(head + QH_SNAPSHOTS_OFFSET - QH_REFTABLE_OFFSET, s->snapshots_offset);
    store_be64(head + QH_INCOMPATIBLE - QH_REFTABLE_OFFSET, s->incompatible);
    store_be64(head + QH_COMPATIBLE - QH_REFTABLE_OFFSET, s->compatible);
    store_be64(head + QH_AUTOCLEAR - QH_REFTABLE_OFFSET, s->autoclear);
    store_be32(head + QH_REFCOUNT_ORDER - QH_REFTABLE_OFFSET, s->refcount_order);
    size_t bytes = s->version < 3 ? 12 : sizeof(head);
    int ret = qcow2_patch_header(s, QH_REFTABLE_OFFSET, head, bytes);
    if (ret < 0) {
        return ret;
    }
    g_free(s->reftable);
    g_free(s->reftable_dirty);
    s->reftable = entries;
    s->reftable_size = (l->table << s->cluster_bits) / 8;
    s->reftable_dirty = bitmap_new((s->reftable_size + 63) / 64);
    s->reftable_is_dirty = false;
    s->reftable_offset = l->first << s->cluster_bits;
    s->reftable_clusters = l->table;
    return 0;
}

int coroutine_fn qcow2_rebuild_counts(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    BlockCheckResult unused = { 0 };
    Qcow2Check again = { .s = s, .result = &unused, .n = c->n, .quiet = true };
    memset(c->refs, 0, c->n * sizeof(*c->refs)); /* without the old structure */
    again.refs = c->refs;
    qcow2_check_walk(&again);
    Layout l = plan(c);
    if (l.table << s->cluster_bits > QCOW2_MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    uint64_t *entries = g_try_malloc0(l.table << s->cluster_bits);
    int ret = buf && entries ? write_blocks(c, &l, buf) : -ENOMEM;
    if (ret == 0) {
        ret = write_table(s, &l, entries);
    }
    if (ret == 0) {
        ret = name_table(s, &l, entries);
    }
    if (ret < 0) {
        g_free(entries);
    }
    free(buf);
    return ret;
}

/* ---- COPIED ---- */

static uint64_t refs_of(const Qcow2Check *c, uint64_t offset)
{
    uint64_t i = offset >> c->s->cluster_bits;
    return i < c->n ? c->refs[i] : 0;
}

/* Whether COPIED of an entry is wrong, with fix: to be changed now. A count that is too large is no reason to have
 * COPIED: nobody writes in place, and that is all. */
static bool wrong_copied(const Qcow2Check *c, uint64_t entry, unsigned fix, bool *fixes)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, refs = refs_of(c, offset);
    bool copied = entry & QCOW2_COPIED;
    bool leaked = !copied && c->leaked && bitmap_test(c->leaked, offset >> c->s->cluster_bits);
    *fixes = fix & (leaked ? BLOCK_FIX_LEAKS : BLOCK_FIX_ERRORS);
    return (refs == 1) != copied && (fix ? *fixes : !leaked);
}

static void report_copied(Qcow2Check *c, const char *what, uint64_t entry, uint64_t refs, bool fix)
{
    if (!fix) {
        if (!c->quiet) {
            block_check_report(c->result,
                               "ERROR OFLAG_COPIED %s: entry=%" PRIx64 " refcount=%" PRIu64, what,
                               entry, refs);
        }
        c->result->corruptions++;
    }
}

static int coroutine_fn copied_table(Qcow2Check *c, uint64_t table, uint8_t *buf, unsigned fix)
{
    Qcow2 *s = c->s;
    int ret = block_co_read_buf(s->node->file, table, s->cluster_size, buf, 0);
    bool changed = false;
    if (ret < 0) {
        return 0; /* it was counted before */
    }
    for (unsigned i = 0; i < 1u << s->l2_bits; i++) {
        Qcow2Entry e = qcow2_load_entry(s, buf, i);
        uint64_t offset = e.raw & QCOW2_OFFSET_MASK;
        bool fixes = fix & BLOCK_FIX_ERRORS;
        if ((e.raw & QCOW2_COMPRESSED) && (e.raw & QCOW2_COPIED)) {
            e.raw &= ~QCOW2_COPIED; /* the walk has complained */
        } else if ((e.raw & QCOW2_COMPRESSED) || !offset || s->external_data ||
                   (offset & (s->cluster_size - 1)) || offset >> s->cluster_bits >= c->n ||
                   !wrong_copied(c, e.raw, fix, &fixes)) {
            continue;
        } else {
            report_copied(c, "data cluster", e.raw, refs_of(c, offset), fixes);
            e.raw ^= QCOW2_COPIED;
        }
        if (fixes) {
            qcow2_store_entry(s, buf, i, &e);
            changed = true;
        }
    }
    return changed ? block_co_write_buf(s->node->file, table, s->cluster_size, buf, 0) : 0;
}

int coroutine_fn qcow2_check_copied(Qcow2Check *c, unsigned fix)
{
    Qcow2 *s = c->s;
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    int ret = buf ? 0 : -ENOMEM;
    for (uint32_t i = 0; ret == 0 && i < s->l1_size; i++) {
        uint64_t table = s->l1[i] & QCOW2_OFFSET_MASK, refs = refs_of(c, table);
        if (!table || (table & (s->cluster_size - 1)) || table >> s->cluster_bits >= c->n) {
            continue;
        }
        bool fixes;
        if (wrong_copied(c, s->l1[i], fix, &fixes)) {
            report_copied(c, "L2 cluster", s->l1[i], refs, fixes);
            if (fixes) {
                uint8_t entry[8];
                s->l1[i] ^= QCOW2_COPIED;
                store_be64(entry, s->l1[i]);
                ret =
                    block_co_write_buf(s->node->file, s->l1_offset + (uint64_t)i * 8, 8, entry, 0);
            }
        }
        if (ret == 0) {
            ret = copied_table(c, table, buf, fix);
        }
    }
    free(buf);
    return ret;
}
