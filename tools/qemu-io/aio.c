/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aio_read, aio_write: they return when the request has begun; its report comes when it is over. aio_flush waits. */
#include "util/osdep.h"
#include "qemu-io.h"

#include <getopt.h>
#include <stdio.h>

/* One request and what shall be said about it. It frees itself. */
typedef struct AioRequest {
    IoProgram *io;
    IoVec vec;
    uint8_t *buf; /* NULL: zeros */
    int64_t offset, bytes;
    bool machine, quiet, dump, has_pattern, fua, unmap, zero, invalid;
    int pattern;
    double start;
} AioRequest;

static void request_free(AioRequest *r)
{
    io_free(r->io, r->buf);
    iovec_destroy(&r->vec);
    g_free(r);
}

static void report(const AioRequest *r, const char *op)
{
    double seconds = io_now() - r->start;
    if (!r->quiet) {
        io_report(op, seconds, r->offset, r->bytes, r->bytes, 1, r->machine);
    }
}

static void read_done(void *opaque, int ret)
{
    AioRequest *r = opaque;
    if (ret < 0) {
        printf("readv failed: %s\n", g_strerror(-ret));
    } else {
        if (r->has_pattern) {
            io_verify(r->buf, r->bytes, r->pattern, r->offset);
        }
        if (r->dump && !r->quiet) {
            io_dump(r->buf, r->offset, r->bytes);
        }
        report(r, "read");
    }
    fflush(stdout);
    request_free(r);
}

static void write_done(void *opaque, int ret)
{
    AioRequest *r = opaque;
    if (ret < 0) {
        printf("aio_write failed: %s\n", g_strerror(-ret));
    } else {
        report(r, "wrote");
    }
    fflush(stdout);
    request_free(r);
}

/* False: the command is over, with *ok. */
static bool parse_option(AioRequest *r, int c, const char *name, bool *ok)
{
    switch (c) {
    case 'C':
        r->machine = true;
        return true;
    case 'f':
        r->fua = true;
        return true;
    case 'P':
        r->has_pattern = true;
        *ok = io_parse_pattern(optarg, &r->pattern);
        return *ok;
    case 'i':
        r->invalid = true;
        return true;
    case 'q':
        r->quiet = true;
        return true;
    case 'u':
        r->unmap = true;
        return true;
    case 'v':
        r->dump = true;
        return true;
    case 'z':
        r->zero = true;
        return true;
    default:
        *ok = io_usage(name);
        return false;
    }
}

/* Options and the offset. False: the command is over, with *ok. */
static bool parse(AioRequest *r, int argc, char **argv, const char *options, bool *ok)
{
    const char *name = options[0] == 'w' ? "aio_write" : "aio_read";
    int c;
    while ((c = getopt(argc, argv, options + 1)) != -1) {
        if (!parse_option(r, c, name, ok)) {
            return false;
        }
    }
    if (optind > argc - 2) {
        *ok = io_usage(name);
        return false;
    }
    return true;
}

/* -i: for tests of statistics. The request counts as refused by the device; it is not made. */
static bool inject_invalid(AioRequest *r, BlockStatKind kind, const char *what)
{
    printf("injecting invalid %s request\n", what);
    front_account_invalid(r->io->front, kind);
    return true;
}

static bool start_read(AioRequest *r, int argc, char **argv, bool *ok)
{
    if (!parse(r, argc, argv, "rCP:iqv", ok)) {
        return false;
    }
    if (r->invalid) {
        *ok = inject_invalid(r, BLOCK_STAT_READ, "read");
        return false;
    }
    void *buf;
    if (!io_parse_number(argv[optind++], &r->offset) ||
        !io_create_vector(r->io, &r->vec, &buf, argv + optind, argc - optind, IO_READ_FILL)) {
        *ok = false;
        return false;
    }
    r->buf = buf;
    r->bytes = r->vec.size;
    r->start = io_now();
    front_aio_read(r->io->front, r->offset, &r->vec, read_done, r);
    return true;
}

static const char *write_conflict(const AioRequest *r, int lengths)
{
    if (r->unmap && !r->zero) {
        return "-u requires -z to be specified";
    }
    return r->zero && lengths != 1 ? "-z supports only a single length parameter" : NULL;
}

