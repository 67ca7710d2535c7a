/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-balloon: pages given and taken back, the target, statistics, free page reporting. */
#include "util/osdep.h"
#include "util/bytes.h"
#include "qtest-internal.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000
#define PFNS 0x400000
#define PAGE 0x500000
#define RAM (16 << 20)
#define CARD "/machine/peripheral/b"

enum { INFLATE, DEFLATE, STATS, REPORTING };

typedef struct Balloon {
    VirtioDriver d;
    VirtioQueue vq[4];
    QTest *q;
} Balloon;

static void start_driver(Balloon *b, unsigned flags, unsigned queues)
{
    qtest_set_moving(b->q, g_getenv("TERN_TEST_LONG"));
    virtio_driver_init(&b->d, b->q, DEVFN, flags, 0xc000, 0xe0000000, HEAP);
    qtest_set_moving(b->q, true);
    virtio_driver_negotiate(&b->d, VIRTIO_DRIVER_ALL);
    for (unsigned n = 0; n < queues; n++) {
        virtio_queue_init(&b->vq[n], &b->d, n, 0);
    }
    virtio_driver_ok(&b->d);
}

static void start(Balloon *b, const char *args)
{
    b->q = qtest_start("-machine %s -m 16 -device virtio-balloon-pci,id=b,addr=4%s",
                       qtest_machine("pc"), args);
    start_driver(b, VIRTIO_DRIVER_MSIX, strstr(args, "free-page-reporting=on") ? 4 : 3);
}

static void give(Balloon *b, unsigned queue, const VirtioBuf *buf)
{
    unsigned id = virtio_queue_add(&b->vq[queue], buf, 1);

    virtio_queue_kick(&b->vq[queue]);
    g_assert_cmpuint(virtio_queue_wait(&b->vq[queue], id), ==, 0);
}

static int64_t query(QTest *q)
{
    json_object *answer = qtest_qmp_return(q, "{'execute': 'query-balloon'}");
    int64_t actual = qtest_json_int(answer, "actual");

    json_object_put(answer);
    return actual;
}

/* A page in the balloon reads as zeros, its neighbours are left alone; nonsense numbers do no harm. */
static void test_inflate(void)
{
    static const uint32_t pages[] = { PAGE >> 12, 0xffffffff, 0xfec00, 0xf0, 1 << 20 };
    VirtioBuf buf = { PFNS, sizeof(pages), false };
    Balloon b;

    start(&b, "");
    qtest_memset(b.q, PAGE - 0x1000, 0xaa, 0x3000);
    qtest_memwrite(b.q, PFNS, pages, sizeof(pages));
    give(&b, INFLATE, &buf);
    g_assert_cmphex(qtest_readl(b.q, PAGE), ==, 0);
    g_assert_cmphex(qtest_readl(b.q, PAGE + 0xffc), ==, 0);
    g_assert_cmphex(qtest_readl(b.q, PAGE - 4), ==, 0xaaaaaaaa);
    g_assert_cmphex(qtest_readl(b.q, PAGE + 0x1000), ==, 0xaaaaaaaa);
    qtest_writel(b.q, PAGE, 0x12345678);
    give(&b, DEFLATE, &buf);
    g_assert_cmphex(qtest_readl(b.q, PAGE), ==, 0x12345678);
    qtest_end(b.q);
}

static void test_target(void)
{
    Balloon b;
    char *text;

    start(&b, "");
    g_assert_cmpint(query(b.q), ==, RAM);
    g_assert_cmphex(virtio_device_read(&b.d, 0, 8), ==, 0);
    qtest_qmp_ok(b.q, "{'execute': 'balloon', 'arguments': {'value': %d}}", RAM - (5 << 12));
    virtio_wait_interrupt(&b.d, 0);
    g_assert_cmphex(virtio_device_read(&b.d, 0, 4), ==, 5);
    g_assert_cmpint(query(b.q), ==, RAM);
    virtio_device_write(&b.d, 4, 5, 4);
    json_object_put(qtest_wait_event(b.q, "BALLOON_CHANGE"));
    g_assert_cmpint(query(b.q), ==, RAM - (5 << 12));
    text = qtest_hmp(b.q, "info balloon");
    g_assert_cmpstr(text, ==, "balloon: actual=15\r\n");
    g_free(text);
    text = qtest_hmp(b.q, "balloon 12");
    g_assert_cmpstr(text, ==, "");
    g_free(text);
    g_assert_cmphex(virtio_device_read(&b.d, 0, 4), ==, 0x400);
    qtest_qmp_fails(b.q, "GenericError", "Parameter 'value' expects a size",
                    "{'execute': 'balloon', 'arguments': {'value': 0}}");
    qtest_qmp_ok(b.q, "{'execute': 'balloon', 'arguments': {'value': 1099511627776}}");
    g_assert_cmphex(virtio_device_read(&b.d, 0, 4), ==, 0);
    qtest_end(b.q);
}

