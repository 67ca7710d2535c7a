/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-scsi (VIRTIO 1.2, 5.6) with scsi-hd and scsi-cd: commands over every kind of ring, in the main loop and in an
 * iothread, LUNs, task management, events, bad requests; commands in flight with the machine moved at each point at which the host's disk can fail.
 */
#include "util/osdep.h"
#include "io-gate.h"
#include "virtio-disk.h"

#include "util/bytes.h"

#define BUFFER VIRTIO_DISK_MEMORY
#define IMAGE_SIZE VIRTIO_DISK_SIZE
#define SEED 21
#define GATE_MS 30
#define CONTROL 0
#define EVENTS 1
#define REQUESTS 2

enum {
    ANSWER_OK = 0,
    ANSWER_OVERRUN = 1,
    ANSWER_ABORTED = 2,
    ANSWER_BAD_TARGET = 3,
    ANSWER_RESET = 4,
    ANSWER_FAILURE = 9
};
enum { T_COMPLETE = 0, T_SUCCEEDED = 10, T_REJECTED = 11, T_INCORRECT_LUN = 12 };

static const VirtioDiskWay ways[] = {
    { "modern/split", "pc", "virtio-scsi-pci,addr=4", VIRTIO_DRIVER_MSIX },
    { "modern/packed", "q35", "virtio-scsi-pci,addr=4,packed=on", VIRTIO_DRIVER_MSIX },
    { "legacy", "pc", "virtio-scsi-pci-transitional,addr=4", VIRTIO_DRIVER_LEGACY },
    { "iothread/split", "pc", "virtio-scsi-pci,addr=4,iothread=io0", VIRTIO_DRIVER_MSIX },
    { "iothread/packed", "q35", "virtio-scsi-pci,addr=4,iothread=io0,packed=on", VIRTIO_DRIVER_MSIX },
};
#define IOTHREAD 3 /* the first way with one */

static const VirtioDiskKind kind = {
    "virtio-scsi", ",id=s,num_queues=2 -device scsi-hd,id=hd,bus=s.0,scsi-id=3,lun=2", SEED
};

static void start(VirtioDisk *r, const VirtioDiskWay *way, const char *file)
{
    *r = (VirtioDisk){ .kind = &kind, .way = way, .queues = REQUESTS + 2 };
    virtio_disk_start(r, file, "", "");
}

/* ---- commands ----------------------------------------------------------------------------------------------------------- */

typedef struct Command {
    VirtioQueue *vq;
    unsigned id;
    uint64_t response, data;
    uint32_t len;
    /* answer */
    uint8_t result, status, key, asc;
    uint32_t residual;
} Command;

static void put_lun(uint8_t *p, unsigned target, unsigned lun)
{
    p[0] = 1;
    p[1] = target;
    p[2] = 0x40 | lun >> 8;
    p[3] = lun;
}

static void post(VirtioDisk *r, Command *c, unsigned queue, unsigned target, unsigned lun,
                 const uint8_t *cdb, size_t cdb_len, const void *out, uint32_t len, uint64_t id)
{
    uint8_t header[51] = { 0 };
    uint64_t head = virtio_disk_take(r, sizeof(header));
    VirtioBuf bufs[3];
    unsigned n = 0;

    put_lun(header, target, lun);
    store_le64(header + 8, id);
    memcpy(header + 19, cdb, cdb_len);
    qtest_memwrite(r->q, head, header, sizeof(header));
    *c = (Command){
        .vq = &r->vq[REQUESTS + queue], .response = virtio_disk_take(r, 108), .data = virtio_disk_take(r, len), .len = len
    };
    qtest_memset(r->q, c->response, 0xee, 108);
    bufs[n++] = (VirtioBuf){ head, sizeof(header), false };
    if (out && len) {
        qtest_memwrite(r->q, c->data, out, len);
        bufs[n++] = (VirtioBuf){ c->data, len, false };
    }
    bufs[n++] = (VirtioBuf){ c->response, 108, true };
    if (!out && len) {
        qtest_memset(r->q, c->data, 0xa5, len);
        bufs[n++] = (VirtioBuf){ c->data, len, true };
    }
    c->id = virtio_queue_add(c->vq, bufs, n);
}

