/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of hw/ide share: units, drives, how a command is written. */
#ifndef HW_IDE_IDE_PRIVATE_H
#define HW_IDE_IDE_PRIVATE_H

#include "hw/core/drive.h"
#include "hw/ide/ide.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/main-loop.h"

/* ---- registers (ATA8-APT, chapter 8) --------------------------------------------------------- */

enum {
    IDE_REG_DATA = 0,
    IDE_REG_ERROR = 1, /* written: features */
    IDE_REG_COUNT = 2,
    IDE_REG_LBA_LOW = 3,
    IDE_REG_LBA_MID = 4,
    IDE_REG_LBA_HIGH = 5,
    IDE_REG_DEVICE = 6,
    IDE_REG_STATUS = 7, /* written: command */
};

enum {
    IDE_ERR = 0x01,
    IDE_DRQ = 0x08,
    IDE_DSC = 0x10, /* seek complete, in older texts */
    IDE_DF = 0x20,
    IDE_DRDY = 0x40,
    IDE_BSY = 0x80,
};
#define IDE_READY (IDE_DRDY | IDE_DSC)

enum {
    IDE_ERROR_ABRT = 0x04,
};

enum {
    IDE_DEVICE_OBSOLETE = 0xa0, /* two bits that read 1 */
    IDE_DEVICE_LBA = 0x40,
    IDE_DEVICE_UNIT = 0x10,
    IDE_DEVICE_HEAD = 0x0f,
};

enum {
    IDE_CONTROL_NIEN = 0x02,
    IDE_CONTROL_SRST = 0x04,
    IDE_CONTROL_HOB = 0x80,
    IDE_CONTROL_KEPT = 0x8e, /* bits that the register holds */
    /* In the stream only, a reserved bit: INTRQ is pending. */
    IDE_CONTROL_SAVED_INTRQ = 0x40,
};

/* Bits of the interrupt reason (count register) of PACKET commands. */
enum {
    ATAPI_COD = 0x01, /* the packet, not data */
    ATAPI_IO = 0x02,  /* to the host */
};

/* 256 sectors and four bytes, as in the stream. */
#define IDE_BUFFER_SIZE (256 * 512 + 4)
#define IDE_MAX_MULTIPLE 16
/* Largest piece of a DMA transfer. */
#define IDE_DMA_PIECE (256 * 1024)
#define ATAPI_PACKET_SIZE 12
/* Longest answer other than sectors: a disc structure. */
#define ATAPI_MAX_ANSWER (4 + 2048)
#define CD_SECTOR 2048
#define CD_RAW_SECTOR 2352

/* ---- units ----------------------------------------------------------------------------------- */

typedef struct IdeUnit IdeUnit;
typedef struct IdeDrive IdeDrive;
typedef struct IdeRequest IdeRequest;

/* What a unit is doing. docs/devel/ide.md has the table. */
typedef enum IdePhase {
    IDE_IDLE,
    IDE_PIO_IN,   /* the guest reads the buffer */
    IDE_PIO_OUT,  /* the guest fills the buffer */
    IDE_BUSY,     /* block I/O of a command without bus master is in flight */
    IDE_DMA_WAIT, /* the bus master has not been started */
    IDE_DMA,      /* block I/O of a DMA command is in flight */
    IDE_STOPPED,  /* failed under rerror/werror=stop, or was parked: goes on when the VM runs */
} IdePhase;

/* What follows when the buffer has been read or filled: the numbers are those of the stream. */
typedef enum IdeNext {
    IDE_NEXT_READ = 0,
    IDE_NEXT_WRITE = 1,
    IDE_NEXT_STOP = 2,
    IDE_NEXT_ATAPI_REPLY = 3,
    IDE_NEXT_ATAPI_PACKET = 4,
    IDE_NEXT_NONE = 5,
    IDE_NEXTS
} IdeNext;

/* What a phase without data for the guest is about: how it goes on. */
typedef enum IdeJob {
    IDE_JOB_NONE,
    IDE_JOB_READ, /* PIO */
    IDE_JOB_WRITE,
    IDE_JOB_FLUSH,
    IDE_JOB_DMA_READ,
    IDE_JOB_DMA_WRITE,
    IDE_JOB_TRIM,
    IDE_JOB_ATAPI_READ, /* PIO */
    IDE_JOB_ATAPI_DMA,
} IdeJob;

typedef void IdeIoDone(IdeUnit *u, int ret);

