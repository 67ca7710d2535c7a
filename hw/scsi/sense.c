/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sense data (SPC-4 4.5), lengths and names of commands. */
#include "util/osdep.h"
#include "hw/scsi/scsi.h"

enum {
    NO_SENSE = 0x0,
    NOT_READY = 0x2,
    MEDIUM_ERROR = 0x3,
    HARDWARE_ERROR = 0x4,
    ILLEGAL_REQUEST = 0x5,
    UNIT_ATTENTION = 0x6,
    DATA_PROTECT = 0x7,
    ABORTED_COMMAND = 0xb,
    MISCOMPARE = 0xe,
};

#define SENSE(name, key, asc, ascq) const ScsiSense scsi_sense_##name = { key, asc, ascq }
SENSE(none, NO_SENSE, 0x00, 0x00);
SENSE(not_ready_no_medium, NOT_READY, 0x3a, 0x00);
SENSE(not_ready_tray_open, NOT_READY, 0x3a, 0x02);
SENSE(not_ready_removal_prevented, NOT_READY, 0x53, 0x02);
SENSE(not_ready_needs_start, NOT_READY, 0x04, 0x02);
SENSE(medium_read_error, MEDIUM_ERROR, 0x11, 0x00);
SENSE(medium_write_error, MEDIUM_ERROR, 0x0c, 0x00);
SENSE(target_failure, HARDWARE_ERROR, 0x44, 0x00);
SENSE(illegal_opcode, ILLEGAL_REQUEST, 0x20, 0x00);
SENSE(lba_out_of_range, ILLEGAL_REQUEST, 0x21, 0x00);
SENSE(invalid_field, ILLEGAL_REQUEST, 0x24, 0x00);
SENSE(invalid_lun, ILLEGAL_REQUEST, 0x25, 0x00);
SENSE(invalid_parameter, ILLEGAL_REQUEST, 0x26, 0x00);
SENSE(invalid_parameter_value, ILLEGAL_REQUEST, 0x26, 0x02);
SENSE(parameter_length, ILLEGAL_REQUEST, 0x1a, 0x00);
SENSE(incompatible_format, ILLEGAL_REQUEST, 0x30, 0x00);
SENSE(removal_prevented, ILLEGAL_REQUEST, 0x53, 0x02);
SENSE(saving_unsupported, ILLEGAL_REQUEST, 0x39, 0x00);
SENSE(medium_changed, UNIT_ATTENTION, 0x28, 0x00);
SENSE(power_on, UNIT_ATTENTION, 0x29, 0x00);
SENSE(reset, UNIT_ATTENTION, 0x29, 0x00);
SENSE(no_medium_attention, UNIT_ATTENTION, 0x3a, 0x00);
SENSE(capacity_changed, UNIT_ATTENTION, 0x2a, 0x09);
SENSE(mode_changed, UNIT_ATTENTION, 0x2a, 0x01);
SENSE(luns_changed, UNIT_ATTENTION, 0x3f, 0x0e);
SENSE(removal_requested, UNIT_ATTENTION, 0x5a, 0x01);
SENSE(write_protected, DATA_PROTECT, 0x27, 0x00);
SENSE(space_alloc_failed, DATA_PROTECT, 0x27, 0x07);
SENSE(io_error, ABORTED_COMMAND, 0x00, 0x06);
SENSE(aborted, ABORTED_COMMAND, 0x00, 0x00);
SENSE(data_phase, ABORTED_COMMAND, 0x4b, 0x00);
SENSE(lun_comm_failure, ABORTED_COMMAND, 0x08, 0x00);
SENSE(miscompare, MISCOMPARE, 0x1d, 0x00);

unsigned scsi_sense_build(uint8_t buf[SCSI_SENSE_MAX], ScsiSense sense, bool fixed)
{
    memset(buf, 0, SCSI_SENSE_MAX);
    if (!fixed) {
        buf[0] = 0x72; /* current, descriptor format */
        buf[1] = sense.key;
        buf[2] = sense.asc;
        buf[3] = sense.ascq;
        return 8;
    }
    buf[0] = 0x70; /* current, fixed format */
    buf[2] = sense.key;
    buf[7] = 10; /* additional length */
    buf[12] = sense.asc;
    buf[13] = sense.ascq;
    return 18;
}

