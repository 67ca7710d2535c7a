/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user disk over every kind of ring and interface. The back end lives in this process, serves several machines at a
 * time (a move has two), and drops what it sees before a ring is enabled.
 */
#include "util/osdep.h"

#include "../vhost-user/backend.h"
#include "util/bytes.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000
#define BUFFER 0x400000
#define SECTORS 128
#define BIT(n) (UINT64_C(1) << (n))

typedef struct Way {
    const char *name, *type;
    unsigned flags;
    uint64_t wanted;
} Way;

#define PLAIN (~(BIT(VIRTIO_INDIRECT)))

static const Way ways[] = {
    { "modern/split", "vhost-user-blk-pci", VIRTIO_DRIVER_MSIX, UINT64_MAX },
    { "modern/plain", "vhost-user-blk-pci-non-transitional", 0, PLAIN },
    { "modern/packed", "vhost-user-blk-pci,packed=on", VIRTIO_DRIVER_MSIX, UINT64_MAX },
    { "modern/packed-plain", "vhost-user-blk-pci,packed=on", 0, PLAIN },
    { "legacy/split", "vhost-user-blk-pci-transitional", VIRTIO_DRIVER_LEGACY | VIRTIO_DRIVER_MSIX,
      UINT64_MAX },
    { "legacy/intx", "vhost-user-blk-pci,disable-modern=on", VIRTIO_DRIVER_LEGACY, PLAIN },
};

typedef struct Test {
    Backend *backend;
    VirtioDriver d;
    VirtioQueue vq[2];
} Test;

static void start(Test *t, const Way *way, uint64_t protocol)
{
    g_autofree char *path = g_strdup_printf("%s/vu", g_get_tmp_dir());
    BackendOptions o = {
        .path = path,
        .personality = BACKEND_BLK,
        .queues = 2,
        .image_size = SECTORS * 512,
        .protocol = protocol,
        .features = BIT(6) | BIT(9) | BIT(12) | BIT(VHOST_F_LOG_ALL) | BIT(VIRTIO_INDIRECT) |
                    BIT(VIRTIO_VERSION_1) | BIT(VIRTIO_PACKED),
        .discard_requests = true,
        .discard_kicks = true,
    };
    GError *error = NULL;
    QTest *q;

    t->backend = backend_new(&o, &error);
    g_assert_no_error(error);
    backend_add_rule(t->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_DELAY, 2);
    for (unsigned i = 0; i < SECTORS * 512; i++) {
        backend_image(t->backend)[i] = (uint8_t)(i / 512);
    }
    q = qtest_start(
        "-machine %s,memory-backend=m0 -m 16 -object memory-backend-memfd,id=m0,size=16M,share=on "
        "-chardev socket,id=c0,path=%s -device %s,addr=4,id=d0,chardev=c0,num-queues=2",
        qtest_machine("pc"), path, way->type);
    virtio_driver_init(&t->d, q, DEVFN, way->flags, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&t->d, way->wanted);
    virtio_queue_init(&t->vq[0], &t->d, 0, 0);
    virtio_queue_init(&t->vq[1], &t->d, 1, 0);
    virtio_driver_ok(&t->d);
}

static void end(Test *t)
{
    BackendCounts c;

    qtest_end(t->d.q);
    backend_get_counts(t->backend, &c);
    g_assert_cmpuint(c.lost, ==, 0);
    backend_free(t->backend);
}

/* One request of 512 bytes; the status. */
static uint8_t request(Test *t, VirtioQueue *vq, uint32_t type, uint64_t sector, uint8_t fill)
{
    uint8_t header[16] = { 0 }, status;
    VirtioBuf bufs[3] = { { BUFFER, 16, false },
                          { BUFFER + 0x1000, 512, type == 0 },
                          { BUFFER + 0x2000, 1, true } };
    unsigned id;

    store_le32(header, type);
    store_le64(header + 8, sector);
    qtest_memwrite(t->d.q, BUFFER, header, sizeof(header));
    qtest_memset(t->d.q, BUFFER + 0x1000, fill, 512);
    qtest_memset(t->d.q, BUFFER + 0x2000, 0xff, 1);
    id = virtio_queue_add(vq, bufs, 3);
    virtio_queue_kick(vq);
    virtio_queue_wait(vq, id);
    qtest_memread(t->d.q, BUFFER + 0x2000, &status, 1);
    return status;
}

static bool holds(Test *t, uint8_t byte)
{
    uint8_t got[512];

    qtest_memread(t->d.q, BUFFER + 0x1000, got, sizeof(got));
    for (unsigned i = 0; i < sizeof(got); i++) {
        if (got[i] != byte) {
            return false;
        }
    }
    return true;
}

static void reads_and_writes(Test *t, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        VirtioQueue *vq = &t->vq[i & 1];

        g_assert_cmphex(request(t, vq, 1, i % SECTORS, (uint8_t)(0x80 + i)), ==, 0);
        g_assert_cmphex(backend_image(t->backend)[i % SECTORS * 512 + 100], ==,
                        (uint8_t)(0x80 + i));
        g_assert_cmphex(request(t, vq, 0, i % SECTORS, 0), ==, 0);
        g_assert_true(holds(t, (uint8_t)(0x80 + i)));
    }
    g_assert_cmphex(request(t, &t->vq[0], 0, SECTORS, 0), ==, 1);
}

