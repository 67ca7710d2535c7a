/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qtest server: a client plays the guest's processor over a line protocol (docs/devel/accel.md). */
#ifndef ACCEL_QTEST_QTEST_H
#define ACCEL_QTEST_QTEST_H

#include "chardev/chardev.h"

/* Serves one client at a time on chr. log: file for a copy of the dialogue, NULL for stderr, "none" for no log.
 * Once in the life of the process. */
bool qtest_server_start(Chardev *chr, const char *log, GError **error);
/* The client's accesses wait while the machine stands still for a migration, on either side, and are never done by a
 * source whose guest has gone. */
void qtest_server_set_client_migrates(bool on);
/* Whether there is a server; accelerator qtest without one is a machine that nobody runs. */
bool qtest_server_active(void);
/* At exit: lets go of the chardev. */
void qtest_server_stop(void);

#endif
