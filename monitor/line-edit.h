/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line editor for terminals: cursor keys, history, completion. Bytes in, bytes out; knows nothing
 * of monitors.
 */
#ifndef MONITOR_LINE_EDIT_H
#define MONITOR_LINE_EDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct LineEditFuncs {
    /* Output for the terminal. */
    void (*print)(void *opaque, const char *text, size_t len);
    /* A finished line, without the line end. */
    void (*line)(void *opaque, const char *line);
    /* Words that may stand at the end of line, and where the last word begins. */
    GPtrArray *(*complete)(void *opaque, const char *line, size_t *start);
} LineEditFuncs;

typedef struct LineEdit LineEdit;

LineEdit *line_edit_new(const char *prompt, const LineEditFuncs *funcs, void *opaque);
void line_edit_free(LineEdit *le);
/* Prints the prompt and what is typed so far. */
void line_edit_show(LineEdit *le);
/* One byte of input. */
void line_edit_input(LineEdit *le, uint8_t c);
/* Forgets the line that is being typed. */
void line_edit_clear(LineEdit *le);

#endif
