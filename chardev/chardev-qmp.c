/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands of qapi/char.json. */
#include "util/osdep.h"

#include "chardev-private.h"
#include "qapi/commands-char.h"
#include "qapi/dispatch.h"
#include "util/error.h"

QMP_REGISTER(char)

static void add_info(Chardev *chr, void *opaque)
{
    ChardevInfoArray *list = opaque;
    ChardevInfo *info = g_new0(ChardevInfo, 1);

    info->label = g_strdup(chardev_id(chr));
    info->filename = chardev_filename(chr);
    info->frontend_open = chardev_fe_is_open(chr);
    QAPI_ARRAY_ADD(list, info);
}

bool qmp_query_chardev(ChardevInfoArray **ret, GError **error)
{
    *ret = g_new0(ChardevInfoArray, 1);
    chardev_for_each(add_info, *ret);
    return true;
}

static void add_backend(const ChardevOps *ops, void *opaque)
{
    ChardevBackendInfoArray *list = opaque;
    ChardevBackendInfo *info = g_new0(ChardevBackendInfo, 1);

    info->name = g_strdup(qapi_name_ChardevBackendKind(ops->kind));
    QAPI_ARRAY_ADD(list, info);
}

bool qmp_query_chardev_backends(ChardevBackendInfoArray **ret, GError **error)
{
    *ret = g_new0(ChardevBackendInfoArray, 1);
    chardev_foreach_ops(add_backend, *ret);
    return true;
}

static ChardevReturn *result_of(Chardev *chr)
{
    ChardevReturn *result = g_new0(ChardevReturn, 1);

    if (chr->ops->kind == CHARDEV_BACKEND_KIND_PTY) {
        result->pty = g_strdup(chr->filename + strlen("pty:"));
    }
    return result;
}

bool qmp_chardev_add(const char *id, const ChardevBackend *backend, ChardevReturn **ret,
                     GError **error)
{
    Chardev *chr;

    if (chardev_find(id)) {
        return error_set(error, "Chardev with id '%s' already exists", id);
    }
    chr = chardev_create(id, backend, true, false, error);
    if (!chr) {
        error_prefix(error, "Failed to add chardev '%s': ", id);
        return false;
    }
    *ret = result_of(chr);
    return true;
}

bool qmp_chardev_remove(const char *id, GError **error)
{
    return chardev_remove(id, error);
}

bool qmp_chardev_send_break(const char *id, GError **error)
{
    Chardev *chr = chardev_find(id);

    if (!chr) {
        return error_set(error, "Chardev '%s' not found", id);
    }
    chardev_be_event(chr, CHARDEV_EVENT_BREAK);
    return true;
}
