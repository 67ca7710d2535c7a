/* SPDX-License-Identifier: GPL-2.0-or-later */
/* usb-storage and usb-bot: what their files share. */
#ifndef HW_USB_STORAGE_H
#define HW_USB_STORAGE_H

#include "hw/core/drive.h"
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"

/* Endpoints. */
#define BOT_IN 1
#define BOT_OUT 2

#define BOT_MAX_LUN 15

/* What the host is to do next. The numbers are on the wire. */
typedef enum BotMode {
    BOT_MODE_CBW = 0,
    BOT_MODE_DATA_OUT = 1,
    BOT_MODE_DATA_IN = 2,
    BOT_MODE_CSW = 3,
} BotMode;

/* Bulk-Only Transport 1.0, 5.2; in host order. sig 0: no status yet. */
typedef struct BotCsw {
    uint32_t sig, tag, residue;
    uint8_t status;
} BotCsw;

typedef struct UsbStorage {
    UsbDevice usb;
    ScsiBus *bus;
    /* State; saved as "usb-storage". */
    uint32_t mode;
    uint32_t scsi_len; /* bytes of the chunk that are still to move */
    uint32_t scsi_off; /* bytes of the chunk that have moved */
    uint32_t data_len; /* bytes of the data phase that are still to move */
    BotCsw csw;
    bool invalid_cbw; /* everything stalls until Reset Recovery (6.6.1) */
    /* Derived, or attached anew by a load. */
    ScsiRequest *req;
    UsbPacket *packet;   /* kept until there is something for it */
    unsigned cancelling; /* requests whose block I/O is still running */
    bool loaded;         /* the section has arrived, and the VM has not run since */
    VmStateEntry *vm_state;
    /* usb-storage only. */
    DriveConf conf;
    bool removable, command_log;
} UsbStorage;

#define USB_STORAGE(obj) ((UsbStorage *)(obj))

/* ---- bot.c: the transport -------------------------------------------------------------------- */
extern const ScsiHbaOps bot_hba_ops;
void bot_control(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value, unsigned index,
                 unsigned length, uint8_t *data);
void bot_data(UsbDevice *dev, UsbPacket *p);
void bot_cancel(UsbDevice *dev, UsbPacket *p);
/* Gives up the command in progress; the next thing is a CBW. */
void bot_reset(UsbStorage *s);
/* The VM starts: what has arrived is checked as a whole. */
void bot_arrived(UsbStorage *s);
extern const VmState bot_vmstate;

#endif
