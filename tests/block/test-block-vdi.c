/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI images on real files: every variant of the header, creating, what check finds and repairs,
 * other sizes, change of hands.
 */
#include "util/osdep.h"
#include "vdi-common.h"

#include <sys/stat.h>

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

/* ---- creating ---- */

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
#undef T
    return vdi_test_end();
}