static void wait_for(VirtioDisk *r, Command *c)
{
    uint8_t answer[108];

    virtio_queue_wait(c->vq, c->id);
    qtest_memread(r->q, c->response, answer, sizeof(answer));
    c->residual = load_le32(answer + 4);
    c->status = answer[10];
    c->result = answer[11];
    bool sense = load_le32(answer) >= 14;
    c->key = sense ? answer[14] & 15 : 0;
    c->asc = sense ? answer[24] : 0;
}

static Command run(VirtioDisk *r, unsigned target, unsigned lun, const uint8_t *cdb, size_t cdb_len,
                   const void *out, uint32_t len, void *in)
{
    Command c;
    uint64_t mark = r->next;

    post(r, &c, 0, target, lun, cdb, cdb_len, out, len, 1);
    virtio_queue_kick(c.vq);
    wait_for(r, &c);
    if (in) {
        qtest_memread(r->q, c.data, in, len);
    }
    r->next = mark;
    return c;
}

#define CDB(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define GOOD(c) g_assert_cmpuint((c).result << 8 | (c).status, ==, 0)

/* The unit attention after power on or reset. */
static void attention(VirtioDisk *r)
{
    Command c = run(r, 3, 2, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
    g_assert_cmpuint(c.result, ==, ANSWER_OK);
    g_assert_cmphex(c.status << 16 | c.key << 8 | c.asc, ==, 0x020629);
}

/* ---- what works ----------------------------------------------------------------------------------------------------------- */

static void test_basic(gconstpointer way)
{
    uint8_t buf[4096], out[4096];
    Command c;
    VirtioDisk r;

    start(&r, way, "basic");
    attention(&r);
    GOOD(run(&r, 3, 2, CDB(0x12, 0, 0, 0, 36, 0), NULL, 64, buf));
    g_assert_cmpmem(buf + 8, 4, "QEMU", 4);
    g_assert_cmphex(buf[36], ==, 0xa5);
    c = run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 8, 0), NULL, 4096, buf);
    GOOD(c);
    g_assert_cmpuint(c.residual, ==, 0);
    qtest_assert_image(buf, 4096, 7 * 512, SEED);
    qtest_image_fill(out, sizeof(out), 5);
    GOOD(run(&r, 3, 2, CDB(0x2a, 0, 0, 0, 0, 100, 0, 0, 8, 0), out, 4096, NULL));
    GOOD(run(&r, 3, 2, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 0, NULL));
    GOOD(run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 100, 0, 0, 8, 0), NULL, 4096, buf));
    g_assert_cmpmem(buf, 4096, out, 4096);
    /* Larger than what was asked for: the rest is the residual. */
    c = run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0), NULL, 1024, buf);
    GOOD(c);
    g_assert_cmpuint(c.residual, ==, 512);
    /* Smaller: nothing is done (5.6.6.1). */
    c = run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0), NULL, 512, buf);
    g_assert_cmpuint(c.result, ==, ANSWER_OVERRUN);
    c = run(&r, 3, 2, CDB(0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0), NULL, 512, buf);
    g_assert_cmphex(c.status << 16 | c.key << 8 | c.asc, ==, 0x020521);
    qtest_end(r.q);
}

/* The driver gives a buffer, but not for the way that the command's data goes: that is no room, and nothing is done. */
static void test_buffer_of_the_other_way(gconstpointer way)
{
    uint8_t buf[512] = { 0 };
    Command c;
    VirtioDisk r;

    start(&r, way, "other-way");
    attention(&r);
    c = run(&r, 3, 2, CDB(0x2a, 0, 0, 0, 0, 100, 0, 0, 1, 0), NULL, 512, buf);
    g_assert_cmpuint(c.result, ==, ANSWER_OVERRUN);
    c = run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 100, 0, 0, 1, 0), buf, 512, NULL);
    g_assert_cmpuint(c.result, ==, ANSWER_OVERRUN);
    c = run(&r, 3, 2, CDB(0x12, 0, 0, 0, 36, 0), buf, 36, NULL);
    g_assert_cmpuint(c.result, ==, ANSWER_OVERRUN);
    GOOD(run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 100, 0, 0, 1, 0), NULL, 512, buf));
    qtest_assert_image(buf, 512, 100 * 512, SEED);
    qtest_end(r.q);
}

