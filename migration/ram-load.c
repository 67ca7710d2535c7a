/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM on the destination. The stream is foreign: each offset is checked against its block before memory is
 * touched, and a page of a block that is not the guest's to write is refused.
 *
 * A large part of most streams is pages in a row, eight bytes of header before each. They are read where they
 * belong, headers apart, without a copy, on the guess that the row goes on.
 *
 * L1  Guesses go to pages whose content has not begun to come, so that nothing that has arrived is overwritten. A wrong
 *     one is undone by zeroing them.
 * L2  What was read after a header that is not the guessed one goes back to the reader in the right order.
 * L3  A page that this host has lost is replaced by a fresh one as long as all of its content is still to come; it is
 *     tried before the first byte goes there.
 */
#include "util/osdep.h"
#include "ram-load.h"

#include "mapped-ram.h"
#include "multifd.h"
#include "options.h"
#include "postcopy.h"
#include "protocol.h"
#include "util/bytes.h"
#include "util/bitmap.h"
#include "system/poison.h"
#include "system/ram.h"
#include "util/error.h"
#include "migration/xbzrle.h"
#include "migration/zero-page.h"

/* Pages that are guessed at once, at most; and in a row before the first guess. */
#define GUESS_MAX 128
#define GUESS_AFTER 8
#define HEADER 8
G_STATIC_ASSERT(GUESS_MAX *(HEADER + GUEST_PAGE_SIZE) <= VM_UNREAD_MAX);

typedef RamLoadBlock LoadBlock;

typedef struct RamLoad {
    LoadBlock *blocks;
    unsigned n;
    LoadBlock *current;
    uint64_t next; /* offset behind the last page, for the length of the row */
    unsigned in_row;
    bool listed; /* the list of blocks has come: sizes do not change any more */
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
    load->blocks[load->n++] =
        (LoadBlock){ .block = block,
                     .untouched = find_untouched(opaque, block),
                     .arrived = bitmap_new(block->max_size / GUEST_PAGE_SIZE) };
    return true;
}

static LoadBlock *load_block_of(const RamBlock *block)
{
    for (unsigned i = 0; load && i < load->n; i++) {
        if (load->blocks[i].block == block) {
            return &load->blocks[i];
        }
    }
    return NULL;
}

static RamContent content_of(const RamBlock *block, uint64_t offset)
{
    const LoadBlock *lb = load_block_of(block);
    if (!lb || block->not_migrated || ram_block_ignored(block)) {
        return RAM_CONTENT_KEPT;
    }
    uint64_t page = offset / GUEST_PAGE_SIZE;
    bool here = bitmap_test(lb->arrived, page) || (lb->received && bitmap_test(lb->received, page));
    return here ? RAM_CONTENT_HERE : RAM_CONTENT_COMES;
}

static void content_unwanted(const RamBlock *block, uint64_t offset)
{
    LoadBlock *lb = load_block_of(block);
    if (lb && lb->received) {
        bitmap_set_atomic(lb->received, offset / GUEST_PAGE_SIZE, block->page_size / GUEST_PAGE_SIZE);
    }
}

static const RamLoaderOps loader_ops = { content_of, content_unwanted };

bool ram_load_prepare(void *opaque, GError **error)
{
    unsigned n = 0;
    PageMap *map = page_map_open();
    load = g_new0(RamLoad, 1);
    ram_foreach(count_block, &n);
    load->blocks = g_new0(LoadBlock, n);
    ram_foreach(add_block, map);
    page_map_close(map);
    ram_poison_set_loader(&loader_ops);
    return true;
}

void ram_load_cleanup(void *opaque)
{
    if (!load) {
        return;
    }
    ram_poison_set_loader(NULL);
    for (unsigned i = 0; i < load->n; i++) {
        g_free(load->blocks[i].arrived);
        g_free(load->blocks[i].untouched);
        g_free(load->blocks[i].received);
        g_free(load->blocks[i].requested);
    }
    g_free(load->blocks);
    g_clear_pointer(&load, g_free);
}

