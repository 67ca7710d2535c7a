/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option strings: "driver=file,filename=a,,b,aio.x=y" and their numbers and sizes.
 *
 * A parsed string is a JSON object whose scalars are all strings; dotted keys make nested objects and
 * arrays ("server.0.host"). The QAPI decoder's keyval mode turns the strings into typed values.
 */
#ifndef UTIL_KEYVAL_H
#define UTIL_KEYVAL_H

#include <glib.h>
#include <json-c/json.h>

/*
 * Parses "key=value,..." (",," is a comma in a value). A first element without '=' gets implied_key,
 * where that is not NULL; any other element without '=' is "key=on" ("nokey" = "key=off") if
 * bare_is_bool, else an error. A string that starts with '{' is parsed as JSON. "help" or "?" alone sets
 * *help (if not NULL). Returns a new object (json_object_put() frees), or NULL with an error.
 */
json_object *keyval_parse(const char *params, const char *implied_key, bool bare_is_bool, bool *help,
                          GError **error);

/* Strict numbers: whole string, base 10 or 0x. Sizes: optional fraction and suffix B K M G T P E (1024). */
bool parse_int64(const char *s, int64_t *value, GError **error);
bool parse_uint64(const char *s, uint64_t *value, GError **error);
/* default_unit is the multiplier of a number without a suffix (1, or 1 MiB for -m). */
bool parse_size(const char *s, uint64_t default_unit, uint64_t *value, GError **error);
/* on/off, yes/no, true/false, y/n. */
bool parse_bool(const char *s, bool *value, GError **error);
/* Whether id is a well-formed identifier: a letter, then letters, digits, '-', '.', '_'. */
bool id_wellformed(const char *id);

#endif
