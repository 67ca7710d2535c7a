/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modern interface of virtio-pci (VIRTIO 1.2, 4.1.4): four parts of a BAR, and a window in configuration space. */
#include "util/osdep.h"
#include "util/bytes.h"
#include "util/error.h"
#include "virtio-pci-internal.h"

/* Capability (4.1.4). */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
#define CAP_SIZE 16
#define CAP_TYPE 3
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_EXTRA 16 /* notify: multiplier; PCI: data */

/* Common configuration (4.1.4.3). */
enum {
    COMMON_DFSELECT = 0,
    COMMON_DF = 4,
    COMMON_GFSELECT = 8,
    COMMON_GF = 12,
    COMMON_CONFIG_VECTOR = 16,
    COMMON_NUM_QUEUES = 18,
    COMMON_STATUS = 20,
    COMMON_GENERATION = 21,
    COMMON_Q_SELECT = 22,
    COMMON_Q_SIZE = 24,
    COMMON_Q_VECTOR = 26,
    COMMON_Q_ENABLE = 28,
    COMMON_Q_NOTIFY_OFF = 30,
    COMMON_Q_DESC = 32,
    COMMON_Q_AVAIL = 40,
    COMMON_Q_USED = 48,
    COMMON_Q_NOTIFY_DATA = 56,
    COMMON_Q_RESET = 58,
};

static VirtioPciQueue *selected(VirtioPci *card)
{
    return virtio_get_queue(card->vdev, card->vdev->queue_sel)
               ? &card->priv->vqs[card->vdev->queue_sel]
               : NULL;
}

static uint64_t joined(const uint32_t half[2])
{
    return half[0] | (uint64_t)half[1] << 32;
}

/* ---- common configuration ----------------------------------------------------------------------------------- */

static uint32_t read_queue(VirtioPci *card, unsigned offset)
{
    VirtioDevice *vdev = card->vdev;
    VirtQueue *vq = virtio_get_queue(vdev, vdev->queue_sel);
    VirtioPciQueue *q = selected(card);

    if (!q) {
        return offset == COMMON_Q_VECTOR ? VIRTIO_NO_VECTOR : 0;
    }
    switch (offset) {
    case COMMON_Q_SIZE:
        return virtio_queue_size(vq);
    case COMMON_Q_VECTOR:
        return virtio_queue_vector(vdev, vdev->queue_sel);
    case COMMON_Q_ENABLE:
        return q->enabled;
    case COMMON_Q_NOTIFY_OFF:
    case COMMON_Q_NOTIFY_DATA:
        return vdev->queue_sel;
    case COMMON_Q_DESC:
    case COMMON_Q_DESC + 4:
        return q->desc[offset != COMMON_Q_DESC];
    case COMMON_Q_AVAIL:
    case COMMON_Q_AVAIL + 4:
        return q->avail[offset != COMMON_Q_AVAIL];
    case COMMON_Q_USED:
    case COMMON_Q_USED + 4:
        return q->used[offset != COMMON_Q_USED];
    default: /* queue_reset: it is over */
        return 0;
    }
}

static uint64_t common_read(void *opaque, hwaddr offset, unsigned size)
{
    VirtioPci *card = opaque;
    VirtioPciPrivate *s = card->priv;
    VirtioDevice *vdev = card->vdev;
    uint64_t offered = vdev->offered & ~(VIRTIO_LEGACY_BITS | virtio_pci_legacy_features(card));

    switch (offset) {
    case COMMON_DFSELECT:
        return s->dfselect;
    case COMMON_DF:
        return s->dfselect < 2 ? (uint32_t)(offered >> 32 * s->dfselect) : 0;
    case COMMON_GFSELECT:
        return s->gfselect;
    case COMMON_GF:
        return s->gfselect < 2 ? s->guest_features[s->gfselect] : 0;
    case COMMON_CONFIG_VECTOR:
        return vdev->config_vector;
    case COMMON_NUM_QUEUES:
        return vdev->nqueues;
    case COMMON_STATUS:
        return vdev->status;
    case COMMON_GENERATION:
        return virtio_config_generation(vdev) & 0xff;
    case COMMON_Q_SELECT:
        return vdev->queue_sel;
    default:
        return read_queue(card, offset);
    }
}

