/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PS/2 keyboard and mouse, as their controller and the makers of input see them. Big lock. */
#ifndef HW_MISC_PS2_H
#define HW_MISC_PS2_H

#include "hw/core/device.h"

/* Buttons of the mouse, as in its packets. */
enum {
    PS2_BUTTON_LEFT = 1 << 0,
    PS2_BUTTON_RIGHT = 1 << 1,
    PS2_BUTTON_MIDDLE = 1 << 2,
    PS2_BUTTON_SIDE = 1 << 3,
    PS2_BUTTON_EXTRA = 1 << 4,
};

/* LEDs of the keyboard, as command EDh has them. */
enum { PS2_LED_SCROLL_LOCK = 1 << 0, PS2_LED_NUM_LOCK = 1 << 1, PS2_LED_CAPS_LOCK = 1 << 2 };

/* "ps2-kbd" and "ps2-mouse" on the system bus; their output is high while they have a byte for the controller. place:
 * where they are in the tree below owner. NULL with an error. */
Device *ps2_new(const char *type, Object *owner, const char *place, Irq *output, GError **error);
/* The next byte; without one the last again. */
uint8_t ps2_read(Device *ps2);
/* A byte from the controller. */
void ps2_write(Device *ps2, uint8_t value);
/* The controller translates to set 1 (its mode bit 6). Keyboard only. */
void ps2_kbd_set_translation(Device *kbd, bool on);

/* Input beside that of the handlers which both have (ui/input.h): motion right, down and of the wheel (away from the user
 * is positive) since the last event, and the buttons now. */
void ps2_mouse_event(Device *mouse, int dx, int dy, int dz, unsigned buttons);
/* A packet that says nothing new, for a driver that takes it as a sign to look elsewhere (vmmouse). */
void ps2_mouse_wake(Device *mouse);

#endif
