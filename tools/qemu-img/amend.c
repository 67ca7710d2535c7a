/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img amend: changes options of an image that is there. */
#include "util/osdep.h"
#include "create.h"

#include <stdio.h>
#include "util/error.h"

typedef struct AmendArgs {
    ImgSource source;
    char *options;
    bool progress, quiet, force;
} AmendArgs;

static void show_progress(void *opaque, uint64_t done, uint64_t total)
{
    img_progress(total ? 100.0 * (double)done / (double)total : 0);
}

static int unsupported(const BlockDriver *driver)
{
    error_report("Format driver '%s' does not support option amendment", driver->name);
    return 1;
}

static int amend_help(const char *format, const BlockDriver *driver)
{
    GError *error = NULL;
    if (!driver) {
        driver = img_format(format, &error);
    }
    if (!driver) {
        return tool_fail(error);
    }
    if (!driver->amend) {
        return unsupported(driver);
    }
    g_autofree char *text = block_option_help(driver->amend_options, NULL);
    printf("Amend options for '%s':\n%s", driver->name, text);
    return 0;
}

static bool creation_only(const BlockDriver *driver, json_object *options)
{
    GError *error = NULL;
    bool known = block_create_check(driver, NULL, options, &error);
    g_clear_error(&error);
    return known;
}

static bool amend(const AmendArgs *a, BlockNode *node, json_object *options, GError **error)
{
    /* The options of amending are checked as those of creating are. */
    BlockDriver view = *node->driver;
    view.create_options = view.amend_options;
    if (!block_create_check(&view, NULL, options, error)) {
        if (creation_only(node->driver, options)) {
            char *text = g_strdup_printf("%s\nThis option is only supported for image creation",
                                         (*error)->message);
            g_free((*error)->message);
            (*error)->message = text;
        }
        return false;
    }
    BlockDriverInfo info;
    json_object *backing = json_object_object_get(options, "backing_file");
    block_node_info(node, &info);
    if (backing && g_strcmp0(json_object_get_string(backing), info.backing_file) != 0) {
        return error_set(error, "Cannot amend the backing file\n"
                                "You can use 'qemu-img rebase' instead.");
    }
    return block_node_amend(node, options, a->force, show_progress, NULL, error);
}

static int run(const AmendArgs *a, const char *filename)
{
    BlockFront *front = img_open(&a->source, filename, BLOCK_OPEN_RDWR);
    if (!front) {
        return 1;
    }
    BlockNode *node = front_node(front);
    int status = 1;
    if (img_wants_help(a->options)) {
        status = amend_help(NULL, node->driver);
    } else if (!node->driver->amend) {
        status = unsupported(node->driver);
    } else {
        GError *error = NULL;
        json_object *options = img_parse_create_options(a->options);
        img_progress(0);
        bool ok = amend(a, node, options, &error);
        json_object_put(options);
        int ret = ok ? front_flush(front) : 0;
        if (ret < 0) {
            ok = error_set_errno(&error, -ret, "The options could not be written");
        }
        if (ok) {
            img_progress(100);
            status = 0;
        } else {
            error_report_gerror(error);
        }
    }
    front_unref(front);
    return status;
}

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_OBJECT,
    IMG_LONG_IMAGE_OPTS,
    { "force", no_argument, NULL, IMG_OPT_FORCE },
    { NULL },
};

static bool parse(AmendArgs *a, int argc, char **argv, int *status)
{
    int c;
    *status = 1;
    while ((c = getopt_long(argc, argv, ":ho:f:t:pq", options, NULL)) != -1) {
        switch (c) {
        case 'o':
            if (!img_add_options(&a->options, optarg)) {
                return false;
            }
            break;
        case 't':
            a->source.cache = optarg;
            break;
        case 'p':
            a->progress = true;
            break;
        case 'q':
            a->quiet = true;
            break;
        case IMG_OPT_FORCE:
            a->force = true;
            break;
        default:
            if (!img_source_option(c, argv, &a->source, status)) {
                return false;
            }
        }
    }
    return true;
}

int img_amend(int argc, char **argv)
{
    AmendArgs a = { .options = NULL };
    int status;
    if (parse(&a, argc, argv, &status)) {
        if (!a.options) {
            status = img_usage("Must specify options (-o)");
        } else if (a.source.format && img_wants_help(a.options)) {
            status = amend_help(a.source.format, NULL);
        } else if (optind != argc - 1) {
            status = img_usage("Expecting one image file name");
        } else if (!img_check_cache("", a.source.cache)) {
            status = 1;
        } else {
            img_progress_begin(a.progress && !a.quiet);
            status = run(&a, argv[optind]);
            img_progress_end();
        }
    }
    g_free(a.options);
    return status;
}
