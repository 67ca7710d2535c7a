/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of poisoned pages; include/system/poison.h has the rules N1 to N5.
 *
 * Each block has a bitmap, made with its first entry, that readers test without a lock. The entries stand in one sorted
 * array under `lock`, which is never held while anything else is called.
 */
#include "util/osdep.h"
#include "system/poison.h"

#include <pthread.h>
#include "qapi/events-run-state.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/guard.h"
#include "util/main-loop.h"
#include "poison-internal.h"

/* How often the guest is asked again whether it can take a machine check by now. */
#define RETRY_NS (1 * NS_PER_SEC)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GArray *entries; /* PoisonEntry, by block (address) and offset */
static bool telling;    /* tell_pending() is on its way; under lock */
static const PoisonTarget *target;
static const RamLoaderOps *loader; /* atomic; not NULL while RAM is loaded */
pthread_mutex_t poison_pages_lock = PTHREAD_MUTEX_INITIALIZER;
static Timer retry_timer;
static bool retry_ready;
static __thread bool guest_access; /* this thread acts for a processor, which will say so itself */

/* ---- bitmaps --------------------------------------------------------------------------------------------- */

static const unsigned long *bits_of(const RamBlock *block)
{
    return __atomic_load_n(&block->poison, __ATOMIC_ACQUIRE);
}

uint64_t ram_next_poisoned(const RamBlock *block, uint64_t page, uint64_t end)
{
    const unsigned long *bits = bits_of(block);

    return bits ? bitmap_find_next(bits, end, page) : end;
}

uint64_t ram_next_readable(const RamBlock *block, uint64_t page, uint64_t end)
{
    const unsigned long *bits = bits_of(block);

    return bits ? bitmap_find_next_zero(bits, end, page) : page;
}

bool ram_range_poisoned(const RamBlock *block, uint64_t offset, uint64_t len)
{
    uint64_t first = offset >> GUEST_PAGE_BITS;
    uint64_t end = (offset + len + GUEST_PAGE_SIZE - 1) >> GUEST_PAGE_BITS;

    return bits_of(block) && len && ram_next_poisoned(block, first, end) < end;
}

/* Under lock. The bitmap stays until the block goes. */
static void mark(RamBlock *block, uint64_t offset, uint64_t len, bool set)
{
    unsigned long *bits = block->poison;

    if (!bits) {
        bits = bitmap_new(block->max_size >> GUEST_PAGE_BITS);
        __atomic_store_n(&block->poison, bits, __ATOMIC_RELEASE);
    }
    if (set) {
        bitmap_set_atomic(bits, offset >> GUEST_PAGE_BITS, len >> GUEST_PAGE_BITS);
    } else {
        bitmap_test_and_clear_atomic(bits, offset >> GUEST_PAGE_BITS, len >> GUEST_PAGE_BITS);
    }
}

/* ---- entries ----------------------------------------------------------------------------------------------- */

static PoisonEntry *entry_at(unsigned i)
{
    return &g_array_index(entries, PoisonEntry, i);
}

