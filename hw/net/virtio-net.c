/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net (VIRTIO 1.2, chapter 5.1): features, configuration, queues, link, announcement, migration. Queues: a pair of
 * rx and tx, then the control queue; with MQ as many pairs as the backend has.
 */
#include "util/osdep.h"
#include "virtio-net.h"
#include "hw/virtio/virtio-pci.h"

#include "hw/core/bootorder.h"
#include "hw/core/drive.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"

/* Configuration space (5.1.4). */
enum {
    CONFIG_MAC = 0,
    CONFIG_STATUS = 6,
    CONFIG_MAX_PAIRS = 8,
    CONFIG_MTU = 10,
    CONFIG_SPEED = 12,
    CONFIG_DUPLEX = 16,
    CONFIG_SIZE = 17,
};

enum { DUPLEX_HALF = 0, DUPLEX_FULL = 1, DUPLEX_UNKNOWN = 0xff };

/* ---- features ------------------------------------------------------------------------------------------------- */

#define GUEST_OFFLOAD_FEATURES                                                   \
    (VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
     VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) |  \
     VIRTIO_BIT(VIRTIO_NET_F_GUEST_UFO) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO4) |  \
     VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO6))

/* Features that need something of the backend. */
static const struct {
    uint8_t bit;
    unsigned needs; /* NET_OFFLOAD_…; with VNET_HEADER */
} backend_features[] = {
    { VIRTIO_NET_F_CSUM, NET_OFFLOAD_CSUM },       { VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CSUM },
    { VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4 }, { VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6 },
    { VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_ECN },   { VIRTIO_NET_F_GUEST_UFO, NET_OFFLOAD_UFO },
    { VIRTIO_NET_F_HOST_TSO4, NET_OFFLOAD_TSO4 },  { VIRTIO_NET_F_HOST_TSO6, NET_OFFLOAD_TSO6 },
    { VIRTIO_NET_F_HOST_ECN, NET_OFFLOAD_ECN },    { VIRTIO_NET_F_HOST_UFO, NET_OFFLOAD_UFO },
    { VIRTIO_NET_F_GUEST_USO4, NET_OFFLOAD_USO4 }, { VIRTIO_NET_F_GUEST_USO6, NET_OFFLOAD_USO6 },
    { VIRTIO_NET_F_HOST_USO, NET_OFFLOAD_USO4 },
};

/* What the card does by itself, whoever moves the packets. */
#define OWN_FEATURES                                                               \
    (VIRTIO_BIT(VIRTIO_NET_F_MAC) | VIRTIO_BIT(VIRTIO_NET_F_STATUS) |              \
     VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) |         \
     VIRTIO_BIT(VIRTIO_NET_F_CTRL_VLAN) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
     VIRTIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | VIRTIO_BIT(VIRTIO_NET_F_SPEED_DUPLEX))

static bool net_get_features(VirtioDevice *vdev, uint64_t *features, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;
    unsigned backend = net_peer_offloads(nic_queue(&n->nic, 0));

    *features |= VIRTIO_BIT(VIRTIO_NET_F_MAC);
    if (n->mtu && n->mtu_bypass) {
        *features |= VIRTIO_BIT(VIRTIO_NET_F_MTU);
    }
    if (n->duplex || n->speed >= 0) {
        *features |= VIRTIO_BIT(VIRTIO_NET_F_SPEED_DUPLEX);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(backend_features); i++) {
        unsigned needs = backend_features[i].needs | NET_OFFLOAD_VNET_HEADER;

        if ((backend & needs) != needs) {
            *features &= ~VIRTIO_BIT(backend_features[i].bit);
        }
    }
    return !n->vhost || vhost_net_get_features(n->vhost, features, OWN_FEATURES, error);
}

uint64_t virtio_net_guest_offload_bits(const VirtioNet *n)
{
    return n->vdev.guest_features & GUEST_OFFLOAD_FEATURES;
}

void virtio_net_apply_offloads(VirtioNet *n)
{
    static const struct {
        uint8_t bit;
        unsigned offload;
    } map[] = {
        { VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CSUM },
        { VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4 },
        { VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6 },
        { VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_ECN },
        { VIRTIO_NET_F_GUEST_UFO, NET_OFFLOAD_UFO },
        { VIRTIO_NET_F_GUEST_USO4, NET_OFFLOAD_USO4 },
        { VIRTIO_NET_F_GUEST_USO6, NET_OFFLOAD_USO6 },
    };
    unsigned offloads = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(map); i++) {
        if (n->guest_offloads >> map[i].bit & 1) {
            offloads |= map[i].offload;
        }
    }
    for (unsigned i = 0; n->host_header && i < n->max_pairs; i++) {
        net_set_offloads(nic_queue(&n->nic, i), offloads);
    }
}