bool ram_load_repair(const struct iovec *iov, unsigned n, GError **failure)
{
    g_autoptr(GError) why = NULL;
    if (!ram_poison_find(iov, n)) {
        return false;
    }
    if (!ram_poison_settle_load(&why)) {
        g_clear_error(failure);
        g_propagate_error(failure, g_steal_pointer(&why));
        return false;
    }
    g_clear_error(failure);
    return true;
}

bool ram_load_foreach(RamLoadFunc *func, void *opaque)
{
    for (unsigned i = 0; load && i < load->n; i++) {
        if (!func(&load->blocks[i], opaque)) {
            return false;
        }
    }
    return true;
}

void ram_load_restart(void)
{
    load->current = NULL;
    load->in_row = 0;
}

RamLoadBlock *ram_load_find(const char *name, GError **error)
{
    for (unsigned i = 0; load && i < load->n; i++) {
        LoadBlock *lb = &load->blocks[i];
        if (strcmp(lb->block->idstr, name) == 0) {
            if (lb->block->not_migrated) {
                error_set(error, "block %s should not be migrated", name);
                return NULL;
            }
            return lb;
        }
    }
    g_autofree char *shown = g_strescape(name, NULL);
    error_set(error, "Unknown ramblock \"%s\", cannot accept migration", shown);
    return NULL;
}

static LoadBlock *find_block(VmReader *r, const char *name)
{
    g_autoptr(GError) error = NULL;
    LoadBlock *lb = ram_load_find(name, &error);
    if (!lb) {
        vm_reader_fail(r, "%s", error->message);
    }
    return lb;
}

/* An error of a page's place, in the reader. */
static bool page_failed(VmReader *r, GError *error)
{
    vm_reader_fail(r, "%s", error->message);
    g_error_free(error);
    return false;
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
        if (size != lb->block->size && lb->block->resizable &&
            ram_block_resize(lb->block, size, NULL)) {
            g_clear_pointer(&lb->untouched, g_free); /* it was of the old size */
        }
        if (size != lb->block->size) {
            return vm_reader_fail(r, "Size mismatch: %s: 0x%" PRIx64 " != 0x%" PRIx64, name, size,
                                  lb->block->size);
        }
        if (postcopy_advised() && lb->block->page_size != GUEST_PAGE_SIZE &&
            vm_get_be64(r) != lb->block->page_size) {
            return vm_reader_fail(r, "RAM block %s has other pages here: 0x%zx bytes", name,
                                  lb->block->page_size);
        }
        if (migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED)) {
            vm_get_be64(r); /* where the guest sees it, which the devices' state tells as well */
        }
        GError *failure = NULL;
        if (migration_capability(MIGRATION_CAPABILITY_MAPPED_RAM) && !mapped_ram_load_block(r, lb, &failure)) {
            return page_failed(r, failure);
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
    g_autoptr(GError) error = NULL;
    uint8_t *host = ram_load_address(load->current, offset, &error);
    if (!host) {
        vm_reader_fail(r, "%s", error->message);
    }
    return host;
}

uint8_t *ram_load_address(RamLoadBlock *lb, uint64_t offset, GError **error)
{
    const RamBlock *block = lb->block;
    if (offset >= block->size || offset % GUEST_PAGE_SIZE) {
        error_set(error, "page 0x%" PRIx64 " is outside of RAM block %s", offset, block->idstr);
        return NULL;
    }
    if (block->host_readonly) {
        error_set(error, "RAM block %s is read-only", block->idstr);
        return NULL;
    }
    return block->host + offset;
}

void ram_load_touch(RamLoadBlock *lb, uint64_t offset)
{
    bitmap_set_atomic(lb->arrived, offset / GUEST_PAGE_SIZE, 1);
    if (lb->untouched && bitmap_test(lb->untouched, offset / GUEST_PAGE_SIZE)) {
        bitmap_test_and_clear_atomic(lb->untouched, offset / GUEST_PAGE_SIZE, 1);
    }
    if (lb->received) {
        bitmap_set(lb->received, offset / GUEST_PAGE_SIZE, 1); /* precopy: one thread */
    }
}

