/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gate before the host's disk, for tests of pending block I/O: while it is shut, the images whose names end in ".slow" do not
 * answer (slow-io.c). There is one of it, for all emulators of the program that got it.
 */
#ifndef IO_GATE_H
#define IO_GATE_H

#include <glib.h>
#include <stdbool.h>

/* For main(): before any emulator is started. */
void io_gate_init(void);
void io_gate_free(void);
/* Whether there can be a gate; else the running test is skipped. */
bool io_gate_or_skip(void);
/* Whether emulators that are started from now on get it. */
void io_gate_use(bool on);
void io_gate_shut(void);
/* A thread that opens it after so many milliseconds; g_thread_join() waits until it has. */
GThread *io_gate_open_later(unsigned ms);

#endif
