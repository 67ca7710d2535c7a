/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device whose rings somebody else serves: what all of them share, between the hooks of hw/virtio/virtio.h and a
 * session with a vhost-user back end (hw/virtio/vhost-user.h) or with the host's kernel (hw/virtio/vhost-kernel.h). Main
 * thread, big lock.
 *
 * VD1  A start, an enable and a queue reset hold the guest (W6) until the back end has acted, or failed.
 * VD2  A failure is an error of the device (NEEDS_RESET and a line in the log), unless the back end can come back: then the
 *      device waits for it, and is an error if the back end that came cannot take its place.
 * VD3  The device is quiesced when the back end has said where each ring is (VU7). If it did not, the migration does not take
 *      place.
 */
#ifndef HW_VIRTIO_VHOST_DEVICE_H
#define HW_VIRTIO_VHOST_DEVICE_H

#include "hw/core/chardev.h"
#include "hw/virtio/vhost-user.h"
#include "hw/virtio/virtio.h"
#include "vmstate/blocker.h"

/*
 * What a session can. The functions are those of vhost-user.h, where they are described: jobs return at once or when they
 * are done, `done` is called in the main thread, once.
 */
typedef struct VhostSessionOps {
    const char *name; /* for messages */
    bool any_memory;  /* guest RAM need not be shared with another process */
    uint64_t (*features)(void *session);
    bool (*connected)(void *session);
    bool (*may_return)(void *session);
    void (*start)(void *session, uint64_t features, VhostUserMemory *memory,
                  const VhostUserRing *rings, unsigned n, bool inflight, VhostUserDone *done,
                  void *opaque);
    void (*stop)(void *session, bool reset, VhostUserDone *done, void *opaque);
    bool (*stop_and_wait)(void *session, bool reset, GError **error);
    void (*ring_start)(void *session, const VhostUserRing *ring, VhostUserDone *done, void *opaque);
    void (*ring_stop)(void *session, unsigned index, VhostUserDone *done, void *opaque);
    void (*rings_enable)(void *session, const bool *enable, unsigned n, VhostUserDone *done,
                         void *opaque);
    void (*set_memory)(void *session, VhostUserMemory *memory, VhostUserDone *done, void *opaque);
    void (*drain)(void *session);
    bool (*ring_base)(void *session, unsigned index, uint32_t *base);
    bool (*log_start)(void *session, GError **error);
    void (*log_stop)(void *session, VhostUserDone *done, void *opaque);
    void (*log_sync)(void *session, bool last);
    bool (*log_late)(void *session);
    void (*free)(void *session);
} VhostSessionOps;
extern const VhostSessionOps vhost_user_session_ops; /* session: a VhostUser */

typedef struct VhostDevice {
    ChardevFe fe;        /* property "chardev" */
    uint32_t timeout_ms; /* property "reply-timeout" */
    VirtioDevice *vdev;
    const VhostSessionOps *ops; /* of `session` */
    void *session;              /* NULL: not realized */
    VhostUser *vu;              /* the session, if it is one of vhost-user */
    MemoryListener listener;
    bool map_changed;
    VhostUserMemory *memory;
    VmBlocker *blocker, *postcopy_blocker;
    bool uses_inflight; /* of the back end's region, where it has one */
    bool
        needs_state; /* its state is not only in the rings: DEVICE_STATE, or it cannot be migrated */
    bool planned;    /* a start has been submitted, and no stop */
    bool starting;   /* in vhost_device_start(): queues are the caller's */
    bool may_fall_back;  /* a start that fails at once is the caller's to make good */
    GError *start_error; /* that one */
    unsigned strikes;    /* back ends in a row that failed */
    GError *stop_error;  /* why the last stop is not good enough for a migration */
    unsigned max_rings;  /* the back end has the rings below it; 0: all */
    uint64_t offered;    /* features that the back end had when the driver was offered them */
    const bool *enable;  /* rings that are to be enabled, NULL: all */
    void (*link_changed)(struct VhostDevice *d, bool up); /* the back end went, or is back */
    unsigned config_len;                   /* of the configuration space that is the back end's; 0: nothing */
    uint8_t config[VHOST_USER_MAX_CONFIG]; /* as the guest was told last */
    uint8_t *inflight;                     /* scratch of vmstate_vhost_inflight */
    uint32_t inflight_len;
    uint16_t inflight_queues, inflight_size;
} VhostDevice;

