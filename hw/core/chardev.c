/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of devices that name a character device. See the header. */
#include "util/osdep.h"
#include "hw/core/chardev.h"

#include "util/error.h"

static bool parse_chardev(Object *obj, const Property *prop, const char *text, GError **error)
{
    ChardevFe *fe = property_member(obj, prop);
    Chardev *chr;

    if (!*text) {
        chardev_fe_detach(fe);
        return true;
    }
    chr = chardev_find(text);
    if (!chr) {
        return error_set(error, "Property '%s.%s' can't find value '%s'", obj->type->name,
                         prop->name, text);
    }
    chardev_fe_detach(fe);
    return chardev_fe_attach(fe, chr, NULL) ||
           error_set(error, "Property '%s.%s' can't take value '%s', it's in use", obj->type->name,
                     prop->name, text);
}

static json_object *get_chardev(Object *obj, const Property *prop, GError **error)
{
    ChardevFe *fe = property_member(obj, prop);
    const char *id = chardev_fe_attached(fe) ? chardev_id(fe->chr) : NULL;

    return json_object_new_string(id ? id : "");
}

static void release_chardev(Object *obj, const Property *prop)
{
    chardev_fe_detach(property_member(obj, prop));
}

const PropertyKind property_chardev = {
    .name = "str",
    .parse = parse_chardev,
    .get = get_chardev,
    .release = release_chardev,
};
