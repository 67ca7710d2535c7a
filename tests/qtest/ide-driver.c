/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. */
#include "util/osdep.h"
#include "ide-driver.h"

#include "util/bytes.h"

#define DEVFN_IDE 0x09
#define PATIENCE_SECONDS 60
#define MAX_BLOCKS 4096

void ide_driver_init(IdeDriver *d, QTest *q, unsigned channel, unsigned unit)
{
    *d = (IdeDriver){
        .q = q,
        .base = channel ? 0x170 : 0x1f0,
        .control = channel ? 0x376 : 0x3f6,
        .bm = IDE_BM_IO + 8 * channel,
        .select = unit ? 0x10 : 0,
    };
}

static void config_write(QTest *q, unsigned offset, uint32_t value)
{
    qtest_outl(q, 0xcf8, 0x80000000 | DEVFN_IDE << 8 | offset);
    qtest_outl(q, 0xcfc, value);
}

void ide_enable_bus_master(QTest *q)
{
    config_write(q, 0x20, IDE_BM_IO | 1);
    config_write(q, 0x04, 0x5);
}

static void step(IdeDriver *d)
{
    if (d->step) {
        d->step(d->opaque);
    }
}

static void G_GNUC_PRINTF(2, 3) note(IdeDriver *d, const char *fmt, ...)
{
    va_list ap;

    if (d->log) {
        va_start(ap, fmt);
        g_string_append_vprintf(d->log, fmt, ap);
        va_end(ap);
    }
}

static void wait_a_bit(IdeDriver *d)
{
    if (d->waiting) {
        d->waiting(d->opaque);
    }
    g_usleep(200);
}

uint8_t ide_wait(IdeDriver *d)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_SECONDS * G_USEC_PER_SEC;
    uint8_t status;

    while ((status = qtest_inb(d->q, d->control)) & IDE_ST_BSY) {
        if (g_get_monotonic_time() > end) {
            g_error("the drive stays busy (status 0x%02x)", status);
        }
        wait_a_bit(d);
    }
    return status;
}

static void put(IdeDriver *d, unsigned reg, uint8_t value)
{
    qtest_outb(d->q, d->base + reg, value);
}

/* The parameters; 48-bit ones twice, the high half first. */
static void put_parameters(IdeDriver *d, const IdeCommand *c)
{
    uint8_t head = c->ext ? 0 : c->lba >> 24 & 0xf;

    put(d, 6, 0xa0 | d->select | (c->chs ? 0 : 0x40) | head);
    if (c->ext) {
        put(d, 2, c->count >> 8);
        put(d, 3, c->lba >> 24);
        put(d, 4, c->lba >> 32);
        put(d, 5, c->lba >> 40);
        step(d);
    }
    put(d, 1, c->feature);
    put(d, 2, c->count);
    put(d, 3, c->lba);
    put(d, 4, c->lba >> 8);
    put(d, 5, c->lba >> 16);
}

static void put_packet_parameters(IdeDriver *d, const IdeCommand *c)
{
    uint32_t limit = c->limit ? c->limit : 0xfffe;

    put(d, 6, 0xa0 | d->select);
    put(d, 1, c->protocol == IDE_PACKET_DMA);
    put(d, 4, limit);
    put(d, 5, limit >> 8);
}

static void put_words(IdeDriver *d, const uint8_t *p, uint32_t len)
{
    for (uint32_t i = 0; i < len; i += 2) {
        if (i == len / 4 * 2 && i) {
            step(d); /* in the middle of a block */
        }
        qtest_outw(d->q, d->base, load_le16(p + i));
    }
}

static void get_words(IdeDriver *d, uint8_t *p, uint32_t len)
{
    for (uint32_t i = 0; i < len; i += 2) {
        uint16_t w;

        if (i == len / 4 * 2 && i) {
            step(d);
        }
        w = qtest_inw(d->q, d->base);
        if (p) {
            p[i] = w;
            if (i + 1 < len) {
                p[i + 1] = w >> 8;
            }
        }
    }
}

void ide_set_table(IdeDriver *d, uint32_t len, uint32_t part)
{
    uint32_t at = IDE_PRD_AT;

    for (uint32_t done = 0; done < len; done += part, at += 8) {
        uint32_t n = MIN(part, len - done);

        qtest_writel(d->q, at, IDE_DATA_AT + done);
        qtest_writel(d->q, at + 4, (n & 0xffff) | (done + n >= len ? 0x80000000 : 0));
    }
    qtest_outl(d->q, d->bm + 4, IDE_PRD_AT);
}

static void start_bus_master(IdeDriver *d, bool to_memory)
{
    step(d);
    qtest_outb(d->q, d->bm, to_memory ? 0x09 : 0x01);
    step(d);
}

