/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device in a stream: one field that has everything, in stock's layout.
 *
 * Migration notes. First the card, then the common registers, the configuration space, the queues with their position, the
 * device's own part, at last subsections for what came later. A split ring's used index is in guest memory and not here.
 * What the driver and the device share in memory is RAM's. Requests in flight are the device's part. Kicks and
 * interrupts under way: every enabled queue is kicked after the load (W5), interrupts have been delivered before the
 * save (N3). Checked: each count and index against what the device has, the rings' places as when a driver sets them.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "virtio-internal.h"

static const VirtioDeviceOps *ops_of(const VirtioDevice *vdev)
{
    return device_ops(&vdev->device);
}

static VirtioBus *bus_of(const VirtioDevice *vdev)
{
    return (VirtioBus *)vdev->device.bus;
}

/* ---- subsections ---------------------------------------------------------------------------------------------- */

static bool features64_needed(const void *opaque)
{
    const VirtioDevice *vdev = opaque;

    return vdev->offered >> 32;
}

static const VmState vmstate_64bit_features = {
    .name = "virtio/64bit_features",
    .version = 1,
    .minimum_version = 1,
    .needed = features64_needed,
    .fields = (const VmField[]){ VM_U64(VirtioDevice, guest_features), VM_END },
};

/* Modern drivers give the addresses one by one. */
static bool virtqueues_needed(const void *opaque)
{
    const VirtioDevice *vdev = opaque;

    return vdev->offered >> VIRTIO_F_VERSION_1 & 1;
}

typedef struct SavedPlace {
    void *parent;
    uint64_t place[2 * VIRTIO_MAX_QUEUES];
} SavedPlace;

static bool put_places(VmWriter *w, const void *elem, size_t size, const VmField *field,
                       GError **error)
{
    const VirtioDevice *vdev = elem;

    for (unsigned n = 0; n < VIRTIO_MAX_QUEUES; n++) {
        vm_put_be64(w, n < vdev->nqueues ? vdev->queues[n].avail : 0);
        vm_put_be64(w, n < vdev->nqueues ? vdev->queues[n].used : 0);
    }
    return true;
}

static bool get_places(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    VirtioDevice *vdev = elem;

    for (unsigned n = 0; n < VIRTIO_MAX_QUEUES; n++) {
        uint64_t avail = vm_get_be64(r), used = vm_get_be64(r);

        if (n < vdev->nqueues) {
            vdev->queues[n].avail = avail;
            vdev->queues[n].used = used;
        } else if (avail || used) {
            return error_set(error, "queue %u has a ring, and the device has %u queues", n,
                             vdev->nqueues);
        }
    }
    return vm_reader_check(r, error);
}

static const VmKind vm_kind_places = { .name = "vqs", .put = put_places, .get = get_places };

static const VmState vmstate_virtqueues = {
    .name = "virtio/virtqueues",
    .version = 1,
    .minimum_version = 1,
    .needed = virtqueues_needed,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("vqs", 1, vm_kind_places), VM_END },
};

/* The most that each ring may have, where the driver has chosen less. */
static bool ringsize_needed(const void *opaque)
{
    const VirtioDevice *vdev = opaque;

    for (unsigned n = 0; n < vdev->nqueues; n++) {
        if (vdev->queues[n].size != vdev->queues[n].max_size) {
            return true;
        }
    }
    return false;
}

static bool put_ringsizes(VmWriter *w, const void *elem, size_t size, const VmField *field,
                          GError **error)
{
    const VirtioDevice *vdev = elem;

    for (unsigned n = 0; n < VIRTIO_MAX_QUEUES; n++) {
        vm_put_be32(w, n < vdev->nqueues ? vdev->queues[n].max_size : 0);
    }
    return true;
}

/* The queues are as large as our device makes them; a stream of another one is not for it. */
static bool get_ringsizes(VmReader *r, void *elem, size_t size, const VmField *field,
                          GError **error)
{
    VirtioDevice *vdev = elem;

    for (unsigned n = 0; n < VIRTIO_MAX_QUEUES; n++) {
        uint32_t max = vm_get_be32(r);

        if (vm_reader_ok(r) && max != (n < vdev->nqueues ? vdev->queues[n].max_size : 0)) {
            return error_set(error, "queue %u has up to %" PRIu32 " entries in the stream, %u here",
                             n, max, n < vdev->nqueues ? vdev->queues[n].max_size : 0);
        }
    }
    return vm_reader_check(r, error);
}

static const VmKind vm_kind_ringsizes = { .name = "ringsize",
                                          .put = put_ringsizes,
                                          .get = get_ringsizes };

static const VmState vmstate_ringsize = {
    .name = "virtio/ringsize",
    .version = 1,
    .minimum_version = 1,
    .needed = ringsize_needed,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("vqs", 1, vm_kind_ringsizes), VM_END },
};

