/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI controllers: registers, frames, queues, errors, ports, suspend (UHCI Design Guide 1.1). The guest is driven
 * step by step, so each test holds when the VM moves between any two of its steps.
 */
#include "util/osdep.h"
#include "uhci-driver.h"

#define UHCI_DEVFN 0x0a
#define IO 0xc000
#define MEM 0x100000
#define MACHINE "-machine pc -m 16 -device piix3-usb-uhci,addr=1.2,id=u "

#define RUN "-accel qtest -display none -nodefaults "

/* Where tests put their own structures: behind the driver's. */
#define AREA 0x300000
#define QH(n) (AREA + 0x1000 + (n) * 16)
#define TD(n) (AREA + 0x2000 + (n) * 16)
#define BUF(n) (AREA + 0x8000 + (n) * 0x1000)

#define T 1u
#define Q 2u
#define VF 4u
#define ACTIVE (1u << 23)
#define ERRORS(n) ((uint32_t)(n) << 27)
#define ISO (1u << 25)
#define ACTUAL(ctrl) (((ctrl) + 1) & 0x7ff)
#define TOKEN(pid, addr, ep, len) \
    ((uint32_t)(((len) - 1) & 0x7ff) << 21 | (uint32_t)(ep) << 15 | (uint32_t)(addr) << 8 | (pid))

enum { STS_INT = 1, STS_ERR = 2, STS_RD = 4, STS_HSE = 8, STS_HCPE = 16, STS_HALTED = 32 };
enum { PORT_RD = 0x40 };

static uint16_t reg(QTest *q, unsigned offset)
{
    return qtest_inw(q, IO + offset);
}

static void set_reg(QTest *q, unsigned offset, uint16_t value)
{
    qtest_outw(q, IO + offset, value);
}

static void put_td(QTest *q, unsigned n, uint32_t link, uint32_t ctrl, uint32_t token, uint32_t buffer)
{
    qtest_writel(q, TD(n), link);
    qtest_writel(q, TD(n) + 4, ctrl);
    qtest_writel(q, TD(n) + 8, token);
    qtest_writel(q, TD(n) + 12, buffer);
}

static uint32_t td_ctrl(QTest *q, unsigned n)
{
    return qtest_readl(q, TD(n) + 4);
}

static void put_qh(QTest *q, unsigned n, uint32_t head, uint32_t element)
{
    qtest_writel(q, QH(n), head);
    qtest_writel(q, QH(n) + 4, element);
}

/* All frames begin with this link. */
static void set_frames(QTest *q, uint32_t link)
{
    g_autofree uint32_t *frames = g_new(uint32_t, 1024);

    for (int i = 0; i < 1024; i++) {
        frames[i] = GUINT32_TO_LE(link);
    }
    qtest_memwrite(q, AREA, frames, 4096);
}

/* The controller with its own empty schedule, running; the device on port 1 (if any) is reset and at address 0. */
static QTest *start_with(UhciDriver *u, const char *devices)
{
    QTest *q = qtest_start(MACHINE "%s", devices);

    uhci_init(u, q, UHCI_DEVFN, IO, MEM);
    if (*devices) {
        g_assert_true(uhci_reset_port(u, 0));
    }
    set_reg(q, UHCI_CMD, 0);
    set_frames(q, T);
    qtest_outl(q, IO + UHCI_FLBASE, AREA);
    set_reg(q, UHCI_FRNUM, 0);
    set_reg(q, UHCI_STS, 0x3f);
    set_reg(q, UHCI_CMD, 0xc1);
    return q;
}

static void frames(QTest *q, unsigned n)
{
    qtest_clock_step(q, (int64_t)n * UHCI_FRAME_NS);
}

/* The descriptor request that tests use as a control transfer with data. */
static const uint8_t get_config[8] = { 0x80, 6, 0, 2, 0, 0, 34, 0 };

/* ---- identities ------------------------------------------------------------------------------------------------- */

static uint32_t config_read(QTest *q, unsigned devfn, unsigned r)
{
    qtest_outl(q, 0xcf8, 0x80000000u | devfn << 8 | (r & 0xfc));
    return qtest_inl(q, 0xcfc) >> (r & 3) * 8;
}

