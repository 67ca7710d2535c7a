/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters: copy-on-read, throttle, blkverify, breakpoints of blkdebug; what -drive makes of them. */
#include "util/osdep.h"
#include "block-common.h"

#include "block/image.h"
#include "qom/object.h"
#include "util/clock.h"

static void create(const char *path, const char *format, const char *options)
{
    GError *error = NULL;
    const BlockDriver *driver = block_driver_by_name(format);
    json_object *o = keyval_parse(options, NULL, false, NULL, &error);
    block_create_check(driver, block_driver_by_name("file"), o, &error);
    g_assert_no_error(error);
    block_create_image(path, driver, o, &error);
    g_assert_no_error(error);
    json_object_put(o);
}

static BlockNode *add_nodef(const char *format, ...) G_GNUC_PRINTF(1, 2);
static BlockNode *add_nodef(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    return add_node(text);
}

static void assert_reads(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    g_assert_cmpint(front_read(front, offset, bytes, buf), ==, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        g_assert_cmphex(buf[i], ==, value);
    }
}

static int fill(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    memset(buf, value, bytes);
    return front_write(front, offset, bytes, buf, 0);
}

static bool is_allocated(BlockNode *node, uint64_t offset)
{
    uint64_t n;
    int ret = block_status_above(node, block_backing_node(node), false, offset, 512, &n, NULL, NULL,
                                 NULL);
    g_assert_cmpint(ret, >=, 0);
    return ret & BLOCK_STATUS_ALLOCATED;
}

/* ---- asynchronous writes and reads ---- */

typedef struct Pending {
    IoVec vec;
    struct iovec iov;
    bool done;
    int ret;
} Pending;

static void pending_done(void *opaque, int ret)
{
    ((Pending *)opaque)->done = true;
    ((Pending *)opaque)->ret = ret;
}