static void write_first_byte(void *opaque)
{
    *(volatile uint8_t *)opaque = 0;
}

static void make_zero(void *opaque)
{
    if (!page_is_zero(opaque)) {
        memset(opaque, 0, GUEST_PAGE_SIZE);
    }
}

/* L3: func writes to the page, which must not be one that is lost. */
static bool try_page(const LoadBlock *lb, uint64_t offset, void (*func)(void *opaque),
                     GError **error)
{
    RamBlock *block = lb->block;
    while (ram_page_poisoned(block, offset) || !ram_read_guarded(func, block->host + offset)) {
        if (!ram_poison_settle_load(error)) {
            return false;
        }
        if (ram_page_poisoned(block, offset)) {
            return error_set(
                error,
                "content for a page that the source had lost: RAM block '%s', offset 0x%" PRIx64,
                block->idstr, offset);
        }
    }
    return true;
}

bool ram_load_begin_page(RamLoadBlock *lb, uint64_t offset, GError **error)
{
    if (!try_page(lb, offset, write_first_byte, error)) {
        return false;
    }
    ram_load_touch(lb, offset);
    return true;
}

bool ram_load_zero(RamLoadBlock *lb, uint64_t offset, GError **error)
{
    bool untouched = lb->untouched && bitmap_test(lb->untouched, offset / GUEST_PAGE_SIZE);
    if (!(untouched && !ram_page_poisoned(lb->block, offset)) &&
        !try_page(lb, offset, make_zero, error)) {
        return false;
    }
    if (lb->received) {
        bitmap_set(lb->received, offset / GUEST_PAGE_SIZE, 1); /* looking has mapped it (K1) */
    }
    return true;
}

static bool load_fill(VmReader *r, uint8_t *host, uint64_t offset)
{
    uint8_t fill = vm_get_u8(r);
    if (!vm_reader_ok(r)) {
        return false;
    }
    GError *error = NULL;
    if (!fill) {
        return ram_load_zero(load->current, offset, &error) || page_failed(r, error);
    }
    if (!ram_load_begin_page(load->current, offset, &error)) {
        return page_failed(r, error);
    }
    memset(host, fill, GUEST_PAGE_SIZE);
    return true;
}

typedef struct Difference {
    const uint8_t *data;
    size_t len;
    uint8_t *host;
    volatile bool ok;
} Difference;

static void apply_difference(void *opaque)
{
    Difference *d = opaque;
    d->ok = xbzrle_decode(d->data, d->len, d->host, GUEST_PAGE_SIZE);
}

/* A page that is there, with changes. */
static bool load_difference(VmReader *r, uint8_t *host, uint64_t offset)
{
    uint8_t version = vm_get_u8(r), data[GUEST_PAGE_SIZE];
    size_t len = vm_get_be16(r);
    GError *error = NULL;
    if (!vm_reader_ok(r)) {
        return false;
    }
    if (version != XBZRLE_VERSION || len > sizeof(data)) {
        return vm_reader_fail(r, "an XBZRLE page of version %u and 0x%zx bytes", version, len);
    }
    if (!vm_get_bytes(r, data, len)) {
        return false;
    }
    if (ram_page_poisoned(load->current->block, offset)) {
        return vm_reader_fail(r,
                              "changes of a page that is lost: RAM block '%s', offset 0x%" PRIx64,
                              load->current->block->idstr, offset);
    }
    Difference d = { data, len, host, false };
    while (!ram_read_guarded(apply_difference, &d)) { /* settled: a fresh page, of zeros as the lost one had to be */
        if (!ram_poison_settle_load(&error)) {
            return page_failed(r, error);
        }
    }
    if (!d.ok) {
        return vm_reader_fail(r, "an XBZRLE page that is not well-formed");
    }
    ram_load_touch(load->current, offset);
    return true;
}

/* How many pages behind offset may be guessed (L1). In postcopy a page that is not there must be a hole (K1); a page that
 * is known to be lost is to be replaced first (L3). */
