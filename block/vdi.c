/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI: images of VirtualBox, version 1.1, dynamic and static. docs/devel/vdi.md.
 *
 * A block of the disk is unallocated (reads as zeros), allocating (a VdiChange is on the list) or
 * mapped.
 *
 * V1  s->map has what is mapped: entries whose write has ended well. Only those are visible to other
 *     requests, and only what is in it is written, but for the entries of the changes that a write is
 *     for. A request that meets an allocating block waits, and then looks again: it proceeds by the
 *     outcome.
 * V2  Data (and the zeros around a part of a block) are written before the entry is; a request is
 *     acknowledged after both. So a flush after the acknowledgement covers them, and no flush is
 *     needed between them, but for V4.
 * V3  While there are new entries in the file, header.allocated on stable storage is larger than the
 *     number of blocks up to the last one that an entry refers to. So nobody who takes it for the
 *     next free block hands out one that is in use, and it tells an image that was not let go (whose
 *     last blocks may be behind the end of the file) from one that is truncated. It is written with
 *     FUA before the entries that need it, ahead of the need (RESERVE_*), and set to that number when
 *     the image is let go. Who opens an image goes by it and by the entries.
 * V4  A block that has never been written reads as zeros, before and after a crash: it is behind the
 *     end of the file (clean). Any other one is zeroed where the request does not write, and flushed
 *     before its entry is written, so that no entry ever shows what a block held before.
 * V5  After a failed write of a unit of the map the file may have old or new entries. The unit is
 *     suspect: it is written anew before a request is acknowledged that relies on it, before a flush
 *     is, and before the image is let go.
 * V6  A block goes back to the pool when its allocation fails. It is used again when no entry in the
 *     file refers to it, on stable storage: if the write of the entry failed, that is after its unit
 *     has been written anew and flushed.
 *
 * The map is written under one lock; changes that are ready meanwhile go together in the next write.
 */
#include "util/osdep.h"
#include "vdi.h"

#include "util/error.h"

#ifdef VDI_MUTATIONS
unsigned vdi_mutation;
const char *const vdi_mutation_names[] = {
    [VDI_MUTATION_NONE] = "none",
    [VDI_MUTATION_MAP_FIRST] = "map-first",
    [VDI_MUTATION_VISIBLE_EARLY] = "visible-early",
    [VDI_MUTATION_KEEP_FAILED] = "keep-failed",
    [VDI_MUTATION_NO_ZEROS] = "no-zeros",
    [VDI_MUTATION_NO_SYNC] = "no-sync",
    [VDI_MUTATION_NO_RESERVE] = "no-reserve",
    [VDI_MUTATION_REUSE_STUCK] = "reuse-stuck",
    [VDI_MUTATION_TRUST_SUSPECT] = "trust-suspect",
    [VDI_MUTATION_DROP_ERROR] = "drop-error",
    [VDI_MUTATION_FUA_DATA_ONLY] = "fua-data-only",
    [VDI_MUTATIONS_COUNT] = NULL,
};
#endif

/* ---- opening ---- */

static void free_map(VdiState *s)
{
    free(s->map);
    g_free(s->suspect);
    s->map = NULL;
    s->suspect = NULL;
}

/* The map and what is behind it up to the end of its last unit, so that this stays as it is. */
static bool read_map(BlockNode *node, GError **error)
{
    VdiState *s = node->state;
    uint64_t size = ROUND_UP((uint64_t)s->header.blocks * sizeof(uint32_t), VDI_UNIT);
    int64_t length = block_node_length(node->file->node);
    if (length < 0 || s->header.offset_map + size > (uint64_t)length) {
        return error_set(error,
                         "unsupported VDI image (block map of %u blocks is cut off by the end "
                         "of the file)",
                         s->header.blocks);
    }
    s->units = size / VDI_UNIT;
    s->n_suspect = 0;
    s->map = block_alloc(node->file->node, size);
    s->suspect = g_try_malloc0(MAX(s->units, 1));
    if (!s->map || !s->suspect) {
        return error_set(error, "Could not allocate memory for the block map of '%s'",
                         block_node_filename(node));
    }
    int ret = block_read_buf(node->file, s->header.offset_map, size, s->map);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not read the block map");
    }
    for (uint64_t i = 0; i < size / sizeof(uint32_t); i++) {
        s->map[i] = le32toh(s->map[i]);
    }
    return true;
}

static bool read_metadata(BlockNode *node, GError **error)
{
    VdiState *s = node->state;
    free_map(s);
    s->scanned = false;
    int ret = block_read_buf(node->file, 0, VDI_HEADER_SIZE, s->raw);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not read the header");
    }
    return vdi_header_decode(s->raw, &s->header, error) && read_map(node, error);
}

static void vdi_free_state(VdiState *s)
{
    free_map(s);
    vdi_alloc_free(s);
}

