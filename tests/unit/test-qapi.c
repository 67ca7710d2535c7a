/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QAPI values: what the generator made of tests/schema, decoded, encoded, cloned, freed,
 * dispatched. */
#include "util/osdep.h"

#include "qapi/commands-test-more.h"
#include "qapi/events-test-more.h"
#include "qapi/types-test-base.h"
#include "util/error.h"
#include "util/keyval.h"

QMP_REGISTER(test_more)

static json_object *parse(const char *text)
{
    json_object *value = json_tokener_parse(text);

    g_assert_true(value || strcmp(text, "null") == 0);
    return value;
}

static char *write_out(json_object *value)
{
    GString *out = g_string_new(NULL);

    qapi_json_write(out, value, false);
    json_object_put(value);
    return g_string_free(out, FALSE);
}

/* Decodes, clones, frees the first, encodes the second: must give `expected` (NULL: the input). */
static void round_trip(const QapiType *type, const char *text, const char *expected)
{
    json_object *in = parse(text);
    GError *error = NULL;
    void *value = qapi_decode_value(type, in, QAPI_INPUT_JSON, &error);
    void *copy;
    g_autofree char *out = NULL;

    g_assert_no_error(error);
    copy = qapi_clone_value(type, value);
    qapi_free_value(type, value);
    json_object_put(in);
    out = write_out(qapi_encode_value(type, copy));
    qapi_free_value(type, copy);
    g_assert_cmpstr(out, ==, expected ? expected : text);
}

static void refused(const QapiType *type, QapiInput mode, const char *text, const char *message)
{
    json_object *in =
        mode == QAPI_INPUT_JSON ? parse(text) : keyval_parse(text, NULL, false, NULL, NULL);
    g_autoptr(GError) error = NULL;
    void *value = qapi_decode_value(type, in, mode, &error);

    g_assert_null(value);
    g_assert_nonnull(error);
    g_assert_cmpstr(error->message, ==, message);
    json_object_put(in);
}

#define SCALARS                                                                         \
    "{\"b\": true, \"i\": -5, \"i8\": -128, \"i16\": 32767, \"i32\": -2147483648, "     \
    "\"i64\": -9223372036854775808, \"u8\": 255, \"u16\": 65535, \"u32\": 4294967295, " \
    "\"u64\": 18446744073709551615, \"s\": 9223372036854775808, \"n\": 1.5, \"str\": "  \
    "\"t\\u00E9\", "                                                                    \
    "\"color\": \"dark-green\", \"any\": {\"x\": [null, 1]}}"

static void test_round_trips(void)
{
    round_trip(&qapi_type_Scalars, SCALARS, NULL);
    round_trip(&qapi_type_Optionals, "{}", NULL);
    round_trip(&qapi_type_Optionals,
               "{\"b\": false, \"i\": 0, \"s\": 0, \"n\": 0, \"str\": \"\", \"color\": \"red\", "
               "\"any\": 0, "
               "\"point\": {\"x\": 1, \"y\": 2}, \"list\": [], \"u16\": 7}",
               NULL);
    round_trip(&qapi_type_Empty, "{}", NULL);
    round_trip(
        &qapi_type_Lists,
        "{\"strings\": [\"a\", \"b\", \"c\"], \"points\": [{\"x\": 1}, {\"x\": 2, \"y\": 3}], "
        "\"colors\": [\"red\", \"blue\"], \"bytes\": [1, 2, 3, 4, 5], \"anys\": [1, \"x\", null], "
        "\"shapes\": [{\"kind\": \"dot\"}, {\"kind\": \"unix\", \"path\": \"p\"}], \"sizes\": [5]}",
        NULL);
    round_trip(&qapi_type_Shape,
               "{\"kind\": \"circle\", \"name\": \"c\", \"center\": {\"x\": 0}, \"radius\": 2}",
               NULL);
    round_trip(&qapi_type_Shape, "{\"kind\": \"nested\", \"how\": \"red\", \"path\": \"p\"}", NULL);
    round_trip(&qapi_type_Shape, "{\"kind\": \"nested\", \"how\": \"blue\"}", NULL);
    round_trip(&qapi_type_Shape, "{\"path\": \"p\", \"kind\": \"unix\"}",
               "{\"kind\": \"unix\", \"path\": \"p\"}");
    round_trip(&qapi_type_Alternates, "{\"a\": 3, \"b\": \"n\", \"c\": 4}", NULL);
    round_trip(&qapi_type_Alternates,
               "{\"a\": {\"kind\": \"dot\"}, \"b\": {\"x\": 1}, \"c\": \"dark-green\"}", NULL);
    round_trip(&qapi_type_Alternates, "{\"a\": null, \"b\": [1, 2]}", NULL);
    round_trip(&qapi_type_Alternates, "{\"a\": true, \"b\": []}", NULL);
}

