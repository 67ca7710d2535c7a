/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creating images: options as users write them, the file, the format in it. Contract:
 * block/image.h. */
#include "util/osdep.h"
#include "block/image.h"

#include "internal.h"
#include "qapi/qapi.h"
#include "util/error.h"
#include "util/keyval.h"

/* ---- options ---- */

static const BlockCreateOption *find_option(const BlockCreateOption *table, const char *name)
{
    for (; table && table->name; table++) {
        if (g_str_equal(table->name, name)) {
            return table;
        }
    }
    return NULL;
}

static const BlockCreateOption *options_of(const BlockDriver *driver)
{
    return driver ? driver->create_options : NULL;
}

/* The value in its one spelling; NULL with an error. */
static char *normalised(const BlockCreateOption *option, const char *value, GError **error)
{
    uint64_t n;
    bool b;
    switch (option->type) {
    case BLOCK_OPTION_BOOL:
        if (parse_bool(value, &b, NULL)) {
            return g_strdup(b ? "on" : "off");
        }
        error_set(error, "Parameter '%s' expects 'on' or 'off'", option->name);
        return NULL;
    case BLOCK_OPTION_NUMBER:
        if (parse_uint64(value, &n, NULL)) {
            return g_strdup_printf("%" PRIu64, n);
        }
        error_set(error, "Parameter '%s' expects a number", option->name);
        return NULL;
    case BLOCK_OPTION_SIZE:
        if (parse_size(value, 1, &n, NULL)) {
            return g_strdup_printf("%" PRIu64, n);
        }
        error_set(error,
                  "Parameter '%s' expects a non-negative number below 2^64\n"
                  "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                  "and exabytes, respectively.",
                  option->name);
        return NULL;
    default:
        return g_strdup(value);
    }
}

bool block_create_check(const BlockDriver *format, const BlockDriver *protocol,
                        json_object *options, GError **error)
{
    json_object_object_foreach(options, key, value)
    {
        const BlockCreateOption *option = find_option(options_of(format), key);
        if (!option) {
            option = find_option(options_of(protocol), key);
        }
        if (!option) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
        char *text = normalised(option, json_object_get_string(value), error);
        if (!text) {
            return false;
        }
        json_object_set_string(value, text);
        g_free(text);
    }
    return true;
}

static void describe_table(GString *s, const BlockCreateOption *table,
                           const BlockCreateOption *shown, json_object *options)
{
    for (; table && table->name; table++) {
        json_object *v = json_object_object_get(options, table->name);
        const char *value = v ? json_object_get_string(v) : table->default_value;
        if (!value || find_option(shown, table->name)) {
            continue;
        }
        g_string_append_printf(s, " %s=", table->name);
        for (const char *p = value; *p; p++) {
            g_string_append(s, *p == ',' ? ",," : (char[]){ *p, 0 });
        }
    }
}

char *block_create_describe(const BlockDriver *format, const BlockDriver *protocol,
                            json_object *options)
{
    GString *s = g_string_new(NULL);
    describe_table(s, options_of(format), NULL, options);
    describe_table(s, options_of(protocol), options_of(format), options);
    return g_string_free(s, FALSE);
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void help_table(GPtrArray *lines, const BlockCreateOption *table,
                       const BlockCreateOption *shown)
{
    static const char *const types[] = {
        [BLOCK_OPTION_STR] = "str",
        [BLOCK_OPTION_BOOL] = "bool (on/off)",
        [BLOCK_OPTION_NUMBER] = "num",
        [BLOCK_OPTION_SIZE] = "size",
    };
    for (; table && table->name; table++) {
        if (find_option(shown, table->name)) {
            continue;
        }
        g_autofree char *left = g_strdup_printf("%s=<%s>", table->name, types[table->type]);
        g_ptr_array_add(lines, g_strdup_printf("  %-22s - %s", left, table->help));
    }
}

char *block_option_help(const BlockCreateOption *format, const BlockCreateOption *protocol)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    help_table(lines, format, NULL);
    help_table(lines, protocol, format);
    g_ptr_array_sort(lines, compare_lines);
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < lines->len; i++) {
        g_string_append_printf(s, "%s\n", (char *)lines->pdata[i]);
    }
    g_ptr_array_free(lines, TRUE);
    return g_string_free(s, FALSE);
}

/* ---- the node that an image goes into ---- */

static char *creator_describe(void *user)
{
    return g_strdup("the creation of an image");
}

static void creator_ignore(void *user)
{
}

static bool creator_busy(void *user)
{
    return false;
}

static const BlockUserOps creator_ops = {
    .describe = creator_describe,
    .drain_begin = creator_ignore,
    .drain_end = creator_ignore,
    .busy = creator_busy,
};

BlockEdge *block_create_open(const BlockdevRef *ref, GError **error)
{
    BlockNode *node;
    if (ref->kind == BLOCKDEV_REF_KIND_REFERENCE) {
        node = block_lookup(ref->u.reference, error);
        node = node ? block_node_ref(node) : NULL;
    } else {
        node = block_node_open(&ref->u.definition, BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, error);
    }
    if (!node) {
        return NULL;
    }
    BlockEdge *edge =
        block_edge_attach(node, "root", &creator_ops, NULL,
                          BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE,
                          BLOCK_PERM_ALL & ~(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE), error);
    block_node_unref(node);
    return edge;
}

