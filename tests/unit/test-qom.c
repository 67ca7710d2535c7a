/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types, objects, the tree, properties, globals, user-created objects (qom/object.h). */
#include "util/osdep.h"

#include <glib.h>
#include "qom/object.h"
#include "util/error.h"

/* ---- types to play with ---- */

typedef struct Animal {
    Object object;
    uint8_t legs;
    uint32_t weight;
    int32_t mood;
    uint64_t genes;
    uint64_t food;
    bool wild;
    char *name;
    int tail;
    uint32_t marks;
    Object *friend_;
    unsigned inits;
} Animal;

typedef struct NoiseOps {
    const char *sound;
} NoiseOps;

static GString *trace;

static const ObjectType noise_type = { .name = "noise", .parent = &interface_type, .abstract = true };
OBJECT_TYPE_REGISTER(noise_type)

static void animal_init(Object *obj)
{
    Animal *a = (Animal *)obj;
    g_assert_cmpint(a->legs, ==, 4); /* defaults come first */
    a->inits++;
    g_string_append(trace, "A");
}

static void animal_finalize(Object *obj)
{
    g_string_append(trace, "a");
}

static const ObjectType animal_type;
static const Property animal_properties[] = {
    PROPERTY_UINT8("legs", Animal, legs, "4", "how many"),
    PROPERTY_UINT32("weight", Animal, weight, NULL, NULL),
    PROPERTY_INT32("mood", Animal, mood, "-3", NULL),
    PROPERTY_UINT64("genes", Animal, genes, "0x10", NULL),
    PROPERTY_SIZE("food", Animal, food, "1k", NULL),
    PROPERTY_BOOL("wild", Animal, wild, "on", NULL),
    PROPERTY_STRING("name", Animal, name, NULL),
    PROPERTY_ON_OFF_AUTO("tail", Animal, tail, "auto", NULL),
    PROPERTY_BIT32("striped", Animal, marks, 3, "on", NULL),
    PROPERTY_LINK("friend", Animal, friend_, animal_type, NULL),
    PROPERTY("inits", property_uint32, Animal, inits, .flags = PROPERTY_READ_ONLY),
    { NULL },
};
static const ObjectType animal_type = {
    .name = "animal",
    .parent = &object_type,
    .size = sizeof(Animal),
    .abstract = true,
    .properties = animal_properties,
    .init = animal_init,
    .finalize = animal_finalize,
};
OBJECT_TYPE_REGISTER(animal_type)

static void cat_init(Object *obj)
{
    g_string_append(trace, "C");
}

static void cat_finalize(Object *obj)
{
    g_string_append(trace, "c");
}

static bool cat_complete(Object *obj, GError **error)
{
    Animal *a = (Animal *)obj;
    return a->legs <= 4 || error_set(error, "a cat with %d legs", a->legs);
}

static bool cat_can_be_deleted(Object *obj, GError **error)
{
    return ((Animal *)obj)->wild;
}

static const NoiseOps meow = { "meow" };
static const UserCreatableOps cat_creatable = { cat_complete, cat_can_be_deleted };
static const InterfaceImpl cat_interfaces[] = {
    { &noise_type, &meow },
    { &user_creatable_type, &cat_creatable },
    { NULL },
};
static const ObjectType cat_type = {
    .name = "cat",
    .parent = &animal_type,
    .interfaces = cat_interfaces,
    .init = cat_init,
    .finalize = cat_finalize,
};
OBJECT_TYPE_REGISTER(cat_type)

static const ObjectType tiger_type = { .name = "tiger", .parent = &cat_type };
OBJECT_TYPE_REGISTER(tiger_type)

static void expect_trace(const char *want)
{
    g_assert_cmpstr(trace->str, ==, want);
    g_string_truncate(trace, 0);
}

/* ---- types ---- */

static bool add_name(const ObjectType *type, void *opaque)
{
    g_string_append_printf(opaque, "%s ", type->name);
    return true;
}

