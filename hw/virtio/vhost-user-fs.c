/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-fs: a file system (VIRTIO 1.2, chapter 5.11) that a vhost-user back end (virtiofsd) shares with the guest.
 */
#include "util/osdep.h"

#include "hw/core/drive.h"
#include "hw/virtio/vhost-device.h"
#include "hw/virtio/virtio-pci.h"
#include "util/bytes.h"
#include "util/error.h"

#define TAG_SIZE 36
#define CONFIG_SIZE 40 /* 5.11.4: tag, num_request_queues */
#define STATE_CHUNK (1024 * 1024)

typedef struct VhostUserFs {
    VirtioDevice vdev;
    VhostDevice vhost;
    char *tag;
    uint16_t num_request_queues;
    uint16_t queue_size;
    int32_t bootindex;
} VhostUserFs;
VHOST_VIRTIO_BEGINS(VhostUserFs);
#define VHOST_USER_FS(obj) ((VhostUserFs *)(obj))

/* ---- life ---------------------------------------------------------------------------------------------- */

static void fs_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VhostUserFs *s = VHOST_USER_FS(vdev);

    memset(config, 0, CONFIG_SIZE);
    memcpy(config, s->tag,
           MIN(strlen(s->tag), TAG_SIZE)); /* without a zero byte if it is that long */
    store_le32(config + TAG_SIZE, s->num_request_queues);
}

static bool fs_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    return vhost_device_get_features(&VHOST_USER_FS(vdev)->vhost, features, 0, error);
}

static bool check_properties(VhostUserFs *s, GError **error)
{
    if (!s->tag) {
        return error_set(error, "missing tag property");
    }
    if (!*s->tag) {
        return error_set(error, "tag property cannot be empty");
    }
    if (strlen(s->tag) > TAG_SIZE) {
        return error_set(error, "tag property must be %d bytes or less", TAG_SIZE);
    }
    if (s->num_request_queues == 0 || s->num_request_queues >= VHOST_USER_MAX_RINGS) {
        return error_set(error,
                         "num-request-queues property must be larger than 0 and smaller than %d",
                         VHOST_USER_MAX_RINGS);
    }
    if (s->queue_size < 4 || s->queue_size > VIRTQUEUE_MAX_SIZE ||
        s->queue_size & (s->queue_size - 1)) {
        return error_set(error, "queue-size property must be a power of 2 from 4 to %d",
                         VIRTQUEUE_MAX_SIZE);
    }
    return true;
}

static bool fs_realize(VirtioDevice *vdev, GError **error)
{
    VhostUserFs *s = VHOST_USER_FS(vdev);

    s->vhost.needs_state = true;
    if (!check_properties(s, error) ||
        !vhost_device_connect(&s->vhost, vdev, UINT64_C(1) << VHOST_USER_PROTOCOL_F_DEVICE_STATE,
                              error)) {
        return false;
    }
    if (!vhost_device_realize(&s->vhost, error)) {
        vhost_device_unrealize(&s->vhost);
        return false;
    }
    virtio_init(vdev, CONFIG_SIZE);
    for (unsigned i = 0; i < s->num_request_queues + 1u;
         i++) { /* the first one for urgent requests */
        virtio_add_queue(vdev, s->queue_size, vhost_device_no_handler);
    }
    return true;
}

static void fs_init(Object *obj)
{
    VHOST_USER_FS(obj)->bootindex = -1;
}

/*
 * Migration notes. Rings as with every vhost-user device. What the back end knows of open files and inodes is its own
 * state: a subsection of chunks, each be32 length and bytes, ended by a length of 0, as stock 10.0 has it. It can be had
 * only while the rings are stopped. A back end that cannot save it blocks migration by name. Checked on load: the sum
 * of the lengths (VHOST_USER_STATE_MAX); what the bytes mean the back end checks, and its refusal ends the migration.
 */
static bool put_state(VmWriter *w, const void *elem, size_t size, const VmField *field,
                      GError **error)
{
    VhostUserFs *s = VHOST_USER_FS(elem);
    g_autoptr(GByteArray) bytes = vhost_user_state_save(s->vhost.vu, error);

    if (!bytes) {
        return false;
    }
    for (guint at = 0; at < bytes->len; at += STATE_CHUNK) {
        guint n = MIN(STATE_CHUNK, bytes->len - at);

        vm_put_be32(w, n);
        vm_put_bytes(w, bytes->data + at, n);
    }
    vm_put_be32(w, 0);
    return true;
}

