/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the qcow2 driver share. The format: docs/interop qcow2 text ("qcow2 Image
 * Format"); how this driver keeps an image whole: docs/devel/qcow2.md.
 *
 * The image on disk is at every moment (after a crash of host or program) one in which
 *
 * W1  a mapping entry (L1, L2) points only to clusters whose reference count on disk covers it,
 *     unless the image is marked dirty (lazy refcounts);
 * W2  an L2 entry points only to data, and an L1 entry only to a table, that is on disk whole;
 * W3  a cluster that some entry on disk points to is not written for another purpose.
 *
 * W4  when a change of the header fails, the old bytes are in the file, flushed, before a cluster is handed out or
 *     a write-back is acknowledged (Qcow2.undo until then).
 *
 * So clusters may leak, and nothing else. In memory:
 *
 * M1  An L2 entry in the cache points to data that was written completely (acknowledged by the
 *     file, perhaps not flushed). While a cluster is being allocated the cache has its old entry.
 * M2  Who changes the mapping of a guest cluster (allocate, zero, discard, compress) has a
 *     Qcow2Change for it; others who want to change it wait, and look anew when they go on.
 * M3  Counts in the cache are never below what any entry, on disk or in memory, needs. They are
 *     raised before a cluster is handed out; they are lowered when the last entry that points to it
 *     is gone from the disk (Qcow2.freed until then), or when no entry ever pointed to it (an
 *     allocation that failed).
 * M4  A cluster is free for others only when in addition no request reads or writes it (Qcow2Use).
 * M5  Pointers into cached tables are valid until the caller yields.
 *
 * Written back (qcow2_write_back): reference counts; a flush of the file; L2 and L1; a flush; then
 * what was freed. A step that fails leaves the rest dirty for the next attempt.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include "block/image.h"

#include "internal.h"
#include "qcow2-mutation.h"
#include "util/bytes.h"
#include "util/clock.h"

/* ---- on disk --------------------------------------------------------------------------------- */

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_MIN_CLUSTER_BITS 9
#define QCOW2_MAX_CLUSTER_BITS 21
#define QCOW2_V2_HEADER 72
#define QCOW2_V3_HEADER 112 /* with compression type and padding */
#define QCOW2_V3_HEADER_MIN 104

#define QCOW2_MAX_L1_BYTES (32u << 20)
#define QCOW2_MAX_REFTABLE_BYTES (8u << 20)
#define QCOW2_MAX_SNAPSHOTS 65536
#define QCOW2_MAX_SNAPSHOT_TABLE (64u << 20)
#define QCOW2_MAX_SNAPSHOT_EXTRA 1024
#define QCOW2_MAX_NAME 1023
#define QCOW2_MAX_BITMAPS 65535
#define QCOW2_MAX_BITMAP_DIRECTORY (64u << 20)

/* Offsets in the header. */
enum {
    QH_MAGIC = 0,
    QH_VERSION = 4,
    QH_BACKING_OFFSET = 8,
    QH_BACKING_SIZE = 16,
    QH_CLUSTER_BITS = 20,
    QH_SIZE = 24,
    QH_CRYPT = 32,
    QH_L1_SIZE = 36,
    QH_L1_OFFSET = 40,
    QH_REFTABLE_OFFSET = 48,
    QH_REFTABLE_CLUSTERS = 56,
    QH_SNAPSHOTS = 60,
    QH_SNAPSHOTS_OFFSET = 64,
    QH_INCOMPATIBLE = 72,
    QH_COMPATIBLE = 80,
    QH_AUTOCLEAR = 88,
    QH_REFCOUNT_ORDER = 96,
    QH_HEADER_LENGTH = 100,
    QH_COMPRESSION = 104,
};

#define QCOW2_INCOMPAT_DIRTY (UINT64_C(1) << 0)
#define QCOW2_INCOMPAT_CORRUPT (UINT64_C(1) << 1)
#define QCOW2_INCOMPAT_DATA_FILE (UINT64_C(1) << 2)
#define QCOW2_INCOMPAT_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_INCOMPAT_EXTL2 (UINT64_C(1) << 4)
#define QCOW2_INCOMPAT_KNOWN ((UINT64_C(1) << 5) - 1)
#define QCOW2_COMPAT_LAZY (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_BITMAPS (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_DATA_FILE_RAW (UINT64_C(1) << 1)
#define QCOW2_AUTOCLEAR_KNOWN ((UINT64_C(1) << 2) - 1)

#define QCOW2_EXT_END 0x00000000u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_FEATURE_NAMES 0x6803f857u
#define QCOW2_EXT_BITMAPS 0x23852875u
#define QCOW2_EXT_CRYPTO 0x0537be77u
#define QCOW2_EXT_DATA_FILE 0x44415441u

#define QCOW2_COPIED (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe)
#define QCOW2_REFTABLE_RESERVED UINT64_C(0x1ff)

enum { QCOW2_DEFLATE = 0, QCOW2_ZSTD = 1 };

/* ---- in memory ------------------------------------------------------------------------------- */

typedef struct Qcow2 Qcow2;

/* One table, or part (slice) of a table. */
typedef struct Qcow2Table {
    uint64_t offset; /* in the file */
    uint8_t *data;
    bool dirty;
    uint32_t dirty_start, dirty_end; /* bytes of data that are */
    unsigned busy;                   /* being read, or copies of it written: not to be replaced */
    bool loading;                    /* not valid yet */
    uint64_t age;
    GList lru, dirty_link;
} Qcow2Table;

/* The content of a table at one moment, on its way to the file. */
typedef struct Qcow2Copy {
    Qcow2Table *table;
    uint32_t start, end; /* part of the table */
    uint8_t *data;
} Qcow2Copy;

typedef struct Qcow2Cache {
    Qcow2 *s;
    size_t entry_size;
    unsigned max;       /* tables */
    GHashTable *tables; /* &offset -> Qcow2Table */
    GQueue lru;         /* all, oldest first */
    GQueue dirty;       /* oldest first */
    CoQueue busy_queue; /* for tables that are busy */
    CoMutex write_lock; /* of counts: copies are written in the order in which they are taken */
    bool counts;        /* reference counts: may be written at any time (M3) */
} Qcow2Cache;

/* M2 */
typedef struct Qcow2Change {
    uint64_t start, end; /* guest, whole clusters */
    GList link;
    CoQueue waiters;
} Qcow2Change;

/* M4 */
typedef struct Qcow2Use {
    uint64_t start, end; /* host */
    GList link;
} Qcow2Use;

/* Why clusters are freed: decides whether the file below is told to discard them. */
typedef enum Qcow2FreeReason {
    QCOW2_FREE_NEVER, /* not told */
    QCOW2_FREE_REQUEST,
    QCOW2_FREE_SNAPSHOT,
    QCOW2_FREE_OTHER,
} Qcow2FreeReason;

/* M3: clusters whose counts go down by one after the next write-back. */
typedef struct Qcow2Freed {
    uint64_t offset, bytes;
    Qcow2FreeReason reason;
} Qcow2Freed;

typedef struct Qcow2Snapshot {
    uint64_t l1_offset;
    uint32_t l1_size;
    char *id, *name;
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_nsec;
    uint64_t vm_state_size, disk_size, icount;
    bool has_icount;
    /* Extra data that we do not know: kept as they are. */
    uint8_t *unknown_extra;
    uint32_t unknown_extra_size;
} Qcow2Snapshot;

typedef struct Qcow2Extension {
    uint32_t type, len;
    uint8_t *data;
} Qcow2Extension;

typedef struct Qcow2Bitmap {
    uint64_t table_offset;
    uint32_t table_size; /* entries */
    uint32_t flags;
    uint8_t type, granularity_bits;
    char *name;
    uint64_t flags_offset; /* in the file */
} Qcow2Bitmap;

#define QCOW2_BITMAP_IN_USE 1u
#define QCOW2_BITMAP_AUTO 2u

enum {
    QCOW2_OL_HEADER = 1 << 0,
    QCOW2_OL_ACTIVE_L1 = 1 << 1,
    QCOW2_OL_ACTIVE_L2 = 1 << 2,
    QCOW2_OL_REFBLOCK = 1 << 3,
    QCOW2_OL_REFTABLE = 1 << 4,
    QCOW2_OL_SNAPSHOTS = 1 << 5,
    QCOW2_OL_INACTIVE_L1 = 1 << 6,
    QCOW2_OL_INACTIVE_L2 = 1 << 7,
    QCOW2_OL_BITMAPS = 1 << 8,
    QCOW2_OL_CONSTANT = QCOW2_OL_HEADER | QCOW2_OL_ACTIVE_L1 | QCOW2_OL_REFTABLE |
                        QCOW2_OL_SNAPSHOTS | QCOW2_OL_BITMAPS,
    QCOW2_OL_CACHED =
        QCOW2_OL_CONSTANT | QCOW2_OL_ACTIVE_L2 | QCOW2_OL_REFBLOCK | QCOW2_OL_INACTIVE_L1,
    QCOW2_OL_ALL = QCOW2_OL_CACHED | QCOW2_OL_INACTIVE_L2,
};

struct Qcow2 {
    BlockNode *node;
    BlockEdge *data; /* node->file, or the external data file */
    bool external_data;
    bool fresh_zero; /* what was never written in the file reads as zeros */

    /* The header. */
    uint32_t version;
    unsigned cluster_bits;
    uint64_t cluster_size;
    uint64_t size;
    uint64_t l1_offset, reftable_offset, snapshots_offset;
    uint32_t reftable_clusters;
    uint64_t incompatible, compatible, autoclear;
    unsigned refcount_order, refcount_bits;
    uint64_t refcount_max;
    uint32_t header_length;  /* as it was found */
    uint8_t *unknown_header; /* fields that we do not know, between ours and header_length */
    size_t unknown_header_size;
    uint8_t compression;
    char *backing_file, *backing_format; /* as the image says; NULL: none */
    bool backing_from_image;             /* the child is what the image says */
    char *data_file_name;
    GPtrArray *extensions;  /* Qcow2Extension *: those that are kept as they are */
    uint8_t *feature_names; /* the table that was found */
    uint32_t feature_names_size;
    uint32_t nb_snapshots;
    bool has_bitmaps_ext;
    uint32_t nb_bitmaps;

    /* Derived. */
    bool extended;
    unsigned l2_entry_size; /* 8 or 16 */
    unsigned l2_bits;       /* log2 of entries of a table */
    unsigned subclusters;   /* of a cluster: 32 or 1 */
    unsigned subcluster_bits;
    uint64_t subcluster_size;
    unsigned refblock_bits; /* log2 of entries of a block */
    unsigned csize_shift;
    uint64_t coffset_mask;
    unsigned slice_bits; /* log2 of entries of a cached slice of an L2 table */

    /* L1. */
    uint64_t *l1; /* host order; l1_size entries */
    uint32_t l1_size;
    unsigned long *l1_dirty; /* per 64 entries (512 bytes) */
    bool l1_is_dirty;

    /* Reference counts. */
    uint64_t *reftable; /* host order */
    uint32_t reftable_size;
    unsigned long *reftable_dirty;
    bool reftable_is_dirty;
    uint64_t free_hint;  /* cluster: none below it is free */
    uint64_t end_hint;   /* cluster: those from here on were never used */
    uint64_t bytes_hint; /* host offset: rest of a cluster with compressed data; 0: none */

    Qcow2Cache *l2_cache, *refblock_cache;
    Timer clean_timer;
    uint64_t clean_interval_s;
    uint64_t clean_age;

    GPtrArray *snapshots; /* Qcow2Snapshot * */
    uint64_t snapshot_table_bytes;
    GArray *bitmaps; /* Qcow2Bitmap */
    uint64_t bitmap_directory_offset, bitmap_directory_size;
    bool bitmaps_valid; /* extension and autoclear bit */

    CoMutex alloc_lock;  /* reference counts are changed by one at a time */
    CoMutex table_lock;  /* L1 and the allocation of L2 tables */
    CoMutex back_lock;   /* write-back */
    CoMutex header_lock; /* first write */
    CoMutex patch_lock;  /* the header is changed by one at a time; inside of any */
    uint8_t *undo;       /* W4: bytes of the header that have to be written, or NULL */
    uint64_t undo_at;
    size_t undo_bytes;
    GQueue changes;      /* Qcow2Change, oldest first */
    GQueue uses;         /* Qcow2Use */
    GArray *freed;       /* Qcow2Freed */
    bool started;        /* the first write was announced to the image (qcow2_start_writing) */
    bool lazy;           /* lazy refcounts in effect */
    bool dirty_marked;
    bool corrupt;
    bool corruption_reported;
    bool closing;

    bool lazy_given, lazy_wanted; /* options */
    bool backing_given;
    bool discard_request, discard_snapshot, discard_other, discard_no_unref;
    unsigned overlap_checks;
    GHashTable *metadata; /* host cluster -> QCOW2_OL_* */

    unsigned compress_running;
    CoQueue compress_queue;
    uint8_t *scratch;     /* last cluster that was decompressed, of the entry */
    uint64_t scratch_raw; /* this; not valid when compressed data are written */
    unsigned scratch_gen;
};

/* ---- qcow2-header.c ---- */

/* Reads and checks the header; fills s. */
bool qcow2_read_header(Qcow2 *s, bool check, GError **error);
/* Writes the whole header anew, with extensions, into the first cluster. -ENOSPC if it does not fit. If it fails: as
 * qcow2_patch_header(). */
int coroutine_fn qcow2_write_header(Qcow2 *s);
/* The same into a buffer of a cluster. */
int qcow2_format_header(const Qcow2 *s, uint8_t *buf);
/* Writes `bytes` of the header at `at` and flushes. If that fails the header is what it was before, at once or before
 * anything relies on it (W4). */
int coroutine_fn qcow2_patch_header(Qcow2 *s, unsigned at, const void *data, size_t bytes);
/* W4: 0 when the header in the file is the one in memory. */
int coroutine_fn qcow2_restore_header(Qcow2 *s);
int coroutine_fn qcow2_write_incompatible(Qcow2 *s, uint64_t value);
void qcow2_header_clear(Qcow2 *s);
/* Values that follow from the header's. */
void qcow2_derive(Qcow2 *s);

/* ---- qcow2-cache.c ---- */

Qcow2Cache *qcow2_cache_new(Qcow2 *s, size_t entry_size, unsigned max, bool counts);
void qcow2_cache_free(Qcow2Cache *c);
/* The table at offset, read if need be. M5. */
int coroutine_fn qcow2_cache_get(Qcow2Cache *c, uint64_t offset, Qcow2Table **table);
/* `bytes` of the table at `at` are dirty. */
void qcow2_cache_mark(Qcow2Cache *c, Qcow2Table *t, size_t at, size_t bytes);
/* Writes what is dirty now, behind what is on its way. */
int coroutine_fn qcow2_cache_write(Qcow2Cache *c);
/* The same in two steps: copies of what is dirty now (Qcow2Copy); writes them if ret is 0, and frees
 * them. What was not written is dirty again. */
GArray *qcow2_cache_take(Qcow2Cache *c);
int coroutine_fn qcow2_cache_put(Qcow2Cache *c, GArray *copies, int ret);
bool qcow2_cache_is_dirty(const Qcow2Cache *c);
/* Forgets tables in [offset, offset + bytes), dirty or not. Waits until they are not busy. */
int coroutine_fn qcow2_cache_drop(Qcow2Cache *c, uint64_t offset, uint64_t bytes);
void qcow2_cache_drop_all(Qcow2Cache *c);
/* Frees the memory of clean tables that were not used since `age` (Qcow2.clean_age). */
void qcow2_cache_clean(Qcow2Cache *c, uint64_t age);

/* ---- qcow2-refcount.c ---- */

bool qcow2_read_reftable(Qcow2 *s, GError **error);
uint64_t qcow2_get_entry(const void *block, uint64_t index, unsigned order);
void qcow2_set_entry(void *block, uint64_t index, unsigned order, uint64_t value);
int coroutine_fn qcow2_refcount(Qcow2 *s, uint64_t cluster, uint64_t *count);
/* Clusters in a row: exactly n; at least one and up to n (*got). Not zeroed. *fresh: never used, so the
 * file reads as zeros there. */
int coroutine_fn qcow2_alloc(Qcow2 *s, uint64_t n, uint64_t *offset);
int coroutine_fn qcow2_alloc_some(Qcow2 *s, uint64_t n, uint64_t *offset, uint64_t *got,
                                  bool *fresh);
/* Part of a cluster, for compressed data. */
int coroutine_fn qcow2_alloc_bytes(Qcow2 *s, uint64_t bytes, uint64_t *offset);
/* Changes the counts of all clusters that [offset, offset + bytes) touches by +1 / -1 now. */
int coroutine_fn qcow2_refcount_add(Qcow2 *s, uint64_t offset, uint64_t bytes, int change,
                                    Qcow2FreeReason reason);
/* M3: lower the counts when it may be done. */
void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t bytes, Qcow2FreeReason reason);
/* Writes counts and their table. */
int coroutine_fn qcow2_write_refcounts(Qcow2 *s);
bool qcow2_refcounts_dirty(const Qcow2 *s);
/* Lowers what was freed and is not in use any more (after a write-back). */
int coroutine_fn qcow2_apply_freed(Qcow2 *s, GArray *freed);
/* Makes file_end the end of what is known to be used. */
void qcow2_know_end(Qcow2 *s);