static void test_without(void)
{
    QTest *q = qtest_start("-machine %s -m 16", qtest_machine("pc"));
    g_autofree char *out = NULL;

    qtest_qmp_fails(q, "DeviceNotActive", "No balloon device has been activated",
                    "{'execute': 'query-balloon'}");
    qtest_qmp_fails(q, "DeviceNotActive", "No balloon device has been activated",
                    "{'execute': 'balloon', 'arguments': {'value': 1}}");
    qtest_end(q);
    g_assert_cmpint(
        qtest_run(&out,
                  "-accel qtest -display none -nodefaults -machine %s -device virtio-balloon-pci "
                  "-device virtio-balloon-pci",
                  qtest_machine("pc")),
        ==, 1);
    g_assert_nonnull(strstr(out, "Only one balloon device is supported"));
}

/* ---- statistics --------------------------------------------------------------------------------------------------- */

static uint64_t stat(QTest *q, const char *name)
{
    g_autofree char *path = g_strdup_printf("stats.%s", name);
    json_object *answer = qtest_qmp_return(q, "{'execute': 'qom-get', 'arguments': {'path': '" CARD
                                              "', 'property': 'guest-stats'}}");
    uint64_t value = qtest_json_int(answer, path);

    json_object_put(answer);
    return value;
}

static void write_stats(Balloon *b, uint64_t value)
{
    uint8_t stats[40] = { 0 };

    store_le16(stats, 4);
    store_le64(stats + 2, value);
    store_le16(stats + 10, 9999); /* one that nobody knows */
    store_le16(stats + 20, 0);
    store_le64(stats + 22, 77);
    qtest_memwrite(b->q, PFNS, stats, sizeof(stats));
}

/* The buffer comes back when the manager polls, and what is in it then is told. */
static void test_stats(void)
{
    VirtioBuf buf = { PFNS, 30, false };
    Balloon b;
    unsigned id;

    start(&b, "");
    write_stats(&b, 1000);
    id = virtio_queue_add(&b.vq[STATS], &buf, 1);
    virtio_queue_kick(&b.vq[STATS]);
    while (stat(b.q, "stat-free-memory") != 1000) {
    }
    g_assert_cmpuint(stat(b.q, "stat-swap-in"), ==, 77);
    g_assert_false(virtio_queue_is_done(&b.vq[STATS], id));
    qtest_qmp_ok(b.q, "{'execute': 'qom-set', 'arguments': {'path': '" CARD
                      "', 'property': 'guest-stats-polling-interval', 'value': 2}}");
    qtest_set_moving(b.q,
                     false); /* the interval is the manager's, who sets it again after a move */
    qtest_clock_step(b.q, INT64_C(1900000000));
    g_assert_false(virtio_queue_is_done(&b.vq[STATS], id));
    qtest_clock_step(b.q, INT64_C(200000000));
    g_assert_cmpuint(virtio_queue_wait(&b.vq[STATS], id), ==, 0);
    write_stats(&b, 2000);
    id = virtio_queue_add(&b.vq[STATS], &buf, 1);
    virtio_queue_kick(&b.vq[STATS]);
    while (stat(b.q, "stat-free-memory") != 2000) {
    }
    qtest_move(b.q); /* with the buffer in flight: it is there on the other side */
    while (stat(b.q, "stat-free-memory") != 2000) {
    }
    qtest_qmp_ok(b.q, "{'execute': 'qom-set', 'arguments': {'path': '" CARD
                      "', 'property': 'guest-stats-polling-interval', 'value': 1}}");
    qtest_clock_step(b.q, INT64_C(1100000000));
    g_assert_cmpuint(virtio_queue_wait(&b.vq[STATS], id), ==, 0);
    qtest_qmp_fails(b.q, "GenericError", "timer value must be greater than zero",
                    "{'execute': 'qom-set', 'arguments': {'path': '" CARD
                    "', 'property': 'guest-stats-polling-interval', 'value': -1}}");
    qtest_qmp_fails(b.q, "GenericError", "timer value is too big",
                    "{'execute': 'qom-set', 'arguments': {'path': '" CARD
                    "', 'property': 'guest-stats-polling-interval', 'value': 8589934592}}");
    qtest_end(b.q);
}

