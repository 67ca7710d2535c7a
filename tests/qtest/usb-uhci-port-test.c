/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root ports of a UHCI controller: plug and unplug, suspend and wake-up, changes under a running schedule, reset
 * (UHCI Design Guide 1.1). The guest is driven step by step, so each test holds when the VM moves between any two steps.
 */
#include "util/osdep.h"
#include "uhci-schedule.h"

/* ---- ports ---------------------------------------------------------------------------------------------------------- */

static void device_add(QTest *q, const char *type, const char *id, const char *port)
{
    qtest_qmp_ok(q,
                 "{'execute': 'device_add', 'arguments': {'driver': '%s', 'id': '%s', 'port': "
                 "'%s', 'bus': 'u.0'}}",
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
    QTest *q = uhci_start_with(&u, "");

    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x80);
    device_add(q, "usb-kbd", "k", "2");
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x83);
    uhci_set_reg(q, UHCI_PORT1 + 2, 2);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x81);
    g_assert_true(uhci_reset_port(&u, 1));
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x85);
    device_del(q, "k");
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x8a);
    uhci_set_reg(q, UHCI_PORT1 + 2, 0xa);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x80);
    device_add(q, "usb-mouse", "m", "2");
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1 + 2), ==, 0x83);
    qtest_end(q);
}

static void test_unplug_in_transfer(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd,id=k,port=1");

    uhci_put_control(q, 0, 0, 0, T, 0);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 3);
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 4);
    device_del(q, "k");
    uhci_frames(q, 2);
    g_assert_cmphex(uhci_td_ctrl(q, 3) & (ACTIVE | ERRORS(3)), ==, (ACTIVE | ERRORS(1)));
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 3), ==, (UHCI_TD_STALLED | UHCI_TD_TIMEOUT | 0x7ff));
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 3);
    qtest_end(q);
}

static void test_disabled_and_suspended_ports(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd,id=k");

    uhci_set_reg(q, UHCI_PORT1, 0);
    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_true(uhci_td_ctrl(q, 0) & UHCI_TD_TIMEOUT);
    uhci_set_frames(q, T);
    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_set_reg(q, UHCI_PORT1, 0x1004);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x1085);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_true(uhci_td_ctrl(q, 0) & UHCI_TD_TIMEOUT);
    /* Resume: K, then its end. */
    uhci_set_reg(q, UHCI_PORT1, 0x1044);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x10c5);
    uhci_frames(q, 20);
    uhci_set_reg(q, UHCI_PORT1, 0x1004);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x0085);
    uhci_set_frames(q, T);
    uhci_put_td(q, 0, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 1, 8), BUF(0));
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_cmphex(uhci_td_ctrl(q, 0), ==, (ACTIVE | ERRORS(3) | UHCI_TD_NAK));
    qtest_end(q);
}

static void press(QTest *q, const char *id, const char *codes)
{
    qtest_qmp_ok(q,
                 "{'execute': 'qom-set', 'arguments': {'path': '/machine/peripheral/%s', "
                 "'property': 'x-input',"
                 " 'value': '%s'}}",
                 id, codes);
}

static void test_remote_wakeup(void)
{
    static const uint8_t enable[8] = { 0, 3, 1, 0, 0, 0, 0, 0 };
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd,id=k");

    /* Not allowed by the guest: nothing. */
    uhci_set_reg(q, UHCI_PORT1, 0x1004);
    press(q, "k", "1e");
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x1085);
    uhci_set_reg(q, UHCI_PORT1, 0x1044);
    uhci_set_reg(q, UHCI_PORT1, 0x4);

    qtest_memwrite(q, BUF(0), enable, 8);
    uhci_put_td(q, 0, TD(1) | VF, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(0));
    uhci_put_td(q, 1, T, ACTIVE | ERRORS(3), TOKEN(UHCI_PID_IN, 0, 0, 0), 0);
    uhci_put_qh(q, 0, T, TD(0));
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 1);
    g_assert_false(uhci_td_ctrl(q, 1) & ACTIVE);
    /* One port asleep. */
    uhci_set_reg(q, UHCI_PORT1, 0x1004);
    press(q, "k", "9e");
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x10c5);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, 0);
    uhci_set_reg(q, UHCI_PORT1, 0x1004);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x85);
    /* The whole bus: resume detect, force global resume. */
    uhci_config_write16(q, 0x08, 0x62, 0x0b80);
    qtest_irq_intercept_in(q, "ioapic");
    uhci_set_reg(q, UHCI_INTR, 2);
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    uhci_set_reg(q, UHCI_STS, 0x3f);
    uhci_set_reg(q, UHCI_CMD, 0xc8);
    press(q, "k", "1e");
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_RD);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0xd8);
    g_assert_true(qtest_get_irq(q, 11));
    uhci_set_reg(q, UHCI_STS, STS_RD);
    g_assert_false(qtest_get_irq(q, 11));
    uhci_set_reg(q, UHCI_CMD, 0xc0);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0xc0);
    qtest_end(q);
}

/* ---- long runs -------------------------------------------------------------------------------------------------------- */

/* A control transfer cut before each of its steps by time, unlinking and linking again. */
static void test_unlink_and_relink(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");
    uint8_t d[34];

    uhci_put_control(q, 0, 0, 0, T, 0);
    for (unsigned done = 0; done < 7; done++) {
        uhci_set_frames(q, T);
        uhci_frames(q, 3);
        g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 7 - done);
        uhci_set_frames(q, QH(0) | Q);
        uhci_frames(q, 1);
    }
    g_assert_cmpuint(uhci_active_tds(q, 0, 7), ==, 0);
    qtest_memread(q, BUF(0) + 0x100, d, sizeof(d));
    g_assert_cmphex(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[33], ==, 0x0902220a);
    qtest_end(q);
}

static void test_system_reset(void)
{
    UhciDriver u;
    QTest *q = uhci_start_with(&u, "-device usb-kbd");

    uhci_put_control(q, 0, 0, 0, T, 0);
    uhci_set_frames(q, QH(0) | Q);
    uhci_frames(q, 3);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    uhci_config_write(&u, 0x20, IO);
    uhci_config_write(&u, 4, 5);
    g_assert_cmphex(uhci_reg(q, UHCI_CMD), ==, 0);
    g_assert_cmphex(uhci_reg(q, UHCI_STS), ==, STS_HALTED);
    g_assert_cmphex(uhci_reg(q, UHCI_PORT1), ==, 0x83);
    uhci_frames(q, 3);
    g_assert_cmphex(uhci_reg(q, UHCI_FRNUM), ==, 0);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uhci/hot-plug", test_hot_plug);
    g_test_add_func("/uhci/unplug-in-transfer", test_unplug_in_transfer);
    g_test_add_func("/uhci/disabled-and-suspended-ports", test_disabled_and_suspended_ports);
    g_test_add_func("/uhci/remote-wakeup", test_remote_wakeup);
    g_test_add_func("/uhci/unlink-and-relink", test_unlink_and_relink);
    g_test_add_func("/uhci/system-reset", test_system_reset);
    return g_test_run();
}
