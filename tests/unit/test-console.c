/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Consoles: surfaces, listeners, the timer that runs only while somebody looks, pictures in files. */
#include "util/osdep.h"

#include "qapi/dispatch.h"
#include "ui/console.h"
#include "ui/input.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

static Console *con;
static Object *device;
static unsigned updates;
static int width = 4, height = 3;
static uint32_t color = 0x102030;
static GString *seen;

static void update(void *opaque)
{
    pixman_image_t *surface = console_resize(con, width, height);
    uint32_t *pixel = pixman_image_get_data(surface);

    updates++;
    if (*pixel != color) {
        *pixel = color;
        console_damage(con, -5, -5, 6, 6); /* what is outside is ignored */
        console_damage(con, width, 0, 5, 5);
    }
}

static void on_damage(void *opaque, int x, int y, int w, int h)
{
    g_string_append_printf(seen, "%d,%d+%dx%d ", x, y, w, h);
}

static void on_resized(void *opaque, pixman_image_t *surface)
{
    g_string_append_printf(seen, "%dx%d ", pixman_image_get_width(surface),
                           pixman_image_get_height(surface));
}

static void on_updated(void *opaque)
{
    g_string_append(seen, "turn ");
}

static void on_gone(void *opaque)
{
    g_string_append(seen, "gone ");
}

static const ConsoleOps console_ops = { .update = update };
static const ConsoleListenerOps listener_ops = {
    .damage = on_damage, .resized = on_resized, .updated = on_updated, .gone = on_gone
};
static const ConsoleListenerOps quiet_ops = { .damage = on_damage,
                                              .resized = on_resized,
                                              .gone = on_gone };

#define assert_seen(expected)                       \
    do {                                            \
        g_assert_cmpstr(seen->str, ==, (expected)); \
        g_string_truncate(seen, 0);                 \
    } while (0)

/* Host time: at least ms pass, and n turns at most. */
static void run(unsigned ms)
{
    int64_t end = clock_get_ns(CLOCK_REALTIME_NS) + ms * NS_PER_MS;

    while (clock_get_ns(CLOCK_REALTIME_NS) < end) {
        main_loop_iterate(false);
        g_usleep(500);
    }
}

static void test_surface(void)
{
    g_assert_cmpint(pixman_image_get_width(console_surface(con)), ==, 640);
    g_assert_cmphex(pixman_image_get_data(console_surface(con))[5], ==, 0);
    console_update(con);
    g_assert_cmpint(pixman_image_get_width(console_surface(con)), ==, 4);
    g_assert_true(console_resize(con, 4, 3) == console_surface(con));
    g_assert_true(console_by_index(0) == con && !console_by_index(1));
    g_assert_cmpint(console_index(con), ==, 0);
    g_assert_cmpint(console_index(NULL), ==, -1);
    g_assert_cmpstr(console_name(con), ==, "v");
}

/* "An idle guest with nobody connected costs a CPU." */
static void test_nobody_looks_nothing_runs(void)
{
    ConsoleListener *listener;

    updates = 0;
    run(80);
    g_assert_cmpuint(updates, ==, 0);
    listener = console_listen(con, &listener_ops, NULL);
    color++;
    while (!updates) {
        run(5);
    }
    g_assert_true(g_str_has_prefix(seen->str, "0,0+1x1 turn "));
    run(400);
    g_assert_cmpuint(updates, <, 14); /* of a still screen fewer and fewer */
    g_string_truncate(seen, 0);
    console_unlisten(listener);
    updates = 0;
    run(80);
    g_assert_cmpuint(updates, ==, 0);
    assert_seen("");
}

static void test_listeners(void)
{
    ConsoleListener *a = console_listen(con, &quiet_ops, NULL),
                    *b = console_listen(con, &quiet_ops, NULL);

    width = 8;
    console_update(con);
    assert_seen("8x3 8x3 0,0+1x1 0,0+1x1 ");
    console_unlisten(a);
    color++;
    console_update(con);
    assert_seen("0,0+1x1 ");
    console_update(con);
    assert_seen("");
    console_unlisten(b);
    console_unlisten(NULL);
}