static void enable_queue(VirtioPci *card, VirtioPciQueue *q)
{
    unsigned n = card->vdev->queue_sel;

    virtio_queue_set_addresses(card->vdev, n, joined(q->desc), joined(q->avail), joined(q->used));
    q->enabled = true;
    virtio_queue_set_enabled(card->vdev, n);
}

static void write_queue(VirtioPci *card, unsigned offset, uint32_t value)
{
    VirtioDevice *vdev = card->vdev;
    VirtioPciQueue *q = selected(card);

    if (!q) {
        return;
    }
    switch (offset) {
    case COMMON_Q_SIZE:
        if (!q->enabled) {
            q->num = value;
            virtio_queue_set_size(vdev, vdev->queue_sel, value);
        }
        break;
    case COMMON_Q_VECTOR:
        virtio_queue_set_vector(
            vdev, vdev->queue_sel,
            virtio_pci_change_vector(card, virtio_queue_vector(vdev, vdev->queue_sel), value));
        break;
    case COMMON_Q_ENABLE:
        if (value == 1 && !q->enabled) {
            enable_queue(card, q);
        }
        break;
    case COMMON_Q_DESC:
    case COMMON_Q_DESC + 4:
        q->desc[offset != COMMON_Q_DESC] = value;
        break;
    case COMMON_Q_AVAIL:
    case COMMON_Q_AVAIL + 4:
        q->avail[offset != COMMON_Q_AVAIL] = value;
        break;
    case COMMON_Q_USED:
    case COMMON_Q_USED + 4:
        q->used[offset != COMMON_Q_USED] = value;
        break;
    case COMMON_Q_RESET:
        if (value == 1 && virtio_has(vdev, VIRTIO_F_RING_RESET)) {
            memset(q, 0, sizeof(*q));
            virtio_queue_reset_one(vdev, vdev->queue_sel);
        }
        break;
    }
}

static void common_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VirtioPci *card = opaque;
    VirtioPciPrivate *s = card->priv;
    VirtioDevice *vdev = card->vdev;

    switch (offset) {
    case COMMON_DFSELECT:
        s->dfselect = value;
        break;
    case COMMON_GFSELECT:
        s->gfselect = value;
        break;
    case COMMON_GF:
        if (s->gfselect < 2 && !(vdev->status & VIRTIO_STATUS_FEATURES_OK)) {
            s->guest_features[s->gfselect] = value;
            vdev->legacy_access = false;
            virtio_set_features(vdev, joined(s->guest_features));
        }
        break;
    case COMMON_CONFIG_VECTOR:
        vdev->config_vector = virtio_pci_change_vector(card, vdev->config_vector, value);
        break;
    case COMMON_STATUS:
        vdev->legacy_access = false;
        virtio_set_status(vdev, value);
        break;
    case COMMON_Q_SELECT:
        if (value < VIRTIO_MAX_QUEUES) {
            vdev->queue_sel = value;
        }
        break;
    default:
        write_queue(card, offset, value);
    }
}

/* 4.1.3.1 wants fields to be accessed in their own width. Other widths mean the field that begins there, as in stock. */
static const MemoryOps common_ops = {
    .read = common_read,
    .write = common_write,
    .valid = { 1, 4, true },
    .impl = { 1, 4, true },
};

/* ---- the other parts -------------------------------------------------------------------------------------------- */

static uint64_t isr_read(void *opaque, hwaddr offset, unsigned size)
{
    return offset ? 0 : virtio_pci_read_isr(opaque);
}

static const MemoryOps isr_ops = { .read = isr_read,
                                   .valid = { 1, 4, false },
                                   .impl = { 1, 4, false } };

