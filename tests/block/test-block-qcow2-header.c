/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: whatever changes the header fails at each of its requests to the file. Afterwards the image is what it was:
 * what is written then and flushed is there after a crash, the check finds no corruption, the same change can be made.
 */
#include "util/osdep.h"
#include "qcow2-common.h"

/* ---- a file that fails ---- */

typedef struct Fault {
    bool active;
    unsigned at, seen; /* requests; the first one that fails */
    bool on;           /* all that follow fail, too */
    bool half;         /* what fails has been done all the same */
} Fault;

static Fault fault;
static const BlockDriver *real;

static bool fails(void)
{
    if (!fault.active) {
        return false;
    }
    unsigned i = fault.seen++;
    return i == fault.at || (fault.on && i > fault.at);
}

static int coroutine_fn fault_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                    size_t vec_offset, unsigned flags)
{
    bool fail = fails();
    int ret = fail && !fault.half ? 0 : real->write(node, offset, bytes, vec, vec_offset, 0);
    return fail ? -EIO : ret;
}

static int coroutine_fn fault_flush(BlockNode *node)
{
    return fails() ? -EIO : 0;
}

static BlockFront *open_faulty(const char *path)
{
    static BlockDriver faulty;
    g_autofree char *file = g_strdup_printf("driver=file,node-name=file,filename=%s", path);
    BlockNode *node = add_node(file);
    real = node->driver;
    faulty = *real;
    faulty.write = fault_write;
    faulty.flush = fault_flush;
    node->driver = &faulty;
    node->write_flags = 0;
    GError *error = NULL;
    BlockNode *fmt = add_node("driver=qcow2,node-name=fmt,file=file,discard=unmap,backing=");
    BlockFront *front = front_open_node(block_node_ref(fmt), &error);
    g_assert_no_error(error);
    return front;
}

static void close_faulty(BlockFront *front)
{
    front_unref(front);
    del_node("fmt");
    block_node_find("file")->driver = real;
    del_node("file");
}

/* ---- changes ---- */

static bool do_grow(BlockFront *front)
{
    return front_truncate(front, 64 * DISK, false, PREALLOC_MODE_OFF, NULL);
}

static bool do_shrink(BlockFront *front)
{
    return front_truncate(front, DISK / 2, false, PREALLOC_MODE_OFF, NULL);
}

static bool do_create(BlockFront *front)
{
    BlockSnapshot b = { .name = "b", .icount = -1 };
    return block_snapshot_create(front_node(front), &b, NULL);
}

static bool do_delete(BlockFront *front)
{
    return block_snapshot_delete(front_node(front), NULL, "a", NULL);
}

static bool do_rebase(BlockFront *front)
{
    return block_node_change_backing_file(front_node(front), "other.raw", "raw", NULL);
}

static bool do_amend(BlockFront *front, const char *options)
{
    json_object *o = options_of(options);
    bool ok = block_node_amend(front_node(front), o, false, NULL, NULL, NULL);
    json_object_put(o);
    return ok;
}

static bool do_downgrade(BlockFront *front)
{
    return do_amend(front, "compat=0.10");
}

static bool do_upgrade(BlockFront *front)
{
    return do_amend(front, "compat=1.1");
}

static bool do_lazy(BlockFront *front)
{
    return do_amend(front, "lazy_refcounts=on");
}

static bool do_width(BlockFront *front)
{
    return do_amend(front, "refcount_bits=64");
}

typedef struct Change {
    const char *name, *options;
    bool (*run)(BlockFront *front);
    bool snapshot; /* the image has one */
} Change;

static const Change changes[] = {
    { "grow", "size=1M,cluster_size=512", do_grow, false },
    { "grow-with-snapshot", "size=1M,cluster_size=4k", do_grow, true },
    { "shrink", "size=1M,cluster_size=4k", do_shrink, false },
    { "snapshot", "size=1M,cluster_size=4k", do_create, false },
    { "second-snapshot", "size=1M,cluster_size=4k", do_create, true },
    { "delete-snapshot", "size=1M,cluster_size=4k", do_delete, true },
    { "rebase", "size=1M,cluster_size=4k", do_rebase, false },
    { "downgrade", "size=1M,cluster_size=4k", do_downgrade, false },
    { "upgrade", "size=1M,cluster_size=4k,compat=0.10", do_upgrade, false },
    { "lazy", "size=1M,cluster_size=4k", do_lazy, false },
    { "not-lazy-any-more", "size=1M,cluster_size=4k,lazy_refcounts=on", do_lazy, false },
    { "width", "size=1M,cluster_size=4k", do_width, false },
};

