/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of qemu-img share. Each has a group of commands; main.c has the table of all. */
#ifndef QEMU_IMG_H
#define QEMU_IMG_H

#include <getopt.h>
#include "block/image.h"
#include "tools/tool.h"

typedef struct ImgCommand {
    const char *name;
    /* argv[0] is the command's name. Returns the exit status. */
    int (*run)(int argc, char **argv);
    const char *args; /* for the help */
} ImgCommand;

int img_amend(int argc, char **argv);
int img_bench(int argc, char **argv);
int img_bitmap(int argc, char **argv);
int img_check(int argc, char **argv);
int img_commit(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_create(int argc, char **argv);
int img_dd(int argc, char **argv);
int img_info(int argc, char **argv);
int img_map(int argc, char **argv);
int img_measure(int argc, char **argv);
int img_rebase(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_snapshot(int argc, char **argv);

/* ---- arguments ------------------------------------------------------------------------------- */

/* Values of long options that have no short form. */
enum {
    IMG_OPT_OUTPUT = 256,
    IMG_OPT_BACKING_CHAIN,
    IMG_OPT_OBJECT,
    IMG_OPT_IMAGE_OPTS,
    IMG_OPT_TARGET_IMAGE_OPTS,
    IMG_OPT_TARGET_IS_ZERO,
    IMG_OPT_SALVAGE,
    IMG_OPT_BITMAPS,
    IMG_OPT_SKIP_BROKEN,
    IMG_OPT_SIZE,
    IMG_OPT_PREALLOCATION,
    IMG_OPT_SHRINK,
    IMG_OPT_FORCE,
    IMG_OPT_FLUSH_INTERVAL,
    IMG_OPT_NO_DRAIN,
    IMG_OPT_PATTERN,
    IMG_OPT_ADD,
    IMG_OPT_REMOVE,
    IMG_OPT_CLEAR,
    IMG_OPT_ENABLE,
    IMG_OPT_DISABLE,
    IMG_OPT_MERGE,
};

/* Long options that many commands have. */
/* clang-format off */
#define IMG_LONG_HELP { "help", no_argument, NULL, 'h' }
#define IMG_LONG_OBJECT { "object", required_argument, NULL, IMG_OPT_OBJECT }
#define IMG_LONG_IMAGE_OPTS { "image-opts", no_argument, NULL, IMG_OPT_IMAGE_OPTS }
#define IMG_LONG_FORCE_SHARE { "force-share", no_argument, NULL, 'U' }
#define IMG_LONG_OUTPUT { "output", required_argument, NULL, IMG_OPT_OUTPUT }
#define IMG_LONG_FORMAT { "format", required_argument, NULL, 'f' }
/* clang-format on */

/* How an image is opened, as most commands let the user say it. */
typedef struct ImgSource {
    const char *format; /* -f */
    const char *cache;  /* -t or -T; NULL: writeback */
    const char *aio;
    bool image_opts;
    bool force_share;
} ImgSource;

/*
 * For options that a command does not handle itself: --object, -h (help, ends the command with 0), bad ones (a
 * message). Returns true if it goes on, false if the command is over, with *status.
 */
bool img_common_option(int c, char **argv, int *status);
/* The same, for a command with one image: -f, -U and --image-opts too go to *source. */
bool img_source_option(int c, char **argv, ImgSource *source, int *status);
/* An error and "Try 'qemu-img --help' ...". Returns 1. */
int img_usage(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* --output; false with a message. */
bool img_parse_output(const char *text, bool *json);
/* A number with suffix between 0 and INT64_MAX; what: "image size". False with stock's messages. */
bool img_parse_number(const char *what, const char *text, int64_t *value);
/* -o texts of one command after another. *text is freed and replaced. False with a message if one is no list. */
bool img_add_options(char **text, const char *more);
/* Whether "help" or "?" is in the list. */
bool img_wants_help(const char *options);

/* ---- images ---------------------------------------------------------------------------------- */

/* Opens with `flags` (BLOCK_OPEN_*); source->cache has been checked. NULL with a message. */
BlockFront *img_open(const ImgSource *source, const char *filename, unsigned flags);
/* The same, with an error in place of the message. */
BlockFront *img_try_open(const ImgSource *source, const char *filename, unsigned flags,
                         GError **error);
/* "Invalid cache option: x" with what = "" or "source ". */
bool img_check_cache(const char *what, const char *mode);
/* A format's driver; NULL with "Unknown file format 'x'". */
const BlockDriver *img_format(const char *name, GError **error);
/* -o help: filename may be NULL. Returns the exit status. */
int img_option_help(const char *format, const char *filename);
/* JSON as QEMU's tools print it, with a line break. The value is taken. */
void img_print_json(json_object *value);
/* The list of `snapshot -l`; nothing if there are none. */
void img_print_snapshots(BlockNode *node);
/* A snapshot as JSON, in stock's order. */
json_object *img_snapshot_json(const BlockSnapshot *snapshot);
/* Runs entry in a coroutine and the main loop until it is over. */
void img_run(CoroutineEntry *entry, void *opaque);

/* ---- progress -------------------------------------------------------------------------------- */

/* -p: "    (12.34/100%)\r" on stdout. Without it SIGUSR1 asks for a line on stderr. */
void img_progress_begin(bool show);
/* percent: 0 to 100. Cheap if nothing is to be printed. */
void img_progress(double percent);
void img_progress_end(void);
/* SIGINT and SIGTERM from now on only set a flag, for commands that can say what they leave behind. */
void img_catch_signals(void);
/* The signal that came; 0: none. */
int img_signal(void);
/* Ends the process by that signal. */
void img_die_by_signal(void);

#endif
