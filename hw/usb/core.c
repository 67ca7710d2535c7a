/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB packets: their life cycle, the queues of endpoints, and the control transfer (USB 2.0,
 * chapter 8.5, 9.3).
 *
 * The numbers of the invariants (U1…) are those of the header.
 */
#include "util/osdep.h"
#include "hw/usb/usb.h"
#include "usb-internal.h"
#include "util/trace.h"

TRACE_EVENT(usb_packet_state_change)

/* ---- packets --------------------------------------------------------------------------------- */

void usb_packet_init(UsbPacket *p, void (*done)(UsbPacket *p, void *opaque), void *opaque)
{
    memset(p, 0, sizeof(*p));
    iovec_init(&p->data, 1);
    p->done = done;
    p->opaque = opaque;
    p->link.data = p;
}

void usb_packet_destroy(UsbPacket *p)
{
    g_assert(!usb_packet_in_flight(p));
    iovec_destroy(&p->data);
}

void usb_packet_setup(UsbPacket *p, UsbPid pid, UsbEndpoint *ep, uint64_t id, bool short_not_ok,
                      bool int_req)
{
    g_assert(!usb_packet_in_flight(p)); /* U2 */
    p->pid = pid;
    p->ep = ep;
    p->id = id;
    p->short_not_ok = short_not_ok;
    p->int_req = int_req;
    iovec_reset(&p->data);
    p->actual_length = 0;
    p->status = USB_OK;
    p->device_data = NULL;
    p->state = USB_PACKET_READY;
}

void usb_packet_add_buffer(UsbPacket *p, void *base, size_t len)
{
    g_assert(p->state == USB_PACKET_READY);
    iovec_add(&p->data, base, len);
}

size_t usb_packet_room(const UsbPacket *p)
{
    return p->data.size - p->actual_length;
}

void usb_packet_copy(UsbPacket *p, void *data, size_t len)
{
    size_t copied;

    g_assert(len <= usb_packet_room(p));
    if (p->pid == USB_PID_IN) {
        copied = iovec_from_buf(&p->data, p->actual_length, data, len);
    } else {
        copied = iovec_to_buf(&p->data, p->actual_length, data, len);
    }
    g_assert(copied == len);
    p->actual_length += len;
}

void usb_packet_skip(UsbPacket *p, size_t len)
{
    g_assert(len <= usb_packet_room(p));
    if (p->pid == USB_PID_IN) {
        iovec_memset(&p->data, p->actual_length, 0, len);
    }
    p->actual_length += len;
}

/* Said before the state changes. */
static void trace_state(const UsbPacket *p, UsbPacketState state)
{
    static const char *const names[] = {
        [USB_PACKET_IDLE] = "complete",
        [USB_PACKET_READY] = "setup",
        [USB_PACKET_QUEUED] = "queued",
        [USB_PACKET_ASYNC] = "async",
    };

    if (trace_wants(usb_packet_state_change) && p->ep && p->state != state) {
        const UsbPort *port = p->ep->dev->port;

        trace(usb_packet_state_change, "bus %d, port %s, ep %u, packet %p, state %s -> %s",
              port ? port->bus->busnr : 0, port ? port->path : "-", p->ep->nr, (const void *)p,
              names[p->state], names[state]);
    }
}

/* Takes p out of its endpoint's queue with that status; reports it, unless its submission does
 * (U2). */
static void packet_end(UsbPacket *p, UsbStatus status)
{
    g_assert(status != USB_ASYNC);
    g_queue_unlink(&p->ep->queue, &p->link);
    trace_state(p, USB_PACKET_IDLE);
    p->state = USB_PACKET_IDLE;
    p->status = status;
    p->device_data = NULL;
    if (!p->submitting && p->done) {
        p->done(p, p->opaque);
    }
}

void usb_endpoint_drop_carried(UsbEndpoint *ep)
{
    g_clear_pointer(&ep->carried_data, g_free);
    ep->carried_length = 0;
}

/* U4: the transaction that was with the device when the VM moved comes again. */
static void packet_take_carried(UsbPacket *p)
{
    UsbEndpoint *ep = p->ep;

    if (ep->carried_length == 0) {
        return;
    }
    if (ep->carried_id == p->id && ep->carried_length <= p->data.size) {
        if (ep->carried_data) {
            iovec_from_buf(&p->data, 0, ep->carried_data, ep->carried_length);
        }
        p->actual_length = ep->carried_length;
    }
    usb_endpoint_drop_carried(ep);
}