static void test_types(void)
{
    g_assert_true(object_type_by_name("tiger") == &tiger_type);
    g_assert_null(object_type_by_name("lion"));
    g_assert_true(object_type_is_a(&tiger_type, &animal_type));
    g_assert_true(object_type_is_a(&tiger_type, &noise_type));
    g_assert_true(object_type_is_a(&tiger_type, &interface_type));
    g_assert_false(object_type_is_a(&animal_type, &noise_type));
    g_assert_false(object_type_is_a(&animal_type, &cat_type));
    g_assert_true(object_type_interface(&tiger_type, &noise_type) == &meow);
    g_assert_null(object_type_interface(&animal_type, &noise_type));
    g_autoptr(GString) names = g_string_new(NULL);
    object_type_foreach(&animal_type, false, add_name, names);
    g_assert_cmpstr(names->str, ==, "cat tiger ");
    g_string_truncate(names, 0);
    object_type_foreach(&noise_type, true, add_name, names);
    g_assert_cmpstr(names->str, ==, "cat noise tiger ");
    const ObjectType *owner;
    g_assert_nonnull(object_type_find_property(&tiger_type, "legs", &owner));
    g_assert_true(owner == &animal_type);
}

static void test_life(void)
{
    Object *obj = object_new(&tiger_type);
    expect_trace("AC");
    g_assert_cmpuint(((Animal *)obj)->inits, ==, 1);
    g_assert_true(object_cast(obj, &cat_type) == obj);
    g_assert_null(object_cast(obj, &container_type));
    g_assert_null(object_cast(NULL, &cat_type));
    object_ref(obj);
    object_unref(obj);
    expect_trace("");
    object_unref(obj);
    expect_trace("ca");
    object_unref(NULL);
}

/* ---- the tree ---- */

static bool count_child(Object *obj, void *opaque)
{
    ++*(int *)opaque;
    return true;
}

static Object *add(Object *parent, const char *name, const ObjectType *type)
{
    Object *obj = object_new(type);
    g_assert_true(object_add_child(parent, name, obj, NULL));
    object_unref(obj);
    return obj;
}

static void test_tree(void)
{
    g_autoptr(GError) error = NULL;
    Object *zoo = object_container("/test/zoo");
    g_assert_true(object_container("/test/zoo") == zoo);
    Object *a = add(zoo, "cat[*]", &cat_type), *b = add(zoo, "cat[*]", &tiger_type);
    Object *c = add(a, "kitten", &cat_type);
    g_assert_cmpstr(object_path_component(b), ==, "cat[1]");
    g_autofree char *path = object_path(c);
    g_assert_cmpstr(path, ==, "/test/zoo/cat[0]/kitten");
    g_assert_true(object_resolve(path, NULL) == c);
    g_assert_true(object_resolve("kitten", NULL) == c);
    g_assert_true(object_resolve("cat[0]/kitten", NULL) == c);
    g_assert_true(object_resolve("/", NULL) == object_root());
    g_assert_null(object_resolve("/test/nope", NULL));
    g_assert_null(object_resolve("", NULL));

    bool ambiguous;
    Object *c2 = add(b, "kitten", &tiger_type);
    g_assert_null(object_resolve("kitten", &ambiguous));
    g_assert_true(ambiguous);
    g_assert_true(object_resolve_type("kitten", &tiger_type, &error) == c2);
    g_assert_null(object_resolve_type("kitten", &cat_type, &error));
    g_assert_cmpstr(error->message, ==, "Path 'kitten' does not uniquely identify an object");
    g_clear_error(&error);
    g_assert_null(object_resolve_type("/test/zoo", &cat_type, &error));
    g_assert_cmpstr(error->message, ==, "Object '/test/zoo' is a 'container', not a 'cat'");
    g_clear_error(&error);
    g_assert_null(object_resolve_type("dog", &cat_type, &error));
    g_assert_cmpstr(tern_error_class_name(error), ==, "DeviceNotFound");
    g_clear_error(&error);

    Object *dup = object_new(&cat_type);
    g_assert_false(object_add_child(a, "kitten", dup, &error));
    g_assert_cmpstr(error->message, ==,
                    "attempt to add duplicate property 'kitten' to object (type 'cat')");
    object_unref(dup);

    int n = 0;
    object_foreach_child(zoo, count_child, &n);
    g_assert_cmpint(n, ==, 2);
    object_foreach_child_recursive(zoo, count_child, &n);
    g_assert_cmpint(n, ==, 6);

    g_string_truncate(trace, 0);
    object_unparent(a); /* takes its kitten along */
    expect_trace("caca");
    Object *again = add(zoo, "cat[*]", &cat_type);
    g_assert_cmpstr(object_path_component(again), ==, "cat[0]");
    Object *loose = object_new(&cat_type);
    g_assert_null(object_path(loose));
    g_assert_null(object_path_component(loose));
    object_unparent(loose);
    object_unref(loose);
    object_unparent(object_container("/test"));
    g_string_truncate(trace, 0);
}

