/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP: nodes made and removed, what nodes and drives look like, statistics, resize. Media:
 * medium.c. */
#include "util/osdep.h"
#include "block/backend.h"
#include "block/image.h"

#include "internal.h"
#include "qapi/commands-block-core.h"
#include "qapi/dispatch.h"
#include "util/clock.h"
#include "util/error.h"

QMP_REGISTER(block_core)

/* ---- nodes ---- */

bool qmp_blockdev_add(const BlockdevOptions *arg, GError **error)
{
    return block_add_node(arg, error);
}

bool qmp_blockdev_del(const char *node_name, GError **error)
{
    BlockNode *node = block_node_find(node_name);
    if (!node) {
        return error_set(error, "Failed to find node with node-name='%s'", node_name);
    }
    for (GList *l = node->parents.head; l; l = l->next) {
        if (!((BlockEdge *)l->data)->parent) {
            return error_set(error, "Node %s is in use", node_name);
        }
    }
    if (!node->monitor_owned) {
        return error_set(error, "Node %s is not owned by the monitor", node_name);
    }
    if (node->refs > 1) {
        return error_set(error, "Block device %s is in use", node_name);
    }
    node->monitor_owned = false;
    block_node_unref(node);
    return true;
}

/* ---- what they look like ---- */

static const BlockNode *bottom(const BlockNode *node)
{
    while (node->file) {
        node = node->file->node;
    }
    return node;
}

static void add_snapshots(BlockNode *node, ImageInfo *info)
{
    BlockSnapshot *list;
    int n = block_snapshot_list(node, &list);
    if (n <= 0) {
        g_free(list);
        return;
    }
    info->snapshots = g_new0(SnapshotInfoArray, 1);
    for (int i = 0; i < n; i++) {
        SnapshotInfo *s = g_new0(SnapshotInfo, 1);
        s->id = g_strdup(list[i].id);
        s->name = g_strdup(list[i].name);
        s->vm_state_size = list[i].vm_state_size;
        s->date_sec = list[i].date_sec;
        s->date_nsec = list[i].date_nsec;
        s->vm_clock_sec = list[i].vm_clock_nsec / NS_PER_SEC;
        s->vm_clock_nsec = list[i].vm_clock_nsec % NS_PER_SEC;
        s->has_icount = list[i].icount >= 0;
        s->icount = list[i].icount;
        QAPI_ARRAY_ADD(info->snapshots, s);
    }
    g_free(list);
}

/* What a format tells about itself. */
static void add_format_facts(BlockNode *node, ImageInfo *info)
{
    BlockDriverInfo facts;
    if (node->driver->kind != BLOCK_FORMAT || block_node_info(node, &facts) < 0) {
        return;
    }
    info->has_cluster_size = facts.cluster_size != 0;
    info->cluster_size = facts.cluster_size;
    info->has_dirty_flag = true;
    info->dirty_flag = facts.dirty;
    info->backing_filename = g_strdup(facts.backing_file);
    info->backing_filename_format = g_strdup(facts.backing_format);
    if (facts.backing_file) {
        info->full_backing_filename = block_backing_filename(node, facts.backing_file, NULL);
    }
    add_snapshots(node, info);
}

static ImageInfo *image_info(BlockNode *node, bool chain)
{
    ImageInfo *info = g_new0(ImageInfo, 1);
    int64_t length = block_node_length(node), allocated = block_node_allocated_size(node);
    info->filename = g_strdup(block_node_filename(node));
    info->format = g_strdup(node->driver->name);
    info->virtual_size = MAX(length, 0);
    info->has_actual_size = allocated >= 0;
    info->actual_size = MAX(allocated, 0);
    info->has_dirty_flag = bottom(node)->driver->image_info != NULL;
    info->format_specific = node->driver->image_info ? node->driver->image_info(node) : NULL;
    add_format_facts(node, info);
    BlockNode *behind = chain ? block_backing_node(node) : NULL;
    if (behind) {
        info->backing_image = image_info(behind, true);
    }
    return info;
}

