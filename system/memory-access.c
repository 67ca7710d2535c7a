/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading and writing guest memory: RAM is copied, I/O regions see accesses of sizes that they take.
 *
 * A guest access becomes in turn: pieces that lie in one range (RAM) or that the region accepts (I/O, `valid`);
 * and calls that its callbacks implement (`impl`).
 */
#include "util/osdep.h"

#include "util/bytes.h"
#include "system/poison.h"
#include "util/guard.h"
#include "util/log.h"
#include "util/main-loop.h"
#include "memory-internal.h"

/* ---- I/O regions --------------------------------------------------------------------------------------- */

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
}

/* What the guest asked for in one go: whether the region takes it. */
static bool io_accepts(MemoryRegion *mr, hwaddr offset, unsigned size, bool is_write)
{
    const MemoryOps *ops = mr->ops;
    unsigned max = ops->valid.max_size ? ops->valid.max_size : 8;

    if (ops->accepts) {
        return ops->accepts(mr->opaque, offset, size, is_write);
    }
    return size >= ops->valid.min_size && size <= max && (ops->valid.unaligned || offset % size == 0);
}

/*
 * The largest piece of [offset, offset + len) to ask for: a power of two that is aligned. A neighbour that decodes
 * the next addresses does not make it smaller: a register takes the width of the access from its first address
 * alone (a double word at port 0xcf8 is one access, although another device has 0xcf9).
 */
static unsigned io_piece(MemoryRegion *mr, hwaddr offset, uint64_t len)
{
    unsigned size = mr->ops->valid.max_size ? mr->ops->valid.max_size : 4;

    len = MIN(len, mr->size - offset);
    if (!mr->ops->valid.unaligned && offset) {
        uint64_t alignment = offset & -offset;

        size = MIN(size, alignment);
    }
    while (size > len) {
        size /= 2;
    }
    return size;
}

static uint64_t io_call_read(MemoryRegion *mr, hwaddr offset, unsigned size)
{
    return (mr->ops->read ? mr->ops->read(mr->opaque, offset, size) : 0) & size_mask(size);
}

static void io_call_write(MemoryRegion *mr, hwaddr offset, uint64_t value, unsigned size)
{
    if (mr->ops->write) {
        mr->ops->write(mr->opaque, offset, value & size_mask(size), size);
    }
}

/* Bit position of the part at byte `at` of a value that is `size` bytes wide, made of `part` bytes each. */
static unsigned part_shift(const MemoryOps *ops, unsigned at, unsigned part, unsigned size)
{
    return 8 * (ops->endian == MEM_BIG_ENDIAN ? size - part - at : at);
}

/*
 * One accepted access, split into or widened to what the callbacks implement. A narrow access to a region
 * that implements only wider ones reads the aligned unit and takes its part; a narrow write gives the unit
 * with zeros around it.
 */
static uint64_t io_read(MemoryRegion *mr, hwaddr offset, unsigned size)
{
    const MemoryOps *ops = mr->ops;
    unsigned min = ops->impl.min_size ? ops->impl.min_size : 1;
    unsigned max = ops->impl.max_size ? ops->impl.max_size : 4;
    uint64_t value = 0;

    if (size < min) {
        unsigned at = offset % min;

        return io_call_read(mr, offset - at, min) >> part_shift(ops, at, size, min) & size_mask(size);
    }
    if (size <= max && (ops->impl.unaligned || offset % size == 0)) {
        return io_call_read(mr, offset, size);
    }
    for (unsigned at = 0, part; at < size; at += part) {
        part = MIN(max, size - at);
        while (!ops->impl.unaligned && part > min && (offset + at) % part) {
            part /= 2;
        }
        value |= io_call_read(mr, offset + at, part) << part_shift(ops, at, part, size);
    }
    return value;
}

