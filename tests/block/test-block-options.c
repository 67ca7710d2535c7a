/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -blockdev, -drive, file names, formats: what opens, and what is said when it does not. The texts
 * are stock's. */
#include "util/osdep.h"
#include "block-common.h"

/* Replaces @ by the test's directory. */
static char *expand(const char *text)
{
    GString *s = g_string_new(NULL);
    for (; *text; text++) {
        if (*text == '@') {
            g_string_append(s, test_dir);
        } else {
            g_string_append_c(s, *text);
        }
    }
    return g_string_free(s, FALSE);
}

static void del_all(void)
{
    block_close_all();
    g_assert_null(block_nodes());
    g_assert_null(front_next(NULL));
    g_assert_null(block_drive_next(NULL));
}

typedef struct Case {
    const char *text;
    const char *error; /* NULL: works */
} Case;

static void check_error(const char *text, bool ok, GError *error, const char *expected)
{
    g_autofree char *want = expected ? expand(expected) : NULL;
    g_test_message("%s: %s", text, ok ? "works" : error->message);
    if (ok || !want) {
        g_assert_no_error(error);
        g_assert_cmpstr(NULL, ==, want);
    } else {
        g_assert_cmpstr(error->message, ==, want);
        g_error_free(error);
    }
}

static const Case blockdev_cases[] = {
    { "driver=nosuch,node-name=a", "Parameter 'driver' does not accept value 'nosuch'" },
    { "driver=file,node-name=a", "Parameter 'filename' is missing" },
    { "driver=file,node-name=a,filename=/nonexistent",
      "Could not open '/nonexistent': No such file or directory" },
    { "driver=file,node-name=a,filename=@", "Could not open '@': Is a directory" },
    { "driver=file,node-name=a,filename=@,read-only=on",
      "'file' driver requires '@' to be a regular file" },
    { "driver=file,node-name=a,filename=/dev/null",
      "'file' driver requires '/dev/null' to be a regular file" },
    { "driver=host_device,node-name=a,filename=@/img",
      "'host_device' driver requires '@/img' to be a block device" },
    { "driver=file,node-name=a,filename=@/img,nosuch=1", "Parameter 'nosuch' is unexpected" },
    { "driver=file,filename=@/img", "'node-name' must be specified for the root node" },
    { "driver=raw,node-name=a", "Parameter 'file' is missing" },
    { "driver=raw,node-name=a,file=nosuch", "Cannot find device='nosuch' nor node-name='nosuch'" },
    { "driver=null-co,node-name=0a", "Invalid node-name: '0a'" },
    { "driver=null-co,node-name=#a", "Invalid node-name: '#a'" },
    { "driver=null-co,node-name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "Node name too long" },
    { "driver=null-co,node-name=a,size=-1", "size is invalid" },
    { "driver=null-co,node-name=a,read-zeroes=maybe",
      "Parameter 'read-zeroes' expects 'on' or 'off'" },
    { "driver=file,node-name=a,filename=@/img,aio=nosuch",
      "Parameter 'aio' does not accept value 'nosuch'" },
    { "driver=file,node-name=a,filename=@/img,aio=native",
      "aio=native was specified, but it requires cache.direct=on, which was not specified." },
    { "driver=file,node-name=a,filename=@/img,locking=nosuch",
      "Parameter 'locking' does not accept value 'nosuch'" },
    { "driver=raw,node-name=a,offset=100,size=100,file.driver=file,file.filename=@/img",
      "Specified size is not multiple of 512" },
    { "driver=raw,node-name=a,offset=2097152,file.driver=file,file.filename=@/img",
      "Offset (2097152) cannot be greater than size of the containing file (1048576)" },
    { "driver=raw,node-name=a,size=2097152,file.driver=file,file.filename=@/img",
      "The sum of offset (0) and size (2097152) has to be smaller or equal to the  actual size of "
      "the containing file "
      "(1048576)" },
    { "driver=file,node-name=a,filename=@/img,detect-zeroes=unmap",
      "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap" },
    { "driver=file,node-name=a,filename=@/img,force-share=on",
      "force-share=on can only be used with read-only images" },
    { "{\"driver\":\"file\",\"node-name\":\"a\",\"filename\":5}",
      "Invalid parameter type for 'filename', expected: string" },
    { "{\"node-name\":\"a\"}", "Parameter 'driver' is missing" },
    { "{\"driver\":\"file\",\"node-name\":\"a\",\"filename\":\"x\",\"cache\":{\"nosuch\":true}}",
      "Parameter 'cache.nosuch' is unexpected" },
    { "driver=blkdebug,node-name=b,image.driver=null-co,align=3",
      "Cannot meet constraints with align 3" },
    { "driver=blkdebug,node-name=b,image.driver=null-co,align=4096,max-transfer=512",
      "Cannot meet constraints with max-transfer 512" },
    { "driver=blkdebug,node-name=b,image.driver=null-co,opt-write-zero=4096,max-write-zero=512",
      "Cannot meet constraints with max-write-zero 512" },
    { "driver=blkdebug,node-name=b,image.driver=null-co,opt-discard=4096,max-discard=4097",
      "Cannot meet constraints with max-discard 4097" },
    { "driver=blkdebug,node-name=b,image.driver=null-co,config=@/nosuch",
      "Could not read blkdebug config file: No such file or directory" },
    { "driver=file,node-name=a,filename=@/empty", NULL },
    { "driver=raw,node-name=a,file.driver=file,file.filename=@/img,file.node-name=below", NULL },
    { "driver=raw,node-name=a,file.driver=file,file.filename=@/img,cache.direct=on,read-only=on",
      NULL },
    { "driver=file,node-name=a,filename=@/"
      "img,aio=io_uring,discard=unmap,detect-zeroes=unmap,cache.no-flush=on",
      NULL },
    { "{\"driver\":\"raw\",\"node-name\":\"a\",\"file\":{\"driver\":\"null-co\",\"size\":512}}",
      NULL },
    /* below itself */
    { "driver=raw,node-name=a,file=a", "Cannot find device='a' nor node-name='a'" },
    { "{\"driver\":\"raw\",\"node-name\":\"a\",\"file\":{\"driver\":\"raw\",\"file\":\"a\"}}",
      "Cannot find device='a' nor node-name='a'" },
};

static void test_blockdev(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(blockdev_cases); i++) {
        g_autofree char *text = expand(blockdev_cases[i].text);
        GError *error = NULL;
        bool ok = block_add_blockdev(text, &error);
        check_error(text, ok, error, blockdev_cases[i].error);
        del_all();
    }
}

