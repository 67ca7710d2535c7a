/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a CD drive does for a packet (MMC-6; SFF-8020i for what the commands were called then). Which
 * commands exist and what they answer equals stock's; READ TOC also knows the format field of MMC.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "hw/scsi/mmc.h"
#include "util/bytes.h"

enum {
    SENSE_NOT_READY = 2,
    SENSE_ILLEGAL_REQUEST = 5,
    SENSE_UNIT_ATTENTION = 6,
};

enum {
    ASC_ILLEGAL_OPCODE = 0x20,
    ASC_LBA_OUT_OF_RANGE = 0x21,
    ASC_INVALID_FIELD = 0x24,
    ASC_MEDIUM_CHANGED = 0x28,
    ASC_INCOMPATIBLE_FORMAT = 0x30,
    ASC_SAVING_UNSUPPORTED = 0x39,
    ASC_NO_MEDIUM = 0x3a,
    ASC_REMOVAL_PREVENTED = 0x53,
};

/* Steps of IdeUnit.cdrom_changed. */
enum { CHANGED_NOT = 0, CHANGED_NO_MEDIUM = 1, CHANGED_ATTENTION = 2 };

/* ---- the medium ---------------------------------------------------------------------------------------- */

static BlockFront *front_of(const IdeUnit *u)
{
    return u->drive->conf.front;
}

bool atapi_medium_ready(const IdeUnit *u)
{
    return !u->tray_open && front_is_inserted(front_of(u));
}

uint64_t atapi_blocks(const IdeUnit *u)
{
    int64_t length = front_length(front_of(u));

    return length > 0 ? (uint64_t)length / CD_SECTOR : 0;
}

/* The user opened the tray, or closed it, perhaps on another medium. */
void atapi_change_media(IdeUnit *u, bool load)
{
    u->tray_open = !load;
    u->cdrom_changed = CHANGED_NO_MEDIUM;
    u->event_new_media = load;
    u->event_eject_request = false;
}

static void refuse(IdeUnit *u, uint8_t asc)
{
    atapi_error(u, SENSE_ILLEGAL_REQUEST, asc);
}

static bool range_valid(IdeUnit *u, uint32_t lba, uint32_t count)
{
    uint64_t total = atapi_blocks(u);

    if (lba < total && count <= total - lba) {
        return true;
    }
    refuse(u, ASC_LBA_OUT_OF_RANGE);
    return false;
}

/* ---- commands --------------------------------------------------------------------------------------------- */

static void good(IdeUnit *u)
{
    atapi_ok(u);
}

static void request_sense(IdeUnit *u)
{
    uint8_t *p = u->buffer;

    p[0] = 0xf0; /* valid, fixed format, current */
    p[2] = u->sense_key;
    p[7] = 10;
    p[12] = u->asc;
    atapi_reply(u, 18, u->packet[4]);
}

/* Device identification (SPC-4 7.8.6): the serial number as a vendor's text, the WWN. */
static unsigned identification(IdeUnit *u, uint8_t *p)
{
    unsigned n = 4;

    p[n] = 0x02; /* ASCII */
    p[n + 3] = 20;
    memset(p + n + 4, ' ', 20);
    memcpy(p + n + 4, u->drive->serial, MIN(strlen(u->drive->serial), 20));
    n += 24;
    if (u->drive->wwn) {
        p[n] = 0x01;     /* binary */
        p[n + 1] = 0x03; /* NAA */
        p[n + 3] = 8;
        store_be64(p + n + 4, u->drive->wwn);
        n += 12;
    }
    p[3] = n - 4;
    return n;
}

