/* SPDX-License-Identifier: GPL-2.0-or-later */
/* open, close, reopen, and what is to be known of the image that is open. */
#include "util/osdep.h"
#include "qemu-io.h"

#include <getopt.h>
#include <stdio.h>
#include "qapi/qapi.h"
#include "util/error.h"

/* ---- the open file ---- */

static void forget(ToolOpen *open)
{
    g_free((char *)open->filename);
    g_free((char *)open->format);
    if (open->options) {
        json_object_put(open->options);
    }
    *open = (ToolOpen){ 0 };
}

static ToolOpen copy_of(const ToolOpen *open)
{
    ToolOpen copy = *open;
    copy.filename = g_strdup(open->filename);
    copy.format = g_strdup(open->format);
    copy.options = open->options ? json_object_get(open->options) : NULL;
    return copy;
}

bool io_open_file(IoProgram *io, const ToolOpen *open)
{
    GError *error = NULL;
    if (io->front) {
        error_report("file open already, try 'help close'");
        return false;
    }
    io->front = tool_open(open, &error);
    if (!io->front) {
        error_prefix(&error, "can't open%s%s: ", open->filename ? " device " : "",
                     open->filename ? open->filename : "");
        error_report_gerror(error);
        return false;
    }
    io->open = copy_of(open);
    return true;
}

void io_close_file(IoProgram *io)
{
    if (io->front) {
        front_drain(io->front);
        front_unref(io->front);
        io->front = NULL;
        forget(&io->open);
    }
}

/* Adds "key=value,..." to *options. */
static bool add_options(json_object **options, const char *text)
{
    GError *error = NULL;
    json_object *more = tool_parse_options(text, &error);
    if (!more) {
        error_report_gerror(error);
        return false;
    }
    if (!*options) {
        *options = more;
        return true;
    }
    json_object_object_foreach(more, key, value)
    {
        json_object_object_add(*options, key, json_object_get(value));
    }
    json_object_put(more);
    return true;
}

static bool bad_mode(const char *what)
{
    error_report("Invalid %s option: %s", what, optarg);
    return false;
}

static IoOption take_mode(bool good, const char *what)
{
    if (good) {
        return IO_OPTION_TAKEN;
    }
    bad_mode(what);
    return IO_OPTION_BAD;
}

IoOption io_open_option(ToolOpen *open, int c)
{
    switch (c) {
    case 's':
        open->snapshot = true;
        break;
    case 'n':
        open->flags |= BLOCK_OPEN_DIRECT;
        break;
    case 'C':
        open->copy_on_read = true;
        break;
    case 'r':
        open->flags &= ~BLOCK_OPEN_RDWR;
        break;
    case 'k':
        open->aio = "native";
        break;
    case 'U':
        open->force_share = true;
        break;
    case 't':
        return take_mode(tool_parse_cache(optarg, &open->flags, &open->writethrough), "cache");
    case 'd':
        return take_mode(tool_parse_discard(optarg, &open->flags), "discard");
    case 'i':
        open->aio = tool_parse_aio(optarg);
        return take_mode(open->aio, "aio");
    default:
        return IO_OPTION_OTHER;
    }
    return IO_OPTION_TAKEN;
}

/* False: the command is over and has failed. */
static bool open_option(ToolOpen *open, int c)
{
    IoOption taken = io_open_option(open, c);
    if (taken != IO_OPTION_OTHER) {
        return taken == IO_OPTION_TAKEN;
    }
    return c == 'o' ? add_options(&open->options, optarg) : io_usage("open");
}

static bool run_open(IoProgram *io, int argc, char **argv)
{
    ToolOpen open = { .flags = BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP };
    bool ok = true;
    int c;
    while (ok && (c = getopt(argc, argv, "snCro:ki:t:d:U")) != -1) {
        ok = open_option(&open, c);
    }
    if (ok && optind < argc - 1) {
        ok = io_usage("open");
    }
    if (ok) {
        open.filename = optind < argc ? argv[optind] : NULL;
        ok = io_open_file(io, &open);
    }
    if (open.options) {
        json_object_put(open.options);
    }
    return ok;
}

static bool run_close(IoProgram *io, int argc, char **argv)
{
    io_close_file(io);
    return true;
}

/* ---- reopen ---- */

typedef struct Reopen {
    json_object *options; /* NULL: none */
    bool has_mode, writable, has_cache, writethrough;
    unsigned flags;
} Reopen;

