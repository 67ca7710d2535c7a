/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8254, port 61h and MC146818 of the PC: registers, interrupts, and time across moves. */
#include "util/osdep.h"
#include "pic-driver.h"

#define PIT_HZ 1193182
#define RTC_VM "-machine pc -rtc clock=vm,base=2026-11-26T23:59:50"

/* ---- 8254 ------------------------------------------------------------------------------------------------------- */

static int64_t ticks(int64_t n)
{
    return (n * 1000000000 + PIT_HZ - 1) / PIT_HZ;
}

static void program(QTest *q, int channel, int mode, uint16_t count)
{
    qtest_outb(q, 0x43, channel << 6 | 0x30 | mode << 1);
    qtest_outb(q, 0x40 + channel, count);
    qtest_outb(q, 0x40 + channel, count >> 8);
}

static uint16_t latched(QTest *q, int channel)
{
    uint8_t low;

    qtest_outb(q, 0x43, channel << 6);
    low = qtest_inb(q, 0x40 + channel);
    return low | qtest_inb(q, 0x40 + channel) << 8;
}

static uint8_t status(QTest *q, int channel)
{
    qtest_outb(q, 0x43, 0xe0 | 2u << channel);
    return qtest_inb(q, 0x40 + channel);
}

static void test_pit_values(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(qtest_inb(q, 0x43), ==, 0);
    program(q, 0, 2, 1000);
    g_assert_cmpuint(latched(q, 0), ==, 1000);
    qtest_clock_step(q, ticks(400));
    g_assert_cmpuint(latched(q, 0), ==, 600);
    qtest_clock_step(q, ticks(700));
    g_assert_cmpuint(latched(q, 0), ==, 900);
    /* Square wave: counts by two, twice a period. */
    program(q, 0, 3, 1000);
    qtest_clock_step(q, ticks(100));
    g_assert_cmpuint(latched(q, 0), ==, 800);
    g_assert_cmphex(status(q, 0), ==, 0xb6);
    qtest_clock_step(q, ticks(450));
    g_assert_cmphex(status(q, 0), ==, 0x36);
    /* One shot: past the end it goes on at the top. */
    program(q, 0, 0, 100);
    g_assert_cmphex(status(q, 0), ==, 0x30);
    qtest_clock_step(q, ticks(101));
    g_assert_cmphex(status(q, 0), ==, 0xb0);
    g_assert_cmphex(latched(q, 0), ==, 0xffff);
    qtest_end(q);
}

static void test_pit_access(void)
{
    QTest *q = qtest_start("-machine pc");

    /* Low byte only, high byte only, BCD. */
    qtest_outb(q, 0x43, 0x14);
    qtest_outb(q, 0x40, 0x80);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 0x80);
    qtest_outb(q, 0x43, 0x24);
    qtest_outb(q, 0x40, 0x12);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 0x12);
    qtest_outb(q, 0x43, 0x35);
    qtest_outb(q, 0x40, 0x34);
    g_assert_cmphex(status(q, 0), ==, 0xf5); /* null count: half is written */
    qtest_outb(q, 0x40, 0x12);
    qtest_clock_step(q, ticks(35));
    g_assert_cmphex(latched(q, 0), ==, 0x1199);
    /* A latched value stays until it is read, whatever is latched meanwhile; status first. */
    program(q, 0, 2, 5000);
    qtest_outb(q, 0x43, 0xc2);
    qtest_clock_step(q, ticks(10));
    qtest_outb(q, 0x43, 0x00);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 0xb4);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 5000 & 0xff);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 5000 >> 8);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 4990 & 0xff);
    g_assert_cmphex(qtest_inb(q, 0x40), ==, 4990 >> 8);
    qtest_end(q);
}

static void test_pit_interrupts(void)
{
    QTest *q = qtest_start("-machine pc");
    int n = 0;

    pic_init(q);
    pic_take(q, 0);
    program(q, 0, 2, 11932); /* 100 Hz */
    for (int i = 0; i < 20; i++) {
        qtest_clock_step(q, 5000000);
        n += pic_take(q, 0);
    }
    g_assert_cmpint(n, >=, 9);
    g_assert_cmpint(n, <=, 10);
    /* Mode 0 asks once. */
    program(q, 0, 0, 1000);
    g_assert_false(pic_take(q, 0));
    qtest_clock_step(q, ticks(999));
    g_assert_false(pic_take(q, 0));
    qtest_clock_step(q, ticks(1));
    g_assert_true(pic_take(q, 0));
    qtest_clock_step(q, 100000000);
    g_assert_false(pic_take(q, 0));
    qtest_end(q);
}

