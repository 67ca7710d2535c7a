/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000: sending (SDM 3.3 to 3.5): legacy, context and data descriptors, segmentation, checksums, VLAN tags.
 *
 * T1  A packet is put together in tx.data; tx.size bytes are there, never more than E1000_DATA_MAX.
 * T2  With segmentation tx.header holds the packet's first hdr_len bytes once they have come, and each segment begins
 *     with them.
 * T3  Between two descriptors all of it is in the saved state.
 * T4  A ring that takes long is left between two descriptors, or two segments of one, and gone on with from the main loop, while
 *     the machine runs. It is the head's and the tail's difference that says so, also after a move; tx.done bytes of the
 *     head's descriptor have been taken then.
 */
#include "util/osdep.h"
#include "e1000.h"

#include "net/eth.h"
#include "util/bytes.h"
#include "util/iov.h"
#include "util/log.h"

/* The command byte and the descriptor type, in the second double word's upper half. */
enum {
    CMD_EOP = 1u << 24,
    CMD_IC = 1u << 26,  /* legacy: insert checksum */
    CMD_TSE = 1u << 26, /* others: segmentation */
    CMD_RS = 1u << 27,
    CMD_RPS = 1u << 28,
    CMD_DEXT = 1u << 29,
    CMD_VLE = 1u << 30,
    CMD_IDE = 1u << 31,
    DTYP_MASK = 0xfu << 20,
    DTYP_DATA = 1u << 20,
    CONTEXT_TCP = 1u << 24,
    CONTEXT_IP = 1u << 25,
    TX_STATUS_DD = 1,
    POPTS_IXSM = 1,
    POPTS_TXSM = 2,
};

/* Frames, and KiB, at one go: everybody else wants the big lock, too. A ring has room for hours of segments of one byte, a descriptor
 * for a million. */
#define BURST 4096
#define RING_LENGTH(s) (E1000_REG(s, E1000_TDLEN) / E1000_DESCRIPTOR)

typedef struct Descriptor {
    uint64_t address;
    uint32_t lower; /* length, type, command */
    uint32_t upper; /* status, options, special */
} Descriptor;

/* ---- one frame --------------------------------------------------------------------------------------------------------- */

static void put_sum(uint8_t *data, size_t len, unsigned start, unsigned end, unsigned offset)
{
    if (end && end < len) {
        len = end + 1; /* ipcse and tucse are the last byte */
    }
    net_checksum_put(data, len, start, offset);
}

static bool loopback(const E1000 *s)
{
    return s->phy[PHY_CONTROL] & PHY_CONTROL_LOOPBACK ||
           E1000_REG(s, E1000_RCTL) >> RCTL_LBM_SHIFT & 3;
}

static void count_sent(E1000 *s, const uint8_t *frame, size_t len)
{
    if (len >= 6 && eth_is_broadcast(frame)) {
        e1000_count(s, E1000_BPTC);
    } else if (len >= 6 && eth_is_multicast(frame)) {
        e1000_count(s, E1000_MPTC);
    }
    e1000_count(s, E1000_TPT);
    e1000_count(s, E1000_GPTC);
    e1000_count_octets(s, E1000_GOTCL, len + E1000_FCS);
    e1000_count_octets(s, E1000_TOTL, len + E1000_FCS);
    e1000_count_size(s, E1000_PTC64, len + E1000_FCS);
}

/* The frame leaves the card: with the tag of the descriptor, if that says so. */
static void send_frame(E1000 *s, const uint8_t *frame, size_t len, const Descriptor *d)
{
    uint8_t tag[VLAN_TAG];
    struct iovec iov[3] = { { (void *)frame, len } };
    g_autofree uint8_t *flat = NULL;
    unsigned n = 1;

    s->burst += 1 + len / 1024; /* T4: one that is too short to leave takes its time, too */
    if (len < ETH_HEADER) {
        return;
    }
    if (d->lower & CMD_VLE && E1000_REG(s, E1000_CTRL) & CTRL_VME) {
        store_be16(tag, E1000_REG(s, E1000_VET));
        store_be16(tag + 2, d->upper >> 16);
        iov[0].iov_len = ETH_TYPE;
        iov[1] = (struct iovec){ tag, sizeof(tag) };
        iov[2] = (struct iovec){ (uint8_t *)frame + ETH_TYPE, len - ETH_TYPE };
        n = 3;
    }
    if (loopback(s)) {
        flat = g_malloc(len + VLAN_TAG);
        e1000_receive_frame(s, flat, iov_to_buf(iov, n, 0, flat, len + VLAN_TAG));
    } else {
        net_send(nic_queue(&s->nic, 0), iov, n);
    }
    count_sent(s, frame, len + (n == 3 ? VLAN_TAG : 0));
}

