/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floppy controller (82078 data sheet): reset, seeks, sectors by DMA and byte by byte, media, errors. Each
 * transfer is also cut at every step by a live migration: what the guest gets equals what it gets without (P1).
 */
#include "util/osdep.h"
#include "qtest-client.h"

#include <stdio.h>
#include <string.h>

#define IMAGE_144 1474560
#define IMAGE_720 737280
#define SEED 21
#define BUFFER 0x20000
#define PATIENCE_SECONDS 60

enum { DOR = 0x3f2, MSR = 0x3f4, FIFO = 0x3f5, RATE = 0x3f7 };
enum { RQM = 0x80, DIO = 0x40, NON_DMA = 0x20, BUSY = 0x10 };

static QTest *q;
static unsigned steps, move_at;

/* The guest takes a step. */
static void step(void)
{
    if (++steps == move_at) {
        qtest_move(q);
    }
}

static uint8_t wait_status(uint8_t mask, uint8_t value)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_SECONDS * G_USEC_PER_SEC;
    uint8_t status;

    while (((status = qtest_inb(q, MSR)) & mask) != value) {
        if (g_get_monotonic_time() > end) {
            g_error("status stays 0x%02x", status);
        }
        qtest_clock_step(q, 1000000);
        g_usleep(200);
    }
    return status;
}

static void send(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wait_status(RQM | DIO, RQM);
        qtest_outb(q, FIFO, bytes[i]);
        step();
    }
}
#define SEND(...) send((const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

/* The result, as text. */
static char *result(void)
{
    GString *s = g_string_new(NULL);

    wait_status(RQM | DIO | NON_DMA, RQM | DIO);
    do {
        g_string_append_printf(s, "%02x ", qtest_inb(q, FIFO));
        step();
    } while (qtest_inb(q, MSR) & DIO);
    return g_string_free(s, false);
}

static void expect(const char *text)
{
    g_autofree char *got = result();

    g_assert_cmpstr(got, ==, text);
}

static void reset_controller(void)
{
    qtest_outb(q, DOR, 0x08);
    qtest_outb(q, DOR, 0x1c);
    for (int n = 0; n < 4; n++) {
        g_autofree char *want = g_strdup_printf("%02x 00 ", 0xc0 | n);

        SEND(0x08);
        expect(want);
    }
    qtest_outb(q, RATE, 0); /* 500 kb/s */
    SEND(0x03, 0xaf, 0x02); /* SPECIFY: DMA */
}

/* Channel 2, single mode. */
static void program_dma(unsigned len, uint8_t mode)
{
    qtest_outb(q, 0x0a, 6);
    qtest_outb(q, 0x0c, 0);
    qtest_outb(q, 0x0b, 0x40 | mode | 2);
    qtest_outb(q, 0x04, BUFFER & 0xff);
    qtest_outb(q, 0x04, BUFFER >> 8 & 0xff);
    qtest_outb(q, 0x81, BUFFER >> 16);
    qtest_outb(q, 0x05, len - 1);
    qtest_outb(q, 0x05, (len - 1) >> 8);
    step();
    qtest_outb(q, 0x0a, 2);
}

static const char *machine_args(const char *image, const char *more)
{
    static char *args;

    g_free(args);
    args = g_strdup_printf("-machine pc-i440fx-7.2 -m 16 -drive if=none,id=f,file=%s,format=raw%s "
                           "-device floppy,id=fd,drive=f",
                           image, more);
    return args;
}

static void start(const char *name, uint64_t size, const char *more)
{
    q = qtest_start("%s", machine_args(qtest_image(name, size, SEED), more));
    steps = move_at = 0;
}

static void check_buffer(uint64_t offset, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);

    qtest_memread(q, BUFFER, data, len);
    for (size_t i = 0; i < len; i++) {
        if (data[i] != qtest_image_byte(offset + i, SEED)) {
            g_error("byte %zu of the transfer is wrong", i);
        }
    }
}

/* ---- without moves of our own (QTEST_MOVE_EVERY applies) ----------------------------------------------------- */

static void test_registers(void)
{
    start("registers", IMAGE_144, "");
    g_assert_cmphex(qtest_inb(q, DOR), ==, 0x0c);
    g_assert_cmphex(qtest_inb(q, MSR), ==, 0x80);
    reset_controller();
    SEND(0x10);
    expect("90 ");
    SEND(0x18);
    expect("41 ");
    SEND(0x08); /* nothing to sense */
    expect("80 ");
    SEND(0x94);
    expect("10 ");
    SEND(0x13, 0, 0x57, 3);
    SEND(0x0e);
    expect("00 00 00 00 0a 02 12 80 57 03 ");
    SEND(0xff);
    expect("80 ");
    qtest_end(q);
}

