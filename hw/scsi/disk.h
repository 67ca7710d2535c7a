/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scsi-hd and scsi-cd: what their files share. */
#ifndef HW_SCSI_DISK_H
#define HW_SCSI_DISK_H

#include "hw/core/drive.h"
#include "scsi-private.h"

#define SCSI_TYPE_DISK 0x00
#define SCSI_TYPE_CDROM 0x05

#define SCSI_DISK_MAX_SERIAL 36 /* characters of the property "serial", as in stock */

/* Largest piece of a transfer: one chunk of a READ or WRITE. */
#define DISK_CHUNK (128 * 1024)
/* Buffer of an emulated command; larger ones if the CDB asks for more, up to the limit. */
#define DISK_BUFFER 4096
#define DISK_MAX_ANSWER 65536

typedef struct ScsiDisk {
    ScsiDevice scsi;
    DriveConf conf;
    char *vendor, *product, *ver, *serial, *device_id;
    bool migrate_emulated; /* property migrate-emulated-scsi-request */
    bool removable;
    bool dpofua;
    uint64_t wwn, port_wwn;
    uint16_t port_index;
    uint64_t max_unmap_size, max_io_size;
    uint16_t rotation_rate;
    int32_t scsi_version;
    bool quirk_vendor_specific_apple, quirk_apple_vendor, quirk_truncated, quirk_rom_use_dbd;
    uint32_t cyls, heads, secs, lcyls, lheads, lsecs;
    /* State; saved as "scsi-disk". */
    bool media_changed; /* a unit attention 28/00 follows the one that waits */
    bool media_event;   /* GET EVENT STATUS has NewMedia to tell */
    bool eject_request; /* … EjectRequest */
    bool tray_open;
    bool tray_locked;
    /* Saved when it is not what the front was opened with. */
    bool write_cache_default;
    bool write_cache_wanted; /* during load */
} ScsiDisk;

#define SCSI_DISK(obj) ((ScsiDisk *)(obj))

typedef struct DiskRequest DiskRequest;

/* One emulated command. */
typedef struct DiskCommand {
    uint8_t opcode;
    uint8_t types; /* bit 1 << type: devices that have it; COMMAND_ANY */
    uint8_t flags;
    /* Fills d->buf (zeroed, at least DISK_BUFFER and xfer bytes) with the answer, or does what has
     * no data; false: *sense says why not. With `parameters` it runs before the data comes. May be
     * NULL. */
    bool (*run)(DiskRequest *d, ScsiSense *sense);
    /* TO_DEVICE: the parameter list of `len` bytes is complete. Ends the request, now or later. */
    void (*parameters)(DiskRequest *d, const uint8_t *data, uint32_t len);
} DiskCommand;

enum {
    COMMAND_HD = 1 << 0,
    COMMAND_CD = 1 << 1,
    COMMAND_ANY = COMMAND_HD | COMMAND_CD,

    COMMAND_NEEDS_MEDIUM = 1 << 0,
    COMMAND_READS_MEDIUM = 1 << 1, /* the answer depends on which medium it is */
    COMMAND_CONSUMES = 1 << 2,     /* the answer cannot be had twice */
    COMMAND_ENDS_ITSELF = 1 << 3,  /* run() has ended the request or started I/O */
};

struct DiskRequest {
    ScsiRequest req;
    const DiskCommand *command; /* emulated; NULL: DMA */
    bool write;                 /* DMA: WRITE */
    bool fua;
    uint64_t sector; /* DMA: first of the next chunk, in units of 512 bytes */
    uint32_t count;  /* DMA: sectors from there on */
    uint8_t *buf;
    uint32_t buflen; /* allocated */
    uint32_t filled; /* emulated: bytes of the answer or of the parameter list */
    bool have_data;  /* TO_DEVICE: the parameter list is complete in buf */
    bool again;      /* it arrived, and the adapter has all data: from the beginning */
    IoVec vec;
    BlockAio *aio;
    /* Progress of UNMAP and WRITE SAME. */
    uint64_t next, left; /* bytes */
    uint32_t descriptor;
};

#define DISK_REQUEST(r) ((DiskRequest *)(r))

static inline ScsiDisk *disk_of(DiskRequest *d)
{
    return SCSI_DISK(d->req.dev);
}

/* ---- disk.c ---------------------------------------------------------------------------------- */
bool disk_medium_ready(ScsiDisk *s);
/* Logical blocks; 0 without a medium. */
uint64_t disk_blocks(ScsiDisk *s);
bool disk_lba_valid(ScsiDisk *s, uint64_t lba, uint64_t blocks);

/* ---- disk-cdb.c ------------------------------------------------------------------------------ */
bool disk_parse_cdb(ScsiDevice *dev, ScsiRequest *req, ScsiSense *sense);

/* ---- disk-dma.c: READ and WRITE; block I/O --------------------------------------------------- */
extern const ScsiRequestOps disk_dma_ops;
bool disk_is_dma(uint8_t opcode);
bool disk_is_write(uint8_t opcode);
/* The fields that follow from the CDB; for requests that arrive, too. */
void disk_dma_setup(DiskRequest *d);
void disk_request_free(ScsiRequest *req);
bool disk_request_cancel_io(ScsiRequest *req);
/* What to do about a block I/O that ended with ret, for a request not cancelled. True: go on as if
 * it were good. */
bool disk_io_good(DiskRequest *d, int ret, bool is_read);

/* ---- disk-emulate.c -------------------------------------------------------------------------- */
extern const ScsiRequestOps disk_emulated_ops;
const DiskCommand *disk_command(const ScsiDisk *s, uint8_t opcode);

/* ---- the commands ---------------------------------------------------------------------------- */
bool disk_inquiry(DiskRequest *d, ScsiSense *sense);
bool disk_mode_sense(DiskRequest *d, ScsiSense *sense);
void disk_mode_select(DiskRequest *d, const uint8_t *data, uint32_t len);
bool disk_read_capacity_10(DiskRequest *d, ScsiSense *sense);
bool disk_service_action_in(DiskRequest *d, ScsiSense *sense);
void disk_unmap(DiskRequest *d, const uint8_t *data, uint32_t len);
void disk_write_same(DiskRequest *d, const uint8_t *data, uint32_t len);
bool disk_verify(DiskRequest *d, ScsiSense *sense);
bool disk_synchronize_cache(DiskRequest *d, ScsiSense *sense);
void disk_flush_then_complete(DiskRequest *d);
bool mmc_read_toc(DiskRequest *d, ScsiSense *sense);
bool mmc_get_configuration(DiskRequest *d, ScsiSense *sense);
bool mmc_get_event_status(DiskRequest *d, ScsiSense *sense);
bool mmc_read_disc_information(DiskRequest *d, ScsiSense *sense);
bool mmc_read_disc_structure(DiskRequest *d, ScsiSense *sense);
bool mmc_mechanism_status(DiskRequest *d, ScsiSense *sense);
bool mmc_get_performance(DiskRequest *d, ScsiSense *sense);

/* ---- disk-vmstate.c -------------------------------------------------------------------------- */
extern const VmState disk_vmstate;
bool disk_emulated_save(ScsiRequest *req, VmWriter *w, GError **error);
bool disk_emulated_load(ScsiRequest *req, VmReader *r, GError **error);
bool disk_dma_save(ScsiRequest *req, VmWriter *w, GError **error);
bool disk_dma_load(ScsiRequest *req, VmReader *r, GError **error);
bool disk_emulated_can_leave(ScsiRequest *req, GError **error);

#endif
