/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: persistent dirty bitmaps of others. They are shown and kept; since we do not record what the
 * guest writes, the first write marks them "in use", which says that they may be wrong. An image
 * whose autoclear bit is not set has bitmaps that are wrong as a whole; they are left alone.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/error.h"

/* Fixed part of an entry of the directory. */
#define ENTRY_FIXED 24
#define BITMAP_NAME_MAX 1023

static void bitmap_entry_clear(void *opaque)
{
    g_free(((Qcow2Bitmap *)opaque)->name);
}

void qcow2_bitmaps_clear(Qcow2 *s)
{
    g_clear_pointer(&s->bitmaps, g_array_unref);
}

/* One entry at *at of a directory; its size is added. */
static bool parse_entry(Qcow2 *s, const uint8_t *dir, uint64_t *at, GError **error)
{
    const uint8_t *p = dir + *at;
    uint64_t left = s->bitmap_directory_size - *at;
    if (left < ENTRY_FIXED) {
        return error_set(error, "Broken bitmap directory: truncated entry");
    }
    uint32_t name_size = load_be16(p + 18), extra = load_be32(p + 20);
    uint64_t size = ((uint64_t)ENTRY_FIXED + extra + name_size + 7) & ~UINT64_C(7);
    if (size > left || !name_size || name_size > BITMAP_NAME_MAX) {
        return error_set(error, "Broken bitmap directory: invalid entry at %" PRIu64, *at);
    }
    Qcow2Bitmap b = { .table_offset = load_be64(p),
                      .table_size = load_be32(p + 8),
                      .flags = load_be32(p + 12),
                      .type = p[16],
                      .granularity_bits = p[17],
                      .flags_offset = s->bitmap_directory_offset + *at + 12,
                      .name = g_strndup((const char *)p + ENTRY_FIXED + extra, name_size) };
    g_array_append_val(s->bitmaps, b);
    *at += size;
    return true;
}

bool qcow2_read_bitmaps(Qcow2 *s, GError **error)
{
    qcow2_bitmaps_clear(s);
    if (!s->has_bitmaps_ext || !(s->autoclear & QCOW2_AUTOCLEAR_BITMAPS)) {
        return true;
    }
    s->bitmaps = g_array_new(FALSE, FALSE, sizeof(Qcow2Bitmap));
    g_array_set_clear_func(s->bitmaps, bitmap_entry_clear);
    g_autofree uint8_t *dir = g_try_malloc(MAX(s->bitmap_directory_size, 1));
    int ret = dir ? block_read_buf(s->node->file, s->bitmap_directory_offset,
                                   s->bitmap_directory_size, dir)
                  : -ENOMEM;
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not read the bitmap directory");
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
        if (!parse_entry(s, dir, &at, error)) {
            return false;
        }
    }
    if (at != s->bitmap_directory_size) {
        return error_set(error, "Broken bitmap directory: %" PRIu32 " entries do not fill it",
                         s->nb_bitmaps);
    }
    return true;
}

int coroutine_fn qcow2_invalidate_bitmaps(Qcow2 *s)
{
    bool wrote = false;
    int ret = 0;
    for (unsigned i = 0; s->bitmaps && ret == 0 && i < s->bitmaps->len; i++) {
        Qcow2Bitmap *b = &g_array_index(s->bitmaps, Qcow2Bitmap, i);
        if (b->flags & QCOW2_BITMAP_IN_USE) {
            continue;
        }
        uint8_t buf[4];
        store_be32(buf, b->flags | QCOW2_BITMAP_IN_USE);
        ret = block_co_write_buf(s->node->file, b->flags_offset, sizeof(buf), buf, 0);
        wrote = true;
    }
    if (ret == 0 && wrote) {
        ret = block_co_flush(s->node->file->node);
    }
    for (unsigned i = 0; s->bitmaps && ret == 0 && i < s->bitmaps->len; i++) {
        g_array_index(s->bitmaps, Qcow2Bitmap, i).flags |= QCOW2_BITMAP_IN_USE;
    }
    return ret;
}
