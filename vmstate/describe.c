/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The static description: every field and subsection that there can be, for golden files. */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

static const char *const shape_names[] = {
    [VM_SCALAR] = NULL,          [VM_ARRAY] = "array",      [VM_VARRAY] = "varray",
    [VM_BUFFER] = NULL,          [VM_VBUFFER] = "vbuffer",  [VM_TMP] = NULL,
};

static json_object *describe_field(const VmField *field)
{
    json_object *obj = json_object_new_object();
    json_object_object_add(obj, "name", json_object_new_string(field->name));
    const char *type = field->shape == VM_TMP ? "tmp" : field->vmstate ? "struct" : field->kind->name;
    json_object_object_add(obj, "type", json_object_new_string(type));
    if (shape_names[field->shape]) {
        json_object_object_add(obj, shape_names[field->shape], json_object_new_int64(field->num));
    }
    if (field->vmstate) {
        json_object_object_add(obj, "struct", vmstate_describe(field->vmstate));
    } else {
        json_object_object_add(obj, "size", json_object_new_int64(field->size));
    }
    if (field->version) {
        json_object_object_add(obj, "version", json_object_new_int64(field->version));
    }
    if (field->exists) {
        json_object_object_add(obj, "conditional", json_object_new_boolean(true));
    }
    return obj;
}

json_object *vmstate_describe(const VmState *vmsd)
{
    json_object *obj = json_object_new_object();
    json_object_object_add(obj, "vmsd_name", json_object_new_string(vmsd->name));
    json_object_object_add(obj, "version", json_object_new_int64(vmsd->version));
    json_object_object_add(obj, "minimum_version", json_object_new_int64(vmsd->minimum_version));
    json_object *fields = json_object_new_array();
    for (const VmField *field = vmsd->fields; field && field->name; field++) {
        json_object_array_add(fields, describe_field(field));
    }
    json_object_object_add(obj, "fields", fields);
    if (vmsd->subsections && vmsd->subsections[0]) {
        json_object *subs = json_object_new_array();
        for (const VmState *const *p = vmsd->subsections; *p; p++) {
            json_object_array_add(subs, vmstate_describe(*p));
        }
        json_object_object_add(obj, "subsections", subs);
    }
    return obj;
}
