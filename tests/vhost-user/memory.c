/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test back end: guest memory as the front end has given it, and the log of writes. */
#include "util/osdep.h"

#include <sys/mman.h>

#include "backend-internal.h"

static uint8_t *find(Conn *c, uint64_t addr, uint64_t len, bool guest)
{
    uint8_t *p = NULL;

    g_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->nregions && !p; i++) {
        const Region *r = &c->regions[i];
        uint64_t base = guest ? r->wire.guest_address : r->wire.user_address;

        if (addr >= base && addr - base < r->wire.size && len <= r->wire.size - (addr - base)) {
            p = r->map + r->wire.mmap_offset + (addr - base);
        }
    }
    g_mutex_unlock(&c->lock);
    return p;
}

uint8_t *conn_gpa(Conn *c, uint64_t gpa, uint64_t len)
{
    return find(c, gpa, len, true);
}

uint8_t *conn_uva(Conn *c, uint64_t uva)
{
    return find(c, uva, 1, false);
}

void conn_log(Conn *c, uint64_t gpa, uint64_t len)
{
    g_mutex_lock(&c->lock);
    if (c->log && c->features >> VHOST_F_LOG_ALL & 1) {
        for (uint64_t page = gpa / 4096; len && page <= (gpa + len - 1) / 4096; page++) {
            if (page / 8 < c->log_size) {
                __atomic_fetch_or(&c->log[page / 8], 1 << page % 8, __ATOMIC_SEQ_CST);
            }
        }
    }
    g_mutex_unlock(&c->lock);
}

bool conn_add_region(Conn *c, const VhostUserMemRegion *wire, int fd)
{
    Region r = { .wire = *wire, .map_size = wire->size + wire->mmap_offset };

    if (fd < 0 || c->nregions == MAX_REGIONS) {
        return false;
    }
    r.map = mmap(NULL, r.map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (r.map == MAP_FAILED) {
        return false;
    }
    g_mutex_lock(&c->lock);
    c->regions[c->nregions++] = r;
    g_mutex_unlock(&c->lock);
    return true;
}

void conn_drop_region(Conn *c, unsigned i)
{
    munmap(c->regions[i].map, c->regions[i].map_size);
    c->regions[i] = c->regions[--c->nregions];
}

bool conn_remove_region(Conn *c, const VhostUserMemRegion *wire)
{
    for (unsigned i = 0; i < c->nregions; i++) {
        if (c->regions[i].wire.guest_address == wire->guest_address &&
            c->regions[i].wire.size == wire->size) {
            g_mutex_lock(&c->lock);
            conn_drop_region(c, i);
            g_mutex_unlock(&c->lock);
            return true;
        }
    }
    return false;
}
