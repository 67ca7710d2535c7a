/* SPDX-License-Identifier: GPL-2.0-or-later */
/* e1000: identity, sending, receiving, interrupts, link (8254x SDM), drivers that mean no good, and the user network. */
#include "util/osdep.h"
#include "net-wire.h"
#include "util/bytes.h"

#define SLOT 4
#define MMIO 0xe0000000u
#define TX_RING 0x100000u
#define RX_RING 0x101000u
#define TX_BUF 0x110000u
#define RX_BUF 0x180000u
#define RX_BUF_SIZE 2048u
#define RING 16u
#define MAC "52:54:00:12:34:56"

enum {
    CTRL = 0x0,
    STATUS = 0x8,
    EECD = 0x10,
    EERD = 0x14,
    MDIC = 0x20,
    ICR = 0xc0,
    ITR = 0xc4,
    ICS = 0xc8,
    IMS = 0xd0,
    IMC = 0xd8,
    RCTL = 0x100,
    TCTL = 0x400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    MPC = 0x4010,
    MTA = 0x5200,
    VFTA = 0x5600,
};
enum {
    EOP = 1u << 24,
    IC = 1u << 26,
    TSE = 1u << 26,
    RS = 1u << 27,
    DEXT = 1u << 29,
    VLE = 1u << 30,
    DATA = 1u << 20,
    RCTL_EN = 2,
    RCTL_UPE = 8,
    RCTL_BAM = 1u << 15,
    RCTL_VFE = 1u << 18,
    RCTL_256 = 3u << 16,
    RCTL_SECRC = 1u << 26,
    CTRL_VME = 1u << 30,
};

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

typedef struct Card {
    QTest *q;
    Wire *wire;
    unsigned tx, rx; /* next descriptor */
} Card;

/* A test of many accesses moves at some of them only when every access would be a move. */
static void may_move(Card *c)
{
    static unsigned n;

    qtest_set_moving(c->q, ++n % 11 == 0);
}

static uint32_t rd(Card *c, unsigned reg)
{
    may_move(c);
    return qtest_readl(c->q, MMIO + reg);
}

static void wr(Card *c, unsigned reg, uint32_t value)
{
    may_move(c);
    qtest_writel(c->q, MMIO + reg, value);
}

static void config_write(Card *c, unsigned reg, uint32_t value)
{
    qtest_outl(c->q, 0xcf8, 1u << 31 | SLOT << 11 | reg);
    qtest_outl(c->q, 0xcfc, value);
}

static void start_rings(Card *c, uint32_t rctl)
{
    qtest_set_moving(c->q, false);
    qtest_memset(c->q, TX_RING, 0, 0x2000);
    for (unsigned i = 0; i < RING; i++) {
        qtest_writeq(c->q, RX_RING + 16 * i, RX_BUF + RX_BUF_SIZE * i);
    }
    c->tx = c->rx = 0;
    wr(c, RCTL, 0);
    wr(c, TCTL, 0);
    wr(c, TDBAL, TX_RING);
    wr(c, TDLEN, 16 * RING);
    wr(c, TDH, 0);
    wr(c, TDT, 0);
    wr(c, RDBAL, RX_RING);
    wr(c, RDLEN, 16 * RING);
    wr(c, RDH, 0);
    wr(c, RDT, RING - 1);
    wr(c, TCTL, 2);
    wr(c, RCTL, rctl);
}

static Card *start_with(const char *netdev)
{
    Card *c = g_new0(Card, 1);

    c->q = qtest_start("-machine %s -m 16 %s -device e1000,netdev=n,addr=4,romfile=,mac=" MAC,
                       qtest_machine("pc"), netdev);
    qtest_set_moving(c->q, false);
    config_write(c, 0x10, MMIO);
    config_write(c, 0x04, 7);
    start_rings(c, RCTL_EN | RCTL_BAM);
    return c;
}

static Card *start(void)
{
    Wire *wire = wire_new();
    g_autofree char *netdev = wire_option(wire, "n");
    Card *c = start_with(netdev);

    c->wire = wire;
    wire_attach(wire, c->q);
    return c;
}

