/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of nodes: bounds, alignment with read-modify-write, conflicts, splitting, fallbacks,
 * flush. The rules B1 to B4 are in block/block.h.
 *
 * Each request is on its node's list from begin to end, in the order of arrival. request_begin()
 * lets it wait for older ones in conflict with it, so whether it is serialising has to be known by
 * then; it is, because that depends on offset and length alone.
 */
#include "util/osdep.h"
#include "block/block.h"

#include "internal.h"
#include "util/error.h"

/* Largest buffer of ours for one step of a request. */
#define BOUNCE_MAX (1u << 20)
/* Memory that begins at a page, if it is that large. */
#define PAGE_ALIGN ((size_t)4096)

struct BlockRequest {
    GList link;
    uint64_t start, end; /* what it may touch, padding included */
    bool serialising;
    bool writes;
    CoQueue waiters;
};

void block_node_init_io(BlockNode *node)
{
    g_queue_init(&node->requests);
    co_queue_init(&node->flush_queue);
    node->limits = (BlockLimits){ .request_align = 1, .memory_align = 1 };
}

bool block_node_busy(const BlockNode *node)
{
    return node->in_flight != 0;
}

void *block_alloc(BlockNode *node, size_t size)
{
    /* The kernel copies a quarter faster between pages than between places within them. */
    size_t align = MAX(node->limits.memory_align, size >= PAGE_ALIGN ? PAGE_ALIGN : sizeof(void *));
    void *p = NULL;
    if (posix_memalign(&p, align, ROUND_UP(MAX(size, 1), node->limits.memory_align)) != 0) {
        return NULL;
    }
    return p;
}

/* ---- conflicts (B3) ---- */

static bool requests_conflict(const BlockRequest *a, const BlockRequest *b)
{
    return (a->serialising || b->serialising) && (a->writes || b->writes) && a->start < b->end &&
           b->start < a->end;
}

static BlockRequest *older_conflict(BlockNode *node, const BlockRequest *req)
{
    for (GList *l = node->requests.head; l->data != req; l = l->next) {
        if (requests_conflict(l->data, req)) {
            return l->data;
        }
    }
    return NULL;
}

static void coroutine_fn request_begin(BlockNode *node, BlockRequest *req, uint64_t start,
                                       uint64_t end, bool writes, bool serialising)
{
    *req =
        (BlockRequest){ .start = start, .end = end, .writes = writes, .serialising = serialising };
    req->link.data = req;
    co_queue_init(&req->waiters);
    g_queue_push_tail_link(&node->requests, &req->link);
    BlockRequest *other;
    while ((other = older_conflict(node, req))) {
        co_queue_wait(&other->waiters);
    }
}

static void request_end(BlockNode *node, BlockRequest *req)
{
    g_queue_unlink(&node->requests, &req->link);
    co_queue_restart_all(&req->waiters);
}

/* ---- checks (B1) ---- */

static int check_range(uint64_t offset, uint64_t bytes)
{
    if (offset > BLOCK_MAX_LENGTH || bytes > BLOCK_MAX_LENGTH - offset) {
        return -EIO;
    }
    return 0;
}

static int check_write(const BlockEdge *edge, uint64_t offset, uint64_t bytes, unsigned flags)
{
    const BlockNode *node = edge->node;
    unsigned need =
        flags & BLOCK_UNCHANGED ? BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED : BLOCK_PERM_WRITE;
    if (node->read_only || node->inactive || !(edge->perm & need)) {
        return -EPERM;
    }
    return check_range(offset, bytes);
}

/* Writing behind the end is resizing, where it is possible at all. */
static int check_end(const BlockEdge *edge, uint64_t end)
{
    if ((edge->perm & BLOCK_PERM_RESIZE) && !edge->node->driver->fixed_length) {
        return 0;
    }
    int64_t length = block_node_length(edge->node);
    if (length < 0) {
        return length;
    }
    return end <= ROUND_UP((uint64_t)length, edge->node->limits.request_align) ? 0 : -ENOSPC;
}

/* ---- aligned requests: splitting, memory that the driver cannot use ---- */

