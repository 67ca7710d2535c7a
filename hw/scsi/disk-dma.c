/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * READ and WRITE (SBC-3 5.8, 5.31): chunks of up to 128 KiB through a bounce buffer, and what all
 * commands of a disk need for block I/O: errors under rerror/werror, cancelling.
 *
 * Migration notes.
 *   DATA, READ      sector and count point behind the chunk; the chunk travels with its length.
 *   DATA, WRITE     sector and count point at the chunk; all of it travels, what the guest has not
 *   sent yet as it is. STOPPED, READ   sector and count point at the chunk that failed; no data.
 *   STOPPED, WRITE  as DATA; the chunk is complete. RUNNING         never in a stream: vm_stop()
 *   and quiesce wait for block I/O.
 *   With an adapter that keeps the data (virtio-scsi): no data; from its first sector again.
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"
#include "util/trace.h"

TRACE_EVENT(scsi_disk_dma_command_READ)
TRACE_EVENT(scsi_disk_dma_command_WRITE)
TRACE_EVENT(scsi_disk_read_complete)
TRACE_EVENT(scsi_disk_write_complete)

/* ---- memory and cancelling ------------------------------------------------------------------- */

void disk_request_free(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    g_assert(!d->aio);
    iovec_destroy(&d->vec);
    g_free(d->buf);
}

bool disk_request_cancel_io(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (!d->aio) {
        return false;
    }
    front_aio_cancel(d->aio);
    return true;
}

static void aim_at_chunk(DiskRequest *d, uint32_t len)
{
    iovec_reset(&d->vec);
    iovec_add(&d->vec, d->buf, len);
}