static void end(Card *c)
{
    qtest_end(c->q);
    if (c->wire) {
        wire_free(c->wire);
    }
    g_free(c);
}

/* A frame of that length whose bytes say where they are. */
static void make_frame(uint8_t *frame, size_t len, const uint8_t *to, uint8_t seed)
{
    for (size_t i = 0; i < len; i++) {
        frame[i] = i * 7 + seed;
    }
    memcpy(frame, to, 6);
    frame[12] = 0x08;
    frame[13] = 0x00;
}

static void put_descriptor(Card *c, uint64_t address, uint32_t lower, uint32_t upper)
{
    uint64_t at = TX_RING + 16 * c->tx;

    may_move(c);
    qtest_writeq(c->q, at, address);
    qtest_writel(c->q, at + 8, lower);
    qtest_writel(c->q, at + 12, upper);
    c->tx = (c->tx + 1) % RING;
}

static void expect_frame(Card *c, const uint8_t *frame, size_t len)
{
    g_autofree uint8_t *got = g_malloc(WIRE_PACKET_MAX);
    size_t n = wire_receive(c->wire, got);

    g_assert_cmpmem(got, n, frame, len);
}

/* ---- identity --------------------------------------------------------------------------------------------------- */

static unsigned eeprom_shift(Card *c, unsigned bits, unsigned value, bool in)
{
    unsigned out = 0;

    for (unsigned i = bits; i-- > 0;) {
        unsigned di = !in && value >> i & 1 ? 4 : 0;

        wr(c, EECD, 2 | di);
        wr(c, EECD, 2 | di | 1);
        out = out << 1 | (rd(c, EECD) >> 3 & 1);
        wr(c, EECD, 2 | di);
    }
    return out;
}

static void test_identity(void)
{
    Card *c = start();
    uint16_t sum = 0, words[64];

    for (unsigned i = 0; i < 64; i++) {
        wr(c, EERD, 1 | i << 8);
        g_assert_cmphex(rd(c, EERD) & 0x10, ==, 0x10);
        words[i] = rd(c, EERD) >> 16;
        sum += words[i];
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    g_assert_cmpmem(words, 6, mac, 6); /* little-endian words */
    for (unsigned i = 0; i < 3; i++) {
        wr(c, EECD, 0);
        wr(c, EECD, 2);
        eeprom_shift(c, 9, 6 << 6 | i, false);
        g_assert_cmphex(eeprom_shift(c, 16, 0, true), ==, words[i]);
        wr(c, EECD, 0);
    }
    wr(c, MDIC, 2 << 26 | 1 << 21 | 2 << 16);
    g_assert_cmphex(rd(c, MDIC), ==, (2u << 26 | 1u << 21 | 2u << 16 | 1u << 28 | 0x141));
    wr(c, MDIC, 2 << 26 | 2 << 21 | 2 << 16); /* another PHY is not there */
    g_assert_cmphex(rd(c, MDIC) >> 30 & 1, ==, 1);
    end(c);
}

/* ---- sending ------------------------------------------------------------------------------------------------------ */

static void test_transmit(void)
{
    static const unsigned lengths[] = { 14, 60, 61, 1514, 9000 };
    g_autofree uint8_t *frame = g_malloc(WIRE_PACKET_MAX);
    Card *c = start();

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        unsigned len = lengths[i], first = len / 3, at = c->tx;

        make_frame(frame, len, mac, i);
        qtest_memwrite(c->q, TX_BUF, frame, len);
        if (i & 1) { /* in two pieces, with a move in between */
            put_descriptor(c, TX_BUF, first, 0);
            wr(c, TDT, c->tx);
            put_descriptor(c, TX_BUF + first, (len - first) | EOP | RS, 0);
        } else {
            put_descriptor(c, TX_BUF, len | EOP | RS, 0);
        }
        wr(c, TDT, c->tx);
        expect_frame(c, frame, len);
        g_assert_cmpuint(rd(c, TDH), ==, c->tx);
        at = (c->tx + RING - 1) % RING;
        g_assert_cmphex(qtest_readl(c->q, TX_RING + 16 * at + 12) & 1, ==, 1);
        g_assert_cmphex(rd(c, ICR) & 3, ==, 3);
    }
    wr(c, CTRL, rd(c, CTRL) | CTRL_VME);
    put_descriptor(c, TX_BUF, 100 | EOP | VLE, 0x2123u << 16);
    wr(c, TDT, c->tx);
    memmove(frame + 16, frame + 12, 88);
    memcpy(frame + 12, "\x81\x00\x21\x23", 4);
    expect_frame(c, frame, 104);
    g_assert_false(wire_has_packet(c->wire, 20));
    end(c);
}

