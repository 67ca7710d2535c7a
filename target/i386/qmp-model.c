/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands of qapi/machine-target.json. */
#include "util/osdep.h"

#include "qapi/commands-machine-target.h"
#include "qapi/dispatch.h"
#include "target/i386/cpu.h"
#include "target/i386/cpuid.h"
#include "target/i386/model.h"
#include "util/error.h"

QMP_REGISTER(machine_target)

/* ---- query-cpu-definitions --------------------------------------------------------------------------------------- */

static StrArray *missing_features(const X86Model *model)
{
    StrArray *list = g_new0(StrArray, 1);

    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            char *name = model->filtered[word] >> bit & 1 ? x86_feature_bit_name(word, bit) : NULL;

            if (name) {
                QAPI_ARRAY_ADD(list, name);
            }
        }
    }
    return list;
}

/* The model as a machine would have it here; NULL if it cannot be made. */
static X86Cpu *try_model(const X86ModelType *type)
{
    X86Cpu *cpu = X86_CPU(object_new(&type->device.object));

    if (!x86_model_expand(cpu, NULL)) {
        object_unref(cpu);
        return NULL;
    }
    x86_model_filter(cpu);
    return cpu;
}

static void add_definition(const X86ModelType *type, void *opaque)
{
    CpuDefinitionInfoArray *list = opaque;
    CpuDefinitionInfo *info = g_new0(CpuDefinitionInfo, 1);
    X86Cpu *cpu = try_model(type);

    info->name = g_strdup(type->name);
    info->typename = g_strdup(type->device.object.name);
    info->has_migration_safe = true;
    info->migration_safe = type->kind == X86_MODEL_NAMED || type->kind == X86_MODEL_BASE;
    info->static_ = type->kind == X86_MODEL_BASE;
    info->alias_of = g_strdup(type->alias_of);
    if (cpu) {
        info->unavailable_features = missing_features(&cpu->model);
        object_unref(cpu);
    } else {
        info->unavailable_features = g_new0(StrArray, 1);
        QAPI_ARRAY_ADD(info->unavailable_features, g_strdup("kvm"));
    }
    QAPI_ARRAY_ADD(list, info);
}

bool qmp_query_cpu_definitions(CpuDefinitionInfoArray **ret, GError **error)
{
    *ret = g_new0(CpuDefinitionInfoArray, 1);
    x86_model_foreach(add_definition, *ret);
    return true;
}

/* ---- query-cpu-model-expansion ------------------------------------------------------------------------------------- */

static bool set_properties(X86Cpu *cpu, json_object *props, GError **error)
{
    json_object_object_foreach(props, key, value)
    {
        if (!object_set(&cpu->cpu.device.object, key, value, error)) {
            return false;
        }
    }
    return true;
}

static X86Cpu *expand(const CpuModelInfo *model, GError **error)
{
    const X86ModelType *type = x86_model_by_name(model->name);
    X86Cpu *cpu;

    if (!type) {
        error_set(error, "CPU model '%s' not found", model->name);
        return NULL;
    }
    if (model->props && !json_object_is_type(model->props, json_type_object)) {
        error_set(error, "Invalid parameter type for 'model.props', expected: object");
        return NULL;
    }
    cpu = X86_CPU(object_new(&type->device.object));
    if ((model->props && !set_properties(cpu, model->props, error)) ||
        !x86_model_expand(cpu, error)) {
        object_unref(cpu);
        return NULL;
    }
    return cpu;
}

/* Besides the features: what a static model is made the same by. */
static bool in_static(const char *name)
{
    static const char *const names[] = { "vendor",    "family",     "model", "stepping", "model-id",
                                         "min-level", "min-xlevel", "lmce",  NULL };
    const X86Feature *feature = x86_feature_by_name(name);

    return (feature && !feature->alias && !strcmp(feature->name, name)) ||
           g_strv_contains(names, name);
}

typedef struct Listing {
    json_object *props;
    bool is_static;
} Listing;

static void list_property(Object *obj, const char *name, const char *type, const char *description,
                          void *opaque)
{
    Listing *listing = opaque;
    const ObjectType *owner = NULL;
    json_object *value;

    if (!object_type_find_property(obj->type, name, &owner) ||
        !object_type_is_a(owner, &x86_cpu_type.object) ||
        (listing->is_static && !in_static(name))) {
        return;
    }
    value = object_get(obj, name, NULL);
    if (value) {
        json_object_object_add(listing->props, name, value);
    }
}

bool qmp_query_cpu_model_expansion(CpuModelExpansionType type, const CpuModelInfo *model,
                                   CpuModelExpansionInfo **ret, GError **error)
{
    X86Cpu *cpu = expand(model, error);
    Listing listing = { .is_static = type == CPU_MODEL_EXPANSION_TYPE_STATIC };

    if (!cpu) {
        return false;
    }
    listing.props = json_object_new_object();
    object_foreach_property(&cpu->cpu.device.object, list_property, &listing);
    *ret = g_new0(CpuModelExpansionInfo, 1);
    (*ret)->model = g_new0(CpuModelInfo, 1);
    (*ret)->model->name = g_strdup(listing.is_static ? "base" : model->name);
    (*ret)->model->props = listing.props;
    object_unref(cpu);
    return true;
}
