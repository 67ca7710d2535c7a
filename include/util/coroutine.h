/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stackful coroutines for block I/O.
 *
 * R1  A coroutine runs in one thread at a time; whoever resumes it owns that hand-over.
 * R2  A coroutine that ended is freed (pooled) by the coroutine_enter() that saw it end.
 * R3  A function marked coroutine_fn may yield and is called from a coroutine only.
 */
#ifndef UTIL_COROUTINE_H
#define UTIL_COROUTINE_H

#include <glib.h>
#include "util/clock.h"

#define coroutine_fn

typedef struct Coroutine Coroutine;
typedef void CoroutineEntry(void *opaque);

/* A new coroutine, not started; it frees itself when its entry returns. */
Coroutine *coroutine_create(CoroutineEntry *entry, void *opaque);
/* Runs co until it yields or ends. Not on one that is running. */
void coroutine_enter(Coroutine *co);
/* As coroutine_enter() from a bottom half of ctx (NULL: main loop). Any thread. */
void coroutine_schedule(GMainContext *ctx, Coroutine *co);
/* Back to whoever entered us. */
void coroutine_fn coroutine_yield(void);
Coroutine *coroutine_self(void);
bool in_coroutine(void);

/* Lets time pass on clock; other work runs meanwhile. */
void coroutine_fn co_sleep_ns(ClockType clock, int64_t ns);

/* A FIFO of waiting coroutines (no lock of its own: one context). Zero-initialised with co_queue_init(). */
typedef struct CoQueue {
    GQueue waiters;
} CoQueue;

void co_queue_init(CoQueue *queue);
void coroutine_fn co_queue_wait(CoQueue *queue);
/* Wakes the first waiter / all waiters; they run from a bottom half. Any caller in the queue's context. */
bool co_queue_next(CoQueue *queue);
void co_queue_restart_all(CoQueue *queue);
bool co_queue_empty(const CoQueue *queue);

/* Mutual exclusion between coroutines of one context, fair. */
typedef struct CoMutex {
    bool locked;
    CoQueue queue;
} CoMutex;

void co_mutex_init(CoMutex *mutex);
void coroutine_fn co_mutex_lock(CoMutex *mutex);
void coroutine_fn co_mutex_unlock(CoMutex *mutex);

#endif
