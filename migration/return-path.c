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
    const ReturnPathOps *ops;
    void *opaque;
    uint8_t buf[HEADER + RETURN_MESSAGE_MAX];
    size_t have;
    char block[256];  /* of the last request, or whose bitmap comes */
    GByteArray *bits; /* a bitmap is coming in: be64 length, bits, be64 end. NULL: messages */
    bool refused;

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
        rp->ops->ended(error, rp->opaque);
    }
    g_clear_error(&error);
}

static void fail(ReturnPath *rp, const char *text)
{
    GError *error = NULL;
    error_set(&error, "%s", text);
    settle(rp, error);
}

static bool not_understood(ReturnPath *rp)
{
    fail(rp, "the destination has sent a message that is not understood");
    return false;
}

/* A counted name that fills len bytes. */
static bool take_name(ReturnPath *rp, const uint8_t *data, size_t len)
{
    if (len < 2 || data[0] != len - 1 || memchr(data + 1, 0, len - 1)) {
        return false;
    }
    memcpy(rp->block, data + 1, len - 1);
    rp->block[len - 1] = '\0';
    return true;
}

static bool handle_request(ReturnPath *rp, unsigned type, const uint8_t *data, size_t len)
{
    GError *error = NULL;
    bool named = type == RETURN_REQUEST_NAMED;
    if (len < 12 || (!named && len != 12) || (named && !take_name(rp, data + 12, len - 12)) ||
        !rp->block[0]) {
        return not_understood(rp);
    }
    if (!rp->ops->request(rp->block, load_be64(data), load_be32(data + 8), rp->opaque, &error)) {
        error_prefix(&error, "the destination asks for what is not there: ");
        settle(rp, error);
        return false;
    }
    return true;
}

/* A complete message. False: the rest is of no interest. */
static bool handle(ReturnPath *rp, unsigned type, const uint8_t *data, size_t len)
{
    switch (type) {
    case RETURN_PONG:
        if (len != 4) {
            return not_understood(rp);
        }
        rp->ops->pong(load_be32(data), rp->opaque);
        return true;
    case RETURN_SHUT:
        if (len != 4) {
            return not_understood(rp);
        }
        if (load_be32(data) == 0) {
            settle(rp, NULL);
        } else {
            rp->refused = true;
            fail(rp, "the destination could not load the stream");
        }
        return false;
    case RETURN_REQUEST:
    case RETURN_REQUEST_NAMED:
        return handle_request(rp, type, data, len);
    case RETURN_BITMAP:
        if (!take_name(rp, data, len)) {
            return not_understood(rp);
        }
        rp->bits = g_byte_array_new();
        return true;
    case RETURN_RESUMED:
        if (len != 4 || load_be32(data) != 1) {
            return not_understood(rp);
        }
        rp->ops->resumed(rp->opaque);
        return true;
    case RETURN_SWITCHOVER_ACK:
        if (len != 0) {
            return not_understood(rp);
        }
        rp->ops->switchover_ack(rp->opaque);
        return true;
    default:
        return not_understood(rp);
    }
}

/* Always false. */
static bool bitmap_failed(ReturnPath *rp, GError *error)
{
    error_prefix(&error, "the destination's bitmap of a RAM block: ");
    settle(rp, error);
    return false;
}

/* Takes bytes of the bitmap that is coming in out of the buffer: its length, then the rest. False: stop. */
static bool handle_bits(ReturnPath *rp)
{
    GError *error = NULL;
    bool begins = rp->bits->len < 8;
    uint64_t len = begins ? 0 : load_be64(rp->bits->data), want = begins ? 8 : len + 16;
    size_t n = MIN(rp->have, want - rp->bits->len);
    g_byte_array_append(rp->bits, rp->buf, n);
    rp->have -= n;
    memmove(rp->buf, rp->buf + n, rp->have);
    if (rp->bits->len < want) {
        return true;
    }
    if (begins) {
        return rp->ops->bitmap_begins(rp->block, load_be64(rp->bits->data), rp->opaque, &error) ||
               bitmap_failed(rp, error);
    }
    g_autoptr(GByteArray) bits = g_steal_pointer(&rp->bits);
    if (load_be64(bits->data + 8 + len) != RETURN_BITMAP_END) {
        return not_understood(rp);
    }
    return rp->ops->bitmap(rp->block, bits->data + 8, len, rp->opaque, &error) || bitmap_failed(rp, error);
}

/* What is in the buffer. False: stop. */
static bool handle_all(ReturnPath *rp)
{
    while (rp->have) {
        if (rp->bits) {
            if (!handle_bits(rp)) {
                return false;
            }
            continue;
        }
        if (rp->have < HEADER) {
            break;
        }
        unsigned type = load_be16(rp->buf), len = load_be16(rp->buf + 2);
        if (len > RETURN_MESSAGE_MAX) {
            fail(rp, "the destination has sent a message that is too long");
            return false;
        }
        if (rp->have < HEADER + len) {
            break;
        }
        bool go_on = handle(rp, type, rp->buf + HEADER, len);
        rp->have -= HEADER + len;
        memmove(rp->buf, rp->buf + HEADER + len, rp->have);
        if (!go_on) {
            return false;
        }
    }
    return true;
}

