/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about input: query-mice, send-key, input-send-event, and their relatives of the human monitor. */
#include "util/osdep.h"

#include "monitor/hmp.h"
#include "qapi/commands-ui.h"
#include "qapi/dispatch.h"
#include "ui-private.h"
#include "util/error.h"

QMP_REGISTER(ui)

#define DEFAULT_HOLD_MS 100

/* ---- QMP --------------------------------------------------------------------------------------------- */

static void add_mouse(const char *name, unsigned index, bool absolute, bool current, void *opaque)
{
    MouseInfo *info = g_new0(MouseInfo, 1);

    info->name = g_strdup(name);
    info->index = index;
    info->absolute = absolute;
    info->current = current;
    QAPI_ARRAY_ADD((MouseInfoArray *)opaque, info);
}

bool qmp_query_mice(MouseInfoArray **ret, GError **error)
{
    *ret = g_new0(MouseInfoArray, 1);
    input_foreach_mouse(add_mouse, *ret);
    return true;
}

static QKeyCode key_of(const KeyValue *value)
{
    return value->type == KEY_VALUE_KIND_NUMBER ? input_key_from_number(value->u.number.data)
                                                : value->u.qcode.data;
}

static unsigned hold_of(bool given, int64_t ms)
{
    return given ? CLAMP(ms, 0, INT_MAX) : DEFAULT_HOLD_MS;
}

bool qmp_send_key(const KeyValueArray *keys, bool has_hold_time, int64_t hold_time, GError **error)
{
    g_autofree QKeyCode *codes = g_new(QKeyCode, keys->len);

    for (size_t i = 0; i < keys->len; i++) {
        codes[i] = key_of(keys->items[i]);
    }
    return input_type_keys(codes, MIN(keys->len, UINT_MAX), hold_of(has_hold_time, hold_time),
                           error);
}

static void send_event(Console *console, const InputEvent *e)
{
    switch (e->type) {
    case INPUT_EVENT_KIND_KEY:
        input_key(console, key_of(e->u.key.data->key), e->u.key.data->down);
        break;
    case INPUT_EVENT_KIND_BTN:
        input_button(console, e->u.btn.data->button, e->u.btn.data->down);
        break;
    case INPUT_EVENT_KIND_REL:
        input_move(console, e->u.rel.data->axis, CLAMP(e->u.rel.data->value, INT16_MIN, INT16_MAX));
        break;
    default:
        input_position(console, e->u.abs.data->axis,
                       CLAMP(e->u.abs.data->value, 0, INPUT_ABSOLUTE_MAX), 0,
                       INPUT_ABSOLUTE_MAX + 1);
        break;
    }
}

bool qmp_input_send_event(const char *device, bool has_head, int64_t head,
                          const InputEventArray *events, GError **error)
{
    Console *console = NULL;

    if (device) {
        console = console_find(device, has_head ? CLAMP(head, 0, UINT_MAX) : 0, error);
        if (!console) {
            return false;
        }
    }
    if (!input_gate_open()) {
        return error_set(error, "VM not running");
    }
    for (size_t i = 0; i < events->len; i++) {
        if (!input_has_handler(console, events->items[i]->type)) {
            return error_set(error, "Input handler not found for event type %s",
                             qapi_name_InputEventKind(events->items[i]->type));
        }
    }
    for (size_t i = 0; i < events->len; i++) {
        send_event(console, events->items[i]);
    }
    input_sync();
    return true;
}

/* ---- human monitor ------------------------------------------------------------------------------------ */

static void print_mouse(const char *name, unsigned index, bool absolute, bool current, void *opaque)
{
    hmp_printf(opaque, "%c Mouse #%u: %s%s\n", current ? '*' : ' ', index, name,
               absolute ? " (absolute)" : "");
}

static void count_mouse(const char *name, unsigned index, bool absolute, bool current, void *opaque)
{
    ++*(unsigned *)opaque;
}

static void hmp_info_mice(Hmp *hmp, const HmpArgs *args)
{
    unsigned n = 0;

    input_foreach_mouse(count_mouse, &n);
    if (!n) {
        hmp_puts(hmp, "No mouse devices connected\n");
    }
    input_foreach_mouse(print_mouse, hmp);
}

static void hmp_mouse_set(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!input_select_mouse(hmp_arg_int(args, "index", 0), &error)) {
        hmp_printf(hmp, "%s\n", error->message);
        g_error_free(error);
    }
}

static void hmp_sendkey(Hmp *hmp, const HmpArgs *args)
{
    const char *text = hmp_arg_str(args, "keys");
    bool held = hmp_arg_has(args, "hold-time");
    g_autoptr(GArray) codes = g_array_new(FALSE, FALSE, sizeof(QKeyCode));
    GError *error = NULL;

    for (const char *word = text;; word++) {
        size_t len = strcspn(word, "-");
        QKeyCode code;

        if (!input_key_parse(word, len, &code)) {
            hmp_printf(hmp, "invalid parameter: %.*s\n", (int)MIN(len, INT_MAX), word);
            return;
        }
        g_array_append_val(codes, code);
        word += len;
        if (!*word) {
            break;
        }
    }
    input_type_keys((const QKeyCode *)codes->data, codes->len,
                    hold_of(held, hmp_arg_int(args, "hold-time", 0)), &error);
    hmp_report_error(hmp, &error);
}

static int int_arg(const HmpArgs *args, const char *name)
{
    return CLAMP(strtoll(hmp_arg_str(args, name), NULL, 0), INT16_MIN, INT16_MAX);
}

static void hmp_mouse_move(Hmp *hmp, const HmpArgs *args)
{
    int dz = hmp_arg_has(args, "dz") ? int_arg(args, "dz") : 0;
    InputButton wheel = dz > 0 ? INPUT_BUTTON_WHEEL_UP : INPUT_BUTTON_WHEEL_DOWN;

    input_move(NULL, INPUT_AXIS_X, int_arg(args, "dx"));
    input_move(NULL, INPUT_AXIS_Y, int_arg(args, "dy"));
    if (dz) {
        input_button(NULL, wheel, true);
        input_sync();
        input_button(NULL, wheel, false);
    }
    input_sync();
}

static void hmp_mouse_button(Hmp *hmp, const HmpArgs *args)
{
    static const InputButton of_bit[] = { INPUT_BUTTON_LEFT, INPUT_BUTTON_RIGHT,
                                          INPUT_BUTTON_MIDDLE };
    static unsigned pressed;
    unsigned state = hmp_arg_int(args, "state", 0), after = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(of_bit); i++) {
        after |= (state >> i & 1) << of_bit[i];
    }
    input_buttons(NULL, pressed, after);
    input_sync();
    pressed = after;
}

static const HmpCommand commands[] = {
    { "info mice", "", "", "show which guest mouse is receiving events", hmp_info_mice },
    { "mouse_set", "index:i", "index", "set which mouse device receives events", hmp_mouse_set },
    { "mouse_move", "dx:s,dy:s,dz:s?", "dx dy [dz]", "send mouse move events", hmp_mouse_move },
    { "mouse_button", "state:i", "state", "change mouse button state (1=L, 2=R, 4=M)",
      hmp_mouse_button },
    { "sendkey", "keys:s,hold-time:i?", "keys [hold_ms]",
      "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)", hmp_sendkey },
};
HMP_REGISTER(commands)
