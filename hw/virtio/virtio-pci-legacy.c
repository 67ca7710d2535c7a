/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The legacy interface of virtio-pci (VIRTIO 1.2, 4.1.4.8): registers in an I/O BAR, the device's configuration behind. */
#include "util/osdep.h"
#include "util/bytes.h"
#include "virtio-pci-internal.h"

enum {
    LEGACY_HOST_FEATURES = 0,
    LEGACY_GUEST_FEATURES = 4,
    LEGACY_QUEUE_PFN = 8,
    LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14,
    LEGACY_QUEUE_NOTIFY = LEGACY_NOTIFY,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20, /* with MSI-X enabled */
    LEGACY_QUEUE_VECTOR = 22,
};

static unsigned config_start(const VirtioPci *card)
{
    return msix_enabled(&card->pci) ? 24 : 20;
}

static uint32_t read_register(VirtioPci *card, unsigned offset)
{
    VirtioDevice *vdev = card->vdev;
    VirtQueue *vq = virtio_get_queue(vdev, vdev->queue_sel);

    switch (offset) {
    case LEGACY_HOST_FEATURES:
        return vdev->offered |
               VIRTIO_BIT(VIRTIO_F_BAD_FEATURE); /* as stock; who accepts it is not believed */
    case LEGACY_GUEST_FEATURES:
        return vdev->guest_features;
    case LEGACY_QUEUE_PFN:
        return vq ? virtio_queue_desc_addr(vq) >> 12 : 0;
    case LEGACY_QUEUE_SIZE:
        return vq ? virtio_queue_size(vq) : 0;
    case LEGACY_QUEUE_SELECT:
        return vdev->queue_sel;
    case LEGACY_STATUS:
        return vdev->status;
    case LEGACY_ISR:
        return virtio_pci_read_isr(card);
    case LEGACY_CONFIG_VECTOR:
        return vdev->config_vector;
    case LEGACY_QUEUE_VECTOR:
        return virtio_queue_vector(vdev, vdev->queue_sel);
    default:
        return 0;
    }
}

static uint64_t legacy_read(void *opaque, hwaddr offset, unsigned size)
{
    VirtioPci *card = opaque;
    unsigned start = config_start(card);

    return offset < start ? read_register(card, offset)
                          : virtio_config_read(card->vdev, offset - start, size);
}

/* Linux before 2.6.34 never enables bus mastering: a legacy driver that is ready wants it. */
static void help_old_driver(VirtioPci *card)
{
    uint16_t command = load_le16(card->pci.config + PCI_COMMAND);

    if (!(command & PCI_COMMAND_MASTER)) {
        pci_config_write(pci_device_bus(&card->pci), card->pci.devfn, PCI_COMMAND,
                         command | PCI_COMMAND_MASTER, 2);
    }
}

static void write_status(VirtioPci *card, uint8_t status)
{
    if (status & VIRTIO_STATUS_DRIVER_OK) {
        help_old_driver(card);
    }
    virtio_set_status(card->vdev, status);
}

static void write_register(VirtioPci *card, unsigned offset, uint32_t value)
{
    VirtioDevice *vdev = card->vdev;
    unsigned sel = vdev->queue_sel;

    switch (offset) {
    case LEGACY_GUEST_FEATURES:
        vdev->legacy_access = true;
        virtio_set_features(vdev, value & ~VIRTIO_BIT(VIRTIO_F_BAD_FEATURE));
        break;
    case LEGACY_QUEUE_PFN:
        vdev->legacy_access = true;
        virtio_queue_set_pfn_address(vdev, sel, (hwaddr)value << 12);
        break;
    case LEGACY_QUEUE_SELECT:
        if ((uint16_t)value < VIRTIO_MAX_QUEUES) {
            vdev->queue_sel = value;
        }
        break;
    case LEGACY_QUEUE_NOTIFY:
        virtio_queue_notified(vdev, (uint16_t)value);
        break;
    case LEGACY_STATUS:
        vdev->legacy_access = true;
        write_status(card, value);
        break;
    case LEGACY_CONFIG_VECTOR:
        vdev->config_vector = virtio_pci_change_vector(card, vdev->config_vector, value);
        break;
    case LEGACY_QUEUE_VECTOR:
        virtio_queue_set_vector(
            vdev, sel, virtio_pci_change_vector(card, virtio_queue_vector(vdev, sel), value));
        break;
    }
}

static void legacy_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VirtioPci *card = opaque;
    unsigned start = config_start(card);

    if (offset < start) {
        write_register(card, offset, value);
    } else {
        virtio_config_write(card->vdev, offset - start, value, size);
    }
}

static const MemoryOps legacy_ops = {
    .read = legacy_read,
    .write = legacy_write,
    .valid = { 1, 4, true },
    .impl = { 1, 4, true },
};

void virtio_pci_legacy_realize(VirtioPci *card)
{
    unsigned wanted = (msix_present(&card->pci) ? 24 : 20) + card->vdev->config_size, size = 32;

    while (size < wanted) {
        size *= 2;
    }
    card->priv->legacy =
        memory_region_new_io(&card->pci.device.object, &legacy_ops, card, "virtio-pci", size);
    pci_set_bar(&card->pci, LEGACY_BAR, PCI_BAR_SPACE_IO, card->priv->legacy, size);
}
