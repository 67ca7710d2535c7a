/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INQUIRY: standard data (SPC-4 6.6.2) and vital product data (SPC-4 7.8, SBC-3 6.5). */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"

#define MAX_STANDARD_INQUIRY 256
#define STANDARD_INQUIRY 36
#define MAX_DEVICE_ID (255 - 8)

/* ---- standard data --------------------------------------------------------------------------- */

static void put_text(uint8_t *p, const char *text, size_t len, char fill)
{
    memset(p, fill, len);
    memcpy(p, text, MIN(strlen(text), len));
}

static void standard_inquiry(DiskRequest *d)
{
    ScsiDisk *s = disk_of(d);
    uint8_t *p = d->buf;
    uint32_t alloc = MIN(d->req.xfer, MAX_STANDARD_INQUIRY);
    p[0] = s->scsi.type;
    p[1] = s->removable ? 0x80 : 0;
    p[2] = s->scsi_version;
    p[3] = 2 | 0x10; /* format 2, hierarchical addressing */
    p[4] = alloc > STANDARD_INQUIRY ? alloc - 5 : STANDARD_INQUIRY - 5;
    p[7] = 0x10 | (d->req.bus->ops->tagged_queueing ? 2 : 0);
    put_text(p + 8, s->vendor, 8, ' ');
    put_text(p + 16, s->product, 16, ' ');
    put_text(p + 32, s->ver, 4, 0);
}

/* ---- vital product data ---------------------------------------------------------------------- */

/* Each returns the length of the page behind its header of 4 bytes; -1: there is no such page. */

static int page_supported(ScsiDisk *s, uint8_t *p)
{
    int n = 0;
    p[n++] = 0x00;
    if (s->serial) {
        p[n++] = 0x80;
    }
    p[n++] = 0x83;
    if (s->scsi.type == SCSI_TYPE_DISK) {
        p[n++] = 0xb0;
        p[n++] = 0xb1;
        p[n++] = 0xb2;
    }
    return n;
}

static int page_serial(ScsiDisk *s, uint8_t *p)
{
    if (!s->serial) {
        return -1;
    }
    size_t len = MIN(strlen(s->serial), SCSI_DISK_MAX_SERIAL);
    memcpy(p, s->serial, len);
    return len;
}

/* One designator: code set, association and type, length, value. */
static int designator(uint8_t *p, uint8_t code_set, uint8_t kind, const void *value, size_t len)
{
    p[0] = code_set;
    p[1] = kind;
    p[3] = len;
    memcpy(p + 4, value, len);
    return 4 + len;
}

static int page_identification(ScsiDisk *s, uint8_t *p)
{
    int n = 0;
    uint8_t number[8];
    if (s->device_id) {
        n += designator(p, 2, 0x00, s->device_id, MIN(strlen(s->device_id), MAX_DEVICE_ID));
    }
    if (s->wwn) {
        store_be64(number, s->wwn);
        n += designator(p + n, 1, 0x03, number, 8); /* NAA, of the logical unit */
    }
    if (s->port_wwn) {
        store_be64(number, s->port_wwn);
        n += designator(p + n, 0x61, 0x93, number, 8); /* NAA, of the SAS port */
    }
    if (s->port_index) {
        store_be32(number, s->port_index);
        n += designator(p + n, 0x61, 0x94, number, 4); /* relative target port */
    }
    return n;
}

static int page_block_limits(ScsiDisk *s, uint8_t *p)
{
    if (s->scsi.type != SCSI_TYPE_DISK) {
        return -1;
    }
    uint32_t block = s->scsi.block_size;
    uint64_t max_transfer = MIN(s->max_io_size / block, UINT32_MAX);
    uint8_t *page = p - 4; /* offsets as in the standard */
    page[4] = 1;           /* WRITE SAME of 0 blocks is refused */
    store_be16(page + 6, s->conf.min_io_size / block);
    store_be32(page + 8, max_transfer);
    store_be32(page + 12, MIN(s->conf.opt_io_size / block, max_transfer));
    store_be32(page + 20, MIN(s->max_unmap_size / block, UINT32_MAX));
    store_be32(page + 24, 255); /* descriptors of an UNMAP */
    store_be32(page + 28, s->conf.discard_granularity / block);
    store_be64(page + 36, max_transfer); /* WRITE SAME */
    return 0x3c;
}

static int page_characteristics(ScsiDisk *s, uint8_t *p)
{
    store_be16(p, s->rotation_rate);
    return 0x3c;
}

static int page_provisioning(ScsiDisk *s, uint8_t *p)
{
    p[1] = 0xe0;                                /* UNMAP, WRITE SAME(16) and (10) unmap */
    p[2] = s->conf.discard_granularity ? 2 : 1; /* thin : resource provisioned */
    return 4;
}

static bool vital_product_data(DiskRequest *d, ScsiSense *sense)
{
    static const struct {
        uint8_t page;
        int (*fill)(ScsiDisk *s, uint8_t *p);
    } pages[] = {
        { 0x00, page_supported },    { 0x80, page_serial },          { 0x83, page_identification },
        { 0xb0, page_block_limits }, { 0xb1, page_characteristics }, { 0xb2, page_provisioning },
    };
    ScsiDisk *s = disk_of(d);
    uint8_t page = d->req.cdb[2];
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (pages[i].page != page) {
            continue;
        }
        int len = pages[i].fill(s, d->buf + 4);
        if (len < 0) {
            break;
        }
        d->buf[0] = s->scsi.type;
        d->buf[1] = page;
        store_be16(d->buf + 2, len);
        return true;
    }
    *sense = scsi_sense_invalid_field;
    return false;
}

bool disk_inquiry(DiskRequest *d, ScsiSense *sense)
{
    if (d->req.cdb[1] & 1) {
        return vital_product_data(d, sense);
    }
    if (d->req.cdb[2]) {
        *sense = scsi_sense_invalid_field;
        return false;
    }
    standard_inquiry(d);
    return true;
}
