/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img info. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "qapi/qapi.h"
#include "util/error.h"

/* One image of a chain. */
typedef struct Facts {
    BlockNode *node;
    BlockDriverInfo info;
    bool has_info;
    int64_t length, allocated; /* allocated < 0: not known */
    json_object *specific;     /* NULL: none */
    char *full_backing;        /* NULL: none */
    BlockSnapshot *snapshots;
    int n_snapshots;
} Facts;

static void facts_free(Facts *f)
{
    if (f->specific) {
        json_object_put(f->specific);
    }
    g_free(f->full_backing);
    g_free(f->snapshots);
}

static bool facts_collect(Facts *f, BlockNode *node, GError **error)
{
    *f = (Facts){ .node = node };
    f->length = block_node_length(node);
    if (f->length < 0) {
        return error_set_errno(error, -f->length, "Can't get image size '%s'",
                               block_node_filename(node));
    }
    f->allocated = block_node_allocated_size(node);
    f->has_info = block_node_info(node, &f->info) == 0;
    g_autoptr(ImageInfoSpecific) specific = block_node_info_specific(node);
    if (specific) {
        f->specific = qapi_encode_ImageInfoSpecific(specific);
        json_object *data = json_object_object_get(f->specific, "data");
        if (!data || json_object_object_length(data) == 0) {
            json_object_put(f->specific);
            f->specific = NULL;
        }
    }
    f->n_snapshots = MAX(block_snapshot_list(node, &f->snapshots), 0);
    if (f->info.backing_file) {
        f->full_backing = block_backing_filename(node, f->info.backing_file, NULL);
    }
    return true;
}

/* ---- for people ---- */

static void print_human(const Facts *f)
{
    const BlockDriverInfo *info = &f->info;
    g_autofree char *length = tool_img_size(f->length);
    g_autofree char *disk =
        f->allocated < 0 ? g_strdup("unavailable") : tool_img_size(f->allocated);
    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRId64 " bytes)\ndisk size: %s\n",
           block_node_filename(f->node), f->node->driver->name, length, f->length, disk);
    if (f->node->encrypted) {
        printf("encrypted: yes\n");
    }
    if (info->cluster_size) {
        printf("cluster_size: %" PRIu32 "\n", info->cluster_size);
    }
    if (info->dirty) {
        printf("cleanly shut down: no\n");
    }
    if (info->backing_file) {
        printf("backing file: %s", info->backing_file);
        if (!f->full_backing) {
            printf(" (cannot determine actual path)");
        } else if (!g_str_equal(info->backing_file, f->full_backing)) {
            printf(" (actual path: %s)", f->full_backing);
        }
        putchar('\n');
        if (info->backing_format) {
            printf("backing file format: %s\n", info->backing_format);
        }
    }
    img_print_snapshots(f->node);
    if (f->specific) {
        printf("Format specific information:\n");
        tool_print_value(json_object_object_get(f->specific, "data"), 1);
    }
}

/* ---- for programs ---- */

static void add_text(json_object *o, const char *key, const char *text)
{
    if (text) {
        json_object_object_add(o, key, qapi_json_new_text(text));
    }
}

/* In stock's order, which follows no rule. */
static json_object *facts_json(const Facts *f)
{
    const BlockDriverInfo *info = &f->info;
    json_object *o = json_object_new_object();
    if (f->n_snapshots) {
        json_object *list = json_object_new_array();
        for (int i = 0; i < f->n_snapshots; i++) {
            json_object_array_add(list, img_snapshot_json(&f->snapshots[i]));
        }
        json_object_object_add(o, "snapshots", list);
    }
    add_text(o, "backing-filename-format", info->backing_format);
    json_object_object_add(o, "virtual-size", json_object_new_int64(f->length));
    add_text(o, "filename", block_node_filename(f->node));
    if (info->cluster_size) {
        json_object_object_add(o, "cluster-size", json_object_new_int64(info->cluster_size));
    }
    add_text(o, "format", f->node->driver->name);
    if (f->allocated >= 0) {
        json_object_object_add(o, "actual-size", json_object_new_int64(f->allocated));
    }
    if (f->node->encrypted) {
        json_object_object_add(o, "encrypted", json_object_new_boolean(true));
    }
    if (f->specific) {
        json_object_object_add(o, "format-specific", json_object_get(f->specific));
    }
    add_text(o, "full-backing-filename", info->backing_file ? f->full_backing : NULL);
    add_text(o, "backing-filename", info->backing_file);
    if (f->has_info) {
        json_object_object_add(o, "dirty-flag", json_object_new_boolean(info->dirty));
    }
    return o;
}

