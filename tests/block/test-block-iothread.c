/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fronts in an iothread (block/context.c): requests that run there while the main thread does what it does
 * with nodes and fronts. Under the sanitizers a race shows up as what it breaks.
 */
#include "util/osdep.h"

#include <json-c/json.h>
#include "block-common.h"
#include "block/image.h"
#include "qapi/commands-block-core.h"
#include "system/iothread.h"
#include "util/error.h"

#define WORKERS 8
#define AREA 65536
#define IMAGE (WORKERS * AREA + 3 * 512)

typedef struct Load Load;

/* Writes its area and reads it back, again and again. */
typedef struct Worker {
    Load *load;
    uint64_t base;
    uint32_t random, step;
    uint8_t *buf;
    struct iovec iov;
    IoVec vec;
    uint64_t offset, len;
    enum { W_WRITE, W_READ, W_ZERO, W_FLUSH } kind;
    uint8_t model[AREA];
} Worker;

struct Load {
    BlockFront *front;
    IoThread *io; /* NULL: the main loop */
    GThread *home;
    bool stop;        /* atomic */
    unsigned running; /* atomic */
    uint64_t requests;
    Worker workers[WORKERS];
};

static uint32_t next_random(Worker *w)
{
    w->random = w->random * 1664525 + 1013904223;
    return w->random >> 8;
}

static void worker_done(void *opaque, int ret);

static void worker_go(Worker *w)
{
    Load *load = w->load;
    if (__atomic_load_n(&load->stop, __ATOMIC_SEQ_CST)) {
        __atomic_sub_fetch(&load->running, 1, __ATOMIC_SEQ_CST);
        main_loop_wake();
        return;
    }
    w->len = 512 * (1 + next_random(w) % 16);
    w->offset = 512 * (next_random(w) % ((AREA - w->len) / 512 + 1));
    w->kind = next_random(w) % 8;
    w->kind = w->kind == 7 ? W_FLUSH : w->kind == 6 ? W_ZERO : w->kind & 1;
    w->iov = (struct iovec){ w->buf, w->len };
    w->vec = (IoVec){ &w->iov, 1, 1, w->len };
    uint64_t at = w->base + w->offset;
    switch (w->kind) {
    case W_WRITE:
        memset(w->buf, ++w->step, w->len);
        front_aio_write(load->front, at, &w->vec, 0, worker_done, w);
        break;
    case W_READ:
        memset(w->buf, 0xee, w->len);
        front_aio_read(load->front, at, &w->vec, worker_done, w);
        break;
    case W_ZERO:
        front_aio_write_zeroes(load->front, at, w->len, BLOCK_MAY_UNMAP, worker_done, w);
        break;
    case W_FLUSH:
        front_aio_flush(load->front, worker_done, w);
        break;
    }
}

static void worker_done(void *opaque, int ret)
{
    Worker *w = opaque;
    g_assert_cmpint(ret, ==, 0);
    g_assert_true(g_thread_self() == w->load->home); /* F1 */
    if (w->kind == W_WRITE) {
        memcpy(w->model + w->offset, w->buf, w->len);
    } else if (w->kind == W_ZERO) {
        memset(w->model + w->offset, 0, w->len);
    } else if (w->kind == W_READ) {
        g_assert_cmpmem(w->buf, w->len, w->model + w->offset, w->len);
    }
    w->load->requests++;
    worker_go(w);
}

static void load_start_here(void *opaque)
{
    Load *load = opaque;
    load->home = g_thread_self();
    for (unsigned i = 0; i < WORKERS; i++) {
        worker_go(&load->workers[i]);
    }
}

static void load_start(Load *load)
{
    load->stop = false;
    load->running = WORKERS;
    if (load->io) {
        iothread_run(load->io, load_start_here, load);
    } else {
        load_start_here(load);
    }
}

static void load_stop(Load *load)
{
    __atomic_store_n(&load->stop, true, __ATOMIC_SEQ_CST);
    MAIN_LOOP_WHILE(__atomic_load_n(&load->running, __ATOMIC_SEQ_CST));
}

static Load *load_new(BlockFront *front)
{
    Load *load = g_new0(Load, 1);
    load->front = front;
    for (unsigned i = 0; i < WORKERS; i++) {
        Worker *w = &load->workers[i];
        w->load = load;
        w->base = i * AREA;
        w->random = i + 1;
        g_assert_cmpint(posix_memalign((void **)&w->buf, 4096, 16 * 512), ==, 0);
        g_assert_cmpint(front_read(front, w->base, AREA, w->model), ==, 0);
    }
    return load;
}

static void load_free(Load *load)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        free(load->workers[i].buf);
    }
    g_free(load);
}

/* What every area has now, by the main thread's own eyes. */
static void load_check(Load *load)
{
    g_autofree uint8_t *buf = g_malloc(AREA);
    for (unsigned i = 0; i < WORKERS; i++) {
        g_assert_cmpint(front_read(load->front, load->workers[i].base, AREA, buf), ==, 0);
        g_assert_cmpmem(buf, AREA, load->workers[i].model, AREA);
    }
}

static IoThread *make_iothread(const char *id)
{
    GError *error = NULL;
    g_assert_true(user_creatable_add("iothread", id, NULL, &error));
    return iothread_find(id, &error);
}

static void wait_a_little(Load *load)
{
    uint64_t goal = load->requests + 20;
    int64_t end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    while (*(volatile uint64_t *)&load->requests < goal && g_get_monotonic_time() < end) {
        main_loop_iterate(false);
    }
}

