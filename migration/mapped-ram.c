/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory in its place in a file; see mapped-ram.h. */
#include "util/osdep.h"
#include "mapped-ram.h"

#include "file-pool.h"
#include "ram-page.h"
#include "system/poison.h"
#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/error.h"
#include "write.h"

/* The longest row of pages in one read. */
#define ROW_PAGES 1024
/* Pages that are loaded at once. */
#define LOAD_CHUNK 4096

static uint64_t bitmap_bytes(const RamBlock *block)
{
    return BITS_TO_LONGS(block->size / GUEST_PAGE_SIZE) * sizeof(unsigned long);
}

/* ---- source ----------------------------------------------------------------------------------------------------------- */

typedef struct SaveJob {
    MappedBlock *mb;
    const RamBlock *block;
    uint64_t first; /* page */
    bool look;
    unsigned long bits[BITS_TO_LONGS(MAPPED_CHUNK)];
    unsigned long zero[BITS_TO_LONGS(MAPPED_CHUNK)]; /* known to be */
} SaveJob;

static struct {
    FilePool *pool;
    uint64_t bytes, zero, normal; /* atomic */
} mo;

/* Leaves the pages that are to be written in job->bits; Y1. */
static void sort_chunk(SaveJob *job)
{
    uint64_t zeros = 0, normals = 0;
    for (unsigned i = 0; i < BITS_TO_LONGS(MAPPED_CHUNK); i++) {
        unsigned long bits = job->bits[i], known = bits & job->zero[i];
        if (!bits) {
            continue;
        }
        uint64_t first = job->first + i * BITS_PER_LONG;
        unsigned long zero =
            known | ram_classify_word(job->block, first, bits & ~known, job->look);
        unsigned long *written = &job->mb->written[first / BITS_PER_LONG];
        *written = (*written & ~zero) | (bits & ~zero);
        job->bits[i] = bits & ~zero;
        zeros += __builtin_popcountl(zero);
        normals += __builtin_popcountl(bits & ~zero);
    }
    __atomic_fetch_add(&mo.zero, zeros, __ATOMIC_RELAXED);
    __atomic_fetch_add(&mo.normal, normals, __ATOMIC_RELAXED);
}

static bool save_chunk(IoChannel *ioc, void *opaque, GError **error)
{
    SaveJob *job = opaque;
    sort_chunk(job);
    for (size_t at = 0; (at = bitmap_find_next(job->bits, MAPPED_CHUNK, at)) < MAPPED_CHUNK;) {
        size_t end = bitmap_find_next_zero(job->bits, MAPPED_CHUNK, at);
        uint64_t offset = (job->first + at) * GUEST_PAGE_SIZE;
        struct iovec iov = { job->block->host + offset, (end - at) * GUEST_PAGE_SIZE };
        if (!write_vector_at(ioc, &iov, 1, job->mb->pages_at + offset, &mo.bytes, error)) {
            return false;
        }
        at = end;
    }
    return true;
}

bool mapped_ram_start(IoChannel **channels, unsigned n, bool threads, GError **error)
{
    g_assert(!mo.pool);
    mo.bytes = mo.zero = mo.normal = 0;
    mo.pool = file_pool_new(channels, n, threads, sizeof(SaveJob), save_chunk, error);
    return mo.pool != NULL;
}

void mapped_ram_stop(void)
{
    g_clear_pointer(&mo.pool, file_pool_free);
}

bool mapped_ram_active(void)
{
    return mo.pool != NULL;
}

bool mapped_ram_threads(void)
{
    return mo.pool && file_pool_threads(mo.pool);
}

uint64_t mapped_ram_bytes(void)
{
    return __atomic_load_n(&mo.bytes, __ATOMIC_RELAXED);
}

void mapped_ram_take_counts(uint64_t *zero, uint64_t *normal)
{
    *zero = __atomic_exchange_n(&mo.zero, 0, __ATOMIC_RELAXED);
    *normal = __atomic_exchange_n(&mo.normal, 0, __ATOMIC_RELAXED);
}