/* Ethernet, IPv4 and TCP headers; the pseudo header's sum without a length. */
static void make_tcp(uint8_t *frame, unsigned payload)
{
    static const uint8_t headers[54] = {
        0x52, 0x54, 0, 0x12, 0x34, 0x57, 0x52, 0x54, 0,  0x12, 0x34, 0x56, 0x08, 0x00, /* Ethernet */
        0x45, 0,    0, 0,    0x12, 0x34, 0x40, 0,    64, 6,    0,    0,    10,   0,    2,
        15,   10,   0, 2,    2, /* IPv4 */
        3,    0xe8, 7, 0xd0, 0x11, 0x22, 0x33, 0x44, 0,  0,    0,    5,    0x50, 0x19, 0x10,
        0,    0,    0, 0,    0, /* TCP */
    };
    uint16_t pseudo = wire_sum(6, headers + 26, 8);

    memcpy(frame, headers, sizeof(headers));
    frame[50] = pseudo >> 8;
    frame[51] = pseudo;
    for (unsigned i = 0; i < payload; i++) {
        frame[54 + i] = i * 3;
    }
}

/* 3000 bytes in segments: lengths, numbers, flags, checksums; the machine moves between the descriptors. */
static void test_segmentation(void)
{
    g_autofree uint8_t *frame = g_malloc(WIRE_PACKET_MAX), *got = g_malloc(WIRE_PACKET_MAX);
    const unsigned total = 3000, mss = 1460;
    Card *c = start();

    make_tcp(frame, total);
    qtest_memwrite(c->q, TX_BUF, frame, 54 + total);
    put_descriptor(c, 14 | 24 << 8 | 33 << 16 | (uint64_t)34 << 32 | (uint64_t)50 << 40,
                   total | DEXT | TSE | 3u << 24, 54 << 8 | mss << 16);
    wr(c, TDT, c->tx);
    put_descriptor(c, TX_BUF, 54 | DATA | DEXT | TSE, 3 << 8);
    wr(c, TDT, c->tx);
    put_descriptor(c, TX_BUF + 54, 2000 | DATA | DEXT | TSE, 0);
    wr(c, TDT, c->tx);
    put_descriptor(c, TX_BUF + 2054, 1000 | DATA | DEXT | TSE | EOP | RS, 0);
    wr(c, TDT, c->tx);
    for (unsigned sent = 0, i = 0; sent < total; i++) {
        unsigned part = MIN(mss, total - sent);
        size_t n = wire_receive(c->wire, got);

        g_assert_cmpuint(n, ==, 54 + part);
        g_assert_cmpuint(wire_be16(got + 16), ==, 40 + part);
        g_assert_cmphex(wire_be16(got + 18), ==, 0x1234 + i);
        g_assert_cmphex(wire_be32(got + 38), ==, 0x11223344 + sent);
        g_assert_cmphex(got[47], ==, sent + part < total ? 0x10 : 0x19);
        g_assert_cmphex(wire_sum(0, got + 14, 20), ==, 0xffff);
        g_assert_cmphex(wire_sum(6 + 20 + part + wire_sum(0, got + 26, 8), got + 34, 20 + part), ==,
                        0xffff);
        g_assert_cmpmem(got + 54, part, frame + 54 + sent, part);
        sent += part;
    }
    g_assert_false(wire_has_packet(c->wire, 20));
    end(c);
}

