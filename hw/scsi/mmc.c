/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of CD and DVD drives (MMC-6). The medium is one session with one data track; more than
 * 80 minutes of it make it a DVD-ROM. A disk gets these commands refused for their fields, not for
 * their opcodes, except READ TOC.
 *
 * Migration notes. Answers depend on the medium and the tray, which the section of the disk holds.
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"

#define CD_BLOCK 2048
#define CD_MAX_BLOCKS (80 * 60 * 75)

enum { PROFILE_NONE = 0x0000, PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010 };

static unsigned profile_of_medium(ScsiDisk *s)
{
    if (!disk_medium_ready(s)) {
        return PROFILE_NONE;
    }
    return disk_blocks(s) > CD_MAX_BLOCKS ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

static bool refuse(ScsiSense *sense)
{
    *sense = scsi_sense_invalid_field;
    return false;
}

/* Copies as much of an answer as the guest has allocated. */
static bool answer(DiskRequest *d, const uint8_t *data, uint32_t len)
{
    memcpy(d->buf, data, MIN(len, d->req.xfer));
    return true;
}

/* ---- READ TOC (6.25) ------------------------------------------------------------------------- */

/* A block address in 4 bytes: binary, or minute, second, frame with the 2 seconds before block 0.
 * */
static void put_address(uint8_t *p, uint64_t lba, bool msf)
{
    if (!msf) {
        store_be32(p, MIN(lba, UINT32_MAX));
        return;
    }
    uint64_t frames = lba + 150;
    p[0] = 0;
    p[1] = frames / 75 / 60;
    p[2] = frames / 75 % 60;
    p[3] = frames % 75;
}

static unsigned put_track(uint8_t *p, uint8_t track, uint8_t control, uint64_t lba, bool msf)
{
    p[1] = control;
    p[2] = track;
    put_address(p + 4, lba, msf);
    return 8;
}

static unsigned formatted_toc(uint8_t *p, uint64_t blocks, bool msf, uint8_t first)
{
    unsigned n = 4;
    if (first <= 1) {
        n += put_track(p + n, 1, 0x14, 0, msf);
    }
    n += put_track(p + n, 0xaa, 0x16, blocks, msf); /* lead-out */
    return n;
}

static unsigned raw_entry(uint8_t *p, uint8_t point)
{
    p[0] = 1;    /* session */
    p[1] = 0x14; /* data track */
    p[3] = point;
    return 11;
}

static unsigned raw_toc(uint8_t *p, uint64_t blocks, bool msf)
{
    unsigned n = 4;
    p[n + 8] = 1; /* first track */
    n += raw_entry(p + n, 0xa0);
    p[n + 8] = 1; /* last track */
    n += raw_entry(p + n, 0xa1);
    put_address(p + n + 7, blocks, msf);
    n += raw_entry(p + n, 0xa2);
    put_address(p + n + 7, 0, msf);
    n += raw_entry(p + n, 1);
    return n;
}

bool mmc_read_toc(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    bool msf = cdb[1] & 2;
    uint8_t first = cdb[6];
    uint8_t toc[64] = { 0, 0, 1, 1 };
    unsigned n;
    switch (cdb[2] & 0xf) {
    case 0:
        if (first > 1 && first != 0xaa) {
            return refuse(sense);
        }
        n = formatted_toc(toc, disk_blocks(s), msf, first);
        break;
    case 1: /* sessions */
        n = 12;
        break;
    case 2:
        n = raw_toc(toc, disk_blocks(s), msf);
        break;
    default:
        return refuse(sense);
    }
    store_be16(toc, n - 2);
    return answer(d, toc, n);
}

/* ---- GET CONFIGURATION (6.5) ----------------------------------------------------------------- */

/* All features, whichever the guest asks to start with. */
bool mmc_get_configuration(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    if (s->scsi.type != SCSI_TYPE_CDROM) {
        return refuse(sense);
    }
    unsigned profile = profile_of_medium(s);
    uint8_t features[40] = {
        [3] = sizeof(features) - 4,
        /* profile list */
        [8] = 0x00,
        0x00,
        0x03,
        8,
        0x00,
        PROFILE_DVD_ROM,
        profile == PROFILE_DVD_ROM,
        0,
        0x00,
        PROFILE_CD_ROM,
        profile == PROFILE_CD_ROM,
        0,
        /* core: SCSI family, device busy events */
        0x00,
        0x01,
        0x0b,
        8,
        0,
        0,
        0,
        1,
        1,
        0,
        0,
        0,
        /* removable medium: tray, ejects, locks */
        0x00,
        0x03,
        0x0b,
        4,
        0x39,
        0,
        0,
        0,
    };
    store_be16(features + 6, profile);
    return answer(d, features, sizeof(features));
}

/* ---- GET EVENT STATUS NOTIFICATION (6.6) ----------------------------------------------------- */

enum {
    CLASS_MEDIA = 4,
    NO_EVENT_AVAILABLE = 0x80,
    EVENT_NONE = 0,
    EVENT_EJECT_REQUEST = 1,
    EVENT_NEW_MEDIA = 2,
    MEDIA_TRAY_OPEN = 1,
    MEDIA_PRESENT = 2,
};

static uint8_t take_media_event(ScsiDisk *s)
{
    if (s->media_event) {
        s->media_event = false;
        return EVENT_NEW_MEDIA;
    }
    if (s->eject_request) {
        s->eject_request = false;
        return EVENT_EJECT_REQUEST;
    }
    return EVENT_NONE;
}

bool mmc_get_event_status(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    uint8_t event[8] = { 0, 0, NO_EVENT_AVAILABLE, 1 << CLASS_MEDIA };
    unsigned n = 4;
    if (s->scsi.type != SCSI_TYPE_CDROM || !(cdb[1] & 1)) { /* polled only */
        return refuse(sense);
    }
    if (cdb[4] & 1 << CLASS_MEDIA) {
        event[1] = 4;
        event[2] = CLASS_MEDIA;
        /* An event that the guest has no room for is not told, hence not lost. */
        event[4] = d->req.xfer > 4 ? take_media_event(s) : EVENT_NONE;
        event[5] = s->tray_open                       ? MEDIA_TRAY_OPEN
                   : front_is_inserted(s->conf.front) ? MEDIA_PRESENT
                                                      : 0;
        n = 8;
    }
    return answer(d, event, n);
}

/* ---- disc information (6.21, 6.22) ----------------------------------------------------------- */

bool mmc_read_disc_information(DiskRequest *d, ScsiSense *sense)
{
    static const uint8_t information[34] = {
        0,    32, 0x0e,    /* last session complete, disc finalised */
        1,    1,  1,    1, /* first track; sessions; first and last track of the last session */
        0x20,              /* unrestricted use */
    };
    if (disk_of(d)->scsi.type != SCSI_TYPE_CDROM || d->req.cdb[1] & 7) {
        return refuse(sense);
    }
    return answer(d, information, sizeof(information));
}

#define DISC_STRUCTURE_MAX (4 + 2048)

static bool physical_format(DiskRequest *d, uint8_t *p, uint8_t layer)
{
    uint64_t last = disk_blocks(disk_of(d)) - 1;
    if (layer) {
        return false;
    }
    p[0] = 0x01; /* DVD-ROM, version 1 */
    p[1] = 0x0f; /* 120 mm, rate not specified */
    p[2] = 0x01; /* one layer, read only */
    store_be32(p + 4, 0);
    store_be32(p + 8, MIN(last, 0xffffff));
    store_be32(p + 12, MIN(last, 0xffffff));
    return true;
}

static bool structure_list(DiskRequest *d)
{
    static const uint8_t list[20] = {
        0,    18,   0,    0,    0x00, 0x40, 0x08, 0x04, /* physical format: readable, length */
        0x01, 0x40, 0x00, 0x08,                         /* copyright */
        0x03, 0x40, 0x00, 0xc0,                         /* burst cutting area */
        0x04, 0x40, 0x08, 0x04,                         /* manufacturer */
    };
    return answer(d, list, sizeof(list));
}

bool mmc_read_disc_structure(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    uint8_t structure[DISC_STRUCTURE_MAX] = { 0 };
    unsigned n;
    if (s->scsi.type != SCSI_TYPE_CDROM || cdb[1] != 0) { /* media type DVD */
        return refuse(sense);
    }
    if (cdb[7] == 0xff) {
        return structure_list(d);
    }
    if (profile_of_medium(s) != PROFILE_DVD_ROM) {
        *sense = scsi_sense_incompatible_format;
        return false;
    }
    switch (cdb[7]) {
    case 0x00:
        if (!physical_format(d, structure + 4, cdb[6])) {
            return refuse(sense);
        }
        n = DISC_STRUCTURE_MAX;
        break;
    case 0x01: /* no copy protection */
        n = 8;
        break;
    case 0x04:
        n = DISC_STRUCTURE_MAX;
        break;
    default:
        return refuse(sense);
    }
    store_be16(structure, n - 2);
    return answer(d, structure, n);
}

/* ---- MECHANISM STATUS (6.10), GET PERFORMANCE (6.8) ------------------------------------------ */

bool mmc_mechanism_status(DiskRequest *d, ScsiSense *sense)
{
    static const uint8_t status[8] = { [5] = 1 /* one slot */ };
    if (disk_of(d)->scsi.type != SCSI_TYPE_CDROM) {
        return refuse(sense);
    }
    return answer(d, status, sizeof(status));
}

/* kB/s that the drive claims: CD 16x, DVD 8x. */
static uint32_t speed_of_medium(ScsiDisk *s)
{
    return profile_of_medium(s) == PROFILE_DVD_ROM ? 8 * 1385 : 16 * 176;
}

bool mmc_get_performance(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    uint8_t performance[24] = { 0 };
    unsigned n = 8;
    uint64_t last = disk_blocks(s) - 1;
    if (cdb[10] == 0x00) { /* nominal performance */
        bool exceptions = cdb[1] & 3, write = cdb[1] & 4;
        performance[4] = write ? 2 : 0;
        if (!exceptions && !write && load_be32(cdb + 2) <= last && load_be16(cdb + 8)) {
            store_be32(performance + 8, load_be32(cdb + 2));
            store_be32(performance + 12, speed_of_medium(s));
            store_be32(performance + 16, MIN(last, UINT32_MAX));
            store_be32(performance + 20, speed_of_medium(s));
            n = 24;
        }
    } else if (cdb[10] != 0x03) { /* write speeds: there are none */
        return refuse(sense);
    }
    store_be32(performance, n - 4);
    return answer(d, performance, n);
}
