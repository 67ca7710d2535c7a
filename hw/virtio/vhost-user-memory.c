/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user: guest memory as a back end sees it, and the log of the pages that it writes.
 *
 * Ranges of one RAM block with a small hole between them (the VGA window, segments of the firmware that are mapped now
 * and not then) are one region: what a guest does to those segments must not change the table, and nothing that a driver
 * puts into a ring points there.
 */
#include "util/osdep.h"

#include <fcntl.h>

#include "vhost-user-internal.h"
#include "util/error.h"

#define HOLE_MAX (UINT64_C(1) << 20)

typedef struct Collector {
    bool any;                /* it need not be shared */
    GArray *regions;         /* struct Found */
    RamBlock *private_block; /* RAM at address 0 that nobody else can see */
} Collector;

typedef struct Found {
    RamBlock *block;
    uint64_t start, size, offset;
} Found;

static bool collect(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                    void *opaque)
{
    Collector *c = opaque;
    RamBlock *block = memory_region_ram_block(mr);
    Found *last = c->regions->len ? &g_array_index(c->regions, Found, c->regions->len - 1) : NULL;
    uint64_t end;

    if (!block || block->host_readonly || block->readonly_for_guest) {
        return true;
    }
    if (!c->any && (block->fd < 0 || !block->shared)) {
        if (start == 0) {
            c->private_block = block;
        }
        return true;
    }
    end = last ? last->start + last->size : 0;
    if (last && last->block == block && start - offset == last->start - last->offset &&
        start - end <= HOLE_MAX) {
        last->size = start + size - last->start;
    } else {
        Found found = { block, start, size, offset };

        g_array_append_val(c->regions, found);
    }
    return true;
}

bool vhost_user_memory_refuse(const char *block, GError **error)
{
    return error_set(
        error,
        "guest RAM '%s' cannot be shared with a vhost-user back end: use -object "
        "memory-backend-memfd,id=m0,size=...,share=on (or memory-backend-file with share=on) and "
        "-machine memory-backend=m0",
        block);
}

static VhostUserMemory *make_memory(AddressSpace *as, bool any, GError **error)
{
    Collector c = { any, g_array_new(FALSE, FALSE, sizeof(Found)), NULL };
    VhostUserMemory *memory = NULL;

    address_space_foreach_range(as, collect, &c);
    if (any && c.regions->len == 0) {
        error_set(error, "the machine has no RAM");
    } else if (c.private_block || c.regions->len == 0) {
        vhost_user_memory_refuse(c.private_block ? c.private_block->idstr : "", error);
    } else if (c.regions->len > VHOST_USER_MAX_REGIONS) {
        error_set(error, "guest RAM has %u regions, vhost-user can have %u", c.regions->len,
                  VHOST_USER_MAX_REGIONS);
    } else {
        memory = g_malloc0(sizeof(*memory) + c.regions->len * sizeof(memory->regions[0]));
        memory->refs = 1;
        memory->n = c.regions->len;
    }
    for (unsigned i = 0; memory && i < memory->n; i++) {
        const Found *f = &g_array_index(c.regions, Found, i);

        memory->regions[i].wire = (VhostUserMemRegion){
            .guest_address = f->start,
            .size = f->size,
            .user_address = (uintptr_t)f->block->host + f->offset,
            .mmap_offset = f->block->fd_offset + f->offset,
        };
        memory->regions[i].fd = any ? -1 : fcntl(f->block->fd, F_DUPFD_CLOEXEC, 0);
    }
    g_array_unref(c.regions);
    return memory;
}

VhostUserMemory *vhost_user_memory_new(AddressSpace *as, GError **error)
{
    return make_memory(as, false, error);
}

VhostUserMemory *vhost_user_memory_new_private(AddressSpace *as, GError **error)
{
    return make_memory(as, true, error);
}

VhostUserMemory *vhost_user_memory_ref(VhostUserMemory *memory)
{
    if (memory) {
        g_atomic_int_inc(&memory->refs);
    }
    return memory;
}

void vhost_user_memory_unref(VhostUserMemory *memory)
{
    if (!memory || !g_atomic_int_dec_and_test(&memory->refs)) {
        return;
    }
    for (unsigned i = 0; i < memory->n; i++) {
        if (memory->regions[i].fd >= 0) {
            close(memory->regions[i].fd);
        }
    }
    g_free(memory);
}

