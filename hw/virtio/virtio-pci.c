/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio over PCI (VIRTIO 1.2, chapter 4.1): the card. Its registers are in virtio-pci-modern.c and virtio-pci-legacy.c.
 *
 * Migration notes. The card has no section: what it has stands in its device's (virtio-vmstate.c), first configuration
 * space, MSI-X table and configuration vector, then a vector behind each queue, and what a modern driver has written
 * about queues in the subsection virtio_pci/modern_state. Routes and eventfds are made anew.
 */
#include "util/osdep.h"
#include "hw/virtio/virtio-pci.h"
#include "util/bytes.h"
#include "util/error.h"
#include "virtio-pci-internal.h"

#define DEFAULT_VECTORS 2
#define MODERN_DEVICE_ID 0x1040
#define MODERN_REVISION 1

static const VirtioPciOps *card_ops(const VirtioPci *card)
{
    return device_ops(&card->pci.device);
}

uint64_t virtio_pci_legacy_features(const VirtioPci *card)
{
    return ((const VirtioDeviceOps *)device_ops(&card->vdev->device))->legacy_features;
}

/* ---- interrupts ---------------------------------------------------------------------------------------------- */

static void update_line(VirtioPci *card)
{
    pci_set_irq(&card->pci, __atomic_load_n(&card->vdev->isr, __ATOMIC_SEQ_CST) != 0 &&
                                !msix_enabled(&card->pci));
}

uint8_t virtio_pci_read_isr(VirtioPci *card)
{
    uint8_t isr = __atomic_exchange_n(&card->vdev->isr, 0, __ATOMIC_SEQ_CST);

    update_line(card);
    return isr;
}

static void card_interrupt(void *opaque, uint16_t vector)
{
    VirtioPci *card = opaque;

    if (!msix_enabled(&card->pci)) {
        update_line(card);
    } else if (vector != VIRTIO_NO_VECTOR) {
        msix_notify(&card->pci, vector);
    }
}

uint16_t virtio_pci_change_vector(VirtioPci *card, uint16_t old, uint16_t vector)
{
    if (old != VIRTIO_NO_VECTOR) {
        msix_unuse(&card->pci, old);
    }
    if (vector >= msix_vectors(&card->pci)) {
        return VIRTIO_NO_VECTOR;
    }
    msix_use(&card->pci, vector);
    return vector;
}

static void vector_changed(void *opaque, unsigned vector, MsixMessage message)
{
    VirtioPci *card = opaque;

    virtio_vectors_changed(card->vdev, vector);
}

static void vector_masked(void *opaque, unsigned vector)
{
    vector_changed(opaque, vector, (MsixMessage){ 0, 0 });
}

static const MsixNotifiers msix_notifiers = { vector_changed, vector_masked, NULL };

/* ---- kicks --------------------------------------------------------------------------------------------------- */

static bool card_add_kick(void *opaque, unsigned n, int fd)
{
    VirtioPciPrivate *s = ((VirtioPci *)opaque)->priv;

    if (s->notify) {
        memory_region_add_eventfd(s->notify, n * s->notify_multiplier, 2, false, 0, fd);
    }
    if (s->notify_pio) {
        memory_region_add_eventfd(s->notify_pio, 0, 2, true, n, fd);
    }
    if (s->legacy) {
        memory_region_add_eventfd(s->legacy, LEGACY_NOTIFY, 2, true, n, fd);
    }
    return true;
}

static void card_del_kick(void *opaque, unsigned n, int fd)
{
    VirtioPciPrivate *s = ((VirtioPci *)opaque)->priv;

    if (s->notify) {
        memory_region_del_eventfd(s->notify, n * s->notify_multiplier, 2, false, 0, fd);
    }
    if (s->notify_pio) {
        memory_region_del_eventfd(s->notify_pio, 0, 2, true, n, fd);
    }
    if (s->legacy) {
        memory_region_del_eventfd(s->legacy, LEGACY_NOTIFY, 2, true, n, fd);
    }
}

static bool card_add_irqfd(void *opaque, uint16_t vector, int fd)
{
    return virtio_pci_add_irqfd(opaque, vector, fd);
}

