/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zero pages; see zero-page.h. The page map is proc(5)'s /proc/PID/pagemap. */
#include "util/osdep.h"
#include "migration/zero-page.h"

#include <fcntl.h>
#include "util/bitmap.h"

/* ---- looking ---- */

typedef uint64_t Wide __attribute__((vector_size(32), aligned(32)));

/* Most pages that are not zero differ from it in their first bytes. Looking at more places before the scan costs a sixth of the
 * speed with pages that are zero, and the scan ends early with the others. */
static inline bool quick_nonzero(const uint64_t *w)
{
    return w[0];
}

#define SCAN_BODY                                                    \
    const Wide *v = page;                                            \
    for (size_t i = 0; i < GUEST_PAGE_SIZE / sizeof(Wide); i += 8) { \
        Wide x = (v[i] | v[i + 1]) | (v[i + 2] | v[i + 3]);          \
        Wide y = (v[i + 4] | v[i + 5]) | (v[i + 6] | v[i + 7]);      \
        x |= y;                                                      \
        if (x[0] | x[1] | x[2] | x[3]) {                             \
            return false;                                            \
        }                                                            \
    }                                                                \
    return true;

static bool scan_baseline(const void *page)
{
    SCAN_BODY
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static bool scan_avx2(const void *page)
{
    SCAN_BODY
}

typedef uint64_t Wider __attribute__((vector_size(64), aligned(64)));

__attribute__((target("avx512f"))) static bool scan_avx512(const void *page)
{
    const Wider *v = page;
    for (size_t i = 0; i < GUEST_PAGE_SIZE / sizeof(Wider); i += 8) {
        Wider x = (v[i] | v[i + 1]) | (v[i + 2] | v[i + 3]) | (v[i + 4] | v[i + 5]) |
                  (v[i + 6] | v[i + 7]);
        if (x[0] | x[1] | x[2] | x[3] | x[4] | x[5] | x[6] | x[7]) {
            return false;
        }
    }
    return true;
}
#endif

unsigned page_scans(PageScan *scans[PAGE_SCANS_MAX])
{
    unsigned n = 0;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) {
        scans[n++] = scan_avx512;
    }
    if (__builtin_cpu_supports("avx2")) {
        scans[n++] = scan_avx2;
    }
#endif
    scans[n++] = scan_baseline;
    return n;
}

static PageScan *scan;

static void __attribute__((constructor)) choose_scan(void)
{
    PageScan *scans[PAGE_SCANS_MAX];
    page_scans(scans);
    scan = scans[0];
}

bool page_is_zero(const void *page)
{
    return !quick_nonzero(page) && scan(page);
}

/* ---- asking the kernel ---- */

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)

struct PageMap {
    int fd;
    uint64_t entries[4096];
};

PageMap *page_map_open(void)
{
    if (sysconf(_SC_PAGESIZE) != GUEST_PAGE_SIZE) {
        return NULL;
    }
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    PageMap *map = g_malloc(sizeof(*map));
    map->fd = fd;
    return map;
}

void page_map_close(PageMap *map)
{
    if (map) {
        close(map->fd);
        g_free(map);
    }
}

bool page_map_covers(const RamBlock *block)
{
    return block->fd < 0 && !block->shared && block->page_size == GUEST_PAGE_SIZE;
}

bool page_map_untouched(PageMap *map, const RamBlock *block, uint64_t offset, unsigned n,
                        unsigned long *untouched)
{
    g_assert(n <= G_N_ELEMENTS(map->entries));
    off_t at = (uintptr_t)(block->host + offset) / GUEST_PAGE_SIZE * sizeof(uint64_t);
    size_t len = n * sizeof(uint64_t);
    if (pread(map->fd, map->entries, len, at) != (ssize_t)len) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!(map->entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED))) {
            bitmap_set(untouched, i, 1);
        }
    }
    return true;
}
