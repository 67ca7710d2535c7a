/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: info block, info blockstats, eject, change, block_resize, drive_add, drive_del. */
#include "util/osdep.h"
#include "block/backend.h"

#include "internal.h"
#include "monitor/hmp.h"
#include "qapi/commands-block-core.h"
#include "util/error.h"

/* ---- info block ---- */

/* Three digits and a unit, as people read sizes. */
static char *human_size(int64_t bytes)
{
    static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    double n = bytes;
    unsigned u = 0;
    while (n >= 1024 && u + 1 < G_N_ELEMENTS(units)) {
        n /= 1024;
        u++;
    }
    return g_strdup_printf("%.3g %sB", n, units[u]);
}

static void print_image(Hmp *hmp, const ImageInfo *image)
{
    g_autofree char *virtual_size = human_size(image->virtual_size);
    g_autofree char *disk_size = human_size(image->actual_size);
    hmp_printf(hmp, "\nImages:\nimage: %s\nfile format: %s\nvirtual size: %s (%" PRId64 " bytes)\n",
               image->filename, image->format, virtual_size, image->virtual_size);
    hmp_printf(hmp, "disk size: %s\n", image->has_actual_size ? disk_size : "unavailable");
    if (image->has_dirty_flag && image->dirty_flag) {
        hmp_puts(hmp, "cleanly shut down: no\n");
    }
}

static void print_medium(Hmp *hmp, const BlockDeviceInfo *in, bool verbose)
{
    hmp_printf(hmp, "    Cache mode:       %s%s%s\n",
               in->cache->writeback ? "writeback" : "writethrough",
               in->cache->direct ? ", direct" : "", in->cache->no_flush ? ", ignore flushes" : "");
    if (in->detect_zeroes != BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF) {
        hmp_printf(hmp, "    Detect zeroes:    %s\n",
                   qapi_name_BlockdevDetectZeroesOptions(in->detect_zeroes));
    }
    if (verbose) {
        print_image(hmp, in->image);
    }
}

/* info: the drive or device, NULL for a node alone. */
static void print_block(Hmp *hmp, const BlockInfo *info, const BlockDeviceInfo *in, bool verbose)
{
    if (info && info->device[0]) {
        hmp_puts(hmp, info->device);
        if (in && in->node_name) {
            hmp_printf(hmp, " (%s)", in->node_name);
        }
    } else {
        hmp_puts(hmp, in && in->node_name  ? in->node_name
                      : info && info->qdev ? info->qdev
                                           : "<anonymous>");
    }
    if (in) {
        hmp_printf(hmp, ": %s (%s%s%s)\n", in->file, in->drv, in->ro ? ", read-only" : "",
                   in->encrypted ? ", encrypted" : "");
    } else {
        hmp_puts(hmp, ": [not inserted]\n");
    }
    if (info && info->qdev) {
        hmp_printf(hmp, "    Attached to:      %s\n", info->qdev);
    }
    if (info && info->has_io_status && info->io_status != BLOCK_DEVICE_IO_STATUS_OK) {
        hmp_printf(hmp, "    I/O status:       %s\n",
                   qapi_name_BlockDeviceIoStatus(info->io_status));
    }
    if (info && info->removable) {
        hmp_printf(hmp, "    Removable device: %slocked, tray %s\n", info->locked ? "" : "not ",
                   info->tray_open ? "open" : "closed");
    }
    if (in) {
        print_medium(hmp, in, verbose);
    }
}

static void print_nodes(Hmp *hmp, const char *name, bool verbose, bool alone)
{
    BlockDeviceInfoArray *nodes = NULL;
    qmp_query_named_block_nodes(false, false, &nodes, NULL);
    bool printed = false;
    for (size_t i = 0; i < nodes->len; i++) {
        if (name && !g_str_equal(nodes->items[i]->node_name, name)) {
            continue;
        }
        hmp_puts(hmp, printed || !alone ? "\n" : "");
        print_block(hmp, NULL, nodes->items[i], verbose);
        printed = true;
    }
    qapi_free_BlockDeviceInfoArray(nodes);
}

static void hmp_info_block(Hmp *hmp, const HmpArgs *args)
{
    const char *device = hmp_arg_str(args, "device");
    bool verbose = hmp_arg_has(args, "verbose"), printed = false;
    if (hmp_arg_has(args, "nodes")) {
        print_nodes(hmp, device, verbose, true);
        return;
    }
    BlockInfoArray *list = NULL;
    qmp_query_block(&list, NULL);
    for (size_t i = 0; i < list->len; i++) {
        const BlockInfo *info = list->items[i];
        if (device && !g_str_equal(info->device, device)) {
            continue;
        }
        hmp_puts(hmp, printed ? "\n" : "");
        print_block(hmp, info, info->inserted, verbose);
        printed = true;
    }
    qapi_free_BlockInfoArray(list);
    if (device && !printed) {
        print_nodes(hmp, device, verbose, false);
    }
}

