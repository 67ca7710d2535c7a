/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UHCI: what registers (uhci.c) and schedule (uhci-schedule.c) share. Sections: UHCI Design Guide
 * 1.1. */
#ifndef HW_USB_UHCI_H
#define HW_USB_UHCI_H

#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "util/clock.h"

#define UHCI_NUM_PORTS 2
#define UHCI_MAX_PACKET 1280 /* of a TD (3.2.3) */
#define UHCI_FRAMES 1024

/* USBCMD (2.1.1) */
enum {
    UHCI_CMD_RS = 1 << 0,
    UHCI_CMD_HCRESET = 1 << 1,
    UHCI_CMD_GRESET = 1 << 2,
    UHCI_CMD_EGSM = 1 << 3,
    UHCI_CMD_FGR = 1 << 4,
    UHCI_CMD_SWDBG = 1 << 5,
    UHCI_CMD_CF = 1 << 6,
    UHCI_CMD_MAXP = 1 << 7,
};

/* USBSTS (2.1.2) */
enum {
    UHCI_STS_USBINT = 1 << 0,
    UHCI_STS_USBERR = 1 << 1,
    UHCI_STS_RD = 1 << 2,
    UHCI_STS_HSERR = 1 << 3,
    UHCI_STS_HCPERR = 1 << 4,
    UHCI_STS_HCHALTED = 1 << 5,
};

/* USBINTR (2.1.3) */
enum {
    UHCI_INTR_CRC = 1 << 0,
    UHCI_INTR_RESUME = 1 << 1,
    UHCI_INTR_IOC = 1 << 2,
    UHCI_INTR_SPD = 1 << 3,
};

/* Why USBSTS.USBINT is set: status2 and pending_int_mask. */
enum {
    UHCI_CAUSE_IOC = 1 << 0,
    UHCI_CAUSE_SPD = 1 << 1,
};

/* PORTSC (2.1.7) */
enum {
    UHCI_PORT_CONNECT = 1 << 0,
    UHCI_PORT_CONNECT_CHANGE = 1 << 1,
    UHCI_PORT_ENABLE = 1 << 2,
    UHCI_PORT_ENABLE_CHANGE = 1 << 3,
    UHCI_PORT_RESUME = 1 << 6,
    UHCI_PORT_ALWAYS_ONE = 1 << 7,
    UHCI_PORT_LOW_SPEED = 1 << 8,
    UHCI_PORT_RESET = 1 << 9,
    UHCI_PORT_SUSPEND = 1 << 12,
};

typedef struct UhciState UhciState;

typedef struct UhciPort {
    UsbPort port;
    uint16_t ctrl;
} UhciPort;

struct UhciState {
    PciDevice dev;
    UsbBus *bus; /* NULL for a companion */
    UhciPort ports[UHCI_NUM_PORTS];
    /* Properties. */
    uint32_t bandwidth; /* bytes of data that a frame may move */
    uint32_t maxframes; /* frames that a late timer catches up with */
    char *masterbus;
    uint32_t firstport;
    /* Registers. */
    uint8_t num_ports_vmstate;
    uint16_t cmd, status, intr, frnum;
    uint32_t fl_base_addr;
    uint8_t sof_timing;
    uint8_t status2; /* UHCI_CAUSE_…, for the interrupt */
    Timer frame_timer;
    int64_t expire_time;       /* when the next frame is executed */
    uint32_t pending_int_mask; /* UHCI_CAUSE_… that become visible at the frame's end */
    /* Not registers. */
    GQueue
        transfers; /* UhciTransfer.link: TDs whose packet a device keeps, or has finished since */
    struct UhciTransfer *spare; /* one that is not in use */
    uint64_t frame_count;       /* frames executed here, for aging of transfers */
    QuiesceEntry *quiesce;
    uint8_t *saved; /* scratch of the description */
    uint32_t saved_len;
};

/* uhci.c */
/* Sets the interrupt pin as status and enables say. */
void uhci_update_irq(UhciState *s);
/* Halts the controller with an error bit (UHCI_STS_HSERR, UHCI_STS_HCPERR) set. */
void uhci_halt(UhciState *s, uint16_t error);

/* uhci-schedule.c */
/* Executes the frame list entry of frnum, up to the end-of-frame interrupts' causes. */
void uhci_run_frame(UhciState *s);
/* Writes the results of finished transfers that the present frame's schedule leads to, and starts
 * nothing. */
void uhci_retire_frame(UhciState *s);
/* Takes every transfer back from the devices. Their TDs stay active. */
void uhci_cancel_transfers(UhciState *s);
/* The same for those with dev. */
void uhci_forget_device(UhciState *s, UsbDevice *dev);
/* Finished transfers as a stream carries them. */
bool uhci_has_finished_transfers(const UhciState *s);
void uhci_save_transfers(UhciState *s, VmWriter *w);
bool uhci_load_transfers(UhciState *s, VmReader *r, uint64_t length);
void uhci_free_transfers(UhciState *s);

#endif
