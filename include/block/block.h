/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block nodes: a directed graph of drivers that turn requests for bytes of an image into requests
 * for bytes of the nodes below. Devices and tools do not use nodes, they use a front
 * (block/backend.h). docs/devel/block.md.
 *
 * B1  A request reaches a driver only if the node is open, active, not read-only (for writes), the
 *     user of the edge has the permission for it, and it lies within what the node can address.
 * B2  A driver sees requests that are multiples of its request alignment. Padding is read before it
 *     is written; a request whose padding cannot be read fails with that error, and nothing is
 *     written.
 * B3  Requests that conflict (they overlap, and one of them is serialising) run in the order in
 *     which they came. Requests with padding to be written, truncations and those marked so are
 *     serialising. A request waits only for requests that came before it, so there is no cycle.
 * B4  A write that is acknowledged has been acknowledged by everything below. Errors are never
 *     dropped, neither that of the read, nor of a flush, nor that of a fallback.
 * B5  Permissions: at any time, for each node, what any user takes is shared by all other users. A
 *     change is checked through the whole graph before any part of it takes effect.
 * B6  The graph changes only when no request is in flight in the part that changes (drained
 *     section).
 * B7  A node that is inactive (its image belongs to another process) has no permissions on files
 *     and no dirty metadata; a write to it is an error.
 *
 * Main thread, big lock, unless marked coroutine_fn: those run in a coroutine of the node's
 * context.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <json-c/json.h>
#include "qapi/types-block-core.h"
#include "util/coroutine.h"
#include "util/iov.h"

typedef struct BlockNode BlockNode;
typedef struct BlockEdge BlockEdge;
typedef struct BlockDriver BlockDriver;
/* block/image.h */
typedef struct BlockCreateOption BlockCreateOption;
typedef struct BlockCheckResult BlockCheckResult;
typedef struct BlockDriverInfo BlockDriverInfo;
typedef struct BlockMeasure BlockMeasure;
typedef struct BlockSnapshot BlockSnapshot;

#define BLOCK_SECTOR 512
/* Largest request and largest image. Both are multiples of any alignment that a node may have. */
#define BLOCK_MAX_ALIGN (UINT32_C(1) << 24)
#define BLOCK_MAX_REQUEST (UINT64_C(0x7fffffff) & ~(uint64_t)(BLOCK_MAX_ALIGN - 1))
#define BLOCK_MAX_LENGTH (INT64_MAX & ~(int64_t)(BLOCK_MAX_ALIGN - 1))
#define BLOCK_NODE_NAME_MAX 31

/* ---- permissions ----------------------------------------------------------------------------- */

enum {
    BLOCK_PERM_CONSISTENT_READ = 1 << 0, /* reads that make sense */
    BLOCK_PERM_WRITE = 1 << 1,           /* writes that change data */
    BLOCK_PERM_WRITE_UNCHANGED = 1 << 2, /* writes of what is there already */
    BLOCK_PERM_RESIZE = 1 << 3,
    BLOCK_PERM_ALL = (1 << 4) - 1,
};
#define BLOCK_PERMS 4
/* "consistent read", "write", ...: as messages have them, joined by ", ". New string. */
char *block_perm_names(unsigned perms);

/* ---- the graph ------------------------------------------------------------------------------- */

/* What a child is for. */
typedef enum BlockRole {
    BLOCK_ROLE_ROOT,     /* of a front */
    BLOCK_ROLE_FILTERED, /* same data at the same offset; the parent adds behaviour */
    BLOCK_ROLE_STORAGE,  /* holds metadata and data of a format */
    BLOCK_ROLE_DATA,     /* holds data of a format */
    BLOCK_ROLE_BACKING,  /* what reads of unallocated parts show */
} BlockRole;

/* Who has an edge, when it is not a node: fronts, later jobs and exports. */
typedef struct BlockUserOps {
    /* "block device 'drive0'": for messages. New string. */
    char *(*describe)(void *user);
    /* Stop and restart new requests (counted); `busy` tells whether any is in flight. */
    void (*drain_begin)(void *user);
    void (*drain_end)(void *user);
    bool (*busy)(void *user);
    /* The node's length is another now. */
    void (*resized)(void *user);
    /* Permissions while the image is inactive are none; these are told of it. */
    bool (*activate)(void *user, GError **error);
    bool (*inactivate)(void *user, GError **error);
} BlockUserOps;

