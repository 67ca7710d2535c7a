/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI: check and repair.
 *
 *   entry out of range     corruption   becomes unallocated
 *   entry used twice       corruption   the second one gets a copy of the block
 *   block behind the end   corruption   becomes unallocated if all of it is, else the file grows
 *   header counts too few  corruption   it would hand out blocks that are in use: corrected
 *   blocks of the file that nobody uses, or a header that counts too many
 *                          leak         blocks from the end move into the holes, the file is cut
 *
 * Repairs are written in an order in which a crash does no harm: copies and new entries before
 * anything is cut off. The report is in stock's words where stock has any.
 */
#include "util/osdep.h"
#include "vdi.h"

#include "util/bitmap.h"
#include "util/error.h"

typedef struct Check {
    BlockNode *node;
    VdiState *s;
    BlockCheckResult *result;
    unsigned fix;
    unsigned long *used; /* blocks of the file */
    uint32_t end;        /* behind the last one that is used */
    uint32_t n_used;
    uint32_t in_file; /* blocks of which the file has at least a part */
    bool whole;       /* the last of them is complete */
    bool open;        /* the image was not let go: the header counts more than there are */
    int ret;
} Check;

static bool fixes(const Check *c, unsigned what)
{
    return c->ret == 0 && (c->fix & what);
}

static int coroutine_fn set_entry(Check *c, uint32_t block, uint32_t value)
{
    return vdi_write_entries(c->node, block, 1, &value);
}

static void coroutine_fn corruption(Check *c, bool fixed)
{
    if (fixed) {
        c->result->corruptions_fixed++;
    } else {
        c->result->corruptions++;
    }
}

/* ---- entries ---- */

static void coroutine_fn drop_entry(Check *c, uint32_t block)
{
    bool fixed = false;
    if (fixes(c, BLOCK_FIX_ERRORS)) {
        c->ret = set_entry(c, block, VDI_UNALLOCATED);
        fixed = c->ret == 0;
    }
    corruption(c, fixed);
}

/* Where the whole block is gone there is nothing to keep. In an image that was not let go (V3) it may
 * never have been there. */
static void coroutine_fn check_end(Check *c, uint32_t block)
{
    VdiState *s = c->s;
    if (s->map[block] >= c->in_file && !c->open) {
        block_check_report(c->result, "ERROR: block index %u is past the end of the file, is %u",
                           block, s->map[block]);
        drop_entry(c, block);
    }
}

static int coroutine_fn copy_block(Check *c, uint32_t from, uint32_t to)
{
    const VdiHeader *h = &c->s->header;
    uint8_t *buf = block_alloc(c->node->file->node, h->block_size);
    if (!buf) {
        return -ENOMEM;
    }
    int ret = block_co_read_buf(c->node->file, vdi_host_offset(h, from), h->block_size, buf, 0);
    if (ret == 0 && buf[0] == 0 && memcmp(buf, buf + 1, h->block_size - 1) == 0) {
        ret = block_co_write_zeroes(c->node->file, vdi_host_offset(h, to), h->block_size,
                                    BLOCK_MAY_UNMAP);
    } else if (ret == 0) {
        ret = block_co_write_buf(c->node->file, vdi_host_offset(h, to), h->block_size, buf, 0);
    }
    free(buf);
    return ret == 0 ? vdi_sync(c->node) : ret;
}

/* The first hole, or behind the end; header.blocks if there is no room. */
static uint32_t find_free(const Check *c)
{
    return bitmap_find_next_zero(c->used, c->s->header.blocks, 0);
}

static void take(Check *c, uint32_t host)
{
    bitmap_set(c->used, host, 1);
    c->end = MAX(c->end, host + 1);
    c->n_used++;
}

