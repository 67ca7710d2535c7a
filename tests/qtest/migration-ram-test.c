/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every page arrives as it was, whatever way it went: a guest writes memory while it migrates, way by way, and what arrives is
 * compared; connections break on the way, and the source runs on with its memory. migration-pairs-test does the same by
 * combinations.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "channel-relay.h"
#include "migration-driver.h"
#include "ram-guest.h"

#define MIB 8
#define RATE 3000 /* pages a second that the guest writes */

typedef struct Way {
    const char *name;
    const char *machine;      /* version */
    const char *capabilities; /* words */
    const char *parameters;   /* members of a JSON object */
    bool tcp;
} Way;

static QTest *start(const char *version, const char *more)
{
    return migration_start(GUEST_ACCEL " -M pc-i440fx-%s -m %d %s", version, MIB, more);
}

static Guest *guest_in(QTest *q)
{
    return guest_new(q, MIB, g_test_rand_int());
}

static void configure(QTest *q, const Way *way)
{
    migration_set_capabilities(q, way->capabilities, true);
    migration_set_parameters(q, "%s", way->parameters);
}

static void set_bandwidth(QTest *q, unsigned bytes)
{
    migration_set_parameters(q, "'max-bandwidth': %u, 'downtime-limit': %u", bytes, bytes ? 1 : 2000);
}

/* Where the destination listens. */
static char *listen_there(QTest *b, const Way *way, const char *name)
{
    if (way->tcp) {
        return migration_incoming_tcp(b);
    }
    char *uri = migration_unix_uri(name);
    migration_incoming(b, uri);
    return uri;
}

/* The migration ends, and everything is there. Ends all of it. */
static void finish(QTest *a, QTest *b, Guest *g)
{
    set_bandwidth(a, 0);
    migration_expect(a, "completed");
    migration_expect(b, "completed");
    qtest_wait_status(b, "running");
    guest_leave(g);
    guest_check(g, b);
    guest_free(g);
    qtest_end(a);
    qtest_end(b);
}

/* Now slower, now faster; it may have ended when this returns. */
static void migrate_unevenly(QTest *a, const char *uri)
{
    set_bandwidth(a, 2000000);
    migration_outgoing(a, uri);
    for (unsigned i = 0; i < 4; i++) {
        set_bandwidth(a, 100000);
        g_usleep(10000);
        set_bandwidth(a, 2000000);
        g_usleep(20000);
    }
}

static void move(const Way *way)
{
    QTest *a = start(way->machine, ""), *b = start(way->machine, "-incoming defer");
    Guest *g = guest_in(a);
    configure(a, way);
    configure(b, way);
    g_autofree char *uri = listen_there(b, way, "m.sock");
    guest_run(g, a, RATE);
    migrate_unevenly(a, uri);
    finish(a, b, g);
}

static const Way ways[] = {
    { "plain", "10.0", "", "", false },
    { "no-zero-pages", "10.0", "", "'zero-page-detection': 'none'", false },
    { "multifd", "10.0", "multifd", "", false },
    { "multifd-7.2", "7.2", "multifd return-path", "'multifd-channels': 3", true },
    { "multifd-8.2-zlib", "8.2", "multifd",
      "'multifd-compression': 'zlib', 'multifd-zlib-level': 9", false },
    { "multifd-zlib-1", "9.0", "multifd return-path",
      "'multifd-compression': 'zlib', 'multifd-channels': 1", false },
    { "multifd-zstd", "10.0", "multifd", "'multifd-compression': 'zstd', 'multifd-channels': 4",
      true },
    { "multifd-zstd-7.2", "7.2", "multifd",
      "'multifd-compression': 'zstd', 'multifd-zstd-level': 3", false },
    { "multifd-legacy", "10.0", "multifd", "'zero-page-detection': 'legacy', 'multifd-channels': 4",
      false },
    { "multifd-none", "10.0", "multifd return-path", "'zero-page-detection': 'none'", true },
    { "multifd-zero-copy", "10.0", "multifd zero-copy-send", "'multifd-channels': 2", true },
    { "xbzrle", "10.0", "xbzrle", "", false },
    { "xbzrle-small", "7.2", "xbzrle return-path", "'xbzrle-cache-size': 65536", false },
    { "switchover-ack", "10.0", "return-path switchover-ack", "", false },
    { "multifd-many", "9.2", "multifd", "'multifd-channels': 16", false },
};

static void test_way(gconstpointer opaque)
{
    move(opaque);
}

/* ---- differences -------------------------------------------------------------------------------------------------------- */

/*
 * A source that cannot come to an end, however slow this host is: it waits for the destination's word that the guest may be
 * stopped (switchover-ack), which the relay holds back until the test lets it pass.
 */
typedef struct Held {
    QTest *a, *b;
    Guest *guest;
    Relay *relay;
} Held;