/* ---- properties ---- */

static json_object *parse(const char *text)
{
    json_object *v = json_tokener_parse(text);
    g_assert_nonnull(v);
    return v;
}

static void ok_text(Object *obj, const char *name, const char *text, const char *want)
{
    g_autoptr(GError) error = NULL;
    object_set_text(obj, name, text, &error);
    g_assert_no_error(error);
    json_object *value = object_get(obj, name, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_object_to_json_string_ext(value, JSON_C_TO_STRING_NOSLASHESCAPE), ==, want);
    json_object_put(value);
}

static void bad_text(Object *obj, const char *name, const char *text, const char *want)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(object_set_text(obj, name, text, &error));
    g_assert_cmpstr(error->message, ==, want);
}

static void bad_json(Object *obj, const char *name, const char *json, const char *want)
{
    g_autoptr(GError) error = NULL;
    json_object *value = parse(json);
    g_assert_false(object_set(obj, name, value, &error));
    g_assert_cmpstr(error->message, ==, want);
    json_object_put(value);
}

static void ok_json(Object *obj, const char *name, const char *json)
{
    g_autoptr(GError) error = NULL;
    json_object *value = parse(json), *got;
    object_set(obj, name, value, &error);
    g_assert_no_error(error);
    got = object_get(obj, name, &error);
    g_assert_cmpstr(json_object_to_json_string(got), ==, json);
    json_object_put(value);
    json_object_put(got);
}

static void test_properties(void)
{
    Object *obj = object_new(&cat_type);
    Animal *a = (Animal *)obj;
    g_assert_cmpint(a->mood, ==, -3);
    g_assert_cmpuint(a->genes, ==, 16);
    g_assert_cmpuint(a->food, ==, 1024);
    g_assert_true(a->wild);
    g_assert_cmpint(a->tail, ==, PROPERTY_AUTO);
    g_assert_cmphex(a->marks, ==, 8);

    ok_text(obj, "legs", "0x7", "7");
    ok_text(obj, "weight", "4294967295", "4294967295");
    ok_text(obj, "mood", "-2147483648", "-2147483648");
    ok_text(obj, "genes", "18446744073709551615", "18446744073709551615");
    ok_text(obj, "food", "1.5G", "1610612736");
    ok_text(obj, "wild", "no", "false");
    ok_text(obj, "name", "Tom", "\"Tom\"");
    ok_text(obj, "name", "", "\"\"");
    ok_text(obj, "tail", "on", "\"on\"");
    ok_text(obj, "striped", "off", "false");
    ok_json(obj, "legs", "8");
    ok_json(obj, "genes", "18446744073709551615");
    ok_json(obj, "mood", "-5");
    ok_json(obj, "wild", "true");
    ok_json(obj, "striped", "true");
    ok_json(obj, "name", "\"Kim\"");
    ok_json(obj, "tail", "\"off\"");

    bad_text(obj, "foo", "1", "Property 'cat.foo' not found");
    bad_text(obj, "inits", "1", "Property 'cat.inits' is not writable");
    bad_text(obj, "legs", "256", "Parameter 'legs' expects uint8_t");
    bad_text(obj, "legs", "-1", "Parameter 'legs' expects uint8_t");
    bad_text(obj, "legs", "four", "Parameter 'legs' expects integer");
    bad_text(obj, "weight", "99999999999999999999999", "Parameter 'weight' expects integer");
    bad_text(obj, "mood", "2147483648", "Parameter 'mood' expects int32_t");
    bad_text(obj, "genes", "-1", "Parameter 'genes' expects uint64_t");
    bad_text(obj, "food", "1x", "Parameter 'food' expects a size value");
    bad_text(obj, "wild", "maybe", "Parameter 'wild' expects 'on' or 'off'");
    bad_text(obj, "tail", "long", "Parameter 'tail' does not accept value 'long'");
    bad_json(obj, "legs", "\"4\"", "Parameter 'legs' expects uint64");
    bad_json(obj, "legs", "1.5", "Parameter 'legs' expects uint64");
    bad_json(obj, "legs", "300", "Parameter 'legs' expects uint8_t");
    bad_json(obj, "mood", "true", "Parameter 'mood' expects int64");
    bad_json(obj, "wild", "1", "Invalid parameter type for 'wild', expected: boolean");
    bad_json(obj, "name", "1", "Invalid parameter type for 'name', expected: string");
    bad_json(obj, "tail", "true", "Invalid parameter type for 'tail', expected: string");
    bad_json(obj, "foo", "1", "Property 'cat.foo' not found");
    g_assert_cmpint(a->legs, ==, 8); /* what failed changed nothing */
    object_unref(obj);
    g_string_truncate(trace, 0);
}

