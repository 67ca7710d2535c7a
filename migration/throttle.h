/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slowing processors down, so that a guest that writes much can be moved (auto-converge). */
#ifndef MIGRATION_THROTTLE_H
#define MIGRATION_THROTTLE_H

/* The part of the time, in percent (0 to 99), that processors do not run. Main thread. */
void throttle_set(unsigned percent);
/* Any thread. */
unsigned throttle_get(void);

#endif
