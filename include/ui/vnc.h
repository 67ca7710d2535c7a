/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VNC servers (RFC 6143; extensions: the community's "RFB Protocol"), with LibVNCServer, which is loaded when the first
 * server starts.
 *
 * N1  Only the server's own thread calls the library: it may block on a slow client, the machine never does.
 * N2  Main thread and server thread share the mailbox (VncServer.lock) and nothing else: pictures and new clients one
 *     way, events by main_loop_call() the other way.
 * N3  What a client holds down is released when it goes.
 *
 * Big lock.
 */
#ifndef UI_VNC_H
#define UI_VNC_H

#include <stdbool.h>
#include <glib.h>

/* -vnc TEXT: "[HOST]:DISPLAY", "unix:PATH" or "none", then options. Checks and remembers it. */
bool vnc_add_option(const char *text, GError **error);
/* Starts those that were asked for; the display devices exist. The location of errors is set. */
bool vnc_start(GError **error);
/* Whether any was asked for (-vnc none counts). */
bool vnc_wanted(void);
/* Disconnects everybody and joins the threads. */
void vnc_cleanup(void);
/* For tests: gives the first server a connected socket, which it owns. */
void vnc_add_connection(int fd);

/* The name of the guest behind "QEMU" in the title; copied. NULL: none. */
void vnc_set_guest_name(const char *name);

#endif
