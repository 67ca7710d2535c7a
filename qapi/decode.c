/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON to QAPI values, typed or from key=value strings. Table-driven; see include/qapi/qapi.h. The
 * texts of the errors are the ones that QMP clients know.
 *
 * D1  A value under construction is zeroed first and consistent at every moment, so that an error
 *     may free it: tags are stored before branches, lengths of lists grow with their items.
 * D2  Depth of recursion is bounded by the depth of the input, which its parser limits.
 */
#include "util/osdep.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qapi/qapi.h"
#include "walk.h"
#include "util/error.h"
#include "util/keyval.h"

/* Where we are, for messages. */
typedef struct Path {
    const struct Path *parent;
    const char *name; /* NULL: element `index` of a list */
    size_t index;
} Path;

typedef struct Decoder {
    QapiInput mode;
    GError **error;
} Decoder;

static bool decode_slot(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                        void *slot);
static bool decode_content(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                           void *value);

/* ---- messages ---- */

static void append_path(GString *out, const Path *path)
{
    if (path->parent) {
        append_path(out, path->parent);
    }
    if (!path->name) {
        g_string_append_printf(out, "[%zu]", path->index);
    } else {
        g_string_append_printf(out, "%s%s", out->len ? "." : "", path->name);
    }
}

static char *path_text(const Path *path)
{
    GString *out = g_string_new(NULL);

    if (path) {
        append_path(out, path);
    }
    return g_string_free(out, FALSE);
}

static bool fail(Decoder *d, const Path *path, const char *format) G_GNUC_PRINTF(3, 0);
/* format has one %s for the path. */
static bool fail(Decoder *d, const Path *path, const char *format)
{
    g_autofree char *text = path_text(path);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    error_set(d->error, format, text);
#pragma GCC diagnostic pop
    return false;
}

static bool fail_type(Decoder *d, const Path *path, const char *expected)
{
    g_autofree char *text = path_text(path);

    if (!path) {
        return error_set(d->error, "Invalid input, expected: %s", expected);
    }
    return error_set(d->error, "Invalid parameter type for '%s', expected: %s", text, expected);
}

static bool fail_expects(Decoder *d, const Path *path, const char *expected)
{
    g_autofree char *text = path_text(path);

    return error_set(d->error, "Parameter '%s' expects %s", text, expected);
}

/* ---- scalars ---- */

static const char *string_of(json_object *in)
{
    return json_object_is_type(in, json_type_string) ? json_object_get_string(in) : NULL;
}

static bool decode_bool(Decoder *d, json_object *in, const Path *path, bool *value)
{
    if (d->mode == QAPI_INPUT_KEYVAL) {
        const char *s = string_of(in);

        if (!s) {
            return fail_type(d, path, "string");
        }
        return parse_bool(s, value, NULL) || fail_expects(d, path, "'on' or 'off'");
    }
    if (!json_object_is_type(in, json_type_boolean)) {
        return fail_type(d, path, "boolean");
    }
    *value = json_object_get_boolean(in);
    return true;
}

static bool store_signed(const QapiType *type, int64_t v, void *slot)
{
    switch (type->bits) {
    case 8:
        *(int8_t *)slot = v;
        return v >= INT8_MIN && v <= INT8_MAX;
    case 16:
        *(int16_t *)slot = v;
        return v >= INT16_MIN && v <= INT16_MAX;
    case 32:
        *(int32_t *)slot = v;
        return v >= INT32_MIN && v <= INT32_MAX;
    default:
        *(int64_t *)slot = v;
        return true;
    }
}

static bool store_unsigned(const QapiType *type, uint64_t v, void *slot)
{
    switch (type->bits) {
    case 8:
        *(uint8_t *)slot = v;
        return v <= UINT8_MAX;
    case 16:
        *(uint16_t *)slot = v;
        return v <= UINT16_MAX;
    case 32:
        *(uint32_t *)slot = v;
        return v <= UINT32_MAX;
    default:
        *(uint64_t *)slot = v;
        return true;
    }
}

