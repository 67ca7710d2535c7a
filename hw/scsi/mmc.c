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

#include "hw/scsi/mmc.h"
#include "util/bytes.h"

static MmcProfile profile_of_medium(ScsiDisk *s)
{
    return disk_medium_ready(s) ? mmc_profile(disk_blocks(s)) : MMC_PROFILE_NONE;
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

bool mmc_read_toc(DiskRequest *d, ScsiSense *sense)
{
    const uint8_t *cdb = d->req.cdb;
    uint8_t toc[MMC_TOC_MAX];
    unsigned n = mmc_build_toc(toc, disk_blocks(disk_of(d)), cdb[2] & 0xf, cdb[1] & 2, cdb[6]);

    return n ? answer(d, toc, n) : refuse(sense);
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
        MMC_PROFILE_DVD_ROM,
        profile == MMC_PROFILE_DVD_ROM,
        0,
        0x00,
        MMC_PROFILE_CD_ROM,
        profile == MMC_PROFILE_CD_ROM,
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
    uint8_t information[MMC_DISC_INFORMATION_SIZE];

    if (disk_of(d)->scsi.type != SCSI_TYPE_CDROM || d->req.cdb[1] & 7) {
        return refuse(sense);
    }
    mmc_build_disc_information(information);
    return answer(d, information, sizeof(information));
}

bool mmc_read_disc_structure(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    uint8_t structure[MMC_DISC_STRUCTURE_MAX];
    unsigned n;

    if (s->scsi.type != SCSI_TYPE_CDROM || cdb[1] != 0) { /* media type DVD */
        return refuse(sense);
    }
    if (cdb[7] != 0xff && profile_of_medium(s) != MMC_PROFILE_DVD_ROM) {
        *sense = scsi_sense_incompatible_format;
        return false;
    }
    n = mmc_build_disc_structure(structure, disk_blocks(s), cdb[7], cdb[6]);
    return n ? answer(d, structure, n) : refuse(sense);
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
    return profile_of_medium(s) == MMC_PROFILE_DVD_ROM ? 8 * 1385 : 16 * 176;
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
