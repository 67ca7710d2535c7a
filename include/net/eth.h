/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ethernet frames, and the Internet checksum (RFC 1071). */
#ifndef NET_ETH_H
#define NET_ETH_H

#include <glib.h>
#include <stdint.h>

enum {
    ETH_TYPE = 12,   /* offset */
    ETH_HEADER = 14, /* length */
    VLAN_TAG = 4,
    VLAN_ID_MASK = 0xfff,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
};

static inline bool eth_is_multicast(const uint8_t *frame)
{
    return frame[0] & 1;
}

static inline bool eth_is_broadcast(const uint8_t *frame)
{
    for (unsigned i = 0; i < 6; i++) {
        if (frame[i] != 0xff) {
            return false;
        }
    }
    return true;
}

/* Sum of 16-bit big-endian words, to be folded; odd lengths get a zero behind. */
uint64_t net_checksum_add(uint64_t sum, const void *data, size_t len);
/* The checksum that goes into the packet. */
uint16_t net_checksum_finish(uint64_t sum);
/* Puts the checksum of [start, len) at offset (the field holds a partial sum, or zero); nothing if it does not fit. */
void net_checksum_put(uint8_t *data, size_t len, size_t start, size_t offset);

#endif
