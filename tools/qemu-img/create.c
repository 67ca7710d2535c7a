/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img create, and the part of it that convert and dd have, too. */
#include "util/osdep.h"
#include "create.h"

#include <stdio.h>
#include "util/error.h"

/* ---- options ---- */

static const char *get(json_object *options, const char *key)
{
    json_object *v = json_object_object_get(options, key);
    return v ? json_object_get_string(v) : NULL;
}

static void set(json_object *options, const char *key, const char *value)
{
    json_object_object_add(options, key, json_object_new_string(value));
}

json_object *img_parse_create_options(const char *text)
{
    json_object *options = json_object_new_object();
    while (text && *text) {
        GString *element = g_string_new(NULL);
        for (; *text && (*text != ',' || text[1] == ','); text++) {
            g_string_append_c(element, *text);
            text += *text == ',';
        }
        text += *text == ',';
        char *equals = strchr(element->str, '=');
        if (equals) {
            *equals = '\0';
            set(options, element->str, equals + 1);
        } else if (g_str_has_prefix(element->str, "no") && element->len > 2) {
            set(options, element->str + 2, "off");
        } else if (element->len) {
            set(options, element->str, "on");
        }
        g_string_free(element, TRUE);
    }
    return options;
}

static bool has_option(const BlockDriver *driver, const char *name)
{
    for (const BlockCreateOption *o = driver->create_options; o && o->name; o++) {
        if (g_str_equal(o->name, name)) {
            return true;
        }
    }
    return false;
}

/* ---- the backing file ---- */

/* Its length; -1 with an error. format NULL: probed, and *format_found says what it is. */
static int64_t backing_length(const char *filename, const char *format, const char **format_found,
                              GError **error)
{
    json_object *options = json_object_new_object();
    if (format) {
        set(options, "driver", format);
    }
    /* A node that nobody uses takes no locks: the image may be that of a running machine. */
    BlockNode *node = block_open_filename(filename, options, 0, error);
    json_object_put(options);
    if (!node) {
        return -1;
    }
    int64_t length = block_node_length(node);
    *format_found = node->driver->name;
    block_node_unref(node);
    if (length < 0) {
        error_set_errno(error, -length, "Could not get size of '%s'", filename);
        return -1;
    }
    return length;
}

static bool check_names(const ImgCreate *c, const BlockDriver *driver, GError **error)
{
    if (c->backing_file && !has_option(driver, "backing_file")) {
        return error_set(error, "Backing file not supported for file format '%s'", c->format);
    }
    if (c->backing_format && !has_option(driver, "backing_fmt")) {
        return error_set(error, "Backing file format not supported for file format '%s'",
                         c->format);
    }
    return true;
}

/* Looks at the backing file that options name; its size is the image's if none was given. */
static bool resolve_backing(const ImgCreate *c, json_object *options, GError **error)
{
    const char *file = get(options, "backing_file"), *format = get(options, "backing_fmt");
    if (file && g_str_equal(file, c->filename)) {
        return error_set(error, "Error: Trying to create an image with the same filename as the "
                                "backing file");
    }
    if (!file || !file[0]) {
        return true;
    }
    if (c->unsafe) {
        if (!get(options, "size")) {
            return error_set(error, "Image creation needs a size parameter");
        }
        if (format && !block_driver_by_name(format)) {
            return error_set(error, "Unknown backing file format '%s'", format);
        }
        return format || error_set(error, "Backing file specified without backing format");
    }
    g_autofree char *full = block_combine_filenames(c->filename, file, error);
    const char *found = NULL;
    int64_t length = full ? backing_length(full, format, &found, error) : -1;
    if (length < 0) {
        if (full && error && *error) {
            char *text = g_strdup_printf("%s\nCould not open backing image.", (*error)->message);
            g_free((*error)->message);
            (*error)->message = text;
        }
        return false;
    }
    if (!format) {
        return error_set(error,
                         "Backing file specified without backing format\n"
                         "Detected format of %s.",
                         found);
    }
    if (!get(options, "size")) {
        g_autofree char *size = g_strdup_printf("%" PRId64, length);
        set(options, "size", size);
    }
    return true;
}

