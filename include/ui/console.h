/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Consoles: what a display device shows, and who looks at it.
 *
 * Big lock.
 */
#ifndef UI_CONSOLE_H
#define UI_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "qom/object.h"

typedef struct Console Console;

/* The console of the display device with this id or path, NULL with an error in stock's words. */
Console *console_find(const char *device, unsigned head, GError **error);
/* Its number, -1 for NULL. */
int console_index(const Console *console);

#endif
