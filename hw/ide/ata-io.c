/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * READ, WRITE, FLUSH CACHE and TRIM of a disk (ATA8-ACS 7; the protocols: ATA8-APT 11).
 *
 * PIO: a block of req_nb_sectors at a time; the address and the count in the task file move on with each
 * block. DMA: pieces of up to IDE_DMA_PIECE; the task file moves when all is done, and the whole command runs
 * again if a piece fails under rerror/werror=stop: what is written twice is the same, what is read twice was
 * not seen.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/bytes.h"
#include "util/trace.h"

TRACE_EVENT(ide_sector_read)
TRACE_EVENT(ide_sector_write)
TRACE_EVENT(ide_dma_cb)

#define TRIM_ENTRY 8

static uint32_t block_sectors(const IdeUnit *u)
{
    return CLAMP(u->req_nb_sectors, 1, (int32_t)MIN(u->nsector, IDE_MAX_MULTIPLE));
}

static void busy(IdeUnit *u, IdeJob job)
{
    u->phase = IDE_BUSY;
    u->job = job;
    u->status = IDE_READY | IDE_BSY;
}

static void move_on(IdeUnit *u, uint32_t sectors)
{
    ata_set_sector(u, ata_get_sector(u) + sectors);
    u->nsector -= sectors;
}

static void invalid(IdeUnit *u, BlockStatKind kind)
{
    front_account_invalid(u->drive->conf.front, kind);
    ide_abort(u);
}

/* ---- PIO, from the medium --------------------------------------------------------------------------- */

static void pio_read_done(IdeUnit *u, int ret)
{
    uint32_t n = block_sectors(u);

    if (!ide_io_good(u, ret, true)) {
        return;
    }
    if (ret < 0) {
        memset(u->buffer, 0, n * BLOCK_SECTOR);
    }
    move_on(u, n);
    ide_pio(u, IDE_PIO_IN, 0, n * BLOCK_SECTOR, IDE_NEXT_READ);
    ide_set_intrq(u->bus, true);
}

/* The next block, of which there is one. */
void ata_pio_read(IdeUnit *u)
{
    uint64_t sector = ata_get_sector(u);
    uint32_t n = block_sectors(u);

    trace(ide_sector_read, "sector=%" PRIu64 " nsectors=%u", sector, n);
    if (!ata_range_valid(u, sector, n)) {
        invalid(u, BLOCK_STAT_READ);
        return;
    }
    busy(u, IDE_JOB_READ);
    ide_io(u, IDE_IO_READ, sector * BLOCK_SECTOR, u->buffer, n * BLOCK_SECTOR, pio_read_done);
}

void ata_pio_read_next(IdeUnit *u)
{
    if (u->nsector) {
        ata_pio_read(u);
    } else {
        u->status = IDE_READY;
        u->next = IDE_NEXT_NONE;
    }
}

/* ---- PIO, to the medium -------------------------------------------------------------------------------- */

static void want_block(IdeUnit *u)
{
    ide_pio(u, IDE_PIO_OUT, 0, block_sectors(u) * BLOCK_SECTOR, IDE_NEXT_WRITE);
}

void ata_pio_write(IdeUnit *u)
{
    want_block(u);
}

static void pio_write_done(IdeUnit *u, int ret)
{
    if (!ide_io_good(u, ret, false)) {
        return;
    }
    move_on(u, block_sectors(u));
    if (!u->nsector) {
        u->status = IDE_READY;
        ide_done(u);
        return;
    }
    want_block(u);
    ide_set_intrq(u->bus, true);
}

/* A block is in the buffer. */
void ata_pio_write_block(IdeUnit *u)
{
    uint64_t sector = ata_get_sector(u);
    uint32_t n = block_sectors(u);

    trace(ide_sector_write, "sector=%" PRIu64 " nsectors=%u", sector, n);
    if (!ata_range_valid(u, sector, n)) {
        invalid(u, BLOCK_STAT_WRITE);
        return;
    }
    busy(u, IDE_JOB_WRITE);
    u->next = IDE_NEXT_WRITE;
    ide_io(u, IDE_IO_WRITE, sector * BLOCK_SECTOR, u->buffer, n * BLOCK_SECTOR, pio_write_done);
}

