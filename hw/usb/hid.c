/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of human interface devices, and the reports made of it (HID 1.11; HID Usage Tables,
 * keyboard page). */
#include "util/osdep.h"
#include "hw/usb/hid.h"

#define QUEUE_MASK (HID_QUEUE_LENGTH - 1)

enum {
    AFTER_E0 = 1 << 8,
    AFTER_E1 = 1 << 9,
};

enum {
    USAGE_ROLLOVER = 0x01,
    USAGE_FIRST_MODIFIER = 0xe0,
    USAGE_LAST_MODIFIER = 0xe7,
    REPORT_KEYS = 6,
};

/* clang-format off */
/* Scan code of set 1 → usage; those after E0 in the second half. */
static const uint8_t usages[256] = {
    0x00, 0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b, /* 00 */
    0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16, /* 10 */
    0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19, /* 20 */
    0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, /* 30 */
    0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59, /* 40 */
    0x5a, 0x5b, 0x62, 0x63, 0x46, 0x00, 0x64, 0x44, 0x45, 0x68, 0x00, 0x6a, 0x00, 0x00, 0x00, 0x00, /* 50 */
    0x00, 0x00, 0x00, 0x00, 0x73, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 60 */
    0x88, 0x91, 0x90, 0x87, 0x00, 0x00, 0x00, 0x00, 0x00, 0x8a, 0x00, 0x8b, 0x00, 0x89, 0x85, 0x00, /* 70 */
    [0x80 + 0x1c] = 0x58, [0x80 + 0x1d] = 0xe4, [0x80 + 0x20] = 0x7f, [0x80 + 0x2e] = 0x81,
    [0x80 + 0x30] = 0x80, [0x80 + 0x35] = 0x54, [0x80 + 0x37] = 0x46, [0x80 + 0x38] = 0xe6,
    [0x80 + 0x45] = 0x48, [0x80 + 0x46] = 0x48, [0x80 + 0x47] = 0x4a, [0x80 + 0x48] = 0x52,
    [0x80 + 0x49] = 0x4b, [0x80 + 0x4b] = 0x50, [0x80 + 0x4d] = 0x4f, [0x80 + 0x4f] = 0x4d,
    [0x80 + 0x50] = 0x51, [0x80 + 0x51] = 0x4e, [0x80 + 0x52] = 0x49, [0x80 + 0x53] = 0x4c,
    [0x80 + 0x5b] = 0xe3, [0x80 + 0x5c] = 0xe7, [0x80 + 0x5d] = 0x65, [0x80 + 0x5e] = 0x66,
};
/* clang-format on */

void hid_init(HidState *hs, HidKind kind, void (*event)(HidState *hs))
{
    hs->kind = kind;
    hs->event = event;
    hid_reset(hs);
}

void hid_reset(HidState *hs)
{
    memset(&hs->kbd, 0, sizeof(hs->kbd));
    memset(&hs->ptr, 0, sizeof(hs->ptr));
    hs->head = 0;
    hs->n = 0;
    hs->protocol = 1;
    hs->idle = 0;
}

static void hid_queued(HidState *hs)
{
    if (hs->event) {
        hs->event(hs);
    }
}

static void hid_dequeue(HidState *hs)
{
    hs->head = (hs->head + 1) & QUEUE_MASK;
    hs->n--;
}

/* ---- keyboard -------------------------------------------------------------------------------- */

bool hid_put_scancodes(HidState *hs, const uint8_t *codes, unsigned n)
{
    g_assert(hs->kind == HID_KEYBOARD);
    if (hs->n + n > HID_QUEUE_LENGTH) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        hs->kbd.keycodes[(hs->head + hs->n++) & QUEUE_MASK] = codes[i];
    }
    hid_queued(hs);
    return true;
}

static void key_press(HidState *hs, uint8_t usage)
{
    for (int i = 0; i < hs->kbd.keys; i++) {
        if (hs->kbd.key[i] == usage) {
            return;
        }
    }
    if (hs->kbd.keys < HID_QUEUE_LENGTH) {
        hs->kbd.key[hs->kbd.keys++] = usage;
    }
}

/* The last one that is down takes the place of the released one. */
static void key_release(HidState *hs, uint8_t usage)
{
    for (int i = hs->kbd.keys - 1; i >= 0; i--) {
        if (hs->kbd.key[i] == usage) {
            hs->kbd.keys--;
            hs->kbd.key[i] = hs->kbd.key[hs->kbd.keys];
            hs->kbd.key[hs->kbd.keys] = 0;
            return;
        }
    }
}