static Held held_start(const char *version, const char *capabilities, const char *parameters)
{
    g_autofree char *words = g_strconcat("return-path switchover-ack ", capabilities, NULL);
    const Way way = { "", version, words, parameters, false };
    g_autofree char *path = migration_path("held.sock"), *target = migration_unix_uri("target.sock");
    Held h = { start(version, ""), start(version, "-incoming defer"), NULL, NULL };
    h.guest = guest_in(h.a);
    configure(h.a, &way);
    configure(h.b, &way);
    migration_incoming(h.b, target);
    h.relay = relay_new(path, target, NULL);
    relay_hold(h.relay, true, true);
    return h;
}

static void held_end(Held *h)
{
    relay_free(h->relay);
    guest_free(h->guest);
    qtest_end(h->a);
    qtest_end(h->b);
}

/* Passes enough that the cache has pages, and small changes in them. */
static void test_xbzrle(void)
{
    Held h = held_start("10.0", "xbzrle", "'xbzrle-cache-size': 4194304");
    guest_run(h.guest, h.a, RATE);
    migration_outgoing(h.a, relay_uri(h.relay));
    migration_expect(h.a, "active");
    while (migration_number(h.a, "ram.dirty-sync-count") < 8 || migration_number(h.a, "xbzrle-cache.pages") == 0) {
        g_usleep(1000);
    }
    relay_hold(h.relay, true, false);
    migration_expect(h.a, "completed");
    migration_expect(h.b, "completed");
    guest_leave(h.guest);
    g_assert_cmpint(migration_number(h.a, "xbzrle-cache.cache-miss"), >, 0);
    g_assert_cmpint(migration_number(h.a, "xbzrle-cache.cache-size"), ==, 4194304);
    qtest_wait_status(h.b, "running");
    guest_check(h.guest, h.b);
    held_end(&h);
}

/* The connection ends while the source waits for the word: it fails at once, and the monitor answers meanwhile. */
static void test_ends_before_ack(void)
{
    Held h = held_start("10.0", "", "");
    guest_run(h.guest, h.a, RATE);
    migration_outgoing(h.a, relay_uri(h.relay));
    migration_expect(h.a, "active");
    while (migration_number(h.a, "ram.dirty-sync-count") < 3) {
        g_usleep(1000);
    }
    guest_stop(h.guest);
    relay_cut(h.relay);
    migration_expect(h.a, "failed");
    qtest_wait_status(h.a, "running");
    guest_check(h.guest, h.a);
    held_end(&h);
}

/* A guest that writes more than is sent is slowed down more and more, up to the limit, and is not any more at the end. */
static void test_auto_converge(void)
{
    Held h = held_start("10.0", "auto-converge",
                        "'cpu-throttle-initial': 30, 'cpu-throttle-increment': 25, 'max-cpu-throttle': 60");
    int64_t throttle = 0, last;
    set_bandwidth(h.a, 6000000);
    migration_outgoing(h.a, relay_uri(h.relay));
    migration_expect(h.a, "active");
    while (throttle < 60) {
        guest_write_random(h.guest, h.a, 0, 256);
        json_object *info = qtest_qmp_return(h.a, "{'execute': 'query-migrate'}"), *value;
        last = throttle;
        throttle = json_object_object_get_ex(info, "cpu-throttle-percentage", &value) ? json_object_get_int64(value) : 0;
        json_object_put(info);
        g_assert_cmpint(throttle, >=, last);
        g_assert_true(throttle == 0 || throttle == 30 || throttle == 55 || throttle == 60);
    }
    qtest_qmp_ok(h.a, "{'execute': 'migrate_cancel'}");
    migration_expect(h.a, "cancelled");
    json_object *info = qtest_qmp_return(h.a, "{'execute': 'query-migrate'}");
    g_assert_false(json_object_object_get_ex(info, "cpu-throttle-percentage", NULL));
    json_object_put(info);
    held_end(&h);
}

/* ---- mapped-ram ---------------------------------------------------------------------------------------------------------- */

static void move_by_file(const char *version, const char *capabilities, const char *parameters,
                         const char *suffix)
{
    const Way way = { "", version, capabilities, parameters, false };
    g_autofree char *path = migration_path("mapped"), *uri = g_strconcat("file:", path, suffix, NULL);
    QTest *a = start(version, ""), *b = start(version, "-incoming defer");
    Guest *g = guest_in(a);
    configure(a, &way);
    configure(b, &way);
    guest_run(g, a, RATE);
    migrate_unevenly(a, uri);
    set_bandwidth(a, 0);
    migration_expect(a, "completed");
    migration_incoming(b, uri);
    finish(a, b, g);
    unlink(path);
}

static void test_mapped(void)
{
    move_by_file("10.0", "mapped-ram", "", "");
    move_by_file("7.2", "mapped-ram multifd", "", ",offset=64k");
}

