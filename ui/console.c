/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Consoles of display devices, and the timer that keeps them up to date while somebody looks. */
#include "util/osdep.h"

#include "ui-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(console_gfx_new)
TRACE_EVENT(displaysurface_create)
TRACE_EVENT(console_refresh)

#define FIRST_WIDTH 640
#define FIRST_HEIGHT 480
#define INTERVAL_SHORT_MS 30
#define INTERVAL_LONG_MS 240

struct Console {
    Object *device;
    unsigned head;
    const ConsoleOps *ops;
    void *opaque;
    pixman_image_t *surface; /* NULL: black, not made yet */
    GQueue listeners;        /* ConsoleListener * */
    bool changed;            /* since the last turn */
};

struct ConsoleListener {
    Console *con;
    const ConsoleListenerOps *ops;
    void *opaque;
};

static GQueue consoles = G_QUEUE_INIT; /* Console *, in order of creation */
static Timer refresh_timer;
static bool refresh_timer_ready;
static unsigned interval_ms;
static unsigned n_listeners;

/* ---- consoles and surfaces -------------------------------------------------------------------------- */

Console *console_new(Object *device, unsigned head, const ConsoleOps *ops, void *opaque)
{
    Console *con = g_new0(Console, 1);

    con->device = device;
    con->head = head;
    con->ops = ops;
    con->opaque = opaque;
    g_queue_push_tail(&consoles, con);
    trace(console_gfx_new, "%d", console_index(con));
    return con;
}

void console_free(Console *con)
{
    ConsoleListener *listener;

    if (!con) {
        return;
    }
    g_queue_remove(&consoles, con);
    input_console_gone(con);
    while ((listener = g_queue_peek_head(&con->listeners))) {
        const ConsoleListenerOps *ops = listener->ops;
        void *opaque = listener->opaque;

        console_unlisten(listener);
        ops->gone(opaque);
    }
    if (con->surface) {
        pixman_image_unref(con->surface);
    }
    g_free(con);
}

pixman_image_t *console_resize(Console *con, int width, int height)
{
    g_assert(width > 0 && width <= CONSOLE_MAX && height > 0 && height <= CONSOLE_MAX);
    if (con->surface) {
        if (pixman_image_get_width(con->surface) == width &&
            pixman_image_get_height(con->surface) == height) {
            return con->surface;
        }
        pixman_image_unref(con->surface);
    }
    trace(displaysurface_create, "w=%d, h=%d", width, height);
    con->surface = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    g_assert(con->surface); /* as g_malloc(): no memory, no way on */
    con->changed = true;
    for (GList *l = con->listeners.head; l; l = l->next) {
        ConsoleListener *listener = l->data;

        listener->ops->resized(listener->opaque, con->surface);
    }
    return con->surface;
}

void console_damage(Console *con, int x, int y, int width, int height)
{
    pixman_image_t *surface = console_surface(con);
    int right = MIN(x + width, pixman_image_get_width(surface));
    int bottom = MIN(y + height, pixman_image_get_height(surface));

    x = MAX(x, 0);
    y = MAX(y, 0);
    if (x >= right || y >= bottom) {
        return;
    }
    con->changed = true;
    for (GList *l = con->listeners.head; l; l = l->next) {
        ConsoleListener *listener = l->data;

        listener->ops->damage(listener->opaque, x, y, right - x, bottom - y);
    }
}

pixman_image_t *console_surface(Console *con)
{
    return con->surface ? con->surface : console_resize(con, FIRST_WIDTH, FIRST_HEIGHT);
}

void console_update(Console *con)
{
    con->ops->update(con->opaque);
}

/* ---- which is which --------------------------------------------------------------------------------- */

Console *console_by_index(unsigned index)
{
    return g_queue_peek_nth(&consoles, index);
}

int console_index(const Console *con)
{
    return con ? g_queue_index(&consoles, con) : -1;
}

const char *console_name(const Console *con)
{
    return object_path_component(con->device) ? object_path_component(con->device)
                                              : con->device->type->name;
}

/* By id or absolute path, as hw/core's device_find(); devices are below this layer. */
static Object *find_device(const char *name)
{
    g_autofree char *path = g_strconcat("/machine/peripheral/", name, NULL);

    return name[0] == '/' ? object_resolve(name, NULL) : object_resolve(path, NULL);
}

Console *console_find(const char *name, unsigned head, GError **error)
{
    Object *device = find_device(name);

    if (!device) {
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
        return NULL;
    }
    for (GList *l = consoles.head; l; l = l->next) {
        Console *con = l->data;

        if (con->device == device && con->head == head) {
            return con;
        }
    }
    error_set(error, "Device %s (head %u) is not bound to a QemuConsole", name, head);
    return NULL;
}

/* ---- listeners ---------------------------------------------------------------------------------------- */

static void arm_refresh(void)
{
    timer_mod(&refresh_timer, clock_get_ns(CLOCK_REALTIME_NS) + interval_ms * NS_PER_MS);
}

/* A turn of one console; whether it changed. */
static bool refresh_console(Console *con)
{
    con->changed = false;
    console_update(con);
    for (GList *l = con->listeners.head, *next; l; l = next) {
        ConsoleListener *listener = l->data;

        next = l->next;
        if (listener->ops->updated) {
            listener->ops->updated(listener->opaque);
        }
    }
    return con->changed;
}

/* A screen that stands still is looked at less and less often. */
static void refresh(void *opaque)
{
    bool changed = false;

    for (GList *l = consoles.head, *next; l; l = next) {
        Console *con = l->data;

        next = l->next;
        if (con->listeners.length) {
            changed |= refresh_console(con);
        }
    }
    interval_ms = changed ? INTERVAL_SHORT_MS : MIN(interval_ms + 5, INTERVAL_LONG_MS);
    trace(console_refresh, "interval %u ms", interval_ms);
    if (n_listeners) {
        arm_refresh();
    }
}

void consoles_wake(void)
{
    if (n_listeners && interval_ms != INTERVAL_SHORT_MS) {
        interval_ms = INTERVAL_SHORT_MS;
        timer_mod_earlier(&refresh_timer,
                          clock_get_ns(CLOCK_REALTIME_NS) + interval_ms * NS_PER_MS);
    }
}

ConsoleListener *console_listen(Console *con, const ConsoleListenerOps *ops, void *opaque)
{
    ConsoleListener *listener = g_new0(ConsoleListener, 1);

    listener->con = con;
    listener->ops = ops;
    listener->opaque = opaque;
    g_queue_push_tail(&con->listeners, listener);
    if (!refresh_timer_ready) {
        timer_init(&refresh_timer, CLOCK_REALTIME_NS, refresh, NULL);
        refresh_timer_ready = true;
    }
    if (n_listeners++ == 0) {
        interval_ms = INTERVAL_SHORT_MS;
        arm_refresh();
    }
    consoles_wake();
    return listener;
}

void console_unlisten(ConsoleListener *listener)
{
    if (!listener) {
        return;
    }
    g_queue_remove(&listener->con->listeners, listener);
    g_free(listener);
    if (--n_listeners == 0) {
        timer_del(&refresh_timer);
    }
}
