/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk (VIRTIO 1.2, 5.2): requests over every kind of ring, in the main loop and in an iothread; bad requests; errors
 * of the host's disk with the machine stopped, moved, reset; resizing, plugging.
 */
#include "util/osdep.h"
#include "io-gate.h"
#include "virtio-disk.h"

#include "util/bytes.h"

#define BUFFER VIRTIO_DISK_MEMORY
#define IMAGE_SIZE VIRTIO_DISK_SIZE
#define SECTORS (IMAGE_SIZE / 512)
#define SEED 11
#define GATE_MS 30

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_NONE = 0xcc };

static const VirtioDiskWay ways[] = {
    { "modern/split", "pc", "virtio-blk-pci,addr=4", VIRTIO_DRIVER_MSIX, 0 },
    { "modern/packed", "q35", "virtio-blk-pci,addr=4,packed=on", VIRTIO_DRIVER_MSIX, 0 },
    { "modern/plain", "q35", "virtio-blk-pci-non-transitional,addr=4,ioeventfd=off", 0,
      VIRTIO_FEATURE(VIRTIO_INDIRECT) | VIRTIO_FEATURE(VIRTIO_EVENT_IDX) },
    { "legacy", "pc", "virtio-blk-pci-transitional,addr=4", VIRTIO_DRIVER_LEGACY, 0 },
    { "iothread/split", "pc", "virtio-blk-pci,addr=4,iothread=io0", VIRTIO_DRIVER_MSIX, 0 },
    { "iothread/packed", "pc", "virtio-blk-pci,addr=4,iothread=io0,packed=on,request-merging=off",
      VIRTIO_DRIVER_MSIX, 0 },
};
#define IOTHREAD 4 /* the first way with one */

static const VirtioDiskKind kind = { "virtio-blk", ",id=d0,serial=a-serial", SEED };

