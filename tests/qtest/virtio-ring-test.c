/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings as drivers should not make them (VIRTIO 1.2, 2.7 and 2.8): each case breaks the device, which says so by NEEDS_RESET
 * and in the log, and a reset heals it. Nothing else happens: the emulator lives, no memory is written.
 */
#include "util/osdep.h"
#include "util/bytes.h"
#include "virtio-driver.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000
#define BUFFER 0x400000
#define RAM_END 0x1000000 /* -m 16 */

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

typedef struct Ring {
    VirtioDriver d;
    VirtioQueue vq;
    QTest *q;
} Ring;

/* Where it matters, if machines are to move at all. */
static void move(Ring *r)
{
    if (g_getenv("QTEST_MOVE_EVERY") && !g_getenv("TERN_TEST_LONG")) {
        qtest_move(r->q);
    }
}

static void set_up(Ring *r)
{
    virtio_driver_negotiate(&r->d, VIRTIO_DRIVER_ALL);
    virtio_queue_init(&r->vq, &r->d, 0, 0);
    virtio_driver_ok(&r->d);
}

static void start(Ring *r, const char *args)
{
    r->q =
        qtest_start("-machine %s -m 16 -device virtio-rng-pci,addr=4%s", qtest_machine("pc"), args);
    qtest_set_moving(r->q, g_getenv("TERN_TEST_LONG")); /* otherwise at chosen points: see move() */
    virtio_driver_init(&r->d, r->q, DEVFN, VIRTIO_DRIVER_MSIX, 0xc000, 0xe0000000, HEAP);
    set_up(r);
}

static void expect_works(Ring *r)
{
    VirtioBuf buf = { BUFFER, 16, true };
    unsigned id = virtio_queue_add(&r->vq, &buf, 1);

    virtio_queue_notify(&r->vq);
    g_assert_cmpuint(virtio_queue_wait(&r->vq, id), ==, 16);
}

/* The device says NEEDS_RESET, by a configuration interrupt too; it does nothing more; a reset heals it. */
static void check_broken(Ring *r, const char *why, bool told)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    unsigned moves = qtest_moves(r->q);

    while (!(virtio_driver_status(&r->d) & VIRTIO_ST_NEEDS_RESET)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    if (qtest_moves(r->q) == moves && !strstr(qtest_stderr(r->q), why)) {
        g_printerr("'%s' is not in: %s\n", why, qtest_stderr(r->q));
        g_assert_not_reached();
    }
    move(r);
    if (told) {
        virtio_wait_interrupt(&r->d, 0);
    }
    virtio_queue_notify(&r->vq);
    virtio_driver_set_status(&r->d, VIRTIO_ST_ACK | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK |
                                        VIRTIO_ST_OK);
    g_assert_cmphex(virtio_driver_status(&r->d) & VIRTIO_ST_NEEDS_RESET, !=, 0);
    virtio_driver_reset(&r->d);
    set_up(r);
    expect_works(r);
}

static void expect_broken(Ring *r, const char *why)
{
    check_broken(r, why, true);
}

/* ---- split rings -------------------------------------------------------------------------------------------------- */

static void put_desc(Ring *r, unsigned n, uint64_t addr, uint32_t len, uint16_t flags,
                     uint16_t next)
{
    uint8_t desc[16];

    store_le64(desc, addr);
    store_le32(desc + 8, len);
    store_le16(desc + 12, flags);
    store_le16(desc + 14, next);
    qtest_memwrite(r->q, r->vq.desc + 16 * n, desc, 16);
}

static void offer(Ring *r, uint16_t head)
{
    qtest_writew(r->q, r->vq.avail + 4 + 2 * (r->vq.avail_idx % r->vq.size), head);
    qtest_writew(r->q, r->vq.avail + 2, ++r->vq.avail_idx);
    virtio_queue_notify(&r->vq);
}

static void test_head(void)
{
    Ring r;

    start(&r, "");
    expect_works(&r);
    offer(&r, 8);
    expect_broken(&r, "descriptor 8 of a table of 8");
    offer(&r, 0xffff);
    expect_broken(&r, "");
    qtest_end(r.q);
}

static void test_index_jump(void)
{
    Ring r;

    start(&r, "");
    qtest_writew(r.q, r.vq.avail + 2, 9);
    virtio_queue_notify(&r.vq);
    expect_broken(&r, "the available index moved from 0 to 9");
    qtest_end(r.q);
}

