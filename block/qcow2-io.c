/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: reads, writes, zeros, discards, status. M1 to M5 are in qcow2.h.
 *
 * A write that finds clusters of its own writes them in place. Otherwise, under a Qcow2Change: an L2 table
 * of its own, clusters, the data together with what is around them in the first and last cluster
 * (copy on write) in one request, and only then the entries.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(qcow2_writev_start_req)
TRACE_EVENT(qcow2_writev_done_req)
TRACE_EVENT(qcow2_pwrite_zeroes)
TRACE_EVENT(qcow2_skip_cow)
TRACE_EVENT(qcow2_alloc_clusters_offset)

/* ---- reading ---- */

static int coroutine_fn read_backing(Qcow2 *s, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset)
{
    BlockEdge *backing = s->node->backing;
    int64_t length = backing ? block_node_length(backing->node) : 0;
    if (length < 0) {
        return length;
    }
    uint64_t n = offset < (uint64_t)length ? MIN(bytes, (uint64_t)length - offset) : 0;
    iovec_memset(vec, vec_offset + n, 0, bytes - n);
    if (n == 0) {
        return 0;
    }
    block_debug_event(s->node->file, BLKDEBUG_EVENT_READ_BACKING_AIO);
    return block_co_read(backing, offset, n, vec, vec_offset, 0);
}

static int coroutine_fn read_data(Qcow2 *s, uint64_t host, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset)
{
    Qcow2Use use;
    qcow2_use_begin(s, &use, host, bytes);
    block_debug_event(s->node->file, BLKDEBUG_EVENT_READ_AIO);
    int ret = block_co_read(s->data, host, bytes, vec, vec_offset, 0);
    qcow2_use_end(s, &use);
    return ret;
}

/* A read that falls into pieces does several of them at the same time. */
#define PIECES_MAX 8

typedef struct Pieces {
    unsigned running;
    int ret;
    Coroutine *waiter;
} Pieces;

typedef struct Piece {
    Pieces *all;
    Qcow2 *s;
    Qcow2Run run;
    uint64_t offset;
    IoVec *vec;
    size_t vec_offset;
} Piece;

static int coroutine_fn read_piece(Qcow2 *s, const Qcow2Run *run, uint64_t offset, IoVec *vec,
                                   size_t vec_offset)
{
    switch (run->kind) {
    case QCOW2_UNALLOCATED:
        return read_backing(s, offset, run->bytes, vec, vec_offset);
    case QCOW2_DATA:
        return read_data(s, run->host, run->bytes, vec, vec_offset);
    case QCOW2_PACKED:
        return qcow2_read_packed(s, run->raw, offset, run->bytes, vec, vec_offset);
    default:
        iovec_memset(vec, vec_offset, 0, run->bytes);
        return 0;
    }
}

static void coroutine_fn piece_entry(void *opaque)
{
    Piece *p = opaque;
    Pieces *all = p->all;
    int ret = read_piece(p->s, &p->run, p->offset, p->vec, p->vec_offset);
    g_free(p);
    all->ret = all->ret < 0 ? all->ret : ret;
    all->running--;
    if (all->waiter) {
        coroutine_enter(g_steal_pointer(&all->waiter)); /* and no look at `all` any more */
    }
}

static void coroutine_fn wait_pieces(Pieces *all, unsigned allowed)
{
    while (all->running > allowed) {
        all->waiter = coroutine_self();
        coroutine_yield();
    }
}

/* Waits for nothing but the disk: zeros and what is behind the backing file are there at once. */
static bool worth_a_coroutine(const Qcow2 *s, const Qcow2Run *run)
{
    return run->kind == QCOW2_DATA || run->kind == QCOW2_PACKED ||
           (run->kind == QCOW2_UNALLOCATED && s->node->backing);
}

int coroutine_fn qcow2_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                            size_t vec_offset)
{
    Qcow2 *s = node->state;
    Pieces all = { 0 };
    while (all.ret == 0 && bytes) {
        Qcow2Run run;
        int ret = qcow2_lookup(s, offset, bytes, &run);
        if (ret < 0) {
            all.ret = all.ret < 0 ? all.ret : ret;
            break;
        }
        if (run.bytes < bytes && worth_a_coroutine(s, &run)) {
            Piece *p = g_new(Piece, 1);
            *p = (Piece){ &all, s, run, offset, vec, vec_offset };
            all.running++;
            coroutine_enter(coroutine_create(piece_entry, p));
            wait_pieces(&all, PIECES_MAX - 1);
        } else {
            ret = read_piece(s, &run, offset, vec, vec_offset);
            all.ret = all.ret < 0 ? all.ret : ret;
        }
        offset += run.bytes;
        vec_offset += run.bytes;
        bytes -= run.bytes;
    }
    wait_pieces(&all, 0);
    return all.ret;
}

