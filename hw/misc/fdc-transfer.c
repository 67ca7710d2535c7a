/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data of the floppy controller: sector by sector between fifo, a block front, and the guest, by DMA or byte by
 * byte (82078 data sheet, 5.2 and 6.x).
 *
 *   reading   fetch a sector --> DREQ or RQM --> its last byte --> next sector, or the result
 *   writing   DREQ or RQM --> last byte of a sector --> write it --> next sector, or the result
 *
 * A transfer ends with terminal count, or behind the last sector that the command names; both are good, as with stock.
 * Block I/O is submitted in the main thread, register writes may come from others. One that is given up by a
 * reset keeps its own memory; the next waits for it.
 */
#include "util/osdep.h"
#include "fdc-private.h"

#include "util/error.h"
#include "util/iov.h"

struct FdcRequest {
    Fdc *fdc;
    BlockFront *front;
    bool is_write, submitted, orphan;
    uint64_t offset;
    uint8_t data[FDC_SECTOR];
    IoVec vec;
    BlockAio *aio;
    FdcIoDone *done;
};

/* ---- block I/O ------------------------------------------------------------------------------------------ */

static void submit(void *opaque);

static void io_over(void *opaque, int ret)
{
    FdcRequest *r = opaque;
    Fdc *s = r->fdc;
    FdcIoDone *done = r->done;
    bool orphan = r->orphan;

    if (!orphan) {
        if (!r->is_write && ret >= 0) {
            memcpy(s->fifo, r->data, FDC_SECTOR);
        }
        s->request = NULL;
    }
    iovec_destroy(&r->vec);
    front_unref(r->front);
    g_free(r);
    if (!orphan) {
        done(s, ret);
    } else if (--s->orphans == 0) {
        submit(s);
    }
}

static void submit(void *opaque)
{
    Fdc *s = opaque;
    FdcRequest *r = s->request;

    if (!r || r->submitted || s->orphans) {
        return;
    }
    r->submitted = true;
    r->aio = r->is_write ? front_aio_write(r->front, r->offset, &r->vec, 0, io_over, r)
                         : front_aio_read(r->front, r->offset, &r->vec, io_over, r);
}

static uint64_t sector_number(const FdcPlace *p)
{
    return ((uint64_t)p->track * p->heads + p->head) * p->last_sect + p->sect - 1;
}

/*
 * Whether the selected drive has the sector under its head. It may have gone in the middle of a command: the medium was taken out or
 * another drive selected.
 */
static bool has_sector(Fdc *s)
{
    const FdcPlace *p = fdc_selected(s);

    return floppy_has_medium(p) && p->sect && p->sect <= p->last_sect && p->head < p->heads &&
           p->track <= p->max_track;
}

/* The command ends if there is no such sector. */
static void start_io(Fdc *s, bool is_write, FdcIoDone *done)
{
    FdcRequest *r;

    if (!has_sector(s)) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_MISSING_ADDRESS, 0);
        return;
    }
    r = g_new0(FdcRequest, 1);
    r->fdc = s;
    r->front = front_ref(fdc_selected(s)->drive->conf.front);
    r->is_write = is_write;
    r->offset = sector_number(fdc_selected(s)) * FDC_SECTOR;
    r->done = done;
    iovec_init(&r->vec, 1);
    iovec_add(&r->vec, r->data, FDC_SECTOR);
    if (is_write) {
        memcpy(r->data, s->fifo, FDC_SECTOR);
    }
    s->request = r;
    if (in_main_thread()) {
        submit(s);
    } else {
        bh_schedule(s->submit);
    }
}

void fdc_cancel(Fdc *s)
{
    FdcRequest *r = s->request;

    s->request = NULL;
    fdc_set_dreq(s, false);
    timer_del(&s->result_timer);
    s->sector_ready = false;
    s->terminal_count = false;
    if (!r) {
        return;
    }
    if (r->submitted) {
        r->orphan = true;
        s->orphans++;
    } else {
        iovec_destroy(&r->vec);
        front_unref(r->front);
        g_free(r);
    }
}

void fdc_settle(Fdc *s)
{
    do {
        submit(s);
        for (unsigned n = 0; n < FDC_DRIVES; n++) {
            if (s->places[n].drive) {
                front_drain(s->places[n].drive->conf.front);
            }
        }
    } while (s->request && !s->request->submitted);
}

