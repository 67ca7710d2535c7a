/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fronts: callbacks, cancelling, draining, quiesce, permissions, locks, errors, media, change of
 * hands. */
#include "util/osdep.h"
#include "block-common.h"

#include <sys/wait.h>
#include "qapi/dispatch.h"

static const char *self; /* this program */

/* ---- helpers ---- */

typedef struct Wait {
    int calls;
    int ret;
    bool inside;
} Wait;

static void on_done(void *opaque, int ret)
{
    Wait *w = opaque;
    g_assert_false(w->inside);
    w->calls++;
    w->ret = ret;
}

static void spin(int n)
{
    while (n--) {
        main_loop_iterate(false);
    }
}

static uint8_t data[4096];
static struct iovec data_iov = { data, sizeof(data) };
static IoVec data_vec = { &data_iov, 1, 1, sizeof(data) };

static BlockFront *slow_front(void)
{
    add_node("driver=null-co,node-name=slow,latency-ns=20000000,size=1048576");
    return add_front("slow");
}

static GString *events; /* "NAME data\n" */

static void sink(const char *name, json_object *obj, void *opaque)
{
    g_string_append_printf(events, "%s ", name);
    if (obj) {
        qapi_json_write(events, obj, false);
    }
    g_string_append_c(events, '\n');
}

/* ---- requests ---- */

static void test_callback_comes_later_and_once(void)
{
    add_node("driver=null-co,node-name=n");
    BlockFront *front = add_front("n");
    Wait w = { .inside = true };
    front_aio_read(front, 0, &data_vec, on_done, &w);
    w.inside = false;
    g_assert_cmpint(front_in_flight(front), ==, 1);
    MAIN_LOOP_WHILE(!w.calls);
    g_assert_cmpint(w.ret, ==, 0);
    spin(5);
    g_assert_cmpint(w.calls, ==, 1);
    g_assert_cmpint(front_in_flight(front), ==, 0);
    drop_front(front);
    del_node("n");
}

static void test_no_medium(void)
{
    BlockFront *front = front_new(NULL, NULL);
    Wait w = { .inside = true };
    front_aio_write(front, 0, &data_vec, 0, on_done, &w);
    w.inside = false;
    MAIN_LOOP_WHILE(!w.calls);
    g_assert_cmpint(w.ret, ==, -ENOMEDIUM);
    g_assert_cmpint(front_length(front), ==, -ENOMEDIUM);
    g_assert_cmpint(front_flush(front), ==, -ENOMEDIUM);
    front_unref(front);
}

static void test_cancel_of_a_waiting_request_ends_it_once(void)
{
    BlockFront *front = slow_front();
    Wait a = { 0 }, b = { 0 };
    front_drain_begin(front);
    BlockAio *first = front_aio_write(front, 0, &data_vec, 0, on_done, &a);
    front_aio_write(front, 0, &data_vec, 0, on_done, &b);
    g_assert_cmpint(front_in_flight(front), ==, 0);
    a.inside = true;
    front_aio_cancel(first);
    a.inside = false;
    MAIN_LOOP_WHILE(!a.calls);
    g_assert_cmpint(a.ret, ==, -ECANCELED);
    g_assert_cmpint(b.calls, ==, 0);
    front_drain_end(front);
    MAIN_LOOP_WHILE(!b.calls);
    g_assert_cmpint(b.ret, ==, 0);
    spin(5);
    g_assert_cmpint(a.calls, ==, 1);
    g_assert_cmpint(b.calls, ==, 1);
    drop_front(front);
    del_node("slow");
}

/* A device goes while its request waits. */
static void test_detach_ends_waiting_requests(void)
{
    BlockFront *front = slow_front();
    Wait w = { 0 };
    g_assert_true(block_quiesce(NULL));
    front_aio_write(front, 0, &data_vec, 0, on_done, &w);
    front_detach_device(front);
    g_assert_cmpint(w.calls, ==, 1);
    g_assert_cmpint(w.ret, ==, -ECANCELED);
    block_resume();
    front_unref(front);
    del_node("slow");
}

static void test_cancel_of_a_running_request_gives_its_result_once(void)
{
    BlockFront *front = slow_front();
    Wait w = { .inside = true };
    BlockAio *aio = front_aio_write(front, 0, &data_vec, 0, on_done, &w);
    front_aio_cancel(aio);
    front_aio_cancel(aio);
    w.inside = false;
    front_drain(front);
    g_assert_cmpint(w.calls, ==, 1);
    g_assert_cmpint(w.ret, ==, 0);
    drop_front(front);
    del_node("slow");
}

