/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments of human monitor commands, by the specification in the command's record
 * (include/monitor/hmp.h). */
#include "util/osdep.h"

#include "hmp-private.h"
#include "util/error.h"
#include "util/keyval.h"

/* One element of a specification. */
typedef struct Spec {
    char name[40];
    char type;   /* '-' for a flag */
    char letter; /* of the flag */
    bool value;  /* the flag has a word behind it */
    bool optional;
} Spec;

/* Reads the next element; false at the end. A malformed specification is our own mistake. */
static bool next_spec(const char **p, Spec *spec)
{
    const char *colon;

    if (!**p) {
        return false;
    }
    colon = strchr(*p, ':');
    g_assert(colon && (size_t)(colon - *p) < sizeof(spec->name));
    memset(spec, 0, sizeof(*spec));
    memcpy(spec->name, *p, (size_t)(colon - *p));
    spec->type = colon[1];
    *p = colon + 2;
    if (spec->type == '-') {
        spec->letter = *(*p)++;
        spec->value = **p == 's';
        *p += spec->value;
    }
    if (**p == '?') {
        spec->optional = true;
        (*p)++;
    }
    g_assert(**p == ',' || **p == '\0');
    if (**p == ',') {
        (*p)++;
    }
    return true;
}

static void skip_blanks(const char **p)
{
    while (g_ascii_isspace(**p)) {
        (*p)++;
    }
}

/* A word, or a string in double quotes with \n \r \\ \' \" in it. NULL with a message, or at the
 * end of the line. */
