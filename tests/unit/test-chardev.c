/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Character devices: each backend, both ways to describe one, front ends, mux, reconnecting. */
#include "util/osdep.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "chardev/chardev.h"
#include "io/socket.h"
#include "qapi/commands-char.h"
#include "util/error.h"
#include "util/main-loop.h"

static char *dir;

static char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void iterate(int n)
{
    for (int i = 0; i < n; i++) {
        main_loop_iterate(false);
        g_usleep(200);
    }
}

/* ---- a front end that keeps a log ---- */

typedef struct Front {
    ChardevFe fe;
    GString *in;
    GString *events;
    size_t room; /* can_read() */
} Front;

static size_t front_can_read(void *opaque)
{
    return ((Front *)opaque)->room;
}

static void front_read(void *opaque, const uint8_t *buf, size_t len)
{
    Front *f = opaque;

    g_assert_cmpuint(len, <=, f->room);
    g_string_append_len(f->in, (const char *)buf, (gssize)len);
}

static void front_event(void *opaque, ChardevEvent event)
{
    static const char letters[] = "OCBio";

    g_string_append_c(((Front *)opaque)->events, letters[event]);
}

static const ChardevHandlers front_handlers = { front_can_read, front_read, front_event };

static void front_init(Front *f, Chardev *chr)
{
    GError *error = NULL;

    memset(f, 0, sizeof(*f));
    f->in = g_string_new(NULL);
    f->events = g_string_new(NULL);
    f->room = 1000;
    g_assert_true(chardev_fe_attach(&f->fe, chr, &error));
    g_assert_no_error(error);
    chardev_fe_set_handlers(&f->fe, &front_handlers, f, NULL);
}

static void front_destroy(Front *f)
{
    chardev_fe_detach(&f->fe);
    g_string_free(f->in, TRUE);
    g_string_free(f->events, TRUE);
}

static void wait_text(const GString *where, const char *text)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    while (strcmp(where->str, text) != 0 && g_get_monotonic_time() < end) {
        iterate(1);
    }
    g_assert_cmpstr(where->str, ==, text);
}

static Chardev *make(const char *option)
{
    GError *error = NULL;
    bool help = false;
    Chardev *chr = chardev_new_option(option, &help, &error);

    g_assert_no_error(error);
    g_assert_nonnull(chr);
    return chr;
}

static Chardev *make_f(const char *format, const char *path)
{
    g_autofree char *option = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    option = g_strdup_printf(format, path);
#pragma GCC diagnostic pop
    return make(option);
}

static void refuse(const char *option, const char *message)
{
    GError *error = NULL;
    bool help = false;

    g_assert_null(chardev_new_option(option, &help, &error));
    g_assert_nonnull(error);
    g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
}

static IoChannel *connect_to(const char *path)
{
    g_autofree char *where = g_strdup_printf("unix:%s", path);
    g_autoptr(SocketAddress) addr = io_socket_address_parse(where, NULL);
    GError *error = NULL;
    IoChannel *ioc = io_socket_connect(addr, &error);

    g_assert_no_error(error);
    io_channel_set_blocking(ioc, false, NULL);
    return ioc;
}

static void peer_read(IoChannel *ioc, const char *expected)
{
    GString *got = g_string_new(NULL);
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    while (got->len < strlen(expected) && g_get_monotonic_time() < end) {
        char buf[256];
        ssize_t n = io_channel_read(ioc, buf, MIN(sizeof(buf), strlen(expected) - got->len), NULL);

        if (n > 0) {
            g_string_append_len(got, buf, n);
        }
        iterate(1);
    }
    g_assert_cmpstr(got->str, ==, expected);
    g_string_free(got, TRUE);
}

static void check_filename(Chardev *chr, const char *expected)
{
    g_autofree char *name = chardev_filename(chr);

    g_assert_cmpstr(name, ==, expected);
}

static void drop(const char *id)
{
    GError *error = NULL;

    g_assert_true(chardev_remove(id, &error));
    g_assert_no_error(error);
}

/* ---- options ---- */