static const Case drive_cases[] = {
    { "nosuch=on", "Must specify either driver or file" },
    { "file=/nonexistent,if=none,id=d0",
      "Could not open '/nonexistent': No such file or directory" },
    { "file=@,if=none,id=d0,format=raw", "'file' driver requires '@' to be a regular file" },
    { "file=@/img,if=none,id=d0,format=nosuch", "Unknown driver 'nosuch'" },
    { "file=@/img,if=nosuch,id=d0,format=raw", "unsupported bus type 'nosuch'" },
    { "file=@/img,if=none,id=d0,format=raw,nosuch=1",
      "Block format 'raw' does not support the option 'nosuch'" },
    { "file=@/img,if=none,id=d0,format=raw,file.nosuch=1",
      "Block protocol 'file' doesn't support the option 'nosuch'" },
    { "file=@/img,if=none,id=d0,driver=file,nosuch=1",
      "Block protocol 'file' doesn't support the option 'nosuch'" },
    { "file=@/img,if=none,id=d0,format=raw,cache=nosuch", "invalid cache option" },
    { "file=@/img,if=none,id=d0,format=raw,aio=nosuch", "invalid aio option" },
    { "file=@/img,if=none,id=d0,format=raw,aio=native",
      "aio=native was specified, but it requires cache.direct=on, which was not specified." },
    { "file=@/img,if=none,id=d0,format=raw,media=nosuch", "'nosuch' invalid media" },
    { "file=@/img,if=none,id=d0,format=raw,werror=nosuch", "'nosuch' invalid write error action" },
    { "file=@/img,if=none,id=d0,format=raw,rerror=enospc", "'enospc' invalid read error action" },
    { "file=@/img,if=floppy,id=d0,format=raw,werror=stop",
      "werror is not supported by this bus type" },
    { "file=@/img,if=none,id=d0,format=raw,readonly=maybe",
      "Parameter 'read-only' expects 'on' or 'off'" },
    { "file=@/img,if=none,id=d0,format=raw,readonly=on,read-only=on",
      "'read-only' and its alias 'readonly' can't be used at the same time" },
    { "file=@/img,if=none,id=d0,format=raw,driver=raw",
      "Cannot specify both 'driver' and 'format'" },
    { "file=,if=none,id=d0,format=raw", "A block device must be specified for \"file\"" },
    { "if=none,id=d0,format=raw", "A block device must be specified for \"file\"" },
    { "file=nosuchproto:x,if=none,id=d0", "Unknown protocol 'nosuchproto'" },
    { "file=blkdebug:@/nosuch:@/img,format=raw,if=none",
      "Could not read blkdebug config file: No such file or directory" },
    { "file=json:{,format=raw,if=none",
      "Could not parse the JSON options: JSON parse error, premature EOI" },
    { "file=json:{\"driver\":\"nosuch\"},if=none", "Unknown driver 'nosuch'" },
    { "if=none,id=0bad,file=@/img,format=raw",
      "Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, '-', '.', "
      "'_', starting with a "
      "letter." },
    { "if=none,id=d0,file=@/img,format=raw,index=1,unit=2",
      "index cannot be used with bus and unit" },
    { "if=none,id=d0,file=@/img,format=raw,index=x", "Parameter 'index' expects a number" },
    { "if=ide,id=d0,file=@/img,format=raw,unit=3", "unit 3 too big (max is 1)" },
    { "if=none,id=d0,file=@/img,format=raw,discard=bad", "Invalid discard option" },
    { "if=none,id=d0,file=@/img,format=raw,snapshot=maybe",
      "Parameter 'snapshot' expects 'on' or 'off'" },
    { "if=none,id=d0,file=@/img,format=raw,throttling.iops-total=x",
      "Parameter 'throttling.iops-total' expects a number" },
    { "if=none,id=d0,file=@/img,format=raw,iops=10,iops_rd=5",
      "bps/iops/max total values and read/write values cannot be used at the same time" },
    { "if=none,id=d0,file=@/img,format=raw,iops=10,throttling.iops-total=5",
      "'throttling.iops-total' and its alias 'iops' can't be used at the same time" },
    { "if=none,id=d0,file=@/img,format=raw,bps_max=10",
      "bps_max/iops_max require corresponding bps/iops values" },
    { "if=none,id=d0,file=@/img,format=raw,group=g", NULL },
    { "if=none,id=d0,file=@/img,format=raw,force-share=on",
      "force-share=on can only be used with read-only images" },
    { "if=none,id=d0,file=@/img,format=raw,node-name=d0",
      "node-name=d0 is conflicting with a device id" },
    { "if=none,id=d0", NULL },
    { "if=none,id=d0,media=cdrom", NULL },
    { "file=@/img,if=none,format=raw,file.locking=off,cache=none,aio=io_uring,discard=on", NULL },
    { "file=@/img,if=none,format=raw,detect-zeroes=unmap", NULL },
    { "file=@/odd,if=none,id=d0,format=raw", NULL },
    { "file=@/empty,if=none,id=d0,format=raw", NULL },
    { "file=null-co://,if=none,id=d0,format=raw,aio=threads", NULL },
    { "driver=null-co,size=1000,if=none,id=d0", NULL },
    { "driver=null-co,size=1M,if=none,id=d0", NULL },
    { "driver=raw,size=1k,offset=0x200,file.driver=null-co,file.size=64K,if=none,id=d0", NULL },
    { "driver=null-co,size=1Z,if=none,id=d0", "Parameter 'size' expects an integer" },
    { "file.driver=file,file.filename=@/img,format=raw,if=none", NULL },
    { "file.filename=@/img,format=raw,if=none", NULL },
    { "file=file:@/img,format=raw,if=none", NULL },
    { "file=blkdebug::@/img,format=raw,if=none", NULL },
    { "file=json:{\"driver\":\"raw\",,\"file\":{\"driver\":\"null-co\",,\"size\":4096}},if=none",
      NULL },
    { "file=@/img,format=raw,if=virtio,werror=enospc,rerror=stop,cache=directsync", NULL },
    { "file=@/with,,comma,format=raw,if=none", NULL },
    { "if=none,file.driver=blkdebug,file.image.filename=@/"
      "img,format=raw,file.inject-error.0.event=read_aio",
      NULL },
};