/* ---- FLUSH CACHE -------------------------------------------------------------------------------------------- */

static void flush_done(IdeUnit *u, int ret)
{
    if (ret == -ENOMEDIUM) { /* an empty CD drive */
        ide_abort(u);
        return;
    }
    if (ide_io_good(u, ret, false)) {
        u->status = IDE_READY;
        ide_done(u);
    }
}

void ata_flush(IdeUnit *u)
{
    busy(u, IDE_JOB_FLUSH);
    u->status = IDE_DRDY | IDE_BSY;
    ide_io(u, IDE_IO_FLUSH, 0, NULL, 0, flush_done);
}

/* ---- DMA ---------------------------------------------------------------------------------------------------- */

static void dma_step(IdeUnit *u);

static void dma_end(IdeUnit *u, bool exhausted)
{
    u->status = IDE_READY;
    if (exhausted) { /* the drive waits for data that nobody takes or gives: no interrupt (82371SB, 2.3.2) */
        u->phase = IDE_IDLE;
        u->job = IDE_JOB_NONE;
        u->next = IDE_NEXT_NONE;
        u->bus->dma->finished(u->bus->dma_opaque, false);
        return;
    }
    u->bus->dma->finished(u->bus->dma_opaque, true);
    ide_done(u);
}

static void dma_failed(IdeUnit *u)
{
    if (u->phase == IDE_IDLE) { /* reported */
        u->bus->dma->finished(u->bus->dma_opaque, false);
    }
}

static uint64_t piece_bytes(const IdeUnit *u)
{
    return MIN((uint64_t)u->dma_left * BLOCK_SECTOR, IDE_DMA_PIECE);
}

/* The bus master was stopped while a piece was under way: the rest waits for its next start. */
static bool dma_interrupted(IdeUnit *u)
{
    if (!u->dma_stopped) {
        return false;
    }
    u->dma_stopped = false;
    u->phase = IDE_DMA_WAIT;
    u->retry_sector = u->dma_sector;
    u->retry_nsector = u->dma_left;
    if (u->bus->dma->started(u->bus->dma_opaque)) {
        ata_dma_begin(u);
    }
    return true;
}

static void dma_piece_done(IdeUnit *u, int ret)
{
    bool is_read = u->job == IDE_JOB_DMA_READ;
    uint64_t bytes = piece_bytes(u);

    if (!ide_io_good(u, ret, is_read)) {
        dma_failed(u);
        return;
    }
    if (is_read) {
        if (ret < 0) {
            memset(u->dma_buf, 0, bytes);
        }
        if (!u->dma_stopped) {
            u->bus->dma->move(u->bus->dma_opaque, u->dma_buf, bytes, true);
        }
    }
    if (is_read && dma_interrupted(u)) {
        return;
    }
    u->dma_sector += bytes / BLOCK_SECTOR;
    u->dma_left -= bytes / BLOCK_SECTOR;
    if (u->dma_left && dma_interrupted(u)) {
        return;
    }
    u->dma_stopped = false;
    dma_step(u);
}

/* ---- TRIM: a list of ranges, 48 bits of address and 16 of count each (7.10.3) -------------------------------- */

static void trim_done(IdeUnit *u, int ret);

/* The next range that is not empty; then the end. */
static void trim_next(IdeUnit *u)
{
    while (u->trim_at < u->trim_bytes) {
        uint64_t entry = load_le64(u->dma_buf + u->trim_at);
        uint64_t sector = entry & 0xffffffffffff, count = entry >> 48;

        if (count && !ata_range_valid(u, sector, count)) {
            front_account_invalid(u->drive->conf.front, BLOCK_STAT_UNMAP);
            ide_abort(u);
            u->bus->dma->finished(u->bus->dma_opaque, false);
            return;
        }
        u->trim_at += TRIM_ENTRY;
        if (count) {
            ide_io(u, IDE_IO_DISCARD, sector * BLOCK_SECTOR, NULL, count * BLOCK_SECTOR, trim_done);
            return;
        }
    }
    u->dma_sector += u->trim_bytes / BLOCK_SECTOR;
    u->dma_left -= u->trim_bytes / BLOCK_SECTOR;
    u->dma_stopped = false;
    dma_step(u);
}

