/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio device (VIRTIO 1.2, chapters 2 and 3): status, features, configuration space, queues' life. W1 to W6 are in
 * hw/virtio/virtio.h.
 *
 * V1  A device is started exactly while DRIVER_OK is set (a legacy driver: or it has kicked), the machine runs, the card
 *     may access memory and the device is not broken. virtio_update_running() is the only place that starts and stops.
 * V2  A hook may give the big lock away. Whoever calls one looks at the state again afterwards.
 * V3  Hooks that start, stop, enable or reset run in the main thread, where they can wait for block I/O. A processor that
 *     wrote the register is held until it is done (W6); if the machine stops first, it is done then.
 */
#include "util/osdep.h"

#include <stdarg.h>

#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "util/trace.h"
#include "virtio-internal.h"

TRACE_EVENT(virtio_set_status)

static const VirtioDeviceOps *ops_of(const VirtioDevice *vdev)
{
    return device_ops(&vdev->device);
}

static const VirtioBus *bus_of(const VirtioDevice *vdev)
{
    return (const VirtioBus *)vdev->device.bus;
}

uint16_t virtio_device_id(const VirtioDevice *vdev)
{
    uint16_t id = ops_of(vdev)->device_id;

    return id ? id : vdev->device_id;
}

const char *virtio_name(const VirtioDevice *vdev)
{
    return vdev->priv && vdev->priv->name ? vdev->priv->name : vdev->device.object.type->name;
}

/* ---- errors (W1) --------------------------------------------------------------------------------------------- */

/* In the main loop, with nobody in the middle of the device. */
void virtio_break(VirtioDevice *vdev)
{
    if (!virtio_is_broken(vdev)) {
        return; /* reset meanwhile */
    }
    if (virtio_has(vdev, VIRTIO_F_VERSION_1) && !(vdev->status & VIRTIO_STATUS_NEEDS_RESET)) {
        vdev->status |= VIRTIO_STATUS_NEEDS_RESET;
        virtio_notify_config(vdev);
    }
    virtio_update_running(vdev);
}

static void error_bh(void *opaque)
{
    VirtioDevice *vdev = opaque;

    __atomic_store_n(&vdev->priv->error_scheduled, false, __ATOMIC_SEQ_CST);
    virtio_break(vdev);
}

void virtio_error(VirtioDevice *vdev, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    if (__atomic_exchange_n(&vdev->broken, true, __ATOMIC_SEQ_CST)) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("%s: %s", virtio_name(vdev), text);
    if (bql_locked() && virtio_has(vdev, VIRTIO_F_VERSION_1)) {
        vdev->status |= VIRTIO_STATUS_NEEDS_RESET; /* the driver sees it at once; */
        virtio_notify_config(vdev);
    }
    if (!__atomic_exchange_n(&vdev->priv->error_scheduled, true, __ATOMIC_SEQ_CST)) {
        bh_schedule(vdev->priv->error_bh); /* the rest, when we are not inside a handler */
    }
}

typedef void DeferredFunc(VirtioDevice *vdev, unsigned n, uint64_t value);
static void in_main(VirtioDevice *vdev, DeferredFunc *func, unsigned n, uint64_t value);
static void run_deferred(VirtioDevice *vdev);
static void set_status(VirtioDevice *vdev, unsigned n, uint64_t value);

/* ---- starting and stopping (V1) ---------------------------------------------------------------------------------- */

static bool should_run(const VirtioDevice *vdev)
{
    return vdev->priv->realized &&
           (vdev->status & VIRTIO_STATUS_DRIVER_OK || vdev->priv->kicked_early) &&
           !(vdev->status & VIRTIO_STATUS_FAILED) && vm_is_running() && !virtio_is_broken(vdev) &&
           !vdev->priv->bus_disabled;
}

/* Eventfds come and go in one change of the memory map. */
static void start_kicks(VirtioDevice *vdev)
{
    memory_transaction_begin();
    for (unsigned n = 0; vdev->started && n < vdev->nqueues; n++) {
        virtqueue_start_kicks(&vdev->queues[n]);
    }
    memory_transaction_commit();
}

