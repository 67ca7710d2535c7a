/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fronts: what a device, a tool or a job sees of the block layer. A front has at most one node
 * below it (its medium) and at most one device above it.
 *
 *   -drive id=d0,...        a front named "d0" with its nodes; it goes with its device
 *   drive=NODE of a device  an anonymous front on a node made by -blockdev
 *   a CD drive without one  an anonymous front without a medium
 *
 * F1  The callback of a request is called exactly once, in the front's home (the main loop, unless
 *     front_set_home() said another), never from within the call that submitted it or cancelled it.
 * F2  Cancelling a request that has not started ends it with -ECANCELED; one that has started ends
 *     with its own result.
 * F3  The memory of a request's vector and the IoVec itself belong to the front until the callback.
 *     Guest memory may be in it; the submitter maps and unmaps it.
 * F4  While drained or quiesced, or while the medium is inactive (B7), requests that are submitted
 *     wait; they are not in flight.
 * F5  The medium changes only while nothing is in flight.
 *
 * Main thread, big lock, unless marked coroutine_fn. front_aio_*() belong to the front's home; where that is an
 * iothread, block/context.c says what runs where.
 */
#ifndef BLOCK_BACKEND_H
#define BLOCK_BACKEND_H

#include "block/block.h"

typedef struct BlockFront BlockFront;
typedef struct BlockAio BlockAio;

/* ---- life ------------------------------------------------------------------------------------ */

/* A front without a medium; name NULL: anonymous. Names are unique among fronts and nodes. One
 * reference. */
BlockFront *front_new(const char *name, GError **error);
BlockFront *front_ref(BlockFront *front);
/* At the last one it is drained and its medium removed. */
void front_unref(BlockFront *front);
/* Opens a medium and makes a front for it that may read and, with BLOCK_OPEN_RDWR, write and resize
 * (tools). */
BlockFront *front_open(const char *filename, json_object *options, unsigned flags, GError **error);
/* The same for a node that is open already; takes over the caller's reference, also when it fails. */
BlockFront *front_open_node(BlockNode *node, GError **error);

BlockFront *front_by_name(const char *name);
/* Fronts with a name or a device, oldest first: next after front (NULL: the first); NULL at the
 * end. */
BlockFront *front_next(const BlockFront *front);
/*
 * What a device's `drive` property means: the front of that name, else a new anonymous front for
 * the node of that name. Fails with class GENERIC if neither exists, or if the front has a device.
 * *exists (may be NULL) tells the two apart: false means "can't find value". One reference, the
 * caller's. Its permissions are taken by front_attach_device().
 */
BlockFront *front_for_property(const char *drive, bool *exists, GError **error);

/* "" if anonymous. */
const char *front_name(const BlockFront *front);
/* Name of front or, failing that, of its node: what `drive` shows; "" if neither. */
const char *front_property(const BlockFront *front);
/* NULL: no medium. */
BlockNode *front_node(const BlockFront *front);

/* ---- the device above ------------------------------------------------------------------------ */

typedef struct BlockDeviceOps {
    bool removable; /* the medium may change */
    /* The medium was inserted or the tray closed on it (load), or it is about to go / the tray
     * opens. The device updates its tray state, tells its guest; false with an error refuses a
     * load. NULL: no tray. */
    bool (*change_media)(void *device, bool load, GError **error);
    /* The user wants to eject, the guest has locked the medium. force: it will go in any case. */
    void (*eject_request)(void *device, bool force);
    bool (*is_tray_open)(void *device);
    bool (*is_medium_locked)(void *device);
    /* The medium's length has changed. */
    void (*resize)(void *device);
} BlockDeviceOps;

/* What a device wants of its front; the defaults of a device without such properties are all zero
 * but the errors. */
typedef struct BlockDeviceConf {
    const BlockDeviceOps *ops;
    void *device;
    const char *id;    /* user's id of the device, or NULL */
    const char *path;  /* QOM path */
    bool read_only;    /* never writes (CD) */
    bool needs_write;  /* a read-only medium is an error: "Block node is read-only" */
    bool share_rw;     /* others may write, too */
    bool needs_medium; /* "Device needs media, but drive is empty" */
    bool resizes;
    /* Asks front_error_action(): then io-status exists, and werror/rerror are allowed. */
    bool handles_errors;
    BlockdevOnError rerror, werror; /* AUTO: what -drive said, else report / enospc */
    OnOffAuto write_cache;          /* AUTO: what the medium was opened with */
} BlockDeviceConf;

/* Binds device and front and takes permissions on the medium. Errors in stock's words. */
bool front_attach_device(BlockFront *front, const BlockDeviceConf *conf, GError **error);
/* Cancels what waits, drains, and unbinds. A front made by -drive vanishes when its device does (the caller still has
 * its reference). */