struct IdeUnit {
    IdeBus *bus;
    unsigned number;
    IdeDrive *drive; /* NULL: none */

    /* Task file. */
    uint8_t feature, error, sector, lcyl, hcyl, select, status;
    uint32_t nsector; /* the whole count while a command runs */
    uint8_t hob_feature, hob_nsector, hob_sector, hob_lcyl, hob_hcyl;
    uint8_t lba48; /* of the command */
    int32_t mult_sectors;
    int32_t identify_set; /* identify_data is valid */
    uint8_t identify_data[512];
    bool smart_enabled, smart_autosave;
    uint8_t smart_errors, smart_selftests;
    uint8_t smart_selftest_data[512];

    /* A data phase: `cur_len` bytes from cur_offset on are to be moved. */
    IdePhase phase;
    IdeNext next;
    IdeJob job;
    uint8_t *buffer; /* IDE_BUFFER_SIZE */
    int32_t cur_offset, cur_len;
    int32_t req_nb_sectors; /* PIO: of the block at hand */

    /* PACKET. */
    uint8_t sense_key, asc; /* key, code: the qualifier is 0 in all of ours */
    uint8_t cdrom_changed;
    bool tray_open, tray_locked;
    bool event_new_media, event_eject_request;
    int32_t elementary_transfer_size; /* left of the DRQ block behind cur_len; 0 in what we make */
    int32_t packet_transfer_size;     /* left of the answer behind that */
    uint32_t cd_lba;                  /* next sector to fetch */
    uint16_t cd_sector_size;          /* 0: the answer is in the buffer */
    uint32_t cd_buffered;             /* bytes in the buffer */
    bool packet_dma;
    uint8_t packet[ATAPI_PACKET_SIZE]; /* of the command under way */

    /* DMA. */
    int64_t retry_sector;
    uint32_t retry_nsector;
    uint64_t dma_sector; /* of the next piece */
    uint32_t dma_left;   /* sectors; bytes for ATAPI */
    bool dma_stopped;    /* the guest stopped the bus master under way */
    uint8_t *dma_buf;

    /* TRIM. */
    uint32_t trim_bytes, trim_at;

    /* For the stream. */
    uint8_t saved_next, saved_status;
    bool pio_state_came, read_state_came;

    unsigned serial_number;
    IdeRequest *request; /* in flight, or about to be (I4) */
    unsigned orphans;    /* given up, not over yet */
    bool reset_pending;  /* BSY until the orphans are over */
    Bh *submit;
};

struct IdeBus {
    Bus bus;
    unsigned number;
    unsigned max_units;
    unsigned queue_depth; /* commands that can be queued; 0: none */
    IdeUnit units[IDE_UNITS];
    uint8_t control; /* the device control register */
    uint8_t unit;    /* selected */
    bool intrq;
    Irq *irq;
    const IdeDmaOps *dma;
    void *dma_opaque;
    VmStateEntry *vm_state;
    QuiesceEntry *quiesce;
    /* For the stream. */
    uint8_t saved_control;
    int32_t error_status;
    int32_t inert_error; /* of a unit that has no drive here */
    int64_t retry_sector_num;
    uint32_t retry_nsector;
    uint8_t retry_unit;
};

static inline IdeUnit *ide_selected(IdeBus *bus)
{
    return &bus->units[bus->unit];
}

/* ---- drives (drive.c) ------------------------------------------------------------------------ */

struct IdeDrive {
    Device device;
    DriveConf conf;
    uint32_t unit; /* UINT32_MAX: the first free one */
    char *ver, *serial, *model;
    uint64_t wwn;
    uint16_t rotation_rate;
    uint32_t cyls, heads, secs, lcyls, lheads, lsecs;
    int translation;
    bool cd;
    bool write_cache_default;
};

#define IDE_DRIVE(obj) ((IdeDrive *)(obj))
extern const DeviceType ide_drive_type; /* "ide-device", abstract */

/* 512-byte sectors of the medium. */
uint64_t ide_drive_sectors(const IdeUnit *u);

/* ---- registers.c ------------------------------------------------------------------------------ */

