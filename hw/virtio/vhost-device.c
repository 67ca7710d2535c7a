/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What devices share whose rings somebody else serves. See the header. */
#include "util/osdep.h"

#include "hw/core/cpu.h"
#include "hw/core/machine.h"
#include "hw/virtio/vhost-device.h"
#include "system/memory-backend.h"
#include "system/runstate.h"
#include "util/error.h"

/* Back ends that come back and fail each time: after so many the device gives up (VD2). */
#define STRIKES_MAX 2

/* ---- failures ------------------------------------------------------------------------------------------ */

/* what: "ring 3 cannot be enabled" and the like. */
static void judge(VhostDevice *d, VhostUserFailure failure, const char *what, const GError *error)
{
    if (failure == VHOST_USER_OK || failure == VHOST_USER_ENDING) {
        return;
    }
    if (d->starting && d->may_fall_back) {
        g_clear_error(&d->start_error);
        d->start_error = g_error_copy(error);
        return;
    }
    if (!d->planned) {
        /* the driver has reset it: there is nobody to be told, and the next start will show who is there */
        warn_report("%s: %s: %s", virtio_name(d->vdev), what, error->message);
        return;
    }
    if (failure != VHOST_USER_REFUSED && d->ops->may_return(d->session)) {
        d->strikes += failure != VHOST_USER_AWAY;
        if (d->strikes < STRIKES_MAX) {
            warn_report("%s: %s: %s; waiting for another back end", virtio_name(d->vdev), what,
                        error->message);
            return;
        }
    }
    virtio_error(d->vdev, "%s: %s", what, error->message);
}

/* A job that holds the guest. */
typedef struct Held {
    VhostDevice *d;
    GuestHold *hold;
    const char *what;
} Held;

static void held_done(void *opaque, VhostUserFailure failure, const GError *error)
{
    Held *held = opaque;

    judge(held->d, failure, held->what, error);
    guest_hold_end(held->hold);
    object_unref(held->d->vdev);
    g_free(held);
}

static Held *hold_guest(VhostDevice *d, const char *what)
{
    Held *held = g_new(Held, 1);

    object_ref(d->vdev);
    *held = (Held){ d, guest_hold_begin(d->ops->name), what };
    return held;
}

/* ---- configuration space ------------------------------------------------------------------------------- */

bool vhost_device_has_config(VhostDevice *d, GError **error)
{
    return vhost_user_has_protocol(d->vu, VHOST_USER_PROTOCOL_F_CONFIG) ||
           error_set(error, "the vhost-user back end has no configuration space (VHOST_USER_PROTOCOL_F_CONFIG)");
}

void vhost_device_follow_config(VhostDevice *d, unsigned len)
{
    d->config_len = len;
    vhost_user_config(d->vu, d->config, len);
}

static void config_fetched(void *opaque, VhostUserFailure failure, const GError *error)
{
    VhostDevice *d = opaque;
    uint8_t config[VHOST_USER_MAX_CONFIG];

    if (error) {
        if (failure != VHOST_USER_ENDING) {
            warn_report("%s: %s", virtio_name(d->vdev), error->message);
        }
        return;
    }
    vhost_user_config(d->vu, config, d->config_len);
    if (memcmp(config, d->config, d->config_len)) {
        memcpy(d->config, config, d->config_len);
        virtio_notify_config(d->vdev);
    }
}

void vhost_device_fetch_config(VhostDevice *d)
{
    if (d->config_len) {
        vhost_user_fetch_config(d->vu, d->config_len, config_fetched, d);
    }
}

/* ---- what the session says ----------------------------------------------------------------------------- */