static BlockDeviceInfo *node_info(BlockNode *node, bool writeback, bool chain)
{
    BlockDeviceInfo *info = g_new0(BlockDeviceInfo, 1);
    info->file = g_strdup(block_node_filename(node));
    info->node_name = g_strdup(node->name);
    info->ro = node->read_only;
    info->drv = g_strdup(node->driver->name);
    info->active = !node->inactive;
    info->encrypted = node->encrypted;
    info->detect_zeroes = node->detect_zeroes;
    for (BlockNode *n = node; n && n->backing; n = n->backing->node) {
        info->backing_file_depth++;
    }
    info->image = image_info(node, chain);
    info->backing_file = node->backing ? g_strdup(block_node_filename(node->backing->node)) : NULL;
    info->cache = g_new0(BlockdevCacheInfo, 1);
    info->cache->writeback = writeback;
    info->cache->direct = node->direct;
    info->cache->no_flush = node->no_flush;
    return info;
}

static BlockInfo *front_info(BlockFront *front)
{
    BlockInfo *info = g_new0(BlockInfo, 1);
    info->device = g_strdup(front->name);
    if (front->has_device) {
        info->qdev = g_strdup(front->conf.id ? front->conf.id : front->conf.path);
    }
    info->type = g_strdup("unknown");
    info->removable = front_is_removable(front);
    info->locked = front_medium_locked(front);
    info->has_tray_open = front_tray_is_open(front, &info->tray_open);
    if (front->root) {
        info->inserted = node_info(front->root->node, front->write_cache, true);
        front_describe_throttle(front, info->inserted);
    }
    info->has_io_status = front->has_device && front->conf.handles_errors;
    info->io_status = front->iostatus;
    return info;
}

bool qmp_query_block(BlockInfoArray **ret, GError **error)
{
    *ret = g_new0(BlockInfoArray, 1);
    block_hold();
    for (BlockFront *f = front_next(NULL); f; f = front_next(f)) {
        QAPI_ARRAY_ADD(*ret, front_info(f));
    }
    block_release();
    return true;
}

bool qmp_query_named_block_nodes(bool has_flat, bool flat, BlockDeviceInfoArray **ret,
                                 GError **error)
{
    *ret = g_new0(BlockDeviceInfoArray, 1);
    block_hold();
    for (GList *l = block_nodes() ? g_list_last(block_nodes()) : NULL; l; l = l->prev) {
        QAPI_ARRAY_ADD(*ret, node_info(l->data, true, !(has_flat && flat)));
    }
    block_release();
    return true;
}

/* ---- statistics ---- */

static BlockDeviceStats *device_stats(const BlockFront *front)
{
    BlockDeviceStats *s = g_new0(BlockDeviceStats, 1);
    s->timed_stats = g_new0(BlockDeviceTimedStatsArray, 1);
    if (!front) {
        return s;
    }
    const struct FrontStats *f = &front->stats;
    s->rd_bytes = f->bytes[BLOCK_STAT_READ];
    s->wr_bytes = f->bytes[BLOCK_STAT_WRITE];
    s->unmap_bytes = f->bytes[BLOCK_STAT_UNMAP];
    s->rd_operations = f->ops[BLOCK_STAT_READ];
    s->wr_operations = f->ops[BLOCK_STAT_WRITE];
    s->flush_operations = f->ops[BLOCK_STAT_FLUSH];
    s->unmap_operations = f->ops[BLOCK_STAT_UNMAP];
    s->rd_total_time_ns = f->time_ns[BLOCK_STAT_READ];
    s->wr_total_time_ns = f->time_ns[BLOCK_STAT_WRITE];
    s->flush_total_time_ns = f->time_ns[BLOCK_STAT_FLUSH];
    s->unmap_total_time_ns = f->time_ns[BLOCK_STAT_UNMAP];
    s->failed_rd_operations = f->failed[BLOCK_STAT_READ];
    s->failed_wr_operations = f->failed[BLOCK_STAT_WRITE];
    s->failed_flush_operations = f->failed[BLOCK_STAT_FLUSH];
    s->failed_unmap_operations = f->failed[BLOCK_STAT_UNMAP];
    s->invalid_rd_operations = f->invalid[BLOCK_STAT_READ];
    s->invalid_wr_operations = f->invalid[BLOCK_STAT_WRITE];
    s->invalid_flush_operations = f->invalid[BLOCK_STAT_FLUSH];
    s->invalid_unmap_operations = f->invalid[BLOCK_STAT_UNMAP];
    s->account_invalid = s->account_failed = true;
    s->has_idle_time_ns = f->last_access_ns != 0;
    if (s->has_idle_time_ns) {
        s->idle_time_ns = clock_get_ns(CLOCK_REALTIME_NS) - f->last_access_ns;
    }
    return s;
}