/* ---- receiving ---------------------------------------------------------------------------------------------------- */

/* Waits until the card has taken descriptors up to head. */
static void wait_head(Card *c, unsigned head)
{
    qtest_set_moving(c->q,
                     false); /* what the source has not read is lost with it, as on any cable */
    for (unsigned i = 0; i < 30000 && qtest_readl(c->q, MMIO + RDH) != head; i++) {
        g_usleep(i < 100 ? 100 : 2000);
    }
    g_assert_cmpuint(qtest_readl(c->q, MMIO + RDH), ==, head);
}

static void expect_received(Card *c, const uint8_t *frame, size_t len, uint8_t status, uint16_t tag)
{
    g_autofree uint8_t *got = g_malloc(len);
    uint64_t at = RX_RING + 16 * c->rx;

    wait_head(c, (c->rx + 1) % RING);
    may_move(c);
    qtest_memread(c->q, RX_BUF + RX_BUF_SIZE * c->rx, got, len);
    g_assert_cmpmem(got, len, frame, len);
    g_assert_cmpuint(qtest_readw(c->q, at + 8), ==, len + 4);
    g_assert_cmphex(qtest_readb(c->q, at + 12), ==, status);
    g_assert_cmphex(qtest_readw(c->q, at + 14), ==, tag);
    c->rx = (c->rx + 1) % RING;
}

static void expect_nothing(Card *c)
{
    uint8_t frame[60];

    make_frame(frame, sizeof(frame), mac, 99); /* one that comes, behind the one that does not */
    wire_send(c->wire, frame, sizeof(frame));
    expect_received(c, frame, sizeof(frame), 7, 0);
}

static void test_receive(void)
{
    static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t group[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 };
    static const uint8_t other[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99 };
    uint8_t frame[1600];
    Card *c = start();
    unsigned hash = (group[5] << 8 | group[4]) >> 4;

    make_frame(frame, 1514, mac, 1);
    wire_send(c->wire, frame, 1514);
    expect_received(c, frame, 1514, 7, 0);
    make_frame(frame, 200, all, 2);
    wire_send(c->wire, frame, 200);
    expect_received(c, frame, 200, 7, 0);
    make_frame(frame, 200, other, 3);
    wire_send(c->wire, frame, 200);
    expect_nothing(c);
    make_frame(frame, 200, group, 4);
    wire_send(c->wire, frame, 200);
    expect_nothing(c);
    wr(c, MTA + 4 * (hash >> 5), 1u << (hash & 31));
    wire_send(c->wire, frame, 200);
    expect_received(c, frame, 200, 7, 0);
    wr(c, RCTL, RCTL_EN | RCTL_UPE);
    make_frame(frame, 200, other, 5);
    wire_send(c->wire, frame, 200);
    expect_received(c, frame, 200, 7, 0);
    make_frame(frame, 200, all, 6);
    wire_send(c->wire, frame, 200);
    expect_nothing(c);
    end(c);
}

/* Tags go into the descriptor, filters look at them. */
static void test_receive_vlan(void)
{
    uint8_t frame[200], plain[200];
    Card *c = start();

    make_frame(frame, 200, mac, 1);
    memcpy(plain, frame, 200);
    memmove(frame + 16, frame + 12, 184);
    memcpy(frame + 12, "\x81\x00\x21\x23", 4);
    wire_send(c->wire, frame, 200);
    expect_received(c, frame, 200, 7, 0);
    wr(c, CTRL, rd(c, CTRL) | CTRL_VME);
    wire_send(c->wire, frame, 200);
    expect_received(c, plain, 196, 0xf, 0x2123);
    wr(c, RCTL, RCTL_EN | RCTL_VFE);
    wire_send(c->wire, frame, 200);
    expect_nothing(c);
    wr(c, VFTA + 4 * (0x123 >> 5), 1u << (0x123 & 31));
    wire_send(c->wire, frame, 200);
    expect_received(c, plain, 196, 0xf, 0x2123);
    end(c);
}

