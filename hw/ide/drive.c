/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ide-hd and ide-cd: a disk (ATA8-ACS) and a CD/DVD drive (MMC-6 behind PACKET) on a block front. This file
 * has the devices: places, media, properties. What they do is in the unit that they are plugged into.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "hw/core/bootorder.h"
#include "util/error.h"

#define MAX_HEADS 16
#define GRANULARITY 512

static IdeUnit *unit_of(IdeDrive *drive)
{
    return &IDE_BUS(drive->device.bus)->units[drive->unit];
}

uint64_t ide_drive_sectors(const IdeUnit *u)
{
    int64_t length = front_length(u->drive->conf.front);

    return length > 0 ? (uint64_t)length / BLOCK_SECTOR : 0;
}

/* ---- tray and medium ----------------------------------------------------------------------------------- */

static bool change_media(void *opaque, bool load, GError **error)
{
    atapi_change_media(unit_of(opaque), load);
    return true;
}

static void eject_request(void *opaque, bool force)
{
    IdeUnit *u = unit_of(opaque);

    u->event_eject_request = true;
    if (force) {
        u->tray_locked = false;
    }
}

static bool is_tray_open(void *opaque)
{
    return unit_of(opaque)->tray_open;
}

static bool is_medium_locked(void *opaque)
{
    return unit_of(opaque)->tray_locked;
}

/* The capacity is read anew by whoever asks; IDENTIFY has it too. */
static void resize(void *opaque)
{
    IdeUnit *u = unit_of(opaque);
    uint64_t sectors = ide_drive_sectors(u);

    if (u->identify_set && !u->drive->cd) {
        uint64_t lba28 = MIN(sectors, (UINT64_C(1) << 28) - 1);

        ata_identify_put(u, 60, lba28);
        ata_identify_put(u, 61, lba28 >> 16);
        for (unsigned i = 0; i < 4; i++) {
            ata_identify_put(u, 100 + i, sectors >> (16 * i));
        }
    }
}

static const BlockDeviceOps cd_block_ops = {
    .removable = true,
    .change_media = change_media,
    .eject_request = eject_request,
    .is_tray_open = is_tray_open,
    .is_medium_locked = is_medium_locked,
};

static const BlockDeviceOps hd_block_ops = {
    .resize = resize,
};

/* ---- realize ---------------------------------------------------------------------------------------------- */

static bool check_block_sizes(IdeDrive *d, GError **error)
{
    DriveConf *conf = &d->conf;

    if (conf->discard_granularity == UINT32_MAX) {
        conf->discard_granularity = GRANULARITY;
    } else if (conf->discard_granularity && conf->discard_granularity != GRANULARITY) {
        return error_set(error, "discard_granularity must be 512 for ide");
    }
    if (!drive_conf_block_sizes(conf, error)) {
        return false;
    }
    return conf->logical_block_size == BLOCK_SECTOR ||
           error_set(error, "logical_block_size must be 512 for IDE");
}

static void default_texts(IdeDrive *d, const IdeUnit *u)
{
    if (!d->ver) {
        d->ver = g_strdup("2.5+");
    }
    if (!d->serial) {
        d->serial = g_strdup_printf("QM%05u", u->serial_number);
    }
}

static bool drive_attach(IdeDrive *d, GError **error)
{
    BlockDeviceConf want = {
        .ops = d->cd ? &cd_block_ops : &hd_block_ops,
        .device = d,
        .read_only = d->cd,
        .needs_write = !d->cd,
        .needs_medium = !d->cd,
        .resizes = !d->cd,
        .handles_errors = true,
    };

    return drive_conf_attach(&d->conf, &d->device, &want, error);
}

/* BIOSes translate what does not fit into their registers. */
static void choose_translation(IdeDrive *d)
{
    if (d->translation == IDE_TRANSLATION_AUTO) {
        d->translation = d->cyls <= 1024 && d->heads <= 16 && d->secs <= 63 ? IDE_TRANSLATION_NONE
                                                                            : IDE_TRANSLATION_LBA;
    }
}

static bool drive_realize(Device *dev, GError **error)
{
    IdeDrive *d = IDE_DRIVE(dev);
    IdeUnit *u = unit_of(d);
    g_autofree char *suffix = g_strdup_printf("/disk@%x", d->unit);
    int64_t length;

    if (!check_block_sizes(d, error) || !drive_attach(d, error)) {
        return false;
    }
    length = front_length(d->conf.front);
    if (!d->cd) {
        if (!drive_conf_geometry(length > 0 ? length / BLOCK_SECTOR : 0, MAX_HEADS, &d->cyls,
                                 &d->heads, &d->secs, error)) {
            drive_conf_detach(&d->conf);
            return false;
        }
        choose_translation(d);
    }
    default_texts(d, u);
    d->write_cache_default = front_write_cache(d->conf.front);
    boot_index_redirect(dev, dev, suffix);
    u->drive = d;
    ide_unit_reset(u);
    return true;
}

