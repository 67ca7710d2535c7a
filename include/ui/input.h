/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input events on their way from those who make them (VNC, monitors) to the devices.
 *
 * I1  Handlers stand in a list; an event goes to the first one that takes its kind and belongs to the
 *     event's console, else to the first that takes its kind and belongs to none. Activation puts a
 *     handler in front.
 * I2  A key is named by its QKeyCode everywhere; numbers are converted where they come in.
 * I3  Events of one input_sync() group are one change of the device's state: a pointer queues one
 *     report for them.
 * I4  While the machine stands still events are dropped (input_set_gate()), except the release of what
 *     is held: no key that a handler was told is down stays so, not even when the machine moves away
 *     (input_flush()).
 *
 * Big lock.
 */
#ifndef UI_INPUT_H
#define UI_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "qapi/types-ui.h"

typedef struct Console Console;
typedef struct InputHandler InputHandler;

/* Positions run from 0 to this. */
#define INPUT_ABSOLUTE_MAX 0x7fff

/* What a device does with events. A callback that is NULL says that it does not take that kind. */
typedef struct InputHandlerOps {
    const char *name; /* "QEMU PS/2 Mouse", for query-mice */
    void (*key)(void *opaque, QKeyCode key, bool down);
    void (*button)(void *opaque, InputButton button, bool down);
    void (*move)(void *opaque, InputAxis axis, int delta);        /* clamped to 16 bits */
    void (*position)(void *opaque, InputAxis axis, int position); /* 0…INPUT_ABSOLUTE_MAX */
    void (*sync)(void *opaque); /* a group of events is complete; may be NULL */
} InputHandlerOps;

/* ---- for devices --------------------------------------------------------------------------------- */

/* A new handler behind all others, active. ops must outlive it. */
InputHandler *input_handler_new(const InputHandlerOps *ops, void *opaque);
/* NULL is allowed. */
void input_handler_free(InputHandler *handler);
/* Puts it in front (the guest began to use it) or behind all others. */
void input_handler_activate(InputHandler *handler);
void input_handler_deactivate(InputHandler *handler);
/* Makes it take events of that console only: head of the display device with this id or path. */
bool input_handler_bind(InputHandler *handler, const char *device, unsigned head, GError **error);

/* Who wants to know LEDs (VNC's clients keep theirs equal): called at each change, at once with the
 * present ones. A keyboard says what its LEDs are; that of the keyboard in use counts. */
enum {
    INPUT_LED_SCROLL_LOCK = 1 << 0,
    INPUT_LED_NUM_LOCK = 1 << 1,
    INPUT_LED_CAPS_LOCK = 1 << 2,
};
typedef void InputLedFunc(void *opaque, unsigned leds);
void input_set_leds(InputHandler *handler, unsigned leds);
void input_led_listen(InputLedFunc *func, void *opaque);
void input_led_unlisten(InputLedFunc *func, void *opaque);

/* ---- for those who make events ------------------------------------------------------------------- */

/* console may be NULL: none in particular. They end in nothing when no handler takes them. */
void input_key(Console *console, QKeyCode key, bool down);
void input_button(Console *console, InputButton button, bool down);
void input_move(Console *console, InputAxis axis, int delta);
/* value of the range min … max - 1 */
void input_position(Console *console, InputAxis axis, int value, int min, int max);
/* The buttons of mask that differ between two states; bit n is InputButton n. */
void input_buttons(Console *console, unsigned before, unsigned after);
/* Ends a group (I3). */
void input_sync(void);
/* Whether a pointer's events should be positions: the handler in front takes them. */
bool input_is_absolute(Console *console);

/* Waits for its turn behind what waits already: presses the keys, each after hold_ms, then releases them in
 * the reverse order. An error if too much waits. */
bool input_type_keys(const QKeyCode *keys, unsigned n, unsigned hold_ms, GError **error);
/* Before the machine's state is sent: forgets what waits to be typed and releases all that is held, since whoever
 * would release it later cannot reach the devices at the other end. */
void input_flush(void);
/* Whether events count now; NULL (the beginning): always. */
void input_set_gate(bool (*gate)(void));

/* ---- keys ------------------------------------------------------------------------------------------ */

/* The number of a key: scan code of set 1, | 0x80 if after E0; Pause is 0xc6; 0 for none. */
unsigned input_key_to_number(QKeyCode key);
/* Q_KEY_CODE_UNMAPPED for a number that is none. */
QKeyCode input_key_from_number(int64_t number);
/* From a name of QKeyCode, or a number as "0x1e" (sendkey); false if it is neither. */
bool input_key_parse(const char *name, size_t len, QKeyCode *key);

enum {
    INPUT_MODIFIER_ALT = 1 << 0,
    INPUT_MODIFIER_ALT_R = 1 << 1,
    INPUT_MODIFIER_CTRL = 1 << 2,
    INPUT_MODIFIER_CTRL_R = 1 << 3,
    INPUT_MODIFIER_SHIFT = 1 << 4,
    INPUT_MODIFIER_SHIFT_R = 1 << 5,
    INPUT_SEQUENCE_MAX = 8,
};

/* Bytes that a PS/2 keyboard sends for a key in scan code set 1, 2 or 3, with the prefixes and additions that
 * Print Screen and Pause have together with modifiers. Returns how many; 0: the set has no such key, or
 * nothing is sent for this. */
unsigned input_key_sequence(unsigned set, QKeyCode key, bool down, unsigned modifiers,
                            uint8_t bytes[INPUT_SEQUENCE_MAX]);
/* Follows modifiers: the new state after this event. */
unsigned input_modifiers(unsigned modifiers, QKeyCode key, bool down);

#endif