void block_create_close(BlockEdge *edge)
{
    block_edge_detach(edge);
}

bool block_create(const BlockdevCreateOptions *options, GError **error)
{
    const char *name = qapi_name_BlockdevDriver(options->driver);
    const BlockDriver *driver = block_driver_by_name(name);
    if (!driver || !driver->create) {
        return error_set(error, "Driver '%s' does not support blockdev-create", name);
    }
    return driver->create(options, error);
}

/* ---- by file name ---- */

/* Underscores in names become dashes. */
static void convert_names(json_object *options)
{
    g_autofree char *copy = g_strdup(json_object_to_json_string(options));
    json_object *old = json_tokener_parse(copy);
    json_object_object_foreach(old, key, value)
    {
        json_object_object_del(options, key);
        g_autofree char *name = g_strdelimit(g_strdup(key), "_", '-');
        json_object_object_add(options, name, json_object_get(value));
    }
    json_object_put(old);
}

/* options is taken. */
static bool create_with(const BlockDriver *driver, json_object *options, const char *key,
                        const char *value, GError **error)
{
    bool ok = true;
    if (driver->create_convert) {
        ok = driver->create_convert(options, error);
    } else {
        convert_names(options);
    }
    if (ok) {
        json_object_object_add(options, "driver", json_object_new_string(driver->name));
        json_object_object_add(options, key, json_object_new_string(value));
        g_autoptr(BlockdevCreateOptions) o =
            qapi_decode_BlockdevCreateOptions(options, QAPI_INPUT_KEYVAL, error);
        ok = o && driver->create(o, error);
    }
    json_object_put(options);
    return ok;
}

/* Those of options that are in wanted, and not in except. New object. */
static json_object *pick_options(json_object *options, const BlockCreateOption *wanted,
                                 const BlockCreateOption *except)
{
    json_object *result = json_object_new_object();
    json_object_object_foreach(options, key, value)
    {
        if (find_option(wanted, key) && !find_option(except, key)) {
            json_object_object_add(result, key,
                                   json_object_new_string(json_object_get_string(value)));
        }
    }
    return result;
}

static BlockNode *open_protocol(const char *filename, const BlockDriver *protocol, GError **error)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "driver", json_object_new_string(protocol->name));
    BlockNode *node = block_open_filename(filename, o, BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP, error);
    json_object_put(o);
    return node;
}

/* The file: made of size, or one that is there already (a device, a server's export). */
static bool create_protocol(const char *filename, const BlockDriver *protocol, json_object *options,
                            uint64_t size, GError **error)
{
    if (protocol->create) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, size);
        json_object_object_add(options, "size", json_object_new_string(text));
        g_autofree char *prefix = g_strdup_printf("%s:", protocol->name);
        return create_with(
            protocol, options, "filename",
            g_str_has_prefix(filename, prefix) ? filename + strlen(prefix) : filename, error);
    }
    json_object_put(options);
    GError *local = NULL;
    BlockNode *node = open_protocol(filename, protocol, &local);
    if (!node) {
        error_set(error,
                  "Protocol driver '%s' does not support image creation, and opening the image "
                  "failed: %s",
                  protocol->name, local->message);
        g_error_free(local);
        return false;
    }
    int64_t length = block_node_length(node);
    bool ok = length >= 0 && (uint64_t)length >= size;
    if (!ok) {
        error_set(error,
                  "Protocol driver '%s' does not support image creation, and '%s' is too "
                  "small",
                  protocol->name, filename);
    }
    block_node_unref(node);
    return ok;
}

static bool create_format(const char *filename, const BlockDriver *format,
                          const BlockDriver *protocol, json_object *options, GError **error)
{
    BlockNode *node = open_protocol(filename, protocol, error);
    if (!node) {
        json_object_put(options);
        return false;
    }
    bool ok = create_with(format, options, "file", node->name, error);
    if (!ok && protocol->remove) {
        protocol->remove(node);
    }
    block_node_unref(node);
    return ok;
}

bool block_create_image(const char *filename, const BlockDriver *format, json_object *options,
                        GError **error)
{
    const BlockDriver *protocol = block_filename_protocol(filename, error);
    if (!protocol) {
        return false;
    }
    if (!format->create_options) {
        return error_set(error, "Format driver '%s' does not support image creation", format->name);
    }
    if (!protocol->create_options && protocol->kind != BLOCK_PROTOCOL) {
        return error_set(error, "Protocol driver '%s' does not support image creation",
                         protocol->name);
    }
    json_object *v = json_object_object_get(options, "size");
    if (!v) {
        return error_set(error, "Image creation needs a size parameter");
    }
    uint64_t size = 0;
    if (!parse_uint64(json_object_get_string(v), &size, error)) {
        return false;
    }
    json_object *below = pick_options(options, protocol->create_options,
                                      format->create ? format->create_options : NULL);
    if (!create_protocol(filename, protocol, below, format->create ? 0 : size, error)) {
        return false;
    }
    if (!format->create) {
        return true;
    }
    return create_format(filename, format, protocol,
                         pick_options(options, format->create_options, NULL), error);
}
