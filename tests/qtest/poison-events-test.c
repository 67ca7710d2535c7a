/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the loss of a page becomes known, and to whom it is told (P5): signals as the kernel sends them (put together by ptrace),
 * events, refusals, resets, postcopy; and the section of the list, byte by byte. Ways out of a machine are poison-test's.
 */
#include "util/osdep.h"
#include "poison-rig.h"

#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/bytes.h"

static const PoisonBackend *const small = &poison_backends[PRIVATE];
static const char *const to_nowhere = "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}";

/* The next MEMORY_FAILURE says this. */
static void expect_event(QTest *q, const char *recipient, const char *action, bool required)
{
    json_object *event = qtest_wait_event(q, "MEMORY_FAILURE"), *flag;

    g_assert_cmpstr(qtest_json_string(event, "data.recipient"), ==, recipient);
    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, action);
    json_object_object_get_ex(event, "data", &flag);
    json_object_object_get_ex(flag, "flags", &flag);
    g_assert_true(json_object_object_get_ex(flag, "action-required", &flag));
    g_assert_cmpint(json_object_get_boolean(flag), ==, required);
    json_object_put(event);
}

static void reset(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
}

/* ---- signals ---- */

/* Where a mapping of that many bytes begins in the emulator, whose name contains this. */
static uint64_t mapping(QTest *q, const char *name, uint64_t size)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int)qtest_pid(q)), *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        uint64_t first, last;

        if (sscanf(lines[i], "%" SCNx64 "-%" SCNx64, &first, &last) == 2 && strstr(lines[i], name) &&
            (!size || last - first == size)) {
            return first;
        }
    }
    g_error("the emulator has no mapping '%s'", name);
}

/* The emulator stands before a SIGBUS is delivered to its main thread. */
static void wait_stop(pid_t pid)
{
    int status;

    do {
        g_assert_cmpint(waitpid(pid, &status, __WALL), ==, pid);
        g_assert_true(WIFSTOPPED(status));
        if (WSTOPSIG(status) != SIGBUS) {
            g_assert_cmpint(ptrace(PTRACE_CONT, pid, 0, (status >> 16) ? 0 : WSTOPSIG(status)), ==, 0);
        }
    } while (WSTOPSIG(status) != SIGBUS);
}

/*
 * As if the kernel had found n blocks of 1 << lsb bytes that are lost, from host address `first` on, `step` bytes apart, faster than
 * the program looks: each signal is delivered before the handler of the one before has run. False, with a message, if this
 * host does not let us.
 */
static bool send_notices(QTest *q, uint64_t first, uint64_t step, unsigned n, unsigned lsb)
{
    pid_t pid = qtest_pid(q);

    if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0) {
        g_test_message("ptrace: %s", g_strerror(errno));
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AO };

        info.si_addr = (void *)(uintptr_t)(first + i * step);
        info.si_addr_lsb = lsb;
        g_assert_cmpint(syscall(SYS_tgkill, pid, pid, SIGBUS), ==, 0);
        if (i) {
            g_assert_cmpint(ptrace(PTRACE_CONT, pid, 0, SIGBUS), ==, 0); /* the one before */
        }
        wait_stop(pid);
        g_assert_cmpint(ptrace(PTRACE_SETSIGINFO, pid, 0, &info), ==, 0);
    }
    g_assert_cmpint(ptrace(PTRACE_DETACH, pid, 0, SIGBUS), ==, 0);
    return true;
}

