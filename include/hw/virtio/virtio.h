/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio devices (Virtual I/O Device Version 1.2): what a device needs. Transports: hw/virtio/virtio-bus.h; how a
 * device becomes a PCI card: hw/virtio/virtio-pci.h. Maintainers: docs/devel/virtio.md.
 *
 * W1  Nothing that a driver writes can do more than break its own device: a bad ring, a loop, an address that is no
 *     RAM end in virtio_error(): the log says why, the driver sees NEEDS_RESET, the queues rest until a reset.
 * W2  A device touches its rings between `start` and `stop` only (they alternate), apart from virtqueue_push() of what
 *     it popped before, which is allowed until `stop` returns.
 * W3  An element that was popped is pushed, detached, or carried by a stream (virtqueue_element_save()) before the
 *     machine is quiesced; memory that it maps is marked dirty when it is given back.
 * W4  A queue is used by one thread at a time: that of the context it is attached to. All else is under the big lock.
 * W5  A kick that came is not lost by stop, start or migration: every enabled queue's handler is called after `start`.
 * W6  (P3) A write that enables or starts something returns to the guest when the device's hook has returned and every
 *     hold that it began (guest_hold_begin()) has ended.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include <sys/uio.h>
#include "hw/core/cpu.h"
#include "hw/core/device.h"
#include "system/memory.h"
#include "system/quiesce.h"

#define VIRTIO_MAX_QUEUES 1024
#define VIRTQUEUE_MAX_SIZE 1024 /* entries of a queue, and descriptors of a request */
#define VIRTIO_NO_VECTOR 0xffff

/* Device IDs (VIRTIO 1.2, chapter 5). */
enum {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_ENTROPY = 4,
    VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_SCSI = 8,
    VIRTIO_ID_GPU = 16,
    VIRTIO_ID_INPUT = 18,
    VIRTIO_ID_VSOCK = 19,
    VIRTIO_ID_FS = 26,
};

/* Device status (2.1). */
enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 0x01,
    VIRTIO_STATUS_DRIVER = 0x02,
    VIRTIO_STATUS_DRIVER_OK = 0x04,
    VIRTIO_STATUS_FEATURES_OK = 0x08,
    VIRTIO_STATUS_NEEDS_RESET = 0x40,
    VIRTIO_STATUS_FAILED = 0x80,
};

/* Feature bits that are everybody's (6); numbers, not masks: see virtio_has(). */
enum {
    VIRTIO_F_NOTIFY_ON_EMPTY = 24,
    VIRTIO_F_ANY_LAYOUT = 27,
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_BAD_FEATURE = 30, /* never offered to a driver; vhost-user uses it */
    VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33,
    VIRTIO_F_RING_PACKED = 34,
    VIRTIO_F_IN_ORDER = 35,
    VIRTIO_F_ORDER_PLATFORM = 36,
    VIRTIO_F_SR_IOV = 37,
    VIRTIO_F_NOTIFICATION_DATA = 38,
    VIRTIO_F_RING_RESET = 40,
};
#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;

/* A kick, or a start (W5). In the thread of the queue's context; under the big lock if that is the main loop. */
typedef void VirtQueueHandler(VirtioDevice *vdev, VirtQueue *vq);

/*
 * DeviceType.ops of a virtio device. Its record leaves realize, unrealize and reset of DeviceType NULL (inherited) and
 * gives them here. NULL where a hook is not needed, unless it says otherwise. All under the big lock; start, stop, reset,
 * status_changed, queue_enable and queue_reset in the main thread, always: a processor that wrote the register is held
 * meanwhile (W6), so that they may wait for block I/O.
 */