static void test_mapped_direct(void)
{
    g_autofree char *path = migration_path("direct");
    int fd = open(path, O_CREAT | O_WRONLY | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0) {
        g_test_skip("O_DIRECT is not possible in the test's folder");
        return;
    }
    close(fd);
    unlink(path);
    move_by_file("10.0", "mapped-ram", "'direct-io': true", "");
}

/*
 * A write of one thread takes its time, and the guest writes the page again: what it wrote first does not get into the file behind what it
 * wrote last (Y2). The library slow-io holds back what begins with LATE.
 */
static void test_mapped_late_write(void)
{
    const Way way = { "", "10.0", "mapped-ram multifd", "'multifd-channels': 2, 'max-bandwidth': 200000", false };
    const uint64_t page = 0x123000;
    g_autofree char *gate = migration_path("gate"), *held = g_strconcat(gate, ".held", NULL), *path = migration_path("file.late");
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    char data[GUEST_PAGE] = "LATE: what the guest wrote first", got[GUEST_PAGE];
    if (!g_getenv("QTEST_SLOW_IO")) {
        g_test_skip("QTEST_SLOW_IO does not name the library slow-io");
        return;
    }
    g_assert_true(g_file_set_contents(gate, "", 0, NULL));
    g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), true);
    g_setenv("SLOW_IO_GATE", gate, true);
    QTest *a = start("10.0", "");
    g_unsetenv("LD_PRELOAD");
    QTest *b = start("10.0", "-incoming defer");
    configure(a, &way);
    configure(b, &way);
    qtest_memset(a, 0x200000, 0x5a, 6 << 20); /* more than is sent before the guest has written again */
    qtest_memwrite(a, page, data, sizeof(data));
    migration_outgoing(a, uri);
    while (!g_file_test(held, G_FILE_TEST_EXISTS)) {
        g_usleep(1000);
    }
    strcpy(data, "what the guest wrote last");
    qtest_memwrite(a, page, data, sizeof(data));
    set_bandwidth(a, 0);
    g_usleep(500000); /* for who does not wait */
    unlink(gate);
    migration_expect(a, "completed");
    migration_incoming(b, uri);
    migration_expect(b, "completed");
    qtest_memread(b, page, got, sizeof(got));
    g_assert_cmpstr(got, ==, data);
    qtest_end(a);
    qtest_end(b);
    unlink(path);
}

/* That there was no room for the file is said when it is closed (the library slow-io does): the guest runs on here, whoever has opened the
 * file. */
static void test_close_fails(void)
{
    g_autofree char *path = migration_path("file.full"), *uri = g_strconcat("file:", path, NULL);
    if (!g_getenv("QTEST_SLOW_IO")) {
        g_test_skip("QTEST_SLOW_IO does not name the library slow-io");
        return;
    }
    g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), true);
    QTest *a = start("10.0", "");
    g_unsetenv("LD_PRELOAD");
    migration_outgoing(a, uri);
    migration_expect_failed(a, "No space left on device");
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    qtest_getfd(a, "channel", fd);
    close(fd);
    migration_outgoing(a, "fd:channel");
    migration_expect_failed(a, "No space left on device");
    migration_expect_state(a, "running");
    qtest_end(a);
    unlink(path);
}

/* A file whose header lies, in each of its numbers. */
static void test_mapped_rubbish(void)
{
    const Way way = { "", "10.0", "mapped-ram", "", false };
    g_autofree char *path = migration_path("lies"), *uri = g_strconcat("file:", path, NULL), *data = NULL;
    gsize len;
    QTest *a = start("10.0", ""), *b = start("10.0", "-incoming defer");
    configure(a, &way);
    configure(b, &way);
    migration_outgoing(a, uri);
    migration_expect(a, "completed");
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    char *header = memmem(data, 200, "pc.ram", 6);
    g_assert_nonnull(header);
    header += 6 + 8;
    static const unsigned fields[] = { 0, 4, 12, 13, 19, 20, 21, 26 };
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        header[fields[i]] ^= 0x40;
        g_assert_true(g_file_set_contents(path, data, 4 << 20, NULL));
        header[fields[i]] ^= 0x40;
        migration_incoming(b, uri);
        migration_expect(b, "failed");
    }
    unlink(path);
    qtest_end(a);
    qtest_end(b);
}

/* ---- faults ------------------------------------------------------------------------------------------------------------ */

/* All connections end after so many bytes: the source runs on with its memory, and can be moved then. */
static void cut_at(QTest *a, const Way *way, uint64_t bytes)
{
    g_autofree char *path = migration_path("c.sock"), *target = migration_unix_uri("d.sock");
    const RelayFault fault = { RELAY_CLOSE, RELAY_ANY, false, bytes };
    QTest *b = start(way->machine, "-incoming defer");
    configure(b, way);
    migration_incoming(b, target);
    Relay *relay = relay_new(path, target, &fault);
    migration_outgoing(a, relay_uri(relay));
    if (strcmp(migration_wait(a, "failed"), "completed") == 0) {
        g_error("completed, though the connection was cut after %" PRIu64 " bytes", bytes);
    }
    qtest_wait_status(a, "running");
    relay_free(relay);
    qtest_end(b);
}

