/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets through a connection: each behind its length (be32). What `stream` and `socket` have in common: one listener or one
 * target, one connection at a time.
 */
#ifndef NET_PACKET_STREAM_H
#define NET_PACKET_STREAM_H

#include "io/socket.h"
#include "net-private.h"
#include "util/clock.h"

typedef struct PacketStream PacketStream;

typedef struct PacketStreamOps {
    /* The connection is there, or has gone. peer: its address (NULL: unknown). */
    void (*connected)(PacketStream *s, const SocketAddress *peer);
    void (*disconnected)(PacketStream *s);
} PacketStreamOps;

struct PacketStream {
    NetClient nc;
    const PacketStreamOps *ops;
    SocketAddress *addr;   /* to connect to; NULL: none */
    IoListener *listener;  /* or where we wait; NULL: neither */
    unsigned reconnect_ms; /* 0: once */
    IoConnect *connecting;
    Timer retry;
    IoChannel *ioc; /* NULL: not connected */
    GSource *in_watch, *out_watch;
    GByteArray *out; /* the rest of a packet that the socket did not take */
    uint8_t *in;     /* IN_SIZE bytes, of which in_len are there */
    size_t in_len, in_pos;
};

#define PACKET_STREAM_OPS(kind_)                                                             \
    .kind = (kind_), .size = sizeof(PacketStream), .can_receive = packet_stream_can_receive, \
    .receive = packet_stream_receive, .sendable = packet_stream_sendable,                    \
    .cleanup = packet_stream_cleanup

/* For a client's table. */
bool packet_stream_can_receive(NetClient *nc);
bool packet_stream_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len);
void packet_stream_sendable(NetClient *nc);
void packet_stream_cleanup(NetClient *nc);

/* A new client of that table (made with PACKET_STREAM_OPS), not connected. */
PacketStream *packet_stream_new(const NetClientOps *client, const PacketStreamOps *ops,
                                const char *name, NetClient *peer);
/* Waits for connections, one at a time. */
bool packet_stream_listen(PacketStream *s, const SocketAddress *addr, GError **error);
/* Connects in the background; reconnect_ms: again after so long, when it fails or ends. */
void packet_stream_connect(PacketStream *s, const SocketAddress *addr, unsigned reconnect_ms);
/* Takes a connected channel. */
void packet_stream_start(PacketStream *s, IoChannel *ioc);

#endif
