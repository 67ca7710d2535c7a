/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer: what the speaker port and other implementations of the same chip (the one in
 * the kernel) share with it. Big lock.
 */
#ifndef HW_TIMER_I8254_H
#define HW_TIMER_I8254_H

#include "hw/isa/isa.h"
#include "util/clock.h"

#define PIT_CHANNELS 3
#define PIT_FREQUENCY 1193182 /* Hz */

/* Values of read_state and write_state; 0 after reset. */
enum {
    PIT_ACCESS_NONE = 0,
    PIT_ACCESS_LSB = 1,
    PIT_ACCESS_MSB = 2,
    PIT_ACCESS_WORD0 = 3,
    PIT_ACCESS_WORD1 = 4
};

/* One counter, in the members (and names) of the stream. */
typedef struct PitChannel {
    int32_t count; /* 1 … 0x10000 */
    uint16_t latched_count;
    uint8_t count_latched; /* access state of the latched value, 0: none */
    uint8_t status_latched;
    uint8_t status;
    uint8_t read_state, write_state;
    uint8_t write_latch; /* low byte of a count that is half written */
    uint8_t rw_mode;
    uint8_t mode; /* 0 … 5 */
    uint8_t bcd;
    uint8_t gate;
    int64_t count_load_time;      /* ns of the virtual clock */
    int64_t next_transition_time; /* of channel 0's output; -1: none */
    uint32_t irq_disabled;        /* channel 0: the HPET has taken over */
} PitChannel;

/* The first member of every implementation. */
typedef struct PitCommon {
    IsaDevice isa;
    uint32_t iobase;
    PitChannel channels[PIT_CHANNELS];
    bool has_speaker; /* port 61h is answered here (by the kernel): its bit 1 is the next, while the machine stands still */
    bool speaker_on;
} PitCommon;

typedef struct PitChannelInfo {
    bool gate, out;
    unsigned mode;
    unsigned initial_count; /* ticks */
} PitChannelInfo;

/* DeviceType.ops of an implementation. */
typedef struct PitOps {
    void (*set_gate)(PitCommon *pit, unsigned channel, bool level);
    void (*get_channel_info)(PitCommon *pit, unsigned channel, PitChannelInfo *info);
} PitOps;

/* Abstract "pit-common" with the property iobase; board device, made by pit_new() or by who replaces it. */
extern const DeviceType pit_common_type;

/* The gate input of a channel; only channel 2's is wired in a PC. */
void pit_set_gate(PitCommon *pit, unsigned channel, bool level);
void pit_get_channel_info(PitCommon *pit, unsigned channel, PitChannelInfo *info);
/* Channels as after reset: mode 3, 65536 ticks; gates up but channel 2's. now: virtual time. */
void pit_reset_channels(PitCommon *pit, int64_t now);
/* The fields of section "i8254", for another implementation's description; ended by VM_END. */
extern const VmField pit_common_fields[];
/* Whether the channels that arrived make sense; for post_load. */
bool pit_check_channels(const PitCommon *pit, GError **error);

/* Makes the board's PIT at ports 0x40 … 0x43; irq is what channel 0's output drives. Its input 0 enables that output
 * (low while the HPET replaces it). NULL with an error. */
PitCommon *pit_new(IsaBus *bus, Irq *irq, GError **error);

#endif
