/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IDENTIFY DEVICE (ATA8-ACS 7.16) and IDENTIFY PACKET DEVICE (7.17). The words equal stock's, which
 * guests have in their drivers' tables and product activations.
 *
 * The data are made once and then changed by commands (SET FEATURES, SET MULTIPLE, INITIALIZE DEVICE
 * PARAMETERS); they travel, so what those commands did travels.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/bytes.h"

#define LBA28_MAX ((UINT64_C(1) << 28) - 1)

uint16_t ata_identify_word(const IdeUnit *u, unsigned word)
{
    return load_le16(u->identify_data + 2 * word);
}

void ata_identify_put(IdeUnit *u, unsigned word, uint16_t value)
{
    store_le16(u->identify_data + 2 * word, value);
}

/* Text fields have the first character of each pair in the high byte; padded with blanks. */
static void put_text(IdeUnit *u, unsigned word, unsigned words, const char *text)
{
    size_t len = strlen(text);

    for (unsigned i = 0; i < 2 * words; i++) {
        u->identify_data[(2 * word + i) ^ 1] = i < len ? text[i] : ' ';
    }
}

/* Words that both kinds have. */
static void put_common(IdeUnit *u)
{
    const IdeDrive *d = u->drive;

    put_text(u, 10, 10, d->serial);
    ata_identify_put(u, 20, 3);   /* retired: cache with read-ahead */
    ata_identify_put(u, 21, 512); /* retired: its size in sectors */
    ata_identify_put(u, 22, 4);   /* retired */
    put_text(u, 23, 4, d->ver);
    put_text(u, 27, 20, d->model ? d->model : d->cd ? "QEMU DVD-ROM" : "QEMU HARDDISK");
    ata_identify_put(u, 48, 1);      /* double words at the data register */
    ata_identify_put(u, 53, 7);      /* words 54-58, 64-70, 88 are valid */
    ata_identify_put(u, 62, 7);      /* single word DMA modes 0-2 */
    ata_identify_put(u, 63, 7);      /* multiword DMA modes 0-2 */
    ata_identify_put(u, 64, 3);      /* PIO modes 3 and 4 */
    ata_identify_put(u, 88, 0x203f); /* Ultra DMA 0-5, 5 is selected */
}

static void put_geometry(IdeUnit *u)
{
    const IdeDrive *d = u->drive;
    uint32_t chs = d->cyls * d->heads * d->secs;

    ata_identify_put(u, 0, 0x0040); /* fixed */
    ata_identify_put(u, 1, d->cyls);
    ata_identify_put(u, 3, d->heads);
    ata_identify_put(u, 4, 512 * d->secs);
    ata_identify_put(u, 5, 512);
    ata_identify_put(u, 6, d->secs);
    ata_identify_put(u, 54, d->cyls);
    ata_identify_put(u, 55, d->heads);
    ata_identify_put(u, 56, d->secs);
    ata_identify_put(u, 57, chs);
    ata_identify_put(u, 58, chs >> 16);
}

static void put_capacity(IdeUnit *u)
{
    uint64_t sectors = ide_drive_sectors(u), lba28 = MIN(sectors, LBA28_MAX);

    ata_identify_put(u, 60, lba28);
    ata_identify_put(u, 61, lba28 >> 16);
    for (unsigned i = 0; i < 4; i++) {
        ata_identify_put(u, 100 + i, sectors >> (16 * i));
    }
}

static unsigned log2_of(uint32_t n)
{
    return n ? __builtin_ctz(n) : 0;
}

static void put_features(IdeUnit *u)
{
    const IdeDrive *d = u->drive;
    bool wwn = d->wwn, trim = d->conf.discard_granularity;

    ata_identify_put(u, 47, 0x8000 | IDE_MAX_MULTIPLE);
    ata_identify_put(u, 49, 0x0b00); /* IORDY, LBA, DMA */
    ata_identify_put(u, 51, 0x0200);
    ata_identify_put(u, 52, 0x0200);
    ata_identify_put(u, 59, u->mult_sectors ? 0x100 | u->mult_sectors : 0);
    for (unsigned word = 65; word <= 68; word++) {
        ata_identify_put(u, word, 120); /* cycle times, ns */
    }
    ata_identify_put(
        u, 69,
        trim ? 0x4000 : 0); /* TRIM: what was there is read, or something else: always the same */
    if (u->bus->queue_depth) {
        ata_identify_put(u, 75, u->bus->queue_depth - 1);
        ata_identify_put(u, 76, 0x0100); /* native command queuing */
    }
    ata_identify_put(u, 80, 0x00f0); /* ATA-4 to ATA-7 */
    ata_identify_put(u, 81, 0x0016);
    ata_identify_put(u, 82, 0x4021); /* NOP, write cache, SMART */
    ata_identify_put(u, 83, 0x7400); /* FLUSH (EXT), 48 bits */
    ata_identify_put(u, 84, wwn ? 0x4100 : 0x4000);
    ata_identify_put(u, 85, front_write_cache(d->conf.front) ? 0x4021 : 0x4001);
    ata_identify_put(u, 86, 0x3400);
    ata_identify_put(u, 87, wwn ? 0x4100 : 0x4000);
    ata_identify_put(u, 93, 0x6001); /* hardware reset results */
    ata_identify_put(u, 106,
                     0x6000 | log2_of(d->conf.physical_block_size / d->conf.logical_block_size));
    for (unsigned i = 0; wwn && i < 4; i++) {
        ata_identify_put(u, 108 + i, d->wwn >> (48 - 16 * i));
    }
    ata_identify_put(u, 169, trim ? 1 : 0);
    ata_identify_put(u, 217, d->rotation_rate);
}

static void put_packet(IdeUnit *u)
{
    const IdeDrive *d = u->drive;

    ata_identify_put(u, 0, 0x85c0);  /* CD drive, removable, DRQ within 50 us, 12 bytes of packet */
    ata_identify_put(u, 49, 0x0300); /* LBA, DMA */
    ata_identify_put(u, 65, 0xb4);
    ata_identify_put(u, 66, 0xb4);
    ata_identify_put(u, 67, 0x12c);
    ata_identify_put(u, 68, 0xb4);
    ata_identify_put(u, 71, 30); /* us from the packet to a release of the bus */
    ata_identify_put(u, 72, 30);
    ata_identify_put(u, 80, 0x1e); /* ATA-1 to ATA-4 */
    if (d->wwn) {
        ata_identify_put(u, 84, 0x0100);
        ata_identify_put(u, 87, 0x0100);
        for (unsigned i = 0; i < 4; i++) {
            ata_identify_put(u, 108 + i, d->wwn >> (48 - 16 * i));
        }
    }
}

void ata_identify(IdeUnit *u)
{
    memset(u->identify_data, 0, sizeof(u->identify_data));
    put_common(u);
    if (u->drive->cd) {
        put_packet(u);
    } else {
        put_geometry(u);
        put_capacity(u);
        put_features(u);
    }
    u->identify_set = 1;
}