/* An edge of the graph: the use of `node` by a parent node or by a user. */
struct BlockEdge {
    char *name; /* "root", "file", "backing", "image" */
    BlockRole role;
    BlockNode *node;
    BlockNode *parent;            /* or */
    const BlockUserOps *user_ops; /* these two */
    void *user;
    unsigned perm, shared; /* in effect */
    GList link_child;      /* in parent->children */
    GList link_parent;     /* in node->parents */
};

/* What a driver can do. Zero means: no limit, no preference. All powers of two, except max_*. */
typedef struct BlockLimits {
    uint32_t request_align; /* requests are multiples of it; at least 1 */
    uint32_t memory_align;  /* buffers too; at least 1 */
    uint32_t max_transfer;
    uint32_t max_iov;
    uint32_t zero_align; /* preferred for write_zeroes; parts that are smaller are written */
    uint64_t max_zero;
    uint32_t discard_align;
    uint64_t max_discard;
    uint32_t opt_transfer;
} BlockLimits;

/* Flags of requests. */
enum {
    BLOCK_FUA = 1 << 0,            /* acknowledged when it is on stable storage */
    BLOCK_MAY_UNMAP = 1 << 1,      /* write_zeroes: may free space */
    BLOCK_NO_FALLBACK = 1 << 2,    /* write_zeroes: -ENOTSUP rather than writing zeros */
    BLOCK_SERIALISING = 1 << 3,    /* B3 */
    BLOCK_UNCHANGED = 1 << 4,      /* writes what is there: needs WRITE_UNCHANGED only */
    BLOCK_ZERO = 1 << 5,           /* private to the core */
    BLOCK_REGISTERED_BUF = 1 << 6, /* reserved for fixed buffers */
    BLOCK_COMPRESSED = 1 << 7,     /* write: whole clusters, stored compressed; -ENOTSUP if the
                                      format cannot */
};

/* Flags of opening. */
enum {
    BLOCK_OPEN_RDWR = 1 << 0,        /* default of read-only is off */
    BLOCK_OPEN_AUTO_RDONLY = 1 << 1, /* default of auto-read-only is on */
    BLOCK_OPEN_INACTIVE = 1 << 2,    /* B7: until block_activate_all() */
    BLOCK_OPEN_NO_IO = 1 << 3,       /* looking at metadata only */
    BLOCK_OPEN_DIRECT = 1 << 4,      /* default of cache.direct is on */
    BLOCK_OPEN_NO_FLUSH = 1 << 5,    /* default of cache.no-flush is on */
    BLOCK_OPEN_UNMAP = 1 << 6,       /* default of discard is unmap */
    BLOCK_OPEN_CHECK = 1 << 7,       /* for a checker: open even if the image is damaged */
    BLOCK_OPEN_NO_BACKING = 1 << 8,  /* this layer only: not what the image names as its backing */
};

/* Answer of block_status. */
enum {
    BLOCK_STATUS_DATA = 1 << 0,      /* reads come from storage */
    BLOCK_STATUS_ZERO = 1 << 1,      /* reads as zeros */
    BLOCK_STATUS_OFFSET = 1 << 2,    /* *map is valid: plain data there in *file */
    BLOCK_STATUS_ALLOCATED = 1 << 3, /* this layer decides, not a backing file */
    BLOCK_STATUS_RECURSE = 1 << 4,   /* ask *file at *map for the rest */
    BLOCK_STATUS_COMPRESSED = 1 << 5,
};

typedef struct BlockRequest BlockRequest;

struct BlockNode {
    const BlockDriver *driver;
    void *state; /* the driver's, driver->state_size bytes */
    char name[BLOCK_NODE_NAME_MAX + 1];
    int refs;
    bool monitor_owned; /* made by blockdev-add: one of the references */
    bool implicit_name; /* "#block123" */
    GList link;         /* in the list of all nodes */
    bool any_context; /* its requests may run in any one thread at a time; set by open */

    GQueue children; /* BlockEdge.link_child */
    GQueue parents;  /* BlockEdge.link_parent, newest last */
    BlockEdge *file; /* the child that has the bytes; NULL for protocols */
    BlockEdge *backing;