static void test_port_61(void)
{
    QTest *q = qtest_start("-machine pc");
    uint8_t a = qtest_inb(q, 0x61), b = qtest_inb(q, 0x61);

    g_assert_cmphex((a ^ b), ==, 0x10);
    g_assert_cmphex(a & 0x2f, ==, 0x20);
    /* Counting begins when the gate opens and waits while it is closed. */
    qtest_outb(q, 0x61, 0);
    program(q, 2, 0, 1000);
    qtest_clock_step(q, ticks(500));
    g_assert_cmphex(latched(q, 2), ==, 1000);
    qtest_outb(q, 0x61, 1);
    qtest_clock_step(q, ticks(300));
    qtest_outb(q, 0x61, 0);
    qtest_clock_step(q, ticks(5000));
    g_assert_cmphex(latched(q, 2), ==, 700);
    g_assert_cmphex(qtest_inb(q, 0x61) & 0x2f, ==, 0x00);
    qtest_outb(q, 0x61, 3);
    qtest_clock_step(q, ticks(700));
    g_assert_cmphex(qtest_inb(q, 0x61) & 0x2f, ==, 0x23);
    qtest_end(q);
}

/* ---- MC146818 ----------------------------------------------------------------------------------------------------- */

static uint8_t cmos(QTest *q, uint8_t index)
{
    qtest_outb(q, 0x70, index);
    return qtest_inb(q, 0x71);
}

static void set_cmos(QTest *q, uint8_t index, uint8_t value)
{
    qtest_outb(q, 0x70, index);
    qtest_outb(q, 0x71, value);
}

static void check_time(QTest *q, uint32_t hms, uint32_t dmy)
{
    g_assert_cmphex(cmos(q, 4) << 16 | cmos(q, 2) << 8 | cmos(q, 0), ==, hms);
    g_assert_cmphex(cmos(q, 7) << 16 | cmos(q, 8) << 8 | cmos(q, 9), ==, dmy);
}

static void test_rtc_time(void)
{
    QTest *q = qtest_start(RTC_VM);

    g_assert_cmphex(qtest_inb(q, 0x70), ==, 0xff);
    g_assert_cmphex(cmos(q, 10), ==, 0x26);
    g_assert_cmphex(cmos(q, 11), ==, 0x02);
    g_assert_cmphex(cmos(q, 13), ==, 0x80);
    check_time(q, 0x235950, 0x261126);
    g_assert_cmphex(cmos(q, 6), ==, 5); /* a Thursday */
    g_assert_cmphex(cmos(q, 0x32), ==, 0x20);
    g_assert_cmphex(cmos(q, 0x37), ==, 0x20);
    qtest_clock_step(q, 10 * INT64_C(1000000000));
    check_time(q, 0x000000, 0x271126);
    g_assert_cmphex(cmos(q, 6), ==, 6);
    /* Update in progress leads the update by 244 us. */
    qtest_clock_step(q, 999700000);
    g_assert_cmphex(cmos(q, 10), ==, 0x26);
    qtest_clock_step(q, 100000);
    g_assert_cmphex(cmos(q, 10), ==, 0xa6);
    qtest_clock_step(q, 200000);
    g_assert_cmphex(cmos(q, 10), ==, 0x26);
    /* Binary, 12 hours. */
    set_cmos(q, 11, 0x84);
    set_cmos(q, 4, 0x8b);
    set_cmos(q, 2, 59);
    set_cmos(q, 0, 59);
    set_cmos(q, 7, 31);
    set_cmos(q, 8, 12);
    set_cmos(q, 9, 99);
    set_cmos(q, 0x37, 0x19);
    set_cmos(q, 11, 0x04);
    g_assert_cmphex(cmos(q, 4), ==, 0x8b);
    qtest_clock_step(q, 1000000000);
    check_time(q, 0x0c0000, 0x010100);
    g_assert_cmphex(cmos(q, 0x32), ==, 0x20);
    qtest_end(q);
}