static void test_c_values(void)
{
    json_object *in =
        parse("{\"kind\": \"poly\", \"corners\": [{\"x\": 4, \"y\": 5}], \"default\": true}");
    Shape *shape = qapi_decode_Shape(in, QAPI_INPUT_JSON, NULL);
    PointArray *list = g_new0(PointArray, 1);

    g_assert_cmpint(shape->kind, ==, SHAPE_KIND_WORD_POLY);
    g_assert_null(shape->name);
    g_assert_true(shape->u.poly.has_default_ && shape->u.poly.default_);
    g_assert_cmpint(shape->u.poly.corners->len, ==, 1);
    g_assert_cmpint(shape->u.poly.corners->items[0]->x, ==, 4);
    qapi_free_Shape(shape);
    json_object_put(in);

    for (int i = 0; i < 100; i++) {
        Point *p = g_new0(Point, 1);
        p->x = i;
        QAPI_ARRAY_ADD(list, p);
    }
    for (int round = 0; round < 2; round++) {
        PointArray *copy = qapi_clone_PointArray(list);
        qapi_free_PointArray(list);
        list = copy;
        QAPI_ARRAY_ADD(list, g_new0(Point, 1));
    }
    g_assert_cmpint(list->len, ==, 102);
    g_assert_cmpint(list->items[99]->x, ==, 99);
    qapi_free_PointArray(list);

    g_assert_cmpint(PFX_0_9, ==, 0);
    g_assert_cmpint(PFX_COUNT, ==, 2);
    g_assert_cmpint(COLOR_COUNT, ==, 3);
    g_assert_cmpstr(qapi_name_Color(COLOR_DARK_GREEN), ==, "dark-green");
    g_assert_cmpint(qapi_parse_Color("blue"), ==, COLOR_BLUE);
    g_assert_cmpint(qapi_parse_Color("dark_green"), ==, -1);
}