    /* Options. */
    json_object
        *options;   /* as given (QAPI, encoded), with names for children; for json: filenames */
    char *filename; /* as shown, see block_node_filename() */
    bool read_only, auto_read_only;
    bool direct, no_flush, discard_unmap, force_share;
    BlockdevDetectZeroesOptions detect_zeroes;
    bool inactive;
    bool opening; /* has its name, but cannot be referred to yet: a node is not below itself */

    /* Facts that the driver fills in. */
    BlockLimits limits;
    unsigned write_flags; /* of BLOCK_FUA, that write() takes */
    unsigned zero_flags;  /* of BLOCK_FUA, MAY_UNMAP, NO_FALLBACK, that write_zeroes() takes */
    bool encrypted;
    bool probed; /* raw by guess: block 0 is protected */

    /* I/O state; private to block/io.c */
    unsigned in_flight;
    GQueue requests; /* BlockRequest, oldest first */
    uint64_t write_gen, flushed_gen;
    bool flush_running;
    CoQueue flush_queue;
    unsigned drain_count;
    int64_t length; /* as the driver said; -1: ask */
    uint64_t wr_highest_offset;
};

/* ---- drivers --------------------------------------------------------------------------------- */

typedef enum BlockDriverKind {
    BLOCK_PROTOCOL, /* the end of a chain: a file, a connection */
    BLOCK_FORMAT,   /* an image in `file` */
    BLOCK_FILTER,   /* passes on */
} BlockDriverKind;

/*
 * One constant record per driver. Everything except name, kind, open and read may be NULL. The I/O
 * functions return 0 or -errno; they get aligned requests that fit the limits (B2) and need not
 * check bounds against length(). `vec` is used from vec_offset on. A driver may run its requests at
 * the same time.
 */
struct BlockDriver {
    const char *name;
    BlockDriverKind kind;
    BlockdevDriver qapi_driver;
    size_t state_size;
    /* The image says how long it is, and a write behind that does not make it longer (truncate does):
     * the core refuses it, whoever it comes from. */
    bool fixed_length;
    const char *protocol; /* "null-co": what stands before the ':' in filenames; NULL: none */

    /* Turns "protocol:rest" into options (keys added to the object, nested, scalars as strings). */
    bool (*parse_filename)(const char *filename, json_object *options, GError **error);
    /* How sure it is that the first len bytes are its format: 0...100. */
    int (*probe)(const uint8_t *buf, size_t len, const char *filename);
    /* The host's path that it would open is a case for this driver (host_device). 0...100. */
    int (*probe_device)(const char *filename);

    /* Opens children (block_open_child()), fills limits and flags. On failure it leaves nothing;
     * children are closed by the caller. */
    bool (*open)(BlockNode *node, const BlockdevOptions *options, unsigned flags, GError **error);
    /* Children are still there; the node is flushed and idle. */
    void (*close)(BlockNode *node);
    /* Refreshes node->limits after a change below. They are preset with what the children need. */
    void (*refresh_limits)(BlockNode *node);

    /* What it needs on a child when its own users need perm and share shared. NULL: a default by
     * role. */
    void (*child_perm)(BlockNode *node, const BlockEdge *child, unsigned perm, unsigned shared,
                       unsigned *child_perm, unsigned *child_shared);
    /* Two phases of a change of what all users together take and share: prepare may fail (and then
     * has changed nothing); exactly one of commit, abort follows. */
    bool (*perm_prepare)(BlockNode *node, unsigned perm, unsigned shared, GError **error);
    void (*perm_commit)(BlockNode *node);
    void (*perm_abort)(BlockNode *node);