/* The header of the driver's packets (5.1.6), and whether the backend has the same one. */
static void set_header(VirtioNet *n, uint64_t features)
{
    bool modern = features >> VIRTIO_F_VERSION_1 & 1;

    n->mergeable = features >> VIRTIO_NET_F_MRG_RXBUF & 1;
    n->header_len = modern || n->mergeable ? 12 : 10;
    n->host_header = net_peer_offloads(nic_queue(&n->nic, 0)) & NET_OFFLOAD_VNET_HEADER;
    for (unsigned i = 0; i < n->max_pairs; i++) {
        net_set_vnet_header(nic_queue(&n->nic, i), n->host_header ? n->header_len : 0);
    }
}

void virtio_net_vlan_all(VirtioNet *n, bool on)
{
    memset(n->vlans, on ? 0xff : 0, sizeof(n->vlans));
}

static bool net_set_features(VirtioDevice *vdev, uint64_t features, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    if (!virtio_net_set_pairs(n, features >> VIRTIO_NET_F_MQ & 1)) {
        return error_set(error, "queues are in use");
    }
    set_header(n, features);
    n->guest_offloads = features & GUEST_OFFLOAD_FEATURES;
    virtio_net_apply_offloads(n);
    virtio_net_vlan_all(n, !(features >> VIRTIO_NET_F_CTRL_VLAN & 1));
    return true;
}

/* ---- queues ----------------------------------------------------------------------------------------------------- */

static void add_pair(VirtioNet *n, unsigned i)
{
    n->pairs[i].rx = virtio_add_queue(&n->vdev, n->rx_queue_size, virtio_net_handle_rx);
    n->pairs[i].tx = virtio_add_queue(&n->vdev, n->tx_queue_size, virtio_net_handle_tx);
}

static void add_ctrl(VirtioNet *n)
{
    n->ctrl = virtio_add_queue(&n->vdev, VIRTIO_NET_CTRL_QUEUE, virtio_net_handle_ctrl);
}

/* The control queue is the last one (5.1.2): as many pairs as the driver may use are in front of it. */
bool virtio_net_set_pairs(VirtioNet *n, bool multi_queue)
{
    unsigned pairs = multi_queue ? n->max_pairs : 1, have = (n->vdev.nqueues - 1) / 2;

    if (pairs == have) {
        return true;
    }
    for (unsigned i = 0; i < n->vdev.nqueues; i++) {
        if (virtqueue_inflight(virtio_get_queue(&n->vdev, i))) {
            return false;
        }
    }
    virtio_del_queue(&n->vdev);
    for (; have > pairs; have--) {
        virtio_net_tx_stop(&n->pairs[have - 1]);
        virtio_del_queue(&n->vdev);
        virtio_del_queue(&n->vdev);
        n->pairs[have - 1].rx = n->pairs[have - 1].tx = NULL;
    }
    for (; have < pairs; have++) {
        add_pair(n, have);
    }
    add_ctrl(n);
    virtio_net_use_pairs(n, 1);
    return true;
}

/* Queues of the interface go with it: more of them before, less behind what the other side hears. */
void virtio_net_use_pairs(VirtioNet *n, unsigned pairs)
{
    n->curr_pairs = pairs;
    for (unsigned i = 0; i < pairs; i++) {
        net_set_queue_used(nic_queue(&n->nic, i), true);
    }
    if (n->vhost_runs) {
        vhost_net_set_pairs(n->vhost, pairs);
    }
    for (unsigned i = pairs; i < n->max_pairs; i++) {
        net_set_queue_used(nic_queue(&n->nic, i), false);
    }
}

/* ---- vhost ------------------------------------------------------------------------------------------------------- */

static void set_polling(VirtioNet *n, bool on)
{
    for (unsigned i = 0; i < n->max_pairs; i++) {
        net_set_polling(nic_queue(&n->nic, i), on);
    }
}

/* We have the rings, in whatever state the backend has left what it wants to be told. */
static void take_over(VirtioNet *n)
{
    for (unsigned i = 0; i < n->max_pairs; i++) {
        if (n->vdev.started && n->pairs[i].tx) {
            virtio_queue_set_notification(n->pairs[i].tx, true);
        }
    }
    set_polling(n, true);
}