static Pending *submit(BlockFront *front, bool write, uint64_t offset, size_t bytes, uint8_t value)
{
    Pending *p = g_new0(Pending, 1);
    p->iov = (struct iovec){ g_malloc(bytes), bytes };
    memset(p->iov.iov_base, value, bytes);
    p->vec = (IoVec){ &p->iov, 1, 1, bytes };
    if (write) {
        front_aio_write(front, offset, &p->vec, 0, pending_done, p);
    } else {
        front_aio_read(front, offset, &p->vec, pending_done, p);
    }
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

/* ---- copy-on-read ---- */

static char *base_path, *top_path;

static void make_chain(void)
{
    base_path = test_path("base");
    top_path = test_path("top");
    create(base_path, "qcow2", "size=1M");
    GError *error = NULL;
    json_object *o = keyval_parse("driver=qcow2", NULL, false, NULL, NULL);
    BlockFront *front = front_open(base_path, o, BLOCK_OPEN_RDWR, &error);
    json_object_put(o);
    g_assert_no_error(error);
    g_assert_cmpint(fill(front, 0, 1 << 20, 0xbb), ==, 0);
    front_unref(front);
    create(top_path, "qcow2", "size=1M,backing_file=base,backing_fmt=qcow2");
}

static void drop_chain(void)
{
    g_unlink(base_path);
    g_unlink(top_path);
    g_clear_pointer(&base_path, g_free);
    g_clear_pointer(&top_path, g_free);
}

static void test_cor(void)
{
    make_chain();
    BlockNode *top =
        add_nodef("driver=qcow2,node-name=top,file.driver=file,file.filename=%s", top_path);
    add_node("driver=copy-on-read,node-name=cor,file=top");
    BlockFront *front = add_front("cor");
    g_assert_false(is_allocated(top, 0));
    assert_reads(front, 1000, 512, 0xbb);
    g_assert_true(is_allocated(top, 0));
    g_assert_true(is_allocated(top, 65000));
    g_assert_false(is_allocated(top, 65536));
    g_assert_cmpint(fill(front, 131072, 512, 0x11), ==, 0);
    assert_reads(front, 131072, 512, 0x11);
    assert_reads(front, 131584, 512, 0xbb);
    drop_front(front);
    del_node("cor");
    del_node("top");
    drop_chain();
}

/* The copy of what was read must not overwrite what is written meanwhile. */
static void test_cor_race(void)
{
    make_chain();
    add_nodef("driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", top_path);
    BlockNode *top = add_node("driver=qcow2,node-name=top,file=debug");
    add_node("driver=copy-on-read,node-name=cor,file=top");
    BlockFront *front = add_front("cor");
    g_assert_cmpint(block_debug_break(top, BLKDEBUG_EVENT_WRITE_AIO, "A"), ==, 0);
    Pending *read = submit(front, false, 0, 4096, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(top, "A"));
    Pending *write = submit(front, true, 0, 4096, 0x22);
    for (unsigned i = 0; i < 100; i++) {
        main_loop_iterate(false);
    }
    block_debug_resume(top, "A");
    g_assert_cmpint(finish(read), ==, 0);
    g_assert_cmpint(finish(write), ==, 0);
    assert_reads(front, 0, 4096, 0x22);
    assert_reads(front, 4096, 4096, 0xbb);
    drop_front(front);
    del_node("cor");
    del_node("top");
    del_node("debug");
    drop_chain();
}

/* The copy fails: the data are there all the same. */
static void test_cor_error(void)
{
    make_chain();
    add_nodef("driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s,"
              "inject-error.0.event=cor_write,inject-error.0.errno=28",
              top_path);
    BlockNode *top = add_node("driver=qcow2,node-name=top,file=debug");
    add_node("driver=copy-on-read,node-name=cor,file=top");
    BlockFront *front = add_front("cor");
    assert_reads(front, 0, 4096, 0xbb);
    assert_reads(front, 0, 4096, 0xbb);
    (void)top;
    drop_front(front);
    del_node("cor");
    del_node("top");
    del_node("debug");
    drop_chain();
}

static void test_cor_bottom(void)
{
    make_chain();
    GError *error = NULL;
    add_nodef("driver=qcow2,node-name=base,read-only=on,file.driver=file,file.filename=%s",
              base_path);
    BlockNode *top = add_nodef(
        "driver=qcow2,node-name=top,backing=base,file.driver=file,file.filename=%s", top_path);
    g_assert_false(
        block_add_blockdev("driver=copy-on-read,node-name=cor,file=top,bottom=nosuch", &error));
    g_clear_error(&error);
    g_assert_false(
        block_add_blockdev("driver=copy-on-read,node-name=cor,file=top,bottom=top", &error));
    g_assert_cmpstr(error->message, ==, "Bottom node 'top' not found in the backing chain");
    g_clear_error(&error);
    add_node("driver=copy-on-read,node-name=cor,file=top,bottom=base");
    BlockFront *front = add_front("cor");
    assert_reads(front, 0, 512, 0xbb);
    g_assert_true(is_allocated(top, 0));
    drop_front(front);
    del_node("cor");
    del_node("top");
    del_node("base");
    drop_chain();
}

/* ---- throttle ---- */

static void add_group(const char *id, const char *limits)
{
    GError *error = NULL;
    g_autofree char *text = g_strdup_printf("{\"limits\": %s}", limits);
    json_object *o = json_tokener_parse(text);
    user_creatable_add("throttle-group", id, o, &error);
    g_assert_no_error(error);
    json_object_put(o);
}

static double seconds_of_reads(BlockFront *front, unsigned n, size_t bytes)
{
    Pending *p[64];
    int64_t start = clock_get_ns(CLOCK_REALTIME_NS);
    for (unsigned i = 0; i < n; i++) {
        p[i] = submit(front, false, 0, bytes, 0);
    }
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(finish(p[i]), ==, 0);
    }
    return (double)(clock_get_ns(CLOCK_REALTIME_NS) - start) / NS_PER_SEC;
}

