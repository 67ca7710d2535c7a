/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes for people. */
#ifndef UTIL_HEXDUMP_H
#define UTIL_HEXDUMP_H

#include <glib.h>

/* Appends lines "prefix: 0010: 00 01 02 ...  |....|", sixteen bytes each. prefix may be NULL. */
void hexdump_append(GString *out, const char *prefix, const void *data, size_t len);
/* "00010203", newly allocated. */
char *hex_string(const void *data, size_t len);
/* The other way; an even number of hex digits. Returns newly allocated bytes, NULL if text is something else. */
uint8_t *hex_bytes(const char *text, size_t *len);

#endif
