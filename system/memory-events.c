/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eventfds and coalesced zones of regions, and where they come to lie in address spaces (system/memory.h). */
#include "util/osdep.h"

#include "memory-internal.h"

static unsigned regions_with_events; /* none: nothing to compare */

/* ---- regions ------------------------------------------------------------------------------------------------- */

static bool events_equal(const MemoryEventFd *a, const MemoryEventFd *b)
{
    return a->address == b->address && a->size == b->size && a->match == b->match &&
           a->fd == b->fd && (!a->match || a->value == b->value);
}

static int find_event(const GArray *events, const MemoryEventFd *event)
{
    for (unsigned i = 0; events && i < events->len; i++) {
        if (events_equal(&g_array_index(events, MemoryEventFd, i), event)) {
            return i;
        }
    }
    return -1;
}

void memory_region_add_eventfd(MemoryRegion *mr, hwaddr offset, unsigned size, bool match,
                               uint64_t value, int fd)
{
    MemoryEventFd event = { offset, size, match, value, fd };

    g_assert(mr->kind == MEMORY_REGION_IO && find_event(mr->eventfds, &event) < 0);
    if (!mr->eventfds) {
        mr->eventfds = g_array_new(FALSE, TRUE, sizeof(MemoryEventFd));
        regions_with_events++;
    }
    g_array_append_val(mr->eventfds, event);
    memory_tree_has_changed();
}

void memory_region_del_eventfd(MemoryRegion *mr, hwaddr offset, unsigned size, bool match,
                               uint64_t value, int fd)
{
    MemoryEventFd event = { offset, size, match, value, fd };
    int at = find_event(mr->eventfds, &event);

    g_assert(at >= 0);
    g_array_remove_index(mr->eventfds, at);
    memory_tree_has_changed();
}

void memory_region_add_coalescing(MemoryRegion *mr, hwaddr offset, uint64_t size)
{
    MemoryZone zone = { offset, size };

    if (!mr->coalesced) {
        mr->coalesced = g_array_new(FALSE, TRUE, sizeof(MemoryZone));
        regions_with_events++;
    }
    g_array_append_val(mr->coalesced, zone);
    memory_tree_has_changed();
}

void memory_region_clear_coalescing(MemoryRegion *mr)
{
    if (mr->coalesced && mr->coalesced->len) {
        g_array_set_size(mr->coalesced, 0);
        memory_tree_has_changed();
    }
}

void memory_events_release(MemoryRegion *mr)
{
    regions_with_events -= (mr->eventfds != NULL) + (mr->coalesced != NULL);
    g_clear_pointer(&mr->eventfds, g_array_unref);
    g_clear_pointer(&mr->coalesced, g_array_unref);
}

bool memory_event_signal(const MemoryRegion *mr, hwaddr offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < mr->eventfds->len; i++) {
        const MemoryEventFd *e = &g_array_index(mr->eventfds, MemoryEventFd, i);

        if (e->address == offset && (!e->size || e->size == size) &&
            (!e->match || e->value == value)) {
            const uint64_t one = 1;
            ssize_t r;

            do {
                r = write(e->fd, &one, sizeof(one));
            } while (r < 0 && errno == EINTR); /* EAGAIN: it is signalled as much as it can be */
            return true;
        }
    }
    return false;
}

/* ---- address spaces -------------------------------------------------------------------------------------------- */

/* The parts of a region's events that the range shows. */
static void collect_range(const FlatRange *r, GArray *events, GArray *zones)
{
    for (unsigned i = 0; r->mr->eventfds && i < r->mr->eventfds->len; i++) {
        MemoryEventFd event = g_array_index(r->mr->eventfds, MemoryEventFd, i);

        if (event.address >= r->offset && event.address - r->offset <= r->last - r->first) {
            event.address = r->first + (event.address - r->offset);
            g_array_append_val(events, event);
        }
    }
    for (unsigned i = 0; r->mr->coalesced && i < r->mr->coalesced->len; i++) {
        MemoryZone zone = g_array_index(r->mr->coalesced, MemoryZone, i);
        hwaddr start = MAX(zone.start, r->offset);
        hwaddr end = MIN(zone.start + zone.size - 1, r->offset + (r->last - r->first));

        if (start <= end) {
            zone = (MemoryZone){ r->first + (start - r->offset), end - start + 1 };
            g_array_append_val(zones, zone);
        }
    }
}

static int find_zone(const GArray *zones, const MemoryZone *zone)
{
    for (unsigned i = 0; i < zones->len; i++) {
        const MemoryZone *z = &g_array_index(zones, MemoryZone, i);

        if (z->start == zone->start && z->size == zone->size) {
            return i;
        }
    }
    return -1;
}

static void tell_event(MemoryListener *l, const MemoryEventFd *event, bool add)
{
    if (add && l->eventfd_add) {
        l->eventfd_add(l, event);
    } else if (!add && l->eventfd_del) {
        l->eventfd_del(l, event);
    }
}

static void tell_zone(MemoryListener *l, const MemoryZone *zone, bool add)
{
    if (add && l->coalesce_add) {
        l->coalesce_add(l, zone->start, zone->size);
    } else if (!add && l->coalesce_del) {
        l->coalesce_del(l, zone->start, zone->size);
    }
}

/* Tells everybody what `a` has and `b` has not. */
static void tell_event_difference(AddressSpace *as, const GArray *a, const GArray *b, bool add)
{
    for (unsigned i = 0; i < a->len; i++) {
        const MemoryEventFd *event = &g_array_index(a, MemoryEventFd, i);

        for (unsigned j = 0; find_event(b, event) < 0 && j < as->listeners->len; j++) {
            tell_event(g_ptr_array_index(as->listeners, j), event, add);
        }
    }
}

static void tell_zone_difference(AddressSpace *as, const GArray *a, const GArray *b, bool add)
{
    for (unsigned i = 0; i < a->len; i++) {
        const MemoryZone *zone = &g_array_index(a, MemoryZone, i);

        for (unsigned j = 0; find_zone(b, zone) < 0 && j < as->listeners->len; j++) {
            tell_zone(g_ptr_array_index(as->listeners, j), zone, add);
        }
    }
}

void memory_events_update(AddressSpace *as)
{
    GArray *events, *zones;

    if (!regions_with_events && !as->eventfds->len && !as->coalesced->len) {
        return;
    }
    events = g_array_new(FALSE, TRUE, sizeof(MemoryEventFd));
    zones = g_array_new(FALSE, TRUE, sizeof(MemoryZone));
    for (unsigned i = 0; i < as->view->n; i++) {
        collect_range(&as->view->ranges[i], events, zones);
    }
    tell_event_difference(as, as->eventfds, events, false);
    tell_event_difference(as, events, as->eventfds, true);
    tell_zone_difference(as, as->coalesced, zones, false);
    tell_zone_difference(as, zones, as->coalesced, true);
    g_array_unref(as->eventfds);
    g_array_unref(as->coalesced);
    as->eventfds = events;
    as->coalesced = zones;
}

void memory_events_tell(MemoryListener *l, bool add)
{
    for (unsigned i = 0; i < l->as->eventfds->len; i++) {
        tell_event(l, &g_array_index(l->as->eventfds, MemoryEventFd, i), add);
    }
    for (unsigned i = 0; i < l->as->coalesced->len; i++) {
        tell_zone(l, &g_array_index(l->as->coalesced, MemoryZone, i), add);
    }
}
