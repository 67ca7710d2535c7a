/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VGA: registers, the window's write modes, Bochs VBE, EDID, and pictures of every kind of mode (FreeVGA; DISPI of
 * Bochs). Pictures are compared by checksums of what screendump writes; tests/functional/test-stock-vga.py compares the same
 * modes with the stock program's.
 */
#include "util/osdep.h"
#include <stdio.h>
#include "qtest-client.h"

#define PCI_SLOT_2 (2u << 11 | 1u << 31)
#define VRAM 0xe0000000u
#define MMIO 0xe2000000u

enum {
    SEQ = 0x3c4,
    GRC = 0x3ce,
    CRTC = 0x3d4,
    ATTR = 0x3c0,
    STATUS1 = 0x3da,
    VBE_INDEX = 0x1ce,
    VBE_DATA = 0x1cf
};

/*
 * With a move before each command this program would be hundreds of moves for the same few registers, so every third access
 * stands for its neighbours.
 */
static bool still;
static unsigned accesses;

static void may_move(QTest *q)
{
    qtest_set_moving(q, !still && ++accesses % 3 == 0);
}

static void keep_still(QTest *q, bool on)
{
    still = on;
    qtest_set_moving(q, false);
}

static QTest *start(const char *options)
{
    QTest *q = qtest_start("-machine pc -m 2 -device VGA,id=v,addr=2,vgamem_mb=1%s", options);
    static const uint32_t config[][2] = { { 0x10, VRAM }, { 0x18, MMIO }, { 0x04, 3 } };

    keep_still(q, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(config); i++) {
        qtest_outl(q, 0xcf8, PCI_SLOT_2 | config[i][0]);
        qtest_outl(q, 0xcfc, config[i][1]);
    }
    keep_still(q, false);
    return q;
}

static void set(QTest *q, unsigned port, unsigned index, unsigned value)
{
    may_move(q);
    qtest_outw(q, port, value << 8 | index);
}

static unsigned get(QTest *q, unsigned port, unsigned index)
{
    may_move(q);
    qtest_outb(q, port, index);
    return qtest_inb(q, port + 1);
}

static void set_attribute(QTest *q, unsigned index, unsigned value)
{
    may_move(q);
    qtest_inb(q, STATUS1);
    qtest_outb(q, ATTR, index);
    qtest_outb(q, ATTR, value);
}

/* The status register is where the CRT controller is. */
static void show(QTest *q)
{
    qtest_inb(q, STATUS1);
    qtest_inb(q, STATUS1 - 0x20);
    qtest_outb(q, ATTR, 0x20);
}

static void set_vbe(QTest *q, unsigned index, unsigned value)
{
    may_move(q);
    qtest_outw(q, VBE_INDEX, index);
    qtest_outw(q, VBE_DATA, value);
}

static unsigned get_vbe(QTest *q, unsigned index)
{
    may_move(q);
    qtest_outw(q, VBE_INDEX, index);
    return qtest_inw(q, VBE_DATA);
}

static void set_color(QTest *q, unsigned index, unsigned r, unsigned g, unsigned b)
{
    qtest_outb(q, 0x3c8, index);
    qtest_outb(q, 0x3c9, r);
    qtest_outb(q, 0x3c9, g);
    qtest_outb(q, 0x3c9, b);
}

/* Size and the beginning of the checksum: "640x400 1234abcd". */
static char *picture(QTest *q)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "screen.ppm", NULL), *data = NULL,
                    *sum = NULL;
    unsigned width, height;
    gsize len;

    qtest_qmp_ok(q, "{'execute': 'screendump', 'arguments': {'filename': '%s'}}", path);
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    unlink(path);
    g_assert_cmpint(sscanf(data, "P6\n%u %u\n255\n", &width, &height), ==, 2);
    sum = g_compute_checksum_for_data(G_CHECKSUM_MD5, (guchar *)data, len);
    return g_strdup_printf("%ux%u %.8s", width, height, sum);
}

