/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of qemu-io: splitting, looking up, checking, help; buffers and reports, which the commands share. */
#include "util/osdep.h"
#include "qemu-io.h"

#include <getopt.h>
#include <stdio.h>
#include <time.h>
#include "util/error.h"

/* ---- commands ---- */

static const IoCommand *const tables[] = {
    io_commands_rw, io_commands_aio, io_commands_image, io_commands_debug, io_commands_misc,
};

const IoCommand *io_find_command(const char *name)
{
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        for (const IoCommand *c = tables[t]; c->name; c++) {
            if (g_str_equal(name, c->name) || (c->alias && g_str_equal(name, c->alias))) {
                return c;
            }
        }
    }
    return NULL;
}

static void print_usage_as(const char *name, const IoCommand *command)
{
    /* An empty list of arguments leaves two blanks, none leaves one. */
    printf("%s %s%s-- %s\n", name, command->args ? command->args : "", command->args ? " " : "",
           command->oneline);
}

void io_print_usage(const IoCommand *command)
{
    print_usage_as(command->name, command);
}

bool io_usage(const char *name)
{
    io_print_usage(io_find_command(name));
    return false;
}

static int by_name(const void *a, const void *b)
{
    const IoCommand *x = *(const IoCommand *const *)a, *y = *(const IoCommand *const *)b;
    return strcmp(x->name, y->name);
}

static void help_all(void)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        for (const IoCommand *c = tables[t]; c->name; c++) {
            g_ptr_array_add(all, (gpointer)c);
        }
    }
    qsort(all->pdata, all->len, sizeof(all->pdata[0]), by_name);
    for (unsigned i = 0; i < all->len; i++) {
        io_print_usage(all->pdata[i]);
    }
    printf("\nUse 'help commandname' for extended help.\n");
}

static bool run_help(IoProgram *io, int argc, char **argv)
{
    if (argc < 2) {
        help_all();
        return true;
    }
    const IoCommand *command = io_find_command(argv[1]);
    if (!command) {
        printf("command %s not found\n", argv[1]);
        return false;
    }
    print_usage_as(argv[1], command);
    if (command->details) {
        fputs(command->details, stdout);
    }
    return true;
}

static bool run_quit(IoProgram *io, int argc, char **argv)
{
    io->quit = true;
    return true;
}

const IoCommand io_commands_misc[] = {
    { "help", "?", 0, 1, 0, run_help, "[command]", "help for one or all commands" },
    { "quit", "q", 0, -1, 0, run_quit, NULL, "exit the program" },
    { NULL },
};

static bool check_count(const IoCommand *c, const char *name, int n)
{
    if (n >= c->min_args && (c->max_args < 0 || n <= c->max_args)) {
        return true;
    }
    if (c->max_args < 0) {
        fprintf(stderr, "bad argument count %d to %s, expected at least %d arguments\n", n, name,
                c->min_args);
    } else if (c->min_args == c->max_args) {
        fprintf(stderr, "bad argument count %d to %s, expected %d arguments\n", n, name,
                c->min_args);
    } else {
        fprintf(stderr, "bad argument count %d to %s, expected between %d and %d arguments\n", n,
                name, c->min_args, c->max_args);
    }
    return false;
}

static bool run_command(IoProgram *io, int argc, char **argv)
{
    const IoCommand *command = io_find_command(argv[0]);
    if (!command) {
        fprintf(stderr, "command \"%s\" not found\n", argv[0]);
        return false;
    }
    if ((command->needs & IO_NEEDS_FILE) && !io->front) {
        fprintf(stderr, "no file open, try 'help open'\n");
        return false;
    }
    if (!check_count(command, argv[0], argc - 1)) {
        return false;
    }
    if ((command->needs & IO_NEEDS_WRITE) && front_is_read_only(io->front)) {
        error_report("Block node is read-only");
        return false;
    }
    io_getopt_begin();
    return command->run(io, argc, argv);
}

bool io_run_line(IoProgram *io, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (unsigned i = 0; words[i]; i++) {
        if (words[i][0]) {
            g_ptr_array_add(argv, words[i]);
        }
    }
    if (argv->len == 0) {
        return true;
    }
    g_ptr_array_add(argv, NULL);
    bool ok = run_command(io, argv->len - 1, (char **)argv->pdata);
    fflush(stdout);
    return ok;
}

/* ---- arguments ---- */

void io_getopt_begin(void)
{
    optind = 0; /* glibc: forgets everything about the command line before */
}

