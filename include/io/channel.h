/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: byte streams over sockets, files, pipes and child processes, blocking or not.
 *
 * I1  A channel is reference counted; the last unref closes it. Counting is atomic.
 * I2  One reader and one writer may work at the same time in two threads. io_channel_shutdown() may
 *     be called from any thread and makes both return soon; it is how a blocked migration thread is
 *     cancelled.
 * I3  Descriptors are close-on-exec. Received ones too, and they belong to the caller.
 *
 * Transfers return bytes moved (0 = end of file, for reads), or -errno with *error set; -EAGAIN, of
 * a non-blocking channel only, sets no error. EINTR never comes out, SIGPIPE is never raised by a
 * socket.
 */
#ifndef IO_CHANNEL_H
#define IO_CHANNEL_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <glib.h>

typedef struct IoChannel IoChannel;

typedef enum IoFeature {
    IO_FEATURE_FD_PASS = 1 << 0, /* unix sockets: descriptors travel with data */
    IO_FEATURE_SHUTDOWN = 1 << 1,
    IO_FEATURE_SEEKABLE = 1 << 2, /* pread and pwrite work */
} IoFeature;

/* Most descriptors in one transfer. */
#define IO_MAX_FDS 16

IoChannel *io_channel_ref(IoChannel *ioc);
void io_channel_unref(IoChannel *ioc); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IoChannel, io_channel_unref)

/* For messages and the names of sources; copied. */
void io_channel_set_name(IoChannel *ioc, const char *name);
const char *io_channel_name(const IoChannel *ioc);
bool io_channel_has_feature(const IoChannel *ioc, IoFeature feature);
/* The descriptor, -1 if there is not exactly one (exec:, fault injection). Stays the channel's. */
int io_channel_fd(const IoChannel *ioc);

ssize_t io_channel_readv(IoChannel *ioc, const struct iovec *iov, unsigned niov, GError **error);
ssize_t io_channel_writev(IoChannel *ioc, const struct iovec *iov, unsigned niov, GError **error);
ssize_t io_channel_read(IoChannel *ioc, void *buf, size_t len, GError **error);
ssize_t io_channel_write(IoChannel *ioc, const void *buf, size_t len, GError **error);
/* With descriptors (IO_FEATURE_FD_PASS): sent with the first byte; received into fds[IO_MAX_FDS],
 * *nfds set. */
ssize_t io_channel_readv_fds(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                             unsigned *nfds, GError **error);
ssize_t io_channel_writev_fds(IoChannel *ioc, const struct iovec *iov, unsigned niov,
                              const int *fds, unsigned nfds, GError **error);

/* Whole buffers: wait as needed, also on a non-blocking channel. 0, or -errno with an error; end of
 * file before the last byte is -ENODATA. */
int io_channel_read_all(IoChannel *ioc, void *buf, size_t len, GError **error);
int io_channel_write_all(IoChannel *ioc, const void *buf, size_t len, GError **error);
/* Changes nothing in iov. */
int io_channel_writev_all(IoChannel *ioc, const struct iovec *iov, unsigned niov, GError **error);
/* As read_all; 1 = read, 0 = end of file before the first byte. */
int io_channel_read_all_eof(IoChannel *ioc, void *buf, size_t len, GError **error);

/* At a file offset, without moving the stream's position (IO_FEATURE_SEEKABLE). */
ssize_t io_channel_preadv(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                          GError **error);
ssize_t io_channel_pwritev(IoChannel *ioc, const struct iovec *iov, unsigned niov, off_t offset,
                           GError **error);
/* The stream's position, or -errno. whence as lseek(). */
off_t io_channel_seek(IoChannel *ioc, off_t offset, int whence, GError **error);

