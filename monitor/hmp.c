/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of human monitor commands, running a line, completing a word. See
 * include/monitor/hmp.h. */
#include "util/osdep.h"

#include <stdarg.h>

#include "hmp-private.h"
#include "monitor-private.h"
#include "util/error.h"

static GPtrArray *table; /* const HmpCommand *; sorted when first used */
static bool table_sorted;

/* ---- the table ---- */

void hmp_register_commands(const HmpCommand *commands, unsigned n)
{
    if (!table) {
        table = g_ptr_array_new();
    }
    for (unsigned i = 0; i < n; i++) {
        g_ptr_array_add(table, (gpointer)&commands[i]);
    }
    table_sorted = false;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const HmpCommand *const *)a)->name, (*(const HmpCommand *const *)b)->name);
}

const GPtrArray *hmp_commands(void)
{
    if (!table_sorted && table) {
        g_ptr_array_sort(table, by_name);
        table_sorted = true;
    }
    return table;
}

/* Whether `word` is one of the alternatives "a|b|c". */
static bool name_matches(const char *names, const char *word)
{
    g_auto(GStrv) list = g_strsplit(names, "|", -1);

    return g_strv_contains((const char *const *)list, word);
}

static const HmpCommand *find_name(const char *word)
{
    const GPtrArray *all = hmp_commands();

    for (guint i = 0; all && i < all->len; i++) {
        const HmpCommand *command = g_ptr_array_index(all, i);

        if (name_matches(command->name, word)) {
            return command;
        }
    }
    return NULL;
}

/* The next word; names end at blanks, and "x/4b" is command x with argument "/4b". */
static char *command_word(const char *line, const char **rest)
{
    const char *end;

    while (g_ascii_isspace(*line)) {
        line++;
    }
    end = line;
    while (*end && !g_ascii_isspace(*end) && *end != '/') {
        end++;
    }
    *rest = end;
    return g_strndup(line, (gsize)(end - line));
}

const HmpCommand *hmp_find(const char *line, const char **rest, char **name)
{
    char *word = command_word(line, rest);
    const HmpCommand *command;

    if (strcmp(word, "info") == 0) {
        const char *after;
        g_autofree char *sub = command_word(*rest, &after);

        if (*sub) {
            g_free(word);
            word = g_strdup_printf("info %s", sub);
            *rest = after;
        }
    }
    command = find_name(word);
    *name = word;
    return command;
}

/* ---- output ---- */

void hmp_puts(Hmp *hmp, const char *text)
{
    g_string_append(hmp->out, text);
}

void hmp_printf(Hmp *hmp, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(hmp->out, fmt, ap);
    va_end(ap);
}

bool hmp_report_error(Hmp *hmp, GError **error)
{
    if (!*error) {
        return false;
    }
    hmp_printf(hmp, "Error: %s\n", (*error)->message);
    g_clear_error(error);
    return true;
}

int64_t hmp_cpu_index(const Hmp *hmp)
{
    return hmp->cpu_index;
}

void hmp_set_cpu_index(Hmp *hmp, int64_t index)
{
    hmp->cpu_index = index;
}

/* ---- running ---- */

void hmp_execute(Hmp *hmp, const char *line)
{
    g_autofree char *name = NULL;
    const char *rest;
    const HmpCommand *command;
    HmpArgs *args;

    while (g_ascii_isspace(*line)) {
        line++;
    }
    if (!*line || *line == '#') {
        return;
    }
    command = hmp_find(line, &rest, &name);
    if (!command) {
        hmp_printf(hmp, "unknown command: '%s'\n", name);
        return;
    }
    if (!command->preconfig && !monitor_machine_ready()) {
        hmp_printf(hmp,
                   "Command '%s' not available with -preconfig until machine initialization has "
                   "completed.\n",
                   name);
        return;
    }
    args = hmp_args_parse(hmp, command, rest);
    if (args) {
        command->run(hmp, args);
        hmp_args_free(args);
    }
}

void hmp_run_line(const char *line, int64_t cpu_index, GString *out)
{
    Hmp hmp = { .out = g_string_new(NULL), .cpu_index = cpu_index };

    hmp_execute(&hmp, line);
    monitor_append_crlf(out, hmp.out->str, hmp.out->len);
    g_string_free(hmp.out, TRUE);
}

/* ---- completion ---- */

/* Names of commands that begin with `prefix`; within_info: of the info table, without "info ". */
static void complete_names(const char *prefix, bool within_info, GPtrArray *words)
{
    const GPtrArray *all = hmp_commands();

    for (guint i = 0; all && i < all->len; i++) {
        const HmpCommand *command = g_ptr_array_index(all, i);
        bool is_info = g_str_has_prefix(command->name, "info ");
        g_auto(GStrv) names = NULL;

        if (is_info != within_info) {
            continue;
        }
        names = g_strsplit(command->name + (is_info ? 5 : 0), "|", -1);
        for (unsigned k = 0; names[k]; k++) {
            if (g_str_has_prefix(names[k], prefix)) {
                g_ptr_array_add(words, g_strdup(names[k]));
            }
        }
    }
}

GPtrArray *hmp_complete(const char *line, size_t *start)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    const char *last = strrchr(line, ' ');
    const char *prefix = last ? last + 1 : line;
    g_autofree char *before = g_strndup(line, (gsize)(prefix - line));
    g_autofree char *name = NULL;
    const HmpCommand *command;
    const char *rest;

    g_strstrip(before);
    *start = (size_t)(prefix - line);
    if (!*before || strcmp(before, "help") == 0 || strcmp(before, "info") == 0 ||
        strcmp(before, "help info") == 0) {
        complete_names(prefix, g_str_has_suffix(before, "info"), words);
        return words;
    }
    command = hmp_find(before, &rest, &name);
    if (command && command->complete) {
        g_auto(GStrv) given = g_strsplit_set(rest, " ", -1);
        unsigned n = 0;

        for (unsigned i = 0; given[i]; i++) {
            n += given[i][0] && given[i][0] != '-';
        }
        command->complete(n, prefix, words);
    }
    return words;
}
