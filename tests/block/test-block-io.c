/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests: drivers' contracts, alignment with read-modify-write, conflicts, zeros, flush, resize,
 * block status. */
#include "util/osdep.h"
#include "block-common.h"

#define IMAGE_SIZE 65536

/* ---- helpers ---- */

/* A file with a pattern, blkdebug on it with extra options, a front on that. */
typedef struct Debug {
    char *path;
    BlockFront *front;
    BlockNode *node;
} Debug;

static Debug debug_open(const char *options)
{
    Debug d = { .path = make_image("debug", IMAGE_SIZE) };
    g_autofree char *text = g_strdup_printf("driver=blkdebug,node-name=dbg,discard=unmap,image."
                                            "driver=file,image.filename=%s,image.discard=unmap%s",
                                            d.path, options);
    d.node = add_node(text);
    d.front = add_front("dbg");
    return d;
}

static void debug_close(Debug *d)
{
    drop_front(d->front);
    del_node("dbg");
    g_free(d->path);
}

static void assert_pattern(const char *path, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += MAX(1, (to - from) / 7)) {
        assert_file_byte(path, i, pattern(i));
    }
    assert_file_byte(path, to - 1, pattern(to - 1));
}

typedef struct Wait {
    int calls;
    int ret;
    bool inside; /* of a submit or cancel: must not be called then */
} Wait;

static void on_done(void *opaque, int ret)
{
    Wait *w = opaque;
    g_assert_false(w->inside);
    g_assert_false(in_coroutine());
    w->calls++;
    w->ret = ret;
}

static void wait_done(Wait *w)
{
    MAIN_LOOP_WHILE(w->calls == 0);
    g_assert_cmpint(w->calls, ==, 1);
}

static IoVec *vec_of(void *buf, size_t len)
{
    IoVec *v = g_new(IoVec, 1);
    iovec_init(v, 1);
    iovec_add(v, buf, len);
    return v;
}

static void vec_free(IoVec *v)
{
    iovec_destroy(v);
    g_free(v);
}

/* ---- drivers ---- */

static void test_file_rw(void)
{
    g_autofree char *path = make_image("a", IMAGE_SIZE);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=f,filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("f");
    uint8_t buf[4096];
    g_assert_cmpint(front_length(front), ==, IMAGE_SIZE);
    g_assert_cmpint(front_read(front, 1000, sizeof(buf), buf), ==, 0);
    for (unsigned i = 0; i < sizeof(buf); i++) {
        g_assert_cmpint(buf[i], ==, pattern(1000 + i));
    }
    memset(buf, 0x5a, sizeof(buf));
    g_assert_cmpint(front_write(front, 513, 1000, buf, 0), ==, 0);
    assert_pattern(path, 0, 513);
    assert_file_byte(path, 513, 0x5a);
    assert_file_byte(path, 1512, 0x5a);
    assert_pattern(path, 1513, IMAGE_SIZE);
    g_assert_cmpint(front_flush(front), ==, 0);
    drop_front(front);
    del_node("f");
}