/* A full ring: packets wait until the guest gives descriptors; one that can never fit is counted. */
static void test_receive_full(void)
{
    uint8_t frame[1514];
    unsigned missed = 0;
    Card *c = start();

    start_rings(c, RCTL_EN | RCTL_256 | RCTL_SECRC);
    wr(c, RDT, 6); /* six descriptors of 256 bytes */
    make_frame(frame, 1400, mac, 1);
    wire_send(c->wire, frame, 1400);
    wait_head(c, 6);
    for (unsigned i = 0; i < 6; i++) {
        uint8_t got[256];
        unsigned part = MIN(256, 1400 - 256 * i);

        qtest_memread(c->q, RX_BUF + RX_BUF_SIZE * i, got, part);
        g_assert_cmpmem(got, part, frame + 256 * i, part);
        g_assert_cmphex(qtest_readb(c->q, RX_RING + 16 * i + 12), ==, i < 5 ? 1 : 7);
    }
    make_frame(frame, 100, mac, 2);
    wire_send(c->wire, frame, 100);
    g_usleep(20000);
    g_assert_cmpuint(qtest_readl(c->q, MMIO + RDH), ==, 6);
    qtest_writel(c->q, MMIO + RDT, 8);
    wait_head(c, 7);
    make_frame(frame, 1514, mac, 3);
    wire_send(c->wire, frame, 1514);
    for (unsigned i = 0; i < 60000 && !missed; i++) {
        missed = qtest_readl(c->q, MMIO + MPC); /* 0 again when it has been read */
        g_usleep(1000);
    }
    g_assert_cmpuint(missed, ==, 1);
    g_assert_cmpuint(qtest_readl(c->q, MMIO + RDH), ==, 7);
    end(c);
}

/* ---- interrupts and link --------------------------------------------------------------------------------------------- */

static bool line(Card *c)
{
    /* PCI status: the interrupt's level */
    may_move(c);
    qtest_outl(c->q, 0xcf8, 1u << 31 | SLOT << 11 | 4);
    return qtest_inl(c->q, 0xcfc) >> 19 & 1;
}

static void test_interrupt(void)
{
    Card *c = start();

    rd(c, ICR);
    wr(c, ICS, 5);
    g_assert_false(line(c));
    wr(c, IMS, 4);
    g_assert_true(line(c));
    g_assert_cmphex(rd(c, ICR), ==, 5);
    g_assert_false(line(c));
    wr(c, ICS, 1);
    g_assert_false(line(c));
    wr(c, IMS, 1);
    g_assert_true(line(c));
    wr(c, IMC, 0xffffffff);
    g_assert_false(line(c));
    wr(c, ICR, 1);
    g_assert_cmphex(rd(c, ICR), ==, 0);
    end(c);
}

/* With ITR the second interrupt comes when the time is over, moved or not. */
static void test_mitigation(void)
{
    Card *c = start();

    rd(c, ICR);
    wr(c, IMS, 4);
    qtest_clock_step(c->q, 2000000); /* a time that a load may have begun */
    wr(c, ITR, 2000);                /* 512 us */
    wr(c, ICS, 4);
    g_assert_true(line(c));
    rd(c, ICR);
    g_assert_false(line(c));
    qtest_set_moving(c->q, false);
    qtest_writel(c->q, MMIO + ICS, 4);
    if (qtest_moves(c->q) == 0) {
        g_assert_false(line(c));
    }
    qtest_clock_step(c->q, 2000000);
    g_assert_true(line(c));
    end(c);
}