static bool vdi_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                     GError **error)
{
    VdiState *s = node->state;
    node->any_context = true;
    if (!block_open_child(node, "file", BLOCK_ROLE_STORAGE, options->u.vdi.file, flags, error)) {
        return false;
    }
    vdi_alloc_init(s);
    /* While the image is inactive it may change below us: it is looked at for writing when it is
     * ours. */
    bool scan = !node->read_only && !node->inactive && !(flags & BLOCK_OPEN_CHECK);
    if (!read_metadata(node, error) || (scan && !vdi_scan(node, error))) {
        vdi_free_state(s);
        return false;
    }
    node->write_flags = BLOCK_FUA;
    node->zero_flags = BLOCK_FUA | BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK;
    return true;
}

static void vdi_refresh_limits(BlockNode *node)
{
    node->limits.request_align = BLOCK_SECTOR;
}

static int vdi_probe(const uint8_t *buf, size_t len, const char *filename)
{
    /* The text in front differs from program to program. */
    static const uint8_t signature[] = { 0x7f, 0x10, 0xda, 0xbe };
    return len >= VDI_HEADER_SIZE && memcmp(buf + 0x40, signature, sizeof(signature)) == 0 ? 100
                                                                                           : 0;
}

typedef struct Settle {
    BlockNode *node;
    int ret;
} Settle;

static void coroutine_fn settle_entry(void *opaque)
{
    Settle *settle = opaque;
    settle->ret = vdi_settle(settle->node);
}

static int settle(BlockNode *node)
{
    Settle settle = { node, 0 };
    block_run_sync(settle_entry, &settle);
    return settle.ret;
}

static void vdi_close(BlockNode *node)
{
    VdiState *s = node->state;
    if (!node->inactive && !node->read_only && s->map) {
        int ret = settle(node);
        if (ret < 0) {
            warn_report("%s: metadata at close: %s", block_node_filename(node), g_strerror(-ret));
        }
    }
    vdi_free_state(s);
}

static bool vdi_inactivate(BlockNode *node, GError **error)
{
    VdiState *s = node->state;
    if (node->read_only) {
        return true;
    }
    int ret = settle(node);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not write the metadata of '%s'", node->name);
    }
    s->touched = false;
    return true;
}

static bool vdi_activate(BlockNode *node, GError **error)
{
    if (!read_metadata(node, error) || (!node->read_only && !vdi_scan(node, error))) {
        error_prefix(error, "Could not open '%s': ", block_node_filename(node));
        return false;
    }
    return true;
}

/* ---- looking at the map ---- */

/* A part of a request: what its first block is, and how far the same goes on. */
typedef struct Part {
    uint32_t block;  /* first */
    uint32_t count;  /* blocks */
    uint64_t inside; /* where in the first block */
    uint64_t bytes;
    uint64_t host;     /* offset in the file, if it is mapped */
    VdiChange *change; /* allocating */
    bool mapped;
    int error; /* the entry makes no sense */
} Part;

static bool same_kind(VdiState *s, const Part *p, uint32_t block, bool look_at_changes)
{
    if (look_at_changes && s->changes.length && vdi_change_of(s, block)) {
        return false;
    }
    uint32_t entry = s->map[block];
    if (p->mapped) {
        return entry == s->map[p->block] + (block - p->block) && entry < s->header.blocks;
    }
    return !vdi_is_mapped(entry);
}

static Part look(VdiState *s, uint64_t offset, uint64_t bytes, bool look_at_changes)
{
    uint32_t size = s->header.block_size;
    Part p = { .block = offset / size, .inside = offset % size, .count = 1 };
    uint32_t entry = s->map[p.block];
    p.bytes = MIN(bytes, size - p.inside);
    p.mapped = vdi_is_mapped(entry);
    if (look_at_changes && s->changes.length) {
        p.change = vdi_change_of(s, p.block);
    }
    if (p.change) {
        return p;
    }
    if (p.mapped && entry >= s->header.blocks) {
        p.error = -EIO;
        return p;
    }
    p.host = p.mapped ? vdi_host_offset(&s->header, entry) + p.inside : 0;
    while (p.bytes < bytes && same_kind(s, &p, p.block + p.count, look_at_changes)) {
        p.bytes += MIN(bytes - p.bytes, size);
        p.count++;
    }
    return p;
}

/* ---- reading ---- */

static int coroutine_fn vdi_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                 size_t vec_offset)
{
    VdiState *s = node->state;
    int ret = 0;
    while (ret == 0 && bytes) {
        Part p = look(s, offset, bytes, false);
        ret = p.error;
        if (ret == 0 && p.mapped) {
            block_debug_event(node->file, BLKDEBUG_EVENT_READ_AIO);
            ret = block_co_read(node->file, p.host, p.bytes, vec, vec_offset, 0);
        } else if (ret == 0) {
            iovec_memset(vec, vec_offset, 0, p.bytes);
        }
        offset += p.bytes;
        vec_offset += p.bytes;
        bytes -= p.bytes;
    }
    return ret;
}

