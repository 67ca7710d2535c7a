/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. */
#include "util/osdep.h"
#include "net-wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TIMEOUT_MS 60000

typedef struct Connection {
    int fd;
    GByteArray *in;
} Connection;

struct Wire {
    int listener;
    char *path;
    GPtrArray *connections; /* Connection *, newest last */
    bool stalled, announcements;
};

static void connection_free(gpointer data)
{
    Connection *c = data;

    close(c->fd);
    g_byte_array_unref(c->in);
    g_free(c);
}

Wire *wire_new(void)
{
    static unsigned count;
    Wire *w = g_new0(Wire, 1);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    w->path = g_strdup_printf("%s/w%u", qtest_dir(), count++);
    g_assert_cmpuint(strlen(w->path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, w->path);
    unlink(w->path);
    w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(w->listener, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(w->listener, 16), ==, 0);
    w->connections = g_ptr_array_new_with_free_func(connection_free);
    return w;
}

void wire_free(Wire *w)
{
    close(w->listener);
    unlink(w->path);
    g_free(w->path);
    g_ptr_array_unref(w->connections);
    g_free(w);
}

char *wire_option(const Wire *w, const char *id)
{
    return g_strdup_printf("-netdev stream,id=%s,addr.type=unix,addr.path=%s", id, w->path);
}

/* Takes what is there; waits for something if there is nothing. */
static void look(Wire *w, int timeout_ms)
{
    g_autofree struct pollfd *fds = g_new0(struct pollfd, w->connections->len + 1);
    uint8_t buf[65536];
    guint n = w->connections->len;

    fds[0] = (struct pollfd){ w->listener, POLLIN, 0 };
    for (guint i = 0; i < n; i++) {
        Connection *c = g_ptr_array_index(w->connections, i);

        fds[i + 1] = (struct pollfd){ c->fd, w->stalled ? 0 : POLLIN, 0 };
    }
    poll(fds, w->stalled ? 1 : n + 1, timeout_ms);
    for (guint i = n; i-- > 0;) {
        Connection *c = g_ptr_array_index(w->connections, i);
        ssize_t got;

        if (!(fds[i + 1].revents & (POLLIN | POLLHUP))) {
            continue;
        }
        got = read(c->fd, buf, sizeof(buf));
        if (got > 0) {
            g_byte_array_append(c->in, buf, got);
        } else if (c->in->len == 0) {
            g_ptr_array_remove_index(w->connections, i);
        }
    }
    while (poll(fds, 1, 0) == 1) {
        Connection *c = g_new0(Connection, 1);

        c->fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(c->fd, >=, 0);
        c->in = g_byte_array_new();
        g_ptr_array_add(w->connections, c);
    }
}

static void moved(QTest *q, bool before, void *opaque)
{
    const Wire *w = opaque;
    g_autofree char *connected = g_strconcat("type=stream,unix:", w->path, NULL);

    if (before) {
        return;
    }
    qtest_set_moving(q, false); /* not in the middle of a move */
    for (unsigned i = 0; i < 6000; i++) {
        g_autofree char *info = qtest_hmp(q, "info network");

        if (strstr(info, connected)) {
            break;
        }
        g_usleep(i < 20 ? 500 : 10000);
    }
    qtest_set_moving(q, true);
    look(opaque, 0); /* takes the connection: they are not to pile up */
}

void wire_attach(Wire *w, QTest *q)
{
    qtest_on_move(q, moved, w);
    moved(q, false, w);
}

void wire_send(Wire *w, const void *packet, size_t len)
{
    g_autofree uint8_t *framed = g_malloc(4 + len);
    Connection *c;

    do {
        look(w, w->connections->len ? 0 : TIMEOUT_MS);
    } while (w->connections->len == 0);
    c = g_ptr_array_index(w->connections, w->connections->len - 1);
    framed[0] = len >> 24;
    framed[1] = len >> 16;
    framed[2] = len >> 8;
    framed[3] = len;
    memcpy(framed + 4, packet, len);
    g_assert_cmpint(send(c->fd, framed, 4 + len, MSG_NOSIGNAL), ==, 4 + (ssize_t)len);
}

/* What a card says of itself after a move. */
static void drop_announcements(Connection *c)
{
    while (c->in->len >= 4 + 14 && c->in->len >= 4 + wire_be32(c->in->data) &&
           wire_be16(c->in->data + 4 + 12) == 0x8035) {
        g_byte_array_remove_range(c->in, 0, 4 + wire_be32(c->in->data));
    }
}

void wire_want_announcements(Wire *w)
{
    w->announcements = true;
}

static Connection *with_packet(Wire *w)
{
    for (guint i = 0; i < w->connections->len; i++) {
        Connection *c = g_ptr_array_index(w->connections, i);

        if (!w->announcements) {
            drop_announcements(c);
        }
        if (c->in->len >= 4 && c->in->len >= 4 + wire_be32(c->in->data)) {
            return c;
        }
    }
    return NULL;
}

bool wire_has_packet(Wire *w, int timeout_ms)
{
    gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);

    while (!with_packet(w)) {
        gint64 left = (end - g_get_monotonic_time()) / 1000;

        look(w, MAX(left, 0));
        if (left <= 0) {
            return with_packet(w);
        }
    }
    return true;
}

size_t wire_receive(Wire *w, void *packet)
{
    Connection *c;
    size_t len;

    g_assert_true(wire_has_packet(w, TIMEOUT_MS));
    c = with_packet(w);
    len = wire_be32(c->in->data);
    g_assert_cmpuint(len, <=, WIRE_PACKET_MAX);
    memcpy(packet, c->in->data + 4, len);
    g_byte_array_remove_range(c->in, 0, 4 + len);
    return len;
}

void wire_stall(Wire *w, bool stall)
{
    w->stalled = stall;
}

uint16_t wire_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

uint32_t wire_be32(const uint8_t *p)
{
    return (uint32_t)wire_be16(p) << 16 | wire_be16(p + 2);
}

uint16_t wire_sum(uint32_t start, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        start += i & 1 ? p[i] : p[i] << 8;
    }
    while (start >> 16) {
        start = (start & 0xffff) + (start >> 16);
    }
    return start;
}
