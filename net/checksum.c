/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Internet checksum (RFC 1071). */
#include "util/osdep.h"
#include "net/eth.h"

#include "util/bytes.h"

uint64_t net_checksum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (; len >= 4; len -= 4, p += 4) {
        sum +=
            load_be32(p); /* two words at once: the carry between them is added when it is folded */
    }
    if (len >= 2) {
        sum += load_be16(p);
        p += 2;
        len -= 2;
    }
    return len ? sum + (p[0] << 8) : sum;
}

uint16_t net_checksum_finish(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

void net_checksum_put(uint8_t *data, size_t len, size_t start, size_t offset)
{
    if (start >= len || offset + 2 > len) {
        return;
    }
    store_be16(data + offset, net_checksum_finish(net_checksum_add(0, data + start, len - start)));
}