/* Both blocks show what is there, as they did before. */
static int coroutine_fn duplicate(Check *c, uint32_t block)
{
    uint32_t host = find_free(c);
    if (host >= c->s->header.blocks) {
        return -ENOSPC;
    }
    int ret = copy_block(c, c->s->map[block], host);
    if (ret == 0 && c->s->header.allocated < MAX(host + 1, c->end)) {
        c->s->header.allocated = MAX(host + 1, c->end); /* V3 */
        ret = vdi_write_header(c->node, BLOCK_FUA);
    }
    if (ret == 0) {
        ret = set_entry(c, block, host);
    }
    if (ret == 0) {
        take(c, host);
    }
    return ret;
}

/* First all that are right, so that copies go to places that nobody has. */
static void coroutine_fn check_ranges(Check *c)
{
    VdiState *s = c->s;
    for (uint32_t i = 0; i < s->header.blocks; i++) {
        if (vdi_is_mapped(s->map[i]) && s->map[i] >= s->header.blocks) {
            block_check_report(c->result, "ERROR: block index %u too large, is %u", i, s->map[i]);
            drop_entry(c, i);
        } else if (vdi_is_mapped(s->map[i])) {
            check_end(c, i);
        }
    }
}

static void coroutine_fn check_shared(Check *c)
{
    VdiState *s = c->s;
    uint32_t *twice = NULL, n = 0;
    for (uint32_t i = 0; i < s->header.blocks; i++) {
        if (!vdi_is_mapped(s->map[i]) || s->map[i] >= s->header.blocks) {
            continue;
        }
        if (!bitmap_test(c->used, s->map[i])) {
            take(c, s->map[i]);
            continue;
        }
        block_check_report(c->result, "ERROR: block index %u also used by %u", i, s->map[i]);
        if (fixes(c, BLOCK_FIX_ERRORS)) {
            if ((n & (n - 1)) == 0) {
                twice = g_renew(uint32_t, twice, n ? 2 * n : 1);
            }
            twice[n++] = i;
        } else {
            c->result->corruptions++;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (c->ret == 0) {
            c->ret = duplicate(c, twice[i]);
        }
        corruption(c, c->ret == 0);
    }
    g_free(twice);
}

/* ---- the end of the file ---- */

static int coroutine_fn extend_file(Check *c)
{
    return block_co_truncate(c->node->file, vdi_host_offset(&c->s->header, c->end), false,
                             PREALLOC_MODE_OFF, NULL);
}

/* Blocks of which a part is missing. What is left are those that check_end() has let be. */
static void coroutine_fn check_last_block(Check *c)
{
    bool cut = c->in_file > 0 && c->in_file <= c->s->header.blocks && !c->whole &&
               bitmap_test(c->used, c->in_file - 1);
    if (c->open || !cut) {
        return;
    }
    block_check_report(c->result, "ERROR: block %u of the file is cut off by its end",
                       c->in_file - 1);
    bool fixed = false;
    if (fixes(c, BLOCK_FIX_ERRORS)) {
        c->ret = extend_file(c);
        fixed = c->ret == 0;
    }
    corruption(c, fixed);
}

/* ---- leaks, and what the header says ---- */

static uint32_t owner_of(const VdiState *s, uint32_t host)
{
    uint32_t i = 0;
    while (i < s->header.blocks && s->map[i] != host) {
        i++;
    }
    return i;
}

/* Blocks move from the end into the holes. */
static void coroutine_fn fill_holes(Check *c)
{
    VdiState *s = c->s;
    for (uint32_t hole = find_free(c); c->ret == 0 && hole < c->end; hole = find_free(c)) {
        uint32_t last = c->end - 1;
        uint32_t block = owner_of(s, last);
        c->ret = copy_block(c, last, hole);
        if (c->ret == 0) {
            c->ret = set_entry(c, block, hole);
        }
        if (c->ret == 0) {
            bitmap_set(c->used, hole, 1);
            bitmap_clear(c->used, last, 1);
            while (c->end > 0 && !bitmap_test(c->used, c->end - 1)) {
                c->end--;
            }
        }
    }
}

static int coroutine_fn cut_end(Check *c)
{
    VdiState *s = c->s;
    int ret = vdi_sync(c->node);
    if (ret == 0) {
        s->header.allocated = c->end;
        ret = vdi_write_header(c->node, BLOCK_FUA);
    }
    if (ret == 0) {
        ret = block_co_truncate(c->node->file, vdi_host_offset(&s->header, c->end), false,
                                PREALLOC_MODE_OFF, NULL);
    }
    return ret;
}

/* What the file has, or the header counts, but nobody uses. */
static void coroutine_fn check_leaks(Check *c)
{
    VdiState *s = c->s;
    uint64_t counted = MAX(MIN(s->header.allocated, s->header.blocks), c->end);
    uint64_t leaked = counted - c->n_used;
    bool claims = s->header.allocated > s->header.blocks;
    if (leaked == 0 && !claims) {
        return;
    }
    block_check_report(c->result, "Leaked: allocated blocks mismatch, is %u, should be %u",
                       c->n_used, s->header.allocated);
    leaked = MAX(leaked, 1);
    if (fixes(c, BLOCK_FIX_LEAKS) && c->result->corruptions == 0) {
        fill_holes(c);
        if (c->ret == 0) {
            c->ret = cut_end(c);
        }
        if (c->ret == 0) {
            c->result->leaks_fixed += leaked;
            return;
        }
    }
    c->result->leaks += leaked;
}

static void coroutine_fn check_header(Check *c)
{
    VdiState *s = c->s;
    if (s->header.allocated >= c->end) {
        return;
    }
    block_check_report(c->result, "ERROR: allocated blocks mismatch, is %u, should be %u", c->end,
                       s->header.allocated);
    bool fixed = false;
    if (fixes(c, BLOCK_FIX_ERRORS)) {
        uint32_t old = s->header.allocated;
        s->header.allocated = c->end;
        c->ret = vdi_write_header(c->node, BLOCK_FUA);
        fixed = c->ret == 0;
        s->header.allocated = fixed ? c->end : old;
    }
    corruption(c, fixed);
}

/* ---- all of it ---- */

/* Behind the last block that anybody has by the map. */
static uint32_t end_of_entries(const VdiState *s)
{
    uint32_t end = 0;
    for (uint32_t i = 0; i < s->header.blocks; i++) {
        if (vdi_is_mapped(s->map[i]) && s->map[i] < s->header.blocks) {
            end = MAX(end, s->map[i] + 1);
        }
    }
    return end;
}

static void coroutine_fn check_entry(void *opaque)
{
    Check *c = opaque;
    VdiState *s = c->s;
    int64_t length = block_node_length(c->node->file->node);
    if (length < 0) {
        c->ret = length;
        return;
    }
    uint64_t bytes = MAX(length, (int64_t)s->header.offset_data) - s->header.offset_data;
    c->in_file = MIN((bytes + s->header.block_size - 1) / s->header.block_size, VDI_MAX_BLOCKS);
    c->whole = bytes % s->header.block_size == 0;
    c->open = s->header.allocated > end_of_entries(s);
    check_ranges(c);
    check_shared(c);
    check_last_block(c);
    check_header(c);
    check_leaks(c);
    if (c->fix && c->ret == 0) {
        c->ret = vdi_sync(c->node);
    }
}

int vdi_check(BlockNode *node, BlockCheckResult *result, unsigned fix)
{
    VdiState *s = node->state;
    Check c = { .node = node, .s = s, .result = result, .fix = fix };
    c.used = g_try_malloc0(BITS_TO_LONGS((size_t)s->header.blocks + 1) * sizeof(long));
    if (!c.used) {
        return -ENOMEM;
    }
    block_run_sync(check_entry, &c);
    g_free(c.used);
    if (fix && c.ret == 0 && result->corruptions == 0) {
        /* What is free has changed. */
        GError *error = NULL;
        if (!vdi_scan(node, &error)) {
            g_error_free(error);
            c.ret = -EIO;
        }
    }
    return c.ret;
}
