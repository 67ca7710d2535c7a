/* SPDX-License-Identifier: GPL-2.0-or-later */
/* read, write, readv, writev, discard, flush: commands that are over when they return. */
#include "util/osdep.h"
#include "qemu-io.h"

#include <getopt.h>
#include <stdio.h>
#include "util/main-loop.h"

/* What the options of a command said. */
typedef struct RwArgs {
    bool machine, quiet, dump, zero, unmap, no_fallback, fua, vmstate, compressed, has_pattern;
    int pattern;
    const char *source;                /* -s of write */
    int64_t verify_from, verify_bytes; /* -s, -l of read; bytes -1: up to the end */
    int64_t offset, bytes;
} RwArgs;

static bool parse_range(RwArgs *a, char **argv)
{
    if (!io_parse_number(argv[0], &a->offset) || !io_parse_number(argv[1], &a->bytes)) {
        return false;
    }
    /* Zeros need no buffer: with -n there is no fallback that would want one. */
    if (a->bytes > IO_MAX_LENGTH && !(a->zero && a->no_fallback)) {
        printf("length cannot exceed %" PRId64 "%s, given %s\n", IO_MAX_LENGTH,
               a->zero ? " without -n" : "", argv[1]);
        return false;
    }
    return true;
}

/* -b */
static bool whole_sectors(const RwArgs *a)
{
    if (a->offset % BLOCK_SECTOR) {
        printf("%" PRId64 " is not a sector-aligned value for 'offset'\n", a->offset);
        return false;
    }
    if (a->bytes % BLOCK_SECTOR) {
        printf("%" PRId64 " is not a sector-aligned value for 'count'\n", a->bytes);
        return false;
    }
    return true;
}

static void report(const RwArgs *a, const char *op, double start, int64_t bytes)
{
    double seconds = io_now() - start;
    if (!a->quiet) {
        io_report(op, seconds, a->offset, bytes, bytes, 1, a->machine);
    }
}

/* ---- read ---- */

static bool parse_read(RwArgs *a, int argc, char **argv)
{
    bool has_from = false, has_bytes = false;
    int c;
    while ((c = getopt(argc, argv, "bCl:pP:qs:v")) != -1) {
        switch (c) {
        case 'b':
            a->vmstate = true;
            break;
        case 'C':
            a->machine = true;
            break;
        case 'l':
            has_bytes = true;
            if (!io_parse_number(optarg, &a->verify_bytes)) {
                return false;
            }
            break;
        case 'p':
            break;
        case 'P':
            a->has_pattern = true;
            if (!io_parse_pattern(optarg, &a->pattern)) {
                return false;
            }
            break;
        case 'q':
            a->quiet = true;
            break;
        case 's':
            has_from = true;
            if (!io_parse_number(optarg, &a->verify_from)) {
                return false;
            }
            break;
        case 'v':
            a->dump = true;
            break;
        default:
            return io_usage("read");
        }
    }
    if (optind != argc - 2 || (!a->has_pattern && (has_from || has_bytes))) {
        return io_usage("read");
    }
    return parse_range(a, argv + optind) && (!a->vmstate || whole_sectors(a));
}

static bool run_read(IoProgram *io, int argc, char **argv)
{
    RwArgs a = { .verify_bytes = -1 };
    if (!parse_read(&a, argc, argv)) {
        return false;
    }
    int64_t verify = a.verify_bytes < 0 ? a.bytes - a.verify_from : a.verify_bytes;
    if (verify < 0 || a.verify_from > a.bytes || verify > a.bytes - a.verify_from) {
        printf("pattern verification range exceeds end of read data\n");
        return false;
    }
    uint8_t *buf = io_alloc(io, a.bytes, IO_READ_FILL);
    if (!buf) {
        return false;
    }
    double start = io_now();
    int ret = a.vmstate ? block_vmstate_read(front_node(io->front), a.offset, a.bytes, buf)
                        : front_read(io->front, a.offset, a.bytes, buf);
    bool ok = ret >= 0;
    if (!ok) {
        printf("read failed: %s\n", g_strerror(-ret));
    } else {
        ok = !a.has_pattern ||
             io_verify(buf + a.verify_from, verify, a.pattern, a.offset + a.verify_from);
        if (a.dump && !a.quiet) {
            io_dump(buf, a.offset, a.bytes);
        }
        report(&a, "read", start, a.bytes);
    }
    io_free(io, buf);
    return ok;
}