static void io_write(MemoryRegion *mr, hwaddr offset, uint64_t value, unsigned size)
{
    const MemoryOps *ops = mr->ops;
    unsigned min = ops->impl.min_size ? ops->impl.min_size : 1;
    unsigned max = ops->impl.max_size ? ops->impl.max_size : 4;

    if (size < min) {
        unsigned at = offset % min;

        io_call_write(mr, offset - at, (value & size_mask(size)) << part_shift(ops, at, size, min), min);
        return;
    }
    if (size <= max && (ops->impl.unaligned || offset % size == 0)) {
        io_call_write(mr, offset, value, size);
        return;
    }
    for (unsigned at = 0, part; at < size; at += part) {
        part = MIN(max, size - at);
        while (!ops->impl.unaligned && part > min && (offset + at) % part) {
            part /= 2;
        }
        io_call_write(mr, offset + at, value >> part_shift(ops, at, part, size), part);
    }
}

static uint64_t value_from_bytes(const MemoryOps *ops, const uint8_t *buf, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)buf[i] << part_shift(ops, i, 1, size);
    }
    return value;
}

static void value_to_bytes(const MemoryOps *ops, uint64_t value, uint8_t *buf, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        buf[i] = value >> part_shift(ops, i, 1, size);
    }
}

/* One access to an I/O region, of *len bytes at most; *len becomes its size. Big lock. */
static MemResult io_access(MemoryRegion *mr, hwaddr offset, uint8_t *rd, const uint8_t *wr, uint64_t *len)
{
    unsigned size = io_piece(mr, offset, *len);

    *len = size;
    if (!io_accepts(mr, offset, size, wr)) {
        if (rd) {
            memset(rd, 0xff, size);
        }
        return MEM_DECODE_ERROR;
    }
    if (wr) {
        uint64_t value = value_from_bytes(mr->ops, wr, size);

        if (!mr->eventfds || !memory_event_signal(mr, offset, value, size)) {
            io_write(mr, offset, value, size);
        }
    } else {
        value_to_bytes(mr->ops, io_read(mr, offset, size), rd, size);
    }
    return MEM_OK;
}

/* ---- spaces -------------------------------------------------------------------------------------------- */

typedef struct Access {
    uint8_t *rd;          /* or */
    const uint8_t *wr;
    bool into_rom;
    const char *writer;
    const Object *device; /* that does it, or NULL */
} Access;

/* The devices whose DMA this thread is in, the innermost first. */
typedef struct Master {
    const Object *device;
    const struct Master *outer;
} Master;

static __thread const Master *masters;

static bool is_master(const Object *device)
{
    const Master *m = device ? masters : NULL;

    while (m && m->device != device) {
        m = m->outer;
    }
    return m != NULL;
}

/* A register of a device that is in the middle of DMA. */
static MemResult refused_access(const FlatRange *r, hwaddr addr, const Access *a, uint64_t *len)
{
    *len = MIN(*len - 1, r->last - addr) + 1;
    log_guest_error("%s: DMA that reaches its own registers at 0x%" PRIx64, r->mr->owner->type->name,
                    (uint64_t)addr);
    if (a->rd) {
        memset(a->rd, 0xff, *len);
    }
    return MEM_ERROR;
}

/* A page that the host has lost, known or found just now: what can be read is read, the rest is all ones. */
static MemResult lost_page_access(RamBlock *block, hwaddr offset, const Access *a, uint64_t len)
{
    for (uint64_t at = 0, n; at < len; at += n) {
        void *host = block->host + offset + at, *bad;

        n = MIN(len - at, GUEST_PAGE_SIZE - (offset + at) % GUEST_PAGE_SIZE);
        if (ram_page_poisoned(block, offset + at) ||
            !guard_copy(a->rd ? a->rd + at : host, a->rd ? host : a->wr + at, n, &bad)) {
            ram_poison_find(&(struct iovec){ host, n }, 1);
            if (a->rd) {
                memset(a->rd + at, 0xff, n);
            }
        }
    }
    return MEM_ERROR;
}

