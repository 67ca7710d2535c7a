/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways to break the qcow2 driver, for the tests of its tests, as in vdi-mutation.h. The names below are
 * all that the driver's files share; one that is missing is a duplicate symbol when
 * test-block-mutations is linked.
 */
#ifndef BLOCK_QCOW2_MUTATION_H
#define BLOCK_QCOW2_MUTATION_H

#ifdef QCOW2_MUTATIONS
typedef enum Qcow2Mutation {
    QCOW2_MUTATION_NONE,
    QCOW2_MUTATION_ENTRY_FIRST,   /* entry before data (M1) */
    QCOW2_MUTATION_KEEP_FAILED,   /* the entry of clusters whose data failed stays */
    QCOW2_MUTATION_DROP_ERROR,    /* the error of an allocation is forgotten */
    QCOW2_MUTATION_NO_CHANGE,     /* two requests change one cluster at the same time (M2) */
    QCOW2_MUTATION_NO_COPY,       /* nothing is copied around a part of a cluster */
    QCOW2_MUTATION_ALWAYS_FRESH,  /* clusters that were used before are taken for zeros */
    QCOW2_MUTATION_COUNTS_LAST,   /* L2 before reference counts (W1) */
    QCOW2_MUTATION_NO_FLUSH,      /* no flush between data and counts, and L2 (W1, W2) */
    QCOW2_MUTATION_FREE_EARLY,    /* counts go down before the entries are gone (M3) */
    QCOW2_MUTATION_NO_FREE_FLUSH, /* no flush between entries that are gone and counts (W3) */
    QCOW2_MUTATION_IGNORE_USE,    /* a freed cluster is used again during a request to it (M4) */
    QCOW2_MUTATION_FORGET_DIRTY,  /* a table whose write failed counts as written */
    QCOW2_MUTATION_NO_DIRTY_MARK, /* lazy counts without the mark in the header */
    QCOW2_MUTATION_BLANK_TABLE,   /* a new L2 table is not written before L1 names it (W2) */
    QCOW2_MUTATIONS_COUNT
} Qcow2Mutation;
/* For the test, which does not know this header: the one in force, names of all (NULL at the end), the
 * driver. */
extern unsigned qcow2_mutation;
extern const char *const qcow2_mutation_names[];
struct BlockDriver;
extern const struct BlockDriver *const qcow2_mutant;
#define QCOW2_MUTATION(m) (qcow2_mutation == QCOW2_MUTATION_##m)

