/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace events and log items (util/trace.h, util/log.h). */
#include "util/osdep.h"

#include "util/log.h"
#include "util/trace.h"

TRACE_EVENT(test_apple)
TRACE_EVENT(test_pear)

static char *log_path;

/* What was logged since the last call. */
static char *logged(void)
{
    char *text = NULL;

    g_assert_true(g_file_get_contents(log_path, &text, NULL, NULL));
    g_assert_true(log_set_file(log_path, NULL));
    return text;
}

static void say_both(void)
{
    trace(test_apple, "weight %d", 7);
    trace_mark(test_pear);
}

static void expect(const char *want)
{
    g_autofree char *have = NULL;

    say_both();
    have = logged();
    g_assert_cmpstr(have, ==, want);
}

static void test_events(void)
{
    expect("");
    g_assert_cmpuint(trace_set("test_apple", true), ==, 1);
    expect("test_apple weight 7\n");
    g_assert_cmpuint(trace_set("test_*", true), ==, 2);
    expect("test_apple weight 7\ntest_pear \n");
    trace_enable("-test_a*");
    expect("test_pear \n");
    g_assert_cmpuint(trace_set("test_plum", true), ==, 0);
    trace_set("*", false);
    expect("");
}

static void test_timestamps(void)
{
    g_autofree char *prefix = g_strdup_printf("%d@", getpid()), *have = NULL;

    trace_set_timestamps(true);
    trace_set("test_apple", true);
    say_both();
    have = logged();
    g_assert_true(g_str_has_prefix(have, prefix));
    g_assert_true(g_str_has_suffix(have, ":test_apple weight 7\n"));
    trace_set("*", false);
    trace_set_timestamps(false);
}

static void test_file(void)
{
    g_autofree char *path = g_strconcat(log_path, ".events", NULL);
    GError *error = NULL;

    g_assert_true(g_file_set_contents(path, "# comment\n\ntest_*\n-test_pear\n", -1, NULL));
    g_assert_true(trace_enable_file(path, NULL));
    expect("test_apple weight 7\n");
    trace_set("*", false);
    unlink(path);
    g_assert_false(trace_enable_file(path, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
}

static void test_items(void)
{
    g_autofree char *have = NULL, *help = log_items_help("-d");
    GError *error = NULL;

    g_assert_nonnull(strstr(help, "guest_errors"));
    log_guest_error("not wanted");
    g_assert_true(log_set_items("guest_errors,trace:test_apple", NULL));
    log_guest_error("bad register %d", 3);
    log_unimplemented("not wanted");
    say_both();
    have = logged();
    g_assert_cmpstr(have, ==, "bad register 3\ntest_apple weight 7\n");
    g_assert_false(log_set_items("unimp,nonsense", &error));
    g_assert_cmpstr(error->message, ==, "unknown log item 'nonsense': 'help' lists them");
    g_clear_error(&error);
    g_assert_true(log_wants(LOG_GUEST_ERRORS)); /* nothing has changed */
    g_assert_true(log_set_items("none", NULL));
    g_assert_false(log_wants(LOG_GUEST_ERRORS));
    trace_set("*", false);
}

static void test_bad_file(void)
{
    GError *error = NULL;

    g_assert_false(log_set_file("/nonexistent/x", &error));
    g_assert_cmpstr(error->message, ==, "Error opening logfile /nonexistent/x: No such file or directory");
    g_clear_error(&error);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    log_path = g_strdup_printf("%s/log", g_get_tmp_dir());
    g_assert_true(log_set_file(log_path, NULL));
    g_test_add_func("/trace/events", test_events);
    g_test_add_func("/trace/timestamps", test_timestamps);
    g_test_add_func("/trace/file", test_file);
    g_test_add_func("/log/items", test_items);
    g_test_add_func("/log/bad-file", test_bad_file);
    status = g_test_run();
    log_set_file(NULL, NULL);
    unlink(log_path);
    g_free(log_path);
    return status;
}
