/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of declared properties; see qom/object.h. Wording of errors as users of QEMU know it. */
#include "util/osdep.h"
#include "qom/object.h"

#include "util/error.h"
#include "util/keyval.h"

/* ---- integers ---- */

/* C types in error messages, "uint32_t"; the range of the member. */
typedef struct IntRange {
    const char *ctype;
    int64_t min;
    uint64_t max;
    size_t size;
} IntRange;

static bool expects(GError **error, const Property *prop, const char *what)
{
    return error_set(error, "Parameter '%s' expects %s", prop->name, what);
}

/* value is the bit pattern; negative: it came with a minus. */
static bool store_int(Object *obj, const Property *prop, const IntRange *r, uint64_t value, bool negative,
                      GError **error)
{
    if (negative ? (int64_t)value < r->min : value > r->max) {
        return expects(error, prop, r->ctype);
    }
    memcpy(property_member(obj, prop), &value, r->size); /* little-endian hosts: the low bytes */
    return true;
}
G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

static bool parse_int(Object *obj, const Property *prop, const IntRange *r, const char *text,
                      GError **error)
{
    uint64_t value;
    int64_t signed_value;
    if (parse_int64(text, &signed_value, NULL)) {
        return store_int(obj, prop, r, signed_value, signed_value < 0, error);
    }
    if (parse_uint64(text, &value, NULL)) {
        return store_int(obj, prop, r, value, false, error);
    }
    return expects(error, prop, "integer");
}

static bool set_int(Object *obj, const Property *prop, const IntRange *r, json_object *value,
                    GError **error)
{
    if (!json_object_is_type(value, json_type_int)) {
        return expects(error, prop, r->min < 0 ? "int64" : "uint64");
    }
    int64_t i = json_object_get_int64(value);
    if (i < 0) {
        return store_int(obj, prop, r, i, true, error);
    }
    return store_int(obj, prop, r, json_object_get_uint64(value), false, error);
}