/* ---- qcow2-table.c: L1, L2, changes ---- */

typedef enum Qcow2Kind {
    QCOW2_UNALLOCATED,
    QCOW2_ZEROS,
    QCOW2_DATA,
    QCOW2_PACKED, /* compressed */
} Qcow2Kind;

typedef struct Qcow2Entry {
    uint64_t raw;
    uint64_t bitmap;
} Qcow2Entry;

/* What there is at a guest offset. */
typedef struct Qcow2Run {
    Qcow2Kind kind;
    uint64_t bytes; /* up to which it is so */
    uint64_t host;  /* DATA: of the first byte; ZEROS: of it, if a cluster is reserved, else 0 */
    bool copied;    /* may be written in place */
    uint64_t raw;   /* of the first cluster */
    bool reserved;  /* UNALLOCATED, ZEROS: a cluster of the file belongs to it */
} Qcow2Run;

bool qcow2_read_l1(Qcow2 *s, GError **error);
int coroutine_fn qcow2_lookup(Qcow2 *s, uint64_t offset, uint64_t bytes, Qcow2Run *run);
/* One entry. */
int coroutine_fn qcow2_get_l2(Qcow2 *s, uint64_t offset, Qcow2Entry *entry);
/* Makes sure that the guest offset has an L2 table of its own. */
int coroutine_fn qcow2_make_l2(Qcow2 *s, uint64_t offset);
/* Sets entries [offset, ...) of one slice; needs qcow2_make_l2() before. */
int coroutine_fn qcow2_set_l2(Qcow2 *s, uint64_t offset, const Qcow2Entry *entries, unsigned n);
/* Bytes from offset to the end of its slice. */
uint64_t qcow2_slice_rest(const Qcow2 *s, uint64_t offset);
Qcow2Kind qcow2_entry_kind(const Qcow2 *s, const Qcow2Entry *e, unsigned subcluster);
Qcow2Entry qcow2_load_entry(const Qcow2 *s, const uint8_t *table, unsigned index);
void qcow2_store_entry(const Qcow2 *s, uint8_t *table, unsigned index, const Qcow2Entry *e);
/* Whether an entry is in itself sensible. */
bool qcow2_entry_valid(const Qcow2 *s, const Qcow2Entry *e);
/* Frees what an entry points to, later. */
void qcow2_free_entry(Qcow2 *s, const Qcow2Entry *e, Qcow2FreeReason reason);
void qcow2_packed_place(const Qcow2 *s, uint64_t raw, uint64_t *offset, uint64_t *bytes);
int coroutine_fn qcow2_write_l1_dirty(Qcow2 *s);