static bool broken_needed(const void *opaque)
{
    return virtio_is_broken(opaque);
}

static const VmState vmstate_broken = {
    .name = "virtio/broken",
    .version = 1,
    .minimum_version = 1,
    .needed = broken_needed,
    .fields = (const VmField[]){ VM_BOOL(VirtioDevice, broken), VM_END },
};

static bool put_extra(VmWriter *w, const void *elem, size_t size, const VmField *field,
                      GError **error)
{
    const VirtioBus *bus = bus_of(elem);

    return vmstate_save(w, bus->ops->extra, bus->opaque, NULL, error);
}

static bool get_extra(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    const VirtioBus *bus = bus_of(elem);

    return vmstate_load(r, bus->ops->extra, bus->opaque, bus->ops->extra->version, error);
}

static bool extra_needed(const void *opaque)
{
    const VirtioBus *bus = bus_of(opaque);

    return bus->ops->extra && bus->ops->extra_needed(bus->opaque);
}

static const VmKind vm_kind_extra = { .name = "virtqueue_extra_state",
                                      .put = put_extra,
                                      .get = get_extra };

static const VmState vmstate_extra_state = {
    .name = "virtio/extra_state",
    .version = 1,
    .minimum_version = 1,
    .needed = extra_needed,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("extra_state", 1, vm_kind_extra), VM_END },
};

static bool packed_needed(const void *opaque)
{
    const VirtioDevice *vdev = opaque;

    return vdev->offered >> VIRTIO_F_RING_PACKED & 1;
}

static bool put_packed(VmWriter *w, const void *elem, size_t size, const VmField *field,
                       GError **error)
{
    const VirtioDevice *vdev = elem;

    for (unsigned n = 0; n < VIRTIO_MAX_QUEUES; n++) {
        const VirtQueue *vq = n < vdev->nqueues ? &vdev->queues[n] : NULL;

        vm_put_be16(w, vq ? vq->last_avail : 0);
        vm_put_u8(w, vq ? vq->last_avail_wrap : 1);
        vm_put_be16(w, vq ? vq->used_idx : 0);
        vm_put_u8(w, vq ? vq->used_wrap : 1);
        vm_put_be32(w, vq ? vq->inflight : 0);
    }
    return true;
}

static bool get_packed(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    VirtioDevice *vdev = elem;

    for (unsigned n = 0; n < VIRTIO_MAX_QUEUES; n++) {
        uint16_t avail = vm_get_be16(r);
        uint8_t avail_wrap = vm_get_u8(r);
        uint16_t used = vm_get_be16(r);
        uint8_t used_wrap = vm_get_u8(r);
        VirtQueue *vq = n < vdev->nqueues ? &vdev->queues[n] : NULL;

        vm_get_be32(r); /* follows from the elements that the device brings */
        if (!vq) {
            continue;
        }
        if (avail_wrap > 1 || used_wrap > 1) {
            return error_set(error, "queue %u has the wrap counters %u and %u", n, avail_wrap,
                             used_wrap);
        }
        vq->last_avail = avail; /* looked at in restore_queue(), when everything has come */
        vq->last_avail_wrap = avail_wrap;
        vq->used_idx = used;
        vq->used_wrap = used_wrap;
    }
    return vm_reader_check(r, error);
}

static const VmKind vm_kind_packed = { .name = "packed_vqs", .put = put_packed, .get = get_packed };

static const VmState vmstate_packed_virtqueues = {
    .name = "virtio/packed_virtqueues",
    .version = 1,
    .minimum_version = 1,
    .needed = packed_needed,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("vqs", 1, vm_kind_packed), VM_END },
};

#define SCRATCH_SUBSECTION(symbol, wire, member)                                                 \
    static bool symbol##_needed(const void *opaque)                                              \
    {                                                                                            \
        return ((const VirtioDevice *)opaque)->priv->member;                                     \
    }                                                                                            \
    static const VmState vmstate_##symbol##_value = {                                            \
        .name = wire "/value",                                                                   \
        .version = 1,                                                                            \
        .minimum_version = 1,                                                                    \
        .fields = (const VmField[]){ VM_BOOL(VirtioPrivate, member), VM_END },                   \
    };                                                                                           \
    static const VmState vmstate_##symbol = {                                                    \
        .name = wire,                                                                            \
        .version = 1,                                                                            \
        .minimum_version = 1,                                                                    \
        .needed = symbol##_needed,                                                               \
        .fields =                                                                                \
            (const VmField[]){ VM_NAMED_STRUCT_POINTER("priv", VirtioDevice, priv,               \
                                                       vmstate_##symbol##_value, VirtioPrivate), \
                               VM_END },                                                         \
    }