static bool update_blocker(VhostDevice *d, GError **error)
{
    bool log = d->ops->features(d->session) >> VHOST_F_LOG_ALL & 1 &&
               (!d->vu || vhost_user_has_protocol(d->vu, VHOST_USER_PROTOCOL_F_LOG_SHMFD));
    bool state =
        !d->needs_state || vhost_user_has_protocol(d->vu, VHOST_USER_PROTOCOL_F_DEVICE_STATE);

    if (log && state) {
        vmstate_unblock(d->blocker);
        d->blocker = NULL;
    } else if (!d->blocker) {
        d->blocker = vmstate_block(error, "%s cannot be migrated: its %s back end has no %s",
                                   virtio_name(d->vdev), d->ops->name,
                                   log     ? "VHOST_USER_PROTOCOL_F_DEVICE_STATE"
                                   : d->vu ? "VHOST_USER_PROTOCOL_F_LOG_SHMFD with VHOST_F_LOG_ALL"
                                           : "VHOST_F_LOG_ALL");
        return d->blocker;
    }
    return true;
}

static void ready(void *opaque, bool again)
{
    VhostDevice *d = opaque;
    g_autoptr(GError) error = NULL;

    if (!again) {
        return;
    }
    d->strikes = 0;
    if (d->link_changed) {
        d->link_changed(d, true);
    }
    info_report("%s: the back end has come back", virtio_name(d->vdev));
    if (!update_blocker(d, &error)) {
        warn_report("%s", error->message);
    }
    vhost_device_fetch_config(d);
}

static void lost(void *opaque, VhostUserFailure failure, const GError *why)
{
    VhostDevice *d = opaque;

    if (d->link_changed) {
        d->link_changed(d, false);
    }
    if (d->planned) {
        judge(d, failure, "vhost-user", why);
    } else {
        warn_report("%s: %s", virtio_name(d->vdev), why->message);
    }
}

static void config_changed(void *opaque)
{
    vhost_device_fetch_config(opaque);
}

static const VhostUserOps session_ops = { ready, lost, config_changed };

/* ---- memory -------------------------------------------------------------------------------------------- */

static void map_range(MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset, bool readonly)
{
    VhostDevice *d = l->opaque;

    d->map_changed |= memory_region_ram_block(mr) != NULL;
}

static void memory_done(void *opaque, VhostUserFailure failure, const GError *error)
{
    judge(opaque, failure, "the memory map has changed", error);
}

static void map_commit(MemoryListener *l)
{
    VhostDevice *d = l->opaque;
    VhostUserMemory *memory;
    g_autoptr(GError) error = NULL;

    if (!d->map_changed) {
        return;
    }
    d->map_changed = false;
    memory = d->ops->any_memory ? vhost_user_memory_new_private(l->as, &error)
                                : vhost_user_memory_new(l->as, &error);
    if (!memory) {
        if (d->planned) {
            virtio_error(d->vdev, "%s", error->message);
        }
        return;
    }
    if (d->planned && !vhost_user_memory_equal(memory, d->memory)) {
        d->ops->set_memory(d->session, memory, memory_done, d);
    }
    vhost_user_memory_unref(d->memory);
    d->memory = memory;
}

static bool log_start(MemoryListener *l, GError **error)
{
    VhostDevice *d = l->opaque;
    GuestHold *hold = guest_hold_begin("vhost-user");
    bool ok = d->ops->log_start(d->session, error);

    guest_hold_end(hold);
    if (ok) {
        return true;
    }
    error_prefix(error, "%s: ", virtio_name(d->vdev));
    return false;
}

static void log_stop(MemoryListener *l)
{
    VhostDevice *d = l->opaque;

    d->ops->log_stop(d->session, held_done, hold_guest(d, "the log cannot be ended"));
}

