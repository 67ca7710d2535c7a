/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients and the packets between them. Invariants N1 to N4 are in include/net/net.h.
 *
 * A client that goes while a call into it is on the stack is marked dead and freed when the last one returns.
 */
#include "util/osdep.h"
#include "net-private.h"

#include "util/error.h"
#include "util/iov.h"

typedef struct Waiting {
    size_t len;
    uint8_t data[];
} Waiting;

static GQueue clients = G_QUEUE_INIT; /* NetClient *, in order of creation */
static bool running = true;

/* ---- life ------------------------------------------------------------------------------------------------- */

static char *next_name(const char *model)
{
    for (unsigned n = 0;; n++) {
        char *name = g_strdup_printf("%s.%u", model, n);

        if (!net_find_any(name)) {
            return name;
        }
        g_free(name);
    }
}

NetClient *net_client_new(const NetClientOps *ops, const char *model, const char *name,
                          unsigned queue_index, NetClient *peer)
{
    NetClient *nc = g_malloc0(ops->size);

    nc->ops = ops;
    nc->model = g_strdup(model);
    nc->name = name ? g_strdup(name) : next_name(model);
    nc->info = g_strdup("");
    nc->queue_index = queue_index;
    g_queue_init(&nc->waiting);
    g_queue_push_tail(&clients, nc);
    if (peer) {
        net_connect(nc, peer);
    }
    return nc;
}

void net_connect(NetClient *a, NetClient *b)
{
    g_assert(!a->peer && !b->peer && a != b);
    a->peer = b;
    b->peer = a;
}

static void client_destroy(NetClient *nc)
{
    g_free(nc->name);
    g_free(nc->model);
    g_free(nc->info);
    g_free(nc->path);
    g_free(nc);
}

static void client_enter(NetClient *nc)
{
    nc->busy++;
}

static void client_leave(NetClient *nc)
{
    if (--nc->busy == 0 && nc->dead) {
        client_destroy(nc);
    }
}

void net_client_free(NetClient *nc)
{
    NetClient *peer;

    if (!nc || nc->dead) {
        return;
    }
    client_enter(nc);
    nc->dead = true;
    peer = nc->peer;
    nc->peer = NULL;
    g_queue_remove(&clients, nc);
    net_purge(nc);
    if (nc->ops->cleanup) {
        nc->ops->cleanup(nc);
    }
    if (peer) {
        client_enter(peer);
        peer->peer = NULL;
        peer->link_down = true;
        net_purge(peer);
        if (peer->ops->link_changed) {
            peer->ops->link_changed(peer);
        }
        if (!peer->dead && peer->ops->sendable) {
            peer->wants_to_send = false;
            peer->ops->sendable(peer); /* to nobody: it drops what it kept */
        }
        client_leave(peer);
    }
    client_leave(nc);
}

void net_set_info(NetClient *nc, const char *fmt, ...)
{
    va_list args;

    g_free(nc->info);
    va_start(args, fmt);
    nc->info = g_strdup_vprintf(fmt, args);
    va_end(args);
}

unsigned net_find(const char *name, NetClientDriver kind, NetClient **found, unsigned max)
{
    unsigned n = 0;

    for (GList *l = clients.head; l; l = l->next) {
        NetClient *nc = l->data;
        bool fits = kind == NET_ANY_BACKEND ? nc->ops->kind != NET_CLIENT_DRIVER_NIC
                                            : nc->ops->kind == kind;

        if (fits && !strcmp(nc->name, name)) {
            if (n < max) {
                found[n] = nc;
            }
            n++;
        }
    }
    return n;
}

NetClient *net_find_any(const char *name)
{
    NetClient *nc = NULL;

    if (net_find(name, NET_CLIENT_DRIVER_NIC, &nc, 1) == 0) {
        net_find(name, NET_ANY_BACKEND, &nc, 1);
    }
    return nc;
}

bool net_foreach(NetClientFunc *func, void *opaque)
{
    for (GList *l = clients.head; l; l = l->next) {
        if (!func(l->data, opaque)) {
            return false;
        }
    }
    return true;
}

/* ---- packets ------------------------------------------------------------------------------------------------ */

