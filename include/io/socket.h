/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Socket channels: unix (also abstract), TCP over IPv4 and IPv6, vsock, inherited or passed
 * descriptors. Addresses are the QAPI type SocketAddress (qapi/sockets.json).
 */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

#include "io/channel.h"
#include "qapi/types-sockets.h"

/* Connects and waits for it (up to the system's own time limit). */
IoChannel *io_socket_connect(const SocketAddress *addr, GError **error);
/* Takes the descriptor of a connected socket. */
IoChannel *io_socket_new_fd(int fd, GError **error);
/* A connected pair of unix sockets. */
bool io_socket_pair(IoChannel *pair[2], GError **error);

/*
 * Connecting in the background: done is called once in ctx (NULL: main loop), with a channel that
 * it owns or with an error (borrowed). timeout_ms 0: none. Not called after io_connect_cancel(),
 * which frees the handle; so does done's return.
 */
typedef struct IoConnect IoConnect;
typedef void IoConnectFunc(IoChannel *ioc, const GError *error, void *opaque);
IoConnect *io_socket_connect_async(const SocketAddress *addr, unsigned timeout_ms,
                                   GMainContext *ctx, IoConnectFunc *done, void *opaque);
void io_connect_cancel(IoConnect *connect);
/* Done is called in ctx from now on. In the thread of the context that it had, or when nobody runs that any more. */
void io_connect_set_context(IoConnect *connect, GMainContext *ctx);

/* Own and remote address; NULL with an error for what is not a socket. */
SocketAddress *io_socket_local_address(IoChannel *ioc, GError **error);
SocketAddress *io_socket_remote_address(IoChannel *ioc, GError **error);
/* "tcp:HOST:PORT[,opts]", "unix:PATH", "vsock:CID:PORT", "fd:NAME"; a bare "HOST:PORT" is TCP. */
SocketAddress *io_socket_address_parse(const char *text, GError **error);
/* The same the other way, for people ("tcp:127.0.0.1:5555"). */
char *io_socket_address_format(const SocketAddress *addr);

/*
 * A listener accepts connections in a context and hands each one to its function, which owns the
 * channel (non-blocking is the caller's choice: accepted channels block). An existing socket file
 * at a unix path is replaced; it is unlinked by io_listener_free() too, if the listener made it.
 */
typedef struct IoListener IoListener;
typedef void IoAcceptFunc(IoListener *listener, IoChannel *ioc, void *opaque);
/* Binds and listens; nothing is accepted before io_listener_start(). */
IoListener *io_listener_new(const SocketAddress *addr, unsigned backlog, GError **error);
void io_listener_start(IoListener *listener, GMainContext *ctx, IoAcceptFunc *func, void *opaque);
/* Connections wait in the kernel until the next start. */
void io_listener_stop(IoListener *listener);
/* Waits for one connection (listener stopped). */
IoChannel *io_listener_accept_wait(IoListener *listener, GError **error);
/* Where it listens, with the real port; the first if there are several. Free with
 * qapi_free_SocketAddress(). */
SocketAddress *io_listener_address(IoListener *listener, GError **error);
void io_listener_free(IoListener *listener); /* NULL is allowed */

#endif
