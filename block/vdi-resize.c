/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI: another size. The format has no other place for a larger map, so a disk can grow as far as
 * there is room between the map and the data.
 *
 * Growing: what becomes visible of the last block is zeroed, new entries are written, both are
 * flushed, and only then the header tells of them. Shrinking: the header first, flushed; then the
 * entries behind the end. A crash in between leaves the old size, or the new one with some blocks
 * that are in use by nobody.
 */
#include "util/osdep.h"
#include "vdi.h"

#include "util/error.h"

static int coroutine_fn write_size(BlockNode *node, uint64_t length, uint32_t blocks)
{
    VdiState *s = node->state;
    VdiHeader old = s->header;
    s->header.disk_size = length;
    s->header.blocks = blocks;
    s->touched = true;
    int ret = vdi_write_header(node, BLOCK_FUA);
    if (ret < 0) {
        s->header = old;
        vdi_header_encode(&old, s->raw);
        s->on_disk_allocated = UINT32_MAX; /* the file may have it: vdi_settle() writes it anew */
    }
    return ret;
}

/* Room for entries up to `units`. What is in the file there may be anything. */
static bool extend_map(BlockNode *node, uint32_t units, uint32_t blocks)
{
    VdiState *s = node->state;
    uint32_t *map = block_alloc(node->file->node, (size_t)units * VDI_UNIT);
    uint8_t *suspect = g_try_malloc0(units);
    if (!map || !suspect) {
        free(map);
        g_free(suspect);
        return false;
    }
    uint32_t n = s->header.blocks;
    memcpy(map, s->map, n * sizeof(*map));
    for (uint32_t i = n; i < units * VDI_UNIT_ENTRIES; i++) {
        map[i] = i < blocks ? VDI_UNALLOCATED : 0;
    }
    memcpy(suspect, s->suspect, s->units);
    free(s->map);
    g_free(s->suspect);
    s->map = map;
    s->suspect = suspect;
    s->units = units;
    return true;
}

/* The part of the last block that the old size did not show. */
static int coroutine_fn zero_rest(BlockNode *node)
{
    const VdiState *s = node->state;
    uint64_t inside = s->header.disk_size % s->header.block_size;
    uint32_t block = s->header.disk_size / s->header.block_size;
    if (inside == 0 || !vdi_is_mapped(s->map[block]) || s->map[block] >= s->header.blocks) {
        return 0;
    }
    return block_co_write_zeroes(node->file, vdi_host_offset(&s->header, s->map[block]) + inside,
                                 s->header.block_size - inside, BLOCK_MAY_UNMAP);
}

static int coroutine_fn grow(BlockNode *node, uint64_t length, GError **error)
{
    VdiState *s = node->state;
    uint64_t blocks = (length + s->header.block_size - 1) / s->header.block_size;
    uint64_t room = (s->header.offset_data - s->header.offset_map) / sizeof(uint32_t);
    blocks = MAX(blocks, s->header.blocks);
    if (s->header.type == VDI_TYPE_STATIC) {
        error_set(error, "Static VDI images cannot grow");
        return -ENOTSUP;
    }
    if (blocks > room || blocks > VDI_MAX_BLOCKS) {
        error_set(error,
                  "The block map of this image has room for %" PRIu64
                  " bytes of disk at most; convert the image to make it larger",
                  MIN(room, VDI_MAX_BLOCKS) * s->header.block_size);
        return -ENOSPC;
    }
    uint32_t units = ROUND_UP(blocks * sizeof(uint32_t), VDI_UNIT) / VDI_UNIT;
    int ret = zero_rest(node);
    if (ret == 0 && blocks > s->header.blocks) {
        uint32_t n = blocks - s->header.blocks;
        if (!extend_map(node, units, blocks)) {
            error_set(error, "Could not allocate memory for the block map");
            return -ENOMEM;
        }
        ret = vdi_write_entries(node, s->header.blocks, n, s->map + s->header.blocks);
    }
    if (ret == 0) {
        ret = vdi_sync(node);
    }
    if (ret == 0) {
        ret = write_size(node, length, blocks);
    }
    if (ret < 0) {
        error_set_errno(error, -ret, "Could not grow the image");
    }
    return ret;
}

/* Their blocks go to the pool; V6 keeps them there until the entries are on stable storage. */
static int coroutine_fn drop_entries(BlockNode *node, uint32_t first)
{
    VdiState *s = node->state;
    uint32_t entries[VDI_UNIT_ENTRIES], old[VDI_UNIT_ENTRIES];
    int ret = 0;
    memset(entries, 0xff, sizeof(entries)); /* VDI_UNALLOCATED */
    while (ret == 0 && first < s->header.blocks) {
        uint32_t n =
            MIN(s->header.blocks - first, VDI_UNIT_ENTRIES - (uint32_t)(first % VDI_UNIT_ENTRIES));
        memcpy(old, s->map + first, n * sizeof(*old));
        ret = vdi_write_entries(node, first, n, entries);
        for (uint32_t i = 0; ret == 0 && i < n; i++) {
            if (vdi_is_mapped(old[i])) {
                VdiFree f = { old[i], s->map_gen };
                g_array_append_val(s->pool, f);
            }
        }
        first += n;
    }
    return ret;
}

static int coroutine_fn shrink(BlockNode *node, uint64_t length, GError **error)
{
    VdiState *s = node->state;
    uint32_t first = (length + s->header.block_size - 1) / s->header.block_size;
    int ret = write_size(node, length, s->header.blocks);
    if (ret == 0 && s->header.type != VDI_TYPE_STATIC) {
        ret = drop_entries(node, first);
    }
    if (ret < 0) {
        error_set_errno(error, -ret, "Could not shrink the image");
    }
    return ret;
}

int coroutine_fn vdi_truncate(BlockNode *node, uint64_t length, bool exact, PreallocMode prealloc,
                              GError **error)
{
    VdiState *s = node->state;
    if (prealloc != PREALLOC_MODE_OFF) {
        error_set(error, "Unsupported preallocation mode '%s'", qapi_name_PreallocMode(prealloc));
        return -ENOTSUP;
    }
    if (length > VDI_MAX_SIZE) {
        error_set(error,
                  "Unsupported VDI image size (size is 0x%" PRIx64 ", max supported is 0x%" PRIx64
                  ")",
                  length, VDI_MAX_SIZE);
        return -ENOTSUP;
    }
    length = ROUND_UP(length, BLOCK_SECTOR);
    if (length > s->header.disk_size) {
        return grow(node, length, error);
    }
    return length < s->header.disk_size ? shrink(node, length, error) : 0;
}