static void test_throttle(void)
{
    GError *error = NULL;
    add_group("g0", "{\"iops-total\": 100}");
    g_assert_false(block_add_blockdev(
        "driver=throttle,node-name=t,throttle-group=nosuch,file.driver=null-co", &error));
    g_assert_cmpstr(error->message, ==, "Throttle group 'nosuch' does not exist");
    g_clear_error(&error);
    add_node("driver=throttle,node-name=t,throttle-group=g0,file.driver=null-co");
    BlockFront *front = add_front("t");
    /* Ten fit into the bucket; the other thirty come at 100 a second. */
    double s = seconds_of_reads(front, 40, 512);
    g_assert_cmpfloat(s, >, 0.25);
    g_assert_false(user_creatable_del("g0", &error));
    g_assert_cmpstr(error->message, ==, "object 'g0' is in use, can not be deleted");
    g_clear_error(&error);
    /* New limits are in effect at once, and for those that wait. */
    Object *group = object_resolve("/objects/g0", NULL);
    static const char *const texts[] = { "{\"iops-total\": 1}", "{\"iops-total\": 0}" };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        json_object *limits = json_tokener_parse(texts[i]);
        g_assert_true(object_set(group, "limits", limits, &error));
        json_object_put(limits);
    }
    g_assert_cmpfloat(seconds_of_reads(front, 60, 512), <, 20); /* not a minute */
    drop_front(front);
    del_node("t");
    g_assert_true(user_creatable_del("g0", &error));
}

/* Whoever drains does not wait for the limits. */
static void test_throttle_drain(void)
{
    GError *error = NULL;
    add_group("g1", "{\"iops-total\": 1}");
    add_node("driver=throttle,node-name=t,throttle-group=g1,file.driver=null-aio");
    BlockFront *front = add_front("t");
    Pending *p[40];
    for (unsigned i = 0; i < G_N_ELEMENTS(p); i++) {
        p[i] = submit(front, true, 0, 512, 1);
    }
    int64_t start = clock_get_ns(CLOCK_REALTIME_NS);
    block_drain_begin(block_node_find("t"));
    block_drain_end(block_node_find("t"));
    g_assert_cmpint(clock_get_ns(CLOCK_REALTIME_NS) - start, <, 20 * NS_PER_SEC);
    for (unsigned i = 0; i < G_N_ELEMENTS(p); i++) {
        g_assert_cmpint(finish(p[i]), ==, 0);
    }
    drop_front(front);
    del_node("t");
    g_assert_true(user_creatable_del("g1", &error));
}

/* Two members of a group get the same share, whoever asks more. */
static void test_throttle_fair(void)
{
    GError *error = NULL;
    add_group("g2", "{\"iops-total\": 200}");
    add_node("driver=throttle,node-name=a,throttle-group=g2,file.driver=null-co");
    add_node("driver=throttle,node-name=b,throttle-group=g2,file.driver=null-co");
    BlockFront *a = add_front("a"), *b = add_front("b");
    Pending *many[60], *few[15];
    for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
        many[i] = submit(a, false, 0, 512, 0);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(few); i++) {
        few[i] = submit(b, false, 0, 512, 0);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(few); i++) {
        g_assert_cmpint(finish(few[i]), ==, 0);
    }
    unsigned waiting = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
        waiting += !many[i]->done;
    }
    g_assert_cmpint(waiting, >, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
        g_assert_cmpint(finish(many[i]), ==, 0);
    }
    drop_front(a);
    drop_front(b);
    del_node("a");
    del_node("b");
    g_assert_true(user_creatable_del("g2", &error));
}

