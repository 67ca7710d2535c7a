/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fronts: life, names, the device above, the node below, permissions, draining. Contract:
 * block/backend.h. */
#include "util/osdep.h"
#include "block/backend.h"

#include "internal.h"
#include "throttle.h"
#include "qom/object.h"
#include "util/error.h"
#include "util/keyval.h"

static GQueue fronts = G_QUEUE_INIT;
static BlockHooks hooks;

void block_set_hooks(const BlockHooks *new_hooks)
{
    hooks = *new_hooks;
}

void front_request_stop(void)
{
    if (hooks.stop_vm) {
        hooks.stop_vm();
    }
}

/* ---- what the node sees of its user ---- */

static char *user_describe(void *user)
{
    BlockFront *front = user;
    if (front->name[0]) {
        return g_strdup_printf("block device '%s'", front->name);
    }
    if (front->has_device) {
        return g_strdup_printf("block device '%s'", front->conf.path ? front->conf.path : "");
    }
    return g_strdup("an unnamed block device");
}

static void user_drain_begin(void *user)
{
    BlockFront *front = user;
    __atomic_fetch_add(&front->drain_count, 1, __ATOMIC_SEQ_CST);
    if (front->throttle) {
        throttle_drain_begin(front->throttle);
    }
}

static void user_drain_end(void *user)
{
    BlockFront *front = user;
    unsigned old = __atomic_fetch_sub(&front->drain_count, 1, __ATOMIC_SEQ_CST);
    g_assert(old > 0);
    if (front->throttle) {
        throttle_drain_end(front->throttle);
    }
    front_restart_waiting(front);
}

static bool user_busy(void *user)
{
    return front_in_flight(user) != 0;
}

static void user_resized(void *user)
{
    BlockFront *front = user;
    if (front->has_device && front->conf.ops && front->conf.ops->resize) {
        front->conf.ops->resize(front->conf.device);
    }
}

static bool user_activate(void *user, GError **error)
{
    BlockFront *front = user;
    if (!front->perm_deferred) {
        return true;
    }
    if (!block_edge_set_perm(front->root, front->perm, front->shared, error)) {
        return false;
    }
    front->perm_deferred = false;
    front_restart_waiting(front);
    return true;
}

static bool user_inactivate(void *user, GError **error)
{
    BlockFront *front = user;
    if (front->perm_deferred) {
        return true;
    }
    if (!block_edge_set_perm(front->root, 0, BLOCK_PERM_ALL, error)) {
        return false;
    }
    front->perm_deferred = true;
    return true;
}

static const BlockUserOps front_user_ops = {
    .describe = user_describe,
    .drain_begin = user_drain_begin,
    .drain_end = user_drain_end,
    .busy = user_busy,
    .resized = user_resized,
    .activate = user_activate,
    .inactivate = user_inactivate,
};

bool front_take_perms(BlockFront *front, unsigned perm, unsigned shared, GError **error)
{
    if (front->root && !front->root->node->inactive &&
        !block_edge_set_perm(front->root, perm, shared, error)) {
        return false;
    }
    front->perm = perm;
    front->shared = shared;
    front->perm_deferred = front->root && front->root->node->inactive;
    return true;
}

/* ---- life ---- */

BlockFront *front_new(const char *name, GError **error)
{
    if (name) {
        if (front_by_name(name)) {
            error_set(error, "Device with id '%s' already exists", name);
            return NULL;
        }
        if (block_node_find(name)) {
            error_set(error, "Device name '%s' conflicts with an existing node name", name);
            return NULL;
        }
    }
    BlockFront *front = g_new0(BlockFront, 1);
    front->name = g_strdup(name ? name : "");
    front->refs = 1;
    front->link.data = front;
    front->shared = BLOCK_PERM_ALL;
    front->write_cache = true;
    front->rerror = BLOCKDEV_ON_ERROR_AUTO;
    front->werror = BLOCKDEV_ON_ERROR_AUTO;
    front->open_flags = BLOCK_OPEN_RDWR;
    g_queue_init(&front->waiting);
    g_queue_push_tail_link(&fronts, &front->link);
    return front;
}