static void log_sync(MemoryListener *l, bool last)
{
    VhostDevice *d = l->opaque;

    d->ops->log_sync(d->session, last);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool reply_timeout_is_set(Object *obj, const Property *prop, bool ok)
{
    const char *member = property_member(obj, prop);
    const VhostDevice *d = (const void *)(member - offsetof(VhostDevice, timeout_ms));

    if (ok && d->vu) {
        vhost_user_set_timeout(d->vu, d->timeout_ms);
    }
    return ok;
}

static bool set_reply_timeout(Object *obj, const Property *prop, json_object *value, GError **error)
{
    return reply_timeout_is_set(obj, prop, property_uint32.set(obj, prop, value, error));
}

static bool parse_reply_timeout(Object *obj, const Property *prop, const char *text, GError **error)
{
    return reply_timeout_is_set(obj, prop, property_uint32.parse(obj, prop, text, error));
}

static json_object *get_reply_timeout(Object *obj, const Property *prop, GError **error)
{
    return property_uint32.get(obj, prop, error);
}

const PropertyKind property_reply_timeout = {
    .name = "uint32",
    .set = set_reply_timeout,
    .parse = parse_reply_timeout,
    .get = get_reply_timeout,
};

static bool check_block(MemoryRegion *region, GError **error)
{
    const RamBlock *block = region ? memory_region_ram_block(region) : NULL;

    return !block || (block->fd >= 0 && block->shared) ||
           vhost_user_memory_refuse(block->idstr, error);
}

/* Before there is a memory map, the board's RAM, or that of each node, says whether there will be one that can be shared. */
static bool check_ram(GError **error)
{
    const Machine *machine = machine_current();
    const MachineNuma *numa = machine ? machine->numa : NULL;

    for (unsigned n = 0; numa && n < numa->nodes; n++) {
        const MemoryBackend *backend =
            numa->memdev[n] ? memory_backend_find(numa->memdev[n], NULL) : NULL;

        if (backend && !check_block(backend->region, error)) {
            return false;
        }
    }
    return !machine || check_block(machine->ram, error);
}

bool vhost_device_connect(VhostDevice *d, VirtioDevice *vdev, uint64_t protocol, GError **error)
{
    VhostUserOptions options = {
        .name = virtio_name(vdev),
        .fe = &d->fe,
        .timeout_ms = d->timeout_ms,
        .protocol_features = VHOST_DEVICE_PROTOCOL | protocol,
    };

    d->vdev = vdev;
    if (!chardev_fe_attached(&d->fe)) {
        return error_set(error,
                         "property 'chardev' is required: the socket of the vhost-user back end");
    }
    if (!check_ram(error)) {
        return false;
    }
    d->vu = vhost_user_new(&options, &session_ops, d);
    vhost_device_attach(d, vdev, &vhost_user_session_ops, d->vu);
    if (!vhost_user_wait_ready(d->vu, error)) {
        error_prefix(error, "vhost-user back end of chardev '%s': ", chardev_id(d->fe.chr));
        vhost_device_unrealize(d);
        return false;
    }
    return true;
}

void vhost_device_attach(VhostDevice *d, VirtioDevice *vdev, const VhostSessionOps *ops,
                         void *session)
{
    d->vdev = vdev;
    d->ops = ops;
    d->session = session;
}

bool vhost_device_realize(VhostDevice *d, GError **error)
{
    if (!update_blocker(d, error)) {
        return false;
    }
    if (d->vu) { /* it has the guest's memory mapped, and takes a page that is still to come for zeros */
        d->postcopy_blocker = vmstate_block_postcopy(
            "%s cannot be migrated by postcopy: its vhost-user back end does not wait for pages",
            virtio_name(d->vdev));
    }
    d->listener = (MemoryListener){
        .name = d->ops->name,
        .priority = 10,
        .range_add = map_range,
        .range_del = map_range,
        .commit = map_commit,
        .log_start = log_start,
        .log_stop = log_stop,
        .log_sync = log_sync,
        .opaque = d,
    };
    memory_listener_register(&d->listener, address_space_memory);
    return true;
}

void vhost_device_unrealize(VhostDevice *d)
{
    if (d->listener.name) {
        memory_listener_unregister(&d->listener);
        d->listener.name = NULL;
    }
    if (d->session) {
        d->ops->free(d->session);
    }
    d->session = d->vu = NULL;
    d->planned = false;
    vmstate_unblock(d->blocker);
    d->blocker = NULL;
    vmstate_unblock(d->postcopy_blocker);
    d->postcopy_blocker = NULL;
    g_clear_pointer(&d->memory, vhost_user_memory_unref);
    g_clear_error(&d->stop_error);
    g_clear_error(&d->start_error);
    g_clear_pointer(&d->inflight, g_free);
}

void vhost_device_no_handler(VirtioDevice *vdev, VirtQueue *vq)
{
}

/* ---- hooks --------------------------------------------------------------------------------------------- */

static uint64_t back_end_features(const VhostDevice *d)
{
    return d->ops->features(d->session) & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

bool vhost_device_get_features(VhostDevice *d, uint64_t *features, uint64_t own, GError **error)
{
    d->offered = back_end_features(d);
    /* A queue is reset by disabling it and asking for its base, which every back end can. */
    *features &= d->offered | own | VIRTIO_BIT(VIRTIO_F_RING_RESET);
    return true;
}

void vhost_device_reset(VhostDevice *d)
{
    g_autoptr(GError) error = NULL;

    if (d->offered && d->offered != back_end_features(d) && !d->vdev->loading &&
        !virtio_features_changed(d->vdev, &error)) {
        warn_report("%s: %s", virtio_name(d->vdev), error->message);
    }
}

/* Queues that are the back end's. */
static unsigned ring_count(const VhostDevice *d)
{
    return MIN(d->vdev->nqueues, d->max_rings ? d->max_rings : VHOST_USER_MAX_RINGS);
}

static bool describe_ring(VhostDevice *d, unsigned n, VhostUserRing *ring, GError **error)
{
    VirtQueue *vq = virtio_get_queue(d->vdev, n);
    int kick, call;

    /* given back as soon as the session has duplicates: they are taken for as long as the device is started */
    kick = virtio_queue_take_kick(vq, error);
    if (kick < 0) {
        return false;
    }
    call = virtio_queue_take_call(vq, error);
    if (call < 0) {
        virtio_queue_give_back_kick(vq);
        return false;
    }
    *ring = (VhostUserRing){
        .index = n,
        .num = (uint16_t)virtio_queue_size(vq),
        .base = virtio_queue_base(vq),
        .packed = virtio_has(d->vdev, VIRTIO_F_RING_PACKED),
        .enable = !d->enable || d->enable[n],
        .desc = virtio_queue_desc_addr(vq),
        .avail = virtio_queue_avail_addr(vq),
        .used = virtio_queue_used_addr(vq),
        .desc_bytes = virtio_queue_desc_bytes(vq),
        .avail_bytes = virtio_queue_avail_bytes(vq),
        .used_bytes = virtio_queue_used_bytes(vq),
        .kick_fd = kick,
        .call_fd = call,
    };
    return true;
}

static void give_back(VhostDevice *d)
{
    for (unsigned n = 0; n < ring_count(d); n++) {
        VirtQueue *vq = virtio_get_queue(d->vdev, n);

        if (vq) {
            virtio_queue_give_back_kick(vq);
            virtio_queue_give_back_call(vq);
        }
    }
}

/* Where the rings are now, for whoever starts next: this back end, another one, another machine. */
static void keep_bases(VhostDevice *d)
{
    for (unsigned n = 0; n < ring_count(d); n++) {
        VirtQueue *vq = virtio_get_queue(d->vdev, n);
        uint32_t base;

        if (!vq || !virtio_queue_enabled(vq)) {
            continue;
        }
        if (d->ops->ring_base(d->session, n, &base)) {
            virtio_queue_set_base(vq, base);
        } else {
            virtio_queue_restore_base(vq);
        }
    }
}

bool vhost_device_start(VhostDevice *d, GError **error)
{
    g_autofree VhostUserRing *rings = g_new(VhostUserRing, d->vdev->nqueues);
    uint64_t theirs = d->ops->features(d->session);
    uint64_t lost = d->vdev->guest_features & d->offered & ~theirs;
    unsigned n = 0;

    if (!d->memory) {
        return vhost_user_memory_refuse("", error);
    }
    if (lost) { /* it came in the place of the one whose features were offered */
        return error_set(error,
                         "the back end lacks features that the driver uses: 0x%" PRIx64, lost);
    }
    g_clear_error(&d->stop_error);
    g_clear_error(&d->start_error);
    for (unsigned i = 0; i < ring_count(d); i++) {
        VirtQueue *vq = virtio_get_queue(d->vdev, i);

        if (vq && virtio_queue_enabled(vq) && !describe_ring(d, i, &rings[n++], error)) {
            give_back(d);
            return false;
        }
    }
    d->planned = d->starting = true;
    d->ops->start(d->session, d->vdev->guest_features & theirs, d->memory, rings, n,
                  d->uses_inflight, held_done, hold_guest(d, "cannot start"));
    d->starting = false;
    if (d->start_error) {
        g_propagate_error(error, g_steal_pointer(&d->start_error));
        d->planned = false;
        keep_bases(d);
        give_back(d);
        return false;
    }
    return true;
}

/*
 * The driver's reset: the guest waits for the back end, and nobody else. Otherwise (the machine stops, the card is turned
 * off) the caller needs to know where the rings are.
 */
void vhost_device_stop(VhostDevice *d)
{
    bool reset = d->vdev->status == 0 || virtio_is_broken(d->vdev);

    d->planned = false;
    if (reset && vm_is_running()) {
        d->ops->stop(d->session, true, held_done, hold_guest(d, "cannot stop"));
    } else {
        g_clear_error(&d->stop_error);
        d->ops->stop_and_wait(d->session, reset, &d->stop_error);
        keep_bases(d);
        if (d->stop_error && !vm_is_leaving()) {
            warn_report("%s: %s", virtio_name(d->vdev), d->stop_error->message);
        }
    }
    give_back(d);
}

void vhost_device_update_enables(VhostDevice *d)
{
    if (d->planned && d->enable) {
        d->ops->rings_enable(d->session, d->enable, ring_count(d), held_done,
                             hold_guest(d, "rings cannot be enabled"));
    }
}

bool vhost_device_queue_enable(VhostDevice *d, unsigned n, GError **error)
{
    VhostUserRing ring;

    if (!d->planned) {
        return true; /* the start takes it along: a device touches no ring before DRIVER_OK (VIRTIO 1.2, 3.1.1) */
    }
    if (n >= VHOST_USER_MAX_RINGS || !describe_ring(d, n, &ring, error)) {
        return n < VHOST_USER_MAX_RINGS || error_set(error, "%s has no ring %u", d->ops->name, n);
    }
    d->ops->ring_start(d->session, &ring, held_done, hold_guest(d, "a ring cannot be enabled"));
    return true;
}

bool vhost_device_queue_reset(VhostDevice *d, unsigned n, GError **error)
{
    VirtQueue *vq = virtio_get_queue(d->vdev, n);

    if (d->planned) {
        d->ops->ring_stop(d->session, n, held_done, hold_guest(d, "a ring cannot be reset"));
    }
    virtio_queue_give_back_kick(vq);
    virtio_queue_give_back_call(vq);
    return true;
}

/* Whether nothing was in flight when the back end went: the guest has got back what it had posted. */
static bool nothing_in_flight(VhostDevice *d)
{
    if (virtio_has(d->vdev, VIRTIO_F_RING_PACKED)) {
        return false;
    }
    for (unsigned n = 0; n < ring_count(d); n++) {
        VirtQueue *vq = virtio_get_queue(d->vdev, n);

        if (vq && virtio_queue_enabled(vq) && !virtqueue_empty(vq)) {
            return false;
        }
    }
    return true;
}

QuiesceResult vhost_device_quiesce(VhostDevice *d, GError **error)
{
    d->ops->drain(d->session);
    if (!d->stop_error || (!d->ops->connected(d->session) && nothing_in_flight(d))) {
        return QUIESCE_DONE;
    }
    error_set(error, "%s: %s", virtio_name(d->vdev), d->stop_error->message);
    return QUIESCE_ERROR;
}

bool vhost_device_check_late(VhostDevice *d, GError **error)
{
    return !d->ops->log_late(d->session) ||
           error_set(error, "%s: the %s back end wrote guest memory after it had been stopped",
                     virtio_name(d->vdev), d->ops->name);
}

/* ---- in-flight region ---------------------------------------------------------------------------------- */

/*
 * Migration notes. A back end answers GET_VRING_BASE when nothing is in flight, as all do that we know: there is nothing to
 * send then. One that keeps requests tells by its region, which goes along: the back end on the other side submits them
 * again. Checked: the size (VHOST_USER_INFLIGHT_MAX). Stock has no such subsection; it would have lost the requests.
 */
static bool inflight_needed(const void *opaque)
{
    const VhostDevice *d = opaque;

    return d->vu && d->uses_inflight &&
           vhost_user_inflight_pending(d->vu, virtio_has(d->vdev, VIRTIO_F_RING_PACKED));
}

/* A stream without the subsection is one without such requests, whatever this device had before. */
void vhost_device_forget_inflight(VhostDevice *d)
{
    vhost_user_inflight_forget(d->vu);
}

static bool inflight_pre_save(void *opaque, GError **error)
{
    VhostDevice *d = opaque;
    size_t len = 0;

    g_free(d->inflight);
    d->inflight = vhost_user_inflight_save(d->vu, &len, &d->inflight_queues, &d->inflight_size);
    d->inflight_len = (uint32_t)len;
    return d->inflight || error_set(error, "the in-flight region is gone");
}

static bool inflight_post_load(void *opaque, int version, GError **error)
{
    VhostDevice *d = opaque;

    return vhost_user_inflight_load(d->vu, d->inflight, d->inflight_len, d->inflight_queues,
                                    d->inflight_size, error);
}

const VmState vmstate_vhost_inflight = {
    .name = "vhost-user/inflight",
    .version = 1,
    .minimum_version = 1,
    .needed = inflight_needed,
    .pre_save = inflight_pre_save,
    .post_load = inflight_post_load,
    .fields =
        (const VmField[]){ VM_U16(VhostDevice, inflight_queues), VM_U16(VhostDevice, inflight_size),
                           VM_U32(VhostDevice, inflight_len),
                           VM_VBYTES("inflight", VhostDevice, inflight, inflight_len,
                                     VHOST_USER_INFLIGHT_MAX, VM_ALLOC),
                           VM_END },
};

/* ---- hooks of devices that have nothing else ---- */

void vhost_virtio_unrealize(VirtioDevice *vdev)
{
    vhost_device_unrealize(&((VhostVirtio *)vdev)->vhost);
}

void vhost_virtio_reset(VirtioDevice *vdev)
{
    vhost_device_reset(&((VhostVirtio *)vdev)->vhost);
}

bool vhost_virtio_start(VirtioDevice *vdev, GError **error)
{
    return vhost_device_start(&((VhostVirtio *)vdev)->vhost, error);
}

void vhost_virtio_stop(VirtioDevice *vdev)
{
    vhost_device_stop(&((VhostVirtio *)vdev)->vhost);
}

bool vhost_virtio_queue_enable(VirtioDevice *vdev, unsigned n, GError **error)
{
    return vhost_device_queue_enable(&((VhostVirtio *)vdev)->vhost, n, error);
}

bool vhost_virtio_queue_reset(VirtioDevice *vdev, unsigned n, GError **error)
{
    return vhost_device_queue_reset(&((VhostVirtio *)vdev)->vhost, n, error);
}

QuiesceResult vhost_virtio_quiesce(VirtioDevice *vdev, GError **error)
{
    return vhost_device_quiesce(&((VhostVirtio *)vdev)->vhost, error);
}
