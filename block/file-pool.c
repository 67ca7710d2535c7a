/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads for system calls (block/file-pool.h).
 *
 * A job goes to a thread that is idle; if there is none, a new thread is made, up to the pool's maximum. A
 * thread that has had nothing to do for IDLE_SECONDS ends, unless it is one of the minimum. One thread is called
 * at a time: when it has come and there are more jobs, it calls the next one. So short jobs are done by those that
 * are awake, and for long ones there are as many as are needed a moment later.
 *
 * There is one pool for all, and one for each iothread that has limits of its own. It goes with its last thread.
 *
 * A lane is in the hands of one thread at most (FileLane.busy), which takes job after job of it without
 * going to sleep in between. Were they all in the queue, the threads that have them would wait for the
 * inode's lock; the kernel lets them spin for it, which costs more than the writes do.
 */
#include "util/osdep.h"
#include "file-pool.h"

#include <pthread.h>
#include <signal.h>
#include "block/backend.h"
#include "util/main-loop.h"

#define IDLE_SECONDS 10

typedef struct FileJob {
    int (*func)(void *arg);
    void *arg;
    int ret;
    Coroutine *co;
    GMainContext *ctx;
    FileLane *lane;
    struct FileJob *next;
} FileJob;

typedef struct FilePool {
    GCond work;
    FileJob *first, *last;
    unsigned idle, threads, min, max;
    bool called;    /* a thread is on its way */
    bool abandoned; /* by its iothread */
} FilePool;

static GMutex lock; /* of all pools, and of the lanes */
static FilePool shared = { .max = BLOCK_POOL_THREADS };

static void append(FileJob **first, FileJob **last, FileJob *job)
{
    job->next = NULL;
    if (*first) {
        (*last)->next = job;
    } else {
        *first = job;
    }
    *last = job;
}

/* The next one of the lane; else it is free. */
static FileJob *next_of_lane(FileLane *lane)
{
    g_mutex_lock(&lock);
    FileJob *job = lane->first;
    if (job) {
        lane->first = job->next;
    } else {
        lane->busy = false;
    }
    g_mutex_unlock(&lock);
    return job;
}

/* A job and what its lane has. A job and its lane may be gone as soon as the coroutine is scheduled. */
static void run_jobs(FileJob *job)
{
    while (job) {
        job->ret = job->func(job->arg);
        FileJob *next = job->lane ? next_of_lane(job->lane) : NULL;
        coroutine_schedule(job->ctx, job->co);
        job = next;
    }
}

/* With the lock; false: the thread is not needed any more. */
static bool wait_for_job(FilePool *pool)
{
    gint64 end = g_get_monotonic_time() + IDLE_SECONDS * G_TIME_SPAN_SECOND;
    bool in_time = true;
    pool->idle++;
    while (!pool->first && pool->threads <= pool->max && (in_time || pool->threads <= pool->min)) {
        pool->called = false;
        if (in_time) {
            in_time = g_cond_wait_until(&pool->work, &lock, end);
        } else {
            g_cond_wait(&pool->work, &lock);
        }
    }
    pool->called = false; /* it may have been us, with the time over at that moment */
    pool->idle--;
    return pool->first;
}

static void call_thread(FilePool *pool);

/* With the lock. */
static void thread_ends(FilePool *pool)
{
    pool->threads--;
    if (pool->abandoned && !pool->threads) {
        g_cond_clear(&pool->work);
        g_free(pool);
    }
}

static gpointer pool_thread(gpointer opaque)
{
    FilePool *pool = opaque;
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* guest memory that is lost: the thread that meets it handles it */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    g_mutex_lock(&lock);
    pool->called = false;
    while (pool->first || wait_for_job(pool)) {
        FileJob *job = pool->first;
        pool->first = job->next;
        if (pool->first) {
            call_thread(pool);
        }
        g_mutex_unlock(&lock);
        run_jobs(job);
        g_mutex_lock(&lock);
    }
    thread_ends(pool);
    g_mutex_unlock(&lock);
    return NULL;
}

/* With the lock. */
static bool new_thread(FilePool *pool)
{
    GThread *thread = pool->threads ? g_thread_try_new("worker", pool_thread, pool, NULL)
                                    : g_thread_new("worker", pool_thread, pool);
    if (thread) { /* else those that there are have to do */
        pool->threads++;
        g_thread_unref(thread);
    }
    return thread;
}

/* With the lock: somebody will take what has been queued. */
static void call_thread(FilePool *pool)
{
    if (pool->called || (!pool->idle && pool->threads >= pool->max)) {
        return;
    }
    if (pool->idle) {
        pool->called = true;
        g_cond_signal(&pool->work);
    } else if (new_thread(pool)) {
        pool->called = true;
    }
}

/* ---- pools of iothreads ---- */

/* The thread ends, and nothing of it is in flight. */
static void pool_abandon(void *opaque)
{
    FilePool *pool = opaque;
    g_mutex_lock(&lock);
    pool->abandoned = true;
    pool->min = pool->max = 0;
    g_cond_broadcast(&pool->work);
    pool->threads++; /* as if we were one of them */
    thread_ends(pool);
    g_mutex_unlock(&lock);
}

static GPrivate own_key = G_PRIVATE_INIT(pool_abandon);
static __thread FilePool *own;

void block_pool_set_limits(unsigned min, unsigned max)
{
    if (!own) {
        own = g_new0(FilePool, 1);
        g_cond_init(&own->work);
        g_private_set(&own_key, own);
    }
    g_mutex_lock(&lock);
    own->min = min;
    own->max = max;
    while (own->threads < min && new_thread(own)) {
    }
    g_cond_broadcast(&own->work); /* those that are too many end */
    g_mutex_unlock(&lock);
}

/* ---- jobs ---- */

int coroutine_fn file_lane_run(FileLane *lane, int (*func)(void *arg), void *arg)
{
    FileJob job = { .func = func, .arg = arg, .lane = lane };
    FilePool *pool = own ? own : &shared;
    job.co = coroutine_self();
    job.ctx = context_current();
    g_mutex_lock(&lock);
    if (lane && lane->busy) {
        append(&lane->first, &lane->last, &job);
    } else {
        if (lane) {
            lane->busy = true;
        }
        append(&pool->first, &pool->last, &job);
        call_thread(pool);
    }
    g_mutex_unlock(&lock);
    coroutine_yield();
    return job.ret;
}

int coroutine_fn file_pool_run(int (*func)(void *arg), void *arg)
{
    return file_lane_run(NULL, func, arg);
}
