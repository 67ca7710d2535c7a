/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images as a whole: check, facts, measure, amend, snapshots. Contract: block/image.h. */
#include "util/osdep.h"
#include "block/image.h"

#include <stdarg.h>
#include "internal.h"
#include "util/error.h"

/* ---- checking ---- */

void block_check_report(BlockCheckResult *result, const char *fmt, ...)
{
    if (!result->report || result->lines > BLOCK_CHECK_LINES) {
        return;
    }
    if (result->lines++ == BLOCK_CHECK_LINES) {
        result->report(result->opaque, "... and more of it");
        return;
    }
    va_list args;
    va_start(args, fmt);
    g_autofree char *line = g_strdup_vprintf(fmt, args);
    va_end(args);
    result->report(result->opaque, line);
}

int block_node_check(BlockNode *node, BlockCheckResult *result, unsigned fix)
{
    if (!node->driver->check) {
        return -ENOTSUP;
    }
    if (fix && (node->read_only || node->inactive)) {
        return -EROFS;
    }
    block_drain_begin(node);
    int ret = node->driver->check(node, result, fix);
    block_drain_end(node);
    return ret;
}

/* ---- facts ---- */

int block_node_info(BlockNode *node, BlockDriverInfo *info)
{
    *info = (BlockDriverInfo){ 0 };
    node = block_skip_filters(node);
    return node->driver->info ? node->driver->info(node, info) : -ENOTSUP;
}

/* "PROTOCOL:..." and not a path with a colon somewhere behind its first '/'. */
static bool has_protocol(const char *name)
{
    size_t n = strcspn(name, ":/");
    return name[n] == ':';
}

char *block_combine_filenames(const char *image, const char *name, GError **error)
{
    if (name[0] == '/' || has_protocol(name)) {
        return g_strdup(name);
    }
    if (g_str_has_prefix(image, "json:")) {
        error_set(error, "Cannot use relative paths with '%s': its folder is not known", image);
        return NULL;
    }
    /* A protocol in front of the image's path stays there. */
    const char *slash = strrchr(image, '/');
    size_t protocol = has_protocol(image) ? strcspn(image, ":") + 1 : 0;
    size_t keep = slash ? (size_t)(slash - image) + 1 : 0;
    return g_strdup_printf("%.*s%s", (int)MAX(keep, protocol), image, name);
}

char *block_backing_filename(BlockNode *node, const char *name, GError **error)
{
    return block_combine_filenames(block_node_filename(node), name, error);
}

ImageInfoSpecific *block_node_info_specific(BlockNode *node)
{
    return node->driver->image_info ? node->driver->image_info(node) : NULL;
}

bool block_node_zero_init(BlockNode *node)
{
    if (node->backing) {
        return false;
    }
    if (node->driver->zero_init) {
        return node->driver->zero_init(node);
    }
    return node->driver->kind == BLOCK_FILTER && node->file &&
           block_node_zero_init(node->file->node);
}

bool block_measure(const BlockDriver *format, json_object *options, BlockNode *source,
                   BlockMeasure *measure, GError **error)
{
    *measure = (BlockMeasure){ 0 };
    if (!format->measure) {
        return error_set(error, "Block driver '%s' does not support size measurement",
                         format->name);
    }
    return format->measure(options, source, measure, error);
}

/* ---- changing ---- */

static bool check_writable(BlockNode *node, GError **error)
{
    return (!node->read_only && !node->inactive) ||
           error_set(error, "Image '%s' is read-only", block_node_filename(node));
}

bool block_node_amend(BlockNode *node, json_object *options, bool force, BlockProgress *progress,
                      void *opaque, GError **error)
{
    if (!node->driver->amend) {
        return error_set(error, "Block driver '%s' does not support option amendment",
                         node->driver->name);
    }
    if (!check_writable(node, error)) {
        return false;
    }
    block_drain_begin(node);
    bool ok = node->driver->amend(node, options, force, progress, opaque, error);
    block_drain_end(node);
    return ok;
}

bool block_node_make_empty(BlockNode *node, GError **error)
{
    if (!node->driver->make_empty) {
        return error_set(error, "Block driver '%s' cannot drop its data", node->driver->name);
    }
    if (!check_writable(node, error)) {
        return false;
    }
    block_drain_begin(node);
    bool ok = node->driver->make_empty(node, error);
    block_drain_end(node);
    return ok;
}

bool block_node_change_backing_file(BlockNode *node, const char *filename, const char *format,
                                    GError **error)
{
    int ret = -ENOTSUP;
    if (!check_writable(node, error)) {
        return false;
    }
    if (node->driver->change_backing_file) {
        block_drain_begin(node);
        ret = node->driver->change_backing_file(node, filename, format);
        block_drain_end(node);
    }
    return ret == 0 || error_set_errno(error, -ret, "Could not change the backing file to '%s'",
                                       filename ? filename : "");
}

