/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coroutines, their queues and mutexes (util/coroutine.h). */
#include "util/osdep.h"

#include <math.h>
#include <glib.h>
#include <time.h>
#include "util/coroutine.h"
#include "util/main-loop.h"

static GString *trace;

static void expect_trace(const char *want)
{
    g_assert_cmpstr(trace->str, ==, want);
    g_string_truncate(trace, 0);
}

static void drain(void)
{
    while (g_main_context_pending(NULL)) {
        main_loop_iterate(false);
    }
}

static void yield_entry(void *opaque)
{
    g_assert_true(in_coroutine());
    for (int i = 0; i < 3; i++) {
        g_string_append_c(trace, '0' + i);
        coroutine_yield();
    }
    g_string_append_c(trace, 'e');
}

static void test_yield(void)
{
    Coroutine *co = coroutine_create(yield_entry, NULL);
    g_assert_false(in_coroutine());
    for (int i = 0; i < 4; i++) {
        coroutine_enter(co);
        g_string_append_c(trace, '-');
        g_assert_false(in_coroutine());
    }
    expect_trace("0-1-2-e-");
}

static void nested_entry(void *opaque)
{
    int depth = GPOINTER_TO_INT(opaque);
    Coroutine *self = coroutine_self();
    if (depth) {
        coroutine_enter(coroutine_create(nested_entry, GINT_TO_POINTER(depth - 1)));
    }
    g_assert_true(coroutine_self() == self);
    g_string_append_c(trace, '0' + depth);
}

static void test_nested(void)
{
    coroutine_enter(coroutine_create(nested_entry, GINT_TO_POINTER(5)));
    expect_trace("012345");
}

/* Registers and floating point survive switches; stacks are deep enough. */
static double deep(int n, double x)
{
    volatile char frame[512];
    memset((void *)frame, n, sizeof(frame));
    if (n == 0) {
        coroutine_yield();
        return x;
    }
    double below = deep(n - 1, x * 1.5);
    g_assert_cmpint(frame[100], ==, (char)n);
    return below + x;
}

static void deep_entry(void *opaque)
{
    *(double *)opaque = deep(100, 1);
}

static void test_deep(void)
{
    double got[4] = { 0 }, want = 0, x = 1;
    Coroutine *co[4];
    for (int i = 0; i <= 100; i++, x *= 1.5) {
        want += x;
    }
    for (int i = 0; i < 4; i++) {
        co[i] = coroutine_create(deep_entry, &got[i]);
        coroutine_enter(co[i]);
    }
    for (int i = 0; i < 4; i++) {
        coroutine_enter(co[i]);
        g_assert_cmpfloat(fabs(got[i] / want - 1), <, 1e-12);
    }
}

static void nop_entry(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* More than the pool holds at once, then as many again from the pool. */
static void test_pool(void)
{
    unsigned n = 0;
    Coroutine *co[200];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(co); i++) {
            co[i] = coroutine_create(nop_entry, &n);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(co); i++) {
            coroutine_enter(co[i]);
        }
    }
    g_assert_cmpuint(n, ==, 600);
}

static void sleep_entry(void *opaque)
{
    int64_t before = clock_get_ns(CLOCK_REALTIME_NS);
    co_sleep_ns(CLOCK_REALTIME_NS, 2 * NS_PER_MS);
    g_assert_cmpint(clock_get_ns(CLOCK_REALTIME_NS) - before, >=, 2 * NS_PER_MS);
    *(bool *)opaque = true;
}

static void test_sleep(void)
{
    bool done = false;
    coroutine_schedule(NULL, coroutine_create(sleep_entry, &done));
    MAIN_LOOP_WHILE(!done);
}

static CoQueue queue;

static void queue_entry(void *opaque)
{
    co_queue_wait(&queue);
    g_string_append(trace, opaque);
}

