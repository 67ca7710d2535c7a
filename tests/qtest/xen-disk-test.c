/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A front end of Xen's block device against xen-disk: grants per request, persistent ones and copies; moved at every
 * step, live and with a front end that connects anew and repeats what it had no answer for. And the reports of 2014:
 * what a back end does to a migration that does not stop for it (x-quiesce=off).
 */
#include "util/osdep.h"
#include "xen-driver.h"

#include <glib.h>
#include "util/bytes.h"

/* moving: a move costs some 40 ms, and there are hundreds of commands; the other ways have moves of their own. */
static bool moving;

static XenFront *start(bool persistent, const char *options, const char *more)
{
    XenFront *f = g_new0(XenFront, 1);
    const char *image = qtest_image("xen.img", XEN_IMAGE, XEN_SEED);
    QTest *q = f->q =
        qtest_start("-M pc -m 16 -drive if=none,id=d0,file=%s,format=raw -device x-xen-host "
                    "-device xen-disk,drive=d0,vdev=xvda%s %s",
                    image, options, more);
    qtest_set_moving(q, moving);
    xen_attach(f, persistent);
    return f;
}

static void finish(XenFront *f)
{
    qtest_end(f->q);
    g_free(f);
}

/* ---- what a disk does ---- */

typedef struct Way {
    const char *name, *options;
    bool persistent;
} Way;

static const Way ways[] = {
    { "mapped", "", false },
    { "persistent", "", true },
    { "copied", ",x-copy=on", false },
};

static void test_requests(gconstpointer data)
{
    const Way *way = data;
    moving = way == ways;
    XenFront *f = start(way->persistent, way->options, "");
    moving = false;
    g_autofree char *sectors = xen_store_read(f->q, XEN_BACK "/sectors");
    g_assert_cmpstr(sectors, ==, "2048");
    xen_run(f, XEN_OP_READ, 8, 0, 11, 0);
    xen_check_read(f, 8, 0, 11);
    g_assert_cmpint(xen_in_use(f->q, XEN_FIRST_GRANT), ==, way->persistent);
    g_assert_true(xen_in_use(f->q, XEN_RING_GRANT));
    qtest_memset(f->q, XEN_DATA + 12 * 4096, 0x3c, 2 * 4096);
    xen_run(f, XEN_OP_WRITE, 100, 12, 2, 0);
    xen_run(f, XEN_OP_FLUSH, 0, 0, 0, 0);
    qtest_memset(f->q, XEN_DATA, 0, 4 * 4096);
    xen_run(f, XEN_OP_READ, 92, 0, 4, 0);
    g_assert_cmphex(qtest_readl(f->q, XEN_DATA + 4096), ==, 0x3c3c3c3c);
    g_assert_cmphex(qtest_readb(f->q, XEN_DATA + 4095), ==,
                    qtest_image_byte(100 * XEN_SECTOR - 1, XEN_SEED));
    g_assert_cmphex(qtest_readb(f->q, XEN_DATA + 3 * 4096), ==,
                    qtest_image_byte(116 * XEN_SECTOR, XEN_SEED));
    xen_run(f, XEN_OP_BARRIER, 200, 12, 1, 0);
    xen_run(f, XEN_OP_READ, 2040, 0, 2, -1); /* beyond the end */
    xen_run(f, 17, 0, 0, 0, -2);
    /* a page that was not granted, and one that is not to be written */
    xen_put_request(f, 5, XEN_OP_READ, 0, 0, 1);
    store_le32(f->shadow[5] + 24, 400);
    xen_put_request(f, 6, XEN_OP_READ, 0, 20, 1);
    xen_grant(f->q, XEN_FIRST_GRANT + 20, XEN_DATA + 20 * 4096, true);
    xen_push(f, 5);
    xen_push(f, 6);
    xen_kick(f);
    for (int i = 0; i < 2; i++) {
        int16_t status;
        xen_take(f, &status);
        g_assert_cmpint(status, ==, -1);
    }
    finish(f);
}

