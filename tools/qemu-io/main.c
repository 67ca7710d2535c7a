/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-io: exercises an image by commands, given with -c or typed. docs/system/qemu-io.md. */
#include "util/osdep.h"
#include "qemu-io.h"

#include <getopt.h>
#include <glib-unix.h>
#include <stdio.h>
#include "util/error.h"
#include "util/main-loop.h"

#define NAME "qemu-io"
#define PROMPT "qemu-io> "

static const char help_text[] =
    "Usage: qemu-io [OPTIONS]... [-c STRING]... [file]\n"
    "Exercises a disk image.\n"
    "\n"
    "  --object OBJECTDEF   create an object that block nodes refer to\n"
    "  --image-opts         file is a list of options, key=value,...\n"
    "  -c, --cmd STRING     run this command and exit; may be repeated\n"
    "  -f, --format FMT     format of the image\n"
    "  -r, --read-only      open it for reading only\n"
    "  -s, --snapshot       writes go to a temporary image\n"
    "  -n, --nocache        no host cache, as -t none\n"
    "  -C, --copy-on-read   copy on read\n"
    "  -m, --misalign       use buffers that are not aligned\n"
    "  -k, --native-aio     as -i native\n"
    "  -i, --aio=MODE       threads, native or io_uring\n"
    "  -t, --cache=MODE     none, writeback, writethrough, directsync or unsafe\n"
    "  -d, --discard=MODE   ignore (off) or unmap (on)\n"
    "  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
    "                       switch trace events on\n"
    "  -U, --force-share    others may write to the image\n"
    "  -h, --help           show this and exit\n"
    "  -V, --version        show the version and exit\n"
    "\n"
    "'qemu-io -c help' lists the commands.\n";

enum { OPT_OBJECT = 256, OPT_IMAGE_OPTS };

static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "cmd", required_argument, NULL, 'c' },
    { "format", required_argument, NULL, 'f' },
    { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "copy-on-read", no_argument, NULL, 'C' },
    { "misalign", no_argument, NULL, 'm' },
    { "native-aio", no_argument, NULL, 'k' },
    { "aio", required_argument, NULL, 'i' },
    { "discard", required_argument, NULL, 'd' },
    { "cache", required_argument, NULL, 't' },
    { "trace", required_argument, NULL, 'T' },
    { "force-share", no_argument, NULL, 'U' },
    { "object", required_argument, NULL, OPT_OBJECT },
    { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { NULL },
};

typedef struct Options {
    ToolOpen open;
    bool image_opts;
    bool misalign;
    GPtrArray *commands; /* borrowed strings */
    int status;          /* of the program, when parse_options() returned false */
} Options;

/* ---- commands from standard input ---- */

typedef struct Input {
    IoProgram *io;
    GString *text; /* what has been read and not run */
    bool eof, busy, ok;
} Input;

static void prompt(void)
{
    fputs(PROMPT, stdout);
    fflush(stdout);
}

/* Runs the complete lines. A command may run the main loop, so input comes in meanwhile. */
static void run_lines(Input *in)
{
    if (in->busy) {
        return;
    }
    in->busy = true;
    while (!in->io->quit) {
        char *end = strchr(in->text->str, '\n');
        if (!end && !(in->eof && in->text->len)) {
            break;
        }
        size_t n = end ? (size_t)(end - in->text->str) : in->text->len;
        g_autofree char *line = g_strndup(in->text->str, n);
        g_string_erase(in->text, 0, end ? n + 1 : n);
        in->ok &= io_run_line(in->io, line);
        if (!in->io->quit) {
            prompt();
        }
    }
    in->busy = false;
}

static gboolean input_ready(int fd, GIOCondition condition, void *opaque)
{
    Input *in = opaque;
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return TRUE;
    }
    if (n > 0) {
        g_string_append_len(in->text, buf, n);
    }
    in->eof = n <= 0;
    run_lines(in);
    return !in->eof && !in->io->quit;
}

