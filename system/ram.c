/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM blocks: host memory of the guest, the dirty bitmaps, and the closing of RAM at quiesce.
 *
 * B1  The list of blocks is an array that is replaced, never changed: readers see one or the other (RCU).
 * B2  Blocks are listed by falling size, equal ones in the order of creation: the order of the stream.
 * B3  A block lives until no reader can see it; its memory is unmapped then.
 * B4  The dirty bits of DIRTY_MIGRATION exist as long as the block; they mean something while logging is on.
 */
#include "util/osdep.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "util/bitmap.h"
#include "util/error.h"
#include "system/poison.h"
#include "system/ram.h"
#include "memory-internal.h"
#include "poison-internal.h"

#define RAM_ID_MAX 255 /* a stream has the length in a byte */
#define HUGE_PAGE_SIZE (UINT64_C(2) << 20)

typedef struct RamList {
    unsigned n;
    RamBlock *blocks[];
} RamList;

static RamList empty_list;
static RamList *ram_list = &empty_list;
static hwaddr ram_next_offset;

static unsigned dirty_active;      /* bit per DirtyClient; atomic */
static bool closed;                /* atomic */
static const char *late_writer;    /* atomic, the first one stays */
static bool guard_pages;

/* ---- the list ------------------------------------------------------------------------------------------ */

static void list_publish(RamList *list)
{
    RamList *old = ram_list;

    rcu_publish(ram_list, list);
    if (old != &empty_list) {
        memory_rcu_defer(g_free, old);
    }
}

static void list_insert(RamBlock *block)
{
    unsigned n = ram_list->n, at = 0;
    RamList *list = g_malloc(sizeof(*list) + (n + 1) * sizeof(list->blocks[0]));

    while (at < n && ram_list->blocks[at]->max_size >= block->max_size) {
        at++;
    }
    list->n = n + 1;
    memcpy(list->blocks, ram_list->blocks, at * sizeof(list->blocks[0]));
    list->blocks[at] = block;
    memcpy(list->blocks + at + 1, ram_list->blocks + at, (n - at) * sizeof(list->blocks[0]));
    list_publish(list);
}

static void list_remove(RamBlock *block)
{
    unsigned n = ram_list->n, out = 0;
    RamList *list = g_malloc(sizeof(*list) + n * sizeof(list->blocks[0]));

    for (unsigned i = 0; i < n; i++) {
        if (ram_list->blocks[i] != block) {
            list->blocks[out++] = ram_list->blocks[i];
        }
    }
    list->n = out;
    list_publish(list);
}

bool ram_foreach(RamBlockFunc *func, void *opaque)
{
    RamList *list;
    bool more = true;

    memory_rcu_enter();
    list = rcu_follow(ram_list);
    for (unsigned i = 0; i < list->n && more; i++) {
        more = func(list->blocks[i], opaque);
    }
    memory_rcu_leave();
    return more;
}

RamBlock *ram_find(const char *idstr)
{
    RamBlock *found = NULL;
    RamList *list;

    memory_rcu_enter();
    list = rcu_follow(ram_list);
    for (unsigned i = 0; i < list->n && !found; i++) {
        if (!strcmp(list->blocks[i]->idstr, idstr)) {
            found = list->blocks[i];
        }
    }
    memory_rcu_leave();
    return found;
}

uint64_t ram_total_size(void)
{
    uint64_t total = 0;
    RamList *list;

    memory_rcu_enter();
    list = rcu_follow(ram_list);
    for (unsigned i = 0; i < list->n; i++) {
        total += list->blocks[i]->size;
    }
    memory_rcu_leave();
    return total;
}

RamBlock *ram_block_from_host(const void *host, uint64_t *offset)
{
    const uint8_t *p = host;
    RamBlock *found = NULL;
    RamList *list;

    memory_rcu_enter();
    list = rcu_follow(ram_list);
    for (unsigned i = 0; i < list->n && !found; i++) {
        RamBlock *block = list->blocks[i];

        if (p >= block->host && (uint64_t)(p - block->host) < block->size) {
            found = block;
            *offset = p - block->host;
        }
    }
    memory_rcu_leave();
    return found;
}

