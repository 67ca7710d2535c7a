/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio over PCI (Virtual I/O Device Version 1.2, chapter 4.1): a card that has a virtio device as its child
 * "virtio-backend" on a bus "virtio-bus". Big lock.
 */
#ifndef HW_VIRTIO_VIRTIO_PCI_H
#define HW_VIRTIO_VIRTIO_PCI_H

#include "hw/pci/pci.h"
#include "hw/virtio/virtio.h"

#define PCI_VENDOR_REDHAT_QUMRANET 0x1af4

typedef struct VirtioPci VirtioPci;

/* PciDeviceOps of a card, with what is particular to it. The types' ops: see VIRTIO_PCI_TYPES. */
typedef struct VirtioPciOps {
    PciDeviceOps pci;          /* VIRTIO_PCI_COMMON_OPS, class_id, romfile */
    const DeviceType *backend; /* the device that is made with it */
    /* Legacy device ID (4.1.2); 0: the device has none, and is modern only. */
    uint16_t legacy_id;
    /* Before the backend is realized: defaults that depend on its properties, such as dev->vectors. */
    bool (*prepare)(VirtioPci *card, VirtioDevice *vdev, GError **error);
} VirtioPciOps;

struct VirtioPci {
    PciDevice pci;
    VirtioDevice *vdev;  /* the child */
    uint32_t vectors;    /* property where the type has it; UINT32_MAX: set in prepare, or 2 */
    uint32_t class_code; /* property where the type has it; 0: the type's */
    bool ioeventfd;      /* property where the type has it */
    /* Properties of all. */
    bool bus_master_bug, migrate_extra, modern_pio_notify, disable_pcie, page_per_vq,
        ignore_backend_features;
    bool ats, ats_page_aligned, pcie_deverr, pcie_lnkctl, pcie_pm, pcie_flr, aer;
    int disable_legacy; /* on/off/auto */
    bool disable_modern;
    struct VirtioPciPrivate *priv;
};

extern const DeviceType virtio_pci_type; /* "virtio-pci", abstract */
#define VIRTIO_PCI(obj) ((VirtioPci *)(obj))

/* Rows for the table of a card. */
#define VIRTIO_PCI_PROPERTY_IOEVENTFD \
    PROPERTY_BOOL("ioeventfd", VirtioPci, ioeventfd, "on", "on/off")
#define VIRTIO_PCI_PROPERTY_VECTORS(def) PROPERTY_UINT32("vectors", VirtioPci, vectors, def, NULL)
#define VIRTIO_PCI_PROPERTY_CLASS PROPERTY_UINT32("class", VirtioPci, class_code, "0", NULL)
#define VIRTIO_PCI_VECTORS_BY_DEVICE "4294967295"

extern const Property virtio_pci_version_properties[]; /* disable-legacy, disable-modern */
extern const BusType virtio_pci_bus_type;              /* "virtio-pci-bus" */
/* The life cycle and hooks that VirtioPciOps.pci of every card has. */
#define VIRTIO_PCI_COMMON_OPS                                                                    \
    .realize = virtio_pci_realize, .unrealize = virtio_pci_unrealize, .reset = virtio_pci_reset, \
    .config_written = virtio_pci_config_written, .config_read = virtio_pci_config_read,          \
    .vendor_id = PCI_VENDOR_REDHAT_QUMRANET, .interrupt_pin = 1
bool virtio_pci_realize(PciDevice *pci, GError **error);
void virtio_pci_unrealize(PciDevice *pci);
void virtio_pci_reset(PciDevice *pci);
void virtio_pci_config_written(PciDevice *pci, unsigned addr, unsigned len);
uint32_t virtio_pci_config_read(PciDevice *pci, unsigned addr, unsigned len);
void virtio_pci_init_transitional(Object *obj);
void virtio_pci_init_modern(Object *obj);