/* M2. Waits for older ones. Returns whether it had to wait. */
bool coroutine_fn qcow2_change_begin(Qcow2 *s, Qcow2Change *c, uint64_t start, uint64_t end);
void qcow2_change_end(Qcow2 *s, Qcow2Change *c);
/* Waits while somebody changes [start, end); true: it waited. */
bool coroutine_fn qcow2_change_wait(Qcow2 *s, uint64_t start, uint64_t end);
void qcow2_use_begin(Qcow2 *s, Qcow2Use *u, uint64_t offset, uint64_t bytes);
void qcow2_use_end(Qcow2 *s, Qcow2Use *u);

/* ---- qcow2-back.c: order ---- */

int coroutine_fn qcow2_write_back(Qcow2 *s);
/* Before anything is changed. */
int coroutine_fn qcow2_start_writing(Qcow2 *s);
/* At the end: everything to the file, dirty bit off. */
int coroutine_fn qcow2_finish(Qcow2 *s);
/* Frees by need: memory for freed clusters is bounded. */
int coroutine_fn qcow2_relieve(Qcow2 *s);

/* ---- qcow2-overlap.c ---- */

void qcow2_metadata_add(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned kind);
void qcow2_metadata_remove(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned kind);
/* Before a write of something that is none of `ignore`: -EIO and the image is marked corrupt. */
int coroutine_fn qcow2_check_overlap(Qcow2 *s, unsigned ignore, uint64_t offset, uint64_t bytes);
bool qcow2_metadata_fill(Qcow2 *s);
bool qcow2_parse_overlap(Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error);
/* Reports, event BLOCK_IMAGE_CORRUPTED, corrupt bit if fatal and writable. */
void coroutine_fn qcow2_corrupt(Qcow2 *s, bool fatal, int64_t offset, int64_t size, const char *fmt,
                                ...) G_GNUC_PRINTF(5, 6);