static void test_seek(void)
{
    start("seek", IMAGE_144, "");
    reset_controller();
    g_assert_cmphex(qtest_inb(q, RATE) & 0x80, ==, 0x80); /* a disk has come */
    SEND(0x0f, 0x00, 5);
    SEND(0x08);
    expect("20 05 ");
    g_assert_cmphex(qtest_inb(q, RATE) & 0x80, ==, 0);
    SEND(0x04, 0x00);
    expect("28 ");
    SEND(0x07, 0x00);
    SEND(0x08);
    expect("20 00 ");
    SEND(0x04, 0x00);
    expect("38 ");
    SEND(0x4a, 0x00); /* READ ID */
    expect("00 00 00 00 00 02 02 ");
    qtest_end(q);
}

static void test_errors(void)
{
    start("errors", IMAGE_720, ",readonly=on");
    reset_controller();
    program_dma(512, 0x04);
    SEND(0xe6, 0, 0, 0, 1, 2, 9, 0x1b, 0xff); /* at the rate of another medium */
    expect("40 01 00 00 00 01 02 ");
    qtest_outb(q, RATE, 2);
    program_dma(512, 0x08);
    SEND(0xc5, 0, 0, 0, 1, 2, 9, 0x1b, 0xff); /* write protected */
    expect("40 02 00 00 00 01 02 ");
    program_dma(512, 0x04);
    SEND(0xe6, 0, 0, 0, 10, 2, 9, 0x1b, 0xff); /* no such sector */
    expect("40 80 00 00 00 0a 02 ");
    SEND(0xe6, 0, 200, 0, 1, 2, 9, 0x1b, 0xff); /* no such track */
    expect("40 04 00 00 00 0a 02 ");
    qtest_end(q);
}

static void test_media(void)
{
    const char *other = qtest_image("other", IMAGE_144, SEED + 1);
    uint8_t byte;

    start("media", IMAGE_144, "");
    qtest_set_moving(q, false);
    reset_controller();
    SEND(0x0f, 0x00, 5);
    SEND(0x08);
    expect("20 05 ");
    qtest_qmp_ok(q,
                 "{'execute': 'blockdev-change-medium', 'arguments': {'id': 'fd', 'filename': "
                 "'%s', 'format': 'raw'}}",
                 other);
    g_assert_cmphex(qtest_inb(q, RATE) & 0x80, ==, 0x80);
    program_dma(512, 0x04);
    SEND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    g_free(result());
    qtest_memread(q, BUFFER, &byte, 1);
    g_assert_cmphex(byte, ==, qtest_image_byte(0, SEED + 1));
    qtest_qmp_ok(q, "{'execute': 'eject', 'arguments': {'id': 'fd'}}");
    SEND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    expect("40 01 00 00 00 02 02 ");
    qtest_end(q);
}

/* A guest selects another drive, which is not there, while a sector is half read: that is no reason not to move. */
static void test_other_drive_selected_in_the_middle_and_moved(void)
{
    start("other-drive", IMAGE_144, "");
    qtest_set_moving(q, false);
    reset_controller();
    SEND(0x03, 0xaf, 0x03);
    SEND(0x66, 0, 0, 0, 1, 2, 2, 0x1b, 0xff);
    for (size_t i = 0; i < 512; i++) {
        wait_status(RQM | NON_DMA, RQM | NON_DMA);
        if (i == 100) {
            qtest_outb(q, DOR, 0x15);
            qtest_move(q);
        }
        g_assert_cmphex(qtest_inb(q, FIFO), ==, qtest_image_byte(i, SEED));
    }
    /* Its next sector is on a drive without a medium. */
    g_assert_cmphex(wait_status(RQM | NON_DMA, RQM) & DIO, ==, DIO);
    g_assert_cmphex(qtest_inb(q, FIFO) & 0xc0, ==, 0x40);
    qtest_end(q);
}

static void test_cmos(void)
{
    start("cmos", IMAGE_144, "");
    qtest_outb(q, 0x70, 0x10);
    g_assert_cmphex(qtest_inb(q, 0x71), ==, 0x40);
    qtest_outb(q, 0x70, 0x14);
    g_assert_cmphex(qtest_inb(q, 0x71), ==, 0x07);
    qtest_end(q);
}

/* ---- cut at each step ------------------------------------------------------------------------------------------ */