static void wait_entries(QTest *q, size_t n)
{
    for (unsigned i = 0; i < 20000 && poison_entries(q) != n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(poison_entries(q), ==, n);
}

/* Without KVM nobody can be told. Stock ends here. */
static void test_notice_without_kvm_is_kept(void)
{
    for (size_t i = MEMFD; i <= HUGE; i++) {
        const PoisonBackend *backend = &poison_backends[i];

        if (!poison_backend_is_there(backend, 1)) {
            continue;
        }
        QTest *q = poison_start(backend->args);
        poison_fill(q, backend);
        uint64_t host = mapping(q, "memfd", 16 << 20);
        if (!send_notices(q, host + LOST, 0, 1, __builtin_ctzll(backend->page_size))) {
            qtest_end(q);
            g_test_skip("no ptrace");
            return;
        }
        wait_entries(q, 1);
        poison_check_entry(q, backend, backend->page_size, false, false, "host");
        expect_event(q, "guest", "ignore", false);
        poison_expect_text(qtest_stderr(q), "the guest cannot be told: it cannot be migrated until it has been");
        poison_refused(q, poison_paths);
        reset(q);
        g_assert_cmpuint(poison_entries(q), ==, 0);
        qtest_qmp_ok(q, "%s", to_nowhere);
        g_assert_cmpstr(poison_wait_migration(q), ==, "completed");
        qtest_end(q);
    }
}

/* The kernel says how much is lost: two pages, one notice. */
static void test_notice_says_how_much(void)
{
    const PoisonBackend *backend = &poison_backends[MEMFD];
    QTest *q = poison_start(backend->args);

    if (send_notices(q, mapping(q, "memfd", 16 << 20) + OTHER + PAGE, 0, 1, 13)) {
        wait_entries(q, 2);
        g_autofree char *text = qtest_hmp(q, "info memory-errors");
        poison_expect_text(text, "offset 0xb00000, 0x1000 bytes: NOT reported, action optional, seen 1 times");
        poison_expect_text(text, "offset 0xb01000, 0x1000 bytes: NOT reported, action optional, seen 1 times");
    } else {
        g_test_skip("no ptrace");
    }
    qtest_end(q);
}

/* More at once than there are places for: all are kept. */
static void test_many_notices_at_once(void)
{
    const PoisonBackend *backend = &poison_backends[MEMFD];
    QTest *q = poison_start(backend->args);
    const unsigned n = 300;

    if (send_notices(q, mapping(q, "memfd", 16 << 20) + 0x800000, 2 * PAGE, n, 12)) {
        wait_entries(q, n);
        for (unsigned i = 0; i < n; i++) {
            expect_event(q, "guest", "ignore", false);
        }
        g_assert_null(strstr(qtest_stderr(q), "notices of lost memory"));
    } else {
        g_test_skip("no ptrace");
    }
    qtest_end(q);
}

/* Memory of the program itself that nobody has touched. */
static void test_notice_of_own_memory(void)
{
    QTest *q = poison_start("-M pc -m 16");

    if (send_notices(q, mapping(q, "[stack]", 0), 0, 1, 12)) {
        expect_event(q, "hypervisor", "ignore", false);
        poison_expect_text(qtest_stderr(q), "the host has lost memory of this program at 0x");
        g_assert_cmpuint(poison_entries(q), ==, 0);
        qtest_qmp_ok(q, "%s", to_nowhere);
        g_assert_cmpstr(poison_wait_migration(q), ==, "completed");
    } else {
        g_test_skip("no ptrace");
    }
    qtest_end(q);
}

/* With lost-memory.so before libc. */
static QTest *start_losing(const char *args)
{
    g_autofree char *asan = g_strconcat(g_getenv("ASAN_OPTIONS") ?: "", ":verify_asan_link_order=0:handle_sigbus=0", NULL);
    g_autofree char *before = g_strdup(g_getenv("ASAN_OPTIONS"));
    QTest *q;

    g_setenv("LD_PRELOAD", g_getenv("QTEST_LOST_MEMORY"), true);
    g_setenv("ASAN_OPTIONS", asan, true);
    q = poison_start(args);
    g_unsetenv("LD_PRELOAD");
    if (before) {
        g_setenv("ASAN_OPTIONS", before, true);
    } else {
        g_unsetenv("ASAN_OPTIONS");
    }
    return q;
}

/* Its main thread waits: it holds no lock of the monitor's, without which nothing can be said. */
static void wait_idle(QTest *q)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)qtest_pid(q));

    for (unsigned i = 0, idle = 0; idle < 5; i++) {
        g_autofree char *text = NULL;

        g_assert_cmpuint(i, <, 20000);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        idle = strstr(text, ") S ") ? idle + 1 : 0;
        g_usleep(2000);
    }
}

/* The main thread needs memory of its own that is gone. */
static void test_own_memory_is_fatal(void)
{
    QTest *q = start_losing("-M pc -m 16");

    wait_idle(q);
    g_assert_cmpint(kill(qtest_pid(q), SIGUSR2), ==, 0);
    expect_event(q, "hypervisor", "fatal", true);
    poison_expect_text(qtest_stderr(q), "the host has lost memory of this program that is not the guest's, and the program needs it: it "
                                        "ends here");
    qtest_expect_exit(q, -SIGBUS);
}

