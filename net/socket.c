/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backend `socket`, the old form of `stream` and `dgram`: listen, connect, mcast, udp, or a descriptor of either kind. */
#include "util/osdep.h"
#include "packet-dgram.h"
#include "packet-stream.h"

#include <arpa/inet.h>
#include "io/fds.h"
#include "util/error.h"

static const NetClientOps socket_dgram_ops = { PACKET_DGRAM_OPS(NET_CLIENT_DRIVER_SOCKET) };
static const NetClientOps socket_stream_ops = { PACKET_STREAM_OPS(NET_CLIENT_DRIVER_SOCKET) };

/* ---- connections ------------------------------------------------------------------------------------------------ */

static void socket_connected(PacketStream *s, const SocketAddress *peer)
{
    const char *host = peer && peer->type == SOCKET_ADDRESS_TYPE_INET ? peer->u.inet.host : NULL;

    if (!host) {
        net_set_info(&s->nc, "socket: fd=%d", io_channel_fd(s->ioc));
    } else {
        net_set_info(&s->nc, "socket: %s %s:%s", s->listener ? "connection from" : "connect to",
                     host, peer->u.inet.port);
    }
}

static void socket_disconnected(PacketStream *s)
{
    net_set_info(&s->nc, "%s", "");
}

static const PacketStreamOps socket_ops = { .connected = socket_connected,
                                            .disconnected = socket_disconnected };

/* "[HOST]:PORT". */
static SocketAddress *parse_address(const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host = colon ? g_strndup(text, colon - text) : NULL;
    SocketAddress *addr;

    if (!colon) {
        error_set(error, "host address '%s' doesn't contain ':' separating host from port", text);
        return NULL;
    }
    if (!colon[1]) {
        error_set(error, "port number in host address '%s' is missing", text);
        return NULL;
    }
    addr = g_new0(SocketAddress, 1);
    addr->type = SOCKET_ADDRESS_TYPE_INET;
    addr->u.inet.host = g_strdup(host);
    addr->u.inet.port = g_strdup(colon + 1);
    return addr;
}

static bool create_stream(const NetdevSocketOptions *o, const char *name, NetClient *peer,
                          GError **error)
{
    SocketAddress *addr = parse_address(o->listen ? o->listen : o->connect, error);
    struct sockaddr_storage resolved;
    socklen_t len;
    PacketStream *s;
    bool ok = true;

    if (!addr) {
        return false;
    }
    /* A name that does not exist is told now, not when the connection fails. */
    if (!packet_dgram_resolve(addr->u.inet.host, addr->u.inet.port, AF_UNSPEC, o->listen, &resolved,
                              &len, error)) {
        qapi_free_SocketAddress(addr);
        return false;
    }
    s = packet_stream_new(&socket_stream_ops, &socket_ops, name, peer);
    if (o->listen) {
        ok = packet_stream_listen(s, addr, error);
    } else {
        packet_stream_connect(s, addr, 0);
    }
    if (!ok) {
        net_client_free(&s->nc);
    }
    qapi_free_SocketAddress(addr);
    return ok;
}

/* ---- datagrams ---------------------------------------------------------------------------------------------------- */

static bool resolve(const char *text, bool passive, struct sockaddr_in *addr, GError **error)
{
    SocketAddress *parsed = parse_address(text, error);
    struct sockaddr_storage storage;
    socklen_t len;
    bool ok;

    ok = parsed && packet_dgram_resolve(parsed->u.inet.host, parsed->u.inet.port, AF_INET, passive,
                                        &storage, &len, error);
    qapi_free_SocketAddress(parsed);
    if (ok) {
        memcpy(addr, &storage, sizeof(*addr));
    }
    return ok;
}

static bool create_dgram(const NetdevSocketOptions *o, const char *name, NetClient *peer,
                         GError **error)
{
    struct sockaddr_in to, local;
    struct in_addr interface;
    NetClient *nc;
    int fd;

    if (!resolve(o->mcast ? o->mcast : o->udp, false, &to, error)) {
        return false;
    }
    if (o->mcast) {
        if (o->localaddr && inet_pton(AF_INET, o->localaddr, &interface) != 1) {
            return error_set(error, "localaddr '%s' is not a valid IPv4 address", o->localaddr);
        }
        fd = packet_dgram_join(&to, o->localaddr ? &interface : NULL, error);
    } else {
        if (!o->localaddr) {
            return error_set(error, "localaddr= is mandatory with udp=");
        }
        if (!resolve(o->localaddr, true, &local, error)) {
            return false;
        }
        fd = packet_dgram_bind((struct sockaddr *)&local, sizeof(local), error);
    }
    if (fd < 0) {
        return false;
    }
    nc = packet_dgram_new(&socket_dgram_ops, name, peer, fd, (struct sockaddr *)&to, sizeof(to),
                          NULL);
    net_set_info(nc, "socket: %s=%s", o->mcast ? "mcast" : "udp", o->mcast ? o->mcast : o->udp);
    return true;
}

/* ---- a descriptor ---------------------------------------------------------------------------------------------------- */

static bool create_fd(const NetdevSocketOptions *o, const char *name, NetClient *peer,
                      GError **error)
{
    int fd = io_fd_take(o->fd, error), type = 0;
    socklen_t len = sizeof(type);
    IoChannel *ioc;
    NetClient *nc;

    if (fd < 0) {
        error_prefix(error, "%s: ", name);
        return false;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
        (type != SOCK_DGRAM && type != SOCK_STREAM)) {
        close(fd);
        return error_set(error, "fd=%s is not a socket of a stream or of datagrams", o->fd);
    }
    if (type == SOCK_DGRAM) {
        nc = packet_dgram_new(&socket_dgram_ops, name, peer, fd, NULL, 0, NULL);
        net_set_info(nc, "socket: fd=%d", fd);
        return true;
    }
    ioc = io_socket_new_fd(fd, error);
    if (!ioc) {
        return false;
    }
    packet_stream_start(packet_stream_new(&socket_stream_ops, &socket_ops, name, peer), ioc);
    return true;
}

static bool socket_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevSocketOptions *o = &netdev->u.socket;

    if (!!o->fd + !!o->listen + !!o->connect + !!o->mcast + !!o->udp != 1) {
        return error_set(error, "exactly one of listen=, connect=, mcast= or udp= is required");
    }
    if (o->localaddr && !o->mcast && !o->udp) {
        return error_set(error, "localaddr= is only valid with mcast= or udp=");
    }
    return o->fd                ? create_fd(o, name, peer, error)
           : o->mcast || o->udp ? create_dgram(o, name, peer, error)
                                : create_stream(o, name, peer, error);
}

static const NetBackend socket_backend = { .kind = NET_CLIENT_DRIVER_SOCKET,
                                           .create = socket_create };
NET_BACKEND_REGISTER(socket_backend);
