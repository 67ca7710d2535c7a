/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing argv by the table in options.def, and its -help. */
#include "util/osdep.h"

#include "util/error.h"
#include "options.h"

#define HELP_COLUMN 16
#define HELP_WIDTH 100

typedef struct OptionDef {
    OptionId id;
    const char *name;   /* NULL: help is the title of a section */
    const char *params;
    const char *help;
    bool alias;
} OptionDef;

static const OptionDef table[] = {
#define SECTION(title) { OPT_IDS, NULL, NULL, title, false },
#define OPTION(id, name, params, help) { OPT_##id, name, params, help, false },
#define ALIAS(id, name) { OPT_##id, name, NULL, NULL, true },
#include "options.def"
#undef SECTION
#undef OPTION
#undef ALIAS
};

/* The entry that an alias stands for. */
static const OptionDef *main_entry(OptionId id)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].id == id && table[i].name && !table[i].alias) {
            return &table[i];
        }
    }
    g_assert_not_reached();
}

static const OptionDef *find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].name && !strcmp(table[i].name, name)) {
            return main_entry(table[i].id);
        }
    }
    return NULL;
}

static void given_clear(gpointer data)
{
    g_free(((GivenOption *)data)->location);
}

bool options_parse(Options *options, int argc, char **argv)
{
    options->given = g_array_new(FALSE, FALSE, sizeof(GivenOption));
    g_array_set_clear_func(options->given, given_clear);
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        const OptionDef *def;
        GivenOption given = { 0 };

        if (text[0] != '-' || !text[1]) {
            error_report("%s: a disk image as an argument needs an IDE disk, which this build does not have",
                         text);
            return false;
        }
        def = find(text + (text[1] == '-' ? 2 : 1));
        if (!def) {
            error_report("%s: invalid option", text);
            return false;
        }
        given.id = def->id;
        if (def->params) {
            if (i + 1 >= argc) {
                error_report("%s: requires an argument", text);
                return false;
            }
            given.arg = argv[++i];
            given.location = g_strdup_printf("%s %s", text, given.arg);
        } else {
            given.location = g_strdup(text);
        }
        g_array_append_val(options->given, given);
    }
    return true;
}

bool options_has(const Options *options, OptionId id)
{
    for (unsigned i = 0; i < options->given->len; i++) {
        if (g_array_index(options->given, GivenOption, i).id == id) {
            return true;
        }
    }
    return false;
}

const char *options_last(const Options *options, OptionId id)
{
    for (unsigned i = options->given->len; i-- > 0;) {
        const GivenOption *given = &g_array_index(options->given, GivenOption, i);

        if (given->id == id) {
            return given->arg;
        }
    }
    return NULL;
}

bool options_each(const Options *options, OptionId id, OptionFunc *func)
{
    for (unsigned i = 0; i < options->given->len; i++) {
        const GivenOption *given = &g_array_index(options->given, GivenOption, i);
        GError *error = NULL;
        bool ok;

        if (given->id != id) {
            continue;
        }
        error_location_set(given->location);
        ok = func(given->arg, &error);
        if (error) {
            error_report_gerror(error);
        }
        error_location_set(NULL);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* ---- help ---------------------------------------------------------------------------------------------- */

static void append_wrapped(GString *out, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    unsigned column = HELP_COLUMN;

    g_string_append_printf(out, "%*s", HELP_COLUMN, "");
    for (unsigned i = 0; words[i]; i++) {
        unsigned len = strlen(words[i]);

        if (i && column + 1 + len > HELP_WIDTH) {
            g_string_append_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (i) {
            g_string_append_c(out, ' ');
            column++;
        }
        g_string_append(out, words[i]);
        column += len;
    }
    g_string_append_c(out, '\n');
}

char *options_help(const char *program)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "usage: %s [options]\n", program);
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        const OptionDef *def = &table[i];

        if (!def->name) {
            g_string_append_printf(out, "\n%s:\n", def->help);
        } else if (!def->alias) {
            size_t start = out->len;

            g_string_append_printf(out, "-%s", def->name);
            for (unsigned j = 0; j < G_N_ELEMENTS(table); j++) {
                if (table[j].alias && table[j].id == def->id) {
                    g_string_append_printf(out, ", -%s", table[j].name);
                }
            }
            if (def->params) {
                g_string_append_printf(out, " %s", def->params);
            }
            if (out->len - start < HELP_COLUMN - 1 && strlen(def->help) < HELP_WIDTH - HELP_COLUMN) {
                g_string_append_printf(out, "%*s%s\n", (int)(HELP_COLUMN - (out->len - start)), "", def->help);
            } else {
                g_string_append_c(out, '\n');
                append_wrapped(out, def->help);
            }
        }
    }
    g_string_append(out, "\nDuring a session on the terminal 'quit' in the monitor ends the program.\n");
    return g_string_free(out, FALSE);
}