static void test_queue(void)
{
    co_queue_init(&queue);
    g_assert_false(co_queue_next(&queue));
    coroutine_enter(coroutine_create(queue_entry, (void *)"a"));
    coroutine_enter(coroutine_create(queue_entry, (void *)"b"));
    coroutine_enter(coroutine_create(queue_entry, (void *)"c"));
    g_assert_true(co_queue_next(&queue));
    drain();
    expect_trace("a");
    g_assert_false(co_queue_empty(&queue));
    co_queue_restart_all(&queue);
    g_assert_true(co_queue_empty(&queue));
    drain();
    expect_trace("bc");
}

static CoMutex mutex;
static int inside;

static void mutex_entry(void *opaque)
{
    for (int i = 0; i < 2; i++) {
        co_mutex_lock(&mutex);
        g_assert_cmpint(inside++, ==, 0);
        g_string_append(trace, opaque);
        co_sleep_ns(CLOCK_REALTIME_NS, 1000);
        inside--;
        co_mutex_unlock(&mutex);
    }
}

static void test_mutex(void)
{
    co_mutex_init(&mutex);
    coroutine_enter(coroutine_create(mutex_entry, (void *)"a"));
    coroutine_enter(coroutine_create(mutex_entry, (void *)"b"));
    coroutine_enter(coroutine_create(mutex_entry, (void *)"c"));
    MAIN_LOOP_WHILE(trace->len < 6 || mutex.locked);
    expect_trace("abcabc"); /* fair */
}

static void *thread_func(void *opaque)
{
    Coroutine *co = opaque;
    coroutine_enter(co); /* started elsewhere, ended here */
    unsigned n = 0;
    coroutine_enter(coroutine_create(nop_entry, &n));
    g_assert_cmpuint(n, ==, 1);
    return NULL;
}

static void wander_entry(void *opaque)
{
    GThread *first = g_thread_self();
    coroutine_yield();
    g_assert_true(g_thread_self() != first);
    g_assert_true(in_coroutine());
    *(bool *)opaque = true;
}

static void test_threads(void)
{
    bool done = false;
    Coroutine *co = coroutine_create(wander_entry, &done);
    coroutine_enter(co);
    g_thread_join(g_thread_new("wander", thread_func, co));
    g_assert_true(done);
}

static void spin_entry(void *opaque)
{
    for (;;) {
        coroutine_yield();
        if (*(bool *)opaque) {
            return;
        }
    }
}

/* Seconds of processor time: the machine may be busy. */
static double cpu_time(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void test_speed(void)
{
    const int n = 1000000;
    bool stop = false;
    if (!g_test_perf()) {
        g_test_skip("only with -m perf");
        return;
    }
    Coroutine *co = coroutine_create(spin_entry, &stop);
    double start = cpu_time();
    for (int i = 0; i < n; i++) {
        coroutine_enter(co);
    }
    g_test_message("%.1f ns per enter and yield", (cpu_time() - start) * 1e9 / n);
    stop = true;
    coroutine_enter(co);
    unsigned count = 0;
    start = cpu_time();
    for (int i = 0; i < n; i++) {
        coroutine_enter(coroutine_create(nop_entry, &count));
    }
    g_test_message("%.1f ns per life of a coroutine", (cpu_time() - start) * 1e9 / n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trace = g_string_new(NULL);
    main_loop_init();
    g_test_add_func("/coroutine/yield", test_yield);
    g_test_add_func("/coroutine/nested", test_nested);
    g_test_add_func("/coroutine/deep", test_deep);
    g_test_add_func("/coroutine/pool", test_pool);
    g_test_add_func("/coroutine/sleep", test_sleep);
    g_test_add_func("/coroutine/queue", test_queue);
    g_test_add_func("/coroutine/mutex", test_mutex);
    g_test_add_func("/coroutine/threads", test_threads);
    g_test_add_func("/coroutine/speed", test_speed);
    int ret = g_test_run();
    g_string_free(trace, TRUE);
    return ret;
}
