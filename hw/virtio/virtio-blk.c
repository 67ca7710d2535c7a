/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk-device: a block device (Virtual I/O Device Version 1.2, 5.2) on a block front. This file has the device:
 * configuration, life cycle, saved state. Requests: virtio-blk-request.c. Maintainers: docs/devel/virtio-blk.md.
 */
#include "util/osdep.h"
#include "virtio-blk.h"

#include "hw/core/bootorder.h"
#include "hw/core/machine.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"

#define NUM_QUEUES_AUTO UINT16_MAX
#define SEG_MAX_FIXED 126
#define MAX_HEADS 255

/* ---- configuration space (5.2.4) -------------------------------------------------------------------------------- */

enum {
    CONFIG_CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    CONFIG_CYLINDERS = 16,
    CONFIG_HEADS = 18,
    CONFIG_SECTORS = 19,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_EXP = 24,
    CONFIG_MIN_IO = 26,
    CONFIG_OPT_IO = 28,
    CONFIG_WCE = 32,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_MAX_DISCARD = 36,
    CONFIG_DISCARD_SEGMENTS = 40,
    CONFIG_DISCARD_ALIGN = 44,
    CONFIG_MAX_ZEROES = 48,
    CONFIG_ZEROES_SEGMENTS = 52,
    CONFIG_ZEROES_UNMAP = 56,
    CONFIG_END_QUEUES = 36,
    CONFIG_END_DISCARD = 48,
    CONFIG_END_ZEROES = 57,
};

static bool offers(const VirtioBlk *blk, unsigned bit)
{
    return blk->vdev.host_features >> bit & 1;
}

/* It ends behind the last field of what can be offered, as drivers see it with stock. */
static size_t config_size(const VirtioBlk *blk)
{
    return offers(blk, VIRTIO_BLK_F_WRITE_ZEROES) ? CONFIG_END_ZEROES
           : offers(blk, VIRTIO_BLK_F_DISCARD)    ? CONFIG_END_DISCARD
                                                  : CONFIG_END_QUEUES;
}

static void get_discard_config(const VirtioBlk *blk, uint8_t *config)
{
    const DriveConf *conf = &blk->conf;
    uint32_t granularity = conf->discard_granularity;

    if (granularity == UINT32_MAX || !blk->report_discard_granularity) {
        granularity = conf->logical_block_size;
    }
    store_le32(config + CONFIG_MAX_DISCARD, blk->max_discard_sectors);
    store_le32(config + CONFIG_DISCARD_SEGMENTS, 1);
    store_le32(config + CONFIG_DISCARD_ALIGN, granularity >> VIRTIO_BLK_SECTOR_BITS);
}

static void blk_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);
    const DriveConf *conf = &blk->conf;
    uint32_t block = conf->logical_block_size;
    int64_t length = front_length(conf->front);

    memset(config, 0, vdev->config_size);
    store_le64(config + CONFIG_CAPACITY,
               length > 0 ? (uint64_t)length >> VIRTIO_BLK_SECTOR_BITS : 0);
    store_le32(config + CONFIG_SEG_MAX, blk->seg_max_adjust ? blk->queue_size - 2u : SEG_MAX_FIXED);
    store_le16(config + CONFIG_CYLINDERS, blk->cyls);
    config[CONFIG_HEADS] = blk->heads;
    config[CONFIG_SECTORS] =
        blk->secs & ~((block >> VIRTIO_BLK_SECTOR_BITS) - 1); /* tracks of whole blocks */
    store_le32(config + CONFIG_BLK_SIZE, block);
    config[CONFIG_PHYSICAL_EXP] = __builtin_ctz(conf->physical_block_size / block);
    store_le16(config + CONFIG_MIN_IO, conf->min_io_size / block);
    store_le32(config + CONFIG_OPT_IO, conf->opt_io_size / block);
    config[CONFIG_WCE] = front_write_cache(conf->front);
    store_le16(config + CONFIG_NUM_QUEUES, blk->num_queues);
    if (vdev->config_size >= CONFIG_END_DISCARD && offers(blk, VIRTIO_BLK_F_DISCARD)) {
        get_discard_config(blk, config);
    }
    if (vdev->config_size >= CONFIG_END_ZEROES) {
        store_le32(config + CONFIG_MAX_ZEROES, blk->max_write_zeroes_sectors);
        store_le32(config + CONFIG_ZEROES_SEGMENTS, 1);
        config[CONFIG_ZEROES_UNMAP] = 1;
    }
}

static void blk_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE) || !virtio_has(vdev, VIRTIO_F_VERSION_1)) {
        front_set_write_cache(VIRTIO_BLK(vdev)->conf.front, config[CONFIG_WCE] & 1);
    }
}

