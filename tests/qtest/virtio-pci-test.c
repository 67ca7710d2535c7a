/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-pci (VIRTIO 1.2, chapter 4.1): identities, capabilities, every register, MSI-X and INTx, the window in configuration
 * space, features, and a driver that writes anything anywhere.
 */
#include "util/osdep.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define IO 0xc000
#define MMIO 0xe0000000
#define HEAP 0x100000
#define BUFFER 0x400000

static QTest *boot(const char *args)
{
    return qtest_start("-machine %s -m 16 -device %s,addr=4", qtest_machine("pc"), args);
}

static void init(VirtioDriver *d, const char *args, unsigned flags)
{
    QTest *q = boot(args);

    qtest_set_moving(q, g_getenv("TERN_TEST_LONG"));
    virtio_driver_init(d, q, DEVFN, flags, IO, MMIO, HEAP);
    qtest_set_moving(q, true);
}

/* Tests of what does not change do not move, unless time does not matter. */
static void stay(VirtioDriver *d)
{
    qtest_set_moving(d->q, g_getenv("TERN_TEST_LONG"));
}

/* ---- configuration space --------------------------------------------------------------------------------------- */

static void test_identities(void)
{
    static const struct {
        const char *args;
        uint32_t id, class_revision, subsystem, bar0, bar4;
    } want[] = {
        { "virtio-rng-pci", 0x10051af4, 0x00ff0000, 0x00041af4, 1, 0xc },
        { "virtio-rng-pci-transitional", 0x10051af4, 0x00ff0000, 0x00041af4, 1, 0xc },
        { "virtio-rng-pci-non-transitional", 0x10441af4, 0x00ff0001, 0x11001af4, 0, 0xc },
        { "virtio-rng-pci,disable-legacy=on", 0x10441af4, 0x00ff0001, 0x11001af4, 0, 0xc },
        { "virtio-rng-pci,disable-modern=on", 0x10051af4, 0x00ff0000, 0x00041af4, 1, 0 },
        { "virtio-balloon-pci", 0x10021af4, 0x00ff0000, 0x00051af4, 1, 0xc },
        { "virtio-balloon-pci-non-transitional", 0x10451af4, 0x00ff0001, 0x11001af4, 0, 0xc },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        VirtioDriver d = { .q = boot(want[i].args), .devfn = DEVFN };

        qtest_set_moving(d.q, false);
        g_assert_cmphex(virtio_config_space_read(&d, 0), ==, want[i].id);
        g_assert_cmphex(virtio_config_space_read(&d, 8), ==, want[i].class_revision);
        g_assert_cmphex(virtio_config_space_read(&d, 0x2c), ==, want[i].subsystem);
        g_assert_cmphex(virtio_config_space_read(&d, 0x10), ==, want[i].bar0);
        g_assert_cmphex(virtio_config_space_read(&d, 0x20), ==, want[i].bar4);
        g_assert_cmphex(virtio_config_space_read(&d, 0x3c) & 0xff00, ==, 0x0100);
        qtest_end(d.q);
    }
}

static void expect_capability(VirtioDriver *d, unsigned at, uint32_t head, uint8_t bar,
                              uint32_t offset, uint32_t length)
{
    g_assert_cmphex(virtio_config_space_read(d, at), ==, head);
    g_assert_cmphex(virtio_config_space_read(d, at + 4), ==, bar);
    g_assert_cmphex(virtio_config_space_read(d, at + 8), ==, offset);
    g_assert_cmphex(virtio_config_space_read(d, at + 12), ==, length);
}

