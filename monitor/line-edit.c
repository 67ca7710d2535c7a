/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See line-edit.h. Keys: ECMA-48 cursor sequences, and the control characters that shells have. */
#include "util/osdep.h"

#include <stdio.h>

#include "line-edit.h"

#define LINE_MAX_LEN 4095
#define HISTORY_MAX 64

enum {
    CTRL_A = 1,
    CTRL_B = 2,
    CTRL_C = 3,
    CTRL_D = 4,
    CTRL_E = 5,
    CTRL_F = 6,
    CTRL_H = 8,
    TAB = 9,
    CTRL_K = 11,
    CTRL_L = 12,
    CTRL_N = 14,
    CTRL_P = 16,
    CTRL_U = 21,
    CTRL_W = 23,
    ESC = 27,
    DEL = 127
};

struct LineEdit {
    const LineEditFuncs *funcs;
    void *opaque;
    char *prompt;
    GString *line;
    size_t cursor;
    GPtrArray *history; /* oldest first */
    guint shown;        /* index in history, history->len: the line being typed */
    char *typed;        /* that line, while an older one is shown */
    enum { PLAIN, AFTER_ESC, IN_CSI, AFTER_SS3 } state;
    unsigned param; /* of a control sequence */
    bool after_cr;
};

static void print(LineEdit *le, const char *text)
{
    le->funcs->print(le->opaque, text, strlen(text));
}

/* Draws the line again, the terminal's cursor being at column `from` of it. */
static void redraw(LineEdit *le, size_t from)
{
    GString *out = g_string_new(NULL);

    if (from) {
        g_string_append_printf(out, "\033[%zuD", from);
    }
    g_string_append_printf(out, "%s\033[K", le->line->str);
    if (le->line->len > le->cursor) {
        g_string_append_printf(out, "\033[%zuD", le->line->len - le->cursor);
    }
    le->funcs->print(le->opaque, out->str, out->len);
    g_string_free(out, TRUE);
}

LineEdit *line_edit_new(const char *prompt, const LineEditFuncs *funcs, void *opaque)
{
    LineEdit *le = g_new0(LineEdit, 1);

    le->funcs = funcs;
    le->opaque = opaque;
    le->prompt = g_strdup(prompt);
    le->line = g_string_new(NULL);
    le->history = g_ptr_array_new_with_free_func(g_free);
    return le;
}

void line_edit_free(LineEdit *le)
{
    g_free(le->prompt);
    g_free(le->typed);
    g_string_free(le->line, TRUE);
    g_ptr_array_unref(le->history);
    g_free(le);
}

void line_edit_show(LineEdit *le)
{
    print(le, le->prompt);
    if (le->line->len) {
        redraw(le, 0);
    }
}

void line_edit_clear(LineEdit *le)
{
    g_string_truncate(le->line, 0);
    le->cursor = 0;
    le->state = PLAIN;
    le->after_cr = false;
    le->shown = le->history->len;
    g_clear_pointer(&le->typed, g_free);
}

/* ---- editing ---- */

static void move_to(LineEdit *le, size_t to)
{
    char seq[32];

    if (to == le->cursor || to > le->line->len) {
        return;
    }
    snprintf(seq, sizeof(seq), "\033[%zu%c", to > le->cursor ? to - le->cursor : le->cursor - to,
             to > le->cursor ? 'C' : 'D');
    le->cursor = to;
    print(le, seq);
}

static void erase(LineEdit *le, size_t from, size_t to)
{
    size_t column = le->cursor;

    if (from >= to || to > le->line->len) {
        return;
    }
    g_string_erase(le->line, (gssize)from, (gssize)(to - from));
    le->cursor = from;
    redraw(le, column);
}

static void insert(LineEdit *le, const char *text, size_t len)
{
    size_t column = le->cursor;

    if (le->line->len + len > LINE_MAX_LEN) {
        return;
    }
    g_string_insert_len(le->line, (gssize)le->cursor, text, (gssize)len);
    le->cursor += len;
    if (le->cursor == le->line->len) {
        le->funcs->print(le->opaque, text, len);
    } else {
        redraw(le, column);
    }
}

static size_t word_start(const LineEdit *le)
{
    size_t i = le->cursor;

    while (i && g_ascii_isspace(le->line->str[i - 1])) {
        i--;
    }
    while (i && !g_ascii_isspace(le->line->str[i - 1])) {
        i--;
    }
    return i;
}

/* ---- history ---- */

static void remember(LineEdit *le)
{
    if (!le->line->len) {
        return;
    }
    for (guint i = 0; i < le->history->len; i++) {
        if (strcmp(g_ptr_array_index(le->history, i), le->line->str) == 0) {
            g_ptr_array_remove_index(le->history, i);
            break;
        }
    }
    if (le->history->len == HISTORY_MAX) {
        g_ptr_array_remove_index(le->history, 0);
    }
    g_ptr_array_add(le->history, g_strdup(le->line->str));
}

