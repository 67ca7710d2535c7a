/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMART (ATA8-ACS 7.48; attribute tables: ATA-3 annex): a disk that never ages. Attributes, logs and
 * their checksums equal stock's.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/bytes.h"

enum {
    SMART_READ_DATA = 0xd0,
    SMART_READ_THRESHOLDS = 0xd1,
    SMART_AUTOSAVE = 0xd2,
    SMART_OFFLINE = 0xd4,
    SMART_READ_LOG = 0xd5,
    SMART_ENABLE = 0xd8,
    SMART_DISABLE = 0xd9,
    SMART_STATUS = 0xda,
};

enum { LOG_SUMMARY = 0x01, LOG_SELFTEST = 0x06 };
enum { AUTOSAVE_ON = 0xf1, AUTOSAVE_OFF = 0x00 };

/* The tests that the drive claims: off-line, short, extended, and that it does them at once. */
#define SELFTESTS 21
#define SELFTEST_ENTRY 24
#define SELFTEST_LAST 508 /* where the log says which is the latest */

typedef struct Attribute {
    uint8_t id;
    uint16_t flags;
    uint8_t value, worst;
    uint8_t raw[6];
    uint8_t threshold;
} Attribute;

static const Attribute attributes[] = {
    { 0x01, 0x0003, 100, 100, { 0 }, 6 },            /* read errors */
    { 0x03, 0x0003, 100, 100, { 16 }, 0 },           /* spin-up time */
    { 0x04, 0x0002, 100, 100, { 100 }, 20 },         /* starts and stops */
    { 0x05, 0x0003, 100, 100, { 0 }, 36 },           /* remapped sectors */
    { 0x09, 0x0003, 100, 100, { 1 }, 0 },            /* hours of life */
    { 0x0c, 0x0003, 100, 100, { 0 }, 0 },            /* power cycles */
    { 0xbe, 0x0003, 69, 69, { 31, 0, 31, 31 }, 50 }, /* temperature */
};

void ata_smart_reset(IdeUnit *u)
{
    u->smart_enabled = true;
    u->smart_autosave = true;
    u->smart_errors = 0;
    u->smart_selftests = 0;
    memset(u->smart_selftest_data, 0, sizeof(u->smart_selftest_data));
}

/* The last byte makes the sum of all zero. */
static void answer(IdeUnit *u)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 511; i++) {
        sum += u->buffer[i];
    }
    u->buffer[511] = -sum;
    ide_pio(u, IDE_PIO_IN, 0, 512, IDE_NEXT_STOP);
    ide_set_intrq(u->bus, true);
}

static void read_data(IdeUnit *u)
{
    uint8_t *p = u->buffer;

    memset(p, 0, 512);
    p[0] = 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
        const Attribute *a = &attributes[i];
        uint8_t *entry = p + 2 + 12 * i;

        entry[0] = a->id;
        store_le16(entry + 1, a->flags);
        entry[3] = a->value;
        entry[4] = a->worst;
        memcpy(entry + 5, a->raw, sizeof(a->raw));
    }
    p[362] =
        0x80 | (u->smart_autosave ? 0x02 : 0x00); /* off-line data collection: done, by itself */
    if (u->smart_selftests) {
        p[363] = u->smart_selftest_data[2 + SELFTEST_ENTRY * (u->smart_selftests - 1) + 1];
    }
    p[364] = 0x20; /* seconds of an off-line collection */
    p[365] = 0x01;
    p[367] = 0x10 | 0x08 | 0x01; /* immediate off-line, self-tests, logs */
    p[368] = 0x03;               /* saves data */
    p[370] = 0x01;               /* error log */
    p[372] = 0x02;               /* minutes of a short test, an extended, a conveyance test */
    p[373] = 0x36;
    p[374] = 0x01;
    answer(u);
}

static void read_thresholds(IdeUnit *u)
{
    uint8_t *p = u->buffer;

    memset(p, 0, 512);
    p[0] = 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
        p[2 + 12 * i] = attributes[i].id;
        p[2 + 12 * i + 1] = attributes[i].threshold;
    }
    answer(u);
}

static void read_log(IdeUnit *u)
{
    uint8_t *p = u->buffer;

    memset(p, 0, 512);
    switch (u->sector) {
    case LOG_SUMMARY:
        p[0] = 1;
        p[452] = u->smart_errors;
        break;
    case LOG_SELFTEST:
        p[0] = 1;
        if (u->smart_selftests) {
            memcpy(p + 2, u->smart_selftest_data + 2, SELFTESTS * SELFTEST_ENTRY);
            p[SELFTEST_LAST] = u->smart_selftests;
        }
        break;
    default:
        ide_abort(u);
        return;
    }
    answer(u);
}

static void offline(IdeUnit *u)
{
    uint8_t *entry;

    if (u->sector > 2) {
        ide_abort(u);
        return;
    }
    if (u->smart_selftests >= SELFTESTS) {
        u->smart_selftests = 0;
    }
    entry = u->smart_selftest_data + 2 + SELFTEST_ENTRY * u->smart_selftests++;
    memset(entry, 0, SELFTEST_ENTRY);
    entry[0] = u->sector;          /* which test: it was good */
    store_le16(entry + 2, 0x1234); /* the hour at which it was made */
    ide_done(u);
}

void ata_smart(IdeUnit *u)
{
    if (u->lcyl != 0x4f || u->hcyl != 0xc2 || (!u->smart_enabled && u->feature != SMART_ENABLE)) {
        ide_abort(u);
        return;
    }
    switch (u->feature) {
    case SMART_READ_DATA:
        read_data(u);
        break;
    case SMART_READ_THRESHOLDS:
        read_thresholds(u);
        break;
    case SMART_READ_LOG:
        read_log(u);
        break;
    case SMART_OFFLINE:
        offline(u);
        break;
    case SMART_AUTOSAVE:
        if (u->nsector == AUTOSAVE_ON || u->nsector == AUTOSAVE_OFF) {
            u->smart_autosave = u->nsector == AUTOSAVE_ON;
        }
        ide_done(u);
        break;
    case SMART_ENABLE:
    case SMART_DISABLE:
        u->smart_enabled = u->feature == SMART_ENABLE;
        ide_done(u);
        break;
    case SMART_STATUS: /* registers as they were: no threshold is exceeded */
        ide_done(u);
        break;
    default:
        ide_abort(u);
    }
}
