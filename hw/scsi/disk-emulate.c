/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Emulated commands: all but READ and WRITE. An answer is made at once and lies in a buffer until
 * the adapter has taken it; a parameter list is collected, then acted upon. The table at the end
 * says what each needs.
 *
 * As far as the answer has fewer bytes than the allocation length, zeros follow it: guests have
 * always seen this device fill the length that they asked for.
 *
 * Migration notes. Whether the buffer travels is the property migrate-emulated-scsi-request
 * (disk-vmstate.c). A request that arrives without it runs again from its CDB (emulated_replay),
 * unless
 *   - its answer was used up by making it (REQUEST SENSE): ABORTED COMMAND, and the guest repeats
 *     what it did;
 *   - the medium was changed after it was made: the unit attention that waits;
 *   - the guest had sent a part of a parameter list, which is lost: ABORTED COMMAND, DATA PHASE
 *     ERROR.
 * GET EVENT STATUS NOTIFICATION runs again although it clears the event that it tells: a change of
 * medium reaches the guest as a unit attention as well, and who asks for an eject has been told to
 * try again.
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"

/* ---- small commands -------------------------------------------------------------------------- */

static bool nothing(DiskRequest *d, ScsiSense *sense)
{
    return true;
}

static bool seek(DiskRequest *d, ScsiSense *sense)
{
    if (!disk_lba_valid(disk_of(d), d->req.lba, 1)) {
        *sense = scsi_sense_lba_out_of_range;
        return false;
    }
    return true;
}

static bool request_sense(DiskRequest *d, ScsiSense *sense)
{
    ScsiDevice *dev = d->req.dev;
    bool fixed = !(d->req.cdb[1] & 1);
    uint8_t buf[SCSI_SENSE_MAX];
    scsi_sense_build(buf, scsi_sense_parse(dev->sense, dev->sense_len), fixed);
    memcpy(d->buf, buf, sizeof(buf));
    dev->sense_len = 0;
    dev->sense_is_ua = false;
    return true;
}

/* SBC-3 5.23, MMC-6 6.42: only loading and ejecting has an effect. */
static bool start_stop(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    bool start = d->req.cdb[4] & 1;
    bool load_eject = d->req.cdb[4] & 2;
    bool power_condition = d->req.cdb[4] & 0xf0;
    if (power_condition || !load_eject || !s->removable) {
        return true;
    }
    if (!start && !s->tray_open && s->tray_locked) {
        *sense = front_is_inserted(s->conf.front) ? scsi_sense_removal_prevented
                                                  : scsi_sense_not_ready_removal_prevented;
        return false;
    }
    if (s->tray_open != !start) {
        __atomic_store_n(&s->tray_open, !start, __ATOMIC_RELAXED);
        front_tray_moved(s->conf.front, s->tray_open);
    }
    return true;
}

static bool prevent_allow(DiskRequest *d, ScsiSense *sense)
{
    __atomic_store_n(&disk_of(d)->tray_locked, d->req.cdb[4] & 1, __ATOMIC_RELAXED);
    return true;
}

/* ---- the life of an emulated request --------------------------------------------------------- */

static void make_buffer(DiskRequest *d)
{
    uint32_t size = MAX(DISK_BUFFER, d->req.xfer);
    if (!d->buf || d->buflen < size) {
        g_free(d->buf);
        d->buf = g_malloc(size);
        d->buflen = size;
    }
    memset(d->buf, 0, d->buflen);
}

/* Bytes of the data phase: an answer does not grow beyond DISK_MAX_ANSWER, whatever the guest
 * allocates. */
static void limit_answer(ScsiRequest *req)
{
    if (req->direction == SCSI_FROM_DEVICE) {
        req->xfer = MIN(req->xfer, DISK_MAX_ANSWER);
    }
}

static bool may_run(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    const DiskCommand *command = d->command;
    if ((!command || command->flags & COMMAND_NEEDS_MEDIUM) && !disk_medium_ready(s)) {
        *sense = scsi_sense_not_ready_no_medium;
        return false;
    }
    if (!command) {
        *sense = scsi_sense_illegal_opcode;
        return false;
    }
    return true;
}

