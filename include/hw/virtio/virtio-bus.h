/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus between a virtio device and its transport, and what a transport does to a device. Big lock.
 */
#ifndef HW_VIRTIO_VIRTIO_BUS_H
#define HW_VIRTIO_VIRTIO_BUS_H

#include "hw/virtio/virtio.h"

typedef struct VirtioBus VirtioBus;

/* What a device asks of its transport. opaque is the bus's. */
typedef struct VirtioTransportOps {
    /* vdev->isr has been set: tells the driver by this vector (VIRTIO_NO_VECTOR: none) or a line. */
    void (*interrupt)(void *opaque, uint16_t vector);
    /* The eventfd takes the place of writes to queue n's notification register. false: there is no way to do that here. */
    bool (*add_kick)(void *opaque, unsigned n, int fd);
    void (*del_kick)(void *opaque, unsigned n, int fd);
    /* Has the kernel deliver the vector whenever fd is signalled. false: it cannot (now). */
    bool (*add_irqfd)(void *opaque, uint16_t vector, int fd);
    void (*del_irqfd)(void *opaque, uint16_t vector, int fd);
    /* Features that the transport adds to those of the device, and refuses ("what would be right"). */
    bool (*features)(void *opaque, uint64_t *features, GError **error);
    /* Eventfds are wanted for queues that nobody has taken. */
    bool (*ioeventfd)(void *opaque);
    /* The device has been reset: vectors, and what a driver wrote about queues, as after realize; vdev->isr is 0. */
    void (*reset)(void *opaque);

    /* Saved state: the card (before the device), per queue, and the subsection's description. */
    bool (*save)(void *opaque, VmWriter *w, GError **error);
    bool (*load)(void *opaque, VmReader *r, GError **error);
    void (*save_queue)(void *opaque, unsigned n, VmWriter *w);
    bool (*load_queue)(void *opaque, unsigned n, VmReader *r, GError **error);
    const VmState *extra; /* NULL: none */
    bool (*extra_needed)(void *opaque);
    /* After a load: the driver has enabled queue n by a register of its own, wherever it is. NULL: there is none. */
    bool (*queue_enabled)(void *opaque, unsigned n);
    /* All of the device has arrived. */
    bool (*loaded)(void *opaque, GError **error);
} VirtioTransportOps;

struct VirtioBus {
    Bus bus;
    const VirtioTransportOps *ops;
    void *opaque;
    VirtioDevice *vdev;
};

extern const BusType virtio_bus_type; /* "virtio-bus", abstract */

/* ---- what the driver did, told by the transport ------------------------------------------------------------- */

/* Status register: 0 resets. */
void virtio_set_status(VirtioDevice *vdev, uint8_t status);
void virtio_reset(VirtioDevice *vdev);
/* Feature bits that the driver accepts; false: refused (FEATURES_OK will not stay set). */
bool virtio_set_features(VirtioDevice *vdev, uint64_t features);
/* Configuration space; widths 1, 2, 4. Beyond the end: all ones, no effect. */
uint32_t virtio_config_read(VirtioDevice *vdev, unsigned offset, unsigned size);
void virtio_config_write(VirtioDevice *vdev, unsigned offset, uint32_t value, unsigned size);
/* The space as it would be read now, and a 32-bit number that changes whenever it did. */
uint32_t virtio_config_generation(VirtioDevice *vdev);

/* Queues. n is any number. */
void virtio_queue_set_size(VirtioDevice *vdev, unsigned n,
                           unsigned size); /* modern; what cannot be is not taken */
void virtio_queue_set_addresses(VirtioDevice *vdev, unsigned n, hwaddr desc, hwaddr avail,
                                hwaddr used);
/* Legacy: one address for all, 0 stops. */
void virtio_queue_set_pfn_address(VirtioDevice *vdev, unsigned n, hwaddr desc);
void virtio_queue_set_enabled(VirtioDevice *vdev, unsigned n);
void virtio_queue_reset_one(VirtioDevice *vdev, unsigned n);
void virtio_queue_set_vector(VirtioDevice *vdev, unsigned n, uint16_t vector);
uint16_t virtio_queue_vector(VirtioDevice *vdev, unsigned n);
/* A write to the notification register. */
void virtio_queue_notified(VirtioDevice *vdev, unsigned n);

/* The transport's vectors (`vector`, or all: VIRTIO_NO_VECTOR) are masked, unmasked, or routed anew. */
void virtio_vectors_changed(VirtioDevice *vdev, uint16_t vector);
/* The card may (not) access memory. */
void virtio_set_bus_disabled(VirtioDevice *vdev, bool disabled);
/* The driver has written so. Like stock's, the device is not ready (DRIVER_OK) any more then. */
void virtio_driver_disabled_bus(VirtioDevice *vdev, bool disabled);

#endif