static bool memory_fits(const BlockNode *node, const IoVec *vec, size_t vec_offset, uint64_t bytes)
{
    /* Those with children only say what memory is preferred: who needs it checks it. */
    size_t align = node->file ? 1 : node->limits.memory_align;
    unsigned max_iov = node->limits.max_iov ? MIN(node->limits.max_iov, IOV_MAX) : IOV_MAX;
    unsigned n = 0;
    for (unsigned i = 0; i < vec->n && bytes; i++) {
        size_t len = vec->iov[i].iov_len;
        if (vec_offset >= len) {
            vec_offset -= len;
            continue;
        }
        size_t part = MIN(len - vec_offset, bytes);
        if (((uintptr_t)vec->iov[i].iov_base + vec_offset) % align || part % align) {
            return false;
        }
        vec_offset = 0;
        bytes -= part;
        n++;
    }
    return n <= max_iov;
}

/* Largest step of a request of `bytes`, a multiple of the alignment. */
static uint64_t step_max(const BlockNode *node, uint64_t limit)
{
    uint64_t align = node->limits.request_align;
    uint64_t max = limit ? MIN(limit, BLOCK_MAX_REQUEST) : BLOCK_MAX_REQUEST;
    return MAX(max - max % align, align);
}

static int coroutine_fn read_bounced(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset)
{
    uint64_t max = step_max(
        node, MIN(node->limits.max_transfer ? node->limits.max_transfer : BOUNCE_MAX, BOUNCE_MAX));
    void *buf = block_alloc(node, MIN(bytes, max));
    int ret = buf ? 0 : -ENOMEM;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, max);
        struct iovec iov = { buf, n };
        IoVec bounce = { &iov, 1, 1, n };
        ret = node->driver->read(node, offset, n, &bounce, 0);
        if (ret == 0) {
            iovec_from_buf(vec, vec_offset, buf, n);
        }
        offset += n;
        vec_offset += n;
        bytes -= n;
    }
    free(buf);
    return ret;
}

static int coroutine_fn read_aligned(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset)
{
    if (!memory_fits(node, vec, vec_offset, bytes)) {
        return read_bounced(node, offset, bytes, vec, vec_offset);
    }
    uint64_t max = step_max(node, node->limits.max_transfer);
    int ret = 0;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, max);
        ret = node->driver->read(node, offset, n, vec, vec_offset);
        offset += n;
        vec_offset += n;
        bytes -= n;
    }
    return ret;
}

static int coroutine_fn write_bounced(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                      size_t vec_offset, unsigned flags)
{
    uint64_t max = step_max(
        node, MIN(node->limits.max_transfer ? node->limits.max_transfer : BOUNCE_MAX, BOUNCE_MAX));
    void *buf = block_alloc(node, MIN(bytes, max));
    int ret = buf ? 0 : -ENOMEM;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, max);
        struct iovec iov = { buf, n };
        IoVec bounce = { &iov, 1, 1, n };
        iovec_to_buf(vec, vec_offset, buf, n);
        ret = node->driver->write(node, offset, n, &bounce, 0, flags);
        offset += n;
        vec_offset += n;
        bytes -= n;
    }
    free(buf);
    return ret;
}

static int coroutine_fn write_steps(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                    size_t vec_offset, unsigned flags)
{
    if (!memory_fits(node, vec, vec_offset, bytes)) {
        return write_bounced(node, offset, bytes, vec, vec_offset, flags);
    }
    uint64_t max = step_max(node, node->limits.max_transfer);
    int ret = 0;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, max);
        ret = node->driver->write(node, offset, n, vec, vec_offset, flags);
        offset += n;
        vec_offset += n;
        bytes -= n;
    }
    return ret;
}

/* ---- zeros ---- */

static uint8_t zero_page[BOUNCE_MAX]; /* never written */

/* Writes zeros from memory. */
static int coroutine_fn write_zero_data(BlockNode *node, uint64_t offset, uint64_t bytes,
                                        unsigned flags)
{
    int ret = 0;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, BOUNCE_MAX);
        struct iovec iov = { zero_page, n };
        IoVec vec = { &iov, 1, 1, n };
        ret = write_steps(node, offset, n, &vec, 0, flags & node->write_flags);
        offset += n;
        bytes -= n;
    }
    return ret;
}

