/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts and addresses of a field's elements (V2, V4). */
#include "util/osdep.h"
#include "field.h"

#include "util/error.h"

bool vmstate_field_exists(const VmField *field, const void *opaque, int version)
{
    if (field->version > version) {
        return false;
    }
    return (field->flags & VM_MUST_EXIST) || !field->exists || field->exists(opaque, version);
}

bool field_count(const VmField *field, const void *opaque, uint32_t *count, GError **error)
{
    const void *member = (const char *)opaque + field->num_offset;
    int64_t n = 0;
    switch (field->num_kind) {
    case VM_COUNT_U8:
        n = *(const uint8_t *)member;
        break;
    case VM_COUNT_U16:
        n = *(const uint16_t *)member;
        break;
    case VM_COUNT_U32:
        n = *(const uint32_t *)member;
        break;
    case VM_COUNT_I32:
        n = *(const int32_t *)member;
        break;
    }
    if (n < 0 || n > field->num) {
        return error_set(error, "a count of %" PRId64 ", at most %" PRIu32 " fit", n, field->num);
    }
    *count = n;
    return true;
}

bool field_elements_far(const VmField *field, void *opaque, FieldElements *out, GError **error)
{
    *out = (FieldElements){
        .base = (char *)opaque + field->offset,
        .n = 1,
        .size = field->size,
        .pointers = field->flags & VM_ARRAY_OF_POINTERS,
    };
    uint32_t count;
    switch (field->shape) {
    case VM_ARRAY:
        out->n = field->num;
        break;
    case VM_VARRAY:
        if (!field_count(field, opaque, &out->n, error)) {
            return false;
        }
        break;
    case VM_VBUFFER:
        if (!field_count(field, opaque, &count, error)) {
            return false;
        }
        out->size = count;
        out->n = count ? 1 : 0;
        break;
    default:
        break;
    }
    if (field->flags & VM_POINTER) {
        out->base = *(char **)out->base;
        if (!out->base && out->n && !(field->flags & VM_ALLOC)) {
            return error_set(error, "there is nothing that it points to");
        }
    }
    return true;
}

void field_error(GError **error, const VmState *vmsd, const VmField *field, int index)
{
    if (index >= 0) {
        error_prefix(error, "%s: field '%s[%d]': ", vmsd->name, field->name, index);
    } else {
        error_prefix(error, "%s: field '%s': ", vmsd->name, field->name);
    }
}
