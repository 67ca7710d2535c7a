/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Main loop, bottom halves, big lock, clocks and timers (util/main-loop.h, util/clock.h). */
#include "util/osdep.h"

#include <pthread.h>
#include <glib.h>
#include "util/clock.h"
#include "util/main-loop.h"

static GString *trace;

static void trace_bh(void *opaque)
{
    g_string_append(trace, opaque);
}

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

/* ---- bottom halves ---- */

static void test_bh_order(void)
{
    Bh *a = bh_new(NULL, "a", trace_bh, (void *)"a");
    Bh *b = bh_new(NULL, "b", trace_bh, (void *)"b");
    bh_schedule(b);
    bh_schedule(a);
    bh_schedule(b);
    bh_schedule_oneshot(NULL, trace_bh, (void *)"c");
    drain();
    expect_trace("bac");
    bh_schedule(a);
    bh_schedule(b);
    bh_cancel(a);
    drain();
    expect_trace("b");
    bh_schedule(a);
    bh_delete(a);
    bh_delete(b);
    bh_delete(NULL);
    drain();
    expect_trace("");
}

typedef struct Again {
    Bh *bh;
    int left;
} Again;

static void again_bh(void *opaque)
{
    Again *again = opaque;
    g_string_append_c(trace, '.');
    if (--again->left) {
        bh_schedule(again->bh);
    } else {
        bh_delete(again->bh);
    }
}

static void test_bh_again(void)
{
    Again again = { .left = 100 };
    again.bh = bh_new(NULL, "again", again_bh, &again);
    bh_schedule(again.bh);
    main_loop_iterate(false);
    g_assert_cmpuint(trace->len, >=, 1);
    g_assert_cmpuint(trace->len, <, 10); /* the rest of the loop has its turn */
    drain();
    g_assert_cmpuint(trace->len, ==, 100);
    g_string_truncate(trace, 0);
}

static void nested_bh(void *opaque)
{
    bool done = false;
    g_string_append_c(trace, '<');
    bh_schedule_oneshot(NULL, trace_bh, (void *)"n");
    while (!done) {
        main_loop_iterate(true);
        done = strchr(trace->str, 'n') != NULL;
    }
    g_string_append_c(trace, '>');
}

static void test_bh_nested(void)
{
    bh_schedule_oneshot(NULL, nested_bh, NULL);
    bh_schedule_oneshot(NULL, trace_bh, (void *)"x");
    drain();
    expect_trace("<xn>");
}

static void nested_call_bh(void *opaque)
{
    main_loop_call(trace_bh, (void *)"C");
    for (int i = 0; i < 5; i++) {
        main_loop_iterate(false);
    }
    g_string_append_c(trace, 'b');
}

/* A call does not run inside of a callback that iterates the loop. */
static void test_call(void)
{
    main_loop_call(trace_bh, (void *)"1");
    main_loop_call(trace_bh, (void *)"2");
    expect_trace("");
    main_loop_iterate(true); /* does not block */
    expect_trace("12");
    bh_schedule_oneshot(NULL, nested_call_bh, NULL);
    drain();
    main_loop_iterate(false);
    expect_trace("bC");
}

static unsigned counted;

static void count_bh(void *opaque)
{
    counted++;
}

static void *schedule_thread(void *opaque)
{
    for (int i = 0; i < 10000; i++) {
        bh_schedule_oneshot(NULL, count_bh, NULL);
    }
    return NULL;
}

static void test_bh_threads(void)
{
    GThread *threads[4];
    counted = 0;
    for (int i = 0; i < 4; i++) {
        threads[i] = g_thread_new("sched", schedule_thread, NULL);
    }
    MAIN_LOOP_WHILE(counted < 40000);
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpuint(counted, ==, 40000);
}

static GMainContext *io_context;
static bool io_stop;

static void io_stop_bh(void *opaque)
{
    g_assert_true(context_current() == io_context);
    io_stop = true;
}

static void *io_thread(void *opaque)
{
    context_set_current(io_context);
    while (!io_stop) {
        g_main_context_iteration(io_context, TRUE);
    }
    return NULL;
}

static void test_bh_context(void)
{
    io_context = g_main_context_new();
    GThread *thread = g_thread_new("io", io_thread, NULL);
    g_usleep(2000);
    bh_schedule_oneshot(io_context, io_stop_bh, NULL);
    g_thread_join(thread);
    bh_schedule_oneshot(io_context, io_stop_bh, NULL); /* never runs, and is freed with the context */
    g_main_context_unref(io_context);
    g_assert_true(context_current() == g_main_context_default());
}