static void test_drained_section_holds_requests_back(void)
{
    BlockFront *front = slow_front();
    Wait a = { 0 }, b = { 0 };
    front_aio_write(front, 0, &data_vec, 0, on_done, &a);
    BlockNode *node = front_node(front);
    block_drain_begin(node);
    g_assert_cmpint(a.calls, ==, 1); /* was awaited */
    block_drain_begin(node);
    front_aio_write(front, 0, &data_vec, 0, on_done, &b);
    block_drain_end(node);
    spin(5);
    g_assert_cmpint(front_in_flight(front), ==, 0);
    g_assert_cmpint(b.calls, ==, 0);
    block_drain_end(node);
    g_assert_cmpint(front_in_flight(front), ==, 1);
    MAIN_LOOP_WHILE(!b.calls);
    drop_front(front);
    del_node("slow");
}

static void test_drained_section_below_holds_those_above(void)
{
    add_node("driver=null-co,node-name=low");
    add_node("driver=raw,node-name=high,file=low");
    BlockFront *front = add_front("high");
    Wait w = { 0 };
    block_drain_begin(block_node_find("low"));
    front_aio_write(front, 0, &data_vec, 0, on_done, &w);
    spin(5);
    g_assert_cmpint(w.calls, ==, 0);
    /* An edge that comes into the section is drained too, and one that goes is not any more. */
    add_node("driver=raw,node-name=other,file=low");
    g_assert_cmpint(block_node_find("other")->drain_count, ==, 1);
    del_node("other");
    block_drain_end(block_node_find("low"));
    MAIN_LOOP_WHILE(!w.calls);
    drop_front(front);
    del_node("high");
    del_node("low");
}

/* What is submitted by a completion is awaited as well. */
typedef struct Chain {
    BlockFront *front;
    int left;
} Chain;

static void chain_done(void *opaque, int ret)
{
    Chain *c = opaque;
    g_assert_cmpint(ret, ==, 0);
    if (--c->left > 0) {
        front_aio_read(c->front, 0, &data_vec, chain_done, c);
    }
}

static void test_drain_all_awaits_chains(void)
{
    add_node("driver=null-co,node-name=n,latency-ns=1000000");
    Chain c = { add_front("n"), 10 };
    front_aio_read(c.front, 0, &data_vec, chain_done, &c);
    block_drain_all();
    g_assert_cmpint(c.left, ==, 0);
    drop_front(c.front);
    del_node("n");
}

static void test_quiesce_parks_until_resume(void)
{
    BlockFront *front = slow_front();
    Wait a = { 0 }, b = { 0 };
    front_aio_write(front, 0, &data_vec, 0, on_done, &a);
    g_assert_true(block_quiesce(NULL));
    g_assert_true(block_quiesced());
    g_assert_cmpint(a.calls, ==, 1);
    front_aio_write(front, 0, &data_vec, 0, on_done, &b);
    spin(5);
    g_assert_cmpint(front_in_flight(front), ==, 0);
    g_assert_cmpint(b.calls, ==, 0);
    block_resume();
    MAIN_LOOP_WHILE(!b.calls);
    g_assert_cmpint(b.ret, ==, 0);
    drop_front(front);
    del_node("slow");
}

static void test_write_cache_off_makes_writes_stable(void)
{
    g_autofree char *path = make_image("wt", 65536);
    g_autofree char *opt = g_strdup_printf(
        "driver=blkdebug,node-name=d,image.driver=file,image.filename=%s,"
        "inject-error.0.event=none,inject-error.0.iotype=flush,inject-error.0.once=on",
        path);
    add_node(opt);
    BlockFront *front = add_front("d");
    g_assert_cmpint(front_write_zeroes(front, 0, 4096, 0), ==, 0);
    front_set_write_cache(front, false);
    g_assert_cmpint(front_write_zeroes(front, 0, 4096, 0), ==, -EIO); /* its flush failed */
    g_assert_cmpint(front_write(front, 0, 4096, data, 0), ==, 0);
    drop_front(front);
    del_node("d");
}

/* ---- permissions ---- */

static bool try_attach(BlockFront *front, BlockDeviceConf conf, char **message)
{
    GError *error = NULL;
    bool ok = front_attach_device(front, &conf, &error);
    *message = ok ? g_strdup("") : g_strdup(error->message);
    g_clear_error(&error);
    return ok;
}

