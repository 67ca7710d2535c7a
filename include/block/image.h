/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images as a whole: creating, checking and repairing, measuring, amending, facts, internal
 * snapshots. The entries of BlockDriver that belong to it take the types declared here; tools and
 * QMP use the functions below and never call a driver.
 *
 * Main thread, outside of coroutines: they run the main loop until done.
 *
 * M1  Options that users write (`-o a=b`) travel as a JSON object whose scalars are strings, by the
 *     names of the driver's BlockCreateOption table. Nobody but block_create_check() validates
 *     them.
 * M2  A check without `fix` writes nothing. One with it repairs and then looks again: what it
 *     reports as fixed is fixed, what remains in `corruptions` and `leaks` is still there.
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include "block/block.h"

/* ---- creating -------------------------------------------------------------------------------- */

typedef enum BlockOptionType {
    BLOCK_OPTION_STR,
    BLOCK_OPTION_BOOL,
    BLOCK_OPTION_NUMBER,
    BLOCK_OPTION_SIZE,
} BlockOptionType;

/* One option of `qemu-img create -o`. A table is in the order in which "Formatting" shows them and
 * ends with a name of NULL. */
struct BlockCreateOption {
    const char *name; /* as users write it: "cluster_size" */
    BlockOptionType type;
    const char *help;
    const char *default_value; /* as a user would write it; NULL: none */
};

#define BLOCK_OPTION_SIZE_ROW                                 \
    {                                                         \
        "size", BLOCK_OPTION_SIZE, "Virtual disk size", NULL, \
    }

/* The protocol driver that a file name means ("nbd:..." or a path); NULL with an error. */
const BlockDriver *block_filename_protocol(const char *filename, GError **error);

/*
 * Checks options against the tables of format and protocol (both may be NULL) and brings values
 * into one spelling: "on"/"off", sizes and numbers in decimal. Errors in stock's words: "Invalid
 * parameter 'x'".
 */
bool block_create_check(const BlockDriver *format, const BlockDriver *protocol,
                        json_object *options, GError **error);
/* " size=1048576 static=off": options given and defaults, for the line "Formatting ...". New
 * string. */
char *block_create_describe(const BlockDriver *format, const BlockDriver *protocol,
                            json_object *options);
/* What `-o help` prints: one line for each option, sorted. New string. */
char *block_option_help(const BlockCreateOption *format, const BlockCreateOption *protocol);

/*
 * qemu-img create: makes (or overwrites) an image. Options as after block_create_check(), "size"
 * among them. When it fails, a file that it has made is removed.
 */
bool block_create_image(const char *filename, const BlockDriver *format, json_object *options,
                        GError **error);
/* blockdev-create: formats go into the node that options name. */
bool block_create(const BlockdevCreateOptions *options, GError **error);

/* For drivers: the node where the image is to be, with all permissions, nobody else's. NULL with
 * an error. */
BlockEdge *block_create_open(const BlockdevRef *ref, GError **error);
void block_create_close(BlockEdge *edge);

/* Whether an image that has just been created reads as zeros (so that zeros need not be
 * written). */
bool block_node_zero_init(BlockNode *node);

/* ---- checking -------------------------------------------------------------------------------- */

enum {
    BLOCK_FIX_LEAKS = 1 << 0,
    BLOCK_FIX_ERRORS = 1 << 1,
};

struct BlockCheckResult {
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset; /* 0: not known */
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
    /* Lines for people, without a line break; the driver calls block_check_report(). May be NULL. */
    void (*report)(void *opaque, const char *line);
    void *opaque;
    unsigned lines; /* that have been reported */
};

