/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM on the destination. The stream is foreign: each offset is checked against its block before memory is
 * touched, and a page of a block that is not the guest's to write is refused.
 *
 * A large part of most streams is pages in a row, eight bytes of header before each. They are read where they
 * belong, headers apart, without a copy, on the guess that the row goes on.
 *
 * L1  Guesses go to pages that nobody ever wrote, so that a wrong one is undone by zeroing them.
 * L2  What was read after a header that is not the guessed one goes back to the reader in the right order.
 */
#include "util/osdep.h"
#include "ram.h"

#include "options.h"
#include "protocol.h"
#include "util/bytes.h"
#include "util/bitmap.h"
#include "system/ram.h"
#include "util/error.h"
#include "zero-page.h"

/* Pages that are guessed at once, at most; and in a row before the first guess. */
#define GUESS_MAX 32
#define GUESS_AFTER 8
#define HEADER 8
G_STATIC_ASSERT(GUESS_MAX * (HEADER + GUEST_PAGE_SIZE) <= VM_UNREAD_MAX);

typedef struct LoadBlock {
    RamBlock *block;
    unsigned long *untouched; /* pages that nobody ever wrote: zero already. NULL: unknown */
} LoadBlock;

typedef struct RamLoad {
    LoadBlock *blocks;
    unsigned n;
    LoadBlock *current;
    uint64_t next;   /* offset behind the last page, for the length of the row */
    unsigned in_row;
} RamLoad;

static RamLoad *load;

static bool count_block(RamBlock *block, void *opaque)
{
    ++*(unsigned *)opaque;
    return true;
}

/* What of the block was never written. */
static unsigned long *find_untouched(PageMap *map, const RamBlock *block)
{
    const unsigned chunk = 4096;
    uint64_t pages = block->size / GUEST_PAGE_SIZE;
    if (!map || !page_map_covers(block)) {
        return NULL;
    }
    unsigned long *bits = bitmap_new(pages);
    for (uint64_t page = 0; page < pages; page += chunk) {
        page_map_untouched(map, block, page * GUEST_PAGE_SIZE, MIN(chunk, pages - page),
                           bits + page / BITS_PER_LONG);
    }
    return bits;
}

static bool add_block(RamBlock *block, void *opaque)
{
    load->blocks[load->n++] = (LoadBlock){ block, find_untouched(opaque, block) };
    return true;
}

bool ram_load_prepare(void *opaque, GError **error)
{
    unsigned n = 0;
    PageMap *map = page_map_open();
    load = g_new0(RamLoad, 1);
    ram_foreach(count_block, &n);
    load->blocks = g_new0(LoadBlock, n);
    ram_foreach(add_block, map);
    page_map_close(map);
    return true;
}

void ram_load_cleanup(void *opaque)
{
    if (!load) {
        return;
    }
    for (unsigned i = 0; i < load->n; i++) {
        g_free(load->blocks[i].untouched);
    }
    g_free(load->blocks);
    g_clear_pointer(&load, g_free);
}

static LoadBlock *find_block(VmReader *r, const char *name)
{
    for (unsigned i = 0; i < load->n; i++) {
        LoadBlock *lb = &load->blocks[i];
        if (strcmp(lb->block->idstr, name) == 0) {
            if (lb->block->not_migrated) {
                vm_reader_fail(r, "block %s should not be migrated", name);
                return NULL;
            }
            return lb;
        }
    }
    g_autofree char *shown = g_strescape(name, NULL);
    vm_reader_fail(r, "Unknown ramblock \"%s\", cannot accept migration", shown);
    return NULL;
}

