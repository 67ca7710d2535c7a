/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VDI driver and P4: by name what has been lost by others (docs/devel/vdi.md), first writes that fail, are held, race. */
#include "util/osdep.h"
#include "vdi-common.h"

/* An image of 10 MiB with blkdebug below, whose rules are options. */
typedef struct Faulty {
    char *path;
    BlockFront *front;
    BlockNode *node;
} Faulty;

static Faulty faulty_open(const char *rules)
{
    Faulty f = { .path = test_path("faulty.vdi") };
    create(f.path, "size=10485760");
    g_autofree char *opt = g_strdup_printf("driver=vdi,node-name=v,file.driver=blkdebug,file.image."
                                           "driver=file,file.image.filename=%s%s",
                                           f.path, rules);
    f.node = add_node(opt);
    f.front = add_front("v");
    return f;
}

static void faulty_reopen(Faulty *f)
{
    drop_front(f->front);
    del_node("v");
    f->front = open_vdi(f->path);
}

static void faulty_close(Faulty *f)
{
    front_unref(f->front);
    g_free(f->path);
}

/*
 * The first example of the report of 2011. O1: a write to sector X. O2: a new entry. O3: data are
 * written. O4: that fails. O5: the error is reported. P1: a write to sector X + 1. P2, P3: data are
 * written. P4: success is reported. Then the image is closed and opened.
 */
static void test_write_after_a_failed_first_write_is_not_lost(void)
{
    static const char *const events[] = { "write_aio", "l2_update", "l1_update", "cluster_alloc" };
    static const char *const errors[] = { "5", "28" };
    for (unsigned e = 0; e < G_N_ELEMENTS(events); e++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(errors); k++) {
            g_autofree char *rules =
                g_strdup_printf(",file.inject-error.0.event=%s,file.inject-error.0.errno=%s,"
                                "file.inject-error.0.once=on,file.inject-error.0.iotype=write",
                                events[e], errors[k]);
            Faulty f = faulty_open(rules);
            g_assert_cmpint(write_bytes(f.front, 0, 65536, 1, 0), ==, -atoi(errors[k]));
            g_assert_cmpint(write_bytes(f.front, 65536, 65536, 2, 0), ==, 0);
            assert_bytes(f.front, 65536, 65536, 2);
            faulty_reopen(&f);
            assert_bytes(f.front, 65536, 65536, 2);
            assert_bytes(f.front, 131072, 65536, 0);
            BlockCheckResult r = { 0 };
            g_assert_cmpint(block_node_check(front_node(f.front), &r, 0), ==, 0);
            g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
            faulty_close(&f);
        }
    }
}

/* The second bug of the report: an error that is forgotten on its way. */
static void test_no_error_becomes_success(void)
{
    static const char *const events[] = { "write_aio", "l2_update", "l1_update" };
    for (unsigned e = 0; e < G_N_ELEMENTS(events); e++) {
        g_autofree char *rules = g_strdup_printf(
            ",file.inject-error.0.event=%s,file.inject-error.0.iotype=write", events[e]);
        Faulty f = faulty_open(rules);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmpint(write_bytes(f.front, i * MIB, 4096, 1, i ? BLOCK_FUA : 0), ==, -EIO);
        }
        faulty_reopen(&f);
        assert_bytes(f.front, 4096, 2 * MIB - 4096, 0);
        faulty_close(&f);
    }
    Faulty f = faulty_open(",file.inject-error.0.event=read_aio");
    uint8_t buf[512];
    g_assert_cmpint(write_bytes(f.front, 0, 512, 1, 0), ==, 0);
    g_assert_cmpint(front_read(f.front, 0, 512, buf), ==, -EIO);
    faulty_reopen(&f);
    faulty_close(&f);
    f = faulty_open(",file.inject-error.0.event=flush_to_disk,file.inject-error.0.iotype=flush");
    g_assert_cmpint(write_bytes(f.front, 0, 512, 1, 0), ==, 0);
    g_assert_cmpint(front_flush(f.front), ==, -EIO);
    faulty_reopen(&f);
    faulty_close(&f);
}

