/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of a page; see ram-page.h. */
#include "util/osdep.h"
#include "ram-page.h"

#include "system/poison.h"

typedef struct Look {
    const uint8_t *host;         /* of the page of bit 0 */
    unsigned long bits;          /* to be looked at */
    volatile unsigned long zero; /* found, so far */
} Look;

static void look_at(void *opaque)
{
    Look *l = opaque;
    for (unsigned long left = l->bits; left; left &= left - 1) {
        unsigned bit = __builtin_ctzl(left);
        if (page_is_zero(l->host + bit * GUEST_PAGE_SIZE)) {
            l->zero |= 1ul << bit;
        }
    }
}

static unsigned long poisoned(const RamBlock *block, uint64_t first, unsigned long bits)
{
    unsigned long found = 0;
    if (G_LIKELY(!__atomic_load_n(&block->poison, __ATOMIC_ACQUIRE))) {
        return 0;
    }
    for (unsigned long left = bits; left; left &= left - 1) {
        unsigned bit = __builtin_ctzl(left);
        found |= (unsigned long)ram_page_poisoned(block, (first + bit) * GUEST_PAGE_SIZE) << bit;
    }
    return found;
}

/* How often a word is looked at that cannot be read though none of its pages is in the list. */
#define LOOKS_MAX 16

unsigned long ram_classify_word(const RamBlock *block, uint64_t first, unsigned long bits,
                                bool look)
{
    Look l = { .host = block->host + first * GUEST_PAGE_SIZE };
    for (unsigned tries = 1;; tries++) {
        unsigned long bad = poisoned(block, first, bits);
        if (!look) {
            return bad;
        }
        l.bits = bits & ~bad;
        l.zero = 0;
        if (ram_read_guarded(look_at, &l)) {
            return l.zero | bad;
        }
        /* It met a page that cannot be read, which is in the list now, or has been replaced meanwhile (N7). */
        if (poisoned(block, first, bits) == bad && tries == LOOKS_MAX) {
            return bits; /* not ours to read, whatever it is */
        }
    }
}

PageKind ram_classify(const RamBlock *block, uint64_t offset, bool look)
{
    return ram_classify_word(block, offset / GUEST_PAGE_SIZE, 1, look) ? PAGE_ZERO : PAGE_NORMAL;
}