static void config_writew(QTest *q, unsigned devfn, unsigned r, uint16_t value)
{
    qtest_outl(q, 0xcf8, 0x80000000u | devfn << 8 | (r & 0xfc));
    qtest_outw(q, 0xcfc + (r & 2), value);
}

static void test_identities(void)
{
    static const struct {
        const char *type;
        uint16_t id;
        uint8_t revision, pin;
    } want[] = {
        { "piix3-usb-uhci", 0x7020, 1, 4 }, { "piix4-usb-uhci", 0x7112, 1, 4 }, { "ich9-usb-uhci1", 0x2934, 3, 1 },
        { "ich9-usb-uhci2", 0x2935, 3, 2 }, { "ich9-usb-uhci3", 0x2936, 3, 3 }, { "ich9-usb-uhci4", 0x2937, 3, 1 },
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

        g_assert_cmphex(config_read(q, devfn, 0), ==, (uint32_t)want[i].id << 16 | 0x8086);
        g_assert_cmphex(config_read(q, devfn, 8), ==, 0x0c030000u | want[i].revision);
        g_assert_cmphex(config_read(q, devfn, 0x3d) & 0xff, ==, want[i].pin);
        g_assert_cmphex(config_read(q, devfn, 0x2c), ==, 0x11001af4);
        g_assert_cmphex(config_read(q, devfn, 0x60) & 0xff, ==, 0x10);
        g_assert_cmphex(config_read(q, devfn, 0xc0) & 0xffff, ==, 0x2000);
        config_writew(q, devfn, 0x60, 0xffff);
        g_assert_cmphex(config_read(q, devfn, 0x60) & 0xff, ==, 0x10);
        qtest_outl(q, 0xcf8, 0x80000000u | devfn << 8 | 0x20);
        qtest_outl(q, 0xcfc, 0xffffffff);
        g_assert_cmphex(config_read(q, devfn, 0x20), ==, 0xffffffe1);
        config_writew(q, devfn, 0xc0, 0x8f00); /* the clear-by-one bits: what Linux writes to reset */
        g_assert_cmphex(config_read(q, devfn, 0xc0) & 0xffff, ==, 0);
        config_writew(q, devfn, 0xc0, 0x2000);
        g_assert_cmphex(config_read(q, devfn, 0xc0) & 0xffff, ==, 0x2000);
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
    g_assert_nonnull(strstr(out, "Can't use USB bus 'u.0' as masterbus, it doesn't support companion controllers"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN "-machine pc -device usb-kbd"), ==, 1);
    g_assert_nonnull(strstr(out, "No 'usb-bus' bus found for device 'usb-kbd'"));
    g_free(out);
    g_assert_cmpint(qtest_run(&out, RUN MACHINE "-device usb-kbd,port=1 -device usb-kbd,port=1"), ==, 1);
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
    set_reg(q, UHCI_CMD, 2);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_HALTED);
    g_assert_cmphex(reg(q, UHCI_INTR), ==, 0);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 0);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0);
    g_assert_cmphex(reg(q, UHCI_SOFMOD), ==, 0x40);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x80);
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x80);
    for (unsigned o = 0x14; o < 0x20; o += 2) {
        g_assert_cmphex(reg(q, o), ==, 0xff7f); /* bit 7 clear: no third port */
    }

    set_reg(q, UHCI_INTR, 0xffff);
    g_assert_cmphex(reg(q, UHCI_INTR), ==, 0x000f);
    set_reg(q, UHCI_FRNUM, 0xffff);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 0x07ff);
    set_reg(q, UHCI_SOFMOD, 0xffff);
    g_assert_cmphex(reg(q, UHCI_SOFMOD), ==, 0x7f);
    qtest_outl(q, IO + UHCI_FLBASE, 0xffffffff);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0xfffff000);
    set_reg(q, UHCI_FLBASE, 0x1234);
    set_reg(q, UHCI_FLBASE + 2, 0x5678);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_FLBASE), ==, 0x56781000);
    set_reg(q, UHCI_CMD, 0xfff8);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0xf8);
    set_reg(q, UHCI_CMD, 0);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_HALTED);
    set_reg(q, UHCI_STS, 0x3f);
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    /* Enabling an empty port does nothing; reserved bits stay. */
    set_reg(q, UHCI_PORT1, 0xffff);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x1280 & ~0x1000);
    set_reg(q, UHCI_PORT1, 0);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x80);
    qtest_end(q);
}

