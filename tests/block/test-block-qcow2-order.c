/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qcow2 driver and P4: allocations that fail, that are held, that race. */
#include "util/osdep.h"
#include "qcow2-common.h"

/* Events before which a write that allocates may fail, once. */
static const char *const fail_events[] = {
    "write_aio",     "l2_load",        "l2_alloc_write",       "cluster_alloc",
    "refblock_load", "refblock_alloc", "refblock_alloc_write", "cow_read"
};

static void test_failed_allocation(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(fail_events); i++) {
        g_autofree char *path = test_path("failed.qcow2");
        create(path, "size=1M,cluster_size=64k");
        g_autofree char *debug =
            g_strdup_printf("driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s,"
                            "inject-error.0.event=%s,inject-error.0.once=on",
                            path, fail_events[i]);
        add_node(debug);
        add_node("driver=qcow2,node-name=fmt,file=debug");
        BlockFront *front = add_front("fmt");
        int first = fill(front, 0, 4096, 0x11);
        g_assert_cmpint(fill(front, 4096, 4096, 0x22), ==, 0); /* the report: this one was lost */
        g_assert_cmpint(fill(front, 65536, 4096, 0x33), ==, 0);
        del_debugged(front);
        front = open_image(path);
        assert_reads(front, 4096, 4096, 0x22);
        assert_reads(front, 65536, 4096, 0x33);
        if (first == 0) {
            assert_reads(front, 0, 4096, 0x11);
        }
        front_unref(front);
        BlockCheckResult r = check(path, 0);
        g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
        g_unlink(path);
    }
}

/* Writing back fails once at each of its steps: the flush says so, the next one makes it good. */
static void test_failed_write_back(void)
{
    static const char *const events[] = { "refblock_update_part", "l2_update", "l1_update" };
    for (unsigned i = 0; i < G_N_ELEMENTS(events); i++) {
        g_autofree char *path = test_path("back.qcow2");
        create(path, "size=1M,cluster_size=64k");
        g_autofree char *debug =
            g_strdup_printf("driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s,"
                            "inject-error.0.event=%s,inject-error.0.once=on",
                            path, events[i]);
        add_node(debug);
        add_node("driver=qcow2,node-name=fmt,file=debug");
        BlockFront *front = add_front("fmt");
        g_assert_cmpint(fill(front, 0, 4096, 0x11), ==, 0);
        g_assert_cmpint(front_flush(front), ==, -EIO);
        assert_reads(front, 0, 4096, 0x11);
        g_assert_cmpint(front_flush(front), ==, 0);
        del_debugged(front);
        front = open_image(path);
        assert_reads(front, 0, 4096, 0x11);
        front_unref(front);
        g_assert_cmpint(check(path, 0).corruptions, ==, 0);
        g_unlink(path);
    }
}

typedef struct Pending {
    IoVec vec;
    struct iovec iov;
    bool done;
    int ret;
} Pending;

static void pending_done(void *opaque, int ret)
{
    Pending *p = opaque;
    p->done = true;
    p->ret = ret;
}

static Pending *submit(BlockFront *front, uint64_t offset, size_t bytes, uint8_t value,
                       unsigned flags)
{
    Pending *p = g_new0(Pending, 1);
    p->iov = (struct iovec){ g_malloc(bytes), bytes };
    memset(p->iov.iov_base, value, bytes);
    p->vec = (IoVec){ &p->iov, 1, 1, bytes };
    front_aio_write(front, offset, &p->vec, flags, pending_done, p);
    return p;
}

static int finish(Pending *p)
{
    MAIN_LOOP_WHILE(!p->done);
    int ret = p->ret;
    g_free(p->iov.iov_base);
    g_free(p);
    return ret;
}

/* The second writer of a new cluster may not be acknowledged before the first one's mapping can be; and what was
 * acknowledged with FUA is in the file while the first one is still held. */
static void test_second_writer(void)
{
    g_autofree char *path = test_path("second.qcow2");
    g_autofree char *copy = test_path("copy.qcow2");
    create(path, "size=1M,cluster_size=64k");
    BlockNode *node = add_debugged(path);
    BlockFront *front = add_front("fmt");
    g_assert_cmpint(block_debug_break(node, BLKDEBUG_EVENT_WRITE_AIO, "A"), ==, 0);
    Pending *first = submit(front, 0, 4096, 0x11, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(node, "A"));
    Pending *second = submit(front, 8192, 4096, 0x22, BLOCK_FUA);
    for (unsigned i = 0; i < 200 && !second->done; i++) {
        main_loop_iterate(false);
    }
    g_assert_false(second->done);
    /* Another cluster does not wait. */
    Pending *other = submit(front, 65536, 4096, 0x33, BLOCK_FUA);
    g_assert_cmpint(finish(other), ==, 0);
    block_debug_resume(node, "A");
    g_assert_cmpint(finish(second), ==, 0);
    Raw raw = raw_load(path); /* power goes now */
    raw_store(copy, &raw);
    g_assert_cmpint(finish(first), ==, 0);
    del_debugged(front);
    front = open_image(copy);
    assert_reads(front, 8192, 4096, 0x22);
    assert_reads(front, 65536, 4096, 0x33);
    front_unref(front);
    g_unlink(copy);
    g_unlink(path);
}

