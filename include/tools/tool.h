/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What qemu-img and qemu-io share: sizes as people write and read them, cache modes, opening of images, the things
 * that every program does when it starts and ends.
 *
 * Everything here belongs to the main thread. The text of numbers is stock's, because scripts read it.
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include "block/backend.h"

/* ---- start and end --------------------------------------------------------------------------- */

/* Main loop, program name for messages, SIGPIPE ignored: a broken pipe is an error of the write. */
void tool_init(const char *name);
/* Closes every node; flushes stdout. Returns status, or 1 with a message if stdout could not be written. */
int tool_exit(int status);
/* "qemu-img version 10.0.2 (Tern 0.1.0)", with a line break. */
void tool_print_version(const char *name);
/* -T: switches trace events on. "help" prints their names and sets *listed. */
bool tool_trace(const char *text, bool *listed, GError **error);
/* --object: creates a user creatable object. */
bool tool_object(const char *text, GError **error);
/* Prints the error (freed) as error_report_gerror() does. Returns 1, the exit status. */
int tool_fail(GError *error);

/* ---- numbers --------------------------------------------------------------------------------- */

/*
 * "512", "0x200", "1.5k": a whole number, or a fraction with one of the suffixes b k M G T P E (case does not matter).
 * Returns 0, -EINVAL for what is no number, -ERANGE for one that does not fit *value.
 */
int tool_parse_size(const char *text, uint64_t *value);
/* "64 KiB", "1.500 MiB", "1 bytes": qemu-io's. New string. */
char *tool_io_size(double value);
/* "64 KiB", "1.46 GiB": qemu-img's, three significant digits. New string. */
char *tool_img_size(uint64_t value);

/* ---- images ---------------------------------------------------------------------------------- */

/* How an image is opened. */
typedef struct ToolOpen {
    const char *filename; /* or NULL: all is in options */
    json_object *options; /* borrowed; NULL: none */
    const char *format;   /* NULL: as options say, else probed */
    const char *aio;      /* NULL: default */
    unsigned flags;       /* BLOCK_OPEN_* */
    bool writethrough;    /* every write is on stable storage when it is acknowledged */
    bool force_share;
    bool snapshot;     /* writes go to a temporary image on top of it */
    bool copy_on_read; /* reads of what is not allocated write it */
} ToolOpen;

/* none, writeback, writethrough, directsync, unsafe (and off): changes flags and *writethrough. */
bool tool_parse_cache(const char *mode, unsigned *flags, bool *writethrough);
/* ignore, off, unmap, on. */
bool tool_parse_discard(const char *mode, unsigned *flags);
/* threads, native, io_uring; NULL if it is none of them. */
const char *tool_parse_aio(const char *mode);
/* "key=value,..." of -o and --image-opts. A key alone means on, with stock's warning. New object or NULL. */
json_object *tool_parse_options(const char *text, GError **error);
/* A front with permissions for reading and, with BLOCK_OPEN_RDWR, writing and resizing. */
BlockFront *tool_open(const ToolOpen *open, GError **error);

/* ---- format specific information -------------------------------------------------------------- */

/* What a driver says of an image beyond what all have: a new object with "type" and "data", in stock's order; NULL: nothing. */
json_object *tool_specific(BlockNode *node);
/* An object or array for people: "key: value" lines, four blanks per level. '-' in keys becomes a blank. */
void tool_print_value(json_object *value, int indent);

#endif