static void show_history(LineEdit *le, int step)
{
    size_t column = le->cursor;
    guint to = le->shown + (guint)step;

    if ((step < 0 && le->shown == 0) || to > le->history->len) {
        return;
    }
    if (le->shown == le->history->len) {
        g_free(le->typed);
        le->typed = g_strdup(le->line->str);
    }
    le->shown = to;
    g_string_assign(le->line, to < le->history->len ? g_ptr_array_index(le->history, to)
                                                    : (le->typed ? le->typed : ""));
    le->cursor = le->line->len;
    redraw(le, column);
}

/* ---- completion ---- */

static size_t common_prefix(const GPtrArray *words)
{
    const char *first = g_ptr_array_index(words, 0);
    size_t n = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        size_t k = 0;

        while (k < n && word[k] == first[k]) {
            k++;
        }
        n = k;
    }
    return n;
}

static void complete(LineEdit *le)
{
    g_autofree char *before = g_strndup(le->line->str, le->cursor);
    size_t start, typed, n;
    GPtrArray *words = le->funcs->complete(le->opaque, before, &start);

    if (words->len) {
        typed = le->cursor - start;
        n = common_prefix(words);
        if (n > typed) {
            insert(le, (const char *)g_ptr_array_index(words, 0) + typed, n - typed);
        } else if (words->len > 1) {
            print(le, "\r\n");
            for (guint i = 0; i < words->len; i++) {
                print(le, g_ptr_array_index(words, i));
                print(le, i + 1 < words->len ? " " : "\r\n");
            }
            line_edit_show(le);
        }
        if (words->len == 1 && le->cursor == le->line->len) {
            insert(le, " ", 1);
        }
    }
    g_ptr_array_unref(words);
}

/* ---- input ---- */

static void enter(LineEdit *le, bool by_cr)
{
    g_autofree char *line = NULL;

    remember(le);
    line = g_strdup(le->line->str);
    line_edit_clear(le);
    le->after_cr = by_cr;
    print(le, "\r\n");
    le->funcs->line(le->opaque, line); /* may free us */
}

static void control_key(LineEdit *le, uint8_t c)
{
    switch (c) {
    case CTRL_A:
        move_to(le, 0);
        break;
    case CTRL_E:
        move_to(le, le->line->len);
        break;
    case CTRL_B:
        move_to(le, le->cursor - 1); /* wraps to a value out of range at the start */
        break;
    case CTRL_F:
        move_to(le, le->cursor + 1);
        break;
    case CTRL_D:
        erase(le, le->cursor, le->cursor + 1);
        break;
    case CTRL_H:
    case DEL:
        if (le->cursor) {
            erase(le, le->cursor - 1, le->cursor);
        }
        break;
    case CTRL_K:
        erase(le, le->cursor, le->line->len);
        break;
    case CTRL_U:
        erase(le, 0, le->cursor);
        break;
    case CTRL_W:
        erase(le, word_start(le), le->cursor);
        break;
    case CTRL_N:
        show_history(le, 1);
        break;
    case CTRL_P:
        show_history(le, -1);
        break;
    case CTRL_L:
        print(le, "\033[2J\033[1;1H");
        line_edit_show(le);
        break;
    case TAB:
        complete(le);
        break;
    case ESC:
        le->state = AFTER_ESC;
        break;
    default:
        break;
    }
}

static void sequence_end(LineEdit *le, uint8_t c)
{
    static const uint8_t letters[] = { ['A'] = CTRL_P, ['B'] = CTRL_N, ['C'] = CTRL_F,
                                       ['D'] = CTRL_B, ['F'] = CTRL_E, ['H'] = CTRL_A };
    static const uint8_t numbers[] = {
        [1] = CTRL_A, [3] = CTRL_D, [4] = CTRL_E, [7] = CTRL_A, [8] = CTRL_E
    };
    uint8_t key = 0;

    le->state = PLAIN;
    if (c == '~' && le->param < sizeof(numbers)) {
        key = numbers[le->param];
    } else if (c < sizeof(letters)) {
        key = letters[c];
    }
    if (key) {
        control_key(le, key);
    }
}

void line_edit_input(LineEdit *le, uint8_t c)
{
    bool was_cr = le->after_cr;

    le->after_cr = false;
    switch (le->state) {
    case AFTER_ESC:
        le->state = c == '[' ? IN_CSI : c == 'O' ? AFTER_SS3 : PLAIN;
        le->param = 0;
        return;
    case AFTER_SS3:
        sequence_end(le, c);
        return;
    case IN_CSI:
        if (g_ascii_isdigit(c)) {
            le->param = (le->param * 10 + (unsigned)(c - '0')) % 1000;
        } else if (c >= 0x40) {
            sequence_end(le, c);
        }
        return;
    case PLAIN:
        break;
    }
    if (c == '\r' || c == '\n') {
        if (c == '\n' && was_cr) {
            return;
        }
        enter(le, c == '\r');
    } else if (c < 0x20 || c == DEL) {
        control_key(le, c);
    } else {
        char text = (char)c;
        insert(le, &text, 1);
    }
}