/* ---- writing ---- */

/* V5: what is mapped in memory has to be so in the file. */
static int coroutine_fn write_mapped(BlockNode *node, const Part *p, IoVec *vec, size_t vec_offset,
                                     unsigned flags)
{
    VdiState *s = node->state;
    int ret = vdi_make_sure(node, p->block, p->count);
    if (ret < 0) {
        return ret;
    }
    bool entries_stable = s->synced_gen == s->map_gen || VDI_MUTATION(VDI_MUTATION_FUA_DATA_ONLY);
    unsigned f = entries_stable ? flags & BLOCK_FUA : 0;
    block_debug_event(node->file, BLKDEBUG_EVENT_WRITE_AIO);
    ret = block_co_write(node->file, p->host, p->bytes, vec, vec_offset, f);
    if (ret == 0 && (flags & BLOCK_FUA) && !f) {
        ret = vdi_sync(node);
    }
    return ret;
}

/* The data of blocks that are allocating; p is cut to what the change covers. */
static int coroutine_fn write_new_data(BlockNode *node, const VdiChange *c, const Part *p,
                                       IoVec *vec, size_t vec_offset)
{
    VdiState *s = node->state;
    uint64_t host = vdi_host_offset(&s->header, c->host);
    uint64_t size = (uint64_t)c->count * s->header.block_size;
    int ret = 0;
    if (!c->clean && p->bytes < size && !VDI_MUTATION(VDI_MUTATION_NO_ZEROS)) { /* V4 */
        ret = block_co_write_zeroes(node->file, host, size, BLOCK_MAY_UNMAP);
    }
    if (ret == 0) {
        block_debug_event(node->file, BLKDEBUG_EVENT_WRITE_AIO);
        ret = block_co_write(node->file, host + p->inside, p->bytes, vec, vec_offset, 0);
    }
    return ret;
}

#ifdef VDI_MUTATIONS
/* The order that loses data, and the states that others must not see. */
static int coroutine_fn write_new_wrong(BlockNode *node, VdiChange *c, const Part *p, IoVec *vec,
                                        size_t vec_offset)
{
    VdiState *s = node->state;
    bool clean = c->clean;
    int ret = 0;
    if (vdi_mutation == VDI_MUTATION_VISIBLE_EARLY || vdi_mutation == VDI_MUTATION_KEEP_FAILED) {
        for (uint32_t i = 0; i < c->count; i++) {
            s->map[c->first + i] = c->host + i;
        }
        if (vdi_mutation == VDI_MUTATION_VISIBLE_EARLY) {
            g_queue_unlink(&s->changes, &c->link);
            ret = write_new_data(node, c, p, vec, vec_offset);
            g_queue_push_tail_link(&s->changes, &c->link);
        } else {
            ret = write_new_data(node, c, p, vec, vec_offset);
        }
        return ret < 0 ? ret : vdi_change_commit(node, c);
    }
    c->clean = true;
    ret = vdi_change_commit(node, c);
    c->clean = clean;
    return ret < 0 ? ret : write_new_data(node, c, p, vec, vec_offset);
}
#endif

static int coroutine_fn write_new(BlockNode *node, Part *p, IoVec *vec, size_t vec_offset)
{
    VdiState *s = node->state;
    VdiChange c;
    int ret = vdi_change_begin(node, &c, p->block, p->count);
    if (ret < 0) {
        return ret;
    }
    if (c.count < p->count) {
        p->bytes = (uint64_t)c.count * s->header.block_size - p->inside;
        p->count = c.count;
    }
#ifdef VDI_MUTATIONS
    if (vdi_mutation == VDI_MUTATION_MAP_FIRST || vdi_mutation == VDI_MUTATION_VISIBLE_EARLY ||
        vdi_mutation == VDI_MUTATION_KEEP_FAILED) {
        ret = write_new_wrong(node, &c, p, vec, vec_offset);
        vdi_change_end(node, &c, ret);
        return ret;
    }
#endif
    ret = write_new_data(node, &c, p, vec, vec_offset);
    if (ret == 0) {
        ret = vdi_change_commit(node, &c); /* V2 */
    }
    vdi_change_end(node, &c, ret);
    return VDI_MUTATION(VDI_MUTATION_DROP_ERROR) ? 0 : ret;
}

