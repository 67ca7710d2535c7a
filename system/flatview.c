/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flat views: what a tree of regions looks like from an address space, as a sorted array of disjoint ranges.
 *
 * F1  A published view never changes; a new one replaces it, the old one goes when no reader can see it (RCU).
 * F2  A view holds a reference to each of its regions.
 * F3  Listeners see the difference of two views, removals before additions.
 */
#include "util/osdep.h"

#include <pthread.h>
/* Lock and unlock are a few instructions: not worth a call into the library. */
#define URCU_INLINE_SMALL_FUNCTIONS 1
#include <urcu/urcu-memb.h>

#include "util/main-loop.h"
#include "memory-internal.h"

/* Sums of addresses, sizes and alias offsets go below 0 and above 2^64. */
__extension__ typedef __int128 Wide;

/* ---- RCU ----------------------------------------------------------------------------------------------- */

#ifdef CONFIG_TSAN
/* The thread sanitizer does not see that a grace period lies between the readers and the release. */
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char grace_period;
#define READERS_DONE_HERE() __tsan_release(&grace_period)
#define READERS_ARE_DONE() __tsan_acquire(&grace_period)
#else
#define READERS_DONE_HERE() ((void)0)
#define READERS_ARE_DONE() ((void)0)
#endif

static pthread_key_t reader_key;
static pthread_once_t reader_once = PTHREAD_ONCE_INIT;
static __thread bool reader_registered;

static void reader_thread_ends(void *unused)
{
    urcu_memb_unregister_thread();
}

static void reader_key_init(void)
{
    pthread_key_create(&reader_key, reader_thread_ends);
}

static void __attribute__((noinline)) reader_register(void)
{
    pthread_once(&reader_once, reader_key_init);
    urcu_memb_register_thread();
    pthread_setspecific(reader_key, &reader_key);
    reader_registered = true;
}

void memory_rcu_enter(void)
{
    if (G_UNLIKELY(!reader_registered)) {
        reader_register();
    }
    urcu_memb_read_lock();
}

void memory_rcu_leave(void)
{
    READERS_DONE_HERE();
    urcu_memb_read_unlock();
}

typedef struct Deferred {
    struct rcu_head head;
    void (*func)(void *data);
    void *data;
} Deferred;

static void deferred_run(void *opaque)
{
    Deferred *d = opaque;

    READERS_ARE_DONE();
    d->func(d->data);
    g_free(d);
}

/* In urcu's thread: what is freed may finalize objects, which needs the big lock. */
static void deferred_grace_period_over(struct rcu_head *head)
{
    bh_schedule_oneshot(NULL, deferred_run, caa_container_of(head, Deferred, head));
}

void memory_rcu_defer(void (*func)(void *data), void *data)
{
    Deferred *d = g_new0(Deferred, 1);

    d->func = func;
    d->data = data;
    if (!reader_registered) {
        reader_register();
    }
    urcu_memb_call_rcu(&d->head, deferred_grace_period_over);
}

/* ---- rendering ----------------------------------------------------------------------------------------- */

static Wide region_span(const MemoryRegion *mr)
{
    return mr->size == UINT64_MAX ? (Wide)1 << 64 : (Wide)mr->size;
}

/* Gives the parts of [start, end) that nobody has yet to mr. */
static void render_leaf(GArray *ranges, MemoryRegion *mr, Wide base, Wide start, Wide end, bool readonly)
{
    unsigned i = 0;

    while (start < end) {
        FlatRange *next;
        Wide stop = end;

        while (i < ranges->len && (Wide)g_array_index(ranges, FlatRange, i).last < start) {
            i++;
        }
        next = i < ranges->len ? &g_array_index(ranges, FlatRange, i) : NULL;
        if (next && (Wide)next->first < stop) {
            stop = next->first;
        }
        if (stop > start) {
            FlatRange range = {
                .first = (hwaddr)start,
                .last = (hwaddr)(stop - 1),
                .mr = mr,
                .offset = (hwaddr)(start - base),
                .readonly = readonly,
            };
            g_array_insert_val(ranges, i, range);
            i++;
        }
        if (stop == end) {
            break;
        }
        start = (Wide)g_array_index(ranges, FlatRange, i).last + 1;
    }
}

/* mr, where its container begins at `base`, seen through the window [start, end). */
static void render_region(GArray *ranges, MemoryRegion *mr, Wide base, Wide start, Wide end, bool readonly)
{
    if (!mr->enabled) {
        return;
    }
    base += mr->addr;
    readonly |= mr->readonly;
    start = MAX(start, base);
    end = MIN(end, base + region_span(mr));
    if (start >= end) {
        return;
    }
    if (mr->kind == MEMORY_REGION_ALIAS) {
        render_region(ranges, mr->target, base - mr->target->addr - (Wide)mr->target_offset, start, end,
                      readonly);
        return;
    }
    for (unsigned i = 0; mr->subs && i < mr->subs->len; i++) {
        render_region(ranges, g_ptr_array_index(mr->subs, i), base, start, end, readonly);
    }
    if (mr->kind != MEMORY_REGION_CONTAINER) {
        render_leaf(ranges, mr, base, start, end, readonly);
    }
}

static void merge_neighbours(GArray *ranges)
{
    unsigned out = 0;

    for (unsigned i = 1; i < ranges->len; i++) {
        FlatRange *a = &g_array_index(ranges, FlatRange, out);
        FlatRange *b = &g_array_index(ranges, FlatRange, i);

        if (a->mr == b->mr && a->readonly == b->readonly && a->last + 1 == b->first &&
            a->offset + (a->last - a->first) + 1 == b->offset) {
            a->last = b->last;
        } else {
            g_array_index(ranges, FlatRange, ++out) = *b;
        }
    }
    if (ranges->len) {
        g_array_set_size(ranges, out + 1);
    }
}