static void test_refused(void)
{
    const QapiType *t = &qapi_type_Optionals;

    refused(&qapi_type_Point, QAPI_INPUT_JSON, "{}", "Parameter 'x' is missing");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "{\"x\": 1, \"z\": 2}",
            "Parameter 'z' is unexpected");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "{\"x\": \"1\"}",
            "Invalid parameter type for 'x', expected: integer");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "{\"x\": 1.0}",
            "Invalid parameter type for 'x', expected: integer");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "{\"x\": 18446744073709551615}",
            "Invalid parameter type for 'x', expected: integer");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "{\"x\": null}",
            "Invalid parameter type for 'x', expected: integer");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "[]", "Invalid input, expected: object");
    refused(&qapi_type_Point, QAPI_INPUT_JSON, "null", "Invalid input, expected: object");
    refused(t, QAPI_INPUT_JSON, "{\"b\": 1}", "Invalid parameter type for 'b', expected: boolean");
    refused(t, QAPI_INPUT_JSON, "{\"s\": \"4k\"}", "Parameter 's' expects uint64");
    refused(t, QAPI_INPUT_JSON, "{\"u16\": 65536}", "Parameter 'u16' expects uint16_t");
    refused(t, QAPI_INPUT_JSON, "{\"u16\": -1}", "Parameter 'u16' expects uint16_t");
    refused(t, QAPI_INPUT_JSON, "{\"str\": {}}",
            "Invalid parameter type for 'str', expected: string");
    refused(t, QAPI_INPUT_JSON, "{\"str\": \"a\\u0000b\"}",
            "Parameter 'str' expects a string without NUL characters");
    refused(t, QAPI_INPUT_JSON, "{\"color\": \"never\"}",
            "Parameter 'color' does not accept value 'never'");
    refused(t, QAPI_INPUT_JSON, "{\"list\": [{\"x\": 1}, {\"x\": true}]}",
            "Invalid parameter type for 'list[1].x', expected: integer");
    refused(t, QAPI_INPUT_JSON, "{\"list\": {}}",
            "Invalid parameter type for 'list', expected: array");
    refused(t, QAPI_INPUT_JSON, "{\"point\": 5}",
            "Invalid parameter type for 'point', expected: object");
    refused(&qapi_type_Shape, QAPI_INPUT_JSON,
            "{\"kind\": \"circle\", \"center\": {\"x\": 1, \"q\": 1}}",
            "Parameter 'center.q' is unexpected");
    refused(&qapi_type_Shape, QAPI_INPUT_JSON, "{\"kind\": \"dot\", \"radius\": 1}",
            "Parameter 'radius' is unexpected");
    refused(&qapi_type_Shape, QAPI_INPUT_JSON, "{\"kind\": \"box\"}",
            "Parameter 'kind' does not accept value 'box'");
    refused(&qapi_type_Shape, QAPI_INPUT_JSON, "{\"radius\": 1}", "Parameter 'kind' is missing");
    refused(&qapi_type_Shape, QAPI_INPUT_JSON, "{\"kind\": \"nested\", \"how\": \"red\"}",
            "Parameter 'path' is missing");
    refused(&qapi_type_Alternates, QAPI_INPUT_JSON, "{\"a\": \"s\", \"b\": \"n\"}",
            "Invalid parameter type for 'a', expected: IntOrShape");
    refused(&qapi_type_Alternates, QAPI_INPUT_JSON, "{\"a\": 1, \"b\": [1, \"x\"]}",
            "Invalid parameter type for 'b[1]', expected: integer");
}

static void test_keyval(void)
{
    GError *error = NULL;
    g_autofree char *out = NULL;
    Optionals *o =
        qapi_decode_option(&qapi_type_Optionals,
                           "b=on,i=-0x10,s=64k,n=2.5,str=a,,b,color=blue,point.x=3,list.0.x=1,"
                           "list.1.x=2,list.1.y=0x20",
                           NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(o->s, ==, 65536);
    g_assert_cmpint(o->i, ==, -16);
    out = write_out(qapi_encode_Optionals(o));
    g_assert_cmpstr(out, ==,
                    "{\"b\": true, \"i\": -16, \"s\": 65536, \"n\": 2.5, \"str\": \"a,b\", "
                    "\"color\": \"blue\", "
                    "\"point\": {\"x\": 3}, \"list\": [{\"x\": 1}, {\"x\": 2, \"y\": 32}]}");
    qapi_free_Optionals(o);

    o = qapi_decode_option(&qapi_type_Optionals, "{\"b\": true}", NULL, &error);
    g_assert_no_error(error);
    g_assert_true(o->has_b && o->b);
    qapi_free_Optionals(o);

    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "b=maybe",
            "Parameter 'b' expects 'on' or 'off'");
    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "i=1x", "Parameter 'i' expects an integer");
    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "s=-1", "Parameter 's' expects a size");
    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "u16=70000",
            "Parameter 'u16' expects uint16_t");
    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "point=1",
            "Invalid parameter type for 'point', expected: object");
    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "str.x=1",
            "Invalid parameter type for 'str', expected: string");
    refused(&qapi_type_Optionals, QAPI_INPUT_KEYVAL, "point.x=1,point.q=2",
            "Parameter 'point.q' is unexpected");
}

