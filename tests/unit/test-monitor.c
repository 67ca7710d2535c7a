/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitors end to end: QMP and HMP over unix sockets, with the client in the same process. */
#include "util/osdep.h"

#include <fcntl.h>
#include <signal.h>

#include "io/fds.h"
#include "io/socket.h"
#include "monitor/monitor.h"
#include "util/error.h"
#include "util/main-loop.h"

static char *dir;
static char *socket_path, *hmp_path, *pretty_path;
static bool quit_called;

/* ---- commands of this test ---- */

static int oob_calls; /* atomic */
static unsigned nested_depth, deepest;

static bool run_oob(json_object *args, json_object **ret, GError **error)
{
    g_atomic_int_inc(&oob_calls);
    *ret = json_object_new_boolean(in_main_thread());
    return true;
}

/* Keeps the main thread busy until an out-of-band command came. */
static bool run_busy(json_object *args, json_object **ret, GError **error)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    int before = g_atomic_int_get(&oob_calls);

    while (g_atomic_int_get(&oob_calls) == before && g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    return g_atomic_int_get(&oob_calls) != before || error_set(error, "nobody came");
}

/* Iterates the main loop, as commands that wait for block jobs do. */
static bool run_nested(json_object *args, json_object **ret, GError **error)
{
    nested_depth++;
    deepest = MAX(deepest, nested_depth);
    for (int i = 0; i < 50; i++) {
        main_loop_iterate(false);
        g_usleep(200);
    }
    nested_depth--;
    return true;
}

static bool run_event(json_object *args, json_object **ret, GError **error)
{
    json_object *name = json_object_object_get(args, "name");

    qapi_event_emit(json_object_get_string(name), json_object_get(args));
    return true;
}

static bool run_silent(json_object *args, json_object **ret, GError **error)
{
    return true;
}

static const QmpCommand test_commands[] = {
    { "test-oob", run_oob, QMP_ALLOW_OOB | QMP_ALLOW_PRECONFIG },
    { "test-busy", run_busy, QMP_ALLOW_PRECONFIG },
    { "test-nested", run_nested, QMP_ALLOW_PRECONFIG },
    { "test-event", run_event, QMP_ALLOW_PRECONFIG },
    { "test-silent", run_silent, QMP_ALLOW_PRECONFIG | QMP_NO_SUCCESS_RESPONSE },
    { "test-late", run_silent, 0 },
};
static QmpModule test_module = { "test", test_commands, G_N_ELEMENTS(test_commands), NULL };

static bool machine_is_ready = true;

static bool machine_ready(void)
{
    return machine_is_ready;
}

static void quit(void)
{
    quit_called = true;
}

static bool cpu_exists(int64_t index)
{
    return index == 0;
}

/* ---- a client ---- */

typedef struct Client {
    IoChannel *ioc;
    GString *in;
} Client;

static Client *client_new(const char *path)
{
    g_autofree char *where = g_strdup_printf("unix:%s", path);
    g_autoptr(SocketAddress) addr = io_socket_address_parse(where, NULL);
    GError *error = NULL;
    Client *c = g_new0(Client, 1);

    c->ioc = io_socket_connect(addr, &error);
    g_assert_no_error(error);
    io_channel_set_blocking(c->ioc, false, NULL);
    c->in = g_string_new(NULL);
    return c;
}

static void client_free(Client *c)
{
    io_channel_unref(c->ioc);
    g_string_free(c->in, TRUE);
    g_free(c);
}

/* The server works while we wait. */
static bool client_fill(Client *c)
{
    char buf[4096];
    ssize_t n = io_channel_read(c->ioc, buf, sizeof(buf), NULL);

    main_loop_iterate(false);
    if (n > 0) {
        g_string_append_len(c->in, buf, n);
        return true;
    }
    g_usleep(200);
    return n == -EAGAIN;
}

static void client_write(Client *c, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = io_channel_write(c->ioc, text, len, NULL);

        if (n == -EAGAIN) {
            client_fill(c);
            continue;
        }
        g_assert_cmpint(n, >, 0);
        text += n;
        len -= (size_t)n;
    }
}

/* The next line, without its end. */
static char *client_line(Client *c)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    char *nl, *line;

    while (!(nl = strstr(c->in->str, "\r\n"))) {
        g_assert_true(client_fill(c));
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    line = g_strndup(c->in->str, (gsize)(nl - c->in->str));
    g_string_erase(c->in, 0, nl - c->in->str + 2);
    return line;
}

