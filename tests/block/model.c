/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "model.h"

#include "util/bytes.h"

void model_init(Model *m, uint32_t sectors)
{
    *m = (Model){ .sectors = sectors, .oldest_read = INT64_MAX };
    m->ops = g_array_new(FALSE, FALSE, sizeof(ModelOp));
    m->contents = g_new(GArray *, sectors);
    ModelOp initial = { MODEL_INITIAL, MODEL_ACKED, false, true, -1, -1, 0, sectors };
    g_array_append_val(m->ops, initial);
    for (uint32_t i = 0; i < sectors; i++) {
        uint32_t zero = 0;
        m->contents[i] = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_array_append_val(m->contents[i], zero);
    }
}

void model_clear(Model *m)
{
    for (uint32_t i = 0; i < m->sectors; i++) {
        g_array_free(m->contents[i], TRUE);
    }
    g_free(m->contents);
    g_array_free(m->ops, TRUE);
}

static ModelOp *op_at(const Model *m, uint32_t n)
{
    return &g_array_index(m->ops, ModelOp, n);
}

static ModelOp *seen_at(const Model *m, uint32_t sector, unsigned i)
{
    return op_at(m, g_array_index(m->contents[sector], uint32_t, i));
}

int64_t model_time(Model *m)
{
    return m->now++;
}

uint32_t model_begin(Model *m, ModelKind kind, uint32_t first, uint32_t count, bool fua)
{
    ModelOp op = { kind, MODEL_RUNS, fua, false, m->now++, INT64_MAX, first, count };
    uint32_t n = m->ops->len;
    g_array_append_val(m->ops, op);
    for (uint32_t i = 0; i < count; i++) {
        g_array_append_val(m->contents[first + i], n);
    }
    return n;
}

/* ended before t, and everybody who reads from then on sees it or something newer */
static bool supersedes(const ModelOp *b, const ModelOp *a, int64_t t)
{
    return b->end == MODEL_ACKED && b->kind != MODEL_DISCARD && b->ended < t && b->began > a->ended;
}

static bool superseded(const Model *m, uint32_t sector, const ModelOp *a, int64_t t, bool durable)
{
    for (unsigned i = 0; i < m->contents[sector]->len; i++) {
        const ModelOp *b = seen_at(m, sector, i);
        if ((!durable || b->durable) && supersedes(b, a, t)) {
            return true;
        }
    }
    return false;
}

/* Forgets what can never be seen again. */
static void prune(Model *m, uint32_t sector)
{
    GArray *c = m->contents[sector];
    for (unsigned i = c->len; i-- > 0;) {
        if (superseded(m, sector, seen_at(m, sector, i), m->oldest_read, true)) {
            g_array_remove_index(c, i);
        }
    }
}

static void prune_op(Model *m, const ModelOp *op)
{
    uint32_t first = op->first, count = op->count;
    for (uint32_t i = 0; i < count; i++) {
        prune(m, first + i);
    }
}

void model_end(Model *m, uint32_t n, bool ok)
{
    ModelOp *op = op_at(m, n);
    op->ended = m->now++;
    op->end = ok ? MODEL_ACKED : MODEL_FAILED;
    op->durable = ok && op->fua;
    if (op->durable) {
        prune_op(m, op);
    }
}

void model_cancelled(Model *m, uint32_t n)
{
    ModelOp *op = op_at(m, n);
    for (uint32_t s = op->first; s < op->first + op->count; s++) {
        for (unsigned i = m->contents[s]->len; i-- > 0;) {
            if (g_array_index(m->contents[s], uint32_t, i) == n) {
                g_array_remove_index(m->contents[s], i);
            }
        }
    }
    op->count = 0;
    op->ended = m->now++;
    op->end = MODEL_FAILED;
}

void model_flushed(Model *m, int64_t began)
{
    m->now++;
    for (unsigned n = 1; n < m->ops->len; n++) {
        ModelOp *op = op_at(m, n);
        if (!op->durable && op->end == MODEL_ACKED && op->ended < began) {
            op->durable = true;
            prune_op(m, op);
        }
    }
}

void model_fill(uint8_t *buf, uint32_t op, uint32_t first, uint32_t count)
{
    for (uint32_t s = 0; s < count; s++) {
        for (unsigned i = 0; i < MODEL_SECTOR; i += 8) {
            store_le32(buf + s * MODEL_SECTOR + i, op);
            store_le32(buf + s * MODEL_SECTOR + i + 4, first + s);
        }
    }
}

int64_t model_value(const uint8_t *buf, uint32_t sector)
{
    if (memcmp(buf, buf + 8, MODEL_SECTOR - 8) != 0) {
        return -1;
    }
    uint32_t op = load_le32(buf), at = load_le32(buf + 4);
    return op == 0 && at == 0 ? 0 : op != 0 && at == sector ? (int64_t)op : -1;
}

/* The op may be seen as `value`. */
static bool shows(const ModelOp *op, uint32_t n, int64_t value)
{
    return op->kind == MODEL_WRITE ? value == (int64_t)n : value == 0;
}

static char *check(Model *m, uint32_t sector, const uint8_t *buf, int64_t t, bool durable)
{
    int64_t value = model_value(buf, sector);
    GArray *c = m->contents[sector];
    for (unsigned i = 0; i < c->len; i++) {
        const ModelOp *op = seen_at(m, sector, i);
        if (shows(op, g_array_index(c, uint32_t, i), value) &&
            !superseded(m, sector, op, t, durable)) {
            return NULL;
        }
    }
    GString *s = g_string_new(NULL);
    g_string_printf(s, "sector %u holds %" PRId64 " (%02x %02x %02x %02x...), legal are", sector,
                    value, buf[0], buf[1], buf[2], buf[3]);
    for (unsigned i = 0; i < c->len; i++) {
        const ModelOp *op = seen_at(m, sector, i);
        if (!superseded(m, sector, op, t, durable)) {
            g_string_append_printf(s, " %u%s", g_array_index(c, uint32_t, i),
                                   op->kind == MODEL_WRITE     ? ""
                                   : op->kind == MODEL_DISCARD ? "(discard)"
                                                               : "(zeros)");
        }
    }
    return g_string_free(s, FALSE);
}

char *model_check_read(Model *m, uint32_t sector, const uint8_t *buf, int64_t began)
{
    return check(m, sector, buf, began, false);
}

char *model_check_crash(Model *m, uint32_t sector, const uint8_t *buf)
{
    return check(m, sector, buf, INT64_MAX, true);
}

void model_pin(Model *m, uint32_t sector, const uint8_t *buf)
{
    int64_t value = model_value(buf, sector);
    GArray *c = m->contents[sector];
    ModelOp op = { MODEL_ZERO, MODEL_ACKED, false, true, m->now++, m->now++, sector, 1 };
    uint32_t n = value;
    if (value == 0) {
        n = m->ops->len;
        g_array_append_val(m->ops, op);
    } else {
        /* The same number stands for it; it is now the only one. */
        op_at(m, n)->end = MODEL_ACKED;
        op_at(m, n)->durable = true;
    }
    g_array_set_size(c, 0);
    g_array_append_val(c, n);
}
