/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI images (header version 1.1): what the files of the driver share. The layout of the file is at
 * the top of vdi-header.c, the rules of writing at the top of vdi.c.
 */
#ifndef BLOCK_VDI_H
#define BLOCK_VDI_H

#include "block/image.h"
#include "internal.h"
#include "vdi-mutation.h"

#define VDI_HEADER_SIZE 512
#define VDI_BLOCK_SIZE (UINT32_C(1) << 20) /* of images that we make */
/* Entries of the block map that are no block of the file. */
#define VDI_DISCARDED UINT32_C(0xfffffffe) /* reads as zeros; others write it */
#define VDI_UNALLOCATED UINT32_C(0xffffffff)
/* The map is written in units, so that one can be torn from its neighbour only. */
#define VDI_UNIT 512
#define VDI_UNIT_ENTRIES (VDI_UNIT / sizeof(uint32_t))
#define VDI_MAX_BLOCKS UINT32_C(0x1fffff80)
#define VDI_MAX_SIZE ((uint64_t)VDI_MAX_BLOCKS * VDI_BLOCK_SIZE)

typedef enum VdiType {
    VDI_TYPE_DYNAMIC = 1,
    VDI_TYPE_STATIC = 2,
    VDI_TYPE_UNDO = 3,
    VDI_TYPE_DIFFERENCING = 4,
} VdiType;

typedef struct VdiHeader {
    uint32_t header_size;
    VdiType type;
    uint32_t offset_map, offset_data;
    uint64_t disk_size;
    uint32_t block_size;
    uint32_t blocks;    /* entries of the map */
    uint32_t allocated; /* blocks of the file that are in use; V3 */
} VdiHeader;

/* A block of the file that nobody uses and that may hold anything. */
typedef struct VdiFree {
    uint32_t host;
    uint64_t gen; /* V6: not before the map of that generation is on stable storage */
} VdiFree;

/* A change of entries of the map that is under way: the blocks are "allocating". */
typedef struct VdiChange {
    GList link;            /* in changes */
    uint32_t first, count; /* blocks of the image */
    uint32_t host;         /* the first block of the file; the others follow it */
    bool clean;            /* reads as zeros, also after a crash */
    bool done;             /* with result */
    int ret;
    CoQueue waiters; /* requests for the same blocks */
} VdiChange;

typedef struct VdiState {
    VdiHeader header;
    uint8_t raw[VDI_HEADER_SIZE]; /* as in the file, but for what we change */
    uint32_t *map; /* V1; header.blocks entries and what is behind them in the unit */
    uint32_t units;
    uint8_t *suspect;    /* by unit, V5 */
    uint32_t n_suspect;  /* units */
    bool scanned;        /* next_free and all below is valid: opened for writing */
    bool touched;        /* header or map have been written */
    uint32_t next_free;  /* no block of the file from here on is in use */
    uint32_t clean_from; /* blocks from here on are behind the end of the file, V4 */
    uint32_t reserved;   /* header.allocated on stable storage, V3 */
    uint32_t reserve_step;
    uint32_t on_disk_allocated; /* as last written; V3 */
    GArray *pool;               /* VdiFree */
    GArray *stuck;              /* VdiFree of units that are suspect; gen is the unit */
    GQueue changes;             /* VdiChange */
    GPtrArray *pending;         /* VdiChange: wait to be written */
    bool committing;
    CoQueue commit_queue;
    /* Writes of the map; those on stable storage; those when the running flush began. */
    uint64_t map_gen, synced_gen, flush_gen;
} VdiState;

/* ---- vdi-header.c ---- */

/* Reads and checks; errors name what is not supported. */
bool vdi_header_decode(const uint8_t *raw, VdiHeader *header, GError **error);
/* The other way round, into the bytes of a header that exists. */
void vdi_header_encode(const VdiHeader *header, uint8_t *raw);
/* A new one: text, signature, version, random UUIDs. */
void vdi_header_new(uint8_t *raw);
uint64_t vdi_host_offset(const VdiHeader *header, uint32_t host);
static inline bool vdi_is_mapped(uint32_t entry)
{
    return entry < VDI_DISCARDED;
}

/* ---- vdi-alloc.c ---- */

/* The change that block is part of, or NULL. */
VdiChange *vdi_change_of(VdiState *s, uint32_t block);
/* Chooses blocks of the file for up to `count` unallocated ones from `first` on, and puts the
 * change on the list. It may be shorter than asked for. */
int coroutine_fn vdi_change_begin(BlockNode *node, VdiChange *change, uint32_t first,
                                  uint32_t count);
/* Data are written: writes the entries (V2). */
int coroutine_fn vdi_change_commit(BlockNode *node, VdiChange *change);
/* Ends it; ret < 0: the blocks go back (they may hold anything). */
void vdi_change_end(BlockNode *node, VdiChange *change, int ret);
/* V5: writes the units of blocks anew that may not be as in memory. */
int coroutine_fn vdi_make_sure(BlockNode *node, uint32_t first, uint32_t count);
/* All units. */
int coroutine_fn vdi_make_all_sure(BlockNode *node);
/* Everything so far on stable storage. */
int coroutine_fn vdi_sync(BlockNode *node);
/* A flush that began at generation gen was successful. */
void vdi_synced(VdiState *s, uint64_t gen);
/* Writes the entries [first, first + count) as `map` has them (in memory they become so if it
 * succeeds). */
int coroutine_fn vdi_write_entries(BlockNode *node, uint32_t first, uint32_t count,
                                   const uint32_t *entries);
/* header.allocated = what is in use, file as long as its blocks: before the image is let go. */
int coroutine_fn vdi_settle(BlockNode *node);
int coroutine_fn vdi_write_header(BlockNode *node, unsigned flags);
/* Finds out what is free; refuses a map in which blocks are shared or out of range. */
bool vdi_scan(BlockNode *node, GError **error);
void vdi_alloc_init(VdiState *s);
void vdi_alloc_free(VdiState *s);

/* ---- vdi-create.c ---- */

extern const BlockCreateOption vdi_create_options[];
bool vdi_create_convert(json_object *options, GError **error);
bool vdi_create(const BlockdevCreateOptions *options, GError **error);
bool vdi_measure(json_object *options, BlockNode *source, BlockMeasure *measure, GError **error);

/* ---- vdi-check.c ---- */

int vdi_check(BlockNode *node, BlockCheckResult *result, unsigned fix);

/* ---- vdi-resize.c ---- */

int coroutine_fn vdi_truncate(BlockNode *node, uint64_t length, bool exact, PreallocMode prealloc,
                              GError **error);

#endif
