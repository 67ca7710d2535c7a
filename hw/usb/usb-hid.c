/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usb-kbd, usb-mouse and usb-tablet (Device Class Definition for HID 1.11).
 *
 * The idle rate's periods are counted from time 0 of the virtual clock instead of from the last
 * report: so the next one follows from the time alone and needs no field in the stream. A period
 * that ends with nothing queued queues a repeated report.
 */
#include "util/osdep.h"
#include <stdio.h>
#include "hw/usb/hid.h"
#include "ui/input.h"
#include "util/clock.h"
#include "util/error.h"

typedef struct UsbHid {
    UsbDevice usb;
    uint32_t usb_version;
    char *display; /* takes the input of that display device's console only */
    uint32_t head;
    HidState hid;
    Timer idle_timer;
    InputHandler *input;
    bool polled; /* since the last bus reset: the guest uses it, see hid_data() */
} UsbHid;

/* Class requests (7.2) */
enum {
    HID_GET_REPORT = 1,
    HID_GET_IDLE = 2,
    HID_GET_PROTOCOL = 3,
    HID_SET_REPORT = 9,
    HID_SET_IDLE = 10,
    HID_SET_PROTOCOL = 11,
};

/* ---- descriptors ----------------------------------------------------------------------------- */

enum { STRING_COUNT = 12 };

/* clang-format off */
static const char *const hid_strings[STRING_COUNT] = {
    NULL,        "QEMU",       "QEMU USB Mouse", "QEMU USB Tablet", "QEMU USB Keyboard", "42",
    "HID Mouse", "HID Tablet", "HID Keyboard",   "89126",           "28754",             "68284",
};

static const uint8_t keyboard_reports[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, /* generic desktop, keyboard: application */
    0x75, 0x01, 0x95, 0x08, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, /* 8 modifiers, 1 bit each */
    0x15, 0x00, 0x25, 0x01, 0x81, 0x02,
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01, /* a byte unused */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, /* 5 LEDs out, 3 bits unused */
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0xff, 0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00, /* 6 keys */
    0xc0,
};

static const uint8_t mouse_reports[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* 5 buttons, 3 bits unused */
    0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, /* x, y, wheel: relative bytes */
    0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06,
    0xc0, 0xc0,
};

static const uint8_t tablet_reports[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01, /* 3 buttons, 5 bits unused */
    0x95, 0x03, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x05, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, /* x, y: absolute, 0…32767 */
    0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, /* wheel */
    0x75, 0x08, 0x95, 0x01, 0x81, 0x06,
    0xc0, 0xc0,
};

