/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See poison-rig.h. */
#include "util/osdep.h"
#include "poison-rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

const PoisonBackend poison_backends[POISON_BACKENDS] = {
    [PRIVATE] = { "private", "-M pc -m 16", PAGE },
    [MEMFD] = { "memfd",
                "-M pc,memory-backend=m -m 16 -object memory-backend-memfd,id=m,size=16M,share=on", PAGE },
    [HUGE] = { "huge",
               "-M pc,memory-backend=m -m 16 "
               "-object memory-backend-memfd,id=m,size=16M,hugetlb=on,hugetlbsize=2M",
               HUGE_PAGE },
    /* The pattern's first part is in the first page, the lost one in the second. */
    [GIANT] = { "giant",
                "-M pc,memory-backend=m -m 2048 "
                "-object memory-backend-memfd,id=m,size=2G,hugetlb=on,hugetlbsize=1G",
                GIANT_PAGE, GIANT_PAGE - 0x600000u, .seldom = true },
};

static const unsigned pages_of_machine[POISON_BACKENDS] = { [HUGE] = 8, [GIANT] = 2 };

/* ---- huge pages ------------------------------------------------------------------------------------------------ */

/* What we have added to the host's, by page size. */
typedef struct Reserved {
    char file[80];
    long added;
} Reserved;

static Reserved reserved[2];

static int put_number(char *text, int at, long n)
{
    do {
        text[--at] = '0' + n % 10;
    } while ((n /= 10));
    return at;
}

/* Adds so many pages to the host's; async-signal-safe. Returns how many came. */
static long add_pages(const char *file, long n)
{
    char text[24] = "", digits[24];
    long before, after = -1;
    int fd = open(file, O_RDWR | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
        close(fd);
        return 0;
    }
    before = atol(text);
    int at = put_number(digits, sizeof(digits), MAX(before + n, 0));
    if (pwrite(fd, digits + at, sizeof(digits) - at, 0) > 0) {
        memset(text, 0, sizeof(text));
        after = pread(fd, text, sizeof(text) - 1, 0) > 0 ? atol(text) : -1;
    }
    close(fd);
    return after < 0 ? 0 : after - before;
}

static void give_back(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(reserved); i++) {
        if (reserved[i].added > 0) {
            add_pages(reserved[i].file, -reserved[i].added);
            reserved[i].added = 0;
        }
    }
}

static bool can_map(uint64_t size, unsigned n)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | __builtin_ctzll(size) << MAP_HUGE_SHIFT;
    void *p = mmap(NULL, size * n, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (p == MAP_FAILED) {
        return false;
    }
    munmap(p, size * n);
    return true;
}

static bool reserve(uint64_t size, unsigned n)
{
    Reserved *r = &reserved[size == GIANT_PAGE];

    qtest_set_cleanup(give_back);
    snprintf(r->file, sizeof(r->file), "/sys/kernel/mm/hugepages/hugepages-%lukB/nr_hugepages",
             (unsigned long)(size / 1024));
    if (r->added < (long)n) {
        r->added += add_pages(r->file, n - r->added);
    }
    return can_map(size, n);
}

bool poison_backend_is_there(const PoisonBackend *backend, unsigned n)
{
    /* one more: pages that a socket still holds come back late */
    unsigned pages = pages_of_machine[backend - poison_backends] * (backend->seldom ? n : n + 1);

    if (backend->seldom && !g_getenv("TERN_TEST_LONG")) {
        g_test_message("%s: left out without TERN_TEST_LONG", backend->name);
        return false;
    }
    if (pages && !reserve(backend->page_size, pages)) {
        g_test_message("%s: this host has no %u huge pages of %lu KiB, and they cannot be reserved: left out", backend->name,
                       pages, (unsigned long)(backend->page_size / 1024));
        return false;
    }
    return true;
}

/* ---- machines ---------------------------------------------------------------------------------------------------- */

QTest *poison_start(const char *args)
{
    QTest *q = qtest_start("%s", args);

    qtest_set_moving(q, false);
    return q;
}

QTest *poison_start_incoming(const char *args)
{
    g_autofree char *incoming = g_strconcat(args, " -incoming defer", NULL);

    return poison_start(incoming);
}

void poison(QTest *q, uint64_t address, const char *notice)
{
    qtest_qmp_ok(q, "{'execute': 'x-poison-page', 'arguments': {'address': %" PRIu64 ", 'notice': '%s'}}", address,
                 notice);
}