static void test_rtc_date_is_told(void)
{
    QTest *q = qtest_start(RTC_VM);
    json_object *date =
        qtest_qmp_return(q, "{'execute': 'qom-get', 'arguments': {'path': '/machine', 'property': "
                            "'rtc-time'}}");
    json_object *event;

    g_assert_cmpint(qtest_json_int(date, "tm_year"), ==, 126);
    g_assert_cmpint(qtest_json_int(date, "tm_mon"), ==, 10);
    g_assert_cmpint(qtest_json_int(date, "tm_mday"), ==, 26);
    g_assert_cmpint(qtest_json_int(date, "tm_hour"), ==, 23);
    json_object_put(date);
    set_cmos(q, 11, 0x82);
    set_cmos(q, 4, 0x22);
    set_cmos(q, 11, 0x02);
    event = qtest_wait_event(q, "RTC_CHANGE");
    g_assert_cmpint(qtest_json_int(event, "data.offset"), ==, -3600);
    g_assert_nonnull(strstr(qtest_json_string(event, "data.qom-path"), "/machine/"));
    json_object_put(event);
    qtest_qmp_ok(q, "{'execute': 'rtc-reset-reinjection'}");
    qtest_end(q);
}

static void test_rtc_set_and_divider(void)
{
    QTest *q = qtest_start(RTC_VM);

    /* Stopped by SET: what is written stays, the second goes on underneath. */
    qtest_clock_step(q, 300000000);
    set_cmos(q, 11, 0x82);
    set_cmos(q, 0, 0x12);
    qtest_clock_step(q, 5000000000);
    g_assert_cmphex(cmos(q, 0), ==, 0x12);
    set_cmos(q, 11, 0x02);
    qtest_clock_step(q, 690000000);
    g_assert_cmphex(cmos(q, 0), ==, 0x12);
    qtest_clock_step(q, 20000000);
    g_assert_cmphex(cmos(q, 0), ==, 0x13);
    /* Divider held: stands; let go, the next update is half a second away. */
    set_cmos(q, 10, 0x70);
    qtest_clock_step(q, 5000000000);
    g_assert_cmphex(cmos(q, 0), ==, 0x13);
    set_cmos(q, 10, 0x26);
    qtest_clock_step(q, 490000000);
    g_assert_cmphex(cmos(q, 0), ==, 0x13);
    qtest_clock_step(q, 20000000);
    g_assert_cmphex(cmos(q, 0), ==, 0x14);
    qtest_end(q);
}

static void test_rtc_update_and_alarm(void)
{
    QTest *q = qtest_start(RTC_VM);

    pic_init(q);
    cmos(q, 12);
    set_cmos(q, 11, 0x12);
    qtest_clock_step(q, 1000000000);
    g_assert_true(pic_take(q, 8));
    g_assert_cmphex(cmos(q, 12) & 0xb0, ==, 0x90);
    g_assert_cmphex(cmos(q, 12) & 0xb0, ==, 0x00);
    /* Alarm at a time, across midnight. */
    set_cmos(q, 11, 0x22);
    set_cmos(q, 5, 0x00);
    set_cmos(q, 3, 0x00);
    set_cmos(q, 1, 0x02);
    qtest_clock_step(q, INT64_C(10900000000));
    g_assert_false(pic_take(q, 8));
    qtest_clock_step(q, 200000000);
    g_assert_true(pic_take(q, 8));
    g_assert_cmphex(cmos(q, 12) & 0xb0, ==, 0xb0);
    g_assert_cmphex(cmos(q, 0), ==, 0x02);
    /* Any hour and minute: each minute. */
    set_cmos(q, 5, 0xff);
    set_cmos(q, 3, 0xc0);
    for (int i = 0; i < 3; i++) {
        qtest_clock_step(q, INT64_C(59500000000));
        g_assert_false(pic_take(q, 8));
        qtest_clock_step(q, 500000000);
        g_assert_true(pic_take(q, 8));
        g_assert_cmphex(cmos(q, 12) & 0xa0, ==, 0xa0);
    }
    /* An hour that never comes. */
    set_cmos(q, 5, 0x99);
    qtest_clock_step(q, INT64_C(90000000000000));
    g_assert_false(pic_take(q, 8));
    qtest_end(q);
}

static int count_periodic(QTest *q, int steps, int64_t ns, int read_every)
{
    int n = 0;

    for (int i = 1; i <= steps; i++) {
        qtest_clock_step(q, ns);
        if (i % read_every == 0) {
            n += pic_take(q, 8);
            cmos(q, 12);
        }
    }
    return n;
}

