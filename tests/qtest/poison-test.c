/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that the host has lost (P5): x-poison-page makes them really unreadable, so that whoever reads one dies or
 * fails. Every way out of a machine (poison-rig.c) is tried with every way in which such a page becomes known, on small, huge and
 * giant pages. What happens to notices and events is poison-events-test's.
 */
#include "util/osdep.h"
#include "poison-rig.h"

#include <glib.h>
#include <stdio.h>

/* ---- the table: action optional or required, reported or not ---- */

typedef struct Notice {
    const char *name;
    const char *notice;
    bool refused;  /* as long as the guest does not know: then nothing is sent */
    bool required; /* what the list says */
} Notice;

static const Notice notices[] = {
    { "optional", "action-optional", true, false },
    { "required", "action-required", true, true },
    { "unnoticed", "none", false, false }, /* the migration meets it */
};

/* Unreported: refused. Reported: it arrives as an error, with all that is known of it. */
static void try_one(const PoisonBackend *backend, const PoisonPath *path, const Notice *notice)
{
    uint64_t lost = backend->shift + LOST;
    QTest *a = poison_start(backend->args), *b;

    poison_fill(a, backend);
    poison(a, lost, notice->notice);
    if (notice->refused) {
        poison_refused(a, path);
        poison(a, lost, "reported"); /* now it has been told */
    }
    b = poison_start_incoming(backend->args);
    poison_set_path(a, path);
    poison_set_path(b, path);
    poison_send(a, b, path);
    qtest_end(a);
    poison_check(b, backend, backend->page_size, 0xff);
    poison_check_entry(b, backend, backend->page_size, notice->refused, notice->required, "migration");
    if (!notice->refused) {
        poison_refused(b, path); /* nobody could tell the guest there */
    } else if (path == poison_paths) { /* and on */
        QTest *c = poison_start_incoming(backend->args);

        poison_send(b, c, path);
        poison_check(c, backend, backend->page_size, 0xff);
        poison_check_entry(c, backend, backend->page_size, true, notice->required, "migration");
        qtest_end(c);
    }
    qtest_end(b);
}

static bool path_is_there(const PoisonPath *path)
{
    QTest *q = poison_start("-M none");
    bool there = poison_set_path(q, path);

    qtest_end(q);
    if (!there) {
        g_test_skip("this host or build has no such way");
    }
    return there;
}

/* Everything with TERN_TEST_LONG. Otherwise memory of a file, which private memory stands for, only where one page of it is met, and
 * huge pages without what is refused in the same way. */
static bool is_wanted(PoisonBackendId backend, const PoisonPath *path, const char *notice)
{
    bool first = path == poison_paths || poison_path_is_postcopy(path);

    return g_getenv("TERN_TEST_LONG") || first || backend == PRIVATE ||
           !strcmp(notice, backend == MEMFD ? "none" : "action-required") || (backend == HUGE && !strcmp(notice, "none"));
}

static void test_path(gconstpointer data)
{
    const PoisonPath *path = data;

    if (!path_is_there(path)) {
        return;
    }
    for (size_t i = 0; i < POISON_BACKENDS; i++) {
        /* the first way sends to two machines, one after the other */
        if (!poison_backend_is_there(&poison_backends[i], 2 + (path == poison_paths))) {
            continue;
        }
        for (size_t j = 0; j < G_N_ELEMENTS(notices); j++) {
            if (!is_wanted(i, path, notices[j].notice)) {
                continue;
            }
            try_one(&poison_backends[i], path, &notices[j]);
            g_test_message("%s: %s: %s", poison_backends[i].name, notices[j].name,
                           notices[j].refused ? "refused while it is not reported; reported: arrives as an error"
                                              : "arrives as an error that is not reported");
        }
    }
}

/* ---- while it moves: the page had been sent already, or not yet ---- */

/* Until so many bytes have gone: all before it is zeros, of which little is sent. */
static void wait_sent(QTest *q, int64_t bytes)
{
    int64_t sent = 0;

    for (unsigned i = 0; i < 60000 && sent < bytes; i++) {
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}"), *ram;

        sent = json_object_object_get_ex(info, "ram", &ram) ? qtest_json_int(ram, "transferred") : 0;
        json_object_put(info);
        g_usleep(1000);
    }
    g_assert_cmpint(sent, >=, bytes);
}

