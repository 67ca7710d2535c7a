/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCSI: buses, devices and requests (SAM-5; SPC-4 for what all devices do).
 *
 * A host adapter (USB Bulk-Only bridge, later virtio-scsi) owns a bus; devices sit at
 * channel:target:lun. The adapter makes a request for each command descriptor block and enqueues
 * it; the device hands data over in chunks and finally a status. docs/devel/scsi.md has the state
 * table.
 *
 * S1  A request ends exactly once: by ScsiHbaOps.complete or by .cancelled. Until then it is on its
 *     device's list.
 * S2  One chunk at a time: between .data and scsi_request_continue() the chunk belongs to the
 *     adapter, otherwise to the device. The adapter alone knows how far it is within the chunk.
 * S3  A device never touches guest memory; it moves bytes between its chunk and block nodes. What
 *     reaches the guest is the adapter's work.
 * S4  The callbacks of ScsiHbaOps may be called from within scsi_request_enqueue() and
 *     scsi_request_continue(), and may call back into this header.
 * S5  Sense data is the request's. The device keeps a copy for REQUEST SENSE until the next
 *     command.
 * S6  While the VM is stopped and block I/O is drained each request on a list is in one of the
 *     states DATA, STOPPED or RESTORED; these three have a form in the stream.
 * S7  The requests and devices of a bus are used in one place: in the main thread under the big lock, or, as long as the
 *     adapter says so (ScsiHbaOps.home), in its iothread. Everybody else gets in by scsi_bus_run().
 */
#ifndef HW_SCSI_SCSI_H
#define HW_SCSI_SCSI_H

#include "hw/core/device.h"
#include "system/quiesce.h"
#include "system/runstate.h"

typedef struct ScsiBus ScsiBus;
typedef struct ScsiHbaOps ScsiHbaOps;
typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiDeviceOps ScsiDeviceOps;
typedef struct ScsiRequest ScsiRequest;
typedef struct ScsiRequestOps ScsiRequestOps;

#define SCSI_CDB_MAX 16
#define SCSI_SENSE_MAX 252

/* Status codes (SAM-5 5.3.1). */
typedef enum ScsiStatus {
    SCSI_GOOD = 0x00,
    SCSI_CHECK_CONDITION = 0x02,
    SCSI_CONDITION_MET = 0x04,
    SCSI_BUSY = 0x08,
    SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28,
    SCSI_TASK_ABORTED = 0x40,
} ScsiStatus;

/* ---- sense data (SPC-4 4.5) ------------------------------------------------------------------ */

typedef struct ScsiSense {
    uint8_t key, asc, ascq;
} ScsiSense;

/* The ones in use; names say what SPC-4 annex F says. */
extern const ScsiSense scsi_sense_none, scsi_sense_not_ready_no_medium,
    scsi_sense_not_ready_tray_open, scsi_sense_not_ready_removal_prevented,
    scsi_sense_not_ready_needs_start, scsi_sense_medium_read_error, scsi_sense_medium_write_error,
    scsi_sense_target_failure, scsi_sense_illegal_opcode, scsi_sense_lba_out_of_range,
    scsi_sense_invalid_field, scsi_sense_invalid_lun, scsi_sense_invalid_parameter,
    scsi_sense_invalid_parameter_value, scsi_sense_parameter_length, scsi_sense_incompatible_format,
    scsi_sense_removal_prevented, scsi_sense_saving_unsupported, scsi_sense_medium_changed,
    scsi_sense_reset, scsi_sense_power_on, scsi_sense_no_medium_attention,
    scsi_sense_capacity_changed, scsi_sense_luns_changed, scsi_sense_removal_requested,
    scsi_sense_mode_changed, scsi_sense_write_protected, scsi_sense_space_alloc_failed,
    scsi_sense_io_error, scsi_sense_aborted, scsi_sense_data_phase, scsi_sense_lun_comm_failure,
    scsi_sense_miscompare;

static inline bool scsi_sense_equal(ScsiSense a, ScsiSense b)
{
    return a.key == b.key && a.asc == b.asc && a.ascq == b.ascq;
}

/* Writes sense as fixed (18 bytes) or descriptor format (8 bytes) into buf; returns the length. */
unsigned scsi_sense_build(uint8_t buf[SCSI_SENSE_MAX], ScsiSense sense, bool fixed);
/* Key and codes of sense data of either format; scsi_sense_none if there are none. */
ScsiSense scsi_sense_parse(const uint8_t *buf, unsigned len);

