/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dynamic properties, as the files of qom/ share them. */
#ifndef QOM_OBJECT_PRIVATE_H
#define QOM_OBJECT_PRIVATE_H

#include "qom/object.h"

typedef enum DynamicKind { DYNAMIC_CUSTOM, DYNAMIC_CHILD, DYNAMIC_LINK, DYNAMIC_ALIAS } DynamicKind;

typedef struct DynamicProperty {
    char *name;
    const char *type; /* interned */
    DynamicKind kind;
    PropertyGetter *get;
    PropertySetter *set;
    PropertyRelease *release;
    void *opaque;
    Object *target;    /* child, link (both hold a reference), alias (does not: the target is a child of ours) */
    char *target_name; /* alias */
} DynamicProperty;

DynamicProperty *dynamic_find(const Object *obj, const char *name);
/* name must be free. */
DynamicProperty *dynamic_add(Object *obj, const char *name, const char *type, DynamicKind kind);
/* Removes and frees; children are unparented. */
void dynamic_remove(Object *obj, DynamicProperty *dp);
void dynamic_remove_all(Object *obj);

#endif
