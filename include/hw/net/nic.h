/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every network card has: properties `netdev`, `mac`, `bootindex`, and its clients in net/.
 *
 * A card's record has NIC_PROPERTIES, its init calls nic_conf_init(), its realize nic_open(), its unrealize nic_close().
 */
#ifndef HW_NET_NIC_H
#define HW_NET_NIC_H

#include "hw/core/device.h"
#include "net/net.h"

typedef struct NicConf {
    NetClient **backends; /* one per queue; may be NULL */
    unsigned n_backends;
    uint8_t mac[6]; /* all zero before nic_open(): one of the default ones */
    int32_t bootindex;
    bool mac_taken;
} NicConf;

typedef struct Nic {
    NetClient **queues;
    unsigned n;
} Nic;

extern const PropertyKind property_netdev, property_mac;

/* Of bootindex: what firmware calls a card's first port. */
#define NIC_BOOT_SUFFIX "/ethernet-phy@0"
#define NIC_PROPERTIES(type, conf)                                                              \
    PROPERTY("mac", property_mac, type, conf.mac,                                               \
             .description = "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56"),         \
        PROPERTY("netdev", property_netdev, type, conf,                                         \
                 .description = "ID of a netdev to use as a backend"),                          \
        PROPERTY("bootindex", property_bootindex, type, conf.bootindex, .arg = NIC_BOOT_SUFFIX, \
                 .flags = PROPERTY_ANY_TIME)

void nic_conf_init(NicConf *conf);
/*
 * Makes a client per queue (at least one; those behind the backend's last queue have no peer), named after the device's id
 * or the model, with opaque. Takes the address.
 */
void nic_open(Nic *nic, NicConf *conf, Device *dev, const NetClientOps *ops, unsigned queues,
              void *opaque);
/* The same for a device that is a part of the card that users know. */
void nic_open_for(Nic *nic, NicConf *conf, Device *dev, Device *card, const NetClientOps *ops,
                  unsigned queues, void *opaque);
/* Frees clients and address; harmless when not open. */
void nic_close(Nic *nic, NicConf *conf);
/* The guest has given the card another address: `info network` and announcements use it. */
void nic_set_mac(Nic *nic, const uint8_t mac[6]);
static inline NetClient *nic_queue(const Nic *nic, unsigned i)
{
    return nic->queues[i];
}

#endif
