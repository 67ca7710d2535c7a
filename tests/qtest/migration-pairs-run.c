/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One migration of migration-pairs-test, from its start to the comparison of every page. */
#include "util/osdep.h"
#include "migration-pairs.h"

#include <glib/gstdio.h>
#include <sys/socket.h>

#define CALM_RATE 2000
#define SLOW_BYTES 8000000
#define HUGE_PAGE UINT64_C(0x200000)
#define LOW 0xa0000 /* the firmware's data; nobody writes it here */

static bool is(const Run *r, FactorId f, unsigned value)
{
    return r->row.value[f] == value;
}

static unsigned below(Run *r, unsigned n)
{
    return g_rand_int_range(r->random, 0, n);
}

/* ---- machines ----------------------------------------------------------------------------------------------------------- */

static const char *const versions[] = { "7.2", "8.2", "9.0", "9.2", "10.0" };
static const unsigned sizes[] = { 8, 12, 20 };

unsigned pairs_mib(const Run *r)
{
    return sizes[r->row.value[SIZE]];
}

/* Of the file that is the memory of machine n, or of both. */
static char *ram_path(const Run *r, unsigned n)
{
    g_autofree char *name = g_strdup_printf("ram%u", is(r, RAM, SAME_FILE) ? 0 : n);
    return migration_path(name);
}

static char *backend(const Run *r, unsigned n)
{
    unsigned mib = pairs_mib(r);
    g_autofree char *path = ram_path(r, n);
    switch (r->row.value[RAM]) {
    case ANON:
        return g_strdup("");
    case MEMFD:
        return g_strdup_printf(",memory-backend=m -object memory-backend-memfd,id=m,share=on,size=%uM", mib);
    case HUGE_PAGES:
        return g_strdup_printf(",memory-backend=m -object memory-backend-memfd,id=m,hugetlb=on,hugetlbsize=2M,size=%uM", mib);
    default:
        return g_strdup_printf(",memory-backend=m -object memory-backend-file,id=m,share=on,mem-path=%s,size=%uM", path, mib);
    }
}

static char *capabilities(const Run *r)
{
    static const struct {
        FactorId factor;
        unsigned value;
        const char *name;
    } table[] = {
        { ZERO_COPY, ON, "zero-copy-send" },    { XBZRLE, ON, "xbzrle" },   { POSTCOPY, ON, "postcopy-ram" },
        { RELEASE, ON, "release-ram" },         { BLOCKTIME, ON, "postcopy-blocktime" },
        { RETURN_PATH, ON, "return-path" },     { ACK, ON, "switchover-ack" }, { PAUSE, ON, "pause-before-switchover" },
        { CONVERGE, ON, "auto-converge" },      { SHARED, ON, "x-ignore-shared" }, { VALIDATE, ON, "validate-uuid" },
        { TRANSPORT, MAPPED, "mapped-ram" },
    };
    GString *words = g_string_new(is(r, CHANNELS, OFF) ? "" : "multifd ");
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (is(r, table[i].factor, table[i].value)) {
            g_string_append_printf(words, "%s ", table[i].name);
        }
    }
    return g_strchomp(g_string_free(words, FALSE));
}

/* What an answer says is wrong; NULL: nothing. Takes it. */
static char *error_of(json_object *answer)
{
    json_object *error;
    char *text = NULL;
    if (json_object_object_get_ex(answer, "error", &error)) {
        text = g_strdup(qtest_json_string(error, "desc"));
    }
    json_object_put(answer);
    return text;
}

/* Parameters, then capabilities, until one is refused: why (g_free()). */
static char *try_configure(const Run *r, QTest *q)
{
    static const char *const zero_pages[] = { "", ", 'zero-page-detection': 'none'", ", 'zero-page-detection': 'legacy'",
                                              ", 'zero-page-detection': 'multifd'" };
    static const char *const compressions[] = { "none", "zlib", "zstd" };
    static const unsigned channels[] = { 2, 1, 2, 4 };
    g_autofree char *names = capabilities(r);
    g_auto(GStrv) words = g_strsplit(names, " ", 0);
    char *why = error_of(qtest_qmp(q, "{'execute': 'migrate-set-parameters', 'arguments': {'multifd-channels': %u, "
                                   "'multifd-compression': '%s', 'direct-io': %s, 'x-switchover-timeout': 1000%s}}",
                                   channels[r->row.value[CHANNELS]], compressions[r->row.value[COMPRESSION]],
                                   is(r, DIRECT, ON) ? "true" : "false", zero_pages[r->row.value[ZERO_PAGES]]));
    for (unsigned i = 0; !why && words[i] && words[i][0]; i++) {
        why = error_of(qtest_qmp(q, "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                                 "[{'capability': '%s', 'state': true}]}}", words[i]));
    }
    return why;
}