static void assert_picture(QTest *q, const char *what, const char *expected)
{
    g_autofree char *got = picture(q);

    if (strcmp(got, expected)) {
        g_test_message("%s: %s instead of %s", what, got, expected);
        g_test_fail();
    }
}

/* ---- modes --------------------------------------------------------------------------------------------------- */

typedef struct Mode {
    const char *name;
    uint8_t misc, sr[5], cr[25], gr[9], ar[21];
    uint32_t window, size;
    const char *expected;
} Mode;

/* clang-format off */
#define COLORS 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define PLAIN 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
static const Mode modes[] = {
    { "text", 0x67, { 3, 0, 3, 0, 2 },
      { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x20, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f,
        0x96, 0xb9, 0xa3, 0xff },
      { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff }, { COLORS, 0x04, 0, 15, 8, 0 }, 0xb8000, 0x1000, "720x400 2e503a1a" },
    { "text of 40 columns", 0x67, { 3, 8, 3, 0, 2 },
      { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, 0x20, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x1f,
        0x96, 0xb9, 0xa3, 0xff },
      { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff }, { COLORS, 0x04, 0, 15, 8, 0 }, 0xb8000, 0x1000, "640x400 2def2ed5" },
    { "CGA of 4 colours", 0x63, { 3, 9, 3, 0, 2 },
      { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0,
        0x96, 0xb9, 0xa2, 0xff },
      { 0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff }, { PLAIN, 0x01, 0, 3, 0, 0 }, 0xb8000, 0x4000, "640x400 7810f971" },
    { "16 colours", 0xe3, { 3, 1, 15, 0, 6 },
      { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0,
        0xe7, 0x04, 0xe3, 0xff },
      { 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff }, { COLORS, 0x01, 0, 15, 0, 0 }, 0xa0000, 0x8000, "640x480 55426183" },
    { "mode 13h", 0x63, { 3, 1, 15, 0, 14 },
      { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40,
        0x96, 0xb9, 0xa3, 0xff },
      { 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff }, { PLAIN, 0x41, 0, 15, 0, 0 }, 0xa0000, 0x10000, "640x400 4dbb02d7" },
    { "mode X", 0xe3, { 3, 1, 15, 0, 6 },
      { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0d, 0x3e, 0, 0x41, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0,
        0xe7, 0x06, 0xe3, 0xff },
      { 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff }, { PLAIN, 0x41, 0, 15, 0, 0 }, 0xa0000, 0x8000, "640x480 e18ef01c" },
};
/* clang-format on */

/* A mode is some eighty accesses; moves between them are what /vga/registers is for. */
static void set_mode(QTest *q, const Mode *mode)
{
    bool was_still = still;

    keep_still(q, true);
    qtest_outb(q, 0x3c2, mode->misc);
    for (unsigned i = 0; i < sizeof(mode->sr); i++) {
        set(q, SEQ, i, mode->sr[i]);
    }
    set(q, CRTC, 0x11, 0);
    for (unsigned i = 0; i < sizeof(mode->cr); i++) {
        set(q, CRTC, i, mode->cr[i]);
    }
    for (unsigned i = 0; i < sizeof(mode->gr); i++) {
        set(q, GRC, i, mode->gr[i]);
    }
    for (unsigned i = 0; i < sizeof(mode->ar); i++) {
        set_attribute(q, i, mode->ar[i]);
    }
    for (unsigned i = 0; i < 64; i++) {
        set_color(q, i, i * 7 & 63, (i * 13 + 5) & 63, (i * 29 + 9) & 63);
    }
    show(q);
    keep_still(q, was_still);
}

static void fill(QTest *q, uint32_t addr, uint32_t size, uint32_t seed)
{
    g_autofree uint8_t *bytes = g_malloc(size);

    for (uint32_t i = 0; i < size; i++) {
        bytes[i] = (seed = seed * 1664525 + 1013904223) >> 24;
    }
    qtest_memwrite(q, addr, bytes, size);
}