static void parameters_complete(DiskRequest *d)
{
    d->have_data = true;
    d->command->parameters(d, d->buf, d->filled);
}

static void emulated_start(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    ScsiSense sense = scsi_sense_none;
    d->command = disk_command(disk_of(d), req->cdb[0]);
    limit_answer(req);
    if (!may_run(d, &sense)) {
        scsi_request_check_condition(req, sense);
        return;
    }
    make_buffer(d);
    if (d->command->run && !d->command->run(d, &sense)) {
        scsi_request_check_condition(req, sense);
        return;
    }
    if (d->command->flags & COMMAND_ENDS_ITSELF) {
        return;
    }
    d->filled = req->xfer;
    if (req->direction != SCSI_NO_DATA) {
        scsi_request_data(req, d->buf, d->filled);
    } else if (d->command->parameters) {
        parameters_complete(d);
    } else {
        scsi_request_complete(req, SCSI_GOOD);
    }
}

static void emulated_advance(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (d->command->parameters) {
        parameters_complete(d);
    } else {
        scsi_request_complete(req, SCSI_GOOD);
    }
}

/* After an I/O error: the whole command again. What it has done already, it does once more with the
 * same result. */
static void emulated_restart(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    d->command = disk_command(disk_of(d), req->cdb[0]);
    if (!d->command || !d->command->parameters) {
        emulated_start(req);
    } else if (d->have_data || req->direction == SCSI_NO_DATA) {
        if (!d->buf) {
            make_buffer(d);
        }
        parameters_complete(d);
    } else if (req->bus->ops->keeps_data) {
        emulated_start(req); /* the parameters are fetched again */
    } else {
        scsi_request_check_condition(req, scsi_sense_data_phase);
    }
}

static bool medium_changed_since(ScsiDisk *s, ScsiSense *sense)
{
    ScsiSense waiting = s->scsi.unit_attention;
    if (waiting.key && (waiting.asc == 0x28 || waiting.asc == 0x3a)) {
        s->scsi.unit_attention = scsi_sense_none;
        scsi_device_ops(&s->scsi)->unit_attention_reported(&s->scsi);
        *sense = waiting;
        return true;
    }
    return false;
}

static void emulated_replay(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    ScsiSense sense;
    d->command = disk_command(disk_of(d), req->cdb[0]);
    unsigned flags = d->command ? d->command->flags : 0;
    if (flags & COMMAND_CONSUMES) {
        scsi_request_check_condition(req, scsi_sense_aborted);
    } else if (flags & COMMAND_READS_MEDIUM && medium_changed_since(disk_of(d), &sense)) {
        scsi_request_check_condition(req, sense);
    } else {
        emulated_start(req);
    }
}

const ScsiRequestOps disk_emulated_ops = {
    .size = sizeof(DiskRequest),
    .start = emulated_start,
    .advance = emulated_advance,
    .restart = emulated_restart,
    .replay = emulated_replay,
    .cancel_io = disk_request_cancel_io,
    .free = disk_request_free,
    .save = disk_emulated_save,
    .load = disk_emulated_load,
    .can_leave = disk_emulated_can_leave,
};

/* ---- the table ------------------------------------------------------------------------------- */

