/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Human interface devices: the queue between those who make input events and the guest that polls
 * (Device Class Definition for HID 1.11). Big lock.
 *
 * H1  A keyboard's queue holds scan codes of set 1, one a report; a pointer's holds events, one a
 *     report, with relative motion split into reports that can express it.
 * H2  The queue is the whole state: the repeated report of an idle period is an entry too, and so
 *     travels.
 */
#ifndef HW_USB_HID_H
#define HW_USB_HID_H

#include "hw/usb/usb.h"

#define HID_QUEUE_LENGTH 16

typedef enum HidKind { HID_KEYBOARD, HID_MOUSE, HID_TABLET } HidKind;

/* Buttons of a pointer, as in its reports. */
enum {
    HID_BUTTON_LEFT = 1 << 0,
    HID_BUTTON_RIGHT = 1 << 1,
    HID_BUTTON_MIDDLE = 1 << 2,
    HID_BUTTON_SIDE = 1 << 3,
    HID_BUTTON_EXTRA = 1 << 4,
};

/* LEDs of a keyboard, as its output report has them. */
enum {
    HID_LED_NUM_LOCK = 1 << 0,
    HID_LED_CAPS_LOCK = 1 << 1,
    HID_LED_SCROLL_LOCK = 1 << 2,
};

#define HID_ABSOLUTE_MAX 0x7fff

typedef struct HidPointerEvent {
    int32_t xdx; /* relative: motion; absolute: position 0…HID_ABSOLUTE_MAX */
    int32_t ydy;
    int32_t dz; /* wheel, towards the user is positive */
    int32_t buttons_state;
} HidPointerEvent;

typedef struct HidState {
    HidKind kind;
    struct {
        uint32_t keycodes[HID_QUEUE_LENGTH];
        uint16_t modifiers; /* bits 0…7 as in reports; 8: after E0; 9: after E1 */
        uint8_t leds;
        uint8_t key[HID_QUEUE_LENGTH]; /* usages that are down */
        int32_t keys;
    } kbd;
    struct {
        HidPointerEvent queue[HID_QUEUE_LENGTH]; /* the one behind the last is being made */
    } ptr;
    uint32_t head, n;
    int32_t protocol;                   /* 1: report, 0: boot */
    uint8_t idle;                       /* in units of 4 ms; 0: for ever */
    void (*event)(struct HidState *hs); /* the queue is no longer empty */
} HidState;

void hid_init(HidState *hs, HidKind kind, void (*event)(HidState *hs));
void hid_reset(HidState *hs);
static inline bool hid_has_report(const HidState *hs)
{
    return hs->n > 0;
}
/* Takes the next report, at most len bytes of it; with an empty queue the last one again. Returns
 * its length. */
size_t hid_take_report(HidState *hs, uint8_t *report, size_t len);
/* Puts a report that repeats the last one into an empty queue. */
void hid_repeat(HidState *hs);

/* All codes of one key event, or none if the queue has no room: false. */
bool hid_put_scancodes(HidState *hs, const uint8_t *codes, unsigned n);
/* Makes the next event: motion is added up, a position replaces; hid_pointer_sync() queues it, or
 * joins it to the one before while that has the same buttons. */
void hid_pointer_move(HidState *hs, int dx, int dy, int dz);
void hid_pointer_position(HidState *hs, int x, int y);
void hid_pointer_coordinate(HidState *hs, bool vertical, int value); /* one of the two */
void hid_pointer_buttons(HidState *hs, unsigned set, unsigned clear);
void hid_pointer_sync(HidState *hs);

extern const VmState hid_keyboard_vmstate, hid_pointer_vmstate;

/* The queue of a usb-kbd, usb-mouse or usb-tablet; NULL for other devices. */
HidState *usb_hid_state(Device *dev);

#endif