static void resized(void *opaque)
{
    virtio_notify_config(opaque);
}

static const BlockDeviceOps blk_device_ops = {
    .resize = resized,
};

/* ---- features (5.2.3) --------------------------------------------------------------------------------------------- */

static bool blk_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    *features |= VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_GEOMETRY) |
                 VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE);
    if (blk->config_wce) {
        *features |= VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
    }
    if (blk->wce_default || (blk->wce_if_config_wce && blk->config_wce)) {
        *features |= VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
    }
    if (front_is_read_only(blk->conf.front)) {
        *features |= VIRTIO_BIT(VIRTIO_BLK_F_RO);
    }
    if (blk->num_queues > 1) {
        *features |= VIRTIO_BIT(VIRTIO_BLK_F_MQ);
    }
    return true;
}

/* 5.2.5.2: a driver that can neither flush nor choose gets a cache that writes through. */
static bool blk_set_features(VirtioDevice *vdev, uint64_t features, GError **error)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    if (!(features & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE))) {
        front_set_write_cache(blk->conf.front,
                              blk->wce_default && (features & VIRTIO_BIT(VIRTIO_BLK_F_FLUSH)));
    }
    return true;
}

/* ---- start, stop, reset -------------------------------------------------------------------------------------------- */

static GMainContext *home(const VirtioBlk *blk)
{
    return blk->iothread ? iothread_context(blk->iothread) : NULL;
}

static void in_device_thread(VirtioBlk *blk, void (*func)(void *opaque))
{
    if (blk->iothread) {
        iothread_run(blk->iothread, func, blk);
    } else {
        func(blk);
    }
}

static void set_contexts(VirtioBlk *blk, GMainContext *ctx)
{
    for (unsigned i = 0; blk->iothread && i < blk->num_queues; i++) {
        virtio_queue_set_context(virtio_get_queue(&blk->vdev, i), ctx);
    }
}

static void open_intake(void *opaque)
{
    VirtioBlk *blk = opaque;

    blk->running = true;
    blk->notify_bh = bh_new(context_current(), "virtio-blk-notify", virtio_blk_notify_now, blk);
    virtio_blk_restart_parked(blk);
}

static bool blk_start(VirtioDevice *vdev, GError **error)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    front_set_home(blk->conf.front, home(blk));
    set_contexts(blk, home(blk));
    in_device_thread(blk, open_intake);
    return true;
}

static void close_intake(void *opaque)
{
    virtio_blk_stop_intake(opaque);
}

/* Nothing is answered any more. */
static void end_notifying(void *opaque)
{
    VirtioBlk *blk = opaque;

    virtio_blk_notify_now(blk);
    bh_delete(blk->notify_bh);
    blk->notify_bh = NULL;
}

static void blk_stop(VirtioDevice *vdev)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    in_device_thread(blk, close_intake);
    front_drain(blk->conf.front);
    in_device_thread(blk, end_notifying);
    set_contexts(blk, NULL);
    front_set_home(blk->conf.front, NULL);
    g_assert(g_queue_is_empty(&blk->active)); /* K2 */
}

/* P2: no request maps guest memory while the machine is quiesced. */
static QuiesceResult blk_quiesce(VirtioDevice *vdev, GError **error)
{
    virtio_blk_unmap_parked(VIRTIO_BLK(vdev));
    return QUIESCE_DONE;
}

static void blk_resume(VirtioDevice *vdev)
{
    GError *error = NULL;

    if (!virtio_blk_map_parked(VIRTIO_BLK(vdev), &error)) {
        virtio_error(vdev, "%s", error->message);
        g_error_free(error);
    }
}

static bool blk_queue_reset(VirtioDevice *vdev, unsigned n, GError **error)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);
    bool was_running = vdev->started;

    if (was_running) {
        blk_stop(vdev);
    }
    virtio_blk_drop_parked(blk, virtio_get_queue(vdev, n));
    if (was_running && !blk_start(vdev, error)) {
        return false;
    }
    for (unsigned i = 0; was_running && i < blk->num_queues; i++) {
        VirtQueue *vq = virtio_get_queue(vdev, i);
        if (i != n && virtio_queue_enabled(vq)) {
            virtio_queue_kick(vq); /* kicks of the others may have come to nothing meanwhile */
        }
    }
    return true;
}

static void blk_reset(VirtioDevice *vdev)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    virtio_blk_drop_parked(blk, NULL);
    front_set_write_cache(blk->conf.front, blk->wce_default);
}

/* ---- realize ---------------------------------------------------------------------------------------------------- */