static void hmp_info_blockstats(Hmp *hmp, const HmpArgs *args)
{
    BlockStatsArray *list = NULL;
    qmp_query_blockstats(false, false, &list, NULL);
    for (size_t i = 0; i < list->len; i++) {
        const BlockDeviceStats *s = list->items[i]->stats;
        if (!list->items[i]->device) {
            continue;
        }
        hmp_printf(hmp,
                   "%s: rd_bytes=%" PRId64 " wr_bytes=%" PRId64 " rd_operations=%" PRId64
                   " wr_operations=%" PRId64 " flush_operations=%" PRId64
                   " wr_total_time_ns=%" PRId64 " rd_total_time_ns=%" PRId64
                   " flush_total_time_ns=%" PRId64 " rd_merged=%" PRId64 " wr_merged=%" PRId64
                   " idle_time_ns=%" PRId64 "\n",
                   list->items[i]->device, s->rd_bytes, s->wr_bytes, s->rd_operations,
                   s->wr_operations, s->flush_operations, s->wr_total_time_ns, s->rd_total_time_ns,
                   s->flush_total_time_ns, s->rd_merged, s->wr_merged, s->idle_time_ns);
    }
    qapi_free_BlockStatsArray(list);
}

/* ---- media ---- */

static void hmp_eject(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    qmp_eject(hmp_arg_str(args, "device"), NULL, true, hmp_arg_has(args, "force"), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_change(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    const char *mode_name = hmp_arg_str(args, "read-only-mode");
    int mode = mode_name ? qapi_parse_BlockdevChangeReadOnlyMode(mode_name)
                         : BLOCKDEV_CHANGE_READ_ONLY_MODE_RETAIN;
    if (mode < 0) {
        error_set(&error, "Parameter 'read-only-mode' does not accept value '%s'", mode_name);
    } else {
        qmp_blockdev_change_medium(hmp_arg_str(args, "device"), NULL, hmp_arg_str(args, "target"),
                                   hmp_arg_str(args, "arg"), true, hmp_arg_has(args, "force"), true,
                                   mode, &error);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_block_resize(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    qmp_block_resize(hmp_arg_str(args, "device"), NULL, hmp_arg_int(args, "size", -1), &error);
    hmp_report_error(hmp, &error);
}

/* ---- drives ---- */

static void hmp_drive_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    const char *opts = hmp_arg_str(args, "opts");
    bool ok;
    if (hmp_arg_has(args, "node")) {
        ok = block_add_blockdev(opts, &error);
    } else {
        ok = block_add_drive(opts, BLOCK_IF_NONE, &error);
    }
    if (ok && !hmp_arg_has(args, "node")) {
        hmp_puts(hmp, "OK\n");
    }
    hmp_report_error(hmp, &error);
}

static void hmp_drive_del(Hmp *hmp, const HmpArgs *args)
{
    const char *id = hmp_arg_str(args, "id");
    BlockFront *front = front_by_name(id);
    GError *error = NULL;
    if (!front) {
        error_set(&error, "Device '%s' not found", id);
    } else {
        /* A device keeps its front; to the guest the medium fails from now on. */
        front_drop_root(front);
        block_drive_forget(front);
        g_free(front->name);
        front->name = g_strdup("");
        if (front->monitor_owned) {
            front->monitor_owned = false;
            front_unref(front);
        }
    }
    hmp_report_error(hmp, &error);
}

static void complete_front(unsigned n, const char *prefix, GPtrArray *words)
{
    for (BlockFront *f = front_next(NULL); n == 0 && f; f = front_next(f)) {
        if (f->name[0] && g_str_has_prefix(f->name, prefix)) {
            g_ptr_array_add(words, g_strdup(f->name));
        }
    }
}

static const HmpCommand block_commands[] = {
    { "info block", "nodes:-n,verbose:-v,device:s?", "[-n] [-v] [device]",
      "show info of one block device or all block devices (-n: show named nodes; -v: show details)",
      hmp_info_block, true, complete_front },
    { "info blockstats", "", "", "show block device statistics", hmp_info_blockstats, true, NULL },
    { "eject", "force:-f,device:s", "[-f] device", "eject a removable medium (use -f to force it)",
      hmp_eject, false, complete_front },
    { "change", "device:s,force:-f,target:s,arg:s?,read-only-mode:s?",
      "device [-f] filename [format [read-only-mode]]",
      "change a removable medium, optional format, use -f to force the operation", hmp_change,
      false, complete_front },
    { "block_resize", "device:s,size:o", "device size", "resize a block image", hmp_block_resize,
      false, complete_front },
    { "drive_add", "node:-n,pci_addr:s,opts:s",
      "[-n] [[<domain>:]<bus>:]<slot> [file=file][,if=type]...",
      "add drive to PCI storage controller", hmp_drive_add, false, NULL },
    { "drive_del", "id:s", "device", "remove host block device", hmp_drive_del, false,
      complete_front },
};
HMP_REGISTER(block_commands)