static void expect(Client *c, const char *expected)
{
    g_autofree char *line = client_line(c);

    g_assert_cmpstr(line, ==, expected);
}

static void ask(Client *c, const char *request, const char *expected)
{
    client_write(c, request);
    client_write(c, "\n");
    expect(c, expected);
}

/* Nothing comes for a moment. */
static void expect_silence(Client *c)
{
    for (int i = 0; i < 50; i++) {
        client_fill(c);
    }
    g_assert_cmpstr(c->in->str, ==, "");
}

#define GREETING                                                                       \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, " \
    "\"package\": \"Tern " TERN_VERSION "\"}, \"capabilities\": [\"oob\"]}}"
#define EMPTY "{\"return\": {}}"

static Client *session(bool oob)
{
    Client *c = client_new(socket_path);

    expect(c, GREETING);
    ask(c,
        oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"
            : "{\"execute\":\"qmp_capabilities\"}",
        EMPTY);
    return c;
}

/* ---- QMP ---- */

static void test_negotiation(void)
{
    Client *c = client_new(socket_path);

    expect(c, GREETING);
    ask(c, "{\"execute\":\"query-version\"}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting capabilities "
        "negotiation with "
        "'qmp_capabilities'\"}}");
    ask(c, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"nope\"]}}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'enable[0]' does not "
        "accept value "
        "'nope'\"}}");
    ask(c, "{\"execute\":\"qmp_capabilities\"}", EMPTY);
    ask(c, "{\"execute\":\"qmp_capabilities\"}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Capabilities negotiation is "
        "already complete, "
        "command ignored\"}}");
    ask(c, "{\"exec-oob\":\"test-oob\",\"id\":1}",
        "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member "
        "'exec-oob' is "
        "unexpected\"}}");
    client_free(c);
    /* the next connection begins anew */
    c = client_new(socket_path);
    expect(c, GREETING);
    client_free(c);
}

static void test_requests(void)
{
    Client *c = session(false);

    ask(c, "{\"execute\":\"nope\",\"id\":null}",
        "{\"id\": null, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nope "
        "has not been "
        "found\"}}");
    ask(c, "{\"execute\":3}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member 'execute' must be "
        "a string\"}}");
    ask(c, "{\"id\":[1,{}]}",
        "{\"id\": [1, {}], \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input lacks "
        "member "
        "'execute'\"}}");
    ask(c, "[]",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input must be a JSON "
        "object\"}}");
    ask(c, "{\"execute\":\"query-version\",\"x\":1}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member 'x' is "
        "unexpected\"}}");
    ask(c, "{\"execute\":\"query-version\",\"arguments\":[]}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member 'arguments' must "
        "be an object\"}}");
    ask(c, "{\"execute\":\"query-version\",\"arguments\":{\"a\":1},\"id\":\"i\"}",
        "{\"id\": \"i\", \"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'a' is "
        "unexpected\"}}");
    ask(c, "{'execute':'query-version','id':'\\u00e9'}",
        "{\"return\": {\"qemu\": {\"major\": 10, \"minor\": 0, \"micro\": 2}, \"package\": "
        "\"Tern " TERN_VERSION "\"}, \"id\": \"\\u00E9\"}");
    client_write(c, "{\"execute\":\"test-silent\"}");
    ask(c, "{\"execute\":\"test-oob\"}", "{\"return\": true}");
    client_write(c, "{\"execute\":\"query-ver\xff");
    expect(c, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, missing "
              "terminating quote\"}}");
    ask(c, "{\"execute\":\"test-oob\"}", "{\"return\": true}");
    client_free(c);
}

static void test_preconfig(void)
{
    Client *c = session(false);

    machine_is_ready = false;
    ask(c, "{\"execute\":\"test-late\"}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"The command 'test-late' is "
        "permitted only after "
        "machine initialization has completed\"}}");
    machine_is_ready = true;
    ask(c, "{\"execute\":\"test-late\"}", EMPTY);
    client_free(c);
}

/* Many requests in one write: one answer each, in order. */
static void test_order(void)
{
    Client *c = session(false);
    GString *all = g_string_new(NULL);

    for (int i = 0; i < 200; i++) {
        g_string_append_printf(all, "{\"execute\":\"%s\",\"id\":%d}",
                               i % 3 ? "test-oob" : "test-nested", i);
    }
    client_write(c, all->str);
    for (int i = 0; i < 200; i++) {
        g_autofree char *line = client_line(c);
        g_autofree char *end = g_strdup_printf("\"id\": %d}", i);

        g_assert_true(g_str_has_suffix(line, end));
    }
    g_assert_cmpuint(deepest, ==, 1);
    g_string_free(all, TRUE);
    client_free(c);
}

