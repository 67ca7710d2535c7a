/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of quiesce-test that are IDE, AHCI, floppy and USB disks. */
#include "util/osdep.h"
#include "pci-config.h"
#include "quiesce-rig.h"

#include "util/bytes.h"

/* ---- IDE: the driver calls back while it waits, and in the middle of a block ------------------------------------------- */

#define MIDDLE_OF_THE_BLOCK 4 /* the step of a command with one block of data */

static void ide_waits(void *opaque)
{
    quiesce_happens(opaque);
}

static void ide_steps(void *opaque)
{
    QuiesceRig *r = opaque;

    if (++r->steps == MIDDLE_OF_THE_BLOCK) {
        quiesce_happens(r);
    }
}

void quiesce_ide_attach(QuiesceRig *r)
{
    static const IdeCommand ready = { "test-unit-ready", IDE_PACKET_PIO };

    ide_enable_bus_master(r->q);
    ide_driver_init(&r->ide, r->q, 0, 0);
    r->ide.opaque = r;
    for (unsigned i = 0; r->row->cd && ide_run(&r->ide, &ready, NULL, NULL) & IDE_ST_ERR; i++) {
        g_assert_cmpuint(i, <, 4); /* unit attentions */
    }
}

void quiesce_ide_run(QuiesceRig *r, QuiesceOp op)
{
    static const IdeCommand disk[] = {
        [QUIESCE_READ] = { "read", IDE_DMA_FROM, 0xc8, .count = 8, .lba = QUIESCE_READ_AT,
                           .len = QUIESCE_LENGTH },
        [QUIESCE_WRITE] = { "write", IDE_DMA_TO, 0xca, .count = 8, .lba = QUIESCE_WRITE_AT,
                            .len = QUIESCE_LENGTH },
        [QUIESCE_FLUSH] = { "flush", IDE_NO_DATA, 0xe7 },
        [QUIESCE_CONTROL] = { "identify", IDE_PIO_FROM, 0xec, .len = 512 },
    };
    static const IdeCommand cd[] = {
        [QUIESCE_READ] = { "read", IDE_PACKET_DMA, .len = QUIESCE_LENGTH,
                           .cdb = { 0x28, 0, 0, 0, 0, QUIESCE_READ_AT / 4, 0, 0, 2 } },
        [QUIESCE_CONTROL] = { "identify", IDE_PIO_FROM, 0xa1, .len = 512 },
    };

    r->steps = 0;
    r->ide.waiting = op == QUIESCE_CONTROL ? NULL : ide_waits;
    r->ide.step = op == QUIESCE_CONTROL ? ide_steps : NULL;
    g_assert_cmphex(ide_run(&r->ide, r->row->cd ? &cd[op] : &disk[op], r->data, NULL) & IDE_ST_ERR,
                    ==, 0);
}

/* ---- AHCI: one port, slot 3 --------------------------------------------------------------------------------------------------- */

#define SATA 0xfa
#define ABAR UINT64_C(0xfe000000)
#define PORT (ABAR + 0x100)
#define LIST 0x100000
#define TABLE (LIST + 0x1000)
#define SLOT 3
enum { PX_CLB = 0, PX_FB = 8, PX_CMD = 0x18, PX_TFD = 0x20, PX_SACT = 0x34, PX_CI = 0x38 };

