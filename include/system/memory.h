/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: regions, address spaces, RAM blocks, dirty tracking.
 *
 * A MemoryRegion is a node of a tree: a container, RAM, ROM, I/O with callbacks, or an alias of a part of
 * another. An AddressSpace flattens the tree under its root; readers see the flat map by RCU.
 *
 * M1  The tree changes under the big lock; each outermost commit publishes one new flat map.
 * M2  Reading and writing guest memory is safe from any thread inside an RCU read section, which the access
 *     functions enter by themselves.
 * M3  Whoever writes RAM marks the pages dirty for every active client before the write can be missed:
 *     write first, mark after; migration clears before it reads.
 * M4  After ram_close() (quiesce) every write through these functions fails and names the writer.
 */
#ifndef SYSTEM_MEMORY_H
#define SYSTEM_MEMORY_H

#include <glib.h>
#include "qom/object.h"

typedef uint64_t hwaddr;

#define GUEST_PAGE_BITS 12
#define GUEST_PAGE_SIZE (UINT64_C(1) << GUEST_PAGE_BITS)

typedef struct MemoryRegion MemoryRegion;
typedef struct AddressSpace AddressSpace;
typedef struct RamBlock RamBlock;

/* Result of an access; errors may be OR-ed together. */
typedef enum MemResult {
    MEM_OK = 0,
    MEM_ERROR = 1 << 0,          /* the device refused; RAM that the host has lost (system/poison.h) */
    MEM_DECODE_ERROR = 1 << 1,   /* nothing there */
    MEM_CLOSED = 1 << 2,         /* RAM is closed (M4) */
} MemResult;

typedef enum MemEndian { MEM_LITTLE_ENDIAN, MEM_BIG_ENDIAN } MemEndian;

/* What an I/O region does. offset is relative to the region; size is 1, 2, 4 or 8 bytes. */
typedef struct MemoryOps {
    uint64_t (*read)(void *opaque, hwaddr offset, unsigned size);
    void (*write)(void *opaque, hwaddr offset, uint64_t value, unsigned size);
    MemEndian endian;
    struct {
        unsigned min_size, max_size; /* sizes the guest may use; 0: 1 and 8. Others: all ones / ignored */
        bool unaligned;
    } valid;
    struct {
        unsigned min_size, max_size; /* sizes the callbacks take; accesses are split or widened. 0: 1 and 4 */
        bool unaligned;
    } impl;
    /* Instead of the size rules in `valid`, where they depend on more. NULL: the rules. */
    bool (*accepts)(void *opaque, hwaddr offset, unsigned size, bool is_write);
} MemoryOps;

/* ---- regions ------------------------------------------------------------------------------------------- */

extern const ObjectType memory_region_type;

/* Regions are objects: created with one reference, children of owner in the tree (NULL: unattached). Names
 * are copied. size UINT64_MAX stands for the whole 2^64. Freed by memory_region_free() when unmapped. */
MemoryRegion *memory_region_new_container(Object *owner, const char *name, uint64_t size);
MemoryRegion *memory_region_new_io(Object *owner, const MemoryOps *ops, void *opaque, const char *name,
                                   uint64_t size);
/* RAM in a new block of that id (must be unique); NULL with an error if the host has no memory. */
MemoryRegion *memory_region_new_ram(Object *owner, const char *name, uint64_t size, GError **error);
/* As memory_region_new_ram() in a block that exists already (system/ram.h); the region owns it from now on. */
MemoryRegion *memory_region_new_ram_block(Object *owner, const char *name, RamBlock *block);
/* RAM that is read-only for the guest. */
MemoryRegion *memory_region_new_rom(Object *owner, const char *name, uint64_t size, GError **error);
/* The same with a block that a stream may bring in another size, up to max_size. For ROMs that are not mapped. */
MemoryRegion *memory_region_new_rom_resizable(Object *owner, const char *name, uint64_t size, uint64_t max_size,
                                              GError **error);
