/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole streams in memory (migration/buffer.h): round trips, and every way to cut and bend them. */
#include "util/osdep.h"

#include <glib.h>
#include "migration/buffer.h"
#include "migration/migration.h"
#include "system/memory.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"
#include "vmstate/vmstate.h"

#define SIZE (64 * 4096)

static MemoryRegion *ram, *rom;

typedef struct Gadget {
    uint32_t a;
    uint8_t index;
} Gadget;

static bool index_valid(const void *opaque, int64_t value)
{
    return value < 4;
}

static const VmState vm_gadget = {
    .name = "gadget",
    .version = 2,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_U32(Gadget, a),
            { .name = "index", .offset = offsetof(Gadget, index), .size = 1, .kind = &vm_kind_u8,
              .valid = index_valid },
            VM_END,
        },
};

static Gadget gadget;

static uint8_t *host(MemoryRegion *mr)
{
    return memory_region_ram_ptr(mr);
}

static void fill(unsigned seed)
{
    memset(host(ram), 0, SIZE);
    for (unsigned page = 0; page < SIZE / 4096; page++) {
        if (page % 3 != seed % 3) {
            memset(host(ram) + page * 4096 + page, (int)(page + seed) | 1, 4096 - page);
        }
    }
    memset(host(rom), (int)seed, SIZE);
    gadget = (Gadget){ seed * 1000, seed % 4 };
    clock_virtual_set(seed * 77);
}

static GBytes *save(void)
{
    g_autoptr(GError) error = NULL;
    GBytes *bytes = migration_save_buffer(&error);
    g_assert_no_error(error);
    return bytes;
}

static void test_round_trip(void)
{
    g_autoptr(GError) error = NULL;
    fill(5);
    g_autoptr(GBytes) first = save();
    g_autofree uint8_t *keep = g_memdup2(host(ram), SIZE);
    fill(6);
    migration_load_buffer(g_bytes_get_data(first, NULL), g_bytes_get_size(first), &error);
    g_assert_no_error(error);
    g_assert_cmpmem(host(ram), SIZE, keep, SIZE);
    g_assert_cmpuint(gadget.a, ==, 5000);
    g_assert_cmpint(clock_get_ns(CLOCK_VIRTUAL), ==, 5 * 77);
    g_autoptr(GBytes) second = save();
    g_assert_true(g_bytes_equal(first, second));
}

/* Loads a copy of exactly that size, so that a sanitizer sees the end. */
static bool load(const uint8_t *data, size_t len)
{
    g_autofree uint8_t *copy = g_memdup2(data, MAX(len, 1));
    g_autoptr(GError) error = NULL;
    bool ok = migration_load_buffer(copy, len, &error);
    g_assert_true(ok == !error);
    g_assert_cmpuint(gadget.index, <, 4);
    return ok;
}

/* Where the stream is not the content of pages: one step, else a large one. */
static size_t step(size_t at, size_t len)
{
    return at < 300 || at + 3000 > len ? 1 : 499;
}

static void test_truncated(void)
{
    fill(1);
    g_autoptr(GBytes) bytes = save();
    size_t len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    for (size_t n = 0; n < len; n += step(n, len)) {
        g_assert_false(load(data, n));
    }
    g_assert_true(load(data, len));
}

static void test_bit_flips(void)
{
    fill(2);
    g_autoptr(GBytes) bytes = save();
    size_t len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    for (size_t at = 0; at < len; at += step(at, len)) {
        for (int bit = 0; bit < 8; bit++) {
            copy[at] ^= 1 << bit;
            load(copy, len);
            copy[at] ^= 1 << bit;
        }
    }
    g_assert_true(load(copy, len));
}

static void expect_error(const uint8_t *data, size_t len, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(migration_load_buffer(data, len, &error));
    if (!strstr(error->message, text)) {
        g_error("'%s' has no '%s'", error->message, text);
    }
}

static void test_errors(void)
{
    fill(3);
    g_autoptr(GBytes) bytes = save();
    size_t len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    uint8_t *name = memmem(copy, len, "\x06gadget", 7);
    name[6] = 'x';
    expect_error(copy, len, "Unknown savevm section or instance 'gadgex' 0. Make sure");
    name[6] = 't';
    name[14] = 3; /* version */
    expect_error(copy, len, "savevm: unsupported version 3 for 'gadget' v2");
    name[14] = 2;
    name[19] = 9; /* index */
    expect_error(copy, len, "error while loading state for instance 0x0 of device 'gadget': gadget: field "
                            "'index': the value 9 is out of range");
    name[19] = 0;
    name[20] = 0;
    expect_error(copy, len, "Missing section footer for gadget");
    name[20] = 0x7e;
    name[24] ^= 0x40;
    expect_error(copy, len, "Mismatched section id in footer for gadget - read 0x");
    name[24] ^= 0x40;
    uint8_t *block = memmem(copy, len, "\x03ram\0\0\0\0\0\0", 10) + 32;
    g_assert_cmpmem(block, 4, "\x03rom", 4);
    block[3] = 'n';
    expect_error(copy, len, "Unknown ramblock \"ron\", cannot accept migration");
    block[3] = 'm';
    block[10] ^= 1;
    expect_error(copy, len, "Size mismatch: rom: 0x");
}

static void test_blocked(void)
{
    g_autoptr(GError) error = NULL;
    VmBlocker *a = vmstate_block(NULL, "the oven is hot");
    g_assert_null(migration_save_buffer(&error));
    g_assert_cmpstr(error->message, ==, "the oven is hot");
    g_clear_error(&error);
    vmstate_unblock(a);
    VmSection *bad = vmstate_register("toaster", 0, NULL, NULL);
    bad->unmigratable = true;
    bad->reason = "bread inside";
    g_assert_null(migration_save_buffer(&error));
    g_assert_cmpstr(error->message, ==, "State blocked by non-migratable device 'toaster': bread inside");
    vmstate_unregister(bad);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    memory_init();
    migration_init();
    ram = memory_region_new_ram(NULL, "ram", SIZE, NULL);
    rom = memory_region_new_rom(NULL, "rom", SIZE, NULL);
    vmstate_register("gadget", 0, &vm_gadget, &gadget);
    g_test_add_func("/migration-buffer/round-trip", test_round_trip);
    g_test_add_func("/migration-buffer/truncated", test_truncated);
    g_test_add_func("/migration-buffer/bit-flips", test_bit_flips);
    g_test_add_func("/migration-buffer/errors", test_errors);
    g_test_add_func("/migration-buffer/blocked", test_blocked);
    return g_test_run();
}
