/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI controllers: registers, frames, queues, errors (UHCI Design Guide 1.1). The guest is driven step by step, so each
 * test holds when the VM moves between any two of its steps.
 */
#include "util/osdep.h"
#include "uhci-schedule.h"

/* ---- identities ------------------------------------------------------------------------------------------------- */

static void test_identities(void)
{
    static const struct {
        const char *type;
        uint16_t id;
        uint8_t revision, pin;
    } want[] = {
        { "piix3-usb-uhci", 0x7020, 1, 4 }, { "piix4-usb-uhci", 0x7112, 1, 4 },
        { "ich9-usb-uhci1", 0x2934, 3, 1 }, { "ich9-usb-uhci2", 0x2935, 3, 2 },
        { "ich9-usb-uhci3", 0x2936, 3, 3 }, { "ich9-usb-uhci4", 0x2937, 3, 1 },
        { "ich9-usb-uhci5", 0x2938, 3, 2 }, { "ich9-usb-uhci6", 0x2939, 3, 3 },
    };
    g_autoptr(GString) args = g_string_new("-machine pc ");
    QTest *q;

    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        g_string_append_printf(args, "-device %s,addr=%x ", want[i].type, 3 + i);
    }
    q = qtest_start("%s", args->str);
    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        unsigned devfn = (3 + i) << 3;

        g_assert_cmphex(uhci_config_read32(q, devfn, 0), ==, (uint32_t)want[i].id << 16 | 0x8086);
        g_assert_cmphex(uhci_config_read32(q, devfn, 8), ==, 0x0c030000u | want[i].revision);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0x3d) & 0xff, ==, want[i].pin);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0x2c), ==, 0x11001af4);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0x60) & 0xff, ==, 0x10);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0xc0) & 0xffff, ==, 0x2000);
        uhci_config_write16(q, devfn, 0x60, 0xffff);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0x60) & 0xff, ==, 0x10);
        qtest_outl(q, 0xcf8, 0x80000000u | devfn << 8 | 0x20);
        qtest_outl(q, 0xcfc, 0xffffffff);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0x20), ==, 0xffffffe1);
        uhci_config_write16(q, devfn, 0xc0,
                            0x8f00); /* the clear-by-one bits: what Linux writes to reset */
        g_assert_cmphex(uhci_config_read32(q, devfn, 0xc0) & 0xffff, ==, 0);
        uhci_config_write16(q, devfn, 0xc0, 0x2000);
        g_assert_cmphex(uhci_config_read32(q, devfn, 0xc0) & 0xffff, ==, 0x2000);
    }
    qtest_end(q);
}

static void test_companion_errors(void)
{
    char *out;

    g_assert_cmpint(qtest_run(&out, RUN "-machine pc -device ich9-usb-uhci1,masterbus=foo"), ==, 1);
    g_assert_nonnull(strstr(out, "USB bus 'foo' not found"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN MACHINE "-device ich9-usb-uhci1,masterbus=u.0"), ==, 1);
    g_assert_nonnull(strstr(
        out, "Can't use USB bus 'u.0' as masterbus, it doesn't support companion controllers"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN "-machine pc -device usb-kbd"), ==, 1);
    g_assert_nonnull(strstr(out, "No 'usb-bus' bus found for device 'usb-kbd'"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN MACHINE "-device usb-kbd,port=1 -device usb-kbd,port=1"),
                    ==, 1);
    g_assert_nonnull(strstr(out, "usb port 1 (bus u.0) not found (in use?)"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN MACHINE "-device usb-kbd,usb_version=3"), ==, 1);
    g_assert_nonnull(strstr(out, "Invalid usb version 3 for usb hid device"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN MACHINE "-device usb-hub,ports=9"), ==, 1);
    g_assert_nonnull(strstr(out, "num_ports (9) out of range (1..8)"));
    g_free(out);
}

/* ---- registers -------------------------------------------------------------------------------------------------- */

