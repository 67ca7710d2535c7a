/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PACKET protocol (SFF-8020i chapter 5, ATA8-APT 11.8 and 11.9) of a CD drive.
 *
 * By PIO an answer leaves in DRQ blocks of at most the byte count that the host has set. A block is complete
 * in the buffer before DRQ is set. By DMA an answer is made when the bus master has been started: until then
 * nothing but the packet is kept, and the command runs again from it. An answer that takes something away
 * takes it away when it is handed over.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/trace.h"

TRACE_EVENT(ide_atapi_cmd)
TRACE_EVENT(ide_atapi_cmd_packet)
TRACE_EVENT(ide_atapi_cmd_error)
TRACE_EVENT(ide_atapi_cmd_read)
TRACE_EVENT(ide_atapi_cmd_reply_end_eot)
TRACE_EVENT(ide_atapi_cmd_reply_end_new)
TRACE_EVENT(cd_read_sector)

/* ---- ends ------------------------------------------------------------------------------------------ */

static void end(IdeUnit *u)
{
    u->nsector = (u->nsector & ~7u) | ATAPI_IO | ATAPI_COD;
    u->cd_sector_size = 0;
    u->cd_buffered = 0;
    u->packet_transfer_size = u->elementary_transfer_size = 0;
    if (u->packet_dma && u->bus->dma) {
        u->bus->dma->finished(u->bus->dma_opaque, false);
    }
    ide_done(u);
}

void atapi_ok(IdeUnit *u)
{
    trace(ide_atapi_cmd_reply_end_eot, "IDEState: %p; end of transfer, status=0x%x", (void *)u,
          IDE_READY);
    u->error = 0;
    u->sense_key = u->asc = 0;
    u->status = IDE_READY;
    end(u);
}

void atapi_error(IdeUnit *u, uint8_t key, uint8_t asc)
{
    trace(ide_atapi_cmd_error, "IDEState: %p; sense=0x%x asc=0x%x", (void *)u, key, asc);
    u->error = key << 4;
    u->sense_key = key;
    u->asc = asc;
    u->status = IDE_DRDY | IDE_ERR;
    end(u);
}

void atapi_reset(IdeUnit *u)
{
    u->sense_key = u->asc = 0;
    u->packet_dma = false;
}

/* ---- the packet -------------------------------------------------------------------------------------- */

void atapi_packet(IdeUnit *u)
{
    memcpy(u->packet, u->buffer, ATAPI_PACKET_SIZE);
    trace(ide_atapi_cmd, "IDEState: %p; cmd: 0x%02x", (void *)u, u->packet[0]);
    if (trace_wants(ide_atapi_cmd_packet)) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < ATAPI_PACKET_SIZE; i++) {
            g_string_append_printf(text, "%02x ", u->packet[i]);
        }
        trace(ide_atapi_cmd_packet, "IDEState: %p; limit=0x%x packet: %s", (void *)u,
              u->lcyl | u->hcyl << 8, text->str);
    }
    atapi_execute(u);
}

/* ---- the host's byte count --------------------------------------------------------------------------- */

static uint32_t byte_limit(const IdeUnit *u)
{
    uint32_t limit = u->lcyl | u->hcyl << 8;

    return limit == 0xffff ? 0xfffe : limit;
}

/* Bytes of the next block: even, unless it is the last. */
static uint32_t block_size(const IdeUnit *u)
{
    uint32_t limit = byte_limit(u), left = u->packet_transfer_size;

    return left <= limit ? left : MAX(limit & ~1u, 2);
}

/* ---- DRQ blocks ------------------------------------------------------------------------------------------- */

static void hand_over(IdeUnit *u, uint32_t size)
{
    ide_pio(u, IDE_PIO_IN, u->cur_offset, size, IDE_NEXT_ATAPI_REPLY);
    u->packet_transfer_size -= size;
    u->lcyl = size;
    u->hcyl = size >> 8;
    u->nsector = (u->nsector & ~7u) | ATAPI_IO;
    trace(ide_atapi_cmd_reply_end_new, "IDEState: %p; new transfer started, status=0x%x", (void *)u,
          u->status);
    ide_set_intrq(u->bus, true);
}

/* Payload of raw sectors comes without what surrounds it on the disc (MMC-6, READ CD): sync, header with the
 * address in BCD, and error correction, which reads as zeros. */
static uint8_t bcd(unsigned n)
{
    return n / 10 << 4 | n % 10;
}

