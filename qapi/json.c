/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON text in the shape that QMP clients and their test filters know: ", " and ": " between, ASCII
 * only. json-c's own writer spaces differently and passes invalid UTF-8 on.
 */
#include "util/osdep.h"

#include <math.h>
#include <string.h>

#include "qapi/qapi.h"

/* Marks constant text; the user data of no other array is set. */
json_object *qapi_json_new_raw_array(const char *text)
{
    json_object *array = json_object_new_array();

    json_object_set_userdata(array, (void *)text, NULL);
    return array;
}

json_object *qapi_json_new_text(const char *text)
{
    g_autofree char *valid = NULL;

    if (!text) {
        return NULL;
    }
    if (g_utf8_validate(text, -1, NULL)) {
        return json_object_new_string(text);
    }
    valid = g_utf8_make_valid(text, -1);
    return json_object_new_string(valid);
}

static void write_escaped(GString *out, gunichar c)
{
    if (c > 0xffff) {
        c -= 0x10000;
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
    } else {
        g_string_append_printf(out, "\\u%04X", c);
    }
}

/* One character; returns the number of bytes it took. */
static size_t write_char(GString *out, const char *s, size_t len)
{
    static const char special[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found;
    gunichar c;

    if ((unsigned char)*s < 0x80) {
        found = *s ? strchr(special, *s) : NULL;
        if (found) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, letters[found - special]);
        } else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            write_escaped(out, (unsigned char)*s);
        } else {
            g_string_append_c(out, *s);
        }
        return 1;
    }
    c = g_utf8_get_char_validated(s, (gssize)len);
    if (c == (gunichar)-1 || c == (gunichar)-2) {
        write_escaped(out, 0xfffd);
        return 1;
    }
    write_escaped(out, c);
    return (size_t)(g_utf8_next_char(s) - s);
}

static void write_string(GString *out, const char *s, size_t len)
{
    g_string_append_c(out, '"');
    while (len) {
        size_t n = write_char(out, s, len);

        s += n;
        len -= n;
    }
    g_string_append_c(out, '"');
}

static void write_double(GString *out, double d)
{
    char buf[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(d)) {
        g_string_append(out, "null"); /* JSON has no such numbers */
        return;
    }
    g_string_append(out, g_ascii_formatd(buf, sizeof(buf), "%.17g", d));
}

static void new_line(GString *out, bool pretty, unsigned level)
{
    if (pretty) {
        g_string_append_printf(out, "\n%*s", (int)(4 * level), "");
    }
}

static void write_value(GString *out, json_object *value, bool pretty, unsigned level);

static void write_separator(GString *out, bool first, bool pretty, unsigned level)
{
    if (!first) {
        g_string_append(out, pretty ? "," : ", ");
    }
    new_line(out, pretty, level);
}

static void write_object(GString *out, json_object *value, bool pretty, unsigned level)
{
    bool first = true;

    g_string_append_c(out, '{');
    json_object_object_foreach(value, name, member)
    {
        write_separator(out, first, pretty, level + 1);
        first = false;
        write_string(out, name, strlen(name));
        g_string_append(out, ": ");
        write_value(out, member, pretty, level + 1);
    }
    if (!first) {
        new_line(out, pretty, level);
    }
    g_string_append_c(out, '}');
}

static void write_array(GString *out, json_object *value, bool pretty, unsigned level)
{
    const char *raw = json_object_get_userdata(value);
    size_t n = json_object_array_length(value);

    if (raw) {
        g_string_append(out, raw);
        return;
    }
    g_string_append_c(out, '[');
    for (size_t i = 0; i < n; i++) {
        write_separator(out, i == 0, pretty, level + 1);
        write_value(out, json_object_array_get_idx(value, i), pretty, level + 1);
    }
    if (n) {
        new_line(out, pretty, level);
    }
    g_string_append_c(out, ']');
}

static void write_value(GString *out, json_object *value, bool pretty, unsigned level)
{
    switch (json_object_get_type(value)) {
    case json_type_object:
        write_object(out, value, pretty, level);
        break;
    case json_type_array:
        write_array(out, value, pretty, level);
        break;
    case json_type_string:
        write_string(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        break;
    case json_type_double:
        write_double(out, json_object_get_double(value));
        break;
    case json_type_boolean:
        g_string_append(out, json_object_get_boolean(value) ? "true" : "false");
        break;
    case json_type_null:
        g_string_append(out, "null");
        break;
    case json_type_int:
        if (json_object_get_int64(value) < 0) {
            g_string_append_printf(out, "%" G_GINT64_FORMAT, json_object_get_int64(value));
        } else {
            g_string_append_printf(out, "%" G_GUINT64_FORMAT, json_object_get_uint64(value));
        }
        break;
    }
}

void qapi_json_write(GString *out, json_object *value, bool pretty)
{
    write_value(out, value, pretty, 0);
}