static void test_luns(gconstpointer way)
{
    uint8_t buf[64];
    Command c;
    VirtioDisk r;

    start(&r, way, "luns");
    attention(&r);
    c = run(&r, 2, 0, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
    g_assert_cmpuint(c.result, ==, ANSWER_BAD_TARGET);
    c = run(&r, 3, 0, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
    g_assert_cmphex(c.status << 16 | c.key << 8 | c.asc, ==, 0x020525);
    GOOD(run(&r, 3, 0, CDB(0x12, 0, 0, 0, 36, 0), NULL, 36, buf));
    g_assert_cmphex(buf[0], ==, 0x3f);
    GOOD(run(&r, 3, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0), NULL, 24, buf));
    g_assert_cmpuint(load_be32(buf), ==, 16);
    g_assert_cmpuint(load_be16(buf + 16), ==, 2);
    qtest_end(r.q);
}

/* Both request queues at once. */
static void test_many(gconstpointer way)
{
    Command c[8];
    uint8_t buf[1024];
    VirtioDisk r;

    start(&r, way, "many");
    attention(&r);
    for (unsigned i = 0; i < 8; i++) {
        post(&r, &c[i], i & 1, 3, 2, CDB(0x28, 0, 0, 0, 0, 20 * i, 0, 0, 2, 0), NULL, sizeof(buf),
             i);
    }
    virtio_queue_notify(&r.vq[REQUESTS]);
    virtio_queue_notify(&r.vq[REQUESTS + 1]);
    for (unsigned i = 0; i < 8; i++) {
        wait_for(&r, &c[i]);
        GOOD(c[i]);
        qtest_memread(r.q, c[i].data, buf, sizeof(buf));
        qtest_assert_image(buf, sizeof(buf), 20 * i * 512, SEED);
    }
    qtest_end(r.q);
}

/* ---- task management, events ---------------------------------------------------------------------------------------------- */

static uint8_t tmf(VirtioDisk *r, uint32_t subtype, unsigned target, unsigned lun, uint64_t id)
{
    uint8_t request[24] = { 0 };
    uint64_t at = virtio_disk_take(r, 24), response = virtio_disk_take(r, 1);
    VirtioBuf bufs[2] = { { at, 24, false }, { response, 1, true } };

    store_le32(request + 4, subtype);
    put_lun(request + 8, target, lun);
    store_le64(request + 16, id);
    qtest_memwrite(r->q, at, request, sizeof(request));
    unsigned chain = virtio_queue_add(&r->vq[CONTROL], bufs, 2);
    virtio_queue_kick(&r->vq[CONTROL]);
    virtio_queue_wait(&r->vq[CONTROL], chain);
    return qtest_readb(r->q, response);
}

static void test_tmf(gconstpointer way)
{
    VirtioDisk r;

    start(&r, way, "tmf");
    attention(&r);
    g_assert_cmpuint(tmf(&r, 0, 3, 2, 99), ==, T_COMPLETE);
    g_assert_cmpuint(tmf(&r, 2, 3, 2, 0), ==, T_REJECTED);
    g_assert_cmpuint(tmf(&r, 6, 3, 2, 99), ==, T_COMPLETE);
    g_assert_cmpuint(tmf(&r, 5, 3, 0, 0), ==, T_INCORRECT_LUN);
    g_assert_cmpuint(tmf(&r, 5, 9, 0, 0), ==, ANSWER_BAD_TARGET);
    g_assert_cmpuint(tmf(&r, 5, 3, 2, 0), ==, T_COMPLETE);
    attention(&r);
    g_assert_cmpuint(tmf(&r, 4, 3, 2, 0), ==, T_COMPLETE);
    attention(&r);
    qtest_end(r.q);
}

static void post_event_buffer(VirtioDisk *r, unsigned *id, uint64_t *at)
{
    *at = virtio_disk_take(r, 16);
    qtest_memset(r->q, *at, 0xee, 16);
    *id = virtio_queue_add(&r->vq[EVENTS], &(VirtioBuf){ *at, 16, true }, 1);
    virtio_queue_kick(&r->vq[EVENTS]);
}

static void expect_event(VirtioDisk *r, unsigned id, uint64_t at, uint32_t event, uint32_t reason)
{
    uint8_t buf[16];

    g_assert_cmpuint(virtio_queue_wait(&r->vq[EVENTS], id), ==, 16);
    qtest_memread(r->q, at, buf, sizeof(buf));
    g_assert_cmphex(load_le32(buf), ==, event);
    if (reason) {
        g_assert_cmphex(load_le32(buf + 12), ==, reason);
    }
}

/* A disk comes and goes; another one when the driver has no buffer: that is told later, over a move. */
static void test_events(gconstpointer way)
{
    unsigned id[2];
    uint64_t at[2];
    uint8_t buf[512];
    VirtioDisk r;

    start(&r, way, "events");
    attention(&r);
    qtest_qmp_ok(
        r.q, "{'execute': 'blockdev-add', 'arguments': {'driver': 'null-co', 'node-name': 'n1', "
             "'size': 65536, 'read-zeroes': true}}");
    post_event_buffer(&r, &id[0], &at[0]);
    qtest_qmp_ok(
        r.q,
        "{'execute': 'device_add', 'arguments': {'driver': 'scsi-hd', 'id': 'x', 'bus': 's.0', "
        "'drive': 'n1', 'scsi-id': 5, 'lun': 300}}");
    expect_event(&r, id[0], at[0], 1, 1);
    g_assert_cmphex(qtest_readl(r.q, at[0] + 4), ==, 0x2c410501);
    Command c = run(&r, 5, 300, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
    g_assert_cmpuint(c.result << 8 | c.status, ==, 2);
    GOOD(run(&r, 5, 300, CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0), NULL, 512, buf));
    post_event_buffer(&r, &id[0], &at[0]);
    qtest_qmp_ok(r.q, "{'execute': 'device_del', 'arguments': {'id': 'x'}}");
    expect_event(&r, id[0], at[0], 1, 2);
    json_object_put(qtest_wait_event(r.q, "DEVICE_DELETED"));
    c = run(&r, 5, 300, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
    g_assert_cmpuint(c.result, ==, ANSWER_BAD_TARGET);
    /* no buffer */
    qtest_qmp_ok(r.q, "{'execute': 'block_resize', 'arguments': {'node-name': 'f0', 'size': %d}}",
                 2 * IMAGE_SIZE);
    qtest_move(r.q);
    post_event_buffer(&r, &id[0], &at[0]);
    expect_event(&r, id[0], at[0], 0x80000000, 0);
    qtest_end(r.q);
}

/* ---- bad requests ---------------------------------------------------------------------------------------------------------- */

static void test_broken(gconstpointer way)
{
    static const struct {
        unsigned queue;
        VirtioBuf bufs[2];
    } bad[] = {
        { REQUESTS, { { BUFFER, 50, false }, { BUFFER + 64, 108, true } } },
        { REQUESTS, { { BUFFER, 51, false }, { BUFFER + 64, 107, true } } },
        { REQUESTS, { { BUFFER, 51, true }, { BUFFER + 64, 108, true } } },
        { CONTROL, { { BUFFER, 3, false }, { BUFFER + 64, 1, true } } },
        { CONTROL, { { BUFFER, 23, false }, { BUFFER + 64, 1, true } } },
        { CONTROL, { { BUFFER, 24, false }, { BUFFER + 64, 1, false } } },
    };
    VirtioDisk r;

    start(&r, way, "broken");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        qtest_memset(r.q, BUFFER, 0, 64);
        virtio_queue_add(&r.vq[bad[i].queue], bad[i].bufs, 2);
        virtio_queue_notify(&r.vq[bad[i].queue]);
        g_assert_true(virtio_driver_wait_broken(&r.d));
        virtio_disk_attach(&r);
        attention(&r);
        r.next = BUFFER;
    }
    /* Sizes that cannot be (5.6.4). */
    virtio_device_write(&r.d, 20, 0x10000, 4);
    g_assert_cmphex(virtio_driver_status(&r.d) & VIRTIO_ST_NEEDS_RESET, !=, 0);
    virtio_disk_attach(&r);
    attention(&r);
    qtest_end(r.q);
}

/* ---- in flight ------------------------------------------------------------------------------------------------------------- */

typedef enum After {
    AFTER_STAY,
    AFTER_MOVE,
    AFTER_ABORT,
    AFTER_UNIT_RESET,
    AFTER_RESET,
    AFTERS
} After;

/* A command over several chunks of which the one with that sector fails, and a READ beside it. */
typedef struct Meeting {
    const char *name, *iotype;
    uint8_t cdb[16];
    size_t cdb_len;
    uint32_t len;
    bool out;
    int sector;
} Meeting;

static const Meeting meetings[] = {
    { "read-1", "read", { 0x28, 0, 0, 0, 0, 10, 0, 3, 0 }, 10, 768 * 512, false, 12 },
    { "read-2", "read", { 0x28, 0, 0, 0, 0, 10, 0, 3, 0 }, 10, 768 * 512, false, 300 },
    { "read-3", "read", { 0x28, 0, 0, 0, 0, 10, 0, 3, 0 }, 10, 768 * 512, false, 777 },
    { "write-1", "write", { 0x2a, 0, 0, 0, 0, 10, 0, 3, 0 }, 10, 768 * 512, true, 12 },
    { "write-2", "write", { 0x2a, 0, 0, 0, 0, 10, 0, 3, 0 }, 10, 768 * 512, true, 300 },
    { "write-3", "write", { 0x2a, 0, 0, 0, 0, 10, 0, 3, 0 }, 10, 768 * 512, true, 777 },
    { "write-same",
      "write-zeroes",
      { 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 32 },
      16,
      512,
      true,
      70 },
    { "unmap", "discard", { 0x42, 0, 0, 0, 0, 0, 0, 0, 24 }, 10, 24, true, 128 },
};

static void data_for(const Meeting *m, uint8_t *data)
{
    memset(data, 0, m->len);
    if (m->cdb[0] == 0x2a) {
        qtest_image_fill(data, m->len, 66);
    } else if (m->cdb[0] == 0x42) {
        store_be16(data, 22);
        store_be16(data + 2, 16);
        store_be64(data + 8, 128);
        store_be32(data + 16, 16);
    }
}

static void check_meeting(VirtioDisk *r, const Meeting *m, Command *c, const uint8_t *out)
{
    g_autofree uint8_t *in = g_malloc(m->len);
    uint8_t zeros[512] = { 0 }, buf[512];

    wait_for(r, c);
    GOOD(*c);
    g_assert_cmpuint(c->residual, ==, 0);
    qtest_memread(r->q, c->data, in, m->len);
    if (m->cdb[0] == 0x28) {
        qtest_assert_image(in, m->len, 10 * 512, SEED);
    } else if (m->cdb[0] == 0x2a) {
        GOOD(run(r, 3, 2, CDB(0x28, 0, 0, 0, 0, 10, 0, 3, 0, 0), NULL, m->len, in));
        g_assert_cmpmem(in, m->len, out, m->len);
    } else {
        GOOD(run(r, 3, 2, CDB(0x28, 0, 0, 0, 0, m->cdb[0] == 0x42 ? 130 : 70, 0, 0, 1, 0), NULL,
                 512, buf));
        g_assert_cmpmem(buf, 512, zeros, 512);
    }
}

static void meet(const VirtioDiskWay *way, const Meeting *m, After after)
{
    g_autofree char *file = g_strdup_printf("meet-%s-%d", m->name, after);
    g_autofree uint8_t *data = g_malloc(m->len);
    Command c;
    VirtioDisk r = { .kind = &kind, .way = way, .queues = REQUESTS + 2 };

    virtio_disk_start_failing(&r, file, m->iotype, m->sector);
    attention(&r);
    data_for(m, data);
    post(&r, &c, 1, 3, 2, m->cdb, m->cdb_len, m->out ? data : NULL, m->len, 0x123456789abc);
    virtio_queue_notify(&r.vq[REQUESTS + 1]);
    virtio_disk_wait_stopped(&r);
    g_assert_false(virtio_queue_is_done(c.vq, c.id));
    if (after == AFTER_MOVE) {
        qtest_move(r.q);
        g_assert_false(virtio_queue_is_done(c.vq, c.id));
        qtest_move(r.q); /* and on, before it ran */
    } else if (after == AFTER_RESET) {
        virtio_disk_attach(&r);
        r.next += 0x80000;
    }
    qtest_qmp_ok(r.q, "{'execute': 'cont'}");
    if (after == AFTER_STAY || after == AFTER_MOVE) {
        check_meeting(&r, m, &c, data);
    } else {
        attention(&r);
    }
    qtest_end(r.q);
}

static void test_meet_stay(gconstpointer m)
{
    meet(&ways[0], m, AFTER_STAY);
    meet(&ways[IOTHREAD], m, AFTER_STAY);
}

static void test_meet_move(gconstpointer m)
{
    meet(&ways[0], m, AFTER_MOVE);
    meet(&ways[1], m, AFTER_MOVE);
    meet(&ways[IOTHREAD], m, AFTER_MOVE);
}

static void test_meet_reset(gconstpointer m)
{
    meet(&ways[0], m, AFTER_RESET);
    meet(&ways[IOTHREAD], m, AFTER_RESET);
}

/* The disk does not answer: the command is moved (waited for), aborted, its unit or the card is reset; it answers when
 * that has begun. */
static void pending(const VirtioDiskWay *way, After after)
{
    g_autofree char *file = g_strdup_printf("pending-%d.slow", after);
    uint8_t buf[1024];
    Command c;
    VirtioDisk r;

    io_gate_use(true);
    start(&r, way, file);
    qtest_set_moving(r.q, false);
    attention(&r);
    io_gate_shut();
    post(&r, &c, 0, 3, 2, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0), NULL, sizeof(buf), 77);
    virtio_queue_notify(c.vq);
    g_assert_false(virtio_queue_is_done(c.vq, c.id));
    if (after == AFTER_ABORT || after == AFTER_UNIT_RESET) {
        /* until it is known: an iothread may look at the other queue first */
        for (unsigned n = 0; tmf(&r, 6, 3, 2, 77) != T_SUCCEEDED; n++) {
            g_assert_cmpuint(n, <, 1000);
            g_usleep(1000);
        }
    }
    GThread *opener = io_gate_open_later(GATE_MS);
    switch (after) {
    case AFTER_MOVE:
        qtest_move(r.q);
        wait_for(&r, &c);
        GOOD(c);
        qtest_memread(r.q, c.data, buf, sizeof(buf));
        qtest_assert_image(buf, sizeof(buf), 7 * 512, SEED);
        break;
    case AFTER_ABORT:
    case AFTER_UNIT_RESET:
        g_assert_cmpuint(tmf(&r, after == AFTER_ABORT ? 0 : 5, 3, 2, 77), ==, T_COMPLETE);
        g_assert_true(virtio_queue_is_done(c.vq, c.id)); /* before the answer to the function */
        wait_for(&r, &c);
        g_assert_cmpuint(c.result, ==, after == AFTER_ABORT ? ANSWER_ABORTED : ANSWER_RESET);
        break;
    default:
        virtio_disk_attach(&r);
        r.next += 0x10000;
        break;
    }
    g_thread_join(opener);
    io_gate_use(false);
    if (after == AFTER_UNIT_RESET || after == AFTER_RESET) {
        attention(&r);
    }
    GOOD(run(&r, 3, 2, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0), NULL, sizeof(buf), buf));
    qtest_assert_image(buf, sizeof(buf), 7 * 512, SEED);
    qtest_end(r.q);
}