void virtio_blk_default_queues(VirtioBlk *blk)
{
    if (blk->num_queues == NUM_QUEUES_AUTO) {
        const Machine *machine = machine_current();
        blk->num_queues = machine ? MIN(MAX(machine->smp.cpus, 1), VIRTIO_MAX_QUEUES - 1) : 1;
    }
}

static bool power_of_two(unsigned n)
{
    return n && !(n & (n - 1));
}

static bool check_sectors(const char *name, uint32_t n, GError **error)
{
    return (n >= 1 && n <= VIRTIO_BLK_MAX_SECTORS) ||
           error_set(error, "invalid %s property (%" PRIu32 "), must be between 1 and %d", name, n,
                     VIRTIO_BLK_MAX_SECTORS);
}

static bool check_properties(VirtioBlk *blk, GError **error)
{
    if (!blk->conf.front) {
        return error_set(error, "drive property not set");
    }
    virtio_blk_default_queues(blk);
    if (blk->num_queues == 0) {
        return error_set(error, "num-queues property must be larger than 0");
    }
    if (blk->num_queues > VIRTIO_MAX_QUEUES - 1) {
        return error_set(error, "num-queues property must be smaller than %d", VIRTIO_MAX_QUEUES);
    }
    if (blk->queue_size <= 2) {
        return error_set(error, "invalid queue-size property (%" PRIu16 "), must be > 2",
                         blk->queue_size);
    }
    if (!power_of_two(blk->queue_size) || blk->queue_size > VIRTQUEUE_MAX_SIZE) {
        return error_set(error,
                         "invalid queue-size property (%" PRIu16 "), must be a power of 2 (max %d)",
                         blk->queue_size, VIRTQUEUE_MAX_SIZE);
    }
    return (!offers(blk, VIRTIO_BLK_F_DISCARD) ||
            check_sectors("max-discard-sectors", blk->max_discard_sectors, error)) &&
           (!offers(blk, VIRTIO_BLK_F_WRITE_ZEROES) ||
            check_sectors("max-write-zeroes-sectors", blk->max_write_zeroes_sectors, error));
}

static bool check_granularity(const DriveConf *conf, GError **error)
{
    return conf->discard_granularity == UINT32_MAX ||
           conf->discard_granularity % conf->logical_block_size == 0 ||
           error_set(error, "discard_granularity must be a multiple of logical_block_size");
}

static bool attach(VirtioBlk *blk, GError **error)
{
    BlockDeviceConf want = {
        .ops = &blk_device_ops,
        .device = blk,
        .read_only = front_is_read_only(blk->conf.front),
        .needs_medium = true,
        .resizes = true,
        .handles_errors = true,
    };

    return drive_conf_block_sizes(&blk->conf, error) && check_granularity(&blk->conf, error) &&
           drive_conf_attach(&blk->conf, &blk->vdev.device, &want, error);
}

static bool blk_realize(VirtioDevice *vdev, GError **error)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    if (!check_properties(blk, error) || !attach(blk, error)) {
        return false;
    }
    int64_t length = front_length(blk->conf.front);
    if (!drive_conf_geometry(length > 0 ? length / BLOCK_SECTOR : 0, MAX_HEADS, &blk->cyls,
                             &blk->heads, &blk->secs, error)) {
        drive_conf_detach(&blk->conf);
        return false;
    }
    blk->wce_default = front_write_cache(blk->conf.front);
    virtio_init(vdev, config_size(blk));
    for (unsigned i = 0; i < blk->num_queues; i++) {
        virtio_add_queue(vdev, blk->queue_size, virtio_blk_handle_queue);
    }
    if (blk->iothread) {
        iothread_hold(blk->iothread);
    }
    boot_index_redirect(&vdev->device, vdev->device.bus ? vdev->device.bus->owner : &vdev->device,
                        "/disk@0,0");
    return true;
}

static void blk_unrealize(VirtioDevice *vdev)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);

    virtio_blk_drop_parked(blk, NULL);
    drive_conf_detach(&blk->conf);
    if (blk->iothread) {
        iothread_release(blk->iothread);
    }
}

/*
 * ---- migration notes ----
 *
 * In flight: block I/O is waited for in `stop`, before anything is saved (finish). What stays are requests that failed
 * under werror/rerror=stop, and those that the front has not begun because the image was not ours: parked, sent as
 * ring elements behind the queues, and run again on arrival from the guest's memory, in their order (park and replay).
 * The write cache's setting is in the configuration space, which the core sends. Everything else both sides know from
 * their command lines; the medium is the block layer's.
 *
 * On load: number of queues and element indexes are checked; the header of a parked request is read and checked again
 * when it runs, since it is guest memory.
 */