/* Where they are and what is in them; read-only but for the window. */
static void test_capabilities(void)
{
    VirtioDriver d;

    init(&d, "virtio-rng-pci", 0);
    stay(&d);
    g_assert_cmphex(virtio_config_space_read(&d, 4) >> 16 & 0x10, ==, 0x10);
    g_assert_cmphex(virtio_config_space_read(&d, 0x34), ==, 0x98);
    g_assert_cmphex(virtio_config_space_read(&d, 0x98), ==, 0x00018411);
    g_assert_cmphex(virtio_config_space_read(&d, 0x9c), ==, 1);
    g_assert_cmphex(virtio_config_space_read(&d, 0xa0), ==, 0x801);
    expect_capability(&d, 0x40, 0x01100009, 4, 0, 0x1000);
    expect_capability(&d, 0x50, 0x03104009, 4, 0x1000, 0x1000);
    expect_capability(&d, 0x60, 0x04105009, 4, 0x2000, 0x1000);
    expect_capability(&d, 0x70, 0x02146009, 4, 0x3000, 0x1000);
    g_assert_cmphex(virtio_config_space_read(&d, 0x80), ==, 4);
    expect_capability(&d, 0x84, 0x05147009, 0, 0, 0);
    for (unsigned at = 0x40; at < 0x84; at += 4) {
        uint32_t was = virtio_config_space_read(&d, at);

        virtio_config_space_write(&d, at, ~was);
        g_assert_cmphex(virtio_config_space_read(&d, at), ==, was);
    }
    qtest_end(d.q);

    init(&d, "virtio-rng-pci,page-per-vq=on,modern-pio-notify=on,vectors=0", 0);
    g_assert_cmphex(d.notify_multiplier, ==, 0x1000);
    g_assert_cmphex(virtio_find_capability(&d, 2, 1), !=, 0);
    g_assert_cmphex(virtio_config_space_read(&d, virtio_find_capability(&d, 2, 0) + 4), ==, 2);
    virtio_config_space_write(&d, 0x20, 0xffffffff);
    g_assert_cmphex(virtio_config_space_read(&d, 0x20), ==, 0xff80000c);
    qtest_end(d.q);
}

/* A 64-bit BAR above 4 GiB works. */
static void test_high_bar(void)
{
    VirtioDriver d = { .q = boot("virtio-rng-pci-non-transitional"), .devfn = DEVFN };
    uint64_t common = UINT64_C(0x2300000000);

    virtio_config_space_write(&d, 0x20, 0xffffffff);
    virtio_config_space_write(&d, 0x24, 0xffffffff);
    g_assert_cmphex(virtio_config_space_read(&d, 0x20), ==, 0xffffc00c);
    g_assert_cmphex(virtio_config_space_read(&d, 0x24), ==, 0xffffffff);
    virtio_config_space_write(&d, 0x20, (uint32_t)common);
    virtio_config_space_write(&d, 0x24, common >> 32);
    virtio_config_space_write(&d, 4, 6);
    g_assert_cmphex(qtest_readw(d.q, common + VIRTIO_COMMON_NUM_QUEUES), ==, 1);
    g_assert_cmphex(qtest_readw(d.q, common + VIRTIO_COMMON_Q_SIZE), ==, 8);
    virtio_config_space_write(&d, 4, 4);
    g_assert_cmphex(qtest_readw(d.q, common + VIRTIO_COMMON_NUM_QUEUES), !=, 1);
    qtest_end(d.q);
}

