/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM on the source.
 *
 * S1  `todo_bitmap` has a bit for each page that must still be sent. A bit is cleared before the page is read, and is
 *     set again by a later look at the dirty bitmap if the page was written meanwhile (system/memory.h M3).
 * S2  A page is sent from where it is. What arrives may be a mixture of old and new; the page is dirty then.
 * S3  After sync(last) nobody writes, so that what complete() sends is final.
 */
#include "util/osdep.h"
#include "ram-save.h"

#include "multifd.h"
#include "options.h"
#include "out.h"
#include "protocol.h"
#include "ram-page.h"
#include "ram-release.h"
#include "util/bitmap.h"
#include "util/clock.h"
#include "util/error.h"
#include "write.h"
#include "migration/zero-page.h"

/* Pages that are handled in one go: two megabytes, a huge page. */
#define CHUNK 512

RamSave *ram_save;
#define save ram_save
static RamCounters counters; /* atomic */

#define COUNTER_GET(name) __atomic_load_n(&counters.name, __ATOMIC_RELAXED)
#define COUNTER_SET(name, value) __atomic_store_n(&counters.name, (value), __ATOMIC_RELAXED)
#define COUNTER_ADD(name, value) __atomic_fetch_add(&counters.name, (value), __ATOMIC_RELAXED)

void ram_save_counters(RamCounters *out)
{
    /* Each number is whole by itself. */
    const uint64_t *from = (const uint64_t *)&counters;
    uint64_t *to = (uint64_t *)out;
    G_STATIC_ASSERT(sizeof(RamCounters) % sizeof(uint64_t) == 0);
    for (size_t i = 0; i < sizeof(RamCounters) / sizeof(uint64_t); i++) {
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}

bool ram_block_ignored(const RamBlock *block)
{
    return block->shared && block->fd >= 0 &&
           migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED);
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
            .todo_bitmap = bitmap_new(block->size / GUEST_PAGE_SIZE),
            .pages = block->size / GUEST_PAGE_SIZE,
            .address = block->region ? memory_region_address(block->region) : 0,
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
    pthread_mutex_init(&save->lock, NULL);
    g_queue_init(&save->requests);
    save->page_map = page_map_open();
    ram_foreach(count_block, &n);
    save->blocks = g_new0(SaveBlock, n);
    ram_foreach(add_block, NULL);
    save->last_sync_ns = clock_get_ns(CLOCK_REALTIME_NS);
    save->multifd = multifd_send_active();
    save->mapped = mapped_ram_active();
    save->look = migration_zero_page_detection() == ZERO_PAGE_DETECTION_LEGACY ||
                 (!save->multifd && migration_zero_page_detection() != ZERO_PAGE_DETECTION_NONE);
    save->zero_here =
        !save->multifd || migration_zero_page_detection() != ZERO_PAGE_DETECTION_MULTIFD;
    return ram_dirty_log_start(error);
}

static void ram_cleanup(void *opaque)
{
    if (!save) {
        return;
    }
    ram_dirty_log_stop();
    for (unsigned i = 0; i < save->n; i++) {
        g_free(save->blocks[i].todo_bitmap);
        g_free(save->blocks[i].held);
        g_free(save->blocks[i].mapped.written);
    }
    page_map_close(save->page_map);
    xbzrle_cache_free(save->xbzrle);
    ram_save_free_requests();
    ram_release_free();
    pthread_mutex_destroy(&save->lock);
    g_free(save->blocks);
    g_clear_pointer(&save, g_free);
}

/* multifd: everything so far is on its channels' way, and the reader waits for it here. */
static bool put_mark(MigrationOut *out)
{
    save->flush_due = false;
    if (save->multifd && !migration_flush_each_section()) {
        out_put_be64(out, RAM_MULTIFD_FLUSH);
        out_flush(out);
        return multifd_send_sync();
    }
    return true;
}

/* The end of a section's content. */
static bool put_end(MigrationOut *out)
{
    out_put_be64(out, RAM_EOS);
    if (save->multifd && migration_flush_each_section()) {
        out_flush(out);
        return multifd_send_sync();
    }
    return true;
}

static bool ram_setup(MigrationOut *out, void *opaque, GError **error)
{
    out_put_be64(out, COUNTER_GET(total) | RAM_MEM_SIZE);
    for (unsigned i = 0; i < save->n; i++) {
        const RamBlock *block = save->blocks[i].block;
        out_put_counted_string(out, block->idstr);
        out_put_be64(out, block->size);
        if (migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM) &&
            block->page_size != GUEST_PAGE_SIZE) {
            out_put_be64(out, block->page_size);
        }
        if (migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED)) {
            out_put_be64(out, save->blocks[i].address);
        }
        if (save->mapped && !mapped_ram_put_block(out, &save->blocks[i].mapped, block, error)) {
            return false;
        }
    }
    return put_mark(out) && put_end(out);
}