static void test_registers(void)
{
    QTest *q = qtest_start(MACHINE);
    UhciDriver u;

    uhci_init(&u, q, UHCI_DEVFN, IO, MEM);
    uhci_set_reg(q, UHCI_CMD, 2);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_HALTED);
    g_assert_cmphex(uhci_reg(q, UHCI_INTR), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 0);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_SOFMOD), ==, 0x40);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x80);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x80);
    for (unsigned o = 0x14; o < 0x20; o += 2) {
        g_assert_cmphex(uhci_reg(q, o), ==, 0xff7f); /* bit 7 clear: no third port */
    }

    uhci_set_reg(q, UHCI_INTR, 0xffff);
    g_assert_cmphex(uhci_reg(q, UHCI_INTR), ==, 0x000f);
    uhci_set_reg(q, UHCI_FRNUM, 0xffff);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 0x07ff);
    uhci_set_reg(q, UHCI_SOFMOD, 0xffff);
    g_assert_cmphex(uhci_reg(q, UHCI_SOFMOD), ==, 0x7f);
    qtest_outl(q, IO + UHCI_FLBASE, 0xffffffff);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0xfffff000);
    uhci_set_reg(q, UHCI_FLBASE, 0x1234);
    uhci_set_reg(q, UHCI_FLBASE + 2, 0x5678);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0x56781000);
    uhci_set_reg(q, UHCI_CMD, 0xfff8);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0xf8);
    uhci_set_reg(q, UHCI_CMD, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_HALTED);
    uhci_set_reg(q, UHCI_STS, 0x3f);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    /* Enabling an empty port does nothing; reserved bits stay. */
    uhci_set_reg(q, UHCI_PORT1, 0xffff);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x1280 & ~0x1000);
    uhci_set_reg(q, UHCI_PORT1, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x80);
    qtest_end(q);
}

static void test_register_widths(void)
{
    QTest *q = qtest_start(MACHINE "-device usb-kbd");
    UhciDriver u;

    uhci_init(&u, q, UHCI_DEVFN, IO, MEM);
    uhci_set_reg(q, UHCI_CMD, 2);
    qtest_outb(q, IO + UHCI_FRNUM, 0x34);
    qtest_outb(q, IO + UHCI_FRNUM + 1, 0xff);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 0x0734);
    g_assert_cmphex(qtest_inb(q, IO + UHCI_FRNUM + 1), ==, 0x07);
    qtest_outb(q, IO + UHCI_FLBASE + 1, 0xab);
    qtest_outb(q, IO + UHCI_FLBASE + 3, 0xcd);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0xcd00a000);
    qtest_outl(q, IO + UHCI_INTR, 0x0123000f);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_INTR), ==, 0x0123000f);
    qtest_outl(q, IO + UHCI_CMD, 0x003f0080);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_CMD), ==, 0x00000080);
    qtest_outb(q, IO + UHCI_SOFMOD, 0x3f);
    g_assert_cmphex(qtest_inb(q, IO + UHCI_SOFMOD), ==, 0x3f);
    /* A byte that has no clear-by-one bit leaves those of the other byte. */
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x83);
    qtest_outb(q, IO + UHCI_PORT1 + 1, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x83);
    qtest_outb(q, IO + UHCI_PORT1, 0x06);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x85);
    qtest_outl(q, IO + UHCI_PORT1, 0);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_PORT1), ==, 0x00800081);
    qtest_end(q);
}

static void test_frame_number(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "");
    int64_t start;

    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    uhci_frames(q, 10);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 10);
    qtest_clock_step(q, UHCI_FRAME_NS - 1);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 10);
    qtest_clock_step(q, 1);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 11);
    uhci_set_reg(q, UHCI_FRNUM, 500); /* not while running */
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 11);
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_HALTED);
    uhci_frames(q, 5);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 11);
    uhci_set_reg(q, UHCI_FRNUM, 0x7fe);
    uhci_set_reg(q, UHCI_CMD, 0xc1);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    uhci_frames(q, 3);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 1);
    /* 127 bit times of 1/12 us more or 64 fewer (2.1.6). */
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    uhci_set_reg(q, UHCI_SOFMOD, 0);
    uhci_set_reg(q, UHCI_CMD, 0xc1);
    start = qtest_clock_now(q);
    uhci_frames(q, 1000);
    g_assert_cmpint(uhci_reg(q, UHCI_FRNUM), ==,
                    (1 + (qtest_clock_now(q) - start) / 994666) & 0x7ff);
    qtest_end(q);
}