static char *take_word(Hmp *hmp, const char **p)
{
    GString *word;

    skip_blanks(p);
    if (!**p) {
        return NULL;
    }
    word = g_string_new(NULL);
    if (**p != '"') {
        while (**p && !g_ascii_isspace(**p)) {
            g_string_append_c(word, *(*p)++);
        }
        return g_string_free(word, FALSE);
    }
    (*p)++;
    while (**p && **p != '"') {
        char c = *(*p)++;

        if (c == '\\') {
            c = **p;
            if (!c || !strchr("nr\\'\"", c)) {
                hmp_printf(hmp, "unsupported escape code: '\\%c'\n", c);
                g_string_free(word, TRUE);
                return NULL;
            }
            (*p)++;
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        g_string_append_c(word, c);
    }
    if (**p != '"') {
        hmp_puts(hmp, "unterminated string\n");
        g_string_free(word, TRUE);
        return NULL;
    }
    (*p)++;
    return g_string_free(word, FALSE);
}

static bool complain(Hmp *hmp, const HmpCommand *command, const char *what)
{
    const char *bar = strchr(command->name, '|');
    int len = bar ? (int)(bar - command->name) : (int)strlen(command->name);
    const char *shown =
        g_str_has_prefix(command->name, "info ") ? command->name + 5 : command->name;

    hmp_printf(hmp, "%s: %s\nTry \"help %.*s\" for more information\n", shown, what, len,
               command->name);
    return false;
}

static void free_arg(gpointer p)
{
    HmpArg *arg = p;

    g_free(arg->name);
    g_free(arg->text);
    g_free(arg);
}

static HmpArg *add_arg(HmpArgs *args, const Spec *spec)
{
    HmpArg *arg = g_new0(HmpArg, 1);

    arg->name = g_strdup(spec->name);
    g_ptr_array_add(args->list, arg);
    return arg;
}

static bool parse_text(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                       HmpArgs *args)
{
    char *word = take_word(hmp, p);

    if (!word) {
        if (spec->optional && !**p) {
            return true;
        }
        return complain(hmp, command,
                        spec->type == 'F'   ? "filename expected"
                        : spec->type == 'B' ? "block device name expected"
                                            : "string expected");
    }
    add_arg(args, spec)->text = word;
    return true;
}

static bool parse_rest(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                       HmpArgs *args)
{
    HmpArg *arg;

    skip_blanks(p);
    if (!**p) {
        return spec->optional || complain(hmp, command, "string expected");
    }
    arg = add_arg(args, spec);
    arg->text = g_strdup(*p);
    g_strchomp(arg->text);
    *p += strlen(*p);
    return true;
}

static bool parse_integer(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                          HmpArgs *args)
{
    g_autoptr(GError) error = NULL;
    int64_t value;

    skip_blanks(p);
    if (spec->optional && !**p) {
        return true;
    }
    if (!hmp_parse_expression(*p, p, &value, &error)) {
        return complain(hmp, command, error->message);
    }
    if (spec->type == 'l') {
        value =
            value < INT64_MAX >> 20 && value > -(INT64_MAX >> 20) ? value * (1 << 20) : INT64_MAX;
    }
    add_arg(args, spec)->number = value;
    return true;
}

static bool parse_size_arg(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                           HmpArgs *args)
{
    g_autofree char *word = take_word(hmp, p);
    uint64_t value;

    if (!word && spec->optional && !**p) {
        return true;
    }
    if (!word || !parse_size(word, 1 << 20, &value, NULL) || value > INT64_MAX) {
        return complain(hmp, command, "invalid size");
    }
    add_arg(args, spec)->number = (int64_t)value;
    return true;
}

static bool parse_switch(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                         HmpArgs *args)
{
    g_autofree char *word = take_word(hmp, p);

    if (!word && spec->optional && !**p) {
        return true;
    }
    if (!word || (strcmp(word, "on") && strcmp(word, "off"))) {
        return complain(hmp, command, "Expected 'on' or 'off'");
    }
    add_arg(args, spec)->number = strcmp(word, "on") == 0;
    return true;
}

/* "/COUNTfu": count, then format and unit letters in any order. */
static bool parse_format(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                         HmpArgs *args)
{
    HmpArg *arg = add_arg(args, spec);
    char *end;

    arg->count = 1;
    arg->format = 'x';
    skip_blanks(p);
    if (**p != '/') {
        return true;
    }
    (*p)++;
    if (g_ascii_isdigit(**p)) {
        errno = 0;
        arg->count = (unsigned)strtoul(*p, &end, 10);
        if (errno || arg->count > 1u << 24) {
            return complain(hmp, command, "count is too large");
        }
        *p = end;
    }
    for (; **p && !g_ascii_isspace(**p); (*p)++) {
        if (strchr("oduxcis", **p)) {
            arg->format = **p;
        } else if (strchr("bhwg", **p)) {
            arg->unit = **p;
        } else {
            g_autofree char *what = g_strdup_printf("invalid char in format: '%c'", **p);
            return complain(hmp, command, what);
        }
    }
    return true;
}

static bool parse_flag(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                       HmpArgs *args)
{
    skip_blanks(p);
    if ((*p)[0] == '-' && (*p)[1] == spec->letter && (!(*p)[2] || g_ascii_isspace((*p)[2]))) {
        *p += 2;
        if (spec->value) {
            return parse_text(hmp, command, spec, p, args);
        }
        add_arg(args, spec);
    }
    return true;
}

/* A "-x" where a flag may stand that no flag of the command claims. */
static bool check_unknown_flag(Hmp *hmp, const HmpCommand *command, const char *p)
{
    const char *all = command->args;
    Spec spec;

    skip_blanks(&p);
    if (p[0] != '-' || !g_ascii_isalpha(p[1])) {
        return true;
    }
    while (next_spec(&all, &spec)) {
        if (spec.type == '-' && spec.letter == p[1]) {
            return true;
        }
    }
    {
        g_autofree char *what = g_strdup_printf("unsupported option -%c", p[1]);
        return complain(hmp, command, what);
    }
}

static bool parse_one(Hmp *hmp, const HmpCommand *command, const Spec *spec, const char **p,
                      HmpArgs *args)
{
    switch (spec->type) {
    case 's':
    case 'F':
    case 'B':
        return parse_text(hmp, command, spec, p, args);
    case 'S':
        return parse_rest(hmp, command, spec, p, args);
    case 'i':
    case 'l':
        return parse_integer(hmp, command, spec, p, args);
    case 'o':
        return parse_size_arg(hmp, command, spec, p, args);
    case 'b':
        return parse_switch(hmp, command, spec, p, args);
    case '/':
        return parse_format(hmp, command, spec, p, args);
    case '-':
        return check_unknown_flag(hmp, command, *p) && parse_flag(hmp, command, spec, p, args);
    default:
        g_assert_not_reached();
    }
}

HmpArgs *hmp_args_parse(Hmp *hmp, const HmpCommand *command, const char *text)
{
    HmpArgs *args = g_new0(HmpArgs, 1);
    const char *specs = command->args;
    Spec spec;

    args->list = g_ptr_array_new_with_free_func(free_arg);
    while (next_spec(&specs, &spec)) {
        if (!parse_one(hmp, command, &spec, &text, args)) {
            hmp_args_free(args);
            return NULL;
        }
    }
    skip_blanks(&text);
    if (*text) {
        complain(hmp, command, "extraneous characters at the end of line");
        hmp_args_free(args);
        return NULL;
    }
    return args;
}

void hmp_args_free(HmpArgs *args)
{
    g_ptr_array_unref(args->list);
    g_free(args);
}

/* ---- for commands ---- */

static const HmpArg *find_arg(const HmpArgs *args, const char *name)
{
    for (guint i = 0; i < args->list->len; i++) {
        const HmpArg *arg = g_ptr_array_index(args->list, i);

        if (strcmp(arg->name, name) == 0) {
            return arg;
        }
    }
    return NULL;
}

bool hmp_arg_has(const HmpArgs *args, const char *name)
{
    return find_arg(args, name) != NULL;
}

const char *hmp_arg_str(const HmpArgs *args, const char *name)
{
    const HmpArg *arg = find_arg(args, name);

    return arg ? arg->text : NULL;
}

int64_t hmp_arg_int(const HmpArgs *args, const char *name, int64_t dflt)
{
    const HmpArg *arg = find_arg(args, name);

    return arg ? arg->number : dflt;
}

bool hmp_arg_bool(const HmpArgs *args, const char *name, bool dflt)
{
    return hmp_arg_int(args, name, dflt) != 0;
}

void hmp_arg_format(const HmpArgs *args, const char *name, unsigned *count, char *format,
                    char *unit)
{
    const HmpArg *arg = find_arg(args, name);

    *count = arg ? arg->count : 1;
    *format = arg ? arg->format : 'x';
    *unit = arg ? arg->unit : '\0';
}