static void test_drive(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(drive_cases); i++) {
        g_autofree char *text = expand(drive_cases[i].text);
        GError *error = NULL;
        bool ok = block_add_drive(text, BLOCK_IF_IDE, &error);
        check_error(text, ok, error, drive_cases[i].error);
        del_all();
    }
}

static void test_names_are_unique(void)
{
    GError *error = NULL;
    add_node("driver=null-co,node-name=a");
    g_assert_false(block_add_blockdev("driver=null-co,node-name=a", &error));
    g_assert_cmpstr(error->message, ==, "Duplicate nodes with node-name='a'");
    g_clear_error(&error);
    g_assert_false(
        block_add_drive("if=none,id=a,file=null-co://,format=raw", BLOCK_IF_IDE, &error));
    g_assert_cmpstr(error->message, ==, "Device name 'a' conflicts with an existing node name");
    g_clear_error(&error);
    g_assert_true(block_add_drive("if=none,id=d,file=null-co://,format=raw", BLOCK_IF_IDE, &error));
    g_assert_false(
        block_add_drive("if=none,id=d,file=null-co://,format=raw", BLOCK_IF_IDE, &error));
    g_assert_cmpstr(error->message, ==, "Duplicate ID 'd' for drive");
    g_clear_error(&error);
    g_assert_false(block_add_blockdev("driver=null-co,node-name=d", &error));
    g_assert_cmpstr(error->message, ==, "node-name=d is conflicting with a device id");
    g_clear_error(&error);
    del_all();
}

