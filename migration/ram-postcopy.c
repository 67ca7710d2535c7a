/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM on the source while the guest runs on the destination: what it waits for goes first, the rest in the background.
 * The guest does not run here any more, so that memory stands still.
 *
 * U1  A page of a block is sent whole and in order, with nothing of another in between: the destination puts it
 *     together before anybody sees it.
 * U2  A page is copied before its header goes out: one that cannot be read any more must not have been called a page.
 *     The list of lost pages has gone out already, so that each one is named in its place.
 */
#include "util/osdep.h"
#include "ram-save.h"

#include "out.h"
#include "protocol.h"
#include "ram-release.h"
#include "sections.h"
#include "system/poison.h"
#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/error.h"

/* A destination asks once for each page that somebody waits for; there are not so many who can. */
#define REQUESTS_MAX 65536

typedef struct Request {
    SaveBlock *sb;
    uint64_t page, n;
} Request;

static uint64_t request_count; /* atomic */
static unsigned waiting;       /* atomic */

bool ram_save_requested(void)
{
    return __atomic_load_n(&waiting, __ATOMIC_ACQUIRE) > 0;
}

uint64_t ram_save_request_count(void)
{
    return __atomic_load_n(&request_count, __ATOMIC_RELAXED);
}

void ram_save_free_requests(void)
{
    Request *r;
    while ((r = g_queue_pop_head(&ram_save->requests))) {
        g_free(r);
    }
    __atomic_store_n(&waiting, 0, __ATOMIC_RELEASE);
}

static SaveBlock *find_block(const char *name, GError **error)
{
    for (unsigned i = 0; i < ram_save->n; i++) {
        if (strcmp(ram_save->blocks[i].block->idstr, name) == 0) {
            return &ram_save->blocks[i];
        }
    }
    g_autofree char *shown = g_strescape(name, NULL);
    error_set(error, "there is no RAM block '%s'", shown);
    return NULL;
}

bool ram_save_request(const char *name, uint64_t start, uint64_t len, GError **error)
{
    SaveBlock *sb = find_block(name, error);
    if (!sb) {
        return false;
    }
    uint64_t size = sb->block->size;
    if (!ram_save->postcopy || !len || start > size || len > size - start ||
        (start | len) % sb->block->page_size) {
        return error_set(error, "0x%" PRIx64 " bytes at 0x%" PRIx64 " of RAM block '%s'", len,
                         start, name);
    }
    if (__atomic_load_n(&waiting, __ATOMIC_RELAXED) >= REQUESTS_MAX) {
        return error_set(error, "too many requests at once");
    }
    Request request = { sb, start / GUEST_PAGE_SIZE, len / GUEST_PAGE_SIZE };
    pthread_mutex_lock(&ram_save->lock);
    g_queue_push_tail(&ram_save->requests, g_memdup2(&request, sizeof(request)));
    __atomic_fetch_add(&waiting, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&ram_save->lock);
    __atomic_fetch_add(&request_count, 1, __ATOMIC_RELAXED);
    return true;
}

/* ---- lost pages ----------------------------------------------------------------------------------------------------- */

static LostAnswer lost_answer(void)
{
    return ram_save ? __atomic_load_n(&ram_save->lost_answer, __ATOMIC_ACQUIRE) : LOST_NOT_ASKED;
}

static void set_lost_answer(LostAnswer answer)
{
    if (ram_save) {
        __atomic_store_n(&ram_save->lost_answer, answer, __ATOMIC_RELEASE);
    }
}

void ram_save_lost_asked(void)
{
    set_lost_answer(LOST_ASKED);
}

void ram_save_lost_answered(bool knows)
{
    if (lost_answer() == LOST_ASKED) {
        set_lost_answer(knows ? LOST_KNOWN : LOST_UNKNOWN);
    }
}

bool ram_save_lost_unanswered(void)
{
    return lost_answer() == LOST_ASKED;
}

/* Zeros, where the guest does not know better. */
static void warn_lost(const SaveBlock *sb, uint64_t offset)
{
    uint64_t page = offset / sb->block->page_size * sb->block->page_size;
    if (ram_save->lost_block == sb->block && ram_save->lost_page == page) {
        return;
    }
    ram_save->lost_block = sb->block;
    ram_save->lost_page = page;
    warn_report("postcopy: this host has lost a page of guest memory, and the destination does not "
                "take notice of such pages: the guest finds zeros there: RAM block '%s', offset 0x%" PRIx64,
                sb->block->idstr, page);
}

