/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coroutines, their queues and mutexes; see util/coroutine.h. The switch itself is in coroutine-switch.c. */
#include "util/osdep.h"
#include "util/coroutine.h"

#include "coroutine-private.h"
#include "util/main-loop.h"

/* Ended ones that a thread keeps for the next coroutine_create(). */
#define POOL_MAX 64

struct Coroutine {
    CoContext ctx;
    CoroutineEntry *entry;
    void *opaque;
    Coroutine *caller; /* NULL: not running */
    bool ended;
    GMainContext *wait_ctx; /* where to run when a queue wakes it */
    GList link;             /* in a CoQueue */
    Coroutine *pool_next;
};

typedef struct ThreadState {
    Coroutine thread; /* stands for the thread's own stack */
    Coroutine *current;
    Coroutine *pool;
    unsigned pooled;
} ThreadState;

static void thread_state_free(void *opaque)
{
    ThreadState *ts = opaque;
    while (ts->pool) {
        Coroutine *co = ts->pool;
        ts->pool = co->pool_next;
        co_context_destroy(&co->ctx);
        g_free(co);
    }
    g_free(ts);
}

static GPrivate thread_state_key = G_PRIVATE_INIT(thread_state_free);
static __thread ThreadState *thread_state_ptr;

/* A coroutine may yield in one thread and continue in another: the compiler must not keep the address of a
 * thread-local variable across a switch, so it is fetched anew by a function that is never inlined. */
static __attribute__((noinline)) ThreadState *thread_state(void)
{
    __asm__ volatile("");
    ThreadState *ts = thread_state_ptr;
    if (!ts) {
        ts = g_new0(ThreadState, 1);
        ts->current = &ts->thread;
        co_context_init_thread(&ts->thread.ctx);
        thread_state_ptr = ts;
        g_private_set(&thread_state_key, ts);
    }
    return ts;
}

/* ts is the caller's; it may be another one on return. */
static inline void switch_to(ThreadState *ts, Coroutine *from, Coroutine *to, bool final)
{
    ts->current = to;
    co_context_switch(&from->ctx, &to->ctx, final);
}

static void trampoline(void *opaque)
{
    Coroutine *co = opaque;
    co_context_started(&co->ctx);
    co->entry(co->opaque);
    co->ended = true;
    Coroutine *caller = co->caller;
    co->caller = NULL;
    switch_to(thread_state(), co, caller, true);
    g_assert_not_reached();
}

Coroutine *coroutine_create(CoroutineEntry *entry, void *opaque)
{
    ThreadState *ts = thread_state();
    Coroutine *co = ts->pool;
    if (co) {
        ts->pool = co->pool_next;
        ts->pooled--;
        co_context_restart(&co->ctx, trampoline, co);
        co->ended = false;
    } else {
        co = g_new0(Coroutine, 1);
        co_context_init(&co->ctx, trampoline, co);
        co->link.data = co;
    }
    co->entry = entry;
    co->opaque = opaque;
    return co;
}

static void coroutine_recycle(Coroutine *co)
{
    ThreadState *ts = thread_state();
    if (ts->pooled < POOL_MAX) {
        co->pool_next = ts->pool;
        ts->pool = co;
        ts->pooled++;
    } else {
        co_context_destroy(&co->ctx);
        g_free(co);
    }
}

void coroutine_enter(Coroutine *co)
{
    ThreadState *ts = thread_state();
    Coroutine *self = ts->current;
    g_assert(!co->caller && !co->ended); /* R1 */
    co->caller = self;
    switch_to(ts, self, co, false);
    if (co->ended) {
        coroutine_recycle(co); /* R2 */
    }
}

void coroutine_fn coroutine_yield(void)
{
    ThreadState *ts = thread_state();
    Coroutine *self = ts->current;
    Coroutine *caller = self->caller;
    g_assert(caller); /* R3 */
    self->caller = NULL;
    switch_to(ts, self, caller, false);
}

Coroutine *coroutine_self(void)
{
    return thread_state()->current;
}

bool in_coroutine(void)
{
    ThreadState *ts = thread_state();
    return ts->current != &ts->thread;
}

static void enter_bh(void *opaque)
{
    coroutine_enter(opaque);
}

void coroutine_schedule(GMainContext *ctx, Coroutine *co)
{
    bh_schedule_oneshot(ctx, enter_bh, co);
}

/* ---- sleeping ---- */

typedef struct CoSleep {
    Timer timer;
    Coroutine *co;
    GMainContext *ctx;
} CoSleep;

static void sleep_over(void *opaque)
{
    CoSleep *sleep = opaque;
    coroutine_schedule(sleep->ctx, sleep->co);
}

void coroutine_fn co_sleep_ns(ClockType clock, int64_t ns)
{
    CoSleep sleep = { .co = coroutine_self(), .ctx = context_current() };
    timer_init(&sleep.timer, clock, sleep_over, &sleep);
    timer_mod(&sleep.timer, clock_get_ns(clock) + ns);
    coroutine_yield();
}

/* ---- queues and mutexes ---- */

void co_queue_init(CoQueue *queue)
{
    g_queue_init(&queue->waiters);
}

void coroutine_fn co_queue_wait(CoQueue *queue)
{
    Coroutine *self = coroutine_self();
    self->wait_ctx = context_current();
    g_queue_push_tail_link(&queue->waiters, &self->link);
    coroutine_yield();
}

bool co_queue_next(CoQueue *queue)
{
    GList *link = g_queue_pop_head_link(&queue->waiters);
    if (!link) {
        return false;
    }
    Coroutine *co = link->data;
    coroutine_schedule(co->wait_ctx, co);
    return true;
}

void co_queue_restart_all(CoQueue *queue)
{
    while (co_queue_next(queue)) {
    }
}

bool co_queue_empty(const CoQueue *queue)
{
    return queue->waiters.length == 0;
}

void co_mutex_init(CoMutex *mutex)
{
    mutex->locked = false;
    co_queue_init(&mutex->queue);
}

void coroutine_fn co_mutex_lock(CoMutex *mutex)
{
    if (mutex->locked) {
        co_queue_wait(&mutex->queue); /* the owner hands it over locked: nobody comes in between */
    } else {
        mutex->locked = true;
    }
}

void coroutine_fn co_mutex_unlock(CoMutex *mutex)
{
    g_assert(mutex->locked);
    if (!co_queue_next(&mutex->queue)) {
        mutex->locked = false;
    }
}
