/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qcow2 driver at work: caches, backing files, snapshots, sizes, lazy reference counts, amend,
 * switchover. */
#include "util/osdep.h"
#include "qcow2-common.h"

/* Tables do not fit in the caches: everything is written and read all the same. */
static void test_small_caches(void)
{
    g_autofree char *path = test_path("caches.qcow2");
    GError *error = NULL;
    create(path, "size=8M,cluster_size=512,refcount_bits=64");
    BlockFront *front = open_flags(
        path, "driver=qcow2,l2-cache-size=1024,l2-cache-entry-size=512,refcount-cache-size=2048",
        BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < 400; i++) {
        g_assert_cmpint(fill(front, (uint64_t)(i * 7919 % 16384) * 512, 512, i), ==, 0);
    }
    for (unsigned i = 0; i < 400; i++) {
        assert_reads(front, (uint64_t)(i * 7919 % 16384) * 512, 512, i);
    }
    front_unref(front);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_cmpint(r.allocated_clusters, ==, 400);
    g_unlink(path);
}

/* Space for the new part of a disk comes from clusters that were used before: it reads as zeros. */
static void test_preallocated_growth_reads_zeros(void)
{
    static const char *const options[] = { "size=1M", "size=1M,compat=0.10",
                                           "size=1M,extended_l2=on" };
    static const PreallocMode modes[] = { PREALLOC_MODE_METADATA, PREALLOC_MODE_FALLOC,
                                          PREALLOC_MODE_FULL };
    for (unsigned i = 0; i < G_N_ELEMENTS(options) * G_N_ELEMENTS(modes); i++) {
        g_autofree char *path = test_path("grown.qcow2");
        GError *error = NULL;
        create(path, options[i / G_N_ELEMENTS(modes)]);
        BlockFront *front =
            open_flags(path, "driver=qcow2,discard=unmap,pass-discard-request=off,node-name=fmt",
                       BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, &error);
        g_assert_no_error(error);
        g_assert_cmpint(fill(front, 0, 1u << 20, 0x77), ==, 0);
        g_assert_cmpint(front_discard(front, 0, 1u << 19), ==, 0);
        g_assert_cmpint(front_flush(front), ==, 0);
        front_truncate(front, 2u << 20, false, modes[i % G_N_ELEMENTS(modes)], &error);
        g_assert_no_error(error);
        assert_reads(front, 1u << 20, 1u << 20, 0);
        assert_reads(front, 1u << 19, 1u << 19, 0x77);
        front_unref(front);
        BlockCheckResult r = check(path, 0);
        g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
        g_unlink(path);
    }
}

static void assert_cache_error(const char *path, const char *options, const char *text)
{
    GError *error = NULL;
    g_autofree char *o = g_strdup_printf("driver=qcow2,%s", options);
    g_assert_null(open_flags(path, o, 0, &error));
    g_assert_cmpstr(error->message, ==, text);
    g_error_free(error);
}

static void test_cache_options(void)
{
    g_autofree char *path = test_path("options.qcow2");
    create(path, "size=1M");
    assert_cache_error(
        path, "cache-size=1,l2-cache-size=1,refcount-cache-size=1",
        "cache-size, l2-cache-size and refcount-cache-size may not be set at the same "
        "time");
    assert_cache_error(path, "cache-size=1,l2-cache-size=2",
                       "l2-cache-size may not exceed cache-size");
    assert_cache_error(
        path, "l2-cache-entry-size=1000",
        "L2 cache entry size must be a power of two between 512 and the cluster size "
        "(65536)");
    create(path, "size=1M,compat=0.10");
    assert_cache_error(path, "lazy-refcounts=on",
                       "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility "
                       "level");
    g_unlink(path);
}