/* ---- control transfers ----------------------------------------------------------------------- */

static unsigned setup_field(const UsbDevice *dev, unsigned offset)
{
    return dev->setup_buf[offset] | dev->setup_buf[offset + 1] << 8;
}

static bool setup_is_in(const UsbDevice *dev)
{
    return dev->setup_buf[0] & USB_DIR_IN;
}

static unsigned setup_length(const UsbDevice *dev)
{
    return setup_field(dev, 6);
}

/* Lets the core's tables or the device act on the request in setup_buf. */
static void control_execute(UsbDevice *dev, UsbPacket *p, unsigned length)
{
    const UsbDeviceOps *ops = usb_device_ops(dev);
    unsigned request = USB_REQUEST(dev->setup_buf[0], dev->setup_buf[1]);
    unsigned value = setup_field(dev, 2), index = setup_field(dev, 4);

    p->status = USB_OK;
    p->actual_length = 0;
    if (usb_standard_request(dev, p, request, value, index, length, dev->data_buf)) {
        return;
    }
    if (ops->control) {
        ops->control(dev, p, request, value, index, length, dev->data_buf);
    } else {
        p->status = USB_STALL;
    }
}

/* SETUP of a device-to-host request: the answer is in data_buf, p->actual_length long. */
static void control_setup_answered(UsbDevice *dev, UsbPacket *p)
{
    if (p->status == USB_OK) {
        dev->setup_len = MIN(p->actual_length, setup_length(dev));
        dev->setup_state = setup_length(dev) ? USB_SETUP_DATA : USB_SETUP_STATUS;
        p->actual_length = sizeof(dev->setup_buf);
    } else {
        dev->setup_state = USB_SETUP_IDLE;
        p->actual_length = 0;
    }
}

static void control_status_answered(UsbDevice *dev, UsbPacket *p)
{
    dev->setup_state = USB_SETUP_IDLE;
    p->actual_length = 0;
}

static void control_setup(UsbDevice *dev, UsbPacket *p)
{
    usb_endpoint_drop_carried(&dev->ep0);
    dev->control_replay = false;
    dev->setup_index = 0;
    dev->setup_len = 0;
    dev->setup_state = USB_SETUP_IDLE;
    if (p->data.size != sizeof(dev->setup_buf)) {
        p->status = USB_STALL;
        return;
    }
    p->actual_length = 0;
    usb_packet_copy(p, dev->setup_buf, sizeof(dev->setup_buf));
    dev->setup_len = setup_length(dev);
    if (setup_is_in(dev)) {
        unsigned length = MIN(dev->setup_len, USB_CONTROL_BUFFER_SIZE);

        memset(dev->data_buf, 0, length);
        dev->setup_state = USB_SETUP_EXECUTING;
        control_execute(dev, p, length);
        if (p->status != USB_ASYNC) {
            control_setup_answered(dev, p);
        }
    } else if (dev->setup_len > USB_CONTROL_BUFFER_SIZE) {
        dev->setup_len = 0;
        p->actual_length = 0;
        p->status = USB_STALL;
    } else {
        dev->setup_state = dev->setup_len ? USB_SETUP_DATA : USB_SETUP_STATUS;
    }
}

/*
 * The data stage came without its bytes: from a peer that does not send them. A device-to-host
 * request is asked again; if the answer is another one in length, and where bytes went the other
 * way, the transfer ends in STALL, after which a host repeats it.
 */
static void control_replay(UsbDevice *dev)
{
    UsbPacket p;

    dev->control_replay = false;
    if (setup_is_in(dev)) {
        usb_packet_init(&p, NULL, NULL);
        usb_packet_setup(&p, USB_PID_SETUP, &dev->ep0, 0, false, false);
        control_execute(dev, &p, MIN(setup_length(dev), USB_CONTROL_BUFFER_SIZE));
        if (p.status == USB_OK &&
            MIN(p.actual_length, setup_length(dev)) == (size_t)dev->setup_len) {
            usb_packet_destroy(&p);
            return;
        }
        usb_packet_destroy(&p);
    }
    dev->setup_state = USB_SETUP_IDLE;
}

/* Moves the next bytes of the data stage. */
static void control_data(UsbDevice *dev, UsbPacket *p)
{
    size_t len = MIN((size_t)(dev->setup_len - dev->setup_index), usb_packet_room(p));

    usb_packet_copy(p, dev->data_buf + dev->setup_index, len);
    dev->setup_index += len;
    if (dev->setup_index >= dev->setup_len) {
        dev->setup_state = USB_SETUP_STATUS;
    }
}