static void test_pending(gconstpointer way)
{
    if (!io_gate_or_skip()) {
        return;
    }
    for (After after = AFTER_MOVE; after < AFTERS; after++) {
        pending(way, after);
    }
}

/* ---- what the main thread does while an iothread is at work ---------------------------------------------------------------- */

static void keep_busy(VirtioDisk *r, Command c[4], unsigned i)
{
    for (unsigned n = 0; n < 4; n++) {
        post(r, &c[n], n & 1, 3, 2, CDB(0x28, 0, 0, 0, 0, 10 * (i % 20) + n, 0, 1, 0, 0), NULL, 131072, n);
    }
    virtio_queue_notify(&r->vq[REQUESTS]);
    virtio_queue_notify(&r->vq[REQUESTS + 1]);
}

static void see_all_good(VirtioDisk *r, Command c[4], unsigned i)
{
    static uint8_t buf[131072];

    for (unsigned n = 0; n < 4; n++) {
        wait_for(r, &c[n]);
        GOOD(c[n]);
        qtest_memread(r->q, c[n].data, buf, sizeof(buf));
        qtest_assert_image(buf, 4096, (10 * (i % 20) + n) * 512, SEED);
    }
}

/* Queries, stops, resets of other queues, while commands run. */
static void test_busy_iothread(void)
{
    Command c[4];
    VirtioDisk r;

    start(&r, &ways[IOTHREAD], "busy");
    attention(&r);
    for (unsigned i = 0; i < (qtest_is_short() ? 1 : 12); i++) {
        r.next = BUFFER;
        keep_busy(&r, c, i);
        json_object_put(qtest_qmp_return(r.q, "{'execute': 'query-block'}"));
        json_object_put(qtest_qmp_return(r.q, "{'execute': 'query-blockstats'}"));
        qtest_qmp_ok(r.q, "{'execute': 'stop'}");
        qtest_qmp_ok(r.q, "{'execute': 'cont'}");
        see_all_good(&r, c, i);
        keep_busy(&r, c, i);
        virtio_disk_attach(&r); /* reset with commands under way */
        attention(&r);
    }
    keep_busy(&r, c, 0);
    qtest_qmp_ok(r.q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(r.q, "RESET"));
    virtio_disk_attach(&r);
    attention(&r);
    qtest_end(r.q);
}

