/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses that do not come out one by one: ioeventfds (the kernel signals a descriptor) and coalesced writes (the
 * kernel keeps them in a ring until the next exit). Regions ask for either (system/memory.h); this file mirrors that.
 */
#include "util/osdep.h"

#include "util/error.h"
#include "util/main-loop.h"
#include "kvm-internal.h"

/* ---- ioeventfd --------------------------------------------------------------------------------------------------- */

static bool tell_ioeventfd(const MemoryEventFd *e, bool port, bool assign, GError **error)
{
    struct kvm_ioeventfd arg = {
        .addr = e->address,
        .len = e->size,
        .datamatch = e->value,
        .fd = e->fd,
        .flags = (port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (e->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
                 (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };
    int r;

    if (!e->size && !kvm_check_extension(KVM_CAP_IOEVENTFD_ANY_LENGTH)) {
        return error_set_class(error, TERN_ERROR_KVM_MISSING_CAP,
                               "the host's KVM does not support KVM_CAP_IOEVENTFD_ANY_LENGTH");
    }
    r = kvm_vm_ioctl(KVM_IOEVENTFD, &arg);
    return r >= 0 || error_set_errno(error, -r, "KVM_IOEVENTFD at 0x%" PRIx64, e->address);
}

/* Without the kernel's help the write comes out and memory_access signals: slower, not wrong. */
static void eventfd_add(MemoryListener *l, const MemoryEventFd *e)
{
    GError *error = NULL;

    if (!tell_ioeventfd(e, l->as == address_space_io, true, &error)) {
        warn_report("%s", error->message);
        g_error_free(error);
    }
}

static void eventfd_del(MemoryListener *l, const MemoryEventFd *e)
{
    tell_ioeventfd(e, l->as == address_space_io, false, NULL);
}

/* ---- coalesced writes --------------------------------------------------------------------------------------------- */

static struct kvm_coalesced_mmio_ring *ring; /* NULL: the kernel has none */
static unsigned ring_entries;
static unsigned zones; /* atomic */

static bool ring_find(void)
{
    int page = kvm_check_extension(KVM_CAP_COALESCED_MMIO);

    if (!ring && page) {
        CPU_FOREACH(cpu)
        {
            size_t size = sysconf(_SC_PAGESIZE);

            if (cpu->accel) {
                ring = (void *)((uint8_t *)kvm_vcpu_run_area(cpu) + page * size);
                ring_entries = (size - sizeof(*ring)) / sizeof(struct kvm_coalesced_mmio);
                break;
            }
        }
    }
    return ring;
}

static bool tell_zone(MemoryListener *l, hwaddr start, uint64_t size, unsigned long request)
{
    struct kvm_coalesced_mmio_zone zone = { .addr = start,
                                            .size = size,
                                            .pio = l->as == address_space_io };

    if (zone.pio && !kvm_check_extension(KVM_CAP_COALESCED_PIO)) {
        return false;
    }
    return ring_find() && kvm_vm_ioctl(request, &zone) >= 0;
}

static void coalesce_add(MemoryListener *l, hwaddr start, uint64_t size)
{
    if (tell_zone(l, start, size, KVM_REGISTER_COALESCED_MMIO)) {
        __atomic_add_fetch(&zones, 1, __ATOMIC_SEQ_CST);
    }
}

static void coalesce_del(MemoryListener *l, hwaddr start, uint64_t size)
{
    kvm_flush_coalesced();
    if (tell_zone(l, start, size, KVM_UNREGISTER_COALESCED_MMIO)) {
        __atomic_sub_fetch(&zones, 1, __ATOMIC_SEQ_CST);
    }
}

static void flush_locked(void)
{
    static bool busy; /* a device that is written to may come here again */

    if (busy) {
        return;
    }
    busy = true;
    while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        const struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[ring->first % ring_entries];
        AddressSpace *as = e->pio ? address_space_io : address_space_memory;

        address_space_write(as, e->phys_addr, e->data, MIN(e->len, sizeof(e->data)));
        __atomic_store_n(&ring->first, (ring->first + 1) % ring_entries, __ATOMIC_RELEASE);
    }
    busy = false;
}

void kvm_flush_coalesced(void)
{
    if (!ring || !__atomic_load_n(&zones, __ATOMIC_ACQUIRE) ||
        ring->first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        return;
    }
    if (bql_locked()) {
        flush_locked();
    } else {
        bql_lock();
        flush_locked();
        bql_unlock();
    }
}

static MemoryListener memory_events = {
    .name = "kvm-memory-events",
    .priority = 20,
    .eventfd_add = eventfd_add,
    .eventfd_del = eventfd_del,
    .coalesce_add = coalesce_add,
    .coalesce_del = coalesce_del,
};

static MemoryListener port_events = {
    .name = "kvm-io",
    .priority = 20,
    .eventfd_add = eventfd_add,
    .eventfd_del = eventfd_del,
    .coalesce_add = coalesce_add,
    .coalesce_del = coalesce_del,
};

void kvm_events_init(void)
{
    memory_listener_register(&memory_events, address_space_memory);
    memory_listener_register(&port_events, address_space_io);
}