SCRATCH_SUBSECTION(started, "virtio/started", saved_started);
SCRATCH_SUBSECTION(disabled, "virtio/disabled", saved_disabled);

static const VmState vmstate_virtio_common = {
    .name = "virtio",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_END },
    .subsections =
        (const VmState *const[]){ &vmstate_64bit_features, &vmstate_virtqueues, &vmstate_ringsize,
                                  &vmstate_broken, &vmstate_extra_state, &vmstate_started,
                                  &vmstate_packed_virtqueues, &vmstate_disabled, NULL },
};

/* ---- saving ----------------------------------------------------------------------------------------------------- */

static void save_queues(VirtioDevice *vdev, VmWriter *w)
{
    const VirtioBus *bus = bus_of(vdev);

    vm_put_be32(w, vdev->nqueues);
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        const VirtQueue *vq = &vdev->queues[n];

        vm_put_be32(w, vq->size);
        vm_put_be64(w, vq->desc);
        vm_put_be16(w, vq->last_avail);
        bus->ops->save_queue(bus->opaque, n, w);
    }
}

static bool put_virtio(VmWriter *w, const void *elem, size_t size, const VmField *field,
                       GError **error)
{
    VirtioDevice *vdev = (VirtioDevice *)elem;
    const VirtioDeviceOps *ops = ops_of(vdev);
    const VirtioBus *bus = bus_of(vdev);

    if (!bus->ops->save(bus->opaque, w, error)) {
        return false;
    }
    vm_put_u8(w, vdev->status);
    vm_put_u8(w, __atomic_load_n(&vdev->isr, __ATOMIC_SEQ_CST));
    vm_put_be16(w, vdev->queue_sel);
    vm_put_be32(w, vdev->guest_features);
    if (ops->get_config) {
        ops->get_config(vdev, vdev->config);
    }
    vm_put_be32(w, vdev->config_size);
    vm_put_bytes(w, vdev->config, vdev->config_size);
    save_queues(vdev, w);
    if ((ops->save && !ops->save(vdev, w, error)) ||
        (ops->vmstate && !vmstate_save(w, ops->vmstate, vdev, NULL, error))) {
        return false;
    }
    vdev->priv->saved_started =
        vdev->use_started && (vdev->status & VIRTIO_STATUS_DRIVER_OK || vdev->priv->kicked_early);
    vdev->priv->saved_disabled = vdev->use_disabled_flag && vdev->priv->disabled_by_driver;
    return vmstate_save(w, &vmstate_virtio_common, vdev, NULL, error);
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

/* A configuration space that is shorter or longer than ours: the device says what is in it. */
static bool load_config(VirtioDevice *vdev, VmReader *r, GError **error)
{
    uint32_t length = vm_get_be32(r);
    uint32_t known = MIN(length, vdev->config_size);

    if (length > 65536) {
        return error_set(error, "a configuration space of %" PRIu32 " bytes", length);
    }
    vm_get_bytes(r, vdev->config, known);
    vm_skip_bytes(r, length - known);
    return vm_reader_check(r, error);
}

static bool load_queues(VirtioDevice *vdev, VmReader *r, GError **error)
{
    const VirtioBus *bus = bus_of(vdev);
    uint32_t count = vm_get_be32(r);

    if (vm_reader_ok(r) && count != vdev->nqueues) {
        return error_set(error, "%" PRIu32 " queues in the stream, %u here", count, vdev->nqueues);
    }
    for (unsigned n = 0; n < vdev->nqueues && vm_reader_ok(r); n++) {
        VirtQueue *vq = &vdev->queues[n];

        vq->size = vm_get_be32(r);
        vq->desc = vm_get_be64(r);
        vq->last_avail = vq->shadow_avail = vm_get_be16(r);
        if (vm_reader_ok(r) && vq->size > UINT16_MAX) {
            return error_set(error, "queue %u has %u entries", n, vq->size);
        }
        if (!bus->ops->load_queue(bus->opaque, n, r, error)) {
            return false;
        }
    }
    return vm_reader_check(r, error);
}

/*
 * A modern driver's queue that the card's part says was enabled is enabled, wherever it is: a part of it may be at address 0 (not
 * all of them: that is a queue which was made anew since). For a legacy driver 0 is no place; its ring has the other parts behind
 * the table. A stream without the card's part (migrate-extra=off) has the address alone, which is 0 before the queue is enabled.
 * Checked as if a driver had set it up; where a packed ring is has to be within it, whether or not the subsection with it came.
 */
static bool restore_queue(VirtioDevice *vdev, VirtQueue *vq, GError **error)
{
    const VirtioBus *bus = bus_of(vdev);
    bool broken = virtio_is_broken(vdev);
    bool modern = bus->ops->queue_enabled && bus->ops->queue_enabled(bus->opaque, vq->n);

    vq->used_known = virtio_has(vdev, VIRTIO_F_RING_PACKED);
    vq->signalled_valid = false;
    vq->notification = true;
    vq->enabled = vq->desc || (modern && (vq->avail || vq->used));
    vq->packed = virtio_has(vdev, VIRTIO_F_RING_PACKED);
    if (!vq->enabled) {
        vq->last_avail = vq->shadow_avail = vq->used_idx = 0;
        vq->last_avail_wrap = vq->used_wrap = true;
        return true;
    }
    if (!modern && !vq->avail) {
        vq->avail = vq->desc + virtio_queue_desc_bytes(vq);
        vq->used = (vq->avail + virtio_queue_avail_bytes(vq) + 4095) & ~(hwaddr)4095;
    }
    if (!virtqueue_set_up(vq)) {
        vq->enabled = broken; /* nobody looks at it before a reset */
        return true;
    }
    return !vq->packed || (vq->last_avail < vq->size && vq->used_idx < vq->size) ||
           error_set(error, "queue %u cannot be at %u and %u of %u", vq->n, vq->last_avail,
                     vq->used_idx, vq->size);
}

static void forget(VirtioDevice *vdev)
{
    vdev->loading = true;
    virtio_reset(vdev);
    vdev->loading = false;
    vdev->priv->saved_started = vdev->priv->saved_disabled = false;
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        vdev->queues[n].avail = vdev->queues[n].used = 0;
    }
}