static void start(VirtioDisk *r, const VirtioDiskWay *way, const char *file, unsigned queues,
                  const char *more)
{
    *r = (VirtioDisk){ .kind = &kind, .way = way, .queues = queues };
    virtio_disk_start(r, file, "", more);
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

typedef struct Request {
    VirtioQueue *vq;
    unsigned id;
    uint64_t data, status;
    uint32_t len;
} Request;

static void post(VirtioDisk *r, Request *req, unsigned queue, uint32_t type, uint64_t sector,
                 const void *out, uint32_t len, bool from_device)
{
    uint8_t header[16] = { 0 };
    uint64_t head = virtio_disk_take(r, 16);
    VirtioBuf bufs[3];
    unsigned n = 0;

    store_le32(header, type);
    store_le64(header + 8, sector);
    qtest_memwrite(r->q, head, header, sizeof(header));
    *req = (Request){ .vq = &r->vq[queue],
                      .data = virtio_disk_take(r, len),
                      .status = virtio_disk_take(r, 1),
                      .len = len };
    bufs[n++] = (VirtioBuf){ head, 16, false };
    if (len) {
        if (out) {
            qtest_memwrite(r->q, req->data, out, len);
        } else {
            qtest_memset(r->q, req->data, 0xa5, len);
        }
        bufs[n++] = (VirtioBuf){ req->data, len, from_device };
    }
    qtest_writeb(r->q, req->status, S_NONE);
    bufs[n++] = (VirtioBuf){ req->status, 1, true };
    req->id = virtio_queue_add(req->vq, bufs, n);
}

static uint8_t wait_for(VirtioDisk *r, Request *req)
{
    virtio_queue_wait(req->vq, req->id);
    return qtest_readb(r->q, req->status);
}

static uint8_t run(VirtioDisk *r, uint32_t type, uint64_t sector, const void *out, uint32_t len,
                   bool from_device, void *in)
{
    Request req;
    uint64_t mark = r->next;

    post(r, &req, 0, type, sector, out, len, from_device);
    virtio_queue_kick(req.vq);
    uint8_t status = wait_for(r, &req);
    if (in) {
        qtest_memread(r->q, req.data, in, len);
    }
    r->next = mark;
    return status;
}

static uint8_t read_sectors(VirtioDisk *r, uint64_t sector, void *buf, uint32_t len)
{
    return run(r, T_IN, sector, NULL, len, true, buf);
}

static uint8_t write_sectors(VirtioDisk *r, uint64_t sector, const void *buf, uint32_t len)
{
    return run(r, T_OUT, sector, buf, len, false, NULL);
}

/* ---- what works ------------------------------------------------------------------------------------------------------- */

static void segment(uint8_t s[16], uint64_t sector, uint32_t sectors, uint32_t flags)
{
    store_le64(s, sector);
    store_le32(s + 8, sectors);
    store_le32(s + 12, flags);
}

static void test_basic(gconstpointer way)
{
    uint8_t buf[4096], out[4096], seg[16];
    VirtioDisk r;

    start(&r, way, "basic", 1, "");
    g_assert_cmpuint(virtio_device_read(&r.d, 0, 8), ==, SECTORS);
    g_assert_cmphex(read_sectors(&r, 5, buf, 1536), ==, S_OK);
    qtest_assert_image(buf, 1536, 5 * 512, SEED);
    qtest_image_fill(out, sizeof(out), 77);
    g_assert_cmphex(write_sectors(&r, 9, out, 4096), ==, S_OK);
    g_assert_cmphex(run(&r, T_FLUSH, 0, NULL, 0, false, NULL), ==, S_OK);
    g_assert_cmphex(read_sectors(&r, 9, buf, 4096), ==, S_OK);
    g_assert_cmpmem(buf, 4096, out, 4096);
    g_assert_cmphex(run(&r, T_GET_ID, 0, NULL, 20, true, buf), ==, S_OK);
    g_assert_cmpstr((char *)buf, ==, "a-serial");
    segment(seg, 10, 2, 1);
    g_assert_cmphex(run(&r, T_WRITE_ZEROES, 0, seg, 16, false, NULL), ==, S_OK);
    segment(seg, 100, 8, 0);
    g_assert_cmphex(run(&r, T_DISCARD, 0, seg, 16, false, NULL), ==, S_OK);
    memset(out + 512, 0, 1024);
    g_assert_cmphex(read_sectors(&r, 9, buf, 4096), ==, S_OK);
    g_assert_cmpmem(buf, 4096, out, 4096);
    qtest_end(r.q);
}

/* Header and status wherever the driver likes them (5.2.6.4, ANY_LAYOUT). */
static void test_layout(gconstpointer way)
{
    uint8_t header[16] = { 0 }, buf[1025];
    uint64_t at = BUFFER + 0x8000;
    VirtioDisk r;

    start(&r, way, "layout", 1, "");
    store_le64(header + 8, 3);
    qtest_memwrite(r.q, at, header, 16);
    VirtioBuf bufs[] = { { at, 3, false },
                         { at + 3, 13, false },
                         { at + 0x1000, 7, true },
                         { at + 0x2000, 700, true },
                         { at + 0x3000, 318, true } }; /* 1024 of data, and the status */
    unsigned id = virtio_queue_add(&r.vq[0], bufs, 5);
    virtio_queue_kick(&r.vq[0]);
    g_assert_cmpuint(virtio_queue_wait(&r.vq[0], id), ==, 1025);
    qtest_memread(r.q, at + 0x1000, buf, 7);
    qtest_memread(r.q, at + 0x2000, buf + 7, 700);
    qtest_memread(r.q, at + 0x3000, buf + 707, 318);
    qtest_assert_image(buf, 1024, 3 * 512, SEED);
    g_assert_cmphex(buf[1024], ==, S_OK);
    qtest_end(r.q);
}

/* Both queues full of neighbours, which become few requests; one interrupt at least on each vector. */
static void test_many(gconstpointer way)
{
    Request reqs[2][4];
    uint8_t buf[1024];
    VirtioDisk r;

    start(&r, way, "many", 2, ",num-queues=2");
    for (unsigned queue = 0; queue < 2; queue++) {
        virtio_queue_want_interrupt(&r.vq[queue], 1);
        for (unsigned i = 0; i < 4; i++) {
            qtest_image_fill(buf, sizeof(buf), 100 * queue + i);
            post(&r, &reqs[queue][i], queue, T_OUT, 200 * queue + 2 * i, buf, sizeof(buf), false);
        }
    }
    virtio_queue_notify(&r.vq[1]);
    virtio_queue_notify(&r.vq[0]);
    virtio_wait_interrupt(&r.d, 1);
    if (r.way->flags & VIRTIO_DRIVER_MSIX) {
        virtio_wait_interrupt(&r.d, 2); /* else it may have been for both */
    }
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmphex(wait_for(&r, &reqs[i / 4][i % 4]), ==, S_OK);
    }
    for (unsigned i = 0; i < 8; i++) {
        post(&r, &reqs[i / 4][i % 4], i / 4, T_IN, 200 * (i / 4) + 2 * (i % 4), NULL, sizeof(buf),
             true);
    }
    virtio_queue_notify(&r.vq[0]);
    virtio_queue_notify(&r.vq[1]);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmphex(wait_for(&r, &reqs[i / 4][i % 4]), ==, S_OK);
        qtest_memread(r.q, reqs[i / 4][i % 4].data, buf, sizeof(buf));
        qtest_assert_image(buf, sizeof(buf), 0, 100 * (i / 4) + i % 4);
    }
    qtest_end(r.q);
}

