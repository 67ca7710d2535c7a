/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the floppy controller share. */
#ifndef HW_MISC_FDC_PRIVATE_H
#define HW_MISC_FDC_PRIVATE_H

#include "hw/core/drive.h"
#include "hw/isa/i8257.h"
#include "hw/misc/fdc.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/main-loop.h"

#define FDC_DRIVES 2
#define FDC_SECTOR 512
#define FDC_SECTOR_CODE 2 /* 128 << 2 */
#define FDC_SENSES_AFTER_RESET 4

/* Main status register (82078 data sheet, 2.1.5). */
enum {
    MSR_BUSY = 0x10,
    MSR_NON_DMA = 0x20,
    MSR_DIO = 0x40,
    MSR_RQM = 0x80,
};

/* Status registers 0 to 3 (6.1 to 6.4). */
enum {
    ST0_HEAD = 0x04,
    ST0_SEEK_END = 0x20,
    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_POLLING = 0xc0,
    ST1_MISSING_ADDRESS = 0x01,
    ST1_NOT_WRITABLE = 0x02,
    ST1_NO_DATA = 0x04,
    ST1_DATA_ERROR = 0x20,
    ST1_END_OF_CYLINDER = 0x80,
    ST2_SCAN_NOT_SATISFIED = 0x04,
    ST2_SCAN_HIT = 0x08,
    ST2_DATA_ERROR = 0x20,
};

typedef enum FdcPhase {
    FDC_COMMAND, /* idle, or taking a command's bytes */
    FDC_EXECUTION,
    FDC_RESULT,
} FdcPhase;

typedef enum FdcDirection {
    FDC_WRITE = 0,
    FDC_READ = 1,
    FDC_SCAN = 2,
    FDC_FORMAT = 3,
    FDC_VERIFY = 4
} FdcDirection;

typedef struct Fdc Fdc;
typedef struct FloppyDrive FloppyDrive;
typedef struct FdcRequest FdcRequest;
typedef void FdcIoDone(Fdc *s, int ret);

/* A place on the cable, with or without a drive. */
typedef struct FdcPlace {
    FloppyDrive *drive; /* NULL: none */
    FloppyType type;
    uint8_t head, track, sect; /* where it stands; sect: next */
    uint8_t media_changed;
    uint8_t media_rate;
    uint8_t perpendicular;
    /* Of the medium. */
    uint8_t last_sect, max_track, heads;
    bool read_only;
} FdcPlace;

struct Fdc {
    IsaDevice isa;
    uint32_t iobase, irq_line, dma_channel;
    int type[FDC_DRIVES], fallback;
    int32_t bootindex[FDC_DRIVES];
    MemoryRegion *ports, *dir_port;
    Irq *irq;
    Bus *bus;

    uint8_t sra, srb, dor, tdr, dsr, msr;
    uint8_t status0, status1, status2;
    uint8_t fifo[FDC_SECTOR];
    uint32_t data_pos, data_len;
    uint8_t data_state;  /* bit 0: several heads */
    uint8_t saved_state; /* the same for the stream */
    uint8_t data_dir;
    uint8_t eot, timer0, timer1, precomp_trk, config, lock, pwrd, num_floppies;
    int32_t reset_sensei;
    FdcPlace places[FDC_DRIVES];
    FdcPhase phase;
    Timer result_timer;

    /* Execution: whether fifo holds the sector at hand (reading), is wanted (writing). */
    bool sector_ready;
    bool terminal_count;
    bool dreq;
    /* FORMAT's and SCAN's parameters: command byte, filler. */
    uint8_t command, filler;

    FdcRequest *request;
    unsigned orphans;
    Bh *submit;
    VmStateEntry *vm_state;
    QuiesceEntry *quiesce;
};

struct FloppyDrive {
    Device device;
    DriveConf conf;
    uint32_t unit;
    int type; /* FloppyType */
};

#define FLOPPY_DRIVE(obj) ((FloppyDrive *)(obj))
extern const BusType floppy_bus_type;
extern const PropertyEnum floppy_types[];

typedef struct FloppyBus {
    Bus bus;
    Fdc *fdc;
} FloppyBus;

static inline FdcPlace *fdc_selected(Fdc *s)
{
    return &s->places[s->dor & 1 ? 1 : 0];
}

/* ---- floppy.c ---- */
bool floppy_has_medium(const FdcPlace *place);
/* The format of the medium that is in the drive now. */
void floppy_revalidate(FdcPlace *place);
FloppyType floppy_type_of_medium(BlockFront *front);

/* ---- fdc.c ---- */
void fdc_raise_irq(Fdc *s);
void fdc_lower_irq(Fdc *s);
/* n bytes of fifo are the result. */
void fdc_result(Fdc *s, unsigned n);
void fdc_idle(Fdc *s);
void fdc_set_dreq(Fdc *s, bool up);
void fdc_reset(Fdc *s, bool interrupt);

/* ---- fdc-commands.c ---- */
/* Bytes of parameters behind this opcode. */
unsigned fdc_parameters(uint8_t opcode);
/* The command is complete in fifo. */
void fdc_execute(Fdc *s);

/* ---- fdc-transfer.c ---- */
/* READ, WRITE, SCAN, VERIFY, FORMAT from the command in fifo. */
void fdc_start_transfer(Fdc *s, FdcDirection direction);
void fdc_start_format(Fdc *s);
/* Ends a transfer with the seven bytes of its result. */
void fdc_stop_transfer(Fdc *s, uint8_t status0, uint8_t status1, uint8_t status2);
/* The data register during execution without DMA. */
uint8_t fdc_pio_read(Fdc *s);
void fdc_pio_write(Fdc *s, uint8_t value);
/* DMA. */
IsaDmaTransfer fdc_dma_transfer;
/* Gives up what is under way. */
void fdc_cancel(Fdc *s);
void fdc_settle(Fdc *s);
/* A transfer that has arrived goes on: what is not here is read again. */
void fdc_resume(Fdc *s);
void fdc_transfer_init(Fdc *s);
void fdc_transfer_end(Fdc *s);

#endif
