/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts into the kernel: the routing table, lines, messages, irqfds. */
#include "util/osdep.h"

#include "util/error.h"
#include "kvm-internal.h"

#define FIRST_FREE_GSI 24 /* below are the pins of the I/O APIC */

static GArray *routes; /* struct kvm_irq_routing_entry */
static bool routes_changed;

/* ---- routing ------------------------------------------------------------------------------------------------ */

static GArray *table(void)
{
    if (!routes) {
        routes = g_array_new(FALSE, TRUE, sizeof(struct kvm_irq_routing_entry));
    }
    return routes;
}

static struct kvm_irq_routing_entry *route_at(unsigned i)
{
    return &g_array_index(table(), struct kvm_irq_routing_entry, i);
}

void kvm_route_set_irqchip(unsigned gsi, unsigned chip, unsigned pin)
{
    struct kvm_irq_routing_entry entry = {
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = { .irqchip = chip, .pin = pin },
    };

    g_array_append_val(table(), entry);
    routes_changed = true;
}

void kvm_route_clear(unsigned gsi)
{
    for (unsigned i = 0; i < table()->len;) {
        if (route_at(i)->gsi == gsi) {
            g_array_remove_index(table(), i);
            routes_changed = true;
        } else {
            i++;
        }
    }
}

void kvm_route_set_msi(unsigned gsi, uint64_t address, uint32_t data)
{
    struct kvm_irq_routing_entry entry = {
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = address, .address_hi = address >> 32, .data = data },
    };

    kvm_route_clear(gsi);
    g_array_append_val(table(), entry);
    routes_changed = true;
}

bool kvm_routes_commit(GError **error)
{
    g_autofree struct kvm_irq_routing *arg = NULL;
    size_t bytes = table()->len * sizeof(struct kvm_irq_routing_entry);
    int r;

    if (!routes_changed) {
        return true;
    }
    arg = g_malloc0(sizeof(*arg) + bytes);
    arg->nr = table()->len;
    if (bytes) {
        memcpy(arg->entries, table()->data, bytes);
    }
    r = kvm_vm_ioctl(KVM_SET_GSI_ROUTING, arg);
    if (r < 0) {
        return error_set_errno(error, -r, "KVM does not take the table of interrupts (%u entries)",
                               table()->len);
    }
    routes_changed = false;
    return true;
}

static bool gsi_used(unsigned gsi)
{
    for (unsigned i = 0; i < table()->len; i++) {
        if (route_at(i)->gsi == gsi) {
            return true;
        }
    }
    return false;
}

int kvm_route_alloc(void)
{
    int max = kvm_check_extension(KVM_CAP_IRQ_ROUTING);

    for (int gsi = FIRST_FREE_GSI; gsi < max; gsi++) {
        if (!gsi_used(gsi)) {
            kvm_route_set_msi(gsi, 0, 0);
            return gsi;
        }
    }
    return -1;
}

/* ---- delivery ------------------------------------------------------------------------------------------------- */

void kvm_set_irq(unsigned gsi, int level)
{
    struct kvm_irq_level line = { .irq = gsi, .level = level != 0 };
    int r = kvm_vm_ioctl(KVM_IRQ_LINE, &line);

    if (r < 0) {
        error_report("KVM_IRQ_LINE (GSI %u): %s", gsi, g_strerror(-r));
    }
}

void kvm_send_msi(uint64_t address, uint32_t data)
{
    struct kvm_msi msi = { .address_lo = address, .address_hi = address >> 32, .data = data };

    /* Nobody may be there to take it, or the vector is one that cannot be: as on the bus, nobody hears of that. */
    kvm_vm_ioctl(KVM_SIGNAL_MSI, &msi);
}

static bool irqfd(unsigned gsi, int fd, int resample_fd, uint32_t flags, GError **error)
{
    struct kvm_irqfd arg = { .fd = fd, .gsi = gsi, .flags = flags };
    int r;

    if (!kvm_check_extension(KVM_CAP_IRQFD)) {
        return error_set_class(error, TERN_ERROR_KVM_MISSING_CAP,
                               "the host's KVM does not support KVM_CAP_IRQFD");
    }
    if (resample_fd >= 0) {
        if (!kvm_check_extension(KVM_CAP_IRQFD_RESAMPLE)) {
            return error_set_class(error, TERN_ERROR_KVM_MISSING_CAP,
                                   "the host's KVM does not support KVM_CAP_IRQFD_RESAMPLE");
        }
        arg.flags |= KVM_IRQFD_FLAG_RESAMPLE;
        arg.resamplefd = resample_fd;
    }
    r = kvm_vm_ioctl(KVM_IRQFD, &arg);
    return r >= 0 || error_set_errno(error, -r, "KVM_IRQFD (GSI %u)", gsi);
}

bool kvm_irqfd_add(unsigned gsi, int fd, int resample_fd, GError **error)
{
    return irqfd(gsi, fd, resample_fd, 0, error);
}

void kvm_irqfd_remove(unsigned gsi, int fd)
{
    irqfd(gsi, fd, -1, KVM_IRQFD_FLAG_DEASSIGN, NULL);
}
