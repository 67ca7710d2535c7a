/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the qcow2 driver share: images of small clusters, the bytes of their files, checks by
 * us and by the stock qemu-img. */
#ifndef TESTS_BLOCK_QCOW2_COMMON_H
#define TESTS_BLOCK_QCOW2_COMMON_H

#include "block-common.h"

#include "block/image.h"
#include "util/bytes.h"

#define CLUSTER 4096
#define DISK (1024 * 1024)

/* ---- images ---- */

static inline json_object *options_of(const char *text)
{
    GError *error = NULL;
    json_object *o = keyval_parse(text, NULL, false, NULL, &error);
    g_assert_no_error(error);
    return o;
}

static inline void create(const char *path, const char *options)
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

static inline BlockFront *open_flags(const char *path, const char *options, unsigned flags,
                                     GError **error)
{
    json_object *o = options_of(options);
    BlockFront *front = front_open(path, o, flags, error);
    json_object_put(o);
    return front;
}

static inline BlockFront *open_image(const char *path)
{
    GError *error = NULL;
    BlockFront *front =
        open_flags(path, "driver=qcow2", BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, &error);
    g_assert_no_error(error);
    return front;
}

static inline void assert_reads(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    g_assert_cmpint(front_read(front, offset, bytes, buf), ==, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        if (buf[i] != value) {
            g_error("byte %" PRIu64 " is %#x, not %#x", offset + i, buf[i], value);
        }
    }
}

static inline int fill(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
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

static inline Raw raw_load(const char *path)
{
    Raw r;
    GError *error = NULL;
    g_file_get_contents(path, (char **)&r.data, &r.len, &error);
    g_assert_no_error(error);
    return r;
}

static inline void raw_store(const char *path, Raw *r)
{
    GError *error = NULL;
    g_file_set_contents(path, (char *)r->data, r->len, &error);
    g_assert_no_error(error);
    g_clear_pointer(&r->data, g_free);
}

static inline uint64_t l1_at(const Raw *r)
{
    return load_be64(r->data + 40);
}

static inline uint64_t l2_at(const Raw *r)
{
    return load_be64(r->data + l1_at(r)) & UINT64_C(0x00fffffffffffe00);
}

static inline uint64_t refblock_at(const Raw *r)
{
    return load_be64(r->data + load_be64(r->data + 48));
}

/* ---- checks ---- */

/* What the stock qemu-img says: exit status 0 clean, 2 errors, 3 leaks; -1: not there. */
static inline int stock_check(const char *path)
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

static inline BlockCheckResult check(const char *path, unsigned fix)
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

/* ---- blkdebug below ---- */

static inline BlockNode *add_debugged(const char *path)
{
    g_autofree char *debug = g_strdup_printf(
        "driver=blkdebug,node-name=debug,image.driver=file,image.filename=%s", path);
    add_node(debug);
    return add_node("driver=qcow2,node-name=fmt,file=debug");
}

static inline void del_debugged(BlockFront *front)
{
    drop_front(front);
    del_node("fmt");
    del_node("debug");
}

static inline int qcow2_test_end(void)
{
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}

#endif