/* ---- command descriptor blocks --------------------------------------------------------------- */

typedef enum ScsiDirection { SCSI_NO_DATA, SCSI_FROM_DEVICE, SCSI_TO_DEVICE } ScsiDirection;

/* Length of a CDB by the group of its opcode (SPC-4 4.2.5.1): 6, 10, 12, 16; 0 for variable or
 * vendor groups. */
unsigned scsi_cdb_length(uint8_t opcode);
/* "INQUIRY"; "0xNN" for opcodes without a name. A constant string. */
const char *scsi_command_name(uint8_t opcode);

/* ---- requests -------------------------------------------------------------------------------- */

typedef enum ScsiRequestState {
    SCSI_REQUEST_NEW,      /* not enqueued yet */
    SCSI_REQUEST_RUNNING,  /* with the device; block I/O may be in flight */
    SCSI_REQUEST_DATA,     /* a chunk is with the adapter (S2) */
    SCSI_REQUEST_STOPPED,  /* failed under rerror/werror=stop; starts again when the VM runs */
    SCSI_REQUEST_RESTORED, /* arrived without its buffer: runs again when the VM runs */
    SCSI_REQUEST_DONE,
    SCSI_REQUEST_CANCELLED,
} ScsiRequestState;

struct ScsiRequest {
    const ScsiRequestOps *ops;
    ScsiBus *bus;
    ScsiDevice *dev; /* holds a reference */
    int refs;
    uint32_t tag;
    uint32_t lun; /* as addressed; dev->lun may differ */
    ScsiRequestState state;
    uint8_t cdb[SCSI_CDB_MAX];
    unsigned cdb_len;
    uint64_t lba;            /* in logical blocks, where the CDB has one */
    uint64_t xfer;           /* bytes of the data phase as the CDB says */
    ScsiDirection direction; /* of the data phase as the CDB says */
    uint8_t *chunk;          /* state DATA: what .data announced */
    uint32_t chunk_len;
    uint64_t moved; /* bytes in the chunks that the adapter is done with */
    int status;     /* ScsiStatus, when complete */
    uint8_t sense[SCSI_SENSE_MAX];
    unsigned sense_len;
    bool on_list;
    bool replaying;    /* runs again on arrival: .data_again instead of .data */
    void *hba_private; /* the adapter's; NULL in one that has arrived until load_request sets it */
    GList link;        /* in dev->requests */
};

/* What a kind of request does. Private to devices, except for tests. */
struct ScsiRequestOps {
    size_t size; /* of the struct that embeds ScsiRequest first */
    /* Begins. Calls one of scsi_request_data(), scsi_request_complete() now or later. */
    void (*start)(ScsiRequest *req);
    /* The adapter has emptied / filled the chunk. */
    void (*advance)(ScsiRequest *req);
    /* Begins again after an error under policy stop (state STOPPED), from the block where it
     * failed. NULL: start. */
    void (*restart)(ScsiRequest *req);
    /* Runs again without the buffer that it had; must not consume state. NULL: start. */
    void (*replay)(ScsiRequest *req);
    /* Stops what can be stopped of the block I/O in flight. Its callback still comes and calls
     * scsi_request_io_done(). False: there is none, nobody will call. NULL: there never is. */
    bool (*cancel_io)(ScsiRequest *req);
    void (*free)(ScsiRequest *req);
    /* The part of a list entry behind the lun. NULL: none. */
    bool (*save)(ScsiRequest *req, VmWriter *w, GError **error);
    bool (*load)(ScsiRequest *req, VmReader *r, GError **error);
    /* Whether it can leave now; else sets *error to why not (for quiesce). NULL: yes. */
    bool (*can_leave)(ScsiRequest *req, GError **error);
};

/* Adapter: a request for cdb (len bytes, at least 1) to lun behind dev, which may be of another LUN
 * of the target (then only INQUIRY, REPORT LUNS and REQUEST SENSE succeed). One reference, the
 * caller's. */
ScsiRequest *scsi_request_new(ScsiDevice *dev, uint32_t tag, uint32_t lun, const uint8_t *cdb,
                              size_t len, void *hba_private);
ScsiRequest *scsi_request_ref(ScsiRequest *req);
void scsi_request_unref(ScsiRequest *req);
/* Adapter: fills in direction and xfer before it is enqueued. False: only the device's answer will tell. */
bool scsi_request_peek(ScsiRequest *req);
/* Adapter: hands it to the device. .data, .complete may have been called when this returns. */
void scsi_request_enqueue(ScsiRequest *req);
/* Adapter: done with the chunk (state DATA). */
void scsi_request_continue(ScsiRequest *req);
/* Adapter: gives it up. .cancelled is called, at once or when its block I/O is over; .complete is
 * not. */
