/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of ui/. */
#ifndef UI_PRIVATE_H
#define UI_PRIVATE_H

#include "ui/console.h"
#include "ui/input.h"

/* Whether somebody takes events of this kind. */
bool input_has_handler(Console *console, InputEventKind kind);
bool input_gate_open(void);

void input_console_gone(Console *console);
/* Forgets keys that wait to be typed. */
void input_queue_clear(void);

/* For query-mice and mouse_set. */
typedef void InputMouseFunc(const char *name, unsigned index, bool absolute, bool current,
                            void *opaque);
void input_foreach_mouse(InputMouseFunc *func, void *opaque);
bool input_select_mouse(int64_t index, GError **error);

#endif
