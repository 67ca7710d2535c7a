/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI images on real files: every variant of the header, creating, what check finds and repairs,
 * other sizes, change of hands; and by name what has been lost by others (docs/devel/vdi.md).
 */
#include "util/osdep.h"
#include "block-common.h"

#include <sys/stat.h>
#include "block/image.h"
#include "util/bytes.h"

#define MIB (1u << 20)
#define BLOCK 4096u
#define DATA 1024u

/* ---- images byte by byte ---- */

static void put_file(const char *path, uint64_t at, const void *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, data, size, at), ==, size);
    close(fd);
}

static void put32(const char *path, uint64_t at, uint32_t value)
{
    uint8_t b[4];
    store_le32(b, value);
    put_file(path, at, b, sizeof(b));
}

static uint32_t get32(const char *path, uint64_t at)
{
    uint8_t b[4] = { 0 };
    int fd = open(path, O_RDONLY);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, b, sizeof(b), at), ==, sizeof(b));
    close(fd);
    return load_le32(b);
}

static uint64_t file_size(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_size;
}

/* Ten blocks of 4 KiB; the map is at 512, the data at 1024. Blocks of the file hold their number + 1
 * in each byte. */
static char *make_vdi(const char *name, const uint32_t *entries, uint32_t allocated,
                      uint32_t in_file)
{
    char *path = test_path(name);
    uint8_t block[BLOCK];
    g_unlink(path);
    put_file(path, 0, "<<< some program >>>\n", 21);
    put32(path, 0x40, 0xbeda107f);
    put32(path, 0x44, 0x00010001);
    put32(path, 0x48, 0x190);
    put32(path, 0x4c, 1);
    put32(path, 0x154, 512);
    put32(path, 0x158, DATA);
    put32(path, 0x168, 512);
    put32(path, 0x170, 10 * BLOCK);
    put32(path, 0x178, BLOCK);
    put32(path, 0x180, 10);
    put32(path, 0x184, allocated);
    put32(path, 0x1fc, 0);
    for (unsigned i = 0; i < 10; i++) {
        put32(path, 512 + 4 * i, entries[i]);
    }
    put32(path, DATA - 4, 0);
    for (unsigned i = 0; i < in_file; i++) {
        memset(block, i + 1, sizeof(block));
        put_file(path, DATA + i * BLOCK, block, sizeof(block));
    }
    return path;
}

#define FREE 0xffffffffu
static const uint32_t three[10] = { 0, FREE, 2, 1, FREE, FREE, FREE, FREE, FREE, FREE };

static BlockFront *open_flags(const char *path, unsigned flags, const char *more, GError **error)
{
    g_autofree char *text = g_strdup_printf("driver=vdi%s", more);
    json_object *o = keyval_parse(text, NULL, false, NULL, NULL);
    BlockFront *front = front_open(path, o, flags, error);
    json_object_put(o);
    return front;
}

static BlockFront *open_vdi(const char *path)
{
    GError *error = NULL;
    BlockFront *front = open_flags(path, BLOCK_OPEN_RDWR, ",discard=unmap", &error);
    g_assert_no_error(error);
    return front;
}

static void assert_bytes(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    g_assert_cmpint(front_read(front, offset, bytes, buf), ==, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        g_assert_cmphex(buf[i], ==, value);
    }
}

static int write_bytes(BlockFront *front, uint64_t offset, uint64_t bytes, uint8_t value,
                       unsigned flags)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    memset(buf, value, bytes);
    return front_write(front, offset, bytes, buf, flags);
}

/* ---- creating ---- */

static void create(const char *path, const char *options)
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

static void test_create_write_reopen(void)
{
    static const char *const options[] = { "size=5242881", "size=5242881,static=on",
                                           "size=5242881,preallocation=metadata",
                                           "size=5242881,preallocation=falloc",
                                           "size=5242881,preallocation=full" };
    g_autofree char *path = test_path("new.vdi");
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        create(path, options[i]);
        g_assert_cmpint(get32(path, 0x4c), ==, i ? 2 : 1);
        g_assert_cmpint(get32(path, 0x184), ==, i ? 6 : 0);
        g_assert_cmpint(file_size(path), ==, MIB + (i ? 6 * MIB : 0));
        BlockFront *front = open_vdi(path);
        g_assert_cmpint(front_length(front), ==, 5242880 + 512);
        assert_bytes(front, 0, 5242880 + 512, 0);
        g_assert_cmpint(write_bytes(front, 3 * MIB - 512, 2 * MIB, 7, 0), ==, 0);
        g_assert_cmpint(write_bytes(front, 5242880, 512, 8, 0), ==, 0);
        front_unref(front);
        front = open_vdi(path);
        assert_bytes(front, 0, 3 * MIB - 512, 0);
        assert_bytes(front, 3 * MIB - 512, 2 * MIB, 7);
        assert_bytes(front, 5 * MIB - 512, 512, 0);
        assert_bytes(front, 5242880, 512, 8);
        BlockCheckResult r = { 0 };
        g_assert_cmpint(block_node_check(front_node(front), &r, 0), ==, 0);
        g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
        BlockDriverInfo info;
        g_assert_cmpint(block_node_info(front_node(front), &info), ==, 0);
        g_assert_cmpint(info.cluster_size, ==, MIB);
        front_unref(front);
        if (i == 0) {
            g_assert_cmpint(get32(path, 0x184), ==, 4);
            g_assert_cmpint(file_size(path), ==, MIB + 4 * MIB);
        }
    }
}