static void test_rtc_periodic(void)
{
    QTest *q = qtest_start(RTC_VM);

    pic_init(q);
    set_cmos(q, 10, 0x2d); /* 8 Hz */
    set_cmos(q, 11, 0x42);
    cmos(q, 12);
    g_assert_cmpint(count_periodic(q, 20, 50000000, 1), ==, 8);
    set_cmos(q, 10, 0x2e);
    g_assert_cmpint(count_periodic(q, 20, 50000000, 1), ==, 4);
    set_cmos(q, 10, 0x20);
    g_assert_cmpint(count_periodic(q, 5, 200000000, 1), ==, 0);
    /* Without the interrupt the flag comes all the same. */
    set_cmos(q, 11, 0x02);
    set_cmos(q, 10, 0x2d);
    cmos(q, 12);
    g_assert_cmphex(cmos(q, 12) & 0xc0, ==, 0x00);
    qtest_clock_step(q, 130000000);
    g_assert_cmphex(cmos(q, 12) & 0xc0, ==, 0x40);
    qtest_end(q);
}

/* A guest that reads late gets the ticks it missed, at twice the rate. */
static void test_rtc_slew(void)
{
    QTest *q = qtest_start(RTC_VM ",driftfix=slew");
    int n;

    pic_init(q);
    set_cmos(q, 10, 0x2d);
    set_cmos(q, 11, 0x42);
    cmos(q, 12);
    n = count_periodic(q, 20, 25000000, 20); /* half a second, one read */
    g_assert_cmpint(n, ==, 1);
    n += count_periodic(q, 40, 25000000, 1);
    g_assert_cmpint(n, >=, 11);
    g_assert_cmpint(n, <=, 12);
    qtest_end(q);
}