/* ---- write ---- */

static bool write_option(RwArgs *a, int c, bool *ok)
{
    switch (c) {
    case 'b':
        a->vmstate = true;
        return true;
    case 'c':
        a->compressed = true;
        return true;
    case 'C':
        a->machine = true;
        return true;
    case 'f':
        a->fua = true;
        return true;
    case 'n':
        a->no_fallback = true;
        return true;
    case 'p':
        return true;
    case 'q':
        a->quiet = true;
        return true;
    case 'u':
        a->unmap = true;
        return true;
    case 'P':
        a->has_pattern = true;
        *ok = io_parse_pattern(optarg, &a->pattern);
        return *ok;
    case 's':
        a->source = optarg;
        return true;
    case 'z':
        a->zero = true;
        return true;
    default:
        *ok = io_usage("write");
        return false;
    }
}

static const char *write_conflict(const RwArgs *a)
{
    if (a->vmstate && a->zero) {
        return "-b and -z cannot be specified at the same time";
    }
    if (a->fua && (a->vmstate || a->compressed)) {
        return "-f and -b or -c cannot be specified at the same time";
    }
    if (a->no_fallback && !a->zero) {
        return "-n requires -z to be specified";
    }
    if (a->unmap && !a->zero) {
        return "-u requires -z to be specified";
    }
    if (a->zero + a->has_pattern + (a->source != NULL) > 1) {
        return "Only one of -z, -P, and -s can be specified at the same time";
    }
    return NULL;
}

static bool parse_write(RwArgs *a, int argc, char **argv)
{
    bool ok = true;
    int c;
    while ((c = getopt(argc, argv, "bcCfnpP:qs:uz")) != -1) {
        if (!write_option(a, c, &ok)) {
            return ok;
        }
    }
    if (optind != argc - 2) {
        return io_usage("write");
    }
    const char *conflict = write_conflict(a);
    if (conflict) {
        printf("%s\n", conflict);
        return false;
    }
    return parse_range(a, argv + optind) && (!a->vmstate || whole_sectors(a));
}

/* The file's bytes over and over. */
static bool fill_from_file(uint8_t *buf, int64_t len, const char *name)
{
    FILE *file = fopen(name, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", name, g_strerror(errno));
        return false;
    }
    int64_t got = fread(buf, 1, len, file);
    int err = ferror(file) ? errno : 0;
    fclose(file);
    if (err) {
        fprintf(stderr, "%s: %s\n", name, g_strerror(err));
        return false;
    }
    if (got == 0 && len) {
        fprintf(stderr, "%s: file is empty\n", name);
        return false;
    }
    for (int64_t have = got; have < len;) {
        int64_t n = MIN(have, len - have);
        memcpy(buf + have, buf, n);
        have += n;
    }
    return true;
}

static int do_write(IoProgram *io, const RwArgs *a, const void *buf)
{
    unsigned flags = a->fua ? BLOCK_FUA : 0;
    if (a->zero) {
        flags |= (a->unmap ? BLOCK_MAY_UNMAP : 0) | (a->no_fallback ? BLOCK_NO_FALLBACK : 0);
        return front_write_zeroes(io->front, a->offset, a->bytes, flags);
    }
    if (a->vmstate) {
        return block_vmstate_write(front_node(io->front), a->offset, a->bytes, buf);
    }
    flags |= a->compressed ? BLOCK_COMPRESSED : 0;
    return front_write(io->front, a->offset, a->bytes, buf, flags);
}