static QTest *start_machine(Run *r, const char *more)
{
    g_autofree char *ram = backend(r, r->machines++);
    return migration_start(GUEST_ACCEL " -m %u -M pc-i440fx-%s%s%s %s", pairs_mib(r), versions[r->row.value[VERSION]], ram,
                           is(r, VALIDATE, ON) ? " -uuid 8a8e7e4e-0000-4000-8000-123456789abc" : "", more);
}

static QTest *start(Run *r, const char *more)
{
    QTest *q = start_machine(r, more);
    g_autofree char *why = try_configure(r, q);
    if (why) {
        g_error("refused: %s", why);
    }
    return q;
}

static void remove_files(const Run *r)
{
    g_autofree char *stream = migration_path("stream");
    g_unlink(stream);
    for (unsigned i = 0; i < r->machines; i++) {
        g_autofree char *path = ram_path(r, i);
        g_unlink(path);
    }
}

/* ---- lost pages --------------------------------------------------------------------------------------------------------- */

static void poison(QTest *q, uint64_t address, const char *notice)
{
    qtest_qmp_ok(q, "{'execute': 'x-poison-page', 'arguments': {'address': %" PRIu64 ", 'notice': '%s'}}", address, notice);
}

/* The host loses some page of the source, huge ones as a whole; the guest leaves it alone from now on. */
static void lose_page(Run *r, const char *notice)
{
    uint64_t first = guest_address(0), end = guest_address(guest_pages(r->guest)), unit = GUEST_PAGE, page;
    if (is(r, RAM, HUGE_PAGES)) {
        unit = HUGE_PAGE;
        first = HUGE_PAGE; /* the one before has what is not the guest's */
    }
    page = first + below(r, (end - first) / unit) * unit;
    for (uint64_t at = page; at < page + unit; at += GUEST_PAGE) {
        guest_lost(r->guest, (at - guest_address(0)) / GUEST_PAGE);
    }
    g_array_append_val(r->lost, page);
    poison(r->a, page, notice);
}

/* The guest knows of all of them: it can go on to the next machine. */
static void tell_guest(Run *r)
{
    for (unsigned i = 0; i < r->lost->len; i++) {
        poison(r->a, g_array_index(r->lost, uint64_t, i), "reported");
    }
}

void run_begin(Run *r, const PairwiseRow *row, uint32_t seed)
{
    *r = (Run){ .row = *row, .seed = seed, .random = g_rand_new_with_seed(seed) };
    r->a = start(r, "");
    r->guest = guest_new(r->a, pairs_mib(r), seed);
    r->lost = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    if (is(r, LOST_PAGES, LOST_BEFORE)) {
        lose_page(r, "reported");
        lose_page(r, "reported");
    }
    if (is(r, GUEST, PAUSED)) {
        qtest_qmp_ok(r->a, "{'execute': 'stop'}");
    }
}

void run_guest(Run *r)
{
    if (!is(r, GUEST, PAUSED)) {
        guest_run(r->guest, r->a, is(r, GUEST, BUSY) ? 0 : CALM_RATE);
    }
}

void run_end(Run *r)
{
    relay_free(r->relay);
    guest_free(r->guest);
    g_array_free(r->lost, TRUE);
    g_clear_pointer(&r->a, qtest_end);
    g_clear_pointer(&r->b, qtest_end);
    remove_files(r);
    g_rand_free(r->random);
    g_free(r->there);
}

void run_swap(Run *r)
{
    g_clear_pointer(&r->relay, relay_free);
    qtest_end(r->a);
    r->a = g_steal_pointer(&r->b);
}

