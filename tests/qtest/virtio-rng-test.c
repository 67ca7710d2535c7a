/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng: entropy over every kind of ring and interface, limits of rates, sources. */
#include "util/osdep.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000
#define BUFFER 0x400000
#define MACHINE "-machine %s -m 16 "

typedef struct Way {
    const char *name, *args;
    unsigned flags;
    uint64_t without; /* features that are not wanted */
} Way;

static const Way ways[] = {
    { "modern/split", "virtio-rng-pci,addr=4", VIRTIO_DRIVER_MSIX, 0 },
    { "modern/plain", "virtio-rng-pci-non-transitional,addr=4", 0,
      VIRTIO_FEATURE(VIRTIO_INDIRECT) | VIRTIO_FEATURE(VIRTIO_EVENT_IDX) },
    { "modern/packed", "virtio-rng-pci,addr=4,packed=on", VIRTIO_DRIVER_MSIX, 0 },
    { "modern/packed-plain", "virtio-rng-pci,addr=4,packed=on,ioeventfd=off", 0,
      VIRTIO_FEATURE(VIRTIO_INDIRECT) | VIRTIO_FEATURE(VIRTIO_EVENT_IDX) },
    { "legacy/split", "virtio-rng-pci-transitional,addr=4",
      VIRTIO_DRIVER_LEGACY | VIRTIO_DRIVER_MSIX, 0 },
    { "legacy/intx", "virtio-rng-pci,addr=4,disable-modern=on,ioeventfd=off", VIRTIO_DRIVER_LEGACY,
      0 },
};

/* Often enough to go round the ring of 8; a machine that moves all the time takes its time. */
static bool is_short(void)
{
    return g_getenv("QTEST_MOVE_EVERY") && !g_getenv("TERN_TEST_LONG");
}

static void start(const Way *way, VirtioDriver *d, VirtioQueue *vq, const char *more)
{
    QTest *q = qtest_start(MACHINE "-device %s%s", qtest_machine("pc"), way->args, more);

    qtest_set_moving(q, !is_short());
    virtio_driver_init(d, q, DEVFN, way->flags, 0xc000, 0xe0000000, HEAP);
    qtest_set_moving(q, true);
    virtio_driver_negotiate(d, ~way->without);
    virtio_queue_init(vq, d, 0, 0);
    virtio_driver_ok(d);
}

static bool all_zero(QTest *q, uint64_t at, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);

    qtest_memread(q, at, buf, len);
    for (size_t i = 0; i < len; i++) {
        if (buf[i]) {
            return false;
        }
    }
    return true;
}

/* Requests of one and of three buffers, until the ring has gone round a few times. */
static void test_entropy(gconstpointer opaque)
{
    VirtioDriver d;
    VirtioQueue vq;

    start(opaque, &d, &vq, "");
    for (unsigned i = 0; i < (is_short() ? 3 : 20); i++) {
        VirtioBuf bufs[3] = { { BUFFER, 64, true },
                              { BUFFER + 0x1000, 16, true },
                              { BUFFER + 0x2ff8, 16, true } };
        unsigned n = i % 3 == 2 ? 3 : 1, id;
        uint32_t len;

        qtest_memset(d.q, BUFFER, 0, 0x4000);
        id = virtio_queue_add(&vq, bufs, n);
        virtio_queue_kick(&vq);
        len = virtio_queue_wait(&vq, id);
        g_assert_cmpuint(len, ==, n == 1 ? 64 : 96);
        g_assert_false(all_zero(d.q, BUFFER, 64));
        g_assert_true(all_zero(d.q, BUFFER + 64, 64));
        g_assert_cmpint(all_zero(d.q, BUFFER + 0x2ff8, 16), ==, n == 1);
    }
    g_assert_cmpuint(vq.free, ==, vq.size);
    qtest_end(d.q);
}

/* All entries of the ring at once; one interrupt at least. */
static void test_many(gconstpointer opaque)
{
    VirtioDriver d;
    VirtioQueue vq;
    unsigned ids[8];

    start(opaque, &d, &vq, "");
    g_assert_cmpuint(vq.size, ==, 8);
    virtio_queue_want_interrupt(&vq, 1);
    for (unsigned i = 0; i < 8; i++) {
        VirtioBuf buf = { BUFFER + 64 * i, 32, true };

        ids[i] = virtio_queue_add(&vq, &buf, 1);
    }
    virtio_queue_notify(&vq);
    virtio_wait_interrupt(&d, 1);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmpuint(virtio_queue_wait(&vq, ids[i]), ==, 32);
        g_assert_false(all_zero(d.q, BUFFER + 64 * i, 32));
    }
    qtest_end(d.q);
}

/* ---- limits -------------------------------------------------------------------------------------------------- */