static void cut(const Way *way, unsigned n, unsigned handshakes)
{
    QTest *a = start(way->machine, "");
    Guest *g = guest_in(a);
    configure(a, way);
    set_bandwidth(a, 30000000);
    for (unsigned i = 0; i < n; i++) {
        guest_run(g, a, RATE);
        /* Some in the handshakes, most in RAM; the stream of this machine is longer than that. */
        cut_at(a, way, g_test_rand_int_range(1, handshakes && i % handshakes == 0 ? 3000 : 400000));
        guest_stop(g);
        guest_check(g, a);
    }
    guest_free(g);
    qtest_end(a);
}

static void test_cut(gconstpointer opaque)
{
    cut(opaque, g_getenv("TERN_TEST_LONG") ? 100 : 6, 3);
}

/* ---- postcopy ---------------------------------------------------------------------------------------------------------- */

static void set_postcopy_bandwidth(QTest *q, unsigned bytes)
{
    migration_set_parameters(q, "'max-postcopy-bandwidth': %u", bytes);
}

/* The connection breaks; both wait, and go on over another one. The guest stands still meanwhile: an access of it would hold up
 * the destination's monitor. */
static void break_and_recover(Held *h, unsigned round)
{
    g_autofree char *name = g_strdup_printf("n%u.sock", round), *uri = migration_unix_uri(name);
    if (round == 0) {
        relay_cut(h->relay);
    } else {
        qtest_qmp_ok(round % 2 ? h->a : h->b, "{'execute': 'migrate-pause'}");
    }
    migration_expect(h->a, "postcopy-paused");
    migration_expect(h->b, "postcopy-paused");
    qtest_qmp_fails(h->a, "GenericError", "migrate-pause is currently only supported during postcopy-active",
                    "{'execute': 'migrate-pause'}");
    qtest_qmp_fails(h->a, "GenericError", "not finalized yet", "{'execute': 'cont'}");
    qtest_qmp_ok(h->b, "{'execute': 'migrate-recover', 'arguments': {'uri': '%s'}}", uri);
    qtest_qmp_ok(h->a, "{'execute': 'migrate', 'arguments': {'uri': '%s', 'resume': true}}", uri);
    migration_expect(h->a, "postcopy-active");
    migration_expect(h->b, "postcopy-active");
}

/* For so many pages the guest does something, at the destination, where most of them are not there yet. */
static void use_pages(Guest *g, QTest *b, unsigned n)
{
    uint64_t until = guest_writes(g) + n;
    guest_run(g, b, 0);
    while (guest_writes(g) < until) {
        g_usleep(1000);
    }
    guest_stop(g);
}

static void postcopy(const Way *way, unsigned breaks)
{
    Held h = held_start(way->machine, way->capabilities, way->parameters);
    set_bandwidth(h.a, 100000);
    set_postcopy_bandwidth(h.a, 200000);
    guest_run(h.guest, h.a, RATE);
    migration_outgoing(h.a, relay_uri(h.relay));
    migration_expect(h.a, "active");
    set_bandwidth(h.a, 500000);
    while (migration_number(h.a, "ram.transferred") < 120000) { /* a little of it */
        g_usleep(1000);
    }
    set_bandwidth(h.a, 100000);
    qtest_qmp_ok(h.a, "{'execute': 'migrate-start-postcopy'}");
    relay_hold(h.relay, true, false);
    migration_expect(h.a, "postcopy-active");
    qtest_wait_status(h.b, "running");
    guest_leave(h.guest);
    use_pages(h.guest, h.b, 20);
    for (unsigned i = 0; i < breaks; i++) {
        break_and_recover(&h, i);
        use_pages(h.guest, h.b, 20);
    }
    set_postcopy_bandwidth(h.a, 0);
    guest_run(h.guest, h.b, RATE);
    migration_expect(h.a, "completed");
    migration_expect(h.b, "completed");
    guest_stop(h.guest);
    qtest_wait_status(h.a, "postmigrate");
    guest_check(h.guest, h.b);
    held_end(&h);
}

static const Way postcopy_ways[] = {
    { "plain", "10.0", "postcopy-ram", "", false },
    { "7.2", "7.2", "postcopy-ram return-path", "", false },
    { "no-zero-pages", "10.0", "postcopy-ram", "'zero-page-detection': 'none'", false },
};

static void test_postcopy(gconstpointer opaque)
{
    postcopy(opaque, 0);
}

static void test_recover(gconstpointer opaque)
{
    postcopy(opaque, g_getenv("TERN_TEST_LONG") ? 20 : 3);
}

/*
 * Up to the package, of which the destination gets nothing yet: it is stopped, or what the source says is held back. The source
 * does not know more than that all of it has gone out.
 */
