/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: parameters of migration, one by one. What they may be is the business of migrate-set-parameters. */
#include "util/osdep.h"
#include "monitor/hmp.h"

#include "qapi/commands-migration.h"
#include "util/error.h"
#include "util/keyval.h"

typedef enum Kind {
    KIND_NUMBER, /* uint64_t */
    KIND_SMALL,  /* uint8_t */
    KIND_SIZE,   /* uint64_t, with suffixes; bytes */
    KIND_MIB,    /* the same, MiB where there is none */
    KIND_BOOL,
    KIND_NAME, /* an enum */
} Kind;

typedef struct Parameter {
    const char *name;
    Kind kind;
    size_t has, at;
    const char *unit; /* behind the value */
    int (*parse)(const char *text);
    const char *(*show)(int value);
} Parameter;

static int parse_compression(const char *text)
{
    return qapi_parse_MultiFDCompression(text);
}

static const char *show_compression(int value)
{
    return qapi_name_MultiFDCompression(value);
}

static int parse_detection(const char *text)
{
    return qapi_parse_ZeroPageDetection(text);
}

static const char *show_detection(int value)
{
    return qapi_name_ZeroPageDetection(value);
}

#define MEMBER(member)                               \
    offsetof(MigrationParameters, has_##member),     \
        offsetof(MigrationParameters, member)

/* In the order in which they are shown. */
static const Parameter table[] = {
    { "announce-initial", KIND_NUMBER, MEMBER(announce_initial), " ms", NULL, NULL },
    { "announce-max", KIND_NUMBER, MEMBER(announce_max), " ms", NULL, NULL },
    { "announce-rounds", KIND_NUMBER, MEMBER(announce_rounds), "", NULL, NULL },
    { "announce-step", KIND_NUMBER, MEMBER(announce_step), " ms", NULL, NULL },
    { "throttle-trigger-threshold", KIND_SMALL, MEMBER(throttle_trigger_threshold), "", NULL, NULL },
    { "cpu-throttle-initial", KIND_SMALL, MEMBER(cpu_throttle_initial), "", NULL, NULL },
    { "cpu-throttle-increment", KIND_SMALL, MEMBER(cpu_throttle_increment), "", NULL, NULL },
    { "cpu-throttle-tailslow", KIND_BOOL, MEMBER(cpu_throttle_tailslow), "", NULL, NULL },
    { "max-cpu-throttle", KIND_SMALL, MEMBER(max_cpu_throttle), "", NULL, NULL },
    { "max-bandwidth", KIND_MIB, MEMBER(max_bandwidth), " bytes/second", NULL, NULL },
    { "avail-switchover-bandwidth", KIND_MIB, MEMBER(avail_switchover_bandwidth), " bytes/second",
      NULL, NULL },
    { "downtime-limit", KIND_NUMBER, MEMBER(downtime_limit), " ms", NULL, NULL },
    { "multifd-channels", KIND_SMALL, MEMBER(multifd_channels), "", NULL, NULL },
    { "multifd-compression", KIND_NAME, MEMBER(multifd_compression), "", parse_compression,
      show_compression },
    { "multifd-zlib-level", KIND_SMALL, MEMBER(multifd_zlib_level), "", NULL, NULL },
    { "multifd-zstd-level", KIND_SMALL, MEMBER(multifd_zstd_level), "", NULL, NULL },
    { "zero-page-detection", KIND_NAME, MEMBER(zero_page_detection), "", parse_detection,
      show_detection },
    { "xbzrle-cache-size", KIND_SIZE, MEMBER(xbzrle_cache_size), " bytes", NULL, NULL },
    { "max-postcopy-bandwidth", KIND_SIZE, MEMBER(max_postcopy_bandwidth), "", NULL, NULL },
    { "direct-io", KIND_BOOL, MEMBER(direct_io), "", NULL, NULL },
    { "x-quiesce-timeout", KIND_NUMBER, MEMBER(x_quiesce_timeout), " ms", NULL, NULL },
    { "x-switchover-timeout", KIND_NUMBER, MEMBER(x_switchover_timeout), " ms", NULL, NULL },
};

static const Parameter *find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static bool parse_number(const Parameter *param, const char *text, void *at, GError **error)
{
    uint64_t n;
    if (!parse_uint64(text, &n, NULL)) {
        return error_set(error, "Parameter '%s' expects uint64", param->name);
    }
    if (param->kind == KIND_NUMBER) {
        *(uint64_t *)at = n;
        return true;
    }
    *(uint8_t *)at = n;
    return n <= UINT8_MAX || error_set(error, "Parameter '%s' expects uint8_t", param->name);
}

static bool parse_value(const Parameter *param, const char *text, MigrationParameters *p,
                        GError **error)
{
    void *at = (char *)p + param->at;
    int value;
    *(bool *)((char *)p + param->has) = true;
    switch (param->kind) {
    case KIND_NUMBER:
    case KIND_SMALL:
        return parse_number(param, text, at, error);
    case KIND_SIZE:
    case KIND_MIB:
        return parse_size(text, param->kind == KIND_MIB ? 1 << 20 : 1, at, NULL) ||
               error_set(error, "Invalid size %s", text);
    case KIND_BOOL:
        return parse_bool(text, at, NULL) ||
               error_set(error, "Parameter '%s' expects 'on' or 'off'", param->name);
    default:
        value = param->parse(text);
        *(int *)at = MAX(value, 0);
        return value >= 0 || error_set(error, "Parameter '%s' does not accept value '%s'",
                                       param->name, text);
    }
}

static void hmp_set_parameter(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    MigrationParameters p = { 0 };
    const char *name = hmp_arg_str(args, "parameter");
    const Parameter *param = find(name);
    if (!param) {
        error_set(&error, "invalid parameter value: %s", name);
    } else if (parse_value(param, hmp_arg_str(args, "value"), &p, &error)) {
        qmp_migrate_set_parameters(&p, &error);
    }
    hmp_report_error(hmp, &error);
}

static void show(Hmp *hmp, const Parameter *param, const MigrationParameters *p)
{
    const void *at = (const char *)p + param->at;
    hmp_printf(hmp, "%s: ", param->name);
    switch (param->kind) {
    case KIND_SMALL:
        hmp_printf(hmp, "%u", *(const uint8_t *)at);
        break;
    case KIND_BOOL:
        hmp_puts(hmp, *(const bool *)at ? "on" : "off");
        break;
    case KIND_NAME:
        hmp_puts(hmp, param->show(*(const int *)at));
        break;
    default:
        hmp_printf(hmp, "%" PRIu64, *(const uint64_t *)at);
        break;
    }
    hmp_printf(hmp, "%s\n", param->unit);
}

static void hmp_info_parameters(Hmp *hmp, const HmpArgs *args)
{
    MigrationParameters *p;
    qmp_query_migrate_parameters(&p, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        show(hmp, &table[i], p);
    }
    qapi_free_MigrationParameters(p);
}

static const HmpCommand commands[] = {
    { .name = "migrate_set_parameter", .args = "parameter:s,value:s", .params = "parameter value",
      .help = "Set the parameter for migration", .run = hmp_set_parameter },
    { .name = "info migrate_parameters", .args = "", .params = "",
      .help = "show current migration parameters", .run = hmp_info_parameters },
};
HMP_REGISTER(commands)