static void test_register_widths(void)
{
    QTest *q = qtest_start(MACHINE "-device usb-kbd");
    UhciDriver u;

    uhci_init(&u, q, UHCI_DEVFN, IO, MEM);
    set_reg(q, UHCI_CMD, 2);
    qtest_outb(q, IO + UHCI_FRNUM, 0x34);
    qtest_outb(q, IO + UHCI_FRNUM + 1, 0xff);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 0x0734);
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
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x83);
    qtest_outb(q, IO + UHCI_PORT1 + 1, 0);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x83);
    qtest_outb(q, IO + UHCI_PORT1, 0x06);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x85);
    qtest_outl(q, IO + UHCI_PORT1, 0);
    g_assert_cmphex(qtest_inl(q, IO + UHCI_PORT1), ==, 0x00800081);
    qtest_end(q);
}

static void test_frame_number(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "");
    int64_t start;

    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    frames(q, 10);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 10);
    qtest_clock_step(q, UHCI_FRAME_NS - 1);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 10);
    qtest_clock_step(q, 1);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 11);
    set_reg(q, UHCI_FRNUM, 500); /* not while running */
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 11);
    set_reg(q, UHCI_CMD, 0xc0);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_HALTED);
    frames(q, 5);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 11);
    set_reg(q, UHCI_FRNUM, 0x7fe);
    set_reg(q, UHCI_CMD, 0xc1);
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    frames(q, 3);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 1);
    /* 127 bit times of 1/12 us more or 64 fewer (2.1.6). */
    set_reg(q, UHCI_CMD, 0xc0);
    set_reg(q, UHCI_SOFMOD, 0);
    set_reg(q, UHCI_CMD, 0xc1);
    start = qtest_clock_now(q);
    frames(q, 1000);
    g_assert_cmpint(reg(q, UHCI_FRNUM), ==, (1 + (qtest_clock_now(q) - start) / 994666) & 0x7ff);
    qtest_end(q);
}

static void test_resets(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    frames(q, 3);
    set_reg(q, UHCI_INTR, 0xf);
    set_reg(q, UHCI_CMD, 2);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_HALTED);
    g_assert_cmphex(reg(q, UHCI_INTR), ==, 0);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 0);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x83);
    set_reg(q, UHCI_PORT1, 6);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x85);
    set_reg(q, UHCI_CMD, 4);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 4);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x83);
    frames(q, 10);
    set_reg(q, UHCI_CMD, 0);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0);
    qtest_end(q);
}

/* ---- transfers ---------------------------------------------------------------------------------------------------- */

/* SETUP, five IN of 8 bytes (the last is short), status: in queue n as TDs first…first + 6. */
static void put_control(QTest *q, unsigned qh, unsigned first, uint32_t link_flags, uint32_t head, uint32_t extra)
{
    qtest_memwrite(q, BUF(first), get_config, 8);
    put_td(q, first, TD(first + 1) | link_flags, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(first));
    for (unsigned i = 0; i < 5; i++) {
        put_td(q, first + 1 + i, TD(first + 2 + i) | link_flags, ACTIVE | ERRORS(3) | extra,
               TOKEN(UHCI_PID_IN, 0, 0, i < 4 ? 8 : 2), BUF(first) + 0x100 + i * 8);
    }
    put_td(q, first + 6, T, ACTIVE | ERRORS(3) | UHCI_TD_IOC, TOKEN(UHCI_PID_OUT, 0, 0, 0), 0);
    put_qh(q, qh, head, TD(first));
}

static unsigned active_tds(QTest *q, unsigned first, unsigned n)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        count += (td_ctrl(q, first + i) & ACTIVE) != 0;
    }
    return count;
}

