/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QAPI values: how the C types that scripts/qapi-gen makes from qapi/MODULE.json are read from
 * JSON, written to JSON, copied and freed. Language of the schema: docs/devel/qapi.md.
 *
 * For every struct, union, alternate and list type T of a module the generated
 * "qapi/types-MODULE.h" has
 *
 *     struct T       members in schema order, those of the base first. Before an optional scalar or
 *                    enum '*name' stands `bool has_name`; optional strings, structs and lists are
 *                    NULL when absent
 *         union      the common members, then `union { BranchType tag; ... } u;`
 *         alternate  `TKind kind; union { ... } u;`
 *     TArray         list of T: `size_t len; T **items` (scalars and enums: plain items)
 *
 *     T *qapi_decode_T(json_object *in, QapiInput mode, GError **error);
 *     json_object *qapi_encode_T(const T *value);
 *     T *qapi_clone_T(const T *value);
 *     void qapi_free_T(T *value);              and g_autoptr(T)
 *
 * and for every enum E the constants E_WORD_WORD (FOO_BAR_COUNT last), `const char
 * *qapi_name_E(int)` and `int qapi_parse_E(const char *name)` (-1 if unknown). C names are schema
 * names with '-' and '.' as '_'; a name that C reserves gets the suffix '_' ("default_").
 *
 * Q1  What is decoded is complete and valid: mandatory members are set, enums and branches in
 *     range.
 * Q2  Decoding changes nothing in its input and keeps no pointer to it except references to 'any'
 *     values.
 */
#ifndef QAPI_QAPI_H
#define QAPI_QAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include <json-c/json.h>

/* How the scalars of an input look. */
typedef enum QapiInput {
    QAPI_INPUT_JSON, /* typed JSON, as QMP has it */
    /* keyval_parse(): every scalar is a string; "on"/"off", "0x10", "64k" are read by type */
    QAPI_INPUT_KEYVAL,
} QapiInput;

typedef struct QapiType QapiType;

/* Decodes `in` (borrowed, may be NULL = JSON null) as a value of `type`, which must be a struct,
 * union, alternate or list. Returns the new value (qapi_free_value()) or NULL with an error that
 * names the path of the member: "Parameter 'backend.data.path' is missing". */
void *qapi_decode_value(const QapiType *type, json_object *in, QapiInput mode, GError **error);
/* A new JSON value; absent optional members do not appear. NULL stands for JSON null. */
json_object *qapi_encode_value(const QapiType *type, const void *value);
void *qapi_clone_value(const QapiType *type, const void *value);
void qapi_free_value(const QapiType *type, void *value);

/* Parses "{...}" (QAPI_INPUT_JSON) or "key=value,..." and decodes: what -blockdev, -chardev,
 * -object do. implied_key as in keyval_parse(). */
void *qapi_decode_option(const QapiType *type, const char *text, const char *implied_key,
                         GError **error);

/* Appends to a generated list (any TArray *). */
#define QAPI_ARRAY_ADD(array, item)                                                          \
    do {                                                                                     \
        __auto_type qapi_array_ = (array);                                                   \
        if ((qapi_array_->len & (qapi_array_->len - 1)) == 0) {                              \
            qapi_array_->items =                                                             \
                g_realloc_n(qapi_array_->items, qapi_array_->len ? 2 * qapi_array_->len : 1, \
                            sizeof(*qapi_array_->items));                                    \
        }                                                                                    \
        qapi_array_->items[qapi_array_->len++] = (item);                                     \
    } while (0)

/* JSON text as QMP writes it: ", " and ": " between, ASCII only (the rest as \u escapes; bytes
 * that are not UTF-8 become U+FFFD). pretty adds line breaks and four spaces per level. Appends
 * to out. */
void qapi_json_write(GString *out, json_object *value, bool pretty);
/* A string value that holds `text` with invalid UTF-8 replaced; NULL gives NULL (JSON null). */
json_object *qapi_json_new_text(const char *text);
/* A value that is written as the constant JSON text itself (an array). `text` must outlive it. */
json_object *qapi_json_new_raw_array(const char *text);

/* --- what the generated tables look like; nobody else writes these ---------------------------- */

typedef enum QapiKind {
    QAPI_KIND_BOOL,
    QAPI_KIND_INT,  /* signed, `bits` wide */
    QAPI_KIND_UINT, /* unsigned, `bits` wide */
    QAPI_KIND_SIZE, /* uint64_t; keyval input takes suffixes */
    QAPI_KIND_NUMBER,
    QAPI_KIND_STR,
    QAPI_KIND_NULL,
    QAPI_KIND_ANY,
    QAPI_KIND_ENUM,
    QAPI_KIND_ARRAY,
    QAPI_KIND_STRUCT, /* also unions: then `tag` is set */
    QAPI_KIND_ALTERNATE,
} QapiKind;