/* The common configuration by pci_cfg_data, for drivers that cannot map BARs (4.1.4.9). */
static void test_window(void)
{
    VirtioDriver d;
    unsigned cap;

    init(&d, "virtio-rng-pci", 0);
    stay(&d);
    cap = virtio_find_capability(&d, 5, 0);
    virtio_config_space_write(&d, cap + 4, 4);
    virtio_config_space_write(&d, cap + 8, VIRTIO_COMMON_STATUS);
    virtio_config_space_write(&d, cap + 12, 1);
    virtio_config_space_write(&d, cap + 16, 3);
    g_assert_cmphex(virtio_driver_status(&d), ==, 3);
    g_assert_cmphex(virtio_config_space_read(&d, cap + 16) & 0xff, ==, 3);
    virtio_config_space_write(&d, cap + 8, VIRTIO_COMMON_Q_SIZE);
    virtio_config_space_write(&d, cap + 12, 2);
    g_assert_cmphex(virtio_config_space_read(&d, cap + 16) & 0xffff, ==, 8);
    for (unsigned bar = 0; bar < 7; bar++) { /* nonsense does nothing */
        for (unsigned length = 0; length < 9; length++) {
            virtio_config_space_write(&d, cap + 4, bar);
            virtio_config_space_write(&d, cap + 12, length);
            virtio_config_space_write(&d, cap + 8, bar == 4 ? 0xfffffff0 : VIRTIO_COMMON_STATUS);
            virtio_config_space_write(&d, cap + 16, 0);
            virtio_config_space_read(&d, cap + 16);
        }
    }
    g_assert_cmphex(virtio_driver_status(&d), ==, 3);
    qtest_end(d.q);
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */

static void test_common(void)
{
    VirtioDriver d;
    QTest *q;

    init(&d, "virtio-rng-pci", VIRTIO_DRIVER_MSIX);
    q = d.q;
    g_assert_cmphex(virtio_driver_offered(&d), ==, UINT64_C(0x10130000000));
    qtest_writel(q, d.common + VIRTIO_COMMON_DFSELECT, 2);
    g_assert_cmphex(qtest_readl(q, d.common + VIRTIO_COMMON_DF), ==, 0);
    g_assert_cmphex(qtest_readl(q, d.common + VIRTIO_COMMON_DFSELECT), ==, 2);
    qtest_writel(q, d.common + VIRTIO_COMMON_GFSELECT, 1);
    qtest_writel(q, d.common + VIRTIO_COMMON_GF, 1);
    g_assert_cmphex(qtest_readl(q, d.common + VIRTIO_COMMON_GF), ==, 1);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_CONFIG_VECTOR), ==, 0xffff);
    qtest_writew(q, d.common + VIRTIO_COMMON_CONFIG_VECTOR, 1);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_CONFIG_VECTOR), ==, 1);
    qtest_writew(q, d.common + VIRTIO_COMMON_CONFIG_VECTOR, 2); /* there are two */
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_CONFIG_VECTOR), ==, 0xffff);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_NUM_QUEUES), ==, 1);
    qtest_writew(q, d.common + VIRTIO_COMMON_Q_SELECT, 5);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_Q_SIZE), ==, 0);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_Q_ENABLE), ==, 0);
    qtest_writew(q, d.common + VIRTIO_COMMON_Q_ENABLE, 1);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_Q_ENABLE), ==, 0);
    qtest_writew(q, d.common + VIRTIO_COMMON_Q_SELECT, 0);
    qtest_writel(q, d.common + VIRTIO_COMMON_Q_DESC, 0x11110000);
    qtest_writel(q, d.common + VIRTIO_COMMON_Q_DESC + 4, 0x2222);
    g_assert_cmphex(qtest_readl(q, d.common + VIRTIO_COMMON_Q_DESC), ==, 0x11110000);
    g_assert_cmphex(qtest_readl(q, d.common + VIRTIO_COMMON_Q_DESC + 4), ==, 0x2222);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_Q_NOTIFY_OFF), ==, 0);
    g_assert_cmphex(qtest_readw(q, d.common + VIRTIO_COMMON_Q_VECTOR), ==, 0xffff);
    virtio_driver_reset(&d);
    g_assert_cmphex(qtest_readl(q, d.common + VIRTIO_COMMON_Q_DESC), ==, 0);
    qtest_end(q);
}

