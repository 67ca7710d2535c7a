/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's driver of virtio PCI cards (VIRTIO 1.2) for tests: modern and legacy interface, split and packed rings, indirect
 * tables, event indexes, MSI-X. It polls. The machine may move between any two commands.
 *
 *     VirtioDriver d;
 *     VirtioQueue vq;
 *     virtio_driver_init(&d, q, PCI_SLOT << 3, VIRTIO_DRIVER_MSIX, 0xc000, 0xe0000000, 0x100000);
 *     virtio_driver_negotiate(&d, VIRTIO_DRIVER_ALL);
 *     virtio_queue_init(&vq, &d, 0, 0);
 *     virtio_driver_ok(&d);
 *     id = virtio_queue_add(&vq, (VirtioBuf[]){ { addr, len, true } }, 1);
 *     virtio_queue_kick(&vq);
 *     len = virtio_queue_wait(&vq, id);
 */
#ifndef VIRTIO_DRIVER_H
#define VIRTIO_DRIVER_H

#include "qtest-client.h"

enum {
    VIRTIO_DRIVER_LEGACY = 1 << 0, /* the legacy interface */
    VIRTIO_DRIVER_MSIX = 1 << 1,   /* else INTx */
};

/* Feature bits and the sets that tests ask for: & with what is offered. */
#define VIRTIO_FEATURE(n) (UINT64_C(1) << (n))
enum {
    VIRTIO_INDIRECT = 28,
    VIRTIO_EVENT_IDX = 29,
    VIRTIO_VERSION_1 = 32,
    VIRTIO_PACKED = 34,
    VIRTIO_RING_RESET = 40,
};
#define VIRTIO_DRIVER_ALL UINT64_MAX

enum {
    VIRTIO_ST_ACK = 1,
    VIRTIO_ST_DRIVER = 2,
    VIRTIO_ST_OK = 4,
    VIRTIO_ST_FEATURES_OK = 8,
    VIRTIO_ST_NEEDS_RESET = 0x40
};

/* Common configuration of the modern interface (4.1.4.3): offsets from `common`. */
enum {
    VIRTIO_COMMON_DFSELECT = 0,
    VIRTIO_COMMON_DF = 4,
    VIRTIO_COMMON_GFSELECT = 8,
    VIRTIO_COMMON_GF = 12,
    VIRTIO_COMMON_CONFIG_VECTOR = 16,
    VIRTIO_COMMON_NUM_QUEUES = 18,
    VIRTIO_COMMON_STATUS = 20,
    VIRTIO_COMMON_GENERATION = 21,
    VIRTIO_COMMON_Q_SELECT = 22,
    VIRTIO_COMMON_Q_SIZE = 24,
    VIRTIO_COMMON_Q_VECTOR = 26,
    VIRTIO_COMMON_Q_ENABLE = 28,
    VIRTIO_COMMON_Q_NOTIFY_OFF = 30,
    VIRTIO_COMMON_Q_DESC = 32,
    VIRTIO_COMMON_Q_AVAIL = 40,
    VIRTIO_COMMON_Q_USED = 48,
    VIRTIO_COMMON_Q_RESET = 58,
};

typedef struct VirtioDriver {
    QTest *q;
    unsigned devfn;
    unsigned flags;
    uint16_t io;                          /* legacy registers */
    uint64_t common, isr, device, notify; /* modern: addresses */
    uint32_t notify_multiplier;
    uint64_t msix_table;
    unsigned vectors;
    uint64_t messages; /* guest memory where MSI-X messages go: 4 bytes a vector */
    uint64_t features; /* negotiated */
    uint64_t heap;     /* free guest memory */
} VirtioDriver;

/* Gives the card its BARs at io and mmio (64 KiB aligned), lets it be bus master, finds its parts, resets it. heap:
 * guest memory that the driver may use from there on. */
void virtio_driver_init(VirtioDriver *d, QTest *q, unsigned devfn, unsigned flags, uint16_t io,
                        uint64_t mmio, uint64_t heap);
