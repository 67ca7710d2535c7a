/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The broken VDI driver of test-block-mutations (block/vdi-mutation.h). */
#ifndef TESTS_BLOCK_VDI_MUTANT_H
#define TESTS_BLOCK_VDI_MUTANT_H

#ifdef VDI_MUTATIONS
#include "../../block/vdi-mutation.h"

static const char *const vdi_mutation_names[VDI_MUTATIONS_COUNT] = {
    [VDI_MUTATION_NONE] = "none",
    [VDI_MUTATION_MAP_FIRST] = "map-first",
    [VDI_MUTATION_VISIBLE_EARLY] = "visible-early",
    [VDI_MUTATION_KEEP_FAILED] = "keep-failed",
    [VDI_MUTATION_NO_ZEROS] = "no-zeros",
    [VDI_MUTATION_NO_SYNC] = "no-sync",
    [VDI_MUTATION_NO_RESERVE] = "no-reserve",
    [VDI_MUTATION_REUSE_STUCK] = "reuse-stuck",
    [VDI_MUTATION_TRUST_SUSPECT] = "trust-suspect",
    [VDI_MUTATION_DROP_ERROR] = "drop-error",
    [VDI_MUTATION_FUA_DATA_ONLY] = "fua-data-only",
};
#endif

#endif
