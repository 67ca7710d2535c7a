/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC in user space (Intel SDM volume 3, chapter 10). No processor runs, so that requests stay in the
 * request register, where they can be looked at; the test speaks with the boot processor's APIC.
 */
#include "util/osdep.h"
#include "pci-config.h"

#define APIC UINT64_C(0xfee00000)
#define IOAPIC UINT64_C(0xfec00000)
#define ID (APIC + 0x20)
#define VERSION (APIC + 0x30)
#define TPR (APIC + 0x80)
#define PPR (APIC + 0xa0)
#define LDR (APIC + 0xd0)
#define DFR (APIC + 0xe0)
#define SVR (APIC + 0xf0)
#define ESR (APIC + 0x280)
#define ICR (APIC + 0x300)
#define ICR_HIGH (APIC + 0x310)
#define LVT_TIMER (APIC + 0x320)
#define LVT_LINT0 (APIC + 0x350)
#define LVT_ERROR (APIC + 0x370)
#define INITIAL (APIC + 0x380)
#define CURRENT (APIC + 0x390)
#define DIVIDE (APIC + 0x3e0)

static bool bit_of(QTest *q, unsigned set, unsigned vector)
{
    return qtest_readl(q, APIC + set + vector / 32 * 16) >> vector % 32 & 1;
}

static bool requested(QTest *q, unsigned vector)
{
    return bit_of(q, 0x200, vector);
}

/* On, with the error vector 0xfe. */
static QTest *start(const char *more)
{
    QTest *q = qtest_start("-machine pc %s", more);

    qtest_writel(q, SVR, 0x1ff);
    return q;
}

static void test_reset_values(void)
{
    QTest *q = qtest_start("-machine pc");

    for (unsigned turn = 0; turn < 2; turn++) {
        g_assert_cmphex(qtest_readl(q, ID), ==, 0);
        g_assert_cmphex(qtest_readl(q, VERSION), ==, 0x00050014);
        g_assert_cmphex(qtest_readl(q, TPR), ==, 0);
        g_assert_cmphex(qtest_readl(q, LDR), ==, 0);
        g_assert_cmphex(qtest_readl(q, DFR), ==, 0xffffffff);
        g_assert_cmphex(qtest_readl(q, SVR), ==, 0xff);
        for (uint64_t lvt = LVT_TIMER; lvt <= LVT_ERROR; lvt += 0x10) {
            g_assert_cmphex(qtest_readl(q, lvt), ==, 0x10000);
        }
        g_assert_cmphex(qtest_readl(q, CURRENT), ==, 0);
        /* everything else, and again after a reset */
        qtest_writel(q, SVR, 0x1f0);
        qtest_writel(q, TPR, 0x50);
        qtest_writel(q, LDR, 0xff000000);
        qtest_writel(q, DFR, 0x0fffffff);
        qtest_writel(q, LVT_TIMER, 0x40);
        qtest_writel(q, INITIAL, 1000);
        qtest_writel(q, ICR, 0x44041); /* to itself */
        g_assert_true(requested(q, 0x41));
        qtest_qmp_ok(q, "{'execute': 'system_reset'}");
        json_object_put(qtest_wait_event(q, "RESET"));
        g_assert_false(requested(q, 0x41));
    }
    qtest_end(q);
}

static void test_software_disable_masks(void)
{
    QTest *q = start("");

    qtest_writel(q, LVT_LINT0, 0x700);
    g_assert_cmphex(qtest_readl(q, LVT_LINT0), ==, 0x700);
    qtest_writel(q, SVR, 0xff);
    g_assert_cmphex(qtest_readl(q, LVT_LINT0), ==, 0x10700);
    qtest_writel(q, LVT_LINT0, 0x700);
    g_assert_cmphex(qtest_readl(q, LVT_LINT0), ==, 0x10700);
    qtest_writel(q, ICR, 0x44050);
    g_assert_false(requested(q, 0x50)); /* 10.4.7.2: not accepted */
    qtest_end(q);
}

static void test_timer_counts(void)
{
    QTest *q = start("");

    qtest_writel(q, LVT_TIMER, 0x60);
    qtest_writel(q, DIVIDE, 0xb); /* by 1: a nanosecond a count */
    qtest_writel(q, INITIAL, 1000000);
    qtest_clock_step(q, 250000);
    g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 750000);
    g_assert_false(requested(q, 0x60));
    qtest_clock_step(q, 749999);
    g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 1);
    g_assert_false(requested(q, 0x60));
    qtest_clock_step(q, 1);
    g_assert_true(requested(q, 0x60));
    g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 0);
    qtest_clock_step(q, 10000000);
    g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 0);
    qtest_end(q);
}

