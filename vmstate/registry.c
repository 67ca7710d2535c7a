/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a stream is made of: sections in the order in which they travel. */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

static GPtrArray *sections; /* VmSection *, higher priority first, then by registration */
static uint32_t next_section_id;

static VmPriority priority_of(const VmSection *section)
{
    return section->vmsd ? section->vmsd->priority : VM_PRIORITY_DEFAULT;
}

static uint32_t free_instance(const char *idstr)
{
    uint32_t instance = 0;
    for (guint i = 0; i < sections->len; i++) {
        const VmSection *s = sections->pdata[i];
        if (strcmp(s->idstr, idstr) == 0 && s->instance_id >= instance) {
            instance = s->instance_id + 1;
        }
    }
    return instance;
}

static VmSection *add_section(const char *idstr, uint32_t instance_id)
{
    if (!sections) {
        sections = g_ptr_array_new();
    }
    if (instance_id == VM_INSTANCE_ANY) {
        instance_id = free_instance(idstr);
    }
    g_assert(strlen(idstr) <= 255 && !vmstate_find(idstr, instance_id));
    VmSection *s = g_new0(VmSection, 1);
    s->idstr = g_strdup(idstr);
    s->instance_id = instance_id;
    s->section_id = next_section_id++;
    return s;
}

static void insert_section(VmSection *s)
{
    guint at = sections->len;
    while (at > 0 && priority_of(sections->pdata[at - 1]) < priority_of(s)) {
        at--;
    }
    g_ptr_array_insert(sections, at, s);
}

VmSection *vmstate_register(const char *idstr, uint32_t instance_id, const VmState *vmsd, void *opaque)
{
    VmSection *s = add_section(idstr, instance_id);
    s->vmsd = vmsd;
    s->version = vmsd ? vmsd->version : 0;
    s->opaque = opaque;
    insert_section(s);
    return s;
}

VmSection *vmstate_register_handlers(const char *idstr, uint32_t instance_id, int version,
                                     const void *handlers, void *opaque)
{
    VmSection *s = add_section(idstr, instance_id);
    s->version = version;
    s->handlers = handlers;
    s->opaque = opaque;
    insert_section(s);
    return s;
}

void vmstate_unregister(VmSection *section)
{
    if (section) {
        g_ptr_array_remove(sections, section);
        g_free(section->idstr);
        g_free(section);
    }
}

VmSection *vmstate_find(const char *idstr, uint32_t instance_id)
{
    VmSection *compat = NULL;
    for (guint i = 0; sections && i < sections->len; i++) {
        VmSection *s = sections->pdata[i];
        if (s->instance_id == instance_id && strcmp(s->idstr, idstr) == 0) {
            return s;
        }
        if (s->compat_idstr && s->compat_instance_id == instance_id && strcmp(s->compat_idstr, idstr) == 0) {
            compat = s;
        }
    }
    return compat;
}

bool vmstate_foreach(VmSectionFunc *func, void *opaque)
{
    for (guint i = 0; sections && i < sections->len; i++) {
        if (!func(sections->pdata[i], opaque)) {
            return false;
        }
    }
    return true;
}
