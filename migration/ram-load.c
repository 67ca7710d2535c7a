/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM on the destination. The stream is foreign: each offset is checked against its block before memory is
 * touched, and a page of a block that is not the guest's to write is refused.
 */
#include "util/osdep.h"
#include "ram.h"

#include "options.h"
#include "protocol.h"
#include "util/bitmap.h"
#include "util/error.h"
#include "zero-page.h"

typedef struct LoadBlock {
    RamBlock *block;
    unsigned long *untouched; /* pages that nobody ever wrote: zero already. NULL: unknown */
} LoadBlock;

typedef struct RamLoad {
    LoadBlock *blocks;
    unsigned n;
    LoadBlock *current;
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
        const LoadBlock *lb = find_block(r, name);
        if (!lb) {
            return false;
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

static bool load_page(VmReader *r, uint8_t *host, uint64_t offset)
{
    if (load->current->untouched) {
        bitmap_clear(load->current->untouched, offset / GUEST_PAGE_SIZE, 1);
    }
    return vm_get_bytes(r, host, GUEST_PAGE_SIZE);
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
