/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long processors wait for pages: each, and all at the same time (migration/blocktime.h). */
#include "util/osdep.h"

#include <glib.h>
#include "migration/blocktime.h"
#include "qapi/qapi.h"

#define MS INT64_C(1000000)

static const int threads[] = { 100, 0, 102 };
static const char pages[8];

static void assert_result(unsigned all, unsigned a, unsigned b, unsigned c)
{
    uint32_t got = 0;
    Uint32Array *each = NULL;
    g_assert_true(blocktime_result(&got, &each));
    g_assert_cmpuint(each->len, ==, 3);
    g_assert_cmpuint(each->items[0], ==, a);
    g_assert_cmpuint(each->items[1], ==, b);
    g_assert_cmpuint(each->items[2], ==, c);
    g_assert_cmpuint(got, ==, all);
    qapi_free_value(&qapi_type_Uint32Array, each);
}

static void test_nothing(void)
{
    uint32_t all;
    Uint32Array *each;
    blocktime_fault(100, &pages[0], MS);
    blocktime_arrived(&pages[0], 2 * MS);
    blocktime_end(3 * MS);
    g_assert_false(blocktime_active());
    g_assert_false(blocktime_result(&all, &each));
}

static void test_one_waits(void)
{
    blocktime_begin(threads, 3);
    blocktime_fault(100, &pages[0], 10 * MS);
    blocktime_fault(77, &pages[1], 10 * MS); /* no processor's */
    blocktime_arrived(&pages[1], 11 * MS);
    blocktime_arrived(&pages[0], 15 * MS);
    blocktime_arrived(&pages[0], 20 * MS); /* twice */
    blocktime_fault(100, &pages[2], 30 * MS);
    blocktime_fault(100, &pages[2], 32 * MS); /* it asks again: since 30 */
    blocktime_arrived(&pages[2], 36 * MS);
    assert_result(0, 11, 0, 0);
    blocktime_forget();
}

static void test_a_processor_without_a_thread_never_waits(void)
{
    blocktime_begin(threads, 3);
    blocktime_fault(0, &pages[0], 10 * MS);
    blocktime_end(20 * MS);
    assert_result(0, 0, 0, 0);
    blocktime_forget();
}

static void test_all_wait(void)
{
    const int three[] = { 1, 2, 3 };
    blocktime_begin(three, 3);
    blocktime_fault(1, &pages[0], 0);
    blocktime_fault(2, &pages[1], 5 * MS);
    blocktime_fault(3, &pages[0], 7 * MS);
    blocktime_arrived(&pages[1], 10 * MS); /* 7 to 10: all */
    blocktime_fault(2, &pages[2], 12 * MS);
    blocktime_arrived(&pages[0], 20 * MS); /* 12 to 20: all; two go on */
    blocktime_arrived(&pages[2], 21 * MS);
    assert_result(11, 20, 14, 13);
    blocktime_forget();
}

static void test_small_times_add_up(void)
{
    const int one = 1;
    uint32_t all;
    Uint32Array *each;
    blocktime_begin(&one, 1);
    for (int i = 0; i < 1000; i++) {
        blocktime_fault(1, &pages[0], i * MS);
        blocktime_arrived(&pages[0], i * MS + MS / 10);
    }
    g_assert_true(blocktime_result(&all, &each));
    g_assert_cmpuint(all, ==, 100);
    g_assert_cmpuint(each->items[0], ==, 100);
    qapi_free_value(&qapi_type_Uint32Array, each);
    blocktime_forget();
}

static void test_end_ends_waits(void)
{
    blocktime_begin(threads, 3);
    blocktime_fault(102, &pages[0], 10 * MS);
    blocktime_fault(102, &pages[1], 14 * MS); /* T1: the first is over */
    blocktime_end(20 * MS);
    blocktime_fault(102, &pages[2], 30 * MS);
    blocktime_end(90 * MS);
    assert_result(0, 0, 0, 10);
    blocktime_forget();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/blocktime/nothing", test_nothing);
    g_test_add_func("/blocktime/one-waits", test_one_waits);
    g_test_add_func("/blocktime/without-a-thread", test_a_processor_without_a_thread_never_waits);
    g_test_add_func("/blocktime/all-wait", test_all_wait);
    g_test_add_func("/blocktime/small-times-add-up", test_small_times_add_up);
    g_test_add_func("/blocktime/end-ends-waits", test_end_ends_waits);
    return g_test_run();
}