static void test_backing(void)
{
    g_autofree char *base = test_path("base.qcow2");
    g_autofree char *top = test_path("top.qcow2");
    create(base, "size=256k");
    BlockFront *front = open_image(base);
    g_assert_cmpint(fill(front, 0, 262144, 0xb0), ==, 0);
    front_unref(front);
    /* A relative name is relative to the image, whatever the current folder is. */
    create(top, "size=512k,backing_file=base.qcow2,backing_fmt=qcow2");
    front = open_image(top);
    g_assert_nonnull(block_backing_node(front_node(front)));
    assert_reads(front, 0, 262144, 0xb0);
    assert_reads(front, 262144, 262144, 0);
    g_assert_cmpint(fill(front, 1000, 100, 0x10), ==, 0);
    assert_reads(front, 0, 1000, 0xb0);
    assert_reads(front, 1000, 100, 0x10);
    assert_reads(front, 1100, 64000, 0xb0);
    g_assert_cmpint(front_write_zeroes(front, 65536, 65536, BLOCK_MAY_UNMAP), ==, 0);
    assert_reads(front, 65536, 65536, 0);
    assert_reads(front, 131072, 1000, 0xb0);
    front_unref(front);
    GError *error = NULL;
    front = open_flags("json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{\"driver\":\"null-"
                       "co\",\"read-zeroes\":true}}",
                       "", 0, &error);
    g_assert_null(front); /* no qcow2 in there */
    g_clear_error(&error);
    g_autofree char *json = g_strdup_printf("json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{"
                                            "\"driver\":\"file\",\"filename\":\"%s\"}}",
                                            top);
    front = open_flags(json, "", 0, &error);
    g_assert_no_error(error);
    assert_reads(front, 131072, 1000, 0);
    front_unref(front);
    g_unlink(base);
    front = open_flags(top, "driver=qcow2", 0, &error);
    g_assert_null(front);
    g_assert_true(g_str_has_prefix(error->message, "Could not open backing file: "));
    g_clear_error(&error);
    front = open_flags(top, "driver=qcow2", BLOCK_OPEN_NO_BACKING, &error);
    g_assert_no_error(error);
    front_unref(front);
    g_unlink(top);
}

static void test_backing_loop(void)
{
    g_autofree char *path = test_path("loop.qcow2");
    GError *error = NULL;
    create(path, "size=64k,backing_file=loop.qcow2,backing_fmt=qcow2");
    g_assert_null(open_flags(path, "driver=qcow2", 0, &error));
    g_assert_nonnull(strstr(error->message, "is a loop"));
    g_clear_error(&error);
    g_unlink(path);
}

static void test_snapshots(void)
{
    g_autofree char *path = test_path("snap.qcow2");
    GError *error = NULL;
    create(path, "size=1M,cluster_size=4k");
    BlockFront *front = open_image(path);
    BlockNode *node = front_node(front);
    fill(front, 0, 65536, 1);
    BlockSnapshot a = { .name = "a", .icount = -1 }, b = { .name = "b", .icount = -1 };
    g_assert_true(block_snapshot_create(node, &a, &error));
    g_assert_cmpstr(a.id, ==, "1");
    fill(front, 4096, 4096, 2);
    g_assert_true(block_snapshot_create(node, &b, &error));
    g_assert_true(front_truncate(front, 2 * DISK, false, PREALLOC_MODE_OFF, &error));
    fill(front, 8192, 4096, 3);
    BlockSnapshot *list;
    g_assert_cmpint(block_snapshot_list(node, &list), ==, 2);
    g_assert_cmpstr(list[1].name, ==, "b");
    g_free(list);
    g_assert_true(block_snapshot_goto(node, "a", &error));
    g_assert_cmpint(front_length(front), ==, DISK);
    assert_reads(front, 0, 65536, 1);
    g_assert_true(block_snapshot_goto(node, "2", &error));
    assert_reads(front, 4096, 4096, 2);
    assert_reads(front, 8192, 4096, 1);
    g_assert_true(block_snapshot_delete(node, NULL, "a", &error));
    assert_reads(front, 4096, 4096, 2);
    g_assert_true(block_snapshot_delete(node, "2", "b", &error));
    g_assert_false(block_snapshot_delete(node, NULL, "b", &error));
    g_clear_error(&error);
    g_assert_false(block_snapshot_goto(node, "nosuch", &error));
    g_clear_error(&error);
    assert_reads(front, 4096, 4096, 2);
    front_unref(front);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
}

static void test_resize(void)
{
    g_autofree char *path = test_path("size.qcow2");
    GError *error = NULL;
    create(path, "size=1M,cluster_size=4k");
    BlockFront *front = open_image(path);
    fill(front, 0, DISK, 7);
    g_assert_true(front_truncate(front, 8192 + 512, false, PREALLOC_MODE_OFF, &error));
    g_assert_true(front_truncate(front, DISK, false, PREALLOC_MODE_OFF, &error));
    assert_reads(front, 0, 8192 + 512, 7);
    assert_reads(front, 8192 + 512, DISK - 8192 - 512,
                 0); /* nothing of what was cut off comes back */
    g_assert_true(front_truncate(front, 64 * DISK, false, PREALLOC_MODE_METADATA, &error));
    assert_reads(front, 63 * DISK, 4096, 0);
    g_assert_false(front_truncate(front, 1000, false, PREALLOC_MODE_OFF, &error));
    g_clear_error(&error);
    front_unref(front);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
}

