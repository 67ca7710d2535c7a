/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Channels: transfers, waiting, shutdown from another thread, descriptors, commands, listeners,
 * faults. */
#include "util/osdep.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>

#include "io/channel.h"
#include "io/fault.h"
#include "io/fds.h"
#include "io/socket.h"
#include "util/error.h"
#include "util/main-loop.h"

static char *dir;

static char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void iterate_until(bool *flag)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    while (!*flag && g_get_monotonic_time() < end) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(500);
    }
    g_assert_true(*flag);
}

/* ---- whole buffers over a pair ---- */

#define BIG (3u << 20)

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static gpointer write_big(gpointer opaque)
{
    g_autofree uint8_t *buf = g_malloc(BIG);

    for (size_t i = 0; i < BIG; i++) {
        buf[i] = pattern(i);
    }
    g_assert_cmpint(io_channel_write_all(opaque, buf, BIG, NULL), ==, 0);
    io_channel_shutdown(opaque, IO_SHUTDOWN_WRITE, NULL);
    return NULL;
}

static void read_big(IoChannel *ioc)
{
    g_autofree uint8_t *buf = g_malloc(BIG);
    uint8_t extra;

    g_assert_cmpint(io_channel_read_all(ioc, buf, BIG, NULL), ==, 0);
    for (size_t i = 0; i < BIG; i++) {
        g_assert_cmpuint(buf[i], ==, pattern(i));
    }
    g_assert_cmpint(io_channel_read_all_eof(ioc, &extra, 1, NULL), ==, 0);
}

static void transfer(IoChannel *from, IoChannel *to)
{
    GThread *thread = g_thread_new("writer", write_big, from);

    read_big(to);
    g_thread_join(thread);
}

static void test_socket_pair(void)
{
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        IoChannel *pair[2];
        uint8_t b;

        g_assert_true(io_socket_pair(pair, NULL));
        if (nonblocking) {
            io_channel_set_blocking(pair[0], false, NULL);
            io_channel_set_blocking(pair[1], false, NULL);
            g_assert_cmpint(io_channel_read(pair[0], &b, 1, NULL), ==, -EAGAIN);
        }
        transfer(pair[0], pair[1]);
        io_channel_unref(pair[0]);
        io_channel_unref(pair[1]);
    }
}

static void test_faulty_pair(void)
{
    for (uint32_t seed = 1; seed < 4; seed++) {
        IoChannel *pair[2];
        IoFaultPlan plan;
        uint64_t in, out;

        g_assert_true(io_socket_pair(pair, NULL));
        io_fault_plan_init(&plan);
        plan.seed = seed;
        plan.max_transfer = 5000;
        plan.eagain_every = 7;
        pair[0] = io_fault_new(pair[0], &plan);
        pair[1] = io_fault_new(pair[1], &plan);
        io_channel_set_blocking(pair[1], seed & 1, NULL);
        transfer(pair[0], pair[1]);
        io_fault_position(pair[1], &in, &out);
        g_assert_cmpuint(in, ==, BIG);
        g_assert_cmpuint(out, ==, 0);
        io_channel_unref(pair[0]);
        io_channel_unref(pair[1]);
    }
}

static void test_pipe(void)
{
    IoChannel *r, *w;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    r = io_channel_new_fd(fds[0], NULL);
    w = io_channel_new_fd_pair(-1, fds[1]);
    g_assert_false(io_channel_has_feature(r, IO_FEATURE_SEEKABLE));
    {
        GThread *thread = g_thread_new("writer", write_big, w);
        g_autofree uint8_t *buf = g_malloc(BIG);

        g_assert_cmpint(io_channel_read_all(r, buf, BIG, NULL), ==, 0);
        g_thread_join(thread);
    }
    io_channel_unref(w);
    io_channel_unref(r);
}

/* ---- planned faults ---- */

