/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option strings "key=value,..." as JSON objects of strings; see util/keyval.h. Dotted keys are built as nested
 * objects first; those whose keys are all numbers become arrays at the end.
 */
#include "util/osdep.h"
#include "util/keyval.h"

#include <math.h>
#include "util/error.h"

/* Longest key, and deepest nesting: enough for any real option, and recursion stays shallow. */
#define KEY_MAX 1024
#define DEPTH_MAX 16

/* ---- one element ---- */

/* Copies a value up to the next lone comma, ",," being a comma. Returns what follows the comma. */
static const char *take_value(const char *s, GString *value)
{
    g_string_truncate(value, 0);
    while (*s) {
        if (*s == ',') {
            s++;
            if (*s != ',') {
                break;
            }
        }
        g_string_append_c(value, *s++);
    }
    return s;
}

static bool fragment_valid(const char *s, size_t len)
{
    if (len == 0) {
        return false;
    }
    if (g_ascii_isdigit(s[0])) {
        for (size_t i = 0; i < len; i++) {
            if (!g_ascii_isdigit(s[i])) {
                return false;
            }
        }
        return len <= 4; /* an index */
    }
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '/' && s[i] != '*' &&
            s[i] != '[' && s[i] != ']' && s[i] != ':') {
            return false;
        }
    }
    return true;
}

/* Puts value at the dotted key below root. */
static bool put_value(json_object *root, const char *key, const char *value, GError **error)
{
    json_object *where = root;
    const char *frag = key;
    if (strlen(key) > KEY_MAX) {
        return error_set(error, "Invalid parameter: a key of more than %d characters", KEY_MAX);
    }
    for (unsigned depth = 0;; depth++) {
        size_t len = strcspn(frag, ".");
        if (!fragment_valid(frag, len) || depth == DEPTH_MAX ||
            (depth == 0 && g_ascii_isdigit(frag[0]))) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
        g_autofree char *name = g_strndup(frag, len);
        bool last = frag[len] == '\0';
        json_object *old;
        bool present = json_object_object_get_ex(where, name, &old);
        if (present && json_object_is_type(old, json_type_object) == last) {
            return error_set(error, "Parameters '%.*s.*' used inconsistently", (int)(frag - key + len), key);
        }
        if (last) {
            json_object_object_add(where, name, json_object_new_string(value));
            return true;
        }
        if (!present) {
            old = json_object_new_object();
            json_object_object_add(where, name, old);
        }
        where = old;
        frag += len + 1;
    }
}

/* ---- numbered keys become arrays ---- */

static json_object *listify(json_object *obj, const char *prefix, GError **error);

/* 1: all keys are numbers, 0: none, -1: mixed. */
static int numbered_keys(json_object *obj)
{
    bool numbers = false, names = false;
    json_object_object_foreach(obj, key, value)
    {
        (void)value;
        if (g_ascii_isdigit(key[0])) {
            numbers = true;
        } else {
            names = true;
        }
    }
    return numbers && names ? -1 : numbers;
}

static json_object *make_array(json_object *obj, const char *prefix, GError **error)
{
    int n = json_object_object_length(obj);
    json_object *array = json_object_new_array();
    for (int i = 0; i < n; i++) {
        char index[16];
        json_object *elem;
        g_snprintf(index, sizeof(index), "%d", i);
        if (!json_object_object_get_ex(obj, index, &elem)) {
            error_set(error, "Parameter '%s.%d' missing", prefix, i);
            json_object_put(array);
            return NULL;
        }
        json_object_array_add(array, json_object_get(elem));
    }
    return array;
}

/* Returns a new reference: obj itself or the array that replaces it. */
static json_object *listify(json_object *obj, const char *prefix, GError **error)
{
    json_object_object_foreach(obj, key, value)
    {
        if (!json_object_is_type(value, json_type_object)) {
            continue;
        }
        g_autofree char *path = prefix[0] ? g_strdup_printf("%s.%s", prefix, key) : g_strdup(key);
        json_object *list = listify(value, path, error);
        if (!list) {
            return NULL;
        }
        if (list == value) {
            json_object_put(list);
        } else {
            json_object_object_add(obj, key, list); /* replaces the value in place */
        }
    }
    switch (numbered_keys(obj)) {
    case 0:
        return json_object_get(obj);
    case 1:
        return make_array(obj, prefix, error);
    default:
        error_set(error, "Parameters '%s.*' used inconsistently", prefix);
        return NULL;
    }
}

/* ---- whole strings ---- */

static json_object *parse_json(const char *text, GError **error)
{
    json_tokener *tok = json_tokener_new_ex(64);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    size_t len = strlen(text);
    json_object *obj = NULL;
    if (len < INT_MAX) {
        obj = json_tokener_parse_ex(tok, text, len + 1); /* with the NUL: the end of the input */
    }
    enum json_tokener_error err = json_tokener_get_error(tok);
    if (obj && !json_object_is_type(obj, json_type_object)) {
        json_object_put(obj);
        obj = NULL;
        error_set(error, "JSON parse error, expecting an object");
    } else if (!obj) {
        /* A string that just ends gives "continue" or, by its NUL, an end-of-file error. */
        bool early = err == json_tokener_continue || err == json_tokener_error_parse_eof ||
                     json_tokener_get_parse_end(tok) >= len;
        error_set(error, "JSON parse error, %s",
                  early ? "premature EOI" : json_tokener_error_desc(err));
    }
    json_tokener_free(tok);
    return obj;
}

typedef struct KeyvalParser {
    json_object *root;
    const char *implied_key; /* for the element at hand */
    bool bare_is_bool;
    bool *help;
} KeyvalParser;

