/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses between QAPI and the socket calls, shared by address.c, connect.c and listener.c. */
#ifndef IO_SOCKET_PRIVATE_H
#define IO_SOCKET_PRIVATE_H

#include <sys/socket.h>

#include "io/socket.h"

typedef struct IoSockaddr {
    struct sockaddr_storage ss;
    socklen_t len;
} IoSockaddr;

/* All socket addresses that `addr` (not fd) may mean, in the order to try; may ask a name server.
 * An array of IoSockaddr, or NULL with an error. */
GArray *io_sockaddr_resolve(const SocketAddress *addr, bool passive, GError **error);
SocketAddress *io_sockaddr_to_qapi(const struct sockaddr_storage *ss, socklen_t len,
                                   GError **error);
/* "localhost:5555", "/path", for messages. */
char *io_socket_address_brief(const SocketAddress *addr);
/* Options of a connected or accepted socket. */
void io_socket_apply_options(int fd, const SocketAddress *addr);

#endif
