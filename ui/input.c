/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input handlers, and events on their way to them. */
#include "util/osdep.h"

#include "ui-private.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(input_event_key_qcode)
TRACE_EVENT(input_event_btn)
TRACE_EVENT(input_event_rel)
TRACE_EVENT(input_event_abs)
TRACE_EVENT(input_event_sync)
TRACE_EVENT(input_mouse_mode)

struct InputHandler {
    const InputHandlerOps *ops;
    void *opaque;
    unsigned index;
    unsigned events; /* since the last sync */
    unsigned leds;
    Console *console;
};

/* No console: that of a handler whose console is no more. */
#define GONE ((Console *)&handlers)

typedef struct LedListener {
    InputLedFunc *func;
    void *opaque;
} LedListener;

/* What a handler was told is down (I4). */
static struct {
    bool down;
    Console *console;
} held_keys[Q_KEY_CODE_COUNT], held_buttons[INPUT_BUTTON_COUNT];

static GQueue handlers = G_QUEUE_INIT; /* InputHandler *, the first has precedence (I1) */
static GQueue led_listeners = G_QUEUE_INIT;
static unsigned next_index = 1;
static bool (*event_gate)(void);

/* ---- handlers -------------------------------------------------------------------------------------- */

static bool takes(const InputHandler *h, InputEventKind kind)
{
    switch (kind) {
    case INPUT_EVENT_KIND_KEY:
        return h->ops->key;
    case INPUT_EVENT_KIND_BTN:
        return h->ops->button;
    case INPUT_EVENT_KIND_REL:
        return h->ops->move;
    case INPUT_EVENT_KIND_ABS:
        return h->ops->position;
    default:
        return false;
    }
}

static bool is_mouse(const InputHandler *h)
{
    return h->ops->move || h->ops->position;
}

static InputHandler *find_handler(Console *console, InputEventKind kind)
{
    for (GList *l = handlers.head; console && l; l = l->next) {
        InputHandler *h = l->data;

        if (h->console == console && takes(h, kind)) {
            return h;
        }
    }
    for (GList *l = handlers.head; l; l = l->next) {
        InputHandler *h = l->data;

        if (!h->console && takes(h, kind)) {
            return h;
        }
    }
    return NULL;
}

bool input_has_handler(Console *console, InputEventKind kind)
{
    return find_handler(console, kind);
}

static unsigned leds_in_use(void)
{
    InputHandler *h = find_handler(NULL, INPUT_EVENT_KIND_KEY);

    return h ? h->leds : 0;
}

/* Something may have changed who is in use: tells of LEDs that are different now. */
static void leds_changed(void)
{
    static unsigned told;
    unsigned leds = leds_in_use();

    if (leds == told) {
        return;
    }
    told = leds;
    for (GList *l = led_listeners.head, *next; l; l = next) {
        LedListener *listener = l->data;

        next = l->next;
        listener->func(listener->opaque, leds);
    }
}

InputHandler *input_handler_new(const InputHandlerOps *ops, void *opaque)
{
    InputHandler *h = g_new0(InputHandler, 1);

    h->ops = ops;
    h->opaque = opaque;
    h->index = next_index++;
    g_queue_push_tail(&handlers, h);
    leds_changed();
    return h;
}

void input_handler_free(InputHandler *h)
{
    if (!h) {
        return;
    }
    g_queue_remove(&handlers, h);
    g_free(h);
    leds_changed();
}

void input_handler_activate(InputHandler *h)
{
    if (handlers.head->data == h) {
        return;
    }
    g_queue_remove(&handlers, h);
    g_queue_push_head(&handlers, h);
    trace(input_mouse_mode, "handler %u %s in front", h->index, h->ops->name);
    leds_changed();
}

void input_handler_deactivate(InputHandler *h)
{
    g_queue_remove(&handlers, h);
    g_queue_push_tail(&handlers, h);
    leds_changed();
}

bool input_handler_bind(InputHandler *h, const char *device, unsigned head, GError **error)
{
    h->console = console_find(device, head, error);
    return h->console;
}

/* A console goes: handlers bound to it take nothing any more. */
void input_console_gone(Console *console)
{
    for (GList *l = handlers.head; l; l = l->next) {
        InputHandler *h = l->data;

        if (h->console == console) {
            h->console = GONE;
        }
    }
    for (int key = 0; key < Q_KEY_CODE_COUNT; key++) {
        if (held_keys[key].console == console) {
            held_keys[key].console = NULL;
        }
    }
    for (int button = 0; button < INPUT_BUTTON_COUNT; button++) {
        if (held_buttons[button].console == console) {
            held_buttons[button].console = NULL;
        }
    }
}

void input_set_leds(InputHandler *h, unsigned leds)
{
    h->leds = leds;
    leds_changed();
}

void input_led_listen(InputLedFunc *func, void *opaque)
{
    LedListener *listener = g_new0(LedListener, 1);

    listener->func = func;
    listener->opaque = opaque;
    g_queue_push_tail(&led_listeners, listener);
    func(opaque, leds_in_use());
}

