/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net (VIRTIO 1.2, 5.1): packets both ways over every kind of ring and interface, mergeable buffers, filters, a backend
 * that is busy, announcement, link, drivers that mean no good.
 */
#include "util/osdep.h"
#include "net-wire.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000u
#define TX_BUF 0x400000u
#define RX_BUF 0x500000u
#define CTRL_BUF 0x600000u
#define RX_SIZE 2048u
#define RX_COUNT 8u

enum { MRG_RXBUF = 15, STATUS = 16, CTRL_VQ = 17, CTRL_VLAN = 19, GUEST_ANNOUNCE = 21 };

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

typedef struct Way {
    const char *name, *args;
    unsigned flags;
    uint64_t without;
} Way;

static const Way ways[] = {
    { "split", "virtio-net-pci", VIRTIO_DRIVER_MSIX, 0 },
    { "plain", "virtio-net-pci-non-transitional,ioeventfd=off", 0,
      VIRTIO_FEATURE(VIRTIO_INDIRECT) | VIRTIO_FEATURE(VIRTIO_EVENT_IDX) |
          VIRTIO_FEATURE(MRG_RXBUF) },
    { "packed", "virtio-net-pci,packed=on", VIRTIO_DRIVER_MSIX, 0 },
    { "timer", "virtio-net-pci,tx=timer", VIRTIO_DRIVER_MSIX, 0 },
    { "legacy", "virtio-net-pci-transitional", VIRTIO_DRIVER_LEGACY | VIRTIO_DRIVER_MSIX, 0 },
    { "legacy-plain", "virtio-net-pci,disable-modern=on", VIRTIO_DRIVER_LEGACY,
      VIRTIO_FEATURE(MRG_RXBUF) },
};

typedef struct Net {
    QTest *q;
    Wire *wire;
    VirtioDriver d;
    VirtioQueue rx, tx, ctrl;
    unsigned header;
    unsigned rx_ids[RX_COUNT], rx_next;
} Net;

/* Every access would be a move: some of them are enough. */
static void may_move(Net *n)
{
    static unsigned count;

    qtest_set_moving(n->q, ++count % 5 == 0);
}

static void still(Net *n)
{
    qtest_set_moving(n->q, false);
}

static void give_buffer(Net *n, unsigned i, unsigned size)
{
    VirtioBuf buf = { RX_BUF + RX_SIZE * i, size, true };

    n->rx_ids[i] = virtio_queue_add(&n->rx, &buf, 1);
}

static void drive(Net *n, const Way *way, bool buffers)
{
    still(n);
    virtio_driver_init(&n->d, n->q, DEVFN, way->flags, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&n->d, ~way->without);
    virtio_queue_init(&n->rx, &n->d, 0, 0);
    virtio_queue_init(&n->tx, &n->d, 1, 0);
    virtio_queue_init(&n->ctrl, &n->d, 2, 0);
    n->header =
        n->d.features & (VIRTIO_FEATURE(MRG_RXBUF) | VIRTIO_FEATURE(VIRTIO_VERSION_1)) ? 12 : 10;
    virtio_driver_ok(&n->d);
    n->rx_next = 0;
    for (unsigned i = 0; buffers && i < RX_COUNT; i++) {
        give_buffer(n, i, RX_SIZE);
    }
    virtio_queue_kick(&n->rx);
}

static Net *start(const Way *way, bool buffers)
{
    Net *n = g_new0(Net, 1);
    g_autofree char *netdev = NULL;

    n->wire = wire_new();
    netdev = wire_option(n->wire, "n");
    n->q = qtest_start(
        "-machine %s -m 16 %s -device %s,id=card,netdev=n,addr=4,romfile=,mac=52:54:00:12:34:56",
        qtest_machine("pc"), netdev, way->args);
    still(n);
    wire_attach(n->wire, n->q);
    drive(n, way, buffers);
    return n;
}

static void end(Net *n)
{
    qtest_end(n->q);
    wire_free(n->wire);
    g_free(n);
}

