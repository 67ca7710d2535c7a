/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encoder. Beside the bytes it writes their description: JSON text, because this runs while the guest
 * stands still and a tree of objects would take most of that time.
 */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

#include "field.h"
#include "util/error.h"

/* ---- the description ---- */

void vmstate_json_string(GString *out, const char *s)
{
    g_string_append_c(out, '"');
    for (; *s; s++) {
        unsigned char c = *s;
        if (c == '"' || c == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_c(out, c);
        } else if (c < 0x20 || c >= 0x7f) {
            g_string_append_printf(out, "\\u%04x", c);
        } else {
            g_string_append_c(out, c);
        }
    }
    g_string_append_c(out, '"');
}

static void json_uint(GString *out, uint64_t value)
{
    char digits[24];
    int at = sizeof(digits);
    digits[--at] = '\0';
    do {
        digits[--at] = '0' + value % 10;
        value /= 10;
    } while (value);
    g_string_append(out, digits + at);
}

/* Opens the object of one element, up to where its inner description stands. */
static void describe_open(GString *desc, const VmField *field, const char *type, int64_t index,
                          uint32_t array_len)
{
    if (desc->str[desc->len - 1] == '}') {
        g_string_append(desc, ", ");
    }
    g_string_append(desc, "{\"name\": ");
    vmstate_json_string(desc, field->name);
    if (array_len) {
        g_string_append(desc, ", \"array_len\": ");
        json_uint(desc, array_len);
    } else if (index >= 0) {
        g_string_append(desc, ", \"index\": ");
        json_uint(desc, index);
    }
    g_string_append(desc, ", \"type\": ");
    vmstate_json_string(desc, type);
}

static void describe_close(GString *desc, size_t size)
{
    g_string_append(desc, ", \"size\": ");
    json_uint(desc, size);
    g_string_append_c(desc, '}');
}

/* Whether every element of the field looks like the first: then one entry describes the array. */
static bool uniform(const VmField *field)
{
    const VmState *vmsd = field->vmstate;
    if (!vmsd) {
        return true;
    }
    if (vmsd->subsections) {
        return false;
    }
    for (const VmField *f = vmsd->fields; f && f->name; f++) {
        if (f->exists || f->shape == VM_VARRAY || f->shape == VM_VBUFFER || !uniform(f)) {
            return false;
        }
    }
    return true;
}

/* ---- fields ---- */

static bool save_tmp(VmWriter *w, const VmField *field, void *opaque, GString *desc, GError **error)
{
    g_autofree void *tmp = g_malloc0(field->size);
    *(void **)tmp = opaque;
    if (desc) {
        g_string_append(desc, ", ");
    }
    return vmstate_save(w, field->vmstate, tmp, desc, error);
}

static bool save_element(VmWriter *w, const VmField *field, void *elem, size_t size, GString *desc,
                         GError **error)
{
    if (!elem && size) {
        return error_set(error, "there is nothing that it points to");
    }
    if (!field->vmstate) {
        return field->kind->put(w, elem, size, field, error);
    }
    if (desc) {
        g_string_append(desc, ", \"struct\": {");
    }
    bool ok = vmstate_save_version(w, field->vmstate, elem, field_struct_version(field), desc, error);
    if (desc) {
        g_string_append_c(desc, '}');
    }
    return ok;
}

static const char *field_type(const VmField *field)
{
    if (field->shape == VM_TMP) {
        return "tmp";
    }
    return field->vmstate ? "struct" : field->kind->name;
}

static bool save_field(VmWriter *w, const VmState *vmsd, const VmField *field, void *opaque, GString *desc,
                       GError **error)
{
    FieldElements e;
    if (!field_elements(field, opaque, &e, error)) {
        field_error(error, vmsd, field, -1);
        return false;
    }
    bool array = field->shape == VM_ARRAY || field->shape == VM_VARRAY;
    bool one_entry = array && desc && uniform(field);
    for (uint32_t i = 0; i < e.n; i++) {
        bool describe = desc && (!one_entry || i == 0);
        size_t before = 0;
        if (describe) {
            before = vm_writer_tell(w);
            describe_open(desc, field, field_type(field), array ? (int64_t)i : -1, one_entry ? e.n : 0);
        }
        bool ok = field->shape == VM_TMP
                      ? save_tmp(w, field, opaque, desc, error)
                      : save_element(w, field, field_element(&e, i), e.size, describe ? desc : NULL, error);
        if (!ok) {
            field_error(error, vmsd, field, array ? (int)i : -1);
            return false;
        }
        if (describe) {
            describe_close(desc, vm_writer_tell(w) - before);
        }
    }
    return true;
}

/* ---- descriptions ---- */

static bool save_subsections(VmWriter *w, const VmState *vmsd, void *opaque, GString *desc, GError **error)
{
    bool any = false;
    for (const VmState *const *p = vmsd->subsections; p && *p; p++) {
        const VmState *sub = *p;
        if (sub->needed && !sub->needed(opaque)) {
            continue;
        }
        vm_put_u8(w, VM_SUBSECTION_MARK);
        vm_put_counted_string(w, sub->name);
        vm_put_be32(w, sub->version);
        if (desc) {
            g_string_append(desc, any ? ", {" : ", \"subsections\": [{");
        }
        any = true;
        if (!vmstate_save(w, sub, opaque, desc, error)) {
            return false;
        }
        if (desc) {
            g_string_append_c(desc, '}');
        }
    }
    if (any && desc) {
        g_string_append_c(desc, ']');
    }
    return true;
}

bool vmstate_save_version(VmWriter *w, const VmState *vmsd, void *opaque, int version, GString *desc,
                          GError **error)
{
    if (vmsd->pre_save && !vmsd->pre_save(opaque, error)) {
        error_prefix(error, "%s: ", vmsd->name);
        return false;
    }
    if (desc) {
        g_string_append(desc, "\"vmsd_name\": ");
        vmstate_json_string(desc, vmsd->name);
        g_string_append(desc, ", \"version\": ");
        json_uint(desc, version);
        g_string_append(desc, ", \"fields\": [");
    }
    bool ok = true;
    for (const VmField *field = vmsd->fields; ok && field && field->name; field++) {
        if (vmstate_field_exists(field, opaque, version)) {
            ok = save_field(w, vmsd, field, opaque, desc, error);
        }
    }
    if (desc) {
        g_string_append_c(desc, ']');
    }
    ok = ok && save_subsections(w, vmsd, opaque, desc, error);
    if (vmsd->post_save) {
        vmsd->post_save(opaque);
    }
    return ok;
}

bool vmstate_save(VmWriter *w, const VmState *vmsd, void *opaque, GString *desc, GError **error)
{
    return vmstate_save_version(w, vmsd, opaque, vmsd->version, desc, error);
}
