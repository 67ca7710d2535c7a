/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packed rings (VIRTIO 1.2, chapter 2.8): one ring of descriptors that both sides write, and an event suppression structure
 * each way.
 */
#include "util/osdep.h"
#include "util/bytes.h"
#include "virtio-internal.h"

enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };

/* The slot `ahead` after (index, wrap). */
static void slot_after(const VirtQueue *vq, uint16_t *index, bool *wrap, unsigned ahead)
{
    unsigned at = *index + ahead;

    if (at >= vq->size) {
        at -= vq->size;
        *wrap = !*wrap;
    }
    *index = at;
}

static void slot_before(const VirtQueue *vq, uint16_t *index, bool *wrap, unsigned n)
{
    if (*index < n) {
        *index = *index + vq->size - n;
        *wrap = !*wrap;
    } else {
        *index -= n;
    }
}

static bool read_flags(VirtQueue *vq, unsigned slot, uint16_t *flags)
{
    return ring_read16(vq, &vq->desc_cache, 16 * (uint64_t)slot + 14, flags);
}

static bool is_avail(uint16_t flags, bool wrap)
{
    bool avail = flags & RING_DESC_AVAIL, used = flags & RING_DESC_USED;

    return avail == wrap && used != wrap;
}

static bool read_desc(VirtQueue *vq, unsigned slot, RingDesc *desc)
{
    uint8_t bytes[16];

    if (!ring_read(vq, &vq->desc_cache, 16 * (uint64_t)slot, bytes, 16)) {
        return false;
    }
    desc->addr = load_le64(bytes);
    desc->len = load_le32(bytes + 8);
    desc->next = load_le16(bytes + 12);
    desc->flags = load_le16(bytes + 14);
    return true;
}

static bool packed_empty(VirtQueue *vq)
{
    uint16_t flags;

    return !read_flags(vq, vq->last_avail, &flags) || !is_avail(flags, vq->last_avail_wrap);
}

static RingResult packed_peek(VirtQueue *vq, unsigned ahead, RingChain *chain, RingTaken *taken)
{
    uint16_t slot = vq->last_avail, flags;
    bool wrap = vq->last_avail_wrap;
    RingDesc desc;

    slot_after(vq, &slot, &wrap, ahead);
    if (!read_flags(vq, slot, &flags)) {
        return RING_BROKEN;
    }
    if (!is_avail(flags, wrap)) {
        return RING_EMPTY;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the flags of the first first, then all the rest */
    for (unsigned n = 1;; n++) {
        if (!read_desc(vq, slot, &desc)) {
            return RING_BROKEN;
        }
        *taken = (RingTaken){ desc.next, n };
        if (desc.flags & RING_DESC_INDIRECT) {
            return ring_chain_add_indirect(chain, &desc, true) ? RING_CHAIN : RING_BROKEN;
        }
        if (!ring_chain_add(chain, &desc)) {
            return RING_BROKEN;
        }
        if (!(desc.flags & RING_DESC_NEXT)) {
            return RING_CHAIN;
        }
        if (n + ahead == vq->size) {
            virtio_error(vq->vdev, "queue %u: a loop of descriptors", vq->n);
            return RING_BROKEN;
        }
        slot_after(vq, &slot, &wrap, 1);
    }
}

/* The driver kicks when it makes this slot available (with EVENT_IDX). */
static void set_event(VirtQueue *vq, uint16_t flags)
{
    if (flags == EVENT_DESC) {
        ring_write16(vq, &vq->used_cache, 0, vq->last_avail | (uint16_t)vq->last_avail_wrap << 15);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    ring_write16(vq, &vq->used_cache, 2, flags);
}

static void packed_set_notification(VirtQueue *vq, bool enable)
{
    bool by_slot = virtio_has(vq->vdev, VIRTIO_F_EVENT_IDX);

    set_event(vq, !enable ? EVENT_DISABLE : by_slot ? EVENT_DESC : EVENT_ENABLE);
}

static void packed_advance(VirtQueue *vq, const RingTaken *taken)
{
    slot_after(vq, &vq->last_avail, &vq->last_avail_wrap, taken->slots);
    if (vq->notification && virtio_has(vq->vdev, VIRTIO_F_EVENT_IDX)) {
        packed_set_notification(vq, true);
    }
}

static void packed_retreat(VirtQueue *vq, unsigned slots)
{
    slot_before(vq, &vq->last_avail, &vq->last_avail_wrap, slots);
}

static void write_used_flags(VirtQueue *vq, uint16_t slot, bool wrap, bool written)
{
    ring_write16(vq, &vq->desc_cache, 16 * (uint64_t)slot + 14,
                 (wrap ? RING_DESC_AVAIL | RING_DESC_USED : 0) | (written ? RING_DESC_WRITE : 0));
}

/* Entries of a batch behind the first are complete at once; the first gets its flags when the batch is. */
static void packed_fill(VirtQueue *vq, const VirtQueueElement *elem, uint32_t len, unsigned idx)
{
    uint16_t slot = vq->used_idx;
    bool wrap = vq->used_wrap;
    uint8_t bytes[6];

    slot_after(vq, &slot, &wrap, vq->filled_slots);
    store_le32(bytes, len);
    store_le16(bytes + 4, elem->index);
    ring_write(vq, &vq->desc_cache, 16 * (uint64_t)slot + 8, bytes, 6);
    if (idx == 0) {
        vq->first_written = len > 0;
    } else {
        write_used_flags(vq, slot, wrap, len > 0);
    }
}

static void packed_flush(VirtQueue *vq, unsigned count, unsigned slots)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    write_used_flags(vq, vq->used_idx, vq->used_wrap, vq->first_written);
    slot_after(vq, &vq->used_idx, &vq->used_wrap, slots);
    vq->since_signal += slots;
    if (vq->since_signal >= vq->size) {
        vq->signalled_valid = false; /* once round and more since the last interrupt */
    }
}

static bool packed_should_notify(VirtQueue *vq)
{
    uint16_t old = vq->signalled, flags, off_wrap, event;
    bool valid = vq->signalled_valid;

    vq->signalled_valid = true;
    vq->since_signal = 0;
    vq->signalled = vq->used_idx;
    if (!ring_read16(vq, &vq->avail_cache, 2, &flags)) {
        return false;
    }
    if (flags == EVENT_DISABLE || flags == EVENT_ENABLE) {
        return flags == EVENT_ENABLE;
    }
    if (!valid || !ring_read16(vq, &vq->avail_cache, 0, &off_wrap)) {
        return !valid;
    }
    event = off_wrap & 0x7fff;
    if ((bool)(off_wrap >> 15) != vq->used_wrap) {
        event -= vq->size;
    }
    if (vq->signalled < old) { /* went round since */
        old -= vq->size;
    }
    return ring_event_passed(event, vq->signalled, old);
}

const RingOps ring_packed_ops = {
    .peek = packed_peek,
    .advance = packed_advance,
    .retreat = packed_retreat,
    .fill = packed_fill,
    .flush = packed_flush,
    .empty = packed_empty,
    .should_notify = packed_should_notify,
    .set_notification = packed_set_notification,
};
