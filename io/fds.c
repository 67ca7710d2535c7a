/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors that came from outside: sets, and names. See include/io/fds.h. */
#include "util/osdep.h"

#include <fcntl.h>

#include "io/fds.h"
#include "util/error.h"
#include "util/keyval.h"

typedef struct SetFd {
    int fd;
    char *opaque;
} SetFd;

typedef struct FdSet {
    int64_t id;
    GArray *fds;  /* SetFd */
    GArray *dups; /* int: handed out by io_open() and still open */
} FdSet;

static GMutex lock;
static GPtrArray *sets; /* FdSet, by id */
static int (*name_resolver)(const char *name, GError **error);

/* ---- sets (lock held) ---- */

static FdSet *find_set(int64_t id)
{
    for (guint i = 0; sets && i < sets->len; i++) {
        FdSet *set = g_ptr_array_index(sets, i);

        if (set->id == id) {
            return set;
        }
    }
    return NULL;
}

static void drop_fd(gpointer p)
{
    SetFd *f = p;

    close(f->fd);
    g_free(f->opaque);
}

static void free_set(gpointer p)
{
    FdSet *set = p;

    g_array_unref(set->fds);
    g_array_unref(set->dups);
    g_free(set);
}

static FdSet *make_set(int64_t id)
{
    FdSet *set = g_new0(FdSet, 1);
    guint i = 0;

    set->id = id;
    set->fds = g_array_new(FALSE, FALSE, sizeof(SetFd));
    g_array_set_clear_func(set->fds, drop_fd);
    set->dups = g_array_new(FALSE, FALSE, sizeof(int));
    if (!sets) {
        sets = g_ptr_array_new_with_free_func(free_set);
    }
    while (i < sets->len && ((FdSet *)g_ptr_array_index(sets, i))->id < id) {
        i++;
    }
    g_ptr_array_insert(sets, (int)i, set);
    return set;
}

static void forget_if_empty(FdSet *set)
{
    if (set->fds->len == 0 && set->dups->len == 0) {
        g_ptr_array_remove(sets, set);
    }
}

static int64_t free_id(void)
{
    int64_t id = 0;

    while (find_set(id)) {
        id++;
    }
    return id;
}

/* ---- the sets' interface ---- */

