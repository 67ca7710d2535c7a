/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi-hd and scsi-cd: a disk (SBC-3) and a CD/DVD drive (MMC-6) on a block front. This file has
 * the devices: life cycle, tray and medium, properties. Commands: disk-dma.c, disk-emulate.c and
 * what its table names.
 */
#include "util/osdep.h"
#include "disk.h"

#include "hw/scsi/disk.h"
#include "util/error.h"

/* ---- medium and tray ------------------------------------------------------------------------- */

bool disk_medium_ready(ScsiDisk *s)
{
    return s->conf.front && !s->tray_open && front_is_inserted(s->conf.front);
}

uint64_t disk_blocks(ScsiDisk *s)
{
    int64_t length = s->conf.front ? front_length(s->conf.front) : 0;
    return length > 0 ? (uint64_t)length / s->scsi.block_size : 0;
}

bool disk_lba_valid(ScsiDisk *s, uint64_t lba, uint64_t blocks)
{
    uint64_t total = disk_blocks(s);
    return lba <= total && blocks <= total - lba;
}

/* The user opened the tray, or closed it, perhaps on another medium. The guest hears of it as a
 * unit attention "no medium", then, if the tray closed, "medium may have changed"; and as an event.
 * */
static void tray_moves(ScsiDisk *s, bool load)
{
    __atomic_store_n(&s->tray_open, !load, __ATOMIC_RELAXED);
    s->media_changed = load;
    s->media_event = load;
    s->eject_request = false;
    scsi_device_set_unit_attention(&s->scsi, scsi_sense_no_medium_attention);
}

static void tray_opens(void *opaque)
{
    tray_moves(opaque, false);
}

static void tray_closes(void *opaque)
{
    tray_moves(opaque, true);
}

/* The block layer calls in the main thread (S7). */
static void run(ScsiDisk *s, void (*func)(void *opaque))
{
    scsi_bus_run(SCSI_BUS(s->scsi.device.bus), func, s);
}

static bool change_media(void *opaque, bool load, GError **error)
{
    run(opaque, load ? tray_closes : tray_opens);
    return true;
}

static void ask_for_eject(void *opaque)
{
    ((ScsiDisk *)opaque)->eject_request = true;
}

static void force_eject(void *opaque)
{
    ask_for_eject(opaque);
    __atomic_store_n(&((ScsiDisk *)opaque)->tray_locked, false, __ATOMIC_RELAXED);
}

static void eject_request(void *opaque, bool force)
{
    run(opaque, force ? force_eject : ask_for_eject);
}

static bool is_tray_open(void *opaque)
{
    return __atomic_load_n(&((ScsiDisk *)opaque)->tray_open, __ATOMIC_RELAXED);
}

static bool is_medium_locked(void *opaque)
{
    return __atomic_load_n(&((ScsiDisk *)opaque)->tray_locked, __ATOMIC_RELAXED);
}

static void report_capacity(void *opaque)
{
    ScsiDisk *s = opaque;
    scsi_device_report_change(&s->scsi, scsi_sense_capacity_changed);
}

static void resize(void *opaque)
{
    run(opaque, report_capacity);
}

static const BlockDeviceOps removable_ops = {
    .removable = true,
    .change_media = change_media,
    .eject_request = eject_request,
    .is_tray_open = is_tray_open,
    .is_medium_locked = is_medium_locked,
    .resize = resize,
};

static const BlockDeviceOps fixed_ops = {
    .resize = resize,
};

/* ---- ScsiDeviceOps --------------------------------------------------------------------------- */

static const ScsiRequestOps *request_ops(ScsiDevice *dev, const uint8_t *cdb)
{
    return disk_is_dma(cdb[0]) ? &disk_dma_ops : &disk_emulated_ops;
}

static void unit_attention_reported(ScsiDevice *dev)
{
    ScsiDisk *s = SCSI_DISK(dev);
    if (s->media_changed) {
        s->media_changed = false;
        scsi_device_set_unit_attention(dev, scsi_sense_medium_changed);
    }
}

