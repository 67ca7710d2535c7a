/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-net: the control queue (VIRTIO 1.2, 5.1.6.5): commands by table, each with its answer byte. */
#include "util/osdep.h"
#include "virtio-net.h"

#include "net/eth.h"
#include "util/bytes.h"
#include "util/iov.h"

enum { CTRL_OK = 0, CTRL_ERROR = 1 };
enum {
    CTRL_RX = 0,
    CTRL_MAC = 1,
    CTRL_VLAN = 2,
    CTRL_ANNOUNCE = 3,
    CTRL_MQ = 4,
    CTRL_GUEST_OFFLOADS = 5
};

/* What follows class and command. */
typedef struct Command {
    const VirtQueueElement *elem;
    size_t at;
} Command;

static bool take(Command *c, void *buf, size_t len)
{
    size_t got = iov_to_buf(c->elem->out_sg, c->elem->out_num, c->at, buf, len);

    c->at += got;
    return got == len;
}

/* ---- what is received --------------------------------------------------------------------------------------------- */

static bool set_flag(VirtioNet *n, Command *c, bool *flag)
{
    uint8_t on;

    if (!take(c, &on, 1)) {
        return false;
    }
    *flag = on != 0;
    return true;
}

static bool rx_promisc(VirtioNet *n, Command *c)
{
    return set_flag(n, c, &n->promisc);
}

static bool rx_allmulti(VirtioNet *n, Command *c)
{
    return set_flag(n, c, &n->allmulti);
}

static bool rx_alluni(VirtioNet *n, Command *c)
{
    return set_flag(n, c, &n->alluni);
}

static bool rx_nomulti(VirtioNet *n, Command *c)
{
    return set_flag(n, c, &n->nomulti);
}

static bool rx_nouni(VirtioNet *n, Command *c)
{
    return set_flag(n, c, &n->nouni);
}

static bool rx_nobcast(VirtioNet *n, Command *c)
{
    return set_flag(n, c, &n->nobcast);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

static bool mac_addr_set(VirtioNet *n, Command *c)
{
    uint8_t mac[6];

    if (c->elem->out_len - c->at != sizeof(mac) || !take(c, mac, sizeof(mac))) {
        return false;
    }
    virtio_net_set_mac(n, mac);
    return true;
}

/* One of the two lists. What does not fit into our table is an overflow: all of that kind are received. */
static bool take_list(VirtioNet *n, Command *c, bool *overflow)
{
    uint8_t entries[4];
    uint32_t count;
    size_t bytes;

    if (!take(c, entries, sizeof(entries))) {
        return false;
    }
    count = load_le32(entries);
    if (count > (c->elem->out_len - c->at) / 6) {
        return false;
    }
    bytes = (size_t)count * 6;
    if (count > VIRTIO_NET_MAC_TABLE - n->mac_table.in_use) {
        *overflow = true;
        c->at += bytes;
        return true;
    }
    take(c, n->mac_table.macs[n->mac_table.in_use], bytes);
    n->mac_table.in_use += count;
    return true;
}

static bool mac_table_set(VirtioNet *n, Command *c)
{
    typeof(n->mac_table) old = n->mac_table;

    memset(&n->mac_table, 0, sizeof(n->mac_table));
    if (take_list(n, c, &n->mac_table.uni_overflow)) {
        n->mac_table.first_multi = n->mac_table.in_use;
        if (take_list(n, c, &n->mac_table.multi_overflow) && c->at == c->elem->out_len) {
            return true;
        }
    }
    n->mac_table = old;
    return false;
}

static bool take_vlan(Command *c, unsigned *id)
{
    uint8_t raw[2];

    if (!take(c, raw, sizeof(raw))) {
        return false;
    }
    *id = load_le16(raw);
    return *id < VIRTIO_NET_VLANS;
}

static bool vlan_add(VirtioNet *n, Command *c)
{
    unsigned id;

    if (!take_vlan(c, &id)) {
        return false;
    }
    n->vlans[id >> 5] |= 1u << (id & 31);
    return true;
}

static bool vlan_del(VirtioNet *n, Command *c)
{
    unsigned id;

    if (!take_vlan(c, &id)) {
        return false;
    }
    n->vlans[id >> 5] &= ~(1u << (id & 31));
    return true;
}

/* ---- the others ------------------------------------------------------------------------------------------------------- */

static bool announce_ack(VirtioNet *n, Command *c)
{
    if (!(n->status & VIRTIO_NET_S_ANNOUNCE)) {
        return false;
    }
    n->status &= ~VIRTIO_NET_S_ANNOUNCE;
    return true;
}

static bool mq_pairs_set(VirtioNet *n, Command *c)
{
    uint8_t raw[2];
    unsigned pairs;

    if (!take(c, raw, sizeof(raw))) {
        return false;
    }
    pairs = load_le16(raw);
    if (pairs < 1 || pairs > n->max_pairs) {
        return false;
    }
    virtio_net_use_pairs(n, pairs);
    for (unsigned i = 0; i < n->max_pairs; i++) {
        net_flush(nic_queue(&n->nic, i));
    }
    return true;
}

static bool guest_offloads_set(VirtioNet *n, Command *c)
{
    uint8_t raw[8];
    uint64_t offloads;

    if (!take(c, raw, sizeof(raw))) {
        return false;
    }
    offloads = load_le64(raw);
    if (offloads & ~virtio_net_guest_offload_bits(n)) {
        return false;
    }
    n->guest_offloads = offloads;
    virtio_net_apply_offloads(n);
    return true;
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */

static const struct {
    uint8_t class, command;
    uint8_t feature; /* that the driver must have chosen */
    bool filter;     /* managers are told that what is received has changed */
    bool (*run)(VirtioNet *n, Command *c);
} commands[] = {
    { CTRL_RX, 0, VIRTIO_NET_F_CTRL_RX, true, rx_promisc },
    { CTRL_RX, 1, VIRTIO_NET_F_CTRL_RX, true, rx_allmulti },
    { CTRL_RX, 2, VIRTIO_NET_F_CTRL_RX_EXTRA, true, rx_alluni },
    { CTRL_RX, 3, VIRTIO_NET_F_CTRL_RX_EXTRA, true, rx_nomulti },
    { CTRL_RX, 4, VIRTIO_NET_F_CTRL_RX_EXTRA, true, rx_nouni },
    { CTRL_RX, 5, VIRTIO_NET_F_CTRL_RX_EXTRA, true, rx_nobcast },
    { CTRL_MAC, 0, VIRTIO_NET_F_CTRL_RX, true, mac_table_set },
    { CTRL_MAC, 1, VIRTIO_NET_F_CTRL_MAC_ADDR, true, mac_addr_set },
    { CTRL_VLAN, 0, VIRTIO_NET_F_CTRL_VLAN, true, vlan_add },
    { CTRL_VLAN, 1, VIRTIO_NET_F_CTRL_VLAN, true, vlan_del },
    { CTRL_ANNOUNCE, 0, VIRTIO_NET_F_GUEST_ANNOUNCE, false, announce_ack },
    { CTRL_MQ, 0, VIRTIO_NET_F_MQ, false, mq_pairs_set },
    { CTRL_GUEST_OFFLOADS, 0, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, false, guest_offloads_set },
};

static uint8_t run_command(VirtioNet *n, const VirtQueueElement *elem)
{
    Command c = { .elem = elem };
    uint8_t head[2];

    take(&c, head, sizeof(head));
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].class != head[0] || commands[i].command != head[1]) {
            continue;
        }
        if (!virtio_has(&n->vdev, commands[i].feature) || !commands[i].run(n, &c)) {
            return CTRL_ERROR;
        }
        if (commands[i].filter) {
            net_rx_filter_changed(nic_queue(&n->nic, 0));
        }
        return CTRL_OK;
    }
    return CTRL_ERROR;
}

