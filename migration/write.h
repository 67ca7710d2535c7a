/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing vectors that point into guest memory. The kernel cannot read a page whose memory has failed: a write that
 * meets one ends with EFAULT and raises no signal. Such a page is sent as zeros, and the write goes on behind it (P5).
 */
#ifndef MIGRATION_WRITE_H
#define MIGRATION_WRITE_H

#include "io/channel.h"

/* Writes all of it; waits as needed. Changes iov. Adds what the channel has taken to *written (atomic), piece by piece.
 * False with an error. Any thread; one at a time for a channel. */
bool write_vector(IoChannel *ioc, struct iovec *iov, unsigned n, uint64_t *written, GError **error);
/* The same at an offset of a file (IO_FEATURE_SEEKABLE). */
bool write_vector_at(IoChannel *ioc, struct iovec *iov, unsigned n, off_t offset, uint64_t *written,
                     GError **error);
/* Takes n bytes off the front of a vector; returns how many entries are used up. */
unsigned vector_consume(struct iovec *iov, size_t n);
/* Copies guest memory in pieces (pages, each within GUEST_PAGE_SIZE) to dst, one after the other; what cannot be read
 * becomes zero. Never raises a signal. iov is left as it is. */
void read_guest_pages(uint8_t *dst, const struct iovec *iov, unsigned n);

#endif