/* Lets one scan code take effect. */
static void keyboard_step(HidState *hs, uint32_t code)
{
    uint8_t usage;
    bool released = code & 0x80;

    if (hs->kbd.modifiers & AFTER_E1) { /* E1 1D 45 is Pause: the second byte stands for E0 */
        hs->kbd.modifiers ^= AFTER_E1 | AFTER_E0;
        return;
    }
    if (code == 0xe0) {
        hs->kbd.modifiers |= AFTER_E0;
        return;
    }
    if (code == 0xe1) {
        hs->kbd.modifiers |= AFTER_E1;
        return;
    }
    usage = usages[(code & 0x7f) | (hs->kbd.modifiers & AFTER_E0 ? 0x80 : 0)];
    hs->kbd.modifiers &= ~AFTER_E0;
    if (usage >= USAGE_FIRST_MODIFIER && usage <= USAGE_LAST_MODIFIER) {
        uint16_t bit = 1u << (usage - USAGE_FIRST_MODIFIER);

        hs->kbd.modifiers = released ? hs->kbd.modifiers & ~bit : hs->kbd.modifiers | bit;
    } else if (usage && released) {
        key_release(hs, usage);
    } else if (usage) {
        key_press(hs, usage);
    }
}

static size_t keyboard_report(HidState *hs, uint8_t report[8])
{
    if (hs->n > 0) {
        keyboard_step(hs, hs->kbd.keycodes[hs->head & QUEUE_MASK]);
        hid_dequeue(hs);
    }
    report[0] = hs->kbd.modifiers & 0xff;
    report[1] = 0;
    if (hs->kbd.keys > REPORT_KEYS) {
        memset(report + 2, USAGE_ROLLOVER, REPORT_KEYS);
    } else {
        memcpy(report + 2, hs->kbd.key, REPORT_KEYS);
    }
    return 2 + REPORT_KEYS;
}

/* ---- pointers -------------------------------------------------------------------------------- */

static HidPointerEvent *ptr_event(HidState *hs, unsigned i)
{
    return &hs->ptr.queue[(hs->head + i) & QUEUE_MASK];
}

void hid_pointer_move(HidState *hs, int dx, int dy, int dz)
{
    HidPointerEvent *e = ptr_event(hs, hs->n);

    if (hs->kind == HID_MOUSE) {
        e->xdx = CLAMP((int64_t)e->xdx + dx, INT16_MIN, INT16_MAX);
        e->ydy = CLAMP((int64_t)e->ydy + dy, INT16_MIN, INT16_MAX);
    }
    e->dz = CLAMP((int64_t)e->dz + dz, INT16_MIN, INT16_MAX);
}

void hid_pointer_position(HidState *hs, int x, int y)
{
    HidPointerEvent *e = ptr_event(hs, hs->n);

    if (hs->kind == HID_TABLET) {
        e->xdx = CLAMP(x, 0, HID_ABSOLUTE_MAX);
        e->ydy = CLAMP(y, 0, HID_ABSOLUTE_MAX);
    }
}

void hid_pointer_coordinate(HidState *hs, bool vertical, int value)
{
    HidPointerEvent *e = ptr_event(hs, hs->n);

    if (hs->kind == HID_TABLET) {
        *(vertical ? &e->ydy : &e->xdx) = CLAMP(value, 0, HID_ABSOLUTE_MAX);
    }
}

void hid_pointer_buttons(HidState *hs, unsigned set, unsigned clear)
{
    HidPointerEvent *e = ptr_event(hs, hs->n);

    e->buttons_state = (e->buttons_state & ~clear) | set;
}

/* Adds what is new in e to the event before it. */
static void pointer_join(HidState *hs, HidPointerEvent *last, HidPointerEvent *e)
{
    if (hs->kind == HID_TABLET) {
        last->xdx = e->xdx;
        last->ydy = e->ydy;
    } else {
        last->xdx = CLAMP((int64_t)last->xdx + e->xdx, INT16_MIN, INT16_MAX);
        last->ydy = CLAMP((int64_t)last->ydy + e->ydy, INT16_MIN, INT16_MAX);
        e->xdx = e->ydy = 0;
    }
    last->dz = CLAMP((int64_t)last->dz + e->dz, INT16_MIN, INT16_MAX);
    e->dz = 0;
}

static void pointer_queue(HidState *hs)
{
    HidPointerEvent *e = ptr_event(hs, hs->n), *next = ptr_event(hs, hs->n + 1);

    *next = *e;
    next->dz = 0;
    if (hs->kind == HID_MOUSE) {
        next->xdx = next->ydy = 0;
    }
    hs->n++;
    hid_queued(hs);
}

