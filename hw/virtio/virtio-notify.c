/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kicks from the driver and interrupts to it (VIRTIO 1.2, 2.3, 2.9, 2.10).
 *
 * N1  While a device is started each of its enabled queues has an eventfd for kicks, which the transport has the driver's
 *     writes signal where it can. It is read in the queue's context, or by who has taken it.
 * N2  When virtqueue_stop_kicks() returns, the queue's thread is not in the handler and will not enter it.
 * N3  A queue outside the main loop, or with a taken call, has an eventfd for interrupts. Either an irqfd reads it or the
 *     main loop, never both. What was signalled before a stop is an interrupt, or pending, after it.
 */
#include "util/osdep.h"

#include <glib-unix.h>
#include <sys/eventfd.h>

#include "system/runstate.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "util/trace.h"
#include "virtio-internal.h"

TRACE_EVENT(virtio_queue_notify)
TRACE_EVENT(virtio_notify)
TRACE_EVENT(virtio_notify_irqfd)

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    ssize_t r;

    do {
        r = write(fd, &one, sizeof(one));
    } while (r < 0 && errno == EINTR); /* EAGAIN: signalled as much as can be */
}

static bool read_fd(int fd)
{
    uint64_t count;
    ssize_t r;

    do {
        r = read(fd, &count, sizeof(count));
    } while (r < 0 && errno == EINTR);
    return r == sizeof(count);
}

static int new_fd(GError **error)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        error_set_errno(error, errno, "eventfd");
    }
    return fd;
}

/* GLib takes descriptors of a source that must not recurse out of its context for the time of the callback, and wakes the
 * loop for each that it puts back: three system calls and a turn more for each event. */
static GSource *watch(int fd, GUnixFDSourceFunc func, VirtQueue *vq, GMainContext *ctx)
{
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);

    g_source_set_can_recurse(source, TRUE);
    g_source_set_callback(source, G_SOURCE_FUNC(func), vq, NULL);
    g_source_attach(source, ctx);
    return source;
}

static const VirtioBus *bus_of(const VirtioDevice *vdev)
{
    return (const VirtioBus *)vdev->device.bus;
}

/* What a queue's thread does with it (opaque) is done by context_run(), with the big lock held: an iothread never waits for
 * that (system/iothread.h I1). */

/* ---- kicks --------------------------------------------------------------------------------------------------------- */

/* A handler that iterates the loop may find itself kicked: that is for its end. */
static void run_handler(VirtQueue *vq)
{
    if (vq->in_handler) {
        vq->kicked_again = true;
        return;
    }
    vq->in_handler = true;
    do {
        vq->kicked_again = false;
        trace(virtio_queue_notify, "vdev %p n %u vq %p", (void *)vq->vdev, vq->n, (void *)vq);
        vq->handler(vq->vdev, vq);
    } while (vq->kicked_again && virtqueue_usable(vq));
    vq->in_handler = false;
}

static gboolean kick_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    VirtQueue *vq = opaque;

    if (read_fd(fd) && virtqueue_usable(vq) && vq->handler) {
        run_handler(vq);
    }
    return G_SOURCE_CONTINUE;
}

/* ---- busy waits of an iothread: the ring is looked at, the driver need not kick ---- */

static void poll_found(void *opaque)
{
    VirtQueue *vq = opaque;

    if (vq->kick_source && virtqueue_usable(vq) && vq->handler) {
        run_handler(vq);
    }
}

static bool poll_look(LoopPoller *poller)
{
    VirtQueue *vq = (VirtQueue *)((char *)poller - offsetof(VirtQueue, poller));

    if (virtqueue_empty(vq)) {
        return false;
    }
    bh_schedule(vq->poll_bh);
    return true;
}

static void poll_watched(LoopPoller *poller, bool on)
{
    VirtQueue *vq = (VirtQueue *)((char *)poller - offsetof(VirtQueue, poller));
    bool wanted = vq->notification;

    if (on) {
        virtio_queue_set_notification(vq, false);
        vq->notification = wanted;
        vq->polled = true;
    } else {
        vq->polled = false;
        virtio_queue_set_notification(vq, wanted);
    }
}

static void attach_source(void *opaque)
{
    VirtQueue *vq = opaque;

    vq->kick_source = watch(vq->kick_fd, kick_readable, vq, vq->ctx);
    if (vq->ctx) {
        vq->poll_bh = bh_new(vq->ctx, "virtqueue-poll", poll_found, vq);
        vq->poller = (LoopPoller){ .look = poll_look, .watched = poll_watched };
        loop_poller_add(&vq->poller);
    }
}

