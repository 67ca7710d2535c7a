/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output: one vector of small things (collected in an arena) and of guest memory (referred to), written with as
 * few system calls as the kernel allows. Pages are not copied before the kernel copies them.
 */
#include "util/osdep.h"
#include "out.h"

#include "util/bytes.h"
#include "util/error.h"
#include "write.h"

#define ARENA_SIZE (64 * 1024)
#define VECTOR_SIZE 1024 /* the kernel's limit, IOV_MAX */
/* What may be on its way; the kernel doubles it. With its default the two sides wait for each other every few pages; more than
 * this gains nothing. */
#define SEND_BUFFER (512 * 1024)

struct MigrationOut {
    IoChannel *ioc;
    GError *error;
    uint64_t put;     /* bytes in all */
    uint64_t written; /* atomic */
    size_t arena_used;
    unsigned n_iov;
    struct iovec iov[VECTOR_SIZE];
    uint8_t arena[ARENA_SIZE];
};

MigrationOut *out_new(IoChannel *ioc)
{
    MigrationOut *out = g_malloc(sizeof(*out));
    memset(out, 0, offsetof(MigrationOut, iov));
    out->ioc = io_channel_ref(ioc);
    io_channel_set_nodelay(ioc, true); /* what is written is as much as there is */
    io_channel_set_send_buffer(ioc, SEND_BUFFER);
    io_channel_set_blocking(ioc, false, NULL); /* so that a wait can be ended from another thread */
    io_channel_set_patience(ioc, G_IO_OUT);
    return out;
}

void out_expect(MigrationOut *out, size_t len)
{
    if (len > SEND_BUFFER) {
        io_channel_set_send_buffer(out->ioc, MIN(len, G_MAXINT));
    }
}

void out_free(MigrationOut *out)
{
    if (out) {
        io_channel_unref(out->ioc);
        g_clear_error(&out->error);
        g_free(out);
    }
}

bool out_ok(const MigrationOut *out)
{
    return !out->error;
}

const GError *out_error(const MigrationOut *out)
{
    return out->error;
}

uint64_t out_tell(const MigrationOut *out)
{
    return out->put;
}

uint64_t out_written(const MigrationOut *out)
{
    return __atomic_load_n(&out->written, __ATOMIC_RELAXED);
}

bool out_flush(MigrationOut *out)
{
    if (!out->error) {
        write_vector(out->ioc, out->iov, out->n_iov, &out->written, &out->error);
    }
    out->n_iov = 0;
    out->arena_used = 0;
    return !out->error;
}

static inline void add_iov(MigrationOut *out, const void *base, size_t len)
{
    struct iovec *last = out->n_iov ? &out->iov[out->n_iov - 1] : NULL;
    if (last && (const char *)last->iov_base + last->iov_len == base) {
        last->iov_len += len;
    } else {
        out->iov[out->n_iov++] = (struct iovec){ (void *)base, len };
    }
    out->put += len;
}

/* len (small) bytes of the arena, which are part of the output. */
static inline uint8_t *room(MigrationOut *out, size_t len)
{
    if (G_UNLIKELY(out->arena_used + len > ARENA_SIZE || out->n_iov == VECTOR_SIZE)) {
        out_flush(out);
    }
    uint8_t *at = out->arena + out->arena_used;
    out->arena_used += len;
    add_iov(out, at, len);
    return at;
}

void out_put_u8(MigrationOut *out, uint8_t v)
{
    *room(out, 1) = v;
}

void out_put_be16(MigrationOut *out, uint16_t v)
{
    store_be16(room(out, 2), v);
}

void out_put_be32(MigrationOut *out, uint32_t v)
{
    store_be32(room(out, 4), v);
}

void out_put_be64(MigrationOut *out, uint64_t v)
{
    store_be64(room(out, 8), v);
}

void out_put_bytes(MigrationOut *out, const void *data, size_t len)
{
    const char *from = data;
    while (len) {
        size_t n = MIN(len, ARENA_SIZE);
        memcpy(room(out, n), from, n);
        from += n;
        len -= n;
    }
}

void out_put_counted_string(MigrationOut *out, const char *s)
{
    size_t len = strlen(s);
    g_assert(len <= 255);
    uint8_t *at = room(out, len + 1);
    at[0] = len;
    memcpy(at + 1, s, len);
}

void out_put_memory(MigrationOut *out, const void *data, size_t len)
{
    if (G_UNLIKELY(out->n_iov == VECTOR_SIZE)) {
        out_flush(out);
    }
    add_iov(out, data, len);
}

/* ---- files ---- */

IoChannel *out_channel(MigrationOut *out)
{
    return out->ioc;
}

static bool flush(MigrationOut *out, GError **error)
{
    if (out_flush(out)) {
        return true;
    }
    g_propagate_error(error, g_error_copy(out->error));
    return false;
}

off_t out_position(MigrationOut *out, GError **error)
{
    return flush(out, error) ? io_channel_seek(out->ioc, 0, SEEK_CUR, error) : -1;
}

bool out_seek(MigrationOut *out, off_t position, GError **error)
{
    return flush(out, error) && io_channel_seek(out->ioc, position, SEEK_SET, error) >= 0;
}
