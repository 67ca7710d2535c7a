/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backend `stream`: packets through a connection that this side makes or waits for. */
#include "util/osdep.h"
#include "packet-stream.h"

#include "qapi/events-net.h"
#include "util/error.h"

#define RECONNECT_MAX_MS (24 * 3600 * 1000)

static void stream_connected(PacketStream *s, const SocketAddress *peer)
{
    const SocketAddress *shown = peer;
    g_autofree char *text = NULL;

    if (s->addr && s->addr->type == SOCKET_ADDRESS_TYPE_UNIX) {
        shown = s->addr; /* the other side's own one has no name */
    }
    text = shown ? io_socket_address_format(shown) : g_strdup("fd");
    net_set_info(&s->nc, "%s", text);
    if (shown) {
        qapi_event_send_NETDEV_STREAM_CONNECTED(s->nc.name, shown);
    }
}

static void stream_disconnected(PacketStream *s)
{
    net_set_info(&s->nc, "%s", s->listener ? "listening" : s->reconnect_ms ? "connecting" : "");
    qapi_event_send_NETDEV_STREAM_DISCONNECTED(s->nc.name);
}

static const PacketStreamOps stream_ops = { .connected = stream_connected,
                                            .disconnected = stream_disconnected };
static const NetClientOps stream_client_ops = { PACKET_STREAM_OPS(NET_CLIENT_DRIVER_STREAM) };

/* The pause in ms; 0: none. False with an error. */
static bool reconnect_time(const NetdevStreamOptions *o, unsigned *ms, GError **error)
{
    int64_t value = o->has_reconnect_ms ? o->reconnect_ms : 0;

    if (o->has_reconnect && o->has_reconnect_ms) {
        return error_set(error, "'reconnect' and 'reconnect-ms' are mutually exclusive");
    }
    if (o->has_reconnect) {
        value =
            o->reconnect < 0 || o->reconnect > RECONNECT_MAX_MS / 1000 ? -1 : o->reconnect * 1000;
    }
    if (value < 0 || value > RECONNECT_MAX_MS) {
        return error_set(error, "Parameter 'reconnect-ms' expects a value between 0 and %d",
                         RECONNECT_MAX_MS);
    }
    *ms = value;
    return true;
}

static bool stream_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevStreamOptions *o = &netdev->u.stream;
    bool server = o->has_server && o->server;
    unsigned reconnect_ms = 0;
    PacketStream *s;

    if (!reconnect_time(o, &reconnect_ms, error)) {
        return false;
    }
    if (server && reconnect_ms) {
        return error_set(error, "'reconnect-ms' option is incompatible with socket in server mode");
    }
    s = packet_stream_new(&stream_client_ops, &stream_ops, name, peer);
    if (!server) {
        net_set_info(&s->nc, "connecting");
        packet_stream_connect(s, o->addr, reconnect_ms);
        return true;
    }
    net_set_info(&s->nc, "listening");
    if (!packet_stream_listen(s, o->addr, error)) {
        net_client_free(&s->nc);
        return false;
    }
    return true;
}

static const NetBackend stream_backend = { .kind = NET_CLIENT_DRIVER_STREAM,
                                           .create = stream_create };
NET_BACKEND_REGISTER(stream_backend);