/* ---- what is zero without looking at data ---- */

static bool behind_backing(const Qcow2 *s, uint64_t offset)
{
    if (!s->node->backing) {
        return true;
    }
    int64_t length = block_node_length(s->node->backing->node);
    return length >= 0 && offset >= (uint64_t)length;
}

/* Whether [offset, offset + bytes) reads as zeros by the mapping alone. */
static bool coroutine_fn reads_zero(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes;
    while (offset < end) {
        Qcow2Run run;
        if (qcow2_lookup(s, offset, end - offset, &run) < 0) {
            return false;
        }
        if (run.kind != QCOW2_ZEROS &&
            !(run.kind == QCOW2_UNALLOCATED && behind_backing(s, offset))) {
            uint64_t n = 0;
            int ret = run.kind == QCOW2_UNALLOCATED
                          ? block_co_status_above(s->node->backing->node, NULL, true, offset,
                                                  run.bytes, &n, NULL, NULL, NULL)
                          : 0;
            if (ret < 0 || !(ret & BLOCK_STATUS_ZERO) || n < MIN(run.bytes, end - offset)) {
                return false;
            }
        }
        offset += run.bytes;
    }
    return true;
}

/* ---- writing ---- */

/* A part of a write, and where it goes. All clusters are new, or all belong to their entries already. */
typedef struct Plan {
    uint64_t start;                /* guest, of the first cluster */
    unsigned n;                    /* clusters */
    Qcow2Entry *old;               /* their entries */
    uint64_t host;                 /* of the first cluster */
    bool fresh;                    /* reads as zeros now */
    bool own;                      /* host clusters belong to the entries */
    uint64_t offset, bytes;        /* guest: the data */
    uint64_t head, tail;           /* bytes to be copied before and behind */
    uint64_t data_start, data_end; /* guest: what is data afterwards */
} Plan;

static bool own_cluster(const Qcow2 *s, const Qcow2Entry *e)
{
    if ((e->raw & QCOW2_COMPRESSED) || !(e->raw & QCOW2_COPIED)) {
        return false;
    }
    return (e->raw & QCOW2_OFFSET_MASK) || s->external_data;
}

/* The entries of as many clusters as can be treated alike. */
static int coroutine_fn plan_entries(Qcow2 *s, Plan *p)
{
    unsigned max = qcow2_clusters(s, p->offset + p->bytes - p->start);
    p->old = g_new(Qcow2Entry, max);
    for (p->n = 0; p->n < max; p->n++) {
        Qcow2Entry *e = &p->old[p->n];
        int ret = qcow2_get_l2(s, p->start + ((uint64_t)p->n << s->cluster_bits), e);
        if (ret < 0) {
            return ret;
        }
        bool own = own_cluster(s, e);
        if (p->n == 0) {
            p->own = own;
            p->host = e->raw & QCOW2_OFFSET_MASK;
        } else if (own != p->own || (own && (e->raw & QCOW2_OFFSET_MASK) !=
                                                p->host + ((uint64_t)p->n << s->cluster_bits))) {
            break;
        }
    }
    return 0;
}

static void plan_cut(const Qcow2 *s, Plan *p, unsigned n)
{
    p->n = n;
    p->bytes = MIN(p->bytes, p->start + ((uint64_t)n << s->cluster_bits) - p->offset);
}

static int coroutine_fn plan_alloc(Qcow2 *s, Plan *p)
{
    plan_cut(s, p, p->n);
    if (p->own) {
        return 0;
    }
    if (s->external_data) {
        p->host = p->start;
        return 0;
    }
    uint64_t got;
    int ret = qcow2_alloc_some(s, p->n, &p->host, &got, &p->fresh);
    if (ret == 0) {
        p->fresh = (p->fresh || QCOW2_MUTATION(ALWAYS_FRESH)) && s->fresh_zero;
        plan_cut(s, p, got);
    }
    return ret;
}

