/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images as a whole (block/image.h): creating with options, facts, what is refused. */
#include "util/osdep.h"
#include "block-common.h"

#include <sys/stat.h>
#include "block/image.h"

static json_object *options_of(const char *text)
{
    GError *error = NULL;
    json_object *o = keyval_parse(text, NULL, false, NULL, &error);
    g_assert_no_error(error);
    return o;
}

static bool create(const char *path, const char *format, const char *options, GError **error)
{
    const BlockDriver *driver = block_driver_by_name(format);
    const BlockDriver *protocol = block_filename_protocol(path, NULL);
    json_object *o = options_of(options);
    bool ok = block_create_check(driver, protocol, o, error) &&
              block_create_image(path, driver, o, error);
    json_object_put(o);
    return ok;
}

static void assert_refused(const char *path, const char *format, const char *options,
                           const char *text)
{
    GError *error = NULL;
    g_assert_false(create(path, format, options, &error));
    g_assert_cmpstr(error->message, ==, text);
    g_error_free(error);
}

static void test_create_raw(void)
{
    g_autofree char *path = test_path("raw");
    GError *error = NULL;
    struct stat st;
    g_assert_true(create(path, "raw", "size=1M", &error));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1 << 20);
    g_assert_true(create(path, "raw", "size=64k,preallocation=full", &error));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 65536);
    g_assert_cmpint(st.st_blocks * 512, >=, 65536);
    g_assert_true(create(path, "raw", "size=128k,preallocation=falloc", &error));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 131072);
    g_unlink(path);
}

static void test_create_refuses(void)
{
    g_autofree char *path = test_path("refused");
    assert_refused(path, "raw", "size=1M,foo=1", "Invalid parameter 'foo'");
    assert_refused(path, "raw", "size=-1",
                   "Parameter 'size' expects a non-negative number below 2^64\n"
                   "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                   "and exabytes, respectively.");
    assert_refused(path, "raw", "nocow=maybe,size=1", "Parameter 'nocow' expects 'on' or 'off'");
    assert_refused(path, "raw", "nocow=on", "Image creation needs a size parameter");
    assert_refused(path, "raw", "size=1M,preallocation=metadata",
                   "Unsupported preallocation mode: metadata");
    assert_refused(path, "blkdebug", "size=1M",
                   "Format driver 'blkdebug' does not support image creation");
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_autofree char *nowhere = test_path("no/where");
    g_autofree char *text =
        g_strdup_printf("Could not create '%s': No such file or directory", nowhere);
    assert_refused(nowhere, "raw", "size=1M", text);
}

/* An image in use is not overwritten. */
static void test_create_in_use(void)
{
    g_autofree char *path = make_image("used", 4096);
    g_autofree char *opt = g_strdup_printf("driver=file,node-name=f,filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("f");
    GError *error = NULL;
    g_assert_false(create(path, "raw", "size=1M", &error));
    g_assert_nonnull(strstr(error->message, "Is another process using the image"));
    g_clear_error(&error);
    assert_file_byte(path, 100, pattern(100));
    drop_front(front);
    del_node("f");
}

static void test_option_help(void)
{
    g_autofree char *help = block_option_help(block_driver_by_name("raw")->create_options,
                                              block_driver_by_name("file")->create_options);
    g_assert_cmpstr(help, ==,
                    "  extent_size_hint=<size> - Extent size hint for the image file, 0 to "
                    "disable\n"
                    "  nocow=<bool (on/off)>  - Turn off copy-on-write (valid only on btrfs)\n"
                    "  preallocation=<str>    - Preallocation mode (allowed values: off, falloc, "
                    "full)\n"
                    "  size=<size>            - Virtual disk size\n");
    json_object *o = options_of("size=1k,preallocation=off");
    g_autofree char *text =
        block_create_describe(block_driver_by_name("raw"), block_driver_by_name("file"), o);
    g_assert_cmpstr(text, ==, " size=1k preallocation=off");
    json_object_put(o);
}

/* Fails without its error being dropped. */
static void test_truncate_with_preallocation(void)
{
    g_autofree char *path = make_image("grow", 4096);
    GError *error = NULL;
    struct stat st;
    json_object *options = options_of("driver=file");
    BlockFront *front = front_open(path, options, BLOCK_OPEN_RDWR, &error);
    json_object_put(options);
    g_assert_no_error(error);
    front_truncate(front, 65536, true, PREALLOC_MODE_FULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 65536);
    g_assert_cmpint(st.st_blocks * 512, >=, 65536);
    assert_file_byte(path, 4095, pattern(4095));
    assert_file_byte(path, 4096, 0);
    g_assert_false(front_truncate(front, 4096, true, PREALLOC_MODE_FULL, &error));
    g_assert_cmpstr(error->message, ==, "Unsupported preallocation mode: full");
    g_clear_error(&error);
    front_unref(front);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
#define T(name) g_test_add_func("/block-image/" #name, test_##name)
    T(create_raw);
    T(create_refuses);
    T(create_in_use);
    T(option_help);
    T(truncate_with_preallocation);
#undef T
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
