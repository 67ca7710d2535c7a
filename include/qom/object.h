/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object model: types are constant records, objects live in one tree of names.
 *
 * O1  A type record is constant data; it is registered before main() and never changes.
 * O2  The parent of a type is a pointer to its record, so a missing parent is a link error.
 * O3  Every object starts with one reference; the tree (a child property) holds one, each link one.
 * O4  A property is declared once, in a table; help, listing, parsing and validation come from it.
 *
 * References are atomic; everything else is under the big lock. Names that users see (types, properties,
 * paths such as /machine/peripheral/NAME) are QEMU's.
 */
#ifndef QOM_OBJECT_H
#define QOM_OBJECT_H

#include <glib.h>
#include <json-c/json.h>

typedef struct Object Object;
typedef struct ObjectType ObjectType;
typedef struct Property Property;
typedef struct PropertyKind PropertyKind;

/* One interface that a type offers: which, and the table of functions that the interface defines. */
typedef struct InterfaceImpl {
    const ObjectType *interface;
    const void *ops;
} InterfaceImpl;

/* Shared by all types: what the generic code needs to know. Specific records embed it as first member. */
struct ObjectType {
    const char *name;
    const ObjectType *parent;          /* NULL only for "object" and "interface" */
    size_t size;                       /* sizeof the instance struct; 0: the parent's */
    bool abstract;                     /* cannot be created */
    const char *description;           /* for help, may be NULL */
    const Property *properties;        /* ended by an entry without a name; may be NULL */
    /* A type whose properties objects of this one have too, as aliases of a child's that `init` makes: for lists and help.
     * NULL: the parent's, or none. */
    const ObjectType *properties_of;
    const InterfaceImpl *interfaces;   /* ended by an entry without an interface; may be NULL */
    void (*init)(Object *obj);         /* after the parent's, on zeroed memory with property defaults set */
    void (*finalize)(Object *obj);     /* before the parent's */
};

struct Object {
    const ObjectType *type;
    int refs;                          /* atomic */
    Object *parent;                    /* in the tree, NULL for the root and for objects not in it */
    GHashTable *dynamic;               /* private: name → dynamic property; NULL until one is added */
    GPtrArray *order;                  /* private: dynamic properties in order of creation */
    void *tree_entry;                  /* private: the parent's child property */
};

extern const ObjectType object_type;     /* "object", the root of all types */
extern const ObjectType interface_type;  /* "interface"; an interface has it, or another one, as parent */
extern const ObjectType container_type;  /* "container": /machine/unattached, /objects… */

/* ---- types ---------------------------------------------------------------------------------------- */

/* Registers before main(): OBJECT_TYPE_REGISTER(memory_backend_ram_type); the argument is an ObjectType. */
void object_type_register(const ObjectType *type);
#define OBJECT_TYPE_REGISTER(record)                                             \
    static void __attribute__((constructor)) register_type_##record(void)        \
    {                                                                            \
        object_type_register(&(record));                                         \
    }

const ObjectType *object_type_by_name(const char *name);
bool object_type_is_a(const ObjectType *type, const ObjectType *ancestor);
/* The interface's function table as type (or an ancestor) offers it, else NULL. */
const void *object_type_interface(const ObjectType *type, const ObjectType *interface);
typedef bool ObjectTypeFunc(const ObjectType *type, void *opaque); /* false stops the walk */
/* Every type that is_a(ancestor) (NULL: all), sorted by name. */
void object_type_foreach(const ObjectType *ancestor, bool include_abstract, ObjectTypeFunc *func,
                         void *opaque);
/* The declared property of that name, own or inherited; owner (may be NULL) is the type declaring it. */
const Property *object_type_find_property(const ObjectType *type, const char *name,
                                          const ObjectType **owner);
/* Each declared property, parent's first. */
typedef void PropertyFunc(const ObjectType *owner, const Property *prop, void *opaque);
void object_type_foreach_property(const ObjectType *type, PropertyFunc *func, void *opaque);
/* The same with those of `properties_of` that have no namesake here: all that can be set. */
void object_type_foreach_settable(const ObjectType *type, PropertyFunc *func, void *opaque);
/* What `properties_of` says, inherited; NULL: nothing. */
const ObjectType *object_type_properties_of(const ObjectType *type);
/* An alias in obj for each declared property of child (its properties_of) that has no namesake in obj. */
void object_alias_properties(Object *obj, Object *child);

/* ---- objects -------------------------------------------------------------------------------------- */

/* A new object with one reference that the caller owns. The type must not be abstract. */
Object *object_new(const ObjectType *type);
Object *object_ref(void *obj);
/* Drops a reference; the last one finalizes and frees. NULL is allowed. */
void object_unref(void *obj);
bool object_is_a(const void *obj, const ObjectType *type);
/* obj if it is_a(type), else NULL (also for NULL). */
void *object_cast(void *obj, const ObjectType *type);
const void *object_interface(const void *obj, const ObjectType *interface);

