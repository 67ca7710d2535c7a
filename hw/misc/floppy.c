/* SPDX-License-Identifier: GPL-2.0-or-later */
/* floppy: a drive of the floppy controller, and the formats of media, which follow from an image's size. */
#include "util/osdep.h"
#include "fdc-private.h"

#include "util/error.h"

enum { RATE_500K = 0, RATE_300K = 1, RATE_250K = 2, RATE_1M = 3 };

typedef struct Format {
    FloppyType drive; /* made for it */
    uint8_t last_sect, tracks, heads, rate;
} Format;

/* The first of a drive's is what it takes an image of another size for. */
static const Format formats[] = {
    { FLOPPY_144, 18, 80, 2, RATE_500K }, { FLOPPY_144, 20, 80, 2, RATE_500K },
    { FLOPPY_144, 21, 80, 2, RATE_500K }, { FLOPPY_144, 21, 82, 2, RATE_500K },
    { FLOPPY_144, 21, 83, 2, RATE_500K }, { FLOPPY_144, 22, 80, 2, RATE_500K },
    { FLOPPY_144, 23, 80, 2, RATE_500K }, { FLOPPY_144, 24, 80, 2, RATE_500K },
    { FLOPPY_288, 36, 80, 2, RATE_1M },   { FLOPPY_288, 39, 80, 2, RATE_1M },
    { FLOPPY_288, 40, 80, 2, RATE_1M },   { FLOPPY_288, 44, 80, 2, RATE_1M },
    { FLOPPY_288, 48, 80, 2, RATE_1M },   { FLOPPY_144, 9, 80, 2, RATE_250K },
    { FLOPPY_144, 10, 80, 2, RATE_250K }, { FLOPPY_144, 10, 82, 2, RATE_250K },
    { FLOPPY_144, 10, 83, 2, RATE_250K }, { FLOPPY_144, 13, 80, 2, RATE_250K },
    { FLOPPY_144, 14, 80, 2, RATE_250K }, { FLOPPY_120, 15, 80, 2, RATE_500K },
    { FLOPPY_120, 18, 80, 2, RATE_500K }, { FLOPPY_120, 18, 82, 2, RATE_500K },
    { FLOPPY_120, 18, 83, 2, RATE_500K }, { FLOPPY_120, 20, 80, 2, RATE_500K },
    { FLOPPY_120, 9, 80, 2, RATE_300K },  { FLOPPY_120, 11, 80, 2, RATE_300K },
    { FLOPPY_120, 9, 40, 2, RATE_300K },  { FLOPPY_120, 9, 40, 1, RATE_300K },
    { FLOPPY_120, 10, 41, 2, RATE_300K }, { FLOPPY_120, 10, 42, 2, RATE_300K },
    { FLOPPY_120, 8, 40, 2, RATE_250K },  { FLOPPY_120, 8, 40, 1, RATE_250K },
    { FLOPPY_144, 9, 40, 2, RATE_300K },  { FLOPPY_144, 9, 40, 1, RATE_300K },
};

const PropertyEnum floppy_types[] = {
    { "FdcDriveType", "144", FLOPPY_144 }, { NULL, "288", FLOPPY_288 },
    { NULL, "120", FLOPPY_120 },           { NULL, "none", FLOPPY_NONE },
    { NULL, "auto", FLOPPY_AUTO },         { NULL, NULL, 0 },
};

/* ---- formats ------------------------------------------------------------------------------------------------- */

static uint64_t sectors_of(const Format *f)
{
    return (uint64_t)f->last_sect * f->tracks * f->heads;
}

/* A drive of 2.88 MB takes what one of 1.44 MB does. */
static bool drive_takes(FloppyType drive, const Format *f)
{
    return f->drive == drive || drive == FLOPPY_AUTO ||
           (drive == FLOPPY_288 && f->drive == FLOPPY_144);
}

/* Of a medium of so many sectors in a drive of that type. */
static const Format *find_format(FloppyType drive, uint64_t sectors)
{
    const Format *first = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (!drive_takes(drive, &formats[i])) {
            continue;
        }
        if (sectors_of(&formats[i]) == sectors) {
            return &formats[i];
        }
        if (!first && (formats[i].drive == drive || drive == FLOPPY_AUTO)) {
            first = &formats[i];
        }
    }
    return first;
}

bool floppy_has_medium(const FdcPlace *p)
{
    return p->drive && p->type != FLOPPY_NONE && front_is_inserted(p->drive->conf.front);
}

void floppy_revalidate(FdcPlace *p)
{
    const Format *f;
    int64_t length;

    p->last_sect = p->max_track = p->heads = 0;
    p->read_only = !p->drive;
    p->media_rate = 0;
    if (!p->drive) {
        p->read_only = true;
        return;
    }
    length = front_length(p->drive->conf.front);
    if (!floppy_has_medium(p) || length <= 0) {
        p->read_only = true;
        return;
    }
    f = find_format(p->type, length / FDC_SECTOR);
    p->last_sect = f->last_sect;
    p->max_track = f->tracks - 1;
    p->heads = f->heads;
    p->media_rate = f->rate;
    p->read_only = front_is_read_only(p->drive->conf.front);
}

