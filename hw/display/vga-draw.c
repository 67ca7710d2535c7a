/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the VGA shows. The registers say a mode (VgaMode, made once per update); a line of the screen is drawn
 * from it into a row and compared with the surface, so that only what looks different is reported.
 *
 * A line is found as the CRT controller does: scan lines of a row count from 0 to the maximum scan line, each twice
 * with double scanning; a row is `offset` further; the line compare starts over at address 0.
 */
#include "util/osdep.h"

#include "util/clock.h"
#include "util/trace.h"
#include "vga.h"

TRACE_EVENT(vga_mode)

/* Frames of 1/70 s: a cursor changes every 16, a blinking character every 32. */
#define BLINK_NS (NS_PER_SEC * 16 / 70)
#define FONT_CHAR 32 /* bytes a character in plane 2 */

typedef enum VgaKind {
    KIND_BLANK,
    KIND_TEXT,
    KIND_PLANES,
    KIND_CGA,
    KIND_BYTES,
    KIND_15,
    KIND_16,
    KIND_24,
    KIND_32
} VgaKind;

/* All that the picture depends on, but for video memory. No padding matters: it is zeroed. */
typedef struct VgaMode {
    VgaKind kind;
    int width, height;
    uint32_t start;        /* first byte of vram */
    uint32_t offset;       /* bytes from row to row */
    unsigned line_compare; /* the last line before address 0 */
    unsigned max_scan;     /* scan lines of a row, less one */
    bool double_scan;
    unsigned preset_row; /* first scan line of the first row */
    unsigned pan;        /* pixels to the left */
    bool pan_compatible; /* the part behind the line compare is not panned */
    bool bank13, bank14; /* scan line bits replace address bits (CGA) */
    unsigned repeat;     /* screen pixels of a pixel */
    bool big_endian;
    bool wide_dac;
    /* text */
    unsigned cell_width;
    uint32_t fonts[2]; /* byte in a plane: attribute bit 3 clear, set */
    bool blink, line_graphics;
    unsigned underline;
    uint32_t cursor; /* byte of vram of its cell */
    unsigned cursor_first, cursor_last;
    bool cursor_on, chars_off;
    unsigned plane_enable;
    uint32_t palette[256]; /* what a pixel's value looks like: 16 of attributes, or all */
} VgaMode;

typedef struct Drawn {
    VgaMode mode;
    uint32_t row[CONSOLE_MAX + 64];
} Drawn;

/* ---- colours --------------------------------------------------------------------------------------------- */

/* Six bits to eight as stock does it: the lowest one fills, so that 0 and 63 become 0 and 255. */
static unsigned widen6(unsigned v)
{
    return (v & 0x3f) << 2 | (v & 1) * 3;
}

static uint32_t dac_color(const VgaCore *s, unsigned index)
{
    const uint8_t *c = &s->palette[index * 3];

    if (vbe_enabled(s) && s->vbe_regs[VBE_ENABLE] & VBE_8BIT_DAC) {
        return (uint32_t)c[0] << 16 | c[1] << 8 | c[2];
    }
    return (uint32_t)widen6(c[0]) << 16 | widen6(c[1]) << 8 | widen6(c[2]);
}

static void get_palette(const VgaCore *s, VgaMode *m)
{
    for (unsigned i = 0; i < (m->kind == KIND_BYTES ? 256 : 16); i++) {
        unsigned index = i;

        if (m->kind != KIND_BYTES) {
            index = s->ar[i] & 0x3f;
            if (s->ar[VGA_AR_MODE] & VGA_AR_MODE_P54) {
                index = (index & 0x0f) | (s->ar[VGA_AR_COLOR_SELECT] & 0x0f) << 4;
            } else {
                index |= (s->ar[VGA_AR_COLOR_SELECT] & 0x0c) << 4;
            }
        }
        m->palette[i] = dac_color(s, index);
    }
}

/* ---- the mode -------------------------------------------------------------------------------------------- */

static uint32_t font_offset(unsigned map)
{
    return (map & 3) * 0x4000 + (map >> 2 & 1) * 0x2000;
}

