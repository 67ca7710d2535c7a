/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traditional memory balloon (VIRTIO 1.2, chapter 5.5): the driver lends pages to the host and takes them back, reports
 * statistics about its memory and, with free-page-reporting, pages that it does not use.
 */
#include "util/osdep.h"
#include "hw/core/machine.h"
#include "hw/virtio/virtio-pci.h"
#include "monitor/hmp.h"
#include "qapi/commands-balloon.h"
#include "qapi/dispatch.h"
#include "qapi/events-balloon.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/trace.h"

TRACE_EVENT(virtio_balloon_handle_output)
TRACE_EVENT(virtio_balloon_get_config)
TRACE_EVENT(virtio_balloon_set_config)
TRACE_EVENT(virtio_balloon_to_target)
TRACE_EVENT(virtio_balloon_bad_addr)

#define BALLOON_PAGE_BITS 12 /* whatever the guest's pages are */
#define BALLOON_PAGE (UINT64_C(1) << BALLOON_PAGE_BITS)
#define QUEUE_SIZE 128
#define REPORTING_QUEUE_SIZE 32
#define STATS 16
#define STAT_BYTES 10 /* le16 tag, le64 value */

enum { F_STATS_VQ = 1, F_DEFLATE_ON_OOM = 2, F_PAGE_POISON = 4, F_REPORTING = 5 };
enum {
    CONFIG_NUM_PAGES = 0,
    CONFIG_ACTUAL = 4,
    CONFIG_POISON = 12,
    CONFIG_SIZE_SHORT = 8,
    CONFIG_SIZE = 16
};

static const char *const stat_names[STATS] = {
    "stat-swap-in",      "stat-swap-out",     "stat-major-faults",     "stat-minor-faults",
    "stat-free-memory",  "stat-total-memory", "stat-available-memory", "stat-disk-caches",
    "stat-htlb-pgalloc", "stat-htlb-pgfail",  "stat-oom-kills",        "stat-alloc-stalls",
    "stat-async-scans",  "stat-direct-scans", "stat-async-reclaims",   "stat-direct-reclaims",
};

typedef struct VirtioBalloon {
    VirtioDevice vdev;
    uint32_t num_pages; /* that are asked for */
    uint32_t actual;    /* that the driver says are in the balloon */
    uint32_t poison;    /* what free pages are filled with */
    VirtQueue *inflate, *deflate, *stats_queue, *reporting;
    uint64_t stats[STATS]; /* UINT64_MAX: not told */
    int64_t last_update;   /* s of the epoch; 0: never */
    int64_t poll_seconds;  /* 0: nobody polls */
    Timer poll;
    VirtQueueElement *stats_buffer; /* ours until the next poll */
} VirtioBalloon;

static VirtioBalloon *the_balloon;

#define BALLOON(vdev) ((VirtioBalloon *)(vdev))

/* ---- pages ------------------------------------------------------------------------------------------------------ */

/* Gives what lies behind [host, host + len) back to the host; a part of a page is left alone. */
static void discard(void *host, uint64_t len)
{
    uint64_t offset, start, end;
    RamBlock *block = ram_block_from_host(host, &offset);

    if (block) {
        start = (offset + BALLOON_PAGE - 1) & ~(BALLOON_PAGE - 1);
        end = (offset + len) & ~(BALLOON_PAGE - 1);
        if (start < end) {
            ram_block_discard(block, start, end - start);
        }
    }
}

static void discard_page(VirtioBalloon *s, uint64_t addr)
{
    uint64_t len = BALLOON_PAGE;
    void *host = dma_map(address_space_memory, addr, &len, false);

    if (!host) {
        trace(virtio_balloon_bad_addr, "0x%" PRIx64, addr);
        return; /* no RAM: the driver's business */
    }
    if (len == BALLOON_PAGE) {
        discard(host, len);
    }
    dma_unmap(address_space_memory, host, len, false, 0, virtio_name(&s->vdev));
}

static void balloon_handle(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioBalloon *s = BALLOON(vdev);
    unsigned left = virtqueue_burst(vq);
    VirtQueueElement *elem;

    while (left && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        uint8_t pfns[512];
        size_t offset = 0, n;

        while ((n = iov_to_buf(elem->out_sg, elem->out_num, offset, pfns, sizeof(pfns))) >= 4) {
            for (size_t i = 0; i + 4 <= n; i += 4) {
                uint64_t addr = (uint64_t)load_le32(pfns + i) << BALLOON_PAGE_BITS;

                trace(virtio_balloon_handle_output, "%s gpa: 0x%" PRIx64,
                      vq == s->inflate ? "inflate" : "deflate", addr);
                if (vq == s->inflate) {
                    discard_page(s, addr);
                } /* taken back: it is there when it is touched */
            }
            offset += n & ~(size_t)3;
        }
        virtqueue_push(vq, elem, 0);
        virtio_notify(vdev, vq);
        g_free(elem);
        left--;
    }
    if (!left) {
        virtio_queue_kick(vq);
    }
}