static void test_refused_options(void)
{
    make("null,id=taken");
    refuse("nosuch,id=a", "'nosuch' is not a valid char driver name");
    refuse("null", "chardev: no id specified");
    refuse("id=a", "chardev: \"a\" missing backend");
    refuse("null,id=taken", "Duplicate ID 'taken' for chardev");
    refuse("null,id=a,foo=1", "Invalid parameter 'foo'");
    refuse("file,id=a", "chardev: file: no filename given");
    refuse("pipe,id=a", "chardev: pipe: no device path given");
    refuse("mux,id=a", "chardev: mux: no chardev given");
    refuse("mux,id=a,chardev=zz", "mux: base chardev zz not found");
    refuse("file,id=a,path=/nonexistent/x",
           "Could not open '/nonexistent/x': No such file or directory");
    refuse("socket,id=a,path=/x,host=h", "None or one of 'path', 'fd' or 'host' option required.");
    refuse("socket,id=a,host=localhost", "chardev: socket: no port given");
    refuse("socket,id=a,path=/x,server=maybe", "Parameter 'server' expects 'on' or 'off'");
    refuse("socket,id=a,path=/x,server=on,wait=maybe", "Parameter 'wait' expects 'on' or 'off'");
    refuse("socket,id=a,path=/x,wait=on",
           "'wait' option is incompatible with socket in client connect mode");
    refuse("socket,id=a,path=/x,server=on,wait=off,reconnect=1",
           "'reconnect' option is incompatible with socket in server listen mode");
    refuse("socket,id=a,path=/x,reconnect=1,reconnect-ms=5",
           "'reconnect' and 'reconnect-ms' are mutually exclusive");
    refuse("socket,id=a,path=/nonexistent/x",
           "Failed to connect to '/nonexistent/x': No such file or directory");
    refuse("socket,id=a,path=/nonexistent/x,server=on,wait=off",
           "Failed to bind socket to /nonexistent/x: No such file or directory");
    refuse("socket,id=a,fd=99", "File descriptor 99 cannot be used: Bad file descriptor");
    refuse("socket,id=a,fd=foo", "Unable to parse FD number foo");
    refuse("ringbuf,id=a,size=1000", "size of ringbuf chardev must be power of two");
    refuse("ringbuf,id=a,size=x", "Parameter 'size' expects a non-negative number below 2^64");
    refuse("null,id=a,logappend=on", "Parameter 'logappend' is useless without 'logfile'");
    refuse("{\"id\":\"a\"}", "Invalid input, expected: object");
    refuse("{\"id\":\"a\",\"backend\":{\"type\":\"null\"}}", "Parameter 'data' is missing");
    drop("taken");
    g_assert_null(chardev_find("a"));
    make("{\"id\":\"a\",\"backend\":{\"type\":\"null\",\"data\":{}}}");
    drop("a");
}

static void test_specs(void)
{
    GError *error = NULL;
    g_autofree char *path = in_dir("spec");
    g_autofree char *file = g_strdup_printf("file:%s", path);
    g_autofree char *sock = g_strdup_printf("unix:%s,server,nowait", path);
    Chardev *chr;

    g_assert_null(chardev_new_spec("s0", "none", false, &error));
    g_assert_no_error(error);
    g_assert_null(chardev_new_spec("s0", "bogus", false, &error));
    g_assert_cmpstr(error->message, ==, "'bogus' is not a valid char driver");
    g_clear_error(&error);
    g_assert_null(chardev_new_spec("s0", "chardev:nope", false, &error));
    g_assert_cmpstr(error->message, ==, "chardev \"nope\" not found");
    g_clear_error(&error);
    g_assert_null(chardev_new_spec("s0", "tcp:localhost", false, &error));
    g_clear_error(&error);

    chr = chardev_new_spec("s0", file, false, &error);
    g_assert_no_error(error);
    g_assert_true(chardev_find("s0") == chr);
    g_assert_true(chardev_new_spec("x", "chardev:s0", false, &error) == chr);
    drop("s0");
    unlink(path);
    chr = chardev_new_spec("s0", sock, false, &error);
    g_assert_no_error(error);
    drop("s0");
    chr = chardev_new_spec("s0", "tcp:127.0.0.1:0,server=on,wait=off", false, &error);
    g_assert_no_error(error);
    drop("s0");
    chr = chardev_new_spec("s0", "telnet:[::1]:0,server=on,wait=off", false, NULL);
    if (chr) { /* the host may lack IPv6 */
        drop("s0");
    }
    chr = chardev_new_spec("s0", "mon:null", true, &error);
    g_assert_no_error(error);
    g_assert_true(chardev_is_mux(chr));
    g_assert_nonnull(chardev_find("s0-base"));
    drop("s0");
    drop("s0-base");
}