void input_led_unlisten(InputLedFunc *func, void *opaque)
{
    for (GList *l = led_listeners.head; l; l = l->next) {
        LedListener *listener = l->data;

        if (listener->func == func && listener->opaque == opaque) {
            g_queue_delete_link(&led_listeners, l);
            g_free(listener);
            return;
        }
    }
}

/* As query-mice lists them: the one with precedence last. */
void input_foreach_mouse(InputMouseFunc *func, void *opaque)
{
    InputHandler *current = NULL;

    for (GList *l = handlers.head; l && !current; l = l->next) {
        current = is_mouse(l->data) ? l->data : NULL;
    }
    for (GList *l = handlers.tail; l; l = l->prev) {
        InputHandler *h = l->data;

        if (is_mouse(h)) {
            func(h->ops->name, h->index, h->ops->position, h == current, opaque);
        }
    }
}

bool input_select_mouse(int64_t index, GError **error)
{
    for (GList *l = handlers.head; l; l = l->next) {
        InputHandler *h = l->data;

        if (h->index != index) {
            continue;
        }
        if (!is_mouse(h)) {
            return error_set(error, "Input device '%s' is not a mouse", h->ops->name);
        }
        input_handler_activate(h);
        return true;
    }
    return error_set(error, "Mouse at index '%" PRId64 "' not found", index);
}

/* ---- events ------------------------------------------------------------------------------------------ */

void input_set_gate(bool (*gate)(void))
{
    event_gate = gate;
}

bool input_gate_open(void)
{
    return !event_gate || event_gate();
}

/* Who gets an event; NULL: nobody, it is dropped. The release of what is held passes the gate (I4). */
static InputHandler *take(Console *console, InputEventKind kind, bool held)
{
    InputHandler *h = held || input_gate_open() ? find_handler(console, kind) : NULL;

    if (h) {
        h->events++;
        consoles_wake();
    }
    return h;
}

void input_key(Console *console, QKeyCode key, bool down)
{
    InputHandler *h = take(console, INPUT_EVENT_KIND_KEY, !down && held_keys[key].down);

    trace(input_event_key_qcode, "con %d, key qcode %s, down %d", console_index(console),
          qapi_name_QKeyCode(key), down);
    held_keys[key].down = h ? down : held_keys[key].down && down;
    if (h) {
        held_keys[key].console = console;
        h->ops->key(h->opaque, key, down);
    }
}

void input_button(Console *console, InputButton button, bool down)
{
    InputHandler *h = take(console, INPUT_EVENT_KIND_BTN, !down && held_buttons[button].down);

    trace(input_event_btn, "con %d, button %s, down %d", console_index(console),
          qapi_name_InputButton(button), down);
    held_buttons[button].down = h ? down : held_buttons[button].down && down;
    if (h) {
        held_buttons[button].console = console;
        h->ops->button(h->opaque, button, down);
    }
}

void input_move(Console *console, InputAxis axis, int delta)
{
    InputHandler *h = take(console, INPUT_EVENT_KIND_REL, false);

    trace(input_event_rel, "con %d, axis %s, value %d", console_index(console),
          qapi_name_InputAxis(axis), delta);
    if (h) {
        h->ops->move(h->opaque, axis, CLAMP(delta, INT16_MIN, INT16_MAX));
    }
}

void input_position(Console *console, InputAxis axis, int value, int min, int max)
{
    InputHandler *h = take(console, INPUT_EVENT_KIND_ABS, false);
    int64_t range = (int64_t)max - 1 - min;
    int64_t position = range > 0 ? ((int64_t)value - min) * INPUT_ABSOLUTE_MAX / range : 0;

    position = CLAMP(position, 0, INPUT_ABSOLUTE_MAX);
    trace(input_event_abs, "con %d, axis %s, value 0x%x", console_index(console),
          qapi_name_InputAxis(axis), (int)position);
    if (h) {
        h->ops->position(h->opaque, axis, position);
    }
}

void input_buttons(Console *console, unsigned before, unsigned after)
{
    for (int button = 0; button < INPUT_BUTTON_COUNT; button++) {
        if ((before ^ after) >> button & 1) {
            input_button(console, button, after >> button & 1);
        }
    }
}

void input_sync(void)
{
    trace_mark(input_event_sync);
    for (GList *l = handlers.head, *next; l; l = next) {
        InputHandler *h = l->data;

        next = l->next;
        if (h->events && h->ops->sync) {
            h->ops->sync(h->opaque);
        }
        h->events = 0;
    }
}

void input_flush(void)
{
    input_queue_clear();
    for (int key = 0; key < Q_KEY_CODE_COUNT; key++) {
        if (held_keys[key].down) {
            input_key(held_keys[key].console, key, false);
        }
    }
    for (int button = 0; button < INPUT_BUTTON_COUNT; button++) {
        if (held_buttons[button].down) {
            input_button(held_buttons[button].console, button, false);
        }
    }
    input_sync();
}

bool input_is_absolute(Console *console)
{
    InputHandler *absolute = find_handler(console, INPUT_EVENT_KIND_ABS);
    InputHandler *relative = find_handler(console, INPUT_EVENT_KIND_REL);

    if (!absolute || !relative) {
        return absolute;
    }
    return g_queue_index(&handlers, absolute) < g_queue_index(&handlers, relative);
}
