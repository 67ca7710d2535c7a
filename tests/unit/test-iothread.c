/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -object iothread: its thread, its loop, its limits. */
#include "util/osdep.h"

#include <json-c/json.h>
#include "qapi/commands-misc.h"
#include "system/iothread.h"
#include "util/error.h"
#include "util/main-loop.h"

static IoThread *make(const char *id, const char *text)
{
    json_object *props = json_tokener_parse(text);
    GError *error = NULL;
    g_assert_true(user_creatable_add("iothread", id, props, &error));
    g_assert_no_error(error);
    json_object_put(props);
    return iothread_find(id, NULL);
}

static void drop(const char *id)
{
    g_assert_true(user_creatable_del(id, NULL));
}

static void note_thread(void *opaque)
{
    *(GThread **)opaque = g_thread_self();
    g_assert_false(bql_locked());
}

/* What it runs, runs in a thread of its own, without the big lock, and the caller sees the result. */
static void test_run(void)
{
    IoThread *a = make("a", "{}"), *b = make("b", "{}");
    GThread *in_a = NULL, *in_b = NULL;
    iothread_run(a, note_thread, &in_a);
    iothread_run(b, note_thread, &in_b);
    g_assert_true(in_a && in_b && in_a != in_b && in_a != g_thread_self());
    drop("a");
    drop("b");
}

typedef struct Volley {
    IoThread *io;
    unsigned left;
} Volley;

static void ping(void *opaque);

static void pong(void *opaque)
{
    Volley *v = opaque;
    g_assert_true(context_current() == iothread_context(v->io));
    bh_schedule_oneshot(NULL, ping, v);
}

static void ping(void *opaque)
{
    Volley *v = opaque;
    g_assert_true(bql_locked());
    if (--v->left) {
        bh_schedule_oneshot(iothread_context(v->io), pong, v);
    }
}

/* Bottom halves between the main loop and an iothread, with each way of waiting. */
static void test_volley(gconstpointer props)
{
    Volley v = { make("v", props), 2000 };
    bh_schedule_oneshot(iothread_context(v.io), pong, &v);
    MAIN_LOOP_WHILE(v.left);
    drop("v");
}

static void count(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* What was asked before the object goes is done. */
static void test_delete(void)
{
    unsigned n = 0;
    IoThread *io = make("d", "{}");
    for (int i = 0; i < 100; i++) {
        bh_schedule_oneshot(iothread_context(io), count, &n);
    }
    drop("d");
    g_assert_cmpuint(n, ==, 100);
}

static void test_in_use(void)
{
    GError *error = NULL;
    IoThread *io = make("u", "{}");
    iothread_hold(io);
    g_assert_false(user_creatable_del("u", &error));
    g_assert_cmpstr(error->message, ==, "object 'u' is in use, can not be deleted");
    g_clear_error(&error);
    iothread_release(io);
    drop("u");
    g_assert_null(iothread_find("u", &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
}

static void test_properties(void)
{
    IOThreadInfoArray *list = NULL;
    GError *error = NULL;
    IoThread *io = make("p", "{'poll-max-ns': 1000, 'poll-grow': 3, 'poll-shrink': 4}");
    g_assert_true(qmp_query_iothreads(&list, NULL));
    g_assert_cmpuint(list->len, ==, 1);
    IOThreadInfo *info = list->items[0];
    g_assert_cmpstr(info->id, ==, "p");
    g_assert_cmpint(info->poll_max_ns, ==, 1000);
    g_assert_cmpint(info->poll_grow, ==, 3);
    g_assert_cmpint(info->poll_shrink, ==, 4);
    g_assert_cmpint(info->thread_id, >, 0);
    g_assert_cmpint(info->thread_id, !=, getpid());
    qapi_free_IOThreadInfoArray(list);
    g_assert_true(object_set_text((Object *)io, "poll-max-ns", "0", NULL)); /* while it runs */
    g_assert_false(object_set_text((Object *)io, "poll-max-ns", "-1", &error));
    g_assert_cmpstr(error->message, ==,
                    "poll-max-ns value must be in range [0, 9223372036854775807]");
    g_clear_error(&error);
    g_assert_false(object_set_text((Object *)io, "poll-grow", "x", &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    drop("p");
}

/* Threads of this process that do block I/O. */
static unsigned workers(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, NULL);
    unsigned n = 0;
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", name);
        g_autofree char *comm = NULL;
        n += g_file_get_contents(path, &comm, NULL, NULL) && g_str_equal(comm, "worker\n");
    }
    return n;
}

static void expect_workers(unsigned n)
{
    for (int i = 0; i < 1000 && workers() != n; i++) {
        g_usleep(10000);
    }
    g_assert_cmpuint(workers(), ==, n);
}

static void expect_bad_pool(const char *id, const char *text)
{
    json_object *props = json_tokener_parse(text);
    GError *error = NULL;
    g_assert_false(user_creatable_add("iothread", id, props, &error));
    g_assert_cmpstr(error->message, ==, "bad thread-pool-min/thread-pool-max values");
    g_clear_error(&error);
    json_object_put(props);
}

static void test_pool(void)
{
    GError *error = NULL;
    expect_bad_pool("t", "{'thread-pool-min': 5, 'thread-pool-max': 2}");
    expect_bad_pool("t", "{'thread-pool-max': 0}");
    expect_bad_pool("t", "{'thread-pool-max': 100000000000}");
    IoThread *io = make("t", "{'thread-pool-min': 3, 'thread-pool-max': 8, 'aio-max-batch': 7}");
    expect_workers(3);
    g_assert_true(object_set_text((Object *)io, "thread-pool-min", "5", NULL));
    expect_workers(5);
    g_assert_false(object_set_text((Object *)io, "thread-pool-max", "4", &error));
    g_assert_cmpstr(error->message, ==, "bad thread-pool-min/thread-pool-max values");
    g_clear_error(&error);
    g_assert_true(object_set_text((Object *)io, "thread-pool-min", "0", NULL));
    g_assert_true(object_set_text((Object *)io, "thread-pool-max", "2", NULL));
    expect_workers(2);
    IOThreadInfoArray *list = NULL;
    g_assert_true(qmp_query_iothreads(&list, NULL));
    g_assert_cmpint(list->items[0]->aio_max_batch, ==, 7);
    qapi_free_IOThreadInfoArray(list);
    drop("t");
    expect_workers(0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    g_test_add_func("/iothread/run", test_run);
    g_test_add_data_func("/iothread/volley/sleep", "{'poll-max-ns': 0}", test_volley);
    g_test_add_data_func("/iothread/volley/busy", "{'poll-max-ns': 200000}", test_volley);
    g_test_add_func("/iothread/delete", test_delete);
    g_test_add_func("/iothread/in-use", test_in_use);
    g_test_add_func("/iothread/properties", test_properties);
    g_test_add_func("/iothread/pool", test_pool);
    return g_test_run();
}
