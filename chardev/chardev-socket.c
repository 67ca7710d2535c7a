/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chardev "socket": one stream connection at a time, as server or client.
 *
 *   state        sources           left by
 *   listening    listener          a client: connected
 *   connected    reader            end of file, error, disconnect: listening, waiting, or gone
 *   connecting   IoConnect         success: connected; failure: waiting
 *   waiting      reconnect timer   time: connecting
 *   gone         none              (client without reconnect)
 *
 * All of it in chr->ctx, except that `ioc` is read by writers under chr->lock.
 */
#include "util/osdep.h"

#include "chardev-private.h"
#include "io/socket.h"
#include "util/error.h"

/* bytes of the telnet protocol, RFC 854 and 857, 858 */
enum {
    TELNET_IAC = 255,
    TELNET_DONT = 254,
    TELNET_DO = 253,
    TELNET_WONT = 252,
    TELNET_WILL = 251,
    TELNET_SB = 250,
    TELNET_BREAK = 243,
    TELNET_SE = 240,
    TELNET_ECHO = 1,
    TELNET_SUPPRESS_GO_AHEAD = 3
};

typedef struct SocketChardev {
    Chardev base;
    SocketAddress *addr;
    bool server, telnet, nodelay;
    int64_t reconnect_ms;
    IoListener *listener;
    bool listening;
    IoConnect *connecting;
    GSource *timer;
    bool complained; /* about a failed connection attempt, since the last success */
    IoChannel *ioc;
    ChardevReader reader;
    GQueue fds;           /* received descriptors, as GINT_TO_POINTER; lock */
    unsigned telnet_skip; /* bytes of a telnet command to come; TELNET_IN_SB: until IAC SE */
    bool telnet_iac;
} SocketChardev;

#define TELNET_IN_SB UINT_MAX

static void start_next(SocketChardev *s);

/* ---- names ---- */

static void set_name(SocketChardev *s)
{
    g_autoptr(SocketAddress) real = NULL;
    g_autoptr(SocketAddress) peer = NULL;
    g_autofree char *own = NULL;
    GString *text = g_string_new(s->ioc ? "" : "disconnected:");

    if (s->listener) {
        real = io_listener_address(s->listener, NULL);
    }
    if (real && real->type == SOCKET_ADDRESS_TYPE_UNIX && s->addr->type != SOCKET_ADDRESS_TYPE_FD) {
        g_clear_pointer(&real, qapi_free_SocketAddress); /* the path as it was given */
    }
    own = io_socket_address_format(real ? real : s->addr);
    if (s->telnet && g_str_has_prefix(own, "tcp:")) {
        g_string_append_printf(text, "telnet:%s", own + 4);
    } else {
        g_string_append(text, own);
    }
    if (s->server) {
        g_string_append(text, ",server=on");
    }
    if (s->ioc && s->addr->type == SOCKET_ADDRESS_TYPE_INET) {
        peer = io_socket_remote_address(s->ioc, NULL);
        if (peer) {
            g_autofree char *other = io_socket_address_format(peer);
            g_string_append_printf(text, " <-> %s", other + strlen("tcp:"));
        }
    }
    chardev_set_filename(&s->base, g_string_free(text, FALSE));
}

/* ---- telnet ---- */

/* Removes the protocol's commands from the input; a break is passed on. Returns the bytes left. */
static size_t filter_telnet(SocketChardev *s, uint8_t *buf, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = buf[i];

        if (s->telnet_skip == TELNET_IN_SB) {
            s->telnet_skip = s->telnet_iac && c == TELNET_SE ? 0 : TELNET_IN_SB;
            s->telnet_iac = c == TELNET_IAC && !s->telnet_iac;
        } else if (s->telnet_skip) {
            s->telnet_skip--;
        } else if (s->telnet_iac) {
            s->telnet_iac = false;
            if (c == TELNET_IAC) {
                buf[out++] = c;
            } else if (c == TELNET_BREAK) {
                chardev_be_event(&s->base, CHARDEV_EVENT_BREAK);
            } else if (c >= TELNET_WILL && c <= TELNET_DONT) {
                s->telnet_skip = 1;
            } else if (c == TELNET_SB) {
                s->telnet_skip = TELNET_IN_SB;
            }
        } else if (c == TELNET_IAC) {
            s->telnet_iac = true;
        } else {
            buf[out++] = c;
        }
    }
    return out;
}

