/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unaligned loads and stores of fixed width and byte order. */
#ifndef UTIL_BYTES_H
#define UTIL_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_ACCESSORS(bits)                                                                  \
    static inline uint##bits##_t load_le##bits(const void *p)                                  \
    {                                                                                          \
        uint##bits##_t v;                                                                      \
        memcpy(&v, p, sizeof(v));                                                              \
        return le##bits##toh(v);                                                               \
    }                                                                                          \
    static inline uint##bits##_t load_be##bits(const void *p)                                  \
    {                                                                                          \
        uint##bits##_t v;                                                                      \
        memcpy(&v, p, sizeof(v));                                                              \
        return be##bits##toh(v);                                                               \
    }                                                                                          \
    static inline void store_le##bits(void *p, uint##bits##_t v)                               \
    {                                                                                          \
        v = htole##bits(v);                                                                    \
        memcpy(p, &v, sizeof(v));                                                              \
    }                                                                                          \
    static inline void store_be##bits(void *p, uint##bits##_t v)                               \
    {                                                                                          \
        v = htobe##bits(v);                                                                    \
        memcpy(p, &v, sizeof(v));                                                              \
    }

BYTES_ACCESSORS(16)
BYTES_ACCESSORS(32)
BYTES_ACCESSORS(64)
#undef BYTES_ACCESSORS

/* 24-bit big-endian, as SCSI likes it. */
static inline uint32_t load_be24(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline void store_be24(void *p, uint32_t v)
{
    uint8_t *b = p;
    b[0] = v >> 16;
    b[1] = v >> 8;
    b[2] = v;
}

#endif