/* The header with the smaller size is in the file, then the flush fails: the disk is as large as before, and what is written
 * there is still there later. */
static void test_write_behind_the_end_of_a_failed_shrink(void)
{
    g_autofree char *path = test_path("shrink.vdi");
    create(path, "size=10485760");
    BlockFront *front = open_vdi(path);
    g_assert_cmpint(write_bytes(front, 5 * MIB, 4096, 1, 0), ==, 0);
    front_unref(front);
    g_autofree char *options = g_strdup_printf(
        "driver=vdi,node-name=v,file.driver=blkdebug,file.image.driver=file,file.image.filename=%s,"
        "file.inject-error.0.event=l1_update,file.inject-error.0.iotype=flush,file.inject-error.0.once=on",
        path);
    BlockNode *node = add_node(options);
    node->file->node->write_flags = 0; /* FUA is a flush of its own */
    g_autoptr(GError) error = NULL;
    front = front_open_node(block_node_ref(node), &error);
    g_assert_no_error(error);
    g_assert_false(front_truncate(front, MIB, true, PREALLOC_MODE_OFF, &error));
    g_assert_cmpstr(error->message, ==, "Could not shrink the image: Input/output error");
    g_assert_cmpint(write_bytes(front, 5 * MIB, 4096, 2, 0), ==, 0);
    front_unref(front);
    del_node("v");
    front = open_vdi(path);
    g_assert_cmpint(front_length(front), ==, 10 * MIB);
    assert_bytes(front, 5 * MIB, 4096, 2);
    front_unref(front);
}

typedef struct Wait {
    int calls, ret;
    struct iovec iov;
    IoVec vec;
    BlockAio *aio;
} Wait;

static void on_done(void *opaque, int ret)
{
    Wait *w = opaque;
    w->calls++;
    w->ret = ret;
}

static void start_write(BlockFront *front, Wait *w, uint64_t offset, uint64_t bytes, uint8_t value,
                        unsigned flags)
{
    uint8_t *buf = g_malloc(bytes);
    memset(buf, value, bytes);
    *w = (Wait){ .iov = { buf, bytes } };
    w->vec = (IoVec){ &w->iov, 1, 1, bytes };
    w->aio = front_aio_write(front, offset, &w->vec, flags, on_done, w);
}

static void wait_for(Wait *w)
{
    MAIN_LOOP_WHILE(w->calls == 0);
    g_free(w->iov.iov_base);
}

static void let_run(void)
{
    for (unsigned i = 0; i < 20; i++) {
        g_usleep(1000);
        while (g_main_context_pending(NULL)) {
            main_loop_iterate(false);
        }
    }
}

/*
 * The second example, Q1 to Q11: a write to a new block is held before its entry is written; a
 * second write to the same block, even with FUA or with a flush behind it, must not be acknowledged
 * before, because a crash of the host would take it away.
 */
static void test_write_beside_a_first_write_waits_for_its_entry(void)
{
    for (unsigned flags = 0; flags <= BLOCK_FUA; flags += BLOCK_FUA) {
        Faulty f = faulty_open("");
        Wait first, second;
        g_assert_cmpint(block_debug_break(f.node, BLKDEBUG_EVENT_L2_UPDATE, "A"), ==, 0);
        start_write(f.front, &first, 0, 4096, 1, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "A"));
        start_write(f.front, &second, 8192, 4096, 2, flags);
        let_run();
        g_assert_cmpint(second.calls, ==, 0);
        assert_bytes(f.front, 0, 16384, 0);
        g_assert_cmpint(block_debug_resume(f.node, "A"), ==, 0);
        wait_for(&first);
        wait_for(&second);
        g_assert_cmpint(first.ret, ==, 0);
        g_assert_cmpint(second.ret, ==, 0);
        g_assert_cmpint(front_flush(f.front), ==, 0);
        /* The host crashes now: a copy of the file is what is left. */
        g_autofree char *copy = test_path("crashed.vdi");
        g_autofree char *data = NULL;
        gsize size;
        g_assert_true(g_file_get_contents(f.path, &data, &size, NULL));
        g_assert_true(g_file_set_contents(copy, data, size, NULL));
        BlockFront *front = open_vdi(copy);
        assert_bytes(front, 0, 4096, 1);
        assert_bytes(front, 8192, 4096, 2);
        front_unref(front);
        faulty_reopen(&f);
        faulty_close(&f);
    }
}