/* ---- the command ---- */

typedef struct InfoArgs {
    ImgSource source;
    bool json, chain;
} InfoArgs;

/* One image; *next is the name and *next_format the format of what is behind it (new strings), or NULL. */
static bool show_image(const InfoArgs *a, const ImgSource *source, const char *filename,
                       json_object *list, unsigned index, char **next, char **next_format)
{
    BlockFront *front = img_open(source, filename, BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_IO);
    if (!front) {
        return false;
    }
    Facts f;
    GError *error = NULL;
    bool ok = facts_collect(&f, front_node(front), &error);
    if (!ok) {
        error_report_gerror(error);
    } else {
        if (a->json) {
            json_object_array_add(list, facts_json(&f));
        } else {
            fputs(index ? "\n" : "", stdout);
            print_human(&f);
        }
        *next = g_strdup(f.full_backing);
        *next_format = g_strdup(f.info.backing_format);
    }
    facts_free(&f);
    front_unref(front);
    return ok;
}

static int info_chain(const InfoArgs *a, const char *filename)
{
    json_object *list = json_object_new_array();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *name = g_strdup(filename);
    g_autofree char *format = g_strdup(a->source.format);
    ImgSource source = a->source;
    bool ok = true;
    for (unsigned i = 0; ok && name; i++) {
        char *next = NULL, *next_format = NULL;
        if (!g_hash_table_add(seen, g_strdup(name))) {
            error_report("Backing file '%s' creates an infinite loop.", name);
            ok = false;
            break;
        }
        source.format = format;
        ok = show_image(a, &source, name, list, i, &next, &next_format);
        g_free(name);
        g_free(format);
        name = a->chain ? next : NULL;
        format = next_format;
        if (!a->chain) {
            g_free(next);
        }
        source.image_opts = false;
    }
    if (ok && a->json) {
        img_print_json(json_object_get(a->chain ? list : json_object_array_get_idx(list, 0)));
    }
    json_object_put(list);
    return ok ? 0 : 1;
}

static const struct option options[] = {
    IMG_LONG_HELP,
    IMG_LONG_FORMAT,
    IMG_LONG_OUTPUT,
    IMG_LONG_OBJECT,
    IMG_LONG_IMAGE_OPTS,
    IMG_LONG_FORCE_SHARE,
    { "backing-chain", no_argument, NULL, IMG_OPT_BACKING_CHAIN },
    { NULL },
};

int img_info(int argc, char **argv)
{
    InfoArgs a = { .json = false };
    int c, status = 0;
    while ((c = getopt_long(argc, argv, ":hf:U", options, NULL)) != -1) {
        switch (c) {
        case 'f':
            a.source.format = optarg;
            break;
        case 'U':
            a.source.force_share = true;
            break;
        case IMG_OPT_OUTPUT:
            if (!img_parse_output(optarg, &a.json)) {
                return 1;
            }
            break;
        case IMG_OPT_BACKING_CHAIN:
            a.chain = true;
            break;
        case IMG_OPT_IMAGE_OPTS:
            a.source.image_opts = true;
            break;
        default:
            if (!img_common_option(c, argv, &status)) {
                return status;
            }
        }
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    return info_chain(&a, argv[optind]);
}