static void lost_on_the_way(const PoisonPath *path, const char *how, bool sent)
{
    const PoisonBackend *backend = &poison_backends[PRIVATE];
    g_autofree char *name = g_build_filename(qtest_dir(), "poison.s", NULL);
    g_autofree char *uri = g_strconcat(path->to, name, NULL);
    bool file = !strcmp(path->to, "file:");
    QTest *a = poison_start(backend->args), *b = poison_start_incoming(backend->args);

    poison_fill(a, backend);
    poison_set_path(a, path);
    poison_set_path(b, path);
    poison_set_bandwidth(a, sent ? 3000000 : 100000);
    if (!file) {
        qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s'}}", uri);
    }
    qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}", uri);
    if (sent && path == poison_path("stream")) {
        wait_sent(a, LOST - RAM_START + 50000);
        poison_set_bandwidth(a, 100000);
    } else {
        g_usleep(sent ? 1200000 : 50000);
    }
    poison(a, LOST, how);
    poison_set_bandwidth(a, 0);
    g_assert_cmpstr(poison_wait_migration(a), ==, "completed");
    if (file) {
        qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s'}}", uri);
    }
    qtest_wait_status(b, "running");
    if (poison_entries(b)) {
        poison_check(b, backend, PAGE, 0xff);
    } else { /* it had gone out before it was lost, and nobody has noticed */
        g_assert_cmpstr(how, ==, "none");
        poison_check(b, backend, PAGE, -1);
    }
    remove(name);
    qtest_end(a);
    qtest_end(b);
}

static void test_lost_on_the_way(void)
{
    static const char *const how[] = { "reported", "none", "action-optional" };

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(how); i++) {
        lost_on_the_way(poison_path("stream"), how[i / 2], i % 2);
    }
}

static void test_lost_on_the_way_elsewhere(void)
{
    static const char *const ways[] = { "xbzrle", "multifd", "multifd-zstd", "mapped-ram", "mapped-ram-multifd" };

    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        const PoisonPath *path = poison_path(ways[i]);
        QTest *q = poison_start("-M none");
        bool there = poison_set_path(q, path);

        qtest_end(q);
        for (unsigned sent = 0; there && sent < 2; sent++) {
            lost_on_the_way(path, "none", sent);
        }
    }
}

/* A page that xbzrle has in its cache is lost before it is sent again: no difference to zeros is made up. Ten pages that change all
 * the time, and little bandwidth, keep the migration from its end meanwhile. */
static void test_lost_between_rounds(void)
{
    const PoisonBackend *backend = &poison_backends[PRIVATE];
    g_autofree char *name = g_build_filename(qtest_dir(), "poison.s", NULL);
    QTest *a = poison_start(backend->args), *b = poison_start_incoming(backend->args);
    uint64_t rounds = 0;

    poison_set_path(a, poison_path("xbzrle"));
    poison_set_path(b, poison_path("xbzrle"));
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'downtime-limit': 1}}");
    poison_set_bandwidth(a, 80000);
    qtest_memset(a, LOST, 0x5a, PAGE);
    qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': 'unix:%s'}}", name);
    qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': 'unix:%s'}}", name);
    for (unsigned i = 1; rounds < 4; i++) {
        json_object *info = qtest_qmp_return(a, "{'execute': 'query-migrate'}"), *ram;

        qtest_memset(a, OTHER, i % 255 + 1, 10 * PAGE);
        qtest_writel(a, LOST, i);
        rounds = json_object_object_get_ex(info, "ram", &ram) ? qtest_json_int(ram, "dirty-sync-count") : 0;
        json_object_put(info);
        g_usleep(10000);
    }
    poison(a, LOST, "reported");
    poison_set_bandwidth(a, 0);
    g_assert_cmpstr(poison_wait_migration(a), ==, "completed");
    qtest_wait_status(b, "running");
    g_assert_cmphex(qtest_readl(b, LOST), ==, 0xffffffff);
    poison_check_entry(b, backend, PAGE, true, false, "migration");
    qtest_end(a);
    qtest_end(b);
}

/* ---- the destination ---- */