static void one_fault(const IoFaultPlan *plan, size_t want, int expected, size_t passed)
{
    IoChannel *pair[2];
    g_autofree uint8_t *buf = g_malloc(want);
    g_autoptr(GError) error = NULL;
    uint64_t in, out;
    int r;

    g_assert_true(io_socket_pair(pair, NULL));
    memset(buf, 0x55, want);
    io_channel_write_all(pair[1], buf, want, NULL);
    pair[0] = io_fault_new(pair[0], plan);
    r = io_channel_read_all(pair[0], buf, want, &error);
    g_assert_cmpint(r, ==, expected);
    g_assert_true((r < 0) == (error != NULL));
    io_fault_position(pair[0], &in, &out);
    g_assert_cmpuint(in, ==, passed);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

static void test_planned_faults(void)
{
    for (int64_t at = 0; at <= 20; at++) {
        IoFaultPlan plan;

        io_fault_plan_init(&plan);
        plan.read_eof_at = at;
        one_fault(&plan, 20, at < 20 ? -ENODATA : 0, (size_t)at);
        io_fault_plan_init(&plan);
        plan.read_reset_at = at;
        plan.max_transfer = 3;
        one_fault(&plan, 20, at < 20 ? -ECONNRESET : 0, (size_t)at);
    }
}

static void test_flipped_bit(void)
{
    IoChannel *pair[2];
    IoFaultPlan plan;
    uint8_t buf[32] = { 0 };

    g_assert_true(io_socket_pair(pair, NULL));
    io_channel_write_all(pair[1], buf, sizeof(buf), NULL);
    io_fault_plan_init(&plan);
    plan.read_flip_at = 17;
    plan.read_flip_bit = 6;
    plan.max_transfer = 5;
    pair[0] = io_fault_new(pair[0], &plan);
    g_assert_cmpint(io_channel_read_all(pair[0], buf, sizeof(buf), NULL), ==, 0);
    for (int i = 0; i < 32; i++) {
        g_assert_cmphex(buf[i], ==, i == 17 ? 0x40 : 0);
    }
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

/* ---- shutdown ends waits in other threads ---- */

static gpointer read_forever(gpointer opaque)
{
    uint8_t b;

    return GINT_TO_POINTER(io_channel_read_all(opaque, &b, 1, NULL));
}

static gpointer write_forever(gpointer opaque)
{
    g_autofree uint8_t *buf = g_malloc0(BIG);
    int r = 0;

    while (r == 0) {
        r = io_channel_write_all(opaque, buf, BIG, NULL);
    }
    return GINT_TO_POINTER(r);
}

static void check_shutdown(IoChannel *ioc, GThreadFunc func, int expected)
{
    GThread *thread = g_thread_new("blocked", func, ioc);

    g_usleep(20000);
    g_assert_cmpint(io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL), ==, 0);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, expected);
}

static ssize_t fill_up(IoChannel *ioc)
{
    static const uint8_t data[65536];
    struct iovec iov = { (void *)data, sizeof(data) };
    GError *error = NULL;
    ssize_t n;

    while ((n = io_channel_writev(ioc, &iov, 1, &error)) > 0) {
    }
    g_assert_no_error(error);
    return n;
}

static gpointer send_late(gpointer ioc)
{
    g_usleep(60000);
    g_assert_cmpint(io_channel_write(ioc, "x", 1, NULL), ==, 1);
    return NULL;
}

