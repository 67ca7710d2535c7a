/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that work on a file; see file-pool.h. One lock, taken once or twice a piece. */
#include "util/osdep.h"
#include "file-pool.h"

#include <pthread.h>
#include "util/error.h"

typedef struct Worker {
    FilePool *pool;
    IoChannel *ioc;
    pthread_t thread;
    bool started;
    bool busy; /* under lock */
    pthread_cond_t wake;
    void *job; /* filled while !busy */
} Worker;

struct FilePool {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* a worker has become idle */
    Worker *workers;
    unsigned n;
    bool threads;
    bool quit;     /* under lock */
    GError *error; /* under lock; the first */
    size_t job_bytes;
    FilePoolFunc *func;
};

static void *worker_main(void *opaque)
{
    Worker *w = opaque;
    FilePool *pool = w->pool;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!w->busy && !pool->quit) {
            pthread_cond_wait(&w->wake, &pool->lock);
        }
        if (!w->busy) {
            break;
        }
        GError *error = NULL;
        bool skip = pool->error != NULL;
        pthread_mutex_unlock(&pool->lock);
        bool ok = skip || pool->func(w->ioc, w->job, &error);
        pthread_mutex_lock(&pool->lock);
        if (!ok && !pool->error) {
            pool->error = g_steal_pointer(&error);
        }
        g_clear_error(&error);
        w->busy = false;
        pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* With the lock. */
static bool check(const FilePool *pool, GError **error)
{
    if (!pool->error) {
        return true;
    }
    g_propagate_error(error, g_error_copy(pool->error));
    return false;
}

static Worker *find_idle(FilePool *pool)
{
    for (unsigned i = 0; i < pool->n; i++) {
        if (!pool->workers[i].busy) {
            return &pool->workers[i];
        }
    }
    return NULL;
}

static bool all_idle(const FilePool *pool)
{
    for (unsigned i = 0; i < pool->n; i++) {
        if (pool->workers[i].busy) {
            return false;
        }
    }
    return true;
}

bool file_pool_give(FilePool *pool, const void *job, GError **error)
{
    pthread_mutex_lock(&pool->lock);
    Worker *w;
    while (!(w = find_idle(pool)) && !pool->error) {
        pthread_cond_wait(&pool->idle, &pool->lock);
    }
    bool ok = check(pool, error);
    if (ok) {
        memcpy(w->job, job, pool->job_bytes);
    }
    if (ok && pool->threads) {
        w->busy = true;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    if (ok && !pool->threads) {
        GError *failure = NULL;
        ok = pool->func(w->ioc, w->job, &failure);
        pthread_mutex_lock(&pool->lock);
        pool->error = ok ? NULL : failure;
        ok = check(pool, error);
        pthread_mutex_unlock(&pool->lock);
    }
    return ok;
}

bool file_pool_wait(FilePool *pool, GError **error)
{
    pthread_mutex_lock(&pool->lock);
    while (!all_idle(pool)) {
        pthread_cond_wait(&pool->idle, &pool->lock);
    }
    bool ok = check(pool, error);
    pthread_mutex_unlock(&pool->lock);
    return ok;
}

bool file_pool_ok(FilePool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool ok = !pool->error;
    pthread_mutex_unlock(&pool->lock);
    return ok;
}

bool file_pool_threads(const FilePool *pool)
{
    return pool->threads;
}

FilePool *file_pool_new(IoChannel **channels, unsigned n, bool threads, size_t job_bytes,
                        FilePoolFunc *func, GError **error)
{
    FilePool *pool = g_new0(FilePool, 1);
    g_assert(n && (threads || n == 1));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->workers = g_new0(Worker, n);
    pool->n = n;
    pool->threads = threads;
    pool->job_bytes = job_bytes;
    pool->func = func;
    for (unsigned i = 0; i < n; i++) {
        pool->workers[i] = (Worker){
            .pool = pool, .ioc = channels[i], .job = g_malloc(job_bytes)
        };
        pthread_cond_init(&pool->workers[i].wake, NULL);
    }
    for (unsigned i = 0; i < n && threads; i++) {
        Worker *w = &pool->workers[i];
        int r = pthread_create(&w->thread, NULL, worker_main, w);
        w->started = r == 0;
        if (r) {
            error_set_errno(error, r, "cannot start a thread");
            file_pool_free(pool);
            return NULL;
        }
    }
    return pool;
}

void file_pool_free(FilePool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    for (unsigned i = 0; i < pool->n; i++) {
        pthread_cond_signal(&pool->workers[i].wake);
    }
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n; i++) {
        Worker *w = &pool->workers[i];
        if (w->started) {
            pthread_join(w->thread, NULL);
        }
        io_channel_unref(w->ioc);
        pthread_cond_destroy(&w->wake);
        g_free(w->job);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->idle);
    g_clear_error(&pool->error);
    g_free(pool->workers);
    g_free(pool);
}
