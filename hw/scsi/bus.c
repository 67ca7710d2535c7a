/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SCSI bus and what all SCSI devices have in common: addresses, unit attentions, the hooks into
 * run state and quiesce.
 *
 * Migration notes. The section of a device is "<section of its
 * adapter>/<channel>:<id>:<lun>/scsi-disk". Requests are its devices' (request.c). At quiesce each
 * device waits for its block I/O and then asks its requests whether they can leave; when the VM
 * starts, requests that were stopped or arrived without their buffer go on.
 */
#include "util/osdep.h"
#include "scsi-private.h"

#include "util/error.h"
#include "util/main-loop.h"
#include "util/trace.h"

TRACE_EVENT(scsi_device_set_ua)

/* ---- addresses ------------------------------------------------------------------------------- */

static ScsiDevice *device_at(ScsiBus *bus, uint32_t channel, uint32_t id, uint32_t lun,
                             ScsiDevice *except)
{
    for (GList *l = bus->bus.devices.head; l; l = l->next) {
        ScsiDevice *dev = l->data;
        if (dev != except && dev->channel == channel && dev->id == id && dev->lun == lun) {
            return dev;
        }
    }
    return NULL;
}

ScsiDevice *scsi_bus_find(ScsiBus *bus, uint32_t channel, uint32_t target, uint32_t lun)
{
    ScsiDevice *other = NULL;
    for (GList *l = bus->members.head; l; l = l->next) {
        ScsiDevice *dev = l->data;
        if (dev->channel != channel || dev->id != target) {
            continue;
        }
        if (dev->lun == lun) {
            return dev;
        }
        if (!other || dev->lun < other->lun) {
            other = dev;
        }
    }
    return other;
}

/* Picks what is not given: the first free id for a given LUN (0 if none is given), or the first
 * free LUN of an id. */
static bool check_address(Bus *b, Device *device, GError **error)
{
    ScsiBus *bus = SCSI_BUS(b);
    ScsiDevice *dev = SCSI_DEVICE(device);
    const ScsiHbaOps *ops = bus->ops;
    if (dev->channel > ops->max_channel) {
        return error_set(error, "bad scsi channel id: %u", dev->channel);
    }
    if (dev->id != UINT32_MAX && dev->id > ops->max_target) {
        return error_set(error, "bad scsi device id: %u", dev->id);
    }
    if (dev->lun != UINT32_MAX && dev->lun > ops->max_lun) {
        return error_set(error, "bad scsi device lun: %u", dev->lun);
    }
    if (dev->id == UINT32_MAX) {
        uint32_t lun = dev->lun == UINT32_MAX ? 0 : dev->lun;
        uint32_t id = 0;
        while (device_at(bus, dev->channel, id, lun, dev)) {
            if (id++ == ops->max_target) {
                return error_set(error, "no free target");
            }
        }
        dev->id = id;
        dev->lun = lun;
    } else if (dev->lun == UINT32_MAX) {
        uint32_t lun = 0;
        while (device_at(bus, dev->channel, dev->id, lun, dev)) {
            if (lun++ == ops->max_lun) {
                return error_set(error, "no free lun");
            }
        }
        dev->lun = lun;
    } else {
        ScsiDevice *other = device_at(bus, dev->channel, dev->id, dev->lun, dev);
        if (other) {
            return error_set(error, "lun already used by '%s'",
                             other->device.id ? other->device.id : "");
        }
    }
    return true;
}

static char *section_prefix(const Device *device)
{
    const ScsiDevice *dev = SCSI_DEVICE(device);
    g_autofree char *above = device_section_prefix(device->bus->owner);
    return g_strdup_printf("%s%s%u:%u:%u", above ? above : "", above ? "/" : "", dev->channel,
                           dev->id, dev->lun);
}

static void tell_plugged(void *opaque)
{
    ScsiDevice *dev = opaque;
    ScsiBus *bus = SCSI_BUS(dev->device.bus);
    bus->ops->plugged(bus, dev);
}

static void plugged(Bus *b, Device *device)
{
    ScsiBus *bus = SCSI_BUS(b);
    if (bus->ops->plugged) {
        scsi_bus_run(bus, tell_plugged, device);
    }
}