/* One may hear that the units have changed. */
static void wait_for_all(VirtioDisk *r, Command c[4])
{
    for (unsigned n = 0; n < 4; n++) {
        wait_for(r, &c[n]);
        if (c[n].key != 6) {
            GOOD(c[n]);
        }
    }
}

/* Disks come and go beside one that is at work, and so does its adapter. */
static void test_plug_iothread(void)
{
    Command c[4];
    uint8_t buf[512];
    VirtioDisk r;

    start(&r, &ways[IOTHREAD], "plug");
    qtest_set_moving(r.q, false);
    attention(&r);
    qtest_qmp_ok(r.q, "{'execute': 'blockdev-add', 'arguments': {'driver': 'null-co', 'node-name': 'n1', "
                      "'size': 65536, 'read-zeroes': true}}");
    for (unsigned i = 0; i < 8; i++) {
        r.next = BUFFER;
        keep_busy(&r, c, i);
        qtest_qmp_ok(r.q, "{'execute': 'device_add', 'arguments': {'driver': 'scsi-hd', 'id': 'x', 'bus': 's.0', "
                          "'drive': 'n1', 'scsi-id': 5}}");
        wait_for_all(&r, c);
        run(&r, 5, 0, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
        GOOD(run(&r, 5, 0, CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0), NULL, 512, buf));
        run(&r, 3, 2, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
        Command last;
        post(&r, &last, 1, 5, 0, CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0), NULL, 512, 9);
        keep_busy(&r, c, i);
        qtest_qmp_ok(r.q, "{'execute': 'device_del', 'arguments': {'id': 'x'}}");
        json_object_put(qtest_wait_event(r.q, "DEVICE_DELETED"));
        wait_for(&r, &last); /* it was served, aborted, or came too late */
        wait_for_all(&r, c);
        run(&r, 3, 2, CDB(0, 0, 0, 0, 0, 0), NULL, 0, NULL);
    }
    qtest_qmp_fails(r.q, "GenericError", "object 'io0' is in use",
                    "{'execute': 'object-del', 'arguments': {'id': 'io0'}}");
    if (qtest_machine_can_plug()) {
        keep_busy(&r, c, 0);
        qtest_qmp_ok(r.q, "{'execute': 'device_del', 'arguments': {'id': 's'}}");
        qtest_outl(r.q, 0xae08, 1 << 4);
        json_object_put(qtest_wait_event(r.q, "DEVICE_DELETED"));
        qtest_qmp_ok(r.q, "{'execute': 'object-del', 'arguments': {'id': 'io0'}}");
    }
    qtest_end(r.q);
}