/* The descriptors of one device at full speed, and at high speed with another polling interval. */
#define HID_DESCRIPTORS(ident, bcd_low, bcd_high, report_size, sub, proto, packet, hs_interval, cfg_string,    \
                        product_index, serial_index)                                                       \
    static const uint8_t ident##_hid[] = { 9, USB_DESC_HID, bcd_low, bcd_high, 0, 1, USB_DESC_HID_REPORT,  \
                                           report_size, 0 };                                               \
    static const UsbDescEndpoint ident##_endpoints[] = {                                                   \
        { .address = USB_DIR_IN | 1, .attributes = USB_TRANSFER_INTERRUPT, .max_packet_size = packet,      \
          .interval = 0x0a },                                                                              \
        { .address = USB_DIR_IN | 1, .attributes = USB_TRANSFER_INTERRUPT, .max_packet_size = packet,      \
          .interval = hs_interval },                                                                       \
    };                                                                                                     \
    static const UsbDescInterface ident##_interfaces[] = {                                                 \
        { .class = USB_CLASS_HID, .subclass = sub, .protocol = proto, .num_endpoints = 1,                  \
          .endpoints = &ident##_endpoints[0], .extra = ident##_hid, .extra_len = sizeof(ident##_hid) },    \
        { .class = USB_CLASS_HID, .subclass = sub, .protocol = proto, .num_endpoints = 1,                  \
          .endpoints = &ident##_endpoints[1], .extra = ident##_hid, .extra_len = sizeof(ident##_hid) },    \
    };                                                                                                     \
    static const UsbDescConfig ident##_configs[] = {                                                       \
        { .value = 1, .string = cfg_string, .attributes = 0xa0, .max_power = 50, .num_interfaces = 1,      \
          .num_settings = 1, .interfaces = &ident##_interfaces[0] },                                       \
        { .value = 1, .string = cfg_string, .attributes = 0xa0, .max_power = 50, .num_interfaces = 1,      \
          .num_settings = 1, .interfaces = &ident##_interfaces[1] },                                       \
    };                                                                                                     \
    static const UsbDescDevice ident##_full = { .usb_version = 0x0200, .max_packet_size0 = 8,              \
                                                .num_configs = 1, .configs = &ident##_configs[0] };        \
    static const UsbDescDevice ident##_high = { .usb_version = 0x0200, .max_packet_size0 = 64,             \
                                                .num_configs = 1, .configs = &ident##_configs[1] };        \
    static const UsbDesc ident##_desc1 = { .vendor = 0x0627, .product = 0x0001, .manufacturer_string = 1,  \
                                           .product_string = product_index,                                \
                                           .serial_string = serial_index, .full = &ident##_full,           \
                                           .msos_selective_suspend = true, .strings = hid_strings,         \
                                           .num_strings = STRING_COUNT };                                  \
    static const UsbDesc ident##_desc2 = { .vendor = 0x0627, .product = 0x0001, .manufacturer_string = 1,  \
                                           .product_string = product_index,                                \
                                           .serial_string = serial_index, .full = &ident##_full,           \
                                           .high = &ident##_high, .msos_selective_suspend = true,          \
                                           .strings = hid_strings, .num_strings = STRING_COUNT };

HID_DESCRIPTORS(keyboard, 0x11, 0x01, sizeof(keyboard_reports), 1, 1, 8, 7, 8, 4, 11)
HID_DESCRIPTORS(mouse, 0x01, 0x00, sizeof(mouse_reports), 1, 2, 4, 7, 6, 2, 9)
HID_DESCRIPTORS(tablet, 0x01, 0x00, sizeof(tablet_reports), 0, 0, 8, 4, 7, 3, 10)
/* clang-format on */

/* By HidKind. */
static const struct {
    const UsbDesc *desc[2]; /* usb_version 1, 2 */
    const uint8_t *hid, *reports;
    size_t reports_len;
} hid_kinds[] = {
    { { &keyboard_desc1, &keyboard_desc2 },
      keyboard_hid,
      keyboard_reports,
      sizeof(keyboard_reports) },
    { { &mouse_desc1, &mouse_desc2 }, mouse_hid, mouse_reports, sizeof(mouse_reports) },
    { { &tablet_desc1, &tablet_desc2 }, tablet_hid, tablet_reports, sizeof(tablet_reports) },
};

/* ---- idle rate ------------------------------------------------------------------------------- */

static void idle_arm(UsbHid *u)
{
    int64_t period = u->hid.idle * 4 * NS_PER_MS;

    if (period) {
        timer_mod(&u->idle_timer, (clock_get_ns(CLOCK_VIRTUAL) / period + 1) * period);
    } else {
        timer_del(&u->idle_timer);
    }
}

static void idle_over(void *opaque)
{
    UsbHid *u = opaque;

    hid_repeat(&u->hid);
    idle_arm(u);
}

static void hid_event(HidState *hs)
{
    UsbHid *u = (UsbHid *)((char *)hs - offsetof(UsbHid, hid));

    usb_endpoint_wakeup(usb_endpoint_get(&u->usb, USB_PID_IN, 1));
}

/* ---- input ----------------------------------------------------------------------------------- */