/* ---- the big lock ---- */

static int lock_rounds;

static void *lock_thread(void *opaque)
{
    for (int i = 0; i < 20; i++) {
        bql_lock();
        g_assert_true(bql_locked());
        lock_rounds++;
        bql_unlock();
    }
    g_assert_false(bql_locked());
    g_assert_false(in_main_thread());
    return NULL;
}

static void test_lock_fair(void)
{
    Again busy = { .left = INT_MAX };
    GThread *thread = g_thread_new("lock", lock_thread, NULL);
    busy.bh = bh_new(NULL, "busy", again_bh, &busy);
    bh_schedule(busy.bh);
    /* The loop never sleeps, and the other thread gets its turns all the same. */
    MAIN_LOOP_WHILE(lock_rounds < 20);
    g_thread_join(thread);
    bh_delete(busy.bh);
    drain();
    g_string_truncate(trace, 0);
}

/* ---- timers ---- */

typedef struct TraceTimer {
    Timer timer;
    const char *name;
    int64_t ran_at;
    int64_t rearm; /* delay, -1: not */
    int left;
} TraceTimer;

static void trace_timer(void *opaque)
{
    TraceTimer *t = opaque;
    g_assert_false(timer_pending(&t->timer)); /* C2 */
    g_string_append(trace, t->name);
    t->ran_at = clock_get_ns(t->timer.clock);
    if (t->rearm >= 0 && --t->left > 0) {
        timer_mod(&t->timer, t->ran_at + t->rearm);
    }
}

static void init_timer(TraceTimer *t, ClockType clock, const char *name)
{
    *t = (TraceTimer){ .name = name, .rearm = -1 };
    timer_init(&t->timer, clock, trace_timer, t);
}

static void test_timer_realtime(void)
{
    TraceTimer a, b;
    init_timer(&a, CLOCK_REALTIME_NS, "a");
    init_timer(&b, CLOCK_REALTIME_NS, "b");
    int64_t now = clock_get_ns(CLOCK_REALTIME_NS);
    timer_mod(&a.timer, now + 3 * NS_PER_MS);
    timer_mod(&b.timer, now + 300 * NS_PER_US);
    g_assert_cmpint(timer_expire_ns(&a.timer), ==, now + 3 * NS_PER_MS);
    MAIN_LOOP_WHILE(timer_pending(&a.timer));
    expect_trace("ba");
    g_assert_cmpint(a.ran_at, >=, now + 3 * NS_PER_MS);
    g_assert_cmpint(b.ran_at, <, a.ran_at);
    timer_mod(&a.timer, 1); /* the past */
    drain();
    expect_trace("a");
    timer_mod(&a.timer, now);
    timer_del(&a.timer);
    timer_del(&a.timer);
    drain();
    expect_trace("");
}

static void *arm_thread(void *opaque)
{
    g_usleep(5000);
    timer_mod(opaque, clock_get_ns(CLOCK_REALTIME_NS));
    return NULL;
}

static void test_timer_thread(void)
{
    TraceTimer far, near;
    init_timer(&far, CLOCK_REALTIME_NS, "far");
    init_timer(&near, CLOCK_REALTIME_NS, "near");
    timer_mod(&far.timer, clock_get_ns(CLOCK_REALTIME_NS) + 60 * NS_PER_SEC);
    GThread *thread = g_thread_new("arm", arm_thread, &near.timer);
    MAIN_LOOP_WHILE(trace->len == 0);
    expect_trace("near");
    g_thread_join(thread);
    timer_del(&far.timer);
}

static void test_timer_virtual_stopped(void)
{
    TraceTimer a;
    init_timer(&a, CLOCK_VIRTUAL, "a");
    clock_virtual_enable(false);
    int64_t then = clock_get_ns(CLOCK_VIRTUAL);
    timer_mod(&a.timer, then);
    g_usleep(2000);
    drain();
    expect_trace("");
    g_assert_cmpint(clock_get_ns(CLOCK_VIRTUAL), ==, then);
    clock_virtual_enable(true);
    drain();
    expect_trace("a");
    g_assert_cmpint(a.ran_at - then, <, 20 * NS_PER_SEC);
    clock_virtual_enable(false);
    clock_virtual_set(12345);
    g_assert_cmpint(clock_virtual_get_for_save(), ==, 12345);
}

