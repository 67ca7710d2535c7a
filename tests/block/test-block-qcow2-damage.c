/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qcow2 driver and images that are damaged or make no sense: check and repair beside the stock
 * qemu-img, damage that is met while working, headers. */
#include "util/osdep.h"
#include "qcow2-common.h"

/* ---- damage ---- */

static void damage_leak(Raw *r)
{
    gsize old = r->len;
    r->len = (r->len + CLUSTER - 1) / CLUSTER * CLUSTER + CLUSTER;
    r->data = g_realloc(r->data, r->len);
    memset(r->data + old, 0, r->len - old);
    store_be16(r->data + refblock_at(r) + 2 * (r->len / CLUSTER - 1), 1);
}

static void damage_refcount_zero(Raw *r)
{
    uint64_t data = load_be64(r->data + l2_at(r)) & UINT64_C(0x00fffffffffffe00);
    store_be16(r->data + refblock_at(r) + 2 * (data / CLUSTER), 0);
}

static void damage_double_use(Raw *r)
{
    memcpy(r->data + l2_at(r) + 8, r->data + l2_at(r), 8);
}

static void damage_copied_data(Raw *r)
{
    r->data[l2_at(r)] &= 0x7f;
}

static void damage_copied_l2(Raw *r)
{
    r->data[l1_at(r)] &= 0x7f;
}

static void damage_l2_unaligned(Raw *r)
{
    r->data[l2_at(r) + 6] |= 2;
}

static void damage_beyond_end(Raw *r)
{
    store_be64(r->data + l2_at(r) + 16, UINT64_C(0x8000000040000000));
}

static void damage_l1_unaligned(Raw *r)
{
    r->data[l1_at(r) + 6] |= 2;
}

static void damage_refblock_missing(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48), 0);
}

static void damage_refblock_unaligned(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48), refblock_at(r) + 512);
}

static void damage_refblock_outside(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48), UINT64_C(1) << 40);
}

static void damage_refblock_double(Raw *r)
{
    store_be64(r->data + load_be64(r->data + 48) + 8, refblock_at(r));
}

static void damage_truncated(Raw *r)
{
    r->len -= CLUSTER;
}

static void damage_reserved_bits(Raw *r)
{
    r->data[l2_at(r) + 7] |= 0x10;
}

typedef struct Damage {
    const char *name;
    void (*func)(Raw *r);
    unsigned corruptions, leaks; /* at least */
    bool repairable;
} Damage;

static const Damage damages[] = {
    { "leak", damage_leak, 0, 1, true },
    { "refcount-zero", damage_refcount_zero, 1, 0, true },
    { "double-use", damage_double_use, 1, 0, true },
    { "copied-data", damage_copied_data, 1, 0, true },
    { "copied-l2", damage_copied_l2, 1, 0, true },
    { "l2-unaligned", damage_l2_unaligned, 1, 0, false },
    { "beyond-end", damage_beyond_end, 1, 0, false },
    { "l1-unaligned", damage_l1_unaligned, 1, 0, false },
    { "refblock-missing", damage_refblock_missing, 1, 0, true },
    { "refblock-unaligned", damage_refblock_unaligned, 1, 0, true },
    { "refblock-outside", damage_refblock_outside, 1, 0, true },
    { "refblock-double", damage_refblock_double, 1, 0, true },
    { "truncated", damage_truncated, 1, 0, false },
    { "reserved-bits", damage_reserved_bits, 1, 0, false },
};

static void make_checked(const char *path)
{
    create(path, "size=1M,cluster_size=4k");
    BlockFront *front = open_image(path);
    for (unsigned i = 0; i < 6; i++) {
        g_assert_cmpint(fill(front, i * CLUSTER * 4, CLUSTER, i + 1), ==, 0);
    }
    front_unref(front);
}

