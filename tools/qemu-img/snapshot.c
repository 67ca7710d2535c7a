/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img snapshot: internal snapshots. */
#include "util/osdep.h"
#include "img.h"

#include "util/clock.h"
#include "util/error.h"

/* ---- actions: false with a message ---- */

static bool create(BlockNode *node, const char *name)
{
    if (!node->driver->snapshot_create) {
        error_report("Could not create snapshot '%s': %d (%s)", name, -ENOTSUP,
                     g_strerror(ENOTSUP));
        return false;
    }
    int64_t now = clock_get_ns(CLOCK_HOST);
    BlockSnapshot s = { .date_sec = now / NS_PER_SEC, .date_nsec = now % NS_PER_SEC };
    GError *error = NULL;
    if (strlen(name) >= sizeof(s.name)) {
        error_report("Could not create snapshot '%s': its name is too long", name);
        return false;
    }
    g_strlcpy(s.name, name, sizeof(s.name));
    if (!block_snapshot_create(node, &s, &error)) {
        error_prefix(&error, "Could not create snapshot '%s': ", name);
        error_report_gerror(error);
        return false;
    }
    return true;
}

static bool apply(BlockNode *node, const char *name)
{
    GError *error = NULL;
    BlockSnapshot s;
    if (!node->driver->snapshot_goto) {
        error_set(&error, "Block driver does not support snapshots");
    } else if (!block_snapshot_find(node, name, &s)) {
        error_set(&error, "Failed to load snapshot: %s", g_strerror(ENOENT));
    } else if (block_snapshot_goto(node, name, &error)) {
        return true;
    }
    error_prefix(&error, "Could not apply snapshot '%s': ", name);
    error_report_gerror(error);
    return false;
}

static bool delete (BlockNode *node, const char *name)
{
    /* By its name only: an id in its place would be too easy a mistake. */
    GError *error = NULL;
    g_autofree BlockSnapshot *all = NULL;
    int n = block_snapshot_list(node, &all), i = 0;
    while (i < n && !g_str_equal(all[i].name, name)) {
        i++;
    }
    if (i >= n) {
        error_set(&error, "snapshot not found");
    } else if (block_snapshot_delete(node, all[i].id, all[i].name, &error)) {
        return true;
    }
    error_prefix(&error, "Could not delete snapshot '%s': ", name);
    error_report_gerror(error);
    return false;
}

static bool list(BlockNode *node, const char *name)
{
    img_print_snapshots(node);
    return true;
}

typedef bool Action(BlockNode *node, const char *name);

static Action *action_of(int c)
{
    switch (c) {
    case 'a':
        return apply;
    case 'c':
        return create;
    case 'd':
        return delete;
    default:
        return list;
    }
}

/* ---- the command ---- */

static const struct option options[] = {
    IMG_LONG_HELP, IMG_LONG_OBJECT, IMG_LONG_IMAGE_OPTS, IMG_LONG_FORCE_SHARE, { NULL },
};

int img_snapshot(int argc, char **argv)
{
    ImgSource source = { .format = NULL };
    Action *action = NULL;
    const char *name = NULL;
    int c, status = 1;
    while ((c = getopt_long(argc, argv, ":la:c:d:hqU", options, NULL)) != -1) {
        switch (c) {
        case 'l':
        case 'a':
        case 'c':
        case 'd':
            if (action) {
                return img_usage("Cannot mix '-l', '-a', '-c', '-d'");
            }
            action = action_of(c);
            name = optarg;
            break;
        case 'q':
            break;
        default:
            if (!img_source_option(c, argv, &source, &status)) {
                return status;
            }
        }
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    action = action ? action : list;
    BlockFront *front = img_open(&source, argv[optind], action == list ? 0 : BLOCK_OPEN_RDWR);
    if (!front) {
        return 1;
    }
    status = action(front_node(front), name) ? 0 : 1;
    if (status == 0 && action != list) {
        int ret = front_flush(front);
        if (ret < 0) {
            error_report("The snapshots could not be written: %s", g_strerror(-ret));
            status = 1;
        }
    }
    front_unref(front);
    return status;
}
