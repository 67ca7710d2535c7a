/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XBZRLE: what is encoded decodes to itself, rubbish is refused, the cache keeps what it says; zero pages are found. */
#include "util/osdep.h"

#include <sys/mman.h>
#include "migration/xbzrle.h"
#include "migration/zero-page.h"

#define PAGE 4096

static void change(uint8_t *page, unsigned n, unsigned most)
{
    while (n--) {
        unsigned at = g_test_rand_int_range(0, PAGE), len = g_test_rand_int_range(1, most);
        for (unsigned i = at; i < MIN(at + len, PAGE); i++) {
            page[i] = g_test_rand_int();
        }
    }
}

static void test_round_trip(void)
{
    uint8_t old[PAGE], new[PAGE], encoded[PAGE];
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < PAGE; i++) {
            old[i] = round % 3 ? g_test_rand_int() : 0;
        }
        memcpy(new, old, PAGE);
        change(new, round % 40, 1 + round % 200);
        int n = xbzrle_encode(old, new, PAGE, encoded, sizeof(encoded));
        g_assert_cmpint(n, <=, PAGE);
        if (n < 0) {
            continue;
        }
        g_assert_cmpint(n == 0, ==, memcmp(old, new, PAGE) == 0);
        g_assert_true(xbzrle_decode(encoded, n, old, PAGE));
        g_assert_cmpmem(old, PAGE, new, PAGE);
    }
}

static void test_shapes(void)
{
    uint8_t old[PAGE] = { 0 }, new[PAGE] = { 0 }, encoded[PAGE];
    g_assert_cmpint(xbzrle_encode(old, new, PAGE, encoded, PAGE), ==, 0);
    new[0] = 1; /* zero equal, one new */
    g_assert_cmpint(xbzrle_encode(old, new, PAGE, encoded, PAGE), ==, 3);
    g_assert_cmpmem(encoded, 3, "\0\1\1", 3);
    new[0] = 0;
    new[PAGE - 1] = 7; /* 4095 = 0x7f + (31 << 7) */
    g_assert_cmpint(xbzrle_encode(old, new, PAGE, encoded, PAGE), ==, 4);
    g_assert_cmpmem(encoded, 4, "\xff\x1f\1\7", 4);
    memset(new, 9, PAGE); /* everything: does not fit */
    g_assert_cmpint(xbzrle_encode(old, new, PAGE, encoded, PAGE), ==, -1);
    g_assert_cmpint(xbzrle_encode(old, new, PAGE, encoded, 3), ==, -1);
}

static void test_rubbish(void)
{
    uint8_t page[PAGE + 16], data[64];
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        { "\1", 1 },     { "\x80", 1 },           { "\x80\x80\1\1", 4 }, { "\0\0", 2 },
        { "\0\2\1", 3 }, { "\xff\x1f\2\1\1", 5 }, { "\xff\x7f\1\1", 4 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(xbzrle_decode((const uint8_t *)bad[i].bytes, bad[i].len, page, PAGE));
    }
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = g_test_rand_int_range(0, sizeof(data));
        for (size_t i = 0; i < len; i++) {
            data[i] = g_test_rand_int();
        }
        memset(page + PAGE, 0x77, 16);
        xbzrle_decode(data, len, page, PAGE);
        for (unsigned i = 0; i < 16; i++) {
            g_assert_cmphex(page[PAGE + i], ==, 0x77);
        }
    }
}

static void test_cache(void)
{
    XbzrleCache *cache = xbzrle_cache_new(4 * PAGE);
    uint8_t *a = xbzrle_cache_add(cache, 0), *b = xbzrle_cache_add(cache, 4);
    g_assert_true(a && b && a != b);
    g_assert_null(xbzrle_cache_find(cache, 8));
    g_assert_null(xbzrle_cache_add(cache, 8)); /* both were used just now */
    g_assert_true(xbzrle_cache_find(cache, 0) == a);
    xbzrle_cache_age(cache);
    g_assert_true(xbzrle_cache_find(cache, 4) == b);
    xbzrle_cache_age(cache);
    g_assert_nonnull(xbzrle_cache_add(cache, 8)); /* the one that was not used */
    g_assert_null(xbzrle_cache_find(cache, 0));
    g_assert_true(xbzrle_cache_find(cache, 4) == b);
    xbzrle_cache_free(cache);
}

static void check_scan(PageScan *scan, uint8_t *page)
{
    g_assert_true(scan(page));
    for (unsigned i = 0; i < PAGE; i++) {
        page[i] = 1 << i % 8;
        g_assert_false(scan(page));
        page[i] = 0;
    }
    g_assert_true(scan(page));
}

/* By each way that this processor has, not only the one that is used on it. */
static void test_zero_page(void)
{
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    PageScan *scans[PAGE_SCANS_MAX];
    unsigned n = page_scans(scans);
    check_scan(page_is_zero, page);
    for (unsigned i = 0; i < n; i++) {
        check_scan(scans[i], page);
    }
    g_test_message("%u ways of looking for zero pages", n);
    munmap(page, PAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xbzrle/round-trip", test_round_trip);
    g_test_add_func("/xbzrle/shapes", test_shapes);
    g_test_add_func("/xbzrle/rubbish", test_rubbish);
    g_test_add_func("/xbzrle/cache", test_cache);
    g_test_add_func("/zero-page/every-byte", test_zero_page);
    return g_test_run();
}
