/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities and parameters, and the commands that show and set them. */
#include "util/osdep.h"
#include "options.h"

#include "migration/migration.h"
#include "qapi/commands-migration.h"
#include "state.h"
#include "util/error.h"

#define DOWNTIME_LIMIT_MAX 2000000 /* ms */
#define TIMEOUT_MAX 86400000       /* ms: a day */

static bool capabilities[MIGRATION_CAPABILITY_COUNT];

static struct {
    uint64_t max_bandwidth, avail_switchover_bandwidth, downtime_limit, quiesce_timeout,
        switchover_timeout;
} parameters = {
    .max_bandwidth = 128 << 20,
    .downtime_limit = 300,
    .quiesce_timeout = 3000,
    .switchover_timeout = 10000,
};

#define GET(name) __atomic_load_n(&parameters.name, __ATOMIC_RELAXED)
#define SET(name, value) __atomic_store_n(&parameters.name, (value), __ATOMIC_RELAXED)

bool migration_capability(MigrationCapability cap)
{
    return capabilities[cap];
}

uint64_t migration_max_bandwidth(void)
{
    uint64_t limit = GET(max_bandwidth);
    return limit ? limit : UINT64_MAX;
}

uint64_t migration_avail_switchover_bandwidth(void)
{
    return GET(avail_switchover_bandwidth);
}

uint64_t migration_downtime_limit(void)
{
    return GET(downtime_limit);
}

uint64_t migration_quiesce_timeout(void)
{
    return GET(quiesce_timeout);
}

uint64_t migration_switchover_timeout(void)
{
    return GET(switchover_timeout);
}

/* ---- capabilities ---- */

bool qmp_migrate_set_capabilities(const MigrationCapabilityStatusArray *list, GError **error)
{
    /* A destination that still waits for its source has not looked at them. */
    if (outgoing_active() || incoming_loading()) {
        return error_set(error, "There's a migration process in progress");
    }
    for (size_t i = 0; i < list->len; i++) {
        capabilities[list->items[i]->capability] = list->items[i]->state;
    }
    return true;
}

bool qmp_query_migrate_capabilities(MigrationCapabilityStatusArray **ret, GError **error)
{
    *ret = g_new0(MigrationCapabilityStatusArray, 1);
    for (int i = 0; i < MIGRATION_CAPABILITY_COUNT; i++) {
        MigrationCapabilityStatus *status = g_new0(MigrationCapabilityStatus, 1);
        status->capability = i;
        status->state = capabilities[i];
        QAPI_ARRAY_ADD(*ret, status);
    }
    return true;
}

/* ---- parameters ---- */

static bool expects(GError **error, const char *name, const char *what)
{
    return error_set(error, "Parameter '%s' expects %s", name, what);
}

static bool check_parameters(const MigrationParameters *p, GError **error)
{
    if (p->has_max_bandwidth && p->max_bandwidth > INT64_MAX) {
        return expects(error, "max_bandwidth", "an integer in the range of 0 to 2^63 - 1 bytes/second");
    }
    if (p->has_avail_switchover_bandwidth && p->avail_switchover_bandwidth > INT64_MAX) {
        return expects(error, "avail_switchover_bandwidth",
                       "an integer in the range of 0 to 2^63 - 1 bytes/second");
    }
    if (p->has_downtime_limit && p->downtime_limit > DOWNTIME_LIMIT_MAX) {
        return expects(error, "downtime_limit", "a value in the range of 0 to 2000 seconds");
    }
    if (p->has_x_quiesce_timeout && p->x_quiesce_timeout > TIMEOUT_MAX) {
        return expects(error, "x-quiesce-timeout", "at most 86400000 milliseconds");
    }
    if (p->has_x_switchover_timeout &&
        (p->x_switchover_timeout == 0 || p->x_switchover_timeout > TIMEOUT_MAX)) {
        return expects(error, "x-switchover-timeout", "1 to 86400000 milliseconds");
    }
    return true;
}

bool qmp_migrate_set_parameters(const MigrationParameters *p, GError **error)
{
    if (!check_parameters(p, error)) {
        return false;
    }
    if (p->has_max_bandwidth) {
        SET(max_bandwidth, p->max_bandwidth);
    }
    if (p->has_avail_switchover_bandwidth) {
        SET(avail_switchover_bandwidth, p->avail_switchover_bandwidth);
    }
    if (p->has_downtime_limit) {
        SET(downtime_limit, p->downtime_limit);
    }
    if (p->has_x_quiesce_timeout) {
        SET(quiesce_timeout, p->x_quiesce_timeout);
    }
    if (p->has_x_switchover_timeout) {
        SET(switchover_timeout, p->x_switchover_timeout);
    }
    outgoing_parameters_changed();
    return true;
}

bool qmp_query_migrate_parameters(MigrationParameters **ret, GError **error)
{
    MigrationParameters *p = g_new0(MigrationParameters, 1);
    p->has_max_bandwidth = p->has_avail_switchover_bandwidth = p->has_downtime_limit = true;
    p->has_x_quiesce_timeout = p->has_x_switchover_timeout = true;
    p->max_bandwidth = GET(max_bandwidth);
    p->avail_switchover_bandwidth = GET(avail_switchover_bandwidth);
    p->downtime_limit = GET(downtime_limit);
    p->x_quiesce_timeout = GET(quiesce_timeout);
    p->x_switchover_timeout = GET(switchover_timeout);
    *ret = p;
    return true;
}
