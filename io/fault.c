/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A channel that misbehaves on a plan. See include/io/fault.h. */
#include "util/osdep.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "channel-private.h"
#include "io/fault.h"
#include "util/error.h"

typedef struct Direction {
    uint64_t pos;
    uint32_t random; /* state of the generator */
    unsigned attempts;
} Direction;

typedef struct IoFaultChannel {
    IoChannel base;
    IoChannel *inner;
    IoFaultPlan plan;
    Direction in, out;
    bool blocking;
    int never_fd; /* never readable or writable */
} IoFaultChannel;

/* xorshift32: the same lengths for the same seed */
static uint32_t next_random(Direction *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 17;
    d->random ^= d->random << 5;
    return d->random;
}

/* How much may be moved now, before the next fault at one of these positions. */
static size_t allowance(IoFaultChannel *fc, Direction *d, const int64_t *stops, unsigned n)
{
    size_t len = SIZE_MAX;

    if (fc->plan.max_transfer) {
        len = 1 + next_random(d) % fc->plan.max_transfer;
    }
    for (unsigned i = 0; i < n; i++) {
        if (stops[i] >= 0 && (uint64_t)stops[i] > d->pos) {
            len = MIN(len, (size_t)((uint64_t)stops[i] - d->pos));
        }
    }
    return len;
}

static bool reached(int64_t at, const Direction *d)
{
    return at >= 0 && d->pos >= (uint64_t)at;
}

/* Shortens the vector to len bytes; a new array. */
static struct iovec *cut(const struct iovec *iov, unsigned *niov, size_t len)
{
    struct iovec *copy = g_memdup2(iov, *niov * sizeof(*iov));

    for (unsigned i = 0; i < *niov; i++) {
        if (copy[i].iov_len >= len) {
            copy[i].iov_len = len;
            *niov = i + 1;
            break;
        }
        len -= copy[i].iov_len;
    }
    return copy;
}

static bool plays_eagain(IoFaultChannel *fc, Direction *d)
{
    return !fc->blocking && fc->plan.eagain_every && ++d->attempts % fc->plan.eagain_every == 0;
}

/* -EAGAIN, or blocks until a shutdown. */
static ssize_t stall(IoFaultChannel *fc, IoShutdown how)
{
    struct pollfd pfd = { fc->base.wake_fd, POLLIN, 0 };

    while (!(g_atomic_int_get(&fc->base.shut) & how)) {
        if (!fc->blocking) {
            return -EAGAIN;
        }
        poll(&pfd, 1, -1);
    }
    return 0;
}

static void flip_bit(IoFaultChannel *fc, const struct iovec *iov, unsigned niov, ssize_t n)
{
    int64_t at = fc->plan.read_flip_at - (int64_t)fc->in.pos;

    if (fc->plan.read_flip_at < 0 || at < 0 || at >= n) {
        return;
    }
    for (unsigned i = 0; i < niov; i++) {
        if ((size_t)at < iov[i].iov_len) {
            ((uint8_t *)iov[i].iov_base)[at] ^= (uint8_t)(1u << (fc->plan.read_flip_bit & 7));
            return;
        }
        at -= (int64_t)iov[i].iov_len;
    }
}

static ssize_t fault_readv(IoChannel *ioc, const struct iovec *iov, unsigned niov, int *fds,
                           unsigned *nfds, GError **error)
{
    IoFaultChannel *fc = (IoFaultChannel *)ioc;
    const int64_t stops[] = { fc->plan.read_eof_at, fc->plan.read_reset_at,
                              fc->plan.read_stall_at };
    g_autofree struct iovec *part = NULL;
    ssize_t n;

    if (reached(fc->plan.read_reset_at, &fc->in)) {
        return io_channel_fail(ioc, ECONNRESET, "cannot read", error);
    }
    if (reached(fc->plan.read_eof_at, &fc->in)) {
        return 0;
    }
    if (reached(fc->plan.read_stall_at, &fc->in)) {
        return stall(fc, IO_SHUTDOWN_READ);
    }
    if (plays_eagain(fc, &fc->in)) {
        return -EAGAIN;
    }
    part = cut(iov, &niov, allowance(fc, &fc->in, stops, G_N_ELEMENTS(stops)));
    n = io_channel_readv_fds(fc->inner, part, niov, fds, nfds, error);
    if (n > 0) {
        flip_bit(fc, part, niov, n);
        fc->in.pos += (uint64_t)n;
    }
    return n;
}

