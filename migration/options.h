/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities and parameters. */
#ifndef MIGRATION_OPTIONS_H
#define MIGRATION_OPTIONS_H

#include "qapi/types-migration.h"

/* Any thread; capabilities do not change during a migration, parameters may. */
bool migration_capability(MigrationCapability cap);
uint64_t migration_max_bandwidth(void);              /* bytes per second, UINT64_MAX: no limit */
uint64_t migration_avail_switchover_bandwidth(void); /* bytes per second, 0: not known */
uint64_t migration_downtime_limit(void);             /* milliseconds, as the others */
uint64_t migration_quiesce_timeout(void);
uint64_t migration_switchover_timeout(void);

#endif
