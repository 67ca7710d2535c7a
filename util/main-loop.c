/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop: the default GMainContext with a poll function that lets go of the big lock and that
 * knows when the next timer is due (GLib itself counts in milliseconds).
 *
 * L1  The big lock is held by the main thread whenever it is outside poll_unlocked().
 * L2  Timers and bottom halves are GSources, so that any iteration of the context runs them, nested ones
 *     (MAIN_LOOP_WHILE inside a callback) too.
 */
#include "util/osdep.h"
#include "util/main-loop.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>
#include "util/clock.h"
#include "loop-private.h"

/* What an event leads to is mostly a chain of bottom halves: a request is over, its device is told, the guest is told. */
#define BH_ROUNDS 3

static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned big_lock_waiters; /* atomic */
static unsigned big_lock_taken;   /* atomic: how often it was taken */
static __thread bool big_lock_held;
static __thread bool main_thread;
static __thread GMainContext *current_context;

/* ---- the big lock ---- */

void bql_lock(void)
{
    g_assert(!big_lock_held);
    if (pthread_mutex_trylock(&big_lock) != 0) {
        __atomic_fetch_add(&big_lock_waiters, 1, __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&big_lock);
        __atomic_fetch_sub(&big_lock_waiters, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_fetch_add(&big_lock_taken, 1, __ATOMIC_RELAXED);
    big_lock_held = true;
}

void bql_unlock(void)
{
    g_assert(big_lock_held);
    big_lock_held = false;
    pthread_mutex_unlock(&big_lock);
}

bool bql_locked(void)
{
    return big_lock_held;
}

void bql_cond_wait(pthread_cond_t *cond)
{
    g_assert(big_lock_held);
    big_lock_held = false;
    pthread_cond_wait(cond, &big_lock);
    __atomic_fetch_add(&big_lock_taken, 1, __ATOMIC_RELAXED);
    big_lock_held = true;
}

/*
 * A busy main loop unlocks for microseconds only, and mutexes are not fair: whoever was woken would find
 * the lock taken again. So leave it until somebody had it, at most half a millisecond.
 */
static void let_waiters_in(unsigned taken)
{
    for (int i = 0; i < 10 && __atomic_load_n(&big_lock_waiters, __ATOMIC_SEQ_CST) &&
                    __atomic_load_n(&big_lock_taken, __ATOMIC_RELAXED) == taken; i++) {
        struct timespec pause = { .tv_nsec = 50 * NS_PER_US };
        nanosleep(&pause, NULL);
    }
}

/* ---- the loop ---- */

static gint poll_unlocked(GPollFD *fds, guint nfds, gint timeout_ms)
{
    int64_t timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * NS_PER_MS;
    if (timeout_ns != 0 && main_thread) {
        int64_t timers_ns = clock_poll_timeout_ns();
        if (timers_ns >= 0 && (timeout_ns < 0 || timers_ns < timeout_ns)) {
            timeout_ns = timers_ns;
        }
        if (bh_any_pending(NULL)) {
            timeout_ns = 0;
        }
    }
    bool unlock = big_lock_held;
    if (unlock) {
        unsigned taken = __atomic_load_n(&big_lock_taken, __ATOMIC_RELAXED);
        bql_unlock();
        if (timeout_ns == 0) {
            let_waiters_in(taken);
        }
    }
    struct timespec ts = { .tv_sec = timeout_ns / NS_PER_SEC, .tv_nsec = timeout_ns % NS_PER_SEC };
    /* GPollFD has the layout of struct pollfd: GLib's g_poll() relies on it as well. */
    int ret = ppoll((struct pollfd *)fds, nfds, timeout_ns < 0 ? NULL : &ts, NULL);
    int err = errno;
    if (unlock) {
        bql_lock();
    }
    errno = err;
    return ret;
}

static gboolean timers_prepare(GSource *source, gint *timeout_ms)
{
    *timeout_ms = -1;
    return clock_poll_timeout_ns() == 0;
}

static gboolean timers_check(GSource *source)
{
    return clock_poll_timeout_ns() == 0;
}

static gboolean timers_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    clock_run_timers();
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timers_source_funcs = {
    .prepare = timers_prepare,
    .check = timers_check,
    .dispatch = timers_dispatch,
};

void main_loop_init(void)
{
    static bool done;
    if (done) {
        return;
    }
    done = true;
    main_thread = true;
    bql_lock();
    g_main_context_set_poll_func(NULL, poll_unlocked);
    GSource *timers = g_source_new(&timers_source_funcs, sizeof(GSource));
    g_source_set_static_name(timers, "timers");
    g_source_set_can_recurse(timers, TRUE); /* L2 */
    g_source_attach(timers, NULL);
    g_source_unref(timers);
    loop_bh_init_main();
}

/* ---- what is looked at in busy waits ---- */

static __thread LoopPoller *pollers;

static void watch_poller(LoopPoller *p, bool on)
{
    if (p->on != on) {
        p->on = on;
        if (p->watched) {
            p->watched(p, on);
        }
    }
}

void loop_poller_add(LoopPoller *poller)
{
    poller->on = false;
    poller->next = pollers;
    pollers = poller;
}

void loop_poller_remove(LoopPoller *poller)
{
    LoopPoller **at = &pollers;
    while (*at != poller) {
        at = &(*at)->next;
    }
    *at = poller->next;
    watch_poller(poller, false);
}

bool loop_pollers_look(void)
{
    bool any = false;
    for (LoopPoller *p = pollers; p; p = p->next) {
        any |= p->look(p);
    }
    return any;
}

void loop_pollers_watch(bool on)
{
    for (LoopPoller *p = pollers; p; p = p->next) {
        watch_poller(p, on);
    }
}

/* ---- calls between iterations ---- */

typedef struct LoopCall {
    void (*func)(void *opaque);
    void *opaque;
} LoopCall;

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;
static GQueue calls = G_QUEUE_INIT; /* LoopCall */

void main_loop_call(void (*func)(void *opaque), void *opaque)
{
    LoopCall *call = g_new(LoopCall, 1);
    *call = (LoopCall){ func, opaque };
    pthread_mutex_lock(&calls_lock);
    g_queue_push_tail(&calls, call);
    pthread_mutex_unlock(&calls_lock);
    main_loop_wake();
}

/* Runs what is there; whether there was anything. */
static bool run_calls(void)
{
    bool any = false;
    for (;;) {
        pthread_mutex_lock(&calls_lock);
        g_autofree LoopCall *call = g_queue_pop_head(&calls);
        pthread_mutex_unlock(&calls_lock);
        if (!call) {
            return any;
        }
        any = true;
        call->func(call->opaque);
    }
}

void main_loop_iterate(bool block)
{
    static bool inside;
    bool outermost = g_main_depth() == 0 && !inside;
    g_assert(main_thread);
    if (outermost && run_calls()) {
        block = false; /* the caller's condition may hold now */
    }
    g_main_context_iteration(NULL, block);
    if (outermost) {
        inside = true;
        loop_bh_run(NULL, BH_ROUNDS);
        inside = false;
    }
}

void context_iterate(GMainContext *ctx, bool block)
{
    if (g_main_context_iteration(ctx, block)) {
        loop_bh_run(ctx, BH_ROUNDS);
    }
}

void main_loop_wake(void)
{
    g_main_context_wakeup(NULL);
}

bool in_main_thread(void)
{
    return main_thread;
}

GMainContext *context_current(void)
{
    return current_context ? current_context : g_main_context_default();
}

void context_set_current(GMainContext *ctx)
{
    loop_bh_leave_context();
    current_context = ctx;
}
