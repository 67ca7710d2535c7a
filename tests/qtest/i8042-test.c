/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8042 keyboard controller with PS/2 keyboard and mouse: answers that the installed stock program gives, too. */
#include "util/osdep.h"
#include "pic-driver.h"

#define OUT_FULL 0x01
#define MOUSE_FULL 0x20

static void command(QTest *q, uint8_t value)
{
    qtest_outb(q, 0x64, value);
}

/* Everything that waits, as text: "fa ab 83", the mouse's with an m. */
static char *drain(QTest *q)
{
    GString *out = g_string_new(NULL);
    uint8_t status;

    while ((status = qtest_inb(q, 0x64)) & OUT_FULL && out->len < 100) {
        g_string_append_printf(out, "%s%s%02x", out->len ? " " : "", status & MOUSE_FULL ? "m" : "",
                               qtest_inb(q, 0x60));
    }
    return g_string_free(out, FALSE);
}

static void expect(QTest *q, const char *bytes)
{
    g_autofree char *got = drain(q);

    g_assert_cmpstr(got, ==, bytes);
}

static void keyboard(QTest *q, uint8_t value, const char *answer)
{
    qtest_outb(q, 0x60, value);
    expect(q, answer);
}

static void mouse(QTest *q, uint8_t value, const char *answer)
{
    command(q, 0xd4);
    qtest_outb(q, 0x60, value);
    expect(q, answer);
}

static void test_controller_commands(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(qtest_inb(q, 0x64), ==, 0x18);
    command(q, 0x20);
    g_assert_cmphex(qtest_inb(q, 0x64), ==, 0x19);
    expect(q, "03");
    command(q, 0xaa);
    g_assert_cmphex(qtest_inb(q, 0x64), ==, 0x1d);
    expect(q, "55");
    g_assert_cmphex(qtest_inb(q, 0x60), ==, 0x55); /* the last byte stays */
    command(q, 0xab);
    expect(q, "00");
    command(q, 0xa9);
    expect(q, "00");
    command(q, 0xc0);
    expect(q, "80");
    command(q, 0xad);
    command(q, 0xa7);
    command(q, 0x20);
    expect(q, "33");
    command(q, 0xae);
    command(q, 0xa8);
    command(q, 0x60);
    qtest_outb(q, 0x60, 0x47);
    command(q, 0x20);
    expect(q, "47");
    command(q, 0xd2);
    qtest_outb(q, 0x60, 0x33);
    expect(q, "33");
    command(q, 0xd3);
    qtest_outb(q, 0x60, 0x34);
    expect(q, "m34");
    qtest_end(q);
}

static void test_output_port(void)
{
    QTest *q = qtest_start("-machine pc");

    command(q, 0xd0);
    expect(q, "cf");
    command(q, 0xdd);
    command(q, 0xd0);
    expect(q, "cd");
    command(q, 0xdf);
    command(q, 0xd0);
    expect(q, "cf");
    command(q, 0xd1);
    qtest_outb(q, 0x60, 0x0d);
    command(q, 0xd0);
    expect(q, "0d");
    command(q, 0xfe);
    json_object_put(qtest_wait_event(q, "RESET"));
    command(q, 0xd0);
    expect(q, "cf");
    qtest_end(q);
}

static void test_interrupts(void)
{
    QTest *q = qtest_start("-machine pc");
    static const uint8_t answer[] = { 0xfa, 0xab, 0x83 };

    pic_init(q);
    qtest_outb(q, 0x60, 0xf2);
    for (int i = 0; i < 3; i++) { /* one for each byte */
        g_assert_true(pic_take(q, 1));
        g_assert_false(pic_take(q, 1));
        g_assert_cmphex(qtest_inb(q, 0x60), ==, answer[i]);
    }
    g_assert_false(pic_take(q, 1));
    command(q, 0xd3);
    qtest_outb(q, 0x60, 0x55);
    g_assert_false(pic_take(q, 1));
    g_assert_true(pic_take(q, 12));
    expect(q, "m55");
    /* Masked by the mode. */
    command(q, 0x60);
    qtest_outb(q, 0x60, 0x00);
    qtest_outb(q, 0x60, 0xee);
    g_assert_false(pic_take(q, 1));
    expect(q, "ee");
    qtest_end(q);
}