static void stop_kicks(VirtioDevice *vdev)
{
    memory_transaction_begin();
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        virtqueue_stop_kicks(&vdev->queues[n]);
    }
    memory_transaction_commit();
}

static void release_notifiers(VirtioDevice *vdev)
{
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        virtqueue_notify_release(&vdev->queues[n]);
    }
}

static void start(VirtioDevice *vdev)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    GError *error = NULL;

    vdev->started = true;
    if (ops->start && !ops->start(vdev, &error)) {
        vdev->started = false;
        stop_kicks(vdev);
        release_notifiers(vdev);
        virtio_error(vdev, "cannot start: %s", error->message);
        g_error_free(error);
        return;
    }
    start_kicks(vdev);
}

static void stop(VirtioDevice *vdev)
{
    const VirtioDeviceOps *ops = ops_of(vdev);

    for (unsigned n = 0; !vm_is_running() && n < vdev->nqueues; n++) {
        virtqueue_last_kick(&vdev->queues[n]);
    }
    stop_kicks(vdev);
    vdev->started = false;
    if (ops->stop) {
        ops->stop(vdev);
    }
    release_notifiers(vdev);
}

void virtio_update_running(VirtioDevice *vdev)
{
    bool wanted = should_run(vdev);

    if (wanted && !vdev->started) {
        start(vdev);
    } else if (!wanted && vdev->started) {
        stop(vdev);
    }
}

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    VirtioDevice *vdev = opaque;

    run_deferred(vdev);
    virtio_update_running(vdev);
}

static void driver_disabled_bus(VirtioDevice *vdev, unsigned n, uint64_t disabled)
{
    vdev->priv->disabled_by_driver = disabled;
    if (disabled && vdev->status & VIRTIO_STATUS_DRIVER_OK) {
        set_status(vdev, 0, vdev->status & ~VIRTIO_STATUS_DRIVER_OK);
    }
}

void virtio_driver_disabled_bus(VirtioDevice *vdev, bool disabled)
{
    in_main(vdev, driver_disabled_bus, 0, disabled);
}

/* ---- from a processor's thread (V3) ---------------------------------------------------------------------------- */

typedef struct Deferred {
    DeferredFunc *func;
    unsigned n;
    uint64_t value;
    GuestHold *hold;
} Deferred;

static void run_deferred(VirtioDevice *vdev)
{
    Deferred *d;

    while (vdev->priv && (d = g_queue_pop_head(&vdev->priv->deferred))) {
        guest_hold_on_behalf(d->hold);
        d->func(vdev, d->n, d->value);
        guest_hold_on_behalf(NULL);
        guest_hold_end(d->hold);
        g_free(d);
    }
}

static void deferred_in_main(void *opaque)
{
    run_deferred(opaque);
    object_unref(opaque);
}

static void in_main(VirtioDevice *vdev, DeferredFunc *func, unsigned n, uint64_t value)
{
    Deferred *d;

    if (in_main_thread()) {
        run_deferred(vdev); /* what came before */
        func(vdev, n, value);
        return;
    }
    d = g_new(Deferred, 1);
    *d = (Deferred){ func, n, value, guest_hold_begin("virtio") };
    g_queue_push_tail(&vdev->priv->deferred, d);
    object_ref(vdev);
    main_loop_call(deferred_in_main, vdev);
}

static void set_bus_disabled(VirtioDevice *vdev, unsigned n, uint64_t disabled)
{
    vdev->priv->bus_disabled = disabled;
    virtio_update_running(vdev);
}

void virtio_set_bus_disabled(VirtioDevice *vdev, bool disabled)
{
    in_main(vdev, set_bus_disabled, 0, disabled);
}

/* ---- status, reset -------------------------------------------------------------------------------------------------- */

