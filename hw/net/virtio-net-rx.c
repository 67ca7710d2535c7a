/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: receiving (VIRTIO 1.2, 5.1.6.3, 5.1.6.4): filters, mergeable buffers. A packet for which there are no
 * buffers stays with the backend, until the driver kicks.
 */
#include "util/osdep.h"
#include "virtio-net.h"

#include "net/eth.h"
#include "util/bytes.h"
#include "util/iov.h"

#define HEADER_NUM_BUFFERS 10 /* offset of the field that headers of 12 bytes have */
#define HEADER_MAX 32
#define FRAME_START (ETH_HEADER + VLAN_TAG)

void virtio_net_handle_rx(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioNet *n = (VirtioNet *)vdev;

    net_flush(nic_queue(&n->nic, virtio_queue_index(vq) / 2));
}

bool virtio_net_can_receive(NetClient *nc)
{
    VirtioNet *n = nc->opaque;
    VirtioNetPair *pair = &n->pairs[nc->queue_index];

    return n->vdev.started && !n->vhost_runs && !virtio_is_broken(&n->vdev) &&
           nc->queue_index < n->curr_pairs && pair->rx && virtio_queue_enabled(pair->rx);
}

/* ---- filters -------------------------------------------------------------------------------------------------- */

static bool in_table(const VirtioNet *n, const uint8_t *mac, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (!memcmp(n->mac_table.macs[i], mac, 6)) {
            return true;
        }
    }
    return false;
}

/* frame: its first len (at most FRAME_START) bytes. */
static bool wanted(const VirtioNet *n, const uint8_t *frame, size_t len)
{
    if (n->promisc) {
        return true;
    }
    if (len >= FRAME_START && load_be16(frame + ETH_TYPE) == ETHERTYPE_VLAN) {
        unsigned id = load_be16(frame + ETH_HEADER) & VLAN_ID_MASK;

        if (!(n->vlans[id >> 5] >> (id & 31) & 1)) {
            return false;
        }
    }
    if (eth_is_multicast(frame)) {
        if (eth_is_broadcast(frame)) {
            return !n->nobcast;
        }
        return !n->nomulti && (n->allmulti || n->mac_table.multi_overflow ||
                               in_table(n, frame, n->mac_table.first_multi, n->mac_table.in_use));
    }
    return !n->nouni && (n->alluni || n->mac_table.uni_overflow || !memcmp(frame, n->mac, 6) ||
                         in_table(n, frame, 0, n->mac_table.first_multi));
}

/* ---- buffers --------------------------------------------------------------------------------------------------- */

/* Whether so many bytes fit into what the driver has given. If not, it is to kick when it gives more. */
static bool buffers_for(VirtioNet *n, VirtQueue *vq, size_t len)
{
    if (!virtqueue_empty(vq) && (!n->mergeable || virtqueue_avail_bytes(vq, len, 0))) {
        virtio_queue_set_notification(vq, false);
        return true;
    }
    virtio_queue_set_notification(vq, true);
    /* It may have come just before. */
    if (virtqueue_empty(vq) || (n->mergeable && !virtqueue_avail_bytes(vq, len, 0))) {
        return false;
    }
    virtio_queue_set_notification(vq, false);
    return true;
}

#define FEW 4 /* buffers of a packet for which nothing is allocated */

typedef struct Delivery {
    VirtQueueElement **elems;
    uint32_t *lens; /* bytes in each */
    unsigned n, room;
    VirtQueueElement *few[FEW];
    uint32_t few_lens[FEW];
} Delivery;

static void delivery_init(Delivery *d)
{
    d->elems = d->few;
    d->lens = d->few_lens;
    d->n = 0;
    d->room = FEW;
}

static void delivery_add(Delivery *d, VirtQueueElement *elem)
{
    if (d->n == d->room) {
        VirtQueueElement **elems = g_new(VirtQueueElement *, 2 * d->room);
        uint32_t *lens = g_new(uint32_t, 2 * d->room);

        memcpy(elems, d->elems, d->n * sizeof(*elems));
        memcpy(lens, d->lens, d->n * sizeof(*lens));
        if (d->elems != d->few) {
            g_free(d->elems);
            g_free(d->lens);
        }
        d->elems = elems;
        d->lens = lens;
        d->room *= 2;
    }
    d->elems[d->n] = elem;
    d->lens[d->n++] = 0;
}