static void test_measure(void)
{
    GError *error = NULL;
    BlockMeasure m;
    json_object *o = keyval_parse("size=10485760", NULL, false, NULL, NULL);
    g_assert_true(block_measure(block_driver_by_name("vdi"), o, NULL, &m, &error));
    g_assert_cmpint(m.required, ==, MIB);
    g_assert_cmpint(m.fully_allocated, ==, 11 * MIB);
    json_object_put(o);
}

/* ---- variants of the header ---- */

typedef struct Variant {
    const char *name;
    unsigned at;
    uint32_t value;
    const char *error; /* NULL: opens */
} Variant;

static const Variant variants[] = {
    { "as it is", 0x48, 0x190, NULL },
    { "header of 384 bytes", 0x48, 384, NULL },
    { "header of 348 bytes", 0x48, 348, NULL },
    { "header without a size", 0x48, 0, NULL },
    { "flags", 0x50, 0xffff, NULL },
    { "static", 0x4c, 2, NULL },
    { "undo", 0x4c, 3, "unsupported VDI image (undo image)" },
    { "snapshot", 0x4c, 4, "unsupported VDI image (differencing image: a snapshot of another)" },
    { "unknown type", 0x4c, 5, "unsupported VDI image (image type 5)" },
    { "parent", 0x1a8, 1, "unsupported VDI image (non-NULL link UUID)" },
    { "parent's change", 0x1b8, 1, "unsupported VDI image (non-NULL parent UUID)" },
    { "signature", 0x40, 1, "Image not in VDI format (bad signature 00000001)" },
    { "version 0.1", 0x44, 1, "unsupported VDI image (version 0.1)" },
    { "version 1.2", 0x44, 0x10002, "unsupported VDI image (version 1.2)" },
    { "sector of 4096", 0x168, 4096, "unsupported VDI image (sector size 4096 is not 512)" },
    { "extra bytes", 0x17c, 512, "unsupported VDI image (512 extra bytes in front of each block)" },
    { "block of 1000", 0x178, 1000,
      "unsupported VDI image (block size 1000 is not a multiple of 512, at most 16777216)" },
    { "block of 0", 0x178, 0,
      "unsupported VDI image (block size 0 is not a multiple of 512, at most 16777216)" },
    { "block of 1.5 KiB", 0x178, 1536,
      "unsupported VDI image (disk size 40960, image bitmap has room for 15360)" },
    { "map in the header", 0x154, 0,
      "unsupported VDI image (block map at 0x0...0x28 is not between header and data at 0x400)" },
    { "map not aligned", 0x154, 0x210, "unsupported VDI image (unaligned block map offset 0x210)" },
    { "data not aligned", 0x158, 0x410, "unsupported VDI image (unaligned data offset 0x410)" },
    { "data over map", 0x158, 0x200,
      "unsupported VDI image (block map at 0x200...0x228 is not between header and data at "
      "0x200)" },
    { "too few blocks", 0x180, 9,
      "unsupported VDI image (disk size 40960, image bitmap has room for 36864)" },
    { "too many blocks", 0x180, 0xffffffff,
      "unsupported VDI image (too many blocks 4294967295, max is 536870784)" },
    { "huge disk", 0x174, 0x7fffffff,
      "Unsupported VDI image size (size is 0x7fffffff0000a000, max supported is 0x1fffff8000000)" },
};

static void test_variants(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *v = &variants[i];
        g_autofree char *path = make_vdi("variant.vdi", three, 3, 3);
        GError *error = NULL;
        put32(path, v->at, v->value);
        BlockFront *front = open_flags(path, BLOCK_OPEN_RDWR, "", &error);
        g_test_message("%s", v->name);
        if (v->error) {
            g_assert_null(front);
            g_assert_cmpstr(error->message, ==, v->error);
            g_error_free(error);
            continue;
        }
        g_assert_no_error(error);
        assert_bytes(front, 2 * BLOCK, BLOCK, 3);
        assert_bytes(front, BLOCK, BLOCK, 0);
        g_assert_cmpint(write_bytes(front, 4 * BLOCK + 512, 512, 9, 0), ==, 0);
        front_unref(front);
        front = open_vdi(path);
        assert_bytes(front, 4 * BLOCK, 512, 0);
        assert_bytes(front, 4 * BLOCK + 512, 512, 9);
        assert_bytes(front, 3 * BLOCK, BLOCK, 2);
        front_unref(front);
    }
}

/* VirtualBox has a value for blocks that were discarded. */
static void test_discarded_entries_read_as_zeros(void)
{
    static const uint32_t entries[10] = { 0xfffffffe, 0,    FREE, FREE, FREE,
                                          FREE,       FREE, FREE, FREE, FREE };
    g_autofree char *path = make_vdi("discarded.vdi", entries, 1, 1);
    BlockFront *front = open_vdi(path);
    assert_bytes(front, 0, BLOCK, 0);
    assert_bytes(front, BLOCK, BLOCK, 1);
    g_assert_cmpint(write_bytes(front, 512, 512, 5, 0), ==, 0);
    assert_bytes(front, 0, 512, 0);
    assert_bytes(front, 512, 512, 5);
    front_unref(front);
}