static char *read_dma(void)
{
    char *r;

    program_dma(3 * 512 + 100, 0x04);
    SEND(0xe6, 0, 2, 0, 17, 2, 18, 0x1b, 0xff); /* two sectors of one head, the rest of the other */
    step();
    r = result();
    check_buffer((2 * 2 * 18 + 16) * 512, 3 * 512 + 100);
    return r;
}

static char *read_bytes(void)
{
    uint8_t data[1024];

    SEND(0x03, 0xaf, 0x03);
    SEND(0x66, 0, 1, 0, 4, 2, 5, 0x1b, 0xff);
    for (size_t i = 0; i < sizeof(data); i++) {
        wait_status(RQM | NON_DMA, RQM | NON_DMA);
        if (i % 170 == 0) {
            step();
        }
        data[i] = qtest_inb(q, FIFO);
        g_assert_cmphex(data[i], ==, qtest_image_byte((2 * 18 + 3) * 512 + i, SEED));
    }
    return result();
}

static void write_pattern(uint8_t *data, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = qtest_image_byte(i, seed);
    }
}

static void read_back(uint8_t sector, size_t len, uint32_t seed)
{
    g_autofree uint8_t *data = g_malloc(len);

    SEND(0x03, 0xaf, 0x02);
    program_dma(len, 0x04);
    SEND(0xe6, 0, 3, 0, sector, 2, 18, 0x1b, 0xff);
    g_free(result());
    qtest_memread(q, BUFFER, data, len);
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(data[i], ==, qtest_image_byte(i, seed));
    }
}

static char *write_dma(void)
{
    uint8_t data[1024];
    char *r;

    write_pattern(data, sizeof(data), 50 + move_at);
    qtest_memwrite(q, BUFFER, data, sizeof(data));
    program_dma(sizeof(data), 0x08);
    SEND(0xc5, 0, 3, 0, 2, 2, 18, 0x1b, 0xff);
    step();
    r = result();
    read_back(2, sizeof(data), 50 + move_at);
    return r;
}

static char *write_bytes(void)
{
    uint8_t data[512];
    char *r;

    write_pattern(data, sizeof(data), 90 + move_at);
    SEND(0x03, 0xaf, 0x03);
    SEND(0x45, 0, 3, 0, 7, 2, 7, 0x1b, 0xff);
    for (size_t i = 0; i < sizeof(data); i++) {
        wait_status(RQM | NON_DMA | DIO, RQM | NON_DMA);
        if (i % 100 == 0) {
            step();
        }
        qtest_outb(q, FIFO, data[i]);
    }
    r = result();
    read_back(7, sizeof(data), 90 + move_at);
    return r;
}

static char *read_id(void)
{
    SEND(0x4a, 0x00);
    step();
    return result();
}

static char *format(void)
{
    SEND(0x4d, 0, 2, 18, 0x1b, 0xf6);
    step();
    return result();
}

typedef struct Transfer {
    const char *name;
    char *(*run)(void);
} Transfer;

static const Transfer transfers[] = {
    { "read-dma", read_dma },       { "read-bytes", read_bytes }, { "write-dma", write_dma },
    { "write-bytes", write_bytes }, { "read-id", read_id },       { "format", format },
};

static char *run_transfer(const Transfer *t, unsigned at)
{
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    move_at = 0;
    reset_controller();
    steps = 0;
    move_at = at;
    return t->run();
}

static void test_moved(gconstpointer opaque)
{
    const Transfer *t = opaque;
    g_autofree char *plain = NULL;
    unsigned total;

    start(t->name, IMAGE_144, "");
    qtest_set_moving(q, false);
    plain = run_transfer(t, 0);
    total = steps;
    for (unsigned at = 1; at <= total; at++) {
        g_autofree char *moved = run_transfer(t, at);

        if (strcmp(moved, plain)) {
            g_error("%s, moved at step %u of %u: %s, not moved: %s", t->name, at, total, moved,
                    plain);
        }
    }
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdc/registers", test_registers);
    g_test_add_func("/fdc/seek", test_seek);
    g_test_add_func("/fdc/errors", test_errors);
    g_test_add_func("/fdc/media", test_media);
    g_test_add_func("/fdc/other-drive-selected-in-the-middle-and-moved",
                    test_other_drive_selected_in_the_middle_and_moved);
    g_test_add_func("/fdc/cmos", test_cmos);
    for (size_t i = 0; i < G_N_ELEMENTS(transfers); i++) {
        g_autofree char *path = g_strdup_printf("/fdc/moved/%s", transfers[i].name);

        g_test_add_data_func(path, &transfers[i], test_moved);
    }
    return g_test_run();
}
