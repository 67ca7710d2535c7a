/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live migration between real processes, and against peers that reset, stall or send rubbish: whatever happens
 * before the end, the source's guest runs on, and a destination that cannot load says why and exits with status 1.
 */
#include "util/osdep.h"

#include <glib.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "migration-driver.h"
#include "util/bytes.h"

#define MACHINE "-M pc -m 8"

/* ---- helpers ---- */

static QTest *start(const char *args)
{
    return migration_start("%s", args);
}

static void expect_failure(QTest *q, const char *text)
{
    migration_expect_failed(q, text);
    migration_expect_state(q, "running");
}

/* The guest's part of a state that has to arrive. */
static void mark_guest(QTest *q)
{
    qtest_writel(q, 0x1000, 0x12345678);
    qtest_memset(q, 0x200000, 0xa5, 0x3000);
    qtest_outl(q, 0xcf8, 0x80000804);
}

static void check_guest(QTest *q)
{
    g_assert_cmphex(qtest_readl(q, 0x1000), ==, 0x12345678);
    g_assert_cmphex(qtest_readq(q, 0x202ff8), ==, UINT64_C(0xa5a5a5a5a5a5a5a5));
    g_assert_cmphex(qtest_readb(q, 0x203000), ==, 0);
    g_assert_cmphex(qtest_inl(q, 0xcf8), ==, 0x80000804);
}

/* A stream of the machine in a file. */
static char *save_stream(const char *args, gsize *len, char **path)
{
    char *data;
    *path = migration_path("saved");
    g_autofree char *uri = g_strdup_printf("file:%s", *path);
    QTest *q = start(args);
    mark_guest(q);
    migration_outgoing(q, uri);
    migration_expect(q, "completed");
    qtest_end(q);
    g_assert_true(g_file_get_contents(*path, &data, len, NULL));
    return data;
}

/* ---- transports ---- */

static void move_over(const char *uri_source, const char *uri_destination, bool destination_first)
{
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming defer");
    mark_guest(a);
    if (destination_first) {
        migration_incoming_or_exit(b, uri_destination);
        migration_outgoing(a, uri_source);
        migration_expect(a, "completed");
    } else {
        migration_outgoing(a, uri_source);
        migration_expect(a, "completed");
        migration_incoming_or_exit(b, uri_destination);
    }
    migration_expect(b, "completed");
    migration_expect_state(a, "postmigrate");
    qtest_wait_status(b, "running");
    check_guest(b);
    qtest_end(a);
    qtest_end(b);
}