/* How much has to be copied around `at` in the cluster of e: from its beginning, or from that of the
 * subcluster; nothing if it is there already. */
static bool whole_cluster(const Qcow2 *s, const Qcow2Entry *e, bool own)
{
    return !s->extended || (!own && ((e->raw & QCOW2_COMPRESSED) || (uint32_t)e->bitmap));
}

static void plan_copies(const Qcow2 *s, Plan *p)
{
    uint64_t end = p->offset + p->bytes;
    if (QCOW2_MUTATION(NO_COPY)) {
        return;
    }
    const Qcow2Entry *first = &p->old[0], *last = &p->old[p->n - 1];
    uint64_t unit = whole_cluster(s, first, p->own) ? s->cluster_size : s->subcluster_size;
    unsigned sub = (p->offset & (s->cluster_size - 1)) >> s->subcluster_bits;
    if (!p->own || qcow2_entry_kind(s, first, sub) != QCOW2_DATA) {
        p->head = p->offset & (unit - 1);
    }
    unit = whole_cluster(s, last, p->own) ? s->cluster_size : s->subcluster_size;
    sub = ((end - 1) & (s->cluster_size - 1)) >> s->subcluster_bits;
    if (!p->own || qcow2_entry_kind(s, last, sub) != QCOW2_DATA) {
        p->tail = -end & (unit - 1);
    }
}

/* Reads what is around the data; what is zeros in a fresh cluster needs no copy. */
static int coroutine_fn read_copies(Qcow2 *s, Plan *p, uint8_t *buf)
{
    int ret = 0;
    if (p->head) {
        struct iovec iov = { buf, p->head };
        IoVec vec = { &iov, 1, 1, p->head };
        block_debug_event(s->node->file, BLKDEBUG_EVENT_COW_READ);
        ret = qcow2_read(s->node, p->offset - p->head, p->head, &vec, 0);
    }
    if (p->tail && ret == 0) {
        struct iovec iov = { buf + p->head, p->tail };
        IoVec vec = { &iov, 1, 1, p->tail };
        uint64_t at = p->offset + p->bytes;
        /* Behind the end of the disk there is nothing, but for the VM state. */
        bool cut = p->offset < s->size && at + p->tail > s->size;
        uint64_t n = !cut ? p->tail : at < s->size ? s->size - at : 0;
        memset(buf + p->head + n, 0, p->tail - n);
        block_debug_event(s->node->file, BLKDEBUG_EVENT_COW_READ);
        ret = n ? qcow2_read(s->node, at, n, &vec, 0) : 0;
    }
    return ret;
}

static int coroutine_fn write_data(Qcow2 *s, uint64_t host, uint64_t bytes, IoVec *vec,
                                   size_t vec_offset)
{
    Qcow2Use use;
    int ret = s->external_data ? 0 : qcow2_check_overlap(s, 0, host, bytes);
    if (ret < 0) {
        return ret;
    }
    qcow2_use_begin(s, &use, host, bytes);
    block_debug_event(s->node->file, BLKDEBUG_EVENT_WRITE_AIO);
    ret = block_co_write(s->data, host, bytes, vec, vec_offset, 0);
    qcow2_use_end(s, &use);
    return ret;
}

static int coroutine_fn plan_write(Qcow2 *s, Plan *p, IoVec *vec, size_t vec_offset)
{
    uint64_t host = p->host + (p->offset - p->start);
    if (p->fresh && p->head && reads_zero(s, p->offset - p->head, p->head)) {
        p->head = 0;
    }
    if (p->fresh && p->tail && reads_zero(s, p->offset + p->bytes, p->tail)) {
        p->tail = 0;
    }
    if (p->fresh && !p->head && !p->tail) {
        trace(qcow2_skip_cow, "%s: offset 0x%" PRIx64 " clusters %u", s->node->name, p->offset,
              p->n);
    }
    if (!p->head && !p->tail) {
        return write_data(s, host, p->bytes, vec, vec_offset);
    }
    uint8_t *buf = block_alloc(s->data->node, p->head + p->tail);
    int ret = buf ? read_copies(s, p, buf) : -ENOMEM;
    if (ret == 0) {
        IoVec all;
        iovec_init(&all, vec->n + 2);
        if (p->head) {
            iovec_add(&all, buf, p->head);
        }
        iovec_add_slice(&all, vec, vec_offset, p->bytes);
        if (p->tail) {
            iovec_add(&all, buf + p->head, p->tail);
        }
        block_debug_event(s->node->file, BLKDEBUG_EVENT_COW_WRITE);
        ret = write_data(s, host - p->head, all.size, &all, 0);
        iovec_destroy(&all);
    }
    free(buf);
    return ret;
}

