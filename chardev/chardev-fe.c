/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front end's side, and the way of data and events to it.
 *
 * E1  The sources of a backend live in one context, chr->ctx, which follows the front end. A change
 *     of context stops them here and starts them by a source in the new context, so that no two
 *     threads work on them.
 */
#include "util/osdep.h"

#include "chardev-private.h"
#include "util/error.h"

/* ---- attaching ---- */

bool chardev_fe_attach(ChardevFe *fe, Chardev *chr, GError **error)
{
    if (chardev_is_mux(chr)) {
        if (!chardev_mux_attach(chr, fe, error)) {
            return false;
        }
    } else {
        if (chr->fe) {
            return error_set(error, "chardev '%s' is already in use",
                             chr->id ? chr->id : chr->filename);
        }
        chr->fe = fe;
    }
    fe->chr = chr;
    fe->handlers = NULL;
    fe->opaque = NULL;
    fe->ctx = NULL;
    fe->open = false;
    fe->opened_sent = false;
    return true;
}

void chardev_fe_detach(ChardevFe *fe)
{
    if (!fe->chr) {
        return;
    }
    chardev_fe_set_handlers(fe, NULL, NULL, NULL);
    if (chardev_is_mux(fe->chr)) {
        chardev_mux_detach(fe->chr, fe);
    } else {
        fe->chr->fe = NULL;
    }
    fe->chr = NULL;
}

bool chardev_fe_attached(const ChardevFe *fe)
{
    return fe->chr != NULL;
}

/* In the context: the backend may deliver now. */
static gboolean start_in_context(gpointer opaque)
{
    Chardev *chr = opaque;

    io_watch_clear(&chr->start);
    if (chr->be_open) {
        chardev_be_event(chr, CHARDEV_EVENT_OPENED);
    }
    if (chr->ops->update) {
        chr->ops->update(chr);
    }
    return G_SOURCE_REMOVE;
}

static void restart(Chardev *chr, GMainContext *ctx)
{
    io_watch_clear(&chr->start);
    if (chr->ops->stop) {
        chr->ops->stop(chr);
    }
    chr->ctx = ctx;
    if (chr->ops->moved) {
        chr->ops->moved(chr);
    }
    chr->start = g_idle_source_new();
    g_source_set_priority(chr->start, G_PRIORITY_DEFAULT);
    g_source_set_callback(chr->start, start_in_context, chr, NULL);
    /* the context may run it at once: nothing of chr may be touched below */
    g_source_attach(chr->start, ctx);
}

void chardev_fe_set_handlers(ChardevFe *fe, const ChardevHandlers *handlers, void *opaque,
                             GMainContext *ctx)
{
    Chardev *chr = fe->chr;

    if (!chr) {
        return;
    }
    fe->opened_sent = false;
    fe->open = handlers != NULL;
    if (chardev_is_mux(chr)) {
        fe->handlers = handlers;
        fe->opaque = opaque;
        fe->ctx = ctx;
        chardev_mux_handlers_changed(chr, fe);
        return;
    }
    io_watch_clear(&chr->start);
    if (chr->ops->stop) {
        chr->ops->stop(chr);
    }
    fe->handlers = handlers;
    fe->opaque = opaque;
    fe->ctx = ctx;
    restart(chr, ctx);
}

void chardev_accept_input(ChardevFe *fe)
{
    Chardev *chr = fe->chr;

    if (chr && chardev_is_mux(chr)) {
        chardev_mux_accept_input(chr, fe);
    } else if (chr && chr->ops->update && !chr->start) {
        chr->ops->update(chr);
    }
}

/* ---- output ---- */

static void write_log(Chardev *chr, const uint8_t *buf, size_t len)
{
    while (chr->log_fd >= 0 && len) {
        ssize_t n = write(chr->log_fd, buf, len);

        if (n < 0 && errno != EINTR) {
            break; /* a full disk does not stop the line */
        }
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        }
    }
}

ssize_t chardev_write(ChardevFe *fe, const void *buf, size_t len)
{
    Chardev *chr = fe->chr;
    ssize_t n;

    if (!chr || len == 0) {
        return (ssize_t)len;
    }
    if (chardev_is_mux(chr)) {
        return chardev_mux_write(chr, fe, buf, len);
    }
    g_mutex_lock(&chr->lock);
    n = chr->ops->write(chr, buf, len);
    if (n > 0) {
        write_log(chr, buf, (size_t)n);
    }
    g_mutex_unlock(&chr->lock);
    return n;
}

ssize_t chardev_write_fds(ChardevFe *fe, const void *buf, size_t len, const int *fds, unsigned nfds)
{
    Chardev *chr = fe->chr;
    ssize_t n = -EOPNOTSUPP;

    if (!chr || nfds == 0) {
        return chardev_write(fe, buf, len);
    }
    g_mutex_lock(&chr->lock);
    if (chr->ops->write_fds) {
        n = chr->ops->write_fds(chr, buf, len, fds, nfds);
    }
    g_mutex_unlock(&chr->lock);
    return n;
}

/* The device that really writes. */
static Chardev *bottom(Chardev *chr)
{
    while (chr && chardev_is_mux(chr)) {
        chr = chardev_mux_base(chr)->chr;
    }
    return chr;
}

static IoChannel *writable_channel(Chardev *chr)
{
    IoChannel *ioc = NULL;

    if (chr && chr->ops->writable) {
        g_mutex_lock(&chr->lock);
        ioc = chr->ops->writable(chr);
        g_mutex_unlock(&chr->lock);
    }
    return ioc;
}