/* This host loses a page of the destination: before its content has come, it is replaced. */
static void destination_gets_a_fresh_page(const PoisonBackend *backend, const PoisonPath *path, const char *how)
{
    QTest *a = poison_start(backend->args), *b = poison_start_incoming(backend->args);

    poison_fill(a, backend);
    poison_set_path(a, path);
    poison_set_path(b, path);
    poison(b, backend->shift + LOST, how);
    if (backend->page_size == PAGE) {
        poison(b, RAM_START + RAM_BYTES - PAGE, how); /* the last page of the pattern, and a zero page */
        poison(b, OTHER, how);
    }
    poison_send(a, b, path);
    poison_check(b, backend, PAGE, -1);
    g_assert_cmphex(qtest_readl(b, OTHER), ==, 0);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    qtest_end(a);
    qtest_end(b);
}

static void test_destination_gets_a_fresh_page(gconstpointer data)
{
    static const char *const how[] = { "none", "action-optional" };
    const PoisonPath *path = data;

    if (!path_is_there(path)) {
        return;
    }
    for (size_t i = 0; i < POISON_BACKENDS; i++) {
        bool all = g_getenv("TERN_TEST_LONG") || i == PRIVATE || path == poison_paths;

        for (size_t j = 0; j < (all ? G_N_ELEMENTS(how) : 1) && poison_backend_is_there(&poison_backends[i], 2); j++) {
            if (i == MEMFD && !all) {
                break;
            }
            destination_gets_a_fresh_page(&poison_backends[i], path, how[j]);
        }
    }
}

/* After its content has come it would be lost: the migration fails by name, and the source's guest runs on. */
static void test_destination_loses_what_it_had(void)
{
    const PoisonBackend *backend = &poison_backends[PRIVATE];
    g_autofree char *path = g_build_filename(qtest_dir(), "poison.s", NULL);
    QTest *a = poison_start(backend->args), *b = poison_start_incoming(backend->args);
    const char *const caps = "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                             "[{'capability': 'return-path', 'state': true},"
                             " {'capability': 'pause-before-switchover', 'state': true}]}}";
    poison_fill(a, backend);
    qtest_qmp_ok(a, "%s", caps);
    qtest_qmp_ok(b, "%s", caps);
    qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': 'unix:%s', 'exit-on-error': false}}", path);
    qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': 'unix:%s'}}", path);
    qtest_wait_status(a, "finish-migrate");
    g_usleep(100000); /* what was sent has arrived */
    poison(b, LOST, "action-optional");
    qtest_qmp_ok(a, "{'execute': 'migrate-continue', 'arguments': {'state': 'pre-switchover'}}");
    g_assert_cmpstr(poison_wait_migration(a), ==, "failed");
    json_object *info = qtest_qmp_return(b, "{'execute': 'query-migrate'}");
    poison_expect_text(qtest_json_string(info, "error-desc"),
                       "this host has lost a page that the guest's memory had been loaded into: RAM block 'pc.ram', "
                       "offset 0x605000");
    json_object_put(info);
    qtest_wait_status(a, "running");
    poison_check(a, backend, PAGE, -1);
    qtest_end(a);
    qtest_end(b);
}

/* From small pages to huge ones, of which a part cannot be made unreadable: it is guarded, its neighbours keep their
 * content; and back. */
static void test_part_of_a_huge_page(void)
{
    static const PoisonBackend small = { "small", "-M pc,memory-backend=m -m 16 -object memory-backend-ram,id=m,size=16M",
                                         PAGE };
    const PoisonBackend *huge = &poison_backends[HUGE];

    if (!poison_backend_is_there(huge, 1)) {
        g_test_skip("no huge pages of 2 MiB (vm.nr_hugepages)");
        return;
    }
    QTest *a = poison_start(small.args), *b = poison_start_incoming(huge->args);
    poison_fill(a, &small);
    poison(a, LOST, "reported");
    poison_send(a, b, poison_paths);
    poison_check(b, &small, PAGE, 0xff);
    poison_check_entry(b, &small, PAGE, true, false, "migration");
    qtest_writel(b, LOST, 1);
    poison_check(b, &small, PAGE, 0xff);
    QTest *c = poison_start_incoming(small.args);
    poison_send(b, c, poison_paths);
    poison_check(c, &small, PAGE, 0xff);
    poison_check_entry(c, &small, PAGE, true, false, "migration");
    qtest_qmp_ok(b, "{'execute': 'cont'}"); /* the source again */
    qtest_qmp_ok(b, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(b, "RESET"));
    poison_check(b, &small, PAGE, 0);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    qtest_end(a);
    qtest_end(b);
    qtest_end(c);
}

/* ---- files of memory ---- */

static void pmemsave(const PoisonBackend *backend, const char *notice)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "mem", NULL), *data = NULL;
    uint64_t lost = (backend->shift + LOST) / backend->page_size * backend->page_size, from = backend->shift + RAM_START + 8;
    QTest *q = poison_start(backend->args);
    gsize len;

    poison_fill(q, backend);
    poison(q, backend->shift + LOST, notice);
    qtest_qmp_ok(q, "{'execute': 'pmemsave', 'arguments': {'val': %" PRIu64 ", 'size': %u, 'filename': '%s'}}", from,
                 RAM_BYTES - 16, path);
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpuint(len, ==, RAM_BYTES - 16);
    for (size_t i = 0; i < len; i += 4) {
        uint64_t at = from + i;
        uint32_t word;

        memcpy(&word, data + i, 4);
        g_assert_cmphex(word, ==, at >= lost && at < lost + backend->page_size ? 0 : poison_word_at(at));
    }
    remove(path);
    qtest_end(q);
}

