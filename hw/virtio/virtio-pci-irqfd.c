/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X vectors that the kernel delivers by itself: an eventfd, a route of KVM's table, nobody of us in between. Without KVM,
 * with interrupt controllers of our own, or while the vector is masked, somebody else reads the eventfd (N3).
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"
#include "util/trace.h"
#include "virtio-pci-internal.h"

TRACE_EVENT(kvm_virtio_pci_irqfd_use)
TRACE_EVENT(kvm_virtio_pci_irqfd_release)

static bool make_route(VirtioPci *card, unsigned vector, VirtioPciRoute *route)
{
    MsixMessage m = msix_get_message(&card->pci, vector);
    g_autoptr(GError) error = NULL;
    int gsi = kvm_route_alloc();

    if (gsi < 0) {
        return false;
    }
    kvm_route_set_msi(gsi, m.address, m.data);
    if (!kvm_routes_commit(&error)) {
        kvm_route_clear(gsi);
        return false;
    }
    route->gsi = gsi;
    return true;
}

static void drop_route(VirtioPciRoute *route)
{
    kvm_route_clear(route->gsi);
    kvm_routes_commit(NULL);
}

bool virtio_pci_add_irqfd(VirtioPci *card, uint16_t vector, int fd)
{
    VirtioPciPrivate *s = card->priv;
    VirtioPciRoute *route;

    if (!kvm_enabled() || kvm_irqchip() == KVM_IRQCHIP_USER || msix_is_masked(&card->pci, vector) ||
        !kvm_check_extension(KVM_CAP_IRQFD)) {
        return false;
    }
    if (!s->routes) {
        s->routes = g_new0(VirtioPciRoute, msix_vectors(&card->pci));
    }
    route = &s->routes[vector];
    if (!route->users && !make_route(card, vector, route)) {
        return false;
    }
    if (!kvm_irqfd_add(route->gsi, fd, -1, NULL)) {
        if (!route->users) {
            drop_route(route);
        }
        return false;
    }
    route->users++;
    trace(kvm_virtio_pci_irqfd_use, "vector %u gsi %d", vector, route->gsi);
    return true;
}

void virtio_pci_del_irqfd(VirtioPci *card, uint16_t vector, int fd)
{
    VirtioPciRoute *route = &card->priv->routes[vector];

    kvm_irqfd_remove(route->gsi, fd);
    trace(kvm_virtio_pci_irqfd_release, "vector %u gsi %d", vector, route->gsi);
    if (!--route->users) {
        drop_route(route);
    }
}
