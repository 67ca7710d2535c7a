/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Consoles of display devices. */
#include "util/osdep.h"

#include "ui/console.h"
#include "util/error.h"

struct Console {
    Object *device;
    unsigned head;
    unsigned index;
};

static GQueue consoles = G_QUEUE_INIT; /* Console *, in order of creation */

/* By id or absolute path, as hw/core's device_find(); devices are below this layer. */
static Object *find_device(const char *name)
{
    g_autofree char *path = g_strconcat("/machine/peripheral/", name, NULL);

    return name[0] == '/' ? object_resolve(name, NULL) : object_resolve(path, NULL);
}

Console *console_find(const char *name, unsigned head, GError **error)
{
    Object *device = find_device(name);

    if (!device) {
        error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
        return NULL;
    }
    for (GList *l = consoles.head; l; l = l->next) {
        Console *con = l->data;

        if (con->device == device && con->head == head) {
            return con;
        }
    }
    error_set(error, "Device %s (head %u) is not bound to a QemuConsole", name, head);
    return NULL;
}

int console_index(const Console *con)
{
    return con ? (int)con->index : -1;
}