/* The list of blocks: all that the source has, with the sizes that we have. */
static bool load_sizes(VmReader *r, uint64_t total)
{
    while (total) {
        char name[256];
        if (!vm_get_counted_string(r, name)) {
            return false;
        }
        uint64_t size = vm_get_be64(r);
        if (!vm_reader_ok(r)) {
            return false;
        }
        LoadBlock *lb = find_block(r, name);
        if (!lb) {
            return false;
        }
        if (size != lb->block->size && lb->block->resizable && ram_block_resize(lb->block, size, NULL)) {
            g_clear_pointer(&lb->untouched, g_free); /* it was of the old size */
        }
        if (size != lb->block->size) {
            return vm_reader_fail(r, "Size mismatch: %s: 0x%" PRIx64 " != 0x%" PRIx64, name, size,
                                  lb->block->size);
        }
        if (migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED)) {
            vm_get_be64(r); /* where the guest sees it, which the devices' state tells as well */
        }
        if (size > total) {
            return vm_reader_fail(r, "the sizes of the RAM blocks are more than their total");
        }
        total -= size;
    }
    return vm_reader_ok(r);
}

/* Where a page goes; NULL with the error. */
static uint8_t *page_address(VmReader *r, uint64_t offset, unsigned flags)
{
    char name[256];
    if (!(flags & RAM_CONTINUE)) {
        load->current = vm_get_counted_string(r, name) ? find_block(r, name) : NULL;
    } else if (!load->current) {
        vm_reader_fail(r, "a RAM page without the name of its block");
    }
    if (!load->current || !vm_reader_ok(r)) {
        return NULL;
    }
    const RamBlock *block = load->current->block;
    if (offset >= block->size) {
        vm_reader_fail(r, "page 0x%" PRIx64 " is outside of RAM block %s", offset, block->idstr);
        return NULL;
    }
    if (block->host_readonly) {
        vm_reader_fail(r, "RAM block %s is read-only", block->idstr);
        return NULL;
    }
    return block->host + offset;
}

static bool load_fill(VmReader *r, uint8_t *host, uint64_t offset)
{
    uint8_t fill = vm_get_u8(r);
    const LoadBlock *lb = load->current;
    if (!vm_reader_ok(r)) {
        return false;
    }
    if (fill) {
        memset(host, fill, GUEST_PAGE_SIZE);
    } else if (!(lb->untouched && bitmap_test(lb->untouched, offset / GUEST_PAGE_SIZE)) &&
               !page_is_zero(host)) {
        memset(host, 0, GUEST_PAGE_SIZE);
        return true;
    }
    if (fill && lb->untouched) {
        bitmap_clear(lb->untouched, offset / GUEST_PAGE_SIZE, 1);
    }
    return true;
}

static void touch(LoadBlock *lb, uint64_t offset)
{
    if (lb->untouched) {
        bitmap_clear(lb->untouched, offset / GUEST_PAGE_SIZE, 1);
    }
}

/* How many pages behind offset may be guessed (L1). */
static unsigned guessable(const LoadBlock *lb, uint64_t offset)
{
    if (!lb->untouched || load->in_row < GUESS_AFTER) {
        return 0;
    }
    uint64_t first = offset / GUEST_PAGE_SIZE + 1;
    uint64_t end = MIN(first + MIN(load->in_row, GUESS_MAX), lb->block->size / GUEST_PAGE_SIZE);
    return bitmap_find_next_zero(lb->untouched, end, first) - first;
}

typedef struct Guess {
    uint8_t *page; /* where the first one goes */
    uint64_t offset;
    unsigned n;
    uint8_t headers[GUESS_MAX][HEADER];
} Guess;

/* L2: n bytes from the header of guess i on were something else, or are not all there yet. */
static void give_back(VmReader *r, Guess *g, unsigned i, size_t n)
{
    struct iovec iov[2 * GUESS_MAX];
    unsigned niov = 0;
    for (; n; i++) {
        size_t header = MIN(n, HEADER), page = MIN(n - header, GUEST_PAGE_SIZE);
        iov[niov++] = (struct iovec){ g->headers[i], header };
        iov[niov++] = (struct iovec){ g->page + i * GUEST_PAGE_SIZE, page };
        n -= header + page;
    }
    vm_reader_unread(r, iov, niov);
    for (unsigned j = 1; j < niov; j += 2) {
        memset(iov[j].iov_base, 0, iov[j].iov_len);
    }
}

