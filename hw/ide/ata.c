/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATA commands (ATA8-ACS chapter 7): the table, addresses, and the commands without data of the medium.
 *
 * Which commands exist is what guests know from QEMU: no CFA translation, no HPA changes, no security but
 * the freeze. NOP aborts. Opcodes of old standards that did nothing else than move the heads succeed.
 */
#include "util/osdep.h"
#include "ide-private.h"

/* ---- addresses (ATA8-ACS 3.1, 4.1; CHS: ATA-5 6.2) ---------------------------------------------------- */

static bool geometry(const IdeUnit *u, uint32_t *heads, uint32_t *secs)
{
    bool current = u->identify_set && ata_identify_word(u, 53) & 1;

    *heads = current ? ata_identify_word(u, 55) : u->drive->heads;
    *secs = current ? ata_identify_word(u, 56) : u->drive->secs;
    return *heads && *secs;
}

uint64_t ata_get_sector(const IdeUnit *u)
{
    uint32_t heads, secs;

    if (u->lba48) {
        return (uint64_t)u->hob_hcyl << 40 | (uint64_t)u->hob_lcyl << 32 |
               (uint64_t)u->hob_sector << 24 | (uint64_t)u->hcyl << 16 | (uint64_t)u->lcyl << 8 |
               u->sector;
    }
    if (u->select & IDE_DEVICE_LBA) {
        return (uint64_t)(u->select & IDE_DEVICE_HEAD) << 24 | (uint64_t)u->hcyl << 16 |
               (uint64_t)u->lcyl << 8 | u->sector;
    }
    if (!geometry(u, &heads, &secs) || !u->sector) {
        return UINT64_MAX;
    }
    return ((uint64_t)(u->hcyl << 8 | u->lcyl) * heads + (u->select & IDE_DEVICE_HEAD)) * secs +
           u->sector - 1;
}

void ata_set_sector(IdeUnit *u, uint64_t sector)
{
    uint32_t heads, secs;

    if (u->lba48 || u->select & IDE_DEVICE_LBA) {
        u->sector = sector;
        u->lcyl = sector >> 8;
        u->hcyl = sector >> 16;
        if (u->lba48) {
            u->hob_sector = sector >> 24;
            u->hob_lcyl = sector >> 32;
            u->hob_hcyl = sector >> 40;
        } else {
            u->select = (u->select & ~IDE_DEVICE_HEAD) | (sector >> 24 & IDE_DEVICE_HEAD);
        }
    } else if (geometry(u, &heads, &secs)) {
        uint64_t cyl = sector / (heads * secs);

        u->sector = sector % secs + 1;
        u->select = (u->select & ~IDE_DEVICE_HEAD) | (sector / secs % heads & IDE_DEVICE_HEAD);
        u->lcyl = cyl;
        u->hcyl = cyl >> 8;
    }
}

bool ata_range_valid(const IdeUnit *u, uint64_t sector, uint64_t count)
{
    uint64_t total = ide_drive_sectors(u);

    return sector <= total && count <= total - sector;
}