/* A line about what was found; at most BLOCK_CHECK_LINES of them are passed on. */
#define BLOCK_CHECK_LINES 1000
void block_check_report(BlockCheckResult *result, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* fix: BLOCK_FIX_*. The node is drained. -ENOTSUP: the format has no check; -errno: it could not be
 * done (check_errors are errors of single reads, which let the rest be checked). */
int block_node_check(BlockNode *node, BlockCheckResult *result, unsigned fix);

/* ---- facts ----------------------------------------------------------------------------------- */

struct BlockDriverInfo {
    uint32_t cluster_size; /* 0: none */
    uint32_t subcluster_size;
    int64_t vm_state_offset; /* 0: none */
    bool dirty;
    /* As the image says; NULL: none. They belong to the driver. */
    const char *backing_file, *backing_format;
};

/* What `name`, the backing file that node's image names, means: relative names are relative to the image's folder; absolute
 * ones and those with a protocol ("json:", "nbd:") stay. New string; NULL with an error. */
char *block_backing_filename(BlockNode *node, const char *name, GError **error);
/* The same for an image that need not exist. */
char *block_combine_filenames(const char *image, const char *name, GError **error);
/* -ENOTSUP: the driver has nothing to tell. Filters are asked for what is below. */
int block_node_info(BlockNode *node, BlockDriverInfo *info);
/* Driver's facts for ImageInfo; NULL: none. New value. */
struct ImageInfoSpecific *block_node_info_specific(BlockNode *node);

/* What an image would take. bitmaps: 0 if there are none. */
struct BlockMeasure {
    uint64_t required;
    uint64_t fully_allocated;
    bool has_bitmaps;
    uint64_t bitmaps;
};

/* Size of a new image of that format with these options (as after block_create_check()), for the
 * data of `source` (NULL: empty, of options' size). */
bool block_measure(const BlockDriver *format, json_object *options, BlockNode *source,
                   BlockMeasure *measure, GError **error);

/* ---- changing -------------------------------------------------------------------------------- */

/* done of total units of work. */
typedef void BlockProgress(void *opaque, uint64_t done, uint64_t total);

/* options: by the driver's amend_options. force: may give up what cannot be kept. */
bool block_node_amend(BlockNode *node, json_object *options, bool force, BlockProgress *progress,
                      void *opaque, GError **error);
/* Drops all data of this layer, so that reads come from the backing file. */
bool block_node_make_empty(BlockNode *node, GError **error);
/* What the image says about its backing file; NULL: none. The graph stays as it is. */
bool block_node_change_backing_file(BlockNode *node, const char *filename, const char *format,
                                    GError **error);

/* ---- state of a VM --------------------------------------------------------------------------- */

/* The bytes that a snapshot with a running VM keeps beside the disk. -ENOTSUP, -errno. */
int block_vmstate_read(BlockNode *node, uint64_t offset, uint64_t bytes, void *buf);
int block_vmstate_write(BlockNode *node, uint64_t offset, uint64_t bytes, const void *buf);

/* ---- internal snapshots ---------------------------------------------------------------------- */

struct BlockSnapshot {
    char id[128];
    char name[256];
    uint64_t vm_state_size;
    uint64_t disk_size; /* bytes; 0: as the image */
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_nsec;
    int64_t icount; /* -1: none */
};

/* The first with that id, else with that name. */
bool block_snapshot_find(BlockNode *node, const char *id_or_name, BlockSnapshot *snapshot);
/* Number of snapshots and (g_free()) the list; -errno. */
int block_snapshot_list(BlockNode *node, BlockSnapshot **list);
/* An empty id is chosen by the driver. */
bool block_snapshot_create(BlockNode *node, BlockSnapshot *snapshot, GError **error);
/* Makes the image what it was. */
bool block_snapshot_goto(BlockNode *node, const char *id_or_name, GError **error);
/* NULL: any. At least one of both. */
bool block_snapshot_delete(BlockNode *node, const char *id, const char *name, GError **error);
/* Shows the snapshot instead of the image, until the node (read-only) is closed. */
bool block_snapshot_load(BlockNode *node, const char *id_or_name, GError **error);

#endif