static void test_resets(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_frames(q, 3);
    uhci_set_reg(q, UHCI_INTR, 0xf);
    uhci_set_reg(q, UHCI_CMD, 2);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_HALTED);
    g_assert_cmphex(uhci_reg(q, UHCI_INTR), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x83);
    uhci_set_reg(q, UHCI_PORT1, 6);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x85);
    uhci_set_reg(q, UHCI_CMD, 4);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 4);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x83);
    uhci_frames(q, 10);
    uhci_set_reg(q, UHCI_CMD, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0);
    qtest_end(q);
}

/* ---- transfers ---------------------------------------------------------------------------------------------------- */

static void test_control_in_one_frame(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");
    uint8_t d[34];

    uhci_put_control(q, 0, 0, VF, T, UHCI_TD_SPD);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ERRORS(3) | 7));
    g_assert_cmphex(uhci_td_ctrl(q, 5), ==, (ERRORS(3) | UHCI_TD_SPD | 1));
    g_assert_cmphex(uhci_td_ctrl(q, 6), ==, (ERRORS(3) | UHCI_TD_IOC | 0x7ff));
    g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, T);
    qtest_memread(q, BUF(0) + 0x100, d, sizeof(d));
    g_assert_cmphex(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[33], ==, 0x0902220a);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_INT);
    uhci_set_reg(q, UHCI_STS, STS_INT);
    uhci_frames(q, 2);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    qtest_end(q);
}

/* Breadth first: a queue gets one TD a visit; alone in a ring (bandwidth reclamation) it is visited again and again,
 * without it once a frame. */
static void test_breadth_first(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_put_control(q, 0, 0, 0, T, 0);
    uhci_set_frames(q, QH(0) | Q);
    for (unsigned left = 7; left > 0; left--) {
        g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, left);
        g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, TD(7 - left));
        uhci_frames(q, 1);
    }
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);

    uhci_set_frames(q, T);
    uhci_put_control(q, 0, 0, 0, QH(1) | Q, 0);
    uhci_put_qh(q, 1, QH(0) | Q, T);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

/* Bytes of data that a frame may move: 1280, or what the property says. */
static void test_bandwidth(void)
{
    QTest *q = qtest_start(
        "-machine pc -m 16 -device piix3-usb-uhci,addr=1.2,id=u,bandwidth=16 -device usb-kbd");
    UhciDriver u;

    uhci_init(&u, q, UHCI_DEVFN, IO, MEM);
    g_assert_true(uhci_reset_port(&u, 0));
    uhci_put_control(q, 0, 0, VF, QH(0) | Q, 0);
    uhci_set_frames(q, QH(0) | Q);
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    qtest_outl(q, IO + UHCI_FLBASE, AREA);
    uhci_set_reg(q, UHCI_CMD, 0xc1);
    for (unsigned left = 7; left > 1; left -= 2) {
        g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, left);
        uhci_frames(q, 1);
    }
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 1);
    uhci_frames(q, 1);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_queue_of_queues(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_put_control(q, 1, 0, VF, T, 0);
    uhci_put_qh(q, 0, T, QH(1) | Q);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_short_packet(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    for (int spd = 0; spd < 2; spd++) {
        uhci_set_frames(q, T);
        qtest_memwrite(q, BUF(0), uhci_get_config, 8);
        uhci_put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
        uhci_put_td(q, 1, TD(2) | VF, ACTIVE | ERRORS(3) | (spd ? UHCI_TD_SPD : 0),
                    TOKEN(UHCI_PID_IN, 0, 0, 64), BUF(1));
        uhci_put_td(q, 2, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_OUT, 0, 0, 0), 0);
        uhci_put_qh(q, 0, T, TD(0));
        uhci_set_frames(q, QH(0) | Q);
        uhci_frames(q, 1);
        g_assert_cmphex(uhci_td_ctrl(q, 1) & (ACTIVE | 0x7ff), ==, 33);
        if (spd) { /* the queue stops behind it, with an interrupt that has its own enable */
            g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, (TD(1) | VF));
            g_assert_true(uhci_td_ctrl(q, 2) & ACTIVE);
            g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_INT);
            uhci_set_reg(q, UHCI_STS, STS_INT);
            uhci_frames(q, 2);
            g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
        } else {
            g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, T);
            g_assert_false(uhci_td_ctrl(q, 2) & ACTIVE);
            g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
        }
    }
    qtest_end(q);
}

