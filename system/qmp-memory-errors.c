/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x-query-memory-errors, and the test hook x-poison-page. */
#include "util/osdep.h"
#include "system/poison.h"

#include <sys/mman.h>

#include "monitor/hmp.h"
#include "qapi/commands-run-state.h"
#include "util/error.h"

static MemoryErrorOrigin origin_of(const PoisonEntry *e)
{
    switch (e->origin) {
    case POISON_ARRIVED:
        return MEMORY_ERROR_ORIGIN_MIGRATION;
    case POISON_TEST:
        return MEMORY_ERROR_ORIGIN_TEST;
    default:
        return MEMORY_ERROR_ORIGIN_HOST;
    }
}

bool qmp_x_query_memory_errors(MemoryErrorArray **ret, GError **error)
{
    g_autoptr(GArray) list = ram_poison_list();

    *ret = g_new0(MemoryErrorArray, 1);
    for (unsigned i = 0; i < list->len; i++) {
        const PoisonEntry *e = &g_array_index(list, PoisonEntry, i);
        hwaddr address = ram_guest_address(e->block, e->offset);
        MemoryError *item = g_new0(MemoryError, 1);

        item->block = g_strdup(e->block->idstr);
        item->offset = e->offset;
        item->size = e->size;
        item->has_address = address != UINT64_MAX;
        item->address = address;
        item->reported = e->reported;
        item->action_required = e->action_required;
        item->origin = origin_of(e);
        item->notices = e->notices;
        QAPI_ARRAY_ADD(*ret, item);
    }
    return true;
}

/* ---- the test hook ------------------------------------------------------------------------------------------- */

typedef struct FindPage {
    uint64_t address;
    RamBlock *block;
    uint64_t offset;
} FindPage;

static bool find_page(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                      void *opaque)
{
    FindPage *f = opaque;

    if (f->address < start || f->address - start >= size) {
        return true;
    }
    f->block = memory_region_ram_block(mr);
    f->offset = offset + (f->address - start);
    return false;
}

/* A page in the list that has a guard in the memory map before it. */
static void find_guarded(FindPage *f)
{
    g_autoptr(GArray) list = ram_poison_list();

    for (unsigned i = 0; i < list->len && !f->block; i++) {
        const PoisonEntry *e = &g_array_index(list, PoisonEntry, i);
        hwaddr address = ram_guest_address(e->block, e->offset);

        if (address != UINT64_MAX && f->address >= address && f->address - address < e->size) {
            f->block = e->block;
            f->offset = e->offset;
        }
    }
}

bool qmp_x_poison_page(uint64_t address, PoisonPageNotice notice, GError **error)
{
    FindPage f = { .address = address };

    address_space_foreach_range(address_space_memory, find_page, &f);
    if (!f.block) {
        find_guarded(&f);
    }
    if (!f.block || f.block->host_readonly) {
        return error_set(error, "there is no RAM at guest address 0x%" PRIx64, address);
    }
    uint64_t size = f.block->page_size, offset = f.offset / size * size;
    if (notice == POISON_PAGE_NOTICE_HARDWARE) {
        f.block->host[offset] = 0; /* a page that is not there cannot be lost */
        return madvise(f.block->host + offset, size, MADV_HWPOISON) == 0 ||
               error_set_errno(error, errno, "the kernel does not poison a page (MADV_HWPOISON)");
    }
    if (notice == POISON_PAGE_NOTICE_NONE) {
        return ram_poison_install(f.block, offset, size, error);
    }
    bool known = ram_page_poisoned(f.block, offset);
    ram_poison_add(f.block, offset, size, notice == POISON_PAGE_NOTICE_REPORTED,
                   notice == POISON_PAGE_NOTICE_ACTION_REQUIRED, POISON_TEST);
    return known || ram_poison_install(f.block, offset, size, error);
}

/* ---- HMP ------------------------------------------------------------------------------------------------------- */

static void hmp_info_memory_errors(Hmp *hmp, const HmpArgs *args)
{
    g_autoptr(GArray) list = ram_poison_list();

    if (!list->len) {
        hmp_puts(hmp, "No page of guest memory has been lost\n");
    }
    for (unsigned i = 0; i < list->len; i++) {
        const PoisonEntry *e = &g_array_index(list, PoisonEntry, i);

        hmp_printf(hmp,
                   "%s offset 0x%" PRIx64 ", 0x%" PRIx64 " bytes: %s, action %s, seen %" PRIu64
                   " times\n",
                   e->block->idstr, e->offset, e->size, e->reported ? "reported" : "NOT reported",
                   e->action_required ? "required" : "optional", e->notices);
    }
}

static const HmpCommand memory_error_commands[] = {
    { "info memory-errors", "", "", "show pages of guest memory that the host has lost",
      hmp_info_memory_errors, true },
};
HMP_REGISTER(memory_error_commands)
