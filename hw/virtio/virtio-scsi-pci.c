/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-scsi-pci: the card of virtio-scsi-device, in its three forms. */
#include "util/osdep.h"
#include "hw/virtio/virtio-pci.h"

#include "util/error.h"
#include "virtio-scsi.h"

static bool scsi_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    if (s->iothread && !card->ioeventfd) {
        return error_set(error, "ioeventfd is required for iothread");
    }
    virtio_scsi_default_queues(s);
    if (card->vectors == UINT32_MAX) {
        card->vectors = s->num_queues + VIRTIO_SCSI_FIXED_QUEUES + 1;
    }
    return true;
}

static const VirtioPciOps scsi_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x0100 },
    .backend = &virtio_scsi_type,
    .legacy_id = 0x1004,
    .prepare = scsi_pci_prepare,
};

static const Property scsi_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_IOEVENTFD,
    VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE),
    {},
};

VIRTIO_PCI_TYPES(scsi, "virtio-scsi-pci", "virtio-scsi-pci-base", virtio_scsi_type, scsi_pci_ops,
                 scsi_pci_properties, DEVICE_CATEGORY_STORAGE)
VIRTIO_PCI_TRANSITIONAL(scsi, "virtio-scsi-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(scsi, "virtio-scsi-pci-non-transitional")
