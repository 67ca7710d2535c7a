/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split rings (VIRTIO 1.2, chapter 2.7): a table of descriptors; the driver's ring of available heads; the device's of used
 * ones.
 */
#include "util/osdep.h"
#include "util/bytes.h"
#include "virtio-internal.h"

#define AVAIL_FLAGS 0
#define AVAIL_IDX 2
#define AVAIL_RING 4
#define USED_FLAGS 0
#define USED_IDX 2
#define USED_RING 4

enum { AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1 };

/* Entry i of the descriptor table. */
static bool read_desc(VirtQueue *vq, unsigned i, RingDesc *desc)
{
    uint8_t bytes[16];

    if (!ring_read(vq, &vq->desc_cache, (uint64_t)i * 16, bytes, 16)) {
        return false;
    }
    desc->addr = load_le64(bytes);
    desc->len = load_le32(bytes + 8);
    desc->flags = load_le16(bytes + 12);
    desc->next = load_le16(bytes + 14);
    return true;
}

/* Reads how far the driver is. */
static bool look_at_avail(VirtQueue *vq)
{
    uint16_t idx;

    if (!ring_read16(vq, &vq->avail_cache, AVAIL_IDX, &idx)) {
        return false;
    }
    if ((uint16_t)(idx - vq->last_avail) > vq->size) {
        virtio_error(vq->vdev,
                     "queue %u: the available index moved from %u to %u, the ring has %u entries",
                     vq->n, vq->last_avail, idx, vq->size);
        return false;
    }
    vq->shadow_avail = idx;
    return true;
}

static bool split_empty(VirtQueue *vq)
{
    if (vq->shadow_avail != vq->last_avail) {
        return false;
    }
    return !look_at_avail(vq) || vq->shadow_avail == vq->last_avail;
}

static bool walk(VirtQueue *vq, unsigned head, RingChain *chain)
{
    RingDesc desc = { .next = head };

    do {
        if (desc.next >= vq->size) {
            virtio_error(vq->vdev, "queue %u: descriptor %u of a table of %u", vq->n, desc.next,
                         vq->size);
            return false;
        }
        if (!read_desc(vq, desc.next, &desc)) {
            return false;
        }
        if (desc.flags & RING_DESC_INDIRECT) { /* the last one, 2.7.5.3.2 */
            return ring_chain_add_indirect(chain, &desc, false);
        }
        if (chain->descs == vq->size) {
            virtio_error(vq->vdev, "queue %u: a loop of descriptors", vq->n);
            return false;
        }
        if (!ring_chain_add(chain, &desc)) {
            return false;
        }
    } while (desc.flags & RING_DESC_NEXT);
    return true;
}

static RingResult split_peek(VirtQueue *vq, unsigned ahead, RingChain *chain, RingTaken *taken)
{
    uint16_t at = vq->last_avail + ahead, head;

    if ((uint16_t)(vq->shadow_avail - vq->last_avail) <= ahead &&
        (!look_at_avail(vq) || (uint16_t)(vq->shadow_avail - vq->last_avail) <= ahead)) {
        return virtio_is_broken(vq->vdev) ? RING_BROKEN : RING_EMPTY;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the index first, then what it covers */
    if (!ring_read16(vq, &vq->avail_cache, AVAIL_RING + 2 * (at % vq->size), &head)) {
        return RING_BROKEN;
    }
    *taken = (RingTaken){ head, 1 };
    return walk(vq, head, chain) ? RING_CHAIN : RING_BROKEN;
}

/* The driver kicks when it passes this index. */
static void set_avail_event(VirtQueue *vq, uint16_t value)
{
    ring_write16(vq, &vq->used_cache, USED_RING + 8 * (uint64_t)vq->size, value);
}

static void split_advance(VirtQueue *vq, const RingTaken *taken)
{
    vq->last_avail++;
    if (vq->notification && virtio_has(vq->vdev, VIRTIO_F_EVENT_IDX)) {
        set_avail_event(vq, vq->last_avail);
    }
}

static void split_retreat(VirtQueue *vq, unsigned slots)
{
    vq->last_avail--;
}

/* After a load the index that we had is in guest memory. */
uint16_t ring_split_used_idx(VirtQueue *vq)
{
    if (!vq->used_known) {
        vq->used_known = ring_read16(vq, &vq->used_cache, USED_IDX, &vq->used_idx);
    }
    return vq->used_idx;
}

static void split_fill(VirtQueue *vq, const VirtQueueElement *elem, uint32_t len, unsigned idx)
{
    uint16_t at = ring_split_used_idx(vq) + idx;
    uint8_t entry[8];

    store_le32(entry, elem->index);
    store_le32(entry + 4, len);
    ring_write(vq, &vq->used_cache, USED_RING + 8 * (uint64_t)(at % vq->size), entry, 8);
}

static void split_flush(VirtQueue *vq, unsigned count, unsigned slots)
{
    uint16_t old = ring_split_used_idx(vq), new = old + count;

    __atomic_thread_fence(__ATOMIC_RELEASE); /* entries first, then the index */
    if (!ring_write16(vq, &vq->used_cache, USED_IDX, new)) {
        return;
    }
    vq->used_idx = new;
    if ((uint16_t)(new - vq->signalled) < (uint16_t)(new - old)) {
        vq->signalled_valid = false; /* it went round since the last interrupt */
    }
}

static bool split_should_notify(VirtQueue *vq)
{
    uint16_t old, event, flags;
    bool valid;

    if (virtio_has(vq->vdev, VIRTIO_F_NOTIFY_ON_EMPTY) && !vq->inflight && split_empty(vq)) {
        return true;
    }
    if (!virtio_has(vq->vdev, VIRTIO_F_EVENT_IDX)) {
        return ring_read16(vq, &vq->avail_cache, AVAIL_FLAGS, &flags) &&
               !(flags & AVAIL_F_NO_INTERRUPT);
    }
    valid = vq->signalled_valid;
    old = vq->signalled;
    vq->signalled_valid = true;
    vq->signalled = ring_split_used_idx(vq);
    if (!ring_read16(vq, &vq->avail_cache, AVAIL_RING + 2 * (uint64_t)vq->size, &event)) {
        return false;
    }
    return !valid || ring_event_passed(event, vq->signalled, old);
}

static void split_set_notification(VirtQueue *vq, bool enable)
{
    uint16_t flags;

    if (virtio_has(vq->vdev, VIRTIO_F_EVENT_IDX)) {
        if (enable && look_at_avail(vq)) {
            set_avail_event(vq, vq->shadow_avail);
        }
        return;
    }
    if (ring_read16(vq, &vq->used_cache, USED_FLAGS, &flags)) {
        flags = enable ? flags & ~USED_F_NO_NOTIFY : flags | USED_F_NO_NOTIFY;
        ring_write16(vq, &vq->used_cache, USED_FLAGS, flags);
    }
}

const RingOps ring_split_ops = {
    .peek = split_peek,
    .advance = split_advance,
    .retreat = split_retreat,
    .fill = split_fill,
    .flush = split_flush,
    .empty = split_empty,
    .should_notify = split_should_notify,
    .set_notification = split_set_notification,
};