/* FEATURES_OK goes away if the driver accepts what was not offered (3.1.1). */
static void test_bad_features(void)
{
    VirtioDriver d;

    init(&d, "virtio-rng-pci", 0);
    virtio_driver_set_status(&d, 3);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GFSELECT, 0);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GF, 1 << 5);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GFSELECT, 1);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GF, 1);
    virtio_driver_set_status(&d, 11);
    g_assert_cmphex(virtio_driver_status(&d), ==, 3);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GFSELECT, 0);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GF, 0);
    virtio_driver_set_status(&d, 11);
    g_assert_cmphex(virtio_driver_status(&d), ==, 11);
    qtest_writel(d.q, d.common + VIRTIO_COMMON_GF, 1 << 28); /* too late */
    g_assert_cmphex(qtest_readl(d.q, d.common + VIRTIO_COMMON_GF), ==, 0);
    qtest_end(d.q);
}

static void test_legacy_registers(void)
{
    VirtioDriver d;
    QTest *q;

    init(&d, "virtio-rng-pci", VIRTIO_DRIVER_LEGACY);
    stay(&d);
    q = d.q;
    g_assert_cmphex(qtest_inl(q, IO), ==, 0x79000000);
    g_assert_cmphex(qtest_inl(q, IO + 4), ==, 0);
    qtest_outl(q, IO + 4, 0x79000000);
    g_assert_cmphex(qtest_inl(q, IO + 4), ==, 0x39000000);
    g_assert_cmphex(qtest_inw(q, IO + 12), ==, 8);
    qtest_outw(q, IO + 14, 1);
    g_assert_cmphex(qtest_inw(q, IO + 14), ==, 1);
    g_assert_cmphex(qtest_inw(q, IO + 12), ==, 0);
    g_assert_cmphex(qtest_inl(q, IO + 8), ==, 0);
    qtest_outl(q, IO + 8, 0x123);
    g_assert_cmphex(qtest_inl(q, IO + 8), ==, 0);
    qtest_outw(q, IO + 14, 0);
    qtest_outl(q, IO + 8, 0x123);
    g_assert_cmphex(qtest_inl(q, IO + 8), ==, 0x123);
    g_assert_cmphex(qtest_inb(q, IO + 19), ==, 0);
    g_assert_cmphex(qtest_inl(q, IO + 20), ==, 0xffffffff); /* no configuration */
    qtest_outl(q, IO + 8, 0);
    g_assert_cmphex(qtest_inb(q, IO + 18), ==, 0);
    g_assert_cmphex(qtest_inl(q, IO + 8), ==, 0);
    qtest_end(q);
}

/* A legacy driver that is ready without bus mastering gets it; a card that loses it is not ready. */
static void test_bus_master(void)
{
    VirtioDriver d;

    init(&d, "virtio-rng-pci", VIRTIO_DRIVER_LEGACY);
    virtio_config_space_write(&d, 4, 3);
    virtio_driver_set_status(&d, 7);
    g_assert_cmphex(virtio_config_space_read(&d, 4) & 7, ==, 7);
    virtio_config_space_write(&d, 4, 3);
    g_assert_cmphex(virtio_driver_status(&d), ==, 3);
    virtio_config_space_write(&d, 4, 7);
    g_assert_cmphex(virtio_driver_status(&d), ==, 3);
    qtest_end(d.q);
}

/* ---- interrupts --------------------------------------------------------------------------------------------------------- */

static void request(VirtioDriver *d, VirtioQueue *vq)
{
    VirtioBuf buf = { BUFFER, 16, true };
    unsigned id = virtio_queue_add(vq, &buf, 1);

    virtio_queue_notify(vq);
    virtio_queue_wait(vq, id);
}

static void ready(VirtioDriver *d, VirtioQueue *vq)
{
    virtio_driver_negotiate(d, ~VIRTIO_FEATURE(VIRTIO_EVENT_IDX));
    virtio_queue_init(vq, d, 0, 0);
    virtio_driver_ok(d);
}