static void control_token_in(UsbDevice *dev, UsbPacket *p)
{
    if (setup_is_in(dev) && dev->setup_state == USB_SETUP_DATA) {
        control_data(dev, p);
    } else if (setup_is_in(dev) && dev->setup_state == USB_SETUP_STATUS) {
        /* The zero-length packet behind an answer that ends on a packet's boundary (5.5.3). */
        p->status = USB_OK;
    } else if (!setup_is_in(dev) && dev->setup_state == USB_SETUP_STATUS) {
        control_execute(dev, p, dev->setup_len);
        if (p->status != USB_ASYNC) {
            control_status_answered(dev, p);
        }
    } else {
        dev->setup_state = USB_SETUP_IDLE;
        p->status = USB_STALL;
    }
}

static void control_token_out(UsbDevice *dev, UsbPacket *p)
{
    if (setup_is_in(dev) &&
        (dev->setup_state == USB_SETUP_DATA || dev->setup_state == USB_SETUP_STATUS)) {
        /* Status stage; the host may begin it before it has all data (8.5.3.1). */
        dev->setup_state = USB_SETUP_IDLE;
    } else if (!setup_is_in(dev) && dev->setup_state == USB_SETUP_DATA) {
        if (usb_packet_room(p) > (size_t)(dev->setup_len - dev->setup_index)) {
            dev->setup_state = USB_SETUP_IDLE;
            p->status = USB_STALL;
        } else {
            control_data(dev, p);
        }
    } else {
        dev->setup_state = USB_SETUP_IDLE;
        p->status = USB_STALL;
    }
}

static void control_process(UsbDevice *dev, UsbPacket *p)
{
    if (p->pid == USB_PID_SETUP) {
        control_setup(dev, p);
        return;
    }
    if (dev->control_replay) {
        control_replay(dev);
    }
    if (p->pid == USB_PID_IN) {
        control_token_in(dev, p);
    } else {
        control_token_out(dev, p);
    }
}

/* An asynchronous control() has ended. */
static void control_answered(UsbDevice *dev, UsbPacket *p)
{
    if (p->pid == USB_PID_SETUP) {
        control_setup_answered(dev, p);
    } else {
        control_status_answered(dev, p);
    }
}

/* ---- submission and queues ------------------------------------------------------------------- */

/* Hands p to its device; the packet is at the head of its queue. Returns the status, USB_ASYNC if
 * it is kept. */
static UsbStatus packet_process(UsbPacket *p)
{
    UsbEndpoint *ep = p->ep;
    UsbDevice *dev = ep->dev;
    bool outer = p->submitting;

    trace_state(p, USB_PACKET_ASYNC);
    p->status = USB_OK;
    p->state = USB_PACKET_ASYNC;
    p->submitting = true;
    packet_take_carried(p);
    if (!dev->attached) {
        p->status = USB_NODEV;
    } else if (ep->nr == 0) {
        control_process(dev, p);
    } else if (ep->type == USB_TRANSFER_NONE || ep->halted || p->pid == USB_PID_SETUP ||
               !usb_device_ops(dev)->data) {
        p->status = USB_STALL;
    } else {
        usb_device_ops(dev)->data(dev, p);
    }
    if (p->state == USB_PACKET_ASYNC && p->status != USB_ASYNC) {
        packet_end(p, p->status);
    }
    p->submitting = outer;
    return p->status;
}

UsbStatus usb_packet_submit(UsbDevice *dev, UsbPacket *p)
{
    UsbStatus status;

    g_assert(p->state == USB_PACKET_READY);
    if (!dev) {
        p->state = USB_PACKET_IDLE;
        return p->status = USB_NODEV;
    }
    g_assert(p->ep && p->ep->dev == dev);
    g_queue_push_tail_link(&p->ep->queue, &p->link);
    if (g_queue_peek_head(&p->ep->queue) != p) { /* U1 */
        trace_state(p, USB_PACKET_QUEUED);
        p->state = USB_PACKET_QUEUED;
        return p->status = USB_ASYNC;
    }
    p->submitting = true;
    status = packet_process(p);
    p->submitting = false;
    return status;
}

