/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI: new images. The map begins at the second page and the data at a multiple of 1 MiB, so that
 * requests stay aligned to pages and sectors of the host, and the image can grow (vdi-resize.c).
 */
#include "util/osdep.h"
#include "vdi.h"

#include "util/error.h"

#define MAP_OFFSET 4096
#define DATA_ALIGN (UINT32_C(1) << 20)
#define MAP_CHUNK 65536

const BlockCreateOption vdi_create_options[] = {
    BLOCK_OPTION_SIZE_ROW,
    { "static", BLOCK_OPTION_BOOL, "VDI static (pre-allocated) image", "off" },
    { "preallocation", BLOCK_OPTION_STR,
      "Preallocation mode (allowed values: off, metadata, falloc, full)", NULL },
    { NULL },
};

bool vdi_create_convert(json_object *options, GError **error)
{
    json_object *v = json_object_object_get(options, "static");
    bool is_static = v && g_str_equal(json_object_get_string(v), "on");
    json_object *p = json_object_object_get(options, "preallocation");
    if (p && qapi_parse_PreallocMode(json_object_get_string(p)) < 0) {
        return error_set(error, "invalid parameter value: %s", json_object_get_string(p));
    }
    json_object_object_del(options, "static");
    if (is_static && (!p || g_str_equal(json_object_get_string(p), "off"))) {
        json_object_object_add(options, "preallocation", json_object_new_string("metadata"));
    }
    return true;
}

static bool new_header(VdiHeader *h, uint64_t size, bool is_static, GError **error)
{
    if (size > VDI_MAX_SIZE) {
        return error_set(error,
                         "Unsupported VDI image size (size is 0x%" PRIx64
                         ", max supported is 0x%" PRIx64 ")",
                         size, VDI_MAX_SIZE);
    }
    *h = (VdiHeader){
        .header_size = 0x180,
        .type = is_static ? VDI_TYPE_STATIC : VDI_TYPE_DYNAMIC,
        .disk_size = ROUND_UP(size, BLOCK_SECTOR),
        .block_size = VDI_BLOCK_SIZE,
        .offset_map = MAP_OFFSET,
    };
    h->blocks = (h->disk_size + VDI_BLOCK_SIZE - 1) / VDI_BLOCK_SIZE;
    h->allocated = is_static ? h->blocks : 0;
    h->offset_data = ROUND_UP(MAP_OFFSET + (uint64_t)h->blocks * sizeof(uint32_t), DATA_ALIGN);
    return true;
}

/* Entries are numbers of blocks or "unallocated"; what is behind the last one is zero. */
static int write_map(BlockEdge *edge, const VdiHeader *h, bool is_static)
{
    uint32_t *chunk = g_new(uint32_t, MAP_CHUNK / sizeof(uint32_t));
    uint64_t size = ROUND_UP((uint64_t)h->blocks * sizeof(uint32_t), VDI_UNIT);
    uint32_t block = 0;
    int ret = 0;
    for (uint64_t at = 0; ret == 0 && at < size; at += MAP_CHUNK) {
        uint32_t n = MIN(MAP_CHUNK, size - at);
        for (uint32_t i = 0; i < n / sizeof(uint32_t); i++, block++) {
            chunk[i] = htole32(block >= h->blocks ? 0 : is_static ? block : VDI_UNALLOCATED);
        }
        ret = block_write_buf(edge, h->offset_map + at, n, chunk, 0);
    }
    g_free(chunk);
    return ret;
}

typedef struct Grow {
    BlockEdge *edge;
    uint64_t length;
    PreallocMode prealloc;
    GError **error;
    int ret;
} Grow;

static void coroutine_fn grow_entry(void *opaque)
{
    Grow *g = opaque;
    g->ret = block_co_truncate(g->edge, 0, false, PREALLOC_MODE_OFF, g->error);
    if (g->ret == 0) {
        g->ret = block_co_truncate(g->edge, g->length, false, g->prealloc, g->error);
    }
}

static bool create_in(BlockEdge *edge, const VdiHeader *h, PreallocMode prealloc, GError **error)
{
    bool is_static = h->type == VDI_TYPE_STATIC;
    Grow grow = { edge, vdi_host_offset(h, h->allocated),
                  prealloc == PREALLOC_MODE_METADATA ? PREALLOC_MODE_OFF : prealloc, error, 0 };
    block_run_sync(grow_entry, &grow);
    if (grow.ret < 0) {
        return false;
    }
    uint8_t raw[VDI_HEADER_SIZE];
    vdi_header_new(raw);
    vdi_header_encode(h, raw);
    int ret = write_map(edge, h, is_static);
    if (ret == 0) {
        ret = block_write_buf(edge, 0, sizeof(raw), raw, 0);
    }
    if (ret == 0) {
        ret = block_node_flush(edge->node);
    }
    return ret == 0 || error_set_errno(error, -ret, "Could not write the image");
}

bool vdi_create(const BlockdevCreateOptions *options, GError **error)
{
    const BlockdevCreateOptionsVdi *o = &options->u.vdi;
    PreallocMode prealloc = o->has_preallocation ? o->preallocation : PREALLOC_MODE_OFF;
    VdiHeader h;
    if (!new_header(&h, o->size, prealloc != PREALLOC_MODE_OFF, error)) {
        return false;
    }
    BlockEdge *edge = block_create_open(o->file, error);
    if (!edge) {
        return false;
    }
    bool ok = create_in(edge, &h, prealloc, error);
    block_create_close(edge);
    return ok;
}

/* ---- measuring ---- */

/* Blocks that have data. */
static int count_blocks(BlockNode *source, uint64_t size, uint64_t *blocks)
{
    uint64_t next = 0; /* the first block that is not counted */
    *blocks = 0;
    for (uint64_t at = 0; at < size;) {
        uint64_t n;
        int ret = block_status_above(source, NULL, true, at, size - at, &n, NULL, NULL, NULL);
        if (ret < 0) {
            return ret;
        }
        if (!(ret & BLOCK_STATUS_ZERO)) {
            uint64_t first = MAX(next, at / VDI_BLOCK_SIZE);
            next = (at + n + VDI_BLOCK_SIZE - 1) / VDI_BLOCK_SIZE;
            *blocks += next - MIN(first, next);
        }
        at += n;
    }
    return 0;
}

bool vdi_measure(json_object *options, BlockNode *source, BlockMeasure *measure, GError **error)
{
    json_object *v = json_object_object_get(options, "size");
    json_object *st = json_object_object_get(options, "static");
    bool is_static = st && g_str_equal(json_object_get_string(st), "on");
    uint64_t size = v ? g_ascii_strtoull(json_object_get_string(v), NULL, 10) : 0;
    if (source) {
        int64_t length = block_node_length(source);
        if (length < 0) {
            return error_set_errno(error, -length, "Unable to get image virtual_size");
        }
        size = length;
    }
    VdiHeader h;
    uint64_t blocks = 0;
    if (!new_header(&h, size, is_static, error)) {
        return false;
    }
    if (source && !is_static) {
        int ret = count_blocks(source, h.disk_size, &blocks);
        if (ret < 0) {
            return error_set_errno(error, -ret, "Unable to get block status");
        }
    }
    measure->fully_allocated = vdi_host_offset(&h, h.blocks);
    measure->required = is_static ? measure->fully_allocated : vdi_host_offset(&h, blocks);
    return true;
}
