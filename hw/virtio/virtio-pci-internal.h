/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of virtio-pci share. */
#ifndef HW_VIRTIO_PCI_INTERNAL_H
#define HW_VIRTIO_PCI_INTERNAL_H

#include "hw/pci/msix.h"
#include "hw/virtio/virtio-bus.h"
#include "hw/virtio/virtio-pci.h"

/* Modern BAR (ours to choose; as stock's). */
#define MODERN_BAR 4
#define LEGACY_BAR 0
#define MSIX_BAR 1
#define PIO_NOTIFY_BAR 2
#define MODERN_PART 0x1000
#define MODERN_NOTIFY_AT 0x3000
#define LEGACY_NOTIFY 16

/* What a driver has written about a queue before it enabled it. */
typedef struct VirtioPciQueue {
    uint16_t num;
    uint16_t unused; /* in streams: a byte */
    bool enabled;
    uint32_t desc[2], avail[2], used[2]; /* low, high */
} VirtioPciQueue;

/* An MSI-X vector that the kernel delivers. */
typedef struct VirtioPciRoute {
    int gsi;
    unsigned users;
} VirtioPciRoute;

typedef struct VirtioPciPrivate {
    VirtioBus *bus;
    MemoryRegion *legacy, *modern, *common, *isr, *device, *notify, *notify_pio;
    unsigned pci_cfg; /* offset of the PCI configuration access capability */
    unsigned notify_multiplier;
    uint32_t dfselect, gfselect;
    uint32_t guest_features[2];
    VirtioPciQueue vqs[VIRTIO_MAX_QUEUES];
    VirtioPciRoute *routes; /* per vector; NULL: none yet */
} VirtioPciPrivate;

extern const VmState vmstate_virtio_pci;
/* Bits that modern drivers do not see. */
#define VIRTIO_LEGACY_BITS                                                    \
    (VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY) | VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT) | \
     VIRTIO_BIT(VIRTIO_F_BAD_FEATURE))

static inline bool virtio_pci_modern(const VirtioPci *card)
{
    return !card->disable_modern;
}
static inline bool virtio_pci_legacy(const VirtioPci *card)
{
    return card->disable_legacy == PROPERTY_OFF;
}

/* modern.c */
bool virtio_pci_modern_realize(VirtioPci *card, GError **error);
void virtio_pci_modern_unrealize(VirtioPci *card);
void virtio_pci_modern_config_written(VirtioPci *card, unsigned addr, unsigned len);
void virtio_pci_modern_config_read(VirtioPci *card, unsigned addr, unsigned len);
/* legacy.c */
void virtio_pci_legacy_realize(VirtioPci *card);
/* ISR status: reading clears it and takes the line down (4.1.4.5, 4.1.4.8). */
uint8_t virtio_pci_read_isr(VirtioPci *card);
/* Bits of the device that only legacy drivers see. */
uint64_t virtio_pci_legacy_features(const VirtioPci *card);
/* Takes a vector into use for a queue or the configuration; what the card has not becomes VIRTIO_NO_VECTOR. */
uint16_t virtio_pci_change_vector(VirtioPci *card, uint16_t old, uint16_t vector);
/* irqfd.c */
bool virtio_pci_add_irqfd(VirtioPci *card, uint16_t vector, int fd);
void virtio_pci_del_irqfd(VirtioPci *card, uint16_t vector, int fd);

#endif
