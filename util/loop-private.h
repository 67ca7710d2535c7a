/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the event loop know of each other. */
#ifndef UTIL_LOOP_PRIVATE_H
#define UTIL_LOOP_PRIVATE_H

#include <glib.h>

/* Attaches the main context's bottom-half source. */
void loop_bh_init_main(void);
/* Whether bottom halves of ctx (NULL: main) wait to be run. The thread that runs ctx. */
bool loop_bh_pending(GMainContext *ctx);

#endif
