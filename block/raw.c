/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw: the bytes of its child, or the part [offset, offset + size) of them.
 *
 * If the format was guessed, the guest could write another format's header to block 0, and the next
 * guess would open a file that the guest names. So such a write is refused.
 */
#include "util/osdep.h"
#include "block/image.h"

#include "internal.h"
#include "util/error.h"

typedef struct RawState {
    uint64_t offset;
    uint64_t size;
    bool has_size;
} RawState;

static bool raw_check_window(BlockNode *node, const BlockdevOptionsRaw *o, GError **error)
{
    RawState *s = node->state;
    int64_t real = block_node_length(node->file->node);
    if (real < 0) {
        return error_set_errno(error, -real, "Could not get image size");
    }
    if (s->offset > (uint64_t)real) {
        return error_set(error,
                         "Offset (%" PRIu64
                         ") cannot be greater than size of the containing file (%" PRId64 ")",
                         s->offset, real);
    }
    if (s->has_size && s->size > (uint64_t)real - s->offset) {
        return error_set(error,
                         "The sum of offset (%" PRIu64 ") and size (%" PRIu64
                         ") has to be smaller or equal to the "
                         " actual size of the containing file (%" PRId64 ")",
                         s->offset, s->size, real);
    }
    if (s->has_size && s->size % BLOCK_SECTOR) {
        return error_set(error, "Specified size is not multiple of %d", BLOCK_SECTOR);
    }
    return true;
}

static bool raw_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                     GError **error)
{
    RawState *s = node->state;
    const BlockdevOptionsRaw *o = &options->u.raw;
    node->any_context = true;
    if ((o->has_offset && o->offset < 0) || (o->has_size && o->size < 0)) {
        return error_set(error, "offset and size of raw must not be negative");
    }
    s->offset = o->has_offset ? o->offset : 0;
    s->has_size = o->has_size;
    s->size = o->has_size ? o->size : 0;
    BlockRole role = s->offset || s->has_size ? BLOCK_ROLE_DATA : BLOCK_ROLE_FILTERED;
    if (!block_open_child(node, "file", role, o->file, flags, error)) {
        return false;
    }
    node->write_flags = node->file->node->write_flags & BLOCK_FUA;
    node->zero_flags = node->file->node->zero_flags;
    return raw_check_window(node, o, error);
}

static void raw_refresh_limits(BlockNode *node)
{
    if (node->probed) {
        node->limits.request_align = BLOCK_SECTOR; /* so that block 0 is seen as a whole */
    }
}

/* The same data for the user, so the same permissions; a window has nothing to do with the rest. */
static void raw_child_perm(BlockNode *node, const BlockEdge *child, unsigned perm, unsigned shared,
                           unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm;
    *child_shared = shared;
}

/* Where [offset, offset + bytes) is in the child; -errno outside of the window. */
static int raw_map(const BlockNode *node, uint64_t *offset, uint64_t bytes, bool writes)
{
    const RawState *s = node->state;
    if (s->has_size && (*offset > s->size || bytes > s->size - *offset)) {
        return writes ? -ENOSPC : -EINVAL;
    }
    if (*offset > BLOCK_MAX_LENGTH - s->offset) {
        return -EINVAL;
    }
    *offset += s->offset;
    return 0;
}

static int coroutine_fn raw_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                 size_t vec_offset)
{
    int ret = raw_map(node, &offset, bytes, false);
    if (ret < 0) {
        return ret;
    }
    block_debug_event(node->file, BLKDEBUG_EVENT_READ_AIO);
    return block_co_read(node->file, offset, bytes, vec, vec_offset, 0);
}

typedef struct ProbeBlock {
    uint8_t data[BLOCK_SECTOR];
    bool other;
} ProbeBlock;

static void probe_driver(const BlockDriver *driver, void *opaque)
{
    ProbeBlock *block = opaque;
    if (driver->kind == BLOCK_FORMAT && driver->probe && !g_str_equal(driver->name, "raw")) {
        block->other |= driver->probe(block->data, sizeof(block->data), "") > 0;
    }
}

static bool looks_like_format(const IoVec *vec, size_t vec_offset)
{
    ProbeBlock block = { .other = false };
    iovec_to_buf(vec, vec_offset, block.data, sizeof(block.data));
    block_driver_for_each(probe_driver, &block);
    return block.other;
}