static void test_keyboard_commands(void)
{
    QTest *q = qtest_start("-machine pc");

    keyboard(q, 0xee, "ee");
    keyboard(q, 0xf2, "fa ab 83");
    keyboard(q, 0xf0, "fa");
    keyboard(q, 0x00, "fa 02");
    keyboard(q, 0xf0, "fa");
    keyboard(q, 0x01, "fa");
    keyboard(q, 0xf0, "fa");
    keyboard(q, 0x00, "fa 01");
    keyboard(q, 0xf0, "fa");
    keyboard(q, 0x04, "fe");
    keyboard(q, 0xed, "fa");
    keyboard(q, 0x07, "fa");
    keyboard(q, 0xf3, "fa");
    keyboard(q, 0x20, "fa");
    keyboard(q, 0xf4, "fa");
    keyboard(q, 0xf5, "fa");
    keyboard(q, 0xf6, "fa");
    keyboard(q, 0x01, "fe");
    keyboard(q, 0xff, "fa aa");
    /* A command that comes before the answer was read takes it back. */
    qtest_outb(q, 0x60, 0xf2);
    g_assert_cmphex(qtest_inb(q, 0x60), ==, 0xfa);
    keyboard(q, 0xee, "ee");
    /* Translated. */
    command(q, 0x60);
    qtest_outb(q, 0x60, 0x47);
    keyboard(q, 0xf2, "fa ab 41");
    keyboard(q, 0xf0, "fa");
    keyboard(q, 0x00, "fa 41");
    qtest_end(q);
}

static void test_mouse_commands(void)
{
    QTest *q = qtest_start("-machine pc");
    static const uint8_t wheel[] = { 200, 100, 80 }, explorer[] = { 200, 200, 80 };

    mouse(q, 0xf2, "mfa m00");
    mouse(q, 0xff, "mfa maa m00");
    mouse(q, 0xe9, "mfa m00 m02 m64");
    mouse(q, 0xeb, "mfa m08 m00 m00");
    for (int i = 0; i < 3; i++) {
        mouse(q, 0xf3, "mfa");
        mouse(q, wheel[i], "mfa");
    }
    mouse(q, 0xf2, "mfa m03");
    for (int i = 0; i < 3; i++) {
        mouse(q, 0xf3, "mfa");
        mouse(q, explorer[i], "mfa");
    }
    mouse(q, 0xf2, "mfa m04");
    mouse(q, 0xeb, "mfa m08 m00 m00 m00");
    mouse(q, 0xe8, "mfa");
    mouse(q, 0x03, "mfa");
    mouse(q, 0xe7, "mfa");
    mouse(q, 0xf4, "mfa");
    mouse(q, 0xf0, "mfa");
    mouse(q, 0xe9, "mfa m70 m03 m50");
    mouse(q, 0xee, "mfa");
    mouse(q, 0x55, "m55");
    mouse(q, 0xec, "mfa");
    mouse(q, 0xf6, "mfa");
    mouse(q, 0xe9, "mfa m00 m02 m64");
    mouse(q, 0xff, "mfa maa m00");
    mouse(q, 0xf2, "mfa m00");
    qtest_end(q);
}

/* Sending to a device enables its interface; what waits behind a closed one comes when it opens. */
static void test_interfaces_open_and_close(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_outb(q, 0x60, 0xf2);
    g_assert_cmphex(qtest_inb(q, 0x60), ==, 0xfa);
    command(q, 0xad);
    command(q, 0x20); /* the buffer holds the keyboard's byte, ours comes behind it */
    expect(q, "ab 13");
    command(q, 0xae);
    expect(q, "83");
    command(q, 0xad);
    keyboard(q, 0xee, "ee");
    command(q, 0x20);
    expect(q, "03");
    qtest_end(q);
}

/* ---- input ------------------------------------------------------------------------------------------------------ */