static void test_damage(const void *opaque)
{
    const Damage *d = opaque;
    g_autofree char *path = test_path("damaged.qcow2");
    make_checked(path);
    BlockCheckResult r = check(path, 0);
    g_assert_cmpint(r.corruptions + r.leaks + r.check_errors, ==, 0);
    Raw raw = raw_load(path);
    d->func(&raw);
    raw_store(path, &raw);

    r = check(path, 0);
    g_assert_cmpint(r.corruptions, >=, d->corruptions);
    g_assert_cmpint(r.leaks, >=, d->leaks);
    int stock = stock_check(path);
    if (stock >= 0) {
        /* 1: it gave up. */
        g_assert_true(stock == 1 || stock == (r.corruptions ? 2 : 3));
    }
    BlockCheckResult again = check(path, 0); /* looking changes nothing */
    g_assert_cmpint(again.corruptions, ==, r.corruptions);

    r = check(path, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS);
    if (!d->repairable) {
        g_assert_cmpint(r.corruptions, >, 0); /* said so, and nothing was made up */
        g_unlink(path);
        return;
    }
    g_assert_cmpint(r.corruptions + r.leaks, ==, 0);
    g_assert_cmpint(r.corruptions_fixed + r.leaks_fixed, >, 0);
    stock = stock_check(path);
    if (stock >= 0) {
        g_assert_cmpint(stock, ==, 0);
    }
    BlockFront *front = open_image(path);
    for (unsigned i = 0; i < 6; i++) {
        if (i != 2 || d->func != damage_double_use) {
            assert_reads(front, i * CLUSTER * 4, CLUSTER, i + 1);
        }
    }
    /* It can be written again, and clusters that two entries shared are not any more. */
    g_assert_cmpint(fill(front, 0, 512, 0x77), ==, 0);
    g_assert_cmpint(fill(front, 30 * CLUSTER, CLUSTER, 0x78), ==, 0);
    front_unref(front);
    r = check(path, 0);
    /* The last owner of what was shared does not know yet that it is alone. */
    g_assert_cmpint(r.corruptions + r.check_errors, <=, d->func == damage_double_use);
    g_unlink(path);
}

/* A leak is repaired without a touch on errors, and the other way round. */
static void test_fix_leaks_only(void)
{
    g_autofree char *path = test_path("both.qcow2");
    make_checked(path);
    Raw raw = raw_load(path);
    damage_leak(&raw);
    damage_copied_data(&raw);
    raw_store(path, &raw);
    BlockCheckResult r = check(path, BLOCK_FIX_LEAKS);
    g_assert_cmpint(r.leaks_fixed, ==, 1);
    g_assert_cmpint(r.corruptions, ==, 1);
    r = check(path, BLOCK_FIX_ERRORS);
    g_assert_cmpint(r.corruptions, ==, 0);
    g_unlink(path);
}

/* ---- damage that is met while working ---- */

static void test_corrupt_bit(void)
{
    g_autofree char *path = test_path("corrupt.qcow2");
    GError *error = NULL;
    make_checked(path);
    Raw raw = raw_load(path);
    /* The second cluster's entry points to the L2 table itself. */
    store_be64(raw.data + l2_at(&raw) + 8, l2_at(&raw) | UINT64_C(1) << 63);
    raw_store(path, &raw);
    BlockFront *front = open_image(path);
    g_assert_cmpint(fill(front, CLUSTER, CLUSTER, 9), ==, -EIO);
    g_assert_cmpint(fill(front, 40 * CLUSTER, CLUSTER, 9), ==, -EIO); /* nobody writes any more */
    assert_reads(front, 0, CLUSTER, 1);
    front_unref(front);
    raw = raw_load(path);
    g_assert_cmpint(load_be64(raw.data + 72) & 2, ==, 2);
    g_free(raw.data);
    front = open_flags(path, "driver=qcow2", BLOCK_OPEN_RDWR, &error);
    g_assert_null(front);
    g_assert_cmpstr(error->message, ==, "qcow2: Image is corrupt; cannot be opened read/write");
    g_clear_error(&error);
    front = open_flags(path, "driver=qcow2", 0, &error);
    g_assert_no_error(error);
    assert_reads(front, 0, CLUSTER, 1);
    front_unref(front);
    g_unlink(path);
}