/* Subclusters of cluster i that are data now. */
static uint64_t data_bits(const Qcow2 *s, const Plan *p, unsigned i)
{
    uint64_t start = p->start + ((uint64_t)i << s->cluster_bits);
    uint64_t from = MAX(p->data_start, start), to = MIN(p->data_end, start + s->cluster_size);
    unsigned first = (from - start) >> s->subcluster_bits;
    unsigned end = (to - start + s->subcluster_size - 1) >> s->subcluster_bits;
    return ((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1);
}

static int coroutine_fn plan_enter(Qcow2 *s, Plan *p)
{
    bool changed = false;
    g_autofree Qcow2Entry *now = g_new0(Qcow2Entry, p->n);
    for (unsigned i = 0; i < p->n; i++) {
        now[i].raw = (p->host + ((uint64_t)i << s->cluster_bits)) | QCOW2_COPIED;
        if (s->extended) {
            uint64_t bits = data_bits(s, p, i);
            now[i].bitmap = (p->old[i].bitmap | bits) & ~(bits << 32);
        }
        changed |= now[i].raw != p->old[i].raw || now[i].bitmap != p->old[i].bitmap;
    }
    int ret = changed ? qcow2_set_l2(s, p->start, now, p->n) : 0;
    for (unsigned i = 0; ret == 0 && !p->own && i < p->n; i++) {
        qcow2_free_entry(s, &p->old[i], QCOW2_FREE_OTHER);
    }
    return ret;
}

/* Under a change. *done: bytes written. */
static int coroutine_fn write_new(Qcow2 *s, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset, uint64_t *done)
{
    Plan p = { .start = qcow2_cluster_start(s, offset), .offset = offset, .bytes = bytes };
    int ret = qcow2_make_l2(s, offset);
    if (ret == 0) {
        ret = plan_entries(s, &p);
    }
    if (ret == 0) {
        ret = plan_alloc(s, &p);
    }
    if (ret < 0) {
        g_free(p.old);
        return ret;
    }
    trace(qcow2_alloc_clusters_offset, "%s: offset 0x%" PRIx64 " bytes %" PRIu64 " host 0x%" PRIx64,
          s->node->name, p.offset, p.bytes, p.host);
    plan_copies(s, &p);
    p.data_start = p.offset - p.head;
    p.data_end = p.offset + p.bytes + p.tail;
    if (QCOW2_MUTATION(ENTRY_FIRST)) {
        ret = plan_enter(s, &p);
    }
    ret = ret == 0 ? plan_write(s, &p, vec, vec_offset) : ret;
    if (ret < 0 && QCOW2_MUTATION(KEEP_FAILED)) {
        plan_enter(s, &p);
    } else if (ret == 0 && !QCOW2_MUTATION(ENTRY_FIRST)) {
        ret = plan_enter(s, &p);
    }
    if (ret < 0 && !p.own && !s->external_data) {
        qcow2_refcount_add(s, p.host, (uint64_t)p.n << s->cluster_bits, -1, QCOW2_FREE_OTHER);
    }
    g_free(p.old);
    *done = p.bytes;
    return QCOW2_MUTATION(DROP_ERROR) ? 0 : ret;
}

static bool in_place(const Qcow2Run *run)
{
    return run->kind == QCOW2_DATA && run->copied;
}

/* One step: in place, or under a change. */
static int coroutine_fn write_step(Qcow2 *s, uint64_t offset, uint64_t bytes, IoVec *vec,
                                   size_t vec_offset, uint64_t *done)
{
    Qcow2Run run;
    Qcow2Change change;
    int ret = qcow2_lookup(s, offset, bytes, &run);
    if (ret < 0) {
        return ret;
    }
    if (in_place(&run)) {
        *done = run.bytes;
        return write_data(s, run.host, run.bytes, vec, vec_offset);
    }
    bytes = MIN(bytes, qcow2_slice_rest(s, offset));
    bool waited = qcow2_change_begin(s, &change, qcow2_cluster_start(s, offset),
                                     qcow2_cluster_end(s, offset + bytes));
    *done = 0; /* look again: what we waited for may have done our work */
    if (!waited) {
        ret = write_new(s, offset, bytes, vec, vec_offset, done);
    } else {
        ret = qcow2_lookup(s, offset, bytes, &run);
        if (ret == 0 && !in_place(&run)) {
            ret = write_new(s, offset, bytes, vec, vec_offset, done);
        }
    }
    qcow2_change_end(s, &change);
    return ret;
}

int coroutine_fn qcow2_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                             size_t vec_offset, unsigned flags)
{
    Qcow2 *s = node->state;
    trace(qcow2_writev_start_req, "%s: offset 0x%" PRIx64 " bytes %" PRIu64, node->name, offset,
          bytes);
    int ret = qcow2_start_writing(s);
    while (ret == 0 && bytes) {
        uint64_t done = 0;
        ret = write_step(s, offset, bytes, vec, vec_offset, &done);
        offset += done;
        vec_offset += done;
        bytes -= done;
    }
    trace(qcow2_writev_done_req, "%s: ret %d", node->name, ret);
    return ret < 0 ? ret : qcow2_relieve(s);
}