static void test_nak_and_stall(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3) | UHCI_TD_IOC, TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 5);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ACTIVE | ERRORS(3) | UHCI_TD_IOC | UHCI_TD_NAK));
    g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, TD(0));
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    /* An endpoint that is not there. */
    uhci_set_frames(q, T);
    uhci_put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 7, 8), BUF(0));
    uhci_put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 7, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 2);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ERRORS(3) | UHCI_TD_STALLED | 0x7ff));
    g_assert_true(uhci_td_ctrl(q, 1) & ACTIVE);
    g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, TD(0));
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_ERR);
    qtest_end(q);
}

static void test_error_counter(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "");

    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3) | UHCI_TD_IOC, TOKEN(UHCI_PID_IN, 9, 0, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ACTIVE | ERRORS(2) | UHCI_TD_IOC | UHCI_TD_TIMEOUT));
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ACTIVE | ERRORS(1) | UHCI_TD_IOC | UHCI_TD_TIMEOUT));
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==,
                    (UHCI_TD_IOC | UHCI_TD_TIMEOUT | UHCI_TD_STALLED | 0x7ff));
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_ERR | STS_INT);
    /* Without a limit it is tried for ever. */
    uhci_set_frames(q, T);
    uhci_set_reg(q, UHCI_STS, 0x3f);
    uhci_put_td(q, 0, T, ACTIVE, TOKEN(UHCI_PID_IN, 9, 0, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 50);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ACTIVE | UHCI_TD_TIMEOUT));
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    qtest_end(q);
}

static void test_isochronous(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    /* To nobody, to an endpoint that answers NAK, then one that is not active but wants an interrupt. */
    uhci_put_td(q, 0, TD(1), ACTIVE | ISO, TOKEN(UHCI_PID_IN, 9, 1, 8), BUF(0));
    uhci_put_td(q, 1, TD(2), ACTIVE | ISO, TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_put_td(q, 2, QH(0) | Q, UHCI_TD_IOC | ISO, TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_put_control(q, 0, 10, VF, T, 0);
    uhci_set_frames(q, TD(0));
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ISO | UHCI_TD_TIMEOUT | 0x7ff));
    g_assert_cmphex(uhci_td_ctrl(q, 1), ==, (ISO | UHCI_TD_TIMEOUT | 0x7ff));
    g_assert_cmphex(uhci_td_ctrl(q, 2), ==, (ISO | UHCI_TD_IOC));
    g_assert_cmpuint(uhci_active_tds(q, 10, 7), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_ERR | STS_INT);
    qtest_end(q);
}

static void test_babble(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-hub,id=h -device usb-kbd,port=1.1");

    /* The hub has a port change to tell; there is no room for it. */
    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 0), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ERRORS(3) | UHCI_TD_STALLED | UHCI_TD_BABBLE | 0x7ff));
    qtest_end(q);
}

/* ---- what a guest gets for garbage ------------------------------------------------------------------------------- */

static void check_halted(QTest *q, uint16_t error)
{
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_HALTED | error);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD) & 1, ==, 0);
}

static void restart(QTest *q)
{
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    uhci_set_reg(q, UHCI_STS, 0x3f);
    uhci_set_frames(q, T);
    qtest_outl(q, IO + UHCI_FLBASE, AREA);
    uhci_set_reg(q, UHCI_CMD, 0xc1);
}

static void test_process_errors(void)
{
    static const uint32_t tokens[] = {
        TOKEN(0x12, 0, 0, 8),
        TOKEN(0xa5, 0, 0, 8),
        0x69u | 0x500u << 21,
        0x69u | 0x7feu << 21,
    };
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    for (unsigned i = 0; i < G_N_ELEMENTS(tokens); i++) {
        uhci_put_td(q, 0, T, ACTIVE | ERRORS(3), tokens[i], BUF(0));
        uhci_set_frames(q, TD(0));
        uhci_frames(q, 3);
        check_halted(q, STS_HCPE);
        restart(q);
    }
    qtest_end(q);
}

