/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IDE channels (buses of two devices) and what a controller gives them. The standards: ATA/ATAPI-8
 * (ATA8-ACS, ATA8-APT) for disks and registers, SFF-8020i and MMC-6 for CD drives. docs/devel/ide.md
 * has the state table and what is in flight at a switchover.
 *
 * I1  A unit's task file exists with or without a device; a command runs only where there is one.
 * I2  At most one unit of a channel has block I/O or a DMA transfer under way. Only the data phase of
 *     a PIO command may coexist with a command of the other unit.
 * I3  While the VM is stopped and block I/O has been waited for, no unit is BUSY or in DMA: it is idle,
 *     has data for the guest or wants some, waits for the bus master, or is STOPPED.
 * I4  Block I/O is submitted and completed in the main thread only; register accesses may come from
 *     any thread that holds the big lock.
 * I5  What guest memory gets or gives passes through the unit's own buffer, in the main thread.
 *
 * All under the big lock.
 */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H

#include "hw/core/device.h"

typedef struct IdeBus IdeBus;

#define IDE_UNITS 2

/* The bus master of a channel, as far as the channel knows it. A channel without one refuses DMA commands. */
typedef struct IdeDmaOps {
    /* The transfer that the unit waits for may begin. */
    bool (*started)(void *dma);
    /* From the first descriptor again. */
    void (*rewind)(void *dma);
    /* Takes descriptors for the next bytes, at most `want`; returns how many they are (less: the table
     * ended), negative if the table cannot be read. */
    int64_t (*gather)(void *dma, uint64_t want);
    /* Moves what was gathered last, in order. False: a part of it could not be reached. */
    bool (*move)(void *dma, void *buf, uint64_t len, bool to_memory);
    /* The command is over; the bus master stays active only if it is complete and descriptors are left. */
    void (*finished)(void *dma, bool complete);
    void (*reset)(void *dma);
    /* INTRQ was asserted. */
    void (*irq_raised)(void *dma);
    /* The unit is no longer busy with what was given up: takes commands again. May be NULL. */
    void (*ready)(void *dma);
} IdeDmaOps;

extern const BusType ide_bus_type; /* "IDE" */
#define IDE_BUS(obj) ((IdeBus *)(obj))

/* A channel that hangs off owner, numbered within it. Its interrupt line is irq (may be NULL); dma may be
 * NULL. Destroy with bus_destroy(). */
IdeBus *ide_bus_new(Device *owner, unsigned number, Irq *irq, const IdeDmaOps *ops, void *dma);

/* The command block (offset 0 is the data register, 7 status and command) and the control block's only
 * register (device control, alternate status). Accesses of two and four bytes to the data register move
 * so much data. */
uint32_t ide_read(IdeBus *bus, unsigned offset, unsigned size);
void ide_write(IdeBus *bus, unsigned offset, uint32_t value, unsigned size);
uint8_t ide_alternate_status(IdeBus *bus);
void ide_write_control(IdeBus *bus, uint8_t value);

/* The bus master was started or stopped by the guest. */
void ide_dma_start(IdeBus *bus);
void ide_dma_stop(IdeBus *bus);
/* A channel that has room for n units only. */
void ide_bus_set_units(IdeBus *bus, unsigned n);
/* Hardware reset of the channel and its devices: what is under way is given up. Main thread. */
void ide_bus_hard_reset(IdeBus *bus);

/* The unit's drive, NULL if there is none. */
Device *ide_bus_drive(IdeBus *bus, unsigned unit);

/* How a BIOS translates CHS addresses (property bios-chs-trans). */
typedef enum IdeTranslation {
    IDE_TRANSLATION_AUTO,
    IDE_TRANSLATION_NONE,
    IDE_TRANSLATION_LBA,
    IDE_TRANSLATION_LARGE,
    IDE_TRANSLATION_RECHS,
} IdeTranslation;

/* Geometry as the drive reports it, for a board's CMOS: false if there is no disk. The translation is
 * never AUTO. */
bool ide_drive_geometry(IdeBus *bus, unsigned unit, uint32_t *cyls, uint32_t *heads, uint32_t *secs,
                        IdeTranslation *translation);

/* The drives that -drive if=ide, -hda … named for the two units of channel `number`. */
bool ide_bus_attach_drives(IdeBus *bus, unsigned number, GError **error);
/* The one of channel `number`, for a channel of one unit. */
bool ide_bus_attach_drive(IdeBus *bus, unsigned number, GError **error);

/* The bus of port n of an AHCI controller; NULL: there is no such port. */
IdeBus *ahci_port_bus(Device *controller, unsigned n);
/* The bus of a PIIX3 or PIIX4 IDE function; n: 0 or 1. */
IdeBus *piix_ide_bus(Device *controller, unsigned n);

#endif
