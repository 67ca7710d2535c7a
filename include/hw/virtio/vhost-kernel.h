/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session with vhost-net of the host's kernel (<linux/vhost.h>): rings of a network card that the kernel serves, moving packets
 * between them and a tap interface. What a device makes of it is in vhost-device.h. Main thread, big lock.
 *
 * VK1  There is a descriptor of /dev/vhost-net per pair of rings: ring 2i receives for the guest, ring 2i + 1 sends, and are the
 *      kernel's rings 0 and 1 of descriptor i.
 * VK2  (P3) ioctls are answered when the kernel has acted: a job is over, and `done` called, before its function returns.
 * VK3  A ring runs while it has a back end (NET_SET_BACKEND). To stop it is to take the back end away, for which the kernel finishes
 *      what it has begun, and then to ask for the ring's base (P2).
 * VK4  The log is there before the feature, and the feature before the flags of the rings.
 * VK5  A start or change that fails leaves all rings stopped, with their bases known; one that the kernel did not tell is not.
 */
#ifndef HW_VIRTIO_VHOST_KERNEL_H
#define HW_VIRTIO_VHOST_KERNEL_H

#include "hw/virtio/vhost-device.h"
#include "net/net.h"

/* Feature bits on which the kernel has to agree; all others are the interface's or the card's. */
#define VHOST_KERNEL_FEATURES                                                    \
    (VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | \
     VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_VERSION_1) |           \
     VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |   \
     VIRTIO_BIT(VIRTIO_F_IN_ORDER) | VIRTIO_BIT(VIRTIO_F_NOTIFICATION_DATA) | UINT64_C(1) << 15)

typedef struct VhostKernel VhostKernel;

typedef struct VhostKernelOptions {
    const char *name;             /* of the device, for messages; copied */
    const NetVhost *const *pairs; /* n of them; descriptors are duplicated */
    unsigned n;
    /* The kernel says that a ring cannot be used (VHOST_SET_VRING_ERR). */
    void (*broken)(void *opaque);
    void *opaque;
    int (*ioctl)(int fd, unsigned long request, void *arg); /* tests; NULL: the real one */
} VhostKernelOptions;

/* NULL with an error: the kernel does not answer. */
VhostKernel *vhost_kernel_new(const VhostKernelOptions *options, GError **error);
extern const VhostSessionOps vhost_kernel_session_ops; /* session: a VhostKernel */

#endif
