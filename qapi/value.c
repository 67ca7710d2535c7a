/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QAPI values to JSON, copies of them, and their end. Table-driven; see include/qapi/qapi.h. */
#include "util/osdep.h"

#include <string.h>

#include "qapi/qapi.h"
#include "walk.h"

/* ---- free ---- */

void qapi_clear_at(const QapiType *type, void *slot)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
        g_clear_pointer((char **)slot, g_free);
        break;
    case QAPI_KIND_ANY:
        json_object_put(*(json_object **)slot);
        *(json_object **)slot = NULL;
        break;
    case QAPI_KIND_ARRAY:
    case QAPI_KIND_STRUCT:
    case QAPI_KIND_ALTERNATE:
        qapi_free_value(type, *(void **)slot);
        *(void **)slot = NULL;
        break;
    default:
        break;
    }
}

static void clear_array(const QapiType *type, StrArray *array)
{
    size_t step = qapi_slot_size(type->element);

    for (size_t i = 0; i < array->len; i++) {
        qapi_clear_at(type->element, (char *)array->items + i * step);
    }
    g_free(array->items);
    array->items = NULL;
    array->len = 0;
}

void qapi_clear_content(const QapiType *type, void *value)
{
    const QapiBranch *branch = NULL;
    char *base = value;

    if (type->kind == QAPI_KIND_ARRAY) {
        clear_array(type, value);
        return;
    }
    if (type->n_branches) {
        branch = qapi_current_branch(type, value);
    }
    if (branch && type->kind == QAPI_KIND_ALTERNATE && branch->type->kind != QAPI_KIND_STRUCT) {
        qapi_clear_at(branch->type, base + branch->offset);
    } else if (branch) {
        qapi_clear_content(branch->type, base + branch->offset);
    }
    for (unsigned i = 0; i < type->n_members; i++) {
        qapi_clear_at(type->members[i].type, base + type->members[i].offset);
    }
}

void qapi_free_value(const QapiType *type, void *value)
{
    if (value) {
        qapi_clear_content(type, value);
        g_free(value);
    }
}

void qapi_args_clear(const QapiType *type, void *args)
{
    qapi_clear_content(type, args);
}

/* ---- clone: value was copied byte by byte already, now everything it points to ---- */

static void clone_content(const QapiType *type, void *value);

static void clone_slot(const QapiType *type, void *slot)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
        *(char **)slot = g_strdup(*(char **)slot);
        break;
    case QAPI_KIND_ANY:
        json_object_get(*(json_object **)slot);
        break;
    case QAPI_KIND_ARRAY:
    case QAPI_KIND_STRUCT:
    case QAPI_KIND_ALTERNATE:
        *(void **)slot = qapi_clone_value(type, *(void **)slot);
        break;
    default:
        break;
    }
}

static size_t array_capacity(size_t len)
{
    size_t n = 1;

    while (n < len) {
        n *= 2;
    }
    return n;
}

static void clone_content(const QapiType *type, void *value)
{
    const QapiBranch *branch;
    char *base = value;

    if (type->kind == QAPI_KIND_ARRAY) {
        StrArray *array = value;
        size_t step = qapi_slot_size(type->element);
        /* QAPI_ARRAY_ADD counts on room up to the next power of two */
        char *items = g_malloc_n(array_capacity(array->len), step);

        if (array->len) {
            memcpy(items, array->items, array->len * step);
        }
        array->items = (char **)items;
        for (size_t i = 0; i < array->len; i++) {
            clone_slot(type->element, items + i * step);
        }
        return;
    }
    branch = type->n_branches ? qapi_current_branch(type, value) : NULL;
    for (unsigned i = 0; i < type->n_members; i++) {
        clone_slot(type->members[i].type, base + type->members[i].offset);
    }
    if (branch && type->kind == QAPI_KIND_ALTERNATE && branch->type->kind != QAPI_KIND_STRUCT) {
        clone_slot(branch->type, base + branch->offset);
    } else if (branch) {
        clone_content(branch->type, base + branch->offset);
    }
}

void *qapi_clone_value(const QapiType *type, const void *value)
{
    void *copy;

    if (!value) {
        return NULL;
    }
    copy = g_memdup2(value, type->size);
    clone_content(type, copy);
    return copy;
}

/* ---- encode ---- */

static void encode_members(const QapiType *type, const void *value, json_object *out)
{
    const char *base = value;
    const QapiBranch *branch;

    for (unsigned i = 0; i < type->n_members; i++) {
        const QapiMember *m = &type->members[i];

        if (qapi_member_present(m, value)) {
            json_object_object_add(out, m->name, qapi_encode_at(m->type, base + m->offset));
        }
    }
    branch = type->n_branches ? qapi_current_branch(type, value) : NULL;
    if (branch) {
        encode_members(branch->type, base + branch->offset, out);
    }
}

static json_object *encode_array(const QapiType *type, const StrArray *array)
{
    json_object *out = json_object_new_array();
    size_t step = qapi_slot_size(type->element);

    for (size_t i = 0; i < array->len; i++) {
        json_object_array_add(out, qapi_encode_at(type->element, (char *)array->items + i * step));
    }
    return out;
}

json_object *qapi_encode_value(const QapiType *type, const void *value)
{
    const QapiBranch *branch;
    json_object *out;

    if (!value) {
        return NULL;
    }
    switch (type->kind) {
    case QAPI_KIND_ARRAY:
        return encode_array(type, value);
    case QAPI_KIND_ALTERNATE:
        branch = qapi_current_branch(type, value);
        g_assert(branch);
        if (branch->type->kind == QAPI_KIND_STRUCT) {
            return qapi_encode_value(branch->type, (const char *)value + branch->offset);
        }
        return qapi_encode_at(branch->type, (const char *)value + branch->offset);
    default:
        out = json_object_new_object();
        encode_members(type, value, out);
        return out;
    }
}

static json_object *encode_integer(const QapiType *type, const void *slot)
{
    bool is_signed = type->kind == QAPI_KIND_INT;

    switch (type->bits) {
    case 8:
        return json_object_new_int64(is_signed ? *(const int8_t *)slot : *(const uint8_t *)slot);
    case 16:
        return json_object_new_int64(is_signed ? *(const int16_t *)slot : *(const uint16_t *)slot);
    case 32:
        return json_object_new_int64(is_signed ? *(const int32_t *)slot
                                               : (int64_t) * (const uint32_t *)slot);
    default:
        return is_signed ? json_object_new_int64(*(const int64_t *)slot)
                         : json_object_new_uint64(*(const uint64_t *)slot);
    }
}

json_object *qapi_encode_at(const QapiType *type, const void *slot)
{
    switch (type->kind) {
    case QAPI_KIND_BOOL:
        return json_object_new_boolean(*(const bool *)slot);
    case QAPI_KIND_INT:
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return encode_integer(type, slot);
    case QAPI_KIND_NUMBER:
        return json_object_new_double(*(const double *)slot);
    case QAPI_KIND_STR:
        /* a mandatory string that nobody set reads as empty */
        return qapi_json_new_text(*(char *const *)slot ? *(char *const *)slot : "");
    case QAPI_KIND_ENUM:
        return json_object_new_string(qapi_enum_name(type, *(const int *)slot));
    case QAPI_KIND_ANY:
        return json_object_get(*(json_object *const *)slot);
    case QAPI_KIND_NULL:
        return NULL;
    default:
        if (!*(void *const *)slot && type->kind == QAPI_KIND_ARRAY) {
            return json_object_new_array();
        }
        return qapi_encode_value(type, *(void *const *)slot);
    }
}