static void drain(ScsiDevice *dev)
{
    front_drain(SCSI_DISK(dev)->conf.front);
}

static void set_home(ScsiDevice *dev, GMainContext *home)
{
    front_set_home(SCSI_DISK(dev)->conf.front, home);
}

/* ---- reset ----------------------------------------------------------------------------------- */

static void disk_reset(ScsiDevice *dev)
{
    ScsiDisk *s = SCSI_DISK(dev);
    __atomic_store_n(&s->tray_locked, false, __ATOMIC_RELAXED);
    __atomic_store_n(&s->tray_open, false, __ATOMIC_RELAXED);
}

/* ---- realize --------------------------------------------------------------------------------- */

static void default_texts(ScsiDisk *s)
{
    bool cd = s->scsi.type == SCSI_TYPE_CDROM;
    if (!s->vendor) {
        s->vendor = g_strdup("QEMU");
    }
    if (!s->product) {
        s->product = g_strdup(cd ? "QEMU CD-ROM" : "QEMU HARDDISK");
    }
    if (!s->ver) {
        s->ver = g_strdup("2.5+");
    }
    if (!s->device_id) {
        const char *name = s->conf.front ? front_name(s->conf.front) : "";
        s->device_id = s->serial ? g_strdup(s->serial) : name[0] ? g_strdup(name) : NULL;
    }
}

static bool attach(ScsiDisk *s, GError **error)
{
    bool cd = s->scsi.type == SCSI_TYPE_CDROM;
    BlockDeviceConf want = {
        .ops = s->removable ? &removable_ops : &fixed_ops,
        .device = s,
        .read_only = cd || front_is_read_only(s->conf.front),
        .needs_medium = !s->removable,
        .resizes = true,
        .handles_errors = true,
    };
    return drive_conf_attach(&s->conf, &s->scsi.device, &want, error);
}

static bool disk_realize(ScsiDevice *dev, GError **error)
{
    ScsiDisk *s = SCSI_DISK(dev);
    if (s->serial && strlen(s->serial) > SCSI_DISK_MAX_SERIAL) {
        return error_set(error, "The serial number can't be longer than %d characters",
                         SCSI_DISK_MAX_SERIAL);
    }
    if (!drive_conf_block_sizes(&s->conf, error)) {
        return false;
    }
    if (s->conf.discard_granularity == UINT32_MAX) {
        s->conf.discard_granularity = MAX(s->conf.physical_block_size, 4096);
    }
    default_texts(s);
    if (!attach(s, error)) {
        return false;
    }
    dev->carries_answers = s->migrate_emulated;
    s->write_cache_default = front_write_cache(s->conf.front);
    return true;
}

static bool hd_realize(ScsiDevice *dev, GError **error)
{
    ScsiDisk *s = SCSI_DISK(dev);
    dev->type = SCSI_TYPE_DISK;
    if (!s->conf.front) {
        return error_set(error, "drive property not set");
    }
    if (!disk_realize(dev, error)) {
        return false;
    }
    dev->block_size = s->conf.logical_block_size;
    int64_t length = front_length(s->conf.front);
    if (!drive_conf_geometry(length > 0 ? length / BLOCK_SECTOR : 0, 255, &s->cyls, &s->heads,
                             &s->secs, error)) {
        drive_conf_detach(&s->conf);
        return false;
    }
    return true;
}

static bool cd_realize(ScsiDevice *dev, GError **error)
{
    ScsiDisk *s = SCSI_DISK(dev);
    dev->type = SCSI_TYPE_CDROM;
    dev->block_size = 2048;
    s->removable = true;
    if (!s->conf.front) {
        s->conf.front = front_new(NULL, error);
        if (!s->conf.front) {
            return false;
        }
    }
    return disk_realize(dev, error);
}

