/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block commands beyond READ and WRITE (SBC-3): READ CAPACITY, VERIFY, SYNCHRONIZE CACHE, UNMAP,
 * WRITE SAME.
 *
 * Migration notes. UNMAP and WRITE SAME that are stopped by an I/O error start over: doing a part
 * twice does not change the result. Their parameter lists travel (disk-vmstate.c).
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"

/* ---- capacity -------------------------------------------------------------------------------- */

bool disk_read_capacity_10(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    if (!(cdb[8] & 1) && load_be32(cdb + 2)) { /* an address without PMI */
        *sense = scsi_sense_invalid_field;
        return false;
    }
    uint64_t blocks = disk_blocks(s);
    if (!blocks) {
        *sense = scsi_sense_not_ready_no_medium;
        return false;
    }
    store_be32(d->buf, MIN(blocks - 1, UINT32_MAX));
    store_be32(d->buf + 4, s->scsi.block_size);
    return true;
}

static unsigned log2_of(uint32_t n)
{
    unsigned bits = 0;
    while (n > 1) {
        n >>= 1;
        bits++;
    }
    return bits;
}

bool disk_service_action_in(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    uint8_t answer[32] = { 0 };
    if ((cdb[1] & 31) != 0x10 ||
        (!(cdb[14] & 1) && load_be64(cdb + 2))) { /* READ CAPACITY(16) only */
        *sense = scsi_sense_invalid_field;
        return false;
    }
    uint64_t blocks = disk_blocks(s);
    if (!blocks) {
        *sense = scsi_sense_not_ready_no_medium;
        return false;
    }
    store_be64(answer, blocks - 1);
    store_be32(answer + 8, s->scsi.block_size);
    if (s->scsi.type == SCSI_TYPE_DISK) {
        answer[13] = log2_of(s->conf.physical_block_size / s->conf.logical_block_size);
    }
    if (s->conf.discard_granularity) {
        answer[14] = 0x80; /* logical block provisioning */
    }
    memcpy(d->buf, answer, MIN(sizeof(answer), d->req.xfer));
    return true;
}

/* ---- VERIFY, SYNCHRONIZE CACHE --------------------------------------------------------------- */

bool disk_verify(DiskRequest *d, ScsiSense *sense)
{
    uint64_t blocks;
    const uint8_t *cdb = d->req.cdb;
    if (cdb[1] >> 1 & 3) { /* comparing with data is not supported */
        *sense = scsi_sense_invalid_field;
        return false;
    }
    switch (cdb[0]) {
    case SCSI_OP_VERIFY_16:
        blocks = load_be32(cdb + 10);
        break;
    case SCSI_OP_VERIFY_12:
        blocks = load_be32(cdb + 6);
        break;
    default:
        blocks = load_be16(cdb + 7);
        break;
    }
    if (blocks && !disk_lba_valid(disk_of(d), d->req.lba, blocks)) {
        *sense = scsi_sense_lba_out_of_range;
        return false;
    }
    return true;
}

static void flushed(void *opaque, int ret)
{
    DiskRequest *d = opaque;
    d->aio = NULL;
    if (!scsi_request_io_done(&d->req) && disk_io_good(d, ret, false)) {
        scsi_request_complete(&d->req, SCSI_GOOD);
    }
}

void disk_flush_then_complete(DiskRequest *d)
{
    d->aio = front_aio_flush(disk_of(d)->conf.front, flushed, d);
}

bool disk_synchronize_cache(DiskRequest *d, ScsiSense *sense)
{
    disk_flush_then_complete(d);
    return true;
}

/* ---- UNMAP (SBC-3 5.28) ---------------------------------------------------------------------- */

static bool check_unmap_list(DiskRequest *d, const uint8_t *data, uint32_t len, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    *sense = scsi_sense_parameter_length;
    if (len < 8 || len < load_be16(data) + 2u) {
        return false;
    }
    uint32_t list = load_be16(data + 2);
    if (list & 15 || len < list + 8) {
        return false;
    }
    if (front_is_read_only(s->conf.front)) {
        *sense = scsi_sense_write_protected;
        return false;
    }
    for (uint32_t i = 0; i < list; i += 16) {
        if (!disk_lba_valid(s, load_be64(data + 8 + i), load_be32(data + 16 + i))) {
            *sense = scsi_sense_lba_out_of_range;
            return false;
        }
    }
    return true;
}

static void unmap_next(DiskRequest *d);