/* ---- qcow2-io.c ---- */

int coroutine_fn qcow2_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                            size_t vec_offset);
int coroutine_fn qcow2_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                             size_t vec_offset, unsigned flags);
int coroutine_fn qcow2_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                    unsigned flags);
int coroutine_fn qcow2_discard(BlockNode *node, uint64_t offset, uint64_t bytes);
int coroutine_fn qcow2_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                    uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                    BlockNode **file);
int coroutine_fn qcow2_vmstate_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                    size_t vec_offset);
int coroutine_fn qcow2_vmstate_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset);
/* Unmaps whole clusters; full: although a backing file will show. */
int coroutine_fn qcow2_discard_clusters(Qcow2 *s, uint64_t offset, uint64_t bytes, bool full,
                                        Qcow2FreeReason reason);

/* ---- qcow2-compress.c ---- */

/* What is kept of decompressed clusters is not valid any more. */
void qcow2_drop_scratch(Qcow2 *s);
/* Reads part of a compressed cluster. raw: its L2 entry. */
int coroutine_fn qcow2_read_packed(Qcow2 *s, uint64_t raw, uint64_t guest, uint64_t bytes,
                                   IoVec *vec, size_t vec_offset);
int coroutine_fn qcow2_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                                        IoVec *vec, size_t vec_offset);

