/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children that an image names in its own header: backing files, data files. */
#include "util/osdep.h"
#include "block/image.h"

#include "internal.h"
#include "util/error.h"

/* Images behind images; more are a loop, or as good as one. */
#define CHAIN_MAX 200

/* What the image itself can be opened by; names are relative to its folder. */
static char *full_name(BlockNode *node, const char *name, GError **error)
{
    if (g_str_has_prefix(name, "json:")) {
        return g_strdup(name);
    }
    /* Filters between are in no folder. */
    return block_combine_filenames(block_node_filename(block_skip_filters(node->file->node)), name,
                                   error);
}

static bool attach(BlockNode *node, const char *name, BlockRole role, BlockNode *child,
                   GError **error)
{
    if (!child) {
        return false;
    }
    BlockEdge *edge = block_edge_new_child(node, name, role, child, error);
    if (!edge) {
        block_node_unref(child);
        return false;
    }
    if (role == BLOCK_ROLE_BACKING) {
        node->backing = edge;
    }
    return true;
}

/* Options are taken. */
static bool open_as(BlockNode *node, const char *name, BlockRole role, const char *filename,
                    json_object *options, unsigned flags, GError **error)
{
    static unsigned depth;
    BlockNode *child = NULL;
    if (depth >= CHAIN_MAX) {
        error_set(error, "The chain of backing files has more than %d images, or is a loop",
                  CHAIN_MAX);
    } else {
        depth++;
        child = block_open_filename(filename, options, flags, error);
        depth--;
    }
    json_object_put(options);
    return attach(node, name, role, child, error);
}

static unsigned backing_flags(unsigned flags)
{
    return (flags &
            (BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH | BLOCK_OPEN_INACTIVE | BLOCK_OPEN_NO_IO)) |
           BLOCK_OPEN_AUTO_RDONLY;
}

bool block_open_backing(BlockNode *node, const char *name, const char *format, unsigned flags,
                        GError **error)
{
    g_autofree char *filename = full_name(node, name, error);
    if (!filename) {
        error_prefix(error, "Could not open backing file: ");
        return false;
    }
    json_object *o = json_object_new_object();
    if (format && format[0]) {
        json_object_object_add(o, "driver", json_object_new_string(format));
    }
    json_object_object_add(o, "read-only", json_object_new_string("on"));
    if (node->force_share) {
        json_object_object_add(o, "force-share", json_object_new_string("on"));
    }
    bool ok =
        open_as(node, "backing", BLOCK_ROLE_BACKING, filename, o, backing_flags(flags), error);
    if (!ok) {
        error_prefix(error, "Could not open backing file: ");
    }
    return ok;
}

bool block_open_data_file(BlockNode *node, const char *name, unsigned flags, GError **error)
{
    g_autofree char *filename = full_name(node, name, error);
    json_object *o = json_object_new_object();
    json_object *full = filename ? block_resolve_protocol(filename, o, error) : NULL;
    if (!full) {
        return false;
    }
    bool ok = open_as(node, "data-file", BLOCK_ROLE_DATA, NULL, full, flags, error);
    if (!ok) {
        error_prefix(error, "Could not open external data file: ");
    }
    return ok;
}

bool block_open_backing_ref(BlockNode *node, const BlockdevRefOrNull *ref, unsigned flags,
                            GError **error)
{
    BlockdevRef r;
    if (ref->kind == BLOCKDEV_REF_OR_NULL_KIND_REFERENCE) {
        r.kind = BLOCKDEV_REF_KIND_REFERENCE;
        r.u.reference = ref->u.reference;
    } else {
        r.kind = BLOCKDEV_REF_KIND_DEFINITION;
        r.u.definition = ref->u.definition;
    }
    return block_open_child(node, "backing", BLOCK_ROLE_BACKING, &r, backing_flags(flags), error) !=
           NULL;
}
