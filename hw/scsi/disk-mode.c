/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MODE SENSE and MODE SELECT (SPC-4 6.11 to 6.14), with the pages of SPC-4 7.5, SBC-3 6.4 and MMC-6
 * 7.
 *
 * Migration notes. The only thing that MODE SELECT can change is WCE, the guest's write cache. It
 * travels in the subsection "scsi-disk/write-cache" when it is not what the drive started with.
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"

#define MAX_PAGE 64
#define WCE 0x04

enum { PC_CURRENT = 0, PC_CHANGEABLE = 1, PC_DEFAULT = 2, PC_SAVED = 3 };

/* ---- pages ----------------------------------------------------------------------------------- */

/* Each fills p (zeroed) with the page behind its header of 2 bytes: present values, or a mask of
 * what can be changed. */

static void page_error_recovery(ScsiDisk *s, uint8_t *p, bool mask)
{
    if (s->scsi.type == SCSI_TYPE_CDROM) {
        p[0] = 0x80;
        p[1] = mask ? 0 : 0x20; /* retries */
    } else {
        p[0] = mask ? 0 : 0x80; /* automatic write reallocation */
    }
}

static void page_rigid_geometry(ScsiDisk *s, uint8_t *p, bool mask)
{
    if (mask) {
        return;
    }
    store_be24(p, s->cyls);
    p[3] = s->heads;
    store_be24(p + 4, s->cyls);   /* write precompensation */
    store_be24(p + 7, s->cyls);   /* reduced write current */
    store_be16(p + 10, 200);      /* step rate, 100 ns */
    store_be24(p + 12, 0xffffff); /* landing zone */
    store_be16(p + 18, 5400);     /* rpm */
}

static void page_flexible_disk(ScsiDisk *s, uint8_t *p, bool mask)
{
    if (mask) {
        return;
    }
    store_be16(p, 5000); /* kbit/s */
    p[2] = s->heads;
    p[3] = s->secs;
    store_be16(p + 4, s->scsi.block_size);
    store_be16(p + 6, s->cyls);
    store_be16(p + 8, s->cyls);
    store_be16(p + 10, s->cyls);
    store_be16(p + 12, 1); /* step rate */
    p[14] = 1;             /* step width */
    store_be16(p + 15, 1); /* head settle */
    p[17] = 1;             /* motor on */
    p[18] = 1;             /* motor off */
    store_be16(p + 26, 5400);
}

static void page_caching(ScsiDisk *s, uint8_t *p, bool mask)
{
    p[0] = mask || (s->conf.front && front_write_cache(s->conf.front)) ? WCE : 0;
}

static void page_audio_control(ScsiDisk *s, uint8_t *p, bool mask)
{
}

static void page_capabilities(ScsiDisk *s, uint8_t *p, bool mask)
{
    if (mask) {
        return;
    }
    p[0] = 0x3b; /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
    p[2] = 0x7f; /* audio, composite, digital out, mode 2 form 1 and 2, multi session */
    p[3] = 0xff; /* CD-DA, accurate stream, R-W, C2, ISRC, UPC, bar code */
    p[4] = 0x2d | (s->tray_locked ? 2 : 0); /* tray; can lock, can eject, prevented by jumper */
    store_be16(p + 6, 50 * 176);            /* fastest read speed, kB/s */
    store_be16(p + 8, 2);                   /* volume levels */
    store_be16(p + 10, 2048);               /* buffer, KiB */
    store_be16(p + 12, 16 * 176);           /* present read speed */
    store_be16(p + 16, 16 * 176);           /* fastest write speed */
    store_be16(p + 18, 16 * 176);           /* present write speed */
}

/* What Macintosh drivers want to see of a drive (the quirk_ properties). */
static void page_vendor_specific(ScsiDisk *s, uint8_t *p, bool mask)
{
    if (mask) {
        store_be16(p, 0xffff);
    }
}

static void page_apple_vendor(ScsiDisk *s, uint8_t *p, bool mask)
{
    if (!mask) {
        memcpy(p + 8, "APPLE COMPUTER, INC   ", 22);
    }
}

static bool has_vendor_specific(const ScsiDisk *s)
{
    return s->quirk_vendor_specific_apple;
}

static bool has_apple_vendor(const ScsiDisk *s)
{
    return s->quirk_apple_vendor;
}

typedef struct ModePage {
    uint8_t code, len;
    uint8_t types;
    void (*fill)(ScsiDisk *s, uint8_t *p, bool mask);
    bool (*present)(const ScsiDisk *s); /* NULL: yes */
} ModePage;

/* clang-format off */
static const ModePage pages[] = {
    { 0x00, 2, COMMAND_HD, page_vendor_specific, has_vendor_specific },
    { 0x01, 10, COMMAND_ANY, page_error_recovery },
    { 0x04, 22, COMMAND_HD, page_rigid_geometry },
    { 0x05, 30, COMMAND_HD, page_flexible_disk },
    { 0x08, 18, COMMAND_ANY, page_caching },
    { 0x0e, 14, COMMAND_CD, page_audio_control },
    { 0x2a, 20, COMMAND_CD, page_capabilities },
    { 0x30, 30, COMMAND_CD, page_apple_vendor, has_apple_vendor },
};
/* clang-format on */

static const ModePage *find_page(const ScsiDisk *s, uint8_t code)
{
    uint8_t type = s->scsi.type == SCSI_TYPE_CDROM ? COMMAND_CD : COMMAND_HD;
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (pages[i].code == code && pages[i].types & type &&
            (!pages[i].present || pages[i].present(s))) {
            return &pages[i];
        }
    }
    return NULL;
}

