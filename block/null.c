/* SPDX-License-Identifier: GPL-2.0-or-later */
/* null-co, null-aio: accept writes and keep nothing. For tests and measurements. Options:
 * qapi/block-core.json. */
#include "util/osdep.h"
#include "block/block.h"

#include "util/error.h"

typedef struct NullState {
    uint64_t size;
    uint64_t latency_ns;
    bool read_zeroes;
    bool plain; /* no options: null-co:// says it all */
} NullState;

static bool null_parse_filename(const char *filename, json_object *options, GError **error)
{
    bool co = g_str_has_prefix(filename, "null-co:");
    const char *name = co ? "null-co://" : "null-aio://";
    return g_str_equal(filename, name) ||
           error_set(error, "The only allowed filename for this driver is '%s'", name);
}

static bool null_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                      GError **error)
{
    NullState *s = node->state;
    const BlockdevOptionsNull *o =
        options->driver == BLOCKDEV_DRIVER_NULL_CO ? &options->u.null_co : &options->u.null_aio;
    if (o->has_size && o->size < 0) {
        return error_set(error, "size is invalid");
    }
    if (o->has_latency_ns && o->latency_ns > INT64_MAX) {
        return error_set(error, "latency-ns is invalid");
    }
    s->size = o->has_size ? (uint64_t)o->size : UINT64_C(1) << 30;
    s->latency_ns = o->has_latency_ns ? o->latency_ns : 0;
    s->read_zeroes = o->has_read_zeroes && o->read_zeroes;
    s->plain = !o->has_size && !o->has_latency_ns && !o->has_read_zeroes;
    node->any_context = s->latency_ns == 0; /* sleeping takes the main loop's timers */
    node->write_flags = BLOCK_FUA;
    node->zero_flags = BLOCK_FUA | BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK;
    return true;
}

static int coroutine_fn null_wait(BlockNode *node)
{
    NullState *s = node->state;
    if (s->latency_ns) {
        co_sleep_ns(CLOCK_REALTIME_NS, s->latency_ns);
    }
    return 0;
}

static int coroutine_fn null_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset)
{
    NullState *s = node->state;
    if (s->read_zeroes) {
        iovec_memset(vec, vec_offset, 0, bytes);
    }
    return null_wait(node);
}

static int coroutine_fn null_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                   size_t vec_offset, unsigned flags)
{
    return null_wait(node);
}

static int coroutine_fn null_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                          unsigned flags)
{
    return null_wait(node);
}

static int coroutine_fn null_flush(BlockNode *node)
{
    return null_wait(node);
}

static int coroutine_fn null_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                          uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                          BlockNode **file)
{
    NullState *s = node->state;
    *pnum = bytes;
    *map = offset;
    *file = node;
    return BLOCK_STATUS_OFFSET | (s->read_zeroes ? BLOCK_STATUS_ZERO : BLOCK_STATUS_DATA);
}

static int64_t null_length(BlockNode *node)
{
    return ((NullState *)node->state)->size;
}

static int64_t null_allocated_size(BlockNode *node)
{
    return 0;
}

static char *null_filename(BlockNode *node)
{
    return ((NullState *)node->state)->plain ? g_strdup_printf("%s://", node->driver->name) : NULL;
}

#define NULL_DRIVER                                                              \
    .kind = BLOCK_PROTOCOL, .state_size = sizeof(NullState),                     \
    .parse_filename = null_parse_filename, .open = null_open, .read = null_read, \
    .write = null_write, .write_zeroes = null_write_zeroes, .flush = null_flush, \
    .block_status = null_block_status, .length = null_length,                    \
    .allocated_size = null_allocated_size, .filename = null_filename

static const BlockDriver null_co_driver = {
    .name = "null-co",
    .qapi_driver = BLOCKDEV_DRIVER_NULL_CO,
    .protocol = "null-co",
    NULL_DRIVER,
};
BLOCK_DRIVER_REGISTER(null_co_driver)

static const BlockDriver null_aio_driver = {
    .name = "null-aio",
    .qapi_driver = BLOCKDEV_DRIVER_NULL_AIO,
    .protocol = "null-aio",
    NULL_DRIVER,
};
BLOCK_DRIVER_REGISTER(null_aio_driver)
