/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qcow2 driver: damage and its repair beside the stock qemu-img, failed and held allocations (P4), backing files,
 * snapshots, caches, sizes, headers that make no sense. */
#include "util/osdep.h"
#include "block-common.h"

#include "block/image.h"
#include "util/bytes.h"

#define CLUSTER 4096
#define DISK (1024 * 1024)

/* ---- images ---- */

static json_object *options_of(const char *text)
{
    GError *error = NULL;
    json_object *o = keyval_parse(text, NULL, false, NULL, &error);
    g_assert_no_error(error);
    return o;
}

static void create(const char *path, const char *options)
{
    GError *error = NULL;
    const BlockDriver *driver = block_driver_by_name("qcow2");
    json_object *o = options_of(options);
    block_create_check(driver, block_driver_by_name("file"), o, &error);
    g_assert_no_error(error);
    block_create_image(path, driver, o, &error);
    g_assert_no_error(error);
    json_object_put(o);
}

static BlockFront *open_flags(const char *path, const char *options, unsigned flags, GError **error)
{
    json_object *o = options_of(options);
    BlockFront *front = front_open(path, o, flags, error);
    json_object_put(o);
    return front;
}

static BlockFront *open_image(const char *path)
{
    GError *error = NULL;
    BlockFront *front =
        open_flags(path, "driver=qcow2", BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, &error);
    g_assert_no_error(error);
    return front;
}

static void assert_reads(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    g_assert_cmpint(front_read(front, offset, bytes, buf), ==, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        if (buf[i] != value) {
            g_error("byte %" PRIu64 " is %#x, not %#x", offset + i, buf[i], value);
        }
    }
}

static int fill(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    memset(buf, value, bytes);
    return front_write(front, offset, bytes, buf, 0);
}

/* ---- bytes of the file ---- */

typedef struct Raw {
    uint8_t *data;
    gsize len;
} Raw;

static Raw raw_load(const char *path)
{
    Raw r;
    GError *error = NULL;
    g_file_get_contents(path, (char **)&r.data, &r.len, &error);
    g_assert_no_error(error);
    return r;
}

static void raw_store(const char *path, Raw *r)
{
    GError *error = NULL;
    g_file_set_contents(path, (char *)r->data, r->len, &error);
    g_assert_no_error(error);
    g_clear_pointer(&r->data, g_free);
}

static uint64_t l1_at(const Raw *r)
{
    return load_be64(r->data + 40);
}

static uint64_t l2_at(const Raw *r)
{
    return load_be64(r->data + l1_at(r)) & UINT64_C(0x00fffffffffffe00);
}

static uint64_t refblock_at(const Raw *r)
{
    return load_be64(r->data + load_be64(r->data + 48));
}

/* ---- damage ---- */

static void damage_leak(Raw *r)
{
    r->len = (r->len + CLUSTER - 1) / CLUSTER * CLUSTER + CLUSTER;
    r->data = g_realloc(r->data, r->len);
    store_be16(r->data + refblock_at(r) + 2 * (r->len / CLUSTER - 1), 1);
}

static void damage_refcount_zero(Raw *r)
{
    uint64_t data = load_be64(r->data + l2_at(r)) & UINT64_C(0x00fffffffffffe00);
    store_be16(r->data + refblock_at(r) + 2 * (data / CLUSTER), 0);
}

static void damage_double_use(Raw *r)
{
    memcpy(r->data + l2_at(r) + 8, r->data + l2_at(r), 8);
}

static void damage_copied_data(Raw *r)
{
    r->data[l2_at(r)] &= 0x7f;
}

static void damage_copied_l2(Raw *r)
{
    r->data[l1_at(r)] &= 0x7f;
}

static void damage_l2_unaligned(Raw *r)
{
    r->data[l2_at(r) + 6] |= 2;
}

static void damage_beyond_end(Raw *r)
{
    store_be64(r->data + l2_at(r) + 16, UINT64_C(0x8000000040000000));
}

static void damage_l1_unaligned(Raw *r)
{
    r->data[l1_at(r) + 6] |= 2;
}

static void damage_refblock_missing(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48), 0);
}