static bool fail_integer(Decoder *d, const QapiType *type, const Path *path)
{
    char expected[16];

    if (type->bits == 64) {
        return fail_expects(d, path, type->kind == QAPI_KIND_INT ? "an integer" : "uint64");
    }
    g_snprintf(expected, sizeof(expected), "%sint%u_t", type->kind == QAPI_KIND_INT ? "" : "u",
               type->bits);
    return fail_expects(d, path, expected);
}

static bool decode_int_keyval(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                              void *slot)
{
    const char *s = string_of(in);
    uint64_t u;
    int64_t i;

    if (!s) {
        return fail_type(d, path, "string");
    }
    if (type->kind == QAPI_KIND_SIZE) {
        if (!parse_size(s, 1, &u, NULL)) {
            return fail_expects(d, path, "a size");
        }
        return store_unsigned(type, u, slot);
    }
    if (type->kind == QAPI_KIND_UINT) {
        if (!parse_uint64(s, &u, NULL)) {
            return fail_expects(d, path, "an integer");
        }
        return store_unsigned(type, u, slot) || fail_integer(d, type, path);
    }
    if (!parse_int64(s, &i, NULL)) {
        return fail_expects(d, path, "an integer");
    }
    return store_signed(type, i, slot) || fail_integer(d, type, path);
}

static bool decode_int(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                       void *slot)
{
    uint64_t u;
    int64_t i;

    if (d->mode == QAPI_INPUT_KEYVAL) {
        return decode_int_keyval(d, type, in, path, slot);
    }
    if (!json_object_is_type(in, json_type_int)) {
        return type->kind != QAPI_KIND_INT && type->bits == 64 ? fail_expects(d, path, "uint64")
                                                               : fail_type(d, path, "integer");
    }
    i = json_object_get_int64(in); /* clamped to INT64_MAX */
    u = json_object_get_uint64(in);
    if (type->kind == QAPI_KIND_INT) {
        if (i == INT64_MAX && u > INT64_MAX) {
            return fail_type(d, path, "integer");
        }
        return store_signed(type, i, slot) || fail_integer(d, type, path);
    }
    if (i < 0) {
        /* clients write 2^64 - n as -n; narrower types do not wrap */
        return (type->bits == 64 && store_unsigned(type, (uint64_t)i, slot)) ||
               fail_integer(d, type, path);
    }
    return store_unsigned(type, u, slot) || fail_integer(d, type, path);
}

static bool decode_number(Decoder *d, json_object *in, const Path *path, double *value)
{
    if (d->mode == QAPI_INPUT_KEYVAL) {
        const char *s = string_of(in);
        char *end;

        if (!s) {
            return fail_type(d, path, "string");
        }
        *value = g_ascii_strtod(s, &end);
        if (end == s || *end || !isfinite(*value)) {
            return fail_expects(d, path, "a number");
        }
        return true;
    }
    if (!json_object_is_type(in, json_type_int) && !json_object_is_type(in, json_type_double)) {
        return fail_type(d, path, "number");
    }
    *value = json_object_get_double(in);
    return isfinite(*value) || fail_expects(d, path, "a finite number");
}

static bool decode_str(Decoder *d, json_object *in, const Path *path, char **value)
{
    const char *s = string_of(in);

    if (!s) {
        return fail_type(d, path, "string");
    }
    if (strlen(s) != (size_t)json_object_get_string_len(in)) {
        return fail_expects(d, path, "a string without NUL characters");
    }
    *value = g_strdup(s);
    return true;
}

static bool decode_enum(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                        int *value)
{
    const char *s = string_of(in);
    g_autofree char *text = NULL;
    int found;

    if (!s) {
        return fail_type(d, path, "string");
    }
    found = qapi_enum_parse(type, s);
    if (found < 0 || strlen(s) != (size_t)json_object_get_string_len(in)) {
        text = path_text(path);
        return error_set(d->error, "Parameter '%s' does not accept value '%s'", text, s);
    }
    *value = found;
    return true;
}

