/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fault injection for tests: a channel around another one that misbehaves on a plan, the same for
 * the same seed.
 */
#ifndef IO_FAULT_H
#define IO_FAULT_H

#include "io/channel.h"

/* Byte positions count per direction from the start of the wrapper; -1 = never. */
typedef struct IoFaultPlan {
    uint32_t seed; /* for the lengths of short transfers */
    size_t max_transfer;    /* a transfer moves 1..max_transfer bytes, 0 = all that goes */
    unsigned eagain_every;  /* non-blocking: every n-th attempt is -EAGAIN, 0 = never */
    int64_t read_eof_at;    /* end of file after this many bytes were read */
    int64_t read_reset_at;  /* -ECONNRESET */
    int64_t write_reset_at; /* -EPIPE */
    int64_t read_stall_at;  /* nothing arrives any more, until shutdown */
    int64_t write_stall_at;
    int64_t read_flip_at; /* this byte arrives with one bit inverted */
    unsigned read_flip_bit;
} IoFaultPlan;

/* A plan without faults. */
void io_fault_plan_init(IoFaultPlan *plan);
/* Takes over the reference on inner; copies the plan. */
IoChannel *io_fault_new(IoChannel *inner, const IoFaultPlan *plan);
/* Bytes that passed so far. */
void io_fault_position(IoChannel *ioc, uint64_t *bytes_read, uint64_t *bytes_written);

#endif