#define CONF(path_)                                                                               \
    {                                                                                             \
        .path = path_, .resizes = true, .handles_errors = true, .rerror = BLOCKDEV_ON_ERROR_AUTO, \
        .werror = BLOCKDEV_ON_ERROR_AUTO                                                          \
    }

static void test_second_writer_of_a_node_is_refused_by_name(void)
{
    add_node("driver=null-co,node-name=n0");
    BlockFront *a = front_for_property("n0", NULL, NULL), *b = front_for_property("n0", NULL, NULL);
    g_autofree char *m1 = NULL, *m2 = NULL, *m3 = NULL;
    g_assert_true(try_attach(a, (BlockDeviceConf)CONF("/machine/a"), &m1));
    g_assert_false(try_attach(b, (BlockDeviceConf)CONF("/machine/b"), &m2));
    g_assert_cmpstr(
        m2, ==,
        "Permission conflict on node 'n0': permissions 'write' are both required by block device "
        "'/machine/a' (uses node 'n0' as 'root' child) and unshared by block device '/machine/b' "
        "(uses "
        "node 'n0' as 'root' child).");
    front_detach_device(a);
    g_assert_true(try_attach(b, (BlockDeviceConf)CONF("/machine/b"), &m3));
    front_detach_device(b);
    front_unref(a);
    front_unref(b);
    del_node("n0");
}

static void test_share_rw(void)
{
    add_node("driver=null-co,node-name=n0");
    BlockFront *a = front_for_property("n0", NULL, NULL), *b = front_for_property("n0", NULL, NULL);
    BlockDeviceConf conf = CONF("/x");
    conf.share_rw = true;
    g_autofree char *m1 = NULL, *m2 = NULL;
    g_assert_true(try_attach(a, conf, &m1));
    g_assert_true(try_attach(b, conf, &m2));
    drop_front(a);
    drop_front(b);
    del_node("n0");
}

static void test_conflict_through_parents_names_them(void)
{
    add_node("driver=null-co,node-name=f");
    add_node("driver=raw,node-name=r1,file=f");
    add_node("driver=raw,node-name=r2,file=f");
    BlockFront *a = add_front("r1"), *b = front_for_property("r2", NULL, NULL);
    g_autofree char *m = NULL;
    g_assert_false(try_attach(b, (BlockDeviceConf)CONF("/b"), &m));
    g_assert_cmpstr(
        m, ==,
        "Permission conflict on node 'f': permissions 'write' are both required by node 'r1' (uses "
        "node "
        "'f' as 'file' child) and unshared by node 'r2' (uses node 'f' as 'file' child).");
    front_unref(b);
    drop_front(a);
    del_node("r1");
    del_node("r2");
    del_node("f");
}

static void test_read_only_medium(void)
{
    add_node("driver=null-co,node-name=ro,read-only=on");
    BlockFront *front = front_for_property("ro", NULL, NULL);
    BlockDeviceConf conf = CONF("/x");
    conf.needs_write = true;
    g_autofree char *m1 = NULL, *m2 = NULL;
    g_assert_false(try_attach(front, conf, &m1));
    g_assert_cmpstr(m1, ==, "Block node is read-only");
    conf.needs_write = false;
    g_assert_true(try_attach(front, conf, &m2));
    g_assert_true(front_is_read_only(front));
    g_assert_cmpint(front_write(front, 0, 512, data, 0), ==, -EPERM);
    g_assert_cmpint(front_read(front, 0, 512, data), ==, 0);
    drop_front(front);
    del_node("ro");
}

static void test_empty_drive_and_double_use(void)
{
    GError *error = NULL;
    g_assert_true(block_add_drive("if=none,id=d0", BLOCK_IF_IDE, &error));
    BlockFront *front = front_for_property("d0", NULL, &error);
    BlockDeviceConf conf = CONF("/x");
    conf.needs_medium = true;
    g_autofree char *m1 = NULL, *m2 = NULL;
    g_assert_false(try_attach(front, conf, &m1));
    g_assert_cmpstr(m1, ==, "Device needs media, but drive is empty");
    conf.needs_medium = false;
    g_assert_true(try_attach(front, conf, &m2));
    g_assert_null(front_for_property("d0", NULL, &error));
    g_assert_cmpstr(error->message, ==, "Drive 'd0' is already in use by another device");
    g_clear_error(&error);
    drop_front(front);
    g_assert_null(front_by_name("d0")); /* it goes with its device */
    bool exists = true;
    g_assert_null(front_for_property("d0", &exists, &error));
    g_assert_false(exists);
    g_clear_error(&error);
}

