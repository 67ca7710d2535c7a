/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-scsi: a SCSI host (VIRTIO 1.2, chapter 5.6) whose requests a vhost-user back end serves.
 */
#include "util/osdep.h"

#include "hw/core/drive.h"
#include "hw/core/machine.h"
#include "hw/virtio/vhost-device.h"
#include "hw/virtio/virtio-pci.h"
#include "util/bytes.h"
#include "util/error.h"

#define CONFIG_SIZE 36 /* 5.6.4 */
#define FIXED_QUEUES 2 /* control, events */
#define NUM_QUEUES_AUTO UINT32_MAX

enum { SCSI_F_HOTPLUG = 1, SCSI_F_CHANGE = 2, SCSI_F_T10_PI = 3 };

typedef struct VhostUserScsi {
    VirtioDevice vdev;
    VhostDevice vhost;
    uint32_t boot_tpgt, num_queues, queue_size, max_sectors, cmd_per_lun;
    uint32_t sense_size, cdb_size; /* as the driver set them */
    int32_t bootindex;
} VhostUserScsi;
VHOST_VIRTIO_BEGINS(VhostUserScsi);
#define VHOST_USER_SCSI(obj) ((VhostUserScsi *)(obj))

/* ---- configuration space ------------------------------------------------------------------------------- */

static void scsi_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VhostUserScsi *s = VHOST_USER_SCSI(vdev);

    store_le32(config, s->num_queues);
    store_le32(config + 4,
               s->queue_size - 2); /* segments: the header and the answer take two descriptors */
    store_le32(config + 8, s->max_sectors);
    store_le32(config + 12, s->cmd_per_lun);
    store_le32(config + 16, 16); /* bytes of an event */
    store_le32(config + 20, s->sense_size);
    store_le32(config + 24, s->cdb_size);
    store_le16(config + 28, 0);     /* channels */
    store_le16(config + 30, 255);   /* targets */
    store_le32(config + 32, 16383); /* LUNs */
}

/* The back end has no say in it: it takes the sizes that are the default ones. */
static void scsi_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    VhostUserScsi *s = VHOST_USER_SCSI(vdev);
    uint32_t sense = load_le32(config + 20), cdb = load_le32(config + 24);

    if (sense != s->sense_size || cdb != s->cdb_size) {
        virtio_error(
            vdev, "sense_size %" PRIu32 " and cdb_size %" PRIu32 ": vhost-user-scsi has 96 and 32",
            sense, cdb);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool scsi_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    /* Stock offers the events of changes whatever the back end says: a guest that comes from there may have taken them. */
    return vhost_device_get_features(&VHOST_USER_SCSI(vdev)->vhost, features,
                                     VIRTIO_BIT(SCSI_F_CHANGE), error);
}

static void default_queues(VhostUserScsi *s)
{
    const Machine *machine = machine_current();

    if (s->num_queues == NUM_QUEUES_AUTO) {
        s->num_queues =
            machine ? (uint32_t)CLAMP(machine->smp.cpus, 1, VHOST_USER_MAX_RINGS - FIXED_QUEUES)
                    : 1;
    }
}

static bool check_properties(VhostUserScsi *s, GError **error)
{
    if (s->num_queues == 0 || s->num_queues > VHOST_USER_MAX_RINGS - FIXED_QUEUES) {
        return error_set(error,
                         "Invalid number of queues (= %" PRIu32
                         "), must be a positive integer less than %d.",
                         s->num_queues, VHOST_USER_MAX_RINGS - FIXED_QUEUES + 1);
    }
    if (s->queue_size <= 2 || s->queue_size > VIRTQUEUE_MAX_SIZE ||
        s->queue_size & (s->queue_size - 1)) {
        return error_set(
            error, "invalid virtqueue_size property (= %" PRIu32 "), must be a power of 2 (max %d)",
            s->queue_size, VIRTQUEUE_MAX_SIZE);
    }
    return true;
}

static bool scsi_realize(VirtioDevice *vdev, GError **error)
{
    VhostUserScsi *s = VHOST_USER_SCSI(vdev);

    default_queues(s);
    s->sense_size = 96;
    s->cdb_size = 32;
    if (!check_properties(s, error) ||
        !vhost_device_connect(&s->vhost, vdev, UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD,
                              error)) {
        return false;
    }
    if (!vhost_device_realize(&s->vhost, error)) {
        vhost_device_unrealize(&s->vhost);
        return false;
    }
    s->vhost.uses_inflight = true;
    virtio_init(vdev, CONFIG_SIZE);
    for (unsigned i = 0; i < s->num_queues + FIXED_QUEUES; i++) {
        virtio_add_queue(vdev, s->queue_size, vhost_device_no_handler);
    }
    return true;
}