void quiesce_ahci_attach(QuiesceRig *r)
{
    static const uint32_t config[][2] = { { 0x24, ABAR }, { 4, 7 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(config); i++) {
        qtest_pci_write(r->q, SATA, config[i][0], config[i][1]);
    }
    qtest_writel(r->q, ABAR + 4, 0x80000002);
    qtest_writel(r->q, PORT + PX_CLB, LIST);
    qtest_writel(r->q, PORT + PX_FB, LIST + 0x400);
    qtest_writel(r->q, PORT + PX_CMD, 0x10);
    qtest_writel(r->q, PORT + PX_CMD, 0x11);
}

static void ahci_fis(const QuiesceRig *r, QuiesceOp op, uint8_t fis[20])
{
    static const uint8_t commands[][QUIESCE_OPS] = { { 0x25, 0x35, 0xea, 0xec },
                                                     { 0x60, 0x61, 0xea, 0xec } };
    bool queued = r->row->ncq && op <= QUIESCE_WRITE;

    memset(fis, 0, 20);
    fis[0] = 0x27;
    fis[1] = 0x80;
    fis[2] = commands[r->row->ncq][op];
    fis[4] = op == QUIESCE_READ ? QUIESCE_READ_AT : op == QUIESCE_WRITE ? QUIESCE_WRITE_AT : 0;
    fis[7] = 0x40;
    if (op <= QUIESCE_WRITE) {
        fis[queued ? 3 : 12] = QUIESCE_LENGTH / QUIESCE_SECTOR;
    }
    if (queued) {
        fis[12] = SLOT << 3;
    }
}

void quiesce_ahci_run(QuiesceRig *r, QuiesceOp op)
{
    uint32_t len = op == QUIESCE_FLUSH ? 0 : op == QUIESCE_CONTROL ? 512 : QUIESCE_LENGTH;
    uint32_t waits = r->row->ncq && op <= QUIESCE_WRITE ? PX_SACT : PX_CI;
    uint8_t fis[20];

    ahci_fis(r, op, fis);
    qtest_memset(r->q, TABLE, 0, 0x100);
    qtest_memwrite(r->q, TABLE, fis, sizeof(fis));
    qtest_writel(r->q, TABLE + 0x80, QUIESCE_DATA_AT);
    qtest_writel(r->q, TABLE + 0x8c, len ? len - 1 : 0);
    qtest_writel(r->q, LIST + 32 * SLOT, 5 | (op == QUIESCE_WRITE) << 6 | (len ? 1 : 0) << 16);
    qtest_writel(r->q, LIST + 32 * SLOT + 4, 0);
    qtest_writel(r->q, LIST + 32 * SLOT + 8, TABLE);
    qtest_writel(r->q, LIST + 32 * SLOT + 12, 0);
    if (op == QUIESCE_WRITE) {
        qtest_memwrite(r->q, QUIESCE_DATA_AT, r->data, len);
    }
    if (waits == PX_SACT) {
        qtest_writel(r->q, PORT + PX_SACT, 1 << SLOT);
    }
    qtest_writel(r->q, PORT + PX_CI, 1 << SLOT);
    quiesce_happens(r);
    for (unsigned i = 0; qtest_readl(r->q, PORT + waits) & 1 << SLOT; i++) {
        g_assert_cmpuint(i, <, 20000);
        g_usleep(200);
    }
    g_assert_cmphex(qtest_readl(r->q, PORT + PX_TFD) & 0x89, ==, 0);
    if (len && op != QUIESCE_WRITE) {
        qtest_memread(r->q, QUIESCE_DATA_AT, r->data, len);
    }
}

/* ---- floppy: sectors by DMA; control is a sector that is read byte by byte, half of it ------------------------------------------ */

enum { DOR = 0x3f2, MSR = 0x3f4, FIFO = 0x3f5, RATE = 0x3f7 };
enum { RQM = 0x80, DIO = 0x40, NON_DMA = 0x20 };

static void fdc_wait(QuiesceRig *r, uint8_t mask, uint8_t value)
{
    for (unsigned i = 0; (qtest_inb(r->q, MSR) & mask) != value; i++) {
        g_assert_cmpuint(i, <, 20000);
        qtest_clock_step(r->q, 1000000);
        g_usleep(200);
    }
}

static void fdc_send(QuiesceRig *r, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fdc_wait(r, RQM | DIO, RQM);
        qtest_outb(r->q, FIFO, bytes[i]);
    }
}
#define FDC_SEND(r, ...) \
    fdc_send(r, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* The first byte of the result. */
static uint8_t fdc_result(QuiesceRig *r)
{
    uint8_t first;

    fdc_wait(r, RQM | DIO | NON_DMA, RQM | DIO);
    first = qtest_inb(r->q, FIFO);
    while (qtest_inb(r->q, MSR) & DIO) {
        qtest_inb(r->q, FIFO);
    }
    return first;
}

void quiesce_fdc_attach(QuiesceRig *r)
{
    qtest_outb(r->q, DOR, 0x08);
    qtest_outb(r->q, DOR, 0x1c);
    for (int n = 0; n < 4; n++) {
        FDC_SEND(r, 0x08);
        fdc_result(r);
    }
    qtest_outb(r->q, RATE, 0); /* 500 kb/s */
}

static void fdc_program_dma(QuiesceRig *r, uint8_t mode)
{
    static const uint16_t at[] = { 0x04, 0x04, 0x81, 0x05, 0x05 };
    static const uint32_t values[] = { QUIESCE_DATA_AT & 0xff, QUIESCE_DATA_AT >> 8 & 0xff,
                                       QUIESCE_DATA_AT >> 16, (QUIESCE_LENGTH - 1) & 0xff,
                                       (QUIESCE_LENGTH - 1) >> 8 };

    qtest_outb(r->q, 0x0a, 6);
    qtest_outb(r->q, 0x0c, 0);
    qtest_outb(r->q, 0x0b, 0x40 | mode | 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
        qtest_outb(r->q, at[i], values[i]);
    }
    qtest_outb(r->q, 0x0a, 2);
}

static void fdc_bytes(QuiesceRig *r)
{
    FDC_SEND(r, 0x03, 0xaf, 0x03); /* SPECIFY: no DMA */
    FDC_SEND(r, 0x66, 0, 0, 0, 1, 2, 1, 0x1b, 0xff);
    for (unsigned i = 0; i < 512; i++) {
        fdc_wait(r, RQM | NON_DMA, RQM | NON_DMA);
        if (i == 256) {
            quiesce_happens(r);
        }
        r->data[i] = qtest_inb(r->q, FIFO);
    }
    fdc_result(r);
}

void quiesce_fdc_run(QuiesceRig *r, QuiesceOp op)
{
    bool write = op == QUIESCE_WRITE;
    unsigned sector = write ? QUIESCE_WRITE_AT : QUIESCE_READ_AT;

    if (op == QUIESCE_CONTROL) {
        fdc_bytes(r);
        return;
    }
    if (write) {
        qtest_memwrite(r->q, QUIESCE_DATA_AT, r->data, QUIESCE_LENGTH);
    }
    FDC_SEND(r, 0x03, 0xaf, 0x02); /* SPECIFY: DMA */
    fdc_program_dma(r, write ? 0x08 : 0x04);
    FDC_SEND(r, write ? 0xc5 : 0xe6, 0, sector / 36, 0, sector % 36 + 1, 2, 18, 0x1b, 0xff);
    qtest_clock_step(r->q, 1000000);
    quiesce_happens(r);
    g_assert_cmphex(fdc_result(r) & 0xc0, ==, 0);
    if (!write) {
        qtest_memread(r->q, QUIESCE_DATA_AT, r->data, QUIESCE_LENGTH);
    }
}

/* ---- USB mass storage ------------------------------------------------------------------------------------------------------------- */

void quiesce_usb_attach(QuiesceRig *r)
{
    uhci_init(&r->uhci, r->q, 0x0a, 0xc040, 0x100000);
    bot_enumerate(&r->bot, &r->uhci, 1, 1);
    bot_wait_ready(&r->bot, 0);
}

static void usb_check_csw(QuiesceRig *r, const uint8_t *csw)
{
    g_assert_cmphex(load_le32(csw + 4), ==, r->bot.tag);
    g_assert_cmpint(csw[12], ==, 0);
}

/* Waits for what is in the queue, and takes it. */
static void usb_finish_in(QuiesceRig *r, void *data, size_t len)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    UhciResult result;

    while ((result = uhci_run(&r->uhci, 50)).status == UHCI_PENDING) {
        g_assert_true(g_get_monotonic_time() < deadline);
    }
    g_assert_cmpint(result.status, ==, UHCI_DONE);
    g_assert_cmpuint(result.actual, ==, len);
    uhci_unlink(&r->uhci);
    r->bot.in_toggle = result.toggle;
    uhci_read_data(&r->uhci, data, len);
}