static void test_places(void)
{
    GError *error = NULL;
    g_assert_true(block_add_drive("file=null-co://,format=raw", BLOCK_IF_IDE, &error));
    g_assert_true(
        block_add_drive("file=null-co://,format=raw,media=cdrom,index=2", BLOCK_IF_IDE, &error));
    g_assert_true(block_add_drive("file=null-co://,format=raw", BLOCK_IF_IDE, &error));
    g_assert_true(block_add_drive("file=null-co://,format=raw,if=floppy", BLOCK_IF_IDE, &error));
    g_assert_true(block_add_drive("file=null-co://,format=raw,if=none", BLOCK_IF_IDE, &error));
    static const struct {
        BlockInterface interface;
        int bus, unit;
        const char *name;
    } places[] = { { BLOCK_IF_IDE, 0, 0, "ide0-hd0" },
                   { BLOCK_IF_IDE, 1, 0, "ide1-cd0" },
                   { BLOCK_IF_IDE, 0, 1, "ide0-hd1" },
                   { BLOCK_IF_FLOPPY, 0, 0, "floppy0" },
                   { BLOCK_IF_NONE, 0, 0, "none0" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        BlockDrive *d = block_drive_find(places[i].interface, places[i].bus, places[i].unit);
        g_assert_nonnull(d);
        g_assert_cmpstr(front_name(d->front), ==, places[i].name);
        g_assert_cmpint(front_is_read_only(d->front), ==, d->cdrom);
    }
    g_assert_false(block_add_drive("file=null-co://,format=raw,index=0", BLOCK_IF_IDE, &error));
    g_assert_cmpstr(error->message, ==, "drive with bus=0, unit=0 (index=0) exists");
    g_clear_error(&error);
    del_all();
}

/* -hda and friends; a comma in the name is part of it. */
static void test_simple_drive(void)
{
    GError *error = NULL;
    g_autofree char *path = test_path("with,comma");
    if (g_test_subprocess()) {
        g_assert_true(block_add_drive_simple(path, 2, "cdrom", BLOCK_IF_IDE, &error));
        return;
    }
    g_assert_false(block_add_drive_simple("/nonexistent", 0, "disk", BLOCK_IF_IDE, &error));
    g_assert_cmpstr(error->message, ==, "Could not open '/nonexistent': No such file or directory");
    g_clear_error(&error);
    del_all();
}

/* ---- guessed raw ---- */

static int fake_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 4 && memcmp(buf, "FAKE", 4) == 0 ? 100 : 0;
}

static bool fake_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                      GError **error)
{
    g_set_error_literal(error, g_quark_from_string("fake"), 0, "opened as fake");
    return false;
}

/* It claims raw's options: the schema has no other format yet. */
static const BlockDriver fake_driver = {
    .name = "fake",
    .kind = BLOCK_FORMAT,
    .qapi_driver = BLOCKDEV_DRIVER_RAW,
    .probe = fake_probe,
    .open = fake_open,
};
BLOCK_DRIVER_REGISTER(fake_driver)

