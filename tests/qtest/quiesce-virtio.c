/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of quiesce-test that are virtio disks and network cards. */
#include "util/osdep.h"
#include "pci-config.h"
#include "quiesce-rig.h"

#include "util/bytes.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000
#define HEADER 0x400000
#define ANSWER 0x400800
#define DATA 0x401000

static void virtio_attach(QuiesceRig *r, unsigned queues)
{
    virtio_driver_init(&r->d, r->q, DEVFN, VIRTIO_DRIVER_MSIX, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&r->d, VIRTIO_DRIVER_ALL);
    for (unsigned i = 0; i < queues; i++) {
        virtio_queue_init(&r->vq[i], &r->d, i, 16);
    }
    virtio_driver_ok(&r->d);
}

/* ---- block, by virtio or vhost-user: control asks for the serial number ---------------------------------------------------- */

void quiesce_blk_attach(QuiesceRig *r)
{
    virtio_attach(r, 1);
}

void quiesce_blk_run(QuiesceRig *r, QuiesceOp op)
{
    static const uint32_t types[] = { 0, 1, 4, 8 };
    uint32_t len = op == QUIESCE_FLUSH ? 0 : op == QUIESCE_CONTROL ? 20 : QUIESCE_LENGTH;
    uint8_t header[16] = { 0 };
    VirtioBuf bufs[3] = { { HEADER, sizeof(header), false } };
    unsigned n = 1, id;

    store_le32(header, types[op]);
    store_le64(header + 8, op == QUIESCE_READ    ? QUIESCE_READ_AT
                           : op == QUIESCE_WRITE ? QUIESCE_WRITE_AT
                                                 : 0);
    qtest_memwrite(r->q, HEADER, header, sizeof(header));
    qtest_memset(r->q, ANSWER, 0xee, 1);
    if (op == QUIESCE_WRITE) {
        qtest_memwrite(r->q, DATA, r->data, len);
    }
    if (len) {
        bufs[n++] = (VirtioBuf){ DATA, len, op != QUIESCE_WRITE };
    }
    bufs[n++] = (VirtioBuf){ ANSWER, 1, true };
    id = virtio_queue_add(&r->vq[0], bufs, n);
    virtio_queue_kick(&r->vq[0]);
    quiesce_happens(r);
    virtio_queue_wait(&r->vq[0], id);
    g_assert_cmphex(qtest_readb(r->q, ANSWER), ==, 0);
    if (len && op != QUIESCE_WRITE) {
        qtest_memread(r->q, DATA, r->data, len);
    }
}

/* ---- SCSI: control is INQUIRY ------------------------------------------------------------------------------------------------ */

#define REQUESTS 2
#define ANSWER_SIZE 108

static void put_command(QuiesceRig *r, const uint8_t cdb[10])
{
    uint8_t header[51] = { 1, 0, 0x40, 0 };

    memcpy(header + 19, cdb, 10);
    qtest_memwrite(r->q, HEADER, header, sizeof(header));
    qtest_memset(r->q, ANSWER, 0xee, ANSWER_SIZE);
}

void quiesce_scsi_run(QuiesceRig *r, QuiesceOp op)
{
    static const uint8_t opcodes[] = { 0x28, 0x2a, 0x35, 0x12 };
    uint32_t len = op == QUIESCE_FLUSH ? 0 : op == QUIESCE_CONTROL ? 36 : QUIESCE_LENGTH;
    VirtioBuf bufs[3] = { { HEADER, 51, false } };
    uint8_t cdb[10] = { opcodes[op] };
    unsigned n = 1, id;

    if (op == QUIESCE_CONTROL) {
        cdb[4] = len;
    } else if (len) {
        store_be32(cdb + 2, op == QUIESCE_READ ? QUIESCE_READ_AT : QUIESCE_WRITE_AT);
        store_be16(cdb + 7, len / QUIESCE_SECTOR);
    }
    put_command(r, cdb);
    if (op == QUIESCE_WRITE) {
        qtest_memwrite(r->q, DATA, r->data, len);
        bufs[n++] = (VirtioBuf){ DATA, len, false };
    }
    bufs[n++] = (VirtioBuf){ ANSWER, ANSWER_SIZE, true };
    if (len && op != QUIESCE_WRITE) {
        bufs[n++] = (VirtioBuf){ DATA, len, true };
    }
    id = virtio_queue_add(&r->vq[REQUESTS], bufs, n);
    virtio_queue_kick(&r->vq[REQUESTS]);
    quiesce_happens(r);
    virtio_queue_wait(&r->vq[REQUESTS], id);
    g_assert_cmphex(qtest_readw(r->q, ANSWER + 10), ==, 0); /* status, response */
    if (len && op != QUIESCE_WRITE) {
        qtest_memread(r->q, DATA, r->data, len);
    }
}

