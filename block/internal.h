/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of block/ share with each other and with nobody else. */
#ifndef BLOCK_INTERNAL_H
#define BLOCK_INTERNAL_H

#include "block/backend.h"
#include "util/main-loop.h"

/* align is a power of two. */
#define ROUND_DOWN(n, align) ((n) & ~((uint64_t)(align)-1))
#define ROUND_UP(n, align) ROUND_DOWN((n) + ((uint64_t)(align)-1), align)

/* ---- graph.c ---- */

/* An edge from parent to node, for drivers. Takes over one reference to node if it succeeds. */
BlockEdge *block_edge_new_child(BlockNode *parent, const char *name, BlockRole role,
                                BlockNode *node, GError **error);
/* What driver or role need on this edge now. */
void block_edge_child_perm(const BlockEdge *edge, unsigned perm, unsigned shared,
                           unsigned *child_perm, unsigned *child_shared);

/* ---- node.c ---- */

BlockNode *block_node_new(const BlockDriver *driver);
/* Checks and sets the name; NULL makes one up. */
bool block_node_set_name(BlockNode *node, const char *name, GError **error);
/* Frees a node whose driver has not been opened, or has been closed. */
void block_node_free(BlockNode *node);
/* The length has to be asked for again, here and above; users are told. */
void block_node_length_changed(BlockNode *node);
bool block_have_nodes(void);

/* ---- io.c ---- */

void block_node_init_io(BlockNode *node);
/* Requests of the node itself, not of what is below. */
bool block_node_busy(const BlockNode *node);

/* Runs entry in a coroutine and the main loop until it is over; in a coroutine just calls it. */
void block_run_sync(CoroutineEntry *entry, void *opaque);

/* ---- drain.c ---- */

/* An edge came to or goes from a node that may be drained. */
void block_drain_edge_added(BlockEdge *edge);
void block_drain_edge_removed(BlockEdge *edge);

/* ---- context.c ---- */

/* Main thread: waits until nothing of a paused front is in flight. */
void front_wait_idle(BlockFront *front);
/* Brackets a loop of the main thread that waits for requests of fronts to end. */
void front_waits_begin(void);
void front_waits_end(void);
/* The last request in flight of a front in an iothread is over: whoever waits looks again. */
void front_became_idle(void);

/* ---- filename.c ---- */

/* A plain or prefixed file name and options (taken) as nested options of a protocol node, with
 * "driver". */
json_object *block_resolve_protocol(const char *filename, json_object *options, GError **error);
/* All scalars become the strings that keyval_parse() would have given. New object. */
json_object *block_stringify(json_object *value);
/* Whether all keys of options belong to its driver; else an error in stock's words. */
bool block_check_option_names(json_object *options, GError **error);

/* ---- backing.c ---- */

/* The backing file that the image of node names; node->file is open. format NULL: found out. */
bool block_open_backing(BlockNode *node, const char *name, const char *format, unsigned flags,
                        GError **error);
/* The one that the user names instead (not null). */
bool block_open_backing_ref(BlockNode *node, const BlockdevRefOrNull *ref, unsigned flags,
                            GError **error);
/* A file with the data of the image, as its newest child. */
bool block_open_data_file(BlockNode *node, const char *name, unsigned flags, GError **error);

/* ---- front.c ---- */

/* BlockHooks.stop_vm */
void front_request_stop(void);

struct FrontStats {
    uint64_t bytes[BLOCK_STAT_KINDS], ops[BLOCK_STAT_KINDS];
    uint64_t failed[BLOCK_STAT_KINDS], invalid[BLOCK_STAT_KINDS];
    uint64_t time_ns[BLOCK_STAT_KINDS];
    int64_t last_access_ns; /* 0: never */
};

struct BlockFront {
    char *name; /* "" if anonymous */
    int refs;
    bool listed;
    GList link;
    BlockEdge *root; /* NULL: no medium */
    BlockDrive *drive;
    bool monitor_owned; /* made by -drive */

    /* Permissions that the user of the front asked for; in effect if the medium is active. */
    unsigned perm, shared;
    bool perm_deferred;

    /* The device. */
    bool has_device;
    BlockDeviceConf conf; /* id and path are copies */
    bool write_cache;
    BlockdevOnError rerror, werror;
    BlockDeviceIoStatus iostatus;

    /* How the last medium was opened: for the next one (blockdev-change-medium, retain). */
    bool medium_read_only;
    BlockdevDetectZeroesOptions detect_zeroes;
    unsigned open_flags;

    struct ThrottleMember *throttle; /* NULL: no limits */

    GMainContext *home; /* NULL: the main loop's */
    bool local, held;   /* context.c */
    unsigned in_flight;   /* atomic */
    unsigned drain_count; /* atomic */
    GQueue waiting; /* BlockAio */
    struct FrontStats stats;
};

bool front_take_perms(BlockFront *front, unsigned perm, unsigned shared, GError **error);
/* Takes the medium out without telling anybody. */
void front_drop_root(BlockFront *front);
bool front_paused(const BlockFront *front);
/* Starts what waits, if nothing holds it. */
void front_restart_waiting(BlockFront *front);
void front_restart_all(void);
void front_cancel_waiting(BlockFront *front);
/* All fronts, listed or not. */
BlockFront *front_next_any(const BlockFront *front);

/* ---- front-throttle.c ---- */

struct ThrottleConfig;
/* Limits of a front, which joins the group of that name; none: it leaves its group. */
void front_set_throttle(BlockFront *front, const char *group, const struct ThrottleConfig *config);
/* For query-block. */
void front_describe_throttle(const BlockFront *front, struct BlockDeviceInfo *info);
void coroutine_fn front_throttle(BlockFront *front, uint64_t bytes, bool write);

/* ---- medium.c ---- */

bool front_is_removable(const BlockFront *front);
/* Whether there is a tray, and whether it is open. */
bool front_tray_is_open(const BlockFront *front, bool *open);
bool front_medium_locked(const BlockFront *front);

/* ---- drive.c ---- */

/* blockdev-add, -blockdev */
bool block_add_node(const BlockdevOptions *options, GError **error);
void block_drive_forget(BlockFront *front);
bool block_incoming(void);

#endif
