/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clocks and timers; see util/clock.h.
 *
 * Each clock has a binary heap of its pending timers, ordered by expiry and then by age, under a lock of its
 * own. The heap knows each timer's slot, so that rearming and disarming cost O(log n) and no allocation.
 */
#include "util/osdep.h"
#include "util/clock.h"

#include <pthread.h>
#include <time.h>
#include "util/main-loop.h"

typedef struct TimerHeap {
    pthread_mutex_t lock;
    Timer **heap;
    unsigned n, alloc;
    uint64_t next_seq;
    int64_t run_now; /* while timers run: the time for which they do; else INT64_MIN */
} TimerHeap;

#define HEAP_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .run_now = INT64_MIN }
static TimerHeap heaps[CLOCK_TYPES] = { HEAP_INIT, HEAP_INIT, HEAP_INIT };

/* The virtual clock: real time minus offset while it runs, else (and when manual) the value. */
static struct {
    pthread_mutex_t lock;
    bool running, manual;
    int64_t offset;
    int64_t value;
} virtual_clock = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int64_t host_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static int64_t virtual_get_locked(void)
{
    if (virtual_clock.running && !virtual_clock.manual) {
        return host_ns(CLOCK_MONOTONIC) - virtual_clock.offset;
    }
    return virtual_clock.value;
}

static int64_t virtual_get(void)
{
    pthread_mutex_lock(&virtual_clock.lock);
    int64_t now = virtual_get_locked();
    pthread_mutex_unlock(&virtual_clock.lock);
    return now;
}

int64_t clock_get_ns(ClockType clock)
{
    switch (clock) {
    case CLOCK_VIRTUAL:
        return virtual_get();
    case CLOCK_HOST:
        return host_ns(CLOCK_REALTIME);
    default:
        return host_ns(CLOCK_MONOTONIC);
    }
}

static void virtual_put(int64_t ns)
{
    virtual_clock.value = ns;
    virtual_clock.offset = host_ns(CLOCK_MONOTONIC) - ns;
}

void clock_virtual_enable(bool running)
{
    pthread_mutex_lock(&virtual_clock.lock);
    if (virtual_clock.running != running) {
        virtual_put(virtual_get_locked());
        virtual_clock.running = running;
    }
    pthread_mutex_unlock(&virtual_clock.lock);
    if (running) {
        main_loop_wake();
    }
}

void clock_virtual_set_manual(void)
{
    pthread_mutex_lock(&virtual_clock.lock);
    virtual_put(virtual_get_locked());
    virtual_clock.manual = true;
    pthread_mutex_unlock(&virtual_clock.lock);
}

bool clock_virtual_is_manual(void)
{
    return virtual_clock.manual;
}

int64_t clock_virtual_get_for_save(void)
{
    return virtual_get();
}

void clock_virtual_set(int64_t ns)
{
    pthread_mutex_lock(&virtual_clock.lock);
    virtual_put(ns);
    pthread_mutex_unlock(&virtual_clock.lock);
}

static bool clock_runs(ClockType clock)
{
    return clock != CLOCK_VIRTUAL || __atomic_load_n(&virtual_clock.running, __ATOMIC_RELAXED);
}

/* ---- the heap ---- */

