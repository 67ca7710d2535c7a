/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two directions, as the commands see them. Main thread, big lock, unless it says otherwise. */
#ifndef MIGRATION_STATE_H
#define MIGRATION_STATE_H

#include "io/channel.h"
#include "qapi/types-migration.h"

/* Sends the event, if the capability is on. Any thread. */
void migration_announce(MigrationStatus status);

/* ---- outgoing ---- */

bool outgoing_active(void);
bool outgoing_start(const MigrationAddress *addr, GError **error);
void outgoing_cancel(void);
bool outgoing_continue(MigrationStatus expected, GError **error);
bool outgoing_start_postcopy(GError **error);
/* Ends postcopy's connection; false if there is none. Any thread. */
bool outgoing_pause(void);
/* A new one. */
bool outgoing_resume(const MigrationAddress *addr, GError **error);
/* False if there never was one. */
bool outgoing_query(MigrationInfo *info);
/* Wakes the migration out of its wait for bandwidth. */
void outgoing_parameters_changed(void);
/* 'cont' after a migration: whether the guest is here; what it needs. */
bool outgoing_resume_check(GError **error);
bool outgoing_resume_hook(GError **error);
void outgoing_shutdown(void);

/* ---- incoming ---- */

bool incoming_active(void);
/* The stream has begun. */
bool incoming_loading(void);
bool incoming_start(const MigrationAddress *addr, bool exit_on_error, GError **error);
bool incoming_query(MigrationInfo *info);
/* Postcopy: ends the connection (false: there is none); listens for another one. Any thread. */
bool incoming_pause(void);
bool incoming_recover(const MigrationAddress *addr, GError **error);
void incoming_shutdown(void);

#endif
