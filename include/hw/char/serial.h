/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A UART: the chip, for the cards that carry it. Big lock. */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H

#include "hw/core/chardev.h"
#include "hw/core/device.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/clock.h"

#define SERIAL_PORTS 8
#define SERIAL_FIFO 16

typedef struct SerialFifo {
    uint8_t data[SERIAL_FIFO];
    uint32_t head, num;
} SerialFifo;

/* Embedded in a card. Members have the stream's names. */
typedef struct Serial {
    uint16_t divider;
    uint8_t rbr, ier;
    uint8_t iir; /* read only */
    uint8_t lcr, mcr;
    uint8_t lsr, msr; /* read only */
    uint8_t scr, fcr;
    uint8_t fcr_vmstate;
    uint8_t thr, tsr;
    uint32_t tsr_retry;       /* tsr holds a character that the other side has not taken yet */
    int32_t thr_ipending;     /* transmitter-empty interrupt */
    int32_t timeout_ipending; /* character time-out interrupt */
    SerialFifo recv_fifo, xmit_fifo;
    Timer fifo_timeout_timer;

    ChardevFe chr;
    uint32_t baudbase;
    Irq *irq;
    MemoryRegion *io; /* SERIAL_PORTS bytes, for the card to map */
    GSource *writable;
    VmStateEntry *vm_state;
} Serial;

/* Properties of a card with one UART as member `s` of type `t`. */
#define SERIAL_PROPERTIES(t, s)                                 \
    PROPERTY_UINT32("baudbase", t, s.baudbase, "115200", NULL), \
        PROPERTY_CHARDEV("chardev", t, s.chr)

/* owner is where the ports' region goes in the tree. */
void serial_realize(Serial *s, Object *owner);
void serial_unrealize(Serial *s);
void serial_reset(Serial *s);
/* Section or struct "serial" v3, state Serial. */
extern const VmState serial_vmstate;

#endif