static bool is_help(const char *s, size_t len)
{
    return (len == 4 && memcmp(s, "help", 4) == 0) || (len == 1 && s[0] == '?');
}

/* Parses the element at s; returns what follows it, NULL with an error. */
static const char *parse_element(KeyvalParser *p, const char *s, GError **error)
{
    g_autoptr(GString) value = g_string_new(NULL);
    size_t len = strcspn(s, "=,");

    if (s[len] == '=') {
        g_autofree char *key = g_strndup(s, len);
        s = take_value(s + len + 1, value);
        return put_value(p->root, key, value->str, error) ? s : NULL;
    }
    if (p->help && is_help(s, len)) {
        *p->help = true;
        return s[len] ? s + len + 1 : s + len;
    }
    if (p->implied_key) {
        s = take_value(s, value);
        return put_value(p->root, p->implied_key, value->str, error) ? s : NULL;
    }
    g_autofree char *key = g_strndup(s, len);
    if (!p->bare_is_bool) {
        if (len) {
            error_set(error, "Expected '=' after parameter '%s'", key);
        } else {
            error_set(error, "Expected parameter before '%s'", s);
        }
        return NULL;
    }
    bool no = g_str_has_prefix(key, "no") && len > 2;
    if (!put_value(p->root, no ? key + 2 : key, no ? "off" : "on", error)) {
        return NULL;
    }
    return s[len] ? s + len + 1 : s + len;
}

json_object *keyval_parse(const char *params, const char *implied_key, bool bare_is_bool, bool *help,
                          GError **error)
{
    if (help) {
        *help = false;
    }
    if (params[0] == '{') {
        return parse_json(params, error);
    }
    KeyvalParser p = { json_object_new_object(), implied_key, bare_is_bool, help };
    while (params && *params) {
        params = parse_element(&p, params, error);
        p.implied_key = NULL;
    }
    json_object *result = params ? listify(p.root, "", error) : NULL;
    json_object_put(p.root);
    return result;
}

/* ---- scalars ---- */

/* Base 10, or 16 with 0x; never octal. *end is behind the digits. */
static bool parse_digits(const char *s, uint64_t *value, const char **end)
{
    int base = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10;
    if (base == 16) {
        s += 2;
    }
    if (!(base == 16 ? g_ascii_isxdigit(*s) : g_ascii_isdigit(*s))) {
        return false;
    }
    char *e;
    errno = 0;
    *value = strtoull(s, &e, base);
    *end = e;
    return errno == 0;
}

bool parse_uint64(const char *s, uint64_t *value, GError **error)
{
    const char *end;
    if (!parse_digits(s, value, &end) || *end) {
        return error_set(error, "'%s' is not a number between 0 and 2^64 - 1", s);
    }
    return true;
}

bool parse_int64(const char *s, int64_t *value, GError **error)
{
    const char *end;
    uint64_t magnitude;
    bool minus = s[0] == '-';
    if (!parse_digits(s + minus, &magnitude, &end) || *end ||
        magnitude > (uint64_t)INT64_MAX + minus) {
        return error_set(error, "'%s' is not a number between -2^63 and 2^63 - 1", s);
    }
    *value = minus ? -magnitude : magnitude;
    return true;
}

/* Multiplier of a suffix letter, 0 if it is none. */
static uint64_t size_unit(char c)
{
    static const char letters[] = "bkmgtpe";
    const char *at = c ? strchr(letters, g_ascii_tolower(c)) : NULL;
    return at ? UINT64_C(1) << 10 * (at - letters) : 0;
}

bool parse_size(const char *s, uint64_t default_unit, uint64_t *value, GError **error)
{
    const char *end;
    uint64_t whole, part = 0, unit = default_unit;
    double fraction = 0;

    if (!parse_digits(s, &whole, &end)) {
        goto bad;
    }
    bool has_fraction = *end == '.' && g_ascii_isdigit(end[1]) && !g_str_has_prefix(s, "0x");
    if (has_fraction) {
        char *e;
        fraction = g_ascii_strtod(end, &e);
        if (memchr(end, 'e', e - end) || memchr(end, 'E', e - end)) {
            goto bad; /* "1.5E1" is no size; "1.5E" ends strtod before the letter */
        }
        end = e;
    }
    if (*end) {
        unit = size_unit(*end);
        if (!unit || end[1]) {
            goto bad;
        }
    }
    if (has_fraction) {
        if (unit == 1 && fraction != 0) {
            goto bad;
        }
        part = (uint64_t)(fraction * (double)unit);
    }
    uint64_t total;
    if (__builtin_mul_overflow(whole, unit, &total) || __builtin_add_overflow(total, part, &total)) {
        goto bad;
    }
    *value = total;
    return true;
bad:
    return error_set(error, "'%s' is not a size: a number below 2^64 with an optional suffix k, M, G, T, P or E",
                     s);
}

bool parse_bool(const char *s, bool *value, GError **error)
{
    static const char *const words[][2] = {
        { "on", "off" }, { "yes", "no" }, { "true", "false" }, { "y", "n" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        for (int off = 0; off < 2; off++) {
            if (strcmp(s, words[i][off]) == 0) {
                *value = !off;
                return true;
            }
        }
    }
    return error_set(error, "'%s' is neither 'on' nor 'off'", s);
}

bool id_wellformed(const char *id)
{
    if (!g_ascii_isalpha(id[0])) {
        return false;
    }
    for (; *id; id++) {
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id)) {
            return false;
        }
    }
    return true;
}
