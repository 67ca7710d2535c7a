/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What users write instead of a BlockdevOptions: file names with a protocol in front, json:,
 * options without types, no format. From all of them a complete BlockdevOptions is made, first the
 * protocol node, then the format on it.
 *
 * Options on their way are nested objects whose scalars are strings, as keyval_parse() makes them.
 */
#include "util/osdep.h"
#include "block/image.h"

#include <stdio.h>
#include <sys/stat.h>
#include "internal.h"
#include "qapi/qapi.h"
#include "util/error.h"

#define PROBE_SIZE 2048
#define NEST_MAX 32

/* ---- options ---- */

static void set_string(json_object *options, const char *key, const char *value)
{
    json_object_object_add(options, key, json_object_new_string(value));
}

static json_object *stringify(json_object *value, unsigned depth)
{
    if (depth > NEST_MAX) {
        return NULL;
    }
    switch (json_object_get_type(value)) {
    case json_type_object: {
        json_object *o = json_object_new_object();
        json_object_object_foreach(value, key, v)
        {
            if (v) {
                json_object_object_add(o, key, stringify(v, depth + 1));
            } else if (g_str_equal(key, "backing")) {
                set_string(o, key,
                           ""); /* null: no backing file, and not the one that the image names */
            }
        }
        return o;
    }
    case json_type_array: {
        json_object *a = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            json_object_array_add(a, stringify(json_object_array_get_idx(value, i), depth + 1));
        }
        return a;
    }
    case json_type_boolean:
        return json_object_new_string(json_object_get_boolean(value) ? "on" : "off");
    case json_type_null:
        return NULL;
    default:
        return json_object_new_string(json_object_get_string(value));
    }
}

json_object *block_stringify(json_object *value)
{
    return stringify(value, 0);
}

static const char *get_string(json_object *options, const char *key)
{
    json_object *v = json_object_object_get(options, key);
    return v && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static const QapiType *branch_type(int driver)
{
    for (unsigned i = 0; i < qapi_type_BlockdevOptions.n_branches; i++) {
        if (qapi_type_BlockdevOptions.branches[i].value == driver) {
            return qapi_type_BlockdevOptions.branches[i].type;
        }
    }
    return NULL;
}

static bool has_member(const QapiType *type, const char *name)
{
    for (unsigned i = 0; type && i < type->n_members; i++) {
        if (g_str_equal(type->members[i].name, name)) {
            return true;
        }
    }
    return false;
}

bool block_check_option_names(json_object *options, GError **error)
{
    const char *name = get_string(options, "driver");
    const BlockDriver *driver = name ? block_driver_by_name(name) : NULL;
    if (!driver) {
        return error_set(error, "Unknown driver '%s'", name ? name : "");
    }
    const QapiType *branch = branch_type(driver->qapi_driver);
    json_object_object_foreach(options, key, value)
    {
        (void)value;
        if (has_member(&qapi_type_BlockdevOptions, key) || has_member(branch, key)) {
            continue;
        }
        if (driver->kind == BLOCK_PROTOCOL) {
            return error_set(error, "Block protocol '%s' doesn't support the option '%s'", name,
                             key);
        }
        return error_set(error, "Block format '%s' does not support the option '%s'", name, key);
    }
    return true;
}

/* Children that are images: without a driver their format is found out, and the parent gets a reference.
 * They are added to held, for as long as the parent needs to take its own. */
static bool open_probed_children(json_object *options, unsigned flags, GSList **held,
                                 GError **error)
{
    static const struct {
        const char *key;
        bool writable;
    } children[] = { { "backing", false }, { "test", true } };
    for (unsigned i = 0; i < G_N_ELEMENTS(children); i++) {
        json_object *child = json_object_object_get(options, children[i].key);
        if (!child || !json_object_is_type(child, json_type_object) ||
            get_string(child, "driver")) {
            continue;
        }
        g_autofree char *filename = g_strdup(get_string(child, "filename"));
        json_object_object_del(child, "filename");
        unsigned f = children[i].writable ? flags : flags & ~BLOCK_OPEN_RDWR;
        BlockNode *node = block_open_filename(filename, child, f, error);
        if (!node) {
            return false;
        }
        *held = g_slist_prepend(*held, node);
        set_string(options, children[i].key, node->name);
    }
    return true;
}

static void unref_node(gpointer node)
{
    block_node_unref(node);
}

static BlockNode *open_options(json_object *options, unsigned flags, GError **error)
{
    if (!block_check_option_names(options, error)) {
        return NULL;
    }
    GSList *held = NULL;
    BlockNode *node = NULL;
    if (open_probed_children(options, flags, &held, error)) {
        g_autoptr(BlockdevOptions) o =
            qapi_decode_BlockdevOptions(options, QAPI_INPUT_KEYVAL, error);
        node = o ? block_node_open(o, flags, error) : NULL;
    }
    g_slist_free_full(held, unref_node);
    return node;
}

/* ---- protocols ---- */

/* "nbd" of "nbd:x"; NULL if there is none: a '/' before the ':' makes it a path. New string. */
static char *protocol_of(const char *filename)
{
    size_t n = strcspn(filename, ":/");
    return filename[n] == ':' ? g_strndup(filename, n) : NULL;
}

static int device_score(const BlockDriver *driver, const char *filename)
{
    return driver->probe_device ? driver->probe_device(filename) : 0;
}

typedef struct BestDevice {
    const char *filename;
    const BlockDriver *driver;
    int score;
} BestDevice;

static void best_device(const BlockDriver *driver, void *opaque)
{
    BestDevice *best = opaque;
    int score = device_score(driver, best->filename);
    if (score > best->score) {
        best->score = score;
        best->driver = driver;
    }
}

/* A path: a file, or a device of the host. */
static const char *path_driver(const char *filename)
{
    BestDevice best = { .filename = filename };
    block_driver_for_each(best_device, &best);
    return best.driver ? best.driver->name : "file";
}

static bool resolve_child(json_object *options, const char *child_key, GError **error);

/* Children that were given as a file name without a driver get one. */
static bool resolve_children(json_object *options, GError **error)
{
    static const char *const keys[] = { "file", "image", "data-file", "raw" };
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!resolve_child(options, keys[i], error)) {
            return false;
        }
    }
    return true;
}