static void test_control_in_one_frame(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");
    uint8_t d[34];

    put_control(q, 0, 0, VF, T, UHCI_TD_SPD);
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ERRORS(3) | 7));
    g_assert_cmphex(td_ctrl(q, 5), ==, (ERRORS(3) | UHCI_TD_SPD | 1));
    g_assert_cmphex(td_ctrl(q, 6), ==, (ERRORS(3) | UHCI_TD_IOC | 0x7ff));
    g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, T);
    qtest_memread(q, BUF(0) + 0x100, d, sizeof(d));
    g_assert_cmphex(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[33], ==, 0x0902220a);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_INT);
    set_reg(q, UHCI_STS, STS_INT);
    frames(q, 2);
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    qtest_end(q);
}

/* Breadth first: a queue gets one TD a visit; alone in a ring (bandwidth reclamation) it is visited again and again,
 * without it once a frame. */
static void test_breadth_first(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    put_control(q, 0, 0, 0, T, 0);
    set_frames(q, QH(0) | Q);
    for (unsigned left = 7; left > 0; left--) {
        g_assert_cmpuint(active_tds(q, 0, 7), ==, left);
        g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, TD(7 - left));
        frames(q, 1);
    }
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);

    set_frames(q, T);
    put_control(q, 0, 0, 0, QH(1) | Q, 0);
    put_qh(q, 1, QH(0) | Q, T);
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

/* Bytes of data that a frame may move: 1280, or what the property says. */
static void test_bandwidth(void)
{
    QTest *q = qtest_start("-machine pc -m 16 -device piix3-usb-uhci,addr=1.2,id=u,bandwidth=16 -device usb-kbd");
    UhciDriver u;

    uhci_init(&u, q, UHCI_DEVFN, IO, MEM);
    g_assert_true(uhci_reset_port(&u, 0));
    put_control(q, 0, 0, VF, QH(0) | Q, 0);
    set_frames(q, QH(0) | Q);
    set_reg(q, UHCI_CMD, 0xc0);
    qtest_outl(q, IO + UHCI_FLBASE, AREA);
    set_reg(q, UHCI_CMD, 0xc1);
    for (unsigned left = 7; left > 1; left -= 2) {
        g_assert_cmpuint(active_tds(q, 0, 7), ==, left);
        frames(q, 1);
    }
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 1);
    frames(q, 1);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_queue_of_queues(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    put_control(q, 1, 0, VF, T, 0);
    put_qh(q, 0, T, QH(1) | Q);
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_short_packet(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    for (int spd = 0; spd < 2; spd++) {
        set_frames(q, T);
        qtest_memwrite(q, BUF(0), get_config, 8);
        put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
        put_td(q, 1, TD(2) | VF, ACTIVE | ERRORS(3) | (spd ? UHCI_TD_SPD : 0), TOKEN(UHCI_PID_IN, 0, 0, 64),
               BUF(1));
        put_td(q, 2, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_OUT, 0, 0, 0), 0);
        put_qh(q, 0, T, TD(0));
        set_frames(q, QH(0) | Q);
        frames(q, 1);
        g_assert_cmphex(td_ctrl(q, 1) & (ACTIVE | 0x7ff), ==, 33);
        if (spd) { /* the queue stops behind it, with an interrupt that has its own enable */
            g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, (TD(1) | VF));
            g_assert_true(td_ctrl(q, 2) & ACTIVE);
            g_assert_cmphex(reg(q, UHCI_STS), ==, STS_INT);
            set_reg(q, UHCI_STS, STS_INT);
            frames(q, 2);
            g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
        } else {
            g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, T);
            g_assert_false(td_ctrl(q, 2) & ACTIVE);
            g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
        }
    }
    qtest_end(q);
}

static void test_nak_and_stall(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    put_td(q, 0, T, ACTIVE | ERRORS(3) | UHCI_TD_IOC, TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 5);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ACTIVE | ERRORS(3) | UHCI_TD_IOC | UHCI_TD_NAK));
    g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, TD(0));
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    /* An endpoint that is not there. */
    set_frames(q, T);
    put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 7, 8), BUF(0));
    put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 7, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 2);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ERRORS(3) | UHCI_TD_STALLED | 0x7ff));
    g_assert_true(td_ctrl(q, 1) & ACTIVE);
    g_assert_cmphex(qtest_readl(q, QH(0) + 4), ==, TD(0));
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_ERR);
    qtest_end(q);
}