static void ram_sync(void *opaque, bool last)
{
    uint64_t found = 0;
    ram_dirty_log_sync(last);
    for (unsigned i = 0; i < save->n; i++) {
        SaveBlock *sb = &save->blocks[i];
        if (!ram_block_ignored(sb->block)) {
            found += ram_block_take_dirty(sb->block, 0, sb->pages, sb->todo_bitmap);
        }
    }
    COUNTER_ADD(remaining, found * GUEST_PAGE_SIZE);
    save->new_pass = COUNTER_GET(syncs) > 0;
    save->flush_due = save->multifd && COUNTER_GET(syncs) > 0;
    int64_t now = clock_get_ns(CLOCK_REALTIME_NS);
    if (COUNTER_ADD(syncs, 1) > 0 && now > save->last_sync_ns) {
        COUNTER_SET(dirty_pages_rate,
                    (uint64_t)((double)found * NS_PER_SEC / (now - save->last_sync_ns)));
    }
    save->last_sync_ns = now;
}

static uint64_t ram_pending(void *opaque)
{
    return COUNTER_GET(remaining);
}

/* ---- pages ---- */

void ram_save_put_header(MigrationOut *out, const SaveBlock *sb, uint64_t offset, unsigned flags)
{
    if (sb == save->named) {
        out_put_be64(out, offset | flags | RAM_CONTINUE);
    } else {
        out_put_be64(out, offset | flags);
        out_put_counted_string(out, sb->block->idstr);
        save->named = sb;
    }
}

/* Bytes of output so far, on all channels. */
static uint64_t position(const MigrationOut *out)
{
    return out_tell(out) + save->elsewhere;
}

void ram_save_put_zero(MigrationOut *out, const SaveBlock *sb, uint64_t offset)
{
    ram_save_put_header(out, sb, offset, RAM_ZERO);
    out_put_u8(out, 0);
}

/* X1: the page as it is now. */
static const uint8_t *copy_page(const RamBlock *block, uint64_t offset)
{
    const struct iovec iov = { block->host + offset, GUEST_PAGE_SIZE };
    read_guest_pages(save->page_copy, &iov, 1);
    return save->page_copy;
}

static uint64_t cache_key(const SaveBlock *sb, uint64_t offset)
{
    return (sb->block->offset + offset) / GUEST_PAGE_SIZE;
}

/* A page that the destination has in an older form, if the cache has that as well. False: it goes as it is. */
static bool put_difference(MigrationOut *out, const SaveBlock *sb, uint64_t offset)
{
    uint8_t *old = xbzrle_cache_find(save->xbzrle, cache_key(sb, offset));
    COUNTER_ADD(xbzrle.asked, 1);
    const uint8_t *page = copy_page(sb->block, offset);
    if (!old) {
        COUNTER_ADD(xbzrle.misses, 1);
        old = xbzrle_cache_add(save->xbzrle, cache_key(sb, offset));
        if (!old) {
            return false;
        }
    } else {
        int n = xbzrle_encode(old, page, GUEST_PAGE_SIZE, save->encoded, GUEST_PAGE_SIZE);
        if (n >= 0) {
            memcpy(old, page, GUEST_PAGE_SIZE);
        }
        if (n > 0) {
            ram_save_put_header(out, sb, offset, RAM_XBZRLE);
            out_put_u8(out, XBZRLE_VERSION);
            out_put_be16(out, n);
            out_put_bytes(out, save->encoded, n);
            COUNTER_ADD(xbzrle.pages, 1);
            COUNTER_ADD(xbzrle.bytes, n + 11);
        }
        if (n >= 0) {
            return true;
        }
        COUNTER_ADD(xbzrle.overflows, 1);
    }
    memcpy(old, page, GUEST_PAGE_SIZE);
    ram_save_put_header(out, sb, offset, RAM_PAGE);
    out_put_bytes(out, page, GUEST_PAGE_SIZE);
    COUNTER_ADD(normal_pages, 1);
    return true;
}

/* The destination has zeros there from now on. */
static void forget_difference(const SaveBlock *sb, uint64_t offset)
{
    uint8_t *old = save->xbzrle ? xbzrle_cache_find(save->xbzrle, cache_key(sb, offset)) : NULL;
    if (old) {
        memset(old, 0, GUEST_PAGE_SIZE);
    }
}