ssize_t chardev_write_wait(ChardevFe *fe, const void *buf, size_t len, int timeout_ms)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * (gint64)1000;
    size_t done = 0;

    while (done < len) {
        ssize_t n = chardev_write(fe, (const char *)buf + done, len - done);
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        IoChannel *ioc;

        if (n < 0) {
            return done ? (ssize_t)done : n;
        }
        done += (size_t)n;
        if (n) {
            continue;
        }
        ioc = writable_channel(bottom(fe->chr));
        if (!ioc || left <= 0) {
            io_channel_unref(ioc);
            break;
        }
        io_channel_wait(ioc, G_IO_OUT, (int)left);
        io_channel_unref(ioc);
    }
    return (ssize_t)done;
}

typedef struct WriteWatch {
    void (*func)(void *opaque);
    void *opaque;
} WriteWatch;

static gboolean write_ready(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    WriteWatch *watch = opaque;

    watch->func(watch->opaque);
    return G_SOURCE_REMOVE;
}

GSource *chardev_add_write_watch(ChardevFe *fe, void (*func)(void *opaque), void *opaque)
{
    IoChannel *ioc = writable_channel(bottom(fe->chr));
    WriteWatch *watch;
    GSource *source;

    if (!ioc) {
        return NULL;
    }
    watch = g_new(WriteWatch, 1);
    *watch = (WriteWatch){ func, opaque };
    source = io_channel_new_watch(ioc, G_IO_OUT | G_IO_HUP);
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))write_ready, watch, g_free);
    g_source_attach(source, fe->ctx);
    io_channel_unref(ioc);
    return source;
}

/* ---- the rest of what a front end asks ---- */

int chardev_take_fd(ChardevFe *fe)
{
    Chardev *chr = bottom(fe->chr);

    return chr && chr->ops->take_fd ? chr->ops->take_fd(chr) : -1;
}

void chardev_send_break(ChardevFe *fe)
{
    Chardev *chr = bottom(fe->chr);

    if (chr && chr->ops->send_break) {
        chr->ops->send_break(chr);
    }
}

void chardev_set_echo(ChardevFe *fe, bool echo)
{
    Chardev *chr = bottom(fe->chr);

    if (chr && chr->ops->set_echo) {
        chr->ops->set_echo(chr, echo);
    }
}

void chardev_set_fe_open(ChardevFe *fe, bool open)
{
    fe->open = open;
}

bool chardev_connected(const ChardevFe *fe)
{
    const Chardev *chr = bottom(fe->chr);

    return chr && chr->be_open;
}

bool chardev_may_reconnect(const ChardevFe *fe)
{
    const Chardev *chr = bottom(fe->chr);

    return chr && chr->ops->may_reconnect && chr->ops->may_reconnect(chr);
}

void chardev_disconnect(ChardevFe *fe)
{
    Chardev *chr = bottom(fe->chr);

    if (chr && chr->ops->disconnect) {
        chr->ops->disconnect(chr);
    }
}

/* ---- from the backend ---- */

void chardev_be_event(Chardev *chr, ChardevEvent event)
{
    ChardevFe *fe = chr->fe;

    if (event == CHARDEV_EVENT_OPENED || event == CHARDEV_EVENT_CLOSED) {
        g_mutex_lock(&chr->lock);
        chr->be_open = event == CHARDEV_EVENT_OPENED;
        g_mutex_unlock(&chr->lock);
    }
    if (!fe || !fe->handlers || chr->start) {
        return;
    }
    if (event == CHARDEV_EVENT_OPENED || event == CHARDEV_EVENT_CLOSED) {
        bool opened = event == CHARDEV_EVENT_OPENED;

        if (fe->opened_sent == opened) {
            return;
        }
        fe->opened_sent = opened;
    }
    if (fe->handlers->event) {
        fe->handlers->event(fe->opaque, event);
    }
}

bool chardev_be_wants_input(Chardev *chr)
{
    return chr->fe && chr->fe->handlers && chr->fe->handlers->can_read && !chr->start;
}

size_t chardev_be_can_read(Chardev *chr)
{
    return chardev_be_wants_input(chr) ? chr->fe->handlers->can_read(chr->fe->opaque) : 0;
}

void chardev_be_read(Chardev *chr, const uint8_t *buf, size_t len)
{
    if (len && chr->fe && chr->fe->handlers && chr->fe->handlers->read) {
        chr->fe->handlers->read(chr->fe->opaque, buf, len);
    }
}

/* ---- input from a channel ---- */

static gboolean reader_ready(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    ChardevReader *reader = opaque;
    Chardev *chr = reader->chr;
    uint8_t buf[4096];
    size_t room = MIN(chardev_be_can_read(chr), sizeof(buf));
    ssize_t n;

    if (room == 0) {
        io_watch_clear(&reader->source); /* until chardev_accept_input() */
        return G_SOURCE_REMOVE;
    }
    n = reader->read ? reader->read(chr, buf, room) : io_channel_read(ioc, buf, room, NULL);
    if (n == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    if (n <= 0) {
        io_watch_clear(&reader->source);
        reader->eof(chr);
        return G_SOURCE_REMOVE;
    }
    chardev_be_read(chr, buf, (size_t)n);
    return G_SOURCE_CONTINUE;
}

void chardev_reader_update(ChardevReader *reader, IoChannel *ioc)
{
    bool wanted = ioc && chardev_be_wants_input(reader->chr);

    if (!wanted) {
        io_watch_clear(&reader->source);
    } else if (!reader->source) {
        reader->source = io_channel_add_watch(ioc, G_IO_IN, reader_ready, reader, reader->chr->ctx);
    }
}

void chardev_reader_stop(ChardevReader *reader)
{
    io_watch_clear(&reader->source);
}