#define INT_KIND(kind_, ctype_, min_, max_, json_)                                                     \
    static const IntRange range_##kind_ = { #ctype_, min_, max_, sizeof(ctype_) };                     \
    static bool set_##kind_(Object *obj, const Property *prop, json_object *value, GError **error)     \
    {                                                                                                  \
        return set_int(obj, prop, &range_##kind_, value, error);                                       \
    }                                                                                                  \
    static bool text_##kind_(Object *obj, const Property *prop, const char *text, GError **error)     \
    {                                                                                                  \
        return parse_int(obj, prop, &range_##kind_, text, error);                                      \
    }                                                                                                  \
    static json_object *get_##kind_(Object *obj, const Property *prop, GError **error)                 \
    {                                                                                                  \
        ctype_ value;                                                                                  \
        memcpy(&value, property_member(obj, prop), sizeof(value));                                     \
        return json_(value);                                                                           \
    }                                                                                                  \
    const PropertyKind property_##kind_ = {                                                            \
        .name = #kind_, .set = set_##kind_, .parse = text_##kind_, .get = get_##kind_,                \
    };

INT_KIND(uint8, uint8_t, 0, UINT8_MAX, json_object_new_int64)
INT_KIND(uint16, uint16_t, 0, UINT16_MAX, json_object_new_int64)
INT_KIND(uint32, uint32_t, 0, UINT32_MAX, json_object_new_int64)
INT_KIND(uint64, uint64_t, 0, UINT64_MAX, json_object_new_uint64)
INT_KIND(int32, int32_t, INT32_MIN, INT32_MAX, json_object_new_int64)
INT_KIND(int64, int64_t, INT64_MIN, INT64_MAX, json_object_new_int64)

/* ---- sizes ---- */

static bool parse_size_property(Object *obj, const Property *prop, const char *text, GError **error)
{
    if (!parse_size(text, 1, property_member(obj, prop), NULL)) {
        return expects(error, prop, "a size value");
    }
    return true;
}

const PropertyKind property_size = {
    .name = "size",
    .set = set_uint64,
    .parse = parse_size_property,
    .get = get_uint64,
};

/* ---- bool and bits ---- */

static bool bool_from_text(const Property *prop, const char *text, bool *value, GError **error)
{
    if (!parse_bool(text, value, NULL)) {
        return expects(error, prop, "'on' or 'off'");
    }
    return true;
}

static bool bool_from_json(const Property *prop, json_object *value, bool *result, GError **error)
{
    if (!json_object_is_type(value, json_type_boolean)) {
        return error_set(error, "Invalid parameter type for '%s', expected: boolean", prop->name);
    }
    *result = json_object_get_boolean(value);
    return true;
}

static bool set_bool(Object *obj, const Property *prop, json_object *value, GError **error)
{
    return bool_from_json(prop, value, property_member(obj, prop), error);
}

static bool parse_bool_property(Object *obj, const Property *prop, const char *text, GError **error)
{
    return bool_from_text(prop, text, property_member(obj, prop), error);
}

static json_object *get_bool(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_boolean(*(bool *)property_member(obj, prop));
}

const PropertyKind property_bool = {
    .name = "bool",
    .set = set_bool,
    .parse = parse_bool_property,
    .get = get_bool,
};

static void put_bit(Object *obj, const Property *prop, bool value)
{
    uint32_t *member = property_member(obj, prop);
    uint32_t mask = UINT32_C(1) << (uintptr_t)prop->arg;
    *member = value ? *member | mask : *member & ~mask;
}

static bool set_bit32(Object *obj, const Property *prop, json_object *value, GError **error)
{
    bool b = false;
    if (!bool_from_json(prop, value, &b, error)) {
        return false;
    }
    put_bit(obj, prop, b);
    return true;
}

static bool parse_bit32(Object *obj, const Property *prop, const char *text, GError **error)
{
    bool b = false;
    if (!bool_from_text(prop, text, &b, error)) {
        return false;
    }
    put_bit(obj, prop, b);
    return true;
}

static json_object *get_bit32(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_boolean(*(uint32_t *)property_member(obj, prop) >> (uintptr_t)prop->arg & 1);
}

const PropertyKind property_bit32 = {
    .name = "bool",
    .set = set_bit32,
    .parse = parse_bit32,
    .get = get_bit32,
};

static void put_bit64(Object *obj, const Property *prop, bool value)
{
    uint64_t *member = property_member(obj, prop);
    uint64_t mask = UINT64_C(1) << (uintptr_t)prop->arg;
    *member = value ? *member | mask : *member & ~mask;
}

static bool set_bit64(Object *obj, const Property *prop, json_object *value, GError **error)
{
    bool b = false;
    if (!bool_from_json(prop, value, &b, error)) {
        return false;
    }
    put_bit64(obj, prop, b);
    return true;
}

static bool parse_bit64(Object *obj, const Property *prop, const char *text, GError **error)
{
    bool b = false;
    if (!bool_from_text(prop, text, &b, error)) {
        return false;
    }
    put_bit64(obj, prop, b);
    return true;
}

static json_object *get_bit64(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_boolean(*(uint64_t *)property_member(obj, prop) >> (uintptr_t)prop->arg & 1);
}

const PropertyKind property_bit64 = {
    .name = "bool",
    .set = set_bit64,
    .parse = parse_bit64,
    .get = get_bit64,
};

/* ---- strings ---- */

static bool parse_string(Object *obj, const Property *prop, const char *text, GError **error)
{
    char **member = property_member(obj, prop);
    g_free(*member);
    *member = g_strdup(text);
    return true;
}

static json_object *get_string(Object *obj, const Property *prop, GError **error)
{
    const char *text = *(char **)property_member(obj, prop);
    return json_object_new_string(text ? text : "");
}

static void release_string(Object *obj, const Property *prop)
{
    g_free(*(char **)property_member(obj, prop));
}

const PropertyKind property_string = {
    .name = "str",
    .parse = parse_string,
    .get = get_string,
    .release = release_string,
};

/* ---- enumerations ---- */

const PropertyEnum property_on_off_auto[] = {
    { "OnOffAuto", "auto", PROPERTY_AUTO },
    { NULL, "on", PROPERTY_ON },
    { NULL, "off", PROPERTY_OFF },
    { NULL, NULL, 0 },
};

static bool parse_enum(Object *obj, const Property *prop, const char *text, GError **error)
{
    for (const PropertyEnum *e = prop->arg; e->name; e++) {
        if (strcmp(e->name, text) == 0) {
            *(int *)property_member(obj, prop) = e->value;
            return true;
        }
    }
    return error_set(error, "Parameter '%s' does not accept value '%s'", prop->name, text);
}

static json_object *get_enum(Object *obj, const Property *prop, GError **error)
{
    int value = *(int *)property_member(obj, prop);
    for (const PropertyEnum *e = prop->arg; e->name; e++) {
        if (e->value == value) {
            return json_object_new_string(e->name);
        }
    }
    error_set(error, "Property '%s.%s' has no name for its value %d", obj->type->name, prop->name, value);
    return NULL;
}

const PropertyKind property_enum = {
    .name = "enum",
    .parse = parse_enum,
    .get = get_enum,
};

/* ---- links ---- */

static bool parse_link(Object *obj, const Property *prop, const char *text, GError **error)
{
    const ObjectType *type = prop->arg;
    Object **member = property_member(obj, prop);
    Object *target = NULL;
    if (text[0]) {
        bool ambiguous;
        target = object_resolve(text, &ambiguous);
        if (ambiguous || (target && !object_is_a(target, type))) {
            /* A short name may be unique among those of the right type. */
            Object *typed = object_resolve_type(text, type, NULL);
            if (!typed && ambiguous) {
                return error_set(error, "Path '%s' does not uniquely identify an object", text);
            }
            if (!typed) {
                return error_set(error, "Invalid parameter type for '%s', expected: %s", prop->name,
                                 type->name);
            }
            target = typed;
        }
        if (!target) {
            return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", text);
        }
    }
    Object *old = *member;
    *member = object_ref(target);
    object_unref(old);
    return true;
}

static json_object *get_link(Object *obj, const Property *prop, GError **error)
{
    Object *target = *(Object **)property_member(obj, prop);
    g_autofree char *path = target ? object_path(target) : NULL;
    return json_object_new_string(path ? path : "");
}

static void release_link(Object *obj, const Property *prop)
{
    object_unref(*(Object **)property_member(obj, prop));
}

const PropertyKind property_link = {
    .name = "link",
    .parse = parse_link,
    .get = get_link,
    .release = release_link,
};

const char *property_description(const Property *prop)
{
    if (prop->description) {
        return prop->description;
    }
    if (prop->kind == &property_bool || prop->kind == &property_bit32 || prop->kind == &property_bit64) {
        return "on/off";
    }
    return prop->kind == &property_enum && prop->arg == property_on_off_auto ? "on/off/auto" : NULL;
}

const char *property_type_name(const Property *prop)
{
    if (prop->kind == &property_enum) {
        const PropertyEnum *first = prop->arg;
        return first->type_name ? first->type_name : "str";
    }
    if (prop->kind == &property_link) {
        const ObjectType *type = prop->arg;
        g_autofree char *name = g_strdup_printf("link<%s>", type->name);
        return g_intern_string(name);
    }
    return prop->kind->name;
}