void virtio_reset(VirtioDevice *vdev)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    const VirtioBus *bus = bus_of(vdev);
    uint8_t old = vdev->status;

    vdev->status = 0;
    vdev->priv->kicked_early = false;
    vdev->priv->disabled_by_driver = false;
    virtio_update_running(vdev);
    vdev->status = 0; /* an error while it stopped is over as well, and nobody's */
    if (old && ops->status_changed) {
        ops->status_changed(vdev, old);
    }
    if (ops->reset) {
        ops->reset(vdev);
    }
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        virtqueue_reset(&vdev->queues[n]);
    }
    vdev->guest_features = 0;
    vdev->priv->requested = 0;
    vdev->queue_sel = 0;
    vdev->generation = 0;
    __atomic_store_n(&vdev->isr, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vdev->broken, false, __ATOMIC_SEQ_CST);
    bus->ops->reset(bus->opaque);
}

/* FEATURES_OK: what the driver has asked for can be, together (2.2, 6.1). */
static bool accept_features(VirtioDevice *vdev, GError **error)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    uint64_t f = vdev->priv->requested, unknown = f & ~vdev->offered;

    if (unknown) {
        return error_set(error, "the driver accepts features that were not offered: 0x%" PRIx64,
                         unknown);
    }
    if ((f & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) && !(f & VIRTIO_BIT(VIRTIO_F_VERSION_1))) {
        return error_set(error, "the driver wants packed rings without VERSION_1");
    }
    return !ops->set_features || ops->set_features(vdev, f, error);
}

/* A ring that is in use keeps its layout. */
static bool changes_layout(const VirtioDevice *vdev, uint64_t features)
{
    bool packed = features & vdev->offered & VIRTIO_BIT(VIRTIO_F_RING_PACKED);

    for (unsigned n = 0; n < vdev->nqueues; n++) {
        if (vdev->queues[n].enabled && vdev->queues[n].packed != packed) {
            return true;
        }
    }
    return false;
}

bool virtio_set_features(VirtioDevice *vdev, uint64_t features)
{
    g_autoptr(GError) error = NULL;

    if (vdev->status & VIRTIO_STATUS_FEATURES_OK || vdev->started ||
        changes_layout(vdev, features)) {
        return false; /* 3.1.1: not any more; a legacy driver's queues are in use */
    }
    vdev->priv->requested = features;
    if (!vdev->legacy_access) {
        vdev->guest_features = features & vdev->offered;
        return true;
    }
    if (!accept_features(vdev, &error)) { /* there is no other moment for a legacy driver */
        vdev->priv->requested &= vdev->offered;
        if (!accept_features(vdev, NULL)) {
            return false;
        }
    }
    vdev->guest_features = vdev->priv->requested;
    return true;
}

static void set_status(VirtioDevice *vdev, unsigned n, uint64_t value)
{
    uint8_t status = value;
    const VirtioDeviceOps *ops = ops_of(vdev);
    g_autoptr(GError) error = NULL;
    uint8_t old = vdev->status;

    trace(virtio_set_status, "vdev %p val %u", (void *)vdev, status);
    if (!status) {
        virtio_reset(vdev);
        return;
    }
    if (status & VIRTIO_STATUS_FEATURES_OK && !(old & VIRTIO_STATUS_FEATURES_OK) &&
        !vdev->legacy_access && !accept_features(vdev, &error)) {
        warn_report("%s: features refused: %s", virtio_name(vdev), error->message);
        status &= ~VIRTIO_STATUS_FEATURES_OK;
    }
    status &= ~VIRTIO_STATUS_NEEDS_RESET;
    status |= old & VIRTIO_STATUS_NEEDS_RESET; /* ours alone */
    vdev->status = status;
    if (status != old && ops->status_changed) {
        ops->status_changed(vdev, old);
    }
    virtio_update_running(vdev);
}

void virtio_set_status(VirtioDevice *vdev, uint8_t status)
{
    in_main(vdev, set_status, 0, status);
}

/* ---- features --------------------------------------------------------------------------------------------------------- */

