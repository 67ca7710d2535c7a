/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-blk: a disk (VIRTIO 1.2, chapter 5.2) whose requests a vhost-user back end serves. Its configuration space is
 * the back end's.
 */
#include "util/osdep.h"

#include "hw/core/cpu.h"
#include "hw/core/drive.h"
#include "hw/core/machine.h"
#include "hw/virtio/vhost-device.h"
#include "hw/virtio/virtio-pci.h"
#include "util/bytes.h"
#include "util/error.h"

#define CONFIG_SIZE 60 /* that the back end is asked for: up to write_zeroes_may_unmap and what aligns it */
#define NUM_QUEUES_AUTO 0xffff

/* Feature bits (5.2.3) and places in the configuration space (5.2.4). */
enum {
    BLK_F_SIZE_MAX = 1,
    BLK_F_SEG_MAX = 2,
    BLK_F_GEOMETRY = 4,
    BLK_F_RO = 5,
    BLK_F_BLK_SIZE = 6,
    BLK_F_FLUSH = 9,
    BLK_F_TOPOLOGY = 10,
    BLK_F_CONFIG_WCE = 11,
    BLK_F_MQ = 12,
    BLK_F_DISCARD = 13,
    BLK_F_WRITE_ZEROES = 14,
    CONFIG_WCE = 32,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_END_QUEUES = 36,
    CONFIG_END_DISCARD = 48,
    CONFIG_END_ZEROES = 57,
};

typedef struct VhostUserBlk {
    VirtioDevice vdev;
    VhostDevice vhost;
    uint16_t num_queues;
    uint32_t queue_size;
    int32_t bootindex;
} VhostUserBlk;
VHOST_VIRTIO_BEGINS(VhostUserBlk);
#define VHOST_USER_BLK(obj) ((VhostUserBlk *)(obj))

/* ---- configuration space ------------------------------------------------------------------------------- */

/* The guest's ends behind the last field of what can be offered, as drivers see it with stock. */
static size_t config_size(const VhostUserBlk *s)
{
    uint64_t features = s->vdev.host_features;

    return features >> BLK_F_WRITE_ZEROES & 1 ? CONFIG_END_ZEROES
           : features >> BLK_F_DISCARD & 1    ? CONFIG_END_DISCARD
                                              : CONFIG_END_QUEUES;
}

static void blk_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VhostUserBlk *s = VHOST_USER_BLK(vdev);

    vhost_user_config(s->vhost.vu, config, (unsigned)vdev->config_size);
    store_le16(config + CONFIG_NUM_QUEUES, s->num_queues);
}

static void config_written(void *opaque, VhostUserFailure failure, const GError *error)
{
    GuestHold *hold = opaque;

    if (error && failure != VHOST_USER_ENDING) {
        warn_report("vhost-user-blk: the write cache cannot be switched: %s", error->message);
    }
    guest_hold_end(hold);
}

static void blk_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    VhostUserBlk *s = VHOST_USER_BLK(vdev);

    if (config[CONFIG_WCE] == vdev->config[CONFIG_WCE] || !virtio_has(vdev, BLK_F_CONFIG_WCE)) {
        return;
    }
    vhost_user_set_config(s->vhost.vu, CONFIG_WCE, &config[CONFIG_WCE], 1, config_written,
                          guest_hold_begin("vhost-user"));
    vhost_device_fetch_config(&s->vhost);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool blk_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    VhostUserBlk *s = VHOST_USER_BLK(vdev);

    *features |= VIRTIO_BIT(BLK_F_SIZE_MAX) | VIRTIO_BIT(BLK_F_SEG_MAX) |
                 VIRTIO_BIT(BLK_F_GEOMETRY) | VIRTIO_BIT(BLK_F_RO) | VIRTIO_BIT(BLK_F_BLK_SIZE) |
                 VIRTIO_BIT(BLK_F_FLUSH) | VIRTIO_BIT(BLK_F_TOPOLOGY);
    if (s->num_queues > 1) {
        *features |= VIRTIO_BIT(BLK_F_MQ);
    }
    return vhost_device_get_features(&s->vhost, features, 0, error);
}