static void test_host_errors(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    qtest_outl(q, IO + UHCI_FLBASE, 0xf0000000);
    uhci_frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    uhci_set_frames(q, 0xf0000000 | Q);
    uhci_frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    uhci_put_qh(q, 0, T, 0xf0000000);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    /* The data's place. */
    qtest_memwrite(q, BUF(0), uhci_get_config, 8);
    uhci_put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    uhci_put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 0, 8), 0xf0000000);
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    /* Not a bus master: frames pass, nothing happens. */
    qtest_memwrite(q, BUF(0), uhci_get_config, 8);
    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_config_write(&u, 4, 1);
    uhci_frames(q, 3);
    g_assert_true(uhci_td_ctrl(q, 0) & ACTIVE);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    uhci_config_write(&u, 4, 5);
    uhci_frames(q, 1);
    g_assert_false(uhci_td_ctrl(q, 0) & ACTIVE);
    qtest_end(q);
}

static void test_loops(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    /* A queue head that follows itself; one whose element is itself; TDs in a ring; an active TD in a ring. */
    uhci_put_qh(q, 0, QH(0) | Q, T);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 2);
    uhci_put_qh(q, 0, T, QH(0) | Q);
    uhci_frames(q, 2);
    uhci_put_td(q, 0, TD(1), 0, 0x69, 0);
    uhci_put_td(q, 1, TD(0), 0, 0x69, 0);
    uhci_set_frames(q, TD(0));
    uhci_frames(q, 2);
    uhci_put_td(q, 0, TD(0) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_put_qh(q, 0, QH(0) | Q, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 2);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ACTIVE | ERRORS(3) | UHCI_TD_NAK));
    /* A TD that can be read but not written, so it stays active and is done over and over: bandwidth ends the frame. */
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    qtest_end(q);
}

static void test_registers_as_schedule(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    /* The I/O APIC's window: reads as registers, whatever they say. */
    qtest_outl(q, IO + UHCI_FLBASE, 0xfec00000);
    uhci_frames(q, 5);
    restart(q);
    uhci_set_frames(q, 0xfec00000 | Q);
    uhci_frames(q, 5);
    restart(q);
    uhci_put_qh(q, 0, T, 0xfec00000);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 5);
    restart(q);
    qtest_memwrite(q, BUF(0), uhci_get_config, 8);
    uhci_put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    uhci_put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 0, 8), 0xfec00000);
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 2);
    /* Still alive. */
    restart(q);
    uhci_put_control(q, 0, 0, VF, T, 0);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 2);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_random_schedules(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(
        &u, "-device usb-kbd -device usb-hub,port=2,id=h -device usb-tablet,port=2.1");
    g_autofree uint32_t *words = g_new(uint32_t, 4096);

    qtest_set_moving(q, false);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 4096; i++) {
            uint32_t r = g_test_rand_int();

            switch (i < 1024 ? 0 : r % 4) {
            case 0: /* a link to somewhere in here */
                words[i] = (AREA + (r >> 8) % 0x4000) & ~0xfu;
                words[i] |= r & 0x70 ? r & 6 : r & 7;
                break;
            case 1:
                words[i] = (r & 0x3effffff) | ACTIVE;
                break;
            case 2:
                words[i] = TOKEN((r & 0x300 ? UHCI_PID_IN : UHCI_PID_SETUP), (r >> 10) & 1,
                                 (r >> 11) & 1, (r >> 12) % 70);
                break;
            default:
                words[i] = r;
            }
            words[i] = GUINT32_TO_LE(words[i]);
        }
        uhci_set_reg(q, UHCI_STS, 0x3f);
        qtest_memwrite(q, AREA, words, 4096 * 4);
        uhci_set_reg(q, UHCI_CMD, 0xc1);
        uhci_frames(q, 20);
        uhci_set_reg(q, UHCI_CMD, 0xc0);
    }
    qtest_set_moving(q, true);
    restart(q);
    g_assert_true(uhci_reset_port(&u, 0));
    uhci_put_control(q, 0, 0, VF, T, 0);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 2);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_software_debug(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_put_control(q, 0, 0, VF, T, 0);
    uhci_set_frames(q, QH(0) | Q);
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    for (unsigned left = 6; left > 3; left--) {
        uhci_set_reg(q, UHCI_CMD, 0xe1);
        uhci_frames(q, 3);
        g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0xe0);
        g_assert_cmphex(uhci_reg(q, UHCI_STS) & STS_HALTED, ==, STS_HALTED);
        g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, left);
    }
    qtest_end(q);
}