/* BLOCK_FUA for a driver that does not know it. The flush must not take the node for clean. */
static int coroutine_fn flush_written(BlockNode *node)
{
    node->write_gen++;
    return block_co_flush(node);
}

static int coroutine_fn zero_step(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    int ret = node->driver->write_zeroes
                  ? node->driver->write_zeroes(node, offset, bytes, flags & node->zero_flags)
                  : -ENOTSUP;
    if (ret == -ENOTSUP && !(flags & BLOCK_NO_FALLBACK)) {
        ret = node->driver->write ? write_zero_data(node, offset, bytes, flags) : -ENOTSUP;
        if (ret == 0 && (flags & BLOCK_FUA & ~node->write_flags)) {
            ret = flush_written(node);
        }
        return ret;
    }
    if (ret == 0 && (flags & BLOCK_FUA & ~node->zero_flags)) {
        ret = flush_written(node);
    }
    return ret;
}

/* Aligned to the request alignment; the driver may like a larger one for this. */
static int coroutine_fn zero_aligned(BlockNode *node, uint64_t offset, uint64_t bytes,
                                     unsigned flags)
{
    uint64_t align = MAX(node->limits.zero_align, node->limits.request_align);
    uint64_t max =
        node->limits.max_zero ? MIN(node->limits.max_zero, BLOCK_MAX_REQUEST) : BLOCK_MAX_REQUEST;
    max = MAX(max - max % align, align);
    if (!node->discard_unmap) {
        flags &= ~BLOCK_MAY_UNMAP;
    }
    int ret = 0;
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, max);
        if (offset % align) {
            n = MIN(n, align - offset % align); /* up to the next boundary */
        } else if (n > align) {
            n -= n % align; /* whole units, then the rest */
        }
        ret = zero_step(node, offset, n, flags);
        offset += n;
        bytes -= n;
    }
    return ret;
}

static bool is_zero(const IoVec *vec, size_t offset, uint64_t bytes)
{
    for (unsigned i = 0; i < vec->n && bytes; i++) {
        size_t len = vec->iov[i].iov_len;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        const uint8_t *p = (const uint8_t *)vec->iov[i].iov_base + offset;
        size_t n = MIN(len - offset, bytes);
        if (p[0] != 0 || memcmp(p, p + 1, n - 1) != 0) {
            return false;
        }
        offset = 0;
        bytes -= n;
    }
    return true;
}

/* ---- after a change ---- */

static void node_written(BlockNode *node, uint64_t end)
{
    node->write_gen++;
    node->wr_highest_offset = MAX(node->wr_highest_offset, end);
    if (node->length >= 0 && end > (uint64_t)node->length) {
        node->length = end;
    }
}

/* ---- writes ---- */

static int coroutine_fn write_aligned(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                      size_t vec_offset, unsigned flags)
{
    int ret;
    if (node->detect_zeroes != BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF && node->driver->write_zeroes &&
        is_zero(vec, vec_offset, bytes)) {
        unsigned f = flags;
        if (node->detect_zeroes == BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP) {
            f |= BLOCK_MAY_UNMAP;
        }
        ret = zero_aligned(node, offset, bytes, f);
    } else {
        ret = write_steps(node, offset, bytes, vec, vec_offset, flags & node->write_flags);
        if (ret == 0 && (flags & BLOCK_FUA & ~node->write_flags)) {
            ret = flush_written(node);
        }
    }
    /* Count it even if it failed half-way: a flush must not be skipped for what was written. */
    node_written(node, ret == 0 ? offset + bytes : 0);
    return ret;
}

/* Padding of a request to whole blocks. Both blocks may be the same one. */
typedef struct Padding {
    size_t head, tail; /* bytes before and behind the request's */
    uint8_t *buf;      /* the block of the head, then that of the tail (if it is another) */
    uint8_t *tail_block;
    bool merged; /* one block */
} Padding;

static bool padding_needed(const BlockNode *node, uint64_t offset, uint64_t bytes)
{
    uint64_t mask = node->limits.request_align - 1;
    return ((offset | bytes) & mask) != 0;
}