/* n bytes were read into headers and pages. */
static bool check_guess(VmReader *r, Guess *g, size_t n)
{
    for (unsigned i = 0; n; i++) {
        uint64_t offset = g->offset + i * GUEST_PAGE_SIZE;
        if (n < HEADER || load_be64(g->headers[i]) != (offset | RAM_PAGE | RAM_CONTINUE)) {
            give_back(r, g, i, n);
            return true;
        }
        n -= HEADER;
        touch(load->current, offset);
        load->next = offset + GUEST_PAGE_SIZE;
        load->in_row++;
        if (n < GUEST_PAGE_SIZE) {
            return vm_get_bytes(r, g->page + i * GUEST_PAGE_SIZE + n, GUEST_PAGE_SIZE - n);
        }
        n -= GUEST_PAGE_SIZE;
    }
    return true;
}

/* The rest of a page, of which `have` bytes are there, and what may follow. */
static bool read_row(VmReader *r, uint8_t *host, size_t have, uint64_t offset, unsigned guesses)
{
    Guess g = { .page = host + GUEST_PAGE_SIZE, .offset = offset + GUEST_PAGE_SIZE, .n = guesses };
    struct iovec iov[1 + 2 * GUESS_MAX];
    unsigned niov = 0;
    iov[niov++] = (struct iovec){ host + have, GUEST_PAGE_SIZE - have };
    for (unsigned i = 0; i < guesses; i++) {
        iov[niov++] = (struct iovec){ g.headers[i], HEADER };
        iov[niov++] = (struct iovec){ g.page + i * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE };
    }
    size_t n = vm_read_scattered(r, iov, niov);
    if (n < GUEST_PAGE_SIZE - have) {
        return vm_get_bytes(r, host + have + n, GUEST_PAGE_SIZE - have - n);
    }
    return check_guess(r, &g, n - (GUEST_PAGE_SIZE - have));
}

static bool load_page(VmReader *r, uint8_t *host, uint64_t offset)
{
    LoadBlock *lb = load->current;
    load->in_row = offset == load->next ? load->in_row + 1 : 0;
    load->next = offset + GUEST_PAGE_SIZE;
    touch(lb, offset);
    size_t have = vm_take_buffered(r, host, GUEST_PAGE_SIZE);
    if (have == GUEST_PAGE_SIZE) {
        return true;
    }
    unsigned guesses = guessable(lb, offset);
    if (!guesses) {
        return vm_get_bytes(r, host + have, GUEST_PAGE_SIZE - have);
    }
    return read_row(r, host, have, offset, guesses);
}

bool ram_load(VmReader *r, void *opaque, int version, GError **error)
{
    if (version != RAM_SECTION_VERSION) {
        return error_set(error, "version %d of the section is not supported", version);
    }
    while (vm_reader_ok(r)) {
        uint64_t item = vm_get_be64(r), offset = item & ~(uint64_t)RAM_FLAGS;
        unsigned flags = item & RAM_FLAGS;
        if (!vm_reader_ok(r)) {
            break;
        }
        uint8_t *host;
        switch (flags & ~RAM_CONTINUE) {
        case RAM_MEM_SIZE:
            load_sizes(r, offset);
            break;
        case RAM_ZERO:
            host = page_address(r, offset, flags);
            if (host) {
                load_fill(r, host, offset);
            }
            break;
        case RAM_PAGE:
            host = page_address(r, offset, flags);
            if (host) {
                load_page(r, host, offset);
            }
            break;
        case RAM_EOS:
            return true;
        default:
            vm_reader_fail(r, "RAM flags 0x%x are not supported", flags);
            break;
        }
    }
    return vm_reader_check(r, error);
}