typedef struct QapiMember {
    const char *name;
    const QapiType *type;
    uint32_t offset;
    uint32_t has_offset; /* of the bool has_NAME ... */
    bool has;            /* ... if there is one */
    bool optional;
} QapiMember;

/* A branch of a union (value = tag value) or of an alternate (value = C kind constant). */
typedef struct QapiBranch {
    const QapiType *type; /* NULL: branch without members */
    int value;
    uint32_t offset;
} QapiBranch;

struct QapiType {
    const char *name;
    QapiKind kind;
    uint8_t bits;
    uint32_t size;            /* of the C value */
    const char *const *words; /* ENUM */
    unsigned n_words;
    const QapiType *element;   /* ARRAY */
    const QapiMember *members; /* STRUCT */
    unsigned n_members;
    const QapiMember *tag; /* STRUCT that is a union: one of members */
    uint32_t tag_offset;   /* ALTERNATE: of `kind` */
    const QapiBranch *branches;
    unsigned n_branches;
};

extern const QapiType qapi_type_bool, qapi_type_int, qapi_type_int8, qapi_type_int16,
    qapi_type_int32, qapi_type_int64, qapi_type_uint8, qapi_type_uint16, qapi_type_uint32,
    qapi_type_uint64, qapi_type_size, qapi_type_number, qapi_type_str, qapi_type_null,
    qapi_type_any;

int qapi_enum_parse(const QapiType *type, const char *name);
const char *qapi_enum_name(const QapiType *type, int value);

/* Arguments of a command, decoded into the struct `args` (zeroed, type->size bytes). in may be NULL
 * (no arguments). On failure nothing is left to free. qapi_args_clear() frees the members, not
 * args. */
bool qapi_args_decode(const QapiType *type, json_object *in, void *args, GError **error);
void qapi_args_clear(const QapiType *type, void *args);
/* One value of any type in the slot that a member of this type has: for structs, alternates and
 * lists a pointer, for the rest the value itself. */
json_object *qapi_encode_at(const QapiType *type, const void *slot);
void qapi_clear_at(const QapiType *type, void *slot);
extern const QapiType qapi_type_no_args;

/* Lists of built-in types. */
typedef struct StrArray {
    size_t len;
    char **items;
} StrArray;
typedef struct BoolArray {
    size_t len;
    bool *items;
} BoolArray;
typedef struct IntArray {
    size_t len;
    int64_t *items;
} IntArray;
typedef struct NumberArray {
    size_t len;
    double *items;
} NumberArray;
typedef struct AnyArray {
    size_t len;
    json_object **items;
} AnyArray;
typedef struct SizeArray {
    size_t len;
    uint64_t *items;
} SizeArray;
typedef struct Int8Array {
    size_t len;
    int8_t *items;
} Int8Array;
typedef struct Int16Array {
    size_t len;
    int16_t *items;
} Int16Array;
typedef struct Int32Array {
    size_t len;
    int32_t *items;
} Int32Array;
typedef struct Int64Array {
    size_t len;
    int64_t *items;
} Int64Array;
typedef struct Uint8Array {
    size_t len;
    uint8_t *items;
} Uint8Array;
typedef struct Uint16Array {
    size_t len;
    uint16_t *items;
} Uint16Array;
typedef struct Uint32Array {
    size_t len;
    uint32_t *items;
} Uint32Array;
typedef struct Uint64Array {
    size_t len;
    uint64_t *items;
} Uint64Array;

extern const QapiType qapi_type_StrArray, qapi_type_BoolArray, qapi_type_IntArray,
    qapi_type_NumberArray, qapi_type_AnyArray, qapi_type_SizeArray, qapi_type_Int8Array,
    qapi_type_Int16Array, qapi_type_Int32Array, qapi_type_Int64Array, qapi_type_Uint8Array,
    qapi_type_Uint16Array, qapi_type_Uint32Array, qapi_type_Uint64Array;

#define QAPI_BUILTIN_ARRAY(T)                   \
    static inline void qapi_free_##T(T *value)  \
    {                                           \
        qapi_free_value(&qapi_type_##T, value); \
    }                                           \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(T, qapi_free_##T)
QAPI_BUILTIN_ARRAY(StrArray)
QAPI_BUILTIN_ARRAY(BoolArray)
QAPI_BUILTIN_ARRAY(IntArray)
QAPI_BUILTIN_ARRAY(NumberArray)
QAPI_BUILTIN_ARRAY(AnyArray)
QAPI_BUILTIN_ARRAY(SizeArray)
QAPI_BUILTIN_ARRAY(Uint64Array)
#undef QAPI_BUILTIN_ARRAY

#endif
