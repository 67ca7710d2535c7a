/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties of processors: a bool for each feature, and what a model consists of besides. The table is made before
 * main(), because the features' part of it follows from features.def.
 */
#include "util/osdep.h"

#include "target/i386/cpu.h"
#include "target/i386/model.h"
#include "util/error.h"
#include "model-internal.h"

#define MAX_PROPERTIES 640

Property x86_cpu_properties[MAX_PROPERTIES];

/* ---- features ---------------------------------------------------------------------------------------------- */

static bool feature_set(Object *obj, const Property *prop, json_object *value, GError **error)
{
    const X86Feature *feature = prop->arg;
    X86Model *model = &X86_CPU(obj)->model;

    if (!json_object_is_type(value, json_type_boolean)) {
        return error_set(error, "Invalid parameter type for '%s', expected: boolean", prop->name);
    }
    if (json_object_get_boolean(value)) {
        model->features[feature->word] |= feature->mask;
    } else {
        model->features[feature->word] &= ~feature->mask;
    }
    model->user_features[feature->word] |= feature->mask;
    return true;
}

static bool feature_parse(Object *obj, const Property *prop, const char *text, GError **error)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };
    json_object *value;
    bool ok;

    if (!g_strv_contains(on, text) && !g_strv_contains(off, text)) {
        return error_set(error, "Parameter '%s' expects 'on' or 'off'", prop->name);
    }
    value = json_object_new_boolean(g_strv_contains(on, text));
    ok = feature_set(obj, prop, value, error);
    json_object_put(value);
    return ok;
}

static json_object *feature_get(Object *obj, const Property *prop, GError **error)
{
    const X86Feature *feature = prop->arg;

    return json_object_new_boolean((X86_CPU(obj)->model.features[feature->word] & feature->mask) ==
                                   feature->mask);
}

static const PropertyKind kind_feature = {
    .name = "bool", .set = feature_set, .parse = feature_parse, .get = feature_get
};

/* ---- identity ------------------------------------------------------------------------------------------------ */

static bool vendor_set(Object *obj, const Property *prop, json_object *value, GError **error)
{
    X86Model *model = &X86_CPU(obj)->model;
    const char *text = json_object_get_string(value);

    if (!json_object_is_type(value, json_type_string) || strlen(text) != 12) {
        return error_set(error, "Property '.vendor' doesn't take value '%s'", text ? text : "null");
    }
    g_free(model->vendor);
    model->vendor = g_strdup(text);
    model->vendor_set = true;
    return true;
}

static json_object *string_get(Object *obj, const Property *prop, GError **error)
{
    const char *text = *(char **)property_member(obj, prop);

    return json_object_new_string(text ? text : "");
}

static void string_release(Object *obj, const Property *prop)
{
    g_clear_pointer((char **)property_member(obj, prop), g_free);
}

static const PropertyKind kind_vendor = {
    .name = "string", .set = vendor_set, .get = string_get, .release = string_release
};

static bool model_id_set(Object *obj, const Property *prop, json_object *value, GError **error)
{
    X86Model *model = &X86_CPU(obj)->model;

    if (!json_object_is_type(value, json_type_string)) {
        return error_set(error, "Invalid parameter type for '%s', expected: string", prop->name);
    }
    g_free(model->model_id);
    model->model_id = g_strdup(json_object_get_string(value));
    return true;
}

static const PropertyKind kind_model_id = {
    .name = "string", .set = model_id_set, .get = string_get, .release = string_release
};

/* arg: the largest value. Family, model and stepping have as many bits as leaf 1 has for them. */
static bool limited_set(Object *obj, const Property *prop, json_object *value, GError **error)
{
    int64_t max = GPOINTER_TO_INT(prop->arg), n;

    if (!json_object_is_type(value, json_type_int)) {
        return error_set(error, "Invalid parameter type for '%s', expected: integer", prop->name);
    }
    n = json_object_get_int64(value);
    if (n < 0 || n > max) {
        return error_set(
            error, "Property .%s doesn't take value %" PRId64 " (minimum: 0, maximum: %" PRId64 ")",
            prop->name, n, max);
    }
    *(uint32_t *)property_member(obj, prop) = n;
    return true;
}

static bool limited_parse(Object *obj, const Property *prop, const char *text, GError **error)
{
    char *end;
    int64_t n = g_ascii_strtoll(text, &end, 0);
    json_object *value;
    bool ok;

    if (end == text || *end) {
        return error_set(error, "Parameter '%s' expects int64", prop->name);
    }
    value = json_object_new_int64(n);
    ok = limited_set(obj, prop, value, error);
    json_object_put(value);
    return ok;
}

static json_object *limited_get(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_int64(*(uint32_t *)property_member(obj, prop));
}

static const PropertyKind kind_limited = {
    .name = "int", .set = limited_set, .parse = limited_parse, .get = limited_get
};

/* ---- the table ------------------------------------------------------------------------------------------------- */

#define ROW_BOOL(name, member, value) PROPERTY_BOOL(name, X86Cpu, model.member, value, NULL)
#define ROW_U32(name, member, value) PROPERTY_UINT32(name, X86Cpu, model.member, value, NULL)
#define ROW_U64(name, member, value) PROPERTY_UINT64(name, X86Cpu, model.member, value, NULL)
#define ROW_PLACE(name, member) PROPERTY_INT32(name, X86Cpu, model.member, "-1", NULL)
#define ROW_LIMITED(name, member, max) \
    PROPERTY(name, kind_limited, X86Cpu, model.member, .arg = GINT_TO_POINTER(max))
