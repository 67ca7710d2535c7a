/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -netdev vhost-user, and what virtio-net needs of it and of vhost-net in the kernel. One session for all queues of the
 * netdev; ring 2i receives for the guest, ring 2i + 1 sends. The control queue is the card's own and not the back end's.
 *
 * Enables go out behind SET_FEATURES and SET_MEM_TABLE, as everything that the session does (VU5). A back end that goes and
 * can come back is a link that is down meanwhile; the rings wait for it. A cable that the user pulls (set_link) is something else: the card
 * takes the rings from the back end, and drops what the driver sends.
 */
#include "util/osdep.h"

#include "hw/virtio/vhost-kernel.h"
#include "hw/virtio/vhost-net.h"
#include "util/bytes.h"
#include "util/error.h"

#define F_GUEST_ANNOUNCE 21
#define ETH_TYPE_RARP 0x8035
#define RARP_BYTES 14

struct VhostNet {
    VhostDevice vhost;
    char *name;
    unsigned refs;                 /* clients; the card while it has a session (vhost-user) */
    const NetVhost **kernel_pairs; /* NULL: vhost-user */
    bool force;
    unsigned queues;
    bool away; /* the back end is */
    VhostNetChanged *changed;
    bool enable[VHOST_USER_MAX_RINGS];
};

typedef struct VhostNetClient {
    NetClient nc;
    VhostNet *net;
} VhostNetClient;

static const NetClientOps client_ops;

static VhostNet *kernel_net(NetClient *const *peers, unsigned n)
{
    g_autofree const NetVhost **pairs = g_new0(const NetVhost *, n);
    VhostNet *net;

    for (unsigned i = 0; i < n; i++) {
        pairs[i] = peers[i]->ops->vhost ? peers[i]->ops->vhost(peers[i]) : NULL;
        if (!pairs[i]) {
            return NULL;
        }
    }
    net = g_new0(VhostNet, 1);
    net->name = g_strdup(peers[0]->name);
    net->queues = n;
    net->force = pairs[0]->force;
    net->kernel_pairs = g_steal_pointer(&pairs);
    return net;
}

VhostNet *vhost_net_of(NetClient *const *peers, unsigned n)
{
    if (!n || !peers[0]) {
        return NULL;
    }
    return peers[0]->ops == &client_ops ? ((VhostNetClient *)peers[0])->net : kernel_net(peers, n);
}

bool vhost_net_is_optional(const VhostNet *net)
{
    return net->kernel_pairs;
}

/* ---- the netdev ---------------------------------------------------------------------------------------- */

/* Nothing comes this way but announcements: the back end makes one for a guest that cannot. */
static bool client_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    VhostNet *net = ((VhostNetClient *)nc)->net;
    uint8_t frame[64];
    size_t header = nc->peer ? nc->peer->vnet_header : 0, have = 0;

    for (unsigned i = 0; i < niov && have < sizeof(frame); i++) {
        size_t n = MIN(iov[i].iov_len, sizeof(frame) - have);

        memcpy(frame + have, iov[i].iov_base, n);
        have += n;
    }
    if (net->vhost.vu && nc->queue_index == 0 && have >= header + RARP_BYTES &&
        load_be16(frame + header + 12) == ETH_TYPE_RARP &&
        !(net->vhost.vdev->guest_features >> F_GUEST_ANNOUNCE & 1)) {
        vhost_user_send_rarp(net->vhost.vu, frame + header + 6, NULL, NULL);
    }
    return true;
}

/* What a back end really can its features say. */
static unsigned client_offloads(NetClient *nc)
{
    return NET_OFFLOAD_VNET_HEADER | NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
           NET_OFFLOAD_ECN | NET_OFFLOAD_UFO | NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;
}

static void net_unref(VhostNet *net)
{
    if (--net->refs == 0) {
        chardev_fe_detach(&net->vhost.fe);
        g_free(net->name);
        g_free(net);
    }
}

static void client_cleanup(NetClient *nc)
{
    net_unref(((VhostNetClient *)nc)->net);
}

static const NetClientOps client_ops = {
    .kind = NET_CLIENT_DRIVER_VHOST_USER,
    .size = sizeof(VhostNetClient),
    .receive = client_receive,
    .offloads = client_offloads,
    .cleanup = client_cleanup,
};

static bool create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevVhostUserOptions *o = &netdev->u.vhost_user;
    int64_t queues = o->has_queues ? o->queues : 1;
    Chardev *chr = chardev_find(o->chardev);
    VhostNet *net;

    if (!chr) {
        return error_set(error, "chardev \"%s\" not found", o->chardev);
    }
    if (queues < 1 || queues > VHOST_USER_MAX_RINGS / 2) {
        return error_set(error, "vhost-user number of queues must be in range [1, %d]",
                         VHOST_USER_MAX_RINGS / 2);
    }
    net = g_new0(VhostNet, 1);
    if (!chardev_fe_attach(&net->vhost.fe, chr, error)) {
        g_free(net);
        return false;
    }
    net->name = g_strdup(name);
    net->queues = (unsigned)queues;
    net->vhost.timeout_ms = o->has_x_reply_timeout ? o->x_reply_timeout : 0;
    for (unsigned i = 0; i < net->queues; i++) {
        NetClient *nc = net_client_new(&client_ops, "vhost-user", name, i, i ? NULL : peer);

        ((VhostNetClient *)nc)->net = net;
        net->refs++;
        net_set_info(nc, "vhost-user%u to %s", i, o->chardev);
    }
    return true;
}

