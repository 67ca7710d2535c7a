/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor inside: command table, arguments, line editor. */
#ifndef MONITOR_HMP_PRIVATE_H
#define MONITOR_HMP_PRIVATE_H

#include "monitor/hmp.h"

struct Hmp {
    GString *out; /* with "\n"; the transports turn it into "\r\n" */
    int64_t cpu_index;
};

typedef struct HmpArg {
    char *name;
    char *text;     /* s S F B */
    int64_t number; /* i l o b */
    unsigned count; /* '/' */
    char format, unit;
} HmpArg;

struct HmpArgs {
    GPtrArray *list; /* HmpArg */
};

/* All commands, sorted by name; the pointers are to constant data. */
const GPtrArray *hmp_commands(void);
/* Finds a command by one of its names; with "info" first, a command of the info table. *rest:
 * behind the name. */
const HmpCommand *hmp_find(const char *line, const char **rest, char **name);
/* Parses `text` as the command's specification says; prints what is wrong and returns NULL. */
HmpArgs *hmp_args_parse(Hmp *hmp, const HmpCommand *command, const char *text);
void hmp_args_free(HmpArgs *args);
/* Runs one line. */
void hmp_execute(Hmp *hmp, const char *line);
/* Possible words for the end of `line`: full words, free with g_ptr_array_unref(). *start: where
 * the word begins. */
GPtrArray *hmp_complete(const char *line, size_t *start);
/* An expression such as "0x1000+16*'a'"; *end is what follows. */
bool hmp_parse_expression(const char *text, const char **end, int64_t *value, GError **error);

#endif