static Held hand_over_unheard(bool stopped)
{
    Held h = held_start("10.0", "postcopy-ram", "");
    relay_hold(h.relay, true, false);
    set_bandwidth(h.a, 100000);
    set_postcopy_bandwidth(h.a, 1000);
    guest_run(h.guest, h.a, RATE);
    migration_outgoing(h.a, relay_uri(h.relay));
    migration_expect(h.a, "active");
    while (relay_passed(h.relay, true) < 20) { /* it has answered two pings (8 bytes) and said switchover-ack (4) */
        g_usleep(1000);
    }
    set_bandwidth(h.a, 1000); /* what is not taken any more has to have room in the socket */
    if (stopped) {
        g_assert_cmpint(kill(qtest_pid(h.b), SIGSTOP), ==, 0);
    } else {
        relay_hold(h.relay, false, true);
    }
    qtest_qmp_ok(h.a, "{'execute': 'migrate-start-postcopy'}");
    migration_expect(h.a, "postcopy-active");
    return h;
}

/* The connection ends when the destination has the package, but before it can say so: it runs the guest, and recovers. */
static void test_ends_behind_package(void)
{
    g_autofree char *uri = migration_unix_uri("again.sock");
    Held h = hand_over_unheard(true);
    while (!relay_idle(h.relay)) { /* all that the source says has gone into the destination's socket */
        g_usleep(1000);
    }
    relay_cut(h.relay);
    g_assert_cmpint(kill(qtest_pid(h.b), SIGCONT), ==, 0);
    migration_expect(h.a, "postcopy-paused");
    migration_expect(h.b, "postcopy-paused");
    qtest_qmp_ok(h.b, "{'execute': 'migrate-recover', 'arguments': {'uri': '%s'}}", uri);
    qtest_qmp_ok(h.a, "{'execute': 'migrate', 'arguments': {'uri': '%s', 'resume': true}}", uri);
    set_postcopy_bandwidth(h.a, 0);
    migration_expect(h.a, "completed");
    migration_expect(h.b, "completed");
    guest_leave(h.guest);
    qtest_wait_status(h.b, "running");
    guest_check(h.guest, h.b);
    held_end(&h);
}

/* The connection ends before the destination has the package: it fails, and the manager, who sees that, takes the guest back. */
static void test_ends_in_package(void)
{
    Held h = hand_over_unheard(false);
    relay_cut(h.relay);
    migration_expect(h.a, "postcopy-paused");
    migration_expect(h.b, "failed");
    qtest_qmp_ok(h.a, "{'execute': 'migrate_cancel'}");
    migration_expect(h.a, "cancelled");
    qtest_wait_status(h.a, "running");
    guest_stop(h.guest);
    guest_check(h.guest, h.a);
    held_end(&h);
}

/* The destination has not the devices that are in the package, and says so: the guest runs on at the source, and moves in the next try. */
static void test_package_is_refused(void)
{
    const Way *way = &postcopy_ways[0];
    g_autofree char *uri = migration_unix_uri("refused.sock");
    QTest *a = start(way->machine, "-device piix3-usb-uhci,addr=5"), *b = start(way->machine, "-incoming defer");
    Guest *g = guest_in(a);
    configure(a, way);
    configure(b, way);
    migration_incoming(b, uri);
    set_bandwidth(a, 100000);
    guest_run(g, a, RATE);
    migration_outgoing(a, uri);
    migration_expect(a, "active");
    qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
    migration_expect_failed(a, "the destination could not load the stream");
    migration_expect_failed(b, "Unknown savevm section or instance");
    migration_expect_state(b, "inmigrate");
    qtest_wait_status(a, "running");
    qtest_end(b);
    b = start(way->machine, "-device piix3-usb-uhci,addr=5 -incoming defer");
    configure(b, way);
    migration_incoming(b, uri);
    migration_outgoing(a, uri);
    finish(a, b, g);
}

/* Before the package is there whole the guest is the source's, as in precopy: the connection ends at any byte. */
static void test_postcopy_cut(void)
{
    cut(&postcopy_ways[0], g_getenv("TERN_TEST_LONG") ? 60 : 4, 0);
}

/* migrate_cancel at the moment in which the guest is handed over: one of the two has it, and all of it. Where the connection's end
 * leaves it open which (W5) the manager looks at the destination. Returns who has it; ends the other one. */