static void test_probe(void)
{
    g_autofree char *path = make_vdi("probe.vdi", three, 3, 3);
    GError *error = NULL;
    BlockFront *front = front_open(path, NULL, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(front_node(front)->driver->name, ==, "vdi");
    g_assert_cmpstr(block_node_filename(front_node(front)), ==, path);
    front_unref(front);
}

static void test_status_zeroes_discard(void)
{
    g_autofree char *path = make_vdi("status.vdi", three, 3, 3);
    BlockFront *front = open_vdi(path);
    BlockNode *node = front_node(front), *file;
    uint64_t n, map;
    int ret = block_status_above(node, NULL, false, 0, 10 * BLOCK, &n, &map, &file, NULL);
    g_assert_cmpint(ret, ==, BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET | BLOCK_STATUS_ALLOCATED);
    g_assert_cmpint(n, ==, BLOCK);
    g_assert_cmpint(map, ==, DATA);
    ret = block_status_above(node, NULL, false, 4 * BLOCK + 512, 10 * BLOCK, &n, &map, &file, NULL);
    g_assert_cmpint(ret, ==, BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED);
    g_assert_cmpint(n, ==, 6 * BLOCK - 512);
    /* Zeros into nothing take no space. */
    g_assert_cmpint(front_write_zeroes(front, BLOCK, BLOCK, 0), ==, 0);
    g_assert_cmpint(front_write_zeroes(front, 4 * BLOCK, 3 * BLOCK, BLOCK_MAY_UNMAP), ==, 0);
    g_assert_cmpint(get32(path, 512 + 4), ==, FREE);
    g_assert_cmpint(front_write_zeroes(front, 512, 512, 0), ==, 0);
    assert_bytes(front, 0, 512, 1);
    assert_bytes(front, 512, 512, 0);
    g_assert_cmpint(front_discard(front, 2 * BLOCK, BLOCK), ==, 0);
    assert_bytes(front, 3 * BLOCK, BLOCK, 2);
    front_unref(front);
    g_assert_cmpint(file_size(path), ==, DATA + 3 * BLOCK);
}

/* ---- check and repair ---- */

typedef struct Damage {
    const char *name;
    uint32_t entries[10];
    uint32_t allocated, in_file;
    unsigned corruptions, leaks;
    const char *refused; /* what opening for writing says */
    uint8_t reads[10];   /* after repair */
    uint32_t allocated_after;
} Damage;

static const Damage damages[] = {
    { "nothing",
      { 0, FREE, 2, 1, FREE, FREE, FREE, FREE, FREE, FREE },
      3,
      3,
      0,
      0,
      NULL,
      { 1, 0, 3, 2 },
      3 },
    { "two entries for one block",
      { 0, 0, 1, FREE, FREE, FREE, FREE, FREE, FREE, 0 },
      2,
      2,
      2,
      0,
      "Image is corrupt: block 1 is at 0, where another one is, too; use qemu-img check -r all",
      { 1, 1, 2, 0, 0, 0, 0, 0, 0, 1 },
      4 },
    { "an entry out of range",
      { 0, 10, FREE, 0xfffffffd, FREE, FREE, FREE, FREE, FREE, FREE },
      1,
      1,
      2,
      0,
      "Image is corrupt: block 1 is at 10, which is out of range; use qemu-img check -r all",
      { 1 },
      1 },
    { "a header that counts too few",
      { 0, 1, 2, FREE, FREE, FREE, FREE, FREE, FREE, FREE },
      1,
      3,
      1,
      0,
      NULL,
      { 1, 2, 3 },
      3 },
    { "blocks that nobody has",
      { 0, 3, FREE, 5, FREE, FREE, FREE, FREE, FREE, FREE },
      6,
      6,
      0,
      3,
      NULL,
      { 1, 4, 0, 6 },
      3 },
    { "a header that counts too many",
      { 0, FREE, FREE, FREE, FREE, FREE, FREE, FREE, FREE, FREE },
      7,
      1,
      0,
      6,
      NULL,
      { 1 },
      1 },
    { "a header that counts impossibly many",
      { 0, FREE, FREE, FREE, FREE, FREE, FREE, FREE, FREE, FREE },
      0xffffffff,
      1,
      0,
      9,
      NULL,
      { 1 },
      1 },
    { "a file that is cut off",
      { 0, 1, 2, FREE, FREE, FREE, FREE, FREE, FREE, FREE },
      3,
      1,
      2,
      0,
      NULL,
      { 1 },
      1 },
};

static void check(const char *path, unsigned fix, BlockCheckResult *r)
{
    GError *error = NULL;
    BlockFront *front =
        open_flags(path, BLOCK_OPEN_CHECK | (fix ? BLOCK_OPEN_RDWR : 0), "", &error);
    g_assert_no_error(error);
    *r = (BlockCheckResult){ 0 };
    g_assert_cmpint(block_node_check(front_node(front), r, fix), ==, 0);
    front_unref(front);
}

static void test_damage(gconstpointer data)
{
    const Damage *d = data;
    g_autofree char *path = make_vdi("damage.vdi", d->entries, d->allocated, d->in_file);
    GError *error = NULL;
    BlockFront *front = open_flags(path, BLOCK_OPEN_RDWR, "", &error);
    if (d->refused) {
        g_assert_null(front);
        g_assert_cmpstr(error->message, ==, d->refused);
        g_clear_error(&error);
    } else {
        g_assert_no_error(error);
        front_unref(front);
    }
    BlockCheckResult r;
    check(path, 0, &r);
    g_assert_cmpint(r.corruptions, ==, d->corruptions);
    g_assert_cmpint(r.leaks, ==, d->leaks);
    check(path, BLOCK_FIX_LEAKS, &r);
    g_assert_cmpint(r.corruptions, ==, d->corruptions);
    g_assert_cmpint(r.corruptions_fixed, ==, 0);
    check(path, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, &r);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_cmpint(r.corruptions_fixed, ==, d->corruptions);
    check(path, 0, &r);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_cmpint(get32(path, 0x184), ==, d->allocated_after);
    front = open_vdi(path);
    for (unsigned i = 0; i < 10; i++) {
        assert_bytes(front, i * BLOCK, BLOCK, d->reads[i]);
    }
    /* And new blocks go where nobody is. */
    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmpint(write_bytes(front, i * BLOCK, 512, 0xa0 + i, 0), ==, 0);
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_bytes(front, i * BLOCK, 512, 0xa0 + i);
        assert_bytes(front, i * BLOCK + 512, BLOCK - 512, d->reads[i]);
    }
    front_unref(front);
    check(path, 0, &r);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
}

