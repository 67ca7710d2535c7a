/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 mouse (IBM PS/2 Mouse Technical Reference, S68X-2229) with the extensions of the Microsoft IntelliMouse (wheel,
 * device id 3) and IntelliMouse Explorer (two more buttons, id 4), which are switched on by series of sample rates.
 */
#include "util/osdep.h"
#include "ps2-private.h"
#include "ui/input.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(ps2_mouse_send_packet);
TRACE_EVENT(ps2_mouse_fake_event);
TRACE_EVENT(ps2_write_mouse);
TRACE_EVENT(ps2_mouse_reset);

/* Commands */
enum {
    CMD_SCALE_1_1 = 0xe6,
    CMD_SCALE_2_1 = 0xe7,
    CMD_RESOLUTION = 0xe8, /* + 0 … 3 */
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_POLL = 0xeb,
    CMD_RESET_WRAP = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_GET_ID = 0xf2,
    CMD_SAMPLE_RATE = 0xf3, /* + rate */
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESET = 0xff,
};

/* mouse_status, as the status request returns it */
#define STATUS_REMOTE 0x40
#define STATUS_ENABLED 0x20
#define STATUS_SCALE_2_1 0x10

enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_EXPLORER = 4 };
/* How far a series 200, 100, 80 (wheel) or 200, 200, 80 (buttons) has come. */
enum { DETECT_NOTHING, DETECT_200, DETECT_200_100, DETECT_200_200 };

/* Detection, then packets of three or four bytes. */
typedef struct Ps2Mouse {
    Ps2 ps2;
    uint8_t mouse_status, mouse_resolution, mouse_sample_rate, mouse_wrap, mouse_type,
        mouse_detect_state;
    int32_t mouse_dx, mouse_dy, mouse_dz; /* not reported yet; dy upwards */
    uint8_t mouse_buttons;
    uint8_t sent_buttons; /* in the last packet */
    struct {
        int dx, dy, dz;
        unsigned buttons;
    } group; /* of events that belong together */
    InputHandler *handler;
} Ps2Mouse;

/* ---- packets -------------------------------------------------------------------------------------------------- */

/* As much of the motion as one packet can say. Returns its length. */
static unsigned mouse_make_packet(Ps2Mouse *s, uint8_t packet[4])
{
    int limit = s->mouse_type == ID_EXPLORER ? 7 : 127;
    int dx = CLAMP(s->mouse_dx, -127, 127), dy = CLAMP(s->mouse_dy, -127, 127);
    int dz = CLAMP(s->mouse_dz, -limit, limit);

    packet[0] = 0x08 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0) | (s->mouse_buttons & 7);
    packet[1] = dx;
    packet[2] = dy;
    s->mouse_dx -= dx;
    s->mouse_dy -= dy;
    s->sent_buttons = s->mouse_buttons;
    if (s->mouse_type == ID_PLAIN) {
        s->mouse_dz = 0;
        return 3;
    }
    packet[3] = s->mouse_type == ID_EXPLORER ? (dz & 0x0f) | (s->mouse_buttons & 0x18) << 1 : dz;
    s->mouse_dz -= dz;
    return 4;
}

/* Whole packets only, while there is room; the rest waits for the next event. */
static void mouse_stream(Ps2Mouse *s)
{
    bool changed = s->mouse_buttons != s->sent_buttons;

    while (changed || s->mouse_dx || s->mouse_dy || s->mouse_dz) {
        uint8_t packet[4];

        if (s->ps2.queue.count > PS2_QUEUE_INPUT - 4) {
            return;
        }
        ps2_put_input(&s->ps2, packet, mouse_make_packet(s, packet));
        trace(ps2_mouse_send_packet, "status 0x%02x dx %d dy %d", packet[0], (int8_t)packet[1],
              (int8_t)packet[2]);
        changed = false;
    }
}

static int add_clamped(int a, int b)
{
    return CLAMP((int64_t)a + b, -0x10000, 0x10000);
}

