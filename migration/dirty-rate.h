/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the guest writes memory (calc-dirty-rate). Main thread.
 *
 * D1  There is one dirty log, and a migration needs it more: one that begins ends a measurement, which then counts for the
 *     time that it had.
 * D2  Memory that is still to come from a source is not read: nothing is measured while a guest moves here.
 */
#ifndef MIGRATION_DIRTY_RATE_H
#define MIGRATION_DIRTY_RATE_H

/* D1 */
void dirty_rate_give_way(void);
/* At exit. */
void dirty_rate_shutdown(void);

#endif