/* A compressed write that was acknowledged with FUA is in the file, also through a filter; and if it does not get
 * there it is not acknowledged. */
static void test_compressed_fua(void)
{
    g_autofree char *path = test_path("fua.qcow2");
    g_autofree char *copy = test_path("copy.qcow2");
    create(path, "size=1M,cluster_size=64k");
    add_debugged(path);
    add_node("driver=copy-on-read,node-name=cor,file=fmt");
    BlockFront *front = add_front("cor");
    g_autofree uint8_t *buf = g_malloc(131072);
    memset(buf, 0x5a, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        buf[65536 + i] = g_random_int_range(0, 256); /* stored as it is */
    }
    g_assert_cmpint(front_write(front, 65536, 131072, buf, BLOCK_COMPRESSED | BLOCK_FUA), ==, 0);
    Raw raw = raw_load(path); /* power goes now */
    raw_store(copy, &raw);
    drop_front(front);
    del_node("cor");
    del_node("fmt");
    del_node("debug");
    front = open_image(copy);
    g_autofree uint8_t *got = g_malloc(131072);
    g_assert_cmpint(front_read(front, 65536, 131072, got), ==, 0);
    g_assert_cmpmem(got, 131072, buf, 131072);
    front_unref(front);

    g_autofree char *debug =
        g_strdup_printf("driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s,"
                        "inject-error.0.event=l2_update,inject-error.0.once=on",
                        path);
    add_node(debug);
    add_node("driver=qcow2,node-name=fmt,file=debug");
    front = add_front("fmt");
    g_assert_cmpint(front_write(front, 262144, 65536, buf, BLOCK_COMPRESSED | BLOCK_FUA), ==, -EIO);
    g_assert_cmpint(front_write(front, 262144, 65536, buf, BLOCK_COMPRESSED | BLOCK_FUA), ==, 0);
    del_debugged(front);
    g_assert_cmpint(check(path, 0).corruptions, ==, 0);
    g_unlink(copy);
    g_unlink(path);
}

/* A cluster that was discarded while a write to it is in flight is not given to somebody else. */
static void test_discard_under_write(void)
{
    g_autofree char *path = test_path("reuse.qcow2");
    create(path, "size=1M,cluster_size=64k");
    g_autofree char *debug = g_strdup_printf(
        "driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", path);
    add_node(debug);
    BlockNode *node = add_node("driver=qcow2,node-name=fmt,file=debug,discard=unmap");
    BlockFront *front = add_front("fmt");
    g_assert_cmpint(fill(front, 0, 65536, 0x11), ==, 0);
    g_assert_cmpint(block_debug_break(node, BLKDEBUG_EVENT_WRITE_AIO, "A"), ==, 0);
    Pending *late = submit(front, 0, 4096, 0x44, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(node, "A"));
    g_assert_cmpint(front_discard(front, 0, 65536), ==, 0);
    g_assert_cmpint(front_flush(front), ==, 0);
    for (unsigned i = 1; i < 8; i++) {
        g_assert_cmpint(fill(front, i * 65536, 65536, 0x20 + i), ==, 0);
    }
    block_debug_resume(node, "A");
    g_assert_cmpint(finish(late), ==, 0);
    for (unsigned i = 1; i < 8; i++) {
        assert_reads(front, i * 65536, 65536, 0x20 + i);
    }
    del_debugged(front);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
}

/* The disk shrinks while a write whose cluster lies behind the end of the file is held: that cluster has been used, and who
 * gets it later finds zeros around what he writes. */