static bool compute_features(VirtioDevice *vdev, GError **error)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    const VirtioBus *bus = bus_of(vdev);
    uint64_t features = vdev->host_features;

    if (!ops->queue_reset) {
        features &= ~VIRTIO_BIT(VIRTIO_F_RING_RESET);
    }
    if (!bus->ops->features(bus->opaque, &features, error) ||
        (ops->get_features && !ops->get_features(vdev, &features, error))) {
        return false;
    }
    vdev->offered = features;
    return true;
}

bool virtio_features_changed(VirtioDevice *vdev, GError **error)
{
    if (vdev->status) {
        return error_set(error, "the driver has begun, and is not offered other features");
    }
    return compute_features(vdev, error);
}

/* ---- configuration space ------------------------------------------------------------------------------------------------ */

static bool config_refresh(VirtioDevice *vdev, unsigned offset, unsigned size)
{
    const VirtioDeviceOps *ops = ops_of(vdev);

    if (offset > vdev->config_size || size > vdev->config_size - offset) {
        return false;
    }
    if (ops->get_config) {
        ops->get_config(vdev, vdev->config);
    }
    return true;
}

uint32_t virtio_config_read(VirtioDevice *vdev, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (!config_refresh(vdev, offset, size)) {
        return UINT32_MAX;
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)vdev->config[offset + i] << 8 * i;
    }
    return value;
}

void virtio_config_write(VirtioDevice *vdev, unsigned offset, uint32_t value, unsigned size)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    g_autofree uint8_t *config = NULL;

    if (!config_refresh(vdev, offset, size) || !ops->set_config) {
        return;
    }
    config = g_memdup2(vdev->config, vdev->config_size);
    for (unsigned i = 0; i < size; i++) {
        config[offset + i] = value >> 8 * i;
    }
    ops->set_config(vdev, config);
}

uint32_t virtio_config_generation(VirtioDevice *vdev)
{
    return vdev->generation;
}

void virtio_notify_config(VirtioDevice *vdev)
{
    if (!(vdev->status & VIRTIO_STATUS_DRIVER_OK)) {
        return;
    }
    vdev->generation++;
    virtio_interrupt(vdev, vdev->config_vector, 3);
}

/* ---- queues: what the driver did ------------------------------------------------------------------------------------------ */

VirtQueue *virtio_get_queue(VirtioDevice *vdev, unsigned n)
{
    return n < vdev->nqueues && vdev->queues[n].max_size ? &vdev->queues[n] : NULL;
}

/* The three parts of a split ring lie as chapter 2.7 says; of a packed one as 2.8. */
uint64_t virtio_queue_desc_bytes(const VirtQueue *vq)
{
    return 16 * (uint64_t)vq->size;
}

uint64_t virtio_queue_avail_bytes(const VirtQueue *vq)
{
    return virtqueue_packed(vq) ? 4 : 4 + 2 * (uint64_t)vq->size + 2;
}

uint64_t virtio_queue_used_bytes(const VirtQueue *vq)
{
    return virtqueue_packed(vq) ? 4 : 4 + 8 * (uint64_t)vq->size + 2;
}

static bool in_64_bits(hwaddr addr, uint64_t bytes)
{
    return addr <= UINT64_MAX - bytes;
}

bool virtqueue_set_up(VirtQueue *vq)
{
    bool packed = virtio_has(vq->vdev, VIRTIO_F_RING_PACKED);

    vq->packed = packed;
    if (!vq->size || vq->size > vq->max_size || (!packed && (vq->size & (vq->size - 1)))) {
        virtio_error(vq->vdev, "queue %u: it cannot have %u entries (at most %u%s)", vq->n,
                     vq->size, vq->max_size, packed ? "" : ", a power of two");
        return false;
    }
    if (vq->desc % 16 || vq->avail % (packed ? 4 : 2) || vq->used % 4) {
        virtio_error(vq->vdev,
                     "queue %u: addresses are not aligned: 0x%" PRIx64 ", 0x%" PRIx64
                     ", 0x%" PRIx64,
                     vq->n, vq->desc, vq->avail, vq->used);
        return false;
    }
    if (!in_64_bits(vq->desc, virtio_queue_desc_bytes(vq)) ||
        !in_64_bits(vq->avail, virtio_queue_avail_bytes(vq)) ||
        !in_64_bits(vq->used, virtio_queue_used_bytes(vq))) {
        virtio_error(vq->vdev, "queue %u: its memory ends beyond the last address", vq->n);
        return false;
    }
    memory_cache_init(&vq->desc_cache, address_space_memory, vq->desc, virtio_queue_desc_bytes(vq));
    memory_cache_init(&vq->avail_cache, address_space_memory, vq->avail,
                      virtio_queue_avail_bytes(vq));
    memory_cache_init(&vq->used_cache, address_space_memory, vq->used, virtio_queue_used_bytes(vq));
    return true;
}