/* max-bytes=16 in 1000 ms: the second buffer waits for the period's end. */
static void test_quota(void)
{
    VirtioDriver d;
    VirtioQueue vq;
    VirtioBuf buf[2] = { { BUFFER, 16, true }, { BUFFER + 64, 16, true } };
    unsigned first, second;

    start(&ways[0], &d, &vq, ",max-bytes=16,period=1000");
    qtest_set_moving(d.q, false); /* a move refills the quota */
    first = virtio_queue_add(&vq, &buf[0], 1);
    second = virtio_queue_add(&vq, &buf[1], 1);
    virtio_queue_kick(&vq);
    g_assert_cmpuint(virtio_queue_wait(&vq, first), ==, 16);
    qtest_clock_step(d.q, 900 * 1000 * 1000);
    for (unsigned i = 0; i < 20; i++) {
        g_assert_false(virtio_queue_is_done(&vq, second));
    }
    qtest_clock_step(d.q, 200 * 1000 * 1000);
    g_assert_cmpuint(virtio_queue_wait(&vq, second), ==, 16);
    qtest_end(d.q);
}

static void test_bad_properties(void)
{
    static const struct {
        const char *args, *text;
    } bad[] = {
        { "-device virtio-rng-pci,period=0", "'period' parameter expects a positive integer" },
        { "-device virtio-rng-pci,max-bytes=9223372036854775808",
          "'max-bytes' parameter must be non-negative, and less than 2^63" },
        { "-device virtio-rng-pci,rng=none", "Device 'none' not found" },
        { "-device virtio-rng-pci,iommu_platform=on",
          "VIRTIO_F_IOMMU_PLATFORM was supported by neither legacy nor transitional device" },
        { "-device virtio-rng-pci-non-transitional,iommu_platform=on", "needs an IOMMU" },
        { "-device virtio-rng-pci,disable-modern=on,disable-legacy=on",
          "device cannot work as neither modern nor legacy mode is enabled" },
        { "-device virtio-rng-pci-transitional,disable-modern=on", "disable-modern' not found" },
        { "-object rng-random,id=r,filename=/nowhere/else", "Could not open '/nowhere/else'" },
        { "-object rng-egd,id=r,chardev=none", "Device 'none' not found" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *out = NULL;

        g_assert_cmpint(qtest_run(&out, "-accel qtest -display none -nodefaults -machine %s %s",
                                  qtest_machine("pc"), bad[i].args),
                        ==, 1);
        if (!strstr(out, bad[i].text)) {
            g_printerr("%s: %s", bad[i].args, out);
        }
        g_assert_nonnull(strstr(out, bad[i].text));
    }
}

/* ---- sources --------------------------------------------------------------------------------------------------- */

/* A file of known bytes: the guest sees them in their order. */
static void test_file(void)
{
    const char *image = qtest_image("entropy", 4096, 7);
    g_autofree char *args = g_strdup_printf(",rng=r -object rng-random,id=r,filename=%s", image);
    VirtioBuf buf = { BUFFER, 256, true };
    VirtioDriver d;
    VirtioQueue vq;
    uint8_t got[256];

    start(&ways[0], &d, &vq, args);
    qtest_set_moving(d.q, false); /* the other process reads from the beginning */
    virtio_queue_wait(&vq, (virtio_queue_add(&vq, &buf, 1), virtio_queue_kick(&vq), 0));
    qtest_memread(d.q, BUFFER, got, sizeof(got));
    for (unsigned i = 0; i < sizeof(got); i++) {
        g_assert_cmphex(got[i], ==, qtest_image_byte(i, 7));
    }
    qtest_qmp_fails(d.q, "GenericError", "object 'r' is in use",
                    "{'execute': 'object-del', 'arguments': {'id': 'r'}}");
    qtest_end(d.q);
}

/* Hot plug with a source made while the machine runs, and unplug. */
static void test_hotplug(void)
{
    VirtioBuf buf = { BUFFER, 64, true };
    VirtioDriver d;
    VirtioQueue vq;
    QTest *q;

    if (!qtest_machine_can_plug()) {
        return;
    }
    q = qtest_start(MACHINE, qtest_machine("pc"));
    qtest_qmp_ok(q,
                 "{'execute': 'object-add', 'arguments': {'qom-type': 'rng-builtin', 'id': 'r'}}");
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': 'virtio-rng-pci', 'id': "
                    "'v', 'addr': '4', "
                    "'rng': 'r', 'max-bytes': 1024, 'period': 1000}}");
    virtio_driver_init(&d, q, DEVFN, VIRTIO_DRIVER_MSIX, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&d, VIRTIO_DRIVER_ALL);
    virtio_queue_init(&vq, &d, 0, 0);
    virtio_driver_ok(&d);
    unsigned id = virtio_queue_add(&vq, &buf, 1);
    virtio_queue_kick(&vq);
    g_assert_cmpuint(virtio_queue_wait(&vq, id), ==, 64);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *entropy = g_strdup_printf("/virtio-rng/entropy/%s", ways[i].name);
        g_autofree char *many = g_strdup_printf("/virtio-rng/many/%s", ways[i].name);

        if (!is_short() || i % 2 == 0) {
            g_test_add_data_func(entropy, &ways[i], test_entropy);
        }
        if (!is_short() || i == 0) {
            g_test_add_data_func(many, &ways[i], test_many);
        }
    }
    g_test_add_func("/virtio-rng/quota", test_quota);
    g_test_add_func("/virtio-rng/bad-properties", test_bad_properties);
    g_test_add_func("/virtio-rng/file", test_file);
    g_test_add_func("/virtio-rng/hotplug", test_hotplug);
    return g_test_run();
}