/* The sector count of a command: 0 is 256, or 65536 with 48 bits. */
static void take_count(IdeUnit *u, bool lba48)
{
    u->lba48 = lba48;
    u->nsector &= 0xff;
    if (lba48) {
        u->nsector |= (uint32_t)u->hob_nsector << 8;
    }
    if (!u->nsector) {
        u->nsector = lba48 ? 65536 : 256;
    }
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static void ready(IdeUnit *u)
{
    u->status = IDE_READY;
    ide_done(u);
}

static void nothing(IdeUnit *u, uint8_t command)
{
    ready(u);
}

/* Power management: the modes are all alike. */
static void power(IdeUnit *u, uint8_t command)
{
    u->status = IDE_DRDY;
    ide_done(u);
}

static void check_power_mode(IdeUnit *u, uint8_t command)
{
    u->nsector = 0xff; /* active or idle */
    ready(u);
}

static void dma(IdeUnit *u, uint8_t command)
{
    bool ext = command == 0x25 || command == 0x35;
    bool write = command == 0x35 || command == 0xca || command == 0xcb;

    take_count(u, ext);
    ata_dma(u, write ? IDE_JOB_DMA_WRITE : IDE_JOB_DMA_READ);
}

/* DATA SET MANAGEMENT (7.10): TRIM and nothing else. */
static void data_set_management(IdeUnit *u, uint8_t command)
{
    if (u->feature != 1 || !u->drive->conf.discard_granularity) {
        ide_abort(u);
        return;
    }
    take_count(u, true);
    ata_dma(u, IDE_JOB_TRIM);
}

static bool multiple_allowed(IdeUnit *u)
{
    return u->mult_sectors > 0;
}

static void read_pio(IdeUnit *u, uint8_t command)
{
    bool multiple = command == 0x29 || command == 0xc4;

    if (multiple && !multiple_allowed(u)) {
        ide_abort(u);
        return;
    }
    take_count(u, command == 0x24 || command == 0x29);
    u->req_nb_sectors = multiple ? u->mult_sectors : 1;
    ata_pio_read(u);
}

static void write_pio(IdeUnit *u, uint8_t command)
{
    bool multiple = command == 0x39 || command == 0xc5;

    if (multiple && !multiple_allowed(u)) {
        ide_abort(u);
        return;
    }
    take_count(u, command == 0x34 || command == 0x39);
    u->req_nb_sectors = multiple ? u->mult_sectors : 1;
    ata_pio_write(u);
}

/* The medium is never asked: bits do not rot behind a block node without its telling so when they are read. */
static void verify(IdeUnit *u, uint8_t command)
{
    uint32_t count = u->nsector;

    take_count(u, command == 0x42);
    if (!ata_range_valid(u, ata_get_sector(u), u->nsector)) {
        u->nsector = count;
        ide_abort(u);
        return;
    }
    u->nsector = count;
    ready(u);
}

/* READ NATIVE MAX ADDRESS (EXT) (7.32). */
static void native_max(IdeUnit *u, uint8_t command)
{
    uint64_t total = ide_drive_sectors(u);

    if (!total) {
        ide_abort(u);
        return;
    }
    u->lba48 = command == 0x27;
    ata_set_sector(u, u->lba48 ? total - 1 : MIN(total, UINT64_C(1) << 28) - 1);
    ready(u);
}

static void set_multiple(IdeUnit *u, uint8_t command)
{
    uint8_t n = u->nsector;

    if (n > IDE_MAX_MULTIPLE || (n & (n - 1))) {
        ide_abort(u);
        return;
    }
    u->mult_sectors = n;
    if (u->identify_set) {
        ata_identify_put(u, 59, n ? 0x100 | n : 0);
    }
    ready(u);
}

/* INITIALIZE DEVICE PARAMETERS (ATA-5 8.16): the logical geometry that CHS addresses are in. */
static void initialize_parameters(IdeUnit *u, uint8_t command)
{
    uint32_t heads = (u->select & IDE_DEVICE_HEAD) + 1, secs = u->nsector & 0xff;
    uint64_t cyls;

    if (!secs) {
        ide_abort(u);
        return;
    }
    if (!u->identify_set) {
        ata_identify(u);
    }
    cyls = MIN(ide_drive_sectors(u), UINT64_C(16514064)) / (heads * secs);
    cyls = MIN(cyls, 65535);
    ata_identify_put(u, 54, cyls);
    ata_identify_put(u, 55, heads);
    ata_identify_put(u, 56, secs);
    ata_identify_put(u, 57, cyls * heads * secs);
    ata_identify_put(u, 58, cyls * heads * secs >> 16);
    ready(u);
}

static void identify(IdeUnit *u, uint8_t command)
{
    if (u->drive->cd != (command == 0xa1)) {
        if (u->drive->cd) {
            ide_put_signature(u); /* so that a host that took it for a disk can tell */
        }
        ide_abort(u);
        return;
    }
    if (!u->identify_set) {
        ata_identify(u);
    }
    memcpy(u->buffer, u->identify_data, sizeof(u->identify_data));
    ide_pio(u, IDE_PIO_IN, 0, sizeof(u->identify_data), IDE_NEXT_STOP);
    ide_set_intrq(u->bus, true);
}

/* READ SECTOR(S) of a packet device (7.36): its signature. */
static void packet_device_read(IdeUnit *u, uint8_t command)
{
    ide_put_signature(u);
    ide_abort(u);
}

static void flush(IdeUnit *u, uint8_t command)
{
    ata_flush(u);
}

static void diagnostics(IdeUnit *unused, uint8_t command)
{
    IdeBus *bus = unused->bus;

    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        u->select &= IDE_DEVICE_OBSOLETE;
        ide_put_signature(u);
        u->status = u->drive && u->drive->cd ? 0 : IDE_READY;
        u->error = 1; /* passed, or not there */
    }
    bus->unit = 0;
    ide_set_intrq(bus, true);
}

static void smart(IdeUnit *u, uint8_t command)
{
    ata_smart(u);
}

static void packet(IdeUnit *u, uint8_t command)
{
    if (u->feature & 2) { /* overlapped: not supported */
        ide_abort(u);
        return;
    }
    u->packet_dma = u->feature & 1;
    u->nsector = ATAPI_COD;
    ide_pio(u, IDE_PIO_OUT, 0, ATAPI_PACKET_SIZE, IDE_NEXT_ATAPI_PACKET);
}

static void freeze(IdeUnit *u, uint8_t command)
{
    ready(u);
}

/* ---- SET FEATURES (7.45) --------------------------------------------------------------------------------- */

