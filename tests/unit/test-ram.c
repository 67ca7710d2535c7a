/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM: dirty bits, DMA, closing, blocks, backends (system/memory.h, system/memory-backend.h). */
#include "util/osdep.h"

#include <sys/mman.h>
#include <glib/gstdio.h>

#include "util/bitmap.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "system/memory-backend.h"
#include "system/memory.h"
#include "system/poison.h"
#include "memory-fixture.h"

/* ---- dirty bits, closing, DMA ------------------------------------------------------------------------------ */

typedef struct RamFixture {
    MemoryRegion *root, *ram;
    AddressSpace *as;
    RamBlock *block;
} RamFixture;

static void ram_fixture(RamFixture *f, uint64_t size)
{
    f->root = memory_region_new_container(NULL, "root", UINT64_MAX);
    f->as = address_space_new(f->root, "test");
    f->ram = memory_new_ram("ram", size);
    f->block = memory_region_ram_block(f->ram);
    memory_region_map(f->root, 0, f->ram);
}

static void ram_fixture_end(RamFixture *f)
{
    memory_region_free(f->ram);
    address_space_free(f->as);
    memory_region_free(f->root);
    memory_settle();
}

static void test_dirty(void)
{
    unsigned long *bits = bitmap_new(256);
    RamFixture f;
    uint64_t len = 100;
    void *host;

    ram_fixture(&f, 1024 * KIB);
    address_space_memset(f.as, 0, 1, 4096);
    g_assert_true(ram_dirty_log_start(NULL));
    g_assert_cmpuint(ram_block_take_dirty(f.block, 0, 256, bits), ==, 256);
    g_assert_cmpuint(bitmap_count(bits, 256), ==, 256);
    bitmap_clear(bits, 0, 256);
    g_assert_cmpuint(ram_block_take_dirty(f.block, 0, 256, bits), ==, 0);
    /* Two bytes over the edge of a page are two pages. */
    address_space_write(f.as, 70 * 4096 - 1, "ab", 2);
    dma_write(f.as, 200 * 4096, "x", 1, "test");
    host = dma_map(f.as, 5 * 4096, &len, false);
    g_assert_cmpuint(dma_mappings_active(), ==, 1);
    dma_unmap(f.as, host, len, false, 10, "test");
    host = dma_map(f.as, 6 * 4096, &len, true);
    dma_unmap(f.as, host, len, true, 100, "test");
    g_assert_cmpuint(dma_mappings_active(), ==, 0);
    g_assert_cmpuint(ram_block_take_dirty(f.block, 64, 192, bits), ==, 3);
    g_assert_cmpuint(ram_block_take_dirty(f.block, 0, 64, bits), ==, 1);
    g_assert_true(bitmap_test(bits, 5) && bitmap_test(bits, 69) && bitmap_test(bits, 70) &&
                  bitmap_test(bits, 200));
    g_assert_cmpuint(bitmap_count(bits, 256), ==, 4);
    /* What was there already does not count again. */
    address_space_write(f.as, 5 * 4096, "a", 1);
    g_assert_cmpuint(ram_block_take_dirty(f.block, 0, 64, bits), ==, 0);
    ram_dirty_log_stop();
    address_space_write(f.as, 0, "a", 1);
    g_assert_true(ram_dirty_log_start(NULL));
    ram_dirty_log_stop();
    g_free(bits);
    ram_fixture_end(&f);
}

static void test_dma_map_bounds(void)
{
    RamFixture f;
    uint64_t len = 100 * KIB;
    void *host;

    ram_fixture(&f, 64 * KIB);
    host = dma_map(f.as, 60 * KIB, &len, true);
    g_assert_nonnull(host);
    g_assert_cmpuint(len, ==, 4 * KIB);
    dma_unmap(f.as, host, len, true, 0, "test");
    len = 16;
    g_assert_null(dma_map(f.as, 64 * KIB, &len, true));
    len = 0;
    g_assert_null(dma_map(f.as, 0, &len, true));
    g_assert_cmpuint(dma_mappings_active(), ==, 0);
    ram_fixture_end(&f);
}

static void test_closed(void)
{
    static const char writer[] = "usb-storage";
    RamFixture f;
    uint64_t len = 16;
    uint8_t byte;

    ram_fixture(&f, 64 * KIB);
    ram_close();
    g_assert_true(ram_is_closed());
    g_assert_null(ram_late_writer());
    g_assert_cmpint(address_space_read(f.as, 0, &byte, 1), ==, MEM_OK);
    g_assert_cmpint(dma_write(f.as, 0, "x", 1, writer), ==, MEM_CLOSED);
    g_assert_cmpint(dma_write(f.as, 0, "x", 1, "another"), ==, MEM_CLOSED);
    g_assert_null(dma_map(f.as, 0, &len, false));
    g_assert_cmpstr(ram_late_writer(), ==, writer);
    g_assert_cmpint(((uint8_t *)memory_region_ram_ptr(f.ram))[0], ==, 0);
    ram_open();
    g_assert_cmpint(dma_write(f.as, 0, "x", 1, writer), ==, MEM_OK);
    ram_fixture_end(&f);
}

