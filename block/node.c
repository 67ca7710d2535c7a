/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block nodes: names, opening from QAPI options, closing, length, how a node is shown. Contract:
 * block/block.h. */
#include "util/osdep.h"
#include "block/block.h"

#include "internal.h"
#include "qapi/qapi.h"
#include "util/error.h"
#include "util/keyval.h"

static GQueue nodes = G_QUEUE_INIT;
static GSList *drivers;

/* ---- drivers ---- */

void block_driver_register(const BlockDriver *driver)
{
    drivers = g_slist_prepend(drivers, (gpointer)driver);
}

const BlockDriver *block_driver_by_name(const char *name)
{
    for (GSList *l = drivers; l; l = l->next) {
        const BlockDriver *d = l->data;
        if (g_str_equal(d->name, name)) {
            return d;
        }
    }
    return NULL;
}

const BlockDriver *block_driver_by_protocol(const char *protocol)
{
    size_t n = strcspn(protocol, "+");
    for (GSList *l = drivers; l; l = l->next) {
        const BlockDriver *d = l->data;
        /* "nbd+unix" is nbd. */
        if (d->protocol && strlen(d->protocol) == n && strncmp(d->protocol, protocol, n) == 0) {
            return d;
        }
    }
    return NULL;
}

void block_driver_for_each(void (*func)(const BlockDriver *driver, void *opaque), void *opaque)
{
    for (GSList *l = drivers; l; l = l->next) {
        func(l->data, opaque);
    }
}

/* ---- names ---- */

GList *block_nodes(void)
{
    return nodes.head;
}

bool block_have_nodes(void)
{
    return nodes.length != 0;
}

BlockNode *block_node_find(const char *name)
{
    for (GList *l = nodes.head; l; l = l->next) {
        BlockNode *node = l->data;
        if (g_str_equal(node->name, name)) {
            return node;
        }
    }
    return NULL;
}

BlockNode *block_lookup(const char *name, GError **error)
{
    BlockFront *front = front_by_name(name);
    if (front) {
        BlockNode *root = front_node(front);
        if (!root) {
            error_set(error, "Device '%s' has no medium", name);
        }
        return root;
    }
    BlockNode *node = block_node_find(name);
    if (!node || node->opening) {
        node = NULL;
        error_set(error, "Cannot find device='%s' nor node-name='%s'", name, name);
    }
    return node;
}

/* Two digits of noise keep clients from relying on such a name. */
static void make_up_name(BlockNode *node)
{
    static unsigned counter;
    node->implicit_name = true;
    do {
        g_snprintf(node->name, sizeof(node->name), "#block%u%02d", counter++,
                   g_random_int_range(0, 100));
    } while (block_node_find(node->name) != node);
}

bool block_node_set_name(BlockNode *node, const char *name, GError **error)
{
    if (!name) {
        make_up_name(node);
        return true;
    }
    if (!id_wellformed(name)) {
        return error_set(error, "Invalid node-name: '%s'", name);
    }
    if (front_by_name(name)) {
        return error_set(error, "node-name=%s is conflicting with a device id", name);
    }
    if (block_node_find(name)) {
        return error_set(error, "Duplicate nodes with node-name='%s'", name);
    }
    if (strlen(name) > BLOCK_NODE_NAME_MAX) {
        return error_set(error, "Node name too long");
    }
    g_strlcpy(node->name, name, sizeof(node->name));
    return true;
}

/* ---- life ---- */

BlockNode *block_node_new(const BlockDriver *driver)
{
    BlockNode *node = g_new0(BlockNode, 1);
    node->driver = driver;
    node->state = driver->state_size ? g_malloc0(driver->state_size) : NULL;
    node->refs = 1;
    node->link.data = node;
    node->length = -1;
    node->opening = true;
    g_queue_init(&node->children);
    g_queue_init(&node->parents);
    block_node_init_io(node);
    g_queue_push_tail_link(&nodes, &node->link);
    return node;
}

void block_node_free(BlockNode *node)
{
    g_assert(g_queue_is_empty(&node->parents) && node->in_flight == 0);
    while (!g_queue_is_empty(&node->children)) {
        block_edge_detach(node->children.tail->data);
    }
    g_queue_unlink(&nodes, &node->link);
    if (node->options) {
        json_object_put(node->options);
    }
    g_free(node->filename);
    g_free(node->state);
    g_free(node);
}

BlockNode *block_node_ref(BlockNode *node)
{
    node->refs++;
    return node;
}

void block_node_unref(BlockNode *node)
{
    if (!node || --node->refs > 0) {
        return;
    }
    node->refs = 1; /* the flush below takes and drops none, but what runs meanwhile may look */
    block_drain_begin(node);
    if (!node->read_only && !node->inactive) {
        int ret = block_node_flush(node);
        if (ret < 0) {
            warn_report("%s: flush at close: %s", block_node_filename(node), g_strerror(-ret));
        }
    }
    block_drain_end(node);
    if (node->driver->close) {
        node->driver->close(node);
    }
    block_node_free(node);
}