void front_detach_device(BlockFront *front);
/* The front of a device, by its id or path (QMP argument `id`). Class DeviceNotFound, or GENERIC if
 * it has none. */
BlockFront *front_by_device(const char *id_or_path, GError **error);
/* The attached device's opaque pointer and ops; NULL if there is none. */
void *front_device(const BlockFront *front);

/* ---- the medium ------------------------------------------------------------------------------ */

/* A medium is in the drive. / ... and the tray is closed: requests make sense. */
bool front_is_inserted(const BlockFront *front);
bool front_is_available(const BlockFront *front);
bool front_is_read_only(const BlockFront *front);
/* Bytes, a multiple of 512; -ENOMEDIUM, -errno. */
int64_t front_length(BlockFront *front);
/* Device properties of the whole chain: alignment of requests and buffers, largest transfer (0:
 * none). */
void front_limits(BlockFront *front, BlockLimits *limits);
/* The guest's write cache: off makes every write BLOCK_FUA. */
bool front_write_cache(const BlockFront *front);
void front_set_write_cache(BlockFront *front, bool on);
/* -drive media=cdrom */
bool front_is_cdrom_hint(const BlockFront *front);

/* Puts a node in / takes it out (B6, permissions of the device). No tray movement, no event; the
 * device is told. */
bool front_insert_node(BlockFront *front, BlockNode *node, GError **error);
void front_remove_node(BlockFront *front);

/* The guest moved the tray: event DEVICE_TRAY_MOVED. Called by the device after its state has
 * changed. From the front's home: in the main thread, soon. */
void front_tray_moved(BlockFront *front, bool open);

/* What QMP's commands do, for HMP and devices. */
bool front_open_tray(BlockFront *front, bool force, GError **error);
bool front_close_tray(BlockFront *front, GError **error);
bool front_eject(BlockFront *front, bool force, GError **error);

/* ---- requests -------------------------------------------------------------------------------- */

/* ret: 0 or -errno. */
typedef void BlockDone(void *opaque, int ret);

/* Transfers vec->size bytes at offset. Bounds are checked: -EIO beyond the end, -ENOMEDIUM without
 * a medium, -EPERM for a write to a read-only one. flags: BLOCK_FUA, BLOCK_MAY_UNMAP. The handle is
 * valid until done is called. */
BlockAio *front_aio_read(BlockFront *front, uint64_t offset, IoVec *vec, BlockDone *done,
                         void *opaque);
BlockAio *front_aio_write(BlockFront *front, uint64_t offset, IoVec *vec, unsigned flags,
                          BlockDone *done, void *opaque);
BlockAio *front_aio_write_zeroes(BlockFront *front, uint64_t offset, uint64_t bytes, unsigned flags,
                                 BlockDone *done, void *opaque);
BlockAio *front_aio_discard(BlockFront *front, uint64_t offset, uint64_t bytes, BlockDone *done,
                            void *opaque);
BlockAio *front_aio_flush(BlockFront *front, BlockDone *done, void *opaque);
/* F1, F2. */
void front_aio_cancel(BlockAio *aio);
/*
 * Brackets several submissions of one thread: what native and io_uring have to tell the kernel about them, they tell it once,
 * when the outermost bracket closes. In between nobody may wait for a request; not in coroutines.
 */
void block_plug(void);
void block_unplug(void);
/* For engines that the calling thread runs: as many requests as are given to the kernel at once, 0: as many as there are. */
void block_set_max_batch(unsigned n);
/* Requests of the calling thread that need threads (aio=threads and what has no other way) have a pool of their own from now on,
 * with at least min threads and at most max (at least 1). */
#define BLOCK_POOL_THREADS 64 /* of the one for all others */
void block_pool_set_limits(unsigned min, unsigned max);

/* In coroutines. */
int coroutine_fn front_co_read(BlockFront *front, uint64_t offset, uint64_t bytes, IoVec *vec,
                               size_t vec_offset, unsigned flags);
int coroutine_fn front_co_write(BlockFront *front, uint64_t offset, uint64_t bytes, IoVec *vec,
                                size_t vec_offset, unsigned flags);
int coroutine_fn front_co_write_zeroes(BlockFront *front, uint64_t offset, uint64_t bytes,
                                       unsigned flags);
int coroutine_fn front_co_discard(BlockFront *front, uint64_t offset, uint64_t bytes);
int coroutine_fn front_co_flush(BlockFront *front);
int coroutine_fn front_co_truncate(BlockFront *front, uint64_t length, bool exact,
                                   PreallocMode prealloc, GError **error);

/* For tools and tests: run the main loop until done. */
int front_read(BlockFront *front, uint64_t offset, uint64_t bytes, void *buf);
int front_write(BlockFront *front, uint64_t offset, uint64_t bytes, const void *buf,
                unsigned flags);
