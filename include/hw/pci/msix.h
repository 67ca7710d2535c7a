/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X (PCI Local Bus Specification 3.0, chapter 6.8): a table of messages in a BAR, one per vector, each maskable.
 *
 * X1  A message is sent while MSI-X is enabled and neither the vector nor the function is masked; otherwise it is
 *     pending, and sent at the moment when nothing masks it any more.
 * X2  A vector that nobody uses (msix_use) is never pending.
 * X3  Whoever delivers a vector by other means (an irqfd) hears of each change of what the vector does (MsixNotifiers), and
 *     takes pending ones over.
 *
 * Big lock.
 */
#ifndef HW_PCI_MSIX_H
#define HW_PCI_MSIX_H

#include "hw/pci/pci.h"

#define MSIX_MAX_VECTORS 2048
#define MSIX_CAPABILITY_SIZE 12
#define MSIX_ENTRY_SIZE 16

typedef struct MsixMessage {
    uint64_t address;
    uint32_t data;
} MsixMessage;

/*
 * Makes a capability (at cap_offset; 0: the next free place), table and PBA within BAR `bar_nr`, whose region `bar` the caller
 * has made as a container. False with an error leaves nothing.
 */
bool msix_init(PciDevice *dev, unsigned vectors, MemoryRegion *bar, int bar_nr,
               uint32_t table_offset, uint32_t pba_offset, unsigned cap_offset, GError **error);
/* The same in a BAR of its own: at least 4 KiB, the PBA in its second half. */
bool msix_init_exclusive_bar(PciDevice *dev, unsigned vectors, int bar_nr, GError **error);
/* Undoes either; in unrealize. No-op without MSI-X. */
void msix_uninit(PciDevice *dev);
/* Nothing pending, all masked, disabled: in the device's reset. */
void msix_reset(PciDevice *dev);

bool msix_present(const PciDevice *dev);
unsigned msix_vectors(const PciDevice *dev); /* 0 without */
bool msix_enabled(const PciDevice *dev);
/* Masked by itself, by the function mask, or because MSI-X is off. */
bool msix_is_masked(const PciDevice *dev, unsigned vector);
MsixMessage msix_get_message(const PciDevice *dev, unsigned vector);
/* Counted: who will notify the vector. */
void msix_use(PciDevice *dev, unsigned vector);
void msix_unuse(PciDevice *dev, unsigned vector);
/* Sends it, or makes it pending (X1). Out of range: nothing. */
void msix_notify(PciDevice *dev, unsigned vector);
void msix_set_pending(PciDevice *dev, unsigned vector);
void msix_clear_pending(PciDevice *dev, unsigned vector);
bool msix_is_pending(const PciDevice *dev, unsigned vector);

/* X3. Called when vector (unmasked) starts to send `msg` or sends another one; and when it is masked. poll: the PBA is
 * about to be read: vectors that are due while masked become pending. */
typedef struct MsixNotifiers {
    void (*unmask)(void *opaque, unsigned vector, MsixMessage msg);
    void (*mask)(void *opaque, unsigned vector);
    void (*poll)(void *opaque);
} MsixNotifiers;
/* Replays unmask for the vectors that are unmasked now; NULL: mask for them, and nobody from then on. */
void msix_set_notifiers(PciDevice *dev, const MsixNotifiers *notifiers, void *opaque);

/* Saved state behind the device's own "PCIDevice": table and pending bits, in stock's layout. Nothing without MSI-X. */
void msix_save(PciDevice *dev, VmWriter *w);
bool msix_load(PciDevice *dev, VmReader *r, GError **error);

/* pci.c: a configuration write has taken effect. */
void msix_config_written(PciDevice *dev, unsigned addr, unsigned len);

#endif