/* ---- what the device refuses -------------------------------------------------------------------------------------------- */

static void test_refused(gconstpointer way)
{
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t len;
        bool in;
        uint8_t status;
    } bad[] = {
        { T_IN, SECTORS, 512, true, S_IOERR },
        { T_IN, SECTORS - 1, 1024, true, S_IOERR },
        { T_OUT, UINT64_MAX, 512, false, S_IOERR },
        { T_OUT, UINT64_MAX / 512, 512, false, S_IOERR },
        { T_IN, 0, 511, true, S_IOERR },
        { T_OUT, 0, 100, false, S_IOERR },
        { 2, 0, 0, false, S_UNSUPP },
        { 0xffffffff, 0, 512, true, S_UNSUPP },
        { T_DISCARD, 0, 15, false, S_IOERR },
        { T_DISCARD, 0, 32, false, S_UNSUPP },
        { T_WRITE_ZEROES, 0, 0, false, S_IOERR },
    };
    uint8_t seg[16], buf[512];
    VirtioDisk r;

    start(&r, way, "refused", 1, "");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmphex(run(&r, bad[i].type, bad[i].sector, NULL, bad[i].len, bad[i].in, NULL), ==,
                        bad[i].status);
    }
    segment(seg, SECTORS - 1, 2, 0);
    g_assert_cmphex(run(&r, T_WRITE_ZEROES, 0, seg, 16, false, NULL), ==, S_IOERR);
    segment(seg, UINT64_MAX, UINT32_MAX, 0);
    g_assert_cmphex(run(&r, T_DISCARD, 0, seg, 16, false, NULL), ==, S_IOERR);
    segment(seg, 0, 1, 1);
    g_assert_cmphex(run(&r, T_DISCARD, 0, seg, 16, false, NULL), ==, S_UNSUPP);
    segment(seg, 0, 1, 2);
    g_assert_cmphex(run(&r, T_WRITE_ZEROES, 0, seg, 16, false, NULL), ==, S_UNSUPP);
    g_assert_cmphex(read_sectors(&r, 0, buf, 512), ==, S_OK); /* and nothing has changed */
    qtest_assert_image(buf, 512, 0, SEED);
    qtest_end(r.q);
}

