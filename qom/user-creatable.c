/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects that users make with -object and object-add; they live below /objects. */
#include "util/osdep.h"
#include "qom/object.h"

#include "util/error.h"
#include "util/keyval.h"

const ObjectType user_creatable_type = {
    .name = "user-creatable",
    .parent = &interface_type,
    .abstract = true,
};
OBJECT_TYPE_REGISTER(user_creatable_type)

static bool set_properties(Object *obj, json_object *props, GError **error)
{
    if (!props) {
        return true;
    }
    json_object_object_foreach(props, key, value)
    {
        if (strcmp(key, "qom-type") != 0 && strcmp(key, "id") != 0 && !object_set(obj, key, value, error)) {
            return false;
        }
    }
    return true;
}

bool user_creatable_add(const char *qom_type, const char *id, json_object *props, GError **error)
{
    const ObjectType *type = object_type_by_name(qom_type);
    if (!type || type->abstract || !object_type_is_a(type, &user_creatable_type)) {
        return error_set(error, "Parameter 'qom-type' does not accept value '%s'", qom_type);
    }
    if (!id_wellformed(id)) {
        return error_set(error, "Parameter 'id' expects an identifier: letters, digits, '-', '.', '_', "
                                "starting with a letter");
    }
    Object *obj = object_new(type), *parent = object_container("/objects");
    const UserCreatableOps *ops = object_interface(obj, &user_creatable_type);
    bool ok = globals_apply(obj, error) && set_properties(obj, props, error) &&
              object_add_child(parent, id, obj, error);
    if (ok && ops && ops->complete && !ops->complete(obj, error)) {
        object_unparent(obj);
        ok = false;
    }
    object_unref(obj);
    return ok;
}

bool user_creatable_del(const char *id, GError **error)
{
    g_autofree char *path = g_strdup_printf("/objects/%s", id);
    Object *obj = strchr(id, '/') ? NULL : object_resolve(path, NULL);
    if (!obj || obj->parent != object_container("/objects")) {
        return error_set(error, "object '%s' not found", id);
    }
    const UserCreatableOps *ops = object_interface(obj, &user_creatable_type);
    if (ops && ops->can_be_deleted && !ops->can_be_deleted(obj, error)) {
        if (error && !*error) {
            error_set(error, "object '%s' is in use, can not be deleted", id);
        }
        return false;
    }
    object_unparent(obj);
    return true;
}
