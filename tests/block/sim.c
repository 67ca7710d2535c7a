/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "sim.h"

#include "util/error.h"

SimFile sim_files[SIM_FILES];

typedef struct SimState {
    SimFile *file;
} SimState;

/* ---- contents ---- */

static void grow(GByteArray *a, uint64_t size)
{
    if (size > a->len) {
        guint old = a->len;
        g_byte_array_set_size(a, size);
        memset(a->data + old, 0, size - old);
    }
}

static void entry_clear(void *opaque)
{
    g_free(((SimEntry *)opaque)->data);
}

void sim_reset(SimFile *f, const uint8_t *data, size_t size)
{
    if (!f->now) {
        f->now = g_byte_array_new();
        f->stable = g_byte_array_new();
        f->log = g_array_new(FALSE, FALSE, sizeof(SimEntry));
        g_array_set_clear_func(f->log, entry_clear);
        f->pending = g_ptr_array_new();
    }
    g_assert(f->pending->len == 0);
    g_byte_array_set_size(f->now, 0);
    g_byte_array_append(f->now, data, size);
    g_byte_array_set_size(f->stable, 0);
    g_byte_array_append(f->stable, data, size);
    g_array_set_size(f->log, 0);
    f->log_base = f->executed = 0;
}

void sim_clear(SimFile *f)
{
    if (f->now) {
        g_byte_array_free(f->now, TRUE);
        g_byte_array_free(f->stable, TRUE);
        g_array_free(f->log, TRUE);
        g_ptr_array_free(f->pending, TRUE);
    }
    *f = (SimFile){ 0 };
}

/* Sectors of e for which want() is true. */
typedef bool Want(void *opaque, uint64_t sector);

static void apply(GByteArray *a, const SimEntry *e, Want *want, void *opaque)
{
    if (e->kind == SIM_TRUNCATE) {
        if (want(opaque, 0)) {
            g_byte_array_set_size(a, MIN(a->len, e->offset));
            grow(a, e->offset);
        }
        return;
    }
    for (uint64_t at = 0; at < e->bytes;) {
        uint64_t n = MIN(e->bytes - at, SIM_SECTOR - (e->offset + at) % SIM_SECTOR);
        if (want(opaque, (e->offset + at) / SIM_SECTOR)) {
            grow(a, e->offset + at + n);
            if (e->kind == SIM_WRITE) {
                memcpy(a->data + e->offset + at, e->data + at, n);
            } else {
                memset(a->data + e->offset + at, 0, n);
            }
        }
        at += n;
    }
}

static bool want_all(void *opaque, uint64_t sector)
{
    return true;
}

static void fold(SimFile *f)
{
    unsigned n = 0;
    while (n < f->log->len && g_array_index(f->log, SimEntry, n).durable) {
        apply(f->stable, &g_array_index(f->log, SimEntry, n), want_all, NULL);
        n++;
    }
    if (n) {
        g_array_remove_range(f->log, 0, n);
        f->log_base += n;
    }
}

static SimEntry entry_of(const SimOp *op, uint64_t bytes)
{
    SimEntry e = { .kind = op->kind, .offset = op->offset, .bytes = bytes, .durable = op->fua };
    if (op->kind == SIM_DISCARD) {
        e.kind = SIM_ZERO;
    } else if (op->kind == SIM_WRITE) {
        e.data = g_malloc(MAX(bytes, 1));
        iovec_to_buf(op->vec, op->vec_offset, e.data, bytes);
    }
    return e;
}

static void record(SimFile *f, const SimOp *op, uint64_t bytes)
{
    SimEntry e = entry_of(op, bytes);
    apply(f->now, &e, want_all, NULL);
    if (f->instant && f->log->len == 0 && f->forget) {
        apply(f->stable, &e, want_all, NULL);
        entry_clear(&e);
        return;
    }
    g_array_append_val(f->log, e);
    if (e.durable) {
        fold(f);
    }
}

static void do_read(SimFile *f, SimOp *op)
{
    uint64_t n = op->offset < f->now->len ? MIN(op->bytes, f->now->len - op->offset) : 0;
    iovec_from_buf(op->vec, op->vec_offset, f->now->data + op->offset, n);
    iovec_memset(op->vec, op->vec_offset + n, 0, op->bytes - n);
}

static void perform(SimFile *f, SimOp *op, int error, unsigned part)
{
    f->executed++;
    op->ret = error;
    if (error) {
        uint64_t bytes = MIN(op->bytes, (uint64_t)part * SIM_SECTOR);
        if (bytes && (op->kind == SIM_WRITE || op->kind == SIM_ZERO)) {
            op->fua = false;
            record(f, op, bytes);
        }
        return;
    }
    switch (op->kind) {
    case SIM_READ:
        do_read(f, op);
        break;
    case SIM_WRITE:
    case SIM_ZERO:
    case SIM_DISCARD:
    case SIM_TRUNCATE:
        record(f, op, op->bytes);
        break;
    case SIM_FLUSH:
        for (unsigned i = 0; i < f->log->len && f->log_base + i < op->mark; i++) {
            g_array_index(f->log, SimEntry, i).durable = true;
        }
        fold(f);
        break;
    default:
        break;
    }
}

void sim_execute(SimFile *f, unsigned i, int error, unsigned part)
{
    SimOp *op = f->pending->pdata[i];
    g_ptr_array_remove_index(f->pending, i);
    perform(f, op, error, part);
    coroutine_enter(op->co);
}

/* ---- crashes ---- */

typedef struct Choice {
    SimLoss loss;
    GRand *rand;
    bool all;
} Choice;

