/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the run state and its QMP commands. */
#ifndef SYSTEM_RUNSTATE_INTERNAL_H
#define SYSTEM_RUNSTATE_INTERNAL_H

#include "system/runstate.h"

/* Forgets a stop that was asked for and has not happened yet. */
void vm_cancel_stop_request(void);
/* What vm_stop() does to the block layer: wait until nothing is in flight, flush all; 0 or -errno. */
void vm_set_drain_hook(int (*hook)(void));

#endif