static void damage_refblock_unaligned(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48), refblock_at(r) + 512);
}

static void damage_refblock_outside(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48), UINT64_C(1) << 40);
}

static void damage_refblock_double(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48) + 8, refblock_at(r));
}

static void damage_truncated(Raw *r)
{
    r->len -= CLUSTER;
}

static void damage_reserved_bits(Raw *r)
{
    r->data[l2_at(r) + 7] |= 0x10;
}

typedef struct Damage {
    const char *name;
    void (*func)(Raw *r);
    unsigned corruptions, leaks; /* at least */
    bool repairable;
} Damage;

static const Damage damages[] = {
    { "leak", damage_leak, 0, 1, true },
    { "refcount-zero", damage_refcount_zero, 1, 0, true },
    { "double-use", damage_double_use, 1, 0, true },
    { "copied-data", damage_copied_data, 1, 0, true },
    { "copied-l2", damage_copied_l2, 1, 0, true },
    { "l2-unaligned", damage_l2_unaligned, 1, 0, false },
    { "beyond-end", damage_beyond_end, 1, 0, false },
    { "l1-unaligned", damage_l1_unaligned, 1, 0, false },
    { "refblock-missing", damage_refblock_missing, 1, 0, true },
    { "refblock-unaligned", damage_refblock_unaligned, 1, 0, true },
    { "refblock-outside", damage_refblock_outside, 1, 0, true },
    { "refblock-double", damage_refblock_double, 1, 0, true },
    { "truncated", damage_truncated, 1, 0, false },
    { "reserved-bits", damage_reserved_bits, 1, 0, false },
};

/* What the stock qemu-img says: exit status 0 clean, 2 errors, 3 leaks; -1: not there. */
static int stock_check(const char *path)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");
    if (!program) {
        return -1;
    }
    char *argv[] = { program, "check", "-q", "-f", "qcow2", (char *)path, NULL };
    int status;
    g_assert_true(g_spawn_sync(NULL, argv, NULL,
                               G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                               NULL, NULL, &status, NULL));
    return WEXITSTATUS(status);
}

static BlockCheckResult check(const char *path, unsigned fix)
{
    GError *error = NULL;
    BlockCheckResult result = { 0 };
    BlockFront *front =
        open_flags(path, "driver=qcow2", (fix ? BLOCK_OPEN_RDWR : 0) | BLOCK_OPEN_CHECK, &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_node_check(front_node(front), &result, fix), ==, 0);
    front_unref(front);
    return result;
}

static void make_checked(const char *path)
{
    create(path, "size=1M,cluster_size=4k");
    BlockFront *front = open_image(path);
    for (unsigned i = 0; i < 6; i++) {
        g_assert_cmpint(fill(front, i * CLUSTER * 4, CLUSTER, i + 1), ==, 0);
    }
    front_unref(front);
}

static void test_damage(const void *opaque)
{
    const Damage *d = opaque;
    g_autofree char *path = test_path("damaged.qcow2");
    make_checked(path);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks + r.check_errors, ==, 0);
    Raw raw = raw_load(path);
    d->func(&raw);
    raw_store(path, &raw);

    r = check(path, 0);
    g_assert_cmpint(r.corruptions, >=, d->corruptions);
    g_assert_cmpint(r.leaks, >=, d->leaks);
    int stock = stock_check(path);
    if (stock >= 0) {
        /* 1: it gave up. */
        g_assert_true(stock == 1 || stock == (r.corruptions ? 2 : 3));
    }
    BlockCheckResult again = check(path, 0); /* looking changes nothing */
    g_assert_cmpint(again.corruptions, ==, r.corruptions);

    r = check(path, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS);
    if (!d->repairable) {
        g_assert_cmpint(r.corruptions, >, 0); /* said so, and nothing was made up */
        g_unlink(path);
        return;
    }
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_cmpint(r.corruptions_fixed + r.leaks_fixed, >, 0);
    stock = stock_check(path);
    if (stock >= 0) {
        g_assert_cmpint(stock, ==, 0);
    }
    BlockFront *front = open_image(path);
    for (unsigned i = 0; i < 6; i++) {
        if (i != 2 || d->func != damage_double_use) {
            assert_reads(front, i * CLUSTER * 4, CLUSTER, i + 1);
        }
    }
    /* It can be written again, and clusters that two entries shared are not any more. */
    g_assert_cmpint(fill(front, 0, 512, 0x77), ==, 0);
    g_assert_cmpint(fill(front, 30 * CLUSTER, CLUSTER, 0x78), ==, 0);
    front_unref(front);
    r = check(path, 0);
    /* The last owner of what was shared does not know yet that it is alone. */
    g_assert_cmpint(r.corruptions + r.check_errors, <=, d->func == damage_double_use);
    g_unlink(path);
}

