/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Life of character devices. See include/chardev/chardev.h. */
#include "util/osdep.h"

#include <fcntl.h>

#include "chardev-private.h"
#include "io/fds.h"
#include "util/error.h"

static const ChardevOps *kinds[CHARDEV_BACKEND_KIND_COUNT];
static GPtrArray *listed; /* Chardev, in order of creation */

/* ---- kinds ---- */

void chardev_register_ops(const ChardevOps *ops)
{
    kinds[ops->kind] = ops;
}

const ChardevOps *chardev_ops_of(ChardevBackendKind kind)
{
    return kinds[kind];
}

void chardev_foreach_ops(void (*func)(const ChardevOps *ops, void *opaque), void *opaque)
{
    for (unsigned i = 0; i < CHARDEV_BACKEND_KIND_COUNT; i++) {
        if (kinds[i]) {
            func(kinds[i], opaque);
        }
    }
}

/* ---- making ---- */

/* Every branch's data begins with the members of ChardevCommon. */
static const ChardevCommon *common_options(const ChardevBackend *backend)
{
    switch (backend->type) {
    case CHARDEV_BACKEND_KIND_FILE:
        return (const ChardevCommon *)backend->u.file.data;
    case CHARDEV_BACKEND_KIND_SERIAL:
        return (const ChardevCommon *)backend->u.serial.data;
    case CHARDEV_BACKEND_KIND_PIPE:
        return (const ChardevCommon *)backend->u.pipe.data;
    case CHARDEV_BACKEND_KIND_SOCKET:
        return (const ChardevCommon *)backend->u.socket.data;
    case CHARDEV_BACKEND_KIND_PTY:
        return (const ChardevCommon *)backend->u.pty.data;
    case CHARDEV_BACKEND_KIND_MUX:
        return (const ChardevCommon *)backend->u.mux.data;
    case CHARDEV_BACKEND_KIND_STDIO:
        return (const ChardevCommon *)backend->u.stdio.data;
    case CHARDEV_BACKEND_KIND_RINGBUF:
        return (const ChardevCommon *)backend->u.ringbuf.data;
    case CHARDEV_BACKEND_KIND_MEMORY:
        return (const ChardevCommon *)backend->u.memory.data;
    default:
        return backend->u.null.data;
    }
}

static bool open_log(Chardev *chr, const ChardevCommon *common, GError **error)
{
    int flags =
        O_WRONLY | O_CREAT | (common->has_logappend && common->logappend ? O_APPEND : O_TRUNC);

    if (!common->logfile) {
        if (common->has_logappend) {
            return error_set(error, "Parameter 'logappend' is useless without 'logfile'");
        }
        return true;
    }
    chr->log_fd = io_open(common->logfile, flags, 0666, error);
    return chr->log_fd >= 0;
}

Chardev *chardev_create(const char *id, const ChardevBackend *backend, bool list, bool may_wait,
                        GError **error)
{
    const ChardevOps *ops = kinds[backend->type];
    Chardev *chr;

    if (!ops) {
        error_set(error, "'%s' is not a valid char driver name",
                  qapi_name_ChardevBackendKind(backend->type));
        return NULL;
    }
    chr = g_malloc0(ops->size);
    chr->ops = ops;
    chr->id = g_strdup(id);
    chr->log_fd = -1;
    g_mutex_init(&chr->lock);
    chr->filename = g_strdup(qapi_name_ChardevBackendKind(backend->type));
    if (!open_log(chr, common_options(backend), error) ||
        !ops->open(chr, backend, may_wait, error)) {
        chardev_destroy(chr);
        return NULL;
    }
    if (list && id) {
        if (!listed) {
            listed = g_ptr_array_new();
        }
        g_ptr_array_add(listed, chr);
        chr->listed = true;
    }
    if (ops->update) {
        ops->update(chr);
    }
    return chr;
}

Chardev *chardev_new(const char *id, const ChardevBackend *backend, GError **error)
{
    if (id && chardev_find(id)) {
        error_set(error, "Chardev with id '%s' already exists", id);
        return NULL;
    }
    return chardev_create(id, backend, true, true, error);
}

/* ---- the end ---- */

void chardev_destroy(Chardev *chr)
{
    if (chr->listed) {
        g_ptr_array_remove(listed, chr);
    }
    if (chr->start) {
        io_watch_clear(&chr->start);
    }
    if (chr->ops->stop) {
        chr->ops->stop(chr);
    }
    if (chr->ops->finalize) {
        chr->ops->finalize(chr);
    }
    if (chr->log_fd >= 0) {
        io_close(chr->log_fd);
    }
    g_mutex_clear(&chr->lock);
    g_free(chr->id);
    g_free(chr->filename);
    g_free(chr);
}

bool chardev_remove(const char *id, GError **error)
{
    Chardev *chr = chardev_find(id);

    if (!chr) {
        return error_set(error, "Chardev '%s' not found", id);
    }
    if (chr->fe || (chardev_is_mux(chr) && chardev_mux_used(chr))) {
        return error_set(error, "Chardev '%s' is busy", id);
    }
    chardev_destroy(chr);
    return true;
}

void chardev_cleanup(void)
{
    /* a mux stands behind the device that it uses */
    while (listed && listed->len) {
        Chardev *chr = g_ptr_array_index(listed, listed->len - 1);

        if (chr->fe) {
            chardev_fe_detach(chr->fe);
        }
        chardev_destroy(chr);
    }
    g_clear_pointer(&listed, g_ptr_array_unref);
}

/* ---- queries ---- */

Chardev *chardev_find(const char *id)
{
    for (guint i = 0; listed && i < listed->len; i++) {
        Chardev *chr = g_ptr_array_index(listed, i);

        if (strcmp(chr->id, id) == 0) {
            return chr;
        }
    }
    return NULL;
}

void chardev_for_each(void (*func)(Chardev *chr, void *opaque), void *opaque)
{
    for (guint i = 0; listed && i < listed->len; i++) {
        func(g_ptr_array_index(listed, i), opaque);
    }
}

const char *chardev_id(const Chardev *chr)
{
    return chr->id;
}

char *chardev_filename(Chardev *chr)
{
    char *text;

    g_mutex_lock(&chr->lock);
    text = g_strdup(chr->filename);
    g_mutex_unlock(&chr->lock);
    return text;
}

void chardev_set_filename(Chardev *chr, char *text)
{
    g_mutex_lock(&chr->lock);
    g_free(chr->filename);
    chr->filename = text;
    g_mutex_unlock(&chr->lock);
}

bool chardev_is_mux(const Chardev *chr)
{
    return chr->ops->kind == CHARDEV_BACKEND_KIND_MUX;
}

bool chardev_fe_is_open(const Chardev *chr)
{
    return chr->fe && chr->fe->open;
}