bool io_parse_number(const char *text, int64_t *value)
{
    uint64_t n;
    int ret = tool_parse_size(text, &n);
    if (ret == 0 && n > INT64_MAX) {
        ret = -ERANGE;
    }
    if (ret == -EINVAL) {
        printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n",
               text);
    } else if (ret == -ERANGE) {
        printf("Parsing error: argument too large -- %s\n", text);
    } else {
        *value = n;
    }
    return ret == 0;
}

bool io_parse_pattern(const char *text, int *value)
{
    char *end;
    long n = strtol(text, &end, 0);
    if (end == text || *end || n < 0 || n > UINT8_MAX) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *value = n;
    return true;
}

/* ---- buffers ---- */

void *io_alloc(IoProgram *io, size_t size, int fill)
{
    size_t extra = io->misalign ? IO_MISALIGN : 0;
    uint8_t *buf = block_alloc(front_node(io->front), size + extra);
    if (!buf) {
        error_report("no memory for a buffer of %zu bytes", size);
        return NULL;
    }
    memset(buf, fill, size + extra);
    return buf + extra;
}

void io_free(IoProgram *io, void *buf)
{
    if (buf) {
        free((uint8_t *)buf - (io->misalign ? IO_MISALIGN : 0));
    }
}

bool io_create_vector(IoProgram *io, IoVec *vec, void **buf, char **argv, int n, int fill)
{
    g_autofree int64_t *sizes = g_new(int64_t, n);
    int64_t total = 0;
    for (int i = 0; i < n; i++) {
        if (!io_parse_number(argv[i], &sizes[i])) {
            return false;
        }
        if (sizes[i] > IO_MAX_LENGTH) {
            printf("Argument '%s' exceeds maximum size %" PRId64 "\n", argv[i], IO_MAX_LENGTH);
            return false;
        }
        if (sizes[i] > IO_MAX_LENGTH - total) {
            printf("The total number of bytes exceed the maximum size %" PRId64 "\n",
                   IO_MAX_LENGTH);
            return false;
        }
        total += sizes[i];
    }
    uint8_t *p = io_alloc(io, total, fill);
    if (!p) {
        return false;
    }
    *buf = p;
    iovec_init(vec, n);
    for (int i = 0; i < n; i++) {
        iovec_add(vec, p, sizes[i]);
        p += sizes[i];
    }
    return true;
}

void io_dump(const void *data, int64_t offset, size_t len)
{
    const uint8_t *buf = data;
    for (size_t i = 0; i < len; i += 16) {
        size_t n = MIN(16, len - i);
        printf("%08" PRIx64 ":  ", offset + i);
        for (size_t j = 0; j < n; j++) {
            printf("%02x ", buf[i + j]);
        }
        putchar(' ');
        for (size_t j = 0; j < n; j++) {
            putchar(g_ascii_isalnum(buf[i + j]) ? buf[i + j] : '.');
        }
        putchar('\n');
    }
}

bool io_verify(const uint8_t *buf, size_t len, int pattern, int64_t offset)
{
    /* All are equal to the first, and the first is right. */
    if (len == 0 || (buf[0] == pattern && memcmp(buf, buf + 1, len - 1) == 0)) {
        return true;
    }
    printf("Pattern verification failed at offset %" PRId64 ", %zu bytes\n", offset, len);
    return false;
}

/* ---- reports ---- */

double io_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Below one second people get the short form. */
static void format_time(char *buf, size_t size, double seconds, bool fixed)
{
    unsigned whole = seconds, hundredths = (seconds - whole) * 100;
    unsigned h = whole / 3600, m = whole / 60 % 60, s = whole % 60;
    if (fixed || whole) {
        snprintf(buf, size, "%u:%02u:%02u.%02u", h, m, s, hundredths);
    } else {
        snprintf(buf, size, "%02u.%02u sec", s, hundredths);
    }
}

void io_report(const char *op, double seconds, int64_t offset, int64_t wanted, int64_t done,
               int ops, bool machine)
{
    char time[64];
    seconds = MAX(seconds, 1e-9);
    format_time(time, sizeof(time), seconds, machine);
    if (machine) {
        printf("%" PRId64 ",%d,%s,%.3f,%.3f\n", done, ops, time, (double)done / seconds,
               (double)ops / seconds);
        return;
    }
    g_autofree char *size = tool_io_size(done);
    g_autofree char *rate = tool_io_size((double)done / seconds);
    printf("%s %" PRId64 "/%" PRId64 " bytes at offset %" PRId64 "\n", op, done, wanted, offset);
    printf("%s, %d ops; %s (%s/sec and %.4f ops/sec)\n", size, ops, time, rate,
           (double)ops / seconds);
}