/* A leak is repaired without a touch on errors, and the other way round. */
static void test_fix_leaks_only(void)
{
    g_autofree char *path = test_path("both.qcow2");
    make_checked(path);
    Raw raw = raw_load(path);
    damage_leak(&raw);
    damage_copied_data(&raw);
    raw_store(path, &raw);
    BlockCheckResult r = check(path, BLOCK_FIX_LEAKS);
    g_assert_cmpint(r.leaks_fixed, ==, 1);
    g_assert_cmpint(r.corruptions, ==, 1);
    r = check(path, BLOCK_FIX_ERRORS);
    g_assert_cmpint(r.corruptions, ==, 0);
    g_unlink(path);
}

/* ---- damage that is met while working ---- */

static void test_corrupt_bit(void)
{
    g_autofree char *path = test_path("corrupt.qcow2");
    GError *error = NULL;
    make_checked(path);
    Raw raw = raw_load(path);
    /* The second cluster's entry points to the L2 table itself. */
    store_be64(raw.data + l2_at(&raw) + 8, l2_at(&raw) | UINT64_C(1) << 63);
    raw_store(path, &raw);
    BlockFront *front = open_image(path);
    g_assert_cmpint(fill(front, CLUSTER, CLUSTER, 9), ==, -EIO);
    g_assert_cmpint(fill(front, 40 * CLUSTER, CLUSTER, 9), ==, -EIO); /* nobody writes any more */
    assert_reads(front, 0, CLUSTER, 1);
    front_unref(front);
    raw = raw_load(path);
    g_assert_cmpint(load_be64(raw.data + 72) & 2, ==, 2);
    g_free(raw.data);
    front = open_flags(path, "driver=qcow2", BLOCK_OPEN_RDWR, &error);
    g_assert_null(front);
    g_assert_cmpstr(error->message, ==, "qcow2: Image is corrupt; cannot be opened read/write");
    g_clear_error(&error);
    front = open_flags(path, "driver=qcow2", 0, &error);
    g_assert_no_error(error);
    assert_reads(front, 0, CLUSTER, 1);
    front_unref(front);
    g_unlink(path);
}

static void test_overlap_off(void)
{
    g_autofree char *path = test_path("overlap.qcow2");
    GError *error = NULL;
    make_checked(path);
    Raw raw = raw_load(path);
    store_be64(raw.data + l2_at(&raw) + 8 * 511, load_be64(raw.data + 48) | UINT64_C(1) << 63);
    raw_store(path, &raw);
    static const char *const on[] = {
        "overlap-check=cached", "overlap-check=constant",
        "overlap-check.template=none,overlap-check.refcount-table=on"
    };
    /* Behind the disk's end nobody writes; the table is named by an entry that a longer disk has. */
    for (unsigned i = 0; i < G_N_ELEMENTS(on); i++) {
        g_autofree char *o = g_strdup_printf("driver=qcow2,%s", on[i]);
        BlockFront *front = open_flags(path, o, BLOCK_OPEN_RDWR, &error);
        g_assert_no_error(error);
        g_assert_cmpint(fill(front, 60 * CLUSTER, 512, 1), ==, 0);
        front_unref(front);
    }
    BlockFront *front = open_flags(path, "driver=qcow2,overlap-check=nosuch", 0, &error);
    g_assert_null(front);
    g_clear_error(&error);
    g_unlink(path);
}

/* ---- P4: failed and held allocations ---- */