void quiesce_scsi_attach(QuiesceRig *r)
{
    static const uint8_t ready[10] = { 0 };

    virtio_attach(r, 3);
    for (unsigned i = 0; i < 2; i++) { /* the first time a unit attention */
        VirtioBuf bufs[] = { { HEADER, 51, false }, { ANSWER, ANSWER_SIZE, true } };

        put_command(r, ready);
        unsigned id = virtio_queue_add(&r->vq[REQUESTS], bufs, 2);
        virtio_queue_kick(&r->vq[REQUESTS]);
        virtio_queue_wait(&r->vq[REQUESTS], id);
    }
    g_assert_cmphex(qtest_readb(r->q, ANSWER + 10), ==, 0);
}

/* ---- network: packets come while the machine moves; what is in the ring is whole and in order -------------------------------- */

#define FRAME 600
#define BURST 5 /* before, at most as many while the machine stands, and as many after */
#define LAST 0xff
#define RX_SIZE 2048u
#define RX_COUNT 16
#define RX_BUF 0x500000u
#define TX_BUF 0x480000u

static void make_frame(uint8_t frame[FRAME], uint8_t number)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

    for (size_t i = 0; i < FRAME; i++) {
        frame[i] = i * 5 + number;
    }
    memcpy(frame, mac, sizeof(mac));
    frame[12] = 0x08;
    frame[13] = 0x00;
    frame[14] = number;
}

static void send_next(QuiesceRig *r)
{
    uint8_t frame[FRAME];

    make_frame(frame, ++r->sent);
    wire_send(r->wire, frame, sizeof(frame));
}

static void send_while_stopped(QuiesceRig *r)
{
    if (r->sent < 2 * BURST) {
        send_next(r);
    }
}

/* Packets come before, while and after something happens. */
static void send_all_the_time(QuiesceRig *r)
{
    for (r->sent = 0; r->sent < BURST;) {
        send_next(r);
    }
    r->while_stopped = send_while_stopped;
    quiesce_happens(r);
    r->while_stopped = NULL;
    for (r->sent = 2 * BURST; r->sent < 3 * BURST;) {
        send_next(r);
    }
    r->sent = LAST - 1;
    send_next(r);
}

/* The next received packet: its number. One that was under way in the source's socket is lost, as on any cable. */
static unsigned check_frame(QuiesceRig *r, uint64_t at, unsigned after)
{
    uint8_t frame[FRAME], want[FRAME];

    qtest_memread(r->q, at, frame, sizeof(frame));
    g_assert_cmpuint(frame[14], >, after);
    make_frame(want, frame[14]);
    g_assert_cmpmem(frame, sizeof(frame), want, sizeof(want));
    return frame[14];
}

static void expect_sent(QuiesceRig *r, uint8_t number)
{
    g_autofree uint8_t *got = g_malloc(WIRE_PACKET_MAX);
    uint8_t frame[FRAME];
    size_t size = wire_receive(r->wire, got);

    make_frame(frame, number);
    g_assert_cmpmem(got, size, frame, sizeof(frame));
}

static void give_buffer(QuiesceRig *r)
{
    VirtioBuf buf = { RX_BUF + RX_SIZE * (r->rx_next++ % RX_COUNT), RX_SIZE, true };

    virtio_queue_add(&r->vq[0], &buf, 1);
}

void quiesce_net_attach(QuiesceRig *r)
{
    r->rx_next = 0;
    virtio_attach(r, 3);
    for (unsigned i = 0; i < RX_COUNT; i++) {
        give_buffer(r);
    }
    virtio_queue_kick(&r->vq[0]);
}

static void net_receive(QuiesceRig *r)
{
    unsigned number = 0, id;
    uint32_t len;

    send_all_the_time(r);
    for (unsigned i = 0; number != LAST;) {
        if (virtio_queue_poll(&r->vq[0], &id, &len)) {
            g_assert_cmpuint(len, ==, 12 + FRAME);
            number = check_frame(r, RX_BUF + RX_SIZE * (r->rx_next % RX_COUNT) + 12, number);
            give_buffer(r);
            virtio_queue_kick(&r->vq[0]);
        } else {
            g_assert_cmpuint(++i, <, 10000);
            g_usleep(500);
        }
    }
}