static void test_error_counter(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "");

    put_td(q, 0, T, ACTIVE | ERRORS(3) | UHCI_TD_IOC, TOKEN(UHCI_PID_IN, 9, 0, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ACTIVE | ERRORS(2) | UHCI_TD_IOC | UHCI_TD_TIMEOUT));
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ACTIVE | ERRORS(1) | UHCI_TD_IOC | UHCI_TD_TIMEOUT));
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 0), ==, (UHCI_TD_IOC | UHCI_TD_TIMEOUT | UHCI_TD_STALLED | 0x7ff));
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_ERR | STS_INT);
    /* Without a limit it is tried for ever. */
    set_frames(q, T);
    set_reg(q, UHCI_STS, 0x3f);
    put_td(q, 0, T, ACTIVE, TOKEN(UHCI_PID_IN, 9, 0, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 50);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ACTIVE | UHCI_TD_TIMEOUT));
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    qtest_end(q);
}

static void test_isochronous(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    /* To nobody, to an endpoint that answers NAK, then one that is not active but wants an interrupt. */
    put_td(q, 0, TD(1), ACTIVE | ISO, TOKEN(UHCI_PID_IN, 9, 1, 8), BUF(0));
    put_td(q, 1, TD(2), ACTIVE | ISO, TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    put_td(q, 2, QH(0) | Q, UHCI_TD_IOC | ISO, TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    put_control(q, 0, 10, VF, T, 0);
    set_frames(q, TD(0));
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ISO | UHCI_TD_TIMEOUT | 0x7ff));
    g_assert_cmphex(td_ctrl(q, 1), ==, (ISO | UHCI_TD_TIMEOUT | 0x7ff));
    g_assert_cmphex(td_ctrl(q, 2), ==, (ISO | UHCI_TD_IOC));
    g_assert_cmpuint(active_tds(q, 10, 7), ==, 0);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_ERR | STS_INT);
    qtest_end(q);
}

static void test_babble(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-hub,id=h -device usb-kbd,port=1.1");

    /* The hub has a port change to tell; there is no room for it. */
    put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 0), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ERRORS(3) | UHCI_TD_STALLED | UHCI_TD_BABBLE | 0x7ff));
    qtest_end(q);
}

/* ---- what a guest gets for garbage ------------------------------------------------------------------------------- */

static void check_halted(QTest *q, uint16_t error)
{
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_HALTED | error);
    g_assert_cmphex(reg(q, UHCI_CMD) & 1, ==, 0);
}

static void restart(QTest *q)
{
    set_reg(q, UHCI_CMD, 0xc0);
    set_reg(q, UHCI_STS, 0x3f);
    set_frames(q, T);
    qtest_outl(q, IO + UHCI_FLBASE, AREA);
    set_reg(q, UHCI_CMD, 0xc1);
}

static void test_process_errors(void)
{
    static const uint32_t tokens[] = {
        TOKEN(0x12, 0, 0, 8), TOKEN(0xa5, 0, 0, 8), 0x69u | 0x500u << 21, 0x69u | 0x7feu << 21,
    };
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    for (unsigned i = 0; i < G_N_ELEMENTS(tokens); i++) {
        put_td(q, 0, T, ACTIVE | ERRORS(3), tokens[i], BUF(0));
        set_frames(q, TD(0));
        frames(q, 3);
        check_halted(q, STS_HCPE);
        restart(q);
    }
    qtest_end(q);
}

static void test_host_errors(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    qtest_outl(q, IO + UHCI_FLBASE, 0xf0000000);
    frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    set_frames(q, 0xf0000000 | Q);
    frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    put_qh(q, 0, T, 0xf0000000);
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    /* The data's place. */
    qtest_memwrite(q, BUF(0), get_config, 8);
    put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 0, 8), 0xf0000000);
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    check_halted(q, STS_HSE);
    restart(q);
    /* Not a bus master: frames pass, nothing happens. */
    qtest_memwrite(q, BUF(0), get_config, 8);
    put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    uhci_config_write(&u, 4, 1);
    frames(q, 3);
    g_assert_true(td_ctrl(q, 0) & ACTIVE);
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    uhci_config_write(&u, 4, 5);
    frames(q, 1);
    g_assert_false(td_ctrl(q, 0) & ACTIVE);
    qtest_end(q);
}