static bool run_write(IoProgram *io, int argc, char **argv)
{
    RwArgs a = { .pattern = IO_WRITE_FILL };
    if (!parse_write(&a, argc, argv)) {
        return false;
    }
    uint8_t *buf = NULL;
    if (!a.zero) {
        buf = io_alloc(io, a.bytes, a.pattern);
        if (!buf || (a.source && !fill_from_file(buf, a.bytes, a.source))) {
            io_free(io, buf);
            return false;
        }
    }
    double start = io_now();
    int ret = do_write(io, &a, buf);
    if (ret < 0) {
        printf("write failed: %s\n", g_strerror(-ret));
    } else {
        report(&a, "wrote", start, a.bytes);
    }
    io_free(io, buf);
    return ret >= 0;
}

/* ---- readv, writev ---- */

typedef struct Wait {
    bool over;
    int ret;
} Wait;

static void wait_done(void *opaque, int ret)
{
    Wait *wait = opaque;
    wait->ret = ret;
    wait->over = true;
}

static bool parse_vector(RwArgs *a, int argc, char **argv, const char *name, const char *options)
{
    int c;
    while ((c = getopt(argc, argv, options)) != -1) {
        switch (c) {
        case 'C':
            a->machine = true;
            break;
        case 'f':
            a->fua = true;
            break;
        case 'P':
            a->has_pattern = true;
            if (!io_parse_pattern(optarg, &a->pattern)) {
                return false;
            }
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'v':
            a->dump = true;
            break;
        default:
            return io_usage(name);
        }
    }
    if (optind > argc - 2) {
        return io_usage(name);
    }
    return io_parse_number(argv[optind++], &a->offset);
}

static bool run_readv(IoProgram *io, int argc, char **argv)
{
    RwArgs a = { 0 };
    IoVec vec;
    void *buf;
    if (!parse_vector(&a, argc, argv, "readv", "CP:qv") ||
        !io_create_vector(io, &vec, &buf, argv + optind, argc - optind, IO_READ_FILL)) {
        return false;
    }
    Wait wait = { false };
    double start = io_now();
    front_aio_read(io->front, a.offset, &vec, wait_done, &wait);
    MAIN_LOOP_WHILE(!wait.over);
    bool ok = wait.ret >= 0;
    if (!ok) {
        printf("readv failed: %s\n", g_strerror(-wait.ret));
    } else {
        ok = !a.has_pattern || io_verify(buf, vec.size, a.pattern, a.offset);
        if (a.dump && !a.quiet) {
            io_dump(buf, a.offset, vec.size);
        }
        report(&a, "read", start, vec.size);
    }
    iovec_destroy(&vec);
    io_free(io, buf);
    return ok;
}

static bool run_writev(IoProgram *io, int argc, char **argv)
{
    RwArgs a = { .pattern = IO_WRITE_FILL };
    IoVec vec;
    void *buf;
    if (!parse_vector(&a, argc, argv, "writev", "CfqP:") ||
        !io_create_vector(io, &vec, &buf, argv + optind, argc - optind, a.pattern)) {
        return false;
    }
    Wait wait = { false };
    double start = io_now();
    front_aio_write(io->front, a.offset, &vec, a.fua ? BLOCK_FUA : 0, wait_done, &wait);
    MAIN_LOOP_WHILE(!wait.over);
    if (wait.ret < 0) {
        printf("writev failed: %s\n", g_strerror(-wait.ret));
    } else {
        report(&a, "wrote", start, vec.size);
    }
    iovec_destroy(&vec);
    io_free(io, buf);
    return wait.ret >= 0;
}

/* ---- discard, flush ---- */

static bool run_discard(IoProgram *io, int argc, char **argv)
{
    RwArgs a = { 0 };
    int c;
    while ((c = getopt(argc, argv, "Cq")) != -1) {
        switch (c) {
        case 'C':
            a.machine = true;
            break;
        case 'q':
            a.quiet = true;
            break;
        default:
            return io_usage("discard");
        }
    }
    if (optind != argc - 2) {
        return io_usage("discard");
    }
    if (!parse_range(&a, argv + optind)) {
        return false;
    }
    double start = io_now();
    int ret = front_discard(io->front, a.offset, a.bytes);
    if (ret < 0) {
        printf("discard failed: %s\n", g_strerror(-ret));
        return false;
    }
    report(&a, "discard", start, a.bytes);
    return true;
}