static void press(QTest *q, const char *key, bool down)
{
    qtest_qmp_ok(q,
                 "{'execute': 'input-send-event', 'arguments': {'events': [{'type': 'key', 'data': {'key': {'type': "
                 "'qcode', 'data': '%s'}, 'down': %s}}]}}",
                 key, down ? "true" : "false");
}

/* Before a move all keys are released: it comes where none is down. */
static void test_keys(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_set_moving(q, false);
    press(q, "a", true);
    press(q, "a", false);
    press(q, "up", true);
    press(q, "up", false);
    qtest_move(q);
    expect(q, "1c f0 1c e0 75 e0 f0 75");
    /* Translated to set 1. */
    command(q, 0x60);
    qtest_outb(q, 0x60, 0x47);
    press(q, "a", true);
    press(q, "a", false);
    press(q, "up", true);
    press(q, "up", false);
    g_assert_cmphex(qtest_inb(q, 0x60), ==, 0x1e);
    qtest_move(q);
    expect(q, "9e e0 48 e0 c8");
    /* Answers come before keys that wait. */
    press(q, "b", true);
    g_assert_cmphex(qtest_inb(q, 0x64) & OUT_FULL, ==, OUT_FULL);
    qtest_outb(q, 0x60, 0xf2);
    expect(q, "fa ab 41 30");
    press(q, "b", false);
    expect(q, "b0");
    /* Disabled. */
    keyboard(q, 0xf5, "fa");
    press(q, "c", true);
    press(q, "c", false);
    expect(q, "");
    keyboard(q, 0xf4, "fa");
    press(q, "c", true);
    press(q, "c", false);
    expect(q, "2e ae");
    qtest_end(q);
}

static void move(QTest *q, int dx, int dy)
{
    qtest_qmp_ok(q,
                 "{'execute': 'input-send-event', 'arguments': {'events': [{'type': 'rel', 'data': {'axis': 'x', "
                 "'value': %d}}, {'type': 'rel', 'data': {'axis': 'y', 'value': %d}}]}}",
                 dx, dy);
}

static void click(QTest *q, const char *button, bool down)
{
    qtest_qmp_ok(q,
                 "{'execute': 'input-send-event', 'arguments': {'events': [{'type': 'btn', 'data': {'button': '%s', "
                 "'down': %s}}]}}",
                 button, down ? "true" : "false");
}

static void test_mouse_events(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_set_moving(q, false);
    move(q, 3, 4); /* nobody listens */
    mouse(q, 0xff, "mfa maa m00");
    mouse(q, 0xf4, "mfa");
    move(q, 10, -20);
    expect(q, "m08 m0a m14");
    move(q, -1, 300); /* in three packets */
    qtest_move(q);
    expect(q, "m38 mff m81 m28 m00 m81 m28 m00 md2");
    click(q, "left", true);
    expect(q, "m09 m00 m00");
    click(q, "left", false);
    expect(q, "m08 m00 m00");
    /* More than the queue holds is joined, nothing is lost. */
    for (int i = 0; i < 10; i++) {
        move(q, 20, 0);
    }
    qtest_move(q);
    {
        int x = 0;

        while (qtest_inb(q, 0x64) & OUT_FULL) {
            g_assert_cmphex(qtest_inb(q, 0x60) & 0xcf, ==, 0x08);
            x += (int8_t)qtest_inb(q, 0x60);
            g_assert_cmphex(qtest_inb(q, 0x60), ==, 0);
        }
        g_assert_cmpint(x, ==, 200);
    }
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8042/controller-commands", test_controller_commands);
    g_test_add_func("/i8042/output-port", test_output_port);
    g_test_add_func("/i8042/interrupts", test_interrupts);
    g_test_add_func("/i8042/keyboard-commands", test_keyboard_commands);
    g_test_add_func("/i8042/mouse-commands", test_mouse_commands);
    g_test_add_func("/i8042/interfaces-open-and-close", test_interfaces_open_and_close);
    g_test_add_func("/i8042/keys", test_keys);
    g_test_add_func("/i8042/mouse-events", test_mouse_events);
    return g_test_run();
}