/* The backend gets the rings; of a card whose cable is pulled, which sends to nobody, when the cable is back. */
static bool start_vhost(VirtioNet *n, GError **error)
{
    VirtioDevice *vdev = &n->vdev;
    bool optional = n->vhost && vhost_net_is_optional(n->vhost);
    g_autoptr(GError) err = NULL;

    if (!n->vhost || n->vhost_runs || nic_queue(&n->nic, 0)->link_down) {
        return true;
    }
    for (unsigned i = 0; i < n->max_pairs; i++) {
        virtio_net_tx_stop(&n->pairs[i]);
    }
    set_polling(n, false);
    n->vhost_runs = vhost_net_start(n->vhost, (vdev->nqueues - 1) / 2, n->curr_pairs,
                                    virtio_has(vdev, VIRTIO_NET_F_MTU) ? n->mtu : 0, &err);
    if (n->vhost_runs) {
        return true;
    }
    take_over(n);
    if (!optional) {
        g_propagate_error(error, g_steal_pointer(&err));
        return false;
    }
    warn_report("%s: %s; the packets are moved without it", virtio_name(vdev), err->message);
    return true;
}

static void stop_vhost(VirtioNet *n)
{
    if (n->vhost_runs) {
        vhost_net_stop(n->vhost);
        n->vhost_runs = false;
        take_over(n);
    }
}

static bool net_queue_reset(VirtioDevice *vdev, unsigned index, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    if (index & 1 && index / 2 < n->max_pairs &&
        virtio_get_queue(vdev, index) == n->pairs[index / 2].tx) {
        virtio_net_tx_stop(&n->pairs[index / 2]);
    }
    return !n->vhost_runs || vhost_net_queue_reset(n->vhost, index, error);
}

static bool net_queue_enable(VirtioDevice *vdev, unsigned index, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    return !n->vhost_runs || vhost_net_queue_enable(n->vhost, index, error);
}

static QuiesceResult net_quiesce(VirtioDevice *vdev, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    if (n->vhost && vhost_net_is_away(n->vhost) && !nic_queue(&n->nic, 0)->link_down) {
        virtio_notify_config(vdev); /* there is another back end where the machine goes to (see net_save()) */
    }
    return n->vhost ? vhost_net_quiesce(n->vhost, error) : QUIESCE_DONE;
}

static bool net_start(VirtioDevice *vdev, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    for (unsigned i = 0; i < n->max_pairs; i++) {
        net_flush(nic_queue(&n->nic, i));
    }
    return start_vhost(n, error);
}

static void net_stop(VirtioDevice *vdev)
{
    VirtioNet *n = (VirtioNet *)vdev;

    stop_vhost(n);
    for (unsigned i = 0; i < n->max_pairs; i++) {
        virtio_net_tx_stop(&n->pairs[i]);
    }
}

/* ---- configuration, link, announcement ---------------------------------------------------------------------------- */

void virtio_net_set_mac(VirtioNet *n, const uint8_t mac[6])
{
    memcpy(n->mac, mac, 6);
    nic_set_mac(&n->nic, mac);
}

static void net_get_config(VirtioDevice *vdev, uint8_t *config)
{
    VirtioNet *n = (VirtioNet *)vdev;
    uint8_t all[CONFIG_SIZE];

    memcpy(all + CONFIG_MAC, n->mac, 6);
    store_le16(all + CONFIG_STATUS, n->status);
    store_le16(all + CONFIG_MAX_PAIRS, n->max_pairs);
    store_le16(all + CONFIG_MTU, n->mtu);
    store_le32(all + CONFIG_SPEED, n->speed);
    all[CONFIG_DUPLEX] = n->duplex_value;
    memcpy(config, all, vdev->config_size);
}

/* Legacy drivers without a control queue write their address here (5.1.4.1). */
static void net_set_config(VirtioDevice *vdev, const uint8_t *config)
{
    VirtioNet *n = (VirtioNet *)vdev;

    if (!virtio_has(vdev, VIRTIO_NET_F_CTRL_MAC_ADDR) && !virtio_has(vdev, VIRTIO_F_VERSION_1) &&
        memcmp(config + CONFIG_MAC, n->mac, 6)) {
        virtio_net_set_mac(n, config + CONFIG_MAC);
        net_rx_filter_changed(nic_queue(&n->nic, 0));
    }
}

/* Without a cable the card itself takes what the driver sends, and drops it. */
static void link_of_vhost(VirtioNet *n, bool up)
{
    g_autoptr(GError) error = NULL;

    if (!up) {
        stop_vhost(n);
    } else if (n->vdev.started && !start_vhost(n, &error)) {
        virtio_error(&n->vdev, "%s", error->message);
    }
}