static int coroutine_fn vdi_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset, unsigned flags)
{
    VdiState *s = node->state;
    bool allocated = false;
    int ret = 0;
    while (ret == 0 && bytes) {
        Part p = look(s, offset, bytes, true);
        if (p.change) {
            co_queue_wait(&p.change->waiters); /* V1 */
            continue;
        }
        if (p.error) {
            return p.error;
        }
        if (p.mapped) {
            ret = write_mapped(node, &p, vec, vec_offset, flags);
        } else {
            ret = write_new(node, &p, vec, vec_offset);
            allocated = true;
        }
        offset += p.bytes;
        vec_offset += p.bytes;
        bytes -= p.bytes;
    }
    if (ret == 0 && allocated && (flags & BLOCK_FUA)) {
        ret = vdi_sync(node);
    }
    return ret;
}

/* ---- zeros, discard ---- */

/* Nothing is there, and that is what is wanted. V5. */
static int coroutine_fn vdi_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         unsigned flags)
{
    VdiState *s = node->state;
    int ret = 0;
    while (ret == 0 && bytes) {
        Part p = look(s, offset, bytes, true);
        if (p.change) {
            co_queue_wait(&p.change->waiters);
            continue;
        }
        ret = p.error ? p.error : vdi_make_sure(node, p.block, p.count);
        if (ret == 0 && p.mapped) {
            ret = block_co_write_zeroes(node->file, p.host, p.bytes,
                                        flags & (BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK));
        }
        offset += p.bytes;
        bytes -= p.bytes;
    }
    return ret == 0 && (flags & BLOCK_FUA) ? vdi_sync(node) : ret;
}

/* The blocks stay where they are, the host takes back their space. (Giving up the entries would make
 * holes in the numbers of blocks, and other programs take them for errors.) */
static int coroutine_fn vdi_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    VdiState *s = node->state;
    int ret = 0;
    while (ret == 0 && bytes) {
        Part p = look(s, offset, bytes, true);
        if (p.change) {
            co_queue_wait(&p.change->waiters);
            continue;
        }
        if (!p.error && p.mapped) {
            block_debug_event(node->file, BLKDEBUG_EVENT_CLUSTER_FREE);
            ret = block_co_discard(node->file, p.host, p.bytes);
        }
        offset += p.bytes;
        bytes -= p.bytes;
    }
    return ret;
}

/* ---- flush ---- */

static int coroutine_fn vdi_flush_metadata(BlockNode *node)
{
    VdiState *s = node->state;
    int ret = vdi_make_all_sure(node);
    s->flush_gen = s->map_gen;
    return ret;
}

/* The file has been flushed. */
static int coroutine_fn vdi_flush(BlockNode *node)
{
    VdiState *s = node->state;
    vdi_synced(s, s->flush_gen);
    return 0;
}

/* ---- facts ---- */

static int coroutine_fn vdi_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                         uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                         BlockNode **file)
{
    VdiState *s = node->state;
    Part p = look(s, offset, bytes, false);
    if (p.error) {
        return p.error;
    }
    *pnum = p.bytes;
    if (!p.mapped) {
        return BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
    }
    *map = p.host;
    *file = node->file->node;
    return BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET | BLOCK_STATUS_ALLOCATED;
}

static int64_t vdi_length(BlockNode *node)
{
    return ((VdiState *)node->state)->header.disk_size;
}

static char *vdi_filename(BlockNode *node)
{
    BlockNode *file = node->file->node;
    return file->driver->filename ? file->driver->filename(file) : NULL;
}

static int vdi_info(BlockNode *node, BlockDriverInfo *info)
{
    info->cluster_size = ((VdiState *)node->state)->header.block_size;
    return 0;
}

static bool vdi_zero_init(BlockNode *node)
{
    const VdiState *s = node->state;
    return s->header.type != VDI_TYPE_STATIC || block_node_zero_init(node->file->node);
}

static const BlockDriver vdi_driver = {
    .name = "vdi",
    .kind = BLOCK_FORMAT,
    .qapi_driver = BLOCKDEV_DRIVER_VDI,
    .state_size = sizeof(VdiState),
    .fixed_length = true,
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .refresh_limits = vdi_refresh_limits,
    .read = vdi_read,
    .write = vdi_write,
    .write_zeroes = vdi_write_zeroes,
    .discard = vdi_discard,
    .flush_metadata = vdi_flush_metadata,
    .flush = vdi_flush,
    .truncate = vdi_truncate,
    .block_status = vdi_block_status,
    .length = vdi_length,
    .filename = vdi_filename,
    .activate = vdi_activate,
    .inactivate = vdi_inactivate,
    .create_options = vdi_create_options,
    .create_convert = vdi_create_convert,
    .create = vdi_create,
    .zero_init = vdi_zero_init,
    .check = vdi_check,
    .info = vdi_info,
    .measure = vdi_measure,
};
#ifdef VDI_MUTATIONS
const BlockDriver *const vdi_mutant = &vdi_driver;
#else
BLOCK_DRIVER_REGISTER(vdi_driver)
#endif