static bool run_flush(IoProgram *io, int argc, char **argv)
{
    int ret = front_flush(io->front);
    if (ret < 0) {
        printf("flush failed: %s\n", g_strerror(-ret));
    }
    return ret >= 0;
}

/* ---- registration ---- */

#define BUFFER_OPTIONS                                                         \
    " -C          one line of numbers instead of text: bytes,ops,time,rates\n" \
    " -q          print nothing about the time it took\n"

static const char read_details[] = "\n"
                                   " Reads len bytes at off into one buffer.\n"
                                   "\n"
                                   " 'read -v 512 1k' shows the second and third sector.\n"
                                   "\n"
                                   " -P pattern  every byte must be this one\n"
                                   " -s off      where in the data the bytes are that -P is about\n"
                                   " -l len      how many they are\n"
                                   " -v          dump the data\n"
                                   " -b          read from the VM state instead of the disk\n"
                                   " -p          ignored\n" BUFFER_OPTIONS "\n";

static const char write_details[] =
    "\n"
    " Writes len bytes at off from one buffer, which is full of 0xcd unless an option says "
    "otherwise.\n"
    "\n"
    " 'write -P 7 512 1k' writes sevens to the second and third sector.\n"
    "\n"
    " -P pattern  the byte to write\n"
    " -s file     write this file's bytes, again and again if it is short\n"
    " -z          write zeros, by the request that needs no data\n"
    " -u          with -z: space may be freed\n"
    " -n          with -z: fail rather than write them the slow way\n"
    " -f          be on stable storage at the end (FUA)\n"
    " -c          write compressed clusters\n"
    " -b          write to the VM state instead of the disk\n"
    " -p          ignored\n" BUFFER_OPTIONS "\n";

static const char readv_details[] =
    "\n"
    " Reads at off into one buffer for each len.\n"
    "\n"
    " 'readv -v 512 1k 1k' shows four sectors that came into two buffers.\n"
    "\n"
    " -P pattern  every byte must be this one\n"
    " -v          dump the data\n" BUFFER_OPTIONS "\n";

static const char writev_details[] =
    "\n"
    " Writes at off from one buffer for each len, all full of 0xcd.\n"
    "\n"
    " 'writev 512 1k 1k' writes four sectors from two buffers.\n"
    "\n"
    " -P pattern  the byte to write\n"
    " -f          be on stable storage at the end (FUA)\n" BUFFER_OPTIONS "\n";

static const char discard_details[] = "\n"
                                      " Says that len bytes at off are not needed any more.\n"
                                      "\n"
                                      " 'discard 512 1k' discards the second and third sector.\n"
                                      "\n" BUFFER_OPTIONS "\n";

#define FILE_RW (IO_NEEDS_FILE | IO_NEEDS_WRITE)
const IoCommand io_commands_rw[] = {
    { "read", "r", 2, -1, IO_NEEDS_FILE, run_read,
      "[-abCqv] [-P pattern [-s off] [-l len]] off len",
      "reads a number of bytes at a specified offset", read_details },
    { "write", "w", 2, -1, FILE_RW, run_write, "[-bcCfnquz] [-P pattern | -s source_file] off len",
      "writes a number of bytes at a specified offset", write_details },
    { "readv", NULL, 2, -1, IO_NEEDS_FILE, run_readv, "[-Cqv] [-P pattern] off len [len..]",
      "reads a number of bytes at a specified offset", readv_details },
    { "writev", NULL, 2, -1, FILE_RW, run_writev, "[-Cfq] [-P pattern] off len [len..]",
      "writes a number of bytes at a specified offset", writev_details },
    { "discard", "d", 2, -1, FILE_RW, run_discard, "[-Cq] off len",
      "discards a number of bytes at a specified offset", discard_details },
    { "flush", "f", 0, 0, IO_NEEDS_FILE, run_flush, NULL, "flush all in-core file state to disk" },
    { NULL },
};