static void test_loops(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    /* A queue head that follows itself; one whose element is itself; TDs in a ring; an active TD in a ring. */
    put_qh(q, 0, QH(0) | Q, T);
    set_frames(q, QH(0) | Q);
    frames(q, 2);
    put_qh(q, 0, T, QH(0) | Q);
    frames(q, 2);
    put_td(q, 0, TD(1), 0, 0x69, 0);
    put_td(q, 1, TD(0), 0, 0x69, 0);
    set_frames(q, TD(0));
    frames(q, 2);
    put_td(q, 0, TD(0) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    put_qh(q, 0, QH(0) | Q, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 2);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ACTIVE | ERRORS(3) | UHCI_TD_NAK));
    /* A TD that can be read but not written, so it stays active and is done over and over: bandwidth ends the frame. */
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    qtest_end(q);
}

static void test_registers_as_schedule(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    /* The I/O APIC's window: reads as registers, whatever they say. */
    qtest_outl(q, IO + UHCI_FLBASE, 0xfec00000);
    frames(q, 5);
    restart(q);
    set_frames(q, 0xfec00000 | Q);
    frames(q, 5);
    restart(q);
    put_qh(q, 0, T, 0xfec00000);
    set_frames(q, QH(0) | Q);
    frames(q, 5);
    restart(q);
    qtest_memwrite(q, BUF(0), get_config, 8);
    put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 0, 8), 0xfec00000);
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 2);
    /* Still alive. */
    restart(q);
    put_control(q, 0, 0, VF, T, 0);
    set_frames(q, QH(0) | Q);
    frames(q, 2);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_random_schedules(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd -device usb-hub,port=2,id=h -device usb-tablet,port=2.1");
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
                words[i] = TOKEN((r & 0x300 ? UHCI_PID_IN : UHCI_PID_SETUP), (r >> 10) & 1, (r >> 11) & 1, (r >> 12) % 70);
                break;
            default:
                words[i] = r;
            }
            words[i] = GUINT32_TO_LE(words[i]);
        }
        set_reg(q, UHCI_STS, 0x3f);
        qtest_memwrite(q, AREA, words, 4096 * 4);
        set_reg(q, UHCI_CMD, 0xc1);
        frames(q, 20);
        set_reg(q, UHCI_CMD, 0xc0);
    }
    qtest_set_moving(q, true);
    restart(q);
    g_assert_true(uhci_reset_port(&u, 0));
    put_control(q, 0, 0, VF, T, 0);
    set_frames(q, QH(0) | Q);
    frames(q, 2);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    qtest_end(q);
}

static void test_software_debug(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    put_control(q, 0, 0, VF, T, 0);
    set_frames(q, QH(0) | Q);
    set_reg(q, UHCI_CMD, 0xc0);
    for (unsigned left = 6; left > 3; left--) {
        set_reg(q, UHCI_CMD, 0xe1);
        frames(q, 3);
        g_assert_cmphex(reg(q, UHCI_CMD), ==, 0xe0);
        g_assert_cmphex(reg(q, UHCI_STS) & STS_HALTED, ==, STS_HALTED);
        g_assert_cmpuint(active_tds(q, 0, 7), ==, left);
    }
    qtest_end(q);
}

/* ---- interrupts ----------------------------------------------------------------------------------------------------- */