static void test_bad_entry_is_an_io_error(void)
{
    static const uint32_t entries[10] = { 0, 77, FREE, FREE, FREE, FREE, FREE, FREE, FREE, FREE };
    g_autofree char *path = make_vdi("bad.vdi", entries, 1, 1);
    GError *error = NULL;
    uint8_t buf[512];
    BlockFront *front = open_flags(path, 0, "", &error);
    g_assert_no_error(error);
    g_assert_cmpint(front_read(front, BLOCK, 512, buf), ==, -EIO);
    assert_bytes(front, 0, BLOCK, 1);
    front_unref(front);
}

static void test_map_cut_off(void)
{
    g_autofree char *path = make_vdi("cut.vdi", three, 3, 3);
    GError *error = NULL;
    g_assert_cmpint(truncate(path, 512), ==, 0);
    g_assert_null(open_flags(path, 0, "", &error));
    g_assert_cmpstr(error->message, ==,
                    "unsupported VDI image (block map of 10 blocks is cut off by the end of the "
                    "file)");
    g_error_free(error);
}

/* ---- other sizes ---- */

static void test_resize(void)
{
    g_autofree char *path = test_path("resize.vdi");
    GError *error = NULL;
    create(path, "size=3145728");
    BlockFront *front = open_vdi(path);
    g_assert_cmpint(write_bytes(front, 0, 3 * MIB, 3, 0), ==, 0);
    front_truncate(front, MIB + 512, true, PREALLOC_MODE_OFF, &error);
    g_assert_no_error(error);
    g_assert_cmpint(front_length(front), ==, MIB + 512);
    /* What comes back is zeros. */
    front_truncate(front, 200 * MIB, true, PREALLOC_MODE_OFF, &error);
    g_assert_no_error(error);
    assert_bytes(front, 0, MIB + 512, 3);
    assert_bytes(front, MIB + 512, 4 * MIB, 0);
    g_assert_cmpint(write_bytes(front, 199 * MIB, MIB, 4, 0), ==, 0);
    front_unref(front);
    front = open_vdi(path);
    g_assert_cmpint(front_length(front), ==, 200 * MIB);
    assert_bytes(front, MIB + 512, MIB, 0);
    assert_bytes(front, 199 * MIB, MIB, 4);
    BlockCheckResult r = { 0 };
    g_assert_cmpint(block_node_check(front_node(front), &r, 0), ==, 0);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_false(front_truncate(front, UINT64_C(1) << 48, true, PREALLOC_MODE_OFF, &error));
    g_assert_nonnull(strstr(error->message, "bytes of disk at most; convert the image"));
    g_clear_error(&error);
    g_assert_false(front_truncate(front, 300 * MIB, true, PREALLOC_MODE_FULL, &error));
    g_clear_error(&error);
    front_unref(front);
}

/* ---- change of hands ---- */

/* While it is somebody else's, nothing of it is kept in memory: what they wrote is seen, and the
 * header says what is in use. */
static void test_inactivate_activate(void)
{
    g_autofree char *path = make_vdi("hands.vdi", three, 3, 3);
    g_autofree char *opt = g_strdup_printf(
        "driver=vdi,node-name=v,file.driver=file,file.filename=%s,file.locking=off", path);
    GError *error = NULL;
    add_node(opt);
    BlockFront *front = add_front("v");
    g_assert_cmpint(write_bytes(front, 4 * BLOCK, 512, 5, 0), ==, 0);
    g_assert_cmpint(get32(path, 0x184), >, 4);
    block_inactivate_all(&error);
    g_assert_no_error(error);
    g_assert_cmpint(get32(path, 0x184), ==, 4);
    g_assert_cmpint(file_size(path), ==, DATA + 4 * BLOCK);
    put32(path, 512 + 4 * 9, 4);
    put32(path, 0x184, 5);
    uint8_t block[BLOCK];
    memset(block, 0x77, sizeof(block));
    put_file(path, DATA + 4 * BLOCK, block, sizeof(block));
    block_activate_all(&error);
    g_assert_no_error(error);
    assert_bytes(front, 9 * BLOCK, BLOCK, 0x77);
    g_assert_cmpint(write_bytes(front, 5 * BLOCK, 512, 6, 0), ==, 0);
    assert_bytes(front, 9 * BLOCK, BLOCK, 0x77);
    assert_bytes(front, 4 * BLOCK, 512, 5);
    drop_front(front);
    del_node("v");
    g_assert_cmpint(get32(path, 0x184), ==, 6);
}