/* What the host cannot replace stays lost, and in the list. */
static void test_reset_keeps_what_cannot_be_replaced(void)
{
    g_autofree char *file = g_build_filename(qtest_dir(), "ram", NULL);
    g_autofree char *args =
        g_strdup_printf("-M pc,memory-backend=m -m 16 -object memory-backend-file,id=m,size=16M,share=on,mem-path=%s", file);
    const PoisonBackend backend = { "file", args, PAGE };
    QTest *q = start_losing(args);

    poison_fill(q, &backend);
    poison(q, LOST, "action-optional");
    poison_refused(q, poison_paths);
    poison(q, LOST, "reported");
    reset(q);
    poison_check(q, &backend, PAGE, 0xff);
    poison_check_entry(q, &backend, PAGE, true, false, "test");
    poison_expect_text(qtest_stderr(q), "the lost page at 0x605000 cannot be taken out of its file: Operation not supported");
    qtest_end(q);
    remove(file);
}

/* ---- one by one ---- */

static void test_refused_until_it_is_told(void)
{
    QTest *q = poison_start("-M pc -m 16 -only-migratable"); /* which is about devices */

    poison(q, LOST, "action-optional");
    expect_event(q, "guest", "ignore", false);
    poison_expect_text(qtest_stderr(q), "RAM block 'pc.ram' at 0x605000 has been lost by the host, and the guest cannot be told");
    qtest_qmp_fails(q, "GenericError", "RAM block 'pc.ram', offset 0x605000, guest address 0x605000", "%s", to_nowhere);
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}"), *reasons;
    g_assert_true(json_object_object_get_ex(info, "blocked-reasons", &reasons));
    poison_expect_text(json_object_get_string(json_object_array_get_idx(reasons, 0)), "pc.ram");
    json_object_put(info);
    poison(q, LOST, "reported");
    qtest_qmp_ok(q, "%s", to_nowhere);
    g_assert_cmpstr(poison_wait_migration(q), ==, "completed");
    qtest_end(q);
}

static void test_reset_brings_fresh_pages(void)
{
    for (size_t i = 0; i < POISON_BACKENDS; i++) {
        const PoisonBackend *backend = &poison_backends[i];

        if (!poison_backend_is_there(backend, 1)) {
            continue;
        }
        QTest *q = poison_start(backend->args);
        uint64_t lost = backend->shift + LOST;

        poison_fill(q, backend);
        poison(q, lost, "action-required");
        poison_check(q, backend, backend->page_size, 0xff);
        reset(q);
        g_assert_cmpuint(poison_entries(q), ==, 0);
        poison_check(q, backend, backend->page_size, 0);
        qtest_writel(q, lost, 0x11223344);
        g_assert_cmphex(qtest_readl(q, lost), ==, 0x11223344);
        qtest_qmp_ok(q, "%s", to_nowhere);
        g_assert_cmpstr(poison_wait_migration(q), ==, "completed");
        qtest_end(q);
    }
}

/* Reading and writing by devices: errors, no crash. */
static void test_devices_get_errors(void)
{
    QTest *q = poison_start(small->args);

    poison_fill(q, small);
    poison(q, LOST, "none");
    g_assert_cmpuint(poison_entries(q), ==, 0);
    qtest_writel(q, LOST + 16, 1); /* the first one that meets it */
    g_assert_cmpuint(poison_entries(q), ==, 1);
    g_assert_cmphex(qtest_readl(q, LOST + 16), ==, 0xffffffff);
    qtest_memset(q, LOST - PAGE, 0x77, 3 * PAGE);
    g_assert_cmphex(qtest_readl(q, LOST - 4), ==, 0x77777777);
    g_assert_cmphex(qtest_readl(q, LOST + PAGE), ==, 0x77777777);
    g_autofree char *text = qtest_hmp(q, "info memory-errors");
    poison_expect_text(text, "pc.ram offset 0x605000, 0x1000 bytes: NOT reported");
    qtest_qmp_fails(q, "GenericError", "there is no RAM at guest address 0xe0000000",
                    "{'execute': 'x-poison-page', 'arguments': {'address': %u, 'notice': 'none'}}", 0xe0000000u);
    qtest_end(q);
}

/* A destination that does not know the list. */
static void test_list_stays_behind(void)
{
    QTest *a = poison_start("-M pc,x-migrate-poison=off -m 16"), *b = poison_start_incoming(small->args);

    poison_fill(a, small);
    poison(a, LOST, "reported");
    poison_send(a, b, poison_paths);
    poison_check(b, small, PAGE, 0);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    qtest_end(a);
    qtest_end(b);
}