/* ---- backends ---- */

static void test_null(void)
{
    Chardev *chr = make("null,id=n");
    Front f, second;
    GError *error = NULL;

    front_init(&f, chr);
    wait_text(f.events, "O");
    g_assert_cmpint(chardev_write(&f.fe, "abc", 3), ==, 3);
    g_assert_false(chardev_fe_attach(&second.fe, chr, &error));
    g_assert_cmpstr(error->message, ==, "chardev 'n' is already in use");
    g_clear_error(&error);
    g_assert_false(chardev_remove("n", &error));
    g_assert_cmpstr(error->message, ==, "Chardev 'n' is busy");
    g_clear_error(&error);
    front_destroy(&f);
    drop("n");
}

static void test_file_and_log(void)
{
    g_autofree char *path = in_dir("file"), *log = in_dir("log");
    g_autofree char *option = g_strdup_printf("file,id=f,path=%s,append=on,logfile=%s", path, log);
    g_autofree char *content = NULL, *logged = NULL;
    Front f;

    g_file_set_contents(path, "before ", -1, NULL);
    front_init(&f, make(option));
    g_assert_cmpint(chardev_write(&f.fe, "after", 5), ==, 5);
    front_destroy(&f);
    drop("f");
    g_file_get_contents(path, &content, NULL, NULL);
    g_assert_cmpstr(content, ==, "before after");
    g_file_get_contents(log, &logged, NULL, NULL);
    g_assert_cmpstr(logged, ==, "after");
    unlink(path);
    unlink(log);
}

static void test_file_input(void)
{
    g_autofree char *path = in_dir("out"), *in = in_dir("in");
    g_autofree char *option = g_strdup_printf("file,id=f,path=%s,input-path=%s", path, in);
    Front f;

    g_file_set_contents(in, "some input", -1, NULL);
    front_init(&f, make(option));
    wait_text(f.in, "some input");
    wait_text(f.events, "OC");
    front_destroy(&f);
    drop("f");
    unlink(path);
    unlink(in);
}

static void test_pipe(void)
{
    g_autofree char *path = in_dir("pipe");
    g_autofree char *in = g_strconcat(path, ".in", NULL), *out = g_strconcat(path, ".out", NULL);
    char buf[8] = "";
    Front f;
    int wr, rd;

    g_assert_cmpint(mkfifo(in, 0600), ==, 0);
    g_assert_cmpint(mkfifo(out, 0600), ==, 0);
    front_init(&f, make_f("pipe,id=p,path=%s", path));
    wr = open(in, O_WRONLY | O_NONBLOCK);
    rd = open(out, O_RDONLY | O_NONBLOCK);
    g_assert_cmpint(write(wr, "hi", 2), ==, 2);
    wait_text(f.in, "hi");
    g_assert_cmpint(chardev_write(&f.fe, "yo", 2), ==, 2);
    g_assert_cmpint(read(rd, buf, 8), ==, 2);
    g_assert_cmpstr(buf, ==, "yo");
    close(wr);
    close(rd);
    iterate(5);
    g_assert_cmpstr(f.events->str, ==, "O"); /* the next writer may come */
    front_destroy(&f);
    drop("p");
    unlink(in);
    unlink(out);
}

static void test_pty(void)
{
    Chardev *chr = make("pty,id=p");
    g_autofree char *name = chardev_filename(chr);
    char buf[8] = "";
    Front f;
    int fd;

    g_assert_true(g_str_has_prefix(name, "pty:/dev/pts/"));
    front_init(&f, chr);
    iterate(5);
    g_assert_cmpstr(f.events->str, ==, "");
    g_assert_cmpint(chardev_write(&f.fe, "lost", 4), ==, 4); /* nobody there */
    for (int round = 0; round < 2; round++) {
        g_string_truncate(f.events, 0);
        g_string_truncate(f.in, 0);
        fd = open(name + 4, O_RDWR | O_NOCTTY);
        g_assert_cmpint(fd, >=, 0);
        wait_text(f.events, "O");
        g_assert_cmpint(write(fd, "in", 2), ==, 2);
        wait_text(f.in, "in");
        g_assert_cmpint(chardev_write(&f.fe, "out", 3), ==, 3);
        g_assert_cmpint(read(fd, buf, 8), ==, 3);
        g_assert_cmpstr(buf, ==, "out");
        close(fd);
        wait_text(f.events, "OC");
    }
    front_destroy(&f);
    drop("p");
}

