/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer expressions of the human monitor: C's operators + - * / % & | ^ ~ and parentheses on
 * 64-bit numbers. */
#include "util/osdep.h"

#include "hmp-private.h"
#include "util/error.h"

#define MAX_DEPTH 32

typedef struct Expr {
    const char *p;
    unsigned depth;
    GError **error;
} Expr;

static bool parse_level(Expr *e, int level, int64_t *value);

static void skip_blanks(Expr *e)
{
    while (g_ascii_isspace(*e->p)) {
        e->p++;
    }
}

static bool parse_number(Expr *e, int64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(*e->p)) {
        return *e->p ? error_set(e->error, "invalid char '%c' in expression", *e->p)
                     : error_set(e->error, "unexpected end of expression");
    }
    errno = 0;
    *value = (int64_t)strtoull(e->p, &end, 0);
    if (errno) {
        return error_set(e->error, "number too large");
    }
    e->p = end;
    skip_blanks(e);
    return true;
}

static bool parse_unary(Expr *e, int64_t *value)
{
    char c = *e->p;
    bool ok;

    if (c != '+' && c != '-' && c != '~' && c != '(' && c != '\'') {
        return parse_number(e, value);
    }
    if (++e->depth > MAX_DEPTH) {
        return error_set(e->error, "expression is too deeply nested");
    }
    e->p++;
    if (c == '\'') {
        if (!e->p[0] || e->p[1] != '\'') {
            return error_set(e->error, "missing terminating ' character");
        }
        *value = (unsigned char)e->p[0];
        e->p += 2;
        skip_blanks(e);
        ok = true;
    } else if (c == '(') {
        skip_blanks(e);
        ok = parse_level(e, 0, value);
        if (ok && *e->p != ')') {
            return error_set(e->error, "')' expected");
        }
        e->p += ok;
        skip_blanks(e);
    } else {
        skip_blanks(e);
        ok = parse_unary(e, value);
        if (c == '-') {
            *value = (int64_t)(0 - (uint64_t)*value);
        } else if (c == '~') {
            *value = ~*value;
        }
    }
    e->depth--;
    return ok;
}

static bool apply(Expr *e, char op, int64_t *a, int64_t b)
{
    uint64_t x = (uint64_t)*a, y = (uint64_t)b;

    switch (op) {
    case '+':
        *a = (int64_t)(x + y);
        return true;
    case '-':
        *a = (int64_t)(x - y);
        return true;
    case '*':
        *a = (int64_t)(x * y);
        return true;
    case '&':
        *a &= b;
        return true;
    case '|':
        *a |= b;
        return true;
    case '^':
        *a ^= b;
        return true;
    default:
        if (b == 0) {
            return error_set(e->error, "division by zero");
        }
        if (b == -1) { /* INT64_MIN / -1 overflows */
            *a = op == '/' ? (int64_t)(0 - x) : 0;
        } else {
            *a = op == '/' ? *a / b : *a % b;
        }
        return true;
    }
}

/* Levels, loosest first: sums, logical operators, products. (So it is in stock: 1+2&1 is 1.) */
static bool parse_level(Expr *e, int level, int64_t *value)
{
    static const char *const operators[] = { "+-", "&|^", "*/%" };

    if (level == G_N_ELEMENTS(operators)) {
        return parse_unary(e, value);
    }
    if (!parse_level(e, level + 1, value)) {
        return false;
    }
    while (*e->p && strchr(operators[level], *e->p)) {
        char op = *e->p++;
        int64_t right;

        skip_blanks(e);
        if (!parse_level(e, level + 1, &right) || !apply(e, op, value, right)) {
            return false;
        }
    }
    return true;
}

bool hmp_parse_expression(const char *text, const char **end, int64_t *value, GError **error)
{
    Expr e = { text, 0, error };

    skip_blanks(&e);
    if (!parse_level(&e, 0, value)) {
        return false;
    }
    *end = e.p;
    return true;
}