static void test_many_pages(void)
{
    QTest *a = poison_start(small->args), *b = poison_start_incoming(small->args);

    for (unsigned i = 0; i < 300; i++) {
        poison(a, 0x800000 + i * 2 * PAGE, "reported");
    }
    g_assert_cmpuint(poison_entries(a), ==, 300);
    poison_send(a, b, poison_paths);
    g_assert_cmpuint(poison_entries(b), ==, 300);
    reset(b);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    qtest_end(a);
    qtest_end(b);
}

/* ---- postcopy ---- */

/* A page that is met in postcopy, and a destination that does not know the list. */
static void test_nothing_follows_in_postcopy(void)
{
    QTest *a = poison_start("-M pc,x-migrate-poison=off -m 16"), *b = poison_start_incoming(small->args);
    const PoisonPath *path = poison_path("postcopy");

    poison_fill(a, small);
    poison(a, LOST, "none");
    poison_set_path(a, path);
    poison_set_path(b, path);
    poison_send(a, b, path);
    poison_check(b, small, PAGE, 0);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    g_assert_cmpuint(poison_entries(a), ==, 1);
    qtest_end(a);
    qtest_end(b);
}

static void begin_postcopy(QTest *a, QTest *b)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "poison.s", NULL);

    poison_set_path(a, poison_path("postcopy"));
    poison_set_path(b, poison_path("postcopy"));
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'max-postcopy-bandwidth': 100000}}");
    qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': 'unix:%s'}}", path);
    qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': 'unix:%s'}}", path);
}

/* The guest runs at b, and most of its memory is still at a. */
static void hand_over_by_postcopy(QTest *a, QTest *b)
{
    begin_postcopy(a, b);
    qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
    poison_wait_for(a, "postcopy-active");
    qtest_wait_status(b, "running");
}

static void end_postcopy(QTest *a, QTest *b)
{
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'max-postcopy-bandwidth': 0}}");
    g_assert_cmpstr(poison_wait_migration(a), ==, "completed");
    g_assert_cmpstr(poison_wait_migration(b), ==, "completed");
    qtest_wait_status(b, "running");
}

/*
 * The guest runs over there when the source loses a page that was not sent: it meets an error, not zeros, and a page that was listed
 * before stays what it is. The source's manager hears that memory is lost, and that the guest was not told by this side; the
 * destination's, when the guest learns of it.
 */
static void lost_in_postcopy(const PoisonBackend *backend, const char *how, bool requested)
{
    QTest *a = poison_start(backend->args), *b = poison_start_incoming(backend->args);

    poison_fill(a, backend);
    poison(a, 0xc00000, "reported");
    hand_over_by_postcopy(a, b);
    g_assert_false(qtest_had_event(a, "MEMORY_FAILURE"));
    poison(a, LOST, how);
    if (requested) { /* who waits for it gets the error */
        g_assert_cmphex(qtest_readl(b, LOST + 64), ==, 0xffffffff);
        if (backend->page_size == PAGE) {
            g_assert_cmphex(qtest_readl(b, LOST + PAGE), ==, poison_word_at(LOST + PAGE));
        }
    }
    end_postcopy(a, b);
    poison_check(b, backend, backend->page_size, 0xff);
    g_assert_cmphex(qtest_readl(b, 0xc00000), ==, 0xffffffff);
    g_assert_cmpuint(poison_entries(b), ==, 2);
    expect_event(b, "guest", "ignore", false);
    expect_event(a, "guest", "ignore", false);
    g_assert_false(qtest_had_event(a, "MEMORY_FAILURE"));
    poison_expect_text(qtest_stderr(a), "which has been handed over: it is told where it runs");
    poison_refused(b, poison_paths); /* nobody could tell the guest */
    qtest_end(a);
    qtest_end(b);
}

static void test_lost_in_postcopy(void)
{
    for (size_t i = PRIVATE; i <= HUGE; i++) {
        if (poison_backend_is_there(&poison_backends[i], 2)) {
            lost_in_postcopy(&poison_backends[i], "none", true);
            lost_in_postcopy(&poison_backends[i], i == MEMFD ? "action-optional" : "none", false);
        }
    }
}

