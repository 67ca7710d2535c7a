/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests: drivers' contracts, alignment, conflicts, flush. */
#include "util/osdep.h"
#include "block-common.h"

static void test_file_rw(void)
{
    g_autofree char *path = make_image("a", 65536);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=f,filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("f");
    uint8_t buf[4096];
    g_assert_cmpint(front_length(front), ==, 65536);
    g_assert_cmpint(front_read(front, 1000, sizeof(buf), buf), ==, 0);
    for (unsigned i = 0; i < sizeof(buf); i++) {
        g_assert_cmpint(buf[i], ==, pattern(1000 + i));
    }
    memset(buf, 0x5a, sizeof(buf));
    g_assert_cmpint(front_write(front, 513, 1000, buf, 0), ==, 0);
    assert_file_byte(path, 512, pattern(512));
    assert_file_byte(path, 513, 0x5a);
    assert_file_byte(path, 1512, 0x5a);
    assert_file_byte(path, 1513, pattern(1513));
    g_assert_cmpint(front_flush(front), ==, 0);
    g_assert_cmpint(front_read(front, 65536 - 100, 200, buf), ==, -EIO);
    g_assert_cmpint(front_write(front, 65536, 1, buf, 0), ==, -EIO);
    drop_front(front);
    del_node("f");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    g_test_add_func("/block/io/file-rw", test_file_rw);
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
