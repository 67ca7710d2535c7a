/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The entropy device (VIRTIO 1.2, chapter 5.4): one queue of buffers that are filled with random bytes. */
#include "util/osdep.h"
#include "hw/virtio/virtio-pci.h"
#include "system/rng.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/trace.h"

TRACE_EVENT(virtio_rng_guest_not_ready)
TRACE_EVENT(virtio_rng_cpu_is_stopped)
TRACE_EVENT(virtio_rng_popped)
TRACE_EVENT(virtio_rng_pushed)
TRACE_EVENT(virtio_rng_request)
TRACE_EVENT(virtio_rng_vm_state_change)

#define RNG_QUEUE_SIZE 8

typedef struct VirtioRng {
    VirtioDevice vdev;
    RngBackend *rng; /* property; NULL: one of our own */
    uint64_t max_bytes;
    uint32_t period_ms;
    VirtQueue *vq;
    bool own_backend;
    Timer timer;    /* a period is over */
    uint64_t quota; /* bytes that may still be given in this period */
    bool requested; /* the source has a request of ours */
} VirtioRng;

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void ask(VirtioRng *s);

/* Fills buffers with what has come. The driver may have taken nothing, or the ring may be gone. */
static void entropy_arrived(void *opaque, const uint8_t *data, size_t n)
{
    VirtioRng *s = opaque;
    size_t used = 0;
    VirtQueueElement *elem;

    s->requested = false;
    if (!s->vdev.started) {
        trace_mark(virtio_rng_cpu_is_stopped);
        return;
    }
    while (used < n && (elem = virtqueue_pop(s->vq, sizeof(*elem)))) {
        size_t len = iov_from_buf(elem->in_sg, elem->in_num, 0, data + used, n - used);

        trace(virtio_rng_popped, "rng %p: elem popped", (void *)s);
        virtqueue_push(s->vq, elem, len);
        trace(virtio_rng_pushed, "rng %p: %zu bytes pushed", (void *)s, len);
        g_free(elem);
        used += len;
        if (!len) {
            break; /* a buffer that takes nothing */
        }
    }
    s->quota -= MIN(s->quota, used);
    virtio_notify(&s->vdev, s->vq);
    ask(s);
}

static void ask(VirtioRng *s)
{
    size_t wanted;

    if (!s->vdev.started || s->requested) {
        return;
    }
    if (virtqueue_empty(s->vq)) {
        trace(virtio_rng_guest_not_ready, "rng %p: guest not ready", (void *)s);
        return;
    }
    if (s->max_bytes != INT64_MAX && !timer_pending(&s->timer)) {
        timer_mod(&s->timer, clock_get_ns(CLOCK_VIRTUAL) + s->period_ms * NS_PER_MS);
    }
    virtqueue_get_avail_bytes(s->vq, &wanted, NULL, s->quota, 0);
    wanted = MIN(wanted, s->quota);
    wanted = MIN(wanted, 64 * 1024);
    if (!wanted && s->quota && !virtio_is_broken(&s->vdev)) {
        /* Buffers that take nothing: they go back empty. */
        if (virtqueue_drop_all(s->vq)) {
            virtio_notify(&s->vdev, s->vq);
        }
        return;
    }
    trace(virtio_rng_request, "rng %p: %zu bytes requested, %" PRIu64 " bytes quota left",
          (void *)s, wanted, s->quota);
    if (wanted) {
        s->requested = true;
        rng_backend_request(s->rng, wanted, entropy_arrived, s);
    }
}

static void rng_handle(VirtioDevice *vdev, VirtQueue *vq)
{
    ask((VirtioRng *)vdev);
}

static void period_over(void *opaque)
{
    VirtioRng *s = opaque;

    s->quota = s->max_bytes;
    ask(s);
}