void virtqueue_reset(VirtQueue *vq)
{
    g_assert(!vq->inflight); /* W3: the device has given them back */
    vq->size = vq->max_size;
    vq->enabled = false;
    vq->desc = vq->avail = vq->used = 0;
    vq->last_avail = vq->shadow_avail = vq->used_idx = vq->signalled = 0;
    vq->last_avail_wrap = vq->used_wrap = true;
    vq->used_known = true;
    vq->signalled_valid = false;
    vq->notification = true;
    vq->filled_slots = vq->since_signal = 0;
}

static bool may_be_set(VirtQueue *vq)
{
    return vq && !vq->enabled;
}

void virtio_queue_set_size(VirtioDevice *vdev, unsigned n, unsigned size)
{
    VirtQueue *vq = virtio_get_queue(vdev, n);

    if (may_be_set(vq)) {
        vq->size = size; /* looked at when it is enabled */
    }
}

void virtio_queue_set_addresses(VirtioDevice *vdev, unsigned n, hwaddr desc, hwaddr avail,
                                hwaddr used)
{
    VirtQueue *vq = virtio_get_queue(vdev, n);

    if (may_be_set(vq)) {
        vq->desc = desc;
        vq->avail = avail;
        vq->used = used;
    }
}

static void set_enabled(VirtioDevice *vdev, unsigned n, uint64_t unused)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    VirtQueue *vq = virtio_get_queue(vdev, n);
    g_autoptr(GError) error = NULL;

    if (!may_be_set(vq) || virtio_is_broken(vdev) || !virtqueue_set_up(vq)) {
        return;
    }
    vq->enabled = true;
    if (ops->queue_enable && !ops->queue_enable(vdev, n, &error)) {
        virtio_error(vdev, "queue %u cannot be enabled: %s", n, error->message);
        return;
    }
    if (vdev->started && vq->enabled) { /* V2 */
        virtqueue_start_kicks(vq);
    }
}

void virtio_queue_set_enabled(VirtioDevice *vdev, unsigned n)
{
    in_main(vdev, set_enabled, n, 0);
}

static void set_pfn_address(VirtioDevice *vdev, unsigned n, uint64_t desc)
{
    VirtQueue *vq = virtio_get_queue(vdev, n);

    if (!vq) {
        return;
    }
    if (!desc) {
        virtio_reset(vdev); /* a legacy driver that lets go of a queue is leaving */
        return;
    }
    if (may_be_set(vq)) {
        vq->desc = desc;
        vq->avail = desc + virtio_queue_desc_bytes(vq);
        vq->used = (vq->avail + virtio_queue_avail_bytes(vq) + 4095) & ~(hwaddr)4095;
        set_enabled(vdev, n, 0);
    }
}

void virtio_queue_set_pfn_address(VirtioDevice *vdev, unsigned n, hwaddr desc)
{
    in_main(vdev, set_pfn_address, n, desc);
}