#define qcow2_alloc mutant_qcow2_alloc
#define qcow2_alloc_bytes mutant_qcow2_alloc_bytes
#define qcow2_alloc_some mutant_qcow2_alloc_some
#define qcow2_amend mutant_qcow2_amend
#define qcow2_amend_options mutant_qcow2_amend_options
#define qcow2_apply_freed mutant_qcow2_apply_freed
#define qcow2_bitmaps_clear mutant_qcow2_bitmaps_clear
#define qcow2_block_status mutant_qcow2_block_status
#define qcow2_cache_clean mutant_qcow2_cache_clean
#define qcow2_cache_drop mutant_qcow2_cache_drop
#define qcow2_cache_drop_all mutant_qcow2_cache_drop_all
#define qcow2_cache_free mutant_qcow2_cache_free
#define qcow2_cache_get mutant_qcow2_cache_get
#define qcow2_cache_is_dirty mutant_qcow2_cache_is_dirty
#define qcow2_cache_mark mutant_qcow2_cache_mark
#define qcow2_cache_new mutant_qcow2_cache_new
#define qcow2_cache_put mutant_qcow2_cache_put
#define qcow2_cache_take mutant_qcow2_cache_take
#define qcow2_cache_write mutant_qcow2_cache_write
#define qcow2_change_begin mutant_qcow2_change_begin
#define qcow2_change_end mutant_qcow2_change_end
#define qcow2_change_wait mutant_qcow2_change_wait
#define qcow2_check_block_usable mutant_qcow2_check_block_usable
#define qcow2_check_copied mutant_qcow2_check_copied
#define qcow2_check_image mutant_qcow2_check_image
#define qcow2_check_overlap mutant_qcow2_check_overlap
#define qcow2_check_read_block mutant_qcow2_check_read_block
#define qcow2_check_walk mutant_qcow2_check_walk
#define qcow2_check_walk_refcounts mutant_qcow2_check_walk_refcounts
#define qcow2_corrupt mutant_qcow2_corrupt
#define qcow2_create mutant_qcow2_create
#define qcow2_create_convert mutant_qcow2_create_convert
#define qcow2_create_options mutant_qcow2_create_options
#define qcow2_derive mutant_qcow2_derive
#define qcow2_discard mutant_qcow2_discard
#define qcow2_discard_clusters mutant_qcow2_discard_clusters
#define qcow2_drop_scratch mutant_qcow2_drop_scratch
#define qcow2_entry_kind mutant_qcow2_entry_kind
#define qcow2_entry_valid mutant_qcow2_entry_valid
#define qcow2_finish mutant_qcow2_finish
#define qcow2_format_header mutant_qcow2_format_header
#define qcow2_free_entry mutant_qcow2_free_entry
#define qcow2_free_later mutant_qcow2_free_later
#define qcow2_get_entry mutant_qcow2_get_entry
#define qcow2_get_l2 mutant_qcow2_get_l2
#define qcow2_grow_l1 mutant_qcow2_grow_l1
#define qcow2_header_clear mutant_qcow2_header_clear
#define qcow2_invalidate_bitmaps mutant_qcow2_invalidate_bitmaps
#define qcow2_know_end mutant_qcow2_know_end
#define qcow2_load_entry mutant_qcow2_load_entry
#define qcow2_lookup mutant_qcow2_lookup
#define qcow2_make_empty mutant_qcow2_make_empty
#define qcow2_make_l2 mutant_qcow2_make_l2
#define qcow2_measure mutant_qcow2_measure
#define qcow2_metadata_add mutant_qcow2_metadata_add
#define qcow2_metadata_fill mutant_qcow2_metadata_fill
#define qcow2_metadata_remove mutant_qcow2_metadata_remove
#define qcow2_packed_place mutant_qcow2_packed_place
#define qcow2_parse_overlap mutant_qcow2_parse_overlap
#define qcow2_patch_header mutant_qcow2_patch_header
#define qcow2_preallocate mutant_qcow2_preallocate
#define qcow2_read mutant_qcow2_read
#define qcow2_read_bitmaps mutant_qcow2_read_bitmaps
#define qcow2_read_header mutant_qcow2_read_header
#define qcow2_read_l1 mutant_qcow2_read_l1
#define qcow2_read_packed mutant_qcow2_read_packed
#define qcow2_read_reftable mutant_qcow2_read_reftable
#define qcow2_read_snapshots mutant_qcow2_read_snapshots
#define qcow2_rebuild_counts mutant_qcow2_rebuild_counts
#define qcow2_refcount mutant_qcow2_refcount
#define qcow2_refcount_add mutant_qcow2_refcount_add
#define qcow2_refcounts_dirty mutant_qcow2_refcounts_dirty
#define qcow2_relieve mutant_qcow2_relieve
#define qcow2_repair_counts mutant_qcow2_repair_counts
#define qcow2_restore_header mutant_qcow2_restore_header
#define qcow2_run mutant_qcow2_run
#define qcow2_set_entry mutant_qcow2_set_entry
#define qcow2_set_l2 mutant_qcow2_set_l2
#define qcow2_slice_rest mutant_qcow2_slice_rest
#define qcow2_snapshot_create mutant_qcow2_snapshot_create
#define qcow2_snapshot_delete mutant_qcow2_snapshot_delete
#define qcow2_snapshot_entry_size mutant_qcow2_snapshot_entry_size
#define qcow2_snapshot_goto mutant_qcow2_snapshot_goto
#define qcow2_snapshot_list mutant_qcow2_snapshot_list
#define qcow2_snapshot_load mutant_qcow2_snapshot_load
#define qcow2_snapshot_table_size mutant_qcow2_snapshot_table_size
#define qcow2_snapshots_clear mutant_qcow2_snapshots_clear
#define qcow2_start_writing mutant_qcow2_start_writing
#define qcow2_store_entry mutant_qcow2_store_entry
#define qcow2_truncate mutant_qcow2_truncate
#define qcow2_use_begin mutant_qcow2_use_begin
#define qcow2_use_end mutant_qcow2_use_end
#define qcow2_vmstate_read mutant_qcow2_vmstate_read
#define qcow2_vmstate_write mutant_qcow2_vmstate_write
#define qcow2_write mutant_qcow2_write
#define qcow2_write_back mutant_qcow2_write_back
#define qcow2_write_compressed mutant_qcow2_write_compressed
#define qcow2_write_header mutant_qcow2_write_header
#define qcow2_write_incompatible mutant_qcow2_write_incompatible
#define qcow2_write_refcounts mutant_qcow2_write_refcounts
#define qcow2_write_snapshots mutant_qcow2_write_snapshots
#define qcow2_write_zeroes mutant_qcow2_write_zeroes
#else
#define QCOW2_MUTATION(m) false
#endif

#endif