/* ---- what others lose ---- */

/* An image of 10 MiB with blkdebug below, whose rules are options. */
typedef struct Faulty {
    char *path;
    BlockFront *front;
    BlockNode *node;
} Faulty;

static Faulty faulty_open(const char *rules)
{
    Faulty f = { .path = test_path("faulty.vdi") };
    create(f.path, "size=10485760");
    g_autofree char *opt = g_strdup_printf("driver=vdi,node-name=v,file.driver=blkdebug,file.image."
                                           "driver=file,file.image.filename=%s%s",
                                           f.path, rules);
    f.node = add_node(opt);
    f.front = add_front("v");
    return f;
}

static void faulty_reopen(Faulty *f)
{
    drop_front(f->front);
    del_node("v");
    f->front = open_vdi(f->path);
}

static void faulty_close(Faulty *f)
{
    front_unref(f->front);
    g_free(f->path);
}

/*
 * The first example of the report of 2011. O1: a write to sector X. O2: a new entry. O3: data are
 * written. O4: that fails. O5: the error is reported. P1: a write to sector X + 1. P2, P3: data are
 * written. P4: success is reported. Then the image is closed and opened.
 */
static void test_write_after_a_failed_first_write_is_not_lost(void)
{
    static const char *const events[] = { "write_aio", "l2_update", "l1_update", "cluster_alloc" };
    static const char *const errors[] = { "5", "28" };
    for (unsigned e = 0; e < G_N_ELEMENTS(events); e++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(errors); k++) {
            g_autofree char *rules =
                g_strdup_printf(",file.inject-error.0.event=%s,file.inject-error.0.errno=%s,"
                                "file.inject-error.0.once=on,file.inject-error.0.iotype=write",
                                events[e], errors[k]);
            Faulty f = faulty_open(rules);
            g_assert_cmpint(write_bytes(f.front, 0, 65536, 1, 0), ==, -atoi(errors[k]));
            g_assert_cmpint(write_bytes(f.front, 65536, 65536, 2, 0), ==, 0);
            assert_bytes(f.front, 65536, 65536, 2);
            faulty_reopen(&f);
            assert_bytes(f.front, 65536, 65536, 2);
            assert_bytes(f.front, 131072, 65536, 0);
            BlockCheckResult r = { 0 };
            g_assert_cmpint(block_node_check(front_node(f.front), &r, 0), ==, 0);
            g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
            faulty_close(&f);
        }
    }
}

/* The second bug of the report: an error that is forgotten on its way. */
static void test_no_error_becomes_success(void)
{
    static const char *const events[] = { "write_aio", "l2_update", "l1_update" };
    for (unsigned e = 0; e < G_N_ELEMENTS(events); e++) {
        g_autofree char *rules = g_strdup_printf(
            ",file.inject-error.0.event=%s,file.inject-error.0.iotype=write", events[e]);
        Faulty f = faulty_open(rules);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmpint(write_bytes(f.front, i * MIB, 4096, 1, i ? BLOCK_FUA : 0), ==, -EIO);
        }
        faulty_reopen(&f);
        assert_bytes(f.front, 4096, 2 * MIB - 4096, 0);
        faulty_close(&f);
    }
    Faulty f = faulty_open(",file.inject-error.0.event=read_aio");
    uint8_t buf[512];
    g_assert_cmpint(write_bytes(f.front, 0, 512, 1, 0), ==, 0);
    g_assert_cmpint(front_read(f.front, 0, 512, buf), ==, -EIO);
    faulty_reopen(&f);
    faulty_close(&f);
    f = faulty_open(",file.inject-error.0.event=flush_to_disk,file.inject-error.0.iotype=flush");
    g_assert_cmpint(write_bytes(f.front, 0, 512, 1, 0), ==, 0);
    g_assert_cmpint(front_flush(f.front), ==, -EIO);
    faulty_reopen(&f);
    faulty_close(&f);
}

/* The header with the smaller size is in the file, then the flush fails: the disk is as large as before, and what is written
 * there is still there later. */
static void test_write_behind_the_end_of_a_failed_shrink(void)
{
    g_autofree char *path = test_path("shrink.vdi");
    create(path, "size=10485760");
    BlockFront *front = open_vdi(path);
    g_assert_cmpint(write_bytes(front, 5 * MIB, 4096, 1, 0), ==, 0);
    front_unref(front);
    g_autofree char *options = g_strdup_printf(
        "driver=vdi,node-name=v,file.driver=blkdebug,file.image.driver=file,file.image.filename=%s,"
        "file.inject-error.0.event=l1_update,file.inject-error.0.iotype=flush,file.inject-error.0.once=on",
        path);
    BlockNode *node = add_node(options);
    node->file->node->write_flags = 0; /* FUA is a flush of its own */
    g_autoptr(GError) error = NULL;
    front = front_open_node(block_node_ref(node), &error);
    g_assert_no_error(error);
    g_assert_false(front_truncate(front, MIB, true, PREALLOC_MODE_OFF, &error));
    g_assert_cmpstr(error->message, ==, "Could not shrink the image: Input/output error");
    g_assert_cmpint(write_bytes(front, 5 * MIB, 4096, 2, 0), ==, 0);
    front_unref(front);
    del_node("v");
    front = open_vdi(path);
    g_assert_cmpint(front_length(front), ==, 10 * MIB);
    assert_bytes(front, 5 * MIB, 4096, 2);
    front_unref(front);
}