static void test_timer_divides(void)
{
    static const unsigned shifts[8] = { 1, 2, 3, 4, 5, 6, 7, 0 };
    QTest *q = start("");

    for (unsigned n = 0; n < 8; n++) {
        qtest_writel(q, DIVIDE, (n & 3) | (n & 4) << 1);
        g_assert_cmphex(qtest_readl(q, DIVIDE), ==, (n & 3) | (n & 4) << 1);
        qtest_writel(q, INITIAL, 1000);
        qtest_clock_step(q, 100 << shifts[n]);
        g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 900);
    }
    qtest_end(q);
}

static void test_periodic_timer(void)
{
    QTest *q = start("");

    qtest_writel(q, DIVIDE, 0xb);
    qtest_writel(q, LVT_TIMER, 0x20061);
    qtest_writel(q, INITIAL, 1000);
    for (unsigned n = 0; n < 5; n++) {
        qtest_clock_step(q, 400);
        g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 600);
        qtest_clock_step(q, 600);
        g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 1000);
        g_assert_true(requested(q, 0x61));
    }
    qtest_writel(q, INITIAL, 0);
    g_assert_cmpuint(qtest_readl(q, CURRENT), ==, 0);
    qtest_end(q);
}

static void test_masked_timer_says_nothing(void)
{
    QTest *q = start("");

    qtest_writel(q, LVT_TIMER, 0x10062);
    qtest_writel(q, DIVIDE, 0xb);
    qtest_writel(q, INITIAL, 1000);
    qtest_clock_step(q, 5000);
    g_assert_false(requested(q, 0x62));
    qtest_end(q);
}

static void test_messages(void)
{
    QTest *q = start("");

    qtest_writel(q, APIC, 0x4045); /* to id 0 */
    g_assert_true(requested(q, 0x45));
    g_assert_false(bit_of(q, 0x180, 0x45));  /* an edge */
    qtest_writel(q, APIC + 0xff000, 0xc046); /* to all, level */
    g_assert_true(requested(q, 0x46));
    g_assert_true(bit_of(q, 0x180, 0x46));
    qtest_writel(q, APIC + 0x5000, 0x4047); /* to nobody */
    g_assert_false(requested(q, 0x47));
    qtest_end(q);
}

static void test_logical_destinations(void)
{
    QTest *q = start("");

    qtest_writel(q, LDR, 0x02000000); /* flat: bit 1 */
    qtest_writel(q, APIC + 0x6000 + 4, 0x4050);
    g_assert_true(requested(q, 0x50));
    qtest_writel(q, APIC + 0x5000 + 4, 0x4051);
    g_assert_false(requested(q, 0x51));
    qtest_writel(q, DFR, 0x0fffffff); /* clusters */
    qtest_writel(q, LDR, 0x34000000);
    qtest_writel(q, APIC + 0x3c000 + 4, 0x4052);
    g_assert_true(requested(q, 0x52));
    qtest_writel(q, APIC + 0x2c000 + 4, 0x4053);
    g_assert_false(requested(q, 0x53));
    qtest_writel(q, APIC + 0x33000 + 4, 0x4054);
    g_assert_false(requested(q, 0x54));
    qtest_end(q);
}

static void test_errors(void)
{
    QTest *q = start("");

    qtest_writel(q, LVT_ERROR, 0xfe);
    qtest_writel(q, APIC, 0x4003); /* vectors below 16 are not for interrupts */
    g_assert_cmphex(qtest_readl(q, ESR), ==, 0x40);
    g_assert_true(requested(q, 0xfe));
    qtest_writel(q, ESR, 0);
    g_assert_cmphex(qtest_readl(q, ESR), ==, 0);
    qtest_writel(q, ICR, 0x44003);
    g_assert_cmphex(qtest_readl(q, ESR), ==, 0x20);
    qtest_writel(q, ESR, 0);
    qtest_readl(q, APIC + 0x3f0);
    g_assert_cmphex(qtest_readl(q, ESR), ==, 0x80);
    /* An error that could only be reported by a vector that is one itself is not reported for ever. */
    qtest_writel(q, ESR, 0);
    qtest_writel(q, LVT_ERROR, 0x05);
    qtest_writel(q, APIC, 0x4003);
    g_assert_cmphex(qtest_readl(q, ESR), ==, 0x40);
    qtest_end(q);
}