static void reset_one(VirtioDevice *vdev, unsigned n, uint64_t unused)
{
    const VirtioDeviceOps *ops = ops_of(vdev);
    VirtQueue *vq = virtio_get_queue(vdev, n);
    g_autoptr(GError) error = NULL;

    if (!vq || !virtio_has(vdev, VIRTIO_F_RING_RESET) || !ops->queue_reset) {
        return;
    }
    virtqueue_stop_kicks(vq);
    if (!ops->queue_reset(vdev, n, &error)) {
        virtio_error(vdev, "queue %u cannot be reset: %s", n, error->message);
        return;
    }
    virtqueue_notify_release(vq);
    virtqueue_reset(vq);
}

void virtio_queue_reset_one(VirtioDevice *vdev, unsigned n)
{
    in_main(vdev, reset_one, n, 0);
}

void virtio_queue_set_vector(VirtioDevice *vdev, unsigned n, uint16_t vector)
{
    VirtQueue *vq = virtio_get_queue(vdev, n);

    if (vq && vq->vector != vector) {
        bool direct = vq->call_direct;

        if (direct) {
            virtqueue_drain_call(vq);
        }
        vq->vector = vector;
        virtqueue_update_call(vq);
    }
}

uint16_t virtio_queue_vector(VirtioDevice *vdev, unsigned n)
{
    VirtQueue *vq = virtio_get_queue(vdev, n);

    return vq ? vq->vector : VIRTIO_NO_VECTOR;
}

static void update_running(VirtioDevice *vdev, unsigned n, uint64_t unused)
{
    virtio_update_running(vdev);
}

void virtio_queue_notified(VirtioDevice *vdev, unsigned n)
{
    VirtQueue *vq = virtio_get_queue(vdev, n);

    if (!vq) {
        return;
    }
    if (!vdev->started && vdev->legacy_access && vq->enabled && vdev->use_started &&
        !vdev->priv->kicked_early) {
        vdev->priv->kicked_early = true; /* 3.1.2: legacy drivers do so before DRIVER_OK */
        in_main(vdev, update_running, 0, 0);
        return; /* W5 */
    }
    virtqueue_kicked(vq);
}

static bool has_vector(const VirtQueue *vq, uint16_t vector)
{
    return vector == VIRTIO_NO_VECTOR || vq->vector == vector;
}

/* Queues that share a vector share its route: it is made anew when all of them have left it. */
void virtio_vectors_changed(VirtioDevice *vdev, uint16_t vector)
{
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        if (has_vector(&vdev->queues[n], vector)) {
            virtqueue_end_direct(&vdev->queues[n]);
        }
    }
    for (unsigned n = 0; n < vdev->nqueues; n++) {
        if (has_vector(&vdev->queues[n], vector)) {
            virtqueue_update_call(&vdev->queues[n]);
        }
    }
}

/* ---- queues: for devices -------------------------------------------------------------------------------------------------- */

void virtio_init(VirtioDevice *vdev, size_t config_size)
{
    vdev->config_size = config_size;
    vdev->config = g_malloc0(MAX(config_size, 1));
    vdev->config_vector = VIRTIO_NO_VECTOR;
    vdev->queues = g_new0(VirtQueue, VIRTIO_MAX_QUEUES);
}

VirtQueue *virtio_add_queue(VirtioDevice *vdev, unsigned size, VirtQueueHandler *handler)
{
    VirtQueue *vq = &vdev->queues[vdev->nqueues];

    g_assert(vdev->queues && vdev->nqueues < VIRTIO_MAX_QUEUES && size &&
             size <= VIRTQUEUE_MAX_SIZE);
    *vq = (VirtQueue){ .vdev = vdev, .n = vdev->nqueues++, .handler = handler, .max_size = size };
    virtqueue_notify_init(vq);
    virtqueue_reset(vq);
    return vq;
}

void virtio_del_queue(VirtioDevice *vdev)
{
    VirtQueue *vq = &vdev->queues[vdev->nqueues - 1];

    g_assert(vdev->nqueues && !vq->inflight);
    virtqueue_notify_release(vq);
    memset(vq, 0, sizeof(*vq));
    vdev->nqueues--;
}

unsigned virtio_queue_index(const VirtQueue *vq)
{
    return vq->n;
}