/* The numbers of a node, and of its files below. */
static BlockStats *node_stats(BlockNode *node, const BlockFront *front)
{
    BlockStats *s = g_new0(BlockStats, 1);
    s->stats = device_stats(front);
    if (node) {
        s->node_name = g_strdup(node->name);
        s->stats->wr_highest_offset = node->wr_highest_offset;
        s->driver_specific = node->driver->stats ? node->driver->stats(node) : NULL;
        s->parent = node->file ? node_stats(node->file->node, NULL) : NULL;
        s->backing = node->backing ? node_stats(node->backing->node, NULL) : NULL;
    }
    return s;
}

static void add_stats(bool of_nodes, BlockStatsArray **ret)
{
    *ret = g_new0(BlockStatsArray, 1);
    if (of_nodes) {
        for (GList *l = block_nodes(); l; l = l->next) {
            QAPI_ARRAY_ADD(*ret, node_stats(l->data, NULL));
        }
        return;
    }
    for (BlockFront *f = front_next(NULL); f; f = front_next(f)) {
        BlockStats *s = node_stats(front_node(f), f);
        s->device = g_strdup(f->name);
        if (f->has_device) {
            s->qdev = g_strdup(f->conf.id ? f->conf.id : f->conf.path);
        }
        QAPI_ARRAY_ADD(*ret, s);
    }
}

bool qmp_query_blockstats(bool has_query_nodes, bool query_nodes, BlockStatsArray **ret,
                          GError **error)
{
    block_hold();
    add_stats(has_query_nodes && query_nodes, ret);
    block_release();
    return true;
}

/* ---- resize ---- */

typedef struct Resize {
    BlockEdge *edge;
    uint64_t size;
    GError **error;
    bool ok;
} Resize;

static void coroutine_fn resize_entry(void *opaque)
{
    Resize *r = opaque;
    r->ok = block_co_truncate(r->edge, r->size, false, PREALLOC_MODE_OFF, r->error) == 0;
}

static char *resize_describe(void *user)
{
    return g_strdup("block_resize");
}

static void resize_nothing(void *user)
{
}

static bool resize_busy(void *user)
{
    return false;
}

static const BlockUserOps resize_user = {
    .describe = resize_describe,
    .drain_begin = resize_nothing,
    .drain_end = resize_nothing,
    .busy = resize_busy,
};

bool qmp_block_resize(const char *device, const char *node_name, int64_t size, GError **error)
{
    BlockNode *node = NULL;
    BlockFront *front = device ? front_by_name(device) : NULL;
    if (front) {
        node = front_node(front);
        if (!node) {
            return error_set(error, "Device '%s' has no medium", device);
        }
    } else if (node_name) {
        node = block_node_find(node_name);
    }
    if (!node) {
        return error_set(error, "Cannot find device='%s' nor node-name='%s'", device ? device : "",
                         node_name ? node_name : "");
    }
    if (size < 0) {
        return error_set(error, "Parameter 'size' expects a >0 size");
    }
    if (node->inactive) {
        return error_set(error, "Node '%s' is inactive", node->name);
    }
    block_drain_begin(node);
    Resize r = { .size = size, .error = error };
    r.edge = block_edge_attach(node, "root", &resize_user, NULL, BLOCK_PERM_RESIZE, BLOCK_PERM_ALL,
                               error);
    if (r.edge) {
        block_run_sync(resize_entry, &r);
        block_edge_detach(r.edge);
    }
    block_drain_end(node);
    return r.ok;
}
