/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copying of convert and dd: workers (coroutines) that take a piece of the copy each, read it, wait for their
 * turn, and write what is not zero. Contract and rules C1 to C3: copy.h.
 */
#include "util/osdep.h"
#include "copy.h"

#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

typedef enum ChunkKind {
    CHUNK_DATA,
    CHUNK_ZERO,
    CHUNK_NONE, /* the target's backing file has it */
} ChunkKind;

/* What a worker has to do. */
typedef struct Chunk {
    uint64_t offset, bytes; /* in the copy and in the target */
    ChunkKind kind;
    uint64_t number;
} Chunk;

/* A worker's own. */
typedef struct Worker {
    ImgCopy *copy;
    uint8_t *buf;
    size_t size;
    struct iovec iov;
    IoVec vec;
} Worker;

static void fail(ImgCopy *c, int ret)
{
    if (c->ret == 0) {
        c->ret = ret;
    }
}

/* ---- where is what ---- */

/* Finds out what is at c->at. Under the lock. */
static int coroutine_fn look(ImgCopy *c)
{
    while (c->at >= c->piece_start + c->pieces[c->piece].length) {
        c->piece_start += c->pieces[c->piece].length;
        c->piece++;
        c->status_end = c->at;
    }
    if (c->at < c->status_end) {
        return 0;
    }
    const ImgPiece *p = &c->pieces[c->piece];
    BlockNode *node = front_node(p->front);
    uint64_t offset = c->at - c->piece_start + (c->piece == 0 ? c->skip : 0), n = 0;
    uint64_t left = c->piece_start + p->length - c->at;
    int ret = block_co_status_above(node, c->has_backing ? block_backing_node(node) : NULL, true,
                                    offset, left, &n, NULL, NULL, NULL);
    if (ret < 0 && c->salvage) {
        ret = BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED; /* reading will show */
        n = MIN(left, c->cluster ? c->cluster : BLOCK_SECTOR);
    }
    if (ret < 0 || n == 0) {
        ret = ret < 0 ? ret : -EIO;
        error_report("error while reading block status at offset %" PRIu64 ": %s", c->at,
                     g_strerror(-ret));
        return ret;
    }
    c->status = ret;
    c->status_end = c->at + n;
    return 0;
}

static ChunkKind kind_of(const ImgCopy *c)
{
    if (c->status & BLOCK_STATUS_ZERO) {
        return CHUNK_ZERO;
    }
    if (c->has_backing && !(c->status & BLOCK_STATUS_ALLOCATED)) {
        return CHUNK_NONE;
    }
    return CHUNK_DATA; /* also of a hole that is not known to read as zeros (NBD) */
}

/* Zeros become data where the user wants everything to be written. */
static ChunkKind effective_kind(const ImgCopy *c)
{
    ChunkKind kind = kind_of(c);
    if (kind == CHUNK_NONE && c->at >= c->backing_length) {
        kind = CHUNK_ZERO; /* behind the backing file's end */
    }
    return kind == CHUNK_ZERO && c->sparse == 0 && !c->zero_init ? CHUNK_DATA : kind;
}

/* Where a chunk that begins at c->at may end: data fits a buffer and ends where a cluster of the target does. */
static uint64_t chunk_end(const ImgCopy *c, ChunkKind kind, size_t size)
{
    uint64_t piece_end = c->piece_start + c->pieces[c->piece].length;
    if (c->compressed) {
        /* Whole clusters: as many as are of one kind, and at least one, whatever is in it. */
        uint64_t whole = c->status_end - c->status_end % c->cluster;
        if (kind != CHUNK_DATA && whole > c->at) {
            return whole;
        }
        return MIN(c->at + c->cluster, c->total);
    }
    uint64_t end = MIN(c->status_end, piece_end);
    if (kind == CHUNK_DATA && end - c->at > size) {
        end = c->at + size;
        if (c->cluster && end % c->cluster < size) {
            end -= end % c->cluster;
        }
    }
    return end;
}

/* Nothing is to be done for it. */
static bool left_out(const ImgCopy *c, ChunkKind kind)
{
    return kind == CHUNK_NONE || (kind == CHUNK_ZERO && c->zero_init);
}