static void test_pmemsave(void)
{
    static const char *const how[] = { "reported", "action-optional", "action-required", "none" };

    for (size_t i = 0; i < POISON_BACKENDS; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(how) && poison_backend_is_there(&poison_backends[i], 1); j++) {
            pmemsave(&poison_backends[i], how[j]);
        }
    }
}

/* An ELF core file: memory by physical address, zeros for what is lost; what is in the way is named. */
static void check_dump(const char *path, const PoisonBackend *backend, uint64_t begin, uint64_t end)
{
    uint64_t lost = LOST / backend->page_size * backend->page_size, phoff, seen = 0;
    g_autofree char *data = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpmem(data, 7, "\x7f" "ELF\2\1\1", 7);
    memcpy(&phoff, data + 32, 8);
    for (unsigned i = 1; i < *(uint16_t *)(data + 56); i++) {
        uint64_t h[7]; /* type and flags, offset, vaddr, paddr, file size, memory size, alignment */

        memcpy(h, data + phoff + 56 * i, 56);
        g_assert_cmpuint((uint32_t)h[0], ==, 1);
        g_assert_cmpuint(h[1] + h[4], <=, len);
        g_assert_true(h[3] >= begin && h[3] + h[4] <= end);
        for (uint64_t at = MAX(h[3], MAX(begin, RAM_START)); at < MIN(h[3] + h[4], MIN(end, RAM_START + RAM_BYTES)); at += 4) {
            uint32_t word;

            memcpy(&word, data + h[1] + at - h[3], 4);
            g_assert_cmphex(word, ==, at >= lost && at < lost + backend->page_size ? 0 : poison_word_at(at));
            seen += 4;
        }
    }
    g_assert_cmpuint(seen, ==, MIN(end, RAM_START + RAM_BYTES) - MAX(begin, RAM_START));
    remove(path);
}

static void start_dump(QTest *q, const char *path, const char *more)
{
    qtest_qmp_ok(q, "{'execute': 'dump-guest-memory', 'arguments': {'paging': false, 'protocol': 'file:%s'%s}}", path, more);
    json_object *event = qtest_wait_event(q, "DUMP_COMPLETED");
    g_assert_cmpstr(qtest_json_string(event, "data.result.status"), ==, "completed");
    json_object_put(event);
}