typedef struct Wait {
    int calls, ret;
    struct iovec iov;
    IoVec vec;
    BlockAio *aio;
} Wait;

static void on_done(void *opaque, int ret)
{
    Wait *w = opaque;
    w->calls++;
    w->ret = ret;
}

static void start_write(BlockFront *front, Wait *w, uint64_t offset, uint64_t bytes, uint8_t value,
                        unsigned flags)
{
    uint8_t *buf = g_malloc(bytes);
    memset(buf, value, bytes);
    *w = (Wait){ .iov = { buf, bytes } };
    w->vec = (IoVec){ &w->iov, 1, 1, bytes };
    w->aio = front_aio_write(front, offset, &w->vec, flags, on_done, w);
}

static void wait_for(Wait *w)
{
    MAIN_LOOP_WHILE(w->calls == 0);
    g_free(w->iov.iov_base);
}

static void let_run(void)
{
    for (unsigned i = 0; i < 20; i++) {
        g_usleep(1000);
        while (g_main_context_pending(NULL)) {
            main_loop_iterate(false);
        }
    }
}

/*
 * The second example, Q1 to Q11: a write to a new block is held before its entry is written; a
 * second write to the same block, even with FUA or with a flush behind it, must not be acknowledged
 * before, because a crash of the host would take it away.
 */
static void test_write_beside_a_first_write_waits_for_its_entry(void)
{
    for (unsigned flags = 0; flags <= BLOCK_FUA; flags += BLOCK_FUA) {
        Faulty f = faulty_open("");
        Wait first, second;
        g_assert_cmpint(block_debug_break(f.node, BLKDEBUG_EVENT_L2_UPDATE, "A"), ==, 0);
        start_write(f.front, &first, 0, 4096, 1, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "A"));
        start_write(f.front, &second, 8192, 4096, 2, flags);
        let_run();
        g_assert_cmpint(second.calls, ==, 0);
        assert_bytes(f.front, 0, 16384, 0);
        g_assert_cmpint(block_debug_resume(f.node, "A"), ==, 0);
        wait_for(&first);
        wait_for(&second);
        g_assert_cmpint(first.ret, ==, 0);
        g_assert_cmpint(second.ret, ==, 0);
        g_assert_cmpint(front_flush(f.front), ==, 0);
        /* The host crashes now: a copy of the file is what is left. */
        g_autofree char *copy = test_path("crashed.vdi");
        g_autofree char *data = NULL;
        gsize size;
        g_assert_true(g_file_get_contents(f.path, &data, &size, NULL));
        g_assert_true(g_file_set_contents(copy, data, size, NULL));
        BlockFront *front = open_vdi(copy);
        assert_bytes(front, 0, 4096, 1);
        assert_bytes(front, 8192, 4096, 2);
        front_unref(front);
        faulty_reopen(&f);
        faulty_close(&f);
    }
}

/* Two first writes to different blocks at the same time, in both orders of their writes of the map:
 * blocks_allocated is right, and the next block is one of its own. */
static void test_two_first_writes_do_not_share_a_block_later(void)
{
    for (unsigned order = 0; order < 2; order++) {
        Faulty f = faulty_open("");
        Wait a, b;
        block_debug_break(f.node, BLKDEBUG_EVENT_WRITE_AIO, "A");
        start_write(f.front, &a, 0, 4096, 1, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "A"));
        block_debug_break(f.node, BLKDEBUG_EVENT_WRITE_AIO, "B");
        start_write(f.front, &b, MIB, 4096, 2, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "B"));
        block_debug_resume(f.node, order ? "B" : "A");
        wait_for(order ? &b : &a);
        block_debug_resume(f.node, order ? "A" : "B");
        wait_for(order ? &a : &b);
        faulty_reopen(&f);
        g_assert_cmpint(get32(f.path, 0x184), ==, 2);
        g_assert_cmpint(write_bytes(f.front, 2 * MIB, 4096, 3, 0), ==, 0);
        assert_bytes(f.front, 0, 4096, 1);
        assert_bytes(f.front, MIB, 4096, 2);
        assert_bytes(f.front, 2 * MIB, 4096, 3);
        faulty_close(&f);
    }
}

/* Power is lost when the entry has reached the disk and the header has not (here: with the header as
 * it was before the session): the next block must be a new one, for us, and for those who only look
 * at the header. */