static void inquiry(IdeUnit *u)
{
    uint8_t *p = u->buffer;
    unsigned max = u->packet[4];

    p[0] = 0x05; /* CD/DVD */
    if (u->packet[1] & 1) {
        p[1] = u->packet[2];
        if (u->packet[2] == 0x00) {
            p[3] = 2;
            p[5] = 0x83;
            atapi_reply(u, 6, max);
        } else if (u->packet[2] == 0x83) {
            atapi_reply(u, identification(u, p), max);
        } else {
            refuse(u, ASC_INVALID_FIELD);
        }
        return;
    }
    p[1] = 0x80; /* removable */
    p[3] = 0x21; /* ATAPI */
    p[4] = 31;
    memcpy(p + 8, "QEMU    QEMU DVD-ROM    ", 24);
    memset(p + 32, ' ', 4);
    memcpy(p + 32, u->drive->ver, MIN(strlen(u->drive->ver), 4));
    atapi_reply(u, 36, max);
}

/* 6.11; pages: error recovery, audio, capabilities. */
static void mode_sense(IdeUnit *u)
{
    static const uint8_t recovery[] = { 0x01, 0x06, 0x00, 0x05, 0, 0, 0, 0 };
    static const uint8_t audio[] = { 0x0e, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0 };
    static const uint8_t capabilities[] = { 0x2a, 0x14, 0x3b, 0x00, 0x71, 0x60, 0x29, 0,
                                            0x02, 0xc0, 0x00, 0x02, 0x02, 0x00, 0x02, 0xc0,
                                            0,    0,    0,    0,    0,    0 };
    const uint8_t *page;
    unsigned n;
    uint8_t *p = u->buffer;

    if (u->packet[2] >> 6 == 3) {
        refuse(u, ASC_SAVING_UNSUPPORTED);
        return;
    }
    switch (u->packet[2]) { /* current values only */
    case 0x01:
        page = recovery;
        n = sizeof(recovery);
        break;
    case 0x0e:
        page = audio;
        n = sizeof(audio);
        break;
    case 0x2a:
        page = capabilities;
        n = sizeof(capabilities);
        break;
    default:
        refuse(u, ASC_INVALID_FIELD);
        return;
    }
    memcpy(p + 8, page, n);
    if (page == capabilities && u->tray_locked) {
        p[14] |= 0x02;
    }
    n += 8;
    store_be16(p, n - 2);
    p[2] = 0x70; /* old medium type: none is said */
    atapi_reply(u, n, load_be16(u->packet + 7));
}

static void read_capacity(IdeUnit *u)
{
    uint64_t blocks = atapi_blocks(u);

    store_be32(u->buffer, MIN(blocks ? blocks - 1 : 0, UINT32_MAX));
    store_be32(u->buffer + 4, CD_SECTOR);
    atapi_reply(u, 8, 8);
}

static void read_toc(IdeUnit *u)
{
    uint8_t format = u->packet[2] & 0xf ? u->packet[2] & 0xf : u->packet[9] >> 6;
    unsigned n = mmc_build_toc(u->buffer, atapi_blocks(u), format, u->packet[1] & 2, u->packet[6]);

    if (n) {
        atapi_reply(u, n, load_be16(u->packet + 7));
    } else {
        refuse(u, ASC_INVALID_FIELD);
    }
}

static void get_configuration(IdeUnit *u)
{
    MmcProfile profile = atapi_medium_ready(u) ? mmc_profile(atapi_blocks(u)) : MMC_PROFILE_NONE;
    uint8_t *p = u->buffer;

    if ((u->packet[1] & 3) == 1 || load_be16(u->packet + 2)) { /* all features or none */
        refuse(u, ASC_INVALID_FIELD);
        return;
    }
    store_be32(p, 20 - 4);
    store_be16(p + 6, profile);
    p[10] = 0x03; /* the profile list: persistent, current */
    p[11] = 8;
    store_be16(p + 12, MMC_PROFILE_DVD_ROM);
    p[14] = profile == MMC_PROFILE_DVD_ROM;
    store_be16(p + 16, MMC_PROFILE_CD_ROM);
    p[18] = profile == MMC_PROFILE_CD_ROM;
    atapi_reply(u, 20, load_be16(u->packet + 7));
}