static bool want_some(void *opaque, uint64_t sector)
{
    Choice *c = opaque;
    return c->all || (c->loss == SIM_LOSE_SECTORS && g_rand_boolean(c->rand));
}

static bool may_be_lost(const SimOp *op)
{
    return op->kind == SIM_WRITE || op->kind == SIM_ZERO || op->kind == SIM_DISCARD ||
           op->kind == SIM_TRUNCATE;
}

unsigned sim_volatile(const SimFile *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->log->len; i++) {
        n += !g_array_index(f->log, SimEntry, i).durable;
    }
    for (unsigned i = 0; i < f->pending->len; i++) {
        n += may_be_lost(f->pending->pdata[i]);
    }
    return n;
}

static void crash_entry(GByteArray *a, const SimEntry *e, Choice *c, uint64_t *choice, unsigned *n)
{
    if (e->durable) {
        c->all = true;
    } else if (c->loss == SIM_LOSE_ENTRIES) {
        c->all = *n < 64 ? *choice >> *n & 1 : g_rand_boolean(c->rand);
        (*n)++;
    } else {
        c->all = c->loss == SIM_LOSE_NOTHING;
    }
    apply(a, e, want_some, c);
}

GByteArray *sim_crash(const SimFile *f, SimLoss loss, uint64_t choice, GRand *rand)
{
    GByteArray *a = g_byte_array_sized_new(f->stable->len);
    Choice c = { loss, rand, false };
    unsigned n = 0;
    g_byte_array_append(a, f->stable->data, f->stable->len);
    for (unsigned i = 0; i < f->log->len; i++) {
        crash_entry(a, &g_array_index(f->log, SimEntry, i), &c, &choice, &n);
    }
    for (unsigned i = 0; i < f->pending->len; i++) {
        const SimOp *op = f->pending->pdata[i];
        if (may_be_lost(op)) {
            SimEntry e = entry_of(op, op->bytes);
            e.durable = false;
            crash_entry(a, &e, &c, &choice, &n);
            entry_clear(&e);
        }
    }
    return a;
}

/* ---- the driver ---- */

static int coroutine_fn run(BlockNode *node, SimOp *op)
{
    SimFile *f = ((SimState *)node->state)->file;
    if (f->instant) {
        perform(f, op, f->broken ? -EIO : 0, 0);
        return op->ret;
    }
    op->co = coroutine_self();
    g_ptr_array_add(f->pending, op);
    coroutine_yield();
    return op->ret;
}

static bool sim_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                     GError **error)
{
    SimState *s = node->state;
    int64_t n = options->u.null_co.size;
    if (n < 0 || n >= SIM_FILES || !sim_files[n].now) {
        return error_set(error, "no such simulated file");
    }
    s->file = &sim_files[n];
    s->file->opened++;
    node->write_flags = BLOCK_FUA;
    node->zero_flags = BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK;
    return true;
}

static void sim_refresh_limits(BlockNode *node)
{
    const SimFile *f = ((SimState *)node->state)->file;
    node->limits.request_align = f->request_align ? f->request_align : 1;
}

static int coroutine_fn sim_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                 size_t vec_offset)
{
    SimOp op = { SIM_READ, offset, bytes, vec, vec_offset };
    return run(node, &op);
}

static int coroutine_fn sim_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset, unsigned flags)
{
    SimOp op = { SIM_WRITE, offset, bytes, vec, vec_offset, flags & BLOCK_FUA };
    return run(node, &op);
}

static int coroutine_fn sim_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         unsigned flags)
{
    SimOp op = { SIM_ZERO, offset, bytes };
    return ((SimState *)node->state)->file->no_zeroes ? -ENOTSUP : run(node, &op);
}

static int coroutine_fn sim_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    SimOp op = { SIM_DISCARD, offset, bytes };
    return run(node, &op);
}

static int coroutine_fn sim_flush(BlockNode *node)
{
    SimFile *f = ((SimState *)node->state)->file;
    SimOp op = { .kind = SIM_FLUSH, .mark = f->log_base + f->log->len };
    return run(node, &op);
}

static int coroutine_fn sim_truncate(BlockNode *node, uint64_t length, bool exact,
                                     PreallocMode prealloc, GError **error)
{
    SimOp op = { .kind = SIM_TRUNCATE, .offset = length };
    int ret = run(node, &op);
    if (ret < 0) {
        error_set_errno(error, -ret, "truncate");
    }
    return ret;
}

static void coroutine_fn sim_event(BlockNode *node, BlkdebugEvent event)
{
    SimFile *f = ((SimState *)node->state)->file;
    if (f->stop_at_events && !f->instant) {
        SimOp op = { .kind = SIM_EVENT, .offset = event };
        run(node, &op);
    }
}

static int64_t sim_length(BlockNode *node)
{
    return ((SimState *)node->state)->file->now->len;
}

/* What was never written reads as zeros. */
static bool sim_zero_init(BlockNode *node)
{
    return true;
}

static const BlockDriver sim_driver = {
    .name = "null-co",
    .kind = BLOCK_PROTOCOL,
    .qapi_driver = BLOCKDEV_DRIVER_NULL_CO,
    .state_size = sizeof(SimState),
    .open = sim_open,
    .refresh_limits = sim_refresh_limits,
    .read = sim_read,
    .write = sim_write,
    .write_zeroes = sim_write_zeroes,
    .discard = sim_discard,
    .flush = sim_flush,
    .truncate = sim_truncate,
    .length = sim_length,
    .zero_init = sim_zero_init,
    .debug_event = sim_event,
};

void sim_register(void)
{
    block_driver_register(&sim_driver); /* the last one is found first */
}
