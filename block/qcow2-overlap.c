/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: which clusters hold metadata, so that a write that would destroy them (because the image is
 * corrupt, or by a mistake of ours) is refused; and what happens to an image that is corrupt.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include <stdarg.h>
#include "qapi/events-block-core.h"
#include "util/error.h"

static const struct {
    unsigned kind;
    const char *name;
} kinds[] = {
    { QCOW2_OL_HEADER, "qcow2_header" },           { QCOW2_OL_ACTIVE_L1, "active L1 table" },
    { QCOW2_OL_ACTIVE_L2, "active L2 table" },     { QCOW2_OL_REFBLOCK, "refcount block" },
    { QCOW2_OL_REFTABLE, "refcount table" },       { QCOW2_OL_SNAPSHOTS, "snapshot table" },
    { QCOW2_OL_INACTIVE_L1, "inactive L1 table" }, { QCOW2_OL_INACTIVE_L2, "inactive L2 table" },
    { QCOW2_OL_BITMAPS, "bitmap directory" },
};

/* ---- the map ---- */

static unsigned kinds_at(const Qcow2 *s, uint64_t cluster)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(s->metadata, (gpointer)(uintptr_t)cluster));
}

static void change_kinds(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned set, unsigned clear)
{
    if (!bytes) {
        return;
    }
    uint64_t last = (offset + bytes - 1) >> s->cluster_bits;
    for (uint64_t c = offset >> s->cluster_bits; c <= last; c++) {
        unsigned k = (kinds_at(s, c) | set) & ~clear;
        if (k) {
            g_hash_table_replace(s->metadata, (gpointer)(uintptr_t)c, GUINT_TO_POINTER(k));
        } else {
            g_hash_table_remove(s->metadata, (gpointer)(uintptr_t)c);
        }
    }
}

void qcow2_metadata_add(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned kind)
{
    if (s->overlap_checks & kind) {
        change_kinds(s, offset, bytes, kind, 0);
    }
}

void qcow2_metadata_remove(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned kind)
{
    if (s->overlap_checks & kind) {
        change_kinds(s, offset, bytes, 0, kind);
    }
}

/* L2 tables of a snapshot: only the strictest check reads them. */
static void fill_inactive_l2(Qcow2 *s, const Qcow2Snapshot *snap)
{
    size_t bytes = (size_t)snap->l1_size * 8;
    g_autofree uint64_t *l1 = g_try_malloc(MAX(bytes, 1));
    if (!l1 || block_read_buf(s->node->file, snap->l1_offset, bytes, l1) < 0) {
        return; /* whoever needs it sees the error */
    }
    for (uint32_t i = 0; i < snap->l1_size; i++) {
        uint64_t l2 = be64toh(l1[i]) & QCOW2_OFFSET_MASK;
        if (l2) {
            qcow2_metadata_add(s, l2, s->cluster_size, QCOW2_OL_INACTIVE_L2);
        }
    }
}

bool qcow2_metadata_fill(Qcow2 *s)
{
    if (!s->metadata) {
        s->metadata = g_hash_table_new(NULL, NULL);
    }
    g_hash_table_remove_all(s->metadata);
    qcow2_metadata_add(s, 0, s->cluster_size, QCOW2_OL_HEADER);
    qcow2_metadata_add(s, s->l1_offset, (uint64_t)s->l1_size * 8, QCOW2_OL_ACTIVE_L1);
    for (uint32_t i = 0; i < s->l1_size; i++) {
        if (s->l1[i] & QCOW2_OFFSET_MASK) {
            qcow2_metadata_add(s, s->l1[i] & QCOW2_OFFSET_MASK, s->cluster_size,
                               QCOW2_OL_ACTIVE_L2);
        }
    }
    qcow2_metadata_add(s, s->reftable_offset, (uint64_t)s->reftable_clusters << s->cluster_bits,
                       QCOW2_OL_REFTABLE);
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        uint64_t block = s->reftable[i] & ~QCOW2_REFTABLE_RESERVED;
        if (block) {
            qcow2_metadata_add(s, block, s->cluster_size, QCOW2_OL_REFBLOCK);
        }
    }
    qcow2_metadata_add(s, s->snapshots_offset, qcow2_snapshot_table_size(s), QCOW2_OL_SNAPSHOTS);
    for (unsigned i = 0; s->snapshots && i < s->snapshots->len; i++) {
        const Qcow2Snapshot *snap = s->snapshots->pdata[i];
        qcow2_metadata_add(s, snap->l1_offset, (uint64_t)snap->l1_size * 8, QCOW2_OL_INACTIVE_L1);
        if (s->overlap_checks & QCOW2_OL_INACTIVE_L2) {
            fill_inactive_l2(s, snap);
        }
    }
    if (s->bitmaps) {
        qcow2_metadata_add(s, s->bitmap_directory_offset, s->bitmap_directory_size,
                           QCOW2_OL_BITMAPS);
    }
    return true;
}

