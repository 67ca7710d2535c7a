/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities and parameters. */
#ifndef MIGRATION_OPTIONS_H
#define MIGRATION_OPTIONS_H

#include "qapi/types-migration.h"

/* Any thread; capabilities do not change during a migration, parameters may. */
bool migration_capability(MigrationCapability cap);
/* The machine runs here now: network cards tell it to the switches (announce-… parameters). Big lock. */
void migration_announce_self(void);
uint64_t migration_max_bandwidth(void);              /* bytes per second, UINT64_MAX: no limit */
uint64_t migration_avail_switchover_bandwidth(void); /* bytes per second, 0: not known */
uint64_t migration_downtime_limit(void);             /* milliseconds, as the others */
uint64_t migration_quiesce_timeout(void);
uint64_t migration_switchover_timeout(void);
unsigned migration_multifd_channels(void);
MultiFDCompression migration_multifd_compression(void);
int migration_multifd_zlib_level(void);
int migration_multifd_zstd_level(void);
ZeroPageDetection migration_zero_page_detection(void);
uint64_t migration_max_postcopy_bandwidth(void); /* bytes per second, UINT64_MAX: no limit */
uint64_t migration_xbzrle_cache_size(void);
/* Percents of auto-converge. */
typedef struct ThrottleParameters {
    unsigned threshold, initial, increment, most;
    bool tailslow;
} ThrottleParameters;
ThrottleParameters migration_throttle(void);
bool migration_direct_io(void);
/* Whether the destination answers: asked for, or needed by another capability. */
bool migration_return_path(void);

/* ---- what machine versions differ in --------------------------------------------------------------------------- */

/* Up to 8.0 the end of each RAM section is a sync of multifd channels, later there is a mark. */
bool migration_flush_each_section(void);
/* From 10.0 on the destination is told when the guest has stopped. */
bool migration_sends_switchover_start(void);

#endif
