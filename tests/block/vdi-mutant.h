/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The broken VDI driver of test-block-mutations; what it can be broken in stands in block/vdi-mutation.h. */
#ifndef TESTS_BLOCK_VDI_MUTANT_H
#define TESTS_BLOCK_VDI_MUTANT_H

#ifdef VDI_MUTATIONS
extern unsigned vdi_mutation;                  /* 0: none */
extern const char *const vdi_mutation_names[]; /* NULL at the end */
struct BlockDriver;
extern const struct BlockDriver *const vdi_mutant;
#endif

#endif