/* The size can be changed at any time, and is looked at here. */
static void renew_cache(void)
{
    uint64_t size = migration_xbzrle_cache_size();
    if (!migration_capability(MIGRATION_CAPABILITY_XBZRLE)) {
        return;
    }
    if (!save->xbzrle || save->xbzrle_size != size) {
        xbzrle_cache_free(save->xbzrle);
        save->xbzrle = xbzrle_cache_new(size);
        save->xbzrle_size = size;
    } else {
        xbzrle_cache_age(save->xbzrle);
    }
}

static void put_normal(MigrationOut *out, const SaveBlock *sb, uint64_t offset)
{
    ram_save_put_header(out, sb, offset, RAM_PAGE);
    out_put_memory(out, sb->block->host + offset, GUEST_PAGE_SIZE);
}

/* Which of the n pages from first on are known to be zero without looking. */
static void find_untouched(const SaveBlock *sb, uint64_t first, uint64_t n,
                           unsigned long *untouched)
{
    if (sb->ask_page_map && save->passes == 0) {
        page_map_untouched(save->page_map, sb->block, first * GUEST_PAGE_SIZE, n, untouched);
    }
}

/* Whether a channel has failed, or all were ended. */
static bool channels_failed(void)
{
    return (save->multifd && !multifd_send_ok()) || (save->mapped && !mapped_ram_ok());
}

/* Sends one page. False when a channel has failed. */
static bool send_page(MigrationOut *out, SaveBlock *sb, uint64_t offset, bool zero)
{
    if (save->postcopy) {
        zero = !ram_save_postcopy_page(out, sb, offset, zero);
        COUNTER_ADD(zero_pages, zero);
        COUNTER_ADD(normal_pages, !zero);
    } else if (zero && save->zero_here) {
        ram_save_put_zero(out, sb, offset);
        forget_difference(sb, offset);
        COUNTER_ADD(zero_pages, 1);
    } else if (save->multifd) {
        if (!multifd_send_page(sb->block, offset, zero)) {
            return false;
        }
        save->elsewhere += zero ? 8 : GUEST_PAGE_SIZE;
    } else if (!save->xbzrle || !save->passes || !put_difference(out, sb, offset)) {
        put_normal(out, sb, offset);
        COUNTER_ADD(normal_pages, 1);
    }
    return true;
}

/* The pages of one word of todo_bitmap, given by their bits, until the output is at end_at. */
static void send_word(MigrationOut *out, SaveBlock *sb, uint64_t first, unsigned long bits,
                      unsigned long untouched, uint64_t end_at)
{
    unsigned long zero =
        (bits & untouched) | ram_classify_word(sb->block, first, bits & ~untouched, save->look);
    unsigned long *todo_bitmap = &sb->todo_bitmap[first / BITS_PER_LONG], done = 0;
    for (unsigned long left = bits; left && position(out) < end_at; left &= left - 1) {
        unsigned bit = __builtin_ctzl(left);
        if (!send_page(out, sb, (first + bit) * GUEST_PAGE_SIZE, zero >> bit & 1)) {
            break;
        }
        done |= 1ul << bit;
    }
    *todo_bitmap &= ~done;
    __atomic_fetch_sub(&counters.remaining, __builtin_popcountl(done) * GUEST_PAGE_SIZE,
                       __ATOMIC_RELAXED);
}

void ram_save_word(MigrationOut *out, SaveBlock *sb, uint64_t first, unsigned long bits)
{
    send_word(out, sb, first, bits, 0, UINT64_MAX);
}

void ram_save_add_remaining(int64_t bytes)
{
    COUNTER_ADD(remaining, bytes);
}

uint64_t ram_save_remaining(void)
{
    return COUNTER_GET(remaining);
}

G_STATIC_ASSERT(MAPPED_CHUNK == CHUNK);

/* All pages of todo_bitmap in [start, end), which is a chunk, go to their places in the file. */
static void send_mapped_chunk(SaveBlock *sb, uint64_t start, uint64_t end,
                              const unsigned long *untouched)
{
    unsigned long bits[BITS_TO_LONGS(CHUNK)] = { 0 };
    uint64_t n = 0, known = 0;
    for (uint64_t at = start; at < end; at += BITS_PER_LONG) {
        unsigned i = (at - start) / BITS_PER_LONG;
        bits[i] = sb->todo_bitmap[at / BITS_PER_LONG];
        sb->todo_bitmap[at / BITS_PER_LONG] = 0; /* S1 */
        n += __builtin_popcountl(bits[i]);
        known += __builtin_popcountl(bits[i] & untouched[i]);
    }
    __atomic_fetch_sub(&counters.remaining, n * GUEST_PAGE_SIZE, __ATOMIC_RELAXED);
    save->elsewhere += (n - known) * GUEST_PAGE_SIZE;
    mapped_ram_put_chunk(&sb->mapped, sb->block, start, bits, untouched, save->look, NULL);
}

