/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live migration, as the program's start and tests see it. Commands are in qapi/migration.json; the protocol and
 * the order of things are in docs/devel/migration.md.
 *
 * G1  Nothing is sent before everything that cannot be migrated has been asked (P6).
 * G2  From the last look at the dirty bitmap on nobody writes guest memory (P2, system/quiesce.h).
 * G3  The source gives up its images before the destination can have seen the end of the stream, and the
 *     destination touches them only after it has.
 * G4  Whatever fails or is cancelled before the end: the guest runs on here, with its images.
 *
 * Main thread, big lock.
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

#include <glib.h>

/* Registers the sections that are not devices' (clock, RAM). Before the machine is made. */
void migration_init(void);

/* -incoming was given: the run state is inmigrate, images stay with their owner until the stream has arrived.
 * Before block nodes and the machine are made. */
void migration_expect_incoming(void);
/* The value of -incoming: a URI, a channel as JSON, or "defer". Once the machine is complete. */
bool migration_incoming_option(const char *value, GError **error);

/* At exit: ends what is going on. The source's guest is not restarted. */
void migration_shutdown(void);

#endif