static int padding_init(Padding *pad, BlockNode *node, uint64_t offset, uint64_t bytes)
{
    size_t align = node->limits.request_align;
    uint64_t end = offset + bytes;
    *pad = (Padding){ .head = offset % align, .tail = (align - end % align) % align };
    pad->merged = pad->head && pad->tail && offset / align == (end - 1) / align;
    pad->buf = block_alloc(node, 2 * align);
    if (!pad->buf) {
        return -ENOMEM;
    }
    pad->tail_block = pad->head && !pad->merged ? pad->buf + align : pad->buf;
    return 0;
}

static int coroutine_fn padding_read_block(BlockNode *node, uint64_t offset, void *buf,
                                           BlkdebugEvent before, BlkdebugEvent after)
{
    size_t align = node->limits.request_align;
    struct iovec iov = { buf, align };
    IoVec vec = { &iov, 1, 1, align };
    if (node->driver->debug_event) {
        node->driver->debug_event(node, before);
    }
    int ret = read_aligned(node, offset, align, &vec, 0);
    if (ret == 0 && node->driver->debug_event) {
        node->driver->debug_event(node, after);
    }
    return ret;
}

/* B2: what is not ours has to be read before it is written back. */
static int coroutine_fn padding_read(Padding *pad, BlockNode *node, uint64_t offset, uint64_t bytes)
{
    size_t align = node->limits.request_align;
    int ret = 0;
    if (pad->head) {
        ret =
            padding_read_block(node, offset - pad->head, pad->buf, BLKDEBUG_EVENT_PWRITEV_RMW_HEAD,
                               BLKDEBUG_EVENT_PWRITEV_RMW_AFTER_HEAD);
    }
    if (ret == 0 && pad->tail && !pad->merged) {
        ret = padding_read_block(node, offset + bytes + pad->tail - align, pad->tail_block,
                                 BLKDEBUG_EVENT_PWRITEV_RMW_TAIL,
                                 BLKDEBUG_EVENT_PWRITEV_RMW_AFTER_TAIL);
    }
    return ret;
}

/* The padded request's vector. */
static void padding_vec(const Padding *pad, BlockNode *node, IoVec *vec, size_t vec_offset,
                        uint64_t bytes, IoVec *padded)
{
    iovec_init(padded, vec->n + 2);
    if (pad->head) {
        iovec_add(padded, pad->buf, pad->head);
    }
    iovec_add_slice(padded, vec, vec_offset, bytes);
    if (pad->tail) {
        iovec_add(padded, pad->tail_block + node->limits.request_align - pad->tail, pad->tail);
    }
}

static int coroutine_fn write_padded(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset, unsigned flags)
{
    Padding pad;
    int ret = padding_init(&pad, node, offset, bytes);
    if (ret == 0) {
        ret = padding_read(&pad, node, offset, bytes);
    }
    if (ret == 0) {
        IoVec padded;
        padding_vec(&pad, node, vec, vec_offset, bytes, &padded);
        ret =
            write_aligned(node, offset - pad.head, pad.head + bytes + pad.tail, &padded, 0, flags);
        iovec_destroy(&padded);
    }
    free(pad.buf);
    return ret;
}

static void coroutine_fn node_event(BlockNode *node, BlkdebugEvent event)
{
    if (node->driver->debug_event) {
        node->driver->debug_event(node, event);
    }
}

/* Clusters that the image's end cuts off are whole for this. Drivers take no flags here: FUA is a
 * flush. */
static int coroutine_fn write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         IoVec *vec, size_t vec_offset, unsigned flags)
{
    if (!node->driver->write_compressed) {
        return -ENOTSUP;
    }
    int ret = node->driver->write_compressed(node, offset, bytes, vec, vec_offset);
    if (ret == 0 && (flags & BLOCK_FUA)) {
        ret = flush_written(node);
    }
    node_written(node, ret == 0 ? offset + bytes : 0);
    return ret;
}