/* ROM whose writes are not ignored but given to ops->write (flash memory): KVM reads the memory and hands the writes out. */
MemoryRegion *memory_region_new_rom_device(Object *owner, const MemoryOps *ops, void *opaque, const char *name,
                                           uint64_t size, GError **error);
MemoryRegion *memory_region_new_alias(Object *owner, const char *name, MemoryRegion *target,
                                      hwaddr offset, uint64_t size);
/* Unmaps where mapped and drops the creator's reference. NULL is allowed. */
void memory_region_free(MemoryRegion *mr);

/* Maps sub into container at offset; higher priority wins where regions overlap. */
void memory_region_map(MemoryRegion *container, hwaddr offset, MemoryRegion *sub);
void memory_region_map_overlap(MemoryRegion *container, hwaddr offset, MemoryRegion *sub, int priority);
void memory_region_unmap(MemoryRegion *container, MemoryRegion *sub);
void memory_region_set_enabled(MemoryRegion *mr, bool enabled);
void memory_region_set_address(MemoryRegion *mr, hwaddr offset);
void memory_region_set_size(MemoryRegion *mr, uint64_t size);
void memory_region_set_alias_offset(MemoryRegion *mr, hwaddr offset);
void memory_region_set_readonly(MemoryRegion *mr, bool readonly);
bool memory_region_is_mapped(const MemoryRegion *mr);
uint64_t memory_region_size(const MemoryRegion *mr);
const char *memory_region_name(const MemoryRegion *mr);
hwaddr memory_region_address(const MemoryRegion *mr);
/* Host memory of a RAM region; NULL for others. */
void *memory_region_ram_ptr(MemoryRegion *mr);
RamBlock *memory_region_ram_block(MemoryRegion *mr);
/* Marks pages written by other means than the access functions. */
void memory_region_set_dirty(MemoryRegion *mr, hwaddr offset, uint64_t len);

/* Several changes, one new flat map. */
void memory_transaction_begin(void);
void memory_transaction_commit(void);

/* ---- address spaces ------------------------------------------------------------------------------------ */

/* The machine's memory and I/O port roots and spaces; exist after memory_init(). */
void memory_init(void);
MemoryRegion *system_memory(void);
MemoryRegion *system_io(void);
extern AddressSpace *address_space_memory, *address_space_io;

AddressSpace *address_space_new(MemoryRegion *root, const char *name);
void address_space_free(AddressSpace *as);

/* Reads or writes bytes; RAM is copied, I/O regions see accesses of fitting size. Any thread (I/O regions
 * need the big lock: taken by itself where the caller does not hold it). */
MemResult address_space_read(AddressSpace *as, hwaddr addr, void *buf, uint64_t len);
MemResult address_space_write(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len);
MemResult address_space_memset(AddressSpace *as, hwaddr addr, uint8_t c, uint64_t len);
/* Writes even into ROM (firmware loading, qtest does not). */
MemResult address_space_write_rom(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len);

/* Ports. */
uint64_t port_read(hwaddr port, unsigned size);
void port_write(hwaddr port, uint64_t value, unsigned size);

/* Calls func for each range of the flat map in order; false stops. */
typedef bool FlatRangeFunc(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset_in_region,
                           bool readonly, void *opaque);
void address_space_foreach_range(AddressSpace *as, FlatRangeFunc *func, void *opaque);

/* ---- events instead of accesses --------------------------------------------------------------------------- */

/*
 * A write of `size` bytes (0: any size) at the region's offset signals an eventfd instead of calling the region; with
 * match only if it writes `value`. KVM signals in the kernel; where the write comes to us (qtest, a host without),
 * the access functions do it. The descriptor stays the caller's, who takes the entry away before closing it.
 */
void memory_region_add_eventfd(MemoryRegion *mr, hwaddr offset, unsigned size, bool match, uint64_t value, int fd);
void memory_region_del_eventfd(MemoryRegion *mr, hwaddr offset, unsigned size, bool match, uint64_t value, int fd);
/* Writes to [offset, offset + size) may arrive late, in order, before anything else that the guest does to us: for
 * registers without an effect that the guest could wait for. */