static void need_buffer(DiskRequest *d)
{
    if (!d->buf) {
        d->buflen = DISK_CHUNK;
        d->buf = g_malloc0(d->buflen);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static ScsiSense sense_of_errno(ScsiDisk *s, int err)
{
    switch (err) {
    case ENOMEDIUM:
        return scsi_sense_not_ready_no_medium;
    case ENOMEM:
        return scsi_sense_target_failure;
    case EINVAL:
        return scsi_sense_invalid_field;
    case ENOSPC:
        return scsi_sense_space_alloc_failed;
    case EPERM:
    case EROFS:
        return scsi_sense_write_protected;
    default:
        return scsi_sense_io_error;
    }
}

bool disk_io_good(DiskRequest *d, int ret, bool is_read)
{
    if (ret >= 0) {
        return true;
    }
    ScsiDisk *s = disk_of(d);
    BlockFront *front = s->conf.front;
    BlockErrorAction action = front_error_action(front, is_read, -ret);
    if (action == BLOCK_ERROR_ACTION_STOP) {
        scsi_request_stop(&d->req);
    }
    front_error_apply(front, action, is_read, -ret);
    if (action == BLOCK_ERROR_ACTION_REPORT) {
        scsi_request_check_condition(&d->req, sense_of_errno(s, -ret));
    }
    return action == BLOCK_ERROR_ACTION_IGNORE;
}

/* ---- READ ------------------------------------------------------------------------------------ */

static uint32_t chunk_bytes(const DiskRequest *d)
{
    return MIN((uint64_t)d->count * BLOCK_SECTOR, d->buflen);
}

static void read_done(void *opaque, int ret)
{
    DiskRequest *d = opaque;
    uint32_t len = d->vec.size;
    d->aio = NULL;
    trace(scsi_disk_read_complete, "Data ready tag=0x%x len=%u ret=%d", d->req.tag, len, ret);
    if (scsi_request_io_done(&d->req) || !disk_io_good(d, ret, true)) {
        return;
    }
    if (ret < 0) {
        memset(d->buf, 0, len); /* rerror=ignore: nothing of the host's memory */
    }
    d->sector += len / BLOCK_SECTOR;
    d->count -= len / BLOCK_SECTOR;
    scsi_request_data(&d->req, d->buf, len);
}

static void read_chunk(DiskRequest *d)
{
    need_buffer(d);
    aim_at_chunk(d, chunk_bytes(d));
    d->aio =
        front_aio_read(disk_of(d)->conf.front, d->sector * BLOCK_SECTOR, &d->vec, read_done, d);
}

static void flushed_before_read(void *opaque, int ret)
{
    DiskRequest *d = opaque;
    d->aio = NULL;
    if (!scsi_request_io_done(&d->req) && disk_io_good(d, ret, false)) {
        read_chunk(d);
    }
}

/* ---- WRITE ----------------------------------------------------------------------------------- */

static void want_chunk(DiskRequest *d)
{
    need_buffer(d);
    scsi_request_data(&d->req, d->buf, chunk_bytes(d));
}

static void write_done(void *opaque, int ret)
{
    DiskRequest *d = opaque;
    uint32_t len = d->vec.size;
    d->aio = NULL;
    trace(scsi_disk_write_complete, "Data written tag=0x%x len=%u ret=%d", d->req.tag, len, ret);
    if (scsi_request_io_done(&d->req) || !disk_io_good(d, ret, false)) {
        return;
    }
    d->sector += len / BLOCK_SECTOR;
    d->count -= len / BLOCK_SECTOR;
    if (d->count) {
        want_chunk(d);
    } else {
        scsi_request_complete(&d->req, SCSI_GOOD);
    }
}

static void write_chunk(DiskRequest *d)
{
    aim_at_chunk(d, chunk_bytes(d));
    d->aio = front_aio_write(disk_of(d)->conf.front, d->sector * BLOCK_SECTOR, &d->vec,
                             d->fua ? BLOCK_FUA : 0, write_done, d);
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool check_rw(DiskRequest *d, ScsiSense *sense)
{
    ScsiDisk *s = disk_of(d);
    ScsiRequest *req = &d->req;
    uint64_t blocks = req->xfer / s->scsi.block_size;
    if (!disk_medium_ready(s)) {
        *sense = scsi_sense_not_ready_no_medium;
        return false;
    }
    if (d->write && front_is_read_only(s->conf.front)) {
        *sense = scsi_sense_write_protected;
        return false;
    }
    if (req->cdb_len > 6 && req->cdb[1] & 0xe0) {
        *sense =
            scsi_sense_invalid_field; /* protection information is not supported (SBC-3 4.22) */
        return false;
    }
    if (blocks && !disk_lba_valid(s, req->lba, blocks)) {
        *sense = scsi_sense_lba_out_of_range;
        return false;
    }
    return true;
}

void disk_dma_setup(DiskRequest *d)
{
    ScsiRequest *req = &d->req;
    d->write = disk_is_write(req->cdb[0]); /* the direction is none if the length is 0 */
    d->fua = req->cdb_len > 6 && req->cdb[1] & 0x08;
}

static void dma_start(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    d->again = false;
    ScsiDisk *s = disk_of(d);
    ScsiSense sense;
    disk_dma_setup(d);
    if (!check_rw(d, &sense)) {
        if (s->conf.front) {
            front_account_invalid(s->conf.front, d->write ? BLOCK_STAT_WRITE : BLOCK_STAT_READ);
        }
        scsi_request_check_condition(req, sense);
        return;
    }
    if (!req->xfer) {
        scsi_request_complete(req, SCSI_GOOD);
        return;
    }
    d->sector = req->lba * (s->scsi.block_size / BLOCK_SECTOR);
    d->count = req->xfer / BLOCK_SECTOR;
    if (d->write) {
        trace(scsi_disk_dma_command_WRITE, "Write (sector %" PRIu64 ", count %u)", d->sector,
              d->count);
        want_chunk(d);
        return;
    }
    trace(scsi_disk_dma_command_READ, "Read (sector %" PRIu64 ", count %u)", d->sector, d->count);
    if (d->fua) {
        d->aio = front_aio_flush(s->conf.front, flushed_before_read, d);
    } else {
        read_chunk(d);
    }
}

static void dma_advance(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (d->write) {
        write_chunk(d);
    } else if (d->count) {
        read_chunk(d);
    } else {
        scsi_request_complete(req, SCSI_GOOD);
    }
}

/* From the chunk that failed, or that did not travel. */
static void dma_restart(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    disk_dma_setup(d);
    if (!disk_medium_ready(disk_of(d))) {
        scsi_request_check_condition(req, scsi_sense_not_ready_no_medium);
    } else if (!d->count || d->again) {
        dma_start(req);
    } else if (d->write) {
        write_chunk(d);
    } else {
        read_chunk(d);
    }
}

static void dma_replay(ScsiRequest *req)
{
    DiskRequest *d = DISK_REQUEST(req);
    disk_dma_setup(d);
    if (d->write && d->count && !d->again) {
        want_chunk(d);
    } else {
        dma_restart(req);
    }
}

const ScsiRequestOps disk_dma_ops = {
    .size = sizeof(DiskRequest),
    .start = dma_start,
    .advance = dma_advance,
    .restart = dma_restart,
    .replay = dma_replay,
    .cancel_io = disk_request_cancel_io,
    .free = disk_request_free,
    .save = disk_dma_save,
    .load = disk_dma_load,
};
