/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kind of channel supplies; the rest of include/io/channel.h is generic (channel.c). */
#ifndef IO_CHANNEL_PRIVATE_H
#define IO_CHANNEL_PRIVATE_H

#include "io/channel.h"

typedef struct IoChannelOps {
    /* nfds == NULL: descriptors are not wanted. As io_channel_readv_fds(), called with niov >=
     * 1. */
    ssize_t (*readv)(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                     unsigned *nfds, GError **error);
    ssize_t (*writev)(IoChannel *ioc, const struct iovec *iov, unsigned niov, const int *fds,
                      unsigned nfds, GError **error);
    ssize_t (*preadv)(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                      GError **error);
    ssize_t (*pwritev)(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                       GError **error);
    off_t (*seek)(IoChannel *ioc, off_t offset, int whence, GError **error);
    bool (*set_blocking)(IoChannel *ioc, bool blocking, GError **error);
    void (*set_patience)(IoChannel *ioc, GIOCondition directions);
    void (*set_nodelay)(IoChannel *ioc, bool enabled);
    void (*set_send_buffer)(IoChannel *ioc, int bytes);
    int (*shutdown)(IoChannel *ioc, IoShutdown how, GError **error);
    int (*close)(IoChannel *ioc, GError **error);
    /* Descriptor to poll for a direction (G_IO_IN or G_IO_OUT), -1: always ready. Default: read_fd,
     * write_fd. */
    int (*poll_fd)(IoChannel *ioc, GIOCondition direction);
    /* Frees what the kind owns, after close; not the IoChannel. May be NULL. */
    void (*finalize)(IoChannel *ioc);
} IoChannelOps;

struct IoChannel {
    const IoChannelOps *ops;
    int refs; /* atomic */
    unsigned features;
    bool closed;
    int shut; /* atomic, IoShutdown bits */
    int read_fd, write_fd;
    int wake_fd; /* eventfd that a shutdown makes readable, -1: the descriptor wakes by itself */
    char *name;
};

/* A zeroed channel of `size` bytes whose first member is an IoChannel. */
void *io_channel_alloc(size_t size, const IoChannelOps *ops);
/* -err with an error "NAME: TEXT: strerror". */
int io_channel_fail(const IoChannel *ioc, int err, const char *text, GError **error);

#endif
