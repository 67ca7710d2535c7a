/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that postcopy has moved; see ram-release.h. */
#include "util/osdep.h"
#include "ram-release.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include "options.h"
#include "protocol.h"
#include "sections.h"
#include "util/bitmap.h"
#include "util/error.h"

/* What is sent between two pings, at least. */
#define STEP_BYTES (4u << 20)

typedef struct Range {
    SaveBlock *sb;
    uint64_t page, n;
} Range;

typedef struct Release {
    GArray *sent;    /* Range: since the last ping went out */
    GArray *asked;   /* Range: before it */
    uint64_t bytes;  /* in sent */
    bool waiting;    /* for the answer */
    bool clean_gone; /* what was never to be sent in postcopy is released: `held` says what is here */
    uint32_t number; /* of the last ping */
    uint32_t answer; /* atomic */
    bool warned;
} Release;

static Release *rel; /* atomic for the main thread */
static bool released; /* anything, ever; atomic */

bool ram_save_released(void)
{
    return __atomic_load_n(&released, __ATOMIC_ACQUIRE);
}

/* J4; nor what is not ours to change. */
static bool may_release(const RamBlock *block)
{
    struct stat st;
    if (block->host_readonly || ram_block_ignored(block)) {
        return false;
    }
    return block->fd < 0 || !block->shared || (fstat(block->fd, &st) == 0 && st.st_nlink == 0);
}

static void give_back(const RamBlock *block, uint64_t page, uint64_t n)
{
    bool file = block->fd >= 0 && block->shared;
    __atomic_store_n(&released, true, __ATOMIC_RELEASE);
    if (madvise(block->host + page * GUEST_PAGE_SIZE, n * GUEST_PAGE_SIZE,
                file ? MADV_REMOVE : MADV_DONTNEED) < 0 &&
        !rel->warned) {
        rel->warned = true;
        warn_report("release-ram: RAM block %s cannot be given back to the host: %s", block->idstr,
                    g_strerror(errno));
    }
}

/* Those pages of a range that are held. */
static void release_range(SaveBlock *sb, uint64_t page, uint64_t n)
{
    uint64_t end = page + n;
    while ((page = bitmap_find_next(sb->held, end, page)) < end) {
        uint64_t to = bitmap_find_next_zero(sb->held, end, page);
        bitmap_clear(sb->held, page, to - page);
        give_back(sb->block, page, to - page);
        page = to;
    }
}

void ram_release_begin(void)
{
    if (!migration_capability(MIGRATION_CAPABILITY_RELEASE_RAM)) {
        return;
    }
    Release *new = g_new0(Release, 1);
    __atomic_store_n(&rel, new, __ATOMIC_RELEASE);
    rel->sent = g_array_new(FALSE, FALSE, sizeof(Range));
    rel->asked = g_array_new(FALSE, FALSE, sizeof(Range));
    rel->number = rel->answer = PING_RELEASE;
    rel->bytes = STEP_BYTES; /* what is clean: the first ping goes out at once */
    for (unsigned i = 0; i < ram_save->n; i++) {
        SaveBlock *sb = &ram_save->blocks[i];
        if (may_release(sb->block)) {
            sb->held = g_memdup2(sb->todo_bitmap, BITS_TO_LONGS(sb->pages) * sizeof(unsigned long));
        }
    }
}

void ram_release_sent(SaveBlock *sb, uint64_t page, uint64_t n)
{
    if (!rel || !sb->held) {
        return;
    }
    Range *last = rel->sent->len ? &g_array_index(rel->sent, Range, rel->sent->len - 1) : NULL;
    if (last && last->sb == sb && last->page + last->n == page) {
        last->n += n;
    } else {
        const Range range = { sb, page, n };
        g_array_append_val(rel->sent, range);
    }
    rel->bytes += n * GUEST_PAGE_SIZE;
}

