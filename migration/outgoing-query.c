/* SPDX-License-Identifier: GPL-2.0-or-later */
/* query-migrate on the source. */
#include "util/osdep.h"
#include "outgoing-internal.h"

#include "options.h"
#include "ram.h"
#include "throttle.h"

static int64_t ms_between(int64_t from, int64_t to)
{
    return (to - from) / NS_PER_MS;
}

static MigrationRAMStats *ram_stats(bool over)
{
    RamCounters counters;
    MigrationRAMStats *ram = g_new0(MigrationRAMStats, 1);
    uint64_t transferred = GET(transferred), precopy = GET(precopy_bytes);
    ram_save_counters(&counters);
    ram->transferred = transferred;
    ram->remaining = counters.remaining;
    ram->total = counters.total;
    ram->duplicate = counters.zero_pages;
    ram->normal = counters.normal_pages;
    ram->normal_bytes = counters.normal_pages * GUEST_PAGE_SIZE;
    ram->dirty_pages_rate = counters.dirty_pages_rate;
    ram->dirty_sync_count = counters.syncs;
    ram->page_size = GUEST_PAGE_SIZE;
    ram->multifd_bytes = GET(multifd_bytes);
    ram->dirty_sync_missed_zero_copy = GET(missed_zero_copy);
    ram->precopy_bytes = precopy ? precopy : transferred;
    uint64_t handed = GET(postcopy_bytes);
    ram->downtime_bytes = precopy ? (handed ? handed : transferred) - precopy : 0;
    ram->postcopy_bytes = handed ? transferred - handed : 0;
    ram->postcopy_requests = handed ? ram_save_request_count() : 0;
    if (over) {
        int64_t ms = MAX(ms_between(GET(start_ns), GET(end_ns)), 1);
        ram->mbps = transferred * 8.0 / 1000 / ms;
        ram->pages_per_second = (counters.normal_pages + counters.zero_pages) * 1000 / ms;
    } else {
        ram->mbps = GET(mbps_1000) / 1000.0;
        ram->pages_per_second = GET(pages_per_second);
    }
    return ram;
}

static XBZRLECacheStats *xbzrle_stats(void)
{
    if (!migration_capability(MIGRATION_CAPABILITY_XBZRLE)) {
        return NULL;
    }
    RamCounters counters;
    XBZRLECacheStats *stats = g_new0(XBZRLECacheStats, 1);
    ram_save_counters(&counters);
    stats->cache_size = migration_xbzrle_cache_size();
    stats->bytes = counters.xbzrle.bytes;
    stats->pages = counters.xbzrle.pages;
    stats->cache_miss = counters.xbzrle.misses;
    stats->cache_miss_rate =
        counters.xbzrle.asked ? (double)counters.xbzrle.misses / counters.xbzrle.asked : 0;
    stats->encoding_rate = counters.xbzrle.bytes ? (double)counters.xbzrle.pages * GUEST_PAGE_SIZE /
                                                       counters.xbzrle.bytes
                                                 : 0;
    stats->overflow = counters.xbzrle.overflows;
    return stats;
}

static void query_active(MigrationInfo *info)
{
    info->has_total_time = true;
    info->total_time = ms_between(GET(start_ns), outgoing_now_ns());
    info->has_expected_downtime = true;
    info->expected_downtime = GET(expected_downtime_ms);
    info->has_setup_time = true;
    info->setup_time = ms_between(GET(start_ns), GET(active_ns));
    if (throttle_get()) {
        info->has_cpu_throttle_percentage = true;
        info->cpu_throttle_percentage = throttle_get();
    }
    info->ram = ram_stats(false);
    info->xbzrle_cache = xbzrle_stats();
}

static void query_completed(MigrationInfo *info)
{
    info->has_total_time = true;
    info->total_time = ms_between(GET(start_ns), GET(end_ns));
    info->has_downtime = true;
    info->downtime = ms_between(GET(stop_ns), GET(handover_ns) ? GET(handover_ns) : GET(end_ns));
    info->has_setup_time = true;
    info->setup_time = ms_between(GET(start_ns), GET(active_ns));
    info->ram = ram_stats(true);
    info->xbzrle_cache = xbzrle_stats();
}

bool outgoing_query(MigrationInfo *info)
{
    MigrationStatus status = GET(status);
    if (status == MIGRATION_STATUS_NONE) {
        return false;
    }
    info->has_status = true;
    info->status = status;
    switch (status) {
    case MIGRATION_STATUS_ACTIVE:
    case MIGRATION_STATUS_PRE_SWITCHOVER:
    case MIGRATION_STATUS_DEVICE:
    case MIGRATION_STATUS_POSTCOPY_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_PAUSED:
    case MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP:
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
        query_active(info);
        break;
    case MIGRATION_STATUS_CANCELLING:
        if (GET(active_ns)) {
            query_active(info);
        }
        break;
    case MIGRATION_STATUS_COMPLETED:
        query_completed(info);
        break;
    case MIGRATION_STATUS_FAILED:
        info->error_desc = g_strdup(outgoing.error->message);
        break;
    default:
        break;
    }
    return true;
}