/* Two buffers at once are one too many: the first one comes back. */
static void test_two_stats_buffers(void)
{
    VirtioBuf buf = { PFNS, 30, false };
    Balloon b;
    unsigned first;

    start(&b, ",packed=on");
    write_stats(&b, 1);
    first = virtio_queue_add(&b.vq[STATS], &buf, 1);
    virtio_queue_add(&b.vq[STATS], &buf, 1);
    virtio_queue_kick(&b.vq[STATS]);
    g_assert_cmpuint(virtio_queue_wait(&b.vq[STATS], first), ==, 0);
    virtio_driver_reset(&b.d);
    g_assert_cmphex(stat(b.q, "stat-free-memory"), !=, 1);
    qtest_end(b.q);
}

/* ---- reporting ----------------------------------------------------------------------------------------------------- */

static void test_reporting(void)
{
    VirtioBuf bufs[2] = { { PAGE, 0x2000, true }, { PAGE + 0x4800, 0x1000, true } };
    Balloon b;
    unsigned id;

    start(&b, ",free-page-reporting=on");
    qtest_memset(b.q, PAGE, 0xaa, 0x8000);
    id = virtio_queue_add(&b.vq[REPORTING], bufs, 2);
    virtio_queue_kick(&b.vq[REPORTING]);
    virtio_queue_wait(&b.vq[REPORTING], id);
    g_assert_cmphex(qtest_readl(b.q, PAGE), ==, 0);
    g_assert_cmphex(qtest_readl(b.q, PAGE + 0x1ffc), ==, 0);
    g_assert_cmphex(qtest_readl(b.q, PAGE + 0x2000), ==, 0xaaaaaaaa);
    g_assert_cmphex(qtest_readl(b.q, PAGE + 0x4800), ==, 0xaaaaaaaa); /* no whole page */
    virtio_device_write(&b.d, 12, 0x55, 4); /* from now on free pages are full of 55h */
    qtest_memset(b.q, PAGE, 0x55, 0x2000);
    id = virtio_queue_add(&b.vq[REPORTING], bufs, 1);
    virtio_queue_kick(&b.vq[REPORTING]);
    virtio_queue_wait(&b.vq[REPORTING], id);
    g_assert_cmphex(qtest_readl(b.q, PAGE), ==, 0x55555555);
    qtest_end(b.q);
}

/* ---- postcopy ------------------------------------------------------------------------------------------------------ */

static void set_up_postcopy(QTest *q)
{
    qtest_set_moving(q, false);
    qtest_qmp_ok(q, "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                    "[{'capability': 'postcopy-ram', 'state': true}]}}");
    qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 1000, 'max-postcopy-bandwidth': 1000}}");
}

static void wait_migration(QTest *q, const char *wanted)
{
    for (bool there = false; !there; g_usleep(1000)) {
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
        const char *status = qtest_json_string(info, "status");

        g_assert_cmpstr(status, !=, "failed");
        there = !strcmp(status, wanted);
        json_object_put(info);
    }
}