static void test_priorities(void)
{
    QTest *q = start("");

    qtest_writel(q, TPR, 0x57);
    g_assert_cmphex(qtest_readl(q, PPR), ==, 0x57);
    qtest_writel(q, PPR, 0);
    g_assert_cmphex(qtest_readl(q, PPR), ==, 0x57);
    qtest_end(q);
}

static void test_io_apic_sends(void)
{
    QTest *q = start("");

    qtest_writel(q, IOAPIC, 0x10 + 2 * 5);
    qtest_writel(q, IOAPIC + 0x10, 0x8070); /* level, vector 0x70, to id 0 */
    g_free(qtest_raw(q, "set_irq_in /machine/ioapic unnamed-gpio-in 5 1"));
    g_assert_true(requested(q, 0x70));
    g_assert_true(bit_of(q, 0x180, 0x70));
    qtest_writel(q, IOAPIC, 0x10 + 2 * 5);
    g_assert_cmphex(qtest_readl(q, IOAPIC + 0x10), ==, 0xc070); /* it waits for the end */
    qtest_end(q);
}

/* A card holds its line before the guest has set the pin up: the level is there when the pin becomes a level pin, here and there. */
static void test_line_that_was_high(void)
{
    for (unsigned moved = 0; moved < 2; moved++) {
        QTest *q = start("-device e1000,addr=4");

        qtest_pci_write(q, 1 << 3, 0x60, 0x0a0a0a0a);
        qtest_pci_write(q, 4 << 3, 0x10, 0xe0000000);
        qtest_pci_write(q, 4 << 3, 0x04, 0x02);
        qtest_writel(q, 0xe00000d0, 4); /* IMS */
        qtest_writel(q, 0xe00000c8, 4); /* ICS */
        if (moved) {
            qtest_move(q);
        }
        g_assert_false(requested(q, 0x70));
        qtest_writel(q, IOAPIC, 0x10 + 2 * 10);
        qtest_writel(q, IOAPIC + 0x10, 0x18070); /* level, masked */
        if (moved) {
            qtest_move(q);
        }
        g_assert_false(requested(q, 0x70));
        qtest_writel(q, IOAPIC + 0x10, 0x8070);
        g_assert_true(requested(q, 0x70));
        /* and as long as it is high */
        qtest_writel(q, IOAPIC + 0x40, 0x70);
        g_assert_cmphex(qtest_readl(q, IOAPIC + 0x10), ==, 0xc070);
        qtest_readl(q, 0xe00000c0); /* ICR: the card lets go of it */
        qtest_writel(q, IOAPIC + 0x40, 0x70);
        g_assert_cmphex(qtest_readl(q, IOAPIC + 0x10), ==, 0x8070);
        qtest_end(q);
    }
}

static void test_second_processor(void)
{
    QTest *q = start("-smp 2");
    char *text;

    text = qtest_hmp(q, "info lapic 1");
    g_assert_nonnull(strstr(text, "APIC disabled"));
    g_free(text);
    qtest_writel(q, APIC + 0x1000, 0x4055); /* it is off: not accepted */
    text = qtest_hmp(q, "info lapic 1");
    g_assert_nonnull(strstr(text, "IRR\t (none)"));
    g_free(text);
    g_assert_false(requested(q, 0x55));
    text = qtest_hmp(q, "info lapic");
    g_assert_nonnull(strstr(text, "dumping local APIC state for CPU 0"));
    g_free(text);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apic/reset-values", test_reset_values);
    g_test_add_func("/apic/software-disable-masks", test_software_disable_masks);
    g_test_add_func("/apic/timer-counts", test_timer_counts);
    g_test_add_func("/apic/timer-divides", test_timer_divides);
    g_test_add_func("/apic/periodic-timer", test_periodic_timer);
    g_test_add_func("/apic/masked-timer-says-nothing", test_masked_timer_says_nothing);
    g_test_add_func("/apic/messages", test_messages);
    g_test_add_func("/apic/logical-destinations", test_logical_destinations);
    g_test_add_func("/apic/errors", test_errors);
    g_test_add_func("/apic/priorities", test_priorities);
    g_test_add_func("/apic/io-apic-sends", test_io_apic_sends);
    g_test_add_func("/apic/line-that-was-high", test_line_that_was_high);
    g_test_add_func("/apic/second-processor", test_second_processor);
    return g_test_run();
}
