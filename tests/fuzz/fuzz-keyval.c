/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option strings and numbers (util/keyval.h): whatever is typed gives a value or an error, and a value that
 * was parsed is an object.
 */
#include "util/osdep.h"

#include "util/keyval.h"

#include "fuzz.h"

static void parse_numbers(const char *text)
{
    int64_t i;
    uint64_t u;
    bool b;

    parse_int64(text, &i, NULL);
    parse_uint64(text, &u, NULL);
    parse_size(text, 1, &u, NULL);
    parse_size(text, 1024 * 1024, &u, NULL);
    parse_bool(text, &b, NULL);
    id_wellformed(text);
}

static void parse_options(const char *text, const char *implied_key, bool bare_is_bool)
{
    GError *error = NULL;
    bool help = false;
    json_object *options = keyval_parse(text, implied_key, bare_is_bool, &help, &error);

    if (!options && !error && !help) {
        abort(); /* failed without a word */
    }
    if (options && (error || !json_object_is_type(options, json_type_object))) {
        abort();
    }
    json_object_put(options);
    g_clear_error(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    parse_numbers(text);
    parse_options(text, NULL, false);
    parse_options(text, "driver", true);
    return 0;
}