static void trim_done(IdeUnit *u, int ret)
{
    if (ret == -ENOTSUP || ret == -EOPNOTSUPP) {
        ret = 0; /* a hint */
    }
    if (ide_io_good(u, ret, false)) {
        trim_next(u);
    } else {
        dma_failed(u);
    }
}

/* ---- DMA, piece by piece ---------------------------------------------------------------------------------------- */

static bool transfer_to_unit(IdeUnit *u, uint64_t bytes)
{
    return u->bus->dma->move(u->bus->dma_opaque, u->dma_buf, bytes, false);
}

/* The descriptors cannot be read: the bus master has stopped itself, the drive waits. */
static void dma_unreachable(IdeUnit *u)
{
    u->phase = IDE_DMA_WAIT;
    u->retry_sector = u->dma_sector;
    u->retry_nsector = u->dma_left;
}

static void dma_step(IdeUnit *u)
{
    uint64_t bytes = piece_bytes(u);
    int64_t got;

    if (!bytes) {
        if (u->job != IDE_JOB_TRIM) {
            ata_set_sector(u, u->dma_sector);
        }
        u->nsector = 0;
        dma_end(u, false);
        return;
    }
    trace(ide_dma_cb, "IDEState %p; sector_num=%" PRIu64 " n=%u cmd=%s", (void *)u, u->dma_sector,
          u->dma_left,
          u->job == IDE_JOB_DMA_READ    ? "DMA READ"
          : u->job == IDE_JOB_DMA_WRITE ? "DMA WRITE"
                                        : "DMA TRIM");
    got = u->bus->dma->gather(u->bus->dma_opaque, bytes);
    if (got < 0) {
        dma_unreachable(u);
        return;
    }
    if ((uint64_t)got < bytes) {
        dma_end(u, true);
        return;
    }
    if (u->job == IDE_JOB_DMA_READ) {
        ide_io(u, IDE_IO_READ, u->dma_sector * BLOCK_SECTOR, u->dma_buf, bytes, dma_piece_done);
        return;
    }
    if (!transfer_to_unit(u, bytes)) {
        dma_unreachable(u);
        return;
    }
    if (u->job == IDE_JOB_DMA_WRITE) {
        ide_io(u, IDE_IO_WRITE, u->dma_sector * BLOCK_SECTOR, u->dma_buf, bytes, dma_piece_done);
    } else {
        u->trim_bytes = bytes;
        u->trim_at = 0;
        trim_next(u);
    }
}

void ata_dma_begin(IdeUnit *u)
{
    bool is_read = u->job == IDE_JOB_DMA_READ;

    if (u->job != IDE_JOB_TRIM && !ata_range_valid(u, u->retry_sector, u->retry_nsector)) {
        front_account_invalid(u->drive->conf.front, is_read ? BLOCK_STAT_READ : BLOCK_STAT_WRITE);
        ide_abort(u);
        u->bus->dma->finished(u->bus->dma_opaque, false);
        return;
    }
    u->phase = IDE_DMA;
    u->dma_sector = u->retry_sector;
    u->dma_left = u->retry_nsector;
    u->dma_stopped = false;
    if (!u->dma_buf) {
        u->dma_buf = g_malloc(IDE_DMA_PIECE);
    }
    u->bus->dma->rewind(u->bus->dma_opaque);
    dma_step(u);
}

void ata_dma(IdeUnit *u, IdeJob job)
{
    bool trim = job == IDE_JOB_TRIM;

    u->job = job;
    u->retry_sector = trim ? 0 : (int64_t)ata_get_sector(u);
    u->retry_nsector = u->nsector;
    if (!u->bus->dma) {
        ide_abort(u);
        return;
    }
    u->status = IDE_READY | IDE_DRQ;
    u->next = IDE_NEXT_NONE;
    u->cur_offset = u->cur_len = 0;
    u->phase = IDE_DMA_WAIT;
    if (u->bus->dma->started(u->bus->dma_opaque)) {
        ata_dma_begin(u);
    }
}