static void disk_unrealize(ScsiDevice *dev)
{
    drive_conf_detach(&SCSI_DISK(dev)->conf);
}

static const ScsiDeviceOps hd_ops = {
    .realize = hd_realize,
    .unrealize = disk_unrealize,
    .reset = disk_reset,
    .parse_cdb = disk_parse_cdb,
    .request_ops = request_ops,
    .unit_attention_reported = unit_attention_reported,
    .drain = drain,
    .set_home = set_home,
};

static const ScsiDeviceOps cd_ops = {
    .realize = cd_realize,
    .unrealize = disk_unrealize,
    .reset = disk_reset,
    .parse_cdb = disk_parse_cdb,
    .request_ops = request_ops,
    .unit_attention_reported = unit_attention_reported,
    .drain = drain,
    .set_home = set_home,
};

/*
 * ---- migration notes ----
 *
 * Own state: tray, events, unit attention, sense data, the write cache's setting (disk-vmstate.c).
 * In flight: requests; request.c has the list, disk-dma.c and disk-emulate.c say per state what
 * travels. What is on the medium, and which medium it is, both sides know from their command lines.
 * Data on their way to the medium are waited for at vm_stop() and quiesce.
 */

/* ---- properties, compat, registration -------------------------------------------------------- */

static void disk_init(Object *obj)
{
    SCSI_DISK(obj)->conf.bootindex = -1;
}

/* The third name by which a -global reaches both. It has no properties of its own: they are each
 * concrete type's. */
static const DeviceType scsi_disk_base_type = {
    .object = {
        .name = "scsi-disk-base",
        .parent = &scsi_device_type.object,
        .size = sizeof(ScsiDisk),
        .abstract = true,
        .init = disk_init,
    },
};
DEVICE_REGISTER(scsi_disk_base_type)

/* In stock's order, which info qtree shows. */
/* clang-format off */
#define DISK_PROPERTIES                                                                            \
    DRIVE_PROPERTY_DRIVE(ScsiDisk, conf), DRIVE_PROPERTIES_BASE(ScsiDisk, conf),                   \
    DRIVE_PROPERTIES_ERROR(ScsiDisk, conf), DRIVE_PROPERTY_BOOTINDEX(ScsiDisk, conf),              \
    PROPERTY_STRING("ver", ScsiDisk, ver, NULL),                                                   \
    PROPERTY_STRING("serial", ScsiDisk, serial, NULL),                                             \
    PROPERTY_STRING("vendor", ScsiDisk, vendor, NULL),                                             \
    PROPERTY_STRING("product", ScsiDisk, product, NULL),                                           \
    PROPERTY_STRING("device_id", ScsiDisk, device_id, NULL),                                       \
    PROPERTY_BOOL("migrate-emulated-scsi-request", ScsiDisk, migrate_emulated, "on", NULL)
#define DISK_PROPERTIES_PORT                                                                       \
    PROPERTY_UINT64("wwn", ScsiDisk, wwn, "0", NULL),                                              \
    PROPERTY_UINT64("port_wwn", ScsiDisk, port_wwn, "0", NULL),                                    \
    PROPERTY_UINT16("port_index", ScsiDisk, port_index, "0", NULL)
#define DISK_PROPERTY_MAX_IO \
    PROPERTY_UINT64("max_io_size", ScsiDisk, max_io_size, "2147483647", NULL)
#define DISK_PROPERTY_VERSION PROPERTY_INT32("scsi_version", ScsiDisk, scsi_version, "5", NULL)
#define DISK_PROPERTY_QUIRK(name, member) PROPERTY_BOOL(name, ScsiDisk, member, "off", NULL)