static void greet_telnet(SocketChardev *s)
{
    static const uint8_t greeting[] = {
        TELNET_IAC, TELNET_WILL, TELNET_ECHO, TELNET_IAC, TELNET_WILL, TELNET_SUPPRESS_GO_AHEAD,
    };

    s->telnet_skip = 0;
    s->telnet_iac = false;
    /* a fresh connection has room for six bytes */
    io_channel_write(s->ioc, greeting, sizeof(greeting), NULL);
}

/* ---- a connection ---- */

static ssize_t socket_read(Chardev *chr, void *buf, size_t len)
{
    SocketChardev *s = (SocketChardev *)chr;
    struct iovec iov = { buf, len };
    int fds[IO_MAX_FDS];
    unsigned nfds = 0;
    ssize_t n = io_channel_readv_fds(s->ioc, &iov, 1, fds, &nfds, NULL);

    g_mutex_lock(&chr->lock);
    for (unsigned i = 0; i < nfds; i++) {
        if (g_queue_get_length(&s->fds) < IO_MAX_FDS) {
            g_queue_push_tail(&s->fds, GINT_TO_POINTER(fds[i]));
        } else {
            close(fds[i]);
        }
    }
    g_mutex_unlock(&chr->lock);
    if (n > 0 && s->telnet) {
        n = (ssize_t)filter_telnet(s, buf, (size_t)n);
        return n ? n : -EAGAIN;
    }
    return n;
}

static void drop_fds(SocketChardev *s)
{
    while (!g_queue_is_empty(&s->fds)) {
        close(GPOINTER_TO_INT(g_queue_pop_head(&s->fds)));
    }
}

static void drop_connection(SocketChardev *s)
{
    IoChannel *ioc = s->ioc;

    chardev_reader_stop(&s->reader);
    g_mutex_lock(&s->base.lock);
    s->ioc = NULL;
    drop_fds(s);
    g_mutex_unlock(&s->base.lock);
    io_channel_unref(ioc);
}

static void connection_lost(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    if (!s->ioc) {
        return;
    }
    drop_connection(s);
    set_name(s);
    chardev_be_event(chr, CHARDEV_EVENT_CLOSED);
    start_next(s);
}

static void take_connection(SocketChardev *s, IoChannel *ioc)
{
    io_channel_set_blocking(ioc, false, NULL);
    if (s->nodelay) {
        io_channel_set_nodelay(ioc, true);
    }
    g_mutex_lock(&s->base.lock);
    s->ioc = ioc;
    g_mutex_unlock(&s->base.lock);
    s->complained = false;
    set_name(s);
    if (s->telnet) {
        greet_telnet(s);
    }
    s->base.be_open = true;
}

static void connected(SocketChardev *s, IoChannel *ioc)
{
    take_connection(s, ioc);
    chardev_be_event(&s->base, CHARDEV_EVENT_OPENED);
    chardev_reader_update(&s->reader, s->ioc);
}

static void accepted(IoListener *listener, IoChannel *ioc, void *opaque)
{
    SocketChardev *s = opaque;

    io_listener_stop(listener);
    s->listening = false;
    connected(s, ioc);
}

static gboolean try_again(gpointer opaque)
{
    SocketChardev *s = opaque;

    io_watch_clear(&s->timer);
    start_next(s);
    return G_SOURCE_REMOVE;
}