/* A patient transfer waits before it says -EAGAIN, and no longer than that; a blocking one has no end. */
static void test_patience(void)
{
    IoChannel *pair[2];
    GThread *thread;
    gint64 start;
    char byte;

    g_assert_true(io_socket_pair(pair, NULL));
    for (int i = 0; i < 2; i++) {
        io_channel_set_blocking(pair[i], false, NULL);
        io_channel_set_patience(pair[i], i ? G_IO_IN : G_IO_OUT);
    }
    g_assert_cmpint(io_channel_read(pair[0], &byte, 1, NULL), ==, -EAGAIN);
    start = g_get_monotonic_time();
    g_assert_cmpint(io_channel_read(pair[1], &byte, 1, NULL), ==, -EAGAIN);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 10000);
    start = g_get_monotonic_time();
    g_assert_cmpint(fill_up(pair[0]), ==, -EAGAIN);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 10000);
    g_assert_cmpint(fill_up(pair[1]), ==, -EAGAIN);

    io_channel_set_blocking(pair[1], true, NULL);
    while (io_channel_wait(pair[1], G_IO_IN, 0) == 1) {
        char buf[4096];
        io_channel_read(pair[1], buf, sizeof(buf), NULL);
    }
    thread = g_thread_new("late", send_late, pair[0]);
    g_assert_cmpint(io_channel_read(pair[1], &byte, 1, NULL), ==, 1);
    g_thread_join(thread);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);

    g_assert_true(io_socket_pair(pair, NULL));
    io_channel_set_patience(pair[0], G_IO_IN | G_IO_OUT);
    check_shutdown(pair[0], write_forever, -EPIPE);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

static void test_shutdown(void)
{
    IoFaultPlan plan;
    IoChannel *pair[2], *ioc;
    int fds[2];

    g_assert_true(io_socket_pair(pair, NULL));
    check_shutdown(pair[0], read_forever, -ENODATA);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);

    g_assert_true(io_socket_pair(pair, NULL));
    check_shutdown(pair[0], write_forever, -EPIPE);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);

    g_assert_cmpint(pipe(fds), ==, 0);
    ioc = io_channel_new_fd(fds[0], NULL);
    check_shutdown(ioc, read_forever, -ENODATA);
    io_channel_unref(ioc);
    close(fds[1]);

    g_assert_cmpint(pipe(fds), ==, 0);
    ioc = io_channel_new_fd(fds[1], NULL);
    check_shutdown(ioc, write_forever, -EPIPE);
    io_channel_unref(ioc);
    close(fds[0]);

    ioc = io_channel_new_shell("sleep 1000", G_IO_IN, NULL);
    check_shutdown(ioc, read_forever, -ENODATA);
    io_channel_unref(ioc); /* kills the sleeper */

    io_fault_plan_init(&plan);
    plan.write_stall_at = 100;
    g_assert_true(io_socket_pair(pair, NULL));
    pair[0] = io_fault_new(pair[0], &plan);
    check_shutdown(pair[0], write_forever, -EPIPE);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