static bool run_interactive(IoProgram *io)
{
    Input in = { .io = io, .text = g_string_new(NULL), .ok = true };
    prompt();
    unsigned source =
        g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR | G_IO_NVAL, input_ready, &in);
    MAIN_LOOP_WHILE(!in.eof && !io->quit);
    if (io->quit && !in.eof) {
        GSource *s = g_main_context_find_source_by_id(NULL, source);
        if (s) {
            g_source_destroy(s);
        }
    }
    g_string_free(in.text, TRUE);
    return in.ok;
}

/* ---- command line ---- */

static bool set_up(Options *o, int c)
{
    GError *error = NULL;
    bool listed = false;
    if (c == 'T' ? tool_trace(optarg, &listed, &error) : tool_object(optarg, &error)) {
        return !listed;
    }
    o->status = tool_fail(error);
    return false;
}

static bool open_option(Options *o, int c)
{
    IoOption taken = io_open_option(&o->open, c);
    if (taken != IO_OPTION_OTHER) {
        o->status = taken == IO_OPTION_BAD;
        return taken == IO_OPTION_TAKEN;
    }
    fputs(help_text, stdout);
    o->status = c != 'h';
    return false;
}

static bool handle_option(Options *o, int c)
{
    switch (c) {
    case 'c':
        g_ptr_array_add(o->commands, optarg);
        return true;
    case 'm':
        o->misalign = true;
        return true;
    case 'f':
        o->open.format = optarg;
        return true;
    case OPT_IMAGE_OPTS:
        o->image_opts = true;
        return true;
    case 'T':
    case OPT_OBJECT:
        return set_up(o, c);
    case 'V':
        tool_print_version(NAME);
        return false;
    default:
        return open_option(o, c);
    }
}

/* False: the program is over, with o->status. */
static bool parse_options(Options *o, int argc, char **argv)
{
    int c;
    while ((c = getopt_long(argc, argv, "hVc:d:f:rsnCmki:t:T:U", long_options, NULL)) != -1) {
        if (!handle_option(o, c)) {
            return false;
        }
    }
    o->status = 1;
    if (argc - optind > 1) {
        fputs(help_text, stdout);
        return false;
    }
    if (o->open.format && o->image_opts) {
        error_report("--image-opts and -f are mutually exclusive");
        return false;
    }
    o->status = 0;
    return true;
}

static bool open_argument(IoProgram *io, Options *o, const char *file)
{
    if (!o->image_opts) {
        o->open.filename = file;
        return io_open_file(io, &o->open);
    }
    GError *error = NULL;
    o->open.options = tool_parse_options(file, &error);
    if (!o->open.options) {
        error_report_gerror(error);
        return false;
    }
    bool ok = io_open_file(io, &o->open);
    json_object_put(o->open.options);
    return ok;
}

static void debug_notify(const char *tag, bool suspended)
{
    printf("blkdebug: %s request '%s'\n", suspended ? "Suspended" : "Resuming", tag);
    fflush(stdout);
}

static int run(Options *o, const char *file)
{
    IoProgram io = { .misalign = o->misalign };
    if (file && !open_argument(&io, o, file)) {
        return 1;
    }
    bool ok = true;
    if (o->commands->len) {
        for (unsigned i = 0; i < o->commands->len && !io.quit; i++) {
            ok &= io_run_line(&io, o->commands->pdata[i]);
        }
    } else {
        ok = run_interactive(&io);
    }
    block_drain_all();
    io_close_file(&io);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    Options o = { .open.flags = BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP };
    o.commands = g_ptr_array_new();
    tool_init(NAME);
    block_debug_set_notify(debug_notify);
    int status = parse_options(&o, argc, argv) ? run(&o, argv[optind]) : o.status;
    g_ptr_array_free(o.commands, TRUE);
    return tool_exit(status);
}
