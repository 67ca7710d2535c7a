/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Combinations that have each pair of values: pairwise.h. A row is begun with a pair that is still missing and filled with what
 * brings most that is new, the factor with the fewest values left first; where that leads nowhere, the next best is tried. */
#include "util/osdep.h"
#include "pairwise.h"

#define UNSET 255
#define TRIES 8 /* rows to choose from */

typedef struct Search {
    const Pairwise *p;
    GRand *random;
    bool seen[PAIRWISE_FACTORS][PAIRWISE_VALUES][PAIRWISE_FACTORS][PAIRWISE_VALUES];
} Search;

static bool fits(const Search *s, const PairwiseRow *row, unsigned f, unsigned v)
{
    for (unsigned g = 0; g < s->p->n; g++) {
        if (g != f && row->value[g] != UNSET && !s->p->allowed(f, v, g, row->value[g])) {
            return false;
        }
    }
    return true;
}

/* How many pairs are new if factor f has value v. */
static unsigned gain(const Search *s, const PairwiseRow *row, unsigned f, unsigned v)
{
    unsigned n = 0;
    for (unsigned g = 0; g < s->p->n; g++) {
        n += g != f && row->value[g] != UNSET && !s->seen[f][v][g][row->value[g]];
    }
    return n;
}

static void shuffle(const Search *s, uint8_t *order, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        order[i] = i;
    }
    for (unsigned i = n; i > 1; i--) {
        unsigned j = g_rand_int_range(s->random, 0, i);
        uint8_t keep = order[i - 1];
        order[i - 1] = order[j];
        order[j] = keep;
    }
}

/* The unset factor that has the fewest values left: what cannot be is found at once. -1: all are set. */
static int next_factor(const Search *s, const PairwiseRow *row)
{
    uint8_t order[PAIRWISE_FACTORS];
    unsigned fewest = PAIRWISE_VALUES + 1;
    int best = -1;
    shuffle(s, order, s->p->n);
    for (unsigned i = 0; i < s->p->n; i++) {
        unsigned f = order[i], left = 0;
        for (unsigned v = 0; row->value[f] == UNSET && v < s->p->values[f]; v++) {
            left += fits(s, row, f, v);
        }
        if (row->value[f] == UNSET && left < fewest) {
            fewest = left;
            best = f;
        }
    }
    return best;
}

/* Sets what is not set. */
static bool fill(const Search *s, PairwiseRow *row)
{
    int f = next_factor(s, row);
    if (f < 0) {
        return true;
    }
    uint8_t values[PAIRWISE_VALUES];
    bool tried[PAIRWISE_VALUES] = { false };
    shuffle(s, values, s->p->values[f]);
    for (;;) {
        int best = -1;
        unsigned most = 0;
        for (unsigned i = 0; i < s->p->values[f]; i++) {
            unsigned v = values[i], n = gain(s, row, f, v);
            if (!tried[v] && fits(s, row, f, v) && (best < 0 || n > most)) {
                best = v;
                most = n;
            }
        }
        if (best < 0) {
            return false;
        }
        tried[best] = true;
        row->value[f] = best;
        if (fill(s, row)) {
            return true;
        }
        row->value[f] = UNSET;
    }
}

static bool row_with(const Search *s, PairwiseRow *row, unsigned f, unsigned v, unsigned g, unsigned w)
{
    memset(row, UNSET, sizeof(*row));
    row->value[f] = v;
    row->value[g] = w;
    return fill(s, row);
}

/* Notes the pairs of a row; how many were new. */
static unsigned note(Search *s, const PairwiseRow *row, bool keep)
{
    unsigned n = 0;
    for (unsigned f = 0; f < s->p->n; f++) {
        for (unsigned g = 0; g < s->p->n; g++) {
            bool *seen = &s->seen[f][row->value[f]][g][row->value[g]];
            n += f != g && !*seen;
            *seen |= keep;
        }
    }
    return n;
}

typedef void PairFunc(Search *s, unsigned f, unsigned v, unsigned g, unsigned w, void *opaque);

/* Calls func for each allowed pair that was not seen. */
static void each_missing(Search *s, PairFunc *func, void *opaque)
{
    const Pairwise *p = s->p;
    for (unsigned f = 0; f < p->n; f++) {
        for (unsigned g = f + 1; g < p->n; g++) {
            for (unsigned v = 0; v < p->values[f]; v++) {
                for (unsigned w = 0; w < p->values[g]; w++) {
                    if (p->allowed(f, v, g, w) && !s->seen[f][v][g][w]) {
                        func(s, f, v, g, w, opaque);
                    }
                }
            }
        }
    }
}

static void add_row(Search *s, unsigned f, unsigned v, unsigned g, unsigned w, void *opaque)
{
    GArray *rows = opaque;
    PairwiseRow best, row;
    unsigned most = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        if (!row_with(s, &row, f, v, g, w)) {
            return; /* impossible */
        }
        unsigned n = note(s, &row, false);
        if (n > most) {
            most = n;
            best = row;
        }
    }
    note(s, &best, true);
    g_array_append_val(rows, best);
}

GArray *pairwise_rows(const Pairwise *p, GRand *random)
{
    g_autofree Search *s = g_new0(Search, 1);
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(PairwiseRow));
    s->p = p;
    s->random = random;
    each_missing(s, add_row, rows);
    /* In any order: a few of them are as good as any others. */
    for (unsigned i = rows->len; i > 1; i--) {
        unsigned j = g_rand_int_range(random, 0, i);
        PairwiseRow keep = g_array_index(rows, PairwiseRow, i - 1);
        g_array_index(rows, PairwiseRow, i - 1) = g_array_index(rows, PairwiseRow, j);
        g_array_index(rows, PairwiseRow, j) = keep;
    }
    return rows;
}

static void count(Search *s, unsigned f, unsigned v, unsigned g, unsigned w, void *opaque)
{
    ++*(unsigned *)opaque;
}

unsigned pairwise_missing(const Pairwise *p, const GArray *rows)
{
    g_autofree Search *s = g_new0(Search, 1);
    unsigned n = 0;
    s->p = p;
    for (unsigned i = 0; i < rows->len; i++) {
        note(s, &g_array_index(rows, PairwiseRow, i), true);
    }
    each_missing(s, count, &n);
    return n;
}

static void count_impossible(Search *s, unsigned f, unsigned v, unsigned g, unsigned w, void *opaque)
{
    PairwiseRow row;
    *(unsigned *)opaque += !row_with(s, &row, f, v, g, w);
}

unsigned pairwise_impossible(const Pairwise *p, GRand *random)
{
    g_autofree Search *s = g_new0(Search, 1);
    unsigned n = 0;
    s->p = p;
    s->random = random;
    each_missing(s, count_impossible, &n);
    return n;
}

bool pairwise_row_allowed(const Pairwise *p, const PairwiseRow *row)
{
    for (unsigned f = 0; f < p->n; f++) {
        for (unsigned g = f + 1; g < p->n; g++) {
            if (!p->allowed(f, row->value[f], g, row->value[g])) {
                return false;
            }
        }
    }
    return true;
}