/* ---- opening ---- */

/* Options that all drivers have, and what a child inherits from its parent by flags. */
static bool apply_options(BlockNode *node, const BlockdevOptions *o, unsigned flags, GError **error)
{
    node->read_only = o->has_read_only ? o->read_only : !(flags & BLOCK_OPEN_RDWR);
    node->auto_read_only =
        o->has_auto_read_only ? o->auto_read_only : !!(flags & BLOCK_OPEN_AUTO_RDONLY);
    node->direct =
        o->cache && o->cache->has_direct ? o->cache->direct : !!(flags & BLOCK_OPEN_DIRECT);
    node->no_flush =
        o->cache && o->cache->has_no_flush ? o->cache->no_flush : !!(flags & BLOCK_OPEN_NO_FLUSH);
    node->discard_unmap = o->has_discard ? o->discard == BLOCKDEV_DISCARD_OPTIONS_UNMAP
                                         : !!(flags & BLOCK_OPEN_UNMAP);
    node->detect_zeroes =
        o->has_detect_zeroes ? o->detect_zeroes : BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    node->force_share = o->has_force_share && o->force_share;
    node->inactive = !!(flags & BLOCK_OPEN_INACTIVE);
    if (node->force_share && !node->read_only) {
        return error_set(error, "force-share=on can only be used with read-only images");
    }
    if (node->detect_zeroes == BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP && !node->discard_unmap) {
        return error_set(error,
                         "setting detect-zeroes to unmap is not allowed without setting discard "
                         "operation to unmap");
    }
    return true;
}

static unsigned child_flags(const BlockNode *node, unsigned flags)
{
    unsigned f = flags & (BLOCK_OPEN_NO_IO | BLOCK_OPEN_CHECK | BLOCK_OPEN_NO_BACKING);
    f |= node->read_only ? 0 : BLOCK_OPEN_RDWR;
    f |= node->auto_read_only ? BLOCK_OPEN_AUTO_RDONLY : 0;
    f |= node->direct ? BLOCK_OPEN_DIRECT : 0;
    f |= node->no_flush ? BLOCK_OPEN_NO_FLUSH : 0;
    f |= node->inactive ? BLOCK_OPEN_INACTIVE : 0;
    /* The parent decides whether a discard comes this far. */
    f |= BLOCK_OPEN_UNMAP;
    return f;
}

void block_node_refresh_limits(BlockNode *node)
{
    BlockLimits *lim = &node->limits;
    *lim = (BlockLimits){ .request_align = 1, .memory_align = 1 };
    for (GList *l = node->children.head; l; l = l->next) {
        BlockEdge *edge = l->data;
        const BlockLimits *c = &edge->node->limits;
        if (edge->role == BLOCK_ROLE_BACKING) {
            continue;
        }
        /* Padding and splitting are done where they are needed; what is passed on are
         * preferences. */
        lim->memory_align = MAX(lim->memory_align, c->memory_align);
        lim->opt_transfer = MAX(lim->opt_transfer, c->opt_transfer);
    }
    if (node->driver->refresh_limits) {
        node->driver->refresh_limits(node);
    }
    g_assert(lim->request_align && (lim->request_align & (lim->request_align - 1)) == 0);
    g_assert(lim->request_align <= BLOCK_MAX_ALIGN);
    for (GList *l = node->parents.head; l; l = l->next) {
        BlockEdge *edge = l->data;
        if (edge->parent) {
            block_node_refresh_limits(edge->parent);
        }
    }
}

static bool node_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                      GError **error)
{
    if (!block_node_set_name(node, options->node_name, error) ||
        !apply_options(node, options, flags, error)) {
        return false;
    }
    node->options = qapi_encode_BlockdevOptions(options);
    json_object_object_del(node->options, "node-name");
    if (!node->driver->open(node, options, child_flags(node, flags), error)) {
        return false;
    }
    block_node_refresh_limits(node);
    int64_t length = block_node_length(node);
    if (length < 0) {
        error_set_errno(error, -length, "Could not get the size of '%s'",
                        block_node_filename(node));
    } else if (block_node_refresh_perms(node, error)) {
        return true;
    }
    if (node->driver->close) {
        node->driver->close(node);
    }
    return false;
}

BlockNode *block_node_open(const BlockdevOptions *options, unsigned flags, GError **error)
{
    const char *name = qapi_name_BlockdevDriver(options->driver);
    const BlockDriver *driver = block_driver_by_name(name);
    if (!driver) {
        error_set(error, "Unknown driver '%s'", name);
        return NULL;
    }
    BlockNode *node = block_node_new(driver);
    if (!node_open(node, options, flags, error)) {
        block_node_free(node);
        return NULL;
    }
    node->opening = false;
    return node;
}

