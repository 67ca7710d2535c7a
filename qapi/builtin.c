/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The built-in types of the schema language, and enum names. docs/devel/qapi.md. */
#include "util/osdep.h"

#include <string.h>

#include "qapi/qapi.h"

#define SCALAR(c_name, c_type, c_kind, c_bits)                                      \
    const QapiType qapi_type_##c_name = {                                           \
        .name = #c_name, .kind = (c_kind), .bits = (c_bits), .size = sizeof(c_type) \
    }

SCALAR(bool, bool, QAPI_KIND_BOOL, 0);
SCALAR(int, int64_t, QAPI_KIND_INT, 64);
SCALAR(int8, int8_t, QAPI_KIND_INT, 8);
SCALAR(int16, int16_t, QAPI_KIND_INT, 16);
SCALAR(int32, int32_t, QAPI_KIND_INT, 32);
SCALAR(int64, int64_t, QAPI_KIND_INT, 64);
SCALAR(uint8, uint8_t, QAPI_KIND_UINT, 8);
SCALAR(uint16, uint16_t, QAPI_KIND_UINT, 16);
SCALAR(uint32, uint32_t, QAPI_KIND_UINT, 32);
SCALAR(uint64, uint64_t, QAPI_KIND_UINT, 64);
SCALAR(size, uint64_t, QAPI_KIND_SIZE, 64);
SCALAR(number, double, QAPI_KIND_NUMBER, 0);
SCALAR(str, char *, QAPI_KIND_STR, 0);
SCALAR(null, bool, QAPI_KIND_NULL, 0);
SCALAR(any, json_object *, QAPI_KIND_ANY, 0);

#define LIST(c_name, c_element)                                    \
    const QapiType qapi_type_##c_name = { .name = #c_name,         \
                                          .kind = QAPI_KIND_ARRAY, \
                                          .size = sizeof(c_name),  \
                                          .element = &qapi_type_##c_element }

LIST(StrArray, str);
LIST(BoolArray, bool);
LIST(IntArray, int);
LIST(NumberArray, number);
LIST(AnyArray, any);
LIST(SizeArray, size);
LIST(Int8Array, int8);
LIST(Int16Array, int16);
LIST(Int32Array, int32);
LIST(Int64Array, int64);
LIST(Uint8Array, uint8);
LIST(Uint16Array, uint16);
LIST(Uint32Array, uint32);
LIST(Uint64Array, uint64);

const QapiType qapi_type_no_args = { .name = "no arguments", .kind = QAPI_KIND_STRUCT, .size = 1 };

int qapi_enum_parse(const QapiType *type, const char *name)
{
    for (unsigned i = 0; i < type->n_words; i++) {
        if (strcmp(type->words[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *qapi_enum_name(const QapiType *type, int value)
{
    g_assert(value >= 0 && (unsigned)value < type->n_words);
    return type->words[value];
}
