/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as a description could have written them, for subsections that the idle machine does not send. */
#include "util/osdep.h"
#include "contract.h"

#define MOST_ELEMENTS 8

typedef struct Maker {
    VmWriter *w;
    GRand *rand;
    unsigned pattern;
} Maker;

/* Pattern 0 is all zero, 1 small numbers, 2 and more any bytes. */
static uint8_t next_byte(Maker *m, bool last)
{
    if (m->pattern == 0) {
        return 0;
    }
    return m->pattern > 1 ? g_rand_int(m->rand) : last ? g_rand_int(m->rand) % 4 : 0;
}

static void make_bytes(Maker *m, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        vm_put_u8(m->w, next_byte(m, i == len - 1));
    }
}

/* The field that counts on this one's value. */
static const VmField *counted_by(const VmState *vmsd, const VmField *count)
{
    for (const VmField *f = vmsd->fields; f && f->name; f++) {
        if ((f->shape == VM_VARRAY || f->shape == VM_VBUFFER) && f->num_offset == count->offset && f != count) {
            return f;
        }
    }
    return NULL;
}

static void make_description(Maker *m, const VmState *vmsd);

static void make_element(Maker *m, const VmField *field, size_t size)
{
    if (field->vmstate) {
        make_description(m, field->vmstate);
    } else {
        make_bytes(m, size);
    }
}

static void make_description(Maker *m, const VmState *vmsd)
{
    uint32_t count = 0;

    for (const VmField *f = vmsd->fields; f && f->name; f++) {
        const VmField *user = f->shape == VM_SCALAR ? counted_by(vmsd, f) : NULL;

        if (user) {
            count = m->pattern ? g_rand_int_range(m->rand, 1, MIN(user->num, MOST_ELEMENTS) + 1) : 0;
            for (size_t i = f->size; i-- > 0;) {
                vm_put_u8(m->w, i < 4 ? count >> 8 * i : 0);
            }
        } else if (f->shape == VM_VBUFFER) {
            make_bytes(m, count);
        } else {
            uint32_t n = f->shape == VM_ARRAY ? f->num : f->shape == VM_VARRAY ? count : 1;

            for (uint32_t i = 0; i < n; i++) {
                make_element(m, f, f->size);
            }
        }
    }
}

void make_subsection(VmWriter *w, const VmState *sub, GRand *rand, unsigned pattern)
{
    Maker m = { w, rand, pattern };

    vm_put_u8(w, 5);
    vm_put_counted_string(w, sub->name);
    vm_put_be32(w, sub->version);
    make_description(&m, sub);
}