int coroutine_fn block_co_write(BlockEdge *edge, uint64_t offset, uint64_t bytes, IoVec *vec,
                                size_t vec_offset, unsigned flags)
{
    BlockNode *node = edge->node;
    uint64_t align = node->limits.request_align;
    int ret = check_write(edge, offset, bytes, flags);
    if (ret == 0) {
        ret = check_end(edge, offset + bytes);
    }
    if (ret < 0 || bytes == 0) {
        return ret;
    }
    if (!node->driver->write) {
        return -ENOTSUP;
    }
    bool pad = padding_needed(node, offset, bytes);
    BlockRequest req;
    node->in_flight++;
    request_begin(node, &req, ROUND_DOWN(offset, align), ROUND_UP(offset + bytes, align), true,
                  pad || (flags & BLOCK_SERIALISING));
    if (flags & BLOCK_COMPRESSED) {
        ret = pad ? -EINVAL : write_compressed(node, offset, bytes, vec, vec_offset, flags);
    } else if (pad) {
        ret = write_padded(node, offset, bytes, vec, vec_offset, flags);
    } else {
        node_event(node, BLKDEBUG_EVENT_PWRITEV);
        ret = write_aligned(node, offset, bytes, vec, vec_offset, flags);
        node_event(node, BLKDEBUG_EVENT_PWRITEV_DONE);
    }
    request_end(node, &req);
    node->in_flight--;
    return ret;
}

/* The part of a write-zeroes request in a block of which it does not cover all. */
static int coroutine_fn zero_part(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    struct iovec iov = { zero_page, bytes };
    IoVec vec = { &iov, 1, 1, bytes };
    uint8_t *zeros = NULL;
    if (bytes > BOUNCE_MAX) {
        zeros = g_try_malloc0(bytes); /* blocks are up to BLOCK_MAX_ALIGN */
        if (!zeros) {
            return -ENOMEM;
        }
        iov.iov_base = zeros;
    }
    int ret =
        write_padded(node, offset, bytes, &vec, 0, flags & ~(BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK));
    g_free(zeros);
    return ret;
}

static int coroutine_fn zero_padded(BlockNode *node, uint64_t offset, uint64_t bytes,
                                    unsigned flags)
{
    uint64_t align = node->limits.request_align;
    uint64_t end = offset + bytes;
    uint64_t first = ROUND_UP(offset, align), last = ROUND_DOWN(end, align);
    if (flags & BLOCK_NO_FALLBACK) {
        return -ENOTSUP; /* a part of a block has to be written */
    }
    if (first > last) {
        return zero_part(node, offset, bytes, flags);
    }
    int ret = 0;
    if (first > offset) {
        ret = zero_part(node, offset, first - offset, flags);
    }
    if (ret == 0 && last > first) {
        ret = zero_aligned(node, first, last - first, flags);
    }
    if (ret == 0 && end > last) {
        ret = zero_part(node, last, end - last, flags);
    }
    return ret;
}

int coroutine_fn block_co_write_zeroes(BlockEdge *edge, uint64_t offset, uint64_t bytes,
                                       unsigned flags)
{
    BlockNode *node = edge->node;
    uint64_t align = node->limits.request_align;
    int ret = check_write(edge, offset, bytes, flags);
    if (ret == 0) {
        ret = check_end(edge, offset + bytes);
    }
    if (ret < 0 || bytes == 0) {
        return ret;
    }
    bool pad = padding_needed(node, offset, bytes);
    BlockRequest req;
    node->in_flight++;
    request_begin(node, &req, ROUND_DOWN(offset, align), ROUND_UP(offset + bytes, align), true,
                  pad || (flags & BLOCK_SERIALISING));
    node_event(node, BLKDEBUG_EVENT_PWRITEV_ZERO);
    ret = pad ? zero_padded(node, offset, bytes, flags) : zero_aligned(node, offset, bytes, flags);
    node_written(node, ret == 0 ? offset + bytes : 0);
    request_end(node, &req);
    node->in_flight--;
    return ret;
}

/* ---- reads ---- */

static int coroutine_fn read_padded(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                    size_t vec_offset)
{
    Padding pad;
    int ret = padding_init(&pad, node, offset, bytes);
    if (ret == 0) {
        IoVec padded;
        padding_vec(&pad, node, vec, vec_offset, bytes, &padded);
        ret = read_aligned(node, offset - pad.head, pad.head + bytes + pad.tail, &padded, 0);
        iovec_destroy(&padded);
    }
    free(pad.buf);
    return ret;
}