VirtioDevice *virtio_queue_device(const VirtQueue *vq)
{
    return vq->vdev;
}

bool virtio_queue_enabled(const VirtQueue *vq)
{
    return vq->enabled;
}

unsigned virtio_queue_size(const VirtQueue *vq)
{
    return vq->size;
}

unsigned virtio_queue_max_size(const VirtQueue *vq)
{
    return vq->max_size;
}

hwaddr virtio_queue_desc_addr(const VirtQueue *vq)
{
    return vq->desc;
}

hwaddr virtio_queue_avail_addr(const VirtQueue *vq)
{
    return vq->avail;
}

hwaddr virtio_queue_used_addr(const VirtQueue *vq)
{
    return vq->used;
}

uint32_t virtio_queue_base(const VirtQueue *vq)
{
    if (!virtqueue_packed(vq)) {
        return vq->last_avail;
    }
    return vq->last_avail | (uint32_t)vq->last_avail_wrap << 15 | (uint32_t)vq->used_idx << 16 |
           (uint32_t)vq->used_wrap << 31;
}

void virtio_queue_set_base(VirtQueue *vq, uint32_t base)
{
    vq->signalled_valid = false;
    if (!virtqueue_packed(vq)) {
        vq->last_avail = vq->shadow_avail = base;
        vq->used_known = false;
        return;
    }
    vq->last_avail = (base & 0x7fff) % MAX(vq->size, 1);
    vq->last_avail_wrap = base >> 15 & 1;
    vq->used_idx = (base >> 16 & 0x7fff) % MAX(vq->size, 1);
    vq->used_wrap = base >> 31;
}

void virtio_queue_restore_base(VirtQueue *vq)
{
    vq->signalled_valid = false;
    if (virtqueue_packed(vq)) {
        vq->last_avail = vq->used_idx;
        vq->last_avail_wrap = vq->used_wrap;
    } else if (vq->enabled) {
        vq->used_known = false;
        vq->last_avail = vq->shadow_avail = ring_split_used_idx(vq);
    }
}

/* ---- quiesce (P2) ------------------------------------------------------------------------------------------------------------ */

static void virtio_quiesce_resume(void *opaque)
{
    VirtioDevice *vdev = opaque;

    if (ops_of(vdev)->resume) {
        ops_of(vdev)->resume(vdev);
    }
}

static QuiesceResult virtio_quiesce(void *opaque, GError **error)
{
    VirtioDevice *vdev = opaque;
    const VirtioDeviceOps *ops = ops_of(vdev);

    if (vdev->started) {
        error_set(error, "%s is still started", virtio_name(vdev));
        return QUIESCE_BUSY;
    }
    return ops->quiesce ? ops->quiesce(vdev, error) : QUIESCE_DONE;
}

static const QuiesceOps quiesce_ops = { "virtio", virtio_quiesce, virtio_quiesce_resume };

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

static void virtio_device_reset(Device *dev)
{
    run_deferred(VIRTIO_DEVICE(dev));
    virtio_reset(VIRTIO_DEVICE(dev));
}

/* "virtio-rng-device r0", or the path of the card that has no id. */
static char *make_name(const VirtioDevice *vdev)
{
    const Device *card = vdev->device.bus->owner;
    g_autofree char *path = card && card->id
                                ? g_strdup(card->id)
                                : object_path(card ? &card->object : &vdev->device.object);

    return g_strdup_printf("%s %s", vdev->device.object.type->name, path ? path : "");
}

static void free_queues(VirtioDevice *vdev)
{
    while (vdev->nqueues) {
        virtio_del_queue(vdev);
    }
    g_clear_pointer(&vdev->queues, g_free);
    g_clear_pointer(&vdev->config, g_free);
    g_clear_pointer(&vdev->priv->name, g_free);
    bh_delete(g_steal_pointer(&vdev->priv->error_bh));
    g_clear_pointer(&vdev->priv, g_free);
}

