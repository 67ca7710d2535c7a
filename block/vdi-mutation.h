/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways to break the VDI driver, for the tests of its tests: tests/block has to find each of them. With
 * VDI_MUTATIONS the driver is compiled once more, with other names (tests/block/meson.build), and the
 * test chooses a mutation; everywhere else this is nothing.
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
    VDI_MUTATION_REUSE_STUCK,   /* V6 is not kept */
    VDI_MUTATION_TRUST_SUSPECT, /* V5 is not kept */
    VDI_MUTATION_DROP_ERROR,    /* the error of an allocation is forgotten */
    VDI_MUTATION_FUA_DATA_ONLY, /* FUA of a mapped block does not care for its entry */
    VDI_MUTATIONS_COUNT
} VdiMutation;
/* For the test, which does not know this header: the one in force, names of all (NULL at the end), the
 * driver. */
extern unsigned vdi_mutation;
extern const char *const vdi_mutation_names[];
struct BlockDriver;
extern const struct BlockDriver *const vdi_mutant;
#define VDI_MUTATION(m) (vdi_mutation == (m))

#define vdi_header_decode mutant_vdi_header_decode
#define vdi_header_encode mutant_vdi_header_encode
#define vdi_header_new mutant_vdi_header_new
#define vdi_host_offset mutant_vdi_host_offset
#define vdi_change_of mutant_vdi_change_of
#define vdi_change_begin mutant_vdi_change_begin
#define vdi_change_commit mutant_vdi_change_commit
#define vdi_change_end mutant_vdi_change_end
#define vdi_make_sure mutant_vdi_make_sure
#define vdi_make_all_sure mutant_vdi_make_all_sure
#define vdi_sync mutant_vdi_sync
#define vdi_synced mutant_vdi_synced
#define vdi_write_entries mutant_vdi_write_entries
#define vdi_settle mutant_vdi_settle
#define vdi_write_header mutant_vdi_write_header
#define vdi_scan mutant_vdi_scan
#define vdi_alloc_init mutant_vdi_alloc_init
#define vdi_alloc_free mutant_vdi_alloc_free
#define vdi_create_options mutant_vdi_create_options
#define vdi_create_convert mutant_vdi_create_convert
#define vdi_create mutant_vdi_create
#define vdi_measure mutant_vdi_measure
#define vdi_check mutant_vdi_check
#define vdi_truncate mutant_vdi_truncate
#else
#define VDI_MUTATION(m) false
#endif

#endif