static void usb_queue_in(QuiesceRig *r, size_t len)
{
    BotDriver *b = &r->bot;

    uhci_queue(b->u, b->address, b->in_endpoint, UHCI_PID_IN, b->in_toggle, NULL, len, b->mps,
               UHCI_TD_SPD);
    uhci_step_frames(b->u, 3);
}

/* A read waits in its data phase; writes and flushes with the status queued; INQUIRY before its data are asked for. */
void quiesce_usb_run(QuiesceRig *r, QuiesceOp op)
{
    static const uint8_t opcodes[] = { 0x28, 0x2a, 0x35, 0x12 };
    size_t len = op == QUIESCE_FLUSH ? 0 : op == QUIESCE_CONTROL ? 36 : QUIESCE_LENGTH;
    BotDirection direction = op == QUIESCE_WRITE ? BOT_OUT : len ? BOT_IN : BOT_NONE;
    uint8_t cdb[10] = { opcodes[op] }, csw[BOT_CSW_SIZE];

    if (op == QUIESCE_CONTROL) {
        cdb[4] = len;
    } else if (len) {
        store_be32(cdb + 2, op == QUIESCE_READ ? QUIESCE_READ_AT : QUIESCE_WRITE_AT);
        store_be16(cdb + 7, len / QUIESCE_SECTOR);
    }
    g_assert_cmpint(bot_send_cbw(&r->bot, 0, direction, cdb, op == QUIESCE_CONTROL ? 6 : 10, len),
                    ==, UHCI_DONE);
    if (op == QUIESCE_CONTROL) {
        quiesce_happens(r);
    }
    if (direction == BOT_OUT) {
        g_assert_cmpint(bot_data(&r->bot, BOT_OUT, r->data, len).status, ==, UHCI_DONE);
    } else if (direction == BOT_IN) {
        usb_queue_in(r, len);
        quiesce_happens(r);
        usb_finish_in(r, r->data, len);
    }
    usb_queue_in(r, sizeof(csw));
    quiesce_happens(r);
    usb_finish_in(r, csw, sizeof(csw));
    usb_check_csw(r, csw);
}

static void usb_stage(QuiesceRig *r, uint8_t pid, bool toggle, const void *data, size_t len)
{
    uhci_queue(&r->uhci, r->bot.address, 0, pid, toggle, data, len, 64, 0);
    g_assert_cmpint(uhci_run(&r->uhci, BOT_FRAMES).status, ==, UHCI_DONE);
    uhci_unlink(&r->uhci);
}

/* A control transfer of the bus itself, in its data stage: GET_DESCRIPTOR of the device. */
void quiesce_usb_transfer(QuiesceRig *r, QuiesceOp op)
{
    static const uint8_t setup[8] = { 0x80, 6, 0, 1, 0, 0, 18, 0 };

    usb_stage(r, UHCI_PID_SETUP, false, setup, sizeof(setup));
    quiesce_happens(r);
    usb_stage(r, UHCI_PID_IN, true, NULL, 18);
    uhci_read_data(&r->uhci, r->data, 18);
    usb_stage(r, UHCI_PID_OUT, true, NULL, 0);
}