static void connect_done(IoChannel *ioc, const GError *error, void *opaque)
{
    SocketChardev *s = opaque;

    s->connecting = NULL;
    if (ioc) {
        connected(s, ioc);
        return;
    }
    if (!s->complained) {
        s->complained = true;
        error_report("Unable to connect character device %s: %s", s->base.id ? s->base.id : "",
                     error->message);
    }
    s->timer = g_timeout_source_new((guint)MIN(s->reconnect_ms, G_MAXINT));
    g_source_set_callback(s->timer, try_again, s, NULL);
    g_source_attach(s->timer, s->base.ctx);
}

/* Without a connection: waits for one or makes one. */
static void start_next(SocketChardev *s)
{
    if (s->ioc || s->listening || s->connecting || s->timer) {
        return;
    }
    if (s->listener) {
        s->listening = true;
        io_listener_start(s->listener, s->base.ctx, accepted, s);
    } else if (s->reconnect_ms) {
        s->connecting = io_socket_connect_async(s->addr, 0, s->base.ctx, connect_done, s);
    }
}

static void socket_update(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    if (s->ioc) {
        chardev_reader_update(&s->reader, s->ioc);
    } else {
        start_next(s);
    }
}

static void socket_stop(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    chardev_reader_stop(&s->reader);
    if (s->listening) {
        io_listener_stop(s->listener);
        s->listening = false;
    }
    io_watch_clear(&s->timer);
}

/* A connection that is being made goes along: a peer that serves one client would take its loss for the client's end. */
static void socket_moved(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    if (s->connecting) {
        io_connect_set_context(s->connecting, chr->ctx);
    }
}

/* ---- opening ---- */

/* {'type':..., 'data':{...}} to {'type':..., ...}. */
static SocketAddress *flatten(const SocketAddressLegacy *legacy)
{
    json_object *outer = qapi_encode_SocketAddressLegacy(legacy);
    json_object *flat = json_object_get(json_object_object_get(outer, "data"));
    SocketAddress *addr;

    json_object_object_add(flat, "type", json_object_get(json_object_object_get(outer, "type")));
    addr = qapi_decode_SocketAddress(flat, QAPI_INPUT_JSON, NULL);
    json_object_put(flat);
    json_object_put(outer);
    return addr;
}

static bool check_options(const ChardevSocket *o, bool server, GError **error)
{
    if (o->has_reconnect && o->has_reconnect_ms) {
        return error_set(error, "'reconnect' and 'reconnect-ms' are mutually exclusive");
    }
    if (server &&
        ((o->has_reconnect && o->reconnect) || (o->has_reconnect_ms && o->reconnect_ms))) {
        return error_set(error, "'%s' option is incompatible with socket in server listen mode",
                         o->has_reconnect ? "reconnect" : "reconnect-ms");
    }
    if (!server && o->has_wait) {
        return error_set(error, "'wait' option is incompatible with socket in client connect mode");
    }
    if ((o->has_reconnect && (o->reconnect < 0 || o->reconnect > G_MAXINT / 1000)) ||
        (o->has_reconnect_ms && (o->reconnect_ms < 0 || o->reconnect_ms > G_MAXINT))) {
        return error_set(error, "Parameter 'reconnect' is out of range");
    }
    if (o->addr->type == SOCKET_ADDRESS_TYPE_FD && !server && o->has_reconnect && o->reconnect) {
        return error_set(error, "'reconnect' option is incompatible with 'fd'");
    }
    return true;
}

static bool open_server(SocketChardev *s, bool wait, GError **error)
{
    IoChannel *ioc;

    s->listener = io_listener_new(s->addr, 1, error);
    if (!s->listener) {
        return false;
    }
    set_name(s);
    if (!wait) {
        return true;
    }
    info_report("QEMU waiting for connection on: %s", s->base.filename);
    ioc = io_listener_accept_wait(s->listener, error);
    if (ioc) {
        take_connection(s, ioc);
    }
    return ioc != NULL;
}