static void test_rtc_bad_options(void)
{
    static const char *const bad[][2] = {
        { "base=tomorrow", "invalid datetime format" },
        { "base=2026-13-01", "invalid datetime format" },
        { "clock=sundial", "invalid option value 'sundial'" },
        { "driftfix=maybe", "invalid option value 'maybe'" },
        { "colour=red", "Invalid parameter 'colour'" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *out = NULL;

        g_assert_cmpint(qtest_run(&out, "-accel qtest -rtc %s", bad[i][0]), ==, 1);
        g_assert_nonnull(strstr(out, bad[i][1]));
    }
}

static void test_cmos_memory_sizes(void)
{
    QTest *q = qtest_start("-machine pc -m 128");

    g_assert_cmphex(cmos(q, 0x15) | cmos(q, 0x16) << 8, ==, 640);
    g_assert_cmphex(cmos(q, 0x17) | cmos(q, 0x18) << 8, ==, 0xffff);
    g_assert_cmphex(cmos(q, 0x30) | cmos(q, 0x31) << 8, ==, 0xffff);
    g_assert_cmphex(cmos(q, 0x34) | cmos(q, 0x35) << 8, ==, 112 * 16);
    g_assert_cmphex(cmos(q, 0x5b), ==, 0);
    /* Memory survives a reset. */
    set_cmos(q, 0x70, 0x5a);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(cmos(q, 0x70), ==, 0x5a);
    qtest_end(q);
}

/* ---- HPET --------------------------------------------------------------------------------------------------------- */

#define HPET 0xfed00000u

static uint32_t hpet(QTest *q, unsigned reg)
{
    return qtest_readl(q, HPET + reg);
}

static void set_hpet(QTest *q, unsigned reg, uint32_t value)
{
    qtest_writel(q, HPET + reg, value);
}

static void test_hpet_registers(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(qtest_readq(q, HPET), ==, UINT64_C(0x009896808086a201));
    g_assert_cmphex(hpet(q, 0x100), ==, 0x30);
    g_assert_cmphex(hpet(q, 0x104), ==, 0x04);
    g_assert_cmphex(hpet(q, 0x108), ==, 0xffffffff);
    g_assert_cmphex(hpet(q, 0x160), ==, 0);
    set_hpet(q, 0x100, 0xffffffff);
    g_assert_cmphex(hpet(q, 0x100), ==, 0x3f7e); /* messages are off */
    set_hpet(q, 0x108, 0x1000);
    set_hpet(q, 0x10c, 0x1);
    g_assert_cmphex(hpet(q, 0x100), ==, 0x3f3e);
    g_assert_cmphex(qtest_readq(q, HPET + 0x108), ==, 0x1000); /* 32 bits */
    set_hpet(q, 0x110, 0x12);
    set_hpet(q, 0x114, 0x34);
    g_assert_cmphex(qtest_readq(q, HPET + 0x110), ==, UINT64_C(0x3400000012));
    qtest_writeq(q, HPET + 0xf0, UINT64_C(0x567800001234));
    g_assert_cmphex(qtest_readq(q, HPET + 0xf0), ==, UINT64_C(0x567800001234));
    set_hpet(q, 0x10, 0xffffffff);
    g_assert_cmphex(hpet(q, 0x10), ==, 3);
    qtest_clock_step(q, 1000);
    g_assert_cmphex(qtest_readq(q, HPET + 0xf0), ==, UINT64_C(0x567800001234) + 100);
    set_hpet(q, 0xf0, 5); /* not while it runs */
    g_assert_cmphex(hpet(q, 0xf0), ==, 0x1234 + 100);
    set_hpet(q, 0x10, 0);
    qtest_clock_step(q, 1000);
    g_assert_cmphex(hpet(q, 0xf0), ==, 0x1234 + 100);
    qtest_end(q);
}

static void test_hpet_options(void)
{
    QTest *q = qtest_start(
        "-machine pc -global hpet.timers=8 -global hpet.msi=on -global hpet.hpet-intcap=0xff0104");

    g_assert_cmphex(hpet(q, 0), ==, 0x8086a701);
    g_assert_cmphex(hpet(q, 0x1e0), ==, 0x8030);
    g_assert_cmphex(hpet(q, 0x1e4), ==, 0xff0104);
    /* A message instead of a line. */
    set_hpet(q, 0x110, 0x4321);
    set_hpet(q, 0x114, 0x5000);
    set_hpet(q, 0x100, 0x4004);
    set_hpet(q, 0x108, 100);
    set_hpet(q, 0x10c, 0);
    set_hpet(q, 0x10, 1);
    qtest_clock_step(q, 990);
    g_assert_cmphex(qtest_readl(q, 0x5000), ==, 0);
    qtest_clock_step(q, 10);
    g_assert_cmphex(qtest_readl(q, 0x5000), ==, 0x4321);
    qtest_end(q);
    q = qtest_start("-machine pc,hpet=off");
    g_assert_cmphex(hpet(q, 0), !=, 0x8086a201);
    qtest_end(q);
}

static void test_hpet_level_and_route(void)
{
    QTest *q = qtest_start("-machine pc -global hpet.hpet-intcap=0x800000");

    qtest_writel(q, 0xfec00000, 0x10 + 2 * 23);
    qtest_writel(q, 0xfec00010, 0x8041);
    set_hpet(q, 0x100, 23 << 9 | 0x06);
    set_hpet(q, 0x10, 1);
    set_hpet(q, 0x108, 1000);
    set_hpet(q, 0x10c, 0);
    qtest_clock_step(q, 9900);
    g_assert_cmphex(hpet(q, 0x20), ==, 0);
    qtest_clock_step(q, 200);
    g_assert_cmphex(hpet(q, 0x20), ==, 1);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0xc041);
    set_hpet(q, 0x20, 1);
    g_assert_cmphex(hpet(q, 0x20), ==, 0);
    qtest_writel(q, 0xfec00040, 0x41);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0x8041);
    qtest_end(q);
}

/* A line that a level interrupt holds up falls with the reset, on its own route and on that of legacy replacement. */
static void test_hpet_reset_lowers_lines(void)
{
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        QTest *q = qtest_start("-machine pc -global hpet.hpet-intcap=0x800000");
        unsigned pin = legacy ? 8 : 23, timer = legacy ? 0x20 : 0;

        qtest_irq_intercept_in(q, "/machine/ioapic");
        set_hpet(q, 0x100 + timer, 23 << 9 | 0x06);
        set_hpet(q, 0x10, 1 | legacy << 1);
        set_hpet(q, 0x108 + timer, 1000);
        set_hpet(q, 0x10c + timer, 0);
        qtest_clock_step(q, 10100);
        g_assert_cmphex(hpet(q, 0x20), ==, 1 << legacy);
        g_assert_true(qtest_get_irq(q, pin));
        qtest_qmp_ok(q, "{'execute': 'system_reset'}");
        json_object_put(qtest_wait_event(q, "RESET"));
        g_assert_cmphex(hpet(q, 0x20), ==, 0);
        g_assert_false(qtest_get_irq(q, pin));
        qtest_end(q);
    }
}

