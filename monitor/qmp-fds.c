/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands of qapi/fds.json: descriptors that came over the monitor's socket. */
#include "util/osdep.h"

#include "io/fds.h"
#include "monitor-private.h"
#include "qapi/commands-fds.h"
#include "util/error.h"

QMP_REGISTER(fds)

static void close_value(gpointer p)
{
    close(GPOINTER_TO_INT(p) - 1);
}

/* A descriptor that came with this or an earlier message of the session. */
static int received_fd(GError **error)
{
    Monitor *mon = monitor_current();
    int fd = mon ? chardev_take_fd(&mon->fe) : -1;

    if (fd < 0) {
        error_set(error, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

bool qmp_getfd(const char *fdname, GError **error)
{
    Monitor *mon = monitor_current();
    int fd = received_fd(error);

    if (fd < 0) {
        return false;
    }
    if (g_ascii_isdigit(fdname[0])) {
        close(fd);
        return error_set(error, "Parameter 'fdname' expects a name not starting with a digit");
    }
    if (!mon->fds) {
        mon->fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_value);
    }
    g_hash_table_replace(mon->fds, g_strdup(fdname), GINT_TO_POINTER(fd + 1));
    return true;
}

bool qmp_closefd(const char *fdname, GError **error)
{
    Monitor *mon = monitor_current();

    if (!mon || !mon->fds || !g_hash_table_remove(mon->fds, fdname)) {
        return error_set(error, "File descriptor named '%s' not found", fdname);
    }
    return true;
}

int monitor_take_fd(const char *name, GError **error)
{
    Monitor *mon = monitor_current();
    gpointer key, value;

    if (!mon || !mon->fds || !g_hash_table_steal_extended(mon->fds, name, &key, &value)) {
        error_set(error, "File descriptor named '%s' has not been found", name);
        return -1;
    }
    g_free(key);
    return GPOINTER_TO_INT(value) - 1;
}

bool qmp_add_fd(bool has_fdset_id, int64_t fdset_id, const char *opaque, AddfdInfo **ret,
                GError **error)
{
    int fd = received_fd(error);

    return fd >= 0 && io_fdset_add(fd, has_fdset_id, fdset_id, opaque, ret, error);
}

bool qmp_remove_fd(int64_t fdset_id, bool has_fd, int64_t fd, GError **error)
{
    return io_fdset_remove(fdset_id, has_fd, fd, error);
}

bool qmp_query_fdsets(FdsetInfoArray **ret, GError **error)
{
    *ret = io_fdset_query();
    return true;
}