int coroutine_fn qcow2_check_overlap(Qcow2 *s, unsigned ignore, uint64_t offset, uint64_t bytes)
{
    if (!s->overlap_checks || !bytes) {
        return 0;
    }
    uint64_t last = (offset + bytes - 1) >> s->cluster_bits;
    for (uint64_t c = offset >> s->cluster_bits; c <= last; c++) {
        unsigned k = kinds_at(s, c) & ~ignore;
        for (unsigned i = 0; k && i < G_N_ELEMENTS(kinds); i++) {
            if (k & kinds[i].kind) {
                qcow2_corrupt(s, true, offset, bytes,
                              "Preventing invalid write on metadata (overlaps with %s)",
                              kinds[i].name);
                return -EIO;
            }
        }
    }
    return 0;
}

/* ---- options ---- */

static unsigned template_bits(Qcow2OverlapCheckMode mode)
{
    switch (mode) {
    case QCOW2_OVERLAP_CHECK_MODE_NONE:
        return 0;
    case QCOW2_OVERLAP_CHECK_MODE_CONSTANT:
        return QCOW2_OL_CONSTANT;
    case QCOW2_OVERLAP_CHECK_MODE_ALL:
        return QCOW2_OL_ALL;
    default:
        return QCOW2_OL_CACHED;
    }
}

static void override(Qcow2 *s, bool has, bool on, unsigned kind)
{
    if (has) {
        s->overlap_checks = on ? s->overlap_checks | kind : s->overlap_checks & ~kind;
    }
}

bool qcow2_parse_overlap(Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    s->overlap_checks = QCOW2_OL_CACHED;
    if (!o->overlap_check) {
        return true;
    }
    if (o->overlap_check->kind == QCOW2_OVERLAP_CHECKS_KIND_MODE) {
        s->overlap_checks = template_bits(o->overlap_check->u.mode);
        return true;
    }
    const Qcow2OverlapCheckFlags *f = &o->overlap_check->u.flags;
    s->overlap_checks =
        template_bits(f->has_template ? f->template : QCOW2_OVERLAP_CHECK_MODE_CACHED);
    override(s, f->has_main_header, f->main_header, QCOW2_OL_HEADER);
    override(s, f->has_active_l1, f->active_l1, QCOW2_OL_ACTIVE_L1);
    override(s, f->has_active_l2, f->active_l2, QCOW2_OL_ACTIVE_L2);
    override(s, f->has_refcount_table, f->refcount_table, QCOW2_OL_REFTABLE);
    override(s, f->has_refcount_block, f->refcount_block, QCOW2_OL_REFBLOCK);
    override(s, f->has_snapshot_table, f->snapshot_table, QCOW2_OL_SNAPSHOTS);
    override(s, f->has_inactive_l1, f->inactive_l1, QCOW2_OL_INACTIVE_L1);
    override(s, f->has_inactive_l2, f->inactive_l2, QCOW2_OL_INACTIVE_L2);
    override(s, f->has_bitmap_directory, f->bitmap_directory, QCOW2_OL_BITMAPS);
    return true;
}

/* ---- corruption ---- */

/* Name of the drive on top, for the event. */
static const char *device_name(const BlockNode *node)
{
    for (BlockFront *f = front_next(NULL); f; f = front_next(f)) {
        if (front_node(f) == node) {
            return front_name(f);
        }
    }
    return "";
}

/* What the user is told; from the main thread, whatever thread found it. */
typedef struct CorruptionReport {
    char *warning, *device, *node_name, *text;
    int64_t offset, size;
    bool fatal;
} CorruptionReport;

static void report_corruption(void *opaque)
{
    g_autofree CorruptionReport *r = opaque;
    warn_report("%s", r->warning);
    qapi_event_send_BLOCK_IMAGE_CORRUPTED(r->device, r->node_name, r->text, r->offset >= 0,
                                          r->offset, r->size >= 0, r->size, r->fatal);
    g_free(r->warning);
    g_free(r->device);
    g_free(r->node_name);
    g_free(r->text);
}

void coroutine_fn qcow2_corrupt(Qcow2 *s, bool fatal, int64_t offset, int64_t size, const char *fmt,
                                ...)
{
    if (s->corrupt || (s->corruption_reported && !fatal)) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    BlockNode *node = s->node;
    bool writes = !node->read_only && !node->inactive;
    CorruptionReport *r = g_new(CorruptionReport, 1);
    *r = (CorruptionReport){ .device = g_strdup(device_name(node)),
                             .node_name = node->implicit_name ? NULL : g_strdup(node->name),
                             .text = text,
                             .offset = offset,
                             .size = size,
                             .fatal = fatal };
    r->warning = g_strdup_printf(
        fatal && writes ? "qcow2: %s: Marking image as corrupt: %s; further corruption events will "
                          "be suppressed"
                        : "qcow2: %s: Image is corrupt: %s; further non-fatal corruption events "
                          "will be suppressed",
        block_node_filename(node), text);
    if (in_main_thread()) {
        report_corruption(r);
    } else {
        bh_schedule_oneshot(NULL, report_corruption, r);
    }
    s->corruption_reported = true;
    if (fatal && writes) {
        s->corrupt = true; /* nobody writes to it any more, even if the mark cannot be set */
        qcow2_write_incompatible(s, s->incompatible | QCOW2_INCOMPAT_CORRUPT);
    }
}