/* Transfer modes, in the words of IDENTIFY that say which is selected. */
static bool set_transfer_mode(IdeUnit *u, uint8_t mode)
{
    uint16_t single = 0, multi = 0, ultra = 0;
    uint8_t n = mode & 7;
    bool known = true; /* others are taken, and change nothing */

    switch (mode >> 3) {
    case 0: /* PIO by default, PIO with flow control */
    case 1:
        break;
    case 2:
        single = 0x100 << n;
        known = n <= 2;
        break;
    case 4:
        multi = 0x100 << n;
        known = n <= 2;
        break;
    case 8:
        ultra = 0x100 << n;
        known = n <= 5;
        break;
    default:
        return false;
    }
    if (!u->identify_set) {
        ata_identify(u);
    }
    if (known) {
        ata_identify_put(u, 62, single | 0x07);
        ata_identify_put(u, 63, multi | 0x07);
        ata_identify_put(u, 88, ultra | 0x3f);
    }
    return true;
}

static void set_write_cache(IdeUnit *u, bool on)
{
    uint16_t enabled;

    if (!u->identify_set) {
        ata_identify(u);
    }
    enabled = ata_identify_word(u, 85);
    ata_identify_put(u, 85, on ? enabled | 0x20 : enabled & ~0x20);
    front_set_write_cache(u->drive->conf.front, on);
}

static void set_features(IdeUnit *u, uint8_t command)
{
    switch (u->feature) {
    case 0x02:
        if (!u->drive->cd) {
            set_write_cache(u, true);
        }
        break;
    case 0x82:
        if (u->drive->cd) {
            ide_abort(u);
            return;
        }
        set_write_cache(u, false);
        ata_flush(u);
        return;
    case 0x03:
        if (!set_transfer_mode(u, u->nsector)) {
            ide_abort(u);
            return;
        }
        break;
    case 0x05: /* advanced power management */
    case 0x85:
    case 0x42: /* acoustic management */
    case 0xc2:
    case 0x55: /* read look-ahead */
    case 0xaa:
    case 0x66: /* reverting to defaults */
    case 0xcc:
    case 0x67: /* old ones that did nothing */
    case 0x69:
    case 0x96:
    case 0x9a:
        break;
    default:
        ide_abort(u);
        return;
    }
    ready(u);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

typedef struct AtaCommand {
    void (*run)(IdeUnit *u, uint8_t command);
    uint8_t drives;
} AtaCommand;

enum { HD = 1, CD = 2, ANY = HD | CD };

/* clang-format off */
static const AtaCommand commands[256] = {
    [0x06] = { data_set_management, HD },
    [0x10] = { nothing, HD }, /* RECALIBRATE */
    [0x20] = { read_pio, HD },  [0x21] = { read_pio, HD },
    [0x24] = { read_pio, HD },  [0x29] = { read_pio, HD },  [0xc4] = { read_pio, HD },
    [0x25] = { dma, HD },  [0x35] = { dma, HD },
    [0xc8] = { dma, HD },  [0xc9] = { dma, HD },  [0xca] = { dma, HD },  [0xcb] = { dma, HD },
    [0x27] = { native_max, HD },  [0xf8] = { native_max, HD },
    [0x30] = { write_pio, HD },  [0x31] = { write_pio, HD },  [0x34] = { write_pio, HD },
    [0x39] = { write_pio, HD },  [0x3c] = { write_pio, HD },  [0xc5] = { write_pio, HD },
    [0x40] = { verify, HD },  [0x41] = { verify, HD },  [0x42] = { verify, HD },
    [0x70] = { nothing, HD }, /* SEEK */
    [0x90] = { diagnostics, ANY },
    [0x91] = { initialize_parameters, HD },
    [0x94] = { power, ANY },  [0x95] = { power, ANY },  [0x96] = { power, ANY },
    [0x97] = { power, ANY },  [0x99] = { power, ANY },
    [0xe0] = { power, ANY },  [0xe1] = { power, ANY },  [0xe2] = { power, ANY },
    [0xe3] = { power, ANY },  [0xe6] = { power, ANY },
    [0x98] = { check_power_mode, ANY },  [0xe5] = { check_power_mode, ANY },
    [0xa0] = { packet, CD },
    [0xa1] = { identify, ANY },  [0xec] = { identify, ANY },
    [0xb0] = { smart, HD },
    [0xc6] = { set_multiple, HD },
    [0xe7] = { flush, ANY },  [0xea] = { flush, HD },
    [0xef] = { set_features, ANY },
    [0xf5] = { freeze, HD },
};
/* clang-format on */

void ata_execute(IdeUnit *u, uint8_t command)
{
    const AtaCommand *c = &commands[command];

    u->status = IDE_READY;
    u->error = 0;
    u->lba48 = 0;
    if (command == 0x20 && u->drive->cd) {
        packet_device_read(u, command);
    } else if (!c->run || !(c->drives & (u->drive->cd ? CD : HD))) {
        ide_abort(u);
    } else {
        c->run(u, command);
    }
}