static QTest *cancel_at_handover(QTest *a, unsigned n)
{
    const Way *way = &postcopy_ways[0];
    g_autofree char *name = g_strdup_printf("c%u.sock", n), *again = g_strdup_printf("d%u.sock", n);
    g_autofree char *uri = migration_unix_uri(name), *uri_again = migration_unix_uri(again);
    QTest *b = start(way->machine, "-incoming defer");
    Guest *g = guest_in(a);
    configure(a, way);
    configure(b, way);
    set_bandwidth(a, 100000);
    set_postcopy_bandwidth(a, 100000);
    migration_incoming(b, uri);
    guest_run(g, a, RATE);
    migration_outgoing(a, uri);
    migration_expect(a, "active");
    qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
    g_usleep(g_test_rand_int_range(0, 4000));
    qtest_qmp_ok(a, "{'execute': 'migrate_cancel'}");
    set_postcopy_bandwidth(a, 0);
    const char *status = migration_wait(a, "postcopy-paused");
    bool paused = strcmp(status, "postcopy-paused") == 0;
    if (paused && strcmp(migration_wait(b, "postcopy-paused"), "failed") == 0) {
        qtest_qmp_ok(a, "{'execute': 'migrate_cancel'}");
        migration_expect(a, "cancelled");
        status = "cancelled";
    } else if (paused) {
        qtest_qmp_ok(b, "{'execute': 'migrate-recover', 'arguments': {'uri': '%s'}}", uri_again);
        qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': '%s', 'resume': true}}", uri_again);
        migration_expect(a, "completed");
        status = "completed";
    }
    g_test_message("%u: %s", n, paused ? "recovered or taken back" : status);
    bool here = strcmp(status, "cancelled") == 0;
    QTest *owner = here ? a : b;
    qtest_wait_status(owner, "running");
    if (here) {
        guest_stop(g);
    } else {
        guest_leave(g);
    }
    guest_check(g, owner);
    guest_free(g);
    qtest_end(here ? b : a);
    return owner;
}

static void test_cancel_at_handover(void)
{
    QTest *q = start("10.0", "");
    for (unsigned i = 0; i < (g_getenv("TERN_TEST_LONG") ? 300 : 20); i++) {
        q = cancel_at_handover(q, i);
    }
    qtest_end(q);
}

/* Nothing is stopped before the destination has said that it may be, for postcopy neither. */
static void test_postcopy_waits_for_ack(void)
{
    /* without a list of lost pages there is nothing else that the source asks and waits for */
    Held h = held_start("10.0,x-migrate-poison=off", "postcopy-ram", "");
    set_bandwidth(h.a, 100000);
    guest_run(h.guest, h.a, RATE);
    migration_outgoing(h.a, relay_uri(h.relay));
    migration_expect(h.a, "active");
    qtest_qmp_ok(h.a, "{'execute': 'migrate-start-postcopy'}");
    g_usleep(200000);
    g_assert_cmpstr(migration_status(h.a), ==, "active");
    relay_hold(h.relay, true, false);
    guest_leave(h.guest);
    set_bandwidth(h.a, 0);
    migration_expect(h.a, "completed");
    migration_expect(h.b, "completed");
    qtest_wait_status(h.b, "running");
    guest_check(h.guest, h.b);
    held_end(&h);
}

/* Program ends while the other side is gone: neither hangs. */
static void test_postcopy_quit(void)
{
    g_autofree char *uri = migration_unix_uri("q.sock");
    const Way *way = &postcopy_ways[0];
    for (unsigned i = 0; i < 2; i++) {
        QTest *a = start(way->machine, ""), *b = start(way->machine, "-incoming defer");
        Guest *g = guest_in(a);
        configure(a, way);
        configure(b, way);
        migration_incoming(b, uri);
        set_bandwidth(a, 1000);
        set_postcopy_bandwidth(a, 1000);
        migration_outgoing(a, uri);
        migration_expect(a, "active");
        qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
        migration_expect(a, "postcopy-active");
        qtest_wait_status(b, "running");
        qtest_end(i ? a : b);
        migration_expect(i ? b : a, "postcopy-paused");
        qtest_end(i ? b : a);
        guest_free(g);
    }
}

/* ---- what does not go together -------------------------------------------------------------------------------------------- */

static void test_refused(void)
{
    QTest *q = start("10.0", "");
    qtest_qmp_fails(q, "GenericError",
                    "Zero copy only available for non-compressed non-TLS multifd migration",
                    "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                    "[{'capability': 'zero-copy-send', 'state': true}]}}");
    qtest_qmp_ok(q, "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                    "[{'capability': 'multifd', 'state': true}]}}");
    qtest_qmp_fails(
        q, "GenericError",
        "The capability multifd needs an address that can be connected to several times",
        "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
    qtest_qmp_fails(q, "GenericError",
                    "Parameter 'multifd_channels' expects a value between 1 and 255",
                    "{'execute': 'migrate-set-parameters', 'arguments': {'multifd-channels': 0}}");
    qtest_qmp_fails(q, "GenericError", "Postcopy is not yet compatible with multifd",
                    "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                    "[{'capability': 'postcopy-ram', 'state': true}]}}");
    qtest_qmp_fails(q, "GenericError", "Enable postcopy with migrate_set_capability before",
                    "{'execute': 'migrate-start-postcopy'}");
    qtest_qmp_fails(q, "GenericError", "Migrate recover can only be run when postcopy is paused",
                    "{'execute': 'migrate-recover', 'arguments': {'uri': 'unix:x'}}");
    qtest_qmp_fails(q, "GenericError", "Cannot resume if there is no paused migration",
                    "{'execute': 'migrate', 'arguments': {'uri': 'unix:x', 'resume': true}}");
    qtest_qmp_fails(q, "GenericError", "tls-creds",
                    "{'execute': 'migrate-set-parameters', 'arguments': {'tls-creds': 'x'}}");
    qtest_end(q);
}