#define VHOST_DEVICE_PROPERTIES(type, member)                              \
    PROPERTY_CHARDEV("chardev", type, member.fe),                          \
        PROPERTY("reply-timeout", property_reply_timeout, type,            \
                 member.timeout_ms, .default_text = "10000",               \
                 .description = "Milliseconds that the back end has for a reply", \
                 .flags = PROPERTY_ANY_TIME)
extern const PropertyKind property_reply_timeout; /* a uint32_t; the session hears of a change */

/* Protocol features that every device uses. */
#define VHOST_DEVICE_PROTOCOL                                                                   \
    (UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ | UINT64_C(1) << VHOST_USER_PROTOCOL_F_LOG_SHMFD | \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK |                                           \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ |                                         \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS |                                 \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_RESET_DEVICE |                                        \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS)

/*
 * First in realize, before virtio_init(): memory that can be shared, a back end that answers. protocol: more protocol
 * features than those above. On failure nothing is left.
 */
bool vhost_device_connect(VhostDevice *d, VirtioDevice *vdev, uint64_t protocol, GError **error);
/* The same with a session that exists; it is freed with the device. */
void vhost_device_attach(VhostDevice *d, VirtioDevice *vdev, const VhostSessionOps *ops,
                         void *session);
/* In realize, when the queues are there: dirty logging, blockers. */
bool vhost_device_realize(VhostDevice *d, GError **error);
/* In unrealize, or when realize fails later on. */
void vhost_device_unrealize(VhostDevice *d);

/* For the hooks of the same names. */
bool vhost_device_get_features(VhostDevice *d, uint64_t *features, uint64_t own, GError **error);
/* A driver that begins anew is offered what this back end has, which may be another one than before. */
void vhost_device_reset(VhostDevice *d);
bool vhost_device_start(VhostDevice *d, GError **error);
void vhost_device_stop(VhostDevice *d);
/*
 * For devices whose configuration space is the back end's. First: whether it has one. In realize, behind vhost_device_realize(), with
 * the first len (at most VHOST_USER_MAX_CONFIG) bytes in the cache: from now on the guest hears of changes. Asks the back end for them
 * anew, as when the driver has written there.
 */
bool vhost_device_has_config(VhostDevice *d, GError **error);
void vhost_device_follow_config(VhostDevice *d, unsigned len);
void vhost_device_fetch_config(VhostDevice *d);

/* d->enable has changed. */
void vhost_device_update_enables(VhostDevice *d);
bool vhost_device_queue_enable(VhostDevice *d, unsigned n, GError **error);
bool vhost_device_queue_reset(VhostDevice *d, unsigned n, GError **error);
QuiesceResult vhost_device_quiesce(VhostDevice *d, GError **error);
/* How a device begins that has nothing else; its hooks. */
typedef struct VhostVirtio {
    VirtioDevice vdev;
    VhostDevice vhost;
} VhostVirtio;
#define VHOST_VIRTIO_BEGINS(type)                                          \
    G_STATIC_ASSERT(offsetof(type, vdev) == offsetof(VhostVirtio, vdev) && \
                    offsetof(type, vhost) == offsetof(VhostVirtio, vhost))
void vhost_virtio_unrealize(VirtioDevice *vdev);
void vhost_virtio_reset(VirtioDevice *vdev);
bool vhost_virtio_start(VirtioDevice *vdev, GError **error);
void vhost_virtio_stop(VirtioDevice *vdev);
bool vhost_virtio_queue_enable(VirtioDevice *vdev, unsigned n, GError **error);
bool vhost_virtio_queue_reset(VirtioDevice *vdev, unsigned n, GError **error);
QuiesceResult vhost_virtio_quiesce(VirtioDevice *vdev, GError **error);
/* Call in `save`: whether the back end still writes (P2). */
bool vhost_device_check_late(VhostDevice *d, GError **error);
/* For queues whose kicks go to the back end. */
void vhost_device_no_handler(VirtioDevice *vdev, VirtQueue *vq);

/* A subsection for devices with an in-flight region; the state is the VhostDevice. Sent when requests are in it. */
extern const VmState vmstate_vhost_inflight;
/* For the pre_load of a section that has it. */
void vhost_device_forget_inflight(VhostDevice *d);

#endif
