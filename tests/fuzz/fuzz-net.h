/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of network cards share: the other end of the cable, "wire". */
#ifndef TESTS_FUZZ_NET_H
#define TESTS_FUZZ_NET_H

#include "net/net.h"

static NetClient *fuzz_wire;
static bool fuzz_wire_busy, fuzz_wire_offloads;

static bool fuzz_wire_can_receive(NetClient *nc)
{
    return !fuzz_wire_busy;
}

/* Looks at each byte, for the sanitizers; what it saw is kept where the compiler cannot drop the look. */
static volatile uint8_t fuzz_wire_sum;

static bool fuzz_wire_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    size_t total = 0;

    for (unsigned i = 0; i < niov; i++) {
        for (size_t k = 0; k < iov[i].iov_len; k++) {
            fuzz_wire_sum ^= ((const uint8_t *)iov[i].iov_base)[k];
        }
        total += iov[i].iov_len;
    }
    if (total != len || len > NET_PACKET_MAX) {
        g_error("a packet of %zu bytes that says %zu", total, len);
    }
    return true;
}

static unsigned fuzz_wire_can(NetClient *nc)
{
    return fuzz_wire_offloads ? 0x3f : 0;
}

static void fuzz_wire_set(NetClient *nc, unsigned value)
{
}

static const NetClientOps fuzz_wire_ops = {
    .kind = NET_CLIENT_DRIVER_HUBPORT,
    .size = sizeof(NetClient),
    .can_receive = fuzz_wire_can_receive,
    .receive = fuzz_wire_receive,
    .offloads = fuzz_wire_can,
    .set_vnet_header = fuzz_wire_set,
    .set_offloads = fuzz_wire_set,
};

/* Before the card is realized with netdev=wire. */
static void fuzz_net_plug(bool offloads)
{
    fuzz_wire_offloads = offloads;
    fuzz_wire_busy = false;
    fuzz_wire = net_client_new(&fuzz_wire_ops, "fuzz", "wire", 0, NULL);
}

/* After the card has gone. */
static void fuzz_net_unplug(void)
{
    net_client_free(fuzz_wire);
    fuzz_wire = NULL;
}

/* Something like a frame, for everybody or for the first default address: kind chooses. */
static void fuzz_net_fill(uint8_t *frame, size_t len, uint8_t kind)
{
    static const uint8_t heads[4][34] = {
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6 },
        { 0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0,  0, 1, 8, 0,  0x45, 0, 5,
          0xdc, 0,    1, 0,    0,    64,   6, 0, 0, 10, 0, 2, 2, 10, 0,    2, 15 },
        { 1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 5, 8, 0, 0x45 },
        { 0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 4, 0, 17 },
    };

    for (size_t i = 0; i < len; i++) {
        frame[i] = i < 34 ? heads[kind & 3][i] : (uint8_t)(i * kind);
    }
}

/* What the network does: packets, busy or not, the cable; a and b are its arguments. */
static void fuzz_net_step(unsigned what, uint8_t a, uint8_t b)
{
    uint8_t packet[20000] = { 0 };
    unsigned header = fuzz_wire->peer ? fuzz_wire->peer->vnet_header : 0;
    unsigned len = a * (b & 0x80 ? 64 : 8);

    switch (what & 3) {
    case 0:
    case 1:
        if (header) {
            packet[0] = b & 0x40 ? b & 7 : 0;
            packet[1] = b & 0x20 ? a & 7 : 0;
        }
        fuzz_net_fill(packet + header, len, b);
        net_send_buf(fuzz_wire, packet, header + len);
        break;
    case 2:
        fuzz_wire_busy = a & 1;
        if (!fuzz_wire_busy) {
            net_flush(fuzz_wire);
        }
        break;
    default:
        net_set_link("wire", a & 1, NULL);
    }
}

#endif