int front_write_zeroes(BlockFront *front, uint64_t offset, uint64_t bytes, unsigned flags);
int front_discard(BlockFront *front, uint64_t offset, uint64_t bytes);
int front_flush(BlockFront *front);
bool front_truncate(BlockFront *front, uint64_t length, bool exact, PreallocMode prealloc,
                    GError **error);

/* From now on requests are submitted, and called back, in the context of an iothread (NULL: the main loop). Runs the
 * main loop until nothing is in flight; nobody may be submitting in the old home meanwhile. What waits goes along. */
void front_set_home(BlockFront *front, GMainContext *home);
GMainContext *front_home(const BlockFront *front);
/* Whether requests run in the home now, all the way; else in the main loop, because somebody else uses the nodes or
 * one of them cannot run elsewhere. */
bool front_is_local(const BlockFront *front);

/* Requests between submission and callback; those that wait (F4) do not count. */
unsigned front_in_flight(const BlockFront *front);
/* Runs the main loop until nothing is in flight. Requests may be submitted meanwhile. */
void front_drain(BlockFront *front);
/* A section in which nothing is in flight (F4). Nests. */
void front_drain_begin(BlockFront *front);
void front_drain_end(BlockFront *front);

/* ---- errors and accounting ------------------------------------------------------------------- */

BlockdevOnError front_on_error(const BlockFront *front, bool is_read);
/* What to do about a request that failed with errno `err` (positive). */
BlockErrorAction front_error_action(const BlockFront *front, bool is_read, int err);
/* Does it, except for telling the guest: event BLOCK_IO_ERROR, io-status, and for STOP asks for the
 * VM to stop. From the front's home: in the main thread, soon. */
void front_error_apply(BlockFront *front, BlockErrorAction action, bool is_read, int err);
/* When the VM starts again. */
void front_iostatus_reset_all(void);

/* Kinds of requests in the statistics. */
typedef enum BlockStatKind {
    BLOCK_STAT_READ,
    BLOCK_STAT_WRITE,
    BLOCK_STAT_FLUSH,
    BLOCK_STAT_UNMAP,
    BLOCK_STAT_KINDS
} BlockStatKind;

/* The device refused a request by itself (bounds, format). All others are counted by the front. */
void front_account_invalid(BlockFront *front, BlockStatKind kind);

/* Set by system/ at start. */
typedef struct BlockHooks {
    void (*stop_vm)(void); /* asks for a stop in state io-error; returns before it happens */
} BlockHooks;
void block_set_hooks(const BlockHooks *hooks);

/* ---- the command line ------------------------------------------------------------------------ */

typedef enum BlockInterface {
    BLOCK_IF_DEFAULT, /* the machine's */
    BLOCK_IF_NONE,
    BLOCK_IF_IDE,
    BLOCK_IF_SCSI,
    BLOCK_IF_FLOPPY,
    BLOCK_IF_PFLASH,
    BLOCK_IF_MTD,
    BLOCK_IF_SD,
    BLOCK_IF_VIRTIO,
    BLOCK_IF_XEN,
    BLOCK_IFS
} BlockInterface;

/* Where -drive wants it. bus and unit are assigned if the user gave none. */
typedef struct BlockDrive {
    BlockFront *front;
    BlockInterface interface;
    int bus, unit;
    bool cdrom;
    bool claimed; /* a board or device uses it */
} BlockDrive;

/* -blockdev TEXT: key=value or JSON. */
bool block_add_blockdev(const char *text, GError **error);
/* Before the first -drive: how many drives a channel of the machine takes; 2, unless somebody says so. */
void block_set_ide_units(int units);
/* -drive TEXT. default_if: the machine's; units per bus of an interface: block_set_ide_units() for IDE, 7 for SCSI.
 * incoming: the image belongs to somebody else until block_activate_all() (also for -blockdev, see
 * block_set_incoming). */
bool block_add_drive(const char *text, BlockInterface default_if, GError **error);
/* -hda FILE, -cdrom FILE...: as -drive index=,media=; -pflash: index -1 (the next), media NULL. */
bool block_add_drive_simple(const char *file, int index, const char *media,
                            BlockInterface default_if, GError **error);
/* -incoming: nodes that are opened from now on are inactive. */
void block_set_incoming(bool incoming);
/* For boards: the drive at that place, or NULL. Next of all (NULL: first). */
BlockDrive *block_drive_find(BlockInterface interface, int bus, int unit);
BlockDrive *block_drive_by_index(BlockInterface interface, int index);
BlockDrive *block_drive_next(BlockDrive *drive);
const char *block_interface_name(BlockInterface interface);

#endif
