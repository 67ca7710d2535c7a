/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network clients: the two ends of a cable. One is a network card (kind nic), the other a backend (user, tap, socket…)
 * or the port of a hub. What one sends the other receives.
 *
 * N1  A packet has one owner at any time: its sender until net_try_send() or net_send() takes it, then the core's queue
 *     in front of the receiver, then the receiver. It is delivered once or dropped once.
 * N2  receive() is never called inside receive() of the same client: what is sent meanwhile is queued behind.
 * N3  A card receives only while the VM runs and its link is up; before that nothing of ours writes guest memory for it
 *     (P2). What comes for a stopped VM waits in the queue, as far as there is room.
 * N4  Order is kept: while something is queued in front of a receiver, later packets go behind it.
 *
 * Big lock. Packets are Ethernet frames without preamble and check sequence. If a header was agreed upon
 * (net_set_vnet_header()), each packet between the two begins with a struct virtio_net_hdr of that length.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <sys/uio.h>
#include <glib.h>
#include "qapi/types-net.h"

#define NET_PACKET_MAX (68 * 1024) /* a header, and an Ethernet frame as large as TCP segmentation makes them */
#define NET_QUEUES_MAX 1024        /* of one card or backend */
#define NET_QUEUE_PACKETS 10000    /* waiting in front of a receiver; what comes then is dropped */
#define NET_QUEUE_BYTES (32u << 20)

typedef struct NetClient NetClient;

/* What a backend can take over from the guest's network stack; also the set that a guest has switched on. */
enum {
    NET_OFFLOAD_VNET_HEADER = 1 << 0, /* can begin packets with a virtio_net_hdr: the rest of the list needs it */
    NET_OFFLOAD_CSUM = 1 << 1,        /* packets with a partial checksum */
    NET_OFFLOAD_TSO4 = 1 << 2,
    NET_OFFLOAD_TSO6 = 1 << 3,
    NET_OFFLOAD_ECN = 1 << 4,
    NET_OFFLOAD_UFO = 1 << 5,
    NET_OFFLOAD_USO4 = 1 << 6,
    NET_OFFLOAD_USO6 = 1 << 7,
};

/* A queue whose packets vhost-net of the host's kernel can move. */
typedef struct NetVhost {
    int vhost_fd;      /* of /dev/vhost-net, owned by this process (VHOST_SET_OWNER) */
    int fd;            /* of the tap interface */
    bool has_header;   /* its packets begin with a virtio_net_hdr */
    bool force;        /* do not do without it */
    unsigned poll_us;  /* busy polling, 0: none */
} NetVhost;

/* Of a kind of client. What is NULL does nothing, or says the usual. */
typedef struct NetClientOps {
    NetClientDriver kind;
    size_t size;                       /* of the struct that begins with the NetClient */
    /* Whether receive() would take a packet now. NULL: always. */
    bool (*can_receive)(NetClient *nc);
    /*
     * Takes a packet (or decides to drop it): true. False: not now, ask again when I call net_flush(). The vector is
     * the caller's. len is its size.
     */
    bool (*receive)(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len);
    /* The peer said "not now" to net_try_send(), or net_can_send() was false, and may take something again. */
    void (*sendable)(NetClient *nc);
    /* nc->link_down changed, or the peer went (then it is down for good). */
    void (*link_changed)(NetClient *nc);
    /* Before it is freed. */
    void (*cleanup)(NetClient *nc);

    /* Backends: which of the above it can do; NULL: none. */
    unsigned (*offloads)(NetClient *nc);
    /* Backends: packets begin with a header of this length from now on (0: with none; 10, 12, 20). */
    void (*set_vnet_header)(NetClient *nc, unsigned len);
    /* Backends: what it may leave undone in packets for the card. */
    void (*set_offloads)(NetClient *nc, unsigned offloads);
    /* Backends: the VM starts or stops. */
    void (*vm_running)(NetClient *nc, bool running);

    /* Cards: query-rx-filter; *error or a new value. */
    RxFilterInfo *(*query_rx_filter)(NetClient *nc, GError **error);
    /* Cards: one round of self-announcement by the guest's own means, beside our RARP. */
    void (*announce)(NetClient *nc);
    /* Backends: somebody else (the kernel) moves the packets from now on, or no more. */
    void (*set_polling)(NetClient *nc, bool on);
    /* Backends with several queues: whether the guest uses this one. */
    void (*set_queue_used)(NetClient *nc, bool used);
    /* Backends: what the kernel's vhost-net needs; NULL: it is not to be used. */
    const NetVhost *(*vhost)(NetClient *nc);
} NetClientOps;