static unsigned guessable(const LoadBlock *lb, uint64_t offset)
{
    if (lb->received || load->in_row < GUESS_AFTER || multifd_recv_active()) {
        return 0;
    }
    uint64_t first = offset / GUEST_PAGE_SIZE + 1;
    uint64_t end = MIN(first + MIN(load->in_row, GUESS_MAX), lb->block->size / GUEST_PAGE_SIZE);
    if (end <= first || ram_range_poisoned(lb->block, first * GUEST_PAGE_SIZE, (end - first) * GUEST_PAGE_SIZE)) {
        return 0;
    }
    return bitmap_find_next(lb->arrived, end, first) - first;
}

/* A page that is known to come, and what is guessed to follow. */
typedef struct Guess {
    uint8_t *page;   /* the known one */
    uint64_t offset; /* of it in its block */
    size_t have;     /* bytes of it that are there */
    unsigned n;      /* pages behind it that are guessed */
    uint8_t headers[GUESS_MAX][HEADER];
} Guess;

/* L2: n bytes from header i on were something else, or are not all there yet. */
static void give_back(VmReader *r, Guess *g, unsigned i, size_t n)
{
    struct iovec iov[2 * GUESS_MAX];
    unsigned niov = 0;
    for (; n; i++) {
        size_t header = MIN(n, HEADER), page = MIN(n - header, GUEST_PAGE_SIZE);
        iov[niov++] = (struct iovec){ g->headers[i], header };
        iov[niov++] = (struct iovec){ g->page + (i + 1) * GUEST_PAGE_SIZE, page };
        n -= header + page;
    }
    vm_reader_unread(r, iov, niov);
    for (unsigned j = 1; j < niov; j += 2) {
        memset(iov[j].iov_base, 0, iov[j].iov_len);
    }
}

/* n bytes were read behind what there is of the known page. True if the guess was right as far as they go: the last page
 * of which there is something is the known one then. */
static bool check_guess(VmReader *r, Guess *g, size_t n)
{
    for (unsigned i = 0;; i++) {
        size_t missing = GUEST_PAGE_SIZE - g->have;
        if (n <= missing) {
            g->page += i * GUEST_PAGE_SIZE;
            g->have += n;
            return true;
        }
        n -= missing;
        uint64_t next = g->offset + GUEST_PAGE_SIZE;
        if (n < HEADER || load_be64(g->headers[i]) != (next | RAM_PAGE | RAM_CONTINUE)) {
            give_back(r, g, i, n);
            return false;
        }
        n -= HEADER;
        GError *error = NULL;
        if (n) {
            ram_load_touch(load->current, next);
        } else if (!ram_load_begin_page(load->current, next, &error)) { /* reading may have ended at a lost page (L3) */
            return page_failed(r, error);
        }
        load->next = next + GUEST_PAGE_SIZE;
        load->in_row++;
        g->offset = next;
        g->have = 0;
    }
}

/* The rest of a page, of which `have` bytes are there, and what may follow. */
static bool read_row(VmReader *r, uint8_t *host, size_t have, uint64_t offset)
{
    Guess g = { .page = host, .offset = offset, .have = have };
    struct iovec iov[1 + 2 * GUESS_MAX];
    size_t n;
    do {
        unsigned niov = 0;
        g.n = guessable(load->current, g.offset);
        if (!g.n && g.have == GUEST_PAGE_SIZE) {
            return true;
        }
        iov[niov++] = (struct iovec){ g.page + g.have, GUEST_PAGE_SIZE - g.have };
        for (unsigned i = 0; i < g.n; i++) {
            iov[niov++] = (struct iovec){ g.headers[i], HEADER };
            iov[niov++] = (struct iovec){ g.page + (i + 1) * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE };
        }
        n = vm_read_scattered(r, iov, niov);
    } while (n && check_guess(r, &g, n));
    return n > 0 || vm_get_bytes(r, g.page + g.have, GUEST_PAGE_SIZE - g.have);
}