/* ---- state of a VM ---- */

typedef struct VmstateRequest {
    BlockNode *node;
    bool write;
    uint64_t offset, bytes;
    void *buf;
    int ret;
} VmstateRequest;

static void coroutine_fn vmstate_entry(void *opaque)
{
    VmstateRequest *r = opaque;
    struct iovec iov = { r->buf, r->bytes };
    IoVec vec = { &iov, 1, 1, r->bytes };
    const BlockDriver *driver = r->node->driver;
    r->ret = r->write ? driver->vmstate_write(r->node, r->offset, r->bytes, &vec, 0)
                      : driver->vmstate_read(r->node, r->offset, r->bytes, &vec, 0);
}

static int vmstate_request(BlockNode *node, bool write, uint64_t offset, uint64_t bytes, void *buf)
{
    node = block_skip_filters(node);
    if (write ? !node->driver->vmstate_write : !node->driver->vmstate_read) {
        return -ENOTSUP;
    }
    if (write && (node->read_only || node->inactive)) {
        return -EPERM;
    }
    if (offset > BLOCK_MAX_LENGTH || bytes > BLOCK_MAX_LENGTH - offset) {
        return -EIO;
    }
    VmstateRequest r = { node, write, offset, bytes, buf, 0 };
    block_run_sync(vmstate_entry, &r);
    return r.ret;
}

int block_vmstate_read(BlockNode *node, uint64_t offset, uint64_t bytes, void *buf)
{
    return vmstate_request(node, false, offset, bytes, buf);
}

int block_vmstate_write(BlockNode *node, uint64_t offset, uint64_t bytes, const void *buf)
{
    return vmstate_request(node, true, offset, bytes, (void *)buf);
}

/* ---- snapshots ---- */

int block_snapshot_list(BlockNode *node, BlockSnapshot **list)
{
    *list = NULL;
    return node->driver->snapshot_list ? node->driver->snapshot_list(node, list) : -ENOTSUP;
}

bool block_snapshot_find(BlockNode *node, const char *id_or_name, BlockSnapshot *snapshot)
{
    g_autofree BlockSnapshot *list = NULL;
    int n = block_snapshot_list(node, &list);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            if (g_str_equal(pass ? list[i].name : list[i].id, id_or_name)) {
                *snapshot = list[i];
                return true;
            }
        }
    }
    return false;
}

static bool no_snapshots(BlockNode *node, GError **error)
{
    return error_set(error, "Block format '%s' does not support internal snapshots",
                     node->driver->name);
}

bool block_snapshot_create(BlockNode *node, BlockSnapshot *snapshot, GError **error)
{
    if (!node->driver->snapshot_create) {
        return no_snapshots(node, error);
    }
    if (!check_writable(node, error)) {
        return false;
    }
    block_drain_begin(node);
    bool ok = node->driver->snapshot_create(node, snapshot, error);
    block_drain_end(node);
    return ok;
}

bool block_snapshot_goto(BlockNode *node, const char *id_or_name, GError **error)
{
    BlockSnapshot snapshot;
    if (!node->driver->snapshot_goto) {
        return no_snapshots(node, error);
    }
    if (!check_writable(node, error)) {
        return false;
    }
    if (!block_snapshot_find(node, id_or_name, &snapshot)) {
        return error_set(error, "Device '%s' does not have the requested snapshot '%s'", node->name,
                         id_or_name);
    }
    block_drain_begin(node);
    bool ok = node->driver->snapshot_goto(node, snapshot.id, error);
    block_drain_end(node);
    block_node_length_changed(node);
    return ok;
}

bool block_snapshot_delete(BlockNode *node, const char *id, const char *name, GError **error)
{
    if (!node->driver->snapshot_delete) {
        return no_snapshots(node, error);
    }
    if (!check_writable(node, error)) {
        return false;
    }
    block_drain_begin(node);
    bool ok = node->driver->snapshot_delete(node, id, name, error);
    block_drain_end(node);
    return ok;
}

bool block_snapshot_load(BlockNode *node, const char *id_or_name, GError **error)
{
    BlockSnapshot snapshot;
    if (!node->driver->snapshot_load) {
        return no_snapshots(node, error);
    }
    if (!node->read_only) {
        return error_set(error, "Device is not readonly");
    }
    if (!block_snapshot_find(node, id_or_name, &snapshot)) {
        return error_set(error, "Can't find snapshot '%s'", id_or_name);
    }
    block_drain_begin(node);
    bool ok = node->driver->snapshot_load(node, snapshot.id, error);
    block_drain_end(node);
    block_node_length_changed(node);
    return ok;
}
