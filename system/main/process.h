/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process: going to the background, the pid file, signals. */
#ifndef SYSTEM_MAIN_PROCESS_H
#define SYSTEM_MAIN_PROCESS_H

#include <glib.h>

/* Forks; the parent waits until process_ready() and exits with 0, or with 1 if the child ends before. Before any
 * thread is made. */
void process_daemonize(void);
/* Everything is up: lets the parent go. In the background, leaves the terminal; stderr is the log from then on, if it has a
 * file (util/log.h). */
bool process_ready(GError **error);
/* Writes the pid file and keeps it locked; it goes at process_cleanup(). */
bool process_pidfile(const char *path, GError **error);
/* SIGINT, SIGHUP, SIGTERM ask for a shutdown; SIGPIPE does nothing. */
void process_signals_init(void);
void process_set_name(const char *name);
void process_cleanup(void);

#endif