void ps2_mouse_event(Device *dev, int dx, int dy, int dz, unsigned buttons)
{
    Ps2Mouse *s = (Ps2Mouse *)dev;

    if (!(s->mouse_status & STATUS_ENABLED)) {
        return;
    }
    s->mouse_dx = add_clamped(s->mouse_dx, dx);
    s->mouse_dy = add_clamped(s->mouse_dy, -dy);
    s->mouse_dz = add_clamped(s->mouse_dz, -dz);
    s->mouse_buttons = buttons & 0x1f;
    if (!(s->mouse_status & STATUS_REMOTE)) {
        mouse_stream(s);
    }
}

void ps2_mouse_wake(Device *dev)
{
    Ps2Mouse *s = (Ps2Mouse *)dev;
    uint8_t packet[4];

    trace_mark(ps2_mouse_fake_event);
    if ((s->mouse_status & STATUS_ENABLED) && s->ps2.queue.count <= PS2_QUEUE_INPUT - 4) {
        ps2_put_input(&s->ps2, packet, mouse_make_packet(s, packet));
    }
}

static void mouse_button(void *opaque, InputButton button, bool down)
{
    Ps2Mouse *s = opaque;
    unsigned bit = 0;

    switch (button) {
    case INPUT_BUTTON_LEFT:
        bit = PS2_BUTTON_LEFT;
        break;
    case INPUT_BUTTON_RIGHT:
        bit = PS2_BUTTON_RIGHT;
        break;
    case INPUT_BUTTON_MIDDLE:
        bit = PS2_BUTTON_MIDDLE;
        break;
    case INPUT_BUTTON_SIDE:
        bit = PS2_BUTTON_SIDE;
        break;
    case INPUT_BUTTON_EXTRA:
        bit = PS2_BUTTON_EXTRA;
        break;
    case INPUT_BUTTON_WHEEL_UP:
        s->group.dz += down;
        break;
    case INPUT_BUTTON_WHEEL_DOWN:
        s->group.dz -= down;
        break;
    default:
        break;
    }
    s->group.buttons = down ? s->group.buttons | bit : s->group.buttons & ~bit;
}

static void mouse_move(void *opaque, InputAxis axis, int delta)
{
    Ps2Mouse *s = opaque;
    int *at = axis == INPUT_AXIS_X ? &s->group.dx : &s->group.dy;

    *at = add_clamped(*at, delta);
}

static void mouse_sync(void *opaque)
{
    Ps2Mouse *s = opaque;

    ps2_mouse_event(&s->ps2.device, s->group.dx, s->group.dy, s->group.dz, s->group.buttons);
    s->group.dx = s->group.dy = s->group.dz = 0;
}

static const InputHandlerOps mouse_handler = {
    .name = "QEMU PS/2 Mouse",
    .button = mouse_button,
    .move = mouse_move,
    .sync = mouse_sync,
};

/* ---- commands --------------------------------------------------------------------------------------------------- */

static void mouse_defaults(Ps2Mouse *s)
{
    s->mouse_sample_rate = 100;
    s->mouse_resolution = 2;
    s->mouse_status = 0;
}

static void mouse_reply(Ps2Mouse *s, uint8_t value)
{
    ps2_put_reply(&s->ps2, &value, 1);
}

static void mouse_detect(Ps2Mouse *s, uint8_t rate)
{
    switch (s->mouse_detect_state) {
    case DETECT_200:
        s->mouse_detect_state = rate == 100   ? DETECT_200_100
                                : rate == 200 ? DETECT_200_200
                                              : DETECT_NOTHING;
        break;
    case DETECT_200_100:
    case DETECT_200_200:
        if (rate == 80) {
            s->mouse_type = s->mouse_detect_state == DETECT_200_100 ? ID_WHEEL : ID_EXPLORER;
        }
        s->mouse_detect_state = DETECT_NOTHING;
        break;
    default:
        s->mouse_detect_state = rate == 200 ? DETECT_200 : DETECT_NOTHING;
        break;
    }
}

static void mouse_send_status(Ps2Mouse *s)
{
    uint8_t buttons = (s->mouse_buttons & PS2_BUTTON_LEFT ? 4 : 0) |
                      (s->mouse_buttons & PS2_BUTTON_MIDDLE ? 2 : 0) |
                      (s->mouse_buttons & PS2_BUTTON_RIGHT ? 1 : 0);
    const uint8_t reply[] = { PS2_ACK, s->mouse_status | buttons, s->mouse_resolution,
                              s->mouse_sample_rate };

    ps2_put_reply(&s->ps2, reply, sizeof(reply));
}