/* The user changes the medium, the guest opens the tray and asks what is in it. */
static void test_media_iothread(void)
{
    uint8_t buf[8];
    VirtioDisk r;

    start(&r, &ways[IOTHREAD], "media");
    qtest_set_moving(r.q, false);
    qtest_qmp_ok(r.q, "{'execute': 'device_add', 'arguments': {'driver': 'scsi-cd', 'id': 'cd', 'bus': 's.0', 'scsi-id': 6}}");
    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_ok(r.q, "{'execute': 'blockdev-add', 'arguments': {'driver': 'null-co', 'node-name': 'm%u', 'size': %u, "
                          "'read-only': true, 'read-zeroes': true}}", i, (i + 1) * 65536);
    }
    for (unsigned i = 0; i < 12; i++) {
        Command c[8];
        Command done;

        r.next = BUFFER;
        for (unsigned n = 0; n < 8; n++) {
            if (n & 1) {
                post(&r, &c[n], n >> 1 & 1, 6, 0, CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 8, 0), NULL, 8 * 2048, n);
            } else {
                post(&r, &c[n], n >> 1 & 1, 6, 0, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 8, n);
            }
        }
        virtio_queue_notify(&r.vq[REQUESTS]);
        virtio_queue_notify(&r.vq[REQUESTS + 1]);
        qtest_qmp_ok(r.q, "{'execute': 'blockdev-open-tray', 'arguments': {'id': 'cd', 'force': true}}");
        if (i) {
            qtest_qmp_ok(r.q, "{'execute': 'blockdev-remove-medium', 'arguments': {'id': 'cd'}}");
        }
        qtest_qmp_ok(r.q, "{'execute': 'blockdev-insert-medium', 'arguments': {'id': 'cd', 'node-name': 'm%u'}}", i & 1);
        qtest_qmp_ok(r.q, "{'execute': 'blockdev-close-tray', 'arguments': {'id': 'cd'}}");
        for (unsigned n = 0; n < 8; n++) {
            wait_for(&r, &c[n]);
        }
        do { /* unit attentions */
            done = run(&r, 6, 0, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 8, buf);
        } while (done.key == 6);
        GOOD(done);
        g_assert_cmpuint(load_be32(buf), ==, (i & 1 ? 131072 : 65536) / 2048 - 1);
        GOOD(run(&r, 6, 0, CDB(0x1b, 0, 0, 0, 2, 0), NULL, 0, NULL)); /* out, and in */
        GOOD(run(&r, 6, 0, CDB(0x1b, 0, 0, 0, 3, 0), NULL, 0, NULL));
    }
    qtest_end(r.q);
}

