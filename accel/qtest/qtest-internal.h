/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the server (lines, log) and the commands. */
#ifndef ACCEL_QTEST_INTERNAL_H
#define ACCEL_QTEST_INTERNAL_H

#include <glib.h>

/* Obeys one line, which it may change; sends its one answer. */
void qtest_run_line(char *line);
/* A new client: what the last one intercepted is forgotten. */
void qtest_commands_reset(void);
/* Sends a line (without the line feed) to the client, behind what is on its way already. */
void qtest_send(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* Takes text, which g_malloc() made. */
void qtest_send_take(char *text, size_t len);

#endif
