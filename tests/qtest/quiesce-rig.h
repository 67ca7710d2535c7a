/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the rows of quiesce-test have in common: a machine with one back end, a request that is in flight, and what happens to
 * the machine at that moment.
 */
#ifndef QUIESCE_RIG_H
#define QUIESCE_RIG_H

#include "bot-driver.h"
#include "ide-driver.h"
#include "net-wire.h"
#include "virtio-driver.h"

#define QUIESCE_SECTOR 512
#define QUIESCE_LENGTH (8 * QUIESCE_SECTOR)
#define QUIESCE_READ_AT 40 /* sectors */
#define QUIESCE_WRITE_AT 80
#define QUIESCE_DATA_AT 0x20000 /* guest memory, where a row has no place of its own */

typedef enum QuiesceOp {
    QUIESCE_READ,
    QUIESCE_WRITE,
    QUIESCE_FLUSH,
    QUIESCE_CONTROL,
    QUIESCE_OPS
} QuiesceOp;

/* As in docs/devel/quiesce.md. */
typedef enum Outcome { NOT_THERE, FINISH, PARK, CARRY, BUSY, FAIL } Outcome;

typedef struct QuiesceRig QuiesceRig;

typedef struct QuiesceRow {
    const char *name;
    const char *args; /* of the machine; its disk is the node 'disk' */
    /* The guest's driver comes up. */
    void (*attach)(QuiesceRig *r);
    /* One request from its beginning to its end, which must be good, with quiesce_happens() when it is in flight. Data go to
     * or come from r->data (QUIESCE_LENGTH bytes); what a control request brings, too. */
    void (*run)(QuiesceRig *r, QuiesceOp op);
    Outcome outcome[QUIESCE_OPS];
    unsigned parks;   /* bits of the requests that an error of the disk stops (rerror=stop) */
    const char *says; /* who is busy or fails, and why */
    bool cd, ncq;     /* for those who share a driver */
    bool by_sectors;  /* a request is one to the block layer for each sector */
    bool behind;      /* of two requests the second one is what counts */
} QuiesceRow;

struct QuiesceRig {
    const QuiesceRow *row;
    QTest *q;
    const char *image;
    void (*situation)(QuiesceRig *r);
    uint8_t data[QUIESCE_LENGTH];
    IdeDriver ide;
    unsigned steps; /* of the IDE driver, in this command */
    UhciDriver uhci;
    BotDriver bot;
    VirtioDriver d;
    VirtioQueue vq[3];
    Wire *wire;
    unsigned rx_next;
    void (*while_stopped)(QuiesceRig *r); /* again and again; may be NULL */
    unsigned sent;                        /* number of the last packet */
};

/* The request is in flight. */
void quiesce_happens(QuiesceRig *r);

extern const QuiesceRow quiesce_rows[];
extern const size_t quiesce_row_count;

/* The drivers: quiesce-disks.c, quiesce-virtio.c, quiesce-xen.c */
void quiesce_ide_attach(QuiesceRig *r);
void quiesce_ide_run(QuiesceRig *r, QuiesceOp op);
void quiesce_ahci_attach(QuiesceRig *r);
void quiesce_ahci_run(QuiesceRig *r, QuiesceOp op);
void quiesce_fdc_attach(QuiesceRig *r);
void quiesce_fdc_run(QuiesceRig *r, QuiesceOp op);
void quiesce_usb_attach(QuiesceRig *r);
void quiesce_usb_run(QuiesceRig *r, QuiesceOp op);
void quiesce_usb_transfer(QuiesceRig *r, QuiesceOp op);
void quiesce_blk_attach(QuiesceRig *r);
void quiesce_blk_run(QuiesceRig *r, QuiesceOp op);
void quiesce_scsi_attach(QuiesceRig *r);
void quiesce_scsi_run(QuiesceRig *r, QuiesceOp op);
void quiesce_xen_attach(QuiesceRig *r);
void quiesce_xen_run(QuiesceRig *r, QuiesceOp op);
void quiesce_net_attach(QuiesceRig *r);
void quiesce_net_run(QuiesceRig *r, QuiesceOp op);
void quiesce_e1000_attach(QuiesceRig *r);
void quiesce_e1000_run(QuiesceRig *r, QuiesceOp op);

#endif