/* N3: cards wait for the VM; what is sent to a client whose link is down is dropped, which is at once. */
static bool may_receive(NetClient *nc)
{
    if (nc->ops->kind == NET_CLIENT_DRIVER_NIC && !running) {
        return false;
    }
    return nc->link_down || !nc->ops->can_receive || nc->ops->can_receive(nc);
}

static bool deliver(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    bool taken;

    if (nc->link_down || len == 0 || len > NET_PACKET_MAX) {
        return true;
    }
    nc->receiving = true;
    taken = nc->ops->receive(nc, iov, niov, len);
    nc->receiving = false;
    return taken;
}

/* The packet as one that waits in front of nc; a full queue drops it. */
static void enqueue(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    Waiting *packet;

    if (len > NET_PACKET_MAX || nc->waiting.length >= NET_QUEUE_PACKETS ||
        nc->waiting_bytes + len > NET_QUEUE_BYTES) {
        return;
    }
    packet = g_malloc(sizeof(*packet) + len);
    packet->len = len;
    iov_to_buf(iov, niov, 0, packet->data, len);
    g_queue_push_tail(&nc->waiting, packet);
    nc->waiting_bytes += len;
}

/* Delivers what waits, in order (N4). Whether all of it went. nc is entered. */
static bool drain(NetClient *nc)
{
    while (!nc->dead && !nc->receiving && nc->waiting.length) {
        Waiting *packet;
        struct iovec iov;

        if (!may_receive(nc)) {
            break;
        }
        packet = g_queue_pop_head(&nc->waiting);
        nc->waiting_bytes -= packet->len;
        iov = (struct iovec){ packet->data, packet->len };
        if (!deliver(nc, &iov, 1, packet->len) && !nc->dead) {
            g_queue_push_head(&nc->waiting, packet);
            nc->waiting_bytes += packet->len;
            break;
        }
        g_free(packet);
    }
    return nc->waiting.length == 0;
}

bool net_can_send(NetClient *nc)
{
    NetClient *peer = nc->peer;

    if (nc->link_down || !peer) {
        return true;
    }
    if (peer->waiting.length == 0 && !peer->receiving && may_receive(peer)) {
        return true;
    }
    nc->wants_to_send = true;
    return false;
}

/* Delivers or says "not now"; keep: the core keeps it then. */
static bool send_packet(NetClient *nc, const struct iovec *iov, unsigned niov, bool keep)
{
    NetClient *peer = nc->peer;
    size_t len = iov_size(iov, niov);
    bool taken = false;

    if (nc->link_down || !peer) {
        return true;
    }
    client_enter(peer);
    if (peer->receiving) {
        enqueue(peer, iov, niov, len); /* N2: delivered when that call is over */
        taken = true;
    } else if (peer->waiting.length == 0 && may_receive(peer)) {
        taken = deliver(peer, iov, niov, len);
        drain(peer);
    }
    if (!taken && keep) {
        enqueue(peer, iov, niov, len);
        taken = true;
    } else if (!taken) {
        nc->wants_to_send = true;
    }
    client_leave(peer);
    return taken;
}

bool net_try_send(NetClient *nc, const struct iovec *iov, unsigned niov)
{
    return send_packet(nc, iov, niov, false);
}

void net_send(NetClient *nc, const struct iovec *iov, unsigned niov)
{
    send_packet(nc, iov, niov, true);
}

void net_send_buf(NetClient *nc, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };

    net_send(nc, &iov, 1);
}

void net_send_raw(NetClient *nc, const void *buf, size_t len)
{
    static uint8_t header[32]; /* no offload */
    struct iovec iov[2] = { { header, nc->vnet_header }, { (void *)buf, len } };

    g_assert(nc->vnet_header <= sizeof(header));
    net_send(nc, iov, 2);
}

void net_flush(NetClient *nc)
{
    NetClient *peer;

    client_enter(nc);
    peer = nc->peer;
    if (drain(nc) && !nc->dead && peer && peer->wants_to_send && may_receive(nc)) {
        client_enter(peer);
        peer->wants_to_send = false;
        if (peer->ops->sendable) {
            peer->ops->sendable(peer);
        }
        client_leave(peer);
    }
    client_leave(nc);
}