static void get_text(const VgaCore *s, VgaMode *m, int columns)
{
    unsigned fonts = s->sr[VGA_SR_FONTS],
             position = s->cr[VGA_CR_CURSOR_HIGH] << 8 | s->cr[VGA_CR_CURSOR_LOW];
    int64_t phase = clock_get_ns(CLOCK_VIRTUAL) / BLINK_NS;

    m->kind = KIND_TEXT;
    m->cell_width = s->sr[VGA_SR_CLOCKING] & VGA_CLOCKING_8_DOTS ? 8 : 9;
    m->repeat = 1;
    if (s->sr[VGA_SR_CLOCKING] & VGA_CLOCKING_HALF) {
        m->cell_width = 8;
        m->repeat = 2;
    }
    m->width = columns * m->cell_width * m->repeat;
    m->fonts[0] = font_offset((fonts & 3) | (fonts >> 2 & 4));
    m->fonts[1] = font_offset((fonts >> 2 & 3) | (fonts >> 3 & 4));
    m->blink = s->ar[VGA_AR_MODE] & VGA_AR_MODE_BLINK;
    m->line_graphics = s->ar[VGA_AR_MODE] & VGA_AR_MODE_LINE_GRAPHICS;
    m->underline = s->cr[VGA_CR_UNDERLINE] & 0x1f;
    m->cursor = position * 4 & (s->vram_size - 1);
    m->cursor_first = s->cr[VGA_CR_CURSOR_START] & 0x1f;
    m->cursor_last = s->cr[VGA_CR_CURSOR_END] & 0x1f;
    m->cursor_on = !(s->cr[VGA_CR_CURSOR_START] & 0x20) && !(phase & 1);
    m->chars_off = m->blink && phase >> 1 & 1;
}

static void get_graphics(const VgaCore *s, VgaMode *m, int columns)
{
    unsigned shift = s->gr[VGA_GR_MODE] >> 5 & 3;

    m->kind = shift == 0 ? KIND_PLANES : shift == 1 ? KIND_CGA : KIND_BYTES;
    m->width = columns * 8;
    m->repeat = 1;
    if (m->kind == KIND_BYTES) {
        m->repeat = 2;
    } else if (s->sr[VGA_SR_CLOCKING] & VGA_CLOCKING_HALF) {
        m->width *= 2;
        m->repeat = 2;
    }
    m->bank13 = !(s->cr[VGA_CR_MODE] & 1);
    m->bank14 = !(s->cr[VGA_CR_MODE] & 2);
}

