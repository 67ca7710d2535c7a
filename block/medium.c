/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trays and media: QMP's commands and what HMP makes of them.
 *
 *   tray    medium  open-tray    close-tray    insert    remove    eject      change
 *   closed  in      open, event  -             not open  not open  open, out  open, out, in, close
 *   closed  none    open, event  -             not open  not open  open       open, in, close
 *   open    in      -            close, event  already   out       out        out, in, close
 *   open    none    -            close, event  in        -         -          in, close
 *
 * A device without a tray (floppy) behaves as if it were open, and is told of insertion and removal
 * instead. If the guest has locked the tray, opening only asks the guest, unless it is forced.
 */
#include "util/osdep.h"
#include "block/backend.h"

#include "internal.h"
#include "qapi/commands-block-core.h"
#include "qapi/events-block-core.h"
#include "util/error.h"

/* ---- the device's side ---- */

static const BlockDeviceOps *device_ops(const BlockFront *front)
{
    return front->has_device ? front->conf.ops : NULL;
}

static bool has_tray(const BlockFront *front)
{
    const BlockDeviceOps *ops = device_ops(front);
    return ops && ops->is_tray_open;
}

static bool tray_open(const BlockFront *front)
{
    return has_tray(front) && device_ops(front)->is_tray_open(front->conf.device);
}

static bool medium_locked(const BlockFront *front)
{
    const BlockDeviceOps *ops = device_ops(front);
    return ops && ops->is_medium_locked && ops->is_medium_locked(front->conf.device);
}

/* A drive without a device can be filled and emptied. */
static bool removable(const BlockFront *front)
{
    const BlockDeviceOps *ops = device_ops(front);
    return !front->has_device || (ops && ops->removable);
}

bool front_is_removable(const BlockFront *front)
{
    return removable(front);
}

bool front_tray_is_open(const BlockFront *front, bool *open)
{
    *open = tray_open(front);
    return has_tray(front);
}

bool front_medium_locked(const BlockFront *front)
{
    return medium_locked(front);
}

typedef struct TrayReport {
    BlockFront *front;
    bool open;
} TrayReport;

static void report_tray(void *opaque)
{
    TrayReport *report = opaque;
    front_tray_moved(report->front, report->open);
    front_unref(report->front);
    g_free(report);
}

void front_tray_moved(BlockFront *front, bool open)
{
    const char *id = "";
    if (!in_main_thread()) {
        TrayReport *report = g_new(TrayReport, 1);
        *report = (TrayReport){ front_ref(front), open };
        bh_schedule_oneshot(NULL, report_tray, report);
        return;
    }
    if (front->has_device) {
        id = front->conf.id ? front->conf.id : front->conf.path ? front->conf.path : "";
    }
    qapi_event_send_DEVICE_TRAY_MOVED(front->name, id, open);
}

static bool tell_device(BlockFront *front, bool load, GError **error)
{
    const BlockDeviceOps *ops = device_ops(front);
    bool before = tray_open(front);
    bool ok = !ops || !ops->change_media || ops->change_media(front->conf.device, load, error);
    bool after = tray_open(front);
    if (before != after) {
        front_tray_moved(front, after);
    }
    return ok;
}

/* ---- opening and closing ---- */

static const char *name_of(const BlockFront *front)
{
    return front->name[0] ? front->name : front->has_device && front->conf.id ? front->conf.id : "";
}

/* *asked: the guest has locked the tray and has been asked to let go. */
static bool do_open_tray(BlockFront *front, const char *name, bool force, bool *asked,
                         GError **error)
{
    const BlockDeviceOps *ops = device_ops(front);
    *asked = false;
    if (!removable(front)) {
        return error_set(error, "Device '%s' is not removable", name);
    }
    if (!has_tray(front) || tray_open(front)) {
        return true;
    }
    bool locked = medium_locked(front);
    if (locked && ops->eject_request) {
        ops->eject_request(front->conf.device, force);
    }
    if (locked && !force) {
        *asked = true;
        return true;
    }
    return tell_device(front, false, error);
}

static bool do_close_tray(BlockFront *front, const char *name, GError **error)
{
    if (!removable(front)) {
        return error_set(error, "Device '%s' is not removable", name);
    }
    if (!has_tray(front) || !tray_open(front)) {
        return true;
    }
    return tell_device(front, true, error);
}

static bool do_remove(BlockFront *front, const char *name, GError **error)
{
    if (!removable(front)) {
        return error_set(error, "Device '%s' is not removable", name);
    }
    if (has_tray(front) && !tray_open(front)) {
        return error_set(error, "Tray of device '%s' is not open", name);
    }
    front_remove_node(front);
    return true;
}

static bool node_has_user(const BlockNode *node)
{
    for (GList *l = node->parents.head; l; l = l->next) {
        if (!((BlockEdge *)l->data)->parent) {
            return true;
        }
    }
    return false;
}

