/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks that keep processes from conflicting use of an image. Who uses permission i (block.h:
 * consistent read 0, write 1, write unchanged 2, resize 3) holds a shared lock on byte 100 + i; who
 * does not let others use it holds one on byte 200 + i; who needs to know tries whether the byte is
 * free. The places are stock's, as /proc/locks shows them, so that both respect each other.
 */
#ifndef BLOCK_FILE_LOCK_H
#define BLOCK_FILE_LOCK_H

#include <stdbool.h>
#include <glib.h>

typedef struct FileLock {
    int fd;                          /* -1: no locking */
    unsigned held, unshared;         /* permissions */
    unsigned new_held, new_unshared; /* between prepare and commit or abort */
} FileLock;

/* Whether the system can. */
bool file_lock_available(int fd);
/* Takes the locks for perm and not shared besides those that are held, and looks for conflicts. The
 * error has a second line that asks the user's question. */
bool file_lock_prepare(FileLock *lock, unsigned perm, unsigned shared, const char *filename,
                       GError **error);
void file_lock_commit(FileLock *lock);
void file_lock_abort(FileLock *lock);

#endif