/* ---- segmentation (SDM 3.5) ---------------------------------------------------------------------------------------------- */

static void add_be16(uint8_t *p, uint32_t n)
{
    store_be16(p, load_be16(p) + n);
}

/* The headers of segment tso_frames, in tx.data. */
static void fix_headers(E1000Tx *tx)
{
    const E1000Context *c = &tx->tso_props;
    uint32_t sent = (uint32_t)tx->tso_frames * c->mss;
    unsigned ip = c->ipcss, transport = c->tucss;

    if (c->ip && ip + 6u <= tx->size) {
        store_be16(tx->data + ip + 2, tx->size - ip);
        add_be16(tx->data + ip + 4, tx->tso_frames);
    } else if (!c->ip && ip + 6u <= tx->size) {
        store_be16(tx->data + ip + 4, MAX(tx->size - ip - 40, 0));
    }
    if (c->tcp && transport + 14u <= tx->size) {
        store_be32(tx->data + transport + 4, load_be32(tx->data + transport + 4) + sent);
        if (c->paylen - sent > c->mss) {
            tx->data[transport + 13] &= ~9; /* FIN and PSH belong to the last one */
        }
    } else if (!c->tcp && transport + 6u <= tx->size) {
        store_be16(tx->data + transport + 4, tx->size - transport);
    }
    /* The guest's pseudo header has no length: it is different in each segment. */
    if (tx->sum_needed & POPTS_TXSM && c->tucso + 2u <= tx->size && tx->size >= transport) {
        uint64_t sum = load_be16(tx->data + c->tucso) + (uint64_t)(tx->size - transport);

        sum = (sum & 0xffff) + (sum >> 16);
        store_be16(tx->data + c->tucso, sum);
    }
}

static void send_packet(E1000 *s, bool segmented, const Descriptor *d)
{
    E1000Tx *tx = &s->tx;
    const E1000Context *c = segmented ? &tx->tso_props : &tx->props;

    if (segmented) {
        fix_headers(tx);
        if (tx->tso_frames == 0) {
            e1000_count(s, E1000_TSCTC);
        }
    }
    if (tx->sum_needed & POPTS_TXSM) {
        put_sum(tx->data, tx->size, c->tucss, c->tucse, c->tucso);
    }
    if (tx->sum_needed & POPTS_IXSM) {
        put_sum(tx->data, tx->size, c->ipcss, c->ipcse, c->ipcso);
    }
    send_frame(s, tx->data, tx->size, d);
}

/* Adds what the descriptor points to; a packet that is too long loses its end. */
static void gather(E1000 *s, uint64_t address, unsigned len)
{
    unsigned room = E1000_DATA_MAX - 1 - s->tx.size;

    len = MIN(len, room);
    pci_dma_read(&s->pci, address, s->tx.data + s->tx.size, len);
    s->tx.size += len;
}

/* False: that is enough for now (T4); never for a descriptor of a packet that IP has room for. */
static bool gather_segments(E1000 *s, const Descriptor *d, unsigned total)
{
    E1000Tx *tx = &s->tx;
    unsigned before_it = s->burst;
    unsigned len = total - MIN(total, tx->done);
    unsigned header = tx->tso_props.hdr_len;
    unsigned full = MIN(header + tx->tso_props.mss, E1000_DATA_MAX - 1);
    uint64_t address = d->address + (total - len);

    while (len) {
        unsigned before = tx->size;
        unsigned part = MIN(len, full > before ? full - before : 0);

        gather(s, address, part);
        address += part;
        len -= part;
        if (before < header && tx->size >= header) {
            memcpy(tx->header, tx->data, header);
        }
        if (tx->size < full) {
            break;
        }
        send_packet(s, true, d);
        tx->tso_frames++;
        memcpy(tx->data, tx->header, header);
        tx->size = header;
        if (len && s->burst - before_it >= BURST) {
            tx->done = total - len;
            return false;
        }
    }
    return true;
}