static void test_wait(void)
{
    IoChannel *pair[2];
    gint64 start = g_get_monotonic_time();

    g_assert_true(io_socket_pair(pair, NULL));
    g_assert_cmpint(io_channel_wait(pair[0], G_IO_IN, 30), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 29000);
    g_assert_cmpint(io_channel_wait(pair[0], G_IO_OUT, 1000), ==, 1);
    io_channel_write(pair[1], "x", 1, NULL);
    g_assert_cmpint(io_channel_wait(pair[0], G_IO_IN, -1), ==, 1);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

/* ---- sources ---- */

typedef struct WatchTest {
    unsigned calls;
    bool eof;
    char text[64];
} WatchTest;

static gboolean watch_read(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    WatchTest *t = opaque;
    char buf[8];
    ssize_t n = io_channel_read(ioc, buf, sizeof(buf), NULL);

    t->calls++;
    if (n <= 0) {
        t->eof = true;
        return G_SOURCE_REMOVE;
    }
    strncat(t->text, buf, (size_t)n);
    return G_SOURCE_CONTINUE;
}

static void test_watch(void)
{
    IoChannel *pair[2];
    WatchTest t = { 0 };
    GSource *source;

    g_assert_true(io_socket_pair(pair, NULL));
    io_channel_set_blocking(pair[0], false, NULL);
    source = io_channel_add_watch(pair[0], G_IO_IN, watch_read, &t, NULL);
    g_assert_false(g_main_context_iteration(NULL, FALSE));
    io_channel_write_all(pair[1], "hello, world", 12, NULL);
    io_channel_unref(pair[1]);
    iterate_until(&t.eof);
    g_assert_cmpstr(t.text, ==, "hello, world");
    io_watch_clear(&source);
    g_assert_null(source);
    io_watch_clear(&source);
    io_channel_unref(pair[0]);
}

static void test_watch_of_stalled_channel(void)
{
    IoFaultPlan plan;
    IoChannel *pair[2];
    WatchTest t = { 0 };
    GSource *source;

    io_fault_plan_init(&plan);
    plan.read_stall_at = 0;
    g_assert_true(io_socket_pair(pair, NULL));
    pair[0] = io_fault_new(pair[0], &plan);
    io_channel_write_all(pair[1], "x", 1, NULL);
    source = io_channel_add_watch(pair[0], G_IO_IN, watch_read, &t, NULL);
    g_assert_false(g_main_context_iteration(NULL, FALSE));
    io_channel_shutdown(pair[0], IO_SHUTDOWN_BOTH, NULL);
    iterate_until(&t.eof);
    io_watch_clear(&source);
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

static gboolean watch_end(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    *(bool *)opaque = true;
    return G_SOURCE_REMOVE;
}

/* There is something to be read, which does not hide the end. */
static void test_watch_of_end(void)
{
    IoChannel *pair[2];
    IoFaultPlan plan;
    bool ended = false;
    char text[4];
    GSource *source;

    g_assert_true(io_socket_pair(pair, NULL));
    source = io_channel_add_end_watch(pair[0], watch_end, &ended, NULL);
    io_channel_write_all(pair[1], "last", 4, NULL);
    g_assert_false(g_main_context_iteration(NULL, FALSE));
    io_channel_unref(pair[1]);
    iterate_until(&ended);
    g_assert_cmpint(io_channel_read_all(pair[0], text, 4, NULL), ==, 0);
    g_assert_cmpmem(text, 4, "last", 4);
    io_watch_clear(&source);
    io_fault_plan_init(&plan);
    pair[0] = io_fault_new(pair[0], &plan);
    g_assert_null(io_channel_add_end_watch(pair[0], watch_end, &ended, NULL));
    io_channel_unref(pair[0]);
}

/* ---- descriptors over sockets ---- */

static void test_fd_passing(void)
{
    IoChannel *pair[2];
    int fds[2], got[IO_MAX_FDS];
    struct iovec iov = { (char *)"abc", 3 };
    char buf[8];
    struct iovec in = { buf, sizeof(buf) };
    unsigned n;
    GError *error = NULL;

    g_assert_true(io_socket_pair(pair, NULL));
    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(io_channel_writev_fds(pair[0], &iov, 1, fds, 2, NULL), ==, 3);
    g_assert_cmpint(io_channel_readv_fds(pair[1], &in, 1, got, &n, NULL), ==, 3);
    g_assert_cmpint(n, ==, 2);
    g_assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(write(got[1], "q", 1), ==, 1);
    g_assert_cmpint(read(fds[0], buf, 1), ==, 1);
    /* without asking for them they are closed, not leaked */
    g_assert_cmpint(io_channel_writev_fds(pair[0], &iov, 1, fds, 2, NULL), ==, 3);
    g_assert_cmpint(io_channel_read(pair[1], buf, sizeof(buf), NULL), ==, 3);
    close(got[0]);
    close(got[1]);
    close(fds[0]);
    close(fds[1]);
    g_assert_cmpint(pipe(fds), ==, 0);
    {
        IoChannel *p = io_channel_new_fd(fds[1], NULL);

        g_assert_cmpint(io_channel_writev_fds(p, &iov, 1, fds, 1, &error), ==, -EINVAL);
        g_clear_error(&error);
        io_channel_unref(p);
        close(fds[0]);
    }
    io_channel_unref(pair[0]);
    io_channel_unref(pair[1]);
}

/* ---- files and commands ---- */

static void test_file(void)
{
    g_autofree char *path = in_dir("file");
    GError *error = NULL;
    IoChannel *ioc = io_channel_new_file(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &error);
    struct iovec iov = { (char *)"0123456789", 10 };
    char buf[4];
    struct iovec in = { buf, 4 };

    g_assert_no_error(error);
    g_assert_true(io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE));
    g_assert_cmpint(io_channel_writev_all(ioc, &iov, 1, NULL), ==, 0);
    g_assert_cmpint(io_channel_preadv(ioc, &in, 1, 3, NULL), ==, 4);
    g_assert_cmpmem(buf, 4, "3456", 4);
    g_assert_cmpint(io_channel_seek(ioc, 0, SEEK_CUR, NULL), ==, 10);
    g_assert_cmpint(io_channel_seek(ioc, 2, SEEK_SET, NULL), ==, 2);
    g_assert_cmpint(io_channel_read_all(ioc, buf, 2, NULL), ==, 0);
    g_assert_cmpmem(buf, 2, "23", 2);
    g_assert_cmpint(io_channel_close(ioc, NULL), ==, 0);
    g_assert_cmpint(io_channel_read(ioc, buf, 1, &error), ==, -EBADF);
    g_clear_error(&error);
    io_channel_unref(ioc);
    g_assert_null(io_channel_new_file("/nonexistent/x", O_RDONLY, 0, &error));
    g_assert_cmpstr(error->message, ==,
                    "Could not open '/nonexistent/x': No such file or directory");
    g_clear_error(&error);
}

static void test_commands(void)
{
    g_autofree char *path = in_dir("out");
    g_autofree char *command = g_strdup_printf("cat > '%s'", path);
    g_autofree char *content = NULL;
    GError *error = NULL;
    char buf[6];
    IoChannel *ioc = io_channel_new_shell(command, G_IO_OUT, &error);

    g_assert_no_error(error);
    g_assert_cmpint(io_channel_write_all(ioc, "hello\n", 6, NULL), ==, 0);
    g_assert_cmpint(io_channel_close(ioc, &error), ==, 0);
    g_assert_no_error(error);
    io_channel_unref(ioc);
    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "hello\n");

    /* one that is ended from here has not done its work, even if it says so */
    ioc = io_channel_new_shell("trap 'exit 0' TERM; cat > /dev/null; sleep 1000 & wait", G_IO_OUT, NULL);
    g_assert_cmpint(io_channel_write_all(ioc, "x", 1, NULL), ==, 0);
    io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    g_assert_cmpint(io_channel_close(ioc, &error), <, 0);
    g_assert_nonnull(error);
    g_clear_error(&error);
    io_channel_unref(ioc);
    ioc = io_channel_new_shell("printf abcdef; exit 3", G_IO_IN, NULL);
    g_assert_cmpint(io_channel_read_all(ioc, buf, 6, NULL), ==, 0);
    g_assert_cmpint(io_channel_read_all_eof(ioc, buf, 1, NULL), ==, 0);
    g_assert_cmpint(io_channel_close(ioc, &error), ==, -EIO);
    g_assert_nonnull(strstr(error->message, "exit status 3"));
    g_clear_error(&error);
    io_channel_unref(ioc);
}