static void test_interrupts(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    config_writew(q, 0x08, 0x62, 0x0b80); /* PIRQD → 11 */
    qtest_irq_intercept_in(q, "ioapic");
    for (int enabled = 0; enabled < 2; enabled++) {
        set_reg(q, UHCI_INTR, enabled ? 4 : 0xb);
        set_frames(q, T);
        put_control(q, 0, 0, VF, T, 0);
        set_frames(q, QH(0) | Q);
        frames(q, 1);
        g_assert_cmphex(reg(q, UHCI_STS), ==, STS_INT);
        g_assert_cmpint(qtest_get_irq(q, 11), ==, enabled);
        set_reg(q, UHCI_STS, STS_INT);
        g_assert_false(qtest_get_irq(q, 11));
        /* Short packet. */
        set_reg(q, UHCI_INTR, enabled ? 8 : 7);
        set_frames(q, T);
        put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
        put_td(q, 1, T, ACTIVE | ERRORS(3) | UHCI_TD_SPD, TOKEN(UHCI_PID_IN, 0, 0, 64), BUF(1));
        put_qh(q, 0, T, TD(0));
        set_frames(q, QH(0) | Q);
        frames(q, 1);
        g_assert_cmphex(reg(q, UHCI_STS), ==, STS_INT);
        g_assert_cmpint(qtest_get_irq(q, 11), ==, enabled);
        set_reg(q, UHCI_STS, STS_INT);
        /* Error. */
        set_reg(q, UHCI_INTR, enabled ? 1 : 0xe);
        set_frames(q, T);
        put_td(q, 0, T, ACTIVE | ERRORS(1), TOKEN(UHCI_PID_IN, 9, 0, 8), 0);
        put_qh(q, 0, T, TD(0));
        set_frames(q, QH(0) | Q);
        frames(q, 1);
        g_assert_cmphex(reg(q, UHCI_STS), ==, STS_ERR);
        g_assert_cmpint(qtest_get_irq(q, 11), ==, enabled);
        set_reg(q, UHCI_STS, STS_ERR);
        g_assert_false(qtest_get_irq(q, 11));
    }
    /* A halt by error cannot be masked. */
    set_reg(q, UHCI_INTR, 0);
    put_td(q, 0, T, ACTIVE, TOKEN(0, 9, 0, 8), 0);
    set_frames(q, TD(0));
    frames(q, 1);
    g_assert_true(qtest_get_irq(q, 11));
    set_reg(q, UHCI_STS, STS_HCPE);
    g_assert_false(qtest_get_irq(q, 11));
    qtest_end(q);
}

/* ---- ports ---------------------------------------------------------------------------------------------------------- */

static void device_add(QTest *q, const char *type, const char *id, const char *port)
{
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': '%s', 'id': '%s', 'port': '%s', 'bus': 'u.0'}}",
                 type, id, port);
}

static void device_del(QTest *q, const char *id)
{
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': '%s'}}", id);
    json_object_put(qtest_wait_event(q, "DEVICE_DELETED"));
}

static void test_hot_plug(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "");

    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x80);
    device_add(q, "usb-kbd", "k", "2");
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x83);
    set_reg(q, UHCI_PORT1 + 2, 2);
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x81);
    g_assert_true(uhci_reset_port(&u, 1));
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x85);
    device_del(q, "k");
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x8a);
    set_reg(q, UHCI_PORT1 + 2, 0xa);
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x80);
    device_add(q, "usb-mouse", "m", "2");
    g_assert_cmphex(reg(q, UHCI_PORT1 + 2), ==, 0x83);
    qtest_end(q);
}

static void test_unplug_in_transfer(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd,id=k,port=1");

    put_control(q, 0, 0, 0, T, 0);
    set_frames(q, QH(0) | Q);
    frames(q, 3);
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 4);
    device_del(q, "k");
    frames(q, 2);
    g_assert_cmphex(td_ctrl(q, 3) & (ACTIVE | ERRORS(3)), ==, (ACTIVE | ERRORS(1)));
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 3), ==, (UHCI_TD_STALLED | UHCI_TD_TIMEOUT | 0x7ff));
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 3);
    qtest_end(q);
}

static void test_disabled_and_suspended_ports(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd,id=k");

    set_reg(q, UHCI_PORT1, 0);
    put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_true(td_ctrl(q, 0) & UHCI_TD_TIMEOUT);
    set_frames(q, T);
    put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    set_reg(q, UHCI_PORT1, 0x1004);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x1085);
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_true(td_ctrl(q, 0) & UHCI_TD_TIMEOUT);
    /* Resume: K, then its end. */
    set_reg(q, UHCI_PORT1, 0x1044);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x10c5);
    frames(q, 20);
    set_reg(q, UHCI_PORT1, 0x1004);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x0085);
    set_frames(q, T);
    put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_cmphex(td_ctrl(q, 0), ==, (ACTIVE | ERRORS(3) | UHCI_TD_NAK));
    qtest_end(q);
}