int coroutine_fn block_co_read(BlockEdge *edge, uint64_t offset, uint64_t bytes, IoVec *vec,
                               size_t vec_offset, unsigned flags)
{
    BlockNode *node = edge->node;
    uint64_t align = node->limits.request_align;
    int ret = check_range(offset, bytes);
    if (ret < 0 || bytes == 0) {
        return ret;
    }
    BlockRequest req;
    node->in_flight++;
    request_begin(node, &req, ROUND_DOWN(offset, align), ROUND_UP(offset + bytes, align), false,
                  flags & BLOCK_SERIALISING);
    if (padding_needed(node, offset, bytes)) {
        ret = read_padded(node, offset, bytes, vec, vec_offset);
    } else {
        ret = read_aligned(node, offset, bytes, vec, vec_offset);
    }
    request_end(node, &req);
    node->in_flight--;
    return ret;
}

int coroutine_fn block_co_read_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes, void *buf,
                                   unsigned flags)
{
    struct iovec iov = { buf, bytes };
    IoVec vec = { &iov, 1, 1, bytes };
    return block_co_read(edge, offset, bytes, &vec, 0, flags);
}

int coroutine_fn block_co_write_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes,
                                    const void *buf, unsigned flags)
{
    struct iovec iov = { (void *)buf, bytes };
    IoVec vec = { &iov, 1, 1, bytes };
    return block_co_write(edge, offset, bytes, &vec, 0, flags);
}

/* ---- discard ---- */

int coroutine_fn block_co_discard(BlockEdge *edge, uint64_t offset, uint64_t bytes)
{
    BlockNode *node = edge->node;
    int ret = check_write(edge, offset, bytes, 0);
    if (ret < 0) {
        return ret;
    }
    uint64_t align = MAX(node->limits.discard_align, node->limits.request_align);
    uint64_t start = ROUND_UP(offset, align), end = ROUND_DOWN(offset + bytes, align);
    int64_t length = block_node_length(node);
    if (length >= 0 && offset + bytes >= (uint64_t)length) {
        /* The last unit may be cut off by the end. */
        end = ROUND_DOWN(MIN(offset + bytes, (uint64_t)length), node->limits.request_align);
    }
    if (!node->discard_unmap || !node->driver->discard || start >= end) {
        return 0; /* a hint that nobody has to take */
    }
    uint64_t max = node->limits.max_discard ? MIN(node->limits.max_discard, BLOCK_MAX_REQUEST)
                                            : BLOCK_MAX_REQUEST;
    max = MAX(max - max % align, align);
    BlockRequest req;
    node->in_flight++;
    request_begin(node, &req, start, end, true, false);
    while (ret == 0 && start < end) {
        uint64_t n = MIN(end - start, max);
        ret = node->driver->discard(node, start, n);
        start += n;
    }
    node->write_gen++;
    request_end(node, &req);
    node->in_flight--;
    return ret == -ENOTSUP ? 0 : ret;
}

/* ---- flush ---- */

static int coroutine_fn flush_down(BlockNode *node)
{
    int ret = 0;
    block_debug_event(node->file, BLKDEBUG_EVENT_FLUSH_TO_OS);
    if (node->driver->flush_metadata) {
        ret = node->driver->flush_metadata(node);
    }
    if (ret == 0) {
        block_debug_event(node->file, BLKDEBUG_EVENT_FLUSH_TO_DISK);
    }
    for (GList *l = node->children.head; ret == 0 && l; l = l->next) {
        BlockEdge *child = l->data;
        if (!child->node->read_only) {
            ret = block_co_flush(child->node);
        }
    }
    if (ret == 0 && node->driver->flush && !node->no_flush) {
        ret = node->driver->flush(node);
    }
    return ret;
}

int coroutine_fn block_co_flush(BlockNode *node)
{
    if (node->read_only || node->inactive) {
        return 0;
    }
    int ret = 0;
    node->in_flight++;
    uint64_t gen = node->write_gen;
    while (node->flush_running) {
        co_queue_wait(&node->flush_queue);
    }
    /* A flush that began after our writes were done has covered them; one that failed covers
     * nothing. */
    if (node->flushed_gen < gen) {
        gen = node->write_gen;
        node->flush_running = true;
        ret = flush_down(node);
        node->flush_running = false;
        if (ret == 0) {
            node->flushed_gen = gen;
        }
        co_queue_restart_all(&node->flush_queue);
    }
    node->in_flight--;
    return ret;
}