bool io_fdset_add(int fd, bool has_id, int64_t id, const char *opaque, AddfdInfo **info,
                  GError **error)
{
    SetFd entry = { fd, g_strdup(opaque) };
    FdSet *set;

    if (has_id && id < 0) {
        drop_fd(&entry);
        return error_set(error, "Parameter 'fdset-id' expects a non-negative value");
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    g_mutex_lock(&lock);
    set = has_id ? find_set(id) : NULL;
    if (!set) {
        set = make_set(has_id ? id : free_id());
    }
    g_array_append_val(set->fds, entry);
    if (info) {
        *info = g_new0(AddfdInfo, 1);
        (*info)->fdset_id = set->id;
        (*info)->fd = fd;
    }
    g_mutex_unlock(&lock);
    return true;
}

bool io_fdset_remove(int64_t id, bool has_fd, int64_t fd, GError **error)
{
    bool found = false;
    FdSet *set;

    g_mutex_lock(&lock);
    set = find_set(id);
    for (guint i = set ? set->fds->len : 0; i-- > 0;) {
        if (!has_fd || g_array_index(set->fds, SetFd, i).fd == fd) {
            g_array_remove_index(set->fds, i);
            found = true;
        }
    }
    found |= set && !has_fd;
    if (set) {
        forget_if_empty(set);
    }
    g_mutex_unlock(&lock);
    if (found) {
        return true;
    }
    if (has_fd) {
        return error_set(error,
                         "File descriptor named 'fdset-id:%" PRId64 ", fd:%" PRId64 "' not found",
                         id, fd);
    }
    return error_set(error, "File descriptor named 'fdset-id:%" PRId64 "' not found", id);
}

FdsetInfoArray *io_fdset_query(void)
{
    FdsetInfoArray *result = g_new0(FdsetInfoArray, 1);

    g_mutex_lock(&lock);
    for (guint i = 0; sets && i < sets->len; i++) {
        FdSet *set = g_ptr_array_index(sets, i);
        FdsetInfo *info = g_new0(FdsetInfo, 1);

        info->fdset_id = set->id;
        info->fds = g_new0(FdsetFdInfoArray, 1);
        for (guint k = 0; k < set->fds->len; k++) {
            SetFd *f = &g_array_index(set->fds, SetFd, k);
            FdsetFdInfo *fd = g_new0(FdsetFdInfo, 1);

            fd->fd = f->fd;
            fd->opaque = g_strdup(f->opaque);
            QAPI_ARRAY_ADD(info->fds, fd);
        }
        QAPI_ARRAY_ADD(result, info);
    }
    g_mutex_unlock(&lock);
    return result;
}

/* ---- opening ---- */

/* The first one whose flags are these, as far as the mask goes; -1: none. */
static int find_in_set(const FdSet *set, int flags, int mask)
{
    for (guint i = 0; i < set->fds->len; i++) {
        int candidate = g_array_index(set->fds, SetFd, i).fd;
        int mode = fcntl(candidate, F_GETFL);

        if (mode != -1 && (mode & mask) == (flags & mask)) {
            return candidate;
        }
    }
    return -1;
}

/* One that has O_DIRECT, or has it not, as is wanted: descriptors that were opened together share that flag. */
static int open_from_set(int64_t id, int flags)
{
    int fd = -ENOENT;
    FdSet *set;

    g_mutex_lock(&lock);
    set = find_set(id);
    if (set) {
        fd = -EACCES;
    }
    if (set) {
        int candidate = find_in_set(set, flags, O_ACCMODE | O_DIRECT);

        candidate = candidate < 0 ? find_in_set(set, flags, O_ACCMODE) : candidate;
        if (candidate >= 0) {
            fd = fcntl(candidate, F_DUPFD_CLOEXEC, 0);
            fd = fd < 0 ? -errno : fd;
        }
    }
    if (fd >= 0) {
        g_array_append_val(set->dups, fd);
        /* the flags that can be changed later; file creation ones mean nothing here */
        fcntl(fd, F_SETFL, flags & (O_APPEND | O_DIRECT | O_NONBLOCK | O_DSYNC | O_SYNC));
    }
    g_mutex_unlock(&lock);
    return fd;
}

static int open_once(const char *path, int flags, mode_t mode)
{
    static const char prefix[] = "/dev/fdset/";
    int fd;

    if (g_str_has_prefix(path, prefix)) {
        int64_t id;

        if (!parse_int64(path + strlen(prefix), &id, NULL) || id < 0) {
            return -EINVAL;
        }
        return open_from_set(id, flags);
    }
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int io_open(const char *path, int flags, mode_t mode, GError **error)
{
    int fd = open_once(path, flags, mode);

    if (fd < 0) {
        error_set_errno(error, -fd, "Could not %s '%s'", flags & O_CREAT ? "create" : "open", path);
    }
    return fd;
}

int io_close(int fd)
{
    g_mutex_lock(&lock);
    for (guint i = 0; sets && i < sets->len; i++) {
        FdSet *set = g_ptr_array_index(sets, i);
        bool found = false;

        for (guint k = 0; k < set->dups->len && !found; k++) {
            if (g_array_index(set->dups, int, k) == fd) {
                g_array_remove_index_fast(set->dups, k);
                found = true;
            }
        }
        if (found) {
            forget_if_empty(set);
            break;
        }
    }
    g_mutex_unlock(&lock);
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

/* ---- by number or name ---- */

void io_fd_set_resolver(int (*resolver)(const char *name, GError **error))
{
    name_resolver = resolver;
}

int io_fd_take(const char *name, GError **error)
{
    int64_t number;

    if (g_ascii_isdigit(name[0])) {
        if (!parse_int64(name, &number, NULL) || number > INT_MAX) {
            error_set(error, "Unable to parse FD number %s", name);
            return -1;
        }
        if (fcntl((int)number, F_GETFD) < 0) {
            error_set_errno(error, errno, "File descriptor %s cannot be used", name);
            return -1;
        }
        fcntl((int)number, F_SETFD, FD_CLOEXEC);
        return (int)number;
    }
    if (!name_resolver) {
        error_set(error, "Unable to parse FD number %s", name);
        return -1;
    }
    return name_resolver(name, error);
}