/* A request that cannot be answered breaks the device until a reset (W1). */
static void test_broken(gconstpointer opaque)
{
    static const VirtioBuf chains[][2] = {
        { { BUFFER, 15, false }, { BUFFER + 0x1000, 512, true } }, /* half a header */
        { { BUFFER, 16, true }, { 0, 0, false } },                 /* no header */
        { { BUFFER, 16, false }, { BUFFER + 64, 1, false } }, /* the status cannot be written */
        { { BUFFER, 16, false }, { 0x80000000, 513, true } }, /* no memory there */
    };
    const VirtioDiskWay *way = opaque;
    uint8_t buf[512];
    VirtioDisk r;

    start(&r, way, "broken", 1, "");
    qtest_memset(r.q, BUFFER, 0, 16);
    for (unsigned i = 0; i < G_N_ELEMENTS(chains); i++) {
        virtio_queue_add(&r.vq[0], chains[i], chains[i][1].len ? 2 : 1);
        virtio_queue_notify(&r.vq[0]);
        g_assert_true(virtio_driver_wait_broken(&r.d) || way->flags & VIRTIO_DRIVER_LEGACY);
        virtio_disk_attach(&r);
        g_assert_cmphex(read_sectors(&r, 1, buf, 512), ==, S_OK);
        qtest_assert_image(buf, 512, 512, SEED);
        r.next = BUFFER;
        qtest_memset(r.q, BUFFER, 0, 16);
    }
    qtest_end(r.q);
}

/* ---- errors of the host's disk ------------------------------------------------------------------------------------------- */

typedef enum After { AFTER_STAY, AFTER_MOVE, AFTER_RESET, AFTER_QUEUE_RESET } After;

/* Three requests, no neighbours, of which one stops the machine; afterwards all are there. */
static void stop_with(const VirtioDiskWay *way, bool is_read, After after)
{
    g_autofree char *file = g_strdup_printf("stop-%d-%d", is_read, after);
    uint8_t buf[1024], out[1024];
    Request reqs[3];
    VirtioDisk r = { .kind = &kind, .way = way, .queues = 1 };

    virtio_disk_start_failing(&r, file, is_read ? "read" : "write", 43);
    for (unsigned i = 0; i < 3; i++) {
        qtest_image_fill(out, sizeof(out), 50 + i);
        post(&r, &reqs[i], 0, is_read ? T_IN : T_OUT, 40 + 3 * i, is_read ? NULL : out, sizeof(out),
             is_read);
    }
    virtio_queue_notify(&r.vq[0]);
    virtio_disk_wait_stopped(&r);
    g_assert_false(virtio_queue_is_done(&r.vq[0], reqs[1].id));
    if (after == AFTER_MOVE) {
        qtest_move(r.q);
    } else if (after == AFTER_RESET) {
        virtio_disk_attach(&r);
        r.next += 0x10000;
    } else if (after == AFTER_QUEUE_RESET) {
        virtio_queue_reset(&r.vq[0]);
        r.next += 0x10000;
    }
    qtest_qmp_ok(r.q, "{'execute': 'cont'}");
    if (after == AFTER_STAY || after == AFTER_MOVE) {
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmphex(wait_for(&r, &reqs[i]), ==, S_OK);
            qtest_memread(r.q, reqs[i].data, buf, sizeof(buf));
            if (is_read) {
                qtest_assert_image(buf, sizeof(buf), (40 + 3 * i) * 512, SEED);
            }
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        bool written = !is_read && (i != 1 || after == AFTER_STAY || after == AFTER_MOVE);
        g_assert_cmphex(read_sectors(&r, 40 + 3 * i, buf, sizeof(buf)), ==, S_OK);
        if (written) {
            qtest_assert_image(buf, sizeof(buf), 0, 50 + i);
        } else {
            qtest_assert_image(buf, sizeof(buf), (40 + 3 * i) * 512, SEED);
        }
    }
    qtest_end(r.q);
}