/* A destination with other settings says which, and the source runs on: it hears so, however much of the stream fits into the socket. */
static void mismatch(const char *here, const char *there, const char *parameters, const char *text)
{
    g_autofree char *uri = migration_unix_uri("x.sock"), *capabilities = g_strconcat(here, " return-path", NULL);
    const Way source = { "", "10.0", capabilities, "", false },
              target = { "", "10.0", there, parameters, false };
    QTest *a = start("10.0", ""), *b = start("10.0", "-incoming defer");
    configure(a, &source);
    configure(b, &target);
    migration_incoming(b, uri);
    migration_outgoing(a, uri);
    migration_expect_failed(b, text);
    qtest_wait_status(a, "running");
    qtest_end(a);
    qtest_end(b);
}

static void test_mismatch(void)
{
    mismatch("multifd", "multifd", "'multifd-compression': 'zlib'",
             "pages with compression 0x0, but 0x2 is set here");
    mismatch("multifd", "multifd", "'multifd-channels': 1",
             "multifd: channel number 1, but multifd-channels is 1 here");
    mismatch("multifd", "", "", "the source uses multifd, which is off here");
    mismatch("postcopy-ram", "", "",
             "the source may go on by postcopy, but the capability postcopy-ram is off here");
}

/* ---- multifd channels that say rubbish --------------------------------------------------------------------------------------- */

static void say(const char *path, const void *data, size_t len)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(send(fd, data, len, MSG_NOSIGNAL), ==, len);
    g_usleep(20000);
    close(fd);
}

static void test_rubbish_hello(void)
{
    uint8_t hello[64] = { 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1 };
    g_autofree char *path = migration_path("r.sock"), *uri = g_strconcat("unix:", path, NULL);
    const Way way = { "", "10.0", "multifd", "", false };
    QTest *b = start("10.0", "-incoming defer");
    configure(b, &way);
    migration_incoming(b, uri);
    say(path, hello, 3); /* says nothing and goes: is forgotten */
    hello[24] = 7;
    say(path, hello, sizeof(hello));
    migration_expect(b, "failed");
    hello[24] = 0;
    hello[7] = 2;
    migration_incoming(b, uri);
    say(path, hello, sizeof(hello));
    migration_expect(b, "failed");
    /* After all that it still takes a real one. */
    QTest *a = start("10.0", "");
    Guest *g = guest_in(a);
    configure(a, &way);
    migration_incoming(b, uri);
    migration_outgoing(a, uri);
    finish(a, b, g);
}

/* A connection of multifd is lost before it has said anything, and the source has nothing to say there: both come to an end, and
 * the guest runs on. */
static void lost_before_hello(unsigned channel, const char *capabilities)
{
    const Way way = { "", "10.0", capabilities, "'multifd-channels': 3, 'x-switchover-timeout': 1000", false };
    const RelayFault fault = { RELAY_CLOSE_ONE, channel, false, 0 };
    g_autofree char *path = migration_path("lost.sock"), *target = migration_unix_uri("target.sock");
    QTest *a = start("10.0", ""), *b = start("10.0", "-incoming defer");
    Guest *g = guest_in(a);
    configure(a, &way);
    configure(b, &way);
    migration_incoming(b, target);
    Relay *relay = relay_new(path, target, &fault);
    guest_run(g, a, RATE);
    migration_outgoing(a, relay_uri(relay));
    migration_expect(a, "failed");
    qtest_wait_status(a, "running");
    guest_stop(g);
    guest_check(g, a);
    /* The source ends its other connections then, and may not have said anything on some of them. */
    migration_expect_failed(b, channel ? "multifd: " : "multifd: a connection ended before it said what it is, and the main channel has not come");
    relay_free(relay);
    guest_free(g);
    qtest_end(a);
    qtest_end(b);
}

static void test_lost_before_hello(void)
{
    lost_before_hello(2, "multifd");
    lost_before_hello(3, "multifd return-path");
    lost_before_hello(0, "multifd");
}

