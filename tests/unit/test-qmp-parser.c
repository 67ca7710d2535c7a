/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP framing: every message is one result, whatever came before it, however the bytes are cut. */
#include "util/osdep.h"

#include "monitor/qmp-parser.h"
#include "qapi/qapi.h"

static void record(json_object *value, const GError *error, void *opaque)
{
    GString *log = opaque;

    if (error) {
        g_string_append(log, "!");
    } else {
        qapi_json_write(log, value, false);
    }
    g_string_append_c(log, ';');
    json_object_put(value);
}

/* Feeds the text in chunks of `step` bytes. */
static char *parse_in_steps(const char *text, size_t len, size_t step)
{
    GString *log = g_string_new(NULL);
    QmpParser parser;

    qmp_parser_init(&parser, record, log);
    for (size_t i = 0; i < len; i += step) {
        qmp_parser_feed(&parser, (const uint8_t *)text + i, MIN(step, len - i));
    }
    qmp_parser_destroy(&parser);
    return g_string_free(log, FALSE);
}

static void check(const char *text, const char *expected)
{
    for (size_t step = 1; step < 8; step++) {
        g_autofree char *log = parse_in_steps(text, strlen(text), step);

        g_assert_cmpstr(log, ==, expected);
    }
}

static void test_good(void)
{
    check("", "");
    check(" \r\n\t", "");
    check("{}", "{};");
    check("{\"execute\":\"x\"}\n{\"execute\":\"y\"}", "{\"execute\": \"x\"};{\"execute\": \"y\"};");
    check("{\"a\":\n[1,\n2]}{\"b\":{}}", "{\"a\": [1, 2]};{\"b\": {}};");
    check("[[[]]]", "[[[]]];");
    check("{\"a\":\"}{][\\\"\\\\\"}", "{\"a\": \"}{][\\\"\\\\\"};");
    check("12 true null \"s\" ", "12;true;null;\"s\";");
    check("\"s\"{}", "\"s\";{};");
    check("12{}", "12;{};");
    check("{\"a\":-0.5e3,\"b\":[1e2,0]}", "{\"a\": -500, \"b\": [100, 0]};");
    check("{\"a\":\"\\u00e9\xc3\xa9\"}", "{\"a\": \"\\u00E9\\u00E9\"};");
}

static void test_single_quotes(void)
{
    check("{'a':'b'}", "{\"a\": \"b\"};");
    check("{'a':'\"'}", "{\"a\": \"\\\"\"};");
    check("{'a':'it\\'s'}", "{\"a\": \"it's\"};");
    check("{\"a\":\"it\\'s 'x'\"}", "{\"a\": \"it's 'x'\"};");
    check("{'a':'\\\\'}", "{\"a\": \"\\\\\"};");
}

static void test_integers(void)
{
    check("[18446744073709551615,-9223372036854775808,9223372036854775808]",
          "[18446744073709551615, -9223372036854775808, 9223372036854775808];");
    check("[18446744073709551616]", "[1.8446744073709552e+19];");
    check("[-9223372036854775809,1]", "[-9.2233720368547758e+18, 1];");
    check("[123456789012345678901234567890]", "[1.2345678901234568e+29];");
    check("123456789012345678901234567890 ", "1.2345678901234568e+29;");
}

static void test_bad(void)
{
    check("{\"a\":}{}", "!;{};");
    check("{\"a\" 1}{}", "!;{};");
    check("{\"a\":1,}{}", "!;{};");
    check("{,}{}", "!;{};");
    check("[1,]{}", "!;{};");
    check("{'a':tru}{}", "!;{};");
    check("foo {}", "!;{};");
    check("}{}", "!;{};");
    check("]]{}", "!;!;{};");
    check(",{}", "!;{};");
    check("{\"a\":1]}{}", "!;!;{};");
    check("{\"a\":01}{}", "!;{};");
    check("{\"a\":.5}{}", "!;{};");
    check("{\"a\":NaN}{}", "!;{};");
    check("{\"a\":\"\\q\"}{}", "!;{};");
    check("{\"a\":\"\\u12\"}{}", "!;{};");
    check("{/* c */}{}", "!;{};");
    check("{\"a\":\"\xc3\x28\"}{}", "!;{};"); /* not UTF-8 */
}

static void test_reset(void)
{
    check("{\"execute\":\"que\xff{}", "!;{};");
    check("{\"execute\":\xff{}", "!;{};");
    check("\xff{}", "!;{};");
    check("{\"a\":\"no end\n{}", "!;{};");
    check("{\"a\":\x01{}", "!;{};");
    {
        static const char nul[] = "{\"a\0b\":1";
        g_autofree char *log = parse_in_steps(nul, sizeof(nul) - 1, 3);

        g_assert_cmpint(log[0], ==, '!');
    }
}

static void test_limits(void)
{
    g_autofree char *deep = g_strnfill(QMP_MAX_NESTING, '[');
    g_autofree char *closed = g_strnfill(QMP_MAX_NESTING, ']');
    g_autofree char *fits = g_strconcat(deep, closed, "{}", NULL);
    g_autofree char *too_deep = g_strconcat(deep, "[", NULL);
    g_autofree char *log = parse_in_steps(fits, strlen(fits), 1000);
    g_autofree char *bad = parse_in_steps(too_deep, strlen(too_deep), 1000);
    GString *out = g_string_new(NULL);
    g_autofree uint8_t *chunk = g_malloc(1 << 20);
    QmpParser parser;

    g_assert_true(g_str_has_suffix(log, ";{};"));
    g_assert_cmpstr(bad, ==, "!;");

    /* a string without end costs bounded memory and is one error */
    memset(chunk, 'a', 1 << 20);
    qmp_parser_init(&parser, record, out);
    qmp_parser_feed(&parser, (const uint8_t *)"\"", 1);
    for (unsigned i = 0; i < (QMP_MAX_MESSAGE >> 20); i++) {
        qmp_parser_feed(&parser, chunk, 1 << 20);
    }
    g_assert_cmpstr(out->str, ==, "!;");
    g_assert_cmpuint(parser.text->allocated_len, <, 2 << 20);
    qmp_parser_destroy(&parser);
    g_string_free(out, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp-parser/good", test_good);
    g_test_add_func("/qmp-parser/single-quotes", test_single_quotes);
    g_test_add_func("/qmp-parser/integers", test_integers);
    g_test_add_func("/qmp-parser/bad", test_bad);
    g_test_add_func("/qmp-parser/reset", test_reset);
    g_test_add_func("/qmp-parser/limits", test_limits);
    return g_test_run();
}