static char *screendump(const char *file, const char *rest)
{
    g_autofree char *text = g_strdup_printf("{\"filename\":\"%s\"%s}", file, rest);
    json_object *args = json_tokener_parse(text), *ret = NULL;
    GError *error = NULL;
    char *result = NULL;

    if (!qmp_run("screendump", args, &ret, &error)) {
        result = g_strdup(error->message);
        g_error_free(error);
    }
    json_object_put(ret);
    json_object_put(args);
    return result;
}

#define assert_refused(file, rest, expected)                \
    do {                                                    \
        g_autofree char *why_ = screendump((file), (rest)); \
        g_assert_cmpstr(why_, ==, (expected));              \
    } while (0)

static void test_screendump(void)
{
    g_autofree char *data = NULL, *png = NULL;
    gsize len;

    width = 2;
    height = 1;
    color = 0x010203;
    assert_refused("s.ppm", "", NULL);
    g_assert_true(g_file_get_contents("s.ppm", &data, &len, NULL));
    g_assert_cmpuint(len, ==, 11 + 6);
    g_assert_cmpint(memcmp(data, "P6\n2 1\n255\n\1\2\3\0\0\0", len), ==, 0);
    assert_refused("s.png", ",\"format\":\"png\",\"device\":\"v\",\"head\":0", NULL);
    g_assert_true(g_file_get_contents("s.png", &png, &len, NULL));
    g_assert_cmpint(memcmp(png, "\x89PNG\r\n\x1a\n", 8), ==, 0);
    assert_refused("/nowhere/s", "", "failed to open file '/nowhere/s': No such file or directory");
    assert_refused("s", ",\"device\":\"w\"", "Device 'w' not found");
    assert_refused("s", ",\"device\":\"v\",\"head\":1",
                   "Device v (head 1) is not bound to a QemuConsole");
    assert_refused("s", ",\"head\":0", "'head' must be specified together with 'device'");
    unlink("s.ppm");
    unlink("s.png");
}

static void on_key(void *opaque, QKeyCode key, bool down)
{
    g_string_append_printf(seen, "%s ", (const char *)opaque);
}

static const InputHandlerOps keyboard_ops = { .name = "keyboard", .key = on_key };

/* Input of a console goes to the devices that are bound to it. */
static void test_bound_input_and_end(void)
{
    InputHandler *plain = input_handler_new(&keyboard_ops, "plain"),
                 *bound = input_handler_new(&keyboard_ops, "bound");
    GError *error = NULL;

    g_assert_false(input_handler_bind(bound, "v", 3, &error));
    g_clear_error(&error);
    g_assert_true(input_handler_bind(bound, "v", 0, NULL));
    input_key(NULL, Q_KEY_CODE_A, true);
    input_key(con, Q_KEY_CODE_A, false);
    assert_seen("plain bound ");
    console_listen(con, &listener_ops, NULL);
    console_free(con);
    con = NULL;
    assert_seen("gone ");
    input_key(NULL, Q_KEY_CODE_B, true);
    assert_seen("plain ");
    assert_refused("s", "", "There is no console to take a screendump from");
    input_handler_free(bound);
    input_handler_free(plain);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    seen = g_string_new(NULL);
    device = object_new(&container_type);
    object_add_child(object_container("/machine/peripheral"), "v", device, NULL);
    con = console_new(device, 0, &console_ops, NULL);
    g_test_add_func("/console/surface", test_surface);
    g_test_add_func("/console/nobody-looks-nothing-runs", test_nobody_looks_nothing_runs);
    g_test_add_func("/console/listeners", test_listeners);
    g_test_add_func("/console/screendump", test_screendump);
    g_test_add_func("/console/bound-input-and-end", test_bound_input_and_end);
    return g_test_run();
}