static void test_link(void)
{
    Card *c = start();

    rd(c, ICR);
    g_assert_cmphex(rd(c, STATUS) & 2, ==, 2);
    qtest_set_moving(
        c->q,
        false); /* a move would make the destination's cable whole again before the guest looks */
    qtest_qmp_ok(c->q, "{'execute': 'set_link', 'arguments': {'name': 'n', 'up': false}}");
    g_assert_cmphex(rd(c, STATUS) & 2, ==, 0);
    g_assert_cmphex(rd(c, ICR) & 4, ==, 4);
    qtest_qmp_ok(c->q, "{'execute': 'set_link', 'arguments': {'name': 'n', 'up': true}}");
    g_assert_cmphex(rd(c, STATUS) & 2, ==, 0); /* it negotiates */
    qtest_clock_step(c->q, 499 * 1000000ll);
    qtest_clock_step(c->q, 510 * 1000000ll); /* again from the beginning after a move */
    g_assert_cmphex(rd(c, STATUS) & 2, ==, 2);
    g_assert_cmphex(rd(c, ICR) & 4, ==, 4);
    qtest_qmp_fails(c->q, "DeviceNotFound", "nobody",
                    "{'execute': 'set_link', 'arguments': {'name': 'nobody', 'up': true}}");
    end(c);
}

/* ---- drivers that mean no good ----------------------------------------------------------------------------------------- */

/* A good packet comes out, behind whatever the bad ones made. */
static void still_works(Card *c)
{
    static uint8_t seed;
    g_autofree uint8_t *got = g_malloc(WIRE_PACKET_MAX);
    uint8_t frame[64];
    size_t len;

    wr(c, CTRL, 1u << 26); /* a packet without an end is forgotten */
    start_rings(c, RCTL_EN | RCTL_BAM);
    make_frame(frame, sizeof(frame), mac, ++seed);
    qtest_memwrite(c->q, TX_BUF, frame, sizeof(frame));
    put_descriptor(c, TX_BUF, sizeof(frame) | EOP | RS, 0);
    wr(c, TDT, c->tx);
    do {
        len = wire_receive(c->wire, got);
    } while (len != sizeof(frame) || memcmp(got, frame, len));
}

static void test_bad_rings(void)
{
    Card *c = start();
    uint8_t frame[100];

    /* no ring, a tail or head beyond it */
    wr(c, TDLEN, 0);
    wr(c, TDT, 5);
    wr(c, TDH, 0xffff);
    wr(c, TDT, 7);
    wr(c, TDLEN, 0xfff80);
    wr(c, TDH, 0);
    wr(c, TDT, 0xffff);
    still_works(c);
    /* the ring is the card's own registers, and so is a packet's data */
    wr(c, TDBAL, MMIO + TDH - 8);
    wr(c, TDT, 5);
    still_works(c);
    put_descriptor(c, MMIO, 4096 | EOP | RS, 0);
    wr(c, TDT, c->tx);
    still_works(c);
    /* descriptors for packets point there too */
    for (unsigned i = 0; i < RING; i++) {
        qtest_writeq(c->q, RX_RING + 16 * i, MMIO + RDT - 32);
    }
    make_frame(frame, sizeof(frame), mac, 1);
    wire_send(c->wire, frame, sizeof(frame));
    g_usleep(10000);
    still_works(c);
    /* segments of nothing, headers longer than the packet, packets without an end */
    put_descriptor(c, 0, 0xfffff | DEXT | TSE | 3u << 24, 0);
    put_descriptor(c, TX_BUF, 0xfffff | DATA | DEXT | TSE | EOP, 3 << 8);
    put_descriptor(c, UINT64_MAX, 0xfffff | DEXT | TSE | 3u << 24, 0xffffu << 16 | 255 << 8);
    put_descriptor(c, TX_BUF, 0xfffff | DATA | DEXT | TSE, 3 << 8);
    put_descriptor(c, TX_BUF, 0xfffff | DATA | DEXT | TSE | EOP, 3 << 8);
    put_descriptor(c, UINT64_MAX - 5, 0xffff | EOP, 0);
    for (unsigned i = 0; i < 3; i++) {
        put_descriptor(c, TX_BUF, 0xffff, 0);
    }
    wr(c, TDT, c->tx);
    put_descriptor(c, TX_BUF, 10 | EOP, 0);
    wr(c, TDT, c->tx);
    still_works(c);
    end(c);
}

