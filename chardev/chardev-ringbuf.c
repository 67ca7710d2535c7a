/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chardev "ringbuf" (also "memory"): the last bytes that the front end wrote, for ringbuf-read. */
#include "util/osdep.h"

#include "chardev-private.h"
#include "qapi/commands-char.h"
#include "util/error.h"

#define RINGBUF_DEFAULT 65536
#define RINGBUF_MAX (INT64_C(1) << 30)

typedef struct RingbufChardev {
    Chardev base;
    uint8_t *data;
    size_t size;                 /* power of two */
    uint64_t produced, consumed; /* bytes since the start; lock */
} RingbufChardev;

static bool ringbuf_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    RingbufChardev *rb = (RingbufChardev *)chr;
    const ChardevRingbuf *options = backend->type == CHARDEV_BACKEND_KIND_MEMORY
                                        ? backend->u.memory.data
                                        : backend->u.ringbuf.data;
    int64_t size = options->has_size ? options->size : RINGBUF_DEFAULT;

    if (size <= 0 || (size & (size - 1)) || size > RINGBUF_MAX) {
        return error_set(error, "size of ringbuf chardev must be power of two");
    }
    rb->size = (size_t)size;
    rb->data = g_malloc0(rb->size);
    chr->be_open = true;
    return true;
}

static ssize_t ringbuf_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    RingbufChardev *rb = (RingbufChardev *)chr;

    for (size_t i = 0; i < len; i++) {
        rb->data[rb->produced++ & (rb->size - 1)] = buf[i];
    }
    if (rb->produced - rb->consumed > rb->size) {
        rb->consumed = rb->produced - rb->size;
    }
    return (ssize_t)len;
}

static GByteArray *ringbuf_take(Chardev *chr, size_t max)
{
    RingbufChardev *rb = (RingbufChardev *)chr;
    GByteArray *out = g_byte_array_new();

    g_mutex_lock(&chr->lock);
    while (out->len < max && rb->consumed < rb->produced) {
        g_byte_array_append(out, &rb->data[rb->consumed++ & (rb->size - 1)], 1);
    }
    g_mutex_unlock(&chr->lock);
    return out;
}

static void ringbuf_finalize(Chardev *chr)
{
    g_free(((RingbufChardev *)chr)->data);
}

static const ChardevOps ringbuf_ops = {
    .kind = CHARDEV_BACKEND_KIND_RINGBUF,
    .size = sizeof(RingbufChardev),
    .open = ringbuf_open,
    .write = ringbuf_write,
    .finalize = ringbuf_finalize,
};
CHARDEV_REGISTER(ringbuf_ops)

static const ChardevOps memory_ops = {
    .kind = CHARDEV_BACKEND_KIND_MEMORY,
    .size = sizeof(RingbufChardev),
    .open = ringbuf_open,
    .write = ringbuf_write,
    .finalize = ringbuf_finalize,
};
CHARDEV_REGISTER(memory_ops)

/* ---- QMP ---- */

static Chardev *find_ringbuf(const char *device, GError **error)
{
    Chardev *chr = chardev_find(device);

    if (!chr) {
        error_set(error, "Device '%s' not found", device);
    } else if (chr->ops->open != ringbuf_open) {
        error_set(error, "%s is not a ringbuf device", device);
        chr = NULL;
    }
    return chr;
}

/* g_base64_decode() skips what it does not know; a client should hear of it. */
static uint8_t *decode_base64(const char *text, size_t *len, GError **error)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    gsize n;
    size_t body = strspn(text, digits);
    size_t pad = strspn(text + body, "=");
    uint8_t *data;

    if (text[body + pad]) {
        error_set(error, "Base64 data contains invalid characters");
        return NULL;
    }
    if (pad > 2 || (body + pad) % 4) {
        error_set(error, "Base64 data '%s' has an invalid length", text);
        return NULL;
    }
    data = g_base64_decode(text, &n);
    *len = n;
    return data;
}

bool qmp_ringbuf_write(const char *device, const char *data, bool has_format, DataFormat format,
                       GError **error)
{
    Chardev *chr = find_ringbuf(device, error);
    g_autofree uint8_t *bytes = NULL;
    size_t len;

    if (!chr) {
        return false;
    }
    if (has_format && format == DATA_FORMAT_BASE64) {
        bytes = decode_base64(data, &len, error);
        if (!bytes) {
            return false;
        }
    } else {
        len = strlen(data);
    }
    g_mutex_lock(&chr->lock);
    ringbuf_write(chr, bytes ? bytes : (const uint8_t *)data, len);
    g_mutex_unlock(&chr->lock);
    return true;
}

bool qmp_ringbuf_read(const char *device, int64_t size, bool has_format, DataFormat format,
                      char **ret, GError **error)
{
    Chardev *chr = find_ringbuf(device, error);
    GByteArray *bytes;

    if (!chr) {
        return false;
    }
    if (size <= 0) {
        return error_set(error, "size must be greater than zero");
    }
    bytes = ringbuf_take(chr, (size_t)size);
    if (has_format && format == DATA_FORMAT_BASE64) {
        *ret = bytes->len ? g_base64_encode(bytes->data, bytes->len) : g_strdup("");
    } else {
        /* what is not UTF-8 becomes U+FFFD; so do NULs, which text cannot hold */
        *ret = bytes->len ? g_utf8_make_valid((const char *)bytes->data, (gssize)bytes->len)
                          : g_strdup("");
    }
    g_byte_array_unref(bytes);
    return true;
}
