/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM on the source.
 *
 * S1  `todo` has a bit for each page that must still be sent. A bit is cleared before the page is read, and is
 *     set again by a later look at the dirty bitmap if the page was written meanwhile (system/memory.h M3).
 * S2  A page is sent from where it is. What arrives may be a mixture of old and new; the page is dirty then.
 * S3  After sync(last) nobody writes, so that what complete() sends is final.
 */
#include "util/osdep.h"
#include "ram.h"

#include "options.h"
#include "out.h"
#include "protocol.h"
#include "util/bitmap.h"
#include "util/clock.h"
#include "util/error.h"
#include "zero-page.h"

/* Pages that are handled in one go: two megabytes, a huge page. */
#define CHUNK 512

typedef struct SaveBlock {
    RamBlock *block;
    unsigned long *todo;
    uint64_t pages;
    bool ask_page_map; /* in the first pass: later, dirty pages have been written */
} SaveBlock;

typedef struct RamSave {
    SaveBlock *blocks;
    unsigned n;
    unsigned at;             /* block that is being sent */
    uint64_t page;           /* and where in it */
    unsigned passes;         /* ends of the last block reached */
    const SaveBlock *named;  /* the block whose name was sent last in this section */
    PageMap *page_map;
    int64_t last_sync_ns;
} RamSave;

static RamSave *save;
static RamCounters counters; /* atomic */

#define COUNTER_GET(name) __atomic_load_n(&counters.name, __ATOMIC_RELAXED)
#define COUNTER_SET(name, value) __atomic_store_n(&counters.name, (value), __ATOMIC_RELAXED)
#define COUNTER_ADD(name, value) __atomic_fetch_add(&counters.name, (value), __ATOMIC_RELAXED)

void ram_save_counters(RamCounters *out)
{
    *out = (RamCounters){
        .total = COUNTER_GET(total),
        .remaining = COUNTER_GET(remaining),
        .zero_pages = COUNTER_GET(zero_pages),
        .normal_pages = COUNTER_GET(normal_pages),
        .syncs = COUNTER_GET(syncs),
        .dirty_pages_rate = COUNTER_GET(dirty_pages_rate),
    };
}

bool ram_block_ignored(const RamBlock *block)
{
    return block->shared && block->fd >= 0 && migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED);
}

/* ---- start and end ---- */

static bool count_block(RamBlock *block, void *opaque)
{
    ++*(unsigned *)opaque;
    return true;
}

static bool add_block(RamBlock *block, void *opaque)
{
    if (!block->not_migrated) {
        save->blocks[save->n++] = (SaveBlock){
            .block = block,
            .todo = bitmap_new(block->size / GUEST_PAGE_SIZE),
            .pages = block->size / GUEST_PAGE_SIZE,
            .ask_page_map = save->page_map && page_map_covers(block),
        };
        COUNTER_ADD(total, block->size);
    }
    return true;
}

static bool ram_prepare(void *opaque, GError **error)
{
    unsigned n = 0;
    memset(&counters, 0, sizeof(counters));
    save = g_new0(RamSave, 1);
    save->page_map = page_map_open();
    ram_foreach(count_block, &n);
    save->blocks = g_new0(SaveBlock, n);
    ram_foreach(add_block, NULL);
    save->last_sync_ns = clock_get_ns(CLOCK_REALTIME_NS);
    return ram_dirty_log_start(error);
}

static void ram_cleanup(void *opaque)
{
    if (!save) {
        return;
    }
    ram_dirty_log_stop();
    for (unsigned i = 0; i < save->n; i++) {
        g_free(save->blocks[i].todo);
    }
    page_map_close(save->page_map);
    g_free(save->blocks);
    g_clear_pointer(&save, g_free);
}

static bool ram_setup(MigrationOut *out, void *opaque, GError **error)
{
    out_put_be64(out, COUNTER_GET(total) | RAM_MEM_SIZE);
    for (unsigned i = 0; i < save->n; i++) {
        const RamBlock *block = save->blocks[i].block;
        out_put_counted_string(out, block->idstr);
        out_put_be64(out, block->size);
        if (migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED)) {
            out_put_be64(out, block->region ? memory_region_address(block->region) : 0);
        }
    }
    out_put_be64(out, RAM_EOS);
    return true;
}

