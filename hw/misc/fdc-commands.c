/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of the floppy controller (82078 data sheet, chapters 4 and 5): the table, and those that move no data of
 * the medium. Everything but data is done at once; READ ID takes the time of a turn, as guests expect.
 */
#include "util/osdep.h"
#include "fdc-private.h"

#define READ_ID_NS (NS_PER_SEC / 50)
#define VERSION_82078 0x90
#define PART_ID_82078 0x41

static FdcPlace *select_drive(Fdc *s, uint8_t byte)
{
    s->dor = (s->dor & ~1u) | (byte & 1);
    return fdc_selected(s);
}

static void invalid(Fdc *s)
{
    s->fifo[0] = ST0_INVALID;
    fdc_result(s, 1);
}

static void read_data(Fdc *s)
{
    fdc_start_transfer(s, FDC_READ);
}

static void write_data(Fdc *s)
{
    fdc_start_transfer(s, FDC_WRITE);
}

static void scan(Fdc *s)
{
    fdc_start_transfer(s, FDC_SCAN);
}

static void verify(Fdc *s)
{
    fdc_start_transfer(s, FDC_VERIFY);
}

/* There are no deleted sectors on an image: none is found. */
static void read_deleted(Fdc *s)
{
    select_drive(s, s->fifo[1]);
    s->status0 = s->status1 = s->status2 = 0;
    fdc_stop_transfer(s, ST0_ABNORMAL, 0, 0x40 /* control mark */);
}

/* 5.2.6: from the first sector of the track on, whatever the command says. */
static void read_track(Fdc *s)
{
    s->fifo[0] &= 0x7f;
    s->fifo[4] = 1;
    fdc_start_transfer(s, FDC_READ);
}

static void specify(Fdc *s)
{
    s->timer0 = s->fifo[1] >> 4;
    s->timer1 = s->fifo[2] >> 1;
    s->dor = s->fifo[2] & 1 ? s->dor & ~0x08 : s->dor | 0x08; /* ND: no DMA */
    fdc_idle(s);
}

static void sense_drive(Fdc *s)
{
    FdcPlace *p = select_drive(s, s->fifo[1]);

    p->head = s->fifo[1] & ST0_HEAD ? 1 : 0;
    s->fifo[0] =
        (p->read_only ? 0x40 : 0) | (p->track == 0 ? 0x10 : 0) | p->head << 2 | (s->dor & 1) | 0x28;
    fdc_result(s, 1);
}

static void seek_over(Fdc *s)
{
    fdc_idle(s);
    s->status0 = ST0_SEEK_END;
    fdc_raise_irq(s);
}

/* Steps pass the disk's index: the drive sees that there is one. */
static void step_to(FdcPlace *p, uint8_t track)
{
    if (p->track != track && floppy_has_medium(p)) {
        p->media_changed = 0;
    }
    p->track = track;
}

static void recalibrate(Fdc *s)
{
    step_to(select_drive(s, s->fifo[1]), 0);
    seek_over(s);
}

static void seek(Fdc *s)
{
    FdcPlace *p = select_drive(s, s->fifo[1]);

    p->head = s->fifo[1] & ST0_HEAD ? 1 : 0;
    step_to(p, MIN(s->fifo[2], p->max_track));
    seek_over(s);
}

static void relative_seek(Fdc *s)
{
    FdcPlace *p = select_drive(s, s->fifo[1]);
    int to = p->track + (s->fifo[0] & 0x40 ? s->fifo[2] : -s->fifo[2]);

    step_to(p, CLAMP(to, 0, p->max_track));
    seek_over(s);
}

/* 5.3.3. After a reset once for each of four drives. */
static void sense_interrupt(Fdc *s)
{
    if (s->reset_sensei > 0) {
        s->fifo[0] = ST0_POLLING | (FDC_SENSES_AFTER_RESET - s->reset_sensei);
        s->reset_sensei--;
    } else if (!(s->sra & 0x80)) {
        invalid(s);
        return;
    } else {
        s->fifo[0] = (s->status0 & ~(ST0_HEAD | 1)) | (s->dor & 1);
    }
    s->fifo[1] = fdc_selected(s)->track;
    fdc_result(s, 2);
    fdc_lower_irq(s);
    s->status0 = 0;
}

static void version(Fdc *s)
{
    s->fifo[0] = VERSION_82078;
    fdc_result(s, 1);
}

static void part_id(Fdc *s)
{
    s->fifo[0] = PART_ID_82078;
    fdc_result(s, 1);
}

static void configure(Fdc *s)
{
    s->config = s->fifo[2];
    s->precomp_trk = s->fifo[3];
    fdc_idle(s);
}

static void lock(Fdc *s)
{
    s->lock = s->fifo[0] & 0x80 ? 1 : 0;
    s->fifo[0] = s->lock << 4;
    fdc_result(s, 1);
}

static uint8_t lock_byte(const Fdc *s, const FdcPlace *p)
{
    return s->lock << 7 | p->perpendicular << 2;
}