/*
 * A kick that has come is acted upon before the machine stands still: not every destination looks by itself. A handler that
 * asks for another call (virtqueue_burst()) gets it as often as it takes for a full ring.
 */
static void last_kick(void *opaque)
{
    VirtQueue *vq = opaque;
    bool polled = vq->polled; /* who is polled is not kicked */

    for (unsigned calls = 0; calls < 3 && vq->kick_source && (read_fd(vq->kick_fd) || polled) &&
                             virtqueue_usable(vq) && vq->handler;
         calls++) {
        vq->handler(vq->vdev, vq);
        polled = false;
    }
}

void virtqueue_last_kick(VirtQueue *vq)
{
    context_run(vq->ctx, last_kick, vq);
}

static void detach_source(void *opaque)
{
    VirtQueue *vq = opaque;

    if (vq->poll_bh) {
        loop_poller_remove(&vq->poller);
        bh_delete(vq->poll_bh);
        vq->poll_bh = NULL;
    }
    if (vq->kick_source) {
        g_source_destroy(vq->kick_source);
        g_source_unref(vq->kick_source);
        vq->kick_source = NULL;
    }
}

static bool make_kick(VirtQueue *vq, GError **error)
{
    const VirtioBus *bus = bus_of(vq->vdev);

    if (vq->kick_fd >= 0) {
        return true;
    }
    vq->kick_fd = new_fd(error);
    if (vq->kick_fd < 0) {
        return false;
    }
    if (vq->kick_taken || vq->ctx || bus->ops->ioeventfd(bus->opaque)) {
        vq->kick_registered = bus->ops->add_kick(bus->opaque, vq->n, vq->kick_fd);
    }
    return true;
}

static void enable_notification(void *opaque)
{
    VirtQueue *vq = opaque;

    if (!vq->kick_taken) {
        virtio_queue_set_notification(vq, true);
    }
}

void virtqueue_start_kicks(VirtQueue *vq)
{
    g_autoptr(GError) error = NULL;

    if (!vq->enabled || vq->kick_source || !vq->max_size) {
        return;
    }
    if (!make_kick(vq, &error) ||
        (vq->ctx && vq->call_fd < 0 && (vq->call_fd = new_fd(&error)) < 0)) {
        virtio_error(vq->vdev, "queue %u: %s", vq->n, error->message);
        return;
    }
    virtqueue_update_call(vq);
    if (!vq->kick_taken && !vq->kick_source) {
        context_run(vq->ctx, enable_notification, vq);
        context_run(vq->ctx, attach_source, vq);
    }
    if (!vq->kick_taken) {      /* who has taken it signals when the other side is ready */
        signal_fd(vq->kick_fd); /* W5 */
    }
}

/* No new kicks reach the handler (N2). */
void virtqueue_stop_kicks(VirtQueue *vq)
{
    const VirtioBus *bus = bus_of(vq->vdev);

    if (vq->kick_registered) {
        bus->ops->del_kick(bus->opaque, vq->n, vq->kick_fd);
        vq->kick_registered = false;
    }
    if (vq->kick_source) {
        context_run(vq->ctx, detach_source, vq);
    }
}

void virtqueue_kicked(VirtQueue *vq)
{
    VirtioDevice *vdev = vq->vdev;

    if (!vdev->started || !virtqueue_usable(vq)) {
        return; /* W5: at the start */
    }
    if (vq->kick_taken || vq->ctx) {
        signal_fd(vq->kick_fd);
    } else if (vq->handler) {
        trace(virtio_queue_notify, "vdev %p n %u vq %p", (void *)vdev, vq->n, (void *)vq);
        vq->handler(vdev, vq);
    }
}

void virtio_queue_kick(VirtQueue *vq)
{
    if (vq->kick_fd >= 0) {
        signal_fd(vq->kick_fd);
    }
}

int virtio_queue_take_kick(VirtQueue *vq, GError **error)
{
    g_assert(!vq->kick_taken);
    vq->kick_taken = true;
    if (vq->kick_source) {
        context_run(vq->ctx, detach_source, vq);
    }
    if (!make_kick(vq, error)) {
        vq->kick_taken = false;
        return -1;
    }
    return vq->kick_fd;
}

void virtio_queue_give_back_kick(VirtQueue *vq)
{
    if (!vq->kick_taken) {
        return;
    }
    vq->kick_taken = false;
    if (vq->vdev->started && vq->kick_registered && !vq->kick_source) {
        context_run(vq->ctx, attach_source, vq);
        signal_fd(vq->kick_fd);
    }
}