void memory_region_add_coalescing(MemoryRegion *mr, hwaddr offset, uint64_t size);
void memory_region_clear_coalescing(MemoryRegion *mr);

/* An eventfd as an address space has it. */
typedef struct MemoryEventFd {
    hwaddr address;
    unsigned size;
    bool match;
    uint64_t value;
    int fd;
} MemoryEventFd;

/* Those who mirror the flat map elsewhere (KVM slots): told of each range that goes or comes, between begin
 * and commit. Registered for one space; replays the present map. */
typedef struct MemoryListener {
    const char *name;
    int priority;
    void (*begin)(struct MemoryListener *l);
    void (*commit)(struct MemoryListener *l);
    void (*range_add)(struct MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset_in_region, bool readonly);
    void (*range_del)(struct MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset_in_region, bool readonly);
    void (*eventfd_add)(struct MemoryListener *l, const MemoryEventFd *event);
    void (*eventfd_del)(struct MemoryListener *l, const MemoryEventFd *event);
    void (*coalesce_add)(struct MemoryListener *l, hwaddr start, uint64_t size);
    void (*coalesce_del)(struct MemoryListener *l, hwaddr start, uint64_t size);
    bool (*log_start)(struct MemoryListener *l, GError **error); /* dirty logging of everything */
    void (*log_stop)(struct MemoryListener *l);
    void (*log_sync)(struct MemoryListener *l, bool last);       /* bits into the RAM blocks */
    AddressSpace *as;
    void *opaque;
} MemoryListener;

void memory_listener_register(MemoryListener *listener, AddressSpace *as);
void memory_listener_unregister(MemoryListener *listener);

/* How monitors translate linear addresses (`x`); hw/core sets it. */
typedef enum MonitorTranslation { TRANSLATION_NO_CPU, TRANSLATION_NOT_MAPPED, TRANSLATION_DONE } MonitorTranslation;
void memory_set_monitor_translation(MonitorTranslation (*translate)(int64_t cpu_index, uint64_t linear,
                                                                    uint64_t *physical));

/* ---- DMA -------------------------------------------------------------------------------------------------- */

/* Device access to guest memory. writer names the device for M4; a constant or device-owned string. */
MemResult dma_read(AddressSpace *as, hwaddr addr, void *buf, uint64_t len);
MemResult dma_write(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len, const char *writer);
/* The same by a device that has registers in the address space: they do not answer it (MEM_ERROR; reads are all ones), nor
 * does anybody whom it reaches through another device. So no register is written while the device is in the middle of
 * something. */
MemResult dma_read_by(AddressSpace *as, hwaddr addr, void *buf, uint64_t len, const Object *device);
MemResult dma_write_by(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len, const Object *device);
/* Maps guest memory for a while: returns a host pointer for *len bytes (may be made shorter; RAM only) or
 * NULL where it is not RAM, or RAM that the host has lost (the mapping ends before it). to_device: the host reads; otherwise writes and dma_unmap() marks `used` bytes
 * dirty. Mappings are counted: quiesce asserts that none is left. */
void *dma_map(AddressSpace *as, hwaddr addr, uint64_t *len, bool to_device);
void dma_unmap(AddressSpace *as, void *host, uint64_t len, bool to_device, uint64_t used,
               const char *writer);
unsigned dma_mappings_active(void);

/*
 * A range of guest RAM that is accessed often (rings): looked up again only when the map has changed. What is not RAM
 * cannot be accessed this way: MEM_DECODE_ERROR. Writes obey M3 and M4. One thread at a time; nothing to free.
 */