static uint64_t device_read(void *opaque, hwaddr offset, unsigned size)
{
    VirtioPci *card = opaque;

    return virtio_config_read(card->vdev, offset, size);
}

static void device_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VirtioPci *card = opaque;

    virtio_config_write(card->vdev, offset, value, size);
}

static const MemoryOps device_ops_ = {
    .read = device_read,
    .write = device_write,
    .valid = { 1, 8, true },
    .impl = { 1, 4, true },
};

static uint64_t nothing_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static void notify_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VirtioPci *card = opaque;

    virtio_queue_notified(card->vdev, offset / card->priv->notify_multiplier);
}

static const MemoryOps notify_ops = {
    .read = nothing_read,
    .write = notify_write,
    .valid = { 1, 4, true },
    .impl = { 1, 4, true },
};

static void notify_pio_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VirtioPci *card = opaque;

    virtio_queue_notified(card->vdev, value & 0xffff);
}

static const MemoryOps notify_pio_ops = {
    .read = nothing_read,
    .write = notify_pio_write,
    .valid = { 1, 4, true },
    .impl = { 1, 4, true },
};

/* ---- the window in configuration space (4.1.4.9) -------------------------------------------------------------------- */

/* The part that the window shows; NULL: nothing that there is. */
static const MemoryOps *window(VirtioPci *card, unsigned *offset, unsigned *length)
{
    static const MemoryOps *const parts[] = { &common_ops, &isr_ops, &device_ops_ };
    const uint8_t *cap = card->pci.config + card->priv->pci_cfg;
    uint32_t at = load_le32(cap + CAP_OFFSET);

    *length = load_le32(cap + CAP_LENGTH);
    if ((*length != 1 && *length != 2 && *length != 4) || at % *length) {
        return NULL;
    }
    if (cap[CAP_BAR] == PIO_NOTIFY_BAR && card->modern_pio_notify && at == 0) {
        *offset = 0;
        return &notify_pio_ops;
    }
    if (cap[CAP_BAR] != MODERN_BAR || at >= card->pci.bars[MODERN_BAR].size) {
        return NULL;
    }
    if (at >= MODERN_NOTIFY_AT) {
        *offset = at - MODERN_NOTIFY_AT;
        return &notify_ops;
    }
    *offset = at % MODERN_PART;
    return parts[at / MODERN_PART];
}

static bool touches_data(const VirtioPci *card, unsigned addr, unsigned len)
{
    unsigned data = card->priv->pci_cfg + CAP_EXTRA;

    return card->priv->pci_cfg && addr < data + 4 && addr + len > data;
}

void virtio_pci_modern_config_written(VirtioPci *card, unsigned addr, unsigned len)
{
    unsigned offset, length;
    const MemoryOps *ops;

    if (touches_data(card, addr, len) && (ops = window(card, &offset, &length)) && ops->write) {
        uint32_t value = load_le32(card->pci.config + card->priv->pci_cfg + CAP_EXTRA);

        ops->write(card, offset, length == 4 ? value : value & ((1u << 8 * length) - 1), length);
    }
}