void virtio_queue_set_context(VirtQueue *vq, GMainContext *ctx)
{
    bool running = vq->kick_source;

    if (vq->ctx == ctx) {
        return;
    }
    if (running) {
        virtqueue_stop_kicks(vq);
        virtqueue_drain_call(vq);
    }
    vq->ctx = ctx;
    if (running) {
        virtqueue_notify_release(vq);
        virtqueue_start_kicks(vq);
    }
}

GMainContext *virtio_queue_context(const VirtQueue *vq)
{
    return vq->ctx;
}

/* ---- interrupts ---------------------------------------------------------------------------------------------------- */

void virtio_interrupt(VirtioDevice *vdev, uint16_t vector, uint8_t bits)
{
    const VirtioBus *bus = bus_of(vdev);

    __atomic_or_fetch(&vdev->isr, bits, __ATOMIC_SEQ_CST);
    bus->ops->interrupt(bus->opaque, vector);
}

void virtio_notify(VirtioDevice *vdev, VirtQueue *vq)
{
    __atomic_thread_fence(
        __ATOMIC_SEQ_CST); /* the used index first, then what the driver wants to hear */
    if (!virtqueue_usable(vq) || !ring_ops(vq)->should_notify(vq)) {
        return;
    }
    if (vq->call_direct || !bql_locked()) {
        trace(virtio_notify_irqfd, "vdev %p vq %p", (void *)vdev, (void *)vq);
        if (vq->call_fd >= 0) {
            signal_fd(vq->call_fd);
        }
        return;
    }
    trace(virtio_notify, "vdev %p vq %p", (void *)vdev, (void *)vq);
    virtio_interrupt(vdev, vq->vector, 1);
}

static gboolean call_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    VirtQueue *vq = opaque;

    if (read_fd(fd)) {
        virtio_interrupt(vq->vdev, vq->vector, 1);
    }
    return G_SOURCE_CONTINUE;
}

void virtqueue_end_direct(VirtQueue *vq)
{
    const VirtioBus *bus = bus_of(vq->vdev);

    if (vq->call_direct) {
        bus->ops->del_irqfd(bus->opaque, vq->vector, vq->call_fd);
        vq->call_direct = false;
    }
}

static void end_polling(VirtQueue *vq)
{
    if (vq->call_source) {
        g_source_destroy(vq->call_source);
        g_source_unref(vq->call_source);
        vq->call_source = NULL;
    }
}

void virtqueue_update_call(VirtQueue *vq)
{
    const VirtioBus *bus = bus_of(vq->vdev);

    if (vq->call_fd < 0) {
        return;
    }
    virtqueue_end_direct(vq);
    if (bus->ops->add_irqfd(bus->opaque, vq->vector, vq->call_fd)) {
        end_polling(vq);
        vq->call_direct = true;
    } else if (!vq->call_source) {
        vq->call_source = watch(vq->call_fd, call_readable, vq, NULL);
    }
}

void virtqueue_drain_call(VirtQueue *vq)
{
    if (vq->call_fd >= 0) {
        virtqueue_end_direct(vq); /* the kernel finishes what it has begun */
        end_polling(vq);
        if (read_fd(vq->call_fd)) {
            virtio_interrupt(vq->vdev, vq->vector, 1);
        }
    }
}

int virtio_queue_take_call(VirtQueue *vq, GError **error)
{
    g_assert(!vq->call_taken);
    if (vq->call_fd < 0 && (vq->call_fd = new_fd(error)) < 0) {
        return -1;
    }
    vq->call_taken = true;
    virtqueue_update_call(vq);
    return vq->call_fd;
}

void virtio_queue_give_back_call(VirtQueue *vq)
{
    if (!vq->call_taken) {
        return;
    }
    vq->call_taken = false;
    virtqueue_drain_call(vq);
    if (vq->ctx && vq->vdev->started) {
        virtqueue_update_call(vq);
    } else {
        close(vq->call_fd);
        vq->call_fd = -1;
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

void virtqueue_notify_init(VirtQueue *vq)
{
    vq->kick_fd = vq->call_fd = -1;
    vq->vector = VIRTIO_NO_VECTOR;
}

/* After stop: the descriptors go, what was signalled is delivered. */
void virtqueue_notify_release(VirtQueue *vq)
{
    virtqueue_stop_kicks(vq);
    if (vq->kick_fd >= 0 && !vq->kick_taken) {
        close(vq->kick_fd);
        vq->kick_fd = -1;
    }
    if (vq->call_fd >= 0 && !vq->call_taken) {
        virtqueue_drain_call(vq);
        close(vq->call_fd);
        vq->call_fd = -1;
    }
}
