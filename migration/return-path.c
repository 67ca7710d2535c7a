/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The return path; see return-path.h. Messages are be16 type, be16 length, content. */
#include "util/osdep.h"
#include "return-path.h"

#include <pthread.h>
#include "protocol.h"
#include "util/bytes.h"
#include "util/error.h"

#define HEADER 4

struct ReturnPath {
    IoChannel *ioc;
    GSource *watch;
    ReturnPathFunc *func;
    void *opaque;
    uint8_t buf[HEADER + RETURN_MESSAGE_MAX];
    size_t have;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;     /* under lock */
    GError *error; /* under lock */
};

static void settle(ReturnPath *rp, GError *error)
{
    pthread_mutex_lock(&rp->lock);
    bool first = !rp->done && !rp->error;
    if (first && error) {
        rp->error = g_error_copy(error);
    } else if (first) {
        rp->done = true;
    }
    pthread_cond_broadcast(&rp->changed);
    pthread_mutex_unlock(&rp->lock);
    if (first && error) {
        rp->func(error, rp->opaque);
    }
    g_clear_error(&error);
}

static void fail(ReturnPath *rp, const char *text)
{
    GError *error = NULL;
    error_set(&error, "%s", text);
    settle(rp, error);
}

/* A complete message. False: the rest is of no interest. */
static bool handle(ReturnPath *rp, unsigned type, const uint8_t *data, size_t len)
{
    if (len == 4 && type == RETURN_PONG) {
        return true;
    }
    if (len == 4 && type == RETURN_SHUT) {
        if (load_be32(data) == 0) {
            settle(rp, NULL);
        } else {
            fail(rp, "the destination could not load the stream");
        }
        return false;
    }
    fail(rp, "the destination has sent a message that is not understood");
    return false;
}

/* Messages in the buffer. False: stop. */
static bool handle_all(ReturnPath *rp)
{
    while (rp->have >= HEADER) {
        unsigned type = load_be16(rp->buf), len = load_be16(rp->buf + 2);
        if (len > RETURN_MESSAGE_MAX) {
            fail(rp, "the destination has sent a message that is too long");
            return false;
        }
        if (rp->have < HEADER + len) {
            break;
        }
        if (!handle(rp, type, rp->buf + HEADER, len)) {
            return false;
        }
        rp->have -= HEADER + len;
        memmove(rp->buf, rp->buf + HEADER + len, rp->have);
    }
    return true;
}

static gboolean readable(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    ReturnPath *rp = opaque;
    GError *error = NULL;
    ssize_t n = io_channel_read(ioc, rp->buf + rp->have, sizeof(rp->buf) - rp->have, &error);
    if (n == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    if (n > 0) {
        rp->have += n;
        if (handle_all(rp)) {
            return G_SOURCE_CONTINUE;
        }
    } else if (n == 0) {
        fail(rp, "the destination has closed the connection");
    } else {
        error_prefix(&error, "return path: ");
        settle(rp, error);
    }
    return G_SOURCE_REMOVE;
}

ReturnPath *return_path_new(IoChannel *ioc, ReturnPathFunc *func, void *opaque)
{
    ReturnPath *rp = g_new0(ReturnPath, 1);
    rp->ioc = io_channel_ref(ioc);
    rp->func = func;
    rp->opaque = opaque;
    pthread_mutex_init(&rp->lock, NULL);
    pthread_cond_init(&rp->changed, NULL);
    rp->watch = io_channel_add_watch(ioc, G_IO_IN, readable, rp, NULL);
    return rp;
}

void return_path_free(ReturnPath *rp)
{
    if (rp) {
        io_watch_clear(&rp->watch);
        io_channel_unref(rp->ioc);
        g_clear_error(&rp->error);
        pthread_cond_destroy(&rp->changed);
        pthread_mutex_destroy(&rp->lock);
        g_free(rp);
    }
}

bool return_path_wait(ReturnPath *rp, GError **error)
{
    pthread_mutex_lock(&rp->lock);
    while (!rp->done && !rp->error) {
        pthread_cond_wait(&rp->changed, &rp->lock);
    }
    bool ok = rp->done;
    if (!ok && error) {
        *error = g_error_copy(rp->error);
    }
    pthread_mutex_unlock(&rp->lock);
    return ok;
}

/* ---- destination ---- */

static bool send_message(IoChannel *ioc, uint16_t type, uint32_t value, GError **error)
{
    uint8_t message[HEADER + 4];
    store_be16(message, type);
    store_be16(message + 2, 4);
    store_be32(message + HEADER, value);
    if (io_channel_write_all(ioc, message, sizeof(message), error) < 0) {
        error_prefix(error, "return path: ");
        return false;
    }
    return true;
}

bool return_path_send_pong(IoChannel *ioc, uint32_t value, GError **error)
{
    return send_message(ioc, RETURN_PONG, value, error);
}

bool return_path_send_shut(IoChannel *ioc, bool ok, GError **error)
{
    /* A source that has given up has closed its end; it does not send anything else at this point. */
    uint8_t byte;
    if (ok && io_channel_wait(ioc, G_IO_IN, 0) == 1) {
        ssize_t n = io_channel_read(ioc, &byte, 1, NULL);
        if (n != -EAGAIN) {
            return error_set(error, "the source has given up");
        }
    }
    return send_message(ioc, RETURN_SHUT, !ok, error);
}