typedef enum Heard { HEARD_NOTHING, HEARD_SOMETHING, HEARD_LAST } Heard;

static Heard hear(ReturnPath *rp)
{
    GError *error = NULL;
    ssize_t n = io_channel_read(rp->ioc, rp->buf + rp->have, sizeof(rp->buf) - rp->have, &error);
    if (n == -EAGAIN) {
        return HEARD_NOTHING;
    }
    if (n > 0) {
        rp->have += n;
        if (handle_all(rp)) {
            return HEARD_SOMETHING;
        }
    } else if (n == 0) {
        fail(rp, "the destination has closed the connection");
    } else {
        error_prefix(&error, "return path: ");
        settle(rp, error);
    }
    return HEARD_LAST;
}

static gboolean readable(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    return hear(opaque) == HEARD_LAST ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

void return_path_hear_all(ReturnPath *rp)
{
    Heard heard = HEARD_SOMETHING;
    while (heard == HEARD_SOMETHING && !return_path_over(rp)) {
        heard = hear(rp);
    }
    if (heard == HEARD_LAST) {
        io_watch_clear(&rp->watch);
    }
}

ReturnPath *return_path_new(IoChannel *ioc, const ReturnPathOps *ops, void *opaque)
{
    ReturnPath *rp = g_new0(ReturnPath, 1);
    rp->ioc = io_channel_ref(ioc);
    rp->ops = ops;
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
        if (rp->bits) {
            g_byte_array_unref(rp->bits);
        }
        pthread_cond_destroy(&rp->changed);
        pthread_mutex_destroy(&rp->lock);
        g_free(rp);
    }
}

bool return_path_refused(ReturnPath *rp)
{
    return rp->refused;
}

bool return_path_over(ReturnPath *rp)
{
    pthread_mutex_lock(&rp->lock);
    bool over = rp->done || rp->error;
    pthread_mutex_unlock(&rp->lock);
    return over;
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

/* Messages of several threads do not mix. */
static pthread_mutex_t send_lock = PTHREAD_MUTEX_INITIALIZER;

static bool send_all(IoChannel *ioc, const struct iovec *iov, unsigned n, GError **error)
{
    pthread_mutex_lock(&send_lock);
    int r = io_channel_writev_all(ioc, iov, n, error);
    pthread_mutex_unlock(&send_lock);
    if (r < 0) {
        error_prefix(error, "return path: ");
    }
    return r == 0;
}

static bool send_message(IoChannel *ioc, uint16_t type, const void *data, size_t len,
                         GError **error)
{
    uint8_t message[HEADER + RETURN_MESSAGE_MAX];
    struct iovec iov = { message, HEADER + len };
    store_be16(message, type);
    store_be16(message + 2, len);
    memcpy(message + HEADER, data, len);
    return send_all(ioc, &iov, 1, error);
}

static bool send_number(IoChannel *ioc, uint16_t type, uint32_t value, GError **error)
{
    uint8_t data[4];
    store_be32(data, value);
    return send_message(ioc, type, data, sizeof(data), error);
}

bool return_path_send_pong(IoChannel *ioc, uint32_t value, GError **error)
{
    return send_number(ioc, RETURN_PONG, value, error);
}

bool return_path_send_switchover_ack(IoChannel *ioc, GError **error)
{
    return send_message(ioc, RETURN_SWITCHOVER_ACK, "", 0, error);
}

bool return_path_send_resumed(IoChannel *ioc, GError **error)
{
    return send_number(ioc, RETURN_RESUMED, 1, error);
}

static size_t put_name(uint8_t *at, const char *name)
{
    at[0] = strlen(name);
    memcpy(at + 1, name, at[0]);
    return 1 + at[0];
}

bool return_path_send_request(IoChannel *ioc, const char *name, uint64_t start, uint32_t len,
                              GError **error)
{
    uint8_t data[RETURN_MESSAGE_MAX];
    store_be64(data, start);
    store_be32(data + 8, len);
    return name ? send_message(ioc, RETURN_REQUEST_NAMED, data, 12 + put_name(data + 12, name),
                               error)
                : send_message(ioc, RETURN_REQUEST, data, 12, error);
}

bool return_path_send_bitmap(IoChannel *ioc, const char *name, const unsigned long *bits,
                             uint64_t n, GError **error)
{
    uint8_t message[HEADER + 256 + 8], end[8];
    size_t words = (n + 63) / 64, len = put_name(message + HEADER, name);
    g_autofree uint64_t *little = g_new(uint64_t, words);
    for (size_t i = 0; i < words; i++) {
        little[i] = GUINT64_TO_LE(bits[i]);
    }
    store_be16(message, RETURN_BITMAP);
    store_be16(message + 2, len);
    store_be64(message + HEADER + len, words * 8);
    store_be64(end, RETURN_BITMAP_END);
    const struct iovec iov[] = { { message, HEADER + len + 8 }, { little, words * 8 }, { end, 8 } };
    return send_all(ioc, iov, G_N_ELEMENTS(iov), error);
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
    return send_number(ioc, RETURN_SHUT, !ok, error);
}
