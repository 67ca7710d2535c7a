/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of virtio-blk and virtio-scsi share: a machine with one disk behind a virtio card in slot 4, the ways in which
 * a card is driven, and errors of the host's disk.
 *
 *     VirtioDisk r = { .kind = &kind, .way = way, .queues = 1 };
 *     virtio_disk_start(&r, "image", "", "");
 *     addr = virtio_disk_take(&r, 512);
 */
#ifndef VIRTIO_DISK_H
#define VIRTIO_DISK_H

#include "virtio-driver.h"

#define VIRTIO_DISK_SIZE (1024 * 1024)
#define VIRTIO_DISK_MEMORY 0x400000 /* where virtio_disk_take() begins */
#define VIRTIO_DISK_QUEUES 4        /* at the most */

/* One of the two devices. */
typedef struct VirtioDiskKind {
    const char *name;   /* of its tests */
    const char *device; /* what stands between the way's properties and ",drive=" */
    uint32_t seed;      /* of the image */
} VirtioDiskKind;

/* A machine, a card, and what the driver makes of it. */
typedef struct VirtioDiskWay {
    const char *name, *machine, *args;
    unsigned flags;   /* VIRTIO_DRIVER_... */
    uint64_t without; /* features that are not wanted */
} VirtioDiskWay;

typedef struct VirtioDisk {
    const VirtioDiskKind *kind;
    const VirtioDiskWay *way;
    unsigned queues; /* that the driver sets up */
    QTest *q;
    VirtioDriver d;
    VirtioQueue vq[VIRTIO_DISK_QUEUES];
    uint64_t next; /* free guest memory */
} VirtioDisk;

/* A driver, from the card's reset on; all guest memory is free again. */
void virtio_disk_attach(VirtioDisk *r);
/* A machine with a fresh image in `file`, and its driver. inject: blkdebug's properties with a comma in front, or "".
 * more: ditto, of the disk. The iothread is io0, the image's node f0. */
void virtio_disk_start(VirtioDisk *r, const char *file, const char *inject, const char *more);
/* As virtio_disk_start(). The first request of that type (blkdebug's iotype) to that sector fails and stops the machine. That
 * is not so where it is moved to, and it moves by qtest_move() only. */
void virtio_disk_start_failing(VirtioDisk *r, const char *file, const char *iotype, int sector);
/* Waits until an error of the disk has stopped the machine. */
void virtio_disk_wait_stopped(VirtioDisk *r);
/* Guest memory for len bytes, aligned to 64; it is given back by setting `next` to what it was. */
uint64_t virtio_disk_take(VirtioDisk *r, uint64_t len);

typedef struct VirtioDiskTest {
    const char *name;
    GTestDataFunc func;    /* gets the way */
    unsigned ways, moving; /* bits; those that are moved all the time, too */
} VirtioDiskTest;

/* Adds each test in its ways, as /KIND/TEST/WAY. */
void virtio_disk_add_tests(const VirtioDiskKind *kind, const VirtioDiskTest *tests, size_t ntests,
                           const VirtioDiskWay *ways, size_t nways);

#endif