/* Two first writes to different blocks at the same time, in both orders of their writes of the map:
 * blocks_allocated is right, and the next block is one of its own. */
static void test_two_first_writes_do_not_share_a_block_later(void)
{
    for (unsigned order = 0; order < 2; order++) {
        Faulty f = faulty_open("");
        Wait a, b;
        block_debug_break(f.node, BLKDEBUG_EVENT_WRITE_AIO, "A");
        start_write(f.front, &a, 0, 4096, 1, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "A"));
        block_debug_break(f.node, BLKDEBUG_EVENT_WRITE_AIO, "B");
        start_write(f.front, &b, MIB, 4096, 2, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "B"));
        block_debug_resume(f.node, order ? "B" : "A");
        wait_for(order ? &b : &a);
        block_debug_resume(f.node, order ? "A" : "B");
        wait_for(order ? &a : &b);
        faulty_reopen(&f);
        g_assert_cmpint(get32(f.path, 0x184), ==, 2);
        g_assert_cmpint(write_bytes(f.front, 2 * MIB, 4096, 3, 0), ==, 0);
        assert_bytes(f.front, 0, 4096, 1);
        assert_bytes(f.front, MIB, 4096, 2);
        assert_bytes(f.front, 2 * MIB, 4096, 3);
        faulty_close(&f);
    }
}

/* Power is lost when the entry has reached the disk and the header has not (here: with the header as
 * it was before the session): the next block must be a new one, for us, and for those who only look
 * at the header. */
static void test_block_is_not_reused_after_power_loss(void)
{
    Faulty f = faulty_open("");
    g_assert_cmpint(write_bytes(f.front, 0, 4096, 1, 0), ==, 0);
    g_assert_cmpint(get32(f.path, 0x184), >, 1); /* V3 */
    g_autofree char *copy = test_path("powerless.vdi");
    g_autofree char *data = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(f.path, &data, &size, NULL));
    store_le32(data + 0x184, 0);
    g_assert_true(g_file_set_contents(copy, data, size, NULL));
    BlockFront *front = open_vdi(copy);
    g_assert_cmpint(write_bytes(front, MIB, 4096, 2, 0), ==, 0);
    assert_bytes(front, 0, 4096, 1);
    assert_bytes(front, MIB, 4096, 2);
    front_unref(front);
    front = open_vdi(copy);
    assert_bytes(front, 0, 4096, 1);
    assert_bytes(front, MIB, 4096, 2);
    front_unref(front);
    faulty_reopen(&f);
    faulty_close(&f);
}

/* The file below takes whole pages only; the read that a write of less needs fails: so must the
 * write, and neighbours and header stay what they are. */
static void test_failed_read_before_write_changes_nothing(void)
{
    Faulty f = faulty_open(",file.align=4096,file.inject-error.0.event=pwritev_rmw_head,"
                           "file.inject-error.0.iotype=read");
    g_assert_cmpint(write_bytes(f.front, 0, 65536, 1, 0), ==, 0);
    g_assert_cmpint(write_bytes(f.front, 512, 512, 2, 0), ==, -EIO);
    faulty_reopen(&f);
    assert_bytes(f.front, 0, 65536, 1);
    faulty_close(&f);
}

/* The third bug of the report: cancelled requests. One that waits behind another one's allocation has
 * begun, and ends once, with its own result; one that has not begun leaves no trace. */