/* ---- truncate ---- */

int coroutine_fn block_co_truncate(BlockEdge *edge, uint64_t length, bool exact,
                                   PreallocMode prealloc, GError **error)
{
    BlockNode *node = edge->node;
    if (!(edge->perm & BLOCK_PERM_RESIZE) || node->read_only || node->inactive) {
        error_set(error, "Image is read-only");
        return -EACCES;
    }
    if (!node->driver->truncate) {
        error_set(error, "Image format driver does not support resize");
        return -ENOTSUP;
    }
    if (length > BLOCK_MAX_LENGTH) {
        error_set(error, "Image size cannot be more than %" PRId64 " bytes",
                  (int64_t)BLOCK_MAX_LENGTH);
        return -EFBIG;
    }
    int64_t old = block_node_length(node);
    if (old < 0) {
        error_set_errno(error, -old, "Failed to get old image size");
        return old;
    }
    BlockRequest req;
    node->in_flight++;
    request_begin(node, &req, MIN((uint64_t)old, length), UINT64_MAX, true, true);
    int ret = node->driver->truncate(node, length, exact, prealloc, error);
    node->write_gen++;
    request_end(node, &req);
    node->in_flight--;
    block_node_length_changed(node);
    return ret;
}

/* ---- block status ---- */

int coroutine_fn block_co_status(BlockNode *node, bool want_zero, uint64_t offset, uint64_t bytes,
                                 uint64_t *pnum, uint64_t *map, BlockNode **file)
{
    uint64_t local_map = offset;
    BlockNode *local_file = NULL;
    *pnum = 0;
    int64_t length = block_node_length(node);
    if (length < 0) {
        return length;
    }
    if (offset >= (uint64_t)length || bytes == 0) {
        return 0;
    }
    bytes = MIN(bytes, (uint64_t)length - offset);
    uint64_t align = node->limits.request_align;
    uint64_t start = ROUND_DOWN(offset, align), end = ROUND_UP(offset + bytes, align);
    int ret = BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED;
    uint64_t n = end - start;
    node->in_flight++;
    if (node->driver->block_status) {
        local_map = start;
        ret = node->driver->block_status(node, want_zero, start, end - start, &n, &local_map,
                                         &local_file);
        local_map += offset - start;
        if (ret >= 0 && !node->driver->change_backing_file) {
            ret |= BLOCK_STATUS_ALLOCATED; /* there is no layer behind it that could decide */
        }
    }
    if (ret >= 0) {
        g_assert(n > 0);
        *pnum = MIN(start + n - offset, bytes);
    }
    if (ret >= 0 && (ret & BLOCK_STATUS_RECURSE)) {
        uint64_t child_n, m = local_map;
        ret = block_co_status(local_file, want_zero, m, *pnum, &child_n, &local_map, &local_file);
        if (ret >= 0 && child_n == 0) { /* behind its end: zeros */
            ret = BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
        } else if (ret >= 0) {
            *pnum = MIN(*pnum, child_n);
        }
    } else if (ret >= 0 && want_zero && (ret & BLOCK_STATUS_OFFSET) && (ret & BLOCK_STATUS_DATA) &&
               local_file && local_file != node) {
        /* The format has data here, the file may know that they are zeros. */
        uint64_t child_n;
        int below = block_co_status(local_file, true, local_map, *pnum, &child_n, NULL, NULL);
        if (below >= 0 && child_n) {
            ret |= below & BLOCK_STATUS_ZERO;
            *pnum = MIN(*pnum, child_n);
        }
    }
    node->in_flight--;
    if (map) {
        *map = local_map;
    }
    if (file) {
        *file = ret >= 0 && (ret & BLOCK_STATUS_OFFSET) ? local_file : NULL;
    }
    return ret;
}

BlockNode *block_backing_node(BlockNode *node)
{
    node = block_skip_filters(node);
    return node->backing ? node->backing->node : NULL;
}