uint32_t poison_word_at(uint64_t address)
{
    return (uint32_t)address * 2654435761u ^ 0x5a5a;
}

void poison_fill(QTest *q, const PoisonBackend *backend)
{
    g_autofree uint32_t *words = g_malloc(RAM_BYTES);

    for (size_t i = 0; i < RAM_BYTES / 4; i++) {
        words[i] = poison_word_at(backend->shift + RAM_START + i * 4);
    }
    qtest_memwrite(q, backend->shift + RAM_START, words, RAM_BYTES);
}

void poison_check(QTest *q, const PoisonBackend *backend, uint64_t page_size, int lost)
{
    g_autofree uint32_t *words = g_malloc(RAM_BYTES);
    uint64_t first = (backend->shift + LOST) / page_size * page_size;
    uint32_t expected = (uint32_t)lost * 0x01010101u;

    qtest_memread(q, backend->shift + RAM_START, words, RAM_BYTES);
    for (size_t i = 0; i < RAM_BYTES / 4; i++) {
        uint64_t address = backend->shift + RAM_START + i * 4;
        bool in = lost >= 0 && address >= first && address < first + page_size;

        g_assert_cmphex(words[i], ==, in ? expected : poison_word_at(address));
    }
}

size_t poison_entries(QTest *q)
{
    json_object *list = qtest_qmp_return(q, "{'execute': 'x-query-memory-errors'}");
    size_t n = json_object_array_length(list);

    json_object_put(list);
    return n;
}

static bool flag_of(json_object *e, const char *name)
{
    json_object *value;

    g_assert_true(json_object_object_get_ex(e, name, &value));
    return json_object_get_boolean(value);
}

void poison_check_entry(QTest *q, const PoisonBackend *backend, uint64_t page_size, bool reported, bool required,
                        const char *origin)
{
    json_object *list = qtest_qmp_return(q, "{'execute': 'x-query-memory-errors'}");
    uint64_t first = (backend->shift + LOST) / page_size * page_size, bytes = 0;
    size_t n = json_object_array_length(list);

    g_assert_cmpuint(n, >=, 1);
    for (size_t i = 0; i < n; i++) {
        json_object *e = json_object_array_get_idx(list, i);

        g_assert_cmphex(qtest_json_int(e, "address"), ==, first + bytes);
        bytes += qtest_json_int(e, "size");
        g_assert_cmpint(flag_of(e, "reported"), ==, reported);
        g_assert_cmpint(flag_of(e, "action-required"), ==, required);
        g_assert_cmpstr(qtest_json_string(e, "origin"), ==, origin);
    }
    g_assert_cmphex(bytes, ==, page_size);
    json_object_put(list);
}

void poison_expect_text(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_error("'%s' has no '%s'", text, part);
    }
}

/* ---- ways out of a machine ----------------------------------------------------------------------------------------- */

const PoisonPath poison_paths[] = {
    { "stream", { NULL }, NULL, "unix:" },
    { "file", { NULL }, NULL, "file:" },
    { "no-zero-detection", { NULL }, "{'zero-page-detection': 'none'}", "unix:" },
    { "xbzrle", { "xbzrle" }, NULL, "unix:" },
    { "multifd", { "multifd" }, "{'multifd-channels': 3}", "unix:" },
    { "multifd-zlib", { "multifd" }, "{'multifd-compression': 'zlib'}", "unix:" },
    { "multifd-zstd", { "multifd" }, "{'multifd-compression': 'zstd'}", "unix:" },
    { "multifd-legacy", { "multifd" }, "{'zero-page-detection': 'legacy'}", "unix:" },
    { "multifd-zero-copy", { "multifd", "zero-copy-send" }, NULL, "tcp:" },
    { "mapped-ram", { "mapped-ram" }, NULL, "file:" },
    { "mapped-ram-multifd", { "mapped-ram", "multifd" }, "{'multifd-channels': 3}", "file:" },
    { "mapped-ram-direct", { "mapped-ram", "multifd" }, "{'direct-io': true}", "file:" },
    { "postcopy", { "postcopy-ram" }, "{'max-bandwidth': 500000}", "unix:" },
    { "release-ram", { "postcopy-ram", "release-ram" }, "{'max-bandwidth': 500000}", "unix:" },
};
const size_t poison_path_count = G_N_ELEMENTS(poison_paths);

