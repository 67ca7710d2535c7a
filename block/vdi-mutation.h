/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways to break the VDI driver, for the tests of its tests: each must be found by tests/block. A
 * build for it has -DVDI_MUTATIONS (tests/block/meson.build compiles the driver once more with it);
 * everywhere else this is nothing.
 */
#ifndef BLOCK_VDI_MUTATION_H
#define BLOCK_VDI_MUTATION_H

#ifdef VDI_MUTATIONS
typedef enum VdiMutation {
    VDI_MUTATION_NONE,
    VDI_MUTATION_MAP_FIRST,     /* entry before data */
    VDI_MUTATION_VISIBLE_EARLY, /* others see a block while it is allocating */
    VDI_MUTATION_KEEP_FAILED,   /* a block whose data failed stays in the map */
    VDI_MUTATION_NO_ZEROS,      /* no zeros around a partial write into an old block */
    VDI_MUTATION_NO_SYNC,       /* no flush between the data of an old block and its entry */
    VDI_MUTATION_NO_RESERVE,    /* the header is written at close only */
    VDI_MUTATION_REUSE_STUCK,   /* V6 */
    VDI_MUTATION_TRUST_SUSPECT, /* V5 */
    VDI_MUTATION_DROP_ERROR,    /* the error of the entry's write is forgotten */
    VDI_MUTATION_FUA_DATA_ONLY, /* FUA of a mapped block does not care for its entry */
    VDI_MUTATIONS_COUNT
} VdiMutation;
extern VdiMutation vdi_mutation;
#define VDI_MUTATION(m) (vdi_mutation == (m))
#else
#define VDI_MUTATION(m) false
#endif

#endif