/* GET EVENT STATUS NOTIFICATION (6.6): media events, polled. */
enum { GESN_MEDIA = 4, GESN_EJECT_REQUEST = 1, GESN_NEW_MEDIA = 2 };

static void get_event_status(IdeUnit *u)
{
    uint8_t *p = u->buffer;
    unsigned max = load_be16(u->packet + 7);

    if (!(u->packet[1] & 1)) {
        refuse(u, ASC_INVALID_FIELD);
        return;
    }
    p[3] = 1 << GESN_MEDIA;
    if (!(u->packet[4] & 1 << GESN_MEDIA)) {
        p[2] = 0x80; /* no event available */
        atapi_reply(u, 4, max);
        return;
    }
    p[1] = 4;
    p[2] = GESN_MEDIA;
    p[4] = u->event_new_media ? GESN_NEW_MEDIA : u->event_eject_request ? GESN_EJECT_REQUEST : 0;
    p[5] = u->tray_open ? 1 : front_is_inserted(front_of(u)) ? 2 : 0;
    atapi_reply(u, 8, max);
}

void atapi_consumed(IdeUnit *u)
{
    /* An event that the guest had no room for has not been told. */
    if (u->packet[0] == 0x4a && u->packet[4] & 1 << GESN_MEDIA && load_be16(u->packet + 7) > 4) {
        if (u->event_new_media) {
            u->event_new_media = false;
        } else {
            u->event_eject_request = false;
        }
    }
}

static void read_disc_information(IdeUnit *u)
{
    if (u->packet[1] & 7) {
        refuse(u, ASC_INVALID_FIELD);
        return;
    }
    mmc_build_disc_information(u->buffer);
    atapi_reply(u, MMC_DISC_INFORMATION_SIZE, load_be16(u->packet + 7));
}

static void read_disc_structure(IdeUnit *u)
{
    uint64_t blocks = atapi_blocks(u);
    unsigned n;

    if (u->packet[7] != 0xff && mmc_profile(blocks) != MMC_PROFILE_DVD_ROM) {
        refuse(u, ASC_INCOMPATIBLE_FORMAT);
        return;
    }
    n = u->packet[1] & 0xf
            ? 0
            : mmc_build_disc_structure(u->buffer, blocks, u->packet[7], u->packet[6]);
    if (n) {
        atapi_reply(u, n, load_be16(u->packet + 8));
    } else {
        refuse(u, ASC_INVALID_FIELD);
    }
}

static void mechanism_status(IdeUnit *u)
{
    u->buffer[5] = 1; /* one slot */
    atapi_reply(u, 8, load_be16(u->packet + 8));
}

static void prevent_removal(IdeUnit *u)
{
    u->tray_locked = u->packet[4] & 1;
    atapi_ok(u);
}

static void start_stop(IdeUnit *u)
{
    bool start = u->packet[4] & 1, loej = u->packet[4] & 2;

    if (u->packet[4] & 0xf0 || !loej) { /* power conditions, the motor */
        atapi_ok(u);
        return;
    }
    if (!start && !u->tray_open && u->tray_locked) {
        atapi_error(u, front_is_inserted(front_of(u)) ? SENSE_NOT_READY : SENSE_ILLEGAL_REQUEST,
                    ASC_REMOVAL_PREVENTED);
        return;
    }
    if (u->tray_open == start) {
        u->tray_open = !start;
        front_tray_moved(front_of(u), u->tray_open);
    }
    atapi_ok(u);
}

static void seek(IdeUnit *u)
{
    if (range_valid(u, load_be32(u->packet + 2), 0)) {
        atapi_ok(u);
    }
}

static void read_sectors(IdeUnit *u, uint32_t lba, uint32_t count, unsigned sector_size)
{
    if (!count) {
        atapi_ok(u);
    } else if (range_valid(u, lba, count)) {
        if (count > INT32_MAX / CD_RAW_SECTOR) {
            refuse(u, ASC_INVALID_FIELD);
            return;
        }
        atapi_read(u, lba, count, sector_size);
    }
}