/* Hands over what waits behind a packet that ended well, or sends it back (U1). */
static void queue_continue(UsbEndpoint *ep, bool failed)
{
    UsbPacket *p;

    while ((p = g_queue_peek_head(&ep->queue)) != NULL && p->state == USB_PACKET_QUEUED) {
        UsbStatus status;
        bool is_short;

        if (failed) {
            packet_end(p, USB_CANCELED);
            continue;
        }
        status = packet_process(p);
        if (status == USB_ASYNC) {
            return;
        }
        is_short = status == USB_OK && p->short_not_ok && usb_packet_room(p) > 0;
        failed = status != USB_OK || is_short;
        if (p->done) {
            p->done(p, p->opaque);
        }
    }
}

void usb_packet_finish(UsbDevice *dev, UsbPacket *p)
{
    UsbEndpoint *ep = p->ep;
    bool inner = p->submitting;
    bool failed;

    g_assert(p->state == USB_PACKET_ASYNC && ep->dev == dev && p->status != USB_ASYNC);
    if (ep->nr == 0 && !inner) {
        control_answered(dev, p);
    }
    failed = p->status != USB_OK || (p->short_not_ok && usb_packet_room(p) > 0);
    packet_end(p, p->status);
    if (!inner) {
        queue_continue(ep, failed);
    }
}

/* Tells the device that p, which it keeps, is gone. */
static void device_forgets(UsbPacket *p)
{
    UsbDevice *dev = p->ep->dev;
    const UsbDeviceOps *ops = usb_device_ops(dev);

    if (ops->cancel) {
        ops->cancel(dev, p);
    }
    if (p->ep->nr == 0) {
        dev->setup_state = USB_SETUP_IDLE;
    }
}

void usb_packet_cancel(UsbPacket *p)
{
    UsbEndpoint *ep = p->ep;
    bool with_device = p->state == USB_PACKET_ASYNC;

    g_assert(usb_packet_in_flight(p) && !p->submitting);
    if (with_device) {
        device_forgets(p);
    }
    g_queue_unlink(&ep->queue, &p->link);
    trace_state(p, USB_PACKET_IDLE);
    p->state = USB_PACKET_IDLE;
    p->status = USB_CANCELED;
    p->device_data = NULL;
    if (with_device) {
        queue_continue(ep, true);
    }
}

/* ---- endpoints ------------------------------------------------------------------------------- */

void usb_endpoint_init(UsbEndpoint *ep, UsbDevice *dev, unsigned nr, UsbPid pid)
{
    ep->nr = nr;
    ep->pid = pid;
    ep->dev = dev;
    ep->type = nr == 0 ? USB_TRANSFER_CONTROL : USB_TRANSFER_NONE;
    ep->interface = 255;
    g_queue_init(&ep->queue);
}

UsbEndpoint *usb_endpoint_get(UsbDevice *dev, UsbPid pid, unsigned nr)
{
    g_assert(nr <= USB_MAX_ENDPOINTS);
    if (nr == 0) {
        return &dev->ep0;
    }
    return pid == USB_PID_IN ? &dev->ep_in[nr - 1] : &dev->ep_out[nr - 1];
}

void usb_endpoint_flush(UsbEndpoint *ep, UsbStatus status)
{
    UsbPacket *p;

    usb_endpoint_drop_carried(ep);
    while ((p = g_queue_peek_head(&ep->queue)) != NULL) {
        if (p->state == USB_PACKET_ASYNC) {
            if (!p->submitting) {
                device_forgets(p);
            }
            packet_end(p, status);
        } else {
            packet_end(p, USB_CANCELED);
        }
    }
}

void usb_endpoint_set_halted(UsbEndpoint *ep, bool halted)
{
    ep->halted = halted;
}

void usb_endpoint_wakeup(UsbEndpoint *ep)
{
    UsbDevice *dev = ep->dev;
    UsbPort *port = dev->port;

    if (!dev->attached || !port) {
        return;
    }
    if (dev->remote_wakeup && port->ops->wakeup) {
        port->ops->wakeup(port);
    }
    if (port->bus->ops && port->bus->ops->endpoint_ready) {
        port->bus->ops->endpoint_ready(port->bus, ep);
    }
}

void usb_device_flush(UsbDevice *dev, UsbStatus status)
{
    usb_endpoint_flush(&dev->ep0, status);
    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        usb_endpoint_flush(&dev->ep_in[i], status);
        usb_endpoint_flush(&dev->ep_out[i], status);
    }
}
