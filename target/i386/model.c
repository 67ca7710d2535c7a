/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models: types, what they begin with, and what becomes of it when a processor is made. The invariants (W1…) are those
 * of the header.
 */
#include "util/osdep.h"

#include <cpuid.h>

#include "accel/kvm/kvm.h"
#include "hw/core/machine.h"
#include "target/i386/cpu.h"
#include "target/i386/cpuid.h"
#include "target/i386/model.h"
#include "util/error.h"
#include "model-internal.h"

#define AUTO UINT32_MAX
#define PHYS_BITS_DEFAULT 40
#define PHYS_BITS_MAX 52
#define HOST_LEAF_MAX 32
#define FUNC7_LEAVES 2

static GPtrArray *types; /* X86ModelType *, by name */

static bool has(const X86Model *model, const char *name)
{
    const X86Feature *feature = x86_feature_by_name(name);

    return (model->features[feature->word] & feature->mask) == feature->mask;
}

/* Unless the user has said something of it (W2). */
static void set_default(X86Model *model, const char *name, bool on)
{
    const X86Feature *feature = x86_feature_by_name(name);
    uint64_t mask = feature->mask & ~model->user_features[feature->word];

    model->features[feature->word] &= ~mask;
    if (on) {
        model->features[feature->word] |= mask;
    }
}

/* ---- definitions --------------------------------------------------------------------------------------------- */

static void apply_number(X86Model *model, const char *key, uint32_t value)
{
    const struct {
        const char *key;
        uint32_t *member;
    } numbers[] = {
        { "family", &model->family },
        { "model", &model->model },
        { "stepping", &model->stepping },
        { "level-func7", &model->level_func7 },
        { "avx10-version", &model->avx10_version },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (!strcmp(numbers[i].key, key)) {
            *numbers[i].member = value;
            return;
        }
    }
    g_assert_not_reached();
}

/* "feature -feature key=value", as the definitions have it. */
static void apply_changes(X86Model *model, const char *changes)
{
    g_auto(GStrv) words = g_strsplit(changes, " ", -1);

    for (unsigned i = 0; words[i]; i++) {
        char *equals = strchr(words[i], '=');
        bool off = words[i][0] == '-';
        const X86Feature *feature;

        if (!words[i][0]) {
            continue;
        }
        if (equals) {
            *equals = 0;
            apply_number(model, words[i], g_ascii_strtoull(equals + 1, NULL, 0));
            continue;
        }
        feature = x86_feature_by_name(words[i] + off);
        g_assert(feature);
        if (off) {
            model->features[feature->word] &= ~feature->mask;
        } else {
            model->features[feature->word] |= feature->mask;
        }
    }
}

static void apply_definition(X86Model *model, const X86ModelDef *def, int version)
{
    const char *model_id = def->model_id;

    model->vendor = g_strdup(def->vendor);
    model->family = def->family;
    model->model = def->model;
    model->stepping = def->stepping;
    model->min_level = def->level;
    model->min_xlevel = def->xlevel;
    model->min_xlevel2 = def->xlevel2;
    model->caches = def->caches;
    model->legacy_cache = !def->caches;
    apply_changes(model, def->features);
    for (const X86ModelVersion *v = def->versions; v && v->version && v->version <= version; v++) {
        model_id = v->model_id ? v->model_id : model_id;
        if (v->changes) {
            apply_changes(model, v->changes);
        }
    }
    model->model_id = g_strdup(model_id);
}

static void model_init(Object *obj)
{
    X86Cpu *cpu = X86_CPU(obj);
    const X86ModelType *type = (const X86ModelType *)obj->type;

    if (type->kind == X86_MODEL_NAMED) {
        apply_definition(&cpu->model, type->def, type->version);
    } else if (type->kind != X86_MODEL_BASE) {
        cpu->model.pmu = true;
        cpu->model.host_phys_bits = true;
    }
}

/* ---- types ----------------------------------------------------------------------------------------------------- */