/* The next chunk that needs work; false: there is none. */
static bool coroutine_fn take_chunk(Worker *w, Chunk *chunk)
{
    ImgCopy *c = w->copy;
    bool found = false;
    co_mutex_lock(&c->lock);
    while (!found && c->ret == 0 && c->at < c->total) {
        int ret = img_signal() ? -EINTR : look(c);
        if (ret < 0) {
            fail(c, ret);
            break;
        }
        ChunkKind kind = effective_kind(c);
        uint64_t end = chunk_end(c, kind, w->size);
        if (c->compressed && end > c->status_end) {
            kind = CHUNK_DATA; /* a cluster of more than one kind */
        }
        found = !left_out(c, kind);
        if (found) {
            *chunk = (Chunk){
                .offset = c->at, .bytes = end - c->at, .kind = kind, .number = c->next_number++
            };
        }
        c->left_out += found ? 0 : end - c->at;
        c->at = end;
    }
    co_mutex_unlock(&c->lock);
    return found;
}

/* ---- reading ---- */

static int coroutine_fn read_part(Worker *w, BlockFront *front, uint64_t offset, size_t at,
                                  size_t bytes)
{
    w->iov = (struct iovec){ w->buf + at, bytes };
    w->vec = (IoVec){ &w->iov, 1, 1, bytes };
    return front_co_read(front, offset, bytes, &w->vec, 0, 0);
}

/* Sector by sector, so that only what cannot be read is lost. */
static void coroutine_fn salvage(Worker *w, BlockFront *front, uint64_t offset, size_t at,
                                 size_t bytes)
{
    for (size_t i = 0; i < bytes; i += BLOCK_SECTOR) {
        size_t n = MIN(bytes - i, BLOCK_SECTOR);
        int ret = read_part(w, front, offset + i, at + i, n);
        if (ret < 0) {
            if (!w->copy->quiet) {
                warn_report("error while reading offset %" PRIu64 ": %s", offset + i,
                            g_strerror(-ret));
            }
            memset(w->buf + at + i, 0, n);
        }
    }
}

/* All of a chunk of data. One of whole clusters may reach into the next piece. */
static int coroutine_fn read_chunk(Worker *w, const Chunk *chunk)
{
    ImgCopy *c = w->copy;
    uint64_t start = 0;
    size_t done = 0;
    for (unsigned i = 0; i < c->n_pieces && done < chunk->bytes; i++) {
        uint64_t end = start + c->pieces[i].length, at = chunk->offset + done;
        if (at < end) {
            size_t n = MIN(chunk->bytes - done, end - at);
            uint64_t offset = at - start + (i == 0 ? c->skip : 0);
            int ret = read_part(w, c->pieces[i].front, offset, done, n);
            if (ret < 0 && c->salvage) {
                salvage(w, c->pieces[i].front, offset, done, n);
            } else if (ret < 0) {
                error_report("error while reading at byte %" PRIu64 ": %s", at, g_strerror(-ret));
                return ret;
            }
            done += n;
        }
        start = end;
    }
    return 0;
}

/* ---- writing ---- */

/* A few words first: data is seldom zero there. */
static bool is_zero(const uint8_t *buf, size_t n)
{
    uint64_t head[4];
    if (n >= sizeof(head)) {
        memcpy(head, buf, sizeof(head));
        if (head[0] | head[1] | head[2] | head[3]) {
            return false;
        }
    }
    return n == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, n - 1) == 0);
}

static int coroutine_fn write_zeroes(ImgCopy *c, uint64_t offset, uint64_t bytes)
{
    if (c->zero_init) {
        return 0;
    }
    return front_co_write_zeroes(c->target, offset, bytes, c->sparse ? BLOCK_MAY_UNMAP : 0);
}

static int coroutine_fn write_data(Worker *w, uint64_t offset, size_t at, size_t bytes)
{
    ImgCopy *c = w->copy;
    w->iov = (struct iovec){ w->buf + at, bytes };
    w->vec = (IoVec){ &w->iov, 1, 1, bytes };
    return front_co_write(c->target, offset, bytes, &w->vec, 0,
                          c->compressed ? BLOCK_COMPRESSED : 0);
}

static int coroutine_fn write_sparse(Worker *w, const Chunk *chunk)
{
    ImgCopy *c = w->copy;
    int ret = 0;
    for (size_t at = 0, end; ret == 0 && at < chunk->bytes; at = end) {
        /* Units end at multiples of c->sparse in the target. */
        uint64_t place = chunk->offset + at;
        end = MIN(at + c->sparse - place % c->sparse, chunk->bytes);
        bool zero = is_zero(w->buf + at, end - at);
        while (end < chunk->bytes) {
            size_t n = MIN(c->sparse, chunk->bytes - end);
            if (is_zero(w->buf + end, n) != zero) {
                break;
            }
            end += n;
        }
        ret = zero ? write_zeroes(c, place, end - at) : write_data(w, place, at, end - at);
    }
    return ret;
}