static void test_next(void)
{
    Ring r;

    start(&r, "");
    put_desc(&r, 0, BUFFER, 16, WRITE | NEXT, 200);
    offer(&r, 0);
    expect_broken(&r, "descriptor 200 of a table of 8");
    qtest_end(r.q);
}

static void test_loop(void)
{
    Ring r;

    start(&r, "");
    put_desc(&r, 0, BUFFER, 16, WRITE | NEXT, 1);
    put_desc(&r, 1, BUFFER, 16, WRITE | NEXT, 0);
    offer(&r, 0);
    expect_broken(&r, "a loop of descriptors");
    put_desc(&r, 3, BUFFER, 16, WRITE | NEXT, 3);
    offer(&r, 3);
    expect_broken(&r, "");
    qtest_end(r.q);
}

static void test_order_and_size(void)
{
    Ring r;

    start(&r, "");
    put_desc(&r, 0, BUFFER, 16, WRITE | NEXT, 1);
    put_desc(&r, 1, BUFFER, 16, 0, 0);
    offer(&r, 0);
    expect_broken(&r, "stands behind one to be written");
    put_desc(&r, 0, BUFFER, 0, WRITE, 0);
    offer(&r, 0);
    expect_broken(&r, "zero sized");
    qtest_end(r.q);
}

/* Beyond RAM, across its end, in a hole, in a ROM, in the device itself, at the top of the address space. */
static void test_addresses(void)
{
    static const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        { RAM_END, 16 },    { RAM_END - 8, 16 },    { 0x80000000, 16 },    { 0xfffffff0, 16 },
        { 0xe0004000, 64 }, { UINT64_MAX - 7, 16 }, { UINT64_MAX - 7, 8 }, { BUFFER, 0xffffffff },
    };
    Ring r;

    start(&r, "");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        put_desc(&r, 0, bad[i].addr, bad[i].len, WRITE, 0);
        offer(&r, 0);
        expect_broken(&r, i ? "" : "there is no memory to write");
    }
    put_desc(&r, 0, RAM_END - 16, 16, WRITE, 0);
    offer(&r, 0);
    while (qtest_readw(r.q, r.vq.used + 2) != 2) { /* the last bytes that there are */
    }
    qtest_end(r.q);
}

static void test_indirect(void)
{
    static const uint32_t lengths[] = { 0, 8, 17, 0x100010 };
    uint64_t table = 0x600000;
    uint8_t desc[16];
    Ring r;

    start(&r, "");
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        put_desc(&r, 0, table, lengths[i], INDIRECT, 0);
        offer(&r, 0);
        expect_broken(&r, i ? "" : "an indirect table of 0 bytes");
    }
    put_desc(&r, 0, RAM_END, 32, INDIRECT, 0);
    offer(&r, 0);
    expect_broken(&r, "");
    store_le64(desc, table);
    store_le32(desc + 8, 16);
    store_le16(desc + 12, INDIRECT);
    store_le16(desc + 14, 0);
    qtest_memwrite(r.q, table, desc, 16);
    put_desc(&r, 0, table, 16, INDIRECT, 0);
    offer(&r, 0);
    expect_broken(&r, "");
    store_le16(desc + 12, WRITE | NEXT); /* a loop within the table */
    qtest_memwrite(r.q, table, desc, 16);
    offer(&r, 0);
    put_desc(&r, 0, table, 16, INDIRECT, 0);
    offer(&r, 0);
    expect_broken(&r, "");
    store_le16(desc + 14, 7); /* beyond it */
    qtest_memwrite(r.q, table, desc, 16);
    put_desc(&r, 0, table, 16, INDIRECT, 0);
    offer(&r, 0);
    expect_broken(&r, "");
    qtest_end(r.q);
}

/* ---- places of rings ------------------------------------------------------------------------------------------------ */

typedef struct Place {
    const char *name;
    uint64_t desc, avail, used;
    uint16_t size;
    bool late; /* seen at the first access */
} Place;