static void make_frame(uint8_t *frame, size_t len, const uint8_t *to, uint8_t seed)
{
    for (size_t i = 0; i < len; i++) {
        frame[i] = i * 5 + seed;
    }
    memcpy(frame, to, 6);
    frame[12] = 0x08;
    frame[13] = 0x00;
}

/* ---- sending -------------------------------------------------------------------------------------------------- */

/* Header and frame in one piece, or the header in a descriptor of its own and the frame in two. */
static unsigned transmit(Net *n, const uint8_t *frame, size_t len, unsigned pieces)
{
    uint64_t at = TX_BUF;
    VirtioBuf bufs[3] = { { at, n->header + len, false } };

    qtest_memset(n->q, at, 0, n->header);
    qtest_memwrite(n->q, at + n->header, frame, len);
    if (pieces == 3) {
        bufs[0].len = n->header;
        bufs[1] = (VirtioBuf){ at + n->header, 10, false };
        bufs[2] = (VirtioBuf){ at + n->header + 10, len - 10, false };
    }
    return virtio_queue_add(&n->tx, bufs, pieces);
}

static void expect_frame(Net *n, const uint8_t *frame, size_t len)
{
    g_autofree uint8_t *got = g_malloc(WIRE_PACKET_MAX);
    size_t size;

    for (unsigned i = 0; i < 100 && !wire_has_packet(n->wire, 5); i++) {
        qtest_clock_step(n->q, 200000); /* tx=timer */
    }
    size = wire_receive(n->wire, got);
    g_assert_cmpmem(got, size, frame, len);
}

static void test_transmit(gconstpointer way)
{
    static const unsigned lengths[] = { 60, 1514, 14, 9014 };
    g_autofree uint8_t *frame = g_malloc(WIRE_PACKET_MAX);
    Net *n = start(way, false);

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        unsigned id;

        make_frame(frame, lengths[i], mac, i);
        may_move(n);
        id = transmit(n, frame, lengths[i], i & 1 ? 3 : 1);
        qtest_set_moving(n->q, i & 1);
        virtio_queue_kick(&n->tx);
        still(n); /* a move now could take the packet along with its kick: below */
        expect_frame(n, frame, lengths[i]);
        g_assert_cmpuint(virtio_queue_wait(&n->tx, id), ==, 0);
    }
    g_assert_false(wire_has_packet(n->wire, 20));
    end(n);
}

/* The backend takes nothing: packets wait in the ring, the machine moves, and each comes once and in order. */
static void test_backend_busy(gconstpointer way)
{
    g_autofree uint8_t *frame = g_malloc(60000), *got = g_malloc(WIRE_PACKET_MAX);
    enum { COUNT = 24 };
    unsigned ids[COUNT], done = 0;
    Net *n = start(way, false);

    wire_stall(n->wire, true);
    make_frame(frame, 60000, mac, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        frame[20] = i;
        qtest_memset(n->q, TX_BUF + 0x10000 * (i % 12), 0, n->header);
        qtest_memwrite(n->q, TX_BUF + 0x10000 * (i % 12) + n->header, frame, 60000);
        ids[i] = virtio_queue_add(
            &n->tx, &(VirtioBuf){ TX_BUF + 0x10000 * (i % 12), n->header + 60000, false }, 1);
        virtio_queue_kick(&n->tx);
        if (i == 11) {
            break; /* the memory is full; a few are more than a socket takes */
        }
    }
    g_usleep(20000);
    qtest_clock_step(n->q, 1000000);
    g_usleep(20000);
    for (unsigned i = 0; i < 12; i++) {
        done += virtio_queue_is_done(&n->tx, ids[i]);
    }
    g_assert_cmpuint(done, >, 0);
    g_assert_cmpuint(done, <, 12);
    wire_stall(n->wire, false);
    for (unsigned i = 0; i < done; i++) { /* what has left the ring has left the machine */
        wire_receive(n->wire, got);
        g_assert_cmpuint(got[20], ==, i);
        if (i + 4 == done) {
            break;
        }
    }
    end(n);
}