static void test_modes(void)
{
    QTest *q = start("");

    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        const Mode *mode = &modes[i];

        set_mode(q, mode);
        qtest_memset(q, VRAM, 0, 0x40000);
        fill(q, mode->window, mode->size, i);
        if (mode->window == 0xb8000 &&
            mode->cr[9] == 0x4f) { /* a font: every fourth byte of vram */
            set(q, SEQ, 2, 4);
            set(q, SEQ, 4, 6);
            set(q, GRC, 5, 0);
            set(q, GRC, 6, 4);
            fill(q, 0xa0000, 0x2000, 99);
            set(q, SEQ, 2, 3);
            set(q, SEQ, 4, 2);
            set(q, GRC, 5, 0x10);
            set(q, GRC, 6, 0x0e);
        }
        assert_picture(q, mode->name, mode->expected);
    }
    qtest_end(q);
}

static void test_cursor_and_blinking(void)
{
    QTest *q = start("");
    g_autofree char *on = NULL, *off = NULL, *again = NULL, *moved = NULL, *dark = NULL;

    set_mode(q, &modes[0]);
    set(q, GRC, 5, 0x10);
    qtest_writew(q, 0xb8000 + 2 * 5, 0x1720);
    set(q, CRTC, 0x0f, 5);
    off = picture(q);
    set(q, CRTC, 0x0a, 0x0d);
    on = picture(q);
    g_assert_cmpstr(on, !=, off);
    qtest_clock_step(q, 240000000); /* the cursor is dark for 16 frames */
    dark = picture(q);
    g_assert_cmpstr(dark, ==, off);
    qtest_clock_step(q, 240000000);
    again = picture(q);
    g_assert_cmpstr(again, ==, on);
    set(q, CRTC, 0x0f, 5 + 80);
    moved = picture(q);
    g_assert_cmpstr(moved, !=, on);
    qtest_end(q);
}

/* Line compare, start, panning, double scan, screen off: each changes the picture, and back. */
static void test_crtc_effects(void)
{
    static const struct {
        unsigned port, index, value, usual;
        const char *expected;
    } effects[] = {
        { CRTC, 0x0d, 0x28, 0x00, "640x480 58216cb2" },
        { CRTC, 0x13, 0x50, 0x28, "640x480 4a983505" },
        { CRTC, 0x07, 0x2e, 0x3e, "640x480 8ad0296d" },
        { CRTC, 0x09, 0xc0, 0x40, "640x480 eba28c8d" },
        { CRTC, 0x08, 0x20, 0x00, "640x480 0fb24d8a" },
        { ATTR, 0x13, 0x03, 0x00, "640x480 abcbe664" },
        { ATTR, 0x12, 0x05, 0x0f, "640x480 8d9fb051" },
        { SEQ, 0x01, 0x21, 0x01, "640x480 7d4764e9" },
        { SEQ, 0x01, 0x09, 0x01, "1280x480 509ea1c6" },
    };
    QTest *q = start("");
    g_autofree char *usual = NULL;

    set_mode(q, &modes[3]);
    fill(q, 0xa0000, 0x8000, 3);
    qtest_memset(q, 0xa0000, 0x33, 80 * 8);
    usual = picture(q);
    for (unsigned i = 0; i < G_N_ELEMENTS(effects); i++) {
        for (unsigned back = 0; back < 2; back++) {
            unsigned value = back ? effects[i].usual : effects[i].value;

            keep_still(q, back);
            if (effects[i].port == ATTR) {
                set_attribute(q, effects[i].index, value);
                show(q);
            } else {
                set(q, effects[i].port, effects[i].index, value);
            }
            assert_picture(q, effects[i].expected, back ? usual : effects[i].expected);
        }
    }
    qtest_end(q);
}

/* ---- Bochs VBE ------------------------------------------------------------------------------------------------- */