/* The link is up for the guest if its cable is plugged in and, with vhost-user, somebody is at the other end. */
static bool set_link_status(VirtioNet *n)
{
    bool away = n->vhost && vhost_net_is_away(n->vhost);
    uint16_t old = n->status;

    if (nic_queue(&n->nic, 0)->link_down || away) {
        n->status &= ~VIRTIO_NET_S_LINK_UP;
    } else {
        n->status |= VIRTIO_NET_S_LINK_UP;
    }
    return n->status != old;
}

static void back_end_changed(VirtioDevice *vdev)
{
    if (set_link_status((VirtioNet *)vdev)) {
        virtio_notify_config(vdev);
    }
}

void virtio_net_link_changed(NetClient *nc)
{
    VirtioNet *n = nc->opaque;
    bool changed;

    if (nc->queue_index) {
        return; /* all queues have one cable */
    }
    changed = set_link_status(n);
    if (n->vhost) {
        link_of_vhost(n, !nc->link_down);
    }
    if (changed) {
        virtio_notify_config(&n->vdev);
    }
}

/* Asks the guest to announce itself, once until it has acknowledged. */
static void net_announce(NetClient *nc)
{
    VirtioNet *n = nc->opaque;

    if (n->vdev.started && virtio_has(&n->vdev, VIRTIO_NET_F_GUEST_ANNOUNCE) &&
        virtio_has(&n->vdev, VIRTIO_NET_F_CTRL_VQ) && n->status & VIRTIO_NET_S_LINK_UP) {
        n->status |= VIRTIO_NET_S_ANNOUNCE;
        virtio_notify_config(&n->vdev);
    }
}

static const NetClientOps net_client_ops = {
    .kind = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NetClient),
    .can_receive = virtio_net_can_receive,
    .receive = virtio_net_receive,
    .sendable = virtio_net_sendable,
    .link_changed = virtio_net_link_changed,
    .query_rx_filter = virtio_net_query_rx_filter,
    .announce = net_announce,
};

/* ---- reset --------------------------------------------------------------------------------------------------------- */

static void net_reset(VirtioDevice *vdev)
{
    VirtioNet *n = (VirtioNet *)vdev;

    n->promisc = true;
    n->allmulti = n->alluni = n->nomulti = n->nouni = n->nobcast = false;
    virtio_net_use_pairs(n, 1);
    n->status &= ~VIRTIO_NET_S_ANNOUNCE;
    memset(&n->mac_table, 0, sizeof(n->mac_table));
    virtio_net_vlan_all(n, true);
    virtio_net_set_mac(n, n->conf.mac);
    set_header(n, 0);
    n->guest_offloads = 0;
    virtio_net_apply_offloads(n);
    if (n->vhost) {
        vhost_net_reset(n->vhost);
    }
    for (unsigned i = 0; i < n->max_pairs; i++) {
        n->pairs[i].tx_waiting = 0;
        net_purge(nic_queue(&n->nic, i));
        net_flush(nic_queue(&n->nic, i));
    }
}

/* ---- realize --------------------------------------------------------------------------------------------------------- */

static bool check_queue_size(const char *what, unsigned size, unsigned min, unsigned max,
                             GError **error)
{
    return (size >= min && size <= max && !(size & (size - 1))) ||
           error_set(error, "Invalid %s (= %u), must be a power of 2 between %u and %u.", what,
                     size, min, max);
}

static bool check_properties(VirtioNet *n, GError **error)
{
    if (n->conf.mac[0] & 1) {
        return error_set(error, "property 'mac' must not be a multicast address");
    }
    n->duplex_value = DUPLEX_UNKNOWN;
    if (n->duplex) {
        n->duplex_value = !strcmp(n->duplex, "full") ? DUPLEX_FULL : DUPLEX_HALF;
        if (strcmp(n->duplex, "full") && strcmp(n->duplex, "half")) {
            return error_set(error, "'duplex' must be 'half' or 'full'");
        }
    }
    if (n->speed < -1) {
        return error_set(error, "'speed' must be between 0 and INT_MAX");
    }
    if (n->tx && strcmp(n->tx, "timer") && strcmp(n->tx, "bh")) {
        return error_set(error, "'tx' must be 'timer' or 'bh'");
    }
    n->tx_by_timer = n->tx && !strcmp(n->tx, "timer");
    if (n->tx_burst < 1) {
        return error_set(error, "'x-txburst' must be positive");
    }
    n->max_pairs = MAX(n->conf.n_backends, 1u);
    if (2 * n->max_pairs + 1 > VIRTIO_MAX_QUEUES) {
        return error_set(
            error, "Invalid number of queue pairs (= %u), must be a positive integer less than %d.",
            n->max_pairs, (VIRTIO_MAX_QUEUES - 1) / 2);
    }
    return check_queue_size("rx_queue_size", n->rx_queue_size, VIRTIO_NET_QUEUE_MIN,
                            VIRTQUEUE_MAX_SIZE, error) &&
           check_queue_size("tx_queue_size", n->tx_queue_size, VIRTIO_NET_QUEUE_MIN,
                            VIRTIO_NET_QUEUE_MIN, error);
}

