/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See blocktime.h. */
#include "util/osdep.h"
#include "migration/blocktime.h"

#include <pthread.h>
#include "qapi/qapi.h"
#include "util/clock.h"

typedef struct Processor {
    int thread;
    const void *page; /* NULL: it does not wait */
    int64_t since_ns, total_ns;
} Processor;

/* Under lock, but for active. */
static struct {
    pthread_mutex_t lock;
    bool active; /* atomic */
    bool measured;
    unsigned n, waiting;
    Processor *processors;
    int64_t all_since_ns, all_ns;
} bt = { .lock = PTHREAD_MUTEX_INITIALIZER };

bool blocktime_active(void)
{
    return __atomic_load_n(&bt.active, __ATOMIC_ACQUIRE);
}

static void set_active(bool active)
{
    __atomic_store_n(&bt.active, active, __ATOMIC_RELEASE);
}

void blocktime_begin(const int *threads, unsigned n)
{
    pthread_mutex_lock(&bt.lock);
    g_free(bt.processors);
    bt.processors = g_new0(Processor, n);
    bt.n = n;
    bt.waiting = 0;
    bt.all_ns = 0;
    for (unsigned i = 0; i < n; i++) {
        bt.processors[i].thread = threads[i];
    }
    bt.measured = true;
    set_active(true);
    pthread_mutex_unlock(&bt.lock);
}

/* With the lock. */
static void goes_on(Processor *p, int64_t now_ns)
{
    if (bt.waiting-- == bt.n) {
        bt.all_ns += now_ns - bt.all_since_ns;
    }
    p->total_ns += now_ns - p->since_ns;
    p->page = NULL;
}

static void waits(Processor *p, const void *page, int64_t now_ns)
{
    if (p->page == page) {
        return;
    }
    if (p->page) { /* T1 */
        goes_on(p, now_ns);
    }
    p->page = page;
    p->since_ns = now_ns;
    if (++bt.waiting == bt.n) {
        bt.all_since_ns = now_ns;
    }
}

void blocktime_fault(int thread, const void *page, int64_t now_ns)
{
    pthread_mutex_lock(&bt.lock);
    for (unsigned i = 0; bt.active && thread && i < bt.n; i++) {
        if (bt.processors[i].thread == thread) {
            waits(&bt.processors[i], page, now_ns);
        }
    }
    pthread_mutex_unlock(&bt.lock);
}

/* page NULL: whatever is waited for. */
static void end_waits(const void *page, int64_t now_ns)
{
    for (unsigned i = 0; i < bt.n; i++) {
        Processor *p = &bt.processors[i];
        if (p->page && (!page || p->page == page)) {
            goes_on(p, now_ns);
        }
    }
}

void blocktime_arrived(const void *page, int64_t now_ns)
{
    pthread_mutex_lock(&bt.lock);
    if (bt.active && bt.waiting) {
        end_waits(page, now_ns);
    }
    pthread_mutex_unlock(&bt.lock);
}

void blocktime_end(int64_t now_ns)
{
    pthread_mutex_lock(&bt.lock);
    if (bt.active) {
        end_waits(NULL, now_ns);
        set_active(false);
    }
    pthread_mutex_unlock(&bt.lock);
}

void blocktime_forget(void)
{
    pthread_mutex_lock(&bt.lock);
    bt.measured = false;
    set_active(false);
    bt.n = 0;
    g_clear_pointer(&bt.processors, g_free);
    pthread_mutex_unlock(&bt.lock);
}

bool blocktime_result(uint32_t *all, Uint32Array **each)
{
    pthread_mutex_lock(&bt.lock);
    bool measured = bt.measured;
    if (measured) {
        *all = bt.all_ns / NS_PER_MS;
        *each = g_new0(Uint32Array, 1);
        for (unsigned i = 0; i < bt.n; i++) {
            QAPI_ARRAY_ADD(*each, (uint32_t)(bt.processors[i].total_ns / NS_PER_MS));
        }
    }
    pthread_mutex_unlock(&bt.lock);
    return measured;
}