/* One of the source's connections says nothing more, and the destination, which waits for it, is told to quit: it does. */
static void test_quit_while_channel_stalls(void)
{
    const Way way = { "", "10.0", "multifd", "", false };
    const RelayFault fault = { RELAY_STALL, 1, false, 64 }; /* behind its hello */
    g_autofree char *path = migration_path("stall.sock"), *target = migration_unix_uri("target.sock");
    QTest *a = start("10.0", ""), *b = start("10.0", "-incoming defer");
    configure(a, &way);
    configure(b, &way);
    migration_incoming(b, target);
    Relay *relay = relay_new(path, target, &fault);
    migration_outgoing(a, relay_uri(relay));
    migration_expect(b, "active");
    while (!relay_faulted(relay)) {
        g_usleep(1000);
    }
    qtest_end(b);
    qtest_end(a);
    relay_free(relay);
}

/* One of the two programs is told to quit at any moment: it ends soon, and so does the other one after it. */
static void test_quit_at_any_moment(gconstpointer opaque)
{
    const Way *way = opaque;
    bool postcopy = strstr(way->capabilities, "postcopy") != NULL;
    for (unsigned i = 0; i < (g_getenv("TERN_TEST_LONG") ? 100 : 6); i++) {
        g_autofree char *name = g_strdup_printf("quit%u.sock", i), *uri = migration_unix_uri(name);
        QTest *a = start(way->machine, ""), *b = start(way->machine, "-incoming defer");
        Guest *g = guest_in(a);
        configure(a, way);
        configure(b, way);
        set_bandwidth(a, 1000000);
        set_postcopy_bandwidth(a, 1000000);
        migration_incoming(b, uri);
        migration_outgoing(a, uri);
        g_usleep(g_test_rand_int_range(0, 20000));
        if (postcopy && g_test_rand_bit() && strcmp(migration_status(a), "active") == 0) {
            qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
            g_usleep(g_test_rand_int_range(0, 20000));
        }
        bool source_first = g_test_rand_bit();
        qtest_end(source_first ? a : b);
        g_usleep(g_test_rand_int_range(0, 2000));
        qtest_end(source_first ? b : a);
        guest_free(g);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_allow_preload();
    for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *name = g_strconcat("/migration-ram/move/", ways[i].name, NULL);
        g_test_add_data_func(name, &ways[i], test_way);
    }
    g_test_add_data_func("/migration-ram/cut/plain", &ways[0], test_cut);
    g_test_add_data_func("/migration-ram/cut/multifd", &ways[2], test_cut);
    g_test_add_data_func("/migration-ram/cut/multifd-7.2-zstd", &ways[7], test_cut);
    for (unsigned i = 0; i < G_N_ELEMENTS(postcopy_ways); i++) {
        g_autofree char *name =
            g_strconcat("/migration-ram/postcopy/", postcopy_ways[i].name, NULL);
        g_test_add_data_func(name, &postcopy_ways[i], test_postcopy);
    }
    g_test_add_data_func("/migration-ram/postcopy/recover", &postcopy_ways[0], test_recover);
    g_test_add_func("/migration-ram/postcopy/cut", test_postcopy_cut);
    g_test_add_func("/migration-ram/postcopy/package-is-refused", test_package_is_refused);
    g_test_add_func("/migration-ram/postcopy/connection-ends-behind-package", test_ends_behind_package);
    g_test_add_func("/migration-ram/postcopy/connection-ends-in-package", test_ends_in_package);
    g_test_add_func("/migration-ram/postcopy/waits-for-switchover-ack", test_postcopy_waits_for_ack);
    g_test_add_func("/migration-ram/postcopy/cancel-at-handover", test_cancel_at_handover);
    g_test_add_func("/migration-ram/postcopy/quit", test_postcopy_quit);
    g_test_add_func("/migration-ram/mapped/file", test_mapped);
    g_test_add_func("/migration-ram/mapped/direct-io", test_mapped_direct);
    g_test_add_func("/migration-ram/mapped/late-write", test_mapped_late_write);
    g_test_add_func("/migration-ram/mapped/rubbish", test_mapped_rubbish);
    g_test_add_func("/migration-ram/file-without-room", test_close_fails);
    g_test_add_func("/migration-ram/xbzrle", test_xbzrle);
    g_test_add_func("/migration-ram/connection-ends-before-switchover-ack", test_ends_before_ack);
    g_test_add_func("/migration-ram/auto-converge", test_auto_converge);
    g_test_add_func("/migration-ram/refused", test_refused);
    g_test_add_func("/migration-ram/mismatch", test_mismatch);
    g_test_add_func("/migration-ram/rubbish-hello", test_rubbish_hello);
    g_test_add_func("/migration-ram/connection-lost-before-hello", test_lost_before_hello);
    g_test_add_func("/migration-ram/quit-while-channel-stalls", test_quit_while_channel_stalls);
    g_test_add_data_func("/migration-ram/quit-at-any-moment/plain", &ways[0], test_quit_at_any_moment);
    g_test_add_data_func("/migration-ram/quit-at-any-moment/multifd", &ways[6], test_quit_at_any_moment);
    g_test_add_data_func("/migration-ram/quit-at-any-moment/postcopy", &postcopy_ways[0], test_quit_at_any_moment);
    return g_test_run();
}