static char *firmware_path(const Device *device)
{
    const ScsiDevice *dev = SCSI_DEVICE(device);
    return g_strdup_printf("channel@%x/disk@%x,%x", dev->channel, dev->id, dev->lun);
}

const BusType scsi_bus_type = {
    .object = {
        .name = "SCSI",
        .parent = &bus_type.object,
        .size = sizeof(ScsiBus),
    },
    .check_address = check_address,
    .section_prefix = section_prefix,
    .firmware_path = firmware_path,
    .plugged = plugged,
};
BUS_REGISTER(scsi_bus_type)

ScsiBus *scsi_bus_new(Device *owner, const char *name, const ScsiHbaOps *ops, void *hba)
{
    static int next_busnr;
    ScsiBus *bus = SCSI_BUS(bus_new(&scsi_bus_type, owner, name));
    bus->ops = ops;
    bus->hba = hba;
    bus->bus.hotpluggable = true;
    bus->busnr = next_busnr++;
    bus->bus.hotpluggable = true;
    return bus;
}

void scsi_bus_cancel_all(ScsiBus *bus)
{
    for (GList *l = bus->members.head; l; l = l->next) {
        scsi_device_cancel_all(l->data);
    }
}

/* ---- where the bus is used (S7) -------------------------------------------------------------- */

static GMainContext *home_of(const ScsiBus *bus)
{
    return bus->ops->home ? bus->ops->home(bus) : NULL;
}

void scsi_bus_run(ScsiBus *bus, void (*func)(void *opaque), void *opaque)
{
    context_run(home_of(bus), func, opaque);
}

static void set_home(ScsiDevice *dev, GMainContext *home)
{
    if (scsi_device_ops(dev)->set_home) {
        scsi_device_ops(dev)->set_home(dev, home);
    }
}

/* Of now; while one is waited for, the user may plug and unplug others. */
static GPtrArray *members(const ScsiBus *bus)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)object_unref);
    for (GList *l = bus->members.head; l; l = l->next) {
        g_ptr_array_add(list, object_ref(l->data));
    }
    return list;
}

void scsi_bus_set_home(ScsiBus *bus, GMainContext *home)
{
    g_autoptr(GPtrArray) list = members(bus);
    for (unsigned i = 0; i < list->len; i++) {
        ScsiDevice *dev = list->pdata[i];
        if (dev->device.realized) {
            set_home(dev, home);
        }
    }
}

void scsi_bus_drain(ScsiBus *bus)
{
    g_autoptr(GPtrArray) list = members(bus);
    for (unsigned i = 0; i < list->len; i++) {
        ScsiDevice *dev = list->pdata[i];
        if (dev->device.realized && scsi_device_ops(dev)->drain) {
            scsi_device_ops(dev)->drain(dev);
        }
    }
}

static void join(void *opaque)
{
    ScsiDevice *dev = opaque;
    g_queue_push_head_link(&SCSI_BUS(dev->device.bus)->members, &dev->member);
}

static void leave(void *opaque)
{
    ScsiDevice *dev = opaque;
    ScsiBus *bus = SCSI_BUS(dev->device.bus);
    scsi_device_cancel_all(dev);
    g_queue_unlink(&bus->members, &dev->member);
    if (bus->ops->unplugged) {
        bus->ops->unplugged(bus, dev);
    }
}

/* ---- unit attentions ------------------------------------------------------------------------- */

const ScsiDeviceOps *scsi_device_ops(const ScsiDevice *dev)
{
    return device_ops(&dev->device);
}

/* SAM-5 5.14.1: power on and resets are reported before anything else. */
static int attention_rank(ScsiSense sense)
{
    return !sense.key ? 0 : sense.asc == 0x29 ? 3 : sense.asc == 0x28 || sense.asc == 0x3a ? 2 : 1;
}

void scsi_device_set_unit_attention(ScsiDevice *dev, ScsiSense sense)
{
    trace(scsi_device_set_ua, "target %u lun %u key 0x%02x asc 0x%02x ascq 0x%02x", dev->id,
          dev->lun, sense.key, sense.asc, sense.ascq);
    if (attention_rank(sense) >= attention_rank(dev->unit_attention)) {
        dev->unit_attention = sense;
    }
}

