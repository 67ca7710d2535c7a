/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PS/2 keyboard and mouse share: a queue of bytes for the controller (IBM PS/2 Hardware Interface Technical
 * Reference, "Keyboard and Auxiliary Device Controller").
 *
 *   Q1  Bytes rptr … wptr - 1 of the ring wait; count of them. Input may fill PS2_QUEUE_INPUT places, the rest is for
 *       replies.
 *   Q2  Replies of the keyboard stand in front of its input: those up to cwptr - 1, or none if it is -1. A new command
 *       takes back what was not read of the last reply.
 */
#ifndef HW_MISC_PS2_PRIVATE_H
#define HW_MISC_PS2_PRIVATE_H

#include "hw/misc/ps2.h"

#define PS2_RING 256
#define PS2_QUEUE_INPUT 16
#define PS2_QUEUE_MOST 64

/* Bytes to and from either. */
enum { PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_POWER_ON_OK = 0xaa, PS2_NO_COMMAND = -1 };

typedef struct Ps2Queue {
    uint8_t data[PS2_RING];
    int32_t rptr, wptr, cwptr, count;
} Ps2Queue;

typedef struct Ps2 {
    Device device;
    int32_t write_cmd; /* the command whose argument comes next, PS2_NO_COMMAND */
    Ps2Queue queue;
    Irq *output;
} Ps2;

typedef struct Ps2Ops {
    void (*write)(Ps2 *s, uint8_t value);
    void (*drained)(Ps2 *s); /* a byte has left the queue; may be NULL */
} Ps2Ops;

extern const DeviceType ps2_type; /* abstract */
extern const VmState ps2_vmstate;

/* For the realize of either. */
bool ps2_realize(Device *dev, GError **error);
/* Appends; input that does not fit is dropped as a whole (false). */
bool ps2_put_input(Ps2 *s, const uint8_t *bytes, unsigned n);
void ps2_put_reply(Ps2 *s, const uint8_t *bytes, unsigned n);
/* Q2 */
void ps2_put_reply_first(Ps2 *s, const uint8_t *bytes, unsigned n);
void ps2_clear(Ps2 *s);

#endif