static void mouse_poll(Ps2Mouse *s)
{
    uint8_t packet[4];

    mouse_reply(s, PS2_ACK);
    ps2_put_reply(&s->ps2, packet, mouse_make_packet(s, packet));
}

static void mouse_argument(Ps2Mouse *s, uint8_t value)
{
    if (s->ps2.write_cmd == CMD_SAMPLE_RATE) {
        s->mouse_sample_rate = value;
        mouse_detect(s, value);
    } else {
        s->mouse_resolution = value;
    }
    s->ps2.write_cmd = PS2_NO_COMMAND;
    mouse_reply(s, PS2_ACK);
}

static void mouse_command(Ps2Mouse *s, uint8_t value)
{
    static const uint8_t reset_reply[] = { PS2_ACK, PS2_POWER_ON_OK, ID_PLAIN };

    switch (value) {
    case CMD_STATUS:
        mouse_send_status(s);
        return;
    case CMD_POLL:
        mouse_poll(s);
        return;
    case CMD_GET_ID:
        mouse_reply(s, PS2_ACK);
        mouse_reply(s, s->mouse_type);
        return;
    case CMD_RESET:
        mouse_defaults(s);
        s->mouse_type = ID_PLAIN;
        s->mouse_detect_state = DETECT_NOTHING;
        s->mouse_dx = s->mouse_dy = s->mouse_dz = 0;
        ps2_clear(&s->ps2);
        ps2_put_reply(&s->ps2, reset_reply, sizeof(reset_reply));
        return;
    case CMD_SCALE_1_1:
        s->mouse_status &= ~STATUS_SCALE_2_1;
        break;
    case CMD_SCALE_2_1:
        s->mouse_status |= STATUS_SCALE_2_1;
        break;
    case CMD_STREAM:
        s->mouse_status &= ~STATUS_REMOTE;
        break;
    case CMD_REMOTE:
        s->mouse_status |= STATUS_REMOTE;
        break;
    case CMD_WRAP:
        s->mouse_wrap = 1;
        break;
    case CMD_RESOLUTION:
    case CMD_SAMPLE_RATE:
        s->ps2.write_cmd = value;
        break;
    case CMD_ENABLE:
        s->mouse_status |= STATUS_ENABLED;
        break;
    case CMD_DISABLE:
        s->mouse_status &= ~STATUS_ENABLED;
        break;
    case CMD_DEFAULTS:
        mouse_defaults(s);
        break;
    case CMD_RESET_WRAP:
        break;
    default: /* stock's mouse, and with it guests, know no answer */
        return;
    }
    mouse_reply(s, PS2_ACK);
}

static void mouse_write(Ps2 *ps2, uint8_t value)
{
    Ps2Mouse *s = (Ps2Mouse *)ps2;

    trace(ps2_write_mouse, "0x%02x", value);
    if (ps2->write_cmd != PS2_NO_COMMAND) {
        mouse_argument(s, value);
    } else if (s->mouse_wrap && value != CMD_RESET && value != CMD_RESET_WRAP) {
        mouse_reply(s, value);
    } else {
        s->mouse_wrap = 0;
        mouse_command(s, value);
    }
}

/* There is room again for motion that waits. */
static void mouse_drained(Ps2 *ps2)
{
    Ps2Mouse *s = (Ps2Mouse *)ps2;

    if ((s->mouse_status & (STATUS_ENABLED | STATUS_REMOTE)) == STATUS_ENABLED &&
        ps2->write_cmd == PS2_NO_COMMAND) {
        mouse_stream(s);
    }
}

static const Ps2Ops mouse_ops = { mouse_write, mouse_drained };

/* ---- life cycle --------------------------------------------------------------------------------------------------- */