static void test_cancel_ends_a_request_once(void)
{
    Faulty f = faulty_open("");
    Wait a, b, c;
    block_debug_break(f.node, BLKDEBUG_EVENT_L2_UPDATE, "A");
    start_write(f.front, &a, 0, 4096, 1, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "A"));
    start_write(f.front, &b, 4096, 4096, 2, 0);
    let_run();
    front_aio_cancel(b.aio);
    front_aio_cancel(a.aio);
    let_run();
    g_assert_cmpint(a.calls + b.calls, ==, 0);
    block_debug_resume(f.node, "A");
    wait_for(&a);
    wait_for(&b);
    g_assert_cmpint(a.ret, ==, 0);
    g_assert_cmpint(b.ret, ==, 0);
    block_quiesce(NULL);
    start_write(f.front, &c, 0, 4096, 3, 0);
    front_aio_cancel(c.aio);
    wait_for(&c);
    g_assert_cmpint(c.ret, ==, -ECANCELED);
    block_resume();
    let_run();
    g_assert_cmpint(a.calls + b.calls + c.calls, ==, 3);
    faulty_reopen(&f);
    assert_bytes(f.front, 0, 4096, 1);
    assert_bytes(f.front, 4096, 4096, 2);
    faulty_close(&f);
}

/* Four first writes and one to a block that is mapped. The unit of the map fails three times (the
 * write of block 3; of block 4; of blocks 1 and 2 together), then the mapped block's write gets the
 * lock before block 2 has heard of its failure, and writes the unit anew. The places of the failed ones
 * are used again only when that is on stable storage. */
static void test_place_of_a_failed_write_waits_for_a_flush(void)
{
    Faulty f = faulty_open(",file.inject-error.0.event=l2_update,file.inject-error.0.state=2"
                           ",file.inject-error.0.sector=8,file.inject-error.0.once=on"
                           ",file.inject-error.1.event=l2_update,file.inject-error.1.state=3"
                           ",file.inject-error.1.sector=8,file.inject-error.1.once=on"
                           ",file.inject-error.2.event=l2_update,file.inject-error.2.state=4"
                           ",file.inject-error.2.sector=8,file.inject-error.2.once=on"
                           ",file.set-state.0.event=l2_update,file.set-state.0.state=1"
                           ",file.set-state.0.new_state=2"
                           ",file.set-state.1.event=l2_update,file.set-state.1.state=2"
                           ",file.set-state.1.new_state=3"
                           ",file.set-state.2.event=l2_update,file.set-state.2.state=3"
                           ",file.set-state.2.new_state=4"
                           ",file.set-state.3.event=l2_update,file.set-state.3.state=4"
                           ",file.set-state.3.new_state=5");
    static const char *const tags[] = { "1", "2", "4" };
    Wait w[3], mapped, next;
    g_assert_cmpint(write_bytes(f.front, 0, 4096, 1, 0), ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        block_debug_break(f.node, BLKDEBUG_EVENT_WRITE_AIO, tags[i]);
        start_write(f.front, &w[i], (uint64_t)atoi(tags[i]) * MIB, 4096, 2, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, tags[i]));
    }
    g_assert_cmpint(write_bytes(f.front, 3 * MIB, 4096, 3, 0), ==, -EIO);
    block_debug_break(f.node, BLKDEBUG_EVENT_L2_UPDATE, "L");
    block_debug_resume(f.node, "4");
    MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "L"));
    block_debug_resume(f.node, "1");
    let_run();
    start_write(f.front, &mapped, 4096, 4096, 4, 0);
    let_run();
    block_debug_resume(f.node, "2");
    let_run();
    block_debug_resume(f.node, "L");
    for (unsigned i = 0; i < 3; i++) {
        wait_for(&w[i]);
        g_assert_cmpint(w[i].ret, ==, -EIO);
    }
    wait_for(&mapped);
    g_assert_cmpint(mapped.ret, ==, 0);
    BlockNode *below = f.node->file->node;
    g_assert_cmpuint(below->flushed_gen, <, below->write_gen);
    block_debug_break(f.node, BLKDEBUG_EVENT_CLUSTER_ALLOC, "N");
    start_write(f.front, &next, 5 * MIB, 4096, 5, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "N"));
    g_assert_cmpuint(below->flushed_gen, ==, below->write_gen);
    block_debug_resume(f.node, "N");
    wait_for(&next);
    g_assert_cmpint(next.ret, ==, 0);
    faulty_reopen(&f);
    assert_bytes(f.front, MIB, 4 * MIB, 0);
    assert_bytes(f.front, 5 * MIB, 4096, 5);
    faulty_close(&f);
}

