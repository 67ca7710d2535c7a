/* SPDX-License-Identifier: GPL-2.0-or-later */
/* e1000: receiving (SDM 3.2): filters, the ring of descriptors, VLAN tags. */
#include "util/osdep.h"
#include "e1000.h"

#include "net/eth.h"
#include "util/bytes.h"
#include "util/iov.h"

enum {
    RX_STATUS_DD = 0x01,
    RX_STATUS_EOP = 0x02,
    RX_STATUS_IXSM = 0x04, /* checksums were not looked at */
    RX_STATUS_VP = 0x08,   /* the tag is in the descriptor */
};

#define RX_FRAME_MIN 60   /* shorter ones are padded, as they were on the wire */
#define RX_FRAME_MAX 1522 /* without LPE */
#define RX_LONG_MAX 16384 /* with LPE */
#define RING_LENGTH(s) (E1000_REG(s, E1000_RDLEN) / E1000_DESCRIPTOR)

/* ---- configuration ------------------------------------------------------------------------------------------------- */

void e1000_rx_configure(E1000 *s)
{
    uint32_t rctl = E1000_REG(s, E1000_RCTL);
    unsigned code = rctl >> RCTL_BSIZE_SHIFT & 3;

    s->rxbuf_size = rctl & RCTL_BSEX && code ? 32768u >> code : 2048u >> code;
    s->rxbuf_min_shift = (rctl >> RCTL_RDMTS_SHIFT & 3) + 1;
}

