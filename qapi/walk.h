/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What decoder, encoder, clone and free share: slots and branches. */
#ifndef QAPI_WALK_H
#define QAPI_WALK_H

#include "qapi/qapi.h"

/* Types whose slot in a struct is a pointer to the value. */
static inline bool qapi_is_aggregate(const QapiType *type)
{
    return type->kind == QAPI_KIND_STRUCT || type->kind == QAPI_KIND_ALTERNATE ||
           type->kind == QAPI_KIND_ARRAY;
}

/* Bytes of the slot. */
static inline size_t qapi_slot_size(const QapiType *type)
{
    return qapi_is_aggregate(type) ? sizeof(void *) : type->size;
}

static inline const QapiBranch *qapi_find_branch(const QapiType *type, int value)
{
    for (unsigned i = 0; i < type->n_branches; i++) {
        if (type->branches[i].value == value) {
            return &type->branches[i];
        }
    }
    return NULL;
}

/* The branch of a union or alternate that its tag selects, NULL if it has no members. */
static inline const QapiBranch *qapi_current_branch(const QapiType *type, const void *value)
{
    size_t offset = type->kind == QAPI_KIND_ALTERNATE ? type->tag_offset : type->tag->offset;

    return qapi_find_branch(type, *(const int *)((const char *)value + offset));
}

/* Whether an optional member is there. */
static inline bool qapi_member_present(const QapiMember *m, const void *value)
{
    const char *base = value;

    if (!m->optional) {
        return true;
    }
    if (m->has) {
        return *(const bool *)(base + m->has_offset);
    }
    return *(void *const *)(base + m->offset) != NULL;
}

/* The content of a struct, alternate or array that lies at `value`. */
void qapi_clear_content(const QapiType *type, void *value);

#endif