typedef struct VirtioDeviceOps {
    uint16_t device_id; /* 0: says the instance, before its card is realized */
    uint64_t legacy_features; /* bits that only a legacy driver is offered */
    /* Required. Calls virtio_init() and virtio_add_queue(). */
    bool (*realize)(VirtioDevice *vdev, GError **error);
    void (*unrealize)(VirtioDevice *vdev); /* queues that are left are freed behind it */
    /* Back to what it was after realize. Stopped, queues are reset and their elements have been given back. */
    void (*reset)(VirtioDevice *vdev);

    /* What is offered: adds to (or takes from) `features`, which are vdev->host_features and the ring's and transport's
     * own bits. NULL: those. Called once a realize and after virtio_features_changed(). False: the device cannot be. */
    bool (*get_features)(VirtioDevice *vdev, uint64_t *features, GError **error);
    /* The driver's choice, a subset of what was offered, before FEATURES_OK is granted (or, for a legacy driver, when it
     * writes them). False refuses FEATURES_OK. vdev->guest_features is the old value meanwhile. */
    bool (*set_features)(VirtioDevice *vdev, uint64_t features, GError **error);

    /* Brings the device's configuration space (`config`, of config_size bytes) up to date before it is read. */
    void (*get_config)(VirtioDevice *vdev, uint8_t *config);
    /* The driver wrote into it; config is the whole as it would be. What is not taken up is gone at the next read. */
    void (*set_config)(VirtioDevice *vdev, const uint8_t *config);

    /*
     * The rings may be used from now on: DRIVER_OK is set, the machine runs. False with an error: the device is broken
     * (NEEDS_RESET). May hold the guest (W6). The queues that are not enabled yet come by queue_enable.
     */
    bool (*start)(VirtioDevice *vdev, GError **error);
    /* The opposite, whatever the reason: reset, machine stopped, broken, unplugged. When it returns nothing touches the
     * rings or guest memory any more, apart from what the device parks by itself (W3). */
    void (*stop)(VirtioDevice *vdev);
    /*
     * The driver enabled queue n (modern: queue_enable; legacy: an address), at any time: before the start, too. False
     * with an error breaks the device. May hold the guest (W6).
     */
    bool (*queue_enable)(VirtioDevice *vdev, unsigned n, GError **error);
    /*
     * Queue n alone is reset (RING_RESET; offered only if this is not NULL): nothing touches it when the hook returns;
     * its elements are dropped by the device. It may be enabled again afterwards. May hold the guest. False: broken.
     */
    bool (*queue_reset)(VirtioDevice *vdev, unsigned n, GError **error);
    /* Status has changed: for devices that need more than start and stop. vdev->status is new. */
    void (*status_changed)(VirtioDevice *vdev, uint8_t old);

    /* The device's own part of the stream, behind the queues: a description, or functions for older layouts. */
    const VmState *vmstate;
    bool (*save)(VirtioDevice *vdev, VmWriter *w, GError **error);
    bool (*load)(VirtioDevice *vdev, VmReader *r, int version, GError **error);
    /* Before the queues are read, with the lower 32 of the driver's features: for devices whose number of queues depends
     * on them. NULL: it does not. */
    bool (*before_load_queues)(VirtioDevice *vdev, GError **error);
    /* Everything has arrived; guest RAM has not necessarily. */
    bool (*post_load)(VirtioDevice *vdev, GError **error);

    /* Parked elements: virtqueue_element_unmap() and _map(). Called by the core's own QuiesceOps, see system/quiesce.h (P2).
     * The device is stopped already; RAM is still open. */
    QuiesceResult (*quiesce)(VirtioDevice *vdev, GError **error);
    void (*resume)(VirtioDevice *vdev);
} VirtioDeviceOps;

struct VirtioDevice {
    Device device;
    uint64_t host_features;  /* properties; bits that are offered */
    uint64_t offered;        /* host_features after get_features and the transport */
    uint64_t guest_features; /* what the driver has chosen */
    uint8_t status;
    uint8_t isr;        /* atomic: bit 0 a queue, bit 1 configuration */
    uint16_t device_id; /* where its ops have none */
    bool broken;        /* atomic; W1 */
    bool started;       /* between start and stop */
    bool loading; /* `reset` makes room for a stream: what has a section of its own is left alone */
    bool legacy_access; /* the driver uses the legacy interface */
    bool use_started, use_disabled_flag, disable_legacy_check; /* properties */
    uint16_t queue_sel;
    uint16_t config_vector;
    uint32_t generation; /* of config */
    uint8_t *config;
    size_t config_size;
    unsigned nqueues; /* added so far: the queues 0…nqueues - 1; deleted ones have no size */
    VirtQueue *queues;
    struct VirtioPrivate *priv; /* the core's */
};

extern const DeviceType virtio_device_type;
#define VIRTIO_DEVICE(obj) ((VirtioDevice *)(obj))

/* The property rows that every virtio device has come with virtio_device_type. A feature of the device's own: */
#define VIRTIO_FEATURE_BIT(name, type, bit, def) \
    PROPERTY_BIT64(name, type, host_features, bit, def, "on/off")

/* ---- life -------------------------------------------------------------------------------------------------- */