void scsi_request_cancel(ScsiRequest *req);
/* Adapter: copies the sense of a completed request to buf; returns the length. */
unsigned scsi_request_get_sense(ScsiRequest *req, uint8_t *buf, unsigned len);

/* Device: announces a chunk. FROM_DEVICE: len bytes are in it; TO_DEVICE: it takes up to len bytes.
 * len > 0. */
void scsi_request_data(ScsiRequest *req, uint8_t *chunk, uint32_t len);
void scsi_request_complete(ScsiRequest *req, ScsiStatus status);
/* Device: CHECK CONDITION with this sense. */
void scsi_request_check_condition(ScsiRequest *req, ScsiSense sense);
/* Device: state STOPPED. */
void scsi_request_stop(ScsiRequest *req);
/* Device: a block I/O of req is over. True if req was cancelled meanwhile; then .cancelled has been
 * called, the reference that the I/O held is gone, and req must not be used any more. */
bool scsi_request_io_done(ScsiRequest *req);
/* Device, from its `load`: req arrived with its chunk (state DATA). Nobody is called. */
void scsi_request_load_chunk(ScsiRequest *req, uint8_t *chunk, uint32_t len);
/* "scsi-cd at 0000:00:01.2/1/0:0:0: request INQUIRY": new string, for messages. */
char *scsi_request_describe(const ScsiRequest *req);

/* ---- buses ----------------------------------------------------------------------------------- */

/* What an adapter does for its requests. */
struct ScsiHbaOps {
    bool tagged_queueing; /* may have several requests of a device in flight */
    /* The data of a request are with the adapter from its beginning to its end (in guest memory): no chunk travels, and
     * a READ or WRITE that arrives begins again. */
    bool keeps_data;
    uint32_t max_channel, max_target, max_lun;
    /* A chunk is there (S2). req->chunk, req->chunk_len. */
    void (*data)(ScsiRequest *req, uint8_t *chunk, uint32_t len);
    /* The same for a request that ran again on arrival: the guest may have had a part of the data
     * already; the adapter goes on from the position that it restored. False: the guest has sent a
     * part that did not arrive; the request then ends with CHECK CONDITION. NULL: data. */
    bool (*data_again)(ScsiRequest *req, uint8_t *chunk, uint32_t len);
    /* req->status, req->moved, sense. */
    void (*complete)(ScsiRequest *req);
    void (*cancelled)(ScsiRequest *req);
    /* Medium, capacity or mode of a device has changed: for adapters that report events. May be
     * NULL. */
    void (*changed)(ScsiBus *bus, ScsiDevice *dev, ScsiSense sense);
    /* A device has come, or is about to go, while the machine is there. May be NULL. */
    void (*plugged)(ScsiBus *bus, ScsiDevice *dev);
    void (*unplugged)(ScsiBus *bus, ScsiDevice *dev);
    /* The adapter's part of a list entry, between lun and the device's part. NULL: no bytes. */
    bool (*save_request)(ScsiRequest *req, VmWriter *w, GError **error);
    /* Takes a reference and sets hba_private; refuses a request that the adapter cannot have.
     * Required for migration. It may hear of .cancelled at once, if the device's part is bad. */
    bool (*load_request)(ScsiRequest *req, VmReader *r, GError **error);
    /* The context of the iothread that has the bus now (S7); NULL: the main thread. May be NULL. */
    GMainContext *(*home)(const ScsiBus *bus);
    /* Sections are loaded in any order: called when the VM is about to run, before requests go on.
     * May be NULL. */
    void (*restored)(ScsiBus *bus);
};

struct ScsiBus {
    Bus bus;
    const ScsiHbaOps *ops;
    void *hba;
    int busnr;
    GQueue members; /* ScsiDevice.member: those of bus.devices that can be addressed; S7 */
};

extern const BusType scsi_bus_type; /* "SCSI" */
#define SCSI_BUS(obj) ((ScsiBus *)(obj))

/* A bus that hangs off owner. name NULL: "<owner id>.N" or "scsi.N". Destroy with bus_destroy(). */
ScsiBus *scsi_bus_new(Device *owner, const char *name, const ScsiHbaOps *ops, void *hba);
/* The device at this address; failing that, one of another LUN of the same target (REPORT LUNS and
 * INQUIRY of a LUN that is not there need one); NULL if the target has none. */
