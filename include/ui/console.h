/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Consoles: what a display device shows, and who looks at it.
 *
 * A console belongs to a device and has a surface, a pixman image of PIXMAN_x8r8g8b8 in memory of its own. The device
 * draws when it is asked to: by a listener's turn, or because somebody takes a picture.
 *
 * C1  A console always has a surface; before the device has drawn it is black.
 * C2  The surface changes inside of console_update() only. What changed was reported by console_damage() or
 *     console_resize() before the call returns.
 * C3  While nobody listens nothing runs: no timer, no drawing.
 *
 * Big lock.
 */
#ifndef UI_CONSOLE_H
#define UI_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <pixman.h>
#include "qom/object.h"

typedef struct Console Console;

/* ---- for display devices ------------------------------------------------------------------------------ */

typedef struct ConsoleOps {
    /* Brings the surface up to date (C2). */
    void (*update)(void *opaque);
} ConsoleOps;

/* The console of a device's head. ops must outlive it. */
Console *console_new(Object *device, unsigned head, const ConsoleOps *ops, void *opaque);
/* Tells its listeners; NULL is allowed. */
void console_free(Console *con);
/* Makes the surface so large, black, unless it is already. Returns it. width and height are 1…CONSOLE_MAX. */
#define CONSOLE_MAX 16384
pixman_image_t *console_resize(Console *con, int width, int height);
/* This part is new; what is outside of the surface is ignored. */
void console_damage(Console *con, int x, int y, int width, int height);

/* ---- for those who look --------------------------------------------------------------------------------- */

/* Borrowed; valid until the next console_update(). */
pixman_image_t *console_surface(Console *con);
void console_update(Console *con);
/* In order of creation; NULL beyond the last. */
Console *console_by_index(unsigned index);
/* The console of the display device with this id or path, NULL with an error in stock's words. */
Console *console_find(const char *device, unsigned head, GError **error);
/* Its place in that order, -1 for NULL. */
int console_index(const Console *con);
/* The device's id, or its type; borrowed. */
const char *console_name(const Console *con);

typedef struct ConsoleListenerOps {
    void (*damage)(void *opaque, int x, int y, int width, int height);
    void (*resized)(void *opaque, pixman_image_t *surface); /* all of it is new */
    void (*updated)(void *opaque);                          /* end of a turn; may be NULL */
    void (*gone)(void *opaque); /* the console is being freed; the listener is off already */
} ConsoleListenerOps;

typedef struct ConsoleListener ConsoleListener;
/* From now on the console is updated some thirty times a second, less often while nothing changes. */
ConsoleListener *console_listen(Console *con, const ConsoleListenerOps *ops, void *opaque);
/* NULL is allowed. */
void console_unlisten(ConsoleListener *listener);
/* Something is about to change (input was sent): back to the short interval. */
void consoles_wake(void);

#endif