static void add_type(const char *name, X86ModelKind kind, const X86ModelDef *def, int version,
                     const char *alias_of)
{
    X86ModelType *type = g_new0(X86ModelType, 1);

    type->name = g_strdup(name);
    type->kind = kind;
    type->def = def;
    type->version = version;
    type->alias_of = g_strdup(alias_of);
    type->device.object.name = g_strconcat(name, "-x86_64-cpu", NULL);
    type->device.object.parent = &x86_cpu_type.object;
    type->device.object.size = sizeof(X86Cpu);
    type->device.object.init = model_init;
    type->device.object.properties =
        kind == X86_MODEL_HOST || kind == X86_MODEL_MAX ? x86_host_properties : NULL;
    g_ptr_array_add(types, type);
    device_type_register(&type->device);
}

static void add_version(const X86ModelDef *def, const X86ModelVersion *version)
{
    g_autofree char *name = g_strdup_printf("%s-v%d", def->name, version->version);

    add_type(name, X86_MODEL_NAMED, def, version->version, NULL);
    if (version->version == 1) {
        add_type(def->name, X86_MODEL_NAMED, def, 1,
                 name); /* what machines of all versions mean by it */
    }
    if (version->alias) {
        add_type(version->alias, X86_MODEL_NAMED, def, version->version, name);
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const X86ModelType *const *)a)->name, (*(const X86ModelType *const *)b)->name);
}

static void __attribute__((constructor)) register_models(void)
{
    static const X86ModelVersion only[] = { { 1 }, {} };

    types = g_ptr_array_new();
    for (const X86ModelDef *def = x86_model_defs; def->name; def++) {
        for (const X86ModelVersion *v = def->versions ? def->versions : only; v->version; v++) {
            add_version(def, v);
        }
    }
    add_type("base", X86_MODEL_BASE, NULL, 0, NULL);
    add_type("max", X86_MODEL_MAX, NULL, 0, NULL);
    add_type("host", X86_MODEL_HOST, NULL, 0, NULL);
    g_ptr_array_sort(types, by_name);
}

void x86_model_foreach(X86ModelTypeFunc *func, void *opaque)
{
    for (unsigned i = 0; i < types->len; i++) {
        func(g_ptr_array_index(types, i), opaque);
    }
}

const X86ModelType *x86_model_by_name(const char *name)
{
    for (unsigned i = 0; i < types->len; i++) {
        const X86ModelType *type = g_ptr_array_index(types, i);

        if (!strcmp(type->name, name) || !strcmp(type->device.object.name, name)) {
            return type;
        }
    }
    return NULL;
}

const X86ModelType *x86_model_type(const X86Cpu *cpu)
{
    return (const X86ModelType *)cpu->cpu.device.object.type;
}

/* ---- what there is --------------------------------------------------------------------------------------------- */

uint64_t x86_unmigratable_features(X86FeatureWord word)
{
    const X86Feature *invtsc = x86_feature_by_name("invtsc");

    return word == invtsc->word ? invtsc->mask : 0;
}

uint64_t x86_supported_features(X86FeatureWord word)
{
    const X86FeatureWordInfo *info = &x86_feature_words[word];

    return info->msr ? x86_kvm_supported_msr(info->msr)
                     : x86_kvm_supported_cpuid(info->leaf, info->subleaf, info->reg);
}

/* Bits of the word that have a name. */
static uint64_t named_bits(X86FeatureWord word)
{
    uint64_t mask = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        mask |= x86_feature_words[word].names[bit] ? UINT64_C(1) << bit : 0;
    }
    return mask;
}

/* ---- host and max ------------------------------------------------------------------------------------------------ */

static char *host_vendor(void)
{
    uint32_t r[4];
    char text[13] = "";

    __cpuid(0, r[0], r[1], r[2], r[3]);
    memcpy(text, &r[1], 4);
    memcpy(text + 4, &r[3], 4);
    memcpy(text + 8, &r[2], 4);
    return g_strdup(text);
}

static char *host_model_id(void)
{
    uint32_t r[4];
    char text[49] = "";

    __cpuid(0x80000000, r[0], r[1], r[2], r[3]);
    if (r[0] < 0x80000004) {
        return g_strdup("");
    }
    for (unsigned i = 0; i < 3; i++) {
        __cpuid(0x80000002 + i, r[0], r[1], r[2], r[3]);
        memcpy(text + 16 * i, r, 16);
    }
    return g_strdup(text);
}