/* ---- zeros and discards ---- */

typedef struct Unmap {
    uint64_t offset, end; /* of the request */
    bool zero;            /* reads as zeros afterwards; else as if it had never been */
    bool keep;            /* the cluster stays reserved */
    Qcow2FreeReason reason;
} Unmap;

/* What becomes of one entry: true if it changes. first, end: subclusters. */
static bool unmap_entry(const Qcow2 *s, const Unmap *u, Qcow2Entry *e, unsigned first, unsigned end)
{
    Qcow2Entry old = *e;
    bool keep = u->keep && !(e->raw & QCOW2_COMPRESSED);
    if (!s->extended) {
        e->raw = keep ? e->raw & ~QCOW2_ZERO : 0;
        e->raw |= u->zero && s->version >= 3 ? QCOW2_ZERO : 0;
    } else if (end - first == s->subclusters) {
        e->raw = keep ? e->raw : 0;
        e->bitmap = u->zero ? UINT64_C(0xffffffff) << 32 : 0;
    } else {
        uint64_t bits = ((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1);
        e->bitmap = (e->bitmap | bits << 32) & ~bits;
    }
    return e->raw != old.raw || e->bitmap != old.bitmap;
}

/* Nothing to be done for what is as it should be. */
static bool unmap_needed(const Qcow2 *s, const Unmap *u, const Qcow2Entry *e, uint64_t offset)
{
    bool empty = e->raw == 0 && e->bitmap == 0;
    return !(empty && (!u->zero || behind_backing(s, offset)));
}

/* Clusters (subclusters at the ends) of one slice, under a change. */
static int coroutine_fn unmap_slice(Qcow2 *s, const Unmap *u, uint64_t offset, uint64_t bytes)
{
    uint64_t start = qcow2_cluster_start(s, offset), end = offset + bytes;
    unsigned n = qcow2_clusters(s, end - start), changed = 0;
    g_autofree Qcow2Entry *old = g_new(Qcow2Entry, n);
    g_autofree Qcow2Entry *now = g_new(Qcow2Entry, n);
    for (unsigned i = 0; i < n; i++) {
        uint64_t at = start + ((uint64_t)i << s->cluster_bits);
        int ret = qcow2_get_l2(s, at, &old[i]);
        if (ret < 0) {
            return ret;
        }
        now[i] = old[i];
        unsigned first = (MAX(at, offset) - at) >> s->subcluster_bits;
        unsigned last =
            (MIN(at + s->cluster_size, end) - at + s->subcluster_size - 1) >> s->subcluster_bits;
        if (last - first < s->subclusters && (old[i].raw & QCOW2_COMPRESSED)) {
            return -ENOTSUP;
        }
        if (unmap_needed(s, u, &old[i], at)) {
            changed += unmap_entry(s, u, &now[i], first, last);
        }
    }
    if (!changed) {
        return 0;
    }
    int ret = qcow2_make_l2(s, start);
    if (ret == 0) {
        ret = qcow2_set_l2(s, start, now, n);
    }
    for (unsigned i = 0; ret == 0 && i < n; i++) {
        if ((old[i].raw & ~QCOW2_ZERO) && !(now[i].raw & ~QCOW2_ZERO)) {
            qcow2_free_entry(s, &old[i], u->reason);
        }
    }
    return ret;
}

/* The request covers a part of the subclusters at its ends: the rest has to be zeros already. Under the
 * change nobody can make it something else: there is no cluster to write in place. */
static bool coroutine_fn ends_fit(Qcow2 *s, const Unmap *u, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes, after = MIN(end, s->size);
    if (offset < u->offset && !reads_zero(s, offset, u->offset - offset)) {
        return false;
    }
    return u->end >= after || reads_zero(s, u->end, after - u->end);
}

static int coroutine_fn unmap(Qcow2 *s, const Unmap *u, uint64_t offset, uint64_t bytes)
{
    int ret = qcow2_start_writing(s);
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, qcow2_slice_rest(s, offset));
        Qcow2Change change;
        qcow2_change_begin(s, &change, qcow2_cluster_start(s, offset),
                           qcow2_cluster_end(s, offset + n));
        ret = ends_fit(s, u, offset, n) ? unmap_slice(s, u, offset, n) : -ENOTSUP;
        qcow2_change_end(s, &change);
        offset += n;
        bytes -= n;
        if (ret == 0) {
            ret = qcow2_relieve(s);
        }
    }
    return ret;
}