const PoisonPath *poison_path(const char *name)
{
    for (size_t i = 0; i < poison_path_count; i++) {
        if (!strcmp(poison_paths[i].name, name)) {
            return &poison_paths[i];
        }
    }
    g_error("there is no way '%s'", name);
}

bool poison_path_is_postcopy(const PoisonPath *path)
{
    return path->capabilities[0] && !strcmp(path->capabilities[0], "postcopy-ram");
}

static bool is_file(const PoisonPath *path)
{
    return !strcmp(path->to, "file:");
}

/* Whether the command is taken; why not, as a message. */
static bool try_command(QTest *q, const PoisonPath *path, const char *command, const char *arguments)
{
    json_object *answer = qtest_qmp(q, "{'execute': '%s', 'arguments': %s}", command, arguments);
    bool ok = json_object_object_get_ex(answer, "return", NULL);

    if (!ok) {
        g_test_message("%s: %s", path->name, qtest_json_string(answer, "error.desc"));
    }
    json_object_put(answer);
    return ok;
}

bool poison_set_path(QTest *q, const PoisonPath *path)
{
    g_autoptr(GString) list = g_string_new("{'capabilities': [");

    for (size_t i = 0; i < G_N_ELEMENTS(path->capabilities) && path->capabilities[i]; i++) {
        g_string_append_printf(list, "%s{'capability': '%s', 'state': true}", i ? ", " : "", path->capabilities[i]);
    }
    g_string_append(list, "]}");
    return (!path->capabilities[0] || try_command(q, path, "migrate-set-capabilities", list->str)) &&
           (!path->parameters || try_command(q, path, "migrate-set-parameters", path->parameters));
}

/* g_free(); tcp: the port that b listens on. */
static char *listen_at(QTest *b, const PoisonPath *path)
{
    g_autofree char *name = g_build_filename(qtest_dir(), "poison.s", NULL);
    char *uri = !strcmp(path->to, "tcp:") ? g_strdup("tcp:127.0.0.1:0") : g_strconcat(path->to, name, NULL);

    if (is_file(path)) {
        return uri;
    }
    qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s'}}", uri);
    if (!strcmp(path->to, "tcp:")) {
        json_object *info = qtest_qmp_return(b, "{'execute': 'query-migrate'}"), *list, *first;

        g_assert_true(json_object_object_get_ex(info, "socket-address", &list));
        first = json_object_array_get_idx(list, 0);
        g_free(uri);
        uri = g_strconcat("tcp:127.0.0.1:", qtest_json_string(first, "port"), NULL);
        json_object_put(info);
    }
    return uri;
}

void poison_send(QTest *a, QTest *b, const PoisonPath *path)
{
    g_autofree char *uri = listen_at(b, path);

    qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}", uri);
    if (poison_path_is_postcopy(path)) {
        qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
    }
    g_assert_cmpstr(poison_wait_migration(a), ==, "completed");
    if (is_file(path)) {
        qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s'}}", uri);
    }
    g_assert_cmpstr(poison_wait_migration(b), ==, "completed");
    qtest_wait_status(b, "running");
    if (strcmp(path->to, "tcp:")) {
        remove(uri + strlen(path->to));
    }
}

void poison_refused(QTest *q, const PoisonPath *path)
{
    qtest_qmp_fails(q, "GenericError", "has lost a page of guest memory and the guest has not been told",
                    "{'execute': 'migrate', 'arguments': {'uri': '%s%s/nobody'}}", is_file(path) ? "file:" : "unix:",
                    qtest_dir());
}

const char *poison_wait_migration(QTest *q)
{
    for (int i = 0; i < 60000; i++) {
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
        const char *status = g_intern_string(qtest_json_string(info, "status"));

        json_object_put(info);
        if (!strcmp(status, "completed") || !strcmp(status, "failed") || !strcmp(status, "cancelled")) {
            return status;
        }
        g_usleep(1000);
    }
    g_error("the migration does not end");
}

void poison_wait_for(QTest *q, const char *status)
{
    for (int i = 0; i < 60000; i++) {
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
        bool there = !strcmp(qtest_json_string(info, "status"), status);

        json_object_put(info);
        if (there) {
            return;
        }
        g_usleep(1000);
    }
    g_error("the migration does not become %s", status);
}

void poison_set_bandwidth(QTest *q, unsigned bytes)
{
    qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': %u}}", bytes);
}