static void test_keyval_alternates(void)
{
    GError *error = NULL;
    Alternates *a = qapi_decode_option(&qapi_type_Alternates, "a=7,b=7,c=1M", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(a->a->kind, ==, INT_OR_SHAPE_KIND_NUMBER);
    g_assert_cmpint(a->a->u.number, ==, 7);
    g_assert_cmpint(a->b->kind, ==, NAME_OR_POINT_KIND_NAME);
    g_assert_cmpint(a->c->u.size, ==, 1 << 20);
    qapi_free_Alternates(a);

    a = qapi_decode_option(&qapi_type_Alternates, "a.kind=unix,a.path=p,b.x=2,c=red", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(a->a->kind, ==, INT_OR_SHAPE_KIND_SHAPE);
    g_assert_cmpstr(a->a->u.shape.u.unix_.path, ==, "p");
    g_assert_cmpint(a->c->kind, ==, WORD_OR_SIZE_KIND_WORD);
    qapi_free_Alternates(a);
}

/* Cuts every member out of a valid value, and replaces each by each kind of JSON: nothing may crash
 * or leak. */
static void test_disturbed(void)
{
    static const char *const others[] = {
        "null", "true", "-1", "1e300", "\"x\"", "[]", "{}", "[[]]"
    };
    json_object *in =
        parse("{\"a\": {\"kind\": \"circle\", \"center\": {\"x\": 1, \"y\": 2}, \"radius\": 1}, "
              "\"b\": [1, 2, 3], \"c\": \"red\"}");
    json_object *inner = json_object_object_get(in, "a");

    json_object_object_foreach(inner, key, old)
    {
        json_object_get(old);
        for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
            g_autoptr(GError) error = NULL;
            Alternates *a;

            json_object_object_add(inner, key, parse(others[i]));
            a = qapi_decode_Alternates(in, QAPI_INPUT_JSON, &error);
            g_assert_true(!a == !!error);
            qapi_free_Alternates(a);
        }
        json_object_object_add(inner, key, old);
    }
    json_object_put(in);
}

/* ---- commands and events ---- */

bool qmp_add(int64_t a, bool has_b, int64_t b, int64_t *ret, GError **error)
{
    *ret = a + (has_b ? b : 100);
    return true;
}

bool qmp_describe(const Shape *arg, char **ret, GError **error)
{
    *ret = g_strdup_printf("a %s", qapi_name_ShapeKindWord(arg->kind));
    return true;
}

bool qmp_mirror(const PointArray *points, bool has_color, Color color, const char *note,
                json_object *extra, PointArray **ret, GError **error)
{
    if (note && !has_color) {
        return error_set(error, "a note needs a color");
    }
    *ret = qapi_clone_PointArray(points);
    return true;
}

bool qmp_move_to(int64_t x, bool has_y, int64_t y, GError **error)
{
    return x >= 0 || error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "out");
}

bool qmp_fail(GError **error)
{
    return error_set(error, "failed");
}

bool qmp_raw(json_object *args, json_object **ret, GError **error)
{
    *ret = json_object_get(args);
    return true;
}

bool qmp_silent(GError **error)
{
    return true;
}

static char *run(const char *name, const char *args)
{
    json_object *in = args ? parse(args) : NULL;
    json_object *out = NULL;
    g_autoptr(GError) error = NULL;
    char *text;

    if (qmp_run(name, in, &out, &error)) {
        g_assert_no_error(error);
        text = write_out(out);
    } else {
        text = g_strdup_printf("%s: %s", tern_error_class_name(error), error->message);
    }
    json_object_put(in);
    return text;
}

static void expect_run(const char *name, const char *args, const char *expected)
{
    g_autofree char *out = run(name, args);

    g_assert_cmpstr(out, ==, expected);
}

static void test_commands(void)
{
    expect_run("add", "{\"a\": 1}", "101");
    expect_run("add", "{\"a\": 1, \"b\": 2}", "3");
    expect_run("add", NULL, "GenericError: Parameter 'a' is missing");
    expect_run("add", "{\"a\": 1, \"c\": 2}", "GenericError: Parameter 'c' is unexpected");
    expect_run("describe", "{\"kind\": \"unix\", \"path\": \"x\"}", "\"a unix\"");
    expect_run("describe", NULL, "GenericError: Parameter 'kind' is missing");
    expect_run("mirror", "{\"points\": [{\"x\": 1}], \"extra\": {\"k\": [1]}}", "[{\"x\": 1}]");
    expect_run("mirror", "{\"points\": [], \"note\": \"n\"}", "GenericError: a note needs a color");
    expect_run("move-to", "{\"x\": -1}", "DeviceNotFound: out");
    expect_run("move-to", "{\"x\": 1}", "null");
    expect_run("fail", NULL, "GenericError: failed");
    expect_run("fail", "{\"x\": 1}", "GenericError: Parameter 'x' is unexpected");
    expect_run("raw", "{\"anything\": 1}", "{\"anything\": 1}");
    expect_run("gone", NULL, "CommandNotFound: The command gone has not been found");
    g_assert_cmpint(qmp_find_command("add")->flags, ==, QMP_ALLOW_OOB);
    g_assert_cmpint(qmp_find_command("silent")->flags, ==,
                    QMP_ALLOW_PRECONFIG | QMP_NO_SUCCESS_RESPONSE);
}