static bool hd_realize(Device *dev, GError **error)
{
    if (!IDE_DRIVE(dev)->conf.front) {
        return error_set(error, "No drive specified");
    }
    return drive_realize(dev, error);
}

static bool cd_realize(Device *dev, GError **error)
{
    IdeDrive *d = IDE_DRIVE(dev);

    d->cd = true;
    if (!d->conf.front) {
        d->conf.front = front_new(NULL, error);
        if (!d->conf.front) {
            return false;
        }
    }
    return drive_realize(dev, error);
}

static void drive_unrealize(Device *dev)
{
    IdeDrive *d = IDE_DRIVE(dev);
    IdeUnit *u = unit_of(d);

    ide_cancel(u);
    ide_settle(u->bus);
    drive_conf_detach(&d->conf);
    u->drive = NULL;
    ide_unit_reset(u);
}

/*
 * ---- migration notes ----
 *
 * All state is the unit's, and in the controller's section: vmstate.c. Which medium it is, and the properties
 * here, both sides know from their command lines.
 */

/* ---- properties, registration ------------------------------------------------------------------------------ */

static void drive_init(Object *obj)
{
    IDE_DRIVE(obj)->conf.bootindex = -1;
}

static const PropertyEnum translations[] = {
    { "BiosAtaTranslation", "auto", IDE_TRANSLATION_AUTO },
    { NULL, "none", IDE_TRANSLATION_NONE },
    { NULL, "lba", IDE_TRANSLATION_LBA },
    { NULL, "large", IDE_TRANSLATION_LARGE },
    { NULL, "rechs", IDE_TRANSLATION_RECHS },
    { NULL, NULL, 0 },
};

const DeviceType ide_drive_type = {
    .object = {
        .name = "ide-device",
        .parent = &device_type.object,
        .size = sizeof(IdeDrive),
        .abstract = true,
        .init = drive_init,
    },
    .bus = &ide_bus_type,
    .category = DEVICE_CATEGORY_STORAGE,
    .not_hotpluggable = true,
    .unrealize = drive_unrealize,
    .migration = SAVED_BY_PARENT("the controller's section has the units"),
};
DEVICE_REGISTER(ide_drive_type)

/* In stock's order, which info qtree shows. */
/* clang-format off */
#define COMMON_PROPERTIES                                                                          \
    DRIVE_PROPERTY_DRIVE(IdeDrive, conf), DRIVE_PROPERTIES_BASE(IdeDrive, conf),                   \
    DRIVE_PROPERTIES_ERROR(IdeDrive, conf), DRIVE_PROPERTY_BOOTINDEX(IdeDrive, conf),              \
    PROPERTY_STRING("ver", IdeDrive, ver, NULL),                                                   \
    PROPERTY_UINT64("wwn", IdeDrive, wwn, "0", NULL),                                              \
    PROPERTY_STRING("serial", IdeDrive, serial, NULL),                                             \
    PROPERTY_STRING("model", IdeDrive, model, NULL)
#define PROPERTY_UNIT PROPERTY_UINT32("unit", IdeDrive, unit, "4294967295", NULL)

static const Property hd_properties[] = {
    COMMON_PROPERTIES,
    PROPERTY_UINT32("cyls", IdeDrive, cyls, "0", NULL),
    PROPERTY_UINT32("heads", IdeDrive, heads, "0", NULL),
    PROPERTY_UINT32("secs", IdeDrive, secs, "0", NULL),
    PROPERTY_UINT32("lcyls", IdeDrive, lcyls, "0", NULL),
    PROPERTY_UINT32("lheads", IdeDrive, lheads, "0", NULL),
    PROPERTY_UINT32("lsecs", IdeDrive, lsecs, "0", NULL),
    PROPERTY_ENUM("bios-chs-trans", IdeDrive, translation, translations, "auto",
                  "Logical CHS translation algorithm, auto/none/lba/large/rechs"),
    PROPERTY_UINT16("rotation_rate", IdeDrive, rotation_rate, "0", NULL),
    PROPERTY_UNIT,
    { .name = NULL },
};

static const Property cd_properties[] = {
    COMMON_PROPERTIES,
    PROPERTY_UNIT,
    { .name = NULL },
};
/* clang-format on */

static const DeviceType ide_hd_type = {
    .object = {
        .name = "ide-hd",
        .parent = &ide_drive_type.object,
        .size = sizeof(IdeDrive),
        .description = "virtual IDE disk",
        .properties = hd_properties,
    },
    .realize = hd_realize,
    .migration = SAVED_BY_PARENT("the controller's section has the units"),
};
DEVICE_REGISTER(ide_hd_type)

static const DeviceType ide_cd_type = {
    .object = {
        .name = "ide-cd",
        .parent = &ide_drive_type.object,
        .size = sizeof(IdeDrive),
        .description = "virtual IDE CD-ROM",
        .properties = cd_properties,
    },
    .realize = cd_realize,
    .migration = SAVED_BY_PARENT("the controller's section has the units"),
};
DEVICE_REGISTER(ide_cd_type)
