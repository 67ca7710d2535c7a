/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small driver of IDE channels (ATA8-APT) and of the PIIX bus master, through the qtest client. All of it
 * polls. What the guest sees goes into `log`, if there is one, so that two runs can be compared.
 */
#ifndef IDE_DRIVER_H
#define IDE_DRIVER_H

#include "qtest-client.h"

#define IDE_BM_IO 0xc000
#define IDE_PRD_AT 0x8000    /* in guest memory */
#define IDE_DATA_AT 0x100000 /* ditto; the transfer's data */

enum { IDE_ST_ERR = 0x01, IDE_ST_DRQ = 0x08, IDE_ST_BSY = 0x80 };

typedef struct IdeDriver {
    QTest *q;
    uint16_t base, control, bm;
    uint8_t select; /* bit 4: unit 1; bit 6: LBA */
    GString *log;   /* NULL: none */
    /* Called before each step that the guest takes; may move the machine. */
    void (*step)(void *opaque);
    /* Called while the drive or the bus master is waited for. */
    void (*waiting)(void *opaque);
    void *opaque;
    bool dma_first; /* the bus master is started before the command */
} IdeDriver;

typedef enum IdeProtocol {
    IDE_NO_DATA,
    IDE_PIO_FROM,
    IDE_PIO_TO,
    IDE_DMA_FROM,
    IDE_DMA_TO,
    IDE_PACKET_PIO, /* or no data */
    IDE_PACKET_DMA,
} IdeProtocol;

typedef struct IdeCommand {
    const char *name;
    IdeProtocol protocol;
    uint8_t command;
    uint16_t feature;
    uint32_t count;
    uint64_t lba;
    bool ext, chs;
    uint8_t cdb[12];
    uint32_t limit; /* byte count of a packet command; 0: FFFEh */
    uint32_t len;   /* bytes in memory for DMA, or of the host's data */
} IdeCommand;

/* Channel 0 or 1, unit 0 or 1. */
void ide_driver_init(IdeDriver *d, QTest *q, unsigned channel, unsigned unit);
/* Gives the function its ports and lets it be a bus master. After each reset of the machine. */
void ide_enable_bus_master(QTest *q);
/* Waits until BSY is clear; the status (alternate). Fails the test after ten seconds. */
uint8_t ide_wait(IdeDriver *d);
/* Runs one command to its end; data: what goes to the drive, or room for what comes (len bytes; NULL: dropped).
 * Returns the status; *got: bytes that came. */
uint8_t ide_run(IdeDriver *d, const IdeCommand *c, void *data, uint32_t *got);
/* REQUEST SENSE: key << 16 | code << 8 | qualifier. */
uint32_t ide_sense(IdeDriver *d);
/* Descriptors for len bytes at IDE_DATA_AT, in parts of at most `part` bytes; the bus master's table register. */
void ide_set_table(IdeDriver *d, uint32_t len, uint32_t part);

#endif