static void test_guest_cannot_change_a_guessed_raw_into_another_format(void)
{
    g_autofree char *path = make_image("guess", 4096);
    GError *error = NULL;
    g_autofree char *text = g_strdup_printf("file=%s,if=none,id=d", path);
    g_assert_true(block_add_drive(text, BLOCK_IF_IDE, &error));
    g_assert_no_error(error);
    BlockFront *front = add_front("d");
    uint8_t buf[1024] = { 'F', 'A', 'K', 'E' };
    g_assert_cmpint(front_write(front, 0, 512, buf, 0), ==, -EPERM);
    g_assert_cmpint(front_write(front, 0, 1024, buf, 0), ==, -EPERM);
    g_assert_cmpint(front_write(front, 0, 4, buf, 0), ==, -EPERM);
    g_assert_cmpint(front_write(front, 1, 4, buf, 0), ==, 0);
    g_assert_cmpint(front_write(front, 512, 512, buf, 0), ==, 0);
    drop_front(front);
    del_all();
    g_autofree char *plain = g_strdup_printf("file=%s,if=none,id=d,format=raw", path);
    g_assert_true(block_add_drive(plain, BLOCK_IF_IDE, &error));
    front = add_front("d");
    g_assert_cmpint(front_write(front, 0, 512, buf, 0), ==, 0);
    drop_front(front);
    del_all();
}

/* ---- QMP ---- */

static void test_blockdev_add_and_del(void)
{
    expect_qmp("blockdev-add", "{'driver': 'null-co'}",
               "'node-name' must be specified for the root node");
    expect_qmp("blockdev-add", "{'driver': 'null-co', 'node-name': 'a'}", "ok ");
    expect_qmp("blockdev-add", "{'driver': 'null-co', 'node-name': 'a'}",
               "Duplicate nodes with node-name='a'");
    expect_qmp("blockdev-add", "{'driver': 'raw', 'node-name': 'b', 'file': 'a'}", "ok ");
    expect_qmp("blockdev-del", "{'node-name': 'a'}", "Block device a is in use");
    expect_qmp("blockdev-del", "{'node-name': 'b'}", "ok ");
    expect_qmp("blockdev-del", "{'node-name': 'a'}", "ok ");
    expect_qmp("blockdev-del", "{'node-name': 'a'}", "Failed to find node with node-name='a'");
    expect_qmp("blockdev-add", "{'driver': 'null-co', 'node-name': 'x', 'size': '1'}",
               "Invalid parameter type for 'size', expected: integer");
    expect_qmp("query-named-block-nodes", NULL, "ok []");
}

static void test_block_resize(void)
{
    g_autofree char *path = make_image("resize", 4096);
    g_autofree char *text =
        g_strdup_printf("driver=raw,node-name=r,file.driver=file,file.filename=%s", path);
    add_node(text);
    add_node("driver=null-co,node-name=n");
    BlockFront *front = add_front("r");
    expect_qmp("block_resize", "{'node-name': 'r', 'size': -1}", "Parameter 'size' expects a >0 size");
    expect_qmp("block_resize", "{'size': 1}", "Cannot find device='' nor node-name=''");
    expect_qmp("block_resize", "{'node-name': 'nosuch', 'size': 1}",
               "Cannot find device='' nor node-name='nosuch'");
    expect_qmp("block_resize", "{'node-name': 'n', 'size': 1}",
               "Image format driver does not support resize");
    expect_qmp("block_resize", "{'node-name': 'r', 'size': 8192}", "ok ");
    g_assert_cmpint(front_length(front), ==, 8192);
    drop_front(front);
    del_all();
}

static void test_query_block_fields(void)
{
    GError *error = NULL;
    g_autofree char *path = make_image("query", 4096);
    g_autofree char *text =
        g_strdup_printf("file=%s,if=none,id=d,format=raw,cache=writethrough,node-name=q", path);
    g_assert_true(block_add_drive(text, BLOCK_IF_IDE, &error));
    g_autofree char *got = run_qmp("query-block", NULL);
    g_autofree char *want = g_strdup_printf(
        "ok [{\"device\": \"d\", \"type\": \"unknown\", \"removable\": true, \"locked\": false, "
        "\"inserted\": "
        "{\"file\": \"%s\", \"node-name\": \"q\", \"ro\": false, \"drv\": \"raw\", "
        "\"backing_file_depth\": 0, "
        "\"active\": true, \"encrypted\": false, \"detect_zeroes\": \"off\", \"bps\": 0, "
        "\"bps_rd\": 0, "
        "\"bps_wr\": 0, \"iops\": 0, \"iops_rd\": 0, \"iops_wr\": 0, \"image\": {\"filename\": "
        "\"%s\", "
        "\"format\": \"raw\", \"dirty-flag\": false, \"actual-size\": 4096, \"virtual-size\": "
        "4096}, \"cache\": "
        "{\"writeback\": false, \"direct\": false, \"no-flush\": false}, \"write_threshold\": 0}}]",
        path, path);
    g_assert_cmpstr(got, ==, want);
    del_all();
}