/* Power-on; the driver's reset command brings the defaults. */
static void mouse_reset(Device *dev)
{
    Ps2Mouse *s = (Ps2Mouse *)dev;

    trace_mark(ps2_mouse_reset);
    s->ps2.write_cmd = PS2_NO_COMMAND;
    ps2_clear(&s->ps2);
    s->mouse_status = s->mouse_resolution = s->mouse_sample_rate = 0;
    s->mouse_wrap = s->mouse_type = s->mouse_detect_state = 0;
    s->mouse_dx = s->mouse_dy = s->mouse_dz = 0;
    s->mouse_buttons = s->sent_buttons = 0;
}

static bool mouse_realize(Device *dev, GError **error)
{
    Ps2Mouse *s = (Ps2Mouse *)dev;

    if (!ps2_realize(dev, error)) {
        return false;
    }
    s->handler = input_handler_new(&mouse_handler, s);
    return true;
}

static void mouse_unrealize(Device *dev)
{
    input_handler_free(((Ps2Mouse *)dev)->handler);
}

/*
 * Migration notes. The queue, the state of a command half-way and of the detection, motion that is not reported yet.
 * Not in stock's section: that a button changed while the queue was full, so that no packet says it. It is a subsection,
 * sent in that case alone.
 */
static bool mouse_pre_load(void *opaque, GError **error)
{
    ((Ps2Mouse *)opaque)->sent_buttons = 0xff;
    return true;
}

static bool mouse_post_load(void *opaque, int version, GError **error)
{
    Ps2Mouse *s = opaque;

    if (s->sent_buttons == 0xff) {
        s->sent_buttons = s->mouse_buttons;
    }
    memset(&s->group, 0, sizeof(s->group));
    return true; /* what the line has done is in the controller's section */
}

static bool unsent_needed(const void *opaque)
{
    const Ps2Mouse *s = opaque;

    return s->sent_buttons != s->mouse_buttons;
}

static bool is_buttons(const void *opaque, int64_t value)
{
    return value <= 0x1f;
}

static bool is_type(const void *opaque, int64_t value)
{
    return value == ID_PLAIN || value == ID_WHEEL || value == ID_EXPLORER;
}

static bool is_detect_state(const void *opaque, int64_t value)
{
    return value <= DETECT_200_200;
}

static bool is_motion(const void *opaque, int64_t value)
{
    return value >= -0x1000000 && value <= 0x1000000;
}

#define MOUSE_CHECKED(member, k, n, check)                                                        \
    {                                                                                             \
        .name = #member, .offset = offsetof(Ps2Mouse, member), .size = (n), .kind = &vm_kind_##k, \
        .valid = (check)                                                                          \
    }

static const VmState vmstate_unsent = {
    .name = "ps2mouse/sent_buttons",
    .version = 1,
    .minimum_version = 1,
    .needed = unsent_needed,
    .fields = (const VmField[]){ MOUSE_CHECKED(sent_buttons, u8, 1, is_buttons), VM_END },
};

static const VmState vmstate_mouse = {
    .name = "ps2mouse",
    .version = 2,
    .minimum_version = 2,
    .pre_load = mouse_pre_load,
    .post_load = mouse_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("parent_obj", Ps2Mouse, ps2, ps2_vmstate, Ps2),
            VM_U8(Ps2Mouse, mouse_status),
            VM_U8(Ps2Mouse, mouse_resolution),
            VM_U8(Ps2Mouse, mouse_sample_rate),
            VM_U8(Ps2Mouse, mouse_wrap),
            MOUSE_CHECKED(mouse_type, u8, 1, is_type),
            MOUSE_CHECKED(mouse_detect_state, u8, 1, is_detect_state),
            MOUSE_CHECKED(mouse_dx, i32, 4, is_motion),
            MOUSE_CHECKED(mouse_dy, i32, 4, is_motion),
            MOUSE_CHECKED(mouse_dz, i32, 4, is_motion),
            MOUSE_CHECKED(mouse_buttons, u8, 1, is_buttons),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &vmstate_unsent, NULL },
};

static const DeviceType mouse_type = {
    .object = { .name = "ps2-mouse", .parent = &ps2_type.object, .size = sizeof(Ps2Mouse) },
    .realize = mouse_realize,
    .unrealize = mouse_unrealize,
    .reset = mouse_reset,
    .migration = MIGRATES_WITH(vmstate_mouse),
    .ops = &mouse_ops,
};
DEVICE_REGISTER(mouse_type);
