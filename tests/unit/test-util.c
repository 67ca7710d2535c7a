/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors, bitmaps, vectors, option strings, hex dumps. */
#include "util/osdep.h"

#include <glib.h>
#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/hexdump.h"
#include "util/iov.h"
#include "util/keyval.h"

/* ---- errors ---- */

static void test_error(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(error_set(NULL, "nobody reads %s", "this"));
    g_assert_false(error_set_class(&error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", "x"));
    g_assert_cmpstr(tern_error_class_name(error), ==, "DeviceNotFound");
    error_prefix(&error, "%d: ", 7);
    g_assert_cmpstr(error->message, ==, "7: Device 'x' not found");
    g_clear_error(&error);
    error_prefix(&error, "nothing there");
    g_assert_null(error);
    error_set_errno(&error, ENOENT, "Could not open '%s'", "f");
    g_assert_cmpstr(error->message, ==, "Could not open 'f': No such file or directory");
    g_assert_cmpstr(tern_error_class_name(error), ==, "GenericError");
    g_clear_error(&error);
    g_set_error(&error, G_FILE_ERROR, 3, "foreign");
    g_assert_cmpstr(tern_error_class_name(error), ==, "GenericError");
}

/* ---- bitmaps ---- */

static void check_equal(const unsigned long *map, const bool *model, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        g_assert_cmpint(bitmap_test(map, i), ==, model[i]);
        count += model[i];
    }
    g_assert_cmpuint(bitmap_count(map, n), ==, count);
    size_t at = g_test_rand_int_range(0, n), next = at, zero = at;
    while (next < n && !model[next]) {
        next++;
    }
    while (zero < n && model[zero]) {
        zero++;
    }
    g_assert_cmpuint(bitmap_find_next(map, n, at), ==, next);
    g_assert_cmpuint(bitmap_find_next_zero(map, n, at), ==, zero);
}

static void test_bitmap(void)
{
    const size_t n = 333;
    bool model[333] = { false };
    g_autofree unsigned long *map = bitmap_new(n);
    for (int i = 0; i < 5000; i++) {
        size_t start = g_test_rand_int_range(0, n), len = g_test_rand_int_range(0, n - start + 1);
        int op = g_test_rand_int_range(0, 4);
        bool any = false;
        for (size_t j = start; j < start + len; j++) {
            any |= model[j];
            model[j] = op < 2;
        }
        switch (op) {
        case 0:
            bitmap_set(map, start, len);
            break;
        case 1:
            bitmap_set_atomic(map, start, len);
            break;
        case 2:
            bitmap_clear(map, start, len);
            break;
        case 3:
            g_assert_cmpint(bitmap_test_and_clear_atomic(map, start, len), ==, any);
            break;
        }
        check_equal(map, model, n);
    }
    g_assert_cmpuint(bitmap_find_next(map, n, n), ==, n);
    g_assert_cmpuint(bitmap_find_next(map, 0, 0), ==, 0);
}

/* ---- vectors ---- */

static void test_iov(void)
{
    char mem[100], model[100], buf[100];
    IoVec v, part;
    iovec_init(&v, 0);
    iovec_init(&part, 2);
    for (int i = 0; i < 100; i++) {
        mem[i] = model[i] = i;
    }
    for (int at = 0, len = 1; at + len <= 100; at += len, len = len % 13 + 1) {
        iovec_add(&v, mem + at, len);
    }
    size_t size = v.size;
    g_assert_cmpuint(size, ==, iov_size(v.iov, v.n));
    for (int i = 0; i < 3000; i++) {
        size_t off = g_test_rand_int_range(0, size + 1), len = g_test_rand_int_range(0, 100);
        size_t n = MIN(len, size - off);
        int c = g_test_rand_int_range(0, 256);
        switch (i % 4) {
        case 0:
            g_assert_cmpuint(iovec_to_buf(&v, off, buf, len), ==, n);
            g_assert_cmpmem(buf, n, model + off, n);
            break;
        case 1:
            memset(buf, c, sizeof(buf));
            memcpy(model + off, buf, n);
            g_assert_cmpuint(iovec_from_buf(&v, off, buf, len), ==, n);
            break;
        case 2:
            memset(model + off, c, n);
            g_assert_cmpuint(iovec_memset(&v, off, c, len), ==, n);
            break;
        case 3:
            iovec_reset(&part);
            iovec_add_slice(&part, &v, off, n);
            g_assert_cmpuint(part.size, ==, n);
            g_assert_cmpuint(iovec_to_buf(&part, 0, buf, sizeof(buf)), ==, n);
            g_assert_cmpmem(buf, n, model + off, n);
            break;
        }
        g_assert_cmpmem(mem, size, model, size);
    }
    iovec_destroy(&part);
    iovec_destroy(&v);
}

/* ---- option strings ---- */

static void expect_keyval(const char *text, const char *implied, bool bare, const char *want)
{
    g_autoptr(GError) error = NULL;
    bool help;
    json_object *obj = keyval_parse(text, implied, bare, &help, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                    ==, want);
    g_assert_false(help);
    json_object_put(obj);
}

static void expect_keyval_error(const char *text, bool bare, const char *want)
{
    g_autoptr(GError) error = NULL;
    json_object *obj = keyval_parse(text, NULL, bare, NULL, &error);
    g_assert_null(obj);
    g_assert_cmpstr(error->message, ==, want);
}

static void test_keyval(void)
{
    expect_keyval("", NULL, false, "{}");
    expect_keyval("a=1,b=x=y,", NULL, false, "{\"a\":\"1\",\"b\":\"x=y\"}");
    expect_keyval("file,b=1,,2", "driver", false, "{\"driver\":\"file\",\"b\":\"1,2\"}");
    expect_keyval("a,,b,c=", "driver", false, "{\"driver\":\"a,b\",\"c\":\"\"}");
    expect_keyval("a=1,a=2", NULL, false, "{\"a\":\"2\"}");
    expect_keyval("s,ro,nowait,no=1", "driver", true,
                  "{\"driver\":\"s\",\"ro\":\"on\",\"wait\":\"off\",\"no\":\"1\"}");
    expect_keyval("s.0.host=a,s.1.host=b,s.0.port=1", NULL, false,
                  "{\"s\":[{\"host\":\"a\",\"port\":\"1\"},{\"host\":\"b\"}]}");
    expect_keyval("l.1=b,l.0=a", NULL, false, "{\"l\":[\"a\",\"b\"]}");
    expect_keyval("{\"a\":[1,true]}", NULL, false, "{\"a\":[1,true]}");

    expect_keyval_error("driver=file,filename", false, "Expected '=' after parameter 'filename'");
    expect_keyval_error("a.b=1,a=2", false, "Parameters 'a.*' used inconsistently");
    expect_keyval_error("a=1,a.b=2", false, "Parameters 'a.*' used inconsistently");
    expect_keyval_error("a.0=1,a.b=2", false, "Parameters 'a.*' used inconsistently");
    expect_keyval_error("server.0=a,server.2=b", false, "Parameter 'server.1' missing");
    expect_keyval_error("a..b=3", false, "Invalid parameter 'a..b'");
    expect_keyval_error("=3", false, "Invalid parameter ''");
    expect_keyval_error("9=3", false, "Invalid parameter '9'");
    expect_keyval_error("{\"a\":1", false, "JSON parse error, premature EOI");
    expect_keyval_error("{\"a\":1", true, "JSON parse error, premature EOI");
}

static void test_keyval_help(void)
{
    bool help;
    json_object *obj = keyval_parse("usb-kbd,help", "driver", true, &help, NULL);
    g_assert_true(help);
    g_assert_cmpint(json_object_object_length(obj), ==, 1);
    json_object_put(obj);
    obj = keyval_parse("?", "driver", true, &help, NULL);
    g_assert_true(help);
    json_object_put(obj);
    obj = keyval_parse("helpful", "driver", true, &help, NULL);
    g_assert_false(help);
    json_object_put(obj);
}

/* Any bytes: an object or an error, never both or a crash. */
static void test_keyval_random(void)
{
    static const char alphabet[] = "ab.,,==01{}\"[]?:";
    for (int i = 0; i < 20000; i++) {
        char text[24];
        int n = g_test_rand_int_range(0, sizeof(text));
        g_autoptr(GError) error = NULL;
        for (int j = 0; j < n; j++) {
            text[j] = alphabet[g_test_rand_int_range(0, sizeof(alphabet) - 1)];
        }
        text[n] = '\0';
        json_object *obj = keyval_parse(text, i & 1 ? "k" : NULL, i & 2, NULL, &error);
        g_assert_true((obj != NULL) == (error == NULL));
        json_object_put(obj);
    }
}

static void test_numbers(void)
{
    uint64_t u;
    int64_t s;
    bool b;
    g_assert_true(parse_uint64("18446744073709551615", &u, NULL) && u == UINT64_MAX);
    g_assert_true(parse_uint64("0x1F", &u, NULL) && u == 31);
    g_assert_true(parse_uint64("010", &u, NULL) && u == 10);
    g_assert_false(parse_uint64("18446744073709551616", &u, NULL));
    g_assert_false(parse_uint64("-1", &u, NULL));
    g_assert_false(parse_uint64("", &u, NULL));
    g_assert_false(parse_uint64(" 1", &u, NULL));
    g_assert_false(parse_uint64("0x", &u, NULL));
    g_assert_false(parse_uint64("0x-1", &u, NULL));
    g_assert_true(parse_int64("-9223372036854775808", &s, NULL) && s == INT64_MIN);
    g_assert_true(parse_int64("9223372036854775807", &s, NULL) && s == INT64_MAX);
    g_assert_false(parse_int64("9223372036854775808", &s, NULL));
    g_assert_false(parse_int64("--1", &s, NULL));
    g_assert_true(parse_size("12", 1, &u, NULL) && u == 12);
    g_assert_true(parse_size("12", 1 << 20, &u, NULL) && u == 12 << 20);
    g_assert_true(parse_size("1.5G", 1, &u, NULL) && u == 3ull << 29);
    g_assert_true(parse_size("0x10k", 1, &u, NULL) && u == 16384);
    g_assert_true(parse_size("15E", 1, &u, NULL) && u == 15ull << 60);
    g_assert_true(parse_size("1.5E", 1, &u, NULL) && u == 3ull << 59);
    g_assert_true(parse_size("1.0", 1, &u, NULL) && u == 1);
    g_assert_false(parse_size("16E", 1, &u, NULL));
    g_assert_false(parse_size("15.9999E9", 1, &u, NULL));
    g_assert_false(parse_size("1.5", 1, &u, NULL));
    g_assert_false(parse_size("1.5B", 1, &u, NULL));
    g_assert_false(parse_size("12xyz", 1, &u, NULL));
    g_assert_false(parse_size("1kk", 1, &u, NULL));
    g_assert_false(parse_size("-1", 1, &u, NULL));
    g_assert_false(parse_size("", 1, &u, NULL));
    g_assert_true(parse_bool("off", &b, NULL) && !b);
    g_assert_true(parse_bool("y", &b, NULL) && b);
    g_assert_false(parse_bool("On", &b, NULL));
    g_assert_true(id_wellformed("a-b.c_1"));
    g_assert_false(id_wellformed("1a"));
    g_assert_false(id_wellformed(""));
    g_assert_false(id_wellformed("a/b"));
}

static void test_hex(void)
{
    GString *out = g_string_new(NULL);
    size_t len;
    hexdump_append(out, "td", "0123456789abcdef\n", 17);
    g_assert_cmpstr(out->str, ==,
                    "td: 0000: 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
                    "td: 0010: 0a                                               |.|\n");
    g_string_free(out, TRUE);
    g_autofree char *text = hex_string("\x01\xff", 2);
    g_assert_cmpstr(text, ==, "01ff");
    g_autofree uint8_t *bytes = hex_bytes("01Ff", &len);
    g_assert_cmpmem(bytes, len, "\x01\xff", 2);
    g_assert_null(hex_bytes("012", &len));
    g_assert_null(hex_bytes("0x", &len));
}

static void test_bytes(void)
{
    uint8_t b[9];
    store_be24(b, 0x123456);
    g_assert_cmphex(load_be24(b), ==, 0x123456);
    store_le64(b + 1, 0x0102030405060708);
    g_assert_cmpint(b[1], ==, 8);
    g_assert_cmphex(load_be64(b + 1), ==, 0x0807060504030201);
    g_assert_cmphex(load_le16(b + 1), ==, 0x0708);
    g_assert_cmphex(load_be32(b + 1), ==, 0x08070605);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/util/error", test_error);
    g_test_add_func("/util/bitmap", test_bitmap);
    g_test_add_func("/util/iov", test_iov);
    g_test_add_func("/util/keyval", test_keyval);
    g_test_add_func("/util/keyval-help", test_keyval_help);
    g_test_add_func("/util/keyval-random", test_keyval_random);
    g_test_add_func("/util/numbers", test_numbers);
    g_test_add_func("/util/hex", test_hex);
    g_test_add_func("/util/bytes", test_bytes);
    return g_test_run();
}