static void net_send(QuiesceRig *r)
{
    unsigned ids[BURST];
    uint8_t frame[FRAME];

    for (unsigned i = 0; i < BURST; i++) {
        VirtioBuf buf = { TX_BUF + i * 1024, 12 + FRAME, false };

        make_frame(frame, i);
        qtest_memset(r->q, buf.addr, 0, 12);
        qtest_memwrite(r->q, buf.addr + 12, frame, sizeof(frame));
        ids[i] = virtio_queue_add(&r->vq[1], &buf, 1);
    }
    virtio_queue_kick(&r->vq[1]);
    quiesce_happens(r);
    for (unsigned i = 0; i < BURST; i++) {
        virtio_queue_wait(&r->vq[1], ids[i]);
        expect_sent(r, i);
    }
    g_assert_false(wire_has_packet(r->wire, 5));
}

/* Control turns promiscuous mode on (5.1.6.5.1). */
static void net_control(QuiesceRig *r)
{
    VirtioBuf bufs[] = { { HEADER, 2, false }, { HEADER + 16, 1, false }, { ANSWER, 1, true } };
    unsigned id;

    qtest_memset(r->q, HEADER, 0, 16);
    qtest_memset(r->q, HEADER + 16, 1, 1);
    qtest_memset(r->q, ANSWER, 0xee, 1);
    id = virtio_queue_add(&r->vq[2], bufs, 3);
    virtio_queue_kick(&r->vq[2]);
    quiesce_happens(r);
    virtio_queue_wait(&r->vq[2], id);
    g_assert_cmphex(qtest_readb(r->q, ANSWER), ==, 0);
}

void quiesce_net_run(QuiesceRig *r, QuiesceOp op)
{
    (op == QUIESCE_READ ? net_receive : op == QUIESCE_WRITE ? net_send : net_control)(r);
}

#define E1000_MMIO 0xe0000000u
#define TX_RING 0x100000u
#define RX_RING 0x101000u
enum {
    RCTL = 0x100,
    TCTL = 0x400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818
};

void quiesce_e1000_attach(QuiesceRig *r)
{
    static const uint32_t config[][2] = { { 0x10, E1000_MMIO }, { 4, 7 } }, regs[][2] = {
        { TDBAL, TX_RING }, { TDLEN, 16 * RX_COUNT }, { TDH, 0 }, { TDT, 0 },
        { RDBAL, RX_RING }, { RDLEN, 16 * RX_COUNT }, { RDH, 0 }, { RDT, RX_COUNT - 1 },
        { TCTL, 2 },        { RCTL, 2 | 1 << 15 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(config); i++) {
        qtest_pci_write(r->q, DEVFN, config[i][0], config[i][1]);
    }
    r->rx_next = 0;
    qtest_memset(r->q, TX_RING, 0, 0x2000);
    for (unsigned i = 0; i < RX_COUNT; i++) {
        qtest_writeq(r->q, RX_RING + 16 * i, RX_BUF + RX_SIZE * i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        qtest_writel(r->q, E1000_MMIO + regs[i][0], regs[i][1]);
    }
}

static void e1000_receive(QuiesceRig *r)
{
    unsigned number = 0;

    send_all_the_time(r);
    for (unsigned i = 0; number != LAST;) {
        uint64_t at = RX_RING + 16 * (r->rx_next % RX_COUNT);

        if (qtest_readb(r->q, at + 12) & 1) { /* DD */
            number = check_frame(r, RX_BUF + RX_SIZE * (r->rx_next % RX_COUNT), number);
            qtest_writeb(r->q, at + 12, 0);
            qtest_writel(r->q, E1000_MMIO + RDT, r->rx_next++ % RX_COUNT);
        } else {
            g_assert_cmpuint(++i, <, 10000);
            g_usleep(500);
        }
    }
}

static void e1000_send(QuiesceRig *r)
{
    uint32_t tail = qtest_readl(r->q, E1000_MMIO + TDT);
    uint8_t frame[FRAME];

    for (unsigned i = 0; i < BURST; i++, tail = (tail + 1) % RX_COUNT) {
        uint64_t at = TX_RING + 16 * tail;

        make_frame(frame, i);
        qtest_memwrite(r->q, TX_BUF + i * 1024, frame, sizeof(frame));
        qtest_writeq(r->q, at, TX_BUF + i * 1024);
        qtest_writel(r->q, at + 8, FRAME | 0x0b000000); /* EOP, IFCS, RS */
        qtest_writel(r->q, at + 12, 0);
    }
    qtest_writel(r->q, E1000_MMIO + TDT, tail);
    quiesce_happens(r);
    for (unsigned i = 0; i < BURST; i++) {
        expect_sent(r, i);
    }
    g_assert_cmpuint(qtest_readl(r->q, E1000_MMIO + TDH), ==, tail);
    g_assert_false(wire_has_packet(r->wire, 5));
}

void quiesce_e1000_run(QuiesceRig *r, QuiesceOp op)
{
    (op == QUIESCE_READ ? e1000_receive : e1000_send)(r);
}
