/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets through a connection. See the header. */
#include "util/osdep.h"
#include "packet-stream.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/iov.h"

#define LENGTH 4
#define IN_SIZE (LENGTH + NET_PACKET_MAX)

static void try_connect(void *opaque);

/* ---- the end of a connection ---------------------------------------------------------------------------------- */

static void close_connection(PacketStream *s)
{
    io_watch_clear(&s->in_watch);
    io_watch_clear(&s->out_watch);
    io_channel_unref(s->ioc);
    s->ioc = NULL;
    g_byte_array_set_size(s->out, 0);
    s->in_len = s->in_pos = 0;
}

static void accepted(IoListener *listener, IoChannel *ioc, void *opaque);

static void disconnect(PacketStream *s)
{
    close_connection(s);
    s->ops->disconnected(s);
    if (s->listener) {
        io_listener_start(s->listener, NULL, accepted, s);
    } else if (s->addr && s->reconnect_ms) {
        timer_mod(&s->retry, clock_get_ns(CLOCK_REALTIME_NS) + s->reconnect_ms * NS_PER_MS);
    }
    net_flush(&s->nc); /* to nobody: what waits is dropped */
}

/* ---- to the socket ------------------------------------------------------------------------------------------------ */

static gboolean out_ready(IoChannel *ioc, GIOCondition condition, void *opaque)
{
    PacketStream *s = opaque;
    ssize_t n = io_channel_write(s->ioc, s->out->data, s->out->len, NULL);

    if (n < 0 && n != -EAGAIN) {
        disconnect(s);
        return G_SOURCE_REMOVE;
    }
    if (n > 0) {
        g_byte_array_remove_range(s->out, 0, n);
    }
    if (s->out->len) {
        return G_SOURCE_CONTINUE;
    }
    io_watch_clear(&s->out_watch);
    net_flush(&s->nc);
    return G_SOURCE_REMOVE;
}

bool packet_stream_can_receive(NetClient *nc)
{
    return ((PacketStream *)nc)->out->len == 0;
}

bool packet_stream_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    PacketStream *s = (PacketStream *)nc;
    uint8_t length[LENGTH];
    IoVec all;
    ssize_t n;

    if (!s->ioc) {
        return true; /* no cable */
    }
    if (s->out->len) {
        return false;
    }
    store_be32(length, len);
    iovec_init(&all, niov + 1);
    iovec_add(&all, length, LENGTH);
    for (unsigned i = 0; i < niov; i++) {
        iovec_add(&all, iov[i].iov_base, iov[i].iov_len);
    }
    n = io_channel_writev(s->ioc, all.iov, MIN(all.n, IOV_MAX), NULL);
    if (n < 0 && n != -EAGAIN) {
        n = all.size; /* lost with the connection, whose end the watch for input sees */
    }
    n = MAX(n, 0);
    if ((size_t)n < all.size) {
        g_byte_array_set_size(s->out, all.size - n);
        iovec_to_buf(&all, n, s->out->data, s->out->len);
        s->out_watch = io_channel_add_watch(s->ioc, G_IO_OUT, out_ready, s, NULL);
    }
    iovec_destroy(&all);
    return true;
}

/* ---- from the socket ------------------------------------------------------------------------------------------------ */

/* Sends on the whole packets that are there. False: the connection is to end. */
static bool pass_on(PacketStream *s)
{
    while (s->in_len - s->in_pos >= LENGTH) {
        uint8_t *packet = s->in + s->in_pos;
        size_t len = load_be32(packet);
        struct iovec iov = { packet + LENGTH, len };

        if (len > NET_PACKET_MAX) {
            return false;
        }
        if (s->in_len - s->in_pos < LENGTH + len) {
            break;
        }
        if (len && !net_try_send(&s->nc, &iov, 1)) {
            io_watch_clear(&s->in_watch); /* until sendable() */
            break;
        }
        s->in_pos += LENGTH + len;
    }
    return true;
}