static void test_shrink_under_a_write(void)
{
    enum { C = 4096 };
    g_autofree char *path = test_path("shrink.qcow2");
    create(path, "size=1M,cluster_size=4k");
    g_autofree char *debug = g_strdup_printf(
        "driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", path);
    add_node(debug);
    BlockNode *node = add_node(
        "driver=qcow2,node-name=fmt,file=debug,discard=unmap,pass-discard-request=off");
    GError *error = NULL;
    BlockFront *front = front_open_node(block_node_ref(node), &error);
    g_assert_no_error(error);
    g_assert_cmpint(fill(front, 0, 4 * C, 0x11), ==, 0);
    g_assert_cmpint(fill(front, 100 * C, 5 * C, 0x22), ==, 0); /* will be cut off */
    g_assert_cmpint(front_flush(front), ==, 0);
    g_assert_cmpint(block_debug_break(node, BLKDEBUG_EVENT_WRITE_AIO, "A"), ==, 0);
    Pending *late = submit(front, 4 * C, C, 0x44, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(node, "A"));
    front_truncate(front, 32 * C, false, PREALLOC_MODE_OFF, &error);
    g_assert_no_error(error);
    block_debug_resume(node, "A");
    g_assert_cmpint(finish(late), ==, 0);
    assert_reads(front, 4 * C, C, 0x44);
    g_assert_cmpint(front_discard(front, 4 * C, C), ==, 0);
    g_assert_cmpint(front_flush(front), ==, 0);
    for (unsigned i = 5; i < 16; i++) {
        g_assert_cmpint(fill(front, i * C, 512, i), ==, 0);
    }
    for (unsigned i = 5; i < 16; i++) {
        assert_reads(front, i * C, 512, i);
        assert_reads(front, i * C + 512, C - 512, 0);
    }
    front_unref(front);
    del_node("fmt");
    del_node("debug");
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
}

/* A block of counts is held on its way to the disk, and one behind it changes and is written to make
 * room: what was meant to be written before must not be written later. */
static void test_counts_in_order(void)
{
    enum { STEP = 4096, FIRST = 40960, PIECES = 48 };
    g_autofree char *path = test_path("counts.qcow2");
    create(path, "size=8M,cluster_size=512,refcount_bits=64");
    g_autofree char *debug = g_strdup_printf(
        "driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", path);
    add_node(debug);
    BlockNode *node = add_node("driver=qcow2,node-name=fmt,file=debug,refcount-cache-size=2048");
    BlockFront *front = add_front("fmt");
    Pending *pieces[PIECES];
    g_assert_cmpint(fill(front, 0, FIRST - STEP, 0x11), ==, 0);
    g_assert_cmpint(block_debug_break(node, BLKDEBUG_EVENT_REFBLOCK_UPDATE_PART, "A"), ==, 0);
    Pending *flushed = submit(front, FIRST - STEP, STEP, 0x11, BLOCK_FUA);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(node, "A"));
    for (unsigned i = 0; i < PIECES; i++) {
        pieces[i] = submit(front, FIRST + i * STEP, STEP, 0x22, 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        g_usleep(1000);
        while (g_main_context_pending(NULL)) {
            main_loop_iterate(false);
        }
    }
    block_debug_resume(node, "A");
    g_assert_cmpint(finish(flushed), ==, 0);
    for (unsigned i = 0; i < PIECES; i++) {
        g_assert_cmpint(finish(pieces[i]), ==, 0);
    }
    del_debugged(front);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions, ==, 0);
    g_assert_cmpint(r.leaks, ==, 0);
    g_unlink(path);
}

/* ---- a disk shrinks while somebody takes a cluster ---- */

enum { SMALL = 512, PER_BLOCK = SMALL / 8 }; /* refcount_bits=64 */

static uint64_t count_of(const Raw *r, uint64_t cluster)
{
    uint64_t block = load_be64(r->data + load_be64(r->data + 48) + cluster / PER_BLOCK * 8);
    return block ? load_be64(r->data + block + cluster % PER_BLOCK * 8) : 0;
}

/* An image of which everything in use ends one cluster before the end of what a block of counts is about; all
 * metadata lie before that, and the file goes on for some more of these blocks. Returns the clusters of the disk that are written. */
static unsigned create_scanned(const char *path)
{
    create(path, "size=1280M,cluster_size=512,refcount_bits=64");
    BlockFront *front = open_image(path);
    BlockSnapshot snapshot = { .name = "large", .icount = -1 };
    GError *error = NULL;
    g_assert_cmpint(fill(front, 0, SMALL, 1), ==, 0);
    block_snapshot_create(front_node(front), &snapshot, &error); /* a copy of L1: 640 clusters */
    g_assert_no_error(error);
    block_snapshot_delete(front_node(front), NULL, "large", &error);
    g_assert_no_error(error);
    for (unsigned i = 1;; i++) {
        g_assert_cmpuint(i, <, 2000);
        g_assert_cmpint(fill(front, i * SMALL, SMALL, i + 1), ==, 0);
        g_assert_cmpint(front_flush(front), ==, 0);
        Raw raw = raw_load(path);
        uint64_t end = raw.len / SMALL, first = 0;
        while (end > 0 && !count_of(&raw, end - 1)) {
            end--;
        }
        while (count_of(&raw, first)) {
            first++;
        }
        bool found = first == end && end % PER_BLOCK == PER_BLOCK - 1 && raw.len / SMALL > end + 5 * PER_BLOCK;
        g_free(raw.data);
        if (found) {
            front_unref(front);
            return i + 1;
        }
    }
}