static void test_unix(void)
{
    g_autofree char *path = migration_path("m.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    move_over(uri, uri, true);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_tcp(void)
{
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming tcp:127.0.0.1:0");
    mark_guest(a);
    json_object *info = qtest_qmp_return(b, "{'execute': 'query-migrate'}"), *list;
    g_assert_true(json_object_object_get_ex(info, "socket-address", &list));
    json_object *addr = json_object_array_get_idx(list, 0);
    g_autofree char *uri = g_strdup_printf("tcp:127.0.0.1:%s", qtest_json_string(addr, "port"));
    json_object_put(info);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    check_guest(b);
    qtest_end(a);
    qtest_end(b);
}

static void test_exec(void)
{
    g_autofree char *path = migration_path("stream");
    g_autofree char *to = g_strdup_printf("exec:cat >%s", path);
    g_autofree char *from = g_strdup_printf("exec:cat %s", path);
    move_over(to, from, false);
}

static void test_file(void)
{
    g_autofree char *path = migration_path("stream-file");
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    g_autofree char *with_offset = g_strdup_printf("file:%s,offset=64k", path);
    move_over(uri, uri, false);
    move_over(with_offset, with_offset, false);
    /* What is before the offset is not ours. */
    g_autofree char *data = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpmem(data, 4, "QEVM", 4);
    g_assert_cmpmem(data + 65536, 4, "QEVM", 4);
}

static void test_channels(void)
{
    g_autofree char *path = migration_path("c.sock");
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming defer");
    mark_guest(a);
    const char *args = "{'execute': '%s', 'arguments': {'channels': [{'channel-type': 'main', 'addr': "
                       "{'transport': 'socket', 'type': 'unix', 'path': '%s'}}]}}";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    qtest_qmp_ok(b, args, "migrate-incoming", path);
    qtest_qmp_ok(a, args, "migrate", path);
#pragma GCC diagnostic pop
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    check_guest(b);
    qtest_end(a);
    qtest_end(b);
}

/* Nothing but a clock. */
static void test_no_machine(void)
{
    g_autofree char *path = migration_path("n.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start("-M none"), *b = start("-M none -incoming defer");
    qtest_clock_step(a, 12345);
    migration_incoming_or_exit(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    migration_expect(b, "completed");
    g_assert_cmpint(qtest_clock_now(b), ==, 12345);
    qtest_end(a);
    qtest_end(b);
}

/* `quit` at any point of an incoming or outgoing migration. */
static void test_quit(void)
{
    g_autofree char *path = migration_path("q.sock");
    g_autofree char *unix_uri = g_strconcat("unix:", path, NULL);
    g_autofree char *part = migration_path("part");
    g_autofree char *saved = NULL;
    gsize len;
    g_autofree char *data = save_stream(MACHINE, &len, &saved);
    const size_t lengths[] = { 0, 3, 100, len / 2, len - 7000, len - 1 };
    QTest *q = start(MACHINE " -incoming defer");
    qtest_end(q);
    q = start(MACHINE " -incoming defer");
    migration_incoming_or_exit(q, unix_uri);
    qtest_end(q);
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autofree char *uri = g_strdup_printf("exec:cat %s; exec sleep 30", part);
        g_assert_true(g_file_set_contents(part, data, lengths[i], NULL));
        q = start(MACHINE " -incoming defer");
        migration_incoming_or_exit(q, uri);
        g_usleep(20000);
        qtest_end(q);
    }
    q = start(MACHINE);
    migration_set_capabilities(q, "pause-before-switchover", true);
    migration_outgoing(q, "exec:cat >/dev/null");
    qtest_end(q);
    q = start(MACHINE);
    migration_set_capabilities(q, "pause-before-switchover", true);
    migration_outgoing(q, "exec:cat >/dev/null");
    migration_expect(q, "pre-switchover");
    qtest_end(q);
}

/* ---- states and events ---- */

static void expect_event(QTest *q, const char *name, const char *status)
{
    json_object *event = qtest_wait_event(q, name);
    if (status) {
        g_assert_cmpstr(qtest_json_string(event, "data.status"), ==, status);
    }
    json_object_put(event);
}

static void test_events(void)
{
    g_autofree char *path = migration_path("e.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming defer");
    migration_set_capabilities(a, "events return-path", true);
    migration_set_capabilities(b, "events", true);
    migration_incoming_or_exit(b, uri);
    expect_event(b, "MIGRATION", "setup");
    migration_set_capabilities(b, "events return-path", true);
    migration_outgoing(a, uri);
    expect_event(a, "MIGRATION", "setup");
    expect_event(a, "MIGRATION_PASS", NULL);
    expect_event(a, "MIGRATION", "active");
    expect_event(a, "STOP", NULL);
    expect_event(a, "MIGRATION", "device");
    expect_event(a, "MIGRATION", "completed");
    expect_event(b, "MIGRATION", "active");
    expect_event(b, "RESUME", NULL);
    expect_event(b, "MIGRATION", "completed");
    qtest_qmp_fails(a, "GenericError", "Can't migrate the vm that was paused due to previous migration",
                    "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
    /* Back to life on the source, as after a restore that nobody wants. */
    qtest_qmp_ok(a, "{'execute': 'cont'}");
    migration_expect_state(a, "running");
    qtest_writel(a, 0x1000, 1);
    g_assert_cmphex(qtest_readl(a, 0x1000), ==, 1);
    qtest_end(a);
    qtest_end(b);
}

static void test_pause(void)
{
    g_autofree char *path = migration_path("p.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming defer");
    migration_set_capabilities(a, "pause-before-switchover", true);
    mark_guest(a);
    migration_outgoing(a, "exec:cat >/dev/null");
    migration_expect(a, "pre-switchover");
    migration_expect_state(a, "finish-migrate");
    qtest_qmp_fails(a, "GenericError", "Migration is not finalized yet", "{'execute': 'cont'}");
    qtest_qmp_fails(a, "GenericError", "There's a migration process in progress",
                    "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': []}}");
    qtest_qmp_fails(a, "GenericError", "not allowed while migrating",
                    "{'execute': 'device_add', 'arguments': {'driver': 'piix3-usb-uhci'}}");
    qtest_qmp_ok(a, "{'execute': 'migrate_cancel'}");
    migration_expect(a, "cancelled");
    migration_expect_state(a, "running");
    check_guest(a);

    migration_incoming_or_exit(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "pre-switchover");
    qtest_qmp_fails(a, "GenericError", "Migration not in expected state",
                    "{'execute': 'migrate-continue', 'arguments': {'state': 'device'}}");
    qtest_qmp_ok(a, "{'execute': 'migrate-continue', 'arguments': {'state': 'pre-switchover'}}");
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    check_guest(b);
    qtest_end(a);
    qtest_end(b);
}

static void test_cancel(void)
{
    g_autofree char *path = migration_path("x.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming defer");
    mark_guest(a);
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 5000}}");
    for (int i = 0; i < 20; i++) {
        migration_outgoing(a, "exec:cat >/dev/null");
        if (i & 1) {
            migration_expect(a, "active");
        }
        qtest_qmp_fails(a, "GenericError", "There's a migration process in progress",
                        "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
        g_usleep(i * 500);
        qtest_qmp_ok(a, "{'execute': 'migrate_cancel'}");
        migration_expect(a, "cancelled");
        migration_expect_state(a, "running");
    }
    /* A command that takes nothing and does not end. */
    migration_outgoing(a, "exec:exec sleep 30");
    g_usleep(20000);
    qtest_qmp_ok(a, "{'execute': 'migrate_cancel'}");
    migration_expect(a, "cancelled");
    migration_expect_state(a, "running");
    /* A new limit takes effect at once. */
    migration_incoming_or_exit(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "active");
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 0}}");
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    check_guest(b);
    qtest_qmp_ok(a, "{'execute': 'migrate_cancel'}"); /* nothing to cancel */
    migration_expect(a, "completed");
    qtest_end(a);
    qtest_end(b);
}

static void move_state(const char *args_a, const char *args_b, bool stop, const char *wanted)
{
    g_autofree char *path = migration_path("s.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start(args_a), *b = start(args_b);
    if (stop) {
        qtest_qmp_ok(a, "{'execute': 'stop'}");
    }
    migration_incoming_or_exit(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    migration_expect(b, "completed");
    migration_expect_state(b, wanted);
    qtest_end(a);
    qtest_end(b);
}

static void test_run_states(void)
{
    move_state(MACHINE, MACHINE " -incoming defer", true, "paused");
    move_state(MACHINE " -S", MACHINE " -incoming defer", false, "prelaunch");
    move_state(MACHINE, MACHINE " -S -incoming defer", false, "paused");
    move_state(MACHINE " -S", MACHINE " -S -incoming defer", false, "prelaunch");
}

/* ---- the guest writes meanwhile ---- */

static void test_dirty(void)
{
    g_autofree char *path = migration_path("d.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start(MACHINE), *b = start(MACHINE " -incoming defer");
    const unsigned pages = 1024;
    g_autofree uint32_t *model = g_new0(uint32_t, pages);
    /* Twenty seconds for all of it: the source comes to no end before it may. */
    migration_set_parameters(a, "'max-bandwidth': 200000, 'downtime-limit': 1");
    migration_incoming_or_exit(b, uri);
    for (unsigned i = 0; i < pages; i++) {
        model[i] = g_test_rand_int();
        qtest_writel(a, 0x200000 + i * 4096, model[i]);
    }
    migration_outgoing(a, uri);
    migration_expect(a, "active");
    for (unsigned i = 0; i < 3000 || i % 100 || migration_number(a, "ram.normal") < pages / 8; i++) {
        unsigned page = g_test_rand_int_range(0, pages);
        model[page] = i % 7 ? (uint32_t)g_test_rand_int() : 0;
        qtest_writel(a, 0x200000 + page * 4096, model[page]);
    }
    migration_expect(a, "active");
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 0}}");
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    for (unsigned i = 0; i < pages; i++) {
        g_assert_cmphex(qtest_readl(b, 0x200000 + i * 4096), ==, model[i]);
    }
    json_object *info = qtest_qmp_return(a, "{'execute': 'query-migrate'}");
    g_assert_cmpint(qtest_json_int(info, "ram.normal"), >, pages);
    g_assert_cmpint(qtest_json_int(info, "ram.remaining"), ==, 0);
    g_assert_cmpint(qtest_json_int(info, "ram.dirty-sync-count"), >, 2);
    json_object_put(info);
    qtest_end(a);
    qtest_end(b);
}

/* The stream without page i of the row at base: a source may leave out what the guest does not use. */
static void leave_out(char *stream, size_t *len, uint32_t base, unsigned i)
{
    uint8_t header[8] = { 0 };
    uint32_t item = GUINT32_TO_BE((base + i * 4096) | 0x28); /* a page of the block before */
    memcpy(header + 4, &item, sizeof(item));
    char *at = memmem(stream, *len, header, sizeof(header));
    g_assert_nonnull(at);
    memmove(at, at + 8 + 4096, stream + *len - (at + 8 + 4096));
    *len -= 8 + 4096;
}

/* Rows with pages missing: what was read on a guess goes where it belongs, and the pages that never come stay zero. */
static void test_rows_with_gaps(void)
{
    g_autofree char *path = migration_path("gaps.file"), *stream = NULL;
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    const unsigned pages = 600, base = 0x200000;
    g_autofree uint32_t *row = g_new(uint32_t, pages * 1024), *got = g_new(uint32_t, pages * 1024);
    QTest *a = start("-M pc -m 32"), *b = start("-M pc -m 32 -incoming defer");
    size_t len;
    for (unsigned i = 0; i < pages * 1024; i++) {
        row[i] = 0x10000000 + i;
    }
    qtest_memwrite(a, base, row, pages * 4096);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    qtest_end(a);
    g_assert_true(g_file_get_contents(path, &stream, &len, NULL));
    for (unsigned i = 20; i < pages; i += 37) {
        leave_out(stream, &len, base, i);
        memset(row + i * 1024, 0, 4096);
    }
    g_assert_true(g_file_set_contents(path, stream, len, NULL));
    migration_incoming_or_exit(b, uri);
    qtest_wait_status(b, "running");
    qtest_memread(b, base, got, pages * 4096);
    g_assert_cmpmem(got, pages * 4096, row, pages * 4096);
    qtest_end(b);
}

/* Memory in which the destination's firmware or tests have left something. */
static void soil(QTest *q, unsigned base, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        qtest_writel(q, base + i * 4096 + 0x234, 0x5011ed00);
    }
}

/* Rows of pages and holes of all lengths: what is read where it belongs on a guess is right, in memory that nobody has ever
 * written and in other memory. */
static void test_patterns(gconstpointer data)
{
    g_autofree char *incoming = g_strconcat(data, " -incoming defer", NULL);
    g_autofree char *path = migration_path("w.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *a = start(data), *b = start(incoming);
    const unsigned pages = 6000, base = 0x200000;
    g_autofree uint32_t *model = g_new0(uint32_t, pages);
    uint32_t page[1024];
    if (strstr(data, "memfd")) {
        soil(b, base, pages);
    }
    for (unsigned i = 0; i < pages;) {
        unsigned row = g_test_rand_int_range(1, g_test_rand_bit() ? 6 : 200);
        bool zero = g_test_rand_bit();
        for (; row && i < pages; row--, i++) {
            model[i] = zero ? 0 : (uint32_t)g_test_rand_int() | 1;
            for (unsigned j = 0; j < 1024 && !zero; j++) {
                page[j] = model[i] + j;
            }
            if (!zero) {
                qtest_memwrite(a, base + i * 4096, page, sizeof(page));
            }
        }
    }
    migration_incoming_or_exit(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    for (unsigned i = 0; i < pages; i++) {
        qtest_memread(b, base + i * 4096, page, sizeof(page));
        for (unsigned j = 0; j < 1024; j++) {
            g_assert_cmphex(page[j], ==, model[i] ? model[i] + j : 0);
        }
    }
    qtest_end(a);
    qtest_end(b);
}

/* ---- peers that misbehave ---- */

typedef struct Peer {
    int listener, fd;
    size_t taken;
    bool complete; /* plays a destination that has loaded everything */
    GThread *thread;
    size_t limit;
    bool stall;
    int wake[2];
} Peer;

static void peer_answer(Peer *p)
{
    uint8_t shut[8] = { 0, 1, 0, 4 };
    g_assert_cmpint(send(p->fd, shut, sizeof(shut), MSG_NOSIGNAL), ==, sizeof(shut));
}

/* Takes limit bytes, then resets or stalls until it is woken. Everything: answers when nothing more comes. */
static void *peer_thread(void *opaque)
{
    Peer *p = opaque;
    static char buf[65536];
    p->fd = accept(p->listener, NULL, NULL);
    g_assert_cmpint(p->fd, >=, 0);
    while (p->taken < p->limit) {
        struct pollfd pfd[2] = { { p->fd, POLLIN, 0 }, { p->wake[0], POLLIN, 0 } };
        int n = poll(pfd, 2, p->complete ? 150 : 60000);
        if (n == 0 && p->complete) {
            peer_answer(p);
            p->complete = false;
            continue;
        }
        if (pfd[1].revents || n <= 0) {
            break;
        }
        ssize_t got = recv(p->fd, buf, MIN(sizeof(buf), p->limit - p->taken), 0);
        if (got <= 0) {
            break;
        }
        p->taken += got;
    }
    if (p->stall) {
        g_assert_cmpint(read(p->wake[0], buf, 1), ==, 1);
    }
    close(p->fd);
    return NULL;
}

static void peer_start(Peer *p, const char *path, size_t limit, bool stall, bool complete)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    *p = (Peer){ .limit = limit, .stall = stall, .complete = complete };
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    unlink(path);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(p->listener, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(p->listener, 1), ==, 0);
    g_assert_cmpint(pipe(p->wake), ==, 0);
    p->thread = g_thread_new("peer", peer_thread, p);
}

static size_t peer_end(Peer *p)
{
    g_assert_cmpint(write(p->wake[1], "x", 1), ==, 1);
    g_thread_join(p->thread);
    close(p->listener);
    close(p->wake[0]);
    close(p->wake[1]);
    return p->taken;
}

/* A whole stream against the peer; returns its length. The guest runs on afterwards. */
static size_t stream_length(QTest *q, const char *path, const char *uri)
{
    Peer peer;
    peer_start(&peer, path, SIZE_MAX, false, true);
    migration_outgoing(q, uri);
    migration_expect(q, "completed");
    size_t len = peer_end(&peer);
    qtest_qmp_ok(q, "{'execute': 'cont'}");
    migration_expect_state(q, "running");
    return len;
}

static void test_peer_resets(void)
{
    g_autofree char *path = migration_path("r.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *q = start(MACHINE " -device piix3-usb-uhci -device usb-tablet");
    migration_set_capabilities(q, "return-path", true);
    mark_guest(q);
    size_t len = stream_length(q, path, uri), step = g_test_slow() ? 1 : 41;
    size_t devices = len > 12000 ? len - 12000 : 0;
    g_test_message("a stream of %zu bytes", len);
    for (size_t n = 0; n < len; n += n < 200 || n >= devices ? step : 9973) {
        Peer peer;
        peer_start(&peer, path, n, false, false);
        migration_outgoing(q, uri);
        expect_failure(q, "");
        peer_end(&peer);
    }
    check_guest(q);
    stream_length(q, path, uri); /* and a good one at the end */
    check_guest(q);
    qtest_end(q);
}

static void test_peer_stalls(void)
{
    g_autofree char *path = migration_path("t.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *q = start(MACHINE);
    migration_set_capabilities(q, "return-path", true);
    qtest_memset(q, 0x200000, 0x5a, 0x400000); /* more than sockets hold */
    size_t len = stream_length(q, path, uri);
    qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {'x-switchover-timeout': 100}}");
    for (unsigned i = 0; i <= 16; i++) {
        Peer peer;
        size_t n = len * i / 16;
        peer_start(&peer, path, n, true, false);
        migration_outgoing(q, uri);
        g_usleep(50000);
        /* The guest either runs, and the manager decides, or stands still, and the source gives up by itself. */
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-status'}");
        if (strcmp(qtest_json_string(info, "status"), "running") == 0 &&
            strcmp(migration_wait(q, "active"), "active") == 0) {
            qtest_qmp_ok(q, "{'execute': 'migrate_cancel'}");
            if (strcmp(migration_wait(q, "cancelled"), "cancelled") != 0) { /* the source has given up before */
                expect_failure(q, "while the guest stood still");
            }
        } else {
            expect_failure(q, "while the guest stood still");
        }
        json_object_put(info);
        peer_end(&peer);
        migration_expect_state(q, "running");
        g_assert_cmphex(qtest_readl(q, 0x5ffffc), ==, 0x5a5a5a5a);
    }
    qtest_end(q);
}

static void test_peer_answers_rubbish(void)
{
    static const struct {
        uint8_t data[19];
        const char *text;
    } answers[] = {
        { { 0, 1, 0, 4, 0, 0, 0, 1 }, "the destination could not load" },
        { { 0, 9, 0, 0 }, "a message that is not understood" },
        { { 0, 1, 0xff, 0xff }, "a message that is too long" },
        { { 0, 1, 0, 2, 0, 0 }, "a message that is not understood" },
        /* 2 GiB of bitmap */
        { { 0, 5, 0, 7, 6, 'p', 'c', '.', 'r', 'a', 'm', 0, 0, 0, 0, 0x7f, 0, 0, 0 }, "which was not asked for" },
    };
    g_autofree char *path = migration_path("b.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    QTest *q = start(MACHINE);
    migration_set_capabilities(q, "return-path", true);
    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        Peer peer;
        peer_start(&peer, path, 1000, true, false);
        migration_outgoing(q, uri);
        while (__atomic_load_n(&peer.taken, __ATOMIC_RELAXED) < 1000) {
            g_usleep(1000);
        }
        g_assert_cmpint(send(peer.fd, answers[i].data, sizeof(answers[i].data), MSG_NOSIGNAL), ==, sizeof(answers[i].data));
        expect_failure(q, answers[i].text);
        peer_end(&peer);
    }
    qtest_end(q);
}

/* ---- streams that cannot be loaded ---- */

static void expect_load_fails(const char *args, const char *path, const char *text)
{
    g_autofree char *out = NULL;
    int status = qtest_run(&out, "%s -accel qtest -display none -nodefaults -incoming file:%s", args, path);
    if (status != 1 || !strstr(out, text) || !strstr(out, "load of migration failed: ")) {
        g_error("exit status %d, expected '%s', got: %s", status, text, out);
    }
}

static void test_bad_streams(void)
{
    gsize len;
    g_autofree char *path = NULL;
    g_autofree char *data = save_stream(MACHINE, &len, &path);
    struct {
        size_t at;
        uint8_t value;
        const char *text;
    } flips[] = {
        { 0, 'X', "Not a migration stream" },
        { 7, 2, "SaveVM v2 format is obsolete" },
        { 7, 4, "Unsupported migration stream version" },
        { 8, 0, "Configuration section missing" },
        { 13, 'q', "Machine type received is 'qc-i440fx" },
        { 11, 200, "configuration: field 'name': a count of 51214, at most 255 fit" },
        { 8 + 5 + 14, 0x55, "Unknown savevm section type 85" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(flips); i++) {
        uint8_t keep = data[flips[i].at];
        data[flips[i].at] = flips[i].value;
        g_assert_true(g_file_set_contents(path, data, len, NULL));
        expect_load_fails(MACHINE, path, flips[i].text);
        data[flips[i].at] = keep;
    }
    for (size_t n = 0; n < len; n = n * 3 + 5) {
        g_assert_true(g_file_set_contents(path, data, n, NULL));
        expect_load_fails(MACHINE, path, "the stream ends unexpectedly");
    }
    g_assert_true(g_file_set_contents(path, data, len, NULL));
    expect_load_fails("-M pc -m 16", path, "Size mismatch: pc.ram: 0x800000 != 0x1000000");
    expect_load_fails("-M pc-i440fx-7.2 -m 8", path, "Machine type received is");
}

static void test_other_devices(void)
{
    gsize len;
    g_autofree char *path = NULL;
    g_free(save_stream(MACHINE " -device piix3-usb-uhci,addr=5", &len, &path));
    expect_load_fails(MACHINE, path, "Unknown savevm section or instance '0000:00:05.0/uhci' 0. Make sure");
}

/* With exit-on-error off the destination can be asked again. */
static void test_retry(void)
{
    gsize len;
    g_autofree char *path = NULL;
    g_autofree char *data = save_stream(MACHINE, &len, &path);
    QTest *q = start(MACHINE " -incoming defer");
    for (size_t n = 3; n < len; n = n * 2 + 1) {
        g_assert_true(g_file_set_contents(path, data, n, NULL));
        qtest_qmp_ok(q, "{'execute': 'migrate-incoming', 'arguments': {'uri': 'file:%s', 'exit-on-error': false}}",
                     path);
        migration_expect(q, "failed");
        migration_expect_state(q, "inmigrate");
    }
    g_assert_true(g_file_set_contents(path, data, len, NULL));
    qtest_qmp_ok(q, "{'execute': 'migrate-incoming', 'arguments': {'uri': 'file:%s'}}", path);
    migration_expect(q, "completed");
    qtest_wait_status(q, "running");
    check_guest(q);
    qtest_end(q);
}

/* The destination refuses, and the source hears of it and goes on. */
static void test_destination_refuses(void)
{
    g_autofree char *path = migration_path("f.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    g_autofree char *args = g_strdup_printf("-M pc -m 16 -incoming %s", uri);
    QTest *a = start(MACHINE), *b = start(args);
    migration_set_capabilities(a, "return-path", true);
    mark_guest(a);
    migration_outgoing(a, uri);
    qtest_expect_exit(b, 1);
    expect_failure(a, "");
    check_guest(a);
    qtest_end(a);
}

/* What a machine says on stderr is taken by the client, however much it is: the machine does not wait for that. */
static void test_many_failures(void)
{
    QTest *a = start(MACHINE);
    for (unsigned i = 0; i < 800; i++) {
        migration_outgoing(a, "unix:/nobody/is/there");
        migration_expect_failed(a, "Failed to connect to");
    }
    qtest_end(a);
}

/* One of two images cannot be had at the destination: it lets go of the other one before it says so, and the source's guest runs on. */
static void test_image_is_locked(void)
{
    static const char args[] = MACHINE " -drive file=%s,format=raw -drive file=%s,format=raw %s";
    g_autofree char *shared = g_strdup(qtest_image("shared.img", 65536, 1)), *own = g_strdup(qtest_image("own.img", 65536, 2));
    g_autofree char *locked = g_strdup(qtest_image("locked.img", 65536, 3)), *uri = migration_unix_uri("l.sock");
    QTest *a = migration_start(args, shared, own, ""), *b = migration_start(args, shared, locked, "-incoming defer");
    QTest *c = migration_start(MACHINE " -drive file=%s,format=raw", locked);
    migration_set_capabilities(a, "return-path", true);
    qtest_memset(a, 0x200000, 0x5a, 0x400000); /* with 100000 bytes a second not sent before postcopy begins */
    for (unsigned postcopy = 0; postcopy < 2; postcopy++) {
        migration_set_capabilities(a, "postcopy-ram", postcopy);
        migration_set_capabilities(b, "postcopy-ram", postcopy);
        migration_set_parameters(a, "'max-bandwidth': %u", postcopy ? 100000 : 0);
        migration_incoming(b, uri);
        migration_outgoing(a, uri);
        if (postcopy) {
            migration_expect(a, "active");
            qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
        }
        expect_failure(a, "the destination could not load the stream");
        migration_expect_failed(b, "lock");
        migration_expect_state(b, "inmigrate");
    }
    qtest_end(c);
    migration_set_parameters(a, "'max-bandwidth': 0");
    migration_incoming(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    qtest_end(a);
    qtest_end(b);
}

/* ---- what both sides must have in common ---- */

static void test_uuid(void)
{
    static const char on[] = "validate-uuid";
    g_autofree char *path = migration_path("u.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    for (int same = 0; same < 2; same++) {
        QTest *a = start(MACHINE " -uuid 11111111-2222-3333-4444-555555555555");
        QTest *b = start(same ? MACHINE " -uuid 11111111-2222-3333-4444-555555555555 -incoming defer"
                              : MACHINE " -uuid 11111111-2222-3333-4444-555555555556 -incoming defer");
        migration_set_capabilities(a, on, true);
        migration_set_capabilities(b, on, true);
        migration_incoming_or_exit(b, uri);
        migration_outgoing(a, uri);
        if (same) {
            migration_expect(a, "completed");
            qtest_wait_status(b, "running");
            qtest_end(b);
        } else {
            qtest_expect_exit(b, 1);
            migration_wait(a, NULL);
        }
        qtest_end(a);
    }
}

static void test_ignore_shared(void)
{
    static const char on[] = "x-ignore-shared";
    g_autofree char *ram = migration_path("ram");
    g_autofree char *path = migration_path("i.sock");
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    g_autofree char *args = g_strdup_printf("-M pc,memory-backend=m -m 8 -object memory-backend-file,id=m,size=8M,"
                                            "mem-path=%s,share=on", ram);
    g_autofree char *incoming = g_strconcat(args, " -incoming defer", NULL);
    QTest *a = start(args), *b = start(incoming);
    mark_guest(a);
    migration_set_capabilities(a, on, true);
    migration_set_capabilities(b, on, true);
    migration_incoming_or_exit(b, uri);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    qtest_wait_status(b, "running");
    check_guest(b);
    json_object *info = qtest_qmp_return(a, "{'execute': 'query-migrate'}");
    g_assert_cmpint(qtest_json_int(info, "ram.duplicate"), <, 2048); /* of pc.ram nothing was sent */
    json_object_put(info);
    qtest_end(a);
    qtest_end(b);
}

static void test_arguments(void)
{
    QTest *q = start(MACHINE);
    qtest_qmp_fails(q, "GenericError", "neither uri nor channels", "{'execute': 'migrate'}");
    qtest_qmp_fails(q, "GenericError", "unknown migration protocol: nosuch:x",
                    "{'execute': 'migrate', 'arguments': {'uri': 'nosuch:x'}}");
    qtest_qmp_fails(q, "GenericError", "file URI has bad offset",
                    "{'execute': 'migrate', 'arguments': {'uri': 'file:x,offset=y'}}");
    qtest_qmp_fails(q, "GenericError", "Channel list must have one entry",
                    "{'execute': 'migrate', 'arguments': {'channels': []}}");
    qtest_qmp_fails(q, "GenericError", "'-incoming' was not specified",
                    "{'execute': 'migrate-incoming', 'arguments': {'uri': 'tcp:127.0.0.1:0'}}");
    qtest_qmp_fails(q, "GenericError", "does not accept value 'background-snapshot'",
                    "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                    "[{'capability': 'background-snapshot', 'state': true}]}}");
    qtest_qmp_fails(q, "GenericError", "in the range of 0 to (2000 * 1000) ms",
                    "{'execute': 'migrate-set-parameters', 'arguments': {'downtime-limit': 2000001}}");
    qtest_qmp_fails(q, "GenericError", "'tls-hostname' is unexpected",
                    "{'execute': 'migrate-set-parameters', 'arguments': {'tls-hostname': 'x'}}");
    migration_set_capabilities(q, "return-path", true);
    qtest_qmp_fails(q, "GenericError", "needs a channel that can answer",
                    "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat'}}");
    migration_set_capabilities(q, "return-path", false);
    g_autofree char *absent = g_strdup_printf("unix:%s/absent/socket", qtest_dir());
    migration_outgoing(q, absent);
    expect_failure(q, "No such file or directory");
    migration_outgoing(q, "exec:cat >/dev/null; exit 3");
    expect_failure(q, "exit status 3");
    migration_outgoing(q, "exec:exit 1");
    expect_failure(q, "");
    g_autofree char *hmp = qtest_hmp(q, "info migrate");
    g_assert_nonnull(strstr(hmp, "Migration status: failed"));
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration/unix", test_unix);
    g_test_add_func("/migration/tcp", test_tcp);
    g_test_add_func("/migration/exec", test_exec);
    g_test_add_func("/migration/file", test_file);
    g_test_add_func("/migration/channels", test_channels);
    g_test_add_func("/migration/no-machine", test_no_machine);
    g_test_add_func("/migration/quit", test_quit);
    g_test_add_func("/migration/events", test_events);
    g_test_add_func("/migration/pause-before-switchover", test_pause);
    g_test_add_func("/migration/cancel", test_cancel);
    g_test_add_func("/migration/run-states", test_run_states);
    g_test_add_func("/migration/dirty", test_dirty);
    g_test_add_func("/migration/rows-with-gaps", test_rows_with_gaps);
    g_test_add_data_func("/migration/patterns", "-M pc -m 32", test_patterns);
    g_test_add_data_func("/migration/patterns-over-old-content",
                         "-M pc,memory-backend=m -m 32 -object memory-backend-memfd,id=m,size=32M,prealloc=on",
                         test_patterns);
    g_test_add_func("/migration/peer-resets", test_peer_resets);
    g_test_add_func("/migration/peer-stalls", test_peer_stalls);
    g_test_add_func("/migration/peer-answers-rubbish", test_peer_answers_rubbish);
    g_test_add_func("/migration/bad-streams", test_bad_streams);
    g_test_add_func("/migration/other-devices", test_other_devices);
    g_test_add_func("/migration/retry", test_retry);
    g_test_add_func("/migration/destination-refuses", test_destination_refuses);
    g_test_add_func("/migration/image-is-locked", test_image_is_locked);
    g_test_add_func("/migration/many-failures", test_many_failures);
    g_test_add_func("/migration/validate-uuid", test_uuid);
    g_test_add_func("/migration/ignore-shared", test_ignore_shared);
    g_test_add_func("/migration/arguments", test_arguments);
    return g_test_run();
}
