/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hex dumps; see util/hexdump.h. */
#include "util/osdep.h"
#include "util/hexdump.h"

#define PER_LINE 16

void hexdump_append(GString *out, const char *prefix, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t at = 0; at < len; at += PER_LINE) {
        size_t n = MIN(len - at, PER_LINE);
        g_string_append_printf(out, "%s%s%04zx:", prefix ? prefix : "", prefix ? ": " : "", at);
        for (size_t i = 0; i < PER_LINE; i++) {
            if (i < n) {
                g_string_append_printf(out, " %02x", bytes[at + i]);
            } else {
                g_string_append(out, "   ");
            }
        }
        g_string_append(out, "  |");
        for (size_t i = 0; i < n; i++) {
            g_string_append_c(out, g_ascii_isprint(bytes[at + i]) ? bytes[at + i] : '.');
        }
        g_string_append(out, "|\n");
    }
}

char *hex_string(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    char *text = g_malloc(2 * len + 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    text[2 * len] = '\0';
    return text;
}

uint8_t *hex_bytes(const char *text, size_t *len)
{
    size_t digits = strlen(text);
    if (digits % 2 || strspn(text, "0123456789abcdefABCDEF") != digits) {
        return NULL;
    }
    uint8_t *bytes = g_malloc(digits / 2 + 1);
    for (size_t i = 0; i < digits / 2; i++) {
        bytes[i] = g_ascii_xdigit_value(text[2 * i]) << 4 | g_ascii_xdigit_value(text[2 * i + 1]);
    }
    *len = digits / 2;
    return bytes;
}