static ssize_t fault_writev(IoChannel *ioc, const struct iovec *iov, unsigned niov, const int *fds,
                            unsigned nfds, GError **error)
{
    IoFaultChannel *fc = (IoFaultChannel *)ioc;
    const int64_t stops[] = { fc->plan.write_reset_at, fc->plan.write_stall_at };
    g_autofree struct iovec *part = NULL;
    ssize_t n;

    if (reached(fc->plan.write_reset_at, &fc->out)) {
        return io_channel_fail(ioc, EPIPE, "cannot write", error);
    }
    if (reached(fc->plan.write_stall_at, &fc->out)) {
        n = stall(fc, IO_SHUTDOWN_WRITE);
        return n ? n : io_channel_fail(ioc, EPIPE, "cannot write", error);
    }
    if (plays_eagain(fc, &fc->out)) {
        return -EAGAIN;
    }
    part = cut(iov, &niov, allowance(fc, &fc->out, stops, G_N_ELEMENTS(stops)));
    n = io_channel_writev_fds(fc->inner, part, niov, fds, nfds, error);
    fc->out.pos += n > 0 ? (uint64_t)n : 0;
    return n;
}

static bool fault_set_blocking(IoChannel *ioc, bool blocking, GError **error)
{
    IoFaultChannel *fc = (IoFaultChannel *)ioc;

    fc->blocking = blocking;
    return io_channel_set_blocking(fc->inner, blocking, error);
}

static void fault_set_patience(IoChannel *ioc, GIOCondition directions)
{
    io_channel_set_patience(((IoFaultChannel *)ioc)->inner, directions);
}

static void fault_set_nodelay(IoChannel *ioc, bool enabled)
{
    io_channel_set_nodelay(((IoFaultChannel *)ioc)->inner, enabled);
}

static int fault_shutdown(IoChannel *ioc, IoShutdown how, GError **error)
{
    return io_channel_shutdown(((IoFaultChannel *)ioc)->inner, how, error);
}

static int fault_close(IoChannel *ioc, GError **error)
{
    return io_channel_close(((IoFaultChannel *)ioc)->inner, error);
}

/* Planned ends and errors are ready at once, a stall never. */
static int fault_poll_fd(IoChannel *ioc, GIOCondition direction)
{
    IoFaultChannel *fc = (IoFaultChannel *)ioc;
    const IoChannelOps *ops = fc->inner->ops;
    bool in = direction == G_IO_IN;
    const Direction *d = in ? &fc->in : &fc->out;

    if (reached(in ? fc->plan.read_stall_at : fc->plan.write_stall_at, d)) {
        return fc->never_fd;
    }
    if (reached(in ? fc->plan.read_reset_at : fc->plan.write_reset_at, d) ||
        (in && reached(fc->plan.read_eof_at, d))) {
        return -1;
    }
    if (ops->poll_fd) {
        return ops->poll_fd(fc->inner, direction);
    }
    return in ? fc->inner->read_fd : fc->inner->write_fd;
}

static void fault_finalize(IoChannel *ioc)
{
    IoFaultChannel *fc = (IoFaultChannel *)ioc;

    io_channel_unref(fc->inner);
    close(fc->never_fd);
}

static void fault_set_send_buffer(IoChannel *ioc, int bytes)
{
    io_channel_set_send_buffer(((IoFaultChannel *)ioc)->inner, bytes);
}

static const IoChannelOps fault_ops = {
    .readv = fault_readv,
    .writev = fault_writev,
    .set_blocking = fault_set_blocking,
    .set_patience = fault_set_patience,
    .set_nodelay = fault_set_nodelay,
    .set_send_buffer = fault_set_send_buffer,
    .shutdown = fault_shutdown,
    .close = fault_close,
    .poll_fd = fault_poll_fd,
    .finalize = fault_finalize,
};

void io_fault_plan_init(IoFaultPlan *plan)
{
    *plan = (IoFaultPlan){
        .seed = 1,
        .read_eof_at = -1,
        .read_reset_at = -1,
        .write_reset_at = -1,
        .read_stall_at = -1,
        .write_stall_at = -1,
        .read_flip_at = -1,
    };
}

IoChannel *io_fault_new(IoChannel *inner, const IoFaultPlan *plan)
{
    IoFaultChannel *fc = io_channel_alloc(sizeof(*fc), &fault_ops);

    fc->inner = inner;
    fc->plan = *plan;
    fc->blocking = true;
    fc->in.random = plan->seed ? plan->seed : 1;
    fc->out.random = ~fc->in.random ? ~fc->in.random : 1;
    fc->base.features = inner->features & ~(unsigned)IO_FEATURE_SEEKABLE;
    fc->base.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fc->never_fd =
        epoll_create1(EPOLL_CLOEXEC); /* watches nothing: never readable, never writable */
    io_channel_set_name(&fc->base, io_channel_name(inner));
    return &fc->base;
}

void io_fault_position(IoChannel *ioc, uint64_t *bytes_read, uint64_t *bytes_written)
{
    IoFaultChannel *fc = (IoFaultChannel *)ioc;

    g_assert(ioc->ops == &fault_ops);
    *bytes_read = fc->in.pos;
    *bytes_written = fc->out.pos;
}