/* ---- ways --------------------------------------------------------------------------------------------------------------- */

bool run_by_file(const Run *r)
{
    return is(r, TRANSPORT, EXEC) || is(r, TRANSPORT, FILE_) || is(r, TRANSPORT, MAPPED);
}

static void socket_pair(int fd[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
}

static void pass_socket(QTest *q, int fd)
{
    qtest_getfd(q, "channel", fd);
    close(fd);
}

void run_start_destination(Run *r)
{
    r->b = start(r, "-incoming defer");
    g_clear_pointer(&r->there, g_free);
    if (is(r, TRANSPORT, UNIX)) {
        g_autofree char *name = g_strdup_printf("t%u", r->machines);
        r->there = migration_unix_uri(name);
        migration_incoming(r->b, r->there);
    } else if (is(r, TRANSPORT, TCP)) {
        r->there = migration_incoming_tcp(r->b);
    }
}

static void set_bandwidth(Run *r, unsigned bytes)
{
    migration_set_parameters(r->a, "'max-bandwidth': %u, 'downtime-limit': %u, 'max-postcopy-bandwidth': %u", bytes,
                             bytes ? 1 : 2000, bytes);
}

static void outgoing_fd(Run *r, const RelayFault *fault)
{
    int near[2], far[2];
    socket_pair(near);
    if (fault) {
        socket_pair(far);
        r->relay = relay_new_pairs(fault);
        relay_add(r->relay, near[1], far[0]);
        pass_socket(r->b, far[1]);
    } else {
        pass_socket(r->b, near[1]);
    }
    pass_socket(r->a, near[0]);
    migration_incoming(r->b, "fd:channel");
    migration_outgoing(r->a, "fd:channel");
}

/* Where the source goes when it needs no destination: "exec:..." or "file:...". */
static char *stream_uri(const Run *r)
{
    g_autofree char *stream = migration_path("stream");
    if (is(r, TRANSPORT, EXEC)) {
        return r->most ? g_strdup_printf("exec:head -c %" PRIu64 " >%s", r->most, stream) : g_strdup_printf("exec:cat >%s", stream);
    }
    return g_strdup_printf("file:%s", stream);
}

char *run_refusal(const PairwiseRow *row)
{
    Run run = { .row = *row };
    QTest *q = start_machine(&run, "");
    char *why = try_configure(&run, q);
    if (!why) {
        g_autofree char *uri = run_by_file(&run) ? stream_uri(&run) : migration_unix_uri("nobody");
        if (is(&run, TRANSPORT, FD)) {
            int fd[2];
            socket_pair(fd);
            pass_socket(q, fd[0]);
            close(fd[1]);
        }
        why = error_of(qtest_qmp(q, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}",
                                 is(&run, TRANSPORT, FD) ? "fd:channel" : uri));
    }
    qtest_end(q);
    remove_files(&run);
    return why;
}

void run_outgoing(Run *r, const RelayFault *fault)
{
    g_autofree char *name = g_strdup_printf("r%u", r->machines);
    tell_guest(r);
    set_bandwidth(r, is(r, BANDWIDTH, FREE) ? 0 : SLOW_BYTES);
    if (is(r, TRANSPORT, FD)) {
        outgoing_fd(r, fault);
        return;
    }
    if (run_by_file(r)) {
        g_free(r->there);
        r->there = stream_uri(r);
    } else if (fault) {
        g_autofree char *path = migration_path(name);
        r->relay = relay_new(is(r, TRANSPORT, TCP) ? NULL : path, r->there, fault);
    }
    migration_outgoing(r->a, r->relay ? relay_uri(r->relay) : r->there);
}

/* ---- on the way --------------------------------------------------------------------------------------------------------- */

void run_disturb(Run *r)
{
    unsigned left = below(r, 60) * 1000;
    while (left > 0) {
        unsigned now = MIN(left, 10000);
        g_usleep(now);
        left -= now;
        if (is(r, BANDWIDTH, UNEVEN)) {
            set_bandwidth(r, 1 + below(r, 4 * SLOW_BYTES));
        }
    }
    if (is(r, LOST_PAGES, LOST_MEANWHILE)) {
        lose_page(r, "none");
    }
    if (is(r, POSTCOPY, ON) && below(r, 8)) {
        json_object_put(qtest_qmp(r->a, "{'execute': 'migrate-start-postcopy'}"));
    }
    set_bandwidth(r, 0);
}