static void card_del_irqfd(void *opaque, uint16_t vector, int fd)
{
    virtio_pci_del_irqfd(opaque, vector, fd);
}

static bool card_ioeventfd(void *opaque)
{
    return ((VirtioPci *)opaque)->ioeventfd;
}

/* ---- reset ---------------------------------------------------------------------------------------------------- */

static void card_reset(void *opaque)
{
    VirtioPci *card = opaque;
    VirtioPciPrivate *s = card->priv;
    VirtioDevice *vdev = card->vdev;

    vdev->config_vector = virtio_pci_change_vector(card, vdev->config_vector, VIRTIO_NO_VECTOR);
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        virtio_queue_set_vector(
            vdev, n,
            virtio_pci_change_vector(card, virtio_queue_vector(vdev, n), VIRTIO_NO_VECTOR));
    }
    memset(s->vqs, 0, sizeof(s->vqs));
    update_line(card);
}

/* ---- features ------------------------------------------------------------------------------------------------- */

static bool card_features(void *opaque, uint64_t *features, GError **error)
{
    VirtioPci *card = opaque;

    if (*features & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)) {
        if (virtio_pci_legacy(card)) {
            return error_set(
                error,
                "VIRTIO_F_IOMMU_PLATFORM was supported by neither legacy nor transitional device");
        }
        return error_set(error,
                         "iommu_platform=on needs an IOMMU, which this machine does not have");
    }
    if (virtio_pci_modern(card)) {
        *features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
    }
    return true;
}

/* ---- saved state ------------------------------------------------------------------------------------------------ */

static bool card_save(void *opaque, VmWriter *w, GError **error)
{
    VirtioPci *card = opaque;

    uint8_t *status = card->pci.config + PCI_STATUS, was = *status;
    bool ok;

    *status &=
        ~PCI_STATUS_INTERRUPT; /* follows from the pin; stock's streams of these cards have it clear */
    ok = vmstate_save(w, &vmstate_pci_device, &card->pci, NULL, error);
    *status = was;
    if (!ok) {
        return false;
    }
    msix_save(&card->pci, w);
    if (msix_present(&card->pci)) {
        vm_put_be16(w, card->vdev->config_vector);
    }
    return true;
}