static void test_places(void)
{
    static const Place places[] = {
        { "unaligned table", 0x200008, 0x201000, 0x202000, 8, false },
        { "unaligned driver's ring", 0x200000, 0x201001, 0x202000, 8, false },
        { "unaligned device's ring", 0x200000, 0x201000, 0x202002, 8, false },
        { "no entries", 0x200000, 0x201000, 0x202000, 0, false },
        { "not a power of two", 0x200000, 0x201000, 0x202000, 3, false },
        { "more than there may be", 0x200000, 0x201000, 0x202000, 16, false },
        { "many", 0x200000, 0x201000, 0x202000, 0xffff, false },
        { "table at the end of addresses", UINT64_MAX - 15, 0x201000, 0x202000, 8, false },
        { "table in the air", 0x80000000, 0x201000, 0x202000, 8, true },
        { "driver's ring in the air", 0x200000, 0x80000000, 0x202000, 8, true },
        { "device's ring in the air", 0x200000, 0x201000, 0x80000000, 8, true },
        { "device's ring in ROM", 0x200000, 0x201000, 0xfffff000, 8, true },
        { "device's ring in the card", 0x200000, 0x201000, 0xe0007000, 8, true },
        { "driver's ring in the card", 0x200000, 0xe0004000, 0x202000, 8, true },
        { "ring across the end of memory", RAM_END - 16, 0x201000, 0x202000, 8, true },
    };
    Ring r;

    start(&r, "");
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        const Place *p = &places[i];
        VirtioDriver *d = &r.d;

        g_test_message("%s", p->name);
        virtio_driver_reset(d);
        virtio_driver_negotiate(d, VIRTIO_DRIVER_ALL);
        qtest_memset(r.q, 0x200000, 0, 0x3000);
        qtest_writew(r.q, 0x201002, 1); /* descriptor 1, where there is one */
        qtest_writew(r.q, 0x201004, 1);
        qtest_writew(r.q, d->common + VIRTIO_COMMON_Q_SELECT, 0);
        qtest_writew(r.q, d->common + VIRTIO_COMMON_Q_SIZE, p->size);
        for (unsigned half = 0; half < 2; half++) {
            qtest_writel(r.q, d->common + VIRTIO_COMMON_Q_DESC + 4 * half, p->desc >> 32 * half);
            qtest_writel(r.q, d->common + VIRTIO_COMMON_Q_AVAIL + 4 * half, p->avail >> 32 * half);
            qtest_writel(r.q, d->common + VIRTIO_COMMON_Q_USED + 4 * half, p->used >> 32 * half);
        }
        qtest_writew(r.q, d->common + VIRTIO_COMMON_Q_ENABLE, 1);
        virtio_driver_ok(d);
        if (p->late) {
            virtio_queue_notify(&r.vq);
        }
        check_broken(&r, "", p->late); /* before DRIVER_OK nobody is interrupted (2.1.2) */
    }
    qtest_end(r.q);
}

/* ---- packed rings ------------------------------------------------------------------------------------------------------ */

static void put_packed(Ring *r, unsigned n, uint64_t addr, uint32_t len, uint16_t flags)
{
    uint8_t desc[16];

    store_le64(desc, addr);
    store_le32(desc + 8, len);
    store_le16(desc + 12, n);
    store_le16(desc + 14, flags | 0x80);
    qtest_memwrite(r->q, r->vq.desc + 16 * n, desc, 16);
}

static void test_packed(void)
{
    Ring r;

    start(&r, ",packed=on");
    expect_works(&r);
    virtio_driver_reset(&r.d);
    set_up(&r);
    for (unsigned i = 8; i-- > 0;) { /* it never ends */
        put_packed(&r, i, BUFFER, 16, WRITE | NEXT);
    }
    virtio_queue_notify(&r.vq);
    expect_broken(&r, "a loop of descriptors");
    virtio_driver_reset(&r.d);
    set_up(&r);
    put_packed(&r, 0, RAM_END, 16, WRITE);
    virtio_queue_notify(&r.vq);
    expect_broken(&r, "");
    virtio_driver_reset(&r.d);
    set_up(&r);
    put_packed(&r, 0, BUFFER, 0, WRITE);
    virtio_queue_notify(&r.vq);
    expect_broken(&r, "");
    virtio_driver_reset(&r.d);
    set_up(&r);
    put_packed(&r, 0, BUFFER, 24, INDIRECT);
    virtio_queue_notify(&r.vq);
    expect_broken(&r, "");
    qtest_end(r.q);
}