/* Pages that are free; when they are used again they must read as the driver has filled them. */
static void reporting_handle(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioBalloon *s = BALLOON(vdev);
    bool keep = virtio_has(vdev, F_PAGE_POISON) && s->poison;
    unsigned left = virtqueue_burst(vq);
    VirtQueueElement *elem;

    while (left && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        for (unsigned i = 0; !keep && i < elem->in_num; i++) {
            discard(elem->in_sg[i].iov_base, elem->in_sg[i].iov_len);
        }
        virtqueue_push(vq, elem, 0);
        virtio_notify(vdev, vq);
        g_free(elem);
        left--;
    }
    if (!left) {
        virtio_queue_kick(vq);
    }
}

/* ---- statistics (5.5.6.3) ------------------------------------------------------------------------------------------- */

static void forget_stats(VirtioBalloon *s)
{
    memset(s->stats, 0xff, sizeof(s->stats));
}

static void poll_later(VirtioBalloon *s)
{
    if (s->poll_seconds) {
        timer_mod(&s->poll, clock_get_ns(CLOCK_VIRTUAL) + s->poll_seconds * NS_PER_SEC);
    }
}

static void read_stats(VirtioBalloon *s)
{
    const VirtQueueElement *elem = s->stats_buffer;
    uint8_t stat[STAT_BYTES];

    forget_stats(s);
    for (size_t at = 0; iov_to_buf(elem->out_sg, elem->out_num, at, stat, STAT_BYTES) == STAT_BYTES;
         at += STAT_BYTES) {
        uint16_t tag = load_le16(stat);

        if (tag < STATS) {
            s->stats[tag] = load_le64(stat + 2);
        }
    }
    s->last_update = clock_get_ns(CLOCK_HOST) / NS_PER_SEC;
}

static void return_buffer(VirtioBalloon *s)
{
    VirtQueueElement *elem = g_steal_pointer(&s->stats_buffer);

    virtqueue_push(s->stats_queue, elem, 0);
    virtio_notify(&s->vdev, s->stats_queue);
    g_free(elem);
}

/* The driver gives one buffer, and a new one whenever it gets it back. */
static void stats_handle(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioBalloon *s = BALLOON(vdev);
    unsigned left = virtqueue_burst(vq);
    VirtQueueElement *elem;

    while (left && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        left--;
        if (s->stats_buffer) {
            return_buffer(s); /* one too many */
        }
        s->stats_buffer = elem;
        read_stats(s);
        poll_later(s);
    }
    if (!left) {
        virtio_queue_kick(vq);
    }
}

static void poll_expired(void *opaque)
{
    VirtioBalloon *s = opaque;

    if (s->stats_buffer && s->vdev.started) {
        return_buffer(s);
    } else {
        poll_later(s);
    }
}

static json_object *get_stats(Object *obj, const Property *prop, GError **error)
{
    const VirtioBalloon *s = BALLOON(obj);
    json_object *all = json_object_new_object(), *stats = json_object_new_object();

    for (unsigned i = 0; i < STATS; i++) {
        json_object_object_add(stats, stat_names[i], json_object_new_uint64(s->stats[i]));
    }
    json_object_object_add(all, "stats", stats);
    json_object_object_add(all, "last-update", json_object_new_int64(s->last_update));
    return all;
}

static json_object *get_interval(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_int64(BALLOON(obj)->poll_seconds);
}

static bool set_interval(Object *obj, const Property *prop, json_object *value, GError **error)
{
    VirtioBalloon *s = BALLOON(obj);
    int64_t seconds = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int)) {
        return error_set(error, "Invalid parameter type for '%s', expected: integer", prop->name);
    }
    if (seconds < 0) {
        return error_set(error, "timer value must be greater than zero");
    }
    if (seconds > UINT32_MAX) {
        return error_set(error, "timer value is too big");
    }
    if (seconds != s->poll_seconds) {
        s->poll_seconds = seconds;
        timer_del(&s->poll);
        poll_later(s);
    }
    return true;
}

static bool parse_interval(Object *obj, const Property *prop, const char *text, GError **error)
{
    json_object *value = json_object_new_int64(g_ascii_strtoll(text, NULL, 0));
    bool ok = set_interval(obj, prop, value, error);

    json_object_put(value);
    return ok;
}

static char *print_nothing(Object *obj, const Property *prop)
{
    return NULL;
}

static const PropertyKind property_guest_stats = {
    .name = "guest statistics",
    .get = get_stats,
    .print = print_nothing,
};
static const PropertyKind property_poll_interval = {
    .name = "int",
    .set = set_interval,
    .parse = parse_interval,
    .get = get_interval,
    .print = print_nothing,
};