static void test_block_is_not_reused_after_power_loss(void)
{
    Faulty f = faulty_open("");
    g_assert_cmpint(write_bytes(f.front, 0, 4096, 1, 0), ==, 0);
    g_assert_cmpint(get32(f.path, 0x184), >, 1); /* V3 */
    g_autofree char *copy = test_path("powerless.vdi");
    g_autofree char *data = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(f.path, &data, &size, NULL));
    store_le32(data + 0x184, 0);
    g_assert_true(g_file_set_contents(copy, data, size, NULL));
    BlockFront *front = open_vdi(copy);
    g_assert_cmpint(write_bytes(front, MIB, 4096, 2, 0), ==, 0);
    assert_bytes(front, 0, 4096, 1);
    assert_bytes(front, MIB, 4096, 2);
    front_unref(front);
    front = open_vdi(copy);
    assert_bytes(front, 0, 4096, 1);
    assert_bytes(front, MIB, 4096, 2);
    front_unref(front);
    faulty_reopen(&f);
    faulty_close(&f);
}

/* The file below takes whole pages only; the read that a write of less needs fails: so must the
 * write, and neighbours and header stay what they are. */
static void test_failed_read_before_write_changes_nothing(void)
{
    Faulty f = faulty_open(",file.align=4096,file.inject-error.0.event=pwritev_rmw_head,"
                           "file.inject-error.0.iotype=read");
    g_assert_cmpint(write_bytes(f.front, 0, 65536, 1, 0), ==, 0);
    g_assert_cmpint(write_bytes(f.front, 512, 512, 2, 0), ==, -EIO);
    faulty_reopen(&f);
    assert_bytes(f.front, 0, 65536, 1);
    faulty_close(&f);
}

/* The third bug of the report: cancelled requests. One that waits behind another one's allocation has
 * begun, and ends once, with its own result; one that has not begun leaves no trace. */
static void test_cancel_ends_a_request_once(void)
{
    Faulty f = faulty_open("");
    Wait a, b, c;
    block_debug_break(f.node, BLKDEBUG_EVENT_L2_UPDATE, "A");
    start_write(f.front, &a, 0, 4096, 1, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "A"));
    start_write(f.front, &b, 4096, 4096, 2, 0);
    let_run();
    front_aio_cancel(b.aio);
    front_aio_cancel(a.aio);
    let_run();
    g_assert_cmpint(a.calls + b.calls, ==, 0);
    block_debug_resume(f.node, "A");
    wait_for(&a);
    wait_for(&b);
    g_assert_cmpint(a.ret, ==, 0);
    g_assert_cmpint(b.ret, ==, 0);
    block_quiesce(NULL);
    start_write(f.front, &c, 0, 4096, 3, 0);
    front_aio_cancel(c.aio);
    wait_for(&c);
    g_assert_cmpint(c.ret, ==, -ECANCELED);
    block_resume();
    let_run();
    g_assert_cmpint(a.calls + b.calls + c.calls, ==, 3);
    faulty_reopen(&f);
    assert_bytes(f.front, 0, 4096, 1);
    assert_bytes(f.front, 4096, 4096, 2);
    faulty_close(&f);
}

/* Four first writes and one to a block that is mapped. The unit of the map fails three times (the
 * write of block 3; of block 4; of blocks 1 and 2 together), then the mapped block's write gets the
 * lock before block 2 has heard of its failure, and writes the unit anew. The places of the failed ones
 * are used again only when that is on stable storage. */
static void test_place_of_a_failed_write_waits_for_a_flush(void)
{
    Faulty f = faulty_open(",file.inject-error.0.event=l2_update,file.inject-error.0.state=2"
                           ",file.inject-error.0.sector=8,file.inject-error.0.once=on"
                           ",file.inject-error.1.event=l2_update,file.inject-error.1.state=3"
                           ",file.inject-error.1.sector=8,file.inject-error.1.once=on"
                           ",file.inject-error.2.event=l2_update,file.inject-error.2.state=4"
                           ",file.inject-error.2.sector=8,file.inject-error.2.once=on"
                           ",file.set-state.0.event=l2_update,file.set-state.0.state=1"
                           ",file.set-state.0.new_state=2"
                           ",file.set-state.1.event=l2_update,file.set-state.1.state=2"
                           ",file.set-state.1.new_state=3"
                           ",file.set-state.2.event=l2_update,file.set-state.2.state=3"
                           ",file.set-state.2.new_state=4"
                           ",file.set-state.3.event=l2_update,file.set-state.3.state=4"
                           ",file.set-state.3.new_state=5");
    static const char *const tags[] = { "1", "2", "4" };
    Wait w[3], mapped, next;
    g_assert_cmpint(write_bytes(f.front, 0, 4096, 1, 0), ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        block_debug_break(f.node, BLKDEBUG_EVENT_WRITE_AIO, tags[i]);
        start_write(f.front, &w[i], (uint64_t)atoi(tags[i]) * MIB, 4096, 2, 0);
        MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, tags[i]));
    }
    g_assert_cmpint(write_bytes(f.front, 3 * MIB, 4096, 3, 0), ==, -EIO);
    block_debug_break(f.node, BLKDEBUG_EVENT_L2_UPDATE, "L");
    block_debug_resume(f.node, "4");
    MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "L"));
    block_debug_resume(f.node, "1");
    let_run();
    start_write(f.front, &mapped, 4096, 4096, 4, 0);
    let_run();
    block_debug_resume(f.node, "2");
    let_run();
    block_debug_resume(f.node, "L");
    for (unsigned i = 0; i < 3; i++) {
        wait_for(&w[i]);
        g_assert_cmpint(w[i].ret, ==, -EIO);
    }
    wait_for(&mapped);
    g_assert_cmpint(mapped.ret, ==, 0);
    BlockNode *below = f.node->file->node;
    g_assert_cmpuint(below->flushed_gen, <, below->write_gen);
    block_debug_break(f.node, BLKDEBUG_EVENT_CLUSTER_ALLOC, "N");
    start_write(f.front, &next, 5 * MIB, 4096, 5, 0);
    MAIN_LOOP_WHILE(!block_debug_is_suspended(f.node, "N"));
    g_assert_cmpuint(below->flushed_gen, ==, below->write_gen);
    block_debug_resume(f.node, "N");
    wait_for(&next);
    g_assert_cmpint(next.ret, ==, 0);
    faulty_reopen(&f);
    assert_bytes(f.front, MIB, 4 * MIB, 0);
    assert_bytes(f.front, 5 * MIB, 4096, 5);
    faulty_close(&f);
}

