/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory slots: the RAM of the flat map as KVM has it, and where dirty pages come from.
 *
 * S1  A slot is whole pages of one RAM range; what an odd range has at its ends beyond whole pages has no slot, so
 *     that accesses to it come out and go the way of I/O.
 * S2  No processor runs while slots change: it would see holes.
 * S3  Before a slot goes, its dirty bits are in the RAM block's bitmap.
 * S4  Pages are protected in the kernel first, and their bits put into the block's bitmap after that. Another thread may
 *     take a bit and read the page at once: with the other order a write between that and the protection would be
 *     missed.
 */
#include "util/osdep.h"

#include <pthread.h>

#include "system/runstate.h"
#include "util/bitmap.h"
#include "util/error.h"
#include "kvm-internal.h"

#define CLEAR_ALIGN 64 /* pages; KVM_CLEAR_DIRTY_LOG wants it */

typedef struct KvmSlot {
    uint32_t id;
    hwaddr start;
    uint64_t size;
    RamBlock *block;
    uint64_t offset; /* in the block */
    bool readonly, logged;
    unsigned long *bitmap; /* what KVM_GET_DIRTY_LOG fills; NULL until the first */
} KvmSlot;

/* KvmSlot *, NULL where the id is free. Changed with the big lock and kvm_ring_lock: a processor's thread that empties its ring has
 * the latter only. */
static GPtrArray *slots;
static bool logging;
pthread_mutex_t kvm_ring_lock = PTHREAD_MUTEX_INITIALIZER;
static bool out_of_slots;

/* ---- one slot --------------------------------------------------------------------------------------------------- */

static uint64_t slot_pages(const KvmSlot *slot)
{
    return slot->size >> GUEST_PAGE_BITS;
}

static int slot_tell(const KvmSlot *slot, bool present)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->id,
        .flags =
            (slot->logged ? KVM_MEM_LOG_DIRTY_PAGES : 0) | (slot->readonly ? KVM_MEM_READONLY : 0),
        .guest_phys_addr = slot->start,
        .memory_size = present ? slot->size : 0,
        .userspace_addr = (uintptr_t)slot->block->host + slot->offset,
    };

    return kvm_vm_ioctl(KVM_SET_USER_MEMORY_REGION, &region);
}

static void slot_error(const KvmSlot *slot, const char *what, int r)
{
    error_report("KVM memory slot %u (0x%" PRIx64 "+0x%" PRIx64 ", %s): %s: %s", slot->id,
                 slot->start, slot->size, slot->block->idstr, what, g_strerror(-r));
    vm_stop_request(VM_INTERNAL_ERROR);
}

static bool slot_new_id(uint32_t *id)
{
    for (unsigned i = 0; i < slots->len; i++) {
        if (!g_ptr_array_index(slots, i)) {
            *id = i;
            return true;
        }
    }
    if (slots->len >= kvm_state.max_slots) {
        return false;
    }
    *id = slots->len;
    pthread_mutex_lock(&kvm_ring_lock);
    g_ptr_array_add(slots, NULL);
    pthread_mutex_unlock(&kvm_ring_lock);
    return true;
}

/* ---- dirty pages -------------------------------------------------------------------------------------------------- */

static unsigned long *slot_bitmap(KvmSlot *slot)
{
    if (!slot->bitmap) {
        slot->bitmap = bitmap_new(slot_pages(slot));
    }
    return slot->bitmap;
}

/* Clears a run of pages in the kernel. Multiples of 64 pages, but for the slot's end. */
static void slot_clear(KvmSlot *slot, uint64_t first, uint64_t n)
{
    struct kvm_clear_dirty_log clear = {
        .slot = slot->id,
        .first_page = first,
        .num_pages = MIN(n, slot_pages(slot) - first),
        .dirty_bitmap = slot->bitmap + first / BITS_PER_LONG,
    };
    int r = kvm_vm_ioctl(KVM_CLEAR_DIRTY_LOG, &clear);

    if (r < 0) {
        slot_error(slot, "KVM_CLEAR_DIRTY_LOG", r);
    }
}

static void slot_clear_all(KvmSlot *slot)
{
    uint64_t words = BITS_TO_LONGS(slot_pages(slot));

    for (uint64_t i = 0; i < words; i++) {
        uint64_t first = i;

        if (!slot->bitmap[i]) {
            continue;
        }
        while (i < words && slot->bitmap[i]) {
            i++;
        }
        slot_clear(slot, first * CLEAR_ALIGN, (i - first) * CLEAR_ALIGN);
    }
}

/* Runs of set bits into the block's bitmap. */
static void slot_mark_runs(KvmSlot *slot)
{
    uint64_t n = slot_pages(slot), end;

    for (uint64_t page = bitmap_find_next(slot->bitmap, n, 0); page < n;
         page = bitmap_find_next(slot->bitmap, n, end)) {
        end = bitmap_find_next_zero(slot->bitmap, n, page);
        ram_block_set_dirty(slot->block, slot->offset + (page << GUEST_PAGE_BITS),
                            (end - page) << GUEST_PAGE_BITS);
    }
}

static void slot_sync(KvmSlot *slot)
{
    struct kvm_dirty_log log = { .slot = slot->id, .dirty_bitmap = slot_bitmap(slot) };
    int r;

    if (!slot->logged || kvm_state.ring_entries) {
        return;
    }
    r = kvm_vm_ioctl(KVM_GET_DIRTY_LOG, &log);
    if (r < 0) {
        slot_error(slot, "KVM_GET_DIRTY_LOG", r);
        return;
    }
    if (kvm_state.manual_protect) {
        slot_clear_all(slot);
    }
    slot_mark_runs(slot); /* S4 */
}