static void input_key_event(void *opaque, QKeyCode key, bool down)
{
    UsbHid *u = opaque;
    static const uint8_t pause[2][3] = { { 0xe1, 0x9d, 0xc5 }, { 0xe1, 0x1d, 0x45 } };
    unsigned number = input_key_to_number(key), n = 0;
    uint8_t codes[2];

    if (key == Q_KEY_CODE_PAUSE) {
        hid_put_scancodes(&u->hid, pause[down], 3);
    } else if (number) {
        if (number & 0x80) {
            codes[n++] = 0xe0;
        }
        codes[n++] = (number & 0x7f) | (down ? 0 : 0x80);
        hid_put_scancodes(&u->hid, codes, n);
    }
}

static void input_button_event(void *opaque, InputButton button, bool down)
{
    static const uint8_t of_button[INPUT_BUTTON_COUNT] = {
        [INPUT_BUTTON_LEFT] = HID_BUTTON_LEFT,   [INPUT_BUTTON_MIDDLE] = HID_BUTTON_MIDDLE,
        [INPUT_BUTTON_RIGHT] = HID_BUTTON_RIGHT, [INPUT_BUTTON_SIDE] = HID_BUTTON_SIDE,
        [INPUT_BUTTON_EXTRA] = HID_BUTTON_EXTRA,
    };
    UsbHid *u = opaque;
    unsigned bit = of_button[button];

    if (bit) {
        hid_pointer_buttons(&u->hid, down ? bit : 0, bit);
    } else if (down && button == INPUT_BUTTON_WHEEL_UP) {
        hid_pointer_move(&u->hid, 0, 0, -1);
    } else if (down && button == INPUT_BUTTON_WHEEL_DOWN) {
        hid_pointer_move(&u->hid, 0, 0, 1);
    }
}

static void input_move_event(void *opaque, InputAxis axis, int delta)
{
    UsbHid *u = opaque;

    hid_pointer_move(&u->hid, axis == INPUT_AXIS_X ? delta : 0, axis == INPUT_AXIS_Y ? delta : 0,
                     0);
}

static void input_position_event(void *opaque, InputAxis axis, int position)
{
    hid_pointer_coordinate(&((UsbHid *)opaque)->hid, axis == INPUT_AXIS_Y, position);
}

static void input_sync_event(void *opaque)
{
    hid_pointer_sync(&((UsbHid *)opaque)->hid);
}

/* By HidKind. */
static const InputHandlerOps input_ops[] = {
    { .name = "QEMU HID Keyboard", .key = input_key_event },
    { .name = "QEMU HID Mouse",
      .button = input_button_event,
      .move = input_move_event,
      .sync = input_sync_event },
    { .name = "QEMU HID Tablet",
      .button = input_button_event,
      .position = input_position_event,
      .sync = input_sync_event },
};

/* The first poll after a reset shows that the guest uses the device: it gets the input from now on. */
static void input_polled(UsbHid *u)
{
    if (!u->polled) {
        u->polled = true;
        input_handler_activate(u->input);
    }
}