static inline bool before(const Timer *a, const Timer *b)
{
    return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

static inline void put_at(TimerHeap *h, unsigned slot, Timer *timer)
{
    h->heap[slot] = timer;
    timer->slot = slot;
}

static void sift_up(TimerHeap *h, unsigned slot, Timer *timer)
{
    while (slot > 0 && before(timer, h->heap[(slot - 1) / 2])) {
        put_at(h, slot, h->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    put_at(h, slot, timer);
}

static void sift_down(TimerHeap *h, unsigned slot, Timer *timer)
{
    for (;;) {
        unsigned child = 2 * slot + 1;
        if (child >= h->n) {
            break;
        }
        if (child + 1 < h->n && before(h->heap[child + 1], h->heap[child])) {
            child++;
        }
        if (!before(h->heap[child], timer)) {
            break;
        }
        put_at(h, slot, h->heap[child]);
        slot = child;
    }
    put_at(h, slot, timer);
}

/* clock_poll_timeout_ns() looks at n without the lock. */
static inline void set_count(TimerHeap *h, unsigned n)
{
    __atomic_store_n(&h->n, n, __ATOMIC_RELAXED);
}

static void heap_remove(TimerHeap *h, Timer *timer)
{
    unsigned slot = timer->slot;
    Timer *last = h->heap[h->n - 1];
    set_count(h, h->n - 1);
    if (last != timer) {
        if (before(last, timer)) {
            sift_up(h, slot, last);
        } else {
            sift_down(h, slot, last);
        }
    }
    timer->expire_ns = -1;
}

static void heap_insert(TimerHeap *h, Timer *timer)
{
    if (h->n == h->alloc) {
        h->alloc = h->alloc ? 2 * h->alloc : 32;
        h->heap = g_renew(Timer *, h->heap, h->alloc);
    }
    set_count(h, h->n + 1);
    sift_up(h, h->n - 1, timer);
}

/* ---- timers ---- */

void timer_init(Timer *timer, ClockType clock, TimerFunc *func, void *opaque)
{
    *timer = (Timer){ .clock = clock, .expire_ns = -1, .func = func, .opaque = opaque };
}

static void timer_arm(Timer *timer, int64_t ns, bool only_earlier)
{
    TimerHeap *h = &heaps[timer->clock];
    ns = MAX(ns, 0);
    pthread_mutex_lock(&h->lock);
    if (only_earlier && timer->expire_ns >= 0 && timer->expire_ns <= ns) {
        pthread_mutex_unlock(&h->lock);
        return;
    }
    if (timer->expire_ns >= 0) {
        heap_remove(h, timer);
    }
    timer->expire_ns = ns;
    /* Armed for the past by a callback: behind all that are due already, so that none is kept out. */
    timer->key = MAX(ns, h->run_now);
    timer->seq = h->next_seq++;
    heap_insert(h, timer);
    bool first = timer->slot == 0;
    pthread_mutex_unlock(&h->lock);
    if (first && !in_main_thread()) {
        main_loop_wake();
    }
}

void timer_mod(Timer *timer, int64_t ns)
{
    timer_arm(timer, ns, false);
}

void timer_mod_earlier(Timer *timer, int64_t ns)
{
    timer_arm(timer, ns, true);
}

void timer_del(Timer *timer)
{
    TimerHeap *h = &heaps[timer->clock];
    pthread_mutex_lock(&h->lock);
    if (timer->expire_ns >= 0) {
        heap_remove(h, timer);
    }
    pthread_mutex_unlock(&h->lock);
}

bool timer_pending(const Timer *timer)
{
    return timer->expire_ns >= 0;
}

int64_t timer_expire_ns(const Timer *timer)
{
    return timer->expire_ns;
}

int64_t clock_deadline(ClockType clock)
{
    TimerHeap *h = &heaps[clock];
    pthread_mutex_lock(&h->lock);
    int64_t ns = h->n ? h->heap[0]->expire_ns : -1;
    pthread_mutex_unlock(&h->lock);
    return ns;
}

/* Runs the timers that are due at `now` and were armed before the call. */
static void run_due(ClockType clock, int64_t now)
{
    TimerHeap *h = &heaps[clock];
    pthread_mutex_lock(&h->lock);
    uint64_t end = h->next_seq;
    int64_t outer = h->run_now;
    h->run_now = now;
    while (h->n && h->heap[0]->key <= now && h->heap[0]->seq < end && clock_runs(clock)) {
        Timer *timer = h->heap[0];
        heap_remove(h, timer); /* C2 */
        TimerFunc *func = timer->func;
        void *opaque = timer->opaque;
        pthread_mutex_unlock(&h->lock);
        func(opaque);
        pthread_mutex_lock(&h->lock);
    }
    h->run_now = outer;
    pthread_mutex_unlock(&h->lock);
}

static bool heap_empty(const TimerHeap *h)
{
    return __atomic_load_n(&h->n, __ATOMIC_RELAXED) == 0;
}

void clock_run_timers(void)
{
    for (int clock = 0; clock < CLOCK_TYPES; clock++) {
        if (!heap_empty(&heaps[clock]) && clock_runs(clock)) {
            run_due(clock, clock_get_ns(clock));
        }
    }
}

int64_t clock_poll_timeout_ns(void)
{
    int64_t best = -1;
    for (int clock = 0; clock < CLOCK_TYPES; clock++) {
        TimerHeap *h = &heaps[clock];
        if (heap_empty(h) || !clock_runs(clock)) {
            continue;
        }
        pthread_mutex_lock(&h->lock);
        int64_t key = h->n ? h->heap[0]->key : INT64_MAX;
        pthread_mutex_unlock(&h->lock);
        int64_t now = clock_get_ns(clock);
        if (key <= now) {
            return 0;
        }
        if (clock == CLOCK_VIRTUAL && virtual_clock.manual) {
            continue; /* does not come nearer by waiting */
        }
        if (best < 0 || key - now < best) {
            best = key - now;
        }
    }
    return best;
}

/* ---- stepping (qtest) ---- */

static bool any_due(TimerHeap *h, int64_t now)
{
    pthread_mutex_lock(&h->lock);
    bool due = h->n && h->heap[0]->key <= now;
    pthread_mutex_unlock(&h->lock);
    return due;
}

/* The earliest expiry after `now`, at most limit. */
static int64_t next_expiry(TimerHeap *h, int64_t now, int64_t limit)
{
    int64_t next = limit;
    pthread_mutex_lock(&h->lock);
    if (h->n && h->heap[0]->key > now) {
        next = MIN(next, h->heap[0]->key);
    } else {
        for (unsigned i = 0; i < h->n; i++) {
            if (h->heap[i]->key > now && h->heap[i]->key < next) {
                next = h->heap[i]->key;
            }
        }
    }
    pthread_mutex_unlock(&h->lock);
    return next;
}

int64_t clock_virtual_step_to(int64_t ns)
{
    TimerHeap *h = &heaps[CLOCK_VIRTUAL];
    /* A callback that rearms itself for the same instant gets this many turns, then time goes on. */
    const int turns = 100;

    g_assert(virtual_clock.manual);
    int64_t now = virtual_get();
    while (clock_runs(CLOCK_VIRTUAL)) {
        for (int i = 0; i < turns && any_due(h, now) && clock_runs(CLOCK_VIRTUAL); i++) {
            run_due(CLOCK_VIRTUAL, now);
        }
        if (now >= ns || !clock_runs(CLOCK_VIRTUAL)) {
            return now; /* a callback may have stopped the VM: the rest of the step does not happen */
        }
        now = next_expiry(h, now, ns);
        clock_virtual_set(now);
    }
    /* Stopped before the step began: the client's time goes on, timers wait for the VM. */
    if (ns > now) {
        clock_virtual_set(ns);
    }
    return virtual_get();
}
