/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usb-kbd, usb-mouse, usb-tablet and usb-hub behind a UHCI controller, as a guest's driver enumerates and polls them.
 * Input comes through the property x-input, which exists under qtest only.
 */
#include "util/osdep.h"
#include "uhci-driver.h"

#define UHCI_DEVFN 0x0a
#define IO 0xc000
#define MEM 0x100000
#define MACHINE "-machine pc -m 16 -device piix3-usb-uhci,addr=1.2,id=u "

enum { GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, SET_ADDRESS = 5, GET_DESCRIPTOR = 6, SET_CONFIGURATION = 9 };

static QTest *start(UhciDriver *u, const char *devices)
{
    QTest *q = qtest_start(MACHINE "%s", devices);

    uhci_init(u, q, UHCI_DEVFN, IO, MEM);
    return q;
}

static UhciStatus request(UhciDriver *u, uint8_t addr, uint8_t type, uint8_t req, uint16_t value, uint16_t index,
                          uint16_t length, void *data, size_t *actual)
{
    const UsbSetup setup = { type, req, value, index, length };

    return uhci_control(u, addr, false, 8, &setup, data, actual);
}

/* The device at address 0 gets an address and its first configuration, as drivers do it. */
static void enumerate(UhciDriver *u, uint8_t addr)
{
    uint8_t d[255];
    size_t actual;

    g_assert_cmpint(request(u, 0, 0x80, GET_DESCRIPTOR, 0x0100, 0, 8, d, &actual), ==, UHCI_DONE);
    g_assert_cmpuint(actual, ==, 8);
    g_assert_cmpint(d[7], ==, 8);
    g_assert_cmpint(request(u, 0, 0x00, SET_ADDRESS, addr, 0, 0, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(request(u, addr, 0x80, GET_DESCRIPTOR, 0x0100, 0, 18, d, &actual), ==, UHCI_DONE);
    g_assert_cmpuint(actual, ==, 18);
    g_assert_cmpint(request(u, addr, 0x80, GET_DESCRIPTOR, 0x0200, 0, 255, d, &actual), ==, UHCI_DONE);
    g_assert_cmpuint(actual, ==, d[2] | d[3] << 8);
    g_assert_cmpint(request(u, addr, 0x00, SET_CONFIGURATION, d[5], 0, 0, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(request(u, addr, 0x80, 8, 0, 0, 1, d, &actual), ==, UHCI_DONE);
    g_assert_cmpint(d[0], ==, 1);
}

static void input(QTest *q, const char *id, const char *text)
{
    qtest_qmp_ok(q, "{'execute': 'qom-set', 'arguments': {'path': '/machine/peripheral/%s', 'property': 'x-input',"
                    " 'value': '%s'}}",
                 id, text);
}

static void check_report(UhciDriver *u, uint8_t addr, size_t mps, const char *hex)
{
    g_autoptr(GString) s = g_string_new(NULL);
    bool toggle = false;
    uint8_t d[8];
    UhciResult r = uhci_transfer(u, addr, 1, UHCI_PID_IN, &toggle, d, mps, mps, 2);

    if (!hex) {
        g_assert_cmpint(r.status, ==, UHCI_PENDING);
        g_assert_true(r.td_status & UHCI_TD_NAK);
        return;
    }
    g_assert_cmpint(r.status, ==, UHCI_DONE);
    for (size_t i = 0; i < r.actual; i++) {
        g_string_append_printf(s, "%02x", d[i]);
    }
    g_assert_cmpstr(s->str, ==, hex);
}

/* ---- keyboard ------------------------------------------------------------------------------------------------- */

static int leds(QTest *q, const char *id)
{
    json_object *value = qtest_qmp_return(q, "{'execute': 'qom-get', 'arguments': {'path': '/machine/peripheral/%s',"
                                             " 'property': 'x-leds'}}",
                                          id);
    int n = json_object_get_int(value);

    json_object_put(value);
    return n;
}

static void test_keyboard(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-kbd,id=k");
    uint8_t d[64];
    size_t actual;

    g_assert_true(uhci_reset_port(&u, 0));
    enumerate(&u, 5);
    check_report(&u, 5, 8, NULL);
    input(q, "k", "2a");
    input(q, "k", "1e");
    input(q, "k", "9e");
    input(q, "k", "aa");
    check_report(&u, 5, 8, "0200000000000000");
    check_report(&u, 5, 8, "0200040000000000");
    check_report(&u, 5, 8, "0200000000000000");
    check_report(&u, 5, 8, "0000000000000000");
    check_report(&u, 5, 8, NULL);

    d[0] = 5;
    g_assert_cmpint(request(&u, 5, 0x21, 9, 0x0200, 0, 1, d, NULL), ==, UHCI_DONE);
    g_assert_cmpint(leds(q, "k"), ==, 5);
    g_assert_cmpint(request(&u, 5, 0x21, 11, 0, 0, 0, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(request(&u, 5, 0xa1, 3, 0, 0, 1, d, NULL), ==, UHCI_DONE);
    g_assert_cmpint(d[0], ==, 0);
    g_assert_cmpint(request(&u, 5, 0x81, GET_DESCRIPTOR, 0x2200, 0, 63, d, &actual), ==, UHCI_DONE);
    g_assert_cmpuint(actual, ==, 63);
    g_assert_cmpint(d[62], ==, 0xc0);
    /* Strings: the last packet of this one is full, so a host that asks for more gets an empty one. */
    g_assert_cmpint(request(&u, 5, 0x80, GET_DESCRIPTOR, 0x0301, 0x0409, 64, d, &actual), ==, UHCI_DONE);
    g_assert_cmpuint(actual, ==, 10);
    g_assert_cmpint(request(&u, 5, 0x80, GET_DESCRIPTOR, 0x0342, 0x0409, 64, d, NULL), ==, UHCI_STALLED);
    qtest_end(q);
}

static void send_events(QTest *q, const char *events)
{
    qtest_qmp_ok(q, "{'execute': 'input-send-event', 'arguments': {'events': [%s]}}", events);
}

/*
 * What users send arrives: typed keys, motion, positions, at the device that the guest polled last. A key that is held
 * when the machine moves is released, so the moves are made by hand.
 */
static void test_input(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-kbd,id=k,port=1 -device usb-tablet,id=t,port=2");
    char *mice;

    qtest_set_moving(q, false);
    g_assert_true(uhci_reset_port(&u, 0));
    enumerate(&u, 5);
    check_report(&u, 5, 8, NULL);
    qtest_qmp_ok(q, "{'execute': 'send-key', 'arguments': {'hold-time': 1000, 'keys': [{'type': 'qcode', 'data':"
                    " 'ctrl'}, {'type': 'number', 'data': 200}]}}");
    check_report(&u, 5, 8, "0100000000000000");
    qtest_clock_step(q, 1000 * 1000000);
    check_report(&u, 5, 8, "0100000000000000"); /* E0 */
    check_report(&u, 5, 8, "0100520000000000");
    qtest_move(q);
    check_report(&u, 5, 8, "0000520000000000"); /* in the order of keys, not of presses */
    check_report(&u, 5, 8, "0000520000000000");
    check_report(&u, 5, 8, "0000000000000000");
    check_report(&u, 5, 8, NULL);

    g_assert_true(uhci_reset_port(&u, 1));
    enumerate(&u, 6);
    check_report(&u, 6, 8, NULL);
    mice = qtest_hmp(q, "info mice");
    g_assert_nonnull(strstr(mice, "* Mouse #"));
    g_assert_nonnull(strstr(strchr(mice, '*'), "QEMU HID Tablet (absolute)"));
    g_free(mice);
    send_events(q, "{'type': 'abs', 'data': {'axis': 'x', 'value': 4660}}, {'type': 'abs', 'data': {'axis': 'y', 'value':"
                   " 32767}}, {'type': 'btn', 'data': {'button': 'right', 'down': true}}");
    check_report(&u, 6, 8, "023412ff7f00");
    send_events(q, "{'type': 'btn', 'data': {'button': 'right', 'down': false}}");
    check_report(&u, 6, 8, "003412ff7f00");
    g_free(qtest_hmp(q, "mouse_move 0 0 1"));
    check_report(&u, 6, 8, "003412ff7f01");
    qtest_end(q);
}

/* A period of 4 ms units with nothing new repeats the report; a period of 0 ends that. */
static void test_idle_rate(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-kbd,id=k");
    uint8_t d[8];
    unsigned reports = 0;

    g_assert_true(uhci_reset_port(&u, 0));
    enumerate(&u, 5);
    g_assert_cmpint(request(&u, 5, 0x21, 10, 5 << 8, 0, 0, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(request(&u, 5, 0xa1, 2, 0, 0, 1, d, NULL), ==, UHCI_DONE);
    g_assert_cmpint(d[0], ==, 5);
    for (int i = 0; i < 100; i++) {
        uhci_queue(&u, 5, 1, UHCI_PID_IN, false, NULL, 8, 8, 0);
        uhci_step_frames(&u, 1);
        reports += uhci_look(&u).status == UHCI_DONE;
        uhci_unlink(&u);
    }
    g_assert_cmpuint(reports, ==, 5);
    g_assert_cmpint(request(&u, 5, 0x21, 10, 0, 0, 0, NULL, NULL), ==, UHCI_DONE);
    while (uhci_queue(&u, 5, 1, UHCI_PID_IN, false, NULL, 8, 8, 0), uhci_run(&u, 1).status == UHCI_DONE) {
        continue;
    }
    g_assert_cmpint(uhci_run(&u, 50).status, ==, UHCI_PENDING);
    qtest_end(q);
}

/* A transaction that waits in the schedule gets the report of a key that is pressed later. */
static void test_waiting_transaction(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-kbd,id=k");
    uint8_t d[8];

    g_assert_true(uhci_reset_port(&u, 0));
    enumerate(&u, 5);
    uhci_queue(&u, 5, 1, UHCI_PID_IN, false, NULL, 8, 8, 0);
    g_assert_cmpint(uhci_run(&u, 10).status, ==, UHCI_PENDING);
    input(q, "k", "1e");
    g_assert_cmpint(uhci_run(&u, 1).status, ==, UHCI_DONE);
    uhci_read_data(&u, d, 8);
    g_assert_cmpint(d[2], ==, 4);
    qtest_end(q);
}

/* ---- pointers ----------------------------------------------------------------------------------------------------- */

static void test_pointers(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-mouse,id=m,port=1 -device usb-tablet,id=t,port=2");

    g_assert_true(uhci_reset_port(&u, 0));
    enumerate(&u, 5);
    g_assert_true(uhci_reset_port(&u, 1));
    enumerate(&u, 6);
    check_report(&u, 5, 4, NULL);
    check_report(&u, 6, 8, NULL);
    input(q, "m", "300 -5 -1 0");
    input(q, "t", "100 32767 0 0");
    input(q, "t", "200 32767 0 1");
    check_report(&u, 5, 4, "007ffb01");
    check_report(&u, 6, 8, "006400ff7f00");
    check_report(&u, 5, 4, "007f0000");
    check_report(&u, 6, 8, "01c800ff7f00");
    check_report(&u, 5, 4, "002e0000");
    check_report(&u, 5, 4, NULL);
    check_report(&u, 6, 8, NULL);
    qtest_end(q);
}

/* ---- hub ------------------------------------------------------------------------------------------------------------ */

static uint32_t hub_port(UhciDriver *u, uint8_t addr, unsigned port)
{
    uint8_t d[4];
    size_t actual;

    g_assert_cmpint(request(u, addr, 0xa3, GET_STATUS, 0, port, 4, d, &actual), ==, UHCI_DONE);
    g_assert_cmpuint(actual, ==, 4);
    return d[0] | d[1] << 8 | d[2] << 16 | (uint32_t)d[3] << 24;
}

static void hub_feature(UhciDriver *u, uint8_t addr, bool set, unsigned feature, unsigned port)
{
    g_assert_cmpint(request(u, addr, 0x23, set ? SET_FEATURE : CLEAR_FEATURE, feature, port, 0, NULL, NULL), ==,
                    UHCI_DONE);
}

static void test_hub(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-hub,id=h,port=1 -device usb-hub,id=h2,port=1.2"
                         " -device usb-kbd,id=k,port=1.2.3");
    char *text;

    g_assert_true(uhci_reset_port(&u, 0));
    enumerate(&u, 1);
    check_report(&u, 1, 2, "0400");
    g_assert_cmphex(hub_port(&u, 1, 2), ==, 0x00010101);
    hub_feature(&u, 1, true, 4, 2);
    hub_feature(&u, 1, false, 20, 2);
    hub_feature(&u, 1, false, 16, 2);
    g_assert_cmphex(hub_port(&u, 1, 2), ==, 0x00000103);
    check_report(&u, 1, 2, NULL);
    enumerate(&u, 2);
    hub_feature(&u, 2, true, 4, 3);
    enumerate(&u, 3);
    input(q, "k", "1e");
    check_report(&u, 3, 8, "0000040000000000");
    text = qtest_hmp(q, "info usb");
    g_assert_cmpstr(text, ==, "  Device 0.1, Port 1, Speed 12 Mb/s, Product QEMU USB Hub, ID: h\r\n"
                              "  Device 0.2, Port 1.2, Speed 12 Mb/s, Product QEMU USB Hub, ID: h2\r\n"
                              "  Device 0.3, Port 1.2.3, Speed 12 Mb/s, Product QEMU USB Keyboard, ID: k\r\n");
    g_free(text);
    /* The outer hub's port goes off: nobody behind it answers. */
    hub_feature(&u, 1, false, 1, 2);
    g_assert_cmpint(request(&u, 3, 0x80, GET_STATUS, 0, 0, 2, NULL, NULL), ==, UHCI_FAILED);
    /* Plugging behind a hub; pulling a hub takes the rest along. */
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-mouse', 'id': 'm', 'port': '1.7'}}");
    g_assert_cmphex(hub_port(&u, 1, 7), ==, 0x00010101);
    check_report(&u, 1, 2, "8000");
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'm'}}");
    json_object_put(qtest_wait_event(q, "DEVICE_DELETED"));
    g_assert_cmphex(hub_port(&u, 1, 7), ==, 0x00010100);
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'h'}}");
    g_assert_cmphex(uhci_port(&u, 0), ==, 0x8a);
    text = qtest_hmp(q, "info usb");
    g_assert_cmpstr(text, ==, "");
    g_free(text);
    qtest_end(q);
}

static void test_automatic_hub(void)
{
    UhciDriver u;
    QTest *q = start(&u, "-device usb-kbd,id=a -device usb-kbd,id=b -device usb-kbd,id=c");
    char *text = qtest_hmp(q, "info usb");

    g_assert_cmpstr(text, ==, "  Device 0.0, Port 1, Speed 12 Mb/s, Product QEMU USB Keyboard, ID: a\r\n"
                              "  Device 0.0, Port 2, Speed 12 Mb/s, Product QEMU USB Hub\r\n"
                              "  Device 0.0, Port 2.1, Speed 12 Mb/s, Product QEMU USB Keyboard, ID: b\r\n"
                              "  Device 0.0, Port 2.2, Speed 12 Mb/s, Product QEMU USB Keyboard, ID: c\r\n");
    g_free(text);
    qtest_end(q);
}

/* ---- control transfers that the VM's moves cut ------------------------------------------------------------------- */

static void move_now(QTest *q, bool now)
{
    if (now) {
        qtest_move(q);
    }
}

/* GET_DESCRIPTOR one packet a step, moved before each of them in turn. */
static void test_move_in_control_transfer(void)
{
    static const uint8_t setup[8] = { 0x80, GET_DESCRIPTOR, 0, 2, 0, 0, 255, 0 };

    for (unsigned at = 0; at < 8; at++) {
        UhciDriver u;
        QTest *q = start(&u, "-device usb-kbd,id=k");
        uint8_t want[34], got[40];
        size_t len = 0;
        unsigned step = 0;

        qtest_set_moving(q, false);
        g_assert_true(uhci_reset_port(&u, 0));
        g_assert_cmpint(request(&u, 0, 0x80, GET_DESCRIPTOR, 0x0200, 0, 34, want, NULL), ==, UHCI_DONE);
        move_now(q, step++ == at);
        uhci_queue(&u, 0, 0, UHCI_PID_SETUP, false, setup, 8, 8, 0);
        move_now(q, step++ == at);
        g_assert_cmpint(uhci_run(&u, 2).status, ==, UHCI_DONE);
        for (unsigned i = 0; i < 5; i++) {
            UhciResult r;

            move_now(q, step++ == at);
            uhci_queue(&u, 0, 0, UHCI_PID_IN, !(i & 1), NULL, 8, 8, UHCI_TD_SPD);
            r = uhci_run(&u, 2);
            g_assert_cmpint(r.status, ==, UHCI_DONE);
            uhci_read_data(&u, got + len, r.actual);
            len += r.actual;
        }
        g_assert_cmpmem(got, len, want, 34);
        move_now(q, step++ == at);
        uhci_queue(&u, 0, 0, UHCI_PID_OUT, true, NULL, 0, 8, 0);
        g_assert_cmpint(uhci_run(&u, 2).status, ==, UHCI_DONE);
        g_assert_cmpuint(step, ==, 8);
        qtest_end(q);
    }
}

/* The same with the state that stock cannot load switched off: the move waits until there is none, and gives up by name. */
static void test_without_carrying(void)
{
    static const uint8_t setup[8] = { 0x80, GET_DESCRIPTOR, 0, 2, 0, 0, 34, 0 };
    UhciDriver u;
    QTest *q = start(&u, "-global usb-device.x-carry-transfers=off -device usb-kbd,id=k");
    json_object *info;

    qtest_set_moving(q, false);
    g_assert_true(uhci_reset_port(&u, 0));
    qtest_move(q);
    uhci_queue(&u, 0, 0, UHCI_PID_SETUP, false, setup, 8, 8, 0);
    g_assert_cmpint(uhci_run(&u, 2).status, ==, UHCI_DONE);
    qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
    for (;;) {
        const char *status;

        info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
        status = qtest_json_string(info, "status");
        g_assert_cmpstr(status, !=, "completed");
        if (strcmp(status, "failed") == 0) {
            break;
        }
        json_object_put(info);
        g_usleep(10000);
    }
    g_assert_nonnull(strstr(qtest_json_string(info, "error-desc"), "usb-kbd on port 1 of bus u.0"));
    json_object_put(info);
    qtest_wait_status(q, "running");
    uhci_queue(&u, 0, 0, UHCI_PID_IN, true, NULL, 34, 8, 0);
    g_assert_cmpint(uhci_run(&u, 5).status, ==, UHCI_DONE);
    uhci_queue(&u, 0, 0, UHCI_PID_OUT, true, NULL, 0, 8, 0);
    g_assert_cmpint(uhci_run(&u, 5).status, ==, UHCI_DONE);
    qtest_move(q);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb-hid/keyboard", test_keyboard);
    g_test_add_func("/usb-hid/input", test_input);
    g_test_add_func("/usb-hid/idle-rate", test_idle_rate);
    g_test_add_func("/usb-hid/waiting-transaction", test_waiting_transaction);
    g_test_add_func("/usb-hid/pointers", test_pointers);
    g_test_add_func("/usb-hid/hub", test_hub);
    g_test_add_func("/usb-hid/automatic-hub", test_automatic_hub);
    g_test_add_func("/usb-hid/move-in-control-transfer", test_move_in_control_transfer);
    g_test_add_func("/usb-hid/without-carrying", test_without_carrying);
    return g_test_run();
}