static void test_store(void)
{
    XenFront *f = start(false, "", "");
    QTest *q = f->q;
    uint32_t type = XS_DIRECTORY;
    g_autofree char *names = xen_store_request(q, &type, 0, "device/vbd", 11);
    g_assert_cmpstr(names, ==, "51712");
    type = XS_WRITE;
    g_autofree char *refused = xen_store_request(q, &type, 0, "/local/domain/0/x\0y", 19);
    g_assert_cmpstr(refused, ==, "EACCES");
    type = XS_READ;
    g_autofree char *none = xen_store_request(q, &type, 0, "nothing", 8);
    g_assert_cmpstr(none, ==, "ENOENT");
    /* two transactions: the second one to end has lost */
    type = XS_TRANSACTION_START;
    g_autofree char *one = xen_store_request(q, &type, 0, "", 1);
    type = XS_TRANSACTION_START;
    g_autofree char *two = xen_store_request(q, &type, 0, "", 1);
    xen_store_write(q, atoi(one), "data/a", "1");
    xen_store_write(q, atoi(two), "data/a", "2");
    g_assert_null(xen_store_read(q, "data/a"));
    type = XS_TRANSACTION_END;
    g_autofree char *first = xen_store_request(q, &type, atoi(one), "T", 2);
    type = XS_TRANSACTION_END;
    g_autofree char *second = xen_store_request(q, &type, atoi(two), "T", 2);
    g_assert_cmpstr(first, ==, "OK");
    g_assert_cmpstr(second, ==, "EAGAIN");
    g_autofree char *value = xen_store_read(q, "data/a");
    g_assert_cmpstr(value, ==, "1");
    finish(f);
}

/* A transaction that is never ended and goes on and on costs no more than it may. */
static void test_endless_transaction(void)
{
    XenFront *f = start(false, "", "");
    uint32_t type = XS_TRANSACTION_START;
    g_autofree char *id = xen_store_request(f->q, &type, 0, "", 1), *said = NULL;
    unsigned changes = 0;
    for (type = XS_WRITE; type == XS_WRITE && changes < 2000; changes++) {
        g_free(said);
        said = xen_store_request(f->q, &type, atoi(id), "data/a\0001", 8);
    }
    g_assert_cmpstr(said, ==, "ENOSPC");
    g_assert_cmpuint(changes, ==, 1025);
    qtest_move(f->q);
    type = XS_TRANSACTION_END;
    g_free(said);
    said = xen_store_request(f->q, &type, atoi(id), "T", 2);
    g_assert_cmpstr(said, ==, "OK");
    g_autofree char *value = xen_store_read(f->q, "data/a");
    g_assert_cmpstr(value, ==, "1");
    finish(f);
}

/* ---- moves with requests under way ---- */

/* Eight requests: six reads, of which each has two pages of its own, a write and a flush. */
#define REQUESTS 8
#define THE_WRITE 5
#define THE_FLUSH 6
#define WRITTEN_PAGE 16

static void push_requests(XenFront *f)
{
    for (unsigned id = 0; id < REQUESTS; id++) {
        if (id == THE_WRITE) {
            xen_put_request(f, id, XEN_OP_WRITE, id * 16, WRITTEN_PAGE, 1);
        } else if (id == THE_FLUSH) {
            xen_put_request(f, id, XEN_OP_FLUSH, 0, 0, 0);
        } else {
            xen_put_request(f, id, XEN_OP_READ, id * 16, id * 2, 2);
        }
        xen_push(f, id);
    }
    xen_kick(f);
}

static void take_good(XenFront *f)
{
    int16_t status;
    xen_take(f, &status);
    g_assert_cmpint(status, ==, 0);
}

/* As a front end does after a suspend: what has an answer is taken, everything else repeated on a new connection. */
static void reconnect_and_repeat(XenFront *f)
{
    while (qtest_readl(f->q, XEN_RING + 8) != f->rsp_cons) {
        take_good(f);
    }
    xen_store_write(f->q, 0, XEN_FRONT "/state", "1");
    xen_expect_back_state(f->q, "2");
    xen_connect_front(f, f->persistent);
    for (unsigned id = 0; id < REQUESTS; id++) {
        if (f->outstanding[id]) {
            xen_push(f, id);
        }
    }
    xen_kick(f);
}

