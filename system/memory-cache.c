/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ranges of guest RAM that are looked up once (system/memory.h). A view's number tells whether the lookup still holds:
 * inside an RCU section the view of the moment is alive, and with it the regions that it shows (F2), so that a pointer
 * found in a view of the same number is good, whatever other threads do to the map.
 */
#include "util/osdep.h"

#include "memory-internal.h"

void memory_cache_init(MemoryCache *cache, AddressSpace *as, hwaddr addr, uint64_t len)
{
    *cache = (MemoryCache){ .as = as, .addr = addr, .len = len };
}

/* Makes the cache what `view` says of addr. */
static void look_up(MemoryCache *cache, FlatView *view, hwaddr addr)
{
    hwaddr next;
    const FlatRange *r = flatview_find(view, addr, &next);

    cache->view_id = view->id;
    cache->host = NULL;
    cache->host_len = 0;
    if (r && r->mr->kind == MEMORY_REGION_RAM) {
        cache->block = r->mr->block;
        cache->offset = r->offset + (addr - r->first);
        cache->host = cache->block->host + cache->offset;
        cache->host_len = r->last - addr < cache->len ? r->last - addr + 1 : cache->len;
        cache->writable = !r->readonly && !cache->block->host_readonly;
    }
}

static void copy(uint8_t *to, const uint8_t *from, uint64_t len, const void *guest)
{
    if (len == 2 && (uintptr_t)guest % 2 == 0) {
        memcpy(to, from, 2);
    } else if (len == 4 && (uintptr_t)guest % 4 == 0) {
        memcpy(to, from, 4);
    } else if (len == 8 && (uintptr_t)guest % 8 == 0) {
        memcpy(to, from, 8);
    } else {
        memcpy(to, from, len);
    }
}

static MemResult access_host(MemoryCache *c, uint64_t offset, void *rd, const void *wr,
                             uint64_t len, const char *writer)
{
    uint8_t *host = c->host + offset;

    if (rd) {
        copy(rd, host, len, host);
        return MEM_OK;
    }
    if (!c->writable) {
        return MEM_ERROR;
    }
    if (!ram_write_allowed(writer)) {
        return MEM_CLOSED;
    }
    copy(host, wr, len, host);
    ram_block_set_dirty(c->block, c->offset + offset, len);
    return MEM_OK;
}

static MemResult access_cache(MemoryCache *cache, uint64_t offset, uint8_t *rd, const uint8_t *wr,
                              uint64_t len, const char *writer)
{
    MemResult result = MEM_OK;
    FlatView *view;

    g_assert(offset <= cache->len && len <= cache->len - offset);
    memory_rcu_enter();
    view = flatview_get(cache->as);
    if (G_UNLIKELY(cache->view_id != view->id)) {
        look_up(cache, view, cache->addr);
    }
    if (G_LIKELY(cache->host && offset + len <= cache->host_len)) {
        result = access_host(cache, offset, rd, wr, len, writer);
        memory_rcu_leave();
        return result;
    }
    while (len && result == MEM_OK) { /* the range has a seam */
        MemoryCache piece = { .as = cache->as, .len = len };
        uint64_t n;

        look_up(&piece, view, cache->addr + offset);
        n = MIN(len, piece.host_len);
        result = piece.host ? access_host(&piece, 0, rd, wr, n, writer) : MEM_DECODE_ERROR;
        offset += n;
        len -= n;
        rd += rd ? n : 0;
        wr += wr ? n : 0;
    }
    memory_rcu_leave();
    return result;
}

MemResult memory_cache_read(MemoryCache *cache, uint64_t offset, void *buf, uint64_t len)
{
    return access_cache(cache, offset, buf, NULL, len, NULL);
}

MemResult memory_cache_write(MemoryCache *cache, uint64_t offset, const void *buf, uint64_t len,
                             const char *writer)
{
    return access_cache(cache, offset, NULL, buf, len, writer);
}
