/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a field's elements are: what the encoder and the decoder share. */
#ifndef VMSTATE_FIELD_H
#define VMSTATE_FIELD_H

#include "vmstate/vmstate.h"

/* Byte before each subsection in the stream. */
#define VM_SUBSECTION_MARK 0x05

/* The elements of a field in a given state. */
typedef struct FieldElements {
    char *base;
    uint32_t n;
    size_t size;   /* of one */
    bool pointers; /* base is an array of pointers to them */
} FieldElements;

/* How many elements (bytes, for VM_VBUFFER) the state says there are; false if that is out of range. */
bool field_count(const VmField *field, const void *opaque, uint32_t *count, GError **error);
/* Finds the elements; false if a count is out of range or a pointer is not set. */
bool field_elements_far(const VmField *field, void *opaque, FieldElements *out, GError **error);

/* The same. Most fields lie in the state itself, and there are hundreds of thousands of them at a switchover. */
static inline bool field_elements(const VmField *field, void *opaque, FieldElements *out, GError **error)
{
    if (field->shape == VM_VARRAY || field->shape == VM_VBUFFER || (field->flags & (VM_POINTER | VM_ARRAY_OF_POINTERS))) {
        return field_elements_far(field, opaque, out, error);
    }
    out->base = (char *)opaque + field->offset;
    out->n = field->shape == VM_ARRAY ? field->num : 1;
    out->size = field->size;
    out->pointers = false;
    return true;
}

static inline void *field_element(const FieldElements *e, uint32_t i)
{
    return e->pointers ? ((void **)e->base)[i] : e->base + e->size * i;
}

/* The version with which the field's own description is written and read. */
static inline int field_struct_version(const VmField *field)
{
    return field->struct_version ? field->struct_version : field->vmstate->version;
}

/* Adds "description: field 'name': " to the error. */
void field_error(GError **error, const VmState *vmsd, const VmField *field, int index);

bool vmstate_save_version(VmWriter *w, const VmState *vmsd, void *opaque, int version, GString *desc,
                          GError **error);

#endif