/* The main thread's part, in turn. */
static void disturb(Load *load, const char *node, unsigned i)
{
    BlockFront *front = load->front;
    GError *error = NULL;
    switch (i % 8) {
    case 0:
        front_drain_begin(front);
        g_assert_cmpuint(front_in_flight(front), ==, 0);
        load_check(load);
        front_drain_end(front);
        break;
    case 1: {
        BlockInfoArray *list = NULL;
        g_assert_true(qmp_query_block(&list, NULL));
        qapi_free_BlockInfoArray(list);
        break;
    }
    case 2: { /* a second user brings the nodes to the main loop */
        BlockFront *other = front_new(NULL, NULL);
        g_assert_true(front_insert_node(other, block_node_find(node), &error));
        g_assert_false(front_is_local(front));
        wait_a_little(load);
        front_remove_node(other);
        front_unref(other);
        break;
    }
    case 3:
        g_assert_true(block_quiesce(NULL));
        g_assert_cmpuint(front_in_flight(front), ==, 0);
        load_check(load);
        block_resume();
        break;
    case 7: { /* X3 */
        if (!load->io) {
            break; /* a front of the main loop runs on in it */
        }
        block_hold();
        uint64_t requests = load->requests;
        g_assert_cmpuint(front_in_flight(front), ==, 0);
        load_check(load);
        g_usleep(2000);
        g_assert_cmpuint(load->requests, ==, requests);
        block_release();
        break;
    }
    case 4: /* of one user among many, without a drained section */
        g_assert_cmpint(front_flush(front), ==, 0);
        break;
    case 5: {
        BlockStatsArray *list = NULL;
        g_assert_true(qmp_query_blockstats(false, false, &list, NULL));
        qapi_free_BlockStatsArray(list);
        break;
    }
    case 6:
        block_drain_begin(block_node_find(node));
        block_drain_end(block_node_find(node));
        break;
    }
}

static void run(const char *blockdev, const char *node, unsigned rounds)
{
    IoThread *io = make_iothread("io0");
    add_node(blockdev);
    BlockFront *front = add_front(node);
    Load *load = load_new(front);
    for (unsigned home = 0; home < 3; home++) { /* there, back, and there again */
        load->io = home == 1 ? NULL : io;
        front_set_home(front, home == 1 ? NULL : iothread_context(io));
        g_assert_true(front_is_local(front) == (home != 1));
        load_start(load);
        for (unsigned i = 0; i < rounds; i++) {
            disturb(load, node, i);
            wait_a_little(load);
        }
        load_stop(load);
        load_check(load);
    }
    g_test_message("%" PRIu64 " requests", load->requests);
    front_set_home(front, NULL);
    drop_front(front);
    load_free(load);
    del_node(node);
    g_assert_true(user_creatable_del("io0", NULL));
}

static void test_file(gconstpointer aio)
{
    g_autofree char *path = make_image("raw.img", IMAGE);
    bool direct = !g_str_equal(aio, "threads");
    g_autofree char *text =
        g_strdup_printf("driver=file,node-name=n0,filename=%s,aio=%s,cache.direct=%s,discard=unmap",
                        path, (const char *)aio, direct ? "on" : "off");
    GError *error = NULL;
    if (!block_add_blockdev(text, &error)) {
        g_test_skip(error->message); /* a kernel without */
        g_clear_error(&error);
        return;
    }
    del_node("n0");
    run(text, "n0", 16);
}

static void test_format(gconstpointer name)
{
    g_autofree char *path = test_path(name);
    const BlockDriver *driver = block_driver_by_name(name);
    json_object *o = json_object_new_object();
    GError *error = NULL;
    json_object_object_add(o, "size", json_object_new_string("1M"));
    block_create_check(driver, block_driver_by_name("file"), o, &error);
    g_assert_no_error(error);
    block_create_image(path, driver, o, &error);
    g_assert_no_error(error);
    json_object_put(o);
    g_autofree char *text = g_strdup_printf(
        "driver=%s,node-name=n0,file.driver=file,file.filename=%s", (const char *)name, path);
    run(text, "n0", 16);
}

/* A node that needs the main loop: the callbacks come home all the same. */
static void test_elsewhere(void)
{
    IoThread *io = make_iothread("io0");
    g_autofree char *path = make_image("far.img", IMAGE);
    g_autofree char *text =
        g_strdup_printf("driver=blkdebug,node-name=n0,image.driver=file,image.filename=%s", path);
    add_node(text);
    BlockFront *front = add_front("n0");
    Load *load = load_new(front);
    load->io = io;
    front_set_home(front, iothread_context(io));
    g_assert_false(front_is_local(front));
    load_start(load);
    for (unsigned i = 0; i < 16; i++) {
        if (i % 8 != 2 && i % 8 != 7) {
            disturb(load, "n0", i);
        }
        wait_a_little(load);
    }
    load_stop(load);
    front_set_home(front, NULL);
    load_check(load);
    drop_front(front);
    load_free(load);
    del_node("n0");
    g_assert_true(user_creatable_del("io0", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    g_test_add_data_func("/block/iothread/file/threads", "threads", test_file);
    g_test_add_data_func("/block/iothread/file/native", "native", test_file);
    g_test_add_data_func("/block/iothread/file/io_uring", "io_uring", test_file);
    g_test_add_data_func("/block/iothread/qcow2", "qcow2", test_format);
    g_test_add_data_func("/block/iothread/vdi", "vdi", test_format);
    g_test_add_func("/block/iothread/elsewhere", test_elsewhere);
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
