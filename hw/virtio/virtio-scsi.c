/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-scsi-device: a SCSI host adapter (Virtual I/O Device Version 1.2, 5.6) with a bus for scsi-hd and scsi-cd. This
 * file has the device; commands: virtio-scsi-request.c, task management and events: virtio-scsi-control.c.
 * Maintainers: docs/devel/virtio-blk.md.
 */
#include "util/osdep.h"
#include "virtio-scsi.h"

#include "hw/core/machine.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"

#define NUM_QUEUES_AUTO UINT32_MAX
#define MAX_REQUEST_QUEUES (VIRTIO_MAX_QUEUES - VIRTIO_SCSI_FIXED_QUEUES)
#define SEG_MAX_FIXED 126
#define EVENT_INFO_SIZE 16

/* ---- configuration space (5.6.4) ---------------------------------------------------------------------------------- */

enum {
    CONFIG_NUM_QUEUES = 0,
    CONFIG_SEG_MAX = 4,
    CONFIG_MAX_SECTORS = 8,
    CONFIG_CMD_PER_LUN = 12,
    CONFIG_EVENT_INFO_SIZE = 16,
    CONFIG_SENSE_SIZE = 20,
    CONFIG_CDB_SIZE = 24,
    CONFIG_MAX_CHANNEL = 28,
    CONFIG_MAX_TARGET = 30,
    CONFIG_MAX_LUN = 32,
    CONFIG_SIZE = 36,
};

static void scsi_get_config(VirtioDevice *vdev, uint8_t *config)
{
    const VirtioScsi *s = VIRTIO_SCSI(vdev);

    store_le32(config + CONFIG_NUM_QUEUES, s->num_queues);
    store_le32(config + CONFIG_SEG_MAX, s->seg_max_adjust ? s->virtqueue_size - 2 : SEG_MAX_FIXED);
    store_le32(config + CONFIG_MAX_SECTORS, s->max_sectors);
    store_le32(config + CONFIG_CMD_PER_LUN, s->cmd_per_lun);
    store_le32(config + CONFIG_EVENT_INFO_SIZE, EVENT_INFO_SIZE);
    store_le32(config + CONFIG_SENSE_SIZE, s->sense_size);
    store_le32(config + CONFIG_CDB_SIZE, s->cdb_size);
    store_le16(config + CONFIG_MAX_CHANNEL, 0);
    store_le16(config + CONFIG_MAX_TARGET, VIRTIO_SCSI_MAX_TARGET);
    store_le32(config + CONFIG_MAX_LUN, VIRTIO_SCSI_MAX_LUN);
}

static bool sizes_good(uint32_t sense_size, uint32_t cdb_size)
{
    return sense_size < 65536 && cdb_size < 256;
}

static void scsi_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);
    uint32_t sense_size = load_le32(config + CONFIG_SENSE_SIZE),
             cdb_size = load_le32(config + CONFIG_CDB_SIZE);

    if (!sizes_good(sense_size, cdb_size)) {
        virtio_error(vdev, "bad data written to virtio-scsi configuration space");
        return;
    }
    __atomic_store_n(&s->sense_size, sense_size, __ATOMIC_RELAXED); /* an iothread may be reading them */
    __atomic_store_n(&s->cdb_size, cdb_size, __ATOMIC_RELAXED);
}

/* ---- start, stop, reset ------------------------------------------------------------------------------------------- */

static void set_contexts(VirtioScsi *s, GMainContext *ctx)
{
    for (unsigned i = 0; s->iothread && i < s->num_queues + VIRTIO_SCSI_FIXED_QUEUES; i++) {
        virtio_queue_set_context(virtio_get_queue(&s->vdev, i), ctx);
    }
}

static void open_intake(void *opaque)
{
    VirtioScsi *s = opaque;

    s->running = s->intake = true;
    virtio_scsi_go_on(s);
}

static bool scsi_start(VirtioDevice *vdev, GError **error)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    if (s->iothread) {
        GMainContext *ctx = iothread_context(s->iothread);
        scsi_bus_set_home(s->bus, ctx);
        set_contexts(s, ctx);
        s->home = ctx;
        scsi_bus_set_home(s->bus, ctx); /* of one that was plugged meanwhile */
    }
    context_run(s->home, open_intake, s);
    return true;
}

static void close_intake(void *opaque)
{
    VirtioScsi *s = opaque;

    s->intake = false;
}

static void end_answering(void *opaque)
{
    VirtioScsi *s = opaque;

    s->running = s->intake = false;
}