static int coroutine_fn write_chunk(Worker *w, const Chunk *chunk)
{
    ImgCopy *c = w->copy;
    int ret = 0;
    if (chunk->kind == CHUNK_ZERO) {
        ret = write_zeroes(c, chunk->offset, chunk->bytes);
    } else if (chunk->kind == CHUNK_DATA && c->compressed) {
        ret = c->sparse && is_zero(w->buf, chunk->bytes)
                  ? write_zeroes(c, chunk->offset, chunk->bytes)
                  : write_data(w, chunk->offset, 0, chunk->bytes);
    } else if (chunk->kind == CHUNK_DATA) {
        ret = c->sparse ? write_sparse(w, chunk) : write_data(w, chunk->offset, 0, chunk->bytes);
    }
    if (ret < 0 && c->ret == 0) {
        error_report("error while writing at byte %" PRIu64 ": %s", chunk->offset,
                     g_strerror(-ret));
    }
    return ret;
}

/* ---- workers ---- */

/* C2. At most one chunk per worker is taken, so numbers that wait differ modulo their count. */
static void coroutine_fn wait_for_turn(ImgCopy *c, const Chunk *chunk)
{
    if (c->out_of_order || c->next_write == chunk->number) {
        return;
    }
    unsigned slot = chunk->number % IMG_COPY_MAX_WORKERS;
    g_assert(!c->turn[slot]);
    c->turn[slot] = coroutine_self();
    coroutine_yield();
}

static void end_turn(ImgCopy *c)
{
    if (c->out_of_order) {
        return;
    }
    unsigned slot = ++c->next_write % IMG_COPY_MAX_WORKERS;
    Coroutine *co = c->turn[slot];
    if (co) {
        c->turn[slot] = NULL;
        coroutine_schedule(NULL, co);
    }
}

/* Sleeps until the bytes that were given out before may have been copied. */
static int coroutine_fn throttle(ImgCopy *c, uint64_t bytes)
{
    int64_t due =
        c->start_ns + (int64_t)((double)c->reserved / (double)c->rate * (double)NS_PER_SEC);
    c->reserved += bytes;
    int64_t wait = due - clock_get_ns(CLOCK_REALTIME_NS);
    while (wait > 0 && !img_signal()) {
        co_sleep_ns(CLOCK_REALTIME_NS, MIN(wait, NS_PER_SEC / 10));
        wait = due - clock_get_ns(CLOCK_REALTIME_NS);
    }
    return img_signal() ? -EINTR : 0;
}

static void coroutine_fn worker_entry(void *opaque)
{
    Worker *w = opaque;
    ImgCopy *c = w->copy;
    Chunk chunk;
    while (take_chunk(w, &chunk)) {
        int ret = 0;
        if (chunk.kind == CHUNK_DATA && !w->buf) {
            w->buf = block_alloc(front_node(c->target), w->size);
            ret = w->buf ? 0 : -ENOMEM;
        }
        if (ret == 0 && chunk.kind == CHUNK_DATA && c->rate) {
            ret = throttle(c, chunk.bytes);
        }
        if (ret == 0 && chunk.kind == CHUNK_DATA) {
            ret = read_chunk(w, &chunk);
        }
        wait_for_turn(c, &chunk);
        /* After an error nothing more is written, but those that wait have to get their turn. */
        if (ret == 0 && c->ret == 0) {
            ret = write_chunk(w, &chunk);
        }
        if (ret < 0) {
            fail(c, ret);
        }
        end_turn(c);
        c->done += chunk.bytes;
        img_progress(100.0 * (double)(c->done + c->left_out) / (double)c->total);
    }
    free(w->buf);
    c->running--;
    main_loop_wake();
}

bool img_copy(ImgCopy *c)
{
    Worker workers[IMG_COPY_MAX_WORKERS];
    size_t size = MAX(IMG_COPY_BUFFER, c->compressed ? c->cluster : 0);
    c->total = 0;
    for (unsigned i = 0; i < c->n_pieces; i++) {
        c->total += c->pieces[i].length;
    }
    co_mutex_init(&c->lock);
    c->start_ns = clock_get_ns(CLOCK_REALTIME_NS);
    c->running = c->workers;
    for (unsigned i = 0; i < c->workers; i++) {
        workers[i] = (Worker){ .copy = c, .size = size };
        coroutine_enter(coroutine_create(worker_entry, &workers[i]));
    }
    MAIN_LOOP_WHILE(c->running);
    if (c->ret == 0) {
        img_progress(100);
    }
    return c->ret == 0;
}
