/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -drive snapshot=on: a temporary image on top, which goes with its node; copy-on-read=on: a filter on top. */
#include "util/osdep.h"
#include "block/image.h"

#include <fcntl.h>

#include "internal.h"
#include "util/error.h"

static bool make_image(const char *path, uint64_t size, GError **error)
{
    g_autofree char *text = g_strdup_printf("%" PRIu64, size);
    json_object *o = json_object_new_object();
    json_object_object_add(o, "size", json_object_new_string(text));
    bool ok = block_create_image(path, block_driver_by_name("qcow2"), o, error);
    json_object_put(o);
    return ok;
}

static BlockNode *open_image(const char *path, const BlockNode *base, unsigned flags,
                             GError **error)
{
    json_object *o = json_object_new_object(), *file = json_object_new_object();
    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename", json_object_new_string(path));
    json_object_object_add(o, "driver", json_object_new_string("qcow2"));
    json_object_object_add(o, "file", file);
    json_object_object_add(o, "backing", json_object_new_string(base->name));
    BlockNode *node = block_open_filename(NULL, o, flags, error);
    json_object_put(o);
    return node;
}

BlockNode *block_open_temporary(BlockNode *base, unsigned flags, GError **error)
{
    int64_t size = block_node_length(base);
    if (size < 0) {
        error_set_errno(error, -size, "Could not get image size");
        return NULL;
    }
    const char *folder = g_getenv("TMPDIR");
    g_autofree char *path = g_strdup_printf("%s/vl.XXXXXX", folder ? folder : "/var/tmp");
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_set_errno(error, errno, "Could not create temporary file '%s'", path);
        return NULL;
    }
    close(fd);
    BlockNode *node = NULL;
    if (make_image(path, size, error)) {
        /* Nobody will read it after a crash: no flush is worth its time. */
        node =
            open_image(path, base,
                       (flags & ~BLOCK_OPEN_DIRECT) | BLOCK_OPEN_RDWR | BLOCK_OPEN_NO_FLUSH, error);
    }
    unlink(path);
    return node;
}

BlockNode *block_open_cor(BlockNode *base, unsigned flags, GError **error)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "driver", json_object_new_string("copy-on-read"));
    json_object_object_add(o, "file", json_object_new_string(base->name));
    BlockNode *node = block_open_filename(NULL, o, flags, error);
    json_object_put(o);
    return node;
}
