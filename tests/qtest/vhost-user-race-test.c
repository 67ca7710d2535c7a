/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first request behind everything that enables a ring: the guest's reset, a queue's reset, a move to another process, a
 * back end that comes back. The back end takes its time to enable, and drops what it sees on a ring that is not enabled; one
 * to 16 queues, with and without REPLY_ACK, modern and legacy interface. TERN_TEST_LONG: a thousand rounds of each with
 * 200 ms between them, half of it for disabling.
 */
#include "util/osdep.h"

#include "../vhost-user/backend.h"
#include "util/bytes.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000
#define BUFFER 0x800000
#define SECTORS 64
#define MOST_QUEUES 16
#define BIT(n) (UINT64_C(1) << (n))

typedef struct Race {
    Backend *backend;
    VirtioDriver d;
    VirtioQueue vq[MOST_QUEUES];
    unsigned queues, round;
    uint64_t heap; /* free behind what the driver keeps over a reset */
} Race;

typedef void Event(Race *r);

static bool is_long(void)
{
    return g_getenv("TERN_TEST_LONG");
}

/* ---- the driver ---------------------------------------------------------------------------------------- */

static void drive(Race *r)
{
    virtio_driver_negotiate(&r->d, UINT64_MAX & ~BIT(VIRTIO_PACKED));
    for (unsigned i = 0; i < r->queues; i++) {
        virtio_queue_init(&r->vq[i], &r->d, i, 16);
    }
    virtio_driver_ok(&r->d);
}

static uint64_t place(unsigned queue)
{
    return BUFFER + queue * 0x1000;
}

/* A write of one sector with that byte, kicked at once. */
static unsigned post(Race *r, unsigned queue)
{
    VirtioBuf bufs[3] = { { place(queue), 16, false },
                          { place(queue) + 0x200, 512, false },
                          { place(queue) + 0x400, 1, true } };
    uint8_t header[16] = { 1 };
    unsigned id;

    store_le64(header + 8, queue);
    qtest_memwrite(r->d.q, place(queue), header, sizeof(header));
    qtest_memset(r->d.q, place(queue) + 0x200, (uint8_t)(r->round + queue), 512);
    qtest_memset(r->d.q, place(queue) + 0x400, 0xff, 1);
    id = virtio_queue_add(&r->vq[queue], bufs, 3);
    virtio_queue_notify(&r->vq[queue]);
    return id;
}

/* One request on each queue; all come back, and the disk has them. */
static void requests(Race *r)
{
    unsigned ids[MOST_QUEUES];

    r->round++;
    for (unsigned i = 0; i < r->queues; i++) {
        ids[i] = post(r, i);
    }
    for (unsigned i = 0; i < r->queues; i++) {
        virtio_queue_wait(&r->vq[i], ids[i]);
        g_assert_cmphex(qtest_readb(r->d.q, place(i) + 0x400), ==, 0);
        g_assert_cmphex(backend_image(r->backend)[i * 512 + 77], ==, (uint8_t)(r->round + i));
    }
}

/* ---- what enables rings -------------------------------------------------------------------------------- */

static void guest_reset(Race *r)
{
    r->d.heap = r->heap;
    virtio_driver_reset(&r->d);
    drive(r);
    requests(r);
}

static void queue_reset(Race *r)
{
    VirtioQueue *vq = &r->vq[r->round % r->queues];

    r->d.heap = r->heap + 0x200000 + r->round % 16 * 0x10000; /* not where the others are, nor where it was */
    virtio_queue_reset(vq);
    requests(r);
}

/* Also what was posted before, and nobody had looked at. */
static void move(Race *r)
{
    qtest_move(r->d.q);
    requests(r);
}

static void reconnect(Race *r)
{
    backend_disconnect(r->backend, false);
    requests(r);
}

/* ---- rounds -------------------------------------------------------------------------------------------- */

static void set_up(Race *r, unsigned queues, bool ack, bool legacy)
{
    g_autofree char *path = g_strdup_printf("%s/vr", g_get_tmp_dir());
    BackendOptions o = {
        .path = path,
        .personality = BACKEND_BLK,
        .queues = queues,
        .image_size = SECTORS * 512,
        .protocol = ack ? BACKEND_ALL_PROTOCOL : BACKEND_NO_ACK,
        .discard_requests = true,
        .disable_on_features = true,
    };
    GError *error = NULL;
    QTest *q;

    *r = (Race){ .queues = queues };
    r->backend = backend_new(&o, &error);
    g_assert_no_error(error);
    backend_add_rule(r->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_DELAY,
                     is_long() ? MAX(100 / queues, 1) : 1);
    q = qtest_start("-machine %s,memory-backend=m0 -m 16 -object "
                    "memory-backend-memfd,id=m0,size=16M,share=on "
                    "-chardev socket,id=c0,path=%s,reconnect-ms=5 "
                    "-device %s,addr=4,id=d0,chardev=c0,num-queues=%u",
                    qtest_machine("pc"), path,
                    legacy ? "vhost-user-blk-pci-transitional" : "vhost-user-blk-pci-non-transitional", queues);
    qtest_set_moving(q, false); /* the moves are ours */
    virtio_driver_init(&r->d, q, DEVFN, VIRTIO_DRIVER_MSIX | (legacy ? VIRTIO_DRIVER_LEGACY : 0), 0xc000,
                       0xe0000000, HEAP);
    r->heap = r->d.heap;
    drive(r);
    requests(r);
}

static unsigned tear_down(Race *r)
{
    BackendCounts c;

    qtest_end(r->d.q);
    backend_get_counts(r->backend, &c);
    backend_free(r->backend);
    g_assert_cmpuint(c.lost, ==, 0);
    return c.served;
}

static const struct Scenario {
    const char *name;
    Event *event;
    bool modern_only;
} scenarios[] = {
    { "guest-reset", guest_reset, false },
    { "queue-reset", queue_reset, true },
    { "migration", move, false },
    { "reconnect", reconnect, false },
};

static void test_rounds(gconstpointer opaque)
{
    const struct Scenario *s = opaque;
    static const unsigned some[] = { 1, 2, 16 };
    unsigned sizes = is_long() ? MOST_QUEUES : G_N_ELEMENTS(some), kinds = s->modern_only ? 2 : 4,
             each = is_long() ? 1000 / (sizes * kinds) + 1 : 2, rounds = 0, served = 0;

    for (unsigned i = 0; i < sizes * kinds; i++) {
        Race r;

        set_up(&r, is_long() ? i / kinds + 1 : some[i / kinds], i & 1, i % kinds >= 2);
        for (unsigned n = 0; n < each; n++) {
            s->event(&r);
            rounds++;
        }
        served += tear_down(&r);
    }
    g_test_message("%s: %u rounds, %u requests, none lost", s->name, rounds, served);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        g_autofree char *path = g_strdup_printf("/vhost-user-race/%s", scenarios[i].name);

        g_test_add_data_func(path, &scenarios[i], test_rounds);
    }
    return g_test_run();
}
