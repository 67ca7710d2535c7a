/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The growing buffer that state is encoded into; see vmstate/vmstate.h. */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

#include "util/bytes.h"

struct VmWriter {
    uint8_t *data;
    size_t len, alloc;
};

VmWriter *vm_writer_new(void)
{
    return g_new0(VmWriter, 1);
}

void vm_writer_free(VmWriter *w)
{
    if (w) {
        g_free(w->data);
        g_free(w);
    }
}

static inline uint8_t *room(VmWriter *w, size_t len)
{
    if (G_UNLIKELY(w->alloc - w->len < len)) {
        w->alloc = MAX(MAX(2 * w->alloc, w->len + len), 4096);
        w->data = g_realloc(w->data, w->alloc);
    }
    uint8_t *at = w->data + w->len;
    w->len += len;
    return at;
}

void vm_put_u8(VmWriter *w, uint8_t v)
{
    *room(w, 1) = v;
}

void vm_put_be16(VmWriter *w, uint16_t v)
{
    store_be16(room(w, 2), v);
}

void vm_put_be32(VmWriter *w, uint32_t v)
{
    store_be32(room(w, 4), v);
}

void vm_put_be64(VmWriter *w, uint64_t v)
{
    store_be64(room(w, 8), v);
}

void vm_put_bytes(VmWriter *w, const void *data, size_t len)
{
    if (len) {
        memcpy(room(w, len), data, len);
    }
}

void vm_put_counted_string(VmWriter *w, const char *s)
{
    size_t len = strlen(s);
    g_assert(len <= 255);
    vm_put_u8(w, len);
    vm_put_bytes(w, s, len);
}

size_t vm_writer_tell(const VmWriter *w)
{
    return w->len;
}

const uint8_t *vm_writer_data(const VmWriter *w, size_t *len)
{
    *len = w->len;
    return w->data;
}

void vm_writer_reset(VmWriter *w)
{
    w->len = 0;
}

void vm_writer_reserve(VmWriter *w, size_t len)
{
    if (w->alloc < len) {
        w->data = g_realloc(w->data, len);
        memset(w->data + w->len, 0, len - w->len);
        w->alloc = len;
    }
}