/* Family, model and stepping as leaf 1 spreads them (SDM vol. 2, CPUID, figure 3-6). */
static void host_identity(X86Model *model)
{
    uint32_t r[4];

    __cpuid(1, r[0], r[1], r[2], r[3]);
    model->family = (r[0] >> 8 & 15) + ((r[0] >> 8 & 15) == 15 ? r[0] >> 20 & 0xff : 0);
    model->model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
    model->stepping = r[0] & 15;
}

static void expand_to_everything(X86Model *model)
{
    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        uint64_t mask = named_bits(word) & ~model->user_features[word];

        if (model->migratable) {
            mask &= ~x86_unmigratable_features(word);
        }
        model->features[word] |= x86_supported_features(word) & mask;
    }
    set_default(model, "kvm-hint-dedicated", false);
    model->min_level = MAX(model->min_level, x86_kvm_supported_cpuid(0, 0, X86_EAX));
    model->min_xlevel = MAX(model->min_xlevel, x86_kvm_supported_cpuid(0x80000000, 0, X86_EAX));
    model->min_xlevel2 = MAX(model->min_xlevel2, x86_kvm_supported_cpuid(0xc0000000, 0, X86_EAX));
}

static void take_identity(X86Model *model)
{
    if (!model->vendor || !model->vendor_set) {
        g_free(model->vendor);
        model->vendor = x86_cpus_on_kvm() ? host_vendor() : g_strdup("AuthenticAMD");
    }
    if (!model->family && !model->model && x86_cpus_on_kvm()) {
        host_identity(model);
    } else if (!model->family && !model->model) {
        model->family = 6;
        model->model = 6;
        model->stepping = 3;
    }
    if (!model->model_id) {
        model->model_id = x86_cpus_on_kvm() ? host_model_id() : g_strdup("Tern Virtual CPU");
    }
}

/* ---- expansion --------------------------------------------------------------------------------------------------- */

/* What KVM has made of every named model since long: its own paravirtual features on, what it does not emulate off. */
static void kvm_defaults(X86Model *model)
{
    static const char *const on[] = { "kvmclock", "kvm-nopiodelay", "kvm-asyncpf", "kvm-steal-time",
                                      "kvmclock-stable-bit" };
    static const char *const with_local_apic[] = { "kvm-pv-eoi", "x2apic" };
    static const char *const off[] = { "acpi", "monitor", "svm" };

    for (unsigned i = 0; i < G_N_ELEMENTS(on); i++) {
        set_default(model, on[i], true);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(with_local_apic); i++) {
        set_default(model, with_local_apic[i], kvm_irqchip() != KVM_IRQCHIP_USER);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(off); i++) {
        set_default(model, off[i], false);
    }
    if (!model->vendor_set) {
        g_free(model->vendor);
        model->vendor = host_vendor(); /* SYSCALL and SYSENTER behave by it */
    }
}

static void clear_word(X86Model *model, X86FeatureWord word)
{
    model->features[word] = 0;
}

