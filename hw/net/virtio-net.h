/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-net: state, shared by its files. Document: VIRTIO 1.2, chapter 5.1. */
#ifndef HW_NET_VIRTIO_NET_H
#define HW_NET_VIRTIO_NET_H

#include "hw/net/nic.h"
#include "hw/virtio/vhost-net.h"
#include "hw/virtio/virtio.h"
#include "util/clock.h"
#include "util/main-loop.h"

/* Feature bits (5.1.3). */
enum {
    VIRTIO_NET_F_CSUM = 0,
    VIRTIO_NET_F_GUEST_CSUM = 1,
    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2,
    VIRTIO_NET_F_MTU = 3,
    VIRTIO_NET_F_MAC = 5,
    VIRTIO_NET_F_GSO = 6, /* legacy */
    VIRTIO_NET_F_GUEST_TSO4 = 7,
    VIRTIO_NET_F_GUEST_TSO6 = 8,
    VIRTIO_NET_F_GUEST_ECN = 9,
    VIRTIO_NET_F_GUEST_UFO = 10,
    VIRTIO_NET_F_HOST_TSO4 = 11,
    VIRTIO_NET_F_HOST_TSO6 = 12,
    VIRTIO_NET_F_HOST_ECN = 13,
    VIRTIO_NET_F_HOST_UFO = 14,
    VIRTIO_NET_F_MRG_RXBUF = 15,
    VIRTIO_NET_F_STATUS = 16,
    VIRTIO_NET_F_CTRL_VQ = 17,
    VIRTIO_NET_F_CTRL_RX = 18,
    VIRTIO_NET_F_CTRL_VLAN = 19,
    VIRTIO_NET_F_CTRL_RX_EXTRA = 20,
    VIRTIO_NET_F_GUEST_ANNOUNCE = 21,
    VIRTIO_NET_F_MQ = 22,
    VIRTIO_NET_F_CTRL_MAC_ADDR = 23,
    VIRTIO_NET_F_GUEST_USO4 = 54,
    VIRTIO_NET_F_GUEST_USO6 = 55,
    VIRTIO_NET_F_HOST_USO = 56,
    VIRTIO_NET_F_SPEED_DUPLEX = 63,
};

enum { VIRTIO_NET_S_LINK_UP = 1, VIRTIO_NET_S_ANNOUNCE = 2 };

#define VIRTIO_NET_MAC_TABLE 64
#define VIRTIO_NET_VLANS 4096
#define VIRTIO_NET_QUEUE_MIN 256
#define VIRTIO_NET_CTRL_QUEUE 64

typedef struct VirtioNet VirtioNet;

typedef struct VirtioNetPair {
    VirtioNet *net;
    VirtQueue *rx, *tx; /* NULL while the driver has no such pair */
    Bh *bh;             /* tx=bh: sends soon; NULL with tx=timer */
    Timer timer;
    bool scheduled;      /* one of the two is under way */
    bool blocked;        /* the backend is busy: goes on at sendable() */
    uint32_t tx_waiting; /* as the stream has it: there is something to send */
} VirtioNetPair;

struct VirtioNet {
    VirtioDevice vdev;
    NicConf conf;
    VhostNet *vhost; /* moves the packets itself; NULL: we do */
    bool vhost_runs; /* it has the rings */
    Nic nic;
    VirtioNetPair *pairs; /* max_pairs */
    VirtQueue *ctrl;
    unsigned max_pairs;  /* of the backend */
    uint16_t curr_pairs; /* that the driver uses */
    uint8_t mac[6];
    uint16_t status;
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    struct {
        unsigned in_use, first_multi; /* unicast addresses in front */
        bool multi_overflow, uni_overflow;
        uint8_t macs[VIRTIO_NET_MAC_TABLE][6];
    } mac_table;
    uint32_t vlans[VIRTIO_NET_VLANS / 32];
    unsigned header_len; /* of the driver's packets */
    bool mergeable;
    bool host_header; /* the backend's packets begin with the same header */
    struct {
        uint32_t vlans[VIRTIO_NET_VLANS / 32];
        uint64_t offloads;
        uint16_t pairs;
        bool offloads_came;
    } loaded;                /* between load and post_load */
    uint64_t guest_offloads; /* feature bits; switched on in the backend */

    /* properties */
    uint32_t tx_timeout_ns;
    int32_t tx_burst;
    char *tx;
    uint16_t rx_queue_size, tx_queue_size, mtu;
    bool mtu_bypass;
    int32_t speed;
    char *duplex;
    bool tx_by_timer;
    uint8_t duplex_value;
};

/* virtio-net.c */
uint64_t virtio_net_guest_offload_bits(const VirtioNet *n); /* GUEST_* that the driver has chosen */
void virtio_net_apply_offloads(VirtioNet *n);
void virtio_net_link_changed(NetClient *nc);
bool virtio_net_set_pairs(VirtioNet *n, bool multi_queue);
/* The driver uses so many pairs from now on. */
void virtio_net_use_pairs(VirtioNet *n, unsigned pairs);
void virtio_net_set_mac(VirtioNet *n, const uint8_t mac[6]);
void virtio_net_vlan_all(VirtioNet *n, bool on);

/* virtio-net-ctrl.c */
void virtio_net_handle_ctrl(VirtioDevice *vdev, VirtQueue *vq);
RxFilterInfo *virtio_net_query_rx_filter(NetClient *nc, GError **error);

/* virtio-net-rx.c */
void virtio_net_handle_rx(VirtioDevice *vdev, VirtQueue *vq);
bool virtio_net_can_receive(NetClient *nc);
bool virtio_net_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len);

/* virtio-net-tx.c */
void virtio_net_handle_tx(VirtioDevice *vdev, VirtQueue *vq);
void virtio_net_sendable(NetClient *nc);
void virtio_net_tx_init(VirtioNetPair *pair);
void virtio_net_tx_cleanup(VirtioNetPair *pair);
/* Nothing more is sent until the next start; whether something is left is noted. */
void virtio_net_tx_stop(VirtioNetPair *pair);

#endif
