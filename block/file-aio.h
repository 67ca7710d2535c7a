/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the file driver makes system calls without stopping the main loop: thread pool, Linux AIO,
 * io_uring. */
#ifndef BLOCK_FILE_AIO_H
#define BLOCK_FILE_AIO_H

#include <sys/uio.h>
#include "file-pool.h"

/* One system call's worth of a request. Returns bytes (may be short) or -errno. dsync: as if
 * O_DSYNC. */
typedef ssize_t coroutine_fn FileRw(bool write, int fd, uint64_t offset, const struct iovec *iov,
                                    unsigned niov, bool dsync);

FileRw file_rw_threads, file_rw_native, file_rw_uring;
/* A write by threads, behind the others of the lane. */
ssize_t coroutine_fn file_write_lane(FileLane *lane, int fd, uint64_t offset,
                                     const struct iovec *iov, unsigned niov);

/* Whether the engine can be used; makes it ready for the calling context. */
bool file_aio_native_ready(GError **error);
bool file_aio_uring_ready(GError **error);

/* fdatasync(); -errno. */
int coroutine_fn file_sync_threads(int fd);
int coroutine_fn file_sync_uring(int fd);

#endif