void scsi_device_report_change(ScsiDevice *dev, ScsiSense sense)
{
    ScsiBus *bus = SCSI_BUS(dev->device.bus);
    scsi_device_set_unit_attention(dev, sense);
    if (bus->ops->changed) {
        bus->ops->changed(bus, dev, sense);
    }
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void go_on(void *opaque)
{
    ScsiDevice *dev = opaque;
    if (!g_queue_is_empty(&dev->requests)) {
        ScsiBus *bus = SCSI_BUS(dev->device.bus);
        if (bus->ops->restored) {
            bus->ops->restored(bus);
        }
        scsi_device_requests_go_on(dev);
    }
}

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    ScsiDevice *dev = opaque;
    if (running) {
        scsi_bus_run(SCSI_BUS(dev->device.bus), go_on, dev);
    }
}

static QuiesceResult quiesce(void *opaque, GError **error)
{
    ScsiDevice *dev = opaque;
    if (scsi_device_ops(dev)->drain) { /* cancelled requests are on no list any more */
        scsi_device_ops(dev)->drain(dev);
    }
    return scsi_device_requests_can_leave(dev, error);
}

static const QuiesceOps quiesce_ops = {
    .name = "scsi",
    .quiesce = quiesce,
};

/* ---- the abstract device --------------------------------------------------------------------- */

static void reset(void *opaque)
{
    ScsiDevice *dev = opaque;
    scsi_device_cancel_all(dev);
    dev->sense_len = 0;
    dev->sense_is_ua = false;
    memset(dev->sense, 0, sizeof(dev->sense));
    dev->unit_attention = scsi_sense_power_on;
    if (scsi_device_ops(dev)->reset) {
        scsi_device_ops(dev)->reset(dev);
    }
}

static void scsi_device_reset(Device *device)
{
    scsi_bus_run(SCSI_BUS(device->bus), reset, SCSI_DEVICE(device));
}

static bool scsi_device_realize(Device *device, GError **error)
{
    ScsiDevice *dev = SCSI_DEVICE(device);
    g_autofree char *prefix = device_section_prefix(device);
    dev->description = g_strdup_printf("%s at %s", device->object.type->name, prefix);
    dev->unit_attention = scsi_sense_power_on;
    if (!scsi_device_ops(dev)->realize(dev, error)) {
        g_clear_pointer(&dev->description, g_free);
        return false;
    }
    dev->vm_state = vm_state_add_handler(vm_state_changed, dev, 0);
    dev->quiesce = quiesce_register(&quiesce_ops, dev);
    set_home(dev, home_of(SCSI_BUS(device->bus)));
    scsi_bus_run(SCSI_BUS(device->bus), join, dev);
    return true;
}

static void scsi_device_unrealize(Device *device)
{
    ScsiDevice *dev = SCSI_DEVICE(device);
    scsi_bus_run(SCSI_BUS(device->bus), leave, dev);
    set_home(dev, NULL); /* what was cancelled has ended */
    vm_state_del_handler(dev->vm_state);
    quiesce_unregister(dev->quiesce);
    if (scsi_device_ops(dev)->unrealize) {
        scsi_device_ops(dev)->unrealize(dev);
    }
    g_clear_pointer(&dev->description, g_free);
}

static void scsi_device_init(Object *obj)
{
    ScsiDevice *dev = SCSI_DEVICE(obj);
    g_queue_init(&dev->requests);
    dev->member.data = dev;
}

static const Property scsi_device_properties[] = {
    PROPERTY_UINT32("channel", ScsiDevice, channel, "0", NULL),
    PROPERTY_UINT32("scsi-id", ScsiDevice, id, "4294967295", NULL),
    PROPERTY_UINT32("lun", ScsiDevice, lun, "4294967295", NULL),
    { .name = NULL },
};

const DeviceType scsi_device_type = {
    .object = {
        .name = "scsi-device",
        .parent = &device_type.object,
        .size = sizeof(ScsiDevice),
        .abstract = true,
        .properties = scsi_device_properties,
        .init = scsi_device_init,
    },
    .bus = &scsi_bus_type,
    .category = DEVICE_CATEGORY_STORAGE,
    .realize = scsi_device_realize,
    .unrealize = scsi_device_unrealize,
    .reset = scsi_device_reset,
    .migration = SAVED_BY_PARENT("the concrete type's section"),
};
DEVICE_REGISTER(scsi_device_type)