static bool left_out(const RamBlock *block)
{
    return true;
}

static bool take_all(RamBlock *block, void *opaque)
{
    uint64_t pages = block->size / GUEST_PAGE_SIZE;
    g_autofree unsigned long *bits = bitmap_new(pages);

    ram_block_take_dirty(block, 0, pages, bits);
    return true;
}

/* A page that somebody else has written since the last look is named; one that the host has lost, or that is not sent,
 * is no concern. */
static void test_late_page(void)
{
    RamFixture f;
    GError *error = NULL;

    ram_fixture(&f, 64 * KIB);
    RamBlock *block = memory_region_ram_block(f.ram);
    g_assert_true(ram_dirty_log_start(&error));
    ram_foreach(take_all, NULL);
    ram_close();
    g_assert_true(ram_check_late_writes(NULL, &error));
    ram_block_set_dirty(block, 5 * GUEST_PAGE_SIZE, 1);
    g_assert_true(ram_check_late_writes(left_out, &error));
    g_assert_false(ram_check_late_writes(NULL, &error));
    g_assert_nonnull(strstr(error->message, "offset 0x5000"));
    g_clear_error(&error);
    ram_poison_add(block, 5 * GUEST_PAGE_SIZE, 1, true, false, POISON_HOST);
    g_assert_true(ram_check_late_writes(NULL, &error));
    ram_open();
    ram_dirty_log_stop();
    ram_fixture_end(&f);
}

