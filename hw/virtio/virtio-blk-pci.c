/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk-pci: the card of virtio-blk-device, in its three forms. */
#include "util/osdep.h"
#include "hw/virtio/virtio-pci.h"

#include "util/error.h"
#include "virtio-blk.h"

static bool blk_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    if (blk->iothread && !card->ioeventfd) {
        return error_set(error, "ioeventfd is required for iothread");
    }
    virtio_blk_default_queues(blk);
    if (card->vectors == UINT32_MAX) {
        card->vectors = blk->num_queues + 1;
    }
    return true;
}

static const VirtioPciOps blk_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x0100 },
    .backend = &virtio_blk_type,
    .legacy_id = 0x1001,
    .prepare = blk_pci_prepare,
};

static const Property blk_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_CLASS,
    VIRTIO_PCI_PROPERTY_IOEVENTFD,
    VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE),
    {},
};

VIRTIO_PCI_TYPES(blk, "virtio-blk-pci", "virtio-blk-pci-base", virtio_blk_type, blk_pci_ops,
                 blk_pci_properties, DEVICE_CATEGORY_STORAGE)
VIRTIO_PCI_TRANSITIONAL(blk, "virtio-blk-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(blk, "virtio-blk-pci-non-transitional")