/* As far as a driver of these features may look. */
static size_t config_size(const VirtioNet *n)
{
    if (n->duplex || n->speed >= 0) {
        return CONFIG_SIZE;
    }
    if (n->mtu) {
        return CONFIG_SPEED;
    }
    return n->vdev.host_features >> VIRTIO_NET_F_MQ & 1       ? CONFIG_MTU
           : n->vdev.host_features >> VIRTIO_NET_F_STATUS & 1 ? CONFIG_MAX_PAIRS
                                                              : CONFIG_STATUS;
}

/* The card that this device is on has the id and is what firmware boots from. */
static Device *card_of(VirtioNet *n)
{
    Device *card = n->vdev.device.bus ? n->vdev.device.bus->owner : NULL;

    return card ? card : &n->vdev.device;
}

static bool net_realize(VirtioDevice *vdev, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    if (!check_properties(n, error)) {
        return false;
    }
    n->vhost = vhost_net_of(n->conf.backends, n->conf.n_backends);
    if (n->vhost && !vhost_net_connect(n->vhost, vdev, n->max_pairs, back_end_changed, error)) {
        n->vhost = NULL;
        return false;
    }
    if (n->vhost && !vhost_net_realize(n->vhost, error)) {
        vhost_net_unrealize(n->vhost);
        n->vhost = NULL;
        return false;
    }
    virtio_init(vdev, config_size(n));
    nic_open_for(&n->nic, &n->conf, &vdev->device, card_of(n), &net_client_ops, n->max_pairs, n);
    n->pairs = g_new0(VirtioNetPair, n->max_pairs);
    for (unsigned i = 0; i < n->max_pairs; i++) {
        n->pairs[i].net = n;
        virtio_net_tx_init(&n->pairs[i]);
    }
    add_pair(n, 0);
    add_ctrl(n);
    n->status = nic_queue(&n->nic, 0)->link_down ? 0 : VIRTIO_NET_S_LINK_UP;
    boot_index_redirect(&vdev->device, card_of(n), NIC_BOOT_SUFFIX);
    net_reset(vdev);
    return true;
}

static void net_unrealize(VirtioDevice *vdev)
{
    VirtioNet *n = (VirtioNet *)vdev;

    stop_vhost(n);
    vhost_net_unrealize(n->vhost);
    n->vhost = NULL;
    for (unsigned i = 0; i < n->max_pairs; i++) {
        virtio_net_tx_cleanup(&n->pairs[i]);
    }
    nic_close(&n->nic, &n->conf);
    g_clear_pointer(&n->pairs, g_free);
}

static void virtio_net_init(Object *obj)
{
    nic_conf_init(&((VirtioNet *)obj)->conf);
}

/* ---- migration notes ----------------------------------------------------------------------------------------------------
 *
 * In flight: none. A packet is taken from the ring and given back in one go; one that the backend does not take goes back
 * unsent, so the destination sends it. tx_waiting says that there may be something in a ring; here every queue is looked at
 * after a start anyway (W5), stock does so only if it is set. Packets for the guest that wait for buffers are the
 * backend's: they stay behind, as on a wire.
 *
 * Saved: what the control queue has set. The table of addresses is in the stream as far as it is used; where its groups
 * begin follows from the first address that is one. The link is that of the source until somebody changes it here; that a back end
 * is away is not saved, since there is one here, and the guest is told to look before it moves. has_vnet_hdr
 * and has_ufo say what the source's backend could: a driver that was promised it cannot do without.
 *
 * Checked: the number of addresses, of pairs, and that the backend here can do what the driver uses.
 */