/* ---- creating ---- */

bool img_create_image(const ImgCreate *c, json_object *options, GError **error)
{
    const BlockDriver *driver = img_format(c->format, error);
    const BlockDriver *protocol = driver ? block_filename_protocol(c->filename, error) : NULL;
    if (!protocol) {
        return false;
    }
    if (!driver->create_options) {
        return error_set(error, "Format driver '%s' does not support image creation", driver->name);
    }
    if (c->size >= 0) {
        if (get(options, "size") && !c->size_wins) {
            return error_set(error, "The image size must be specified only once");
        }
        g_autofree char *size = g_strdup_printf("%" PRId64, c->size);
        set(options, "size", size);
    }
    if (!check_names(c, driver, error)) {
        return false;
    }
    if (c->backing_file) {
        set(options, "backing_file", c->backing_file);
    }
    if (c->backing_format) {
        set(options, "backing_fmt", c->backing_format);
    }
    if (!block_create_check(driver, protocol, options, error) ||
        (!c->skip_backing && !resolve_backing(c, options, error))) {
        return false;
    }
    if (!get(options, "size")) {
        return error_set(error, "Image creation needs a size parameter");
    }
    if (!c->quiet) {
        g_autofree char *text = block_create_describe(driver, protocol, options);
        printf("Formatting '%s', fmt=%s%s\n", c->filename, c->format, text);
        fflush(stdout);
    }
    /* The format of a protocol's own name is what the protocol has: raw. */
    return block_create_image(c->filename,
                              driver->kind == BLOCK_PROTOCOL ? block_driver_by_name("raw") : driver,
                              options, error);
}

static const struct option create_options[] = { IMG_LONG_HELP, IMG_LONG_OBJECT, { NULL } };

/* False: the command is over, with *status. */
static bool parse(ImgCreate *c, char **options, int argc, char **argv, int *status)
{
    int o;
    while ((o = getopt_long(argc, argv, ":F:b:f:ho:qu", create_options, NULL)) != -1) {
        switch (o) {
        case 'F':
            c->backing_format = optarg;
            break;
        case 'b':
            c->backing_file = optarg;
            break;
        case 'f':
            c->format = optarg;
            break;
        case 'o':
            if (!img_add_options(options, optarg)) {
                *status = 1;
                return false;
            }
            break;
        case 'q':
            c->quiet = true;
            break;
        case 'u':
            c->unsafe = true;
            break;
        default:
            if (!img_common_option(o, argv, status)) {
                return false;
            }
        }
    }
    return true;
}

static int create(ImgCreate *c, const char *options_text, int argc, char **argv)
{
    if (options_text && img_wants_help(options_text)) {
        return img_option_help(c->format, optind < argc ? argv[optind] : NULL);
    }
    if (optind >= argc) {
        return img_usage("Expecting image file name");
    }
    c->filename = argv[optind++];
    if (optind < argc && !img_parse_number("image size", argv[optind++], &c->size)) {
        return 1;
    }
    if (optind < argc) {
        return img_usage("Unexpected argument: %s", argv[optind]);
    }
    GError *error = NULL;
    json_object *options = img_parse_create_options(options_text);
    bool ok = img_create_image(c, options, &error);
    json_object_put(options);
    if (!ok) {
        error_prefix(&error, "%s: ", c->filename);
        return tool_fail(error);
    }
    return 0;
}

int img_create(int argc, char **argv)
{
    ImgCreate c = { .format = "raw", .size = -1 };
    g_autofree char *options = NULL;
    int status = 0;
    return parse(&c, &options, argc, argv, &status) ? create(&c, options, argc, argv) : status;
}
