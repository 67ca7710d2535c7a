/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's mass-storage driver for tests (USB Mass Storage Class, Bulk-Only Transport 1.0), each phase by itself or a
 * whole command at once, on the UHCI driver.
 */
#ifndef BOT_DRIVER_H
#define BOT_DRIVER_H

#include "uhci-driver.h"

#define BOT_CBW_SIZE 31
#define BOT_CSW_SIZE 13
#define BOT_FRAMES 4000 /* a phase may take so many frames */

typedef struct BotDriver {
    UhciDriver *u;
    uint8_t address, in_endpoint, out_endpoint;
    size_t mps;
    bool in_toggle, out_toggle;
    uint32_t tag;
} BotDriver;

typedef enum BotDirection { BOT_NONE, BOT_IN, BOT_OUT } BotDirection;

typedef struct BotResult {
    UhciStatus data_status; /* of the data phase; UHCI_DONE if there was none */
    size_t actual;          /* bytes of the data phase */
    UhciStatus csw_phase;   /* how the status phase went */
    uint8_t csw_status;     /* 0 passed, 1 failed, 2 phase error */
    uint32_t residue;
} BotResult;

/* Resets the root port, gives the device an address, sets its configuration, finds its bulk endpoints. */
void bot_enumerate(BotDriver *b, UhciDriver *u, unsigned port, uint8_t address);

/* One phase each. The CBW gets the next tag; the CSW's tag and signature are checked. */
UhciStatus bot_send_cbw(BotDriver *b, uint8_t lun, BotDirection direction, const void *cdb, size_t cdb_len, size_t len);
UhciResult bot_data(BotDriver *b, BotDirection direction, void *data, size_t len);
UhciStatus bot_read_csw(BotDriver *b, BotResult *result);
/* CLEAR_FEATURE(HALT) on one of the bulk endpoints; Bulk-Only Mass Storage Reset; both with the halts (5.3.4). */
void bot_clear_halt(BotDriver *b, BotDirection direction);
void bot_reset(BotDriver *b);
void bot_reset_recovery(BotDriver *b);
uint8_t bot_max_lun(BotDriver *b);

/* A whole command with the recovery of a stalled data phase (6.7.2, 6.7.3) in between. */
BotResult bot_command(BotDriver *b, uint8_t lun, BotDirection direction, const void *cdb, size_t cdb_len, void *data,
                      size_t len);
/* REQUEST SENSE; key << 16 | asc << 8 | ascq. */
uint32_t bot_sense(BotDriver *b, uint8_t lun);
/* TEST UNIT READY until it passes: takes the unit attentions of power on and medium change. */
void bot_wait_ready(BotDriver *b, uint8_t lun);
/* READ(10) of blocks of this size; must succeed. */
void bot_read10(BotDriver *b, uint8_t lun, uint32_t lba, uint16_t blocks, size_t block_size, void *data);

#endif