struct NetClient {
    const NetClientOps *ops;
    char *name;                        /* id, or model.N */
    char *model;
    char *info;                        /* what `info network` says behind the colon; net_set_info() */
    NetClient *peer;
    void *opaque;                      /* a card's device */
    unsigned queue_index;
    bool link_down;
    bool is_netdev;                    /* made by -netdev or netdev_add */
    uint8_t mac[6];                    /* of a card */
    char *path;                        /* of a card: its object's, for events */
    unsigned vnet_header;              /* of a card: length agreed upon with its peer */
    bool rx_filter_told;               /* NIC_RX_FILTER_CHANGED was sent and nobody has asked since */
    /* private */
    GQueue waiting;                    /* packets in front of this client */
    size_t waiting_bytes;
    bool receiving;                    /* N2 */
    bool wants_to_send;                /* sendable() is due */
    bool dead;
    unsigned busy;                     /* calls into it on the stack: freed when they return */
};

/* ---- clients --------------------------------------------------------------------------------------------- */

/*
 * A new client (zeroed, ops->size bytes). name NULL: "MODEL.N". peer may be NULL; a peer must have none. Card with
 * several queues: one client per queue, in order, same name, queue_index counts.
 */
NetClient *net_client_new(const NetClientOps *ops, const char *model, const char *name, unsigned queue_index,
                          NetClient *peer);
