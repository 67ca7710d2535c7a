/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -cpu MODEL[,+FEATURE][,-FEATURE][,KEY=VALUE], and its help. What it says becomes other defaults of the model's type. */
#include "util/osdep.h"

#include "target/i386/model.h"
#include "util/error.h"

#define HELP_WIDTH 75

/* Each element of a list in which ",," is a comma. */
static char **split(const char *text)
{
    GPtrArray *parts = g_ptr_array_new();
    GString *part = g_string_new(NULL);

    for (const char *p = text;; p++) {
        if (p[0] == ',' && p[1] == ',') {
            g_string_append_c(part, *p++);
        } else if (!*p || *p == ',') {
            g_ptr_array_add(parts, g_string_free(part, FALSE));
            if (!*p) {
                break;
            }
            part = g_string_new(NULL);
        } else {
            g_string_append_c(part, *p);
        }
    }
    g_ptr_array_add(parts, NULL);
    return (char **)g_ptr_array_free(parts, FALSE);
}

/* The property that a key means: '_' is '-' in names of features. */
static const char *property_name(const X86ModelType *type, const char *key)
{
    const X86Feature *feature;

    if (object_type_find_property(&type->device.object, key, NULL)) {
        return key;
    }
    feature = x86_feature_by_name(key);
    return feature ? feature->name : key;
}

static bool check_mixture(char **parts, const char *name, const char *part)
{
    for (unsigned i = 1; parts[i]; i++) {
        g_autofree char *equals = g_strconcat(name, "=", NULL);

        if (g_str_has_prefix(parts[i], equals)) {
            warn_report("Ambiguous CPU model string. Don't mix both \"%s\" and \"%s\"", part,
                        parts[i]);
            return false;
        }
    }
    return true;
}

/* "+feature" and "-feature" are stronger than "feature=on|off", as they always were. */
static bool apply_signed(const X86ModelType *type, char **parts, GError **error)
{
    for (unsigned i = 1; parts[i]; i++) {
        const char *name;

        if (parts[i][0] != '+' && parts[i][0] != '-') {
            continue;
        }
        name = property_name(type, parts[i] + 1);
        if (!object_type_find_property(&type->device.object, name, NULL)) {
            return error_set(error, "Property '%s.%s' not found", type->device.object.name, name);
        }
        check_mixture(parts, parts[i] + 1, parts[i]);
        globals_add(type->device.object.name, name, parts[i][0] == '+' ? "on" : "off", true);
    }
    return true;
}

static void apply_keys(const X86ModelType *type, char **parts)
{
    for (unsigned i = 1; parts[i]; i++) {
        g_autofree char *key = NULL;
        const char *equals = strchr(parts[i], '=');

        if (parts[i][0] == '+' || parts[i][0] == '-') {
            continue;
        }
        key = equals ? g_strndup(parts[i], equals - parts[i]) : g_strdup(parts[i]);
        globals_add(type->device.object.name, property_name(type, key), equals ? equals + 1 : "on",
                    true);
    }
}

/* Says now what would be said at the first processor. */
static bool try_out(const X86ModelType *type, GError **error)
{
    Object *obj = object_new(&type->device.object);
    bool ok = globals_apply(obj, error);

    object_unref(obj);
    return ok;
}

const X86ModelType *x86_model_parse(const char *text, GError **error)
{
    g_auto(GStrv) parts = split(text);
    const X86ModelType *type = x86_model_by_name(parts[0]);

    if (!type) {
        error_set(error, "unable to find CPU model '%s'", parts[0]);
        return NULL;
    }
    apply_keys(type, parts);
    return apply_signed(type, parts, error) && try_out(type, error) ? type : NULL;
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void add_model(const X86ModelType *type, void *opaque)
{
    g_autofree char *note = NULL;

    if (type->kind == X86_MODEL_HOST) {
        note = g_strdup("processor with all supported host features");
    } else if (type->kind == X86_MODEL_MAX) {
        note = g_strdup("Enables all features supported by the accelerator in the current host");
    } else if (type->kind == X86_MODEL_BASE) {
        note = g_strdup("base CPU model type with no features enabled");
    } else if (type->alias_of && type->version == 1 && !strcmp(type->name, type->def->name)) {
        note = g_strdup("(alias configured by machine type)");
    } else if (type->alias_of) {
        note = g_strdup_printf("(alias of %s)", type->alias_of);
    } else {
        const char *model_id = type->def->model_id;

        for (const X86ModelVersion *v = type->def->versions;
             v && v->version && v->version <= type->version; v++) {
            model_id = v->model_id ? v->model_id : model_id;
        }
        note = g_strdup(model_id ? model_id : "");
    }
    g_string_append_printf(opaque, "  %-26s%s%s\n", type->name, *note ? "  " : "", note);
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *x86_model_help(void)
{
    GString *out = g_string_new("Available CPUs:\n");
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    unsigned n, column = 0;
    const X86Feature *features = x86_features(&n);

    x86_model_foreach(add_model, out);
    for (unsigned i = 0; i < n; i++) {
        if (!features[i].alias) {
            g_ptr_array_add(names, (gpointer)features[i].name);
        }
    }
    g_ptr_array_sort(names, by_text);
    g_string_append(out, "\nRecognized CPUID flags:\n");
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (column + 1 + strlen(name) >= HELP_WIDTH) {
            g_string_append_c(out, '\n');
            column = 0;
        }
        column += g_snprintf(NULL, 0, column ? " %s" : "  %s", name);
        g_string_append_printf(out, out->str[out->len - 1] == '\n' ? "  %s" : " %s", name);
    }
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}