static gpointer send_out_of_band(gpointer opaque)
{
    static const char text[] = "{\"exec-oob\":\"test-oob\",\"id\":\"now\"}\n";

    g_usleep(50000); /* the main thread is in test-busy by now */
    io_channel_write_all(((Client *)opaque)->ioc, text, strlen(text), NULL);
    return NULL;
}

static void test_out_of_band(void)
{
    Client *c = session(true);
    GThread *thread;

    client_write(c, "{\"execute\":\"test-busy\",\"id\":\"busy\"}\n");
    client_write(c, "{\"execute\":\"test-oob\",\"id\":\"queued\"}\n");
    thread = g_thread_new("client", send_out_of_band, c);
    expect(
        c,
        "{\"return\": false, \"id\": \"now\"}"); /* not in the main thread, and before the others */
    expect(c, "{\"return\": {}, \"id\": \"busy\"}");
    expect(c, "{\"return\": true, \"id\": \"queued\"}");
    g_thread_join(thread);
    ask(c, "{\"exec-oob\":\"query-version\",\"id\":1}",
        "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"The command "
        "query-version does not "
        "support OOB\"}}");
    ask(c, "{\"execute\":\"test-oob\",\"exec-oob\":\"test-oob\"}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member 'execute' clashes "
        "with "
        "'exec-oob'\"}}");
    client_free(c);
}

/* Skips the time stamp. */
static void expect_event(Client *c, const char *rest)
{
    g_autofree char *line = client_line(c);
    const char *p = strstr(line, "}, ");

    g_assert_true(g_str_has_prefix(line, "{\"timestamp\": {\"seconds\": "));
    g_assert_nonnull(p);
    g_assert_cmpstr(p + 3, ==, rest);
}

static void test_events(void)
{
    Client *c = session(false);

    ask(c, "{\"execute\":\"nope\"}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nope has not been "
        "found\"}}");
    client_write(c, "{\"execute\":\"test-event\",\"arguments\":{\"name\":\"STOP\"}}");
    expect_event(c, "\"event\": \"STOP\", \"data\": {\"name\": \"STOP\"}}");
    expect(c, EMPTY);
    /* of a limited kind the first goes at once, and the last one when a second is over */
    for (int i = 0; i < 5; i++) {
        g_autofree char *text = g_strdup_printf(
            "{\"execute\":\"test-event\",\"arguments\":{\"name\":\"RTC_CHANGE\",\"n\":%d}}", i);

        client_write(c, text);
    }
    expect_event(c, "\"event\": \"RTC_CHANGE\", \"data\": {\"name\": \"RTC_CHANGE\", \"n\": 0}}");
    for (int i = 0; i < 5; i++) {
        expect(c, EMPTY);
    }
    expect_event(c, "\"event\": \"RTC_CHANGE\", \"data\": {\"name\": \"RTC_CHANGE\", \"n\": 4}}");
    expect_silence(c);
    client_free(c);
    /* none before the negotiation */
    c = client_new(socket_path);
    expect(c, GREETING);
    qapi_event_emit("STOP", NULL);
    expect_silence(c);
    client_free(c);
}

/* A client that sends and does not read: the main loop goes on, and in the end nothing is lost. */
static void test_slow_reader(void)
{
    Client *c = session(false), *other;
    GString *all = g_string_new(NULL);
    const char *p;
    size_t left;
    int n = 3000;

    for (int i = 0; i < n; i++) {
        g_string_append_printf(all, "{\"execute\":\"query-qmp-schema\",\"id\":%d}%200s", i, "");
    }
    p = all->str;
    left = all->len;
    for (int i = 0; i < 300; i++) {
        ssize_t sent = left ? io_channel_write(c->ioc, p, left, NULL) : 0;

        if (sent > 0) {
            p += sent;
            left -= (size_t)sent;
        }
        main_loop_iterate(false);
        g_usleep(100);
    }
    g_assert_cmpuint(left, >, 0); /* it does not take everything */
    for (int i = 0; i < n; i++) {
        g_autofree char *line = NULL;
        g_autofree char *end = g_strdup_printf("\"id\": %d}", i);
        ssize_t sent = left ? io_channel_write(c->ioc, p, left, NULL) : 0;

        if (sent > 0) {
            p += sent;
            left -= (size_t)sent;
        }
        line = client_line(c);
        g_assert_true(g_str_has_suffix(line, end));
    }
    g_string_free(all, TRUE);
    client_free(c);
    other = session(false);
    client_free(other);
}

