/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way back: what the destination says while it loads. */
#ifndef MIGRATION_RETURN_PATH_H
#define MIGRATION_RETURN_PATH_H

#include "io/channel.h"

/* ---- source: main thread, except return_path_wait() ---- */

typedef struct ReturnPath ReturnPath;
/* Called once, with an error: the destination has failed, has broken the protocol or has gone. */
typedef void ReturnPathFunc(const GError *error, void *opaque);

ReturnPath *return_path_new(IoChannel *ioc, ReturnPathFunc *func, void *opaque);
void return_path_free(ReturnPath *rp); /* NULL is allowed */
/* Until the destination says that it has everything; false with an error otherwise. The migration thread. */
bool return_path_wait(ReturnPath *rp, GError **error);

/* ---- destination ---- */

bool return_path_send_pong(IoChannel *ioc, uint32_t value, GError **error);
/* The last message. ok: the source may forget the guest. Fails if the source is not there any more. */
bool return_path_send_shut(IoChannel *ioc, bool ok, GError **error);

#endif