static void test_buffer(void)
{
    IoChannel *ioc = io_channel_new_buffer(10);
    char buf[8];
    size_t len;

    io_channel_write_all(ioc, "hello", 5, NULL);
    g_assert_cmpmem(io_channel_buffer_data(ioc, &len), 5, "hello", 5);
    g_assert_cmpuint(len, ==, 5);
    g_assert_cmpint(io_channel_read(ioc, buf, 3, NULL), ==, 3);
    io_channel_write_all(ioc, "!", 1, NULL);
    g_assert_cmpint(io_channel_read(ioc, buf, 8, NULL), ==, 3);
    g_assert_cmpint(io_channel_read(ioc, buf, 8, NULL), ==, 0);
    io_channel_unref(ioc);
}

/* ---- addresses, listeners, connections ---- */

static void check_address(const char *text, const char *json, const char *formatted)
{
    GError *error = NULL;
    g_autoptr(SocketAddress) addr = io_socket_address_parse(text, &error);
    g_autofree char *back = NULL;
    GString *out = g_string_new(NULL);
    json_object *value;

    g_assert_no_error(error);
    value = qapi_encode_SocketAddress(addr);
    qapi_json_write(out, value, false);
    json_object_put(value);
    g_assert_cmpstr(out->str, ==, json);
    g_string_free(out, TRUE);
    back = io_socket_address_format(addr);
    g_assert_cmpstr(back, ==, formatted ? formatted : text);
}