ScsiSense scsi_sense_parse(const uint8_t *buf, unsigned len)
{
    ScsiSense sense = scsi_sense_none;
    if (len >= 14 && (buf[0] & 0x7e) == 0x70) {
        sense = (ScsiSense){ buf[2] & 0x0f, buf[12], buf[13] };
    } else if (len >= 4 && (buf[0] & 0x7e) == 0x72) {
        sense = (ScsiSense){ buf[1] & 0x0f, buf[2], buf[3] };
    }
    return sense;
}

unsigned scsi_cdb_length(uint8_t opcode)
{
    switch (opcode >> 5) {
    case 0:
        return 6;
    case 1:
    case 2:
        return 10;
    case 4:
        return 16;
    case 5:
        return 12;
    default:
        return 0;
    }
}

static const char *const command_names[256] = {
    [0x00] = "TEST UNIT READY",
    [0x01] = "REZERO UNIT",
    [0x03] = "REQUEST SENSE",
    [0x04] = "FORMAT UNIT",
    [0x08] = "READ(6)",
    [0x0a] = "WRITE(6)",
    [0x0b] = "SEEK(6)",
    [0x12] = "INQUIRY",
    [0x15] = "MODE SELECT(6)",
    [0x16] = "RESERVE(6)",
    [0x17] = "RELEASE(6)",
    [0x1a] = "MODE SENSE(6)",
    [0x1b] = "START STOP UNIT",
    [0x1d] = "SEND DIAGNOSTIC",
    [0x1e] = "PREVENT ALLOW MEDIUM REMOVAL",
    [0x23] = "READ FORMAT CAPACITIES",
    [0x25] = "READ CAPACITY(10)",
    [0x28] = "READ(10)",
    [0x2a] = "WRITE(10)",
    [0x2b] = "SEEK(10)",
    [0x2e] = "WRITE AND VERIFY(10)",
    [0x2f] = "VERIFY(10)",
    [0x34] = "PRE-FETCH(10)",
    [0x35] = "SYNCHRONIZE CACHE(10)",
    [0x41] = "WRITE SAME(10)",
    [0x42] = "UNMAP",
    [0x43] = "READ TOC/PMA/ATIP",
    [0x46] = "GET CONFIGURATION",
    [0x4a] = "GET EVENT STATUS NOTIFICATION",
    [0x51] = "READ DISC INFORMATION",
    [0x52] = "READ TRACK INFORMATION",
    [0x55] = "MODE SELECT(10)",
    [0x56] = "RESERVE(10)",
    [0x57] = "RELEASE(10)",
    [0x5a] = "MODE SENSE(10)",
    [0x88] = "READ(16)",
    [0x8a] = "WRITE(16)",
    [0x8e] = "WRITE AND VERIFY(16)",
    [0x8f] = "VERIFY(16)",
    [0x91] = "SYNCHRONIZE CACHE(16)",
    [0x93] = "WRITE SAME(16)",
    [0x9e] = "SERVICE ACTION IN(16)",
    [0xa0] = "REPORT LUNS",
    [0xa8] = "READ(12)",
    [0xaa] = "WRITE(12)",
    [0xac] = "GET PERFORMANCE",
    [0xad] = "READ DISC STRUCTURE",
    [0xae] = "WRITE AND VERIFY(12)",
    [0xaf] = "VERIFY(12)",
    [0xb6] = "SET STREAMING",
    [0xbb] = "SET CD SPEED",
    [0xbd] = "MECHANISM STATUS",
    [0xbe] = "READ CD",
};

const char *scsi_command_name(uint8_t opcode)
{
    static char unnamed[256][5];
    if (command_names[opcode]) {
        return command_names[opcode];
    }
    if (!unnamed[opcode][0]) {
        static const char digits[] = "0123456789abcdef";
        memcpy(unnamed[opcode], "0x", 2);
        unnamed[opcode][2] = digits[opcode >> 4];
        unnamed[opcode][3] = digits[opcode & 15];
    }
    return unnamed[opcode];
}