/* ---- lists ---- */

static bool decode_array(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                         void *value)
{
    StrArray *array = value;
    size_t step = qapi_slot_size(type->element);
    size_t n;

    if (!json_object_is_type(in, json_type_array)) {
        return fail_type(d, path, "array");
    }
    n = json_object_array_length(in);
    for (size_t i = 0; i < n; i++) {
        Path here = { path, NULL, i };

        if ((i & (i - 1)) == 0) {
            array->items = g_realloc_n(array->items, i ? 2 * i : 1, step);
        }
        memset((char *)array->items + i * step, 0, step);
        array->len = i + 1;
        if (!decode_slot(d, type->element, json_object_array_get_idx(in, i), &here,
                         (char *)array->items + i * step)) {
            return false;
        }
    }
    return true;
}

/* ---- structs and unions ---- */

static bool decode_members(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                           void *value)
{
    char *base = value;
    const QapiBranch *branch;

    for (unsigned i = 0; i < type->n_members; i++) {
        const QapiMember *m = &type->members[i];
        Path here = { path, m->name, 0 };
        json_object *member;

        if (!json_object_object_get_ex(in, m->name, &member)) {
            if (!m->optional) {
                return fail(d, &here, "Parameter '%s' is missing");
            }
            continue;
        }
        if (!decode_slot(d, m->type, member, &here, base + m->offset)) {
            return false;
        }
        if (m->has) {
            *(bool *)(base + m->has_offset) = true;
        }
    }
    branch = type->n_branches ? qapi_current_branch(type, value) : NULL;
    return !branch || decode_members(d, branch->type, in, path, base + branch->offset);
}

static bool member_known(const QapiType *type, const void *value, const char *name)
{
    const QapiBranch *branch;

    for (unsigned i = 0; i < type->n_members; i++) {
        if (strcmp(type->members[i].name, name) == 0) {
            return true;
        }
    }
    branch = type->n_branches ? qapi_current_branch(type, value) : NULL;
    return branch && member_known(branch->type, (const char *)value + branch->offset, name);
}

static bool decode_struct(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                          void *value)
{
    if (!json_object_is_type(in, json_type_object)) {
        return fail_type(d, path, "object");
    }
    if (!decode_members(d, type, in, path, value)) {
        return false;
    }
    json_object_object_foreach(in, name, member)
    {
        (void)member;
        if (!member_known(type, value, name)) {
            Path here = { path, name, 0 };
            return fail(d, &here, "Parameter '%s' is unexpected");
        }
    }
    return true;
}

/* ---- alternates ---- */

/* Whether a string of key=value input can be this scalar. */
static bool keyval_fits(const QapiType *type, const char *s)
{
    uint64_t u;
    int64_t i;
    bool b;
    char *end;

    switch (type->kind) {
    case QAPI_KIND_ENUM:
        return qapi_enum_parse(type, s) >= 0;
    case QAPI_KIND_BOOL:
        return parse_bool(s, &b, NULL);
    case QAPI_KIND_INT:
        return parse_int64(s, &i, NULL);
    case QAPI_KIND_UINT:
        return parse_uint64(s, &u, NULL);
    case QAPI_KIND_SIZE:
        return parse_size(s, 1, &u, NULL);
    case QAPI_KIND_NUMBER:
        g_ascii_strtod(s, &end);
        return *s && !*end;
    default:
        return false;
    }
}

static bool json_fits(const QapiType *type, json_object *in)
{
    switch (json_object_get_type(in)) {
    case json_type_null:
        return type->kind == QAPI_KIND_NULL;
    case json_type_boolean:
        return type->kind == QAPI_KIND_BOOL;
    case json_type_double:
        return type->kind == QAPI_KIND_NUMBER;
    case json_type_int:
        return type->kind == QAPI_KIND_INT || type->kind == QAPI_KIND_UINT ||
               type->kind == QAPI_KIND_SIZE || type->kind == QAPI_KIND_NUMBER;
    case json_type_string:
        return type->kind == QAPI_KIND_STR || type->kind == QAPI_KIND_ENUM;
    case json_type_array:
        return type->kind == QAPI_KIND_ARRAY;
    default:
        return type->kind == QAPI_KIND_STRUCT;
    }
}