#define MEDIUM COMMAND_NEEDS_MEDIUM
#define READS (COMMAND_NEEDS_MEDIUM | COMMAND_READS_MEDIUM)
static const DiskCommand commands[] = {
    { SCSI_OP_TEST_UNIT_READY, COMMAND_ANY, MEDIUM, nothing, NULL },
    { SCSI_OP_REQUEST_SENSE, COMMAND_ANY, COMMAND_CONSUMES, request_sense, NULL },
    { SCSI_OP_FORMAT_UNIT, COMMAND_HD, MEDIUM, nothing, NULL },
    { SCSI_OP_INQUIRY, COMMAND_ANY, 0, disk_inquiry, NULL },
    { SCSI_OP_MODE_SELECT_6, COMMAND_ANY, MEDIUM, NULL, disk_mode_select },
    { SCSI_OP_RESERVE_6, COMMAND_ANY, 0, nothing, NULL },
    { SCSI_OP_RELEASE_6, COMMAND_ANY, 0, nothing, NULL },
    { SCSI_OP_MODE_SENSE_6, COMMAND_ANY, 0, disk_mode_sense, NULL },
    { SCSI_OP_START_STOP, COMMAND_ANY, 0, start_stop, NULL },
    { SCSI_OP_PREVENT_ALLOW, COMMAND_ANY, 0, prevent_allow, NULL },
    { SCSI_OP_READ_CAPACITY_10, COMMAND_ANY, READS, disk_read_capacity_10, NULL },
    { SCSI_OP_SEEK_10, COMMAND_ANY, MEDIUM, seek, NULL },
    { SCSI_OP_VERIFY_10, COMMAND_ANY, MEDIUM, disk_verify, NULL },
    { SCSI_OP_VERIFY_12, COMMAND_ANY, MEDIUM, disk_verify, NULL },
    { SCSI_OP_VERIFY_16, COMMAND_ANY, MEDIUM, disk_verify, NULL },
    { SCSI_OP_SYNCHRONIZE_CACHE_10, COMMAND_ANY, MEDIUM | COMMAND_ENDS_ITSELF,
      disk_synchronize_cache, NULL },
    { SCSI_OP_SYNCHRONIZE_CACHE_16, COMMAND_HD, MEDIUM | COMMAND_ENDS_ITSELF,
      disk_synchronize_cache, NULL },
    { SCSI_OP_WRITE_SAME_10, COMMAND_ANY, MEDIUM, NULL, disk_write_same },
    { SCSI_OP_WRITE_SAME_16, COMMAND_ANY, MEDIUM, NULL, disk_write_same },
    { SCSI_OP_UNMAP, COMMAND_ANY, MEDIUM, NULL, disk_unmap },
    { SCSI_OP_READ_TOC, COMMAND_ANY, READS, mmc_read_toc, NULL },
    { SCSI_OP_GET_CONFIGURATION, COMMAND_ANY, COMMAND_READS_MEDIUM, mmc_get_configuration, NULL },
    { SCSI_OP_GET_EVENT_STATUS, COMMAND_ANY, 0, mmc_get_event_status, NULL },
    { SCSI_OP_READ_DISC_INFORMATION, COMMAND_ANY, READS, mmc_read_disc_information, NULL },
    { SCSI_OP_MODE_SELECT_10, COMMAND_ANY, MEDIUM, NULL, disk_mode_select },
    { SCSI_OP_RESERVE_10, COMMAND_ANY, 0, nothing, NULL },
    { SCSI_OP_RELEASE_10, COMMAND_ANY, 0, nothing, NULL },
    { SCSI_OP_MODE_SENSE_10, COMMAND_ANY, 0, disk_mode_sense, NULL },
    { SCSI_OP_SERVICE_ACTION_IN_16, COMMAND_ANY, READS, disk_service_action_in, NULL },
    { SCSI_OP_GET_PERFORMANCE, COMMAND_CD, READS, mmc_get_performance, NULL },
    { SCSI_OP_READ_DISC_STRUCTURE, COMMAND_ANY, READS, mmc_read_disc_structure, NULL },
    { SCSI_OP_MECHANISM_STATUS, COMMAND_ANY, 0, mmc_mechanism_status, NULL },
};
#undef MEDIUM
#undef READS

const DiskCommand *disk_command(const ScsiDisk *s, uint8_t opcode)
{
    uint8_t type = s->scsi.type == SCSI_TYPE_CDROM ? COMMAND_CD : COMMAND_HD;
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].opcode == opcode && commands[i].types & type) {
            return &commands[i];
        }
    }
    return NULL;
}