static void packet_done(E1000Tx *tx)
{
    tx->size = tx->tso_frames = 0;
    tx->sum_needed = 0;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------------ */

static void context_descriptor(E1000 *s, const Descriptor *d)
{
    bool tso = d->lower & CMD_TSE;
    E1000Context *c = tso ? &s->tx.tso_props : &s->tx.props;

    c->ipcss = d->address;
    c->ipcso = d->address >> 8;
    c->ipcse = d->address >> 16;
    c->tucss = d->address >> 32;
    c->tucso = d->address >> 40;
    c->tucse = d->address >> 48;
    c->paylen = d->lower & 0xfffff;
    c->hdr_len = d->upper >> 8;
    c->mss = d->upper >> 16;
    c->ip = !!(d->lower & CONTEXT_IP);
    c->tcp = !!(d->lower & CONTEXT_TCP);
    s->tx.tso_frames = 0;
    s->tx.last_was_tso = tso;
}

/* False: it is not done yet (T4). */
static bool data_descriptor(E1000 *s, const Descriptor *d)
{
    E1000Tx *tx = &s->tx;
    bool extended = d->lower & CMD_DEXT;
    bool segmented = extended && d->lower & CMD_TSE && tx->tso_props.mss;
    unsigned len = d->lower & (extended ? 0xfffff : 0xffff);

    if (extended && tx->size == 0 && tx->tso_frames == 0) {
        tx->sum_needed = d->upper >> 8;
    }
    if (segmented) {
        if (!gather_segments(s, d, len)) {
            return false;
        }
    } else {
        gather(s, d->address, len);
    }
    if (!(d->lower & CMD_EOP)) {
        return true;
    }
    if (!extended && d->lower & CMD_IC) {
        put_sum(tx->data, tx->size, d->upper >> 8 & 0xff, 0, d->lower >> 16 & 0xff);
    }
    if (!segmented || tx->size > tx->tso_props.hdr_len || tx->tso_frames == 0) {
        send_packet(s, segmented, d);
    }
    packet_done(tx);
    return true;
}

static uint64_t descriptor_address(E1000 *s, unsigned i)
{
    return ((uint64_t)E1000_REG(s, E1000_TDBAH) << 32 | (E1000_REG(s, E1000_TDBAL) & ~0xfu)) +
           (uint64_t)i * E1000_DESCRIPTOR;
}

/* Tells the guest that the descriptor is done, if it wants to know. Returns the interrupt's cause. */
static uint32_t write_back(E1000 *s, uint64_t at, const Descriptor *d)
{
    uint8_t upper[4];

    if (!(d->lower & (CMD_RS | CMD_RPS))) {
        return 0;
    }
    store_le32(upper, (d->upper | TX_STATUS_DD) & ~0xeu);
    pci_dma_write(&s->pci, at + 12, upper, sizeof(upper));
    s->delay_wanted |= !!(d->lower & CMD_IDE);
    return ICR_TXDW;
}

/* False: it is not done yet. */
static bool process_descriptor(E1000 *s, uint64_t at, uint32_t *causes)
{
    uint8_t raw[E1000_DESCRIPTOR] = { 0 };
    Descriptor d;

    pci_dma_read(&s->pci, at, raw, sizeof(raw));
    d = (Descriptor){ load_le64(raw), load_le32(raw + 8), load_le32(raw + 12) };
    if ((d.lower & CMD_DEXT) && (d.lower & DTYP_MASK) == 0) {
        context_descriptor(s, &d);
    } else if (!(d.lower & CMD_DEXT) || (d.lower & DTYP_MASK) == DTYP_DATA) {
        if (!data_descriptor(s, &d)) {
            return false;
        }
    }
    s->tx.done = 0;
    *causes |= write_back(s, at, &d);
    return true;
}

static void leave_for_now(E1000 *s, uint32_t *causes)
{
    *causes &= ~ICR_TXQE;
    bh_schedule(s->go_on);
}

void e1000_transmit(E1000 *s)
{
    uint32_t causes = ICR_TXQE;
    unsigned start = E1000_REG(s, E1000_TDH), n = RING_LENGTH(s);

    if (!(E1000_REG(s, E1000_TCTL) & TCTL_EN) || s->sending ||
        !(load_le16(s->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER)) {
        return;
    }
    if (start >= n || E1000_REG(s, E1000_TDT) >= n) {
        if (E1000_REG(s, E1000_TDT) != start) {
            log_guest_error("e1000: head %u or tail %u beyond a ring of %u", start,
                            E1000_REG(s, E1000_TDT), n);
        }
        return;
    }
    s->sending = true;
    s->burst = 0;
    while (E1000_REG(s, E1000_TDH) != E1000_REG(s, E1000_TDT)) {
        unsigned head = E1000_REG(s, E1000_TDH);

        if (!process_descriptor(s, descriptor_address(s, head), &causes)) {
            leave_for_now(s, &causes);
            break;
        }
        if (E1000_REG(s, E1000_TDH) != head || RING_LENGTH(s) != n) {
            break; /* a descriptor that pointed at our registers: the ring is another one now */
        }
        E1000_REG(s, E1000_TDH) = head + 1 >= n ? 0 : head + 1;
        if (E1000_REG(s, E1000_TDH) == start) {
            break; /* around once: the tail is where no head comes by */
        }
        if (s->burst >= BURST && E1000_REG(s, E1000_TDH) != E1000_REG(s, E1000_TDT)) { /* T4 */
            leave_for_now(s, &causes);
            break;
        }
    }
    s->sending = false;
    e1000_raise(s, causes);
}
