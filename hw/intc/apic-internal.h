/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the local APICs in user space and in the kernel share: their state, as streams have it. */
#ifndef HW_INTC_APIC_INTERNAL_H
#define HW_INTC_APIC_INTERNAL_H

#include "system/memory.h"
#include "target/i386/cpu.h"
#include "util/clock.h"

#define APIC_SPACE_SIZE 0x100000
#define APIC_LVT_ENTRIES 6
#define APIC_WORDS 8

enum {
    APIC_LVT_TIMER,
    APIC_LVT_THERMAL,
    APIC_LVT_PERFORM,
    APIC_LVT_LINT0,
    APIC_LVT_LINT1,
    APIC_LVT_ERROR
};

/* Registers (SDM vol. 3 table 10-1), offsets divided by 16. */
enum {
    APIC_REG_ID = 0x02,
    APIC_REG_VERSION = 0x03,
    APIC_REG_TPR = 0x08,
    APIC_REG_APR = 0x09,
    APIC_REG_PPR = 0x0a,
    APIC_REG_EOI = 0x0b,
    APIC_REG_RRD = 0x0c,
    APIC_REG_LDR = 0x0d,
    APIC_REG_DFR = 0x0e,
    APIC_REG_SVR = 0x0f,
    APIC_REG_ISR = 0x10,
    APIC_REG_TMR = 0x18,
    APIC_REG_IRR = 0x20,
    APIC_REG_ESR = 0x28,
    APIC_REG_ICR = 0x30,
    APIC_REG_LVT = 0x32,
    APIC_REG_INITIAL = 0x38,
    APIC_REG_CURRENT = 0x39,
    APIC_REG_DIVIDE = 0x3e,
};

#define APIC_VERSION_VALUE (0x14 | (APIC_LVT_ENTRIES - 1) << 16)
#define APIC_SVR_ENABLE (1u << 8)
#define APIC_LVT_MASKED (1u << 16)
#define APIC_LVT_PERIODIC (1u << 17)
#define APIC_LVT_DEADLINE (1u << 18)

/* Delivery modes of messages, the command register and the local vector table. */
enum {
    APIC_FIXED,
    APIC_LOWEST,
    APIC_SMI,
    APIC_REMOTE_READ,
    APIC_NMI,
    APIC_INIT,
    APIC_STARTUP,
    APIC_EXTINT,
};

typedef struct ApicState {
    Device device;
    X86Cpu *cpu;
    uint32_t initial_id; /* property "id" */
    uint32_t apicbase;
    uint8_t id, arb_id, tpr, log_dest, dest_mode;
    uint32_t spurious_vec;
    uint32_t isr[APIC_WORDS], tmr[APIC_WORDS], irr[APIC_WORDS];
    uint32_t lvt[APIC_LVT_ENTRIES];
    uint32_t esr;
    uint32_t icr[2];
    uint32_t divide_conf;
    int32_t count_shift; /* follows from divide_conf */
    uint32_t initial_count;
    int64_t initial_count_load_time, next_time; /* of the virtual clock */
    int64_t timer_expiry;                       /* -1: not armed */

    /* user space only */
    int32_t wait_for_sipi, sipi_vector;
    Timer timer;
} ApicState;

/* DeviceType.ops of both kinds. */
typedef struct ApicImpl {
    X86ApicOps x86;
    /* Before the section is written: the struct has the registers of now. After one was read: it has its own. */
    bool (*collect)(ApicState *s, GError **error);
    void (*loaded)(ApicState *s);
} ApicImpl;

extern const DeviceType apic_common_type;

/* For X86ApicOps of both. */
void apic_set_base(Device *dev, uint64_t base);
uint64_t apic_get_base(Device *dev);
void apic_set_tpr(Device *dev, uint8_t cr8);
uint8_t apic_get_tpr(Device *dev);

/* count_shift as divide_conf says (SDM vol. 3 figure 10-10). */
int apic_count_shift(uint32_t divide_conf);
/* The counter now (one count per 1 << count_shift nanoseconds of the virtual clock). */
uint32_t apic_current_count(const ApicState *s);
/* The highest vector of a set, -1: none. */
int apic_highest_vector(const uint32_t *set);
/* SDM vol. 3 10.8.3.1. */
uint8_t apic_processor_priority(const ApicState *s);
/* Values of registers after power on, or INIT (SDM vol. 3 10.4.7.1, 10.4.7.3). */
void apic_reset_registers(ApicState *s, bool init);
/* The space for registers and messages at 0xfee00000, made by the first APIC. */
void apic_map_space(const MemoryOps *ops, const char *name);

/* kvm-vapic.c: the device of the section "kvm-tpr-opt", which stands before the first local APIC's. */
bool kvm_vapic_ensure(GError **error);

#endif