/* What was behind the disk, the state of a VM, is not seen in the part that it grows by, and nothing of
 * it is left over when the disk shrinks. */
static void test_resize_and_vm_state(void)
{
    for (unsigned size = 16384; size <= 65536; size += 49152) {
        g_autofree char *path = test_path("vmstate.qcow2");
        GError *error = NULL;
        char state[4096];
        create(path, "size=32k,cluster_size=512");
        BlockFront *front = open_image(path);
        memset(state, 0x55, sizeof(state));
        g_assert_cmpint(fill(front, 0, 32768, 7), ==, 0);
        g_assert_cmpint(block_vmstate_write(front_node(front), 0, sizeof(state), state), ==, 0);
        front_truncate(front, size, false, PREALLOC_MODE_OFF, &error);
        g_assert_no_error(error);
        assert_reads(front, 0, MIN(size, 32768), 7);
        if (size > 32768) {
            assert_reads(front, 32768, size - 32768, 0);
        }
        front_unref(front);
        BlockCheckResult r = check(path, 0);
        g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
        g_unlink(path);
    }
}

/* An image that was not closed: counts are wrong, the next writer repairs it. */
static void test_lazy(void)
{
    g_autofree char *path = test_path("lazy.qcow2");
    g_autofree char *crashed = test_path("crashed.qcow2");
    create(path, "size=1M,lazy_refcounts=on");
    BlockFront *front = open_image(path);
    g_assert_cmpint(fill(front, 0, 200000, 5), ==, 0);
    g_assert_cmpint(front_flush(front), ==, 0);
    Raw raw = raw_load(path);
    g_assert_cmpint(load_be64(raw.data + 72) & 1, ==, 1);
    raw_store(crashed, &raw);
    front_unref(front);
    raw = raw_load(path);
    g_assert_cmpint(load_be64(raw.data + 72) & 1, ==, 0);
    g_free(raw.data);
    g_assert_cmpint(check(path, 0).corruptions, ==, 0);
    g_assert_cmpint(check(crashed, 0).corruptions, >, 0);
    front = open_image(crashed);
    assert_reads(front, 0, 200000, 5);
    front_unref(front);
    BlockCheckResult r = check(crashed, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
    g_unlink(crashed);
}

static void test_measure(void)
{
    static const struct {
        const char *options;
        uint64_t required, full;
    } cases[] = {
        /* as the stock qemu-img measures */
        { "size=0", 196608, 196608 },
        { "size=1M", 327680, 1376256 },
        { "size=1G", 393216, 1074135040 },
        { "size=10T", 1678114816, 10996794392576 },
        { "size=1G,cluster_size=4k", 2637824, 1076379648 },
        { "size=1G,extended_l2=on", 524288, 1074266112 },
        { "size=10T,refcount_bits=64", 2685206528, 10997801484288 },
        { "size=10T,cluster_size=2M", 60817408, 10995177095168 },
        { "size=1M,preallocation=full", 1376256, 1376256 },
    };
    const BlockDriver *driver = block_driver_by_name("qcow2");
    GError *error = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        BlockMeasure m;
        json_object *o = options_of(cases[i].options);
        g_assert_true(block_create_check(driver, NULL, o, &error));
        g_assert_true(block_measure(driver, o, NULL, &m, &error));
        g_assert_cmpint(m.required, ==, cases[i].required);
        g_assert_cmpint(m.fully_allocated, ==, cases[i].full);
        json_object_put(o);
    }
}