static bool check_features(VirtioDevice *vdev, GError **error)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    uint64_t unknown = vdev->guest_features & ~vdev->offered;

    if (unknown) {
        return error_set(error,
                         "features 0x%" PRIx64
                         " of the stream's driver are not offered here (0x%" PRIx64 ")",
                         unknown, vdev->offered);
    }
    vdev->priv->requested = vdev->guest_features;
    return !vdev->guest_features || !ops->set_features ||
           ops->set_features(vdev, vdev->guest_features, error);
}

static bool load_rest(VirtioDevice *vdev, VmReader *r, GError **error)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    const VirtioBus *bus = bus_of(vdev);

    if (!vmstate_load(r, &vmstate_virtio_common, vdev, 1, error)) {
        return false;
    }
    vdev->guest_features &= ~VIRTIO_BIT(VIRTIO_F_BAD_FEATURE);
    if (!check_features(vdev, error)) {
        return false;
    }
    vdev->priv->disabled_by_driver = vdev->priv->saved_disabled;
    /* Only a legacy driver kicks before it is ready. */
    vdev->priv->kicked_early =
        vdev->priv->saved_started && !(vdev->status & VIRTIO_STATUS_DRIVER_OK);
    vdev->legacy_access = !virtio_has(vdev, VIRTIO_F_VERSION_1) &&
                          (vdev->status & VIRTIO_STATUS_DRIVER_OK || vdev->priv->kicked_early ||
                           !(vdev->offered >> VIRTIO_F_VERSION_1 & 1));
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        if (!restore_queue(vdev, &vdev->queues[n], error)) {
            return false;
        }
    }
    if (bus->ops->loaded && !bus->ops->loaded(bus->opaque, error)) {
        return false;
    }
    return !ops->post_load || ops->post_load(vdev, error);
}

static bool get_virtio(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    VirtioDevice *vdev = elem;
    const VirtioDeviceOps *ops = ops_of(vdev);
    const VirtioBus *bus = bus_of(vdev);
    uint8_t status, isr;

    forget(vdev);
    if (!bus->ops->load(bus->opaque, r, error)) {
        return false;
    }
    status = vm_get_u8(r);
    isr = vm_get_u8(r);
    vdev->queue_sel = vm_get_be16(r);
    vdev->guest_features = vm_get_be32(r);
    if (vm_reader_ok(r) && vdev->queue_sel >= VIRTIO_MAX_QUEUES) {
        return error_set(error, "queue %u is selected", vdev->queue_sel);
    }
    if (!load_config(vdev, r, error) ||
        (ops->before_load_queues && !ops->before_load_queues(vdev, error)) ||
        !load_queues(vdev, r, error)) {
        return false;
    }
    vdev->status = status;
    __atomic_store_n(&vdev->isr, isr, __ATOMIC_SEQ_CST);
    if ((ops->load &&
         !ops->load(vdev, r, vdev->device.vmsection ? vdev->device.vmsection->version : 1,
                    error)) ||
        (ops->vmstate && !vmstate_load(r, ops->vmstate, vdev, ops->vmstate->version, error))) {
        return false;
    }
    return load_rest(vdev, r, error);
}

const VmKind vm_kind_virtio = { .name = "virtio", .put = put_virtio, .get = get_virtio };
