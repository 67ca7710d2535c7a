/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which data phase a command descriptor block asks for: direction, length in bytes, first block
 * (SPC-4 6, SBC-3 5, MMC-6 6).
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"

/* READ(6) and WRITE(6) have 21 bits of address, and 0 stands for 256 blocks (SBC-3 5.7). */
static void parse_rw6(ScsiRequest *req)
{
    req->lba = load_be24(req->cdb + 1) & 0x1fffff;
    req->xfer = req->cdb[4] ? req->cdb[4] : 256;
}

static void parse_rw(ScsiRequest *req)
{
    switch (req->cdb[0] >> 5) {
    case 0:
        parse_rw6(req);
        break;
    case 4:
        req->lba = load_be64(req->cdb + 2);
        req->xfer = load_be32(req->cdb + 10);
        break;
    case 5:
        req->lba = load_be32(req->cdb + 2);
        req->xfer = load_be32(req->cdb + 6);
        break;
    default:
        req->lba = load_be32(req->cdb + 2);
        req->xfer = load_be16(req->cdb + 7);
        break;
    }
}

static uint64_t answer_length(const uint8_t *cdb)
{
    switch (cdb[0]) {
    case SCSI_OP_REQUEST_SENSE:
    case SCSI_OP_MODE_SENSE_6:
        return cdb[4];
    case SCSI_OP_INQUIRY:
        return load_be16(cdb + 3);
    case SCSI_OP_READ_CAPACITY_10:
        return 8;
    case SCSI_OP_MODE_SENSE_10:
    case SCSI_OP_READ_TOC:
    case SCSI_OP_GET_CONFIGURATION:
    case SCSI_OP_GET_EVENT_STATUS:
    case SCSI_OP_READ_DISC_INFORMATION:
        return load_be16(cdb + 7);
    case SCSI_OP_READ_DISC_STRUCTURE:
    case SCSI_OP_MECHANISM_STATUS:
        return load_be16(cdb + 8);
    case SCSI_OP_GET_PERFORMANCE:
        return 8 + 16 * (uint64_t)load_be16(cdb + 8); /* header and that many descriptors */
    case SCSI_OP_SERVICE_ACTION_IN_16:
        return load_be32(cdb + 10);
    default:
        return 0;
    }
}

static uint64_t parameter_length(ScsiDevice *dev, ScsiRequest *req)
{
    const uint8_t *cdb = req->cdb;
    switch (cdb[0]) {
    case SCSI_OP_MODE_SELECT_6:
        return cdb[4];
    case SCSI_OP_MODE_SELECT_10:
    case SCSI_OP_UNMAP:
        return load_be16(cdb + 7);
    case SCSI_OP_WRITE_SAME_10:
    case SCSI_OP_WRITE_SAME_16:
        return cdb[1] & 1 ? 0 : dev->block_size; /* NDOB: no data-out buffer */
    case SCSI_OP_VERIFY_10:
    case SCSI_OP_VERIFY_12:
    case SCSI_OP_VERIFY_16:
        return (cdb[1] >> 1 & 3) == 1 ? req->xfer * dev->block_size
               : (cdb[1] >> 1 & 3)    ? dev->block_size
                                      : 0;
    default:
        return 0;
    }
}

bool disk_is_dma(uint8_t opcode)
{
    switch (opcode) {
    case SCSI_OP_READ_6:
    case SCSI_OP_READ_10:
    case SCSI_OP_READ_12:
    case SCSI_OP_READ_16:
    case SCSI_OP_WRITE_6:
    case SCSI_OP_WRITE_10:
    case SCSI_OP_WRITE_12:
    case SCSI_OP_WRITE_16:
    case SCSI_OP_WRITE_VERIFY_10:
    case SCSI_OP_WRITE_VERIFY_12:
    case SCSI_OP_WRITE_VERIFY_16:
        return true;
    default:
        return false;
    }
}

static bool is_read(uint8_t opcode)
{
    return opcode == SCSI_OP_READ_6 || opcode == SCSI_OP_READ_10 || opcode == SCSI_OP_READ_12 ||
           opcode == SCSI_OP_READ_16;
}

bool disk_is_write(uint8_t opcode)
{
    return disk_is_dma(opcode) && !is_read(opcode);
}

bool disk_parse_cdb(ScsiDevice *dev, ScsiRequest *req, ScsiSense *sense)
{
    uint8_t opcode = req->cdb[0];
    req->lba = 0;
    req->xfer = 0;
    req->direction = SCSI_NO_DATA;
    if (!req->cdb_len) { /* vendor specific, or of variable length */
        *sense = scsi_sense_illegal_opcode;
        return false;
    }
    if (disk_is_dma(opcode)) {
        parse_rw(req);
        req->xfer *= dev->block_size;
        req->direction = is_read(opcode) ? SCSI_FROM_DEVICE : SCSI_TO_DEVICE;
    } else {
        uint64_t in = answer_length(req->cdb);
        parse_rw(req); /* LBA and block count, for those that have them */
        uint64_t out = parameter_length(dev, req);
        req->xfer = in ? in : out;
        req->direction = in ? SCSI_FROM_DEVICE : SCSI_TO_DEVICE;
    }
    if (!req->xfer) {
        req->direction = SCSI_NO_DATA;
    }
    /* No adapter moves more in one command; nor do the list entries of a stream (32 bits of
     * 512-byte sectors). */
    if (req->xfer > INT32_MAX && req->direction != SCSI_FROM_DEVICE) {
        *sense = scsi_sense_invalid_field;
        return false;
    }
    if (req->xfer > INT32_MAX && disk_is_dma(opcode)) {
        *sense = scsi_sense_invalid_field;
        return false;
    }
    return true;
}