static void dump_registers(Fdc *s)
{
    FdcPlace *p = fdc_selected(s);
    const uint8_t result[10] = {
        s->places[0].track,
        s->places[1].track,
        0,
        0,
        s->timer0,
        s->timer1 << 1 | (s->dor & 0x08 ? 0 : 1),
        p->last_sect,
        lock_byte(s, p),
        s->config,
        s->precomp_trk,
    };

    memcpy(s->fifo, result, sizeof(result));
    fdc_result(s, sizeof(result));
}

static void save(Fdc *s)
{
    FdcPlace *p = fdc_selected(s);
    const uint8_t result[15] = {
        0,
        0,
        s->places[0].track,
        s->places[1].track,
        0,
        0,
        s->timer0,
        s->timer1,
        p->last_sect,
        lock_byte(s, p),
        s->config,
        s->precomp_trk,
        s->pwrd,
        0,
        0,
    };

    memcpy(s->fifo, result, sizeof(result));
    fdc_result(s, sizeof(result));
}

static void restore(Fdc *s)
{
    FdcPlace *p = fdc_selected(s);

    s->places[0].track = s->fifo[3];
    s->places[1].track = s->fifo[4];
    s->timer0 = s->fifo[7];
    s->timer1 = s->fifo[8];
    s->lock = s->fifo[10] >> 7;
    p->perpendicular = s->fifo[10] >> 2 & 0xf;
    s->config = s->fifo[11];
    s->precomp_trk = s->fifo[12];
    s->pwrd = s->fifo[13];
    fdc_idle(s);
}

static void perpendicular(Fdc *s)
{
    if (s->fifo[1] & 0x80) {
        fdc_selected(s)->perpendicular = s->fifo[1] & 0x07;
    }
    fdc_idle(s);
}

static void powerdown(Fdc *s)
{
    s->pwrd = s->fifo[1];
    s->fifo[0] = s->fifo[1];
    fdc_result(s, 1);
}

static void option(Fdc *s)
{
    fdc_idle(s);
}

/* 5.4.10: bytes until one says that it is the last; whether it wants an answer. Five are taken here. */
static void drive_specification(Fdc *s)
{
    if (s->fifo[s->data_pos - 1] & 0x40) {
        fdc_idle(s);
    } else {
        memset(s->fifo, 0, 4);
        fdc_result(s, 4);
    }
}

static void read_id(Fdc *s)
{
    FdcPlace *p = select_drive(s, s->fifo[1]);

    p->head = s->fifo[1] & ST0_HEAD ? 1 : 0;
    s->msr = MSR_BUSY;
    s->status0 = s->status1 = s->status2 = 0;
    timer_mod(&s->result_timer, clock_get_ns(CLOCK_VIRTUAL) + READ_ID_NS);
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static const struct {
    uint8_t value, mask, parameters;
    void (*run)(Fdc *s);
} commands[] = {
    { 0x06, 0x1f, 8, read_data },      { 0x05, 0x3f, 8, write_data },
    { 0x0f, 0xff, 2, seek },           { 0x08, 0xff, 0, sense_interrupt },
    { 0x07, 0xff, 1, recalibrate },    { 0x0d, 0xbf, 5, fdc_start_format },
    { 0x02, 0xbf, 8, read_track },     { 0x4e, 0xff, 17, restore },
    { 0x2e, 0xff, 0, save },           { 0x0c, 0x1f, 8, read_deleted },
    { 0x11, 0x1f, 8, scan },           { 0x16, 0x1f, 8, verify },
    { 0x19, 0x1f, 8, scan },           { 0x1d, 0x1f, 8, scan },
    { 0x09, 0x3f, 8, write_data }, /* deleted data are data on an image */
    { 0x0a, 0xbf, 1, read_id },        { 0x03, 0xff, 2, specify },
    { 0x04, 0xff, 1, sense_drive },    { 0x12, 0xff, 1, perpendicular },
    { 0x13, 0xff, 3, configure },      { 0x17, 0xff, 2, powerdown },
    { 0x33, 0xff, 1, option },         { 0x8e, 0xff, 5, drive_specification },
    { 0x8f, 0xff, 2, relative_seek },  { 0xcf, 0xff, 2, relative_seek },
    { 0x0e, 0xff, 0, dump_registers }, { 0x10, 0xff, 0, version },
    { 0x18, 0xff, 0, part_id },        { 0x14, 0x7f, 0, lock },
};

static int find(uint8_t opcode)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if ((opcode & commands[i].mask) == commands[i].value) {
            return i;
        }
    }
    return -1;
}

unsigned fdc_parameters(uint8_t opcode)
{
    int i = find(opcode);

    return i < 0 ? 0 : commands[i].parameters;
}

void fdc_execute(Fdc *s)
{
    int i = find(s->fifo[0]);

    if (i < 0) {
        invalid(s);
    } else {
        commands[i].run(s);
    }
}