/* ---- qcow2-snapshot.c ---- */

bool qcow2_read_snapshots(Qcow2 *s, bool check, GError **error);
void qcow2_snapshots_clear(Qcow2 *s);
int coroutine_fn qcow2_write_snapshots(Qcow2 *s, GPtrArray *snapshots);
size_t qcow2_snapshot_entry_size(const Qcow2 *s, const Qcow2Snapshot *snap);
uint64_t qcow2_snapshot_table_size(const Qcow2 *s);
bool qcow2_snapshot_create(BlockNode *node, BlockSnapshot *info, GError **error);
bool qcow2_snapshot_goto(BlockNode *node, const char *id, GError **error);
bool qcow2_snapshot_delete(BlockNode *node, const char *id, const char *name, GError **error);
int qcow2_snapshot_list(BlockNode *node, BlockSnapshot **list);
bool qcow2_snapshot_load(BlockNode *node, const char *id, GError **error);

/* ---- qcow2-bitmap.c ---- */

bool qcow2_read_bitmaps(Qcow2 *s, GError **error);
/* The guest's data are about to change, and nobody records it. */
int coroutine_fn qcow2_invalidate_bitmaps(Qcow2 *s);
void qcow2_bitmaps_clear(Qcow2 *s);

/* ---- qcow2-check.c ---- */

