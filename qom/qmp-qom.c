/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about objects, their types and properties. */
#include "util/osdep.h"

#include "util/error.h"
#include "util/keyval.h"
#include "qapi/commands-qom.h"
#include "qapi/dispatch.h"
#include "qom/object.h"

QMP_REGISTER(qom)

/* ---- objects ------------------------------------------------------------------------------------------- */

static Object *resolve(const char *path, GError **error)
{
    bool ambiguous = false;
    Object *obj = object_resolve(path, &ambiguous);

    if (!obj && ambiguous) {
        error_set(error, "Path '%s' is ambiguous", path);
    } else if (!obj) {
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return obj;
}

static void add_info(ObjectPropertyInfoArray *list, const char *name, const char *type, const char *description)
{
    ObjectPropertyInfo *info = g_new0(ObjectPropertyInfo, 1);

    info->name = g_strdup(name);
    info->type = g_strdup(type);
    info->description = g_strdup(description);
    QAPI_ARRAY_ADD(list, info);
}

static void list_one(Object *obj, const char *name, const char *type, const char *description, void *opaque)
{
    add_info(opaque, name, type, NULL);
}

bool qmp_qom_list(const char *path, ObjectPropertyInfoArray **ret, GError **error)
{
    Object *obj = resolve(path, error);

    if (!obj) {
        return false;
    }
    *ret = g_new0(ObjectPropertyInfoArray, 1);
    object_foreach_property(obj, list_one, *ret);
    return true;
}

bool qmp_qom_get(const char *path, const char *property, json_object **ret, GError **error)
{
    Object *obj = resolve(path, error);
    GError *failure = NULL;

    if (!obj) {
        return false;
    }
    *ret = object_get(obj, property, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    return true;
}

bool qmp_qom_set(const char *path, const char *property, json_object *value, GError **error)
{
    Object *obj = resolve(path, error);

    return obj && object_set(obj, property, value, error);
}

/* ---- types --------------------------------------------------------------------------------------------- */

static bool list_type(const ObjectType *type, void *opaque)
{
    ObjectTypeInfoArray *list = opaque;
    ObjectTypeInfo *info = g_new0(ObjectTypeInfo, 1);

    info->name = g_strdup(type->name);
    info->has_abstract = info->abstract = type->abstract;
    info->parent = type->parent ? g_strdup(type->parent->name) : NULL;
    QAPI_ARRAY_ADD(list, info);
    return true;
}

bool qmp_qom_list_types(const char *implements, bool has_abstract, bool abstract, ObjectTypeInfoArray **ret,
                        GError **error)
{
    const ObjectType *ancestor = implements ? object_type_by_name(implements) : NULL;

    *ret = g_new0(ObjectTypeInfoArray, 1);
    if (!implements || ancestor) {
        object_type_foreach(ancestor, has_abstract && abstract, list_type, *ret);
    }
    return true;
}

static void list_declared(const ObjectType *owner, const Property *prop, void *opaque)
{
    add_info(opaque, prop->name, property_type_name(prop), property_description(prop));
}

bool qmp_qom_list_properties(const char *typename, ObjectPropertyInfoArray **ret, GError **error)
{
    const ObjectType *type = object_type_by_name(typename);

    if (!type) {
        return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Class '%s' not found", typename);
    }
    *ret = g_new0(ObjectPropertyInfoArray, 1);
    object_type_foreach_settable(type, list_declared, *ret);
    return true;
}

/* ---- users' objects ------------------------------------------------------------------------------------ */

bool qmp_object_add(const ObjectOptions *arg, GError **error)
{
    json_object *props;
    bool ok;

    if (!id_wellformed(arg->id)) {
        return error_set(error, "Parameter 'id' expects an identifier");
    }
    props = qapi_encode_ObjectOptions(arg);
    ok = user_creatable_add(qapi_name_UserObjectType(arg->qom_type), arg->id, props, error);
    json_object_put(props);
    return ok;
}

bool qmp_object_del(const char *id, GError **error)
{
    return user_creatable_del(id, error);
}