static void test_ringbuf(void)
{
    g_autofree char *data = NULL;
    GError *error = NULL;
    Front f;

    front_init(&f, make("ringbuf,id=r,size=8"));
    chardev_write(&f.fe, "0123456789", 10);
    g_assert_true(qmp_ringbuf_read("r", 3, false, 0, &data, &error));
    g_assert_cmpstr(data, ==, "234");
    g_clear_pointer(&data, g_free);
    g_assert_true(qmp_ringbuf_write("r", "AAH/", true, DATA_FORMAT_BASE64, &error)); /* 00 01 ff */
    g_assert_true(qmp_ringbuf_read("r", 100, true, DATA_FORMAT_BASE64, &data, &error));
    g_assert_cmpstr(data, ==, "NTY3ODkAAf8=");
    g_clear_pointer(&data, g_free);
    g_assert_true(qmp_ringbuf_read("r", 100, false, 0, &data, &error));
    g_assert_cmpstr(data, ==, "");
    g_assert_false(qmp_ringbuf_write("r", "A", true, DATA_FORMAT_BASE64, &error));
    g_clear_error(&error);
    front_destroy(&f);
    drop("r");
}

/* ---- sockets ---- */

static void test_socket_server(void)
{
    g_autofree char *path = in_dir("sock");
    g_autofree char *idle = g_strdup_printf("disconnected:unix:%s,server=on", path);
    g_autofree char *busy = g_strdup_printf("unix:%s,server=on", path);
    Chardev *chr = make_f("socket,id=s,path=%s,server=on,wait=off", path);
    IoChannel *peer, *second;
    Front f;

    check_filename(chr, idle);
    front_init(&f, chr);
    iterate(3);
    g_assert_cmpstr(f.events->str, ==, "");
    g_assert_cmpint(chardev_write(&f.fe, "x", 1), ==, -EPIPE);
    peer = connect_to(path);
    wait_text(f.events, "O");
    check_filename(chr, busy);
    io_channel_write_all(peer, "hello", 5, NULL);
    wait_text(f.in, "hello");
    g_assert_cmpint(chardev_write(&f.fe, "world", 5), ==, 5);
    peer_read(peer, "world");
    /* a second client waits for the first to go */
    second = connect_to(path);
    iterate(5);
    g_assert_cmpstr(f.events->str, ==, "O");
    io_channel_unref(peer);
    wait_text(f.events, "OCO");
    io_channel_write_all(second, "!", 1, NULL);
    wait_text(f.in, "hello!");
    chardev_disconnect(&f.fe);
    wait_text(f.events, "OCOC");
    io_channel_unref(second);
    front_destroy(&f);
    drop("s");
    g_assert_cmpint(access(path, F_OK), ==, -1);
}

/* A client was there before the front end. */
static void test_late_front_end(void)
{
    g_autofree char *path = in_dir("late");
    Chardev *chr = make_f("socket,id=s,path=%s,server=on,wait=off", path);
    IoChannel *peer = connect_to(path);
    Front f;

    io_channel_write_all(peer, "early", 5, NULL);
    iterate(5);
    for (int round = 0; round < 2; round++) {
        front_init(&f, chr);
        g_assert_cmpstr(f.events->str, ==, ""); /* not inside our call */
        wait_text(f.events, "O");
        wait_text(f.in, round ? "again" : "early");
        front_destroy(&f);
        io_channel_write_all(peer, "again", 5, NULL);
        iterate(5);
    }
    io_channel_unref(peer);
    drop("s");
}

static void set_flag(void *opaque)
{
    *(bool *)opaque = true;
}

