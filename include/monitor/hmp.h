/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Human monitor commands: `static const HmpCommand commands[] = {...}; HMP_REGISTER(commands)`.
 *
 * The argument specification is a list of NAME:TYPE, separated by ','. Types:
 *     s   a word or a "quoted string"      S   the rest of the line
 *     F   as s, a file name                B   as s, a block device's name
 *     i   an integer expression            l   as i, in MiB (the result is bytes)
 *     o   a size, in MiB without suffix    b   on|off
 *     -x  a flag: NAME is present if "-x" is given; -xs: it is the word that must follow "-x"
 *     /   a format as x and xp have it ("/16xb"), see hmp_arg_format()
 * A '?' behind the type makes the argument optional. Examples: "force:-f,device:s",
 * "size:i,addr:i?".
 *
 * Functions run in the main thread under the big lock. They print and never fail;
 * hmp_report_error() prints "Error: ..." in stock's way.
 */
#ifndef MONITOR_HMP_H
#define MONITOR_HMP_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Hmp Hmp;         /* where the output goes */
typedef struct HmpArgs HmpArgs; /* parsed arguments */

typedef struct HmpCommand {
    const char *name;   /* "quit|q": alternatives; "info NAME" is a command of the info table */
    const char *args;   /* specification, "" for none */
    const char *params; /* as help shows them: "[-f] device" */
    const char *help;
    void (*run)(Hmp *hmp, const HmpArgs *args);
    bool preconfig; /* may run before the machine exists */
    /* Completion of argument `n` (0-based) that begins with prefix: adds g_strdup()ed words. May be
     * NULL. */
    void (*complete)(unsigned n, const char *prefix, GPtrArray *words);
} HmpCommand;

void hmp_register_commands(const HmpCommand *commands, unsigned n);
#define HMP_REGISTER(table)                                                \
    static void __attribute__((constructor)) hmp_register_##table##_(void) \
    {                                                                      \
        hmp_register_commands(table, G_N_ELEMENTS(table));                 \
    }

void hmp_printf(Hmp *hmp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void hmp_puts(Hmp *hmp, const char *text);
/* Prints "Error: <message>" and frees *error, if there is one; returns whether there was. */
bool hmp_report_error(Hmp *hmp, GError **error);

bool hmp_arg_has(const HmpArgs *args, const char *name);
/* NULL if absent. Valid during the command. */
const char *hmp_arg_str(const HmpArgs *args, const char *name);
/* dflt if absent. */
int64_t hmp_arg_int(const HmpArgs *args, const char *name, int64_t dflt);
bool hmp_arg_bool(const HmpArgs *args, const char *name, bool dflt);
/* A '/' argument: count (1 if not given), format letter ('x' if not given), unit letter b h w g (0
 * if not given). */
void hmp_arg_format(const HmpArgs *args, const char *name, unsigned *count, char *format,
                    char *unit);

/* The CPU that commands look at (human-monitor-command's cpu-index, "cpu N"). */
int64_t hmp_cpu_index(const Hmp *hmp);
void hmp_set_cpu_index(Hmp *hmp, int64_t index);

/* Runs one line; the output, with "\r\n", appended to out. For human-monitor-command and tests. */
void hmp_run_line(const char *line, int64_t cpu_index, GString *out);

#endif
