/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -serial and -parallel ask for, until the board makes the ports. Main thread, during start. */
#ifndef SYSTEM_SERIAL_LINES_H
#define SYSTEM_SERIAL_LINES_H

#include <stdbool.h>
#include <glib.h>

typedef enum LineKind { LINE_SERIAL, LINE_PARALLEL, LINE_KINDS } LineKind;

/* The next line of that kind, on a new chardev "serial0", "parallel0"… made of spec, or on "chardev:ID"; "none" takes the
 * number and leaves the port out; "mon:SPEC" shares the chardev with a human monitor. */
bool line_add(LineKind kind, const char *spec, GError **error);
/* How many there were, "none" included. */
unsigned line_count(LineKind kind);
/* The chardev's id, NULL for "none" and beyond the last. */
const char *line_chardev(LineKind kind, unsigned n);
/* A board with fewer ports than lines were asked for says so. */
bool line_check_count(LineKind kind, unsigned most, GError **error);

#endif