static void bad_address(const char *text)
{
    GError *error = NULL;

    g_assert_null(io_socket_address_parse(text, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
}

static void test_addresses(void)
{
    check_address("tcp:localhost:5555",
                  "{\"type\": \"inet\", \"host\": \"localhost\", \"port\": \"5555\"}", NULL);
    check_address(
        "tcp:[::1]:5555,ipv6=on,to=5600",
        "{\"type\": \"inet\", \"host\": \"::1\", \"port\": \"5555\", \"to\": 5600, \"ipv6\": true}",
        "tcp:[::1]:5555");
    check_address(":0", "{\"type\": \"inet\", \"host\": \"\", \"port\": \"0\"}", "tcp::0");
    check_address("unix:/tmp/a b", "{\"type\": \"unix\", \"path\": \"/tmp/a b\"}", NULL);
    check_address("fd:name", "{\"type\": \"fd\", \"str\": \"name\"}", NULL);
    check_address("vsock:3:77", "{\"type\": \"vsock\", \"cid\": \"3\", \"port\": \"77\"}", NULL);
    bad_address("tcp:localhost");
    bad_address("tcp:[::1:5");
    bad_address("unix:");
    bad_address("tcp:h:1,nonsense=2");
    bad_address("tcp:h:1,to=99999");
    bad_address("");
}

typedef struct Accepted {
    IoChannel *ioc;
    bool done;
} Accepted;

static void accepted(IoListener *listener, IoChannel *ioc, void *opaque)
{
    Accepted *a = opaque;

    a->ioc = ioc;
    a->done = true;
}

static void connected(IoChannel *ioc, const GError *error, void *opaque)
{
    Accepted *a = opaque;

    a->ioc = ioc;
    a->done = true;
    g_assert_true(!ioc == !!error);
}

static void check_listener(const char *where)
{
    GError *error = NULL;
    g_autoptr(SocketAddress) addr = io_socket_address_parse(where, &error);
    IoListener *listener = io_listener_new(addr, 1, &error);
    g_autoptr(SocketAddress) real = NULL;
    Accepted server = { 0 }, client = { 0 };
    IoChannel *direct;
    char b = 0;

    g_assert_no_error(error);
    real = io_listener_address(listener, &error);
    g_assert_no_error(error);
    io_listener_start(listener, NULL, accepted, &server);
    io_socket_connect_async(real, 5000, NULL, connected, &client);
    iterate_until(&client.done);
    iterate_until(&server.done);
    g_assert_nonnull(client.ioc);
    io_channel_write_all(client.ioc, "x", 1, NULL);
    g_assert_cmpint(io_channel_read_all(server.ioc, &b, 1, NULL), ==, 0);
    g_assert_cmpint(b, ==, 'x');
    io_listener_stop(listener);
    io_channel_unref(client.ioc);
    io_channel_unref(server.ioc);

    direct = io_socket_connect(real, &error);
    g_assert_no_error(error);
    server.ioc = io_listener_accept_wait(listener, &error);
    g_assert_no_error(error);
    io_channel_unref(direct);
    g_assert_cmpint(io_channel_read(server.ioc, &b, 1, NULL), ==, 0);
    io_channel_unref(server.ioc);
    io_listener_free(listener);
    g_assert_null(io_socket_connect(real, &error));
    g_assert_nonnull(strstr(error->message, "Failed to connect to '"));
    g_clear_error(&error);
}

static void test_listeners(void)
{
    g_autofree char *path = in_dir("sock");
    g_autofree char *where = g_strdup_printf("unix:%s", path);

    check_listener(where);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    check_listener("tcp:127.0.0.1:0");
    check_listener("tcp:localhost:0");
}

static void test_listener_replaces_stale_socket(void)
{
    g_autofree char *path = in_dir("stale");
    g_autofree char *where = g_strdup_printf("unix:%s", path);
    g_autoptr(SocketAddress) addr = io_socket_address_parse(where, NULL);
    IoListener *first = io_listener_new(addr, 1, NULL);
    IoListener *second = io_listener_new(addr, 1, NULL);

    g_assert_nonnull(second);
    io_listener_free(first); /* must not remove the second one's */
    g_assert_cmpint(access(path, F_OK), ==, 0);
    io_listener_free(second);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    g_file_set_contents(path, "not a socket", -1, NULL);
    {
        GError *error = NULL;

        g_assert_null(io_listener_new(addr, 1, &error));
        g_assert_nonnull(strstr(error->message, "Failed to bind socket to "));
        g_clear_error(&error);
    }
}

static void test_port_range(void)
{
    GError *error = NULL;
    g_autoptr(SocketAddress) any = io_socket_address_parse("tcp:127.0.0.1:0", NULL);
    IoListener *first = io_listener_new(any, 1, NULL);
    g_autoptr(SocketAddress) taken = io_listener_address(first, NULL);
    IoListener *second;

    g_assert_null(io_listener_new(taken, 1, &error));
    g_assert_nonnull(strstr(error->message, "Address already in use"));
    g_clear_error(&error);
    taken->u.inet.has_to = true;
    taken->u.inet.to = (uint16_t)(atoi(taken->u.inet.port) + 20);
    second = io_listener_new(taken, 1, &error);
    g_assert_no_error(error);
    io_listener_free(second);
    io_listener_free(first);
}

static void not_called(IoChannel *ioc, const GError *error, void *opaque)
{
    g_assert_not_reached();
}

static void test_connect_cancel_and_failure(void)
{
    g_autoptr(SocketAddress) nowhere = io_socket_address_parse("unix:/nonexistent/s", NULL);
    g_autoptr(SocketAddress) full = NULL;
    g_autofree char *path = in_dir("full");
    g_autofree char *where = g_strdup_printf("unix:%s", path);
    IoChannel *waiting[8];
    IoListener *listener;
    Accepted result = { 0 };
    GError *error = NULL;
    int n = 0;

    io_connect_cancel(io_socket_connect_async(nowhere, 0, NULL, not_called, NULL));
    io_socket_connect_async(nowhere, 0, NULL, connected, &result);
    iterate_until(&result.done);
    g_assert_null(result.ioc);

    /* a listener that does not accept: its queue fills, then connecting waits until the time is
     * over */
    full = io_socket_address_parse(where, NULL);
    listener = io_listener_new(full, 0, &error);
    g_assert_no_error(error);
    for (; n < 8; n++) {
        result.done = false;
        io_socket_connect_async(full, 100, NULL, connected, &result);
        iterate_until(&result.done);
        waiting[n] = result.ioc;
        if (!result.ioc) {
            break;
        }
    }
    g_assert_cmpint(n, <, 8);
    {
        IoConnect *pending = io_socket_connect_async(full, 0, NULL, not_called, NULL);

        g_usleep(20000);
        io_connect_cancel(pending);
    }
    while (n--) {
        io_channel_unref(waiting[n]);
    }
    io_listener_free(listener);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

/* ---- descriptor sets and names ---- */

static void test_fdsets(void)
{
    g_autofree char *path = in_dir("in-set");
    g_autoptr(AddfdInfo) info = NULL;
    FdsetInfoArray *list;
    GError *error = NULL;
    int fd = open(path, O_RDWR | O_CREAT, 0600), dup_fd;
    g_autofree char *name = NULL;

    g_assert_true(io_fdset_add(fd, false, 0, "op", &info, NULL));
    g_assert_cmpint(info->fd, ==, fd);
    name = g_strdup_printf("/dev/fdset/%" PRId64, info->fdset_id);
    g_assert_cmpint(io_open(name, O_RDONLY, 0, &error), ==, -EACCES);
    g_clear_error(&error);
    dup_fd = io_open(name, O_RDWR | O_APPEND, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpint(dup_fd, !=, fd);
    g_assert_true(fcntl(dup_fd, F_GETFL) & O_APPEND);

    /* an open duplicate keeps the set */
    g_assert_true(io_fdset_remove(info->fdset_id, true, fd, NULL));
    list = io_fdset_query();
    g_assert_cmpint(list->len, ==, 1);
    g_assert_cmpint(list->items[0]->fds->len, ==, 0);
    qapi_free_FdsetInfoArray(list);
    g_assert_cmpint(io_close(dup_fd), ==, 0);
    list = io_fdset_query();
    g_assert_cmpint(list->len, ==, 0);
    qapi_free_FdsetInfoArray(list);

    g_assert_false(io_fdset_remove(7, false, 0, &error));
    g_assert_cmpstr(error->message, ==, "File descriptor named 'fdset-id:7' not found");
    g_clear_error(&error);
    g_assert_cmpint(io_open("/dev/fdset/99", O_RDONLY, 0, NULL), ==, -ENOENT);
    g_assert_cmpint(io_open("/dev/fdset/x", O_RDONLY, 0, NULL), ==, -EINVAL);
}

static int resolver(const char *name, GError **error)
{
    if (strcmp(name, "known") == 0) {
        return open("/dev/null", O_RDONLY);
    }
    error_set(error, "unknown");
    return -1;
}

static void test_fd_names(void)
{
    GError *error = NULL;
    int fd = open("/dev/null", O_RDONLY);
    g_autofree char *number = g_strdup_printf("%d", fd);

    g_assert_cmpint(io_fd_take(number, NULL), ==, fd);
    close(fd);
    g_assert_cmpint(io_fd_take(number, &error), ==, -1);
    g_clear_error(&error);
    g_assert_cmpint(io_fd_take("name", &error), ==, -1);
    g_clear_error(&error);
    g_assert_cmpint(io_fd_take("99999999999999", &error), ==, -1);
    g_clear_error(&error);
    io_fd_set_resolver(resolver);
    fd = io_fd_take("known", NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmpint(io_fd_take("other", &error), ==, -1);
    g_clear_error(&error);
    io_fd_set_resolver(NULL);
}

static int remove_dir(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);

    return system(command);
}

int main(int argc, char **argv)
{
    int r;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    main_loop_init();
    dir = g_dir_make_tmp("test-io-XXXXXX", NULL);
    g_test_add_func("/io/socket-pair", test_socket_pair);
    g_test_add_func("/io/faulty-pair", test_faulty_pair);
    g_test_add_func("/io/pipe", test_pipe);
    g_test_add_func("/io/planned-faults", test_planned_faults);
    g_test_add_func("/io/flipped-bit", test_flipped_bit);
    g_test_add_func("/io/shutdown", test_shutdown);
    g_test_add_func("/io/patience", test_patience);
    g_test_add_func("/io/wait", test_wait);
    g_test_add_func("/io/watch", test_watch);
    g_test_add_func("/io/watch-of-end", test_watch_of_end);
    g_test_add_func("/io/watch-of-stalled-channel", test_watch_of_stalled_channel);
    g_test_add_func("/io/fd-passing", test_fd_passing);
    g_test_add_func("/io/file", test_file);
    g_test_add_func("/io/commands", test_commands);
    g_test_add_func("/io/buffer", test_buffer);
    g_test_add_func("/io/addresses", test_addresses);
    g_test_add_func("/io/listeners", test_listeners);
    g_test_add_func("/io/listener-replaces-stale-socket", test_listener_replaces_stale_socket);
    g_test_add_func("/io/port-range", test_port_range);
    g_test_add_func("/io/connect-cancel-and-failure", test_connect_cancel_and_failure);
    g_test_add_func("/io/fdsets", test_fdsets);
    g_test_add_func("/io/fd-names", test_fd_names);
    r = g_test_run();
    remove_dir();
    g_free(dir);
    return r;
}
