/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the event loop know of each other. */
#ifndef UTIL_LOOP_PRIVATE_H
#define UTIL_LOOP_PRIVATE_H

#include <glib.h>

/* Attaches the main context's bottom-half source. */
void loop_bh_init_main(void);
/* The thread is to run another context than before. */
void loop_bh_leave_context(void);
/* Runs what waits, and what that schedules, in so many rounds: less than an iteration. The thread that runs ctx. */
void loop_bh_run(GMainContext *ctx, unsigned rounds);

#endif