/* ---- the tree ------------------------------------------------------------------------------------- */

Object *object_root(void);
/* Adds child under a property of parent; a name ending in "[*]" gets the first free index. Takes a
 * reference of its own. The name must be free (checked: an error if it came from outside). */
bool object_add_child(Object *parent, const char *name, Object *child, GError **error);
/* Takes obj out of its parent; drops the tree's reference. No-op outside the tree. */
void object_unparent(Object *obj);
/* "/machine/…": absolute path, newly allocated; NULL if obj is not in the tree. */
char *object_path(const Object *obj);
/* The last component of the path, owned by the tree; NULL if none. */
const char *object_path_component(const Object *obj);
/* Absolute path, or a partial one that is unique; *ambiguous may be NULL. */
Object *object_resolve(const char *path, bool *ambiguous);
/* As object_resolve(), restricted to a type; NULL with an error. */
Object *object_resolve_type(const char *path, const ObjectType *type, GError **error);
/* A container object at this absolute path, created with its parents where missing. Not a new reference. */
Object *object_container(const char *path);
typedef bool ObjectFunc(Object *obj, void *opaque); /* false stops the walk and is returned */
bool object_foreach_child(Object *obj, ObjectFunc *func, void *opaque);
bool object_foreach_child_recursive(Object *obj, ObjectFunc *func, void *opaque);

/* ---- properties ----------------------------------------------------------------------------------- */

/*
 * What values of a property look like. set and get work on the member at obj + prop->offset. A kind has set,
 * parse or both: QMP and JSON are strict about types (an integer is no string), text is not.
 */
struct PropertyKind {
    const char *name;        /* as qom-list shows it: "bool", "uint32", "str" */
    /* value is typed JSON (bool, int, string…). NULL: a JSON string goes to parse(), others are refused. */
    bool (*set)(Object *obj, const Property *prop, json_object *value, GError **error);
    /* From text, as in -device key=value and -global. NULL: set() gets a JSON string. */
    bool (*parse)(Object *obj, const Property *prop, const char *text, GError **error);
    /* A new JSON value, or NULL with an error. */
    json_object *(*get)(Object *obj, const Property *prop, GError **error);
    /* Frees what the member owns; may be NULL. */
    void (*release)(Object *obj, const Property *prop);
    /* As info qtree shows it, newly allocated. NULL: by the value that get() returns. */
    char *(*print)(Object *obj, const Property *prop); /* may return NULL: no line */
};

enum {
    PROPERTY_ANY_TIME = 1 << 0,   /* may be set after realize */
    PROPERTY_READ_ONLY = 1 << 1,
    PROPERTY_HIDDEN = 1 << 2,     /* left out of help and device-list-properties */
};

/* An entry of a type's table. Use the PROPERTY_… macros below. */
struct Property {
    const char *name;
    const PropertyKind *kind;
    size_t offset;
    const char *default_text;  /* parsed at creation; NULL: all zero */
    const char *description;   /* may be NULL */
    const void *arg;           /* for the kind: PropertyEnum table, link type, bit number… */
    unsigned flags;
};

/* For setters: where the member is. */
static inline void *property_member(Object *obj, const Property *prop)
{
    return (char *)obj + prop->offset;
}

/* The property's type as qom-list shows it: the kind's name, the enumeration's, "link<memory-backend>". */
const char *property_type_name(const Property *prop);
/* Its own, or its kind's ("on/off"); NULL if there is none. */
const char *property_description(const Property *prop);

/* Names of an enumeration, ended by an entry without a name. The member is an int. */
typedef struct PropertyEnum {
    const char *type_name;     /* in the first entry: the QAPI type's name, "OnOffAuto" */
    const char *name;
    int value;
} PropertyEnum;

extern const PropertyKind property_bool, property_uint8, property_uint16, property_uint32,
    property_uint64, property_int32, property_int64, property_size, property_string, property_enum,
    property_bit32 /* arg: GUINT_TO_POINTER(bit) of a uint32_t */, property_bit64 /* … of a uint64_t */, property_link /* arg: ObjectType */;

enum { PROPERTY_OFF = 0, PROPERTY_ON = 1, PROPERTY_AUTO = 2 };
extern const PropertyEnum property_on_off_auto[];

#define PROPERTY(name_, kind_, type_, member_, ...) \
    { .name = (name_), .kind = &(kind_), .offset = offsetof(type_, member_), __VA_ARGS__ }