/* Comparators 0 and 1 take the lines of the 8254 and of the clock; switched off they give them back. */
static void test_hpet_legacy_replacement(void)
{
    QTest *q = qtest_start(RTC_VM);
    int n = 0;

    pic_init(q);
    pic_take(q, 0);
    set_cmos(q, 11, 0x12);
    set_hpet(q, 0x10, 2);
    qtest_clock_step(q, 3000000000);
    g_assert_false(pic_take(q, 0));
    g_assert_false(pic_take(q, 8));
    set_hpet(q, 0x100, 0x14c);
    set_hpet(q, 0x108, 100000); /* 1 ms */
    set_hpet(q, 0x108, 100000);
    set_hpet(q, 0x120, 0x04);
    set_hpet(q, 0x128, 250000);
    set_hpet(q, 0x12c, 0);
    set_hpet(q, 0x10, 3);
    for (int i = 0; i < 20; i++) {
        qtest_clock_step(q, 500000);
        n += pic_take(q, 0);
        g_assert_true(pic_take(q, 8) == (i == 4));
    }
    g_assert_cmpint(n, ==, 10);
    /* The clock's interrupt waits until the line is its own again. */
    set_hpet(q, 0x10, 0);
    g_assert_true(pic_take(q, 8));
    cmos(q, 12);
    program(q, 0, 2, 1193);
    qtest_clock_step(q, 2000000);
    g_assert_true(pic_take(q, 0));
    qtest_end(q);
}

/* A time that has passed when it is set is not waited for until the counter comes round. */
static void test_hpet_late_comparator(void)
{
    QTest *q = qtest_start("-machine pc");

    pic_init(q);
    set_hpet(q, 0x10, 3);
    pic_take(q, 8);
    qtest_clock_step(q, 1000000);
    set_hpet(q, 0x120, 0x104);
    set_hpet(q, 0x128, 10);
    qtest_clock_step(q, 100);
    g_assert_true(pic_take(q, 8));
    qtest_end(q);
}

/* ---- time across moves ------------------------------------------------------------------------------------------- */

/* Interrupts are neither lost nor repeated: the machine moves while one is requested, and while its timer is due. */
static void test_interrupts_across_moves(void)
{
    QTest *q = qtest_start(RTC_VM);
    int pit = 0, rtc = 0, hpet_n = 0;

    qtest_set_moving(q, false);
    pic_init(q);
    program(q, 0, 2, 11932); /* 10 ms */
    set_cmos(q, 10, 0x2b);   /* 32 Hz */
    set_cmos(q, 11, 0x42);
    cmos(q, 12);
    pic_take(q, 0);
    for (int i = 0; i < 20; i++) {
        qtest_clock_step(q, 10000000);
        qtest_move(q);
        pit += pic_take(q, 0);
        g_assert_false(pic_take(q, 0));
        if (pic_take(q, 8)) {
            qtest_move(q);
            g_assert_cmphex(cmos(q, 12) & 0xc0, ==, 0xc0);
            rtc++;
        }
    }
    g_assert_cmpint(pit, >=, 19);
    g_assert_cmpint(pit, <=, 20);
    g_assert_cmpint(rtc, ==, 6); /* 200 ms in periods of 31.25 */
    set_cmos(q, 11, 0x02);
    set_hpet(q, 0x100, 0x14c);
    set_hpet(q, 0x108, 1000000);
    set_hpet(q, 0x108, 1000000); /* 10 ms */
    set_hpet(q, 0x10, 3);
    pic_take(q, 0);
    for (int i = 0; i < 20; i++) {
        qtest_clock_step(q, 10000000);
        qtest_move(q);
        hpet_n += pic_take(q, 0);
        g_assert_false(pic_take(q, 0));
    }
    g_assert_cmpint(hpet_n, ==, 20);
    qtest_end(q);
}