static bool any_outstanding(const XenFront *f)
{
    return memchr(f->outstanding, true, sizeof(f->outstanding)) != NULL;
}

static void move_with_requests(const Way *way, const char *late, bool reconnect)
{
    g_autofree char *options = g_strconcat(way->options, late, NULL);
    XenFront *f = start(way->persistent, options, "");
    QTest *q = f->q;
    qtest_set_moving(q, false);
    qtest_memset(q, XEN_DATA + WRITTEN_PAGE * 4096, 0x5d, 4096);
    push_requests(f);
    qtest_move(q);
    for (unsigned i = 0; i < XEN_PAGES; i++) {
        g_assert_false(xen_in_use(q, XEN_FIRST_GRANT + i) && !way->persistent);
    }
    if (reconnect) {
        reconnect_and_repeat(f);
    }
    while (any_outstanding(f)) {
        take_good(f);
    }
    for (unsigned id = 0; id < REQUESTS; id++) {
        if (id != THE_WRITE && id != THE_FLUSH) {
            xen_check_read(f, id * 16, id * 2, 2);
        }
    }
    xen_run(f, XEN_OP_READ, THE_WRITE * 16, 20, 1, 0);
    g_assert_cmphex(qtest_readl(q, XEN_DATA + 20 * 4096), ==, 0x5d5d5d5d);
    finish(f);
}

static void test_moved(gconstpointer data)
{
    move_with_requests(data, "", false);
    move_with_requests(data, ",x-late-ms=20", false);
}

static void test_replay_after_resume(gconstpointer data)
{
    move_with_requests(data, "", true);
    move_with_requests(data, ",x-late-ms=20", true);
}

/* ---- 2014 ---- */

static const char *migration_status(QTest *q)
{
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
    const char *status = g_intern_string(qtest_json_string(info, "status"));
    json_object_put(info);
    return status;
}

static void wait_migration(QTest *q, const char *wanted)
{
    for (int i = 0; i < 60000 && strcmp(migration_status(q), wanted); i++) {
        g_assert_false(strcmp(wanted, "failed") && !strcmp(migration_status(q), "failed"));
        g_usleep(1000);
    }
    g_assert_cmpstr(migration_status(q), ==, wanted);
}

/* A page that a persistent grant leads to is sent; then a request reads into it; then the rest is sent. Returns whether
 * the destination has what the guest had read. */
static bool read_behind_the_first_pass(const char *options)
{
    XenFront *f = start(true, options, "");
    QTest *q = f->q, *b;
    g_autofree char *path = g_build_filename(qtest_dir(), "x.sock", NULL);
    uint8_t bytes[4096];
    bool same = true;
    qtest_set_moving(q, false);
    xen_run(f, XEN_OP_READ, 0, 4, 1, 0); /* the page is mapped from now on */
    qtest_memset(q, XEN_DATA + 4 * 4096, 0x99, 4096);
    for (unsigned at = 0x400000; at < 0x600000; at += 0x100000) {
        qtest_memset(q, at, 0x42, 0x100000);
    }
    b = qtest_start("-M pc -m 16 -drive if=none,id=d0,file=%s,format=raw -device x-xen-host "
                    "-device xen-disk,drive=d0,vdev=xvda%s -incoming unix:%s",
                    qtest_image("xen.img", XEN_IMAGE, XEN_SEED), options, path);
    qtest_set_moving(b, false);
    qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 1000000, 'downtime-limit': 1}}");
    qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': 'unix:%s'}}", path);
    for (int i = 0; i < 60000; i++) { /* until what is above XEN_DATA is being sent */
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
        json_object *ram;
        bool enough = json_object_object_get_ex(info, "ram", &ram) &&
                      qtest_json_int(ram, "transferred") > 800000;
        json_object_put(info);
        if (enough) {
            break;
        }
        g_usleep(1000);
    }
    qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 50000}}");
    xen_run(f, XEN_OP_READ, 64, 4, 1, 0);
    xen_check_read(f, 64, 4, 1);
    qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': 0}}");
    wait_migration(q, "completed");
    qtest_wait_status(b, "running");
    qtest_memread(b, XEN_DATA + 4 * 4096, bytes, sizeof(bytes));
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        same &= bytes[i] == qtest_image_byte(64 * XEN_SECTOR + i, XEN_SEED);
    }
    qtest_end(b);
    finish(f);
    return same;
}