/* ---- where the heads are ------------------------------------------------------------------------------------ */

/* To the next sector of the command. False: that was the last (82078, table 5-7: then the next cylinder). */
static bool next_sector(Fdc *s)
{
    FdcPlace *p = fdc_selected(s);
    bool more = true;

    if (p->sect != s->eot && p->sect < p->last_sect) {
        p->sect++;
        return true;
    }
    p->sect = 1;
    if (s->data_state & 1 && p->head == 0 && p->heads > 1) {
        p->head = 1;
    } else {
        p->head = 0;
        if (p->track < p->max_track) {
            p->track++;
            s->status0 |= ST0_SEEK_END;
        }
        more = false;
    }
    return more;
}

void fdc_stop_transfer(Fdc *s, uint8_t status0, uint8_t status1, uint8_t status2)
{
    FdcPlace *p = fdc_selected(s);

    fdc_set_dreq(s, false);
    s->sector_ready = false;
    s->terminal_count = false;
    s->status0 |= status0;
    s->status1 |= status1;
    s->status2 |= status2;
    s->fifo[0] = s->status0 | p->head << 2 | (s->dor & 1);
    s->fifo[1] = s->status1;
    s->fifo[2] = s->status2;
    s->fifo[3] = p->track;
    s->fifo[4] = p->head;
    s->fifo[5] = p->sect;
    s->fifo[6] = FDC_SECTOR_CODE;
    s->data_dir = FDC_READ;
    s->msr &= ~MSR_NON_DMA;
    fdc_result(s, 7);
    fdc_raise_irq(s);
}

/* ---- sectors -------------------------------------------------------------------------------------------------- */

static bool by_dma(const Fdc *s)
{
    return s->dor & 0x08;
}

/* The guest may move bytes now. */
static void data_wanted(Fdc *s)
{
    s->sector_ready = true;
    if (by_dma(s)) {
        fdc_set_dreq(s, true);
        return;
    }
    s->msr |= MSR_RQM | MSR_NON_DMA;
    if (s->data_dir == FDC_READ) {
        s->msr |= MSR_DIO;
    }
    fdc_raise_irq(s);
}

static void no_data_wanted(Fdc *s)
{
    s->sector_ready = false;
    fdc_set_dreq(s, false);
    s->msr &= ~(MSR_RQM | MSR_DIO);
}

static void sector_fetched(Fdc *s, int ret)
{
    if (ret < 0) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NO_DATA | ST1_DATA_ERROR, ST2_DATA_ERROR);
        return;
    }
    if (s->data_dir == FDC_VERIFY) {
        s->data_pos += FDC_SECTOR;
        if (next_sector(s) && s->data_pos < s->data_len) {
            start_io(s, false, sector_fetched);
        } else {
            fdc_stop_transfer(s, 0, 0, 0);
        }
        return;
    }
    data_wanted(s);
}

static void fetch(Fdc *s)
{
    no_data_wanted(s);
    start_io(s, false, sector_fetched);
}

/* All bytes of the sector at hand have passed, or terminal count came. */
static void sector_passed(Fdc *s)
{
    bool more;

    if (!has_sector(s)) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_MISSING_ADDRESS, 0);
        return;
    }
    more = next_sector(s) && s->data_pos < s->data_len;
    if (s->terminal_count || !more) {
        fdc_stop_transfer(s, 0, 0, s->data_dir == FDC_SCAN ? ST2_SCAN_HIT : 0);
    } else if (s->data_dir == FDC_WRITE) {
        data_wanted(s);
    } else {
        fetch(s);
    }
}

static void sector_written(Fdc *s, int ret)
{
    if (ret < 0) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_DATA_ERROR | (ret == -EPERM ? ST1_NOT_WRITABLE : 0),
                          0);
        return;
    }
    sector_passed(s);
}

/* A part of a sector at terminal count: the rest is zeros (82078, 5.2.4). */
static void store(Fdc *s)
{
    unsigned at = s->data_pos % FDC_SECTOR;

    if (at) {
        memset(s->fifo + at, 0, FDC_SECTOR - at);
    }
    no_data_wanted(s);
    start_io(s, true, sector_written);
}