BlockFront *front_ref(BlockFront *front)
{
    __atomic_fetch_add(&front->refs, 1, __ATOMIC_SEQ_CST);
    return front;
}

void front_unref(BlockFront *front)
{
    if (!front || __atomic_sub_fetch(&front->refs, 1, __ATOMIC_SEQ_CST) > 0) {
        return;
    }
    g_assert(!front->has_device);
    front->refs = 1;
    front_drop_root(front);
    front_drain(front);
    throttle_member_free(front->throttle);
    block_drive_forget(front);
    g_queue_unlink(&fronts, &front->link);
    g_free(front->name);
    g_free(front);
}

BlockFront *front_next_any(const BlockFront *front)
{
    GList *l = front ? front->link.next : fronts.head;
    return l ? l->data : NULL;
}

BlockFront *front_next(const BlockFront *front)
{
    BlockFront *next = front_next_any(front);
    while (next && !next->name[0] && !next->has_device) {
        next = front_next_any(next);
    }
    return next;
}

BlockFront *front_by_name(const char *name)
{
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        if (name[0] && g_str_equal(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

const char *front_name(const BlockFront *front)
{
    return front->name;
}

const char *front_property(const BlockFront *front)
{
    return front->name[0] ? front->name : front->root ? front->root->node->name : "";
}

BlockNode *front_node(const BlockFront *front)
{
    return front->root ? front->root->node : NULL;
}

BlockFront *front_for_property(const char *drive, bool *exists, GError **error)
{
    BlockFront *front = front_by_name(drive);
    BlockNode *node = front ? NULL : block_node_find(drive);
    if (exists) {
        *exists = front || node;
    }
    if (front) {
        if (front->has_device) {
            error_set(error, "Drive '%s' is already in use by another device", drive);
            return NULL;
        }
        return front_ref(front);
    }
    if (!node) {
        error_set(error, "Cannot find device='%s' nor node-name='%s'", drive, drive);
        return NULL;
    }
    front = front_new(NULL, NULL);
    if (!front_insert_node(front, node, error)) {
        front_unref(front);
        return NULL;
    }
    return front;
}

BlockFront *front_open(const char *filename, json_object *options, unsigned flags, GError **error)
{
    BlockNode *node = block_open_filename(filename, options, flags, error);
    return node ? front_open_node(node, error) : NULL;
}

BlockFront *front_open_node(BlockNode *node, GError **error)
{
    BlockFront *front = front_new(NULL, NULL);
    front->perm = BLOCK_PERM_CONSISTENT_READ;
    if (!node->read_only) {
        front->perm |= BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;
    }
    front->shared = BLOCK_PERM_ALL & ~(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
    bool ok = front_insert_node(front, node, error);
    block_node_unref(node);
    if (!ok) {
        front_unref(front);
        return NULL;
    }
    return front;
}

/* ---- the node below ---- */

typedef struct NewRoot {
    BlockFront *front;
    BlockEdge *root;
} NewRoot;

static void take_root(void *opaque)
{
    const NewRoot *change = opaque;
    change->front->root = change->root;
}

/* A device in an iothread asks for length and medium without a request: it sees the one or the other. */
static void set_root(BlockFront *front, BlockEdge *root)
{
    NewRoot change = { front, root };
    context_run(front->home, take_root, &change);
}

bool front_insert_node(BlockFront *front, BlockNode *node, GError **error)
{
    g_assert(!front->root);
    bool defer = node->inactive;
    block_drain_begin(node);
    BlockEdge *root =
        block_edge_attach(node, "root", &front_user_ops, front, defer ? 0 : front->perm,
                          defer ? BLOCK_PERM_ALL : front->shared, error);
    if (root) {
        set_root(front, root);
        front->perm_deferred = defer;
        front->medium_read_only = node->read_only;
        front->detect_zeroes = node->detect_zeroes;
    }
    block_drain_end(node);
    return front->root != NULL;
}

void front_drop_root(BlockFront *front)
{
    if (!front->root) {
        return;
    }
    BlockEdge *root = front->root;
    BlockNode *node = block_node_ref(root->node);
    block_drain_begin(node);
    set_root(front, NULL);
    front->perm_deferred = false;
    block_edge_detach(root);
    block_drain_end(node);
    block_node_unref(node);
    front_restart_waiting(front);
}

void front_remove_node(BlockFront *front)
{
    if (!front->root) {
        return;
    }
    front_drop_root(front);
    if (front->has_device && front->conf.ops && front->conf.ops->change_media &&
        !front->conf.ops->is_tray_open) {
        front->conf.ops->change_media(front->conf.device, false, NULL);
    }
}

bool front_is_inserted(const BlockFront *front)
{
    return front->root != NULL;
}

bool front_is_available(const BlockFront *front)
{
    const BlockDeviceOps *ops = front->has_device ? front->conf.ops : NULL;
    return front->root && !(ops && ops->is_tray_open && ops->is_tray_open(front->conf.device));
}

bool front_is_read_only(const BlockFront *front)
{
    return front->root ? front->root->node->read_only : front->medium_read_only;
}

int64_t front_length(BlockFront *front)
{
    return front->root ? block_node_length(front->root->node) : -ENOMEDIUM;
}

/* The strictest of node and everything that has the same data below. */
static void merge_limits(const BlockNode *node, BlockLimits *limits)
{
    const BlockLimits *l = &node->limits;
    limits->request_align = MAX(limits->request_align, l->request_align);
    limits->memory_align = MAX(limits->memory_align, l->memory_align);
    limits->opt_transfer = MAX(limits->opt_transfer, l->opt_transfer);
    limits->discard_align = MAX(limits->discard_align, l->discard_align);
    limits->zero_align = MAX(limits->zero_align, l->zero_align);
    if (l->max_transfer && (!limits->max_transfer || l->max_transfer < limits->max_transfer)) {
        limits->max_transfer = l->max_transfer;
    }
    if (l->max_iov && (!limits->max_iov || l->max_iov < limits->max_iov)) {
        limits->max_iov = l->max_iov;
    }
    if (node->file) {
        merge_limits(node->file->node, limits);
    }
}

void front_limits(BlockFront *front, BlockLimits *limits)
{
    *limits = (BlockLimits){ .request_align = 1, .memory_align = 1 };
    if (front->root) {
        merge_limits(front->root->node, limits);
    }
}

bool front_write_cache(const BlockFront *front)
{
    return front->write_cache;
}

void front_set_write_cache(BlockFront *front, bool on)
{
    front->write_cache = on;
}

bool front_is_cdrom_hint(const BlockFront *front)
{
    return front->drive && front->drive->cdrom;
}

/* ---- the device above ---- */

static void device_perms(const BlockFront *front, const BlockDeviceConf *conf, unsigned *perm,
                         unsigned *shared)
{
    *perm = BLOCK_PERM_CONSISTENT_READ;
    if (!conf->read_only && !front_is_read_only(front)) {
        *perm |= BLOCK_PERM_WRITE;
    }
    *shared = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED;
    if (conf->resizes) {
        *shared |= BLOCK_PERM_RESIZE;
    }
    if (conf->share_rw) {
        *shared |= BLOCK_PERM_WRITE;
    }
}

bool front_attach_device(BlockFront *front, const BlockDeviceConf *conf, GError **error)
{
    if (front->has_device) {
        return error_set(error, "Drive '%s' is already in use by another device", front->name);
    }
    if (conf->needs_medium && !front->root) {
        return error_set(error, "Device needs media, but drive is empty");
    }
    if (conf->needs_write && front_is_read_only(front)) {
        return error_set(error, "Block node is read-only");
    }
    if (!conf->handles_errors &&
        (conf->rerror != BLOCKDEV_ON_ERROR_AUTO || conf->werror != BLOCKDEV_ON_ERROR_AUTO)) {
        return error_set(error, "Device doesn't support werror and rerror options");
    }
    front->has_device = true; /* so that messages can name it */
    front->conf = *conf;
    front->conf.id = g_strdup(conf->id);
    front->conf.path = g_strdup(conf->path);
    unsigned perm, shared;
    device_perms(front, conf, &perm, &shared);
    if (!front_take_perms(front, perm, shared, error)) {
        g_free((char *)front->conf.id);
        g_free((char *)front->conf.path);
        front->conf = (BlockDeviceConf){ 0 };
        front->has_device = false;
        return false;
    }
    if (conf->rerror != BLOCKDEV_ON_ERROR_AUTO) {
        front->rerror = conf->rerror;
    }
    if (conf->werror != BLOCKDEV_ON_ERROR_AUTO) {
        front->werror = conf->werror;
    }
    if (conf->write_cache != ON_OFF_AUTO_AUTO) {
        front->write_cache = conf->write_cache == ON_OFF_AUTO_ON;
    }
    front->iostatus = BLOCK_DEVICE_IO_STATUS_OK;
    if (front->drive) {
        front->drive->claimed = true;
    }
    return true;
}

void front_detach_device(BlockFront *front)
{
    if (!front->has_device) {
        return;
    }
    front_cancel_waiting(front);
    front_drain(front);
    front->has_device = false;
    g_free((char *)front->conf.id);
    g_free((char *)front->conf.path);
    front->conf = (BlockDeviceConf){ 0 };
    GError *error = NULL;
    if (!front_take_perms(front, 0, BLOCK_PERM_ALL, &error)) {
        warn_report("%s: %s", front->name, error->message);
        g_error_free(error);
    }
    if (front->monitor_owned) {
        /* -drive: it goes with its device. Its name is free at once. */
        front->monitor_owned = false;
        front_drop_root(front);
        block_drive_forget(front);
        g_free(front->name);
        front->name = g_strdup("");
        front_unref(front);
    }
}

void *front_device(const BlockFront *front)
{
    return front->has_device ? front->conf.device : NULL;
}

BlockFront *front_by_device(const char *id, GError **error)
{
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        if (f->has_device && ((f->conf.id && g_str_equal(f->conf.id, id)) ||
                              (f->conf.path && g_str_equal(f->conf.path, id)))) {
            return f;
        }
    }
    g_autofree char *path =
        id[0] == '/' ? g_strdup(id) : g_strdup_printf("/machine/peripheral/%s", id);
    if (object_resolve(path, NULL)) {
        error_set(error, "Device does not have a block device backend");
    } else {
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    return NULL;
}

/* ---- draining ---- */

unsigned front_in_flight(const BlockFront *front)
{
    return __atomic_load_n(&front->in_flight, __ATOMIC_SEQ_CST);
}

bool front_paused(const BlockFront *front)
{
    /* While the image is another process's, a write would be an error: it waits, too. */
    return __atomic_load_n(&front->drain_count, __ATOMIC_SEQ_CST) > 0 || block_quiesced() ||
           front->perm_deferred;
}

void front_drain(BlockFront *front)
{
    g_assert(!in_coroutine());
    front_waits_begin();
    MAIN_LOOP_WHILE(front_in_flight(front) > 0);
    front_waits_end();
}

void front_drain_begin(BlockFront *front)
{
    user_drain_begin(front);
    front_drain(front);
}

void front_drain_end(BlockFront *front)
{
    user_drain_end(front);
}

void front_restart_all(void)
{
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        front_restart_waiting(f);
    }
}