/* ---- locks ---- */

/* Another process that uses the image until its stdin is closed. */
typedef struct Holder {
    GPid pid;
    int in;
} Holder;

static int hold(const char *option)
{
    GError *error = NULL;
    main_loop_init();
    if (!block_add_blockdev(option, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    add_front("h");
    printf("ready\n");
    fflush(stdout);
    char c;
    while (read(0, &c, 1) > 0) {
    }
    return 0;
}

static Holder holder_start(const char *option)
{
    Holder h;
    int out;
    GError *error = NULL;
    char *argv[] = { (char *)self, (char *)"--hold", (char *)option, NULL };
    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &h.pid, &h.in,
                             &out, NULL, &error);
    g_assert_no_error(error);
    char buf[16] = { 0 };
    g_assert_cmpint(read(out, buf, sizeof(buf) - 1), ==, 6);
    g_assert_cmpstr(buf, ==, "ready\n");
    close(out);
    return h;
}

static void holder_stop(Holder *h)
{
    int status;
    close(h->in);
    g_assert_cmpint(waitpid(h->pid, &status, 0), ==, h->pid);
    g_assert_cmpint(status, ==, 0);
}

static void attach_text(const char *opt, BlockDeviceConf conf, char **message)
{
    add_node(opt);
    BlockFront *front = front_for_property("h", NULL, NULL);
    if (try_attach(front, conf, message)) {
        front_detach_device(front);
    }
    front_unref(front);
    del_node("h");
}

static void test_two_writers_of_one_image_are_refused(void)
{
    g_autofree char *path = make_image("locked", 65536);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=h,filename=%s", path);
    g_autofree char *ro = g_strdup_printf("%s,read-only=on", opt);
    g_autofree char *off = g_strdup_printf("%s,locking=off", opt);
    g_autofree char *fs = g_strdup_printf("%s,read-only=on,force-share=on", opt);
    g_autofree char *write_error = g_strdup_printf(
        "Failed to get \"write\" lock\nIs another process using the image [%s]?", path);
    g_autofree char *shared_error = g_strdup_printf(
        "Failed to get shared \"write\" lock\nIs another process using the image [%s]?", path);
    Holder h = holder_start(opt);
    g_autofree char *m1 = NULL, *m2 = NULL, *m3 = NULL, *m4 = NULL, *m5 = NULL;
    attach_text(opt, (BlockDeviceConf)CONF("/x"), &m1);
    g_assert_cmpstr(m1, ==, write_error);
    attach_text(ro, (BlockDeviceConf)CONF("/x"), &m2);
    g_assert_cmpstr(m2, ==, shared_error);
    attach_text(off, (BlockDeviceConf)CONF("/x"), &m3);
    g_assert_cmpstr(m3, ==, "");
    attach_text(fs, (BlockDeviceConf)CONF("/x"), &m4);
    g_assert_cmpstr(m4, ==, "");
    holder_stop(&h);
    attach_text(opt, (BlockDeviceConf)CONF("/x"), &m5);
    g_assert_cmpstr(m5, ==, "");
}

static void test_two_readers_of_one_image_are_fine(void)
{
    g_autofree char *path = make_image("read", 65536);
    g_autofree char *ro = g_strdup_printf("driver=file,node-name=h,filename=%s,read-only=on", path);
    g_autofree char *rw = g_strdup_printf("driver=file,node-name=h,filename=%s", path);
    Holder h = holder_start(ro);
    g_autofree char *m1 = NULL, *m2 = NULL;
    attach_text(ro, (BlockDeviceConf)CONF("/x"), &m1);
    g_assert_cmpstr(m1, ==, "");
    attach_text(rw, (BlockDeviceConf)CONF("/x"), &m2);
    g_assert_true(g_str_has_prefix(m2, "Failed to get \"write\" lock"));
    holder_stop(&h);
}

/* The installed stock tool, if there is one. */
static void test_stock_respects_our_locks(void)
{
    g_autofree char *tool = g_find_program_in_path("qemu-io");
    if (!tool) {
        g_test_skip("qemu-io of the stock QEMU is not installed");
        return;
    }
    g_autofree char *path = make_image("stock", 65536);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=h,filename=%s", path);
    char *argv[] = { tool, (char *)"-f", (char *)"raw", (char *)"-c", (char *)"write 0 512",
                     path, NULL };
    add_node(opt);
    BlockFront *front = add_front("h");
    for (int i = 0; i < 2; i++) {
        g_autofree char *out = NULL, *err = NULL;
        int status;
        g_assert_true(g_spawn_sync(NULL, argv, NULL, 0, NULL, NULL, &out, &err, &status, NULL));
        if (i == 0) {
            g_assert_cmpint(WEXITSTATUS(status), ==, 1);
            g_assert_nonnull(strstr(err, "Failed to get \"write\" lock"));
            drop_front(front);
        } else {
            g_assert_cmpint(WEXITSTATUS(status), ==, 0);
        }
    }
    del_node("h");
}

static void test_auto_read_only_opens_for_writing_when_asked(void)
{
    g_autofree char *path = make_image("auto", 65536);
    g_autofree char *opt =
        g_strdup_printf("driver=file,node-name=h,filename=%s,auto-read-only=on", path);
    add_node(opt);
    BlockFront *front = add_front("h");
    memset(data, 0x77, 512);
    g_assert_cmpint(front_write(front, 0, 512, data, 0), ==, 0);
    assert_file_byte(path, 511, 0x77);
    drop_front(front);
    del_node("h");
}

/* ---- change of hands ---- */

static void test_switchover_gives_the_image_away_and_takes_it_back(void)
{
    g_autofree char *path = make_image("move", 65536);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=h,filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("h");
    GError *error = NULL;
    g_assert_true(block_inactivate_all(&error));
    g_assert_true(block_inactivate_all(&error));
    g_assert_cmpint(front_write(front, 0, 512, data, 0), ==, -EPERM);
    g_assert_cmpint(front_read(front, 0, 512, data), ==, 0);
    Wait parked = { 0 };
    front_aio_write(front, 0, &data_vec, 0, on_done, &parked);
    spin(5);
    Holder h = holder_start(opt); /* the destination */
    g_assert_false(block_activate_all(&error));
    g_assert_nonnull(strstr(error->message, "Failed to get"));
    g_clear_error(&error);
    g_assert_cmpint(front_write(front, 0, 512, data, 0), ==, -EPERM);
    holder_stop(&h);
    g_assert_cmpint(parked.calls, ==, 0);
    g_assert_true(block_activate_all(&error));
    g_assert_no_error(error);
    front_drain(front);
    g_assert_cmpint(parked.calls, ==, 1);
    g_assert_cmpint(parked.ret, ==, 0);
    g_assert_cmpint(front_write(front, 0, 512, data, 0), ==, 0);
    g_autofree char *m = NULL;
    h = (Holder){ 0 };
    drop_front(front);
    del_node("h");
    attach_text(opt, (BlockDeviceConf)CONF("/x"), &m);
    g_assert_cmpstr(m, ==, "");
}

static void test_incoming_takes_no_locks_before_activation(void)
{
    g_autofree char *path = make_image("in", 65536);
    g_autofree char *opt =
        g_strdup_printf("driver=raw,node-name=h,file.driver=file,file.filename=%s", path);
    Holder h = holder_start(opt); /* the source */
    block_set_incoming(true);
    add_node(opt);
    BlockFront *front = add_front("h");
    g_assert_true(front_node(front)->inactive);
    g_assert_true(front_node(front)->file->node->inactive);
    holder_stop(&h);
    GError *error = NULL;
    g_assert_true(block_activate_all(&error));
    g_assert_no_error(error);
    g_assert_cmpint(front_write(front, 0, 512, data, 0), ==, 0);
    drop_front(front);
    del_node("h");
}

/* ---- errors ---- */

static unsigned stops;

static void count_stop(void)
{
    stops++;
}

static void test_error_policies(void)
{
    static const struct {
        BlockdevOnError policy;
        bool is_read;
        int err;
        BlockErrorAction action;
    } cases[] = {
        { BLOCKDEV_ON_ERROR_AUTO, true, EIO, BLOCK_ERROR_ACTION_REPORT },
        { BLOCKDEV_ON_ERROR_AUTO, true, ENOSPC, BLOCK_ERROR_ACTION_REPORT },
        { BLOCKDEV_ON_ERROR_AUTO, false, EIO, BLOCK_ERROR_ACTION_REPORT },
        { BLOCKDEV_ON_ERROR_AUTO, false, ENOSPC, BLOCK_ERROR_ACTION_STOP },
        { BLOCKDEV_ON_ERROR_ENOSPC, false, EIO, BLOCK_ERROR_ACTION_REPORT },
        { BLOCKDEV_ON_ERROR_ENOSPC, false, ENOSPC, BLOCK_ERROR_ACTION_STOP },
        { BLOCKDEV_ON_ERROR_STOP, true, EIO, BLOCK_ERROR_ACTION_STOP },
        { BLOCKDEV_ON_ERROR_IGNORE, false, EIO, BLOCK_ERROR_ACTION_IGNORE },
        { BLOCKDEV_ON_ERROR_REPORT, false, ENOSPC, BLOCK_ERROR_ACTION_REPORT },
    };
    add_node("driver=null-co,node-name=n");
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        BlockFront *front = front_for_property("n", NULL, NULL);
        BlockDeviceConf conf = CONF("/x");
        conf.rerror = cases[i].is_read ? cases[i].policy : BLOCKDEV_ON_ERROR_AUTO;
        conf.werror = cases[i].is_read ? BLOCKDEV_ON_ERROR_AUTO : cases[i].policy;
        g_autofree char *m = NULL;
        g_assert_true(try_attach(front, conf, &m));
        g_assert_cmpint(front_error_action(front, cases[i].is_read, cases[i].err), ==,
                        cases[i].action);
        drop_front(front);
    }
    del_node("n");
}