static BlockNode *add_debugged(const char *path)
{
    g_autofree char *debug = g_strdup_printf(
        "driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", path);
    add_node(debug);
    return add_node("driver=qcow2,node-name=fmt,file=debug");
}

static void del_debugged(BlockFront *front)
{
    drop_front(front);
    del_node("fmt");
    del_node("debug");
}

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

/* ---- the rest ---- */

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
    front =
        open_flags("json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{\"driver\":\"null-co\"}}",
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

/* ---- headers ---- */

typedef struct BadHeader {
    const char *name;
    unsigned at, bytes;
    uint64_t value;
    const char *text;
} BadHeader;

static const BadHeader bad_headers[] = {
    { "magic", 0, 4, 1, "Image is not in qcow2 format" },
    { "version", 4, 4, 9, "Unsupported qcow2 version 9" },
    { "clusters-small", 20, 4, 8, "Unsupported cluster size: 2^8" },
    { "clusters-large", 20, 4, 22, "Unsupported cluster size: 2^22" },
    { "size", 24, 8, UINT64_C(1) << 62, "L1 table is too small" },
    { "aes", 32, 4, 1, "AES encryption of qcow2 images is not supported" },
    { "luks", 32, 4, 2, "LUKS encryption of qcow2 images is not supported" },
    { "crypt", 32, 4, 3, "Unsupported encryption method 3" },
    { "l1-size", 36, 4, 1 << 30, "Active L1 table too large" },
    { "l1-offset", 40, 8, 513, "Active L1 table offset invalid" },
    { "reftable-offset", 48, 8, 513, "Reference count table offset invalid" },
    { "reftable-size", 56, 4, 1 << 20, "Reference count table too large" },
    { "reftable-none", 56, 4, 0, "Image does not contain a reference count table" },
    { "snapshots", 60, 4, 70000, "Snapshot table too large" },
    { "backing", 8, 8, 1 << 20, "Invalid backing file offset" },
    { "feature", 72, 8, UINT64_C(1) << 40,
      "Unsupported qcow2 feature(s): Unknown incompatible feature: 10000000000" },
    { "refcounts", 96, 4, 7, "Reference count entry width too large; may not exceed 64 bits" },
    { "header-length", 100, 4, 1 << 20, "qcow2 header exceeds cluster size" },
    { "header-short", 100, 4, 90, "qcow2 header too short" },
    { "extension", 112, 4, 0x12345678, NULL },
};

static void test_bad_headers(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_headers); i++) {
        const BadHeader *b = &bad_headers[i];
        g_autofree char *path = test_path("header.qcow2");
        create(path, "size=1M");
        Raw raw = raw_load(path);
        if (b->bytes == 4) {
            store_be32(raw.data + b->at, b->value);
        } else {
            store_be64(raw.data + b->at, b->value);
        }
        raw_store(path, &raw);
        GError *error = NULL;
        BlockFront *front = open_flags(path, "driver=qcow2", 0, &error);
        if (!b->text) {
            g_assert_no_error(error); /* an unknown extension is no reason */
            front_unref(front);
        } else {
            g_assert_null(front);
            g_assert_cmpstr(error->message, ==, b->text);
            g_error_free(error);
        }
        g_unlink(path);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *name = g_strdup_printf("/block/qcow2/damage/%s", damages[i].name);
        g_test_add_data_func(name, &damages[i], test_damage);
    }
    g_test_add_func("/block/qcow2/fix-leaks-only", test_fix_leaks_only);
    g_test_add_func("/block/qcow2/corrupt-bit", test_corrupt_bit);
    g_test_add_func("/block/qcow2/overlap-options", test_overlap_off);
    g_test_add_func("/block/qcow2/failed-allocation-then-good-write", test_failed_allocation);
    g_test_add_func("/block/qcow2/failed-write-back", test_failed_write_back);
    g_test_add_func("/block/qcow2/second-writer-of-a-new-cluster", test_second_writer);
    g_test_add_func("/block/qcow2/discard-under-a-write", test_discard_under_write);
    g_test_add_func("/block/qcow2/counts-are-written-in-order", test_counts_in_order);
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
    g_test_add_func("/block/qcow2/bad-headers", test_bad_headers);
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
