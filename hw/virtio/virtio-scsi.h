/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of virtio-scsi share (VIRTIO 1.2, 5.6). Rules of SCSI requests: hw/scsi/scsi.h.
 *
 * H1  A command that was popped has a ScsiRequest, which points to it (hba_private), until it is answered; one that
 *     names no device has none and is answered at once.
 * H2  A task management function is answered when the last request that it cancelled is (5.6.6.2).
 * H3  While the device is stopped no ring is touched: what becomes ready then waits in `finished`, a chunk stays with
 *     its request (state DATA) until the start.
 * H4  With an iothread: from start to stop rings, commands and events are its own (`home`; S7 of hw/scsi/scsi.h). While the
 *     device is stopped they are the main thread's.
 */
#ifndef HW_VIRTIO_VIRTIO_SCSI_H
#define HW_VIRTIO_VIRTIO_SCSI_H

#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio.h"
#include "system/iothread.h"

enum { VIRTIO_SCSI_F_HOTPLUG = 1, VIRTIO_SCSI_F_CHANGE = 2 };

/* 5.6.6.1, 5.6.6.2. */
typedef enum ScsiResponse {
    VIRTIO_SCSI_S_OK = 0,
    VIRTIO_SCSI_S_FUNCTION_COMPLETE = 0,
    VIRTIO_SCSI_S_OVERRUN = 1,
    VIRTIO_SCSI_S_ABORTED = 2,
    VIRTIO_SCSI_S_BAD_TARGET = 3,
    VIRTIO_SCSI_S_RESET = 4,
    VIRTIO_SCSI_S_FAILURE = 9,
    VIRTIO_SCSI_S_FUNCTION_SUCCEEDED = 10,
    VIRTIO_SCSI_S_FUNCTION_REJECTED = 11,
    VIRTIO_SCSI_S_INCORRECT_LUN = 12,
} ScsiResponse;

/* 5.6.6.3. */
enum {
    VIRTIO_SCSI_EVENT_NONE = 0,
    VIRTIO_SCSI_EVENT_TRANSPORT_RESET = 1,
    VIRTIO_SCSI_EVENT_PARAM_CHANGE = 3,
};
#define VIRTIO_SCSI_EVENTS_MISSED 0x80000000u
enum { VIRTIO_SCSI_RESET_RESCAN = 1, VIRTIO_SCSI_RESET_REMOVED = 2 };

#define VIRTIO_SCSI_FIXED_QUEUES 2 /* control, events */
#define VIRTIO_SCSI_CDB_SIZE 32
#define VIRTIO_SCSI_SENSE_SIZE 96
#define VIRTIO_SCSI_MAX_TARGET 255
#define VIRTIO_SCSI_MAX_LUN 16383

typedef struct VirtioScsi {
    VirtioDevice vdev;
    /* Properties. */
    uint32_t num_queues, virtqueue_size, max_sectors, cmd_per_lun;
    bool seg_max_adjust;
    IoThread *iothread;
    /* State. */
    uint32_t sense_size, cdb_size; /* configuration space */
    bool running;
    bool intake; /* running, and commands are taken from the rings */
    GMainContext *home; /* H4; NULL: the main thread */
    bool events_missed;
    bool unplugging; /* the whole card goes */
    ScsiBus *bus;
    GQueue finished; /* ScsiCommand, H3 */
} VirtioScsi;

#define VIRTIO_SCSI(obj) ((VirtioScsi *)(obj))
extern const DeviceType virtio_scsi_type; /* "virtio-scsi-device" */

typedef struct ScsiTmf ScsiTmf;

/* A command of a request queue. */
typedef struct ScsiCommand {
    VirtQueueElement elem;
    VirtioScsi *s;
    ScsiRequest *req; /* NULL: none (H1) */
    GList link;       /* in finished */
    bool parsed;      /* the header has been read */
    uint8_t lun[8];
    uint64_t id;
    size_t position;  /* bytes moved of the data phase */
    size_t request_header, response_header;
    ScsiResponse response;
    uint8_t status;
    uint8_t sense[SCSI_SENSE_MAX];
    unsigned sense_len;
    GSList *waiting; /* ScsiTmf */
} ScsiCommand;

/* num_queues=auto: one for each processor. */
void virtio_scsi_default_queues(VirtioScsi *s);

/* ---- virtio-scsi-request.c ---- */

VirtQueueHandler virtio_scsi_handle_request;
extern const ScsiHbaOps virtio_scsi_hba_ops;
/* At start, where the bus is used: answers that wait, and chunks. */
void virtio_scsi_go_on(VirtioScsi *s);
/* Stopped: guest memory of the commands in flight is let go, and taken again. */
void virtio_scsi_unmap(VirtioScsi *s);
bool virtio_scsi_map(VirtioScsi *s, GError **error);
/* Requests are cancelled, memory is let go, nothing is answered: after the rings are gone. vq NULL: of all queues. */
void virtio_scsi_forget(VirtioScsi *s, VirtQueue *vq);
/* The device that a LUN (5.6.6.1) names, of another logical unit of the target if need be; NULL: bad target. */
ScsiDevice *virtio_scsi_find(VirtioScsi *s, const uint8_t lun[8], uint32_t *number);

/* ---- virtio-scsi-control.c ---- */

VirtQueueHandler virtio_scsi_handle_control, virtio_scsi_handle_event;
/* One that the function has cancelled is over. */
void virtio_scsi_tmf_one_less(ScsiTmf *tmf);
/* dev may be NULL: no particular one. */
void virtio_scsi_send_event(VirtioScsi *s, const ScsiDevice *dev, uint32_t event, uint32_t reason);

#endif