static bool is_short(void)
{
    return g_getenv("QTEST_MOVE_EVERY") && !g_getenv("TERN_TEST_LONG");
}

/* Contents through both queues; again after a reset of the device and one of a queue. */
static void test_contents(gconstpointer opaque)
{
    const Way *way = opaque;
    Test t;

    if (is_short() && way != &ways[2]) {
        g_test_skip("a machine that moves all the time: TERN_TEST_LONG is not set");
        return;
    }
    start(&t, way, BACKEND_ALL_PROTOCOL);
    g_assert_cmpuint(virtio_device_read(&t.d, 0, 8), ==, SECTORS);
    reads_and_writes(&t, is_short() ? 1 : 40);
    if (is_short()) {
        end(&t);
        return;
    }
    if (t.d.features & BIT(VIRTIO_RING_RESET)) {
        virtio_queue_reset(&t.vq[1]);
        reads_and_writes(&t, 10);
    }
    virtio_driver_reset(&t.d);
    virtio_driver_negotiate(&t.d, way->wanted);
    virtio_queue_init(&t.vq[0], &t.d, 0, 0);
    virtio_queue_init(&t.vq[1], &t.d, 1, 0);
    virtio_driver_ok(&t.d);
    reads_and_writes(&t, 10);
    end(&t);
}

static void test_without_reply_ack(void)
{
    Test t;

    if (is_short()) {
        g_test_skip("a machine that moves all the time: TERN_TEST_LONG is not set");
        return;
    }
    start(&t, &ways[0], BACKEND_NO_ACK);
    reads_and_writes(&t, 10);
    end(&t);
}

/* What the back end signals is an interrupt of the guest. */
static void test_interrupt(void)
{
    VirtioBuf bufs[3] = { { BUFFER, 16, false },
                          { BUFFER + 0x1000, 512, true },
                          { BUFFER + 0x2000, 1, true } };
    Test t;

    if (is_short()) {
        g_test_skip("a machine that moves all the time: TERN_TEST_LONG is not set");
        return;
    }
    start(&t, &ways[0], BACKEND_ALL_PROTOCOL);
    qtest_memset(t.d.q, BUFFER, 0, 16);
    virtio_queue_add(&t.vq[1], bufs, 3);
    virtio_queue_kick(&t.vq[1]);
    virtio_wait_interrupt(&t.d, 2);
    end(&t);
}

/* A legacy driver may write its features at any time. Queues that the back end serves are not taken away by that. */
static void test_features_written_while_a_card_runs(void)
{
    enum { MQ = 22, CTRL_VQ = 17, QUEUES = 5, SELECT = 14, PFN = 8, GF = 4 };
    g_autofree char *path = g_strdup_printf("%s/vu", g_get_tmp_dir());
    BackendOptions o = {
        .path = path,
        .personality = BACKEND_NET,
        .queues = 4,
        .protocol = BACKEND_ALL_PROTOCOL,
        .features = BIT(MQ) | BIT(VIRTIO_INDIRECT) | BIT(VIRTIO_VERSION_1),
    };
    GError *error = NULL;
    Backend *backend = backend_new(&o, &error);
    VirtioQueue vq[QUEUES];
    VirtioDriver d;
    QTest *q;

    g_assert_no_error(error);
    q = qtest_start(
        "-machine %s,memory-backend=m0 -m 16 -object memory-backend-memfd,id=m0,size=16M,share=on "
        "-chardev socket,id=c0,path=%s -netdev vhost-user,id=n0,chardev=c0,queues=2 "
        "-device virtio-net-pci-transitional,mq=on,netdev=n0,addr=4,romfile=",
        qtest_machine("pc"), path);
    qtest_set_moving(q, false);
    virtio_driver_init(&d, q, DEVFN, VIRTIO_DRIVER_LEGACY, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&d, UINT64_MAX);
    g_assert_cmphex(d.features & BIT(MQ), !=, 0);
    for (unsigned i = 0; i < QUEUES; i++) {
        virtio_queue_init(&vq[i], &d, i, 0);
    }
    virtio_driver_ok(&d);
    qtest_outl(q, d.io + GF, BIT(CTRL_VQ));
    qtest_outl(q, d.io + GF, (uint32_t)d.features);
    for (unsigned i = 0; i < QUEUES; i++) {
        qtest_outw(q, d.io + SELECT, i);
        g_assert_cmphex(qtest_inl(q, d.io + PFN), ==, vq[i].desc >> 12);
    }
    virtio_driver_reset(&d);
    qtest_end(q);
    backend_free(backend);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *path = g_strdup_printf("/vhost-user/contents/%s", ways[i].name);

        g_test_add_data_func(path, &ways[i], test_contents);
    }
    g_test_add_func("/vhost-user/without_reply_ack", test_without_reply_ack);
    g_test_add_func("/vhost-user/interrupt", test_interrupt);
    g_test_add_func("/vhost-user/features-written-while-a-card-runs",
                    test_features_written_while_a_card_runs);
    return g_test_run();
}