static bool virtio_device_realize(Device *dev, GError **error)
{
    VirtioDevice *vdev = VIRTIO_DEVICE(dev);
    const VirtioDeviceOps *ops = ops_of(vdev);

    if (!object_is_a(dev->bus, &virtio_bus_type.object)) {
        return error_set(error, "%s needs a virtio bus", dev->object.type->name);
    }
    vdev->priv = g_new0(VirtioPrivate, 1);
    vdev->priv->name = make_name(vdev);
    vdev->priv->error_bh = bh_new(NULL, "virtio-error", error_bh, vdev);
    ((VirtioBus *)dev->bus)->vdev = vdev;
    if (!ops->realize(vdev, error)) {
        ((VirtioBus *)dev->bus)->vdev = NULL;
        free_queues(vdev);
        return false;
    }
    g_assert(vdev->config);
    if (!compute_features(vdev, error)) {
        if (ops->unrealize) {
            ops->unrealize(vdev);
        }
        ((VirtioBus *)dev->bus)->vdev = NULL;
        free_queues(vdev);
        return false;
    }
    vdev->priv->vm_state = vm_state_add_handler(vm_state_changed, vdev, 0);
    vdev->priv->quiesce = quiesce_register(&quiesce_ops, vdev);
    vdev->priv->realized = true;
    return true;
}

static void virtio_device_unrealize(Device *dev)
{
    VirtioDevice *vdev = VIRTIO_DEVICE(dev);
    const VirtioDeviceOps *ops = ops_of(vdev);

    run_deferred(vdev);
    vdev->priv->realized = false;
    virtio_reset(vdev);
    vm_state_del_handler(vdev->priv->vm_state);
    quiesce_unregister(vdev->priv->quiesce);
    if (ops->unrealize) {
        ops->unrealize(vdev);
    }
    run_deferred(vdev); /* what another processor wrote meanwhile (V2): it is not to be held for ever */
    ((VirtioBus *)dev->bus)->vdev = NULL;
    free_queues(vdev);
}

const DeviceType virtio_device_type = {
    .object = {
        .name = "virtio-device",
        .parent = &device_type.object,
        .size = sizeof(VirtioDevice),
        .abstract = true,
        .properties = (const Property[]){
            VIRTIO_FEATURE_BIT("indirect_desc", VirtioDevice, VIRTIO_F_INDIRECT_DESC, "on"),
            VIRTIO_FEATURE_BIT("event_idx", VirtioDevice, VIRTIO_F_EVENT_IDX, "on"),
            VIRTIO_FEATURE_BIT("notify_on_empty", VirtioDevice, VIRTIO_F_NOTIFY_ON_EMPTY, "on"),
            VIRTIO_FEATURE_BIT("any_layout", VirtioDevice, VIRTIO_F_ANY_LAYOUT, "on"),
            VIRTIO_FEATURE_BIT("iommu_platform", VirtioDevice, VIRTIO_F_ACCESS_PLATFORM, "off"),
            VIRTIO_FEATURE_BIT("packed", VirtioDevice, VIRTIO_F_RING_PACKED, "off"),
            VIRTIO_FEATURE_BIT("queue_reset", VirtioDevice, VIRTIO_F_RING_RESET, "on"),
            PROPERTY_BOOL("use-started", VirtioDevice, use_started, "on", NULL),
            PROPERTY_BOOL("use-disabled-flag", VirtioDevice, use_disabled_flag, "on", NULL),
            PROPERTY_BOOL("x-disable-legacy-check", VirtioDevice, disable_legacy_check, "off", NULL),
            {}
        },
    },
    .bus = &virtio_bus_type,
    .realize = virtio_device_realize,
    .unrealize = virtio_device_unrealize,
    .reset = virtio_device_reset,
};
DEVICE_REGISTER(virtio_device_type);

const BusType virtio_bus_type = {
    .object = {
        .name = "virtio-bus",
        .parent = &bus_type.object,
        .size = sizeof(VirtioBus),
        .abstract = true,
    },
    .max_devices = 1,
};
BUS_REGISTER(virtio_bus_type);