static bool get_state(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    VhostUserFs *s = VHOST_USER_FS(elem);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint32_t n;

    while ((n = vm_get_be32(r))) {
        if (n > VHOST_USER_STATE_MAX - bytes->len) {
            return error_set(error, "the back end's state has more than %d bytes",
                             VHOST_USER_STATE_MAX);
        }
        g_byte_array_set_size(bytes, bytes->len + n);
        if (!vm_get_bytes(r, bytes->data + bytes->len - n, n)) {
            break;
        }
    }
    return vm_reader_check(r, error) &&
           vhost_user_state_load(s->vhost.vu, bytes->data, bytes->len, error);
}

static const VmKind vm_kind_backend_state = { .name = "virtio-fs back-end state",
                                              .put = put_state,
                                              .get = get_state };

static bool state_needed(const void *opaque)
{
    const VhostUserFs *s = opaque;

    return s->vhost.vu && vhost_user_has_protocol(s->vhost.vu, VHOST_USER_PROTOCOL_F_DEVICE_STATE);
}

static const VmState vmstate_backend = {
    .name = "vhost-user-fs-backend",
    .version = 0,
    .minimum_version = 0,
    .needed = state_needed,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("back-end", 0, vm_kind_backend_state), VM_END },
};

static bool fs_pre_save(void *opaque, GError **error)
{
    return vhost_device_check_late(&VHOST_USER_FS(opaque)->vhost, error);
}

static const VmState vmstate_vhost_user_fs = {
    .name = "vhost-user-fs",
    .version = 0,
    .minimum_version = 0,
    .pre_save = fs_pre_save,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("virtio", 1, vm_kind_virtio), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_backend, NULL },
};

static const VirtioDeviceOps fs_ops = {
    .device_id = VIRTIO_ID_FS,
    .realize = fs_realize,
    .unrealize = vhost_virtio_unrealize,
    .reset = vhost_virtio_reset,
    .get_features = fs_get_features,
    .get_config = fs_get_config,
    .start = vhost_virtio_start,
    .stop = vhost_virtio_stop,
    .queue_enable = vhost_virtio_queue_enable,
    .queue_reset = vhost_virtio_queue_reset,
    .quiesce = vhost_virtio_quiesce,
};

static const Property fs_properties[] = {
    VHOST_DEVICE_PROPERTIES(VhostUserFs, vhost),
    PROPERTY_STRING("tag", VhostUserFs, tag, NULL),
    PROPERTY("bootindex", property_bootindex, VhostUserFs, bootindex, .arg = "/filesystem@0",
             .flags = PROPERTY_ANY_TIME),
    PROPERTY_UINT16("num-request-queues", VhostUserFs, num_request_queues, "1", NULL),
    PROPERTY_UINT16("queue-size", VhostUserFs, queue_size, "128", NULL),
    {},
};

static const DeviceType vhost_user_fs_type = {
    .object = { .name = "vhost-user-fs-device",
                .parent = &virtio_device_type.object,
                .size = sizeof(VhostUserFs),
                .properties = fs_properties,
                .init = fs_init },
    .category = DEVICE_CATEGORY_STORAGE,
    .migration = MIGRATES_WITH(vmstate_vhost_user_fs),
    .ops = &fs_ops,
};
DEVICE_REGISTER(vhost_user_fs_type)

/* ---- the card ------------------------------------------------------------------------------------------ */

static bool fs_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    if (card->vectors == UINT32_MAX) {
        card->vectors =
            VHOST_USER_FS(vdev)->num_request_queues + 2u; /* configuration, urgent requests */
    }
    return true;
}

static const VirtioPciOps fs_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x0180 },
    .backend = &vhost_user_fs_type,
    .prepare = fs_pci_prepare,
};

static const Property fs_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE),
    {},
};

VIRTIO_PCI_TYPES_MODERN(vhost_user_fs, "vhost-user-fs-pci", "vhost-user-fs-pci-base",
                        vhost_user_fs_type, fs_pci_ops, fs_pci_properties, DEVICE_CATEGORY_STORAGE)
