/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: compressed clusters. deflate without a header (window of 4 KiB as others write it, any when read) or a zstd frame.
 * The work is done in threads; several clusters at a time.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include <zlib.h>
#include <zstd.h>
#include "file-pool.h"

#define DEFLATE_WINDOW_BITS 12
#define DEFLATE_LEVEL Z_DEFAULT_COMPRESSION
#define COMPRESS_THREADS 4

typedef struct Job {
    uint8_t type;
    const uint8_t *in;
    size_t in_size;
    uint8_t *out;
    size_t out_size; /* room; then what is used */
} Job;

/* ---- in a thread ---- */

static int deflate_work(Job *j)
{
    z_stream z = { 0 };
    if (deflateInit2(&z, DEFLATE_LEVEL, Z_DEFLATED, -DEFLATE_WINDOW_BITS, 9, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return -ENOMEM;
    }
    z.next_in = (Bytef *)j->in;
    z.avail_in = j->in_size;
    z.next_out = j->out;
    z.avail_out = j->out_size;
    int ret = deflate(&z, Z_FINISH);
    j->out_size -= z.avail_out;
    deflateEnd(&z);
    return ret == Z_STREAM_END ? 0 : -ENOSPC;
}

static int inflate_work(Job *j)
{
    z_stream z = { 0 };
    if (inflateInit2(&z, -15) != Z_OK) {
        return -ENOMEM;
    }
    z.next_in = (Bytef *)j->in;
    z.avail_in = j->in_size;
    z.next_out = j->out;
    z.avail_out = j->out_size;
    int ret = inflate(&z, Z_FINISH);
    /* Behind the data there is what belongs to others, so input may be left over. */
    bool ok = ret == Z_STREAM_END || (ret == Z_BUF_ERROR && z.avail_out == 0);
    ok = ok && z.avail_out == 0;
    inflateEnd(&z);
    return ok ? 0 : -EIO;
}

static int zstd_compress_work(Job *j)
{
    size_t n = ZSTD_compress(j->out, j->out_size, j->in, j->in_size, ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(n)) {
        return -ENOSPC;
    }
    j->out_size = n;
    return 0;
}

static int zstd_decompress_work(Job *j)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (!ctx) {
        return -ENOMEM;
    }
    ZSTD_inBuffer in = { j->in, j->in_size, 0 };
    ZSTD_outBuffer out = { j->out, j->out_size, 0 };
    size_t ret = 0;
    while (out.pos < out.size) {
        size_t before_in = in.pos, before_out = out.pos;
        ret = ZSTD_decompressStream(ctx, &out, &in);
        if (ZSTD_isError(ret) || (in.pos == before_in && out.pos == before_out)) {
            break;
        }
    }
    bool ok = !ZSTD_isError(ret) && out.pos == out.size;
    ZSTD_freeDCtx(ctx);
    return ok ? 0 : -EIO;
}

static int compress_work(void *arg)
{
    Job *j = arg;
    return j->type == QCOW2_ZSTD ? zstd_compress_work(j) : deflate_work(j);
}

static int decompress_work(void *arg)
{
    Job *j = arg;
    return j->type == QCOW2_ZSTD ? zstd_decompress_work(j) : inflate_work(j);
}

static int coroutine_fn run_job(Qcow2 *s, int (*work)(void *), Job *j)
{
    while (s->compress_running >= COMPRESS_THREADS) {
        co_queue_wait(&s->compress_queue);
    }
    s->compress_running++;
    int ret = file_pool_run(work, j);
    s->compress_running--;
    co_queue_next(&s->compress_queue);
    return ret;
}

/* ---- reading ---- */

void qcow2_drop_scratch(Qcow2 *s)
{
    g_free(s->scratch);
    s->scratch = NULL;
    s->scratch_gen++;
}

static int coroutine_fn unpack(Qcow2 *s, uint64_t raw, uint8_t *out)
{
    uint64_t offset, bytes;
    qcow2_packed_place(s, raw, &offset, &bytes);
    uint8_t *in = block_alloc(s->node->file->node, bytes);
    if (!in) {
        return -ENOMEM;
    }
    block_debug_event(s->node->file, BLKDEBUG_EVENT_READ_COMPRESSED);
    int ret = block_co_read_buf(s->node->file, offset, bytes, in, 0);
    if (ret == 0) {
        Job job = { s->compression, in, bytes, out, s->cluster_size };
        ret = run_job(s, decompress_work, &job);
    }
    free(in);
    return ret;
}

