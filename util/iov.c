/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scatter-gather lists; see util/iov.h. */
#include "util/osdep.h"
#include "util/iov.h"

size_t iov_size(const struct iovec *iov, unsigned niov)
{
    size_t size = 0;
    for (unsigned i = 0; i < niov; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

typedef enum IovWhat { IOV_TO_BUF, IOV_FROM_BUF, IOV_SET } IovWhat;

static inline size_t iov_walk(const struct iovec *iov, unsigned niov, size_t offset, size_t len,
                              IovWhat what, void *buf, int c)
{
    size_t done = 0;
    for (unsigned i = 0; i < niov && done < len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        char *base = (char *)iov[i].iov_base + offset;
        size_t n = MIN(iov[i].iov_len - offset, len - done);
        switch (what) {
        case IOV_TO_BUF:
            memcpy((char *)buf + done, base, n);
            break;
        case IOV_FROM_BUF:
            memcpy(base, (char *)buf + done, n);
            break;
        case IOV_SET:
            memset(base, c, n);
            break;
        }
        done += n;
        offset = 0;
    }
    return done;
}

size_t iov_to_buf(const struct iovec *iov, unsigned niov, size_t offset, void *buf, size_t len)
{
    return iov_walk(iov, niov, offset, len, IOV_TO_BUF, buf, 0);
}

size_t iov_from_buf(const struct iovec *iov, unsigned niov, size_t offset, const void *buf, size_t len)
{
    return iov_walk(iov, niov, offset, len, IOV_FROM_BUF, (void *)buf, 0);
}

size_t iov_memset(const struct iovec *iov, unsigned niov, size_t offset, int c, size_t len)
{
    return iov_walk(iov, niov, offset, len, IOV_SET, NULL, c);
}

void iovec_init(IoVec *v, unsigned alloc_hint)
{
    *v = (IoVec){ .alloc = alloc_hint };
    if (alloc_hint) {
        v->iov = g_new(struct iovec, alloc_hint);
    }
}

void iovec_add(IoVec *v, void *base, size_t len)
{
    if (v->n == v->alloc) {
        v->alloc = v->alloc ? 2 * v->alloc : 4;
        v->iov = g_renew(struct iovec, v->iov, v->alloc);
    }
    v->iov[v->n++] = (struct iovec){ .iov_base = base, .iov_len = len };
    v->size += len;
}

void iovec_add_slice(IoVec *v, const IoVec *src, size_t offset, size_t len)
{
    g_assert(offset <= src->size && len <= src->size - offset);
    for (unsigned i = 0; i < src->n && len; i++) {
        if (offset >= src->iov[i].iov_len) {
            offset -= src->iov[i].iov_len;
            continue;
        }
        size_t n = MIN(src->iov[i].iov_len - offset, len);
        iovec_add(v, (char *)src->iov[i].iov_base + offset, n);
        len -= n;
        offset = 0;
    }
}

void iovec_reset(IoVec *v)
{
    v->n = 0;
    v->size = 0;
}

void iovec_destroy(IoVec *v)
{
    g_free(v->iov);
    *v = (IoVec){ 0 };
}

size_t iovec_to_buf(const IoVec *v, size_t offset, void *buf, size_t len)
{
    return iov_to_buf(v->iov, v->n, offset, buf, len);
}

size_t iovec_from_buf(const IoVec *v, size_t offset, const void *buf, size_t len)
{
    return iov_from_buf(v->iov, v->n, offset, buf, len);
}

size_t iovec_memset(const IoVec *v, size_t offset, int c, size_t len)
{
    return iov_memset(v->iov, v->n, offset, c, len);
}