/* Anything into any register; afterwards a reset makes it good again. */
/* Segments of one byte: a ring full of them is not sent in one go, the monitor is answered meanwhile, and the machine moves. */
static void test_segments_take_their_time(void)
{
    enum { RING_AT = 0x200000, RING_BYTES = 0x10000, COUNT = 300 };
    Card *c = start_with("-netdev hubport,id=n,hubid=0");
    uint8_t desc[16] = { 0 };

    wr(c, TCTL, 0);
    wr(c, TDBAL, RING_AT);
    wr(c, TDLEN, RING_BYTES);
    wr(c, TDH, 0);
    wr(c, TCTL, 2);
    store_le32(desc + 8, 60000 | DEXT | TSE | 3u << 24);
    store_le32(desc + 12, 54 << 8 | 1 << 16);
    qtest_memwrite(c->q, RING_AT, desc, sizeof(desc));
    store_le64(desc, TX_BUF);
    store_le32(desc + 8, 10000 | DATA | DEXT | TSE | EOP);
    store_le32(desc + 12, 0);
    for (unsigned i = 1; i <= COUNT; i++) {
        qtest_memwrite(c->q, RING_AT + 16 * i, desc, sizeof(desc));
    }
    qtest_set_moving(c->q, false);
    qtest_writel(c->q, MMIO + TDT, COUNT + 1);
    g_assert_cmpuint(qtest_readl(c->q, MMIO + TDH), <, COUNT + 1);
    qtest_qmp_ok(c->q, "{'execute': 'stop'}");
    g_assert_cmpuint(qtest_readl(c->q, MMIO + TDH), <, COUNT + 1);
    qtest_qmp_ok(c->q, "{'execute': 'cont'}");
    qtest_move(c->q);
    while (qtest_readl(c->q, MMIO + TDH) != COUNT + 1) {
    }
    g_assert_cmphex(qtest_readl(c->q, MMIO + ICR) & 2, ==, 2); /* the queue is empty */
    end(c);
}

/*
 * One descriptor that asks for a frame a byte is sent in turns as well, and gone on with where the machine has moved to: each frame
 * leaves once. Without headers the frames are too short for the wire, and take turns all the same.
 */
static void test_descriptor_of_many_segments(void)
{
    enum { RING_AT = 0x200000, BYTES = 200000, TPT = 0x40d4 };

    for (unsigned headers = 0; headers < 2; headers++) {
        unsigned header = 54 * headers;
        Card *c = start_with("-netdev hubport,id=n,hubid=0");
        uint8_t desc[32] = { 0 };

        wr(c, TCTL, 0);
        wr(c, TDBAL, RING_AT);
        wr(c, TDLEN, 0x1000);
        wr(c, TDH, 0);
        wr(c, TCTL, 2);
        store_le32(desc + 8, BYTES | DEXT | TSE | 3u << 24);
        store_le32(desc + 12, header << 8 | 1 << 16);
        store_le64(desc + 16, TX_BUF);
        store_le32(desc + 24, BYTES | DATA | DEXT | TSE | EOP | RS);
        qtest_memwrite(c->q, RING_AT, desc, sizeof(desc));
        qtest_readl(c->q, MMIO + TPT);
        qtest_set_moving(c->q, false);
        qtest_qmp_ok(c->q, "{'execute': 'stop'}");
        qtest_writel(c->q, MMIO + TDT, 2);
        g_assert_cmpuint(qtest_readl(c->q, MMIO + TDH), ==, 1);
        g_assert_cmpuint(qtest_readl(c->q, RING_AT + 28) & 1, ==, 0);
        qtest_move(c->q);
        g_assert_cmpuint(qtest_readl(c->q, RING_AT + 28) & 1, ==, 0);
        qtest_qmp_ok(c->q, "{'execute': 'cont'}");
        while (qtest_readl(c->q, MMIO + TDH) != 2) {
        }
        g_assert_cmpuint(qtest_readl(c->q, RING_AT + 28) & 1, ==, 1);
        g_assert_cmpuint(qtest_readl(c->q, MMIO + TPT), ==, header ? BYTES - header : 0);
        end(c);
    }
}