/* ---- size ------------------------------------------------------------------------------------------------------------- */

static int64_t actual_size(const VirtioBalloon *s)
{
    return machine_current()->ram_size - ((uint64_t)s->actual << BALLOON_PAGE_BITS);
}

static void balloon_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VirtioBalloon *s = BALLOON(vdev);

    store_le32(config + CONFIG_NUM_PAGES, s->num_pages);
    store_le32(config + CONFIG_ACTUAL, s->actual);
    if (vdev->config_size == CONFIG_SIZE) {
        store_le32(config + CONFIG_POISON, s->poison);
    }
    trace(virtio_balloon_get_config, "num_pages: %" PRIu32 " actual: %" PRIu32, s->num_pages,
          s->actual);
}

static void balloon_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    VirtioBalloon *s = BALLOON(vdev);
    uint32_t old = s->actual;

    s->actual = load_le32(config + CONFIG_ACTUAL);
    if (s->actual != old) {
        qapi_event_send_BALLOON_CHANGE(actual_size(s));
    }
    if (vdev->config_size == CONFIG_SIZE && virtio_has(vdev, F_PAGE_POISON)) {
        s->poison = load_le32(config + CONFIG_POISON);
    }
    trace(virtio_balloon_set_config, "actual: %" PRIu32 " oldactual: %" PRIu32, s->actual, old);
}

static bool need_balloon(GError **error)
{
    return the_balloon || error_set_class(error, TERN_ERROR_DEVICE_NOT_ACTIVE,
                                          "No balloon device has been activated");
}

bool qmp_query_balloon(BalloonInfo **ret, GError **error)
{
    if (!need_balloon(error)) {
        return false;
    }
    *ret = g_new0(BalloonInfo, 1);
    (*ret)->actual = actual_size(the_balloon);
    return true;
}

bool qmp_balloon(int64_t value, GError **error)
{
    int64_t ram = machine_current()->ram_size;

    if (!need_balloon(error)) {
        return false;
    }
    if (value <= 0) {
        return error_set(error, "Parameter 'value' expects a size");
    }
    value = MIN(value, ram);
    the_balloon->num_pages = (ram - value) >> BALLOON_PAGE_BITS;
    trace(virtio_balloon_to_target, "target: 0x%" PRIx64 " num_pages: %" PRIu32, (uint64_t)value,
          the_balloon->num_pages);
    virtio_notify_config(&the_balloon->vdev);
    return true;
}
QMP_REGISTER(balloon)