static const NetBackend vhost_user_backend = { .kind = NET_CLIENT_DRIVER_VHOST_USER,
                                               .create = create };
NET_BACKEND_REGISTER(vhost_user_backend)

/* ---- for the card -------------------------------------------------------------------------------------- */

static void link_changed(VhostDevice *d, bool up)
{
    VhostNet *net = (VhostNet *)d;

    net->away = !up;
    net->changed(d->vdev);
}

bool vhost_net_is_away(const VhostNet *net)
{
    return net->away;
}

/* Ends what is made for one card: the kernel's. */
static void kernel_net_free(VhostNet *net)
{
    g_free(net->kernel_pairs);
    g_free(net->name);
    g_free(net);
}

static void kernel_broken(void *opaque)
{
    VhostNet *net = opaque;

    virtio_error(net->vhost.vdev, "vhost-net: the kernel cannot use a ring");
}

static bool connect_kernel(VhostNet *net, VirtioDevice *vdev, GError **error)
{
    VhostKernelOptions options = {
        .name = virtio_name(vdev),
        .pairs = net->kernel_pairs,
        .n = net->queues,
        .broken = kernel_broken,
        .opaque = net,
    };
    VhostKernel *kernel = vhost_kernel_new(&options, error);

    if (!kernel) {
        kernel_net_free(net);
        return false;
    }
    vhost_device_attach(&net->vhost, vdev, &vhost_kernel_session_ops, kernel);
    net->vhost.enable = net->enable;
    net->vhost.may_fall_back = !net->force;
    return true;
}

bool vhost_net_connect(VhostNet *net, VirtioDevice *vdev, unsigned max_pairs,
                       VhostNetChanged *changed, GError **error)
{
    unsigned max;

    if (net->kernel_pairs) {
        return connect_kernel(net, vdev, error);
    }
    if (net->vhost.vu) {
        return error_set(error, "netdev '%s' has a card already", net->name);
    }
    if (!vhost_device_connect(&net->vhost, vdev,
                              UINT64_C(1) << VHOST_USER_PROTOCOL_F_RARP |
                                  UINT64_C(1) << VHOST_USER_PROTOCOL_F_MTU,
                              error)) {
        return false;
    }
    max = MAX(1, vhost_user_max_rings(net->vhost.vu)); /* pairs: a net device counts them */
    if (max_pairs > max) {
        vhost_device_unrealize(&net->vhost);
        return error_set(error, "you are asking more queues than supported: %u", max);
    }
    net->vhost.enable = net->enable;
    net->vhost.link_changed = link_changed;
    net->changed = changed;
    net->away = false;
    net->refs++;
    return true;
}

bool vhost_net_realize(VhostNet *net, GError **error)
{
    return vhost_device_realize(&net->vhost, error);
}

void vhost_net_unrealize(VhostNet *net)
{
    bool connected = net && net->vhost.session;

    if (connected) {
        vhost_device_unrealize(&net->vhost);
    }
    if (net && net->kernel_pairs) {
        kernel_net_free(net);
    } else if (connected) {
        net_unref(net);
    }
}

bool vhost_net_get_features(VhostNet *net, uint64_t *features, uint64_t own, GError **error)
{
    if (net->kernel_pairs) {
        own = ~VHOST_KERNEL_FEATURES; /* what else there is the card and the interface do */
    }
    return vhost_device_get_features(&net->vhost, features, own, error);
}

void vhost_net_reset(VhostNet *net)
{
    vhost_device_reset(&net->vhost);
}

static void set_enable(VhostNet *net, unsigned curr)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(net->enable); i++) {
        net->enable[i] = i < 2 * curr;
    }
}

bool vhost_net_start(VhostNet *net, unsigned pairs, unsigned curr, unsigned mtu, GError **error)
{
    set_enable(net, curr);
    net->vhost.max_rings = 2 * pairs;
    if (net->vhost.vu) {
        vhost_user_set_mtu(net->vhost.vu, (uint16_t)mtu);
    }
    return vhost_device_start(&net->vhost, error);
}

void vhost_net_stop(VhostNet *net)
{
    vhost_device_stop(&net->vhost);
}

void vhost_net_set_pairs(VhostNet *net, unsigned curr)
{
    set_enable(net, curr);
    vhost_device_update_enables(&net->vhost);
}

bool vhost_net_queue_enable(VhostNet *net, unsigned n, GError **error)
{
    return n >= net->vhost.max_rings || vhost_device_queue_enable(&net->vhost, n, error);
}

bool vhost_net_queue_reset(VhostNet *net, unsigned n, GError **error)
{
    return n >= net->vhost.max_rings || vhost_device_queue_reset(&net->vhost, n, error);
}

QuiesceResult vhost_net_quiesce(VhostNet *net, GError **error)
{
    return vhost_device_quiesce(&net->vhost, error);
}

bool vhost_net_check_late(VhostNet *net, GError **error)
{
    return vhost_device_check_late(&net->vhost, error);
}
