/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EDID of a virtual monitor (VESA E-EDID 1.4, CTA-861-G). Its values are those that guests see with stock's. */
#include "util/osdep.h"

#include "edid.h"
#include "util/bytes.h"
#include "util/error.h"

enum {
    BLOCK = 128,
    DPI = 100,
    DEFAULT_XRES = 1280,
    DEFAULT_YRES = 800,
    DEFAULT_REFRESH_MHZ = 75000,
    TIMING_MAX_PIXELS = 4095, /* 12 bits */
    TIMING_MAX_CLOCK = 65535, /* in 10 kHz */
    SIZE_MAX_CM = 255,
    RES_MAX = 16383,
};

/* A mode that is listed if it is not larger than the largest: where its bit or code goes. */
typedef struct Listed {
    uint16_t xres, yres;
    uint8_t byte, bit;
} Listed;

/* Established timings I to III (3.8, 3.10.3.9): all of them at 60 Hz. */
static const Listed established[] = {
    { 640, 480, 35, 5 },
    { 800, 600, 35, 0 },
    { 1024, 768, 36, 3 },
};
static const Listed established3[] = {
    { 1280, 768, 7, 6 },   { 1360, 768, 8, 7 },   { 1400, 1050, 8, 1 },
    { 1792, 1344, 10, 5 }, { 1856, 1392, 10, 3 }, { 1920, 1440, 11, 5 },
};
/* Standard timings (3.9): aspect is the code of bits 7 and 6, 60 Hz. */
static const Listed standard[] = {
    { 2048, 1152, 0, 3 }, { 1920, 1080, 0, 3 }, { 1920, 1200, 0, 0 }, { 1600, 1200, 0, 1 },
    { 1680, 1050, 0, 0 }, { 1440, 900, 0, 0 },  { 1280, 1024, 0, 2 }, { 1280, 960, 0, 1 },
};
/* Video identification codes of CTA-861. */
static const Listed codes[] = {
    { 5120, 2160, 125, 0 }, { 4096, 2160, 101, 0 }, { 3840, 2160, 96, 0 },
    { 2560, 1080, 89, 0 },  { 1920, 1080, 31, 0 },  { 3840, 2160, 97, 0 },
};

static bool fits(const EdidInfo *info, const Listed *mode)
{
    return (!info->xmax || mode->xres <= info->xmax) && (!info->ymax || mode->yres <= info->ymax);
}

bool edid_check(EdidInfo *info, GError **error)
{
    if (!info->xres) {
        info->xres = DEFAULT_XRES;
    }
    if (!info->yres) {
        info->yres = DEFAULT_YRES;
    }
    if (info->xres > RES_MAX || info->yres > RES_MAX) {
        return error_set(error, "Properties 'xres' and 'yres' are at most %d", RES_MAX);
    }
    if (info->refresh_rate > 1000000) {
        return error_set(error, "Property 'refresh_rate' is in mHz, at most 1000000");
    }
    return true;
}

static unsigned millimetres(unsigned pixels)
{
    return pixels * 254 / 10 / DPI;
}

/* Detailed timing (3.10.2); false if the mode is too large for one. */
static bool put_timing(uint8_t *p, const EdidInfo *info)
{
    unsigned xres = info->xres, yres = info->yres,
             refresh = info->refresh_rate ? info->refresh_rate : DEFAULT_REFRESH_MHZ;
    unsigned hfront = xres * 25 / 100, hsync = xres * 3 / 100, hblank = xres * 35 / 100;
    unsigned vfront = yres * 5 / 1000, vsync = yres * 5 / 1000, vblank = yres * 35 / 1000;
    unsigned xmm = millimetres(xres), ymm = millimetres(yres);
    uint64_t clock = (uint64_t)refresh * (xres + hblank) * (yres + vblank) / 10000000;

    if (xres > TIMING_MAX_PIXELS || yres > TIMING_MAX_PIXELS || clock > TIMING_MAX_CLOCK) {
        return false;
    }
    p[0] = clock;
    p[1] = clock >> 8;
    p[2] = xres;
    p[3] = hblank;
    p[4] = xres >> 8 << 4 | hblank >> 8;
    p[5] = yres;
    p[6] = vblank;
    p[7] = yres >> 8 << 4 | vblank >> 8;
    p[8] = hfront;
    p[9] = hsync;
    p[10] = (vfront & 0xf) << 4 | (vsync & 0xf);
    p[11] =
        (hfront >> 8 & 3) << 6 | (hsync >> 8 & 3) << 4 | (vfront >> 4 & 3) << 2 | (vsync >> 4 & 3);
    p[12] = xmm;
    p[13] = ymm;
    p[14] = xmm >> 8 << 4 | ymm >> 8;
    p[17] = 0x18; /* digital, separate syncs */
    return true;
}