/* A page that has come, and that the guest gives back while others still come, is zeros; nobody waits for it. */
static void test_given_back_in_postcopy(void)
{
    static const uint32_t pages[] = { PAGE >> 12 };
    VirtioBuf buf = { PFNS, sizeof(pages), false };
    g_autofree char *path = g_build_filename(qtest_dir(), "m.sock", NULL);
    Balloon b;

    start(&b, "");
    QTest *a = b.q, *there = qtest_start("-machine %s -m 16 -device virtio-balloon-pci,id=b,addr=4 -incoming unix:%s",
                                         qtest_machine("pc"), path);
    set_up_postcopy(a);
    set_up_postcopy(there);
    qtest_memset(a, 0x800000, 0x55, 0x400000); /* there is enough to come */
    qtest_memset(a, PAGE, 0xaa, 0x2000);
    qtest_memwrite(a, PFNS, pages, sizeof(pages));
    qtest_qmp_ok(a, "{'execute': 'migrate', 'arguments': {'uri': 'unix:%s'}}", path);
    wait_migration(a, "active");
    qtest_qmp_ok(a, "{'execute': 'migrate-start-postcopy'}");
    wait_migration(a, "postcopy-active");
    qtest_wait_status(there, "running");
    g_assert_cmphex(qtest_readl(there, PAGE), ==, 0xaaaaaaaa); /* it has come */
    b.q = b.d.q = there;
    give(&b, INFLATE, &buf);
    g_assert_cmphex(qtest_readl(there, PAGE), ==, 0);
    g_assert_cmphex(qtest_readl(there, PAGE + 0x1000), ==, 0xaaaaaaaa);
    qtest_qmp_ok(a, "{'execute': 'migrate-set-parameters', 'arguments': {'max-postcopy-bandwidth': 0}}");
    wait_migration(a, "completed");
    wait_migration(there, "completed");
    g_assert_cmphex(qtest_readl(there, PAGE), ==, 0);
    qtest_end(a);
    qtest_end(there);
}

/*
 * The driver kicks, and the machine stops before the device has looked: all that was made available by then is done when the machine
 * stands still. A stock destination looks at a ring only when it is kicked, and nobody would kick it again.
 */
static void kicked_before_a_stop(unsigned n)
{
    static const uint32_t page = PAGE >> 12;
    VirtioBuf buf = { PFNS, sizeof(page), false };
    unsigned id, done = 0;
    uint32_t len;
    Balloon b;

    b.q = qtest_start("-machine pc -m 16 -device virtio-balloon-pci,id=b,addr=4 -device pvpanic -action panic=pause");
    start_driver(&b, VIRTIO_DRIVER_MSIX, 3);
    qtest_set_moving(b.q, false);
    qtest_memset(b.q, PAGE, 0xaa, 0x1000);
    qtest_memwrite(b.q, PFNS, &page, sizeof(page));
    for (unsigned i = 0; i < n; i++) {
        virtio_queue_add(&b.vq[INFLATE], &buf, 1);
    }
    /* Both in one piece: the emulator does not look at anything else in between, and stops before it does. */
    g_autofree char *lines = g_strdup_printf("writew 0x%" PRIx64 " %u\noutb 0x505 1\n",
                                             b.d.notify + INFLATE * b.d.notify_multiplier, INFLATE);
    qtest_write_all(b.q->process, false, lines, strlen(lines));
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *answer = qtest_read_line(b.q->process, false, 60000);

        g_assert_cmpstr(answer, ==, "OK");
    }
    qtest_wait_status(b.q, "guest-panicked");
    while (virtio_queue_poll(&b.vq[INFLATE], &id, &len)) {
        done++;
    }
    g_assert_cmpuint(done, ==, n);
    g_assert_cmphex(qtest_readl(b.q, PAGE), ==, 0);
    qtest_end(b.q);
}

static void test_kicked_before_a_stop(void)
{
    kicked_before_a_stop(1);
    kicked_before_a_stop(128); /* a full ring */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-balloon/inflate", test_inflate);
    g_test_add_func("/virtio-balloon/target", test_target);
    g_test_add_func("/virtio-balloon/without", test_without);
    g_test_add_func("/virtio-balloon/stats", test_stats);
    g_test_add_func("/virtio-balloon/two-stats-buffers", test_two_stats_buffers);
    g_test_add_func("/virtio-balloon/reporting", test_reporting);
    g_test_add_func("/virtio-balloon/given-back-in-postcopy", test_given_back_in_postcopy);
    g_test_add_func("/virtio-balloon/kicked-before-a-stop", test_kicked_before_a_stop);
    return g_test_run();
}
