/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the VDI driver share: creating, opening and checking images, bytes of disks and files. */
#ifndef TESTS_BLOCK_VDI_COMMON_H
#define TESTS_BLOCK_VDI_COMMON_H

#include "block-common.h"

#include "block/image.h"
#include "util/bytes.h"

#define MIB (1u << 20)

static inline void create(const char *path, const char *options)
{
    GError *error = NULL;
    json_object *o = keyval_parse(options, NULL, false, NULL, NULL);
    const BlockDriver *vdi = block_driver_by_name("vdi");
    block_create_check(vdi, block_driver_by_name("file"), o, &error);
    g_assert_no_error(error);
    block_create_image(path, vdi, o, &error);
    g_assert_no_error(error);
    json_object_put(o);
}

static inline BlockFront *open_flags(const char *path, unsigned flags, const char *more,
                                     GError **error)
{
    g_autofree char *text = g_strdup_printf("driver=vdi%s", more);
    json_object *o = keyval_parse(text, NULL, false, NULL, NULL);
    BlockFront *front = front_open(path, o, flags, error);
    json_object_put(o);
    return front;
}

static inline BlockFront *open_vdi(const char *path)
{
    GError *error = NULL;
    BlockFront *front = open_flags(path, BLOCK_OPEN_RDWR, ",discard=unmap", &error);
    g_assert_no_error(error);
    return front;
}

static inline void check(const char *path, unsigned fix, BlockCheckResult *r)
{
    GError *error = NULL;
    BlockFront *front =
        open_flags(path, BLOCK_OPEN_CHECK | (fix ? BLOCK_OPEN_RDWR : 0), "", &error);
    g_assert_no_error(error);
    *r = (BlockCheckResult){ 0 };
    g_assert_cmpint(block_node_check(front_node(front), r, fix), ==, 0);
    front_unref(front);
}

static inline void assert_bytes(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    g_assert_cmpint(front_read(front, offset, bytes, buf), ==, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        g_assert_cmphex(buf[i], ==, value);
    }
}

static inline int write_bytes(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value,
                              unsigned flags)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    memset(buf, value, bytes);
    return front_write(front, offset, bytes, buf, flags);
}

/* The little-endian 32 bits at a place of a file. */
static inline uint32_t get32(const char *path, uint64_t at)
{
    uint8_t b[4] = { 0 };
    int fd = open(path, O_RDONLY);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, b, sizeof(b), at), ==, sizeof(b));
    close(fd);
    return load_le32(b);
}

static inline int vdi_test_end(void)
{
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}

#endif