int coroutine_fn qcow2_check_image(Qcow2 *s, unsigned fix, BlockCheckResult *result);

/* ---- qcow2-resize.c ---- */

int coroutine_fn qcow2_truncate(BlockNode *node, uint64_t length, bool exact, PreallocMode prealloc,
                                GError **error);
int coroutine_fn qcow2_grow_l1(Qcow2 *s, uint64_t entries, bool exact);
/* Allocates clusters for [offset, offset + bytes) without writing data. */
int coroutine_fn qcow2_preallocate(Qcow2 *s, uint64_t offset, uint64_t bytes);

/* Drops all data of this layer. */
bool qcow2_make_empty(BlockNode *node, GError **error);

/* ---- qcow2-create.c ---- */

extern const BlockCreateOption qcow2_create_options[];
bool qcow2_create_convert(json_object *options, GError **error);
bool qcow2_create(const BlockdevCreateOptions *options, GError **error);
bool qcow2_measure(json_object *options, BlockNode *source, BlockMeasure *measure, GError **error);

/* ---- qcow2-amend.c ---- */

extern const BlockCreateOption qcow2_amend_options[];
bool qcow2_amend(BlockNode *node, json_object *options, bool force, BlockProgress *progress,
                 void *opaque, GError **error);

/* ---- qcow2.c ---- */

/* Runs func in a coroutine, from outside of one. */
int qcow2_run(Qcow2 *s, int coroutine_fn (*func)(Qcow2 *s));

static inline uint64_t qcow2_cluster_start(const Qcow2 *s, uint64_t offset)
{
    return offset & ~(s->cluster_size - 1);
}

static inline uint64_t qcow2_cluster_end(const Qcow2 *s, uint64_t offset)
{
    return (offset + s->cluster_size - 1) & ~(s->cluster_size - 1);
}

static inline uint64_t qcow2_clusters(const Qcow2 *s, uint64_t bytes)
{
    return (bytes + s->cluster_size - 1) >> s->cluster_bits;
}

/* Entries that a disk of `size` bytes needs in L1. */
static inline uint64_t qcow2_l1_entries(const Qcow2 *s, uint64_t size)
{
    unsigned shift = s->cluster_bits + s->l2_bits;
    return (size >> shift) + ((size & ((UINT64_C(1) << shift) - 1)) != 0);
}

#endif