static void scsi_init(Object *obj)
{
    VHOST_USER_SCSI(obj)->bootindex = -1;
}

/*
 * Migration notes. As vhost-user-blk: rings are stopped, requests are finished or in the in-flight region. The section is
 * named as stock's: it is that of virtio-scsi without requests of our own.
 */
static bool inflight_needed(const void *opaque)
{
    return vmstate_vhost_inflight.needed(&VHOST_USER_SCSI(opaque)->vhost);
}

static const VmState vmstate_scsi_inflight = {
    .name = "virtio-scsi/inflight",
    .version = 1,
    .minimum_version = 1,
    .needed = inflight_needed,
    .fields =
        (const VmField[]){ VM_STRUCT(VhostUserScsi, vhost, vmstate_vhost_inflight, VhostDevice),
                           VM_END },
};

static bool scsi_pre_save(void *opaque, GError **error)
{
    return vhost_device_check_late(&VHOST_USER_SCSI(opaque)->vhost, error);
}

static bool scsi_pre_load(void *opaque, GError **error)
{
    vhost_device_forget_inflight(&VHOST_USER_SCSI(opaque)->vhost);
    return true;
}

static const VmState vmstate_vhost_user_scsi = {
    .name = "virtio-scsi",
    .version = 1,
    .minimum_version = 1,
    .pre_save = scsi_pre_save,
    .pre_load = scsi_pre_load,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("virtio", 1, vm_kind_virtio), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_scsi_inflight, NULL },
};

static const VirtioDeviceOps scsi_ops = {
    .device_id = VIRTIO_ID_SCSI,
    .realize = scsi_realize,
    .unrealize = vhost_virtio_unrealize,
    .reset = vhost_virtio_reset,
    .get_features = scsi_get_features,
    .get_config = scsi_get_config,
    .set_config = scsi_set_config,
    .start = vhost_virtio_start,
    .stop = vhost_virtio_stop,
    .queue_enable = vhost_virtio_queue_enable,
    .queue_reset = vhost_virtio_queue_reset,
    .quiesce = vhost_virtio_quiesce,
};

static const Property scsi_properties[] = {
    VHOST_DEVICE_PROPERTIES(VhostUserScsi, vhost),
    PROPERTY("bootindex", property_bootindex, VhostUserScsi, bootindex, .flags = PROPERTY_ANY_TIME),
    PROPERTY_UINT32("boot_tpgt", VhostUserScsi, boot_tpgt, "0", NULL),
    PROPERTY_UINT32("num_queues", VhostUserScsi, num_queues, "4294967295", NULL),
    PROPERTY_UINT32("virtqueue_size", VhostUserScsi, queue_size, "128", NULL),
    PROPERTY_UINT32("max_sectors", VhostUserScsi, max_sectors, "65535", NULL),
    PROPERTY_UINT32("cmd_per_lun", VhostUserScsi, cmd_per_lun, "128", NULL),
    VIRTIO_FEATURE_BIT("hotplug", VirtioDevice, SCSI_F_HOTPLUG, "on"),
    VIRTIO_FEATURE_BIT("param_change", VirtioDevice, SCSI_F_CHANGE, "on"),
    VIRTIO_FEATURE_BIT("t10_pi", VirtioDevice, SCSI_F_T10_PI, "off"),
    {},
};

static const DeviceType vhost_user_scsi_type = {
    .object = { .name = "vhost-user-scsi",
                .parent = &virtio_device_type.object,
                .size = sizeof(VhostUserScsi),
                .properties = scsi_properties,
                .init = scsi_init },
    .category = DEVICE_CATEGORY_STORAGE,
    .migration = MIGRATES_WITH(vmstate_vhost_user_scsi),
    .ops = &scsi_ops,
};
DEVICE_REGISTER(vhost_user_scsi_type)

/* ---- the card ------------------------------------------------------------------------------------------ */

static bool scsi_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    VhostUserScsi *s = VHOST_USER_SCSI(vdev);

    default_queues(s);
    if (card->vectors == UINT32_MAX) {
        card->vectors = s->num_queues + FIXED_QUEUES + 1;
    }
    return true;
}

static const VirtioPciOps scsi_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x0100 },
    .backend = &vhost_user_scsi_type,
    .legacy_id = 0x1004,
    .prepare = scsi_pci_prepare,
};

static const Property scsi_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE),
    {},
};

VIRTIO_PCI_TYPES(vhost_user_scsi, "vhost-user-scsi-pci", "vhost-user-scsi-pci-base",
                 vhost_user_scsi_type, scsi_pci_ops, scsi_pci_properties, DEVICE_CATEGORY_STORAGE)
VIRTIO_PCI_TRANSITIONAL(vhost_user_scsi, "vhost-user-scsi-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(vhost_user_scsi, "vhost-user-scsi-pci-non-transitional")