static bool do_insert(BlockFront *front, BlockNode *node, GError **error)
{
    if (!removable(front)) {
        return error_set(error, "Device is not removable");
    }
    if (has_tray(front) && !tray_open(front)) {
        return error_set(error, "Tray of the device is not open");
    }
    if (front->root) {
        return error_set(error, "There already is a medium in the device");
    }
    if (!front_insert_node(front, node, error)) {
        return false;
    }
    return has_tray(front) || tell_device(front, true, error);
}

static bool still_locked(const char *name, GError **error)
{
    return error_set(
        error,
        "Device '%s' is locked and force was not specified, wait for tray to open and try again",
        name);
}

static bool do_eject(BlockFront *front, const char *name, bool force, GError **error)
{
    bool asked;
    if (!do_open_tray(front, name, force, &asked, error)) {
        return false;
    }
    return asked ? still_locked(name, error) : do_remove(front, name, error);
}

bool front_open_tray(BlockFront *front, bool force, GError **error)
{
    bool asked;
    return do_open_tray(front, name_of(front), force, &asked, error);
}

bool front_close_tray(BlockFront *front, GError **error)
{
    return do_close_tray(front, name_of(front), error);
}

bool front_eject(BlockFront *front, bool force, GError **error)
{
    return do_eject(front, name_of(front), force, error);
}

static BlockNode *open_new_medium(const BlockFront *front, const char *filename, const char *format,
                                  bool read_only, GError **error)
{
    json_object *options = json_object_new_object();
    unsigned flags = front->open_flags & ~BLOCK_OPEN_RDWR;
    if (format) {
        json_object_object_add(options, "driver", json_object_new_string(format));
    }
    flags |= read_only ? 0 : BLOCK_OPEN_RDWR;
    BlockNode *node = block_open_filename(filename, options, flags | BLOCK_OPEN_AUTO_RDONLY, error);
    json_object_put(options);
    if (node) {
        node->detect_zeroes = front->detect_zeroes;
    }
    return node;
}

static bool do_change(BlockFront *front, const char *name, const char *filename, const char *format,
                      bool force, BlockdevChangeReadOnlyMode mode, GError **error)
{
    bool read_only = mode == BLOCKDEV_CHANGE_READ_ONLY_MODE_RETAIN
                         ? front_is_read_only(front)
                         : mode == BLOCKDEV_CHANGE_READ_ONLY_MODE_READ_ONLY;
    bool asked, ok = false;
    BlockNode *node = open_new_medium(front, filename, format, read_only, error);
    if (!node) {
        return false;
    }
    if (!do_open_tray(front, name, force, &asked, error)) {
        goto out;
    }
    if (asked) {
        still_locked(name, error);
        goto out;
    }
    ok = do_remove(front, name, error) && do_insert(front, node, error) &&
         do_close_tray(front, name, error);
out:
    block_node_unref(node);
    return ok;
}

/* ---- QMP ---- */

static BlockFront *find_front(const char *device, const char *id, GError **error)
{
    if (!device == !id) {
        error_set(error, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    if (id) {
        return front_by_device(id, error);
    }
    BlockFront *front = front_by_name(device);
    if (!front) {
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
    }
    return front;
}

bool qmp_eject(const char *device, const char *id, bool has_force, bool force, GError **error)
{
    BlockFront *front = find_front(device, id, error);
    return front && do_eject(front, device ? device : id, has_force && force, error);
}

bool qmp_blockdev_open_tray(const char *device, const char *id, bool has_force, bool force,
                            GError **error)
{
    bool asked;
    BlockFront *front = find_front(device, id, error);
    return front && do_open_tray(front, device ? device : id, has_force && force, &asked, error);
}

bool qmp_blockdev_close_tray(const char *device, const char *id, GError **error)
{
    BlockFront *front = find_front(device, id, error);
    return front && do_close_tray(front, device ? device : id, error);
}

bool qmp_blockdev_remove_medium(const char *id, GError **error)
{
    BlockFront *front = front_by_device(id, error);
    return front && do_remove(front, id, error);
}

bool qmp_blockdev_insert_medium(const char *id, const char *node_name, GError **error)
{
    BlockFront *front = front_by_device(id, error);
    if (!front) {
        return false;
    }
    BlockNode *node = block_node_find(node_name);
    if (!node) {
        return error_set(error, "Node '%s' not found", node_name);
    }
    if (node_has_user(node)) {
        return error_set(error, "Node '%s' is already in use", node_name);
    }
    return do_insert(front, node, error);
}

bool qmp_blockdev_change_medium(const char *device, const char *id, const char *filename,
                                const char *format, bool has_force, bool force, bool has_mode,
                                BlockdevChangeReadOnlyMode mode, GError **error)
{
    BlockFront *front = find_front(device, id, error);
    return front && do_change(front, device ? device : id, filename, format, has_force && force,
                              has_mode ? mode : BLOCKDEV_CHANGE_READ_ONLY_MODE_RETAIN, error);
}