static void test_stop(gconstpointer opaque)
{
    const VirtioDiskWay *way = opaque;

    for (unsigned i = 0; i < 8; i++) {
        if ((i >> 1) != AFTER_QUEUE_RESET || !(way->flags & VIRTIO_DRIVER_LEGACY)) {
            stop_with(way, i & 1, i >> 1);
        }
    }
}

/* The one that failed is told, its neighbours that were merged with it are good. */
static void test_report(gconstpointer way)
{
    uint8_t out[1024];
    Request reqs[3];
    unsigned failed = 0;
    VirtioDisk r = { .kind = &kind, .way = way, .queues = 1 };

    /* Not once: the merged request and then the one that it is because of. */
    const char *inject =
        ",inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=5,"
        "inject-error.0.sector=42";
    virtio_disk_start(&r, "report", inject, ",rerror=report,werror=report");
    qtest_image_fill(out, sizeof(out), 3);
    for (unsigned i = 0; i < 3; i++) {
        post(&r, &reqs[i], 0, T_OUT, 40 + 2 * i, out, sizeof(out), false);
    }
    virtio_queue_notify(&r.vq[0]);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t status = wait_for(&r, &reqs[i]);
        failed += status != S_OK;
        g_assert_cmphex(status, ==, i == 1 ? S_IOERR : S_OK);
    }
    g_assert_cmpuint(failed, ==, 1);
    json_object_put(qtest_wait_event(r.q, "BLOCK_IO_ERROR"));
    qtest_end(r.q);
}

/* ---- pending block I/O --------------------------------------------------------------------------------------------------- */

/* Moved, reset or unplugged while the disk does not answer; it does so when that has begun. */
static void pending(const VirtioDiskWay *way, After after)
{
    g_autofree char *file = g_strdup_printf("pending-%d.slow", after);
    uint8_t buf[1024];
    Request req;
    VirtioDisk r;

    io_gate_use(true);
    start(&r, way, file, 1, "");
    qtest_set_moving(r.q, false);
    io_gate_shut();
    post(&r, &req, 0, T_IN, 8, NULL, sizeof(buf), true);
    virtio_queue_notify(&r.vq[0]);
    g_assert_false(virtio_queue_is_done(&r.vq[0], req.id));
    GThread *opener = io_gate_open_later(GATE_MS);
    if (after == AFTER_MOVE) {
        qtest_move(r.q);
        g_assert_cmphex(wait_for(&r, &req), ==, S_OK);
        qtest_memread(r.q, req.data, buf, sizeof(buf));
        qtest_assert_image(buf, sizeof(buf), 8 * 512, SEED);
    } else {
        /* its reset waits: afterwards nobody writes into that memory any more */
        virtio_disk_attach(&r);
        qtest_memset(r.q, req.data, 0x5a, sizeof(buf));
        g_usleep(2 * GATE_MS * 1000);
        qtest_memread(r.q, req.data, buf, sizeof(buf));
        for (unsigned i = 0; i < sizeof(buf); i++) {
            g_assert_cmphex(buf[i], ==, 0x5a);
        }
    }
    g_thread_join(opener);
    io_gate_use(false);
    r.next += 0x10000;
    g_assert_cmphex(read_sectors(&r, 8, buf, sizeof(buf)), ==, S_OK);
    qtest_assert_image(buf, sizeof(buf), 8 * 512, SEED);
    qtest_end(r.q);
}

static void test_pending(gconstpointer way)
{
    if (!io_gate_or_skip()) {
        return;
    }
    pending(way, AFTER_MOVE);
    pending(way, AFTER_RESET);
}

/* ---- the user's side ----------------------------------------------------------------------------------------------------- */

