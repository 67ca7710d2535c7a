/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img: makes, converts and examines disk images. docs/system/qemu-img.md. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "util/error.h"

#define NAME "qemu-img"

static const ImgCommand commands[] = {
    { "amend", img_amend,
      "[--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options "
      "filename" },
    { "bench", img_bench,
      "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] "
      "[-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] "
      "filename" },
    { "bitmap", img_bitmap,
      "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F "
      "source_fmt]] [-g granularity] [--object objectdef] [--image-opts | -f fmt] filename "
      "bitmap" },
    { "check", img_check,
      "[--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T "
      "src_cache] [-U] filename" },
    { "commit", img_commit,
      "[--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] "
      "[-p] filename" },
    { "compare", img_compare,
      "[--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] "
      "filename1 filename2" },
    { "convert", img_convert,
      "[--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] "
      "[-U] [-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B "
      "backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] [-S sparse_size] [-r "
      "rate_limit] [-m num_coroutines] [-W] [--salvage] filename [filename2 [...]] "
      "output_filename" },
    { "create", img_create,
      "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] "
      "filename [size]" },
    { "dd", img_dd,
      "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] "
      "if=input of=output" },
    { "info", img_info,
      "[--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] "
      "filename" },
    { "map", img_map,
      "[--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] "
      "[--output=ofmt] [-U] filename" },
    { "measure", img_measure,
      "[--output=ofmt] [-O output_fmt] [-o options] [--size N | [--object objectdef] "
      "[--image-opts] "
      "[-f fmt] [-l snapshot_param] filename]" },
    { "snapshot", img_snapshot,
      "[--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d "
      "snapshot] "
      "filename" },
    { "rebase", img_rebase,
      "[--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] "
      "-b backing_file [-F backing_fmt] filename" },
    { "resize", img_resize,
      "[--object objectdef] [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] "
      "filename [+ | -]size" },
};

static const char help_head[] =
    "usage: qemu-img [standard options] command [command options]\n"
    "Makes, converts and examines disk images.\n"
    "\n"
    "    '-h', '--help'       show this and exit\n"
    "    '-V', '--version'    show the version and exit\n"
    "    '-T', '--trace'      [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
    "                         switch trace events on\n"
    "\n"
    "Command syntax:\n";

static const char help_tail[] =
    "\n"
    "  fmt, ofmt     format of an image (below; found out if it is not given); human or json\n"
    "  cache         none, writeback, writethrough, directsync or unsafe; writeback if not given,\n"
    "                unsafe for what convert writes\n"
    "  size          bytes; suffixes k, M, G, T, P, E are powers of 1024\n"
    "  options       name=value,...; -o help shows those of a format\n"
    "  snapshot      its name or id; snapshot_param: also snapshot.id=ID,snapshot.name=NAME\n"
    "  -p, -q        progress; no output but errors\n"
    "  -U            others may write to the image meanwhile\n"
    "\n"
    "The manual page qemu-img(1) has the rest.\n";

static void collect(const BlockDriver *driver, void *opaque)
{
    g_ptr_array_add(opaque, (gpointer)driver->name);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int help(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    tool_print_version(NAME);
    fputs(help_head, stdout);
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        printf("  %s %s\n", commands[i].name, commands[i].args);
    }
    fputs(help_tail, stdout);
    block_driver_for_each(collect, names);
    g_ptr_array_sort(names, by_name);
    printf("\nSupported formats:");
    for (unsigned i = 0; i < names->len; i++) {
        printf(" %s", (const char *)names->pdata[i]);
    }
    printf("\n");
    return 0;
}

static const struct option long_options[] = {
    IMG_LONG_HELP,
    { "version", no_argument, NULL, 'V' },
    { "trace", required_argument, NULL, 'T' },
    { NULL },
};

/* Returns -1 to go on, else the exit status. */
static int standard_option(int c, char **argv)
{
    GError *error = NULL;
    bool listed;
    switch (c) {
    case 'h':
        return help();
    case 'V':
        tool_print_version(NAME);
        return 0;
    case 'T':
        return !tool_trace(optarg, &listed, &error) ? tool_fail(error) : listed ? 0 : -1;
    case ':':
        return img_usage("missing argument for option '%s'", argv[optind - 1]);
    default:
        return img_usage("unrecognized option '%s'", argv[optind - 1]);
    }
}

static int run(int argc, char **argv)
{
    int c;
    while ((c = getopt_long(argc, argv, "+:hVT:", long_options, NULL)) != -1) {
        int status = standard_option(c, argv);
        if (status >= 0) {
            return status;
        }
    }
    if (optind == argc) {
        return img_usage("Not enough arguments");
    }
    argc -= optind;
    argv += optind;
    optind = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(argv[0], commands[i].name)) {
            return commands[i].run(argc, argv);
        }
    }
    return img_usage("Command not found: %s", argv[0]);
}

bool img_common_option(int c, char **argv, int *status)
{
    GError *error = NULL;
    switch (c) {
    case 'h':
        *status = help();
        return false;
    case IMG_OPT_OBJECT:
        if (tool_object(optarg, &error)) {
            return true;
        }
        *status = tool_fail(error);
        return false;
    case ':':
        *status = img_usage("missing argument for option '%s'", argv[optind - 1]);
        return false;
    default:
        *status = img_usage("unrecognized option '%s'", argv[optind - 1]);
        return false;
    }
}

bool img_source_option(int c, char **argv, ImgSource *source, int *status)
{
    switch (c) {
    case 'f':
        source->format = optarg;
        return true;
    case 'U':
        source->force_share = true;
        return true;
    case IMG_OPT_IMAGE_OPTS:
        source->image_opts = true;
        return true;
    default:
        return img_common_option(c, argv, status);
    }
}

int main(int argc, char **argv)
{
    tool_init(NAME);
    return tool_exit(run(argc, argv));
}