/* Filenames that QMP shows open the same node again. */
static void test_json_filename_round_trip(void)
{
    add_node("driver=blkdebug,node-name=b,align=1024,image.driver=null-co,image.size=8192");
    g_autofree char *name = g_strdup(block_node_filename(block_node_find("b")));
    g_assert_cmpstr(
        name, ==,
        "json:{\"driver\": \"blkdebug\", \"image\": {\"driver\": \"null-co\", \"size\": 8192}, "
        "\"align\": 1024}");
    GError *error = NULL;
    BlockNode *again = block_open_filename(name, NULL, BLOCK_OPEN_RDWR, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(block_node_filename(again), ==, name);
    g_assert_cmpint(again->limits.request_align, ==, 1024);
    block_node_unref(again);
    del_all();
}

/* ---- rule files ---- */

static void write_text(const char *name, const char *text)
{
    g_autofree char *path = test_path(name);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static const Case rule_files[] = {
    { "[inject-error]\nevent = \"nosuch\"\n", "invalid parameter value: nosuch" },
    { "[inject-error]\nevent = \"read_aio\"\nnosuch=\"1\"\n", "Invalid parameter 'nosuch=\"1\"'" },
    { "[nosuch]\nevent = \"read_aio\"\n", "There is no option group 'nosuch'" },
    { "garbage\n", "no group defined" },
    { "[inject-error]\nerrno = \"5\"\n", "Missing event name for rule" },
    { "[inject-error]\nevent = \"read_aio\"\nerrno = \"abc\"\n",
      "Parameter 'errno' expects a number" },
    { "[inject-error]\nevent = \"read_aio\"\nerrno = \"99999\"\n",
      "errno 99999 is not between 0 and 4095" },
    { "[inject-error]\nevent = \"read_aio\"\niotype = \"abc\"\n", "invalid parameter value: abc" },
    { "[set-state]\nevent = \"read_aio\"\nnew_state = \"x\"\n",
      "Parameter 'new_state' expects a number" },
    { "# comment\n[inject-error]\n\n  event = \"read_aio\"\n  once = \"on\"\n[set-state "
      "\"two\"]\nevent = \"none\"\n"
      "new_state = \"2\"\n",
      NULL },
    { "", NULL },
};

static void test_rule_files(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rule_files); i++) {
        write_text("rules", rule_files[i].text);
        g_autofree char *text =
            expand("driver=blkdebug,node-name=b,image.driver=null-co,config=@/rules");
        GError *error = NULL;
        bool ok = block_add_blockdev(text, &error);
        check_error(rule_files[i].text, ok, error, rule_files[i].error);
        del_all();
    }
}

static void test_rules_follow_states(void)
{
    write_text("rules", "[inject-error]\nevent = \"read_aio\"\nstate = \"2\"\nerrno = \"28\"\n"
                        "[set-state]\nevent = \"write_aio\"\nstate = \"1\"\nnew_state = \"2\"\n"
                        "[inject-error]\nevent = \"write_aio\"\nsector = \"3\"\nonce = "
                        "\"on\"\nimmediately = \"on\"\n");
    g_free(make_image("states", 8192));
    g_autofree char *text =
        expand("driver=raw,node-name=r,file.driver=blkdebug,file.config=@/rules,"
               "file.image.driver=file,file.image.filename=@/states");
    add_node(text);
    BlockFront *front = add_front("r");
    uint8_t buf[512] = { 0 };
    g_assert_cmpint(front_read(front, 0, 512, buf), ==, 0);
    g_assert_cmpint(front_write(front, 0, 512, buf, 0), ==, 0); /* sector 0; state 2 from here */
    g_assert_cmpint(front_read(front, 0, 512, buf), ==, -ENOSPC);
    g_assert_cmpint(front_write(front, 1536, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(front_write(front, 1536, 512, buf, 0), ==, 0);
    drop_front(front);
    del_all();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    g_free(make_image("odd", 3000));
    g_free(make_image("empty", 0));
    g_free(make_image("img", 1048576));
    g_free(make_image("with,comma", 4096));
#define T(name) g_test_add_func("/block/options/" #name, test_##name)
    T(blockdev);
    T(drive);
    T(names_are_unique);
    T(places);
    T(simple_drive);
    T(guest_cannot_change_a_guessed_raw_into_another_format);
    T(blockdev_add_and_del);
    T(block_resize);
    T(query_block_fields);
    T(json_filename_round_trip);
    T(rule_files);
    T(rules_follow_states);
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
