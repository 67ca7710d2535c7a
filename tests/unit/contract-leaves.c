/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which bytes of a section are which value, by the description that goes with it. */
#include "util/osdep.h"
#include "contract.h"

typedef struct Walk {
    Leaves *out;
    size_t at;
} Walk;

static json_object *member(json_object *obj, const char *name)
{
    json_object *value;
    return json_object_object_get_ex(obj, name, &value) ? value : NULL;
}

static void walk_description(Walk *walk, json_object *obj, const char *path);

static void walk_element(Walk *walk, json_object *field, const char *path, size_t size)
{
    json_object *inner = member(field, "struct");
    size_t start = walk->at;

    if (!inner && member(field, "fields")) {
        inner = field; /* derived values have no braces of their own */
    }
    if (inner) {
        walk_description(walk, inner, path);
        g_assert_cmpuint(walk->at - start, ==, size);
        return;
    }
    Leaf leaf = {
        .path = g_strdup(path),
        .type = g_intern_string(json_object_get_string(member(field, "type"))),
        .offset = walk->at,
        .len = size,
    };
    if (size) {
        g_array_append_val(walk->out->leaves, leaf);
    } else {
        g_free(leaf.path);
    }
    walk->at += size;
}

static void walk_field(Walk *walk, json_object *field, const char *path)
{
    const char *name = json_object_get_string(member(field, "name"));
    json_object *count = member(field, "array_len"), *index = member(field, "index");
    size_t size = json_object_get_int64(member(field, "size"));
    int64_t n = count ? json_object_get_int64(count) : 1;

    for (int64_t i = 0; i < n; i++) {
        g_autofree char *here =
            count || index ? g_strdup_printf("%s%s[%" PRId64 "]", path, name,
                                             count ? i : json_object_get_int64(index))
                           : g_strconcat(path, name, NULL);
        g_autofree char *below = g_strconcat(here, ".", NULL);
        bool scalar = !member(field, "struct") && !member(field, "fields");

        walk_element(walk, field, scalar ? here : below, size);
    }
}

static void walk_description(Walk *walk, json_object *obj, const char *path)
{
    const char *name = g_intern_string(json_object_get_string(member(obj, "vmsd_name")));
    json_object *fields = member(obj, "fields"), *subs = member(obj, "subsections");

    g_ptr_array_add(walk->out->names, (gpointer)name);
    for (size_t i = 0; i < json_object_array_length(fields); i++) {
        walk_field(walk, json_object_array_get_idx(fields, i), path);
    }
    for (size_t i = 0; subs && i < json_object_array_length(subs); i++) {
        json_object *sub = json_object_array_get_idx(subs, i);
        const char *sub_name = json_object_get_string(member(sub, "vmsd_name"));
        g_autofree char *below = g_strdup_printf("%s(%s).", path, sub_name);

        walk->at += 2 + strlen(sub_name) + 4;
        walk_description(walk, sub, below);
    }
    SubsectionPlace place = { .vmsd_name = name, .offset = walk->at };
    g_array_append_val(walk->out->places, place);
}

Leaves *leaves_from_description(const char *desc, size_t len)
{
    g_autofree char *text = g_strdup_printf("{%s}", desc);
    json_object *obj = json_tokener_parse(text);
    Leaves *out = g_new0(Leaves, 1);
    Walk walk = { out, 0 };

    g_assert_nonnull(obj);
    out->leaves = g_array_new(false, false, sizeof(Leaf));
    out->places = g_array_new(false, false, sizeof(SubsectionPlace));
    out->names = g_ptr_array_new();
    walk_description(&walk, obj, "");
    g_assert_cmpuint(walk.at, ==, len);
    json_object_put(obj);
    return out;
}

void leaves_free(Leaves *leaves)
{
    if (!leaves) {
        return;
    }
    for (guint i = 0; i < leaves->leaves->len; i++) {
        g_free(g_array_index(leaves->leaves, Leaf, i).path);
    }
    g_array_free(leaves->leaves, true);
    g_array_free(leaves->places, true);
    g_ptr_array_free(leaves->names, true);
    g_free(leaves);
}
