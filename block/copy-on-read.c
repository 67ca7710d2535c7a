/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy-on-read: what is read from a backing file is written to the image, so that the next read finds it
 * there. Options: qapi/block-core.json.
 *
 * R1  Between reading and writing back nobody changes the range through this node: a copy is exclusive
 *     with all writes that overlap it. (The node does not let others write to the image.)
 * R2  A copy that cannot be written is not an error of the read that wanted the data.
 */
#include "util/osdep.h"
#include "block/image.h"

#include "internal.h"
#include "util/error.h"

#define COPY_MAX (1u << 20)

typedef struct Range {
    uint64_t start, end;
    bool copy;
    GList link;
    CoQueue waiters;
} Range;

typedef struct CorState {
    GQueue ranges;     /* oldest first */
    BlockNode *bottom; /* last of the chain that is not copied from; NULL: all are */
    uint64_t unit;     /* of copies */
} CorState;

/* ---- R1 ---- */

static Range *older_conflict(CorState *s, const Range *mine)
{
    for (GList *l = s->ranges.head; l->data != mine; l = l->next) {
        Range *r = l->data;
        if ((r->copy || mine->copy) && r->start < mine->end && mine->start < r->end) {
            return r;
        }
    }
    return NULL;
}

static void coroutine_fn range_begin(CorState *s, Range *r, uint64_t start, uint64_t end, bool copy)
{
    *r = (Range){ .start = start, .end = end, .copy = copy, .link.data = r };
    co_queue_init(&r->waiters);
    g_queue_push_tail_link(&s->ranges, &r->link);
    Range *other;
    while ((other = older_conflict(s, r))) {
        co_queue_wait(&other->waiters);
    }
}

static void range_end(CorState *s, Range *r)
{
    g_queue_unlink(&s->ranges, &r->link);
    co_queue_restart_all(&r->waiters);
}

/* ---- opening ---- */

static bool find_bottom(BlockNode *node, const char *name, GError **error)
{
    CorState *s = node->state;
    BlockNode *bottom = block_lookup(name, error);
    if (!bottom) {
        error_prefix(error, "Bottom node not found: ");
        return false;
    }
    for (BlockNode *n = block_backing_node(node->file->node); n; n = block_backing_node(n)) {
        if (n == bottom) {
            /* It and what is above it are copied from; what is behind it is not. */
            s->bottom = block_backing_node(bottom);
            return true;
        }
    }
    return error_set(error, "Bottom node '%s' not found in the backing chain", name);
}

static bool cor_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                     GError **error)
{
    CorState *s = node->state;
    const BlockdevOptionsCor *o = &options->u.copy_on_read;
    g_queue_init(&s->ranges);
    node->any_context = true;
    if (!block_open_child(node, "file", BLOCK_ROLE_FILTERED, o->file, flags, error)) {
        return false;
    }
    BlockDriverInfo info;
    s->unit = block_node_info(node->file->node, &info) == 0 && info.cluster_size ? info.cluster_size
                                                                                 : 65536;
    node->write_flags = node->file->node->write_flags & BLOCK_FUA;
    node->zero_flags = node->file->node->zero_flags;
    return !o->bottom || find_bottom(node, o->bottom, error);
}

static void cor_child_perm(BlockNode *node, const BlockEdge *child, unsigned perm, unsigned shared,
                           unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm;
    *child_shared = shared & ~(perm & BLOCK_PERM_CONSISTENT_READ ? BLOCK_PERM_WRITE : 0);
    if ((perm & BLOCK_PERM_CONSISTENT_READ) && !child->node->read_only && !node->inactive) {
        *child_perm |= BLOCK_PERM_WRITE_UNCHANGED;
    }
}

/* ---- reading ---- */

static bool may_copy(const BlockNode *node)
{
    return (node->file->perm & (BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED)) &&
           !node->file->node->read_only && !node->file->node->inactive;
}

/* Whether [offset, offset + *bytes) is to be copied; *bytes may shrink. */
static int coroutine_fn wanted(BlockNode *node, uint64_t offset, uint64_t *bytes)
{
    CorState *s = node->state;
    uint64_t n;
    BlockNode *top = block_skip_filters(node->file->node);
    int ret = block_co_status(top, false, offset, *bytes, &n, NULL, NULL);
    if (ret < 0 || n == 0) {
        return ret < 0 ? ret : 0;
    }
    *bytes = MIN(*bytes, n);
    if (ret & BLOCK_STATUS_ALLOCATED) {
        return 0;
    }
    if (!s->bottom) {
        return 1;
    }
    ret = block_co_status_above(top, s->bottom, false, offset, *bytes, &n, NULL, NULL, NULL);
    if (ret >= 0 && n) {
        *bytes = MIN(*bytes, n);
    }
    return ret < 0 ? ret : !!(ret & BLOCK_STATUS_ALLOCATED);
}