static void test_error_event_and_stop(void)
{
    add_node("driver=null-co,node-name=n");
    BlockFront *front = add_front("n");
    static const BlockHooks hooks = { .stop_vm = count_stop };
    block_set_hooks(&hooks);
    g_string_truncate(events, 0);
    stops = 0;
    front_error_apply(front, BLOCK_ERROR_ACTION_STOP, false, ENOSPC);
    g_assert_cmpstr(events->str, ==,
                    "BLOCK_IO_ERROR {\"qom-path\": \"/test\", \"device\": \"\", \"node-name\": "
                    "\"n\", \"operation\": "
                    "\"write\", \"action\": \"stop\", \"nospace\": true, \"reason\": \"No space "
                    "left on device\"}\n");
    g_assert_cmpint(stops, ==, 1);
    g_autofree char *q = run_qmp("query-block", NULL);
    g_assert_nonnull(strstr(q, "\"io-status\": \"nospace\""));
    front_iostatus_reset_all();
    g_autofree char *q2 = run_qmp("query-block", NULL);
    g_assert_nonnull(strstr(q2, "\"io-status\": \"ok\""));
    front_error_apply(front, BLOCK_ERROR_ACTION_REPORT, true, EIO);
    g_assert_cmpint(stops, ==, 1);
    static const BlockHooks none = { 0 };
    block_set_hooks(&none);
    drop_front(front);
    del_node("n");
}

