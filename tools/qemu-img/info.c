/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img info. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "qapi/qapi.h"
#include "util/error.h"

/* One image of a chain. */
typedef struct Facts {
    BlockFront *front;
    BlockNode *node;
    BlockDriverInfo info;
    bool has_info;
    int64_t length, allocated; /* allocated < 0: not known */
    json_object *specific;     /* NULL: none */
    char *full_backing;        /* NULL: none */
    BlockSnapshot *snapshots;
    int n_snapshots;
} Facts;

static void facts_free(void *opaque)
{
    Facts *f = opaque;
    front_unref(f->front);
    if (f->specific) {
        json_object_put(f->specific);
    }
    g_free(f->full_backing);
    g_free(f->snapshots);
    g_free(f);
}

/* The front's reference is taken over. */
static Facts *facts_collect(BlockFront *front, GError **error)
{
    Facts *f = g_new0(Facts, 1);
    BlockNode *node = front_node(front);
    f->front = front;
    f->node = node;
    f->length = block_node_length(node);
    if (f->length < 0) {
        error_set_errno(error, -f->length, "Can't get image size '%s'", block_node_filename(node));
        facts_free(f);
        return NULL;
    }
    f->allocated = block_node_allocated_size(node);
    f->has_info = block_node_info(node, &f->info) == 0;
    f->specific = tool_specific(node);
    f->n_snapshots = MAX(block_snapshot_list(node, &f->snapshots), 0);
    if (f->info.backing_file) {
        f->full_backing = block_backing_filename(node, f->info.backing_file, NULL);
    }
    return f;
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

/* All that is to be shown, before anything is; NULL with a message. */
static GPtrArray *collect_chain(const InfoArgs *a, const char *filename)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(facts_free);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    ImgSource source = a->source;
    for (const char *name = filename; name;) {
        if (!g_hash_table_add(seen, (gpointer)name)) {
            error_report("Backing file '%s' creates an infinite loop.", name);
            return NULL;
        }
        BlockFront *front = img_open(&source, name, BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_IO);
        GError *error = NULL;
        Facts *f = front ? facts_collect(front, &error) : NULL;
        if (!f) {
            if (error) {
                error_report_gerror(error);
            }
            return NULL;
        }
        g_ptr_array_add(chain, f);
        name = a->chain ? f->full_backing : NULL;
        source.format = f->info.backing_format;
        source.image_opts = false;
    }
    return g_steal_pointer(&chain);
}

static int info(const InfoArgs *a, const char *filename)
{
    g_autoptr(GPtrArray) chain = collect_chain(a, filename);
    if (!chain) {
        return 1;
    }
    json_object *list = json_object_new_array();
    for (unsigned i = 0; i < chain->len; i++) {
        if (a->json) {
            json_object_array_add(list, facts_json(chain->pdata[i]));
        } else {
            fputs(i ? "\n" : "", stdout);
            print_human(chain->pdata[i]);
        }
    }
    if (a->json) {
        img_print_json(json_object_get(a->chain ? list : json_object_array_get_idx(list, 0)));
    }
    json_object_put(list);
    return 0;
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
        case IMG_OPT_OUTPUT:
            if (!img_parse_output(optarg, &a.json)) {
                return 1;
            }
            break;
        case IMG_OPT_BACKING_CHAIN:
            a.chain = true;
            break;
        default:
            if (!img_source_option(c, argv, &a.source, &status)) {
                return status;
            }
        }
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    return info(&a, argv[optind]);
}