/* Masked by itself or by the function a vector is pending, and is sent when nothing masks it. */
static void test_msix_masking(void)
{
    VirtioDriver d;
    VirtioQueue vq;

    init(&d, "virtio-rng-pci", VIRTIO_DRIVER_MSIX);
    ready(&d, &vq);
    request(&d, &vq);
    virtio_wait_interrupt(&d, 1);
    qtest_writel(d.q, d.msix_table + 16 + 12, 1);
    request(&d, &vq);
    while (!(qtest_readl(d.q, d.msix_table + 0x800) & 2)) {
    }
    g_assert_false(virtio_interrupted(&d, 1));
    qtest_writel(d.q, d.msix_table + 16 + 12, 0);
    g_assert_true(virtio_interrupted(&d, 1));
    g_assert_cmphex(qtest_readl(d.q, d.msix_table + 0x800), ==, 0);
    virtio_config_space_write(&d, 0x98, 0xc0010000);
    request(&d, &vq);
    while (!(qtest_readl(d.q, d.msix_table + 0x800) & 2)) {
    }
    g_assert_false(virtio_interrupted(&d, 1));
    virtio_config_space_write(&d, 0x98, 0x80010000);
    g_assert_true(virtio_interrupted(&d, 1));
    qtest_writel(d.q, d.msix_table + 0x800, 0xff); /* read-only */
    g_assert_cmphex(qtest_readl(d.q, d.msix_table + 0x800), ==, 0);
    qtest_end(d.q);
}

/* A vector that is pending when the driver resets the card is nobody's afterwards: it is not sent when it is unmasked. */
static void test_interrupt_from_before_a_reset(void)
{
    VirtioDriver d;
    VirtioQueue vq;

    init(&d, "virtio-rng-pci", VIRTIO_DRIVER_MSIX);
    ready(&d, &vq);
    qtest_writel(d.q, d.msix_table + 16 + 12, 1);
    request(&d, &vq);
    while (!(qtest_readl(d.q, d.msix_table + 0x800) & 2)) {
    }
    virtio_driver_reset(&d);
    g_assert_cmphex(qtest_readl(d.q, d.msix_table + 0x800), ==, 0);
    qtest_writel(d.q, d.msix_table + 16 + 12, 0);
    g_assert_false(virtio_interrupted(&d, 1));
    ready(&d, &vq);
    request(&d, &vq);
    virtio_wait_interrupt(&d, 1);
    qtest_end(d.q);
}

/* The line goes up with the ISR and down when that is read; with INTx disabled it stays down. */
static void test_intx(void)
{
    VirtioDriver d;
    VirtioQueue vq;
    QTest *q;

    init(&d, "virtio-rng-pci", 0);
    q = d.q;
    qtest_irq_intercept_in(q, "ioapic");
    /* All PIRQs to IRQ 11: the PIIX3's, or E to H of the ICH9. */
    qtest_outl(q, 0xcf8, qtest_machine_is_q35() ? 0x8000f868 : 0x80000860);
    qtest_outl(q, 0xcfc, 0x0b0b0b0b);
    ready(&d, &vq);
    g_assert_false(qtest_get_irq(q, 11));
    request(&d, &vq);
    while (!qtest_get_irq(q, 11)) {
        qtest_readb(q, d.common + VIRTIO_COMMON_STATUS);
    }
    g_assert_cmphex(virtio_config_space_read(&d, 4) >> 16 & 8, ==, 8);
    virtio_config_space_write(&d, 4, 0x407);
    g_assert_false(qtest_get_irq(q, 11));
    virtio_config_space_write(&d, 4, 0x007);
    g_assert_true(qtest_get_irq(q, 11));
    g_assert_cmphex(qtest_readb(q, d.isr), ==, 1);
    g_assert_false(qtest_get_irq(q, 11));
    g_assert_cmphex(qtest_readb(q, d.isr), ==, 0);
    qtest_end(q);
}

/* ---- anything anywhere ---------------------------------------------------------------------------------------------------- */

static uint64_t random_value(GRand *rand)
{
    static const uint64_t some[] = { 0,      1,       2,          7,      8,        0xff,
                                     0xffff, 0x10000, 0xffffffff, BUFFER, 0x100000, 0x80 };

    return g_rand_int(rand) % 3 ? some[g_rand_int(rand) % G_N_ELEMENTS(some)] : g_rand_int(rand);
}