void virtio_net_handle_ctrl(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioNet *n = (VirtioNet *)vdev;
    unsigned left = virtqueue_burst(vq);
    VirtQueueElement *elem;

    while (left && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        uint8_t answer;

        if (elem->in_len < sizeof(answer) || elem->out_len < 2) {
            virtio_error(vdev, "a control command of %zu bytes, with %zu for the answer",
                         elem->out_len, elem->in_len);
            virtqueue_detach_element(vq, elem, 0);
            g_free(elem);
            return;
        }
        answer = run_command(n, elem);
        virtqueue_push(vq, elem,
                       iov_from_buf(elem->in_sg, elem->in_num, 0, &answer, sizeof(answer)));
        virtio_notify(vdev, vq);
        g_free(elem);
        left--;
    }
    if (!left) {
        virtio_queue_kick(vq);
    }
}

/* ---- query-rx-filter ------------------------------------------------------------------------------------------------------- */

static StrArray *addresses(const VirtioNet *n, unsigned from, unsigned to)
{
    StrArray *list = g_new0(StrArray, 1);

    for (unsigned i = from; i < to; i++) {
        QAPI_ARRAY_ADD(list, net_mac_format(n->mac_table.macs[i]));
    }
    return list;
}

RxFilterInfo *virtio_net_query_rx_filter(NetClient *nc, GError **error)
{
    VirtioNet *n = nc->opaque;
    RxFilterInfo *info = g_new0(RxFilterInfo, 1);

    info->name = g_strdup(nc->name);
    info->promiscuous = n->promisc;
    info->unicast = n->nouni ? RX_STATE_NONE : n->alluni ? RX_STATE_ALL : RX_STATE_NORMAL;
    info->multicast = n->nomulti ? RX_STATE_NONE : n->allmulti ? RX_STATE_ALL : RX_STATE_NORMAL;
    info->vlan = virtio_has(&n->vdev, VIRTIO_NET_F_CTRL_VLAN) ? RX_STATE_NORMAL : RX_STATE_ALL;
    info->broadcast_allowed = !n->nobcast;
    info->multicast_overflow = n->mac_table.multi_overflow;
    info->unicast_overflow = n->mac_table.uni_overflow;
    info->main_mac = net_mac_format(n->mac);
    info->unicast_table = addresses(n, 0, n->mac_table.first_multi);
    info->multicast_table = addresses(n, n->mac_table.first_multi, n->mac_table.in_use);
    info->vlan_table = g_new0(IntArray, 1);
    for (int id = 0; info->vlan == RX_STATE_NORMAL && id < VIRTIO_NET_VLANS; id++) {
        if (n->vlans[id >> 5] >> (id & 31) & 1) {
            QAPI_ARRAY_ADD(info->vlan_table, id);
        }
    }
    return info;
}