    int coroutine_fn (*read)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                             size_t vec_offset);
    int coroutine_fn (*write)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                              size_t vec_offset, unsigned flags);
    int coroutine_fn (*write_zeroes)(BlockNode *node, uint64_t offset, uint64_t bytes,
                                     unsigned flags);
    int coroutine_fn (*discard)(BlockNode *node, uint64_t offset, uint64_t bytes);
    /* Own metadata to the children / everything to stable storage. Children are flushed by the core
     * in between. */
    int coroutine_fn (*flush_metadata)(BlockNode *node);
    int coroutine_fn (*flush)(BlockNode *node);
    /* prealloc: of the part that is new. A driver that has not got the mode fails with an error. */
    int coroutine_fn (*truncate)(BlockNode *node, uint64_t length, bool exact,
                                 PreallocMode prealloc, GError **error);
    /* Whole clusters (the last one may be cut off by the image's end); bytes 0: no more will
     * come. BLOCK_FUA is the core's work: it flushes the node afterwards. */
    int coroutine_fn (*write_compressed)(BlockNode *node, uint64_t offset, uint64_t bytes,
                                         IoVec *vec, size_t vec_offset);
    int coroutine_fn (*block_status)(BlockNode *node, bool want_zero, uint64_t offset,
                                     uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                     BlockNode **file);

    /* Bytes, or -errno. NULL: the length of `file`. */
    int64_t (*length)(BlockNode *node);
    /* Bytes that it takes on the host, or -errno. NULL: that of `file`. */
    int64_t (*allocated_size)(BlockNode *node);

    /* B7. invalidate re-reads metadata, after the permissions came back. */
    bool (*activate)(BlockNode *node, GError **error);
    bool (*inactivate)(BlockNode *node, GError **error);
    void (*drain_begin)(BlockNode *node);
    void (*drain_end)(BlockNode *node);

    /* For filters of errors: an event of a parent node; breakpoints. */
    void coroutine_fn (*debug_event)(BlockNode *node, BlkdebugEvent event);
    int (*debug_break)(BlockNode *node, BlkdebugEvent event, const char *tag);
    int (*debug_remove_break)(BlockNode *node, const char *tag);
    int (*debug_resume)(BlockNode *node, const char *tag);
    bool (*debug_is_suspended)(BlockNode *node, const char *tag);

    /* The plain filename that would open the same node (of a format: but for the format), if there
     * is one: new string or NULL. */
    char *(*filename)(BlockNode *node);
    /* Driver-specific parts of answers; the QAPI types are in block/qapi.c. New values or NULL. */
    struct ImageInfoSpecific *(*image_info)(BlockNode *node);
    struct BlockStatsSpecific *(*stats)(BlockNode *node);

    /*
     * Images as a whole (block/image.h): called in the main thread, outside of coroutines, on an
     * idle node; they use block_read_buf() and its like. Where an operation is not there the core
     * says so in stock's words.
     */

    /* Options of `qemu-img create -o`; NULL: images cannot be created. A format with options and
     * without create() is whatever the protocol creates (raw). */
    const BlockCreateOption *create_options;
    /* From those (M1) to BlockdevCreateOptions in QAPI_INPUT_KEYVAL spelling, in place; "driver" and
     * "file" are added by the core. NULL: '_' in names becomes '-', nothing else. */
    bool (*create_convert)(json_object *options, GError **error);
    bool (*create)(const BlockdevCreateOptions *options, GError **error);
    /* Removes the file that create() made. -errno. */
    int (*remove)(BlockNode *node);
    /* A new image reads as zeros. NULL: no. */
    bool (*zero_init)(BlockNode *node);

    /* BLOCK_FIX_*, M2. */
    int (*check)(BlockNode *node, BlockCheckResult *result, unsigned fix);
    int (*info)(BlockNode *node, BlockDriverInfo *info);
    bool (*measure)(json_object *options, BlockNode *source, BlockMeasure *measure, GError **error);

    const BlockCreateOption *amend_options;
    bool (*amend)(BlockNode *node, json_object *options, bool force,
                  void (*progress)(void *opaque, uint64_t done, uint64_t total), void *opaque,
                  GError **error);
    bool (*make_empty)(BlockNode *node, GError **error);
    int (*change_backing_file)(BlockNode *node, const char *filename, const char *format);

    /* State of a VM beside the disk: bytes at an offset of their own. It grows as it is written. */
    int coroutine_fn (*vmstate_read)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                     size_t vec_offset);
    int coroutine_fn (*vmstate_write)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                      size_t vec_offset);

    bool (*snapshot_create)(BlockNode *node, BlockSnapshot *snapshot, GError **error);
    bool (*snapshot_goto)(BlockNode *node, const char *id, GError **error);
    bool (*snapshot_delete)(BlockNode *node, const char *id, const char *name, GError **error);
    int (*snapshot_list)(BlockNode *node, BlockSnapshot **list);
    bool (*snapshot_load)(BlockNode *node, const char *id, GError **error);
};