static void hmp_balloon(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_balloon(hmp_arg_int(args, "value", 0), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_info_balloon(Hmp *hmp, const HmpArgs *args)
{
    BalloonInfo *info = NULL;
    GError *error = NULL;

    qmp_query_balloon(&info, &error);
    if (!hmp_report_error(hmp, &error)) {
        hmp_printf(hmp, "balloon: actual=%" PRId64 "\n", info->actual >> 20);
        qapi_free_BalloonInfo(info);
    }
}

static const HmpCommand balloon_commands[] = {
    { "balloon", "value:l", "target", "request VM to change its memory allocation (in MB)",
      hmp_balloon },
    { "info balloon", "", "", "show balloon information", hmp_info_balloon },
};
HMP_REGISTER(balloon_commands)

/* ---- life --------------------------------------------------------------------------------------------------------------- */

static void drop_buffer(VirtioBalloon *s)
{
    if (s->stats_buffer) {
        virtqueue_detach_element(s->stats_queue, s->stats_buffer, 0);
        g_clear_pointer(&s->stats_buffer, g_free);
    }
}

/* See the migration notes. */
static bool balloon_start(VirtioDevice *vdev, GError **error)
{
    VirtioBalloon *s = BALLOON(vdev);

    if (s->stats_queue && virtio_queue_enabled(s->stats_queue)) {
        virtio_queue_restore_base(s->stats_queue);
    }
    return true;
}

static void balloon_stop(VirtioDevice *vdev)
{
    drop_buffer(BALLOON(vdev));
}

static void balloon_reset(VirtioDevice *vdev)
{
    VirtioBalloon *s = BALLOON(vdev);

    drop_buffer(s);
    forget_stats(s);
    s->poison = 0;
}

static bool balloon_queue_reset(VirtioDevice *vdev, unsigned n, GError **error)
{
    VirtioBalloon *s = BALLOON(vdev);

    if (s->stats_queue && n == virtio_queue_index(s->stats_queue)) {
        drop_buffer(s);
    }
    return true;
}

static bool balloon_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    *features |= VIRTIO_BIT(F_STATS_VQ);
    return true;
}

static bool balloon_realize(VirtioDevice *vdev, GError **error)
{
    VirtioBalloon *s = BALLOON(vdev);
    bool poison = vdev->host_features & VIRTIO_BIT(F_PAGE_POISON);

    if (the_balloon) {
        return error_set(error, "Only one balloon device is supported");
    }
    virtio_init(vdev, poison ? CONFIG_SIZE : CONFIG_SIZE_SHORT);
    s->inflate = virtio_add_queue(vdev, QUEUE_SIZE, balloon_handle);
    s->deflate = virtio_add_queue(vdev, QUEUE_SIZE, balloon_handle);
    s->stats_queue = virtio_add_queue(vdev, QUEUE_SIZE, stats_handle);
    if (vdev->host_features & VIRTIO_BIT(F_REPORTING)) {
        s->reporting = virtio_add_queue(vdev, REPORTING_QUEUE_SIZE, reporting_handle);
    }
    forget_stats(s);
    the_balloon = s;
    return true;
}

static void balloon_unrealize(VirtioDevice *vdev)
{
    VirtioBalloon *s = BALLOON(vdev);

    timer_del(&s->poll);
    the_balloon = NULL;
}

static void balloon_init(Object *obj)
{
    timer_init(&BALLOON(obj)->poll, CLOCK_VIRTUAL, poll_expired, obj);
}

/*
 * Migration notes. Pages are given up while the request is handled; what is in the balloon is the driver's knowledge. The
 * buffer of the statistics queue is ours between two polls. At a stop it is let go of without being used, and the queue's
 * position, which travels, is behind it, as in stock's streams; the start goes back to the used index (nothing else is
 * ever in flight on that queue), takes it again and reads it again. Statistics and the interval of polling are the
 * manager's and do not travel.
 */
static bool poison_needed(const void *opaque)
{
    return virtio_has(opaque, F_PAGE_POISON);
}

static const VmState vmstate_page_poison = {
    .name = "virtio-balloon-device/page-poison",
    .version = 1,
    .minimum_version = 1,
    .needed = poison_needed,
    .fields =
        (const VmField[]){ VM_NAMED("poison_val", u32, uint32_t, VirtioBalloon, poison), VM_END },
};

static const VmState vmstate_balloon_device = {
    .name = "virtio-balloon-device",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U32(VirtioBalloon, num_pages), VM_U32(VirtioBalloon, actual),
                                 VM_END },
    .subsections = (const VmState *const[]){ &vmstate_page_poison, NULL },
};

static VIRTIO_VMSTATE(vmstate_virtio_balloon, "virtio-balloon", 1, 1);

static const VirtioDeviceOps balloon_ops = {
    .device_id = VIRTIO_ID_BALLOON,
    .realize = balloon_realize,
    .unrealize = balloon_unrealize,
    .reset = balloon_reset,
    .get_features = balloon_get_features,
    .get_config = balloon_get_config,
    .set_config = balloon_set_config,
    .start = balloon_start,
    .stop = balloon_stop,
    .queue_reset = balloon_queue_reset,
    .vmstate = &vmstate_balloon_device,
};

static const DeviceType virtio_balloon_type = {
    .object = {
        .name = "virtio-balloon-device",
        .parent = &virtio_device_type.object,
        .size = sizeof(VirtioBalloon),
        .init = balloon_init,
        .properties = (const Property[]){
            VIRTIO_FEATURE_BIT("deflate-on-oom", VirtioDevice, F_DEFLATE_ON_OOM, "off"),
            VIRTIO_FEATURE_BIT("page-poison", VirtioDevice, F_PAGE_POISON, "on"),
            VIRTIO_FEATURE_BIT("free-page-reporting", VirtioDevice, F_REPORTING, "off"),
            { .name = "guest-stats", .kind = &property_guest_stats, .flags = PROPERTY_READ_ONLY },
            { .name = "guest-stats-polling-interval", .kind = &property_poll_interval, .flags = PROPERTY_ANY_TIME },
            {}
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .migration = MIGRATES_WITH(vmstate_virtio_balloon),
    .ops = &balloon_ops,
};
DEVICE_REGISTER(virtio_balloon_type)

static const VirtioPciOps balloon_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x00ff },
    .backend = &virtio_balloon_type,
    .legacy_id = 0x1002,
};

static const Property balloon_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_IOEVENTFD, VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE), {}
};

static const DeviceCompat balloon_pci_compat[] = { { "9.2", "vectors", "0" }, {} };

VIRTIO_PCI_TYPES_COMPAT(balloon, "virtio-balloon-pci", "virtio-balloon-pci-base",
                        virtio_balloon_type, balloon_pci_ops, balloon_pci_properties,
                        DEVICE_CATEGORY_MISC, balloon_pci_compat)
VIRTIO_PCI_TRANSITIONAL(balloon, "virtio-balloon-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(balloon, "virtio-balloon-pci-non-transitional")
