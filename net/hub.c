/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hubs: what comes in at one port goes out at all others. A port whose other end is busy keeps the packet in the queue
 * in front of that end; the sender is held back while nobody could take anything.
 */
#include "util/osdep.h"
#include "net-private.h"

#include "util/error.h"

typedef struct Hub {
    int id;
    GPtrArray *ports; /* HubPort * */
    unsigned next;    /* number of the next port */
} Hub;

typedef struct HubPort {
    NetClient nc;
    Hub *hub;
} HubPort;

static GPtrArray *hubs; /* Hub *, by id */

static Hub *hub_get(int id)
{
    unsigned i = 0;
    Hub *hub;

    if (!hubs) {
        hubs = g_ptr_array_new();
    }
    while (i < hubs->len && ((Hub *)g_ptr_array_index(hubs, i))->id < id) {
        i++;
    }
    if (i < hubs->len && ((Hub *)g_ptr_array_index(hubs, i))->id == id) {
        return g_ptr_array_index(hubs, i);
    }
    hub = g_new0(Hub, 1);
    hub->id = id;
    hub->ports = g_ptr_array_new();
    g_ptr_array_insert(hubs, i, hub);
    return hub;
}

/* Whether anybody else at the hub could take a packet. */
static bool port_can_receive(NetClient *nc)
{
    HubPort *from = (HubPort *)nc;

    for (unsigned i = 0; i < from->hub->ports->len; i++) {
        HubPort *to = g_ptr_array_index(from->hub->ports, i);

        if (to != from && net_can_send(&to->nc)) {
            return true;
        }
    }
    return from->hub->ports->len == 1;
}

static bool port_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    HubPort *from = (HubPort *)nc;

    for (unsigned i = 0; i < from->hub->ports->len; i++) {
        HubPort *to = g_ptr_array_index(from->hub->ports, i);

        if (to != from) {
            net_send(&to->nc, iov, niov);
        }
    }
    return true;
}

/* One end can take packets again: so can the hub. */
static void port_sendable(NetClient *nc)
{
    HubPort *ready = (HubPort *)nc;

    for (unsigned i = 0; i < ready->hub->ports->len; i++) {
        HubPort *other = g_ptr_array_index(ready->hub->ports, i);

        if (other != ready) {
            net_flush(&other->nc);
        }
    }
}

static void port_cleanup(NetClient *nc)
{
    HubPort *port = (HubPort *)nc;

    g_ptr_array_remove(port->hub->ports, port);
}

static const NetClientOps hub_port_ops = {
    .kind = NET_CLIENT_DRIVER_HUBPORT,
    .size = sizeof(HubPort),
    .can_receive = port_can_receive,
    .receive = port_receive,
    .sendable = port_sendable,
    .cleanup = port_cleanup,
};

NetClient *net_hub_port_new(int hubid, const char *name, NetClient *peer)
{
    Hub *hub = hub_get(hubid);
    g_autofree char *default_name = g_strdup_printf("hub%dport%u", hubid, hub->next);
    NetClient *nc = net_client_new(&hub_port_ops, "hub", name ? name : default_name, 0, peer);

    hub->next++;
    ((HubPort *)nc)->hub = hub;
    g_ptr_array_add(hub->ports, nc);
    net_set_info(nc, "hubid=%d", hubid);
    return nc;
}

NetClient *net_hub_backend_of(NetClient *nc)
{
    HubPort *port = (HubPort *)nc;

    if (nc->ops != &hub_port_ops) {
        return NULL;
    }
    for (unsigned i = 0; i < port->hub->ports->len; i++) {
        NetClient *other = ((HubPort *)g_ptr_array_index(port->hub->ports, i))->nc.peer;

        if (other && other->ops->kind != NET_CLIENT_DRIVER_NIC) {
            return other;
        }
    }
    return NULL;
}

void net_hub_print(GString *out)
{
    for (unsigned i = 0; hubs && i < hubs->len; i++) {
        Hub *hub = g_ptr_array_index(hubs, i);

        if (hub->ports->len == 0) {
            continue;
        }
        g_string_append_printf(out, "hub %d\n", hub->id);
        for (unsigned p = 0; p < hub->ports->len; p++) {
            NetClient *port = &((HubPort *)g_ptr_array_index(hub->ports, p))->nc;

            g_string_append_printf(out, " \\ %s", port->name);
            if (port->peer) {
                g_string_append_printf(
                    out, ": %s: index=%u,type=%s,%s", port->peer->name, port->peer->queue_index,
                    qapi_name_NetClientDriver(port->peer->ops->kind), port->peer->info);
            }
            g_string_append_c(out, '\n');
        }
    }
}

static bool hubport_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevHubPortOptions *o = &netdev->u.hubport;
    NetClient *other = NULL;

    if (o->netdev && net_find(o->netdev, NET_ANY_BACKEND, &other, 1) == 0) {
        return error_set(error, "netdev '%s' not found", o->netdev);
    }
    if (other && (other->peer || peer)) {
        return error_set(error, "netdev '%s' is in use already", o->netdev);
    }
    net_hub_port_new(o->hubid, name, other ? other : peer);
    return true;
}

static const NetBackend hubport_backend = { .kind = NET_CLIENT_DRIVER_HUBPORT,
                                            .create = hubport_create };
NET_BACKEND_REGISTER(hubport_backend);
