/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: which options there are, and which were given. */
#ifndef SYSTEM_MAIN_OPTIONS_H
#define SYSTEM_MAIN_OPTIONS_H

#include <glib.h>

typedef enum OptionId {
#define SECTION(title)
#define OPTION(id, name, params, help) OPT_##id,
#define ALIAS(id, name)
#include "options.def"
#undef SECTION
#undef OPTION
#undef ALIAS
    OPT_IDS
} OptionId;

/* One option as it was given; location is "-name argument", for error texts. */
typedef struct GivenOption {
    OptionId id;
    const char *arg; /* NULL for options without */
    char *location;
} GivenOption;

typedef struct Options {
    GArray *given; /* GivenOption, in order */
} Options;

/* Parses argv; the strings must outlive the result. Prints what is wrong and returns false. */
bool options_parse(Options *options, int argc, char **argv);
bool options_has(const Options *options, OptionId id);
/* The last one's argument, NULL if it was not given. */
const char *options_last(const Options *options, OptionId id);
/* Calls func for each of that id, with errors located; prints an error and returns false at the first. */
typedef bool OptionFunc(const char *arg, GError **error);
bool options_each(const Options *options, OptionId id, OptionFunc *func);
/* -help */
char *options_help(const char *program);

#endif