static MemResult ram_access(MemoryRegion *mr, bool readonly, hwaddr offset, const Access *a, uint64_t len)
{
    uint8_t *host = mr->block->host + offset;

    if (a->rd) {
        if (ram_range_poisoned(mr->block, offset, len) || !guard_copy(a->rd, host, len, NULL)) {
            return lost_page_access(mr->block, offset, a, len);
        }
        return MEM_OK;
    }
    if ((readonly && !a->into_rom) || mr->block->host_readonly) {
        return MEM_OK; /* ROM ignores writes */
    }
    if (!ram_write_allowed(a->writer)) {
        return MEM_CLOSED;
    }
    if (ram_range_poisoned(mr->block, offset, len) || !guard_copy(host, a->wr, len, NULL)) {
        ram_block_set_dirty(mr->block, offset, len);
        return lost_page_access(mr->block, offset, a, len);
    }
    ram_block_set_dirty(mr->block, offset, len);
    return MEM_OK;
}

/* Nothing there: reads are zeros, as on stock's system bus. */
static MemResult hole_access(const Access *a, uint64_t len)
{
    if (a->rd) {
        memset(a->rd, 0, len);
    }
    return MEM_DECODE_ERROR;
}

/*
 * The piece at addr, *len bytes at most; *len becomes the bytes done. Inside an RCU section. An I/O region
 * without the big lock is not touched: *needs_lock is set (the region may go while we wait for the lock, so
 * the caller looks again).
 */
static MemResult access_piece(AddressSpace *as, hwaddr addr, const Access *a, uint64_t *len, bool *needs_lock)
{
    hwaddr next;
    const FlatRange *r = flatview_find(flatview_get(as), addr, &next);
    hwaddr offset;

    if (!r) {
        *len = MIN(*len, next - addr);
        *len = *len ? *len : 1; /* the last byte of the space */
        return hole_access(a, *len);
    }
    offset = r->offset + (addr - r->first);
    if (r->mr->kind == MEMORY_REGION_RAM && (!r->mr->ops || a->rd || a->into_rom)) {
        if (r->last - addr < *len - 1) {
            *len = r->last - addr + 1;
        }
        return ram_access(r->mr, r->readonly, offset, a, *len);
    }
    if (!bql_locked()) {
        *needs_lock = true;
        *len = 0;
        return MEM_OK;
    }
    if (is_master(r->mr->owner)) {
        return refused_access(r, addr, a, len);
    }
    return io_access(r->mr, offset, a->rd, a->wr, len);
}

static MemResult access_space(AddressSpace *as, hwaddr addr, Access a, uint64_t len)
{
    const Master master = { a.device, masters };
    MemResult result = MEM_OK;
    bool locked = false;

    masters = a.device ? &master : masters;
    memory_rcu_enter();
    while (len) {
        uint64_t done = len;
        bool needs_lock = false;

        result |= access_piece(as, addr, &a, &done, &needs_lock);
        if (needs_lock) {
            memory_rcu_leave();
            bql_lock();
            locked = true;
            memory_rcu_enter();
            continue;
        }
        addr += done;
        len -= done;
        a.rd += a.rd ? done : 0;
        a.wr += a.wr ? done : 0;
    }
    memory_rcu_leave();
    masters = master.outer;
    if (locked) {
        bql_unlock();
    }
    return result;
}

MemResult address_space_read(AddressSpace *as, hwaddr addr, void *buf, uint64_t len)
{
    return access_space(as, addr, (Access){ .rd = buf }, len);
}

MemResult address_space_write(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len)
{
    return access_space(as, addr, (Access){ .wr = buf, .writer = "a direct access to guest memory" }, len);
}

MemResult address_space_write_rom(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len)
{
    return access_space(as, addr,
                        (Access){ .wr = buf, .into_rom = true, .writer = "a direct access to guest memory" },
                        len);
}