/* What kind of device it is (5): the type's, or the instance's own. */
uint16_t virtio_device_id(const VirtioDevice *vdev);
/* In realize, first: config_size bytes of configuration space. */
void virtio_init(VirtioDevice *vdev, size_t config_size);
/* The next queue, of at most `size` entries (a power of two up to VIRTQUEUE_MAX_SIZE). */
VirtQueue *virtio_add_queue(VirtioDevice *vdev, unsigned size, VirtQueueHandler *handler);
/* Deletes the last one that was added. Its elements must have been given back. */
void virtio_del_queue(VirtioDevice *vdev);
VirtQueue *virtio_get_queue(VirtioDevice *vdev, unsigned n); /* NULL: there is none */
unsigned virtio_queue_index(const VirtQueue *vq);
VirtioDevice *virtio_queue_device(const VirtQueue *vq);

/* Whether the driver has chosen (offered: the device has offered) the feature. */
static inline bool virtio_has(const VirtioDevice *vdev, unsigned bit)
{
    return vdev->guest_features >> bit & 1;
}
/* Asks get_features again; for devices whose peer came late. Only before the driver has begun (status 0). */
bool virtio_features_changed(VirtioDevice *vdev, GError **error);
/* The configuration space has changed: generation and interrupt. */
void virtio_notify_config(VirtioDevice *vdev);
/*
 * The driver or a peer did what cannot be (W1). Logs "<type> <id or path>: <message>" once, sets NEEDS_RESET, and stops
 * the device as soon as nobody is in the middle of it. Any thread.
 */