/*
 * Two chains of a packed ring that are in flight together and, by winding round it, have more descriptors than it has. The
 * statistics queue of a balloon keeps its chain until the next one comes.
 */
static void test_more_descriptors_than_the_ring_has(void)
{
    enum { STATS = 2, SIZE = 128, FIRST = 100 };
    Ring r;

    r.q = qtest_start("-machine %s -m 16 -device virtio-balloon-pci,packed=on,addr=4",
                      qtest_machine("pc"));
    qtest_set_moving(r.q, false);
    virtio_driver_init(&r.d, r.q, DEVFN, VIRTIO_DRIVER_MSIX, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&r.d, VIRTIO_DRIVER_ALL);
    virtio_queue_init(&r.vq, &r.d, STATS, SIZE);
    virtio_driver_ok(&r.d);
    for (unsigned i = SIZE; i-- > 0;) { /* both end behind the same descriptor */
        put_packed(&r, i, BUFFER, 16, i == FIRST - 1 ? 0 : NEXT);
    }
    virtio_queue_notify(&r.vq);
    while (!(virtio_driver_status(&r.d) & VIRTIO_ST_NEEDS_RESET)) {
        g_assert_cmphex(qtest_readl(r.q, r.vq.desc + 8), ==, 16); /* the first has not come back */
    }
    g_assert_nonnull(strstr(qtest_stderr(r.q), "more descriptors in flight than the ring has"));
    virtio_driver_reset(&r.d);
    qtest_end(r.q);
}

/* The ring goes away under a request, and the driver resets the card: status 0 is what it waits for. */
static void test_reset_without_a_ring(void)
{
    enum { PAM_D = 0x5c, SEGMENT = 0xd0000 };
    VirtioBuf bufs[3] = { { BUFFER, 16, false },
                          { BUFFER + 0x1000, 512, true },
                          { BUFFER + 0x2000, 1, true } };
    uint32_t pam;
    Ring r;

    r.q = qtest_start("-machine pc -m 16 "
                      "-blockdev driver=null-co,node-name=n0,size=1048576,latency-ns=300000000 "
                      "-device virtio-blk-pci,drive=n0,addr=4");
    qtest_set_moving(r.q, false);
    virtio_driver_init(&r.d, r.q, DEVFN, 0, 0xc000, 0xe0000000, SEGMENT);
    pam = virtio_config_space_read(&(VirtioDriver){ .q = r.q }, PAM_D);
    virtio_config_space_write(&(VirtioDriver){ .q = r.q }, PAM_D, pam | 0x33); /* RAM */
    set_up(&r);
    qtest_memset(r.q, BUFFER, 0, 16);
    virtio_queue_add(&r.vq, bufs, 3);
    virtio_queue_notify(&r.vq);
    virtio_config_space_write(&(VirtioDriver){ .q = r.q }, PAM_D, pam & ~0x33u); /* PCI's again */
    virtio_driver_reset(&r.d);
    g_assert_nonnull(strstr(qtest_stderr(r.q), "cannot be written"));
    qtest_end(r.q);
}

/* The most requests that were taken in one call of a handler. */
static unsigned longest_burst(const char *trace)
{
    g_auto(GStrv) lines = g_strsplit(trace, "\n", -1);
    unsigned burst = 0, longest = 0;

    for (unsigned i = 0; lines[i]; i++) {
        burst = g_str_has_prefix(lines[i], "virtio_queue_notify") ? 0 : burst;
        burst += g_str_has_prefix(lines[i], "virtqueue_pop");
        longest = MAX(longest, burst);
    }
    return longest;
}

/*
 * Requests that are answered at once: another processor of the guest could add them as fast as the device answers. A handler
 * that went on until there are none would keep the thread for ever, and with it the monitor.
 */