static void test_links(void)
{
    g_string_truncate(trace, 0);
    Object *box = object_container("/test/box");
    Object *a = add(box, "a", &cat_type), *b = add(box, "b", &cat_type);
    ok_text(a, "friend", "/test/box/b", "\"/test/box/b\"");
    g_assert_cmpint(b->refs, ==, 2);
    ok_text(a, "friend", "", "\"\"");
    g_assert_cmpint(b->refs, ==, 1);
    ok_text(a, "friend", "b", "\"/test/box/b\"");
    g_assert_true(object_resolve("/test/box/a/friend", NULL) == b);
    bad_text(a, "friend", "nobody", "Device 'nobody' not found");
    bad_text(a, "friend", "/test/box", "Invalid parameter type for 'friend', expected: animal");
    object_set_link(b, "friend", a);
    g_assert_cmpint(a->refs, ==, 2);
    object_set_link(b, "friend", NULL);
    object_add_const_link(box, "favourite", a);
    g_assert_true(object_resolve("/test/box/favourite/friend", NULL) == b);
    object_add_alias(box, "legs-of-a", a, "legs");
    object_add_alias(box, "cat-b", box, "b");
    ok_text(box, "legs-of-a", "2", "2");
    g_assert_cmpint(((Animal *)a)->legs, ==, 2);
    g_assert_true(object_resolve("/test/box/cat-b", NULL) == b);
    bad_text(box, "favourite", "x", "Property 'container.favourite' is not writable");
    object_unparent(object_container("/test"));
    expect_trace("ACACcaca"); /* both are gone */
}

static json_object *get_age(Object *obj, const char *name, void *opaque, GError **error)
{
    return json_object_new_int64(*(int64_t *)opaque);
}

static bool set_age(Object *obj, const char *name, void *opaque, json_object *value, GError **error)
{
    *(int64_t *)opaque = json_object_get_int64(value);
    return true;
}

static void release_age(Object *obj, const char *name, void *opaque)
{
    g_string_append(trace, "released");
}

static bool guard(Object *obj, const char *name, const Property *prop, GError **error)
{
    if (((Animal *)obj)->marks & 1) {
        return error_set(error, "hands off '%s'", name);
    }
    return true;
}

static void list_property(Object *obj, const char *name, const char *type, const char *description,
                          void *opaque)
{
    g_string_append_printf(opaque, "%s:%s ", name, type);
}

static void test_dynamic(void)
{
    int64_t age = 3;
    Object *obj = object_new(&cat_type);
    object_add_property(obj, "age", "int", get_age, set_age, release_age, &age);
    object_add_property(obj, "secret", "string", NULL, NULL, NULL, NULL);
    ok_text(obj, "age", "5", "5");
    bad_text(obj, "age", "x", "Parameter 'age' expects integer");
    bad_text(obj, "secret", "x", "Property 'cat.secret' is not writable");
    g_autoptr(GError) error = NULL;
    g_assert_null(object_get(obj, "secret", &error));
    g_assert_cmpstr(error->message, ==, "Property 'cat.secret' is not readable");
    g_autoptr(GString) list = g_string_new(NULL);
    object_foreach_property(obj, list_property, list);
    g_assert_cmpstr(list->str, ==,
                    "type:string legs:uint8 weight:uint32 mood:int32 genes:uint64 food:size wild:bool name:str "
                    "tail:OnOffAuto striped:bool friend:link<animal> inits:uint32 age:int secret:string ");
    object_install_set_guard(&cat_type, guard);
    ((Animal *)obj)->marks |= 1;
    bad_text(obj, "legs", "3", "hands off 'legs'");
    bad_text(obj, "age", "3", "hands off 'age'");
    ((Animal *)obj)->marks = 0;
    g_string_truncate(trace, 0);
    object_del_property(obj, "age");
    expect_trace("released");
    g_assert_false(object_has_property(obj, "age"));
    object_unref(obj);
    g_string_truncate(trace, 0);
}

