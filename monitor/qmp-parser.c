/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP input: where a message ends is found by counting brackets outside of strings, so that a
 * message with a syntax error is one error and the next message is found; json-c then parses the
 * message. Strings in single quotes, which QMP accepts, are rewritten with double quotes on the
 * way.
 */
#include "util/osdep.h"

#include "monitor/qmp-parser.h"
#include "util/error.h"

void qmp_parser_init(QmpParser *parser, QmpMessageFunc *message, void *opaque)
{
    *parser = (QmpParser){ .message = message, .opaque = opaque, .text = g_string_new(NULL) };
}

void qmp_parser_reset(QmpParser *parser)
{
    if (parser->text->allocated_len > 1 << 20) {
        g_string_free(parser->text, TRUE);
        parser->text = g_string_new(NULL);
    }
    g_string_truncate(parser->text, 0);
    parser->depth = 0;
    parser->quote = 0;
    parser->escape = false;
    parser->bare = false;
    parser->number = 0;
}

void qmp_parser_destroy(QmpParser *parser)
{
    g_string_free(parser->text, TRUE);
}

static void fail(QmpParser *parser, const char *why)
{
    g_autoptr(GError) error = NULL;

    error_set(&error, "JSON parse error, %s", why);
    qmp_parser_reset(parser);
    parser->message(NULL, error, parser->opaque);
}

/* The text is complete as far as brackets tell. */
static void finish(QmpParser *parser)
{
    json_tokener *tok = json_tokener_new_ex(QMP_MAX_NESTING + 1);
    g_autofree char *why = NULL;
    enum json_tokener_error status;
    json_object *value;

    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* the NUL behind the text ends numbers and keywords */
    value = json_tokener_parse_ex(tok, parser->text->str, (int)parser->text->len + 1);
    status = json_tokener_get_error(tok);
    if (status == json_tokener_success && json_tokener_get_parse_end(tok) < parser->text->len) {
        status = json_tokener_error_parse_unexpected;
    }
    if (status != json_tokener_success) {
        why = status == json_tokener_continue ? g_strdup("expecting value")
                                              : g_strdup(json_tokener_error_desc(status));
        json_object_put(value);
    }
    json_tokener_free(tok);
    if (why) {
        fail(parser, why);
        return;
    }
    qmp_parser_reset(parser);
    parser->message(value, NULL, parser->opaque);
}

static void string_byte(QmpParser *parser, char c)
{
    if (parser->escape) {
        parser->escape = false;
        if (c == '\'') {
            parser->text->str[parser->text->len - 1] = c; /* JSON has no \' */
        } else {
            g_string_append_c(parser->text, c);
        }
    } else if (c == parser->quote) {
        g_string_append_c(parser->text, '"');
        parser->quote = 0;
        if (parser->depth == 0) {
            finish(parser);
        }
    } else if (c == '"') {
        g_string_append(parser->text, "\\\"");
    } else {
        g_string_append_c(parser->text, c);
        parser->escape = c == '\\';
    }
}

static void bracket_byte(QmpParser *parser, char c)
{
    bool opens = c == '{' || c == '[';

    if (!opens && parser->depth == 0) {
        fail(parser, "expecting value");
        return;
    }
    if (opens && parser->depth == QMP_MAX_NESTING) {
        fail(parser, "nesting too deep");
        return;
    }
    g_string_append_c(parser->text, c);
    parser->depth += opens ? 1u : -1u;
    if (parser->depth == 0) {
        finish(parser);
    }
}

/*
 * json-c turns an integer beyond 64 bits silently into the largest one that fits. Written with a
 * fraction it is a double, which nobody mistakes for an integer.
 */
static void end_number(QmpParser *parser)
{
    const char *digits = parser->text->str + parser->number - 1;
    bool negative = *digits == '-';
    size_t n;

    parser->number = 0;
    digits += negative;
    n = strspn(digits, "0123456789");
    if (digits[n]) {
        return; /* has a fraction or exponent */
    }
    errno = 0;
    if (n > 20 || (strtoull(digits, NULL, 10) > (uint64_t)INT64_MAX + 1 && negative) ||
        errno == ERANGE) {
        g_string_append(parser->text, ".0");
    }
}

static void note_number(QmpParser *parser, char c)
{
    bool part = g_ascii_isdigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';

    if (parser->number && !part) {
        end_number(parser);
    } else if (!parser->number && (g_ascii_isdigit(c) || c == '-')) {
        parser->number = parser->text->len + 1;
    }
}

/* Outside of strings. */
static void plain_byte(QmpParser *parser, char c)
{
    bool space = g_ascii_isspace(c);

    note_number(parser, c);
    if (parser->bare && (space || strchr("{}[],:\"'", c))) {
        finish(parser); /* "foo", "12": one message */
    }
    if (c == '"' || c == '\'') {
        parser->quote = c;
        g_string_append_c(parser->text, '"');
    } else if (strchr("{}[]", c)) {
        bracket_byte(parser, c);
    } else if (space) {
        if (parser->depth) {
            g_string_append_c(parser->text, ' ');
        }
    } else if (parser->depth == 0 && (c == ',' || c == ':')) {
        fail(parser, "expecting value");
    } else {
        parser->bare = parser->depth == 0;
        /* json-c takes NaN and Infinity for numbers, JSON has no such thing */
        g_string_append_c(parser->text, c == 'N' || c == 'I' ? '?' : c);
    }
}

void qmp_parser_feed(QmpParser *parser, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = buf[i];

        /* 0xFF is in no UTF-8 text: the client asks for a reset. Control characters end every
         * token. */
        if (c == 0xff || (c < 0x20 && (parser->quote || !g_ascii_isspace(c))) || c == 0) {
            if (c == 0xff && !parser->text->len) {
                fail(parser, "stray '\\xFF'");
            } else if (parser->quote) {
                fail(parser, "missing terminating quote");
            } else {
                fail(parser, "stray control character");
            }
        } else if (parser->text->len >= QMP_MAX_MESSAGE) {
            fail(parser, "message too long");
        } else if (parser->quote) {
            string_byte(parser, (char)c);
        } else {
            plain_byte(parser, (char)c);
        }
    }
}
