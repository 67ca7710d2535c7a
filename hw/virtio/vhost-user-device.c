/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-device: a virtio device of any kind (VIRTIO 1.2, chapter 5) that a vhost-user back end serves. Which kind,
 * how many queues and how large a configuration space its user says; the space's contents are the back end's.
 */
#include "util/osdep.h"

#include "hw/core/cpu.h"
#include "hw/virtio/vhost-device.h"
#include "hw/virtio/virtio-pci.h"
#include "util/error.h"

typedef struct VhostUserGeneric {
    VirtioDevice vdev;
    VhostDevice vhost;
    uint16_t virtio_id;
    uint32_t num_vqs, vq_size, config_size;
} VhostUserGeneric;
VHOST_VIRTIO_BEGINS(VhostUserGeneric);
#define VHOST_USER_GENERIC(obj) ((VhostUserGeneric *)(obj))

/* ---- configuration space ------------------------------------------------------------------------------- */

static void generic_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VhostUserGeneric *s = VHOST_USER_GENERIC(vdev);

    vhost_user_config(s->vhost.vu, config, s->config_size);
}

static void config_written(void *opaque, VhostUserFailure failure, const GError *error)
{
    if (error && failure != VHOST_USER_ENDING) {
        warn_report("vhost-user-device: the configuration cannot be written: %s", error->message);
    }
    guest_hold_end(opaque);
}

static void generic_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    VhostUserGeneric *s = VHOST_USER_GENERIC(vdev);
    unsigned first = 0, end = s->config_size;

    while (first < end && config[first] == vdev->config[first]) {
        first++;
    }
    while (end > first && config[end - 1] == vdev->config[end - 1]) {
        end--;
    }
    if (first < end) {
        vhost_user_set_config(s->vhost.vu, first, config + first, end - first, config_written,
                              guest_hold_begin("vhost-user"));
        vhost_device_fetch_config(&s->vhost);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

/* Whatever the back end offers the driver may choose: we need not know what it means. */
static bool generic_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    VhostUserGeneric *s = VHOST_USER_GENERIC(vdev);

    *features |= vhost_user_features(s->vhost.vu) & 0xffffff; /* the bits of the device type */
    *features |= vhost_user_features(s->vhost.vu) & ~UINT64_C(0) << 50;
    return vhost_device_get_features(&s->vhost, features, 0, error);
}

static bool check_properties(VhostUserGeneric *s, GError **error)
{
    if (s->virtio_id == 0) {
        return error_set(error, "virtio-id property is required: the kind of device");
    }
    if (s->num_vqs == 0 || s->num_vqs > VHOST_USER_MAX_RINGS) {
        return error_set(error, "num_vqs: 1 to %d are possible", VHOST_USER_MAX_RINGS);
    }
    if (s->vq_size < 2 || s->vq_size > VIRTQUEUE_MAX_SIZE || s->vq_size & (s->vq_size - 1)) {
        return error_set(error, "vq_size must be a power of 2 (max %d)", VIRTQUEUE_MAX_SIZE);
    }
    if (s->config_size > VHOST_USER_MAX_CONFIG) {
        return error_set(error, "config_size must be %d or less", VHOST_USER_MAX_CONFIG);
    }
    return true;
}

static bool check_backend(VhostUserGeneric *s, GError **error)
{
    if (s->config_size == 0) {
        return true;
    }
    return vhost_device_has_config(&s->vhost, error) &&
           vhost_user_fetch_config_and_wait(s->vhost.vu, s->config_size, error);
}

static bool generic_realize(VirtioDevice *vdev, GError **error)
{
    VhostUserGeneric *s = VHOST_USER_GENERIC(vdev);

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
    vhost_device_follow_config(&s->vhost, s->config_size);
    s->vhost.uses_inflight = true;
    virtio_init(vdev, s->config_size);
    for (unsigned i = 0; i < s->num_vqs; i++) {
        virtio_add_queue(vdev, s->vq_size, vhost_device_no_handler);
    }
    return true;
}

/*
 * Migration notes. None: what a device of unknown kind keeps besides its rings nobody here can say, and a stream without
 * it would be a guest that lost something (P6).
 */
static const VirtioDeviceOps generic_ops = {
    .realize = generic_realize,
    .unrealize = vhost_virtio_unrealize,
    .reset = vhost_virtio_reset,
    .get_features = generic_get_features,
    .get_config = generic_get_config,
    .set_config = generic_set_config,
    .start = vhost_virtio_start,
    .stop = vhost_virtio_stop,
    .queue_enable = vhost_virtio_queue_enable,
    .queue_reset = vhost_virtio_queue_reset,
    .quiesce = vhost_virtio_quiesce,
};

static const Property generic_properties[] = {
    VHOST_DEVICE_PROPERTIES(VhostUserGeneric, vhost),
    PROPERTY_UINT16("virtio-id", VhostUserGeneric, virtio_id, "0", NULL),
    PROPERTY_UINT32("vq_size", VhostUserGeneric, vq_size, "64", NULL),
    PROPERTY_UINT32("num_vqs", VhostUserGeneric, num_vqs, "1", NULL),
    PROPERTY_UINT32("config_size", VhostUserGeneric, config_size, "0", NULL),
    {},
};

static const DeviceType vhost_user_generic_type = {
    .object = { .name = "vhost-user-device",
                .parent = &virtio_device_type.object,
                .size = sizeof(VhostUserGeneric),
                .properties = generic_properties },
    .category = DEVICE_CATEGORY_MISC,
    .migration = UNMIGRATABLE(
        "what a vhost-user back end of an unknown kind keeps besides its rings is not known"),
    .ops = &generic_ops,
};
DEVICE_REGISTER(vhost_user_generic_type)

/* ---- the card ------------------------------------------------------------------------------------------ */

static bool generic_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    vdev->device_id = VHOST_USER_GENERIC(vdev)->virtio_id;
    card->vectors = VHOST_USER_GENERIC(vdev)->num_vqs + 1;
    return true;
}

static const VirtioPciOps generic_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x00ff },
    .backend = &vhost_user_generic_type,
    .prepare = generic_pci_prepare,
};

static const Property generic_pci_properties[] = { {} };

VIRTIO_PCI_TYPES_MODERN(vhost_user_generic, "vhost-user-device-pci", "vhost-user-device-pci-base",
                        vhost_user_generic_type, generic_pci_ops, generic_pci_properties,
                        DEVICE_CATEGORY_MISC)
