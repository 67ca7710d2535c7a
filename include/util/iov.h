/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scatter-gather lists: a growable vector, and copies between vectors and flat buffers. */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include <sys/uio.h>
#include <glib.h>

/* Bytes in the vector. */
size_t iov_size(const struct iovec *iov, unsigned niov);
/* Copies out of / into the vector from byte offset on; returns the bytes copied (short at the end). */
size_t iov_to_buf(const struct iovec *iov, unsigned niov, size_t offset, void *buf, size_t len);
size_t iov_from_buf(const struct iovec *iov, unsigned niov, size_t offset, const void *buf, size_t len);
size_t iov_memset(const struct iovec *iov, unsigned niov, size_t offset, int c, size_t len);

/* A growable vector that owns its array, not the memory that it points to. */
typedef struct IoVec {
    struct iovec *iov;
    unsigned n;
    unsigned alloc;
    size_t size;
} IoVec;

void iovec_init(IoVec *v, unsigned alloc_hint);
void iovec_add(IoVec *v, void *base, size_t len);
/* Appends the part [offset, offset + len) of src. */
void iovec_add_slice(IoVec *v, const IoVec *src, size_t offset, size_t len);
void iovec_reset(IoVec *v);
void iovec_destroy(IoVec *v);
size_t iovec_to_buf(const IoVec *v, size_t offset, void *buf, size_t len);
size_t iovec_from_buf(const IoVec *v, size_t offset, const void *buf, size_t len);
size_t iovec_memset(const IoVec *v, size_t offset, int c, size_t len);

#endif