static bool blk_save(VirtioDevice *vdev, VmWriter *w, GError **error)
{
    return virtio_blk_save_parked(VIRTIO_BLK(vdev), w, error);
}

static bool blk_load(VirtioDevice *vdev, VmReader *r, int version, GError **error)
{
    return virtio_blk_load_parked(VIRTIO_BLK(vdev), r, error);
}

/* Stock sends zeros as long as nobody has looked at the configuration. */
static bool blk_post_load(VirtioDevice *vdev, GError **error)
{
    bool chosen =
        virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE) || !virtio_has(vdev, VIRTIO_F_VERSION_1);

    if (chosen && load_le64(vdev->config + CONFIG_CAPACITY)) {
        front_set_write_cache(VIRTIO_BLK(vdev)->conf.front, vdev->config[CONFIG_WCE] & 1);
        return true;
    }
    return blk_set_features(vdev, vdev->guest_features, error);
}

static VIRTIO_VMSTATE(vmstate_virtio_blk, "virtio-blk", 2, 2);

/* ---- properties, compat, registration ------------------------------------------------------------------------------ */

static const VirtioDeviceOps blk_ops = {
    .device_id = VIRTIO_ID_BLOCK,
    .realize = blk_realize,
    .unrealize = blk_unrealize,
    .reset = blk_reset,
    .get_features = blk_get_features,
    .set_features = blk_set_features,
    .get_config = blk_get_config,
    .set_config = blk_set_config,
    .start = blk_start,
    .stop = blk_stop,
    .queue_reset = blk_queue_reset,
    .quiesce = blk_quiesce,
    .resume = blk_resume,
    .save = blk_save,
    .load = blk_load,
    .post_load = blk_post_load,
};

static const Property blk_properties[] = {
    DRIVE_PROPERTY_DRIVE(VirtioBlk, conf),
    DRIVE_PROPERTIES_BASE(VirtioBlk, conf),
    DRIVE_PROPERTIES_ERROR(VirtioBlk, conf),
    DRIVE_PROPERTY_BOOTINDEX(VirtioBlk, conf),
    PROPERTY_UINT32("cyls", VirtioBlk, cyls, "0", NULL),
    PROPERTY_UINT32("heads", VirtioBlk, heads, "0", NULL),
    PROPERTY_UINT32("secs", VirtioBlk, secs, "0", NULL),
    PROPERTY_UINT32("lcyls", VirtioBlk, lcyls, "0", NULL),
    PROPERTY_UINT32("lheads", VirtioBlk, lheads, "0", NULL),
    PROPERTY_UINT32("lsecs", VirtioBlk, lsecs, "0", NULL),
    PROPERTY_STRING("serial", VirtioBlk, serial, NULL),
    PROPERTY_BOOL("config-wce", VirtioBlk, config_wce, "on", NULL),
    PROPERTY_BOOL("request-merging", VirtioBlk, request_merging, "on", NULL),
    PROPERTY_UINT16("num-queues", VirtioBlk, num_queues, "65535", NULL),
    PROPERTY_UINT16("queue-size", VirtioBlk, queue_size, "256", NULL),
    PROPERTY_BOOL("seg-max-adjust", VirtioBlk, seg_max_adjust, "on", NULL),
    PROPERTY_LINK("iothread", VirtioBlk, iothread, iothread_type, NULL),
    VIRTIO_FEATURE_BIT("discard", VirtioDevice, VIRTIO_BLK_F_DISCARD, "on"),
    PROPERTY_BOOL("report-discard-granularity", VirtioBlk, report_discard_granularity, "on", NULL),
    VIRTIO_FEATURE_BIT("write-zeroes", VirtioDevice, VIRTIO_BLK_F_WRITE_ZEROES, "on"),
    PROPERTY_UINT32("max-discard-sectors", VirtioBlk, max_discard_sectors, "4194303", NULL),
    PROPERTY_UINT32("max-write-zeroes-sectors", VirtioBlk, max_write_zeroes_sectors, "4194303",
                    NULL),
    PROPERTY_BOOL("x-enable-wce-if-config-wce", VirtioBlk, wce_if_config_wce, "on", NULL),
    {},
};

static void blk_init(Object *obj)
{
    VIRTIO_BLK(obj)->conf.bootindex = -1;
}

const DeviceType virtio_blk_type = {
    .object = {
        .name = "virtio-blk-device",
        .parent = &virtio_device_type.object,
        .size = sizeof(VirtioBlk),
        .properties = blk_properties,
        .init = blk_init,
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .migration = MIGRATES_WITH(vmstate_virtio_blk),
    .ops = &blk_ops,
};
DEVICE_REGISTER(virtio_blk_type)