void kvm_slot_mark_dirty(uint32_t id, uint64_t page)
{
    KvmSlot *slot = id < slots->len ? g_ptr_array_index(slots, id) : NULL;

    if (slot && page < slot_pages(slot)) {
        ram_block_set_dirty(slot->block, slot->offset + (page << GUEST_PAGE_BITS), GUEST_PAGE_SIZE);
    }
}

void kvm_slots_log_again(void)
{
    for (unsigned i = 0; i < slots->len; i++) {
        KvmSlot *slot = g_ptr_array_index(slots, i);
        int r;

        if (!slot || !slot->logged) {
            continue;
        }
        slot->logged = false;
        r = slot_tell(slot, true);
        slot->logged = true;
        r = r < 0 ? r : slot_tell(slot, true);
        if (r < 0) {
            slot_error(slot, "its log cannot begin again", r);
        }
        ram_block_set_dirty(slot->block, slot->offset, slot->size); /* S4 */
    }
}

/* ---- the listener ---------------------------------------------------------------------------------------------------- */

static void slot_remove(unsigned id)
{
    KvmSlot *slot = g_ptr_array_index(slots, id);
    int r;

    slot_sync(slot); /* S3 */
    kvm_reap_rings();
    pthread_mutex_lock(&kvm_ring_lock);
    r = slot_tell(slot, false);
    if (r < 0) {
        slot_error(slot, "cannot be removed", r);
    }
    g_ptr_array_index(slots, id) = NULL;
    pthread_mutex_unlock(&kvm_ring_lock);
    g_free(slot->bitmap);
    g_free(slot);
}

/* The whole pages of a range (S1); false if it has none. */
static bool whole_pages(hwaddr *start, uint64_t *size, uint64_t *offset)
{
    uint64_t skip = -*start & (GUEST_PAGE_SIZE - 1);

    if (*size <= skip) {
        return false;
    }
    *start += skip;
    *offset += skip;
    *size = (*size - skip) & ~(GUEST_PAGE_SIZE - 1);
    return *size && !(*offset & (GUEST_PAGE_SIZE - 1));
}

static void range_add(MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset, bool readonly)
{
    RamBlock *block = memory_region_ram_block(mr);
    KvmSlot *slot;
    uint32_t id;
    int r;

    readonly = block && (readonly || block->host_readonly);
    if (!block || (readonly && !kvm_state.has_readonly) || !whole_pages(&start, &size, &offset)) {
        return;
    }
    if (!slot_new_id(&id)) {
        if (!out_of_slots) {
            error_report("KVM has no more than %u memory slots: '%s' cannot be mapped",
                         kvm_state.max_slots, block->idstr);
            vm_stop_request(VM_INTERNAL_ERROR);
        }
        out_of_slots = true;
        return;
    }
    slot = g_new0(KvmSlot, 1);
    *slot = (KvmSlot){ id, start, size, block, offset, readonly, logging && !readonly };
    r = slot_tell(slot, true);
    if (r < 0) {
        slot_error(slot, "cannot be added", r);
        g_free(slot);
        return;
    }
    pthread_mutex_lock(&kvm_ring_lock);
    g_ptr_array_index(slots, id) = slot;
    pthread_mutex_unlock(&kvm_ring_lock);
    if (slot->logged) {
        /* Whoever wrote here before had no log; with bits that begin set the first look says the same. */
        ram_block_set_dirty(block, offset, size);
    }
}

static void range_del(MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset, bool readonly)
{
    RamBlock *block = memory_region_ram_block(mr);

    if (!block || !whole_pages(&start, &size, &offset)) {
        return;
    }
    for (unsigned i = 0; i < slots->len; i++) {
        KvmSlot *slot = g_ptr_array_index(slots, i);

        if (slot && slot->start == start) {
            slot_remove(i);
            return;
        }
    }
}

static void changes_begin(MemoryListener *l)
{
    kvm_inhibit_begin(); /* S2 */
}

static void changes_commit(MemoryListener *l)
{
    kvm_inhibit_end();
}

static bool set_logging(bool on, GError **error)
{
    logging = on;
    for (unsigned i = 0; i < slots->len; i++) {
        KvmSlot *slot = g_ptr_array_index(slots, i);
        int r;

        if (!slot || slot->readonly || slot->logged == on) {
            continue;
        }
        pthread_mutex_lock(&kvm_ring_lock);
        slot->logged = on;
        r = slot_tell(slot, true);
        slot->logged = r < 0 ? !on : on;
        pthread_mutex_unlock(&kvm_ring_lock);
        if (r < 0) {
            return error_set_errno(error, -r, "KVM cannot log the dirty pages of '%s'",
                                   slot->block->idstr);
        }
        if (!on) {
            g_clear_pointer(&slot->bitmap, g_free);
        }
    }
    return true;
}

static bool log_start(MemoryListener *l, GError **error)
{
    return set_logging(true, error);
}

static void log_stop(MemoryListener *l)
{
    GError *error = NULL;

    kvm_reap_rings();
    if (!set_logging(false, &error)) {
        error_report_gerror(error); /* goes on being slow, nothing worse */
    }
}

static void log_sync(MemoryListener *l, bool last)
{
    kvm_reap_rings();
    for (unsigned i = 0; i < slots->len; i++) {
        KvmSlot *slot = g_ptr_array_index(slots, i);

        if (slot) {
            slot_sync(slot);
        }
    }
}

static MemoryListener listener = {
    .name = "kvm-memory",
    .priority = 10,
    .begin = changes_begin,
    .commit = changes_commit,
    .range_add = range_add,
    .range_del = range_del,
    .log_start = log_start,
    .log_stop = log_stop,
    .log_sync = log_sync,
};

void kvm_slots_init(void)
{
    slots = g_ptr_array_new();
    memory_listener_register(&listener, address_space_memory);
}