static bool net_save(VirtioDevice *vdev, VmWriter *w, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;
    unsigned offloads = net_peer_offloads(nic_queue(&n->nic, 0));
    bool link_down = nic_queue(&n->nic, 0)->link_down;

    if (n->vhost && !vhost_net_check_late(n->vhost, error)) {
        return false;
    }
    vm_put_bytes(w, n->mac, 6);
    vm_put_be32(w, n->pairs[0].tx_waiting);
    vm_put_be32(w, n->mergeable);
    vm_put_be16(w, link_down ? n->status : n->status | VIRTIO_NET_S_LINK_UP);
    vm_put_u8(w, n->promisc);
    vm_put_u8(w, n->allmulti);
    vm_put_be32(w, n->mac_table.in_use);
    vm_put_bytes(w, n->mac_table.macs, 6 * n->mac_table.in_use);
    for (unsigned i = 0; i < G_N_ELEMENTS(n->vlans); i++) {
        uint8_t word[4];

        store_le32(word, n->vlans[i]); /* a bitmap of bytes */
        vm_put_bytes(w, word, sizeof(word));
    }
    vm_put_be32(w, !!(offloads & NET_OFFLOAD_VNET_HEADER));
    vm_put_u8(w, n->mac_table.multi_overflow);
    vm_put_u8(w, n->mac_table.uni_overflow);
    vm_put_u8(w, n->alluni);
    vm_put_u8(w, n->nomulti);
    vm_put_u8(w, n->nouni);
    vm_put_u8(w, n->nobcast);
    vm_put_u8(w, !!(offloads & NET_OFFLOAD_UFO));
    if (n->max_pairs > 1) {
        vm_put_be16(w, n->max_pairs);
        vm_put_be16(w, n->curr_pairs);
        for (unsigned i = 1; i < n->curr_pairs; i++) {
            vm_put_be32(w, n->pairs[i].tx_waiting);
        }
    }
    if (virtio_has(vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) {
        vm_put_be64(w, n->guest_offloads);
    }
    return true;
}

/* As many queues as the stream has: MQ is among the features that come first. */
static bool net_load_queues(VirtioDevice *vdev, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    return virtio_net_set_pairs(n, virtio_has(vdev, VIRTIO_NET_F_MQ)) ||
           error_set(error, "queues are in use");
}

static bool load_bool(VmReader *r, bool *value, const char *what)
{
    uint8_t byte = vm_get_u8(r);

    *value = byte;
    return byte <= 1 || vm_reader_fail(r, "virtio-net: %s is %u", what, byte);
}

static bool load_addresses(VirtioNet *n, VmReader *r)
{
    n->mac_table.in_use = vm_get_be32(r);
    if (n->mac_table.in_use > VIRTIO_NET_MAC_TABLE) {
        n->mac_table.in_use = 0;
        return vm_reader_fail(r, "virtio-net: more than %d addresses", VIRTIO_NET_MAC_TABLE);
    }
    vm_get_bytes(r, n->mac_table.macs, 6 * n->mac_table.in_use);
    for (n->mac_table.first_multi = 0; n->mac_table.first_multi < n->mac_table.in_use;
         n->mac_table.first_multi++) {
        if (n->mac_table.macs[n->mac_table.first_multi][0] & 1) {
            break;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(n->vlans); i++) {
        uint8_t word[4] = { 0 };

        vm_get_bytes(r, word, sizeof(word));
        n->vlans[i] = load_le32(word);
    }
    return vm_reader_ok(r);
}

static bool load_pairs(VirtioNet *n, VmReader *r)
{
    unsigned max = vm_get_be16(r), curr = vm_get_be16(r);

    if (max != n->max_pairs) {
        return vm_reader_fail(r, "virtio-net: %u queue pairs in the stream, the backend has %u",
                              max, n->max_pairs);
    }
    if (curr < 1 || curr > (virtio_has(&n->vdev, VIRTIO_NET_F_MQ) ? max : 1)) {
        return vm_reader_fail(r, "virtio-net: uses %u queue pairs of %u", curr, max);
    }
    n->curr_pairs = curr;
    for (unsigned i = 1; i < curr; i++) {
        n->pairs[i].tx_waiting = vm_get_be32(r);
    }
    return true;
}

static bool net_load(VirtioDevice *vdev, VmReader *r, int version, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;
    unsigned offloads = net_peer_offloads(nic_queue(&n->nic, 0));
    uint32_t had_header;
    uint8_t had_ufo;

    vm_get_bytes(r, n->mac, 6);
    n->pairs[0].tx_waiting = vm_get_be32(r);
    n->mergeable = vm_get_be32(r);
    n->status = vm_get_be16(r);
    if (!load_bool(r, &n->promisc, "promisc") || !load_bool(r, &n->allmulti, "allmulti") ||
        !load_addresses(n, r)) {
        return vm_reader_check(r, error);
    }
    had_header = vm_get_be32(r);
    if (!load_bool(r, &n->mac_table.multi_overflow, "multi_overflow") ||
        !load_bool(r, &n->mac_table.uni_overflow, "uni_overflow") ||
        !load_bool(r, &n->alluni, "alluni") || !load_bool(r, &n->nomulti, "nomulti") ||
        !load_bool(r, &n->nouni, "nouni") || !load_bool(r, &n->nobcast, "nobcast")) {
        return vm_reader_check(r, error);
    }
    had_ufo = vm_get_u8(r);
    if (had_header > 1 || had_ufo > 1) {
        vm_reader_fail(r, "virtio-net: the backend's abilities are %u, %u", (unsigned)had_header,
                       had_ufo);
    } else if (had_header && !(offloads & NET_OFFLOAD_VNET_HEADER)) {
        vm_reader_fail(r, "virtio-net: saved image requires vnet_hdr=on");
    } else if (had_ufo && !(offloads & NET_OFFLOAD_UFO) &&
               virtio_has(vdev, VIRTIO_NET_F_HOST_UFO)) {
        vm_reader_fail(r, "virtio-net: saved image requires TUN_F_UFO support");
    }
    if (n->max_pairs > 1 && vm_reader_ok(r)) {
        load_pairs(n, r);
    }
    n->loaded.offloads_came = virtio_has(vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
    n->loaded.offloads = n->loaded.offloads_came ? vm_get_be64(r) : 0;
    memcpy(n->loaded.vlans, n->vlans,
           sizeof(n->vlans)); /* the driver's features are applied now, as if it began */
    n->loaded.pairs = n->curr_pairs;
    return vm_reader_check(r, error);
}

static bool net_post_load(VirtioDevice *vdev, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;
    bool mergeable = n->mergeable;

    set_header(n, vdev->guest_features);
    if (n->mergeable != mergeable) {
        return error_set(
            error, "virtio-net: mergeable buffers are %s, the driver's features say otherwise",
            mergeable ? "used" : "not used");
    }
    n->guest_offloads =
        n->loaded.offloads_came ? n->loaded.offloads : virtio_net_guest_offload_bits(n);
    if (n->guest_offloads & ~virtio_net_guest_offload_bits(n)) {
        return error_set(error, "virtio-net: offloads that the driver did not choose");
    }
    memcpy(n->vlans, n->loaded.vlans, sizeof(n->vlans));
    virtio_net_use_pairs(n, n->loaded.pairs);
    virtio_net_apply_offloads(n);
    nic_set_mac(&n->nic, n->mac);
    for (unsigned i = 0; i < n->max_pairs; i++) {
        nic_queue(&n->nic, i)->link_down = !(n->status & VIRTIO_NET_S_LINK_UP);
    }
    set_link_status(n);
    return true;
}

VIRTIO_VMSTATE(vmstate_virtio_net, "virtio-net", 11, 11);

/* ---- registration ------------------------------------------------------------------------------------------------------- */

static const VirtioDeviceOps net_ops = {
    .device_id = VIRTIO_ID_NET,
    .legacy_features = VIRTIO_BIT(VIRTIO_NET_F_GSO),
    .realize = net_realize,
    .unrealize = net_unrealize,
    .reset = net_reset,
    .get_features = net_get_features,
    .set_features = net_set_features,
    .get_config = net_get_config,
    .set_config = net_set_config,
    .start = net_start,
    .stop = net_stop,
    .queue_enable = net_queue_enable,
    .queue_reset = net_queue_reset,
    .quiesce = net_quiesce,
    .save = net_save,
    .before_load_queues = net_load_queues,
    .load = net_load,
    .post_load = net_post_load,
};

#define FEATURE(name, bit, def) VIRTIO_FEATURE_BIT(name, VirtioDevice, VIRTIO_NET_F_##bit, def)

static const Property net_properties[] = {
    PROPERTY("mac", property_mac, VirtioNet, conf.mac,
             .description = "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56"),
    PROPERTY("netdev", property_netdev, VirtioNet, conf,
             .description = "ID of a netdev to use as a backend"),
    PROPERTY("bootindex", property_bootindex, VirtioNet, conf.bootindex,
             .flags = PROPERTY_ANY_TIME),
    PROPERTY_UINT32("x-txtimer", VirtioNet, tx_timeout_ns, "150000", NULL),
    PROPERTY_INT32("x-txburst", VirtioNet, tx_burst, "256", NULL),
    PROPERTY_STRING("tx", VirtioNet, tx, NULL),
    PROPERTY_UINT16("rx_queue_size", VirtioNet, rx_queue_size, "256", NULL),
    PROPERTY_UINT16("tx_queue_size", VirtioNet, tx_queue_size, "256", NULL),
    PROPERTY_UINT16("host_mtu", VirtioNet, mtu, "0", NULL),
    PROPERTY_BOOL("x-mtu-bypass-backend", VirtioNet, mtu_bypass, "on", NULL),
    PROPERTY_INT32("speed", VirtioNet, speed, "-1", NULL),
    PROPERTY_STRING("duplex", VirtioNet, duplex, NULL),
    FEATURE("csum", CSUM, "on"),
    FEATURE("guest_csum", GUEST_CSUM, "on"),
    FEATURE("gso", GSO, "on"),
    FEATURE("guest_tso4", GUEST_TSO4, "on"),
    FEATURE("guest_tso6", GUEST_TSO6, "on"),
    FEATURE("guest_ecn", GUEST_ECN, "on"),
    FEATURE("guest_ufo", GUEST_UFO, "on"),
    FEATURE("guest_announce", GUEST_ANNOUNCE, "on"),
    FEATURE("host_tso4", HOST_TSO4, "on"),
    FEATURE("host_tso6", HOST_TSO6, "on"),
    FEATURE("host_ecn", HOST_ECN, "on"),
    FEATURE("host_ufo", HOST_UFO, "on"),
    FEATURE("mrg_rxbuf", MRG_RXBUF, "on"),
    FEATURE("status", STATUS, "on"),
    FEATURE("ctrl_vq", CTRL_VQ, "on"),
    FEATURE("ctrl_rx", CTRL_RX, "on"),
    FEATURE("ctrl_vlan", CTRL_VLAN, "on"),
    FEATURE("ctrl_rx_extra", CTRL_RX_EXTRA, "on"),
    FEATURE("ctrl_mac_addr", CTRL_MAC_ADDR, "on"),
    FEATURE("ctrl_guest_offloads", CTRL_GUEST_OFFLOADS, "on"),
    FEATURE("mq", MQ, "off"),
    FEATURE("guest_uso4", GUEST_USO4, "on"),
    FEATURE("guest_uso6", GUEST_USO6, "on"),
    FEATURE("host_uso", HOST_USO, "on"),
    {},
};

static const DeviceType virtio_net_type = {
    .object = {
        .name = "virtio-net-device",
        .parent = &virtio_device_type.object,
        .size = sizeof(VirtioNet),
        .init = virtio_net_init,
        .properties = net_properties,
    },
    .category = DEVICE_CATEGORY_NETWORK,
    .migration = MIGRATES_WITH(vmstate_virtio_net),
    .compat = (const DeviceCompat[]){
        { "8.1", "host_uso", "off" },
        { "8.1", "guest_uso4", "off" },
        { "8.1", "guest_uso6", "off" },
        {},
    },
    .ops = &net_ops,
};
DEVICE_REGISTER(virtio_net_type)

/* ---- the card ------------------------------------------------------------------------------------------------------------- */

/* One vector for each queue that there may be, and one for the configuration. */
static bool net_pci_prepare(VirtioPci *card, VirtioDevice *vdev, GError **error)
{
    VirtioNet *n = (VirtioNet *)vdev;

    if (card->vectors == UINT32_MAX) {
        card->vectors = 2 * MAX(n->conf.n_backends, 1u) + 2;
    }
    return true;
}

static const VirtioPciOps net_pci_ops = {
    .pci = { VIRTIO_PCI_COMMON_OPS, .class_id = 0x0200, .romfile = "efi-virtio.rom" },
    .backend = &virtio_net_type,
    .legacy_id = 0x1000,
    .prepare = net_pci_prepare,
};

static const Property net_pci_properties[] = {
    VIRTIO_PCI_PROPERTY_IOEVENTFD, VIRTIO_PCI_PROPERTY_VECTORS(VIRTIO_PCI_VECTORS_BY_DEVICE), {}
};

VIRTIO_PCI_TYPES(net, "virtio-net-pci", "virtio-net-pci-base", virtio_net_type, net_pci_ops,
                 net_pci_properties, DEVICE_CATEGORY_NETWORK)
VIRTIO_PCI_TRANSITIONAL(net, "virtio-net-pci-transitional")
VIRTIO_PCI_NON_TRANSITIONAL(net, "virtio-net-pci-non-transitional")