/* Under lock: the index of the entry that holds offset; where it would stand, if there is none. */
static unsigned position(const RamBlock *block, uint64_t offset, bool *found)
{
    unsigned low = 0, high = entries ? entries->len : 0;

    *found = false;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        const PoisonEntry *e = entry_at(middle);

        if (e->block == block && offset >= e->offset && offset - e->offset < e->size) {
            *found = true;
            return middle;
        }
        if ((uintptr_t)e->block < (uintptr_t)block || (e->block == block && e->offset < offset)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t page_start(const RamBlock *block, uint64_t offset)
{
    return offset / block->page_size * block->page_size;
}

/* Under lock: smaller entries inside of a page that is lost as a whole. */
static void swallow(const PoisonEntry *page, unsigned at)
{
    while (at < entries->len && entry_at(at)->block == page->block &&
           entry_at(at)->offset < page->offset + page->size) {
        if (entry_at(at)->guard) {
            main_loop_call(poison_free_guard, entry_at(at)->guard);
        }
        g_array_remove_index(entries, at);
    }
}

/* Under lock. True if it is new. */
static bool add_entry(const PoisonEntry *new)
{
    bool found;
    unsigned i = position(new->block, new->offset, &found);

    if (found && entry_at(i)->size >= new->size) {
        PoisonEntry *e = entry_at(i);

        e->reported |= new->reported;
        e->action_required |= new->action_required;
        e->notices++;
        return false;
    }
    if (!entries) {
        entries = g_array_new(false, false, sizeof(PoisonEntry));
    }
    swallow(new, i);
    g_array_insert_val(entries, i, *new);
    mark(new->block, new->offset, new->size, true);
    return true;
}

static void tell_soon(void)
{
    pthread_mutex_lock(&lock);
    bool first = !telling;
    telling = true;
    pthread_mutex_unlock(&lock);
    if (first) {
        main_loop_call(poison_tell_pending, NULL);
    }
}

void ram_poison_add(RamBlock *block, uint64_t offset, uint64_t len, bool reported,
                    bool action_required, PoisonOrigin origin)
{
    bool part = origin == POISON_ARRIVED && ((offset | len) & (block->page_size - 1));
    uint64_t unit = part ? GUEST_PAGE_SIZE : block->page_size;
    uint64_t end = MIN(offset + len, block->size);
    bool new = false;

    for (uint64_t at = offset / unit * unit; at < end; at += unit) {
        PoisonEntry e = { .block = block,
                          .offset = at,
                          .size = unit,
                          .reported = reported,
                          .action_required = action_required,
                          .origin = origin,
                          .notices = 1 };

        pthread_mutex_lock(&lock);
        bool is_new = add_entry(&e);
        pthread_mutex_unlock(&lock);
        if (is_new) {
            /* What a migration has sent of it already is followed by zeros. */
            ram_block_set_dirty(block, at, MIN(unit, block->size - at));
            new = true;
        }
    }
    if (new && !reported && !guest_access) {
        tell_soon();
    }
}

GArray *ram_poison_list(void)
{
    GArray *copy = g_array_new(false, false, sizeof(PoisonEntry));

    pthread_mutex_lock(&lock);
    if (entries) {
        g_array_append_vals(copy, entries->data, entries->len);
    }
    pthread_mutex_unlock(&lock);
    return copy;
}

unsigned ram_poison_count(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = entries ? entries->len : 0;
    pthread_mutex_unlock(&lock);
    return n;
}

MemoryRegion *poison_entry_set_guard(RamBlock *block, uint64_t offset, MemoryRegion *guard)
{
    MemoryRegion *old = guard;
    bool found;

    pthread_mutex_lock(&lock);
    unsigned i = position(block, offset, &found);
    if (found) {
        old = entry_at(i)->guard;
        entry_at(i)->guard = guard;
    }
    pthread_mutex_unlock(&lock);
    return old;
}

static void set_reported(RamBlock *block, uint64_t offset)
{
    bool found;

    pthread_mutex_lock(&lock);
    unsigned i = position(block, offset, &found);
    if (found) {
        entry_at(i)->reported = true;
    }
    pthread_mutex_unlock(&lock);
}

bool poison_entry_find(RamBlock *block, uint64_t offset, PoisonEntry *out)
{
    bool found;

    pthread_mutex_lock(&lock);
    unsigned i = position(block, offset, &found);
    if (found) {
        *out = *entry_at(i);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

bool ram_poison_arrived(const RamBlock *block, uint64_t offset, uint64_t len)
{
    PoisonEntry e;

    for (uint64_t at = offset; at < offset + len; at = e.offset + e.size) {
        if (!poison_entry_find((RamBlock *)block, at, &e) || e.origin != POISON_ARRIVED) {
            return false;
        }
    }
    return true;
}

bool ram_poison_arrived_note(const RamBlock *block, uint64_t offset, void (*func)(void *opaque), void *opaque)
{
    pthread_mutex_lock(&poison_pages_lock);
    bool arrived = ram_poison_arrived(block, offset, block->page_size);
    if (arrived) {
        func(opaque);
    }
    pthread_mutex_unlock(&poison_pages_lock);
    return arrived;
}

void poison_entries_remove(RamBlock *block, uint64_t offset, uint64_t len)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = entries ? entries->len : 0; i-- > 0;) {
        const PoisonEntry *e = entry_at(i);

        if (e->block == block && e->offset >= offset && e->offset < offset + len) {
            mark(block, e->offset, e->size, false);
            if (e->guard) {
                main_loop_call(poison_free_guard, e->guard);
            }
            g_array_remove_index(entries, i);
        }
    }
    pthread_mutex_unlock(&lock);
}

void ram_poison_forget_block(RamBlock *block)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = entries ? entries->len : 0; i-- > 0;) {
        if (entry_at(i)->block == block) {
            g_array_remove_index(entries, i);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Reads one byte. */
static bool readable(const uint8_t *p)
{
    uint8_t byte;

    return guard_copy(&byte, p, 1, NULL);
}

/* N7. Somebody could not read there. Whether it is in the list: another thread may have put a fresh page there since. */
static bool add_if_lost(RamBlock *block, uint64_t offset)
{
    pthread_mutex_lock(&poison_pages_lock);
    bool lost = !readable(block->host + offset);
    if (lost) {
        ram_poison_add(block, offset, 1, false, false, POISON_HOST);
    }
    pthread_mutex_unlock(&poison_pages_lock);
    return lost;
}

/* Unreadable memory of ours at a host address. */
static void found_bad(const void *bad)
{
    uint64_t offset;
    RamBlock *block = ram_block_from_host(bad, &offset);

    if (block) {
        add_if_lost(block, offset);
    }
}

bool ram_read_guarded(void (*func)(void *opaque), void *opaque)
{
    void *bad;

    if (guard_run(func, opaque, &bad)) {
        return true;
    }
    found_bad(bad);
    return false;
}

uint64_t ram_copy_or_zero(void *dst, const RamBlock *block, uint64_t offset, uint64_t len)
{
    uint8_t *out = dst;
    uint64_t lost = 0;

    while (len) {
        uint64_t n = MIN(len, GUEST_PAGE_SIZE - offset % GUEST_PAGE_SIZE);
        void *bad;

        if (ram_page_poisoned(block, offset)) {
            memset(out, 0, n);
            lost += n;
        } else if (!guard_copy(out, block->host + offset, n, &bad)) {
            found_bad(bad);
            memset(out, 0, n);
            lost += n;
        }
        out += n;
        offset += n;
        len -= n;
    }
    return lost;
}

unsigned ram_poison_find(const struct iovec *iov, unsigned niov)
{
    unsigned found = 0;

    for (unsigned i = 0; i < niov; i++) {
        const uint8_t *p = iov[i].iov_base, *end = p + iov[i].iov_len;
        uint64_t offset;
        RamBlock *block = iov[i].iov_len ? ram_block_from_host(p, &offset) : NULL;

        while (block && p < end) {
            size_t n = GUEST_PAGE_SIZE - offset % GUEST_PAGE_SIZE;

            if (ram_page_poisoned(block, offset)) {
                found++;
            } else if (!readable(p)) {
                add_if_lost(block, offset);
                found++; /* also if it is readable now: trying again is right */
            }
            p += n;
            offset += n;
        }
    }
    return found;
}

static const uint8_t zero_page[GUEST_PAGE_SIZE];

struct iovec *ram_poison_patch_iov(const struct iovec *iov, unsigned niov, unsigned *n_out)
{
    if (!ram_poison_find(iov, niov)) {
        return NULL;
    }
    GArray *out = g_array_new(false, false, sizeof(struct iovec));
    for (unsigned i = 0; i < niov; i++) {
        uint8_t *p = iov[i].iov_base;
        size_t left = iov[i].iov_len;
        uint64_t offset;
        const RamBlock *block = left ? ram_block_from_host(p, &offset) : NULL;

        while (left) {
            size_t n = block ? MIN(left, GUEST_PAGE_SIZE - offset % GUEST_PAGE_SIZE) : left;
            struct iovec piece = { p, n };

            if (block && ram_page_poisoned(block, offset)) {
                piece.iov_base = (void *)zero_page;
            }
            g_array_append_val(out, piece);
            p += n;
            left -= n;
            offset += block ? n : 0;
        }
    }
    *n_out = out->len;
    return (struct iovec *)g_array_free(out, FALSE);
}

/* ---- where the guest sees it --------------------------------------------------------------------------------------- */

typedef struct AddressQuery {
    const RamBlock *block;
    uint64_t offset;
    hwaddr found;
} AddressQuery;

static bool query_range(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                        void *opaque)
{
    AddressQuery *q = opaque;

    if (memory_region_ram_block(mr) != q->block || q->offset < offset ||
        q->offset - offset >= size) {
        return true;
    }
    q->found = start + (q->offset - offset);
    return false;
}

hwaddr ram_guest_address(const RamBlock *block, uint64_t offset)
{
    AddressQuery q = { block, offset, UINT64_MAX };
    PoisonEntry e;

    if (poison_entry_find((RamBlock *)block, offset, &e) && e.guard) { /* stands before the RAM */
        return memory_region_address(e.guard) + (offset - e.offset);
    }

    if (address_space_memory) {
        address_space_foreach_range(address_space_memory, query_range, &q);
    }
    return q.found;
}

/* ---- telling the guest --------------------------------------------------------------------------------------------------- */

void poison_set_target(const PoisonTarget *t)
{
    target = t;
}

const PoisonTarget *poison_target(void)
{
    return target;
}

static void send_event(MemoryFailureAction action, bool action_required, bool recursive)
{
    MemoryFailureFlags flags = { .action_required = action_required, .recursive = recursive };

    qapi_event_send_MEMORY_FAILURE(MEMORY_FAILURE_RECIPIENT_GUEST, action, &flags);
}

/* log2 of what is lost */
static unsigned lsb_of(uint64_t size)
{
    return 63 - __builtin_clzll(size);
}

static void warn_untold(const PoisonEntry *e)
{
    warn_report("a page of RAM block '%s' at 0x%" PRIx64 " has been lost by the host, and the guest cannot be told%s",
                e->block->idstr, e->offset,
                quiesced() ? ", which has been handed over: it is told where it runs"
                           : ": it cannot be migrated until it has been");
}

/* Big lock. action_required: of this notice. N6: a guest that has been handed over (it is quiesced) is not told here. */
static PoisonVerdict tell(void *cpu, const PoisonEntry *e, bool action_required, bool first)
{
    hwaddr address = ram_guest_address(e->block, e->offset);
    PoisonVerdict verdict = POISON_NOT_NOW;
    bool recursive = false;

    if (target && !quiesced() && address != UINT64_MAX) {
        verdict = target->report(cpu, address, lsb_of(e->size), action_required, &recursive);
    }
    switch (verdict) {
    case POISON_TOLD:
        set_reported(e->block, e->offset);
        send_event(MEMORY_FAILURE_ACTION_INJECT, action_required, recursive);
        break;
    case POISON_FATAL:
        send_event(MEMORY_FAILURE_ACTION_RESET, action_required, recursive);
        break;
    case POISON_NOT_NOW:
        if (first) {
            warn_untold(e); /* who sees the event finds the reason in the log */
            send_event(MEMORY_FAILURE_ACTION_IGNORE, action_required, recursive);
        }
        break;
    }
    return verdict;
}

/* Takes the first entry that is not reported and was not looked at in this round. */
static bool next_unreported(RamBlock **block, uint64_t *offset, PoisonEntry *out, bool *first)
{
    bool found, have = false;

    pthread_mutex_lock(&lock);
    unsigned i = *block ? position(*block, *offset, &found) + found : 0;
    for (; entries && i < entries->len && !have; i++) {
        PoisonEntry *e = entry_at(i);

        *block = e->block;
        *offset = e->offset;
        if (!e->reported) {
            *out = *e;
            *first = !e->announced;
            e->announced = have = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return have;
}

static void retry(void *opaque)
{
    poison_tell_pending(NULL);
}

/* How many stay unreported. */
static unsigned tell_round(void)
{
    RamBlock *block = NULL;
    uint64_t offset = 0;
    unsigned left = 0;
    PoisonEntry e;
    bool first;

    while (next_unreported(&block, &offset, &e, &first)) {
        left += tell(NULL, &e, false, first) != POISON_TOLD;
    }
    return left;
}

/* Big lock, main thread. */
void poison_tell_pending(void *opaque)
{
    pthread_mutex_lock(&lock);
    telling = false;
    pthread_mutex_unlock(&lock);
    if (tell_round() && target) {
        if (!retry_ready) {
            timer_init(&retry_timer, CLOCK_REALTIME_NS, retry, NULL);
            retry_ready = true;
        }
        timer_mod(&retry_timer, clock_get_ns(CLOCK_REALTIME_NS) + RETRY_NS);
    }
}

void poison_vcpu_error(void *cpu, void *address, unsigned lsb)
{
    uint64_t offset;
    RamBlock *block = ram_block_from_host(address, &offset);
    PoisonEntry e;
    bool found;

    if (!block) {
        error_report("the guest met unreadable memory at host address %p, which is not the guest's",
                     address);
        return;
    }
    e = (PoisonEntry){ .block = block,
                       .offset = page_start(block, offset),
                       .size = block->page_size,
                       .action_required = true,
                       .origin = POISON_HOST,
                       .notices = 1 };
    pthread_mutex_lock(&lock);
    bool known = ram_page_poisoned(block, offset);
    if (!known) {
        add_entry(&e);
    }
    unsigned i = position(block, offset, &found);
    if (known && found) {
        entry_at(i)->action_required = true;
        entry_at(i)->notices++;
    }
    e = *entry_at(i);
    entry_at(i)->announced = true;
    pthread_mutex_unlock(&lock);
    ram_block_set_dirty(block, e.offset, e.size);
    /* The address of the access within a larger page, as far as the signal says it. */
    e.offset = lsb && (UINT64_C(1) << lsb) < e.size ? offset >> lsb << lsb : e.offset;
    if (tell(cpu, &e, true, !e.announced) == POISON_TOLD) {
        set_reported(block, offset);
    } else if (target) {
        vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
    }
}

void poison_guest_access(bool begin)
{
    guest_access = begin;
}

typedef struct FindAddress {
    hwaddr address;
    uint8_t *host;
} FindAddress;

static bool find_address(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly, void *opaque)
{
    FindAddress *f = opaque;
    const RamBlock *block = memory_region_ram_block(mr);

    if (f->address < start || f->address - start >= size) {
        return true;
    }
    offset += f->address - start;
    if (block && ram_page_poisoned(block, offset)) {
        f->host = block->host + offset;
    }
    return false;
}

void poison_guest_error(void *cpu, hwaddr address)
{
    FindAddress f = { .address = address };

    address_space_foreach_range(address_space_memory, find_address, &f);
    if (f.host) {
        poison_vcpu_error(cpu, f.host, GUEST_PAGE_BITS);
    }
}

/* ---- migration ------------------------------------------------------------------------------------------------------------ */

bool ram_poison_check_migratable(GError **error)
{
    return tell_round() == 0 || ram_poison_all_reported(error);
}

bool ram_poison_all_reported(GError **error)
{
    bool ok = true;
    g_autoptr(GArray) list = ram_poison_list();
    for (unsigned i = 0; i < list->len && ok; i++) {
        const PoisonEntry *e = &g_array_index(list, PoisonEntry, i);
        hwaddr address = ram_guest_address(e->block, e->offset);
        g_autofree char *where = address == UINT64_MAX
                                     ? g_strdup("which the guest does not see now")
                                     : g_strdup_printf("guest address 0x%" PRIx64, address);

        if (!e->reported) {
            ok = error_set(error,
                           "the host has lost a page of guest memory and the guest has not been "
                           "told: RAM block '%s', "
                           "offset 0x%" PRIx64 ", %s; it would find zeros there",
                           e->block->idstr, e->offset, where);
        }
    }
    return ok;
}

void ram_poison_set_loader(const RamLoaderOps *ops)
{
    __atomic_store_n(&loader, ops, __ATOMIC_RELEASE);
}

RamContent poison_content(const PoisonEntry *e)
{
    const RamLoaderOps *ops = __atomic_load_n(&loader, __ATOMIC_ACQUIRE);
    RamContent content = ops ? RAM_CONTENT_COMES : RAM_CONTENT_KEPT;

    for (uint64_t at = e->offset; content == RAM_CONTENT_COMES && at < MIN(e->offset + e->size, e->block->size);
         at += GUEST_PAGE_SIZE) {
        content = ops->content(e->block, at);
    }
    return content;
}

void poison_content_unwanted(const RamBlock *block, uint64_t offset)
{
    const RamLoaderOps *ops = __atomic_load_n(&loader, __ATOMIC_ACQUIRE);

    if (ops) {
        ops->unwanted(block, offset);
    }
}

/* N7, under poison_pages_lock: what the list says now, not what it said when it was copied. */
static bool settle_entry(const PoisonEntry *seen, GError **error)
{
    PoisonEntry e;

    if (!poison_entry_find(seen->block, seen->offset, &e) || e.origin == POISON_ARRIVED) {
        return true; /* another thread has replaced it; or it was lost before it came here */
    }
    switch (poison_content(&e)) {
    case RAM_CONTENT_COMES:
        return poison_refresh_locked(e.block, e.offset, error);
    case RAM_CONTENT_KEPT: /* the guest is told of it here */
        return true;
    default:
        return error_set(error,
                         "this host has lost a page that the guest's memory had been loaded into: RAM block '%s', "
                         "offset 0x%" PRIx64,
                         e.block->idstr, e.offset);
    }
}

bool ram_poison_settle_load(GError **error)
{
    bool ok = true;

    if (!ram_poison_count()) {
        return true;
    }
    g_autoptr(GArray) list = ram_poison_list();
    for (unsigned i = 0; i < list->len && ok; i++) {
        pthread_mutex_lock(&poison_pages_lock);
        ok = settle_entry(&g_array_index(list, PoisonEntry, i), error);
        pthread_mutex_unlock(&poison_pages_lock);
    }
    return ok;
}

void ram_poison_discarded(RamBlock *block, uint64_t offset, uint64_t len)
{
    if (!ram_range_poisoned(block, offset, len)) {
        return;
    }
    uint64_t first = (offset + block->page_size - 1) / block->page_size * block->page_size;
    for (uint64_t at = first; at + block->page_size <= offset + len; at += block->page_size) {
        GError *error = NULL;

        if (ram_page_poisoned(block, at) && !ram_poison_refresh(block, at, &error)) {
            set_reported(block, at); /* the guest has given it up: it trusts nothing in it */
            warn_report("%s", error->message);
            g_error_free(error);
        }
    }
}

/* N5 */
static void poison_reset(void *opaque)
{
    g_autoptr(GArray) list = ram_poison_list();

    for (unsigned i = 0; i < list->len; i++) {
        const PoisonEntry *e = &g_array_index(list, PoisonEntry, i);
        GError *error = NULL;

        if (!ram_poison_refresh(e->block, e->offset, &error)) {
            warn_report("%s", error->message);
            g_error_free(error);
        }
    }
}

/* N6 */
static QuiesceResult quiesce(void *opaque, GError **error)
{
    return QUIESCE_DONE;
}

static void resume(void *opaque)
{
    if (!ram_poison_all_reported(NULL)) {
        tell_soon();
    }
}

static const QuiesceOps quiesce_ops = { .name = "memory errors", .quiesce = quiesce, .resume = resume };

static void __attribute__((constructor)) register_handlers(void)
{
    reset_add_handler(poison_reset, NULL);
    quiesce_register(&quiesce_ops, NULL);
}