/* Reads whole units into a buffer and writes them back. */
static int coroutine_fn copy(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                             size_t vec_offset)
{
    CorState *s = node->state;
    int64_t length = block_node_length(node->file->node);
    uint64_t start = ROUND_DOWN(offset, s->unit), end = ROUND_UP(offset + bytes, s->unit);
    end = length > 0 ? MIN(end, (uint64_t)length) : end;
    void *buf = block_alloc(node->file->node, end - start);
    if (!buf) {
        return block_co_read(node->file, offset, bytes, vec, vec_offset, 0);
    }
    Range range;
    range_begin(s, &range, start, end, true);
    int ret = block_co_read_buf(node->file, start, end - start, buf, 0);
    if (ret == 0) {
        iovec_from_buf(vec, vec_offset, (uint8_t *)buf + (offset - start), bytes);
        /* Somebody may have written meanwhile, before we were alone: only what is still not there. */
        uint64_t n = end - start;
        if (wanted(node, start, &n) == 1 && may_copy(node)) {
            block_debug_event(node->file, BLKDEBUG_EVENT_COR_WRITE);
            block_co_write_buf(node->file, start, n, buf, BLOCK_UNCHANGED); /* R2 */
        }
    }
    range_end(s, &range);
    free(buf);
    return ret;
}

static int coroutine_fn cor_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                 size_t vec_offset)
{
    int ret = 0;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, COPY_MAX);
        int want = may_copy(node) ? wanted(node, offset, &n) : 0;
        if (want > 0) {
            ret = copy(node, offset, n, vec, vec_offset);
        } else {
            ret = block_co_read(node->file, offset, n, vec, vec_offset, 0);
        }
        offset += n;
        vec_offset += n;
        bytes -= n;
    }
    return ret;
}

/* ---- the others ---- */

static int coroutine_fn cor_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset, unsigned flags)
{
    Range range;
    range_begin(node->state, &range, offset, offset + bytes, false);
    int ret = block_co_write(node->file, offset, bytes, vec, vec_offset, flags);
    range_end(node->state, &range);
    return ret;
}

static int coroutine_fn cor_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                                             IoVec *vec, size_t vec_offset)
{
    return cor_write(node, offset, bytes, vec, vec_offset, BLOCK_COMPRESSED);
}

static int coroutine_fn cor_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         unsigned flags)
{
    Range range;
    range_begin(node->state, &range, offset, offset + bytes, false);
    int ret = block_co_write_zeroes(node->file, offset, bytes, flags);
    range_end(node->state, &range);
    return ret;
}

static int coroutine_fn cor_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Range range;
    range_begin(node->state, &range, offset, offset + bytes, false);
    int ret = block_co_discard(node->file, offset, bytes);
    range_end(node->state, &range);
    return ret;
}

static int coroutine_fn cor_truncate(BlockNode *node, uint64_t length, bool exact,
                                     PreallocMode prealloc, GError **error)
{
    return block_co_truncate(node->file, length, exact, prealloc, error);
}

static int coroutine_fn cor_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                         uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                         BlockNode **file)
{
    *pnum = bytes;
    *map = offset;
    *file = node->file->node;
    return BLOCK_STATUS_OFFSET | BLOCK_STATUS_RECURSE;
}

static const BlockDriver copy_on_read_driver = {
    .name = "copy-on-read",
    .kind = BLOCK_FILTER,
    .qapi_driver = BLOCKDEV_DRIVER_COPY_ON_READ,
    .state_size = sizeof(CorState),
    .open = cor_open,
    .child_perm = cor_child_perm,
    .read = cor_read,
    .write = cor_write,
    .write_compressed = cor_write_compressed,
    .write_zeroes = cor_write_zeroes,
    .discard = cor_discard,
    .truncate = cor_truncate,
    .block_status = cor_block_status,
};
BLOCK_DRIVER_REGISTER(copy_on_read_driver)
