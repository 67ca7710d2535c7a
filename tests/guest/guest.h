/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the test medium's program share. Real mode and protected mode have the same flat data. */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef _Bool bool;
#define true 1
#define false 0

extern uint32_t medium_bytes, medium_sector, boot_drive;

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint16_t inw(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

/* Two sums of 32-bit words, the second of the first: what is missing, repeated or elsewhere changes it. */
typedef struct Sum {
    uint32_t a, b;
} Sum;

static inline void sum_add(Sum *sum, const void *data, uint32_t bytes)
{
    const uint32_t *word = data;
    uint32_t a = sum->a, b = sum->b;

    for (uint32_t n = bytes / 4; n; n--) {
        a += *word++;
        b += a;
    }
    sum->a = a;
    sum->b = b;
}

#endif