static bool load_vector(VirtioPci *card, VmReader *r, uint16_t *vector, GError **error)
{
    *vector = vm_get_be16(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (*vector != VIRTIO_NO_VECTOR && *vector >= msix_vectors(&card->pci)) {
        return error_set(error, "vector %u, and the card has %u", *vector,
                         msix_vectors(&card->pci));
    }
    return true;
}

static bool card_load(void *opaque, VmReader *r, GError **error)
{
    VirtioPci *card = opaque;
    uint16_t vector = VIRTIO_NO_VECTOR;

    card->priv->dfselect = card->priv->gfselect = 0;
    memset(card->priv->guest_features, 0, sizeof(card->priv->guest_features));
    if (!vmstate_load(r, &vmstate_pci_device, &card->pci, vmstate_pci_device.version, error) ||
        !msix_load(&card->pci, r, error) ||
        (msix_present(&card->pci) && !load_vector(card, r, &vector, error))) {
        return false;
    }
    card->vdev->config_vector = virtio_pci_change_vector(card, card->vdev->config_vector, vector);
    return true;
}

static void card_save_queue(void *opaque, unsigned n, VmWriter *w)
{
    VirtioPci *card = opaque;

    if (msix_present(&card->pci)) {
        vm_put_be16(w, virtio_queue_vector(card->vdev, n));
    }
}

static bool card_load_queue(void *opaque, unsigned n, VmReader *r, GError **error)
{
    VirtioPci *card = opaque;
    uint16_t vector = VIRTIO_NO_VECTOR;

    if (msix_present(&card->pci) && !load_vector(card, r, &vector, error)) {
        return false;
    }
    virtio_queue_set_vector(
        card->vdev, n, virtio_pci_change_vector(card, virtio_queue_vector(card->vdev, n), vector));
    return true;
}

static bool card_extra_needed(void *opaque)
{
    return ((VirtioPci *)opaque)->migrate_extra;
}

static bool card_queue_enabled(void *opaque, unsigned n)
{
    return ((VirtioPci *)opaque)->priv->vqs[n].enabled;
}

static bool card_loaded(void *opaque, GError **error)
{
    VirtioPci *card = opaque;
    VirtioDevice *vdev = card->vdev;
    VirtioPciPrivate *s = card->priv;
    uint64_t asked;

    asked = s->guest_features[0] | (uint64_t)s->guest_features[1] << 32;
    if (!(vdev->status & VIRTIO_STATUS_FEATURES_OK) &&
        (asked & vdev->offered) != vdev->guest_features) {
        vdev->legacy_access = true; /* what there is did not come by the modern registers */
    } else if (!(vdev->status & VIRTIO_STATUS_FEATURES_OK) && !vdev->legacy_access) {
        virtio_set_features(vdev, asked); /* bits that were not offered, too */
    }
    virtio_set_bus_disabled(vdev,
                            !(load_le16(card->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER));
    update_line(card);
    return true;
}

static const VmState vmstate_modern_queue = {
    .name = "virtio_pci/modern_queue_state",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){ VM_U16(VirtioPciQueue, num), VM_UNUSED(1),
                           VM_BOOL(VirtioPciQueue, enabled), VM_U32_ARRAY(VirtioPciQueue, desc, 2),
                           VM_U32_ARRAY(VirtioPciQueue, avail, 2),
                           VM_U32_ARRAY(VirtioPciQueue, used, 2), VM_END },
};

static const VmState vmstate_modern_private = {
    .name = "virtio_pci/modern_private",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){ VM_U32(VirtioPciPrivate, dfselect), VM_U32(VirtioPciPrivate, gfselect),
                           VM_U32_ARRAY(VirtioPciPrivate, guest_features, 2),
                           VM_STRUCT_ARRAY(VirtioPciPrivate, vqs, VIRTIO_MAX_QUEUES,
                                           vmstate_modern_queue, VirtioPciQueue),
                           VM_END },
};

static bool modern_state_needed(const void *opaque)
{
    return virtio_pci_modern(opaque);
}

static const VmState vmstate_modern_state = {
    .name = "virtio_pci/modern_state",
    .version = 1,
    .minimum_version = 1,
    .needed = modern_state_needed,
    .fields = (const VmField[]){ VM_NAMED_STRUCT_POINTER("priv", VirtioPci, priv,
                                                         vmstate_modern_private, VirtioPciPrivate),
                                 VM_END },
};

const VmState vmstate_virtio_pci = {
    .name = "virtio_pci",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_END },
    .subsections = (const VmState *const[]){ &vmstate_modern_state, NULL },
};

static const VirtioTransportOps transport_ops = {
    .interrupt = card_interrupt,
    .add_kick = card_add_kick,
    .del_kick = card_del_kick,
    .add_irqfd = card_add_irqfd,
    .del_irqfd = card_del_irqfd,
    .features = card_features,
    .ioeventfd = card_ioeventfd,
    .reset = card_reset,
    .save = card_save,
    .load = card_load,
    .save_queue = card_save_queue,
    .load_queue = card_load_queue,
    .extra = &vmstate_virtio_pci,
    .extra_needed = card_extra_needed,
    .queue_enabled = card_queue_enabled,
    .loaded = card_loaded,
};

/* ---- configuration space ------------------------------------------------------------------------------------------ */

void virtio_pci_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    VirtioPci *card = VIRTIO_PCI(pci);

    if (addr < PCI_COMMAND + 2 && addr + len > PCI_COMMAND) {
        bool master = load_le16(pci->config + PCI_COMMAND) & PCI_COMMAND_MASTER;

        virtio_set_bus_disabled(card->vdev, !master);
        virtio_driver_disabled_bus(card->vdev, !master);
    }
    virtio_pci_modern_config_written(card, addr, len);
    update_line(card); /* MSI-X on or off */
}

uint32_t virtio_pci_config_read(PciDevice *pci, unsigned addr, unsigned len)
{
    uint32_t value = 0;

    virtio_pci_modern_config_read(VIRTIO_PCI(pci), addr, len);
    for (unsigned i = 0; i < len; i++) {
        value |= (uint32_t)pci->config[addr + i] << 8 * i;
    }
    return value;
}