static void test_overlap_off(void)
{
    g_autofree char *path = test_path("overlap.qcow2");
    GError *error = NULL;
    make_checked(path);
    Raw raw = raw_load(path);
    store_be64(raw.data + l2_at(&raw) + 8 * 511, load_be64(raw.data + 48) | UINT64_C(1) << 63);
    raw_store(path, &raw);
    static const char *const on[] = {
        "overlap-check=cached", "overlap-check=constant",
        "overlap-check.template=none,overlap-check.refcount-table=on"
    };
    /* Behind the disk's end nobody writes; the table is named by an entry that a longer disk has. */
    for (unsigned i = 0; i < G_N_ELEMENTS(on); i++) {
        g_autofree char *o = g_strdup_printf("driver=qcow2,%s", on[i]);
        BlockFront *front = open_flags(path, o, BLOCK_OPEN_RDWR, &error);
        g_assert_no_error(error);
        g_assert_cmpint(fill(front, 60 * CLUSTER, 512, 1), ==, 0);
        front_unref(front);
    }
    BlockFront *front = open_flags(path, "driver=qcow2,overlap-check=nosuch", 0, &error);
    g_assert_null(front);
    g_clear_error(&error);
    g_unlink(path);
}
/* ---- headers ---- */

typedef struct BadHeader {
    const char *name;
    unsigned at, bytes;
    uint64_t value;
    const char *text;
} BadHeader;

static const BadHeader bad_headers[] = {
    { "magic", 0, 4, 1, "Image is not in qcow2 format" },
    { "version", 4, 4, 9, "Unsupported qcow2 version 9" },
    { "clusters-small", 20, 4, 8, "Unsupported cluster size: 2^8" },
    { "clusters-large", 20, 4, 22, "Unsupported cluster size: 2^22" },
    { "size", 24, 8, UINT64_C(1) << 62, "L1 table is too small" },
    { "aes", 32, 4, 1, "AES encryption of qcow2 images is not supported" },
    { "luks", 32, 4, 2, "LUKS encryption of qcow2 images is not supported" },
    { "crypt", 32, 4, 3, "Unsupported encryption method 3" },
    { "l1-size", 36, 4, 1 << 30, "Active L1 table too large" },
    { "l1-offset", 40, 8, 513, "Active L1 table offset invalid" },
    { "reftable-offset", 48, 8, 513, "Reference count table offset invalid" },
    { "reftable-size", 56, 4, 1 << 20, "Reference count table too large" },
    { "reftable-none", 56, 4, 0, "Image does not contain a reference count table" },
    { "snapshots", 60, 4, 70000, "Snapshot table too large" },
    { "backing", 8, 8, 1 << 20, "Invalid backing file offset" },
    { "feature", 72, 8, UINT64_C(1) << 40,
      "Unsupported qcow2 feature(s): Unknown incompatible feature: 10000000000" },
    { "refcounts", 96, 4, 7, "Reference count entry width too large; may not exceed 64 bits" },
    { "header-length", 100, 4, 1 << 20, "qcow2 header exceeds cluster size" },
    { "header-short", 100, 4, 90, "qcow2 header too short" },
    { "extension", 112, 4, 0x12345678, NULL },
};

static void test_bad_headers(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_headers); i++) {
        const BadHeader *b = &bad_headers[i];
        g_autofree char *path = test_path("header.qcow2");
        create(path, "size=1M");
        Raw raw = raw_load(path);
        if (b->bytes == 4) {
            store_be32(raw.data + b->at, b->value);
        } else {
            store_be64(raw.data + b->at, b->value);
        }
        raw_store(path, &raw);
        GError *error = NULL;
        BlockFront *front = open_flags(path, "driver=qcow2", 0, &error);
        if (!b->text) {
            g_assert_no_error(error); /* an unknown extension is no reason */
            front_unref(front);
        } else {
            g_assert_null(front);
            g_assert_cmpstr(error->message, ==, b->text);
            g_error_free(error);
        }
        g_unlink(path);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *name = g_strdup_printf("/block/qcow2/damage/%s", damages[i].name);
        g_test_add_data_func(name, &damages[i], test_damage);
    }
    g_test_add_func("/block/qcow2/fix-leaks-only", test_fix_leaks_only);
    g_test_add_func("/block/qcow2/corrupt-bit", test_corrupt_bit);
    g_test_add_func("/block/qcow2/overlap-options", test_overlap_off);
    g_test_add_func("/block/qcow2/bad-headers", test_bad_headers);
    return qcow2_test_end();
}