static void test_bounds(void)
{
    add_node("driver=null-co,node-name=n,size=4096,read-zeroes=on");
    BlockFront *front = add_front("n");
    uint8_t buf[512];
    g_assert_cmpint(front_read(front, 4096 - 512, 512, buf), ==, 0);
    g_assert_cmpint(front_read(front, 4096 - 511, 512, buf), ==, -EIO);
    g_assert_cmpint(front_write(front, 4096, 1, buf, 0), ==, -EIO);
    g_assert_cmpint(front_read(front, UINT64_MAX - 100, 512, buf), ==, -EIO);
    g_assert_cmpint(front_write(front, INT64_MAX, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(front_write_zeroes(front, 0, 4097, 0), ==, -EIO);
    g_assert_cmpint(front_discard(front, 4095, 2), ==, -EIO);
    drop_front(front);
    del_node("n");
}

static void test_file_of_odd_size_is_whole_sectors_with_zeros(void)
{
    g_autofree char *path = make_image("odd", 3000);
    g_autofree char *opt =
        g_strdup_printf("driver=raw,node-name=r,file.driver=file,file.filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("r");
    uint8_t buf[512];
    g_assert_cmpint(front_length(front), ==, 3072);
    g_assert_cmpint(front_read(front, 2560, 512, buf), ==, 0);
    g_assert_cmpint(buf[439], ==, pattern(2999));
    for (unsigned i = 440; i < 512; i++) {
        g_assert_cmpint(buf[i], ==, 0);
    }
    memset(buf, 1, sizeof(buf));
    g_assert_cmpint(front_write(front, 2560, 512, buf, 0), ==, 0);
    assert_file_byte(path, 3071, 1);
    drop_front(front);
    del_node("r");
}

static void test_raw_window(void)
{
    g_autofree char *path = make_image("w", IMAGE_SIZE);
    g_autofree char *opt = g_strdup_printf(
        "driver=raw,node-name=r,offset=1024,size=2048,file.driver=file,file.filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("r");
    uint8_t buf[2048];
    g_assert_cmpint(front_length(front), ==, 2048);
    g_assert_cmpint(front_read(front, 0, 2048, buf), ==, 0);
    g_assert_cmpint(buf[0], ==, pattern(1024));
    g_assert_cmpint(buf[2047], ==, pattern(3071));
    memset(buf, 0, sizeof(buf));
    g_assert_cmpint(front_write(front, 0, 2048, buf, 0), ==, 0);
    g_assert_cmpint(front_write(front, 2048, 1, buf, 0), ==, -EIO);
    assert_pattern(path, 0, 1024);
    assert_file_byte(path, 1024, 0);
    assert_file_byte(path, 3071, 0);
    assert_pattern(path, 3072, IMAGE_SIZE);
    drop_front(front);
    del_node("r");
}

static void test_null_latency_passes(void)
{
    add_node("driver=null-co,node-name=n,latency-ns=30000000");
    BlockFront *front = add_front("n");
    uint8_t buf[512];
    int64_t start = g_get_monotonic_time();
    g_assert_cmpint(front_write(front, 0, 512, buf, 0), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 30000);
    drop_front(front);
    del_node("n");
}

/* ---- alignment ---- */

static void test_write_smaller_than_alignment_keeps_neighbours(void)
{
    static const struct {
        unsigned offset, bytes;
    } cases[] = { { 0, 1 },       { 4095, 1 },   { 4095, 2 },   { 100, 4096 },
                  { 4000, 9000 }, { 4096, 100 }, { 5000, 3192 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Debug d = debug_open(",align=4096");
        uint8_t buf[10000];
        memset(buf, 0xa0 + i, sizeof(buf));
        unsigned from = cases[i].offset, to = from + cases[i].bytes;
        g_assert_cmpint(front_write(d.front, from, to - from, buf, 0), ==, 0);
        if (from) {
            assert_pattern(d.path, 0, from);
        }
        assert_file_byte(d.path, from, 0xa0 + i);
        assert_file_byte(d.path, to - 1, 0xa0 + i);
        assert_pattern(d.path, to, IMAGE_SIZE);
        g_assert_cmpint(front_read(d.front, from, to - from, buf), ==, 0);
        g_assert_cmpint(buf[0], ==, 0xa0 + i);
        g_assert_cmpint(buf[to - from - 1], ==, 0xa0 + i);
        debug_close(&d);
    }
}

/* Stock acknowledges such a write and makes its neighbours zero. */
static void test_a_failing_read_in_read_modify_write_fails_the_write_and_neighbours_stay(void)
{
    static const char *const events[] = { "pwritev_rmw_head", "pwritev_rmw_tail" };
    for (unsigned i = 0; i < G_N_ELEMENTS(events); i++) {
        for (int once = 0; once < 2; once++) {
            g_autofree char *opt = g_strdup_printf(",align=4096,inject-error.0.event=%s,inject-"
                                                   "error.0.iotype=read,inject-error.0.once=%s,"
                                                   "inject-error.0.errno=74",
                                                   events[i], once ? "on" : "off");
            Debug d = debug_open(opt);
            uint8_t buf[8192];
            memset(buf, 0xee, sizeof(buf));
            g_assert_cmpint(front_write(d.front, 1000, 8000, buf, 0), ==, -74);
            assert_pattern(d.path, 0, IMAGE_SIZE);
            int expect = once ? 0 : -74;
            g_assert_cmpint(front_write(d.front, 1000, 8000, buf, 0), ==, expect);
            if (once) {
                assert_pattern(d.path, 0, 1000);
                assert_file_byte(d.path, 1000, 0xee);
                assert_file_byte(d.path, 8999, 0xee);
                assert_pattern(d.path, 9000, IMAGE_SIZE);
            }
            debug_close(&d);
        }
    }
}

static void test_a_failing_read_in_write_zeroes_fails_it(void)
{
    Debug d =
        debug_open(",align=4096,inject-error.0.event=pwritev_rmw_tail,inject-error.0.iotype=read");
    g_assert_cmpint(front_write_zeroes(d.front, 4096, 5000, 0), ==, -EIO);
    assert_pattern(d.path, 8192, IMAGE_SIZE);
    debug_close(&d);
}

static void test_end_of_image_inside_a_block(void)
{
    g_autofree char *path = make_image("short", 6144);
    g_autofree char *opt = g_strdup_printf(
        "driver=blkdebug,node-name=dbg,align=4096,image.driver=file,image.filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("dbg");
    uint8_t buf[512];
    g_assert_cmpint(front_length(front), ==, 6144);
    memset(buf, 0x11, sizeof(buf));
    g_assert_cmpint(front_write(front, 6144 - 512, 512, buf, 0), ==, 0);
    g_assert_cmpint(front_write_zeroes(front, 4200, 8, 0), ==, 0);
    g_assert_cmpint(front_read(front, 6144 - 512, 512, buf), ==, 0);
    g_assert_cmpint(buf[511], ==, 0x11);
    GStatBuf st;
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 6144);
    assert_pattern(path, 0, 4200);
    assert_file_byte(path, 4200, 0);
    assert_file_byte(path, 4208, pattern(4208));
    drop_front(front);
    del_node("dbg");
}

static void test_requests_are_split(void)
{
    Debug d = debug_open(",max-transfer=4096,max-write-zero=8192,max-discard=4096");
    g_autofree uint8_t *buf = g_malloc(IMAGE_SIZE);
    memset(buf, 0x33, IMAGE_SIZE);
    g_assert_cmpint(front_write(d.front, 0, IMAGE_SIZE, buf, 0), ==, 0);
    memset(buf, 0, IMAGE_SIZE);
    g_assert_cmpint(front_read(d.front, 0, IMAGE_SIZE, buf), ==, 0);
    g_assert_cmpint(buf[0], ==, 0x33);
    g_assert_cmpint(buf[IMAGE_SIZE - 1], ==, 0x33);
    g_assert_cmpint(front_write_zeroes(d.front, 100, 40000, 0), ==, 0);
    assert_file_byte(d.path, 99, 0x33);
    assert_file_byte(d.path, 100, 0);
    assert_file_byte(d.path, 40099, 0);
    assert_file_byte(d.path, 40100, 0x33);
    debug_close(&d);
}

/* ---- conflicts ---- */

/* Two writes with padding in one block: the second must see what the first wrote, whatever the
 * timing. */
static void test_overlapping_read_modify_writes_lose_nothing(void)
{
    Debug d = debug_open(",align=4096");
    uint8_t a[100], b[100];
    memset(a, 0xaa, sizeof(a));
    memset(b, 0xbb, sizeof(b));
    IoVec *va = vec_of(a, sizeof(a)), *vb = vec_of(b, sizeof(b));
    Wait wa = { 0 }, wb = { 0 };
    g_assert_cmpint(block_debug_break(d.node, BLKDEBUG_EVENT_PWRITEV_RMW_AFTER_HEAD, "A"), ==, 0);
    front_aio_write(d.front, 10, va, 0, on_done, &wa);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(d.node, "A"));
    front_aio_write(d.front, 1000, vb, 0, on_done, &wb);
    for (int i = 0; i < 20; i++) {
        main_loop_iterate(false);
    }
    g_assert_cmpint(wb.calls, ==, 0); /* it waits for the older one */
    g_assert_cmpint(block_debug_resume(d.node, "A"), ==, 0);
    wait_done(&wa);
    wait_done(&wb);
    g_assert_cmpint(wa.ret, ==, 0);
    g_assert_cmpint(wb.ret, ==, 0);
    assert_file_byte(d.path, 10, 0xaa);
    assert_file_byte(d.path, 109, 0xaa);
    assert_file_byte(d.path, 110, pattern(110));
    assert_file_byte(d.path, 1000, 0xbb);
    assert_file_byte(d.path, 9, pattern(9));
    vec_free(va);
    vec_free(vb);
    debug_close(&d);
}

static void test_requests_elsewhere_do_not_wait(void)
{
    Debug d = debug_open(",align=4096");
    uint8_t a[100] = { 1 }, b[4096] = { 2 };
    IoVec *va = vec_of(a, sizeof(a)), *vb = vec_of(b, sizeof(b));
    Wait wa = { 0 }, wb = { 0 };
    block_debug_break(d.node, BLKDEBUG_EVENT_PWRITEV_RMW_AFTER_HEAD, "A");
    front_aio_write(d.front, 10, va, 0, on_done, &wa);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(d.node, "A"));
    front_aio_write(d.front, 8192, vb, 0, on_done, &wb);
    wait_done(&wb);
    g_assert_cmpint(wa.calls, ==, 0);
    g_assert_cmpint(block_debug_remove_break(d.node, "A"), ==, 0);
    wait_done(&wa);
    vec_free(va);
    vec_free(vb);
    debug_close(&d);
}

/* Many writes at the same time, compared with what each order of conflicting ones allows: the last
 * one submitted wins for padded (serialising) writes of one block. */
static void test_random_concurrent_writes(void)
{
    enum { SLOTS = 16, ROUNDS = 200 };
    Debug d = debug_open(",align=1024,max-transfer=2048");
    g_autofree uint8_t *model = g_malloc(IMAGE_SIZE);
    for (unsigned i = 0; i < IMAGE_SIZE; i++) {
        model[i] = pattern(i);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t *bufs[SLOTS];
        IoVec *vecs[SLOTS];
        Wait waits[SLOTS] = { 0 };
        for (unsigned i = 0; i < SLOTS; i++) {
            /* Disjoint, but sharing blocks: slot i has bytes [i * 300, i * 300 + n) of a moving
             * window. */
            unsigned base = (round * 517) % (IMAGE_SIZE - SLOTS * 300);
            unsigned n = g_test_rand_int_range(1, 301), offset = base + i * 300;
            bufs[i] = g_malloc(n);
            memset(bufs[i], g_test_rand_int_range(0, 256), n);
            memcpy(model + offset, bufs[i], n);
            vecs[i] = vec_of(bufs[i], n);
            front_aio_write(d.front, offset, vecs[i], i % 5 ? 0 : BLOCK_FUA, on_done, &waits[i]);
        }
        for (unsigned i = 0; i < SLOTS; i++) {
            wait_done(&waits[i]);
            g_assert_cmpint(waits[i].ret, ==, 0);
            vec_free(vecs[i]);
            g_free(bufs[i]);
        }
    }
    g_autofree uint8_t *buf = g_malloc(IMAGE_SIZE);
    g_assert_cmpint(front_read(d.front, 0, IMAGE_SIZE, buf), ==, 0);
    g_assert_cmpmem(buf, IMAGE_SIZE, model, IMAGE_SIZE);
    debug_close(&d);
}

/* ---- zeros and discards ---- */

static void test_write_zeroes_anywhere(void)
{
    static const char *const options[] = { "", ",align=512", ",align=4096,opt-write-zero=16384",
                                           ",max-write-zero=4096" };
    for (unsigned o = 0; o < G_N_ELEMENTS(options); o++) {
        Debug d = debug_open(options[o]);
        unsigned from = 4097, to = 50001;
        unsigned flags = o & 1 ? BLOCK_MAY_UNMAP : 0;
        g_assert_cmpint(front_write_zeroes(d.front, from, to - from, flags), ==, 0);
        assert_pattern(d.path, 0, from);
        for (unsigned i = from; i < to; i += 997) {
            assert_file_byte(d.path, i, 0);
        }
        assert_file_byte(d.path, to - 1, 0);
        assert_pattern(d.path, to, IMAGE_SIZE);
        debug_close(&d);
    }
}

static void test_detect_zeroes(void)
{
    Debug d =
        debug_open(",detect-zeroes=unmap,inject-error.0.event=none,inject-error.0.iotype=write");
    uint8_t buf[4096] = { 0 };
    g_assert_cmpint(front_write(d.front, 0, sizeof(buf), buf, 0), ==, 0); /* became write-zeroes */
    assert_file_byte(d.path, 1, 0);
    buf[4095] = 1;
    g_assert_cmpint(front_write(d.front, 0, sizeof(buf), buf, 0), ==, -EIO);
    debug_close(&d);
}

static void test_discard_is_a_hint(void)
{
    g_autofree char *path = make_image("d", IMAGE_SIZE);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=f,filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("f");
    g_assert_cmpint(front_discard(front, 0, IMAGE_SIZE), ==, 0); /* discard=ignore */
    assert_pattern(path, 0, IMAGE_SIZE);
    drop_front(front);
    del_node("f");
}

static void test_discard_unmaps(void)
{
    Debug d = debug_open("");
    g_assert_cmpint(front_discard(d.front, 0, 16384), ==, 0);
    assert_file_byte(d.path, 5000, 0);
    assert_pattern(d.path, 16384, IMAGE_SIZE);
    debug_close(&d);
}

/* ---- flush ---- */

static void test_flush_error_is_reported_until_it_succeeds(void)
{
    Debug d =
        debug_open(",inject-error.0.event=none,inject-error.0.iotype=flush,inject-error.0.errno=28,"
                   "inject-error.0.once=on");
    uint8_t buf[512] = { 1 };
    g_assert_cmpint(front_write(d.front, 0, 512, buf, 0), ==, 0);
    g_assert_cmpint(front_flush(d.front), ==, -ENOSPC);
    g_assert_cmpint(front_flush(d.front), ==, 0);
    debug_close(&d);
}

static void test_flush_error_is_not_forgotten(void)
{
    Debug d = debug_open(",inject-error.0.event=flush_to_os,inject-error.0.iotype=flush");
    add_node("driver=raw,node-name=top,file=dbg");
    drop_front(d.front);
    d.front = add_front("top");
    uint8_t buf[512] = { 1 };
    g_assert_cmpint(front_flush(d.front), ==, 0); /* nothing was written */
    g_assert_cmpint(front_write(d.front, 0, 512, buf, 0), ==, 0);
    g_assert_cmpint(front_flush(d.front), ==, -EIO);
    g_assert_cmpint(front_flush(d.front), ==, -EIO);
    drop_front(d.front);
    del_node("top");
    d.front = add_front("dbg");
    debug_close(&d);
}

static void test_flush_error_fails_a_fua_write(void)
{
    Debug d =
        debug_open(",inject-error.0.event=none,inject-error.0.iotype=flush,inject-error.0.once=on");
    g_assert_cmpint(front_write_zeroes(d.front, 0, 4096, BLOCK_FUA), ==, -EIO);
    debug_close(&d);
}

static void test_flush_waits_for_the_one_that_runs(void)
{
    Debug d = debug_open("");
    uint8_t buf[512] = { 1 };
    Wait w[3] = { 0 };
    g_assert_cmpint(front_write(d.front, 0, 512, buf, 0), ==, 0);
    front_aio_flush(d.front, on_done, &w[0]);
    IoVec *v = vec_of(buf, 512);
    front_aio_write(d.front, 4096, v, 0, on_done, &w[1]);
    front_aio_flush(d.front, on_done, &w[2]);
    for (unsigned i = 0; i < 3; i++) {
        wait_done(&w[i]);
        g_assert_cmpint(w[i].ret, ==, 0);
    }
    vec_free(v);
    debug_close(&d);
}

/* ---- engines ---- */

typedef struct Engine {
    const char *name, *options;
} Engine;

static const Engine engines[] = {
    { "threads", "aio=threads" },
    { "threads-direct", "aio=threads,cache.direct=on" },
    { "native", "aio=native,cache.direct=on" },
    { "io_uring", "aio=io_uring" },
    { "io_uring-direct", "aio=io_uring,cache.direct=on" },
};

/* The same requests give the same bytes, whoever makes the system calls. */
static void test_engine(gconstpointer opaque)
{
    const Engine *e = opaque;
    g_autofree char *path = make_image("engine", IMAGE_SIZE);
    g_autofree char *opt =
        g_strdup_printf("driver=file,node-name=f,discard=unmap,filename=%s,%s", path, e->options);
    GError *error = NULL;
    if (!block_add_blockdev(opt, &error)) {
        g_test_skip(error->message);
        g_error_free(error);
        return;
    }
    BlockFront *front = add_front("f");
    g_autofree uint8_t *model = g_malloc(IMAGE_SIZE), *buf = g_malloc(IMAGE_SIZE);
    for (unsigned i = 0; i < IMAGE_SIZE; i++) {
        model[i] = pattern(i);
    }
    GRand *rand = g_rand_new_with_seed(4711);
    for (unsigned i = 0; i < 300; i++) {
        unsigned offset = g_rand_int_range(rand, 0, IMAGE_SIZE - 1);
        unsigned n = g_rand_int_range(rand, 1, MIN(9000, IMAGE_SIZE - offset) + 1);
        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            g_assert_cmpint(front_read(front, offset, n, buf), ==, 0);
            g_assert_cmpmem(buf, n, model + offset, n);
            break;
        case 1:
            g_assert_cmpint(front_write_zeroes(front, offset, n, i & 1 ? BLOCK_MAY_UNMAP : 0), ==,
                            0);
            memset(model + offset, 0, n);
            break;
        default:
            memset(buf, i, n);
            memcpy(model + offset, buf, n);
            g_assert_cmpint(front_write(front, offset, n, buf, i % 7 ? 0 : BLOCK_FUA), ==, 0);
            break;
        }
    }
    g_rand_free(rand);
    g_assert_cmpint(front_flush(front), ==, 0);
    g_assert_cmpint(front_read(front, 0, IMAGE_SIZE, buf), ==, 0);
    g_assert_cmpmem(buf, IMAGE_SIZE, model, IMAGE_SIZE);
    drop_front(front);
    del_node("f");
}

static void test_engine_many_at_once(gconstpointer opaque)
{
    enum { N = 400 };
    const Engine *e = opaque;
    g_autofree char *path = make_image("many", IMAGE_SIZE);
    g_autofree char *opt =
        g_strdup_printf("driver=file,node-name=f,filename=%s,%s", path, e->options);
    GError *error = NULL;
    if (!block_add_blockdev(opt, &error)) {
        g_test_skip(error->message);
        g_error_free(error);
        return;
    }
    BlockFront *front = add_front("f");
    static Wait w[N];
    static IoVec *v[N];
    memset(w, 0, sizeof(w));
    uint8_t *buf = NULL;
    g_assert_cmpint(posix_memalign((void **)&buf, 4096, N * 4096), ==, 0);
    for (unsigned i = 0; i < N; i++) {
        v[i] = vec_of(buf + i * 4096, 4096);
        w[i].inside = true;
        front_aio_read(front, (i * 4096) % IMAGE_SIZE, v[i], on_done, &w[i]);
        w[i].inside = false;
    }
    for (unsigned i = 0; i < N; i++) {
        wait_done(&w[i]);
        g_assert_cmpint(w[i].ret, ==, 0);
        g_assert_cmpint(buf[i * 4096 + 5], ==, pattern((i * 4096) % IMAGE_SIZE + 5));
        vec_free(v[i]);
    }
    free(buf);
    drop_front(front);
    del_node("f");
}

/* ---- size and status ---- */

static void test_truncate(void)
{
    g_autofree char *path = make_image("t", 8192);
    GError *error = NULL;
    json_object *options = json_object_new_object();
    json_object_object_add(options, "driver", json_object_new_string("raw"));
    BlockFront *front = front_open(path, options, BLOCK_OPEN_RDWR, &error);
    json_object_put(options);
    g_assert_no_error(error);
    g_assert_true(front_truncate(front, 16384, true, PREALLOC_MODE_OFF, &error));
    g_assert_cmpint(front_length(front), ==, 16384);
    uint8_t buf[512];
    g_assert_cmpint(front_read(front, 16384 - 512, 512, buf), ==, 0);
    g_assert_cmpint(buf[511], ==, 0);
    g_assert_true(front_truncate(front, 4096, true, PREALLOC_MODE_OFF, &error));
    g_assert_cmpint(front_read(front, 4096, 512, buf), ==, -EIO);
    g_assert_false(front_truncate(front, UINT64_MAX, true, PREALLOC_MODE_OFF, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    front_unref(front);
}

typedef struct Status {
    BlockNode *node;
    uint64_t offset, pnum, map;
    int ret;
} Status;

static void coroutine_fn status_entry(void *opaque)
{
    Status *s = opaque;
    BlockNode *file;
    s->ret = block_co_status(s->node, true, s->offset, UINT64_C(1) << 40, &s->pnum, &s->map, &file);
    s->offset = UINT64_MAX;
}

static void test_block_status(void)
{
    g_autofree char *path = test_path("sparse");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
    char data[65536];
    memset(data, 1, sizeof(data));
    g_assert_cmpint(pwrite(fd, data, sizeof(data), 1 << 18), ==, (int)sizeof(data));
    close(fd);
    g_autofree char *opt =
        g_strdup_printf("driver=raw,node-name=r,file.driver=file,file.filename=%s", path);
    BlockNode *node = add_node(opt);
    static const uint64_t at[] = { 0, 1 << 18, (1 << 18) + 65536, 1 << 20 };
    static const int flags[] = { BLOCK_STATUS_ZERO, BLOCK_STATUS_DATA, BLOCK_STATUS_ZERO, 0 };
    for (unsigned i = 0; i < 4; i++) {
        Status s = { .node = node, .offset = at[i] };
        coroutine_enter(coroutine_create(status_entry, &s));
        g_assert_cmpint(s.offset, ==, UINT64_MAX);
        g_assert_cmpint(s.ret & (BLOCK_STATUS_ZERO | BLOCK_STATUS_DATA), ==, flags[i]);
        g_assert_cmpint(s.pnum, ==, i < 3 ? at[i + 1] - at[i] : 0);
    }
    del_node("r");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
#define T(name) g_test_add_func("/block/io/" #name, test_##name)
    T(file_rw);
    T(bounds);
    T(file_of_odd_size_is_whole_sectors_with_zeros);
    T(raw_window);
    T(null_latency_passes);
    T(write_smaller_than_alignment_keeps_neighbours);
    T(a_failing_read_in_read_modify_write_fails_the_write_and_neighbours_stay);
    T(a_failing_read_in_write_zeroes_fails_it);
    T(end_of_image_inside_a_block);
    T(requests_are_split);
    T(overlapping_read_modify_writes_lose_nothing);
    T(requests_elsewhere_do_not_wait);
    T(random_concurrent_writes);
    T(write_zeroes_anywhere);
    T(detect_zeroes);
    T(discard_is_a_hint);
    T(discard_unmaps);
    T(flush_error_is_reported_until_it_succeeds);
    T(flush_error_is_not_forgotten);
    T(flush_error_fails_a_fua_write);
    T(flush_waits_for_the_one_that_runs);
    for (unsigned i = 0; i < G_N_ELEMENTS(engines); i++) {
        g_autofree char *a = g_strdup_printf("/block/io/engine/%s", engines[i].name);
        g_autofree char *b = g_strdup_printf("/block/io/engine-many-at-once/%s", engines[i].name);
        g_test_add_data_func(a, &engines[i], test_engine);
        g_test_add_data_func(b, &engines[i], test_engine_many_at_once);
    }
    T(truncate);
    T(block_status);
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