static void rng_stop(VirtioDevice *vdev)
{
    VirtioRng *s = (VirtioRng *)vdev;

    trace(virtio_rng_vm_state_change, "rng %p: state change to running %u state %d", (void *)s,
          vdev->started, vm_state());
    rng_backend_cancel(s->rng, s);
    s->requested = false;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void rng_reset(VirtioDevice *vdev)
{
    VirtioRng *s = (VirtioRng *)vdev;

    timer_del(&s->timer);
    s->quota = s->max_bytes;
}

static bool find_backend(VirtioRng *s, GError **error)
{
    if (!s->rng) {
        Object *own = object_new(&rng_backend_builtin_type);
        bool ok = object_add_child(&s->vdev.device.object, "default-backend", own, error);

        object_unref(own); /* the tree has it */
        if (!ok) {
            return false;
        }
        object_set_link(&s->vdev.device.object, "rng", own);
        s->own_backend = true;
    }
    rng_backend_hold(s->rng);
    return true;
}

static bool rng_realize(VirtioDevice *vdev, GError **error)
{
    VirtioRng *s = (VirtioRng *)vdev;

    if (!s->period_ms) {
        return error_set(error, "'period' parameter expects a positive integer");
    }
    if (s->max_bytes > INT64_MAX) {
        return error_set(error, "'max-bytes' parameter must be non-negative, and less than 2^63");
    }
    if (!find_backend(s, error)) {
        return false;
    }
    virtio_init(vdev, 0);
    s->vq = virtio_add_queue(vdev, RNG_QUEUE_SIZE, rng_handle);
    timer_init(&s->timer, CLOCK_VIRTUAL, period_over, s);
    s->quota = s->max_bytes;
    return true;
}

static void rng_unrealize(VirtioDevice *vdev)
{
    VirtioRng *s = (VirtioRng *)vdev;

    timer_del(&s->timer);
    rng_backend_release(s->rng);
    if (s->own_backend) {
        Object *own = &s->rng->object;

        object_set_link(&vdev->device.object, "rng", NULL);
        object_unparent(own);
        s->own_backend = false;
    }
}

/* Nothing to forget. */
static bool rng_queue_reset(VirtioDevice *vdev, unsigned n, GError **error)
{
    VirtioRng *s = (VirtioRng *)vdev;

    rng_backend_cancel(s->rng, s);
    s->requested = false;
    return true;
}

/*
 * Migration notes. Buffers are taken from the ring and given back at once, when bytes are there: none is in flight. A
 * request to the source is dropped when the machine stops, and made again after the load because every queue is kicked
 * then. The rest of a period's quota does not travel: the guest gets a fresh one.
 */
static VIRTIO_VMSTATE(vmstate_virtio_rng, "virtio-rng", 1, 1);

static const VirtioDeviceOps rng_ops = {
    .device_id = VIRTIO_ID_ENTROPY,
    .realize = rng_realize,
    .unrealize = rng_unrealize,
    .reset = rng_reset,
    .stop = rng_stop,
    .queue_reset = rng_queue_reset,
};

static const DeviceType virtio_rng_type = {
    .object = {
        .name = "virtio-rng-device",
        .parent = &virtio_device_type.object,
        .size = sizeof(VirtioRng),
        .properties = (const Property[]){
            PROPERTY_UINT64("max-bytes", VirtioRng, max_bytes, "9223372036854775807", NULL),
            PROPERTY_UINT32("period", VirtioRng, period_ms, "65536", NULL),
            PROPERTY_LINK("rng", VirtioRng, rng, rng_backend_type, NULL),
            {}
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .migration = MIGRATES_WITH(vmstate_virtio_rng),
    .ops = &rng_ops,
};
DEVICE_REGISTER(virtio_rng_type)

static const VirtioPciOps rng_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x00ff },
    .backend = &virtio_rng_type,
    .legacy_id = 0x1005,
};

static const Property rng_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_IOEVENTFD, VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE), {}
};

VIRTIO_PCI_TYPES(rng, "virtio-rng-pci", "virtio-rng-pci-base", virtio_rng_type, rng_pci_ops,
                 rng_pci_properties, DEVICE_CATEGORY_MISC)
VIRTIO_PCI_TRANSITIONAL(rng, "virtio-rng-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(rng, "virtio-rng-pci-non-transitional")
