/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities and parameters, and the commands that show and set them. */
#include "util/osdep.h"
#include "options.h"

#include "hw/core/machine.h"
#include "migration/migration.h"
#include "net/net.h"
#include "qapi/commands-migration.h"
#include "state.h"
#include "system/memory.h"
#include "util/error.h"

#define DOWNTIME_LIMIT_MAX 2000000 /* ms */
#define TIMEOUT_MAX 86400000       /* ms: a day */

static bool capabilities[MIGRATION_CAPABILITY_COUNT];

/* Always all of them; members are read and written with GET and SET. */
static MigrationParameters parameters = {
    .announce_initial = 50,
    .announce_max = 550,
    .announce_rounds = 5,
    .announce_step = 100,
    .max_bandwidth = 128 << 20,
    .downtime_limit = 300,
    .x_quiesce_timeout = 3000,
    .x_switchover_timeout = 10000,
    .xbzrle_cache_size = 64 << 20,
    .throttle_trigger_threshold = 50,
    .cpu_throttle_initial = 20,
    .cpu_throttle_increment = 10,
    .max_cpu_throttle = 99,
    .multifd_channels = 2,
    .multifd_zlib_level = 1,
    .multifd_zstd_level = 1,
};
static bool zero_page_detection_set;

#define GET(name) __atomic_load_n(&parameters.name, __ATOMIC_RELAXED)

/* A parameter: where it is, and what it may be. */
typedef struct Parameter {
    const char *name, *expects;
    size_t has, at, size;
    uint64_t min, max;
    bool fixed; /* during a migration */
} Parameter;