static const Property hd_properties[] = {
    DISK_PROPERTIES,
    PROPERTY_BOOL("removable", ScsiDisk, removable, "off", NULL),
    PROPERTY_BOOL("dpofua", ScsiDisk, dpofua, "off", NULL),
    DISK_PROPERTIES_PORT,
    PROPERTY_UINT64("max_unmap_size", ScsiDisk, max_unmap_size, "1073741824", NULL),
    DISK_PROPERTY_MAX_IO,
    PROPERTY_UINT16("rotation_rate", ScsiDisk, rotation_rate, "0", NULL),
    DISK_PROPERTY_VERSION,
    DISK_PROPERTY_QUIRK("quirk_mode_page_vendor_specific_apple", quirk_vendor_specific_apple),
    PROPERTY_UINT32("cyls", ScsiDisk, cyls, "0", NULL),
    PROPERTY_UINT32("heads", ScsiDisk, heads, "0", NULL),
    PROPERTY_UINT32("secs", ScsiDisk, secs, "0", NULL),
    PROPERTY_UINT32("lcyls", ScsiDisk, lcyls, "0", NULL),
    PROPERTY_UINT32("lheads", ScsiDisk, lheads, "0", NULL),
    PROPERTY_UINT32("lsecs", ScsiDisk, lsecs, "0", NULL),
    { .name = NULL },
};

static const Property cd_properties[] = {
    DISK_PROPERTIES,
    DISK_PROPERTIES_PORT,
    DISK_PROPERTY_MAX_IO,
    DISK_PROPERTY_VERSION,
    DISK_PROPERTY_QUIRK("quirk_mode_page_apple_vendor", quirk_apple_vendor),
    DISK_PROPERTY_QUIRK("quirk_mode_sense_rom_use_dbd", quirk_rom_use_dbd),
    DISK_PROPERTY_QUIRK("quirk_mode_page_vendor_specific_apple", quirk_vendor_specific_apple),
    DISK_PROPERTY_QUIRK("quirk_mode_page_truncated", quirk_truncated),
    { .name = NULL },
};
/* clang-format on */

/* Before 9.1 the wire had no place for the buffers of emulated requests. */
static const DeviceCompat disk_compat[] = {
    { "9.0", "migrate-emulated-scsi-request", "off" },
    { NULL, NULL, NULL },
};

static const DeviceType scsi_hd_type = {
    .object = {
        .name = "scsi-hd",
        .parent = &scsi_disk_base_type.object,
        .size = sizeof(ScsiDisk),
        .description = "virtual SCSI disk",
        .properties = hd_properties,
    },
    .migration = MIGRATES_WITH(disk_vmstate),
    .compat = disk_compat,
    .ops = &hd_ops,
};
DEVICE_REGISTER(scsi_hd_type)

static const DeviceType scsi_cd_type = {
    .object = {
        .name = "scsi-cd",
        .parent = &scsi_disk_base_type.object,
        .size = sizeof(ScsiDisk),
        .description = "virtual SCSI CD-ROM",
        .properties = cd_properties,
    },
    .migration = MIGRATES_WITH(disk_vmstate),
    .compat = disk_compat,
    .ops = &cd_ops,
};
DEVICE_REGISTER(scsi_cd_type)

/* ---- disks made by an adapter ---------------------------------------------------------------- */

ScsiDevice *scsi_bus_add_disk(ScsiBus *bus, uint32_t lun, const char *name, DriveConf *conf,
                              bool removable, const char *serial, GError **error)
{
    bool cd = front_is_cdrom_hint(conf->front);
    ScsiDisk *s = SCSI_DISK(device_new(cd ? &scsi_cd_type : &scsi_hd_type));
    s->conf = *conf;
    conf->front = NULL;
    s->scsi.id = 0;
    s->scsi.lun = lun;
    s->removable = removable;
    if (serial) {
        s->serial = g_strdup(serial);
    }
    Device *dev = &s->scsi.device;
    if (!object_add_child(&bus->bus.object, name, &dev->object, error)) {
        object_unref(s);
        return NULL;
    }
    if (!device_realize(dev, &bus->bus, error)) {
        object_unparent(&dev->object);
        object_unref(s);
        return NULL;
    }
    return &s->scsi;
}