void ide_set_intrq(IdeBus *bus, bool on);
/* The signature of a drive that has been reset (ATA8-ACS 7.x "signature"). */
void ide_put_signature(IdeUnit *u);
/* Gives up what is under way; its block I/O becomes an orphan. */
void ide_cancel(IdeUnit *u);
/* As after a power-on or a hardware reset. */
void ide_unit_reset(IdeUnit *u);
/* The last orphan of a unit under reset is over. */
void ide_reset_finish(IdeUnit *u);
/* Data for the guest, or from it: len bytes of the buffer from offset on. */
void ide_pio(IdeUnit *u, IdePhase phase, int32_t offset, int32_t len, IdeNext next);
/* Status without DRQ and BSY; interrupt. */
void ide_done(IdeUnit *u);
/* For a controller that moves data itself: what the data register would give or take now, and its end. */
uint8_t *ide_data_block(IdeUnit *u, uint32_t *len);
void ide_data_block_moved(IdeUnit *u);
void ide_abort(IdeUnit *u);

/* ---- request.c: block I/O (I4) ---------------------------------------------------------------- */

typedef enum IdeIo { IDE_IO_READ, IDE_IO_WRITE, IDE_IO_FLUSH, IDE_IO_DISCARD } IdeIo;
/* One at a time; u->job says what for. buf, in one of the unit's buffers, belongs to the request until done. */
void ide_io(IdeUnit *u, IdeIo io, uint64_t offset, void *buf, uint64_t len, IdeIoDone *done);
/* What to do about a block I/O that ended with ret. True: go on. False: the unit is STOPPED, or the
 * command has ended with an error. */
bool ide_io_good(IdeUnit *u, int ret, bool is_read);
/* Submits and waits for all of it. Main thread. */
void ide_settle(IdeBus *bus);
/* Gives it up: nobody is told of its end. */
void ide_orphan(IdeRequest *r);
/* A STOPPED unit does its job again. */
void ide_go_on(IdeUnit *u);
void ide_unit_init_requests(IdeUnit *u);
void ide_bus_init_requests(IdeBus *bus);
void ide_bus_end_requests(IdeBus *bus);

/* ---- ata.c, ata-io.c, ata-identify.c, smart.c ------------------------------------------------- */

void ata_execute(IdeUnit *u, uint8_t command);
/* The address in the task file, in sectors; set: the other way round. */
uint64_t ata_get_sector(const IdeUnit *u);
void ata_set_sector(IdeUnit *u, uint64_t sector);
bool ata_range_valid(const IdeUnit *u, uint64_t sector, uint64_t count);
/* Makes identify_data. */
void ata_identify(IdeUnit *u);
uint16_t ata_identify_word(const IdeUnit *u, unsigned word);
void ata_identify_put(IdeUnit *u, unsigned word, uint16_t value);
void ata_smart(IdeUnit *u);
void ata_smart_reset(IdeUnit *u);
void ata_pio_read(IdeUnit *u);
void ata_pio_read_next(IdeUnit *u);
void ata_pio_write(IdeUnit *u);
void ata_pio_write_block(IdeUnit *u);
void ata_flush(IdeUnit *u);
/* READ, WRITE or TRIM by DMA: waits for the bus master, or begins. */
void ata_dma(IdeUnit *u, IdeJob job);
void ata_dma_begin(IdeUnit *u);

/* ---- atapi.c, atapi-commands.c ------------------------------------------------------------------ */

/* The packet is in the buffer. */
void atapi_packet(IdeUnit *u);
/* The guest has read a block. */
void atapi_reply_next(IdeUnit *u);
void atapi_read_block(IdeUnit *u);
/* The bus master may go. */
void atapi_dma_begin(IdeUnit *u);
void atapi_reset(IdeUnit *u);
void atapi_ok(IdeUnit *u);
void atapi_error(IdeUnit *u, uint8_t key, uint8_t asc);
/* The answer is in the buffer: len bytes, at most max of them wanted. */
void atapi_reply(IdeUnit *u, uint32_t len, uint32_t max);
/* Sectors of that size, from lba on. */
void atapi_read(IdeUnit *u, uint32_t lba, uint32_t count, unsigned sector_size);
bool atapi_medium_ready(const IdeUnit *u);
uint64_t atapi_blocks(const IdeUnit *u);
/* Runs packet[]; ends in one of the four above. */
void atapi_execute(IdeUnit *u);
/* A command whose answer the guest has got entirely: what that takes away. */
void atapi_consumed(IdeUnit *u);
void atapi_change_media(IdeUnit *u, bool load);

/* ---- vmstate.c ----------------------------------------------------------------------------------- */

extern const VmState ide_drive_vmstate; /* of an IdeUnit */
extern const VmState ide_bus_vmstate;   /* of an IdeBus */
/* After all of them. False: units and bus do not fit together. */
bool ide_bus_loaded(IdeBus *bus, GError **error);

#endif