static const QapiBranch *choose_branch(Decoder *d, const QapiType *type, json_object *in)
{
    const char *s = d->mode == QAPI_INPUT_KEYVAL ? string_of(in) : NULL;

    for (unsigned i = 0; s && i < type->n_branches; i++) {
        if (keyval_fits(type->branches[i].type, s)) {
            return &type->branches[i];
        }
    }
    for (unsigned i = 0; i < type->n_branches; i++) {
        if (json_fits(type->branches[i].type, in)) {
            return &type->branches[i];
        }
    }
    return NULL;
}

static bool decode_alternate(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                             void *value)
{
    const QapiBranch *branch = choose_branch(d, type, in);
    char *base = value;

    if (!branch) {
        return fail_type(d, path, type->name);
    }
    *(int *)(base + type->tag_offset) = branch->value;
    if (branch->type->kind == QAPI_KIND_STRUCT) {
        return decode_content(d, branch->type, in, path, base + branch->offset);
    }
    return decode_slot(d, branch->type, in, path, base + branch->offset);
}

/* ---- put together ---- */

static bool decode_content(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                           void *value)
{
    switch (type->kind) {
    case QAPI_KIND_ARRAY:
        return decode_array(d, type, in, path, value);
    case QAPI_KIND_ALTERNATE:
        return decode_alternate(d, type, in, path, value);
    default:
        return decode_struct(d, type, in, path, value);
    }
}

static bool decode_slot(Decoder *d, const QapiType *type, json_object *in, const Path *path,
                        void *slot)
{
    switch (type->kind) {
    case QAPI_KIND_BOOL:
        return decode_bool(d, in, path, slot);
    case QAPI_KIND_INT:
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return decode_int(d, type, in, path, slot);
    case QAPI_KIND_NUMBER:
        return decode_number(d, in, path, slot);
    case QAPI_KIND_STR:
        return decode_str(d, in, path, slot);
    case QAPI_KIND_NULL:
        return !in || fail_type(d, path, "null");
    case QAPI_KIND_ANY:
        *(json_object **)slot = json_object_get(in);
        return true;
    case QAPI_KIND_ENUM:
        return decode_enum(d, type, in, path, slot);
    default:
        *(void **)slot = g_malloc0(type->size);
        return decode_content(d, type, in, path, *(void **)slot);
    }
}

void *qapi_decode_value(const QapiType *type, json_object *in, QapiInput mode, GError **error)
{
    Decoder d = { mode, error };
    void *value = g_malloc0(type->size);

    g_assert(qapi_is_aggregate(type));
    if (!decode_content(&d, type, in, NULL, value)) {
        qapi_free_value(type, value);
        return NULL;
    }
    return value;
}

bool qapi_args_decode(const QapiType *type, json_object *in, void *args, GError **error)
{
    Decoder d = { QAPI_INPUT_JSON, error };
    json_object *empty = in ? NULL : json_object_new_object();
    bool ok;

    memset(args, 0, type->size);
    ok = decode_struct(&d, type, in ? in : empty, NULL, args);
    if (!ok) {
        qapi_clear_content(type, args);
    }
    json_object_put(empty);
    return ok;
}

void *qapi_decode_option(const QapiType *type, const char *text, const char *implied_key,
                         GError **error)
{
    json_object *in = keyval_parse(text, implied_key, false, NULL, error);
    void *value;

    if (!in) {
        return NULL;
    }
    value = qapi_decode_value(type, in, *text == '{' ? QAPI_INPUT_JSON : QAPI_INPUT_KEYVAL, error);
    json_object_put(in);
    return value;
}
