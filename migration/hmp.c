/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP commands about migration. */
#include "util/osdep.h"
#include "monitor/hmp.h"

#include "io/socket.h"
#include "qapi/commands-migration.h"
#include "util/error.h"

static void hmp_migrate(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    if (qmp_migrate(hmp_arg_str(args, "uri"), NULL, false, false, hmp_arg_has(args, "resume"),
                    hmp_arg_has(args, "resume"), &error) && !hmp_arg_has(args, "detach")) {
        hmp_puts(hmp, "terminal does not allow synchronous migration, continuing detached\n");
    }
    hmp_report_error(hmp, &error);
}

static void hmp_migrate_cancel(Hmp *hmp, const HmpArgs *args)
{
    qmp_migrate_cancel(NULL);
}

static void hmp_start_postcopy(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    qmp_migrate_start_postcopy(&error);
    hmp_report_error(hmp, &error);
}

static void hmp_pause(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    qmp_migrate_pause(&error);
    hmp_report_error(hmp, &error);
}

static void hmp_recover(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    qmp_migrate_recover(hmp_arg_str(args, "uri"), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_migrate_continue(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    int state = qapi_parse_MigrationStatus(hmp_arg_str(args, "state"));
    if (state < 0) {
        error_set(&error, "invalid parameter value: %s", hmp_arg_str(args, "state"));
    } else {
        qmp_migrate_continue(state, &error);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_migrate_incoming(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    qmp_migrate_incoming(hmp_arg_str(args, "uri"), NULL, false, false, &error);
    hmp_report_error(hmp, &error);
}

static void hmp_set_capability(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    MigrationCapabilityStatus status = { .state = hmp_arg_bool(args, "state", false) };
    MigrationCapabilityStatus *item = &status;
    MigrationCapabilityStatusArray list = { 1, &item };
    int cap = qapi_parse_MigrationCapability(hmp_arg_str(args, "capability"));
    if (cap < 0) {
        error_set(&error, "invalid parameter value: %s", hmp_arg_str(args, "capability"));
    } else {
        status.capability = cap;
        qmp_migrate_set_capabilities(&list, &error);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_info_capabilities(Hmp *hmp, const HmpArgs *args)
{
    MigrationCapabilityStatusArray *caps;
    qmp_query_migrate_capabilities(&caps, NULL);
    for (size_t i = 0; i < caps->len; i++) {
        hmp_printf(hmp, "%s: %s\n", qapi_name_MigrationCapability(caps->items[i]->capability),
                   caps->items[i]->state ? "on" : "off");
    }
    qapi_free_MigrationCapabilityStatusArray(caps);
}

static void print_ram(Hmp *hmp, const MigrationRAMStats *ram)
{
    hmp_printf(hmp, "transferred ram: %" PRIu64 " kbytes\n", ram->transferred >> 10);
    hmp_printf(hmp, "throughput: %0.2f mbps\n", ram->mbps);
    hmp_printf(hmp, "remaining ram: %" PRIu64 " kbytes\n", ram->remaining >> 10);
    hmp_printf(hmp, "total ram: %" PRIu64 " kbytes\n", ram->total >> 10);
    hmp_printf(hmp, "duplicate: %" PRIu64 " pages\n", ram->duplicate);
    hmp_printf(hmp, "normal: %" PRIu64 " pages\n", ram->normal);
    hmp_printf(hmp, "normal bytes: %" PRIu64 " kbytes\n", ram->normal_bytes >> 10);
    hmp_printf(hmp, "dirty sync count: %" PRIu64 "\n", ram->dirty_sync_count);
    hmp_printf(hmp, "page size: %" PRIu64 " kbytes\n", ram->page_size >> 10);
    hmp_printf(hmp, "multifd bytes: %" PRIu64 " kbytes\n", ram->multifd_bytes >> 10);
    hmp_printf(hmp, "pages-per-second: %" PRIu64 "\n", ram->pages_per_second);
    hmp_printf(hmp, "precopy ram: %" PRIu64 " kbytes\n", ram->precopy_bytes >> 10);
    hmp_printf(hmp, "downtime ram: %" PRIu64 " kbytes\n", ram->downtime_bytes >> 10);
    if (ram->postcopy_requests) {
        hmp_printf(hmp, "postcopy request count: %" PRIu64 "\n", (uint64_t)ram->postcopy_requests);
        hmp_printf(hmp, "postcopy ram: %" PRIu64 " kbytes\n", ram->postcopy_bytes >> 10);
    }
    if (ram->dirty_pages_rate) {
        hmp_printf(hmp, "dirty pages rate: %" PRIu64 " pages\n", ram->dirty_pages_rate);
    }
}

static void print_xbzrle(Hmp *hmp, const XBZRLECacheStats *x)
{
    hmp_printf(hmp, "cache size: %" PRIu64 " bytes\n", x->cache_size);
    hmp_printf(hmp, "xbzrle transferred: %" PRIu64 " kbytes\n", (uint64_t)x->bytes >> 10);
    hmp_printf(hmp, "xbzrle pages: %" PRIu64 " pages\n", (uint64_t)x->pages);
    hmp_printf(hmp, "xbzrle cache miss: %" PRIu64 " pages\n", (uint64_t)x->cache_miss);
    hmp_printf(hmp, "xbzrle cache miss rate: %0.2f\n", x->cache_miss_rate);
    hmp_printf(hmp, "xbzrle encoding rate: %0.2f\n", x->encoding_rate);
    hmp_printf(hmp, "xbzrle overflow: %" PRIu64 "\n", (uint64_t)x->overflow);
}

static void print_blocktime(Hmp *hmp, const MigrationInfo *info)
{
    const Uint32Array *each = info->postcopy_vcpu_blocktime;
    if (info->has_postcopy_blocktime) {
        hmp_printf(hmp, "postcopy blocktime: %u\n", info->postcopy_blocktime);
    }
    for (size_t i = 0; each && i < each->len; i++) {
        hmp_printf(hmp, "%s%u%s", i ? "," : "postcopy vcpu blocktime: ", each->items[i],
                   i + 1 == each->len ? "\n" : "");
    }
}

static void print_times(Hmp *hmp, const MigrationInfo *info)
{
    if (info->has_total_time) {
        hmp_printf(hmp, "total time: %" PRIu64 " ms\n", info->total_time);
    }
    if (info->has_expected_downtime) {
        hmp_printf(hmp, "expected downtime: %" PRIu64 " ms\n", info->expected_downtime);
    }
    if (info->has_downtime) {
        hmp_printf(hmp, "downtime: %" PRIu64 " ms\n", info->downtime);
    }
    if (info->has_setup_time) {
        hmp_printf(hmp, "setup: %" PRIu64 " ms\n", info->setup_time);
    }
}

static void print_addresses(Hmp *hmp, const SocketAddressArray *addresses)
{
    if (addresses) {
        hmp_puts(hmp, "socket address: [\n");
        for (size_t i = 0; i < addresses->len; i++) {
            g_autofree char *text = io_socket_address_format(addresses->items[i]);
            hmp_printf(hmp, "\t%s\n", text);
        }
        hmp_puts(hmp, "]\n");
    }
}

static void hmp_info_migrate(Hmp *hmp, const HmpArgs *args)
{
    MigrationInfo *info;
    qmp_query_migrate(&info, NULL);
    for (size_t i = 0; info->blocked_reasons && i < info->blocked_reasons->len; i++) {
        hmp_printf(hmp, "%s  %s\n", i ? "" : "Outgoing migration blocked:\n", info->blocked_reasons->items[i]);
    }
    if (info->has_status) {
        hmp_printf(hmp, "Migration status: %s", qapi_name_MigrationStatus(info->status));
        hmp_printf(hmp, info->error_desc ? " (%s)\n" : "\n", info->error_desc);
    }
    print_times(hmp, info);
    if (info->ram) {
        print_ram(hmp, info->ram);
    }
    if (info->xbzrle_cache) {
        print_xbzrle(hmp, info->xbzrle_cache);
    }
    if (info->has_cpu_throttle_percentage) {
        hmp_printf(hmp, "cpu throttle percentage: %" PRIu64 "\n", info->cpu_throttle_percentage);
    }
    print_blocktime(hmp, info);
    print_addresses(hmp, info->socket_address);
    qapi_free_MigrationInfo(info);
}

static void hmp_calc_dirty_rate(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool rings = hmp_arg_has(args, "dirty-ring"), log = hmp_arg_has(args, "dirty-bitmap");
    bool samples = hmp_arg_has(args, "sample-pages");
    int64_t seconds = hmp_arg_int(args, "second", 0);
    if (seconds <= 0) {
        hmp_puts(hmp, "Incorrect period length specified!\n");
        return;
    }
    if (rings && log) {
        hmp_puts(hmp, "Either dirty ring or dirty bitmap can be specified!\n");
        return;
    }
    if (qmp_calc_dirty_rate(seconds, false, 0, samples, hmp_arg_int(args, "sample-pages", 0), rings || log,
                            rings ? DIRTY_RATE_MEASURE_MODE_DIRTY_RING : DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP,
                            &error)) {
        hmp_printf(hmp,
                   "Starting dirty rate measurement with period %" PRId64 " seconds\n"
                   "[Please use 'info dirty_rate' to check results]\n",
                   seconds);
    }
    hmp_report_error(hmp, &error);
}

static void hmp_info_dirty_rate(Hmp *hmp, const HmpArgs *args)
{
    DirtyRateInfo *info;
    qmp_query_dirty_rate(false, 0, &info, NULL);
    hmp_printf(hmp, "Status: %s\n", qapi_name_DirtyRateStatus(info->status));
    hmp_printf(hmp, "Start Time: %" PRId64 " (sec)\n", info->start_time);
    if (info->mode == DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        hmp_printf(hmp, "Sample Pages: %" PRIu64 " (per GB)\n", info->sample_pages);
    }
    hmp_printf(hmp, "Period: %" PRId64 " (sec)\n", info->calc_time);
    hmp_printf(hmp, "Mode: %s\n", qapi_name_DirtyRateMeasureMode(info->mode));
    if (info->has_dirty_rate) {
        hmp_printf(hmp, "Dirty rate: %" PRId64 " (MB/s)\n", info->dirty_rate);
    } else {
        hmp_puts(hmp, "Dirty rate: (not ready)\n");
    }
    for (size_t i = 0; info->vcpu_dirty_rate && i < info->vcpu_dirty_rate->len; i++) {
        const DirtyRateVcpu *v = info->vcpu_dirty_rate->items[i];
        hmp_printf(hmp, "vcpu[%" PRId64 "], Dirty rate: %" PRId64 " (MB/s)\n", v->id, v->dirty_rate);
    }
    qapi_free_DirtyRateInfo(info);
}

static const HmpCommand commands[] = {
    { .name = "migrate", .args = "detach:-d,resume:-r,uri:s", .params = "[-d] [-r] uri",
      .help = "migrate to URI (using -d to not wait for completion)\n\t\t\t -r to resume a paused postcopy migration",
      .run = hmp_migrate },
    { .name = "migrate_start_postcopy", .args = "", .params = "",
      .help = "Followup to a migration command to switch the migration to postcopy mode", .run = hmp_start_postcopy },
    { .name = "migrate_pause", .args = "", .params = "", .help = "Pause an ongoing postcopy migration", .run = hmp_pause },
    { .name = "migrate_recover", .args = "uri:s", .params = "uri", .help = "Continue a paused incoming postcopy migration",
      .run = hmp_recover },
    { .name = "migrate_cancel", .args = "", .params = "", .help = "cancel the current VM migration",
      .run = hmp_migrate_cancel },
    { .name = "migrate_continue", .args = "state:s", .params = "state",
      .help = "Continue migration from the given paused state", .run = hmp_migrate_continue },
    { .name = "migrate_incoming", .args = "uri:s", .params = "uri",
      .help = "Continue an incoming migration from an -incoming defer", .run = hmp_migrate_incoming },
    { .name = "migrate_set_capability", .args = "capability:s,state:b", .params = "capability state",
      .help = "Enable/Disable the usage of a capability for migration", .run = hmp_set_capability },
    { .name = "calc_dirty_rate", .args = "dirty-ring:-r,dirty-bitmap:-b,second:i,sample-pages:i?",
      .params = "[-r] [-b] second [sample_pages_per_GB]",
      .help = "start a round of guest dirty rate measurement (using -r to\n\t\t\t specify dirty ring as the method of calculation and"
              "\n\t\t\t -b to specify dirty bitmap as method of calculation)",
      .run = hmp_calc_dirty_rate },
    { .name = "info dirty_rate", .args = "", .params = "", .help = "show dirty rate information",
      .run = hmp_info_dirty_rate },
    { .name = "info migrate", .args = "", .params = "", .help = "show migration status",
      .run = hmp_info_migrate },
    { .name = "info migrate_capabilities", .args = "", .params = "",
      .help = "show current migration capabilities", .run = hmp_info_capabilities },
};
HMP_REGISTER(commands)