static bool has_member(const QapiType *type, const char *name)
{
    for (unsigned i = 0; type && i < type->n_members; i++) {
        if (g_str_equal(type->members[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool cannot_change(const char *key)
{
    error_report("Cannot change the option '%s'", key);
    return false;
}

/* The driver stays what it is, and the options have to be its own. */
static bool check_options(const BlockNode *node, json_object *options)
{
    const QapiType *own = NULL;
    for (unsigned i = 0; i < qapi_type_BlockdevOptions.n_branches; i++) {
        if (qapi_type_BlockdevOptions.branches[i].value == (int)node->driver->qapi_driver) {
            own = qapi_type_BlockdevOptions.branches[i].type;
        }
    }
    json_object_object_foreach(options, key, value)
    {
        bool driver = g_str_equal(key, "driver");
        if (driver ? !g_str_equal(json_object_get_string(value), node->driver->name)
                   : !has_member(&qapi_type_BlockdevOptions, key) && !has_member(own, key)) {
            return cannot_change(key);
        }
    }
    return true;
}

static bool parse_reopen(IoProgram *io, Reopen *r, int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "c:o:rw")) != -1) {
        switch (c) {
        case 'c':
            r->has_cache = true;
            if (!tool_parse_cache(optarg, &r->flags, &r->writethrough)) {
                return bad_mode("cache");
            }
            break;
        case 'o':
            if (!add_options(&r->options, optarg)) {
                return false;
            }
            break;
        case 'r':
        case 'w':
            if (r->has_mode) {
                error_report("Only one -r/-w option may be given");
                return false;
            }
            r->has_mode = true;
            r->writable = c == 'w';
            break;
        default:
            return io_usage("reopen");
        }
    }
    if (optind != argc) {
        return io_usage("reopen");
    }
    json_object *o = r->options;
    if (o && r->has_mode && json_object_object_get_ex(o, "read-only", NULL)) {
        error_report("Cannot set both -r/-w and 'read-only'");
        return false;
    }
    if (o && r->has_cache && json_object_object_get_ex(o, "cache", NULL)) {
        error_report("Cannot set both -c and the cache options");
        return false;
    }
    return !o || check_options(front_node(io->front), o);
}

/* Old options, and the new ones over them. */
static json_object *merged(json_object *old, json_object *options)
{
    json_object *o = json_object_new_object();
    json_object *const parts[] = { old, options };
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (!parts[i]) {
            continue;
        }
        json_object_object_foreach(parts[i], key, value)
        {
            json_object_object_add(o, key, json_object_get(value));
        }
    }
    return o;
}

/* A new life with other options. If that cannot be, the old one is continued. */
static bool run_reopen(IoProgram *io, int argc, char **argv)
{
    Reopen r = { .flags = io->open.flags, .writethrough = io->open.writethrough };
    bool ok = parse_reopen(io, &r, argc, argv);
    if (ok) {
        ToolOpen old = copy_of(&io->open), new = copy_of(&io->open);
        if (r.has_mode) {
            r.flags = r.writable ? r.flags | BLOCK_OPEN_RDWR : r.flags & ~BLOCK_OPEN_RDWR;
        }
        new.flags = r.flags;
        new.writethrough = r.writethrough;
        if (new.options) {
            json_object_put(new.options);
        }
        new.options = merged(old.options, r.options);
        if (new.format) {
            json_object_object_del(new.options, "driver");
        }
        io_close_file(io);
        ok = io_open_file(io, &new);
        if (!ok) {
            io_open_file(io, &old);
        }
        forget(&old);
        forget(&new);
    }
    if (r.options) {
        json_object_put(r.options);
    }
    return ok;
}

/* ---- facts ---- */

static bool run_length(IoProgram *io, int argc, char **argv)
{
    int64_t length = front_length(io->front);
    if (length < 0) {
        printf("getlength: %s\n", g_strerror(-length));
        return false;
    }
    g_autofree char *text = tool_io_size(length);
    printf("%s\n", text);
    return true;
}

static bool run_truncate(IoProgram *io, int argc, char **argv)
{
    int prealloc = PREALLOC_MODE_OFF;
    int c;
    while ((c = getopt(argc, argv, "m:")) != -1) {
        if (c != 'm') {
            return io_usage("truncate");
        }
        prealloc = qapi_parse_PreallocMode(optarg);
        if (prealloc < 0) {
            error_report("Invalid preallocation mode '%s'", optarg);
            return false;
        }
    }
    int64_t length;
    GError *error = NULL;
    if (optind != argc - 1) {
        return io_usage("truncate");
    }
    if (!io_parse_number(argv[optind], &length)) {
        return false;
    }
    if (!front_truncate(io->front, length, false, prealloc, &error)) {
        error_report_gerror(error);
        return false;
    }
    return true;
}

static bool run_info(IoProgram *io, int argc, char **argv)
{
    BlockNode *node = front_node(io->front);
    BlockDriverInfo info;
    int ret = block_node_info(node, &info);
    if (ret < 0 && ret != -ENOTSUP) {
        printf("info: %s\n", g_strerror(-ret));
        return false;
    }
    g_autofree char *cluster = tool_io_size(info.cluster_size);
    g_autofree char *vm_state = tool_io_size(info.vm_state_offset);
    printf("format name: %s\n", node->driver->name);
    if (node->driver->protocol) {
        printf("format name: %s\n", node->driver->protocol);
    }
    printf("cluster size: %s\nvm state offset: %s\n", cluster, vm_state);
    json_object *specific = tool_specific(node);
    if (specific) {
        printf("Format specific information:\n");
        tool_print_value(json_object_object_get(specific, "data"), 1);
        json_object_put(specific);
    }
    return true;
}

/* 1: this image has it, 0: it has not, or -errno. Of *bytes at offset so many are equal. */
static int allocated(BlockNode *node, int64_t offset, int64_t *bytes)
{
    uint64_t n = 0;
    int ret = block_status_above(node, block_backing_node(node), false, offset, *bytes, &n, NULL,
                                 NULL, NULL);
    *bytes = n;
    return ret < 0 ? ret : !!(ret & BLOCK_STATUS_ALLOCATED);
}

static bool run_alloc(IoProgram *io, int argc, char **argv)
{
    int64_t offset, count = BLOCK_SECTOR, total, done = 0;
    if (!io_parse_number(argv[1], &offset) || (argc == 3 && !io_parse_number(argv[2], &count))) {
        return false;
    }
    int64_t length = front_length(io->front);
    if (length < 0) {
        printf("getlength: %s\n", g_strerror(-length));
        return false;
    }
    total = MIN(count, MAX(length - offset, 0));
    for (int64_t at = 0; at < total;) {
        int64_t n = total - at;
        int ret = allocated(front_node(io->front), offset + at, &n);
        if (ret < 0) {
            printf("is_allocated failed: %s\n", g_strerror(-ret));
            return false;
        }
        done += ret ? n : 0;
        at += n;
        if (n == 0) {
            break;
        }
    }
    g_autofree char *text = tool_io_size(offset);
    printf("%" PRId64 "/%" PRId64 " bytes allocated at offset %s\n", done, total, text);
    return true;
}

static void print_area(int64_t offset, int64_t bytes, bool is_allocated)
{
    g_autofree char *size = tool_io_size(bytes);
    g_autofree char *place = tool_io_size(offset);
    printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", size, bytes,
           is_allocated ? "   " : "not", place, offset);
}