static void test_driver_that_never_stops(gconstpointer device)
{
    unsigned queue = strstr(device, "net") || strstr(device, "scsi") ? 2 : 0, count;
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    uint8_t request[64] = { 99 };
    Ring r;

    r.q = qtest_start("-machine %s -m 16 -object iothread,id=io0 -trace virtio_queue_notify "
                      "-trace virtqueue_pop -blockdev driver=null-co,node-name=n0,size=1048576 "
                      "-device %s,addr=4",
                      qtest_machine("pc"), (const char *)device);
    qtest_set_moving(r.q, false);
    virtio_driver_init(&r.d, r.q, DEVFN, 0, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&r.d, ~VIRTIO_FEATURE(VIRTIO_EVENT_IDX));
    virtio_queue_init(&r.vq, &r.d, queue, 0);
    virtio_driver_ok(&r.d);
    qtest_memwrite(r.q, BUFFER, request, sizeof(request)); /* nothing that any of them knows */
    put_desc(&r, 0, BUFFER, sizeof(request), NEXT, 1);
    put_desc(&r, 1, BUFFER + 0x1000, 128, WRITE, 0);
    count = r.vq.size - 8;
    qtest_writew(r.q, r.vq.avail + 2, count); /* the same chain again and again: the ring is zeros */
    virtio_queue_notify(&r.vq);
    while (qtest_readw(r.q, r.vq.used + 2) != count) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    g_assert_cmpuint(longest_burst(qtest_stderr(r.q)), >, 0);
    g_assert_cmpuint(longest_burst(qtest_stderr(r.q)), <=, r.vq.size / 2);
    virtio_driver_reset(&r.d);
    qtest_end(r.q);
}

/* ---- well-behaved --------------------------------------------------------------------------------------------------------- */

/* A ring of another size; going round it more than 65536 / size times is the index's business. */
static void test_small_ring(void)
{
    Ring r;
    unsigned rounds = g_getenv("QTEST_MOVE_EVERY") ? 3 : 40;

    start(&r, ",packed=on");
    virtio_driver_reset(&r.d);
    virtio_driver_negotiate(&r.d, ~VIRTIO_FEATURE(VIRTIO_PACKED));
    virtio_queue_init(&r.vq, &r.d, 0, 2);
    virtio_driver_ok(&r.d);
    for (unsigned i = 0; i < rounds; i++) {
        move(&r);
        expect_works(&r);
    }
    virtio_driver_reset(&r.d);
    virtio_driver_negotiate(&r.d, VIRTIO_DRIVER_ALL);
    virtio_queue_init(&r.vq, &r.d, 0, 3); /* packed rings need no power of two */
    virtio_driver_ok(&r.d);
    for (unsigned i = 0; i < rounds; i++) {
        move(&r);
        expect_works(&r);
    }
    qtest_end(r.q);
}

/* One queue alone is reset and set up elsewhere. */
static void test_queue_reset(void)
{
    Ring r;

    for (unsigned packed = 0; packed < 2; packed++) {
        start(&r, packed ? ",packed=on" : "");
        expect_works(&r);
        move(&r);
        virtio_queue_reset(&r.vq);
        move(&r);
        expect_works(&r);
        virtio_queue_reset(&r.vq);
        expect_works(&r);
        qtest_end(r.q);
    }
}

/* Address 0 is memory like any other: each part of a ring may begin there, and does where the machine has moved to. */
static void test_at_address_zero(void)
{
    for (unsigned n = 0; n < 6; n++) {
        const unsigned offset[] = { VIRTIO_COMMON_Q_DESC, VIRTIO_COMMON_Q_AVAIL,
                                    VIRTIO_COMMON_Q_USED };
        unsigned part = n / 2, packed = n % 2;
        Ring r;
        uint64_t *places[] = { &r.vq.desc, &r.vq.avail, &r.vq.used };

        start(&r, packed ? ",packed=on" : "");
        virtio_queue_reset(&r.vq); /* has new indices; once more, to be enabled elsewhere */
        qtest_writew(r.q, r.d.common + VIRTIO_COMMON_Q_RESET, 1);
        for (unsigned i = 0; i < 3; i++) {
            uint64_t at = i == part ? 0 : *places[i];

            *places[i] = at;
            qtest_writel(r.q, r.d.common + offset[i], at);
            qtest_writel(r.q, r.d.common + offset[i] + 4, 0);
        }
        qtest_writew(r.q, r.d.common + VIRTIO_COMMON_Q_VECTOR, 1);
        qtest_writew(r.q, r.d.common + VIRTIO_COMMON_Q_ENABLE, 1);
        expect_works(&r);
        qtest_move(r.q);
        g_assert_cmpuint(qtest_readw(r.q, r.d.common + VIRTIO_COMMON_Q_ENABLE), ==, 1);
        expect_works(&r);
        move(&r);
        virtio_queue_reset(&r.vq);
        expect_works(&r);
        qtest_end(r.q);
    }
}