static void test_backpressure(void)
{
    g_autofree char *path = in_dir("slow");
    Chardev *chr = make_f("socket,id=s,path=%s,server=on,wait=off", path);
    IoChannel *peer = connect_to(path);
    g_autofree char *big = g_malloc0(1 << 20);
    size_t sent = 0, got = 0;
    bool ready = false;
    GSource *watch;
    Front f;

    front_init(&f, chr);
    wait_text(f.events, "O");
    /* input stops when the front end has no room, and nothing is lost */
    f.room = 3;
    io_channel_write_all(peer, "abcdef", 6, NULL);
    wait_text(f.in, "abcdef");
    f.room = 0;
    io_channel_write_all(peer, "ghi", 3, NULL);
    iterate(10);
    g_assert_cmpstr(f.in->str, ==, "abcdef");
    f.room = 100;
    chardev_accept_input(&f.fe);
    wait_text(f.in, "abcdefghi");
    /* output never blocks */
    for (;;) {
        ssize_t n = chardev_write(&f.fe, big, 1 << 20);

        g_assert_cmpint(n, >=, 0);
        if (n == 0) {
            break;
        }
        sent += (size_t)n;
    }
    g_assert_cmpint(chardev_write_wait(&f.fe, big, 100, 30), ==, 0);
    watch = chardev_add_write_watch(&f.fe, set_flag, &ready);
    g_assert_nonnull(watch);
    iterate(5);
    g_assert_false(ready);
    while (got < sent) {
        ssize_t n = io_channel_read(peer, big, 1 << 20, NULL);

        g_assert_cmpint(n, >, 0);
        got += (size_t)n;
    }
    iterate(5);
    g_assert_true(ready);
    io_watch_clear(&watch);
    g_assert_cmpint(chardev_write_wait(&f.fe, big, 100, 30), ==, 100);
    io_channel_unref(peer);
    front_destroy(&f);
    drop("s");
}

static void test_reconnect(void)
{
    g_autofree char *path = in_dir("re");
    g_autofree char *where = g_strdup_printf("unix:%s", path);
    g_autoptr(SocketAddress) addr = io_socket_address_parse(where, NULL);
    Chardev *chr = make_f("socket,id=c,path=%s,reconnect-ms=20", path);
    Front f;

    front_init(&f, chr);
    iterate(50);
    g_assert_cmpstr(f.events->str, ==, "");
    for (int round = 0; round < 2; round++) {
        IoListener *listener = io_listener_new(addr, 1, NULL);
        IoChannel *peer;

        g_string_truncate(f.events, 0);
        wait_text(f.events, "O");
        peer = io_listener_accept_wait(listener, NULL);
        chardev_write(&f.fe, "hi", 2);
        peer_read(peer, "hi");
        io_listener_free(listener);
        io_channel_unref(peer);
        wait_text(f.events, "OC");
    }
    front_destroy(&f);
    drop("c");
}

static void test_inherited_socket(void)
{
    int fds[2];
    g_autofree char *option = NULL;
    char b;
    Front f;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    option = g_strdup_printf("socket,id=i,fd=%d", fds[0]);
    front_init(&f, make(option));
    wait_text(f.events, "O");
    g_assert_cmpint(write(fds[1], "q", 1), ==, 1);
    wait_text(f.in, "q");
    chardev_write(&f.fe, "r", 1);
    g_assert_cmpint(read(fds[1], &b, 1), ==, 1);
    close(fds[1]);
    wait_text(f.events, "OC");
    front_destroy(&f);
    drop("i");
}

static void test_telnet(void)
{
    static const uint8_t input[] = { 'a', 255, 253, 1,  'b', 255, 255, 255,
                                     243, 255, 250, 24, 'x', 255, 240, 'c' };
    g_autofree char *path = in_dir("tn");
    Chardev *chr = make_f("socket,id=t,path=%s,server=on,wait=off,telnet=on", path);
    IoChannel *peer = connect_to(path);
    Front f;

    front_init(&f, chr);
    wait_text(f.events, "O");
    for (size_t i = 0; i < sizeof(input); i++) {
        io_channel_write_all(peer, input + i, 1, NULL);
        iterate(1);
    }
    wait_text(f.in, "ab\xff"
                    "c");
    g_assert_cmpstr(f.events->str, ==, "OB");
    peer_read(peer, "\xff\xfb\x01\xff\xfb\x03");
    io_channel_unref(peer);
    front_destroy(&f);
    drop("t");
}

/* ---- mux ---- */

