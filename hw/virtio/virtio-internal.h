/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the virtio core share: queues, rings, the device's private part. */
#ifndef HW_VIRTIO_INTERNAL_H
#define HW_VIRTIO_INTERNAL_H

#include "hw/virtio/virtio-bus.h"
#include "hw/virtio/virtio.h"
#include "system/runstate.h"
#include "util/main-loop.h"

struct VirtQueue {
    VirtioDevice *vdev;
    unsigned n;
    VirtQueueHandler *handler;
    unsigned max_size; /* 0: deleted */
    unsigned size;     /* as the driver chose */
    bool enabled;
    bool packed; /* as it was set up, whatever the driver does to the features afterwards */
    hwaddr desc, avail, used;
    uint16_t vector;

    /* Where we are. */
    uint16_t last_avail;
    bool last_avail_wrap;  /* packed */
    uint16_t shadow_avail; /* split: avail.idx as last read */
    uint16_t used_idx;
    bool used_wrap;  /* packed */
    bool used_known; /* split: used_idx has been read from memory since it was lost (load) */
    uint16_t signalled;
    bool signalled_valid;
    unsigned since_signal; /* packed: slots used since */
    bool notification;     /* kicks are wanted */
    bool in_handler, kicked_again;
    bool polled; /* by the busy wait of its thread: no kicks, whatever `notification` says */
    unsigned inflight;     /* elements popped and not given back, */
    unsigned taken_slots;  /* and the slots of the ring that they have: never more than it has */
    unsigned filled_slots; /* of a batch that is not flushed yet */
    bool first_written;    /* packed: the first of the batch has the flag WRITE */
    MemoryCache desc_cache, avail_cache, used_cache;

    /* Who is told. */
    GMainContext *ctx;
    int kick_fd, call_fd; /* -1: none */
    bool kick_registered; /* the transport signals it */
    bool kick_taken, call_taken;
    bool call_direct; /* an irqfd delivers it */
    GSource *kick_source, *call_source;
    LoopPoller poller; /* and its bottom half; with another context than the main loop's */
    Bh *poll_bh;
};

/* VirtioDevice.priv. */
typedef struct VirtioPrivate {
    char *name;
    Bh *error_bh;
    GQueue deferred;      /* Deferred *, see virtio.c */
    bool error_scheduled; /* atomic */
    bool realized;
    bool bus_disabled;       /* the card may not access memory */
    bool disabled_by_driver; /* … and the driver has said so since the last reset */
    bool kicked_early;       /* by a legacy driver that had not set DRIVER_OK */
    uint64_t requested;      /* the driver's features, bad ones and all, until FEATURES_OK */
    bool saved_started, saved_disabled, saved_broken; /* scratch of the description */
    VmStateEntry *vm_state;
    QuiesceEntry *quiesce;
    unsigned inflight; /* atomic: of all queues, mapped ones */
} VirtioPrivate;

static inline bool virtqueue_packed(const VirtQueue *vq)
{
    return vq->enabled ? vq->packed : virtio_has(vq->vdev, VIRTIO_F_RING_PACKED);
}

/* ---- rings (virtqueue.c, ring-split.c, ring-packed.c) ---------------------------------------------------- */

/* A descriptor in host order; both layouts. */
typedef struct RingDesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next; /* split; packed: id */
} RingDesc;

enum {
    RING_DESC_NEXT = 1,
    RING_DESC_WRITE = 2,
    RING_DESC_INDIRECT = 4,
    RING_DESC_AVAIL = 1 << 7,
    RING_DESC_USED = 1 << 15,
};

/* Gathers the pieces of one chain. */
typedef struct RingChain {
    VirtQueue *vq;
    bool map; /* false: count only */
    unsigned out_num, in_num, descs;
    uint64_t out_len, in_len;
    hwaddr addr[VIRTQUEUE_MAX_SIZE];
    struct iovec iov[VIRTQUEUE_MAX_SIZE];
} RingChain;