int coroutine_fn qcow2_read_packed(Qcow2 *s, uint64_t raw, uint64_t guest, uint64_t bytes,
                                   IoVec *vec, size_t vec_offset)
{
    uint64_t in_cluster = guest & (s->cluster_size - 1);
    if (s->scratch && s->scratch_raw == raw) {
        iovec_from_buf(vec, vec_offset, s->scratch + in_cluster, bytes);
        return 0;
    }
    uint64_t offset, size;
    qcow2_packed_place(s, raw, &offset, &size);
    uint8_t *out = g_try_malloc(s->cluster_size);
    if (!out) {
        return -ENOMEM;
    }
    Qcow2Use use;
    unsigned gen = s->scratch_gen;
    qcow2_use_begin(s, &use, offset, size);
    int ret = unpack(s, raw, out);
    qcow2_use_end(s, &use);
    if (ret < 0) {
        g_free(out);
        return ret;
    }
    iovec_from_buf(vec, vec_offset, out + in_cluster, bytes);
    if (gen == s->scratch_gen && bytes < s->cluster_size) {
        g_free(s->scratch);
        s->scratch = g_steal_pointer(&out);
        s->scratch_raw = raw;
    }
    g_free(out);
    return 0;
}

/* ---- writing ---- */

/* The entry of a cluster whose compressed data are at offset. */
static uint64_t packed_entry(const Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    uint64_t sectors = ((offset + bytes - 1) >> 9) - (offset >> 9);
    return QCOW2_COMPRESSED | offset | sectors << s->csize_shift;
}

static int coroutine_fn store_packed(Qcow2 *s, uint64_t guest, const Job *j)
{
    uint64_t offset;
    Qcow2Entry old;
    int ret = qcow2_make_l2(s, guest);
    if (ret == 0) {
        ret = qcow2_get_l2(s, guest, &old);
    }
    if (ret == 0) {
        ret = qcow2_alloc_bytes(s, j->out_size, &offset);
        qcow2_drop_scratch(s);
    }
    if (ret < 0) {
        return ret;
    }
    ret = qcow2_check_overlap(s, 0, offset, j->out_size);
    if (ret == 0) {
        block_debug_event(s->node->file, BLKDEBUG_EVENT_WRITE_COMPRESSED);
        ret = block_co_write_buf(s->node->file, offset, j->out_size, j->out, 0);
    }
    Qcow2Entry now = { packed_entry(s, offset, j->out_size), 0 };
    if (ret == 0) {
        block_debug_event(s->node->file, BLKDEBUG_EVENT_L2_UPDATE_COMPRESSED);
        ret = qcow2_set_l2(s, guest, &now, 1);
    }
    if (ret < 0) {
        qcow2_refcount_add(s, offset, j->out_size, -1, QCOW2_FREE_NEVER);
        return ret;
    }
    qcow2_free_entry(s, &old, QCOW2_FREE_OTHER);
    return 0;
}

/* One cluster, flat, filled up with zeros behind the end. */
static int coroutine_fn write_packed(Qcow2 *s, uint64_t guest, const uint8_t *in)
{
    size_t room = s->cluster_size - 1; /* what is not smaller is stored as it is */
    uint8_t *out = block_alloc(s->node->file->node, s->cluster_size);
    if (!out) {
        return -ENOMEM;
    }
    Job job = { s->compression, in, s->cluster_size, out, room };
    int ret = run_job(s, compress_work, &job);
    if (ret == -ENOSPC) {
        struct iovec iov = { (void *)in, s->cluster_size };
        IoVec vec = { &iov, 1, 1, s->cluster_size };
        ret = qcow2_write(s->node, guest, MIN(s->cluster_size, s->size - guest), &vec, 0, 0);
    } else if (ret == 0) {
        Qcow2Change change;
        qcow2_change_begin(s, &change, guest, guest + s->cluster_size);
        ret = store_packed(s, guest, &job);
        qcow2_change_end(s, &change);
    }
    free(out);
    return ret;
}

int coroutine_fn qcow2_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                                        IoVec *vec, size_t vec_offset)
{
    Qcow2 *s = node->state;
    if (s->external_data) {
        return -ENOTSUP;
    }
    if (offset & (s->cluster_size - 1)) {
        return -EINVAL;
    }
    if ((bytes & (s->cluster_size - 1)) && offset + bytes < s->size) {
        return -EINVAL;
    }
    int ret = qcow2_start_writing(s);
    uint8_t *buf = g_try_malloc(s->cluster_size);
    if (!buf) {
        return -ENOMEM;
    }
    while (ret == 0 && bytes) {
        uint64_t n = MIN(bytes, s->cluster_size);
        iovec_to_buf(vec, vec_offset, buf, n);
        memset(buf + n, 0, s->cluster_size - n);
        ret = write_packed(s, offset, buf);
        offset += n;
        vec_offset += n;
        bytes -= n;
    }
    g_free(buf);
    return ret < 0 ? ret : qcow2_relieve(s);
}
