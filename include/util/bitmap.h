/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bitmaps of unsigned longs, bit i in word i / BITS_PER_LONG; plain and atomic operations. */
#ifndef UTIL_BITMAP_H
#define UTIL_BITMAP_H

#include <limits.h>
#include <glib.h>

#define BITS_PER_LONG (sizeof(unsigned long) * CHAR_BIT)
#define BITS_TO_LONGS(n) (((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)

/* A zeroed map for n bits; free with g_free(). */
unsigned long *bitmap_new(size_t n);
void bitmap_set(unsigned long *map, size_t start, size_t n);
void bitmap_clear(unsigned long *map, size_t start, size_t n);
/* Atomic against other atomic users of the same words, and full barriers: what was written before a set is seen by
 * whoever reads after a clear that found the bit. test_and_clear returns whether any was set. */
void bitmap_set_atomic(unsigned long *map, size_t start, size_t n);
bool bitmap_test_and_clear_atomic(unsigned long *map, size_t start, size_t n);
/* First set / clear bit in [start, size), size if there is none. */
size_t bitmap_find_next(const unsigned long *map, size_t size, size_t start);
size_t bitmap_find_next_zero(const unsigned long *map, size_t size, size_t start);
size_t bitmap_count(const unsigned long *map, size_t n);

static inline bool bitmap_test(const unsigned long *map, size_t bit)
{
    return map[bit / BITS_PER_LONG] >> (bit % BITS_PER_LONG) & 1;
}

#endif