static void press(QTest *q, const char *id, const char *codes)
{
    qtest_qmp_ok(q, "{'execute': 'qom-set', 'arguments': {'path': '/machine/peripheral/%s', 'property': 'x-input',"
                    " 'value': '%s'}}",
                 id, codes);
}

static void test_remote_wakeup(void)
{
    static const uint8_t enable[8] = { 0, 3, 1, 0, 0, 0, 0, 0 };
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd,id=k");

    /* Not allowed by the guest: nothing. */
    set_reg(q, UHCI_PORT1, 0x1004);
    press(q, "k", "1e");
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x1085);
    set_reg(q, UHCI_PORT1, 0x1044);
    set_reg(q, UHCI_PORT1, 0x4);

    qtest_memwrite(q, BUF(0), enable, 8);
    put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 0, 0), 0);
    put_qh(q, 0, T, TD(0));
    set_frames(q, QH(0) | Q);
    frames(q, 1);
    g_assert_false(td_ctrl(q, 1) & ACTIVE);
    /* One port asleep. */
    set_reg(q, UHCI_PORT1, 0x1004);
    press(q, "k", "9e");
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x10c5);
    g_assert_cmphex(reg(q, UHCI_STS), ==, 0);
    set_reg(q, UHCI_PORT1, 0x1004);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x85);
    /* The whole bus: resume detect, force global resume. */
    config_writew(q, 0x08, 0x62, 0x0b80);
    qtest_irq_intercept_in(q, "ioapic");
    set_reg(q, UHCI_INTR, 2);
    set_reg(q, UHCI_CMD, 0xc0);
    set_reg(q, UHCI_STS, 0x3f);
    set_reg(q, UHCI_CMD, 0xc8);
    press(q, "k", "1e");
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_RD);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0xd8);
    g_assert_true(qtest_get_irq(q, 11));
    set_reg(q, UHCI_STS, STS_RD);
    g_assert_false(qtest_get_irq(q, 11));
    set_reg(q, UHCI_CMD, 0xc0);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0xc0);
    qtest_end(q);
}

/* ---- long runs -------------------------------------------------------------------------------------------------------- */

/* A control transfer cut before each of its steps by time, unlinking and linking again. */
static void test_unlink_and_relink(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");
    uint8_t d[34];

    put_control(q, 0, 0, 0, T, 0);
    for (unsigned done = 0; done < 7; done++) {
        set_frames(q, T);
        frames(q, 3);
        g_assert_cmpuint(active_tds(q, 0, 7), ==, 7 - done);
        set_frames(q, QH(0) | Q);
        frames(q, 1);
    }
    g_assert_cmpuint(active_tds(q, 0, 7), ==, 0);
    qtest_memread(q, BUF(0) + 0x100, d, sizeof(d));
    g_assert_cmphex(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[33], ==, 0x0902220a);
    qtest_end(q);
}

static void test_system_reset(void)
{
    UhciDriver u;
    QTest *q = start_with(&u, "-device usb-kbd");

    put_control(q, 0, 0, 0, T, 0);
    set_frames(q, QH(0) | Q);
    frames(q, 3);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    uhci_config_write(&u, 0x20, IO);
    uhci_config_write(&u, 4, 5);
    g_assert_cmphex(reg(q, UHCI_CMD), ==, 0);
    g_assert_cmphex(reg(q, UHCI_STS), ==, STS_HALTED);
    g_assert_cmphex(reg(q, UHCI_PORT1), ==, 0x83);
    frames(q, 3);
    g_assert_cmphex(reg(q, UHCI_FRNUM), ==, 0);
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
    g_test_add_func("/uhci/hot-plug", test_hot_plug);
    g_test_add_func("/uhci/unplug-in-transfer", test_unplug_in_transfer);
    g_test_add_func("/uhci/disabled-and-suspended-ports", test_disabled_and_suspended_ports);
    g_test_add_func("/uhci/remote-wakeup", test_remote_wakeup);
    g_test_add_func("/uhci/unlink-and-relink", test_unlink_and_relink);
    g_test_add_func("/uhci/system-reset", test_system_reset);
    return g_test_run();
}