RamBlock *poison_block_from_host(const void *host, uint64_t *offset)
{
    const uint8_t *p = host;
    const RamList *list = rcu_follow(ram_list);

    for (unsigned i = 0; i < list->n; i++) {
        RamBlock *block = list->blocks[i];

        if (p >= block->host && (uint64_t)(p - block->host) < block->max_size) {
            *offset = p - block->host;
            return block;
        }
    }
    return NULL;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

/* The page size of what backs fd: that of hugetlbfs, else the host's. */
static size_t fd_page_size(int fd)
{
    struct statfs fs;
    int r;

    do {
        r = fstatfs(fd, &fs);
    } while (r < 0 && errno == EINTR);
    if (r == 0 && fs.f_type == 0x958458f6 /* HUGETLBFS_MAGIC */) {
        return fs.f_bsize;
    }
    return sysconf(_SC_PAGESIZE);
}

/* Reserves a larger range and maps into it, so that large blocks can get huge pages. */
static void *map_aligned(uint64_t size, uint64_t align, int prot, int flags, int fd, uint64_t offset)
{
    uint8_t *area = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *host;
    void *p;
    int saved;

    if (area == MAP_FAILED) {
        return MAP_FAILED;
    }
    host = (uint8_t *)(((uintptr_t)area + align - 1) / align * align);
    p = mmap(host, size, prot, flags | MAP_FIXED, fd, offset);
    if (p == MAP_FAILED) {
        saved = errno;
        munmap(area, size + align);
        errno = saved;
        return MAP_FAILED;
    }
    if (host > area) {
        munmap(area, host - area);
    }
    munmap(host + size, area + align - host);
    return p;
}

static bool block_map(RamBlock *block, const RamBlockOptions *options, GError **error)
{
    int prot = PROT_READ | (options->readonly ? 0 : PROT_WRITE);
    int flags = options->shared ? MAP_SHARED : MAP_PRIVATE;
    uint64_t align = MAX(options->align, block->page_size);
    void *p;

    if (options->fd < 0) {
        flags |= MAP_ANONYMOUS;
    }
    if (!options->reserve) {
        flags |= MAP_NORESERVE;
    }
    if (block->size >= HUGE_PAGE_SIZE) {
        align = MAX(align, HUGE_PAGE_SIZE);
    }
    p = map_aligned(block->max_size, align, prot, flags, options->fd, options->fd_offset);
    if (p == MAP_FAILED) {
        return error_set_errno(error, errno, "cannot set up guest memory '%s'", block->idstr);
    }
    block->host = p;
    /* Advice: a kernel that cannot follow it changes nothing that the guest sees. Before pages are allocated, or those would be small. */
    if (block->size >= HUGE_PAGE_SIZE) {
        madvise(p, block->size, MADV_HUGEPAGE); /* a quarter of the time for first touches, fewer TLB misses */
    }
    if (options->prealloc && madvise(p, block->size, MADV_POPULATE_WRITE) < 0) {
        int err = errno;

        munmap(p, block->max_size);
        return error_set_errno(error, err, "cannot preallocate guest memory '%s'", block->idstr);
    }
    madvise(p, block->size, MADV_DONTFORK);
    if (options->merge) {
        madvise(p, block->size, MADV_MERGEABLE);
    }
    if (options->no_dump) {
        madvise(p, block->size, MADV_DONTDUMP);
    }
    return true;
}

RamBlock *ram_block_new_full(const char *idstr, uint64_t size, const RamBlockOptions *options,
                             GError **error)
{
    size_t page_size = options->fd >= 0 ? fd_page_size(options->fd) : (size_t)sysconf(_SC_PAGESIZE);
    RamBlock *block;

    if (ram_find(idstr)) {
        error_set(error, "RAM block '%s' exists already", idstr);
        return NULL;
    }
    if (strlen(idstr) > RAM_ID_MAX) {
        error_set(error, "RAM block '%.20s...': a name of more than %d characters", idstr, RAM_ID_MAX);
        return NULL;
    }
    if (size == 0 || size > INT64_MAX - page_size) {
        error_set(error, "RAM block '%s' cannot have %" PRIu64 " bytes", idstr, size);
        return NULL;
    }
    block = g_new0(RamBlock, 1);
    block->idstr = g_strdup(idstr);
    block->page_size = page_size;
    block->size = (size + page_size - 1) / page_size * page_size;
    block->max_size = MAX(block->size, (options->max_size + page_size - 1) / page_size * page_size);
    block->resizable = options->max_size > size;
    block->fd = -1;
    block->shared = options->shared;
    block->readonly_for_guest = block->host_readonly = options->readonly;
    if (!block_map(block, options, error)) {
        g_free(block->idstr);
        g_free(block);
        return NULL;
    }
    block->fd = options->fd;
    block->fd_offset = options->fd_offset;
    block->offset = ram_next_offset;
    ram_next_offset += (block->max_size + HUGE_PAGE_SIZE - 1) / HUGE_PAGE_SIZE * HUGE_PAGE_SIZE;
    block->dirty[DIRTY_MIGRATION] = bitmap_new(block->max_size >> GUEST_PAGE_BITS);
    list_insert(block);
    if (ram_dirty_log_active()) {
        ram_block_set_dirty(block, 0, block->size);
    }
    return block;
}

RamBlock *ram_block_new(const char *idstr, uint64_t size, GError **error)
{
    const RamBlockOptions options = { .fd = -1 };

    return ram_block_new_full(idstr, size, &options, error);
}

bool ram_block_resize(RamBlock *block, uint64_t size, GError **error)
{
    size = (size + block->page_size - 1) / block->page_size * block->page_size;
    if (!block->resizable) {
        return error_set(error, "RAM block '%s' has a fixed size", block->idstr);
    }
    if (size == 0 || size > block->max_size) {
        return error_set(error, "RAM block '%s' cannot have 0x%" PRIx64 " bytes: 0x%" PRIx64 " is the most", block->idstr,
                         size, block->max_size);
    }
    g_assert(!ram_dirty_log_active() && !(block->region && memory_region_is_mapped(block->region)));
    if (size < block->size) {
        memset(block->host + size, 0, block->size - size);
    }
    block->size = size;
    if (block->region) {
        memory_region_set_size(block->region, size);
    }
    return true;
}

static void block_free(void *opaque)
{
    RamBlock *block = opaque;

    munmap(block->host, block->max_size);
    if (block->fd >= 0) {
        close(block->fd);
    }
    for (unsigned i = 0; i < DIRTY_CLIENTS; i++) {
        g_free(block->dirty[i]);
    }
    g_free(block->poison);
    g_free(block->idstr);
    g_free(block);
}

void ram_block_release(RamBlock *block)
{
    ram_poison_forget_block(block);
    list_remove(block);
    memory_rcu_defer(block_free, block);
}

/* ---- dirty bits ---------------------------------------------------------------------------------------- */

void ram_block_set_dirty(RamBlock *block, uint64_t offset, uint64_t len)
{
    unsigned active = __atomic_load_n(&dirty_active, __ATOMIC_ACQUIRE);
    uint64_t first, last;

    if (!active || !len) {
        return;
    }
    first = offset >> GUEST_PAGE_BITS;
    last = (offset + len - 1) >> GUEST_PAGE_BITS;
    for (unsigned client = 0; client < DIRTY_CLIENTS; client++) {
        if ((active & 1u << client) && block->dirty[client]) {
            bitmap_set_atomic(block->dirty[client], first, last - first + 1);
        }
    }
}

uint64_t ram_block_take_dirty(RamBlock *block, uint64_t page, uint64_t n, unsigned long *dst)
{
    unsigned long *src = block->dirty[DIRTY_MIGRATION] + page / BITS_PER_LONG;
    unsigned long *out = dst + page / BITS_PER_LONG;
    uint64_t words = BITS_TO_LONGS(n), found = 0;

    g_assert(page % BITS_PER_LONG == 0);
    for (uint64_t i = 0; i < words; i++) {
        if (__atomic_load_n(&src[i], __ATOMIC_RELAXED)) {
            unsigned long bits = __atomic_exchange_n(&src[i], 0, __ATOMIC_SEQ_CST);

            found += __builtin_popcountl(bits & ~out[i]);
            out[i] |= bits;
        }
    }
    return found;
}

typedef bool ListenerFunc(MemoryListener *l, void *opaque, GError **error);

static bool for_each_listener(ListenerFunc *func, void *opaque, GError **error)
{
    for (unsigned i = 0; memory_address_spaces && i < memory_address_spaces->len; i++) {
        AddressSpace *as = g_ptr_array_index(memory_address_spaces, i);

        for (unsigned j = 0; j < as->listeners->len; j++) {
            if (!func(g_ptr_array_index(as->listeners, j), opaque, error)) {
                return false;
            }
        }
    }
    return true;
}

static bool listener_log_start(MemoryListener *l, void *opaque, GError **error)
{
    return !l->log_start || l->log_start(l, error);
}

static bool listener_log_stop(MemoryListener *l, void *opaque, GError **error)
{
    if (l->log_stop) {
        l->log_stop(l);
    }
    return true;
}

static bool listener_log_sync(MemoryListener *l, void *opaque, GError **error)
{
    if (l->log_sync) {
        l->log_sync(l, *(bool *)opaque);
    }
    return true;
}

static bool block_all_dirty(RamBlock *block, void *opaque)
{
    ram_block_set_dirty(block, 0, block->size);
    return true;
}

static bool block_all_clean(RamBlock *block, void *opaque)
{
    uint64_t pages = block->max_size >> GUEST_PAGE_BITS;

    bitmap_clear(block->dirty[DIRTY_MIGRATION], 0, pages);
    return true;
}

bool ram_dirty_log_start(GError **error)
{
    if (ram_dirty_log_active()) {
        return true;
    }
    if (!for_each_listener(listener_log_start, NULL, error)) {
        for_each_listener(listener_log_stop, NULL, NULL);
        return false;
    }
    /* On first: whoever writes from now on marks, and what was written before is marked by us. */
    __atomic_or_fetch(&dirty_active, 1u << DIRTY_MIGRATION, __ATOMIC_SEQ_CST);
    ram_foreach(block_all_dirty, NULL);
    return true;
}

void ram_dirty_log_stop(void)
{
    if (!ram_dirty_log_active()) {
        return;
    }
    __atomic_and_fetch(&dirty_active, ~(1u << DIRTY_MIGRATION), __ATOMIC_SEQ_CST);
    for_each_listener(listener_log_stop, NULL, NULL);
    ram_foreach(block_all_clean, NULL);
}

bool ram_dirty_log_active(void)
{
    return __atomic_load_n(&dirty_active, __ATOMIC_ACQUIRE) & 1u << DIRTY_MIGRATION;
}

void ram_dirty_log_sync(bool last)
{
    for_each_listener(listener_log_sync, &last, NULL);
}

/* ---- discarding --------------------------------------------------------------------------------------- */

static unsigned discard_inhibited;

void ram_discard_inhibit(bool inhibit)
{
    g_assert(inhibit || discard_inhibited);
    discard_inhibited += inhibit ? 1 : -1;
}

bool ram_block_discard(RamBlock *block, uint64_t offset, uint64_t len)
{
    bool file = block->fd >= 0;
    int r;

    ram_poison_discarded(block, offset, len);
    if (discard_inhibited || block->page_size > GUEST_PAGE_SIZE || block->host_readonly || block->readonly_for_guest ||
        (file && !block->shared) || !ram_write_allowed("discarding of memory")) {
        return false;
    }
    r = madvise(block->host + offset, len, file ? MADV_REMOVE : MADV_DONTNEED);
    if (r == 0) {
        ram_block_set_dirty(block, offset, len);
    }
    return r == 0;
}

/* ---- closing ------------------------------------------------------------------------------------------- */

static bool block_protect(RamBlock *block, void *opaque)
{
    bool writable = *(bool *)opaque && !block->host_readonly;

    mprotect(block->host, block->size, PROT_READ | (writable ? PROT_WRITE : 0));
    return true;
}

static void protect_all(bool writable)
{
    ram_foreach(block_protect, &writable);
}

void ram_close(void)
{
    __atomic_store_n(&late_writer, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&closed, true, __ATOMIC_SEQ_CST);
    if (guard_pages) {
        protect_all(false);
    }
}

void ram_open(void)
{
    if (guard_pages && ram_is_closed()) {
        protect_all(true);
    }
    __atomic_store_n(&closed, false, __ATOMIC_SEQ_CST);
}

bool ram_is_closed(void)
{
    return __atomic_load_n(&closed, __ATOMIC_ACQUIRE);
}

const char *ram_late_writer(void)
{
    return __atomic_load_n(&late_writer, __ATOMIC_ACQUIRE);
}

typedef struct LateSearch {
    bool (*left_out)(const RamBlock *block);
    const RamBlock *block;
    uint64_t page;
    bool found;
} LateSearch;

static bool search_late(RamBlock *block, void *opaque)
{
    LateSearch *search = opaque;
    const unsigned long *bits = block->dirty[DIRTY_MIGRATION];
    uint64_t pages = block->size >> GUEST_PAGE_BITS;

    if (block->not_migrated || (search->left_out && search->left_out(block))) {
        return true;
    }
    for (uint64_t page = bitmap_find_next(bits, pages, 0); page < pages && !search->found;
         page = bitmap_find_next(bits, pages, page + 1)) {
        if (!ram_page_poisoned(block, page << GUEST_PAGE_BITS)) { /* its content is not sent */
            search->block = block;
            search->page = page;
            search->found = true;
        }
    }
    return !search->found;
}

bool ram_check_late_writes(bool (*left_out)(const RamBlock *block), GError **error)
{
    LateSearch search = { .left_out = left_out };

    if (ram_late_writer()) {
        return error_set(error, "'%s' wrote guest memory after it had been told to stop", ram_late_writer());
    }
    if (!ram_dirty_log_active()) {
        return true;
    }
    ram_dirty_log_sync(true);
    ram_foreach(search_late, &search);
    if (search.found) {
        return error_set(error,
                         "guest memory was written after the last look at what is dirty: RAM block '%s', offset "
                         "0x%" PRIx64 ", by the kernel or another program",
                         search.block->idstr, search.page << GUEST_PAGE_BITS);
    }
    return true;
}

bool ram_write_allowed(const char *writer)
{
    const char *none = NULL;

    if (G_LIKELY(!ram_is_closed())) {
        return true;
    }
    __atomic_compare_exchange_n(&late_writer, &none, writer ? writer : "an unnamed device", false,
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return false;
}

void ram_set_guard_pages(bool enable)
{
    if (guard_pages && !enable && ram_is_closed()) {
        protect_all(true);
    }
    guard_pages = enable;
    if (enable && ram_is_closed()) {
        protect_all(false);
    }
}