static void test_resize(gconstpointer way)
{
    uint8_t buf[512];
    VirtioDisk r;

    start(&r, way, "resize", 1, "");
    qtest_set_moving(r.q, false); /* the destination's file is longer from the start */
    qtest_qmp_ok(r.q, "{'execute': 'block_resize', 'arguments': {'node-name': 'f0', 'size': %d}}",
                 2 * IMAGE_SIZE);
    virtio_wait_interrupt(&r.d, 0);
    g_assert_cmpuint(virtio_device_read(&r.d, 0, 8), ==, 2 * SECTORS);
    g_assert_cmphex(read_sectors(&r, 2 * SECTORS - 1, buf, 512), ==, S_OK);
    g_assert_cmpuint(buf[0], ==, 0);
    qtest_end(r.q);
}

/* The driver turns the write cache off; it stays off over a move, and a reset turns it on. */
static void test_write_cache(gconstpointer way)
{
    VirtioDisk r;

    start(&r, way, "wce", 1, ",write-cache=on");
    g_assert_cmpuint(virtio_device_read(&r.d, 32, 1), ==, 1);
    virtio_device_write(&r.d, 32, 0, 1);
    qtest_move(r.q);
    g_assert_cmpuint(virtio_device_read(&r.d, 32, 1), ==, 0);
    virtio_disk_attach(&r);
    g_assert_cmpuint(virtio_device_read(&r.d, 32, 1), ==, 1);
    qtest_end(r.q);
}

static void test_in_use(void)
{
    VirtioDisk r;

    start(&r, &ways[IOTHREAD], "in-use", 1, "");
    qtest_qmp_fails(r.q, "GenericError", "object 'io0' is in use",
                    "{'execute': 'object-del', 'arguments': {'id': 'io0'}}");
    qtest_end(r.q);
}

/* Queries, a second user of the node and its end, a throttle, while requests run in the iothread. */
static void test_busy_iothread(void)
{
    uint8_t buf[2048], out[2048];
    VirtioDisk r;

    start(&r, &ways[IOTHREAD], "busy", 1, ",share-rw=on");
    for (unsigned i = 0; i < (qtest_is_short() ? 1 : 12); i++) {
        Request req;
        qtest_image_fill(out, sizeof(out), i);
        post(&r, &req, 0, T_OUT, 4 * i, out, sizeof(out), false);
        virtio_queue_notify(&r.vq[0]);
        json_object_put(qtest_qmp_return(r.q, "{'execute': 'query-block'}"));
        json_object_put(qtest_qmp_return(r.q, "{'execute': 'query-blockstats'}"));
        g_assert_cmphex(wait_for(&r, &req), ==, S_OK);
        g_assert_cmphex(read_sectors(&r, 4 * i, buf, sizeof(buf)), ==, S_OK);
        g_assert_cmpmem(buf, sizeof(buf), out, sizeof(out));
        qtest_qmp_ok(r.q, "{'execute': 'stop'}");
        qtest_qmp_ok(r.q, "{'execute': 'cont'}");
    }
    qtest_end(r.q);
}

#define EJECT_PORT 0xae08

static void test_plug(void)
{
    uint8_t buf[512];
    VirtioDisk r = { .kind = &kind, .way = &ways[IOTHREAD], .queues = 1 };
    Request req;

    if (!qtest_machine_can_plug()) {
        return;
    }
    r.q = qtest_start("-machine %s -m 16 -object iothread,id=io0 "
                      "-blockdev driver=file,filename=%s,node-name=f0",
                      qtest_machine("pc"), qtest_image("plug", IMAGE_SIZE, SEED));
    qtest_set_moving(r.q, false); /* the other side would not know that the guest has let go */
    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_ok(
            r.q, "{'execute': 'device_add', 'arguments': {'driver': 'virtio-blk-pci', 'id': 'd0', "
                 "'addr': '4', 'drive': 'f0', 'iothread': 'io0'}}");
        virtio_disk_attach(&r);
        g_assert_cmphex(read_sectors(&r, 7, buf, 512), ==, S_OK);
        qtest_assert_image(buf, 512, 7 * 512, SEED);
        post(&r, &req, 0, T_IN, 9, NULL, 512, true); /* on its way */
        virtio_queue_notify(&r.vq[0]);
        qtest_qmp_ok(r.q, "{'execute': 'device_del', 'arguments': {'id': 'd0'}}");
        qtest_outl(r.q, EJECT_PORT, 1 << 4);
        json_object_put(qtest_wait_event(r.q, "DEVICE_DELETED"));
    }
    qtest_qmp_ok(r.q, "{'execute': 'object-del', 'arguments': {'id': 'io0'}}");
    qtest_end(r.q);
}