static void test_bad_registers(void)
{
    Card *c = start();

    for (unsigned i = 0; i < 600; i++) {
        unsigned reg = g_test_rand_int_range(0, i % 3 ? 0x1800 : 0x8000) * 4;

        if (i % 50 == 0) {
            may_move(c);
        } else {
            qtest_set_moving(c->q, false);
        }
        qtest_writel(c->q, MMIO + reg, i % 5 ? (uint32_t)g_test_rand_int() : 0xffffffffu);
        qtest_readl(c->q, MMIO + reg);
    }
    config_write(c, 0x04, 7);
    qtest_writel(c->q, MMIO + MDIC, 1 << 26 | 1 << 21 | 0x1140); /* no loopback */
    still_works(c);
    end(c);
}

/* ---- the user network ---------------------------------------------------------------------------------------------------- */

/* "Who is 10.0.2.2?", and a ping, in one go: libslirp does not carry along whose address it has heard. */
static void test_user_network(void)
{
    static const uint8_t arp[60] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,    0x12, 0x34, 0x56, 8,    6,
        0,    1,    8,    0,    6,    4,    0,    1,    0x52, 0x54, 0,    0x12, 0x34, 0x56,
        10,   0,    2,    15,   0,    0,    0,    0,    0,    0,    10,   0,    2,    2,
    };
    uint8_t ping[60] = {
        0x52, 0x55, 10, 0, 2, 2,  0x52, 0x54, 0, 0x12, 0x34, 0x56, 8,  0,  0x45, 0, 0,
        46,   0,    1,  0, 0, 64, 1,    0,    0, 10,   0,    2,    15, 10, 0,    2, 2, /* IPv4 */
        8,    0,    0,  0, 0, 7,  0,    1, /* echo request */
    };
    Card *c = start_with("-netdev user,id=n");
    uint8_t got[64];
    uint16_t sum;

    qtest_memwrite(c->q, TX_BUF, arp, sizeof(arp));
    put_descriptor(c, TX_BUF, sizeof(arp) | EOP, 0);
    sum = ~wire_sum(0, ping + 14, 20);
    ping[24] = sum >> 8;
    ping[25] = sum;
    sum = ~wire_sum(0, ping + 34, 26);
    ping[36] = sum >> 8;
    ping[37] = sum;
    qtest_memwrite(c->q, TX_BUF + 64, ping, sizeof(ping));
    put_descriptor(c, TX_BUF + 64, sizeof(ping) | EOP, 0);
    wr(c, TDT, c->tx);
    wait_head(c, 2);
    qtest_memread(c->q, RX_BUF, got, 42);
    g_assert_cmpmem(got + 22, 6, "\x52\x55\x0a\x00\x02\x02", 6);
    g_assert_cmpmem(got + 28, 4, "\x0a\x00\x02\x02", 4);
    qtest_memread(c->q, RX_BUF + RX_BUF_SIZE, got, 60);
    g_assert_cmpuint(got[34], ==, 0); /* echo reply */
    g_assert_cmpmem(got + 38, 4, ping + 38, 4);
    end(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000/identity", test_identity);
    g_test_add_func("/e1000/transmit", test_transmit);
    g_test_add_func("/e1000/segmentation", test_segmentation);
    g_test_add_func("/e1000/receive", test_receive);
    g_test_add_func("/e1000/receive-vlan", test_receive_vlan);
    g_test_add_func("/e1000/receive-full", test_receive_full);
    g_test_add_func("/e1000/interrupt", test_interrupt);
    g_test_add_func("/e1000/mitigation", test_mitigation);
    g_test_add_func("/e1000/link", test_link);
    g_test_add_func("/e1000/bad-rings", test_bad_rings);
    g_test_add_func("/e1000/segments-take-their-time", test_segments_take_their_time);
    g_test_add_func("/e1000/descriptor-of-many-segments", test_descriptor_of_many_segments);
    g_test_add_func("/e1000/bad-registers", test_bad_registers);
    g_test_add_func("/e1000/user-network", test_user_network);
    return g_test_run();
}