static void test_statistics(void)
{
    add_node("driver=null-co,node-name=n");
    BlockFront *front = add_front("n");
    Wait w[4] = { 0 };
    front_aio_read(front, 0, &data_vec, on_done, &w[0]);
    front_aio_write(front, 8192, &data_vec, 0, on_done, &w[1]);
    front_aio_flush(front, on_done, &w[2]);
    front_aio_read(front, UINT64_C(1) << 40, &data_vec, on_done, &w[3]);
    front_drain(front);
    front_account_invalid(front, BLOCK_STAT_READ);
    g_autofree char *q = run_qmp("query-blockstats", NULL);
    g_assert_nonnull(strstr(q, "\"rd_bytes\": 4096,"));
    g_assert_nonnull(strstr(q, "\"wr_bytes\": 4096,"));
    g_assert_nonnull(strstr(q, "\"rd_operations\": 1,"));
    g_assert_nonnull(strstr(q, "\"flush_operations\": 1,"));
    g_assert_nonnull(strstr(q, "\"failed_rd_operations\": 1,"));
    g_assert_nonnull(strstr(q, "\"invalid_rd_operations\": 1,"));
    g_assert_nonnull(strstr(q, "\"wr_highest_offset\": 12288,"));
    drop_front(front);
    del_node("n");
}

/* ---- trays and media ---- */

typedef struct Cd {
    bool open, locked;
    unsigned eject_requests;
} Cd;

static bool cd_change_media(void *device, bool load, GError **error)
{
    ((Cd *)device)->open = !load;
    return true;
}

static void cd_eject_request(void *device, bool force)
{
    ((Cd *)device)->eject_requests++;
}

static bool cd_is_tray_open(void *device)
{
    return ((Cd *)device)->open;
}

static bool cd_is_medium_locked(void *device)
{
    return ((Cd *)device)->locked;
}