static bool enabled(E1000 *s)
{
    return E1000_REG(s, E1000_RCTL) & RCTL_EN && E1000_REG(s, E1000_STATUS) & STATUS_LU &&
           load_le16(s->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* Descriptors that the guest has given us. A tail or head outside of the ring gives nothing. */
static unsigned descriptors(E1000 *s)
{
    unsigned n = RING_LENGTH(s), head = E1000_REG(s, E1000_RDH), tail = E1000_REG(s, E1000_RDT);

    if (head >= n || tail >= n) {
        return 0;
    }
    return tail >= head ? tail - head : n - head + tail;
}

bool e1000_can_receive(NetClient *nc)
{
    E1000 *s = nc->opaque;

    return enabled(s) && descriptors(s) > 0;
}

/* ---- filters (SDM 10) ------------------------------------------------------------------------------------------------- */

static bool is_tagged(E1000 *s, const uint8_t *frame)
{
    return load_be16(frame + ETH_TYPE) == (uint16_t)E1000_REG(s, E1000_VET);
}

static bool vlan_wanted(E1000 *s, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (!(E1000_REG(s, E1000_RCTL) & RCTL_VFE) || len < ETH_HEADER + VLAN_TAG ||
        !is_tagged(s, frame)) {
        return true;
    }
    id = load_be16(frame + ETH_HEADER) & VLAN_ID_MASK;
    return E1000_REG(s, E1000_VFTA + 4 * (id >> 5)) >> (id & 31) & 1;
}

static bool hash_hit(E1000 *s, const uint8_t *frame)
{
    static const unsigned shifts[] = { 4, 3, 2, 0 };
    unsigned shift = shifts[E1000_REG(s, E1000_RCTL) >> RCTL_MO_SHIFT & 3];
    unsigned hash = (frame[5] << 8 | frame[4]) >> shift & 0xfff;

    return E1000_REG(s, E1000_MTA + 4 * (hash >> 5)) >> (hash & 31) & 1;
}

static bool address_wanted(E1000 *s, const uint8_t *frame)
{
    uint32_t rctl = E1000_REG(s, E1000_RCTL);

    if (eth_is_broadcast(frame) ? rctl & RCTL_BAM
                                : rctl & (eth_is_multicast(frame) ? RCTL_MPE : RCTL_UPE)) {
        return true;
    }
    for (unsigned i = 0; i < E1000_RA_COUNT; i += 2) {
        uint8_t address[8];

        store_le32(address, E1000_REG(s, E1000_RA + 4 * i));
        store_le32(address + 4, E1000_REG(s, E1000_RA + 4 * i + 4));
        if (E1000_REG(s, E1000_RA + 4 * i + 4) & RAH_AV && !memcmp(address, frame, 6)) {
            return true;
        }
    }
    return eth_is_multicast(frame) && hash_hit(s, frame);
}

static void count_received(E1000 *s, const uint8_t *frame, size_t octets)
{
    if (eth_is_broadcast(frame)) {
        e1000_count(s, E1000_BPRC);
    } else if (eth_is_multicast(frame)) {
        e1000_count(s, E1000_MPRC);
    }
    e1000_count(s, E1000_TPR);
    e1000_count(s, E1000_GPRC);
    e1000_count_octets(s, E1000_GORCL, octets);
    e1000_count_octets(s, E1000_TORL, octets);
    e1000_count_size(s, E1000_PRC64, octets);
}

/* ---- descriptors -------------------------------------------------------------------------------------------------------- */

static uint64_t descriptor_address(E1000 *s, unsigned i)
{
    return ((uint64_t)E1000_REG(s, E1000_RDBAH) << 32 | (E1000_REG(s, E1000_RDBAL) & ~0xfu)) +
           (uint64_t)i * E1000_DESCRIPTOR;
}

/* Puts the frame into as many descriptors as it needs; total counts the check sequence. */
static void fill_descriptors(E1000 *s, const uint8_t *frame, size_t len, size_t total, uint16_t tag,
                             uint8_t status)
{
    size_t done = 0;

    while (done < total) {
        size_t part = MIN(total - done, s->rxbuf_size);
        size_t data = done < len ? MIN(len - done, part) : 0;
        unsigned head = E1000_REG(s, E1000_RDH);
        uint64_t at = descriptor_address(s, head);
        uint8_t d[E1000_DESCRIPTOR] = { 0 };
        uint64_t buffer;

        pci_dma_read(&s->pci, at, d, sizeof(d));
        buffer = load_le64(d);
        if (buffer) { /* a null descriptor takes its part of the packet and throws it away */
            pci_dma_write(&s->pci, buffer, frame + done,
                          data); /* the check sequence stays as it is in memory */
        }
        done += part;
        store_le16(d + 8, part);
        store_le16(d + 10, 0);
        d[12] = status | RX_STATUS_DD | (done == total ? RX_STATUS_EOP | RX_STATUS_IXSM : 0);
        d[13] = 0;
        store_le16(d + 14, tag);
        /* The status byte last: a guest that polls it finds the rest there. */
        pci_dma_write(&s->pci, at + 8, d + 8, 4);
        pci_dma_write(&s->pci, at + 13, d + 13, 3);
        pci_dma_write(&s->pci, at + 12, d + 12, 1);
        E1000_REG(s, E1000_RDH) = head + 1 >= RING_LENGTH(s) ? 0 : head + 1;
        if (s->rxbuf_size == 0 || descriptors(s) == 0) {
            break; /* the guest has changed the ring under us */
        }
    }
}

/* True: dealt with. */
static bool store_frame(E1000 *s, uint8_t *frame, size_t len)
{
    uint32_t causes = ICR_RXT0;
    uint8_t status = 0;
    uint16_t tag = 0;
    size_t total, counted = len + E1000_FCS;

    if (len >= ETH_HEADER + VLAN_TAG && is_tagged(s, frame) &&
        E1000_REG(s, E1000_CTRL) & CTRL_VME) {
        tag = load_be16(frame + ETH_HEADER);
        status = RX_STATUS_VP;
        memmove(frame + VLAN_TAG, frame, ETH_TYPE);
        frame += VLAN_TAG;
        len -= VLAN_TAG;
    }
    total = len + (E1000_REG(s, E1000_RCTL) & RCTL_SECRC ? 0 : E1000_FCS);
    if (descriptors(s) == 0) {
        return false;
    }
    if (total > (uint64_t)descriptors(s) * s->rxbuf_size) {
        e1000_count(s, E1000_MPC);
        e1000_count(s, E1000_RNBC);
        e1000_raise(s, ICR_RXO);
        return true;
    }
    s->receiving = true;
    fill_descriptors(s, frame, len, total, tag, status);
    s->receiving = false;
    count_received(s, frame, counted);
    if (descriptors(s) <= RING_LENGTH(s) >> s->rxbuf_min_shift) {
        causes |= ICR_RXDMT0;
    }
    e1000_raise(s, causes);
    return true;
}

bool e1000_receive_frame(E1000 *s, const uint8_t *frame, size_t len)
{
    g_autofree uint8_t *copy = NULL;
    uint32_t rctl = E1000_REG(s, E1000_RCTL);

    if (!enabled(s) || s->receiving) {
        return false;
    }
    if (len < ETH_HEADER || len > RX_LONG_MAX ||
        (len > RX_FRAME_MAX && !(rctl & (RCTL_LPE | RCTL_SBP)))) {
        if (len >= ETH_HEADER) {
            e1000_count(s, E1000_ROC);
        }
        return true;
    }
    if (!vlan_wanted(s, frame, len) || !address_wanted(s, frame)) {
        return true;
    }
    copy = g_malloc0(MAX(len, RX_FRAME_MIN));
    memcpy(copy, frame, len);
    return store_frame(s, copy, MAX(len, RX_FRAME_MIN));
}

bool e1000_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    g_autofree uint8_t *flat = NULL;

    if (niov == 1) {
        return e1000_receive_frame(nc->opaque, iov->iov_base, len);
    }
    flat = g_malloc(len);
    iov_to_buf(iov, niov, 0, flat, len);
    return e1000_receive_frame(nc->opaque, flat, len);
}

/* ---- query-rx-filter -------------------------------------------------------------------------------------------------------- */

RxFilterInfo *e1000_query_rx_filter(NetClient *nc, GError **error)
{
    E1000 *s = nc->opaque;
    uint32_t rctl = E1000_REG(s, E1000_RCTL);
    RxFilterInfo *info = g_new0(RxFilterInfo, 1);

    info->name = g_strdup(nc->name);
    info->promiscuous = (rctl & (RCTL_UPE | RCTL_MPE)) == (RCTL_UPE | RCTL_MPE);
    info->unicast = rctl & RCTL_UPE ? RX_STATE_ALL : RX_STATE_NORMAL;
    info->multicast = rctl & RCTL_MPE ? RX_STATE_ALL : RX_STATE_NORMAL;
    info->vlan = rctl & RCTL_VFE ? RX_STATE_NORMAL : RX_STATE_ALL;
    info->broadcast_allowed = rctl & RCTL_BAM;
    info->main_mac = net_mac_format(nc->mac);
    info->vlan_table = g_new0(IntArray, 1);
    info->unicast_table = g_new0(StrArray, 1);
    info->multicast_table = g_new0(StrArray, 1);
    return info;
}