static bool resolve_child(json_object *options, const char *child_key, GError **error)
{
    json_object *child = json_object_object_get(options, child_key);
    if (!child || !json_object_is_type(child, json_type_object)) {
        return true;
    }
    if (get_string(child, "driver")) {
        return resolve_children(child, error);
    }
    g_autofree char *filename = g_strdup(get_string(child, "filename"));
    json_object_object_del(child, "filename");
    json_object *full = block_resolve_protocol(filename, json_object_get(child), error);
    if (!full) {
        return false;
    }
    json_object_object_add(options, child_key, full);
    return true;
}

const BlockDriver *block_filename_protocol(const char *filename, GError **error)
{
    g_autofree char *protocol = protocol_of(filename);
    const BlockDriver *driver =
        protocol ? block_driver_by_protocol(protocol) : block_driver_by_name(path_driver(filename));
    if (!driver) {
        error_set(error, "Unknown protocol '%s'", protocol);
    }
    return driver;
}

static bool resolve_prefixed(const char *filename, json_object *options, GError **error)
{
    g_autofree char *protocol = protocol_of(filename);
    if (!protocol) {
        set_string(options, "driver", path_driver(filename));
        set_string(options, "filename", filename);
        return true;
    }
    const BlockDriver *driver = block_driver_by_protocol(protocol);
    if (!driver) {
        return error_set(error, "Unknown protocol '%s'", protocol);
    }
    set_string(options, "driver", driver->name);
    if (!driver->parse_filename) {
        set_string(options, "filename", filename);
        return true;
    }
    return driver->parse_filename(filename, options, error);
}

