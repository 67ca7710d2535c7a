/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's UHCI driver for tests (Intel UHCI Design Guide 1.1): one queue, one transfer at a time, which the test can
 * cut anywhere, since nothing happens but what it steps.
 *
 * All frames point to one queue head. A transfer is a chain of TDs in it, built by uhci_queue() and driven by
 * uhci_run(); the other functions are made of these two.
 */
#ifndef UHCI_DRIVER_H
#define UHCI_DRIVER_H

#include "qtest-client.h"

#define UHCI_FRAME_NS 1000000
#define UHCI_MAX_TDS 1100 /* 64 KiB in packets of 64 bytes, and a bit */

enum { UHCI_PID_IN = 0x69, UHCI_PID_OUT = 0xe1, UHCI_PID_SETUP = 0x2d };

/* Registers (2.1) and some of their bits. */
enum { UHCI_CMD = 0, UHCI_STS = 2, UHCI_INTR = 4, UHCI_FRNUM = 6, UHCI_FLBASE = 8, UHCI_SOFMOD = 12, UHCI_PORT1 = 16 };
enum { UHCI_CMD_RUN = 1, UHCI_CMD_HCRESET = 2, UHCI_CMD_GRESET = 4, UHCI_CMD_CF = 0x40, UHCI_CMD_MAXP = 0x80 };
enum { UHCI_PORT_CONNECT = 1, UHCI_PORT_CSC = 2, UHCI_PORT_ENABLE = 4, UHCI_PORT_PEC = 8, UHCI_PORT_LOW_SPEED = 0x100,
       UHCI_PORT_RESET = 0x200, UHCI_PORT_SUSPEND = 0x1000 };
enum { UHCI_TD_ACTIVE = 1 << 23, UHCI_TD_STALLED = 1 << 22, UHCI_TD_BUFFER_ERROR = 1 << 21, UHCI_TD_BABBLE = 1 << 20,
       UHCI_TD_NAK = 1 << 19, UHCI_TD_TIMEOUT = 1 << 18, UHCI_TD_IOC = 1 << 24, UHCI_TD_LOW_SPEED = 1 << 26,
       UHCI_TD_SPD = 1 << 29 };

typedef struct UhciDriver {
    QTest *q;
    unsigned devfn;
    uint16_t io;
    uint32_t frame_list, qh, tds, data; /* guest addresses */
    /* the transfer in the queue */
    unsigned n_tds;
    size_t td_len[UHCI_MAX_TDS];
    size_t len;
    uint8_t pid;
} UhciDriver;

/* What a transfer came to. */
typedef enum UhciStatus {
    UHCI_PENDING,  /* still active: NAKed, or not reached yet */
    UHCI_DONE,     /* all TDs, or a short packet */
    UHCI_STALLED,
    UHCI_FAILED,   /* time-out, CRC, babble: see td_status */
} UhciStatus;

typedef struct UhciResult {
    UhciStatus status;
    size_t actual;      /* bytes moved */
    uint32_t td_status; /* second word of the TD that decided */
    bool toggle;        /* data toggle that comes next */
} UhciResult;

/* Finds the controller at devfn on bus 0, puts its ports at io, its structures at guest address mem (1 MiB are used),
 * and runs it. */
void uhci_init(UhciDriver *u, QTest *q, unsigned devfn, uint16_t io, uint32_t mem);
/* PCI configuration space of the controller. */
uint32_t uhci_config_read(UhciDriver *u, unsigned reg);
void uhci_config_write(UhciDriver *u, unsigned reg, uint32_t value);
uint16_t uhci_port(UhciDriver *u, unsigned port);
/* Resets and enables a root port (0 or 1); false if nothing is connected. */
bool uhci_reset_port(UhciDriver *u, unsigned port);
void uhci_step_frames(UhciDriver *u, unsigned frames);

/* Puts a transfer into the queue: len bytes to or from (pid) the device's endpoint in packets of mps; data may be NULL for
 * IN. A length of 0 is one empty packet. extra: bits for each TD's second word (UHCI_TD_SPD, UHCI_TD_LOW_SPEED…). */
void uhci_queue(UhciDriver *u, uint8_t address, uint8_t endpoint, uint8_t pid, bool toggle, const void *data, size_t len,
                size_t mps, uint32_t extra);
/* What the queue's transfer has come to by now. */
UhciResult uhci_look(UhciDriver *u);
/* Steps at most max_frames, until the transfer is no longer pending. */
UhciResult uhci_run(UhciDriver *u, unsigned max_frames);
/* Takes the transfer out of the queue, done or not. */
void uhci_unlink(UhciDriver *u);
/* Copies what an IN transfer brought. */
void uhci_read_data(UhciDriver *u, void *buf, size_t len);

/* A whole control transfer; *actual (may be NULL) gets the length of the data stage. */
typedef struct UsbSetup {
    uint8_t request_type, request;
    uint16_t value, index, length;
} UsbSetup;
UhciStatus uhci_control(UhciDriver *u, uint8_t address, bool low_speed, size_t mps0, const UsbSetup *setup, void *data,
                        size_t *actual);
/* A whole bulk or interrupt transfer, at most max_frames frames; *toggle is kept up to date. */
UhciResult uhci_transfer(UhciDriver *u, uint8_t address, uint8_t endpoint, uint8_t pid, bool *toggle, void *data,
                         size_t len, size_t mps, unsigned max_frames);

#endif
