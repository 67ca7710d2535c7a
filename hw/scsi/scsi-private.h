/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of hw/scsi share. */
#ifndef HW_SCSI_SCSI_PRIVATE_H
#define HW_SCSI_SCSI_PRIVATE_H

#include "hw/scsi/scsi.h"

/* Requests that the target answers for its logical units: REPORT LUNS, REQUEST SENSE, LUNs that do
 * not exist. */
extern const ScsiRequestOps scsi_target_request_ops;

/* Opcodes. */
enum {
    SCSI_OP_TEST_UNIT_READY = 0x00,
    SCSI_OP_REQUEST_SENSE = 0x03,
    SCSI_OP_FORMAT_UNIT = 0x04,
    SCSI_OP_READ_6 = 0x08,
    SCSI_OP_WRITE_6 = 0x0a,
    SCSI_OP_INQUIRY = 0x12,
    SCSI_OP_MODE_SELECT_6 = 0x15,
    SCSI_OP_RESERVE_6 = 0x16,
    SCSI_OP_RELEASE_6 = 0x17,
    SCSI_OP_MODE_SENSE_6 = 0x1a,
    SCSI_OP_START_STOP = 0x1b,
    SCSI_OP_SEND_DIAGNOSTIC = 0x1d,
    SCSI_OP_PREVENT_ALLOW = 0x1e,
    SCSI_OP_READ_CAPACITY_10 = 0x25,
    SCSI_OP_READ_10 = 0x28,
    SCSI_OP_WRITE_10 = 0x2a,
    SCSI_OP_SEEK_10 = 0x2b,
    SCSI_OP_WRITE_VERIFY_10 = 0x2e,
    SCSI_OP_VERIFY_10 = 0x2f,
    SCSI_OP_SYNCHRONIZE_CACHE_10 = 0x35,
    SCSI_OP_WRITE_SAME_10 = 0x41,
    SCSI_OP_UNMAP = 0x42,
    SCSI_OP_READ_TOC = 0x43,
    SCSI_OP_GET_CONFIGURATION = 0x46,
    SCSI_OP_GET_EVENT_STATUS = 0x4a,
    SCSI_OP_READ_DISC_INFORMATION = 0x51,
    SCSI_OP_MODE_SELECT_10 = 0x55,
    SCSI_OP_RESERVE_10 = 0x56,
    SCSI_OP_RELEASE_10 = 0x57,
    SCSI_OP_MODE_SENSE_10 = 0x5a,
    SCSI_OP_READ_16 = 0x88,
    SCSI_OP_WRITE_16 = 0x8a,
    SCSI_OP_WRITE_VERIFY_16 = 0x8e,
    SCSI_OP_VERIFY_16 = 0x8f,
    SCSI_OP_SYNCHRONIZE_CACHE_16 = 0x91,
    SCSI_OP_WRITE_SAME_16 = 0x93,
    SCSI_OP_SERVICE_ACTION_IN_16 = 0x9e,
    SCSI_OP_REPORT_LUNS = 0xa0,
    SCSI_OP_READ_12 = 0xa8,
    SCSI_OP_WRITE_12 = 0xaa,
    SCSI_OP_GET_PERFORMANCE = 0xac,
    SCSI_OP_READ_DISC_STRUCTURE = 0xad,
    SCSI_OP_WRITE_VERIFY_12 = 0xae,
    SCSI_OP_VERIFY_12 = 0xaf,
    SCSI_OP_MECHANISM_STATUS = 0xbd,
};

/* Requests that hold an answer of the target; for those with the property on they travel
 * (disk-vmstate.c). */
uint8_t *scsi_target_buffer(ScsiRequest *req, uint32_t *len);
/* The target request `req` arrived with this answer (copied). */
void scsi_target_load_buffer(ScsiRequest *req, const uint8_t *data, uint32_t len);

/* The VM starts: STOPPED and RESTORED requests of dev go on. */
void scsi_device_requests_go_on(ScsiDevice *dev);
/* QUIESCE_BUSY with an error that names the request. */
QuiesceResult scsi_device_requests_can_leave(ScsiDevice *dev, GError **error);

#endif