static bool run_map(IoProgram *io, int argc, char **argv)
{
    BlockNode *node = front_node(io->front);
    int64_t length = front_length(io->front), start = 0;
    int last = -1;
    if (length < 0) {
        error_report("Failed to query image length: %s", g_strerror(-length));
        return false;
    }
    for (int64_t at = 0; at < length;) {
        int64_t n = length - at;
        int ret = allocated(node, at, &n);
        if (ret < 0) {
            error_report("Failed to get allocation status: %s", g_strerror(-ret));
            return false;
        }
        if (n == 0) {
            error_report("Unexpected end of image");
            return false;
        }
        if (last >= 0 && ret != last) {
            print_area(start, at - start, last);
            start = at;
        }
        last = ret;
        at += n;
    }
    if (last >= 0) {
        print_area(start, length - start, last);
    }
    return true;
}

static const char open_details[] =
    "\n"
    " Opens a file for all other commands.\n"
    "\n"
    " 'open -n -o driver=raw /tmp/data' opens a raw image for reading and writing, past the host's "
    "cache.\n"
    "\n"
    " -r          for reading only\n"
    " -s          writes go to a temporary image on top\n"
    " -C          copy on read\n"
    " -n          no host cache, as -t none\n"
    " -t mode     none, writeback, writethrough, directsync or unsafe\n"
    " -d mode     discard: ignore (off) or unmap (on)\n"
    " -i mode     threads, native or io_uring\n"
    " -k          as -i native\n"
    " -U          others may write to it\n"
    " -o options  of the block drivers, key=value,...\n"
    "\n";

static const char reopen_details[] = "\n"
                                     " Opens the file that is open anew with other options.\n"
                                     "\n"
                                     " 'reopen -o lazy-refcounts=on' changes an option of qcow2.\n"
                                     "\n"
                                     " -r          for reading only\n"
                                     " -w          for reading and writing\n"
                                     " -c mode     cache mode, as -t of 'open'\n"
                                     " -o options  those that change\n"
                                     "\n";

const IoCommand io_commands_image[] = {
    { "open", "o", 1, -1, 0, run_open, "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
      "open the file specified by path", open_details },
    { "close", "c", 0, 0, IO_NEEDS_FILE, run_close, NULL, "close the current open file" },
    { "reopen", NULL, 0, -1, IO_NEEDS_FILE, run_reopen, "[(-r|-w)] [-c cache] [-o options]",
      "reopens an image with new options", reopen_details },
    { "length", "l", 0, 0, IO_NEEDS_FILE, run_length, NULL, "gets the length of the current file" },
    { "truncate", "t", 1, 3, IO_NEEDS_FILE | IO_NEEDS_WRITE, run_truncate, "[-m prealloc_mode] off",
      "truncates the current file at the given offset" },
    { "info", "i", 0, 0, IO_NEEDS_FILE, run_info, NULL,
      "prints information about the current file" },
    { "map", NULL, 0, 0, IO_NEEDS_FILE, run_map, "", "prints the allocated areas of a file" },
    { "alloc", "a", 1, 2, IO_NEEDS_FILE, run_alloc, "offset [count]",
      "checks if offset is allocated in the file" },
    { NULL },
};
