/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of work on one file, each given to whichever of several threads is idle. A thread has an open of the file of its
 * own. Without threads who gives a piece does it.
 */
#ifndef MIGRATION_FILE_POOL_H
#define MIGRATION_FILE_POOL_H

#include "io/channel.h"

typedef struct FilePool FilePool;
/* Does a piece. False with an error: nothing is done after that. In one of the threads. */
typedef bool FilePoolFunc(IoChannel *ioc, void *job, GError **error);

/* Takes the references on the n channels (not the array), also when it fails. threads: one for each; otherwise n is 1. A job
 * has job_bytes. */
FilePool *file_pool_new(IoChannel **channels, unsigned n, bool threads, size_t job_bytes,
                        FilePoolFunc *func, GError **error);
/* Waits for the pieces that are being done. NULL is allowed. */
void file_pool_free(FilePool *pool);
/* Whether there is more than one who works. */
bool file_pool_threads(const FilePool *pool);

/* ---- one thread at a time ---- */

/* Hands over a copy of the job, as soon as somebody is idle. False once a piece has failed, with its error. */
bool file_pool_give(FilePool *pool, const void *job, GError **error);
/* Until all that was given is done. */
bool file_pool_wait(FilePool *pool, GError **error);
/* Any thread: false once a piece has failed. */
bool file_pool_ok(FilePool *pool);

#endif