static void get_crtc(const VgaCore *s, VgaMode *m)
{
    const uint8_t *cr = s->cr;
    unsigned overflow = cr[VGA_CR_OVERFLOW];

    m->height = (cr[VGA_CR_V_DISPLAY] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1;
    m->start = (cr[VGA_CR_START_HIGH] << 8 | cr[VGA_CR_START_LOW]) * 4;
    m->start += (cr[VGA_CR_PRESET_ROW] >> 5 & 3) * 4;
    m->offset = cr[VGA_CR_OFFSET] * 8;
    m->line_compare =
        cr[VGA_CR_LINE_COMPARE] | (overflow & 0x10) << 4 | (cr[VGA_CR_MAX_SCAN] & 0x40) << 3;
    m->max_scan = cr[VGA_CR_MAX_SCAN] & 0x1f;
    m->double_scan = cr[VGA_CR_MAX_SCAN] & 0x80;
    m->preset_row = MIN(cr[VGA_CR_PRESET_ROW] & 0x1f, m->max_scan);
    m->pan = s->ar[VGA_AR_PANNING] & 0x0f;
    m->pan_compatible = s->ar[VGA_AR_MODE] & VGA_AR_MODE_PAN_COMPATIBLE;
}

static void get_vbe(const VgaCore *s, VgaMode *m)
{
    static const VgaKind of_bpp[] = { [4] = KIND_PLANES, [8] = KIND_BYTES, [15] = KIND_15,
                                      [16] = KIND_16,    [24] = KIND_24,   [32] = KIND_32 };

    m->kind = of_bpp[s->vbe_regs[VBE_BPP]];
    m->width = s->vbe_regs[VBE_XRES];
    m->height = s->vbe_regs[VBE_YRES];
    m->start = s->vbe_start_addr * 4;
    m->offset = s->vbe_line_offset;
    m->line_compare = UINT_MAX;
    m->repeat = 1;
    m->big_endian = s->big_endian;
    if (m->kind ==
        KIND_PLANES) { /* the offset counts pixels of half a byte, a word of vram has eight */
        m->start = s->vbe_start_addr * 4;
    }
}

/* In pixels; in text modes of nine dots 8 stands for none and 0 for one. */
static void normalize_pan(VgaMode *m)
{
    if (m->kind == KIND_BYTES) {
        m->pan = m->pan >> 1 & 3;
    } else if (m->kind == KIND_TEXT && m->cell_width == 9) {
        m->pan = m->pan >= 8 ? 0 : m->pan + 1;
    } else {
        m->pan &= 7;
    }
}

static void get_mode(const VgaCore *s, VgaMode *m)
{
    memset(m, 0, sizeof(*m));
    if (!(s->ar_index & VGA_AR_INDEX_SHOW) || s->sr[VGA_SR_CLOCKING] & VGA_CLOCKING_SCREEN_OFF) {
        m->kind = KIND_BLANK;
        return;
    }
    if (vbe_enabled(s)) {
        get_vbe(s, m);
    } else {
        get_crtc(s, m);
        if (s->gr[VGA_GR_MISC] & VGA_GR_MISC_GRAPHICS) {
            get_graphics(s, m, s->cr[VGA_CR_H_DISPLAY] + 1);
        } else {
            get_text(s, m, s->cr[VGA_CR_H_DISPLAY] + 1);
        }
        normalize_pan(m);
    }
    m->plane_enable = s->ar[VGA_AR_PLANE_ENABLE] & 0xf;
    get_palette(s, m);
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static uint32_t *put_pixel(uint32_t *out, uint32_t color, unsigned repeat)
{
    out[0] = color;
    out[1] = color; /* where it is not repeated the next one covers it */
    return out + repeat;
}

static void row_text(const VgaCore *s, const VgaMode *m, uint32_t addr, unsigned scan,
                     uint32_t *out)
{
    const uint32_t mask = s->vram_size - 1;
    unsigned cells = m->width / (m->cell_width * m->repeat) + (m->pan > 0);

    for (unsigned i = 0; i < cells; i++, addr += 4) {
        const uint8_t *cell = s->vram_ptr + (addr & mask);
        unsigned code = cell[0], attribute = cell[1];
        uint32_t glyph = (m->fonts[attribute >> 3 & 1] + code * FONT_CHAR + scan) * 4 + 2;
        unsigned dots = s->vram_ptr[glyph & mask] << 1;
        uint32_t fg = m->palette[attribute & 0xf],
                 bg = m->palette[attribute >> 4 & (m->blink ? 7 : 15)];

        if (m->line_graphics && code >= 0xc0 && code <= 0xdf) {
            dots |= dots >> 1 & 1;
        }
        if (scan == m->underline && (attribute & 7) == 1) {
            dots = 0x1ff;
        }
        if (m->chars_off && attribute & 0x80) {
            dots = 0;
        }
        if (m->cursor_on && (addr & mask) == m->cursor && scan >= m->cursor_first &&
            scan <= m->cursor_last) {
            dots = 0x1ff;
        }
        for (unsigned x = 0; x < m->cell_width; x++) {
            out = put_pixel(out, dots & 0x100 >> x ? fg : bg, m->repeat);
        }
    }
}

static void row_planes(const VgaCore *s, const VgaMode *m, uint32_t addr, uint32_t *out)
{
    unsigned words = (m->width / m->repeat + 7) / 8 + (m->pan > 0);

    for (unsigned i = 0; i < words; i++, addr += 4) {
        const uint8_t *planes = s->vram_ptr + (addr & (s->vram_size - 1) & ~3u);

        for (int bit = 7; bit >= 0; bit--) {
            unsigned value = (planes[0] >> bit & 1) | (planes[1] >> bit & 1) << 1 |
                             (planes[2] >> bit & 1) << 2 | (planes[3] >> bit & 1) << 3;

            out = put_pixel(out, m->palette[value & m->plane_enable], m->repeat);
        }
    }
}

/* Two bits a pixel: four pixels of plane 0, four of plane 1; planes 2 and 3 add two bits to each. */
static void row_cga(const VgaCore *s, const VgaMode *m, uint32_t addr, uint32_t *out)
{
    unsigned words = (m->width / m->repeat + 7) / 8 + (m->pan > 0);

    for (unsigned i = 0; i < words; i++, addr += 4) {
        const uint8_t *planes = s->vram_ptr + (addr & (s->vram_size - 1) & ~3u);

        for (unsigned half = 0; half < 2; half++) {
            for (int bit = 6; bit >= 0; bit -= 2) {
                unsigned value = (planes[half] >> bit & 3) | (planes[2 + half] >> bit & 3) << 2;

                out = put_pixel(out, m->palette[value & m->plane_enable], m->repeat);
            }
        }
    }
}

static void row_bytes(const VgaCore *s, const VgaMode *m, uint32_t addr, uint32_t *out)
{
    const uint32_t mask = s->vram_size - 1;
    unsigned n = m->width / m->repeat + m->pan;

    for (unsigned i = 0; i < n; i++) {
        out = put_pixel(out, m->palette[s->vram_ptr[(addr + i) & mask]], m->repeat);
    }
}

/* Bits of a colour widened to eight. */
static uint32_t rgb555(unsigned v)
{
    unsigned r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

    return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static uint32_t rgb565(unsigned v)
{
    unsigned r = v >> 11 & 31, g = v >> 5 & 63, b = v & 31;

    return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

static void row_direct(const VgaCore *s, const VgaMode *m, uint32_t addr, uint32_t *out)
{
    const uint32_t mask = s->vram_size - 1;
    unsigned size = m->kind == KIND_32 ? 4 : m->kind == KIND_24 ? 3 : 2;

    for (int x = 0; x < m->width; x++, addr += size) {
        uint32_t value = 0;

        for (unsigned i = 0; i < size; i++) {
            unsigned shift = (m->big_endian ? size - 1 - i : i) * 8;

            value |= (uint32_t)s->vram_ptr[(addr + i) & mask] << shift;
        }
        *out++ = m->kind == KIND_15   ? rgb555(value)
                 : m->kind == KIND_16 ? rgb565(value)
                                      : value & 0xffffff;
    }
}

/* The common case: pixels as the surface has them. */
static bool row_copy(const VgaCore *s, const VgaMode *m, uint32_t addr, uint32_t *out)
{
    addr &= s->vram_size - 1;
    if (m->kind != KIND_32 || m->big_endian || G_BYTE_ORDER != G_LITTLE_ENDIAN ||
        addr + (size_t)m->width * 4 > s->vram_size) {
        return false;
    }
    memcpy(out, s->vram_ptr + addr, (size_t)m->width * 4);
    for (int x = 0; x < m->width; x++) {
        out[x] &= 0xffffff;
    }
    return true;
}

/* Where the line's row begins, which of its scan lines it is, and whether it stands behind the line compare. */
static uint32_t find_line(const VgaMode *m, int y, unsigned *scan, bool *split)
{
    unsigned line = y, rows;
    uint32_t addr = m->start;

    *split = line > m->line_compare;
    if (*split) {
        line -= m->line_compare + 1;
        addr = 0;
    }
    line >>= m->double_scan;
    if (!*split) {
        line += m->preset_row;
    }
    *scan = line % (m->max_scan + 1);
    rows = line / (m->max_scan + 1);
    addr += rows * m->offset;
    if (m->bank13) {
        unsigned bit = m->kind == KIND_CGA ? 1u << 14 : 1u << 15;

        addr = (addr & ~bit) | (*scan & 1 ? bit : 0);
    }
    if (m->bank14) {
        unsigned bit = m->kind == KIND_CGA ? 1u << 15 : 1u << 16;

        addr = (addr & ~bit) | (*scan & 2 ? bit : 0);
    }
    return addr;
}

/* Draws line y; returns its first pixel. */
static const uint32_t *draw_row(const VgaCore *s, const VgaMode *m, int y, uint32_t *row)
{
    bool split;
    unsigned scan, pan = m->pan * m->repeat;
    uint32_t addr = find_line(m, y, &scan, &split);

    switch (m->kind) {
    case KIND_TEXT:
        row_text(s, m, addr, scan, row);
        break;
    case KIND_PLANES:
        row_planes(s, m, addr, row);
        break;
    case KIND_CGA:
        row_cga(s, m, addr, row);
        break;
    case KIND_BYTES:
        row_bytes(s, m, addr, row);
        break;
    default:
        if (!row_copy(s, m, addr, row)) {
            row_direct(s, m, addr, row);
        }
        break;
    }
    return split && m->pan_compatible ? row : row + pan;
}

/* ---- the screen ------------------------------------------------------------------------------------------ */

/* Lines that changed, collected into one rectangle while they follow each other. */
typedef struct Change {
    Console *con;
    int left, right, top, bottom; /* empty: top == bottom */
} Change;

static void change_report(Change *c)
{
    if (c->top < c->bottom) {
        console_damage(c->con, c->left, c->top, c->right - c->left, c->bottom - c->top);
    }
    c->top = c->bottom = 0;
}

static void update_line(Change *c, int y, const uint32_t *row, uint32_t *shown, int width)
{
    int left = 0, right = width;

    if (!memcmp(row, shown, (size_t)width * 4)) {
        change_report(c);
        return;
    }
    while (row[left] == shown[left]) {
        left++;
    }
    while (row[right - 1] == shown[right - 1]) {
        right--;
    }
    memcpy(shown + left, row + left, (size_t)(right - left) * 4);
    if (c->top == c->bottom) {
        *c = (Change){ c->con, left, right, y, y + 1 };
    } else {
        c->left = MIN(c->left, left);
        c->right = MAX(c->right, right);
        c->bottom = y + 1;
    }
}

/* A dark screen keeps its size. */
static void draw_blank(VgaCore *s, Drawn *d)
{
    pixman_image_t *surface = console_surface(s->console);
    int width = pixman_image_get_width(surface), height = pixman_image_get_height(surface);
    uint32_t *pixels = pixman_image_get_data(surface);
    Change change = { .con = s->console };

    memset(d->row, 0, (size_t)width * 4);
    for (int y = 0; y < height; y++) {
        update_line(&change, y, d->row, pixels + (size_t)y * pixman_image_get_stride(surface) / 4,
                    width);
    }
    change_report(&change);
}

void vga_draw(void *opaque)
{
    VgaCore *s = opaque;
    Drawn *d = s->drawn ? s->drawn : (s->drawn = g_new0(Drawn, 1));
    VgaMode *m = &d->mode;
    Change change = { .con = s->console };
    pixman_image_t *surface;
    uint32_t *pixels;

    get_mode(s, m);
    trace(vga_mode, "kind %d, %dx%d, start 0x%x, offset %u", m->kind, m->width, m->height, m->start,
          m->offset);
    if (m->kind == KIND_BLANK) {
        draw_blank(s, d);
        return;
    }
    surface = console_resize(s->console, m->width, m->height);
    pixels = pixman_image_get_data(surface);
    for (int y = 0; y < m->height; y++) {
        update_line(&change, y, draw_row(s, m, y, d->row),
                    pixels + (size_t)y * pixman_image_get_stride(surface) / 4, m->width);
    }
    change_report(&change);
}

void vga_draw_free(VgaCore *s)
{
    g_clear_pointer(&s->drawn, g_free);
}
