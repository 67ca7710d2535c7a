/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop, bottom halves and the big lock.
 *
 * The main loop iterates the default GMainContext. It holds the big lock while it dispatches and lets
 * go of it while it polls. Device models, QMP handlers and everything not marked otherwise run under
 * the big lock. Timers (util/clock.h) are run by the main loop too.
 */
#ifndef UTIL_MAIN_LOOP_H
#define UTIL_MAIN_LOOP_H

#include <pthread.h>
#include <glib.h>

/* The big lock. Not recursive. bql_locked() tells whether the calling thread holds it. */
void bql_lock(void);
void bql_unlock(void);
bool bql_locked(void);
/* Waits for cond with the big lock as its mutex: given away meanwhile, held again on return. */
void bql_cond_wait(pthread_cond_t *cond);

/* Set up once by the main thread (which takes the big lock), before any other call in this header. */
void main_loop_init(void);

/* One iteration: poll (at most until the next timer, not at all if !block) and dispatch. Main thread. */
void main_loop_iterate(bool block);

/* Runs func once in the main thread, between iterations of the outermost loop: never inside another callback that
 * iterates the loop itself (draining), so that it finds no operation half done. Any thread; in order. */
void main_loop_call(void (*func)(void *opaque), void *opaque);

/* Makes a blocked main loop look again (new timer, new bottom half). Any thread. */
void main_loop_wake(void);

/* Whether the caller is the main thread. */
bool in_main_thread(void);

/* Iterates the main loop while the condition holds; only in the main thread, never inside a coroutine. */
#define MAIN_LOOP_WHILE(cond)            \
    do {                                 \
        while (cond) {                   \
            main_loop_iterate(true);     \
        }                                \
    } while (0)

/*
 * Bottom half: a callback that runs soon in a given context, at most once per bh_schedule() burst.
 * Scheduling is thread safe; create, delete and cancel belong to the thread that runs the context.
 */
typedef struct Bh Bh;
typedef void BhFunc(void *opaque);

/* ctx NULL is the main loop. The name appears in traces; a constant string. */
Bh *bh_new(GMainContext *ctx, const char *name, BhFunc *func, void *opaque);
void bh_schedule(Bh *bh);
void bh_cancel(Bh *bh);
/* Deletes it, also from inside its own callback; NULL is allowed. */
void bh_delete(Bh *bh);
/* Whether any waits to be run in ctx. The thread that runs ctx. */
bool bh_any_pending(GMainContext *ctx);
/* Runs func once in ctx. Any thread. */
void bh_schedule_oneshot(GMainContext *ctx, BhFunc *func, void *opaque);

/* Runs func in ctx's thread and returns when it is over; at once if that is the caller's, or if ctx is NULL: what has no thread of its
 * own. ctx's thread must not be waiting for the caller: never from an iothread to the main loop. */
void context_run(GMainContext *ctx, BhFunc *func, void *opaque);

/* The context that runs the caller's callbacks: the iothread's own, else the main loop's. */
GMainContext *context_current(void);
/*
 * What a thread looks at while it waits busily, without a system call: memory that another thread or the kernel writes.
 * All of this belongs to the thread that runs the context.
 */
typedef struct LoopPoller LoopPoller;
struct LoopPoller {
    /* Whether there is something to do; it has been scheduled as a bottom half then. */
    bool (*look)(LoopPoller *poller);
    /* From now on (no longer) it is looked at all the time: who signals need not. NULL: nobody is told. */
    void (*watched)(LoopPoller *poller, bool on);
    bool on;
    LoopPoller *next;
};
void loop_poller_add(LoopPoller *poller);
void loop_poller_remove(LoopPoller *poller);
/* Looks at all of this thread's. */
bool loop_pollers_look(void);
void loop_pollers_watch(bool on);

/* One turn of an iothread's loop. */
void context_iterate(GMainContext *ctx, bool block);
/* Makes ctx the one that context_current() returns in this thread (iothreads call it once). */
void context_set_current(GMainContext *ctx);

#endif