ScsiDevice *scsi_bus_find(ScsiBus *bus, uint32_t channel, uint32_t target, uint32_t lun);
/* Cancels all requests of all devices. */
void scsi_bus_cancel_all(ScsiBus *bus);
/* Runs func where the bus is used (S7), and returns when it is over. Big lock, or there. */
void scsi_bus_run(ScsiBus *bus, void (*func)(void *opaque), void *opaque);
/* Waits for block I/O of all devices. Main thread. */
void scsi_bus_drain(ScsiBus *bus);
/* Main thread, while nothing is submitted in the old place: the block fronts of all devices have another home. */
void scsi_bus_set_home(ScsiBus *bus, GMainContext *home);

/* ---- devices --------------------------------------------------------------------------------- */

/* DeviceType.ops of a SCSI device. Its DeviceType's parent is &scsi_device_type or a subtype. */
struct ScsiDeviceOps {
    bool (*realize)(ScsiDevice *dev, GError **error);
    void (*unrealize)(ScsiDevice *dev);
    /* After all requests are cancelled and the sense is cleared. May be NULL. */
    void (*reset)(ScsiDevice *dev);
    /* Fills lba, xfer, direction from the CDB; false: opcode or fields unknown to this device (then
     * the request ends with *sense). */
    bool (*parse_cdb)(ScsiDevice *dev, ScsiRequest *req, ScsiSense *sense);
    /* How this command is done. Never NULL. */
    const ScsiRequestOps *(*request_ops)(ScsiDevice *dev, const uint8_t *cdb);
    /* The unit attention was delivered; the device may queue another with
     * scsi_device_set_unit_attention(). */
    void (*unit_attention_reported)(ScsiDevice *dev);
    /* Waits for block I/O (quiesce). May be NULL. */
    void (*drain)(ScsiDevice *dev);
    /* Block I/O is submitted and ends in that context from now on (front_set_home()). May be NULL. */
    void (*set_home)(ScsiDevice *dev, GMainContext *home);
};

struct ScsiDevice {
    Device device;
    /* Properties. */
    uint32_t channel;
    uint32_t id;  /* UINT32_MAX: any free */
    uint32_t lun; /* UINT32_MAX: any free */
    /* Constant after realize. */
    uint8_t type;        /* peripheral device type, 0 disk, 5 CD/DVD */
    uint32_t block_size; /* logical, bytes */
    /* State; saved as "SCSIDevice". */
    ScsiSense unit_attention; /* key 0: none */
    bool sense_is_ua;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t sense_len;
    GQueue requests; /* ScsiRequest.link, oldest first */
    /* Derived. */
    GList member; /* in ScsiBus.members */
    bool carries_answers; /* requests other than DMA may leave with their buffer */
    VmStateEntry *vm_state;
    QuiesceEntry *quiesce;
    char *description; /* "scsi-cd at 0000:00:01.2/1/0:0:0", for messages */
};

extern const DeviceType scsi_device_type; /* "scsi-device", abstract */
#define SCSI_DEVICE(obj) ((ScsiDevice *)(obj))

const ScsiDeviceOps *scsi_device_ops(const ScsiDevice *dev);
/* Queues a unit attention unless one of higher precedence waits (power on > reset > medium >
 * others). */
void scsi_device_set_unit_attention(ScsiDevice *dev, ScsiSense sense);
/* The same and tells the adapter (ScsiHbaOps.changed). */
void scsi_device_report_change(ScsiDevice *dev, ScsiSense sense);
/* Cancels all requests. */
void scsi_device_cancel_all(ScsiDevice *dev);

/*
 * First field of every SCSI device's vmstate: VM_SCSI_DEVICE(ScsiDisk, scsi). Version 1: unit
 * attention key, asc, ascq; sense_is_ua; sense[96]; sense_len; list of requests. List: per request
 * a byte 2 (1: STOPPED), cdb[16], be32 tag, be32 lun, adapter's part, device's part; a byte 0 ends
 * it.
 */
extern const VmState scsi_device_vmstate;
#define VM_SCSI_DEVICE(state_, member_)                                           \
    {                                                                             \
        .name = "qdev", .offset = VM_CHECKED_OFFSET(state_, member_, ScsiDevice), \
        .size = sizeof(ScsiDevice), .vmstate = &scsi_device_vmstate               \
    }

#endif
