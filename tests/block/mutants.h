/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The broken drivers of test-block-mutations; what they can be broken in stands in
 * block/vdi-mutation.h and block/qcow2-mutation.h. */
#ifndef TESTS_BLOCK_MUTANTS_H
#define TESTS_BLOCK_MUTANTS_H

#ifdef BLOCK_MUTATIONS
struct BlockDriver;
extern unsigned vdi_mutation, qcow2_mutation;                                 /* 0: none */
extern const char *const vdi_mutation_names[], *const qcow2_mutation_names[]; /* NULL at the end */
extern const struct BlockDriver *const vdi_mutant, *const qcow2_mutant;
#endif

#endif