/* A guest that does not know of a lost page is not handed over by postcopy; the migration goes on. */
static void test_postcopy_waits_until_it_is_told(void)
{
    QTest *a = poison_start(small->args), *b = poison_start_incoming(small->args);

    poison_fill(a, small);
    begin_postcopy(a, b);
    poison_wait_for(a, "active");
    poison(a, LOST, "action-optional");
    qtest_qmp_fails(a, "GenericError", "RAM block 'pc.ram', offset 0x605000, guest address 0x605000",
                    "{'execute': 'migrate-start-postcopy'}");
    json_object *info = qtest_qmp_return(a, "{'execute': 'query-migrate'}");
    g_assert_cmpstr(qtest_json_string(info, "status"), ==, "active");
    json_object_put(info);
    poison(a, LOST, "reported");
    qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
    end_postcopy(a, b);
    poison_check(b, small, PAGE, 0xff);
    poison_check_entry(b, small, PAGE, true, false, "migration");
    qtest_end(a);
    qtest_end(b);
}

/*
 * The guest is reset while its memory still comes: lost pages are zeros after that, and stay so, whether they had come (here: the first
 * page of RAM_START, which this host loses then) or not (LOST, which the source had lost).
 */
static void reset_in_postcopy(const PoisonBackend *backend)
{
    QTest *a = poison_start(backend->args), *b = poison_start_incoming(backend->args);

    poison_fill(a, backend);
    poison(a, LOST, "reported");
    hand_over_by_postcopy(a, b);
    g_assert_cmphex(qtest_readl(b, RAM_START), ==, poison_word_at(RAM_START));
    poison(b, RAM_START, "reported");
    g_assert_cmphex(qtest_readl(b, RAM_START), ==, 0xffffffff);
    reset(b);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    g_assert_cmphex(qtest_readl(b, RAM_START), ==, 0);
    g_assert_cmphex(qtest_readl(b, LOST), ==, 0);
    qtest_writel(b, RAM_START, 0x11223344);
    end_postcopy(a, b);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    g_assert_cmphex(qtest_readl(b, LOST), ==, 0);
    g_assert_cmphex(qtest_readl(b, RAM_START), ==, 0x11223344);
    g_assert_cmphex(qtest_readl(b, RAM_START + backend->page_size - 4), ==, 0);
    g_assert_cmphex(qtest_readl(b, RAM_START + 2 * backend->page_size), ==, poison_word_at(RAM_START + 2 * backend->page_size));
    qtest_end(a);
    qtest_end(b);
}

static void test_reset_in_postcopy(void)
{
    for (size_t i = PRIVATE; i <= HUGE; i++) {
        if (poison_backend_is_there(&poison_backends[i], 2)) {
            reset_in_postcopy(&poison_backends[i]);
        }
    }
}

/* ---- a host that cannot mark pages ---- */

/* As whoever reads guest memory where it is, past the memory map and past the list: how many bytes, or -errno. */
static int read_past_everything(QTest *q, uint64_t host)
{
    uint8_t byte = 0;
    struct iovec to = { &byte, 1 }, from = { (void *)(uintptr_t)host, 1 };
    int r = process_vm_readv(qtest_pid(q), &to, 1, &from, 1, 0);

    return r < 0 ? -errno : r;
}

/*
 * The destination's kernel has no UFFDIO_POISON. Who reads the page that the source had lost, while postcopy loads memory and
 * after it, has an error at once: it does not wait until all has come, does not fault for ever, and finds no zeros.
 */
static void lost_page_without_marks(const PoisonBackend *backend)
{
    g_autofree char *args = g_strconcat(backend->args, " -incoming defer", NULL);

    g_setenv("LOST_MEMORY_OLD_KERNEL", "1", true);
    QTest *a = poison_start(backend->args), *b = start_losing(args);
    g_unsetenv("LOST_MEMORY_OLD_KERNEL");
    uint64_t host = mapping(b, "memfd", 16 << 20);
    poison_fill(a, backend);
    poison(a, LOST, "reported");
    hand_over_by_postcopy(a, b);
    g_assert_cmphex(qtest_readl(b, LOST), ==, 0xffffffff);
    int r = read_past_everything(b, host + LOST);
    json_object *info = qtest_qmp_return(a, "{'execute': 'query-migrate'}");
    g_assert_cmpstr(qtest_json_string(info, "status"), ==, "postcopy-active");
    json_object_put(info);
    if (r == -EPERM) {
        g_test_message("process_vm_readv: %s", g_strerror(EPERM));
    } else {
        g_assert_cmpint(r, ==, -EFAULT);
    }
    end_postcopy(a, b);
    poison_check(b, backend, backend->page_size, 0xff);
    g_assert_cmpint(read_past_everything(b, host + LOST), ==, r);
    reset(b);
    g_assert_cmpuint(poison_entries(b), ==, 0);
    g_assert_cmphex(qtest_readl(b, LOST), ==, 0);
    g_assert_cmpint(read_past_everything(b, host + LOST), ==, r == -EPERM ? r : 1);
    qtest_end(a);
    qtest_end(b);
}