/* Requests that the block layer has are waited for; what they do next (another chunk, too) is still done. */
static void scsi_stop(VirtioDevice *vdev)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    if (s->home) { /* nothing new comes from there while this thread waits */
        context_run(s->home, close_intake, s);
    }
    scsi_bus_drain(s->bus);
    context_run(s->home, end_answering, s);
    if (s->home) {
        set_contexts(s, NULL);
        scsi_bus_set_home(s->bus, NULL); /* what is left ends in `finished` (H3) */
        s->home = NULL;
        scsi_bus_set_home(s->bus, NULL); /* of one that was plugged meanwhile */
    }
}

static QuiesceResult scsi_quiesce(VirtioDevice *vdev, GError **error)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    if (!g_queue_is_empty(&s->finished)) {
        error_set(error, "%s has answers that wait for its start", virtio_name(vdev));
        return QUIESCE_BUSY;
    }
    virtio_scsi_unmap(s);
    return QUIESCE_DONE;
}

static void scsi_resume(VirtioDevice *vdev)
{
    GError *error = NULL;

    if (!virtio_scsi_map(VIRTIO_SCSI(vdev), &error)) {
        virtio_error(vdev, "%s", error->message);
        g_error_free(error);
    }
}

static void kick_all(VirtioScsi *s)
{
    for (unsigned i = 0; i < s->num_queues + VIRTIO_SCSI_FIXED_QUEUES; i++) {
        VirtQueue *vq = virtio_get_queue(&s->vdev, i);
        if (virtio_queue_enabled(vq)) {
            virtio_queue_kick(vq);
        }
    }
}

static bool scsi_queue_reset(VirtioDevice *vdev, unsigned n, GError **error)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);
    bool was_running = s->running;

    scsi_stop(vdev);
    virtio_scsi_forget(s, virtio_get_queue(vdev, n));
    if (!was_running) {
        return true;
    }
    if (!scsi_start(vdev, error)) {
        return false;
    }
    kick_all(s); /* kicks of the others may have come to nothing meanwhile */
    return true;
}

static void scsi_reset(VirtioDevice *vdev)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    virtio_scsi_forget(s, NULL);
    for (GList *l = s->bus->members.head; l && !vdev->loading; l = l->next) {
        device_reset(&SCSI_DEVICE(l->data)->device);
    }
    s->sense_size = VIRTIO_SCSI_SENSE_SIZE;
    s->cdb_size = VIRTIO_SCSI_CDB_SIZE;
    s->events_missed = false;
}

/* ---- realize ---------------------------------------------------------------------------------------------------- */

void virtio_scsi_default_queues(VirtioScsi *s)
{
    if (s->num_queues == NUM_QUEUES_AUTO) {
        const Machine *machine = machine_current();
        s->num_queues = machine ? MIN(MAX(machine->smp.cpus, 1), MAX_REQUEST_QUEUES) : 1;
    }
}

static bool check_properties(VirtioScsi *s, GError **error)
{
    virtio_scsi_default_queues(s);
    if (s->num_queues == 0 || s->num_queues > MAX_REQUEST_QUEUES) {
        return error_set(error,
                         "Invalid number of queues (= %" PRIu32
                         "), must be a positive integer less than %d.",
                         s->num_queues, MAX_REQUEST_QUEUES);
    }
    if (s->virtqueue_size <= 2) {
        return error_set(error, "invalid virtqueue_size property (= %" PRIu32 "), must be > 2",
                         s->virtqueue_size);
    }
    if (s->virtqueue_size > VIRTQUEUE_MAX_SIZE || s->virtqueue_size & (s->virtqueue_size - 1)) {
        return error_set(
            error, "invalid virtqueue_size property (= %" PRIu32 "), must be a power of 2 (max %d)",
            s->virtqueue_size, VIRTQUEUE_MAX_SIZE);
    }
    return true;
}

static bool scsi_realize(VirtioDevice *vdev, GError **error)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    if (!check_properties(s, error)) {
        return false;
    }
    s->sense_size = VIRTIO_SCSI_SENSE_SIZE;
    s->cdb_size = VIRTIO_SCSI_CDB_SIZE;
    virtio_init(vdev, CONFIG_SIZE);
    virtio_add_queue(vdev, s->virtqueue_size, virtio_scsi_handle_control);
    virtio_add_queue(vdev, s->virtqueue_size, virtio_scsi_handle_event);
    for (uint32_t i = 0; i < s->num_queues; i++) {
        virtio_add_queue(vdev, s->virtqueue_size, virtio_scsi_handle_request);
    }
    const Device *card = vdev->device.bus ? vdev->device.bus->owner : NULL;
    g_autofree char *name = card && card->id ? g_strdup_printf("%s.0", card->id) : NULL;
    s->bus = scsi_bus_new(&vdev->device, name, &virtio_scsi_hba_ops, s);
    if (s->iothread) {
        iothread_hold(s->iothread);
    }
    return true;
}