/* ---- what has to be there ---- */

static void assert_content(BlockFront *front)
{
    assert_reads(front, 0, 16384, 0x11);
    assert_reads(front, 16384, 16384, 0);
    assert_reads(front, 32768, 32768, 0x22);
    assert_reads(front, 65536, 65536, 0x33);
    assert_reads(front, 131072, 65536, 0);
}

/* What the header says that is not about tables. */
typedef struct Header {
    uint32_t version, snapshots, refcount_order, backing_size;
    uint64_t backing_offset, size, compatible;
} Header;

static Header header_of(const char *path)
{
    Raw raw = raw_load(path);
    const uint8_t *p = raw.data;
    Header h = { .version = load_be32(p + 4),
                 .snapshots = load_be32(p + 60),
                 .refcount_order = load_be32(p + 4) < 3 ? 4 : load_be32(p + 96),
                 .backing_size = load_be32(p + 16),
                 .backing_offset = load_be64(p + 8),
                 .size = load_be64(p + 24),
                 .compatible = load_be32(p + 4) < 3 ? 0 : load_be64(p + 80) };
    g_free(raw.data);
    return h;
}

/* What is written after the failure, and read where a crash leaves the file. */
static void write_and_crash(BlockFront *front, const char *path)
{
    g_autofree char *copy = test_path("copy.qcow2");
    g_assert_cmpint(fill(front, 32768, 32768, 0x22), ==, 0);
    g_assert_cmpint(fill(front, 65536, 65536, 0x33), ==, 0);
    g_assert_cmpint(front_write_zeroes(front, 16384, 16384, BLOCK_MAY_UNMAP), ==, 0);
    g_assert_cmpint(front_flush(front), ==, 0);
    assert_content(front);
    Raw raw = raw_load(path);
    raw_store(copy, &raw);
    GError *error = NULL;
    BlockFront *crashed =
        open_flags(copy, "driver=qcow2,backing=", BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(front_length(crashed), ==, front_length(front));
    assert_content(crashed);
    front_unref(crashed);
    g_assert_cmpint(check(copy, 0).corruptions, ==, 0);
    g_unlink(copy);
}

/* false: nothing has failed, every request has had its turn. */
static bool run_once(const Change *c, const char *path)
{
    create(path, c->options);
    BlockFront *front = open_faulty(path);
    g_assert_cmpint(fill(front, 0, 65536, 0x11), ==, 0);
    if (c->snapshot) {
        BlockSnapshot a = { .name = "a", .icount = -1 };
        g_assert_true(block_snapshot_create(front_node(front), &a, NULL));
        g_assert_cmpint(fill(front, 4096, 4096, 0x11), ==, 0);
    }
    Header before = header_of(path);
    fault.seen = 0;
    fault.active = true;
    bool ok = c->run(front);
    fault.active = false;
    bool hit = fault.seen > fault.at;
    g_assert_true(ok || hit);
    g_test_message("%s: request %u%s%s: %s", c->name, fault.at, fault.on ? " and on" : "",
                   fault.half ? ", done" : "", ok ? "ok" : "failed");
    write_and_crash(front, path);
    if (!ok) {
        BlockSnapshot a;
        bool gone = c->run == do_delete && !block_snapshot_find(front_node(front), "a", &a);
        Header after = header_of(path);
        g_assert_true(gone || memcmp(&before, &after, sizeof(before)) == 0);
        g_assert_true(gone || c->run(front));
    }
    assert_content(front);
    close_faulty(front);
    GError *error = NULL;
    front = open_flags(path, "driver=qcow2,backing=", BLOCK_OPEN_RDWR, &error);
    g_assert_no_error(error);
    assert_content(front);
    front_unref(front);
    g_assert_cmpint(check(path, 0).corruptions, ==, 0);
    g_unlink(path);
    return hit;
}

static void test_change(gconstpointer data)
{
    g_autofree char *path = test_path("header.qcow2");
    g_autofree char *other = make_image("other.raw", 512);
    for (unsigned mode = 0; mode < 4; mode++) {
        fault = (Fault){ .on = mode & 1, .half = mode & 2 };
        while (run_once(data, path)) {
            fault.at++;
        }
    }
    g_unlink(other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *name =
            g_strdup_printf("/block/qcow2/image-after-a-failed-change/%s", changes[i].name);
        g_test_add_data_func(name, &changes[i], test_change);
    }
    return qcow2_test_end();
}