static void surround(uint8_t *p, uint32_t lba)
{
    uint64_t frame = (uint64_t)lba + 150;

    memset(p, 0xff, 12);
    p[0] = p[11] = 0;
    p[12] = bcd(frame / 75 / 60 % 100);
    p[13] = bcd(frame / 75 % 60);
    p[14] = bcd(frame % 75);
    p[15] = 1; /* mode 1 */
    memset(p + 16 + CD_SECTOR, 0, CD_RAW_SECTOR - 16 - CD_SECTOR);
}

/* n sectors stand at p one after the other; from the last on, each is moved to its place. */
static void make_raw(uint8_t *p, uint32_t n, uint32_t lba)
{
    while (n-- > 0) {
        memmove(p + n * CD_RAW_SECTOR + 16, p + n * CD_SECTOR, CD_SECTOR);
        surround(p + n * CD_RAW_SECTOR, lba + n);
    }
}

static void read_at(IdeUnit *u, uint8_t *buf, uint32_t sectors, IdeIoDone *done)
{
    trace(cd_read_sector, "lba=%u", u->cd_lba);
    ide_io(u, IDE_IO_READ, (uint64_t)u->cd_lba * CD_SECTOR, buf, (uint64_t)sectors * CD_SECTOR,
           done);
}

/* Sectors to fetch for the next block. */
static uint32_t sectors_missing(const IdeUnit *u)
{
    uint32_t want = block_size(u), have = u->cd_buffered;

    return want <= have ? 0 : (want - have + u->cd_sector_size - 1) / u->cd_sector_size;
}

static void block_fetched(IdeUnit *u, int ret)
{
    uint32_t n = sectors_missing(u);
    uint8_t *at = u->buffer + u->cd_buffered;

    if (!ide_io_good(u, ret, true)) {
        return;
    }
    if (ret < 0) {
        memset(at, 0, (size_t)n * CD_SECTOR);
    }
    if (u->cd_sector_size == CD_RAW_SECTOR) {
        make_raw(at, n, u->cd_lba);
    }
    u->cd_lba += n;
    u->cd_buffered += n * u->cd_sector_size;
    hand_over(u, block_size(u));
}

/* The next block of a READ. What the last one left moves to the front. */
void atapi_read_block(IdeUnit *u)
{
    uint32_t n;

    memmove(u->buffer, u->buffer + u->cur_offset, u->cd_buffered - u->cur_offset);
    u->cd_buffered -= u->cur_offset;
    u->cur_offset = 0;
    n = sectors_missing(u);
    if (!n) {
        hand_over(u, block_size(u));
        return;
    }
    u->phase = IDE_BUSY;
    u->job = IDE_JOB_ATAPI_READ;
    u->status = IDE_READY | IDE_BSY;
    read_at(u, u->buffer + u->cd_buffered, n, block_fetched);
}

/* A block of an answer that came from elsewhere in two parts: the second, without an interrupt. */
static void hand_over_rest(IdeUnit *u)
{
    int32_t rest = u->elementary_transfer_size;

    u->elementary_transfer_size = 0;
    u->packet_transfer_size -= rest;
    ide_pio(u, IDE_PIO_IN, u->cur_offset, rest, IDE_NEXT_ATAPI_REPLY);
}

void atapi_reply_next(IdeUnit *u)
{
    if (!u->packet_transfer_size) {
        atapi_ok(u);
    } else if (u->cd_sector_size) {
        atapi_read_block(u);
    } else if (u->cur_offset + u->packet_transfer_size > ATAPI_MAX_ANSWER) {
        /* A READ whose position stock did not send: the guest is told (ABORTED COMMAND, data phase error). */
        atapi_error(u, 0x0b, 0x4b);
    } else if (u->elementary_transfer_size) {
        hand_over_rest(u);
    } else {
        hand_over(u, block_size(u));
    }
}

/* ---- DMA ------------------------------------------------------------------------------------------------------ */

/* Where stock keeps it, too. */
static void keep_packet(IdeUnit *u)
{
    memcpy(u->buffer, u->packet, ATAPI_PACKET_SIZE);
    u->next = IDE_NEXT_ATAPI_PACKET;
    u->cur_offset = ATAPI_PACKET_SIZE;
    u->cur_len = 0;
    u->cd_sector_size = 0;
    u->cd_buffered = 0;
}