static void test_vbe_depths(void)
{
    static const struct {
        unsigned bpp;
        const char *expected;
    } depths[] = { { 4, "320x200 a101dafb" },  { 8, "320x200 bb5f58a4" },
                   { 15, "320x200 eb29ccd0" }, { 16, "320x200 bc13230c" },
                   { 24, "320x200 c74fe947" }, { 32, "320x200 beb7069e" } };
    QTest *q = start("");

    set_mode(q, &modes[5]);
    for (unsigned i = 0; i < G_N_ELEMENTS(depths); i++) {
        keep_still(q, true);
        set_vbe(q, 4, 0);
        set_vbe(q, 1, 320);
        set_vbe(q, 2, 200);
        set_vbe(q, 3, depths[i].bpp);
        set_vbe(q, 4, 0x41);
        keep_still(q, false);
        fill(q, VRAM, 0x40000, depths[i].bpp);
        set_vbe(q, 8, 8);
        set_vbe(q, 9, 2);
        assert_picture(q, depths[i].expected, depths[i].expected);
    }
    qtest_writel(q, MMIO + 0x604, 0xbebebebe);
    assert_picture(q, "big endian", "320x200 8529d676");
    qtest_end(q);
}

static void test_vbe_registers(void)
{
    QTest *q = start("");
    static const struct {
        unsigned index, value, read;
    } steps[] = {
        { 0, 0xb0c6, 0xb0c5 }, { 0, 0xb0c2, 0xb0c2 }, { 10, 1, 16 },     { 11, 1, 0 },
        { 1, 1003, 1003 },     { 2, 9999, 9999 },     { 3, 7, 7 },       { 4, 1, 1 },
        { 1, 1003, 1000 },     { 2, 9999, 1048 },     { 3, 7, 8 },       { 6, 50, 1000 },
        { 6, 60000, 16000 },   { 7, 5, 65 },          { 8, 100, 100 },   { 9, 9999, 0 },
        { 5, 0x123, 3 },       { 4, 3, 3 },           { 1, 640, 16000 }, { 3, 16, 32 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        set_vbe(q, steps[i].index, steps[i].value);
        g_assert_cmpuint(get_vbe(q, steps[i].index), ==, steps[i].read);
    }
    g_assert_cmphex(qtest_inb(q, VBE_INDEX), ==, 0xff);
    g_assert_cmphex(qtest_readw(q, MMIO + 0x500), ==, 0xb0c2);
    set_vbe(q, 4, 0);
    g_assert_cmphex(qtest_readl(q, MMIO + 0x500), ==, 640u << 16 | 0xb0c2);
    qtest_end(q);
}

/* "Switching to another bank shows the old one." The bank is mapped, and moves. */
static void test_banks(void)
{
    QTest *q = start("");

    set_vbe(q, 1, 640);
    set_vbe(q, 2, 480);
    set_vbe(q, 3, 8);
    set_vbe(q, 4, 1);
    for (unsigned bank = 0; bank < 16; bank += 5) {
        set_vbe(q, 5, bank);
        qtest_writel(q, 0xa0010, 0x11111111 * bank);
        qtest_writel(q, 0xaffec, bank);
    }
    for (unsigned bank = 0; bank < 16; bank += 5) {
        set_vbe(q, 5, bank);
        g_assert_cmphex(qtest_readl(q, 0xa0010), ==, 0x11111111 * bank);
        g_assert_cmphex(qtest_readl(q, VRAM + bank * 0x10000 + 0xffec), ==, bank);
    }
    g_assert_cmphex(qtest_readb(q, 0xb0000), ==, 0xff);
    set_vbe(q, 4, 0x81);
    set_vbe(q, 4, 0);
    g_assert_cmphex(qtest_readl(q, VRAM + 0x10), ==, 0);
    qtest_end(q);
}

/* ---- registers ------------------------------------------------------------------------------------------------- */

static void test_registers(void)
{
    static const uint8_t sr[8] = { 3, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0xff };
    static const uint8_t gr[16] = { 15, 15, 15, 31, 3, 0x7b, 15, 15, 255 };
    QTest *q = start("");

    g_assert_cmphex(qtest_inb(q, CRTC), ==, 0xff); /* it is at 3B4 after reset */
    g_assert_cmphex(qtest_inb(q, 0x3b4), ==, 0);
    qtest_outb(q, 0x3c2, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x3cc), ==, 0xef);
    g_assert_cmphex(qtest_inb(q, 0x3b4), ==, 0xff);
    keep_still(q, true);
    for (unsigned i = 0; i < 16; i++) {
        set(q, GRC, i, 0xff);
        g_assert_cmphex(get(q, GRC, i), ==, gr[i]);
    }
    for (unsigned i = 0; i < 8; i++) {
        set(q, SEQ, i, 0xff);
        g_assert_cmphex(get(q, SEQ, i | 0xf8), ==, sr[i]);
    }
    keep_still(q, false);
    set(q, CRTC, 7, 0);
    set(q, CRTC, 0x11, 0x80);
    set(q, CRTC, 7, 0xff); /* protected, but for one bit */
    set(q, CRTC, 6, 0xff);
    g_assert_cmphex(get(q, CRTC, 7), ==, 0x10);
    g_assert_cmphex(get(q, CRTC, 6), ==, 0);
    g_assert_cmphex(qtest_inb(q, STATUS1) ^ qtest_inb(q, STATUS1), ==, 9);
    qtest_outb(q, ATTR, 0x30);
    g_assert_cmphex(qtest_inb(q, ATTR), ==, 0);
    qtest_outb(q, ATTR, 0xff);
    g_assert_cmphex(qtest_inb(q, ATTR), ==, 0x30);
    g_assert_cmphex(qtest_inb(q, ATTR + 1), ==, 0xef);
    set_color(q, 5, 0x12, 0xff, 0x3f);
    qtest_outb(q, 0x3c7, 5);
    g_assert_cmphex(qtest_inb(q, 0x3c7), ==, 3);
    g_assert_cmphex(qtest_inb(q, 0x3c9), ==, 0x12);
    g_assert_cmphex(qtest_inb(q, 0x3c9), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x3c9), ==, 0x3f);
    g_assert_cmphex(qtest_inb(q, 0x3c8), ==, 6);
    qtest_writew(q, MMIO + 0x404, 0x0502);
    g_assert_cmphex(get(q, SEQ, 2), ==, 5);
    qtest_end(q);
}

