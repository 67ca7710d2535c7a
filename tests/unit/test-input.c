/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: who gets events, groups, typed keys, what is held when the machine moves, scan codes. */
#include "util/osdep.h"

#include "qapi/dispatch.h"
#include "monitor/hmp.h"
#include "ui/input.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

static GString *seen;

static void got(void *opaque, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void got(void *opaque, const char *fmt, ...)
{
    va_list ap;

    g_string_append_printf(seen, "%s:", (const char *)opaque);
    va_start(ap, fmt);
    g_string_append_vprintf(seen, fmt, ap);
    va_end(ap);
    g_string_append_c(seen, ' ');
}

static void on_key(void *opaque, QKeyCode key, bool down)
{
    got(opaque, "%s%c", qapi_name_QKeyCode(key), down ? '+' : '-');
}

static void on_button(void *opaque, InputButton button, bool down)
{
    got(opaque, "%s%c", qapi_name_InputButton(button), down ? '+' : '-');
}

static void on_move(void *opaque, InputAxis axis, int delta)
{
    got(opaque, "%s%+d", qapi_name_InputAxis(axis), delta);
}

static void on_position(void *opaque, InputAxis axis, int position)
{
    got(opaque, "%s=%d", qapi_name_InputAxis(axis), position);
}

static void on_sync(void *opaque)
{
    got(opaque, "sync");
}

static const InputHandlerOps keyboard = { .name = "keyboard", .key = on_key, .sync = on_sync };
static const InputHandlerOps mouse = {
    .name = "mouse", .button = on_button, .move = on_move, .sync = on_sync
};
static const InputHandlerOps tablet = {
    .name = "tablet", .button = on_button, .position = on_position, .sync = on_sync
};

#define assert_seen(expected)                       \
    do {                                            \
        g_assert_cmpstr(seen->str, ==, (expected)); \
        g_string_truncate(seen, 0);                 \
    } while (0)

static void test_order(void)
{
    InputHandler *m = input_handler_new(&mouse, "m"), *t = input_handler_new(&tablet, "t");
    InputHandler *n = input_handler_new(&mouse, "n");

    g_assert_false(input_is_absolute(NULL));
    input_button(NULL, INPUT_BUTTON_LEFT, true);
    input_move(NULL, INPUT_AXIS_X, -70000);
    input_position(NULL, INPUT_AXIS_Y, 639, 0, 640);
    input_sync();
    assert_seen("m:left+ m:x-32768 t:y=32767 m:sync t:sync ");
    input_sync();
    assert_seen("");
    input_handler_activate(t);
    g_assert_true(input_is_absolute(NULL));
    input_button(NULL, INPUT_BUTTON_LEFT, false);
    input_position(NULL, INPUT_AXIS_X, -5, 0, 640);
    input_position(NULL, INPUT_AXIS_X, 1, 0, 1);
    input_sync();
    assert_seen("t:left- t:x=0 t:x=0 t:sync ");
    input_handler_deactivate(m);
    input_move(NULL, INPUT_AXIS_Y, 3);
    input_buttons(NULL, 1 << INPUT_BUTTON_LEFT, 1 << INPUT_BUTTON_RIGHT);
    input_sync();
    assert_seen("n:y+3 t:left- t:right+ t:sync n:sync ");
    input_handler_free(t);
    input_handler_free(n);
    input_handler_free(m);
    input_button(NULL, INPUT_BUTTON_RIGHT, false);
    input_sync();
    assert_seen("");
}

static void advance(int64_t ms)
{
    clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + ms * NS_PER_MS);
}

static void test_typing(void)
{
    InputHandler *k = input_handler_new(&keyboard, "k");
    const QKeyCode ab[] = { Q_KEY_CODE_A, Q_KEY_CODE_B }, c = Q_KEY_CODE_C;
    QKeyCode many[513];
    GError *error = NULL;

    g_assert_true(input_type_keys(ab, 2, 50, NULL));
    g_assert_true(input_type_keys(&c, 1, 10, NULL));
    assert_seen("k:a+ k:sync ");
    advance(49);
    assert_seen("");
    advance(1);
    assert_seen("k:b+ k:sync ");
    advance(100);
    assert_seen("k:b- k:sync k:a- k:sync ");
    advance(60);
    assert_seen("k:c+ k:sync k:c- k:sync ");
    for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
        many[i] = Q_KEY_CODE_X;
    }
    g_assert_false(input_type_keys(many, 513, 1, &error));
    g_assert_cmpstr(error->message, ==, "Too many keys wait to be sent");
    g_clear_error(&error);
    advance(10000);
    assert_seen("");
    input_handler_free(k);
}

static bool is_open;

static bool gate(void)
{
    return is_open;
}