static void test_persistent_grants_are_logged(void)
{
    g_assert_true(read_behind_the_first_pass(""));
    g_assert_false(read_behind_the_first_pass(",x-quiesce=off"));
}

/* A machine with one read under way (id 1, into page 0), whose completion is late. */
static XenFront *start_late(const char *options)
{
    XenFront *f = start(false, options, "");
    qtest_set_moving(f->q, false);
    xen_put_request(f, 1, XEN_OP_READ, 8, 0, 1);
    xen_push(f, 1);
    xen_kick(f);
    return f;
}

static void migrate_nowhere(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
}

static void pause_before_switchover(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                    "[{'capability': 'pause-before-switchover', 'state': true}]}}");
}

/* The migration fails with this text, and the guest runs on. */
static void expect_failure(QTest *q, const char *text)
{
    wait_migration(q, "failed");
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
    g_assert_nonnull(strstr(qtest_json_string(info, "error-desc"), text));
    json_object_put(info);
    qtest_wait_status(q, "running");
}

/* Without quiesce: it comes after everything has stopped, and is caught and named. */
static void test_late_completion(void)
{
    XenFront *f = start_late(",x-copy=on,x-quiesce=off,x-late-ms=3000"); /* all has stopped before */
    pause_before_switchover(f->q);
    migrate_nowhere(f->q);
    wait_migration(f->q, "pre-switchover");
    g_usleep(3500000);
    qtest_qmp_ok(f->q, "{'execute': 'migrate-continue', 'arguments': {'state': 'pre-switchover'}}");
    expect_failure(f->q, "wrote guest memory after it had been told to stop");
    finish(f);
}

/* With it: busy, bounded. */
static void test_late_completion_is_busy(void)
{
    XenFront *f = start_late(",x-late-ms=100000");
    qtest_qmp_ok(f->q, "{'execute': 'migrate-set-parameters', 'arguments': {'x-quiesce-timeout': 100}}");
    migrate_nowhere(f->q);
    expect_failure(f->q, "xen-disk: xen-disk xvda: a completion is on its way");
    finish(f);
}

/* The source goes on after a migration that was cancelled when all had stopped. */
static void test_goes_on_after_cancel(void)
{
    XenFront *f = start_late(",x-late-ms=30");
    pause_before_switchover(f->q);
    migrate_nowhere(f->q);
    wait_migration(f->q, "pre-switchover");
    qtest_qmp_ok(f->q, "{'execute': 'migrate_cancel'}");
    wait_migration(f->q, "cancelled");
    qtest_wait_status(f->q, "running");
    take_good(f);
    xen_check_read(f, 8, 0, 1);
    xen_run(f, XEN_OP_READ, 16, 2, 1, 0);
    xen_check_read(f, 16, 2, 1);
    finish(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *requests = g_strconcat("/xen-disk/requests/", ways[i].name, NULL);
        g_autofree char *moved = g_strconcat("/xen-disk/moved/", ways[i].name, NULL);
        g_autofree char *replay = g_strconcat("/xen-disk/replay-after-resume/", ways[i].name, NULL);
        g_test_add_data_func(requests, &ways[i], test_requests);
        g_test_add_data_func(moved, &ways[i], test_moved);
        g_test_add_data_func(replay, &ways[i], test_replay_after_resume);
    }
    g_test_add_func("/xen-disk/store", test_store);
    g_test_add_func("/xen-disk/store/endless-transaction", test_endless_transaction);
    g_test_add_func("/xen-disk/persistent-grants-are-logged", test_persistent_grants_are_logged);
    g_test_add_func("/xen-disk/late-completion", test_late_completion);
    g_test_add_func("/xen-disk/late-completion/busy", test_late_completion_is_busy);
    g_test_add_func("/xen-disk/goes-on-after-cancel", test_goes_on_after_cancel);
    return g_test_run();
}
