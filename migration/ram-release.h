/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release-ram: the source's memory goes back to the host while postcopy goes on, as far as it can not be needed again.
 *
 * J1  A page is released when the destination has put it in its place: a ping goes out behind what was sent, and the
 *     answer says that all before it was handled. What the kernel has taken may still be lost with the connection.
 * J2  Nothing is released before the guest is the destination's for good (W2).
 * J3  What was released is never sent again: a destination that asks for it in a recovery is refused.
 * J4  What others may want to have is kept: memory that is a file with a name.
 */
#ifndef MIGRATION_RAM_RELEASE_H
#define MIGRATION_RAM_RELEASE_H

#include "ram-save.h"

/* Postcopy begins: todo_bitmap is what is to be sent. The migration thread, as the others unless they say otherwise. */
void ram_release_begin(void);
/* All of these pages have been sent. */
void ram_release_sent(SaveBlock *sb, uint64_t page, uint64_t n);
/* Between sections: releases what is answered for, and asks again. gone: J2. */
void ram_release_step(MigrationOut *out, bool gone);
/* An answer has come. Main thread. */
void ram_release_answered(uint32_t value);
/* Whether the block's pages that the destination misses (todo_bitmap) are all still here (J3). Main thread. */
bool ram_release_has_missing(const SaveBlock *sb, GError **error);
/* A new connection goes on with what todo_bitmap says is missing. gone: J2. */
void ram_release_recovered(bool gone);
/* The destination has everything. */
void ram_release_all(void);
void ram_release_free(void);

#endif