/* ---- globals, user-created ---- */

static void test_globals(void)
{
    g_autoptr(GError) error = NULL;
    globals_add("cat", "legs", "3", false);
    globals_add("animal", "weight", "7", false);
    globals_add("noise", "mood", "9", true);
    globals_add("animal", "legs", "5", true); /* later wins, whatever the distance */
    Object *obj = object_new(&tiger_type);
    g_assert_true(globals_apply(obj, &error));
    Animal *a = (Animal *)obj;
    g_assert_cmpint(a->legs, ==, 5);
    g_assert_cmpint(a->weight, ==, 7);
    g_assert_cmpint(a->mood, ==, 9);
    g_assert_true(globals_used("noise", "mood"));
    object_unref(obj);

    globals_add("tiger", "foo", "1", true);
    obj = object_new(&tiger_type);
    g_assert_false(globals_apply(obj, &error));
    g_assert_cmpstr(error->message, ==,
                    "can't apply global tiger.foo=1: Property 'tiger.foo' not found");
    object_unref(obj);
    g_string_truncate(trace, 0);
}

static void bad_add(const char *type, const char *id, const char *json, const char *want)
{
    g_autoptr(GError) error = NULL;
    json_object *props = parse(json);
    g_assert_false(user_creatable_add(type, id, props, &error));
    g_assert_cmpstr(error->message, ==, want);
    json_object_put(props);
}

static void test_user_creatable(void)
{
    g_autoptr(GError) error = NULL;
    json_object *props = parse("{\"qom-type\":\"cat\",\"id\":\"c0\",\"legs\":3,\"wild\":false}");
    g_assert_true(user_creatable_add("cat", "c0", props, &error));
    json_object_put(props);
    Object *obj = object_resolve("/objects/c0", NULL);
    g_assert_cmpint(((Animal *)obj)->legs, ==, 3);
    g_assert_cmpint(obj->refs, ==, 1);
    bad_add("cat", "c0", "{\"legs\":3}",
            "attempt to add duplicate property 'c0' to object (type 'container')");
    bad_add("cat", "c1", "{\"legs\":7}", "a cat with 7 legs");
    bad_add("cat", "c1", "{\"wings\":7}", "Property 'cat.wings' not found");
    bad_add("container", "c1", "{}", "Parameter 'qom-type' does not accept value 'container'");
    bad_add("lion", "c1", "{}", "Parameter 'qom-type' does not accept value 'lion'");
    g_assert_null(object_resolve("/objects/c1", NULL));
    g_assert_false(user_creatable_del("c0", &error));
    g_assert_cmpstr(error->message, ==, "object 'c0' is in use, can not be deleted");
    g_clear_error(&error);
    object_set_bool(obj, "wild", true);
    g_assert_true(user_creatable_del("c0", &error));
    g_assert_false(user_creatable_del("c0", &error));
    g_assert_cmpstr(error->message, ==, "object 'c0' not found");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trace = g_string_new(NULL);
    g_test_add_func("/qom/types", test_types);
    g_test_add_func("/qom/life", test_life);
    g_test_add_func("/qom/tree", test_tree);
    g_test_add_func("/qom/properties", test_properties);
    g_test_add_func("/qom/links", test_links);
    g_test_add_func("/qom/dynamic", test_dynamic);
    g_test_add_func("/qom/user-creatable", test_user_creatable);
    g_test_add_func("/qom/globals", test_globals); /* last: globals stay */
    int ret = g_test_run();
    g_string_free(trace, TRUE);
    return ret;
}