/* An image whose file is another image: when that is full a write is an error. It does not go to what
 * the outer one has behind its end (of its map, too). */
static void test_image_in_an_image_that_is_full(void)
{
    static const char *const outer[] = { "vdi", "qcow2" };
    for (unsigned i = 0; i < G_N_ELEMENTS(outer); i++) {
        GError *error = NULL;
        g_autofree char *path = test_path("outer");
        json_object *o = keyval_parse("size=3145728", NULL, false, NULL, NULL);
        const BlockDriver *driver = block_driver_by_name(outer[i]);
        block_create_check(driver, block_driver_by_name("file"), o, &error);
        block_create_image(path, driver, o, &error);
        g_assert_no_error(error);
        json_object_put(o);
        g_autofree char *opt = g_strdup_printf("driver=raw,file.driver=%s,file.file.driver=file,"
                                               "file.file.filename=%s",
                                               outer[i], path);
        o = keyval_parse(opt, NULL, false, NULL, NULL);
        BlockFront *front = front_open(NULL, o, BLOCK_OPEN_RDWR, &error);
        g_assert_no_error(error);
        json_object_put(o);
        BlockEdge *edge = front_node(front)->file;
        uint8_t buf[512] = { 1 };
        g_assert_cmpint(write_bytes(front, 0, 3 * MIB, 7, 0), ==, 0);
        g_assert_cmphex(edge->perm & BLOCK_PERM_RESIZE, ==, BLOCK_PERM_RESIZE);
        g_assert_cmpint(block_write_buf(edge, 3 * MIB, 512, buf, 0), ==, -ENOSPC);
        g_assert_cmpint(block_write_buf(edge, 200 * MIB, 512, buf, 0), ==, -ENOSPC);
        g_assert_cmpint(block_write_buf(edge, 3 * MIB - 256, 512, buf, 0), ==, -ENOSPC);
        g_assert_cmpint(front_length(front), ==, 3 * MIB);
        assert_bytes(front, 0, 3 * MIB, 7);
        front_unref(front);
    }
}

/* ---- many at the same time ---- */

/* First writes that are ready together share a write of the map: there are fewer of them than
 * allocations. */
static void test_entries_are_written_together(void)
{
    g_autofree char *path = test_path("batch.vdi");
    create(path, "size=104857600");
    g_autofree char *opt =
        g_strdup_printf("driver=vdi,node-name=v,file.driver=file,file.filename=%s", path);
    add_node(opt);
    BlockFront *front = add_front("v");
    Wait w[64];
    for (unsigned i = 0; i < 64; i++) {
        start_write(front, &w[i], i * MIB + 4096, 4096, i + 1, 0);
    }
    for (unsigned i = 0; i < 64; i++) {
        wait_for(&w[i]);
        g_assert_cmpint(w[i].ret, ==, 0);
    }
    drop_front(front);
    del_node("v");
    front = open_vdi(path);
    for (unsigned i = 0; i < 64; i++) {
        assert_bytes(front, i * MIB, 4096, 0);
        assert_bytes(front, i * MIB + 4096, 4096, i + 1);
    }
    front_unref(front);
    BlockCheckResult r;
    check(path, 0, &r);
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
#define T(name) g_test_add_func("/block-vdi/" #name, test_##name)
    T(create_write_reopen);
    T(measure);
    T(variants);
    T(discarded_entries_read_as_zeros);
    T(probe);
    T(status_zeroes_discard);
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *name = g_strdup_printf("/block-vdi/check/%s", damages[i].name);
        g_test_add_data_func(name, &damages[i], test_damage);
    }
    T(bad_entry_is_an_io_error);
    T(map_cut_off);
    T(resize);
    T(inactivate_activate);
    T(write_after_a_failed_first_write_is_not_lost);
    T(no_error_becomes_success);
    T(write_behind_the_end_of_a_failed_shrink);
    T(write_beside_a_first_write_waits_for_its_entry);
    T(two_first_writes_do_not_share_a_block_later);
    T(block_is_not_reused_after_power_loss);
    T(failed_read_before_write_changes_nothing);
    T(cancel_ends_a_request_once);
    T(place_of_a_failed_write_waits_for_a_flush);
    T(image_in_an_image_that_is_full);
    T(entries_are_written_together);
#undef T
    int ret = g_test_run();
    block_test_cleanup();
    return ret;
}
