/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending from where memory is (MSG_ZEROCOPY, Documentation/networking/msg_zerocopy.rst of Linux): TCP only. */
#ifndef MIGRATION_ZERO_COPY_H
#define MIGRATION_ZERO_COPY_H

#include "io/channel.h"

typedef struct ZeroCopy ZeroCopy;
/* NULL with an error for a channel or a kernel that cannot do it. Keeps a reference. */
ZeroCopy *zero_copy_new(IoChannel *ioc, GError **error);
void zero_copy_free(ZeroCopy *zc); /* NULL is allowed */
/* As write_vector(); the memory is read until zero_copy_wait(). */
bool zero_copy_write(ZeroCopy *zc, struct iovec *iov, unsigned n, uint64_t *written,
                     GError **error);
/* Until everything written so far has left the memory. */
bool zero_copy_wait(ZeroCopy *zc, GError **error);
/* How often the kernel copied all the same; any thread, NULL is allowed. */
uint64_t zero_copy_missed(const ZeroCopy *zc);

#endif