static void test_mux(void)
{
    g_autofree char *path = in_dir("mux");
    Chardev *chr = make_f("socket,id=m,path=%s,server=on,wait=off,mux=on", path);
    IoChannel *peer = connect_to(path);
    Front a, b;
    GError *error = NULL;

    g_assert_true(chardev_is_mux(chr));
    front_init(&a, chr);
    front_init(&b, chr);
    wait_text(b.events, "iO");
    io_channel_write_all(peer, "1", 1, NULL);
    wait_text(b.in, "1");
    io_channel_write_all(peer,
                         "\x01"
                         "c2\x01\x01",
                         5, NULL);
    wait_text(a.in, "2\x01");
    g_assert_cmpstr(b.in->str, ==, "1");
    g_assert_true(g_str_has_suffix(b.events->str, "o"));
    g_assert_true(g_str_has_suffix(a.events->str, "i"));
    io_channel_write_all(peer,
                         "\x01"
                         "b",
                         2, NULL);
    iterate(20);
    g_assert_true(g_str_has_suffix(a.events->str, "B"));
    /* a full front end keeps its input, the other one's goes on */
    a.room = 0;
    io_channel_write_all(peer, "stay", 4, NULL);
    iterate(20);
    io_channel_write_all(peer,
                         "\x01"
                         "c"
                         "go",
                         4, NULL);
    wait_text(b.in, "1go");
    a.room = 100;
    chardev_accept_input(&a.fe);
    wait_text(a.in, "2\x01stay");
    chardev_write(&a.fe, "A", 1);
    chardev_write(&b.fe, "B", 1);
    peer_read(peer, "AB");
    g_assert_false(chardev_remove("m", &error));
    g_clear_error(&error);
    front_destroy(&b);
    io_channel_write_all(peer, "x", 1, NULL);
    wait_text(a.in, "2\x01stayx");
    front_destroy(&a);
    io_channel_unref(peer);
    drop("m");
    drop("m-base");
}

/* ---- QMP ---- */

static void test_chardev_add(void)
{
    g_autofree char *path = in_dir("qmp");
    g_autofree char *text = g_strdup_printf("{\"type\":\"socket\",\"data\":{\"addr\":{\"type\":"
                                            "\"unix\",\"data\":{\"path\":\"%s\"}},\"wait\":true}}",
                                            path);
    json_object *in = json_tokener_parse(text);
    g_autoptr(ChardevBackend) backend = qapi_decode_ChardevBackend(in, QAPI_INPUT_JSON, NULL);
    g_autoptr(ChardevInfoArray) list = NULL;
    ChardevReturn *ret = NULL;
    GError *error = NULL;

    g_assert_false(qmp_chardev_add("q", backend, &ret, &error));
    g_assert_nonnull(strstr(error->message, "Failed to add chardev 'q': 'wait'"));
    g_clear_error(&error);
    backend->u.socket.data->wait = false;
    g_assert_true(qmp_chardev_add("q", backend, &ret, &error));
    qapi_free_ChardevReturn(ret);
    g_assert_false(qmp_chardev_add("q", backend, &ret, &error));
    g_assert_cmpstr(error->message, ==, "Chardev with id 'q' already exists");
    g_clear_error(&error);
    g_assert_true(qmp_query_chardev(&list, &error));
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_cmpstr(list->items[0]->label, ==, "q");
    g_assert_false(list->items[0]->frontend_open);
    g_assert_true(qmp_chardev_remove("q", &error));
    g_assert_false(qmp_chardev_remove("q", &error));
    g_assert_cmpstr(error->message, ==, "Chardev 'q' not found");
    g_clear_error(&error);
    json_object_put(in);
}

int main(int argc, char **argv)
{
    int r;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    main_loop_init();
    dir = g_dir_make_tmp("test-chardev-XXXXXX", NULL);
    g_test_add_func("/chardev/refused-options", test_refused_options);
    g_test_add_func("/chardev/specs", test_specs);
    g_test_add_func("/chardev/null", test_null);
    g_test_add_func("/chardev/file-and-log", test_file_and_log);
    g_test_add_func("/chardev/file-input", test_file_input);
    g_test_add_func("/chardev/pipe", test_pipe);
    g_test_add_func("/chardev/pty", test_pty);
    g_test_add_func("/chardev/ringbuf", test_ringbuf);
    g_test_add_func("/chardev/socket-server", test_socket_server);
    g_test_add_func("/chardev/late-front-end", test_late_front_end);
    g_test_add_func("/chardev/backpressure", test_backpressure);
    g_test_add_func("/chardev/reconnect", test_reconnect);
    g_test_add_func("/chardev/inherited-socket", test_inherited_socket);
    g_test_add_func("/chardev/telnet", test_telnet);
    g_test_add_func("/chardev/mux", test_mux);
    g_test_add_func("/chardev/chardev-add", test_chardev_add);
    r = g_test_run();
    chardev_cleanup();
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
    return r;
}