static void set_identity(VirtioPci *card)
{
    const VirtioPciOps *ops = card_ops(card);
    uint16_t id = virtio_device_id(card->vdev);
    uint8_t *c = card->pci.config;
    uint32_t class_code = card->class_code ? card->class_code : ops->pci.class_id;

    store_le16(c + PCI_VENDOR_ID, PCI_VENDOR_REDHAT_QUMRANET);
    store_le16(c + PCI_CLASS_DEVICE, class_code);
    c[PCI_INTERRUPT_PIN] = 1;
    if (virtio_pci_legacy(card)) { /* transitional and legacy: 4.1.2.3 */
        store_le16(c + PCI_DEVICE_ID, ops->legacy_id);
        store_le16(c + PCI_SUBSYSTEM_VENDOR_ID, PCI_SUBVENDOR_DEFAULT);
        store_le16(c + PCI_SUBSYSTEM_ID, id);
    } else {
        store_le16(c + PCI_DEVICE_ID, MODERN_DEVICE_ID + id);
        c[PCI_REVISION_ID] = MODERN_REVISION;
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

void virtio_pci_reset(PciDevice *pci)
{
    VirtioPci *card = VIRTIO_PCI(pci);

    card_reset(card);
    virtio_set_bus_disabled(card->vdev, true);
}

static bool check_modes(VirtioPci *card, GError **error)
{
    if (card->disable_legacy == PROPERTY_AUTO) {
        card->disable_legacy = card_ops(card)->legacy_id ? PROPERTY_OFF : PROPERTY_ON;
    }
    if (!card_ops(card)->legacy_id && virtio_pci_legacy(card)) {
        return error_set(error, "device is modern-only, use disable-legacy=on");
    }
    if (!virtio_pci_modern(card) && !virtio_pci_legacy(card)) {
        return error_set(error, "device cannot work as neither modern nor legacy mode is enabled\n"
                                "Set either disable-modern or disable-legacy to off");
    }
    if (card->ats || card->aer) {
        return error_set(error, "property '%s' needs PCI Express, which this bus is not",
                         card->ats ? "ats" : "aer");
    }
    return true;
}

/* Vectors of the user that cannot be are not worth a machine that does not start. */
static void make_msix(VirtioPci *card)
{
    g_autoptr(GError) error = NULL;

    if (card->vectors && !msix_init_exclusive_bar(&card->pci, card->vectors, MSIX_BAR, &error)) {
        warn_report("unable to init msix vectors to %" PRIu32, card->vectors);
        card->vectors = 0;
    }
    msix_set_notifiers(&card->pci, &msix_notifiers, card);
}

void virtio_pci_unrealize(PciDevice *pci)
{
    VirtioPci *card = VIRTIO_PCI(pci);
    VirtioPciPrivate *s = card->priv;

    msix_set_notifiers(pci, NULL, NULL);
    if (s->modern) {
        virtio_pci_modern_unrealize(card);
    }
    memory_region_free(s->legacy);
    g_free(s->routes);
    g_clear_pointer(&card->priv, g_free);
}

bool virtio_pci_realize(PciDevice *pci, GError **error)
{
    VirtioPci *card = VIRTIO_PCI(pci);
    const VirtioPciOps *ops = card_ops(card);
    VirtioPciPrivate *s;

    if (!check_modes(card, error) || (ops->prepare && !ops->prepare(card, card->vdev, error))) {
        return false;
    }
    if (card->vectors == UINT32_MAX) {
        card->vectors = DEFAULT_VECTORS;
    }
    s = card->priv = g_new0(VirtioPciPrivate, 1);
    s->bus = (VirtioBus *)bus_new(&virtio_pci_bus_type, &pci->device, "virtio-bus");
    s->bus->ops = &transport_ops;
    s->bus->opaque = card;
    set_identity(card);
    if (virtio_pci_modern(card) && !virtio_pci_modern_realize(card, error)) {
        virtio_pci_unrealize(pci);
        return false;
    }
    if (!device_realize(&card->vdev->device, &s->bus->bus, error)) {
        virtio_pci_unrealize(pci);
        return false;
    }
    object_ref(card->vdev); /* device_realize() has taken that of our creation */
    make_msix(card);
    if (virtio_pci_legacy(card)) {
        virtio_pci_legacy_realize(card);
    }
    card->vdev->legacy_access = !virtio_pci_modern(card);
    virtio_set_bus_disabled(card->vdev, true);
    return true;
}

static void card_init(Object *obj)
{
    VirtioPci *card = VIRTIO_PCI(obj);

    if (!card_ops(card) || !card_ops(card)->backend) {
        return;
    }
    card->vdev = VIRTIO_DEVICE(device_new(card_ops(card)->backend));
    device_set_tree_place(&card->vdev->device, obj, "virtio-backend");
    object_alias_properties(obj, &card->vdev->device.object);
}

static void card_finalize(Object *obj)
{
    object_unref(VIRTIO_PCI(obj)->vdev);
}

const Property virtio_pci_version_properties[] = {
    PROPERTY_ON_OFF_AUTO("disable-legacy", VirtioPci, disable_legacy, "auto", NULL),
    PROPERTY_BOOL("disable-modern", VirtioPci, disable_modern, "off", NULL),
    {}
};

void virtio_pci_init_transitional(Object *obj)
{
    VIRTIO_PCI(obj)->disable_legacy = PROPERTY_OFF;
    VIRTIO_PCI(obj)->disable_modern = false;
}

void virtio_pci_init_modern(Object *obj)
{
    VIRTIO_PCI(obj)->disable_legacy = PROPERTY_ON;
    VIRTIO_PCI(obj)->disable_modern = false;
}

const DeviceType virtio_pci_type = {
    .object = {
        .name = "virtio-pci",
        .parent = &pci_device_type.object,
        .size = sizeof(VirtioPci),
        .abstract = true,
        .init = card_init,
        .finalize = card_finalize,
        .properties = (const Property[]){
            PROPERTY_BOOL("virtio-pci-bus-master-bug-migration", VirtioPci, bus_master_bug, "off", "on/off"),
            PROPERTY_BOOL("migrate-extra", VirtioPci, migrate_extra, "on", "on/off"),
            PROPERTY_BOOL("modern-pio-notify", VirtioPci, modern_pio_notify, "off", "on/off"),
            PROPERTY_BOOL("x-disable-pcie", VirtioPci, disable_pcie, "off", "on/off"),
            PROPERTY_BOOL("page-per-vq", VirtioPci, page_per_vq, "off", "on/off"),
            PROPERTY_BOOL("x-ignore-backend-features", VirtioPci, ignore_backend_features, "off", NULL),
            PROPERTY_BOOL("ats", VirtioPci, ats, "off", "on/off"),
            PROPERTY_BOOL("x-ats-page-aligned", VirtioPci, ats_page_aligned, "on", "on/off"),
            PROPERTY_BOOL("x-pcie-deverr-init", VirtioPci, pcie_deverr, "on", "on/off"),
            PROPERTY_BOOL("x-pcie-lnkctl-init", VirtioPci, pcie_lnkctl, "on", "on/off"),
            PROPERTY_BOOL("x-pcie-pm-init", VirtioPci, pcie_pm, "on", "on/off"),
            PROPERTY_BOOL("x-pcie-flr-init", VirtioPci, pcie_flr, "on", "on/off"),
            PROPERTY_BOOL("aer", VirtioPci, aer, "off", "on/off"),
            {}
        },
    },
};
DEVICE_REGISTER(virtio_pci_type);

/* ---- the bus ------------------------------------------------------------------------------------------------------------ */

/* The device's section is called as the card's would be. */
static char *bus_section_prefix(const Device *dev)
{
    return device_section_prefix(dev->bus->owner);
}

const BusType virtio_pci_bus_type = {
    .object = {
        .name = "virtio-pci-bus",
        .parent = &virtio_bus_type.object,
        .size = sizeof(VirtioBus),
    },
    .max_devices = 1,
    .section_prefix = bus_section_prefix,
};
BUS_REGISTER(virtio_pci_bus_type);