/* In every state of the device: writes of any width to any register. It lives, and a reset makes it work. */
static void test_anything(void)
{
    unsigned count = g_getenv("QTEST_MOVE_EVERY") ? 30 : g_getenv("TERN_TEST_LONG") ? 400000 : 2000;
    GRand *rand = g_rand_new_with_seed(20260);

    for (unsigned card = 0; card < 2; card++) {
        VirtioDriver d;
        VirtioQueue vq;

        init(&d, card ? "virtio-rng-pci,packed=on" : "virtio-balloon-pci,vectors=2",
             VIRTIO_DRIVER_MSIX);
        for (unsigned i = 0; i < count; i++) {
            uint64_t part = (uint64_t[]){ d.common, d.common, d.common,    d.isr,
                                          d.device, d.notify, d.msix_table }[g_rand_int(rand) % 7];
            uint64_t at = part + g_rand_int(rand) % 64, value = random_value(rand);

            switch (g_rand_int(rand) % 6) {
            case 0:
                qtest_writeb(d.q, at, value);
                break;
            case 1:
                qtest_writew(d.q, at, value);
                break;
            case 2:
                qtest_writel(d.q, at & ~3ull, value);
                break;
            case 3:
                qtest_outw(d.q, IO + at % 32, value);
                break;
            case 4:
                qtest_outb(d.q, IO + at % 32, value);
                break;
            default:
                qtest_readl(d.q, at);
            }
        }
        virtio_config_space_write(&d, 4, 7);
        virtio_driver_reset(&d);
        if (card) { /* nothing is left of it */
            unsigned flags = d.flags;

            virtio_driver_init(&d, d.q, DEVFN, flags, IO, MMIO, HEAP);
            ready(&d, &vq);
            request(&d, &vq);
        }
        qtest_end(d.q);
    }
    g_rand_free(rand);
}

/* A card that is unplugged while it works. */
static void test_unplug(void)
{
    VirtioDriver d;
    VirtioQueue vq;
    QTest *q;

    if (!qtest_machine_can_plug()) {
        return;
    }
    q = qtest_start("-machine %s -m 16 -device virtio-rng-pci,addr=4,id=v", qtest_machine("pc"));
    virtio_driver_init(&d, q, DEVFN, VIRTIO_DRIVER_MSIX, IO, MMIO, HEAP);
    ready(&d, &vq);
    request(&d, &vq);
    qtest_set_moving(q, false); /* there is no such machine without the card */
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'v'}}");
    qtest_outl(q, 0xae08, 1 << 4); /* the guest lets go of slot 4 */
    json_object_put(qtest_wait_event(q, "DEVICE_DELETED"));
    g_assert_cmphex(virtio_config_space_read(&d, 0), ==, 0xffffffff);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-pci/identities", test_identities);
    g_test_add_func("/virtio-pci/capabilities", test_capabilities);
    g_test_add_func("/virtio-pci/high-bar", test_high_bar);
    g_test_add_func("/virtio-pci/window", test_window);
    g_test_add_func("/virtio-pci/common", test_common);
    g_test_add_func("/virtio-pci/bad-features", test_bad_features);
    g_test_add_func("/virtio-pci/legacy-registers", test_legacy_registers);
    g_test_add_func("/virtio-pci/bus-master", test_bus_master);
    g_test_add_func("/virtio-pci/msix-masking", test_msix_masking);
    g_test_add_func("/virtio-pci/interrupt-from-before-a-reset",
                    test_interrupt_from_before_a_reset);
    g_test_add_func("/virtio-pci/intx", test_intx);
    g_test_add_func("/virtio-pci/anything", test_anything);
    g_test_add_func("/virtio-pci/unplug", test_unplug);
    return g_test_run();
}