static void test_throttle_refuses(void)
{
    static const char *const bad[] = {
        "{\"limits\": {\"iops-total\": 1, \"iops-read\": 1}}",
        "{\"limits\": {\"bps-total-max\": 1}}",
        "{\"limits\": {\"bps-total\": 10, \"bps-total-max\": 5}}",
        "{\"limits\": {\"bps-total\": -1}}",
        "{\"limits\": {\"bps-total\": 1, \"bps-total-max-length\": 5}}",
        "{\"limits\": {\"iops-size\": 1}}",
        "{\"limits\": {\"nosuch\": 1}}",
        "{\"x-bps-total\": -1}",
        "{\"x-iops-total\": 5, \"x-iops-read\": 5}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        json_object *o = json_tokener_parse(bad[i]);
        g_assert_false(user_creatable_add("throttle-group", "bad", o, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
        json_object_put(o);
    }
}

/* ---- blkverify ---- */

static void test_blkverify(void)
{
    g_autofree char *image = test_path("image.qcow2");
    g_autofree char *raw = test_path("copy.raw");
    GError *error = NULL;
    create(image, "qcow2", "size=1M");
    create(raw, "raw", "size=1M");
    g_autofree char *name = g_strdup_printf("blkverify:%s:%s", raw, image);
    json_object *o = keyval_parse("driver=raw", NULL, false, NULL, NULL);
    BlockFront *front = front_open(name, o, BLOCK_OPEN_RDWR, &error);
    json_object_put(o);
    g_assert_no_error(error);
    g_assert_cmpint(fill(front, 4096, 8192, 0x42), ==, 0);
    assert_reads(front, 4096, 8192, 0x42);
    assert_file_byte(raw, 5000, 0x42);
    FILE *f = fopen(raw, "r+b");
    g_assert_nonnull(f);
    fseek(f, 6000, SEEK_SET);
    fputc(0x43, f);
    fclose(f);
    uint8_t buf[512];
    g_assert_cmpint(front_read(front, 5632, 512, buf), ==, -EIO);
    g_assert_cmpint(front_read(front, 4096, 512, buf), ==, 0);
    front_unref(front);
    g_unlink(image);
    g_unlink(raw);
}

/* ---- blkdebug ---- */

/* One request held by two breakpoints goes on when both are resumed. */
static void test_two_breakpoints(void)
{
    add_node("driver=blkdebug,node-name=debug,image.driver=null-co,image.read-zeroes=on");
    BlockNode *node = add_node("driver=raw,node-name=raw,file=debug");
    BlockFront *front = add_front("raw");
    block_debug_break(node, BLKDEBUG_EVENT_WRITE_AIO, "A");
    block_debug_break(node, BLKDEBUG_EVENT_WRITE_AIO, "B");
    Pending *p = submit(front, true, 0, 512, 1);
    g_assert_true(block_debug_is_suspended(node, "A"));
    g_assert_true(block_debug_is_suspended(node, "B"));
    g_assert_cmpint(block_debug_resume(node, "A"), ==, 0);
    for (unsigned i = 0; i < 20; i++) {
        main_loop_iterate(false);
    }
    g_assert_false(p->done);
    g_assert_cmpint(block_debug_resume(node, "B"), ==, 0);
    g_assert_cmpint(finish(p), ==, 0);
    g_assert_cmpint(block_debug_resume(node, "B"), ==, -ENOENT);
    drop_front(front);
    del_node("raw");
    del_node("debug");
}

/* ---- -drive ---- */

static void test_drive_snapshot(void)
{
    g_autofree char *path = make_image("drive.raw", 65536);
    GError *error = NULL;
    g_autofree char *text = g_strdup_printf(
        "if=none,id=d0,format=raw,snapshot=on,copy-on-read=on,bps=1000000000,file=%s", path);
    g_assert_true(block_add_drive(text, BLOCK_IF_NONE, &error));
    g_assert_no_error(error);
    BlockFront *front = front_for_property("d0", NULL, &error);
    static const BlockDeviceOps ops = { 0 };
    BlockDeviceConf conf = { .ops = &ops,
                             .device = front,
                             .path = "/t",
                             .rerror = BLOCKDEV_ON_ERROR_AUTO,
                             .werror = BLOCKDEV_ON_ERROR_AUTO };
    front_attach_device(front, &conf, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fill(front, 0, 4096, 0xee), ==, 0);
    assert_reads(front, 0, 4096, 0xee);
    uint8_t byte[512];
    g_assert_cmpint(front_read(front, 8192, 512, byte), ==, 0);
    g_assert_cmphex(byte[7], ==, pattern(8199));
    drop_front(front);
    assert_file_byte(path, 100, pattern(100)); /* the image is as it was */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    g_test_add_func("/block/filters/copy-on-read", test_cor);
    g_test_add_func("/block/filters/copy-on-read-and-a-write", test_cor_race);
    g_test_add_func("/block/filters/copy-on-read-no-space", test_cor_error);
    g_test_add_func("/block/filters/copy-on-read-bottom", test_cor_bottom);
    g_test_add_func("/block/filters/throttle", test_throttle);
    g_test_add_func("/block/filters/throttle-drain", test_throttle_drain);
    g_test_add_func("/block/filters/throttle-fair", test_throttle_fair);
    g_test_add_func("/block/filters/throttle-refuses", test_throttle_refuses);
    g_test_add_func("/block/filters/blkverify", test_blkverify);
    g_test_add_func("/block/filters/two-breakpoints", test_two_breakpoints);
    g_test_add_func("/block/filters/drive-snapshot", test_drive_snapshot);
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