json_object *block_resolve_protocol(const char *filename, json_object *options, GError **error)
{
    bool ok = true;
    const char *name = get_string(options, "driver");
    if (name) {
        const BlockDriver *driver = block_driver_by_name(name);
        if (!driver) {
            ok = error_set(error, "Unknown driver '%s'", name);
        } else if (filename && has_member(branch_type(driver->qapi_driver), "filename")) {
            set_string(options, "filename",
                       g_str_has_prefix(filename, "file:") ? filename + strlen("file:") : filename);
        } else if (filename && driver->parse_filename) {
            ok = driver->parse_filename(filename, options, error);
        }
    } else if (filename) {
        ok = resolve_prefixed(filename, options, error);
    } else {
        ok = error_set(error, "A block device must be specified for \"file\"");
    }
    if (!ok || !resolve_children(options, error)) {
        json_object_put(options);
        return NULL;
    }
    return options;
}

/* ---- formats ---- */

typedef struct BestFormat {
    const uint8_t *buf;
    size_t len;
    const char *filename;
    const BlockDriver *driver;
    int score;
} BestFormat;

static void best_format(const BlockDriver *driver, void *opaque)
{
    BestFormat *best = opaque;
    int score = driver->probe ? driver->probe(best->buf, best->len, best->filename) : 0;
    if (score > best->score) {
        best->score = score;
        best->driver = driver;
    }
}

static void probe_ignore(void *user)
{
}

static char *probe_describe(void *user)
{
    return g_strdup("the search for the format");
}

static bool probe_busy(void *user)
{
    return false;
}

static const BlockUserOps probe_user_ops = {
    .describe = probe_describe,
    .drain_begin = probe_ignore,
    .drain_end = probe_ignore,
    .busy = probe_busy,
};

static const BlockDriver *probe_format(BlockNode *file, GError **error)
{
    uint8_t buf[PROBE_SIZE] = { 0 };
    int64_t length = block_node_length(file);
    BlockEdge *edge =
        block_edge_attach(file, "root", &probe_user_ops, NULL, 0, BLOCK_PERM_ALL, error);
    if (!edge) {
        return NULL;
    }
    size_t n = MIN(MAX(length, 0), PROBE_SIZE);
    int ret = block_read_buf(edge, 0, n, buf);
    block_edge_detach(edge);
    if (ret < 0) {
        error_set_errno(error, -ret, "Could not read image for determining its format");
        return NULL;
    }
    BestFormat best = { buf, n, block_node_filename(file), NULL, 0 };
    block_driver_for_each(best_format, &best);
    if (!best.driver) {
        error_set(error, "Could not determine image format: No compatible driver found");
    }
    return best.driver;
}

/* For the person who started the program, in stock's words and without a program's name in front. */
static void warn_probed(const char *filename)
{
    fprintf(stderr,
            "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write "
            "operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n",
            filename);
}

/* Moves what belongs to the protocol out of options; the result is the caller's. */
static json_object *take_file_options(json_object *options)
{
    json_object *file = json_object_object_get(options, "file");
    json_object *result = file && json_object_is_type(file, json_type_object)
                              ? json_object_get(file)
                              : json_object_new_object();
    if (file && json_object_is_type(file, json_type_object)) {
        json_object_object_del(options, "file");
    }
    return result;
}

static const char *const inherited[] = { "read-only", "auto-read-only", "force-share" };

/* aio= of -drive is for the file; other protocols do without. */
static void hand_down_aio(json_object *options, json_object *file_options)
{
    json_object *aio = json_object_object_get(options, "aio");
    const char *name = get_string(file_options, "driver");
    const BlockDriver *driver = name ? block_driver_by_name(name) : NULL;
    if (aio && driver && has_member(branch_type(driver->qapi_driver), "aio") &&
        !json_object_object_get(file_options, "aio")) {
        json_object_object_add(file_options, "aio", json_object_get(aio));
    }
    json_object_object_del(options, "aio");
}