static void dump(const PoisonBackend *backend, const char *notice)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "core", NULL), *said = NULL;
    QTest *q = poison_start(backend->args);

    poison_fill(q, backend);
    poison(q, LOST, notice);
    start_dump(q, path, "");
    check_dump(path, backend, 0, UINT64_MAX);
    qtest_wait_status(q, "running");
    start_dump(q, path, ", 'detach': true, 'begin': 6307840, 'length': 81920");
    check_dump(path, backend, LOST - PAGE, LOST - PAGE + 20 * PAGE);
    said = qtest_hmp(q, "dump-guest-memory %s %u %u", path, LOST, 2 * PAGE);
    g_assert_cmpstr(said, ==, "");
    check_dump(path, backend, LOST, LOST + 2 * PAGE);
    qtest_wait_status(q, "running");
    qtest_end(q);
}

static void test_dump(void)
{
    static const char *const how[] = { "reported", "action-optional", "action-required", "none" };

    for (size_t i = 0; i <= HUGE; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(how) && poison_backend_is_there(&poison_backends[i], 1); j++) {
            dump(&poison_backends[i], how[j]);
        }
    }
}

static void test_dump_refuses(void)
{
    static const struct {
        const char *paging, *protocol, *more, *says;
    } bad[] = {
        { "false", "file:/dev/null", ", 'begin': 0", "Parameter 'length' is missing" },
        { "false", "foo:/dev/null", "", "Invalid parameter 'protocol'" },
        { "false", "fd:nix", "", "has not been found" },
        { "true", "file:/dev/null", "", "paging" },
        { "false", "file:/dev/null", ", 'begin': 1099511627776, 'length': 4096", "dump: no guest memory to dump" },
        { "false", "file:/dev/full", "", "dump: failed to save memory: No space left on device" },
    };
    QTest *q = poison_start("-M pc -m 16");
    json_object *none = qtest_qmp_return(q, "{'execute': 'query-dump'}");

    g_assert_cmpstr(qtest_json_string(none, "status"), ==, "none");
    json_object_put(none);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        qtest_qmp_fails(q, "GenericError", bad[i].says,
                        "{'execute': 'dump-guest-memory', 'arguments': {'paging': %s, 'protocol': '%s'%s}}", bad[i].paging,
                        bad[i].protocol, bad[i].more);
    }
    qtest_end(q);
}

/* Memory that both sides have does not travel; that a page of it is lost does. */
static void test_shared_memory_stays(void)
{
    static const PoisonPath path = { "ignore-shared", { "x-ignore-shared" }, NULL, "unix:" };
    g_autofree char *file = g_build_filename(qtest_dir(), "ram", NULL);
    g_autofree char *args =
        g_strdup_printf("-M pc,memory-backend=m -m 16 -object memory-backend-file,id=m,size=16M,share=on,mem-path=%s", file);
    const PoisonBackend backend = { "file", args, PAGE };
    QTest *a = poison_start(args), *b = poison_start_incoming(args);

    poison_fill(a, &backend);
    poison(a, LOST, "reported");
    poison_set_path(a, &path);
    poison_set_path(b, &path);
    poison_send(a, b, &path);
    poison_check(b, &backend, PAGE, 0xff);
    poison_check_entry(b, &backend, PAGE, true, false, "migration");
    qtest_end(a);
    qtest_end(b);
    remove(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < poison_path_count; i++) {
        g_autofree char *name = g_strconcat("/poison/path/", poison_paths[i].name, NULL);
        g_autofree char *to = g_strconcat("/poison/destination/", poison_paths[i].name, NULL);

        g_test_add_data_func(name, &poison_paths[i], test_path);
        g_test_add_data_func(to, &poison_paths[i], test_destination_gets_a_fresh_page);
    }
    g_test_add_func("/poison/other/part-of-a-huge-page", test_part_of_a_huge_page);
    g_test_add_func("/poison/other/lost-on-the-way-stream", test_lost_on_the_way);
    g_test_add_func("/poison/other/lost-on-the-way-elsewhere", test_lost_on_the_way_elsewhere);
    g_test_add_func("/poison/other/lost-on-the-way-between-rounds", test_lost_between_rounds);
    g_test_add_func("/poison/other/destination-loses-what-it-had", test_destination_loses_what_it_had);
    g_test_add_func("/poison/other/pmemsave", test_pmemsave);
    g_test_add_func("/poison/other/dump", test_dump);
    g_test_add_func("/poison/other/dump-refuses", test_dump_refuses);
    g_test_add_func("/poison/other/shared-memory-stays", test_shared_memory_stays);
    return g_test_run();
}