static void default_queues(VhostUserBlk *s)
{
    const Machine *machine = machine_current();

    if (s->num_queues == NUM_QUEUES_AUTO) {
        s->num_queues = machine ? (uint16_t)CLAMP(machine->smp.cpus, 1, VHOST_USER_MAX_RINGS) : 1;
    }
}

static bool check_properties(VhostUserBlk *s, GError **error)
{
    if (s->num_queues == 0 || s->num_queues > VHOST_USER_MAX_RINGS) {
        return error_set(error, "invalid number of IO queues: %u, 1 to %d are possible",
                         s->num_queues, VHOST_USER_MAX_RINGS);
    }
    if (s->queue_size < 2 || s->queue_size > VIRTQUEUE_MAX_SIZE ||
        s->queue_size & (s->queue_size - 1)) {
        return error_set(error,
                         "invalid queue-size property (%" PRIu32 "), must be a power of 2 (max %d)",
                         s->queue_size, VIRTQUEUE_MAX_SIZE);
    }
    return true;
}

/* What the back end has to offer besides answering. */
static bool check_backend(VhostUserBlk *s, GError **error)
{
    unsigned max = MAX(1, vhost_user_max_rings(s->vhost.vu));

    if (!vhost_device_has_config(&s->vhost, error)) {
        return false;
    }
    if (s->num_queues > max) {
        return error_set(error, "The maximum number of queues supported by the backend is %u", max);
    }
    return vhost_user_fetch_config_and_wait(s->vhost.vu, CONFIG_SIZE, error);
}

static bool blk_realize(VirtioDevice *vdev, GError **error)
{
    VhostUserBlk *s = VHOST_USER_BLK(vdev);

    default_queues(s);
    if (!check_properties(s, error) ||
        !vhost_device_connect(&s->vhost, vdev,
                              UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG |
                                  UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD,
                              error)) {
        return false;
    }
    if (!check_backend(s, error) || !vhost_device_realize(&s->vhost, error)) {
        vhost_device_unrealize(&s->vhost);
        return false;
    }
    vhost_device_follow_config(&s->vhost, CONFIG_SIZE);
    s->vhost.uses_inflight = true;
    virtio_init(vdev, config_size(s));
    for (unsigned i = 0; i < s->num_queues; i++) {
        virtio_add_queue(vdev, s->queue_size, vhost_device_no_handler);
    }
    return true;
}

static void blk_init(Object *obj)
{
    VHOST_USER_BLK(obj)->bootindex = -1;
}

/*
 * Migration notes. Rings are stopped when the state is saved (VD3); their places are in the queues' part. Requests in
 * flight: the back end finishes them before it answers GET_VRING_BASE, or they are in the region of the subsection. The
 * contents of the disk are the back end's affair. The write cache is as the driver has set it: it is in the configuration
 * space, and the back end here is told before it serves anything. One that refuses ends the migration: a driver that has
 * switched the cache off does not flush.
 */
static bool blk_post_load(VirtioDevice *vdev, GError **error)
{
    VhostUserBlk *s = VHOST_USER_BLK(vdev);

    /* stock sends zeros as long as nobody has looked at the configuration */
    if (!virtio_has(vdev, BLK_F_CONFIG_WCE) || !load_le64(vdev->config)) {
        return true;
    }
    return vhost_user_set_config_and_wait(s->vhost.vu, CONFIG_WCE, &vdev->config[CONFIG_WCE], 1,
                                          error);
}

static bool inflight_needed(const void *opaque)
{
    return vmstate_vhost_inflight.needed(&VHOST_USER_BLK(opaque)->vhost);
}