/* Display descriptor (3.10.3) */
static uint8_t *put_descriptor(uint8_t *p, uint8_t tag)
{
    memset(p, 0, 18);
    p[3] = tag;
    return p + 5;
}

static void put_text(uint8_t *p, uint8_t tag, const char *text)
{
    uint8_t *out = put_descriptor(p, tag);
    size_t len = strlen(text);

    memset(out, ' ', 13);
    memcpy(out, text, len);
    out[len] = '\n';
}

static void put_checksum(uint8_t *block)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < BLOCK - 1; i++) {
        sum += block[i];
    }
    block[BLOCK - 1] = -sum;
}

static void put_head(uint8_t *edid, const EdidInfo *info)
{
    static const uint8_t head[] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, /* header */
        0x49, 0x14, 0x34, 0x12, 0,    0,    0,    0,    /* RHT, product, serial */
        42,   24,   1,    4,                            /* week, year, version 1.4 */
        0xa5, 0,    0,    120,  0x06
    }; /* digital 8 bits, size, gamma 2.2, sRGB */
    static const uint8_t srgb[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 };

    memcpy(edid, head, sizeof(head));
    edid[21] = MIN(millimetres(info->xres) / 10, SIZE_MAX_CM);
    edid[22] = MIN(millimetres(info->yres) / 10, SIZE_MAX_CM);
    memcpy(edid + 25, srgb, sizeof(srgb));
}

static void put_listed_modes(uint8_t *edid, const EdidInfo *info)
{
    uint8_t *p = edid + 38;

    for (unsigned i = 0; i < G_N_ELEMENTS(established); i++) {
        if (fits(info, &established[i])) {
            edid[established[i].byte] |= 1 << established[i].bit;
        }
    }
    memset(p, 0x01, 16);
    for (unsigned i = 0; i < G_N_ELEMENTS(standard); i++) {
        if (fits(info, &standard[i])) {
            *p++ = standard[i].xres / 8 - 31;
            *p++ = standard[i].bit << 6;
        }
    }
}

static void put_descriptors(uint8_t *edid, const EdidInfo *info)
{
    static const uint8_t limits[] = { 50,  125, 30,  160, 255, 0x01, '\n',
                                      ' ', ' ', ' ', ' ', ' ', ' ' };
    uint8_t *p = edid + 54, *modes;

    if (put_timing(p, info)) {
        p += 18;
    }
    modes = put_descriptor(p, 0xf7);
    modes[0] = 0x0a;
    for (unsigned i = 0; i < G_N_ELEMENTS(established3); i++) {
        if (fits(info, &established3[i])) {
            p[established3[i].byte] |= 1 << established3[i].bit;
        }
    }
    p += 18;
    memcpy(put_descriptor(p, 0xfd), limits, sizeof(limits));
    p += 18;
    put_text(p, 0xfc, "QEMU Monitor");
    p += 18;
    if (p < edid + 126) {
        put_descriptor(p, 0x10); /* unused */
    }
}

/* CTA-861 extension: a data block of codes. */
static void put_extension(uint8_t *block, const EdidInfo *info)
{
    unsigned n = 0;

    block[0] = 0x02;
    block[1] = 3;
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (fits(info, &codes[i])) {
            block[5 + n++] = codes[i].byte;
        }
    }
    block[2] = 5 + n;
    block[4] = 2 << 5 | n;
    for (uint8_t *p = block + block[2]; p + 18 < block + BLOCK; p += 18) {
        put_descriptor(p, 0x10);
    }
}

void edid_generate(uint8_t edid[EDID_SIZE], const EdidInfo *info)
{
    memset(edid, 0, EDID_SIZE);
    put_head(edid, info);
    put_listed_modes(edid, info);
    put_descriptors(edid, info);
    edid[126] = 1;
    put_checksum(edid);
    put_extension(edid + BLOCK, info);
    put_checksum(edid + BLOCK);
}