/* What stood still since before postcopy, and what is `held` is all but that. */
static void release_clean(void)
{
    for (unsigned i = 0; i < ram_save->n; i++) {
        SaveBlock *sb = &ram_save->blocks[i];
        uint64_t page = 0;
        while (sb->held && (page = bitmap_find_next_zero(sb->held, sb->pages, page)) < sb->pages) {
            uint64_t end = bitmap_find_next(sb->held, sb->pages, page);
            give_back(sb->block, page, end - page);
            page = end;
        }
    }
    rel->clean_gone = true;
}

static void release_asked(void)
{
    if (!rel->clean_gone) {
        release_clean();
    }
    for (guint i = 0; i < rel->asked->len; i++) {
        const Range *r = &g_array_index(rel->asked, Range, i);
        release_range(r->sb, r->page, r->n);
    }
    g_array_set_size(rel->asked, 0);
}

void ram_release_step(MigrationOut *out, bool gone)
{
    if (!rel || !gone) { /* J2 */
        return;
    }
    if (rel->waiting && __atomic_load_n(&rel->answer, __ATOMIC_ACQUIRE) == rel->number) {
        rel->waiting = false;
        release_asked(); /* J1 */
    }
    if (!rel->waiting && rel->bytes >= STEP_BYTES) {
        GArray *empty = rel->asked;
        rel->asked = rel->sent;
        rel->sent = empty;
        rel->bytes = 0;
        rel->waiting = true;
        rel->number = PING_RELEASE | ((rel->number + 1) & PING_RELEASE_COUNT);
        sections_write_ping(out, rel->number);
    }
}

void ram_release_answered(uint32_t value)
{
    Release *r = __atomic_load_n(&rel, __ATOMIC_ACQUIRE);
    if (r && (value & ~(uint32_t)PING_RELEASE_COUNT) == PING_RELEASE) {
        __atomic_store_n(&r->answer, value, __ATOMIC_RELEASE);
    }
}

bool ram_release_has_missing(const SaveBlock *sb, GError **error)
{
    if (!rel || !rel->clean_gone || !sb->held) {
        return true;
    }
    for (uint64_t page = 0; page < sb->pages; page += BITS_PER_LONG) {
        unsigned long lost = sb->todo_bitmap[page / BITS_PER_LONG] & ~sb->held[page / BITS_PER_LONG];
        if (lost) {
            return error_set(error,
                             "page 0x%" PRIx64 ", which the destination had and release-ram has given "
                             "back to the host, is missing there",
                             (page + __builtin_ctzl(lost)) * GUEST_PAGE_SIZE);
        }
    }
    return true;
}

void ram_release_recovered(bool gone)
{
    if (!rel) {
        return;
    }
    g_array_set_size(rel->asked, 0);
    g_array_set_size(rel->sent, 0);
    rel->waiting = false;
    for (unsigned i = 0; i < ram_save->n; i++) {
        SaveBlock *sb = &ram_save->blocks[i];
        uint64_t page = 0;
        if (sb->held && !rel->clean_gone) {
            memcpy(sb->held, sb->todo_bitmap, BITS_TO_LONGS(sb->pages) * sizeof(unsigned long));
            continue;
        }
        while (sb->held && (page = bitmap_find_next_zero(sb->todo_bitmap, sb->pages, page)) < sb->pages) {
            uint64_t end = bitmap_find_next(sb->todo_bitmap, sb->pages, page);
            release_range(sb, page, end - page);
            page = end;
        }
    }
    if (gone && !rel->clean_gone) {
        release_clean();
    }
    rel->bytes = STEP_BYTES;
}

void ram_release_all(void)
{
    for (unsigned i = 0; rel && i < ram_save->n; i++) {
        SaveBlock *sb = &ram_save->blocks[i];
        if (sb->held) {
            give_back(sb->block, 0, sb->pages);
        }
    }
}

void ram_release_free(void)
{
    if (rel) {
        g_array_unref(rel->sent);
        g_array_unref(rel->asked);
        g_clear_pointer(&rel, g_free);
    }
}