static const VmState vmstate_blk_inflight = {
    .name = "vhost-user-blk/inflight",
    .version = 1,
    .minimum_version = 1,
    .needed = inflight_needed,
    .fields =
        (const VmField[]){ VM_STRUCT(VhostUserBlk, vhost, vmstate_vhost_inflight, VhostDevice),
                           VM_END },
};

static bool blk_pre_save(void *opaque, GError **error)
{
    return vhost_device_check_late(&VHOST_USER_BLK(opaque)->vhost, error);
}

static bool blk_pre_load(void *opaque, GError **error)
{
    vhost_device_forget_inflight(&VHOST_USER_BLK(opaque)->vhost);
    return true;
}

static const VmState vmstate_vhost_user_blk = {
    .name = "vhost-user-blk",
    .version = 1,
    .minimum_version = 1,
    .pre_save = blk_pre_save,
    .pre_load = blk_pre_load,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("virtio", 1, vm_kind_virtio), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_blk_inflight, NULL },
};

static const VirtioDeviceOps blk_ops = {
    .device_id = VIRTIO_ID_BLOCK,
    .realize = blk_realize,
    .unrealize = vhost_virtio_unrealize,
    .reset = vhost_virtio_reset,
    .get_features = blk_get_features,
    .get_config = blk_get_config,
    .set_config = blk_set_config,
    .start = vhost_virtio_start,
    .stop = vhost_virtio_stop,
    .post_load = blk_post_load,
    .queue_enable = vhost_virtio_queue_enable,
    .queue_reset = vhost_virtio_queue_reset,
    .quiesce = vhost_virtio_quiesce,
};

static const Property blk_properties[] = {
    VHOST_DEVICE_PROPERTIES(VhostUserBlk, vhost),
    PROPERTY("bootindex", property_bootindex, VhostUserBlk, bootindex, .arg = "/disk@0,0",
             .flags = PROPERTY_ANY_TIME),
    PROPERTY_UINT16("num-queues", VhostUserBlk, num_queues, "65535", NULL),
    PROPERTY_UINT32("queue-size", VhostUserBlk, queue_size, "128", NULL),
    VIRTIO_FEATURE_BIT("config-wce", VirtioDevice, BLK_F_CONFIG_WCE, "on"),
    VIRTIO_FEATURE_BIT("discard", VirtioDevice, BLK_F_DISCARD, "on"),
    VIRTIO_FEATURE_BIT("write-zeroes", VirtioDevice, BLK_F_WRITE_ZEROES, "on"),
    {},
};

static const DeviceType vhost_user_blk_type = {
    .object = { .name = "vhost-user-blk",
                .parent = &virtio_device_type.object,
                .size = sizeof(VhostUserBlk),
                .properties = blk_properties,
                .init = blk_init },
    .category = DEVICE_CATEGORY_STORAGE,
    .migration = MIGRATES_WITH(vmstate_vhost_user_blk),
    .ops = &blk_ops,
};
DEVICE_REGISTER(vhost_user_blk_type)

/* ---- the card ------------------------------------------------------------------------------------------ */

static bool blk_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    VhostUserBlk *s = VHOST_USER_BLK(vdev);

    default_queues(s);
    if (card->vectors == UINT32_MAX) {
        card->vectors = s->num_queues + 1u;
    }
    return true;
}

static const VirtioPciOps blk_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x0100 },
    .backend = &vhost_user_blk_type,
    .legacy_id = 0x1001,
    .prepare = blk_pci_prepare,
};

static const Property blk_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_CLASS,
    VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE),
    {},
};

VIRTIO_PCI_TYPES(vhost_user_blk, "vhost-user-blk-pci", "vhost-user-blk-pci-base",
                 vhost_user_blk_type, blk_pci_ops, blk_pci_properties, DEVICE_CATEGORY_STORAGE)
VIRTIO_PCI_TRANSITIONAL(vhost_user_blk, "vhost-user-blk-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(vhost_user_blk, "vhost-user-blk-pci-non-transitional")