bool mapped_ram_put_block(MigrationOut *out, MappedBlock *mb, const RamBlock *block, GError **error)
{
    off_t at = out_position(out, error);
    if (at < 0) {
        return false;
    }
    mb->written = bitmap_new(block->size / GUEST_PAGE_SIZE);
    mb->bitmap_at = at + MAPPED_HEADER_BYTES;
    mb->pages_at =
        (mb->bitmap_at + bitmap_bytes(block) + MAPPED_ALIGN - 1) / MAPPED_ALIGN * MAPPED_ALIGN;
    out_put_be32(out, MAPPED_VERSION);
    out_put_be64(out, GUEST_PAGE_SIZE);
    out_put_be64(out, mb->bitmap_at);
    out_put_be64(out, mb->pages_at);
    return out_seek(out, mb->pages_at + block->size, error);
}

bool mapped_ram_put_chunk(MappedBlock *mb, const RamBlock *block, uint64_t first,
                          const unsigned long *bits, const unsigned long *zero, bool look,
                          GError **error)
{
    SaveJob job = { .mb = mb, .block = block, .first = first, .look = look };
    memcpy(job.bits, bits, sizeof(job.bits));
    memcpy(job.zero, zero, sizeof(job.zero));
    return file_pool_give(mo.pool, &job, error);
}

bool mapped_ram_wait(GError **error)
{
    return file_pool_wait(mo.pool, error);
}

bool mapped_ram_ok(void)
{
    return file_pool_ok(mo.pool);
}

/* The main stream's channel: bitmaps are where O_DIRECT could not write. */
bool mapped_ram_put_bitmap(MigrationOut *out, const MappedBlock *mb, const RamBlock *block,
                           GError **error)
{
    size_t n = BITS_TO_LONGS(block->size / GUEST_PAGE_SIZE);
    g_autofree uint64_t *little = g_new(uint64_t, n);
    for (size_t i = 0; i < n; i++) {
        little[i] = GUINT64_TO_LE(mb->written[i]);
    }
    struct iovec iov = { little, n * sizeof(uint64_t) };
    return write_vector_at(out_channel(out), &iov, 1, mb->bitmap_at, &mo.bytes, error);
}

/* ---- destination ----------------------------------------------------------------------------------------------------------- */

typedef struct LoadJob {
    RamLoadBlock *lb;
    const unsigned long *bits; /* of all of the block */
    uint64_t pages_at;
    uint64_t first, end; /* pages */
} LoadJob;

static struct {
    FilePool *pool;
    IoChannel *headers;
    uint64_t end; /* of what the blocks so far have in the file */
} mi;

static bool read_at(IoChannel *ioc, uint8_t *data, uint64_t len, uint64_t at, GError **error)
{
    while (len) {
        struct iovec iov = { data, MIN(len, ROW_PAGES * GUEST_PAGE_SIZE) };
        GError *failure = NULL;
        ssize_t n = io_channel_preadv(ioc, &iov, 1, at, &failure);
        if (n == -EFAULT && ram_load_repair(&iov, 1, &failure)) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? (g_propagate_error(error, failure), false)
                         : error_set(error, "the file ends before the pages that it lists");
        }
        data += n;
        at += n;
        len -= n;
    }
    return true;
}

static bool load_row(IoChannel *ioc, const LoadJob *job, uint64_t page, uint64_t end, GError **error)
{
    for (uint64_t i = page; i < end; i++) {
        if (!ram_load_begin_page(job->lb, i * GUEST_PAGE_SIZE, error)) {
            return false;
        }
    }
    return read_at(ioc, job->lb->block->host + page * GUEST_PAGE_SIZE,
                   (end - page) * GUEST_PAGE_SIZE, job->pages_at + page * GUEST_PAGE_SIZE, error);
}

