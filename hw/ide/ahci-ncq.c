/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Native command queuing (Serial ATA 2.6, 13.6; AHCI 1.3.1, 5.6.4): up to 32 transfers beside each other. A command's data go
 * through a buffer of its own, piece by piece; its end is told by a set device bits FIS.
 *
 *   used ──> request in flight ──> next piece … ──> over
 *                  │ error under rerror/werror=stop, or parked
 *                  └──> halt ──(the VM runs)──> from its beginning again
 */
#include "util/osdep.h"
#include "ahci.h"

#include "util/bytes.h"
#include "util/trace.h"

TRACE_EVENT(process_ncq_command)
TRACE_EVENT(ncq_finish)
TRACE_EVENT(ncq_err)

#define RFIS_SDB 0x58
#define FIS_SDB 0xa1
#define FIS_INTERRUPT 0x40
#define COMMAND_WRITE_FPDMA 0x61
#define PIECE_SECTORS 2048
#define STATUS_IN_SDB 0x77 /* BSY and DRQ are not in it */

struct NcqRequest {
    AhciPort *port;
    AhciNcq *tf; /* NULL: given up */
    BlockAio *aio;
    IoVec vec;
    GArray *segments;
    uint32_t done, piece; /* sectors */
    uint8_t buf[];
};

static BlockFront *front_of(const AhciPort *p)
{
    return p->unit->drive->conf.front;
}

static bool is_write(const AhciNcq *tf)
{
    return tf->cmd == COMMAND_WRITE_FPDMA;
}

bool ahci_ncq_active(const AhciPort *p)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        if (p->ncq[i].used) {
            return true;
        }
    }
    return false;
}

/* ---- ends ----------------------------------------------------------------------------------------------------------- */

static void send_sdb(AhciPort *p, uint32_t finished, uint32_t interrupts)
{
    uint8_t fis[8] = { FIS_SDB, FIS_INTERRUPT, p->unit->status & STATUS_IN_SDB, p->unit->error };
    uint64_t area;

    p->scr_act &= ~finished;
    store_le32(fis + 4, finished);
    p->tfdata = (p->tfdata & ~(STATUS_IN_SDB | 0xff00u)) | fis[2] | fis[3] << 8;
    if (ahci_fis_area(p, &area)) {
        pci_dma_write(&p->ahci->pci, area + RFIS_SDB, fis, sizeof(fis));
    }
    ahci_port_interrupt(p, AHCI_IS_SDBS | interrupts);
}

static void finish(AhciPort *p, AhciNcq *tf)
{
    trace(ncq_finish, "ahci(%p)[%u][tag:%u]: NCQ transfer finished", (void *)p->ahci, p->number,
          tf->tag);
    tf->used = tf->halt = false;
    p->unit->status = IDE_READY;
    p->unit->error = 0;
    send_sdb(p, 1u << tf->tag, 0);
    ahci_port_kick(p);
}

static void fail(AhciPort *p, AhciNcq *tf)
{
    trace(ncq_err, "ahci(%p)[%u][tag:%u]: NCQ transfer failed", (void *)p->ahci, p->number,
          tf->tag);
    tf->used = tf->halt = false;
    p->unit->status = IDE_READY | IDE_ERR;
    p->unit->error = IDE_ERROR_ABRT;
    send_sdb(p, 1u << tf->tag, AHCI_IS_TFES);
    ahci_port_kick(p);
}

static void request_free(NcqRequest *r)
{
    if (r->tf) {
        r->tf->request = NULL;
    }
    iovec_destroy(&r->vec);
    g_array_free(r->segments, true);
    g_free(r);
}

/* ---- pieces ---------------------------------------------------------------------------------------------------------- */

static void next_piece(NcqRequest *r);

static bool error_ends_it(NcqRequest *r, int ret)
{
    AhciPort *p = r->port;
    AhciNcq *tf = r->tf;
    bool is_read = !is_write(tf);
    BlockErrorAction action;

    if (ret == -ECANCELED) { /* parked */
        tf->halt = true;
        return true;
    }
    action = front_error_action(front_of(p), is_read, -ret);
    tf->halt = action == BLOCK_ERROR_ACTION_STOP;
    front_error_apply(front_of(p), action, is_read, -ret);
    if (action == BLOCK_ERROR_ACTION_REPORT) {
        fail(p, tf);
    }
    return action != BLOCK_ERROR_ACTION_IGNORE;
}