static void record_event(const char *name, json_object *data, void *opaque)
{
    GString *log = opaque;

    g_string_append_printf(log, "%s ", name);
    qapi_json_write(log, data, false);
    g_string_append_c(log, ';');
}

static void test_events(void)
{
    GString *log = g_string_new(NULL);
    Point to = { .x = 1 };
    Shape shape = { .kind = SHAPE_KIND_WORD_DOT, .name = (char *)"n" };

    qapi_event_send_PLAIN(); /* nobody listens */
    qapi_event_set_sink(record_event, log);
    qapi_event_send_PLAIN();
    qapi_event_send_MOVED(&to, true, false, "because");
    qapi_event_send_MOVED(&to, false, true, "bad \xff text");
    qapi_event_send_DRAWN(&shape);
    qapi_event_set_sink(NULL, NULL);
    g_assert_cmpstr(log->str, ==,
                    "PLAIN null;MOVED {\"to\": {\"x\": 1}, \"fast\": false, \"why\": \"because\"};"
                    "MOVED {\"to\": {\"x\": 1}, \"why\": \"bad \\uFFFD text\"};"
                    "DRAWN {\"kind\": \"dot\", \"name\": \"n\"};");
    g_string_free(log, TRUE);
}

static void test_json_text(void)
{
    json_object *value =
        parse("{\"a\": [1, {\"b\": []}, {}], \"q\": \"\\\"\\\\\\n\\u0001\\u00e9\\ud83d\\ude00\"}");
    json_object *raw = qapi_json_new_raw_array("[{\"raw\": 1}]");
    GString *out = g_string_new(NULL);

    qapi_json_write(out, value, false);
    g_assert_cmpstr(
        out->str, ==,
        "{\"a\": [1, {\"b\": []}, {}], \"q\": \"\\\"\\\\\\n\\u0001\\u00E9\\uD83D\\uDE00\"}");
    g_string_truncate(out, 0);
    qapi_json_write(out, value, true);
    g_assert_cmpstr(out->str, ==,
                    "{\n    \"a\": [\n        1,\n        {\n            \"b\": []\n        },\n   "
                    "     {}\n    ],\n"
                    "    \"q\": \"\\\"\\\\\\n\\u0001\\u00E9\\uD83D\\uDE00\"\n}");
    g_string_truncate(out, 0);
    qapi_json_write(out, raw, false);
    g_assert_cmpstr(out->str, ==, "[{\"raw\": 1}]");
    json_object_put(value);
    json_object_put(raw);
    g_string_free(out, TRUE);
}

static void test_introspection(void)
{
    json_object *all = json_tokener_parse(qapi_introspect_json);
    bool found = false;

    g_assert_true(json_object_is_type(all, json_type_array));
    for (size_t i = 0; i < json_object_array_length(all); i++) {
        json_object *entry = json_object_array_get_idx(all, i);
        const char *name = json_object_get_string(json_object_object_get(entry, "name"));

        found |= strcmp(name, "query-version") == 0;
    }
    g_assert_true(found);
    json_object_put(all);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/round-trips", test_round_trips);
    g_test_add_func("/qapi/c-values", test_c_values);
    g_test_add_func("/qapi/refused", test_refused);
    g_test_add_func("/qapi/keyval", test_keyval);
    g_test_add_func("/qapi/keyval-alternates", test_keyval_alternates);
    g_test_add_func("/qapi/disturbed", test_disturbed);
    g_test_add_func("/qapi/commands", test_commands);
    g_test_add_func("/qapi/events", test_events);
    g_test_add_func("/qapi/json-text", test_json_text);
    g_test_add_func("/qapi/introspection", test_introspection);
    return g_test_run();
}
