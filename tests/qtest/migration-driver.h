/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager's side of a migration in tests: commands, and waiting for what they lead to. */
#ifndef MIGRATION_DRIVER_H
#define MIGRATION_DRIVER_H

#include "qtest-client.h"

/* A name in the folder of the test's files; g_free(). */
char *migration_path(const char *name);
/* The same as an address. */
char *migration_unix_uri(const char *name);
/* A machine that the client does not move by itself. */
QTest *migration_start(const char *args, ...) G_GNUC_PRINTF(1, 2);

/* Switches capabilities on or off, separated by spaces. */
void migration_set_capabilities(QTest *q, const char *names, bool on);
/* Members of a JSON object, "'max-bandwidth': 0"; "" is nothing. */
void migration_set_parameters(QTest *q, const char *members, ...) G_GNUC_PRINTF(2, 3);
void migration_outgoing(QTest *q, const char *uri);
/* The destination stays if it cannot load; after migration_incoming_or_exit() it does not. */
void migration_incoming(QTest *q, const char *uri);
void migration_incoming_or_exit(QTest *q, const char *uri);
/* Listens on a port of 127.0.0.1; where, g_free(). */
char *migration_incoming_tcp(QTest *q);

/* Interned; "none" before the first. */
const char *migration_status(QTest *q);
/* A number of query-migrate's answer, by its path. */
int64_t migration_number(QTest *q, const char *path);
/* Until the status is the wanted one (NULL: none is) or cannot change any more; that status. */
const char *migration_wait(QTest *q, const char *wanted);
/* As migration_wait(); another status ends the test. */
void migration_expect(QTest *q, const char *wanted);
/* Until it has failed with an error that contains text. */
void migration_expect_failed(QTest *q, const char *text);
/* The run state, now. */
void migration_expect_state(QTest *q, const char *wanted);

#endif
