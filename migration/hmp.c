/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP commands about migration. */
#include "util/osdep.h"
#include "monitor/hmp.h"

#include "qapi/commands-migration.h"
#include "util/error.h"
#include "util/keyval.h"

static void hmp_migrate(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    if (qmp_migrate(hmp_arg_str(args, "uri"), NULL, false, false, &error) && !hmp_arg_has(args, "detach")) {
        hmp_puts(hmp, "terminal does not allow synchronous migration, continuing detached\n");
    }
    hmp_report_error(hmp, &error);
}

static void hmp_migrate_cancel(Hmp *hmp, const HmpArgs *args)
{
    qmp_migrate_cancel(NULL);
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

/* Bandwidths count in MiB where they have no suffix. */
static bool parse_parameter(const char *name, const char *text, MigrationParameters *p, GError **error)
{
    if (strcmp(name, "max-bandwidth") == 0) {
        p->has_max_bandwidth = true;
        return parse_size(text, 1 << 20, &p->max_bandwidth, error);
    }
    if (strcmp(name, "avail-switchover-bandwidth") == 0) {
        p->has_avail_switchover_bandwidth = true;
        return parse_size(text, 1 << 20, &p->avail_switchover_bandwidth, error);
    }
    if (strcmp(name, "downtime-limit") == 0) {
        p->has_downtime_limit = true;
        return parse_uint64(text, &p->downtime_limit, error);
    }
    if (strcmp(name, "x-quiesce-timeout") == 0) {
        p->has_x_quiesce_timeout = true;
        return parse_uint64(text, &p->x_quiesce_timeout, error);
    }
    if (strcmp(name, "x-switchover-timeout") == 0) {
        p->has_x_switchover_timeout = true;
        return parse_uint64(text, &p->x_switchover_timeout, error);
    }
    return error_set(error, "invalid parameter value: %s", name);
}

static void hmp_set_parameter(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    MigrationParameters p = { 0 };
    if (parse_parameter(hmp_arg_str(args, "parameter"), hmp_arg_str(args, "value"), &p, &error)) {
        qmp_migrate_set_parameters(&p, &error);
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

static void hmp_info_parameters(Hmp *hmp, const HmpArgs *args)
{
    MigrationParameters *p;
    qmp_query_migrate_parameters(&p, NULL);
    hmp_printf(hmp, "max-bandwidth: %" PRIu64 " bytes/second\n", p->max_bandwidth);
    hmp_printf(hmp, "avail-switchover-bandwidth: %" PRIu64 " bytes/second\n", p->avail_switchover_bandwidth);
    hmp_printf(hmp, "downtime-limit: %" PRIu64 " ms\n", p->downtime_limit);
    hmp_printf(hmp, "x-quiesce-timeout: %" PRIu64 " ms\n", p->x_quiesce_timeout);
    hmp_printf(hmp, "x-switchover-timeout: %" PRIu64 " ms\n", p->x_switchover_timeout);
    qapi_free_MigrationParameters(p);
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
    hmp_printf(hmp, "pages-per-second: %" PRIu64 "\n", ram->pages_per_second);
    hmp_printf(hmp, "precopy ram: %" PRIu64 " kbytes\n", ram->precopy_bytes >> 10);
    hmp_printf(hmp, "downtime ram: %" PRIu64 " kbytes\n", ram->downtime_bytes >> 10);
    if (ram->dirty_pages_rate) {
        hmp_printf(hmp, "dirty pages rate: %" PRIu64 " pages\n", ram->dirty_pages_rate);
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
    if (info->ram) {
        print_ram(hmp, info->ram);
    }
    qapi_free_MigrationInfo(info);
}

static const HmpCommand commands[] = {
    { .name = "migrate", .args = "detach:-d,uri:s", .params = "[-d] uri",
      .help = "migrate to URI (using -d to not wait for completion)", .run = hmp_migrate },
    { .name = "migrate_cancel", .args = "", .params = "", .help = "cancel the current VM migration",
      .run = hmp_migrate_cancel },
    { .name = "migrate_continue", .args = "state:s", .params = "state",
      .help = "Continue migration from the given paused state", .run = hmp_migrate_continue },
    { .name = "migrate_incoming", .args = "uri:s", .params = "uri",
      .help = "Continue an incoming migration from an -incoming defer", .run = hmp_migrate_incoming },
    { .name = "migrate_set_capability", .args = "capability:s,state:b", .params = "capability state",
      .help = "Enable/Disable the usage of a capability for migration", .run = hmp_set_capability },
    { .name = "migrate_set_parameter", .args = "parameter:s,value:s", .params = "parameter value",
      .help = "Set the parameter for migration", .run = hmp_set_parameter },
    { .name = "info migrate", .args = "", .params = "", .help = "show migration status",
      .run = hmp_info_migrate },
    { .name = "info migrate_capabilities", .args = "", .params = "",
      .help = "show current migration capabilities", .run = hmp_info_capabilities },
    { .name = "info migrate_parameters", .args = "", .params = "",
      .help = "show current migration parameters", .run = hmp_info_parameters },
};
HMP_REGISTER(commands)