void hid_pointer_sync(HidState *hs)
{
    HidPointerEvent *e = ptr_event(hs, hs->n);

    g_assert(hs->kind != HID_KEYBOARD);
    if (hs->n > 0) {
        HidPointerEvent *last = ptr_event(hs, hs->n - 1);

        if (last->buttons_state == e->buttons_state) {
            pointer_join(hs, last, e);
            return;
        }
    }
    if (hs->n <
        HID_QUEUE_LENGTH - 1) { /* one place is for the event being made, which grows meanwhile */
        pointer_queue(hs);
    }
}

static size_t pointer_report(HidState *hs, uint8_t report[8])
{
    HidPointerEvent *e = hs->n > 0 ? ptr_event(hs, 0) : ptr_event(hs, QUEUE_MASK);
    int x = e->xdx, y = e->ydy, z = CLAMP(e->dz, -127, 127);
    size_t len = 0;

    if (hs->kind == HID_MOUSE) {
        x = CLAMP(x, -127, 127);
        y = CLAMP(y, -127, 127);
        e->xdx -= x;
        e->ydy -= y;
    }
    e->dz -= z;
    report[len++] = e->buttons_state;
    report[len++] = x;
    if (hs->kind == HID_TABLET) {
        report[len++] = x >> 8;
    }
    report[len++] = y;
    if (hs->kind == HID_TABLET) {
        report[len++] = y >> 8;
    }
    report[len++] = -z;
    if (hs->n > 0 && e->dz == 0 && (hs->kind == HID_TABLET || (e->xdx == 0 && e->ydy == 0))) {
        hid_dequeue(hs);
    }
    return len;
}

/* ---- both ------------------------------------------------------------------------------------ */

size_t hid_take_report(HidState *hs, uint8_t *report, size_t len)
{
    uint8_t whole[8];
    size_t n = hs->kind == HID_KEYBOARD ? keyboard_report(hs, whole) : pointer_report(hs, whole);

    n = MIN(n, len);
    memcpy(report, whole, n);
    return n;
}

void hid_repeat(HidState *hs)
{
    static const uint8_t no_key = 0;

    if (hs->n > 0) {
        return;
    }
    if (hs->kind == HID_KEYBOARD) {
        hid_put_scancodes(hs, &no_key, 1);
    } else {
        pointer_queue(hs);
    }
}

/* ---- migration ------------------------------------------------------------------------------- */

static bool valid_count(const void *opaque, int64_t value)
{
    return value >= 0 && value <= HID_QUEUE_LENGTH;
}

static bool valid_index(const void *opaque, int64_t value)
{
    return value >= 0 && value < HID_QUEUE_LENGTH;
}

static bool valid_protocol(const void *opaque, int64_t value)
{
    return value >= 0 && value <= 255;
}

#define HID_QUEUE_FIELDS                                                            \
    { .name = "head",                                                               \
      .offset = VM_CHECKED_OFFSET(HidState, head, uint32_t),                        \
      .size = 4,                                                                    \
      .kind = &vm_kind_u32,                                                         \
      .valid = valid_index },                                                       \
    {                                                                               \
        .name = "n", .offset = VM_CHECKED_OFFSET(HidState, n, uint32_t), .size = 4, \
        .kind = &vm_kind_u32, .valid = valid_count                                  \
    }
#define HID_COMMON_FIELDS                                       \
    { .name = "protocol",                                       \
      .offset = VM_CHECKED_OFFSET(HidState, protocol, int32_t), \
      .size = 4,                                                \
      .kind = &vm_kind_i32,                                     \
      .valid = valid_protocol },                                \
        VM_U8(HidState, idle)

const VmState hid_keyboard_vmstate = {
    .name = "HIDKeyboardDevice",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_U32_ARRAY(HidState, kbd.keycodes, HID_QUEUE_LENGTH),
            HID_QUEUE_FIELDS,
            VM_U16(HidState, kbd.modifiers),
            VM_U8(HidState, kbd.leds),
            VM_U8_ARRAY(HidState, kbd.key, HID_QUEUE_LENGTH),
            { .name = "kbd.keys",
              .offset = offsetof(HidState, kbd.keys),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_count },
            HID_COMMON_FIELDS,
            VM_END,
        },
};

static const VmState pointer_event_vmstate = {
    .name = "HIDPointerEventQueue",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_I32(HidPointerEvent, xdx),
            VM_I32(HidPointerEvent, ydy),
            VM_I32(HidPointerEvent, dz),
            VM_I32(HidPointerEvent, buttons_state),
            VM_END,
        },
};

const VmState hid_pointer_vmstate = {
    .name = "HIDPointerDevice",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_STRUCT_ARRAY(HidState, ptr.queue, HID_QUEUE_LENGTH, pointer_event_vmstate,
                            HidPointerEvent),
            HID_QUEUE_FIELDS,
            HID_COMMON_FIELDS,
            VM_END,
        },
};