/* ---- FORMAT TRACK: four bytes for each sector ------------------------------------------------------------------- */

static void format_next(Fdc *s);

static void formatted(Fdc *s, int ret)
{
    FdcPlace *p = fdc_selected(s);

    if (ret < 0) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NOT_WRITABLE, 0);
        return;
    }
    p->sect++;
    format_next(s);
}

static void format_next(Fdc *s)
{
    FdcPlace *p = fdc_selected(s);

    if (p->sect > s->eot || p->sect > p->last_sect) {
        p->sect = 1;
        fdc_stop_transfer(s, 0, 0, 0);
        return;
    }
    memset(s->fifo, s->filler, FDC_SECTOR);
    start_io(s, true, formatted);
}

/* The identifiers are as they must be on a medium whose format is given: they are not waited for. */
void fdc_start_format(Fdc *s)
{
    FdcPlace *p;

    s->dor = (s->dor & ~1u) | (s->fifo[1] & 1);
    p = fdc_selected(s);
    p->head = s->fifo[1] & ST0_HEAD ? 1 : 0;
    p->sect = 1;
    s->eot = s->fifo[3];
    s->filler = s->fifo[5];
    s->status0 = s->status1 = s->status2 = 0;
    s->data_pos = s->data_len = 0;
    s->data_dir = FDC_FORMAT;
    s->phase = FDC_EXECUTION;
    s->msr = MSR_BUSY;
    if (!floppy_has_medium(p)) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_MISSING_ADDRESS, 0);
    } else if (p->read_only) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NOT_WRITABLE, 0);
    } else if (s->fifo[2] != FDC_SECTOR_CODE || p->head >= p->heads) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NO_DATA, 0);
    } else {
        format_next(s);
    }
}

/* ---- the bytes ---------------------------------------------------------------------------------------------------- */

uint8_t fdc_pio_read(Fdc *s)
{
    unsigned at = s->data_pos % FDC_SECTOR;
    uint8_t value = s->fifo[at];

    if (!s->sector_ready || s->data_dir != FDC_READ) {
        return 0;
    }
    fdc_lower_irq(s);
    if (++s->data_pos % FDC_SECTOR == 0) {
        no_data_wanted(s);
        sector_passed(s);
    }
    return value;
}

void fdc_pio_write(Fdc *s, uint8_t value)
{
    if (!s->sector_ready || s->data_dir != FDC_WRITE) {
        return;
    }
    fdc_lower_irq(s);
    s->fifo[s->data_pos % FDC_SECTOR] = value;
    if (++s->data_pos % FDC_SECTOR == 0) {
        store(s);
    }
}

/* SCAN (82078, 5.2.9): the host's byte FFh fits anything. */
static bool scan_fits(const Fdc *s, const uint8_t *host, unsigned at, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t disk = s->fifo[at + i];
        bool fits = host[i] == 0xff || disk == host[i] ||
                    ((s->command & 0x1f) == 0x19 ? disk < host[i]
                                                 : (s->command & 0x1f) == 0x1d && disk > host[i]);

        if (!fits) {
            return false;
        }
    }
    return true;
}

static void scan(Fdc *s, unsigned channel, unsigned done, unsigned at, unsigned n)
{
    uint8_t host[FDC_SECTOR];

    isa_dma_read(isa_device_bus(&s->isa.device), channel, host, done, n);
    if (!scan_fits(s, host, at, n)) {
        s->status2 |= ST2_SCAN_NOT_SATISFIED;
    }
}

unsigned fdc_dma_transfer(void *opaque, unsigned channel, unsigned done, unsigned total)
{
    Fdc *s = opaque;
    IsaBus *bus = isa_device_bus(&s->isa.device);
    unsigned at = s->data_pos % FDC_SECTOR, n = MIN(FDC_SECTOR - at, total - done);

    if (!s->sector_ready || s->phase != FDC_EXECUTION) {
        return done;
    }
    switch (s->data_dir) {
    case FDC_READ:
        if (isa_dma_type(bus, channel) == ISA_DMA_TO_MEMORY) {
            isa_dma_write(bus, channel, s->fifo + at, done, n, "isa-fdc");
        }
        break;
    case FDC_WRITE:
        isa_dma_read(bus, channel, s->fifo + at, done, n);
        break;
    case FDC_SCAN:
        scan(s, channel, done, at, n);
        break;
    }
    s->data_pos += n;
    s->terminal_count = done + n >= total;
    if (s->terminal_count || s->data_pos % FDC_SECTOR == 0) {
        no_data_wanted(s);
        if (s->data_dir == FDC_WRITE) {
            store(s);
        } else {
            sector_passed(s);
        }
    }
    return done + n;
}