/* Features that are nothing without another one. */
static void drop_dependent(X86Model *model)
{
    static const struct {
        const char *needed, *dependent;
    } pairs[] = {
        { "xsave", "xsaveopt" },
        { "xsave", "xsavec" },
        { "xsave", "xgetbv1" },
        { "xsave", "xsaves" },
        { "xsave", "avx" },
        { "avx", "avx2" },
        { "avx", "f16c" },
        { "avx", "fma" },
        { "avx", "vaes" },
        { "avx", "vpclmulqdq" },
        { "avx", "fma4" },
        { "avx", "xop" },
        { "avx2", "avx512f" },
        { "avx2", "avx-vnni" },
        { "avx512f", "avx512dq" },
        { "avx512f", "avx512cd" },
        { "avx512f", "avx512bw" },
        { "avx512f", "avx512vl" },
        { "avx512f", "avx512ifma" },
        { "avx512f", "avx512vbmi" },
        { "avx512f", "avx512vbmi2" },
        { "avx512f", "avx512vnni" },
        { "avx512f", "avx512bitalg" },
        { "avx512f", "avx512-vpopcntdq" },
        { "avx512f", "avx512-bf16" },
        { "avx512f", "avx512-fp16" },
        { "avx512f", "avx512-vp2intersect" },
        { "avx512f", "avx512-4vnniw" },
        { "avx512f", "avx512-4fmaps" },
        { "avx512f", "avx512er" },
        { "avx512f", "avx512pf" },
        { "xsave", "mpx" },
        { "xsave", "pku" },
        { "amx-tile", "amx-int8" },
        { "amx-tile", "amx-bf16" },
        { "amx-tile", "amx-fp16" },
        { "amx-tile", "amx-complex" },
        { "rdtscp", "vmx-rdtscp-exit" },
        { "invpcid", "vmx-invpcid-exit" },
        { "rdrand", "vmx-rdrand-exit" },
        { "rdseed", "vmx-rdseed-exit" },
        { "avx10", "avx10-128" },
        { "avx10", "avx10-256" },
        { "avx10", "avx10-512" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
        const X86Feature *dependent = x86_feature_by_name(pairs[i].dependent);

        if (!has(model, pairs[i].needed)) {
            model->features[dependent->word] &= ~dependent->mask;
        }
    }
    if (!has(model, "vmx")) {
        for (X86FeatureWord word = X86_FEAT_MSR_480; word <= X86_FEAT_MSR_491; word++) {
            clear_word(model, word);
        }
    }
    if (!has(model, "svm")) {
        clear_word(model, X86_FEAT_8000000A_0_EDX);
    }
    if (!has(model, "sgx")) {
        clear_word(model, X86_FEAT_12_0_EAX);
        clear_word(model, X86_FEAT_12_0_EBX);
        clear_word(model, X86_FEAT_12_1_EAX);
    }
    if (!has(model, "intel-pt")) {
        clear_word(model, X86_FEAT_14_0_ECX);
    }
    if (!has(model, "arch-capabilities")) {
        clear_word(model, X86_FEAT_MSR_10A);
    }
    if (!has(model, "core-capability")) {
        clear_word(model, X86_FEAT_MSR_CF);
    }
    if (!model->pmu || !has(model, "pdcm")) {
        clear_word(model, X86_FEAT_MSR_345);
    }
    if (!model->expose_kvm) {
        clear_word(model, X86_FEAT_40000001_0_EAX);
        clear_word(model, X86_FEAT_40000001_0_EDX);
    }
}

/* Processors that the machine does not say otherwise of are arranged as all of it is. */
static void default_topology(X86Model *model)
{
    const Machine *machine = machine_current();

    if (model->cores) {
        return;
    }
    model->dies = machine ? MAX(machine->smp.dies, 1) : 1;
    model->cores = machine ? MAX(machine->smp.cores, 1) : 1;
    model->threads = machine ? MAX(machine->smp.threads, 1) : 1;
}

/* A leaf that has something in it is reached. */
static void raise_levels(X86Model *model)
{
    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        const X86FeatureWordInfo *info = &x86_feature_words[word];
        uint32_t *level = info->leaf >= 0xc0000000   ? &model->min_xlevel2
                          : info->leaf >= 0x80000000 ? &model->min_xlevel
                                                     : &model->min_level;

        if (!model->features[word] || info->msr || info->leaf >> 28 == 4) {
            continue;
        }
        if (info->leaf == 0x14 && !model->intel_pt_auto_level) {
            continue;
        }
        *level = MAX(*level, info->leaf);
        if (info->leaf == 7 && model->level_func7 == AUTO && info->subleaf) {
            model->level_func7 = info->subleaf;
        } else if (info->leaf == 7 && model->level_func7 != AUTO) {
            model->level_func7 = MAX(model->level_func7, info->subleaf);
        }
    }
    if (model->avx10_version) {
        model->min_level = MAX(model->min_level, 0x24);
    }
    if (has(model, "amx-tile")) {
        model->min_level = MAX(model->min_level, 0x1e);
    }
    if (model->dies > 1 && model->cpuid_0xb && strcmp(model->vendor, "AuthenticAMD")) {
        model->min_level = MAX(model->min_level, 0x1f);
    }
}

static void finish_levels(X86Model *model)
{
    if (model->full_auto_level) {
        raise_levels(model);
    }
    model->level_func7 = model->level_func7 == AUTO ? 0 : model->level_func7;
    model->level = model->level == AUTO ? model->min_level : model->level;
    model->xlevel = model->xlevel == AUTO ? model->min_xlevel : model->xlevel;
    model->xlevel2 = model->xlevel2 == AUTO ? model->min_xlevel2 : model->xlevel2;
}