static const BlockDeviceOps cd_ops = {
    .removable = true,
    .change_media = cd_change_media,
    .eject_request = cd_eject_request,
    .is_tray_open = cd_is_tray_open,
    .is_medium_locked = cd_is_medium_locked,
};

static BlockFront *cd_front(Cd *cd, BlockFront *front)
{
    BlockDeviceConf conf = { .ops = &cd_ops,
                             .device = cd,
                             .id = "cd",
                             .path = "/machine/peripheral/cd",
                             .read_only = true,
                             .handles_errors = true,
                             .rerror = BLOCKDEV_ON_ERROR_AUTO,
                             .werror = BLOCKDEV_ON_ERROR_AUTO };
    GError *error = NULL;
    front_attach_device(front, &conf, &error);
    g_assert_no_error(error);
    return front;
}

#define MOVED(open) \
    "DEVICE_TRAY_MOVED {\"device\": \"\", \"id\": \"cd\", \"tray-open\": " open "}\n"

static void expect_events(const char *text)
{
    g_assert_cmpstr(events->str, ==, text);
    g_string_truncate(events, 0);
}

/* The table at the top of block/medium.c, line by line. */
static void test_tray_state_machine(void)
{
    Cd cd = { 0 };
    add_node("driver=null-co,node-name=a,read-only=on");
    add_node("driver=null-co,node-name=b,read-only=on");
    BlockFront *front = cd_front(&cd, front_for_property("a", NULL, NULL));
    g_string_truncate(events, 0);

    /* closed, in */
    expect_qmp("blockdev-close-tray", "{'id': 'cd'}", "ok ");
    expect_qmp("blockdev-insert-medium", "{'id': 'cd', 'node-name': 'b'}",
               "Tray of the device is not open");
    expect_qmp("blockdev-remove-medium", "{'id': 'cd'}", "Tray of device 'cd' is not open");
    expect_events("");
    expect_qmp("blockdev-open-tray", "{'id': 'cd'}", "ok ");
    expect_events(MOVED("true"));
    g_assert_true(front_is_inserted(front));
    g_assert_false(front_is_available(front));
    /* open, in */
    expect_qmp("blockdev-open-tray", "{'id': 'cd'}", "ok ");
    expect_qmp("blockdev-insert-medium", "{'id': 'cd', 'node-name': 'b'}",
               "There already is a medium in the device");
    expect_qmp("blockdev-insert-medium", "{'id': 'cd', 'node-name': 'a'}",
               "Node 'a' is already in use");
    expect_qmp("blockdev-insert-medium", "{'id': 'cd', 'node-name': 'x'}", "Node 'x' not found");
    expect_qmp("blockdev-remove-medium", "{'id': 'cd'}", "ok ");
    expect_events("");
    g_assert_false(front_is_inserted(front));
    /* open, none */
    expect_qmp("blockdev-remove-medium", "{'id': 'cd'}", "ok ");
    expect_qmp("blockdev-insert-medium", "{'id': 'cd', 'node-name': 'b'}", "ok ");
    expect_events("");
    expect_qmp("blockdev-close-tray", "{'id': 'cd'}", "ok ");
    expect_events(MOVED("false"));
    g_assert_true(front_is_available(front));
    expect_qmp("eject", "{'id': '/machine/peripheral/cd'}", "ok ");
    expect_events(MOVED("true"));
    g_assert_false(front_is_inserted(front));
    expect_qmp("eject", "{'id': 'cd'}", "ok ");
    /* closed, none */
    expect_qmp("blockdev-close-tray", "{'id': 'cd'}", "ok ");
    expect_events(MOVED("false"));
    expect_qmp("blockdev-change-medium", "{'id': 'cd', 'filename': 'null-co://', 'format': 'raw'}",
               "ok ");
    expect_events(MOVED("true") MOVED("false"));
    g_assert_true(front_is_available(front));
    expect_qmp("blockdev-change-medium", "{'id': 'cd', 'filename': '/nonexistent/x', 'format': 'raw'}",
               "Could not open '/nonexistent/x': No such file or directory");
    g_assert_true(front_is_available(front));
    drop_front(front);
    del_node("a");
    del_node("b");
}