static bool load_chunk(IoChannel *ioc, void *opaque, GError **error)
{
    const LoadJob *job = opaque;
    for (uint64_t page = job->first; page < job->end;) {
        uint64_t end =
            MIN(bitmap_find_next_zero(job->bits, job->end, page), page + ROW_PAGES);
        if (end > page) {
            if (!load_row(ioc, job, page, end, error)) {
                error_prefix(error, "RAM block %s: ", job->lb->block->idstr);
                return false;
            }
            page = end;
            continue;
        }
        if (!ram_load_zero(job->lb, page * GUEST_PAGE_SIZE, error)) {
            return false;
        }
        page++;
    }
    return true;
}

static bool load_pages(RamLoadBlock *lb, const unsigned long *bits, uint64_t pages_at,
                       GError **error)
{
    uint64_t pages = lb->block->size / GUEST_PAGE_SIZE;
    for (uint64_t page = 0; page < pages; page += LOAD_CHUNK) {
        LoadJob job = { lb, bits, pages_at, page, MIN(page + LOAD_CHUNK, pages) };
        if (!file_pool_give(mi.pool, &job, NULL)) {
            break;
        }
    }
    return file_pool_wait(mi.pool, error); /* bits are the caller's */
}

bool mapped_ram_load_start(IoChannel *headers, IoChannel **channels, unsigned n, bool threads,
                           GError **error)
{
    g_assert(!mi.pool);
    mi.pool = file_pool_new(channels, n, threads, sizeof(LoadJob), load_chunk, error);
    mi.headers = mi.pool ? io_channel_ref(headers) : NULL;
    mi.end = 0;
    return mi.pool != NULL;
}

void mapped_ram_load_stop(void)
{
    g_clear_pointer(&mi.pool, file_pool_free);
    io_channel_unref(g_steal_pointer(&mi.headers));
}

/* Y3 */
static bool check_places(const RamBlock *block, uint64_t bitmap_at, uint64_t pages_at,
                         GError **error)
{
    uint64_t bytes = bitmap_bytes(block), limit = INT64_MAX / 2;
    if (bitmap_at < mi.end || bitmap_at > limit || pages_at > limit || pages_at < bitmap_at ||
        pages_at - bitmap_at < bytes || block->size > limit - pages_at) {
        return error_set(error,
                         "RAM block %s has its bitmap at 0x%" PRIx64 " and its pages at 0x%" PRIx64
                         ", and the block before ends at 0x%" PRIx64,
                         block->idstr, bitmap_at, pages_at, mi.end);
    }
    return true;
}

bool mapped_ram_load_block(VmReader *r, RamLoadBlock *lb, GError **error)
{
    const RamBlock *block = lb->block;
    uint32_t version = vm_get_be32(r);
    uint64_t page_size = vm_get_be64(r), bitmap_at = vm_get_be64(r), pages_at = vm_get_be64(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (!mi.pool) {
        return error_set(error, "mapped-ram needs a file to read from");
    }
    if (version > MAPPED_VERSION || page_size != GUEST_PAGE_SIZE) {
        return error_set(error, "mapped-ram version %u with pages of 0x%" PRIx64 " bytes", version,
                         page_size);
    }
    if (!check_places(block, bitmap_at, pages_at, error)) {
        return false;
    }
    if (block->host_readonly) {
        return error_set(error, "RAM block %s is read-only", block->idstr);
    }
    g_autofree unsigned long *bits = g_malloc0(bitmap_bytes(block));
    if (!read_at(mi.headers, (uint8_t *)bits, bitmap_bytes(block), bitmap_at, error)) {
        error_prefix(error, "bitmap of RAM block %s: ", block->idstr);
        return false;
    }
    for (size_t i = 0; i < BITS_TO_LONGS(block->size / GUEST_PAGE_SIZE); i++) {
        bits[i] = GUINT64_FROM_LE(bits[i]);
    }
    mi.end = pages_at + block->size;
    if (!load_pages(lb, bits, pages_at, error) ||
        io_channel_seek(mi.headers, mi.end, SEEK_SET, error) < 0) {
        return false;
    }
    vm_reader_restart(r);
    return true;
}