static uint32_t word_after(QTest *q, uint8_t written)
{
    may_move(q);
    qtest_readb(q, 0xa0000);
    qtest_writeb(q, 0xa0001, written);
    return qtest_readl(q, VRAM + 4);
}

/* The graphics controller's arithmetic, by hand. */
static void test_write_modes(void)
{
    QTest *q = start("");

    qtest_outb(q, 0x3c2, 0x67);
    set(q, SEQ, 2, 15);
    set(q, SEQ, 4, 6);
    set(q, GRC, 6, 5);
    set(q, GRC, 8, 0xff);
    qtest_writel(q, VRAM, 0x44332211);
    g_assert_cmphex(word_after(q, 0x5a), ==, 0x5a5a5a5a);
    set(q, GRC, 3, 0x04); /* rotate by 4 */
    g_assert_cmphex(word_after(q, 0x5a), ==, 0xa5a5a5a5);
    set(q, GRC, 3, 0x18); /* exclusive or with the latches */
    g_assert_cmphex(word_after(q, 0xff), ==, 0xbbccddee);
    set(q, GRC, 3, 0);
    set(q, GRC, 8, 0x0f);
    g_assert_cmphex(word_after(q, 0xff), ==, 0x4f3f2f1f);
    set(q, GRC, 8, 0xff);
    set(q, GRC, 0, 9);
    set(q, GRC, 1, 3); /* planes 0 and 1 from set/reset: ones and zeros */
    g_assert_cmphex(word_after(q, 0x5a), ==, 0x5a5a00ff);
    set(q, GRC, 5, 1);
    g_assert_cmphex(word_after(q, 0x5a), ==, 0x44332211);
    set(q, GRC, 5, 2);
    g_assert_cmphex(word_after(q, 0x05), ==, 0x00ff00ff);
    set(q, GRC, 5, 3);
    g_assert_cmphex(word_after(q, 0xf0), ==, 0xf40302f1);
    set(q, SEQ, 2, 4);
    set(q, GRC, 5, 0);
    set(q, GRC, 1, 0);
    g_assert_cmphex(word_after(q, 0x77), ==, 0xf47702f1);
    set(q, GRC, 5, 8); /* read mode 1: where plane 1 is set and plane 0 is not */
    set(q, GRC, 2, 2);
    set(q, GRC, 7, 3);
    g_assert_cmphex(qtest_readb(q, 0xa0000), ==, (0x22 & ~0x11) & 0xff);
    qtest_end(q);
}