/* A child takes its name in json: names from here, so that a reference shows what it stands for. */
static void remember_child(BlockNode *node, const char *name, BlockNode *child)
{
    if (child->options) {
        json_object_object_add(node->options, name, json_object_get(child->options));
    }
}

BlockEdge *block_open_child(BlockNode *node, const char *name, BlockRole role,
                            const BlockdevRef *ref, unsigned flags, GError **error)
{
    BlockNode *child;
    if (ref->kind == BLOCKDEV_REF_KIND_REFERENCE) {
        child = block_lookup(ref->u.reference, error);
        if (child) {
            block_node_ref(child);
        }
    } else {
        child = block_node_open(&ref->u.definition, flags, error);
    }
    if (!child) {
        return NULL;
    }
    BlockEdge *edge = block_edge_new_child(node, name, role, child, error);
    if (!edge) {
        block_node_unref(child);
        return NULL;
    }
    if (role == BLOCK_ROLE_BACKING) {
        node->backing = edge;
    } else if (!node->file) {
        node->file = edge;
    }
    remember_child(node, name, child);
    return edge;
}

/* ---- what a node looks like ---- */

/* No 'auto' member here that only restates a default: the text is for people, and for opening it
 * again. */
static char *json_filename(BlockNode *node)
{
    GString *s = g_string_new("json:");
    qapi_json_write(s, node->options, false);
    return g_string_free(s, FALSE);
}

const char *block_node_filename(BlockNode *node)
{
    g_free(node->filename);
    const BlockDriver *named = node->driver;
    BlockNode *child = node;
    if (!named->filename && named->kind == BLOCK_FORMAT && node->file) {
        child =
            node->file->node; /* the name of a format's file opens the same, but for the format */
        named = child->driver;
    }
    node->filename = named->filename ? named->filename(child) : NULL;
    if (!node->filename) {
        node->filename = json_filename(node);
    }
    return node->filename;
}

static int64_t driver_length(BlockNode *node)
{
    if (node->driver->length) {
        return node->driver->length(node);
    }
    return node->file ? block_node_length(node->file->node) : -ENOTSUP;
}

int64_t block_node_length(BlockNode *node)
{
    if (node->length < 0) {
        int64_t length = driver_length(node);
        if (length < 0) {
            return length;
        }
        if (length > BLOCK_MAX_LENGTH) {
            return -EFBIG;
        }
        node->length = length;
    }
    return (node->length + BLOCK_SECTOR - 1) & ~(int64_t)(BLOCK_SECTOR - 1);
}

void block_node_length_changed(BlockNode *node)
{
    int64_t old = node->length;
    node->length = -1;
    if (old >= 0 && driver_length(node) == old) {
        node->length = old; /* a format's length is not that of its file */
        return;
    }
    for (GList *l = node->parents.head, *next; l; l = next) {
        BlockEdge *edge = l->data;
        next = l->next;
        if (edge->parent) {
            block_node_length_changed(edge->parent);
        } else if (edge->user_ops->resized) {
            edge->user_ops->resized(edge->user);
        }
    }
}

int64_t block_node_allocated_size(BlockNode *node)
{
    if (node->driver->allocated_size) {
        return node->driver->allocated_size(node);
    }
    return node->file ? block_node_allocated_size(node->file->node) : -ENOTSUP;
}

BlockNode *block_skip_filters(BlockNode *node)
{
    while (node->driver->kind == BLOCK_FILTER && node->file) {
        node = node->file->node;
    }
    return node;
}

/* ---- breakpoints of blkdebug ---- */

static BlockDebugNotify *debug_notify;

void block_debug_set_notify(BlockDebugNotify *notify)
{
    debug_notify = notify;
}

void block_debug_notify(const char *tag, bool suspended)
{
    if (debug_notify) {
        debug_notify(tag, suspended);
    }
}

static BlockNode *debug_node(BlockNode *node)
{
    while (node && !node->driver->debug_break) {
        node = node->file ? node->file->node : NULL;
    }
    return node;
}

int block_debug_break(BlockNode *node, BlkdebugEvent event, const char *tag)
{
    node = debug_node(node);
    return node ? node->driver->debug_break(node, event, tag) : -ENOTSUP;
}

int block_debug_remove_break(BlockNode *node, const char *tag)
{
    node = debug_node(node);
    return node ? node->driver->debug_remove_break(node, tag) : -ENOTSUP;
}

int block_debug_resume(BlockNode *node, const char *tag)
{
    node = debug_node(node);
    return node ? node->driver->debug_resume(node, tag) : -ENOTSUP;
}

bool block_debug_is_suspended(BlockNode *node, const char *tag)
{
    node = debug_node(node);
    return node && node->driver->debug_is_suspended(node, tag);
}
