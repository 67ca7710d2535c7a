/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the memory core share: regions, flat views, RCU sections, RAM writes. */
#ifndef SYSTEM_MEMORY_INTERNAL_H
#define SYSTEM_MEMORY_INTERNAL_H

#include <glib.h>
#include "qom/object.h"
#include "system/memory.h"

typedef enum MemoryRegionKind {
    MEMORY_REGION_CONTAINER,
    MEMORY_REGION_IO,
    MEMORY_REGION_RAM,
    MEMORY_REGION_ALIAS,
} MemoryRegionKind;

struct MemoryRegion {
    Object object;
    char *name;
    MemoryRegionKind kind;
    uint64_t size;             /* UINT64_MAX: 2^64 */
    const MemoryOps *ops;      /* IO; ROM with writes that mean something */
    void *opaque;
    const Object *owner;       /* to compare with; may be gone */
    RamBlock *block;           /* RAM; owned unless block_borrowed */
    bool rom;                  /* RAM that was made read-only for good */
    bool readonly;
    bool enabled;
    MemoryRegion *target;      /* ALIAS; holds a reference */
    hwaddr target_offset;
    MemoryRegion *container;   /* where it is mapped, NULL: nowhere */
    hwaddr addr;
    int32_t priority;
    GArray *eventfds;          /* MemoryEventFd with offsets for addresses; NULL: none */
    GArray *coalesced;         /* MemoryZone with offsets; NULL: none */
    GPtrArray *subs;           /* MemoryRegion *, highest priority first, then newest first; holds references */
};

/* One piece of a flat view: guest addresses first..last belong to mr from `offset` on. */
typedef struct FlatRange {
    hwaddr first, last;
    MemoryRegion *mr;
    hwaddr offset;
    bool readonly;
} FlatRange;

/* Constant once published, except for the lookup hint. Holds references to its regions. */
typedef struct FlatView {
    uint64_t id;               /* not 0, of this view only */
    unsigned n;
    unsigned hint;             /* index of the last hit; atomic, only a hint */
    FlatRange *ranges;         /* sorted, disjoint */
} FlatView;

/* Where writes may arrive late. */
typedef struct MemoryZone {
    hwaddr start;
    uint64_t size;
} MemoryZone;

struct AddressSpace {
    char *name;
    MemoryRegion *root;        /* holds a reference */
    FlatView *view;            /* RCU */
    GPtrArray *listeners;      /* MemoryListener *, by priority */
    GArray *eventfds;          /* MemoryEventFd that listeners have been told of */
    GArray *coalesced;         /* MemoryZone */
};

extern GPtrArray *memory_address_spaces; /* AddressSpace * */

/* A pointer that readers in RCU sections follow. Plain acquire and release: thread sanitizers understand them. */
#define rcu_publish(pointer, value) __atomic_store_n(&(pointer), value, __ATOMIC_RELEASE)
#define rcu_follow(pointer) __atomic_load_n(&(pointer), __ATOMIC_ACQUIRE)

/* Readers of views and of the RAM list, from any thread, may nest. */
void memory_rcu_enter(void);
void memory_rcu_leave(void);
/* Runs func(data) in the main loop once no reader can see data any more. */
void memory_rcu_defer(void (*func)(void *data), void *data);

FlatView *flatview_render(MemoryRegion *root);
/* The view of the moment; inside an RCU section. */
FlatView *flatview_get(AddressSpace *as);
/* The range that holds addr; NULL, with the start of the next one in *next (UINT64_MAX if there is none). */
const FlatRange *flatview_find(FlatView *view, hwaddr addr, hwaddr *next);
/* The tree or its events differ from what was published. */
void memory_tree_has_changed(void);
/* Makes what the tree says the view of every space and tells the listeners. */
void flatview_update_all(void);
/* memory-events.c: tells listeners what has changed since the last time; to one that comes or goes, everything. */
void memory_events_update(AddressSpace *as);
void memory_events_tell(MemoryListener *l, bool add);
void memory_events_release(MemoryRegion *mr);
/* Whether a write goes to an eventfd, which is signalled then. */
bool memory_event_signal(const MemoryRegion *mr, hwaddr offset, uint64_t value, unsigned size);

/* Frees a view that was never published. */
void flatview_free(void *view);

/* ram.c: a block and its release; the region calls them. */
RamBlock *ram_block_new(const char *idstr, uint64_t size, GError **error);
void ram_block_release(RamBlock *block);
/* Whether writer may write now; if not, remembers it (M4). */
bool ram_write_allowed(const char *writer);

MemResult memory_access(AddressSpace *as, hwaddr addr, void *read_buf, const void *write_buf, uint64_t len,
                        const char *writer);

#endif
