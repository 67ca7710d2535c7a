/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XBZRLE: a page that was sent before goes as what has changed since. Both sides have the old content: the source in a
 * cache, the destination in its memory.
 *
 * The encoding is a sequence of two ULEB128 numbers of at most two bytes, the length of a run that stays and of one that
 * changes, and the new bytes of the latter. What stays at the end is left out.
 *
 * X1  What is in the cache is what the destination has: a page goes out from the copy that goes into the cache, since the
 *     guest may be writing it.
 */
#ifndef MIGRATION_XBZRLE_H
#define MIGRATION_XBZRLE_H

#include <glib.h>

#define XBZRLE_VERSION 1 /* the byte in front of an encoded page */

/* len bytes (at most 16383) of new against old. Bytes of dst used, 0: nothing has changed, -1: it would be more than dlen. */
int xbzrle_encode(const uint8_t *old, const uint8_t *new, size_t len, uint8_t *dst, size_t dlen);
/* Changes the page; false for what is not such an encoding (some of it may have been applied). */
bool xbzrle_decode(const uint8_t *src, size_t slen, uint8_t *page, size_t len);

/* ---- the cache: one thread ------------------------------------------------------------------------------------------- */

typedef struct XbzrleCache XbzrleCache;
/* size: a power of two, at least a page. NULL if there is no memory. */
XbzrleCache *xbzrle_cache_new(uint64_t size);
void xbzrle_cache_free(XbzrleCache *cache); /* NULL is allowed */
/* A new pass: what was not used in the one before may be replaced. */
void xbzrle_cache_age(XbzrleCache *cache);
/* The copy of page number key; NULL if it is not there. */
uint8_t *xbzrle_cache_find(XbzrleCache *cache, uint64_t key);
/* Room for a page that is not there (its content is the caller's to fill in); NULL if others have a better right. */
uint8_t *xbzrle_cache_add(XbzrleCache *cache, uint64_t key);

#endif