#define BY_FEATURES "4294967295"

static const Property fixed[] = {
    PROPERTY_UINT32("apic-id", X86Cpu, apic_id, "4294967295", NULL),
    ROW_PLACE("socket-id", socket_id),
    ROW_PLACE("die-id", die_id),
    ROW_PLACE("module-id", module_id),
    ROW_PLACE("core-id", core_id),
    ROW_PLACE("thread-id", thread_id),
    ROW_PLACE("node-id", node_id),
    PROPERTY("vendor", kind_vendor, X86Cpu, model.vendor, ),
    PROPERTY("model-id", kind_model_id, X86Cpu, model.model_id, ),
    ROW_LIMITED("family", family, 0xff + 0xf),
    ROW_LIMITED("model", model, 0xff),
    ROW_LIMITED("stepping", stepping, 0xf),
    ROW_U32("level", level, BY_FEATURES),
    ROW_U32("xlevel", xlevel, BY_FEATURES),
    ROW_U32("xlevel2", xlevel2, BY_FEATURES),
    ROW_U32("min-level", min_level, "0"),
    ROW_U32("min-xlevel", min_xlevel, "0"),
    ROW_U32("min-xlevel2", min_xlevel2, "0"),
    ROW_U32("level-func7", level_func7, BY_FEATURES),
    ROW_U32("avx10-version", avx10_version, "0"),
    ROW_U32("phys-bits", phys_bits, "0"),
    ROW_U32("guest-phys-bits", guest_phys_bits, BY_FEATURES),
    ROW_U32("host-phys-bits-limit", host_phys_bits_limit, "0"),
    ROW_U64("tsc-frequency", tsc_frequency, "0"),
    ROW_U64("ucode-rev", ucode_rev, "0"),
    ROW_BOOL("check", check, "on"),
    ROW_BOOL("enforce", enforce, "off"),
    ROW_BOOL("host-phys-bits", host_phys_bits, "off"),
    ROW_BOOL("kvm", expose_kvm, "on"),
    ROW_BOOL("kvm-pv-enforce-cpuid", kvm_enforce_cpuid, "off"),
    ROW_BOOL("tcg-cpuid", expose_tcg, "on"),
    ROW_BOOL("pmu", pmu, "off"),
    ROW_BOOL("lmce", lmce, "off"),
    ROW_BOOL("l3-cache", l3_cache, "on"),
    ROW_BOOL("legacy-cache", legacy_cache, "on"),
    ROW_BOOL("cpuid-0xb", cpuid_0xb, "on"),
    ROW_BOOL("full-cpuid-auto-level", full_auto_level, "on"),
    ROW_BOOL("fill-mtrr-mask", fill_mtrr_mask, "on"),
    ROW_BOOL("vmware-cpuid-freq", vmware_freq, "on"),
    ROW_BOOL("legacy-multi-node", legacy_multi_node, "off"),
    ROW_BOOL("x-vendor-cpuid-only", vendor_cpuid_only, "on"),
    ROW_BOOL("x-intel-pt-auto-level", intel_pt_auto_level, "on"),
    ROW_BOOL("x-l1-cache-per-thread", l1_per_thread, "on"),
    ROW_BOOL("x-amd-topoext-features-only", topoext_features_only, "on"),
};

const Property x86_host_properties[] = {
    ROW_BOOL("migratable", migratable, "on"),
    ROW_BOOL("host-cache-info", host_cache_info, "off"),
    {},
};

/* Features that have a second spelling with '_' from of old. */
static const char *const underscored[] = {
    "kvm_asyncpf", "perfctr_core", "sse4_1",         "kvm_pv_eoi",       "cmp_legacy",
    "vmcb_clean",  "svm_lock",     "kvm_nopiodelay", "kvm_poll_control", "kvm_mmu",
    "sse4_2",      "nodeid_msr",   "nrip_save",      "kvm_pv_unhalt",    "kvm_asyncpf_int",
    "ds_cpl",      "tsc_adjust",   "kvm_steal_time", "tsc_scale",        "lahf_lm",
    "fxsr_opt",    "perfctr_nb",   "pause_filter",
};

static void __attribute__((constructor)) make_table(void)
{
    Property *row = x86_cpu_properties;
    unsigned n;
    const X86Feature *features = x86_features(&n);

    g_assert(G_N_ELEMENTS(fixed) + n + G_N_ELEMENTS(underscored) < MAX_PROPERTIES);
    memcpy(row, fixed, sizeof(fixed));
    row += G_N_ELEMENTS(fixed);
    for (unsigned i = 0; i < n; i++) {
        *row++ = (Property){ .name = features[i].name, .kind = &kind_feature, .arg = &features[i] };
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(underscored); i++) {
        *row++ = (Property){ .name = underscored[i],
                             .kind = &kind_feature,
                             .arg = x86_feature_by_name(underscored[i]) };
    }
}

const DeviceCompat x86_cpu_compat[] = {
    { "9.0", "x-l1-cache-per-thread", "off" },
    { "9.0", "x-amd-topoext-features-only", "off" },
    { "9.0", "legacy-multi-node", "on" },
    { "9.0", "guest-phys-bits", "0" },
    {},
};
