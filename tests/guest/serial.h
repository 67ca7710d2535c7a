/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text on the first serial line, polled. Included by each part, because one is 16-bit code and the other is not. */
#ifndef GUEST_SERIAL_H
#define GUEST_SERIAL_H

#include "guest.h"

#define COM1 0x3f8

static void put_char(char c)
{
    while (!(inb(COM1 + 5) & 0x20)) {
    }
    outb(COM1, c);
}

static void put_text(const char *text)
{
    while (*text) {
        put_char(*text++);
    }
}

static void put_hex(uint32_t value)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        put_char("0123456789abcdef"[value >> shift & 15]);
    }
}

static void put_sum(const char *who, const Sum *sum, uint32_t bytes)
{
    put_text(who);
    put_text(" sum ");
    put_hex(sum->a);
    put_hex(sum->b);
    put_text(" bytes ");
    put_hex(bytes);
    put_text("\r\n");
}

#endif