/* A legacy driver's 0 is no place: it lets go of the queue, and the queue has none where the machine moves to. */
static void test_legacy_address_zero(void)
{
    Ring r;

    r.q = qtest_start("-machine %s -m 16 -device virtio-rng-pci,addr=4", qtest_machine("pc"));
    qtest_set_moving(r.q, g_getenv("TERN_TEST_LONG"));
    virtio_driver_init(&r.d, r.q, DEVFN, VIRTIO_DRIVER_LEGACY, 0xc000, 0xe0000000, HEAP);
    set_up(&r);
    expect_works(&r);
    qtest_outl(r.q, r.d.io + 8, 0);
    qtest_move(r.q);
    g_assert_cmphex(qtest_inl(r.q, r.d.io + 8), ==, 0);
    virtio_driver_set_status(&r.d, VIRTIO_ST_ACK | VIRTIO_ST_DRIVER | VIRTIO_ST_OK);
    virtio_queue_notify(&r.vq);
    g_assert_cmphex(qtest_inl(r.q, r.d.io + 8), ==, 0);
    virtio_driver_reset(&r.d);
    set_up(&r);
    expect_works(&r);
    qtest_end(r.q);
}

/* EVENT_IDX: the device interrupts when the driver's index is passed, and not before. */
static void test_event_index(void)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        unsigned ids[4];
        Ring r;

        start(&r, packed ? ",packed=on" : "");
        virtio_queue_want_interrupt(&r.vq, 4);
        expect_works(&r);
        virtio_interrupted(&r.d, 1); /* the first one after a reset comes in any case */
        virtio_queue_want_interrupt(&r.vq, 4);
        for (unsigned i = 0; i < 3; i++) {
            expect_works(&r);
        }
        if (!qtest_moves(
                r.q)) { /* a device that has moved does not know and tells once too often */
            g_assert_false(virtio_interrupted(&r.d, 1));
        }
        for (unsigned i = 0; i < 1; i++) {
            VirtioBuf buf = { BUFFER, 16, true };

            ids[i] = virtio_queue_add(&r.vq, &buf, 1);
            virtio_queue_notify(&r.vq);
            virtio_queue_wait(&r.vq, ids[i]);
        }
        virtio_wait_interrupt(&r.d, 1);
        qtest_end(r.q);
    }
}

int main(int argc, char **argv)
{
    static const char *const answer_at_once[] = {
        "virtio-blk-pci,drive=n0", "virtio-blk-pci,drive=n0,iothread=io0",
        "virtio-net-pci,romfile=", "virtio-balloon-pci",
        "virtio-scsi-pci",         "virtio-scsi-pci,iothread=io0",
    };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-ring/head", test_head);
    g_test_add_func("/virtio-ring/index-jump", test_index_jump);
    g_test_add_func("/virtio-ring/next", test_next);
    g_test_add_func("/virtio-ring/loop", test_loop);
    g_test_add_func("/virtio-ring/order-and-size", test_order_and_size);
    g_test_add_func("/virtio-ring/addresses", test_addresses);
    g_test_add_func("/virtio-ring/indirect", test_indirect);
    g_test_add_func("/virtio-ring/places", test_places);
    g_test_add_func("/virtio-ring/packed", test_packed);
    g_test_add_func("/virtio-ring/more-descriptors-than-the-ring-has",
                    test_more_descriptors_than_the_ring_has);
    g_test_add_func("/virtio-ring/reset-without-a-ring", test_reset_without_a_ring);
    for (unsigned i = 0; i < G_N_ELEMENTS(answer_at_once); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-ring/never-stops/%s", answer_at_once[i]);

        g_test_add_data_func(path, answer_at_once[i], test_driver_that_never_stops);
    }
    g_test_add_func("/virtio-ring/small-ring", test_small_ring);
    g_test_add_func("/virtio-ring/queue-reset", test_queue_reset);
    g_test_add_func("/virtio-ring/at-address-zero", test_at_address_zero);
    g_test_add_func("/virtio-ring/legacy-address-zero", test_legacy_address_zero);
    g_test_add_func("/virtio-ring/event-index", test_event_index);
    return g_test_run();
}