void virtio_pci_modern_config_read(VirtioPci *card, unsigned addr, unsigned len)
{
    unsigned offset, length;
    const MemoryOps *ops;

    if (touches_data(card, addr, len) && (ops = window(card, &offset, &length))) {
        uint32_t value = ops->read(card, offset, length);

        for (unsigned i = 0; i < length; i++) {
            card->pci.config[card->priv->pci_cfg + CAP_EXTRA + i] = value >> 8 * i;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static uint8_t *add_cap(VirtioPci *card, uint8_t type, unsigned size, uint8_t bar, uint32_t offset,
                        uint32_t length, GError **error)
{
    unsigned at = pci_add_capability(&card->pci, PCI_CAP_VENDOR, 0, size, error);
    uint8_t *cap = card->pci.config + at;

    if (!at) {
        return NULL;
    }
    cap[2] = size;
    cap[CAP_TYPE] = type;
    cap[CAP_BAR] = bar;
    store_le32(cap + CAP_OFFSET, offset);
    store_le32(cap + CAP_LENGTH, length);
    return cap;
}

static bool add_caps(VirtioPci *card, uint32_t notify_length, GError **error)
{
    VirtioPciPrivate *s = card->priv;
    uint8_t *cap;

    if (!add_cap(card, CAP_COMMON, CAP_SIZE, MODERN_BAR, 0, MODERN_PART, error) ||
        !add_cap(card, CAP_ISR, CAP_SIZE, MODERN_BAR, MODERN_PART, MODERN_PART, error) ||
        !add_cap(card, CAP_DEVICE, CAP_SIZE, MODERN_BAR, 2 * MODERN_PART, MODERN_PART, error) ||
        !(cap = add_cap(card, CAP_NOTIFY, CAP_SIZE + 4, MODERN_BAR, MODERN_NOTIFY_AT, notify_length,
                        error))) {
        return false;
    }
    store_le32(cap + CAP_EXTRA, s->notify_multiplier);
    if (card->modern_pio_notify &&
        !add_cap(card, CAP_NOTIFY, CAP_SIZE + 4, PIO_NOTIFY_BAR, 0, 4, error)) { /* multiplier 0 */
        return false;
    }
    if (!(cap = add_cap(card, CAP_PCI, CAP_SIZE + 4, 0, 0, 0, error))) {
        return false;
    }
    s->pci_cfg = cap - card->pci.config;
    memset(card->pci.wmask + s->pci_cfg + CAP_BAR, 0xff, 1);
    memset(card->pci.wmask + s->pci_cfg + CAP_OFFSET, 0xff, 12);
    return true;
}

bool virtio_pci_modern_realize(VirtioPci *card, GError **error)
{
    VirtioPciPrivate *s = card->priv;
    Object *owner = &card->pci.device.object;
    uint32_t notify_length, size = MODERN_PART;

    s->notify_multiplier = card->page_per_vq ? 0x1000 : 4;
    notify_length = s->notify_multiplier * VIRTIO_MAX_QUEUES;
    while (size < MODERN_NOTIFY_AT + notify_length) {
        size *= 2;
    }
    if (!add_caps(card, notify_length, error)) {
        return false;
    }
    s->modern = memory_region_new_container(owner, "virtio-pci", size);
    s->common = memory_region_new_io(owner, &common_ops, card, "virtio-pci-common", MODERN_PART);
    s->isr = memory_region_new_io(owner, &isr_ops, card, "virtio-pci-isr", MODERN_PART);
    s->device = memory_region_new_io(owner, &device_ops_, card, "virtio-pci-device", MODERN_PART);
    s->notify = memory_region_new_io(owner, &notify_ops, card, "virtio-pci-notify", notify_length);
    memory_region_map(s->modern, 0, s->common);
    memory_region_map(s->modern, MODERN_PART, s->isr);
    memory_region_map(s->modern, 2 * MODERN_PART, s->device);
    memory_region_map(s->modern, MODERN_NOTIFY_AT, s->notify);
    pci_set_bar(&card->pci, MODERN_BAR, PCI_BAR_MEM_PREFETCH | PCI_BAR_MEM_64, s->modern, size);
    if (card->modern_pio_notify) {
        s->notify_pio =
            memory_region_new_io(owner, &notify_pio_ops, card, "virtio-pci-notify-pio", 4);
        pci_set_bar(&card->pci, PIO_NOTIFY_BAR, PCI_BAR_SPACE_IO, s->notify_pio, 4);
    }
    return true;
}

void virtio_pci_modern_unrealize(VirtioPci *card)
{
    VirtioPciPrivate *s = card->priv;
    MemoryRegion *parts[] = { s->common, s->isr, s->device, s->notify };

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (parts[i]) {
            memory_region_unmap(s->modern, parts[i]);
            memory_region_free(parts[i]);
        }
    }
    memory_region_free(s->modern);
    memory_region_free(s->notify_pio);
}
