/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of virtio-blk share.
 *
 * K1  A request that was popped is in one place: `active` (block I/O has it, or is to have it), `parked` (it waits for
 *     the machine to run again), or on its way between the two in the thread that moves it.
 * K2  While the device is started, requests and both lists belong to the device's thread: the iothread, or the main
 *     loop. While it is stopped `active` is empty and `parked` belongs to the main thread.
 * K3  A request is answered once, with one status byte, behind everything that block I/O has put into its memory.
 */
#ifndef HW_VIRTIO_VIRTIO_BLK_H
#define HW_VIRTIO_VIRTIO_BLK_H

#include "hw/core/drive.h"
#include "hw/virtio/virtio.h"
#include "system/iothread.h"
#include "util/iov.h"
#include "util/main-loop.h"

/* VIRTIO 1.2, 5.2.3. */
enum {
    VIRTIO_BLK_F_SEG_MAX = 2,
    VIRTIO_BLK_F_GEOMETRY = 4,
    VIRTIO_BLK_F_RO = 5,
    VIRTIO_BLK_F_BLK_SIZE = 6,
    VIRTIO_BLK_F_FLUSH = 9,
    VIRTIO_BLK_F_TOPOLOGY = 10,
    VIRTIO_BLK_F_CONFIG_WCE = 11,
    VIRTIO_BLK_F_MQ = 12,
    VIRTIO_BLK_F_DISCARD = 13,
    VIRTIO_BLK_F_WRITE_ZEROES = 14,
};

/* 5.2.6. */
enum {
    VIRTIO_BLK_T_IN = 0,
    VIRTIO_BLK_T_OUT = 1,
    VIRTIO_BLK_T_FLUSH = 4,
    VIRTIO_BLK_T_GET_ID = 8,
    VIRTIO_BLK_T_DISCARD = 11,
    VIRTIO_BLK_T_WRITE_ZEROES = 13,
};
#define VIRTIO_BLK_T_BARRIER 0x80000000u /* a hint of drivers of old */
enum { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };
#define VIRTIO_BLK_ID_BYTES 20
#define VIRTIO_BLK_SECTOR_BITS 9
#define VIRTIO_BLK_MAX_SECTORS \
    (INT32_MAX >> VIRTIO_BLK_SECTOR_BITS) /* of one discard or write-zeroes */

typedef struct VirtioBlk {
    VirtioDevice vdev;
    /* Properties. */
    DriveConf conf;
    char *serial;
    uint32_t cyls, heads, secs, lcyls, lheads, lsecs;
    uint16_t num_queues, queue_size;
    bool seg_max_adjust, config_wce, request_merging, report_discard_granularity, wce_if_config_wce;
    uint32_t max_discard_sectors, max_write_zeroes_sectors;
    IoThread *iothread;
    /* Constant after realize. */
    bool wce_default;
    /* K2. */
    bool running; /* intake is open */
    GQueue active, parked;
    Bh *notify_bh; /* while the device is started, in its thread */
    uint64_t to_notify[VIRTIO_MAX_QUEUES / 64]; /* queues with answers that the driver has not been told of */
} VirtioBlk;

#define VIRTIO_BLK(obj) ((VirtioBlk *)(obj))

typedef struct BlkRequest BlkRequest;

extern const DeviceType virtio_blk_type; /* "virtio-blk-device" */

/* num-queues=auto: one for each processor. */
void virtio_blk_default_queues(VirtioBlk *blk);

/* ---- virtio-blk-request.c ---- */

VirtQueueHandler virtio_blk_handle_queue;
/* In the device's thread: interrupts for what has been answered. */
void virtio_blk_notify_now(void *opaque);
/* In the device's thread: what is parked runs again. */
void virtio_blk_restart_parked(VirtioBlk *blk);
/* In the device's thread: nothing new is popped, what the front has not begun is parked. The caller drains the front. */
void virtio_blk_stop_intake(VirtioBlk *blk);
/* Stopped: forgets what is parked, of one queue (NULL: of all). */
void virtio_blk_drop_parked(VirtioBlk *blk, VirtQueue *vq);
/* Stopped: guest memory of what is parked is let go, and taken again. */
void virtio_blk_unmap_parked(VirtioBlk *blk);
bool virtio_blk_map_parked(VirtioBlk *blk, GError **error);
/* The list behind the queues: of each a byte 1, be32 queue if there are several, the element; a byte 0 ends it. */
bool virtio_blk_save_parked(VirtioBlk *blk, VmWriter *w, GError **error);
bool virtio_blk_load_parked(VirtioBlk *blk, VmReader *r, GError **error);

#endif
