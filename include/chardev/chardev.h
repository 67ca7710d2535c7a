/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character devices: a backend (socket, file, pty, ...) and the front end (serial port, monitor,
 * qtest) that uses it.
 *
 * H1  A chardev has at most one front end, a mux has up to CHARDEV_MUX_MAX.
 * H2  Handlers run in the front end's context (main loop: under the big lock); never inside a call
 *     of the front end. chardev_write() may be called from any thread.
 * H3  chardev_write() never blocks. What the peer does not take is the caller's: it returns how
 *     many bytes went.
 * H4  A front end gets CHARDEV_EVENT_OPENED before data, and CHARDEV_EVENT_CLOSED once when the
 *     peer has gone.
 */
#ifndef CHARDEV_CHARDEV_H
#define CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "qapi/types-char.h"

#define CHARDEV_MUX_MAX 4

typedef struct Chardev Chardev;

typedef enum ChardevEvent {
    CHARDEV_EVENT_OPENED,
    CHARDEV_EVENT_CLOSED,
    CHARDEV_EVENT_BREAK,
    CHARDEV_EVENT_MUX_IN, /* this front end of a mux has the input now */
    CHARDEV_EVENT_MUX_OUT,
} ChardevEvent;

typedef struct ChardevHandlers {
    /* How many bytes read() can take now; 0 stops reading until chardev_accept_input(). NULL: no
     * input wanted. */
    size_t (*can_read)(void *opaque);
    void (*read)(void *opaque, const uint8_t *buf, size_t len);
    void (*event)(void *opaque, ChardevEvent event);
} ChardevHandlers;

/* The front end's end of it; embedded in its owner, members are private. */
typedef struct ChardevFe {
    Chardev *chr;
    const ChardevHandlers *handlers;
    void *opaque;
    GMainContext *ctx;
    unsigned mux_slot;
    bool open;
    bool opened_sent; /* OPENED was delivered, CLOSED was not */
} ChardevFe;

/* --- life of a chardev ------------------------------------------------------------------------ */

/* Makes and registers chardev `id` (NULL: anonymous, not listed). */
Chardev *chardev_new(const char *id, const ChardevBackend *backend, GError **error);
/* -chardev TEXT: "socket,id=x,path=p,server=on" or JSON. "help" prints the backends and sets
 * *help. */
Chardev *chardev_new_option(const char *text, bool *help, GError **error);
/* What -serial, -monitor, -qmp, -qtest take: "stdio", "unix:p,server=on", "chardev:ID",
 * "mon:stdio"... "none" returns NULL without an error. with_mux: "mon:" is allowed: a mux. */
Chardev *chardev_new_spec(const char *label, const char *spec, bool with_mux, GError **error);
/* Registered ones only, NULL if there is none. */
Chardev *chardev_find(const char *id);
/* Unregisters and frees; fails with "Chardev 'x' is busy" while a front end uses it. */
bool chardev_remove(const char *id, GError **error);
/* All, at exit: closes them, unlinks sockets, restores the terminal. Front ends must be detached
 * before. */
void chardev_cleanup(void);
const char *chardev_id(const Chardev *chr);
/* As query-chardev shows it: "unix:/tmp/x,server=on". g_free() the result. */
char *chardev_filename(Chardev *chr);
bool chardev_is_mux(const Chardev *chr);
/* query-chardev's "frontend-open". */
bool chardev_fe_is_open(const Chardev *chr);
/* What "C-a x" on a mux does; without it the process gets SIGTERM. */
void chardev_set_exit_hook(void (*hook)(void));
void chardev_for_each(void (*func)(Chardev *chr, void *opaque), void *opaque);

/* --- for front ends --------------------------------------------------------------------------- */

/* Occupies chr. Fails if it is in use. */
bool chardev_fe_attach(ChardevFe *fe, Chardev *chr, GError **error);
/* Lets go (handlers are not called any more). Harmless when not attached. */
void chardev_fe_detach(ChardevFe *fe);
bool chardev_fe_attached(const ChardevFe *fe);
/* handlers must stay valid; ctx NULL is the main loop. If the peer is there already, OPENED comes
 * at once from ctx. handlers NULL stops input and events. */
void chardev_fe_set_handlers(ChardevFe *fe, const ChardevHandlers *handlers, void *opaque,
                             GMainContext *ctx);
/* can_read() would now say something else. */
void chardev_accept_input(ChardevFe *fe);

/* Writes what goes without waiting. Returns the bytes that went (0 when the peer is slow) or -errno
 * when it is gone. */
ssize_t chardev_write(ChardevFe *fe, const void *buf, size_t len);
/* For code that must not lose bytes and may wait (qtest replies, HMP at exit): waits at most
 * timeout_ms. */
ssize_t chardev_write_wait(ChardevFe *fe, const void *buf, size_t len, int timeout_ms);
/* As chardev_write(), with descriptors that travel with the first byte (sockets of the unix kind; they
 * stay the caller's). -EOPNOTSUPP where descriptors cannot travel. nfds at most 16. */
ssize_t chardev_write_fds(ChardevFe *fe, const void *buf, size_t len, const int *fds,
                          unsigned nfds);
/* Calls func in fe's context once when more can be written or the peer has gone. Returns a source
 * to give to io_watch_clear(), or NULL if the backend always takes everything. */
GSource *chardev_add_write_watch(ChardevFe *fe, void (*func)(void *opaque), void *opaque);

/* Descriptors that came with the input, oldest first; each belongs to the caller. -1: none
 * waiting. */
int chardev_take_fd(ChardevFe *fe);
/* A break on a serial line of the host; ignored by backends without. */
void chardev_send_break(ChardevFe *fe);
/* Terminal: whether it echoes what is typed (a line editor turns that off). */
void chardev_set_echo(ChardevFe *fe, bool echo);
/* What query-chardev reports; set by attaching with handlers, changed by front ends whose guest
 * opens and closes. */
void chardev_set_fe_open(ChardevFe *fe, bool open);
/* Whether the peer is there. */
bool chardev_connected(const ChardevFe *fe);
/* Whether a peer that has gone can come back by itself: a server, or a client with reconnect. */
bool chardev_may_reconnect(const ChardevFe *fe);
/* Drops the peer of a socket (protocol error); a server then waits for the next one. */
void chardev_disconnect(ChardevFe *fe);

#endif