void block_driver_register(const BlockDriver *driver);
#define BLOCK_DRIVER_REGISTER(record)                                             \
    static void __attribute__((constructor)) register_block_driver_##record(void) \
    {                                                                             \
        block_driver_register(&(record));                                         \
    }

const BlockDriver *block_driver_by_name(const char *name);
const BlockDriver *block_driver_by_protocol(const char *protocol);
void block_driver_for_each(void (*func)(const BlockDriver *driver, void *opaque), void *opaque);

/* ---- opening and closing --------------------------------------------------------------------- */

/* Opens a node and all below it. One reference, the caller's. */
BlockNode *block_node_open(const BlockdevOptions *options, unsigned flags, GError **error);
/*
 * What -drive, -hda and qemu-img mean by a file name: "path", "json:{...}", "PROTOCOL:rest", or
 * NULL with everything in options (flat or nested keys of BlockdevOptions without types, e.g.
 * "driver", "file.locking"; consumed keys are removed, the object stays the caller's). Without
 * "driver" the format is probed; a guess of raw is warned about and protects block 0, if the node
 * is writable.
 */
BlockNode *block_open_filename(const char *filename, json_object *options, unsigned flags,
                               GError **error);
/* A new image on top of base, without a name in the file system; it goes with its node. */
BlockNode *block_open_temporary(BlockNode *base, unsigned flags, GError **error);
/* A copy-on-read filter on top of base. Neither takes over the caller's reference to base. */
BlockNode *block_open_cor(BlockNode *base, unsigned flags, GError **error);
BlockNode *block_node_ref(BlockNode *node);
/* At the last one the node is flushed, closed and freed. Not from within a request. */
void block_node_unref(BlockNode *node);

BlockNode *block_node_find(const char *name);
/* Node of that name, or root of the front of that name; NULL with an error in stock's words. */
BlockNode *block_lookup(const char *device_or_node, GError **error);
/* All nodes, oldest first: GList of BlockNode by BlockNode.link. */
GList *block_nodes(void);

/* For drivers: opens or looks up what ref says and makes it a child; sets node->file for name
 * "file"/"image". */
BlockEdge *block_open_child(BlockNode *node, const char *name, BlockRole role,
                            const BlockdevRef *ref, unsigned flags, GError **error);

/* Edges of users. The new edge takes a reference to node. Fails by permissions; see B5. */
BlockEdge *block_edge_attach(BlockNode *node, const char *name, const BlockUserOps *ops, void *user,
                             unsigned perm, unsigned shared, GError **error);
void block_edge_detach(BlockEdge *edge);
bool block_edge_set_perm(BlockEdge *edge, unsigned perm, unsigned shared, GError **error);
/* Recomputes after a driver changed its mind; on failure nothing has changed. */
bool block_node_refresh_perms(BlockNode *node, GError **error);

/* Plain name or json: text; never NULL; valid until the next call for the same node. */
const char *block_node_filename(BlockNode *node);
/* Bytes that users can address (whole sectors of 512), or -errno. */
int64_t block_node_length(BlockNode *node);
int64_t block_node_allocated_size(BlockNode *node);
void block_node_refresh_limits(BlockNode *node);
/* First node below that is not a filter; node itself if it is none. */
BlockNode *block_skip_filters(BlockNode *node);

/* ---- requests -------------------------------------------------------------------------------- */

/* 0 or -errno. vec may be larger than bytes; it is used from vec_offset on. */
int coroutine_fn block_co_read(BlockEdge *edge, uint64_t offset, uint64_t bytes, IoVec *vec,
                               size_t vec_offset, unsigned flags);
int coroutine_fn block_co_write(BlockEdge *edge, uint64_t offset, uint64_t bytes, IoVec *vec,
                                size_t vec_offset, unsigned flags);
int coroutine_fn block_co_write_zeroes(BlockEdge *edge, uint64_t offset, uint64_t bytes,
                                       unsigned flags);
int coroutine_fn block_co_discard(BlockEdge *edge, uint64_t offset, uint64_t bytes);
/* Everything acknowledged before the call is on stable storage when it returns 0. */
int coroutine_fn block_co_flush(BlockNode *node);
/* exact: false allows a larger result. Growing leaves zeros. */
int coroutine_fn block_co_truncate(BlockEdge *edge, uint64_t length, bool exact,
                                   PreallocMode prealloc, GError **error);