void virtio_error(VirtioDevice *vdev, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static inline bool virtio_is_broken(const VirtioDevice *vdev)
{
    return __atomic_load_n(&vdev->broken, __ATOMIC_ACQUIRE);
}
/* "virtio-blk-device d0" for messages: type and the id of the card. Owned by the device. */
const char *virtio_name(const VirtioDevice *vdev);
/* Legacy little-endian guests and modern ones store alike on our targets: load_le16() and friends of util/bytes.h. */

/* ---- requests ------------------------------------------------------------------------------------------------- */

/*
 * A descriptor chain. out: what the device reads, in: what it writes, in this order in the chain. The vectors are host
 * memory, valid until the element is given back; one descriptor that crosses RAM blocks has several entries. A
 * device's request embeds it as first member.
 */
typedef struct VirtQueueElement {
    uint16_t index;  /* head descriptor, or buffer ID */
    uint16_t ndescs; /* ring slots that it takes (packed) */
    unsigned out_num, in_num;
    size_t out_len, in_len;     /* bytes */
    hwaddr *out_addr, *in_addr; /* guest addresses of the vectors' entries */
    struct iovec *out_sg, *in_sg;
    bool mapped;
    VirtQueue *vq;
} VirtQueueElement;

/*
 * Takes the next request; size is that of the caller's struct that begins with the element; the rest is zero. NULL: none, or
 * the device is broken. Free with g_free() when it has been given back.
 */
void *virtqueue_pop(VirtQueue *vq, size_t size);
/*
 * How many a handler takes at most in one call. What may still be there is for another one, which it asks for with
 * virtio_queue_kick(): a driver that adds requests as fast as they are answered does not keep the thread for ever.
 */
unsigned virtqueue_burst(const VirtQueue *vq);
/* Gives it back: `len` bytes (from the beginning of the in vectors) were written. */
void virtqueue_push(VirtQueue *vq, VirtQueueElement *elem, uint32_t len);
/* In two steps: several, then all at once. idx counts from 0 in the batch. */
void virtqueue_fill(VirtQueue *vq, VirtQueueElement *elem, uint32_t len, unsigned idx);
void virtqueue_flush(VirtQueue *vq, unsigned count);
/* Puts it back as if it had not been popped: the last one popped only. */
void virtqueue_unpop(VirtQueue *vq, VirtQueueElement *elem, uint32_t len);
/* Unmaps without giving it back: the ring is gone (reset). len as above. */
void virtqueue_detach_element(VirtQueue *vq, VirtQueueElement *elem, uint32_t len);
/* Pops everything and gives it back empty (a device without a peer). Returns how many. */
unsigned virtqueue_drop_all(VirtQueue *vq);
/* Elements popped and not given back. */
unsigned virtqueue_inflight(const VirtQueue *vq);

bool virtqueue_empty(VirtQueue *vq);
/* Whether at least so many bytes are waiting; may say yes at max_chains chains. */
bool virtqueue_avail_bytes(VirtQueue *vq, size_t in_bytes, size_t out_bytes);
/* How much is waiting, counting stops beyond the two limits. */
void virtqueue_get_avail_bytes(VirtQueue *vq, size_t *in_bytes, size_t *out_bytes, size_t max_in,
                               size_t max_out);
/* Whether the driver shall kick. After enabling look again (virtqueue_empty()). */
void virtio_queue_set_notification(VirtQueue *vq, bool enable);
/* Tells the driver about what was pushed, if it wants to know. In the queue's thread. */
void virtio_notify(VirtioDevice *vdev, VirtQueue *vq);

/*
 * An element that is parked while the machine is quiesced (W3): unmap in `quiesce` (what is mapped for the device to write
 * counts as written as a whole: it is marked dirty), map in `resume`. The vectors may point elsewhere afterwards; their
 * lengths and number stay. False with an error: the guest's memory is not there any more.
 */
void virtqueue_element_unmap(VirtQueueElement *elem);
bool virtqueue_element_map(VirtQueueElement *elem, GError **error);
/* Elements in a stream, in stock's layout; the memory is mapped again on load. A bad one is refused. */
void virtqueue_element_save(VmWriter *w, const VirtQueueElement *elem);
void *virtqueue_element_load(VirtioDevice *vdev, VirtQueue *vq, VmReader *r, size_t size,
                             GError **error);

/* ---- queues, for data planes and vhost ---------------------------------------------------------------------------- */

/* Whether the driver has enabled it (and it has not been reset). */
bool virtio_queue_enabled(const VirtQueue *vq);
unsigned virtio_queue_size(const VirtQueue *vq);     /* entries, as the driver chose */
unsigned virtio_queue_max_size(const VirtQueue *vq); /* 0: a deleted queue */
hwaddr virtio_queue_desc_addr(const VirtQueue *vq);  /* guest addresses of the three parts */
hwaddr virtio_queue_avail_addr(const VirtQueue *vq); /* packed: driver event suppression */
hwaddr virtio_queue_used_addr(const VirtQueue *vq);  /* packed: device event suppression */
uint64_t virtio_queue_desc_bytes(const VirtQueue *vq);
uint64_t virtio_queue_avail_bytes(const VirtQueue *vq); /* with used_event */
uint64_t virtio_queue_used_bytes(const VirtQueue *vq);
/* Where we are, as VHOST_USER_SET/GET_VRING_BASE has it: split: next avail index; packed: avail index | wrap << 15 |
 * used index << 16 | wrap << 31. */
uint32_t virtio_queue_base(const VirtQueue *vq);
void virtio_queue_set_base(VirtQueue *vq, uint32_t base);
/* The used index from guest memory (split), when a peer that kept the base has died. */
void virtio_queue_restore_base(VirtQueue *vq);

/*
 * Whose thread calls the handler: NULL the main loop (the default), or an iothread's context. While the device is started
 * the queue moves at once: when this returns the old thread is out of the handler. Without the big lock the
 * handler may use the functions of "requests" above, virtio_error(), and nothing else of the core.
 */
void virtio_queue_set_context(VirtQueue *vq, GMainContext *ctx);
GMainContext *virtio_queue_context(const VirtQueue *vq);

/*
 * Eventfds. kick: signalled by the driver (in the kernel where the transport can, else by us); as long as a device has
 * taken it, the handler is not called: a vhost peer reads it. Take in `start` or queue_enable, give back in `stop`.
 * call: what the peer signals to interrupt the guest (the kernel delivers it where it can, masking is taken care of).
 * Both are the core's: dup() for a peer is not needed, SCM_RIGHTS does it. -1 with an error.
 */
int virtio_queue_take_kick(VirtQueue *vq, GError **error);
void virtio_queue_give_back_kick(VirtQueue *vq);
int virtio_queue_take_call(VirtQueue *vq, GError **error);
void virtio_queue_give_back_call(VirtQueue *vq);
/* Signals the kick eventfd: something may be waiting. */
void virtio_queue_kick(VirtQueue *vq);

/* ---- saved state ------------------------------------------------------------------------------------------------ */

/* The field of a device's section that has it all: transport, queues, the device's own part, subsections. */
extern const VmKind vm_kind_virtio;
/* static VIRTIO_VMSTATE(vmstate_virtio_rng, "virtio-rng", 1, 1); the record: MIGRATES_WITH(vmstate_virtio_rng) */
#define VIRTIO_VMSTATE(symbol, wire, version_, minimum)                                      \
    const VmState symbol = {                                                                 \
        .name = (wire),                                                                      \
        .version = (version_),                                                               \
        .minimum_version = (minimum),                                                        \
        .fields = (const VmField[]){ VM_CUSTOM_WHOLE("virtio", 1, vm_kind_virtio), VM_END }, \
    }

#endif
