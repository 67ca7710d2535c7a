/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets as datagrams: what `dgram` and `socket` have in common. */
#ifndef NET_PACKET_DGRAM_H
#define NET_PACKET_DGRAM_H

#include <netinet/in.h>
#include <sys/socket.h>
#include "net-private.h"

/* A client of kind ops->kind (made with PACKET_DGRAM_OPS) on the socket, which it takes. to: where packets go; NULL: the
 * socket is connected. unlink_path: removed at the end, or NULL. */
NetClient *packet_dgram_new(const NetClientOps *ops, const char *name, NetClient *peer, int fd,
                            const struct sockaddr *to, socklen_t to_len, const char *unlink_path);

#define PACKET_DGRAM_OPS(kind_)                                                            \
    .kind = (kind_), .size = sizeof(PacketDgram), .can_receive = packet_dgram_can_receive, \
    .receive = packet_dgram_receive, .sendable = packet_dgram_sendable,                    \
    .cleanup = packet_dgram_cleanup

typedef struct PacketDgram {
    NetClient nc;
    int fd;
    struct sockaddr_storage to;
    socklen_t to_len; /* 0: connected */
    GSource *in_watch, *out_watch;
    uint8_t *in;
    char *unlink_path;
    ino_t inode; /* of the file that we made there */
    dev_t device;
} PacketDgram;

bool packet_dgram_can_receive(NetClient *nc);
bool packet_dgram_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len);
void packet_dgram_sendable(NetClient *nc);
void packet_dgram_cleanup(NetClient *nc);

/* A UDP socket that has joined the group; local: the interface's address, or NULL. -1 with an error. */
int packet_dgram_join(const struct sockaddr_in *group, const struct in_addr *local, GError **error);
/* A UDP socket that is bound. -1 with an error. */
int packet_dgram_bind(const struct sockaddr *addr, socklen_t len, GError **error);
/* Host and port as an IPv4 or IPv6 address of datagrams; host NULL or "": any. False with an error. */
bool packet_dgram_resolve(const char *host, const char *port, int family, bool passive,
                          struct sockaddr_storage *addr, socklen_t *len, GError **error);

#endif