#define PARAMETER(member, text, low, high, shown)                                              \
    {                                                                                          \
        text, shown, offsetof(MigrationParameters, has_##member),                              \
            offsetof(MigrationParameters, member), sizeof(((MigrationParameters *)0)->member), \
            low, high, false                                                                   \
    }
#define FIXED(member, text, low, high, shown)                                                  \
    {                                                                                          \
        text, shown, offsetof(MigrationParameters, has_##member),                              \
            offsetof(MigrationParameters, member), sizeof(((MigrationParameters *)0)->member), \
            low, high, true                                                                    \
    }

static const Parameter table[] = {
    PARAMETER(announce_initial, "announce_initial", 0, 100000, "a value between 0 and 100000"),
    PARAMETER(announce_max, "announce_max", 0, 100000, "a value between 0 and 100000"),
    PARAMETER(announce_rounds, "announce_rounds", 0, 1000, "a value between 0 and 1000"),
    PARAMETER(announce_step, "announce_step", 1, 10000, "a value between 1 and 10000"),
    PARAMETER(max_bandwidth, "max_bandwidth", 0, INT64_MAX,
              "an integer in the range of 0 to 2^63 - 1 bytes/second"),
    PARAMETER(avail_switchover_bandwidth, "avail_switchover_bandwidth", 0, INT64_MAX,
              "an integer in the range of 0 to 2^63 - 1 bytes/second"),
    PARAMETER(downtime_limit, "downtime_limit", 0, DOWNTIME_LIMIT_MAX,
              "an integer in the range of 0 to (2000 * 1000) ms"),
    FIXED(multifd_channels, "multifd_channels", 1, 255, "a value between 1 and 255"),
    FIXED(multifd_compression, "multifd_compression", 0, MULTI_FD_COMPRESSION_COUNT - 1, "a name"),
    FIXED(multifd_zlib_level, "multifd_zlib_level", 0, 9, "a value between 0 and 9"),
    FIXED(multifd_zstd_level, "multifd_zstd_level", 0, 20, "a value between 0 and 20"),
    FIXED(zero_page_detection, "zero_page_detection", 0, ZERO_PAGE_DETECTION_COUNT - 1, "a name"),
    PARAMETER(max_postcopy_bandwidth, "max_postcopy_bandwidth", 0, INT64_MAX,
              "an integer in the range of 0 to 2^63 - 1 bytes/second"),
    PARAMETER(xbzrle_cache_size, "xbzrle_cache_size", GUEST_PAGE_SIZE, UINT64_C(1) << 48,
              "a power of two no less than the target page size"),
    FIXED(direct_io, "direct_io", 0, 1, "on or off"),
    PARAMETER(throttle_trigger_threshold, "throttle_trigger_threshold", 1, 100, "an integer in the range of 1 to 100"),
    PARAMETER(cpu_throttle_initial, "cpu_throttle_initial", 1, 99, "an integer in the range of 1 to 99"),
    PARAMETER(cpu_throttle_increment, "cpu_throttle_increment", 1, 99, "an integer in the range of 1 to 99"),
    PARAMETER(cpu_throttle_tailslow, "cpu_throttle_tailslow", 0, 1, "on or off"),
    PARAMETER(max_cpu_throttle, "max_cpu_throttle", 1, 99,
              "an integer in the range of cpu_throttle_initial to 99"),
    PARAMETER(x_quiesce_timeout, "x-quiesce-timeout", 0, TIMEOUT_MAX,
              "at most 86400000 milliseconds"),
    PARAMETER(x_switchover_timeout, "x-switchover-timeout", 1, TIMEOUT_MAX,
              "1 to 86400000 milliseconds"),
};

bool migration_capability(MigrationCapability cap)
{
    return capabilities[cap];
}

void migration_announce_self(void)
{
    AnnounceParameters announce = {
        .initial = GET(announce_initial),
        .max = GET(announce_max),
        .rounds = GET(announce_rounds),
        .step = GET(announce_step),
    };

    if (announce.rounds) {
        net_announce_self(&announce);
    }
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
    return GET(x_quiesce_timeout);
}

uint64_t migration_switchover_timeout(void)
{
    return GET(x_switchover_timeout);
}

unsigned migration_multifd_channels(void)
{
    return GET(multifd_channels);
}

MultiFDCompression migration_multifd_compression(void)
{
    return GET(multifd_compression);
}

int migration_multifd_zlib_level(void)
{
    return GET(multifd_zlib_level);
}

int migration_multifd_zstd_level(void)
{
    return GET(multifd_zstd_level);
}

uint64_t migration_max_postcopy_bandwidth(void)
{
    uint64_t limit = GET(max_postcopy_bandwidth);
    return limit ? limit : UINT64_MAX;
}

uint64_t migration_xbzrle_cache_size(void)
{
    return GET(xbzrle_cache_size);
}

ThrottleParameters migration_throttle(void)
{
    return (ThrottleParameters){
        .threshold = GET(throttle_trigger_threshold),
        .initial = GET(cpu_throttle_initial),
        .increment = GET(cpu_throttle_increment),
        .most = GET(max_cpu_throttle),
        .tailslow = GET(cpu_throttle_tailslow),
    };
}

bool migration_direct_io(void)
{
    return GET(direct_io);
}

bool migration_return_path(void)
{
    return migration_capability(MIGRATION_CAPABILITY_RETURN_PATH) ||
           migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM);
}

static bool machine_up_to(const char *version)
{
    const Machine *machine = machine_current();
    const char *own = machine ? machine_get_type(machine)->version : NULL;
    return own && machine_version_compare(own, version) <= 0;
}

ZeroPageDetection migration_zero_page_detection(void)
{
    if (!zero_page_detection_set) {
        return machine_up_to("8.2") ? ZERO_PAGE_DETECTION_LEGACY : ZERO_PAGE_DETECTION_MULTIFD;
    }
    return GET(zero_page_detection);
}

bool migration_flush_each_section(void)
{
    return machine_up_to("8.0");
}

bool migration_sends_switchover_start(void)
{
    return !machine_up_to("9.2");
}

/* ---- capabilities ---- */

/* What does not go together; words as stock has them, where it has such a rule. */
static bool check_capabilities(const bool *wanted, GError **error)
{
    if (wanted[MIGRATION_CAPABILITY_POSTCOPY_RAM] && wanted[MIGRATION_CAPABILITY_MULTIFD]) {
        return error_set(error, "Postcopy is not yet compatible with multifd");
    }
    if (wanted[MIGRATION_CAPABILITY_POSTCOPY_RAM] && wanted[MIGRATION_CAPABILITY_X_IGNORE_SHARED]) {
        return error_set(error, "Postcopy is not compatible with ignore-shared");
    }
    if (wanted[MIGRATION_CAPABILITY_XBZRLE] && wanted[MIGRATION_CAPABILITY_MULTIFD]) {
        return error_set(error, "Multifd is not compatible with xbzrle");
    }
    if (wanted[MIGRATION_CAPABILITY_MAPPED_RAM] &&
        (wanted[MIGRATION_CAPABILITY_XBZRLE] || wanted[MIGRATION_CAPABILITY_POSTCOPY_RAM] ||
         wanted[MIGRATION_CAPABILITY_X_IGNORE_SHARED])) {
        return error_set(error, "Mapped-ram migration is incompatible with xbzrle, postcopy-ram and x-ignore-shared");
    }
    if (wanted[MIGRATION_CAPABILITY_SWITCHOVER_ACK] && !wanted[MIGRATION_CAPABILITY_RETURN_PATH]) {
        return error_set(error, "Capability 'switchover-ack' requires capability 'return-path'");
    }
    if (wanted[MIGRATION_CAPABILITY_ZERO_COPY_SEND] &&
        (!wanted[MIGRATION_CAPABILITY_MULTIFD] ||
         GET(multifd_compression) != MULTI_FD_COMPRESSION_NONE)) {
        return error_set(error,
                         "Zero copy only available for non-compressed non-TLS multifd migration");
    }
    return true;
}

bool qmp_migrate_set_capabilities(const MigrationCapabilityStatusArray *list, GError **error)
{
    /* A destination that still waits for its source has not looked at them. */
    if (outgoing_active() || incoming_loading()) {
        return error_set(error, "There's a migration process in progress");
    }
    bool wanted[MIGRATION_CAPABILITY_COUNT];
    memcpy(wanted, capabilities, sizeof(wanted));
    for (size_t i = 0; i < list->len; i++) {
        wanted[list->items[i]->capability] = list->items[i]->state;
    }
    if (!check_capabilities(wanted, error)) {
        return false;
    }
    memcpy(capabilities, wanted, sizeof(wanted));
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

static uint64_t load_member(const MigrationParameters *p, const Parameter *info)
{
    const void *at = (const char *)p + info->at;
    switch (info->size) {
    case 1:
        return __atomic_load_n((const uint8_t *)at, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
    }
}

static void store_member(MigrationParameters *p, const Parameter *info, uint64_t value)
{
    void *at = (char *)p + info->at;
    switch (info->size) {
    case 1:
        __atomic_store_n((uint8_t *)at, value, __ATOMIC_RELAXED);
        break;
    case 4:
        __atomic_store_n((uint32_t *)at, value, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
    }
}

static bool has_member(const MigrationParameters *p, const Parameter *info)
{
    return *(const bool *)((const char *)p + info->has);
}

/* The slowest that processors become is no faster than what they begin with. */
static bool check_throttle(const MigrationParameters *p, GError **error)
{
    unsigned initial =
        p->has_cpu_throttle_initial ? p->cpu_throttle_initial : GET(cpu_throttle_initial);
    return !p->has_max_cpu_throttle || p->max_cpu_throttle >= initial ||
           error_set(error, "Parameter 'max_cpu_throttle' expects an integer in the range of "
                            "cpu_throttle_initial to 99");
}

static bool check_parameters(const MigrationParameters *p, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (has_member(p, &table[i])) {
            uint64_t value = load_member(p, &table[i]);
            bool odd = table[i].at == offsetof(MigrationParameters, xbzrle_cache_size) &&
                       (value & (value - 1));
            if (value < table[i].min || value > table[i].max || odd) {
                return error_set(error, "Parameter '%s' expects %s", table[i].name,
                                 table[i].expects);
            }
            if (table[i].fixed && value != load_member(&parameters, &table[i]) &&
                (outgoing_active() || incoming_loading())) {
                return error_set(error, "Parameter '%s' cannot be changed during a migration",
                                 table[i].name);
            }
        }
    }
    return check_throttle(p, error);
}

bool qmp_migrate_set_parameters(const MigrationParameters *p, GError **error)
{
    if (!check_parameters(p, error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (has_member(p, &table[i])) {
            store_member(&parameters, &table[i], load_member(p, &table[i]));
        }
    }
    zero_page_detection_set |= p->has_zero_page_detection;
    outgoing_parameters_changed();
    return true;
}

bool qmp_query_migrate_parameters(MigrationParameters **ret, GError **error)
{
    MigrationParameters *p = g_new0(MigrationParameters, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        *(bool *)((char *)p + table[i].has) = true;
        store_member(p, &table[i], load_member(&parameters, &table[i]));
    }
    p->zero_page_detection = migration_zero_page_detection();
    *ret = p;
    return true;
}