/* Gone in the middle of a command: its answer does not reach the next client. */
static void test_disconnect(void)
{
    Client *c = session(true), *next;

    client_write(
        c,
        "{\"execute\":\"test-nested\",\"id\":\"old\"}{\"execute\":\"test-nested\",\"id\":\"old2\"}"
        "{\"execute\":\"test-ne");
    g_usleep(5000);
    client_free(c);
    next = session(false);
    expect_silence(next);
    ask(next, "{\"execute\":\"test-oob\",\"id\":\"new\"}", "{\"return\": true, \"id\": \"new\"}");
    client_free(next);
}

static void send_with_fd(Client *c, const char *text, int fd)
{
    struct iovec iov = { (void *)text, strlen(text) };

    g_assert_cmpint(io_channel_writev_fds(c->ioc, &iov, 1, &fd, 1, NULL), ==, (int)iov.iov_len);
}

static void test_descriptors(void)
{
    Client *c = session(false);
    int fd = open("/dev/null", O_RDWR);
    GError *error = NULL;

    ask(c, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"a\"}}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"No file descriptor supplied via "
        "SCM_RIGHTS\"}}");
    send_with_fd(c, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"a\"}}", fd);
    expect(c, EMPTY);
    send_with_fd(c, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"1\"}}", fd);
    expect(c, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'fdname' expects a "
              "name not "
              "starting with a digit\"}}");
    ask(c, "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"b\"}}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"File descriptor named 'b' not "
        "found\"}}");
    ask(c, "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"a\"}}", EMPTY);
    /* the descriptor may come with an earlier message */
    send_with_fd(c, "{\"execute\":\"test-oob\"}", fd);
    expect(c, "{\"return\": true}");
    client_write(c, "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":42,\"opaque\":\"o\"}}");
    {
        g_autofree char *line = client_line(c);

        g_assert_true(g_str_has_prefix(line, "{\"return\": {\"fdset-id\": 42, \"fd\": "));
    }
    {
        int opened = io_open("/dev/fdset/42", O_RDWR, 0, &error);

        g_assert_no_error(error);
        io_close(opened);
    }
    ask(c, "{\"execute\":\"remove-fd\",\"arguments\":{\"fdset-id\":42}}", EMPTY);
    ask(c, "{\"execute\":\"query-fdsets\"}", "{\"return\": []}");
    /* outside of a command there are no names */
    g_assert_cmpint(monitor_take_fd("a", &error), ==, -1);
    g_clear_error(&error);
    close(fd);
    client_free(c);
}

static void test_pretty(void)
{
    Client *c = client_new(pretty_path);

    for (int i = 0; i < 15; i++) {
        while (!strchr(c->in->str, '\n')) {
            client_fill(c);
        }
        if (g_str_has_prefix(c->in->str, "}\r\n")) {
            break;
        }
        g_string_erase(c->in, 0, strchr(c->in->str, '\n') - c->in->str + 1);
    }
    g_string_truncate(c->in, 0);
    client_write(c, "{\"execute\":\"qmp_capabilities\",\"id\":1}");
    expect(c, "{\n    \"return\": {},\n    \"id\": 1\n}");
    client_free(c);
}

static void test_quit(void)
{
    Client *c = session(false);

    quit_called = false;
    ask(c, "{\"execute\":\"quit\"}", EMPTY);
    g_assert_true(quit_called);
    client_free(c);
}

/* ---- HMP ---- */

static void test_human_monitor_command(void)
{
    Client *c = session(false);

    ask(c, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"foo 1\"}}",
        "{\"return\": \"unknown command: 'foo'\\r\\n\"}");
    ask(c,
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info version "
        "x\"}}",
        "{\"return\": \"version: extraneous characters at the end of line\\r\\nTry \\\"help info "
        "version\\\" for more "
        "information\\r\\n\"}");
    ask(c,
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"print /d "
        "(1+2)*0x10\"}}",
        "{\"return\": \"48\\r\\n\"}");
    ask(c,
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"\",\"cpu-index\":"
        "0}}",
        "{\"return\": \"\"}");
    ask(c,
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"\",\"cpu-index\":"
        "1}}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'cpu-index' expects a CPU "
        "number\"}}");
    client_free(c);
}