/* One chain's end: how many ring slots it takes, its ID. */
typedef struct RingTaken {
    uint16_t id;
    unsigned slots;
} RingTaken;

typedef enum RingResult { RING_EMPTY, RING_CHAIN, RING_BROKEN } RingResult;

/* Adds a descriptor's buffer, in order: false, and the device is broken, if it cannot be. */
bool ring_chain_add(RingChain *chain, const RingDesc *desc);
/* Adds an indirect table. */
bool ring_chain_add_indirect(RingChain *chain, const RingDesc *table, bool packed);

/* What the two layouts do. peek: the chain that is `ahead` slots after the next (0: the next). */
typedef struct RingOps {
    RingResult (*peek)(VirtQueue *vq, unsigned ahead, RingChain *chain, RingTaken *taken);
    void (*advance)(VirtQueue *vq, const RingTaken *taken);
    void (*retreat)(VirtQueue *vq, unsigned slots);
    void (*fill)(VirtQueue *vq, const VirtQueueElement *elem, uint32_t len, unsigned idx);
    void (*flush)(VirtQueue *vq, unsigned count, unsigned slots);
    bool (*empty)(VirtQueue *vq);
    bool (*should_notify)(VirtQueue *vq);
    void (*set_notification)(VirtQueue *vq, bool enable);
} RingOps;
extern const RingOps ring_split_ops, ring_packed_ops;
static inline const RingOps *ring_ops(const VirtQueue *vq)
{
    return virtqueue_packed(vq) ? &ring_packed_ops : &ring_split_ops;
}

/* Reads and writes of the three parts; false: not RAM, and the device is broken (W1). */
bool ring_read(VirtQueue *vq, MemoryCache *part, uint64_t offset, void *buf, unsigned len);
bool ring_write(VirtQueue *vq, MemoryCache *part, uint64_t offset, const void *buf, unsigned len);
bool ring_read16(VirtQueue *vq, MemoryCache *part, uint64_t offset, uint16_t *value);
bool ring_write16(VirtQueue *vq, MemoryCache *part, uint64_t offset, uint16_t value);
/* Whether a notification at `event` falls into the step from old to new (2.7.10). */
static inline bool ring_event_passed(uint16_t event, uint16_t new, uint16_t old)
{
    return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

/* Whether the ring can be looked at. */
bool virtqueue_usable(VirtQueue *vq);
/* Address and size are set: makes the caches. False: they cannot be a ring; the device is broken. */
bool virtqueue_set_up(VirtQueue *vq);
/* As after realize. */
void virtqueue_reset(VirtQueue *vq);
uint16_t ring_split_used_idx(VirtQueue *vq);

/* ---- notifications (virtio-notify.c) ------------------------------------------------------------------------ */

void virtqueue_notify_init(VirtQueue *vq);
void virtqueue_notify_release(VirtQueue *vq);
/* Kicks reach the handler from now on (device started, queue enabled), and no more. Synchronous. */
void virtqueue_start_kicks(VirtQueue *vq);
void virtqueue_stop_kicks(VirtQueue *vq);
/* The machine has stopped: the handler is called for a kick that is waiting. */
void virtqueue_last_kick(VirtQueue *vq);
/* The driver's write to the notification register, where no eventfd took it. */
void virtqueue_kicked(VirtQueue *vq);
/* The vector's state changed: irqfd or poll. */
void virtqueue_update_call(VirtQueue *vq);
/* No irqfd, until the next update: what is signalled stays in the eventfd. */
void virtqueue_end_direct(VirtQueue *vq);
/* What was signalled becomes an interrupt now. */
void virtqueue_drain_call(VirtQueue *vq);
/* Raises interrupt bits. Big lock. */
void virtio_interrupt(VirtioDevice *vdev, uint16_t vector, uint8_t bits);

/* ---- device (virtio.c) ---------------------------------------------------------------------------------------- */

/* Starts or stops the device as state asks. */
void virtio_update_running(VirtioDevice *vdev);
void virtio_break(VirtioDevice *vdev);

#endif