/* BLOCK_STATUS_* or -errno; *pnum > 0 unless offset is the end. map and file may be NULL. */
int coroutine_fn block_co_status(BlockNode *node, bool want_zero, uint64_t offset, uint64_t bytes,
                                 uint64_t *pnum, uint64_t *map, BlockNode **file);
/*
 * Status of a chain: asks node, then what is behind it (backing files and filters' children), down
 * to but without base (NULL: to the end). Where no layer has anything: ZERO without ALLOCATED. depth
 * (may be NULL): number of the layer that answered, 0 for node itself.
 */
int coroutine_fn block_co_status_above(BlockNode *node, BlockNode *base, bool want_zero,
                                       uint64_t offset, uint64_t bytes, uint64_t *pnum,
                                       uint64_t *map, BlockNode **file, unsigned *depth);
/* The same from outside of coroutines. */
int block_status_above(BlockNode *node, BlockNode *base, bool want_zero, uint64_t offset,
                       uint64_t bytes, uint64_t *pnum, uint64_t *map, BlockNode **file,
                       unsigned *depth);
/* The next image behind node (filters skipped first); NULL: none. */
BlockNode *block_backing_node(BlockNode *node);
/* Flat buffers, for metadata. */
int coroutine_fn block_co_read_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes, void *buf,
                                   unsigned flags);
int coroutine_fn block_co_write_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes,
                                    const void *buf, unsigned flags);
/* From outside of coroutines (open functions): runs the main loop until done. In a coroutine: as
 * block_co_*. */
int block_read_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes, void *buf);
int block_write_buf(BlockEdge *edge, uint64_t offset, uint64_t bytes, const void *buf,
                    unsigned flags);
int block_node_flush(BlockNode *node);

/* For format drivers: an event for blkdebug below. */
void coroutine_fn block_debug_event(BlockEdge *edge, BlkdebugEvent event);
/* Breakpoints of the first node below (and including) node that knows them; -ENOTSUP if there is
 * none. */
int block_debug_break(BlockNode *node, BlkdebugEvent event, const char *tag);
int block_debug_remove_break(BlockNode *node, const char *tag);
int block_debug_resume(BlockNode *node, const char *tag);
bool block_debug_is_suspended(BlockNode *node, const char *tag);
/* Who is told of each request that stops at a breakpoint or goes on. One for the whole program; NULL: nobody. */
typedef void BlockDebugNotify(const char *tag, bool suspended);
void block_debug_set_notify(BlockDebugNotify *notify);
/* For drivers with breakpoints. */
void block_debug_notify(const char *tag, bool suspended);

/* Buffer that suits the node (size rounded up to its alignment). free() releases. NULL if there is
 * no memory. */
void *block_alloc(BlockNode *node, size_t size);

/* ---- drain, quiesce, activity ---------------------------------------------------------------- */

/* New requests of users above wait, those in flight are awaited. Nests. Main loop; not in a
 * coroutine. */
void block_drain_begin(BlockNode *node);
void block_drain_end(BlockNode *node);
/* Between the two the main thread may touch any node: no request of an iothread runs or starts. Nests. Not while
 * requests of local fronts need the main loop (they do not). */
void block_hold(void);
void block_release(void);
/* Waits until nothing is in flight anywhere; what completions start anew is awaited, too. */
void block_drain_all(void);
/* Flushes every node that is writable; returns the first error. */
int block_flush_all(void);

/* For system/quiesce (P2). quiesce: drains, then no request starts until resume; it waits in its
 * front. */
bool block_quiesce(GError **error);
void block_resume(void);
bool block_quiesced(void);

/*
 * Switchover. inactivate_all: drains, flushes, lets drivers write back, gives up all permissions,
 * and so the locks on files; on failure all are active again. activate_all takes them back and
 * makes drivers read their metadata anew; on failure the error names the node, and those that
 * failed stay inactive. Both are idempotent.
 */
bool block_inactivate_all(GError **error);
bool block_activate_all(GError **error);

/* At exit: drains, drops what the monitor owns, closes all. */
void block_close_all(void);

#endif
