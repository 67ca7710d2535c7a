/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of CD and DVD drives (MMC-6) that do not depend on the bus. See the header. */
#include "util/osdep.h"
#include "hw/scsi/mmc.h"

#include <glib.h>

#include "util/bytes.h"

MmcProfile mmc_profile(uint64_t blocks)
{
    return blocks > MMC_CD_MAX_BLOCKS ? MMC_PROFILE_DVD_ROM : MMC_PROFILE_CD_ROM;
}

/* ---- READ TOC (6.25) ------------------------------------------------------------------------- */

/* A block address in 4 bytes: binary, or minute, second, frame with the 2 seconds before block 0.
 * */
static void put_address(uint8_t *p, uint64_t lba, bool msf)
{
    if (!msf) {
        store_be32(p, MIN(lba, UINT32_MAX));
        return;
    }
    uint64_t frames = lba + 150;
    p[0] = 0;
    p[1] = frames / 75 / 60;
    p[2] = frames / 75 % 60;
    p[3] = frames % 75;
}

static unsigned put_track(uint8_t *p, uint8_t track, uint8_t control, uint64_t lba, bool msf)
{
    p[1] = control;
    p[2] = track;
    put_address(p + 4, lba, msf);
    return 8;
}

static unsigned formatted_toc(uint8_t *p, uint64_t blocks, bool msf, uint8_t first)
{
    unsigned n = 4;
    if (first <= 1) {
        n += put_track(p + n, 1, 0x14, 0, msf);
    }
    n += put_track(p + n, 0xaa, 0x16, blocks, msf); /* lead-out */
    return n;
}

static unsigned raw_entry(uint8_t *p, uint8_t point)
{
    p[0] = 1;    /* session */
    p[1] = 0x14; /* data track */
    p[3] = point;
    return 11;
}

static unsigned raw_toc(uint8_t *p, uint64_t blocks, bool msf)
{
    unsigned n = 4;
    p[n + 8] = 1; /* first track */
    n += raw_entry(p + n, 0xa0);
    p[n + 8] = 1; /* last track */
    n += raw_entry(p + n, 0xa1);
    put_address(p + n + 7, blocks, msf);
    n += raw_entry(p + n, 0xa2);
    put_address(p + n + 7, 0, msf);
    n += raw_entry(p + n, 1);
    return n;
}

unsigned mmc_build_toc(uint8_t toc[MMC_TOC_MAX], uint64_t blocks, uint8_t format, bool msf,
                       uint8_t first)
{
    unsigned n;

    memset(toc, 0, MMC_TOC_MAX);
    toc[2] = toc[3] = 1; /* first and last track, or session */
    switch (format) {
    case 0:
        if (first > 1 && first != 0xaa) {
            return 0;
        }
        n = formatted_toc(toc, blocks, msf, first);
        break;
    case 1: /* sessions */
        n = 12;
        break;
    case 2:
        n = raw_toc(toc, blocks, msf);
        break;
    default:
        return 0;
    }
    store_be16(toc, n - 2);
    return n;
}

/* ---- disc information (6.21, 6.22) ----------------------------------------------------------- */

void mmc_build_disc_information(uint8_t out[MMC_DISC_INFORMATION_SIZE])
{
    static const uint8_t information[MMC_DISC_INFORMATION_SIZE] = {
        0,    32, 0x0e,    /* last session complete, disc finalised */
        1,    1,  1,    1, /* first track; sessions; first and last track of the last session */
        0x20,              /* unrestricted use */
    };
    memcpy(out, information, sizeof(information));
}

static bool physical_format(uint64_t blocks, uint8_t *p, uint8_t layer)
{
    uint64_t last = blocks ? blocks - 1 : 0;
    if (layer) {
        return false;
    }
    p[0] = 0x01; /* DVD-ROM, version 1 */
    p[1] = 0x0f; /* 120 mm, rate not specified */
    p[2] = 0x01; /* one layer, read only */
    store_be32(p + 4, 0);
    store_be32(p + 8, MIN(last, 0xffffff));
    store_be32(p + 12, MIN(last, 0xffffff));
    return true;
}

static unsigned structure_list(uint8_t *structure)
{
    static const uint8_t list[20] = {
        0,    18,   0,    0,    0x00, 0x40, 0x08, 0x04, /* physical format: readable, length */
        0x01, 0x40, 0x00, 0x08,                         /* copyright */
        0x03, 0x40, 0x00, 0xc0,                         /* burst cutting area */
        0x04, 0x40, 0x08, 0x04,                         /* manufacturer */
    };
    memcpy(structure, list, sizeof(list));
    return sizeof(list);
}

unsigned mmc_build_disc_structure(uint8_t structure[MMC_DISC_STRUCTURE_MAX], uint64_t blocks,
                                  uint8_t format, uint8_t layer)
{
    unsigned n;

    memset(structure, 0, MMC_DISC_STRUCTURE_MAX);
    switch (format) {
    case 0xff:
        return structure_list(structure);
    case 0x00:
        if (!physical_format(blocks, structure + 4, layer)) {
            return 0;
        }
        n = MMC_DISC_STRUCTURE_MAX;
        break;
    case 0x01: /* no copy protection */
        n = 8;
        break;
    case 0x04:
        n = MMC_DISC_STRUCTURE_MAX;
        break;
    default:
        return 0;
    }
    store_be16(structure, n - 2);
    return n;
}