/* The LED bits of the report (HID 1.11, appendix B.1) in the order of ui/input.h. */
static void show_leds(UsbHid *u)
{
    unsigned leds = u->hid.kbd.leds;

    input_set_leds(u->input, (leds & HID_LED_NUM_LOCK ? INPUT_LED_NUM_LOCK : 0) |
                                 (leds & HID_LED_CAPS_LOCK ? INPUT_LED_CAPS_LOCK : 0) |
                                 (leds & HID_LED_SCROLL_LOCK ? INPUT_LED_SCROLL_LOCK : 0));
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer(UsbPacket *p, uint8_t *data, unsigned length, const void *bytes, size_t n)
{
    p->actual_length = MIN(length, n);
    memcpy(data, bytes, p->actual_length);
}

static void get_descriptor(UsbHid *u, UsbPacket *p, unsigned type, unsigned length, uint8_t *data)
{
    HidKind kind = u->hid.kind;

    if (type == USB_DESC_HID_REPORT) {
        answer(p, data, length, hid_kinds[kind].reports, hid_kinds[kind].reports_len);
    } else if (type == USB_DESC_HID) {
        answer(p, data, length, hid_kinds[kind].hid, 9);
    } else {
        p->status = USB_STALL;
    }
}

static bool has_boot_protocol(const UsbHid *u)
{
    return u->hid.kind != HID_TABLET;
}

static void set_report(UsbHid *u, UsbPacket *p, unsigned length, const uint8_t *data)
{
    if (u->hid.kind != HID_KEYBOARD) {
        p->status = USB_STALL;
    } else if (length > 0) {
        u->hid.kbd.leds = data[0];
        show_leds(u);
    }
}

static void set_protocol(UsbHid *u, UsbPacket *p, unsigned value)
{
    if (!has_boot_protocol(u) || value > 1) {
        p->status = USB_STALL;
        return;
    }
    u->hid.protocol = value;
}

static void hid_control(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value,
                        unsigned index, unsigned length, uint8_t *data)
{
    UsbHid *u = (UsbHid *)dev;
    const unsigned in = USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_INTERFACE;
    const unsigned out = USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_INTERFACE;
    uint8_t byte;

    if (request == USB_REQUEST(USB_DIR_IN | USB_RECIP_INTERFACE, USB_REQ_GET_DESCRIPTOR)) {
        get_descriptor(u, p, value >> 8, length, data);
    } else if (request == USB_REQUEST(in, HID_GET_REPORT)) {
        p->actual_length = hid_take_report(&u->hid, data, length);
    } else if (request == USB_REQUEST(in, HID_GET_IDLE)) {
        answer(p, data, length, &u->hid.idle, 1);
    } else if (request == USB_REQUEST(in, HID_GET_PROTOCOL) && has_boot_protocol(u)) {
        byte = u->hid.protocol;
        answer(p, data, length, &byte, 1);
    } else if (request == USB_REQUEST(out, HID_SET_REPORT)) {
        set_report(u, p, length, data);
    } else if (request == USB_REQUEST(out, HID_SET_IDLE)) {
        u->hid.idle = value >> 8;
        idle_arm(u);
    } else if (request == USB_REQUEST(out, HID_SET_PROTOCOL)) {
        set_protocol(u, p, value);
    } else {
        p->status = USB_STALL;
    }
}

static void hid_data(UsbDevice *dev, UsbPacket *p)
{
    UsbHid *u = (UsbHid *)dev;
    uint8_t report[8];
    size_t len;

    input_polled(u);
    if (p->pid != USB_PID_IN) {
        p->status = USB_STALL;
    } else if (!hid_has_report(&u->hid)) {
        p->status = USB_NAK;
    } else {
        len = hid_take_report(&u->hid, report, MIN(sizeof(report), usb_packet_room(p)));
        usb_packet_copy(p, report, len);
    }
}

/* ---- reset and realize ----------------------------------------------------------------------- */

static void usb_hid_bus_reset(UsbDevice *dev)
{
    UsbHid *u = (UsbHid *)dev;

    hid_reset(&u->hid);
    idle_arm(u);
    u->polled = false;
    input_set_leds(u->input, 0);
}

static bool usb_hid_realize(UsbDevice *dev, HidKind kind, GError **error)
{
    UsbHid *u = (UsbHid *)dev;

    if (u->usb_version < 1 || u->usb_version > 2) {
        return error_set(error, "Invalid usb version %u for usb hid device", u->usb_version);
    }
    dev->desc = hid_kinds[kind].desc[u->usb_version - 1];
    timer_init(&u->idle_timer, CLOCK_VIRTUAL, idle_over, u);
    hid_init(&u->hid, kind, hid_event);
    u->input = input_handler_new(&input_ops[kind], u);
    if (u->display && !input_handler_bind(u->input, u->display, u->head, error)) {
        input_handler_free(u->input);
        u->input = NULL;
        return false;
    }
    return true;
}

static bool keyboard_realize(UsbDevice *dev, GError **error)
{
    return usb_hid_realize(dev, HID_KEYBOARD, error);
}

static bool mouse_realize(UsbDevice *dev, GError **error)
{
    return usb_hid_realize(dev, HID_MOUSE, error);
}

static bool tablet_realize(UsbDevice *dev, GError **error)
{
    return usb_hid_realize(dev, HID_TABLET, error);
}

static void usb_hid_unrealize(UsbDevice *dev)
{
    UsbHid *u = (UsbHid *)dev;

    timer_del(&u->idle_timer);
    input_handler_free(u->input);
    u->input = NULL;
}

/* ---- injection for tests --------------------------------------------------------------------- */

/*
 * Under a clock that a client steps (qtest), "x-input" takes a text: for a keyboard the scan codes
 * of one event in hexadecimal ("e0 1d"), for a pointer numbers "x y wheel buttons"; "x-leds" reads
 * a keyboard's LEDs.
 */
static bool put_key_text(HidState *hs, const char *text)
{
    uint8_t codes[HID_QUEUE_LENGTH];
    unsigned n = 0;
    char *end;

    while (*text && n < G_N_ELEMENTS(codes)) {
        codes[n++] = strtoul(text, &end, 16);
        if (end == text) {
            return false;
        }
        text = end + strspn(end, " ");
    }
    return *text == '\0' && hid_put_scancodes(hs, codes, n);
}

static bool put_pointer_text(HidState *hs, const char *text)
{
    int x, y, z, buttons;

    if (sscanf(text, "%d %d %d %i", &x, &y, &z, &buttons) != 4) {
        return false;
    }
    if (hs->kind == HID_TABLET) {
        hid_pointer_position(hs, x, y);
        hid_pointer_move(hs, 0, 0, z);
    } else {
        hid_pointer_move(hs, x, y, z);
    }
    hid_pointer_buttons(hs, buttons, ~buttons);
    hid_pointer_sync(hs);
    return true;
}

static bool set_input(Object *obj, const char *name, void *opaque, json_object *value,
                      GError **error)
{
    HidState *hs = &((UsbHid *)obj)->hid;
    const char *text = json_object_get_string(value);

    if (!text ||
        !(hs->kind == HID_KEYBOARD ? put_key_text(hs, text) : put_pointer_text(hs, text))) {
        return error_set(error, "Invalid value for property '%s', or the queue is full", name);
    }
    return true;
}

static json_object *get_leds(Object *obj, const char *name, void *opaque, GError **error)
{
    return json_object_new_int(((UsbHid *)obj)->hid.kbd.leds);
}

static void usb_hid_init(Object *obj)
{
    if (clock_virtual_is_manual()) {
        object_add_property(obj, "x-input", "string", NULL, set_input, NULL, NULL);
        object_add_property(obj, "x-leds", "uint8", get_leds, NULL, NULL, NULL);
    }
}

/* ---- migration ------------------------------------------------------------------------------- */

/* Migration notes. Reports that the guest has not fetched are in the queue, which is sent whole.
 * The idle period follows from the time. An interrupt transaction is answered at once, none is in
 * flight. */
static bool usb_hid_post_load(void *opaque, int version, GError **error)
{
    UsbHid *u = opaque;

    idle_arm(u);
    if (u->hid.kind == HID_KEYBOARD) {
        show_leds(u);
    }
    return true;
}

#define VM_HID(description)                                                \
    {                                                                      \
        .name = "hid", .offset = VM_CHECKED_OFFSET(UsbHid, hid, HidState), \
        .size = sizeof(HidState), .vmstate = &(description)                \
    }

static const VmState usb_keyboard_vmstate = {
    .name = "usb-kbd",
    .version = 1,
    .minimum_version = 1,
    .post_load = usb_hid_post_load,
    .fields = (const VmField[]){ VM_USB_DEVICE(UsbHid, usb), VM_HID(hid_keyboard_vmstate), VM_END },
};

static const VmState usb_pointer_vmstate = {
    .name = "usb-ptr",
    .version = 1,
    .minimum_version = 1,
    .post_load = usb_hid_post_load,
    .fields = (const VmField[]){ VM_USB_DEVICE(UsbHid, usb), VM_HID(hid_pointer_vmstate), VM_END },
};

/* ---- registration ---------------------------------------------------------------------------- */

static const Property usb_hid_properties[] = {
    PROPERTY_UINT32("usb_version", UsbHid, usb_version, "2", NULL),
    { .name = NULL },
};

static const Property keyboard_properties[] = {
    PROPERTY_STRING("display", UsbHid, display, NULL),
    { .name = NULL },
};

static const Property tablet_properties[] = {
    PROPERTY_STRING("display", UsbHid, display, NULL),
    PROPERTY_UINT32("head", UsbHid, head, "0", NULL),
    { .name = NULL },
};

static const UsbDeviceOps keyboard_ops = {
    .product = "QEMU USB Keyboard",
    .desc = &keyboard_desc2,
    .realize = keyboard_realize,
    .unrealize = usb_hid_unrealize,
    .bus_reset = usb_hid_bus_reset,
    .control = hid_control,
    .data = hid_data,
};

static const UsbDeviceOps mouse_ops = {
    .product = "QEMU USB Mouse",
    .desc = &mouse_desc2,
    .realize = mouse_realize,
    .unrealize = usb_hid_unrealize,
    .bus_reset = usb_hid_bus_reset,
    .control = hid_control,
    .data = hid_data,
};

static const UsbDeviceOps tablet_ops = {
    .product = "QEMU USB Tablet",
    .desc = &tablet_desc2,
    .realize = tablet_realize,
    .unrealize = usb_hid_unrealize,
    .bus_reset = usb_hid_bus_reset,
    .control = hid_control,
    .data = hid_data,
};

static const DeviceType usb_hid_type = {
    .object = {
        .name = "usb-hid",
        .parent = &usb_device_type.object,
        .size = sizeof(UsbHid),
        .abstract = true,
        .properties = usb_hid_properties,
        .init = usb_hid_init,
    },
    .category = DEVICE_CATEGORY_INPUT,
};
DEVICE_REGISTER(usb_hid_type)

static const DeviceType usb_keyboard_type = {
    .object = { .name = "usb-kbd",
                .parent = &usb_hid_type.object,
                .properties = keyboard_properties },
    .category = DEVICE_CATEGORY_INPUT,
    .migration = MIGRATES_WITH(usb_keyboard_vmstate),
    .ops = &keyboard_ops,
};
DEVICE_REGISTER(usb_keyboard_type)

static const DeviceType usb_mouse_type = {
    .object = { .name = "usb-mouse", .parent = &usb_hid_type.object },
    .category = DEVICE_CATEGORY_INPUT,
    .migration = MIGRATES_WITH(usb_pointer_vmstate),
    .ops = &mouse_ops,
};
DEVICE_REGISTER(usb_mouse_type)

static const DeviceType usb_tablet_type = {
    .object = { .name = "usb-tablet",
                .parent = &usb_hid_type.object,
                .properties = tablet_properties },
    .category = DEVICE_CATEGORY_INPUT,
    .migration = MIGRATES_WITH(usb_pointer_vmstate),
    .ops = &tablet_ops,
};
DEVICE_REGISTER(usb_tablet_type)

HidState *usb_hid_state(Device *dev)
{
    UsbHid *u = object_cast(dev, &usb_hid_type.object);

    return u ? &u->hid : NULL;
}
