/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A channel in memory: what is written is read again, in order. Not for two threads at a time. */
#include "util/osdep.h"

#include "channel-private.h"

typedef struct IoBufferChannel {
    IoChannel base;
    GByteArray *data;
    size_t read_pos;
} IoBufferChannel;

static ssize_t buffer_readv(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                            unsigned *nfds, GError **error)
{
    IoBufferChannel *bc = (IoBufferChannel *)ioc;
    size_t total = 0;

    for (unsigned i = 0; i < niov; i++) {
        size_t n = MIN(iov[i].iov_len, bc->data->len - bc->read_pos);

        if (n) {
            memcpy(iov[i].iov_base, bc->data->data + bc->read_pos, n);
        }
        bc->read_pos += n;
        total += n;
    }
    return (ssize_t)total;
}

static ssize_t buffer_writev(IoChannel *ioc, const struct iovec *iov, unsigned niov, const int *fds,
                             unsigned nfds, GError **error)
{
    IoBufferChannel *bc = (IoBufferChannel *)ioc;
    size_t total = 0;

    if (bc->read_pos == bc->data->len) {
        g_byte_array_set_size(bc->data, 0);
        bc->read_pos = 0;
    }
    for (unsigned i = 0; i < niov; i++) {
        if (bc->data->len + iov[i].iov_len > G_MAXINT) {
            return io_channel_fail(ioc, ENOSPC, "cannot write", error);
        }
        g_byte_array_append(bc->data, iov[i].iov_base, (guint)iov[i].iov_len);
        total += iov[i].iov_len;
    }
    return (ssize_t)total;
}

static int buffer_close(IoChannel *ioc, GError **error)
{
    return 0;
}

static void buffer_finalize(IoChannel *ioc)
{
    g_byte_array_unref(((IoBufferChannel *)ioc)->data);
}

static const IoChannelOps buffer_ops = {
    .readv = buffer_readv,
    .writev = buffer_writev,
    .close = buffer_close,
    .finalize = buffer_finalize,
};

IoChannel *io_channel_new_buffer(size_t size_hint)
{
    IoBufferChannel *bc = io_channel_alloc(sizeof(*bc), &buffer_ops);

    bc->data = g_byte_array_sized_new((guint)MIN(size_hint, 1u << 20));
    io_channel_set_name(&bc->base, "buffer");
    return &bc->base;
}

const uint8_t *io_channel_buffer_data(IoChannel *ioc, size_t *len)
{
    IoBufferChannel *bc = (IoBufferChannel *)ioc;

    g_assert(ioc->ops == &buffer_ops);
    *len = bc->data->len - bc->read_pos;
    return bc->data->data + bc->read_pos;
}
