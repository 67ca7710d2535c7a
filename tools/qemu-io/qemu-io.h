/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of qemu-io share. */
#ifndef QEMU_IO_H
#define QEMU_IO_H

#include "block/image.h"
#include "tools/tool.h"

/* Largest buffer of one command: the largest request of the block layer, in whole sectors. */
#define IO_MAX_LENGTH INT64_C(2147483136)
/* What fills a buffer that no pattern was given for: of a write, of a read before it is read. */
#define IO_WRITE_FILL 0xcd
#define IO_READ_FILL 0xab
/* -m: buffers begin so many bytes after an aligned address. */
#define IO_MISALIGN 16

typedef struct IoProgram {
    BlockFront *front; /* NULL: no file is open */
    ToolOpen open;     /* how it was opened; owned, see io_open_file() */
    bool misalign;
    bool quit;
} IoProgram;

typedef enum IoNeed {
    IO_NEEDS_FILE = 1 << 0,
    IO_NEEDS_WRITE = 1 << 1,
} IoNeed;

/*
 * One command. run gets argv as main() does, argv[0] being the name that was typed, and has the number of arguments
 * checked. It returns false if the command failed; what is to be said has been said.
 */
typedef struct IoCommand {
    const char *name;
    const char *alias;      /* NULL: none */
    int min_args, max_args; /* max -1: no limit */
    unsigned needs;         /* IoNeed */
    bool (*run)(IoProgram *io, int argc, char **argv);
    const char *args;    /* for help; NULL: none */
    const char *oneline; /* for help */
    const char *details; /* long help; NULL: none */
} IoCommand;

/* Tables of the command groups, ended by a record without a name. */
extern const IoCommand io_commands_rw[], io_commands_aio[], io_commands_image[],
    io_commands_debug[], io_commands_misc[];

/* Runs one line. Returns false if it failed. */
bool io_run_line(IoProgram *io, const char *line);
/* Looks a command up by name or alias. */
const IoCommand *io_find_command(const char *name);
/* "name [args] -- what it does", with a line break. */
void io_print_usage(const IoCommand *command);
/* For a command whose arguments are wrong: its usage. Returns false. */
bool io_usage(const char *name);

/* ---- arguments ---- */

/* getopt() for a command; call io_getopt_begin() before the first. Complains about unknown options. */
void io_getopt_begin(void);
/* A number with suffix that fits an int64_t. False, with a message on stdout, if it is none. */
bool io_parse_number(const char *text, int64_t *value);
/* 0 to 255, C notation. */
bool io_parse_pattern(const char *text, int *value);

/* ---- buffers ---- */

/* Filled with `fill`; io_free() releases. NULL with a message if there is no memory. */
void *io_alloc(IoProgram *io, size_t size, int fill);
void io_free(IoProgram *io, void *buf);
/* A vector of one piece per length in argv; all in one buffer, *buf. Returns false with a message. */
bool io_create_vector(IoProgram *io, IoVec *vec, void **buf, char **argv, int n, int fill);
/* -v */
void io_dump(const void *buf, int64_t offset, size_t len);
/* Complains and returns false unless all bytes are `pattern`. offset: of buf in the image. */
bool io_verify(const uint8_t *buf, size_t len, int pattern, int64_t offset);

/* ---- reports ---- */

/* Seconds since some point in the past. */
double io_now(void);
/* Two lines for people, or with machine (-C) one for programs. op: "read", "wrote", "discard". */
void io_report(const char *op, double seconds, int64_t offset, int64_t wanted, int64_t done,
               int ops, bool machine);

/* ---- image.c ---- */

typedef enum IoOption {
    IO_OPTION_TAKEN,
    IO_OPTION_BAD, /* its value is; this has been said */
    IO_OPTION_OTHER,
} IoOption;

/* Takes an option, as getopt() returns it with optarg, of those that the program and its command `open` share. */
IoOption io_open_option(ToolOpen *open, int c);
/* Opens a file and remembers how (strings are copied, options referenced). Returns false with a message. */
bool io_open_file(IoProgram *io, const ToolOpen *open);
void io_close_file(IoProgram *io);

#endif