uint32_t virtio_config_space_read(VirtioDriver *d, unsigned reg); /* PCI, 32 bits */
void virtio_config_space_write(VirtioDriver *d, unsigned reg, uint32_t value);
/* Offset of a virtio capability of that type (4.1.4), 0: none. nth: 0 is the first. */
unsigned virtio_find_capability(VirtioDriver *d, uint8_t type, unsigned nth);
/* aligned to align, zeroed */
uint64_t virtio_alloc(VirtioDriver *d, uint64_t size, uint64_t align);

uint64_t virtio_driver_offered(VirtioDriver *d);
uint8_t virtio_driver_status(VirtioDriver *d);
void virtio_driver_set_status(VirtioDriver *d, uint8_t status);
void virtio_driver_reset(VirtioDriver *d);
/* ACKNOWLEDGE, DRIVER, what is offered of `wanted`, FEATURES_OK. Returns what was chosen; the device must agree. */
uint64_t virtio_driver_negotiate(VirtioDriver *d, uint64_t wanted);
void virtio_driver_ok(VirtioDriver *d);
/* Waits up to a second for DEVICE_NEEDS_RESET; false: it is not there (the legacy interface knows no such bit). */
bool virtio_driver_wait_broken(VirtioDriver *d);
/* The device's configuration space; width 1, 2, 4, or 8 in two halves. */
uint64_t virtio_device_read(VirtioDriver *d, unsigned offset, unsigned width);
void virtio_device_write(VirtioDriver *d, unsigned offset, uint64_t value, unsigned width);
/* Whether the vector (MSI-X: 0 configuration, n + 1 queue n, the last one for all that are beyond) has fired since; INTx: any. */
bool virtio_interrupted(VirtioDriver *d, unsigned vector);
/* Waits up to ten seconds for it. */
void virtio_wait_interrupt(VirtioDriver *d, unsigned vector);

typedef struct VirtioBuf {
    uint64_t addr;
    uint32_t len;
    bool write; /* by the device */
} VirtioBuf;

#define VIRTIO_MAX_RING 1024

typedef struct VirtioQueue {
    VirtioDriver *d;
    unsigned n, size;
    uint64_t desc, avail,
        used; /* as in the specification: packed: ring, driver's events, device's events */
    bool packed, event_idx, indirect;
    uint16_t avail_idx, used_idx;
    bool avail_wrap, used_wrap;
    uint16_t kicked;                 /* avail_idx at the last kick */
    bool busy[VIRTIO_MAX_RING];      /* descriptors (split), IDs (packed) */
    uint16_t slots[VIRTIO_MAX_RING]; /* packed: of an ID; split: descriptors of the chain */
    bool done[VIRTIO_MAX_RING];
    uint32_t done_len[VIRTIO_MAX_RING];
    uint64_t tables[VIRTIO_MAX_RING];
    unsigned free; /* slots */
} VirtioQueue;

/* Sets up and enables queue n with `size` entries (0: as many as there may be). */
void virtio_queue_init(VirtioQueue *vq, VirtioDriver *d, unsigned n, unsigned size);
/* RING_RESET: resets the queue and sets it up again. */
void virtio_queue_reset(VirtioQueue *vq);
/* From now on chains of more than one descriptor go into indirect tables. On if INDIRECT was negotiated. */
void virtio_queue_use_indirect(VirtioQueue *vq, bool on);
/* Makes a chain available; returns its ID. */
unsigned virtio_queue_add(VirtioQueue *vq, const VirtioBuf *bufs, unsigned n);
/* Tells the device, if it wants to know. */
void virtio_queue_kick(VirtioQueue *vq);
/* Whether the device wants to be told about what has been added since the last kick. */
bool virtio_queue_wants_kick(VirtioQueue *vq);
/* Writes the notification register in any case. */
void virtio_queue_notify(VirtioQueue *vq);
/* The next used element, in the order of the device; false: none. */
bool virtio_queue_poll(VirtioQueue *vq, unsigned *id, uint32_t *len);
/* Waits (ten seconds) for that chain; others that come first are kept. Returns the bytes written. */
uint32_t virtio_queue_wait(VirtioQueue *vq, unsigned id);
/* Whether the chain has been used, now. */
bool virtio_queue_is_done(VirtioQueue *vq, unsigned id);
/* With EVENT_IDX: interrupt when so many more have been used. Without: 0 is none, others any. */
void virtio_queue_want_interrupt(VirtioQueue *vq, unsigned count);

#endif