/* A writer that goes past all functions dies of the guard pages. */
static void test_guard_pages(void)
{
    RamFixture f;

    if (g_test_subprocess()) {
        ram_fixture(&f, 64 * KIB);
        ram_set_guard_pages(true);
        ram_close();
        ram_open();
        *(volatile uint8_t *)memory_region_ram_ptr(f.ram) = 1; /* open: works */
        ram_close();
        *(volatile uint8_t *)memory_region_ram_ptr(f.ram) = 2;
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

/* ---- blocks and backends ----------------------------------------------------------------------------------- */

static bool collect_id(RamBlock *block, void *opaque)
{
    g_string_append_printf(opaque, "%s ", block->idstr);
    return true;
}

static void test_block_order(void)
{
    GString *ids = g_string_new(NULL);
    MemoryRegion *small = memory_new_ram("small", 4 * KIB),
                 *large = memory_new_ram("large", 1024 * KIB);
    MemoryRegion *small2 = memory_new_ram("small2", 4 * KIB);
    GError *error = NULL;
    uint64_t offset;

    ram_foreach(collect_id, ids);
    g_assert_cmpstr(ids->str, ==, "large small small2 ");
    g_assert_null(memory_region_new_ram(NULL, "small", 4 * KIB, &error));
    g_assert_error(error, TERN_ERROR, TERN_ERROR_GENERIC);
    g_clear_error(&error);
    g_assert_null(memory_region_new_ram(NULL, "none", 0, &error));
    g_clear_error(&error);
    g_autofree char *name = g_strnfill(256, 'n');
    g_assert_null(memory_region_new_ram(NULL, name, 4 * KIB, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_null(memory_region_new_ram(NULL, "huge", UINT64_MAX / 2, &error));
    g_clear_error(&error);
    g_assert_true(ram_find("large") == memory_region_ram_block(large));
    g_assert_null(ram_find("nobody"));
    g_assert_cmpuint(ram_total_size(), ==, 1032 * KIB);
    g_assert_true(ram_block_from_host((uint8_t *)memory_region_ram_ptr(large) + 77, &offset) ==
                  ram_find("large"));
    g_assert_cmpuint(offset, ==, 77);
    g_assert_null(ram_block_from_host(&offset, &offset));
    memory_region_free(small);
    memory_region_free(large);
    memory_region_free(small2);
    memory_settle();
    g_assert_null(ram_find("large"));
    g_string_free(ids, TRUE);
}

/* Pages that nobody touched cost nothing. */
static void test_lazy(void)
{
    MemoryRegion *ram = memory_new_ram("big", UINT64_C(8) << 30);
    unsigned char resident = 1;

    g_assert_cmpuint((uintptr_t)memory_region_ram_ptr(ram) % (2 << 20), ==, 0);
    g_assert_cmpint(mincore((uint8_t *)memory_region_ram_ptr(ram) + (1 << 30), 4096, &resident), ==,
                    0);
    g_assert_cmpint(resident & 1, ==, 0);
    memory_region_free(ram);
    memory_settle();
}

static json_object *props(const char *text)
{
    json_object *object = json_tokener_parse(text);

    g_assert_nonnull(object);
    return object;
}

static void expect_backend_error(const char *type, const char *text, const char *message)
{
    json_object *p = props(text);
    GError *error = NULL;

    g_assert_false(user_creatable_add(type, "bad", p, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, message));
    g_clear_error(&error);
    json_object_put(p);
}

static void test_backends(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-memory-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "ram", NULL);
    g_autofree char *json =
        g_strdup_printf("{\"size\": 65536, \"share\": true, \"mem-path\": \"%s\"}", file);
    g_autofree char *larger = g_strdup_printf("{\"size\": 131072, \"mem-path\": \"%s\"}", file);
    g_autofree char *unaligned =
        g_strdup_printf("{\"size\": 4096, \"align\": 3000, \"mem-path\": \"%s\"}", file);
    g_autofree char *content = NULL;
    json_object *p = props(json), *q = props("{\"size\": 8192}");
    GError *error = NULL;
    MemoryBackend *backend;

    g_assert_true(user_creatable_add("memory-backend-file", "f", p, &error));
    g_assert_no_error(error);
    backend = memory_backend_find("f", NULL);
    memcpy(memory_region_ram_ptr(backend->region), "guest", 5);
    g_assert_true(g_file_get_contents(file, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "guest");
    g_assert_true(ram_find("f")->not_migrated);
    g_assert_true(memory_backend_use(backend, NULL) == backend->region);
    g_assert_false(ram_find("f")->not_migrated);
    g_assert_null(memory_backend_use(backend, &error));
    g_clear_error(&error);
    g_assert_false(user_creatable_del("f", &error));
    g_clear_error(&error);
    memory_backend_release(backend);
    g_assert_true(user_creatable_del("f", &error));

    g_assert_true(user_creatable_add("memory-backend-memfd", "m", q, &error));
    g_assert_no_error(error);
    g_assert_true(memory_backend_find("m", NULL)->share);
    g_assert_cmpint(ram_find("m")->fd, >=, 0);
    g_assert_cmpint(ftruncate(ram_find("m")->fd, 0), <, 0); /* sealed */
    g_assert_true(user_creatable_del("m", NULL));
    g_assert_true(user_creatable_add("memory-backend-ram", "r", q, NULL));
    g_assert_true(user_creatable_del("r", NULL));

    expect_backend_error("memory-backend-ram", "{}", "can't create backend with size 0");
    expect_backend_error("memory-backend-file", "{\"size\": 4096}", "mem-path property not set");
    expect_backend_error("memory-backend-file",
                         "{\"size\": 4096, \"mem-path\": \"/nonexistent/x\"}",
                         "can't open backing store /nonexistent/x for guest RAM");
    expect_backend_error("memory-backend-file", larger, "does not match 'size' option");
    expect_backend_error("memory-backend-file", unaligned, "must be multiples of page size");
    g_assert_null(memory_backend_find("bad", &error));
    g_assert_cmpstr(error->message, ==, "Memory backend 'bad' not found");
    g_clear_error(&error);
    json_object_put(p);
    json_object_put(q);
    memory_settle();
    g_assert_cmpuint(ram_total_size(), ==, 0);
    g_unlink(file);
    g_rmdir(dir);
}

/* Kilobytes in huge pages of the area that holds p. */
static unsigned huge_kib(const void *p)
{
    g_autofree char *text = NULL;
    uintptr_t start, end;
    bool here = false;
    unsigned kib;

    g_assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (sscanf(*line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2) {
            here = (uintptr_t)p >= start && (uintptr_t)p < end;
        } else if (here && sscanf(*line, "AnonHugePages: %u kB", &kib) == 1) {
            return kib;
        }
    }
    return 0;
}

/* Small pages cost the host's kernel, and a migration, up to twenty times the time. */
static void test_prealloc_in_huge_pages(void)
{
    const size_t size = 16 << 20, align = 2 << 20;
    uint8_t *area = mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *own = (uint8_t *)(((uintptr_t)area + align - 1) / align * align);

    g_assert_true(area != MAP_FAILED);
    madvise(own, size, MADV_HUGEPAGE);
    memset(own, 1, size);
    if (huge_kib(own) < size / 1024) {
        g_test_skip("the kernel gives no transparent huge pages");
    } else {
        json_object *p = props("{\"size\": 16777216, \"prealloc\": true}");
        g_assert_true(user_creatable_add("memory-backend-ram", "r", p, NULL));
        g_assert_cmpuint(huge_kib(ram_find("r")->host), >, 0);
        g_assert_true(user_creatable_del("r", NULL));
        json_object_put(p);
        memory_settle();
    }
    munmap(area, size + align);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    memory_init();
    g_test_add_func("/ram/dirty", test_dirty);
    g_test_add_func("/ram/dma-map-bounds", test_dma_map_bounds);
    g_test_add_func("/ram/closed", test_closed);
    g_test_add_func("/ram/late-page", test_late_page);
    g_test_add_func("/ram/guard-pages", test_guard_pages);
    g_test_add_func("/ram/block-order", test_block_order);
    g_test_add_func("/ram/lazy", test_lazy);
    g_test_add_func("/ram/backends", test_backends);
    g_test_add_func("/ram/prealloc-in-huge-pages", test_prealloc_in_huge_pages);
    return g_test_run();
}