/* Sends the pages of todo_bitmap in [first, end), which lie in one chunk, until the output is at end_at. Returns where
 * it stopped. */
static uint64_t send_chunk(MigrationOut *out, SaveBlock *sb, uint64_t first, uint64_t end,
                           uint64_t end_at)
{
    unsigned long untouched[BITS_TO_LONGS(CHUNK)] = { 0 };
    uint64_t start = first / CHUNK * CHUNK;
    find_untouched(sb, start, end - start, untouched);
    if (save->mapped) {
        send_mapped_chunk(sb, start, end, untouched);
        return end;
    }
    for (uint64_t at = first / BITS_PER_LONG * BITS_PER_LONG; at < end; at += BITS_PER_LONG) {
        unsigned long bits = sb->todo_bitmap[at / BITS_PER_LONG];
        if (bits) {
            send_word(out, sb, at, bits, untouched[(at - start) / BITS_PER_LONG], end_at);
        }
        if (position(out) >= end_at || !out_ok(out) || channels_failed()) {
            return at;
        }
    }
    return end;
}

/* What channels have counted. */
static void take_counts(void)
{
    uint64_t zero = 0, normal = 0;
    if (save->multifd) {
        multifd_send_take_counts(&zero, &normal);
    } else if (save->mapped) {
        mapped_ram_take_counts(&zero, &normal);
    }
    COUNTER_ADD(zero_pages, zero);
    COUNTER_ADD(normal_pages, normal);
}

/* Why it does not go on. Returns false. */
static bool explain(GError **error)
{
    if (save->mapped && !mapped_ram_wait(error)) {
        return false;
    }
    GError *local = multifd_send_error();
    if (local) {
        g_propagate_error(error, local);
        return false;
    }
    return error_set(error, "the channels were closed");
}

/* Goes on from where the last call stopped, for about budget bytes of output; false when nothing is left. */
static bool send_pages(MigrationOut *out, uint64_t budget)
{
    save->named = NULL; /* each section stands for itself */
    if (save->postcopy) {
        return ram_save_postcopy_pages(out, budget);
    }
    uint64_t at = position(out), end_at = budget < UINT64_MAX - at ? at + budget : UINT64_MAX;
    unsigned ends = 0; /* of the list of blocks, in this call */

    while (COUNTER_GET(remaining) && ends < 2 && out_ok(out) && !channels_failed()) {
        SaveBlock *sb = &save->blocks[save->at];
        uint64_t page = bitmap_find_next(sb->todo_bitmap, sb->pages, save->page);
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
        if (position(out) >= end_at) {
            return COUNTER_GET(remaining) > 0;
        }
    }
    return false;
}

/* Y1 */
static bool put_bitmaps(MigrationOut *out, GError **error)
{
    for (unsigned i = 0; save->mapped && i < save->n; i++) {
        if (!mapped_ram_put_bitmap(out, &save->blocks[i].mapped, save->blocks[i].block, error)) {
            return false;
        }
    }
    return true;
}

/* The dirty bitmap was looked at again. */
static bool begin_pass(MigrationOut *out)
{
    if (save->new_pass) {
        save->new_pass = false;
        renew_cache();
        if (save->mapped && !mapped_ram_wait(NULL)) { /* Y2 */
            return false;
        }
    }
    return !save->flush_due || put_mark(out);
}

static SectionProgress ram_iterate(MigrationOut *out, void *opaque, uint64_t budget, GError **error)
{
    bool ok = begin_pass(out);
    bool more = ok && send_pages(out, budget);
    ok = ok && put_end(out);
    take_counts();
    if (!ok || channels_failed()) {
        explain(error);
        return SECTION_ERROR;
    }
    return more ? SECTION_MORE : SECTION_DONE;
}

static bool ram_complete(MigrationOut *out, void *opaque, GError **error)
{
    bool ok = begin_pass(out);
    if (ok) {
        send_pages(out, UINT64_MAX);
        ok = (!save->mapped || mapped_ram_wait(NULL)) && put_mark(out);
    }
    take_counts();
    if (!ok || channels_failed()) {
        return explain(error);
    }
    return put_bitmaps(out, error) && (put_end(out) || explain(error));
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