typedef struct MemoryCache {
    AddressSpace *as;
    hwaddr addr;
    uint64_t len;
    /* private */
    uint64_t view_id;  /* of the view it was looked up in; 0: never */
    uint64_t host_len; /* bytes from addr on that lie in one piece of RAM */
    uint8_t *host;
    RamBlock *block;
    uint64_t offset;
    bool writable;
} MemoryCache;
void memory_cache_init(MemoryCache *cache, AddressSpace *as, hwaddr addr, uint64_t len);
/* offset + len must lie in the range. An aligned access of 2, 4 or 8 bytes is one access. */
MemResult memory_cache_read(MemoryCache *cache, uint64_t offset, void *buf, uint64_t len);
MemResult memory_cache_write(MemoryCache *cache, uint64_t offset, const void *buf, uint64_t len, const char *writer);

/* ---- RAM blocks and dirty bitmaps --------------------------------------------------------------------------- */

struct RamBlock {
    char *idstr;               /* "pc.ram" */
    uint8_t *host;
    uint64_t size;             /* used bytes, multiple of page_size */
    uint64_t max_size;
    size_t page_size;          /* of the backing store */
    hwaddr offset;             /* position in the ram address space of this process */
    MemoryRegion *region;
    int fd;                    /* -1: anonymous */
    uint64_t fd_offset;        /* where in fd it begins */
    bool shared;
    bool readonly_for_guest;
    bool host_readonly;        /* mapped without PROT_WRITE */
    bool not_migrated;
    bool resizable;            /* ram_block_resize() */
    unsigned long *dirty[3];   /* per client, one bit a GUEST_PAGE; atomic */
    unsigned long *poison;     /* system/poison.h: one bit a GUEST_PAGE; atomic pointer, NULL: there never was any */
};

typedef enum DirtyClient { DIRTY_MIGRATION, DIRTY_VGA, DIRTY_CODE, DIRTY_CLIENTS } DirtyClient;

/* Blocks in the order that the stream lists them. Inside an RCU read section, or under the big lock. */
typedef bool RamBlockFunc(RamBlock *block, void *opaque);
bool ram_foreach(RamBlockFunc *func, void *opaque);
RamBlock *ram_find(const char *idstr);
uint64_t ram_total_size(void);
/* The block that holds this host address, with the offset; NULL if none. */
RamBlock *ram_block_from_host(const void *host, uint64_t *offset);

/* Turns dirty logging of DIRTY_MIGRATION on (everything starts dirty) and off. Big lock. */
bool ram_dirty_log_start(GError **error);
void ram_dirty_log_stop(void);
bool ram_dirty_log_active(void);
/* Collects bits from listeners (KVM) into the blocks. last: nothing runs any more. */
void ram_dirty_log_sync(bool last);
void ram_block_set_dirty(RamBlock *block, uint64_t offset, uint64_t len);
/* Takes the migration bits of pages [page, page + n): atomically copies and clears. Returns how many of
 * them dst did not have yet; dst (n bits, from bit 0 of word page / 64 on) gets them OR-ed in. page and n are
 * multiples of 64, n may also end with the block. */
uint64_t ram_block_take_dirty(RamBlock *block, uint64_t page, uint64_t n, unsigned long *dst);

/* Gives [offset, offset + len), whole guest pages, back to the host: it reads as zeros then. False where that cannot be (huge
 * pages, files that are not shared) or must not be now. Big lock. */
bool ram_block_discard(RamBlock *block, uint64_t offset, uint64_t len);
/* Nobody discards memory while somebody inhibits it (postcopy, vhost-user that pins); counted. */
void ram_discard_inhibit(bool inhibit);

/* Quiesce: closes RAM for writers (M4) / opens it again. The first late write is kept: its name, or NULL. */
void ram_close(void);
void ram_open(void);
bool ram_is_closed(void);
const char *ram_late_writer(void);
/* P2: whether nobody has written since, neither by us nor, as far as dirty logs tell, past us (KVM itself, vhost). For
 * the moment when everything is saved; the last look at the dirty bitmap has taken what was before. left_out (may be
 * NULL) names blocks that are not sent. Big lock. */
bool ram_check_late_writes(bool (*left_out)(const RamBlock *block), GError **error);
/* Tests: make the pages read-only as well, so that any other writer dies. */
void ram_set_guard_pages(bool enable);

#endif