void net_purge(NetClient *nc)
{
    g_queue_clear_full(&nc->waiting, g_free);
    nc->waiting_bytes = 0;
}

unsigned net_waiting(const NetClient *nc)
{
    return nc->waiting.length;
}

/* ---- the VM runs or stops ------------------------------------------------------------------------------------- */

/* Calls func for all clients, which may come and go meanwhile. */
static void for_all(void (*func)(NetClient *nc))
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (GList *l = clients.head; l; l = l->next) {
        client_enter(l->data);
        g_ptr_array_add(all, l->data);
    }
    for (unsigned i = 0; i < all->len; i++) {
        NetClient *nc = g_ptr_array_index(all, i);

        if (!nc->dead) {
            func(nc);
        }
        client_leave(nc);
    }
}

static void tell_running(NetClient *nc)
{
    if (nc->ops->vm_running) {
        nc->ops->vm_running(nc, running);
    }
}

static void flush_card(NetClient *nc)
{
    if (nc->ops->kind == NET_CLIENT_DRIVER_NIC) {
        net_flush(nc);
    }
}

void net_set_vm_running(bool on)
{
    if (running == on) {
        return;
    }
    running = on;
    for_all(tell_running);
    if (on) {
        for_all(flush_card);
    }
}

bool net_vm_running(void)
{
    return running;
}

static void free_netdev(NetClient *nc)
{
    if (nc->ops->kind != NET_CLIENT_DRIVER_NIC) {
        net_client_free(nc);
    }
}

void net_cleanup(void)
{
    for_all(free_netdev);
}

/* ---- link ----------------------------------------------------------------------------------------------------------- */

static void set_link_down(NetClient *nc, bool down)
{
    if (nc->link_down == down) {
        return;
    }
    nc->link_down = down;
    if (nc->ops->link_changed) {
        nc->ops->link_changed(nc);
    }
    if (!nc->dead) {
        net_flush(nc); /* with the link down: drops */
    }
}

bool net_set_link(const char *name, bool up, GError **error)
{
    NetClient *nc = net_find_any(name);
    NetClientDriver kind = nc ? nc->ops->kind : NET_CLIENT_DRIVER_NONE;
    g_autoptr(GPtrArray) queues = g_ptr_array_new();

    if (!nc) {
        return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    }
    for (GList *l = clients.head; l; l = l->next) {
        nc = l->data;
        if (nc->ops->kind == kind && !strcmp(nc->name, name)) {
            g_ptr_array_add(queues, nc);
        }
    }
    for (unsigned i = 0; i < queues->len; i++) {
        nc = g_ptr_array_index(queues, i);
        if (kind == NET_CLIENT_DRIVER_NIC && !nc->peer && up) {
            continue; /* the other end has gone for good */
        }
        set_link_down(nc, !up);
        if (kind != NET_CLIENT_DRIVER_NIC && nc->peer &&
            nc->peer->ops->kind == NET_CLIENT_DRIVER_NIC) {
            set_link_down(nc->peer, !up); /* so that the guest sees it */
        }
    }
    return true;
}

/* ---- offloads ---------------------------------------------------------------------------------------------------------- */

unsigned net_peer_offloads(NetClient *nc)
{
    NetClient *peer = nc->peer;

    return peer && peer->ops->offloads ? peer->ops->offloads(peer) : 0;
}

void net_set_vnet_header(NetClient *nc, unsigned len)
{
    nc->vnet_header = len;
    if (nc->peer && nc->peer->ops->set_vnet_header) {
        nc->peer->ops->set_vnet_header(nc->peer, len);
    }
}

void net_set_offloads(NetClient *nc, unsigned offloads)
{
    if (nc->peer && nc->peer->ops->set_offloads) {
        nc->peer->ops->set_offloads(nc->peer, offloads);
    }
}

void net_set_polling(NetClient *nc, bool on)
{
    if (nc->peer && nc->peer->ops->set_polling) {
        nc->peer->ops->set_polling(nc->peer, on);
    }
}

void net_set_queue_used(NetClient *nc, bool used)
{
    if (nc->peer && nc->peer->ops->set_queue_used) {
        nc->peer->ops->set_queue_used(nc->peer, used);
    }
}