#define PROPERTY_BOOL(n, t, m, def, desc) \
    PROPERTY(n, property_bool, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_UINT8(n, t, m, def, desc) \
    PROPERTY(n, property_uint8, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_UINT16(n, t, m, def, desc) \
    PROPERTY(n, property_uint16, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_UINT32(n, t, m, def, desc) \
    PROPERTY(n, property_uint32, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_UINT64(n, t, m, def, desc) \
    PROPERTY(n, property_uint64, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_INT32(n, t, m, def, desc) \
    PROPERTY(n, property_int32, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_SIZE(n, t, m, def, desc) \
    PROPERTY(n, property_size, t, m, .default_text = (def), .description = (desc))
#define PROPERTY_STRING(n, t, m, desc) PROPERTY(n, property_string, t, m, .description = (desc))
#define PROPERTY_ENUM(n, t, m, table, def, desc) \
    PROPERTY(n, property_enum, t, m, .arg = (table), .default_text = (def), .description = (desc))
#define PROPERTY_ON_OFF_AUTO(n, t, m, def, desc) PROPERTY_ENUM(n, t, m, property_on_off_auto, def, desc)
#define PROPERTY_BIT32(n, t, m, bit, def, desc)                                              \
    PROPERTY(n, property_bit32, t, m, .arg = (const void *)(uintptr_t)(bit), .default_text = (def), \
             .description = (desc))
#define PROPERTY_BIT64(n, t, m, bit, def, desc)                                              \
    PROPERTY(n, property_bit64, t, m, .arg = (const void *)(uintptr_t)(bit), .default_text = (def), \
             .description = (desc))
#define PROPERTY_LINK(n, t, m, type_, desc) \
    PROPERTY(n, property_link, t, m, .arg = &(type_), .description = (desc))

/* Dynamic properties belong to one object (children, aliases, things that a table cannot say). */
typedef bool PropertySetter(Object *obj, const char *name, void *opaque, json_object *value,
                            GError **error);
typedef json_object *PropertyGetter(Object *obj, const char *name, void *opaque, GError **error);
typedef void PropertyRelease(Object *obj, const char *name, void *opaque);
void object_add_property(Object *obj, const char *name, const char *type, PropertyGetter *get,
                         PropertySetter *set, PropertyRelease *release, void *opaque);
void object_add_alias(Object *obj, const char *name, Object *target, const char *target_name);
/* A link shown in the tree whose target is fixed; holds a reference. */
void object_add_const_link(Object *obj, const char *name, Object *target);
void object_del_property(Object *obj, const char *name);

bool object_has_property(const Object *obj, const char *name);
/* Sets from typed JSON, or from text. Errors name type and property:
 * "Property 'usb-storage.foo' not found", "Parameter 'x' expects …". */
bool object_set(Object *obj, const char *name, json_object *value, GError **error);
bool object_set_text(Object *obj, const char *name, const char *text, GError **error);
/* A new JSON value, or NULL with an error (a null value is not an error: check *error). */
json_object *object_get(Object *obj, const char *name, GError **error);
/* Shorthands for our own code: the property must exist and take the value. */
void object_set_bool(Object *obj, const char *name, bool value);
void object_set_int(Object *obj, const char *name, int64_t value);
void object_set_string(Object *obj, const char *name, const char *value);
void object_set_link(Object *obj, const char *name, Object *value);
/* Calls func for all properties, declared and dynamic, for qom-list. */
typedef void ObjectPropertyFunc(Object *obj, const char *name, const char *type,
                                const char *description, void *opaque);
void object_foreach_property(Object *obj, ObjectPropertyFunc *func, void *opaque);

/* A guard for objects of a base type: whether a property may be set now (devices: not after realize unless
 * PROPERTY_ANY_TIME). prop is NULL for dynamic properties. */
typedef bool ObjectSetGuard(Object *obj, const char *name, const Property *prop, GError **error);
void object_install_set_guard(const ObjectType *base, ObjectSetGuard *guard);

/* ---- -global and compat properties ----------------------------------------------------------------- */

/*
 * A default that replaces a declared one for type (or a subtype), in the order added: machine compat first,
 * then -global. user: from the command line. The strings are copied.
 */
void globals_add(const char *type, const char *property, const char *value, bool user);
/*
 * Applies them to a new object, before properties of its own are set: whoever makes objects that take globals
 * calls it right after object_new(). False with "can't apply global usb-kbd.foo=1: …" if one does not fit.
 */
bool globals_apply(Object *obj, GError **error);
/* Prints a warning for each user global that names an unknown type, at the end of start-up. */
void globals_report_unused(void);
/* Whether a user's global for this type and property was ever applied (-global of what never came). */
bool globals_used(const char *type, const char *property);

/* ---- interface "user-creatable" (-object, object-add) ---------------------------------------------- */

typedef struct UserCreatableOps {
    bool (*complete)(Object *obj, GError **error);   /* all properties are set */
    bool (*can_be_deleted)(Object *obj, GError **error); /* NULL: yes */
} UserCreatableOps;
extern const ObjectType user_creatable_type;

/* Creates type `qom-type` from typed JSON (borrowed, may be NULL; its "qom-type" and "id" are passed over);
 * globals apply. The object sits at /objects/ID. */
bool user_creatable_add(const char *qom_type, const char *id, json_object *props, GError **error);
bool user_creatable_del(const char *id, GError **error);

#endif