typedef struct Scan {
    BlockNode *node;
    BlockFront *front;
    unsigned at, stops, ticks;
    uint64_t offset;
    Pending *write;
} Scan;

/* The main loop runs this while the disk shrinks: at the chosen load of a block of counts somebody writes. He may be
 * done before we go on, or have to wait for it. */
static gboolean scan_tick(gpointer opaque)
{
    Scan *s = opaque;
    if (!block_debug_is_suspended(s->node, "A")) {
        return G_SOURCE_CONTINUE;
    }
    if (s->ticks++ == 0 && s->stops++ == s->at) {
        s->write = submit(s->front, s->offset, SMALL, 0xee, 0);
    }
    if (s->write && !s->write->done && s->ticks < 100) {
        g_usleep(100);
        return G_SOURCE_CONTINUE;
    }
    s->ticks = 0;
    if (!s->write) { /* the next one may come before this call returns */
        block_debug_break(s->node, BLKDEBUG_EVENT_REFBLOCK_LOAD, "A");
    }
    block_debug_resume(s->node, "A");
    return G_SOURCE_CONTINUE;
}

/* false: there is no such load. */
static bool shrink_with_write(const char *path, unsigned at, unsigned written)
{
    GError *error = NULL;
    g_autofree char *debug = g_strdup_printf(
        "driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", path);
    add_node(debug);
    BlockNode *node = add_node("driver=qcow2,node-name=fmt,file=debug,refcount-cache-size=2048");
    BlockFront *front = front_open_node(block_node_ref(node), &error);
    g_assert_no_error(error);
    /* Now the end is there, and it is known where the next free cluster is. */
    g_assert_cmpint(fill(front, written * SMALL, SMALL, written + 1), ==, 0);
    g_assert_cmpint(front_flush(front), ==, 0);
    written++;
    Scan scan = { .node = node, .front = front, .at = at, .offset = (uint64_t)written * SMALL };
    block_debug_break(node, BLKDEBUG_EVENT_REFBLOCK_LOAD, "A");
    guint source = g_idle_add(scan_tick, &scan);
    front_truncate(front, 640u << 20, false, PREALLOC_MODE_OFF, &error);
    g_assert_no_error(error);
    g_source_remove(source);
    bool met = scan.write;
    if (met) {
        g_assert_cmpint(finish(scan.write), ==, 0);
        assert_reads(front, scan.offset, SMALL, 0xee);
    }
    front_unref(front);
    del_node("fmt");
    del_node("debug");
    front = open_image(path);
    for (unsigned i = 0; i < written; i++) {
        assert_reads(front, i * SMALL, SMALL, i + 1);
    }
    assert_reads(front, scan.offset, SMALL, met ? 0xee : 0);
    front_unref(front);
    g_assert_cmpint(check(path, 0).corruptions, ==, 0);
    return met;
}

/* The end of what is in use is looked for in blocks of counts that have to be read: a cluster that is taken behind the
 * place where the search is stays in the file. */
static void test_write_under_a_shrink(void)
{
    g_autofree char *path = test_path("scan.qcow2");
    g_autofree char *copy = test_path("copy.qcow2");
    unsigned written = create_scanned(path), at = 0;
    do {
        Raw raw = raw_load(path);
        raw_store(copy, &raw);
    } while (shrink_with_write(copy, at++, written));
    g_assert_cmpuint(at, >, 5);
    g_unlink(copy);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    g_test_add_func("/block/qcow2/failed-allocation-then-good-write", test_failed_allocation);
    g_test_add_func("/block/qcow2/failed-write-back", test_failed_write_back);
    g_test_add_func("/block/qcow2/second-writer-of-a-new-cluster", test_second_writer);
    g_test_add_func("/block/qcow2/compressed-write-with-fua-survives-a-power-loss",
                    test_compressed_fua);
    g_test_add_func("/block/qcow2/discard-under-a-write", test_discard_under_write);
    g_test_add_func("/block/qcow2/zeros-around-a-write-after-a-shrink-under-a-write",
                    test_shrink_under_a_write);
    g_test_add_func("/block/qcow2/write-under-a-shrink-is-not-cut-off", test_write_under_a_shrink);
    g_test_add_func("/block/qcow2/counts-are-written-in-order", test_counts_in_order);
    return qcow2_test_end();
}