static void test_lost_page_without_marks(void)
{
    for (size_t i = MEMFD; i <= HUGE; i++) {
        if (poison_backend_is_there(&poison_backends[i], 2)) {
            lost_page_without_marks(&poison_backends[i]);
        }
    }
}

/* Memory that both sides share, and that no migration loads: what this host cannot read any more is not emptied, which would take
 * it from the source, too. */
static void test_shared_memory_stays_what_it_is(void)
{
    g_autofree char *file = g_build_filename(qtest_dir(), "ram", NULL);
    g_autofree char *args =
        g_strdup_printf("-M pc,memory-backend=m -m 16 -object memory-backend-file,id=m,size=16M,share=on,mem-path=%s", file);
    const PoisonBackend backend = { "file", args, PAGE };
    const PoisonPath shared = { "shared", { "x-ignore-shared" }, NULL, "unix:" };
    QTest *a = poison_start(args);

    poison_fill(a, &backend);
    QTest *b = poison_start_incoming(args);
    poison_set_path(a, &shared);
    poison_set_path(b, &shared);
    poison(b, LOST, "action-optional");
    poison_send(a, b, &shared);
    poison_check(b, &backend, PAGE, 0xff);
    poison_check_entry(b, &backend, PAGE, false, false, "test");
    qtest_qmp_ok(a, "{'execute': 'cont'}");
    poison_check(a, &backend, PAGE, -1);
    qtest_end(a);
    qtest_end(b);
    remove(file);
}

/* ---- the section ---- */

static GByteArray *golden(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "golden", "memory-errors", "section.txt", NULL);
    g_autofree char *text = NULL;
    GByteArray *bytes = g_byte_array_new();

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        for (const char *p = lines[i]; g_ascii_isxdigit(p[0]) && g_ascii_isxdigit(p[1]);) {
            uint8_t byte = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);

            g_byte_array_append(bytes, &byte, 1);
            p += p[2] == ' ' && p[3] != ' ' ? 3 : 2;
        }
    }
    return bytes;
}

#define HEAD "\x0dmemory-errors\0\0\0\0\0\0\0\1" /* name, instance, version */

/* A stream with three pages in its list; *at: where the section's data begin. g_free(). */
static char *stream_with_list(const char *path, size_t *len, size_t *at)
{
    QTest *q = poison_start(small->args);
    char *stream;

    poison_fill(q, small);
    poison(q, LOST, "reported");
    poison(q, 0x700000, "action-required");
    poison(q, 0x700000, "reported");
    poison(q, 0x9ff000, "none");
    qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': 'file:%s'}}", path);
    g_assert_cmpstr(poison_wait_migration(q), ==, "completed");
    qtest_end(q);
    g_assert_true(g_file_get_contents(path, &stream, len, NULL));
    for (*at = 0; memcmp(stream + *at, HEAD, sizeof(HEAD) - 1); ++*at) {
        g_assert_cmpuint(*at, <, *len - sizeof(HEAD));
    }
    *at += sizeof(HEAD) - 1;
    return stream;
}

static void load(const char *path, const char *says)
{
    QTest *b = poison_start_incoming(small->args);

    qtest_qmp_ok(b, "{'execute': 'migrate-incoming', 'arguments': {'uri': 'file:%s', 'exit-on-error': false}}", path);
    g_assert_cmpstr(poison_wait_migration(b), ==, says ? "failed" : "completed");
    if (says) {
        json_object *info = qtest_qmp_return(b, "{'execute': 'query-migrate'}");

        poison_expect_text(qtest_json_string(info, "error-desc"), says);
        json_object_put(info);
    } else {
        g_autofree char *text = qtest_hmp(b, "info memory-errors");

        g_assert_cmpstr(text, ==,
                        "pc.ram offset 0x605000, 0x1000 bytes: reported, action optional, seen 1 times\r\n"
                        "pc.ram offset 0x700000, 0x1000 bytes: reported, action required, seen 1 times\r\n"
                        "pc.ram offset 0x9ff000, 0x1000 bytes: NOT reported, action optional, seen 1 times\r\n");
    }
    qtest_end(b);
}