static void delivery_free(Delivery *d)
{
    for (unsigned i = 0; i < d->n; i++) {
        g_free(d->elems[i]);
    }
    if (d->elems != d->few) {
        g_free(d->elems);
        g_free(d->lens);
    }
}

/* Copies len bytes of the packet from `from` on to offset `at` of the buffer; returns the offset behind them. */
static size_t copy_part(const VirtQueueElement *elem, size_t at, const struct iovec *iov,
                        unsigned niov, size_t from, size_t len)
{
    for (unsigned i = 0; i < niov && len; i++) {
        size_t n;

        if (from >= iov[i].iov_len) {
            from -= iov[i].iov_len;
            continue;
        }
        n = MIN(iov[i].iov_len - from, len);
        at += iov_from_buf(elem->in_sg, elem->in_num, at, (const char *)iov[i].iov_base + from, n);
        len -= n;
        from = 0;
    }
    return at;
}

/* Packets are header and data; from is where the data begin in the backend's packet. False: broken, or does not fit. */
static bool fill_buffers(VirtioNet *n, VirtQueue *vq, Delivery *d, const uint8_t *header,
                         const struct iovec *iov, unsigned niov, size_t from, size_t data)
{
    size_t done = 0;

    while (done < data || d->n == 0) {
        VirtQueueElement *elem = virtqueue_pop(vq, sizeof(*elem));
        size_t at = 0, part;

        if (!elem) {
            virtio_error(&n->vdev, "the receive queue has less room than it said");
            return false;
        }
        delivery_add(d, elem);
        if (elem->in_num < 1 || (d->n == 1 && elem->in_len < n->header_len)) {
            virtio_error(&n->vdev, "a receive buffer of %zu bytes has no room for the header",
                         elem->in_len);
            return false;
        }
        if (d->n == 1) {
            at = iov_from_buf(elem->in_sg, elem->in_num, 0, header, n->header_len);
        }
        part = MIN(elem->in_len - at, data - done);
        if (!n->mergeable && part < data) {
            return false; /* too long for a buffer of its own */
        }
        at = copy_part(elem, at, iov, niov, from + done, part);
        done += part;
        d->lens[d->n - 1] = at;
        if (!at) {
            virtio_error(&n->vdev, "a receive buffer takes nothing");
            return false;
        }
    }
    return true;
}

static void give_back(VirtioNet *n, VirtQueue *vq, Delivery *d, bool ok)
{
    for (unsigned i = 0; ok && i < d->n; i++) {
        virtqueue_fill(vq, d->elems[i], d->lens[i], i);
    }
    if (ok) {
        virtqueue_flush(vq, d->n);
        virtio_notify(&n->vdev, vq);
    } else {
        for (unsigned i = d->n; i-- > 0;) {
            virtqueue_unpop(vq, d->elems[i], 0);
        }
    }
    delivery_free(d);
}

bool virtio_net_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    VirtioNet *n = nc->opaque;
    VirtQueue *vq = n->pairs[nc->queue_index].rx;
    size_t from = n->host_header ? n->header_len : 0;
    uint8_t header[HEADER_MAX] = { 0 }, frame[FRAME_START];
    size_t seen = iov_to_buf(iov, niov, from, frame, sizeof(frame));
    uint8_t count[2];
    Delivery d;
    bool ok;

    if (!virtio_net_can_receive(nc)) {
        return false;
    }
    if (len < from + ETH_HEADER || !wanted(n, frame, seen)) {
        return true;
    }
    if (!buffers_for(n, vq, n->header_len + len - from)) {
        return false;
    }
    if (from) {
        iov_to_buf(iov, niov, 0, header, n->header_len);
    }
    if (n->header_len > HEADER_NUM_BUFFERS) {
        store_le16(header + HEADER_NUM_BUFFERS, 1);
    }
    delivery_init(&d);
    ok = fill_buffers(n, vq, &d, header, iov, niov, from, len - from);
    if (ok && n->mergeable && d.n > 1) {
        VirtQueueElement *first = d.elems[0];

        store_le16(count, d.n);
        iov_from_buf(first->in_sg, first->in_num, HEADER_NUM_BUFFERS, count, sizeof(count));
    }
    give_back(n, vq, &d, ok);
    return true;
}