/* Everything up to and including `mark`. */
static char *client_until(Client *c, const char *mark)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    char *found, *text;
    size_t len;

    while (!(found = strstr(c->in->str, mark))) {
        g_assert_true(client_fill(c));
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    len = (size_t)(found - c->in->str) + strlen(mark);
    text = g_strndup(c->in->str, len);
    g_string_erase(c->in, 0, (gssize)len);
    return text;
}

static void type_line(Client *c, const char *keys, const char *expected)
{
    g_autofree char *out = NULL;

    client_write(c, keys);
    out = client_until(c, "(qemu) ");
    if (!g_str_has_suffix(out, expected)) {
        g_test_message("got: %s", out);
    }
    g_assert_true(g_str_has_suffix(out, expected));
}

static void test_hmp_session(void)
{
    Client *c = client_new(hmp_path);
    g_autofree char *banner = client_until(c, "(qemu) ");

    g_assert_cmpstr(banner, ==,
                    "QEMU 10.0.2 monitor - type 'help' for more information\r\n(qemu) ");
    type_line(c, "\r", "\r\n(qemu) ");
    type_line(c, "nope\n", "nope\r\nunknown command: 'nope'\r\n(qemu) ");
    type_line(c, "print 1+1\r\n", "\r\n0x2\r\n(qemu) ");
    /* editing: wrong letter erased, beginning of line, cursor keys */
    type_line(c, "priMt\x7f\x7fnt 5\r", "\r\n0x5\r\n(qemu) ");
    type_line(c, "rint 6\x01p\r", "\r\n0x6\r\n(qemu) ");
    type_line(c, "print 71\x1b[D\x7f\r", "\r\n0x1\r\n(qemu) ");
    /* history: the line before last */
    type_line(c, "\x1b[A\x1b[A\r", "\r\n0x6\r\n(qemu) ");
    /* completion */
    type_line(c, "pri\t 7\r", "\r\n0x7\r\n(qemu) ");
    type_line(c, "info vers\t\r", "\r\n10.0.2 (Tern " TERN_VERSION ")\r\n(qemu) ");
    type_line(c, "\x15\r", "\r\n(qemu) ");
    type_line(c, "xyz\x17print 8\r", "\r\n0x8\r\n(qemu) ");
    client_free(c);
    c = client_new(hmp_path);
    g_free(client_until(c, "(qemu) "));
    client_free(c);
}

static void check_hmp(const char *line, const char *expected)
{
    GString *out = g_string_new(NULL);

    hmp_run_line(line, 0, out);
    g_assert_cmpstr(out->str, ==, expected);
    g_string_free(out, TRUE);
}

static void hmp_args_test(Hmp *hmp, const HmpArgs *args)
{
    unsigned count;
    char format, unit;

    hmp_arg_format(args, "fmt", &count, &format, &unit);
    hmp_printf(hmp, "%d %s %s %d %d %d %u%c%c\n", hmp_arg_has(args, "force"),
               hmp_arg_str(args, "word"),
               hmp_arg_str(args, "rest") ? hmp_arg_str(args, "rest") : "-",
               (int)hmp_arg_int(args, "num", -1), (int)hmp_arg_int(args, "size", -1),
               hmp_arg_bool(args, "on", true), count, format, unit ? unit : '-');
}

static const HmpCommand test_hmp_commands[] = {
    { "targs", "force:-f,word:s,num:i?,size:o?,on:b?,rest:S?", "", "test", hmp_args_test, true },
    { "tfmt", "fmt:/,word:F", "", "test", hmp_args_test, true },
    { "tlate", "", "", "test", hmp_args_test, false },
};
HMP_REGISTER(test_hmp_commands)