/* As it always was, and as it is understood. */
static void test_section_is_the_golden_one(void)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "stream", NULL);
    g_autoptr(GByteArray) want = golden();
    size_t len, at;
    g_autofree char *stream = stream_with_list(path, &len, &at);

    g_assert_cmpmem(stream + at, want->len, want->data, want->len);
    g_assert_cmphex((uint8_t)stream[at + want->len], ==, 0x7e); /* a footer follows */
    load(path, NULL);
    remove(path);
}

/* A section that lies is refused, by name. */
static void test_section_that_lies(void)
{
    static const struct {
        size_t at; /* behind the section's beginning */
        const char *bytes;
        size_t len;
        const char *says;
    } lies[] = {
        { 0, "\xff\0\0\0", 4, "4278190080 lost pages are more than there can be" },
        { 5, "pc.rom", 6, "'pc.rom' has no pages" },
        { 5, "nix\n\"\1", 6, "there is no RAM block \"nix\\n\\\"\\001\" to have a lost page" },
        { 11, "\0\0\0\0\1\0\0\0", 8, "RAM block 'pc.ram' has no pages at 0x1000000, 0x1000 bytes, that could be lost" },
        { 11, "\0\0\0\0\0\0\0\1", 8, "RAM block 'pc.ram' has no pages at 0x1, 0x1000 bytes, that could be lost" },
        { 19, "\0\0\0\0\0\0\0\0", 8, "RAM block 'pc.ram' has no pages at 0x605000, 0x0 bytes, that could be lost" },
        { 19, "\xff\xff\xff\xff\xff\xff\xf0\0", 8, "RAM block 'pc.ram' has no pages at 0x605000, 0xfffffffffffff000 bytes" },
        { 27, "\x80", 1, "flags 0x80 of a lost page are not known" },
    };
    g_autofree char *path = g_build_filename(qtest_dir(), "stream", NULL);
    size_t len, at;
    g_autofree char *stream = stream_with_list(path, &len, &at);

    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autofree char *bad = g_memdup2(stream, len);

        memcpy(bad + at + lies[i].at, lies[i].bytes, lies[i].len);
        g_assert_true(g_file_set_contents(path, bad, len, NULL));
        load(path, lies[i].says);
    }
    remove(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poison-events/notice-without-kvm-is-kept", test_notice_without_kvm_is_kept);
    g_test_add_func("/poison-events/notice-says-how-much", test_notice_says_how_much);
    g_test_add_func("/poison-events/many-notices-at-once", test_many_notices_at_once);
    g_test_add_func("/poison-events/notice-of-own-memory", test_notice_of_own_memory);
    g_test_add_func("/poison-events/own-memory-is-fatal", test_own_memory_is_fatal);
    g_test_add_func("/poison-events/refused-until-it-is-told", test_refused_until_it_is_told);
    g_test_add_func("/poison-events/reset-brings-fresh-pages", test_reset_brings_fresh_pages);
    g_test_add_func("/poison-events/reset-keeps-what-cannot-be-replaced", test_reset_keeps_what_cannot_be_replaced);
    g_test_add_func("/poison-events/devices-get-errors", test_devices_get_errors);
    g_test_add_func("/poison-events/list-stays-behind", test_list_stays_behind);
    g_test_add_func("/poison-events/many-pages", test_many_pages);
    g_test_add_func("/poison-events/nothing-follows-in-postcopy", test_nothing_follows_in_postcopy);
    g_test_add_func("/poison-events/lost-in-postcopy", test_lost_in_postcopy);
    g_test_add_func("/poison-events/postcopy-waits-until-it-is-told", test_postcopy_waits_until_it_is_told);
    g_test_add_func("/poison-events/reset-in-postcopy", test_reset_in_postcopy);
    g_test_add_func("/poison-events/lost-page-in-postcopy-without-marks", test_lost_page_without_marks);
    g_test_add_func("/poison-events/shared-memory-stays-what-it-is", test_shared_memory_stays_what_it_is);
    g_test_add_func("/poison-events/section-is-the-golden-one", test_section_is_the_golden_one);
    g_test_add_func("/poison-events/section-that-lies", test_section_that_lies);
    return g_test_run();
}