/* The same with a move while packets wait: none is lost, none comes twice. */
static void test_busy_and_moved(gconstpointer way)
{
    g_autofree uint8_t *frame = g_malloc(60000), *got = g_malloc(WIRE_PACKET_MAX);
    enum { COUNT = 12 };
    bool seen[COUNT] = { false };
    unsigned ids[COUNT], first, missing;
    Net *n = start(way, false);

    wire_stall(n->wire, true);
    make_frame(frame, 60000, mac, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        frame[20] = i;
        qtest_memset(n->q, TX_BUF + 0x10000 * i, 0, n->header);
        qtest_memwrite(n->q, TX_BUF + 0x10000 * i + n->header, frame, 60000);
        ids[i] = virtio_queue_add(
            &n->tx, &(VirtioBuf){ TX_BUF + 0x10000 * i, n->header + 60000, false }, 1);
    }
    virtio_queue_kick(&n->tx);
    qtest_clock_step(n->q, 1000000);
    g_usleep(20000);
    for (first = 0; first < COUNT && virtio_queue_is_done(&n->tx, ids[first]); first++) {
    }
    g_assert_cmpuint(first, <, COUNT);
    missing = COUNT - first;
    qtest_move(n->q);
    still(n);
    wire_stall(n->wire, false);
    qtest_clock_step(n->q, 1000000);
    while (missing || wire_has_packet(n->wire, 200)) {
        wire_receive(n->wire, got);
        g_assert_cmpuint(got[20], <, COUNT);
        g_assert_false(seen[got[20]]);
        seen[got[20]] = true;
        missing -= got[20] >= first;
    }
    for (unsigned i = first; i < COUNT; i++) {
        virtio_queue_wait(&n->tx, ids[i]);
        g_assert_true(seen[i]);
    }
    end(n);
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

static void expect_received(Net *n, const uint8_t *frame, size_t len)
{
    g_autofree uint8_t *got = g_malloc(len + RX_SIZE);
    size_t size = 0;
    unsigned buffers = 1, i = n->rx_next;

    still(n); /* what the source has not read is lost with it, as on any cable */
    for (unsigned b = 0; b < buffers; b++, i = (i + 1) % RX_COUNT) {
        uint32_t used = virtio_queue_wait(&n->rx, n->rx_ids[i]);

        qtest_memread(n->q, RX_BUF + RX_SIZE * i, got + size, used);
        size += used;
        if (b == 0 && n->header == 12) {
            buffers = got[10] | got[11] << 8;
        }
    }
    g_assert_cmpmem(got + n->header, size - n->header, frame, len);
    g_assert_cmpuint(got[0] | got[1], ==, 0); /* no offloads */
    for (unsigned b = 0; b < buffers; b++, n->rx_next = (n->rx_next + 1) % RX_COUNT) {
        give_buffer(n, n->rx_next, RX_SIZE);
    }
    may_move(n);
    virtio_queue_kick(&n->rx);
    still(n);
}

static void test_receive(gconstpointer way)
{
    g_autofree uint8_t *frame = g_malloc(9014);
    Net *n = start(way, true);

    for (unsigned i = 0; i < 10; i++) {
        unsigned len = i % 3 == 0 ? 60 : i % 3 == 1 ? 1514 : 200;

        make_frame(frame, len, mac, i);
        wire_send(n->wire, frame, len);
        expect_received(n, frame, len);
    }
    if (n->d.features & VIRTIO_FEATURE(MRG_RXBUF)) {
        make_frame(frame, 9014, mac, 99);
        wire_send(n->wire, frame, 9014);
        expect_received(n, frame, 9014);
    }
    end(n);
}

/* No buffers: the packet waits for them. */
static void test_receive_waits(gconstpointer way)
{
    uint8_t frame[200];
    Net *n = start(way, false);

    make_frame(frame, sizeof(frame), mac, 1);
    wire_send(n->wire, frame, sizeof(frame));
    g_usleep(20000);
    for (unsigned i = 0; i < RX_COUNT; i++) {
        give_buffer(n, i, RX_SIZE);
    }
    virtio_queue_kick(&n->rx);
    expect_received(n, frame, sizeof(frame));
    end(n);
}

/* ---- the control queue --------------------------------------------------------------------------------------------- */

static uint8_t control_still(Net *n, uint8_t class, uint8_t command, const void *data, size_t len)
{
    uint8_t head[2] = { class, command };
    VirtioBuf bufs[3] = { { CTRL_BUF, 2, false },
                          { CTRL_BUF + 0x100, len, false },
                          { CTRL_BUF + 0x80, 1, true } };
    unsigned id;

    qtest_memwrite(n->q, CTRL_BUF, head, 2);
    qtest_writeb(n->q, CTRL_BUF + 0x80, 0xee);
    if (len) {
        qtest_memwrite(n->q, CTRL_BUF + 0x100, data, len);
    } else {
        bufs[1] = bufs[2];
    }
    id = virtio_queue_add(&n->ctrl, bufs, len ? 3 : 2);
    virtio_queue_kick(&n->ctrl);
    g_assert_cmpuint(virtio_queue_wait(&n->ctrl, id), ==, 1);
    still(n);
    return qtest_readb(n->q, CTRL_BUF + 0x80);
}

static uint8_t control(Net *n, uint8_t class, uint8_t command, const void *data, size_t len)
{
    may_move(n);
    return control_still(n, class, command, data, len);
}

/* A frame that must not arrive, and one behind it that must. */
static void expect_filtered(Net *n, const uint8_t *frame, size_t len)
{
    uint8_t good[60];

    make_frame(good, sizeof(good), mac, 77);
    wire_send(n->wire, frame, len);
    wire_send(n->wire, good, sizeof(good));
    expect_received(n, good, sizeof(good));
}

static void expect_passed(Net *n, const uint8_t *frame, size_t len)
{
    wire_send(n->wire, frame, len);
    expect_received(n, frame, len);
}

static void test_filters(gconstpointer way)
{
    static const uint8_t group[6] = { 0x01, 0x00, 0x5e, 1, 2, 3 },
                         other[6] = { 0x52, 0x54, 0, 1, 2, 3 };
    static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t table[] = { 1, 0, 0, 0, 0x52, 0x54, 0,    1, 2, 3,
                                     1, 0, 0, 0, 0x01, 0x00, 0x5e, 1, 2, 3 };
    static const uint8_t empty[8], on = 1, off = 0, vlan[2] = { 0x23, 0x01 };
    uint8_t frame[100], tagged[100];
    Net *n = start(way, true);
    json_object *info;

    make_frame(frame, sizeof(frame), other, 1);
    expect_passed(n, frame, sizeof(frame)); /* promiscuous after a reset */
    g_assert_cmpuint(control(n, 0, 0, &off, 1), ==, 0);
    expect_filtered(n, frame, sizeof(frame));
    g_assert_cmpuint(control(n, 1, 0, table, sizeof(table)), ==, 0);
    expect_passed(n, frame, sizeof(frame));
    make_frame(frame, sizeof(frame), group, 2);
    expect_passed(n, frame, sizeof(frame));
    still(n);
    info = qtest_qmp(n->q, "{'execute': 'query-rx-filter', 'arguments': {'name': 'card'}}");
    g_assert_nonnull(strstr(json_object_to_json_string(info), "01:00:5e:01:02:03"));
    json_object_put(info);
    g_assert_cmpuint(control(n, 1, 0, empty, sizeof(empty)), ==, 0);
    expect_filtered(n, frame, sizeof(frame));
    g_assert_cmpuint(control(n, 0, 1, &on, 1), ==, 0); /* all groups */
    expect_passed(n, frame, sizeof(frame));
    make_frame(frame, sizeof(frame), all, 3);
    expect_passed(n, frame, sizeof(frame));
    g_assert_cmpuint(control(n, 0, 5, &on, 1), ==, 0); /* no broadcasts */
    expect_filtered(n, frame, sizeof(frame));
    make_frame(tagged, sizeof(tagged), mac, 4);
    memcpy(tagged + 12, "\x81\x00\x01\x23", 4);
    expect_filtered(n, tagged, sizeof(tagged));
    g_assert_cmpuint(control(n, 2, 0, vlan, 2), ==, 0);
    qtest_move(n->q); /* a VLAN that was wanted is wanted afterwards */
    still(n);
    expect_passed(n, tagged, sizeof(tagged));
    g_assert_cmpuint(control(n, 2, 1, vlan, 2), ==, 0);
    expect_filtered(n, tagged, sizeof(tagged));
    g_assert_cmpuint(control(n, 1, 1, other, 6), ==, 0); /* another address */
    g_assert_cmpuint(control(n, 9, 9, NULL, 0), ==, 1);
    g_assert_cmpuint(control(n, 1, 0, table, 9), ==, 1);
    g_assert_cmpuint(control(n, 4, 0, vlan, 2), ==, 1); /* no MQ */
    end(n);
}

/* ---- configuration, announcement, link --------------------------------------------------------------------------------- */

static void expect_announcement(Net *n)
{
    g_autofree uint8_t *got = g_malloc(WIRE_PACKET_MAX);

    g_assert_cmpuint(wire_receive(n->wire, got), ==, 60);
    g_assert_cmphex(wire_be16(got + 12), ==, 0x8035);
    g_assert_cmpmem(got + 6, 6, mac, 6);
}

/* By command, and by itself after a move; the driver is told by its status and says that it has seen it. */
static void test_announce(gconstpointer way)
{
    Net *n = start(way, true);

    wire_want_announcements(n->wire);
    g_assert_cmphex(virtio_device_read(&n->d, 0, 1), ==, mac[0]);
    g_assert_cmphex(virtio_device_read(&n->d, 5, 1), ==, mac[5]);
    g_assert_cmphex(virtio_device_read(&n->d, 6, 2), ==, 1);
    qtest_qmp_ok(n->q, "{'execute': 'announce-self', 'arguments': {'initial': 50, 'max': 100, "
                       "'rounds': 2, 'step': 10}}");
    expect_announcement(n);
    expect_announcement(n);
    g_assert_cmphex(virtio_device_read(&n->d, 6, 2), ==, 3);
    g_assert_cmpuint(control_still(n, 3, 0, NULL, 0), ==, 0);
    g_assert_cmphex(virtio_device_read(&n->d, 6, 2), ==, 1);
    g_assert_cmpuint(control_still(n, 3, 0, NULL, 0), ==, 1);
    qtest_qmp_ok(n->q, "{'execute': 'set_link', 'arguments': {'name': 'card', 'up': false}}");
    g_assert_cmphex(virtio_device_read(&n->d, 6, 2), ==, 0);
    qtest_qmp_ok(n->q, "{'execute': 'set_link', 'arguments': {'name': 'card', 'up': true}}");
    g_assert_cmphex(virtio_device_read(&n->d, 6, 2), ==, 1);
    qtest_qmp_fails(n->q, "GenericError", "'rounds' expects",
                    "{'execute': 'announce-self', 'arguments': {'initial': 50, 'max': 100, "
                    "'rounds': 0, 'step': 10}}");
    qtest_move_setup(n->q, "migrate-set-parameters",
                     "{'announce-initial': 10, 'announce-rounds': 100, 'announce-step': 1}");
    qtest_move(n->q);
    still(n);
    for (unsigned i = 0; i < 3;
         i++) { /* the first ones may be faster than the new process's connection */
        expect_announcement(n);
    }
    g_assert_cmphex(virtio_device_read(&n->d, 6, 2), ==, 3);
    end(n);
}

/* ---- drivers that mean no good -------------------------------------------------------------------------------------------- */

static void expect_broken_then_reset(Net *n, const Way *way)
{
    uint8_t frame[60];
    unsigned id;

    for (unsigned i = 0; i < (way->flags & VIRTIO_DRIVER_LEGACY ? 20 : 1000) &&
                         !(virtio_driver_status(&n->d) & VIRTIO_ST_NEEDS_RESET);
         i++) {
        qtest_clock_step(n->q, 200000);
        g_usleep(1000);
    }
    if (!(way->flags & VIRTIO_DRIVER_LEGACY)) { /* which knows no such bit */
        g_assert_cmphex(virtio_driver_status(&n->d) & VIRTIO_ST_NEEDS_RESET, ==,
                        VIRTIO_ST_NEEDS_RESET);
    }
    drive(n, way, false);
    make_frame(frame, sizeof(frame), mac, 1);
    id = transmit(n, frame, sizeof(frame), 1);
    virtio_queue_kick(&n->tx);
    expect_frame(n, frame, sizeof(frame));
    virtio_queue_wait(&n->tx, id);
}

static void test_bad_driver(gconstpointer opaque)
{
    const Way *way = opaque;
    Net *n = start(way, false);
    uint8_t frame[100];

    /* no room for a header */
    virtio_queue_add(&n->tx, &(VirtioBuf){ TX_BUF, n->header - 1, false }, 1);
    virtio_queue_kick(&n->tx);
    expect_broken_then_reset(n, way);
    /* nothing to read in a packet to send */
    virtio_queue_add(&n->tx, &(VirtioBuf){ TX_BUF, 100, true }, 1);
    virtio_queue_kick(&n->tx);
    expect_broken_then_reset(n, way);
    /* a command that has no answer, one that has no head */
    virtio_queue_add(&n->ctrl, &(VirtioBuf){ CTRL_BUF, 2, false }, 1);
    virtio_queue_kick(&n->ctrl);
    expect_broken_then_reset(n, way);
    virtio_queue_add(&n->ctrl, (VirtioBuf[]){ { CTRL_BUF, 1, false }, { CTRL_BUF, 1, true } }, 2);
    virtio_queue_kick(&n->ctrl);
    expect_broken_then_reset(n, way);
    /* a receive buffer without room for the header, one that cannot be written */
    make_frame(frame, sizeof(frame), mac, 1);
    for (unsigned i = 0; i < 20; i++) {
        virtio_queue_add(&n->rx, &(VirtioBuf){ RX_BUF, 8, true }, 1);
    }
    virtio_queue_kick(&n->rx);
    wire_send(n->wire, frame, sizeof(frame));
    expect_broken_then_reset(n, way);
    end(n);
}

static void test_options(void)
{
    static const struct {
        const char *args, *error;
    } bad[] = {
        { "tx=foo", "'tx' must be 'timer' or 'bh'" },
        { "rx_queue_size=100", "Invalid rx_queue_size (= 100)" },
        { "tx_queue_size=512", "Invalid tx_queue_size (= 512)" },
        { "duplex=both", "'duplex' must be 'half' or 'full'" },
        { "speed=-5", "'speed' must be between 0" },
        { "mac=01:00:5e:00:00:01", "multicast" },
        { "mac=1:2:3", "doesn't take value" },
        { "netdev=nobody", "can't find value 'nobody'" },
        { "x-txburst=0", "'x-txburst' must be positive" },
        { "failover=on", "failover" },
        { "rss=on", "rss" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *out = NULL;

        g_assert_cmpint(qtest_run(&out,
                                  "-machine %s -accel qtest -display none -nodefaults -device "
                                  "virtio-net-pci,romfile=,%s",
                                  qtest_machine("pc"), bad[i].args),
                        ==, 1);
        if (!strstr(out, bad[i].error)) {
            g_error("%s: %s", bad[i].args, out);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(gconstpointer way);
    } tests[] = {
        { "transmit", test_transmit },           { "receive", test_receive },
        { "receive-waits", test_receive_waits }, { "filters", test_filters },
        { "announce", test_announce },           { "bad-driver", test_bad_driver },
        { "backend-busy", test_backend_busy },   { "busy-and-moved", test_busy_and_moved },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        for (unsigned t = 0; t < G_N_ELEMENTS(tests); t++) {
            bool once =
                t >= 3 && w != 0 && w != 2 && w != 4; /* nothing that rings have to do with */
            g_autofree char *path =
                g_strdup_printf("/virtio-net/%s/%s", ways[w].name, tests[t].name);

            if (!once) {
                g_test_add_data_func(path, &ways[w], tests[t].func);
            }
        }
    }
    g_test_add_func("/virtio-net/options", test_options);
    return g_test_run();
}
