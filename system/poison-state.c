/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list in a stream: section "memory-errors", which is there only if there is an entry, so that machines that never
 * met an error have the streams that everybody understands.
 *
 *   be32  number of entries
 *   each: counted string  RAM block
 *         be64 offset, be64 bytes
 *         u8 flags: 1 reported, 2 action required
 *
 * It comes after RAM, where these pages are zeros; the destination makes them unreadable again.
 */
#include "util/osdep.h"
#include "system/poison.h"

#include "util/error.h"
#include "vmstate/vmstate.h"

enum { FLAG_REPORTED = 1, FLAG_ACTION_REQUIRED = 2 };

/* As many as would make a guest without any memory left; a stream that has more is damaged. */
#define ENTRIES_MAX (1u << 20)

static bool travels = true;

void ram_poison_set_travels(bool on)
{
    travels = on;
}

bool ram_poison_travels(void)
{
    return travels;
}

static bool list_put(VmWriter *w, const void *elem, size_t size, const VmField *field,
                     GError **error)
{
    g_autoptr(GArray) list = ram_poison_list();
    unsigned n = 0;

    for (unsigned i = 0; i < list->len; i++) {
        n += !g_array_index(list, PoisonEntry, i).block->not_migrated;
    }
    vm_put_be32(w, n);
    for (unsigned i = 0; i < list->len; i++) {
        const PoisonEntry *e = &g_array_index(list, PoisonEntry, i);

        if (e->block->not_migrated) {
            continue;
        }
        vm_put_counted_string(w, e->block->idstr);
        vm_put_be64(w, e->offset);
        vm_put_be64(w, e->size);
        vm_put_u8(w, (e->reported ? FLAG_REPORTED : 0) |
                         (e->action_required ? FLAG_ACTION_REQUIRED : 0));
    }
    return true;
}

/* The pages of this host that hold nothing else; a page that is larger keeps its neighbours' content and is guarded. */
static bool arrive(RamBlock *block, uint64_t offset, uint64_t len, uint8_t flags, GError **error)
{
    ram_poison_add(block, offset, len, flags & FLAG_REPORTED, flags & FLAG_ACTION_REQUIRED,
                   POISON_ARRIVED);
    return ram_poison_install(block, offset, len, error);
}

static bool get_entry(VmReader *r, GError **error)
{
    char name[256];

    if (!vm_get_counted_string(r, name)) {
        return vm_reader_check(r, error);
    }
    uint64_t offset = vm_get_be64(r), len = vm_get_be64(r);
    uint8_t flags = vm_get_u8(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    RamBlock *block = ram_find(name);
    if (!block || block->not_migrated) {
        g_autofree char *shown = g_strescape(name, NULL);

        return error_set(error, "there is no RAM block \"%s\" to have a lost page", shown);
    }
    if (flags & ~(FLAG_REPORTED | FLAG_ACTION_REQUIRED)) {
        return error_set(error, "flags 0x%02x of a lost page are not known", flags);
    }
    if (len == 0 || offset >= block->size || len > block->size - offset ||
        ((offset | len) & (GUEST_PAGE_SIZE - 1))) {
        return error_set(error,
                         "RAM block '%s' has no pages at 0x%" PRIx64 ", 0x%" PRIx64
                         " bytes, that could be lost",
                         name, offset, len);
    }
    if (block->host_readonly) {
        return error_set(error, "RAM block '%s' is read-only", name);
    }
    return arrive(block, offset, len, flags, error);
}

static bool list_get(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    uint32_t n = vm_get_be32(r);

    if (n > ENTRIES_MAX) {
        return error_set(error, "%u lost pages are more than there can be", n);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!get_entry(r, error)) {
            return false;
        }
    }
    return vm_reader_check(r, error);
}

static const VmKind kind_list = { .name = "lost pages", .put = list_put, .get = list_get };

static bool list_needed(const void *opaque)
{
    return travels && ram_poison_count() > 0;
}

static const VmState vm_memory_errors = {
    .name = "memory-errors",
    .version = 1,
    .minimum_version = 1,
    .needed = list_needed,
    .fields =
        (const VmField[]){
            VM_CUSTOM_WHOLE("pages", 4, kind_list),
            VM_END,
        },
};

void ram_poison_register_section(void)
{
    static unsigned nothing;

    vmstate_register("memory-errors", 0, &vm_memory_errors, &nothing);
}