FloppyType floppy_type_of_medium(BlockFront *front)
{
    int64_t length = front_is_inserted(front) ? front_length(front) : -1;

    return length > 0 ? find_format(FLOPPY_AUTO, length / FDC_SECTOR)->drive : FLOPPY_AUTO;
}

/* ---- medium ----------------------------------------------------------------------------------------------------- */

static FdcPlace *place_of(FloppyDrive *d)
{
    return &((FloppyBus *)d->device.bus)->fdc->places[d->unit];
}

static bool change_media(void *opaque, bool load, GError **error)
{
    FdcPlace *p = place_of(opaque);

    p->media_changed = 1;
    floppy_revalidate(p);
    return true;
}

static const BlockDeviceOps block_ops = {
    .removable = true,
    .change_media = change_media,
};

/* ---- realize ------------------------------------------------------------------------------------------------------ */

static bool check_address(Bus *bus, Device *dev, GError **error)
{
    FloppyDrive *d = FLOPPY_DRIVE(dev);
    Fdc *s = ((FloppyBus *)bus)->fdc;

    if (d->unit == UINT32_MAX) {
        for (d->unit = 0; d->unit < FDC_DRIVES && s->places[d->unit].drive; d->unit++) {
        }
    }
    if (d->unit >= FDC_DRIVES) {
        return error_set(error, "Can't create floppy unit %u, bus supports only %d units", d->unit,
                         FDC_DRIVES);
    }
    if (s->places[d->unit].drive) {
        return error_set(error, "Floppy unit %u is in use", d->unit);
    }
    return true;
}

static bool floppy_realize(Device *dev, GError **error)
{
    FloppyDrive *d = FLOPPY_DRIVE(dev);
    Fdc *s = ((FloppyBus *)dev->bus)->fdc;
    FdcPlace *p = place_of(d);
    BlockDeviceConf want = { .ops = &block_ops, .device = d };

    if (!d->conf.front) {
        d->conf.front = front_new(NULL, error);
        if (!d->conf.front) {
            return false;
        }
    }
    if (!drive_conf_block_sizes(&d->conf, error)) {
        return false;
    }
    if (d->conf.logical_block_size != FDC_SECTOR || d->conf.physical_block_size != FDC_SECTOR) {
        return error_set(error, "Physical and logical block size must be 512 for floppy");
    }
    want.read_only = front_is_inserted(d->conf.front) && front_is_read_only(d->conf.front);
    if (!drive_conf_attach(&d->conf, dev, &want, error)) {
        return false;
    }
    if (d->type == FLOPPY_AUTO) {
        d->type = floppy_type_of_medium(d->conf.front);
    }
    if (d->type == FLOPPY_AUTO) {
        d->type = s->fallback == FLOPPY_AUTO ? FLOPPY_288 : s->fallback;
    }
    p->drive = d;
    p->type = d->type;
    p->sect = 1;
    p->media_changed = 1;
    floppy_revalidate(p);
    if (d->unit == 1) {
        s->sra &= ~0x40;
    }
    return true;
}

static void floppy_unrealize(Device *dev)
{
    FloppyDrive *d = FLOPPY_DRIVE(dev);
    FdcPlace *p = place_of(d);

    fdc_cancel(((FloppyBus *)dev->bus)->fdc);
    fdc_settle(((FloppyBus *)dev->bus)->fdc);
    drive_conf_detach(&d->conf);
    p->drive = NULL;
    floppy_revalidate(p);
}

/* ---- registration ---------------------------------------------------------------------------------------------------- */

const BusType floppy_bus_type = {
    .object = {
        .name = "floppy-bus",
        .parent = &bus_type.object,
        .size = sizeof(FloppyBus),
    },
    .check_address = check_address,
};
BUS_REGISTER(floppy_bus_type)

static void floppy_init(Object *obj)
{
    FLOPPY_DRIVE(obj)->conf.rerror = FLOPPY_DRIVE(obj)->conf.werror = BLOCKDEV_ON_ERROR_AUTO;
}

static const DeviceType floppy_type = {
    .object = {
        .name = "floppy",
        .parent = &device_type.object,
        .size = sizeof(FloppyDrive),
        .description = "virtual floppy drive",
        .init = floppy_init,
        .properties = (const Property[]){
            PROPERTY_UINT32("unit", FloppyDrive, unit, "4294967295", NULL),
            DRIVE_PROPERTY_DRIVE(FloppyDrive, conf),
            DRIVE_PROPERTIES_BASE(FloppyDrive, conf),
            PROPERTY_ENUM("drive-type", FloppyDrive, type, floppy_types, "auto", "FDC drive type, 144/288/120/none/auto"),
            {}
        },
    },
    .bus = &floppy_bus_type,
    .category = DEVICE_CATEGORY_STORAGE,
    .not_hotpluggable = true,
    .realize = floppy_realize,
    .unrealize = floppy_unrealize,
    .migration = SAVED_BY_PARENT("the controller's section has the places"),
};
DEVICE_REGISTER(floppy_type);