/* Time that a guest reads goes on where it was, in all its clocks. */
static void test_time_across_moves(void)
{
    QTest *q = qtest_start(RTC_VM);
    uint64_t count = 0;

    qtest_set_moving(q, false);
    set_hpet(q, 0x10, 1);
    program(q, 2, 0, 0);
    qtest_outb(q, 0x61, 1);
    for (int i = 0; i < 8; i++) {
        uint16_t before, after;
        uint64_t now;

        qtest_clock_step(q, 1000000);
        before = latched(q, 2);
        now = qtest_readq(q, HPET + 0xf0);
        g_assert_cmpuint(now - count, ==, 100000);
        count = now;
        qtest_move(q);
        after = latched(q, 2);
        g_assert_cmpuint(before, ==, after);
        g_assert_cmpuint(qtest_readq(q, HPET + 0xf0), ==, count);
    }
    check_time(q, 0x235950, 0x261126);
    qtest_clock_step(q, 991000000);
    g_assert_cmphex(cmos(q, 10) & 0x80, ==, 0);
    qtest_move(q);
    qtest_clock_step(q, 850000);
    g_assert_cmphex(cmos(q, 10) & 0x80, ==, 0x80); /* 150 us before the second is over */
    qtest_move(q);
    g_assert_cmphex(cmos(q, 10) & 0x80, ==, 0x80);
    qtest_clock_step(q, 151000);
    check_time(q, 0x235951, 0x261126);
    qtest_end(q);
}

/* With the host's clock the guest sees the wall clock before and after, never earlier than it has seen. */
static void test_wall_clock_across_a_move(void)
{
    QTest *q = qtest_start("-machine pc");
    unsigned before, after;

    qtest_set_moving(q, false);
    before = cmos(q, 2) << 8 | cmos(q, 0);
    qtest_move(q);
    after = cmos(q, 2) << 8 | cmos(q, 0);
    g_assert_true(after >= before || before >= 0x5900);
    qtest_end(q);
}

/* ---- port 92h ------------------------------------------------------------------------------------------------------ */

static void test_port_92(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(qtest_inb(q, 0x92), ==, 0);
    qtest_outb(q, 0x92, 0xf2);
    g_assert_cmphex(qtest_inb(q, 0x92), ==, 0xf2);
    set_cmos(q, 11, 0x42);
    qtest_outb(q, 0x92, 0x03);
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_inb(q, 0x92), ==, 0x02);
    g_assert_cmphex(cmos(q, 11), ==, 0x02);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pc-timer/pit-values", test_pit_values);
    g_test_add_func("/pc-timer/pit-access", test_pit_access);
    g_test_add_func("/pc-timer/pit-interrupts", test_pit_interrupts);
    g_test_add_func("/pc-timer/port-61", test_port_61);
    g_test_add_func("/pc-timer/rtc-time", test_rtc_time);
    g_test_add_func("/pc-timer/rtc-date-is-told", test_rtc_date_is_told);
    g_test_add_func("/pc-timer/rtc-set-and-divider", test_rtc_set_and_divider);
    g_test_add_func("/pc-timer/rtc-update-and-alarm", test_rtc_update_and_alarm);
    g_test_add_func("/pc-timer/rtc-periodic", test_rtc_periodic);
    g_test_add_func("/pc-timer/rtc-slew", test_rtc_slew);
    g_test_add_func("/pc-timer/rtc-bad-options", test_rtc_bad_options);
    g_test_add_func("/pc-timer/cmos-memory-sizes", test_cmos_memory_sizes);
    g_test_add_func("/pc-timer/hpet-registers", test_hpet_registers);
    g_test_add_func("/pc-timer/hpet-options", test_hpet_options);
    g_test_add_func("/pc-timer/hpet-level-and-route", test_hpet_level_and_route);
    g_test_add_func("/pc-timer/hpet-reset-lowers-lines", test_hpet_reset_lowers_lines);
    g_test_add_func("/pc-timer/hpet-legacy-replacement", test_hpet_legacy_replacement);
    g_test_add_func("/pc-timer/hpet-late-comparator", test_hpet_late_comparator);
    g_test_add_func("/pc-timer/interrupts-across-moves", test_interrupts_across_moves);
    g_test_add_func("/pc-timer/time-across-moves", test_time_across_moves);
    g_test_add_func("/pc-timer/wall-clock-across-a-move", test_wall_clock_across_a_move);
    g_test_add_func("/pc-timer/port-92", test_port_92);
    return g_test_run();
}