void run_to_postcopy(Run *r)
{
    set_bandwidth(r, SLOW_BYTES);
    if (is(r, LOST_PAGES, LOST_MEANWHILE)) {
        lose_page(r, "none");
    }
    json_object_put(qtest_qmp(r->a, "{'execute': 'migrate-start-postcopy'}"));
}

void run_hurry(Run *r)
{
    set_bandwidth(r, 0);
}

/* Whether a migration does not go on by itself any more. */
static bool over(const char *status)
{
    static const char *const ends[] = { "completed", "failed", "cancelled", "postcopy-paused", NULL };
    return g_strv_contains(ends, status);
}

static bool runs(QTest *q)
{
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-status'}");
    bool is_running = strcmp(qtest_json_string(info, "status"), "running") == 0;
    json_object_put(info);
    return is_running;
}

const char *run_poll(Run *r)
{
    const char *status = migration_status(r->a);
    if (over(status)) {
        return status;
    }
    if (strcmp(status, "pre-switchover") == 0) {
        json_object_put(qtest_qmp(r->a, "{'execute': 'migrate-continue', 'arguments': {'state': 'pre-switchover'}}"));
    }
    if (strcmp(status, "postcopy-active") == 0 && !r->guest_is_there && !is(r, GUEST, PAUSED) && runs(r->b)) {
        /* It waits there for what it touches. */
        guest_leave(r->guest);
        guest_run(r->guest, r->b, CALM_RATE);
        r->guest_is_there = true;
    }
    g_usleep(500);
    return NULL;
}

void run_take_back(Run *r)
{
    qtest_qmp_ok(r->a, "{'execute': 'cont'}");
    if (is(r, GUEST, PAUSED)) {
        qtest_qmp_ok(r->a, "{'execute': 'stop'}");
    }
}

/* A try that is given up at any moment, before the one that counts. */
static void cancelled_before(Run *r)
{
    run_start_destination(r);
    run_outgoing(r, NULL);
    g_usleep(below(r, 40) * 1000);
    qtest_qmp_ok(r->a, "{'execute': 'migrate_cancel'}");
    const char *status = migration_wait(r->a, "cancelled");
    g_clear_pointer(&r->b, qtest_end);
    if (strcmp(status, "completed") == 0) {
        run_take_back(r); /* it was too late, and nobody has it */
    } else if (strcmp(status, "cancelled") != 0) {
        g_error("the migration is %s, not cancelled", status);
    }
    if (!is(r, GUEST, PAUSED)) {
        qtest_wait_status(r->a, "running");
    }
}

void run_load(Run *r)
{
    if (run_by_file(r)) {
        g_autofree char *stream = migration_path("stream"), *cat = g_strconcat("exec:cat ", stream, NULL);
        migration_incoming(r->b, is(r, TRANSPORT, EXEC) ? cat : r->there);
    }
}

void run_arrive(Run *r)
{
    g_autofree uint8_t *low = g_malloc(LOW);
    migration_expect(r->b, "completed");
    if (r->guest_is_there) {
        guest_stop(r->guest);
        r->guest_is_there = false;
    } else {
        guest_leave(r->guest);
    }
    qtest_wait_status(r->b, is(r, GUEST, PAUSED) ? "paused" : "running");
    guest_check(r->guest, r->b);
    qtest_memread(r->b, 0, low, LOW);
    for (unsigned i = 0; i < LOW; i++) {
        if (low[i]) {
            g_error("address 0x%x has 0x%02x, where nobody has written", i, low[i]);
        }
    }
}

void run_migrate(Run *r)
{
    run_guest(r);
    if (is(r, BEFORE, CANCELLED)) {
        cancelled_before(r);
    }
    run_start_destination(r);
    run_outgoing(r, NULL);
    run_disturb(r);
    while (!run_poll(r)) {
    }
    migration_expect(r->a, "completed");
    run_load(r);
    run_arrive(r);
}