/* The node that has the file: a reference, or opened now. */
static BlockNode *open_file_node(const char *filename, json_object *options, unsigned flags,
                                 GError **error)
{
    const char *reference = get_string(options, "file");
    if (reference) {
        BlockNode *node = block_lookup(reference, error);
        return node ? block_node_ref(node) : NULL;
    }
    json_object *file_options = take_file_options(options);
    g_autofree char *inner = g_strdup(get_string(file_options, "filename"));
    if (!filename && inner && !get_string(file_options, "driver")) {
        filename = inner;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(inherited); i++) {
        json_object *v = json_object_object_get(options, inherited[i]);
        if (v && !json_object_object_get(file_options, inherited[i])) {
            json_object_object_add(file_options, inherited[i], json_object_get(v));
        }
    }
    json_object *cache = json_object_object_get(options, "cache");
    if (cache && !json_object_object_get(file_options, "cache")) {
        json_object_object_add(file_options, "cache", json_object_get(cache));
    }
    file_options = block_resolve_protocol(filename, file_options, error);
    if (!file_options) {
        return NULL;
    }
    hand_down_aio(options, file_options);
    BlockNode *node = open_options(file_options, flags | BLOCK_OPEN_UNMAP, error);
    json_object_put(file_options);
    return node;
}

static BlockNode *open_format(const char *filename, json_object *options, unsigned flags,
                              GError **error)
{
    BlockNode *file = open_file_node(filename, options, flags, error);
    if (!file) {
        return NULL;
    }
    bool probed = !get_string(options, "driver");
    const BlockDriver *driver = NULL;
    BlockNode *node = NULL;
    if (probed) {
        driver = probe_format(file, error);
        if (!driver) {
            block_node_unref(file);
            return NULL;
        }
        set_string(options, "driver", driver->name);
    }
    set_string(options, "file", file->name);
    if (resolve_children(options, error)) {
        node = open_options(options, flags, error);
    }
    block_node_unref(file);
    if (node && probed && driver->qapi_driver == BLOCKDEV_DRIVER_RAW) {
        node->probed = true;
        block_node_refresh_limits(node);
        if (!node->read_only) {
            warn_probed(filename ? filename : block_node_filename(node));
        }
    }
    return node;
}

/* json: {...} gives options; those that were given besides win. */
static bool merge_json(const char *text, json_object *options, GError **error)
{
    enum json_tokener_error err;
    json_object *o = json_tokener_parse_verbose(text, &err);
    if (!o || !json_object_is_type(o, json_type_object)) {
        if (o) {
            json_object_put(o);
            return error_set(error, "Invalid JSON object given");
        }
        return error_set(error, "Could not parse the JSON options: JSON parse error, %s",
                         err == json_tokener_continue || err == json_tokener_error_parse_eof
                             ? "premature EOI"
                             : json_tokener_error_desc(err));
    }
    json_object *s = block_stringify(o);
    json_object_put(o);
    json_object_object_foreach(s, key, value)
    {
        if (!json_object_object_get(options, key)) {
            json_object_object_add(options, key, json_object_get(value));
        }
    }
    json_object_put(s);
    return true;
}

static BlockNode *open_resolved(const char *filename, json_object *options, unsigned flags,
                                GError **error)
{
    const char *name = get_string(options, "driver");
    const BlockDriver *driver = name ? block_driver_by_name(name) : NULL;
    if (name && !driver) {
        error_set(error, "Unknown driver '%s'", name);
        return NULL;
    }
    if (!filename && !name && !json_object_object_get_ex(options, "file", NULL)) {
        error_set(error, "Must specify either driver or file");
        return NULL;
    }
    if (!driver || driver->kind == BLOCK_FORMAT) {
        return open_format(filename, options, flags, error);
    }
    json_object *full = block_resolve_protocol(filename, json_object_get(options), error);
    if (!full) {
        return NULL;
    }
    BlockNode *node = open_options(full, flags, error);
    json_object_put(full);
    return node;
}

BlockNode *block_open_filename(const char *filename, json_object *options, unsigned flags,
                               GError **error)
{
    json_object *o = options ? block_stringify(options) : json_object_new_object();
    BlockNode *node = NULL;
    bool ok = true;
    if (filename && g_str_has_prefix(filename, "json:")) {
        ok = merge_json(filename + strlen("json:"), o, error);
        filename = NULL;
    }
    if (ok) {
        node = open_resolved(filename, o, flags, error);
    }
    json_object_put(o);
    return node;
}
