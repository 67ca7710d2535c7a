/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reasons not to migrate (P6), known to everything that has state. Big lock.
 */
#ifndef VMSTATE_BLOCKER_H
#define VMSTATE_BLOCKER_H

#include <stdbool.h>
#include <glib.h>

typedef struct VmBlocker VmBlocker;

/* As long as the blocker exists no migration can start. The text is a sentence for users without a full stop.
 * NULL with an error, if nothing may block (-only-migratable) or a migration is going on. */
VmBlocker *vmstate_block(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* As long as the blocker exists no migration with postcopy can start. */
VmBlocker *vmstate_block_postcopy(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* Whether none does; the error is the oldest one's text. */
bool vmstate_check_postcopy(GError **error);
/* Of either kind. NULL is allowed. */
void vmstate_unblock(VmBlocker *blocker);
typedef void VmBlockerFunc(const char *reason, void *opaque);
/* Blockers in order of age, then sections that are unmigratable ("…device 'x' cannot be migrated: why"). */
void vmstate_foreach_reason(VmBlockerFunc *func, void *opaque);

/* -only-migratable: what cannot be migrated is refused when it comes. */
void vmstate_set_only_migratable(bool only);
bool vmstate_only_migratable(void);

/* While a stream is being written or read the set of devices stays as it is: device_add and device_del are
 * refused. Counted. */
void vmstate_freeze(void);
void vmstate_thaw(void);
bool vmstate_frozen(void);

#endif