static void test_amend(void)
{
    g_autofree char *path = test_path("amend.qcow2");
    GError *error = NULL;
    static const char *const steps[] = { "compat=1.1",
                                         "refcount_bits=64",
                                         "lazy_refcounts=on",
                                         "refcount_bits=1",
                                         "refcount_bits=16,lazy_refcounts=off",
                                         "compat=0.10",
                                         "size=2097152" };
    create(path, "size=1M,compat=0.10,cluster_size=4k");
    BlockFront *front = open_image(path);
    fill(front, 0, 100000, 0x5c);
    front_unref(front);
    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        front = open_image(path);
        json_object *o = options_of(steps[i]);
        block_node_amend(front_node(front), o, false, NULL, NULL, &error);
        g_assert_no_error(error);
        json_object_put(o);
        g_assert_cmpint(fill(front, 200000 + i * 5000, 4096, i), ==, 0);
        if (i == 2) {
            front_write_zeroes(front, 400000, 8192, 0);
        }
        front_unref(front);
        BlockCheckResult r = check(path, 0);
        g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
        int stock = stock_check(path);
        g_assert_true(stock <= 0);
        front = open_image(path);
        assert_reads(front, 0, 100000, 0x5c);
        assert_reads(front, 200000 + i * 5000, 4096, i);
        front_unref(front);
    }
    g_unlink(path);
}

/* ---- switchover (B7) ---- */

/* The destination opened the image before the source had written its last tables. */
static void test_switchover(void)
{
    g_autofree char *path = test_path("moving.qcow2");
    GError *error = NULL;
    create(path, "size=1M,cluster_size=4k");
    g_autofree char *source =
        g_strdup_printf("driver=qcow2,node-name=source,file.driver=file,file.filename=%s", path);
    g_autofree char *destination = g_strdup_printf(
        "driver=qcow2,node-name=destination,file.driver=file,file.filename=%s", path);
    add_node(source);
    BlockFront *front = add_front("source");
    block_set_incoming(true);
    add_node(destination);
    block_set_incoming(false);
    for (unsigned i = 0; i < 20; i++) {
        g_assert_cmpint(fill(front, i * 9000, 5000, i + 1), ==, 0);
    }
    g_assert_true(block_inactivate_all(&error));
    g_assert_no_error(error);
    /* Everything is in the file now, and the source writes no more. */
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_cmpint(fill(front, 0, 512, 0x99), ==, -EPERM);
    drop_front(front);
    del_node("source");
    g_assert_true(block_activate_all(&error));
    g_assert_no_error(error);
    front = add_front("destination");
    for (unsigned i = 0; i < 20; i++) {
        assert_reads(front, i * 9000, 5000, i + 1);
    }
    g_assert_cmpint(fill(front, 500000, 5000, 0x55), ==, 0);
    drop_front(front);
    del_node("destination");
    r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
}

/* The move fails and the source goes on. */
static void test_switchover_back(void)
{
    g_autofree char *path = test_path("back.qcow2");
    GError *error = NULL;
    create(path, "size=1M,lazy_refcounts=on");
    g_autofree char *source =
        g_strdup_printf("driver=qcow2,node-name=source,file.driver=file,file.filename=%s", path);
    add_node(source);
    BlockFront *front = add_front("source");
    g_assert_cmpint(fill(front, 0, 100000, 1), ==, 0);
    g_assert_true(block_inactivate_all(&error));
    g_assert_true(block_activate_all(&error));
    g_assert_no_error(error);
    g_assert_cmpint(fill(front, 200000, 100000, 2), ==, 0);
    assert_reads(front, 0, 100000, 1);
    assert_reads(front, 200000, 100000, 2);
    drop_front(front);
    del_node("source");
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    g_test_add_func("/block/qcow2/small-caches", test_small_caches);
    g_test_add_func("/block/qcow2/cache-options", test_cache_options);
    g_test_add_func("/block/qcow2/preallocated-growth-reads-zeros",
                    test_preallocated_growth_reads_zeros);
    g_test_add_func("/block/qcow2/backing", test_backing);
    g_test_add_func("/block/qcow2/backing-loop", test_backing_loop);
    g_test_add_func("/block/qcow2/snapshots", test_snapshots);
    g_test_add_func("/block/qcow2/resize", test_resize);
    g_test_add_func("/block/qcow2/resize-and-vm-state", test_resize_and_vm_state);
    g_test_add_func("/block/qcow2/lazy-refcounts-after-a-crash", test_lazy);
    g_test_add_func("/block/qcow2/measure", test_measure);
    g_test_add_func("/block/qcow2/amend", test_amend);
    g_test_add_func("/block/qcow2/switchover", test_switchover);
    g_test_add_func("/block/qcow2/switchover-that-fails", test_switchover_back);
    return qcow2_test_end();
}