/* ---- interrupts ----------------------------------------------------------------------------------------------------- */

static void test_interrupts(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_config_write16(q, 0x08, 0x62, 0x0b80); /* PIRQD → 11 */
    qtest_irq_intercept_in(q, "ioapic");
    for (int enabled = 0; enabled < 2; enabled++) {
        uhci_set_reg(q, UHCI_INTR, enabled ? 4 : 0xb);
        uhci_set_frames(q, T);
        uhci_put_control(q, 0, 0, VF, T, 0);
        uhci_set_frames(q, QH(0) | Q);
        uhci_frames(q, 1);
        g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_INT);
        g_assert_cmpint(qtest_get_irq(q, 11), ==, enabled);
        uhci_set_reg(q, UHCI_STS, STS_INT);
        g_assert_false(qtest_get_irq(q, 11));
        /* Short packet. */
        uhci_set_reg(q, UHCI_INTR, enabled ? 8 : 7);
        uhci_set_frames(q, T);
        uhci_put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
        uhci_put_td(q, 1, T, ACTIVE | ERRORS(3) | UHCI_TD_SPD, TOKEN(UHCI_PID_IN, 0, 0, 64),
                    BUF(1));
        uhci_put_qh(q, 0, T, TD(0));
        uhci_set_frames(q, QH(0) | Q);
        uhci_frames(q, 1);
        g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_INT);
        g_assert_cmpint(qtest_get_irq(q, 11), ==, enabled);
        uhci_set_reg(q, UHCI_STS, STS_INT);
        /* Error. */
        uhci_set_reg(q, UHCI_INTR, enabled ? 1 : 0xe);
        uhci_set_frames(q, T);
        uhci_put_td(q, 0, T, ACTIVE | ERRORS(1), TOKEN(UHCI_PID_IN, 9, 0, 8), 0);
        uhci_put_qh(q, 0, T, TD(0));
        uhci_set_frames(q, QH(0) | Q);
        uhci_frames(q, 1);
        g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_ERR);
        g_assert_cmpint(qtest_get_irq(q, 11), ==, enabled);
        uhci_set_reg(q, UHCI_STS, STS_ERR);
        g_assert_false(qtest_get_irq(q, 11));
    }
    /* A halt by error cannot be masked. */
    uhci_set_reg(q, UHCI_INTR, 0);
    uhci_put_td(q, 0, T, ACTIVE, TOKEN(0, 9, 0, 8), 0);
    uhci_set_frames(q, TD(0));
    uhci_frames(q, 1);
    g_assert_true(qtest_get_irq(q, 11));
    uhci_set_reg(q, UHCI_STS, STS_HCPE);
    g_assert_false(qtest_get_irq(q, 11));
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uhci/identities", test_identities);
    g_test_add_func("/uhci/errors-of-users", test_companion_errors);
    g_test_add_func("/uhci/registers", test_registers);
    g_test_add_func("/uhci/register-widths", test_register_widths);
    g_test_add_func("/uhci/frame-number", test_frame_number);
    g_test_add_func("/uhci/resets", test_resets);
    g_test_add_func("/uhci/control-in-one-frame", test_control_in_one_frame);
    g_test_add_func("/uhci/breadth-first", test_breadth_first);
    g_test_add_func("/uhci/bandwidth", test_bandwidth);
    g_test_add_func("/uhci/queue-of-queues", test_queue_of_queues);
    g_test_add_func("/uhci/short-packet", test_short_packet);
    g_test_add_func("/uhci/nak-and-stall", test_nak_and_stall);
    g_test_add_func("/uhci/error-counter", test_error_counter);
    g_test_add_func("/uhci/isochronous", test_isochronous);
    g_test_add_func("/uhci/babble", test_babble);
    g_test_add_func("/uhci/process-errors", test_process_errors);
    g_test_add_func("/uhci/host-errors", test_host_errors);
    g_test_add_func("/uhci/loops", test_loops);
    g_test_add_func("/uhci/registers-as-schedule", test_registers_as_schedule);
    g_test_add_func("/uhci/random-schedules", test_random_schedules);
    g_test_add_func("/uhci/software-debug", test_software_debug);
    g_test_add_func("/uhci/interrupts", test_interrupts);
    return g_test_run();
}
