/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chardev "null": takes everything, says nothing. */
#include "util/osdep.h"

#include "chardev-private.h"

static bool null_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    chr->be_open = true;
    return true;
}

static ssize_t null_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    return (ssize_t)len;
}

static const ChardevOps null_ops = {
    .kind = CHARDEV_BACKEND_KIND_NULL,
    .size = sizeof(Chardev),
    .open = null_open,
    .write = null_write,
};
CHARDEV_REGISTER(null_ops)