static bool start_write(AioRequest *r, int argc, char **argv, bool *ok)
{
    r->pattern = IO_WRITE_FILL;
    if (!parse(r, argc, argv, "wCfiP:quz", ok)) {
        return false;
    }
    const char *conflict = write_conflict(r, argc - optind - 1);
    if (conflict) {
        printf("%s\n", conflict);
        *ok = false;
        return false;
    }
    if (r->invalid) {
        *ok = inject_invalid(r, BLOCK_STAT_WRITE, "write");
        return false;
    }
    *ok = io_parse_number(argv[optind++], &r->offset);
    if (!*ok) {
        return false;
    }
    unsigned flags = (r->fua ? BLOCK_FUA : 0) | (r->unmap ? BLOCK_MAY_UNMAP : 0);
    if (r->zero) {
        *ok = io_parse_number(argv[optind], &r->bytes);
        if (*ok) {
            r->start = io_now();
            front_aio_write_zeroes(r->io->front, r->offset, r->bytes, flags, write_done, r);
        }
        return *ok;
    }
    void *buf;
    *ok = io_create_vector(r->io, &r->vec, &buf, argv + optind, argc - optind, r->pattern);
    if (*ok) {
        r->buf = buf;
        r->bytes = r->vec.size;
        r->start = io_now();
        front_aio_write(r->io->front, r->offset, &r->vec, flags, write_done, r);
    }
    return *ok;
}

static bool run(IoProgram *io, int argc, char **argv,
                bool (*start)(AioRequest *r, int argc, char **argv, bool *ok))
{
    bool ok = true;
    AioRequest *r = g_new0(AioRequest, 1);
    r->io = io;
    if (!start(r, argc, argv, &ok)) {
        request_free(r);
    }
    return ok;
}

static bool run_aio_read(IoProgram *io, int argc, char **argv)
{
    return run(io, argc, argv, start_read);
}

static bool run_aio_write(IoProgram *io, int argc, char **argv)
{
    return run(io, argc, argv, start_write);
}

static bool run_aio_flush(IoProgram *io, int argc, char **argv)
{
    block_drain_all();
    return true;
}

#define ASYNC                                                                \
    " The command is over when the request has begun, so it does not fail\n" \
    " for the request's sake. 'aio_flush' waits for all of them.\n"          \
    "\n"
#define REPORT                                                                 \
    " -i          make no request, count an invalid one\n"                     \
    " -C          one line of numbers instead of text: bytes,ops,time,rates\n" \
    " -q          print nothing about the time it took\n"

static const char read_details[] =
    "\n"
    " Begins to read at off into one buffer for each len.\n"
    "\n"
    " 'aio_read -v 512 1k 1k' shows four sectors that came into two buffers.\n"
    "\n" ASYNC " -P pattern  every byte must be this one\n"
    " -v          dump the data\n" REPORT "\n";

static const char write_details[] =
    "\n"
    " Begins to write at off from one buffer for each len, all full of 0xcd.\n"
    "\n"
    " 'aio_write 512 1k 1k' writes four sectors from two buffers.\n"
    "\n" ASYNC " -P pattern  the byte to write\n"
    " -z          write zeros, by the request that needs no data\n"
    " -u          with -z: space may be freed\n"
    " -f          be on stable storage at the end (FUA)\n" REPORT "\n";

const IoCommand io_commands_aio[] = {
    { "aio_read", NULL, 2, -1, IO_NEEDS_FILE, run_aio_read, "[-Ciqv] [-P pattern] off len [len..]",
      "asynchronously reads a number of bytes", read_details },
    { "aio_write", NULL, 2, -1, IO_NEEDS_FILE | IO_NEEDS_WRITE, run_aio_write,
      "[-Cfiquz] [-P pattern] off len [len..]", "asynchronously writes a number of bytes",
      write_details },
    { "aio_flush", NULL, 0, 0, IO_NEEDS_FILE, run_aio_flush, NULL,
      "completes all outstanding aio requests" },
    { NULL },
};