static bool socket_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    SocketChardev *s = (SocketChardev *)chr;
    const ChardevSocket *o = backend->u.socket.data;
    bool wait = o->has_wait && o->wait;
    IoChannel *ioc;

    s->server = !o->has_server || o->server;
    s->reader = (ChardevReader){ .chr = chr, .eof = connection_lost, .read = socket_read };
    g_queue_init(&s->fds);
    if (!check_options(o, s->server, error)) {
        return false;
    }
    if (wait && !may_wait) {
        return error_set(error, "'wait' option is not possible here: it would block the monitor");
    }
    s->telnet = o->has_telnet && o->telnet;
    s->nodelay = o->has_nodelay && o->nodelay;
    s->reconnect_ms = o->has_reconnect      ? o->reconnect * 1000
                      : o->has_reconnect_ms ? o->reconnect_ms
                                            : 0;
    s->addr = flatten(o->addr);
    if (s->server) {
        return open_server(s, wait, error);
    }
    set_name(s);
    if (s->reconnect_ms) {
        return true; /* in the background, from socket_update() */
    }
    ioc = io_socket_connect(s->addr, error);
    if (ioc) {
        take_connection(s, ioc);
    }
    return ioc != NULL;
}

/* ---- use ---- */

static ssize_t socket_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    SocketChardev *s = (SocketChardev *)chr;
    ssize_t n;

    if (!s->ioc) {
        return -EPIPE;
    }
    n = io_channel_write(s->ioc, buf, len, NULL);
    /* an error is no reason to drop input that is still there: the reader will see the end */
    return n == -EAGAIN ? 0 : n;
}

static ssize_t socket_write_fds(Chardev *chr, const uint8_t *buf, size_t len, const int *fds,
                                unsigned nfds)
{
    SocketChardev *s = (SocketChardev *)chr;
    struct iovec iov = { (void *)buf, len };
    ssize_t n;

    if (!s->ioc) {
        return -EPIPE;
    }
    if (!io_channel_has_feature(s->ioc, IO_FEATURE_FD_PASS)) {
        return -EOPNOTSUPP;
    }
    n = io_channel_writev_fds(s->ioc, &iov, 1, fds, nfds, NULL);
    return n == -EAGAIN ? 0 : n;
}

static bool socket_may_reconnect(const Chardev *chr)
{
    const SocketChardev *s = (const SocketChardev *)chr;

    /* a server on a descriptor that we were given accepts again, too */
    return s->listener || s->reconnect_ms;
}

static IoChannel *socket_writable(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    return s->ioc ? io_channel_ref(s->ioc) : NULL;
}

static int socket_take_fd(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;
    int fd = -1;

    g_mutex_lock(&chr->lock);
    if (!g_queue_is_empty(&s->fds)) {
        fd = GPOINTER_TO_INT(g_queue_pop_head(&s->fds));
    }
    g_mutex_unlock(&chr->lock);
    return fd;
}

/* The reader sees the end of file then; also from other threads. */
static void socket_disconnect(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    g_mutex_lock(&chr->lock);
    if (s->ioc) {
        io_channel_shutdown(s->ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&chr->lock);
}

static void socket_finalize(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    if (s->connecting) {
        io_connect_cancel(s->connecting);
    }
    drop_connection(s);
    io_listener_free(s->listener);
    qapi_free_SocketAddress(s->addr);
}

static const ChardevOps socket_ops = {
    .kind = CHARDEV_BACKEND_KIND_SOCKET,
    .size = sizeof(SocketChardev),
    .open = socket_open,
    .write = socket_write,
    .update = socket_update,
    .stop = socket_stop,
    .moved = socket_moved,
    .writable = socket_writable,
    .take_fd = socket_take_fd,
    .write_fds = socket_write_fds,
    .may_reconnect = socket_may_reconnect,
    .disconnect = socket_disconnect,
    .finalize = socket_finalize,
};
CHARDEV_REGISTER(socket_ops)