/* False: the command runs again when the bus master is started. */
static bool dma_may_go(IdeUnit *u)
{
    u->job = IDE_JOB_ATAPI_DMA;
    if (u->bus->dma->started(u->bus->dma_opaque)) {
        u->phase = IDE_DMA;
        u->dma_stopped = false;
        u->bus->dma->rewind(u->bus->dma_opaque);
        return true;
    }
    u->phase = IDE_DMA_WAIT;
    u->status = IDE_READY | IDE_DRQ | IDE_BSY;
    u->nsector = (u->nsector & ~7u) | ATAPI_COD;
    u->packet_transfer_size = 0;
    keep_packet(u);
    return false;
}

/* Too few descriptors, or none that can be read: the drive waits in vain. */
static void dma_stuck(IdeUnit *u)
{
    u->bus->dma->finished(u->bus->dma_opaque, false);
    u->phase = IDE_IDLE;
    u->job = IDE_JOB_NONE;
    u->next = IDE_NEXT_NONE;
    u->status = IDE_READY;
}

static bool hand_to_memory(IdeUnit *u, uint8_t *data, uint32_t len)
{
    if (u->bus->dma->gather(u->bus->dma_opaque, len) < (int64_t)len ||
        !u->bus->dma->move(u->bus->dma_opaque, data, len, true)) {
        dma_stuck(u);
        return false;
    }
    return true;
}

static uint32_t dma_piece_sectors(const IdeUnit *u)
{
    return MIN(u->dma_left, IDE_DMA_PIECE / CD_RAW_SECTOR);
}

static void dma_read_step(IdeUnit *u);

static void dma_read_done(IdeUnit *u, int ret)
{
    uint32_t n = dma_piece_sectors(u);

    if (!ide_io_good(u, ret, true)) {
        return;
    }
    if (ret < 0) {
        memset(u->dma_buf, 0, (size_t)n * CD_SECTOR);
    }
    if (u->dma_stopped) { /* all again at the next start */
        u->dma_stopped = false;
        atapi_execute(u);
        return;
    }
    if (u->cd_sector_size == CD_RAW_SECTOR) {
        make_raw(u->dma_buf, n, u->cd_lba);
    }
    if (!hand_to_memory(u, u->dma_buf, n * u->cd_sector_size)) {
        return;
    }
    u->cd_lba += n;
    u->dma_left -= n;
    dma_read_step(u);
}

static void dma_read_step(IdeUnit *u)
{
    if (!u->dma_left) {
        atapi_ok(u);
        return;
    }
    if (!u->dma_buf) {
        u->dma_buf = g_malloc(IDE_DMA_PIECE);
    }
    read_at(u, u->dma_buf, dma_piece_sectors(u), dma_read_done);
}

void atapi_dma_begin(IdeUnit *u)
{
    atapi_execute(u);
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

/* A byte count of 0 makes no sense where there are data. */
static bool way_is_clear(IdeUnit *u)
{
    if (u->packet_dma ? !u->bus->dma : !byte_limit(u)) {
        ide_abort(u);
        return false;
    }
    return true;
}

void atapi_reply(IdeUnit *u, uint32_t len, uint32_t max)
{
    len = MIN(len, max);
    if (!len) {
        atapi_ok(u);
        return;
    }
    if (!way_is_clear(u)) {
        return;
    }
    if (!u->packet_dma) {
        atapi_consumed(u);
        u->cur_offset = 0;
        u->cd_sector_size = 0;
        u->packet_transfer_size = len;
        hand_over(u, block_size(u));
        return;
    }
    if (dma_may_go(u) && hand_to_memory(u, u->buffer, len)) {
        atapi_consumed(u);
        atapi_ok(u);
    }
}

void atapi_read(IdeUnit *u, uint32_t lba, uint32_t count, unsigned sector_size)
{
    if (!way_is_clear(u)) {
        return;
    }
    trace(ide_atapi_cmd_read, "IDEState: %p; read %s: LBA=%u nb_sectors=%u", (void *)u,
          u->packet_dma ? "dma" : "pio", lba, count);
    if (u->packet_dma) {
        if (dma_may_go(u)) {
            keep_packet(u);
            u->status = IDE_READY | IDE_DRQ | IDE_BSY;
            u->cd_lba = lba;
            u->cd_sector_size = sector_size;
            u->dma_left = count;
            dma_read_step(u);
        }
        return;
    }
    u->cd_lba = lba;
    u->cd_sector_size = sector_size;
    u->cd_buffered = 0;
    u->cur_offset = 0;
    u->packet_transfer_size = count * sector_size;
    atapi_read_block(u);
}