static void scsi_unrealize(VirtioDevice *vdev)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    s->unplugging = true;
    virtio_scsi_forget(s, NULL);
    bus_destroy(&s->bus->bus);
    s->bus = NULL;
    s->unplugging = false;
    if (s->iothread) {
        iothread_release(s->iothread);
    }
}

/*
 * ---- migration notes ----
 *
 * The section has the core's part only; the sizes that the driver chose are in the configuration space. Commands in
 * flight are in the sections of their disks (virtio-scsi-request.c). Task management functions are never in flight: they
 * wait for block I/O, which is over before anything is saved. That events were missed is told by a subsection, which
 * only a machine that has something to say sends: stock forgets it.
 */
/* Stock sends zeros as long as nobody has looked at the configuration. */
static bool scsi_post_load(VirtioDevice *vdev, GError **error)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);
    uint32_t sense_size = load_le32(vdev->config + CONFIG_SENSE_SIZE);
    uint32_t cdb_size = load_le32(vdev->config + CONFIG_CDB_SIZE);

    if (!load_le32(vdev->config + CONFIG_NUM_QUEUES) && !sense_size && !cdb_size) {
        sense_size = VIRTIO_SCSI_SENSE_SIZE;
        cdb_size = VIRTIO_SCSI_CDB_SIZE;
    }
    if (!sizes_good(sense_size, cdb_size)) {
        return error_set(error,
                         "sizes of sense data (%u) or CDB (%u) that no driver can have chosen",
                         sense_size, cdb_size);
    }
    s->sense_size = sense_size;
    s->cdb_size = cdb_size;
    return true;
}

static bool events_missed_needed(const void *opaque)
{
    return ((const VirtioScsi *)opaque)->events_missed;
}

static const VmState vmstate_events_missed = {
    .name = "virtio-scsi/events-missed",
    .version = 1,
    .minimum_version = 1,
    .needed = events_missed_needed,
    .fields = (const VmField[]){ VM_BOOL(VirtioScsi, events_missed), VM_END },
};

static bool scsi_pre_load(void *opaque, GError **error)
{
    ((VirtioScsi *)opaque)->events_missed = false;
    return true;
}

static const VmState vmstate_virtio_scsi = {
    .name = "virtio-scsi",
    .version = 1,
    .minimum_version = 1,
    .pre_load = scsi_pre_load,
    .fields = (const VmField[]){ VM_CUSTOM_WHOLE("virtio", 1, vm_kind_virtio), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_events_missed, NULL },
};

/* ---- properties, compat, registration ------------------------------------------------------------------------------ */

static const VirtioDeviceOps scsi_ops = {
    .device_id = VIRTIO_ID_SCSI,
    .realize = scsi_realize,
    .unrealize = scsi_unrealize,
    .reset = scsi_reset,
    .get_config = scsi_get_config,
    .set_config = scsi_set_config,
    .start = scsi_start,
    .stop = scsi_stop,
    .queue_reset = scsi_queue_reset,
    .quiesce = scsi_quiesce,
    .resume = scsi_resume,
    .post_load = scsi_post_load,
};

static const Property scsi_properties[] = {
    PROPERTY_UINT32("num_queues", VirtioScsi, num_queues, "4294967295", NULL),
    PROPERTY_UINT32("virtqueue_size", VirtioScsi, virtqueue_size, "256", NULL),
    PROPERTY_BOOL("seg_max_adjust", VirtioScsi, seg_max_adjust, "on", NULL),
    PROPERTY_UINT32("max_sectors", VirtioScsi, max_sectors, "65535", NULL),
    PROPERTY_UINT32("cmd_per_lun", VirtioScsi, cmd_per_lun, "128", NULL),
    VIRTIO_FEATURE_BIT("hotplug", VirtioDevice, VIRTIO_SCSI_F_HOTPLUG, "on"),
    VIRTIO_FEATURE_BIT("param_change", VirtioDevice, VIRTIO_SCSI_F_CHANGE, "on"),
    PROPERTY_LINK("iothread", VirtioScsi, iothread, iothread_type, NULL),
    {},
};

static void scsi_init(Object *obj)
{
    g_queue_init(&VIRTIO_SCSI(obj)->finished);
}

const DeviceType virtio_scsi_type = {
    .object = {
        .name = "virtio-scsi-device",
        .parent = &virtio_device_type.object,
        .size = sizeof(VirtioScsi),
        .properties = scsi_properties,
        .init = scsi_init,
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .migration = MIGRATES_WITH(vmstate_virtio_scsi),
    .ops = &scsi_ops,
};
DEVICE_REGISTER(virtio_scsi_type)