bool ram_save_postcopy_page(MigrationOut *out, const SaveBlock *sb, uint64_t offset, bool zero)
{
    const RamBlock *block = sb->block;
    bool lost = ram_page_poisoned(block, offset);
    if (!lost && !zero) {
        lost = ram_copy_or_zero(ram_save->page_copy, block, offset, GUEST_PAGE_SIZE) > 0; /* U2 */
    }
    if (lost && lost_answer() == LOST_KNOWN) {
        ram_save_put_header(out, sb, offset, RAM_LOST);
        return false;
    }
    if (lost) {
        warn_lost(sb, offset);
    }
    if (lost || zero) {
        ram_save_put_zero(out, sb, offset);
        return false;
    }
    ram_save_put_header(out, sb, offset, RAM_PAGE);
    out_put_bytes(out, ram_save->page_copy, GUEST_PAGE_SIZE);
    return true;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

/* Those of the n pages from page on that are still to be sent. U1: n is a whole number of the block's pages. */
static void send_range(MigrationOut *out, SaveBlock *sb, uint64_t page, uint64_t n)
{
    uint64_t first = page, end = MIN(page + n, sb->pages);
    while (page < end && out_ok(out)) {
        unsigned bit = page % BITS_PER_LONG, count = MIN(end - page, BITS_PER_LONG - bit);
        unsigned long mask = (count == BITS_PER_LONG ? ~0ul : (1ul << count) - 1) << bit;
        unsigned long bits = sb->todo_bitmap[page / BITS_PER_LONG] & mask;
        if (bits) {
            ram_save_word(out, sb, page - bit, bits);
        }
        page += count;
    }
    if (out_ok(out)) {
        ram_release_sent(sb, first, end - first);
    }
}

static void send_requested(MigrationOut *out)
{
    while (ram_save_requested() && out_ok(out)) {
        pthread_mutex_lock(&ram_save->lock);
        g_autofree Request *r = g_queue_pop_head(&ram_save->requests);
        pthread_mutex_unlock(&ram_save->lock);
        if (!r) {
            break;
        }
        send_range(out, r->sb, r->page, r->n);
        __atomic_fetch_sub(&waiting, 1, __ATOMIC_RELEASE);
        /* The guest goes on nearby, probably. */
        ram_save->at = r->sb - ram_save->blocks;
        ram_save->page = r->page;
    }
}

bool ram_save_postcopy_pages(MigrationOut *out, uint64_t budget)
{
    uint64_t end_at = out_tell(out) + budget;
    unsigned ends = 0;
    send_requested(out);
    while (ram_save_remaining() && ends < 2 && out_ok(out) && out_tell(out) < end_at) {
        SaveBlock *sb = &ram_save->blocks[ram_save->at];
        uint64_t page = bitmap_find_next(sb->todo_bitmap, sb->pages, ram_save->page);
        if (page >= sb->pages) {
            ram_save->page = 0;
            ram_save->at = (ram_save->at + 1) % ram_save->n;
            ends += ram_save->at == 0;
            continue;
        }
        uint64_t unit = MAX(sb->block->page_size / GUEST_PAGE_SIZE, 16);
        ram_save->page = (page / unit + 1) * unit;
        send_range(out, sb, page / unit * unit, unit);
        if (ram_save_requested()) {
            break;
        }
    }
    return ram_save_remaining() > 0;
}

/* ---- beginning ------------------------------------------------------------------------------------------------------ */

uint64_t ram_save_page_sizes(void)
{
    uint64_t sizes = 0;
    for (unsigned i = 0; i < ram_save->n; i++) {
        if (!ram_block_ignored(ram_save->blocks[i].block)) {
            sizes |= ram_save->blocks[i].block->page_size;
        }
    }
    return sizes;
}

/* A page of the block of which a part is to be sent is sent as a whole. */
static void round_block(SaveBlock *sb)
{
    uint64_t unit = sb->block->page_size / GUEST_PAGE_SIZE, page = 0;
    if (unit == 1) {
        return;
    }
    while ((page = bitmap_find_next(sb->todo_bitmap, sb->pages, page)) < sb->pages) {
        uint64_t first = page / unit * unit, before = 0;
        for (uint64_t i = first; i < first + unit; i++) {
            before += bitmap_test(sb->todo_bitmap, i);
        }
        bitmap_set(sb->todo_bitmap, first, unit);
        ram_save_add_remaining((unit - before) * GUEST_PAGE_SIZE);
        page = first + unit;
    }
}

typedef struct Discard {
    uint8_t data[1 + 256 + 1 + 16 * DISCARD_RANGES_MAX];
    size_t head, len;
} Discard;

static void flush_discard(MigrationOut *out, Discard *d)
{
    if (d->len > d->head) {
        sections_write_command(out, COMMAND_POSTCOPY_DISCARD, d->data, d->len);
    }
    d->len = d->head;
}

static void discard_block(MigrationOut *out, const SaveBlock *sb)
{
    Discard d = { .data = { 0 } };
    size_t name = strlen(sb->block->idstr);
    d.data[1] = name;
    memcpy(d.data + 2, sb->block->idstr, name); /* and a zero byte */
    d.head = d.len = 2 + name + 1;
    for (uint64_t page = 0; (page = bitmap_find_next(sb->todo_bitmap, sb->pages, page)) < sb->pages;) {
        uint64_t end = bitmap_find_next_zero(sb->todo_bitmap, sb->pages, page);
        store_be64(d.data + d.len, page * GUEST_PAGE_SIZE);
        store_be64(d.data + d.len + 8, (end - page) * GUEST_PAGE_SIZE);
        d.len += 16;
        if (d.len == d.head + 16 * DISCARD_RANGES_MAX) {
            flush_discard(out, &d);
        }
        page = end;
    }
    flush_discard(out, &d);
}

void ram_save_postcopy_begin(MigrationOut *out)
{
    __atomic_store_n(&request_count, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < ram_save->n; i++) {
        round_block(&ram_save->blocks[i]);
        discard_block(out, &ram_save->blocks[i]);
    }
    ram_save->postcopy = true;
    ram_release_begin();
}

/* ---- recovery --------------------------------------------------------------------------------------------------------- */

void ram_save_recover(MigrationOut *out)
{
    pthread_mutex_lock(&ram_save->lock);
    ram_save_free_requests(); /* they are asked for again */
    unsigned left = 0;
    for (unsigned i = 0; i < ram_save->n; i++) {
        SaveBlock *sb = &ram_save->blocks[i];
        sb->arrived = ram_block_ignored(sb->block);
        left += !sb->arrived;
    }
    __atomic_store_n(&ram_save->recover_left, left, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&ram_save->lock);
    for (unsigned i = 0; i < ram_save->n; i++) {
        const char *name = ram_save->blocks[i].block->idstr;
        uint8_t data[256];
        if (!ram_save->blocks[i].arrived) {
            data[0] = strlen(name);
            memcpy(data + 1, name, data[0]);
            sections_write_command(out, COMMAND_RECV_BITMAP, data, 1 + data[0]);
        }
    }
}

bool ram_save_recovering(void)
{
    return __atomic_load_n(&ram_save->recover_left, __ATOMIC_ACQUIRE) > 0;
}

/* The block that lacks an answer of so many bytes. */
static SaveBlock *find_unanswered(const char *name, uint64_t len, GError **error)
{
    SaveBlock *sb = find_block(name, error);
    if (sb && (!ram_save_recovering() || sb->arrived || len != (sb->pages + 63) / 64 * 8)) {
        error_set(error, "0x%" PRIx64 " bytes for RAM block '%s', which was not asked for", len, name);
        return NULL;
    }
    return sb;
}

bool ram_save_expects_bitmap(const char *name, uint64_t len, GError **error)
{
    return find_unanswered(name, len, error) != NULL;
}

bool ram_save_arrived(const char *name, const uint8_t *bits, uint64_t len, GError **error)
{
    SaveBlock *sb = find_unanswered(name, len, error);
    if (!sb) {
        return false;
    }
    int64_t before = bitmap_count(sb->todo_bitmap, sb->pages);
    for (uint64_t page = 0; page < sb->pages; page += 64) {
        uint64_t word, left = sb->pages - page;
        memcpy(&word, bits + page / 8, 8);
        word = ~GUINT64_FROM_LE(word);
        sb->todo_bitmap[page / BITS_PER_LONG] = left >= 64 ? word : word & ((UINT64_C(1) << left) - 1);
    }
    ram_save_add_remaining(((int64_t)bitmap_count(sb->todo_bitmap, sb->pages) - before) *
                           (int64_t)GUEST_PAGE_SIZE);
    if (!ram_release_has_missing(sb, error)) {
        return false;
    }
    sb->arrived = true;
    __atomic_fetch_sub(&ram_save->recover_left, 1, __ATOMIC_RELEASE);
    return true;
}