int coroutine_fn qcow2_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                    unsigned flags)
{
    Qcow2 *s = node->state;
    uint64_t mask = s->subcluster_size - 1, end = offset + bytes;
    uint64_t first = offset & ~mask, last = (end + mask) & ~mask;
    bool may_unmap = flags & BLOCK_MAY_UNMAP;
    trace(qcow2_pwrite_zeroes, "%s: offset 0x%" PRIx64 " bytes %" PRIu64, node->name, offset,
          bytes);
    if (s->version < 3 &&
        (!may_unmap || node->backing || first < offset || (last > end && end < s->size))) {
        return -ENOTSUP; /* there is no entry for zeros */
    }
    if (s->external_data && (!may_unmap || s->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW)) {
        int ret = block_co_write_zeroes(s->data, offset, bytes, flags & BLOCK_MAY_UNMAP);
        if (ret < 0) {
            return ret;
        }
    }
    Unmap u = { offset, end, true, !may_unmap || s->discard_no_unref, QCOW2_FREE_REQUEST };
    return unmap(s, &u, first, last - first);
}

int coroutine_fn qcow2_discard_clusters(Qcow2 *s, uint64_t offset, uint64_t bytes, bool full,
                                        Qcow2FreeReason reason)
{
    Unmap u = { offset, offset + bytes, !full, !full && s->discard_no_unref, reason };
    return unmap(s, &u, offset, bytes);
}

int coroutine_fn qcow2_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Qcow2 *s = node->state;
    uint64_t end = offset + bytes;
    uint64_t first = qcow2_cluster_end(s, offset);
    uint64_t last = end >= s->size ? qcow2_cluster_end(s, end) : qcow2_cluster_start(s, end);
    if (s->version < 3 && node->backing) {
        return -ENOTSUP; /* the backing file would show */
    }
    if (first >= last) {
        return 0;
    }
    int ret = qcow2_discard_clusters(s, first, last - first, false, QCOW2_FREE_REQUEST);
    if (ret == 0 && s->external_data && s->discard_request) {
        block_co_discard(s->data, first, MIN(last, end) - first); /* a hint */
    }
    return ret;
}

/* ---- status ---- */

int coroutine_fn qcow2_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                    uint64_t bytes, uint64_t *pnum, uint64_t *map, BlockNode **file)
{
    Qcow2 *s = node->state;
    Qcow2Run run;
    int ret = qcow2_lookup(s, offset, bytes, &run);
    if (ret < 0) {
        return ret;
    }
    *pnum = run.bytes;
    *map = run.host;
    *file = s->data->node;
    unsigned place = run.reserved && run.kind != QCOW2_PACKED ? BLOCK_STATUS_OFFSET : 0;
    switch (run.kind) {
    case QCOW2_ZEROS:
        return BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED | place;
    case QCOW2_DATA:
        return BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | place;
    case QCOW2_PACKED:
        return BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_COMPRESSED;
    default:
        return 0;
    }
}