static void test_locked_tray(void)
{
    Cd cd = { .locked = true };
    add_node("driver=null-co,node-name=a,read-only=on");
    BlockFront *front = cd_front(&cd, front_for_property("a", NULL, NULL));
    g_string_truncate(events, 0);
    expect_qmp("blockdev-open-tray", "{'id': 'cd'}", "ok ");
    g_assert_cmpint(cd.eject_requests, ==, 1);
    g_assert_false(cd.open);
    expect_qmp(
        "eject", "{'id': 'cd'}",
        "Device 'cd' is locked and force was not specified, wait for tray to open and try again");
    g_assert_cmpint(cd.eject_requests, ==, 2);
    expect_qmp(
        "blockdev-change-medium", "{'id': 'cd', 'filename': 'null-co://', 'format': 'raw'}",
        "Device 'cd' is locked and force was not specified, wait for tray to open and try again");
    expect_events("");
    expect_qmp("eject", "{'id': 'cd', 'force': true}", "ok ");
    expect_events(MOVED("true"));
    g_assert_false(front_is_inserted(front));
    drop_front(front);
    del_node("a");
}

static void test_commands_find_the_right_drive(void)
{
    expect_qmp("eject", "{'id': 'cd', 'device': 'x'}", "Need exactly one of 'device' and 'id'");
    expect_qmp("eject", "{}", "Need exactly one of 'device' and 'id'");
    expect_qmp("eject", "{'device': 'nosuch'}", "Device 'nosuch' not found");
    expect_qmp("blockdev-open-tray", "{'id': 'nosuch'}", "Device 'nosuch' not found");
    expect_qmp("blockdev-remove-medium", "{'id': 'nosuch'}", "Device 'nosuch' not found");
    add_node("driver=null-co,node-name=n");
    BlockFront *front = front_for_property("n", NULL, NULL);
    BlockDeviceConf conf = CONF("/machine/hd");
    conf.id = "hd";
    g_autofree char *m = NULL;
    g_assert_true(try_attach(front, conf, &m));
    expect_qmp("eject", "{'id': 'hd'}", "Device 'hd' is not removable");
    expect_qmp("blockdev-open-tray", "{'id': 'hd'}", "Device 'hd' is not removable");
    expect_qmp("blockdev-insert-medium", "{'id': 'hd', 'node-name': 'n'}",
               "Node 'n' is already in use");
    expect_qmp("blockdev-del", "{'node-name': 'n'}", "Node n is in use");
    drop_front(front);
    del_node("n");
}

/* A medium goes while a request for it is in flight. */
static void test_eject_waits_for_requests(void)
{
    Cd cd = { 0 };
    add_node("driver=null-co,node-name=a,read-only=on,latency-ns=20000000");
    BlockFront *front = cd_front(&cd, front_for_property("a", NULL, NULL));
    Wait w = { 0 }, later = { 0 };
    front_aio_read(front, 0, &data_vec, on_done, &w);
    expect_qmp("eject", "{'id': 'cd'}", "ok ");
    g_assert_cmpint(w.calls, ==, 1);
    g_assert_cmpint(w.ret, ==, 0);
    front_aio_read(front, 0, &data_vec, on_done, &later);
    front_drain(front);
    g_assert_cmpint(later.ret, ==, -ENOMEDIUM);
    drop_front(front);
    del_node("a");
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 3 && g_str_equal(argv[1], "--hold")) {
        return hold(argv[2]);
    }
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    events = g_string_new(NULL);
    qapi_event_set_sink(sink, NULL);
#define T(name) g_test_add_func("/block/front/" #name, test_##name)
    T(callback_comes_later_and_once);
    T(no_medium);
    T(cancel_of_a_waiting_request_ends_it_once);
    T(cancel_of_a_running_request_gives_its_result_once);
    T(detach_ends_waiting_requests);
    T(drained_section_holds_requests_back);
    T(drained_section_below_holds_those_above);
    T(drain_all_awaits_chains);
    T(quiesce_parks_until_resume);
    T(write_cache_off_makes_writes_stable);
    T(second_writer_of_a_node_is_refused_by_name);
    T(share_rw);
    T(conflict_through_parents_names_them);
    T(read_only_medium);
    T(empty_drive_and_double_use);
    T(two_writers_of_one_image_are_refused);
    T(two_readers_of_one_image_are_fine);
    T(stock_respects_our_locks);
    T(auto_read_only_opens_for_writing_when_asked);
    T(switchover_gives_the_image_away_and_takes_it_back);
    T(incoming_takes_no_locks_before_activation);
    T(error_policies);
    T(error_event_and_stop);
    T(statistics);
    T(tray_state_machine);
    T(locked_tray);
    T(commands_find_the_right_drive);
    T(eject_waits_for_requests);
    int ret = g_test_run();
    block_test_cleanup();
    qapi_event_set_sink(NULL, NULL);
    g_string_free(events, TRUE);
    return ret;
}