/* ---- the start ------------------------------------------------------------------------------------------------------ */

/* Sectors from here to the last that the command names. */
static uint32_t sectors_of_command(const Fdc *s, const FdcPlace *p)
{
    uint32_t last = MIN(s->eot ? s->eot : p->last_sect, p->last_sect),
             n = last >= p->sect ? last - p->sect + 1 : 1;

    return s->data_state & 1 && p->head == 0 && p->heads > 1 ? n + last : n;
}

static bool position(Fdc *s, FdcPlace *p, uint8_t track, uint8_t head, uint8_t sect)
{
    if (track > p->max_track || head >= p->heads) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NO_DATA, 0);
        return false;
    }
    if (p->track != track) {
        s->status0 |= ST0_SEEK_END;
        p->media_changed = 0;
    }
    p->track = track;
    p->head = head;
    if (!sect || sect > p->last_sect) {
        p->sect = sect;
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_END_OF_CYLINDER, 0);
        return false;
    }
    p->sect = sect;
    return true;
}

void fdc_start_transfer(Fdc *s, FdcDirection direction)
{
    uint8_t track = s->fifo[2], head = s->fifo[3], sect = s->fifo[4];
    FdcPlace *p;

    s->command = s->fifo[0];
    s->dor = (s->dor & ~1u) | (s->fifo[1] & 1);
    p = fdc_selected(s);
    s->data_dir = direction;
    s->data_state = s->fifo[0] & 0x80 ? 1 : 0;
    s->eot = s->fifo[6];
    s->status0 = s->status1 = s->status2 = 0;
    s->data_pos = 0;
    s->phase = FDC_EXECUTION;
    s->msr = MSR_BUSY;
    if (!floppy_has_medium(p) || p->media_rate != (s->dsr & 3)) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_MISSING_ADDRESS, 0);
        return;
    }
    if (s->fifo[5] != FDC_SECTOR_CODE) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NO_DATA, 0);
        return;
    }
    if (!position(s, p, track, head, sect)) {
        return;
    }
    if (direction == FDC_WRITE && p->read_only) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_NOT_WRITABLE, 0);
        return;
    }
    s->data_len = sectors_of_command(s, p) * FDC_SECTOR;
    if (direction == FDC_WRITE) {
        data_wanted(s);
    } else {
        fetch(s);
    }
}

/* ---- arrival, life ---------------------------------------------------------------------------------------------------- */

/* Reading: the sector is read again, and goes on behind what the guest has had of it. */
void fdc_resume(Fdc *s)
{
    if (s->phase != FDC_EXECUTION || s->sector_ready || s->request) {
        return;
    }
    if (s->data_dir == FDC_WRITE) {
        data_wanted(s);
    } else if (s->data_dir == FDC_FORMAT) {
        format_next(s);
    } else {
        fetch(s);
    }
}

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    if (running) {
        fdc_resume(opaque);
    } else {
        fdc_settle(opaque);
    }
}

static QuiesceResult quiesce(void *opaque, GError **error)
{
    Fdc *s = opaque;

    fdc_settle(s);
    if (s->request) {
        error_set(error, "isa-fdc: a sector waits for its image");
        return QUIESCE_BUSY;
    }
    return QUIESCE_DONE;
}

static const QuiesceOps quiesce_ops = {
    .name = "isa-fdc",
    .quiesce = quiesce,
};

void fdc_transfer_init(Fdc *s)
{
    s->submit = bh_new(NULL, "fdc-submit", submit, s);
    s->vm_state = vm_state_add_handler(vm_state_changed, s, 0);
    s->quiesce = quiesce_register(&quiesce_ops, s);
}

void fdc_transfer_end(Fdc *s)
{
    vm_state_del_handler(s->vm_state);
    quiesce_unregister(s->quiesce);
    bh_delete(s->submit);
}
