/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bitmaps, a word at a time; see util/bitmap.h. */
#include "util/osdep.h"
#include "util/bitmap.h"

/* Bits [first, last) of one word; 0 <= first < last <= BITS_PER_LONG. */
static inline unsigned long word_mask(unsigned first, unsigned last)
{
    unsigned long high = last == BITS_PER_LONG ? ~0UL : (1UL << last) - 1;
    return high & ~0UL << first;
}

/* The part of [start, end) that lies in the word of start. */
static inline unsigned long first_mask(size_t start, size_t end, size_t *next)
{
    size_t word_end = (start / BITS_PER_LONG + 1) * BITS_PER_LONG;
    *next = MIN(end, word_end);
    return word_mask(start % BITS_PER_LONG, *next - (word_end - BITS_PER_LONG));
}

unsigned long *bitmap_new(size_t n)
{
    return g_new0(unsigned long, BITS_TO_LONGS(n));
}

void bitmap_set(unsigned long *map, size_t start, size_t n)
{
    size_t end = start + n, next;
    for (; start < end; start = next) {
        unsigned long *word = &map[start / BITS_PER_LONG];
        *word |= first_mask(start, end, &next);
    }
}

void bitmap_clear(unsigned long *map, size_t start, size_t n)
{
    size_t end = start + n, next;
    for (; start < end; start = next) {
        unsigned long *word = &map[start / BITS_PER_LONG];
        *word &= ~first_mask(start, end, &next);
    }
}

void bitmap_set_atomic(unsigned long *map, size_t start, size_t n)
{
    size_t end = start + n, next;
    /* Who clears a bit and then reads what it stands for must find what was written before this call. A store
     * may pass a later load: without the barrier a bit could be seen set here, be cleared there, and the data be
     * read there before they have left this processor. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (; start < end; start = next) {
        unsigned long *word = &map[start / BITS_PER_LONG];
        unsigned long mask = first_mask(start, end, &next);
        /* Most sets find the bits set: reading first keeps the cache line shared. */
        if ((__atomic_load_n(word, __ATOMIC_SEQ_CST) & mask) != mask) {
            __atomic_fetch_or(word, mask, __ATOMIC_SEQ_CST);
        }
    }
}

bool bitmap_test_and_clear_atomic(unsigned long *map, size_t start, size_t n)
{
    size_t end = start + n, next;
    unsigned long found = 0;
    for (; start < end; start = next) {
        unsigned long *word = &map[start / BITS_PER_LONG];
        unsigned long mask = first_mask(start, end, &next);
        if (__atomic_load_n(word, __ATOMIC_SEQ_CST) & mask) {
            found |= __atomic_fetch_and(word, ~mask, __ATOMIC_SEQ_CST) & mask;
        }
    }
    return found != 0;
}

/* flip is ~0 to look for a clear bit. */
static size_t find_next(const unsigned long *map, size_t size, size_t start, unsigned long flip)
{
    if (start >= size) {
        return size;
    }
    size_t word = start / BITS_PER_LONG, last = (size - 1) / BITS_PER_LONG;
    unsigned long bits = (map[word] ^ flip) & ~0UL << start % BITS_PER_LONG;
    while (!bits) {
        if (word == last) {
            return size;
        }
        bits = map[++word] ^ flip;
    }
    size_t found = word * BITS_PER_LONG + __builtin_ctzl(bits);
    return MIN(found, size);
}

size_t bitmap_find_next(const unsigned long *map, size_t size, size_t start)
{
    return find_next(map, size, start, 0);
}

size_t bitmap_find_next_zero(const unsigned long *map, size_t size, size_t start)
{
    return find_next(map, size, start, ~0UL);
}

size_t bitmap_count(const unsigned long *map, size_t n)
{
    size_t count = 0, word;
    for (word = 0; word < n / BITS_PER_LONG; word++) {
        count += __builtin_popcountl(map[word]);
    }
    if (n % BITS_PER_LONG) {
        count += __builtin_popcountl(map[word] & word_mask(0, n % BITS_PER_LONG));
    }
    return count;
}