bool io_channel_set_blocking(IoChannel *ioc, bool blocking, GError **error);
/* A non-blocking channel may wait a little, in the kernel, before a transfer in these directions returns -EAGAIN or less than all:
 * one system call instead of three where the other side keeps up. For a thread that has nothing else to do, and would only call
 * io_channel_wait(). A shutdown ends it. Sockets only, ignored elsewhere. */
void io_channel_set_patience(IoChannel *ioc, GIOCondition directions);
/* TCP only, ignored elsewhere. */
void io_channel_set_nodelay(IoChannel *ioc, bool enabled);
/* About how much the kernel takes before the reader has it, as far as the host allows; unix sockets only, ignored
 * elsewhere. */
void io_channel_set_send_buffer(IoChannel *ioc, int bytes);

typedef enum IoShutdown {
    IO_SHUTDOWN_READ = 1,
    IO_SHUTDOWN_WRITE = 2,
    IO_SHUTDOWN_BOTH = 3,
} IoShutdown;
/* Ends one or both directions; any thread, may be repeated. Pipes and files: pending waits of
 * *_all() end, a system call that is blocked in the kernel does not. */
int io_channel_shutdown(IoChannel *ioc, IoShutdown how, GError **error);
/* Closes now; exec: waits for the child and reports its exit status. Later transfers return
 * -EBADF. */
int io_channel_close(IoChannel *ioc, GError **error);

/* Waits until the condition holds (G_IO_IN, G_IO_OUT), the channel is shut down, or timeout_ms
 * passed (-1: never). Returns 1, or 0 on timeout. */
int io_channel_wait(IoChannel *ioc, GIOCondition cond, int timeout_ms);

/* Return G_SOURCE_CONTINUE or G_SOURCE_REMOVE. */
typedef gboolean IoWatchFunc(IoChannel *ioc, GIOCondition cond, void *opaque);
/* A source attached to ctx (NULL: main loop) that calls func while cond (or HUP, ERR) holds. Holds
 * a reference on the channel. The caller owns a reference on the source: g_source_destroy() and
 * g_source_unref(), or io_watch_clear(). */
GSource *io_channel_add_watch(IoChannel *ioc, GIOCondition cond, IoWatchFunc *func, void *opaque,
                              GMainContext *ctx);
/* The same, neither attached nor with a callback yet. */
GSource *io_channel_new_watch(IoChannel *ioc, GIOCondition cond);
/* As io_channel_add_watch(): calls func when the peer has ended, also if there is still something to be read. NULL: this channel
 * (exec:, fault injection) does not say so. Not for channels with zero-copy writes, whose notices look like errors. */
GSource *io_channel_add_end_watch(IoChannel *ioc, IoWatchFunc *func, void *opaque, GMainContext *ctx);
/* Destroys and forgets *source; NULL inside is allowed. */
void io_watch_clear(GSource **source);

/* --- files, descriptors, commands ------------------------------------------------------------- */

/* Takes fd. A socket becomes a socket channel, anything else a descriptor channel. Names itself
 * "fd:N". */
IoChannel *io_channel_new_fd(int fd, GError **error);
/* Two descriptors, one per direction (stdio, pipes). Takes both; they may be equal; -1 for a
 * missing direction. */
IoChannel *io_channel_new_fd_pair(int read_fd, int write_fd);
/* io_open() with these open(2) flags. */
IoChannel *io_channel_new_file(const char *path, int flags, int mode, GError **error);
/* argv with standard input (G_IO_OUT) and/or output (G_IO_IN) connected to the channel. */
IoChannel *io_channel_new_command(const char *const *argv, GIOCondition direction, GError **error);
/* "/bin/sh -c command", as exec: has it. */
IoChannel *io_channel_new_shell(const char *command, GIOCondition direction, GError **error);
/* In memory; what is written can be read. For tests and for building buffers. */
IoChannel *io_channel_new_buffer(size_t size_hint);
/* The bytes written and not yet read (valid until the next write). */
const uint8_t *io_channel_buffer_data(IoChannel *ioc, size_t *len);

#endif