static bool load_page(VmReader *r, uint8_t *host, uint64_t offset)
{
    LoadBlock *lb = load->current;
    load->in_row = offset == load->next ? load->in_row + 1 : 0;
    load->next = offset + GUEST_PAGE_SIZE;
    GError *error = NULL;
    if (!ram_load_begin_page(lb, offset, &error)) {
        return page_failed(r, error);
    }
    size_t have = vm_take_buffered(r, host, GUEST_PAGE_SIZE);
    if (have == GUEST_PAGE_SIZE) {
        return true;
    }
    return guessable(lb, offset) ? read_row(r, host, have, offset)
                                 : vm_get_bytes(r, host + have, GUEST_PAGE_SIZE - have);
}

/* A page that the guest may be waiting for. */
static bool load_staged(VmReader *r, uint64_t offset, unsigned flags, GError **error)
{
    if (!page_address(r, offset, flags)) {
        return vm_reader_check(r, error);
    }
    bool zero = flags & (RAM_ZERO | RAM_LOST);
    if (flags & RAM_XBZRLE) {
        return error_set(error, "an XBZRLE page in postcopy");
    }
    uint8_t *stage = postcopy_stage(load->current, offset, error);
    if (!stage) {
        return false;
    }
    if (flags & RAM_LOST) {
        memset(stage, 0, GUEST_PAGE_SIZE);
        postcopy_stage_lost(load->current, offset);
    } else if (zero) {
        uint8_t fill = vm_get_u8(r);
        memset(stage, fill, GUEST_PAGE_SIZE);
        zero = fill == 0;
    } else {
        vm_get_bytes(r, stage, GUEST_PAGE_SIZE);
    }
    return vm_reader_check(r, error) && postcopy_staged(load->current, offset, zero, error);
}

/* Items that are about one page. */
#define PAGE_ITEMS (RAM_ZERO | RAM_PAGE | RAM_XBZRLE | RAM_LOST)

/* A page, before the guest runs here. */
static void load_in_place(VmReader *r, uint64_t offset, unsigned flags)
{
    uint8_t *host = page_address(r, offset, flags);
    if (!host) {
        return;
    }
    switch (flags & ~RAM_CONTINUE) {
    case RAM_ZERO:
        load_fill(r, host, offset);
        break;
    case RAM_PAGE:
        load_page(r, host, offset);
        break;
    case RAM_XBZRLE:
        load_difference(r, host, offset);
        break;
    default:
        vm_reader_fail(r, "RAM flags 0x%x are not supported", flags);
    }
}

static bool load_flush(GError **error)
{
    if (!multifd_recv_active()) {
        return error_set(error, "the source uses multifd, which is off here");
    }
    if (!load->listed) {
        return error_set(error, "multifd before the list of RAM blocks");
    }
    return multifd_recv_sync(error);
}

bool ram_load(VmReader *r, void *opaque, int version, GError **error)
{
    if (version != RAM_SECTION_VERSION) {
        return error_set(error, "version %d of the section is not supported", version);
    }
    for (;;) {
        uint64_t item = vm_get_be64(r), offset = item & ~(uint64_t)RAM_FLAGS;
        unsigned flags = item & RAM_FLAGS;
        if (!vm_reader_check(r, error)) {
            return false;
        }
        switch (flags & PAGE_ITEMS ? PAGE_ITEMS : flags & ~RAM_CONTINUE) {
        case PAGE_ITEMS:
            if (!postcopy_listening()) {
                load_in_place(r, offset, flags);
            } else if (!load_staged(r, offset, flags, error)) {
                return false;
            }
            break;
        case RAM_MEM_SIZE:
            if (load->listed) {
                return error_set(error, "the list of RAM blocks comes twice, or too late");
            }
            load_sizes(r, offset);
            load->listed = true;
            break;
        case RAM_MULTIFD_FLUSH:
            if (!load_flush(error)) {
                return false;
            }
            break;
        case RAM_EOS:
            load->listed = true;
            return !multifd_recv_active() || !migration_flush_each_section() || multifd_recv_sync(error);
        default:
            return error_set(error, "RAM flags 0x%x are not supported", flags);
        }
    }
}