FlatView *flatview_render(MemoryRegion *root)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(FlatRange));
    FlatView *view = g_new0(FlatView, 1);
    static uint64_t ids;

    view->id = ++ids;
    render_region(ranges, root, -(Wide)root->addr, 0, (Wide)1 << 64, false);
    merge_neighbours(ranges);
    view->n = ranges->len;
    view->ranges = (FlatRange *)g_array_free(ranges, FALSE);
    for (unsigned i = 0; i < view->n; i++) {
        object_ref(view->ranges[i].mr);
    }
    return view;
}

void flatview_free(void *opaque)
{
    FlatView *view = opaque;

    for (unsigned i = 0; i < view->n; i++) {
        object_unref(view->ranges[i].mr);
    }
    g_free(view->ranges);
    g_free(view);
}

FlatView *flatview_get(AddressSpace *as)
{
    return rcu_follow(as->view);
}

const FlatRange *flatview_find(FlatView *view, hwaddr addr, hwaddr *next)
{
    unsigned low = 0, high = view->n;
    unsigned hint = __atomic_load_n(&view->hint, __ATOMIC_RELAXED);

    if (hint < view->n && addr >= view->ranges[hint].first && addr <= view->ranges[hint].last) {
        return &view->ranges[hint];
    }
    while (low < high) {
        unsigned mid = low + (high - low) / 2;

        if (view->ranges[mid].last < addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low < view->n && view->ranges[low].first <= addr) {
        __atomic_store_n(&view->hint, low, __ATOMIC_RELAXED);
        return &view->ranges[low];
    }
    *next = low < view->n ? view->ranges[low].first : UINT64_MAX;
    return NULL;
}

/* ---- publishing ---------------------------------------------------------------------------------------- */

static bool ranges_equal(const FlatRange *a, const FlatRange *b)
{
    return a->first == b->first && a->last == b->last && a->mr == b->mr && a->offset == b->offset &&
           a->readonly == b->readonly;
}

static bool views_equal(const FlatView *a, const FlatView *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (!ranges_equal(&a->ranges[i], &b->ranges[i])) {
            return false;
        }
    }
    return true;
}

/* The size of a range, as listeners get it: the whole space is clipped by a byte. */
static uint64_t range_size(const FlatRange *r)
{
    uint64_t size = r->last - r->first + 1;

    return size ? size : UINT64_MAX;
}

/* Tells the listener of the ranges of `view` that `other` does not have. */
static void tell_difference(MemoryListener *l, const FlatView *view, const FlatView *other, bool add)
{
    unsigned j = 0;

    for (unsigned i = 0; i < view->n; i++) {
        const FlatRange *r = &view->ranges[i];

        while (other && j < other->n && other->ranges[j].first < r->first) {
            j++;
        }
        if (other && j < other->n && ranges_equal(r, &other->ranges[j])) {
            continue;
        }
        if (add && l->range_add) {
            l->range_add(l, r->first, range_size(r), r->mr, r->offset, r->readonly);
        } else if (!add && l->range_del) {
            l->range_del(l, r->first, range_size(r), r->mr, r->offset, r->readonly);
        }
    }
}

static void listener_update(MemoryListener *l, const FlatView *old, const FlatView *new)
{
    if (l->begin) {
        l->begin(l);
    }
    if (old) {
        tell_difference(l, old, new, false);
    }
    if (new) {
        tell_difference(l, new, old, true);
    }
    if (l->commit) {
        l->commit(l);
    }
}

void flatview_update_all(void)
{
    for (unsigned i = 0; memory_address_spaces && i < memory_address_spaces->len; i++) {
        AddressSpace *as = g_ptr_array_index(memory_address_spaces, i);
        FlatView *old = as->view;
        FlatView *new = flatview_render(as->root);

        if (views_equal(old, new)) {
            flatview_free(new);
            memory_events_update(as);
            continue;
        }
        rcu_publish(as->view, new);
        for (unsigned j = 0; j < as->listeners->len; j++) {
            listener_update(g_ptr_array_index(as->listeners, j), old, new);
        }
        memory_events_update(as);
        memory_rcu_defer(flatview_free, old);
    }
}

void memory_listener_register(MemoryListener *listener, AddressSpace *as)
{
    unsigned i = 0;

    listener->as = as;
    while (i < as->listeners->len &&
           ((MemoryListener *)g_ptr_array_index(as->listeners, i))->priority <= listener->priority) {
        i++;
    }
    g_ptr_array_insert(as->listeners, i, listener);
    listener_update(listener, NULL, as->view);
    memory_events_tell(listener, true);
}

void memory_listener_unregister(MemoryListener *listener)
{
    if (!listener->as) {
        return;
    }
    memory_events_tell(listener, false);
    g_ptr_array_remove(listener->as->listeners, listener);
    listener_update(listener, listener->as->view, NULL);
    listener->as = NULL;
}

void address_space_foreach_range(AddressSpace *as, FlatRangeFunc *func, void *opaque)
{
    FlatView *view;

    memory_rcu_enter();
    view = flatview_get(as);
    for (unsigned i = 0; i < view->n; i++) {
        const FlatRange *r = &view->ranges[i];

        if (!func(r->first, range_size(r), r->mr, r->offset, r->readonly, opaque)) {
            break;
        }
    }
    memory_rcu_leave();
}