static void unmap_done(void *opaque, int ret)
{
    DiskRequest *d = opaque;
    d->aio = NULL;
    if (!scsi_request_io_done(&d->req) && disk_io_good(d, ret, false)) {
        unmap_next(d);
    }
}

static void unmap_next(DiskRequest *d)
{
    ScsiDisk *s = disk_of(d);
    uint32_t list = load_be16(d->buf + 2);
    while (d->descriptor < list) {
        const uint8_t *p = d->buf + 8 + d->descriptor;
        uint64_t bytes = (uint64_t)load_be32(p + 8) * s->scsi.block_size;
        d->descriptor += 16;
        if (bytes) {
            d->aio = front_aio_discard(s->conf.front, load_be64(p) * s->scsi.block_size, bytes,
                                       unmap_done, d);
            return;
        }
    }
    scsi_request_complete(&d->req, SCSI_GOOD);
}

void disk_unmap(DiskRequest *d, const uint8_t *data, uint32_t len)
{
    ScsiSense sense;
    if (d->req.cdb[1] & 1) { /* ANCHOR */
        scsi_request_check_condition(&d->req, scsi_sense_invalid_field);
    } else if (!len) {
        scsi_request_complete(&d->req, SCSI_GOOD);
    } else if (!check_unmap_list(d, data, len, &sense)) {
        scsi_request_check_condition(&d->req, sense);
    } else {
        d->descriptor = 0;
        unmap_next(d);
    }
}

/* ---- WRITE SAME (SBC-3 5.41) ----------------------------------------------------------------- */

static void write_same_chunk(DiskRequest *d);

static void write_same_done(void *opaque, int ret)
{
    DiskRequest *d = opaque;
    uint64_t done = d->vec.size ? d->vec.size : d->left; /* zeros go in one piece */
    d->aio = NULL;
    if (scsi_request_io_done(&d->req) || !disk_io_good(d, ret, false)) {
        return;
    }
    d->next += done;
    d->left -= done;
    if (d->left) {
        write_same_chunk(d);
    } else {
        scsi_request_complete(&d->req, SCSI_GOOD);
    }
}

/* The pattern, repeated by reference, as often as a chunk has room for it. */
static void write_same_chunk(DiskRequest *d)
{
    ScsiDisk *s = disk_of(d);
    uint64_t bytes = MIN(d->left, MAX(DISK_CHUNK, s->scsi.block_size));
    iovec_reset(&d->vec);
    for (uint64_t i = 0; i < bytes; i += s->scsi.block_size) {
        iovec_add(&d->vec, d->buf, s->scsi.block_size);
    }
    d->aio = front_aio_write(s->conf.front, d->next, &d->vec, 0, write_same_done, d);
}

static bool all_zero(const uint8_t *data, uint32_t len)
{
    return !len || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static bool check_write_same(DiskRequest *d, uint64_t blocks, ScsiSense *sense)
{
    const uint8_t *cdb = d->req.cdb;
    if (!blocks || cdb[1] & 0x16) { /* the whole rest of the disk; ANCHOR, PBDATA, LBDATA */
        *sense = scsi_sense_invalid_field;
        return false;
    }
    if (front_is_read_only(disk_of(d)->conf.front)) {
        *sense = scsi_sense_write_protected;
        return false;
    }
    if (!disk_lba_valid(disk_of(d), d->req.lba, blocks)) {
        *sense = scsi_sense_lba_out_of_range;
        return false;
    }
    return true;
}

void disk_write_same(DiskRequest *d, const uint8_t *data, uint32_t len)
{
    ScsiDisk *s = disk_of(d);
    const uint8_t *cdb = d->req.cdb;
    uint64_t blocks = cdb[0] == SCSI_OP_WRITE_SAME_16 ? load_be32(cdb + 10) : load_be16(cdb + 7);
    ScsiSense sense;
    if (!check_write_same(d, blocks, &sense)) {
        scsi_request_check_condition(&d->req, sense);
        return;
    }
    d->next = d->req.lba * s->scsi.block_size;
    d->left = blocks * s->scsi.block_size;
    iovec_reset(&d->vec);
    if (all_zero(data, len)) {
        d->aio = front_aio_write_zeroes(s->conf.front, d->next, d->left,
                                        cdb[1] & 8 ? BLOCK_MAY_UNMAP : 0, write_same_done, d);
    } else {
        write_same_chunk(d);
    }
}