static void test_bad_properties(void)
{
    static const struct {
        const char *args, *text;
    } bad[] = {
        { "virtio-blk-pci", "drive property not set" },
        { "virtio-blk-pci,drive=n0,num-queues=0", "num-queues property must be larger than 0" },
        { "virtio-blk-pci,drive=n0,queue-size=100",
          "invalid queue-size property (100), must be a power of 2 (max 1024)" },
        { "virtio-blk-pci,drive=n0,queue-size=2", "invalid queue-size property (2), must be > 2" },
        { "virtio-blk-pci,drive=n0,max-discard-sectors=0",
          "invalid max-discard-sectors property (0), must be between 1 and 4194303" },
        { "virtio-blk-pci,drive=n0,discard_granularity=100",
          "discard_granularity must be a multiple of logical_block_size" },
        { "virtio-blk-pci,drive=n0,ioeventfd=off,iothread=io0",
          "ioeventfd is required for iothread" },
        { "virtio-blk-pci,drive=n0,iothread=x", "not found" },
        { "virtio-scsi-pci,ioeventfd=off,iothread=io0", "ioeventfd is required for iothread" },
        { "virtio-scsi-pci,iothread=x", "not found" },
        { "virtio-scsi-pci,num_queues=0",
          "Invalid number of queues (= 0), must be a positive integer less than 1022." },
        { "virtio-scsi-pci,virtqueue_size=2",
          "invalid virtqueue_size property (= 2), must be > 2" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *out = NULL;

        g_assert_cmpint(
            qtest_run(&out,
                      "-accel qtest -display none -nodefaults -machine %s -object iothread,id=io0 "
                      "-blockdev null-co,node-name=n0 -device %s",
                      qtest_machine("pc"), bad[i].args),
            ==, 1);
        if (!strstr(out, bad[i].text)) {
            g_error("%s: %s", bad[i].args, out);
        }
    }
}

int main(int argc, char **argv)
{
    static const VirtioDiskTest tests[] = {
        { "basic", test_basic, 0x3f, 0x12 }, { "layout", test_layout, 0x3f, 0 },
        { "many", test_many, 0x37, 0x10 },   { "refused", test_refused, 0x11, 0 },
        { "broken", test_broken, 0x1b, 0 },  { "stop", test_stop, 0x1b, 0 },
        { "report", test_report, 0x31, 0 },  { "pending", test_pending, 0x11, 0 },
        { "resize", test_resize, 0x19, 0 },  { "write-cache", test_write_cache, 0x11, 0 },
    };
    g_test_init(&argc, &argv, NULL);
    io_gate_init();
    virtio_disk_add_tests(&kind, tests, G_N_ELEMENTS(tests), ways, G_N_ELEMENTS(ways));
    g_test_add_func("/virtio-blk/in-use", test_in_use);
    g_test_add_func("/virtio-blk/busy-iothread", test_busy_iothread);
    g_test_add_func("/virtio-blk/plug", test_plug);
    g_test_add_func("/virtio-blk/bad-properties", test_bad_properties);
    int status = g_test_run();
    io_gate_free();
    return status;
}