static void read_10(IdeUnit *u)
{
    read_sectors(u, load_be32(u->packet + 2), load_be16(u->packet + 7), CD_SECTOR);
}

static void read_12(IdeUnit *u)
{
    read_sectors(u, load_be32(u->packet + 2), load_be32(u->packet + 6), CD_SECTOR);
}

/* READ CD (6.19): user data, or all of a mode 1 sector. */
static void read_cd(IdeUnit *u)
{
    uint32_t lba = load_be32(u->packet + 2), count = load_be24(u->packet + 6);

    switch (count ? u->packet[9] & 0xf8 : 0x00) {
    case 0x00: /* nothing */
        atapi_ok(u);
        break;
    case 0x10:
        read_sectors(u, lba, count, CD_SECTOR);
        break;
    case 0xf8:
        read_sectors(u, lba, count, CD_RAW_SECTOR);
        break;
    default:
        refuse(u, ASC_INVALID_FIELD);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

enum {
    NEEDS_MEDIUM = 1 << 0,
    IN_ATTENTION = 1 << 1, /* is done although the guest has not been told of a new medium */
};

typedef struct AtapiCommand {
    uint8_t opcode, flags;
    void (*run)(IdeUnit *u);
} AtapiCommand;

static const AtapiCommand commands[] = {
    { 0x00, NEEDS_MEDIUM, good }, /* TEST UNIT READY */
    { 0x03, IN_ATTENTION, request_sense },
    { 0x12, IN_ATTENTION, inquiry },
    { 0x1b, 0, start_stop },
    { 0x1e, 0, prevent_removal },
    { 0x25, NEEDS_MEDIUM, read_capacity },
    { 0x28, NEEDS_MEDIUM, read_10 },
    { 0x2b, NEEDS_MEDIUM, seek },
    { 0x43, NEEDS_MEDIUM, read_toc },
    { 0x46, IN_ATTENTION, get_configuration },
    { 0x4a, IN_ATTENTION, get_event_status },
    { 0x51, NEEDS_MEDIUM, read_disc_information },
    { 0x5a, 0, mode_sense },
    { 0xa8, NEEDS_MEDIUM, read_12 },
    { 0xad, NEEDS_MEDIUM, read_disc_structure },
    { 0xbb, 0, good }, /* SET CD SPEED */
    { 0xbd, 0, mechanism_status },
    { 0xbe, NEEDS_MEDIUM, read_cd },
};

static const AtapiCommand *find(uint8_t opcode)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].opcode == opcode) {
            return &commands[i];
        }
    }
    return NULL;
}

/* A change of medium is told in two steps, as a drive whose disc was taken out and put back would. */
static bool tells_of_change(IdeUnit *u)
{
    if (!u->cdrom_changed || !atapi_medium_ready(u)) {
        return false;
    }
    if (u->cdrom_changed == CHANGED_NO_MEDIUM) {
        u->cdrom_changed = CHANGED_ATTENTION;
        atapi_error(u, SENSE_NOT_READY, ASC_NO_MEDIUM);
    } else {
        u->cdrom_changed = CHANGED_NOT;
        atapi_error(u, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
    }
    return true;
}

void atapi_execute(IdeUnit *u)
{
    const AtapiCommand *c = find(u->packet[0]);

    u->status = IDE_READY;
    memset(u->buffer, 0, ATAPI_MAX_ANSWER);
    if (!(c && c->flags & IN_ATTENTION) && tells_of_change(u)) {
        return;
    }
    if (!c) {
        refuse(u, ASC_ILLEGAL_OPCODE);
    } else if (c->flags & NEEDS_MEDIUM && !atapi_medium_ready(u)) {
        atapi_error(u, SENSE_NOT_READY, ASC_NO_MEDIUM);
    } else {
        c->run(u);
    }
}
