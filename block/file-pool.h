/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that make system calls for coroutines. */
#ifndef BLOCK_FILE_POOL_H
#define BLOCK_FILE_POOL_H

#include <glib.h>
#include "util/coroutine.h"

/* Jobs of a lane run one after the other, in the order in which they came: those that the kernel would do
 * so anyway, because each needs the same lock (writes of a regular file through the page cache). Zeroed
 * when new; nothing to free. It has to live until its last job is over. */
typedef struct FileLane {
    bool busy;
    struct FileJob *first, *last;
} FileLane;

/* Runs func(arg) in a thread; its result. lane may be NULL. */
int coroutine_fn file_lane_run(FileLane *lane, int (*func)(void *arg), void *arg);
/* Without a lane. */
int coroutine_fn file_pool_run(int (*func)(void *arg), void *arg);

#endif