static void test_timer_manual(void)
{
    TraceTimer a, b, c;
    clock_virtual_set_manual();
    clock_virtual_set(0);
    clock_virtual_enable(true);
    init_timer(&a, CLOCK_VIRTUAL, "a");
    init_timer(&b, CLOCK_VIRTUAL, "b");
    init_timer(&c, CLOCK_VIRTUAL, "c");
    timer_mod(&a.timer, 300);
    timer_mod(&b.timer, 100);
    timer_mod(&c.timer, 300);
    b.rearm = 100;
    b.left = 10;
    g_assert_cmpint(clock_deadline(CLOCK_VIRTUAL), ==, 100);
    g_assert_cmpint(clock_virtual_step_to(350), ==, 350);
    expect_trace("bbacb"); /* at 300, in order of arming */
    g_assert_cmpint(a.ran_at, ==, 300);
    g_assert_cmpint(b.ran_at, ==, 300);
    g_assert_cmpint(clock_deadline(CLOCK_VIRTUAL), ==, 400);
    timer_del(&b.timer);
    g_assert_cmpint(clock_deadline(CLOCK_VIRTUAL), ==, -1);

    /* A zero delay ends, and what is due later is not kept out by it. */
    a.rearm = 0;
    a.left = 1000;
    timer_mod(&a.timer, 360);
    timer_mod(&b.timer, 370);
    b.left = 1;
    g_assert_cmpint(clock_virtual_step_to(400), ==, 400);
    g_assert_cmpint(b.ran_at, ==, 370);
    timer_del(&a.timer);
    g_string_truncate(trace, 0);

    /* Stopped: the clock moves, timers wait. */
    clock_virtual_enable(false);
    timer_mod(&c.timer, 410);
    g_assert_cmpint(clock_virtual_step_to(500), ==, 500);
    expect_trace("");
    timer_mod_earlier(&c.timer, 600);
    g_assert_cmpint(timer_expire_ns(&c.timer), ==, 410);
    timer_mod_earlier(&c.timer, 405);
    g_assert_cmpint(timer_expire_ns(&c.timer), ==, 405);
    clock_virtual_enable(true);
    drain();
    expect_trace("c");
}

/* Many timers, moved and deleted at random, run in order. */
static TraceTimer many[500];
static int64_t last_run;
static unsigned n_run;

static void ordered_timer(void *opaque)
{
    g_assert_cmpint(clock_get_ns(CLOCK_VIRTUAL), >=, last_run);
    last_run = clock_get_ns(CLOCK_VIRTUAL);
    n_run++;
}

static void test_timer_many(void)
{
    unsigned pending = 0;
    clock_virtual_set(0);
    for (size_t i = 0; i < G_N_ELEMENTS(many); i++) {
        timer_init(&many[i].timer, CLOCK_VIRTUAL, ordered_timer, NULL);
    }
    for (int i = 0; i < 20000; i++) {
        Timer *t = &many[g_test_rand_int_range(0, G_N_ELEMENTS(many))].timer;
        if (g_test_rand_bit()) {
            timer_mod(t, g_test_rand_int_range(1, 10000));
        } else {
            timer_del(t);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(many); i++) {
        pending += timer_pending(&many[i].timer);
    }
    clock_virtual_step_to(10000);
    g_assert_cmpuint(n_run, ==, pending);
    g_assert_cmpint(clock_deadline(CLOCK_VIRTUAL), ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trace = g_string_new(NULL);
    main_loop_init();
    g_test_add_func("/loop/bh/order", test_bh_order);
    g_test_add_func("/loop/bh/again", test_bh_again);
    g_test_add_func("/loop/bh/nested", test_bh_nested);
    g_test_add_func("/loop/call", test_call);
    g_test_add_func("/loop/bh/threads", test_bh_threads);
    g_test_add_func("/loop/bh/context", test_bh_context);
    g_test_add_func("/loop/lock/fair", test_lock_fair);
    g_test_add_func("/loop/timer/realtime", test_timer_realtime);
    g_test_add_func("/loop/timer/thread", test_timer_thread);
    g_test_add_func("/loop/timer/virtual-stopped", test_timer_virtual_stopped);
    g_test_add_func("/loop/timer/manual", test_timer_manual);
    g_test_add_func("/loop/timer/many", test_timer_many);
    int ret = g_test_run();
    g_string_free(trace, TRUE);
    return ret;
}