static void piece_done(void *opaque, int ret)
{
    NcqRequest *r = opaque;
    AhciPort *p = r->port;
    AhciNcq *tf = r->tf;

    if (!tf) { /* given up */
        request_free(r);
        if (--p->orphans == 0) {
            ahci_port_kick(p);
        }
        return;
    }
    if (ret < 0 && error_ends_it(r, ret)) {
        request_free(r);
        return;
    }
    if (!is_write(tf)) {
        if (ret < 0) {
            memset(r->buf, 0, (size_t)r->piece * BLOCK_SECTOR);
        }
        if (!ahci_move(p, r->segments, r->buf, (uint64_t)r->piece * BLOCK_SECTOR, true)) {
            ahci_port_interrupt(p, AHCI_IS_HBFS);
        }
    }
    r->done += r->piece;
    ahci_set_transferred(p, tf->slot, r->done * BLOCK_SECTOR);
    next_piece(r);
}

static void next_piece(NcqRequest *r)
{
    AhciPort *p = r->port;
    AhciNcq *tf = r->tf;
    uint64_t at = (tf->lba + r->done) * BLOCK_SECTOR, len;

    r->piece = MIN(tf->sector_count - r->done, PIECE_SECTORS);
    if (!r->piece) {
        request_free(r);
        finish(p, tf);
        return;
    }
    len = (uint64_t)r->piece * BLOCK_SECTOR;
    if (!ahci_gather(p, tf->slot, (uint64_t)r->done * BLOCK_SECTOR, len, r->segments) ||
        (is_write(tf) && !ahci_move(p, r->segments, r->buf, len, false))) {
        ahci_port_interrupt(p, AHCI_IS_HBFS);
        request_free(r);
        fail(p, tf);
        return;
    }
    iovec_destroy(&r->vec);
    iovec_init(&r->vec, 1);
    iovec_add(&r->vec, r->buf, len);
    r->aio = is_write(tf) ? front_aio_write(front_of(p), at, &r->vec, 0, piece_done, r)
                          : front_aio_read(front_of(p), at, &r->vec, piece_done, r);
}

static void begin(AhciPort *p, AhciNcq *tf)
{
    NcqRequest *r =
        g_malloc(sizeof(*r) + (size_t)MIN(tf->sector_count, PIECE_SECTORS) * BLOCK_SECTOR);

    memset(r, 0, sizeof(*r));
    tf->halt = false;
    tf->request = r;
    r->port = p;
    r->tf = tf;
    r->segments = g_array_new(false, false, sizeof(AhciSegment));
    iovec_init(&r->vec, 1);
    next_piece(r);
}

void ahci_ncq_start(AhciPort *p, unsigned slot, const uint8_t *fis)
{
    AhciNcq *tf = &p->ncq[fis[12] >> 3];
    uint32_t count = fis[3] | fis[11] << 8;

    p->cmd_issue &= ~(1u << slot);
    if (tf->used) { /* a tag that is in use ends that command, too */
        if (tf->request) {
            tf->request->tf = NULL;
            p->orphans++;
        }
        tf->request = NULL;
        fail(p, tf);
        return;
    }
    *tf = (AhciNcq){
        .used = true,
        .slot = slot,
        .tag = fis[12] >> 3,
        .cmd = fis[2],
        .sector_count = count ? count : 65536,
        .lba = fis[4] | fis[5] << 8 | fis[6] << 16 | (uint64_t)fis[8] << 24 |
               (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40,
    };
    trace(process_ncq_command,
          "ahci(%p)[%u][tag:%u]: NCQ op 0x%02x on sectors [%" PRIu64 ",%" PRIu64 "]",
          (void *)p->ahci, p->number, tf->tag, tf->cmd, tf->lba, tf->lba + tf->sector_count - 1);
    if (!ata_range_valid(p->unit, tf->lba, tf->sector_count)) {
        front_account_invalid(front_of(p), is_write(tf) ? BLOCK_STAT_WRITE : BLOCK_STAT_READ);
        fail(p, tf);
        return;
    }
    begin(p, tf);
}

/* ---- standing still, giving up ------------------------------------------------------------------------------------------ */

void ahci_ncq_go_on(AhciPort *p)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        if (p->ncq[i].used && !p->ncq[i].request) {
            begin(p, &p->ncq[i]);
        }
    }
}

void ahci_ncq_cancel(AhciPort *p)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        NcqRequest *r = p->ncq[i].request;

        if (r) {
            r->tf = NULL;
            p->orphans++;
            if (in_main_thread()) {
                front_aio_cancel(r->aio);
            }
        }
        p->ncq[i] = (AhciNcq){ 0 };
    }
}

void ahci_ncq_park(AhciPort *p)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        if (p->ncq[i].request) {
            front_aio_cancel(p->ncq[i].request->aio);
        }
    }
    if (p->unit->drive && front_of(p)) {
        front_drain(front_of(p));
    }
}