static void test_edid(void)
{
    QTest *q = start(",xres=1920,yres=1080");
    uint8_t edid[256], sum = 0;

    qtest_memread(q, MMIO, edid, sizeof(edid));
    for (unsigned i = 0; i < sizeof(edid); i++) {
        sum += edid[i];
    }
    g_assert_cmpint(sum, ==, 0);
    g_assert_cmpint(edid[56] | (edid[58] >> 4) << 8, ==, 1920);
    g_assert_cmpint(edid[59] | (edid[61] >> 4) << 8, ==, 1080);
    g_assert_cmphex(qtest_readb(q, MMIO + 0x200), ==, 0xff);
    qtest_end(q);
}

/* Any byte to any register of any mode, with pictures in between: nothing but a picture may come of it. */
static void test_garbage(void)
{
    static const uint16_t ports[] = { 0x3c0, 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x3d4,
                                      0x3d5, 0x3c2, 0x3da, 0x1ce, 0x1cf };
    QTest *q = start("");
    g_autoptr(GRand) rand = g_rand_new_with_seed(20231);

    keep_still(q, true);
    for (unsigned round = 0; round < 60; round++) {
        g_autofree char *shown = NULL;

        set_mode(q, &modes[round % G_N_ELEMENTS(modes)]);
        for (unsigned i = 0; i < 40; i++) {
            unsigned port = ports[g_rand_int_range(rand, 0, G_N_ELEMENTS(ports))];

            if (port < 0x3c0) {
                set_vbe(q, g_rand_int_range(rand, 1, 10), g_rand_int_range(rand, 0, 700));
            } else {
                qtest_outb(q, port, g_rand_int_range(rand, 0, 256));
            }
            qtest_writeb(q, 0xa0000 + g_rand_int_range(rand, 0, 0x20000), i);
            qtest_readb(q, 0xa0000 + g_rand_int_range(rand, 0, 0x20000));
        }
        set(q, SEQ, 1, get(q, SEQ, 1) & ~0x20); /* a dark screen's size is nobody's state */
        show(q);
        shown = picture(q);
        if (round % 20 == 0) {
            g_autofree char *after = NULL;

            qtest_move(q);
            after = picture(q);
            g_assert_cmpstr(after, ==, shown);
        }
    }
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vga/registers", test_registers);
    g_test_add_func("/vga/write-modes", test_write_modes);
    g_test_add_func("/vga/modes", test_modes);
    g_test_add_func("/vga/cursor-and-blinking", test_cursor_and_blinking);
    g_test_add_func("/vga/crtc-effects", test_crtc_effects);
    g_test_add_func("/vga/vbe/registers", test_vbe_registers);
    g_test_add_func("/vga/vbe/depths", test_vbe_depths);
    g_test_add_func("/vga/vbe/banks", test_banks);
    g_test_add_func("/vga/edid", test_edid);
    g_test_add_func("/vga/garbage", test_garbage);
    return g_test_run();
}