/* An image whose file is another image: when that is full a write is an error. It does not go to what
 * the outer one has behind its end (of its map, too). */
static void test_image_in_an_image_that_is_full(void)
{
    static const char *const outer[] = { "vdi", "qcow2" };
    for (unsigned i = 0; i < G_N_ELEMENTS(outer); i++) {
        GError *error = NULL;
        g_autofree char *path = test_path("outer");
        json_object *o = keyval_parse("size=3145728", NULL, false, NULL, NULL);
        const BlockDriver *driver = block_driver_by_name(outer[i]);
        block_create_check(driver, block_driver_by_name("file"), o, &error);
        block_create_image(path, driver, o, &error);
        g_assert_no_error(error);
        json_object_put(o);
        g_autofree char *opt = g_strdup_printf("driver=raw,file.driver=%s,file.file.driver=file,"
                                               "file.file.filename=%s",
                                               outer[i], path);
        o = keyval_parse(opt, NULL, false, NULL, NULL);
        BlockFront *front = front_open(NULL, o, BLOCK_OPEN_RDWR, &error);
        g_assert_no_error(error);
        json_object_put(o);
        BlockEdge *edge = front_node(front)->file;
        uint8_t buf[512] = { 1 };
        g_assert_cmpint(write_bytes(front, 0, 3 * MIB, 7, 0), ==, 0);
        g_assert_cmphex(edge->perm & BLOCK_PERM_RESIZE, ==, BLOCK_PERM_RESIZE);
        g_assert_cmpint(block_write_buf(edge, 3 * MIB, 512, buf, 0), ==, -ENOSPC);
        g_assert_cmpint(block_write_buf(edge, 200 * MIB, 512, buf, 0), ==, -ENOSPC);
        g_assert_cmpint(block_write_buf(edge, 3 * MIB - 256, 512, buf, 0), ==, -ENOSPC);
        g_assert_cmpint(front_length(front), ==, 3 * MIB);
        assert_bytes(front, 0, 3 * MIB, 7);
        front_unref(front);
    }
}

/* First writes that are ready together share a write of the map: there are fewer of them than
 * allocations. */
static void test_entries_are_written_together(void)
{
    g_autofree char *path = test_path("batch.vdi");
    create(path, "size=104857600");
    g_autofree char *opt =
        g_strdup_printf("driver=vdi,node-name=v,file.driver=file,file.filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("v");
    Wait w[64];
    for (unsigned i = 0; i < 64; i++) {
        start_write(front, &w[i], i * MIB + 4096, 4096, i + 1, 0);
    }
    for (unsigned i = 0; i < 64; i++) {
        wait_for(&w[i]);
        g_assert_cmpint(w[i].ret, ==, 0);
    }
    drop_front(front);
    del_node("v");
    front = open_vdi(path);
    for (unsigned i = 0; i < 64; i++) {
        assert_bytes(front, i * MIB, 4096, 0);
        assert_bytes(front, i * MIB + 4096, 4096, i + 1);
    }
    front_unref(front);
    BlockCheckResult r;
    check(path, 0, &r);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
}
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
#define T(name) g_test_add_func("/block-vdi/" #name, test_##name)
    T(write_after_a_failed_first_write_is_not_lost);
    T(no_error_becomes_success);
    T(write_behind_the_end_of_a_failed_shrink);
    T(write_beside_a_first_write_waits_for_its_entry);
    T(two_first_writes_do_not_share_a_block_later);
    T(block_is_not_reused_after_power_loss);
    T(failed_read_before_write_changes_nothing);
    T(cancel_ends_a_request_once);
    T(place_of_a_failed_write_waits_for_a_flush);
    T(image_in_an_image_that_is_full);
    T(entries_are_written_together);
#undef T
    return vdi_test_end();
}