/* Returns the bytes of the page with its header. */
static unsigned put_page(ScsiDisk *s, const ModePage *page, uint8_t *p, bool mask)
{
    p[0] = page->code;
    p[1] = page->len;
    page->fill(s, p + 2, mask);
    return 2 + page->len;
}

/* ---- MODE SENSE ------------------------------------------------------------------------------ */

/* SBC-3 6.4.2.2, short form. */
static unsigned put_block_descriptor(ScsiDisk *s, uint8_t *p)
{
    uint64_t blocks = disk_blocks(s);
    if (!blocks) {
        return 0;
    }
    store_be24(p + 1, blocks > 0xffffff ? 0 : blocks);
    store_be24(p + 5, s->scsi.block_size);
    return 8;
}

static uint8_t device_specific(ScsiDisk *s)
{
    if (s->scsi.type != SCSI_TYPE_DISK) {
        return 0;
    }
    return (s->dpofua ? 0x10 : 0) | (front_is_read_only(s->conf.front) ? 0x80 : 0);
}

bool disk_mode_sense(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    bool six = cdb[0] == SCSI_OP_MODE_SENSE_6;
    uint8_t code = cdb[2] & 0x3f;
    uint8_t control = cdb[2] >> 6;
    bool no_descriptor = cdb[1] & 0x08;
    if (control == PC_SAVED) {
        *sense = scsi_sense_saving_unsupported;
        return false;
    }
    unsigned header = six ? 4 : 8;
    unsigned descriptor = 0, n = header;
    bool wants = s->scsi.type == SCSI_TYPE_DISK || s->quirk_rom_use_dbd;
    if (wants && !no_descriptor) {
        descriptor = put_block_descriptor(s, d->buf + n);
        n += descriptor;
    }
    unsigned before = n;
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if ((code == 0x3f || code == pages[i].code) && find_page(s, pages[i].code) == &pages[i]) {
            n += put_page(s, &pages[i], d->buf + n, control == PC_CHANGEABLE);
        }
    }
    if (n == before) {
        *sense = scsi_sense_invalid_field;
        return false;
    }
    if (six) {
        d->buf[0] = n - 1;
        d->buf[2] = device_specific(s);
        d->buf[3] = descriptor;
    } else {
        store_be16(d->buf, n - 2);
        d->buf[3] = device_specific(s);
        store_be16(d->buf + 6, descriptor);
    }
    if (n > d->req.xfer) {
        memset(d->buf + d->req.xfer, 0, n - d->req.xfer);
    }
    return true;
}

/* ---- MODE SELECT ----------------------------------------------------------------------------- */

/* Checks one page of a parameter list of which `left` bytes are there; sets *size to its bytes. */
static bool check_page(ScsiDisk *s, const uint8_t *p, uint32_t left, uint32_t *size,
                       ScsiSense *sense)
{
    uint8_t now[2 + MAX_PAGE] = { 0 }, mask[2 + MAX_PAGE] = { 0 };
    if (left < 2 || left < 2u + p[1]) {
        *sense = scsi_sense_parameter_length;
        return false;
    }
    const ModePage *page = p[0] & 0x40 ? NULL : find_page(s, p[0] & 0x3f);
    *sense = scsi_sense_invalid_parameter;
    if (!page || (p[1] != page->len && !(s->quirk_truncated && p[1] < page->len))) {
        return false;
    }
    put_page(s, page, now, false);
    put_page(s, page, mask, true);
    *size = 2u + p[1];
    for (unsigned i = 2; i < *size; i++) {
        if ((p[i] ^ now[i]) & ~mask[i]) {
            return false;
        }
    }
    return true;
}

/* A block descriptor may say what is (0 blocks: all of them, length 0: as it is); it cannot change
 * the block length of a medium. */
static bool descriptor_fits(ScsiDisk *s, const uint8_t *p, uint32_t len)
{
    uint32_t block = len == 8 ? load_be24(p + 5) : 0;
    return len == 0 || (len == 8 && (!block || block == s->scsi.block_size));
}

void disk_mode_select(DiskRequest *d, const uint8_t *data, uint32_t len)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    bool six = cdb[0] == SCSI_OP_MODE_SELECT_6;
    ScsiSense sense;
    if (!len) {
        scsi_request_complete(&d->req, SCSI_GOOD);
        return;
    }
    if ((cdb[1] & 0x11) != 0x10) { /* page format; not to be saved */
        scsi_request_check_condition(&d->req, scsi_sense_invalid_field);
        return;
    }
    uint32_t header = six ? 4 : 8;
    uint32_t descriptor = len < header ? 0 : six ? data[3] : load_be16(data + 6);
    uint32_t pos = header + descriptor;
    if (len < pos) {
        scsi_request_check_condition(&d->req, scsi_sense_parameter_length);
        return;
    }
    if (!descriptor_fits(s, data + header, descriptor)) {
        scsi_request_check_condition(&d->req, scsi_sense_invalid_parameter);
        return;
    }
    int write_cache = -1;
    for (uint32_t size = 0; pos < len; pos += size) {
        if (!check_page(s, data + pos, len - pos, &size, &sense)) {
            scsi_request_check_condition(&d->req, sense);
            return;
        }
        if ((data[pos] & 0x3f) == 0x08 && size > 2) {
            write_cache = data[pos + 2] & WCE ? 1 : 0;
        }
    }
    if (write_cache < 0 || !s->conf.front) {
        scsi_request_complete(&d->req, SCSI_GOOD);
        return;
    }
    front_set_write_cache(s->conf.front, write_cache);
    if (write_cache || !front_is_inserted(s->conf.front)) {
        scsi_request_complete(&d->req, SCSI_GOOD);
    } else {
        disk_flush_then_complete(d); /* what the cache held is on the medium when this ends */
    }
}
