/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode: the whole medium by INT 13h, in pieces of changing size, and its sum on the serial line. Compiled with -m16;
 * everything is below 64 KiB but the buffer.
 */
#include "serial.h"

#define BUFFER_SEGMENT 0x2000
#define BUFFER ((void *)(BUFFER_SEGMENT << 4))
#define BUFFER_BYTES 0x8000
#define DOT_BYTES 0x10000
#define RETRIES 5

/* EDD 3.0, 8.10 "device address packet". */
static struct {
    uint8_t size, reserved;
    uint16_t blocks, offset, segment;
    uint64_t block;
} __attribute__((packed)) packet;

static bool by_number;

static bool int13(uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    uint8_t carry;

    __asm__ volatile("int $0x13\n\tsetc %0\n\tpushl $0\n\tpopl %%es"
                     : "=qm"(carry), "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx)
                     : "S"(&packet)
                     : "memory", "cc", "edi");
    return !carry;
}

static bool has_block_numbers(void)
{
    return int13(0x4100, 0x55aa, 0, boot_drive);
}

static bool read_by_number(uint32_t block, uint32_t count)
{
    packet.size = sizeof(packet);
    packet.blocks = count;
    packet.offset = 0;
    packet.segment = BUFFER_SEGMENT;
    packet.block = block;
    return int13(0x4200, 0, 0, boot_drive);
}

/* Of a 1.44 MB floppy, as far as the track goes at a time: INT 13h, AH = 02h wants its buffer in ES:BX. */
static bool read_floppy(uint32_t block, uint32_t count)
{
    uint32_t segment = BUFFER_SEGMENT;

    while (count) {
        uint32_t first = block % 18, part = count < 18 - first ? count : 18 - first;
        uint32_t eax = 0x0200 | part, ebx = 0, ecx = block / 36 << 8 | (first + 1);
        uint32_t edx = block / 18 % 2 << 8 | boot_drive;
        uint8_t carry;

        __asm__ volatile("mov %w5, %%es\n\tint $0x13\n\tsetc %0\n\tpushl $0\n\tpopl %%es"
                         : "=qm"(carry), "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx)
                         : "S"(segment)
                         : "memory", "cc", "edi");
        if (carry) {
            return false;
        }
        block += part;
        count -= part;
        segment += part * 0x20;
    }
    return true;
}

static bool read_blocks(uint32_t block, uint32_t count)
{
    for (int i = 0; i < RETRIES; i++) {
        if (by_number ? read_by_number(block, count) : read_floppy(block, count)) {
            return true;
        }
        put_char('!');
        int13(0, 0, 0, boot_drive); /* reset */
    }
    return false;
}

static void far_sum(Sum *sum, uint32_t bytes);

void real_main(void)
{
    uint32_t blocks = medium_bytes / medium_sector, block = 0, count = 1, dots = 0;
    Sum sum = { 0, 0 };

    outb(COM1 + 3, 0x80); /* 115200 baud, 8N1, no interrupts */
    outb(COM1, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    put_text("\r\nTern test medium, drive ");
    put_hex(boot_drive);
    put_text("\r\n");
    by_number = has_block_numbers();
    while (block < blocks) {
        if (count * medium_sector > BUFFER_BYTES) {
            count = 1;
        }
        if (count > blocks - block) {
            count = blocks - block;
        }
        if (!read_blocks(block, count)) {
            put_text("\r\nINT13 failed at block ");
            put_hex(block);
            put_text("\r\n");
            return;
        }
        far_sum(&sum, count * medium_sector);
        block += count;
        count++;
        for (; dots < block * medium_sector / DOT_BYTES; dots++) {
            put_char('.');
        }
    }
    put_text("\r\n");
    put_sum("INT13", &sum, blocks * medium_sector);
}

/* The buffer is beyond what DS reaches. */
static void far_sum(Sum *sum, uint32_t bytes)
{
    uint32_t a = sum->a, b = sum->b, n = bytes / 4, si = 0;

    __asm__ volatile("pushl %%ds\n\t"
                     "mov %w4, %%ds\n"
                     "1:\tlodsl\n\t"
                     "add %%eax, %0\n\t"
                     "add %0, %1\n\t"
                     "dec %2\n\t"
                     "jnz 1b\n\t"
                     "popl %%ds"
                     : "+r"(a), "+r"(b), "+r"(n), "+S"(si)
                     : "d"(BUFFER_SEGMENT)
                     : "eax", "memory", "cc");
    sum->a = a;
    sum->b = b;
}
