/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkverify: does everything on two nodes, "test" and "raw", and compares what they return. A difference is
 * reported with the place of its first byte and fails the request, so that nobody works on.
 * "blkverify:RAW:TEST" is the file name for it. Options: qapi/block-core.json.
 */
#include "util/osdep.h"
#include "block/block.h"

#include "internal.h"
#include "util/error.h"

typedef struct BlkverifyState {
    BlockEdge *raw;
} BlkverifyState;

/* ---- opening ---- */

static bool blkverify_parse_filename(const char *filename, json_object *options, GError **error)
{
    const char *p = filename + strlen("blkverify:");
    const char *colon = strchr(p, ':');
    if (!colon || colon == p) {
        return error_set(error, "blkverify requires raw copy and original image path");
    }
    g_autofree char *raw_name = g_strndup(p, colon - p);
    json_object *raw = block_resolve_protocol(raw_name, json_object_new_object(), error);
    if (!raw) {
        return false;
    }
    json_object_object_add(options, "raw", raw);
    json_object *test = block_resolve_protocol(colon + 1, json_object_new_object(), error);
    if (!test) {
        return false;
    }
    json_object_object_add(options, "test", test);
    return true;
}

static bool blkverify_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                           GError **error)
{
    BlkverifyState *s = node->state;
    const BlockdevOptionsBlkverify *o = &options->u.blkverify;
    if (!block_open_child(node, "test", BLOCK_ROLE_FILTERED, o->test, flags, error)) {
        return false;
    }
    s->raw = block_open_child(node, "raw", BLOCK_ROLE_DATA, o->raw, flags, error);
    node->write_flags =
        node->file->node->write_flags & (s->raw ? s->raw->node->write_flags : 0) & BLOCK_FUA;
    return s->raw != NULL;
}

static void blkverify_child_perm(BlockNode *node, const BlockEdge *child, unsigned perm,
                                 unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm;
    *child_shared = shared;
}

/* ---- two requests at the same time ---- */

typedef struct Pair {
    BlockEdge *edge;
    bool write;
    uint64_t offset, bytes;
    IoVec *vec;
    size_t vec_offset;
    unsigned flags;
    int ret;
    bool done;
    Coroutine *waiter;
} Pair;

static void coroutine_fn pair_run(Pair *p)
{
    p->ret = p->write
                 ? block_co_write(p->edge, p->offset, p->bytes, p->vec, p->vec_offset, p->flags)
                 : block_co_read(p->edge, p->offset, p->bytes, p->vec, p->vec_offset, p->flags);
}

static void coroutine_fn pair_entry(void *opaque)
{
    Pair *p = opaque;
    pair_run(p);
    p->done = true;
    if (p->waiter) {
        coroutine_schedule(NULL, p->waiter);
    }
}

static void coroutine_fn run_both(Pair *mine, Pair *other)
{
    coroutine_enter(coroutine_create(pair_entry, other));
    pair_run(mine);
    if (!other->done) {
        other->waiter = coroutine_self();
        coroutine_yield();
    }
}

static int blkverify_differ(BlockNode *node, const char *what, uint64_t offset, uint64_t bytes,
                            const char *text)
{
    error_report("blkverify: %s offset=%" PRIu64 " bytes=%" PRIu64 " %s", what, offset, bytes,
                 text);
    return -EIO;
}

static int compare_results(BlockNode *node, const char *what, uint64_t offset, uint64_t bytes,
                           int test, int raw)
{
    if (test != raw) {
        g_autofree char *text = g_strdup_printf("return value mismatch %d != %d", test, raw);
        return blkverify_differ(node, what, offset, bytes, text);
    }
    return test;
}

/* ---- requests ---- */

static int coroutine_fn blkverify_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                       size_t vec_offset)
{
    BlkverifyState *s = node->state;
    uint8_t *buf = block_alloc(s->raw->node, 2 * bytes);
    if (!buf) {
        return -ENOMEM;
    }
    struct iovec iov = { buf, bytes };
    IoVec raw_vec = { &iov, 1, 1, bytes };
    Pair test = { node->file, false, offset, bytes, vec, vec_offset };
    Pair raw = { s->raw, false, offset, bytes, &raw_vec, 0 };
    run_both(&test, &raw);
    int ret = compare_results(node, "read", offset, bytes, test.ret, raw.ret);
    if (ret == 0) {
        iovec_to_buf(vec, vec_offset, buf + bytes, bytes);
        for (uint64_t i = 0; ret == 0 && i < bytes; i++) {
            if (buf[i] != buf[bytes + i]) {
                g_autofree char *text =
                    g_strdup_printf("contents mismatch at offset %" PRIu64, offset + i);
                ret = blkverify_differ(node, "read", offset, bytes, text);
            }
        }
    }
    free(buf);
    return ret;
}

static int coroutine_fn blkverify_write(BlockNode *node, uint64_t offset, uint64_t bytes,
                                        IoVec *vec, size_t vec_offset, unsigned flags)
{
    BlkverifyState *s = node->state;
    Pair test = { node->file, true, offset, bytes, vec, vec_offset, flags };
    Pair raw = { s->raw, true, offset, bytes, vec, vec_offset, flags };
    run_both(&test, &raw);
    return compare_results(node, "write", offset, bytes, test.ret, raw.ret);
}

static int64_t blkverify_length(BlockNode *node)
{
    return block_node_length(node->file->node);
}

static const BlockDriver blkverify_driver = {
    .name = "blkverify",
    .kind = BLOCK_FILTER,
    .qapi_driver = BLOCKDEV_DRIVER_BLKVERIFY,
    .state_size = sizeof(BlkverifyState),
    .protocol = "blkverify",
    .parse_filename = blkverify_parse_filename,
    .open = blkverify_open,
    .child_perm = blkverify_child_perm,
    .read = blkverify_read,
    .write = blkverify_write,
    .length = blkverify_length,
};
BLOCK_DRIVER_REGISTER(blkverify_driver)
