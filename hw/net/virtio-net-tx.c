/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: sending (VIRTIO 1.2, 5.1.6.2). A kick starts a bottom half (or a timer, tx=timer) that takes up to tx_burst
 * packets. One that the backend does not take goes back into the ring: there it waits, and there it migrates.
 */
#include "util/osdep.h"
#include "virtio-net.h"

#include "util/iov.h"
#include "util/main-loop.h"

#define FEW 4 /* descriptors of a packet for which nothing is allocated */

static VirtioNetPair *pair_of(VirtioNet *n, const VirtQueue *vq)
{
    return &n->pairs[virtio_queue_index(vq) / 2];
}

static NetClient *client_of(const VirtioNetPair *pair)
{
    return nic_queue(&pair->net->nic, pair - pair->net->pairs);
}

static void schedule(VirtioNetPair *pair)
{
    pair->scheduled = true;
    virtio_queue_set_notification(pair->tx, false);
    if (pair->bh) {
        bh_schedule(pair->bh);
    } else {
        timer_mod(&pair->timer, clock_get_ns(CLOCK_VIRTUAL) + pair->net->tx_timeout_ns);
    }
}

/* The packet as the backend wants it, in `packet`, which has a vector already and gets another one if that is too short.
 * False: no packet (W1). */
static bool make_packet(VirtioNet *n, const VirtQueueElement *elem, IoVec *packet)
{
    IoVec all = { elem->out_sg, elem->out_num, elem->out_num, elem->out_len };
    size_t skip = n->host_header ? 0 : n->header_len;

    if (elem->out_num < 1 || elem->out_len < n->header_len) {
        virtio_error(&n->vdev, "a packet of %zu bytes has no whole header", elem->out_len);
        return false;
    }
    if (packet->alloc < elem->out_num) {
        iovec_init(packet, elem->out_num);
    }
    iovec_add_slice(packet, &all, skip, elem->out_len - skip);
    return true;
}

/* Sends what is in the ring. Returns how many packets, -1: the backend is busy. */
static int flush_tx(VirtioNetPair *pair)
{
    VirtioNet *n = pair->net;
    NetClient *nc = client_of(pair);
    bool pushed = false;
    int sent = 0;

    while (sent < n->tx_burst) {
        VirtQueueElement *elem = virtqueue_pop(pair->tx, sizeof(*elem));
        struct iovec few[FEW];
        IoVec packet = { .iov = few, .alloc = FEW };
        bool taken;

        if (!elem) {
            break;
        }
        if (!make_packet(n, elem, &packet)) {
            virtqueue_detach_element(pair->tx, elem, 0);
            g_free(elem);
            return sent; /* broken: there is nothing more to say to the driver */
        }
        taken = net_try_send(nc, packet.iov, packet.n);
        if (packet.iov != few) {
            iovec_destroy(&packet);
        }
        if (!taken) {
            virtqueue_unpop(pair->tx, elem, 0);
            g_free(elem);
            sent = -1;
            break;
        }
        virtqueue_push(pair->tx, elem, 0);
        g_free(elem);
        pushed = true;
        sent++;
    }
    if (pushed) {
        virtio_notify(&n->vdev, pair->tx);
    }
    return sent;
}

static void send_packets(void *opaque)
{
    VirtioNetPair *pair = opaque;
    VirtioNet *n = pair->net;
    int sent;

    pair->scheduled = false;
    if (!n->vdev.started || virtio_is_broken(&n->vdev) || !pair->tx) {
        return;
    }
    sent = flush_tx(pair);
    if (sent < 0) {
        pair->blocked = true; /* until sendable(); kicks are not wanted meanwhile */
        return;
    }
    if (sent >= n->tx_burst) {
        schedule(pair);
        return;
    }
    virtio_queue_set_notification(pair->tx, true);
    if (!virtio_is_broken(&n->vdev) && !virtqueue_empty(pair->tx)) {
        schedule(pair); /* it came before the kick was wanted again */
    }
}

void virtio_net_sendable(NetClient *nc)
{
    VirtioNet *n = nc->opaque;
    VirtioNetPair *pair = &n->pairs[nc->queue_index];

    if (pair->blocked) {
        pair->blocked = false;
        send_packets(pair);
    }
}

void virtio_net_handle_tx(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioNet *n = (VirtioNet *)vdev;
    VirtioNetPair *pair = pair_of(n, vq);

    if (client_of(pair)->link_down || (unsigned)(pair - n->pairs) >= n->curr_pairs) {
        virtqueue_drop_all(vq); /* no cable: sent for all that the guest can tell */
        virtio_notify(vdev, vq);
    } else if (!pair->scheduled && !pair->blocked) {
        schedule(pair);
    }
}

void virtio_net_tx_init(VirtioNetPair *pair)
{
    timer_init(&pair->timer, CLOCK_VIRTUAL, send_packets, pair);
    if (!pair->net->tx_by_timer) {
        pair->bh = bh_new(NULL, "virtio-net-tx", send_packets, pair);
    }
}

void virtio_net_tx_cleanup(VirtioNetPair *pair)
{
    timer_del(&pair->timer);
    bh_delete(pair->bh);
    pair->bh = NULL;
}

void virtio_net_tx_stop(VirtioNetPair *pair)
{
    pair->tx_waiting = pair->tx && virtio_queue_enabled(pair->tx) &&
                       (pair->scheduled || pair->blocked || !virtqueue_empty(pair->tx));
    timer_del(&pair->timer);
    if (pair->bh) {
        bh_cancel(pair->bh);
    }
    pair->scheduled = pair->blocked = false;
}