int coroutine_fn block_co_status_above(BlockNode *node, BlockNode *base, bool want_zero,
                                       uint64_t offset, uint64_t bytes, uint64_t *pnum,
                                       uint64_t *map, BlockNode **file, unsigned *depth)
{
    unsigned layer = 0;
    int ret = 0;
    bool beyond = false; /* of the end of a layer: zeros from here on, whatever is behind it */
    *pnum = bytes;
    if (map) {
        *map = offset;
    }
    if (file) {
        *file = NULL;
    }
    for (BlockNode *n = node; n && n != base; n = block_backing_node(n), layer++) {
        uint64_t count;
        ret = block_co_status(n, want_zero, offset, *pnum, &count, map, file);
        if (ret < 0) {
            return ret;
        }
        if (count == 0) {
            if (n == node) {
                *pnum = 0;
                return 0;
            }
            beyond = true; /* a short backing file */
            break;
        }
        *pnum = count;
        if (depth) {
            *depth = layer;
        }
        if ((ret & BLOCK_STATUS_ALLOCATED) || !block_backing_node(n)) {
            break;
        }
    }
    if (beyond || !(ret & BLOCK_STATUS_ALLOCATED)) {
        ret |= base && !beyond ? 0 : BLOCK_STATUS_ZERO;
    }
    return ret;
}

/* ---- from outside of coroutines ---- */

typedef struct SyncRun {
    CoroutineEntry *entry;
    void *opaque;
    bool done;
} SyncRun;

static void coroutine_fn sync_entry(void *opaque)
{
    SyncRun *run = opaque;
    run->entry(run->opaque);
    run->done = true;
    main_loop_wake();
}

void block_run_sync(CoroutineEntry *entry, void *opaque)
{
    if (in_coroutine()) {
        entry(opaque);
        return;
    }
    SyncRun run = { entry, opaque, false };
    block_hold();
    coroutine_enter(coroutine_create(sync_entry, &run));
    MAIN_LOOP_WHILE(!run.done);
    block_release();
}

typedef struct SyncIo {
    BlockEdge *edge;
    BlockNode *node;
    uint64_t offset, bytes;
    void *buf;
    unsigned flags;
    int ret;
} SyncIo;

static void coroutine_fn sync_read(void *opaque)
{
    SyncIo *io = opaque;
    io->ret = block_co_read_buf(io->edge, io->offset, io->bytes, io->buf, io->flags);
}

static void coroutine_fn sync_write(void *opaque)
{
    SyncIo *io = opaque;
    io->ret = block_co_write_buf(io->edge, io->offset, io->bytes, io->buf, io->flags);
}

static void coroutine_fn sync_flush(void *opaque)
{
    SyncIo *io = opaque;
    io->ret = block_co_flush(io->node);
}

int block_read_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes, void *buf)
{
    SyncIo io = { .edge = edge, .offset = offset, .bytes = bytes, .buf = buf };
    block_run_sync(sync_read, &io);
    return io.ret;
}

int block_write_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes, const void *buf,
                    unsigned flags)
{
    SyncIo io = {
        .edge = edge, .offset = offset, .bytes = bytes, .buf = (void *)buf, .flags = flags
    };
    block_run_sync(sync_write, &io);
    return io.ret;
}

typedef struct SyncStatus {
    BlockNode *node, *base;
    bool want_zero;
    uint64_t offset, bytes, *pnum, *map;
    BlockNode **file;
    unsigned *depth;
    int ret;
} SyncStatus;

static void coroutine_fn sync_status(void *opaque)
{
    SyncStatus *s = opaque;
    s->ret = block_co_status_above(s->node, s->base, s->want_zero, s->offset, s->bytes, s->pnum,
                                   s->map, s->file, s->depth);
}

int block_status_above(BlockNode *node, BlockNode *base, bool want_zero, uint64_t offset,
                       uint64_t bytes, uint64_t *pnum, uint64_t *map, BlockNode **file,
                       unsigned *depth)
{
    SyncStatus s = { node, base, want_zero, offset, bytes, pnum, map, file, depth, 0 };
    block_run_sync(sync_status, &s);
    return s.ret;
}

int block_node_flush(BlockNode *node)
{
    SyncIo io = { .node = node };
    block_run_sync(sync_flush, &io);
    return io.ret;
}

void coroutine_fn block_debug_event(BlockEdge *edge, BlkdebugEvent event)
{
    if (edge) {
        node_event(edge->node, event);
    }
}