static void ram_sync(void *opaque, bool last)
{
    uint64_t found = 0;
    ram_dirty_log_sync(last);
    for (unsigned i = 0; i < save->n; i++) {
        SaveBlock *sb = &save->blocks[i];
        if (!ram_block_ignored(sb->block)) {
            found += ram_block_take_dirty(sb->block, 0, sb->pages, sb->todo);
        }
    }
    COUNTER_ADD(remaining, found * GUEST_PAGE_SIZE);
    int64_t now = clock_get_ns(CLOCK_REALTIME_NS);
    if (COUNTER_ADD(syncs, 1) > 0 && now > save->last_sync_ns) {
        COUNTER_SET(dirty_pages_rate, (uint64_t)((double)found * NS_PER_SEC / (now - save->last_sync_ns)));
    }
    save->last_sync_ns = now;
}

static uint64_t ram_pending(void *opaque)
{
    return COUNTER_GET(remaining);
}

/* ---- pages ---- */

static void put_header(MigrationOut *out, const SaveBlock *sb, uint64_t offset, unsigned flags)
{
    if (sb == save->named) {
        out_put_be64(out, offset | flags | RAM_CONTINUE);
    } else {
        out_put_be64(out, offset | flags);
        out_put_counted_string(out, sb->block->idstr);
        save->named = sb;
    }
}

/* Sends the pages of todo in [first, end), which lie in one chunk, until the output is at end_at. Returns where
 * it stopped. */
static uint64_t send_chunk(MigrationOut *out, SaveBlock *sb, uint64_t first, uint64_t end, uint64_t end_at)
{
    unsigned long untouched[BITS_TO_LONGS(CHUNK)] = { 0 };
    bool asked = sb->ask_page_map && save->passes == 0 &&
                 page_map_untouched(save->page_map, sb->block, first * GUEST_PAGE_SIZE, end - first, untouched);
    uint64_t zero = 0, normal = 0, page = first;
    for (; page < end && out_tell(out) < end_at; page = bitmap_find_next(sb->todo, end, page + 1)) {
        uint64_t offset = page * GUEST_PAGE_SIZE;
        const uint8_t *host = sb->block->host + offset;
        bitmap_clear(sb->todo, page, 1); /* S1 */
        if ((asked && bitmap_test(untouched, page - first)) || page_is_zero(host)) {
            put_header(out, sb, offset, RAM_ZERO);
            out_put_u8(out, 0);
            zero++;
        } else {
            put_header(out, sb, offset, RAM_PAGE);
            out_put_memory(out, host, GUEST_PAGE_SIZE);
            normal++;
        }
    }
    COUNTER_ADD(zero_pages, zero);
    COUNTER_ADD(normal_pages, normal);
    __atomic_fetch_sub(&counters.remaining, (zero + normal) * GUEST_PAGE_SIZE, __ATOMIC_RELAXED);
    return page;
}

/* Goes on from where the last call stopped, for about budget bytes of output; false when nothing is left. */
static bool send_pages(MigrationOut *out, uint64_t budget)
{
    save->named = NULL; /* each section stands for itself */
    uint64_t end_at = budget < UINT64_MAX - out_tell(out) ? out_tell(out) + budget : UINT64_MAX;
    unsigned ends = 0; /* of the list of blocks, in this call */

    while (COUNTER_GET(remaining) && ends < 2 && out_ok(out)) {
        SaveBlock *sb = &save->blocks[save->at];
        uint64_t page = bitmap_find_next(sb->todo, sb->pages, save->page);
        if (page >= sb->pages) {
            save->page = 0;
            if (++save->at == save->n) {
                save->at = 0;
                save->passes++;
                ends++;
            }
            continue;
        }
        save->page = send_chunk(out, sb, page, MIN((page / CHUNK + 1) * CHUNK, sb->pages), end_at);
        if (out_tell(out) >= end_at) {
            return COUNTER_GET(remaining) > 0;
        }
    }
    return false;
}

static SectionProgress ram_iterate(MigrationOut *out, void *opaque, uint64_t budget, GError **error)
{
    bool more = send_pages(out, budget);
    out_put_be64(out, RAM_EOS);
    return more ? SECTION_MORE : SECTION_DONE;
}

static bool ram_complete(MigrationOut *out, void *opaque, GError **error)
{
    send_pages(out, UINT64_MAX);
    out_put_be64(out, RAM_EOS);
    return true;
}

const SectionHandlers ram_handlers = {
    .prepare = ram_prepare,
    .setup = ram_setup,
    .sync = ram_sync,
    .pending = ram_pending,
    .iterate = ram_iterate,
    .complete = ram_complete,
    .cleanup = ram_cleanup,
    .load_prepare = ram_load_prepare,
    .load = ram_load,
    .load_cleanup = ram_load_cleanup,
};
