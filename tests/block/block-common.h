/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of block/ share: images in a directory of their own, fronts made from option
 * text. */
#ifndef TESTS_UNIT_BLOCK_COMMON_H
#define TESTS_UNIT_BLOCK_COMMON_H

#include <fcntl.h>
#include <stdio.h>
#include <glib.h>
#include <glib/gstdio.h>
#include "block/backend.h"
#include "qapi/dispatch.h"
#include "util/keyval.h"
#include "util/main-loop.h"

static char *test_dir;

static inline void block_test_init(void)
{
    main_loop_init();
    GError *error = NULL;
    test_dir = g_dir_make_tmp("block-XXXXXX", &error);
    g_assert_no_error(error);
}

static inline char *test_path(const char *name)
{
    return g_build_filename(test_dir, name, NULL);
}

static inline void block_test_cleanup(void)
{
    block_close_all();
    g_assert_null(block_nodes());
    GDir *dir = g_dir_open(test_dir, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = test_path(name);
        g_unlink(path);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_rmdir(test_dir);
    g_free(test_dir);
}

/* An image whose byte i is a function of i. */
static inline uint8_t pattern(uint64_t i)
{
    return (i * 131 + i / 251) & 0xff;
}

static inline char *make_image(const char *name, size_t size)
{
    char *path = test_path(name);
    FILE *f = fopen(path, "wb");
    g_assert_nonnull(f);
    for (size_t i = 0; i < size; i++) {
        fputc(pattern(i), f);
    }
    g_assert_cmpint(fclose(f), ==, 0);
    return path;
}

static inline void assert_file_byte(const char *path, size_t offset, uint8_t value)
{
    FILE *f = fopen(path, "rb");
    g_assert_nonnull(f);
    g_assert_cmpint(fseek(f, offset, SEEK_SET), ==, 0);
    g_assert_cmpint(fgetc(f), ==, value);
    fclose(f);
}

/* A node from the text of -blockdev. */
static inline BlockNode *add_node(const char *text)
{
    GError *error = NULL;
    block_add_blockdev(text, &error);
    g_assert_no_error(error);
    g_autofree char *driver = NULL;
    const char *name = strstr(text, "node-name=");
    g_assert_nonnull(name);
    name += strlen("node-name=");
    driver = g_strndup(name, strcspn(name, ","));
    return block_node_find(driver);
}

static inline void del_node(const char *name)
{
    BlockNode *node = block_node_find(name);
    g_assert_nonnull(node);
    g_assert_true(node->monitor_owned);
    node->monitor_owned = false;
    block_node_unref(node);
}

/* A front with all permissions that a disk takes. */
static inline BlockFront *add_front(const char *node)
{
    GError *error = NULL;
    BlockFront *front = front_for_property(node, NULL, &error);
    g_assert_no_error(error);
    static const BlockDeviceOps ops = { 0 };
    BlockDeviceConf conf = { .ops = &ops,
                             .device = front,
                             .path = "/test",
                             .resizes = true,
                             .handles_errors = true,
                             .rerror = BLOCKDEV_ON_ERROR_AUTO,
                             .werror = BLOCKDEV_ON_ERROR_AUTO };
    front_attach_device(front, &conf, &error);
    g_assert_no_error(error);
    return front;
}

static inline void drop_front(BlockFront *front)
{
    front_detach_device(front);
    front_unref(front);
}

/* "ok " and what the command returns, or the text of its error; the caller's. args: JSON, NULL: none. */
static inline char *run_qmp(const char *command, const char *args)
{
    json_object *in = args ? json_tokener_parse(args) : NULL, *out = NULL;
    GError *error = NULL;
    GString *text = g_string_new(NULL);
    if (qmp_run(command, in, &out, &error)) {
        g_string_append(text, "ok ");
        if (out) {
            qapi_json_write(text, out, false);
            json_object_put(out);
        }
    } else {
        g_string_append(text, error->message);
        g_error_free(error);
    }
    if (in) {
        json_object_put(in);
    }
    return g_string_free(text, FALSE);
}

static inline void expect_qmp(const char *command, const char *args, const char *answer)
{
    g_autofree char *got = run_qmp(command, args);
    g_assert_cmpstr(got, ==, answer);
}

#endif
