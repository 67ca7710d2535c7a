/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard with 101 or 102 keys (IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)").
 * The controller's translation to set 1 happens here: what is in the queue is what the guest reads.
 */
#include "util/osdep.h"
#include "ps2-private.h"
#include "ui/input.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(ps2_put_keycode);
TRACE_EVENT(ps2_set_ledstate);
TRACE_EVENT(ps2_reset_keyboard);
TRACE_EVENT(ps2_write_keyboard);
TRACE_EVENT(ps2_keyboard_set_translation);
TRACE_EVENT(ps2_kbd_reset);

/* Commands */
enum {
    CMD_LEDS = 0xed, /* + bits */
    CMD_ECHO = 0xee,
    CMD_CODE_SET = 0xf0, /* + 0: ask, 1 … 3: set */
    CMD_GET_ID = 0xf2,
    CMD_TYPEMATIC = 0xf3, /* + rate and delay */
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_ALL_MAKE_BREAK_TYPEMATIC = 0xfa,
    CMD_KEY_MAKE_BREAK = 0xfc,
    CMD_KEY_MAKE = 0xfd,
    CMD_RESET = 0xff,
};

typedef struct Ps2Kbd {
    Ps2 ps2;
    int32_t scan_enabled, translate, scancode_set, ledstate;
    unsigned modifiers; /* INPUT_MODIFIER_…; all are up when the machine moves (input_flush()) */
    InputHandler *handler;
} Ps2Kbd;

/* ---- keys ---------------------------------------------------------------------------------------------------- */

static void kbd_key(void *opaque, QKeyCode key, bool down)
{
    Ps2Kbd *s = opaque;
    unsigned set = s->translate && s->scancode_set == 2 ? 1 : s->scancode_set;
    uint8_t codes[INPUT_SEQUENCE_MAX];
    unsigned n = input_key_sequence(set, key, down, s->modifiers, codes);

    trace(ps2_put_keycode, "key %d down %d, %u bytes of set %u", key, down, n, set);
    s->modifiers = input_modifiers(s->modifiers, key, down);
    if (s->scan_enabled && n) {
        ps2_put_input(&s->ps2, codes, n);
    }
}

static const InputHandlerOps kbd_handler = { .name = "QEMU PS/2 Keyboard", .key = kbd_key };