bool x86_model_expand(X86Cpu *cpu, GError **error)
{
    X86Model *model = &cpu->model;
    X86ModelKind kind = x86_model_type(cpu)->kind;

    if (model->expanded) {
        return true;
    }
    default_topology(model);
    if (kind == X86_MODEL_HOST && !x86_cpus_on_kvm()) {
        return error_set(error, "CPU model 'host' requires KVM");
    }
    if (kind == X86_MODEL_HOST || kind == X86_MODEL_MAX) {
        expand_to_everything(model);
        take_identity(model);
    } else if (kind == X86_MODEL_NAMED && x86_cpus_on_kvm()) {
        kvm_defaults(model);
    } else if (kind == X86_MODEL_BASE && !model->vendor) {
        model->vendor = g_strdup("");
    }
    drop_dependent(model);
    finish_levels(model);
    model->expanded = true;
    return true;
}

void x86_model_filter(X86Cpu *cpu)
{
    X86Model *model = &cpu->model;

    if (!x86_cpus_on_kvm()) {
        return; /* nobody runs it: it is what it says */
    }
    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        model->filtered[word] = model->features[word] & ~x86_supported_features(word);
        model->features[word] &= ~model->filtered[word];
    }
    drop_dependent(model);
}

/* ---- for a processor that is made ---------------------------------------------------------------------------- */

static bool warn_of_filtered(const X86Model *model)
{
    bool any = false;

    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        g_autofree char *where = x86_feature_word_name(word);

        for (unsigned bit = 0; bit < 64; bit++) {
            g_autofree char *name = NULL;

            if (!(model->filtered[word] >> bit & 1)) {
                continue;
            }
            any = true;
            name = x86_feature_bit_name(word, bit);
            warn_report("host doesn't support requested feature: %s%s%s [bit %u]", where,
                        name ? "." : "", name ? name : "", bit);
        }
    }
    return any;
}

static bool choose_phys_bits(X86Model *model, GError **error)
{
    uint32_t host = x86_kvm_supported_cpuid(0x80000008, 0, X86_EAX) & 0xff, r[4];

    if (model->host_phys_bits && !model->phys_bits) {
        __cpuid(0x80000008, r[0], r[1], r[2], r[3]);
        model->phys_bits = x86_cpus_on_kvm() && host ? r[0] & 0xff : PHYS_BITS_DEFAULT;
        if (model->host_phys_bits_limit) {
            model->phys_bits = MIN(model->phys_bits, model->host_phys_bits_limit);
        }
    }
    if (has(model, "lm")) {
        if (model->phys_bits && (model->phys_bits > PHYS_BITS_MAX || model->phys_bits < 32)) {
            return error_set(error, "phys-bits should be between 32 and %u  (but is %u)",
                             PHYS_BITS_MAX, model->phys_bits);
        }
        model->phys_bits = model->phys_bits ? model->phys_bits : PHYS_BITS_DEFAULT;
    } else {
        if (model->phys_bits && !model->host_phys_bits) {
            return error_set(error, "phys-bits is not user-configurable in 32 bit");
        }
        model->phys_bits = has(model, "pse36") ? 36 : 32;
    }
    if (model->guest_phys_bits != AUTO && model->guest_phys_bits > model->phys_bits) {
        return error_set(error, "guest-phys-bits should be between 32 and %u  (but is %u)",
                         model->phys_bits, model->guest_phys_bits);
    }
    return true;
}

bool x86_model_realize(X86Cpu *cpu, GError **error)
{
    X86Model *model = &cpu->model;

    if (!x86_model_expand(cpu, error)) {
        return false;
    }
    x86_model_filter(cpu);
    if ((model->check || model->enforce) && warn_of_filtered(model) && model->enforce) {
        return error_set(error, "Host doesn't support requested features");
    }
    if (!model->legacy_cache && !model->caches) {
        return error_set(error, "CPU model '%s' doesn't support legacy-cache=off",
                         x86_model_type(cpu)->name);
    }
    return choose_phys_bits(model, error);
}