static int coroutine_fn raw_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset, unsigned flags)
{
    if (node->probed && offset == 0 && bytes >= BLOCK_SECTOR &&
        looks_like_format(vec, vec_offset)) {
        return -EPERM;
    }
    int ret = raw_map(node, &offset, bytes, true);
    if (ret < 0) {
        return ret;
    }
    block_debug_event(node->file, BLKDEBUG_EVENT_WRITE_AIO);
    return block_co_write(node->file, offset, bytes, vec, vec_offset, flags);
}

static int coroutine_fn raw_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         unsigned flags)
{
    int ret = raw_map(node, &offset, bytes, true);
    return ret < 0 ? ret : block_co_write_zeroes(node->file, offset, bytes, flags);
}

static int coroutine_fn raw_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int ret = raw_map(node, &offset, bytes, true);
    return ret < 0 ? ret : block_co_discard(node->file, offset, bytes);
}

static int coroutine_fn raw_truncate(BlockNode *node, uint64_t length, bool exact,
                                     PreallocMode prealloc, GError **error)
{
    const RawState *s = node->state;
    if (s->has_size) {
        error_set(error, "Cannot resize fixed-size raw disks");
        return -ENOTSUP;
    }
    if (length > BLOCK_MAX_LENGTH - s->offset) {
        error_set(error, "Disk size too large for the chosen offset");
        return -EINVAL;
    }
    return block_co_truncate(node->file, length + s->offset, exact, prealloc, error);
}

static int coroutine_fn raw_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                         uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                         BlockNode **file)
{
    const RawState *s = node->state;
    *pnum = bytes;
    *map = offset + s->offset;
    *file = node->file->node;
    return BLOCK_STATUS_OFFSET | BLOCK_STATUS_RECURSE;
}

static int64_t raw_length(BlockNode *node)
{
    const RawState *s = node->state;
    if (s->has_size) {
        return s->size;
    }
    int64_t length = block_node_length(node->file->node);
    if (length < 0) {
        return length;
    }
    return (uint64_t)length < s->offset ? -EIO : length - (int64_t)s->offset;
}

static int raw_info(BlockNode *node, BlockDriverInfo *info)
{
    return block_node_info(node->file->node, info);
}

static char *raw_filename(BlockNode *node)
{
    const RawState *s = node->state;
    BlockNode *child = node->file->node;
    if (s->offset || s->has_size) {
        return NULL;
    }
    return child->driver->filename ? child->driver->filename(child) : NULL;
}

static bool raw_zero_init(BlockNode *node)
{
    return block_node_zero_init(node->file->node);
}

/* As large as the data, if the file has no holes. */
static bool raw_measure(json_object *options, BlockNode *source, BlockMeasure *measure,
                        GError **error)
{
    json_object *size = json_object_object_get(options, "size");
    int64_t length = source ? block_node_length(source) : 0;
    if (length < 0) {
        return error_set_errno(error, -length, "Unable to get image virtual_size");
    }
    if (!source) {
        length =
            size ? ROUND_UP(g_ascii_strtoull(json_object_get_string(size), NULL, 10), BLOCK_SECTOR)
                 : 0;
    }
    measure->required = measure->fully_allocated = length;
    return true;
}

/* The protocol's options say how the file is made. */
static const BlockCreateOption raw_create_options[] = {
    BLOCK_OPTION_SIZE_ROW,
    { NULL },
};

static int raw_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return 1; /* anything can be raw */
}

static const BlockDriver raw_driver = {
    .name = "raw",
    .kind = BLOCK_FORMAT,
    .qapi_driver = BLOCKDEV_DRIVER_RAW,
    .state_size = sizeof(RawState),
    .probe = raw_probe,
    .open = raw_open,
    .refresh_limits = raw_refresh_limits,
    .child_perm = raw_child_perm,
    .read = raw_read,
    .write = raw_write,
    .write_zeroes = raw_write_zeroes,
    .discard = raw_discard,
    .truncate = raw_truncate,
    .block_status = raw_block_status,
    .length = raw_length,
    .filename = raw_filename,
    .info = raw_info,
    .create_options = raw_create_options,
    .zero_init = raw_zero_init,
    .measure = raw_measure,
};
BLOCK_DRIVER_REGISTER(raw_driver)
