/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Few combinations that together have each pair of values: factors have a number of values each, some pairs of values do not go
 * together, and each pair that can be in an allowed combination is in one of the rows.
 */
#ifndef PAIRWISE_H
#define PAIRWISE_H

#include <glib.h>

#define PAIRWISE_FACTORS 32
#define PAIRWISE_VALUES 8

typedef struct PairwiseRow {
    uint8_t value[PAIRWISE_FACTORS];
} PairwiseRow;

typedef struct Pairwise {
    unsigned n;
    unsigned values[PAIRWISE_FACTORS]; /* how many */
    /* Whether value v of factor f may be with value w of factor g. */
    bool (*allowed)(unsigned f, unsigned v, unsigned g, unsigned w);
} Pairwise;

/* Rows (PairwiseRow), others for another state of random. g_array_unref(). */
GArray *pairwise_rows(const Pairwise *p, GRand *random);
/* Pairs that are allowed but are in none of the rows; those that cannot be in any count, too. */
unsigned pairwise_missing(const Pairwise *p, const GArray *rows);
/* Pairs that can be in no allowed combination although they are allowed. */
unsigned pairwise_impossible(const Pairwise *p, GRand *random);
/* Whether all pairs of the row are allowed. */
bool pairwise_row_allowed(const Pairwise *p, const PairwiseRow *row);

#endif