/* What the controller makes of bytes of set 2 that are no key's. */
static uint8_t translated(const Ps2Kbd *s, uint8_t value)
{
    static const uint8_t numbers[] = { 0, 0x43, 0x41, 0x3f };

    if (!s->translate) {
        return value;
    }
    return value == 0x83 ? 0x41 : numbers[value & 3];
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static void kbd_reply(Ps2Kbd *s, const uint8_t *bytes, unsigned n)
{
    ps2_put_reply_first(&s->ps2, bytes, n);
}

static void kbd_reply_byte(Ps2Kbd *s, uint8_t value)
{
    kbd_reply(s, &value, 1);
}

static void kbd_set_leds(Ps2Kbd *s, int32_t leds)
{
    trace(ps2_set_ledstate, "ledstate %d", leds);
    s->ledstate = leds;
    input_set_leds(s->handler, leds);
}

static void kbd_defaults(Ps2Kbd *s, bool enabled)
{
    trace_mark(ps2_reset_keyboard);
    s->scan_enabled = enabled;
    s->scancode_set = 2;
    ps2_clear(&s->ps2);
    kbd_set_leds(s, 0);
}

static void kbd_code_set(Ps2Kbd *s, uint8_t value)
{
    if (value == 0) {
        const uint8_t reply[] = { PS2_ACK, translated(s, s->scancode_set) };

        kbd_reply(s, reply, sizeof(reply));
    } else if (value <= 3) {
        s->scancode_set = value;
        kbd_reply_byte(s, PS2_ACK);
    } else {
        kbd_reply_byte(s, PS2_RESEND);
    }
}

static void kbd_argument(Ps2Kbd *s, uint8_t value)
{
    int32_t command = s->ps2.write_cmd;

    s->ps2.write_cmd = PS2_NO_COMMAND;
    switch (command) {
    case CMD_CODE_SET:
        kbd_code_set(s, value);
        break;
    case CMD_LEDS:
        kbd_set_leds(s, value & 7);
        kbd_reply_byte(s, PS2_ACK);
        break;
    default: /* typematic rate, a key to be make-only: repeating is the host's business */
        kbd_reply_byte(s, PS2_ACK);
        break;
    }
}

static void kbd_command(Ps2Kbd *s, uint8_t value)
{
    const uint8_t id[] = { PS2_ACK, 0xab, translated(s, 0x83) };
    static const uint8_t reset_reply[] = { PS2_ACK, PS2_POWER_ON_OK };

    switch (value) {
    case CMD_ECHO:
        kbd_reply_byte(s, CMD_ECHO);
        break;
    case CMD_GET_ID:
        kbd_reply(s, id, sizeof(id));
        break;
    case CMD_ENABLE:
        s->scan_enabled = 1;
        kbd_reply_byte(s, PS2_ACK);
        break;
    case CMD_LEDS:
    case CMD_CODE_SET:
    case CMD_TYPEMATIC:
    case CMD_KEY_MAKE_BREAK:
    case CMD_KEY_MAKE:
        s->ps2.write_cmd = value;
        kbd_reply_byte(s, PS2_ACK);
        break;
    case CMD_DISABLE:
    case CMD_DEFAULTS:
        kbd_defaults(s, value == CMD_DEFAULTS);
        kbd_reply_byte(s, PS2_ACK);
        break;
    case CMD_ALL_MAKE_BREAK_TYPEMATIC:
        kbd_reply_byte(s, PS2_ACK);
        break;
    case CMD_RESET:
        kbd_defaults(s, true);
        kbd_reply(s, reset_reply, sizeof(reset_reply));
        break;
    default:
        kbd_reply_byte(s, PS2_RESEND);
        break;
    }
}

/* A command in place of an argument is a command. */
static void kbd_write(Ps2 *ps2, uint8_t value)
{
    Ps2Kbd *s = (Ps2Kbd *)ps2;

    trace(ps2_write_keyboard, "0x%02x", value);
    if (ps2->write_cmd != PS2_NO_COMMAND && value < CMD_LEDS) {
        kbd_argument(s, value);
    } else {
        ps2->write_cmd = PS2_NO_COMMAND;
        kbd_command(s, value);
    }
}

void ps2_kbd_set_translation(Device *dev, bool on)
{
    trace(ps2_keyboard_set_translation, "mode %d", on);
    ((Ps2Kbd *)dev)->translate = on;
}

static const Ps2Ops kbd_ops = { kbd_write, NULL };

/* ---- life cycle ---------------------------------------------------------------------------------------------------- */

static void kbd_reset(Device *dev)
{
    Ps2Kbd *s = (Ps2Kbd *)dev;

    trace_mark(ps2_kbd_reset);
    s->ps2.write_cmd = PS2_NO_COMMAND;
    s->translate = 0;
    s->modifiers = 0;
    kbd_defaults(s, true);
}

static bool kbd_realize(Device *dev, GError **error)
{
    Ps2Kbd *s = (Ps2Kbd *)dev;

    if (!ps2_realize(dev, error)) {
        return false;
    }
    s->handler = input_handler_new(&kbd_handler, s);
    return true;
}

static void kbd_unrealize(Device *dev)
{
    input_handler_free(((Ps2Kbd *)dev)->handler);
}

/*
 * Migration notes. The queue, the state of a command half-way, modes. In flight is nothing: a key event is in the queue
 * as a whole or was dropped as a whole. Replies that the guest has not read yet are marked by a subsection.
 */
static bool kbd_pre_load(void *opaque, GError **error)
{
    ((Ps2Kbd *)opaque)->ledstate = 0;
    return true;
}

static bool kbd_post_load(void *opaque, int version, GError **error)
{
    Ps2Kbd *s = opaque;
    const Ps2Queue *q = &s->ps2.queue;

    if (q->cwptr >= 0 && (!q->count || ((q->cwptr - q->rptr) & (PS2_RING - 1)) > q->count)) {
        return error_set(error, "the queue of replies makes no sense");
    }
    s->modifiers = 0;
    input_set_leds(s->handler, s->ledstate);
    return true; /* what the line has done is in the controller's section */
}

static bool reply_needed(const void *opaque)
{
    return ((const Ps2Kbd *)opaque)->ps2.queue.cwptr >= 0;
}

static bool ledstate_needed(const void *opaque)
{
    return ((const Ps2Kbd *)opaque)->ledstate != 0;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool is_set(const void *opaque, int64_t value)
{
    return value >= 1 && value <= 3;
}

static bool is_index(const void *opaque, int64_t value)
{
    return value >= -1 && value < PS2_RING;
}

static bool is_leds(const void *opaque, int64_t value)
{
    return value >= 0 && value <= 7;
}

#define KBD_I32(wire, member, check)                                                         \
    {                                                                                        \
        .name = (wire), .offset = offsetof(Ps2Kbd, member), .size = 4, .kind = &vm_kind_i32, \
        .valid = (check)                                                                     \
    }

static const VmState vmstate_ledstate = {
    .name = "ps2kbd/ledstate",
    .version = 3,
    .minimum_version = 2,
    .needed = ledstate_needed,
    .fields = (const VmField[]){ KBD_I32("ledstate", ledstate, is_leds), VM_END },
};

static const VmState vmstate_reply = {
    .name = "ps2kbd/command_reply_queue",
    .needed = reply_needed,
    .fields =
        (const VmField[]){ KBD_I32("parent_obj.queue.cwptr", ps2.queue.cwptr, is_index), VM_END },
};

static const VmState vmstate_kbd = {
    .name = "ps2kbd",
    .version = 3,
    .minimum_version = 3,
    .pre_load = kbd_pre_load,
    .post_load = kbd_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("parent_obj", Ps2Kbd, ps2, ps2_vmstate, Ps2),
            KBD_I32("scan_enabled", scan_enabled, is_bool),
            KBD_I32("translate", translate, is_bool),
            KBD_I32("scancode_set", scancode_set, is_set),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &vmstate_ledstate, &vmstate_reply, NULL },
};

static const DeviceType kbd_type = {
    .object = { .name = "ps2-kbd", .parent = &ps2_type.object, .size = sizeof(Ps2Kbd) },
    .realize = kbd_realize,
    .unrealize = kbd_unrealize,
    .reset = kbd_reset,
    .migration = MIGRATES_WITH(vmstate_kbd),
    .ops = &kbd_ops,
};
DEVICE_REGISTER(kbd_type);