/*
 * The four types of a card: NAME-base (abstract), NAME, NAME-transitional, NAME-non-transitional. sym makes the records'
 * names; ops_ is a VirtioPciOps; properties_ the rows of the card itself (the device's own are there by themselves).
 *
 *     static const VirtioPciOps rng_pci_ops = { .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x00ff },
 *                                               .backend = &virtio_rng_type, .legacy_id = 0x1005 };
 *     static const Property rng_pci_properties[] = { VIRTIO_PCI_PROPERTY_IOEVENTFD, VIRTIO_PCI_PROPERTY_VECTORS(…), {} };
 *     VIRTIO_PCI_TYPES(rng, "virtio-rng-pci", "virtio-rng-pci-base", virtio_rng_type, rng_pci_ops, rng_pci_properties,
 *                      DEVICE_CATEGORY_MISC)
 *     VIRTIO_PCI_TRANSITIONAL(rng, "virtio-rng-pci-transitional")
 *     VIRTIO_PCI_NON_TRANSITIONAL(rng, "virtio-rng-pci-non-transitional")
 */
#define VIRTIO_PCI_TYPES(sym, name_, base_name, backend_, ops_, properties_, category_) \
    VIRTIO_PCI_TYPES_COMPAT(sym, name_, base_name, backend_, ops_, properties_, category_, NULL)
/* The same with compat values of the card. */
#define VIRTIO_PCI_TYPES_COMPAT(sym, name_, base_name, backend_, ops_, properties_, category_,     \
                                compat_)                                                           \
    VIRTIO_PCI_BASE(sym, base_name, backend_, ops_, properties_, category_, compat_)               \
    VIRTIO_PCI_CONCRETE(sym, generic, name_, virtio_pci_version_properties, NULL)
/* A device without a legacy interface: one card, which cannot be asked for one. */
#define VIRTIO_PCI_TYPES_MODERN(sym, name_, base_name, backend_, ops_, properties_, category_)     \
    VIRTIO_PCI_BASE(sym, base_name, backend_, ops_, properties_, category_, NULL)                  \
    VIRTIO_PCI_CONCRETE(sym, generic, name_, NULL, virtio_pci_init_modern)
#define VIRTIO_PCI_BASE(sym, base_name, backend_, ops_, properties_, category_, compat_)           \
    static const DeviceType sym##_pci_base_type = {                                                \
        .object = { .name = base_name,                                                             \
                    .parent = &virtio_pci_type.object,                                             \
                    .size = sizeof(VirtioPci),                                                     \
                    .abstract = true,                                                              \
                    .properties_of = &(backend_).object,                                           \
                    .properties = properties_ },                                                   \
        .category = category_,                                                                     \
        .compat = compat_,                                                                         \
        .ops = &ops_,                                                                              \
    };                                                                                             \
    DEVICE_REGISTER(sym##_pci_base_type)

#define VIRTIO_PCI_CONCRETE(sym, kind, name_, properties_, init_)                                  \
    static const DeviceType sym##_pci_##kind##_type = {                                            \
        .object = { .name = name_,                                                                 \
                    .parent = &sym##_pci_base_type.object,                                         \
                    .size = sizeof(VirtioPci),                                                     \
                    .properties = properties_,                                                     \
                    .init = init_ },                                                               \
        .migration = SAVED_BY_PARENT("its virtio device, whose section has the card's registers"), \
    };                                                                                             \
    DEVICE_REGISTER(sym##_pci_##kind##_type)
/* With the legacy interface for certain, and without. */
#define VIRTIO_PCI_TRANSITIONAL(sym, name_) \
    VIRTIO_PCI_CONCRETE(sym, transitional, name_, NULL, virtio_pci_init_transitional)
#define VIRTIO_PCI_NON_TRANSITIONAL(sym, name_) \
    VIRTIO_PCI_CONCRETE(sym, modern, name_, NULL, virtio_pci_init_modern)

#endif