/* Waits for the interrupt as the bus master tells it, and stops it. */
static void finish_dma(IdeDriver *d)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_SECONDS * G_USEC_PER_SEC;
    uint8_t status;

    while (!((status = qtest_inb(d->q, d->bm + 2)) & 0x04)) {
        if (g_get_monotonic_time() > end) {
            g_error("no interrupt (bus master status 0x%02x)", status);
        }
        wait_a_bit(d);
    }
    step(d);
    note(d, "bm %02x ", status);
    qtest_outb(d->q, d->bm, 0);
    qtest_outb(d->q, d->bm + 2, 0x06);
}

static uint8_t finish(IdeDriver *d)
{
    uint8_t status;

    ide_wait(d);
    step(d);
    status = qtest_inb(d->q, d->base + 7);
    note(d, "status %02x error %02x regs", status, qtest_inb(d->q, d->base + 1));
    for (unsigned reg = 2; reg <= 6; reg++) {
        note(d, " %02x", qtest_inb(d->q, d->base + reg));
    }
    note(d, "\n");
    return status;
}

/* Blocks until DRQ stays away. */
static uint32_t pio_from(IdeDriver *d, const IdeCommand *c, uint8_t *data)
{
    uint32_t got = 0;

    for (unsigned n = 0; n < MAX_BLOCKS; n++) {
        uint8_t status = ide_wait(d);
        uint32_t block = c->protocol == IDE_PACKET_PIO
                             ? qtest_inb(d->q, d->base + 4) | qtest_inb(d->q, d->base + 5) << 8
                             : 512;

        if (!(status & IDE_ST_DRQ)) {
            break;
        }
        step(d);
        note(d, "block %u ", block);
        get_words(d, data ? data + got : NULL,
                  data ? MIN(block, c->len - MIN(got, c->len)) : block);
        got += block;
    }
    return got;
}

static void pio_to(IdeDriver *d, const IdeCommand *c, const uint8_t *data)
{
    for (uint32_t sent = 0; sent < c->len && ide_wait(d) & IDE_ST_DRQ; sent += 512) {
        step(d);
        put_words(d, data + sent, 512);
    }
}

static void send_packet(IdeDriver *d, const IdeCommand *c)
{
    g_assert_true(ide_wait(d) & IDE_ST_DRQ);
    step(d);
    put_words(d, c->cdb, 12);
}

static bool by_dma(const IdeCommand *c)
{
    return c->protocol == IDE_DMA_FROM || c->protocol == IDE_DMA_TO ||
           c->protocol == IDE_PACKET_DMA;
}

uint8_t ide_run(IdeDriver *d, const IdeCommand *c, void *data, uint32_t *got)
{
    bool dma = by_dma(c), to_memory = c->protocol != IDE_DMA_TO,
         packet = c->protocol >= IDE_PACKET_PIO;
    uint32_t came = 0;
    uint8_t status;

    if (dma) {
        ide_set_table(d, c->len, 3072);
        qtest_outb(d->q, d->bm + 2, 0x06); /* the interrupt of an earlier command */
        if (c->protocol == IDE_DMA_TO) {
            qtest_memwrite(d->q, IDE_DATA_AT, data, c->len);
        } else {
            qtest_memset(d->q, IDE_DATA_AT, 0xee, c->len);
        }
    }
    if (packet) {
        put_packet_parameters(d, c);
    } else {
        put_parameters(d, c);
    }
    step(d);
    if (dma && d->dma_first) {
        start_bus_master(d, to_memory);
    }
    put(d, 7, packet ? 0xa0 : c->command);
    step(d);
    if (packet) {
        send_packet(d, c);
        step(d);
    }
    if (dma) {
        if (!d->dma_first) {
            start_bus_master(d, to_memory);
        }
        finish_dma(d);
        came = c->protocol == IDE_DMA_TO ? 0 : c->len;
        if (came && data) {
            qtest_memread(d->q, IDE_DATA_AT, data, came);
        }
    } else if (c->protocol == IDE_PIO_FROM || c->protocol == IDE_PACKET_PIO) {
        came = pio_from(d, c, data);
    } else if (c->protocol == IDE_PIO_TO) {
        pio_to(d, c, data);
    }
    status = finish(d);
    if (got) {
        *got = came;
    }
    return status;
}

uint32_t ide_sense(IdeDriver *d)
{
    static const IdeCommand request_sense = { "request-sense", IDE_PACKET_PIO,
                                              .cdb = { 0x03, 0, 0, 0, 18 }, .len = 18 };
    uint8_t sense[18] = { 0 };

    ide_run(d, &request_sense, sense, NULL);
    return (sense[2] & 0xf) << 16 | sense[12] << 8 | sense[13];
}