/* "The key repeats for ever since the VM was migrated." */
static void test_held_key_is_released_before_a_move(void)
{
    InputHandler *k = input_handler_new(&keyboard, "k"), *m = input_handler_new(&mouse, "m");
    const QKeyCode keys[] = { Q_KEY_CODE_CTRL, Q_KEY_CODE_DELETE };

    is_open = true;
    input_set_gate(gate);
    g_assert_true(input_type_keys(keys, 2, 100, NULL));
    input_key(NULL, Q_KEY_CODE_A, true);
    input_button(NULL, INPUT_BUTTON_MIDDLE, true);
    input_sync();
    assert_seen("k:ctrl+ k:sync k:a+ m:middle+ k:sync m:sync ");
    is_open = false;
    input_key(NULL, Q_KEY_CODE_B, true);
    input_key(NULL, Q_KEY_CODE_B, false);
    input_move(NULL, INPUT_AXIS_X, 1);
    input_sync();
    assert_seen("");
    input_flush();
    assert_seen("k:ctrl- k:a- m:middle- k:sync m:sync ");
    is_open = true;
    advance(1000);
    input_flush();
    assert_seen("");
    input_set_gate(NULL);
    input_handler_free(k);
    input_handler_free(m);
}

static unsigned leds_seen;

static void on_leds(void *opaque, unsigned leds)
{
    leds_seen = leds;
}

static void test_leds(void)
{
    InputHandler *a = input_handler_new(&keyboard, "a"), *b = input_handler_new(&keyboard, "b");

    input_set_leds(a, INPUT_LED_CAPS_LOCK);
    input_led_listen(on_leds, NULL);
    g_assert_cmphex(leds_seen, ==, INPUT_LED_CAPS_LOCK);
    input_set_leds(b, INPUT_LED_NUM_LOCK);
    g_assert_cmphex(leds_seen, ==, INPUT_LED_CAPS_LOCK);
    input_handler_activate(b);
    g_assert_cmphex(leds_seen, ==, INPUT_LED_NUM_LOCK);
    input_handler_free(b);
    g_assert_cmphex(leds_seen, ==, INPUT_LED_CAPS_LOCK);
    input_led_unlisten(on_leds, NULL);
    input_handler_free(a);
    g_assert_cmphex(leds_seen, ==, INPUT_LED_CAPS_LOCK);
}

static void run_hmp(const char *line, const char *expected)
{
    g_autoptr(GString) out = g_string_new(NULL);

    hmp_run_line(line, -1, out);
    g_assert_cmpstr(out->str, ==, expected);
}

static char *run_qmp(const char *command, const char *text)
{
    json_object *args = text ? json_tokener_parse(text) : NULL, *ret = NULL;
    GError *error = NULL;
    char *result;

    g_assert_true(!text || args);
    if (qmp_run(command, args, &ret, &error)) {
        result = g_strdup(ret ? json_object_to_json_string_ext(ret, JSON_C_TO_STRING_PLAIN) : "");
        json_object_put(ret);
    } else {
        result = g_strdup(error->message);
        g_error_free(error);
    }
    json_object_put(args);
    return result;
}

#define assert_qmp(command, args, expected)                        \
    do {                                                           \
        g_autofree char *qmp_result_ = run_qmp((command), (args)); \
        g_assert_cmpstr(qmp_result_, ==, (expected));              \
    } while (0)

static void test_commands(void)
{
    InputHandler *k, *m, *t;

    run_hmp("info mice", "No mouse devices connected\r\n");
    assert_qmp("query-mice", NULL, "[]");
    assert_qmp("input-send-event",
               "{\"events\":[{\"type\":\"rel\",\"data\":{\"axis\":\"x\",\"value\":1}}]}",
               "Input handler not found for event type rel");
    k = input_handler_new(&keyboard, "k");
    m = input_handler_new(&mouse, "m");
    t = input_handler_new(&tablet, "t");
    run_hmp("sendkey a-foo", "invalid parameter: foo\r\n");
    run_hmp("sendkey a-", "invalid parameter: \r\n");
    run_hmp("sendkey 0x", "invalid parameter: 0x\r\n");
    run_hmp("sendkey ctrl-0x1e-< 10", "");
    advance(100);
    assert_seen(
        "k:ctrl+ k:sync k:a+ k:sync k:less+ k:sync k:less- k:sync k:a- k:sync k:ctrl- k:sync ");
    run_hmp("mouse_move 3 -4 1", "");
    assert_seen("m:x+3 m:y-4 m:wheel-up+ m:sync m:wheel-up- m:sync ");
    run_hmp("mouse_button 3", "");
    run_hmp("mouse_button 5", "");
    run_hmp("mouse_button 0", "");
    assert_seen("m:left+ m:right+ m:sync m:middle+ m:right- m:sync m:left- m:middle- m:sync ");
    run_hmp("mouse_set 999", "Mouse at index '999' not found\r\n");
    assert_qmp("send-key", "{\"keys\":[{\"type\":\"number\",\"data\":5000}],\"hold-time\":-3}", "");
    assert_qmp("input-send-event", "{\"device\":\"nix\",\"events\":[]}", "Device 'nix' not found");
    assert_qmp("input-send-event",
               "{\"events\":[{\"type\":\"abs\",\"data\":{\"axis\":\"x\",\"value\":99999}},"
               "{\"type\":\"btn\",\"data\":{\"button\":\"side\",\"down\":true}},"
               "{\"type\":\"key\",\"data\":{\"key\":{\"type\":\"qcode\",\"data\":\"f24\"},\"down\":"
               "true}}]}",
               "");
    assert_seen("k:unmapped+ k:sync t:x=32767 m:side+ k:f24+ k:sync m:sync t:sync ");
    input_flush();
    g_string_truncate(seen, 0);
    input_handler_free(k);
    input_handler_free(m);
    input_handler_free(t);
}