static gboolean in_ready(IoChannel *ioc, GIOCondition condition, void *opaque)
{
    PacketStream *s = opaque;
    ssize_t n;

    memmove(s->in, s->in + s->in_pos, s->in_len - s->in_pos);
    s->in_len -= s->in_pos;
    s->in_pos = 0;
    n = io_channel_read(s->ioc, s->in + s->in_len, IN_SIZE - s->in_len, NULL);
    if (n == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    if (n > 0) {
        s->in_len += n;
    }
    if (n <= 0 || !pass_on(s)) {
        disconnect(s);
        return G_SOURCE_REMOVE;
    }
    return s->in_watch ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

void packet_stream_sendable(NetClient *nc)
{
    PacketStream *s = (PacketStream *)nc;

    if (!s->ioc || s->in_watch) {
        return;
    }
    s->in_watch = io_channel_add_watch(s->ioc, G_IO_IN, in_ready, s, NULL);
    if (!pass_on(s)) {
        disconnect(s);
    }
}

/* ---- the beginning of a connection ----------------------------------------------------------------------------------- */

void packet_stream_start(PacketStream *s, IoChannel *ioc)
{
    SocketAddress *peer;

    s->ioc = ioc;
    io_channel_set_blocking(ioc, false, NULL);
    io_channel_set_nodelay(ioc, true);
    s->in_watch = io_channel_add_watch(ioc, G_IO_IN, in_ready, s, NULL);
    peer = io_socket_remote_address(ioc, NULL);
    if (peer && peer->type == SOCKET_ADDRESS_TYPE_UNIX && !peer->u.unix_.path[0]) {
        qapi_free_SocketAddress(peer); /* the one that connects has no name: say where it came to */
        peer = io_socket_local_address(ioc, NULL);
    }
    s->ops->connected(s, peer);
    qapi_free_SocketAddress(peer);
}

static void accepted(IoListener *listener, IoChannel *ioc, void *opaque)
{
    PacketStream *s = opaque;

    io_listener_stop(listener); /* the next one waits until this one has gone */
    packet_stream_start(s, ioc);
}

static void connect_done(IoChannel *ioc, const GError *error, void *opaque)
{
    PacketStream *s = opaque;

    s->connecting = NULL;
    if (ioc) {
        packet_stream_start(s, ioc);
        return;
    }
    warn_report("netdev %s: %s", s->nc.name, error->message);
    if (s->reconnect_ms) {
        timer_mod(&s->retry, clock_get_ns(CLOCK_REALTIME_NS) + s->reconnect_ms * NS_PER_MS);
    }
}

static void retry_done(IoChannel *ioc, const GError *error, void *opaque)
{
    PacketStream *s = opaque;

    s->connecting = NULL;
    if (ioc) {
        packet_stream_start(s, ioc);
    } else {
        timer_mod(&s->retry, clock_get_ns(CLOCK_REALTIME_NS) + s->reconnect_ms * NS_PER_MS);
    }
}

/* Again, without a word if it fails again. */
static void try_connect(void *opaque)
{
    PacketStream *s = opaque;

    s->connecting = io_socket_connect_async(s->addr, 0, NULL, retry_done, s);
}

void packet_stream_connect(PacketStream *s, const SocketAddress *addr, unsigned reconnect_ms)
{
    s->addr = qapi_clone_SocketAddress(addr);
    s->reconnect_ms = reconnect_ms;
    s->connecting = io_socket_connect_async(s->addr, 0, NULL, connect_done, s);
}

bool packet_stream_listen(PacketStream *s, const SocketAddress *addr, GError **error)
{
    s->listener = io_listener_new(addr, 1, error);
    if (!s->listener) {
        return false;
    }
    io_listener_start(s->listener, NULL, accepted, s);
    return true;
}

PacketStream *packet_stream_new(const NetClientOps *client, const PacketStreamOps *ops,
                                const char *name, NetClient *peer)
{
    NetClient *nc = net_client_new(client, qapi_name_NetClientDriver(client->kind), name, 0, peer);
    PacketStream *s = (PacketStream *)nc;

    s->ops = ops;
    s->out = g_byte_array_new();
    s->in = g_malloc(IN_SIZE);
    timer_init(&s->retry, CLOCK_REALTIME_NS, try_connect, s);
    return s;
}

void packet_stream_cleanup(NetClient *nc)
{
    PacketStream *s = (PacketStream *)nc;

    timer_del(&s->retry);
    if (s->connecting) {
        io_connect_cancel(s->connecting);
    }
    close_connection(s);
    io_listener_free(s->listener);
    qapi_free_SocketAddress(s->addr);
    g_byte_array_unref(s->out);
    g_free(s->in);
}