MemResult address_space_memset(AddressSpace *as, hwaddr addr, uint8_t c, uint64_t len)
{
    MemResult result = MEM_OK;
    uint8_t buf[4096];

    memset(buf, c, MIN(len, sizeof(buf)));
    while (len) {
        uint64_t n = MIN(len, sizeof(buf));

        result |= address_space_write(as, addr, buf, n);
        addr += n;
        len -= n;
    }
    return result;
}

/* ---- ports --------------------------------------------------------------------------------------------- */

uint64_t port_read(hwaddr port, unsigned size)
{
    uint8_t buf[8] = { 0 };

    address_space_read(address_space_io, port, buf, size);
    return load_le64(buf);
}

void port_write(hwaddr port, uint64_t value, unsigned size)
{
    uint8_t buf[8];

    store_le64(buf, value);
    address_space_write(address_space_io, port, buf, size);
}

/* ---- DMA ----------------------------------------------------------------------------------------------- */

static unsigned mappings; /* atomic */

MemResult dma_read(AddressSpace *as, hwaddr addr, void *buf, uint64_t len)
{
    return address_space_read(as, addr, buf, len);
}

MemResult dma_write(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len, const char *writer)
{
    return access_space(as, addr, (Access){ .wr = buf, .writer = writer }, len);
}

MemResult dma_read_by(AddressSpace *as, hwaddr addr, void *buf, uint64_t len, const Object *device)
{
    return access_space(as, addr, (Access){ .rd = buf, .device = device }, len);
}

MemResult dma_write_by(AddressSpace *as, hwaddr addr, const void *buf, uint64_t len, const Object *device)
{
    return access_space(as, addr, (Access){ .wr = buf, .writer = device->type->name, .device = device }, len);
}

/* How many of len bytes from offset on can be used. */
static uint64_t readable_length(const RamBlock *block, uint64_t offset, uint64_t len)
{
    uint64_t first = offset >> GUEST_PAGE_BITS, end = (offset + len - 1) / GUEST_PAGE_SIZE + 1;
    uint64_t lost = ram_next_poisoned(block, first, end);

    return lost == end ? len : lost == first ? 0 : (lost << GUEST_PAGE_BITS) - offset;
}

void *dma_map(AddressSpace *as, hwaddr addr, uint64_t *len, bool to_device)
{
    void *host = NULL;
    const FlatRange *r;
    hwaddr next;

    memory_rcu_enter();
    r = flatview_find(flatview_get(as), addr, &next);
    if (r && *len && r->mr->kind == MEMORY_REGION_RAM &&
        (to_device || (!r->readonly && !r->mr->block->host_readonly && ram_write_allowed("dma_map")))) {
        if (r->last - addr < *len - 1) {
            *len = r->last - addr + 1;
        }
        uint64_t offset = r->offset + (addr - r->first), n = readable_length(r->mr->block, offset, *len);

        if (n) {
            *len = n;
            host = r->mr->block->host + offset;
            __atomic_add_fetch(&mappings, 1, __ATOMIC_SEQ_CST);
        }
    }
    memory_rcu_leave();
    return host;
}

void dma_unmap(AddressSpace *as, void *host, uint64_t len, bool to_device, uint64_t used, const char *writer)
{
    uint64_t offset;
    RamBlock *block;

    g_assert(used <= len);
    if (!to_device && used) {
        memory_rcu_enter();
        block = ram_block_from_host(host, &offset);
        g_assert(block);
        ram_write_allowed(writer); /* too late to refuse: remembered */
        ram_block_set_dirty(block, offset, used);
        memory_rcu_leave();
    }
    unsigned before = __atomic_fetch_sub(&mappings, 1, __ATOMIC_SEQ_CST);
    g_assert(before > 0);
}

unsigned dma_mappings_active(void)
{
    return __atomic_load_n(&mappings, __ATOMIC_ACQUIRE);
}