static void test_hmp_arguments(void)
{
    check_hmp("targs w", "0 w - -1 -1 1 1x-\r\n");
    check_hmp("targs -f \"a b\\\"c\" 0x10+1 2 off the rest ",
              "1 a b\"c the rest 17 2097152 0 1x-\r\n");
    check_hmp("targs", "targs: string expected\r\nTry \"help targs\" for more information\r\n");
    check_hmp("targs -z",
              "targs: unsupported option -z\r\nTry \"help targs\" for more information\r\n");
    check_hmp(
        "targs w q",
        "targs: invalid char 'q' in expression\r\nTry \"help targs\" for more information\r\n");
    check_hmp("targs w 1/0",
              "targs: division by zero\r\nTry \"help targs\" for more information\r\n");
    check_hmp("targs w 1 1 maybe",
              "targs: Expected 'on' or 'off'\r\nTry \"help targs\" for more information\r\n");
    check_hmp("targs \"w",
              "unterminated string\r\ntargs: string expected\r\nTry \"help targs\" for more "
              "information\r\n");
    check_hmp("tfmt/16xb f", "0 f - -1 -1 1 16xb\r\n");
    check_hmp("tfmt /dw f", "0 f - -1 -1 1 1dw\r\n");
    check_hmp("tfmt f g",
              "tfmt: extraneous characters at the end of line\r\nTry \"help tfmt\" for more "
              "information\r\n");
    check_hmp("tfmt", "tfmt: filename expected\r\nTry \"help tfmt\" for more information\r\n");
    machine_is_ready = false;
    check_hmp("tlate",
              "Command 'tlate' not available with -preconfig until machine initialization has "
              "completed.\r\n");
    machine_is_ready = true;
    check_hmp("  # comment", "");
    check_hmp("p -1", "0xffffffffffffffff\r\n");
    check_hmp("p /d (2+3)*-4%7", "-6\r\n");
    check_hmp("p /c 'a'", "'a'\r\n");
    check_hmp(
        "p ((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))",
        "print|p: expression is too deeply nested\r\nTry \"help print\" for more information\r\n");
    check_hmp("help p", "print|p /fmt expr -- print expression value\r\n");
}

static void test_all_declared_commands_exist(void)
{
    static const char *const ours[] = { "qmp_capabilities",
                                        "query-version",
                                        "query-commands",
                                        "query-qmp-schema",
                                        "getfd",
                                        "add-fd",
                                        "chardev-add",
                                        "query-chardev",
                                        "quit",
                                        "human-monitor-command",
                                        "query-command-line-options" };

    for (unsigned i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_assert_nonnull(qmp_find_command(ours[i]));
        g_assert_true(g_strv_contains(qapi_schema_commands, ours[i]));
    }
}

/* ---- */

static void add_monitor(const char *path, bool control, bool pretty)
{
    g_autofree char *spec = g_strdup_printf("unix:%s,server=on,wait=off", path);
    GError *error = NULL;

    monitor_new_spec(spec, control, pretty, &error);
    g_assert_no_error(error);
}

int main(int argc, char **argv)
{
    static const MonitorHooks hooks = { quit, machine_ready, cpu_exists };
    int r;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    main_loop_init();
    dir = g_dir_make_tmp("test-monitor-XXXXXX", NULL);
    socket_path = g_build_filename(dir, "qmp", NULL);
    pretty_path = g_build_filename(dir, "pretty", NULL);
    hmp_path = g_build_filename(dir, "hmp", NULL);
    qmp_register_module(&test_module);
    monitor_set_hooks(&hooks);
    add_monitor(socket_path, true, false);
    add_monitor(pretty_path, true, true);
    add_monitor(hmp_path, false, false);
    monitor_start();

    g_test_add_func("/monitor/negotiation", test_negotiation);
    g_test_add_func("/monitor/requests", test_requests);
    g_test_add_func("/monitor/preconfig", test_preconfig);
    g_test_add_func("/monitor/order", test_order);
    g_test_add_func("/monitor/out-of-band", test_out_of_band);
    g_test_add_func("/monitor/events", test_events);
    g_test_add_func("/monitor/slow-reader", test_slow_reader);
    g_test_add_func("/monitor/disconnect", test_disconnect);
    g_test_add_func("/monitor/descriptors", test_descriptors);
    g_test_add_func("/monitor/pretty", test_pretty);
    g_test_add_func("/monitor/quit", test_quit);
    g_test_add_func("/monitor/human-monitor-command", test_human_monitor_command);
    g_test_add_func("/monitor/hmp-session", test_hmp_session);
    g_test_add_func("/monitor/hmp-arguments", test_hmp_arguments);
    g_test_add_func("/monitor/declared-commands", test_all_declared_commands_exist);
    r = g_test_run();

    monitor_cleanup();
    chardev_cleanup();
    g_assert_cmpint(access(socket_path, F_OK), ==, -1);
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
    g_free(socket_path);
    g_free(hmp_path);
    g_free(pretty_path);
    return r;
}