int main(int argc, char **argv)
{
    static const VirtioDiskTest tests[] = {
        { "basic", test_basic, 0x1f, 9 },    { "luns", test_luns, 9, 0 },
        { "many", test_many, 0x1b, 8 },      { "tmf", test_tmf, 9, 0 },
        { "events", test_events, 9, 0 },     { "broken", test_broken, 0x1b, 0 },
        { "pending", test_pending, 0x19, 0 }, { "other-way", test_buffer_of_the_other_way, 9, 0 },
    };
    static const struct {
        const char *name;
        GTestDataFunc func;
    } kinds[] = { { "stay", test_meet_stay },
                  { "move", test_meet_move },
                  { "reset", test_meet_reset } };
    g_test_init(&argc, &argv, NULL);
    io_gate_init();
    virtio_disk_add_tests(&kind, tests, G_N_ELEMENTS(tests), ways, G_N_ELEMENTS(ways));
    for (unsigned i = 0; i < G_N_ELEMENTS(meetings) && !qtest_is_short(); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
            g_autofree char *path =
                g_strdup_printf("/virtio-scsi/in-flight/%s/%s", kinds[k].name, meetings[i].name);
            g_test_add_data_func(path, &meetings[i], kinds[k].func);
        }
    }
    g_test_add_func("/virtio-scsi/busy-iothread", test_busy_iothread);
    g_test_add_func("/virtio-scsi/plug-iothread", test_plug_iothread);
    g_test_add_func("/virtio-scsi/media-iothread", test_media_iothread);
    int status = g_test_run();
    io_gate_free();
    return status;
}