/* Goes: its queue is dropped, its peer is told by link_changed() with the link down. NULL is allowed. */
void net_client_free(NetClient *nc);
void net_connect(NetClient *a, NetClient *b);
/* Text for `info network`; copied. */
void net_set_info(NetClient *nc, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* By name and kind (NET_CLIENT_DRIVER__COUNT stands for: any but nic), all queues in order: returns how many there are,
 * and at most max of them in clients. */
#define NET_ANY_BACKEND ((NetClientDriver)NET_CLIENT_DRIVER_COUNT)
unsigned net_find(const char *name, NetClientDriver kind, NetClient **clients, unsigned max);
/* First queue 0 client of that name, cards before backends; NULL if there is none. */
NetClient *net_find_any(const char *name);
/* In order of creation; false stops. Clients may not come or go meanwhile. */
typedef bool NetClientFunc(NetClient *nc, void *opaque);
bool net_foreach(NetClientFunc *func, void *opaque);

/* ---- packets --------------------------------------------------------------------------------------------- */

/* Whether a packet sent now would be delivered (or dropped) at once. If not, sendable() will be called. */
bool net_can_send(NetClient *nc);
/* For a sender that can keep the packet: true = taken, false = the peer is busy, sendable() will be called. */
bool net_try_send(NetClient *nc, const struct iovec *iov, unsigned niov);
/* For a sender that cannot: taken, if need be into the queue (a copy). */
void net_send(NetClient *nc, const struct iovec *iov, unsigned niov);
void net_send_buf(NetClient *nc, const void *buf, size_t len);
/* The same for a frame without the header that was agreed upon: it gets an empty one. */
void net_send_raw(NetClient *nc, const void *buf, size_t len);
/* By a receiver that can receive again: delivers what waits, then lets its peer send. */
void net_flush(NetClient *nc);
/* Drops what waits in front of nc. */
void net_purge(NetClient *nc);
/* How many packets wait in front of nc. */
unsigned net_waiting(const NetClient *nc);

/* The VM runs or stops (system/ calls it). */
void net_set_vm_running(bool running);
bool net_vm_running(void);

/* ---- link, offloads ----------------------------------------------------------------------------------------- */

/* All queues of the client of that name, and the card at the other end of a backend. */
bool net_set_link(const char *name, bool up, GError **error);
/* Asked by a card of its peer; 0 without one. */
unsigned net_peer_offloads(NetClient *nc);
/* Said by a card to its peer. */
void net_set_vnet_header(NetClient *nc, unsigned len);
void net_set_offloads(NetClient *nc, unsigned offloads);
void net_set_polling(NetClient *nc, bool on);
void net_set_queue_used(NetClient *nc, bool used);

/* ---- addresses ------------------------------------------------------------------------------------------------ */

/* "52:54:00:12:34:56", also with '-'. */
bool net_mac_parse(const char *text, uint8_t mac[6], GError **error);
char *net_mac_format(const uint8_t mac[6]);
/* 00:00:00:00:00:00 becomes 52:54:00:12:34:XX with the lowest XX from 56 on that is free; either is then taken. */
void net_mac_take(uint8_t mac[6]);
void net_mac_release(const uint8_t mac[6]);

/* ---- cards ----------------------------------------------------------------------------------------------------- */

/* The guest changed what it wants to receive: event NIC_RX_FILTER_CHANGED, once until somebody asks. */
void net_rx_filter_changed(NetClient *nc);
/* What `info network` says of a card: of queue 0 model and address. After each change of nc->mac. */
void net_nic_format_info(NetClient *nc);

/* ---- self-announcement ----------------------------------------------------------------------------------------- */

/*
 * Tells switches where the cards are: `rounds` packets (RARP) per card, the first at once, then after `initial` ms,
 * each pause `step` ms longer, at most `max`. interfaces NULL: all. id names a run that a later one with the same id
 * replaces (NULL: the run after a migration).
 */
void net_announce_self(const AnnounceParameters *params);

/* ---- backends ---------------------------------------------------------------------------------------------------- */

/*
 * A kind of backend registers before main(): NET_BACKEND_REGISTER(user_backend). create makes its client(s) with
 * is_netdev unset; peer may be NULL. name is the id.
 */
typedef struct NetBackend {
    NetClientDriver kind;
    bool (*create)(const Netdev *netdev, const char *name, NetClient *peer, GError **error);
} NetBackend;
void net_backend_register(const NetBackend *backend);
#define NET_BACKEND_REGISTER(record)                                                \
    static void __attribute__((constructor)) register_net_backend_##record(void)    \
    {                                                                               \
        net_backend_register(&(record));                                            \
    }

/* ---- command line --------------------------------------------------------------------------------------------------- */

/* -netdev, -nic, -net: made at once (chardevs exist); -nic and -net nic leave a request for the board. */
bool net_option_netdev(const char *arg, GError **error);
bool net_option_nic(const char *arg, GError **error);
bool net_option_net(const char *arg, GError **error);
/* What the three options print for "help"; NULL: arg asks for none. New string. */
char *net_option_help(const char *arg);
/* One card on a user network: what a machine has if no option said anything about networks. */
bool net_add_default(GError **error);
/* The card that -nic, -net nic or the default asks for was not made: an error unless it is the default's. */
bool net_check_requests(GError **error);
/* Warns of cards and backends that nothing uses, at the end of start-up. */
void net_report_unused(void);
/* All backends, at exit. */
void net_cleanup(void);

/* A card that -nic, -net nic or the default asks for, to be made by the board. */
typedef struct NetNicRequest {
    char *model;                       /* NULL: the board's choice */
    char *addr;                        /* PCI address, or NULL */
    NetClient *peer;                   /* what it is plugged into, or NULL */
    uint8_t mac[6];
    bool has_mac;
    int64_t vectors;                   /* -1: not given */
    bool is_default;
    bool used;                         /* the board made it */
} NetNicRequest;
/* The i-th one, NULL behind the last. */
NetNicRequest *net_nic_request(unsigned i);

#endif