static void assert_bytes(unsigned set, QKeyCode key, bool down, unsigned modifiers,
                         const char *expected)
{
    uint8_t bytes[INPUT_SEQUENCE_MAX];
    unsigned n = input_key_sequence(set, key, down, modifiers, bytes);
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(text, "%s%02x", i ? " " : "", bytes[i]);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

static void test_scan_codes(void)
{
    assert_bytes(1, Q_KEY_CODE_A, true, 0, "1e");
    assert_bytes(1, Q_KEY_CODE_A, false, 0, "9e");
    assert_bytes(2, Q_KEY_CODE_A, false, 0, "f0 1c");
    assert_bytes(2, Q_KEY_CODE_CTRL_R, false, 0, "e0 f0 14");
    assert_bytes(3, Q_KEY_CODE_CTRL_R, true, 0, "58");
    assert_bytes(1, Q_KEY_CODE_PRINT, true, 0, "e0 2a e0 37");
    assert_bytes(1, Q_KEY_CODE_PRINT, false, 0, "e0 b7 e0 aa");
    assert_bytes(2, Q_KEY_CODE_PRINT, false, 0, "e0 f0 7c e0 f0 12");
    assert_bytes(1, Q_KEY_CODE_PRINT, true, INPUT_MODIFIER_CTRL, "e0 37");
    assert_bytes(1, Q_KEY_CODE_PRINT, true, INPUT_MODIFIER_ALT_R, "e0 b8 e0 38 54");
    assert_bytes(2, Q_KEY_CODE_SYSRQ, false, INPUT_MODIFIER_ALT, "f0 84 f0 11 11");
    assert_bytes(3, Q_KEY_CODE_PRINT, true, INPUT_MODIFIER_ALT, "57");
    assert_bytes(2, Q_KEY_CODE_PAUSE, true, 0, "e1 14 77 e1 f0 14 f0 77");
    assert_bytes(2, Q_KEY_CODE_PAUSE, false, 0, "");
    assert_bytes(1, Q_KEY_CODE_PAUSE, true, INPUT_MODIFIER_CTRL_R, "e0 46 e0 c6");
    assert_bytes(2, Q_KEY_CODE_LF, true, 0, "");
    assert_bytes(2, Q_KEY_CODE_UNMAPPED, true, 0, "");
    for (int key = 1; key < Q_KEY_CODE_COUNT; key++) {
        QKeyCode back = input_key_from_number(input_key_to_number(key));

        g_assert_true(back == (QKeyCode)key || key == Q_KEY_CODE_ASTERISK);
    }
    g_assert_cmpint(input_key_from_number(0), ==, Q_KEY_CODE_UNMAPPED);
    g_assert_cmpint(input_key_from_number(-1), ==, Q_KEY_CODE_UNMAPPED);
    g_assert_cmpint(input_key_from_number(256), ==, Q_KEY_CODE_UNMAPPED);
    g_assert_cmphex(input_modifiers(INPUT_MODIFIER_ALT, Q_KEY_CODE_SHIFT_R, true), ==,
                    INPUT_MODIFIER_ALT | INPUT_MODIFIER_SHIFT_R);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    clock_virtual_set_manual();
    clock_virtual_enable(true);
    seen = g_string_new(NULL);
    g_test_add_func("/input/order", test_order);
    g_test_add_func("/input/typing", test_typing);
    g_test_add_func("/input/held-key-is-released-before-a-move",
                    test_held_key_is_released_before_a_move);
    g_test_add_func("/input/leds", test_leds);
    g_test_add_func("/input/commands", test_commands);
    g_test_add_func("/input/scan-codes", test_scan_codes);
    return g_test_run();
}
