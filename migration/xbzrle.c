/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoder, decoder and cache; see xbzrle.h. */
#include "util/osdep.h"
#include "migration/xbzrle.h"

#include "system/memory.h"
#include "util/bytes.h"

/* A run that stays is worth its two numbers from this length on. */
#define GAP_MIN 4

/* ---- encoding ---------------------------------------------------------------------------------------------------------- */

static unsigned put_number(uint8_t *at, unsigned n)
{
    if (n < 0x80) {
        at[0] = n;
        return 1;
    }
    at[0] = n | 0x80;
    at[1] = n >> 7;
    return 2;
}

/* Where the first difference from i on is, len if there is none. */
static size_t next_difference(const uint8_t *old, const uint8_t *new, size_t len, size_t i)
{
    uint64_t a, b;
    for (; i + 8 <= len; i += 8) {
        memcpy(&a, old + i, 8);
        memcpy(&b, new + i, 8);
        if (a != b) {
            return i + __builtin_ctzll(GUINT64_FROM_LE(a ^ b)) / 8;
        }
    }
    while (i < len && old[i] == new[i]) {
        i++;
    }
    return i;
}

/* The end of the run of differences that begins at i: where GAP_MIN bytes are equal, or the end. */
static size_t end_of_run(const uint8_t *old, const uint8_t *new, size_t len, size_t i)
{
    size_t end = i + 1;
    for (; i < len && i < end + GAP_MIN; i++) {
        if (old[i] != new[i]) {
            end = i + 1;
        }
    }
    return end;
}

int xbzrle_encode(const uint8_t *old, const uint8_t *new, size_t len, uint8_t *dst, size_t dlen)
{
    size_t used = 0, at = 0;
    while (at < len) {
        size_t first = next_difference(old, new, len, at);
        if (first == len) {
            break;
        }
        size_t end = end_of_run(old, new, len, first);
        if (dlen < 4 + (end - first) || used > dlen - 4 - (end - first)) {
            return -1;
        }
        used += put_number(dst + used, first - at);
        used += put_number(dst + used, end - first);
        memcpy(dst + used, new + first, end - first);
        used += end - first;
        at = end;
    }
    return used;
}

/* False if there is none. */
static bool take_number(const uint8_t **src, const uint8_t *end, size_t *n)
{
    if (*src == end) {
        return false;
    }
    *n = *(*src)++;
    if (*n & 0x80) {
        if (*src == end || (**src & 0x80)) {
            return false;
        }
        *n = (*n & 0x7f) | (size_t) * (*src)++ << 7;
    }
    return true;
}

bool xbzrle_decode(const uint8_t *src, size_t slen, uint8_t *page, size_t len)
{
    const uint8_t *end = src + slen;
    size_t at = 0, same, changed;
    while (src < end) {
        if (!take_number(&src, end, &same) || !take_number(&src, end, &changed) || !changed ||
            same > len - at || changed > len - at - same || changed > (size_t)(end - src)) {
            return false;
        }
        memcpy(page + at + same, src, changed);
        src += changed;
        at += same + changed;
    }
    return true;
}

/* ---- cache -------------------------------------------------------------------------------------------------------------- */

/* Two places for each page; one that was used in this pass or the one before keeps its place. */
typedef struct Entry {
    uint64_t key;
    unsigned pass; /* of the last use */
    uint8_t *data; /* NULL: free */
} Entry;

struct XbzrleCache {
    uint64_t n; /* power of two */
    unsigned pass;
    Entry entries[];
};

XbzrleCache *xbzrle_cache_new(uint64_t size)
{
    uint64_t n = MAX(size / GUEST_PAGE_SIZE, 2);
    XbzrleCache *cache = g_try_malloc0(sizeof(*cache) + n * sizeof(Entry));
    if (cache) {
        cache->n = n;
        cache->pass = 2;
    }
    return cache;
}

void xbzrle_cache_free(XbzrleCache *cache)
{
    for (uint64_t i = 0; cache && i < cache->n; i++) {
        g_free(cache->entries[i].data);
    }
    g_free(cache);
}

void xbzrle_cache_age(XbzrleCache *cache)
{
    cache->pass++;
}

static Entry *place_of(XbzrleCache *cache, uint64_t key)
{
    return &cache->entries[key & (cache->n - 2)];
}

uint8_t *xbzrle_cache_find(XbzrleCache *cache, uint64_t key)
{
    Entry *e = place_of(cache, key);
    for (unsigned i = 0; i < 2; i++) {
        if (e[i].data && e[i].key == key) {
            e[i].pass = cache->pass;
            return e[i].data;
        }
    }
    return NULL;
}

uint8_t *xbzrle_cache_add(XbzrleCache *cache, uint64_t key)
{
    Entry *e = place_of(cache, key);
    Entry *old = !e[0].data ? &e[0] : !e[1].data || e[1].pass < e[0].pass ? &e[1] : &e[0];
    if (old->data && old->pass + 1 >= cache->pass) {
        return NULL;
    }
    if (!old->data) {
        old->data = g_try_malloc(GUEST_PAGE_SIZE);
    }
    old->key = key;
    old->pass = cache->pass;
    return old->data;
}