uint64_t vhost_user_memory_translate(const VhostUserMemory *memory, uint64_t addr, uint64_t len)
{
    for (unsigned i = 0; memory && i < memory->n; i++) {
        const VhostUserMemRegion *r = &memory->regions[i].wire;

        if (addr >= r->guest_address && addr - r->guest_address < r->size &&
            len <= r->size - (addr - r->guest_address)) {
            return r->user_address + (addr - r->guest_address);
        }
    }
    return 0;
}

bool vhost_user_memory_equal(const VhostUserMemory *a, const VhostUserMemory *b)
{
    if (!a || !b || a->n != b->n) {
        return a == b;
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (memcmp(&a->regions[i].wire, &b->regions[i].wire, sizeof(a->regions[i].wire))) {
            return false;
        }
    }
    return true;
}

uint64_t vhost_user_memory_log_bytes(const VhostUserMemory *memory)
{
    uint64_t end = 0;

    for (unsigned i = 0; memory && i < memory->n; i++) {
        end = MAX(end, memory->regions[i].wire.guest_address + memory->regions[i].wire.size);
    }
    return end / VHOST_USER_LOG_PAGE / 8 + 8;
}

/* ---- the log ------------------------------------------------------------------------------------------- */

static bool run_log_start(VhostUser *vu, VuJob *job)
{
    if (vu->state == VU_IDLE || vu->state == VU_RUNNING) {
        if (!vu_has(vu, VHOST_USER_PROTOCOL_F_LOG_SHMFD) ||
            !(vu->features >> VHOST_F_LOG_ALL & 1)) {
            return vu_fail(vu, VHOST_USER_REFUSED,
                           "the back end cannot log the pages that it writes (LOG_SHMFD, LOG_ALL)");
        }
    }
    g_mutex_lock(&vu->log_lock);
    vu->logging = true;
    vu->log_closed = vu->log_late = false;
    g_mutex_unlock(&vu->log_lock);
    return vu_log_begin(vu);
}

static bool run_log_stop(VhostUser *vu, VuJob *job)
{
    g_mutex_lock(&vu->log_lock);
    vu->logging = false;
    g_mutex_unlock(&vu->log_lock);
    return vu_log_end(vu);
}

bool vhost_user_log_start(VhostUser *vu, GError **error)
{
    if (!vu_submit_and_wait(vu, vu_job_new(run_log_start, NULL, NULL), error)) {
        vhost_user_log_stop(vu, NULL, NULL);
        return false;
    }
    return true;
}

void vhost_user_log_stop(VhostUser *vu, VhostUserDone *done, void *opaque)
{
    vu_submit(vu, vu_job_new(run_log_stop, done, opaque));
}

static void take_page(const VhostUserMemory *memory, uint64_t page)
{
    uint64_t host = vhost_user_memory_translate(memory, page * VHOST_USER_LOG_PAGE, 1), offset;
    RamBlock *block = host ? ram_block_from_host((void *)(uintptr_t)host, &offset) : NULL;

    if (block) {
        ram_block_set_dirty(block, offset & ~(uint64_t)(VHOST_USER_LOG_PAGE - 1),
                            VHOST_USER_LOG_PAGE);
    }
}

bool vhost_user_memory_take_log(const VhostUserMemory *memory, void *log, uint64_t bytes)
{
    uint64_t *map = log;
    bool any = false;

    for (uint64_t i = 0; i < bytes / 8; i++) {
        uint64_t bits = __atomic_load_n(&map[i], __ATOMIC_RELAXED);

        if (!bits) {
            continue;
        }
        any = true;
        for (bits = __atomic_exchange_n(&map[i], 0, __ATOMIC_SEQ_CST); bits; bits &= bits - 1) {
            take_page(memory, i * 64 + (unsigned)__builtin_ctzll(bits));
        }
    }
    return any;
}

static bool take_log(VhostUser *vu)
{
    return vu->log.fd >= 0 && vhost_user_memory_take_log(vu->log_memory, vu->log.map, vu->log.size);
}

void vhost_user_log_sync(VhostUser *vu, bool last)
{
    g_mutex_lock(&vu->log_lock);
    take_log(vu);
    vu->log_closed = last;
    g_mutex_unlock(&vu->log_lock);
}

bool vhost_user_log_late(VhostUser *vu)
{
    bool late;

    g_mutex_lock(&vu->log_lock);
    if (vu->log_closed && take_log(vu)) {
        vu->log_late = true;
    }
    late = vu->log_late;
    g_mutex_unlock(&vu->log_lock);
    return late;
}
