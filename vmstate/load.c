/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decoder. The stream is foreign: every count, version and name is checked before it is used (V2). */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

#include "field.h"
#include "util/error.h"

static bool load_tmp(VmReader *r, const VmField *field, void *opaque, GError **error)
{
    g_autofree void *tmp = g_malloc0(field->size);
    *(void **)tmp = opaque;
    return vmstate_load(r, field->vmstate, tmp, field_struct_version(field), error);
}

/* The value of a scalar, for `valid`. */
static int64_t scalar_value(const void *elem, size_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)elem;
    case 2:
        return *(const uint16_t *)elem;
    case 4:
        return *(const int32_t *)elem;
    case 8:
        return *(const int64_t *)elem;
    default:
        return 0;
    }
}

static bool check_value(const VmField *field, const void *opaque, const void *elem, size_t size,
                        GError **error)
{
    if (!field->valid || !elem) {
        return true;
    }
    int64_t value = scalar_value(elem, size);
    if (field->kind == &vm_kind_u32) {
        value = (uint32_t)value;
    } else if (field->kind == &vm_kind_i8) {
        value = (int8_t)value;
    } else if (field->kind == &vm_kind_i16) {
        value = (int16_t)value;
    }
    return field->valid(opaque, value) ||
           error_set(error, "the value %" PRId64 " is out of range", value);
}

static bool load_element(VmReader *r, const VmField *field, void *opaque, void *elem, size_t size,
                         GError **error)
{
    if (!elem && size && field->kind != &vm_kind_unused) {
        return error_set(error, "there is nothing that it points to");
    }
    if (field->vmstate) {
        return vmstate_load(r, field->vmstate, elem, field_struct_version(field), error);
    }
    uint64_t before = 0;
    bool guarded = field->valid && elem && size <= sizeof(before);
    if (guarded) {
        memcpy(&before, elem, size);
    }
    if (!field->kind->get(r, elem, size, field, error) || !vm_reader_check(r, error)) {
        return false;
    }
    if (!check_value(field, opaque, elem, size, error)) {
        if (guarded) {
            memcpy(elem, &before, size); /* what is out of range is never left where it could be used */
        }
        return false;
    }
    return true;
}

/* Replaces what the member points to by zeroed memory of the size that has arrived. */
static bool allocate(const VmField *field, void *opaque, GError **error)
{
    uint32_t n = field->shape == VM_ARRAY ? field->num : 1;
    void **member = (void **)((char *)opaque + field->offset);
    if ((field->shape == VM_VARRAY || field->shape == VM_VBUFFER) &&
        !field_count(field, opaque, &n, error)) {
        return false;
    }
    g_free(*member);
    *member = n ? g_malloc0_n(n, field->shape == VM_VBUFFER ? 1 : field->size) : NULL;
    return true;
}

static bool load_field(VmReader *r, const VmState *vmsd, const VmField *field, void *opaque, GError **error)
{
    FieldElements e;
    if (((field->flags & VM_ALLOC) && !allocate(field, opaque, error)) ||
        !field_elements(field, opaque, &e, error)) {
        field_error(error, vmsd, field, -1);
        return false;
    }
    bool array = field->shape == VM_ARRAY || field->shape == VM_VARRAY;
    for (uint32_t i = 0; i < e.n; i++) {
        bool ok = field->shape == VM_TMP
                      ? load_tmp(r, field, opaque, error)
                      : load_element(r, field, opaque, field_element(&e, i), e.size, error);
        if (!ok) {
            field_error(error, vmsd, field, array ? (int)i : -1);
            return false;
        }
    }
    return true;
}

/* ---- subsections ---- */

static const VmState *find_subsection(const VmState *vmsd, const char *name)
{
    for (const VmState *const *p = vmsd->subsections; p && *p; p++) {
        if (strcmp((*p)->name, name) == 0) {
            return *p;
        }
    }
    return NULL;
}

/*
 * Looks whether a subsection of this description comes next. A mark byte may as well be the next field of an
 * enclosing description, so nothing is taken unless a name of ours follows: "ours/…", or one in our table (stock has
 * "pckbd_outport").
 */
static bool subsection_next(VmReader *r, const VmState *vmsd, char name[256])
{
    uint8_t head[2];
    if (vm_peek_bytes(r, head, 2, 0) != 2 || head[0] != VM_SUBSECTION_MARK) {
        return false;
    }
    size_t len = head[1], own = strlen(vmsd->name);
    if (vm_peek_bytes(r, name, len, 2) != len) {
        return false;
    }
    name[len] = '\0';
    return (len > own + 1 && memcmp(name, vmsd->name, own) == 0 && name[own] == '/') || find_subsection(vmsd, name);
}

static bool load_subsections(VmReader *r, const VmState *vmsd, void *opaque, GError **error)
{
    char name[256];
    while (subsection_next(r, vmsd, name)) {
        const VmState *sub = find_subsection(vmsd, name);
        if (!sub) {
            return error_set(error, "%s: the subsection '%s' is unknown here", vmsd->name, name);
        }
        vm_skip_bytes(r, 2 + strlen(name));
        uint32_t version = vm_get_be32(r);
        if (!vm_reader_check(r, error)) {
            return false;
        }
        if (version > INT_MAX) {
            return error_set(error, "%s: version %" PRIu32 " of the stream is not supported", name, version);
        }
        if (!vmstate_load(r, sub, opaque, version, error)) {
            return false;
        }
    }
    return vm_reader_check(r, error);
}

bool vmstate_load(VmReader *r, const VmState *vmsd, void *opaque, int version, GError **error)
{
    if (version > vmsd->version || version < vmsd->minimum_version) {
        return error_set(error, "%s: version %d of the stream is not supported, versions %d to %d are",
                         vmsd->name, version, vmsd->minimum_version, vmsd->version);
    }
    if (vmsd->pre_load && !vmsd->pre_load(opaque, error)) {
        error_prefix(error, "%s: ", vmsd->name);
        return false;
    }
    for (const VmField *field = vmsd->fields; field && field->name; field++) {
        if (vmstate_field_exists(field, opaque, version) && !load_field(r, vmsd, field, opaque, error)) {
            return false;
        }
    }
    if (!load_subsections(r, vmsd, opaque, error)) {
        return false;
    }
    if (vmsd->post_load && !vmsd->post_load(opaque, version, error)) {
        error_prefix(error, "%s: ", vmsd->name);
        return false;
    }
    return true;
}
